/* parse.c - a template's statements to a tree; what is not known is refused here. */
#include "text/template/parts.h"

#include "base/heap.h"

#include <string.h>

#define BLOCK_BYTES ((size_t)16 << 10)

/* ---- what both parsers stand on ---- */

void *parse_alloc(struct parser *p, size_t bytes)
{
    struct template *t = p->t;
    size_t head = 64, cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    void *out;
    bytes = (bytes + 15) / 16 * 16;
    if (!t->block || bytes > t->cap - t->used) {
        struct template_block *block = heap_alloc(head + (cap + 15) / 16 * 16);
        if (!block) {
            (void)env_no_memory(p->lex.env, "chat template", head + cap);
            return NULL;
        }
        block->next = t->block;
        t->block = block;
        t->used = 0;
        t->cap = (cap + 15) / 16 * 16;
    }
    out = (char *)t->block + head + t->used;
    t->used += bytes;
    return out;
}

struct node *parse_node(struct parser *p, enum node_kind kind)
{
    struct node *node = parse_alloc(p, sizeof *node);
    if (node) *node = (struct node){.kind = kind, .line = p->token.line};
    return node;
}

void parse_append(struct node **first, struct node **tail, struct node *node)
{
    if (*tail)
        (*tail)->next = node;
    else
        *first = node;
    *tail = node;
}

vlqa_status parse_advance(struct parser *p)
{
    if (p->has_ahead) {
        p->token = p->ahead;
        p->has_ahead = 0;
        return VLQA_OK;
    }
    return lex_next(&p->lex, &p->token);
}

vlqa_status parse_ahead(struct parser *p)
{
    if (p->has_ahead || p->token.kind == LEX_END) return VLQA_OK;
    TRY(lex_next(&p->lex, &p->ahead));
    p->has_ahead = 1;
    return VLQA_OK;
}

int parse_is(const struct parser *p, const char *word)
{
    const struct lex_token *t = &p->token;
    return (t->kind == LEX_NAME || t->kind == LEX_OPERATOR) && t->bytes == strlen(word) &&
           memcmp(t->at, word, t->bytes) == 0;
}

vlqa_status parse_skip(struct parser *p, const char *word, int *found)
{
    *found = parse_is(p, word);
    return *found ? parse_advance(p) : VLQA_OK;
}

#define HELP "; another template is taken with --chat-template FILE, or qwen3vl"

vlqa_status parse_fail(const struct parser *p, const char *found)
{
    static const char *const what[] = {[LEX_END] = "the end of the template",
                                       [LEX_TEXT] = "text",
                                       [LEX_PRINT] = "{{",
                                       [LEX_PRINT_END] = "}}",
                                       [LEX_BLOCK] = "{%",
                                       [LEX_BLOCK_END] = "%}",
                                       [LEX_NAME] = NULL,
                                       [LEX_STRING] = NULL,
                                       [LEX_INT] = NULL,
                                       [LEX_FLOAT] = NULL,
                                       [LEX_OPERATOR] = NULL};
    const struct lex_token *t = &p->token;
    if (!found) found = what[t->kind];
    if (found)
        return env_fail(p->lex.env, VLQA_EMODEL, "%s, line %d: %s is not read there" HELP,
                        p->lex.name, t->line, found);
    return env_fail(p->lex.env, VLQA_EMODEL, "%s, line %d: \"%.*s\" is not read there" HELP,
                    p->lex.name, t->line, (int)(t->bytes < 60 ? t->bytes : 60), t->at);
}

vlqa_status parse_unknown(const struct parser *p, const char *what, const struct node *name)
{
    return env_fail(p->lex.env, VLQA_EMODEL, "%s, line %d: the %s \"%.*s\" is not known" HELP,
                    p->lex.name, name->line, what,
                    (int)(name->name_bytes < 60 ? name->name_bytes : 60), name->name);
}

vlqa_status parse_expect(struct parser *p, const char *word)
{
    int found;
    TRY(parse_skip(p, word, &found));
    return found ? VLQA_OK : parse_fail(p, NULL);
}

#define NODE(out, kind) \
    if (!(*(out) = parse_node(p, kind))) return VLQA_EMEMORY

/* ---- statements ---- */

static vlqa_status parse_body(struct parser *p, struct node **first);

static vlqa_status end_block(struct parser *p)
{
    if (p->token.kind != LEX_BLOCK_END) return parse_fail(p, NULL);
    return parse_advance(p);
}

