/* weights.c - tensors to weights and vectors: brought to memory, converted where they must be. */
#include "kernels/weights.h"

#include "base/heap.h"
#include "base/pool.h"
#include "kernels/weight_packed.h"
#include "kernels/weight_quant.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define NAME_BYTES 256
#define PIECE 1024 /* elements on their way to another format or device */

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
    const uint8_t *memory;       /* its values in another order; NULL: as st_read gives them */
    struct weight_packed packed; /* of integers or FP8; packed.value NULL: of floats */
};

struct transfer {
    struct weights *w;
    struct source from;
    uint8_t *to;
    enum dtype dtype;     /* there */
    struct weight weight; /* of blocks */
    int first;            /* which row of the tensor is its first */
    uint8_t *scratch;     /* [threads][scratch_bytes]: blocks on their way */
    size_t scratch_bytes;
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
    const uint16_t *h = (const uint16_t *)(const void *)src;
    if (dtype == DT_F32)
        memcpy(dst, src, n * sizeof *dst);
    else if (dtype == DT_BF16)
        for (size_t i = 0; i < n; i++)
            dst[i] = bf16_to_f32(h[i]);
    else
        for (size_t i = 0; i < n; i++)
            dst[i] = f16_to_f32(h[i]);
}

static void round_to_bf16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = f32_to_bf16(src[i]);
}

/* Elements [begin, begin + n), n up to PIECE, through this thread's stack. */
static vlqa_status bring_piece(struct env *env, const struct transfer *job, size_t begin, size_t n)
{
    _Alignas(float) uint8_t raw[PIECE * sizeof(float)];
    float wide[PIECE];
    uint16_t half[PIECE];
    enum dtype from = job->from.t->dtype;
    const void *src = raw;
    TRY(read_source(env, job, begin * dtype_size(from), raw, n * dtype_size(from)));
    if (from != job->dtype) {
        widen(wide, raw, from, n);
        if (job->dtype == DT_BF16) round_to_bf16(half, wide, n);
        src = job->dtype == DT_BF16 ? (const void *)half : wide;
    }
    queue_upload(job->w->queue, job->to + begin * dtype_size(job->dtype), src,
                 n * dtype_size(job->dtype));
    return VLQA_OK;
}

/* Vectors and tables: rows as they are. */
static vlqa_status bring_plain(struct weights *w, void *dst, enum dtype dtype, struct source from,
                               size_t elements)
{
    struct transfer job = {.w = w, .from = from, .to = dst, .dtype = dtype};
    for (size_t at = 0; at < elements; at += PIECE)
        TRY(bring_piece(w->env, &job, at, elements - at < PIECE ? elements - at : PIECE));
    return VLQA_OK;
}

struct block {    /* scratch of a thread, for the rows of a block */
    uint8_t *raw; /* as in the file */
    float *wide;
    void *value; /* in the weight's format */
    void *scale;
    uint8_t *zero;
    void *packed; /* where memory is not shared */
};

/* Where the parts of a block's scratch are; returns its bytes. */
static size_t block_layout(const struct transfer *job, void *memory, struct block *b)
{
    struct arena a = {.base = memory, .cap = SIZE_MAX};
    size_t n = (size_t)job->weight.cols * WEIGHT_BLOCK;
    size_t groups = (size_t)weight_groups(job->weight.cols) * WEIGHT_BLOCK;
    size_t packed = weight_packed_scratch(job->weight.cols);
    b->raw = arena_push(&a, n * sizeof(float) > packed ? n * sizeof(float) : packed);
    b->wide = arena_push(&a, n * sizeof(float));
    b->value = arena_push(&a, n * sizeof(uint16_t));
    b->scale = arena_push(&a, groups * sizeof(float));
    b->zero = arena_push(&a, groups);
    b->packed =
        arena_push(&a, k_weight_block(job->w->queue->device, job->weight.format, job->weight.cols));
    return a.used;
}

static vlqa_status fail_row(struct env *env, const struct transfer *job, int row, int col)
{
    return env_fail(
        env, VLQA_EMODEL,
        "%s: %.200s has a NaN or an infinity at [%d, %d]: the file is damaged, download "
        "it again",
        st_file_of(job->w->files, job->from.t), job->from.t->key, row, col);
}

