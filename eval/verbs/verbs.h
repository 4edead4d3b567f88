/* verbs.h - the verbs of the program, one file each. */
#ifndef EVAL_VERBS_H
#define EVAL_VERBS_H

#include "eval/cli/args.h"

extern const struct verb verb_ask, verb_bench, verb_cache, verb_eval, verb_inspect, verb_study;
extern const struct verb verb_cache_warm; /* of the verb cache */

#endif
