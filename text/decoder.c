/* decoder.c - the one loop over decoder layers: every pass of the program goes through it. */
#include "text/decoder.h"

#include <math.h>

struct work {           /* of one pass over n rows; compute: f32 or bf16 */
    struct mat x;       /* [n, hidden] f32: the residual stream */
    struct mat norm;    /* [n, hidden] compute */
    struct mat q;       /* [n, heads * head_dim] f32 */
    struct mat k, v;    /* [n, kv_heads * head_dim] f32 */
    struct mat mixed;   /* [n, heads * head_dim] compute: what attention read */
    struct mat delta;   /* [n, hidden] f32: what a half layer adds */
    struct mat gate_up; /* [n, 2 * inner] f32 */
    struct mat inner;   /* [n, inner] compute */
    struct mat cos_sin; /* [n, head_dim] f32 */
    struct mat last;    /* [1, hidden] compute */
    struct mat logits;  /* [1, vocab] f32 */
};

static struct mat push(struct arena *mem, enum dtype dtype, int rows, int cols)
{
    return mat_of(arena_push(mem, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
}

static void work_layout(const struct decoder_config *c, int n, struct arena *mem, struct work *w)
{
    int q_dim = c->heads * c->head_dim, kv_dim = c->kv_heads * c->head_dim;
    w->x = push(mem, DT_F32, n, c->hidden);
    w->norm = push(mem, c->compute, n, c->hidden);
    w->q = push(mem, DT_F32, n, q_dim);
    w->k = push(mem, DT_F32, n, kv_dim);
    w->v = push(mem, DT_F32, n, kv_dim);
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

static void embed(struct backend *be, const struct decoder *m, const struct rows *rows,
                  struct mat x)
{
    k_gather(be, x, m->embed, rows->token);
    if (rows->visual.rows) k_gather(be, x, rows->visual, rows->visual_row);
}

static void self_attention(struct backend *be, const struct decoder *m, int i,
                           const struct pass *pass, const struct work *w)
{
    const struct decoder_config *c = &m->config;
    const struct decoder_layer *layer = &m->layer[i];
    const struct kv *kv = pass->kv;
    struct attn a = {.q = w->q,
                     .k = kv->k[i],
                     .v = kv->v[i],
                     .out = w->mixed,
                     .span = pass->rows.span,
                     .heads = c->heads,
                     .kv_heads = c->kv_heads,
                     .scale = 1.0f / sqrtf((float)c->head_dim)};
    k_rmsnorm(be, w->norm, w->x, layer->input_norm, c->hidden, c->eps);
    k_matmul(be, w->q, w->norm, layer->q, NULL, ACT_NONE);
    k_matmul(be, w->k, w->norm, layer->k, NULL, ACT_NONE);
    k_matmul(be, w->v, w->norm, layer->v, NULL, ACT_NONE);
    k_rmsnorm(be, w->q, w->q, layer->q_norm, c->head_dim, c->eps);
    k_rmsnorm(be, w->k, w->k, layer->k_norm, c->head_dim, c->eps);
    k_rope(be, w->q, w->q, c->heads, w->cos_sin);
    k_rope(be, w->k, w->k, c->kv_heads, w->cos_sin);
    k_trace(be, "text.q", i, w->q);
    k_trace(be, "text.k", i, w->k);
    k_scatter(be, kv->k[i], pass->rows.slot, w->k);
    k_scatter(be, kv->v[i], pass->rows.slot, w->v);
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

void decoder_forward(struct backend *be, const struct decoder *m, const struct pass *pass,
                     struct arena *scratch)
{
    const struct decoder_config *c = &m->config;
    const struct rows *rows = &pass->rows;
    size_t mark = arena_mark(scratch);
    struct work w;
    assert(rows->n >= 1 && pass->kv->layers == c->layers);
    work_layout(c, rows->n, scratch, &w);
    position_table(&c->rope, rows->pos, rows->n, w.cos_sin);
    k_trace(be, "text.cos_sin", 0, w.cos_sin);
    embed(be, m, rows, w.x);
    for (int i = 0; i < c->layers; i++) {
        self_attention(be, m, i, pass, &w);
        mlp(be, m, i, &w);
        k_trace(be, "text.layer", i, w.x);
        if (i < rows->n_deep && rows->visual.rows) {
            k_add(be, w.x, rows->deep[i], rows->visual_row); /* DeepStack */
            k_trace(be, "text.deep", i, w.x);
        }
    }
    if (pass->logits) head(be, m, &w, pass->logits);
    arena_rewind(scratch, mark);
}
