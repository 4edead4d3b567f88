/* weight_packed.h - matrices that a file has in few bits: integers as compressed-tensors writes
 * them, and FP8.
 *
 * "pack-quantized": NAME_packed, int32 words of eight 4-bit or four 8-bit values, unsigned by an
 * offset of 8 or 128, the first in the lowest bits; NAME_scale, [rows, groups]; NAME_zero_point,
 * words along the rows, or none where the offset is the zero point; NAME_shape. "int-quantized":
 * NAME, int8, and NAME_scale.
 *
 * FP8: NAME, F8_E4M3, and what its values are multiplied by: NAME_scale_inv or NAME_scale, one for
 * blocks of 128 x 128, for a row or for all. What is there for activations is marked, not read. */
#ifndef KERNELS_WEIGHT_PACKED_H
#define KERNELS_WEIGHT_PACKED_H

#include "base/safetensors.h"
#include "kernels/tensor.h"

struct weight_packed {
    const struct st_tensor *value, *scale, *zero; /* value NULL: the file has floats */
    enum weight_format format;                    /* WEIGHT_INT8, WEIGHT_INT4 or WEIGHT_FP8 */
    int rows, cols, group; /* group: columns that share a scale in the file; int8: all */
    int group_rows;        /* FP8: rows that share one: 1, 128 or all */
    int is_plain;          /* the int8 values are not in words */
};

/* Names of all that may belong to a matrix are marked, so that others are known. */
void weight_packed_ignore(struct st_files *files, const char *name);
/* Finds the tensors of [rows, cols] and checks them. VLQA_EMODEL: one is missing, of another shape
 * or type, or says what the formats of this program cannot hold exactly. */
vlqa_status weight_packed_want(struct env *env, struct st_files *files, const char *name, int rows,
                               int cols, struct weight_packed *out);
/* Bytes of scratch for a block of WEIGHT_BLOCK rows. */
size_t weight_packed_scratch(int cols);
/* Rows [first, first + n), n up to WEIGHT_BLOCK and first a multiple of it, into value [n, cols]
 * bytes, scale and zero as struct weight_rows has them. Any threads at once. VLQA_EMODEL: a scale
 * is not finite, of no bf16 with INT4, or so large that FP8 overflows; a value of FP8 is a NaN. */
vlqa_status weight_packed_rows(struct env *env, const struct st_files *files,
                               const struct weight_packed *p, int first, int n, void *scratch,
                               uint8_t *value, void *scale, uint8_t *zero);

#endif
