/* options.h - what a question may ask for. */
#ifndef FUSION_OPTIONS_H
#define FUSION_OPTIONS_H

#include "fusion/engine/engine.h"

/* The caller's options (NULL: defaults) over the defaults, checked against the model; what parity
 * decides by itself is decided. VLQA_EUSAGE says which is wrong and what was expected. */
vlqa_status options_read(struct env *env, const struct vlqa_engine *e,
                         const struct vlqa_ask_options *from, struct vlqa_ask_options *out);

#endif
