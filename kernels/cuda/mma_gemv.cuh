/* mma_gemv.cuh - products of 1 to 16 rows on tensor cores, at the speed of memory: bf16 rows times
 * weights of bf16, int8, int4 or FP8.
 *
 * A warp, which is a block, has 16 outputs (a block of the weight) and goes through all inputs in
 * ascending order; nothing is split or summed across warps. Weights are the left side of the
 * product and rows the right one, so a row's sums have the same bits whatever rows are beside it.
 * Pieces of the weight come through a ring in shared memory, many of them on their way at a time.
 */
#ifndef KERNELS_CUDA_MMA_GEMV_CUH
#define KERNELS_CUDA_MMA_GEMV_CUH

#include "kernels/cuda/launch_list.cuh"
#include "kernels/ops.h"

namespace mma
{
enum {
    OUTPUTS = WEIGHT_BLOCK, /* of a warp */
    MOST_ROWS = 16,
    RING = 8 /* pieces */
};

struct gemv {
    struct mat y, x;    /* y f32 or bf16 [n, outputs]; x bf16 [n, inputs], n <= 16 */
    struct weight w;    /* as cuda_weight.cuh lays it out */
    const float *bias;  /* [outputs], or NULL */
    bool adds;          /* to y, which is f32 */
    size_t block;       /* bytes of 16 outputs */
    size_t scale, zero; /* where they begin in it */
};

struct gemv_list { /* products of one x and format, blocks of the first one first */
    struct gemv of[PRODUCTS_MOST];
    int first[PRODUCTS_MOST]; /* block; of no product: blocks */
    int blocks;
};

/* ---- pieces: so many inputs of 16 outputs and of all rows ---- */

HOST_DEVICE constexpr bool is_byte(int format)
{
    return format == WEIGHT_INT8 || format == WEIGHT_FP8;
}

/* Rows are longer than they need be, so that lanes that read them at once find other banks. */
template <int FORMAT> struct piece_of { /* of FP8: a group */
    enum {
        INPUTS = FORMAT == WEIGHT_BF16 ? 64 : 128,
        BYTES = FORMAT == WEIGHT_INT4 ? 64 : 128,
        STRIDE = BYTES + (is_byte(FORMAT) ? 32 : 16),
        X_STRIDE = INPUTS + (FORMAT == WEIGHT_BF16 ? 8 : 32)
    };
};

template <int FORMAT, int ROWS> struct piece {
    uint8_t w[OUTPUTS][piece_of<FORMAT>::STRIDE];
    uint16_t x[ROWS][piece_of<FORMAT>::X_STRIDE];
};

template <int FORMAT, int ROWS> struct gemv_shared {
    struct piece<FORMAT, ROWS> ring[RING];
};

/* Bytes of a row of the weight. */
template <int FORMAT> DEVICE int row_bytes(int inputs)
{
    return FORMAT == WEIGHT_BF16 ? inputs * 2 : is_byte(FORMAT) ? inputs : inputs / 2;
}

/* The piece from input `first` on; zeros behind the last input and the last row. */
template <int FORMAT, int ROWS>
DEVICE void load_piece(struct piece<FORMAT, ROWS> &to, const struct gemv &a, const uint8_t *block,
                       int first)
{
    typedef piece_of<FORMAT> shape;
    const int parts = shape::BYTES / 16, x_parts = shape::INPUTS / 8;
    int bytes = row_bytes<FORMAT>(a.w.cols), begin = row_bytes<FORMAT>(first);
    int lane = (int)threadIdx.x;
    UNROLL for (int i = lane; i < OUTPUTS * parts; i += 32)
    {
        int at = begin + i % parts * 16;
        bool fill = at >= bytes;
        const uint8_t *from = block + (size_t)(i / parts) * (size_t)bytes + (fill ? 0 : at);
        ptx::cp_async16(&to.w[i / parts][i % parts * 16], from, fill);
    }
    UNROLL for (int i = lane; i < ROWS * x_parts; i += 32)
    {
        int row = i / x_parts, col = first + i % x_parts * 8;
        bool fill = row >= a.x.rows || col >= a.x.cols;
        size_t at = fill ? 0 : (size_t)row * (size_t)a.x.stride + (size_t)col;
        ptx::cp_async16(&to.x[row][i % x_parts * 8], (const uint16_t *)a.x.data + at, fill);
    }
}

/* ---- a piece into sums: sum[t] of the outputs lane / 4 + 8 and rows 8 t + lane % 4 * 2 + {0, 1}
 * ---- */

template <int ROWS> struct gemv_sums {
    float at[ROWS / 8][4];
};

template <int ROWS>
DEVICE void multiply_bf16(struct gemv_sums<ROWS> &sum, const struct piece<WEIGHT_BF16, ROWS> &p)
{
    int lane = (int)threadIdx.x;
    UNROLL for (int k = 0; k < piece_of<WEIGHT_BF16>::INPUTS; k += 16)
    {
        uint32_t w[4], x[4];
        ptx::ldsm4(w, &p.w[lane % 16][k * 2 + lane / 16 * 16]);
        /* Eight rows have two blocks of 8 x 8; 16 have four. */
        ptx::ldsm4(x, &p.x[lane / 16 * 8 % ROWS + lane % 8][k + lane / 8 % 2 * 8]);
        UNROLL for (int t = 0; t < ROWS / 8; t++)
            ptx::mma_bf16(sum.at[t], w, x[2 * t], x[2 * t + 1]);
    }
}

DEVICE uint32_t two_bf16(int lo, int hi) /* exact up to 256 */
{
    return ptx::pack_bf16((float)lo, (float)hi);
}

DEVICE uint32_t two_bf16(float lo, float hi) /* of e4m3: exact */
{
    return ptx::pack_bf16(lo, hi);
}

/* A byte of a weight without its scale. */
template <int FORMAT> DEVICE auto byte_code(uint32_t byte)
{
    if constexpr (FORMAT == WEIGHT_FP8)
        return e4m3_float((uint8_t)byte);
    else
        return (int)(int8_t)byte;
}

/* 32 inputs whose values are small whole numbers or e4m3. A lane holds inputs 8 q to 8 q + 7 of its
 * two outputs, q = lane % 4: the first four go into one product and the others into a second one,
 * and the rows' inputs are read in the same order. */
template <int ROWS, class CODE>
DEVICE void multiply_codes(struct gemv_sums<ROWS> &sum, const uint16_t (*x)[160], int k, CODE code)
{
    int lane = (int)threadIdx.x, q = lane % 4 * 8;
    uint32_t x2[ROWS / 8][4];
    UNROLL for (int t = 0; t < ROWS / 8; t++)
    {
        struct uint4 v = *(const struct uint4 *)&x[8 * t + lane / 4][k + q];
        x2[t][0] = v.x, x2[t][1] = v.y, x2[t][2] = v.z, x2[t][3] = v.w;
    }
    UNROLL for (int half = 0; half < 2; half++)
    {
        uint32_t w[4];
        int i = half * 4;
        w[0] = two_bf16(code(0, i), code(0, i + 1)), w[1] = two_bf16(code(1, i), code(1, i + 1));
        w[2] = two_bf16(code(0, i + 2), code(0, i + 3));
        w[3] = two_bf16(code(1, i + 2), code(1, i + 3));
        UNROLL for (int t = 0; t < ROWS / 8; t++)
            ptx::mma_bf16(sum.at[t], w, x2[t][half * 2], x2[t][half * 2 + 1]);
    }
}

template <int FORMAT, int ROWS>
DEVICE void multiply_bytes(struct gemv_sums<ROWS> &sum, const struct piece<FORMAT, ROWS> &p)
{
    int lane = (int)threadIdx.x;
    UNROLL for (int k = 0; k < piece_of<FORMAT>::INPUTS; k += 32)
    {
        struct uint2 w[2];
        UNROLL for (int r = 0; r < 2; r++) w[r] =
            *(const struct uint2 *)&p.w[lane / 4 + 8 * r][k + lane % 4 * 8];
        multiply_codes<ROWS>(sum, p.x, k, [&](int r, int i) {
            return byte_code<FORMAT>((i < 4 ? w[r].x : w[r].y) >> i % 4 * 8);
        });
    }
}

/* A group is summed by itself; the sum times the scale is added to those of the groups before. */
template <int ROWS>
DEVICE void multiply_fp8(struct gemv_sums<ROWS> &sum, const struct piece<WEIGHT_FP8, ROWS> &p,
                         const struct gemv &a, const uint8_t *block, int first)
{
    struct gemv_sums<ROWS> group;
    int o = (int)threadIdx.x / 4;
    int groups = (a.w.cols + WEIGHT_FP8_GROUP - 1) / WEIGHT_FP8_GROUP;
    const float *scale = (const float *)(block + a.scale) + first / WEIGHT_FP8_GROUP;
    UNROLL for (int t = 0; t < ROWS / 8; t++) UNROLL for (int c = 0; c < 4; c++) group.at[t][c] = 0;
    multiply_bytes<WEIGHT_FP8, ROWS>(group, p);
    UNROLL for (int t = 0; t < ROWS / 8; t++) UNROLL for (int c = 0; c < 4; c++) sum.at[t][c] =
        __fmaf_rn(group.at[t][c], scale[(o + c / 2 * 8) * groups], sum.at[t][c]);
}

/* As multiply_fp8, with groups of 32. */
template <int ROWS>
DEVICE void multiply_int4(struct gemv_sums<ROWS> &sum, const struct piece<WEIGHT_INT4, ROWS> &p,
                          const struct gemv &a, const uint8_t *block, int first)
{
    int lane = (int)threadIdx.x, groups = a.w.cols / WEIGHT_GROUP;
    UNROLL for (int k = 0; k < piece_of<WEIGHT_INT4>::INPUTS; k += WEIGHT_GROUP)
    {
        struct gemv_sums<ROWS> group;
        uint32_t w[2];
        int zero[2], at = (first + k) / WEIGHT_GROUP;
        float scale[2];
        if (at >= groups) break;
        UNROLL for (int r = 0; r < 2; r++)
        {
            int o = lane / 4 + 8 * r;
            w[r] = *(const uint32_t *)&p.w[o][k / 2 + lane % 4 * 4];
            scale[r] = bf16_float(((const uint16_t *)(block + a.scale))[o * groups + at]);
            zero[r] = (block + a.zero)[o * groups + at];
        }
        UNROLL for (int t = 0; t < ROWS / 8; t++) UNROLL for (int c = 0; c < 4; c++)
            group.at[t][c] = 0;
        multiply_codes<ROWS>(group, p.x, k,
                             [&](int r, int i) { return (int)(w[r] >> i * 4 & 15) - zero[r]; });
        UNROLL for (int t = 0; t < ROWS / 8; t++) UNROLL for (int c = 0; c < 4; c++) sum.at[t][c] =
            __fmaf_rn(group.at[t][c], scale[c / 2], sum.at[t][c]);
    }
}

template <int FORMAT, int ROWS>
DEVICE void multiply_piece(struct gemv_sums<ROWS> &sum, const struct piece<FORMAT, ROWS> &p,
                           const struct gemv &a, const uint8_t *block, int first)
{
    if constexpr (FORMAT == WEIGHT_BF16) multiply_bf16<ROWS>(sum, p);
    if constexpr (FORMAT == WEIGHT_INT8) multiply_bytes<FORMAT, ROWS>(sum, p);
    if constexpr (FORMAT == WEIGHT_FP8) multiply_fp8<ROWS>(sum, p, a, block, first);
    if constexpr (FORMAT == WEIGHT_INT4) multiply_int4<ROWS>(sum, p, a, block, first);
}

DEVICE void store_output(const struct gemv &a, int row, int o, float v, const uint8_t *scale)
{
    size_t at = (size_t)row * (size_t)a.y.stride + (size_t)o;
    if (row >= a.y.rows || o >= a.w.rows) return;
    if (scale) v = __fmul_rn(v, ((const float *)scale)[o % OUTPUTS]);
    if (a.bias) v = __fadd_rn(v, a.bias[o]);
    if (a.y.dtype != DT_F32)
        ((uint16_t *)a.y.data)[at] = (uint16_t)ptx::pack_bf16(v, 0);
    else if (a.adds)
        ((float *)a.y.data)[at] = __fadd_rn(((float *)a.y.data)[at], v);
    else
        ((float *)a.y.data)[at] = v;
}

/* The product that block `at` is of; it becomes its number there. */
DEVICE struct gemv product_of(const struct gemv_list &list, int &at)
{
    struct gemv a = list.of[0];
    int first = 0;
    UNROLL for (int i = 1; i < PRODUCTS_MOST; i++) if (at >= list.first[i])
    {
        a = list.of[i];
        first = list.first[i];
    }
    at -= first;
    return a;
}

template <int FORMAT, int ROWS>
__global__ void __launch_bounds__(32) multiply_few(struct gemv_list list)
{
    typedef struct gemv_shared<FORMAT, ROWS> shared_type;
    SHARED(shared_type, s);
    const int inputs = piece_of<FORMAT>::INPUTS;
    int at = (int)blockIdx.x;
    const struct gemv a = product_of(list, at);
    const uint8_t *block = (const uint8_t *)a.w.data + (size_t)at * a.block;
    int lane = (int)threadIdx.x, ahead = (RING - 1) * inputs;
    struct gemv_sums<ROWS> sum;
    UNROLL for (int t = 0; t < ROWS / 8; t++) UNROLL for (int c = 0; c < 4; c++) sum.at[t][c] = 0;
    for (int k = 0, i = 0; i < RING - 1; k += inputs, i++) {
        if (k < a.w.cols) load_piece<FORMAT, ROWS>(s.ring[i], a, block, k);
        ptx::cp_commit();
    }
    for (int k = 0, i = 0; k < a.w.cols; k += inputs, i = (i + 1) % RING) {
        int last = (i + RING - 1) % RING;
        ptx::cp_wait<RING - 2>();
        ptx::syncwarp(); /* all lanes' copies are there, and all have read the piece before */
        if (k + ahead < a.w.cols) load_piece<FORMAT, ROWS>(s.ring[last], a, block, k + ahead);
        ptx::cp_commit();
        multiply_piece<FORMAT, ROWS>(sum, s.ring[i], a, block, k);
    }
    ptx::cp_wait<0>();
    UNROLL for (int t = 0; t < ROWS / 8; t++) UNROLL for (int c = 0; c < 4; c++)
        store_output(a, 8 * t + lane % 4 * 2 + c % 2, at * OUTPUTS + lane / 4 + c / 2 * 8,
                     sum.at[t][c], FORMAT == WEIGHT_INT8 ? block + a.scale : nullptr);
}

/* ---- on the host ---- */

/* Rows of all operands begin on 16 bytes. */
static inline bool takes_gemv(const struct gemv *a)
{
    int cols = a->w.cols;
    bool whole = a->w.format == WEIGHT_BF16 ? cols % 8 == 0
                 : is_byte(a->w.format)     ? cols % 16 == 0
                                            : a->w.format == WEIGHT_INT4 && cols % 32 == 0;
    return whole && a->x.rows <= MOST_ROWS && a->x.dtype == DT_BF16 && a->x.stride % 8 == 0 &&
           (uintptr_t)a->x.data % 16 == 0 && (uintptr_t)a->w.data % 16 == 0 && a->block % 16 == 0;
}

static inline struct gemv_list list_of(const struct gemv *a, int n)
{
    struct gemv_list l = {};
    for (int i = 0; i < PRODUCTS_MOST; i++) {
        l.first[i] = l.blocks;
        if (i >= n) continue;
        l.of[i] = a[i];
        l.blocks += (a[i].w.rows + OUTPUTS - 1) / OUTPUTS;
    }
    return l;
}

template <int FORMAT>
static inline cudaError_t enqueue_gemv(struct line to, const struct gemv_list &l)
{
    dim3 grid((unsigned)l.blocks);
    if (l.of[0].x.rows <= 8)
        return launch(multiply_few<FORMAT, 8>, grid, dim3(32),
                      sizeof(struct gemv_shared<FORMAT, 8>), to, l);
    return launch(multiply_few<FORMAT, 16>, grid, dim3(32), sizeof(struct gemv_shared<FORMAT, 16>),
                  to, l);
}

/* n products of one x and one format of weights, 1 to PRODUCTS_MOST. */
static inline cudaError_t enqueue_gemv(struct line to, const struct gemv *a, int n)
{
    if (a->w.format == WEIGHT_BF16) return enqueue_gemv<WEIGHT_BF16>(to, list_of(a, n));
    if (a->w.format == WEIGHT_INT8) return enqueue_gemv<WEIGHT_INT8>(to, list_of(a, n));
    if (a->w.format == WEIGHT_FP8) return enqueue_gemv<WEIGHT_FP8>(to, list_of(a, n));
    return enqueue_gemv<WEIGHT_INT4>(to, list_of(a, n));
}
} // namespace mma

#endif
