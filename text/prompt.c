/* prompt.c - turns to ids in one pass; text between two control tokens is encoded as one string. */
#include "text/prompt.h"

#include "base/file.h"
#include "base/heap.h"
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE_MAX ((size_t)16 << 20)
#define NOWHERE SIZE_MAX

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
    int64_t n; /* rows so far; those beyond cap are counted, not written */
    int cap, n_images;
    int any_context; /* some item is context */
    int begun;       /* the end of the prefix is behind us, or marked in text */
    char *text;      /* since the last control token */
    size_t n_text;
    size_t prefix_at, context_at; /* in text: where these ends lie; NOWHERE: not in this text */
};

static void put_row(struct render *r, int32_t id, int image, int cell)
{
    if (r->n < r->cap) {
        r->p->id[r->n] = id;
        r->p->image[r->n] = image;
        r->p->cell[r->n] = cell;
    }
    r->n++;
}

static void put_text(struct render *r, const char *text, size_t bytes)
{
    if (bytes) memcpy(r->text + r->n_text, text, bytes);
    r->n_text += bytes;
}

/* Ids of text[0, bytes), written behind the rows as far as there is room. */
static vlqa_status encode(struct render *r, size_t bytes, int *n)
{
    int at = r->n < r->cap ? (int)r->n : r->cap;
    return tokenizer_encode(r->env, r->t, r->text, bytes, r->scratch, r->p->id + at, r->cap - at,
                            n);
}

static size_t row_bytes(const struct render *r, int64_t row)
{
    size_t bytes;
    tokenizer_piece(r->t, r->p->id[row], &bytes);
    return bytes;
}

/* Turns an offset in text into the offset in the normalised text, which is what the pieces of the
 * ids add up to. */
static vlqa_status normalise(struct render *r, size_t *at)
{
    size_t bytes = 0;
    int n;
    if (*at == NOWHERE) return VLQA_OK;
    TRY(encode(r, *at, &n));
    for (int64_t row = r->n; row < r->n + n && row < r->cap; row++)
        bytes += row_bytes(r, row);
    *at = bytes;
    return VLQA_OK;
}

/* Encodes the pending text and finds the ends that lie in it: rows of the prefix lie before its end
 * as a whole, rows of the context begin before its end. */
static vlqa_status flush(struct render *r)
{
    size_t at = 0;
    int n;
    TRY(normalise(r, &r->prefix_at));
    TRY(normalise(r, &r->context_at));
    TRY(encode(r, r->n_text, &n));
    if (r->context_at != NOWHERE) r->p->context_end = (int)r->n;
    for (int i = 0; i < n; i++, r->n++) {
        if (r->n >= r->cap) continue;
        r->p->image[r->n] = r->p->cell[r->n] = -1;
        if (r->prefix_at != NOWHERE && at <= r->prefix_at) r->p->prefix_end = (int)r->n;
        if (r->context_at != NOWHERE && at < r->context_at) r->p->context_end = (int)r->n + 1;
        at += row_bytes(r, r->n);
    }
    if (r->prefix_at != NOWHERE && at <= r->prefix_at) r->p->prefix_end = (int)r->n;
    r->n_text = 0;
    r->prefix_at = r->context_at = NOWHERE;
    return VLQA_OK;
}

static vlqa_status put_control(struct render *r, int32_t id)
{
    TRY(flush(r));
    put_row(r, id, -1, -1);
    return VLQA_OK;
}

/* Whether the prefix ends where this item begins. */
static int ends_prefix(const struct render *r, enum prompt_role role,
                       const struct prompt_item *item)
{
    if (r->begun) return 0;
    return r->any_context ? item->context : role == PROMPT_USER && item->text;
}

static vlqa_status put_image(struct render *r, enum prompt_role role,
                             const struct prompt_item *item)
{
    TRY(put_control(r, r->pt->vision_start));
    if (ends_prefix(r, role, item)) {
        r->begun = 1;
        r->p->prefix_end = (int)r->n;
    }
    for (int cell = 0; cell < item->rows; cell++)
        put_row(r, r->pt->image_pad, r->n_images, cell);
    r->n_images++;
    put_row(r, r->pt->vision_end, -1, -1);
    if (item->context) r->p->context_end = (int)r->n;
    return VLQA_OK;
}

static vlqa_status put_turn(struct render *r, const struct prompt_turn *turn)
{
    static const char *const role[] = {"system\n", "user\n", "assistant\n"};
    TRY(put_control(r, r->pt->im_start));
    put_text(r, role[turn->role], strlen(role[turn->role]));
    for (int i = 0; i < turn->n_items; i++) {
        const struct prompt_item *item = &turn->item[i];
        if (!item->text) {
            TRY(put_image(r, turn->role, item));
            continue;
        }
        if (ends_prefix(r, turn->role, item)) {
            r->begun = 1;
            r->prefix_at = r->n_text;
        }
        put_text(r, item->text, item->bytes);
        if (item->context) r->context_at = r->n_text;
    }
    TRY(put_control(r, r->pt->im_end));
    put_text(r, "\n", 1);
    return VLQA_OK;
}

static vlqa_status render(struct render *r, const struct prompt_turn *turn, int n_turns)
{
    for (int i = 0; i < n_turns; i++)
        TRY(put_turn(r, &turn[i]));
    TRY(flush(r));
    if (!r->begun) r->p->prefix_end = (int)r->n;
    if (!r->any_context) r->p->context_end = r->p->prefix_end;
    TRY(put_control(r, r->pt->im_start));
    put_text(r, "assistant\n", 10);
    if (r->pt->think) put_text(r, "<think>\n", 8);
    return flush(r);
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

size_t prompt_scratch(const struct prompt_turn *turn, int n_turns)
{
    size_t bytes = text_bytes(turn, n_turns);
    return bytes + 2 * ARENA_ALIGN + tokenizer_scratch(bytes);
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
    memset(out, 0, sizeof *out);
    out->id = arena_push(mem, (size_t)cap * sizeof *out->id);
    out->image = arena_push(mem, (size_t)cap * sizeof *out->image);
    out->cell = arena_push(mem, (size_t)cap * sizeof *out->cell);
    r.text = arena_push(scratch, bytes);
    r.prefix_at = r.context_at = NOWHERE;
    status = render(&r, turn, n_turns);
    arena_rewind(scratch, mark);
    if (status == VLQA_OK && r.n > cap)
        status = env_fail(env, VLQA_ELIMIT, "prompt needs %lld rows, the session holds %d",
                          (long long)r.n, cap);
    if (status == VLQA_OK) out->n = (int)r.n;
    return status;
}
