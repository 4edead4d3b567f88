/* weight_quant.h - rows of weights to eight and to four bits, with the same result on every CPU.
 *
 * Scales are rounded to bf16 before the quantised values are chosen, so that a file with bf16
 * scales holds exactly what was chosen here. Host memory; values must be finite. */
#ifndef KERNELS_WEIGHT_QUANT_H
#define KERNELS_WEIGHT_QUANT_H

#include "kernels/tensor.h" /* WEIGHT_GROUP */

/* cols values as q * scale, q [cols] from -127 to 127; the largest magnitude is 127 (scales that
 * clip it won 0.0 to 0.6 % of the error of trained and of normal weights). A row without a
 * magnitude of 2^-100 or more has scale 0 and q 0. */
void weight_quant_int8(const float *row, int cols, int8_t *q, float *scale);
/* Each group as scale * (q - zero), q [cols] and zero from 0 to 15; scale (bf16) and zero one a
 * group. Of eight scales, around the one that just covers the range of the values and zero, with
 * two zero points each, the pair of least squared error is taken, as llama.cpp and AWQ search: that
 * leaves 4 % less error than the range alone, and a search without end a percent less. A group
 * without a value that counts beside the row's largest, or of 2^-100 or more, has scale 0, q 0 and
 * zero 0. */
void weight_quant_int4(const float *row, int cols, uint8_t *q, uint16_t *scale, uint8_t *zero);

#endif
