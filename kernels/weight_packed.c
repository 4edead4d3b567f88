/* weight_packed.c - words of integers and FP8 in a file to rows of bytes with scales and zero
 * points.
 */
#include "kernels/weight_packed.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define NAME_BYTES 300
#define FP8_ROWS 128 /* of a block with one scale; its columns are WEIGHT_FP8_GROUP */
#define FP8_MOST 448 /* the largest value */
#define BF16_MOST 0x1.fep127f

static const char *const endings[] = {"_packed",     "_scale", "_scale_inv",
                                      "_zero_point", "_shape", "_g_idx"};

static void name_with(char out[NAME_BYTES], const char *name, const char *ending)
{
    (void)snprintf(out, NAME_BYTES, "%.280s%s", name, ending);
}

void weight_packed_ignore(struct st_files *files, const char *name)
{
    char full[NAME_BYTES];
    const char *end = strrchr(name, '.');
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        name_with(full, name, endings[i]);
        st_ignore(files, full);
    }
    if (end) {
        (void)snprintf(full, NAME_BYTES, "%.*s.input_scale", (int)(end - name), name);
        st_ignore(files, full); /* of activations */
    }
}

static int64_t words_for(int64_t values, int each)
{
    return values / each + (values % each != 0);
}

/* ---- finding ---- */

struct search {
    struct env *env;
    struct st_files *files;
    const char *name;
    struct weight_packed *out;
};

static const struct st_tensor *find(const struct search *s, const char *ending, const char **dtype)
{
    char full[NAME_BYTES];
    name_with(full, s->name, ending);
    return st_peek(s->files, full, dtype);
}

static vlqa_status want(const struct search *s, const char *ending, const char *dtype, int64_t rows,
                        int64_t cols, const struct st_tensor **out)
{
    const int64_t dim[2] = {rows, cols};
    char full[NAME_BYTES];
    name_with(full, s->name, ending);
    return st_want_as(s->env, s->files, full, dtype, 2, dim, out);
}

static vlqa_status fail(const struct search *s, const struct st_tensor *t, const char *why)
{
    return env_fail(s->env, VLQA_EMODEL, "%s: %.200s (%s): %s", st_file_of(s->files, t), t->key,
                    st_shape(t->rank, t->dim).text, why);
}

/* NAME_shape says [rows, cols]. */
static vlqa_status check_shape(const struct search *s)
{
    const char *dtype;
    const struct st_tensor *t = find(s, "_shape", &dtype);
    int64_t at[2] = {0, 0};
    int32_t half[2] = {0, 0};
    if (!t) return VLQA_OK; /* of words in whole: nothing is left open */
    if (t->rank != 1 || t->dim[0] != 2 || (strcmp(dtype, "I64") != 0 && strcmp(dtype, "I32") != 0))
        return fail(s, t, "expected two whole numbers");
    if (strcmp(dtype, "I64") == 0) {
        TRY(st_read(s->env, s->files, t, 0, at, sizeof at));
    } else {
        TRY(st_read(s->env, s->files, t, 0, half, sizeof half));
        at[0] = half[0];
        at[1] = half[1];
    }
    if (at[0] == s->out->rows && at[1] == s->out->cols) return VLQA_OK;
    return env_fail(s->env, VLQA_EMODEL,
                    "%s: %.200s says [%" PRId64 ", %" PRId64 "], expected [%d, %d]",
                    st_file_of(s->files, t), t->key, at[0], at[1], s->out->rows, s->out->cols);
}

static vlqa_status want_values(struct search *s)
{
    struct weight_packed *p = s->out;
    const char *dtype;
    const struct st_tensor *t = find(s, "_packed", &dtype);
    int bits;
    if (!t) {
        p->is_plain = 1;
        p->format = WEIGHT_INT8;
        return want(s, "", "I8", p->rows, p->cols, &p->value);
    }
    bits = t->rank == 2 && t->dim[1] == words_for(p->cols, 4) ? 8 : 4;
    p->format = bits == 8 ? WEIGHT_INT8 : WEIGHT_INT4;
    TRY(want(s, "_packed", "I32", p->rows, words_for(p->cols, 32 / bits), &p->value));
    return check_shape(s);
}

