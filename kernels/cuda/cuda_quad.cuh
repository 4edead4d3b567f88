/* cuda_quad.cuh - how operations on rows move memory: four neighbouring values, a quad, a thread.
 *
 * A quad is one access of 16 bytes (8 of 16-bit values) where rows begin on 16 bytes and have whole
 * quads, else one by one (WIDE or not). Both make the same values in the same order, so which one
 * runs changes no bit. */
#ifndef KERNELS_CUDA_CUDA_QUAD_CUH
#define KERNELS_CUDA_CUDA_QUAD_CUH

#include "kernels/cuda/cuda.cuh"

enum { QUAD = 4, MOST_THREADS = 256 }; /* of a block */

struct quad {
    float at[QUAD];
};

DEVICE float half_float(enum dtype dtype, uint32_t h)
{
    return dtype == DT_BF16 ? bf16_float((uint16_t)h) : f16_float((uint16_t)h);
}

/* n values, 1 to QUAD, from (row, col) on; zeros behind them. */
template <bool WIDE> DEVICE struct quad quad_load(struct mat m, int row, int col, int n)
{
    struct quad q = {{0, 0, 0, 0}};
    if constexpr (WIDE) {
        size_t at = element_of(m, row, col);
        if (m.dtype == DT_F32) {
            struct float4 v = ptx::load<struct float4>((const float *)m.data + at);
            q.at[0] = v.x, q.at[1] = v.y, q.at[2] = v.z, q.at[3] = v.w;
        } else {
            struct uint2 v = ptx::load<struct uint2>((const uint16_t *)m.data + at);
            q.at[0] = half_float(m.dtype, v.x & 0xffffu), q.at[1] = half_float(m.dtype, v.x >> 16);
            q.at[2] = half_float(m.dtype, v.y & 0xffffu), q.at[3] = half_float(m.dtype, v.y >> 16);
        }
    } else {
        UNROLL for (int i = 0; i < QUAD; i++) if (i < n) q.at[i] = mat_load(m, row, col + i);
    }
    return q;
}

template <bool WIDE>
DEVICE void quad_store(struct mat m, int row, int col, int n, struct quad q) /* f32 or bf16 */
{
    if constexpr (WIDE) {
        size_t at = element_of(m, row, col);
        struct float4 f = {q.at[0], q.at[1], q.at[2], q.at[3]};
        struct uint2 h = {ptx::pack_bf16(f.x, f.y), ptx::pack_bf16(f.z, f.w)};
        if (m.dtype == DT_F32)
            ptx::store((float *)m.data + at, f);
        else
            ptx::store((uint16_t *)m.data + at, h);
    } else {
        UNROLL for (int i = 0; i < QUAD; i++) if (i < n) mat_store(m, row, col + i, q.at[i]);
    }
}

/* One side of pairs that are turned by angles: u cos + sign v sin. */
DEVICE struct quad turned(struct quad u, struct quad v, struct quad c, struct quad s, float sign)
{
    struct quad y;
    UNROLL for (int i = 0; i < QUAD; i++) y.at[i] = u.at[i] * c.at[i] + sign * (v.at[i] * s.at[i]);
    return y;
}

static inline bool on_16(struct mat m) /* all rows of m begin there */
{
    return (uintptr_t)m.data % 16 == 0 && (size_t)m.stride * dtype_size(m.dtype) % 16 == 0;
}

/* ---- rows cut into pieces, a thread each ---- */

/* Of a launch: many threads a row where there are few rows, and several rows a block where they are
 * short. */
struct cut {
    int rows, pieces;           /* pieces of a row */
    int threads, blocks, share; /* of a row; rows of a block */
};

static inline struct cut cut_of(int rows, int pieces)
{
    struct cut c = {rows, pieces, (pieces + LANES - 1) / LANES * LANES, 1, 1};
    if (c.threads > MOST_THREADS) c.threads = MOST_THREADS;
    c.blocks = (pieces + c.threads - 1) / c.threads;
    if (c.blocks == 1) c.share = MOST_THREADS / 2 / c.threads;
    if (c.share < 1) c.share = 1;
    if (c.share > rows) c.share = rows;
    return c;
}

static inline dim3 cut_grid(struct cut c)
{
    return dim3((unsigned)((c.rows + c.share - 1) / c.share * c.blocks));
}

static inline int cut_threads(struct cut c)
{
    return c.threads * c.share;
}

DEVICE int cut_row(struct cut c)
{
    return (int)blockIdx.x / c.blocks * c.share + (int)threadIdx.x / c.threads;
}

/* The piece of this thread; not below c.pieces where it has none. */
DEVICE int cut_piece(struct cut c)
{
    int piece = (int)blockIdx.x % c.blocks * c.threads + (int)threadIdx.x % c.threads;
    return cut_row(c) < c.rows ? piece : c.pieces;
}

static inline int quads_of(int n)
{
    return (n + QUAD - 1) / QUAD;
}

DEVICE int quad_values(int n, int col) /* of a row of n */
{
    return n - col < QUAD ? n - col : QUAD;
}

#endif
