/* method.c - names to selectors and their settings. */
#include "eval/method.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reuses[] = {
    [VLQA_REUSE_OFF] = "off",         [VLQA_REUSE_FULL] = "full",
    [VLQA_REUSE_NONE] = "none",       [VLQA_REUSE_INFOFLOW] = "infoflow",
    [VLQA_REUSE_PROPHET] = "prophet", [VLQA_REUSE_CACHEBLEND] = "cacheblend",
    [VLQA_REUSE_EPIC] = "epic",       [VLQA_REUSE_VLCACHE] = "vlcache",
    [VLQA_REUSE_RANDOM] = "random",   NULL};
static const char *const scores[] = {
    [VLQA_SCORE_NORM] = "norm",       [VLQA_SCORE_MASS] = "mass", [VLQA_SCORE_MAX] = "max",
    [VLQA_SCORE_ENTROPY] = "entropy", [VLQA_SCORE_VATP] = "vatp", NULL};
static const char *const queries[] = {[VLQA_QUERY_SUFFIX] = "suffix",
                                      [VLQA_QUERY_QUESTION] = "question",
                                      [VLQA_QUERY_LAST] = "last",
                                      NULL};
static const char *const chunkers[] = {
    [VLQA_CHUNK_IMAGE] = "image", [VLQA_CHUNK_GRID] = "grid", [VLQA_CHUNK_STRIPS] = "strips", NULL};

/* The index of the word of so many bytes, or -1. */
static int find(const char *const *names, const char *word, size_t bytes)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == bytes && strncmp(names[i], word, bytes) == 0) return i;
    return -1;
}

/* "all", "5" or "4-6", both ends in it. */
static int parse_layers(const char *word, size_t bytes, struct method *out)
{
    int first, last, used = 0;
    if (bytes == 3 && strncmp(word, "all", 3) == 0) {
        out->layer_begin = out->layer_end = 0;
        return 1;
    }
    if (strspn(word, "0123456789-") < bytes || bytes > 9) return 0;
    if (sscanf(word, "%4d-%4d%n", &first, &last, &used) < 2 || (size_t)used != bytes) {
        if (sscanf(word, "%4d%n", &first, &used) < 1 || (size_t)used != bytes) return 0;
        last = first;
    }
    out->layer_begin = first;
    out->layer_end = last + 1;
    return first >= 0 && first <= last;
}

static vlqa_status parse_setting(struct env *env, const char *option, const char *text,
                                 const char *word, struct method *out)
{
    size_t bytes = strcspn(word, "/");
    int query = find(queries, word, bytes), score = find(scores, word, bytes);
    if (!method_has_layers(out) || (score >= 0 && out->reuse == VLQA_REUSE_PROPHET))
        return env_fail(env, VLQA_EUSAGE, "%s: %s: %s has no setting %.*s", option, text,
                        reuses[out->reuse], (int)bytes, word);
    if (query >= 0)
        out->query = (enum vlqa_score_query)query;
    else if (score >= 0)
        out->score = (enum vlqa_score)score;
    else if (!parse_layers(word, bytes, out))
        return env_fail(env, VLQA_EUSAGE,
                        "%s: %s: %.*s is none of suffix, question, last; norm, mass, max, entropy, "
                        "vatp; layers as all, 5 or 4-6",
                        option, text, (int)bytes, word);
    return VLQA_OK;
}

vlqa_status method_parse(struct env *env, const char *option, const char *text, struct method *out)
{
    const struct vlqa_ask_options o = vlqa_ask_options_default();
    size_t bytes = strcspn(text, "/");
    int reuse = find(reuses, text, bytes);
    if (reuse <= VLQA_REUSE_OFF || strlen(text) >= sizeof out->name)
        return env_fail(env, VLQA_EUSAGE,
                        "%s: %s is none of full, none, infoflow, prophet, cacheblend, epic, "
                        "vlcache, random",
                        option, text);
    *out = (struct method){.reuse = (enum vlqa_reuse)reuse,
                           .score = o.score,
                           .query = o.score_query,
                           .layer_begin = o.score_layer_begin,
                           .layer_end = o.score_layer_end};
    snprintf(out->name, sizeof out->name, "%s", text);
    while (text[bytes]) {
        const char *word = text + bytes + 1;
        TRY(parse_setting(env, option, text, word, out));
        bytes += 1 + strcspn(word, "/");
    }
    return VLQA_OK;
}

int method_has_ratio(const struct method *m)
{
    return m->reuse > VLQA_REUSE_NONE;
}

int method_has_layers(const struct method *m)
{
    return m->reuse == VLQA_REUSE_INFOFLOW || m->reuse == VLQA_REUSE_PROPHET;
}

void method_apply(const struct method *m, struct vlqa_ask_options *o)
{
    o->reuse = m->reuse;
    o->score = m->score;
    o->score_query = m->query;
    o->score_layer_begin = m->layer_begin;
    o->score_layer_end = m->layer_end;
}

vlqa_status cutting_parse(struct env *env, const char *option, const char *text,
                          struct cutting *out)
{
    size_t bytes = strcspn(text, ":");
    int kind = find(chunkers, text, bytes), used = 0;
    *out = (struct cutting){.chunker = (enum vlqa_chunker)kind, .k = 1};
    if (kind > VLQA_CHUNK_IMAGE && sscanf(text + bytes, ":%4d%n", &out->k, &used) == 1)
        bytes += (size_t)used;
    else if (kind != VLQA_CHUNK_IMAGE)
        out->k = 0;
    if (out->k < 1 || out->k > 256 || text[bytes])
        return env_fail(env, VLQA_EUSAGE,
                        "%s: %s is none of image, grid:K, strips:K with K from 1 to 256", option,
                        text);
    snprintf(out->name, sizeof out->name, "%s", text);
    return VLQA_OK;
}

void cutting_apply(const struct cutting *c, struct vlqa_ask_options *o)
{
    o->chunker = c->chunker;
    o->chunk_k = c->k;
}
