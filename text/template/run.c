/* run.c - a template's statements are run; what they write is the conversation as text. */
#include "text/template/parts.h"

#include <string.h>

#define RENDER_BYTES ((size_t)2 << 20)
#define RENDER_ITEM_BYTES 4096 /* templates of thinking models take about half of it */
#define RENDER_STEPS 4000000

static vlqa_status run_if(struct machine *m, const struct node *node)
{
    for (const struct node *branch = node->a; branch; branch = branch->next) {
        struct value v;
        if (branch->a) TRY(machine_eval(m, branch->a, &v));
        if (!branch->a || value_truth(v)) return machine_run(m, branch->b);
    }
    return VLQA_OK;
}

/* One name takes the value; several take its items. */
static vlqa_status assign(struct machine *m, const struct node *target, struct value v)
{
    const struct list *items;
    int n = 0;
    if (!target->next) return machine_set(m, target->name, target->name_bytes, v);
    TRY(value_items(m, v, &items));
    for (const struct node *name = target; name; name = name->next)
        n++;
    if (n != items->n)
        return machine_fail(m, VLQA_EMODEL, "%d names are given %d values", n, items->n);
    for (int i = 0; i < n; i++, target = target->next)
        TRY(machine_set(m, target->name, target->name_bytes, items->values->at[i]));
    return VLQA_OK;
}

static vlqa_status set_attribute(struct machine *m, const struct node *target, struct value v)
{
    const struct node *attribute = target->a;
    struct value object;
    struct str *key;
    TRY(machine_eval(m, target, &object));
    if (object.kind != VALUE_NAMESPACE || target->next)
        return machine_fail(m, VLQA_EMODEL, "\"%.*s\" is no namespace",
                            (int)(target->name_bytes < 60 ? target->name_bytes : 60), target->name);
    TRY(str_own(m, attribute->name, attribute->name_bytes, &key));
    return dict_put(m, object.dict, (struct value){VALUE_STRING, {.s = key}}, v);
}

/* What statements write, through filters. */
static vlqa_status capture(struct machine *m, const struct node *node, struct value *out)
{
    struct str *written = str_new(m), *old = m->out;
    struct value hole = m->hole;
    if (!written) return VLQA_ELIMIT;
    m->out = written;
    TRY(machine_run(m, node->c));
    m->out = old;
    m->hole = (struct value){VALUE_STRING, {.s = written}};
    TRY(machine_eval(m, node->b, out));
    m->hole = hole;
    return VLQA_OK;
}

static vlqa_status run_set(struct machine *m, const struct node *node)
{
    struct value v;
    TRY(node->kind == NODE_SET ? machine_eval(m, node->b, &v) : capture(m, node, &v));
    return node->a->a ? set_attribute(m, node->a, v) : assign(m, node->a, v);
}

static struct scope *begin_scope(struct machine *m)
{
    struct scope *scope = machine_push(m, sizeof *scope);
    if (!scope) return NULL;
    *scope = (struct scope){m->scope, NULL};
    return m->scope = scope;
}

/* What the loop goes over: without the items that its `if` leaves out. */
static vlqa_status loop_items(struct machine *m, const struct node *node, const struct list **out)
{
    struct value v, kept;
    const struct list *all;
    struct list *some;
    TRY(machine_eval(m, node->b, &v));
    TRY(value_items(m, v, &all));
    *out = all;
    if (!node->e) return VLQA_OK;
    *out = some = list_new(m);
    if (!some) return VLQA_ELIMIT;
    for (int i = 0; i < all->n; i++) {
        struct scope *outer = m->scope;
        if (!begin_scope(m)) return VLQA_ELIMIT;
        TRY(assign(m, node->a, all->values->at[i]));
        TRY(machine_eval(m, node->e, &kept));
        m->scope = outer;
        if (value_truth(kept)) TRY(list_append(m, some, all->values->at[i]));
    }
    return VLQA_OK;
}

static vlqa_status run_for(struct machine *m, const struct node *node)
{
    const struct list *items;
    TRY(loop_items(m, node, &items));
    if (!items->n) return machine_run(m, node->d);
    for (int i = 0; i < items->n; i++) {
        struct scope *outer = m->scope;
        struct loop *loop = machine_push(m, sizeof *loop);
        if (!loop || !begin_scope(m)) return VLQA_ELIMIT;
        *loop = (struct loop){items, i};
        TRY(assign(m, node->a, items->values->at[i]));
        TRY(machine_set(m, "loop", 4, (struct value){VALUE_LOOP, {.loop = loop}}));
        TRY(machine_run(m, node->c));
        m->scope = outer;
        if (m->flow == FLOW_BREAK) i = items->n - 1;
        m->flow = FLOW_ON;
    }
    return VLQA_OK;
}

