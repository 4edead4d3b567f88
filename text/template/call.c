/* call.c - methods and functions that templates call, by name. */
#include "text/template/parts.h"

#include <string.h>
#include <time.h>

static int find_name(const char *const *names, int n, const char *name, size_t bytes)
{
    for (int i = 0; i < n; i++)
        if (strlen(names[i]) == bytes && memcmp(names[i], name, bytes) == 0) return i;
    return -1;
}

/* ---- arguments ---- */

vlqa_status machine_argument(struct machine *m, const struct node *arguments, int at,
                             const char *name, struct value *out, int *given)
{
    int place = 0;
    *given = 0;
    for (const struct node *a = arguments; a && !*given; a = a->next) {
        int here = a->name
                       ? a->name_bytes == strlen(name) && memcmp(a->name, name, a->name_bytes) == 0
                       : place++ == at;
        if (!here) continue;
        TRY(machine_eval(m, a->a, out));
        *given = 1;
    }
    return VLQA_OK;
}

vlqa_status machine_text(struct machine *m, const struct node *arguments, int at, const char *name,
                         const struct str **out)
{
    struct value v;
    int given;
    *out = NULL;
    TRY(machine_argument(m, arguments, at, name, &v, &given));
    if (!given || v.kind == VALUE_NONE) return VLQA_OK;
    if (v.kind != VALUE_STRING)
        return machine_fail(m, VLQA_EMODEL, "%s is given where a text is expected", value_name(v));
    *out = v.s;
    return VLQA_OK;
}

vlqa_status machine_int(struct machine *m, const struct node *arguments, int at, const char *name,
                        int64_t *out)
{
    struct value v;
    int given;
    TRY(machine_argument(m, arguments, at, name, &v, &given));
    if (!given || v.kind == VALUE_NONE) return VLQA_OK;
    if (v.kind != VALUE_INT && v.kind != VALUE_BOOL)
        return machine_fail(m, VLQA_EMODEL, "%s is given where a number is expected",
                            value_name(v));
    *out = v.i;
    return VLQA_OK;
}

static vlqa_status need_text(struct machine *m, const struct node *arguments, int at,
                             const char *name, const struct str **out)
{
    TRY(machine_text(m, arguments, at, name, out));
    return *out ? VLQA_OK : machine_fail(m, VLQA_EMODEL, "the argument \"%s\" is missing", name);
}

/* ---- methods ---- */

enum method {
    M_STRIP,
    M_LSTRIP,
    M_RSTRIP,
    M_STARTSWITH,
    M_ENDSWITH,
    M_SPLIT,
    M_RSPLIT,
    M_SPLITLINES,
    M_REPLACE,
    M_UPPER,
    M_LOWER,
    M_CAPITALIZE,
    M_TITLE,
    M_FIND,
    M_RFIND,
    M_COUNT,
    M_JOIN,
    M_REMOVEPREFIX,
    M_REMOVESUFFIX,
    M_GET,
    M_ITEMS,
    M_KEYS,
    M_VALUES,
    M_CYCLE,
    N_METHODS
};

static const char *const method_name[N_METHODS] = {
    "strip",        "lstrip",     "rstrip",  "startswith", "endswith", "split",
    "rsplit",       "splitlines", "replace", "upper",      "lower",    "capitalize",
    "title",        "find",       "rfind",   "count",      "join",     "removeprefix",
    "removesuffix", "get",        "items",   "keys",       "values",   "cycle"};

int method_find(const char *name, size_t bytes)
{
    return find_name(method_name, N_METHODS, name, bytes);
}

static struct value string(const struct str *s)
{
    return (struct value){VALUE_STRING, {.s = s}};
}

static vlqa_status at_end(struct machine *m, const struct str *s, const struct str *with, int end,
                          int *out)
{
    struct str *cut;
    size_t from = end ? s->bytes - with->bytes : 0;
    *out = 0;
    if (with->bytes > s->bytes) return VLQA_OK;
    TRY(str_slice(m, s, from, from + with->bytes, &cut));
    TRY(str_compare(m, cut, with, out));
    *out = !*out;
    return VLQA_OK;
}

