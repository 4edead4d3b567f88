/* ops.h - the operations that models are written in, with their shapes asserted.
 *
 * Contract of every operation: the result of a row depends on its own inputs and, in attention, on
 * the keys and values it sees, in the order of their slots; never on where these slots lie, on how
 * many other rows are in the call, on the number of threads, or on where the call was cut. On the
 * CPU that holds to the last bit, and on a GPU among operations of decode passes (queue.decode) and
 * among all others: there, a product of few rows that is made at the speed of memory has other last
 * bits than one of many rows. The number of rows never decides which it is, and the CPU makes both
 * alike (device_decodes_apart). Operations enqueue and cannot fail; errors of a device surface at
 * queue_sync. All matrices are device memory. */
#ifndef KERNELS_OPS_H
#define KERNELS_OPS_H

#include "kernels/device.h"

#define ATTN_MAX_DIM 256  /* of a head */
#define ATTN_MAX_GROUP 64 /* query heads that share a KV head */

#define PRODUCTS_MOST 3 /* of a list */

#define ENTROPY_MOST 64 /* logits of a row that k_entropy looks at */

/* y[n, out] = act(x w^T + bias). */
struct product {
    struct mat y;    /* f32 or bf16; overlaps neither x nor what else is written */
    struct weight w; /* [out, in] */
    struct mat bias; /* [1, out] f32, or mat_none() */
    /* mat_none(): y is stored. Else, without act, it is added to y, f32; this, like y, is room for
     * it on a device that cannot add while it multiplies. */
    struct mat delta;
};

struct products { /* arguments of the matmul operation: products of one x */
    struct mat x; /* [n, in] f32 or bf16 */
    int n;        /* products, 1 to PRODUCTS_MOST */
    struct product of[PRODUCTS_MOST];
    enum act act; /* of all */
};

struct attn {            /* arguments of the attention operation */
    struct mat q;        /* [n, heads * dim] f32 */
    struct mat k, v;     /* [slots, kv_heads * dim] f32 or bf16; a stride wider than cols is fine */
    struct mat out;      /* [n, heads * dim] f32 or bf16; may not overlap q, k or v */
    struct spans span;   /* [n]; at least one visible slot a row */
    int heads, kv_heads; /* query head g reads KV head g / (heads / kv_heads) */
    float scale;
    enum dtype
        products; /* DT_BF16: q, k, v and weights may be rounded to it, sums are f32; DT_F32 */
    void *work;   /* k_attention_work bytes of device memory */
};

/* What a row's softmax weight a of a slot counts for, and how heads and rows are brought together:
 * score[slot] = rows over n of (heads over heads of (value of a)). */
enum score_value { SCORE_WEIGHT, SCORE_ENTROPY, SCORE_VALUE }; /* a | -a ln a | a |v| */
enum score_heads { SCORE_HEADS_SUM, SCORE_HEADS_L2, SCORE_HEADS_MAX };
enum score_rows { SCORE_ROWS_SUM, SCORE_ROWS_L2 };

struct score { /* arguments of the score operation; q, k, v, span, heads as in struct attn */
    struct mat q, k, v;
    struct spans span; /* the softmax is over what these see */
    int heads, kv_heads;
    float scale;
    enum dtype products; /* DT_BF16: q may be rounded to it, all else is f32; DT_F32 */
    enum score_value value;
    enum score_heads over_heads;
    enum score_rows over_rows;
    struct mat out; /* [1, slots] f32: added to; nothing where nobody sees */
    void *work;     /* k_score_work bytes of device memory */
};

struct place {                /* arguments of the place operation */
    int n_layers, heads;      /* KV heads */
    struct layers k, v;       /* [n, heads * dim] f32 or bf16, or row-quantised: K before RoPE */
    struct mat cos_sin;       /* [n, dim] f32, as k_angles leaves it */
    struct ints slot;         /* [n] distinct; a negative one skips */
    struct layers to_k, to_v; /* [slots, heads * dim] f32 or bf16 */
    void *work;               /* k_place_work bytes of device memory */
};

