/* cpu_vec.h - the vector of floats of the instruction set being compiled for.
 *
 * The one place where instruction sets differ. Everything is lane by lane, except vec_sum4, whose
 * tree is fixed, and vec_dot_pairs, which is one instruction. */
#ifndef KERNELS_CPU_CPU_VEC_H
#define KERNELS_CPU_CPU_VEC_H

#include "base/dtype.h"

#include <string.h>

#define VEC_INLINE static inline __attribute__((always_inline))

/* A loop of a few constant turns, unrolled so that its arrays of vectors become registers. */
#ifdef __clang__
#define VEC_EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define VEC_EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)
#endif

#if defined(__AVX512F__)
#include <immintrin.h>

#define VEC_LANES 16
#define VEC_TILE_ROWS 6 /* rows of a register tile: 4 vectors a row, operands, 32 registers */
#define VEC_TILE_OUTS 4
typedef __m512 vec;

VEC_INLINE vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

VEC_INLINE vec vec_all(float f)
{
    return _mm512_set1_ps(f);
}

VEC_INLINE vec vec_madd(vec a, vec b, vec c) /* a b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}

VEC_INLINE void vec_store(float *p, vec a)
{
    _mm512_storeu_ps(p, a);
}

VEC_INLINE vec vec_widen_bf16(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

VEC_INLINE vec vec_load(enum dtype dtype, const void *p)
{
    if (dtype == DT_F32) return _mm512_loadu_ps(p);
    if (dtype == DT_BF16) return vec_widen_bf16(_mm256_loadu_si256(p));
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

/* The first n values, then zeros. */
VEC_INLINE vec vec_load_n(enum dtype dtype, const void *p, int n)
{
    __mmask16 mask = (__mmask16)((1u << n) - 1u);
    if (dtype == DT_F32) return _mm512_maskz_loadu_ps(mask, p);
    if (dtype == DT_BF16) return vec_widen_bf16(_mm256_maskz_loadu_epi16(mask, p));
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
}

VEC_INLINE __m256 vec_halves(vec a)
{
    return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
}

