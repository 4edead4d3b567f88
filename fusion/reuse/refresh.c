/* refresh.c - rows that are repaired while the answer is made: the second stage of KVShare. */
#include "fusion/reuse/ask.h"
#include "fusion/reuse/choose.h"
#include "fusion/reuse/select.h"

#include <string.h>

/* Nothing is stale where nothing was scored. */
static int is_due(const struct ask *a)
{
    return a->o.reuse == VLQA_REUSE_KVSHARE && a->score && a->o.refresh_rows > 0 &&
           a->n_tokens % a->o.refresh_every == 0;
}

/* The chosen rows in all layers, each seeing what is before it as it is now. */
static vlqa_status repair(struct ask *a, const struct choice *c)
{
    struct ask_pass pass = {.row = a->list, .slot = -1};
    int n = 0;
    for (int i = 0; i < a->layout.n; i++)
        if (c->chosen[i]) a->list[n++] = i;
    a->n_recomputed += n;
    return ask_run(a, "repair", n, &pass);
}

static vlqa_status decode_and_refresh(struct ask *a, int32_t id)
{
    struct vlqa_session *s = a->s;
    struct choice c = choose_begin(a);
    float *weight = c.part[0];
    struct tap tap = {.layer = c.layer, .rows = 1, .n = 1, .count = {{.slot = weight}}};
    int look = 1 + a->n_tokens / a->o.refresh_every;
    memset(c.layer, 1, (size_t)s->kv.layers);
    memset(weight, 0, (size_t)s->max_rows * sizeof *weight);
    ask_decode_row(a, id, &tap);
    TRY(s->be->op->sync(s->be));
    for (int i = 0; i < a->layout.n; i++)
        weight[i] *= a->score[i];
    a->n_selected +=
        select_top(weight, c.candidate, a->layout.n, a->o.refresh_rows, a->list, c.chosen);
    for (int i = 0; i < a->layout.n; i++)
        if (c.chosen[i]) a->selected[i] = (uint8_t)(look < 255 ? look : 255);
    return repair(a, &c);
}

vlqa_status ask_decode(struct ask *a, int32_t id)
{
    struct vlqa_session *s = a->s;
    size_t mark = arena_mark(&s->request);
    if (is_due(a))
        TRY(decode_and_refresh(a, id));
    else
        ask_decode_row(a, id, NULL);
    arena_rewind(&s->request, mark);
    return s->be->op->sync(s->be);
}
