/* backend.h - the table of operations that a device fills, and the checked calls over it.
 *
 * Contract of every operation: the result of a row depends on its own inputs and, in attention, on
 * the keys and values it sees, in the order of their slots; never on where these slots lie, on how
 * many other rows are in the call, on the number of threads, or on where the call was cut. On the
 * CPU that holds to the last bit. Operations enqueue and cannot fail; device errors surface at
 * backend_sync. */
#ifndef KERNELS_BACKEND_H
#define KERNELS_BACKEND_H

#include "base/env.h"
#include "kernels/tensor.h"

#define ATTN_MAX_DIM 256  /* of a head */
#define ATTN_MAX_GROUP 64 /* query heads that share a KV head */

struct attn {        /* arguments of the attention operation */
    struct mat q;    /* [n, heads * dim] f32 */
    struct mat k, v; /* [slots, kv_heads * dim] f32 or bf16; a stride wider than cols is fine */
    struct mat out;  /* [n, heads * dim] f32 or bf16; may not overlap q, k or v */
    const struct span *span; /* [n] host memory; at least one visible slot a row */
    int heads, kv_heads;     /* query head g reads KV head g / (heads / kv_heads) */
    float scale;
};

/* What a row's softmax weight a of a slot counts for, and how heads and rows are brought together:
 * score[slot] = rows over n of (heads over heads of (value of a)). */
enum score_value { SCORE_WEIGHT, SCORE_ENTROPY, SCORE_VALUE }; /* a | -a ln a | a |v| */
enum score_heads { SCORE_HEADS_SUM, SCORE_HEADS_L2, SCORE_HEADS_MAX };
enum score_rows { SCORE_ROWS_SUM, SCORE_ROWS_L2 };

struct score { /* arguments of the score operation; q, k, v, span, heads as in struct attn */
    struct mat q, k, v;
    const struct span *span; /* the softmax is over what these see */
    int heads, kv_heads;
    float scale;
    enum score_value value;
    enum score_heads over_heads;
    enum score_rows over_rows;
    struct mat out; /* [1, slots] f32, overwritten; 0 where nobody sees */
    float *work;    /* k_score_work(n, heads) bytes */
};

struct backend;

struct backend_ops {
    const char *name;
    void (*destroy)(struct backend *be);
    /* one block an arena; copies in queue order */
    void *(*alloc)(struct backend *be, size_t bytes); /* zeroed, 64-byte aligned; NULL: no memory */
    void (*release)(struct backend *be, void *block);
    void (*upload)(struct backend *be, void *dst, const void *src, size_t bytes);
    void (*download)(struct backend *be, void *dst, const void *src, size_t bytes);
    vlqa_status (*sync)(struct backend *be); /* the sticky error */
    /* index arrays are host memory and may be reused when the call returns */
    void (*gather)(struct backend *be, struct mat dst, struct mat src, const int32_t *index);
    void (*scatter)(struct backend *be, struct mat dst, const int32_t *index, struct mat src);
    void (*add)(struct backend *be, struct mat dst, struct mat src, const int32_t *src_index);
    void (*matmul)(struct backend *be, struct mat y, struct mat x, struct mat w, const float *bias,
                   enum act act);
    void (*rmsnorm)(struct backend *be, struct mat y, struct mat x, const float *w, int w_n,
                    float eps);
    void (*layernorm)(struct backend *be, struct mat y, struct mat x, const float *w,
                      const float *b, float eps);
    void (*rope)(struct backend *be, struct mat y, struct mat x, int heads, struct mat cos_sin);
    void (*swiglu)(struct backend *be, struct mat y, struct mat gate_up);
    void (*attention)(struct backend *be, const struct attn *a);
    void (*score)(struct backend *be, const struct score *s);
    void (*code)(struct backend *be, struct mat dst, struct mat src, int heads);
};

/* Sees intermediate results, for tests and debugging: called in the order of computation with
 * device memory. name is a rung of docs/MODEL.md ("vit.block", "text.q", ...). */
