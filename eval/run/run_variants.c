/* run_variants.c - what is run, from the lists of the command line. */
#include "base/env.h"
#include "base/heap.h"
#include "eval/cli/cli.h"
#include "eval/run/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const run_kls[] = {"first", "answer", NULL};
const char *const run_blinds[] = {"skip", "ask", NULL};

vlqa_status run_parse_cuts(struct env *env, const char *list,
                           struct run_cut chunking[RUN_CHUNKINGS], int *n)
{
    char word[128];
    for (*n = 0; args_next_word(&list, word); ++*n) {
        if (*n == RUN_CHUNKINGS)
            return env_fail(env, VLQA_ELIMIT, "--chunk: more than %d", RUN_CHUNKINGS);
        if (!reuse_read_chunk(word, &chunking[*n].chunk))
            return env_fail(
                env, VLQA_EUSAGE,
                "--chunk: %s is none of auto, image, grid:K, strips:K with K from 1 to 256", word);
        snprintf(chunking[*n].name, sizeof chunking[*n].name, "%.15s", word);
    }
    return *n ? VLQA_OK : env_fail(env, VLQA_EUSAGE, "--chunk: none given");
}

/* "name:0.15", where what is behind the last colon is no setting of the variant. */
static vlqa_status parse_variant(struct env *env, char *word, const struct reuse_args *base,
                                 struct variant *out, double *ratio)
{
    char *colon = strrchr(word, ':'), *end;
    vlqa_status status = variant_parse_over(env, "--variants", word, base, out);
    *ratio = base->ratio;
    if (status == VLQA_OK || !colon) return status;
    *colon = 0;
    TRY(variant_parse_over(env, "--variants", word, base, out));
    *ratio = strtod(colon + 1, &end);
    if (end == colon + 1 || *end || !(*ratio >= 0 && *ratio <= 1))
        return env_fail(env, VLQA_EUSAGE, "--variants: %s:%s: the ratio is no number from 0 to 1",
                        word, colon + 1);
    if (!variant_has_ratio(out))
        return env_fail(env, VLQA_EUSAGE, "--variants: %s has no ratio", word);
    return VLQA_OK;
}

static int is_full_prefill(const char *name)
{
    return strcmp(name, "off") == 0 || strcmp(name, "full") == 0;
}

static int is_same(const struct run_variant *a, const struct run_variant *b)
{
    if (a->is_full_prefill || b->is_full_prefill) return a->is_full_prefill && b->is_full_prefill;
    return strcmp(a->name, b->name) == 0 && strcmp(a->chunking, b->chunking) == 0 &&
           !(fabs(a->ratio - b->ratio) > 0); /* or both have none */
}

vlqa_status run_add(struct run *run, const struct run_variant *variant)
{
    struct env *env = &run->cli->env;
    int at = variant->is_full_prefill
                 ? 0
                 : run->n_variants; /* what the others are held against is first */
    for (int i = 0; i < run->n_variants; i++)
        if (is_same(variant, &run->variant[i]))
            return env_fail(env, VLQA_EUSAGE,
                            "--variants: %s is given twice (full and off are the same)",
                            variant->name);
    if (run->n_variants == RUN_VARIANTS)
        return env_fail(env, VLQA_ELIMIT, "--variants x --chunk: more than %d", RUN_VARIANTS);
    if ((size_t)run->n_variants == run->variants_cap) {
        size_t cap = run->variants_cap + 64, bytes = cap * sizeof *variant;
        void *grown = run->variant
                          ? heap_resize(run->variant, run->variants_cap * sizeof *variant, bytes)
                          : heap_alloc(bytes);
        if (!grown) return env_no_memory(env, "variants", bytes);
        run->variant = grown;
        run->variants_cap = cap;
    }
    memmove(run->variant + at + 1, run->variant + at,
            (size_t)(run->n_variants - at) * sizeof *variant);
    run->variant[at] = *variant;
    run->n_variants++;
    return VLQA_OK;
}

struct run_variant run_full(const struct reuse_args *base, const char *name)
{
    struct run_variant variant = {.args = *base, .is_full_prefill = 1, .ratio = (double)NAN};
    variant.args.variant = variant.args.parity = 0; /* off */
    variant.args.quality.asked = 0;
    snprintf(variant.name, sizeof variant.name, "%s", name);
    return variant;
}

vlqa_status run_add_method(struct run *run, const struct variant *m, double ratio,
                           const struct run_cut *chunking, int n_chunkings)
{
    struct run_variant variant = {.args = m->args,
                                  .ratio = variant_has_ratio(m) ? ratio : (double)NAN};
    variant.args.ratio = ratio;
    memcpy(variant.name, m->name, sizeof variant.name);
    for (int i = 0; i < n_chunkings; i++) {
        variant.args.chunk = chunking[i].chunk;
        memcpy(variant.chunking, chunking[i].name, sizeof variant.chunking);
        TRY(run_add(run, &variant));
    }
    return VLQA_OK;
}

/* A word of --variants by each chunking. */
static vlqa_status add_word(struct run *run, char *word, const struct run_cut *chunking,
                            int n_chunkings)
{
    const struct reuse_args *base = &run->args->reuse;
    struct variant m;
    double ratio;
    if (is_full_prefill(word)) {
        struct run_variant full = run_full(base, word);
        full.args.chunk = chunking[0].chunk; /* it is not cut, but must be well-formed */
        return run_add(run, &full);
    }
    TRY(parse_variant(&run->cli->env, word, base, &m, &ratio));
    return run_add_method(run, &m, ratio, chunking, n_chunkings);
}

vlqa_status run_add_lists(struct run *run)
{
    const struct run_args *a = run->args;
    const char *list = a->variants ? a->variants : reuse_variant(&a->reuse);
    struct env *env = &run->cli->env;
    struct run_cut chunking[RUN_CHUNKINGS];
    char word[128];
    int n_chunkings;
    TRY(run_parse_cuts(env, a->chunks, chunking, &n_chunkings));
    while (args_next_word(&list, word))
        TRY(add_word(run, word, chunking, n_chunkings));
    return run->n_variants ? VLQA_OK : env_fail(env, VLQA_EUSAGE, "--variants: none given");
}

void run_variant_label(const struct run_variant *variant, char out[RUN_LABEL])
{
    if (isnan(variant->ratio))
        snprintf(out, RUN_LABEL, "%s", variant->name);
    else
        snprintf(out, RUN_LABEL, "%s:%g", variant->name, variant->ratio);
}

int run_full_prefill(const struct run *r)
{
    for (int i = 0; i < r->n_variants; i++)
        if (r->variant[i].is_full_prefill) return i;
    return -1;
}
