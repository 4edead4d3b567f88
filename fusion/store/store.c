/* store.c - the tiers: records in RAM by key, and a directory behind them. */
#include "fusion/store/store.h"

#include "base/arena.h"
#include "base/heap.h"
#include "fusion/store/store_dir.h"
#include "fusion/store/store_file.h"
#include "fusion/store/store_writer.h"

#include <pthread.h>
#include <unistd.h>

#define BUCKETS 4096     /* records are large: no budget holds many times more of them */
#define TOUCH_MS 60000.0 /* between two updates of a file's time of use */
#define PATIENCE_MS 30000.0

struct entry {
    struct record record;        /* first: the address of a record is that of its entry */
    struct store_write write;    /* while it is on its way to disk; has a pin then */
    struct entry *next;          /* in the bucket, or among the dead */
    struct entry *older, *newer; /* among the unpinned */
    int pins;
    double touched_ms;
};

struct lru { /* unpinned records */
    struct entry *oldest, *newest;
    size_t bytes;
};

struct store {
    /* constant after open */
    struct store_dir dir;
    struct store_writer *writer; /* to dir; NULL: no dir */
    size_t ram_cap;
    pid_t process; /* threads do not survive a fork */
    /* under the lock */
    pthread_mutex_t lock;
    struct vlqa_cache_stats stats;
    struct lru chunks, visuals;
    struct entry *bucket[BUCKETS];
};

/* Entries. */

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static struct entry *entry_create(int n_mats, size_t payload)
{
    size_t front = round_up(sizeof(struct entry));
    size_t table = round_up((size_t)n_mats * sizeof(struct host_mat)), bytes;
    struct entry *e = size_add(&bytes, front + table, payload) ? heap_alloc(bytes) : NULL;
    if (!e) return NULL;
    *e = (struct entry){.touched_ms = env_ms()};
    e->record.n_mats = n_mats;
    e->record.mat = (struct host_mat *)((char *)e + front);
    e->record.bytes = bytes;
    return e;
}

static uint8_t *entry_payload(struct entry *e, size_t payload)
{
    return (uint8_t *)e + e->record.bytes - payload;
}

static void entries_free(struct entry *dead)
{
    while (dead) {
        struct entry *next = dead->next;
        heap_free(dead);
        dead = next;
    }
}

static void entry_free(struct entry *e)
{
    if (!e) return;
    e->next = NULL;
    entries_free(e);
}

/* Room for what an open file holds; that of a shape that is not wanted is never touched. */
static struct entry *entry_for(const struct store_file *file, struct record header,
                               const struct record_shape *shape, enum store_file_state *state)
{
    size_t payload = store_file_payload_bytes(file);
    struct entry *e = entry_create(header.n_mats, payload);
    if (!e) {
        *state = STORE_FILE_FAILED;
        return NULL;
    }
    header.mat = e->record.mat;
    header.bytes = e->record.bytes;
    e->record = header;
    store_file_mats(file, &e->record, entry_payload(e, payload));
    if (shape && !record_fits(&e->record, shape)) *state = STORE_FILE_DAMAGED; /* well signed */
    return e;
}

/* From disk: a copy, checked to the last byte here and never again. NULL: *state says why. */
static struct entry *entry_load(const struct store_dir *dir, struct key key,
                                const struct record_shape *shape, enum store_file_state *state)
{
    struct store_file file;
    struct record header;
    struct entry *e = NULL;
    char path[PATH_MAX];
    store_dir_path(dir, key, path);
    *state = store_file_open(path, &file, &header);
    if (*state != STORE_FILE_GOOD) return NULL;
    if (!key_equal(header.key, key)) *state = STORE_FILE_DAMAGED;
    if (*state == STORE_FILE_GOOD) e = entry_for(&file, header, shape, state);
    if (*state == STORE_FILE_GOOD) {
        heap_populate(e, e->record.bytes);
        *state = store_file_read(&file, &e->record);
    }
    store_file_close(&file);
    if (*state == STORE_FILE_GOOD) return e;
    entry_free(e);
    return NULL;
}

/* RAM, under the lock. */

static struct entry **bucket_of(struct store *s, const struct key *key)
{
    uint64_t bits;
    memcpy(&bits, key->b, sizeof bits); /* a hash already */
    return &s->bucket[bits % BUCKETS];
}

