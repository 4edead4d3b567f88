/* decoder.c - the one loop over decoder layers: every pass of the program goes through it. */
#include "text/decoder.h"

#include <math.h>

struct stay { /* of the rows that are still in a pass that rows leave: [n] each */
    int32_t *visual_row, *slot, *depth, *capture_row;
    struct pos *pos;
    struct span *span;
    int32_t *from; /* where they stood before others left */
};

struct work {         /* of one pass over n rows; compute: f32 or bf16 */
    struct rows rows; /* those that are still in the pass */
    struct stay stay;
    int first_asking;   /* of them: where the rows of the tap begin */
    struct mat x;       /* [n, hidden] f32: the residual stream */
    struct mat norm;    /* [n, hidden] compute */
    struct mat q;       /* [n, heads * head_dim] f32 */
    struct mat key;     /* [n, kv_heads * head_dim] f32: before the norm */
    struct mat raw, v;  /* [n, kv_heads * head_dim] kv: K without a place, V */
    struct mat packed;  /* [n, packed_cols] codes of raw or v */
    struct mat k;       /* [n, kv_heads * head_dim] kv: K rotated */
    struct mat mixed;   /* [n, heads * head_dim] compute: what attention read */
    struct mat delta;   /* [n, hidden] f32: what a half layer adds */
    struct mat gate_up; /* [n, 2 * inner] f32 */
    struct mat inner;   /* [n, inner] compute */
    struct mat cos_sin; /* [n, head_dim] f32 */
    struct mat last;    /* [1, hidden] compute */
    struct mat logits;  /* [1, vocab] f32 */
    struct mat score;   /* [1, slots] f32: with a tap */
    float *score_work;
};

