/* guard_device.c - the CPU behind memory that the host cannot touch and queues that run late. */
#include "tests/guard/guard_device.h"

#include "base/heap.h"
#include "kernels/backend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

vlqa_status __real_device_open(struct env *env, enum vlqa_cpu cpu, struct device **out);
vlqa_status __wrap_device_open(struct env *env, enum vlqa_cpu cpu, struct device **out);

struct block { /* of device memory, between two pages that nobody may touch */
    struct block *next;
    uint8_t *pages;
    size_t bytes; /* whole pages */
};

struct guard {
    struct device device; /* first: what is handed out */
    struct backend_ops op;
    struct device *real;
    pthread_mutex_t lock; /* held while memory is open: the queues of a device take turns */
    struct block *block;
};

enum kind {
    CALL_UPLOAD,
    CALL_DOWNLOAD,
    CALL_CLEAR,
    CALL_GATHER,
    CALL_SCATTER,
    CALL_EMBED,
    CALL_ADD,
    CALL_MATMUL,
    CALL_RMSNORM,
    CALL_LAYERNORM,
    CALL_ANGLES,
    CALL_ROPE,
    CALL_HEADS,
    CALL_BLEND,
    CALL_SWIGLU,
    CALL_ATTENTION,
    CALL_SCORE,
    CALL_ENTROPY,
    CALL_COSINE_DISTANCE,
    CALL_QUANTIZE,
    CALL_DEQUANTIZE,
    CALL_PLACE
};

struct call { /* one that is enqueued; the fields that its kind has */
    enum kind kind;
    void *dst, *src; /* an upload's src is a copy of its own */
    size_t bytes;
    struct mat y, x, a, b;
    struct weight w;
    struct ints index;
    int heads, top;
    float eps;
    struct products products;
    struct attn attn;
    struct score score;
    struct place place;
    struct heads of_heads;
};

struct waiting { /* impl of a queue */
    struct queue real;
    struct call *call;
    size_t n, room;
    int failed; /* for good */
};

static struct {
    atomic_int fault, countdown;
} planted;

void guard_plant(enum guard_fault fault, int countdown)
{
    atomic_store(&planted.fault, (int)fault);
    atomic_store(&planted.countdown, countdown);
}

int guard_planted(void)
{
    return atomic_load(&planted.countdown) > 0;
}

static int is_planted(enum guard_fault fault)
{
    if (atomic_load(&planted.fault) != (int)fault || !guard_planted()) return 0;
    return atomic_fetch_sub(&planted.countdown, 1) == 1;
}

static struct guard *guard_of(const struct device *d)
{
    return (struct guard *)(uintptr_t)d;
}

/* ---- memory ---- */

static void protect(struct guard *g, int how)
{
    for (struct block *b = g->block; b; b = b->next)
        if (mprotect(b->pages, b->bytes, how) != 0) {
            perror("guard: mprotect");
            abort();
        }
}

static void *guard_alloc(struct device *d, size_t bytes)
{
    struct guard *g = guard_of(d);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page + page;
    void *may_fail = heap_alloc(1); /* where a test lets allocations fail */
    struct block *b = malloc(sizeof *b);
    uint8_t *pages = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!may_fail || !b || pages == MAP_FAILED) {
        heap_free(may_fail);
        free(b);
        if (pages != MAP_FAILED) munmap(pages, whole + 2 * page);
        return NULL;
    }
    heap_free(may_fail);
    pthread_mutex_lock(&g->lock);
    *b = (struct block){g->block, pages + page, whole};
    g->block = b;
    pthread_mutex_unlock(&g->lock);
    return b->pages;
}

static void guard_release(struct device *d, void *memory)
{
    struct guard *g = guard_of(d);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    pthread_mutex_lock(&g->lock);
    for (struct block **at = &g->block; *at; at = &(*at)->next)
        if ((*at)->pages == memory) {
            struct block *b = *at;
            *at = b->next;
            munmap(b->pages - page, b->bytes + 2 * page);
            free(b);
            break;
        }
    pthread_mutex_unlock(&g->lock);
}