/* Arguments of the heads operation: what becomes of queries or keys behind their product. */
struct heads {
    struct mat x;    /* [n, heads * dim] f32 */
    struct mat norm; /* [1, dim] f32 */
    float eps;
    int heads;
    struct mat cos_sin;   /* [n, dim], as k_angles leaves it */
    struct mat raw;       /* like x, of the format of out: room; may be x */
    struct mat kept;      /* [rows, heads * dim], or row-quantised; mat_none(): nothing is kept */
    struct ints kept_row; /* [n], where there is kept; negative: that row is not */
    struct mat packed;    /* [n, row_cols], as kept, where that is row-quantised: room */
    struct mat out;       /* [rows, heads * dim] f32 or bf16; may be x where slot is empty */
    struct ints slot;     /* [n], distinct, negative: skipped; or empty: row i goes to row i */
};

/* Whether the device multiplies by weights of that format; all but WEIGHT_FP8 are held by all. */
int k_weight_held(const struct device *d, enum weight_format format);
/* Bytes of a block of WEIGHT_BLOCK rows of a weight; the last block of one is as large. */
size_t k_weight_block(const struct device *d, enum weight_format format, int cols);
/* Makes a block, in host memory, of 1 to WEIGHT_BLOCK rows. It is the device's when it was uploaded
 * to its place in weight.data. On any thread; nothing is enqueued. */
void k_weight_pack(const struct device *d, void *block, const struct weight_rows *rows);
size_t k_weight_bytes(const struct device *d, struct weight w); /* all of its blocks */
/* Rows [begin, begin + n) of it, begin a multiple of WEIGHT_BLOCK: products with their bits. */
struct weight k_weight_rows(const struct device *d, struct weight w, int begin, int n);
/* Fills a BF16 weight with the random matrix of st_random_matrix; 0: the device leaves that to the
 * host.
 */
int k_random(struct queue *q, struct weight w, uint64_t seed, float scale);

/* dst[i] = src[index[i]], converted to dst's dtype; a negative index leaves row i alone. */
void k_gather(struct queue *q, struct mat dst, struct mat src, struct ints index);
/* dst[index[i]] = src[i], converted; a negative index skips. Indices are distinct. */
void k_scatter(struct queue *q, struct mat dst, struct ints index, struct mat src);
/* dst[i] = the values of row index[i] of the weight; a negative index leaves row i alone. */
void k_embed(struct queue *q, struct mat dst, struct weight src, struct ints index);
/* dst[i] += src[i]; dst f32, src f32 or bf16. */
void k_add(struct queue *q, struct mat dst, struct mat src);
/* dst[i] += src[index[i]]; a negative index skips. */
void k_add_rows(struct queue *q, struct mat dst, struct mat src, struct ints index);
/* Products of one x, with the bits of each by itself, and of k_add behind it where it is added. w
 * of any format with x f32, and BF16, INT8 or INT4 with x bf16. Products of two bf16 are summed in
 * f32, others are made in f32. */
void k_products(struct queue *q, const struct products *p);
/* One: y = act(x w^T + bias). */
void k_matmul(struct queue *q, struct mat y, struct mat x, struct weight w, struct mat bias,
              enum act act);
/* One: y += x w^T + bias; delta is room (struct product). */
void k_matmul_add(struct queue *q, struct mat y, struct mat x, struct weight w, struct mat bias,
                  struct mat delta);
/* Each row: x * rsqrt(mean(x^2) + eps) * w; x f32, y f32 or bf16; y may be x. w [1, n] f32 is
 * repeated along the row: x.cols is a multiple of n and each run of n is normalised by itself
 * (q_norm and k_norm over heads). */
void k_rmsnorm(struct queue *q, struct mat y, struct mat x, struct mat w, float eps);
/* Each row: (x - mean) * rsqrt(var + eps) * w + b, biased variance; x f32, y f32 or bf16; w and b
 * [1, cols] f32. */
