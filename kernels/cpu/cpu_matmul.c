/* cpu_matmul.c - y = act(x w^T + bias) by dot products along rows of x and rows of w.
 *
 * Every (row, output) has its own accumulator, a vector that runs along the inputs in order and is
 * summed by a fixed tree. Tiles, panels and threads choose which products are computed together,
 * never how one is summed. Weights are read from where they are mapped. */
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_vec.h"

enum product { F32_F32, F32_BF16, F32_F16, BF16_BF16 }; /* x, w */

VEC_INLINE enum dtype product_x(enum product p)
{
    return p == BF16_BF16 ? DT_BF16 : DT_F32;
}

VEC_INLINE enum dtype product_w(enum product p)
{
    return p == F32_F32 ? DT_F32 : p == F32_F16 ? DT_F16 : DT_BF16;
}

VEC_INLINE vec load(enum product p, enum dtype dtype, const void *data)
{
    return p == BF16_BF16 ? vec_load_pairs(data) : vec_load(dtype, data);
}

VEC_INLINE vec load_n(enum product p, enum dtype dtype, const void *data, int n)
{
    return p == BF16_BF16 ? vec_load_pairs_n(data, n) : vec_load_n(dtype, data, n);
}

VEC_INLINE vec dot(enum product p, vec a, vec b, vec sum)
{
    return p == BF16_BF16 ? vec_dot_pairs(a, b, sum) : vec_madd(a, b, sum);
}

struct rows { /* consecutive rows of a matrix */
    const char *data;
    size_t stride; /* bytes */
};

VEC_INLINE struct rows rows_from(struct mat m, int row)
{
    return (struct rows){mat_at(m, row, 0), (size_t)m.stride * dtype_size(m.dtype)};
}

#define UNROLL _Pragma("GCC unroll 8")

/* p, rows and outs are constants where this is expanded, so the sums stay in registers. */
VEC_INLINE void tile(enum product p, int rows, int outs, float *out, int ld, struct rows x,
                     struct rows w, int in)
{
    const int step = p == BF16_BF16 ? VEC_PAIRS : VEC_LANES;
    const size_t x_size = dtype_size(product_x(p)), w_size = dtype_size(product_w(p));
    vec sum[VEC_TILE_ROWS][VEC_TILE_OUTS], b[VEC_TILE_OUTS];
    int k = 0;
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int o = 0; o < VEC_TILE_OUTS; o++) sum[r][o] =
        vec_zero();
    for (; k + step <= in; k += step) {
        UNROLL for (int o = 0; o < outs; o++) b[o] =
            load(p, product_w(p), w.data + (size_t)o * w.stride + (size_t)k * w_size);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec a = load(p, product_x(p), x.data + (size_t)r * x.stride + (size_t)k * x_size);
            UNROLL for (int o = 0; o < outs; o++) sum[r][o] = dot(p, a, b[o], sum[r][o]);
        }
    }
    if (k < in) {
        UNROLL for (int o = 0; o < outs; o++) b[o] =
            load_n(p, product_w(p), w.data + (size_t)o * w.stride + (size_t)k * w_size, in - k);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec a =
                load_n(p, product_x(p), x.data + (size_t)r * x.stride + (size_t)k * x_size, in - k);
            UNROLL for (int o = 0; o < outs; o++) sum[r][o] = dot(p, a, b[o], sum[r][o]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        float four[4];
        vec_sum4(four, sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        UNROLL for (int o = 0; o < outs; o++) out[r * ld + o] = four[o];
    }
}

/* Few rows of x, all rows of w. */
VEC_INLINE void strip(enum product p, int rows, float *out, int ld, struct rows x, struct mat w)
{
    int o = 0;
    for (; o + VEC_TILE_OUTS <= w.rows; o += VEC_TILE_OUTS)
        tile(p, rows, VEC_TILE_OUTS, out + o, ld, x, rows_from(w, o), w.cols);
    for (; o < w.rows; o++)
        tile(p, rows, 1, out + o, ld, x, rows_from(w, o), w.cols);
}

VEC_INLINE void panel(enum product p, float *out, int ld, struct mat x, struct mat w)
{
    int r = 0;
    for (; r + VEC_TILE_ROWS <= x.rows; r += VEC_TILE_ROWS)
        strip(p, VEC_TILE_ROWS, out + r * ld, ld, rows_from(x, r), w);
    for (; r + 2 <= x.rows; r += 2)
        strip(p, 2, out + r * ld, ld, rows_from(x, r), w);
    for (; r < x.rows; r++)
        strip(p, 1, out + r * ld, ld, rows_from(x, r), w);
}

static void dots(float *out, int ld, struct mat x, struct mat w)
{
    if (x.dtype == DT_BF16)
        panel(BF16_BF16, out, ld, x, w);
    else if (w.dtype == DT_BF16)
        panel(F32_BF16, out, ld, x, w);
    else if (w.dtype == DT_F16)
        panel(F32_F16, out, ld, x, w);
    else
        panel(F32_F32, out, ld, x, w);
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
    piece_store(dtype, y, sum, n);
}

#define PANEL_ROWS 96         /* a multiple of every VEC_TILE_ROWS */
#define PANEL_OUTS 64         /* at most */
#define PANEL_MIN 16          /* outputs; a smaller panel costs more than it spreads */
#define PANEL_BYTES (1 << 18) /* of weights: stay in the second-level cache */

struct work {
    float out[CPU_AMX ? AMX_PANEL_ROWS * AMX_PANEL_OUTS : PANEL_ROWS * PANEL_OUTS];
    struct amx_work amx;
};

struct job {
    struct backend *be;
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
    struct work *work = cpu_work(j->be, worker);
    for (int item = begin; item < end; item++) { /* neighbours share their weights */
        int row = item % j->row_panels * j->rows, out = item / j->row_panels * j->outs;
        struct mat x = mat_rows(j->x, row, min_int(j->rows, j->x.rows - row));
        struct mat w = mat_rows(j->w, out, min_int(j->outs, j->w.rows - out));
        if (CPU_AMX && j->amx)
            CPU(dots_amx)(work->out, j->outs, x, w, &work->amx);
        else
            dots(work->out, j->outs, x, w);
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
    int wanted = 4 * pool_threads(j->be->env->pool), least = j->amx ? 32 : PANEL_MIN;
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

void CPU(matmul)(struct backend *be, struct mat y, struct mat x, struct mat w, const float *bias,
                 enum act act)
{
    struct job j = {.be = be, .y = y, .x = x, .w = w, .bias = bias, .act = act};
    _Static_assert(sizeof(struct work) <= CPU_WORK_BYTES, "a worker's area holds a panel");
    if (x.rows == 0) return;
    j.amx = CPU_AMX && x.dtype == DT_BF16;
    choose_panels(&j);
    pool_for(be->env->pool, j.items, 1, run_panels, &j);
}