static vlqa_status run_with(struct machine *m, const struct node *node)
{
    struct scope *outer = m->scope, *inner = begin_scope(m);
    if (!inner) return VLQA_ELIMIT;
    for (const struct node *set = node->a; set; set = set->next) {
        struct value v;
        m->scope = outer;
        TRY(machine_eval(m, set->b, &v));
        m->scope = inner;
        TRY(assign(m, set->a, v));
    }
    TRY(machine_run(m, node->c));
    m->scope = outer;
    return VLQA_OK;
}

static vlqa_status run_macro(struct machine *m, const struct node *node)
{
    struct macro *macro = machine_push(m, sizeof *macro);
    if (!macro) return VLQA_ELIMIT;
    *macro = (struct macro){node, m->scope};
    return machine_set(m, node->name, node->name_bytes,
                       (struct value){VALUE_MACRO, {.macro = macro}});
}

static vlqa_status write_value(struct machine *m, struct value v)
{
    const struct str *text;
    TRY(value_text(m, v, &text));
    return str_append(m, m->out, text);
}

static vlqa_status run_one(struct machine *m, const struct node *node)
{
    struct value v;
    switch (node->kind) {
    case NODE_TEXT:
        return str_append(m, m->out, node->constant.s);
    case NODE_PRINT:
        TRY(machine_eval(m, node->a, &v));
        m->line = node->line;
        return write_value(m, v);
    case NODE_FILTERED:
        TRY(capture(m, node, &v));
        return write_value(m, v);
    case NODE_IF:
        return run_if(m, node);
    case NODE_FOR:
        return run_for(m, node);
    case NODE_SET:
    case NODE_SET_BLOCK:
        return run_set(m, node);
    case NODE_MACRO:
        return run_macro(m, node);
    case NODE_WITH:
        return run_with(m, node);
    default:
        m->flow = node->kind == NODE_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
        return VLQA_OK;
    }
}

vlqa_status machine_run(struct machine *m, const struct node *first)
{
    if (m->depth >= 3 * TEMPLATE_DEPTH)
        return machine_fail(m, VLQA_EMODEL, "the chat template is nested too deep");
    m->depth++;
    for (; first && m->flow == FLOW_ON; first = first->next) {
        m->line = first->line;
        TRY(machine_work(m, 1));
        TRY(run_one(m, first));
    }
    m->depth--;
    return VLQA_OK;
}

/* ---- the conversation as values ---- */

/* A string of one part, which is where it was. */
static vlqa_status borrow(struct machine *m, const char *text, size_t bytes, int source,
                          struct value *out)
{
    struct str *s = str_new(m);
    if (!s) return VLQA_ELIMIT;
    *out = (struct value){VALUE_STRING, {.s = s}};
    return str_put(m, s, (struct part){text, bytes, source});
}

static vlqa_status put(struct machine *m, struct dict *dict, const char *name, struct value v)
{
    struct value key;
    TRY(borrow(m, name, strlen(name), TEMPLATE_OWN, &key));
    return dict_put(m, dict, key, v);
}

static vlqa_status make_item(struct machine *m, const struct template_item *item, int source,
                             struct value *out)
{
    struct dict *dict = dict_new(m, 2);
    const char *type = item->text ? "text" : "image";
    struct value v;
    if (!dict) return VLQA_ELIMIT;
    TRY(borrow(m, type, strlen(type), TEMPLATE_OWN, &v));
    TRY(put(m, dict, "type", v));
    if (item->text) {
        TRY(borrow(m, item->text, item->bytes, source, &v));
        TRY(put(m, dict, "text", v));
    }
    *out = (struct value){VALUE_DICT, {.dict = dict}};
    return VLQA_OK;
}

static vlqa_status make_content(struct machine *m, const struct template_message *message,
                                int source, struct value *out)
{
    struct list *list = list_new(m);
    struct str *text = str_new(m);
    if (!list || !text) return VLQA_ELIMIT;
    for (int i = 0; i < message->n_items; i++, source++) {
        const struct template_item *item = &message->item[i];
        struct value v;
        if (!message->as_string) {
            TRY(make_item(m, item, source, &v));
            TRY(list_append(m, list, v));
        } else if (item->text) {
            TRY(str_put(m, text, (struct part){item->text, item->bytes, source}));
        } else {
            return machine_fail(m, VLQA_EMODEL, "the template takes texts, not images");
        }
    }
    *out = message->as_string ? (struct value){VALUE_STRING, {.s = text}}
                              : (struct value){VALUE_LIST, {.list = list}};
    return VLQA_OK;
}

