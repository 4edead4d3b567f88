/* budget.h - how many context tokens are recomputed. */
#ifndef FUSION_BUDGET_H
#define FUSION_BUDGET_H

#include "fusion/layout/layout.h"

/* Of n_candidates, in a layer of `layers`, after so many rounds: 1, 2, ... */
int budget_of(const struct vlqa_ask_options *o, const struct vlqa_experimental *x,
              const struct layout *l, int layers, int n_candidates, int round, int layer);

#endif
