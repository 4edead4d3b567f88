/* metric.h - the metrics of the data sets, scored as VLMEvalKit does it and, where it differs, as
 * lmms-eval does.
 *
 *   chartqa   relaxed accuracy                   VLMEvalKit relaxed_correctness, lmms-eval chartqa
 *   anls      normalised Levenshtein similarity  VLMEvalKit anls_compute, lmms-eval anls
 *   ocrbench  an answer is inside                VLMEvalKit OCRBench.evaluate, lmms-eval ocrbench
 *   mcq       the letter that was chosen         VLMEvalKit can_infer (exact matching, no judge),
 *                                                lmms-eval hrbench
 *   f1        words in common                    LongBench qa_f1_score
 *   em        equal but for blanks and case      VLMEvalKit process_line, method "accuracy"
 *   em-answer em of what is behind the last "Answer:", of all where there is none; ours, for
 *             questions that ask for that form (MultiChartQA)
 *
 * Texts are compared as code points with Python's blanks and cases (points.h). VLMEvalKit changes:
 * the rules here are those of June 2026 (commit e8e78f05), lmms-eval's those of commit 75571cfe. */
#ifndef EVAL_METRIC_H
#define EVAL_METRIC_H

#include "base/env.h"
#include "eval/grade/unicode.h"

enum metric {
    METRIC_CHARTQA,
    METRIC_ANLS,
    METRIC_OCRBENCH,
    METRIC_MCQ,
    METRIC_F1,
    METRIC_EM,
    METRIC_EM_ANSWER,
    N_METRICS
};

extern const char *const metric_names[]; /* ends with NULL */
/* A name of the table above or of data files (relaxed_accuracy, exact, ...); -1: neither.
 */
int metric_find(const char *name);

struct metric_option {
    char letter; /* 'A' to 'Z' */
    struct text text;
};

struct metric_row {
    struct text prediction;
    const struct text *target; /* any of them is right; none: nothing is */
    int n_targets;
    int is_formula; /* ocrbench: a handwritten expression, where only its blanks are left out */
    const struct metric_option *option; /* mcq, in the order of the columns */
    int n_options;
    char answer; /* mcq: the letter that is right */
};

struct metric_grade {
    double score;      /* 0 to 1 */
    double score_lmms; /* lmms-eval's; equal to score where it has no other rule */
    char letter;       /* mcq: what was chosen, Z: nothing that can be told */
    char letter_lmms;  /* likewise; 0: nothing */
};

/* Bytes of scratch that metric_score takes for a row whose texts have so many together. */
size_t metric_scratch(size_t bytes);
/* VLQA_ELIMIT when two texts of anls are so long that their distance takes minutes. */
vlqa_status metric_score(struct env *env, enum metric metric, const struct metric_row *row,
                         struct arena *scratch, struct metric_grade *out);

/* One answer each, for tests: what metric_score takes the best of. */
int metric_relaxed(struct unicode prediction, struct unicode target, struct arena *scratch);
/* 1 - this is the score, before the threshold of 0.5 */
vlqa_status metric_anls_distance(struct env *env, struct unicode prediction, struct unicode target,
                                 struct arena *scratch, double *out);
double metric_f1(struct unicode prediction, struct unicode target, struct arena *scratch);
/* folds: lmms-eval's rule, which takes full-width ASCII as ASCII */
int metric_ocr(struct unicode prediction, struct unicode target, int is_formula, int folds,
               struct arena *scratch);

/* Which of the rules of can_infer hold; they came one after the other. */
struct metric_choice_rules {
    int near_end;   /* a letter counts among the last four words only (August 2025) */
    int short_text; /* an answer over twice as long as all options together is no option (2025) */
    int verbose;    /* "answer is X" (June 2026) */
};
extern const struct metric_choice_rules metric_choice_now, metric_choice_lmms;
/* The letter, Z for a refusal, 0: nothing was inferred. */
char metric_choice(const struct metric_row *row, const struct metric_choice_rules *rules,
                   struct arena *scratch);

#endif