static vlqa_status check_scale_dtype(const struct search *s, const struct st_tensor *t,
                                     const char *dtype)
{
    if (strcmp(dtype, "BF16") == 0 || strcmp(dtype, "F16") == 0 || strcmp(dtype, "F32") == 0)
        return VLQA_OK;
    return env_fail(s->env, VLQA_EMODEL,
                    "%s: %.200s has dtype %s: scales that are not BF16, F16 or F32 are not read",
                    st_file_of(s->files, t), t->key, dtype);
}

/* One for a row, or for 32 columns or a multiple of them. */
static vlqa_status want_scales(struct search *s)
{
    struct weight_packed *p = s->out;
    const char *dtype = "";
    const struct st_tensor *t = find(s, "_scale", &dtype);
    int64_t groups;
    if (!t) return want(s, "_scale", "BF16", p->rows, 1, &p->scale); /* which says that */
    groups = t->rank == 2 && t->dim[1] > 0 ? t->dim[1] : 1;
    TRY(want(s, "_scale", NULL, p->rows, groups, &p->scale));
    TRY(check_scale_dtype(s, t, dtype));
    p->group = groups <= p->cols ? p->cols / (int)groups : 0;
    if (p->format == WEIGHT_INT8 && groups != 1)
        return fail(s, t, "vlqa holds int8 with one scale a row, expected [rows, 1]");
    if (p->format == WEIGHT_INT4 && (p->cols % groups || p->group % WEIGHT_GROUP))
        return fail(
            s, t,
            "vlqa holds int4 with a scale for 32 columns, or a multiple of them that divides "
            "a row");
    return VLQA_OK;
}

static vlqa_status want_zeros(struct search *s)
{
    struct weight_packed *p = s->out;
    const char *dtype;
    const struct st_tensor *t = find(s, "_zero_point", &dtype), *order = find(s, "_g_idx", &dtype);
    if (order)
        return fail(
            s, order,
            "columns in another order (actorder) are not read: quantise without it, or with "
            "actorder \"static\"");
    if (!t) return VLQA_OK;
    if (p->format == WEIGHT_INT8)
        return fail(s, t, "vlqa holds int8 without zero points: quantise with symmetric true");
    return want(s, "_zero_point", "I32", words_for(p->rows, 8), p->cols / p->group, &p->zero);
}

/* How many rows and columns share a scale, by the shape of the scales. */
static vlqa_status fp8_groups(const struct search *s, const struct st_tensor *t)
{
    struct weight_packed *p = s->out;
    const int64_t blocks[2] = {words_for(p->rows, FP8_ROWS), words_for(p->cols, WEIGHT_FP8_GROUP)};
    int is_one = 1;
    for (int i = 0; i < t->rank; i++)
        is_one &= t->dim[i] == 1;
    p->group = p->cols;
    p->group_rows = p->rows;
    if (is_one) return VLQA_OK;
    p->group_rows = 1;
    if (t->dim[0] == p->rows && (t->rank == 1 || (t->rank == 2 && t->dim[1] == 1))) return VLQA_OK;
    p->group = WEIGHT_FP8_GROUP;
    p->group_rows = FP8_ROWS;
    if (t->rank == 2 && t->dim[0] == blocks[0] && t->dim[1] == blocks[1]) return VLQA_OK;
    return env_fail(s->env, VLQA_EMODEL,
                    "%s: %.200s is %s, expected %s, a scale for blocks of 128 x 128, [%d, 1], one "
                    "for each row, or [1]: vlqa reads FP8 with no other blocks",
                    st_file_of(s->files, t), t->key, st_shape(t->rank, t->dim).text,
                    st_shape(2, blocks).text, p->rows);
}

static vlqa_status want_fp8(struct search *s)
{
    struct weight_packed *p = s->out;
    char full[NAME_BYTES];
    const char *dtype, *ending = "_scale_inv";
    const struct st_tensor *t, *other;
    p->format = WEIGHT_FP8;
    TRY(want(s, "", "F8_E4M3", p->rows, p->cols, &p->value));
    if ((other = find(s, "_zero_point", &dtype)))
        return fail(s, other, "FP8 values have no zero points, expected none");
    other = find(s, "_scale", &dtype);
    t = find(s, ending, &dtype);
    if (t && other)
        return fail(s, other, "there is one that ends in _inv, too, expected one of both");
    if (other) ending = "_scale", t = find(s, ending, &dtype);
    if (!t)
        return env_fail(s->env, VLQA_EMODEL,
                        "%s: %.120s is FP8 (%s) without scales, expected %.120s_scale_inv or "
                        "%.120s_scale: is a file of the model missing?",
                        st_file_of(s->files, p->value), p->value->key,
                        st_shape(2, p->value->dim).text, p->value->key, p->value->key);
    TRY(fp8_groups(s, t));
    TRY(check_scale_dtype(s, t, dtype));
    name_with(full, s->name, ending);
    return st_want_as(s->env, s->files, full, NULL, t->rank, t->dim, &p->scale);
}

