/* cpu_weight_quant.h - weight_quant.h for an instruction set: plain C, or AVX2. */
#ifndef KERNELS_CPU_CPU_WEIGHT_QUANT_H
#define KERNELS_CPU_CPU_WEIGHT_QUANT_H

#include <stdint.h>

void cpu_weight_int8_plain(const float *row, int cols, int8_t *q, float *scale);
void cpu_weight_int4_plain(const float *row, int cols, uint8_t *q, uint16_t *scale, uint8_t *zero);
void cpu_weight_int8_avx2(const float *row, int cols, int8_t *q, float *scale);
void cpu_weight_int4_avx2(const float *row, int cols, uint8_t *q, uint16_t *scale, uint8_t *zero);

#endif
