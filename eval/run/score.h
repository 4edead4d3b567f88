/* score.h - grades files of answers that any system gave: rows of row.h, one after the other. */
#ifndef EVAL_SCORE_H
#define EVAL_SCORE_H

#include "eval/cli/cli.h"

/* Writes the rows of the file ("-": standard input) to standard output in their order with `score`,
 * and `score_lmms` and `extracted` where there is such a thing; then the numbers of each metric,
 * one JSON object a line, to standard error: of a run of several variants those of each
 * variant, chunking and ratio. metric: of rows that name none, or of all when `insist`; -1: they
 * must. keep_thoughts: as of struct row_room. Holds the longest row alone. An exit code. */
int score_rows(struct cli *cli, const char *path, int metric, int insist, int keep_thoughts);

#endif
