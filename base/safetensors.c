/* safetensors.c - a model directory as one sorted table of tensors. */
#include "base/safetensors.h"

#include "base/hash_leaves.h"
#include "base/heap.h"
#include "base/st_files.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_WHOLE ((size_t)256 << 20) /* models up to this size are read whole */
#define DIGEST_PAGE ((size_t)4096)
#define DIGEST_PAGES 16

/* ---- parts ---- */

vlqa_status st_part_add(struct env *env, struct st_files *files, struct st_part **out)
{
    if (files->n_parts == files->cap_parts) {
        int cap = files->cap_parts ? files->cap_parts * 2 : 4;
        size_t old = (size_t)files->n_parts * sizeof *files->parts;
        size_t bytes = (size_t)cap * sizeof *files->parts;
        struct st_part *grown = heap_resize(files->parts, old, bytes);
        if (!grown) return env_no_memory(env, "list of tensors", bytes);
        files->parts = grown;
        files->cap_parts = cap;
    }
    *out = &files->parts[files->n_parts++];
    **out = (struct st_part){0};
    return VLQA_OK;
}

static vlqa_status files_new(struct env *env, struct st_files **out)
{
    *out = heap_alloc_zero(sizeof **out);
    return *out ? VLQA_OK : env_no_memory(env, "tensors", sizeof **out);
}

void st_close(struct st_files *files)
{
    if (!files) return;
    for (int i = 0; i < files->n_parts; i++) {
        struct st_part *part = &files->parts[i];
        file_map_close(&part->map);
        heap_free(part->path);
        heap_free(part->records);
        heap_free(part->names);
    }
    heap_free(files->parts);
    heap_free(files->sorted);
    heap_free(files);
}

void st_part_name(struct st_part *part, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(part->name, sizeof part->name, "%s", slash ? slash + 1 : path);
}

/* ---- the table ---- */

static int name_order(const void *a, const void *b)
{
    const struct st_record *const *x = a, *const *y = b;
    return strcmp((*x)->tensor.name, (*y)->tensor.name);
}

static int key_order(const void *name, const void *record)
{
    const struct st_record *const *r = record;
    return strcmp(name, (*r)->tensor.name);
}

struct st_record *st_lookup(const struct st_files *files, const char *name)
{
    struct st_record **found = NULL;
    if (files->count)
        found =
            bsearch(name, files->sorted, (size_t)files->count, sizeof *files->sorted, key_order);
    return found ? *found : NULL;
}

vlqa_status st_sort(struct env *env, struct st_files *files)
{
    int64_t total = 0;
    for (int i = 0; i < files->n_parts; i++)
        total += files->parts[i].n;
    if (total > ST_MAX_TENSORS)
        return env_fail(env, VLQA_EMODEL, "%d files have %lld tensors, expected at most %d",
                        files->n_parts, (long long)total, ST_MAX_TENSORS);
    files->sorted = heap_alloc((size_t)total * sizeof *files->sorted);
    if (!files->sorted)
        return env_no_memory(env, "list of tensors", (size_t)total * sizeof *files->sorted);
    for (int i = 0; i < files->n_parts; i++)
        for (int k = 0; k < files->parts[i].n; k++) {
            files->parts[i].records[k].part = i;
            files->sorted[files->count++] = &files->parts[i].records[k];
        }
    files->cap = files->count;
    if (total) qsort(files->sorted, (size_t)total, sizeof *files->sorted, name_order);
    for (int i = 1; i < files->count; i++) {
        const struct st_record *a = files->sorted[i - 1], *b = files->sorted[i];
        if (strcmp(a->tensor.name, b->tensor.name) == 0)
            return env_fail(env, VLQA_EMODEL,
                            "a tensor is there twice: as %.160s in %s and as %.160s in %s",
                            a->tensor.key, files->parts[a->part].name, b->tensor.key,
                            files->parts[b->part].name);
    }
    return VLQA_OK;
}

/* ---- opening ---- */

/* Closes on failure. */
static vlqa_status finish(vlqa_status status, struct st_files *files, struct st_files **out)
{
    *out = status == VLQA_OK ? files : NULL;
    if (status != VLQA_OK) st_close(files);
    return status;
}

vlqa_status st_open(struct env *env, const char *dir, const struct st_rename *rename, int n_rename,
                    struct st_files **out)
{
    struct st_files *files;
    *out = NULL;
    TRY(files_new(env, &files));
    files->rename = rename;
    files->n_rename = n_rename;
    return finish(st_dir_read(env, files, dir), files, out);
}

