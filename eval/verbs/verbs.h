/* verbs.h - the verbs of the program, one file each. */
#ifndef EVAL_VERBS_H
#define EVAL_VERBS_H

#include "eval/cli/args.h"

enum { MAX_VERBS = 32 };
extern const struct verb *const verbs[]; /* [n_verbs] in the order of the overview */
extern const int n_verbs;

extern const struct verb verb_ask, verb_bench, verb_cache, verb_chat, verb_eval, verb_inspect,
    verb_quantize, verb_study;
extern const struct verb verb_completion, verb_manual;
extern const struct verb verb_cache_warm; /* of the verb cache */

#endif
