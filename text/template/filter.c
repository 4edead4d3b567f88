/* filter.c - filters that templates use, by name. */
#include "text/template/parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- filters of texts ---- */

static struct value string(const struct str *s)
{
    return (struct value){VALUE_STRING, {.s = s}};
}

static vlqa_status filter_trim(struct machine *m, struct value in, const struct node *arguments,
                               struct value *out)
{
    const struct str *text, *chars;
    struct str *made;
    TRY(value_text(m, in, &text));
    TRY(machine_text(m, arguments, 0, "chars", &chars));
    TRY(str_strip(m, text, chars, 0, &made));
    *out = string(made);
    return VLQA_OK;
}

static vlqa_status change_case(struct machine *m, struct value in, enum letter_case to,
                               struct value *out)
{
    const struct str *text;
    struct str *made;
    TRY(value_text(m, in, &text));
    TRY(str_case(m, text, to, &made));
    *out = string(made);
    return VLQA_OK;
}

static vlqa_status filter_upper(struct machine *m, struct value in, const struct node *arguments,
                                struct value *out)
{
    (void)arguments;
    return change_case(m, in, CASE_UPPER, out);
}

static vlqa_status filter_lower(struct machine *m, struct value in, const struct node *arguments,
                                struct value *out)
{
    (void)arguments;
    return change_case(m, in, CASE_LOWER, out);
}

static vlqa_status filter_capitalize(struct machine *m, struct value in,
                                     const struct node *arguments, struct value *out)
{
    (void)arguments;
    return change_case(m, in, CASE_CAPITAL, out);
}

static vlqa_status filter_title(struct machine *m, struct value in, const struct node *arguments,
                                struct value *out)
{
    (void)arguments;
    return change_case(m, in, CASE_TITLE, out);
}

static vlqa_status filter_replace(struct machine *m, struct value in, const struct node *arguments,
                                  struct value *out)
{
    const struct str *text, *old, *with;
    struct str *made;
    int64_t most = -1;
    TRY(value_text(m, in, &text));
    TRY(machine_text(m, arguments, 0, "old", &old));
    TRY(machine_text(m, arguments, 1, "new", &with));
    TRY(machine_int(m, arguments, 2, "count", &most));
    if (!old || !with) return machine_fail(m, VLQA_EMODEL, "replace takes two texts");
    TRY(str_replace(m, text, old, with, most, &made));
    *out = string(made);
    return VLQA_OK;
}

static vlqa_status filter_string(struct machine *m, struct value in, const struct node *arguments,
                                 struct value *out)
{
    const struct str *text;
    (void)arguments;
    TRY(value_text(m, in, &text));
    *out = string(text);
    return VLQA_OK;
}

/* Nothing is escaped here, so that all is as safe as it was. */
static vlqa_status filter_safe(struct machine *m, struct value in, const struct node *arguments,
                               struct value *out)
{
    (void)m, (void)arguments;
    *out = in;
    return VLQA_OK;
}

static vlqa_status filter_tojson(struct machine *m, struct value in, const struct node *arguments,
                                 struct value *out)
{
    struct str *made = str_new(m);
    int64_t indent = -1;
    if (!made) return VLQA_ELIMIT;
    for (const struct node *a = arguments; a; a = a->next)
        if (a->name && !(a->name_bytes == 6 && memcmp(a->name, "indent", 6) == 0) &&
            !(a->name_bytes == 12 && memcmp(a->name, "ensure_ascii", 12) == 0))
            return machine_fail(m, VLQA_EMODEL, "tojson takes \"indent\" alone");
    TRY(machine_int(m, arguments, 1, "indent", &indent)); /* behind ensure_ascii */
    if (indent > 64) return machine_fail(m, VLQA_EMODEL, "tojson indents by more than 64");
    TRY(value_json(m, in, indent < 0 ? -1 : (int)indent, 0, made));
    *out = string(made);
    return VLQA_OK;
}

/* ---- filters of numbers ---- */

static vlqa_status parse_text(struct machine *m, struct value in, double *out)
{
    const struct str *text;
    const char *flat;
    char digits[64], *end;
    *out = 0;
    if (value_is_number(in)) {
        *out = value_number(in);
        return VLQA_OK;
    }
    if (in.kind != VALUE_STRING || in.s->bytes >= sizeof digits) return VLQA_OK;
    TRY(value_text(m, in, &text));
    TRY(str_flat(m, text, &flat));
    memcpy(digits, flat, text->bytes);
    digits[text->bytes] = 0;
    *out = strtod(digits, &end);
    if (*end || end == digits || !(*out > -1e18 && *out < 1e18)) *out = 0;
    return VLQA_OK;
}

