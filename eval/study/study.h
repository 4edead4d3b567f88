/* study.h - the verb study: a run of variants x ratios x chunkings with --kl answer, told as tables
 * of the share of the divergence that each recovers. */
#ifndef EVAL_STUDY_H
#define EVAL_STUDY_H

#include "eval/run/run.h"

#define STUDY_VARIANTS 320
#define STUDY_RATIOS 16

struct study_args {
    struct cli_args common;
    struct run_args run; /* its variants, chunks and ratios are lists */
    const char *against;
    uint64_t seed;
    int calibrate, calibrate_quality;
};

struct study {
    struct cli cli;
    struct study_args args;
    struct run *run;
    struct variant variant[STUDY_VARIANTS]; /* the first is none, the baseline; not
                                             * with --calibrate-quality */
    int run_at[STUDY_VARIANTS];             /* its first run_at: ratios x chunkings are behind it */
    double ratio[STUDY_RATIOS];
    struct run_cut chunking[RUN_CHUNKINGS];
    int n_variants, n_ratios, n_chunkings;
    int asked;      /* variants that have variants */
    int against;    /* variant, or -1 */
    int calibrated; /* the variant that is calibrated */
};

/* The run_at of a variant; of one without ratio it is the same at all. */
static inline int study_run_at(const struct study *s, int chunking, int variant, int ratio)
{
    int at = variant_has_ratio(&s->variant[variant]) ? ratio : 0;
    return s->run_at[variant] + at * s->n_chunkings + chunking;
}

static inline double study_kl(const struct study *s, int question, int chunking, int variant,
                              int ratio)
{
    return run_kl(s->run, question, study_run_at(s, chunking, variant, ratio));
}

/* *at: where it stands; a variant is run once. */
vlqa_status study_add_variant(struct study *s, const struct variant *m, int *at);
/* Behind each variant with layers come its layers one by one. */
vlqa_status study_expand_layers(struct study *s);
/* The best two layers of the first of them together, the best three, ... all but one. */
vlqa_status study_add_sets(struct study *s);
/* Keeps what of all these has the lowest mean KL, and says so. */
vlqa_status study_keep_layers(struct study *s);
/* --calibrate-quality: lists that were not given; whether those that were can be calibrated;
 * margins from one answer about each document, which are kept and told. */
vlqa_status study_quality_lists(struct study *s);
vlqa_status study_quality_check(struct study *s);
vlqa_status study_keep_quality(struct study *s);
/* Tables of all that was run, to standard output. */
vlqa_status study_print(struct study *s);

#endif
