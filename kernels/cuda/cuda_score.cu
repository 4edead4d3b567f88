/* cuda_score.cu - scores of slots: on tensor cores where mma_score.cuh takes the operands, else
 * plain, in two sweeps over the keys. Which one depends on formats and strides alone.
 *
 * The first finds the softmax of each (row, query head) pair, a warp each. The second is a thread a
 * slot: rows, and within them heads, ascend, so no sum is shared and no atomic is needed. */
#include "kernels/cuda/cuda_keys.cuh"
#include "kernels/cuda/mma_score.cuh"

struct scoring {
    struct mat q, k, v; /* as in struct score */
    const struct span *span;
    struct softmax *pair; /* [n, heads] */
    float *out;           /* [slots] */
    int heads, group, dim;
    float scale;
    enum score_value value;
    enum score_heads over_heads;
    enum score_rows over_rows;
};

struct score_shared {
    struct warp_keys keys[WARPS];
};

__global__ void __launch_bounds__(WARPS *LANES) score_softmax(struct scoring a)
{
    SHARED(score_shared, shared);
    int pair = cuda_row(), row = pair / a.heads, head = pair % a.heads, lane = cuda_lane();
    if (row >= a.q.rows) return;
    struct keys keys = keys_of(a.span[row]);
    struct softmax all = {-INFINITY, 0};
    for (int first = 0; first < keys.n; first += LANES) {
        float score = -INFINITY;
        if (first + lane < keys.n)
            score = key_score(a.q, row, head * a.dim, a.k, key_slot(keys, first + lane),
                              head / a.group * a.dim, a.dim, a.scale);
        softmax_add(&all, &shared.keys[threadIdx.x / LANES], score);
    }
    if (lane == 0) a.pair[pair] = all;
}

DEVICE float value_norm(const struct scoring &a, int slot, int kv_head)
{
    float sum = 0;
    for (int d = 0; d < a.dim; d++) {
        float v = mat_load(a.v, slot, kv_head * a.dim + d);
        sum += v * v;
    }
    return sqrtf(sum);
}

/* What a head's weight of the slot counts for. A weight of 0 counts for nothing, whatever the value
 * row holds. */
DEVICE float counted(const struct scoring &a, int row, int head, int slot)
{
    struct softmax all = a.pair[row * a.heads + head];
    float score =
        key_score(a.q, row, head * a.dim, a.k, slot, head / a.group * a.dim, a.dim, a.scale);
    float weight = expf(score - all.max) / all.sum;
    if (a.value == SCORE_WEIGHT || weight == 0.0f) return weight;
    if (a.value == SCORE_ENTROPY) return weight * (logf(all.sum) - (score - all.max));
    return weight * value_norm(a, slot, head / a.group);
}

/* A row's heads brought together: a sum of squares with SCORE_HEADS_L2, else the value. */
DEVICE float joined(const struct scoring &a, int row, int slot)
{
    float joint = 0;
    for (int head = 0; head < a.heads; head++) {
        float v = counted(a, row, head, slot);
        if (a.over_heads == SCORE_HEADS_MAX)
            joint = v > joint ? v : joint;
        else
            joint += a.over_heads == SCORE_HEADS_L2 ? v * v : v;
    }
    return joint;
}

enum { SLOTS = 128 }; /* of a block */

__global__ void __launch_bounds__(SLOTS) score_slots(struct scoring a)
{
    int slot = (int)(blockIdx.x * SLOTS + threadIdx.x);
    int is_squared = a.over_heads == SCORE_HEADS_L2;
    float sum = 0;
    if (slot >= a.k.rows) return;
    for (int row = 0; row < a.q.rows; row++) {
        struct span s = a.span[row];
        if (slot >= s.head_end && (slot < s.tail_begin || slot >= s.tail_end)) continue;
        float joint = joined(a, row, slot);
        if (a.over_rows == SCORE_ROWS_L2)
            sum += is_squared ? joint : joint * joint;
        else
            sum += is_squared ? sqrtf(joint) : joint;
    }
    a.out[slot] += a.over_rows == SCORE_ROWS_L2 ? sqrtf(sum) : sum;
}

size_t cuda_score_work(const struct device *d, int n, int heads, int slots)
{
    size_t plain = (size_t)n * (size_t)heads * sizeof(struct softmax);
    size_t tensor = mma::score_room(n, heads, slots);
    (void)d;
    return tensor > plain ? tensor : plain;
}

void cuda_score(struct queue *q, const struct score *s)
{
    struct scoring a = {s->q,
                        s->k,
                        s->v,
                        s->span.at,
                        (struct softmax *)s->work,
                        (float *)s->out.data,
                        s->heads,
                        s->heads / s->kv_heads,
                        s->q.cols / s->heads,
                        s->scale,
                        s->value,
                        s->over_heads,
                        s->over_rows};
    if (s->q.rows == 0 || s->k.rows == 0) return;
    if (mma::takes_score(s)) {
        if (cuda_may_launch(q, "score")) cuda_note(q, "score", mma::enqueue_score(cuda_line(q), s));
        return;
    }
    cuda_launch_shared(q, "score", score_softmax, cuda_row_blocks(s->q.rows * s->heads),
                       WARPS * LANES, sizeof(struct score_shared), a);
    cuda_launch(q, "score", score_slots, dim3((unsigned)((s->k.rows - 1) / SLOTS + 1)), SLOTS, a);
}
