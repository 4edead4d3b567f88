/* prompt.c - turns to ids in one pass over what the template writes. Text between two control
 * tokens is encoded as one string, but a document that is to be read stays by itself: its tokens
 * are then the same in every prompt.
 */
#include "text/prompt.h"

#include "text/utf8.h"

#include <string.h>

#define HELP "; another template is taken with --chat-template FILE, or qwen3vl"

/* ---- control tokens ---- */

static vlqa_status find_control(struct env *env, const struct tokenizer *t, const char *text,
                                int32_t *id)
{
    *id = tokenizer_added(t, text);
    if (*id >= 0 && tokenizer_is_special(t, *id)) return VLQA_OK;
    return env_fail(env, VLQA_EMODEL, "tokenizer: control token %s is missing", text);
}

vlqa_status prompt_tokens_find(struct env *env, const struct tokenizer *t, const char *dir,
                               const char *choice, struct prompt_tokens *out)
{
    memset(out, 0, sizeof *out);
    TRY(find_control(env, t, "<|im_start|>", &out->im_start));
    TRY(find_control(env, t, "<|im_end|>", &out->im_end));
    TRY(find_control(env, t, "<|vision_start|>", &out->vision_start));
    TRY(find_control(env, t, "<|vision_end|>", &out->vision_end));
    TRY(find_control(env, t, "<|image_pad|>", &out->image_pad));
    TRY(chat_open(env, dir, choice, &out->chat));
    out->think = out->chat->think;
    return VLQA_OK;
}

void prompt_tokens_free(struct prompt_tokens *pt)
{
    chat_free(pt->chat);
    pt->chat = NULL;
}

/* ---- a conversation as the template takes it ---- */

struct source { /* an item, and whose it is */
    const struct prompt_item *item;
    int turn;
    enum prompt_role role;
    int seen; /* something of it was written */
};

struct script {                       /* of all turns, item by item */
    struct template_message *message; /* [turns] */
    struct template_item *item;       /* [items] */
    struct source *source;            /* [items] */
    int n_items;
};

static struct script push_script(int turns, int items, struct arena *scratch)
{
    struct script s = {.n_items = items};
    s.message = arena_push(scratch, (size_t)turns * sizeof *s.message);
    s.item = arena_push(scratch, (size_t)items * sizeof *s.item);
    s.source = arena_push(scratch, (size_t)items * sizeof *s.source);
    return s;
}

static void fill_script(const struct prompt_tokens *pt, const struct prompt_turn *turn, int n_turns,
                        struct script *out)
{
    int at = 0;
    for (int i = 0; i < n_turns; i++) {
        enum chat_role role = (enum chat_role)turn[i].role;
        out->message[i] = (struct template_message){chat_role_name(role), &out->item[at],
                                                    turn[i].n_items, pt->chat->as_string[role]};
        for (int j = 0; j < turn[i].n_items; j++, at++) {
            const struct prompt_item *item = &turn[i].item[j];
            out->item[at] = (struct template_item){item->text, item->bytes};
            out->source[at] = (struct source){item, i, turn[i].role, 0};
        }
    }
}

_Static_assert((int)PROMPT_SYSTEM == CHAT_SYSTEM && (int)PROMPT_USER == CHAT_USER &&
                   (int)PROMPT_ASSISTANT == CHAT_ASSISTANT,
               "roles");

/* ---- what it writes, as tokens ---- */

struct render {
    struct env *env;
    const struct tokenizer *t;
    const struct prompt_tokens *pt;
    struct arena *scratch;
    struct prompt *p;
    struct script script;
    struct template_text text;
    size_t from; /* of the text: what is before it is tokens */
    int64_t n;   /* tokens so far; those beyond cap are counted, not written */
    int cap;
    int any_context; /* some item is context */
    int begun;       /* the prefix is behind us */
    int turn_begin;  /* tokens up to the last control token that is none of an image */
    int image;       /* the item that the next image is looked for from */
    int n_images, n_pads;
    int after_image; /* of the context; nothing was written since */
    int asked;       /* the last item is behind us, and no control token since */
};

static void put_token(struct render *r, int32_t id, int image, int cell)
{
    if (r->n < r->cap) {
        r->p->id[r->n] = id;
        r->p->image[r->n] = image;
        r->p->cell[r->n] = cell;
        r->p->text[r->n] = -1;
    }
    r->n++;
}