/* One text, or a tuple of them. */
static vlqa_status is_at_end(struct machine *m, const struct str *s, const struct node *arguments,
                             int end, struct value *out)
{
    struct value with;
    const struct list *list;
    int given, found = 0;
    TRY(machine_argument(m, arguments, 0, "prefix", &with, &given));
    if (!given || (with.kind != VALUE_STRING && with.kind != VALUE_TUPLE))
        return machine_fail(m, VLQA_EMODEL, "startswith and endswith take a text");
    if (with.kind == VALUE_STRING) {
        TRY(at_end(m, s, with.s, end, &found));
    } else {
        list = with.list;
        for (int i = 0; i < list->n && !found; i++)
            if (list->values->at[i].kind == VALUE_STRING)
                TRY(at_end(m, s, list->values->at[i].s, end, &found));
    }
    *out = value_bool(found);
    return VLQA_OK;
}

static vlqa_status remove_end(struct machine *m, const struct str *s, const struct node *arguments,
                              int end, struct value *out)
{
    const struct str *with;
    struct str *cut;
    int found;
    TRY(need_text(m, arguments, 0, "prefix", &with));
    TRY(at_end(m, s, with, end, &found));
    *out = string(s);
    if (!found) return VLQA_OK;
    TRY(str_slice(m, s, end ? 0 : with->bytes, end ? s->bytes - with->bytes : s->bytes, &cut));
    *out = string(cut);
    return VLQA_OK;
}

static vlqa_status split(struct machine *m, const struct str *s, const struct node *arguments,
                         int right, struct value *out)
{
    const struct str *by;
    struct list *list;
    int64_t most = -1;
    TRY(machine_text(m, arguments, 0, "sep", &by));
    TRY(machine_int(m, arguments, 1, "maxsplit", &most));
    if (right && !by) return machine_fail(m, VLQA_EMODEL, "rsplit takes a separator here");
    TRY(str_split(m, s, by, most, right, &list));
    *out = (struct value){VALUE_LIST, {.list = list}};
    return VLQA_OK;
}

static vlqa_status split_lines(struct machine *m, const struct str *s, struct value *out)
{
    const char *flat;
    struct list *list = list_new(m);
    if (!list) return VLQA_ELIMIT;
    TRY(str_flat(m, s, &flat));
    for (size_t at = 0, end; at < s->bytes; at = end + 1) {
        const char *line = memchr(flat + at, '\n', s->bytes - at);
        struct str *cut;
        end = line ? (size_t)(line - flat) : s->bytes;
        TRY(machine_work(m, 1));
        TRY(str_slice(m, s, at, end - (end > at && flat[end - 1] == '\r'), &cut));
        TRY(list_append(m, list, string(cut)));
    }
    *out = (struct value){VALUE_LIST, {.list = list}};
    return VLQA_OK;
}

/* Of code points, as Python counts. */
static vlqa_status find(struct machine *m, const struct str *s, const struct node *arguments,
                        int method, struct value *out)
{
    const struct str *what;
    struct list *list;
    struct str *before;
    int64_t n;
    TRY(need_text(m, arguments, 0, "sub", &what));
    TRY(str_split(m, s, what, method == M_COUNT ? -1 : 1, method == M_RFIND, &list));
    *out = value_int(method == M_COUNT ? list->n - 1 : -1);
    if (method == M_COUNT || list->n < 2) return VLQA_OK;
    TRY(str_slice(m, list->values->at[0].s, 0, list->values->at[0].s->bytes, &before));
    TRY(str_length(m, before, &n));
    *out = value_int(n);
    return VLQA_OK;
}

static vlqa_status join(struct machine *m, const struct str *s, const struct node *arguments,
                        struct value *out)
{
    struct value v;
    const struct list *list;
    struct str *joined = str_new(m);
    int given;
    if (!joined) return VLQA_ELIMIT;
    TRY(machine_argument(m, arguments, 0, "iterable", &v, &given));
    if (!given) return machine_fail(m, VLQA_EMODEL, "join takes a list");
    TRY(value_items(m, v, &list));
    for (int i = 0; i < list->n; i++) {
        if (list->values->at[i].kind != VALUE_STRING)
            return machine_fail(m, VLQA_EMODEL, "join of %s", value_name(list->values->at[i]));
        if (i) TRY(str_append(m, joined, s));
        TRY(str_append(m, joined, list->values->at[i].s));
    }
    *out = string(joined);
    return VLQA_OK;
}

