/* kv.h - the keys and values of one sequence, by slot. */
#ifndef TEXT_KV_H
#define TEXT_KV_H

#include "base/arena.h"
#include "kernels/tensor.h"

#define KV_MAX_LAYERS 128

struct kv {
    int layers, slots;
    struct mat k[KV_MAX_LAYERS], v[KV_MAX_LAYERS]; /* [slots, kv_heads * head_dim], K rotated */
};

/* Lays out (or, on a measuring arena, measures) room for `slots` rows. */
void kv_layout(struct kv *kv, int layers, int kv_heads, int head_dim, int slots, enum dtype dtype,
               struct arena *mem);

#endif
