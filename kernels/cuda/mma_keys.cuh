/* mma_keys.cuh - what attention and score on tensor cores share: which keys the rows of a block
 * see, tiles of them in shared memory, and a softmax that runs over the tiles.
 *
 * Bits are exact as on the CPU. Keys are numbered as a row sees them, in the order of their slots,
 * whatever lies between (struct numbering); a tile is 64 numbers and a segment 512, in which the
 * softmax begins anew. The segments of a row are joined in ascending order, by the block that went
 * through all of them or by a kernel behind blocks that took one each, with the same operations. A
 * key that a row of a tile does not see has weight 0 there, which changes no sum. So the bits of a
 * row depend on its query, its keys and their order alone: not on the slots, on the rows beside it,
 * on where a call was cut, or on whether segments were spread over blocks. One thing is weaker than
 * on the CPU: a value that is not finite reaches the rows of its tile that do not see it (0 * NaN).
 * Slots that no row of the block sees may hold anything.
 *
 * The numbering is free: a tile is copied row by row in 16 bytes, and each row's slot is a compare
 * and an addition. Rows of a block that number their keys differently (only where prompts have
 * several gaps) go through their tiles one run of rows after another. */
#ifndef KERNELS_CUDA_MMA_KEYS_CUH
#define KERNELS_CUDA_MMA_KEYS_CUH

#include "kernels/cuda/launch_list.cuh"
#include "kernels/ops.h"

