/* cpu_amx_tile.h - the tile registers: eight of 16 rows of 64 bytes, by intrinsics, or, for tests
 * on machines without them, in memory. Register numbers are literals. */
#ifndef KERNELS_CPU_CPU_AMX_TILE_H
#define KERNELS_CPU_CPU_AMX_TILE_H

#include "base/dtype.h"

#include <string.h>

#ifdef VLQA_AMX_EMULATED
#include <float.h>
#include <math.h>

struct tile {
    uint8_t row[16][64];
};

struct tiles {
    struct tile t[8];
};

#define TILE_ZERO(s, i) memset(&(s)->t[i], 0, sizeof(s)->t[i])
#define TILE_LOAD(s, i, data, stride) tile_load(&(s)->t[i], data, stride)
#define TILE_STORE(s, i, data, stride) tile_store(&(s)->t[i], data, stride)
#define TILE_DOT(s, c, a, b) tile_dot(&(s)->t[c], &(s)->t[a], &(s)->t[b])

static inline void tiles_begin(struct tiles *s)
{
    memset(s, 0, sizeof *s);
}

static inline void tiles_end(struct tiles *s)
{
    (void)s;
}

static inline void tile_load(struct tile *t, const void *data, size_t stride)
{
    for (size_t r = 0; r < 16; r++)
        memcpy(t->row[r], (const uint8_t *)data + r * stride, 64);
}

static inline void tile_store(const struct tile *t, void *data, size_t stride)
{
    for (size_t r = 0; r < 16; r++)
        memcpy((uint8_t *)data + r * stride, t->row[r], 64);
}

static inline float tile_normal(float x) /* denormal numbers count as zero */
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

struct tile_values {
    float row[16][32];
};

static inline void tile_widen(struct tile_values *v, const struct tile *t)
{
    for (int r = 0; r < 16; r++)
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
static inline void tile_dot(struct tile *c, const struct tile *a, const struct tile *b)
{
    struct tile_values x, w;
    tile_widen(&x, a);
    tile_widen(&w, b);
    for (int m = 0; m < 16; m++)
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

#else
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

static inline void tiles_begin(struct tiles *s)
{
    memset(s, 0, sizeof *s);
    s->palette = 1;
    for (int i = 0; i < 8; i++) {
        s->bytes[i] = 64;
        s->rows[i] = 16;
    }
    tile_sees(s);
    _tile_loadconfig(s);
}

static inline void tiles_end(struct tiles *s)
{
    (void)s;
    _tile_release();
}
#endif

#endif
