/* tensor.h - views that the operations take. Views own nothing and go by value. */
#ifndef KERNELS_TENSOR_H
#define KERNELS_TENSOR_H

#include "base/dtype.h"

#include <assert.h>

struct mat { /* row-major; element (r, c) is at data + (r * stride + c) * size */
    void *data;
    enum dtype dtype;
    int rows, cols, stride; /* elements */
};

struct grid {
    int h, w; /* cells: patches in vision, visual rows in text */
};

/* The slots a row sees: [0, head_end) and [tail_begin, tail_end), head_end <= tail_begin unless the
 * tail is empty. Causal row i: {0, 0, i + 1}. */
struct span {
    int32_t head_end, tail_begin, tail_end;
};

enum act { ACT_NONE, ACT_GELU_TANH, ACT_GELU_ERF };

static inline struct mat mat_of(void *data, enum dtype dtype, int rows, int cols)
{
    struct mat m = {data, dtype, rows, cols, cols};
    return m;
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

/* Columns of a packed matrix of `cols` values a row: DT_I8, each row the codes -127..127 of its
 * values, then, as f32, the scale of each of `heads` equal runs of them. A value is its code times
 * the scale of its run. */
static inline int packed_cols(int cols, int heads)
{
    return cols + heads * (int)sizeof(float);
}

/* One element as float, of a matrix that is not packed: for tables and tests, not for inner loops.
 */
static inline float mat_get(struct mat m, int row, int col)
{
    const void *at = mat_at(m, row, col);
    float f;
    uint16_t h;
    assert(m.dtype != DT_I8);
    if (m.dtype == DT_F32) {
        memcpy(&f, at, sizeof f);
        return f;
    }
    memcpy(&h, at, sizeof h);
    return m.dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
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

#endif
