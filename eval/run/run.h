/* run.h - a data set asked of a model: every question by every method and cutting, graded as it is
 * answered, kept line by line so that a run which was killed goes on where it stopped.
 *
 * An *arm* is a method with its ratio and a cutting. All arms of a question share its images, words
 * and place, so that their scores are pairs. Before each the session is cleared: what an arm costs
 * does not depend on which were asked before, and no more is held than for one question. */
#ifndef EVAL_RUN_H
#define EVAL_RUN_H

#include "base/hash.h"
#include "eval/data/dataset.h"
#include "eval/options/cache_flags.h"
#include "eval/options/document.h"
#include "eval/options/method.h"
#include "eval/run/run_file.h"
#include "eval/run/tally.h"
#include "eval/stats/stats.h"

#define RUN_ARMS 64

struct run_args {
    const char *dataset, *prompt, *methods, *chunks, *out, *submission;
    struct dataset_options data;
    struct document_args document; /* no items */
    struct cache_args cache;
    struct reuse_args reuse;
    int limit, metric; /* a metric + 1; 0: the row's own */
    int max_tokens, max_rows;
    int strict; /* stop at a question that cannot be asked, and keep no line for it */
    int jobs;   /* questions at work at once: the one that is asked, and those read ahead */
    uint64_t shuffle, seed; /* shuffle 0: the first rows */
};

struct arm {
    char name[sizeof((struct method *)0)->name], cut[16]; /* as written; cut: "" of dense */
    double ratio;                                         /* NaN: the method has none */
    int is_dense;                                         /* full prefill, once a question */
    struct reuse_args args;
};

/* "full,infoflow/last:0.15" and "grid:2,grid:4" to arms, the dense one first, the others in the
 * order of the methods. lists NULL: the method and the cutting of args->reuse. */
vlqa_status run_arms(struct env *env, const struct run_args *args, struct arm arm[RUN_ARMS],
                     int *n);
/* "infoflow:0.15" */
#define RUN_LABEL 352
void run_arm_label(const struct arm *arm, char out[RUN_LABEL]);

struct run_outcome {           /* of a question by an arm */
    double score, rows, flops; /* rows, flops: computed again */
    double kl;                 /* of the first token, to dense; NaN: dense was not asked */
    double ms;                 /* NaN: it was asked before, and the file of times has it not */
    int failed;                /* it could not be asked: score 0, and nothing was computed */
};

struct run {
    struct cli *cli;
    const struct run_args *args;
    struct arm arm[RUN_ARMS];
    struct tally *tally[RUN_ARMS][N_METRICS]; /* NULL: no row of it yet */
    int n_arms, n_questions, n_failed;        /* n_failed: outcomes */
    signed char *metric;                      /* [n_questions] */
    struct run_outcome *outcome;              /* [n_questions, n_arms] */
    struct vlqa_model_info info;
    char calibrated[400]; /* the layers that stand for this word, or "" */
};

static inline struct run_outcome *run_outcome(const struct run *r, int question, int arm)
{
    return &r->outcome[(size_t)question * (size_t)r->n_arms + (size_t)arm];
}

/* The first arm that is dense, or -1. */
int run_dense(const struct run *r);
/* To standard output: a table for each metric, and one of methods x cuttings; with --json a line
 * for each arm and metric. An exit code. */
int run_print(struct run *r);

/* What decides about the answers, and where the first of them come from (origin.h), as the first
 * line of a file of answers. heap_free; NULL: no memory. */
char *run_header(const struct run *r, struct key dataset);

/* Asks what is not yet answered. An exit code. */
int run_dataset(struct cli *cli, const struct run_args *args);

#endif
