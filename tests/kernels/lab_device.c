/* lab_device.c - operands in host memory for a device that cannot read it: there and back. */
#include "tests/kernels/lab_device.h"

#include "base/heap.h"
#include "kernels/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 13    /* operands of an operation */
#define ALIGN 256  /* where an operand begins within so many bytes is kept */
#define GUARD 1024 /* bytes behind the work */

struct over { /* impl of the device */
    struct device *inner;
};

struct range { /* of host memory, and where it is on the device */
    uint8_t *host;
    size_t bytes;
    uint8_t *block, *at;
    int is_written;
};

struct call { /* one operation */
    struct queue *inner;
    struct range range[MOST];
    int n;
    uint8_t *work;
    size_t work_bytes;
};

enum { READ, WRITTEN };

static void stop(const char *what, const char *message)
{
    fprintf(stderr, "%s: %s\n", what, message);
    exit(1);
}

static int overlap(const struct range *a, const struct range *b)
{
    return a->host < b->host + b->bytes && b->host < a->host + a->bytes;
}

static struct range join(struct range a, struct range b)
{
    uint8_t *end_a = a.host + a.bytes, *end_b = b.host + b.bytes;
    uint8_t *begin = a.host < b.host ? a.host : b.host, *end = end_a > end_b ? end_a : end_b;
    return (struct range){begin, (size_t)(end - begin), NULL, NULL, a.is_written || b.is_written};
}

/* Ranges that overlap are one: an output in place is its input on the device, too. */
static void add(struct call *c, const void *host, size_t bytes, int is_written)
{
    struct range r = {(uint8_t *)(uintptr_t)host, bytes, NULL, NULL, is_written};
    if (!host || !bytes) return;
    for (int i = 0; i < c->n; i++)
        if (overlap(&c->range[i], &r)) {
            r = join(c->range[i], r);
            c->range[i] = c->range[--c->n];
            i = -1; /* it may reach others now */
        }
    assert(c->n < MOST);
    c->range[c->n++] = r;
}

static void add_mat(struct call *c, struct mat m, int is_written)
{
    size_t size = dtype_size(m.dtype);
    if (m.rows > 0)
        add(c, m.data, ((size_t)(m.rows - 1) * (size_t)m.stride + (size_t)m.cols) * size,
            is_written);
}

static void add_ints(struct call *c, struct ints v)
{
    add(c, v.host, (size_t)v.n * sizeof *v.host, READ);
}

static void add_spans(struct call *c, struct spans v)
{
    add(c, v.host, (size_t)v.n * sizeof *v.host, READ);
}

static void *on_device(const struct call *c, const void *host)
{
    const uint8_t *p = host;
    for (int i = 0; i < c->n; i++) {
        const struct range *r = &c->range[i];
        if (p >= r->host && p < r->host + r->bytes) return r->at + (p - r->host);
    }
    return NULL; /* of a matrix without rows */
}

static struct mat mat_there(const struct call *c, struct mat m)
{
    m.data = on_device(c, m.data);
    return m;
}

static struct ints ints_there(const struct call *c, struct ints v)
{
    v.at = on_device(c, v.host);
    return v;
}

static struct spans spans_there(const struct call *c, struct spans v)
{
    v.at = on_device(c, v.host);
    return v;
}

/* ---- a call ---- */

static uint8_t *take(struct call *c, size_t bytes)
{
    struct queue *q = c->inner;
    uint8_t *block = device_alloc(q->device, bytes);
    if (block) return block;
    (void)device_no_memory(q->env, q->device, "an operand", bytes);
    stop("no room for an operation", q->env->message);
    return NULL;
}

static struct call call_of(struct queue *q)
{
    return (struct call){.inner = q->impl};
}

/* Everything was added. */
static void begin(struct call *c)
{
    for (int i = 0; i < c->n; i++) {
        struct range *r = &c->range[i];
        size_t past = (uintptr_t)r->host % ALIGN;
        r->block = take(c, past + r->bytes);
        r->at = r->block + past;
        queue_upload(c->inner, r->at, r->host, r->bytes);
    }
}

static void fill(struct call *c, uint8_t *at, size_t bytes, int byte)
{
    uint8_t piece[GUARD];
    memset(piece, byte, sizeof piece);
    for (size_t done = 0; done < bytes; done += sizeof piece)
        queue_upload(c->inner, at + done, piece,
                     bytes - done < sizeof piece ? bytes - done : sizeof piece);
}

static void *begin_work(struct call *c, size_t bytes)
{
    c->work_bytes = bytes;
    c->work = take(c, bytes + GUARD);
    fill(c, c->work, bytes, 0xff);
    fill(c, c->work + bytes, GUARD, 0x5a);
    return c->work;
}

