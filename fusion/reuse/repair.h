/* repair.h - what was chosen, computed again. */
#ifndef FUSION_REPAIR_H
#define FUSION_REPAIR_H

#include "fusion/reuse/choose.h"

/* The rows chosen in this round, those between chunks and the question, in one pass: each sees
 * fresh KV of all of them before it. Logits of the last go to s->first_logits. */
vlqa_status repair_round(const struct view *v, int round, struct choice *c);
/* A repair in one pass has left no stale row: with all rows that are not exact, all are. */
int repair_is_whole(const struct view *v, const struct choice *c);

#endif
