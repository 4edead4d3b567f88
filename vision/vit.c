/* vit.c - the vision tower, top to bottom: patches, positions, blocks, mergers. */
#include "vision/vit.h"

#include <math.h>

#define VIT_TILE 512 /* rows that the wide middle of an MLP holds at a time; changes no result */
#define VIT_EPS 1e-6f
#define VIT_THETA 10000.0

struct work {           /* of one image of n patches; compute: f32 or bf16 */
    struct mat x;       /* [n, hidden] f32: the residual stream */
    struct mat norm;    /* [n, hidden] compute */
    struct mat qkv;     /* [n, 3 * hidden] f32 */
    struct mat mixed;   /* [n, hidden] compute: what attention read */
    struct mat delta;   /* [n, hidden] f32: what a half block adds */
    struct mat inner;   /* [tile, inner] compute */
    struct mat merged;  /* [tile, merge^2 * hidden] compute */
    struct mat cos_sin; /* [n, hidden / heads] f32 */
    struct span *span;  /* [n] all patches */
};

static struct mat push(struct arena *mem, enum dtype dtype, int rows, int cols)
{
    return mat_of(arena_push(mem, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
}

static void work_layout(const struct vit_config *c, int n, struct arena *mem, struct work *w)
{
    int tile = n < VIT_TILE ? n : VIT_TILE, cells = c->patch.merge * c->patch.merge;
    w->x = push(mem, DT_F32, n, c->hidden);
    w->norm = push(mem, c->compute, n, c->hidden);
    w->qkv = push(mem, DT_F32, n, 3 * c->hidden);
    w->mixed = push(mem, c->compute, n, c->hidden);
    w->delta = push(mem, DT_F32, n, c->hidden);
    w->inner = push(mem, c->compute, tile, c->inner);
    w->merged = push(mem, c->compute, tile, cells * c->hidden);
    w->cos_sin = push(mem, DT_F32, n, c->hidden / c->heads);
    w->span = arena_push(mem, (size_t)n * sizeof *w->span);
}

size_t vit_scratch(const struct vit_config *c, struct grid patches)
{
    struct arena dry = {0};
    struct work w;
    work_layout(c, patches.h * patches.w, &dry, &w);
    return dry.used;
}

struct tap { /* where index i of n falls among `side` learned positions */
    int low, high;
    float toward_high;
};

/* Aligned corners: the first and the last index fall on the first and the last position. */
static struct tap tap_of(int i, int n, int side)
{
    float at = n > 1 ? (float)i * (float)(side - 1) / (float)(n - 1) : 0.0f;
    struct tap tap = {(int)at, (int)at + 1, 0.0f};
    tap.toward_high = at - (float)tap.low;
    if (tap.high > side - 1) tap.high = side - 1;
    return tap;
}

void vit_positions(const struct vit *vit, struct grid grid, struct mat out)
{
    const struct vit_config *c = &vit->config;
    for (int n = 0; n < grid.h * grid.w; n++) {
        int row, col;
        patch_place(c->patch.merge, grid, n, &row, &col);
        struct tap r = tap_of(row, grid.h, c->side), q = tap_of(col, grid.w, c->side);
        int corner[4] = {r.low * c->side + q.low, r.low * c->side + q.high,
                         r.high * c->side + q.low, r.high * c->side + q.high};
        float weight[4] = {(1 - r.toward_high) * (1 - q.toward_high),
                           (1 - r.toward_high) * q.toward_high, r.toward_high * (1 - q.toward_high),
                           r.toward_high * q.toward_high};
        float *to = mat_at(out, n, 0);
        for (int k = 0; k < c->hidden; k++) {
            float sum = 0;
            for (int j = 0; j < 4; j++)
                sum += weight[j] * mat_get(vit->pos, corner[j], k);
            to[k] = sum;
        }
    }
}

void vit_rope_table(const struct vit_config *c, struct grid grid, struct mat out)
{
    int dim = c->hidden / c->heads, half = dim / 2, quarter = dim / 4;
    for (int n = 0; n < grid.h * grid.w; n++) {
        int place[2]; /* row, column: each turns a quarter of the head, rows first */
        float *to = mat_at(out, n, 0);
        patch_place(c->patch.merge, grid, n, &place[0], &place[1]);
        for (int i = 0; i < half; i++) {
            float exponent = (float)(2 * (i % quarter)) / (float)half;
            float inverse = 1.0f / (float)pow(VIT_THETA, (double)exponent);
            float angle = (float)place[i / quarter] * inverse;
            to[i] = (float)cos((double)angle);
            to[half + i] = (float)sin((double)angle);
        }
    }
}

static void attention(struct backend *be, const struct vit *vit, int i, const struct work *w)
{
    const struct vit_config *c = &vit->config;
    const struct vit_layer *layer = &vit->layer[i];
    int h = c->hidden;
    struct mat q = mat_cols(w->qkv, 0, h), k = mat_cols(w->qkv, h, h);
    struct mat v = mat_cols(w->qkv, 2 * h, h);
    struct attn a = {.q = q,
                     .k = k,
                     .v = v,
                     .out = w->mixed,
                     .span = w->span,
                     .heads = c->heads,
                     .kv_heads = c->heads,
                     .scale = 1.0f / sqrtf((float)(h / c->heads))};
    k_layernorm(be, w->norm, w->x, layer->norm1_w, layer->norm1_b, VIT_EPS);
    k_matmul(be, w->qkv, w->norm, layer->qkv, layer->qkv_b, ACT_NONE);
    k_rope(be, q, q, c->heads, w->cos_sin);
    k_rope(be, k, k, c->heads, w->cos_sin);
    k_trace(be, "vit.q", i, q);
    k_trace(be, "vit.k", i, k);
    k_attention(be, &a);
    k_matmul(be, w->delta, w->mixed, layer->proj, layer->proj_b, ACT_NONE);
    k_trace(be, "vit.attn", i, w->delta);
    k_add(be, w->x, w->delta, NULL);
}

/* y = fc2(act(fc1(x))), with the wide middle held for one tile of rows at a time. */
static void two_layers(struct backend *be, struct mat y, struct mat x, struct mat middle,
                       struct mat fc1, const float *fc1_b, enum act act, struct mat fc2,
                       const float *fc2_b)
{
    for (int begin = 0; begin < x.rows; begin += middle.rows) {
        int n = x.rows - begin < middle.rows ? x.rows - begin : middle.rows;
        struct mat tile = mat_rows(middle, 0, n);
        k_matmul(be, tile, mat_rows(x, begin, n), fc1, fc1_b, act);
        k_matmul(be, mat_rows(y, begin, n), tile, fc2, fc2_b, ACT_NONE);
    }
}

static void mlp(struct backend *be, const struct vit *vit, int i, const struct work *w)
{
    const struct vit_layer *layer = &vit->layer[i];
    k_layernorm(be, w->norm, w->x, layer->norm2_w, layer->norm2_b, VIT_EPS);
    two_layers(be, w->delta, w->norm, w->inner, layer->fc1, layer->fc1_b, ACT_GELU_TANH, layer->fc2,
               layer->fc2_b);
    k_trace(be, "vit.mlp", i, w->delta);
    k_add(be, w->x, w->delta, NULL);
}

/* Patches come in merge order, so merge^2 rows side by side are one visual row: no copy. */
static struct mat side_by_side(struct mat m, int cells)
{
    return mat_of(m.data, m.dtype, m.rows / cells, m.cols * cells);
}

static void merge(struct backend *be, const struct vit_config *c, const struct vit_merger *m,
                  const struct work *w, struct mat out)
{
    int cells = c->patch.merge * c->patch.merge;
    struct mat norm = side_by_side(w->norm, cells);
    if (m->norm_merged)
        k_layernorm(be, norm, side_by_side(w->x, cells), m->norm_w, m->norm_b, VIT_EPS);
    else
        k_layernorm(be, w->norm, w->x, m->norm_w, m->norm_b, VIT_EPS);
    two_layers(be, out, norm, w->merged, m->fc1, m->fc1_b, ACT_GELU_ERF, m->fc2, m->fc2_b);
}

static void embed(struct backend *be, const struct vit *vit, struct mat patches, struct grid grid,
                  const struct work *w)
{
    k_matmul(be, w->x, patches, vit->patch_w, vit->patch_b, ACT_NONE);
    k_trace(be, "vit.patch_embed", 0, w->x);
    vit_positions(vit, grid, w->delta);
    k_trace(be, "vit.pos", 0, w->delta);
    k_add(be, w->x, w->delta, NULL);
    vit_rope_table(&vit->config, grid, w->cos_sin);
    k_trace(be, "vit.cos_sin", 0, w->cos_sin);
    for (int n = 0; n < patches.rows; n++)
        w->span[n] = (struct span){0, 0, patches.rows};
}

vlqa_status vit_encode(struct backend *be, const struct vit *vit, struct mat patches,
                       struct grid grid, struct arena *scratch, struct vit_out *out)
{
    const struct vit_config *c = &vit->config;
    size_t mark = arena_mark(scratch);
    vlqa_status status = VLQA_OK;
    struct work w;
    int n_deep = 0;
    assert(patches.rows == grid.h * grid.w && grid.h % c->patch.merge == 0 &&
           grid.w % c->patch.merge == 0);
    work_layout(c, patches.rows, scratch, &w);
    embed(be, vit, patches, grid, &w);
    for (int i = 0; i < c->depth && status == VLQA_OK; i++) {
        attention(be, vit, i, &w);
        mlp(be, vit, i, &w);
        k_trace(be, "vit.block", i, w.x);
        if (n_deep < c->n_deep && c->deep[n_deep] == i) {
            merge(be, c, &vit->deep[n_deep], &w, out->deep[n_deep]);
            k_trace(be, "vit.deepstack", n_deep, out->deep[n_deep]);
            n_deep++;
        }
        status = env_progress(be->env, "vision", i + 1, c->depth);
    }
    if (status == VLQA_OK) {
        merge(be, c, &vit->merger, &w, out->visual);
        k_trace(be, "vit.merger", 0, out->visual);
    }
    out->n_deep = n_deep;
    out->grid = (struct grid){grid.h / c->patch.merge, grid.w / c->patch.merge};
    arena_rewind(scratch, mark);
    return status;
}
