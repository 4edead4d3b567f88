/* score_oracle.c - a full prefill, and how far the chunks are from it where it looks. */
#include "fusion/reuse/score_oracle.h"

#include "fusion/reuse/chunk.h"
#include "fusion/reuse/query.h"

#include <math.h>
#include <string.h>

/* Where K of layer l stands among SCORER_KEPT_ROWS tokens of every layer, and V behind it. */
static int kept_row(int l, int is_v)
{
    return (2 * l + is_v) * SCORER_KEPT_ROWS;
}

/* K and V of slots in all layers, on their way to the host. */
static void keep(struct vlqa_session *s, struct ints slot, struct mirror to)
{
    const struct kv *kv = &s->kv;
    struct mat like = kv->k[0], all = mat_of(to.at, like.dtype, kept_row(kv->layers, 0), like.cols);
    for (int l = 0; l < kv->layers; l++) {
        k_gather(s->queue, mat_rows(all, kept_row(l, 0), slot.n), kv->k[l], slot);
        k_gather(s->queue, mat_rows(all, kept_row(l, 1), slot.n), kv->v[l], slot);
    }
    mirror_fetch(s->queue, to);
}

/* Tokens [begin, begin + n) of a segment: full prefill's, then, placed, the chunk's. */
static vlqa_status keep_both(const struct scorer *c, int segment, int begin, int n,
                             const int32_t *slot)
{
    struct vlqa_session *s = c->view.run.s;
    struct workspace_used mark = workspace_mark(&s->scratch);
    struct header header = header_push(s->engine->device, &s->scratch, (size_t)n * sizeof *slot);
    int32_t *from;
    struct ints index = header_ints(&header, n, &from);
    vlqa_status status;
    memcpy(from, slot, (size_t)n * sizeof *from);
    header_send(s->queue, &header);
    keep(s, index, c->kept[0]);
    chunk_place_part(&c->view, segment, begin, n);
    keep(s, index, c->kept[1]);
    status = queue_sync(s->queue);
    workspace_rewind(&s->scratch, mark);
    return status;
}

static double distance2(struct host_mat a, struct host_mat b, int row)
{
    double sum = 0;
    for (int col = 0; col < a.cols; col++) {
        double d = (double)host_mat_get(a, row, col) - (double)host_mat_get(b, row, col);
        sum += d * d;
    }
    return sum;
}

/* Some tokens of a segment: how far they are off, weighed by the attention they get. */
static vlqa_status weigh(const struct scorer *c, int segment, int begin, int n)
{
    const struct layout *layout = c->view.run.layout;
    const struct vlqa_session *s = c->view.run.s;
    const int32_t *slot = layout->segment_slot + layout->segment[segment].begin + begin;
    const float *by_layer = c->by_layer.host;
    int rows = kept_row(s->kv.layers, 0), cols = s->kv.k[0].cols;
    struct host_mat full = host_mat_of(c->kept[0].host, s->kv.k[0].dtype, rows, cols);
    struct host_mat chunk = host_mat_of(c->kept[1].host, s->kv.k[0].dtype, rows, cols);
    TRY(keep_both(c, segment, begin, n, slot));
    for (int l = 0; l < s->kv.layers; l++)
        for (int i = 0; i < n; i++) {
            double off = distance2(chunk, full, kept_row(l, 0) + i) +
                         distance2(chunk, full, kept_row(l, 1) + i);
            float attention = by_layer[(size_t)l * (size_t)s->max_seq_len + (size_t)slot[i]];
            c->score[layout->prompt_index[slot[i]]] += attention * (float)sqrt(off);
        }
    return VLQA_OK;
}

/* Heads and query tokens are summed, whatever the score. */
vlqa_status score_oracle(struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    struct vlqa_session *s = c->view.run.s;
    struct probe probe = {.n = 1, .count = {{.sum = scorer_sum(c, c->by_layer, s->kv.layers)}}};
    struct run_pass pass = {.begin = l->prefix_end, .probe = &probe};
    int n = l->n - l->prefix_end;
    (void)query_probe(c, n, &probe);
    TRY(run_pass(&c->view.run, "score", n, &pass));
    mirror_fetch(s->queue, c->by_layer);
    TRY(queue_sync(s->queue));
    for (int p = 0; p < l->n_segments; p++)
        for (int begin = 0; begin < l->segment[p].tokens; begin += SCORER_KEPT_ROWS) {
            int left = l->segment[p].tokens - begin;
            TRY(weigh(c, p, begin, left < SCORER_KEPT_ROWS ? left : SCORER_KEPT_ROWS));
        }
    return VLQA_OK;
}
