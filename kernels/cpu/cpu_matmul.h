/* cpu_matmul.h - what the files of a matrix product share. */
#ifndef KERNELS_CPU_CPU_MATMUL_H
#define KERNELS_CPU_CPU_MATMUL_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_pack.h"

#if CPU_AMX || defined(__AVX512BF16__)
#define CPU_PAIRS 1 /* products of pairs of bf16 */
#else
#define CPU_PAIRS 0
#endif

#ifdef __AVX512F__
#define TILE_ROWS 12 /* of x, in a register tile */
#elif defined(__AVX2__)
#define TILE_ROWS 6
#else
#define TILE_ROWS 3
#endif

#define PART_ROWS 96   /* of x, in an item of work: a multiple of every register tile */
#define PART_PANELS 16 /* of w */
#define CHUNK 256      /* inputs that are summed by themselves, but for tiles of AMX */
#define AMX_CHUNK 512  /* inputs at a time; sums go on */

enum kind { /* of a part: the format of its weights, and pairs of bf16 on both sides */
            KIND_F32 = WEIGHT_F32,
            KIND_BF16 = WEIGHT_BF16,
            KIND_F16 = WEIGHT_F16,
            KIND_INT8 = WEIGHT_INT8,
            KIND_INT4 = WEIGHT_INT4,
            KIND_PAIRS
};

/* A part of a product: some rows of x, some panels of w, the inputs of a chunk. */
struct part {
    const void *x; /* [rows, ldx] f32, bf16 or int16; zeros behind the last input up to a STEP */
    const float *scale; /* INT8, INT4: [rows], of the int16 */
    const float *sum;   /* INT4: [rows, CHUNK / WEIGHT_GROUP] sums of the int16 of each group */
    int ldx, rows;
    const char *next;   /* the inputs of the next chunk where the caller has them; NULL: none */
    size_t next_stride; /* bytes from a row to the next */
    const uint8_t *w;   /* the first panel, from this chunk on */
    size_t panel_bytes, chunk_bytes; /* of all inputs of a panel, and of these */
    int panels, inputs;              /* inputs: a multiple of STEP */
    float *out;                      /* [rows, ldo]: added to, but for the first chunk */
    int ldo, first;
};

void CPU(part)(enum kind kind, const struct part *p);
/* Both of bf16. Rows of x and out are there up to a multiple of 32, if only as zeros. */
void CPU(part_amx)(const struct part *p);

#endif
