/* cpu_rows.c - the operations that work on one row at a time. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_pack.h"

/* Rows a run must have so that waking a thread is worth it. */
static int rows_grain(int cols)
{
    return max_int(1, 16384 / max_int(cols, 1));
}

static void for_rows(struct queue *q, int rows, int cols, pool_fn fn, void *arg)
{
    if (rows > 0) pool_for(q->env->pool, rows, rows_grain(cols), fn, arg);
}

static void copy_row(struct mat dst, int dst_row, struct mat src, int src_row)
{
    float block[BLOCK];
    if (dst.dtype == src.dtype) {
        memcpy(mat_at(dst, dst_row, 0), mat_at(src, src_row, 0),
               (size_t)dst.cols * dtype_size(dst.dtype));
        return;
    }
    for (int c = 0; c < dst.cols; c += BLOCK) {
        int n = min_int(BLOCK, dst.cols - c);
        block_load(block, src.dtype, mat_at(src, src_row, c), n);
        block_store(dst.dtype, mat_at(dst, dst_row, c), block, n);
    }
}

struct copy {
    struct mat dst, src;
    const int32_t *index;
};

static void gather_rows(void *arg, int begin, int end, int worker)
{
    const struct copy *a = arg;
    (void)worker;
    for (int i = begin; i < end; i++)
        if (a->index[i] >= 0) copy_row(a->dst, i, a->src, a->index[i]);
}

void CPU(gather)(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct copy a = {dst, src, index.at};
    for_rows(q, dst.rows, dst.cols, gather_rows, &a);
}

struct embed {
    struct queue *q;
    struct mat dst;
    struct weight src;
    const int32_t *index;
};

static void embed_rows(void *arg, int begin, int end, int worker)
{
    const struct embed *a = arg;
    float *row = cpu_work(a->q, worker);
    assert((size_t)a->src.cols * sizeof *row <= CPU_WORK_BYTES);
    for (int i = begin; i < end; i++) {
        if (a->index[i] < 0) continue;
        cpu_weight_row(row, &a->src, a->index[i]);
        block_store(a->dst.dtype, mat_at(a->dst, i, 0), row, a->dst.cols);
    }
}

void CPU(embed)(struct queue *q, struct mat dst, struct weight src, struct ints index)
{
    struct embed a = {q, dst, src, index.at};
    for_rows(q, dst.rows, 4 * dst.cols, embed_rows, &a);
}

static void scatter_rows(void *arg, int begin, int end, int worker)
{
    const struct copy *a = arg;
    (void)worker;
    for (int i = begin; i < end; i++)
        if (a->index[i] >= 0) copy_row(a->dst, a->index[i], a->src, i);
}

void CPU(scatter)(struct queue *q, struct mat dst, struct ints index, struct mat src)
{
    struct copy a = {dst, src, index.at};
    for_rows(q, src.rows, src.cols, scatter_rows, &a);
}

static void add_row(float *dst, enum dtype dtype, const void *src, int n)
{
    float block[BLOCK];
    for (int c = 0; c < n; c += BLOCK) {
        int m = min_int(BLOCK, n - c);
        block_load(block, dtype, (const char *)src + (size_t)c * dtype_size(dtype), m);
        for (int i = 0; i < m; i++)
            dst[c + i] += block[i];
    }
}

static void add_rows(void *arg, int begin, int end, int worker)
{
    const struct copy *a = arg;
    (void)worker;
    for (int i = begin; i < end; i++) {
        int row = a->index ? a->index[i] : i;
        if (row >= 0)
            add_row(mat_at(a->dst, i, 0), a->src.dtype, mat_at(a->src, row, 0), a->dst.cols);
    }
}

void CPU(add)(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct copy a = {dst, src, index.at};
    for_rows(q, dst.rows, dst.cols, add_rows, &a);
}

struct norm {
    struct mat y, x;
    const float *w, *b;
    int n; /* values that are normalised together */
    float eps;
};

static float sum_of(const float *x, int n)
{
    float part[PARTS] = {0};
    int i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int l = 0; l < PARTS; l++)
            part[l] += x[i + l];
    for (int l = 0; i + l < n; l++)
        part[l] += x[i + l];
    return parts_sum(part);
}

static void norm_run(const struct norm *a, int row, int col)
{
    const float *x = mat_at(a->x, row, col);
    float block[BLOCK], n = (float)a->n;
    float mean = a->b ? sum_of(x, a->n) / n : 0.0f;
    float scale = 1.0f / sqrtf(squares_sum(x, mean, a->n) / n + a->eps);
    for (int c = 0; c < a->n; c += BLOCK) {
        int m = min_int(BLOCK, a->n - c);
        if (a->b)
            for (int i = 0; i < m; i++)
                block[i] = madd((x[c + i] - mean) * scale, a->w[c + i], a->b[c + i]);
        else
            for (int i = 0; i < m; i++)
                block[i] = x[c + i] * scale * a->w[c + i];
        block_store(a->y.dtype, mat_at(a->y, row, col + c), block, m);
    }
}

static void norm_rows(void *arg, int begin, int end, int worker)
{
    const struct norm *a = arg;
    (void)worker;
    for (int row = begin; row < end; row++)
        for (int col = 0; col < a->x.cols; col += a->n)
            norm_run(a, row, col);
}

void CPU(rmsnorm)(struct queue *q, struct mat y, struct mat x, struct mat w, float eps)
{
    struct norm a = {y, x, w.data, NULL, w.cols, eps};
    for_rows(q, x.rows, x.cols, norm_rows, &a);
}

