/* score_deviation.c - rows by what hidden context changes in their values: CacheBlend and KVShare.
 */
#include "fusion/reuse/ask.h"
#include "fusion/reuse/choose.h"
#include "fusion/reuse/select.h"

#include <math.h>
#include <string.h>

/* Mean |V - V of the chunk|. */
static float row_deviation(struct ask *a, struct mat kept, struct mat now)
{
    struct vlqa_session *s = a->s;
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
static void measure(struct choice *c, int layer)
{
    struct ask *a = c->a;
    const struct layout *l = &a->layout;
    for (int p = 0; p < l->n_pieces; p++)
        for (int r = 0; r < l->piece[p].rows; r++) {
            int slot = l->piece_slot[l->piece[p].begin + r];
            struct mat kept = mat_rows(a->chunk[p]->mat[2 * layer + 1], r, 1);
            if (c->candidate[slot])
                a->score[slot] = row_deviation(a, kept, mat_rows(a->s->kv.v[layer], slot, 1));
        }
}

/* The candidates, and what is between chunks, up to and with the layer. What they leave there is
 * fresher than the chunks, and stays. */
static vlqa_status check(struct choice *c, int layer)
{
    struct ask *a = c->a;
    const struct layout *l = &a->layout;
    struct ask_pass pass = {.row = a->list, .slot = -1, .layer_end = layer + 1};
    int n = 0;
    for (int i = l->prefix_end; i < l->context_end; i++)
        if (c->candidate[i] || !l->in_piece[i]) a->list[n++] = i;
    TRY(ask_run(a, "score", n, &pass));
    measure(c, layer);
    return VLQA_OK;
}

/* Those go on that the share of the layers behind leaves. */
static void narrow(struct choice *c)
{
    struct ask *a = c->a;
    (void)select_top(a->score, c->candidate, a->layout.n, choose_budget(c, c->decided), a->list,
                     c->chosen);
    memcpy(c->candidate, c->chosen, (size_t)a->layout.n);
}

/* After two layers over all rows (layer 0 cannot differ) layer 1 tells. With taper more layers may
 * be checked, each of the rows alone that go on behind the one before. */
vlqa_status score_deviation(struct choice *c)
{
    struct ask *a = c->a;
    const uint64_t layer_1[2] = {a->s->kv.layers > 1 ? 2 : 1, 0};
    const uint64_t *set = ask_layer_end(a->o.check_layers) ? a->o.check_layers : layer_1;
    int end = ask_layer_end(set);
    for (int i = 0; i < end; i++) {
        if (!(set[i / 64] >> i % 64 & 1) || (a->o.taper <= 0 && i + 1 < end)) continue;
        if (c->decided) narrow(c);
        TRY(check(c, i));
        c->decided = i + 1;
    }
    if (a->o.taper > 0) c->budget = choose_budget(c, c->decided);
    return VLQA_OK;
}
