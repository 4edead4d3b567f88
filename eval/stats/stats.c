/* stats.c - distances of distributions, and bootstrap intervals. */
#include "eval/stats/stats.h"

#include <math.h>
#include <stdlib.h>

static double log_sum_exp(const float *x, int n)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        if ((double)x[i] > max) max = (double)x[i];
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    return max + log(sum);
}

double stats_kl(const float *p, const float *q, int n)
{
    double lp = log_sum_exp(p, n), lq = log_sum_exp(q, n), sum = 0;
    for (int i = 0; i < n; i++) {
        double a = (double)p[i] - lp, b = (double)q[i] - lq;
        sum += exp(a) * (a - b);
    }
    return sum < 0 ? 0 : sum; /* rounding */
}

double stats_cosine(const float *a, const float *b, int n)
{
    double dot = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return dot / sqrt(aa * bb);
}

int stats_argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

void stats_divergence_add(struct stats_divergence *d, const float *full, const float *other, int n,
                          int step, int steps)
{
    double kl = stats_kl(full, other, n);
    double cosine_steps = steps < STATS_COSINE_STEPS ? steps : STATS_COSINE_STEPS;
    if (step == 0) d->kl_first = kl;
    d->kl += kl / steps;
    d->top1 += (double)(stats_argmax(full, n) == stats_argmax(other, n)) / steps;
    if (step < STATS_COSINE_STEPS) d->cosine += stats_cosine(full, other, n) / cosine_steps;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double resample(const double *x, const double *y, int n, uint64_t *state)
{
    double above = 0, below = 0;
    for (int i = 0; i < n; i++) {
        int pick = (int)((next_random(state) >> 32) * (uint64_t)n >> 32);
        above += x[pick];
        below += y ? y[pick] : 1;
    }
    return above / below;
}

struct stats_interval stats_ratio(const double *x, const double *y, int n, uint64_t seed,
                                  double *work)
{
    struct stats_interval out = {(double)NAN, (double)NAN, (double)NAN};
    double above = 0, below = 0;
    uint64_t state = seed;
    int count = 0;
    for (int i = 0; i < n; i++) {
        above += x[i];
        below += y ? y[i] : 1;
    }
    if (!(below > 0)) return out;
    out.value = above / below;
    for (int i = 0; i < STATS_RESAMPLES; i++) {
        double value = resample(x, y, n, &state);
        if (isfinite(value)) work[count++] = value; /* else it drew nothing to divide by */
    }
    if (!count) return out;
    qsort(work, (size_t)count, sizeof *work, ascending);
    out.low = work[count / 40];
    out.high = work[count - 1 - count / 40];
    return out;
}

struct stats_interval stats_share(const double *x, const double *base, int n, uint64_t seed,
                                  double *work)
{
    struct stats_interval r = stats_ratio(x, base, n, seed, work);
    return (struct stats_interval){1 - r.value, 1 - r.high, 1 - r.low};
}

struct stats_interval stats_wilson(double mean, int n)
{
    const double z = 1.959963984540054;
    double shrunk = 1 + z * z / n, middle = (mean + z * z / (2 * n)) / shrunk;
    double half = z * sqrt(mean * (1 - mean) / n + z * z / (4.0 * n * n)) / shrunk;
    if (n == 0) return (struct stats_interval){(double)NAN, (double)NAN, (double)NAN};
    return (struct stats_interval){mean, fmax(middle - half, 0), fmin(middle + half, 1)};
}

/* The lower tail of the binomial distribution, term by term in logarithms. */
double stats_mcnemar(int only_a, int only_b)
{
    int n = only_a + only_b, least = only_a < only_b ? only_a : only_b;
    double term = -n * log(2), sum = exp(term);
    for (int k = 0; k < least; k++) {
        term += log((double)(n - k) / (k + 1));
        sum += exp(term);
    }
    return 2 * sum < 1 ? 2 * sum : 1;
}

static int is_binary(double x)
{
    return !(x > 0 && x < 1);
}

struct stats_pair stats_compare(const double *a, const double *b, int n, uint64_t seed,
                                double *work)
{
    struct stats_pair out = {.n = n, .is_binary = 1};
    double *difference = work + STATS_RESAMPLES;
    for (int i = 0; i < n; i++) {
        out.a += a[i] / n;
        out.b += b[i] / n;
        difference[i] = b[i] - a[i];
        out.only_a += a[i] >= 0.5 && b[i] < 0.5;
        out.only_b += b[i] >= 0.5 && a[i] < 0.5;
        out.is_binary &= is_binary(a[i]) && is_binary(b[i]);
    }
    if (n > 1) qsort(difference, (size_t)n, sizeof *difference, ascending);
    out.difference = stats_ratio(difference, NULL, n, seed, work);
    out.p = stats_mcnemar(out.only_a, out.only_b);
    out.is_noise =
        !(out.difference.low > 0 || out.difference.high < 0) || (out.is_binary && out.p >= 0.05);
    return out;
}
