/* score_oracle.c - a full prefill, and how far the chunks are from it where it looks. */
#include "fusion/reuse/score_oracle.h"

#include "fusion/reuse/chunk.h"
#include "fusion/reuse/query.h"

#include <math.h>
#include <string.h>

/* Row `index` of layer `layer` of what is kept: K, or V behind it. */
static struct mat kept_row(const struct scorer *c, int layer, int index, int is_v)
{
    struct mat like = c->view.run.s->kv.k[0];
    int row = (2 * layer + is_v) * SCORER_KEPT_ROWS + index;
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
static void weigh(const struct scorer *c, int piece, int begin, int n)
{
    const struct layout *layout = c->view.run.layout;
    const struct kv *kv = &c->view.run.s->kv;
    const int32_t *slot = layout->piece_slot + layout->piece[piece].begin + begin;
    size_t bytes = mat_bytes(kv->k[0].dtype, 1, kv->k[0].cols);
    size_t slots = (size_t)c->view.run.s->max_rows;
    for (int l = 0; l < kv->layers; l++)
        for (int i = 0; i < n; i++) {
            memcpy(kept_row(c, l, i, 0).data, mat_at(kv->k[l], slot[i], 0), bytes);
            memcpy(kept_row(c, l, i, 1).data, mat_at(kv->v[l], slot[i], 0), bytes);
        }
    chunk_place_rows(&c->view, piece, begin, n);
    for (int l = 0; l < kv->layers; l++)
        for (int i = 0; i < n; i++) {
            double off = distance2(kv->k[l], slot[i], kept_row(c, l, i, 0)) +
                         distance2(kv->v[l], slot[i], kept_row(c, l, i, 1));
            float attention = c->by_layer[(size_t)l * slots + (size_t)slot[i]];
            c->score[layout->row[slot[i]]] += attention * (float)sqrt(off);
        }
}

/* Heads and asking rows are summed, whatever the score. */
vlqa_status score_oracle(struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    struct vlqa_session *s = c->view.run.s;
    size_t slots = (size_t)s->max_rows;
    struct tap tap = {.n = 1, .count = {{.slot = c->by_layer, .layer_step = slots}}};
    struct run_pass pass = {.begin = l->prefix_end, .tap = &tap};
    int n = l->n - l->prefix_end;
    memset(c->by_layer, 0, (size_t)s->kv.layers * slots * sizeof *c->by_layer);
    (void)query_tap(c, n, &tap);
    TRY(run_pass(&c->view.run, "score", n, &pass));
    for (int p = 0; p < l->n_pieces; p++)
        for (int begin = 0; begin < l->piece[p].rows; begin += SCORER_KEPT_ROWS) {
            int left = l->piece[p].rows - begin;
            weigh(c, p, begin, left < SCORER_KEPT_ROWS ? left : SCORER_KEPT_ROWS);
        }
    return s->be->op->sync(s->be);
}
