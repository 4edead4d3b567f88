/* template.h - a chat template in Jinja's language: compiled once, rendered for every question.
 * Each byte of what is rendered knows who wrote it: the template, or an item of the conversation.
 */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/arena.h"
#include "base/env.h"

struct template; /* immutable after it is compiled; shared by threads */

#define TEMPLATE_MAX_BYTES ((size_t)1 << 20)
#define TEMPLATE_OWN (-1) /* who wrote a byte: the template, or what it computed */

/* name is used in messages. The language is Jinja's with the options and extensions that
 * transformers sets (trim_blocks, lstrip_blocks, break and continue, generation blocks): for, if,
 * set, macro, with, filter, raw, comments and every expression but calls with * and **. Statements,
 * filters, tests, methods and functions that are not known: VLQA_EMODEL naming them and the line,
 * also where they would never run. */
vlqa_status template_compile(struct env *env, const char *name, const char *text, size_t bytes,
                             struct template **out);
void template_free(struct template *t); /* NULL is fine */

struct template_item { /* of a message */
    const char *text;  /* UTF-8; NULL: an image */
    size_t bytes;
};

struct template_message {
    const char *role;
    const struct template_item *item;
    int n_items;
    int as_string; /* content is one string, all texts behind each other, not a list of items */
};

struct template_variable { /* a text that the template sees under a name */
    const char *name, *text;
};

struct template_input {
    const struct template_message *message; /* `messages` */
    int n_messages;
    int generation; /* `add_generation_prompt` */
    const struct template_variable *variable;
    int n_variables;
};

struct template_run { /* bytes [begin, end) of the text, written by one */
    size_t begin, end;
    int source; /* which item of all messages, counted from 0 on, or TEMPLATE_OWN */
};

struct template_text {
    char *text; /* [bytes] */
    size_t bytes;
    struct template_run *run; /* in the order of the text; items that are empty have empty ones */
    int n_runs;
};

/* Pushes the text and its runs on mem, where they stay; nothing is read from the heap. Errors say
 * the template's name and line. VLQA_EMODEL: the template does what cannot be done, or runs for too
 * long. VLQA_EUSAGE: it refuses the conversation by raise_exception. VLQA_ELIMIT: it needs more
 * than template_room(bytes, items) of memory, or mem lacks it; bytes are those of all items. */
vlqa_status template_render(struct env *env, const struct template *t,
                            const struct template_input *in, struct arena *mem,
                            struct template_text *out);
/* Room on mem that is enough to render so many items of so many bytes, besides the text itself. */
size_t template_room(size_t bytes, int items);

#endif