/* Encodes the text up to `end` into tokens of document `text`, or of none: -1. */
static vlqa_status flush(struct render *r, size_t end, int text)
{
    int at = r->n < r->cap ? (int)r->n : r->cap, n;
    TRY(tokenizer_encode(r->env, r->t, r->text.text + r->from, end - r->from, r->scratch,
                         r->p->id + at, r->cap - at, &n));
    for (int i = at; i < r->cap && i < at + n; i++) {
        r->p->image[i] = r->p->cell[i] = -1;
        r->p->text[i] = text;
    }
    r->n += n;
    r->from = end;
    return VLQA_OK;
}

static void end_prefix(struct render *r, int64_t n)
{
    if (!r->begun) r->p->prefix_end = r->p->context_end = (int)n;
    r->begun = 1;
}

static void end_question(struct render *r)
{
    if (r->asked) r->p->question_end = (int)r->n;
    r->asked = 0;
}

/* The k-th of the template's placeholders is the k-th image. */
static vlqa_status put_image(struct render *r)
{
    struct source *source = r->script.source;
    const struct prompt_item *item;
    r->n_pads++;
    while (r->image < r->script.n_items && source[r->image].item->text)
        r->image++;
    if (r->image == r->script.n_items) return VLQA_OK; /* told at the end, when all are counted */
    item = source[r->image].item;
    if (item->context) end_prefix(r, r->n);
    if (!r->any_context) end_prefix(r, r->turn_begin);
    for (int cell = 0; cell < item->tokens; cell++)
        put_token(r, r->pt->image_pad, item->id, cell);
    if (item->context) r->p->context_end = (int)r->n;
    r->after_image = item->context;
    source[r->image].seen = 1;
    r->asked |= r->image == r->script.n_items - 1;
    r->image++;
    return VLQA_OK;
}

static vlqa_status put_control(struct render *r, int32_t id, size_t at, size_t bytes)
{
    int closes = id == r->pt->vision_end && r->from == at && r->after_image;
    TRY(flush(r, at, -1));
    end_question(r);
    r->after_image = 0;
    r->from = at + bytes;
    if (id == r->pt->image_pad) return put_image(r);
    put_token(r, id, -1, -1);
    if (closes) r->p->context_end = (int)r->n;
    if (id != r->pt->vision_start && id != r->pt->vision_end) r->turn_begin = (int)r->n;
    return VLQA_OK;
}

/* The template's own bytes: control tokens are looked for here, and nowhere else. */
static vlqa_status put_own(struct render *r, const struct template_run *run)
{
    for (size_t at = run->begin, bytes; at < run->end; at += bytes) {
        int32_t id = tokenizer_control_at(r->t, r->text.text + at, run->end - at, &bytes);
        if (id >= 0)
            TRY(put_control(r, id, at, bytes));
        else
            bytes = 1;
    }
    return VLQA_OK;
}

static vlqa_status put_item(struct render *r, const struct template_run *run)
{
    struct source *source = &r->script.source[run->source];
    const struct prompt_item *item = source->item;
    r->after_image = 0;
    if (item->context && !source->seen) {
        TRY(flush(r, run->begin, -1));
        end_prefix(r, r->n);
        TRY(flush(r, run->end, item->id));
        r->p->context_end = (int)r->n;
    } else if (!r->any_context && source->role == PROMPT_USER) {
        end_prefix(r, r->turn_begin);
    }
    source->seen |= item->context || run->end > run->begin;
    r->asked |= run->source == r->script.n_items - 1;
    return VLQA_OK;
}

static vlqa_status put_text(struct render *r)
{
    for (int i = 0; i < r->text.n_runs; i++) {
        const struct template_run *run = &r->text.run[i];
        TRY(run->source == TEMPLATE_OWN ? put_own(r, run) : put_item(r, run));
    }
    TRY(flush(r, r->text.bytes, -1));
    end_question(r);
    end_prefix(r, r->turn_begin);
    if (r->p->question_end < r->p->context_end) r->p->question_end = r->p->context_end;
    return VLQA_OK;
}

/* ---- what must have been written ---- */

static int is_blank(const struct prompt_item *item)
{
    for (size_t i = 0; i < item->bytes; i++)
        if (!strchr(" \t\r\n\v\f", item->text[i]) || !item->text[i]) return 0;
    return 1;
}

/* Nothing that was asked or shown is lost without a word; earlier answers may be shortened, as
 * templates of thinking models do. */
