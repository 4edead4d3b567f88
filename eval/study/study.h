/* study.h - the verb study: a run of methods x ratios x cuttings with --kl answer, told as tables
 * of the share of the divergence that each recovers. */
#ifndef EVAL_STUDY_H
#define EVAL_STUDY_H

#include "eval/run/run.h"

#define STUDY_METHODS 320
#define STUDY_RATIOS 16

struct study_args {
    struct cli_args common;
    struct run_args run; /* its methods, chunks and ratios are lists */
    const char *against;
    uint64_t seed;
    int calibrate;
};

struct study {
    struct cli cli;
    struct study_args args;
    struct run *run;
    struct method method[STUDY_METHODS]; /* the first is none, the baseline */
    int arm[STUDY_METHODS];              /* its first arm: ratios x cuttings are behind it */
    double ratio[STUDY_RATIOS];
    struct run_cut cut[RUN_CUTS];
    int n_methods, n_ratios, n_cuts;
    int asked;      /* methods that have arms */
    int against;    /* method, or -1 */
    int calibrated; /* the method that is calibrated */
};

/* The arm of a method; of one without ratio it is the same at all. */
static inline int study_arm(const struct study *s, int cut, int method, int ratio)
{
    int at = method_has_ratio(&s->method[method]) ? ratio : 0;
    return s->arm[method] + at * s->n_cuts + cut;
}

static inline double study_kl(const struct study *s, int question, int cut, int method, int ratio)
{
    return run_kl(s->run, question, study_arm(s, cut, method, ratio));
}

/* *at: where it stands; a method is run once. */
vlqa_status study_add_method(struct study *s, const struct method *m, int *at);
/* Behind each method with layers come its layers one by one. */
vlqa_status study_expand_layers(struct study *s);
/* The best two layers of the first of them together, the best three, ... all but one. */
vlqa_status study_add_sets(struct study *s);
/* Keeps what of all these has the lowest mean KL, and says so. */
vlqa_status study_keep_layers(struct study *s);
/* Tables of all that was run, to standard output. */
vlqa_status study_print(struct study *s);

#endif
