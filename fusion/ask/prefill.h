/* prefill.h - the tokens of the prompt into the KV. */
#ifndef FUSION_PREFILL_H
#define FUSION_PREFILL_H

#include "fusion/ask/request.h"

/* Logits of the first token of the answer go to s->first_logits and s->logits. */
vlqa_status prefill(struct ask *a);
/* All that is stale, in one exact pass with the tokens of no chunk; the logits go to
 * s->first_logits. round: of the selection, for the answer. */
vlqa_status prefill_rest(struct ask *a, int round);

#endif
