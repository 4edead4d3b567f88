/* score_deviation.h - tokens by what hidden context changes in their values: CacheBlend and
 * KVShare.
 */
#ifndef FUSION_SCORE_DEVIATION_H
#define FUSION_SCORE_DEVIATION_H

#include "fusion/reuse/scorer.h"

/* What this leaves in the KV of candidates is fresher than the chunks, and stays. With taper it
 * drops candidates and lowers the budget. */
vlqa_status score_deviation(struct scorer *c);
/* What that takes of the scratch for so many tokens at a time, counted into the peaks of an empty
 * workspace. */
void score_deviation_measure(const struct vlqa_engine *e, int rows, struct workspace *dry);

#endif