/* A part whose bytes are in memory. */
static vlqa_status add_memory(struct env *env, struct st_files *files, struct st_part *part,
                              const void *data, size_t bytes)
{
    part->memory = data;
    part->bytes = bytes;
    TRY(st_part_read(env, files, part));
    return st_sort(env, files);
}

static vlqa_status add_mapped(struct env *env, struct st_files *files, const char *path)
{
    struct st_part *part = NULL;
    size_t bytes = strlen(path) + 1;
    TRY(st_part_add(env, files, &part));
    st_part_name(part, path);
    part->path = heap_alloc(bytes);
    if (!part->path) return env_no_memory(env, path, bytes);
    memcpy(part->path, path, bytes);
    TRY(file_map_open(env, path, &part->map));
    return add_memory(env, files, part, part->map.data, part->map.size);
}

vlqa_status st_open_file(struct env *env, const char *path, struct st_files **out)
{
    struct st_files *files;
    *out = NULL;
    TRY(files_new(env, &files));
    return finish(add_mapped(env, files, path), files, out);
}

vlqa_status st_open_memory(struct env *env, const char *name, const void *data, size_t bytes,
                           struct st_files **out)
{
    struct st_files *files;
    struct st_part *part = NULL;
    vlqa_status status;
    *out = NULL;
    TRY(files_new(env, &files));
    status = st_part_add(env, files, &part);
    if (status == VLQA_OK) {
        st_part_name(part, name);
        status = add_memory(env, files, part, data, bytes);
    }
    return finish(status, files, out);
}

/* ---- asking ---- */

int st_has(const struct st_files *files, const char *name)
{
    return files->random || st_lookup(files, name);
}

void st_ignore(struct st_files *files, const char *name)
{
    struct st_record *record = files->random ? NULL : st_lookup(files, name);
    if (record && !record->used) record->used = 1; /* only then: others may look */
}

static int same_shape(const struct st_tensor *t, int rank, const int64_t *dim)
{
    return t->rank == rank && memcmp(t->dim, dim, (size_t)rank * sizeof *dim) == 0;
}

static vlqa_status want(struct env *env, struct st_files *files, const char *name, int rank,
                        const int64_t *dim, struct st_record **out)
{
    struct st_record *record = st_lookup(files, name);
    const struct st_tensor *t;
    assert(rank >= 0 && rank <= ST_MAX_RANK);
    if (!record && files->random) TRY(st_make(env, files, name, rank, dim, &record));
    if (!record) return st_fail_missing(env, files, name, rank, dim);
    t = &record->tensor;
    if (!same_shape(t, rank, dim))
        return env_fail(env, VLQA_EMODEL, "%s: %.200s is %s, expected %s", st_file_of(files, t),
                        t->key, st_shape(t->rank, t->dim).text, st_shape(rank, dim).text);
    *out = record;
    return VLQA_OK;
}

static vlqa_status fail_dtype(struct env *env, const struct st_files *files,
                              const struct st_record *record, const char *expected)
{
    return env_fail(env, VLQA_EMODEL, "%s: %.200s has dtype %s, expected %s",
                    st_file_of(files, &record->tensor), record->tensor.key, record->dtype_name,
                    expected);
}

vlqa_status st_want(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, const struct st_tensor **out)
{
    struct st_record *record;
    TRY(want(env, files, name, rank, dim, &record));
    if (!record->readable) return fail_dtype(env, files, record, "F32, F16 or BF16");
    if (!record->used) record->used = 1; /* only then: others may look */
    *out = &record->tensor;
    return VLQA_OK;
}

vlqa_status st_want_as(struct env *env, struct st_files *files, const char *name, const char *dtype,
                       int rank, const int64_t *dim, const struct st_tensor **out)
{
    struct st_record *record;
    TRY(want(env, files, name, rank, dim, &record));
    if (dtype && strcmp(record->dtype_name, dtype) != 0)
        return fail_dtype(env, files, record, dtype);
    if (!record->used) record->used = 1;
    *out = &record->tensor;
    return VLQA_OK;
}

const struct st_tensor *st_peek(const struct st_files *files, const char *name, const char **dtype)
{
    const struct st_record *record = st_lookup(files, name);
    if (record) *dtype = record->dtype_name;
    return record ? &record->tensor : NULL;
}

const struct st_tensor *st_find(const struct st_files *files, const char *name)
{
    const struct st_record *record = st_lookup(files, name);
    return record && record->readable ? &record->tensor : NULL;
}

static const struct st_record *record_of(const struct st_tensor *t)
{
    return (const struct st_record *)(const void *)t;
}

