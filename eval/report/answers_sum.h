/* answers_sum.h - the numbers of run files: means, differences to the answers of full prefill,
 * work, losses.
 */
#ifndef EVAL_ANSWERS_SUM_H
#define EVAL_ANSWERS_SUM_H

#include "eval/report/answers.h"
#include "eval/stats/stats.h"

struct answer_sum {   /* of a variant */
    int n, documents; /* questions, and the groups that they make */
    double mean;      /* score, 0 to 1 */
    double work;      /* rows recomputed / rows, of all questions; full prefill 1; NaN: unknown */
    double tokens, flops;     /* recomputed; means over the questions that have them; NaN: none */
    struct stats_interval kl; /* mean over the questions that have it; NaN: none has */
    struct stats_interval kl_answer; /* likewise */
    /* likewise, of the tokens at a distance from the prompt */
    struct stats_interval kl_at[ANSWER_DISTANCES];
    struct stats_interval gap; /* the share of none's kl_answer, of the same chunks, that is gone */
    int base; /* the variant of full prefill of its data set; -1: none, or it is itself */
    struct stats_pair pair;  /* a: base, b: this, over the questions of both; n 0: none */
    double ms[ANSWER_TIMES]; /* means over the questions that have them; NaN: none has */
};

/* out [n_ways], after run_close */
vlqa_status answers_sum(struct env *env, const struct answer_set *set, struct answer_sum *out);
/* The way of full prefill of the data set of a variant: the first whose variant is off, else the
 * first without chunks; -1. */
int answers_base(const struct answer_set *set, int variant);
int answers_same_data(const struct answer_variant *a, const struct answer_variant *b);

struct answer_mean { /* of the rows of a variant in a category or split */
    double mean;     /* score; NaN: there are none */
    int n, documents;
};
struct answer_mean answers_group_mean(const struct answer_set *set, int variant,
                                      enum answer_group group, const char *name);
/* The names of the categories or splits of a data set that are not empty, by their bytes; at most
 * cap. */
int answers_groups(const struct answer_set *set, int variant, enum answer_group group,
                   const char **out, int cap);

struct answer_loss {
    const struct answer_row *row, *full; /* full prefill NULL: it was not asked */
    double loss;                         /* score of full prefill - score */
};

/* The worst answers, one of a question: those that lost most against full prefill, then the lowest
 * scores; none that is right. Equal ones by line; of one question's the one that computed most
 * rows, and full prefill where it is alone. */
int answers_worst(const struct answer_set *set, struct answer_loss *out, int cap);

#endif
