/* quantize_tensors.c - the decoder's matrices to packed integers and scales, row by row.
 *
 * The layout is that of compressed-tensors' "pack-quantized": NAME.weight_packed, int32 words of
 * eight or four values with an offset that makes them unsigned, the first value in the lowest bits;
 * weight_scale, bf16, one a row or a group; weight_zero_point, packed likewise along the rows;
 * weight_shape. */
#include "fusion/engine/quantize.h"

#include "base/heap.h"
#include "base/pool.h"
#include "base/st_write.h"
#include "kernels/weight_quant.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

#define KEY_BYTES 512
#define BLOCK_BYTES ((size_t)4 << 20) /* of a tensor at a time */

struct target { /* of one tensor: the numbers of what is written for it */
    int copy;   /* -1: it is quantised */
    int packed, scale, zero, shape;
};

struct job {
    struct env *env;
    struct st_files *files;
    struct st_writer *out;
    struct target *target; /* [st_count] */
    int bits;
};

struct matrix { /* one that is being quantised */
    const struct job *job;
    const struct st_tensor *t;
    int rows, cols, words, groups; /* groups 0: one scale a row */
    uint8_t *scratch;              /* [threads][scratch_bytes] */
    size_t scratch_bytes;
    int begin;        /* the first row of the block */
    uint32_t *packed; /* [rows of the block][words] */
    uint16_t *scale;  /* [rows][groups or 1] */
    uint8_t *zero;    /* [rows][groups] */
    atomic_int bad;   /* the first row that cannot be read or is not finite; INT32_MAX: none */
};

/* ---- which ---- */

static int is_quantised(const struct st_tensor *t)
{
    static const char *const part[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                       "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                       "mlp.down_proj"};
    char name[80];
    int layer, end = 0;
    if (t->rank != 2 || sscanf(t->name, "text.layers.%d.%n", &layer, &end) != 1 || !end) return 0;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        (void)snprintf(name, sizeof name, "%s.weight", part[i]);
        if (strcmp(t->name + end, name) == 0) return 1;
    }
    return 0;
}

static int values_a_word(const struct job *job)
{
    return 32 / job->bits;
}

static int words_for(const struct job *job, int64_t values)
{
    int64_t each = values_a_word(job);
    return (int)(values / each + (values % each != 0));
}

static vlqa_status add(const struct job *job, const struct st_tensor *t, const char *ending,
                       const char *dtype, size_t size, int64_t rows, int64_t cols, int *index)
{
    const int64_t dim[2] = {rows, cols};
    char key[KEY_BYTES];
    if (snprintf(key, sizeof key, "%s%s", t->key, ending) >= (int)sizeof key)
        return env_fail(job->env, VLQA_EMODEL, "tensor name %.100s... is too long", t->key);
    return st_write_add(job->env, job->out, key, dtype, size, cols ? 2 : 1, dim, index);
}

static vlqa_status add_quantised(const struct job *job, const struct st_tensor *t,
                                 struct target *to)
{
    int64_t rows = t->dim[0], cols = t->dim[1], groups = cols / WEIGHT_GROUP;
    to->copy = -1;
    TRY(add(job, t, "_packed", "I32", 4, rows, words_for(job, cols), &to->packed));
    TRY(add(job, t, "_shape", "I64", 8, 2, 0, &to->shape));
    if (job->bits == QUANTIZE_INT8) return add(job, t, "_scale", "BF16", 2, rows, 1, &to->scale);
    if (cols % WEIGHT_GROUP)
        return env_fail(
            job->env, VLQA_EMODEL,
            "%s: %.200s is %s: the format has groups of %d columns, which do not divide "
            "%lld: take int8, or --weights int4 with the model as it is",
            st_file_of(job->files, t), t->key, st_shape(t->rank, t->dim).text, WEIGHT_GROUP,
            (long long)cols);
    TRY(add(job, t, "_scale", "BF16", 2, rows, groups, &to->scale));
    return add(job, t, "_zero_point", "I32", 4, words_for(job, rows), groups, &to->zero);
}

static vlqa_status add_all(const struct job *job)
{
    for (int i = 0; i < st_count(job->files); i++) {
        const struct st_tensor *t = st_at(job->files, i);
        struct target *to = &job->target[i];
        if (is_quantised(t))
            TRY(add_quantised(job, t, to));
        else
            TRY(st_write_add(job->env, job->out, t->key, dtype_name(t->dtype), dtype_size(t->dtype),
                             t->rank, t->dim, &to->copy));
    }
    return VLQA_OK;
}

/* ---- a row ---- */

