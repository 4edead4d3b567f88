/* help.h - what a table of options says to its reader: help, manual page, completion. */
#ifndef EVAL_HELP_H
#define EVAL_HELP_H

#include "eval/cli/args.h"

/* Help of one verb, at most 80 columns wide: the options of verb->brief, a line each, or
 * everything.
 */
void help_print(FILE *to, const struct verb *verb, int everything);
/* "  0    all is well", ...: a line for each exit code. */
extern const char help_exit_codes[];

/* The manual page of the program in the macros of man(7). */
void manual_print(FILE *to, const struct verb *const *verbs, int n);
/* Scripts that complete verbs, options and their values. */
void completion_print_bash(FILE *to, const struct verb *const *verbs, int n);
void completion_print_zsh(FILE *to, const struct verb *const *verbs, int n);

#endif
