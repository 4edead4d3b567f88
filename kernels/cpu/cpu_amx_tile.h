/* cpu_amx_tile.h - the tile registers, by intrinsics, or, for tests on machines without them, in
 * memory, and a product by them.
 *
 * Eight registers of 16 rows of 64 bytes: 0 to 3 sums, 4 and 5 what comes in rows (both may be set
 * to fewer rows), 6 and 7 panels. Their numbers are literals. */
#ifndef KERNELS_CPU_CPU_AMX_TILE_H
#define KERNELS_CPU_CPU_AMX_TILE_H

#include "base/dtype.h"
#include "kernels/cpu/cpu.h"

#include <string.h>

#ifdef VLQA_AMX_EMULATED
#include <float.h>
#include <math.h>

struct tile {
    uint8_t row[16][64];
};

struct tiles {
    struct tile t[8];
    int rows; /* of registers 0 to 5 */
};

#define TILE_ZERO(s, i) memset(&(s)->t[i], 0, sizeof(s)->t[i])
#define TILE_LOAD(s, i, data, stride) tile_load(&(s)->t[i], (i) < 6 ? (s)->rows : 16, data, stride)
#define TILE_STORE(s, i, data, stride) tile_store(&(s)->t[i], (s)->rows, data, stride)
#define TILE_DOT(s, c, a, b) tile_dot((s)->rows, &(s)->t[c], &(s)->t[a], &(s)->t[b])

static inline void tiles_begin(struct tiles *s, int rows)
{
    memset(s, 0, sizeof *s);
    s->rows = rows;
}

static inline void tiles_end(struct tiles *s)
{
    (void)s;
}

static inline void tile_load(struct tile *t, int rows, const void *data, size_t stride)
{
    for (int r = 0; r < rows; r++)
        memcpy(t->row[r], (const uint8_t *)data + (size_t)r * stride, 64);
}

static inline void tile_store(const struct tile *t, int rows, void *data, size_t stride)
{
    for (int r = 0; r < rows; r++)
        memcpy((uint8_t *)data + (size_t)r * stride, t->row[r], 64);
}

static inline float tile_normal(float x) /* denormal numbers count as zero */
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

struct tile_values {
    float row[16][32];
};

static inline void tile_widen(struct tile_values *v, int rows, const struct tile *t)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < 32; c++) {
            uint16_t h;
            memcpy(&h, t->row[r] + 2 * c, sizeof h);
            v->row[r][c] = tile_normal(bf16_to_f32(h));
        }
}

/* a b + c, rounded once. Faster than fmaf, and the same: in double the product of two bf16 is
 * exact, and its sum with a float is exact or too far from a tie of floats to be rounded to one. */
static inline float tile_madd(float a, float b, float c)
{
    return tile_normal((float)((double)a * (double)b + (double)c));
}

/* c[m][n] += even + odd, where even sums a[m][2 k] b[k][2 n] and odd a[m][2 k + 1] b[k][2 n + 1],
 * each over ascending k. This order was measured: with it 320,000 sums have the bits of an AMX
 * machine, while of one chain over even and odd products in turn 89,214 differ. That an addition is
 * fused with its product, rounds to nearest even and neither reads nor writes denormal numbers is
 * what Intel says of TDPBF16PS. */
static inline void tile_dot(int rows, struct tile *c, const struct tile *a, const struct tile *b)
{
    struct tile_values x, w;
    tile_widen(&x, rows, a);
    tile_widen(&w, 16, b);
    for (int m = 0; m < rows; m++)
        for (int n = 0; n < 16; n++) {
            float sum, even = 0, odd = 0;
            for (int k = 0; k < 16; k++) {
                even = tile_madd(x.row[m][2 * k], w.row[k][2 * n], even);
                odd = tile_madd(x.row[m][2 * k + 1], w.row[k][2 * n + 1], odd);
            }
            memcpy(&sum, c->row[m] + 4 * n, sizeof sum);
            sum = tile_normal(tile_normal(sum) + tile_normal(even + odd));
            memcpy(c->row[m] + 4 * n, &sum, sizeof sum);
        }
}

#elif CPU_AMX
#include <immintrin.h>