static void *guard_alloc_host(struct device *d, size_t bytes)
{
    (void)d;
    return heap_alloc_zero(bytes);
}

static void guard_release_host(struct device *d, void *memory)
{
    (void)d;
    heap_free(memory);
}

static void guard_close(struct device *d)
{
    struct guard *g = guard_of(d);
    while (g->block)
        guard_release(d, g->block->pages);
    g->real->op->close(g->real);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static size_t guard_weight_block(const struct device *d, enum weight_format format, int cols)
{
    const struct device *real = guard_of(d)->real;
    return real->op->weight_block(real, format, cols);
}

static void guard_weight_pack(const struct device *d, void *block, const struct weight_rows *rows)
{
    const struct device *real = guard_of(d)->real;
    real->op->weight_pack(real, block, rows);
}

static size_t guard_attention_work(const struct device *d, int n, int heads, int kv_heads, int dim,
                                   int slots)
{
    const struct device *real = guard_of(d)->real;
    return real->op->attention_work(real, n, heads, kv_heads, dim, slots);
}

static size_t guard_score_work(const struct device *d, int n, int heads, int slots)
{
    const struct device *real = guard_of(d)->real;
    return real->op->score_work(real, n, heads, slots);
}

static size_t guard_place_work(const struct device *d, int n, int cols)
{
    const struct device *real = guard_of(d)->real;
    return real->op->place_work(real, n, cols);
}

/* ---- queues ---- */

static vlqa_status guard_queue_open(struct queue *q)
{
    struct guard *g = guard_of(q->device);
    struct waiting *w = calloc(1, sizeof *w);
    vlqa_status status;
    if (!w) return env_no_memory(q->env, "guard", sizeof *w);
    w->real = (struct queue){.op = g->real->op, .device = g->real, .env = q->env};
    status = w->real.op->queue_open(&w->real);
    if (status == VLQA_OK)
        q->impl = w;
    else
        free(w);
    return status;
}

size_t guard_waiting(const struct queue *q)
{
    return ((const struct waiting *)q->impl)->n;
}

static void forget(struct waiting *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->call[i].kind == CALL_UPLOAD) free(w->call[i].src);
    w->n = 0;
}

static void guard_queue_close(struct queue *q)
{
    struct waiting *w = q->impl;
    forget(w);
    w->real.op->queue_close(&w->real);
    free(w->call);
    free(w);
}

static void *must(void *memory)
{
    if (!memory) abort();
    return memory;
}

static struct call *enqueue(struct queue *q, enum kind kind)
{
    struct waiting *w = q->impl;
    if (w->n == w->room) {
        w->room = w->room ? 2 * w->room : 256;
        w->call = must(realloc(w->call, w->room * sizeof *w->call));
    }
    w->call[w->n] = (struct call){.kind = kind};
    return &w->call[w->n++];
}

static void run(struct queue *q, const struct call *c)
{
    const struct backend_ops *op = q->op;
    switch (c->kind) {
    case CALL_UPLOAD:
        op->upload(q, c->dst, c->src, c->bytes);
        break;
    case CALL_DOWNLOAD:
        op->download(q, c->dst, c->src, c->bytes);
        break;
    case CALL_CLEAR:
        op->clear(q, c->dst, c->bytes);
        break;
    case CALL_GATHER:
        op->gather(q, c->y, c->x, c->index);
        break;
    case CALL_SCATTER:
        op->scatter(q, c->y, c->index, c->x);
        break;
    case CALL_EMBED:
        op->embed(q, c->y, c->w, c->index);
        break;
    case CALL_ADD:
        op->add(q, c->y, c->x, c->index);
        break;
    case CALL_MATMUL:
        op->matmul(q, &c->products);
        break;
    case CALL_RMSNORM:
        op->rmsnorm(q, c->y, c->x, c->a, c->eps);
        break;
    case CALL_LAYERNORM:
        op->layernorm(q, c->y, c->x, c->a, c->b, c->eps);
        break;
    case CALL_ANGLES:
        op->angles(q, c->y, c->index, c->a);
        break;
    case CALL_ROPE:
        op->rope(q, c->y, c->x, c->heads, c->a);
        break;
    case CALL_HEADS:
        op->heads(q, &c->of_heads);
        break;
    case CALL_BLEND:
        op->blend(q, c->y, c->x, c->index, c->a);
        break;
    case CALL_SWIGLU:
        op->swiglu(q, c->y, c->x);
        break;
    case CALL_ATTENTION:
        op->attention(q, &c->attn);
        break;
    case CALL_SCORE:
        op->score(q, &c->score);
        break;
    case CALL_ENTROPY:
        op->entropy(q, c->y, c->x, c->top);
        break;
    case CALL_COSINE_DISTANCE:
        op->cosine_distance(q, c->y, c->a, c->b);
        break;
    case CALL_QUANTIZE:
        op->quantize(q, c->y, c->x, c->heads);
        break;
    case CALL_DEQUANTIZE:
        op->dequantize(q, c->y, c->x, c->heads);
        break;
    case CALL_PLACE:
        op->place(q, &c->place);
        break;
    }
}

