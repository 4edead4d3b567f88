/* tally.h - the numbers of a data set from the scores of its rows, as the references report them.
 *
 *   chartqa   percent for each split, Overall and mean_of_splits, which is the same only where
 *             splits have equally many rows; lmms-eval's relaxed_* from 0 to 1
 *   anls      Overall in percent; lmms-eval's anls from 0 to 1
 *   ocrbench  hits for each of its five tasks, Final Score of 1000 and Final Score Norm of 100
 *   mcq       for each category and Overall from 0 to 1; with rotations (HRBench: cycle_category)
 *             all and each category for each rotation, and Average over rotations
 *   f1        percent for each dataset and Overall (LongBench)
 *   em        percent for each split and Overall
 *
 * (VLMEvalKit ChartQA, hit_calculate, OCRBench.evaluate, report_acc, report_acc_hrbench) */
#ifndef EVAL_TALLY_H
#define EVAL_TALLY_H

#include "eval/cli/report.h"
#include "eval/run/row.h"

#define TALLY_GROUPS 512
#define TALLY_NAME 128

struct tally_group {
    char cycle[32], name[TALLY_NAME]; /* "" for rows without */
    int64_t n;
    double sum, sum_lmms;
};

struct tally {
    enum metric metric;
    int64_t n;
    int n_groups;
    struct tally_group group[TALLY_GROUPS]; /* in the order in which they come */
};

/* VLQA_ELIMIT for too many groups. */
vlqa_status tally_add(struct env *env, struct tally *tally, const struct row *row,
                      const struct metric_grade *grade);
/* The one number that is published: percent of chartqa, anls, f1 and em, hits of ocrbench, 0 to 1
 * of mcq, over rotations where there are some. */
double tally_score(const struct tally *tally);
/* Members metric, rows, vlmevalkit (longbench for f1), lmms_eval of what is open. */
void tally_report(const struct tally *tally, struct report *report);

#endif