struct tiles { /* the configuration as the instruction reads it */
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
};

/* The intrinsics of gcc 12 do not say that they read memory: pending stores are made real. */
static inline void tile_sees(const void *data)
{
    __asm__ volatile("" ::"r"(data) : "memory");
}

#define TILE_ZERO(s, i) \
    do {                \
        (void)(s);      \
        _tile_zero(i);  \
    } while (0)
#define TILE_LOAD(s, i, data, stride) \
    do {                              \
        (void)(s);                    \
        tile_sees(data);              \
        _tile_loadd(i, data, stride); \
    } while (0)
#define TILE_STORE(s, i, data, stride) _tile_stored(i, data, stride)
#define TILE_DOT(s, c, a, b) _tile_dpbf16ps(c, a, b)

static inline void tiles_begin(struct tiles *s, int rows)
{
    memset(s, 0, sizeof *s);
    s->palette = 1;
    for (int i = 0; i < 8; i++) {
        s->bytes[i] = 64;
        s->rows[i] = (uint8_t)(i < 6 ? rows : 16);
    }
    tile_sees(s);
    _tile_loadconfig(s);
}

static inline void tiles_end(struct tiles *s)
{
    (void)s;
    _tile_release();
}

#else

struct tiles { /* other sets have none */
    char none;
};

#endif

#if CPU_AMX

/* c[rows, 16 panels] (+)= a[rows, k] b, k a multiple of 32 in steps of 32 that ascend. More rows
 * than the registers are set to are there, as memory, up to a multiple of 32, or of 16 where they
 * are fewer. */
struct tile_product {
    float *c;
    const uint16_t *a;
    const uint8_t *b; /* [panels][k / 2][16] pairs: of a step, 16 pairs of each of 16 outputs */
    size_t panel_bytes;
    int ldc, lda, rows, panels, k, add;
};

/* Up to 32 rows and two panels, or one twice, whose second sums are not kept. */
static inline void tile_square(struct tiles *t, const struct tile_product *p, int row, int panel)
{
    const int tall = p->rows - row > 16, wide = panel + 1 < p->panels;
    const size_t lda = (size_t)p->lda * sizeof *p->a, ldc = (size_t)p->ldc * sizeof *p->c;
    const uint16_t *a = p->a + row * p->lda;
    const uint8_t *b = p->b + (size_t)panel * p->panel_bytes;
    float *c = p->c + row * p->ldc + panel * 16, *below = c + 16 * p->ldc;
    if (!p->add) {
        TILE_ZERO(t, 0);
        TILE_ZERO(t, 1);
        TILE_ZERO(t, 2);
        TILE_ZERO(t, 3);
    } else {
        TILE_LOAD(t, 0, c, ldc);
        TILE_LOAD(t, 1, c + wide * 16, ldc);
        if (tall) TILE_LOAD(t, 2, below, ldc);
        if (tall) TILE_LOAD(t, 3, below + wide * 16, ldc);
    }
    for (int k = 0; k < p->k; k += 32, b += 1024) {
        TILE_LOAD(t, 4, a + k, lda);
        TILE_LOAD(t, 6, b, (size_t)64);
        TILE_LOAD(t, 7, b + (wide ? p->panel_bytes : 0), (size_t)64);
        TILE_DOT(t, 0, 4, 6);
        TILE_DOT(t, 1, 4, 7);
        if (!tall) continue;
        TILE_LOAD(t, 5, a + 16 * p->lda + k, lda);
        TILE_DOT(t, 2, 5, 6);
        TILE_DOT(t, 3, 5, 7);
    }
    TILE_STORE(t, 0, c, ldc);
    if (wide) TILE_STORE(t, 1, c + 16, ldc);
    if (tall) TILE_STORE(t, 2, below, ldc);
    if (tall && wide) TILE_STORE(t, 3, below + 16, ldc);
}

static inline void tile_multiply(struct tiles *t, const struct tile_product *p)
{
    for (int panel = 0; panel < p->panels; panel += 2)
        for (int row = 0; row < p->rows; row += 32)
            tile_square(t, p, row, panel);
}

#endif

#endif
