/* st_write.c - headers first, from the list of tensors, then each tensor at its place. */
#include "base/st_write.h"

#include "base/arena.h"
#include "base/heap.h"
#include "base/st_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct entry {
    char *key;
    const char *dtype;
    size_t size, bytes, offset; /* offset: in its file */
    int rank, shard, index;
    int64_t dim[ST_MAX_RANK];
};

struct shard {
    char name[64];
    int fd; /* -1: none */
};

struct st_writer {
    const struct new_dir *dir;
    size_t shard_bytes, total;
    struct entry *entry;
    int n, cap, *at; /* at[index]: where that one is in `entry` */
    struct shard *shard;
    int n_shards;
};

struct text { /* grows; NULL and failed when there is no memory */
    char *data;
    size_t used, cap;
    int failed;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    for (;;) {
        size_t left = t->cap - t->used, cap = t->cap * 2 + 4096;
        char *grown;
        va_list args;
        int n;
        if (t->failed) return;
        va_start(args, format);
        n = vsnprintf(t->data ? t->data + t->used : NULL, left, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < left) {
            t->used += (size_t)n;
            return;
        }
        cap += n > 0 ? (size_t)n : 0;
        grown = heap_resize(t->data, t->used, cap);
        t->failed = !grown;
        if (grown) t->data = grown, t->cap = cap;
    }
}

