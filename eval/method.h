/* method.h - what a study compares, as a user writes it.
 *
 *   METHOD[/QUERY][/SCORE][/LAYERS]    infoflow/last/max/4-6, prophet/all, epic
 *   GRID:K, STRIPS:K or IMAGE          how images are cut
 *
 * Settings may come in any order; those left out are the runtime's defaults. */
#ifndef EVAL_METHOD_H
#define EVAL_METHOD_H

#include "base/env.h"

struct method {
    char name[64]; /* as it was written */
    enum vlqa_reuse reuse;
    enum vlqa_score score;
    enum vlqa_score_query query;
    int layer_begin, layer_end; /* end 0: to the last */
};

struct cutting {
    char name[24];
    enum vlqa_chunker chunker;
    int k;
};

/* One of a list. option: for messages. */
vlqa_status method_parse(struct env *env, const char *option, const char *text, struct method *out);
vlqa_status cutting_parse(struct env *env, const char *option, const char *text,
                          struct cutting *out);
int method_has_ratio(const struct method *m); /* not: none, full */
int method_has_layers(const struct method *m);
void method_apply(const struct method *m, struct vlqa_ask_options *o);
void cutting_apply(const struct cutting *c, struct vlqa_ask_options *o);

#endif
