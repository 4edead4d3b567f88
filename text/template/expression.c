/* expression.c - expressions of a template to a tree, by Jinja's precedence. */
#include "text/template/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int is_word(const struct lex_token *t, const char *word)
{
    return t->bytes == strlen(word) && memcmp(t->at, word, t->bytes) == 0;
}

static struct node *binary(struct parser *p, enum node_kind kind, struct node *a, struct node *b)
{
    struct node *node = parse_node(p, kind);
    if (node) {
        node->a = a;
        node->b = b;
    }
    return node;
}

#define NODE(out, node)                              \
    do {                                             \
        if (!(*(out) = (node))) return VLQA_EMEMORY; \
    } while (0)

/* ---- constants ---- */

static struct node *constant(struct parser *p, struct value v)
{
    struct node *node = parse_node(p, NODE_CONST);
    if (node) node->constant = v;
    return node;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Digits of base 1 << shift that begin at *at. */
static uint32_t digits(const char **at, const char *end, int most, int shift)
{
    uint32_t v = 0;
    for (; *at < end && most; ++*at, most--) {
        char c = **at;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 99;
        if (d >= 1u << shift) break;
        v = v << shift | d;
    }
    return v;
}

/* What stands behind a backslash, as in Python; *at moves over it. */
static size_t unescape(const char **at, const char *end, char *out)
{
    static const char plain[] = "n\nt\tr\r\\\\'\'\"\"a\ab\bf\fv\v";
    char c = **at;
    uint32_t code;
    for (const char *pair = plain; *pair; pair += 2)
        if (c == *pair) return ++*at, *out = pair[1], 1;
    if (c == '\n') return ++*at, 0;
    if (c >= '0' && c <= '7') return put_utf8(digits(at, end, 3, 3), out);
    if (c != 'x' && c != 'u' && c != 'U') return *out = '\\', 1;
    ++*at;
    code = digits(at, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, 4);
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = 0xFFFD;
    return put_utf8(code, out);
}

/* Strings that follow each other are one. */
static vlqa_status parse_string(struct parser *p, struct node **out)
{
    struct { /* a string of one part */
        struct str str;
        struct parts parts;
        struct part part;
    } *s = parse_alloc(p, sizeof *s);
    size_t cap = 0, n = 0;
    char *text = NULL;
    if (!s) return VLQA_EMEMORY;
    while (p->token.kind == LEX_STRING) {
        const char *at = p->token.at + 1, *end = p->token.at + p->token.bytes - 1;
        char *longer = parse_alloc(p, cap += p->token.bytes);
        if (!longer) return VLQA_EMEMORY;
        if (n) memcpy(longer, text, n);
        text = longer;
        while (at < end) {
            char c = *at++;
            if (c == '\\' && at < end)
                n += unescape(&at, end, text + n);
            else
                text[n++] = c;
        }
        TRY(parse_advance(p));
    }
    s->part = (struct part){text, n, TEMPLATE_OWN};
    s->parts = (struct parts){&s->part, 1, 1};
    s->str = (struct str){&s->parts, 1, n};
    NODE(out, constant(p, (struct value){VALUE_STRING, {.s = &s->str}}));
    return VLQA_OK;
}

static vlqa_status parse_number(struct parser *p, struct node **out)
{
    char digit[64];
    size_t n = 0;
    struct value v = {VALUE_INT, {0}};
    for (size_t i = 0; i < p->token.bytes && n + 1 < sizeof digit; i++)
        if (p->token.at[i] != '_') digit[n++] = p->token.at[i];
    digit[n] = 0;
    if (p->token.kind == LEX_FLOAT) {
        v.kind = VALUE_FLOAT;
        v.f = strtod(digit, NULL);
    } else if (n > 18) {
        return parse_fail(p, "a number with more than 18 digits");
    } else {
        v.i = strtoll(digit, NULL, 10);
    }
    NODE(out, constant(p, v));
    return parse_advance(p);
}

static vlqa_status parse_name(struct parser *p, struct node **out)
{
    static const struct {
        const char *name;
        struct value value;
    } known[] = {{"true", {VALUE_BOOL, {1}}},  {"True", {VALUE_BOOL, {1}}},
                 {"false", {VALUE_BOOL, {0}}}, {"False", {VALUE_BOOL, {0}}},
                 {"none", {VALUE_NONE, {0}}},  {"None", {VALUE_NONE, {0}}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_word(&p->token, known[i].name)) {
            NODE(out, constant(p, known[i].value));
            return parse_advance(p);
        }
    NODE(out, parse_node(p, NODE_NAME));
    (*out)->name = p->token.at;
    (*out)->name_bytes = p->token.bytes;
    return parse_advance(p);
}

/* ---- lists, dicts, calls ---- */

/* Expressions up to the closing bracket, which is read, too. */
static vlqa_status parse_elements(struct parser *p, const char *close, int *commas,
                                  struct node **first)
{
    struct node *tail = NULL;
    *first = NULL;
    *commas = 0;
    while (!parse_is(p, close)) {
        struct node *node;
        int comma;
        TRY(parse_expression(p, 1, &node));
        parse_append(first, &tail, node);
        TRY(parse_skip(p, ",", &comma));
        *commas += comma;
        if (!comma) break;
    }
    return parse_expect(p, close);
}

static vlqa_status parse_list(struct parser *p, struct node **out)
{
    int commas;
    TRY(parse_advance(p));
    NODE(out, parse_node(p, NODE_LIST));
    return parse_elements(p, "]", &commas, &(*out)->a);
}

/* (a) is a, (a,) a tuple. */
static vlqa_status parse_parentheses(struct parser *p, struct node **out)
{
    struct node *first;
    int commas;
    TRY(parse_advance(p));
    TRY(parse_elements(p, ")", &commas, &first));
    if (first && !commas) {
        *out = first;
        return VLQA_OK;
    }
    NODE(out, parse_node(p, NODE_TUPLE));
    (*out)->a = first;
    return VLQA_OK;
}

static vlqa_status parse_dict(struct parser *p, struct node **out)
{
    struct node *tail = NULL;
    TRY(parse_advance(p));
    NODE(out, parse_node(p, NODE_DICT));
    while (!parse_is(p, "}")) {
        struct node *key, *value, *pair;
        int comma;
        TRY(parse_expression(p, 1, &key));
        TRY(parse_expect(p, ":"));
        TRY(parse_expression(p, 1, &value));
        NODE(&pair, binary(p, NODE_PAIR, key, value));
        parse_append(&(*out)->a, &tail, pair);
        TRY(parse_skip(p, ",", &comma));
        if (!comma) break;
    }
    return parse_expect(p, "}");
}

/* Behind the opening parenthesis. */
static vlqa_status parse_arguments(struct parser *p, struct node **first)
{
    struct node *tail = NULL;
    *first = NULL;
    while (!parse_is(p, ")")) {
        struct node *argument;
        int comma;
        if (parse_is(p, "*") || parse_is(p, "**"))
            return parse_fail(p, "arguments given by * or **");
        NODE(&argument, parse_node(p, NODE_ARGUMENT));
        TRY(parse_ahead(p));
        if (p->token.kind == LEX_NAME && p->ahead.kind == LEX_OPERATOR && is_word(&p->ahead, "=")) {
            argument->name = p->token.at;
            argument->name_bytes = p->token.bytes;
            TRY(parse_advance(p));
            TRY(parse_advance(p));
        }
        TRY(parse_expression(p, 1, &argument->a));
        parse_append(first, &tail, argument);
        TRY(parse_skip(p, ",", &comma));
        if (!comma) break;
    }
    return parse_expect(p, ")");
}

/* ---- behind a value ---- */

static vlqa_status parse_subscript(struct parser *p, struct node **out)
{
    struct node *part[3] = {NULL, NULL, NULL};
    int slice = 0;
    TRY(parse_advance(p));
    for (int i = 0; i < 3; i++) {
        int colon;
        if (!parse_is(p, ":") && !parse_is(p, "]")) TRY(parse_expression(p, 1, &part[i]));
        if (i == 2) break;
        TRY(parse_skip(p, ":", &colon));
        if (!colon) break;
        slice = 1;
    }
    if (!slice && !part[0]) return parse_fail(p, "an empty index");
    NODE(out, binary(p, slice ? NODE_SLICE : NODE_INDEX, *out, part[0]));
    (*out)->c = part[1];
    (*out)->d = part[2];
    return parse_expect(p, "]");
}

static vlqa_status parse_attribute(struct parser *p, struct node **out)
{
    struct node *of = *out;
    TRY(parse_advance(p));
    if (p->token.kind == LEX_INT) {
        struct node *index;
        TRY(parse_number(p, &index));
        NODE(out, binary(p, NODE_INDEX, of, index));
        return VLQA_OK;
    }
    if (p->token.kind != LEX_NAME) return parse_fail(p, "no name behind the dot");
    NODE(out, binary(p, NODE_ATTRIBUTE, of, NULL));
    (*out)->name = p->token.at;
    (*out)->name_bytes = p->token.bytes;
    return parse_advance(p);
}

static vlqa_status parse_call(struct parser *p, struct node **out)
{
    struct node *callee = *out;
    TRY(parse_advance(p));
    if (callee->kind == NODE_ATTRIBUTE) {
        callee->kind = NODE_METHOD;
        callee->op = method_find(callee->name, callee->name_bytes);
        if (callee->op < 0) return parse_unknown(p, "method", callee);
        return parse_arguments(p, &callee->b);
    }
    if (callee->kind != NODE_NAME)
        return parse_fail(p, "a call of what is neither name nor method");
    callee->d = p->called;
    p->called = callee;
    NODE(out, binary(p, NODE_CALL, callee, NULL));
    return parse_arguments(p, &(*out)->b);
}

static vlqa_status parse_postfix(struct parser *p, struct node **out)
{
    for (;;) {
        if (parse_is(p, "."))
            TRY(parse_attribute(p, out));
        else if (parse_is(p, "["))
            TRY(parse_subscript(p, out));
        else if (parse_is(p, "("))
            TRY(parse_call(p, out));
        else
            return VLQA_OK;
    }
}

static vlqa_status parse_primary(struct parser *p, struct node **out)
{
    switch (p->token.kind) {
    case LEX_NAME:
        return parse_name(p, out);
    case LEX_STRING:
        return parse_string(p, out);
    case LEX_INT:
    case LEX_FLOAT:
        return parse_number(p, out);
    default:
        break;
    }
    if (parse_is(p, "(")) return parse_parentheses(p, out);
    if (parse_is(p, "[")) return parse_list(p, out);
    if (parse_is(p, "{")) return parse_dict(p, out);
    return parse_fail(p, NULL);
}

/* "is name": one argument may follow without parentheses. */
static vlqa_status parse_test(struct parser *p, struct node **out)
{
    static const char *const ends[] = {"else", "or", "and", "if", "is", "not"};
    struct node *test, *argument;
    int negate, follows;
    TRY(parse_skip(p, "not", &negate));
    NODE(&test, binary(p, NODE_TEST, *out, NULL));
    if (p->token.kind != LEX_NAME) return parse_fail(p, "no test behind is");
    test->name = p->token.at;
    test->name_bytes = p->token.bytes;
    test->op = test_find(test->name, test->name_bytes);
    if (test->op < 0) return parse_unknown(p, "test", test);
    TRY(parse_advance(p));
    follows = (p->token.kind >= LEX_NAME && p->token.kind <= LEX_FLOAT) || parse_is(p, "[") ||
              parse_is(p, "{");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        follows &= !parse_is(p, ends[i]);
    if (parse_is(p, "(")) {
        TRY(parse_advance(p));
        TRY(parse_arguments(p, &test->b));
    } else if (follows) {
        NODE(&argument, parse_node(p, NODE_ARGUMENT));
        TRY(parse_primary(p, &argument->a));
        TRY(parse_postfix(p, &argument->a));
        test->b = argument;
    }
    *out = test;
    if (negate) NODE(out, binary(p, NODE_NOT, test, NULL));
    return VLQA_OK;
}

static vlqa_status parse_filter(struct parser *p, struct node **out)
{
    struct node *filter;
    int call;
    NODE(&filter, binary(p, NODE_FILTER, *out, NULL));
    if (p->token.kind != LEX_NAME) return parse_fail(p, "no filter behind |");
    filter->name = p->token.at;
    filter->name_bytes = p->token.bytes;
    filter->op = filter_find(filter->name, filter->name_bytes);
    if (filter->op < 0) return parse_unknown(p, "filter", filter);
    TRY(parse_advance(p));
    TRY(parse_skip(p, "(", &call));
    if (call) TRY(parse_arguments(p, &filter->b));
    *out = filter;
    return VLQA_OK;
}

vlqa_status parse_filters(struct parser *p, struct node *operand, struct node **out)
{
    int found;
    *out = operand;
    for (;;) {
        TRY(parse_skip(p, "|", &found));
        if (!found) return VLQA_OK;
        TRY(parse_filter(p, out));
    }
}

/* Filters, tests and calls, in any order. */
static vlqa_status parse_behind(struct parser *p, struct node **out)
{
    for (;;) {
        int test;
        TRY(parse_filters(p, *out, out));
        TRY(parse_skip(p, "is", &test));
        if (!test) return VLQA_OK;
        TRY(parse_test(p, out));
    }
}

/* ---- operators ---- */

static vlqa_status parse_unary(struct parser *p, int filtered, struct node **out)
{
    int sign = parse_is(p, "-") ? -1 : parse_is(p, "+") ? 1 : 0;
    if (sign) {
        if (++p->depth > TEMPLATE_DEPTH) return parse_fail(p, "syntax that is nested too deep");
        TRY(parse_advance(p));
        TRY(parse_unary(p, 0, out));
        p->depth--;
        if (sign < 0) NODE(out, binary(p, NODE_NEGATE, *out, NULL));
    } else {
        TRY(parse_primary(p, out));
        TRY(parse_postfix(p, out));
    }
    return filtered ? parse_behind(p, out) : VLQA_OK;
}

/* Binary operators by precedence, the loosest first. */
static vlqa_status parse_binary(struct parser *p, int level, struct node **out)
{
    static const char *const operators[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
    if (level == 4) return parse_unary(p, 1, out);
    TRY(parse_binary(p, level + 1, out));
    for (;;) {
        struct node *right;
        const char *op = NULL;
        int line = p->token.line;
        for (int i = 0; operators[level][i]; i++)
            if (p->token.kind == LEX_OPERATOR && parse_is(p, operators[level][i]))
                op = operators[level][i];
        if (!op) return VLQA_OK;
        TRY(parse_advance(p));
        TRY(parse_binary(p, level + 1, &right));
        NODE(out, binary(p, NODE_BINARY, *out, right));
        (*out)->op = op[1] ? op[0] + 256 : op[0];
        (*out)->line = line;
    }
}

static vlqa_status comparison(struct parser *p, int *op)
{
    static const char *const name[] = {"==", "!=", "<", "<=", ">", ">=", "in"};
    *op = -1;
    for (int i = 0; i < (int)(sizeof name / sizeof *name); i++)
        if (parse_is(p, name[i])) *op = i;
    if (parse_is(p, "not")) {
        TRY(parse_ahead(p));
        if (p->ahead.kind != LEX_NAME || !is_word(&p->ahead, "in")) return VLQA_OK;
        TRY(parse_advance(p));
        *op = 7;
    }
    return *op >= 0 ? parse_advance(p) : VLQA_OK;
}

static vlqa_status parse_compare(struct parser *p, struct node **out)
{
    struct node *compare = NULL, *tail = NULL;
    TRY(parse_binary(p, 0, out));
    for (;;) {
        struct node *operand;
        int op;
        TRY(comparison(p, &op));
        if (op < 0) return VLQA_OK;
        if (!compare) NODE(&compare, binary(p, NODE_COMPARE, *out, NULL));
        *out = compare;
        NODE(&operand, parse_node(p, NODE_OPERAND));
        operand->op = op;
        TRY(parse_binary(p, 0, &operand->a));
        parse_append(&compare->b, &tail, operand);
    }
}

static vlqa_status parse_not(struct parser *p, struct node **out)
{
    int negate;
    TRY(parse_skip(p, "not", &negate));
    if (!negate) return parse_compare(p, out);
    if (++p->depth > TEMPLATE_DEPTH) return parse_fail(p, "syntax that is nested too deep");
    TRY(parse_not(p, out));
    p->depth--;
    NODE(out, binary(p, NODE_NOT, *out, NULL));
    return VLQA_OK;
}

static vlqa_status parse_and(struct parser *p, struct node **out)
{
    struct node *right;
    int found;
    TRY(parse_not(p, out));
    for (;;) {
        TRY(parse_skip(p, "and", &found));
        if (!found) return VLQA_OK;
        TRY(parse_not(p, &right));
        NODE(out, binary(p, NODE_AND, *out, right));
    }
}

static vlqa_status parse_or(struct parser *p, struct node **out)
{
    struct node *right;
    int found;
    TRY(parse_and(p, out));
    for (;;) {
        TRY(parse_skip(p, "or", &found));
        if (!found) return VLQA_OK;
        TRY(parse_and(p, &right));
        NODE(out, binary(p, NODE_OR, *out, right));
    }
}

vlqa_status parse_expression(struct parser *p, int condexpr, struct node **out)
{
    int found = 0;
    if (++p->depth > TEMPLATE_DEPTH) return parse_fail(p, "syntax that is nested too deep");
    TRY(parse_or(p, out));
    for (;;) {
        struct node *cond;
        if (condexpr) TRY(parse_skip(p, "if", &found));
        if (!found) break;
        NODE(&cond, binary(p, NODE_COND, NULL, *out));
        *out = cond;
        TRY(parse_or(p, &cond->a));
        TRY(parse_skip(p, "else", &found));
        if (found) TRY(parse_expression(p, 1, &cond->c));
    }
    p->depth--;
    return VLQA_OK;
}

vlqa_status parse_tuple(struct parser *p, int condexpr, struct node **out)
{
    struct node *tuple, *tail = NULL, *node;
    int comma;
    TRY(parse_expression(p, condexpr, out));
    TRY(parse_skip(p, ",", &comma));
    if (!comma) return VLQA_OK;
    NODE(&tuple, parse_node(p, NODE_TUPLE));
    parse_append(&tuple->a, &tail, *out);
    *out = tuple;
    while (comma && p->token.kind != LEX_BLOCK_END && p->token.kind != LEX_PRINT_END) {
        TRY(parse_expression(p, condexpr, &node));
        parse_append(&tuple->a, &tail, node);
        TRY(parse_skip(p, ",", &comma));
    }
    return VLQA_OK;
}