static vlqa_status guard_sync(struct queue *q)
{
    struct guard *g = guard_of(q->device);
    struct waiting *w = q->impl;
    vlqa_status status;
    if (is_planted(GUARD_NO_SYNC)) return VLQA_OK;
    pthread_mutex_lock(&g->lock);
    if (w->n) protect(g, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < w->n; i++)
        run(&w->real, &w->call[i]);
    status = w->real.op->sync(&w->real);
    if (w->n) protect(g, PROT_NONE);
    pthread_mutex_unlock(&g->lock);
    forget(w);
    w->failed |= is_planted(GUARD_SYNC_FAILS);
    return w->failed ? env_fail(q->env, VLQA_EDEVICE, "the device failed") : status;
}

/* ---- what is enqueued ---- */

static void guard_upload(struct queue *q, void *dst, const void *src, size_t bytes)
{
    struct call *c;
    if (is_planted(GUARD_NO_UPLOAD)) return;
    c = enqueue(q, CALL_UPLOAD);
    c->dst = dst;
    c->src = memcpy(must(malloc(bytes)), src, bytes);
    c->bytes = bytes;
}

static void guard_download(struct queue *q, void *dst, const void *src, size_t bytes)
{
    struct call *c;
    memset(dst, GUARD_POISON, bytes);
    if (is_planted(GUARD_NO_DOWNLOAD)) return;
    c = enqueue(q, CALL_DOWNLOAD);
    c->dst = dst;
    c->src = (void *)(uintptr_t)src;
    c->bytes = bytes;
}

static void guard_clear(struct queue *q, void *dst, size_t bytes)
{
    struct call *c = enqueue(q, CALL_CLEAR);
    c->dst = dst;
    c->bytes = bytes;
}

static void guard_gather(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct call *c = enqueue(q, CALL_GATHER);
    c->y = dst, c->x = src, c->index = index;
}

static void guard_scatter(struct queue *q, struct mat dst, struct ints index, struct mat src)
{
    struct call *c = enqueue(q, CALL_SCATTER);
    c->y = dst, c->x = src, c->index = index;
}

static void guard_embed(struct queue *q, struct mat dst, struct weight src, struct ints index)
{
    struct call *c = enqueue(q, CALL_EMBED);
    c->y = dst, c->w = src, c->index = index;
}

static void guard_add(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct call *c = enqueue(q, CALL_ADD);
    c->y = dst, c->x = src, c->index = index;
}

static void guard_matmul(struct queue *q, const struct products *p)
{
    enqueue(q, CALL_MATMUL)->products = *p;
}

static void guard_rmsnorm(struct queue *q, struct mat y, struct mat x, struct mat w, float eps)
{
    struct call *c = enqueue(q, CALL_RMSNORM);
    c->y = y, c->x = x, c->a = w, c->eps = eps;
}

static void guard_layernorm(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                            float eps)
{
    struct call *c = enqueue(q, CALL_LAYERNORM);
    c->y = y, c->x = x, c->a = w, c->b = b, c->eps = eps;
}

