/* peak.c - loops that do nothing but multiply and add, or nothing but read. */
#include "eval/bench/peak.h"

#include <stdatomic.h>
#include <stdio.h>

#define PEAK_MS 300 /* of runs, of which the best counts */
#define AHEAD 1024  /* bytes that are asked for before they are read, as products do */
#define PIECES 8    /* of a buffer that is read */
#define SHARES 4    /* of a thread, so that a slow one is helped */

struct job {
    double (*multiply)(int64_t steps); /* returns how many it did */
    int64_t steps;
    const uint8_t *buffer;
    size_t bytes;
    int shares;
    _Atomic double flops;
    atomic_uint_least64_t sum; /* so that reading is of use */
};

/* ---- products; the results are finite, and read through a volatile ---- */

#define ACCUMULATORS 10

static double multiply_plain(int64_t steps)
{
    typedef float four __attribute__((vector_size(16)));
    const four x = {0.5f, 0.25f, 0.5f, 0.25f}, y = {1, 2, 3, 4};
    four sum[ACCUMULATORS] = {x, y};
    volatile float keep;
    for (int64_t i = 0; i < steps; i++)
        for (int k = 0; k < ACCUMULATORS; k++)
            sum[k] = sum[k] * x + y;
    for (int k = 0; k < ACCUMULATORS; k++)
        keep = sum[k][0];
    (void)keep;
    return 8.0 * ACCUMULATORS * (double)steps;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,fma"))) static double multiply_avx2(int64_t steps)
{
    const __m256 x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(1);
    __m256 sum[ACCUMULATORS];
    volatile float keep;
    for (int k = 0; k < ACCUMULATORS; k++)
        sum[k] = y;
    for (int64_t i = 0; i < steps; i++)
        for (int k = 0; k < ACCUMULATORS; k++)
            sum[k] = _mm256_fmadd_ps(sum[k], x, y);
    for (int k = 0; k < ACCUMULATORS; k++)
        keep = _mm256_cvtss_f32(sum[k]);
    (void)keep;
    return 16.0 * ACCUMULATORS * (double)steps;
}

__attribute__((target("avx512f"))) static double multiply_avx512(int64_t steps)
{
    const __m512 x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(1);
    __m512 sum[ACCUMULATORS];
    volatile float keep;
    for (int k = 0; k < ACCUMULATORS; k++)
        sum[k] = y;
    for (int64_t i = 0; i < steps; i++)
        for (int k = 0; k < ACCUMULATORS; k++)
            sum[k] = _mm512_fmadd_ps(sum[k], x, y);
    for (int k = 0; k < ACCUMULATORS; k++)
        keep = _mm512_cvtss_f32(sum[k]);
    (void)keep;
    return 32.0 * ACCUMULATORS * (double)steps;
}

__attribute__((target("avx512f,avx512bf16"))) static double multiply_avx512_bf16(int64_t steps)
{
    const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f00); /* 0.5 */
    __m512 sum[ACCUMULATORS];
    volatile float keep;
    for (int k = 0; k < ACCUMULATORS; k++)
        sum[k] = _mm512_setzero_ps();
    for (int64_t i = 0; i < steps; i++)
        for (int k = 0; k < ACCUMULATORS; k++)
            sum[k] = _mm512_dpbf16_ps(sum[k], x, x);
    for (int k = 0; k < ACCUMULATORS; k++)
        keep = _mm512_cvtss_f32(sum[k]);
    (void)keep;
    return 64.0 * ACCUMULATORS * (double)steps;
}

/* Of tiles full of zeros, which take as long as others. */
__attribute__((target("amx-tile,amx-bf16"))) static double multiply_amx(int64_t steps)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    __asm__ volatile("" ::"r"(&config) : "memory");
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int64_t i = 0; i < steps; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 2 * 16 * 16 * 32 * (double)steps;
}
#endif

static void multiply_shares(void *arg, int begin, int end, int worker)
{
    struct job *job = arg;
    double flops = 0;
    (void)worker;
    for (int i = begin; i < end; i++)
        flops += job->multiply(job->steps);
    for (double old = atomic_load(&job->flops);
         !atomic_compare_exchange_weak(&job->flops, &old, old + flops);)
        ;
}

static double (*multiply_of(const char *cpu, enum dtype dtype))(int64_t)
{
#if defined(__x86_64__)
    int wide = strcmp(cpu, "avx512") == 0 || strcmp(cpu, "amx") == 0;
    if (strcmp(cpu, "amx") == 0 && dtype == DT_BF16) return multiply_amx;
    if (wide && dtype == DT_BF16) return multiply_avx512_bf16;
    if (wide) return multiply_avx512;
    if (strcmp(cpu, "avx2") == 0) return multiply_avx2;
#endif
    (void)cpu, (void)dtype;
    return multiply_plain;
}

double peak_flops(struct pool *pool, const char *cpu, enum dtype dtype)
{
    struct job job = {.multiply = multiply_of(cpu, dtype), .steps = 200000};
    double best = 0, until = env_ms() + PEAK_MS;
    while (env_ms() < until) {
        double begin = env_ms(), rate;
        atomic_store(&job.flops, 0);
        pool_for(pool, SHARES * pool_threads(pool), 1, multiply_shares, &job);
        rate = atomic_load(&job.flops) / (env_ms() - begin) * 1e3;
        if (rate > best) best = rate;
    }
    return best;
}

/* ---- reading ---- */

static void read_shares(void *arg, int begin, int end, int worker)
{
    struct job *job = arg;
    size_t share = job->bytes / (size_t)job->shares / 64 * 64;
    uint64_t sum[8] = {0}, total = 0;
    (void)worker;
    for (int i = begin; i < end; i++) {
        const uint8_t *at = job->buffer + (size_t)i * share;
        for (size_t k = 0; k < share; k += 64) {
            uint64_t line[8];
            __builtin_prefetch(at + (k + AHEAD < share ? k + AHEAD : k));
            memcpy(line, at + k, sizeof line);
            for (int j = 0; j < 8; j++)
                sum[j] += line[j];
        }
    }
    for (int j = 0; j < 8; j++)
        total += sum[j];
    atomic_fetch_add(&job->sum, total);
}

/* By pieces, one after the other: short runs are seldom interrupted. */
double peak_bytes(struct pool *pool, const void *buffer, size_t bytes)
{
    struct job job = {.bytes = bytes / PIECES, .shares = SHARES * pool_threads(pool)};
    double best = 0, until = env_ms() + PEAK_MS;
    size_t share = job.bytes / (size_t)job.shares / 64 * 64;
    for (size_t piece = 0; env_ms() < until; piece = (piece + 1) % PIECES) {
        double begin, rate;
        job.buffer = (const uint8_t *)buffer + piece * job.bytes;
        begin = env_ms();
        pool_for(pool, job.shares, 1, read_shares, &job);
        rate = (double)(share * (size_t)job.shares) / (env_ms() - begin) * 1e3;
        if (rate > best) best = rate;
    }
    return best;
}

/* What the kernel says; sysconf counts the caches of other cores, too. */
size_t peak_cache(void)
{
    size_t largest = 0;
    for (int i = 0; i < 8; i++) {
        char path[64], unit = 0;
        unsigned n = 0;
        FILE *file;
        (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        file = fopen(path, "r");
        if (!file) break;
        if (fscanf(file, "%u%c", &n, &unit) == 2) {
            size_t bytes = (size_t)n << (unit == 'M' ? 20 : 10);
            if (bytes > largest) largest = bytes;
        }
        (void)fclose(file);
    }
    return largest > 0 ? largest : (size_t)32 << 20;
}
