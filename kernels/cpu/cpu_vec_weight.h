/* cpu_vec_weight.h - vectors of weights out of a panel (cpu_pack.h): floats widened to f32, whole
 * numbers to words of 16 bits. */
#ifndef KERNELS_CPU_CPU_VEC_WEIGHT_H
#define KERNELS_CPU_CPU_VEC_WEIGHT_H

#include "kernels/cpu/cpu_pack.h"
#include "kernels/cpu/cpu_vec.h"

#define PANEL_VECS (PANEL / VEC_LANES)

/* Words hold two bf16: the even input below, the odd one above. */
#if defined(__AVX512F__)

VEC_INLINE vec vec_bf16_of_pair(const void *words, int odd)
{
    __m512i w = _mm512_loadu_si512(words);
    return _mm512_castsi512_ps(odd ? _mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000u))
                                   : _mm512_slli_epi32(w, 16));
}

VEC_INLINE vec vec_uint8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p)));
}

#elif defined(__AVX2__)

VEC_INLINE vec vec_bf16_of_pair(const void *words, int odd)
{
    __m256i w = _mm256_loadu_si256(words);
    return _mm256_castsi256_ps(odd ? _mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000u))
                                   : _mm256_slli_epi32(w, 16));
}

VEC_INLINE vec vec_uint8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)));
}

#else

VEC_INLINE vec vec_bf16_of_pair(const void *words, int odd)
{
    vec_bits w = (vec_bits)vec_load_ints(words);
    return (vec)(odd ? w & 0xffff0000u : w << 16);
}

VEC_INLINE vec vec_uint8(const void *p)
{
    const uint8_t *q = p;
    return (vec){(float)q[0], (float)q[1], (float)q[2], (float)q[3]};
}

#endif

/* Vectors fuse a product with its sum, and can take denormal numbers for zero, as AMX does. */
#ifdef __FMA__
#define VEC_FUSED 1

VEC_INLINE unsigned vec_flush_denormals(void)
{
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040); /* results, operands */
    return mode;
}

VEC_INLINE void vec_mode(unsigned mode)
{
    _mm_setcsr(mode);
}
#else
#define VEC_FUSED 0
#endif

/* Pair i of the eight inputs at `at`, of the outputs of vector v, as words: inputs 2 i and 2 i + 1.
 */
VEC_INLINE vec_ints weight_words(enum weight_format format, const uint8_t *at, int i, int v)
{
    size_t o = (size_t)(v * VEC_LANES) * sizeof(uint32_t);
    if (format == WEIGHT_INT4) {
        vec_bits w = (vec_bits)vec_load_ints(at + o);
        return (vec_ints)(w >> 4 * i & 0x000f000fu);
    } else {
        vec_words w = (vec_words)vec_load_ints(at + (size_t)(i / 2 * PANEL) * sizeof(uint32_t) + o);
        return (vec_ints)(i % 2 ? w >> 8 : w << 8 >> 8);
    }
}

/* Bytes of eight inputs of a panel. */
VEC_INLINE size_t weight_eight(enum weight_format format)
{
    return format == WEIGHT_F32    ? PANEL * 8 * sizeof(float)
           : format == WEIGHT_INT8 ? PANEL * 8
           : format == WEIGHT_INT4 ? PANEL * sizeof(uint32_t)
                                   : PANEL * 8 * sizeof(uint16_t);
}

/* Vector v of input i of the eight at `at`. */
VEC_INLINE vec weight_vec(enum weight_format format, const uint8_t *at, int i, int v)
{
    int o = v * VEC_LANES;
    switch (format) {
    case WEIGHT_F32:
        return vec_load(DT_F32, at + (size_t)(i * PANEL + o) * sizeof(float));
    case WEIGHT_F16:
        return vec_load(DT_F16, at + (size_t)(i * PANEL + o) * sizeof(uint16_t));
    case WEIGHT_BF16:
        return vec_bf16_of_pair(at + (size_t)(i / 2 * PANEL + o) * sizeof(uint32_t), i % 2);
    case WEIGHT_INT8: /* weight_words */
    case WEIGHT_INT4:
    case WEIGHT_FP8: /* not held */
        break;
    }
    return vec_zero();
}

#endif
