/* score_deviation.c - the first layers over all candidates, their values against the chunks'. */
#include "fusion/reuse/score_deviation.h"

#include "fusion/reuse/layer_set.h"
#include "kernels/comm.h"

#include <math.h>
#include <string.h>

struct comparison {                          /* of n tokens of a chunk, in one layer */
    struct header header;                    /* [n] their slots */
    struct mirror now_memory, before_memory; /* V as it is, and of the chunk, dequantised */
    struct host_mat now, before;             /* the same on the host */
    void *room;                              /* for a quantised chunk on its way to the device */
};

static struct comparison comparison_layout(const struct vlqa_engine *e, int n, struct workspace *ws)
{
    const struct decoder_config *c = &e->decoder.config;
    int cols = c->kv_heads * c->head_dim;
    struct comparison m = {.header = header_push(e->device, ws, (size_t)n * sizeof(int32_t))};
    m.now_memory = mirror_push(e->device, ws, mat_bytes(c->kv, n, cols));
    m.now = host_mat_of(m.now_memory.host, c->kv, n, cols);
    m.before_memory = mirror_push(e->device, ws, mat_bytes(DT_F32, n, cols));
    m.before = host_mat_of(m.before_memory.host, DT_F32, n, cols);
    m.room = arena_push(&ws->device, mat_bytes(e->chunk, n, engine_chunk_cols(e)));
    return m;
}

void score_deviation_measure(const struct vlqa_engine *e, int rows, struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    (void)comparison_layout(e, rows, dry);
    workspace_rewind(dry, mark);
}

/* Mean |V - V of the chunk|. */
static float deviation(struct host_mat now, struct host_mat before, int row)
{
    double sum = 0;
    for (int col = 0; col < now.cols; col++)
        sum += fabs((double)host_mat_get(now, row, col) - (double)host_mat_get(before, row, col));
    return (float)(sum / now.cols);
}

/* Tokens [begin, begin + n) of a segment, those that are still candidates. */
static vlqa_status measure_rows(const struct scorer *c, int layer, int segment, int begin, int n)
{
    const struct layout *l = c->view.run.layout;
    struct vlqa_session *s = c->view.run.s;
    const int32_t *slot = l->segment_slot + l->segment[segment].begin + begin;
    struct host_mat kept = host_mat_rows(c->view.chunk[segment]->mat[2 * layer + 1], begin, n);
    struct workspace_used mark = workspace_mark(&s->scratch);
    struct comparison m = comparison_layout(s->engine, n, &s->scratch);
    int cols = m.now.cols;
    int32_t *from;
    struct ints index = header_ints(&m.header, n, &from);
    vlqa_status status;
    memcpy(from, slot, (size_t)n * sizeof *from);
    header_send(s->queue, &m.header);
    k_gather(s->queue, mat_of(m.now_memory.at, m.now.dtype, n, cols), s->kv.v[layer], index);
    mirror_fetch(s->queue, m.now_memory);
    if (dtype_is_quantised(kept.dtype)) {
        struct mat before = mat_of(m.before_memory.at, DT_F32, n, cols);
        (void)kv_read(s->queue, kept, s->engine->decoder.config.kv_heads, m.room, before);
        mirror_fetch(s->queue, m.before_memory);
        kept = m.before;
    }
    status = queue_sync(s->queue);
    for (int i = 0; i < n && status == VLQA_OK; i++)
        if (c->candidate[l->prompt_index[slot[i]]])
            c->score[l->prompt_index[slot[i]]] = deviation(m.now, kept, i);
    workspace_rewind(&s->scratch, mark);
    return status;
}

/* The rank that has the chunk tells the others. */
static vlqa_status give_scores(const struct scorer *c, int giver, const int32_t *slot, int n)
{
    struct vlqa_session *s = c->view.run.s;
    const int32_t *at = c->view.run.layout->prompt_index;
    float score[SESSION_PASS_TOKENS];
    size_t part[VLQA_RANKS_MOST + 1];
    for (int i = 0; i < n; i++)
        score[i] = c->score[at[slot[i]]];
    for (int r = 0; r <= comm_n(s->queue); r++)
        part[r] = r > giver ? (size_t)n * sizeof *score : 0;
    comm_gather_host(s->queue->ranks, COMM_SCORES, score, part);
    for (int i = 0; i < n; i++)
        c->score[at[slot[i]]] = score[i];
    return comm_status(s->queue->ranks, &s->env);
}

static vlqa_status measure_part(const struct scorer *c, int layer, int segment, int begin, int n)
{
    const struct layout *l = c->view.run.layout;
    int giver = c->view.giver ? c->view.giver[segment] : -1;
    if (c->view.chunk[segment]) TRY(measure_rows(c, layer, segment, begin, n));
    if (giver < 0) return VLQA_OK;
    return give_scores(c, giver, l->segment_slot + l->segment[segment].begin + begin, n);
}

static vlqa_status measure(const struct scorer *c, int layer)
{
    const struct layout *l = c->view.run.layout;
    for (int p = 0; p < l->n_segments; p++)
        for (int begin = 0; begin < l->segment[p].tokens; begin += SESSION_PASS_TOKENS) {
            int left = l->segment[p].tokens - begin;
            TRY(measure_part(c, layer, p, begin,
                             left < SESSION_PASS_TOKENS ? left : SESSION_PASS_TOKENS));
        }
    return VLQA_OK;
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
        if (c->candidate[l->prompt_index[i]] || !l->in_segment[i]) list[n++] = i;
    TRY(run_pass(&c->view.run, "score", n, &pass));
    return measure(c, layer);
}

/* Those go on that the share of the layers behind leaves. */
static void narrow(const struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    (void)select_top(c->score, c->candidate, l->slot, l->n, scorer_budget(c, c->decided),
                     c->view.list, c->chosen);
    memcpy(c->candidate, c->chosen, (size_t)l->n);
}

/* After two layers over all tokens (layer 0 cannot differ) layer 1 tells. With taper more layers
 * may be checked, each of the tokens alone that go on behind the one before. */
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
