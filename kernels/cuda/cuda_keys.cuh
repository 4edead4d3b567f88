/* cuda_keys.cuh - the keys that a row sees, and a warp's way through them, for attention and score.
 *
 * Keys are numbered in the order of their slots, whatever lies between them: key i is in slot i
 * before `head`, else in slot i + gap. A warp has one (row, query head) pair and takes 32 keys at a
 * time, a lane each; where the slots lie does not change a bit. */
#ifndef KERNELS_CUDA_CUDA_KEYS_CUH
#define KERNELS_CUDA_CUDA_KEYS_CUH

#include "kernels/cuda/cuda.cuh"

struct keys {
    int n, head, gap;
};

DEVICE struct keys keys_of(struct span s)
{
    int tail = s.tail_end > s.tail_begin ? s.tail_end - s.tail_begin : 0;
    struct keys k = {s.head_end + tail, s.head_end, tail ? s.tail_begin - s.head_end : 0};
    return k;
}

DEVICE int key_slot(struct keys k, int key)
{
    return key < k.head ? key : key + k.gap;
}

/* q . k * scale of one key: products are added in ascending order of the dimensions. */
DEVICE float key_score(struct mat q, int row, int q_col, struct mat k, int slot, int k_col, int dim,
                       float scale)
{
    float sum = 0;
    for (int d = 0; d < dim; d++)
        sum += mat_load(q, row, q_col + d) * mat_load(k, slot, k_col + d);
    return sum * scale;
}

struct softmax { /* of the keys so far: the largest score, and the sum of exp(score - max) */
    float max, sum;
};

struct warp_keys { /* in shared memory, of each warp */
    float score[LANES], weight[LANES];
};

/* Adds the scores of the lanes, -INFINITY where there is no key; the lanes' weights are then in
 * to->weight. Returns by what earlier sums are to be multiplied. To be called by whole warps. */
DEVICE float softmax_add(struct softmax *all, struct warp_keys *to, float score)
{
    float top = all->max, sum = 0;
    to->score[cuda_lane()] = score;
    ptx::syncwarp();
    for (int i = 0; i < LANES; i++)
        top = to->score[i] > top ? to->score[i] : top;
    /* Where all scores are NaN there is no maximum, and the weights are NaN. */
    to->weight[cuda_lane()] = score == -INFINITY ? 0.0f : expf(score - top);
    ptx::syncwarp();
    for (int i = 0; i < LANES; i++)
        sum += to->weight[i];
    float before = all->max == -INFINITY ? 0.0f : expf(all->max - top);
    all->sum = all->sum * before + sum;
    all->max = top;
    return before;
}

#endif
