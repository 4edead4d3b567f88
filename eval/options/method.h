/* method.h - what a study compares, as a user writes it.
 *
 *   METHOD[/ROWS][/SCORE][/LAYERS][/halo:N]   infoflow/last/max/4-6, prophet/3+5-7, none/halo:2
 *
 * Chunks have no halo where none is given. Settings may come in any order; the others left out
 * are the defaults of their options. */
#ifndef EVAL_METHOD_H
#define EVAL_METHOD_H

#include "eval/options/reuse_flags.h"

struct method {
    char name[320]; /* as it was written */
    enum reuse_strategy reuse;
    struct reuse_args args; /* all but ratio and chunks */
};

vlqa_status method_parse(struct env *env, const char *option, const char *text, struct method *out);
/* The settings left out are those of base. */
vlqa_status method_parse_over(struct env *env, const char *option, const char *text,
                              const struct reuse_args *base, struct method *out);
int method_has_ratio(const struct method *m);  /* not: none, full */
int method_has_layers(const struct method *m); /* infoflow, prophet, oracle */

#endif
