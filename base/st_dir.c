/* st_dir.c - which files of a model directory have its tensors: an index, one file, or shards. */
#include "base/heap.h"
#include "base/json.h"
#include "base/st_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE "model.safetensors"
#define INDEX ST_INDEX
#define ENDING ".safetensors"
#define ST_MAX_INDEX ((size_t)64 << 20) /* bytes */
#define ST_MAX_SHARDS 1000
#define NAME_BYTES sizeof((struct st_part *)0)->name

/* "dir/name" in a block of its own. */
static vlqa_status join(struct env *env, const char *dir, const char *name, char **out)
{
    size_t bytes = strlen(dir) + strlen(name) + 2;
    *out = heap_alloc(bytes);
    if (!*out) return env_no_memory(env, name, bytes);
    (void)snprintf(*out, bytes, "%s%s%s", dir, *dir ? "/" : "", name);
    return VLQA_OK;
}

static vlqa_status add_file(struct env *env, struct st_files *files, const char *dir,
                            const char *name)
{
    struct st_part *part = NULL;
    TRY(st_part_add(env, files, &part));
    TRY(join(env, dir, name, &part->path));
    st_part_name(part, name);
    TRY(file_open(env, part->path, &part->map));
    part->bytes = part->map.size;
    return st_part_read(env, files, part);
}

/* Nonzero: there is such a file. */
static vlqa_status has_file(struct env *env, const char *dir, const char *name, int *out)
{
    char *path;
    *out = 0;
    TRY(join(env, dir, name, &path));
    *out = file_exists(path);
    heap_free(path);
    return VLQA_OK;
}

/* ---- the index ---- */

/* The names come from a file that may mean harm: nothing outside the directory. */
static int is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) < NAME_BYTES;
}

static int part_named(const struct st_files *files, const char *name)
{
    for (int i = files->n_parts - 1; i >= 0; i--)
        if (strcmp(files->parts[i].name, name) == 0) return i;
    return -1;
}

static vlqa_status add_shards(struct env *env, struct st_files *files, const char *dir,
                              const struct json *map)
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
        TRY(add_file(env, files, dir, shard));
    }
    return VLQA_OK;
}

/* The index and the files say the same about where each tensor is. */
static vlqa_status check_index(struct env *env, struct st_files *files, const struct json *map)
{
    for (const struct json *v = json_first(map); v; v = json_next(v)) {
        char name[ST_MAX_NAME];
        struct st_record *record = NULL;
        if (st_renamed(name, json_name(v), files)) record = st_lookup(files, name);
        if (!record || record->part != part_named(files, json_text(v)))
            return env_fail(env, VLQA_EMODEL, "%s: %.200s is not in %s", INDEX, json_name(v),
                            json_text(v));
        record->listed = 1;
    }
    for (int i = 0; i < files->count; i++)
        if (!files->sorted[i]->listed)
            return env_fail(env, VLQA_EMODEL, "%s does not list %.200s of %s", INDEX,
                            files->sorted[i]->tensor.key,
                            files->parts[files->sorted[i]->part].name);
    return VLQA_OK;
}

static vlqa_status read_sharded(struct env *env, struct st_files *files, const char *dir,
                                const struct json_doc *doc)
{
    const struct json *map;
    TRY(json_want_object(env, doc, json_root(doc), "weight_map", &map));
    TRY(add_shards(env, files, dir, map));
    TRY(st_sort(env, files));
    return check_index(env, files, map);
}

/* All files that the index names are there; else the message says which one is not. *lists_single:
 * model.safetensors is one of them. */
static vlqa_status check_complete(struct env *env, const char *dir, const struct json_doc *doc,
                                  int *lists_single)
{
    const struct json *map;
    const char *last = "";
    TRY(json_want_object(env, doc, json_root(doc), "weight_map", &map));
    for (const struct json *v = json_first(map); v; v = json_next(v)) {
        const char *shard = json_text(v);
        int is_there = 0;
        if (!shard || strcmp(shard, last) == 0) continue;
        last = shard;
        if (strcmp(shard, SINGLE) == 0) *lists_single = 1;
        if (is_plain_name(shard)) TRY(has_file(env, dir, shard, &is_there));
        if (!is_there)
            return env_fail(env, VLQA_EMODEL, "%s names %.100s, which is not there", INDEX, shard);
    }
    return VLQA_OK;
}

/* Both are there. A complete index comes first; one that is not is a leftover. */
static vlqa_status choose(struct env *env, struct st_files *files, const char *dir,
                          vlqa_status opened, const struct json_doc *doc)
{
    int lists_single = 0;
    vlqa_status status = opened;
    if (status == VLQA_OK) status = check_complete(env, dir, doc, &lists_single);
    if (status == VLQA_EMEMORY) return status;
    if (status == VLQA_OK) {
        if (!lists_single)
            env_log(env, VLQA_LOG_WARN, "%s: %s is passed over: %s and its shards come first", dir,
                    SINGLE, INDEX);
        return read_sharded(env, files, dir, doc);
    }
    env_log(env, VLQA_LOG_WARN, "%s: %s is read, and the index passed over: %s", dir, SINGLE,
            env->message);
    env->message[0] = 0;
    TRY(add_file(env, files, dir, SINGLE));
    return st_sort(env, files);
}