vlqa_status weight_packed_want(struct env *env, struct st_files *files, const char *name, int rows,
                               int cols, struct weight_packed *out)
{
    struct search s = {env, files, name, out};
    char packed[NAME_BYTES];
    const char *dtype = "";
    *out = (struct weight_packed){.rows = rows, .cols = cols};
    name_with(packed, name, "_packed");
    if (!st_peek(files, packed, &dtype)) {
        const struct st_tensor *t = st_peek(files, name, &dtype);
        if (t && strncmp(dtype, "F8_", 3) == 0) return want_fp8(&s);
        if (!t || strcmp(dtype, "I8") != 0) return VLQA_OK;
    }
    TRY(want_values(&s));
    TRY(want_scales(&s));
    return want_zeros(&s);
}

/* ---- reading ---- */

static size_t word_bytes(int cols)
{
    return ((size_t)words_for(cols, 4) + 2) * WEIGHT_BLOCK * sizeof(uint32_t);
}

size_t weight_packed_scratch(int cols)
{
    return word_bytes(cols);
}

static vlqa_status read_values(struct env *env, const struct st_files *files,
                               const struct weight_packed *p, int first, int n, uint32_t *word,
                               uint8_t *value)
{
    size_t cols = (size_t)p->cols,
           words = (size_t)words_for(p->cols, p->format == WEIGHT_INT8 ? 4 : 8);
    if (p->is_plain)
        return st_read(env, files, p->value, (size_t)first * cols, value, (size_t)n * cols);
    TRY(st_read(env, files, p->value, (size_t)first * words * sizeof *word, word,
                (size_t)n * words * sizeof *word));
    for (int r = 0; r < n; r++) {
        const uint32_t *from = word + (size_t)r * words;
        uint8_t *to = value + (size_t)r * cols;
        if (p->format == WEIGHT_INT8)
            for (size_t c = 0; c < cols; c++)
                to[c] = (uint8_t)(from[c / 4] >> 8 * (c % 4) & 0xff) ^ 0x80;
        else
            for (size_t c = 0; c < cols; c++)
                to[c] = (uint8_t)(from[c / 8] >> 4 * (c % 8) & 15);
    }
    return VLQA_OK;
}

static vlqa_status read_fp8(struct env *env, const struct st_files *files,
                            const struct weight_packed *p, int first, int n, uint8_t *value)
{
    size_t cols = (size_t)p->cols;
    TRY(st_read(env, files, p->value, (size_t)first * cols, value, (size_t)n * cols));
    for (size_t i = 0; i < (size_t)n * cols; i++)
        if ((value[i] & 0x7f) == 0x7f)
            return env_fail(
                env, VLQA_EMODEL,
                "%s: %.200s has a NaN at [%d, %d]: the file is damaged, download it again",
                st_file_of(files, p->value), p->value->key, first + (int)(i / cols),
                (int)(i % cols));
    return VLQA_OK;
}

static float float_at(const void *data, enum dtype dtype, size_t i)
{
    uint16_t h;
    float f;
    if (dtype == DT_F32) {
        memcpy(&f, (const char *)data + i * sizeof f, sizeof f);
        return f;
    }
    memcpy(&h, (const char *)data + i * sizeof h, sizeof h);
    return dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
}

