/* score_oracle.h - tokens by what full prefill knows of them: a bound for studies, no way to save.
 */
#ifndef FUSION_SCORE_ORACLE_H
#define FUSION_SCORE_ORACLE_H

#include "fusion/reuse/scorer.h"

/* The chunks are in place afterwards. */
vlqa_status score_oracle(struct scorer *c);

#endif
