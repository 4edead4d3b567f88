/* value.c - values of a template: truth, equality, membership, printing, JSON. */
#include "text/template/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct value value_bool(int truth)
{
    return (struct value){VALUE_BOOL, {truth != 0}};
}

struct value value_int(int64_t i)
{
    return (struct value){VALUE_INT, {i}};
}

int value_truth(struct value v)
{
    switch (v.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return 0;
    case VALUE_BOOL:
    case VALUE_INT:
        return v.i != 0;
    case VALUE_FLOAT:
        return v.f != 0;
    case VALUE_STRING:
        return v.s->bytes > 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return v.list->n > 0;
    case VALUE_DICT:
        return v.dict->n > 0;
    default:
        return 1;
    }
}

const char *value_name(struct value v)
{
    static const char *const name[] = {"undefined", "none",        "a boolean", "a number",
                                       "a number",  "a text",      "a list",    "a tuple",
                                       "a dict",    "a namespace", "loop",      "a macro"};
    return name[v.kind];
}

int value_is_number(struct value v)
{
    return v.kind >= VALUE_BOOL && v.kind <= VALUE_FLOAT;
}

double value_number(struct value v)
{
    return v.kind == VALUE_FLOAT ? v.f : (double)v.i;
}

/* ---- lists and dicts ---- */

struct list *list_new(struct machine *m)
{
    struct list *list = machine_push(m, sizeof *list);
    if (list) *list = (struct list){NULL, 0};
    return list;
}

vlqa_status list_append(struct machine *m, struct list *list, struct value v)
{
    struct values *shared = list->values;
    if (!shared || shared->used != list->n || list->n == shared->cap) {
        int cap = list->n < 4 ? 4 : 2 * list->n;
        shared = machine_push(m, sizeof *shared);
        if (!shared) return VLQA_ELIMIT;
        *shared = (struct values){machine_push(m, (size_t)cap * sizeof v), cap, list->n};
        if (!shared->at) return VLQA_ELIMIT;
        if (list->n) memcpy(shared->at, list->values->at, (size_t)list->n * sizeof v);
        list->values = shared;
    }
    shared->at[list->n++] = v;
    shared->used = list->n;
    return VLQA_OK;
}

struct dict *dict_new(struct machine *m, int cap)
{
    struct dict *dict = machine_push(m, sizeof *dict);
    size_t bytes = (size_t)cap * sizeof(struct value);
    if (!dict) return NULL;
    *dict = (struct dict){machine_push(m, bytes), machine_push(m, bytes), 0, cap};
    return dict->key && dict->value ? dict : NULL;
}

static vlqa_status dict_find(struct machine *m, const struct dict *dict, struct value key, int *at)
{
    TRY(machine_work(m, (size_t)dict->n));
    for (*at = 0; *at < dict->n; ++*at) {
        int same;
        TRY(value_equal(m, dict->key[*at], key, 0, &same));
        if (same) return VLQA_OK;
    }
    *at = -1;
    return VLQA_OK;
}

vlqa_status dict_put(struct machine *m, struct dict *dict, struct value key, struct value v)
{
    int at;
    TRY(dict_find(m, dict, key, &at));
    if (at < 0 && dict->n == dict->cap) {
        struct dict *grown = dict_new(m, 2 * dict->cap + 4);
        if (!grown) return VLQA_ELIMIT;
        if (dict->n) memcpy(grown->key, dict->key, (size_t)dict->n * sizeof key);
        if (dict->n) memcpy(grown->value, dict->value, (size_t)dict->n * sizeof v);
        grown->n = dict->n;
        *dict = *grown;
    }
    if (at < 0) at = dict->n++;
    dict->key[at] = key;
    dict->value[at] = v;
    return VLQA_OK;
}

const struct value *dict_get(struct machine *m, const struct dict *dict, const char *key,
                             size_t bytes)
{
    for (int i = 0; i < dict->n; i++) {
        const struct str *s = dict->key[i].s;
        const char *flat;
        if (dict->key[i].kind != VALUE_STRING || s->bytes != bytes) continue;
        if (str_flat(m, s, &flat) != VLQA_OK) return NULL;
        if (!bytes || memcmp(flat, key, bytes) == 0) return &dict->value[i];
    }
    return NULL;
}

