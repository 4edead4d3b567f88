/* compare.h - whether two graded runs over the same questions differ. */
#ifndef EVAL_COMPARE_H
#define EVAL_COMPARE_H

#include "eval/cli/cli.h"

/* Files hold rows with id and score, as score_rows writes them; rows of one id belong together, and
 * those that one side alone has are left out. For each pair of variants (variants.h) and metric a
 * line to standard output, or a JSON object with --json. variants: names of variants, or NULL.
 *
 * b NULL: the variants of one file, those of all names, against the first name's, of the same
 * chunking where there are several; full without names. Two files: a variant by one name each, or
 * all that both have. An exit code. */
int compare_runs(struct cli *cli, const char *a, const char *b, const char *variants);

#endif
