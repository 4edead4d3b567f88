/* store_gpu.c - one block of device memory, filled first fit; entries in the order of their place.
 */
#include "fusion/store/store_gpu.h"

#include "base/heap.h"

#include <pthread.h>

#define MOST 4096 /* records: they are large */

struct entry {
    struct key key;
    size_t begin, bytes;         /* in the block */
    const struct queue *filling; /* until it is known that all of it is there; NULL then */
    int pins;
    int is_void; /* its upload failed: it goes with the last pin */
    uint64_t used;
};

struct store_gpu {
    /* constant after open */
    struct device *device;
    char *block;
    size_t cap;
    /* under the lock */
    pthread_mutex_t lock;
    struct store_gpu_stats stats;
    uint64_t clock;
    int n;
    struct entry entry[MOST];
};

static size_t aligned(size_t bytes)
{
    return (bytes + 255) & ~(size_t)255;
}

struct store_gpu *store_gpu_open(struct env *env, struct device *device, size_t bytes)
{
    struct store_gpu *g;
    if (!bytes || device_shares_host(device)) return NULL;
    g = heap_alloc_zero(sizeof *g);
    if (g) g->block = device_alloc(device, bytes);
    if (g && g->block && pthread_mutex_init(&g->lock, NULL) == 0) {
        g->device = device;
        g->cap = bytes;
        return g;
    }
    env_log(env, VLQA_LOG_WARN,
            "records are kept in RAM and not on the GPU: there are no %zu bytes for them", bytes);
    if (g) device_release(device, g->block);
    heap_free(g);
    return NULL;
}

void store_gpu_close(struct store_gpu *g)
{
    if (!g) return;
    for (int i = 0; i < g->n; i++)
        assert(g->entry[i].pins == 0);
    device_release(g->device, g->block);
    (void)pthread_mutex_destroy(&g->lock);
    heap_free(g);
}

size_t store_gpu_bytes(const struct record *r)
{
    struct host_mat last = r->mat[r->n_mats - 1];
    size_t begin = (size_t)((const char *)last.data - (const char *)r->mat[0].data);
    return begin + mat_bytes(last.dtype, last.rows, last.cols);
}

/* ---- under the lock ---- */

static void remove_at(struct store_gpu *g, int i)
{
    g->stats.records--;
    g->stats.bytes -= g->entry[i].bytes;
    memmove(&g->entry[i], &g->entry[i + 1], (size_t)(--g->n - i) * sizeof g->entry[i]);
}

/* Where so many bytes fit: in front of which entry, or -1. */
static int find_gap(const struct store_gpu *g, size_t bytes, size_t *begin)
{
    *begin = 0;
    for (int i = 0; i <= g->n; i++) {
        size_t end = i < g->n ? g->entry[i].begin : g->cap;
        if (end >= *begin && end - *begin >= bytes) return i;
        if (i < g->n) *begin = aligned(end + g->entry[i].bytes);
    }
    return -1;
}

/* Takes out the one that was used longest ago, unless all are in use. */
static int evict(struct store_gpu *g)
{
    int oldest = -1;
    for (int i = 0; i < g->n; i++)
        if (!g->entry[i].pins && (oldest < 0 || g->entry[i].used < g->entry[oldest].used))
            oldest = i;
    if (oldest < 0) return 0;
    remove_at(g, oldest);
    g->stats.evicted++;
    return 1;
}

static struct entry *insert(struct store_gpu *g, const struct record *r, const struct queue *q)
{
    size_t bytes = store_gpu_bytes(r), begin;
    int i;
    if (bytes > g->cap) return NULL;
    while ((i = g->n < MOST ? find_gap(g, bytes, &begin) : -1) < 0)
        if (!evict(g)) return NULL;
    memmove(&g->entry[i + 1], &g->entry[i], (size_t)(g->n++ - i) * sizeof g->entry[i]);
    g->entry[i] = (struct entry){.key = r->key, .begin = begin, .bytes = bytes, .filling = q};
    g->stats.records++;
    g->stats.bytes += bytes;
    g->stats.loads++;
    return &g->entry[i];
}

static struct entry *find(struct store_gpu *g, const struct key *key)
{
    for (int i = 0; i < g->n; i++)
        if (key_equal(g->entry[i].key, *key)) return &g->entry[i];
    return NULL;
}

/* ---- */

struct store_gpu_copy store_gpu_get(struct store_gpu *g, const struct record *r,
                                    const struct queue *q)
{
    struct store_gpu_copy copy = {NULL, 0};
    struct entry *e;
    if (!g) return copy;
    (void)pthread_mutex_lock(&g->lock);
    e = find(g, &r->key);
    copy.is_new = !e;
    if (!e)
        e = insert(g, r, q);
    else if (e->is_void || (e->filling && e->filling != q) || e->bytes != store_gpu_bytes(r))
        e = NULL;
    else
        g->stats.hits++;
    if (e) {
        e->pins++;
        e->used = ++g->clock;
        copy.at = g->block + e->begin;
    }
    (void)pthread_mutex_unlock(&g->lock);
    return copy;
}

int store_gpu_has(struct store_gpu *g, const struct key *key)
{
    int has;
    if (!g) return 0;
    (void)pthread_mutex_lock(&g->lock);
    has = find(g, key) != NULL;
    (void)pthread_mutex_unlock(&g->lock);
    return has;
}

void store_gpu_unpin(struct store_gpu *g, const void *at, int succeeded)
{
    size_t begin = (size_t)((const char *)at - g->block);
    int i = 0;
    (void)pthread_mutex_lock(&g->lock);
    while (i < g->n && g->entry[i].begin != begin)
        i++;
    assert(i < g->n && g->entry[i].pins > 0);
    if (g->entry[i].filling && !succeeded) g->entry[i].is_void = 1;
    g->entry[i].filling = NULL;
    if (--g->entry[i].pins == 0 && g->entry[i].is_void) remove_at(g, i);
    (void)pthread_mutex_unlock(&g->lock);
}

void store_gpu_stats(struct store_gpu *g, struct store_gpu_stats *out)
{
    *out = (struct store_gpu_stats){0};
    if (!g) return;
    (void)pthread_mutex_lock(&g->lock);
    *out = g->stats;
    (void)pthread_mutex_unlock(&g->lock);
}
