/* weight_quant.c - which instruction set quantises rows of weights: all give the same bits. */
#include "kernels/weight_quant.h"

#include "kernels/cpu/cpu_weight_quant.h"

#include <assert.h>

#ifdef VLQA_CPU_X86
#define HAS_AVX2 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#else
#define HAS_AVX2 0
#define cpu_weight_int8_avx2 cpu_weight_int8_plain
#define cpu_weight_int4_avx2 cpu_weight_int4_plain
#endif

void weight_quant_int8(const float *row, int cols, int8_t *q, float *scale)
{
    assert(cols > 0);
    (HAS_AVX2 ? cpu_weight_int8_avx2 : cpu_weight_int8_plain)(row, cols, q, scale);
}

void weight_quant_int4(const float *row, int cols, uint8_t *q, uint16_t *scale, uint8_t *zero)
{
    assert(cols > 0);
    (HAS_AVX2 ? cpu_weight_int4_avx2 : cpu_weight_int4_plain)(row, cols, q, scale, zero);
}