/* The floats of rows from `first` on to the integers of the weight. */
static vlqa_status quantise(struct env *env, const struct transfer *job, const struct block *b,
                            int first, int rows)
{
    int cols = job->weight.cols, groups = weight_groups(cols);
    for (int r = 0; r < rows; r++) {
        const float *row = b->wide + (size_t)r * (size_t)cols;
        uint8_t *q = (uint8_t *)b->value + (size_t)r * (size_t)cols;
        for (int c = 0; c < cols; c++)
            if (row[c] - row[c] != 0) return fail_row(env, job, first + r, c);
        if (job->weight.format == WEIGHT_INT8)
            weight_quant_int8(row, cols, (int8_t *)q, (float *)b->scale + r);
        else
            weight_quant_int4(row, cols, q, (uint16_t *)b->scale + r * groups,
                              b->zero + r * groups);
    }
    return VLQA_OK;
}

/* The floats in b->wide, in the format of the weight. */
static vlqa_status narrow(struct env *env, const struct transfer *job, const struct block *b,
                          int first, struct weight_rows *out)
{
    out->value = b->wide;
    if (out->format == WEIGHT_F32) return VLQA_OK;
    out->value = b->value;
    if (out->format > WEIGHT_F16) return quantise(env, job, b, first, out->rows);
    round_to_bf16(b->value, b->wide, (size_t)out->rows * (size_t)out->cols);
    return VLQA_OK;
}

/* Rows of floats as the file has them, in the format of the weight. */
static vlqa_status convert(struct env *env, const struct transfer *job, const struct block *b,
                           int first, struct weight_rows *out)
{
    enum dtype from = job->from.t->dtype;
    size_t n = (size_t)out->rows * (size_t)out->cols, size = dtype_size(from);
    TRY(read_source(env, job, (size_t)first * (size_t)out->cols * size, b->raw, n * size));
    out->value = b->raw;
    if (out->format <= WEIGHT_F16 && from == job->dtype) return VLQA_OK;
    widen(b->wide, b->raw, from, n);
    return narrow(env, job, b, first, out);
}

/* Rows of FP8 in a format that is not: products of value and scale, rounded to f32. */
static vlqa_status convert_fp8(struct env *env, const struct transfer *job, const struct block *b,
                               int first, struct weight_rows *out)
{
    const float *scale = b->scale;
    float value[256];
    int groups = weight_fp8_groups(out->cols);
    TRY(weight_packed_rows(env, job->w->files, &job->from.packed, first, out->rows, b->raw,
                           b->value, b->scale, NULL));
    for (int i = 0; i < 256; i++)
        value[i] = e4m3_to_f32((uint8_t)i);
    for (int r = 0; r < out->rows; r++) {
        const uint8_t *code = (const uint8_t *)b->value + (size_t)r * (size_t)out->cols;
        float *wide = b->wide + (size_t)r * (size_t)out->cols;
        for (int c = 0; c < out->cols; c++)
            wide[c] = value[code[c]] * scale[r * groups + c / WEIGHT_FP8_GROUP];
    }
    return narrow(env, job, b, first, out);
}

/* The rows from `first` on, in the format of the weight. */
static vlqa_status get_rows(struct env *env, const struct transfer *job, const struct block *b,
                            int first, struct weight_rows *out)
{
    if (out->format > WEIGHT_F16) out->scale = b->scale;
    if (out->format == WEIGHT_INT4) out->zero = b->zero;
    if (!job->from.packed.value) return convert(env, job, b, first, out);
    if (job->from.packed.format != out->format) return convert_fp8(env, job, b, first, out);
    out->value = b->value;
    return weight_packed_rows(env, job->w->files, &job->from.packed, first, out->rows, b->raw,
                              b->value, b->scale, b->zero);
}

static vlqa_status bring_block(struct env *env, const struct transfer *job, int i, uint8_t *scratch)
{
    const struct device *d = job->w->queue->device;
    const struct weight *w = &job->weight;
    size_t bytes = k_weight_block(d, w->format, w->cols);
    int begin = i * WEIGHT_BLOCK;
    int n = w->rows - begin < WEIGHT_BLOCK ? w->rows - begin : WEIGHT_BLOCK;
    uint8_t *to = (uint8_t *)w->data + (size_t)i * bytes;
    struct weight_rows rows = {w->format, n, w->cols, NULL, NULL, NULL};
    struct block b;
    (void)block_layout(job, scratch, &b);
    TRY(get_rows(env, job, &b, job->first + begin, &rows));
    if (device_shares_host(d)) {
        k_weight_pack(d, to, &rows);
        return VLQA_OK;
    }
    k_weight_pack(d, b.packed, &rows);
    queue_upload(job->w->queue, to, b.packed, bytes);
    return VLQA_OK;
}

