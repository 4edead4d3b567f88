/* cpu_matmul.h - panels: the unit of work of a matrix product. */
#ifndef KERNELS_CPU_CPU_MATMUL_H
#define KERNELS_CPU_CPU_MATMUL_H

#include "kernels/cpu/cpu.h"

/* AMX multiplies tiles; a test compiles it over a C emulation of them. */
#if defined(__AMX_BF16__) || defined(VLQA_AMX_EMULATED)
#define CPU_AMX 1
#else
#define CPU_AMX 0
#endif

#define PANEL_OUTS 64 /* rows of w, at most */

/* out[r * ld + o] = dot(x row r, w row o) in f32 by one worker, in its area; x f32, w of at most
 * PANEL_OUTS rows. The same bits as matmul. */
void CPU(dots)(const struct queue *q, int worker, float *out, int ld, struct mat x, struct mat w);

#define AMX_PANEL_ROWS 128 /* rows of x */
#define AMX_PANEL_OUTS 512 /* rows of w */
#define AMX_DEPTH 2048     /* columns of x that are packed at a time */

struct amx_work {
    /* [row / 16][column / 32][pair of columns][row % 16]; a word is a pair of bf16 */
    float packed[AMX_PANEL_ROWS / 16][AMX_DEPTH / 32][16][16];
};

/* out[r * ld + o] = dot(x row r, w row o) for bf16, in f32. x and w are at most a panel; out has
 * room for rows and outs rounded up to 32. */
void CPU(dots_amx)(float *out, int ld, struct mat x, struct mat w, struct amx_work *work);

#endif
