/* prompt.c - turns to ids in one pass. Text between two control tokens is encoded as one string,
 * but a document that is to be read stays by itself: its tokens are then the same in every prompt.
 */
#include "text/prompt.h"

#include "base/file.h"
#include "base/heap.h"
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE_MAX ((size_t)16 << 20)

/* ---- control tokens and the checkpoint's own template ---- */

/* The generation prompt opens with <think>; the line feed before it is one character, or escaped
 * for Jinja, or escaped for Jinja and then for JSON. */
static int opens_thinking(const char *text, size_t bytes)
{
    static const char *const spelling[] = {"<|im_start|>assistant\n<think>",
                                           "<|im_start|>assistant\\n<think>",
                                           "<|im_start|>assistant\\\\n<think>"};
    for (size_t i = 0; i < sizeof spelling / sizeof *spelling; i++)
        if (memmem(text, bytes, spelling[i], strlen(spelling[i]))) return 1;
    return 0;
}

/* The first file there is decides, in the order in which transformers looks. */
static vlqa_status find_thinking(struct env *env, const char *dir, int *think)
{
    static const char *const file[] = {"chat_template.jinja", "chat_template.json",
                                       "tokenizer_config.json"};
    *think = 0;
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        char path[4096];
        void *text;
        size_t bytes;
        int n = snprintf(path, sizeof path, "%s/%s", dir, file[i]);
        if (n < 0 || (size_t)n >= sizeof path || !file_exists(path)) continue;
        TRY(file_read(env, path, TEMPLATE_MAX, &text, &bytes));
        *think = opens_thinking(text, bytes);
        heap_free(text);
        break;
    }
    return VLQA_OK;
}

static vlqa_status find_control(struct env *env, const struct tokenizer *t, const char *text,
                                int32_t *id)
{
    *id = tokenizer_added(t, text);
    if (*id >= 0 && tokenizer_is_special(t, *id)) return VLQA_OK;
    return env_fail(env, VLQA_EMODEL, "tokenizer: control token %s is missing", text);
}

vlqa_status prompt_tokens_find(struct env *env, const struct tokenizer *t, const char *dir,
                               struct prompt_tokens *out)
{
    TRY(find_control(env, t, "<|im_start|>", &out->im_start));
    TRY(find_control(env, t, "<|im_end|>", &out->im_end));
    TRY(find_control(env, t, "<|vision_start|>", &out->vision_start));
    TRY(find_control(env, t, "<|vision_end|>", &out->vision_end));
    TRY(find_control(env, t, "<|image_pad|>", &out->image_pad));
    out->think = 0;
    return dir ? find_thinking(env, dir, &out->think) : VLQA_OK;
}

/* ---- rendering ---- */

