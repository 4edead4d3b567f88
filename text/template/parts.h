/* parts.h - what a compiled template consists of, and values while one is rendered. */
#ifndef TEXT_TEMPLATE_PARTS_H
#define TEXT_TEMPLATE_PARTS_H

#include "text/template/template.h"

/* ---- tokens of the source (lex.c) ---- */

enum lex_kind {
    LEX_END,
    LEX_TEXT,
    LEX_PRINT, /* {{ */
    LEX_PRINT_END,
    LEX_BLOCK, /* {% */
    LEX_BLOCK_END,
    LEX_NAME,
    LEX_STRING, /* with its quotes */
    LEX_INT,
    LEX_FLOAT,
    LEX_OPERATOR
};

struct lex_token {
    enum lex_kind kind;
    const char *at;
    size_t bytes;
    int line;
};

struct lexer {
    struct env *env;
    const char *name, *at, *end;
    int line;
    enum lex_kind state; /* LEX_PRINT or LEX_BLOCK inside of one, else LEX_TEXT */
    int depth;           /* open brackets */
    int line_begins;     /* nothing, or a line feed, was read last */
};

vlqa_status lex_next(struct lexer *lex, struct lex_token *out);

/* ---- values (value.c, string.c) ---- */

struct part { /* bytes that are nowhere copied */
    const char *at;
    size_t bytes;
    int source;
};

struct parts { /* strings share it: appending to the one that ends where it ends writes behind it */
    struct part *at;
    int cap, used;
};

struct str {
    struct parts *parts;
    int n;
    size_t bytes;
};

enum value_kind {
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO
};

struct value {
    enum value_kind kind;
    union {
        int64_t i;
        double f;
        const struct str *s;
        const struct list *list;
        struct dict *dict;
        const struct loop *loop;
        const struct macro *macro;
        const struct node *from; /* of an undefined value: what was not found; NULL: nothing */
    };
};

struct values { /* shared by lists as struct parts is by strings */
    struct value *at;
    int cap, used;
};

struct list {
    struct values *values;
    int n;
};

struct dict {
    struct value *key, *value;
    int n, cap;
};

struct loop {
    const struct list *items;
    int i;
};

struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};

/* ---- syntax (parse.c, expression.c) ---- */

enum node_kind {
    /* expressions */
    NODE_CONST,
    NODE_NAME,
    NODE_HOLE, /* what a block captured, in front of its filters */
    NODE_LIST, /* a: the first */
    NODE_TUPLE,
    NODE_DICT, /* a: pairs */
    NODE_PAIR, /* a: b */
    NODE_COND, /* b if a else c */
    NODE_OR,
    NODE_AND,
    NODE_NOT,
    NODE_COMPARE, /* a, then NODE_OPERANDs b */
    NODE_OPERAND, /* op a */
    NODE_BINARY,  /* a op b */
    NODE_NEGATE,
    NODE_ATTRIBUTE, /* a.name */
    NODE_INDEX,     /* a[b] */
    NODE_SLICE,     /* a[b:c:d] */
    NODE_CALL,      /* a(b) */
    NODE_METHOD,    /* a.name(b); op: which */
    NODE_FILTER,    /* a | name(b); op: which */
    NODE_TEST,      /* a is name(b); op: which */
    NODE_ARGUMENT,  /* a, or name = a */
    /* statements */
    NODE_TEXT,
    NODE_PRINT,     /* {{ a }} */
    NODE_IF,        /* a: branches */
    NODE_BRANCH,    /* if a (NULL: else) then b */
    NODE_FOR,       /* for a in b if e, c else d */
    NODE_SET,       /* a = b */
    NODE_SET_BLOCK, /* a = what c writes through the filters b */
    NODE_FILTERED,  /* what c writes through the filters b */
    NODE_MACRO,     /* name(a), c */
    NODE_PARAMETER, /* name, default a or NULL */
    NODE_WITH,      /* NODE_SETs a around c */
    NODE_BREAK,
    NODE_CONTINUE
};