static vlqa_status filter_int(struct machine *m, struct value in, const struct node *arguments,
                              struct value *out)
{
    double f;
    (void)arguments;
    TRY(parse_text(m, in, &f));
    *out = in.kind == VALUE_INT || in.kind == VALUE_BOOL ? value_int(in.i) : value_int((int64_t)f);
    return VLQA_OK;
}

static vlqa_status filter_float(struct machine *m, struct value in, const struct node *arguments,
                                struct value *out)
{
    double f;
    (void)arguments;
    TRY(parse_text(m, in, &f));
    *out = (struct value){VALUE_FLOAT, {.f = f}};
    return VLQA_OK;
}

static vlqa_status filter_abs(struct machine *m, struct value in, const struct node *arguments,
                              struct value *out)
{
    (void)arguments;
    if (!value_is_number(in) || in.i == INT64_MIN)
        return machine_fail(m, VLQA_EMODEL, "abs of %s", value_name(in));
    *out = in;
    if (in.kind == VALUE_FLOAT && in.f < 0) out->f = -in.f;
    if (in.kind != VALUE_FLOAT) *out = value_int(in.i < 0 ? -in.i : in.i);
    return VLQA_OK;
}

/* ---- filters of lists ---- */

static vlqa_status filter_length(struct machine *m, struct value in, const struct node *arguments,
                                 struct value *out)
{
    const struct list *list;
    int64_t n;
    (void)arguments;
    if (in.kind == VALUE_STRING) {
        TRY(str_length(m, in.s, &n));
        *out = value_int(n);
        return VLQA_OK;
    }
    TRY(value_items(m, in, &list));
    *out = value_int(list->n);
    return VLQA_OK;
}

static vlqa_status filter_default(struct machine *m, struct value in, const struct node *arguments,
                                  struct value *out)
{
    struct value boolean = value_bool(0);
    int given;
    TRY(machine_argument(m, arguments, 1, "boolean", &boolean, &given));
    *out = in;
    if (in.kind != VALUE_UNDEFINED && !(value_truth(boolean) && !value_truth(in))) return VLQA_OK;
    TRY(machine_argument(m, arguments, 0, "default_value", out, &given));
    if (given) return VLQA_OK;
    return filter_string(m, (struct value){VALUE_UNDEFINED, {.from = NULL}}, NULL, out);
}

static vlqa_status end_item(struct machine *m, struct value in, int last, struct value *out)
{
    const struct list *list;
    TRY(value_items(m, in, &list));
    *out = (struct value){VALUE_UNDEFINED, {.from = NULL}};
    if (list->n) *out = list->values->at[last ? list->n - 1 : 0];
    return VLQA_OK;
}

static vlqa_status filter_first(struct machine *m, struct value in, const struct node *arguments,
                                struct value *out)
{
    (void)arguments;
    return end_item(m, in, 0, out);
}

static vlqa_status filter_last(struct machine *m, struct value in, const struct node *arguments,
                               struct value *out)
{
    (void)arguments;
    return end_item(m, in, 1, out);
}

static vlqa_status filter_list(struct machine *m, struct value in, const struct node *arguments,
                               struct value *out)
{
    const struct list *list;
    (void)arguments;
    TRY(value_items(m, in, &list));
    *out = (struct value){VALUE_LIST, {.list = list}};
    return VLQA_OK;
}

static vlqa_status filter_reverse(struct machine *m, struct value in, const struct node *arguments,
                                  struct value *out)
{
    const struct list *list;
    struct list *made = list_new(m);
    struct str *text;
    int64_t n;
    (void)arguments;
    if (!made) return VLQA_ELIMIT;
    if (in.kind == VALUE_STRING) {
        TRY(str_length(m, in.s, &n));
        TRY(str_pick(m, in.s, n - 1, -1, n, &text));
        *out = string(text);
        return VLQA_OK;
    }
    TRY(value_items(m, in, &list));
    TRY(machine_work(m, (size_t)list->n));
    for (int i = list->n - 1; i >= 0; i--)
        TRY(list_append(m, made, list->values->at[i]));
    *out = (struct value){VALUE_LIST, {.list = made}};
    return VLQA_OK;
}

static vlqa_status filter_items(struct machine *m, struct value in, const struct node *arguments,
                                struct value *out)
{
    struct dict *none = dict_new(m, 0);
    (void)arguments;
    if (!none) return VLQA_ELIMIT;
    if (in.kind == VALUE_UNDEFINED) in = (struct value){VALUE_DICT, {.dict = none}};
    if (in.kind != VALUE_DICT)
        return machine_fail(m, VLQA_EMODEL, "%s has no items", value_name(in));
    return machine_method(m, method_find("items", 5), in, NULL, out);
}

