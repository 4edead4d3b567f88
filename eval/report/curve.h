/* curve.h - score and divergence against work, to a terminal or as JSON lines. */
#ifndef EVAL_CURVE_H
#define EVAL_CURVE_H

#include "eval/cli/cli.h"
#include "eval/report/report_parts.h"

/* A table for each data set with a line for each variant, chunking and ratio; with --json an object
 * each. An exit code. */
int curve_print(struct cli *cli, const struct eval_report *report);

#endif
