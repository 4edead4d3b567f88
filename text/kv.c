/* kv.c - room for the keys and values of a sequence. */
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