static struct lru *lru_of(struct store *s, const struct entry *e)
{
    return e->record.kind == RECORD_CHUNK ? &s->chunks : &s->visuals;
}

static void lru_push(struct lru *lru, struct entry *e)
{
    e->older = lru->newest;
    e->newer = NULL;
    *(lru->newest ? &lru->newest->newer : &lru->oldest) = e;
    lru->newest = e;
    lru->bytes += e->record.bytes;
}

static void lru_remove(struct lru *lru, struct entry *e)
{
    *(e->older ? &e->older->newer : &lru->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &lru->newest) = e->older;
    lru->bytes -= e->record.bytes;
}

static struct entry *ram_find(struct store *s, struct key key)
{
    struct entry *e = *bucket_of(s, &key);
    while (e && !key_equal(e->record.key, key))
        e = e->next;
    return e;
}

/* The record of this key, pinned. */
static struct entry *ram_get(struct store *s, struct key key)
{
    struct entry *e = ram_find(s, key);
    if (e && e->pins++ == 0) lru_remove(lru_of(s, e), e);
    return e;
}

/* Takes the least useful unpinned record out. Chunks go first: they are larger, and made from
 * visuals. But images that nobody asks about again must not take all room from the chunks of those
 * that are asked about: from half of the budget on, visuals make room for each other. */
static struct entry *ram_pop(struct store *s)
{
    struct entry *e = s->visuals.bytes > s->ram_cap / 2 ? s->visuals.oldest : s->chunks.oldest;
    struct entry **link;
    if (!e) e = s->visuals.oldest;
    if (!e) return NULL;
    lru_remove(lru_of(s, e), e);
    for (link = bucket_of(s, &e->record.key); *link != e; link = &(*link)->next) {
    }
    *link = e->next;
    s->stats.ram_records--;
    s->stats.ram_bytes -= e->record.bytes;
    return e;
}

/* Keeps the budget. The dead are freed outside of the lock. */
static struct entry *ram_evict(struct store *s)
{
    struct entry *dead = NULL, *e;
    while (s->stats.ram_bytes > s->ram_cap && (e = ram_pop(s)) != NULL) {
        e->next = dead;
        dead = e;
        s->stats.evicted_ram++;
    }
    return dead;
}

/* Puts a new record in, pinned, or finds the equal one that was there first. */
static struct entry *ram_adopt(struct store *s, struct entry *e, struct entry **dead)
{
    struct entry *first = ram_get(s, e->record.key), **bucket = bucket_of(s, &e->record.key);
    if (first) {
        *dead = e;
        return first;
    }
    e->pins = 1;
    e->next = *bucket;
    *bucket = e;
    s->stats.ram_records++;
    s->stats.ram_bytes += e->record.bytes;
    *dead = ram_evict(s);
    return e;
}

/* The store. */

static void store_free(void *store)
{
    struct store *s = store;
    struct entry *e;
    while ((e = ram_pop(s)) != NULL)
        entry_free(e);
    assert(s->stats.ram_records == 0); /* else one is pinned */
    (void)pthread_mutex_destroy(&s->lock);
    heap_free(s);
}

/* Also for the writer, to which the record was pinned. */
static void unpin(void *store, const struct record *record)
{
    struct store *s = store;
    struct entry *e = (struct entry *)(uintptr_t)record, *dead = NULL;
    (void)pthread_mutex_lock(&s->lock);
    assert(e->pins > 0);
    if (--e->pins == 0) {
        lru_push(lru_of(s, e), e);
        dead = ram_evict(s);
    }
    (void)pthread_mutex_unlock(&s->lock);
    entries_free(dead);
}

/* The directory and the thread behind it. */
static vlqa_status open_disk(struct env *env, const struct store_options *options, struct store *s)
{
    struct store_writer_options wo = {.dir = &s->dir,
                                      .quota = options->disk_bytes,
                                      .most_bytes = options->ram_bytes,
                                      .patience_ms = options->patience_ms,
                                      .owner = s,
                                      .release = unpin,
                                      .orphaned = store_free};
    vlqa_status status = store_dir_open(env, options->dir, &s->dir);
    if (wo.patience_ms <= 0) wo.patience_ms = PATIENCE_MS;
    if (status == VLQA_OK) return store_writer_create(env, &wo, &s->writer);
    if (status != VLQA_EIO) return status;
    _Static_assert(sizeof s->stats.disk_problem == sizeof env->message, "it holds any message");
    memcpy(s->stats.disk_problem, env->message, sizeof s->stats.disk_problem);
    env_log(env, VLQA_LOG_WARN, "records are kept in memory only: %s", env->message);
    env->message[0] = 0;
    return VLQA_OK;
}

