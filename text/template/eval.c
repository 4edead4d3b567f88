/* eval.c - a template's tree is walked: expressions to values. */
#include "text/template/parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- the machine ---- */

void *machine_push(struct machine *m, size_t bytes)
{
    void *out = m->base + m->used;
    bytes = (bytes + 15) / 16 * 16;
    if (bytes <= m->cap - m->used) {
        m->used += bytes;
        return out;
    }
    (void)env_fail(m->env, VLQA_ELIMIT, "%s, line %d: the chat template needs more than %zu bytes",
                   m->t->name, m->line, m->cap);
    return NULL;
}

vlqa_status machine_fail(struct machine *m, vlqa_status status, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return env_fail(m->env, status,
                    "%s, line %d: %s; another template is taken with --chat-template FILE, or "
                    "qwen3vl",
                    m->t->name, m->line, text);
}

vlqa_status machine_work(struct machine *m, size_t steps)
{
    m->steps -= (int64_t)steps;
    return m->steps > 0 ? VLQA_OK : machine_fail(m, VLQA_EMODEL, "the chat template runs too long");
}

/* ---- names and attributes ---- */

static struct binding *find_here(const struct scope *scope, const char *name, size_t bytes)
{
    for (struct binding *b = scope->first; b; b = b->next)
        if (b->name_bytes == bytes && memcmp(b->name, name, bytes) == 0) return b;
    return NULL;
}

vlqa_status machine_set(struct machine *m, const char *name, size_t bytes, struct value value)
{
    struct binding *b = find_here(m->scope, name, bytes);
    if (!b) {
        b = machine_push(m, sizeof *b);
        if (!b) return VLQA_ELIMIT;
        *b = (struct binding){name, bytes, value, m->scope->first};
        m->scope->first = b;
    }
    b->value = value;
    return VLQA_OK;
}

static void get_name(const struct machine *m, const struct node *node, struct value *out)
{
    for (const struct scope *scope = m->scope; scope; scope = scope->parent) {
        const struct binding *b = find_here(scope, node->name, node->name_bytes);
        if (b) {
            *out = b->value;
            return;
        }
    }
    *out = (struct value){VALUE_UNDEFINED, {.from = node}};
    if (function_find(node->name, node->name_bytes) >= 0)
        *out = (struct value){VALUE_MACRO, {.macro = NULL}};
}

