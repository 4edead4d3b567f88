/* ref_ops.h - what each operation means: one naive loop in double precision. Results are dense,
 * [rows, cols] of the operation's output. */
#ifndef TESTS_REF_OPS_H
#define TESTS_REF_OPS_H

#include "kernels/ops.h"

double ref_value(struct mat m, int row, int col); /* widened to double */
double ref_act(double x, enum act act);
void ref_gather(double *dst, int rows, struct mat src, const int32_t *index);
void ref_scatter(double *dst, const int32_t *index, struct mat src);
void ref_add(double *dst, int rows, struct mat src, const int32_t *src_index);
void ref_matmul(double *y, struct mat x, struct mat w, const float *bias, enum act act);
void ref_rmsnorm(double *y, struct mat x, const float *w, int w_n, double eps);
void ref_layernorm(double *y, struct mat x, const float *w, const float *b, double eps);
void ref_rope(double *y, struct mat x, int heads, struct mat cos_sin);
void ref_swiglu(double *y, struct mat gate_up);
void ref_attention(double *out, const struct attn *a);
void ref_entropy(double *out, struct mat logits, int top);
void ref_cosine_distance(double *out, struct mat a, struct mat b);
void ref_score(double *out, const struct score *s); /* out and work of s are not looked at */

#endif
