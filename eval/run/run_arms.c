/* run_arms.c - what is run, from the lists of the command line. */
#include "base/env.h"
#include "eval/cli/cli.h"
#include "eval/run/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cutting {
    char name[16];
    struct reuse_chunk chunk;
};

static vlqa_status parse_cuts(struct env *env, const char *list, struct cutting cut[RUN_ARMS],
                              int *n)
{
    char word[128];
    for (*n = 0; args_next_word(&list, word); ++*n) {
        if (*n == RUN_ARMS) return env_fail(env, VLQA_ELIMIT, "--chunk: more than %d", RUN_ARMS);
        if (!reuse_read_chunk(word, &cut[*n].chunk))
            return env_fail(
                env, VLQA_EUSAGE,
                "--chunk: %s is none of auto, image, grid:K, strips:K with K from 1 to 256", word);
        snprintf(cut[*n].name, sizeof cut[*n].name, "%.15s", word);
    }
    return *n ? VLQA_OK : env_fail(env, VLQA_EUSAGE, "--chunk: none given");
}

/* "name:0.15", where what is behind the last colon is no setting of the method. */
static vlqa_status parse_method(struct env *env, char *word, const struct reuse_args *base,
                                struct method *out, double *ratio)
{
    char *colon = strrchr(word, ':'), *end;
    vlqa_status status = method_parse_over(env, "--methods", word, base, out);
    *ratio = base->ratio;
    if (status == VLQA_OK || !colon) return status;
    *colon = 0;
    TRY(method_parse_over(env, "--methods", word, base, out));
    *ratio = strtod(colon + 1, &end);
    if (end == colon + 1 || *end || !(*ratio >= 0 && *ratio <= 1))
        return env_fail(env, VLQA_EUSAGE, "--methods: %s:%s: the ratio is no number from 0 to 1",
                        word, colon + 1);
    if (!method_has_ratio(out))
        return env_fail(env, VLQA_EUSAGE, "--methods: %s has no ratio", word);
    return VLQA_OK;
}

static int is_dense(const char *name)
{
    return strcmp(name, "off") == 0 || strcmp(name, "full") == 0;
}

static int is_same(const struct arm *a, const struct arm *b)
{
    if (a->is_dense || b->is_dense) return a->is_dense && b->is_dense;
    return strcmp(a->name, b->name) == 0 && strcmp(a->cut, b->cut) == 0 &&
           !(fabs(a->ratio - b->ratio) > 0); /* or both have none */
}

static vlqa_status add_arm(struct env *env, const struct arm *arm, struct arm list[RUN_ARMS],
                           int *n)
{
    for (int i = 0; i < *n; i++)
        if (is_same(arm, &list[i]))
            return env_fail(env, VLQA_EUSAGE, "--methods: %s is there twice (full and off are one)",
                            arm->name);
    if (*n == RUN_ARMS)
        return env_fail(env, VLQA_ELIMIT, "--methods x --chunk: more than %d", RUN_ARMS);
    if (arm->is_dense) /* first: what the others are held against */
        memmove(list + 1, list, (size_t)*n * sizeof *list);
    list[arm->is_dense ? 0 : *n] = *arm;
    ++*n;
    return VLQA_OK;
}

static vlqa_status add_method(struct env *env, char *word, const struct reuse_args *base,
                              const struct cutting *cut, int n_cuts, struct arm list[RUN_ARMS],
                              int *n)
{
    struct arm arm = {.args = *base};
    struct method m;
    arm.args.chunk = cut[0].chunk; /* dense is not cut, but must be well-formed */
    if (is_dense(word)) {
        arm.is_dense = 1;
        arm.ratio = (double)NAN;
        arm.args.strategy = arm.args.parity = 0; /* off */
        snprintf(arm.name, sizeof arm.name, "%s", word);
        return add_arm(env, &arm, list, n);
    }
    TRY(parse_method(env, word, base, &m, &arm.ratio));
    arm.args = m.args;
    arm.args.ratio = arm.ratio;
    if (!method_has_ratio(&m)) arm.ratio = (double)NAN;
    memcpy(arm.name, m.name, sizeof arm.name);
    for (int i = 0; i < n_cuts; i++) {
        arm.args.chunk = cut[i].chunk;
        memcpy(arm.cut, cut[i].name, sizeof arm.cut);
        TRY(add_arm(env, &arm, list, n));
    }
    return VLQA_OK;
}

vlqa_status run_arms(struct env *env, const struct run_args *args, struct arm arm[RUN_ARMS], int *n)
{
    const char *list = args->methods ? args->methods : reuse_strategy(&args->reuse);
    struct cutting cut[RUN_ARMS];
    char word[128];
    int n_cuts;
    *n = 0;
    TRY(parse_cuts(env, args->chunks, cut, &n_cuts));
    while (args_next_word(&list, word))
        TRY(add_method(env, word, &args->reuse, cut, n_cuts, arm, n));
    return *n ? VLQA_OK : env_fail(env, VLQA_EUSAGE, "--methods: none given");
}

void run_arm_label(const struct arm *arm, char out[RUN_LABEL])
{
    if (isnan(arm->ratio))
        snprintf(out, RUN_LABEL, "%s", arm->name);
    else
        snprintf(out, RUN_LABEL, "%s:%g", arm->name, arm->ratio);
}

int run_dense(const struct run *r)
{
    for (int i = 0; i < r->n_arms; i++)
        if (r->arm[i].is_dense) return i;
    return -1;
}
