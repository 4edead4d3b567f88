/* safetensors.c - a model directory as one sorted table of tensors. */
#include "base/safetensors.h"

#include "base/heap.h"
#include "base/json.h"
#include "base/st_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define ST_MAX_INDEX ((size_t)64 << 20) /* bytes */
#define ST_MAX_SHARDS 1000
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
        heap_free(part->made);
    }
    heap_free(files->parts);
    heap_free(files->sorted);
    heap_free(files);
}

/* "dir/name" in a block of its own. */
static vlqa_status join(struct env *env, const char *dir, const char *name, char **out)
{
    size_t bytes = strlen(dir) + strlen(name) + 2;
    *out = heap_alloc(bytes);
    if (!*out) return env_no_memory(env, name, bytes);
    (void)snprintf(*out, bytes, "%s%s%s", dir, *dir ? "/" : "", name);
    return VLQA_OK;
}

static void name_part(struct st_part *part, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(part->name, sizeof part->name, "%s", slash ? slash + 1 : path);
}

static vlqa_status add_file(struct env *env, struct st_files *files, const char *dir,
                            const char *name, const struct st_rename *rename, int n_rename)
{
    struct st_part *part = NULL;
    TRY(st_part_add(env, files, &part));
    TRY(join(env, dir, name, &part->path));
    name_part(part, part->path);
    TRY(file_map_open(env, part->path, &part->map));
    return st_part_read(env, part, part->map.data, part->map.size, rename, n_rename);
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

static vlqa_status sort_records(struct env *env, struct st_files *files)
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
            return env_fail(env, VLQA_EMODEL, "%s is there twice: in %s and in %s", a->tensor.name,
                            files->parts[a->part].name, files->parts[b->part].name);
    }
    return VLQA_OK;
}

/* ---- the index ---- */

/* The names come from a file that may mean harm: nothing outside the directory. */
static int is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') &&
           strlen(name) < sizeof((struct st_part *)0)->name;
}

static int part_named(const struct st_files *files, const char *name)
{
    for (int i = files->n_parts - 1; i >= 0; i--)
        if (strcmp(files->parts[i].name, name) == 0) return i;
    return -1;
}

static vlqa_status add_shards(struct env *env, struct st_files *files, const char *dir,
                              const struct json *map, const struct st_rename *rename, int n_rename)
{
    if (json_count(map) > ST_MAX_TENSORS)
        return env_fail(env, VLQA_EMODEL, "%s has %d tensors, expected at most %d", INDEX,
                        json_count(map), ST_MAX_TENSORS);
    for (const struct json *v = json_first(map); v; v = json_next(v)) {
        const char *shard = json_text(v);
        if (!shard || !is_plain_name(shard))
            return env_fail(env, VLQA_EMODEL, "%s: %.200s is in %.100s, expected a plain file name",
                            INDEX, json_name(v), shard ? shard : json_kind_name(v));
        if (part_named(files, shard) >= 0) continue;
        if (files->n_parts == ST_MAX_SHARDS)
            return env_fail(env, VLQA_EMODEL, "%s names more than %d files", INDEX, ST_MAX_SHARDS);
        TRY(add_file(env, files, dir, shard, rename, n_rename));
    }
    return VLQA_OK;
}

/* The index and the files say the same about where each tensor is. */
static vlqa_status check_index(struct env *env, struct st_files *files, const struct json *map,
                               const struct st_rename *rename, int n_rename)
{
    for (const struct json *v = json_first(map); v; v = json_next(v)) {
        char name[ST_MAX_NAME];
        struct st_record *record = NULL;
        if (st_renamed(name, json_name(v), rename, n_rename)) record = st_lookup(files, name);
        if (!record || record->part != part_named(files, json_text(v)))
            return env_fail(env, VLQA_EMODEL, "%s: %.200s is not in %s", INDEX, json_name(v),
                            json_text(v));
        record->listed = 1;
    }
    for (int i = 0; i < files->count; i++)
        if (!files->sorted[i]->listed)
            return env_fail(env, VLQA_EMODEL, "%s does not list %s of %s", INDEX,
                            files->sorted[i]->tensor.name,
                            files->parts[files->sorted[i]->part].name);
    return VLQA_OK;
}

static vlqa_status open_sharded(struct env *env, struct st_files *files, const char *dir,
                                const char *index, const struct st_rename *rename, int n_rename)
{
    struct json_doc *doc;
    const struct json *map;
    vlqa_status status;
    TRY(json_read(env, index, ST_MAX_INDEX, &doc));
    status = json_want_object(env, doc, json_root(doc), "weight_map", &map);
    if (status == VLQA_OK) status = add_shards(env, files, dir, map, rename, n_rename);
    if (status == VLQA_OK) status = sort_records(env, files);
    if (status == VLQA_OK) status = check_index(env, files, map, rename, n_rename);
    json_free(doc);
    return status;
}

/* ---- opening ---- */

