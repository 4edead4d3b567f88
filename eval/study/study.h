/* study.h - the verb study, between the file that runs it and the file that prints it. */
#ifndef EVAL_STUDY_H
#define EVAL_STUDY_H

#include "eval/options/cache_flags.h"
#include "eval/options/method.h"
#include "eval/stats/stats.h"
#include "eval/study/questions.h"

#include <stdio.h>

#define STUDY_METHODS 320
#define STUDY_RATIOS 16
#define STUDY_CUTS 16

/* One question by one method, ratio and cutting, against full prefill. */
struct outcome {
    double kl;       /* mean over the steps of the answer */
    double kl_first; /* of the first */
    double top1;     /* share of steps whose likeliest token is the same */
    double cosine;   /* of the logits, mean over the first steps */
    double flops, ms;
    int rows_selected, rows_computed;
    int right; /* the answer is one of the question's */
    int same;  /* it is full prefill's */
};

struct reference { /* of a question: full prefill */
    double flops;
    int rows, steps, right, line;
};

struct study_args {
    struct cli_args common;
    const char *questions, *methods, *ratios, *chunks, *lines, *against;
    int limit, max_tokens, calibrate, max_rows;
    struct reuse_text text;
    struct cache_args cache; /* its directory alone: for calibrations */
    uint64_t seed;
};

struct study {
    struct cli cli;
    struct study_args args;
    struct questions questions;
    struct method method[STUDY_METHODS]; /* the first is none, the baseline */
    double ratio[STUDY_RATIOS];
    struct cutting {
        char name[16];
        struct reuse_chunk chunk;
    } cut[STUDY_CUTS];
    int n_methods, n_ratios, n_cuts, n_questions;
    int against;                  /* method, or -1 */
    int room;                     /* for methods, those of sets included */
    int first_method, calibrated; /* of those that are run now; the one that is calibrated */
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    struct vlqa_model_info info;
    struct reference *reference; /* [n_questions] */
    struct outcome *outcome;     /* [n_questions, n_cuts, room, n_ratios] */
    struct progress bar;
    FILE *lines; /* of --json */

    /* the question at hand */
    float *logits;  /* [max_tokens + 1, vocab] of full prefill */
    int32_t *token; /* [max_tokens] its answer */
    char *text;
    int n_tokens, steps;
};

static inline struct outcome *study_outcome(const struct study *s, int question, int cut,
                                            int method, int ratio)
{
    size_t at = (size_t)question * (size_t)s->n_cuts + (size_t)cut;
    at = (at * (size_t)s->room + (size_t)method) * (size_t)s->n_ratios;
    return &s->outcome[at + (size_t)ratio];
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
