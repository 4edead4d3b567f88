/* repair.h - what was chosen, recomputed. */
#ifndef FUSION_REPAIR_H
#define FUSION_REPAIR_H

#include "fusion/reuse/choose.h"

/* The tokens chosen in this round, those between chunks and the question, in one pass: each sees
 * fresh KV of all of them before it. Logits of the last go to s->first_logits. */
vlqa_status repair_round(const struct view *v, int round, struct choice *c);
/* A repair in one pass has left no stale token: with all tokens that are not exact, all are. */
int repair_is_whole(const struct view *v, const struct choice *c);

#endif