/* A key as JSON has it. */
static void put_string(struct text *t, const char *s)
{
    put(t, "\"");
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            put(t, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            put(t, "\\u%04x", (unsigned)*s);
        else
            put(t, "%c", *s);
    put(t, "\"");
}

vlqa_status st_write_open(struct env *env, const struct new_dir *dir, size_t shard_bytes,
                          struct st_writer **out)
{
    struct st_writer *w = *out = heap_alloc_zero(sizeof *w);
    if (!w) return env_no_memory(env, "list of tensors", sizeof *w);
    w->dir = dir;
    w->shard_bytes = shard_bytes;
    return VLQA_OK;
}

void st_write_free(struct st_writer *w)
{
    if (!w) return;
    for (int i = 0; i < w->n; i++)
        heap_free(w->entry[i].key);
    for (int i = 0; i < w->n_shards; i++)
        if (w->shard[i].fd >= 0) (void)close(w->shard[i].fd);
    heap_free(w->entry);
    heap_free(w->at);
    heap_free(w->shard);
    heap_free(w);
}

static vlqa_status make_room(struct env *env, struct st_writer *w)
{
    int cap = w->cap ? w->cap * 2 : 64;
    struct entry *grown;
    if (w->n < w->cap) return VLQA_OK;
    grown = heap_resize(w->entry, (size_t)w->n * sizeof *grown, (size_t)cap * sizeof *grown);
    if (!grown) return env_no_memory(env, "list of tensors", (size_t)cap * sizeof *grown);
    w->entry = grown;
    w->cap = cap;
    return VLQA_OK;
}

vlqa_status st_write_add(struct env *env, struct st_writer *w, const char *key, const char *dtype,
                         size_t size, int rank, const int64_t *dim, int *index)
{
    struct entry e = {.dtype = dtype, .size = size, .bytes = size, .rank = rank, .index = w->n};
    assert(rank >= 0 && rank <= ST_MAX_RANK && !w->shard);
    TRY(make_room(env, w));
    for (int i = 0; i < rank; i++) {
        e.dim[i] = dim[i];
        if (!size_mul(&e.bytes, e.bytes, (size_t)dim[i]))
            return env_fail(env, VLQA_EMODEL, "%s is %s, which is too large", key,
                            st_shape(rank, dim).text);
    }
    e.key = heap_alloc(strlen(key) + 1);
    if (!e.key) return env_no_memory(env, key, strlen(key) + 1);
    memcpy(e.key, key, strlen(key) + 1);
    w->total += e.bytes;
    *index = w->n;
    w->entry[w->n++] = e;
    return VLQA_OK;
}

/* In their order to shards; in each the largest elements first, so that all are aligned. */
static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void deal_out(struct st_writer *w)
{
    size_t used = 0;
    w->n_shards = 1;
    for (int i = 0; i < w->n; i++) {
        if (used && used + w->entry[i].bytes > w->shard_bytes) {
            w->n_shards++;
            used = 0;
        }
        w->entry[i].shard = w->n_shards - 1;
        used += w->entry[i].bytes;
    }
    if (w->n) qsort(w->entry, (size_t)w->n, sizeof *w->entry, entry_order);
}

static void put_header(struct text *t, const struct st_writer *w, int shard)
{
    size_t at = 0;
    put(t, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < w->n; i++) {
        const struct entry *e = &w->entry[i];
        if (e->shard != shard) continue;
        put(t, ",");
        put_string(t, e->key);
        put(t, ":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", e->dtype,
            st_shape(e->rank, e->dim).text, at, at + e->bytes);
        at += e->bytes;
    }
    put(t, "}");
    while (t->used % 8 != 0 && !t->failed)
        put(t, " ");
}

static vlqa_status write_at(struct env *env, struct st_writer *w, int shard, size_t offset,
                            const void *data, size_t bytes)
{
    const struct shard *s = &w->shard[shard];
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(s->fd, (const char *)data + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return new_dir_failed(env, w->dir, s->name, n < 0 ? errno : ENOSPC);
        done += (size_t)n;
    }
    return VLQA_OK;
}

/* Creates the file of a shard with its header; space for all is taken where the disk can. */
static vlqa_status begin_shard(struct env *env, struct st_writer *w, int i)
{
    struct shard *s = &w->shard[i];
    struct text t = {NULL, 0, 0, 0};
    size_t at;
    vlqa_status status;
    int error;
    TRY(new_dir_file(env, w->dir, s->name, &s->fd));
    put_header(&t, w, i);
    at = sizeof(uint64_t) + t.used;
    for (int k = 0; k < w->n; k++)
        if (w->entry[k].shard == i) {
            w->entry[k].offset = at;
            at += w->entry[k].bytes;
        }
    status = t.failed ? env_no_memory(env, s->name, t.cap) : VLQA_OK;
    if (status == VLQA_OK) status = write_at(env, w, i, 0, &(uint64_t){t.used}, sizeof(uint64_t));
    if (status == VLQA_OK) status = write_at(env, w, i, sizeof(uint64_t), t.data, t.used);
    heap_free(t.data);
    TRY(status);
    error = posix_fallocate(s->fd, 0, (off_t)at);
    return error == ENOSPC || error == EFBIG ? new_dir_failed(env, w->dir, s->name, error)
                                             : VLQA_OK;
}

static vlqa_status write_index(struct env *env, const struct st_writer *w)
{
    struct text t = {NULL, 0, 0, 0};
    vlqa_status status;
    put(&t, "{\n \"metadata\": {\n  \"total_size\": %zu\n },\n \"weight_map\": {", w->total);
    for (int i = 0; i < w->n; i++) {
        put(&t, i ? ",\n  " : "\n  ");
        put_string(&t, w->entry[i].key);
        put(&t, ": \"%s\"", w->shard[w->entry[i].shard].name);
    }
    put(&t, "\n }\n}\n");
    status = t.failed ? env_no_memory(env, ST_INDEX, t.cap)
                      : new_dir_write(env, w->dir, ST_INDEX, t.data, t.used);
    heap_free(t.data);
    return status;
}

vlqa_status st_write_begin(struct env *env, struct st_writer *w)
{
    size_t bytes = (size_t)w->n * sizeof *w->at;
    deal_out(w);
    w->at = heap_alloc(bytes);
    w->shard = heap_alloc((size_t)w->n_shards * sizeof *w->shard);
    if (!w->shard) w->n_shards = 0;
    if (!w->at || !w->shard) return env_no_memory(env, "list of tensors", bytes);
    for (int i = 0; i < w->n; i++)
        w->at[w->entry[i].index] = i;
    for (int i = 0; i < w->n_shards; i++) {
        w->shard[i].fd = -1;
        (void)snprintf(w->shard[i].name, sizeof w->shard[i].name,
                       w->n_shards > 1 ? "model-%05d-of-%05d.safetensors" : "model.safetensors",
                       i + 1, w->n_shards);
    }
    for (int i = 0; i < w->n_shards; i++)
        TRY(begin_shard(env, w, i));
    return w->n_shards > 1 ? write_index(env, w) : VLQA_OK;
}

vlqa_status st_write_bytes(struct env *env, struct st_writer *w, int index, size_t begin,
                           const void *data, size_t bytes)
{
    const struct entry *e = &w->entry[w->at[index]];
    assert(begin <= e->bytes && bytes <= e->bytes - begin);
    return write_at(env, w, e->shard, e->offset + begin, data, bytes);
}

vlqa_status st_write_end(struct env *env, struct st_writer *w)
{
    for (int i = 0; i < w->n_shards; i++) {
        int fd = w->shard[i].fd;
        w->shard[i].fd = -1;
        TRY(new_dir_close(env, w->dir, w->shard[i].name, fd));
    }
    return VLQA_OK;
}
