/* weights.h - tensors of a model directory as the weights and vectors that operations take. */
#ifndef KERNELS_WEIGHTS_H
#define KERNELS_WEIGHTS_H

#include "base/safetensors.h"
#include "kernels/ops.h"

struct weights { /* one load: where from, where to */
    struct env *env;
    struct queue *queue;
    struct st_files *files;
    struct arena *mem;  /* device memory; a measuring arena (base NULL) counts */
    enum dtype compute; /* DT_BF16: tensors that are not BF16 are converted; DT_F32: they stay */
};

/* [rows, cols]; a tensor of higher rank is asked for with dims and seen as [dim 0, product of the
 * rest]. It stays mapped where the device shares memory with the host and the tensor is aligned;
 * else it is copied. */
vlqa_status weights_get(struct weights *w, struct weight *out, int rank, const int64_t *dim,
                        const char *name, ...) __attribute__((format(printf, 5, 6)));
vlqa_status weights_get2(struct weights *w, struct weight *out, int rows, int cols,
                         const char *name, ...) __attribute__((format(printf, 5, 6)));
/* [1, n] f32: norms and biases. */
vlqa_status weights_vector(struct weights *w, struct mat *out, int n, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* [rows, cols] f32 of values that no file has. */
void weights_constant(struct weights *w, struct mat *out, int rows, int cols, const float *value);

#endif
