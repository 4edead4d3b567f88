/* refresh.c - the last token's attention over all layers and heads, times what was scored before.
 */
#include "fusion/reuse/refresh.h"

#include "fusion/reuse/scorer.h"

#include <string.h>

/* Nothing is stale where nothing was scored. */
int refresh_is_due(const struct view *v, const struct choice *c, int n_tokens)
{
    const struct vlqa_experimental *x = v->x;
    return x->variant == VLQA_VARIANT_KVSHARE && c->score && x->refresh_tokens > 0 &&
           n_tokens % x->refresh_every == 0;
}

/* The chosen tokens in all layers, each seeing what is before it as it is now. */
static vlqa_status repair(const struct view *v, const uint8_t *chosen)
{
    const struct layout *l = v->run.layout;
    struct run_pass pass = {.slot = v->list};
    int n = 0;
    for (int i = 0; i < l->n; i++)
        if (chosen[l->prompt_index[i]]) v->list[n++] = i;
    v->answer->tokens_recomputed += n;
    return run_pass(&v->run, "repair", n, &pass);
}

/* Tokens of the highest attention x score, into chosen. Returns how many. */
static int choose(const struct view *v, const struct scorer *c, const float *attention,
                  const float *score)
{
    const struct layout *l = v->run.layout;
    float *weight = c->part[1].host;
    for (int row = 0; row < l->n; row++)
        weight[row] = attention[l->slot[row]] * score[row];
    return select_top(weight, c->candidate, l->slot, l->n, v->x->refresh_tokens, v->list,
                      c->chosen);
}

vlqa_status refresh_decode(const struct view *v, struct choice *choice, int n_tokens, int32_t id,
                           int32_t slot, int32_t position)
{
    struct vlqa_session *s = v->run.s;
    struct workspace_used mark = workspace_mark(&s->request);
    struct scorer c = scorer_begin(v, choice->score, choice->selected);
    struct probe probe = {
        .layer = c.layer, .n_query = 1, .n = 1, .count = {{.sum = scorer_sum(&c, c.part[0], 1)}}};
    int round = 1 + n_tokens / v->x->refresh_every;
    memset(c.layer, 1, (size_t)s->kv.layers);
    run_token(&v->run, id, slot, position, &probe);
    TRY(scorer_take(&c, 1));
    choice->n_selected += choose(v, &c, c.part[0].host, choice->score);
    for (int row = 0; row < v->run.layout->n; row++)
        if (c.chosen[row]) choice->selected[row] = (uint8_t)(round < 255 ? round : 255);
    TRY(repair(v, c.chosen));
    workspace_rewind(&s->request, mark);
    return VLQA_OK;
}
