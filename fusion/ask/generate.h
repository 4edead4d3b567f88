/* generate.h - the tokens of the answer. */
#ifndef FUSION_GENERATE_H
#define FUSION_GENERATE_H

#include "fusion/ask/request.h"

/* From s->logits, until the model, the caller or a limit ends it. With KVShare tokens are repaired
 * on the way. */
vlqa_status generate(struct ask *a);

#endif
