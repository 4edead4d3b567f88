/* weights.c - tensors to weights and vectors: mapped where they can be, else brought to memory.
 *
 * A load makes the same calls twice: over a measuring arena, where nothing is copied, then over
 * memory of the size that was measured. What is wrong with a tensor is said in the first run. */
#include "kernels/weights.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#define NAME_BYTES 256
#define BLOCK 1024 /* elements converted at a time, on their way to the device */

static int measures(const struct weights *w)
{
    return w->mem->base == NULL;
}

static vlqa_status name_of(struct weights *w, char out[NAME_BYTES], const char *format,
                           va_list args)
{
    int n = vsnprintf(out, NAME_BYTES, format, args);
    if (n < 0 || n >= NAME_BYTES)
        return env_fail(w->env, VLQA_EMODEL, "tensor name %s... is too long", out);
    return VLQA_OK;
}

static int aligned(const struct st_tensor *t)
{
    return (uintptr_t)t->data % dtype_size(t->dtype) == 0;
}

static void block_load(float *dst, const struct st_tensor *t, size_t begin, size_t n)
{
    const uint8_t *src = (const uint8_t *)t->data + begin * dtype_size(t->dtype);
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        if (t->dtype == DT_F32) {
            memcpy(dst + i, src + i * sizeof *dst, sizeof *dst);
            continue;
        }
        memcpy(&h, src + i * sizeof h, sizeof h);
        dst[i] = t->dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
}

static void bring(struct weights *w, void *dst, enum dtype dtype, const struct st_tensor *t,
                  size_t elements)
{
    float block[BLOCK];
    uint16_t half[BLOCK];
    if (t->dtype == dtype) {
        queue_upload(w->queue, dst, t->data, elements * dtype_size(dtype));
        return;
    }
    for (size_t i = 0; i < elements; i += BLOCK) {
        size_t n = elements - i < BLOCK ? elements - i : BLOCK;
        block_load(block, t, i, n);
        for (size_t k = 0; dtype == DT_BF16 && k < n; k++)
            half[k] = f32_to_bf16(block[k]);
        queue_upload(w->queue, (uint8_t *)dst + i * dtype_size(dtype),
                     dtype == DT_BF16 ? (void *)half : block, n * dtype_size(dtype));
    }
}

/* Where it is mapped, or a copy of that dtype in mem. */
static const void *place(struct weights *w, const struct st_tensor *t, enum dtype dtype,
                         size_t elements)
{
    void *copy;
    if (device_shares_host(w->queue->device) && t->dtype == dtype && aligned(t)) return t->data;
    copy = arena_push(w->mem, elements * dtype_size(dtype));
    if (!measures(w)) bring(w, copy, dtype, t, elements);
    return copy;
}

static enum weight_format format_of(enum dtype dtype)
{
    return dtype == DT_F32 ? WEIGHT_F32 : dtype == DT_BF16 ? WEIGHT_BF16 : WEIGHT_F16;
}

static vlqa_status get_named(struct weights *w, struct weight *out, int rank, const int64_t *dim,
                             const char *name)
{
    const struct st_tensor *t;
    enum dtype dtype;
    int64_t cols = 1;
    assert(rank >= 1);
    for (int i = 1; i < rank; i++)
        if (dim[i] <= 0 || __builtin_mul_overflow(cols, dim[i], &cols) || cols > INT_MAX)
            return env_fail(w->env, VLQA_EMODEL, "%s: a row has no place in an int", name);
    if (dim[0] <= 0 || dim[0] > INT_MAX)
        return env_fail(w->env, VLQA_EMODEL, "%s: it has %" PRId64 " rows", name, dim[0]);
    TRY(st_want(w->env, w->files, name, rank, dim, &t));
    dtype = w->compute == DT_F32 ? t->dtype : DT_BF16;
    *out = (struct weight){.format = format_of(dtype),
                           .data = place(w, t, dtype, (size_t)dim[0] * (size_t)cols),
                           .rows = (int)dim[0],
                           .cols = (int)cols,
                           .row_bytes = mat_bytes(dtype, 1, (int)cols)};
    return VLQA_OK;
}

vlqa_status weights_get(struct weights *w, struct weight *out, int rank, const int64_t *dim,
                        const char *name, ...)
{
    char full[NAME_BYTES];
    va_list args;
    vlqa_status status;
    va_start(args, name);
    status = name_of(w, full, name, args);
    va_end(args);
    TRY(status);
    return get_named(w, out, rank, dim, full);
}

vlqa_status weights_get2(struct weights *w, struct weight *out, int rows, int cols,
                         const char *name, ...)
{
    const int64_t dim[2] = {rows, cols};
    char full[NAME_BYTES];
    va_list args;
    vlqa_status status;
    va_start(args, name);
    status = name_of(w, full, name, args);
    va_end(args);
    TRY(status);
    return get_named(w, out, 2, dim, full);
}

vlqa_status weights_vector(struct weights *w, struct mat *out, int n, const char *name, ...)
{
    const int64_t dim[1] = {n};
    const struct st_tensor *t;
    char full[NAME_BYTES];
    va_list args;
    vlqa_status status;
    va_start(args, name);
    status = name_of(w, full, name, args);
    va_end(args);
    TRY(status);
    TRY(st_want(w->env, w->files, full, 1, dim, &t));
    *out = mat_of(arena_push(w->mem, mat_bytes(DT_F32, 1, n)), DT_F32, 1, n);
    if (!measures(w)) bring(w, out->data, DT_F32, t, (size_t)n);
    return VLQA_OK;
}

void weights_constant(struct weights *w, struct mat *out, int rows, int cols, const float *value)
{
    size_t bytes = mat_bytes(DT_F32, rows, cols);
    *out = mat_of(arena_push(w->mem, bytes), DT_F32, rows, cols);
    if (!measures(w)) queue_upload(w->queue, out->data, value, bytes);
}
