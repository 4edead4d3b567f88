/* tags.h - whether the tags of a page are balanced, its attributes quoted, its text escaped. */
#ifndef TESTS_EVAL_TAGS_H
#define TESTS_EVAL_TAGS_H

#include <stdio.h>
#include <string.h>

#define TAGS_DEPTH 64

/* One attribute ' name="value"' or the end of the tag; NULL: neither. */
static const char *tags_attribute(const char *at)
{
    at += strspn(at, " \n");
    if (*at == '>' || (at[0] == '/' && at[1] == '>')) return at;
    at += strcspn(at, " =<>\"");
    if (at[0] != '=' || at[1] != '"') return NULL;
    at += 2 + strcspn(at + 2, "\"<");
    return *at == '"' ? at + 1 : NULL;
}

static const char *tags_entity(const char *at)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(at, known[i], strlen(known[i])) == 0) return at + strlen(known[i]);
    return NULL;
}

/* NULL: well formed, as XML but for the doctype. Else where it is not. */
static const char *tags_wrong(const char *page)
{
    char open[TAGS_DEPTH][16];
    int depth = 0;
    const char *at = page;
    if (strncmp(at, "<!DOCTYPE html>", 15) == 0) at += 15;
    while (*at) {
        const char *tag = at;
        char name[16];
        int ends;
        if (*at == '&') {
            at = tags_entity(at);
            if (!at) return tag;
            continue;
        }
        if (*at == '>') return at;
        if (*at != '<') {
            at++;
            continue;
        }
        ends = at[1] == '/';
        at += 1 + ends;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " />\n"), at);
        at += strlen(name);
        if (!*name) return tag;
        if (ends) {
            if (*at != '>' || !depth || strcmp(open[--depth], name)) return tag;
            at++;
            continue;
        }
        while (at && *at != '>' && *at != '/')
            at = tags_attribute(at);
        if (!at) return tag;
        if (*at == '>') {
            if (depth == TAGS_DEPTH) return tag;
            snprintf(open[depth++], sizeof *open, "%s", name);
        }
        at += *at == '/' ? 2 : 1;
        if (strcmp(name, "style") == 0) at = strstr(at, "</style>");
        if (!at) return tag;
    }
    return depth ? at : NULL;
}

#endif