static void check_guard(struct call *c)
{
    uint8_t guard[GUARD];
    if (!c->work) return;
    queue_download(c->inner, guard, c->work + c->work_bytes, sizeof guard);
    if (queue_sync(c->inner) != VLQA_OK) stop("an operation failed", c->inner->env->message);
    for (int i = 0; i < GUARD; i++)
        if (guard[i] != 0x5a) stop("an operation failed", "it wrote behind its work");
    device_release(c->inner->device, c->work);
}

static void end(struct call *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->range[i].is_written)
            queue_download(c->inner, c->range[i].host, c->range[i].at, c->range[i].bytes);
    if (queue_sync(c->inner) != VLQA_OK) stop("an operation failed", c->inner->env->message);
    check_guard(c);
    for (int i = 0; i < c->n; i++)
        device_release(c->inner->device, c->range[i].block);
}

/* A call that takes matrices, the first of which it writes, and an index or NULL: all of them are
 * on the device then. */
static struct call begin_with(struct queue *q, struct ints *index, int n, struct mat *const *m)
{
    struct call c = call_of(q);
    for (int i = 0; i < n; i++)
        add_mat(&c, *m[i], i == 0 ? WRITTEN : READ);
    if (index) add_ints(&c, *index);
    begin(&c);
    for (int i = 0; i < n; i++)
        *m[i] = mat_there(&c, *m[i]);
    if (index) *index = ints_there(&c, *index);
    return c;
}

/* ---- operations ---- */

static void random_weight(struct queue *q, struct weight w, uint64_t seed, float scale)
{
    struct call c = call_of(q);
    add(&c, w.data, k_weight_bytes(c.inner->device, w), WRITTEN);
    begin(&c);
    w.data = on_device(&c, w.data);
    c.inner->op->random(c.inner, w, seed, scale);
    end(&c);
}

static void gather(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct call c = begin_with(q, &index, 2, (struct mat *[]){&dst, &src});
    c.inner->op->gather(c.inner, dst, src, index);
    end(&c);
}

static void scatter(struct queue *q, struct mat dst, struct ints index, struct mat src)
{
    struct call c = begin_with(q, &index, 2, (struct mat *[]){&dst, &src});
    c.inner->op->scatter(c.inner, dst, index, src);
    end(&c);
}

static void add_weight(struct call *c, struct weight w)
{
    add(c, w.data, k_weight_bytes(c->inner->device, w), READ);
}

static struct weight weight_there(const struct call *c, struct weight w)
{
    w.data = on_device(c, w.data);
    return w;
}

static void embed(struct queue *q, struct mat dst, struct weight src, struct ints index)
{
    struct call c = call_of(q);
    add_mat(&c, dst, WRITTEN);
    add_weight(&c, src);
    add_ints(&c, index);
    begin(&c);
    c.inner->op->embed(c.inner, mat_there(&c, dst), weight_there(&c, src), ints_there(&c, index));
    end(&c);
}

static void add_rows(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct call c = begin_with(q, &index, 2, (struct mat *[]){&dst, &src});
    c.inner->op->add(c.inner, dst, src, index);
    end(&c);
}

static void matmul(struct queue *q, const struct products *p)
{
    struct call c = call_of(q);
    struct products there = *p;
    add_mat(&c, p->x, READ);
    for (int i = 0; i < p->n; i++) {
        add_mat(&c, p->of[i].y, WRITTEN);
        add_weight(&c, p->of[i].w);
        add_mat(&c, p->of[i].bias, READ);
        add_mat(&c, p->of[i].delta, WRITTEN);
    }
    begin(&c);
    there.x = mat_there(&c, p->x);
    for (int i = 0; i < p->n; i++)
        there.of[i] = (struct product){mat_there(&c, p->of[i].y), weight_there(&c, p->of[i].w),
                                       mat_there(&c, p->of[i].bias), mat_there(&c, p->of[i].delta)};
    c.inner->decode = q->decode;
    c.inner->op->matmul(c.inner, &there);
    end(&c);
}

static void rmsnorm(struct queue *q, struct mat y, struct mat x, struct mat w, float eps)
{
    struct call c = begin_with(q, NULL, 3, (struct mat *[]){&y, &x, &w});
    c.inner->op->rmsnorm(c.inner, y, x, w, eps);
    end(&c);
}

static void layernorm(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                      float eps)
{
    struct call c = begin_with(q, NULL, 4, (struct mat *[]){&y, &x, &w, &b});
    c.inner->op->layernorm(c.inner, y, x, w, b, eps);
    end(&c);
}

static void angles(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse)
{
    struct call c = begin_with(q, &at, 2, (struct mat *[]){&cos_sin, &inverse});
    c.inner->op->angles(c.inner, cos_sin, at, inverse);
    end(&c);
}

