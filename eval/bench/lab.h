/* lab.h - operations with everything they take, ready to be called any number of times. */
#ifndef EVAL_BENCH_LAB_H
#define EVAL_BENCH_LAB_H

#include "kernels/weights.h"
#include "text/decoder.h"
#include "vision/vit.h"

struct lab { /* what all operations are measured with */
    struct env *env;
    struct device *device;
    struct queue *queue;
    struct decoder_config text;
    struct vit_config vision;
    uint64_t seed;
    enum weight_format layers, head; /* INT8, INT4; else as their tensors are */
    size_t rotation; /* bytes of weights that are gone through before one is used again */
};

struct call {
    void (*run)(struct queue *q, const struct call *c, int turn); /* turn: chooses the weights */
    struct mat y, x, a, b; /* whatever the operation takes besides */
    struct ints index;
    const struct lab_weights *weights;
    enum act act;
    int heads;
    struct attn attn;
    struct score score;
    struct heads of_heads;
    struct place place;
    double flops, bytes; /* of a call */
};

struct op_case {
    const char *op, *part; /* "matmul", "text.q" */
    /* Lays out and fills, or only measures, as ws does. */
    void (*setup)(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                  struct call *out);
    int out, in;         /* of the weight, which is made where out > 0; in: columns of others */
    int heads, kv_heads; /* of attention, rope and norms of heads */
    int keys;            /* of attention: at least that many */
    enum weight_format format; /* of the weight */
    enum act act;
    int has_bias;
    int least, most;                   /* rows that are usual for it */
    const struct lab_weights *weights; /* while it is measured */
};

#define MAX_CASES 64

struct cases {
    struct op_case at[MAX_CASES];
    int n;
};

void cases_add(struct cases *list, struct op_case c);
/* Products with weights, attention and score, and what goes row by row. */
void cases_add_products(struct cases *list, const struct lab *lab);
void cases_add_attention(struct cases *list, const struct lab *lab);
void cases_add_rows(struct cases *list, const struct lab *lab);

/* Copies of a weight, so many that no cache holds them. */
struct lab_weights {
    struct env *env;
    struct st_files *files;
    void *block;       /* device memory */
    struct weight *at; /* [n] */
    int n;
    double bytes; /* of one */
};

vlqa_status lab_weights_open(struct lab *lab, int rows, int cols, enum weight_format format,
                             struct lab_weights *out);
void lab_weights_close(struct lab *lab, struct lab_weights *w); /* one that is all zeros is fine */
/* Copy i as float, [rows, cols], for heap_free; NULL: no memory. */
float *lab_weights_values(const struct lab_weights *w, int i);

/* Room for a matrix, with random values from -1 to 1 unless ws only measures. */
struct mat lab_mat(struct lab *lab, struct workspace *ws, enum dtype dtype, int rows, int cols);
/* n indices below limit, in an order without a pattern: distinct as long as n <= limit. */
struct ints lab_index(struct lab *lab, struct workspace *ws, int n, int limit);
/* Rows at the end of so many keys, each seeing all before it; or, all: seeing all of them. */
struct spans lab_spans(struct lab *lab, struct workspace *ws, int n, int keys, int all);

static inline double lab_bytes(struct mat m)
{
    return (double)mat_bytes(m.dtype, m.rows, m.cols);
}

#endif
