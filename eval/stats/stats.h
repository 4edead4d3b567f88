/* stats.h - how far one distribution is from another, how sure a mean over questions is, and
 * whether two systems differ. */
#ifndef EVAL_STATS_H
#define EVAL_STATS_H

#include <stdint.h>

/* KL(p || q) in nats of the softmax of two rows of logits [n]; 0 where they are equal, never
 * negative. */
double stats_kl(const float *p, const float *q, int n);
double stats_cosine(const float *a, const float *b, int n);
int stats_argmax(const float *x, int n); /* the lowest of equals */

/* Of two answers along the same tokens. */
struct stats_divergence {
    double kl;       /* mean over the steps */
    double kl_first; /* of the first */
    double top1;     /* share of steps whose likeliest token is the same */
    double cosine;   /* of the logits, mean over the first STATS_COSINE_STEPS */
};
#define STATS_COSINE_STEPS 8
/* Adds step 0, 1, ... of so many to what begins zeroed. */
void stats_divergence_add(struct stats_divergence *d, const float *full, const float *other, int n,
                          int step, int steps);

#define STATS_RESAMPLES 2000

struct stats_interval {
    double value, low, high; /* NaN: nothing to divide by */
};

/* sum(x) / sum(y), y NULL: / n, with the 95 % percentile interval of a bootstrap over the n pairs.
 * Equal seeds draw the same pairs, so that intervals of one set of questions belong together. work
 * [STATS_RESAMPLES] */
struct stats_interval stats_ratio(const double *x, const double *y, int n, uint64_t seed,
                                  double *work);
/* A mean of n scores from 0 to 1 with Wilson's 95 % interval, which is right for scores of 0 and 1
 * and too wide for others; n 0: NaN. */
struct stats_interval stats_wilson(double mean, int n);
/* 1 - sum(x) / sum(base), likewise. */
struct stats_interval stats_share(const double *x, const double *base, int n, uint64_t seed,
                                  double *work);

/* McNemar's exact test, two-sided: how probable it is that of only_a + only_b coins at least so
 * many show the same side. 1 where there are none. */
double stats_mcnemar(int only_a, int only_b);

/* Two systems asked the same n questions, scores from 0 to 1. */
struct stats_pair {
    int n;
    double a, b;                      /* mean scores */
    struct stats_interval difference; /* of b - a: the mean, paired bootstrap */
    int only_a, only_b;               /* right (score >= 0.5) in one alone */
    double p;                         /* stats_mcnemar of these */
    int is_binary;                    /* all scores are 0 or 1: what the test is made for */
    int is_noise; /* the interval holds 0, or binary scores have p >= 0.05: no better, no worse */
};
/* The order of the questions changes nothing: whoever compares two runs with one seed prints one
 * interval and one verdict. work [STATS_RESAMPLES + n] */
struct stats_pair stats_compare(const double *a, const double *b, int n, uint64_t seed,
                                double *work);

#endif
