/* st_part.c - one safetensors file: its header, checked against every rule of the format. */
#include "base/arena.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/placeholder.h"
#include "base/st_files.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are mapped as they are");

static const struct dtype_row {
    const char *name;
    size_t size;
    int readable;
    enum dtype dtype; /* where readable */
} dtype_table[] = {
    {"F32", 4, 1, DT_F32}, {"BF16", 2, 1, DT_BF16}, {"F16", 2, 1, DT_F16}, {"F64", 8, 0, 0},
    {"F8_E4M3", 1, 0, 0},  {"F8_E5M2", 1, 0, 0},    {"BOOL", 1, 0, 0},     {"U8", 1, 0, 0},
    {"I8", 1, 0, 0},       {"U16", 2, 0, 0},        {"I16", 2, 0, 0},      {"U32", 4, 0, 0},
    {"I32", 4, 0, 0},      {"U64", 8, 0, 0},        {"I64", 8, 0, 0},
};

struct reader { /* the header of one part */
    struct env *env;
    struct st_part *part;
    struct json_doc *doc;
    const uint8_t *data; /* what offsets count from */
    size_t bytes;
};

static const struct dtype_row *dtype_row(const char *name)
{
    for (size_t i = 0; i < sizeof dtype_table / sizeof *dtype_table; i++)
        if (strcmp(dtype_table[i].name, name) == 0) return &dtype_table[i];
    return NULL;
}

struct st_shape_text st_shape(int rank, const int64_t *dim)
{
    struct st_shape_text s;
    int n = 0;
    s.text[n++] = '[';
    for (int i = 0; i < rank; i++)
        n += snprintf(s.text + n, sizeof s.text - (size_t)n, "%s%lld", i ? ", " : "",
                      (long long)dim[i]);
    (void)snprintf(s.text + n, sizeof s.text - (size_t)n, "]");
    return s;
}

int st_renamed(char out[ST_MAX_NAME], const char *name, const struct st_rename *rename,
               int n_rename)
{
    const char *to = "";
    int n;
    for (int i = 0; i < n_rename; i++) {
        size_t from = strlen(rename[i].from);
        if (strncmp(name, rename[i].from, from) == 0) {
            name += from;
            to = rename[i].to;
            break;
        }
    }
    n = snprintf(out, ST_MAX_NAME, "%s%s", to, name);
    return n >= 0 && n < ST_MAX_NAME;
}

static int is_metadata(const struct json *member)
{
    return strcmp(json_name(member), "__metadata__") == 0;
}

static vlqa_status check_metadata(struct reader *r, const struct json *metadata)
{
    if (json_kind(metadata) != JSON_OBJECT)
        return env_fail(r->env, VLQA_EMODEL, "%s: __metadata__ is %s, expected an object",
                        r->part->name, json_kind_name(metadata));
    for (const struct json *v = json_first(metadata); v; v = json_next(v))
        if (!json_text(v))
            return env_fail(r->env, VLQA_EMODEL, "%s: __metadata__.%.100s is %s, expected a string",
                            r->part->name, json_name(v), json_kind_name(v));
    return VLQA_OK;
}

/* An offset into the data; -1 when it is none. */
static int64_t offset_of(const struct reader *r, const struct json *value)
{
    double v = json_number(value);
    return v >= 0 && v <= (double)r->bytes && v == floor(v) ? (int64_t)v : -1;
}

static vlqa_status read_range(struct reader *r, const struct json *entry, struct st_record *out)
{
    const struct json *range = json_get(entry, "data_offsets");
    const struct json *first = range && json_kind(range) == JSON_ARRAY ? json_first(range) : NULL;
    int64_t begin = offset_of(r, first), end = offset_of(r, json_next(first));
    if (json_count(range) != 2 || begin < 0 || end < begin)
        return env_fail(r->env, VLQA_EMODEL,
                        "%s: data_offsets of %.200s is [%.17g, %.17g], expected 0 <= begin <= end "
                        "<= %zu",
                        r->part->name, json_name(entry), json_number(first),
                        json_number(json_next(first)), r->bytes);
    out->data = r->data + begin;
    out->tensor.bytes = (size_t)(end - begin);
    return VLQA_OK;
}

static vlqa_status read_entry(struct reader *r, const struct json *entry, struct st_record *out)
{
    const char *name = json_name(entry), *dtype;
    const struct dtype_row *row;
    struct st_tensor *t = &out->tensor;
    int dim[ST_MAX_RANK];
    size_t bytes;
    if (json_kind(entry) != JSON_OBJECT)
        return env_fail(r->env, VLQA_EMODEL, "%s: %.200s is %s, expected an object", r->part->name,
                        name, json_kind_name(entry));
    TRY(json_want_string(r->env, r->doc, entry, "dtype", &dtype));
    row = dtype_row(dtype);
    if (!row)
        return env_fail(r->env, VLQA_EMODEL, "%s: dtype of %.200s is %.40s, which is not known",
                        r->part->name, name, dtype);
    TRY(json_want_ints(r->env, r->doc, entry, "shape", 0, INT_MAX, ST_MAX_RANK, dim, &t->rank));
    TRY(read_range(r, entry, out));
    if (json_count(entry) != 3)
        return env_fail(r->env, VLQA_EMODEL,
                        "%s: %.200s has %d members, expected dtype, shape and data_offsets",
                        r->part->name, name, json_count(entry));
    bytes = row->size;
    for (int i = 0; i < t->rank; i++) {
        t->dim[i] = dim[i];
        if (!size_mul(&bytes, bytes, (size_t)dim[i]))
            return env_fail(r->env, VLQA_EMODEL, "%s: shape of %.200s is %s, which is too large",
                            r->part->name, name, st_shape(t->rank, t->dim).text);
    }
    if (bytes != t->bytes)
        return env_fail(r->env, VLQA_EMODEL, "%s: %.200s has %zu bytes, expected %zu (%s %s)",
                        r->part->name, name, t->bytes, bytes, row->name,
                        st_shape(t->rank, t->dim).text);
    t->dtype = row->dtype;
    t->data = row->readable ? out->data : NULL;
    out->dtype_name = row->name;
    return VLQA_OK;
}