struct render {
    struct env *env;
    const struct tokenizer *t;
    const struct prompt_tokens *pt;
    struct arena *scratch;
    struct prompt *p;
    int64_t n; /* tokens so far; those beyond cap are counted, not written */
    int cap;
    int any_context; /* some item is context */
    int begun;       /* the prefix is behind us */
    char *text;      /* since the last control token or document */
    size_t n_text;
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

static void put_text(struct render *r, const char *text, size_t bytes)
{
    if (bytes) memcpy(r->text + r->n_text, text, bytes);
    r->n_text += bytes;
}

/* Encodes the pending text into tokens of document `text`, or of none: -1. */
static vlqa_status flush(struct render *r, int text)
{
    int at = r->n < r->cap ? (int)r->n : r->cap, n;
    TRY(tokenizer_encode(r->env, r->t, r->text, r->n_text, r->scratch, r->p->id + at, r->cap - at,
                         &n));
    for (int i = at; i < r->cap && i < at + n; i++) {
        r->p->image[i] = r->p->cell[i] = -1;
        r->p->text[i] = text;
    }
    r->n += n;
    r->n_text = 0;
    return VLQA_OK;
}

static vlqa_status put_control(struct render *r, int32_t id)
{
    TRY(flush(r, -1));
    put_token(r, id, -1, -1);
    return VLQA_OK;
}

static void end_prefix(struct render *r)
{
    if (!r->begun) r->p->prefix_end = r->p->context_end = (int)r->n;
    r->begun = 1;
}

static vlqa_status put_image(struct render *r, const struct prompt_item *item)
{
    TRY(put_control(r, r->pt->vision_start));
    if (item->context) end_prefix(r);
    for (int cell = 0; cell < item->tokens; cell++)
        put_token(r, r->pt->image_pad, item->id, cell);
    put_token(r, r->pt->vision_end, -1, -1);
    if (item->context) r->p->context_end = (int)r->n;
    return VLQA_OK;
}

static vlqa_status put_document(struct render *r, const struct prompt_item *item)
{
    TRY(flush(r, -1));
    end_prefix(r);
    put_text(r, item->text, item->bytes);
    TRY(flush(r, item->id));
    r->p->context_end = (int)r->n;
    return VLQA_OK;
}

static vlqa_status put_turn(struct render *r, const struct prompt_turn *turn)
{
    static const char *const role[] = {"system\n", "user\n", "assistant\n"};
    TRY(put_control(r, r->pt->im_start));
    if (turn->role == PROMPT_USER && !r->any_context) end_prefix(r);
    put_text(r, role[turn->role], strlen(role[turn->role]));
    for (int i = 0; i < turn->n_items; i++) {
        const struct prompt_item *item = &turn->item[i];
        if (!item->text)
            TRY(put_image(r, item));
        else if (item->context)
            TRY(put_document(r, item));
        else
            put_text(r, item->text, item->bytes);
    }
    TRY(put_control(r, r->pt->im_end));
    put_text(r, "\n", 1);
    return VLQA_OK;
}

static vlqa_status render(struct render *r, const struct prompt_turn *turn, int n_turns)
{
    for (int i = 0; i < n_turns; i++)
        TRY(put_turn(r, &turn[i]));
    TRY(flush(r, -1));
    end_prefix(r);
    TRY(put_control(r, r->pt->im_start));
    put_text(r, "assistant\n", 10);
    if (r->pt->think) put_text(r, "<think>\n", 8);
    return flush(r, -1);
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

/* Bytes of all texts, headers included. */
static size_t text_bytes(const struct prompt_turn *turn, int n_turns)
{
    size_t sum = 32;
    for (int i = 0; i < n_turns; i++) {
        sum += 32;
        for (int j = 0; j < turn[i].n_items; j++)
            sum += turn[i].item[j].text ? turn[i].item[j].bytes : 0;
    }
    return sum;
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

void prompt_measure(size_t bytes, struct arena *dry)
{
    size_t mark = arena_mark(dry);
    arena_push(dry, bytes); /* a turn, rendered */
    arena_push(dry, tokenizer_scratch(bytes));
    arena_rewind(dry, mark);
}

vlqa_status prompt_build(struct env *env, const struct tokenizer *t, const struct prompt_tokens *pt,
                         const struct prompt_turn *turn, int n_turns, int cap, struct arena *mem,
                         struct arena *scratch, struct prompt *out)
{
    struct render r = {.env = env, .t = t, .pt = pt, .scratch = scratch, .p = out, .cap = cap};
    size_t mark = arena_mark(scratch), bytes = text_bytes(turn, n_turns);
    vlqa_status status;
    for (int i = 0; i < n_turns; i++) {
        TRY(check_turn(env, &turn[i], i));
        for (int j = 0; j < turn[i].n_items; j++)
            r.any_context |= turn[i].item[j].context;
    }
    if (!arena_fits(scratch, bytes))
        return env_fail(env, VLQA_ELIMIT, "prompt has %zu bytes of text, scratch has %zu", bytes,
                        arena_left(scratch));
    prompt_layout(cap, mem, out);
    r.text = arena_push(scratch, bytes);
    status = render(&r, turn, n_turns);
    arena_rewind(scratch, mark);
    if (status == VLQA_OK && r.n > cap)
        status = env_fail(env, VLQA_ELIMIT, "prompt needs %lld tokens, the session holds %d",
                          (long long)r.n, cap);
    if (status == VLQA_OK) out->n = (int)r.n;
    return status;
}
