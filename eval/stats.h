/* stats.h - how far one distribution is from another, and how sure a mean over questions is. */
#ifndef EVAL_STATS_H
#define EVAL_STATS_H

#include <stdint.h>

/* KL(p || q) in nats of the softmax of two rows of logits [n]; 0 where they are equal, never
 * negative. */
double stats_kl(const float *p, const float *q, int n);
double stats_cosine(const float *a, const float *b, int n);
int stats_argmax(const float *x, int n); /* the lowest of equals */

#define STATS_RESAMPLES 2000

struct stats_interval {
    double value, low, high; /* NaN: nothing to divide by */
};

/* sum(x) / sum(y), y NULL: / n, with the 95 % percentile interval of a bootstrap over the n pairs.
 * Equal seeds draw the same pairs, so that intervals of one set of questions belong together. work
 * [STATS_RESAMPLES] */
struct stats_interval stats_ratio(const double *x, const double *y, int n, uint64_t seed,
                                  double *work);
/* 1 - sum(x) / sum(base), likewise. */
struct stats_interval stats_share(const double *x, const double *base, int n, uint64_t seed,
                                  double *work);

#endif
