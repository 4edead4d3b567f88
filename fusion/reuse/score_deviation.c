/* score_deviation.c - the first layers over all candidates, their values against the chunks'. */
#include "fusion/reuse/score_deviation.h"

#include "fusion/reuse/layer_set.h"

#include <math.h>
#include <string.h>

/* Mean |V - V of the chunk|. */
static float row_deviation(struct vlqa_session *s, struct mat kept, struct mat now)
{
    size_t mark = arena_mark(&s->scratch);
    struct mat room =
        mat_of(arena_push(&s->scratch, mat_bytes(DT_F32, 1, now.cols)), DT_F32, 1, now.cols);
    struct mat before = kv_read(s->be, kept, s->engine->decoder.config.kv_heads, room);
    double sum = 0;
    for (int col = 0; col < now.cols; col++)
        sum += fabs((double)mat_get(now, 0, col) - (double)mat_get(before, 0, col));
    arena_rewind(&s->scratch, mark);
    return (float)(sum / now.cols);
}

/* Of the rows that are still candidates. */
static void measure(const struct scorer *c, int layer)
{
    const struct layout *l = c->view.run.layout;
    struct vlqa_session *s = c->view.run.s;
    for (int p = 0; p < l->n_pieces; p++)
        for (int r = 0; r < l->piece[p].rows; r++) {
            int slot = l->piece_slot[l->piece[p].begin + r], row = l->row[slot];
            struct mat kept = mat_rows(c->view.chunk[p]->mat[2 * layer + 1], r, 1);
            if (c->candidate[row])
                c->score[row] = row_deviation(s, kept, mat_rows(s->kv.v[layer], slot, 1));
        }
}

/* The candidates, and what is between chunks, up to and with the layer. What they leave there is
 * fresher than the chunks, and stays. */
static vlqa_status check(const struct scorer *c, int layer)
{
    const struct layout *l = c->view.run.layout;
    int32_t *list = c->view.list;
    struct run_pass pass = {.slot = list, .layer_end = layer + 1};
    int n = 0;
    for (int i = l->prefix_end; i < l->context_end; i++)
        if (c->candidate[l->row[i]] || !l->in_piece[i]) list[n++] = i;
    TRY(run_pass(&c->view.run, "score", n, &pass));
    measure(c, layer);
    return VLQA_OK;
}

/* Those go on that the share of the layers behind leaves. */
static void narrow(const struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    (void)select_top(c->score, c->candidate, l->slot, l->n, scorer_budget(c, c->decided),
                     c->view.list, c->chosen);
    memcpy(c->candidate, c->chosen, (size_t)l->n);
}

/* After two layers over all rows (layer 0 cannot differ) layer 1 tells. With taper more layers may
 * be checked, each of the rows alone that go on behind the one before. */
vlqa_status score_deviation(struct scorer *c)
{
    const struct vlqa_experimental *x = c->view.x;
    const uint64_t layer_1[2] = {c->view.run.s->kv.layers > 1 ? 2 : 1, 0};
    const uint64_t *set = layer_set_end(x->check_layers) ? x->check_layers : layer_1;
    int end = layer_set_end(set);
    for (int i = 0; i < end; i++) {
        if (!layer_set_has(set, i) || (x->taper <= 0 && i + 1 < end)) continue;
        if (c->decided) narrow(c);
        TRY(check(c, i));
        c->decided = i + 1;
    }
    if (x->taper > 0) c->budget = scorer_budget(c, c->decided);
    return VLQA_OK;
}