/* The end of a block: its name stands there, as parse_body stops at names that begin none. */
static vlqa_status end_of(struct parser *p, const char *name)
{
    TRY(parse_expect(p, name));
    if (p->token.kind == LEX_NAME) TRY(parse_advance(p)); /* endmacro NAME */
    return end_block(p);
}

static vlqa_status parse_if(struct parser *p, struct node *out)
{
    struct node *tail = NULL;
    int more = 1;
    while (more) {
        struct node *branch;
        int otherwise = parse_is(p, "else");
        NODE(&branch, NODE_BRANCH);
        TRY(parse_advance(p)); /* if, elif, else */
        if (!otherwise) TRY(parse_tuple(p, 0, &branch->a));
        TRY(end_block(p));
        TRY(parse_body(p, &branch->b));
        parse_append(&out->a, &tail, branch);
        more = !otherwise && (parse_is(p, "elif") || parse_is(p, "else"));
    }
    return end_of(p, "endif");
}

static void define(struct parser *p, struct node *name)
{
    name->d = p->defined;
    p->defined = name;
}

/* name, or names in a tuple; or name.attribute, where `attributes` are allowed. */
static vlqa_status parse_targets(struct parser *p, int attributes, struct node **first)
{
    struct node *tail = NULL, *name;
    int comma, parentheses;
    *first = NULL;
    TRY(parse_skip(p, "(", &parentheses));
    do {
        int dot;
        if (p->token.kind != LEX_NAME) return parse_fail(p, NULL);
        NODE(&name, NODE_NAME);
        name->name = p->token.at;
        name->name_bytes = p->token.bytes;
        define(p, name);
        TRY(parse_advance(p));
        parse_append(first, &tail, name);
        TRY(parse_skip(p, ".", &dot));
        if (dot) {
            if (!attributes || p->token.kind != LEX_NAME) return parse_fail(p, NULL);
            NODE(&name->a, NODE_ATTRIBUTE);
            name->a->name = p->token.at;
            name->a->name_bytes = p->token.bytes;
            TRY(parse_advance(p));
        }
        TRY(parse_skip(p, ",", &comma));
    } while (comma);
    return parentheses ? parse_expect(p, ")") : VLQA_OK;
}

static vlqa_status parse_for(struct parser *p, struct node *out)
{
    int found;
    out->kind = NODE_FOR;
    TRY(parse_advance(p));
    TRY(parse_targets(p, 0, &out->a));
    TRY(parse_expect(p, "in"));
    TRY(parse_tuple(p, 0, &out->b));
    TRY(parse_skip(p, "if", &found));
    if (found) TRY(parse_expression(p, 1, &out->e));
    if (parse_is(p, "recursive")) return parse_fail(p, NULL);
    TRY(end_block(p));
    p->loops++;
    TRY(parse_body(p, &out->c));
    p->loops--;
    TRY(parse_skip(p, "else", &found));
    if (found) {
        TRY(end_block(p));
        TRY(parse_body(p, &out->d));
    }
    return end_of(p, "endfor");
}

static vlqa_status parse_set(struct parser *p, struct node *out)
{
    struct node *hole;
    int equals;
    TRY(parse_advance(p));
    TRY(parse_targets(p, 1, &out->a));
    TRY(parse_skip(p, "=", &equals));
    out->kind = equals ? NODE_SET : NODE_SET_BLOCK;
    if (equals) {
        TRY(parse_tuple(p, 1, &out->b));
        return end_block(p);
    }
    NODE(&hole, NODE_HOLE);
    TRY(parse_filters(p, hole, &out->b));
    TRY(end_block(p));
    TRY(parse_body(p, &out->c));
    return end_of(p, "endset");
}

/* The filter's name, then others behind it. */
static vlqa_status parse_filtered(struct parser *p, struct node *out)
{
    struct node *hole, *first;
    out->kind = NODE_FILTERED;
    NODE(&hole, NODE_HOLE);
    p->ahead = (struct lex_token){LEX_OPERATOR, "|", 1, p->token.line};
    p->has_ahead = 1; /* in front of it: as if it were one of an expression */
    TRY(parse_advance(p));
    TRY(parse_filters(p, hole, &first));
    out->b = first;
    TRY(end_block(p));
    TRY(parse_body(p, &out->c));
    return end_of(p, "endfilter");
}

