/* run.h - a data set asked of a model: every question by every variant and chunking, graded as it
 * is answered, kept line by line so that a run which was killed goes on where it stopped.
 *
 * A *variant* here is a variant with its ratio and a chunking. All variants of a question share its
 * images, words and place, so that their scores are pairs. Before each the session is cleared: what
 * a variant costs does not depend on which were asked before, and no more is held than for one
 * question. */
#ifndef EVAL_RUN_H
#define EVAL_RUN_H

#include "base/hash.h"
#include "eval/data/dataset.h"
#include "eval/options/cache_flags.h"
#include "eval/options/document.h"
#include "eval/options/variant.h"
#include "eval/run/run_file.h"
#include "eval/run/tally.h"
#include "eval/stats/stats.h"

#define RUN_VARIANTS 16384 /* at most */

enum run_kl { /* --kl: of which tokens the divergence from full prefill is taken */
              RUN_KL_FIRST,
              RUN_KL_ANSWER /* of each that full prefill answers, and the one behind it */
};
extern const char *const run_kls[];    /* ends with NULL */
extern const char *const run_blinds[]; /* --without-image: "skip", "ask", NULL */

struct run_args {
    const char *dataset, *variants, *chunks, *out, *submission;
    const char *prompt;    /* NULL: prompt_form_default of the layout */
    const char *prompt_by; /* who chose it, for the header: "choice", "default", "study" */
    const char *ratios;    /* of variants that name none, for the header; NULL: one */
    struct dataset_options data;
    struct document_args document; /* no items */
    struct cache_args cache;
    struct reuse_args reuse;
    int limit, metric; /* a metric + 1; 0: the row's own */
    int max_tokens, max_seq_len, ignore_eos;
    int kl;         /* an enum run_kl */
    int unanswered; /* take questions without answers, too; no answer to them is right */
    int thoughts;   /* --thoughts: 1: graded, too */
    int calibrate;  /* of a study: noted in the header, because it adds variants */
    int strict;     /* stop at a question that cannot be asked, and keep no line for it */
    int jobs;       /* questions at work at once: the one that is asked, and those read ahead */
    uint64_t shuffle, seed; /* shuffle 0: the first rows */
};

struct run_variant {
    char name[sizeof((struct variant *)0)->name],
        chunking[16];    /* as written; cut: "" of full prefill */
    double ratio;        /* NaN: the variant has none */
    int is_full_prefill; /* full prefill, once a question */
    struct reuse_args args;
    struct tally *tally[N_METRICS]; /* the run's own; NULL: no row of it yet */
};

/* "infoflow:0.15" */
#define RUN_LABEL 352
void run_variant_label(const struct run_variant *variant, char out[RUN_LABEL]);

struct run_outcome {             /* of a question by a variant */
    double score, tokens, flops; /* rows, flops: computed again */
    double kl;                   /* of the first token, to full prefill; NaN: it was not asked */
    double kl_answer; /* mean over the tokens of full prefill's answer; NaN: not with --kl first */
    double ms;        /* without computing chunks; NaN: it was asked before, and the file of times
                       * has it not */
    double ms_chunks; /* computing chunks, which the first variant that needs them pays for all */
    uint64_t prediction;           /* its checksum: equal where two answers are the same */
    double total, selected, stale; /* tokens: of the prompt; chosen; of chunks that are not exact */
    double lead;                   /* as in stats_divergence; NaN: not with --kl answer */
    int apart;                     /* likewise */
    int failed;                    /* it could not be asked: score 0, and nothing was computed */
};

struct run {
    struct cli *cli;
    const struct run_args *args;
    struct run_variant *variant;           /* [n_variants] */
    int n_variants, n_questions, n_failed; /* n_failed: outcomes */
    size_t variants_cap;
    int first;                   /* variants that were asked before those that are asked now */
    signed char *metric;         /* [n_questions] */
    uint64_t *group;             /* [n_questions] equal where questions belong together: group.h */
    struct run_outcome *outcome; /* [n_variants, n_questions] */
    size_t outcome_bytes;
    struct vlqa_model_info info;
    const char *prompt; /* its name */
    int64_t blind;      /* rows without an image, in a data set of images: left out or asked */
    /* of the questions asked now: all, those made less than half as large, and the most tokens that
     * one of these would take as it is */
    int64_t images, shrunk, whole_tokens;
    char calibrated[400]; /* the layers that stand for this word, or "" */
};

static inline struct run_outcome *run_outcome(const struct run *r, int question, int variant)
{
    return &r->outcome[(size_t)variant * (size_t)r->n_questions + (size_t)question];
}

/* The first variant that is full prefill, or -1. */
int run_full_prefill(const struct run *r);
/* To standard output: a table for each metric, and one of variants x chunkings; with --json a line
 * for each variant and metric. An exit code. */
int run_print(struct run *r);

/* What decides about the answers, and where the first of them come from (origin.h), as the first
 * line of a file of answers. heap_free; NULL: no memory. */
char *run_header(const struct run *r, struct key dataset);

/* "3 rows without an image are left out, ...", or "". */
#define RUN_BLIND 128
void run_tell_blind(const struct run *r, char out[RUN_BLIND]);

/* The divergence that --kl asks for. */
static inline double run_kl(const struct run *r, int question, int variant)
{
    const struct run_outcome *o = run_outcome(r, question, variant);
    return r->args->kl == RUN_KL_ANSWER ? o->kl_answer : o->kl;
}

/* Asks what is not yet answered, and prints. An exit code. */
int run_dataset(struct cli *cli, const struct run_args *args);

/* ---- the same in steps, for a verb that chooses variants by the model or by what others said ----
 */

struct run *run_new(struct cli *cli, const struct run_args *args); /* NULL: no memory */
void run_close(struct run *run);                                   /* NULL is fine */
/* One variant more; full prefill goes first. VLQA_EUSAGE where it is there. */
vlqa_status run_add(struct run *run, const struct run_variant *variant);
/* Reads all rows once, so that a wrong one is told at once, and opens the model. An exit code. */
int run_open(struct run *run);
/* Every question by the variants that were added since the last call. An exit code. Answers of a
 * second call are kept in a file of their own, OUT.more. */
int run_ask(struct run *run);
/* At the end, when all is printed: problems of the cache, questions that failed. An exit code. */
int run_finish(struct run *run);
struct run_cut {
    char name[16];
    struct reuse_chunk chunk;
};

#define RUN_CHUNKINGS 64
/* "grid:2,grid:4" to chunkings, one or more. */
vlqa_status run_parse_cuts(struct env *env, const char *list,
                           struct run_cut chunking[RUN_CHUNKINGS], int *n);
/* Full prefill with the settings of base that are not about chunks. */
struct run_variant run_full(const struct reuse_args *base, const char *name);
/* A variant with its ratio, where it has one, by each chunking. */
vlqa_status run_add_method(struct run *run, const struct variant *m, double ratio,
                           const struct run_cut *chunking, int n_chunkings);
/* Adds "full,infoflow/last:0.15" x "grid:2,grid:4", in the order of the variants. Lists that are
 * not given: the variant and the chunking of args->reuse. */
vlqa_status run_add_lists(struct run *run);

#endif
