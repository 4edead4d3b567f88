/* mma_gemm.cuh - products of many rows on tensor cores: bf16 rows times weights of bf16, int8,
 * int4 or FP8, where cuBLASLt is not asked.
 *
 * A block has 128 outputs and 64 or 128 rows, a warp 64 outputs and a quarter of the rows. Tiles of
 * 32 inputs come through a ring in shared memory. As in mma_gemv.cuh, weights are the left side of
 * the product, each sum has one accumulator and takes its inputs in ascending order, so the bits
 * are the same as there, whatever rows are beside a row and whichever tile it is in. */
#ifndef KERNELS_CUDA_MMA_GEMM_CUH
#define KERNELS_CUDA_MMA_GEMM_CUH

#include "kernels/cuda/cuda_act.cuh"
#include "kernels/cuda/mma_gemv.cuh"

namespace mma
{
enum {
    GEMM_OUTPUTS = 128, /* of a block */
    GEMM_THREADS = 256, /* two warps by outputs, four by rows */
    GEMM_INPUTS = 32,   /* of a tile: a group of int4 */
    GEMM_RING = 4,
    GEMM_PARTS = 4 /* 16 outputs each, of a warp */
};

struct gemm {
    struct gemv of; /* with any number of rows; y is stored */
    enum act act;
};

/* Bytes of a tile's row of the weight: those of bf16 have more behind them, so that the eight rows
 * that ldmatrix reads at once lie in eight banks. */
template <int FORMAT> struct gemm_row {
    enum {
        BYTES = FORMAT == WEIGHT_BF16 ? 64
                : is_byte(FORMAT)     ? 32
                                      : 16,
        STRIDE = BYTES + (FORMAT == WEIGHT_BF16 ? 16 : 0)
    };
};

template <int FORMAT, int ROWS> struct gemm_tile {
    uint8_t w[GEMM_OUTPUTS][gemm_row<FORMAT>::STRIDE];
    uint16_t x[ROWS][GEMM_INPUTS + 8];
};

template <int FORMAT, int ROWS> struct gemm_shared {
    struct gemm_tile<FORMAT, ROWS> ring[GEMM_RING];
};

/* Of a warp; the last index as in gemv_sums. */
template <int ROWS> struct gemm_sums {
    float at[GEMM_PARTS][ROWS / 32][4];
};

struct gemm_place { /* the first output and row: of the block, and of the warp within it */
    int output, row, warp_output, warp_row;
};

template <int ROWS> DEVICE struct gemm_place gemm_here()
{
    int warp = (int)threadIdx.x / 32;
    struct gemm_place p = {(int)blockIdx.y * GEMM_OUTPUTS, (int)blockIdx.x * ROWS, warp % 2 * 64,
                           warp / 2 * (ROWS / 4)};
    return p;
}

DEVICE const uint8_t *block_of(const struct gemv &a, int o)
{
    return (const uint8_t *)a.w.data + (size_t)(o / OUTPUTS) * a.block;
}

/* The tile from input `first` on; zeros behind the last input, output and row. */
template <int FORMAT, int ROWS>
DEVICE void load_gemm_tile(struct gemm_tile<FORMAT, ROWS> &to, const struct gemv &a,
                           struct gemm_place p, int first)
{
    const int parts = gemm_row<FORMAT>::BYTES / 16, x_parts = GEMM_INPUTS / 8;
    int bytes = row_bytes<FORMAT>(a.w.cols), begin = row_bytes<FORMAT>(first);
    for (int i = (int)threadIdx.x; i < GEMM_OUTPUTS * parts; i += GEMM_THREADS) {
        int o = p.output + i / parts, at = begin + i % parts * 16;
        bool fill = at >= bytes || o >= a.w.rows;
        const uint8_t *from = (const uint8_t *)a.w.data;
        if (!fill) from = block_of(a, o) + (size_t)(o % OUTPUTS) * (size_t)bytes + at;
        ptx::cp_async16(&to.w[i / parts][i % parts * 16], from, fill);
    }
    for (int i = (int)threadIdx.x; i < ROWS * x_parts; i += GEMM_THREADS) {
        int row = p.row + i / x_parts, col = first + i % x_parts * 8;
        bool fill = row >= a.x.rows || col >= a.x.cols;
        size_t at = fill ? 0 : (size_t)row * (size_t)a.x.stride + (size_t)col;
        ptx::cp_async16(&to.x[i / x_parts][i % x_parts * 8], (const uint16_t *)a.x.data + at, fill);
    }
}

/* ---- a tile into a warp's sums ---- */

template <int ROWS>
DEVICE void multiply_tile(struct gemm_sums<ROWS> &sum, const struct gemm_tile<WEIGHT_BF16, ROWS> &s,
                          struct gemm_place p)
{
    int lane = (int)threadIdx.x % 32;
    UNROLL for (int k = 0; k < GEMM_INPUTS; k += 16)
    {
        uint32_t x[ROWS / 64][4];
        UNROLL for (int t = 0; t < ROWS / 64; t++) ptx::ldsm4(
            x[t], &s.x[p.warp_row + 16 * t + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
        UNROLL for (int m = 0; m < GEMM_PARTS; m++)
        {
            uint32_t w[4];
            ptx::ldsm4(w, &s.w[p.warp_output + 16 * m + lane % 16][k * 2 + lane / 16 * 16]);
            UNROLL for (int t = 0; t < ROWS / 32; t++)
                ptx::mma_bf16(sum.at[m][t], w, x[t / 2][t % 2 * 2], x[t / 2][t % 2 * 2 + 1]);
        }
    }
}

/* As multiply_codes: a lane has inputs 8 q to 8 q + 7 of its outputs and rows, q = lane % 4. */
template <int ROWS> struct gemm_inputs {
    uint32_t at[ROWS / 32][4];
};

template <int FORMAT, int ROWS>
DEVICE struct gemm_inputs<ROWS> inputs_of(const struct gemm_tile<FORMAT, ROWS> &s,
                                          struct gemm_place p) {
    struct gemm_inputs<ROWS> x;
    int lane = (int)threadIdx.x % 32;
    UNROLL for (int t = 0; t < ROWS / 32; t++)
    {
        struct uint4 v = *(const struct uint4 *)&s.x[p.warp_row + 8 * t + lane / 4][lane % 4 * 8];
        x.at[t][0] = v.x, x.at[t][1] = v.y, x.at[t][2] = v.z, x.at[t][3] = v.w;
    }
    return x;
}

template <int ROWS, class CODE>
DEVICE void multiply_part(float (&sum)[ROWS / 32][4], const struct gemm_inputs<ROWS> &x, CODE code)
{
    UNROLL for (int half = 0; half < 2; half++)
    {
        uint32_t w[4];
        int i = half * 4;
        w[0] = two_bf16(code(0, i), code(0, i + 1)), w[1] = two_bf16(code(1, i), code(1, i + 1));
        w[2] = two_bf16(code(0, i + 2), code(0, i + 3));
        w[3] = two_bf16(code(1, i + 2), code(1, i + 3));
        UNROLL for (int t = 0; t < ROWS / 32; t++)
            ptx::mma_bf16(sum[t], w, x.at[t][half * 2], x.at[t][half * 2 + 1]);
    }
}

template <int FORMAT, int ROWS>
DEVICE void multiply_byte_tile(struct gemm_sums<ROWS> &sum, const struct gemm_tile<FORMAT, ROWS> &s,
                               struct gemm_place p)
{
    int lane = (int)threadIdx.x % 32;
    struct gemm_inputs<ROWS> x = inputs_of(s, p);
    UNROLL for (int m = 0; m < GEMM_PARTS; m++)
    {
        struct uint2 w[2];
        UNROLL for (int r = 0; r < 2; r++) w[r] =
            *(const struct uint2 *)&s.w[p.warp_output + 16 * m + lane / 4 + 8 * r][lane % 4 * 8];
        multiply_part<ROWS>(sum.at[m], x, [&](int r, int i) {
            return byte_code<FORMAT>((i < 4 ? w[r].x : w[r].y) >> i % 4 * 8);
        });
    }
}

template <int ROWS> DEVICE void clear_sums(struct gemm_sums<ROWS> &sum)
{
    UNROLL for (int m = 0; m < GEMM_PARTS; m++) UNROLL for (int t = 0; t < ROWS / 32; t++)
        UNROLL for (int c = 0; c < 4; c++) sum.at[m][t][c] = 0;
}

/* Sums of FP8: the tiles of a group are summed by themselves, as multiply_fp8 does, and the sum
 * times the scale is added to those of the groups before. */
template <int ROWS>
DEVICE void add_group(struct gemm_sums<ROWS> &sum, const struct gemm_sums<ROWS> &group,
                      const struct gemv &a, struct gemm_place p, int number)
{
    int lane = (int)threadIdx.x % 32;
    int groups = (a.w.cols + WEIGHT_FP8_GROUP - 1) / WEIGHT_FP8_GROUP;
    UNROLL for (int m = 0; m < GEMM_PARTS; m++)
    {
        int o = p.output + p.warp_output + 16 * m;
        if (o >= a.w.rows) break; /* the whole warp */
        const float *scale = (const float *)(block_of(a, o) + a.scale) + number;
        UNROLL for (int t = 0; t < ROWS / 32; t++) UNROLL for (int c = 0; c < 4; c++)
            sum.at[m][t][c] =
            __fmaf_rn(group.at[m][t][c], scale[(lane / 4 + c / 2 * 8) * groups], sum.at[m][t][c]);
    }
}

/* A tile is a group: its sum times the scale is added to those of the groups before. */
template <int ROWS>
DEVICE void multiply_group(struct gemm_sums<ROWS> &sum,
                           const struct gemm_tile<WEIGHT_INT4, ROWS> &s, const struct gemv &a,
                           struct gemm_place p, int group)
{
    int lane = (int)threadIdx.x % 32, groups = a.w.cols / WEIGHT_GROUP;
    struct gemm_inputs<ROWS> x = inputs_of(s, p);
    int in_block = lane / 4 * groups + group;
    UNROLL for (int m = 0; m < GEMM_PARTS; m++)
    {
        float part[ROWS / 32][4], scale[2];
        uint32_t w[2];
        int zero[2], o = p.warp_output + 16 * m;
        if (p.output + o >= a.w.rows) break; /* the whole warp */
        const uint8_t *block = block_of(a, p.output + o);
        UNROLL for (int r = 0; r < 2; r++)
        {
            int at = in_block + 8 * r * groups;
            w[r] = *(const uint32_t *)&s.w[o + lane / 4 + 8 * r][lane % 4 * 4];
            scale[r] = bf16_float(((const uint16_t *)(block + a.scale))[at]);
            zero[r] = (block + a.zero)[at];
        }
        UNROLL for (int t = 0; t < ROWS / 32; t++) UNROLL for (int c = 0; c < 4; c++) part[t][c] =
            0;
        multiply_part<ROWS>(part, x,
                            [&](int r, int i) { return (int)(w[r] >> i * 4 & 15) - zero[r]; });
        UNROLL for (int t = 0; t < ROWS / 32; t++) UNROLL for (int c = 0; c < 4; c++)
            sum.at[m][t][c] = __fmaf_rn(part[t][c], scale[c / 2], sum.at[m][t][c]);
    }
}

template <int FORMAT, int ROWS>
DEVICE void store_sums(const struct gemm &g, struct gemm_place p, const struct gemm_sums<ROWS> &sum)
{
    int lane = (int)threadIdx.x % 32;
    UNROLL for (int m = 0; m < GEMM_PARTS; m++) UNROLL for (int t = 0; t < ROWS / 32; t++)
        UNROLL for (int c = 0; c < 4; c++)
    {
        int o = p.output + p.warp_output + 16 * m + lane / 4 + c / 2 * 8;
        int row = p.row + p.warp_row + 8 * t + lane % 4 * 2 + c % 2;
        float v = sum.at[m][t][c];
        size_t at = (size_t)row * (size_t)g.of.y.stride + (size_t)o;
        if (row >= g.of.y.rows || o >= g.of.w.rows) continue;
        if (FORMAT == WEIGHT_INT8)
            v = __fmul_rn(v, ((const float *)(block_of(g.of, o) + g.of.scale))[o % OUTPUTS]);
        if (g.of.bias) v = __fadd_rn(v, g.of.bias[o]);
        v = activated(v, g.act);
        if (g.of.y.dtype == DT_F32)
            ((float *)g.of.y.data)[at] = v;
        else
            ((uint16_t *)g.of.y.data)[at] = (uint16_t)ptx::pack_bf16(v, 0);
    }
}

template <int FORMAT, int ROWS>
__global__ void __launch_bounds__(GEMM_THREADS) multiply_many(struct gemm g)
{
    typedef struct gemm_shared<FORMAT, ROWS> shared_type;
    SHARED(shared_type, s);
    struct gemm_place p = gemm_here<ROWS>();
    const struct gemv &a = g.of;
    bool idle = p.output + p.warp_output >= a.w.rows || p.row + p.warp_row >= a.x.rows;
    struct gemm_sums<ROWS> sum, group;
    clear_sums<ROWS>(sum);
    clear_sums<ROWS>(group);
    for (int i = 0; i < GEMM_RING - 1; i++) {
        if (i * GEMM_INPUTS < a.w.cols)
            load_gemm_tile<FORMAT, ROWS>(s.ring[i], a, p, i * GEMM_INPUTS);
        ptx::cp_commit();
    }
    for (int k = 0, i = 0; k < a.w.cols; k += GEMM_INPUTS, i = (i + 1) % GEMM_RING) {
        int ahead = k + (GEMM_RING - 1) * GEMM_INPUTS, last = (i + GEMM_RING - 1) % GEMM_RING;
        ptx::cp_wait<GEMM_RING - 2>();
        __syncthreads(); /* all copies are there, and all have read the tile before */
        if (ahead < a.w.cols) load_gemm_tile<FORMAT, ROWS>(s.ring[last], a, p, ahead);
        ptx::cp_commit();
        if (idle) continue;
        if constexpr (FORMAT == WEIGHT_INT4)
            multiply_group<ROWS>(sum, s.ring[i], a, p, k / WEIGHT_GROUP);
        else if constexpr (FORMAT == WEIGHT_INT8)
            multiply_byte_tile<FORMAT, ROWS>(sum, s.ring[i], p);
        else if constexpr (FORMAT == WEIGHT_FP8) {
            int next = k + GEMM_INPUTS;
            multiply_byte_tile<FORMAT, ROWS>(group, s.ring[i], p);
            if (next % WEIGHT_FP8_GROUP != 0 && next < a.w.cols) continue;
            add_group<ROWS>(sum, group, a, p, k / WEIGHT_FP8_GROUP);
            clear_sums<ROWS>(group);
        } else
            multiply_tile<ROWS>(sum, s.ring[i], p);
    }
    ptx::cp_wait<0>();
    if (!idle) store_sums<FORMAT, ROWS>(g, p, sum);
}

/* ---- on the host ---- */

static inline bool takes_gemm(const struct gemm *g)
{
    struct gemv row = g->of;
    row.x.rows = 1;
    return takes_gemv(&row);
}

template <int FORMAT, int ROWS>
static inline cudaError_t enqueue_gemm_of(struct line to, const struct gemm &g)
{
    dim3 grid((unsigned)((g.of.x.rows - 1) / ROWS + 1),
              (unsigned)((g.of.w.rows - 1) / GEMM_OUTPUTS + 1));
    return launch(multiply_many<FORMAT, ROWS>, grid, dim3(GEMM_THREADS),
                  sizeof(struct gemm_shared<FORMAT, ROWS>), to, g);
}

/* Codes take the smaller block: what becomes of them takes registers, too. */
static inline cudaError_t enqueue_gemm(struct line to, const struct gemm &g)
{
    if (g.of.w.format == WEIGHT_INT8) return enqueue_gemm_of<WEIGHT_INT8, 64>(to, g);
    if (g.of.w.format == WEIGHT_FP8) return enqueue_gemm_of<WEIGHT_FP8, 64>(to, g);
    if (g.of.w.format == WEIGHT_INT4) return enqueue_gemm_of<WEIGHT_INT4, 64>(to, g);
    return g.of.x.rows <= 64 ? enqueue_gemm_of<WEIGHT_BF16, 64>(to, g)
                             : enqueue_gemm_of<WEIGHT_BF16, 128>(to, g);
}
} // namespace mma

#endif