static vlqa_status check_scale(struct env *env, const struct st_files *files,
                               const struct weight_packed *p, float f, int row, int group)
{
    const char *why = f - f != 0                 ? "is not finite"
                      : p->format == WEIGHT_INT8 ? NULL
                      : p->format == WEIGHT_FP8
                          ? fabsf(f) > BF16_MOST / FP8_MOST ? "is too large for FP8 values" : NULL
                      : bf16_to_f32(f32_to_bf16(f)) != f ? "is no number of bf16, as vlqa holds it"
                                                         : NULL;
    if (!why) return VLQA_OK;
    return env_fail(env, VLQA_EMODEL, "%s: %.200s: %.9g at [%d, %d] %s",
                    st_file_of(files, p->scale), p->scale->key, (double)f, row, group, why);
}

static vlqa_status read_scales(struct env *env, const struct st_files *files,
                               const struct weight_packed *p, int first, int n, void *raw,
                               void *scale)
{
    int groups = p->cols / p->group, wide = weight_groups(p->cols);
    size_t row_bytes = (size_t)groups * dtype_size(p->scale->dtype);
    TRY(st_read(env, files, p->scale, (size_t)first * row_bytes, raw, (size_t)n * row_bytes));
    for (int r = 0; r < n; r++)
        for (int g = 0; g < groups; g++) {
            float f = float_at(raw, p->scale->dtype, (size_t)(r * groups + g));
            TRY(check_scale(env, files, p, f, first + r, g));
            if (p->format == WEIGHT_INT8) {
                ((float *)scale)[r] = f;
                continue;
            }
            for (int k = g * wide / groups; k < (g + 1) * wide / groups; k++)
                ((uint16_t *)scale)[r * wide + k] = f32_to_bf16(f);
        }
    return VLQA_OK;
}

/* A scale for each group of each row. */
static vlqa_status read_fp8_scales(struct env *env, const struct st_files *files,
                                   const struct weight_packed *p, int first, int n, void *raw,
                                   float *scale)
{
    int groups = (int)words_for(p->cols, p->group), wide = weight_fp8_groups(p->cols);
    int from = first / p->group_rows, rows = (first + n - 1) / p->group_rows - from + 1;
    size_t row_bytes = (size_t)groups * dtype_size(p->scale->dtype);
    TRY(st_read(env, files, p->scale, (size_t)from * row_bytes, raw, (size_t)rows * row_bytes));
    for (int i = 0; i < rows * groups; i++)
        TRY(check_scale(env, files, p, float_at(raw, p->scale->dtype, (size_t)i), from + i / groups,
                        i % groups));
    for (int r = 0; r < n; r++)
        for (int k = 0; k < wide; k++) {
            int row = (first + r) / p->group_rows - from, group = groups == 1 ? 0 : k;
            scale[r * wide + k] = float_at(raw, p->scale->dtype, (size_t)(row * groups + group));
        }
    return VLQA_OK;
}

static vlqa_status read_zeros(struct env *env, const struct st_files *files,
                              const struct weight_packed *p, int first, int n, uint32_t *word,
                              uint8_t *zero)
{
    int groups = p->cols / p->group, wide = weight_groups(p->cols), words = (int)words_for(n, 8);
    size_t row_bytes = (size_t)groups * sizeof *word;
    if (!p->zero) {
        memset(zero, 8, (size_t)(n * wide));
        return VLQA_OK;
    }
    TRY(st_read(env, files, p->zero, (size_t)first / 8 * row_bytes, word,
                (size_t)words * row_bytes));
    for (int r = 0; r < n; r++)
        for (int k = 0; k < wide; k++) {
            uint32_t packed = word[r / 8 * groups + k * groups / wide];
            zero[r * wide + k] = (uint8_t)(packed >> 4 * (r % 8) & 15);
        }
    return VLQA_OK;
}

vlqa_status weight_packed_rows(struct env *env, const struct st_files *files,
                               const struct weight_packed *p, int first, int n, void *scratch,
                               uint8_t *value, void *scale, uint8_t *zero)
{
    assert(first % WEIGHT_BLOCK == 0 && n > 0 && n <= WEIGHT_BLOCK);
    if (p->format == WEIGHT_FP8) {
        TRY(read_fp8(env, files, p, first, n, value));
        return read_fp8_scales(env, files, p, first, n, scratch, scale);
    }
    TRY(read_values(env, files, p, first, n, scratch, value));
    TRY(read_scales(env, files, p, first, n, scratch, scale));
    if (p->format == WEIGHT_INT8) return VLQA_OK;
    return read_zeros(env, files, p, first, n, scratch, zero);
}
