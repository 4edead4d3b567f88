/* variant.h - what a study compares, as a user writes it.
 *
 *   VARIANT[/ROWS][/SCORE][/LAYERS][/halo:N]   infoflow/last/max/4-6, prophet/3+5-7, none/halo:2
 *   auto[/halo:N][/quality:Q]
 *
 * Chunks have no halo where none is given. Settings may come in any order; the others left out
 * are the defaults of their options. */
#ifndef EVAL_VARIANT_H
#define EVAL_VARIANT_H

#include "eval/options/reuse_flags.h"

struct variant {
    char name[320]; /* as it was written */
    enum reuse_variant reuse;
    struct reuse_args args; /* all but ratio and chunks */
};

vlqa_status variant_parse(struct env *env, const char *option, const char *text,
                          struct variant *out);
/* The settings left out are those of base. */
vlqa_status variant_parse_over(struct env *env, const char *option, const char *text,
                               const struct reuse_args *base, struct variant *out);
int variant_has_ratio(const struct variant *m);  /* not: none, full, with quality */
int variant_has_layers(const struct variant *m); /* infoflow, prophet, oracle */

#endif
