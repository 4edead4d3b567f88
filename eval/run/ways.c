/* ways.c - names of ways, made and matched. */
#include "eval/run/ways.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *text_at(const struct json *root, const char *name)
{
    const char *text = json_text(json_get(root, name));
    return text ? text : "";
}

static int is_full(const char *method, size_t bytes)
{
    return (bytes == 4 && memcmp(method, "full", 4) == 0) ||
           (bytes == 3 && memcmp(method, "off", 3) == 0);
}

vlqa_status ways_find(struct env *env, const char *row, const struct json *root, struct ways *ways,
                      int *out)
{
    const char *method = text_at(root, "method"), *cut = text_at(root, "chunk");
    double ratio = json_number(json_get(root, "ratio"));
    struct way *w = &ways->way[ways->n];
    char number[32] = "";
    if (strlen(method) + strlen(cut) > WAY_NAME - sizeof number - 2)
        return env_fail(env, VLQA_EUSAGE, "%s: method and chunk have more than %d bytes", row,
                        WAY_NAME - (int)sizeof number - 2);
    if (ways->n == WAYS_MAX)
        return env_fail(env, VLQA_ELIMIT, "%s: more than %d methods and cuttings in one file", row,
                        WAYS_MAX - 1);
    if (!isnan(ratio)) snprintf(number, sizeof number, ":%g", ratio);
    *w = (struct way){.method = strlen(method)};
    w->label = w->method + strlen(number);
    snprintf(w->name, WAY_NAME, "%s%s%s%s", method, number, *cut ? "@" : "", cut);
    for (*out = 0; strcmp(ways->way[*out].name, w->name) != 0; ++*out)
        ;
    ways->n += *out == ways->n;
    return VLQA_OK;
}

const char *way_cut(const struct way *way)
{
    return way->name + way->label + (way->name[way->label] == '@');
}

int way_is(const struct way *way, const char *word)
{
    size_t bytes = strlen(word), cut = strlen(way->name) - way->label;
    if (cut && bytes > cut && strcmp(word + bytes - cut, way->name + way->label) == 0) bytes -= cut;
    if (!cut && is_full(way->name, way->method) && is_full(word, bytes)) return 1;
    return (bytes == way->method || bytes == way->label) && memcmp(word, way->name, bytes) == 0;
}

/* ---- some of them ---- */

vlqa_status ways_fail(struct env *env, const struct ways_pick *pick, const char *what)
{
    char all[300] = "no row";
    size_t used = 0;
    for (int i = 0; i < pick->of->n && used < sizeof all; i++) {
        const char *name = pick->of->way[i].name;
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "",
                                 *name ? name : "rows without a method");
    }
    return env_fail(env, VLQA_EUSAGE, "%.100s: %.120s; it has %s", pick->path, what, all);
}

vlqa_status ways_add(struct env *env, struct ways_pick *pick, const char *word)
{
    char what[100];
    int found = !word;
    for (int i = 0; i < pick->of->n; i++) {
        if (word && !way_is(&pick->of->way[i], word)) continue;
        pick->n += !pick->has[i];
        pick->has[i] = 1;
        found = 1;
    }
    if (found) return VLQA_OK;
    snprintf(what, sizeof what, "no row by %.60s", word);
    return ways_fail(env, pick, what);
}

int ways_first(const struct ways_pick *pick)
{
    int i = 0;
    while (!pick->has[i])
        i++;
    return i;
}

vlqa_status ways_partner(struct env *env, const struct ways_pick *pick, const struct way *way,
                         int by_name, int *out)
{
    const struct way *of = pick->of->way;
    char what[120];
    *out = -1;
    for (int i = 0; i < pick->of->n; i++)
        if (pick->has[i] && strcmp(of[i].name, way->name) == 0) *out = i;
    if (*out >= 0 || by_name) return VLQA_OK;
    for (int i = 0; i < pick->of->n; i++) {
        if (!pick->has[i] || strcmp(way_cut(&of[i]), way_cut(way)) != 0) continue;
        snprintf(what, sizeof what, "%.45s or %.45s? name one", of[*out >= 0 ? *out : i].name,
                 of[i].name);
        if (*out >= 0) return ways_fail(env, pick, what);
        *out = i;
    }
    if (*out < 0 && pick->n == 1) *out = ways_first(pick);
    return VLQA_OK;
}
