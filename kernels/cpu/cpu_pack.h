/* cpu_pack.h - how the CPU keeps weights: one layout for all instruction sets.
 *
 * A panel is a block of 16 outputs. Its inputs are rounded up to a multiple of 32; what lies past
 * the ends of the matrix is zero. With k an input and o an output of the panel:
 *   F32, F16  [k][o]
 *   BF16      [k / 2][o][k % 2]: pairs, as dot products of pairs and AMX tiles read them
 *   INT8      [k / 4][o][4]: bytes of inputs 0, 2, 1, 3, so that the even and the odd ones are two
 *             pairs of neighbours (pack_int8_at); behind the last input the 16 scales
 *   INT4      a struct int4_group for 32 inputs
 * Inputs of the whole numbers lie so that a few shifts make words of 16 bits in pairs of them. */
#ifndef KERNELS_CPU_CPU_PACK_H
#define KERNELS_CPU_CPU_PACK_H

#include "kernels/backend.h"

#define PANEL WEIGHT_BLOCK /* outputs */
#define STEP 32            /* inputs: what there is of a panel is a multiple of it */

struct int4_group {
    uint32_t word[WEIGHT_GROUP / 8][PANEL]; /* input k: pack_int4_shift(k) of word k / 8 */
    uint16_t scale[PANEL];                  /* bf16 */
    uint8_t zero[PANEL];
};

_Static_assert(WEIGHT_GROUP == STEP, "a step of inputs is a group");

/* Where input k of output o is in a panel of INT8. */
static inline size_t pack_int8_at(int k, int o)
{
    return (size_t)(k / 4 * 4 * PANEL + 4 * o + (k & 1) * 2 + (k >> 1 & 1));
}

/* The first bit of input k in its word of INT4: pairs are sixteen bits apart. */
static inline int pack_int4_shift(int k)
{
    return (k % 8 / 2 + k % 2 * 4) * 4;
}

static inline int pack_inputs(int cols)
{
    return (cols + STEP - 1) / STEP * STEP;
}

size_t cpu_weight_block(const struct device *d, enum weight_format format, int cols);
void cpu_weight_pack(const struct device *d, void *block, const struct weight_rows *rows);
/* dst[cols] = the values of a row. */
void cpu_weight_row(float *dst, const struct weight *w, int row);

/* The panel of output 16 i and those behind it. */
static inline const uint8_t *cpu_panel(const struct weight *w, int i)
{
    return (const uint8_t *)w->data + (size_t)i * cpu_weight_block(NULL, w->format, w->cols);
}

#endif