static void widen(float *dst, const uint8_t *src, enum dtype dtype, int n)
{
    for (int i = 0; i < n; i++) {
        uint16_t h;
        if (dtype == DT_F32) {
            memcpy(dst + i, src + (size_t)i * sizeof *dst, sizeof *dst);
            continue;
        }
        memcpy(&h, src + (size_t)i * sizeof h, sizeof h);
        dst[i] = dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
}

/* The column of the first value that is not finite; -1: there is none. */
static int find_bad(const float *row, int n)
{
    for (int i = 0; i < n; i++)
        if (row[i] - row[i] != 0) return i;
    return -1;
}

static void pack(uint32_t *word, int words, const uint8_t *q, int n, int bits)
{
    int each = 32 / bits;
    for (int w = 0; w < words; w++) {
        word[w] = 0;
        for (int k = 0; k < each && w * each + k < n; k++)
            word[w] |= (uint32_t)q[w * each + k] << (bits * k);
    }
}

struct row { /* scratch of a thread */
    uint8_t *raw, *q;
    float *wide;
};

static struct row row_of(const struct matrix *m, int worker)
{
    size_t n = (size_t)m->cols;
    uint8_t *at = m->scratch + (size_t)worker * m->scratch_bytes;
    return (struct row){at + n * sizeof(float), at + 2 * n * sizeof(float), (float *)(void *)at};
}

static vlqa_status read_row(struct env *env, const struct matrix *m, int r, const struct row *to)
{
    size_t bytes = (size_t)m->cols * dtype_size(m->t->dtype);
    TRY(st_read(env, m->job->files, m->t, (size_t)r * bytes, to->raw, bytes));
    widen(to->wide, to->raw, m->t->dtype, m->cols);
    return VLQA_OK;
}

static void quantise_row(const struct matrix *m, int r, const struct row *row)
{
    uint32_t *packed = m->packed + (size_t)(r - m->begin) * (size_t)m->words;
    size_t group = (size_t)r * (size_t)m->groups;
    float scale;
    if (m->groups) {
        weight_quant_int4(row->wide, m->cols, row->q, m->scale + group, m->zero + group);
    } else {
        weight_quant_int8(row->wide, m->cols, (int8_t *)row->q, &scale);
        m->scale[r] = f32_to_bf16(scale); /* exactly */
        for (int i = 0; i < m->cols; i++)
            row->q[i] ^= 0x80; /* -128 becomes 0 */
    }
    pack(packed, m->words, row->q, m->cols, m->job->bits);
}

static void quantise_rows(void *arg, int begin, int end, int worker)
{
    struct matrix *m = arg;
    struct env quiet = {.log = NULL};
    struct row row = row_of(m, worker);
    for (int i = begin; i < end; i++) {
        int r = m->begin + i, first = atomic_load(&m->bad);
        if (read_row(&quiet, m, r, &row) == VLQA_OK && find_bad(row.wide, m->cols) < 0) {
            quantise_row(m, r, &row);
            continue;
        }
        while (r < first && !atomic_compare_exchange_weak(&m->bad, &first, r))
            ;
    }
}

/* The row that another thread failed at, once more, to say why. */
static vlqa_status tell_bad(struct matrix *m, int r)
{
    struct row row = row_of(m, 0);
    TRY(read_row(m->job->env, m, r, &row));
    return env_fail(
        m->job->env, VLQA_EMODEL,
        "%s: %.200s has a NaN or an infinity at [%d, %d]: the file is damaged, download "
        "it again",
        st_file_of(m->job->files, m->t), m->t->key, r, find_bad(row.wide, m->cols));
}

/* ---- a matrix ---- */

static vlqa_status write_zeros(const struct matrix *m, const struct target *to)
{
    int words = words_for(m->job, m->rows), each = values_a_word(m->job);
    size_t groups = (size_t)m->groups;
    uint32_t *word = heap_alloc_zero(groups * sizeof *word);
    vlqa_status status = word ? VLQA_OK : env_no_memory(m->job->env, m->t->key, groups * 4);
    for (int w = 0; w < words && status == VLQA_OK; w++) {
        for (size_t g = 0; g < groups; g++) {
            word[g] = 0;
            for (int k = 0; k < each && w * each + k < m->rows; k++)
                word[g] |= (uint32_t)m->zero[(size_t)(w * each + k) * groups + g] << (4 * k);
        }
        status = st_write_bytes(m->job->env, m->job->out, to->zero,
                                (size_t)w * groups * sizeof *word, word, groups * sizeof *word);
    }
    heap_free(word);
    return status;
}

static vlqa_status quantise_blocks(struct matrix *m, const struct target *to, int block_rows)
{
    const int64_t shape[2] = {m->rows, m->cols};
    struct env *env = m->job->env;
    struct st_writer *out = m->job->out;
    size_t row_bytes = (size_t)m->words * sizeof *m->packed;
    size_t scales = (size_t)m->rows * (size_t)(m->groups ? m->groups : 1);
    for (m->begin = 0; m->begin < m->rows; m->begin += block_rows) {
        int n = m->rows - m->begin < block_rows ? m->rows - m->begin : block_rows;
        pool_for(env->pool, n, 1, quantise_rows, m);
        if (atomic_load(&m->bad) != INT32_MAX) return tell_bad(m, atomic_load(&m->bad));
        TRY(st_write_bytes(env, out, to->packed, (size_t)m->begin * row_bytes, m->packed,
                           (size_t)n * row_bytes));
    }
    TRY(st_write_bytes(env, out, to->scale, 0, m->scale, scales * sizeof *m->scale));
    TRY(st_write_bytes(env, out, to->shape, 0, shape, sizeof shape));
    return m->groups ? write_zeros(m, to) : VLQA_OK;
}

static vlqa_status quantise(const struct job *job, const struct st_tensor *t,
                            const struct target *to)
{
    struct matrix m = {.job = job, .t = t, .rows = (int)t->dim[0], .cols = (int)t->dim[1]};
    size_t row = (size_t)m.cols * sizeof(float), threads = (size_t)pool_threads(job->env->pool);
    int block_rows = row < BLOCK_BYTES ? (int)(BLOCK_BYTES / row) : 1;
    size_t scales;
    vlqa_status status;
    m.groups = job->bits == QUANTIZE_INT4 ? m.cols / WEIGHT_GROUP : 0;
    m.words = words_for(job, m.cols);
    m.scratch_bytes = (2 * row + (size_t)m.cols + 63) & ~(size_t)63;
    scales = (size_t)m.rows * (size_t)(m.groups ? m.groups : 1);
    atomic_init(&m.bad, INT32_MAX);
    m.scratch = heap_alloc(threads * m.scratch_bytes);
    m.packed = heap_alloc((size_t)block_rows * (size_t)m.words * sizeof *m.packed);
    m.scale = heap_alloc(scales * sizeof *m.scale);
    m.zero = heap_alloc(scales);
    status = m.scratch && m.packed && m.scale && m.zero
                 ? quantise_blocks(&m, to, block_rows)
                 : env_no_memory(job->env, t->key, BLOCK_BYTES + 3 * scales);
    heap_free(m.scratch);
    heap_free(m.packed);
    heap_free(m.scale);
    heap_free(m.zero);
    return status;
}

static vlqa_status copy(const struct job *job, const struct st_tensor *t, int index)
{
    uint8_t *block = heap_alloc(BLOCK_BYTES);
    vlqa_status status = block ? VLQA_OK : env_no_memory(job->env, t->key, BLOCK_BYTES);
    for (size_t at = 0; at < t->bytes && status == VLQA_OK; at += BLOCK_BYTES) {
        size_t n = t->bytes - at < BLOCK_BYTES ? t->bytes - at : BLOCK_BYTES;
        status = st_read(job->env, job->files, t, at, block, n);
        if (status == VLQA_OK) status = st_write_bytes(job->env, job->out, index, at, block, n);
    }
    heap_free(block);
    return status;
}

static vlqa_status write_all(const struct job *job)
{
    int n = st_count(job->files);
    TRY(add_all(job));
    TRY(st_write_begin(job->env, job->out));
    for (int i = 0; i < n; i++) {
        const struct st_tensor *t = st_at(job->files, i);
        const struct target *to = &job->target[i];
        TRY(env_progress(job->env, "quantize", i, n));
        TRY(to->copy < 0 ? quantise(job, t, to) : copy(job, t, to->copy));
    }
    TRY(env_progress(job->env, "quantize", n, n));
    return st_write_end(job->env, job->out);
}

vlqa_status quantize_tensors(struct env *env, struct st_files *files, int bits, size_t shard_bytes,
                             const struct new_dir *to)
{
    struct job job = {.env = env, .files = files, .bits = bits};
    size_t bytes = (size_t)st_count(files) * sizeof *job.target;
    vlqa_status status = st_write_open(env, to, shard_bytes, &job.out);
    assert(bits == QUANTIZE_INT8 || bits == QUANTIZE_INT4);
    job.target = heap_alloc_zero(bytes);
    if (status == VLQA_OK && !job.target) status = env_no_memory(env, "list of tensors", bytes);
    if (status == VLQA_OK) status = write_all(&job);
    st_write_free(job.out);
    heap_free(job.target);
    return status;
}
