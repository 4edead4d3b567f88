/* cuda_measures.cu - one number for each row, by a warp: how uncertain its logits are, how far
 * it turned. */
#include "kernels/cuda/cuda.cuh"

enum { TAKEN = 8 }; /* logits that a lane looks at before the lanes meet */

struct largest { /* of the rows of a block, the largest first */
    float kept[WARPS][ENTROPY_MOST];
};

DEVICE float warp_max(float v)
{
    for (int lanes = LANES / 2; lanes; lanes /= 2)
        v = fmaxf(v, ptx::shfl_xor(v, lanes));
    return v;
}

/* A value goes to its place, and the last one out. Lanes have two places each. */
DEVICE void insert(float *kept, float v)
{
    float next[2];
    UNROLL for (int i = 0; i < 2; i++)
    {
        int at = cuda_lane() + i * LANES;
        bool is_behind = at > 0 && kept[at - 1] < v;
        next[i] = kept[at] >= v ? kept[at] : is_behind ? kept[at - 1] : v;
    }
    ptx::syncwarp();
    UNROLL for (int i = 0; i < 2; i++) kept[cuda_lane() + i * LANES] = next[i];
    ptx::syncwarp();
}

DEVICE float largest_of(const float (&x)[TAKEN])
{
    float most = x[0];
    UNROLL for (int i = 1; i < TAKEN; i++) most = fmaxf(most, x[i]);
    return most;
}

/* Takes values of all lanes that belong to the `top` largest, the largest first; of equal ones that
 * of the first lane. */
DEVICE void take(float *kept, int top, float (&x)[TAKEN])
{
    for (;;) {
        float mine = largest_of(x), most = warp_max(mine);
        if (!(most > kept[top - 1])) return;
        bool is_first =
            -warp_max(mine == most ? -(float)cuda_lane() : -(float)LANES) == (float)cuda_lane();
        bool is_left = is_first;
        UNROLL for (int i = 0; i < TAKEN; i++) if (is_left && x[i] == most)
        {
            x[i] = -INFINITY;
            is_left = false;
        }
        insert(kept, most);
    }
}

/* As the CPU makes it (entropy_of in cpu_measures.c); every lane the same. */
DEVICE float entropy_of(const float *kept, int n)
{
    double sum = 0, moment = 0;
    for (int i = 0; i < n && kept[i] > -INFINITY; i++) {
        double d = (double)kept[0] - (double)kept[i], weight = exp(-d);
        sum += weight;
        moment += weight * d;
    }
    return (float)(log(sum) + moment / sum);
}

__global__ void __launch_bounds__(WARPS *LANES)
    entropy_rows(struct mat out, struct mat logits, int top)
{
    SHARED(largest, shared);
    int row = cuda_row();
    float *kept = shared.kept[threadIdx.x / LANES], x[TAKEN], nan = 0;
    if (row >= out.rows) return;
    for (int i = cuda_lane(); i < ENTROPY_MOST; i += LANES)
        kept[i] = -INFINITY;
    ptx::syncwarp();
    for (int begin = 0; begin < logits.cols; begin += TAKEN * LANES) {
        UNROLL for (int i = 0; i < TAKEN; i++)
        {
            int col = begin + i * LANES + cuda_lane();
            x[i] = col < logits.cols ? mat_load(logits, row, col) : -INFINITY;
            if (isnan(x[i])) nan = 1;
        }
        take(kept, top, x);
    }
    bool is_finite = warp_max(nan) == 0 && isfinite(kept[0]);
    if (cuda_lane() == 0) mat_store(out, row, 0, is_finite ? entropy_of(kept, top) : (float)NAN);
}

void cuda_entropy(struct queue *q, struct mat out, struct mat logits, int top)
{
    if (out.rows == 0) return;
    cuda_launch_shared(q, "entropy", entropy_rows, cuda_row_blocks(out.rows), WARPS * LANES,
                       sizeof(struct largest), out, logits, top);
}

/* What makes a row one of length 1; 0: it has none. NaN: there is no such number. In all lanes. */
DEVICE float unit_scale(struct mat m, int row)
{
    float squares = 0;
    for (int c = cuda_lane(); c < m.cols; c += LANES) {
        float x = mat_load(m, row, c);
        squares += x * x;
    }
    squares = cuda_warp_sum(squares);
    if (squares == 0) return 0;
    return squares < INFINITY ? 1.0f / sqrtf(squares) : (float)NAN;
}

__global__ void __launch_bounds__(WARPS *LANES)
    cosine_distance_rows(struct mat out, struct mat a, struct mat b)
{
    int row = cuda_row();
    float squares = 0;
    if (row >= out.rows) return;
    float by_a = unit_scale(a, row), by_b = unit_scale(b, row);
    for (int c = cuda_lane(); c < a.cols; c += LANES) {
        float d = mat_load(a, row, c) * by_a - mat_load(b, row, c) * by_b;
        squares += d * d;
    }
    squares = cuda_warp_sum(squares);
    if (by_a == 0 || by_b == 0) squares = 0 * (by_a + by_b); /* NaN if one is */
    if (cuda_lane() == 0) mat_store(out, row, 0, 0.5f * squares);
}

void cuda_cosine_distance(struct queue *q, struct mat out, struct mat a, struct mat b)
{
    if (out.rows == 0) return;
    cuda_launch(q, "cosine_distance", cosine_distance_rows, cuda_row_blocks(out.rows),
                WARPS * LANES, out, a, b);
}