/* out[i] = the sum of the lanes of the i-th vector. */
VEC_INLINE void vec_sum4(float out[4], vec a, vec b, vec c, vec d)
{
    vec ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    vec cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    vec lo = _mm512_shuffle_ps(ab, cd, 0x44), hi = _mm512_shuffle_ps(ab, cd, 0xee);
    __m256 h = vec_halves(_mm512_add_ps(lo, hi));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

VEC_INLINE void vec_transpose(vec r[16])
{
    vec t[16];
    for (int i = 0; i < 16; i += 4) {
        vec ab_lo = _mm512_unpacklo_ps(r[i], r[i + 1]),
            cd_lo = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
        vec ab_hi = _mm512_unpackhi_ps(r[i], r[i + 1]),
            cd_hi = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(ab_lo, cd_lo, 0x44);
        t[i + 1] = _mm512_shuffle_ps(ab_lo, cd_lo, 0xee);
        t[i + 2] = _mm512_shuffle_ps(ab_hi, cd_hi, 0x44);
        t[i + 3] = _mm512_shuffle_ps(ab_hi, cd_hi, 0xee);
    }
    for (int i = 0; i < 4; i++) { /* quarter q of t[i + 4g] holds columns 4q + i of rows 4g.. */
        vec even_lo = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
        vec odd_lo = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        vec even_hi = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        vec odd_hi = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(even_lo, even_hi, 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(odd_lo, odd_hi, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(even_lo, even_hi, 0xdd);
        r[i + 12] = _mm512_shuffle_f32x4(odd_lo, odd_hi, 0xdd);
    }
}

#elif defined(__AVX2__)
#include <immintrin.h>

#define VEC_LANES 8
#define VEC_TILE_ROWS 3
#define VEC_TILE_OUTS 4
typedef __m256 vec;

VEC_INLINE vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

VEC_INLINE vec vec_all(float f)
{
    return _mm256_set1_ps(f);
}

VEC_INLINE vec vec_madd(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VEC_INLINE void vec_store(float *p, vec a)
{
    _mm256_storeu_ps(p, a);
}

VEC_INLINE vec vec_load(enum dtype dtype, const void *p)
{
    if (dtype == DT_F32) return _mm256_loadu_ps(p);
    if (dtype == DT_BF16)
        return _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

VEC_INLINE void vec_sum4(float out[4], vec a, vec b, vec c, vec d)
{
    vec ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    vec cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    vec lo = _mm256_shuffle_ps(ab, cd, 0x44), hi = _mm256_shuffle_ps(ab, cd, 0xee);
    vec h = _mm256_add_ps(lo, hi);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

VEC_INLINE void vec_transpose(vec r[8])
{
    vec t[8];
    for (int i = 0; i < 8; i += 4) {
        vec ab_lo = _mm256_unpacklo_ps(r[i], r[i + 1]),
            cd_lo = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
        vec ab_hi = _mm256_unpackhi_ps(r[i], r[i + 1]),
            cd_hi = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(ab_lo, cd_lo, 0x44);
        t[i + 1] = _mm256_shuffle_ps(ab_lo, cd_lo, 0xee);
        t[i + 2] = _mm256_shuffle_ps(ab_hi, cd_hi, 0x44);
        t[i + 3] = _mm256_shuffle_ps(ab_hi, cd_hi, 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}

#else

#define VEC_LANES 4
#define VEC_TILE_ROWS 2
#define VEC_TILE_OUTS 4
typedef float vec __attribute__((vector_size(16)));

VEC_INLINE vec vec_zero(void)
{
    return (vec){0, 0, 0, 0};
}

VEC_INLINE vec vec_all(float f)
{
    return (vec){f, f, f, f};
}

VEC_INLINE vec vec_madd(vec a, vec b, vec c)
{
    return a * b + c;
}

VEC_INLINE void vec_store(float *p, vec a)
{
    memcpy(p, &a, sizeof a);
}

VEC_INLINE vec vec_load(enum dtype dtype, const void *p)
{
    uint16_t h[4];
    vec a;
    if (dtype == DT_F32) {
        memcpy(&a, p, sizeof a);
        return a;
    }
    memcpy(h, p, sizeof h);
    if (dtype == DT_BF16)
        return (vec){bf16_to_f32(h[0]), bf16_to_f32(h[1]), bf16_to_f32(h[2]), bf16_to_f32(h[3])};
    return (vec){f16_to_f32(h[0]), f16_to_f32(h[1]), f16_to_f32(h[2]), f16_to_f32(h[3])};
}

VEC_INLINE float vec_sum(vec a)
{
    return (a[0] + a[2]) + (a[1] + a[3]);
}

VEC_INLINE void vec_sum4(float out[4], vec a, vec b, vec c, vec d)
{
    out[0] = vec_sum(a);
    out[1] = vec_sum(b);
    out[2] = vec_sum(c);
    out[3] = vec_sum(d);
}

VEC_INLINE void vec_transpose(vec r[4])
{
    vec t[4] = {r[0], r[1], r[2], r[3]};
    for (int i = 0; i < 4; i++)
        r[i] = (vec){t[0][i], t[1][i], t[2][i], t[3][i]};
}

#endif

#ifndef __AVX512F__
VEC_INLINE vec vec_load_n(enum dtype dtype, const void *p, int n)
{
    float padded[VEC_LANES] = {0};
    memcpy(padded, p, (size_t)n * dtype_size(dtype));
    return vec_load(dtype, padded);
}
#endif

/* Pairs of bf16 kept as they are: vec_dot_pairs multiplies 2 * VEC_LANES of them and adds the two
 * products of a lane to it. Without the instruction the values are widened one vector at a time. */
#ifdef __AVX512BF16__
#define VEC_PAIRS (2 * VEC_LANES)

VEC_INLINE vec vec_load_pairs(const void *p)
{
    return _mm512_loadu_ps(p);
}

VEC_INLINE vec vec_load_pairs_n(const void *p, int n)
{
    __mmask32 mask = (__mmask32)(((uint64_t)1 << n) - 1u);
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, p));
}

VEC_INLINE vec vec_dot_pairs(vec a, vec b, vec c)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
#else
#define VEC_PAIRS VEC_LANES

VEC_INLINE vec vec_load_pairs(const void *p)
{
    return vec_load(DT_BF16, p);
}

VEC_INLINE vec vec_load_pairs_n(const void *p, int n)
{
    return vec_load_n(DT_BF16, p, n);
}

VEC_INLINE vec vec_dot_pairs(vec a, vec b, vec c)
{
    return vec_madd(a, b, c);
}
#endif

#endif
