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
    {"F8_E4M3", 1, 0, 0},  {"F8_E5M2", 1, 0, 0},    {"F8_E8M0", 1, 0, 0},  {"BOOL", 1, 0, 0},
    {"U8", 1, 0, 0},       {"I8", 1, 0, 0},         {"U16", 2, 0, 0},      {"I16", 2, 0, 0},
    {"U32", 4, 0, 0},      {"I32", 4, 0, 0},        {"U64", 8, 0, 0},      {"I64", 8, 0, 0},
};

struct reader { /* the header of one part */
    struct env *env;
    const struct st_files *files;
    struct st_part *part;
    struct json_doc *doc;
    size_t begin; /* of the data, from the beginning of the part: what offsets count from */
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

int st_renamed(char out[ST_MAX_NAME], const char *name, const struct st_files *files)
{
    const char *to = "";
    int n;
    for (int i = 0; i < files->n_rename; i++) {
        const struct st_rename *r = &files->rename[i];
        size_t from = strlen(r->from);
        if (strncmp(name, r->from, from) != 0) continue;
        name += from;
        if (!r->to) { /* a wrapper: what is inside is looked up again */
            i = -1;
            continue;
        }
        to = r->to;
        break;
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
    double last = json_number(json_next(first));
    if (json_count(range) == 2 && begin >= 0 && last > (double)r->bytes && last == floor(last))
        return env_fail(r->env, VLQA_EMODEL,
                        "%s ends in the middle of %.200s: it has %zu bytes of tensors, expected at "
                        "least %.0f: the download is not complete",
                        r->part->name, json_name(entry), r->bytes, last);
    if (json_count(range) != 2 || begin < 0 || end < begin)
        return env_fail(r->env, VLQA_EMODEL,
                        "%s: data_offsets of %.200s is [%.17g, %.17g], expected 0 <= begin <= end "
                        "<= %zu",
                        r->part->name, json_name(entry), json_number(first), last, r->bytes);
    out->offset = r->begin + (size_t)begin;
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
    t->data = row->readable && r->part->memory ? r->part->memory + out->offset : NULL;
    out->readable = row->readable;
    out->dtype_name = row->name;
    return VLQA_OK;
}

static int range_order(const void *a, const void *b)
{
    const struct st_record *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->tensor.bytes < y->tensor.bytes ? -1 : x->tensor.bytes > y->tensor.bytes;
}

/* Every byte belongs to exactly one tensor: no hidden data, no tensor inside another. */
static vlqa_status check_cover(struct reader *r)
{
    struct st_record *records = r->part->records;
    size_t at = r->begin;
    if (r->part->n) qsort(records, (size_t)r->part->n, sizeof *records, range_order);
    for (int i = 0; i < r->part->n; i++) {
        const struct st_tensor *t = &records[i].tensor;
        if (records[i].offset != at)
            return env_fail(r->env, VLQA_EMODEL, "%s: %.200s begins at byte %zu, expected %zu (%s)",
                            r->part->name, t->key, records[i].offset - r->begin, at - r->begin,
                            records[i].offset < at ? "overlap" : "gap");
        at += t->bytes;
    }
    if (at != r->begin + r->bytes)
        return env_fail(r->env, VLQA_EMODEL, "%s: the tensors have %zu bytes, the file %zu",
                        r->part->name, at - r->begin, r->bytes);
    return VLQA_OK;
}

/* Counts the tensors, and the bytes of their names and keys. */
static vlqa_status measure(struct reader *r, size_t *name_bytes)
{
    char name[ST_MAX_NAME];
    const struct json *root = json_root(r->doc);
    *name_bytes = 0;
    r->part->n = 0;
    for (const struct json *v = json_first(root); v; v = json_next(v)) {
        if (is_metadata(v)) continue;
        if (!st_renamed(name, json_name(v), r->files))
            return env_fail(r->env, VLQA_EMODEL, "%s: a tensor name has over %d bytes: %.40s...",
                            r->part->name, ST_MAX_NAME - 1, json_name(v));
        *name_bytes += strlen(name) + 1 + strlen(json_name(v)) + 1;
        r->part->n++;
    }
    if (r->part->n > ST_MAX_TENSORS)
        return env_fail(r->env, VLQA_EMODEL, "%s has %d tensors, expected at most %d",
                        r->part->name, r->part->n, ST_MAX_TENSORS);
    return VLQA_OK;
}

/* Copies the text behind *end. */
static const char *keep_text(char **end, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *kept = memcpy(*end, text, bytes);
    *end += bytes;
    return kept;
}

static vlqa_status read_entries(struct reader *r)
{
    struct st_part *part = r->part;
    size_t name_bytes, record_bytes;
    struct st_record *next;
    char *end;
    TRY(measure(r, &name_bytes));
    record_bytes = (size_t)part->n * sizeof *part->records;
    next = part->records = heap_alloc_zero(record_bytes);
    end = part->names = heap_alloc(name_bytes);
    if (!next || !end) return env_no_memory(r->env, part->name, record_bytes + name_bytes);
    for (const struct json *v = json_first(json_root(r->doc)); v; v = json_next(v)) {
        char renamed[ST_MAX_NAME];
        if (is_metadata(v)) {
            TRY(check_metadata(r, v));
            continue;
        }
        (void)st_renamed(renamed, json_name(v), r->files); /* measured: it fits */
        next->tensor.name = keep_text(&end, renamed);
        next->tensor.key = keep_text(&end, json_name(v));
        TRY(read_entry(r, v, next++));
    }
    return check_cover(r);
}

vlqa_status st_part_bytes(struct env *env, const struct st_part *part, size_t offset, void *dst,
                          size_t bytes)
{
    if (part->made) {
        st_random_bytes(&part->random, offset, dst, bytes);
        return VLQA_OK;
    }
    if (!part->memory) return file_read_at(env, part->path, &part->map, offset, dst, bytes);
    memcpy(dst, part->memory + offset, bytes);
    return VLQA_OK;
}

/* Files of other formats that were given a safetensors name, by their first bytes. */
static vlqa_status check_format(struct env *env, const struct st_part *part, const char *first,
                                size_t n)
{
    static const struct {
        const char *magic, *what;
    } format[] = {
        {"PK\003\004", "a PyTorch file or another zip archive"},
        {"\200\002}", "a PyTorch file (pickle)"},
        {"GGUF", "a GGUF file"},
        {"\037\213", "compressed with gzip: unpack it"},
        {"\050\265\057\375", "compressed with zstd: unpack it"},
    };
    for (size_t i = 0; i < sizeof format / sizeof *format; i++) {
        size_t length = strlen(format[i].magic);
        if (n >= length && memcmp(first, format[i].magic, length) == 0)
            return env_fail(env, VLQA_EMODEL, "%s is %s, expected a safetensors file", part->name,
                            format[i].what);
    }
    return VLQA_OK;
}

/* The length of the header, checked. */
static vlqa_status read_length(struct env *env, const struct st_part *part, size_t *out)
{
    char first[4096]; /* enough to tell what stands in the place of the file */
    size_t n = part->bytes < sizeof first ? part->bytes : sizeof first;
    size_t room = part->bytes - sizeof(uint64_t);
    uint64_t header;
    TRY(st_part_bytes(env, part, 0, first, n));
    TRY(placeholder_check(env, VLQA_EMODEL, part->path ? part->path : part->name, first, n));
    if (part->bytes < sizeof header)
        return env_fail(env, VLQA_EMODEL, "%s has %zu bytes, expected a safetensors file",
                        part->name, part->bytes);
    memcpy(&header, first, sizeof header);
    if (header > ST_MAX_HEADER || header > room) TRY(check_format(env, part, first, n));
    if (header > ST_MAX_HEADER || header > room)
        return env_fail(env, VLQA_EMODEL, "%s: the header has %llu bytes, expected at most %zu",
                        part->name, (unsigned long long)header,
                        room < ST_MAX_HEADER ? room : (size_t)ST_MAX_HEADER);
    if (header == 0 || first[sizeof header] != '{')
        return env_fail(env, VLQA_EMODEL, "%s: the header does not begin with '{'", part->name);
    *out = (size_t)header;
    return VLQA_OK;
}

static vlqa_status parse_header(struct reader *r, size_t length)
{
    char title[sizeof r->part->name + 8], *text = heap_alloc(length);
    vlqa_status status;
    if (!text) return env_no_memory(r->env, r->part->name, length);
    (void)snprintf(title, sizeof title, "%s header", r->part->name);
    status = st_part_bytes(r->env, r->part, sizeof(uint64_t), text, length);
    if (status == VLQA_OK) status = json_parse(r->env, title, text, length, ST_MAX_HEADER, &r->doc);
    heap_free(text);
    return status;
}

vlqa_status st_part_read(struct env *env, const struct st_files *files, struct st_part *part)
{
    struct reader r = {.env = env, .files = files, .part = part};
    vlqa_status status;
    size_t length;
    TRY(read_length(env, part, &length));
    r.begin = sizeof(uint64_t) + length;
    r.bytes = part->bytes - r.begin;
    TRY(parse_header(&r, length));
    status = read_entries(&r);
    json_free(r.doc);
    return status;
}
