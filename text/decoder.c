/* decoder.c - the one loop over decoder layers: every pass of the program goes through it. */
#include "text/decoder.h"

#include "text/seen.h"

#include <math.h>
#include <string.h>

#define INFO_TOKENS 16 /* whose logits are there together */

struct work { /* of one pass over n tokens; compute: f32 or bf16 */
    int n;
    struct header header;
    struct ints token, visual_row, slot, pos, capture_row; /* [n], pos: 3 each */
    struct spans span, query_span;
    struct seen seen; /* where the KV was compressed */
    int first_query;  /* of the tokens that are still in the pass */
    int capture_first, n_captured;
    struct mat x;         /* [n, hidden] f32: the residual stream */
    struct mat norm;      /* [n, hidden] compute */
    struct mat q;         /* [n, heads * head_dim] f32 */
    struct mat key;       /* [n, kv_heads * head_dim] f32: before the norm */
    struct mat raw, v;    /* [n, kv_heads * head_dim] kv: K without a place, V */
    struct mat quantized; /* [n, row_int8_cols], the widest: raw or v */
    struct mat mixed;     /* [n, heads * head_dim] compute: what attention read */
    struct mat delta;     /* [n, hidden] f32: what a half layer adds */
    struct mat gate_up;   /* [n, 2 * inner] f32 */
    struct mat inner;     /* [n, inner] compute */
    struct mat cos_sin;   /* [n, head_dim] f32 */
    struct mat final;     /* [1, hidden] f32: the last token, where another rank has it */
    struct mat last;      /* [1, hidden] compute */
    struct mat logits;    /* [1, vocab] f32 */
    /* What InfoKV asks for. */
    struct mat before;      /* [n, hidden] f32: x in front of a layer */
    struct mat measure;     /* [n, 1] f32 */
    struct mat likely;      /* [INFO_TOKENS, vocab] f32 */
    struct sharing sharing; /* where ranks share the tokens */
    /* Outputs that this rank computes: all, but where ranks divide each product. */
    struct decoder_parts part;
    struct ints each; /* [n] 0, 1, 2, ..., where columns are exchanged */
    void *columns;    /* room for them */
    void *captured;   /* room for K or V of a layer on their way to the capture */
    void *attn_work, *score_work;
};

static size_t header_bytes(const struct decoder_config *c, const struct pass_size *s)
{
    size_t n = (size_t)s->n, n_all = s->ranks > 1 ? n * (size_t)s->ranks : 0;
    return n * (4 * sizeof(int32_t) + sizeof(struct pos) + sizeof(struct span)) +
           (n + n_all) * sizeof(int32_t) + (size_t)s->n_query * sizeof(struct span) +
           (s->kept ? seen_bytes(c->layers, c->kv_heads, s->n) : 0);
}

/* Of the widest matrix whose columns are exchanged. */
static size_t columns_bytes(const struct decoder_config *c, int n)
{
    size_t q = mat_bytes(DT_F32, n, c->heads * c->head_dim);
    size_t x = mat_bytes(DT_F32, n, c->hidden), inner = mat_bytes(c->compute, n, c->inner);
    size_t wide = q > x ? q : x;
    return wide > inner ? wide : inner;
}

