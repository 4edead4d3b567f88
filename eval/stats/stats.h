/* stats.h - how far one distribution is from another, how sure a mean over questions is, and
 * whether two systems differ.
 *
 * Questions about one document are not independent: a chart that is read wrongly costs all of them.
 * So a bootstrap draws groups of questions, each whole, and a mean is that of the questions drawn
 * (a cluster bootstrap: Davison and Hinkley, Cambridge University Press 1997, section 3.8).
 * group [n] has equal numbers where questions belong together; NULL: each is a group of its own,
 * and the draws are those of the questions. */
#ifndef EVAL_STATS_H
#define EVAL_STATS_H

#include <stddef.h>
#include <stdint.h>

/* KL(p || q) in nats of the softmax of two rows of logits [n]; 0 where they are equal, never
 * negative. */
double stats_kl(const float *p, const float *q, int n);
double stats_cosine(const float *a, const float *b, int n);
int stats_argmax(const float *x, int n); /* the lowest of equals */

/* Of two answers along the same tokens. */
#define STATS_DISTANCES 12

struct stats_divergence {
    double kl;       /* mean over the steps */
    double kl_first; /* of the first */
    double top1;     /* share of steps whose likeliest token is the same */
    double cosine;   /* of the logits, mean over the first STATS_COSINE_STEPS */
    /* By how much the other's likeliest token leads the next one, in logits: the least of the steps
     * up to the first at which it is another one */
    double lead;
    int apart; /* there is such a step */
    /* KL by the step's distance from the prompt, summed, and how many steps: 0, 1, 2 and 3, 4 to 7,
     * 8 to 15, ... */
    double kl_at[STATS_DISTANCES];
    int steps_at[STATS_DISTANCES];
};
#define STATS_COSINE_STEPS 8
int stats_distance(int step); /* the index of kl_at, the last one for all that is further */
/* Adds step 0, 1, ... of so many to what begins zeroed. */
void stats_divergence_add(struct stats_divergence *d, const float *full, const float *other, int n,
                          int step, int steps);

#define STATS_RESAMPLES 2000

struct stats_interval {
    double value, low, high; /* NaN: nothing to divide by */
};

/* Room for what is below over n questions: heap_alloc(stats_work_bytes(n)). */
struct stats_work;
size_t stats_work_bytes(int n);
/* How many groups there are. */
int stats_groups(const uint64_t *group, int n, struct stats_work *work);

/* "8 questions about 2 documents", or "8 questions" where each has a group of its own. */
#define STATS_QUESTIONS 64
const char *stats_questions(int n, int groups, char out[STATS_QUESTIONS]);

/* sum(x) / sum(y), y NULL: / n, with the 95 % percentile interval of a bootstrap over the groups of
 * the n pairs. Equal seeds draw the same groups, so that intervals of one set of questions belong
 * together. */
struct stats_interval stats_ratio(const double *x, const double *y, const uint64_t *group, int n,
                                  uint64_t seed, struct stats_work *work);
/* 1 - sum(x) / sum(base), likewise. */
struct stats_interval stats_share(const double *x, const double *base, const uint64_t *group, int n,
                                  uint64_t seed, struct stats_work *work);
/* A mean of scores from 0 to 1 with Wilson's 95 % interval for n of them that are independent; it
 * is right for scores of 0 and 1 and too wide for others. n 0: NaN. Where questions share
 * documents, n is the number of these: as if all questions about one had one fate, which is at
 * worst too wide. */
struct stats_interval stats_wilson(double mean, int n);

/* The lower end of Clopper and Pearson's one-sided interval of a probability, after `right` of n >
 * 0 independent trials: the probability at which so many or more are seen with 1 - confidence. */
double stats_least_share(int right, int n, double confidence);

/* McNemar's exact test, two-sided: how probable it is that of only_a + only_b coins at least so
 * many show the same side. 1 where there are none. */
double stats_mcnemar(int only_a, int only_b);

/* Two systems asked the same n questions, scores from 0 to 1. */
struct stats_pair {
    int n, groups;
    double a, b;                      /* mean scores */
    struct stats_interval difference; /* of b - a: the mean, paired bootstrap over groups */
    int only_a, only_b;               /* right (score >= 0.5) in one alone */
    /* McNemar's test, which takes independent pairs, over groups: stats_mcnemar of those with more
     * answers right in a alone than in b alone, and of those with fewer. Where each question is a
     * group, of only_a and only_b */
    double p;
    int is_binary; /* all scores are 0 or 1: what the test is made for */
    /* no better, no worse: the interval holds 0, or binary scores have p >= 0.05, or all questions
     * are about one document */
    int is_noise;
};
/* The order of the questions changes nothing: whoever compares two runs with one seed prints one
 * interval and one verdict. */
struct stats_pair stats_compare(const double *a, const double *b, const uint64_t *group, int n,
                                uint64_t seed, struct stats_work *work);

#endif