vlqa_status store_open(struct env *env, const struct store_options *options, struct store **out)
{
    struct store *s = heap_alloc_zero(sizeof *s);
    vlqa_status status = VLQA_OK;
    *out = NULL;
    if (!s) return env_no_memory(env, "store", sizeof *s);
    s->ram_cap = options->ram_bytes;
    s->process = getpid();
    if (options->dir) status = open_disk(env, options, s);
    if (status == VLQA_OK && pthread_mutex_init(&s->lock, NULL) != 0)
        status = env_no_memory(env, "mutex", sizeof s->lock);
    if (status != VLQA_OK) {
        if (s->writer) (void)store_writer_close(env, s->writer);
        heap_free(s);
        return status;
    }
    *out = s;
    return VLQA_OK;
}

void store_close(struct env *env, struct store *s)
{
    if (!s || s->process != getpid()) return;
    if (!s->writer || store_writer_close(env, s->writer)) store_free(s);
}

const struct record *store_get(struct store *s, struct key key, const struct record_shape *shape,
                               enum store_where *where)
{
    enum store_file_state state = STORE_FILE_NONE;
    enum store_where from = STORE_RAM;
    struct entry *e, *dead = NULL;
    int touch = 0;
    (void)pthread_mutex_lock(&s->lock);
    e = ram_get(s, key);
    if (e) {
        double now = env_ms();
        touch = s->writer && now - e->touched_ms >= TOUCH_MS;
        if (touch) e->touched_ms = now;
        s->stats.hits_ram++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!e) { /* reading takes its time: without the lock */
        e = s->writer ? entry_load(&s->dir, key, shape, &state) : NULL;
        touch = e != NULL;
        from = e ? STORE_DISK : STORE_MISS;
        if (state == STORE_FILE_DAMAGED) (void)store_dir_remove(&s->dir, key);
        (void)pthread_mutex_lock(&s->lock);
        if (e) e = ram_adopt(s, e, &dead);
        s->stats.hits_disk += e != NULL;
        s->stats.misses += e == NULL;
        s->stats.rejected += state == STORE_FILE_DAMAGED;
        (void)pthread_mutex_unlock(&s->lock);
        entries_free(dead);
    }
    if (touch) store_dir_touch(&s->dir, key);
    if (where) *where = from;
    return e ? &e->record : NULL;
}

enum store_where store_find(struct store *s, struct key key)
{
    char path[PATH_MAX];
    int in_ram;
    (void)pthread_mutex_lock(&s->lock);
    in_ram = ram_find(s, key) != NULL;
    (void)pthread_mutex_unlock(&s->lock);
    if (in_ram) return STORE_RAM;
    if (!s->writer) return STORE_MISS;
    store_dir_path(&s->dir, key, path);
    return access(path, R_OK) == 0 ? STORE_DISK : STORE_MISS;
}

vlqa_status store_new(struct env *env, struct store *s, struct key key,
                      const struct record_shape *shape, struct record **out)
{
    size_t payload = 0, bytes;
    struct entry *e;
    uint8_t *data;
    (void)s;
    assert(shape->n_mats > 0 && shape->n_mats <= RECORD_MAX_MATS && shape->rows > 0);
    for (int i = 0; i < shape->n_mats; i++)
        if (!record_step(&payload, shape->rows, shape->cols[i], shape->dtype, &bytes))
            return env_no_memory(env, "record", SIZE_MAX);
    e = entry_create(shape->n_mats, payload);
    if (!e) return env_no_memory(env, "record", payload);
    data = entry_payload(e, payload);
    e->record.key = key;
    e->record.kind = shape->kind;
    e->record.rows = shape->rows;
    e->record.grid = shape->grid;
    for (size_t i = 0, at = 0; i < (size_t)shape->n_mats; i++) {
        size_t begin = at;
        (void)record_step(&at, shape->rows, shape->cols[i], shape->dtype, &bytes);
        e->record.mat[i] = host_mat_of(data + begin, shape->dtype, shape->rows, shape->cols[i]);
        memset(data + begin + bytes, 0, at - begin - bytes); /* goes to disk, too */
    }
    *out = &e->record;
    return VLQA_OK;
}

