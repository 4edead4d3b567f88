/* vit.c - the vision tower, top to bottom: patches, positions, blocks, mergers. */
#include "vision/vit.h"

#include <math.h>

#define VIT_TILE 512 /* patches in the wide middle of an MLP at once; changes no result */
#define VIT_EPS 1e-6f

struct work {              /* of one image; n: patches of this rank; compute: f32 or bf16 */
    struct comm_part mine; /* of the patches; whole visual tokens */
    struct mirror patches; /* [all, channels * temporal * patch * patch] compute, by the host */
    struct header header;
    struct ints corner; /* [n, 4] learned positions around each patch */
    struct mat part;    /* [n, 4] how much of each */
    struct ints place;  /* [n, 2] token and column */
    struct spans span;  /* [n] all patches */
    struct mat x;       /* [n, hidden] f32: the residual stream */
    struct mat norm;    /* [n, hidden] compute */
    struct mat qkv;     /* [n, 3 * hidden] f32 */
    struct mat kv;      /* [all, 2 * hidden] f32: keys and values of all ranks */
    struct ints each;   /* [n] 0, 1, 2, ... */
    struct mat mixed;   /* [n, hidden] compute: what attention read */
    struct mat delta;   /* [n, hidden] f32: what a half block adds */
    struct mat inner;   /* [tile, inner] compute */
    struct mat merged;  /* [tile, merge^2 * hidden] compute */
    struct mat cos_sin; /* [n, hidden / heads] f32 */
    void *attn_work;
};

static int patch_cols(const struct vit_config *c)
{
    return c->patch.channels * c->patch.temporal * c->patch.patch * c->patch.patch;
}

/* Of all patches each rank has its part; those of a tiny image are all computed by all. */
static struct comm_part part_of(const struct queue *q, const struct vit_config *c, int all)
{
    int cells = c->patch.merge * c->patch.merge, ranks = all / cells < comm_n(q) ? 1 : comm_n(q);
    return comm_part_of(all, cells, ranks, ranks > 1 ? comm_rank(q) : 0);
}

static void work_layout(const struct device *d, const struct vit_config *c, struct comm_part part,
                        struct workspace *ws, struct work *w)
{
    int n = part.n;
    int tile = n < VIT_TILE ? n : VIT_TILE, cells = c->patch.merge * c->patch.merge;
    w->mine = part;
    w->patches = mirror_push(d, ws, mat_bytes(c->compute, part.all, patch_cols(c)));
    w->header = header_push(
        d, ws, (size_t)n * (7 * sizeof(int32_t) + 4 * sizeof(float) + sizeof(struct span)));
    w->x = workspace_mat(ws, DT_F32, n, c->hidden);
    w->norm = workspace_mat(ws, c->compute, n, c->hidden);
    w->qkv = workspace_mat(ws, DT_F32, n, 3 * c->hidden);
    if (part.ranks > 1) w->kv = workspace_mat(ws, DT_F32, part.all, 2 * c->hidden);
    w->mixed = workspace_mat(ws, c->compute, n, c->hidden);
    w->delta = workspace_mat(ws, DT_F32, n, c->hidden);
    w->inner = workspace_mat(ws, c->compute, tile, c->inner);
    w->merged = workspace_mat(ws, c->compute, tile, cells * c->hidden);
    w->cos_sin = workspace_mat(ws, DT_F32, n, c->hidden / c->heads);
    w->attn_work = arena_push(
        &ws->device, k_attention_work(d, n, c->heads, c->heads, c->hidden / c->heads, part.all));
}

void vit_measure(const struct queue *q, const struct vit_config *c, struct grid patches,
                 struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    struct work w;
    work_layout(q->device, c, part_of(q, c, patches.h * patches.w), dry, &w);
    workspace_rewind(dry, mark);
}

/* ---- where patches stand ---- */

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

/* The learned position of a patch is bilinear between four of them. */
static void corners_of(int side, struct grid grid, int row, int col, int32_t corner[4],
                       float part[4])
{
    struct tap r = tap_of(row, grid.h, side), q = tap_of(col, grid.w, side);
    corner[0] = r.low * side + q.low;
    corner[1] = r.low * side + q.high;
    corner[2] = r.high * side + q.low;
    corner[3] = r.high * side + q.high;
    part[0] = (1 - r.toward_high) * (1 - q.toward_high);
    part[1] = (1 - r.toward_high) * q.toward_high;
    part[2] = r.toward_high * (1 - q.toward_high);
    part[3] = r.toward_high * q.toward_high;
}

