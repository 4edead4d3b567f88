/* verbs.h - the verbs of the program, one file each. */
#ifndef EVAL_VERBS_H
#define EVAL_VERBS_H

#include "eval/args.h"

extern const struct verb verb_ask, verb_inspect, verb_bench, verb_study;

#endif
