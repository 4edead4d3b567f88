/* weights.c - tensors to weights and vectors: brought to memory, converted where they must be. */
#include "kernels/weights.h"

#include "base/heap.h"
#include "base/pool.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define NAME_BYTES 256
#define BLOCK 1024              /* elements on their way to another format or device */
#define SLICE ((size_t)1 << 20) /* elements that a thread brings at a time */

static vlqa_status name_of(struct weights *w, char out[NAME_BYTES], const char *format,
                           va_list args)
{
    int n = vsnprintf(out, NAME_BYTES, format, args);
    if (n < 0 || n >= NAME_BYTES)
        return env_fail(w->env, VLQA_EMODEL, "tensor name %s... is too long", out);
    return VLQA_OK;
}

/* ---- bringing ---- */

struct source {
    const struct st_tensor *t;
    const uint8_t *memory; /* its values in another order; NULL: as st_read gives them */
};

struct transfer {
    struct weights *w;
    struct source from;
    uint8_t *to;
    enum dtype dtype; /* there */
    size_t elements;
    atomic_int failed;
};

static vlqa_status read_source(struct env *env, const struct transfer *job, size_t begin, void *dst,
                               size_t bytes)
{
    if (!job->from.memory) return st_read(env, job->w->files, job->from.t, begin, dst, bytes);
    memcpy(dst, job->from.memory + begin, bytes);
    return VLQA_OK;
}

static void widen(float *dst, const uint8_t *src, enum dtype dtype, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        if (dtype == DT_F32) {
            memcpy(dst + i, src + i * sizeof *dst, sizeof *dst);
            continue;
        }
        memcpy(&h, src + i * sizeof h, sizeof h);
        dst[i] = dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
}

/* Elements [begin, begin + n), n up to BLOCK, through this thread's stack. */
static vlqa_status bring_block(struct env *env, const struct transfer *job, size_t begin, size_t n)
{
    uint8_t raw[BLOCK * sizeof(float)];
    float wide[BLOCK];
    uint16_t half[BLOCK];
    enum dtype from = job->from.t->dtype;
    const void *src = raw;
    TRY(read_source(env, job, begin * dtype_size(from), raw, n * dtype_size(from)));
    if (from != job->dtype) {
        widen(wide, raw, from, n);
        for (size_t k = 0; job->dtype == DT_BF16 && k < n; k++)
            half[k] = f32_to_bf16(wide[k]);
        src = job->dtype == DT_BF16 ? (const void *)half : wide;
    }
    queue_upload(job->w->queue, job->to + begin * dtype_size(job->dtype), src,
                 n * dtype_size(job->dtype));
    return VLQA_OK;
}

static vlqa_status bring_slice(struct env *env, const struct transfer *job, int slice)
{
    size_t begin = (size_t)slice * SLICE, left = job->elements - begin;
    size_t end = begin + (left < SLICE ? left : SLICE), size = dtype_size(job->dtype);
    if (job->from.t->dtype == job->dtype && device_shares_host(job->w->queue->device))
        return read_source(env, job, begin * size, job->to + begin * size, (end - begin) * size);
    for (size_t at = begin; at < end; at += BLOCK)
        TRY(bring_block(env, job, at, end - at < BLOCK ? end - at : BLOCK));
    return VLQA_OK;
}

static void bring_slices(void *arg, int begin, int end, int worker)
{
    struct transfer *job = arg;
    struct env quiet = {.log = NULL};
    (void)worker;
    for (int i = begin; i < end; i++)
        if (bring_slice(&quiet, job, i) != VLQA_OK) atomic_store(&job->failed, 1);
}

/* By all threads where the device takes uploads from them. What failed there is done again here, so
 * that one thread says why. */
static vlqa_status bring(struct weights *w, void *dst, enum dtype dtype, struct source from,
                         size_t elements)
{
    struct transfer job = {.w = w, .from = from, .to = dst, .dtype = dtype, .elements = elements};
    int slices = (int)(elements / SLICE + (elements % SLICE != 0));
    atomic_init(&job.failed, 0);
    if (device_shares_host(w->queue->device)) {
        pool_for(w->env->pool, slices, 1, bring_slices, &job);
        if (!atomic_load(&job.failed)) return VLQA_OK;
    }
    for (int i = 0; i < slices; i++)
        TRY(bring_slice(w->env, &job, i));
    return VLQA_OK;
}