static void rope(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin)
{
    struct call c = begin_with(q, NULL, 3, (struct mat *[]){&y, &x, &cos_sin});
    c.inner->op->rope(c.inner, y, x, heads, cos_sin);
    end(&c);
}

static void heads(struct queue *q, const struct heads *h)
{
    struct call c = call_of(q);
    struct heads there = *h;
    struct mat *operand[] = {&there.x,      &there.norm, &there.cos_sin, &there.raw,
                             &there.packed, &there.kept, &there.out};
    for (int i = 0; i < 7; i++)
        add_mat(&c, *operand[i], i < 3 ? READ : WRITTEN);
    add_ints(&c, h->kept_row);
    add_ints(&c, h->slot);
    begin(&c);
    for (int i = 0; i < 7; i++)
        *operand[i] = mat_there(&c, *operand[i]);
    there.kept_row = ints_there(&c, h->kept_row);
    there.slot = ints_there(&c, h->slot);
    c.inner->op->heads(c.inner, &there);
    end(&c);
}

static void blend(struct queue *q, struct mat dst, struct mat src, struct ints index,
                  struct mat part)
{
    struct call c = begin_with(q, &index, 3, (struct mat *[]){&dst, &src, &part});
    c.inner->op->blend(c.inner, dst, src, index, part);
    end(&c);
}

static void swiglu(struct queue *q, struct mat y, struct mat gate_up)
{
    struct call c = begin_with(q, NULL, 2, (struct mat *[]){&y, &gate_up});
    c.inner->op->swiglu(c.inner, y, gate_up);
    end(&c);
}

static void attention(struct queue *q, const struct attn *a)
{
    struct call c = call_of(q);
    struct attn there = *a;
    add_mat(&c, a->out, WRITTEN);
    add_mat(&c, a->q, READ);
    add_mat(&c, a->k, READ);
    add_mat(&c, a->v, READ);
    add_spans(&c, a->span);
    begin(&c);
    there.out = mat_there(&c, a->out);
    there.q = mat_there(&c, a->q);
    there.k = mat_there(&c, a->k);
    there.v = mat_there(&c, a->v);
    there.span = spans_there(&c, a->span);
    there.work = begin_work(&c, k_attention_work(c.inner->device, a->q.rows, a->heads, a->kv_heads,
                                                 a->q.cols / a->heads, a->k.rows));
    c.inner->op->attention(c.inner, &there);
    end(&c);
}

static void score(struct queue *q, const struct score *s)
{
    struct call c = call_of(q);
    struct score there = *s;
    add_mat(&c, s->out, WRITTEN);
    add_mat(&c, s->q, READ);
    add_mat(&c, s->k, READ);
    add_mat(&c, s->v, READ);
    add_spans(&c, s->span);
    begin(&c);
    there.out = mat_there(&c, s->out);
    there.q = mat_there(&c, s->q);
    there.k = mat_there(&c, s->k);
    there.v = mat_there(&c, s->v);
    there.span = spans_there(&c, s->span);
    there.work = begin_work(&c, k_score_work(c.inner->device, s->q.rows, s->heads, s->k.rows));
    c.inner->op->score(c.inner, &there);
    end(&c);
}

static void entropy(struct queue *q, struct mat out, struct mat logits, int top)
{
    struct call c = begin_with(q, NULL, 2, (struct mat *[]){&out, &logits});
    c.inner->op->entropy(c.inner, out, logits, top);
    end(&c);
}

static void cosine_distance(struct queue *q, struct mat out, struct mat a, struct mat b)
{
    struct call c = begin_with(q, NULL, 3, (struct mat *[]){&out, &a, &b});
    c.inner->op->cosine_distance(c.inner, out, a, b);
    end(&c);
}

static void quantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    struct call c = begin_with(q, NULL, 2, (struct mat *[]){&dst, &src});
    c.inner->op->quantize(c.inner, dst, src, heads);
    end(&c);
}

static void dequantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    struct call c = begin_with(q, NULL, 2, (struct mat *[]){&dst, &src});
    c.inner->op->dequantize(c.inner, dst, src, heads);
    end(&c);
}

/* From the first value of the first layer to the last one of the last. */
static void add_layers(struct call *c, struct layers l, int n, int is_written)
{
    struct mat last = layers_at(l, n - 1);
    size_t begin = (size_t)last.rows * (size_t)last.stride - (size_t)(last.stride - last.cols);
    const uint8_t *end = (const uint8_t *)last.data + begin * dtype_size(last.dtype);
    add(c, l.first.data, (size_t)(end - (const uint8_t *)l.first.data), is_written);
}

static struct layers layers_there(const struct call *c, struct layers l)
{
    l.first = mat_there(c, l.first);
    return l;
}