static vlqa_status parse_macro(struct parser *p, struct node *out)
{
    struct node *tail = NULL;
    int comma = 1, loops = p->loops;
    TRY(parse_advance(p));
    if (p->token.kind != LEX_NAME) return parse_fail(p, NULL);
    out->kind = NODE_MACRO;
    out->name = p->token.at;
    out->name_bytes = p->token.bytes;
    define(p, out);
    TRY(parse_advance(p));
    TRY(parse_expect(p, "("));
    while (comma && p->token.kind == LEX_NAME) {
        struct node *parameter;
        int has_default;
        NODE(&parameter, NODE_PARAMETER);
        parameter->name = p->token.at;
        parameter->name_bytes = p->token.bytes;
        define(p, parameter);
        TRY(parse_advance(p));
        TRY(parse_skip(p, "=", &has_default));
        if (has_default) TRY(parse_expression(p, 1, &parameter->a));
        parse_append(&out->a, &tail, parameter);
        TRY(parse_skip(p, ",", &comma));
    }
    TRY(parse_expect(p, ")"));
    TRY(end_block(p));
    p->loops = 0;
    TRY(parse_body(p, &out->c));
    p->loops = loops;
    return end_of(p, "endmacro");
}

static vlqa_status parse_with(struct parser *p, struct node *out)
{
    struct node *tail = NULL;
    int comma = 1;
    out->kind = NODE_WITH;
    TRY(parse_advance(p));
    while (comma && p->token.kind == LEX_NAME) {
        struct node *set;
        NODE(&set, NODE_SET);
        NODE(&set->a, NODE_NAME);
        set->a->name = p->token.at;
        set->a->name_bytes = p->token.bytes;
        define(p, set->a);
        TRY(parse_advance(p));
        TRY(parse_expect(p, "="));
        TRY(parse_expression(p, 1, &set->b));
        parse_append(&out->a, &tail, set);
        TRY(parse_skip(p, ",", &comma));
    }
    TRY(end_block(p));
    TRY(parse_body(p, &out->c));
    return end_of(p, "endwith");
}

/* {% generation %} marks what the assistant said, for training; here it is a scope. */
static vlqa_status parse_generation(struct parser *p, struct node *out)
{
    out->kind = NODE_WITH;
    TRY(parse_advance(p));
    TRY(end_block(p));
    TRY(parse_body(p, &out->c));
    return end_of(p, "endgeneration");
}

static vlqa_status parse_jump(struct parser *p, struct node *out)
{
    out->kind = parse_is(p, "break") ? NODE_BREAK : NODE_CONTINUE;
    if (!p->loops) return parse_fail(p, NULL);
    TRY(parse_advance(p));
    return end_block(p);
}

/* p->token is the statement's name; *end: it ends the block that is being read, or is "else". */
static vlqa_status parse_statement(struct parser *p, struct node **out, int *end)
{
    static const struct {
        const char *name;
        vlqa_status (*parse)(struct parser *p, struct node *out);
    } known[] = {
        {"if", parse_if},       {"for", parse_for},         {"set", parse_set},
        {"macro", parse_macro}, {"filter", parse_filtered}, {"with", parse_with},
        {"break", parse_jump},  {"continue", parse_jump},   {"generation", parse_generation}};
    if (p->token.kind != LEX_NAME) return parse_fail(p, NULL);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (parse_is(p, known[i].name)) {
            NODE(out, NODE_IF);
            return known[i].parse(p, *out);
        }
    *end = parse_is(p, "elif") || parse_is(p, "else") ||
           (p->token.bytes > 3 && memcmp(p->token.at, "end", 3) == 0);
    if (*end) return VLQA_OK;
    return env_fail(p->lex.env, VLQA_EMODEL,
                    "%s, line %d: the statement {%% %.*s %%} is not known" HELP, p->lex.name,
                    p->token.line, (int)(p->token.bytes < 60 ? p->token.bytes : 60), p->token.at);
}

static vlqa_status parse_text(struct parser *p, struct node **out)
{
    struct { /* a string of one part */
        struct str str;
        struct parts parts;
        struct part part;
    } *s = parse_alloc(p, sizeof *s);
    if (!s) return VLQA_EMEMORY;
    s->part = (struct part){p->token.at, p->token.bytes, TEMPLATE_OWN};
    s->parts = (struct parts){&s->part, 1, 1};
    s->str = (struct str){&s->parts, 1, p->token.bytes};
    NODE(out, NODE_TEXT);
    (*out)->constant = (struct value){VALUE_STRING, {.s = &s->str}};
    return parse_advance(p);
}