void CPU(layernorm)(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                    float eps)
{
    struct norm a = {y, x, w.data, b.data, x.cols, eps};
    for_rows(q, x.rows, x.cols, norm_rows, &a);
}

struct rope {
    struct mat y, x, cos_sin;
    int heads;
};

static void rope_head(const struct rope *a, int row, int head)
{
    int half = a->cos_sin.cols / 2, col = head * 2 * half;
    const float *cosine = mat_at(a->cos_sin, row, 0), *sine = cosine + half;
    float u[BLOCK], v[BLOCK], lo[BLOCK], hi[BLOCK];
    for (int c = 0; c < half; c += BLOCK) {
        int n = min_int(BLOCK, half - c);
        block_load(u, a->x.dtype, mat_at(a->x, row, col + c), n);
        block_load(v, a->x.dtype, mat_at(a->x, row, col + c + half), n);
        for (int i = 0; i < n; i++) {
            lo[i] = madd(u[i], cosine[c + i], -(v[i] * sine[c + i]));
            hi[i] = madd(v[i], cosine[c + i], u[i] * sine[c + i]);
        }
        block_store(a->y.dtype, mat_at(a->y, row, col + c), lo, n);
        block_store(a->y.dtype, mat_at(a->y, row, col + c + half), hi, n);
    }
}

static void rope_rows(void *arg, int begin, int end, int worker)
{
    const struct rope *a = arg;
    (void)worker;
    for (int row = begin; row < end; row++)
        for (int head = 0; head < a->heads; head++)
            rope_head(a, row, head);
}

void CPU(rope)(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin)
{
    struct rope a = {y, x, cos_sin, heads};
    for_rows(q, x.rows, x.cols, rope_rows, &a);
}

static void swiglu_rows(void *arg, int begin, int end, int worker)
{
    const struct copy *a = arg;
    int cols = a->dst.cols;
    float block[BLOCK];
    (void)worker;
    for (int row = begin; row < end; row++) {
        const float *gate = mat_at(a->src, row, 0), *up = gate + cols;
        for (int c = 0; c < cols; c += BLOCK) {
            int n = min_int(BLOCK, cols - c);
            for (int i = 0; i < n; i++)
                block[i] = silu_f32(gate[c + i]) * up[c + i];
            block_store(a->dst.dtype, mat_at(a->dst, row, c), block, n);
        }
    }
}

void CPU(swiglu)(struct queue *q, struct mat y, struct mat gate_up)
{
    struct copy a = {y, gate_up, NULL};
    for_rows(q, y.rows, gate_up.cols, swiglu_rows, &a);
}

struct angles {
    struct mat cos_sin, inverse;
    const int32_t *at;
};

static void angle_rows(void *arg, int begin, int end, int worker)
{
    const struct angles *a = arg;
    int axes = a->inverse.rows, half = a->inverse.cols;
    (void)worker;
    for (int row = begin; row < end; row++) {
        const int32_t *at = a->at + (size_t)row * (size_t)axes;
        float *cosine = mat_at(a->cos_sin, row, 0), *sine = cosine + half;
        for (int i = 0; i < half; i++) {
            float angle = 0;
            for (int axis = 0; axis < axes; axis++)
                angle += (float)at[axis] * *(const float *)mat_at(a->inverse, axis, i);
            cosine[i] = (float)cos((double)angle);
            sine[i] = (float)sin((double)angle);
        }
    }
}

void CPU(angles)(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse)
{
    struct angles a = {cos_sin, inverse, at.at};
    for_rows(q, cos_sin.rows, 16 * cos_sin.cols, angle_rows, &a);
}

struct blend {
    struct mat dst, src, part;
    const int32_t *index;
};

static void blend_rows(void *arg, int begin, int end, int worker)
{
    const struct blend *a = arg;
    int parts = a->part.cols;
    float block[BLOCK];
    (void)worker;
    for (int row = begin; row < end; row++) {
        const int32_t *index = a->index + (size_t)row * (size_t)parts;
        const float *part = mat_at(a->part, row, 0);
        float *dst = mat_at(a->dst, row, 0);
        memset(dst, 0, (size_t)a->dst.cols * sizeof *dst);
        for (int j = 0; j < parts; j++)
            for (int c = 0; c < a->dst.cols; c += BLOCK) {
                int n = min_int(BLOCK, a->dst.cols - c);
                block_load(block, a->src.dtype, mat_at(a->src, index[j], c), n);
                for (int i = 0; i < n; i++)
                    dst[c + i] += part[j] * block[i];
            }
    }
}

void CPU(blend)(struct queue *q, struct mat dst, struct mat src, struct ints index, struct mat part)
{
    struct blend a = {dst, src, part, index.at};
    for_rows(q, dst.rows, 4 * dst.cols, blend_rows, &a);
}

void CPU(heads)(struct queue *q, const struct heads *h)
{
    struct mat turned = h->slot.n ? h->raw : h->out, kept = h->raw;
    CPU(rmsnorm)(q, h->raw, h->x, h->norm, h->eps);
    if (h->kept.data) {
        if (dtype_is_quantised(h->kept.dtype)) {
            CPU(quantize)(q, h->packed, h->raw, h->heads);
            kept = h->packed;
        }
        CPU(scatter)(q, h->kept, h->kept_row, kept);
    }
    CPU(rope)(q, turned, h->raw, h->heads, h->cos_sin);
    if (h->slot.n) CPU(scatter)(q, h->out, h->slot, turned);
}
