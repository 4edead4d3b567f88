/* mma_attention.cuh - attention over spans on tensor cores, for bf16 keys and values and heads of
 * 64, 72 or 128 values. What its bits depend on is said in mma_keys.cuh.
 *
 * A block has 64 (row, query head) pairs of one KV head and goes through the tiles that they see.
 * Where that makes too few blocks for a GPU, each segment has blocks of its own and a second kernel
 * joins them: decoding is that case. */
#ifndef KERNELS_CUDA_MMA_ATTENTION_CUH
#define KERNELS_CUDA_MMA_ATTENTION_CUH

#include "kernels/cuda/mma_keys.cuh"

namespace mma
{
struct attention {
    struct mat q, k, v, out; /* as in struct attn; out f32 or bf16 */
    const struct span *span;
    float *part; /* [segments, kv_heads, n * group, D + 2], or NULL: segments are not spread */
    int kv_heads, group;
    float scale; /* to powers of two */
};

template <int D> struct attention_shared {
    struct stages<D, true> stages;
    union {
        struct tile<D> q;          /* until the warps have read it */
        float total[PAIRS][D + 4]; /* of the segments so far; each lane its own elements */
    };
    struct numbering seen[PAIRS];
};

DEVICE struct pairs pairs_of(const struct attention &a, int first, int kv_head)
{
    struct pairs p = {a.q, a.span, a.group, kv_head, first, a.q.rows * a.group};
    return p;
}

/* Sums and, behind them, what they count for. */
template <int D>
DEVICE float *part_of(const struct attention &a, int segment, int kv_head, int pair)
{
    size_t pairs = (size_t)(a.q.rows * a.group);
    size_t at = ((size_t)segment * (size_t)a.kv_heads + (size_t)kv_head) * pairs + (size_t)pair;
    return a.part + at * (D + 2);
}

DEVICE void store_two(struct mat m, int row, int col, float x, float y)
{
    size_t at = (size_t)row * (size_t)m.stride + (size_t)col;
    if (m.dtype == DT_F32)
        *(struct float2 *)((float *)m.data + at) = make_float2(x, y);
    else
        *(uint32_t *)((uint16_t *)m.data + at) = ptx::pack_bf16(x, y);
}

/* Adds a segment's sums to those of a lane's pair. */
template <int D>
DEVICE void add_segment(float (*sum)[D + 4], struct total &t, const struct running<D> &run, int r,
                        float scale)
{
    int col = (int)threadIdx.x % 4 * 2;
    struct float2 by = join(t, run.max[r], quad_sum(run.weight[r]), scale);
    UNROLL for (int j = 0; j < D / 8; j++) UNROLL for (int c = 0; c < 2; c++)
    {
        float *to = &sum[lane_pair(r)][j * 8 + col + c];
        *to = __fmaf_rn(*to, by.x, __fmul_rn(run.sum[j][2 * r + c], by.y));
    }
}

/* 0.0f makes of -0 a 0: which one a sum of zeros is depends on tiles that a row does not see. */
DEVICE float finished(float sum, float by)
{
    return __fadd_rn(__fmul_rn(sum, by), 0.0f);
}

/* Of a block of n pairs. */
template <int D>
DEVICE void store_pair(const struct attention &a, const float (*sum)[D + 4], const struct pairs &p,
                       int n, struct total t, int r)
{
    int pair = lane_pair(r), col = (int)threadIdx.x % 4 * 2;
    const float *total = sum[pair];
    if (pair >= n) return;
    if (a.part) {
        float *to = part_of<D>(a, (int)blockIdx.z, p.kv_head, p.first + pair);
        UNROLL for (int j = 0; j < D; j += 8) * (struct float2 *)(to + j + col) =
            make_float2(total[j + col], total[j + col + 1]);
        if (col == 0) *(struct float2 *)(to + D) = make_float2(t.max, t.weight);
        return;
    }
    float by = 1.0f / t.weight;
    UNROLL for (int j = 0; j < D; j += 8)
        store_two(a.out, pair_row(p, pair), pair_head(p, pair) * D + j + col,
                  finished(total[j + col], by), finished(total[j + col + 1], by));
}

template <int D> __global__ void __launch_bounds__(THREADS) attend(struct attention a)
{
    typedef struct attention_shared<D> shared_type;
    SHARED(shared_type, s);
    struct pairs p = pairs_of(a, (int)(gridDim.x - 1 - blockIdx.x) * PAIRS, (int)blockIdx.y);
    struct source from = {a.k, a.v, p.kv_head * D, a.scale};
    int begin = a.part ? (int)blockIdx.z * SEGMENT : 0;
    int limit = a.part ? begin + SEGMENT : 0x7fffffff;
    struct total total[2] = {{-INFINITY, 0}, {-INFINITY, 0}};
    struct queries<D> q;
    load_pairs<D>(s.q, s.seen, p);
    UNROLL for (int i = 0; i < 2; i++) clear_behind<D>(s.stages.key[i]);
    __syncthreads();
    read_queries<D>(q, s.q);
    __syncthreads(); /* all have read the queries, whose place is that of the totals */
    UNROLL for (int r = 0; r < 2; r++) UNROLL for (int j = 0; j < D / 8; j++)
        UNROLL for (int c = 0; c < 2; c++)
            s.total[lane_pair(r)][j * 8 + (int)threadIdx.x % 4 * 2 + c] = 0;
    auto segment_ends = [&](const struct running<D> &run) {
        UNROLL for (int r = 0; r < 2; r++) add_segment<D>(s.total, total[r], run, r, a.scale);
    };
    walk_runs<D, true>(s.stages, from, q, s.seen, pairs_here(p), begin, limit, segment_ends);
    UNROLL for (int r = 0; r < 2; r++) store_pair<D>(a, s.total, p, pairs_here(p), total[r], r);
}

/* Joins the segments of a pair, a warp each. */
template <int D> __global__ void __launch_bounds__(THREADS) attend_join(struct attention a)
{
    const int each = (D + 31) / 32;
    struct pairs p = pairs_of(a, (int)(blockIdx.x * 4 + threadIdx.x / 32), (int)blockIdx.y);
    int lane = (int)threadIdx.x % 32;
    struct total t = {-INFINITY, 0};
    float sum[each];
    if (p.first >= p.all) return;
    int keys = numbering_of(a.span[pair_row(p, 0)]).keys;
    UNROLL for (int i = 0; i < each; i++) sum[i] = 0;
    for (int segment = 0; segment * SEGMENT < keys; segment++) {
        const float *from = part_of<D>(a, segment, p.kv_head, p.first);
        struct float2 by = join(t, from[D], from[D + 1], a.scale);
        UNROLL for (int i = 0; i < each; i++) if (i * 32 + lane < D) sum[i] =
            __fmaf_rn(sum[i], by.x, __fmul_rn(from[i * 32 + lane], by.y));
    }
    float by = 1.0f / t.weight;
    UNROLL for (int i = 0; i < each; i++)
    {
        size_t at = (size_t)pair_row(p, 0) * (size_t)a.out.stride +
                    (size_t)(pair_head(p, 0) * D + i * 32 + lane);
        if (i * 32 + lane >= D) continue;
        if (a.out.dtype == DT_F32)
            ((float *)a.out.data)[at] = finished(sum[i], by);
        else
            ((uint16_t *)a.out.data)[at] = (uint16_t)ptx::pack_bf16(finished(sum[i], by), 0);
    }
}

/* ---- on the host ---- */

enum { SPREAD = 128 };                        /* blocks that keep a GPU busy */
#define MMA_ATTENTION_MOST ((size_t)64 << 20) /* bytes that parts may take */

static inline size_t attention_parts(int n, int heads, int dim, int segments)
{
    return (size_t)segments * (size_t)n * (size_t)heads * (size_t)(dim + 2) * sizeof(float);
}

/* Bytes that attention_enqueue may use of a->work. */
static inline size_t attention_room(int n, int heads, int kv_heads, int dim, int slots)
{
    size_t bytes = attention_parts(n, heads, dim, (slots + SEGMENT - 1) / SEGMENT);
    if (blocks_of(n * heads / kv_heads) * (unsigned)kv_heads >= SPREAD) return 0;
    return bytes < MMA_ATTENTION_MOST ? bytes : MMA_ATTENTION_MOST;
}

static inline bool takes_attention(const struct attn *a)
{
    return a->products == DT_BF16 && aligned(a->out) &&
           takes(a->q.cols / a->heads, a->q, a->k, a->v, a->scale);
}

template <int D>
static inline cudaError_t enqueue_attention(struct line to, struct attention a, int segments)
{
    int pairs = a.q.rows * a.group;
    unsigned blocks = blocks_of(pairs), heads = (unsigned)a.kv_heads;
    unsigned split = a.part ? (unsigned)segments : 1;
    cudaError_t e = launch(attend<D>, dim3(blocks, heads, split), dim3(THREADS),
                           sizeof(struct attention_shared<D>), to, a);
    if (e != cudaSuccess || !a.part) return e;
    return launch(attend_join<D>, dim3((unsigned)(pairs + 3) / 4, heads), dim3(THREADS), 0, to, a);
}

/* Segments are spread where there are few blocks and a->work has room. */
static inline struct attention attention_of(const struct attn *a, int segments)
{
    int dim = a->q.cols / a->heads, group = a->heads / a->kv_heads;
    struct attention k = {a->q,        a->k,       a->v,
                          a->out,      a->span.at, nullptr,
                          a->kv_heads, group,      to_powers_of_two(a->scale)};
    bool few = blocks_of(a->q.rows * group) * (unsigned)a->kv_heads < SPREAD;
    if (few && segments > 1 &&
        attention_parts(a->q.rows, a->heads, dim, segments) <= MMA_ATTENTION_MOST)
        k.part = (float *)a->work;
    return k;
}

/* Of what takes_attention: a->work has attention_room bytes, on 8. */
static inline cudaError_t enqueue_attention(struct line to, const struct attn *a)
{
    int dim = a->q.cols / a->heads, segments = segments_of(a->span);
    struct attention k = attention_of(a, segments);
    if (dim == 64) return enqueue_attention<64>(to, k, segments);
    if (dim == 72) return enqueue_attention<72>(to, k, segments);
    return enqueue_attention<128>(to, k, segments);
}
} // namespace mma

#endif
