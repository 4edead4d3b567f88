/* eval_report.h - run files as a report for people, from the files alone. */
#ifndef EVAL_EVAL_REPORT_H
#define EVAL_EVAL_REPORT_H

#include "eval/cli/cli.h"

/* Writes `to`, HTML or by its suffix .md Markdown, of the n runs: an exit code. */
int eval_report(struct cli *cli, const char *to, const char *const *run, int n);
/* Score against rows computed again, of each variant, chunking and ratio: a table to standard
 * output. */
int eval_curve(struct cli *cli, const char *const *run, int n);

#endif
