/* cpu_matmul.c - y = act(x w^T + bias) by dot products along rows of x and rows of w.
 *
 * Every (row, output) has its own accumulator, a vector that runs along the inputs in order and is
 * summed by a fixed tree. Tiles, panels and threads choose which products are computed together,
 * never how one is summed. Weights are read as the files have them. */
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_vec.h"

#define PANEL_ROWS 96         /* a multiple of every VEC_TILE_ROWS */
#define PANEL_MIN 16          /* outputs; a smaller panel costs more than it spreads */
#define PANEL_BYTES (1 << 18) /* of weights: stay in the second-level cache */
#define CHUNK_BYTES 4096      /* of a row of x */

enum product { F32_F32, F32_BF16, F32_F16, BF16_BF16 }; /* x, w */

VEC_INLINE enum dtype product_x(enum product p)
{
    return p == BF16_BF16 ? DT_BF16 : DT_F32;
}

VEC_INLINE enum dtype product_w(enum product p)
{
    return p == F32_F32 ? DT_F32 : p == F32_F16 ? DT_F16 : DT_BF16;
}

VEC_INLINE int product_step(enum product p) /* inputs of a vector */
{
    return p == BF16_BF16 ? VEC_PAIRS : VEC_LANES;
}

VEC_INLINE vec load(enum product p, enum dtype dtype, const void *data, int n)
{
    if (n == product_step(p)) return p == BF16_BF16 ? vec_load_pairs(data) : vec_load(dtype, data);
    return p == BF16_BF16 ? vec_load_pairs_n(data, n) : vec_load_n(dtype, data, n);
}

VEC_INLINE vec dot(enum product p, vec a, vec b, vec sum)
{
    return p == BF16_BF16 ? vec_dot_pairs(a, b, sum) : vec_madd(a, b, sum);
}

struct rows { /* consecutive rows of a matrix, from a column on */
    const char *data;
    size_t stride; /* bytes */
};

VEC_INLINE struct rows rows_at(struct mat m, int row, int col)
{
    return (struct rows){mat_at(m, row, col), (size_t)m.stride * dtype_size(m.dtype)};
}

/* Below, p, rows and outs are constants where functions are expanded: sums stay in registers. */

struct sums { /* of a register tile */
    vec at[VEC_TILE_ROWS][VEC_TILE_OUTS];
};

/* Adds n inputs, a vector of them or the rest, from k on. */
VEC_INLINE void add_inputs(enum product p, int rows, int outs, struct sums *sum, struct rows x,
                           struct rows w, int k, int n)
{
    const enum dtype x_dtype = product_x(p), w_dtype = product_w(p);
    const char *from_x = x.data + (size_t)k * dtype_size(x_dtype);
    const char *from_w = w.data + (size_t)k * dtype_size(w_dtype);
    vec b[VEC_TILE_OUTS];
    VEC_EACH(o, outs)
    {
        b[o] = load(p, w_dtype, from_w + (size_t)o * w.stride, n);
    }
    VEC_EACH(r, rows)
    {
        vec a = load(p, x_dtype, from_x + (size_t)r * x.stride, n);
        VEC_EACH(o, outs)
        {
            sum->at[r][o] = dot(p, a, b[o], sum->at[r][o]);
        }
    }
}

VEC_INLINE void sums_copy(int rows, struct sums *dst, const struct sums *src) /* NULL: zeros */
{
    VEC_EACH(r, rows)
    {
        VEC_EACH(o, VEC_TILE_OUTS)
        {
            dst->at[r][o] = src ? src->at[r][o] : vec_zero();
        }
    }
}

VEC_INLINE void sums_end(int rows, int outs, float *out, int ld, const struct sums *sum)
{
    VEC_EACH(r, rows)
    {
        const vec *s = sum->at[r];
        float four[VEC_TILE_OUTS];
        vec_sum4(four, s[0], s[1], s[2], s[3]);
        VEC_EACH(o, outs)
        {
            out[r * ld + o] = four[o];
        }
    }
}

struct chunk { /* of the inputs */
    int n, first, last;
};

VEC_INLINE void tile(enum product p, int rows, int outs, float *out, int ld, struct rows x,
                     struct rows w, struct chunk c, struct sums *kept)
{
    const int step = product_step(p);
    struct sums sum;
    int k = 0;
    sums_copy(rows, &sum, c.first ? NULL : kept);
    for (; k + step <= c.n; k += step)
        add_inputs(p, rows, outs, &sum, x, w, k, step);
    if (k < c.n) add_inputs(p, rows, outs, &sum, x, w, k, c.n - k);
    if (c.last)
        sums_end(rows, outs, out, ld, &sum);
    else
        sums_copy(rows, kept, &sum);
}

/* Few rows of x, all rows of w. Inputs come in chunks, so that the rows of x stay in the
 * first-level cache; between chunks the sums are kept as they are. */
VEC_INLINE void strip(enum product p, int rows, float *out, int ld, struct mat x, int row,
                      struct mat w, struct sums *kept)
{
    const int chunk = CHUNK_BYTES / (int)dtype_size(product_x(p));
    for (int k = 0; k < w.cols; k += chunk) {
        struct chunk c = {min_int(chunk, w.cols - k), k == 0, w.cols - k <= chunk};
        struct rows from = rows_at(x, row, k);
        struct sums *next = kept;
        int o = 0;
        for (; o + VEC_TILE_OUTS <= w.rows; o += VEC_TILE_OUTS)
            tile(p, rows, VEC_TILE_OUTS, out + o, ld, from, rows_at(w, o, k), c, next++);
        for (; o < w.rows; o++)
            tile(p, rows, 1, out + o, ld, from, rows_at(w, o, k), c, next++);
    }
}