static void guard_angles(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse)
{
    struct call *c = enqueue(q, CALL_ANGLES);
    c->y = cos_sin, c->index = at, c->a = inverse;
}

static void guard_rope(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin)
{
    struct call *c = enqueue(q, CALL_ROPE);
    c->y = y, c->x = x, c->heads = heads, c->a = cos_sin;
}

static void guard_heads(struct queue *q, const struct heads *h)
{
    enqueue(q, CALL_HEADS)->of_heads = *h;
}

static void guard_blend(struct queue *q, struct mat dst, struct mat src, struct ints index,
                        struct mat part)
{
    struct call *c = enqueue(q, CALL_BLEND);
    c->y = dst, c->x = src, c->index = index, c->a = part;
}

static void guard_swiglu(struct queue *q, struct mat y, struct mat gate_up)
{
    struct call *c = enqueue(q, CALL_SWIGLU);
    c->y = y, c->x = gate_up;
}

static void guard_attention(struct queue *q, const struct attn *a)
{
    enqueue(q, CALL_ATTENTION)->attn = *a;
}

static void guard_score(struct queue *q, const struct score *s)
{
    enqueue(q, CALL_SCORE)->score = *s;
}

static void guard_entropy(struct queue *q, struct mat out, struct mat logits, int top)
{
    struct call *c = enqueue(q, CALL_ENTROPY);
    c->y = out, c->x = logits, c->top = top;
}

static void guard_cosine_distance(struct queue *q, struct mat out, struct mat a, struct mat b)
{
    struct call *c = enqueue(q, CALL_COSINE_DISTANCE);
    c->y = out, c->a = a, c->b = b;
}

static void guard_quantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    struct call *c = enqueue(q, CALL_QUANTIZE);
    c->y = dst, c->x = src, c->heads = heads;
}

static void guard_dequantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    struct call *c = enqueue(q, CALL_DEQUANTIZE);
    c->y = dst, c->x = src, c->heads = heads;
}

static void guard_place(struct queue *q, const struct place *p)
{
    enqueue(q, CALL_PLACE)->place = *p;
}

static const struct backend_ops guard_ops = {
    .close = guard_close,
    .alloc = guard_alloc,
    .alloc_host = guard_alloc_host,
    .release = guard_release,
    .release_host = guard_release_host,
    .weight_block = guard_weight_block,
    .weight_pack = guard_weight_pack,
    .attention_work = guard_attention_work,
    .score_work = guard_score_work,
    .place_work = guard_place_work,
    .queue_open = guard_queue_open,
    .queue_close = guard_queue_close,
    .upload = guard_upload,
    .download = guard_download,
    .clear = guard_clear,
    .sync = guard_sync,
    .gather = guard_gather,
    .scatter = guard_scatter,
    .embed = guard_embed,
    .add = guard_add,
    .matmul = guard_matmul,
    .rmsnorm = guard_rmsnorm,
    .layernorm = guard_layernorm,
    .angles = guard_angles,
    .rope = guard_rope,
    .heads = guard_heads,
    .blend = guard_blend,
    .swiglu = guard_swiglu,
    .attention = guard_attention,
    .score = guard_score,
    .entropy = guard_entropy,
    .cosine_distance = guard_cosine_distance,
    .quantize = guard_quantize,
    .dequantize = guard_dequantize,
    .place = guard_place,
};

/* The name stays that of the CPU: records and answers are the same. */
vlqa_status __wrap_device_open(struct env *env, enum vlqa_cpu cpu, struct device **out)
{
    struct device *real;
    struct guard *g;
    vlqa_status status = __real_device_open(env, cpu, &real);
    *out = NULL;
    if (status != VLQA_OK) return status;
    g = calloc(1, sizeof *g);
    if (!g) {
        real->op->close(real);
        return env_no_memory(env, "guard", sizeof *g);
    }
    g->op = guard_ops;
    g->op.name = real->op->name;
    g->device = (struct device){.op = &g->op, .env = env};
    g->real = real;
    pthread_mutex_init(&g->lock, NULL);
    *out = &g->device;
    return VLQA_OK;
}
