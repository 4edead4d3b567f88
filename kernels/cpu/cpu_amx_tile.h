/* cpu_amx_tile.h - the tile registers: eight of 16 rows of 64 bytes, by intrinsics, or, for tests
 * on machines without them, in memory. Register numbers are literals. */
#ifndef KERNELS_CPU_CPU_AMX_TILE_H
#define KERNELS_CPU_CPU_AMX_TILE_H

#include "base/dtype.h"

#include <string.h>

#ifdef VLQA_AMX_EMULATED

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

static inline float tile_bf16(const struct tile *t, int row, int col)
{
    uint16_t h;
    memcpy(&h, t->row[row] + 2 * col, sizeof h);
    return bf16_to_f32(h);
}

/* c[m][n] += a[m][2 k] b[k][2 n] + a[m][2 k + 1] b[k][2 n + 1] */
static inline void tile_dot(struct tile *c, const struct tile *a, const struct tile *b)
{
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float sum;
            memcpy(&sum, c->row[m] + 4 * n, sizeof sum);
            for (int k = 0; k < 16; k++) {
                sum += tile_bf16(a, m, 2 * k) * tile_bf16(b, k, 2 * n);
                sum += tile_bf16(a, m, 2 * k + 1) * tile_bf16(b, k, 2 * n + 1);
            }
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