struct node {
    enum node_kind kind;
    int op, line;
    const char *name; /* not terminated */
    size_t name_bytes;
    struct node *a, *b, *c, *d, *e, *next;
    struct value constant;
};

struct template_block {
    struct template_block *next;
};

struct template
{
    char *name, *source;
    size_t bytes;
    struct node *body;
    struct template_block *block; /* of nodes and strings */
    size_t used, cap;             /* of the first block */
};

#define TEMPLATE_DEPTH 40 /* of nested syntax; a third of that of evaluation */

struct parser {
    struct lexer lex;
    struct lex_token token, ahead;
    int has_ahead, depth, loops;
    struct template *t;
    struct node *called, *defined; /* linked by d: names that are called, and that may be */
};

/* Memory that lives as long as the template; NULL and VLQA_EMEMORY's message when there is none. */
void *parse_alloc(struct parser *p, size_t bytes);
struct node *parse_node(struct parser *p, enum node_kind kind);
vlqa_status parse_advance(struct parser *p);
vlqa_status parse_ahead(struct parser *p); /* fills p->ahead */
int parse_is(const struct parser *p, const char *operator_or_name);
/* Advances over it, if it is there. */
vlqa_status parse_skip(struct parser *p, const char *operator_or_name, int *found);
vlqa_status parse_expect(struct parser *p, const char *operator_or_name);
vlqa_status parse_fail(const struct parser *p, const char *found);
vlqa_status parse_unknown(const struct parser *p, const char *what, const struct node *name);
/* condexpr 0: an `if` behind it is not its own. */
vlqa_status parse_expression(struct parser *p, int condexpr, struct node **out);
/* The same, or a tuple without parentheses. */
vlqa_status parse_tuple(struct parser *p, int condexpr, struct node **out);
/* | filters, behind `operand`. */
vlqa_status parse_filters(struct parser *p, struct node *operand, struct node **out);
/* Appends to a list whose last node is *tail. */
void parse_append(struct node **first, struct node **tail, struct node *node);

/* The number of a filter, test, method or function, or -1 (call.c). */
int filter_find(const char *name, size_t bytes);
int test_find(const char *name, size_t bytes);
int method_find(const char *name, size_t bytes);
int function_find(const char *name, size_t bytes);

/* ---- rendering (eval.c, call.c) ---- */

struct binding {
    const char *name;
    size_t name_bytes;
    struct value value;
    struct binding *next;
};

