/* kv.c - room for the keys and values of a sequence, and the way into it. */
#include "text/kv.h"

void kv_layout(struct kv *kv, int layers, int kv_heads, int head_dim, int slots, enum dtype dtype,
               struct arena *mem)
{
    int cols = kv_heads * head_dim;
    assert(layers <= KV_MAX_LAYERS);
    kv->layers = layers;
    kv->slots = slots;
    for (int i = 0; i < layers; i++) {
        kv->k[i] = mat_of(arena_push(mem, mat_bytes(dtype, slots, cols)), dtype, slots, cols);
        kv->v[i] = mat_of(arena_push(mem, mat_bytes(dtype, slots, cols)), dtype, slots, cols);
    }
}

struct mat kv_read(struct queue *q, struct host_mat rows, int kv_heads, void *room,
                   struct mat values)
{
    size_t bytes = mat_bytes(rows.dtype, rows.rows, rows.cols);
    struct mirror stored = mirror_over(q->device, rows.data, room, bytes);
    struct mat read = mat_of(stored.at, rows.dtype, rows.rows, rows.cols);
    mirror_send(q, stored);
    if (!dtype_is_quantised(rows.dtype)) return read;
    k_dequantize(q, values, read, kv_heads);
    return values;
}

struct room {
    void *stored; /* the rows of all layers on their way, where memory is not shared */
    void *work;
};

/* Matrices of a block follow each other at multiples of this, as in a record. */
static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static struct room room_layout(const struct device *d, int layers, int cols, size_t stored,
                               int rows, struct workspace *ws)
{
    struct room r = {NULL, arena_push(&ws->device, k_place_work(d, rows, cols))};
    if (!device_shares_host(d))
        r.stored = arena_push(&ws->device, 2 * (size_t)layers * aligned(stored));
    return r;
}

void kv_place_measure(const struct device *d, int layers, int kv_heads, int head_dim,
                      enum dtype kept, int rows, struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    int cols = kv_heads * head_dim;
    int wide = row_cols(kept, cols, kv_heads);
    (void)room_layout(d, layers, cols, mat_bytes(kept, rows, wide), rows, dry);
    workspace_rewind(dry, mark);
}

static size_t distance(const void *from, const void *to)
{
    return (size_t)((const char *)to - (const char *)from);
}

static struct layers layers_of(const struct mat *m, int n)
{
    struct layers l = {m[0], n > 1 ? distance(m[0].data, m[1].data) : 0};
    for (int i = 0; i < n; i++)
        assert(layers_at(l, i).data == m[i].data);
    return l;
}

/* Where K of the block lies on the device, and V behind it. */
struct stored {
    struct layers k, v;
};

static struct stored stored_at(const struct kv_block *b, const void *at, size_t to_v, size_t step)
{
    struct host_mat like = b->k[0];
    struct stored s = {
        .k = {mat_of((void *)(uintptr_t)at, like.dtype, like.rows, like.cols), step}};
    s.v = s.k;
    s.v.first.data = (char *)s.v.first.data + to_v;
    return s;
}

/* Rows that are all of their matrices go in one copy. */
static struct stored send(struct queue *q, const struct kv_block *b, char *room)
{
    size_t bytes = mat_bytes(b->k[0].dtype, b->rows, b->k[0].cols), next = aligned(bytes);
    int last = b->layers - 1;
    if (distance(b->k[0].data, b->v[last].data) == (2 * (size_t)last + 1) * next)
        queue_upload(q, room, b->k[0].data, (2 * (size_t)last + 1) * next + bytes);
    else
        for (int i = 0; i <= last; i++) {
            queue_upload(q, room + 2 * (size_t)i * next, b->k[i].data, bytes);
            queue_upload(q, room + (2 * (size_t)i + 1) * next, b->v[i].data, bytes);
        }
    return stored_at(b, room, next, 2 * next);
}

/* On the device already. */
static struct stored stored_of(const struct kv_block *b, const void *at)
{
    size_t step = b->layers > 1 ? distance(b->k[0].data, b->k[1].data) : 0;
    for (int i = 0; i < b->layers; i++) {
        assert(distance(b->k[0].data, b->k[i].data) == (size_t)i * step);
        assert(distance(b->v[0].data, b->v[i].data) == (size_t)i * step);
    }
    return stored_at(b, at, distance(b->k[0].data, b->v[0].data), step);
}

void kv_place(struct queue *q, struct kv *kv, int kv_heads, struct ints slot,
              const struct kv_block *block, struct mat cos_sin, struct workspace *ws)
{
    struct workspace_used mark = workspace_mark(ws);
    size_t stored = mat_bytes(block->k[0].dtype, block->rows, block->k[0].cols);
    struct room room = room_layout(q->device, kv->layers, kv->k[0].cols, stored, block->rows, ws);
    struct stored from = block->at     ? stored_of(block, block->at)
                         : room.stored ? send(q, block, room.stored)
                                       : stored_of(block, block->k[0].data);
    struct place p = {.n_layers = kv->layers,
                      .heads = kv_heads,
                      .k = from.k,
                      .v = from.v,
                      .cos_sin = cos_sin,
                      .slot = slot,
                      .to_k = layers_of(kv->k, kv->layers),
                      .to_v = layers_of(kv->v, kv->layers),
                      .work = room.work};
    assert(block->layers == kv->layers && block->rows == cos_sin.rows);
    k_place(q, &p);
    workspace_rewind(ws, mark);
}
