/* budget.c - a share of the candidates, the context or the prompt; doubled with each round, or
 * falling from layer to layer. */
#include "fusion/reuse/budget.h"

#include "fusion/reuse/select.h"

#include <math.h>

/* Taper: the same on the average over layers, but more of it in early ones. */
static float ratio_at(const struct vlqa_ask_options *o, const struct vlqa_experimental *x,
                      int layers, int layer)
{
    float r = o->recompute_ratio, most = r < 1 - r ? r : 1 - r;
    int last = layers - 1;
    if (last == 0) return r;
    return r + x->taper * most * (1 - 2 * (float)layer / (float)last);
}

int budget_of(const struct vlqa_ask_options *o, const struct vlqa_experimental *x,
              const struct layout *l, int layers, int n_candidates, int round, int layer)
{
    int base = x->budget_base == VLQA_BASE_ALL       ? l->n
               : x->budget_base == VLQA_BASE_CONTEXT ? l->context_end - l->prefix_end
                                                     : n_candidates;
    int all = select_budget(ratio_at(o, x, layers, layer), base);
    if (all > n_candidates) all = n_candidates;
    if (x->variant == VLQA_VARIANT_NONE) return 0;
    if (x->variant == VLQA_VARIANT_FULL) return n_candidates;
    if (o->adaptive > 0) return select_budget(ldexpf(o->recompute_ratio, round - 1), base);
    return all;
}
