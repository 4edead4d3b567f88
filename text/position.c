/* position.c - M-RoPE coordinates and the cos/sin table they select. */
#include "text/position.h"

#include <math.h>

void position_text(int32_t *next, int n, struct pos *out)
{
    for (int i = 0; i < n; i++) {
        int32_t p = *next + i;
        out[i] = (struct pos){p, p, p};
    }
    *next += n;
}

void position_image(int32_t *next, struct grid grid, struct pos *out)
{
    for (int y = 0; y < grid.h; y++)
        for (int x = 0; x < grid.w; x++)
            *out++ = (struct pos){*next, *next + y, *next + x};
    *next += grid.h > grid.w ? grid.h : grid.w;
}

/* 1 / theta^(2i / dim), rounded to float where transformers rounds: after the exponent, the power
 * and the division. An angle is the float product of it and the position. */
static float inverse_frequency(const struct rope_config *c, int i)
{
    float exponent = (float)(2 * i) / (float)c->dim;
    float power = (float)pow((double)(float)c->theta, (double)exponent);
    return 1.0f / power;
}

/* Which coordinate turns frequency i: h and w take every third one up to their section. */
static int32_t coordinate(const struct rope_config *c, int i, struct pos p)
{
    if (i % 3 == 1 && i < 3 * c->section[1]) return p.h;
    if (i % 3 == 2 && i < 3 * c->section[2]) return p.w;
    return p.t;
}

void position_table(const struct rope_config *c, const struct pos *pos, int n, struct mat cos_sin)
{
    int half = c->dim / 2;
    float inv[ROPE_MAX_HALF];
    assert(half <= ROPE_MAX_HALF && cos_sin.dtype == DT_F32);
    assert(cos_sin.rows >= n && cos_sin.cols == c->dim);
    for (int i = 0; i < half; i++)
        inv[i] = inverse_frequency(c, i);
    for (int r = 0; r < n; r++) {
        float *row = mat_at(cos_sin, r, 0);
        for (int i = 0; i < half; i++) {
            float angle = (float)coordinate(c, i, pos[r]) * inv[i];
            row[i] = (float)cos((double)angle);
            row[half + i] = (float)sin((double)angle);
        }
    }
}