typedef void (*trace_fn)(void *user, const char *name, int layer, struct mat m);

struct backend {
    const struct backend_ops *op;
    struct env *env;
    void *impl;
    trace_fn trace; /* NULL: nobody looks */
    void *trace_user;
};

static inline void k_trace(struct backend *be, const char *name, int layer, struct mat m)
{
    if (be->trace) be->trace(be->trace_user, name, layer, m);
}

/* The CPU with the highest instruction set up to `cpu` (VLQA_CPU_AUTO: the best one there is);
 * VLQA_EDEVICE when a named one is missing. env (with its pool) must outlive the backend. */
vlqa_status backend_create(struct env *env, enum vlqa_cpu cpu, struct backend **out);
void backend_free(struct backend *be);              /* NULL is fine */
const char *backend_name(const struct backend *be); /* "plain", "avx2", "avx512", "amx" */
int backend_cpu_has(enum vlqa_cpu cpu);             /* can this machine run it? */

/* The checked calls. Shapes are asserted here, once; layers call these, never be->op. */

/* dst[i] = src[index[i]], converted to dst's dtype; a negative index leaves row i alone. */
void k_gather(struct backend *be, struct mat dst, struct mat src, const int32_t *index);
/* dst[index[i]] = src[i], converted; a negative index skips. Indices are distinct. */
void k_scatter(struct backend *be, struct mat dst, const int32_t *index, struct mat src);
/* dst[i] += src[src_index[i]]; dst f32, src f32 or bf16; NULL: same row; a negative index skips. */
void k_add(struct backend *be, struct mat dst, struct mat src, const int32_t *src_index);
/* y[n, out] = act(x[n, in] w[out, in]^T + bias[out]). bias may be NULL. y f32 or bf16.
 * x f32: w f32, bf16 or f16 widened, products in f32. x bf16: w bf16, products of bf16 summed in
 * f32. y may not overlap x. */
void k_matmul(struct backend *be, struct mat y, struct mat x, struct mat w, const float *bias,
              enum act act);
/* Each row: x * rsqrt(mean(x^2) + eps) * w; x f32, y f32 or bf16; y may be x.
 * w has w_n values and is repeated along the row: x.cols is a multiple of w_n and each run of w_n
 * is normalised by itself (q_norm and k_norm over heads). */
void k_rmsnorm(struct backend *be, struct mat y, struct mat x, const float *w, int w_n, float eps);
/* Each row: (x - mean) * rsqrt(var + eps) * w + b, biased variance; x f32, y f32 or bf16. */
void k_layernorm(struct backend *be, struct mat y, struct mat x, const float *w, const float *b,
                 float eps);
/* Half-split rotation of each of `heads` heads of a row: with d = cols / heads and e < d / 2,
 * y[e] = x[e] cos[e] - x[e + d/2] sin[e], y[e + d/2] = x[e + d/2] cos[e] + x[e] sin[e].
 * cos_sin [n, d] f32: d/2 cosines, then d/2 sines. x and y f32 or bf16; y may be x. */
void k_rope(struct backend *be, struct mat y, struct mat x, int heads, struct mat cos_sin);
/* y[n, m] = silu(gate) * up with gate_up [n, 2m]: gates, then ups. f32 in, f32 or bf16 out. */
void k_swiglu(struct backend *be, struct mat y, struct mat gate_up);
/* Softmax over each row's span, grouped-query. */
void k_attention(struct backend *be, const struct attn *a);
/* How much rows attend to each slot, in two sweeps over the keys: memory O(slots), never n x slots.
 */
void k_score(struct backend *be, const struct score *s);
size_t k_score_work(int n, int heads);
/* Values to codes or back: one of dst and src is packed (packed_cols), the other f32 or bf16, with
 * the same rows. The scale of a run is its largest magnitude / 127, a code is value / scale rounded
 * to nearest even. A run of zeros has scale 0; one with a NaN or an infinity has scale NaN, and all
 * of it reads as NaN. */
void k_code(struct backend *be, struct mat dst, struct mat src, int heads);

#endif