static vlqa_status check_written(const struct render *r)
{
    const char *name = r->pt->chat->name;
    if (r->n_pads != r->n_images)
        return env_fail(r->env, VLQA_EMODEL,
                        "%s: %d images are in the conversation, the chat template writes "
                        "<|image_pad|> %d times" HELP,
                        name, r->n_images, r->n_pads);
    for (int i = 0; i < r->script.n_items; i++) {
        const struct source *source = &r->script.source[i];
        if (source->seen || source->role == PROMPT_ASSISTANT || is_blank(source->item)) continue;
        return env_fail(r->env, VLQA_EMODEL,
                        "%s: the chat template does not write a text of the %s (turn %d)" HELP,
                        name, chat_role_name((enum chat_role)source->role), source->turn);
    }
    if (r->n <= r->p->context_end)
        return env_fail(r->env, VLQA_EMODEL,
                        "%s: the chat template writes nothing behind the images and documents" HELP,
                        name);
    return VLQA_OK;
}

static vlqa_status render(struct render *r, const struct prompt_turn *turn, int n_turns)
{
    const struct chat *chat = r->pt->chat;
    const struct template_input in = {r->script.message, n_turns, 1, chat->variable,
                                      chat->n_variables};
    fill_script(r->pt, turn, n_turns, &r->script);
    TRY(template_render(r->env, chat->template, &in, r->scratch, &r->text));
    TRY(put_text(r));
    return check_written(r);
}

static vlqa_status check_turn(struct env *env, const struct prompt_turn *turn, int index)
{
    if (turn->role == PROMPT_SYSTEM && index > 0)
        return env_fail(env, VLQA_EUSAGE, "turn %d is a system turn, only the first may be", index);
    for (int i = 0; i < turn->n_items; i++) {
        const struct prompt_item *item = &turn->item[i];
        size_t valid;
        if (!item->text && turn->role != PROMPT_USER)
            return env_fail(env, VLQA_EUSAGE, "turn %d has an image, only user turns may", index);
        if (!item->text) continue;
        valid = utf8_valid(item->text, item->bytes);
        if (valid < item->bytes)
            return env_fail(env, VLQA_ETEXT, "text %d of turn %d is not UTF-8: byte %zu is 0x%02X",
                            i, index, valid, (unsigned char)item->text[valid]);
    }
    return VLQA_OK;
}

void prompt_layout(int cap, struct arena *mem, struct prompt *out)
{
    size_t rows = (size_t)cap;
    memset(out, 0, sizeof *out);
    out->id = arena_push(mem, rows * sizeof *out->id);
    out->image = arena_push(mem, rows * sizeof *out->image);
    out->cell = arena_push(mem, rows * sizeof *out->cell);
    out->text = arena_push(mem, rows * sizeof *out->text);
}

void prompt_measure(size_t bytes, int items, struct arena *dry)
{
    size_t mark = arena_mark(dry), runs = 2 * (size_t)items + 1;
    push_script(items, items, dry);
    arena_push(dry, template_room(bytes, items));
    arena_push(dry, runs * sizeof(struct template_run));
    arena_push(dry, bytes + 64 * (size_t)items); /* all turns; an image is written by 44 bytes */
    arena_push(dry, tokenizer_scratch(bytes));
    arena_rewind(dry, mark);
}

vlqa_status prompt_build(struct env *env, const struct tokenizer *t, const struct prompt_tokens *pt,
                         const struct prompt_turn *turn, int n_turns, int cap, struct arena *mem,
                         struct arena *scratch, struct prompt *out)
{
    struct render r = {.env = env, .t = t, .pt = pt, .scratch = scratch, .p = out, .cap = cap};
    size_t mark = arena_mark(scratch), bytes;
    int items = 0;
    vlqa_status status;
    for (int i = 0; i < n_turns; i++) {
        TRY(check_turn(env, &turn[i], i));
        items += turn[i].n_items;
        for (int j = 0; j < turn[i].n_items; j++) {
            r.any_context |= turn[i].item[j].context;
            r.n_images += !turn[i].item[j].text;
        }
    }
    bytes = (size_t)n_turns * sizeof *r.script.message +
            (size_t)items * (sizeof *r.script.item + sizeof *r.script.source) + 4 * ARENA_ALIGN;
    if (!arena_fits(scratch, bytes))
        return env_fail(env, VLQA_ELIMIT, "prompt has %d items, scratch has %zu bytes", items,
                        arena_left(scratch));
    prompt_layout(cap, mem, out);
    r.script = push_script(n_turns, items, scratch);
    status = render(&r, turn, n_turns);
    arena_rewind(scratch, mark);
    if (status == VLQA_OK && r.n > cap)
        status = env_fail(env, VLQA_ELIMIT, "prompt needs %lld tokens, the session holds %d",
                          (long long)r.n, cap);
    if (status == VLQA_OK) out->n = (int)r.n;
    return status;
}