static void pack(struct queue *q, const struct vit_config *c, struct grid grid, struct work *w)
{
    int n = w->mine.n;
    int32_t *corner, *place, *each;
    float *part;
    struct span *span;
    w->corner = header_ints(&w->header, 4 * n, &corner);
    w->part = header_floats(&w->header, n, 4, &part);
    w->place = header_ints(&w->header, 2 * n, &place);
    w->each = header_ints(&w->header, n, &each);
    w->span = header_spans(&w->header, n, &span);
    for (int i = 0; i < n; i++) {
        int row, col;
        patch_place(c->patch.merge, grid, w->mine.begin + i, &row, &col);
        each[i] = i;
        corners_of(c->side, grid, row, col, corner + 4 * i, part + 4 * i);
        place[2 * i] = row;
        place[2 * i + 1] = col;
        span[i] = (struct span){0, 0, w->mine.all};
    }
    header_send(q, &w->header);
}

/* ---- a block, in the order of computation ---- */

/* Rows of a matrix that lie behind one another, each rank's its part, to all ranks. */
static void exchange(struct queue *q, struct mat all, const struct comm_part *part, int unit)
{
    size_t at[VLQA_RANKS_MOST + 1] = {0}, row = mat_bytes(all.dtype, 1, all.cols);
    for (int r = 0; r < part->ranks; r++) {
        struct comm_part of = comm_part_of(part->all, part->unit, part->ranks, r);
        at[r + 1] = (size_t)((of.begin + of.n) / unit) * row;
    }
    if (part->ranks > 1) comm_gather(q, COMM_VISION, all.data, at);
}

/* Patches see those of all ranks. */
static void share_keys(struct queue *q, const struct work *w, int h, struct attn *a)
{
    struct mat mine = mat_rows(w->kv, w->mine.begin, w->mine.n);
    k_gather(q, mat_cols(mine, 0, h), a->k, w->each);
    k_gather(q, mat_cols(mine, h, h), a->v, w->each);
    exchange(q, w->kv, &w->mine, 1);
    a->k = mat_cols(w->kv, 0, h);
    a->v = mat_cols(w->kv, h, h);
}

static void attention(struct queue *q, const struct vit *vit, int i, const struct work *w)
{
    const struct vit_config *c = &vit->config;
    const struct vit_layer *layer = &vit->layer[i];
    int h = c->hidden;
    struct attn a = {.q = mat_cols(w->qkv, 0, h),
                     .k = mat_cols(w->qkv, h, h),
                     .v = mat_cols(w->qkv, 2 * h, h),
                     .out = w->mixed,
                     .span = w->span,
                     .heads = c->heads,
                     .kv_heads = c->heads,
                     .scale = 1.0f / sqrtf((float)(h / c->heads)),
                     .products = c->compute,
                     .work = w->attn_work};
    k_layernorm(q, w->norm, w->x, layer->norm1_w, layer->norm1_b, VIT_EPS);
    k_matmul(q, w->qkv, w->norm, layer->qkv, layer->qkv_b, ACT_NONE);
    k_rope(q, a.q, a.q, c->heads, w->cos_sin);
    k_rope(q, a.k, a.k, c->heads, w->cos_sin);
    k_trace(q, "vit.q", i, a.q);
    k_trace(q, "vit.k", i, a.k);
    if (w->mine.ranks > 1) share_keys(q, w, h, &a);
    k_attention(q, &a);
    if (q->trace) {
        k_matmul(q, w->delta, w->mixed, layer->proj, layer->proj_b, ACT_NONE);
        k_trace(q, "vit.attn", i, w->delta);
        k_add(q, w->x, w->delta);
    } else {
        k_matmul_add(q, w->x, w->mixed, layer->proj, layer->proj_b, w->delta);
    }
}

struct two_layers {
    struct weight fc1, fc2;
    struct mat fc1_b, fc2_b;
    enum act act;
};

/* y = fc2(act(fc1(x))), with the wide middle held for one tile of tokens at a time. With delta y is
 * added to (k_matmul_add). */
static void two_layers(struct queue *q, struct mat y, struct mat x, struct mat middle,
                       const struct two_layers *l, struct mat delta)
{
    for (int begin = 0; begin < x.rows; begin += middle.rows) {
        int n = x.rows - begin < middle.rows ? x.rows - begin : middle.rows;
        struct mat tile = mat_rows(middle, 0, n), to = mat_rows(y, begin, n);
        k_matmul(q, tile, mat_rows(x, begin, n), l->fc1, l->fc1_b, l->act);
        if (delta.data)
            k_matmul_add(q, to, tile, l->fc2, l->fc2_b, mat_rows(delta, begin, n));
        else
            k_matmul(q, to, tile, l->fc2, l->fc2_b, ACT_NONE);
    }
}

