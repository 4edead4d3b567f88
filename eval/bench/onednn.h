/* onednn.h - the same products by oneDNN, whose library is looked for when it is asked for: to
 * compare with, and nothing else. */
#ifndef EVAL_BENCH_ONEDNN_H
#define EVAL_BENCH_ONEDNN_H

#include "eval/bench/lab.h"

struct onednn;
struct onednn_product;

/* path NULL: libdnnl.so.3, and *out is NULL when there is none. A path that cannot be opened, a
 * version that is not 3, and threads that cannot be set are VLQA_EIO. */
vlqa_status onednn_open(struct env *env, const char *path, int threads, struct onednn **out);
void onednn_close(struct onednn *dnn);             /* NULL is fine */
const char *onednn_text(const struct onednn *dnn); /* "3.2.0, OpenMP" */

/* The products of an operation, any rows, with inputs and weights of that dtype, bias and act as in
 * the operation, sums and output in f32. *out is NULL where oneDNN has none on this machine. */
vlqa_status onednn_product_open(struct onednn *dnn, const struct op_case *c, enum dtype dtype,
                                struct onednn_product **out);
void onednn_product_close(struct onednn_product *p); /* NULL is fine */
/* Takes the inputs of the call, and reorders the weights, as many copies as the operation has, as
 * oneDNN likes them for so many rows. */
vlqa_status onednn_product_take(struct onednn_product *p, struct queue *q, const struct call *call);
vlqa_status onednn_product_run(struct onednn_product *p, int turn);
const float *onednn_product_out(const struct onednn_product *p); /* [rows, out] of the last run */

#endif
