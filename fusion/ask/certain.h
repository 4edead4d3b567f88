/* certain.h - tokens of an answer that could be others over an exact prompt. */
#ifndef FUSION_CERTAIN_H
#define FUSION_CERTAIN_H

#include "fusion/ask/request.h"

/* Before a token is chosen from s->logits: where the largest of them is less than x.margin above
 * the next one, all that is stale is recomputed, the answer's tokens so far go through the decoder
 * again, and s->logits and all that follows is full prefill's. Where the answer is exact already,
 * or no margin is asked for, nothing. */
vlqa_status certain_check(struct ask *a);

#endif
