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
    arena_push(&dry, mat_bytes(DT_F32, rows, kv_heads * head_dim));
    return dry.used;
}

void kv_place(struct backend *be, struct kv *kv, int kv_heads, const int32_t *slot,
              const struct kv_block *block, struct mat cos_sin, struct arena *scratch)
{
    size_t mark = arena_mark(scratch);
    struct mat k = block->k[0];
    assert(block->layers == kv->layers && block->rows == cos_sin.rows);
    k.data = arena_push(scratch, mat_bytes(k.dtype, k.rows, k.cols));
    for (int i = 0; i < kv->layers; i++) {
        k_rope(be, k, block->k[i], kv_heads, cos_sin);
        k_scatter(be, kv->k[i], slot, k);
        k_scatter(be, kv->v[i], slot, block->v[i]);
    }
    arena_rewind(scratch, mark);
}
