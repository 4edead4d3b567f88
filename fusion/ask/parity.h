/* parity.h - what released code of InfoFlow KV does, defects included: to compare with, not to use.
 */
#ifndef FUSION_PARITY_H
#define FUSION_PARITY_H

#include "fusion/ask/request.h"

/* What that code decides by itself. VLQA_EUSAGE where it has no such option. */
vlqa_status parity_options(struct env *env, struct vlqa_ask_options *o,
                           struct vlqa_experimental *x);
/* The prompt into the KV, as prefill does it. */
vlqa_status parity_prefill(struct ask *a);

#endif