static void work_layout(const struct device *d, const struct decoder_config *c,
                        const struct pass_size *size, struct workspace *ws, struct work *w)
{
    int n = size->n, q_dim = c->heads * c->head_dim, kv_dim = c->kv_heads * c->head_dim;
    w->n = n;
    w->header = header_push(d, ws, header_bytes(c, size));
    w->x = workspace_mat(ws, DT_F32, n, c->hidden);
    w->norm = workspace_mat(ws, c->compute, n, c->hidden);
    w->q = workspace_mat(ws, DT_F32, n, q_dim);
    w->key = workspace_mat(ws, DT_F32, n, kv_dim);
    w->raw = workspace_mat(ws, c->kv, n, kv_dim);
    w->v = workspace_mat(ws, c->kv, n, kv_dim);
    w->quantized = workspace_mat(ws, DT_ROW_INT8, n, row_int8_cols(kv_dim, c->kv_heads));
    w->mixed = workspace_mat(ws, c->compute, n, q_dim);
    w->delta = workspace_mat(ws, DT_F32, n, c->hidden);
    w->gate_up = workspace_mat(ws, DT_F32, n, 2 * c->inner);
    w->inner = workspace_mat(ws, c->compute, n, c->inner);
    w->cos_sin = workspace_mat(ws, DT_F32, n, c->head_dim);
    if (size->ranks > 1) w->columns = arena_push(&ws->device, columns_bytes(c, n));
    if (size->info) {
        w->before = workspace_mat(ws, DT_F32, n, c->hidden);
        w->measure = workspace_mat(ws, DT_F32, n, 1);
        w->likely = workspace_mat(ws, DT_F32, INFO_TOKENS, c->vocab);
    }
    w->final = workspace_mat(ws, DT_F32, 1, c->hidden);
    w->last = workspace_mat(ws, c->compute, 1, c->hidden);
    w->logits = workspace_mat(ws, DT_F32, 1, c->vocab);
    if (!device_shares_host(d)) w->captured = arena_push(&ws->device, mat_bytes(DT_F32, n, kv_dim));
    w->attn_work = arena_push(
        &ws->device, k_attention_work(d, n, c->heads, c->kv_heads, c->head_dim, size->slots));
    if (size->n_query)
        w->score_work =
            arena_push(&ws->device, k_score_work(d, size->n_query, c->heads, size->slots));
}

void decoder_measure(const struct device *d, const struct decoder_config *c,
                     const struct pass_size *size, struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    struct work w;
    work_layout(d, c, size, dry, &w);
    (void)order_push(size->n, dry);
    if (size->ranks > 1)
        sharing_measure(size->ranks, size->n * size->ranks, c->kv, c->kv_heads * c->head_dim, dry);
    workspace_rewind(dry, mark);
}

double decoder_flops(const struct decoder_config *c, const struct tokens *tokens, int layer_end)
{
    double q_dim = (double)c->heads * c->head_dim, kv_dim = (double)c->kv_heads * c->head_dim;
    double write = 4 * c->hidden * kv_dim; /* K and V */
    double rest = 4 * c->hidden * q_dim + 6.0 * c->hidden * c->inner, sum = 0;
    int end = layer_end ? layer_end : c->layers;
    for (int i = 0; i < tokens->n; i++) {
        const struct span *s = &tokens->span[i];
        double sees = s->head_end + (double)(s->tail_end - s->tail_begin);
        int whole = tokens->depth && tokens->depth[i] < end ? tokens->depth[i] : end;
        sum += whole * (write + rest + 4 * q_dim * sees) + (whole < end ? write : 0);
    }
    return sum;
}

/* A pass that is not divided divides the logits all the same, whenever all ranks make them. */
static void divide(const struct queue *q, const struct decoder_config *c, const struct pass *pass,
                   struct work *w)
{
    int n = q->trace || pass->capture ? 1 : comm_n(q), ranks = c->ranks;
    if (ranks <= 1) ranks = pass->divided && decoder_divides(c) ? n : 1;
    w->part = decoder_parts(c, ranks, ranks > 1 ? comm_rank(q) : 0);
    if (c->ranks <= 1) w->part.vocab = decoder_parts(c, n, n > 1 ? comm_rank(q) : 0).vocab;
    assert(ranks == 1 || !q->trace);
}

/* ---- the arrays of a pass, for the device ---- */

/* Captured tokens follow each other in the capture, whatever their order here. */
static void pack_captured(const struct tokens *tokens, int layers, const struct order *o,
                          struct work *w)
{
    int32_t *to, first = INT32_MAX, last = -1;
    (void)layers; /* without asserts */
    for (int i = 0; i < tokens->n; i++) {
        int32_t at = tokens->capture_row[i];
        if (at < 0) continue;
        assert(order_depth(tokens->depth, i, layers) >= layers - 1);
        first = at < first ? at : first;
        last = at > last ? at : last;
        w->n_captured++;
    }
    assert(!w->n_captured || last - first + 1 == w->n_captured);
    w->capture_first = first;
    w->capture_row = header_ints(&w->header, tokens->n, &to);
    for (int i = 0; i < tokens->n; i++) {
        int32_t at = tokens->capture_row[o->from[i]];
        to[i] = at < 0 ? -1 : at - first;
    }
}