void k_layernorm(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                 float eps);
/* cos_sin[n, 2 half] f32: half cosines, then half sines, of angles sum over axes a of at[i, a] *
 * inverse[a, e] in f32; cosine and sine in double, rounded. at [n * axes], inverse [axes, half]
 * f32. */
void k_angles(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse);
/* Half-split rotation of each of `heads` heads of a row: with d = cols / heads and e < d / 2,
 * y[e] = x[e] cos[e] - x[e + d/2] sin[e], y[e + d/2] = x[e + d/2] cos[e] + x[e] sin[e].
 * cos_sin [n, d] as k_angles leaves it. x and y f32 or bf16; y may be x. */
void k_rope(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin);
/* Of each head: normalised (k_rmsnorm) and rounded to the format of out; that goes to
 * kept[kept_row[i]], as k_quantize makes it where kept is row-quantised; and, turned (k_rope), to
 * out[slot[i]]. */
void k_heads(struct queue *q, const struct heads *h);
/* dst[i] = the sum over j, ascending, of part[i, j] * row index[i * parts + j] of src; src f32,
 * bf16 or f16, dst f32 [n, cols], part [n, parts] f32: bilinear positions have four parts. */
void k_blend(struct queue *q, struct mat dst, struct mat src, struct ints index, struct mat part);
/* y[n, m] = silu(gate) * up with gate_up [n, 2m]: gates, then ups. f32 in, f32 or bf16 out. */
void k_swiglu(struct queue *q, struct mat y, struct mat gate_up);
/* Softmax over each row's span, grouped-query. */
void k_attention(struct queue *q, const struct attn *a);
size_t k_attention_work(const struct device *d, int n, int heads, int kv_heads, int dim, int slots);
/* How much rows attend to each slot, in two sweeps over the keys: memory O(slots), never n x slots.
 */
void k_score(struct queue *q, const struct score *s);
size_t k_score_work(const struct device *d, int n, int heads, int slots);
/* out[i] = the entropy in nats of the softmax over the `top` largest logits of row i alone, or over
 * all of them where there are fewer: -sum p ln p (H of InfoKV, arXiv 2606.26875). out [n, 1] f32,
 * logits [n, vocab] f32, top 1 to ENTROPY_MOST. Equal logits weigh the same: it does not matter
 * which of them count. Sums begin with the largest and are made in double. -infinity weighs
 * nothing; a row with a NaN or +infinity, or with nothing else, gives NaN. */
void k_entropy(struct queue *q, struct mat out, struct mat logits, int top);
/* out[i] = 1 - the cosine between rows i of a and b: what a layer turned the representation by
 * (InfoKV, arXiv 2606.26875). out [n, 1] f32, a and b [n, cols] f32. It is made as half of the
 * squared distance of the rows at length 1, where little cancels: of equal rows it is 0, never
 * below. Sums are f32. Where a row's squares add to 0 it is 0; where they are not finite it is NaN.
 */
void k_cosine_distance(struct queue *q, struct mat out, struct mat a, struct mat b);
/* src f32 or bf16 to dst, row-quantised (row_cols) with the same rows.
 * Eight bits: the scale of a run is its largest magnitude / 127; a value becomes value / scale,
 * rounded to nearest even. A run of zeros has scale 0; one with a NaN or an infinity has scale NaN,
 * and all of it reads as NaN.
 * Four bits: the base of a group is its least value, its step (largest - base) / 15, both rounded
 * to bf16; a value becomes (value - base) / step, rounded to nearest even, 0 to 15. A group that is
 * narrower than 2^-100 has step 0; one with a NaN or an infinity, or wider than 2^127, has step
 * NaN, and all of it reads as NaN. */
void k_quantize(struct queue *q, struct mat dst, struct mat src, int heads);
/* And back. */
void k_dequantize(struct queue *q, struct mat dst, struct mat src, int heads);
/* Rows of a chunk into slots, in all layers: K is rotated on the way, and what is quantised is read
 * as values first. The same bits as k_dequantize, k_rope and k_scatter make. */
void k_place(struct queue *q, const struct place *p);
size_t k_place_work(const struct device *d, int n, int cols);

#endif