VEC_INLINE void panel(enum product p, float *out, int ld, struct mat x, struct mat w,
                      struct sums *kept)
{
    int r = 0;
    for (; r + VEC_TILE_ROWS <= x.rows; r += VEC_TILE_ROWS)
        strip(p, VEC_TILE_ROWS, out + r * ld, ld, x, r, w, kept);
    for (; r + 2 <= x.rows; r += 2)
        strip(p, 2, out + r * ld, ld, x, r, w, kept);
    for (; r < x.rows; r++)
        strip(p, 1, out + r * ld, ld, x, r, w, kept);
}

static void dots(float *out, int ld, struct mat x, struct mat w, struct sums *kept)
{
    if (x.dtype == DT_BF16)
        panel(BF16_BF16, out, ld, x, w, kept);
    else if (w.dtype == DT_BF16)
        panel(F32_BF16, out, ld, x, w, kept);
    else if (w.dtype == DT_F16)
        panel(F32_F16, out, ld, x, w, kept);
    else
        panel(F32_F32, out, ld, x, w, kept);
}

static void finish_row(enum dtype dtype, void *y, float *sum, const float *bias, enum act act,
                       int n)
{
    if (bias)
        for (int i = 0; i < n; i++)
            sum[i] += bias[i];
    switch (act) {
    case ACT_NONE:
        break;
    case ACT_GELU_TANH:
        for (int i = 0; i < n; i++)
            sum[i] = gelu_tanh_f32(sum[i]);
        break;
    case ACT_GELU_ERF:
        for (int i = 0; i < n; i++)
            sum[i] = gelu_erf_f32(sum[i]);
        break;
    }
    block_store(dtype, y, sum, n);
}

struct work {
    float out[CPU_AMX ? AMX_PANEL_ROWS * AMX_PANEL_OUTS : PANEL_ROWS * PANEL_OUTS];
    struct sums kept[PANEL_OUTS / VEC_TILE_OUTS + VEC_TILE_OUTS];
    struct amx_work amx;
};

void CPU(dots)(const struct queue *q, int worker, float *out, int ld, struct mat x, struct mat w)
{
    struct work *work = cpu_work(q, worker);
    assert(w.rows <= PANEL_OUTS && x.dtype == DT_F32);
    dots(out, ld, x, w, work->kept);
}

struct job {
    struct queue *q;
    struct mat y, x, w;
    const float *bias;
    enum act act;
    int amx;
    int rows, outs; /* of a panel */
    int row_panels, items;
};

static void run_panels(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    struct work *work = cpu_work(j->q, worker);
    for (int item = begin; item < end; item++) { /* neighbours share their weights */
        int row = item % j->row_panels * j->rows, out = item / j->row_panels * j->outs;
        struct mat x = mat_rows(j->x, row, min_int(j->rows, j->x.rows - row));
        struct mat w = mat_rows(j->w, out, min_int(j->outs, j->w.rows - out));
        if (CPU_AMX && j->amx)
            CPU(dots_amx)(work->out, j->outs, x, w, &work->amx);
        else
            dots(work->out, j->outs, x, w, work->kept);
        for (int r = 0; r < x.rows; r++)
            finish_row(j->y.dtype, mat_at(j->y, row + r, out), work->out + r * j->outs,
                       j->bias ? j->bias + out : NULL, j->act, w.rows);
    }
}

static int panels(int n, int size)
{
    return n / size + (n % size != 0);
}

/* Large panels for reuse, smaller ones while threads would wait for each other. */
static void choose_panels(struct job *j)
{
    int wanted = 4 * pool_threads(j->q->env->pool), least = j->amx ? 32 : PANEL_MIN;
    int row_bytes = j->w.cols * (int)dtype_size(j->w.dtype);
    j->rows = j->amx ? AMX_PANEL_ROWS : PANEL_ROWS;
    j->outs = j->amx ? AMX_PANEL_OUTS : PANEL_OUTS;
    j->row_panels = panels(j->x.rows, j->rows);
    while (!j->amx && j->outs > least && j->outs > PANEL_BYTES / row_bytes)
        j->outs /= 2;
    while (j->outs > least && j->row_panels * panels(j->w.rows, j->outs) < wanted)
        j->outs /= 2;
    j->items = j->row_panels * panels(j->w.rows, j->outs);
}

void CPU(matmul)(struct queue *q, struct mat y, struct mat x, struct weight w, struct mat bias,
                 enum act act)
{
    struct job j = {.q = q, .y = y, .x = x, .w = cpu_weight(w), .bias = bias.data, .act = act};
    _Static_assert(sizeof(struct work) <= CPU_WORK_BYTES, "a worker's area holds a panel");
    if (x.rows == 0) return;
    j.amx = CPU_AMX && x.dtype == DT_BF16;
    choose_panels(&j);
    pool_for(q->env->pool, j.items, 1, run_panels, &j);
}