static int range_order(const void *a, const void *b)
{
    const struct st_record *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->tensor.bytes < y->tensor.bytes ? -1 : x->tensor.bytes > y->tensor.bytes;
}

/* Every byte belongs to exactly one tensor: no hidden data, no tensor inside another. */
static vlqa_status check_cover(struct reader *r)
{
    struct st_record *records = r->part->records;
    const uint8_t *at = r->data;
    if (r->part->n) qsort(records, (size_t)r->part->n, sizeof *records, range_order);
    for (int i = 0; i < r->part->n; i++) {
        const struct st_tensor *t = &records[i].tensor;
        if (records[i].data != at)
            return env_fail(r->env, VLQA_EMODEL, "%s: %.200s begins at byte %zu, expected %zu (%s)",
                            r->part->name, t->name, (size_t)(records[i].data - r->data),
                            (size_t)(at - r->data), records[i].data < at ? "overlap" : "gap");
        at += t->bytes;
    }
    if (at != r->data + r->bytes)
        return env_fail(r->env, VLQA_EMODEL, "%s: the tensors have %zu bytes, the file %zu",
                        r->part->name, (size_t)(at - r->data), r->bytes);
    return VLQA_OK;
}

/* Counts the tensors, and the bytes of their names. */
static vlqa_status measure(struct reader *r, const struct st_rename *rename, int n_rename,
                           size_t *name_bytes)
{
    char name[ST_MAX_NAME];
    const struct json *root = json_root(r->doc);
    *name_bytes = 0;
    r->part->n = 0;
    for (const struct json *v = json_first(root); v; v = json_next(v)) {
        if (is_metadata(v)) continue;
        if (!st_renamed(name, json_name(v), rename, n_rename))
            return env_fail(r->env, VLQA_EMODEL, "%s: a tensor name has over %d bytes: %.40s...",
                            r->part->name, ST_MAX_NAME - 1, json_name(v));
        *name_bytes += strlen(name) + 1;
        r->part->n++;
    }
    if (r->part->n > ST_MAX_TENSORS)
        return env_fail(r->env, VLQA_EMODEL, "%s has %d tensors, expected at most %d",
                        r->part->name, r->part->n, ST_MAX_TENSORS);
    return VLQA_OK;
}

static vlqa_status read_entries(struct reader *r, const struct st_rename *rename, int n_rename)
{
    struct st_part *part = r->part;
    size_t name_bytes, record_bytes;
    struct st_record *next;
    char *name;
    TRY(measure(r, rename, n_rename, &name_bytes));
    record_bytes = (size_t)part->n * sizeof *part->records;
    next = part->records = heap_alloc_zero(record_bytes);
    name = part->names = heap_alloc(name_bytes);
    if (!next || !name) return env_no_memory(r->env, part->name, record_bytes + name_bytes);
    for (const struct json *v = json_first(json_root(r->doc)); v; v = json_next(v)) {
        char renamed[ST_MAX_NAME];
        if (is_metadata(v)) {
            TRY(check_metadata(r, v));
            continue;
        }
        (void)st_renamed(renamed, json_name(v), rename, n_rename); /* measured: it fits */
        next->tensor.name = memcpy(name, renamed, strlen(renamed) + 1);
        name += strlen(renamed) + 1;
        TRY(read_entry(r, v, next++));
    }
    return check_cover(r);
}

vlqa_status st_part_read(struct env *env, struct st_part *part, const uint8_t *file, size_t bytes,
                         const struct st_rename *rename, int n_rename)
{
    struct reader r = {.env = env, .part = part};
    char title[sizeof part->name + 8];
    vlqa_status status;
    uint64_t header;
    TRY(placeholder_check(env, VLQA_EMODEL, part->path ? part->path : part->name, file, bytes));
    if (bytes < sizeof header)
        return env_fail(env, VLQA_EMODEL, "%s has %zu bytes, expected a safetensors file",
                        part->name, bytes);
    memcpy(&header, file, sizeof header);
    if (header > ST_MAX_HEADER || header > bytes - sizeof header)
        return env_fail(env, VLQA_EMODEL, "%s: the header has %llu bytes, expected at most %zu",
                        part->name, (unsigned long long)header,
                        bytes - sizeof header < ST_MAX_HEADER ? bytes - sizeof header
                                                              : (size_t)ST_MAX_HEADER);
    if (header == 0 || file[sizeof header] != '{')
        return env_fail(env, VLQA_EMODEL, "%s: the header does not begin with '{'", part->name);
    (void)snprintf(title, sizeof title, "%s header", part->name);
    r.data = file + sizeof header + header;
    r.bytes = bytes - sizeof header - (size_t)header;
    TRY(json_parse(env, title, (const char *)file + sizeof header, (size_t)header, ST_MAX_HEADER,
                   &r.doc));
    status = read_entries(&r, rename, n_rename);
    json_free(r.doc);
    return status;
}
