/* options.h - what a question may ask for. */
#ifndef FUSION_OPTIONS_H
#define FUSION_OPTIONS_H

#include "fusion/session/session.h"

/* The caller's options (NULL: defaults) over the defaults, checked against the model; what parity
 * decides by itself is decided, and so is the variant where chunks are used: x->variant is DEFAULT
 * with reuse off or auto alone. VLQA_EUSAGE says which is wrong and what was expected. */
vlqa_status options_read(struct vlqa_session *s, const struct vlqa_ask_options *from,
                         struct vlqa_ask_options *o, struct vlqa_experimental *x);

#endif
