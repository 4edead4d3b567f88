/* cuda_attention.cu - softmax over spans: on tensor cores where mma_attention.cuh takes the
 * operands, else plain, a warp a (row, query head) pair. Which one depends on formats and strides
 * alone. */
#include "kernels/cuda/cuda_keys.cuh"
#include "kernels/cuda/mma_attention.cuh"
#include "kernels/cuda/wgmma_attention.cuh"

struct attention {
    struct mat q, k, v, out; /* as in struct attn */
    const struct span *span; /* [n] */
    int heads, group, dim;
    float scale;
};

struct attention_shared {
    struct warp_keys keys[WARPS];
};

/* A lane scores a key and sums dimensions lane, lane + 32, ... of the values. A tile of 32 keys is
 * summed by itself, in ascending order, and added to what there was before. */
__global__ void __launch_bounds__(WARPS *LANES) attend(struct attention a)
{
    SHARED(attention_shared, shared);
    int pair = cuda_row(), row = pair / a.heads, head = pair % a.heads, lane = cuda_lane();
    int col = head / a.group * a.dim; /* of the KV head */
    if (row >= a.q.rows) return;
    struct keys keys = keys_of(a.span[row]);
    struct warp_keys *mine = &shared.keys[threadIdx.x / LANES];
    struct softmax all = {-INFINITY, 0};
    float sum[ATTN_MAX_DIM / LANES] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int first = 0; first < keys.n; first += LANES) {
        int n = keys.n - first < LANES ? keys.n - first : LANES;
        float score = -INFINITY;
        if (lane < n)
            score = key_score(a.q, row, head * a.dim, a.k, key_slot(keys, first + lane), col, a.dim,
                              a.scale);
        float before = softmax_add(&all, mine, score);
        UNROLL for (int i = 0; i < ATTN_MAX_DIM / LANES; i++)
        {
            int d = i * LANES + lane;
            float part = 0;
            for (int key = 0; d < a.dim && key < n; key++)
                part += mine->weight[key] * mat_load(a.v, key_slot(keys, first + key), col + d);
            sum[i] = sum[i] * before + part;
        }
    }
    UNROLL for (int i = 0; i < ATTN_MAX_DIM / LANES; i++)
    {
        int d = i * LANES + lane;
        if (d < a.dim) mat_store(a.out, row, head * a.dim + d, sum[i] / all.sum);
    }
}

size_t cuda_attention_work(const struct device *d, int n, int heads, int kv_heads, int dim,
                           int slots)
{
    (void)d;
    return mma::attention_room(n, heads, kv_heads, dim, slots);
}

void cuda_attention(struct queue *q, const struct attn *a)
{
    struct attention k = {a->q,
                          a->k,
                          a->v,
                          a->out,
                          a->span.at,
                          a->heads,
                          a->heads / a->kv_heads,
                          a->q.cols / a->heads,
                          a->scale};
    if (a->q.rows == 0) return;
    if (mma::takes_attention(a)) {
        if (cuda_may_launch(q, "attention"))
            cuda_note(q, "attention",
                      gpu_of(q->device)->wgmma ? wg::enqueue_attention(cuda_line(q), a)
                                               : mma::enqueue_attention(cuda_line(q), a));
        return;
    }
    cuda_launch_shared(q, "attention", attend, cuda_row_blocks(a->q.rows * a->heads), WARPS * LANES,
                       sizeof(struct attention_shared), k);
}