/* ---- looking ---- */

static int is_finite(const uint8_t *value, enum dtype dtype)
{
    uint32_t f;
    uint16_t h;
    if (dtype == DT_F32) {
        memcpy(&f, value, sizeof f);
        return (f & 0x7f800000u) != 0x7f800000u;
    }
    memcpy(&h, value, sizeof h);
    return dtype == DT_BF16 ? (h & 0x7f80) != 0x7f80 : (h & 0x7c00) != 0x7c00;
}

/* Notes the tensor when a value of it is not finite where it was brought. */
static vlqa_status look(struct weights *w, const struct st_tensor *t, const void *at,
                        enum dtype dtype, size_t elements)
{
    uint8_t block[BLOCK * sizeof(float)];
    size_t size = dtype_size(dtype);
    for (size_t i = 0; i < elements && !w->bad; i += BLOCK) {
        size_t n = elements - i < BLOCK ? elements - i : BLOCK;
        queue_download(w->queue, block, (const uint8_t *)at + i * size, n * size);
        TRY(queue_sync(w->queue));
        for (size_t k = 0; k < n && !w->bad; k++) {
            if (is_finite(block + k * size, dtype)) continue;
            w->bad = t;
            w->bad_at = i + k;
        }
    }
    return VLQA_OK;
}

/* ---- asking ---- */

static int may_stay(const struct weights *w, struct source from, enum dtype dtype)
{
    const struct st_tensor *t = from.t;
    return t->data && !from.memory && t->dtype == dtype && device_shares_host(w->queue->device) &&
           (uintptr_t)t->data % dtype_size(dtype) == 0;
}

/* Where the tensor is used: where it is, or a copy of that dtype in mem. */
static vlqa_status place(struct weights *w, struct source from, enum dtype dtype, size_t elements,
                         const void **out)
{
    int stays = may_stay(w, from, dtype);
    void *copy = stays ? NULL : arena_push(w->mem, elements * dtype_size(dtype));
    *out = stays ? from.t->data : copy;
    if (w->pass == WEIGHTS_FILL && !stays) return bring(w, copy, dtype, from, elements);
    return w->pass == WEIGHTS_LOOK ? look(w, from.t, *out, dtype, elements) : VLQA_OK;
}

static enum weight_format format_of(enum dtype dtype)
{
    return dtype == DT_F32 ? WEIGHT_F32 : dtype == DT_BF16 ? WEIGHT_BF16 : WEIGHT_F16;
}

static vlqa_status get_source(struct weights *w, struct weight *out, struct source from)
{
    const struct st_tensor *t = from.t;
    enum dtype dtype = w->compute == DT_F32 ? t->dtype : DT_BF16;
    const void *data;
    int rows = (int)t->dim[0], cols = 1;
    for (int i = 1; i < t->rank; i++)
        cols *= (int)t->dim[i];
    TRY(place(w, from, dtype, (size_t)rows * (size_t)cols, &data));
    *out = (struct weight){.format = format_of(dtype),
                           .data = data,
                           .rows = rows,
                           .cols = cols,
                           .row_bytes = mat_bytes(dtype, 1, cols)};
    return VLQA_OK;
}