struct scope {
    struct scope *parent;
    struct binding *first;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct machine {
    struct env *env;
    const struct template *t;
    uint8_t *base; /* [cap] of a rendering, given out from its beginning */
    size_t cap, used;
    int64_t steps; /* left */
    int depth, line;
    struct scope *scope;
    struct str *out;
    enum flow flow;
    struct value hole;
};

/* 16-byte aligned; NULL and VLQA_ELIMIT's message when there is no room. */
void *machine_push(struct machine *m, size_t bytes);
/* Work that was done; VLQA_EMODEL when it was too much. */
vlqa_status machine_work(struct machine *m, size_t steps);
/* "NAME, line N: " and what is said, and what helps. */
vlqa_status machine_fail(struct machine *m, vlqa_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
vlqa_status machine_eval(struct machine *m, const struct node *node, struct value *out);
vlqa_status machine_run(struct machine *m, const struct node *first);
/* By number; `arguments` are not evaluated yet. */
vlqa_status machine_filter(struct machine *m, int filter, struct value in,
                           const struct node *arguments, struct value *out);
vlqa_status machine_method(struct machine *m, int method, struct value of,
                           const struct node *arguments, struct value *out);
vlqa_status machine_function(struct machine *m, int function, const struct node *arguments,
                             struct value *out);
vlqa_status machine_test(struct machine *m, int test, struct value in, const struct value *argument,
                         int *out);
/* The argument at a place, or of that name; *given 0: there is none, and *out is left alone. */
vlqa_status machine_argument(struct machine *m, const struct node *arguments, int at,
                             const char *name, struct value *out, int *given);
/* The same of a text, for which another value is refused; NULL: it is not given. */
vlqa_status machine_text(struct machine *m, const struct node *arguments, int at, const char *name,
                         const struct str **out);
/* The same of a number; *out is its default. */
vlqa_status machine_int(struct machine *m, const struct node *arguments, int at, const char *name,
                        int64_t *out);
vlqa_status machine_get(struct machine *m, const struct node *from, struct value object,
                        const char *name, size_t bytes, struct value *out);
vlqa_status machine_set(struct machine *m, const char *name, size_t bytes, struct value value);

struct value value_bool(int truth);
struct value value_int(int64_t i);
int value_truth(struct value v);
const char *value_name(struct value v); /* of its type, for messages */
int value_is_number(struct value v);
double value_number(struct value v);
vlqa_status value_equal(struct machine *m, struct value a, struct value b, int depth, int *out);
/* <0, 0, >0; numbers and strings. */
vlqa_status value_compare(struct machine *m, struct value a, struct value b, int *out);
vlqa_status value_contains(struct machine *m, struct value in, struct value item, int *out);
/* What iterating over it gives. */
vlqa_status value_items(struct machine *m, struct value v, const struct list **out);
/* What printing it gives; lists and dicts are refused: a template that prints one is wrong. */
vlqa_status value_text(struct machine *m, struct value v, const struct str **out);
vlqa_status value_json(struct machine *m, struct value v, int indent, int depth, struct str *out);
struct list *list_new(struct machine *m);
vlqa_status list_append(struct machine *m, struct list *list, struct value v);
struct dict *dict_new(struct machine *m, int cap);
/* Replaces the value of a key that is there. */
vlqa_status dict_put(struct machine *m, struct dict *dict, struct value key, struct value v);
const struct value *dict_get(struct machine *m, const struct dict *dict, const char *key,
                             size_t bytes);

struct str *str_new(struct machine *m);
/* A string of the template's own. */
vlqa_status str_own(struct machine *m, const char *text, size_t bytes, struct str **out);
vlqa_status str_put(struct machine *m, struct str *to, struct part part);
vlqa_status str_append(struct machine *m, struct str *to, const struct str *from);
vlqa_status str_slice(struct machine *m, const struct str *s, size_t begin, size_t end,
                      struct str **out);
/* All its bytes in one place. */
vlqa_status str_flat(struct machine *m, const struct str *s, const char **out);
vlqa_status str_compare(struct machine *m, const struct str *a, const struct str *b, int *out);
/* set NULL: white space. side: -1 left, 1 right, 0 both */
vlqa_status str_strip(struct machine *m, const struct str *s, const struct str *set, int side,
                      struct str **out);
vlqa_status str_split(struct machine *m, const struct str *s, const struct str *by, int64_t most,
                      int right, struct list **out);
vlqa_status str_replace(struct machine *m, const struct str *s, const struct str *old,
                        const struct str *with, int64_t most, struct str **out);
enum letter_case { CASE_UPPER, CASE_LOWER, CASE_CAPITAL, CASE_TITLE };
vlqa_status str_case(struct machine *m, const struct str *s, enum letter_case to, struct str **out);
/* Code points, not bytes. */
vlqa_status str_length(struct machine *m, const struct str *s, int64_t *out);
/* Of code points begin, begin + step, ... , count of them. */
vlqa_status str_pick(struct machine *m, const struct str *s, int64_t begin, int64_t step,
                     int64_t count, struct str **out);
/* The length of the code point that text begins with; at least 1, at most bytes. */
size_t str_point(const char *text, size_t bytes);

#endif
