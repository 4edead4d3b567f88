/* position.c - M-RoPE coordinates and the frequencies they turn. */
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
static int axis_of(const struct rope_config *c, int i)
{
    if (i % 3 == 1 && i < 3 * c->section[1]) return 1;
    if (i % 3 == 2 && i < 3 * c->section[2]) return 2;
    return 0;
}

void rope_inverse(const struct rope_config *c, float *out)
{
    int half = c->dim / 2;
    for (int axis = 0; axis < 3; axis++)
        for (int i = 0; i < half; i++)
            out[axis * half + i] = axis == axis_of(c, i) ? inverse_frequency(c, i) : 0.0f;
}