static vlqa_status read_index(struct env *env, struct st_files *files, const char *dir, int single)
{
    struct json_doc *doc = NULL;
    char *path;
    vlqa_status status;
    TRY(join(env, dir, INDEX, &path));
    status = json_read(env, path, ST_MAX_INDEX, &doc);
    if (single)
        status = choose(env, files, dir, status, doc);
    else if (status == VLQA_OK)
        status = read_sharded(env, files, dir, doc);
    json_free(doc);
    heap_free(path);
    return status;
}

/* ---- neither ---- */

/* What the directory has: the shards of "PREFIX-I-of-TOTAL.safetensors", and other files. */
struct found {
    char prefix[NAME_BYTES], other[NAME_BYTES], foreign[NAME_BYTES];
    int digits, total, first, n; /* of the shards; first: 0 or 1 */
    int several;                 /* sets of shards */
    uint8_t has[ST_MAX_SHARDS + 1];
};

static int ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The digits before `end`, and where they begin; 0: there are none, or too many. */
static int number_before(const char *text, size_t end, size_t *begin)
{
    size_t at = end;
    while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9')
        at--;
    *begin = at;
    return end - at >= 1 && end - at <= 6 ? (int)(end - at) : 0;
}

/* Nonzero: the name is one of shards, and taken in. */
static int take_shard(struct found *f, const char *name)
{
    size_t end = strlen(name) - strlen(ENDING), total, of, i;
    int digits = number_before(name, end, &total), number, count;
    if (!digits || total < 4 || strncmp(name + total - 4, "-of-", 4) != 0) return 0;
    of = total - 4;
    if (number_before(name, of, &i) != digits || i < 1 || name[i - 1] != '-') return 0;
    number = atoi(name + i);
    count = atoi(name + total);
    if (count < 1 || count > ST_MAX_SHARDS || number > count || i > NAME_BYTES - 1) return 0;
    if (f->n && (f->total != count || f->digits != digits || strlen(f->prefix) != i ||
                 strncmp(f->prefix, name, i) != 0))
        f->several = 1;
    if (f->several) return 1;
    (void)snprintf(f->prefix, sizeof f->prefix, "%.*s", (int)i, name);
    f->digits = digits;
    f->total = count;
    f->has[number] = 1;
    f->n++;
    return 1;
}

static vlqa_status look(struct env *env, const char *dir, struct found *f)
{
    DIR *list = opendir(*dir ? dir : ".");
    const struct dirent *entry;
    if (!list) return env_fail(env, VLQA_EIO, "%s: cannot open: %s", dir, strerror(errno));
    while ((entry = readdir(list))) {
        const char *name = entry->d_name;
        if (*name == '.' || strlen(name) >= NAME_BYTES) continue;
        if (ends_in(name, ENDING)) {
            if (!take_shard(f, name)) (void)snprintf(f->other, sizeof f->other, "%s", name);
        } else if (ends_in(name, ".gguf") || ends_in(name, ".bin") || ends_in(name, ".pth")) {
            (void)snprintf(f->foreign, sizeof f->foreign, "%s", name);
        }
    }
    closedir(list);
    f->first = f->has[0] ? 0 : 1;
    return VLQA_OK;
}

static void shard_name(const struct found *f, int i, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%.200s%0*d-of-%0*d" ENDING, f->prefix, f->digits, i, f->digits,
                   f->total);
}

static vlqa_status add_found(struct env *env, struct st_files *files, const char *dir,
                             const struct found *f)
{
    char name[NAME_BYTES], missing[NAME_BYTES * 3] = "";
    int n_missing = 0, last = f->first + f->total - 1;
    for (int i = f->first; i <= last; i++) {
        size_t used = strlen(missing);
        if (f->has[i]) continue;
        shard_name(f, i, name);
        if (n_missing++ < 3)
            (void)snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", name);
    }
    if (n_missing)
        return env_fail(env, VLQA_EMODEL, "%s: of %d shards %d are missing: %s%s", dir, f->total,
                        n_missing, missing, n_missing > 3 ? ", ..." : "");
    for (int i = f->first; i <= last; i++) {
        shard_name(f, i, name);
        TRY(add_file(env, files, dir, name));
    }
    return st_sort(env, files);
}

static vlqa_status read_found(struct env *env, struct st_files *files, const char *dir)
{
    struct found f = {.n = 0};
    TRY(look(env, dir, &f));
    if (f.several)
        return env_fail(env, VLQA_EMODEL,
                        "%s has several sets of shards and no %s: expected one set", dir, INDEX);
    if (f.n) return add_found(env, files, dir, &f);
    if (strcmp(f.other, SINGLE) == 0) return add_file(env, files, dir, SINGLE); /* a broken link */
    if (*f.other)
        return env_fail(env, VLQA_EMODEL,
                        "%s has %s, but neither %s nor %s: if it is the whole model, rename it to "
                        "%s",
                        dir, f.other, SINGLE, INDEX, SINGLE);
    if (*f.foreign)
        return env_fail(env, VLQA_EMODEL, "%s has %s, but only safetensors files are read", dir,
                        f.foreign);
    return env_fail(env, VLQA_EMODEL, "%s has neither %s nor %s", dir, SINGLE, INDEX);
}

vlqa_status st_dir_read(struct env *env, struct st_files *files, const char *dir)
{
    int single, index;
    TRY(has_file(env, dir, SINGLE, &single));
    TRY(has_file(env, dir, INDEX, &index));
    if (index) return read_index(env, files, dir, single);
    if (!single) return read_found(env, files, dir);
    TRY(add_file(env, files, dir, SINGLE));
    return st_sort(env, files);
}
