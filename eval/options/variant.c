/* variant.c - names to selectors and their settings. */
#include "eval/options/variant.h"

#include <stdlib.h>
#include <string.h>

/* The index of a word, or -1. */
static int find(const char *const *names, const char *word)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], word) == 0) return i;
    return -1;
}

/* "taper:0.5" and the like: of every variant that chooses, of those that measure, of KVShare. */
static int parse_named(const char *word, struct variant *out)
{
    int kvshare = out->reuse == REUSE_KVSHARE;
    const char *rest;
    char *end;
    int closing = strncmp(word, "closing:", 8) == 0;
    if (closing || strncmp(word, "dilate:", 7) == 0) /* its former name */
        return args_number(word + (closing ? 8 : 7), 0, 8, &rest, &out->args.closing) && !*rest;
    if ((kvshare || out->reuse == REUSE_CACHEBLEND) && strncmp(word, "check:", 6) == 0)
        return reuse_read_list(word + 6, &out->args.check);
    if (kvshare && strncmp(word, "refresh:", 8) == 0)
        return reuse_read_refresh(word + 8, &out->args.refresh);
    if (strncmp(word, "taper:", 6) != 0) return 0;
    out->args.taper = strtod(word + 6, &end);
    return end > word + 6 && !*end && out->args.taper >= 0 && out->args.taper <= 1;
}

/* "kv:0.2", "keep:snapkv" and the like: of all. */
static int parse_keep(const char *word, struct variant *out)
{
    struct reuse_keep *keep = &out->args.keep;
    static const struct {
        const char *name;
        size_t offset;
        int least, most;
    } number[] = {{"window:", offsetof(struct reuse_keep, window), 1, 512},
                  {"step:", offsetof(struct reuse_keep, step), 1, 1 << 20},
                  {"block:", offsetof(struct reuse_keep, block), 0, 512}};
    const char *rest;
    char *end;
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        size_t bytes = strlen(number[i].name);
        int *field = (int *)(void *)((char *)keep + number[i].offset);
        if (strncmp(word, number[i].name, bytes) == 0)
            return args_number(word + bytes, number[i].least, number[i].most, &rest, field) &&
                   !*rest;
    }
    if (strcmp(word, "shared") == 0) return keep->shared = 1;
    if (strcmp(word, "worst") == 0) return keep->worst = 1;
    if (strncmp(word, "kv:", 3) == 0) return reuse_read_budget(word + 3, &keep->budget);
    if (strncmp(word, "keep:", 5) == 0) return (keep->by = find(reuse_keeps, word + 5)) >= 0;
    if (strncmp(word, "entropy:", 8) != 0) return 0;
    keep->entropy = strtod(word + 8, &end);
    return end > word + 8 && !*end && keep->entropy >= 0 && keep->entropy <= 1;
}

/* "quality:0.99", of auto alone. */
static int parse_quality(const char *word, struct variant *out)
{
    double *asked = &out->args.quality.asked;
    char *end;
    if (out->reuse != REUSE_AUTO || strncmp(word, "quality:", 8) != 0) return 0;
    *asked = strtod(word + 8, &end);
    return end > word + 8 && !*end && *asked > 0 && *asked <= 1;
}

static vlqa_status parse_setting(struct env *env, const char *option, const char *word,
                                 struct variant *out)
{
    int score = find(reuse_scores, word);
    const char *end;
    if (strncmp(word, "halo:", 5) == 0 && !out->args.parity &&
        reuse_read_halo(word + 5, &out->args.halo))
        return VLQA_OK;
    if (parse_quality(word, out)) return VLQA_OK;
    if (strncmp(word, "stand-in:", 9) == 0 && !out->args.parity &&
        args_number(word + 9, 0, 64, &end, &out->args.stand_ins) && !*end) {
        if (!out->args.stand_ins) out->args.stand_ins = -1;
        return VLQA_OK;
    }
    if (variant_has_ratio(out) && !out->args.parity && parse_named(word, out)) return VLQA_OK;
    if (parse_keep(word, out)) return VLQA_OK;
    if (!variant_has_layers(out) || (score >= 0 && out->reuse != REUSE_INFOFLOW))
        return env_fail(env, VLQA_EUSAGE, "%s: %s: %s does not take %s", option, out->name,
                        reuse_variant(&out->args), word);
    if (score >= 0)
        out->args.score = score;
    else if (reuse_read_query(word, &out->args.query))
        return VLQA_OK;
    else if (!reuse_read_layers(word, &out->args.layers))
        return env_fail(
            env, VLQA_EUSAGE,
            "%s: %s: %s is none of suffix, question, last, draft:N; norm, mass, max, entropy, "
            "vatp, combined, eq7; layers such as all, 5, 4-6, 3+5-7 or calibrated",
            option, out->name, word);
    return VLQA_OK;
}

vlqa_status variant_parse(struct env *env, const char *option, const char *text,
                          struct variant *out)
{
    const struct reuse_args defaults = {.score = find(reuse_scores, "max"), .refresh = {1, 4}};
    return variant_parse_over(env, option, text, &defaults, out);
}

vlqa_status variant_parse_over(struct env *env, const char *option, const char *text,
                               const struct reuse_args *base, struct variant *out)
{
    char words[sizeof out->name], *word, *slash = NULL;
    *out = (struct variant){.reuse = REUSE_OFF, .args = *base};
    out->args.keep = (struct reuse_keep){/* the options' defaults */
                                         .by = find(reuse_keeps, "snapkv"),
                                         .window = 16,
                                         .step = 64,
                                         .entropy = 0.5};
    if (strlen(text) < sizeof words) {
        memcpy(out->name, text, strlen(text));
        memcpy(words, out->name, sizeof words);
        if ((slash = strchr(words, '/'))) *slash = 0;
        out->args.variant = find(reuse_names, words);
        if (out->args.variant >= 0) out->reuse = (enum reuse_variant)out->args.variant;
        out->args.parity = find(reuse_parities, words);
        if (out->args.parity > 0) { /* not "off" */
            out->args.variant = find(reuse_names, "infoflow");
            out->reuse = REUSE_INFOFLOW;
        } else
            out->args.parity = 0;
    }
    if (out->reuse == REUSE_OFF && !(out->args.variant == REUSE_OFF && slash))
        return env_fail(
            env, VLQA_EUSAGE,
            "%s: %s is none of full, none, infoflow, prophet, cacheblend, epic, "
            "vlcache, random, oracle, kvshare, infoflow-vlm-release, infoflow-llm-release",
            option, text);
    if (out->reuse != REUSE_AUTO) out->args.quality.asked = 0;
    while (slash) {
        word = slash + 1;
        if ((slash = strchr(word, '/'))) *slash = 0;
        TRY(parse_setting(env, option, word, out));
    }
    return VLQA_OK;
}

int variant_has_ratio(const struct variant *m)
{
    if (m->args.quality.asked > 0) return 0; /* it finds one */
    return m->reuse == REUSE_AUTO || m->reuse > REUSE_NONE;
}

int variant_has_layers(const struct variant *m)
{
    if (m->args.parity) return 0;
    return m->reuse == REUSE_INFOFLOW || m->reuse == REUSE_PROPHET || m->reuse == REUSE_ORACLE;
}
