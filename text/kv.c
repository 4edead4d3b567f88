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
    if (rows.dtype != DT_ROW_INT8) return read;
    k_dequantize(q, values, read, kv_heads);
    return values;
}

struct place {
    struct mat values, k; /* [rows, kv_heads * head_dim]: dequantised; K rotated */
    void *room;           /* for tokens of the block in the format they are kept in */
};

static struct place place_layout(const struct device *d, int rows, int cols, struct workspace *ws)
{
    struct place p = {workspace_mat(ws, DT_F32, rows, cols), workspace_mat(ws, DT_F32, rows, cols),
                      NULL};
    if (!device_shares_host(d)) p.room = arena_push(&ws->device, mat_bytes(DT_F32, rows, cols));
    return p;
}

void kv_place_measure(const struct device *d, int kv_heads, int head_dim, int rows,
                      struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    (void)place_layout(d, rows, kv_heads * head_dim, dry);
    workspace_rewind(dry, mark);
}

void kv_place(struct queue *q, struct kv *kv, int kv_heads, struct ints slot,
              const struct kv_block *block, struct mat cos_sin, struct workspace *ws)
{
    struct workspace_used mark = workspace_mark(ws);
    struct place p = place_layout(q->device, block->rows, kv->k[0].cols, ws);
    assert(block->layers == kv->layers && block->rows == cos_sin.rows);
    p.k.dtype = kv->k[0].dtype;
    for (int i = 0; i < kv->layers; i++) {
        k_rope(q, p.k, kv_read(q, block->k[i], kv_heads, p.room, p.values), kv_heads, cos_sin);
        k_scatter(q, kv->k[i], slot, p.k);
        k_scatter(q, kv->v[i], slot, kv_read(q, block->v[i], kv_heads, p.room, p.values));
    }
    workspace_rewind(ws, mark);
}
