/* peak.h - what the machine can do at most, measured by the threads of a pool. */
#ifndef EVAL_BENCH_PEAK_H
#define EVAL_BENCH_PEAK_H

#include "base/dtype.h"
#include "base/pool.h"

/* Additions and multiplications a second, two for each pair, of values in registers, in the best of
 * several runs. cpu: device_name; dtype: DT_BF16 counts the instruction for products of bf16 where
 * the set has one, and is DT_F32 elsewhere. */
double peak_flops(struct pool *pool, const char *cpu, enum dtype dtype);
/* Bytes a second that are read from a buffer, in the best of several runs. */
double peak_bytes(struct pool *pool, const void *buffer, size_t bytes);
/* Bytes of the largest cache, 32 MiB if nobody says. */
size_t peak_cache(void);

#endif
