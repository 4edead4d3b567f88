/* cuda_quant.cuh - eight bits for a run of values, or four for a group: scales and codes, with the
 * steps of CPU(quantize), so the bytes are the same. */
#ifndef KERNELS_CUDA_CUDA_QUANT_CUH
#define KERNELS_CUDA_CUDA_QUANT_CUH

#include "kernels/cuda/cuda.cuh"

struct quantized_run { /* of a row of packed: n codes, and their scale */
    int8_t *code;
    uint8_t *scale;
};

DEVICE struct quantized_run quantized_run_of(struct mat packed, int cols, int heads, int row,
                                             int head)
{
    uint8_t *at = (uint8_t *)packed.data + element_of(packed, row, 0);
    struct quantized_run r = {(int8_t *)at + head * (cols / heads), at + cols + head * 4};
    return r;
}

DEVICE float scale_at(const uint8_t *bytes) /* anywhere: rows are bytes */
{
    uint32_t bits = 0;
    for (int b = 0; b < 4; b++)
        bits |= (uint32_t)bytes[b] << 8 * b;
    return __uint_as_float(bits);
}

DEVICE void store_scale(struct quantized_run r, float scale)
{
    for (int b = 0; b < 4; b++)
        r.scale[b] = (uint8_t)(__float_as_uint(scale) >> 8 * b);
}

DEVICE uint32_t magnitude_of(float x) /* in the order of magnitudes */
{
    return __float_as_uint(x) & 0x7fffffffu;
}

/* The largest magnitude / 127, NaN where a value is not finite. In double the product with 1 / 127,
 * rounded to f32, is the quotient rounded to f32: no quotient of two f32 is nearer to the middle of
 * two f32 than 2^-49 of it. */
DEVICE float scale_for(uint32_t most)
{
    return (float)(__uint_as_float(most < 0x7f800000u ? most : 0x7fc00000u) * (1.0 / 127.0));
}

/* By what values are multiplied; 0 where the scale is 0 or NaN. */
DEVICE double factor_for(float scale)
{
    return scale > 0 ? 1.0 / (double)scale : 0.0;
}

DEVICE int8_t code_for(float x, double factor)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23, bits 0x4b400000: rounds to nearest even */
    float v = (float)(x * factor);
    v = v < 127.0f ? v : 127.0f;
    v = v > -127.0f ? v : -127.0f;
    return (int8_t)(__float_as_uint(v + magic) - 0x4b400000u);
}

/* ---- four bits ---- */

struct group { /* of a run of a row: n codes, two a byte, and step and base, as bf16 */
    uint8_t *code, *scales;
    int col, n; /* its values, from a column of the row on */
};

DEVICE int groups_of(int run)
{
    return (run + ROW_INT4_GROUP - 1) / ROW_INT4_GROUP;
}

/* Group `at` of a row of `cols` values, all heads counted. */
DEVICE struct group group_of(struct mat packed, int cols, int heads, int row, int at)
{
    int run = cols / heads, groups = groups_of(run), head = at / groups;
    int first = at % groups * ROW_INT4_GROUP;
    uint8_t *begin = (uint8_t *)packed.data + element_of(packed, row, 0);
    struct group g = {begin + head * ((run + 1) / 2) + first / 2,
                      begin + heads * ((run + 1) / 2) + at * 4, head * run + first,
                      run - first < ROW_INT4_GROUP ? run - first : ROW_INT4_GROUP};
    return g;
}

DEVICE float bf16_at(const uint8_t *bytes) /* anywhere */
{
    return bf16_float((uint16_t)(bytes[0] | bytes[1] << 8));
}

DEVICE void store_bf16(uint8_t *bytes, float x) /* one that bf16 holds */
{
    bytes[0] = (uint8_t)(__float_as_uint(x) >> 16);
    bytes[1] = (uint8_t)(__float_as_uint(x) >> 24);
}

DEVICE uint8_t code4_for(float x, float base, float by)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23, bits 0x4b400000: rounds to nearest even */
    float v = (x - base) * by;
    v = v < 15.0f ? v : 15.0f;
    v = v > 0.0f ? v : 0.0f;
    return (uint8_t)(__float_as_uint(v + magic) - 0x4b400000u);
}

DEVICE float group_value(const struct group &g, int i)
{
    return bf16_at(g.scales + 2) + (float)(g.code[i / 2] >> 4 * (i % 2) & 15) * bf16_at(g.scales);
}

#endif
