/* repair.c - one pass over chosen tokens and those of no chunk, in ascending slots. */
#include "fusion/reuse/repair.h"

vlqa_status repair_round(const struct view *v, int round, struct choice *c)
{
    const struct layout *l = v->run.layout;
    struct run_pass pass = {.slot = v->list, .depth = c->depth, .logits = v->run.s->first_logits};
    int n = 0;
    for (int i = l->prefix_end; i < l->n; i++)
        if (!l->in_segment[i] || c->selected[l->prompt_index[i]] == round) v->list[n++] = i;
    v->answer->tokens_recomputed += n;
    TRY(run_pass(&v->run, "repair", n, &pass));
    c->answered = 1;
    return VLQA_OK;
}

int repair_is_whole(const struct view *v, const struct choice *c)
{
    const struct layout *l = v->run.layout;
    int stale = 0;
    for (int i = 0; i < l->n; i++)
        stale += l->in_segment[i] && !l->exact[i] &&
                 (c->selected[l->prompt_index[i]] != 1 || c->depth[i] < v->run.s->kv.layers);
    return !stale && v->x->order == VLQA_ORDER_RASTER;
}
