/* kv.h - the keys and values of one sequence, by slot, and blocks of them without a place. */
#ifndef TEXT_KV_H
#define TEXT_KV_H

#include "kernels/ops.h"

#define KV_MAX_LAYERS 128

struct kv {
    int layers, slots;
    struct mat k[KV_MAX_LAYERS], v[KV_MAX_LAYERS]; /* [slots, kv_heads * head_dim], K rotated */
};

struct kv_block { /* tokens of a chunk, in host memory: K before RoPE */
    int layers, rows;
    struct host_mat k[KV_MAX_LAYERS]; /* [rows, kv_heads * head_dim] in the format of the KV, or */
    struct host_mat v[KV_MAX_LAYERS]; /* row-quantised, a run a KV head */
    const void *at; /* where k[0] lies on the device with all behind it as on the host; or NULL */
};

/* Lays out (or, on a measuring arena, measures) room for `slots` tokens in device memory. */
void kv_layout(struct kv *kv, int layers, int kv_heads, int head_dim, int slots, enum dtype dtype,
               struct arena *mem);
/* Block rows into slots, K rotated by cos_sin [rows, head_dim]: exactly what a pass over these rows
 * would have written there, or, quantised, what is read back. The only door from a block to a
 * sequence. The block may go when the call returns. */
void kv_place(struct queue *q, struct kv *kv, int kv_heads, struct ints slot,
              const struct kv_block *block, struct mat cos_sin, struct workspace *ws);
/* The room of such a call for rows that are kept as `kept`: what it takes of ws while it runs,
 * counted into its peaks. */
void kv_place_measure(const struct device *d, int layers, int kv_heads, int head_dim,
                      enum dtype kept, int rows, struct workspace *dry);
/* Rows of a block as values on the device: uploaded to `room` where memory is not shared, and read
 * into `values` [rows, kv_heads * head_dim] where they are quantised. */
struct mat kv_read(struct queue *q, struct host_mat rows, int kv_heads, void *room,
                   struct mat values);

#endif
