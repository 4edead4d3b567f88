/* backend.h - the table that a kind of device fills: memory, copies, and what ops.h asserts and
 * calls. Only kernels/ and what stands in for it in tests include this. */
#ifndef KERNELS_BACKEND_H
#define KERNELS_BACKEND_H

#include "kernels/ops.h"

struct backend_ops {
    const char *name;
    int shares_host;   /* device memory is host memory: mirrors are one block */
    int decodes_apart; /* products of a decode pass are made in another way */
    void (*close)(struct device *d);
    void *(*alloc)(struct device *d, size_t bytes); /* of device_alloc and the three behind it */
    void *(*alloc_host)(struct device *d, size_t bytes);
    void (*release)(struct device *d, void *block);
    void (*release_host)(struct device *d, void *block);
    void (*forget)(struct device *d, void *at, size_t bytes); /* NULL: it keeps its memory */
    /* Why alloc gave NULL; itself NULL: there is not more to say than that. */
    vlqa_status (*no_memory)(struct env *env, const struct device *d, const char *name,
                             size_t bytes);
    const char *(*arithmetic)(const struct device *d); /* NULL: its name says it */
    /* Of device_expect; NULL: products are made in one way. */
    vlqa_status (*expect)(struct env *env, struct device *d, struct weight w, enum dtype x,
                          int has_bias);
    /* 0: weights of that format are not held. */
    size_t (*weight_block)(const struct device *d, enum weight_format format, int cols);
    void (*weight_pack)(const struct device *d, void *block, const struct weight_rows *rows);
    size_t (*attention_work)(const struct device *d, int n, int heads, int kv_heads, int dim,
                             int slots);
    size_t (*score_work)(const struct device *d, int n, int heads, int slots);
    size_t (*place_work)(const struct device *d, int n, int cols);

    vlqa_status (*queue_open)(struct queue *q); /* fills impl; the rest is filled */
    void (*queue_close)(struct queue *q);       /* frees impl */
    void (*upload)(struct queue *q, void *dst, const void *src, size_t bytes);
    void (*download)(struct queue *q, void *dst, const void *src, size_t bytes);
    void (*clear)(struct queue *q, void *dst, size_t bytes);
    vlqa_status (*sync)(struct queue *q); /* the first error, until the queue is closed */
    /* Of comm_connect and comm_gather; NULL: memory goes through the host's. Where ranks_open is
     * not VLQA_OK it is so on no rank; ranks_gather is called where it was, `block` is of the
     * device, and some part is not empty. */
    vlqa_status (*ranks_open)(struct env *env, struct device *d, struct vlqa_ranks *r);
    void (*ranks_gather)(struct queue *q, void *block, const size_t *at);

    void (*random)(struct queue *q, struct weight w, uint64_t seed, float scale); /* may be NULL */
    void (*gather)(struct queue *q, struct mat dst, struct mat src, struct ints index);
    void (*scatter)(struct queue *q, struct mat dst, struct ints index, struct mat src);
    void (*embed)(struct queue *q, struct mat dst, struct weight src, struct ints index);
    void (*add)(struct queue *q, struct mat dst, struct mat src, struct ints index);
    void (*matmul)(struct queue *q, const struct products *p);
    void (*rmsnorm)(struct queue *q, struct mat y, struct mat x, struct mat w, float eps);
    void (*layernorm)(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                      float eps);
    void (*angles)(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse);
    void (*rope)(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin);
    void (*heads)(struct queue *q, const struct heads *h);
    void (*blend)(struct queue *q, struct mat dst, struct mat src, struct ints index,
                  struct mat part);
    void (*swiglu)(struct queue *q, struct mat y, struct mat gate_up);
    void (*attention)(struct queue *q, const struct attn *a);
    void (*score)(struct queue *q, const struct score *s);
    void (*entropy)(struct queue *q, struct mat out, struct mat logits, int top);
    void (*cosine_distance)(struct queue *q, struct mat out, struct mat a, struct mat b);
    void (*quantize)(struct queue *q, struct mat dst, struct mat src, int heads);
    void (*dequantize)(struct queue *q, struct mat dst, struct mat src, int heads);
    void (*place)(struct queue *q, const struct place *p);
};

#endif
