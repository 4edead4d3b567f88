/* kv.h - the keys and values of one sequence, by slot. */
#ifndef TEXT_KV_H
#define TEXT_KV_H

#include "base/arena.h"
#include "kernels/backend.h"

#define KV_MAX_LAYERS 128

struct kv {
    int layers, slots;
    struct mat k[KV_MAX_LAYERS], v[KV_MAX_LAYERS]; /* [slots, kv_heads * head_dim], K rotated */
};

struct kv_block { /* the same rows without a place: K before RoPE */
    int layers, rows;
    struct mat k[KV_MAX_LAYERS], v[KV_MAX_LAYERS]; /* [rows, kv_heads * head_dim] in the format of
                                                      the KV, or packed with a scale a KV head */
};

/* Lays out (or, on a measuring arena, measures) room for `slots` rows. */
void kv_layout(struct kv *kv, int layers, int kv_heads, int head_dim, int slots, enum dtype dtype,
               struct arena *mem);
/* Block rows into slots, K rotated by cos_sin [rows, head_dim]: exactly what a pass over these rows
 * would have written there, or, packed, what the codes read as. The only door from a block to a
 * sequence. */
void kv_place(struct backend *be, struct kv *kv, int kv_heads, const int32_t *slot,
              const struct kv_block *block, struct mat cos_sin, struct arena *scratch);
/* The matrix of a block as values: itself, or, packed, read into room [rows, its values]. */
struct mat kv_read(struct backend *be, struct mat m, int kv_heads, struct mat room);
size_t kv_place_scratch(int kv_heads, int head_dim, int rows);

#endif