/* Keys without case, as Jinja's default; equal ones keep their order. */
static vlqa_status before(struct machine *m, struct value a, struct value b, int with_case,
                          int *out)
{
    struct str *left, *right;
    if (a.kind != VALUE_STRING || b.kind != VALUE_STRING || with_case) {
        TRY(value_compare(m, a, b, out));
    } else {
        TRY(str_case(m, a.s, CASE_LOWER, &left));
        TRY(str_case(m, b.s, CASE_LOWER, &right));
        TRY(str_compare(m, left, right, out));
    }
    *out = *out < 0;
    return VLQA_OK;
}

static vlqa_status filter_dictsort(struct machine *m, struct value in, const struct node *arguments,
                                   struct value *out)
{
    struct value with_case = value_bool(0);
    const struct list *items;
    int given, less;
    if (in.kind != VALUE_DICT)
        return machine_fail(m, VLQA_EMODEL, "dictsort of %s", value_name(in));
    if (arguments && arguments->next)
        return machine_fail(m, VLQA_EMODEL, "dictsort takes \"case_sensitive\" alone");
    TRY(machine_argument(m, arguments, 0, "case_sensitive", &with_case, &given));
    TRY(machine_method(m, method_find("items", 5), in, NULL, out));
    items = out->list; /* which nobody else has */
    for (int i = 1; i < items->n; i++)
        for (int at = i; at > 0; at--) {
            struct value *pair = items->values->at + at, swap = *pair;
            TRY(machine_work(m, 1));
            TRY(before(m, pair->list->values->at[0], pair[-1].list->values->at[0],
                       value_truth(with_case), &less));
            if (!less) break;
            *pair = pair[-1];
            pair[-1] = swap;
        }
    return VLQA_OK;
}

/* An attribute, or attributes of attributes, by a text: "function.name". */
static vlqa_status attribute_of(struct machine *m, struct value of, const struct str *path,
                                struct value *out)
{
    const char *flat, *end, *dot;
    TRY(str_flat(m, path, &flat));
    end = flat + path->bytes;
    *out = of;
    do {
        size_t n;
        dot = memchr(flat, '.', (size_t)(end - flat));
        n = (size_t)((dot ? dot : end) - flat);
        TRY(machine_work(m, 1));
        of = *out;
        TRY(machine_get(m, NULL, of, flat, n, out));
        flat = dot ? dot + 1 : end;
    } while (dot);
    return VLQA_OK;
}

static vlqa_status filter_join(struct machine *m, struct value in, const struct node *arguments,
                               struct value *out)
{
    const struct list *list;
    const struct str *by, *attribute, *text;
    struct str *made = str_new(m);
    if (!made) return VLQA_ELIMIT;
    TRY(value_items(m, in, &list));
    TRY(machine_text(m, arguments, 0, "d", &by));
    TRY(machine_text(m, arguments, 1, "attribute", &attribute));
    for (int i = 0; i < list->n; i++) {
        struct value v = list->values->at[i];
        if (attribute) TRY(attribute_of(m, list->values->at[i], attribute, &v));
        TRY(value_text(m, v, &text));
        if (i && by) TRY(str_append(m, made, by));
        TRY(str_append(m, made, text));
    }
    *out = string(made);
    return VLQA_OK;
}

struct selection { /* what select, reject, selectattr and rejectattr are told */
    const struct str *attribute;
    int test, any_test, has_argument, reject;
    struct value argument;
};

static vlqa_status select_items(struct machine *m, struct value in, const struct selection *s,
                                struct value *out)
{
    const struct list *list;
    struct list *made = list_new(m);
    if (!made) return VLQA_ELIMIT;
    TRY(value_items(m, in, &list));
    for (int i = 0; i < list->n; i++) {
        struct value v = list->values->at[i];
        int truth;
        TRY(machine_work(m, 1));
        if (s->attribute) TRY(attribute_of(m, list->values->at[i], s->attribute, &v));
        truth = value_truth(v);
        if (s->any_test)
            TRY(machine_test(m, s->test, v, s->has_argument ? &s->argument : NULL, &truth));
        if (truth != s->reject) TRY(list_append(m, made, list->values->at[i]));
    }
    *out = (struct value){VALUE_LIST, {.list = made}};
    return VLQA_OK;
}

