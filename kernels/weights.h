/* weights.h - tensors of a model directory as matrices and vectors that operations take. */
#ifndef KERNELS_WEIGHTS_H
#define KERNELS_WEIGHTS_H

#include "base/arena.h"
#include "base/safetensors.h"
#include "kernels/backend.h"

struct weights { /* one load: where from, where to */
    struct env *env;
    struct backend *be;
    struct st_files *files;
    struct arena *mem;  /* takes what is converted or copied; a measuring one (base NULL) counts */
    enum dtype compute; /* DT_BF16: matrices that are not BF16 are converted; DT_F32: stay mapped */
};

/* [rows, cols]; a tensor of higher rank is asked for with dims and seen as [dim 0, product of the
 * rest]. Mapped where possible; misaligned ones are copied. */
vlqa_status weights_mat(struct weights *w, struct mat *out, int rank, const int64_t *dim,
                        const char *name, ...) __attribute__((format(printf, 5, 6)));
vlqa_status weights_mat2(struct weights *w, struct mat *out, int rows, int cols, const char *name,
                         ...) __attribute__((format(printf, 5, 6)));
/* [n] as f32 in mem. */
vlqa_status weights_vec(struct weights *w, const float **out, int n, const char *name, ...)
    __attribute__((format(printf, 4, 5)));

#endif