static int ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static vlqa_status fail_no_model(struct env *env, const char *dir)
{
    DIR *list = opendir(*dir ? dir : ".");
    const struct dirent *entry;
    char other[256] = "";
    if (!list) return env_fail(env, VLQA_EIO, "%s: cannot open: %s", dir, strerror(errno));
    while (!*other && (entry = readdir(list)))
        if (ends_in(entry->d_name, ".gguf") || ends_in(entry->d_name, ".bin"))
            (void)snprintf(other, sizeof other, "%s", entry->d_name);
    closedir(list);
    if (*other)
        return env_fail(env, VLQA_EMODEL, "%s has %s, but only safetensors files are read", dir,
                        other);
    return env_fail(env, VLQA_EMODEL, "%s has neither %s nor %s", dir, SINGLE, INDEX);
}

static vlqa_status open_directory(struct env *env, struct st_files *files, const char *dir,
                                  const char *single, const char *index,
                                  const struct st_rename *rename, int n_rename)
{
    if (file_exists(single)) {
        TRY(add_file(env, files, dir, SINGLE, rename, n_rename));
        return sort_records(env, files);
    }
    if (file_exists(index)) return open_sharded(env, files, dir, index, rename, n_rename);
    return fail_no_model(env, dir);
}

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
    char *single = NULL, *index = NULL;
    vlqa_status status;
    *out = NULL;
    TRY(files_new(env, &files));
    status = join(env, dir, SINGLE, &single);
    if (status == VLQA_OK) status = join(env, dir, INDEX, &index);
    if (status == VLQA_OK)
        status = open_directory(env, files, dir, single, index, rename, n_rename);
    heap_free(single);
    heap_free(index);
    return finish(status, files, out);
}

vlqa_status st_open_file(struct env *env, const char *path, struct st_files **out)
{
    struct st_files *files;
    vlqa_status status;
    *out = NULL;
    TRY(files_new(env, &files));
    status = add_file(env, files, "", path, NULL, 0);
    if (status == VLQA_OK) status = sort_records(env, files);
    return finish(status, files, out);
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
        name_part(part, name);
        status = st_part_read(env, part, data, bytes, NULL, 0);
    }
    if (status == VLQA_OK) status = sort_records(env, files);
    return finish(status, files, out);
}

/* ---- asking ---- */

int st_has(const struct st_files *files, const char *name)
{
    return files->random || st_lookup(files, name);
}

static int same_shape(const struct st_tensor *t, int rank, const int64_t *dim)
{
    return t->rank == rank && memcmp(t->dim, dim, (size_t)rank * sizeof *dim) == 0;
}

vlqa_status st_want(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, const struct st_tensor **out)
{
    struct st_record *record = st_lookup(files, name);
    const char *file;
    assert(rank >= 0 && rank <= ST_MAX_RANK);
    if (!record && files->random) TRY(st_make(env, files, name, rank, dim, &record));
    if (!record)
        return env_fail(env, VLQA_EMODEL, "%s: %s is missing, expected %s",
                        files->n_parts == 1 ? files->parts[0].name : INDEX, name,
                        st_shape(rank, dim).text);
    file = files->parts[record->part].name;
    if (!same_shape(&record->tensor, rank, dim))
        return env_fail(env, VLQA_EMODEL, "%s: %s is %s, expected %s", file, name,
                        st_shape(record->tensor.rank, record->tensor.dim).text,
                        st_shape(rank, dim).text);
    if (!record->tensor.data)
        return env_fail(env, VLQA_EMODEL, "%s: %s has dtype %s, expected F32, F16 or BF16", file,
                        name, record->dtype_name);
    record->used = 1;
    *out = &record->tensor;
    return VLQA_OK;
}

const struct st_tensor *st_find(const struct st_files *files, const char *name)
{
    const struct st_record *record = st_lookup(files, name);
    return record && record->tensor.data ? &record->tensor : NULL;
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
                    files->parts[first->part].name, first->tensor.name, unused);
}

vlqa_status st_unchanged(struct env *env, const struct st_files *files)
{
    for (int i = 0; i < files->n_parts; i++)
        if (files->parts[i].path)
            TRY(file_map_check(env, files->parts[i].path, &files->parts[i].map));
    return VLQA_OK;
}

size_t st_bytes(const struct st_files *files)
{
    size_t total = 0;
    for (int i = 0; i < files->count; i++)
        total += files->sorted[i]->tensor.bytes;
    return total;
}

static void digest_contents(const uint8_t *data, size_t bytes, int whole, struct hash *hash)
{
    if (whole || bytes <= DIGEST_PAGES * DIGEST_PAGE) {
        hash_bytes(hash, data, bytes);
        return;
    }
    for (size_t i = 0; i < DIGEST_PAGES; i++)
        hash_bytes(hash, data + (bytes - DIGEST_PAGE) * i / (DIGEST_PAGES - 1), DIGEST_PAGE);
}

void st_digest(const struct st_files *files, struct hash *hash)
{
    int whole = st_bytes(files) <= DIGEST_WHOLE;
    hash_u64(hash, (uint64_t)files->count);
    for (int i = 0; i < files->count; i++) {
        const struct st_record *record = files->sorted[i];
        const struct st_tensor *t = &record->tensor;
        hash_text(hash, t->name);
        hash_text(hash, record->dtype_name);
        hash_u64(hash, (uint64_t)t->rank);
        for (int k = 0; k < t->rank; k++)
            hash_u64(hash, (uint64_t)t->dim[k]);
        digest_contents(record->data, t->bytes, whole, hash);
    }
}
