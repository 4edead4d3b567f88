/* cache.c - the records of an engine and of a directory, to look at and to remove. */
#include "fusion/engine/engine.h"

#include <stdio.h>
#include <unistd.h>

vlqa_status vlqa_cache_read_stats(const struct vlqa_engine *e, struct vlqa_cache_stats *out,
                                  size_t bytes)
{
    struct vlqa_cache_stats all;
    struct store_gpu_stats gpu;
    if (!e || !out || bytes < CACHE_STATS_LEAST || !e->usable) return VLQA_EUSAGE;
    if (getpid() != e->process || atomic_load(&e->closed)) return VLQA_ESTATE;
    store_stats(e->store, &all);
    store_gpu_stats(e->store_gpu, &gpu);
    all.gpu_records = gpu.records;
    all.gpu_bytes = gpu.bytes;
    all.hits_gpu = gpu.hits;
    all.evicted_gpu = gpu.evicted;
    abi_give(out, bytes, &all, sizeof all);
    return VLQA_OK;
}

vlqa_status vlqa_cache_flush(const struct vlqa_engine *e)
{
    struct env env = {0};
    if (!e || !e->usable) return VLQA_EUSAGE;
    if (getpid() != e->process || atomic_load(&e->closed)) return VLQA_ESTATE;
    env.log = e->env.log;
    env.user = e->env.user;
    return store_flush(&env, e->store);
}

/* ---- a directory without an engine ---- */

static vlqa_status copy_options(struct env *env, const struct vlqa_cache_options *from,
                                struct vlqa_cache_options *to)
{
    *to = vlqa_cache_options_default();
    TRY(abi_take(env, "cache", from, to, sizeof *to, CACHE_OPTIONS_LEAST));
    env->log = to->log;
    env->user = to->user;
    return to->dir ? VLQA_OK : env_fail(env, VLQA_EUSAGE, "cache options: dir is NULL");
}

static vlqa_status told(struct env *env, vlqa_status status)
{
    if (status != VLQA_OK) env_log(env, VLQA_LOG_ERROR, "%s", env->message);
    return status;
}

struct scan {
    vlqa_record_fn fn;
    void *user;
};

static enum vlqa_record_kind kind_of(enum record_kind kind)
{
    return kind == RECORD_VISUAL  ? VLQA_RECORD_VISUAL
           : kind == RECORD_CHUNK ? VLQA_RECORD_CHUNK
                                  : VLQA_RECORD_UNKNOWN;
}

static int tell_item(void *user, const struct store_item *item)
{
    const struct scan *scan = user;
    char key[65];
    struct vlqa_record record = {.version = VLQA_OPTIONS_VERSION,
                                 .struct_bytes = (uint32_t)sizeof record,
                                 .key = key,
                                 .kind = kind_of(item->kind),
                                 .tokens = item->rows,
                                 .grid_h = item->grid.h,
                                 .grid_w = item->grid.w,
                                 .bytes = item->bytes,
                                 .mtime = item->mtime,
                                 .intact = !item->problem,
                                 .problem = item->problem ? item->problem : ""};
    key_hex(item->key, key);
    return scan->fn(scan->user, &record);
}

vlqa_status vlqa_cache_scan(const struct vlqa_cache_options *options, vlqa_record_fn fn)
{
    struct env env = {0};
    struct vlqa_cache_options o;
    struct scan scan;
    vlqa_status status;
    if (!options || !fn) return VLQA_EUSAGE;
    status = copy_options(&env, options, &o);
    scan = (struct scan){fn, o.user};
    if (status == VLQA_OK) status = store_scan(&env, o.dir, o.verify, tell_item, &scan);
    return told(&env, status);
}

struct removal {
    struct env *env;
    const char *dir, *key;
    int removed;
    vlqa_status status; /* the first that is not VLQA_OK */
};

static int remove_item(void *user, const struct store_item *item)
{
    struct removal *r = user;
    char key[65];
    int removed = 0;
    vlqa_status status = VLQA_OK;
    key_hex(item->key, key);
    if (strncmp(key, r->key, strlen(r->key)) == 0)
        status = store_remove(r->env, r->dir, &item->key, &removed);
    if (r->status == VLQA_OK) r->status = status;
    r->removed += removed;
    return 0;
}

static vlqa_status remove_records(struct env *env, const char *dir, const char *key, int *removed)
{
    struct removal r = {env, dir, key, 0, VLQA_OK};
    size_t digits;
    vlqa_status status;
    if (!key) return store_remove(env, dir, NULL, removed);
    digits = strspn(key, "0123456789abcdef");
    if (digits < 1 || digits > 64 || key[digits])
        return env_fail(env, VLQA_EUSAGE, "the key is %s, expected 1 to 64 of 0-9 and a-f", key);
    status = store_scan(env, dir, 0, remove_item, &r);
    *removed = r.removed;
    return status == VLQA_OK ? r.status : status;
}

vlqa_status vlqa_cache_remove(const struct vlqa_cache_options *options, const char *key,
                              int *removed)
{
    struct env env = {0};
    struct vlqa_cache_options o;
    vlqa_status status;
    if (!options || !removed) return VLQA_EUSAGE;
    *removed = 0;
    status = copy_options(&env, options, &o);
    if (status == VLQA_OK) status = remove_records(&env, o.dir, key, removed);
    return told(&env, status);
}