static void place(struct queue *q, const struct place *p)
{
    struct call c = call_of(q);
    struct place there = *p;
    add_layers(&c, p->k, p->n_layers, READ);
    add_layers(&c, p->v, p->n_layers, READ);
    add_layers(&c, p->to_k, p->n_layers, WRITTEN);
    add_layers(&c, p->to_v, p->n_layers, WRITTEN);
    add_mat(&c, p->cos_sin, READ);
    add_ints(&c, p->slot);
    begin(&c);
    there.k = layers_there(&c, p->k);
    there.v = layers_there(&c, p->v);
    there.to_k = layers_there(&c, p->to_k);
    there.to_v = layers_there(&c, p->to_v);
    there.cos_sin = mat_there(&c, p->cos_sin);
    there.slot = ints_there(&c, p->slot);
    there.work = begin_work(&c, k_place_work(c.inner->device, p->slot.n, p->to_k.first.cols));
    c.inner->op->place(c.inner, &there);
    end(&c);
}

/* ---- memory, queues, the device ---- */

static const struct device *inner_of(const struct device *d)
{
    return ((const struct over *)d->impl)->inner;
}

static void *alloc(struct device *d, size_t bytes)
{
    (void)d;
    return heap_alloc_zero(bytes);
}

static void release(struct device *d, void *block)
{
    (void)d;
    heap_free(block);
}

static size_t weight_block(const struct device *d, enum weight_format format, int cols)
{
    return k_weight_block(inner_of(d), format, cols);
}

static void weight_pack(const struct device *d, void *block, const struct weight_rows *rows)
{
    k_weight_pack(inner_of(d), block, rows);
}

static size_t attention_work(const struct device *d, int n, int heads, int kv_heads, int dim,
                             int slots)
{
    return k_attention_work(inner_of(d), n, heads, kv_heads, dim, slots);
}

static size_t score_work(const struct device *d, int n, int heads, int slots)
{
    return k_score_work(inner_of(d), n, heads, slots);
}

static size_t place_work(const struct device *d, int n, int cols)
{
    return k_place_work(inner_of(d), n, cols);
}

static vlqa_status open_queue(struct queue *q)
{
    struct queue *inner;
    vlqa_status status = queue_open(((struct over *)q->device->impl)->inner, q->env, &inner);
    q->impl = inner;
    return status;
}

static void close_queue(struct queue *q)
{
    queue_close(q->impl);
}

static void copy(struct queue *q, void *dst, const void *src, size_t bytes)
{
    (void)q;
    memcpy(dst, src, bytes);
}

static void clear(struct queue *q, void *dst, size_t bytes)
{
    (void)q;
    memset(dst, 0, bytes);
}

static vlqa_status sync(struct queue *q)
{
    return queue_sync(q->impl);
}

static void close_device(struct device *d)
{
    struct over *over = d->impl;
    device_close(over->inner);
    heap_free((void *)(uintptr_t)d->op);
    heap_free(over);
    heap_free(d);
}

static const struct backend_ops table = {.shares_host = 1,
                                         .close = close_device,
                                         .alloc = alloc,
                                         .alloc_host = alloc,
                                         .release = release,
                                         .release_host = release,
                                         .weight_block = weight_block,
                                         .weight_pack = weight_pack,
                                         .attention_work = attention_work,
                                         .score_work = score_work,
                                         .place_work = place_work,
                                         .queue_open = open_queue,
                                         .queue_close = close_queue,
                                         .upload = copy,
                                         .download = copy,
                                         .clear = clear,
                                         .sync = sync,
                                         .random = random_weight,
                                         .gather = gather,
                                         .scatter = scatter,
                                         .embed = embed,
                                         .add = add_rows,
                                         .matmul = matmul,
                                         .rmsnorm = rmsnorm,
                                         .layernorm = layernorm,
                                         .angles = angles,
                                         .rope = rope,
                                         .heads = heads,
                                         .blend = blend,
                                         .swiglu = swiglu,
                                         .attention = attention,
                                         .score = score,
                                         .entropy = entropy,
                                         .cosine_distance = cosine_distance,
                                         .quantize = quantize,
                                         .dequantize = dequantize,
                                         .place = place};

vlqa_status lab_device_open(struct env *env, struct device *inner, struct device **out)
{
    struct device *d = heap_alloc_zero(sizeof *d);
    struct over *over = heap_alloc_zero(sizeof *over);
    struct backend_ops *op = heap_alloc_zero(sizeof *op);
    if (!d || !over || !op) {
        heap_free(op);
        heap_free(over);
        heap_free(d);
        device_close(inner);
        return env_no_memory(env, "device", sizeof *op);
    }
    *op = table;
    op->name = device_name(inner);
    op->decodes_apart = device_decodes_apart(inner);
    over->inner = inner;
    *d = (struct device){.op = op, .env = env, .impl = over};
    *out = d;
    return VLQA_OK;
}
