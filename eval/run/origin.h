/* origin.h - where a number comes from: the command, the build, the machine. */
#ifndef EVAL_ORIGIN_H
#define EVAL_ORIGIN_H

#include "eval/cli/report.h"

/* The words as a shell takes them, behind "vlqa VERB"; heap_free, NULL: no memory. Printable text,
 * whatever bytes the words have. */
char *origin_command(const char *verb, int argc, char *const *argv);
/* "AMD EPYC (family 25, model 1), 2 cores, 23.5 GiB": processor, cores this process may use, memory
 * that the system has. Nothing that tells one machine from another of its kind. */
#define ORIGIN_MACHINE 160
void origin_machine(char out[ORIGIN_MACHINE]);
/* Twelve digits, with "-dirty" where files of the checkout differ; "": not built from one. */
const char *origin_commit(void);
const char *origin_build(void); /* "GNU 12.2.0, Release" */

/* Members command, commit (where it is known), build and machine. */
void origin_report(struct report *r, const char *verb, int argc, char *const *argv);
/* Whether a member of that name is one of them. */
int origin_is_member(const char *name);

#endif