static vlqa_status make_messages(struct machine *m, const struct template_input *in,
                                 struct value *out)
{
    struct list *list = list_new(m);
    int source = 0;
    if (!list) return VLQA_ELIMIT;
    for (int i = 0; i < in->n_messages; i++) {
        const struct template_message *message = &in->message[i];
        struct dict *dict = dict_new(m, 2);
        struct value v;
        if (!dict) return VLQA_ELIMIT;
        TRY(borrow(m, message->role, strlen(message->role), TEMPLATE_OWN, &v));
        TRY(put(m, dict, "role", v));
        TRY(make_content(m, message, source, &v));
        TRY(put(m, dict, "content", v));
        TRY(list_append(m, list, (struct value){VALUE_DICT, {.dict = dict}}));
        source += message->n_items;
    }
    *out = (struct value){VALUE_LIST, {.list = list}};
    return VLQA_OK;
}

/* What transformers hands to a template, too. */
static vlqa_status set_names(struct machine *m, const struct template_input *in)
{
    const struct value none = {VALUE_NONE, {0}};
    struct value v;
    TRY(make_messages(m, in, &v));
    TRY(machine_set(m, "messages", 8, v));
    TRY(machine_set(m, "tools", 5, none));
    TRY(machine_set(m, "documents", 9, none));
    TRY(machine_set(m, "add_generation_prompt", 21, value_bool(in->generation)));
    for (int i = 0; i < in->n_variables; i++) {
        const struct template_variable *variable = &in->variable[i];
        TRY(borrow(m, variable->text, strlen(variable->text), TEMPLATE_OWN, &v));
        TRY(machine_set(m, variable->name, strlen(variable->name), v));
    }
    return VLQA_OK;
}

/* ---- the text ---- */

static int is_joined(const struct str *s, int i)
{
    return i > 0 && s->parts->at[i].source == TEMPLATE_OWN &&
           s->parts->at[i - 1].source == TEMPLATE_OWN;
}

static vlqa_status give_text(struct machine *m, const struct str *from, struct arena *mem,
                             struct template_text *out)
{
    size_t at = 0, runs = 0;
    for (int i = 0; i < from->n; i++)
        runs += !is_joined(from, i);
    if (!arena_fits(mem, runs * sizeof *out->run + from->bytes + 2 * ARENA_ALIGN))
        return env_fail(m->env, VLQA_ELIMIT, "prompt has %zu bytes of text, scratch has %zu",
                        from->bytes, arena_left(mem));
    *out = (struct template_text){.bytes = from->bytes};
    out->run = arena_push(mem, runs * sizeof *out->run);
    out->text = arena_push(mem, from->bytes);
    for (int i = 0; i < from->n; i++) {
        const struct part *part = &from->parts->at[i];
        struct template_run run = {at, at + part->bytes, part->source};
        if (part->bytes) memcpy(out->text + at, part->at, part->bytes);
        at += part->bytes;
        if (is_joined(from, i))
            out->run[out->n_runs - 1].end = at;
        else
            out->run[out->n_runs++] = run;
    }
    return VLQA_OK;
}

size_t template_room(size_t bytes, int items)
{
    return RENDER_BYTES + 4 * bytes + RENDER_ITEM_BYTES * (size_t)items;
}

vlqa_status template_render(struct env *env, const struct template *t,
                            const struct template_input *in, struct arena *mem,
                            struct template_text *out)
{
    struct scope globals = {NULL, NULL};
    struct str written = {NULL, 0, 0};
    struct machine m = {.env = env, .t = t, .steps = RENDER_STEPS, .line = 1};
    size_t bytes = 0;
    int items = 0;
    for (int i = 0; i < in->n_messages; items += in->message[i++].n_items)
        for (int j = 0; j < in->message[i].n_items; j++)
            bytes += in->message[i].item[j].text ? in->message[i].item[j].bytes : 0;
    m.cap = template_room(bytes, items);
    m.steps += (int64_t)(4 * bytes);
    if (!arena_fits(mem, m.cap))
        return env_fail(env, VLQA_ELIMIT, "prompt has %zu bytes of text, scratch has %zu", bytes,
                        arena_left(mem));
    m.base = arena_push(mem, m.cap);
    m.scope = &globals;
    m.out = &written;
    TRY(set_names(&m, in));
    TRY(machine_run(&m, t->body));
    return give_text(&m, &written, mem, out);
}
