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

size_t kv_place_scratch(int kv_heads, int head_dim, int rows)
{
    struct arena dry = {0};
    arena_push(&dry, mat_bytes(DT_F32, rows, kv_heads * head_dim)); /* what codes read as */
    arena_push(&dry, mat_bytes(DT_F32, rows, kv_heads * head_dim)); /* K rotated */
    return dry.used;
}

struct mat kv_read(struct backend *be, struct mat m, int kv_heads, struct mat room)
{
    if (m.dtype != DT_I8) return m;
    k_code(be, room, m, kv_heads);
    return room;
}

static struct mat push(struct arena *mem, enum dtype dtype, int rows, int cols)
{
    return mat_of(arena_push(mem, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
}

void kv_place(struct backend *be, struct kv *kv, int kv_heads, const int32_t *slot,
              const struct kv_block *block, struct mat cos_sin, struct arena *scratch)
{
    size_t mark = arena_mark(scratch);
    struct mat room = push(scratch, DT_F32, block->rows, kv->k[0].cols);
    struct mat k = push(scratch, kv->k[0].dtype, block->rows, kv->k[0].cols);
    assert(block->layers == kv->layers && block->rows == cos_sin.rows);
    for (int i = 0; i < kv->layers; i++) {
        k_rope(be, k, kv_read(be, block->k[i], kv_heads, room), kv_heads, cos_sin);
        k_scatter(be, kv->k[i], slot, k);
        k_scatter(be, kv->v[i], slot, kv_read(be, block->v[i], kv_heads, room));
    }
    arena_rewind(scratch, mark);
}
