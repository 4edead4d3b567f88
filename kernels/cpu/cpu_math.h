/* cpu_math.h - lane-parallel blocks of the operations: functions of one value that a compiler can
 * vectorise, sums in a fixed order, rows in and out of f32. */
#ifndef KERNELS_CPU_CPU_MATH_H
#define KERNELS_CPU_CPU_MATH_H

#include "base/dtype.h"

#include <math.h>
#include <string.h>

static inline float madd(float a, float b, float c) /* a b + c, the same way in every lane */
{
#ifdef __FMA__
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

static inline float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t bits_of_float(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* e^x within 2e-7 of it, relatively; exactly 1 at 0, 0 at -infinity, infinity from 88.73 on.
 * x = n ln 2 + r; the magic number rounds n to a whole number in the low bits; 2^n is applied in
 * two halves so that neither leaves the range. */
static inline float exp_f32(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23, bits 0x4b400000 */
    float t, n, r, p;
    uint32_t twice, half;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    t = madd(x, 1.44269504f, magic);
    n = t - magic;
    r = madd(n, -0.693359375f, x); /* ln 2 in two parts; the first has 9 bits */
    r = madd(n, 2.12194440e-4f, r);
    p = madd(r, 0.0013813142f, 0.008369419f);
    p = madd(p, r, 0.041668456f);
    p = madd(p, r, 0.16666515f);
    p = madd(p, r, 0.49999994f);
    p = madd(p * r, r, r) + 1.0f;
    twice = bits_of_float(t) - 0x4b400000u + 254u; /* n + 2 * 127 */
    half = twice >> 1;
    return p * float_of_bits(half << 23) * float_of_bits((twice - half) << 23);
}

static inline float silu_f32(float x)
{
    return x / (1.0f + exp_f32(-x));
}

/* x (1 + tanh(u)) / 2 is x / (1 + e^-2u), which does not cancel for negative x. */
static inline float gelu_tanh_f32(float x)
{
    float u2 = 1.59576912f * madd(0.044715f * x * x, x, x);
    return x / (1.0f + exp_f32(-u2));
}

/* x times the normal distribution function, whose upper tail is e^(-z^2/2) times a polynomial in
 * 1 / (1 + 0.325 z), fitted so that the error of the product is below 2e-9 before rounding. */
static inline float gelu_erf_f32(float x)
{
    float z = fabsf(x), t = 1.0f / madd(0.325f, z, 1.0f), p, tail;
    p = madd(t, 0.04611349f, -0.23259477f);
    p = madd(p, t, 0.37228930f);
    p = madd(p, t, -0.12930162f);
    p = madd(p, t, 0.20027503f);
    p = madd(p, t, 0.11200582f);
    p = madd(p, t, 0.13121274f);
    tail = p * t * exp_f32(-0.5f * z * z);
    return x * (x < 0.0f ? tail : 1.0f - tail);
}

/* Sums keep 16 running parts, value i in part i % 16, added up by a tree at the end. */
#define PARTS 16

static inline float parts_sum(const float part[PARTS])
{
    float t[PARTS];
    memcpy(t, part, sizeof t);
    for (int width = PARTS / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            t[i] += t[i + width];
    return t[0];
}

/* Of the squares of n values less their mean. */
static inline float squares_sum(const float *x, float mean, int n)
{
    float part[PARTS] = {0};
    int i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int l = 0; l < PARTS; l++) {
            float d = x[i + l] - mean;
            part[l] = madd(d, d, part[l]);
        }
    for (int l = 0; i + l < n; l++) {
        float d = x[i + l] - mean;
        part[l] = madd(d, d, part[l]);
    }
    return parts_sum(part);
}

/* Of n values, a multiple of PARTS. */
static inline float values_sum(const float *x, int n)
{
    float part[PARTS];
    for (int l = 0; l < PARTS; l++)
        part[l] = x[l];
    for (int i = PARTS; i < n; i += PARTS)
        for (int l = 0; l < PARTS; l++)
            part[l] += x[i + l];
    return parts_sum(part);
}

/* The largest of max and n values, a multiple of PARTS. */
static inline float values_max(const float *x, int n, float max)
{
    float part[PARTS];
    for (int l = 0; l < PARTS; l++)
        part[l] = x[l];
    for (int i = PARTS; i < n; i += PARTS)
        for (int l = 0; l < PARTS; l++)
            part[l] = x[i + l] > part[l] ? x[i + l] : part[l];
    for (int l = 0; l < PARTS; l++)
        max = part[l] > max ? part[l] : max;
    return max;
}

/* A value of a run as a code: to nearest even, by the magic number. divisor is the scale of the
 * run, or infinity where there is none; whatever x is, the code is one. */
static inline int8_t code_of(float x, float divisor)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23, bits 0x4b400000 */
    float q = x / divisor;
    q = q < 127.0f ? q : 127.0f; /* a scale that is subnormal is coarse */
    q = q > -127.0f ? q : -127.0f;
    return (int8_t)(bits_of_float(q + magic) - 0x4b400000u);
}

/* Values are worked on as f32 in blocks that stay in the first-level cache. */
#define BLOCK 256

static inline void block_load(float *dst, enum dtype dtype, const void *src, int n)
{
    const uint16_t *h = src;
    switch (dtype) {
    case DT_F32:
        memcpy(dst, src, (size_t)n * sizeof *dst);
        return;
    case DT_BF16:
        for (int i = 0; i < n; i++)
            dst[i] = bf16_to_f32(h[i]);
        return;
    case DT_F16:
        for (int i = 0; i < n; i++)
            dst[i] = f16_to_f32(h[i]);
        return;
    case DT_ROW_INT8: /* they mean nothing without their scales */
    case DT_ROW_INT4:
        break;
    }
}

static inline void block_store(enum dtype dtype, void *dst, const float *src, int n) /* not F16 */
{
    uint16_t *h = dst;
    if (dtype == DT_F32) {
        memcpy(dst, src, (size_t)n * sizeof *src);
        return;
    }
    for (int i = 0; i < n; i++)
        h[i] = f32_to_bf16(src[i]);
}

#endif
