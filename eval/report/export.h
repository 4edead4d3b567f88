/* export.h - answers of a run as other programs read them. */
#ifndef EVAL_EXPORT_H
#define EVAL_EXPORT_H

#include "eval/cli/cli.h"

/* Writes the rows of one variant of a run file as VLMEvalKit's file of predictions, a TSV with
 * every cell in quotes as pandas writes it: index, question, answer, prediction and, where rows
 * have them, A to Z, category, split, cycle_category. Several right answers are a Python list.
 * Thoughts are cut off, as VLMEvalKit does it when it asks (SPLIT_THINK) and not when it grades.
 * variant: a name of variants.h; NULL: the only one. An exit code. */
int export_vlmevalkit(struct cli *cli, const char *run, const char *to, const char *variant,
                      int keep_thoughts);

#endif
