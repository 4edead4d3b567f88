/* dtype.h - the number formats of weights, activations and KV, and the conversions between them. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ROW_INT8, ROW_INT4: bytes of a row, quantised values and then their scales (kernels/tensor.h). */
enum dtype { DT_F32, DT_BF16, DT_F16, DT_ROW_INT8, DT_ROW_INT4 };

static inline int dtype_is_quantised(enum dtype dtype)
{
    return dtype >= DT_ROW_INT8;
}

static inline size_t dtype_size(enum dtype dtype)
{
    return dtype == DT_F32 ? 4 : dtype_is_quantised(dtype) ? 1 : 2;
}

static inline const char *dtype_name(enum dtype dtype) /* as safetensors writes it */
{
    static const char *const name[] = {"F32", "BF16", "F16", "ROW_INT8", "ROW_INT4"};
    return name[dtype];
}

static inline float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Round to nearest, ties to even; NaN stays a NaN. */
static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, bits = h & 0x7fffu, u;
    float f;
    if (bits >= 0x7c00u) { /* infinity, NaN */
        u = sign | 0x7f800000u | ((bits & 0x3ffu) << 13);
        memcpy(&f, &u, sizeof f);
    } else if (bits >= 0x400u) {
        u = sign | ((bits + (112u << 10)) << 13);
        memcpy(&f, &u, sizeof f);
    } else { /* zero, subnormal: bits * 2^-24, exact */
        f = (float)bits * 5.9604644775390625e-8f;
        f = sign ? -f : f;
    }
    return f;
}

/* FP8 with four bits of exponent and three of mantissa, without infinities: NaN is 0x7f and 0xff.
 * Every value is one of bf16, too. */
static inline float e4m3_to_f32(uint8_t code)
{
    uint32_t bits = code & 0x7fu, u = (bits << 20) + (120u << 23);
    float f = (float)bits * 0x1p-9f; /* zero, subnormal */
    if (bits == 0x7f) u = 0x7fc00000u;
    if (bits < 8) memcpy(&u, &f, sizeof u);
    u |= (uint32_t)(code & 0x80u) << 24;
    memcpy(&f, &u, sizeof f);
    return f;
}

#endif