void store_drop(struct store *s, struct record *record)
{
    (void)s;
    entries_free((struct entry *)record);
}

const struct record *store_put(struct env *env, struct store *s, struct record *record)
{
    struct entry *e = (struct entry *)record, *kept, *dead;
    (void)pthread_mutex_lock(&s->lock);
    kept = ram_adopt(s, e, &dead);
    if (kept == e && s->writer) {
        e->write.record = &e->record;
        e->pins += store_writer_add(s->writer, &e->write);
    }
    (void)pthread_mutex_unlock(&s->lock);
    entries_free(dead);
    if (s->writer) store_writer_tell(env, s->writer);
    return &kept->record;
}

void store_unpin(struct store *s, const struct record *record)
{
    unpin(s, record);
}

void store_settle(struct env *env, struct store *s)
{
    if (!s->writer) return;
    store_writer_settle(s->writer);
    store_writer_tell(env, s->writer);
}

vlqa_status store_flush(struct env *env, struct store *s)
{
    return s->writer ? store_writer_flush(env, s->writer) : VLQA_OK;
}

void store_stats(struct store *s, struct vlqa_cache_stats *out)
{
    struct store_dir_list list = {0};
    struct store_writer_stats writer = {0};
    struct env quiet = {0};
    if (s->writer) store_writer_stats(s->writer, &writer);
    if (s->writer && store_dir_list(&quiet, &s->dir, 0, &list) != VLQA_OK) list.n = 0;
    (void)pthread_mutex_lock(&s->lock);
    *out = s->stats;
    (void)pthread_mutex_unlock(&s->lock);
    out->disk_records = list.n;
    out->disk_bytes = list.bytes;
    out->evicted_disk = writer.evicted;
    out->write_failures = writer.failures;
    out->unwritten = writer.waiting;
    heap_free(list.file);
}

/* A directory without a store. */

static void see_record(struct store_item *item, const struct store_file *file,
                       const struct record *header, int verify)
{
    item->kind = header->kind;
    item->rows = header->rows;
    item->grid = header->grid;
    if (!key_equal(header->key, item->key))
        item->problem = "has the name of another record";
    else if (verify && store_file_verify(file, header) != STORE_FILE_GOOD)
        item->problem = "has bytes that are not as they were written";
}

static int scan_file(const struct store_dir *dir, const struct store_dir_file *found, int verify,
                     store_item_fn fn, void *user)
{
    static const char *const problem[] = {[STORE_FILE_DAMAGED] = "has a header that is damaged",
                                          [STORE_FILE_FOREIGN] =
                                              "is of another version of this program",
                                          [STORE_FILE_FAILED] = "cannot be read"};
    char path[PATH_MAX], name[STORE_DIR_NAME];
    struct store_item item = {.key = found->key, .bytes = found->bytes, .file = name};
    enum store_file_state state = STORE_FILE_NONE;
    struct store_file file;
    struct record header;
    store_dir_name(found->key, name);
    store_dir_path(dir, found->key, path);
    item.mtime = (int64_t)found->used.tv_sec;
    if (found->is_file) state = store_file_open(path, &file, &header);
    if (state == STORE_FILE_NONE && !found->stray) return 0; /* gone meanwhile */
    item.problem = state == STORE_FILE_NONE ? found->stray : problem[state];
    if (state == STORE_FILE_GOOD) {
        see_record(&item, &file, &header, verify);
        store_file_close(&file);
    }
    return fn(user, &item);
}

vlqa_status store_scan(struct env *env, const char *path, int verify, store_item_fn fn, void *user)
{
    struct store_dir dir;
    struct store_dir_list list;
    TRY(store_dir_find(env, path, &dir));
    TRY(store_dir_list(env, &dir, 1, &list));
    for (size_t i = 0; i < list.n; i++)
        if (scan_file(&dir, &list.file[i], verify, fn, user)) break;
    heap_free(list.file);
    return VLQA_OK;
}

vlqa_status store_remove(struct env *env, const char *path, const struct key *key, int *removed)
{
    struct store_dir dir;
    *removed = 0;
    TRY(store_dir_find(env, path, &dir));
    if (!key) return store_dir_clear(env, &dir, removed);
    return store_dir_drop(env, &dir, *key, removed);
}