static void pack_probe(const struct probe *probe, const struct order *o, struct work *w)
{
    struct span *span;
    while (o->from[w->first_query] != probe->first)
        w->first_query++;
    assert(o->from[w->first_query + probe->n_query - 1] == probe->first + probe->n_query - 1);
    if (!probe->span) return;
    w->query_span = header_spans(&w->header, probe->n_query, &span);
    memcpy(span, probe->span, (size_t)probe->n_query * sizeof *span);
}

static void pack(struct queue *q, const struct decoder_config *c, const struct pass *pass,
                 int layers, const struct order *o, struct workspace *ws, struct work *w)
{
    const struct tokens *tokens = &pass->tokens;
    int32_t *token, *visual_row, *slot, *pos, *each;
    struct span *span;
    w->each = header_ints(&w->header, tokens->n, &each);
    w->token = header_ints(&w->header, tokens->n, &token);
    w->visual_row = header_ints(&w->header, tokens->n, &visual_row);
    w->slot = header_ints(&w->header, tokens->n, &slot);
    w->pos = header_ints(&w->header, 3 * tokens->n, &pos);
    w->span = header_spans(&w->header, tokens->n, &span);
    for (int i = 0; i < tokens->n; i++) {
        int32_t from = o->from[i];
        each[i] = i;
        token[i] = tokens->token[from];
        visual_row[i] = tokens->visual_row[from];
        slot[i] = tokens->slot[from];
        memcpy(pos + 3 * i, &tokens->pos[from], sizeof tokens->pos[from]);
        span[i] = tokens->span[from];
    }
    if (pass->capture) pack_captured(tokens, layers, o, w);
    if (pass->probe) pack_probe(pass->probe, o, w);
    if (pass->shares) sharing_pack(&w->sharing, pass->shares, layers, &w->header, ws);
    if (pass->kept)
        seen_pack(&w->seen, pass->kept, c->layers, c->kv_heads, span, tokens->n, &w->header);
    header_send(q, &w->header);
}

/* ---- a layer, in the order of computation ---- */

static void embed(struct queue *q, const struct decoder *m, const struct tokens *tokens,
                  const struct work *w)
{
    k_embed(q, w->x, m->embed, w->token);
    if (tokens->visual.rows) k_gather(q, w->x, tokens->visual, w->visual_row);
}

/* What the query tokens attend to in this layer, added to what they did before: heads together, or
 * each KV head into a sum of its own. */
static void count_attention(struct queue *q, const struct pass *pass, int layer,
                            const struct attn *a, const struct work *w)
{
    const struct probe *probe = pass->probe;
    int stay = a->q.rows, alike;
    for (int i = 0; i < probe->n; i++) {
        const struct probe_count *count = &probe->count[i];
        int by_head = count->sum.rows == pass->kv->layers * a->kv_heads;
        int n = by_head ? 1 : a->kv_heads;
        assert(!pass->kept || (by_head && !probe->span));
        for (int first = 0; first < a->kv_heads; first += n) {
            struct attn some = seen_heads(*a, first, n);
            struct spans span =
                pass->kept ? seen_from(&w->seen, layer, first, stay, &alike) : a->span;
            int row = by_head ? layer * a->kv_heads + first : count->sum.rows > 1 ? layer : 0;
            struct score s = {.q = mat_rows(some.q, w->first_query, probe->n_query),
                              .k = some.k,
                              .v = some.v,
                              .span = probe->span
                                          ? w->query_span
                                          : spans_from(span, w->first_query, probe->n_query),
                              .heads = some.heads,
                              .kv_heads = some.kv_heads,
                              .scale = a->scale,
                              .products = a->products,
                              .value = count->value,
                              .over_heads = count->over_heads,
                              .over_rows = count->over_rows,
                              .out = mat_rows(count->sum, row, 1),
                              .work = w->score_work};
            k_score(q, &s);
        }
    }
}

/* Where the captured tokens' rows of K or V go. */
static struct mirror capture_of(struct queue *q, const struct work *w, struct host_mat block,
                                struct mat *rows)
{
    struct host_mat to = host_mat_rows(block, w->capture_first, w->n_captured);
    struct mirror m =
        mirror_over(q->device, to.data, w->captured, mat_bytes(to.dtype, to.rows, to.cols));
    *rows = mat_of(m.at, to.dtype, to.rows, to.cols);
    return m;
}

/* Room for what goes there, where it is row-quantised; no format is wider than eight bits. */
static struct mat packed_as(const struct work *w, struct mat kept)
{
    return mat_of(w->quantized.data, kept.dtype, w->quantized.rows, kept.cols);
}