static vlqa_status of_string(struct machine *m, int method, const struct str *s,
                             const struct node *arguments, struct value *out)
{
    static const enum letter_case to[] = {CASE_UPPER, CASE_LOWER, CASE_CAPITAL, CASE_TITLE};
    const struct str *text, *with;
    struct str *made = NULL;
    int64_t most = -1;
    switch (method) {
    case M_STRIP:
    case M_LSTRIP:
    case M_RSTRIP:
        TRY(machine_text(m, arguments, 0, "chars", &text));
        TRY(str_strip(m, s, text, method == M_STRIP ? 0 : method == M_LSTRIP ? -1 : 1, &made));
        break;
    case M_REPLACE:
        TRY(need_text(m, arguments, 0, "old", &text));
        TRY(need_text(m, arguments, 1, "new", &with));
        TRY(machine_int(m, arguments, 2, "count", &most));
        TRY(str_replace(m, s, text, with, most, &made));
        break;
    case M_UPPER:
    case M_LOWER:
    case M_CAPITALIZE:
    case M_TITLE:
        TRY(str_case(m, s, to[method - M_UPPER], &made));
        break;
    case M_STARTSWITH:
    case M_ENDSWITH:
        return is_at_end(m, s, arguments, method == M_ENDSWITH, out);
    case M_SPLIT:
    case M_RSPLIT:
        return split(m, s, arguments, method == M_RSPLIT, out);
    case M_SPLITLINES:
        return split_lines(m, s, out);
    case M_FIND:
    case M_RFIND:
    case M_COUNT:
        return find(m, s, arguments, method, out);
    case M_JOIN:
        return join(m, s, arguments, out);
    case M_REMOVEPREFIX:
    case M_REMOVESUFFIX:
        return remove_end(m, s, arguments, method == M_REMOVESUFFIX, out);
    default:
        return machine_fail(m, VLQA_EMODEL, "a text has no method \"%s\"", method_name[method]);
    }
    *out = string(made);
    return VLQA_OK;
}

static vlqa_status of_dict(struct machine *m, int method, const struct dict *dict,
                           const struct node *arguments, struct value *out)
{
    struct list *list = list_new(m);
    if (!list) return VLQA_ELIMIT;
    for (int i = 0; i < dict->n; i++) {
        struct value v = method == M_KEYS ? dict->key[i] : dict->value[i];
        if (method == M_ITEMS) {
            struct list *pair = list_new(m);
            if (!pair) return VLQA_ELIMIT;
            TRY(list_append(m, pair, dict->key[i]));
            TRY(list_append(m, pair, dict->value[i]));
            v = (struct value){VALUE_TUPLE, {.list = pair}};
        }
        TRY(list_append(m, list, v));
    }
    *out = (struct value){VALUE_LIST, {.list = list}};
    if (method == M_GET) {
        struct value key;
        int given, same;
        TRY(machine_argument(m, arguments, 0, "key", &key, &given));
        if (!given) return machine_fail(m, VLQA_EMODEL, "get takes a key");
        *out = (struct value){VALUE_NONE, {0}};
        TRY(machine_argument(m, arguments, 1, "default", out, &given));
        for (int i = 0; i < dict->n; i++) {
            TRY(value_equal(m, dict->key[i], key, 0, &same));
            if (same) *out = dict->value[i];
        }
    }
    return VLQA_OK;
}

static vlqa_status cycle(struct machine *m, const struct loop *loop, const struct node *arguments,
                         struct value *out)
{
    int n = 0, given;
    for (const struct node *a = arguments; a; a = a->next)
        n++;
    if (!n) return machine_fail(m, VLQA_EMODEL, "cycle takes values");
    return machine_argument(m, arguments, loop->i % n, "", out, &given);
}

vlqa_status machine_method(struct machine *m, int method, struct value of,
                           const struct node *arguments, struct value *out)
{
    if (of.kind == VALUE_STRING) return of_string(m, method, of.s, arguments, out);
    if (of.kind == VALUE_DICT && method >= M_GET && method <= M_VALUES)
        return of_dict(m, method, of.dict, arguments, out);
    if (of.kind == VALUE_LOOP && method == M_CYCLE) return cycle(m, of.loop, arguments, out);
    return machine_fail(m, VLQA_EMODEL, "%s has no method \"%s\"", value_name(of),
                        method_name[method]);
}