static vlqa_status parse_print(struct parser *p, struct node **out)
{
    NODE(out, NODE_PRINT);
    TRY(parse_advance(p));
    TRY(parse_tuple(p, 1, &(*out)->a));
    if (p->token.kind != LEX_PRINT_END) return parse_fail(p, NULL);
    return parse_advance(p);
}

/* Up to the name in {% name %} that ends it, or the end of the template. */
static vlqa_status parse_body(struct parser *p, struct node **first)
{
    struct node *tail = NULL, *node = NULL;
    int end = 0;
    *first = NULL;
    if (++p->depth > TEMPLATE_DEPTH) return parse_fail(p, "syntax that is nested too deep");
    while (p->token.kind != LEX_END) {
        if (p->token.kind == LEX_TEXT)
            TRY(parse_text(p, &node));
        else if (p->token.kind == LEX_PRINT)
            TRY(parse_print(p, &node));
        else {
            TRY(parse_advance(p));
            TRY(parse_statement(p, &node, &end));
        }
        if (end) break;
        parse_append(first, &tail, node);
    }
    p->depth--;
    return VLQA_OK;
}

/* Functions are called by names that the template defines, or by known ones. */
static vlqa_status check_names(const struct parser *p)
{
    enum { MOST_NAMES = 1000 }; /* they are found one by one */
    int n = 0;
    for (const struct node *by = p->defined; by; by = by->d)
        n++;
    if (n > MOST_NAMES)
        return env_fail(p->lex.env, VLQA_EMODEL, "%s defines more than %d names" HELP, p->t->name,
                        MOST_NAMES);
    for (const struct node *call = p->called; call; call = call->d) {
        const struct node *by = p->defined;
        if (function_find(call->name, call->name_bytes) >= 0) continue;
        while (by && (by->name_bytes != call->name_bytes ||
                      memcmp(by->name, call->name, by->name_bytes) != 0))
            by = by->d;
        if (!by) return parse_unknown(p, "function", call);
    }
    return VLQA_OK;
}

/* ---- a template ---- */

/* Line feeds alone end lines, and the last one is none of the template. */
static size_t copy_source(const char *from, size_t bytes, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (from[i] == '\r' && i + 1 < bytes && from[i + 1] == '\n') continue;
        to[n++] = from[i] == '\r' ? '\n' : from[i];
    }
    if (n && to[n - 1] == '\n') n--;
    return n;
}

static vlqa_status compile(struct env *env, struct template *t, const char *name, const char *text,
                           size_t bytes)
{
    struct parser p = {.t = t};
    size_t name_bytes = strlen(name) + 1;
    p.lex = (struct lexer){.env = env, .name = name, .line = 1, .line_begins = 1};
    p.lex.state = LEX_TEXT;
    t->name = parse_alloc(&p, name_bytes);
    t->source = parse_alloc(&p, bytes + 1);
    if (!t->name || !t->source) return VLQA_EMEMORY;
    memcpy(t->name, name, name_bytes);
    t->bytes = copy_source(text, bytes, t->source);
    p.lex.at = t->source;
    p.lex.end = t->source + t->bytes;
    TRY(parse_advance(&p));
    TRY(parse_body(&p, &t->body));
    if (p.token.kind != LEX_END) return parse_fail(&p, NULL);
    return check_names(&p);
}

vlqa_status template_compile(struct env *env, const char *name, const char *text, size_t bytes,
                             struct template **out)
{
    vlqa_status status;
    struct template *t;
    *out = NULL;
    if (bytes > TEMPLATE_MAX_BYTES)
        return env_fail(env, VLQA_ELIMIT, "%s: the template has %zu bytes, at most %zu are read",
                        name, bytes, TEMPLATE_MAX_BYTES);
    t = heap_alloc(sizeof *t);
    if (!t) return env_no_memory(env, "chat template", sizeof *t);
    memset(t, 0, sizeof *t);
    status = compile(env, t, name, text, bytes);
    if (status == VLQA_OK)
        *out = t;
    else
        template_free(t);
    return status;
}

void template_free(struct template *t)
{
    while (t && t->block) {
        struct template_block *next = t->block->next;
        heap_free(t->block);
        t->block = next;
    }
    heap_free(t);
}
