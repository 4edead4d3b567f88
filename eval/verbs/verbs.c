/* verbs.c - the table of verbs. */
#include "eval/verbs/verbs.h"

#include <assert.h>

const struct verb *const verbs[] = {&verb_ask,        &verb_chat,    &verb_eval,     &verb_study,
                                    &verb_cache,      &verb_inspect, &verb_quantize, &verb_bench,
                                    &verb_completion, &verb_manual};
const int n_verbs = sizeof verbs / sizeof *verbs;
static_assert(sizeof verbs / sizeof *verbs <= MAX_VERBS, "names[] in main.c hold all verbs");
