/* cuda_random.cu - random weights, made where they are used: the bits of base/st_random.c. */
#include "kernels/cuda/cuda.cuh"

enum { MAKERS = 256, NUMBERS = 16 }; /* threads of a block, and numbers that each makes */

/* The number at a place: splitmix64. */
DEVICE uint64_t number_at(uint64_t seed, uint64_t place)
{
    uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* n elements; those behind them up to `all` are zero. */
__global__ void __launch_bounds__(MAKERS)
    make_random(uint16_t *to, uint64_t n, uint64_t all, uint64_t seed, float scale)
{
    uint64_t first = (uint64_t)blockIdx.x * MAKERS * NUMBERS + threadIdx.x;
    for (int i = 0; i < NUMBERS; i++) {
        uint64_t place = first + (uint64_t)i * MAKERS, bits = number_at(seed, place);
        for (int k = 0; k < 4 && place * 4 + k < all; k++) {
            float value = (float)(int16_t)(bits >> 16 * k) * scale;
            uint32_t u = __float_as_uint(value) + 0x8000u; /* the nearest bf16: it is finite */
            to[place * 4 + k] = place * 4 + k < n ? (uint16_t)(u >> 16) : (uint16_t)0;
        }
    }
}

void cuda_random(struct queue *q, struct weight w, uint64_t seed, float scale)
{
    uint64_t blocks = ((uint64_t)w.rows + WEIGHT_BLOCK - 1) / WEIGHT_BLOCK;
    uint64_t all = blocks * WEIGHT_BLOCK * (uint64_t)w.cols, part = 4 * MAKERS * NUMBERS;
    cuda_launch(q, "random weights", make_random, dim3((unsigned)((all + part - 1) / part)), MAKERS,
                (uint16_t *)w.data, (uint64_t)w.rows * (uint64_t)w.cols, all, seed, scale);
}
