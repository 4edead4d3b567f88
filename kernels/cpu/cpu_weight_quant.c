/* cpu_weight_quant.c - rows of weights to eight bits, and to four after a search for the scales.
 *
 * The scales that are tried for a group lie side by side in vectors, and a lane adds up the squared
 * error of its own, value after value. So the width of the vectors does not matter to any bit. */
#include "kernels/cpu/cpu_weight_quant.h"

#include "base/dtype.h"
#include "kernels/cpu/cpu.h"
#include "kernels/weight_quant.h"

#include <math.h>

#if defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#else
#define LANES 4
#endif
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t masks __attribute__((vector_size(4 * LANES)));

#define GROUP WEIGHT_GROUP
#define ROUND 0x1.8p23f    /* added and taken off: the nearest integer, ties to even, below 2^22 */
#define SMALLEST 0x1p-100f /* what is below is taken for zero: no scale is subnormal */
#define CHOICES 16         /* pairs of a scale and a zero point that are tried */
#define VECTORS (CHOICES / LANES)

static inline lanes lanes_all(float x)
{
    return x - (lanes){0};
}

static inline lanes lanes_load(const float *from)
{
    lanes x;
    memcpy(&x, from, sizeof x);
    return x;
}

static inline lanes lanes_between(lanes x, lanes low, lanes high)
{
#if defined(__AVX2__)
    return _mm256_min_ps(_mm256_max_ps(x, low), high);
#else
    masks in = x > low;
    x = (lanes)((in & (masks)x) | (~in & (masks)low));
    in = x < high;
    return (lanes)((in & (masks)x) | (~in & (masks)high));
#endif
}

static inline lanes lanes_nearest(lanes x)
{
    return (x + ROUND) - ROUND;
}

/* Positive values to bf16. */
static inline lanes lanes_bf16(lanes x)
{
    masks u = (masks)x;
    return (lanes)((u + 0x7fff + ((u >> 16) & 1)) & ~0xffff);
}

/* The lowest of the values and *low, and the highest of them and *high; n is a multiple of LANES.
 */
static inline void add_range(const float *value, int n, float *low, float *high)
{
    lanes lows = lanes_all(*low), highs = lanes_all(*high);
    float least, most;
    for (int i = 0; i < n; i += LANES) {
        lows = lanes_between(lanes_load(value + i), lanes_all(-INFINITY), lows);
        highs = lanes_between(lanes_load(value + i), highs, lanes_all(INFINITY));
    }
    least = lows[0];
    most = highs[0];
    for (int k = 1; k < LANES; k++) {
        least = lows[k] < least ? lows[k] : least;
        most = highs[k] > most ? highs[k] : most;
    }
    *low = least;
    *high = most;
}

/* The largest magnitude of a row. */
static float row_range(const float *row, int n)
{
    float rest[LANES] = {0}, low = 0, high = 0;
    int whole = n - n % LANES;
    memcpy(rest, row + whole, (size_t)(n % LANES) * sizeof *rest);
    add_range(row, whole, &low, &high);
    add_range(rest, LANES, &low, &high);
    return -low > high ? -low : high;
}

void CPU(weight_int8)(const float *row, int cols, int8_t *q, float *scale)
{
    float most = row_range(row, cols), integer[GROUP], per;
    *scale = 0;
    memset(q, 0, (size_t)cols);
    if (most < SMALLEST) return;
    *scale = bf16_to_f32(f32_to_bf16(most / 127));
    per = 1 / *scale;
    for (int at = 0; at < cols; at += GROUP) {
        int n = cols - at < GROUP ? cols - at : GROUP;
        memset(integer, 0, sizeof integer);
        memcpy(integer, row + at, (size_t)n * sizeof *integer);
        for (int i = 0; i < GROUP; i += LANES) {
            lanes x = lanes_load(integer + i) * per;
            x = lanes_nearest(lanes_between(x, lanes_all(-127), lanes_all(127)));
            memcpy(integer + i, &x, sizeof x);
        }
        for (int i = 0; i < n; i++)
            q[at + i] = (int8_t)integer[i];
    }
}

/* ---- int4 ---- */