/* ---- functions ---- */

enum function { F_NAMESPACE, F_DICT, F_RANGE, F_RAISE, F_TIME, N_FUNCTIONS };

static const char *const function_name[N_FUNCTIONS] = {"namespace", "dict", "range",
                                                       "raise_exception", "strftime_now"};

int function_find(const char *name, size_t bytes)
{
    return find_name(function_name, N_FUNCTIONS, name, bytes);
}

static vlqa_status make_dict(struct machine *m, const struct node *arguments, struct dict *dict)
{
    for (const struct node *a = arguments; a; a = a->next) {
        struct value v;
        struct str *key;
        TRY(machine_eval(m, a->a, &v));
        if (a->name) {
            TRY(str_own(m, a->name, a->name_bytes, &key));
            TRY(dict_put(m, dict, string(key), v));
        } else if (v.kind == VALUE_DICT) {
            for (int i = 0; i < v.dict->n; i++)
                TRY(dict_put(m, dict, v.dict->key[i], v.dict->value[i]));
        } else {
            return machine_fail(m, VLQA_EMODEL, "a dict is made of %s", value_name(v));
        }
    }
    return VLQA_OK;
}

#define RANGE_MOST 100000 /* as Jinja's sandbox */

static vlqa_status range(struct machine *m, const struct node *arguments, struct value *out)
{
    int64_t begin = 0, end = INT64_MIN, step = 1;
    struct list *list = list_new(m);
    if (!list) return VLQA_ELIMIT;
    TRY(machine_int(m, arguments, 0, "start", &begin));
    TRY(machine_int(m, arguments, 1, "stop", &end));
    TRY(machine_int(m, arguments, 2, "step", &step));
    if (end == INT64_MIN) {
        end = begin;
        begin = 0;
    }
    if (!step) return machine_fail(m, VLQA_EMODEL, "range takes no step of 0");
    while (step > 0 ? begin < end : begin > end) {
        if (list->n == RANGE_MOST)
            return machine_fail(m, VLQA_EMODEL, "range has more than %d numbers", RANGE_MOST);
        TRY(machine_work(m, 1));
        TRY(list_append(m, list, value_int(begin)));
        if (__builtin_add_overflow(begin, step, &begin)) break;
    }
    *out = (struct value){VALUE_LIST, {.list = list}};
    return VLQA_OK;
}

static vlqa_status raise(struct machine *m, const struct node *arguments)
{
    struct value v = {VALUE_UNDEFINED, {.from = NULL}};
    const struct str *text;
    const char *flat;
    int given;
    TRY(machine_argument(m, arguments, 0, "message", &v, &given));
    TRY(value_text(m, v, &text));
    TRY(str_flat(m, text, &flat));
    return machine_fail(m, VLQA_EUSAGE, "the chat template refuses this conversation: %.*s",
                        (int)(text->bytes < 160 ? text->bytes : 160), flat);
}

static vlqa_status now(struct machine *m, const struct node *arguments, struct value *out)
{
    const struct str *format;
    const char *flat;
    char zero[128], text[256];
    time_t seconds = time(NULL);
    struct tm at;
    struct str *s;
    size_t n;
    TRY(need_text(m, arguments, 0, "format", &format));
    TRY(str_flat(m, format, &flat));
    if (format->bytes >= sizeof zero || !localtime_r(&seconds, &at))
        return machine_fail(m, VLQA_EMODEL, "the format of a time is too long");
    memcpy(zero, flat, format->bytes);
    zero[format->bytes] = 0;
    n = *zero ? strftime(text, sizeof text, zero, &at) : 0;
    TRY(str_own(m, text, n, &s));
    *out = string(s);
    return VLQA_OK;
}

vlqa_status machine_function(struct machine *m, int function, const struct node *arguments,
                             struct value *out)
{
    struct dict *dict;
    switch (function) {
    case F_RANGE:
        return range(m, arguments, out);
    case F_RAISE:
        return raise(m, arguments);
    case F_TIME:
        return now(m, arguments, out);
    default:
        dict = dict_new(m, 4);
        if (!dict) return VLQA_ELIMIT;
        *out = (struct value){function == F_DICT ? VALUE_DICT : VALUE_NAMESPACE, {.dict = dict}};
        return make_dict(m, arguments, dict);
    }
}