static vlqa_status get_named(struct weights *w, struct weight *out, int rank, const int64_t *dim,
                             const char *name)
{
    struct source from = {NULL, NULL};
    int64_t cols = 1;
    assert(rank >= 1);
    *out = (struct weight){.data = NULL};
    if (w->pass == WEIGHTS_NAMES) {
        st_ignore(w->files, name);
        return VLQA_OK;
    }
    for (int i = 1; i < rank; i++)
        if (dim[i] <= 0 || __builtin_mul_overflow(cols, dim[i], &cols) || cols > INT_MAX)
            return env_fail(w->env, VLQA_EMODEL, "%s: a row has no place in an int", name);
    if (dim[0] <= 0 || dim[0] > INT_MAX)
        return env_fail(w->env, VLQA_EMODEL, "%s: it has %" PRId64 " rows", name, dim[0]);
    TRY(st_want(w->env, w->files, name, rank, dim, &from.t));
    return get_source(w, out, from);
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

/* [out, t, h, w, in] to [out, in, t, h, w]: the values as they are. */
static vlqa_status transpose(struct weights *w, const struct st_tensor *t, uint8_t *dst)
{
    size_t size = dtype_size(t->dtype), in = (size_t)t->dim[4], rows = (size_t)t->dim[0];
    size_t inner = t->bytes / size / rows / in;
    uint8_t *row = heap_alloc(t->bytes / rows);
    vlqa_status status = row ? VLQA_OK : env_no_memory(w->env, t->key, t->bytes / rows);
    for (size_t r = 0; r < rows && status == VLQA_OK; r++) {
        status = st_read(w->env, w->files, t, r * inner * in * size, row, inner * in * size);
        for (size_t i = 0; i < inner * in; i++) {
            size_t to = i % in * inner + i / in;
            memcpy(dst + (r * inner * in + to) * size, row + i * size, size);
        }
    }
    heap_free(row);
    return status;
}

static vlqa_status get_transposed(struct weights *w, struct weight *out, const int64_t last[5],
                                  const char *name)
{
    static const uint8_t nothing[1];
    struct source from = {NULL, nothing}; /* it does not stay where it is */
    uint8_t *block = NULL;
    vlqa_status status = VLQA_OK;
    TRY(st_want(w->env, w->files, name, 5, last, &from.t));
    if (w->pass == WEIGHTS_FILL) {
        from.memory = block = heap_alloc(from.t->bytes);
        if (!block) return env_no_memory(w->env, from.t->key, from.t->bytes);
        status = transpose(w, from.t, block);
    }
    if (status == VLQA_OK) status = get_source(w, out, from);
    heap_free(block);
    return status;
}

vlqa_status weights_conv(struct weights *w, struct weight *out, const int64_t dim[5],
                         const char *name)
{
    const int64_t last[5] = {dim[0], dim[2], dim[3], dim[4], dim[1]};
    const struct st_tensor *t = w->pass == WEIGHTS_NAMES ? NULL : st_find(w->files, name);
    int is_last = t && t->rank == 5 && memcmp(t->dim, last, sizeof last) == 0 &&
                  memcmp(last, dim, sizeof last) != 0;
    return is_last ? get_transposed(w, out, last, name) : get_named(w, out, 5, dim, name);
}

vlqa_status weights_vector(struct weights *w, struct mat *out, int n, const char *name, ...)
{
    const int64_t dim[1] = {n};
    struct source from = {NULL, NULL};
    char full[NAME_BYTES];
    va_list args;
    vlqa_status status;
    va_start(args, name);
    status = name_of(w, full, name, args);
    va_end(args);
    TRY(status);
    *out = mat_none();
    if (w->pass == WEIGHTS_NAMES) {
        st_ignore(w->files, full);
        return VLQA_OK;
    }
    TRY(st_want(w->env, w->files, full, 1, dim, &from.t));
    *out = mat_of(arena_push(w->mem, mat_bytes(DT_F32, 1, n)), DT_F32, 1, n);
    if (w->pass == WEIGHTS_FILL) return bring(w, out->data, DT_F32, from, (size_t)n);
    return w->pass == WEIGHTS_LOOK ? look(w, from.t, out->data, DT_F32, (size_t)n) : VLQA_OK;
}

void weights_constant(struct weights *w, struct mat *out, int rows, int cols, const float *value)
{
    size_t bytes = mat_bytes(DT_F32, rows, cols);
    *out = mat_of(arena_push(w->mem, bytes), DT_F32, rows, cols);
    if (w->pass == WEIGHTS_FILL) queue_upload(w->queue, out->data, value, bytes);
}