const char *st_file_of(const struct st_files *files, const struct st_tensor *t)
{
    return files->parts[record_of(t)->part].name;
}

vlqa_status st_read(struct env *env, const struct st_files *files, const struct st_tensor *t,
                    size_t begin, void *dst, size_t bytes)
{
    const struct st_record *record = record_of(t);
    assert(begin <= t->bytes && bytes <= t->bytes - begin);
    return st_part_bytes(env, &files->parts[record->part], record->offset + begin, dst, bytes);
}

int st_count(const struct st_files *files)
{
    return files->count;
}

const struct st_tensor *st_at(const struct st_files *files, int i)
{
    assert(i >= 0 && i < files->count);
    return &files->sorted[i]->tensor;
}

vlqa_status st_all_used(struct env *env, const struct st_files *files)
{
    const struct st_record *first = NULL;
    int unused = 0;
    for (int i = 0; i < files->count; i++) {
        if (files->sorted[i]->used) continue;
        if (!first) first = files->sorted[i];
        unused++;
    }
    if (!first) return VLQA_OK;
    return env_fail(env, VLQA_EMODEL, "%s: %s is no tensor of this model (%d such)",
                    files->parts[first->part].name, first->tensor.key, unused);
}

vlqa_status st_unchanged(struct env *env, const struct st_files *files)
{
    for (int i = 0; i < files->n_parts; i++)
        if (files->parts[i].map.is_open)
            TRY(file_map_check(env, files->parts[i].path, &files->parts[i].map));
    return VLQA_OK;
}

void st_let_go(struct st_files *files)
{
    for (int i = 0; i < files->n_parts; i++)
        if (!files->parts[i].memory) file_map_close(&files->parts[i].map);
}

size_t st_bytes(const struct st_files *files)
{
    size_t total = 0;
    for (int i = 0; i < files->count; i++)
        total += files->sorted[i]->tensor.bytes;
    return total;
}

static vlqa_status digest_range(struct env *env, const struct st_files *files,
                                const struct st_tensor *t, size_t begin, size_t bytes,
                                struct hash *hash)
{
    uint8_t page[2 * DIGEST_PAGE];
    while (bytes) {
        size_t n = bytes < sizeof page ? bytes : sizeof page;
        TRY(st_read(env, files, t, begin, page, n));
        hash_bytes(hash, page, n);
        begin += n;
        bytes -= n;
    }
    return VLQA_OK;
}

static vlqa_status digest_contents(struct env *env, const struct st_files *files,
                                   const struct st_tensor *t, int whole, struct hash *hash)
{
    if (whole || t->bytes <= DIGEST_PAGES * DIGEST_PAGE)
        return digest_range(env, files, t, 0, t->bytes, hash);
    for (size_t i = 0; i < DIGEST_PAGES; i++)
        TRY(digest_range(env, files, t, (t->bytes - DIGEST_PAGE) * i / (DIGEST_PAGES - 1),
                         DIGEST_PAGE, hash));
    return VLQA_OK;
}

struct digest {
    const struct st_files *files;
    int whole;
    atomic_int failed;
};

static vlqa_status digest_tensor(struct env *env, const struct digest *d, int i, struct hash *hash)
{
    const struct st_record *record = d->files->sorted[i];
    const struct st_tensor *t = &record->tensor;
    hash_text(hash, t->name);
    hash_text(hash, record->dtype_name);
    hash_u64(hash, (uint64_t)t->rank);
    for (int k = 0; k < t->rank; k++)
        hash_u64(hash, (uint64_t)t->dim[k]);
    return digest_contents(env, d->files, t, d->whole, hash);
}

static void digest_leaf(void *arg, int i, struct hash *hash)
{
    struct digest *d = arg;
    struct env quiet = {.log = NULL};
    if (digest_tensor(&quiet, d, i, hash) != VLQA_OK) atomic_store(&d->failed, 1);
}

/* What failed on some thread is done again here, so that one thread says why. */
vlqa_status st_digest(struct env *env, const struct st_files *files, struct hash *hash)
{
    struct digest d = {.files = files, .whole = st_bytes(files) <= DIGEST_WHOLE};
    struct hash again;
    atomic_init(&d.failed, 0);
    TRY(hash_leaves(env, hash, files->count, digest_leaf, &d));
    if (!atomic_load(&d.failed)) return VLQA_OK;
    hash_begin(&again, "again");
    for (int i = 0; i < files->count; i++)
        TRY(digest_tensor(env, &d, i, &again));
    return env_fail(env, VLQA_EIO, "the model's files changed while they were read");
}
