/* stats.c - distances of distributions, and bootstrap intervals over groups of questions. */
#include "eval/stats/stats.h"

#include <math.h>
#include <stdio.h>
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

/* How far the likeliest is above the next one. */
static double lead_of(const float *x, int n)
{
    int best = stats_argmax(x, n);
    float next = -INFINITY;
    for (int i = 0; i < n; i++)
        if (i != best && x[i] > next) next = x[i];
    return (double)x[best] - (double)next;
}

int stats_distance(int step)
{
    int at = 0;
    while (step > 0 && at < STATS_DISTANCES - 1)
        step /= 2, at++;
    return at;
}

void stats_divergence_add(struct stats_divergence *d, const float *full, const float *other, int n,
                          int step, int steps)
{
    double kl = stats_kl(full, other, n);
    double cosine_steps = steps < STATS_COSINE_STEPS ? steps : STATS_COSINE_STEPS;
    if (step == 0) d->kl_first = kl;
    d->kl += kl / steps;
    d->kl_at[stats_distance(step)] += kl;
    d->steps_at[stats_distance(step)]++;
    d->top1 += (double)(stats_argmax(full, n) == stats_argmax(other, n)) / steps;
    if (step == 0) d->lead = INFINITY;
    if (!d->apart) d->lead = fmin(d->lead, lead_of(other, n));
    d->apart |= stats_argmax(full, n) != stats_argmax(other, n);
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

/* ---- groups ---- */

struct cluster { /* a question, then a group of them */
    double x, y; /* sums */
    uint64_t group;
    int first; /* its first question */
};

struct stats_work {
    double value[STATS_RESAMPLES];
    struct cluster cluster[];
};

size_t stats_work_bytes(int n)
{
    return sizeof(struct stats_work) + (size_t)n * sizeof(struct cluster);
}

static int by_sums(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;
    if (x->x < y->x || x->x > y->x) return x->x < y->x ? -1 : 1;
    return (x->y > y->y) - (x->y < y->y);
}

/* Within a group by value, so that the order of questions changes no bit of a sum. */
static int by_group(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return by_sums(a, b);
}

static int by_first(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Questions to the sums of their groups, in the order in which these begin. Returns how many. */
static int merge(const uint64_t *group, int n, struct stats_work *work)
{
    struct cluster *c = work->cluster;
    int groups = 0;
    for (int i = 0; i < n; i++) {
        c[i].group = group ? group[i] : 0;
        c[i].first = i;
    }
    if (!group) return n;
    if (n > 1) qsort(c, (size_t)n, sizeof *c, by_group);
    for (int i = 0; i < n; i++) {
        struct cluster *last = groups ? &c[groups - 1] : NULL;
        if (!last || last->group != c[i].group) {
            c[groups++] = c[i];
            continue;
        }
        last->x += c[i].x;
        last->y += c[i].y;
        if (c[i].first < last->first) last->first = c[i].first;
    }
    if (groups > 1) qsort(c, (size_t)groups, sizeof *c, by_first);
    return groups;
}

/* x NULL: 0; y NULL: 1 */
static int gather(const double *x, const double *y, const uint64_t *group, int n,
                  struct stats_work *work)
{
    for (int i = 0; i < n; i++)
        work->cluster[i] = (struct cluster){.x = x ? x[i] : 0, .y = y ? y[i] : 1};
    return merge(group, n, work);
}

int stats_groups(const uint64_t *group, int n, struct stats_work *work)
{
    return gather(NULL, NULL, group, n, work);
}

const char *stats_questions(int n, int groups, char out[STATS_QUESTIONS])
{
    int used = snprintf(out, STATS_QUESTIONS, "%d question%s", n, n == 1 ? "" : "s");
    if (groups < n)
        snprintf(out + used, (size_t)(STATS_QUESTIONS - used), " about %d document%s", groups,
                 groups == 1 ? "" : "s");
    return out;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double resample(const struct cluster *c, int groups, uint64_t *state)
{
    double above = 0, below = 0;
    for (int i = 0; i < groups; i++) {
        int pick = (int)((next_random(state) >> 32) * (uint64_t)groups >> 32);
        above += c[pick].x;
        below += c[pick].y;
    }
    return above / below;
}

/* Of the groups that were gathered. */
static struct stats_interval bootstrap(struct stats_work *work, int groups, uint64_t seed)
{
    struct stats_interval out = {(double)NAN, (double)NAN, (double)NAN};
    double above = 0, below = 0;
    uint64_t state = seed;
    int count = 0;
    for (int i = 0; i < groups; i++) {
        above += work->cluster[i].x;
        below += work->cluster[i].y;
    }
    if (!(below > 0)) return out;
    out.value = above / below;
    for (int i = 0; i < STATS_RESAMPLES; i++) {
        double value = resample(work->cluster, groups, &state);
        if (isfinite(value)) work->value[count++] = value; /* else it drew nothing to divide by */
    }
    if (!count) return out;
    qsort(work->value, (size_t)count, sizeof *work->value, ascending);
    out.low = work->value[count / 40];
    out.high = work->value[count - 1 - count / 40];
    return out;
}

struct stats_interval stats_ratio(const double *x, const double *y, const uint64_t *group, int n,
                                  uint64_t seed, struct stats_work *work)
{
    return bootstrap(work, gather(x, y, group, n, work), seed);
}

struct stats_interval stats_share(const double *x, const double *base, const uint64_t *group, int n,
                                  uint64_t seed, struct stats_work *work)
{
    struct stats_interval r = stats_ratio(x, base, group, n, seed, work);
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

/* How probable so many or more of n are, each with p. */
static double upper_tail(int right, int n, double p)
{
    double sum = 0;
    for (int k = right; k <= n; k++)
        sum += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) + k * log(p) +
                   (n - k) * log1p(-p));
    return sum;
}

double stats_least_share(int right, int n, double confidence)
{
    double low = 0, high = (double)right / n;
    if (right == n) return pow(1 - confidence, 1.0 / n);
    for (int i = 0; i < 60 && right; i++) {
        double middle = (low + high) / 2;
        if (upper_tail(right, n, middle) > 1 - confidence)
            high = middle;
        else
            low = middle;
    }
    return low;
}

static int is_binary(double x)
{
    return !(x > 0 && x < 1);
}

/* McNemar's test over groups: those with more answers right in one alone than in the other. */
static double sign_test(const double *a, const double *b, const uint64_t *group, int n,
                        struct stats_work *work)
{
    int groups, only_a = 0, only_b = 0;
    for (int i = 0; i < n; i++)
        work->cluster[i] = (struct cluster){.x = (b[i] >= 0.5) - (a[i] >= 0.5)};
    groups = merge(group, n, work);
    for (int i = 0; i < groups; i++) {
        only_a += work->cluster[i].x < 0;
        only_b += work->cluster[i].x > 0;
    }
    return stats_mcnemar(only_a, only_b);
}

struct stats_pair stats_compare(const double *a, const double *b, const uint64_t *group, int n,
                                uint64_t seed, struct stats_work *work)
{
    struct stats_pair out = {.n = n, .is_binary = 1, .p = sign_test(a, b, group, n, work)};
    for (int i = 0; i < n; i++) {
        out.a += a[i] / n;
        out.b += b[i] / n;
        out.only_a += a[i] >= 0.5 && b[i] < 0.5;
        out.only_b += b[i] >= 0.5 && a[i] < 0.5;
        out.is_binary &= is_binary(a[i]) && is_binary(b[i]);
        work->cluster[i] = (struct cluster){.x = b[i] - a[i], .y = 1};
    }
    out.groups = merge(group, n, work);
    if (out.groups > 1) qsort(work->cluster, (size_t)out.groups, sizeof *work->cluster, by_sums);
    out.difference = bootstrap(work, out.groups, seed);
    out.is_noise = !(out.difference.low > 0 || out.difference.high < 0) ||
                   (out.is_binary && out.p >= 0.05) ||
                   (out.groups == 1 && n > 1); /* one document: its interval has no width */
    return out;
}
