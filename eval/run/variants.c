/* variants.c - names of variants, made and matched. */
#include "eval/run/variants.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *text_at(const struct json *root, const char *name)
{
    const char *text = json_text(json_get(root, name));
    return text ? text : "";
}

/* Runs of the version before call it variant. */
static const char *variant_name_of(const struct json *root)
{
    const char *text = json_text(json_get_renamed(root, "variant", "method"));
    return text ? text : "";
}

static int is_full_prefill(const char *name, size_t bytes)
{
    return (bytes == 4 && memcmp(name, "full", 4) == 0) ||
           (bytes == 3 && memcmp(name, "off", 3) == 0);
}

vlqa_status variants_find(struct env *env, const char *row, const struct json *root,
                          struct variants *variants, int *out)
{
    const char *name = variant_name_of(root), *chunking = text_at(root, "chunk");
    double ratio = json_number(json_get(root, "ratio"));
    struct named_variant *w = &variants->variant[variants->n];
    char number[32] = "";
    if (strlen(name) + strlen(chunking) > VARIANT_NAME - sizeof number - 2)
        return env_fail(env, VLQA_EUSAGE, "%s: variant and chunk have more than %d bytes", row,
                        VARIANT_NAME - (int)sizeof number - 2);
    if (variants->n == VARIANTS_MAX)
        return env_fail(env, VLQA_ELIMIT, "%s: more than %d variants and chunkings in one file",
                        row, VARIANTS_MAX - 1);
    if (!isnan(ratio)) snprintf(number, sizeof number, ":%g", ratio);
    *w = (struct named_variant){.spec = strlen(name)};
    w->label = w->spec + strlen(number);
    snprintf(w->name, VARIANT_NAME, "%s%s%s%s", name, number, *chunking ? "@" : "", chunking);
    for (*out = 0; strcmp(variants->variant[*out].name, w->name) != 0; ++*out)
        ;
    variants->n += *out == variants->n;
    return VLQA_OK;
}

const char *variant_chunking(const struct named_variant *variant)
{
    return variant->name + variant->label + (variant->name[variant->label] == '@');
}

int variant_is(const struct named_variant *variant, const char *word)
{
    size_t bytes = strlen(word), chunking = strlen(variant->name) - variant->label;
    if (chunking && bytes > chunking &&
        strcmp(word + bytes - chunking, variant->name + variant->label) == 0)
        bytes -= chunking;
    if (!chunking && is_full_prefill(variant->name, variant->spec) && is_full_prefill(word, bytes))
        return 1;
    return (bytes == variant->spec || bytes == variant->label) &&
           memcmp(word, variant->name, bytes) == 0;
}

/* ---- some of them ---- */

vlqa_status variants_fail(struct env *env, const struct variants_pick *pick, const char *what)
{
    char all[300] = "no row";
    size_t used = 0;
    for (int i = 0; i < pick->of->n && used < sizeof all; i++) {
        const char *name = pick->of->variant[i].name;
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "",
                                 *name ? name : "rows without a variant");
    }
    return env_fail(env, VLQA_EUSAGE, "%.100s: %.120s; it has %s", pick->path, what, all);
}

vlqa_status variants_add(struct env *env, struct variants_pick *pick, const char *word)
{
    char what[100];
    int found = !word;
    for (int i = 0; i < pick->of->n; i++) {
        if (word && !variant_is(&pick->of->variant[i], word)) continue;
        pick->n += !pick->has[i];
        pick->has[i] = 1;
        found = 1;
    }
    if (found) return VLQA_OK;
    snprintf(what, sizeof what, "no row by %.60s", word);
    return variants_fail(env, pick, what);
}

int variants_first(const struct variants_pick *pick)
{
    int i = 0;
    while (!pick->has[i])
        i++;
    return i;
}

vlqa_status variants_partner(struct env *env, const struct variants_pick *pick,
                             const struct named_variant *variant, int by_name, int *out)
{
    const struct named_variant *of = pick->of->variant;
    char what[120];
    *out = -1;
    for (int i = 0; i < pick->of->n; i++)
        if (pick->has[i] && strcmp(of[i].name, variant->name) == 0) *out = i;
    if (*out >= 0 || by_name) return VLQA_OK;
    for (int i = 0; i < pick->of->n; i++) {
        if (!pick->has[i] || strcmp(variant_chunking(&of[i]), variant_chunking(variant)) != 0)
            continue;
        snprintf(what, sizeof what, "%.45s or %.45s? name one", of[*out >= 0 ? *out : i].name,
                 of[i].name);
        if (*out >= 0) return variants_fail(env, pick, what);
        *out = i;
    }
    if (*out < 0 && pick->n == 1) *out = variants_first(pick);
    return VLQA_OK;
}
