/* cuda_lt.cuh - products by cuBLASLt, which is opened at run time: cuda_lt.cu has it from the
 * library, the emulation from tests/cuda/emu_lt.cu.
 *
 * y[n, outputs] = x[n, inputs] w[outputs, inputs]^T + bias, bf16 times bf16 with sums in f32, or y
 * += that. */
#ifndef KERNELS_CUDA_CUDA_LT_CUH
#define KERNELS_CUDA_CUDA_LT_CUH

#include "kernels/cuda/cuda_module.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lt_types.cuh"

namespace lt
{
enum { MOST_FOUND = 8 };

struct product {
    struct mat y, x;   /* y f32, x bf16 */
    struct weight w;   /* WEIGHT_BF16 */
    const float *bias; /* [outputs], or NULL */
    bool adds;         /* to y */
};

struct library;

/* What products of a kind (lt_plans.cuh) have in common: made once, read by all queues. */
struct common {
    desc d; /* without a bias */
    layout w;
};

/* Of this thread's GPU. NULL where it cannot be opened; `why` says what is missing. */
struct library *open(const struct cuda_host *host, char why[512]);
void close(const struct cuda_host *host, struct library *l); /* NULL is fine */
size_t version(const struct library *l);
int most_rows(const struct library *l); /* of a product */
/* Nonzero: made. Either way it is to be closed. */
bool common_open(struct library *l, const struct product *p, struct common *out);
void common_close(struct library *l, struct common *c);
/* Algorithms for such a product, without sums that are split over inputs, the one first that the
 * library takes to be the fastest. What they do to rows is not known. Returns how many. */
int find(struct library *l, const struct common *c, const struct product *p,
         struct algo found[MOST_FOUND]);
/* cudaErrorNotSupported: not with this product, and nothing was enqueued. */
cudaError_t enqueue(struct library *l, const struct common *c, const struct product *p,
                    const struct algo *algo, cudaStream_t stream);
} // namespace lt

#endif
