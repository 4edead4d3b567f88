/* cpu_vec.h - the vector of floats of the instruction set being compiled for.
 *
 * The one place where instruction sets differ. Everything is lane by lane; nothing but
 * vec_transpose moves values from one lane to another. */
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

VEC_INLINE vec vec_max(vec a, vec b) /* b where either is NaN */
{
    return _mm512_max_ps(a, b);
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

VEC_INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
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
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define VEC_LANES 4
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

VEC_INLINE vec vec_max(vec a, vec b)
{
    for (int i = 0; i < VEC_LANES; i++)
        b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
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

typedef uint32_t vec_bits __attribute__((vector_size(sizeof(vec))));

/* Lanes of whole numbers: one of 32 bits, or two of 16. */
typedef int32_t vec_ints __attribute__((vector_size(sizeof(vec))));
typedef int16_t vec_words __attribute__((vector_size(sizeof(vec))));

VEC_INLINE vec_ints vec_load_ints(const void *p)
{
    vec_ints a;
    memcpy(&a, p, sizeof a);
    return a;
}

VEC_INLINE vec vec_from_ints(vec_ints a) /* the nearest floats */
{
    return __builtin_convertvector(a, vec);
}

/* sum, and in each lane the products of its two words. Whole numbers: every order is exact, and
 * compilers know it. They would keep many products for later, for which there are no registers. */
VEC_INLINE vec_ints vec_dot_words(vec_ints a, vec_ints b, vec_ints sum)
{
#if defined(__AVX512VNNI__)
    return (vec_ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    vec_ints both;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(both) : "x"(a), "x"(b));
    return sum;
#elif defined(__SSE2__)
    sum += (vec_ints)_mm_madd_epi16((__m128i)a, (__m128i)b);
    __asm__("" : "+x"(sum));
    return sum;
#else
    return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

/* The lanes of a vector as pairs of bf16, in the order of memory: either of each pair, widened. */
VEC_INLINE vec vec_pair_first(vec pairs)
{
    return (vec)((vec_bits)pairs << 16);
}

VEC_INLINE vec vec_pair_second(vec pairs)
{
    return (vec)((vec_bits)pairs & 0xffff0000u);
}

/* 2^x for x <= 0, within 2e-7 of it, relatively; exactly 1 at 0, 0 from -126.5 on. x = n + r; the
 * magic number rounds n to a whole number in the low bits. */
VEC_INLINE vec vec_exp2(vec x)
{
    const vec magic = vec_all(12582912.0f); /* 1.5 * 2^23, bits 0x4b400000 */
    vec n, r, p;
    x = vec_max(vec_all(-127.0f), x);
    n = x + magic;
    r = x - (n - magic);
    p = vec_madd(r, vec_all(0.00132647273f), vec_all(0.00967151299f));
    p = vec_madd(p, r, vec_all(0.0555073358f));
    p = vec_madd(p, r, vec_all(0.240222424f));
    p = vec_madd(p, r, vec_all(0.693147004f));
    p = vec_madd(p, r, vec_all(1.0f));
    return p * (vec)(((vec_bits)n - (0x4b400000u - 127u)) << 23);
}

#endif