vlqa_status value_items(struct machine *m, struct value v, const struct list **out)
{
    struct list *list = list_new(m);
    if (!list) return VLQA_ELIMIT;
    *out = list;
    if (v.kind == VALUE_LIST || v.kind == VALUE_TUPLE) {
        *out = v.list;
    } else if (v.kind == VALUE_DICT) {
        for (int i = 0; i < v.dict->n; i++)
            TRY(list_append(m, list, v.dict->key[i]));
    } else if (v.kind == VALUE_STRING) {
        const char *flat;
        TRY(str_flat(m, v.s, &flat));
        for (size_t at = 0, n; at < v.s->bytes; at += n) {
            struct str *one;
            n = str_point(flat + at, v.s->bytes - at);
            TRY(machine_work(m, 1));
            TRY(str_slice(m, v.s, at, at + n, &one));
            TRY(list_append(m, list, (struct value){VALUE_STRING, {.s = one}}));
        }
    } else if (v.kind != VALUE_UNDEFINED) {
        return machine_fail(m, VLQA_EMODEL, "%s cannot be iterated over", value_name(v));
    }
    return VLQA_OK;
}

/* ---- comparing ---- */

static vlqa_status lists_equal(struct machine *m, const struct value *a, const struct value *b,
                               int n, int depth, int *out)
{
    *out = 1;
    for (int i = 0; i < n && *out; i++)
        TRY(value_equal(m, a[i], b[i], depth + 1, out));
    return VLQA_OK;
}

static vlqa_status dicts_equal(struct machine *m, const struct dict *a, const struct dict *b,
                               int depth, int *out)
{
    *out = a->n == b->n;
    for (int i = 0; i < a->n && *out; i++) {
        int at;
        TRY(dict_find(m, b, a->key[i], &at));
        *out = at >= 0;
        if (at >= 0) TRY(value_equal(m, a->value[i], b->value[at], depth + 1, out));
    }
    return VLQA_OK;
}

vlqa_status value_equal(struct machine *m, struct value a, struct value b, int depth, int *out)
{
    TRY(machine_work(m, 1));
    if (depth > TEMPLATE_DEPTH) return machine_fail(m, VLQA_EMODEL, "values are nested too deep");
    if (value_is_number(a) && value_is_number(b)) {
        *out = a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT ? a.i == b.i
                                                              : value_number(a) == value_number(b);
        return VLQA_OK;
    }
    *out = 0;
    if (a.kind != b.kind) return VLQA_OK;
    switch (a.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        *out = 1;
        return VLQA_OK;
    case VALUE_STRING:
        if (a.s->bytes != b.s->bytes) return VLQA_OK;
        TRY(str_compare(m, a.s, b.s, out));
        *out = !*out;
        return VLQA_OK;
    case VALUE_LIST:
    case VALUE_TUPLE:
        if (a.list->n != b.list->n || !a.list->n) {
            *out = a.list->n == b.list->n;
            return VLQA_OK;
        }
        return lists_equal(m, a.list->values->at, b.list->values->at, a.list->n, depth, out);
    case VALUE_DICT:
        return dicts_equal(m, a.dict, b.dict, depth, out);
    default:
        *out = a.dict == b.dict;
        return VLQA_OK;
    }
}

vlqa_status value_compare(struct machine *m, struct value a, struct value b, int *out)
{
    if (value_is_number(a) && value_is_number(b)) {
        double x = value_number(a), y = value_number(b);
        *out = (x > y) - (x < y);
        return VLQA_OK;
    }
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) return str_compare(m, a.s, b.s, out);
    return machine_fail(m, VLQA_EMODEL, "%s is not compared with %s", value_name(a), value_name(b));
}

vlqa_status value_contains(struct machine *m, struct value in, struct value item, int *out)
{
    const struct list *list;
    *out = 0;
    if (in.kind == VALUE_STRING) {
        const char *flat, *what;
        if (item.kind != VALUE_STRING)
            return machine_fail(m, VLQA_EMODEL, "%s is not looked for in a text", value_name(item));
        TRY(str_flat(m, in.s, &flat));
        TRY(str_flat(m, item.s, &what));
        *out = !item.s->bytes || memmem(flat, in.s->bytes, what, item.s->bytes) != NULL;
        return VLQA_OK;
    }
    TRY(value_items(m, in, &list));
    for (int i = 0; i < list->n && !*out; i++)
        TRY(value_equal(m, list->values->at[i], item, 0, out));
    return VLQA_OK;
}

/* ---- printing ---- */

/* As Python prints it: the fewest digits that give it again, with an exponent from 1e16 on. */
static void float_text(double f, char *out, size_t cap)
{
    int digits = 1, exponent, decimals;
    for (; digits <= 17; digits++) {
        snprintf(out, cap, "%.*e", digits - 1, f);
        if (strtod(out, NULL) == f) break;
    }
    if (!isfinite(f)) return;
    exponent = atoi(strchr(out, 'e') + 1);
    decimals = digits - 1 - exponent > 1 ? digits - 1 - exponent : 1;
    if (exponent >= -4 && exponent < 16) snprintf(out, cap, "%.*f", decimals, f);
}

