/* mma_score.cuh - how much rows attend to each slot, in two sweeps on tensor cores, for bf16 keys
 * and heads of 64, 72 or 128 values.
 *
 * The first finds each pair's maximum and sum, segment by segment as attention does (mma_keys.cuh).
 * In the second a block has 64 slots; a lane has two of them and the same rows all along, so heads
 * and rows are brought together in its registers, heads in ascending order and no sum shared
 * between blocks. The bits of a slot depend on the rows and their keys, not on where slots lie. */
#ifndef KERNELS_CUDA_MMA_SCORE_CUH
#define KERNELS_CUDA_MMA_SCORE_CUH

#include "kernels/cuda/mma_keys.cuh"

namespace mma
{
enum { ROWS = TILE }; /* that go together in the second sweep */

struct softmax { /* of a pair: weight = 2^(score * scale - base) * by, its logarithm ln 2 * (...) -
                    log */
    float base, by, log;
};

struct scoring {
    struct mat q, k, v; /* q bf16 */
    const struct span *span;
    struct total *part;   /* [segments, heads, n] */
    struct softmax *pair; /* [heads, n] */
    float *out;           /* [slots] */
    int heads, kv_heads, group;
    int end;     /* behind the last slot that anybody sees */
    float scale; /* to powers of two */
    enum score_value value;
    enum score_heads over_heads;
    enum score_rows over_rows;
};

/* ---- queries to bf16: eight values a thread ---- */

static __global__ void __launch_bounds__(THREADS) round_queries(struct mat to, struct mat from)
{
    int i = (int)(blockIdx.x * THREADS + threadIdx.x), pieces = from.cols / 8;
    int row = i / pieces, col = i % pieces * 8;
    if (row >= from.rows) return;
    size_t at = (size_t)row * (size_t)to.stride + (size_t)col;
    *(struct uint4 *)((uint16_t *)to.data + at) = eight_bf16(from, row, col);
}

/* ---- first sweep ---- */

template <int D> struct softmax_shared {
    struct stages<D, false> stages;
    struct tile<D> q;
    struct numbering seen[PAIRS];
};

/* A block is a KV head, a segment and 64 pairs. */
template <int D> __global__ void __launch_bounds__(THREADS) sum_segments(struct scoring a)
{
    typedef struct softmax_shared<D> shared_type;
    SHARED(shared_type, s);
    int begin = (int)blockIdx.z * SEGMENT, kv_head = (int)blockIdx.y, n = a.q.rows;
    struct pairs p = {a.q, a.span, a.group, kv_head, (int)blockIdx.x * PAIRS, n * a.group};
    struct source from = {a.k, a.k, kv_head * D, a.scale};
    struct total total[2] = {{-INFINITY, 0}, {-INFINITY, 0}};
    struct queries<D> q;
    load_pairs<D>(s.q, s.seen, p);
    UNROLL for (int i = 0; i < 2; i++) clear_behind<D>(s.stages.key[i]);
    __syncthreads();
    read_queries<D>(q, s.q);
    auto segment_ends = [&](const struct running<D> &run) {
        UNROLL for (int r = 0; r < 2; r++)
            join(total[r], run.max[r], quad_sum(run.weight[r]), a.scale);
    };
    walk_runs<D, false>(s.stages, from, q, s.seen, pairs_here(p), begin, begin + SEGMENT,
                        segment_ends);
    UNROLL for (int r = 0; r < 2; r++)
    {
        int pair = lane_pair(r);
        if (pair >= pairs_here(p) || threadIdx.x % 4 != 0) continue;
        size_t head = (size_t)blockIdx.z * (size_t)a.heads + (size_t)pair_head(p, pair);
        a.part[head * (size_t)n + (size_t)pair_row(p, pair)] = total[r];
    }
}

/* A pair a thread: its segments in ascending order. */
static __global__ void __launch_bounds__(THREADS) join_segments(struct scoring a)
{
    int pair = (int)(blockIdx.x * THREADS + threadIdx.x), pairs = a.heads * a.q.rows;
    struct total t = {-INFINITY, 0};
    if (pair >= pairs) return;
    int keys = numbering_of(a.span[pair % a.q.rows]).keys;
    for (int i = 0; i * SEGMENT < keys; i++) {
        struct total part = a.part[(size_t)i * (size_t)pairs + (size_t)pair];
        join(t, part.max, part.weight, a.scale);
    }
    struct softmax s = {__fmul_rn(t.max, a.scale), 1.0f / t.weight, logf(t.weight)};
    a.pair[pair] = s;
}

/* ---- second sweep ---- */

template <int D> struct score_shared {
    struct tile<D> key[2], q[2]; /* of a KV head, of a head: one is copied while one is used */
    struct softmax pair[2][ROWS];
    struct span span[ROWS];
};

HOST_DEVICE bool sees(struct span s, int slot)
{
    return slot < s.head_end || (slot >= s.tail_begin && slot < s.tail_end);
}

/* A lane's slots and rows: element e of score tile j is slot lane / 4 + e / 2 * 8 of its warp's 16
 * and row 8 j + lane % 4 * 2 + e % 2. Bit 4 j + e: the row sees the slot. */
template <int D> DEVICE uint32_t seen_of(const struct score_shared<D> &s, int slot, int rows)
{
    uint32_t seen = 0;
    UNROLL for (int i = 0; i < 32; i++)
    {
        int row = i / 4 * 8 + (int)threadIdx.x % 4 * 2 + i % 2;
        if (row < rows && sees(s.span[row], slot + lane_pair(i % 4 / 2))) seen |= 1u << i;
    }
    return seen;
}

/* Of the lane's two slots: lanes of a quad read parts of their rows. */
template <int D>
DEVICE void value_norms(const struct scoring &a, int kv_head, int slot, float (&norm)[2])
{
    UNROLL for (int r = 0; r < 2; r++)
    {
        int at = slot + lane_pair(r);
        float sum = 0;
        for (int c = (int)threadIdx.x % 4; c < D / 8 && at < a.end; c += 4) {
            const uint16_t *v =
                (const uint16_t *)a.v.data + (size_t)at * (size_t)a.v.stride + kv_head * D + c * 8;
            UNROLL for (int i = 0; i < 8; i++)
            {
                float x = bf16_float(v[i]);
                sum = __fmaf_rn(x, x, sum);
            }
        }
        norm[r] = sqrtf(quad_sum(sum));
    }
}

/* What a score counts for; a weight of 0 counts for nothing, whatever its value row holds. */
DEVICE float counted(const struct scoring &a, float score, bool seen, struct softmax s, float norm)
{
    float d = __fmaf_rn(score, a.scale, -s.base);
    float weight = seen ? __fmul_rn(ptx::exp2(d), s.by) : 0.0f;
    if (a.value == SCORE_WEIGHT || weight == 0.0f) return weight;
    if (a.value == SCORE_VALUE) return __fmul_rn(weight, norm);
    return __fmul_rn(weight, __fmaf_rn(d, -0.693147181f, s.log));
}

DEVICE float with_head(const struct scoring &a, float joint, float value)
{
    if (a.over_heads == SCORE_HEADS_SUM) return __fadd_rn(joint, value);
    if (a.over_heads == SCORE_HEADS_L2) return __fmaf_rn(value, value, joint);
    return value > joint ? value : joint;
}

/* joint is a row's sum of squares over heads with SCORE_HEADS_L2, else its value; likewise sum. */
DEVICE float with_row(const struct scoring &a, float sum, float joint)
{
    if ((a.over_heads == SCORE_HEADS_L2) == (a.over_rows == SCORE_ROWS_L2))
        return __fadd_rn(sum, joint);
    if (a.over_heads == SCORE_HEADS_L2) return __fadd_rn(sum, sqrtf(joint));
    return __fmaf_rn(joint, joint, sum);
}

/* Keys of its KV head come with the first of its heads. */
template <int D>
DEVICE void load_head(struct score_shared<D> &s, const struct scoring &a, int head, int slot,
                      int first_row)
{
    struct numbering rows = {a.q.rows, 0, 0}, slots = {a.end, 0, 0};
    int kv_head = head / a.group;
    load_tile<D>(s.q[head % 2], a.q, head * D, rows, first_row);
    if (head % a.group == 0) load_tile<D>(s.key[kv_head % 2], a.k, kv_head * D, slots, slot);
    for (int i = (int)threadIdx.x; i < ROWS && first_row + i < a.q.rows; i += THREADS)
        s.pair[head % 2][i] = a.pair[head * a.q.rows + first_row + i];
    ptx::cp_commit();
}

template <int D> struct row_block { /* of a lane */
    struct queries<D> key;          /* the left side of products */
    float norm[2];
    struct scores joint; /* heads so far */
    uint32_t seen;
};

template <int D>
DEVICE void add_head(struct score_shared<D> &s, const struct scoring &a, struct row_block<D> &b,
                     int head, int slot)
{
    struct scores score;
    if (head % a.group == 0) {
        read_queries<D>(b.key, s.key[head / a.group % 2]);
        if (a.value == SCORE_VALUE) value_norms<D>(a, head / a.group, slot, b.norm);
    }
    multiply_keys<D>(score, b.key, s.q[head % 2]);
    UNROLL for (int j = 0; j < ROWS / 8; j++) UNROLL for (int e = 0; e < 4; e++)
    {
        struct softmax pair = s.pair[head % 2][j * 8 + (int)threadIdx.x % 4 * 2 + e % 2];
        bool seen = b.seen >> (4 * j + e) & 1;
        float value = counted(a, score.at[j][e], seen, pair, b.norm[e / 2]);
        b.joint.at[j][e] = with_head(a, b.joint.at[j][e], value);
    }
}

template <int D>
DEVICE void add_rows(struct score_shared<D> &s, const struct scoring &a, int slot, int first_row,
                     float (&sum)[2])
{
    struct row_block<D> b = {
    };
    int rows = a.q.rows - first_row < ROWS ? a.q.rows - first_row : ROWS;
    for (int i = (int)threadIdx.x; i < rows; i += THREADS)
        s.span[i] = a.span[first_row + i];
    load_head<D>(s, a, 0, slot, first_row);
    __syncthreads();
    b.seen = seen_of<D>(s, slot, rows);
    for (int head = 0; head < a.heads; head++) {
        if (head + 1 < a.heads)
            load_head<D>(s, a, head + 1, slot, first_row);
        else
            ptx::cp_commit();
        ptx::cp_wait<1>();
        __syncthreads();
        add_head<D>(s, a, b, head, slot);
        __syncthreads(); /* all have read what is loaded next */
    }
    UNROLL for (int j = 0; j < ROWS / 8; j++)
        UNROLL for (int e = 0; e < 4; e++) if (b.seen >> (4 * j + e) & 1) sum[e / 2] =
            with_row(a, sum[e / 2], b.joint.at[j][e]);
}

template <int D> __global__ void __launch_bounds__(THREADS, 2) score_slots(struct scoring a)
{
    typedef struct score_shared<D> shared_type;
    SHARED(shared_type, s);
    int slot = (int)blockIdx.x * TILE;
    float sum[2] = {0, 0};
    UNROLL for (int i = 0; i < 2; i++)
    {
        clear_behind<D>(s.key[i]);
        clear_behind<D>(s.q[i]);
    }
    for (int row = 0; row < a.q.rows; row += ROWS)
        add_rows<D>(s, a, slot, row, sum);
    ptx::cp_wait<0>();
    UNROLL for (int r = 0; r < 2; r++)
    {
        int at = slot + lane_pair(r);
        float all = quad_sum(sum[r]);
        if (a.over_rows == SCORE_ROWS_L2) all = sqrtf(all);
        if (at < a.end && threadIdx.x % 4 == 0) a.out[at] = __fadd_rn(a.out[at], all);
    }
}

/* ---- on the host ---- */

static inline size_t on_16(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

struct score_parts { /* bytes of queries, softmax of pairs, and of their segments */
    size_t q, pair, part;
};

static inline struct score_parts score_parts_of(int n, int heads, int segments)
{
    size_t pairs = (size_t)n * (size_t)heads;
    struct score_parts r = {pairs * 128 * sizeof(uint16_t), on_16(pairs * sizeof(struct softmax)),
                            pairs * (size_t)segments * sizeof(struct total)};
    return r;
}

/* Bytes that score_enqueue may use of s->work. */
static inline size_t score_room(int n, int heads, int slots)
{
    struct score_parts r = score_parts_of(n, heads, (slots + SEGMENT - 1) / SEGMENT);
    return r.q + r.pair + r.part;
}

static inline bool takes_score(const struct score *s)
{
    return s->products == DT_BF16 && takes(s->q.cols / s->heads, s->q, s->k, s->v, s->scale);
}

template <int D>
static inline cudaError_t enqueue_score(struct line to, const struct scoring &a, int segments)
{
    unsigned pairs = (unsigned)(a.q.rows * a.heads), kv_heads = (unsigned)a.kv_heads;
    cudaError_t e =
        launch(sum_segments<D>, dim3(blocks_of(a.q.rows * a.group), kv_heads, (unsigned)segments),
               dim3(THREADS), sizeof(struct softmax_shared<D>), to, a);
    if (e == cudaSuccess)
        e = launch(join_segments, dim3((pairs + THREADS - 1) / THREADS), dim3(THREADS), 0, to, a);
    if (e == cudaSuccess)
        e = launch(score_slots<D>, dim3(blocks_of(a.end)), dim3(THREADS),
                   sizeof(struct score_shared<D>), to, a);
    return e;
}

/* Of what takes_score: s->work has score_room bytes, on 16. */
static inline cudaError_t enqueue_score(struct line to, const struct score *s)
{
    int dim = s->q.cols / s->heads, segments = segments_of(s->span), end = 0;
    struct score_parts room = score_parts_of(s->q.rows, s->heads, segments);
    uint8_t *work = (uint8_t *)s->work;
    struct mat q = mat_of(work, DT_BF16, s->q.rows, s->q.cols);
    for (int i = 0; i < s->span.n; i++) {
        struct span x = s->span.host[i];
        int last = x.tail_end > x.tail_begin ? x.tail_end : x.head_end;
        end = last > end ? last : end;
    }
    struct scoring a = {q,
                        s->k,
                        s->v,
                        s->span.at,
                        (struct total *)(work + room.q + room.pair),
                        (struct softmax *)(work + room.q),
                        (float *)s->out.data,
                        s->heads,
                        s->kv_heads,
                        s->heads / s->kv_heads,
                        end,
                        to_powers_of_two(s->scale),
                        s->value,
                        s->over_heads,
                        s->over_rows};
    unsigned pieces = (unsigned)(s->q.rows * (s->q.cols / 8));
    cudaError_t e = launch(round_queries, dim3((pieces + THREADS - 1) / THREADS), dim3(THREADS), 0,
                           to, q, s->q);
    if (e != cudaSuccess) return e;
    if (dim == 64) return enqueue_score<64>(to, a, segments);
    if (dim == 72) return enqueue_score<72>(to, a, segments);
    return enqueue_score<128>(to, a, segments);
}
} // namespace mma

#endif
