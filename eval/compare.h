/* compare.h - whether two graded runs over the same questions differ. */
#ifndef EVAL_COMPARE_H
#define EVAL_COMPARE_H

#include "eval/cli.h"

/* Both files hold rows with id and score, as score_rows writes them; rows of one id belong
 * together, and those that one file alone has are left out. For each metric that the rows name one
 * line to standard output, or a JSON object with --json. An exit code. */
int compare_runs(struct cli *cli, const char *a, const char *b);

#endif