vlqa_status value_text(struct machine *m, struct value v, const struct str **out)
{
    char text[64] = "";
    struct str *s;
    switch (v.kind) {
    case VALUE_STRING:
        *out = v.s;
        return VLQA_OK;
    case VALUE_UNDEFINED:
        break;
    case VALUE_NONE:
        strcpy(text, "None");
        break;
    case VALUE_BOOL:
        strcpy(text, v.i ? "True" : "False");
        break;
    case VALUE_INT:
        snprintf(text, sizeof text, "%lld", (long long)v.i);
        break;
    case VALUE_FLOAT:
        float_text(v.f, text, sizeof text);
        break;
    default:
        return machine_fail(m, VLQA_EMODEL, "%s is written where a text is expected",
                            value_name(v));
    }
    TRY(str_own(m, text, strlen(text), &s));
    *out = s;
    return VLQA_OK;
}

/* ---- JSON, as json.dumps with ensure_ascii=False ---- */

static vlqa_status put_own(struct machine *m, struct str *to, const char *text, int source)
{
    return str_put(m, to, (struct part){text, strlen(text), source});
}

static vlqa_status json_escape(struct machine *m, struct str *out, unsigned char c, int source)
{
    static const char *const named[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    char *code;
    if (c == '"') return put_own(m, out, "\\\"", source);
    if (c == '\\') return put_own(m, out, "\\\\", source);
    if (c < sizeof named / sizeof *named && named[c]) return put_own(m, out, named[c], source);
    code = machine_push(m, 8);
    if (!code) return VLQA_ELIMIT;
    snprintf(code, 8, "\\u%04x", (unsigned)c);
    return put_own(m, out, code, source);
}

static vlqa_status json_string(struct machine *m, const struct str *s, struct str *out)
{
    TRY(put_own(m, out, "\"", TEMPLATE_OWN));
    for (int i = 0; i < s->n; i++) {
        const struct part part = s->parts->at[i];
        size_t from = 0;
        TRY(machine_work(m, 1 + part.bytes / 16));
        for (size_t at = 0; at <= part.bytes; at++) {
            unsigned char c = at < part.bytes ? (unsigned char)part.at[at] : 0;
            if (at < part.bytes && c >= 32 && c != '"' && c != '\\') continue;
            TRY(str_put(m, out, (struct part){part.at + from, at - from, part.source}));
            if (at < part.bytes) TRY(json_escape(m, out, c, part.source));
            from = at + 1;
        }
    }
    return put_own(m, out, "\"", TEMPLATE_OWN);
}

static vlqa_status json_line(struct machine *m, int indent, int depth, struct str *out)
{
    char *line;
    if (indent < 0) return VLQA_OK;
    line = machine_push(m, (size_t)(indent * depth) + 1);
    if (!line) return VLQA_ELIMIT;
    memset(line, ' ', (size_t)(indent * depth) + 1);
    *line = '\n';
    return str_put(m, out, (struct part){line, (size_t)(indent * depth) + 1, TEMPLATE_OWN});
}

static vlqa_status json_items(struct machine *m, const struct value *key, const struct value *item,
                              int n, int indent, int depth, struct str *out)
{
    TRY(put_own(m, out, key ? "{" : "[", TEMPLATE_OWN));
    for (int i = 0; i < n; i++) {
        if (i) TRY(put_own(m, out, indent < 0 ? ", " : ",", TEMPLATE_OWN));
        TRY(json_line(m, indent, depth + 1, out));
        if (key) {
            const struct str *name;
            TRY(value_text(m, key[i], &name));
            TRY(json_string(m, name, out));
            TRY(put_own(m, out, ": ", TEMPLATE_OWN));
        }
        TRY(value_json(m, item[i], indent, depth + 1, out));
    }
    if (n) TRY(json_line(m, indent, depth, out));
    return put_own(m, out, key ? "}" : "]", TEMPLATE_OWN);
}

vlqa_status value_json(struct machine *m, struct value v, int indent, int depth, struct str *out)
{
    const struct str *text;
    TRY(machine_work(m, 1));
    if (depth > TEMPLATE_DEPTH) return machine_fail(m, VLQA_EMODEL, "values are nested too deep");
    switch (v.kind) {
    case VALUE_STRING:
        return json_string(m, v.s, out);
    case VALUE_LIST:
    case VALUE_TUPLE:
        return json_items(m, NULL, v.list->n ? v.list->values->at : NULL, v.list->n, indent, depth,
                          out);
    case VALUE_DICT:
        return json_items(m, v.dict->key, v.dict->value, v.dict->n, indent, depth, out);
    case VALUE_NONE:
        return put_own(m, out, "null", TEMPLATE_OWN);
    case VALUE_BOOL:
        return put_own(m, out, v.i ? "true" : "false", TEMPLATE_OWN);
    case VALUE_INT:
    case VALUE_FLOAT:
        TRY(value_text(m, v, &text));
        return str_append(m, out, text);
    default:
        return machine_fail(m, VLQA_EMODEL, "%s is no JSON", value_name(v));
    }
}