/* Into the KV; what the pass leaves for later ones is raw, without a place: a chunk may go
 * anywhere. */
static void write_keys(struct queue *q, const struct decoder *m, int i, const struct pass *pass,
                       const struct work *w)
{
    struct mirror captured = {0};
    struct heads h = {.x = w->key,
                      .norm = m->layer[i].k_norm,
                      .eps = m->config.eps,
                      .heads = m->config.kv_heads,
                      .cos_sin = w->cos_sin,
                      .raw = w->raw,
                      .kept_row = w->capture_row,
                      .out = pass->kv->k[i],
                      .slot = w->slot};
    if (w->n_captured) {
        captured = capture_of(q, w, pass->capture->k[i], &h.kept);
        h.packed = packed_as(w, h.kept);
    }
    k_heads(q, &h);
    if (w->n_captured) mirror_fetch(q, captured);
    if (!q->trace) return;
    k_gather(q, w->raw, pass->kv->k[i], w->slot);
    k_trace(q, "text.k", i, w->raw);
}

static void write_values(struct queue *q, const struct decoder *m, int i, const struct pass *pass,
                         const struct work *w)
{
    k_scatter(q, pass->kv->v[i], w->slot, w->v);
    if (w->n_captured) {
        struct mat kept, values = w->v;
        struct mirror captured = capture_of(q, w, pass->capture->v[i], &kept);
        if (dtype_is_quantised(kept.dtype)) {
            struct mat packed = packed_as(w, kept);
            k_quantize(q, packed, values, m->config.kv_heads);
            values = packed;
        }
        k_scatter(q, kept, w->capture_row, values);
        mirror_fetch(q, captured);
    }
}

/* Of weights that this rank has outputs of. */
static void products(struct queue *q, struct products *p)
{
    int n = 0;
    for (int i = 0; i < p->n; i++)
        if (p->of[i].w.rows) p->of[n++] = p->of[i];
    p->n = n;
    if (n) k_products(q, p);
}

static struct product query_product(const struct queue *q, const struct decoder *m, int i,
                                    const struct work *w)
{
    return (struct product){.y = columns_mat(w->q, &w->part.q),
                            .w = columns_weight(q->device, m->layer[i].q, &w->part.q)};
}

/* Queries are one product more where all tokens stay. */
static void keys_and_values(struct queue *q, const struct decoder *m, int i,
                            const struct pass *pass, const struct work *w, int all_stay)
{
    const struct decoder_layer *layer = &m->layer[i];
    struct products p = {.x = w->norm,
                         .n = all_stay ? 3 : 2,
                         .of = {{.y = w->key, .w = layer->k},
                                {.y = w->v, .w = layer->v},
                                query_product(q, m, i, w)}};
    k_rmsnorm(q, w->norm, w->x, layer->input_norm, m->config.eps);
    products(q, &p);
    write_keys(q, m, i, pass, w);
    write_values(q, m, i, pass, w);
}

static void queries(struct queue *q, const struct decoder *m, int i, const struct work *w)
{
    struct mat mine = columns_mat(w->q, &w->part.q);
    struct heads h = {.x = mine,
                      .norm = m->layer[i].q_norm,
                      .eps = m->config.eps,
                      .heads = mine.cols / m->config.head_dim,
                      .cos_sin = w->cos_sin,
                      .raw = mine,
                      .out = mine};
    if (h.heads) k_heads(q, &h);
    k_trace(q, "text.q", i, w->q);
}

static void exchange(struct queue *q, const struct work *w, struct mat m, const struct comm_part *c)
{
    columns_exchange(q, m, c, ints_from(w->each, 0, m.rows), w->columns);
}

/* A product joins the residual stream; whoever looks on sees it by itself. */
static void join(struct queue *q, const struct work *w, struct mat x, struct weight weight,
                 const char *name, int layer)
{
    const struct comm_part *c = &w->part.hidden;
    if (q->trace) {
        k_matmul(q, w->delta, x, weight, mat_none(), ACT_NONE);
        k_trace(q, name, layer, w->delta);
        k_add(q, w->x, w->delta);
        return;
    }
    if (c->n)
        k_matmul_add(q, columns_mat(w->x, c), x, columns_weight(q->device, weight, c), mat_none(),
                     columns_mat(w->delta, c));
    exchange(q, w, w->x, c);
}