struct choices {
    lanes scale[VECTORS], per[VECTORS]; /* per: the reciprocal */
    lanes low[VECTORS], high[VECTORS];  /* integers that are multiplied: -zero and 15 - zero */
};

/* For each of eight scales the two zero points that bring the middle of the sixteen steps nearest
 * to that of the values. */
static inline void list_choices(struct choices *c, float low, float high)
{
    static const float share[CHOICES] = {1.05f, 1.05f, 1.0f,  1.0f,  0.96f, 0.96f, 0.92f, 0.92f,
                                         0.87f, 0.87f, 0.82f, 0.82f, 0.76f, 0.76f, 0.7f,  0.7f};
    static const float next[CHOICES] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    for (int k = 0; k < VECTORS; k++) {
        lanes zero;
        c->scale[k] = lanes_bf16(lanes_load(share + k * LANES) * ((high - low) / 15));
        c->per[k] = 1 / c->scale[k];
        zero = lanes_nearest(7 - c->per[k] * ((high + low) / 2)) + lanes_load(next + k * LANES);
        zero = lanes_between(zero, lanes_all(0), lanes_all(15));
        c->low[k] = -zero;
        c->high[k] = 15 - zero;
    }
}

/* The choice of the least squared error; of equal ones the first. */
static inline int best_choice(const struct choices *c, const float value[GROUP])
{
    lanes sum[VECTORS];
    float error[CHOICES], least;
    int best = 0;
    memset(sum, 0, sizeof sum);
    for (int i = 0; i < GROUP; i++)
        for (int k = 0; k < VECTORS; k++) {
            lanes x = c->per[k] * value[i];
            lanes off = lanes_nearest(lanes_between(x, c->low[k], c->high[k])) - x;
            sum[k] += off * off;
        }
    for (int k = 0; k < VECTORS; k++)
        sum[k] *= c->scale[k] * c->scale[k];
    memcpy(error, sum, sizeof error);
    least = error[0];
    for (int k = 1; k < CHOICES; k++)
        least = error[k] < least ? error[k] : least;
    for (int k = CHOICES - 1; k >= 0; k--)
        best = error[k] == least ? k : best;
    return best;
}

/* Values near 1 or 0, behind the last of a row zeros. */
static inline void quant_group(const float value[GROUP], uint8_t q[GROUP], float *scale,
                               uint8_t *zero)
{
    struct choices c;
    float low = 0, high = 0, integer[GROUP];
    int best, k;
    memset(q, 0, GROUP);
    *zero = 0;
    *scale = 0;
    add_range(value, GROUP, &low, &high);
    if (high - low < SMALLEST) return;
    list_choices(&c, low, high);
    best = best_choice(&c, value);
    k = best / LANES;
    *scale = c.scale[k][best % LANES];
    *zero = (uint8_t)-c.low[k][best % LANES];
    for (int i = 0; i < GROUP; i += LANES) {
        lanes x = lanes_load(value + i) * c.per[k][best % LANES];
        lanes lowest = lanes_all(c.low[k][best % LANES]);
        x = lanes_nearest(lanes_between(x, lowest, lowest + 15)) - lowest;
        memcpy(integer + i, &x, sizeof x);
    }
    for (int i = 0; i < GROUP; i++)
        q[i] = (uint8_t)integer[i];
}

/* The values times a power of two, so that no square is too large or too small for a float. */
void CPU(weight_int4)(const float *row, int cols, uint8_t *q, uint16_t *scale, uint8_t *zero)
{
    float value[GROUP], step, unit = 0, back = 0;
    uint8_t quantised[GROUP];
    int exponent;
    (void)frexpf(row_range(row, cols), &exponent);
    if (exponent > -100) {
        exponent = exponent < 126 ? exponent : 126;
        unit = ldexpf(1, -exponent);
        back = ldexpf(1, exponent);
    }
    for (int at = 0; at < cols; at += GROUP) {
        int n = cols - at < GROUP ? cols - at : GROUP, g = at / GROUP;
        memset(value, 0, sizeof value);
        for (int i = 0; i < n; i++)
            value[i] = row[at + i] * unit;
        quant_group(value, quantised, &step, zero + g);
        memcpy(q + at, quantised, (size_t)n);
        scale[g] = f32_to_bf16(step * back);
    }
}
