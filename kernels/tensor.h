/* tensor.h - the views that operations take. Views own nothing and go by value.
 *
 * Two kinds of memory, two kinds of view. struct mat is device memory: only operations and copies
 * of a queue touch it. struct host_mat is host memory: only the program touches it. On the CPU both
 * are the same memory, and still a function that takes one does not take the other. */
#ifndef KERNELS_TENSOR_H
#define KERNELS_TENSOR_H

#include "base/dtype.h"

#include <assert.h>

struct mat { /* row-major; element (r, c) is at data + (r * stride + c) * size; device memory */
    void *data;
    enum dtype dtype;
    int rows, cols, stride; /* elements */
};

struct host_mat { /* row-major without gaps; host memory */
    void *data;
    enum dtype dtype;
    int rows, cols;
};

struct grid {
    int h, w; /* cells: patches in vision, visual tokens in text */
};

/* The slots a row sees: [0, head_end) and [tail_begin, tail_end), head_end <= tail_begin unless the
 * tail is empty. Causal row i: {0, 0, i + 1}. */
struct span {
    int32_t head_end, tail_begin, tail_end;
};

/* Small arrays that operations read: `at` on the device, and the same values on the host, which
 * asserts read. Both stay valid until the arena they came from is rewound. */
struct ints {
    const int32_t *host, *at;
    int n;
};

struct spans {
    const struct span *host, *at;
    int n;
};

enum act { ACT_NONE, ACT_GELU_TANH, ACT_GELU_ERF };

/* Weights of a product, [rows, cols] values: outputs and inputs. A device keeps them as its
 * products read them best, in blocks of WEIGHT_BLOCK rows one behind the other; nothing but its
 * operations looks inside. */
enum weight_format {
    WEIGHT_F32,
    WEIGHT_BF16,
    WEIGHT_F16,
    WEIGHT_INT8, /* -127..127 times the scale of the row, f32 */
    WEIGHT_INT4, /* scale (q - zero): q and zero 0..15, a bf16 scale for WEIGHT_GROUP columns */
    WEIGHT_FP8   /* e4m3 times a scale for WEIGHT_FP8_GROUP columns of the row, f32 */
};

#define WEIGHT_BLOCK 16 /* rows */
/* Columns that share scale and zero; the last group of a row may be shorter. */
#define WEIGHT_GROUP 32
#define WEIGHT_FP8_GROUP 128

struct weight {
    enum weight_format format;
    int rows, cols;
    void *data; /* device memory */
};

/* Rows of a weight on the host, dense: what a device makes its blocks of. */
struct weight_rows {
    enum weight_format format;
    int rows, cols;
    const void *value;   /* [rows, cols] float, uint16_t or, of integers and FP8, a byte each */
    const void *scale;   /* INT8: float [rows]; INT4: uint16_t, FP8: float [rows, groups] */
    const uint8_t *zero; /* INT4: [rows, groups] */
};

static inline int weight_groups(int cols)
{
    return cols / WEIGHT_GROUP + (cols % WEIGHT_GROUP != 0);
}

static inline int weight_fp8_groups(int cols)
{
    return cols / WEIGHT_FP8_GROUP + (cols % WEIGHT_FP8_GROUP != 0);
}

static inline struct mat mat_of(void *data, enum dtype dtype, int rows, int cols)
{
    struct mat m = {data, dtype, rows, cols, cols};
    return m;
}

static inline struct mat mat_none(void) /* where a matrix is optional */
{
    return mat_of(NULL, DT_F32, 0, 0);
}

static inline size_t mat_bytes(enum dtype dtype, int rows, int cols)
{
    return (size_t)rows * (size_t)cols * dtype_size(dtype);
}

static inline void *mat_at(struct mat m, int row, int col)
{
    size_t element = (size_t)row * (size_t)m.stride + (size_t)col;
    return (char *)m.data + element * dtype_size(m.dtype);
}

/* Columns of a row-quantised matrix of `cols` values a row: DT_ROW_INT8, each row the quantised
 * values -127..127, then, as f32, the scale of each of `heads` equal runs of them. A value is its
 * quantised value times the scale of its run. */
static inline int row_int8_cols(int cols, int heads)
{
    return cols + heads * (int)sizeof(float);
}

/* The same of DT_ROW_INT4. Each of `heads` equal runs is cut into groups of ROW_INT4_GROUP values,
 * the last of which may be shorter. A row is the quantised values 0..15 of all runs, two a byte,
 * the first one low, each run from a byte of its own on; then, for each group, as bf16, a step and
 * a base. A value is base + its quantised value times step. */
#define ROW_INT4_GROUP 32

static inline int row_int4_cols(int cols, int heads)
{
    int run = cols / heads, groups = (run + ROW_INT4_GROUP - 1) / ROW_INT4_GROUP;
    return heads * ((run + 1) / 2 + groups * 2 * (int)sizeof(uint16_t));
}

/* Columns of a matrix of that format, of `cols` values a row. */
static inline int row_cols(enum dtype dtype, int cols, int heads)
{
    return dtype == DT_ROW_INT8   ? row_int8_cols(cols, heads)
           : dtype == DT_ROW_INT4 ? row_int4_cols(cols, heads)
                                  : cols;
}

/* Rows [begin, begin + n). */
static inline struct mat mat_rows(struct mat m, int begin, int n)
{
    struct mat view = {mat_at(m, begin, 0), m.dtype, n, m.cols, m.stride};
    assert(begin >= 0 && n >= 0 && begin + n <= m.rows);
    return view;
}

/* Columns [begin, begin + n). */
static inline struct mat mat_cols(struct mat m, int begin, int n)
{
    struct mat view = {mat_at(m, 0, begin), m.dtype, m.rows, n, m.stride};
    assert(begin >= 0 && n >= 0 && begin + n <= m.cols);
    return view;
}

/* The same matrix of every layer, `step` bytes from one to the next. */
struct layers {
    struct mat first;
    size_t step;
};

static inline struct mat layers_at(struct layers l, int layer)
{
    l.first.data = (char *)l.first.data + (size_t)layer * l.step;
    return l.first;
}

static inline struct host_mat host_mat_of(void *data, enum dtype dtype, int rows, int cols)
{
    struct host_mat m = {data, dtype, rows, cols};
    return m;
}

static inline void *host_mat_at(struct host_mat m, int row, int col)
{
    size_t element = (size_t)row * (size_t)m.cols + (size_t)col;
    return (char *)m.data + element * dtype_size(m.dtype);
}

static inline struct host_mat host_mat_rows(struct host_mat m, int begin, int n)
{
    assert(begin >= 0 && n >= 0 && begin + n <= m.rows);
    m.data = host_mat_at(m, begin, 0);
    m.rows = n;
    return m;
}

/* One element as a float, of a matrix that is not quantised. */
static inline float host_mat_get(struct host_mat m, int row, int col)
{
    const void *at = host_mat_at(m, row, col);
    float f;
    uint16_t h;
    assert(!dtype_is_quantised(m.dtype));
    if (m.dtype == DT_F32) {
        memcpy(&f, at, sizeof f);
        return f;
    }
    memcpy(&h, at, sizeof h);
    return m.dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
}

static inline struct ints ints_from(struct ints v, int begin, int n)
{
    struct ints view = {v.host + begin, v.at + begin, n};
    assert(begin >= 0 && n >= 0 && begin + n <= v.n);
    return view;
}

static inline struct spans spans_from(struct spans v, int begin, int n)
{
    struct spans view = {v.host + begin, v.at + begin, n};
    assert(begin >= 0 && n >= 0 && begin + n <= v.n);
    return view;
}

#endif