/* Of the heads of this rank. */
static struct attn of_part(struct attn a, const struct comm_part *c, int head_dim)
{
    int group = a.heads / a.kv_heads;
    a.q = columns_mat(a.q, c);
    a.out = columns_mat(a.out, c);
    a.k = mat_cols(a.k, c->begin / group, c->n / group);
    a.v = mat_cols(a.v, c->begin / group, c->n / group);
    a.heads = c->n / head_dim;
    a.kv_heads = a.heads / group;
    return a;
}

static void attend(struct queue *q, const struct decoder *m, int i, const struct pass *pass,
                   const struct work *w, int all_stay)
{
    const struct decoder_config *c = &m->config;
    const struct probe *probe = pass->probe && pass->probe->layer[i] ? pass->probe : NULL;
    struct attn all = {.q = w->q,
                       .k = pass->kv->k[i],
                       .v = pass->kv->v[i],
                       .out = w->mixed,
                       .span = w->span,
                       .heads = c->heads,
                       .kv_heads = c->kv_heads,
                       .scale = 1.0f / sqrtf((float)c->head_dim),
                       .products = c->compute == DT_F32 ? DT_F32 : c->kv,
                       .work = w->attn_work};
    struct attn mine = of_part(all, &w->part.q, c->head_dim);
    struct products p = {.x = w->norm, .n = 1, .of = {query_product(q, m, i, w)}};
    if (!all_stay) products(q, &p);
    queries(q, m, i, w);
    if (probe) {
        exchange(q, w, mat_rows(w->q, w->first_query, probe->n_query), &w->part.q);
        count_attention(q, pass, i, &all, w);
    }
    if (pass->kept)
        seen_attend(q, &w->seen, i, &all);
    else if (mine.heads)
        k_attention(q, &mine);
    exchange(q, w, w->mixed, &w->part.q);
    join(q, w, w->mixed, m->layer[i].o, "text.attn", i);
}

static void mlp(struct queue *q, const struct decoder *m, int i, const struct work *w)
{
    const struct decoder_layer *layer = &m->layer[i];
    const struct comm_part *c = &w->part.inner;
    struct mat gate_up = mat_cols(w->gate_up, 0, 2 * c->n);
    struct products p = {
        .x = w->norm,
        .n = 2,
        .of = {{.y = mat_cols(gate_up, 0, c->n), .w = columns_weight(q->device, layer->gate, c)},
               {.y = mat_cols(gate_up, c->n, c->n), .w = columns_weight(q->device, layer->up, c)}}};
    k_rmsnorm(q, w->norm, w->x, layer->post_norm, m->config.eps);
    products(q, &p);
    if (c->n) k_swiglu(q, columns_mat(w->inner, c), gate_up);
    exchange(q, w, w->inner, c);
    join(q, w, w->inner, layer->down, "text.mlp", i);
}

static void head(struct queue *q, const struct decoder *m, const struct pass *pass,
                 const struct work *w)
{
    const struct comm_part *c = &w->part.vocab;
    int is_here = !pass->shares || pass->shares->last == comm_rank(q);
    struct mat last = is_here ? mat_rows(w->x, w->x.rows - 1, 1) : w->final;
    if (pass->shares)
        comm_broadcast(q, COMM_HIDDEN, pass->shares->last, last.data,
                       mat_bytes(last.dtype, 1, last.cols));
    k_rmsnorm(q, w->last, last, m->norm, m->config.eps);
    k_trace(q, "text.norm", 0, w->last);
    if (c->n)
        k_matmul(q, columns_mat(w->logits, c), w->last, columns_weight(q->device, m->head, c),
                 mat_none(), ACT_NONE);
    exchange(q, w, w->logits, c);
    k_trace(q, "logits", 0, w->logits);
    queue_download(q, pass->logits, w->logits.data, mat_bytes(DT_F32, 1, m->config.vocab));
}

/* ---- what InfoKV asks for ---- */

static void download(struct queue *q, float *to, struct mat m)
{
    queue_download(q, to, m.data, mat_bytes(DT_F32, m.rows, m.cols));
}

/* How far the layer has turned the hidden states, DeepStack with it. */
static void note_change(struct queue *q, const struct pass_info *info, int layer,
                        const struct work *w)
{
    k_cosine_distance(q, w->measure, w->before, w->x);
    download(q, info->change + (size_t)layer * (size_t)info->stride, w->measure);
}

