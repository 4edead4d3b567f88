/* run_arms.c - what is run, from the lists of the command line. */
#include "base/env.h"
#include "base/heap.h"
#include "eval/cli/cli.h"
#include "eval/run/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const run_kls[] = {"first", "answer", NULL};

vlqa_status run_parse_cuts(struct env *env, const char *list, struct run_cut cut[RUN_CUTS], int *n)
{
    char word[128];
    for (*n = 0; args_next_word(&list, word); ++*n) {
        if (*n == RUN_CUTS) return env_fail(env, VLQA_ELIMIT, "--chunk: more than %d", RUN_CUTS);
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

vlqa_status run_add(struct run *run, const struct arm *arm)
{
    struct env *env = &run->cli->env;
    int at = arm->is_dense ? 0 : run->n_arms; /* what the others are held against is first */
    for (int i = 0; i < run->n_arms; i++)
        if (is_same(arm, &run->arm[i]))
            return env_fail(env, VLQA_EUSAGE, "--methods: %s is there twice (full and off are one)",
                            arm->name);
    if (run->n_arms == RUN_ARMS)
        return env_fail(env, VLQA_ELIMIT, "--methods x --chunk: more than %d", RUN_ARMS);
    if ((size_t)run->n_arms == run->arms_cap) {
        size_t cap = run->arms_cap + 64, bytes = cap * sizeof *arm;
        void *grown = run->arm ? heap_resize(run->arm, run->arms_cap * sizeof *arm, bytes)
                               : heap_alloc(bytes);
        if (!grown) return env_no_memory(env, "methods", bytes);
        run->arm = grown;
        run->arms_cap = cap;
    }
    memmove(run->arm + at + 1, run->arm + at, (size_t)(run->n_arms - at) * sizeof *arm);
    run->arm[at] = *arm;
    run->n_arms++;
    return VLQA_OK;
}

struct arm run_full(const struct reuse_args *base, const char *name)
{
    struct arm arm = {.args = *base, .is_dense = 1, .ratio = (double)NAN};
    arm.args.strategy = arm.args.parity = 0; /* off */
    snprintf(arm.name, sizeof arm.name, "%s", name);
    return arm;
}

vlqa_status run_add_method(struct run *run, const struct method *m, double ratio,
                           const struct run_cut *cut, int n_cuts)
{
    struct arm arm = {.args = m->args, .ratio = method_has_ratio(m) ? ratio : (double)NAN};
    arm.args.ratio = ratio;
    memcpy(arm.name, m->name, sizeof arm.name);
    for (int i = 0; i < n_cuts; i++) {
        arm.args.chunk = cut[i].chunk;
        memcpy(arm.cut, cut[i].name, sizeof arm.cut);
        TRY(run_add(run, &arm));
    }
    return VLQA_OK;
}

/* A word of --methods by each cutting. */
static vlqa_status add_word(struct run *run, char *word, const struct run_cut *cut, int n_cuts)
{
    const struct reuse_args *base = &run->args->reuse;
    struct method m;
    double ratio;
    if (is_dense(word)) {
        struct arm full = run_full(base, word);
        full.args.chunk = cut[0].chunk; /* it is not cut, but must be well-formed */
        return run_add(run, &full);
    }
    TRY(parse_method(&run->cli->env, word, base, &m, &ratio));
    return run_add_method(run, &m, ratio, cut, n_cuts);
}

vlqa_status run_add_lists(struct run *run)
{
    const struct run_args *a = run->args;
    const char *list = a->methods ? a->methods : reuse_strategy(&a->reuse);
    struct env *env = &run->cli->env;
    struct run_cut cut[RUN_CUTS];
    char word[128];
    int n_cuts;
    TRY(run_parse_cuts(env, a->chunks, cut, &n_cuts));
    while (args_next_word(&list, word))
        TRY(add_word(run, word, cut, n_cuts));
    return run->n_arms ? VLQA_OK : env_fail(env, VLQA_EUSAGE, "--methods: none given");
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