static void get_loop(const struct loop *loop, const char *name, size_t bytes, struct value *out)
{
    int i = loop->i, n = loop->items->n;
    const struct {
        const char *name;
        struct value value;
    } known[] = {{"index", value_int(i + 1)},
                 {"index0", value_int(i)},
                 {"first", value_bool(i == 0)},
                 {"last", value_bool(i == n - 1)},
                 {"length", value_int(n)},
                 {"revindex", value_int(n - i)},
                 {"revindex0", value_int(n - i - 1)},
                 {"depth", value_int(1)}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (strlen(known[k].name) == bytes && memcmp(known[k].name, name, bytes) == 0)
            *out = known[k].value;
    if (bytes != 8) return;
    if (memcmp(name, "previtem", 8) == 0 && i > 0) *out = loop->items->values->at[i - 1];
    if (memcmp(name, "nextitem", 8) == 0 && i < n - 1) *out = loop->items->values->at[i + 1];
}

static vlqa_status fail_undefined(struct machine *m, struct value v)
{
    const struct node *from = v.from;
    if (!from || !from->name) return machine_fail(m, VLQA_EMODEL, "an undefined value is used");
    return machine_fail(m, VLQA_EMODEL, "\"%.*s\" is undefined",
                        (int)(from->name_bytes < 60 ? from->name_bytes : 60), from->name);
}

vlqa_status machine_get(struct machine *m, const struct node *from, struct value object,
                        const char *name, size_t bytes, struct value *out)
{
    const struct value *found = NULL;
    *out = (struct value){VALUE_UNDEFINED, {.from = from}};
    if (object.kind == VALUE_UNDEFINED) return fail_undefined(m, object);
    if (object.kind == VALUE_LOOP) get_loop(object.loop, name, bytes, out);
    if (object.kind == VALUE_DICT || object.kind == VALUE_NAMESPACE)
        found = dict_get(m, object.dict, name, bytes);
    if (found) *out = *found;
    return VLQA_OK;
}

/* ---- indexes ---- */

static vlqa_status index_list(struct machine *m, struct value of, int64_t i, struct value *out)
{
    struct str *one;
    int64_t n = 0;
    if (of.kind == VALUE_STRING)
        TRY(str_length(m, of.s, &n));
    else
        n = of.list->n;
    if (i < 0) i += n;
    if (i < 0 || i >= n) return VLQA_OK;
    if (of.kind != VALUE_STRING) {
        *out = of.list->values->at[i];
        return VLQA_OK;
    }
    TRY(str_pick(m, of.s, i, 1, 1, &one));
    *out = (struct value){VALUE_STRING, {.s = one}};
    return VLQA_OK;
}

static vlqa_status eval_index(struct machine *m, const struct node *node, struct value *out)
{
    struct value of, at;
    TRY(machine_eval(m, node->a, &of));
    TRY(machine_eval(m, node->b, &at));
    *out = (struct value){VALUE_UNDEFINED, {.from = node->a}};
    if (at.kind == VALUE_STRING) {
        const char *name;
        TRY(str_flat(m, at.s, &name));
        return machine_get(m, node->a, of, name, at.s->bytes, out);
    }
    if (of.kind == VALUE_UNDEFINED) return fail_undefined(m, of);
    if (of.kind == VALUE_DICT) {
        for (int i = 0, same; i < of.dict->n; i++) {
            TRY(value_equal(m, of.dict->key[i], at, 0, &same));
            if (same) *out = of.dict->value[i];
        }
        return VLQA_OK;
    }
    if ((of.kind != VALUE_STRING && of.kind != VALUE_LIST && of.kind != VALUE_TUPLE) ||
        (at.kind != VALUE_INT && at.kind != VALUE_BOOL))
        return VLQA_OK;
    return index_list(m, of, at.i, out);
}

/* An end of a slice, as Python clips it. */
static vlqa_status slice_end(struct machine *m, const struct node *node, int64_t n, int64_t step,
                             int64_t fallback, int64_t *out)
{
    struct value v = {VALUE_NONE, {0}};
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    if (node) TRY(machine_eval(m, node, &v));
    *out = fallback;
    if (v.kind == VALUE_NONE) return VLQA_OK;
    if (v.kind != VALUE_INT) return machine_fail(m, VLQA_EMODEL, "%s is no index", value_name(v));
    *out = v.i < 0 ? v.i + n : v.i;
    if (*out < low) *out = low;
    if (*out > high) *out = high;
    return VLQA_OK;
}

static vlqa_status eval_slice(struct machine *m, const struct node *node, struct value *out)
{
    struct value of, by = value_int(1);
    int64_t n, begin, end, count;
    TRY(machine_eval(m, node->a, &of));
    if (of.kind == VALUE_UNDEFINED) return fail_undefined(m, of);
    if (of.kind != VALUE_STRING && of.kind != VALUE_LIST && of.kind != VALUE_TUPLE)
        return machine_fail(m, VLQA_EMODEL, "%s is not sliced", value_name(of));
    if (node->d) TRY(machine_eval(m, node->d, &by));
    if (by.kind != VALUE_INT || by.i < -1000000 || by.i > 1000000 || !by.i)
        return machine_fail(m, VLQA_EMODEL, "the step of a slice is no number in its range");
    n = of.kind == VALUE_STRING ? 0 : of.list->n;
    if (of.kind == VALUE_STRING) TRY(str_length(m, of.s, &n));
    TRY(slice_end(m, node->b, n, by.i, by.i < 0 ? n - 1 : 0, &begin));
    TRY(slice_end(m, node->c, n, by.i, by.i < 0 ? -1 : n, &end));
    count = by.i > 0 ? (end - begin + by.i - 1) / by.i : (begin - end - by.i - 1) / -by.i;
    if (count < 0) count = 0;
    if (of.kind == VALUE_STRING) {
        struct str *cut;
        TRY(str_pick(m, of.s, begin, by.i, count, &cut));
        *out = (struct value){VALUE_STRING, {.s = cut}};
    } else {
        struct list *list = list_new(m);
        if (!list) return VLQA_ELIMIT;
        for (int64_t i = 0; i < count; i++)
            TRY(list_append(m, list, of.list->values->at[begin + i * by.i]));
        *out = (struct value){of.kind, {.list = list}};
    }
    return machine_work(m, (size_t)count);
}

/* ---- operators ---- */

static vlqa_status join_lists(struct machine *m, const struct list *a, const struct list *b,
                              struct value *out)
{
    struct list *list = list_new(m);
    int n = b->n;
    if (!list) return VLQA_ELIMIT;
    *list = *a; /* appended behind it, where nobody else did */
    TRY(machine_work(m, (size_t)n));
    for (int i = 0; i < n; i++)
        TRY(list_append(m, list, b->values->at[i]));
    out->list = list;
    return VLQA_OK;
}

static vlqa_status join_texts(struct machine *m, struct value a, struct value b, struct value *out)
{
    const struct str *left, *right;
    struct str *joined = str_new(m);
    if (!joined) return VLQA_ELIMIT;
    TRY(value_text(m, a, &left));
    TRY(value_text(m, b, &right));
    *joined = *left;
    TRY(str_append(m, joined, right));
    *out = (struct value){VALUE_STRING, {.s = joined}};
    return VLQA_OK;
}

static vlqa_status repeat(struct machine *m, struct value text, struct value times,
                          struct value *out)
{
    struct str *s = str_new(m);
    if (!s) return VLQA_ELIMIT;
    for (int64_t i = 0; i < times.i; i++) {
        TRY(machine_work(m, 1));
        TRY(str_append(m, s, text.s));
    }
    *out = (struct value){VALUE_STRING, {.s = s}};
    return VLQA_OK;
}

static vlqa_status whole(struct machine *m, int op, int64_t x, int64_t y, struct value *out)
{
    const int64_t most = (int64_t)1 << 31; /* of factors */
    int64_t quotient;
    if (op == '+' && !__builtin_add_overflow(x, y, &out->i)) return VLQA_OK;
    if (op == '-' && !__builtin_sub_overflow(x, y, &out->i)) return VLQA_OK;
    if (op == '*' && !__builtin_mul_overflow(x, y, &out->i)) return VLQA_OK;
    if ((op == '%' || op == '/' + 256) && y && x > -most * most) {
        quotient = x / y - ((x % y != 0) && ((x < 0) != (y < 0))); /* rounded down */
        out->i = op == '%' ? x - quotient * y : quotient;
        return VLQA_OK;
    }
    return machine_fail(m, VLQA_EMODEL, "a whole number is too large, or divided by 0");
}

static vlqa_status calculate(struct machine *m, int op, struct value a, struct value b,
                             struct value *out)
{
    double x = value_number(a), y = value_number(b), z = 0;
    int is_whole = a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT;
    *out = (struct value){VALUE_INT, {0}};
    if (is_whole && op != '/' && op != '*' + 256) return whole(m, op, a.i, b.i, out);
    if ((op == '/' || op == '/' + 256 || op == '%') && y == 0)
        return machine_fail(m, VLQA_EMODEL, "a number is divided by 0");
    switch (op) {
    case '+':
        z = x + y;
        break;
    case '-':
        z = x - y;
        break;
    case '*':
        z = x * y;
        break;
    case '/':
        z = x / y;
        break;
    case '/' + 256:
        z = floor(x / y);
        break;
    case '%':
        z = x - y * floor(x / y);
        break;
    default:
        z = pow(x, y);
        if (is_whole && y >= 0 && fabs(z) < 9e15) {
            *out = value_int((int64_t)z);
            return VLQA_OK;
        }
    }
    *out = (struct value){VALUE_FLOAT, {.f = z}};
    return VLQA_OK;
}

static vlqa_status eval_binary(struct machine *m, const struct node *node, struct value *out)
{
    struct value a, b;
    char name[3] = {(char)(node->op & 255), node->op > 255 ? (char)(node->op & 255) : 0, 0};
    TRY(machine_eval(m, node->a, &a));
    TRY(machine_eval(m, node->b, &b));
    m->line = node->line;
    if (node->op == '~') return join_texts(m, a, b, out);
    if (a.kind == VALUE_UNDEFINED) return fail_undefined(m, a);
    if (b.kind == VALUE_UNDEFINED) return fail_undefined(m, b);
    if (value_is_number(a) && value_is_number(b)) return calculate(m, node->op, a, b, out);
    if (node->op == '+' && a.kind == VALUE_STRING && b.kind == VALUE_STRING)
        return join_texts(m, a, b, out);
    if (node->op == '+' && a.kind == b.kind && (a.kind == VALUE_LIST || a.kind == VALUE_TUPLE)) {
        out->kind = a.kind;
        return join_lists(m, a.list, b.list, out);
    }
    if (node->op == '*' && a.kind == VALUE_STRING && b.kind == VALUE_INT)
        return repeat(m, a, b, out);
    return machine_fail(m, VLQA_EMODEL, "%s %s %s is not computed", value_name(a), name,
                        value_name(b));
}

static vlqa_status compare_once(struct machine *m, int op, struct value a, struct value b, int *out)
{
    int order = 0;
    if (op == 6 || op == 7) {
        TRY(value_contains(m, b, a, out));
        *out ^= op == 7;
        return VLQA_OK;
    }
    if (op <= 1) {
        TRY(value_equal(m, a, b, 0, out));
        *out ^= op;
        return VLQA_OK;
    }
    if (a.kind == VALUE_UNDEFINED) return fail_undefined(m, a);
    if (b.kind == VALUE_UNDEFINED) return fail_undefined(m, b);
    TRY(value_compare(m, a, b, &order));
    *out = op == 2 ? order < 0 : op == 3 ? order <= 0 : op == 4 ? order > 0 : order >= 0;
    return VLQA_OK;
}

static vlqa_status eval_compare(struct machine *m, const struct node *node, struct value *out)
{
    struct value left, right;
    int truth = 1;
    TRY(machine_eval(m, node->a, &left));
    for (const struct node *with = node->b; with && truth; with = with->next) {
        TRY(machine_eval(m, with->a, &right));
        TRY(compare_once(m, with->op, left, right, &truth));
        left = right;
    }
    *out = value_bool(truth);
    return VLQA_OK;
}

/* ---- literals and calls ---- */

static vlqa_status eval_list(struct machine *m, const struct node *node, struct value *out)
{
    struct list *list = list_new(m);
    if (!list) return VLQA_ELIMIT;
    for (const struct node *item = node->a; item; item = item->next) {
        struct value v;
        TRY(machine_eval(m, item, &v));
        TRY(list_append(m, list, v));
    }
    *out = (struct value){node->kind == NODE_LIST ? VALUE_LIST : VALUE_TUPLE, {.list = list}};
    return VLQA_OK;
}

static vlqa_status eval_dict(struct machine *m, const struct node *node, struct value *out)
{
    struct dict *dict = dict_new(m, 4);
    if (!dict) return VLQA_ELIMIT;
    for (const struct node *pair = node->a; pair; pair = pair->next) {
        struct value key, v;
        TRY(machine_eval(m, pair->a, &key));
        TRY(machine_eval(m, pair->b, &v));
        TRY(dict_put(m, dict, key, v));
    }
    *out = (struct value){VALUE_DICT, {.dict = dict}};
    return VLQA_OK;
}

static vlqa_status bind_parameter(struct machine *m, const struct node *parameter, int at,
                                  const struct node *arguments, struct scope *scope)
{
    struct value v = {VALUE_UNDEFINED, {.from = parameter}};
    struct scope *outer = m->scope;
    char name[128];
    vlqa_status status;
    int given;
    if (parameter->name_bytes >= sizeof name)
        return machine_fail(m, VLQA_EMODEL, "a parameter's name is too long");
    memcpy(name, parameter->name, parameter->name_bytes);
    name[parameter->name_bytes] = 0;
    TRY(machine_argument(m, arguments, at, name, &v, &given)); /* in the caller's scope */
    m->scope = scope;
    status = !given && parameter->a ? machine_eval(m, parameter->a, &v) : VLQA_OK;
    if (status == VLQA_OK) status = machine_set(m, parameter->name, parameter->name_bytes, v);
    m->scope = outer;
    return status;
}

static vlqa_status call_macro(struct machine *m, const struct macro *macro,
                              const struct node *arguments, struct value *out)
{
    struct scope *outer = m->scope, *scope = machine_push(m, sizeof *scope);
    struct str *written = str_new(m), *old = m->out;
    int at = 0, line = m->line;
    if (!scope || !written) return VLQA_ELIMIT;
    *scope = (struct scope){macro->scope, NULL};
    for (const struct node *p = macro->node->a; p; p = p->next)
        TRY(bind_parameter(m, p, at++, arguments, scope));
    for (const struct node *argument = arguments; argument; argument = argument->next)
        if (!argument->name && --at < 0)
            return machine_fail(m, VLQA_EMODEL, "a macro is given too many arguments");
    m->scope = scope;
    m->out = written;
    TRY(machine_run(m, macro->node->c));
    m->scope = outer;
    m->out = old;
    m->line = line;
    *out = (struct value){VALUE_STRING, {.s = written}};
    return VLQA_OK;
}

static vlqa_status eval_call(struct machine *m, const struct node *node, struct value *out)
{
    struct value callee;
    get_name(m, node->a, &callee);
    if (callee.kind == VALUE_UNDEFINED) return fail_undefined(m, callee);
    if (callee.kind != VALUE_MACRO)
        return machine_fail(m, VLQA_EMODEL, "%s is called", value_name(callee));
    if (callee.macro) return call_macro(m, callee.macro, node->b, out);
    return machine_function(m, function_find(node->a->name, node->a->name_bytes), node->b, out);
}

static vlqa_status eval_test(struct machine *m, const struct node *node, struct value *out)
{
    struct value in, argument;
    int given, truth;
    TRY(machine_eval(m, node->a, &in));
    TRY(machine_argument(m, node->b, 0, "", &argument, &given));
    TRY(machine_test(m, node->op, in, given ? &argument : NULL, &truth));
    *out = value_bool(truth);
    return VLQA_OK;
}

static vlqa_status eval_choice(struct machine *m, const struct node *node, struct value *out)
{
    TRY(machine_eval(m, node->a, out));
    switch (node->kind) {
    case NODE_COND:
        if (value_truth(*out)) return machine_eval(m, node->b, out);
        *out = (struct value){VALUE_UNDEFINED, {.from = NULL}};
        return node->c ? machine_eval(m, node->c, out) : VLQA_OK;
    case NODE_OR:
        return value_truth(*out) ? VLQA_OK : machine_eval(m, node->b, out);
    case NODE_AND:
        return value_truth(*out) ? machine_eval(m, node->b, out) : VLQA_OK;
    default: /* NODE_NOT */
        *out = value_bool(!value_truth(*out));
        return VLQA_OK;
    }
}

static vlqa_status negate(struct machine *m, struct value *v)
{
    if (!value_is_number(*v) || v->i == INT64_MIN)
        return machine_fail(m, VLQA_EMODEL, "%s is not negated", value_name(*v));
    if (v->kind == VALUE_FLOAT)
        v->f = -v->f;
    else
        *v = value_int(-v->i);
    return VLQA_OK;
}

static vlqa_status eval(struct machine *m, const struct node *node, struct value *out)
{
    struct value in;
    switch (node->kind) {
    case NODE_CONST:
        *out = node->constant;
        return VLQA_OK;
    case NODE_NAME:
        get_name(m, node, out);
        return VLQA_OK;
    case NODE_HOLE:
        *out = m->hole;
        return VLQA_OK;
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_list(m, node, out);
    case NODE_DICT:
        return eval_dict(m, node, out);
    case NODE_COMPARE:
        return eval_compare(m, node, out);
    case NODE_BINARY:
        return eval_binary(m, node, out);
    case NODE_NEGATE:
        TRY(machine_eval(m, node->a, out));
        return negate(m, out);
    case NODE_ATTRIBUTE:
        TRY(machine_eval(m, node->a, &in));
        return machine_get(m, node, in, node->name, node->name_bytes, out);
    case NODE_INDEX:
        return eval_index(m, node, out);
    case NODE_SLICE:
        return eval_slice(m, node, out);
    case NODE_CALL:
        return eval_call(m, node, out);
    case NODE_METHOD:
        TRY(machine_eval(m, node->a, &in));
        if (in.kind == VALUE_UNDEFINED) return fail_undefined(m, in);
        return machine_method(m, node->op, in, node->b, out);
    case NODE_FILTER:
        TRY(machine_eval(m, node->a, &in));
        return machine_filter(m, node->op, in, node->b, out);
    case NODE_TEST:
        return eval_test(m, node, out);
    default:
        return eval_choice(m, node, out);
    }
}

vlqa_status machine_eval(struct machine *m, const struct node *node, struct value *out)
{
    m->line = node->line;
    TRY(machine_work(m, 1));
    if (m->depth >= 3 * TEMPLATE_DEPTH)
        return machine_fail(m, VLQA_EMODEL, "the chat template is nested too deep");
    m->depth++;
    TRY(eval(m, node, out));
    m->depth--;
    return VLQA_OK;
}