static vlqa_status selected(struct machine *m, struct value in, const struct node *arguments,
                            int attributes, int reject, struct value *out)
{
    struct selection s = {.reject = reject};
    const struct str *name;
    const char *flat;
    if (attributes) {
        TRY(machine_text(m, arguments, 0, "", &s.attribute));
        if (!s.attribute) return machine_fail(m, VLQA_EMODEL, "selectattr takes an attribute");
    }
    TRY(machine_text(m, arguments, attributes, "", &name));
    if (name) {
        TRY(str_flat(m, name, &flat));
        s.any_test = 1;
        s.test = test_find(flat, name->bytes);
        if (s.test < 0)
            return machine_fail(m, VLQA_EMODEL, "the test \"%.*s\" is not known",
                                (int)(name->bytes < 60 ? name->bytes : 60), flat);
        TRY(machine_argument(m, arguments, attributes + 1, "", &s.argument, &s.has_argument));
    }
    return select_items(m, in, &s, out);
}

static vlqa_status filter_select(struct machine *m, struct value in, const struct node *arguments,
                                 struct value *out)
{
    return selected(m, in, arguments, 0, 0, out);
}

static vlqa_status filter_reject(struct machine *m, struct value in, const struct node *arguments,
                                 struct value *out)
{
    return selected(m, in, arguments, 0, 1, out);
}

static vlqa_status filter_selectattr(struct machine *m, struct value in,
                                     const struct node *arguments, struct value *out)
{
    return selected(m, in, arguments, 1, 0, out);
}

static vlqa_status filter_rejectattr(struct machine *m, struct value in,
                                     const struct node *arguments, struct value *out)
{
    return selected(m, in, arguments, 1, 1, out);
}

/* map(attribute=NAME) or map(FILTER, its arguments) */
static vlqa_status filter_map(struct machine *m, struct value in, const struct node *arguments,
                              struct value *out)
{
    const struct list *list;
    struct list *made = list_new(m);
    const struct str *attribute, *name;
    struct value fallback = {VALUE_UNDEFINED, {.from = NULL}};
    const char *flat = "";
    int filter = -1, given;
    if (!made) return VLQA_ELIMIT;
    TRY(value_items(m, in, &list));
    TRY(machine_text(m, arguments, -1, "attribute", &attribute));
    TRY(machine_argument(m, arguments, -1, "default", &fallback, &given));
    TRY(machine_text(m, arguments, 0, "", &name));
    if (name) TRY(str_flat(m, name, &flat));
    if (name) filter = filter_find(flat, name->bytes);
    if (!attribute && filter < 0)
        return machine_fail(m, VLQA_EMODEL, "map takes an attribute or the name of a filter");
    for (int i = 0; i < list->n; i++) {
        struct value v;
        TRY(machine_work(m, 1));
        if (attribute)
            TRY(attribute_of(m, list->values->at[i], attribute, &v));
        else
            TRY(machine_filter(m, filter, list->values->at[i], arguments->next, &v));
        TRY(list_append(m, made, v.kind == VALUE_UNDEFINED ? fallback : v));
    }
    *out = (struct value){VALUE_LIST, {.list = made}};
    return VLQA_OK;
}

static const struct {
    const char *name;
    vlqa_status (*call)(struct machine *m, struct value in, const struct node *arguments,
                        struct value *out);
} filters[] = {{"trim", filter_trim},
               {"tojson", filter_tojson},
               {"length", filter_length},
               {"count", filter_length},
               {"default", filter_default},
               {"d", filter_default},
               {"upper", filter_upper},
               {"lower", filter_lower},
               {"capitalize", filter_capitalize},
               {"title", filter_title},
               {"replace", filter_replace},
               {"join", filter_join},
               {"first", filter_first},
               {"last", filter_last},
               {"list", filter_list},
               {"reverse", filter_reverse},
               {"items", filter_items},
               {"dictsort", filter_dictsort},
               {"select", filter_select},
               {"reject", filter_reject},
               {"selectattr", filter_selectattr},
               {"rejectattr", filter_rejectattr},
               {"map", filter_map},
               {"string", filter_string},
               {"safe", filter_safe},
               {"int", filter_int},
               {"float", filter_float},
               {"abs", filter_abs}};

int filter_find(const char *name, size_t bytes)
{
    for (int i = 0; i < (int)(sizeof filters / sizeof *filters); i++)
        if (strlen(filters[i].name) == bytes && memcmp(filters[i].name, name, bytes) == 0) return i;
    return -1;
}

vlqa_status machine_filter(struct machine *m, int filter, struct value in,
                           const struct node *arguments, struct value *out)
{
    return filters[filter].call(m, in, arguments, out);
}