static struct mat push(struct arena *mem, enum dtype dtype, int rows, int cols)
{
    return mat_of(arena_push(mem, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
}

static void work_layout(const struct decoder_config *c, int n, struct arena *mem, struct work *w)
{
    int q_dim = c->heads * c->head_dim, kv_dim = c->kv_heads * c->head_dim;
    size_t rows = (size_t)n;
    w->stay.visual_row = arena_push(mem, rows * sizeof *w->stay.visual_row);
    w->stay.slot = arena_push(mem, rows * sizeof *w->stay.slot);
    w->stay.depth = arena_push(mem, rows * sizeof *w->stay.depth);
    w->stay.capture_row = arena_push(mem, rows * sizeof *w->stay.capture_row);
    w->stay.pos = arena_push(mem, rows * sizeof *w->stay.pos);
    w->stay.span = arena_push(mem, rows * sizeof *w->stay.span);
    w->stay.from = arena_push(mem, rows * sizeof *w->stay.from);
    w->x = push(mem, DT_F32, n, c->hidden);
    w->norm = push(mem, c->compute, n, c->hidden);
    w->q = push(mem, DT_F32, n, q_dim);
    w->key = push(mem, DT_F32, n, kv_dim);
    w->raw = push(mem, c->kv, n, kv_dim);
    w->v = push(mem, c->kv, n, kv_dim);
    w->packed = push(mem, DT_I8, n, packed_cols(kv_dim, c->kv_heads));
    w->k = push(mem, c->kv, n, kv_dim);
    w->mixed = push(mem, c->compute, n, q_dim);
    w->delta = push(mem, DT_F32, n, c->hidden);
    w->gate_up = push(mem, DT_F32, n, 2 * c->inner);
    w->inner = push(mem, c->compute, n, c->inner);
    w->cos_sin = push(mem, DT_F32, n, c->head_dim);
    w->last = push(mem, c->compute, 1, c->hidden);
    w->logits = push(mem, DT_F32, 1, c->vocab);
}

size_t decoder_scratch(const struct decoder_config *c, int n)
{
    struct arena dry = {0};
    struct work w;
    work_layout(c, n, &dry, &w);
    return dry.used;
}

size_t decoder_tap_scratch(const struct decoder_config *c, int n_query, int slots)
{
    struct arena dry = {0};
    push(&dry, DT_F32, 1, slots);
    arena_push(&dry, k_score_work(n_query, c->heads));
    return dry.used;
}

double decoder_flops(const struct decoder_config *c, const struct rows *rows, int layer_end)
{
    double q_dim = (double)c->heads * c->head_dim, kv_dim = (double)c->kv_heads * c->head_dim;
    double write = 4 * c->hidden * kv_dim; /* K and V */
    double rest = 4 * c->hidden * q_dim + 6.0 * c->hidden * c->inner, sum = 0;
    int end = layer_end ? layer_end : c->layers;
    for (int i = 0; i < rows->n; i++) {
        const struct span *s = &rows->span[i];
        double sees = s->head_end + (double)(s->tail_end - s->tail_begin);
        int whole = rows->depth && rows->depth[i] < end ? rows->depth[i] : end;
        sum += whole * (write + rest + 4 * q_dim * sees) + (whole < end ? write : 0);
    }
    return sum;
}

static void embed(struct backend *be, const struct decoder *m, const struct rows *rows,
                  struct mat x)
{
    k_gather(be, x, m->embed, rows->token);
    if (rows->visual.rows) k_gather(be, x, rows->visual, rows->visual_row);
}

/* What the rows of the tap attend to in this layer, added to what they did before. */
static void count_attention(struct backend *be, const struct tap *tap, int layer,
                            const struct attn *a, const struct work *w)
{
    const float *score = w->score.data;
    struct score s = {.q = mat_rows(a->q, w->first_asking, tap->rows),
                      .k = a->k,
                      .v = a->v,
                      .span = tap->span ? tap->span : a->span + w->first_asking,
                      .heads = a->heads,
                      .kv_heads = a->kv_heads,
                      .scale = a->scale,
                      .out = w->score,
                      .work = w->score_work};
    for (int i = 0; i < tap->n; i++) {
        const struct tap_count *count = &tap->count[i];
        float *out = count->slot + (size_t)layer * count->layer_step;
        s.value = count->value;
        s.over_heads = count->over_heads;
        s.over_rows = count->over_rows;
        k_score(be, &s);
        for (int slot = 0; slot < w->score.cols; slot++)
            out[slot] += score[slot];
    }
}

/* What the pass leaves for later ones; it goes on with what it computed. */
static void capture(struct backend *be, const struct decoder_config *c, const struct work *w,
                    struct mat out, struct mat values)
{
    if (out.dtype == DT_I8) {
        k_code(be, w->packed, values, c->kv_heads);
        values = w->packed;
    }
    k_scatter(be, out, w->rows.capture_row, values);
}

static void keys_and_values(struct backend *be, const struct decoder *m, int i,
                            const struct pass *pass, const struct work *w)
{
    const struct decoder_config *c = &m->config;
    const struct decoder_layer *layer = &m->layer[i];
    k_rmsnorm(be, w->norm, w->x, layer->input_norm, c->hidden, c->eps);
    k_matmul(be, w->key, w->norm, layer->k, NULL, ACT_NONE);
    k_matmul(be, w->v, w->norm, layer->v, NULL, ACT_NONE);
    k_rmsnorm(be, w->raw, w->key, layer->k_norm, c->head_dim, c->eps);
    if (pass->capture) { /* raw knows no place: a chunk may go anywhere */
        capture(be, c, w, pass->capture->k[i], w->raw);
        capture(be, c, w, pass->capture->v[i], w->v);
    }
    k_rope(be, w->k, w->raw, c->kv_heads, w->cos_sin);
    k_trace(be, "text.k", i, w->k);
    k_scatter(be, pass->kv->k[i], w->rows.slot, w->k);
    k_scatter(be, pass->kv->v[i], w->rows.slot, w->v);
}

static void attend(struct backend *be, const struct decoder *m, int i, const struct pass *pass,
                   const struct work *w)
{
    const struct decoder_config *c = &m->config;
    const struct decoder_layer *layer = &m->layer[i];
    struct attn a = {.q = w->q,
                     .k = pass->kv->k[i],
                     .v = pass->kv->v[i],
                     .out = w->mixed,
                     .span = w->rows.span,
                     .heads = c->heads,
                     .kv_heads = c->kv_heads,
                     .scale = 1.0f / sqrtf((float)c->head_dim)};
    k_matmul(be, w->q, w->norm, layer->q, NULL, ACT_NONE);
    k_rmsnorm(be, w->q, w->q, layer->q_norm, c->head_dim, c->eps);
    k_rope(be, w->q, w->q, c->heads, w->cos_sin);
    k_trace(be, "text.q", i, w->q);
    if (pass->tap && pass->tap->layer[i]) count_attention(be, pass->tap, i, &a, w);
    k_attention(be, &a);
    k_matmul(be, w->delta, w->mixed, layer->o, NULL, ACT_NONE);
    k_trace(be, "text.attn", i, w->delta);
    k_add(be, w->x, w->delta, NULL);
}

static void mlp(struct backend *be, const struct decoder *m, int i, const struct work *w)
{
    const struct decoder_config *c = &m->config;
    const struct decoder_layer *layer = &m->layer[i];
    k_rmsnorm(be, w->norm, w->x, layer->post_norm, c->hidden, c->eps);
    k_matmul(be, mat_cols(w->gate_up, 0, c->inner), w->norm, layer->gate, NULL, ACT_NONE);
    k_matmul(be, mat_cols(w->gate_up, c->inner, c->inner), w->norm, layer->up, NULL, ACT_NONE);
    k_swiglu(be, w->inner, w->gate_up);
    k_matmul(be, w->delta, w->inner, layer->down, NULL, ACT_NONE);
    k_trace(be, "text.mlp", i, w->delta);
    k_add(be, w->x, w->delta, NULL);
}

static void head(struct backend *be, const struct decoder *m, const struct work *w, float *logits)
{
    const struct decoder_config *c = &m->config;
    struct mat last = mat_rows(w->x, w->x.rows - 1, 1);
    k_rmsnorm(be, w->last, last, m->norm, c->hidden, c->eps);
    k_trace(be, "text.norm", 0, w->last);
    k_matmul(be, w->logits, w->last, m->head, NULL, ACT_NONE);
    k_trace(be, "logits", 0, w->logits);
    be->op->download(be, logits, w->logits.data, (size_t)c->vocab * sizeof *logits);
}

/* ---- rows that leave before the last layer ---- */

static void work_narrow(struct work *w, int n)
{
    struct mat *of_rows[] = {&w->x,       &w->norm,   &w->q,      &w->key,   &w->raw,
                             &w->v,       &w->packed, &w->k,      &w->mixed, &w->delta,
                             &w->gate_up, &w->inner,  &w->cos_sin};
    for (size_t i = 0; i < sizeof of_rows / sizeof *of_rows; i++)
        of_rows[i]->rows = n;
}

static void rows_keep(struct backend *be, const struct decoder *m, int i, struct work *w, int n)
{
    struct mat x = w->delta; /* free between halves of a layer */
    x.rows = n;
    w->rows.n = n;
    if (n == 0) return;
    k_gather(be, x, w->x, w->stay.from);
    w->delta = w->x;
    w->x = x;
    work_narrow(w, n);
    position_table(&m->config.rope, w->stay.pos, n, w->cos_sin);
    k_rmsnorm(be, w->norm, w->x, m->layer[i].input_norm, m->config.hidden, m->config.eps);
}

/* Takes the rows out that go through layers before i alone; their K and V of i are written. */
static void rows_leave(struct backend *be, const struct decoder *m, int i, struct work *w)
{
    struct stay *s = &w->stay;
    int n = 0, asking = 0;
    for (int r = 0; r < w->rows.n; r++) {
        if (s->depth[r] <= i) continue;
        asking += r < w->first_asking;
        s->from[n] = r;
        s->visual_row[n] = s->visual_row[r];
        s->slot[n] = s->slot[r];
        s->depth[n] = s->depth[r];
        s->capture_row[n] = s->capture_row[r];
        s->pos[n] = s->pos[r];
        s->span[n++] = s->span[r];
    }
    w->first_asking = asking;
    if (n < w->rows.n) rows_keep(be, m, i, w, n);
}

/* The arrays of the rows become the pass's own, to take rows out of. */
static void rows_own(struct work *w)
{
    struct rows *rows = &w->rows;
    size_t n = (size_t)rows->n;
    memcpy(w->stay.visual_row, rows->visual_row, n * sizeof *rows->visual_row);
    memcpy(w->stay.slot, rows->slot, n * sizeof *rows->slot);
    memcpy(w->stay.depth, rows->depth, n * sizeof *rows->depth);
    if (rows->capture_row)
        memcpy(w->stay.capture_row, rows->capture_row, n * sizeof *rows->capture_row);
    else
        memset(w->stay.capture_row, -1, n * sizeof *rows->capture_row);
    memcpy(w->stay.pos, rows->pos, n * sizeof *rows->pos);
    memcpy(w->stay.span, rows->span, n * sizeof *rows->span);
    rows->visual_row = w->stay.visual_row;
    rows->slot = w->stay.slot;
    rows->span = w->stay.span;
    rows->capture_row = w->stay.capture_row;
}

void decoder_forward(struct backend *be, const struct decoder *m, const struct pass *pass,
                     struct arena *scratch)
{
    const struct decoder_config *c = &m->config;
    int end = pass->layer_end ? pass->layer_end : c->layers;
    size_t mark = arena_mark(scratch);
    struct work w = {.rows = pass->rows};
    const struct rows *rows = &w.rows;
    assert(rows->n >= 1 && pass->kv->layers == c->layers);
    work_layout(c, rows->n, scratch, &w);
    if (pass->tap) {
        w.first_asking = pass->tap->first;
        w.score = push(scratch, DT_F32, 1, pass->kv->slots);
        w.score_work = arena_push(scratch, k_score_work(pass->tap->rows, c->heads));
    }
    if (rows->depth) rows_own(&w);
    position_table(&c->rope, rows->pos, rows->n, w.cos_sin);
    k_trace(be, "text.cos_sin", 0, w.cos_sin);
    embed(be, m, rows, w.x);
    for (int i = 0; i < end; i++) {
        keys_and_values(be, m, i, pass, &w);
        if (rows->depth) rows_leave(be, m, i, &w);
        if (rows->n == 0) break;
        attend(be, m, i, pass, &w);
        mlp(be, m, i, &w);
        k_trace(be, "text.layer", i, w.x);
        if (i < rows->n_deep && rows->visual.rows) {
            k_add(be, w.x, rows->deep[i], rows->visual_row); /* DeepStack */
            k_trace(be, "text.deep", i, w.x);
        }
    }
    if (pass->logits && rows->n) head(be, m, &w, pass->logits);
    arena_rewind(scratch, mark);
}
