/* score_oracle.c - rows by what full prefill knows of them: a bound for studies, no way to save. */
#include "fusion/reuse/ask.h"
#include "fusion/reuse/choose.h"

#include <math.h>
#include <string.h>

/* Row `index` of layer `layer` of what is kept: K, or V behind it. */
static struct mat kept_row(const struct choice *c, int layer, int index, int is_v)
{
    struct mat like = c->a->s->kv.k[0];
    int row = (2 * layer + is_v) * CHOICE_KEPT_ROWS + index;
    struct mat all = mat_of(c->kept, like.dtype, (row + 1), like.cols);
    return mat_rows(all, row, 1);
}

static double distance2(struct mat a, int row, struct mat b)
{
    double sum = 0;
    for (int col = 0; col < a.cols; col++) {
        double d = (double)mat_get(a, row, col) - (double)mat_get(b, 0, col);
        sum += d * d;
    }
    return sum;
}

/* Some rows of a piece: what full prefill left in their slots makes place for the chunk's, and the
 * difference is weighed. */
static void weigh(struct choice *c, int piece, int begin, int n)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct kv *kv = &s->kv;
    const int32_t *slot = a->layout.piece_slot + a->layout.piece[piece].begin + begin;
    size_t bytes = mat_bytes(kv->k[0].dtype, 1, kv->k[0].cols);
    for (int l = 0; l < kv->layers; l++)
        for (int i = 0; i < n; i++) {
            memcpy(kept_row(c, l, i, 0).data, mat_at(kv->k[l], slot[i], 0), bytes);
            memcpy(kept_row(c, l, i, 1).data, mat_at(kv->v[l], slot[i], 0), bytes);
        }
    chunk_place_rows(a, piece, begin, n);
    for (int l = 0; l < kv->layers; l++)
        for (int i = 0; i < n; i++) {
            double off = distance2(kv->k[l], slot[i], kept_row(c, l, i, 0)) +
                         distance2(kv->v[l], slot[i], kept_row(c, l, i, 1));
            float attention = c->by_layer[(size_t)l * (size_t)s->max_rows + (size_t)slot[i]];
            a->score[slot[i]] += attention * (float)sqrt(off);
        }
}

/* Heads and asking rows are summed, whatever the score. */
vlqa_status score_oracle(struct choice *c)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    size_t slots = (size_t)s->max_rows;
    struct tap tap = {.n = 1, .count = {{.slot = c->by_layer, .layer_step = slots}}};
    struct ask_pass pass = {.row = l->slot + l->prefix_end, .slot = -1, .tap = &tap};
    int n = l->n - l->prefix_end;
    memset(c->by_layer, 0, (size_t)s->kv.layers * slots * sizeof *c->by_layer);
    (void)score_asking(c, n, &tap);
    TRY(ask_run(a, "score", n, &pass));
    for (int p = 0; p < l->n_pieces; p++)
        for (int begin = 0; begin < l->piece[p].rows; begin += CHOICE_KEPT_ROWS) {
            int left = l->piece[p].rows - begin;
            weigh(c, p, begin, left < CHOICE_KEPT_ROWS ? left : CHOICE_KEPT_ROWS);
        }
    return s->be->op->sync(s->be);
}