/* How uncertain each token leaves what follows it. */
static void note_entropy(struct queue *q, const struct decoder *m, const struct pass_info *info,
                         const struct work *w)
{
    for (int at = 0, n; at < w->n; at += n) {
        n = w->n - at < INFO_TOKENS ? w->n - at : INFO_TOKENS;
        struct mat x = mat_rows(w->norm, at, n), likely = mat_rows(w->likely, 0, n);
        k_rmsnorm(q, x, mat_rows(w->x, at, n), m->norm, m->config.eps);
        k_matmul(q, likely, x, m->head, mat_none(), ACT_NONE);
        k_entropy(q, mat_rows(w->measure, at, n), likely, info->top);
    }
    download(q, info->entropy, w->measure);
}

/* The first n tokens leave the pass. */
static void leave(struct work *w, int n)
{
    struct mat *per_token[] = {&w->x,     &w->norm,    &w->q,         &w->key,
                               &w->raw,   &w->v,       &w->quantized, &w->mixed,
                               &w->delta, &w->gate_up, &w->inner,     &w->cos_sin};
    int stay = w->n - n;
    if (n == 0) return;
    for (size_t i = 0; i < sizeof per_token / sizeof *per_token; i++)
        *per_token[i] = mat_rows(*per_token[i], n, stay);
    w->visual_row = ints_from(w->visual_row, n, stay);
    if (w->n_captured) w->capture_row = ints_from(w->capture_row, n, stay);
    w->slot = ints_from(w->slot, n, stay);
    w->span = spans_from(w->span, n, stay);
    w->first_query -= n;
    w->n = stay;
}

void decoder_forward(struct queue *q, const struct decoder *m, const struct pass *pass,
                     struct workspace *ws)
{
    const struct decoder_config *c = &m->config;
    const struct tokens *tokens = &pass->tokens;
    int end = pass->layer_end ? pass->layer_end : c->layers;
    int n_all = pass->shares ? pass->shares->first[comm_n(q)] : 0;
    struct pass_size size = {.n = tokens->n,
                             .ranks = comm_n(q),
                             .n_query = pass->probe ? pass->probe->n_query : 0,
                             .slots = pass->kv->slots,
                             .kept = pass->kept != NULL,
                             .info = pass->info != NULL};
    struct workspace_used mark = workspace_mark(ws);
    struct work w = {0};
    struct order order;
    assert(tokens->n >= 1 && pass->kv->layers == c->layers);
    assert((!pass->kept && !pass->info) || comm_n(q) == 1);
    work_layout(q->device, c, &size, ws, &w);
    if (n_all) w.sharing = sharing_push(comm_n(q), n_all, c->kv, c->kv_heads * c->head_dim, ws);
    divide(q, c, pass, &w);
    order = order_push(tokens->n, ws);
    q->decode = pass->decode;
    order_sort(tokens->depth, end, &order);
    pack(q, c, pass, end, &order, ws, &w);
    k_angles(q, w.cos_sin, w.pos, m->rope_inverse);
    k_trace(q, "text.cos_sin", 0, w.cos_sin);
    embed(q, m, tokens, &w);
    for (int i = 0; i < end; i++) {
        int leaving = order.left[i] - (tokens->n - w.n);
        if (pass->info) k_gather(q, w.before, w.x, w.each);
        if (w.n) keys_and_values(q, m, i, pass, &w, leaving == 0);
        if (n_all) sharing_exchange(q, &w.sharing, COMM_KV, i, pass->kv->k[i], pass->kv->v[i]);
        leave(&w, leaving);
        if (w.n == 0 && n_all) continue; /* others need not be done */
        if (w.n == 0) break;
        attend(q, m, i, pass, &w, leaving == 0);
        mlp(q, m, i, &w);
        k_trace(q, "text.layer", i, w.x);
        if (i < tokens->n_deep && tokens->visual.rows) {
            k_add_rows(q, w.x, tokens->deep[i], w.visual_row); /* DeepStack */
            k_trace(q, "text.deep", i, w.x);
        }
        if (pass->info) note_change(q, pass->info, i, &w);
    }
    if (pass->info) note_entropy(q, m, pass->info, &w);
    if (pass->logits && (w.n || n_all)) head(q, m, pass, &w);
    q->decode = 0;
    workspace_rewind(ws, mark);
}
