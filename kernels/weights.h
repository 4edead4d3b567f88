/* weights.h - tensors of a model directory as the weights and vectors that operations take. */
#ifndef KERNELS_WEIGHTS_H
#define KERNELS_WEIGHTS_H

#include "base/safetensors.h"
#include "kernels/ops.h"

/* A model's inventory is one list of calls, gone through several times. */
enum weights_pass {
    WEIGHTS_NAMES,   /* marks the tensors that will be asked for, so that others are known */
    WEIGHTS_MEASURE, /* checks shapes and types, and counts the memory */
    WEIGHTS_FILL,    /* brings them to memory of that size */
    WEIGHTS_LOOK     /* looks in that memory for a value that is not finite */
};

struct weight_part { /* rows of a matrix */
    int begin, n;    /* begin is a multiple of WEIGHT_BLOCK */
};

struct weights { /* one pass: where from, where to */
    enum weights_pass pass;
    struct env *env;
    struct queue *queue;
    struct st_files *files;
    struct arena *mem;  /* device memory; base NULL but for WEIGHTS_FILL and WEIGHTS_LOOK */
    enum dtype compute; /* DT_BF16: tensors that are not BF16 are converted; DT_F32: they stay */
    /* WEIGHT_INT8, WEIGHT_INT4: weights that the files have in floats or FP8 are quantised. Else
     * they become as compute says, but with WEIGHT_FP8 those in FP8 stay so where the device holds
     * that. Those that the files have in integers stay as they are. */
    enum weight_format wanted;
    const struct weight_part *part; /* all that is read of the next matrices; NULL: whole ones */
    const struct st_tensor *bad;    /* WEIGHTS_LOOK: the first that is not finite, else NULL */
    size_t bad_at;                  /* the element */
};

/* [rows, cols]; a tensor of higher rank is asked for with dims and seen as [dim 0, product of the
 * rest]. It is brought in blocks as the device wants them, by all threads where it shares memory
 * with the host. */
vlqa_status weights_get(struct weights *w, struct weight *out, int rank, const int64_t *dim,
                        const char *name, ...) __attribute__((format(printf, 5, 6)));
vlqa_status weights_get2(struct weights *w, struct weight *out, int rows, int cols,
                         const char *name, ...) __attribute__((format(printf, 5, 6)));
/* A convolution [out, in, t, h, w]; [out, t, h, w, in], as MLX keeps it, is transposed. */
vlqa_status weights_conv(struct weights *w, struct weight *out, const int64_t dim[5],
                         const char *name);
/* [rows, cols] that is only looked up, never multiplied: rows in the file's format, or bf16. */
vlqa_status weights_table(struct weights *w, struct mat *out, int rows, int cols, const char *name);
/* [1, n] f32: norms and biases. */
vlqa_status weights_vector(struct weights *w, struct mat *out, int n, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* [rows, cols] f32 of values that no file has. */
void weights_constant(struct weights *w, struct mat *out, int rows, int cols, const float *value);

#endif