namespace mma
{
enum {
    PAIRS = 64,    /* (row, query head) pairs of a KV head in a block: 16 a warp */
    TILE = 64,     /* keys */
    SEGMENT = 512, /* keys: a multiple of TILE */
    THREADS = 128
};

struct numbering { /* key i is in slot i before head, else in slot i + gap */
    int keys, head, gap;
};

HOST_DEVICE struct numbering numbering_of(struct span s)
{
    int tail = s.tail_end > s.tail_begin ? s.tail_end - s.tail_begin : 0;
    struct numbering n = {s.head_end + tail, 0, 0};
    if (tail && s.tail_begin > s.head_end) {
        n.head = s.head_end;
        n.gap = s.tail_begin - s.head_end;
    }
    return n;
}

DEVICE int slot_of(struct numbering n, int key)
{
    return key < n.head ? key : key + n.gap;
}

/* How many of n pairs, from the first on, number their keys alike; *all has as many keys as the one
 * that sees most. */
DEVICE int run_of(const struct numbering *pair, int n, struct numbering *all)
{
    int pairs = 1;
    *all = pair[0];
    for (; pairs < n && pair[pairs].head == all->head && pair[pairs].gap == all->gap; pairs++)
        all->keys = pair[pairs].keys > all->keys ? pair[pairs].keys : all->keys;
    return pairs;
}

/* ---- tiles in shared memory ---- */

/* Heads of D values: products take 16 at a time. ldmatrix reads a piece of 8 values of eight rows
 * at once, which should lie in eight banks: rows of whole lines of 64 values have their pieces
 * swapped by the number of the row; others have 8 values more. So attention over heads of 128 fits
 * the 99 KB of shared memory that small GPUs have. */
template <int D> struct head {
    enum {
        WIDE = (D + 15) / 16 * 16,
        STRIDE = WIDE % 64 == 0 ? WIDE : WIDE + 8,
        SWAP = WIDE % 64 == 0 ? 7 : 0,
        STEPS = WIDE / 16,
        PIECES = D / 8
    };
};

template <int D> struct tile {
    uint16_t value[TILE][head<D>::STRIDE];
};

/* Values [col, col + 8) of a row; col is a multiple of 8. */
template <int D> DEVICE uint16_t *piece_at(struct tile<D> &t, int row, int col)
{
    return &t.value[row][col ^ (row & head<D>::SWAP) * 8];
}

template <int D> DEVICE const uint16_t *piece_at(const struct tile<D> &t, int row, int col)
{
    return &t.value[row][col ^ (row & head<D>::SWAP) * 8];
}

/* Keys [first, first + TILE) of columns [col, col + D); zeros behind the last key. */
template <int D>
DEVICE void load_tile(struct tile<D> &to, struct mat from, int col, struct numbering all, int first)
{
    const int pieces = head<D>::PIECES;
    for (int i = (int)threadIdx.x; i < TILE * pieces; i += THREADS) {
        int r = i / pieces, c = i % pieces * 8;
        bool fill = first + r >= all.keys;
        size_t slot = fill ? 0 : (size_t)slot_of(all, first + r);
        const uint16_t *at = (const uint16_t *)from.data + slot * (size_t)from.stride + col + c;
        ptx::cp_async16(piece_at<D>(to, r, c), at, fill);
    }
}

/* Products read whole steps of 16: what is behind a head of 72 is zero. */
template <int D> DEVICE void clear_behind(struct tile<D> &t)
{
    const struct uint4 zero = {0, 0, 0, 0};
    if constexpr (head<D>::WIDE > D)
        for (int r = (int)threadIdx.x; r < TILE; r += THREADS)
            *(struct uint4 *)piece_at<D>(t, r, D) = zero;
}

/* Eight values of a row as bf16. */
DEVICE struct uint4 eight_bf16(struct mat m, int row, int col)
{
    size_t at = (size_t)row * (size_t)m.stride + (size_t)col;
    if (m.dtype == DT_BF16) return *(const struct uint4 *)((const uint16_t *)m.data + at);
    const struct float4 *f = (const struct float4 *)((const float *)m.data + at);
    struct float4 a = f[0], b = f[1];
    struct uint4 packed = {ptx::pack_bf16(a.x, a.y), ptx::pack_bf16(a.z, a.w),
                           ptx::pack_bf16(b.x, b.y), ptx::pack_bf16(b.z, b.w)};
    return packed;
}

/* ---- the pairs of a block ---- */

struct pairs {
    struct mat q;            /* [n, heads * D] f32 or bf16 */
    const struct span *span; /* [n] */
    int group, kv_head;      /* query heads of a KV head; the one of this block */
    int first, all;          /* of the block; of the KV head */
};

DEVICE int pair_row(const struct pairs &p, int pair)
{
    return (p.first + pair) / p.group;
}

DEVICE int pair_head(const struct pairs &p, int pair)
{
    return p.kv_head * p.group + (p.first + pair) % p.group;
}

DEVICE int pairs_here(const struct pairs &p)
{
    return p.all - p.first < PAIRS ? p.all - p.first : PAIRS;
}

template <int D>
DEVICE void load_pairs(struct tile<D> &q, struct numbering *seen, const struct pairs &p)
{
    const int pieces = head<D>::WIDE / 8;
    int n = pairs_here(p);
    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        seen[i] = numbering_of(p.span[pair_row(p, i)]);
    for (int i = (int)threadIdx.x; i < PAIRS * pieces; i += THREADS) {
        int pair = i / pieces, c = i % pieces * 8;
        struct uint4 x = {0, 0, 0, 0};
        if (pair < n && c < D) x = eight_bf16(p.q, pair_row(p, pair), pair_head(p, pair) * D + c);
        *(struct uint4 *)piece_at<D>(q, pair, c) = x;
    }
}

/* What a lane holds of its warp's 16 queries: the left side of products. */
template <int D> struct queries {
    uint32_t step[head<D>::STEPS][4];
};

template <int D> DEVICE void read_queries(struct queries<D> &q, const struct tile<D> &from)
{
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    UNROLL for (int k = 0; k < head<D>::STEPS; k++)
        ptx::ldsm4(q.step[k], piece_at<D>(from, warp * 16 + lane % 16, k * 16 + lane / 16 * 8));
}

/* The two pairs of a lane, of those of the block. */
DEVICE int lane_pair(int r)
{
    return (int)threadIdx.x / 32 * 16 + (int)threadIdx.x % 32 / 4 + 8 * r;
}

/* ---- softmax ---- */

/* Sums of a segment: a lane has two pairs, and of each the columns [8 j + lane % 4 * 2, + 2). The
 * weight is that of the lane's keys alone; max is that of all. */
template <int D> struct running {
    float sum[D / 8][4]; /* [j][2 r + c] */
    float max[2], weight[2];
};

template <int D> DEVICE void clear_running(struct running<D> &r)
{
    UNROLL for (int j = 0; j < D / 8; j++) UNROLL for (int c = 0; c < 4; c++) r.sum[j][c] = 0;
    UNROLL for (int i = 0; i < 2; i++)
    {
        r.max[i] = -INFINITY;
        r.weight[i] = 0;
    }
}

struct total { /* of a pair's segments so far */
    float max, weight;
};

/* Adds a segment to those before it; returns by what sums of them and of it are multiplied. */
DEVICE struct float2 join(struct total &t, float max, float weight, float scale)
{
    float top = fmaxf(t.max, max);
    float a = t.max == top ? 1.0f : ptx::exp2(__fmul_rn(t.max - top, scale));
    float b = max == top ? 1.0f : ptx::exp2(__fmul_rn(max - top, scale));
    if (top == -INFINITY) a = b = 0;
    t.weight = __fmaf_rn(t.weight, a, __fmul_rn(weight, b));
    t.max = top;
    return make_float2(a, b);
}

DEVICE float quad_sum(float v) /* of the four lanes that share a pair */
{
    v = __fadd_rn(v, ptx::shfl_xor(v, 1));
    return __fadd_rn(v, ptx::shfl_xor(v, 2));
}

DEVICE float quad_max(float v)
{
    v = fmaxf(v, ptx::shfl_xor(v, 1));
    return fmaxf(v, ptx::shfl_xor(v, 2));
}

struct scores { /* of a warp with a tile: [8 keys][2 r + c], of the keys 8 j + lane % 4 * 2 + c */
    float at[TILE / 8][4];
};

template <int D>
DEVICE void multiply_keys(struct scores &s, const struct queries<D> &q, const struct tile<D> &k)
{
    int lane = (int)threadIdx.x % 32;
    UNROLL for (int j = 0; j < TILE / 8; j++) UNROLL for (int c = 0; c < 4; c++) s.at[j][c] = 0;
    UNROLL for (int step = 0; step < head<D>::STEPS; step++)
        UNROLL for (int j = 0; j < TILE / 16; j++)
    {
        uint32_t b[4];
        ptx::ldsm4(b,
                   piece_at<D>(k, j * 16 + lane / 16 * 8 + lane % 8, step * 16 + lane / 8 % 2 * 8));
        ptx::mma_bf16(s.at[2 * j], q.step[step], b[0], b[1]);
        ptx::mma_bf16(s.at[2 * j + 1], q.step[step], b[2], b[3]);
    }
}

/* Scores of pair r to weights; keys from `seen` on are none of its own. Returns by what the sums so
 * far are multiplied. */
template <int D>
DEVICE float add_weights(struct running<D> &run, struct scores &s, int r, int seen, float scale)
{
    int lane = (int)threadIdx.x % 32;
    float top = run.max[r], sum = 0;
    if (seen < TILE)
        UNROLL for (int j = 0; j < TILE / 8; j++)
            UNROLL for (int c = 0; c < 2; c++) if (j * 8 + lane % 4 * 2 + c >= seen)
                s.at[j][2 * r + c] = -INFINITY;
    UNROLL for (int j = 0; j < TILE / 8; j++) UNROLL for (int c = 0; c < 2; c++) top =
        fmaxf(top, s.at[j][2 * r + c]);
    top = quad_max(top);
    float from = top == -INFINITY ? 0 : top, base = __fmul_rn(from, scale);
    float decay = ptx::exp2(__fmul_rn(run.max[r] - from, scale));
    UNROLL for (int j = 0; j < TILE / 8; j++) UNROLL for (int c = 0; c < 2; c++)
    {
        float w = ptx::exp2(__fmaf_rn(s.at[j][2 * r + c], scale, -base));
        s.at[j][2 * r + c] = w;
        sum = __fadd_rn(sum, w);
    }
    run.weight[r] = __fmaf_rn(run.weight[r], decay, sum);
    run.max[r] = top;
    return decay;
}

/* Weights, as bf16, times values. */
template <int D>
DEVICE void add_values(struct running<D> &run, const struct scores &s, const struct tile<D> &v)
{
    const int columns = D / 8;
    int lane = (int)threadIdx.x % 32;
    UNROLL for (int t = 0; t < TILE / 16; t++)
    {
        const float *lo = s.at[2 * t], *hi = s.at[2 * t + 1];
        uint32_t w[4] = {ptx::pack_bf16(lo[0], lo[1]), ptx::pack_bf16(lo[2], lo[3]),
                         ptx::pack_bf16(hi[0], hi[1]), ptx::pack_bf16(hi[2], hi[3])};
        UNROLL for (int j = 0; j < columns; j += 2)
        {
            uint32_t b[4];
            ptx::ldsm4_trans(
                b, piece_at<D>(v, t * 16 + lane / 8 % 2 * 8 + lane % 8, j * 8 + lane / 16 * 8));
            ptx::mma_bf16(run.sum[j], w, b[0], b[1]);
            if (j + 1 < columns) ptx::mma_bf16(run.sum[j + 1 < columns ? j + 1 : 0], w, b[2], b[3]);
        }
    }
}

/* ---- a run of pairs goes through its keys ---- */

/* Two stages of keys and, where they count, values: one is copied while the other is used. */
template <int D, bool VALUES> struct stages {
    struct tile<D> key[2], value[VALUES ? 2 : 1];
};

struct source {
    struct mat k, v; /* bf16 [slots, kv_heads * D] */
    int col;         /* of the KV head */
    float scale;     /* of scores, to powers of two: positive */
};

template <int D, bool VALUES>
DEVICE void load_stage(struct stages<D, VALUES> &s, int stage, const struct source &from,
                       struct numbering all, int first)
{
    load_tile<D>(s.key[stage], from.k, from.col, all, first);
    if (VALUES) load_tile<D>(s.value[VALUES ? stage : 0], from.v, from.col, all, first);
}

/* The most keys of any pair of the warp. */
DEVICE int warp_most(const int (&keys)[2])
{
    float most = (float)(keys[0] > keys[1] ? keys[0] : keys[1]); /* exact below 2^24 */
    for (int lanes = 4; lanes < 32; lanes *= 2)
        most = fmaxf(most, ptx::shfl_xor(most, lanes));
    return (int)most;
}

template <int D, bool VALUES>
DEVICE void add_tile(struct running<D> &run, const struct stages<D, VALUES> &s, int stage,
                     const struct queries<D> &q, const int (&seen)[2], float scale)
{
    struct scores score;
    multiply_keys<D>(score, q, s.key[stage]);
    UNROLL for (int r = 0; r < 2; r++)
    {
        float decay = add_weights<D>(run, score, r, seen[r], scale);
        if (VALUES)
            UNROLL for (int j = 0; j < D / 8; j++) UNROLL for (int c = 0; c < 2; c++)
                run.sum[j][2 * r + c] = __fmul_rn(run.sum[j][2 * r + c], decay);
    }
    if (VALUES) add_values<D>(run, score, s.value[VALUES ? stage : 0]);
}

/* Keys [begin, end), which begin with a segment, of pairs that number them alike; keys[r] is how
 * many of them the lane's pair r sees, 0 where it is not of the run. segment_ends(run) takes the
 * sums of each segment. To be called by the whole block. */
template <int D, bool VALUES, class ENDS>
DEVICE void walk(struct stages<D, VALUES> &s, const struct source &from, const struct queries<D> &q,
                 struct numbering all, const int (&keys)[2], int begin, int end, ENDS segment_ends)
{
    struct running<D> run;
    int stage = 0, most = warp_most(keys);
    if (begin >= end) return;
    load_stage<D, VALUES>(s, 0, from, all, begin);
    ptx::cp_commit();
    for (int first = begin; first < end; first += TILE, stage ^= 1) {
        int next = first + TILE;
        if (first % SEGMENT == 0) clear_running<D>(run);
        if (next < end) load_stage<D, VALUES>(s, stage ^ 1, from, all, next);
        ptx::cp_commit();
        ptx::cp_wait<1>();
        __syncthreads();
        if (first < most) {
            int seen[2] = {keys[0] - first, keys[1] - first};
            add_tile<D, VALUES>(run, s, stage, q, seen, from.scale);
        }
        if (next >= end || next % SEGMENT == 0) segment_ends(run);
        __syncthreads(); /* all have read the stage that is loaded next */
    }
    ptx::cp_wait<0>();
}

/* All runs of a block, over keys [begin, limit). */
template <int D, bool VALUES, class ENDS>
DEVICE void walk_runs(struct stages<D, VALUES> &s, const struct source &from,
                      const struct queries<D> &q, const struct numbering *seen, int pairs,
                      int begin, int limit, ENDS segment_ends)
{
    for (int first = 0, n; first < pairs; first += n) {
        struct numbering all;
        int keys[2];
        n = run_of(seen + first, pairs - first, &all);
        UNROLL for (int r = 0; r < 2; r++)
        {
            int pair = lane_pair(r);
            keys[r] = pair >= first && pair < first + n ? seen[pair].keys : 0;
        }
        walk<D, VALUES>(s, from, q, all, keys, begin, all.keys < limit ? all.keys : limit,
                        segment_ends);
    }
}

/* ---- on the host ---- */

static inline int segments_of(struct spans s) /* of the row that sees most */
{
    int keys = 0;
    for (int i = 0; i < s.n; i++) {
        int mine = numbering_of(s.host[i]).keys;
        keys = mine > keys ? mine : keys;
    }
    return (keys + SEGMENT - 1) / SEGMENT;
}

static inline unsigned blocks_of(int pairs)
{
    return (unsigned)((pairs + PAIRS - 1) / PAIRS);
}

/* Rows begin on 16 bytes. */
static inline bool aligned(struct mat m)
{
    size_t row = (size_t)m.stride * dtype_size(m.dtype);
    return (uintptr_t)m.data % 16 == 0 && row % 16 == 0;
}

static inline bool takes(int dim, struct mat q, struct mat k, struct mat v, float scale)
{
    bool is_dim = dim == 64 || dim == 72 || dim == 128;
    bool is_query = q.dtype == DT_F32 || q.dtype == DT_BF16;
    return is_dim && is_query && k.dtype == DT_BF16 && v.dtype == DT_BF16 && aligned(q) &&
           aligned(k) && aligned(v) && scale > 0;
}

static inline float to_powers_of_two(float scale)
{
    return scale * 1.44269504f;
}
} // namespace mma

#endif