static void mlp(struct queue *q, const struct vit *vit, int i, const struct work *w)
{
    const struct vit_layer *layer = &vit->layer[i];
    struct two_layers l = {layer->fc1, layer->fc2, layer->fc1_b, layer->fc2_b, ACT_GELU_TANH};
    k_layernorm(q, w->norm, w->x, layer->norm2_w, layer->norm2_b, VIT_EPS);
    if (q->trace) {
        two_layers(q, w->delta, w->norm, w->inner, &l, mat_none());
        k_trace(q, "vit.mlp", i, w->delta);
        k_add(q, w->x, w->delta);
    } else {
        two_layers(q, w->x, w->norm, w->inner, &l, w->delta);
    }
}

/* Patches come in merge order, so merge^2 tokens side by side are one visual token: no copy. */
static struct mat side_by_side(struct mat m, int cells)
{
    return mat_of(m.data, m.dtype, m.rows / cells, m.cols * cells);
}

static void merge(struct queue *q, const struct vit_config *c, const struct vit_merger *m,
                  const struct work *w, struct mat out)
{
    int cells = c->patch.merge * c->patch.merge;
    struct mat norm = side_by_side(w->norm, cells);
    struct two_layers l = {m->fc1, m->fc2, m->fc1_b, m->fc2_b, ACT_GELU_ERF};
    if (m->norm_merged)
        k_layernorm(q, norm, side_by_side(w->x, cells), m->norm_w, m->norm_b, VIT_EPS);
    else
        k_layernorm(q, w->norm, w->x, m->norm_w, m->norm_b, VIT_EPS);
    two_layers(q, mat_rows(out, w->mine.begin / cells, w->mine.n / cells), norm, w->merged, &l,
               mat_none());
    exchange(q, out, &w->mine, cells);
}

static void embed(struct queue *q, const struct vit *vit, const uint8_t *rgb, struct grid grid,
                  struct work *w)
{
    const struct vit_config *c = &vit->config;
    int n = grid.h * grid.w, cols = patch_cols(c);
    patch_extract(q->env->pool, &c->patch, rgb, grid,
                  host_mat_of(w->patches.host, c->compute, n, cols));
    mirror_send(q, w->patches);
    pack(q, c, grid, w);
    k_matmul(q, w->x,
             mat_rows(mat_of(w->patches.at, c->compute, n, cols), w->mine.begin, w->mine.n),
             vit->patch_w, vit->patch_b, ACT_NONE);
    k_trace(q, "vit.patch_embed", 0, w->x);
    k_blend(q, w->delta, vit->pos, w->corner, w->part);
    k_trace(q, "vit.pos", 0, w->delta);
    k_add(q, w->x, w->delta);
    k_angles(q, w->cos_sin, w->place, vit->rope_inverse);
    k_trace(q, "vit.cos_sin", 0, w->cos_sin);
}

static vlqa_status blocks(struct queue *q, const struct vit *vit, const struct work *w,
                          struct vit_out *out)
{
    const struct vit_config *c = &vit->config;
    for (int i = 0; i < c->depth; i++) {
        attention(q, vit, i, w);
        mlp(q, vit, i, w);
        k_trace(q, "vit.block", i, w->x);
        if (out->n_deep < c->n_deep && c->deep[out->n_deep] == i) {
            merge(q, c, &vit->deep[out->n_deep], w, out->deep[out->n_deep]);
            k_trace(q, "vit.deepstack", out->n_deep, out->deep[out->n_deep]);
            out->n_deep++;
        }
        TRY(comm_progress(q->ranks, q->env, "vision", i + 1, c->depth));
    }
    merge(q, c, &vit->merger, w, out->visual);
    k_trace(q, "vit.merger", 0, out->visual);
    return VLQA_OK;
}

vlqa_status vit_encode(struct queue *q, const struct vit *vit, const uint8_t *rgb, struct grid grid,
                       struct workspace *ws, struct vit_out *out)
{
    const struct vit_config *c = &vit->config;
    int merge = c->patch.merge;
    struct workspace_used mark = workspace_mark(ws);
    vlqa_status status, synced;
    struct work w = {0};
    assert(grid.h % merge == 0 && grid.w % merge == 0);
    work_layout(q->device, c, part_of(q, c, grid.h * grid.w), ws, &w);
    out->n_deep = 0;
    out->grid = (struct grid){grid.h / merge, grid.w / merge};
    embed(q, vit, rgb, grid, &w);
    status = blocks(q, vit, &w, out);
    synced = queue_sync(q);
    workspace_rewind(ws, mark);
    return status == VLQA_OK ? synced : status;
}
