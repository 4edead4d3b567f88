/* wgmma_attention.cuh - attention over spans by products of warpgroups, for GPUs of compute
 * capability 9.0: the numbers, tiles, segments and softmax of mma_attention.cuh.
 *
 * A block has 128 (row, query head) pairs of one KV head, 64 a warpgroup, and both warpgroups read
 * the same tiles. Queries and weights are the left side, in registers; keys and values are the
 * right side, in panels of 64 columns of shared memory. Each sum takes 16 inputs at a time in
 * ascending order, as by mma.sync; whether a GPU makes the same bits of both is not known, so
 * nothing takes this way unless the build says so (VLQA_CUDA_WGMMA). */
#ifndef KERNELS_CUDA_WGMMA_ATTENTION_CUH
#define KERNELS_CUDA_WGMMA_ATTENTION_CUH

#include "kernels/cuda/mma_attention.cuh"

namespace wg
{
using namespace mma;
enum { WIDE_PAIRS = 128, WIDE_THREADS = 256, PANEL = 64 /* columns */ };

/* A tile of keys or values. */
template <int D> struct panels {
    enum { COUNT = (head<D>::WIDE + PANEL - 1) / PANEL };
    alignas(1024) uint16_t value[COUNT][TILE][PANEL];
};

template <int D> struct attention_shared {
    struct panels<D> key[2], value[2]; /* one is copied while one is used */
    union {
        struct tile<D> q[2];            /* until the warps have read it */
        float total[WIDE_PAIRS][D + 4]; /* of the segments so far; each lane its own elements */
    };
    struct numbering seen[WIDE_PAIRS];
    int most[WIDE_THREADS / 32]; /* keys of any pair of a warp */
};

template <int D> DEVICE uint16_t *panel_piece(struct panels<D> &t, int row, int col)
{
    return &t.value[col / PANEL][row][(col % PANEL) ^ (row % 8 * 8)];
}

/* Keys [first, first + TILE) of columns [col, col + D); zeros behind the last key. */
template <int D>
DEVICE void load_panels(struct panels<D> &to, struct mat from, int col, struct numbering all,
                        int first)
{
    const int pieces = head<D>::PIECES;
    for (int i = (int)threadIdx.x; i < TILE * pieces; i += WIDE_THREADS) {
        int r = i / pieces, c = i % pieces * 8;
        bool fill = first + r >= all.keys;
        size_t slot = fill ? 0 : (size_t)slot_of(all, first + r);
        const uint16_t *at = (const uint16_t *)from.data + slot * (size_t)from.stride + col + c;
        ptx::cp_async16(panel_piece<D>(to, r, c), at, fill);
    }
}

/* Products with keys read whole steps of 16: what is behind a head of 72 is zero. */
template <int D> DEVICE void clear_behind_panels(struct panels<D> &t)
{
    const struct uint4 zero = {0, 0, 0, 0};
    if constexpr (head<D>::WIDE > D)
        for (int r = (int)threadIdx.x; r < TILE; r += WIDE_THREADS)
            *(struct uint4 *)panel_piece<D>(t, r, D) = zero;
}

/* ---- queries ---- */

DEVICE int pairs_of_block(const struct pairs &p)
{
    return p.all - p.first < WIDE_PAIRS ? p.all - p.first : WIDE_PAIRS;
}

template <int D> DEVICE void load_all_pairs(struct attention_shared<D> &s, const struct pairs &p)
{
    const int pieces = head<D>::WIDE / 8;
    int n = pairs_of_block(p);
    for (int i = (int)threadIdx.x; i < n; i += WIDE_THREADS)
        s.seen[i] = numbering_of(p.span[pair_row(p, i)]);
    for (int i = (int)threadIdx.x; i < WIDE_PAIRS * pieces; i += WIDE_THREADS) {
        int pair = i / pieces, c = i % pieces * 8;
        struct uint4 x = {0, 0, 0, 0};
        if (pair < n && c < D) x = eight_bf16(p.q, pair_row(p, pair), pair_head(p, pair) * D + c);
        *(struct uint4 *)piece_at<D>(s.q[pair / TILE], pair % TILE, c) = x;
    }
}

template <int D>
DEVICE void read_own_queries(struct queries<D> &q, const struct attention_shared<D> &s)
{
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    UNROLL for (int k = 0; k < head<D>::STEPS; k++) ptx::ldsm4(
        q.step[k], piece_at<D>(s.q[warp / 4], warp % 4 * 16 + lane % 16, k * 16 + lane / 16 * 8));
}

/* ---- products ---- */

template <int D>
DEVICE void multiply_panels(struct scores &score, const struct queries<D> &q,
                            const struct panels<D> &key)
{
    UNROLL for (int j = 0; j < TILE / 8; j++) UNROLL for (int c = 0; c < 4; c++) score.at[j][c] = 0;
    ptx::wgmma_begin<TILE / 8>(score.at);
    UNROLL for (int k = 0; k < head<D>::STEPS; k++) ptx::wgmma_bf16<TILE / 8, 0>(
        score.at, q.step[k], ptx::wgmma_panel(&key.value[k * 16 / PANEL][0][k * 16 % PANEL]));
    ptx::wgmma_end<TILE / 8>(score.at);
}

/* Weights, as bf16, times values. Heads of 72 take the first 8 columns of their second panel, which
 * the rule of addresses allows and no example shows. */
template <int D>
DEVICE void add_panels(struct running<D> &run, const struct scores &s, const struct panels<D> &v)
{
    uint32_t w[TILE / 16][4];
    UNROLL for (int t = 0; t < TILE / 16; t++) UNROLL for (int i = 0; i < 4; i++) w[t][i] =
        ptx::pack_bf16(s.at[2 * t + i / 2][i % 2 * 2], s.at[2 * t + i / 2][i % 2 * 2 + 1]);
    ptx::wgmma_begin<D / 8>(run.sum);
    UNROLL for (int t = 0; t < TILE / 16; t++) UNROLL for (int j = 0; j < D / 8; j += PANEL / 8)
    {
        uint64_t at = ptx::wgmma_panel(&v.value[j * 8 / PANEL][t * 16][0]);
        if constexpr (D % PANEL != 0)
            if (j * 8 + PANEL > D) {
                ptx::wgmma_bf16<1, 1>(run.sum + j, w[t], at);
                continue;
            }
        ptx::wgmma_bf16<PANEL / 8, 1>(run.sum + j, w[t], at);
    }
    ptx::wgmma_end<D / 8>(run.sum);
}

/* ---- a run of pairs goes through its keys: as in mma_keys.cuh ---- */

template <int D>
DEVICE void load_both(struct attention_shared<D> &s, int stage, const struct source &from,
                      struct numbering all, int first)
{
    load_panels<D>(s.key[stage], from.k, from.col, all, first);
    load_panels<D>(s.value[stage], from.v, from.col, all, first);
}

template <int D>
DEVICE void add_panel_tile(struct running<D> &run, const struct attention_shared<D> &s, int stage,
                           const struct queries<D> &q, const int (&seen)[2], float scale)
{
    struct scores score;
    multiply_panels<D>(score, q, s.key[stage]);
    UNROLL for (int r = 0; r < 2; r++)
    {
        float decay = add_weights<D>(run, score, r, seen[r], scale);
        UNROLL for (int j = 0; j < D / 8; j++) UNROLL for (int c = 0; c < 2; c++)
            run.sum[j][2 * r + c] = __fmul_rn(run.sum[j][2 * r + c], decay);
    }
    add_panels<D>(run, score, s.value[stage]);
}

/* The most keys of any pair of the warpgroup, whose warps make products together. */
template <int D> DEVICE int group_most(const struct attention_shared<D> &s)
{
    int most = 0, first = (int)threadIdx.x / 128 * 4;
    UNROLL for (int i = 0; i < 4; i++) most = s.most[first + i] > most ? s.most[first + i] : most;
    return most;
}

template <int D, class ENDS>
DEVICE void walk_panels(struct attention_shared<D> &s, const struct source &from,
                        const struct queries<D> &q, struct numbering all, const int (&keys)[2],
                        int begin, int end, ENDS segment_ends)
{
    struct running<D> run;
    int stage = 0;
    if (begin >= end) return;
    int most = warp_most(keys);
    if (threadIdx.x % 32 == 0) s.most[threadIdx.x / 32] = most;
    load_both<D>(s, 0, from, all, begin);
    ptx::cp_commit();
    for (int first = begin; first < end; first += TILE, stage ^= 1) {
        int next = first + TILE;
        if (first % SEGMENT == 0) clear_running<D>(run);
        if (next < end) load_both<D>(s, stage ^ 1, from, all, next);
        ptx::cp_commit();
        ptx::cp_wait<1>();
        ptx::wgmma_publish();
        __syncthreads();
        if (first < group_most<D>(s)) {
            int seen[2] = {keys[0] - first, keys[1] - first};
            add_panel_tile<D>(run, s, stage, q, seen, from.scale);
        }
        if (next >= end || next % SEGMENT == 0) segment_ends(run);
        __syncthreads(); /* all have read the stage that is loaded next */
    }
    ptx::cp_wait<0>();
}

template <int D, class ENDS>
DEVICE void walk_all_runs(struct attention_shared<D> &s, const struct source &from,
                          const struct queries<D> &q, int pairs, int begin, int limit,
                          ENDS segment_ends)
{
    for (int first = 0, n; first < pairs; first += n) {
        struct numbering all;
        int keys[2];
        n = run_of(s.seen + first, pairs - first, &all);
        UNROLL for (int r = 0; r < 2; r++)
        {
            int pair = lane_pair(r);
            keys[r] = pair >= first && pair < first + n ? s.seen[pair].keys : 0;
        }
        walk_panels<D>(s, from, q, all, keys, begin, all.keys < limit ? all.keys : limit,
                       segment_ends);
    }
}

template <int D>
DEVICE void attend_block(struct attention_shared<D> &s, const struct mma::attention &a)
{
    struct pairs p = pairs_of(a, (int)(gridDim.x - 1 - blockIdx.x) * WIDE_PAIRS, (int)blockIdx.y);
    struct source from = {a.k, a.v, p.kv_head * D, a.scale};
    int begin = a.part ? (int)blockIdx.z * SEGMENT : 0, n = pairs_of_block(p);
    int limit = a.part ? begin + SEGMENT : 0x7fffffff;
    struct total total[2] = {{-INFINITY, 0}, {-INFINITY, 0}};
    struct queries<D> q;
    load_all_pairs<D>(s, p);
    UNROLL for (int i = 0; i < 2; i++) clear_behind_panels<D>(s.key[i]);
    __syncthreads();
    read_own_queries<D>(q, s);
    __syncthreads(); /* all have read the queries, whose place is that of the totals */
    UNROLL for (int r = 0; r < 2; r++) UNROLL for (int j = 0; j < D / 8; j++)
        UNROLL for (int c = 0; c < 2; c++)
            s.total[lane_pair(r)][j * 8 + (int)threadIdx.x % 4 * 2 + c] = 0;
    auto segment_ends = [&](const struct running<D> &run) {
        UNROLL for (int r = 0; r < 2; r++) add_segment<D>(s.total, total[r], run, r, a.scale);
    };
    walk_all_runs<D>(s, from, q, n, begin, limit, segment_ends);
    UNROLL for (int r = 0; r < 2; r++) store_pair<D>(a, s.total, p, n, total[r], r);
}

/* Elsewhere than on sm_90a it does nothing, and is not launched. */
template <int D> __global__ void __launch_bounds__(WIDE_THREADS) attend(struct mma::attention a)
{
    typedef struct attention_shared<D> shared_type;
    SHARED(shared_type, s);
    if constexpr (ptx::HAS_WGMMA != 0) attend_block<D>(s, a);
}

/* ---- on the host ---- */

template <int D>
static inline cudaError_t enqueue_attention(struct line to, struct mma::attention a, int segments)
{
    int pairs = a.q.rows * a.group;
    unsigned blocks = (unsigned)((pairs - 1) / WIDE_PAIRS + 1), heads = (unsigned)a.kv_heads;
    unsigned split = a.part ? (unsigned)segments : 1;
    cudaError_t e = launch(wg::attend<D>, dim3(blocks, heads, split), dim3(WIDE_THREADS),
                           sizeof(struct wg::attention_shared<D>), to, a);
    if (e != cudaSuccess || !a.part) return e;
    return launch(attend_join<D>, dim3((unsigned)(pairs + 3) / 4, heads), dim3(THREADS), 0, to, a);
}

/* Of what mma::takes_attention: a->work has mma::attention_room bytes, on 8. */
static inline cudaError_t enqueue_attention(struct line to, const struct attn *a)
{
    int dim = a->q.cols / a->heads, segments = segments_of(a->span);
    struct mma::attention k = attention_of(a, segments);
    if (dim == 64) return wg::enqueue_attention<64>(to, k, segments);
    if (dim == 72) return wg::enqueue_attention<72>(to, k, segments);
    return wg::enqueue_attention<128>(to, k, segments);
}
} // namespace wg

#endif