static void bring_blocks(void *arg, int begin, int end, int worker)
{
    struct transfer *job = arg;
    struct env quiet = {.log = NULL};
    uint8_t *scratch = job->scratch + (size_t)worker * job->scratch_bytes;
    for (int i = begin; i < end; i++)
        if (bring_block(&quiet, job, i, scratch) != VLQA_OK) atomic_store(&job->failed, 1);
}

static vlqa_status for_blocks(struct transfer *job)
{
    struct weights *w = job->w;
    int blocks = (job->weight.rows + WEIGHT_BLOCK - 1) / WEIGHT_BLOCK;
    if (device_shares_host(w->queue->device)) {
        pool_for(w->env->pool, blocks, 1, bring_blocks, job);
        if (!atomic_load(&job->failed)) return VLQA_OK;
    }
    for (int i = 0; i < blocks; i++)
        TRY(bring_block(w->env, job, i, job->scratch));
    return VLQA_OK;
}

/* By all threads where the device takes blocks from them. What failed there is done again, so that
 * one thread says why. */
static vlqa_status bring_weight(struct weights *w, struct weight to, enum dtype dtype,
                                struct source from)
{
    struct transfer job = {
        .w = w, .from = from, .dtype = dtype, .weight = to, .first = w->part ? w->part->begin : 0};
    struct block none;
    size_t bytes;
    vlqa_status status;
    atomic_init(&job.failed, 0);
    job.scratch_bytes = block_layout(&job, NULL, &none);
    bytes = job.scratch_bytes * (size_t)pool_threads(w->env->pool);
    job.scratch = heap_alloc(bytes);
    if (!job.scratch) return env_no_memory(w->env, from.t->key, bytes);
    status = for_blocks(&job);
    heap_free(job.scratch);
    return status;
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

/* Notes the tensor when one of n values, from the element `first` on, is not finite. */
static void look_at(struct weights *w, const struct st_tensor *t, size_t first,
                    const uint8_t *value, enum dtype dtype, size_t n)
{
    for (size_t k = 0; k < n && !w->bad; k++) {
        if (is_finite(value + k * dtype_size(dtype), dtype)) continue;
        w->bad = t;
        w->bad_at = first + k;
    }
}

static vlqa_status look(struct weights *w, const struct st_tensor *t, const void *at,
                        enum dtype dtype, size_t elements)
{
    uint8_t piece[PIECE * sizeof(float)];
    size_t size = dtype_size(dtype);
    for (size_t i = 0; i < elements && !w->bad; i += PIECE) {
        size_t n = elements - i < PIECE ? elements - i : PIECE;
        queue_download(w->queue, piece, (const uint8_t *)at + i * size, n * size);
        TRY(queue_sync(w->queue));
        look_at(w, t, i, piece, dtype, n);
    }
    return VLQA_OK;
}

/* The rows of a weight, as the operations see them: on the host and on the device. */
static vlqa_status look_rows(struct weights *w, const struct st_tensor *t, struct weight m,
                             float *host, void *device)
{
    int32_t row;
    int first = w->part ? w->part->begin : 0;
    struct mat to = mat_of((uint8_t *)device + ARENA_ALIGN, DT_F32, 1, m.cols);
    struct ints index = {&row, device, 1};
    for (row = 0; row < m.rows && !w->bad; row++) {
        queue_upload(w->queue, device, &row, sizeof row);
        k_embed(w->queue, to, m, index);
        queue_download(w->queue, host, to.data, (size_t)m.cols * sizeof *host);
        TRY(queue_sync(w->queue));
        look_at(w, t, (size_t)(first + row) * (size_t)m.cols, (const uint8_t *)host, DT_F32,
                (size_t)m.cols);
    }
    return VLQA_OK;
}

static vlqa_status look_weight(struct weights *w, const struct st_tensor *t, struct weight m)
{
    struct device *d = w->queue->device;
    size_t bytes = (size_t)m.cols * sizeof(float);
    float *host = heap_alloc(bytes);
    void *device = device_alloc(d, bytes + ARENA_ALIGN);
    vlqa_status status = host && device ? look_rows(w, t, m, host, device)
                         : host         ? device_no_memory(w->env, d, t->key, bytes)
                                        : env_no_memory(w->env, t->key, bytes);
    device_release(d, device);
    heap_free(host);
    return status;
}

/* ---- asking ---- */

static enum weight_format format_of(enum dtype dtype)
{
    return dtype == DT_F32 ? WEIGHT_F32 : dtype == DT_BF16 ? WEIGHT_BF16 : WEIGHT_F16;
}

/* Gigabytes of random weights are made where they are used, if the device can. */
static int makes_itself(struct weights *w, struct weight to, struct source from)
{
    uint64_t seed;
    float scale;
    return to.format == WEIGHT_BF16 && !w->part && !from.memory && !from.packed.value &&
           st_random_matrix(w->files, from.t, &seed, &scale) && k_random(w->queue, to, seed, scale);
}

static enum weight_format format_in_memory(const struct weights *w, const struct source *from,
                                           enum dtype dtype)
{
    enum weight_format stored = from->packed.format;
    if (from->packed.value && stored != WEIGHT_FP8) return stored;
    if (w->wanted == WEIGHT_INT8 || w->wanted == WEIGHT_INT4) return w->wanted;
    if (from->packed.value && w->wanted == WEIGHT_FP8 && k_weight_held(w->queue->device, stored))
        return stored;
    return format_of(dtype);
}

static vlqa_status get_source(struct weights *w, struct weight *out, struct source from)
{
    const struct st_tensor *t = from.t;
    enum dtype stored =
        from.packed.value ? DT_F32 : t->dtype; /* of few bits: as products have it */
    enum dtype dtype = w->compute == DT_F32 ? stored : DT_BF16;
    int rows = (int)t->dim[0], cols = 1;
    for (int i = 1; i < t->rank; i++)
        cols *= (int)t->dim[i];
    if (from.packed.value) cols = from.packed.cols;
    if (w->part) rows = w->part->n;
    *out = (struct weight){format_in_memory(w, &from, dtype), rows, cols, NULL};
    if (rows == 0) return VLQA_OK;
    out->data = arena_push(w->mem, k_weight_bytes(w->queue->device, *out));
    if (w->pass == WEIGHTS_FILL && makes_itself(w, *out, from)) return VLQA_OK;
    if (w->pass == WEIGHTS_FILL) return bring_weight(w, *out, dtype, from);
    return w->pass == WEIGHTS_LOOK && !w->bad ? look_weight(w, t, *out) : VLQA_OK;
}

static vlqa_status get_named(struct weights *w, struct weight *out, int rank, const int64_t *dim,
                             const char *name)
{
    struct source from = {.t = NULL};
    int64_t cols = 1;
    assert(rank >= 1);
    *out = (struct weight){.data = NULL};
    if (w->pass == WEIGHTS_NAMES) {
        st_ignore(w->files, name);
        weight_packed_ignore(w->files, name);
        return VLQA_OK;
    }
    for (int i = 1; i < rank; i++)
        if (dim[i] <= 0 || __builtin_mul_overflow(cols, dim[i], &cols) || cols > INT_MAX)
            return env_fail(w->env, VLQA_EMODEL, "%s: a row has no place in an int", name);
    if (dim[0] <= 0 || dim[0] > INT_MAX)
        return env_fail(w->env, VLQA_EMODEL, "%s: it has %" PRId64 " rows", name, dim[0]);
    if (rank == 2)
        TRY(weight_packed_want(w->env, w->files, name, (int)dim[0], (int)cols, &from.packed));
    from.t = from.packed.value;
    if (!from.t) TRY(st_want(w->env, w->files, name, rank, dim, &from.t));
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
    struct source from = {.t = NULL};
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
    struct source from = {.t = NULL};
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
    if (w->pass == WEIGHTS_FILL) return bring_plain(w, out->data, DT_F32, from, (size_t)n);
    return w->pass == WEIGHTS_LOOK ? look(w, from.t, out->data, DT_F32, (size_t)n) : VLQA_OK;
}

vlqa_status weights_table(struct weights *w, struct mat *out, int rows, int cols, const char *name)
{
    const int64_t dim[2] = {rows, cols};
    struct source from = {.t = NULL};
    size_t elements = (size_t)rows * (size_t)cols;
    enum dtype dtype = DT_BF16;
    *out = mat_none();
    if (w->pass == WEIGHTS_NAMES) {
        st_ignore(w->files, name);
        return VLQA_OK;
    }
    TRY(st_want(w->env, w->files, name, 2, dim, &from.t));
    if (w->compute == DT_F32) dtype = from.t->dtype;
    *out = mat_of(arena_push(w->mem, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
    if (w->pass == WEIGHTS_FILL) return bring_plain(w, out->data, dtype, from, elements);
    return w->pass == WEIGHTS_LOOK ? look(w, from.t, out->data, dtype, elements) : VLQA_OK;
}

void weights_constant(struct weights *w, struct mat *out, int rows, int cols, const float *value)
{
    size_t bytes = mat_bytes(DT_F32, rows, cols);
    *out = mat_of(arena_push(w->mem, bytes), DT_F32, rows, cols);
    if (w->pass == WEIGHTS_FILL) queue_upload(w->queue, out->data, value, bytes);
}
