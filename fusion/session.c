/* session.c - a conversation: opening its memory, adding system text, texts and images. */
#include "fusion/session.h"

#include "base/heap.h"
#include "fusion/ask.h"
#include "fusion/choose.h"
#include "text/utf8.h"

#include <string.h>
#include <unistd.h>

#define SESSION_TEXT_BYTES ((size_t)1 << 16) /* at least, and 16 bytes a row */

int session_default_rows(const struct vlqa_engine *e)
{
    int most = e->decoder.config.max_positions;
    return most < SESSION_DEFAULT_ROWS ? most : SESSION_DEFAULT_ROWS;
}

static size_t request_bytes(const struct vlqa_engine *e, int max_rows)
{
    size_t ids = 4 * ((size_t)max_rows * sizeof(int32_t) + 2 * ARENA_ALIGN);
    size_t list = (size_t)max_rows * (sizeof(int32_t) + sizeof(void *) + 1); /* chunks, depths */
    return ids + ask_plan_bytes() + layout_bytes(max_rows) + list +
           choose_bytes(&e->decoder.config, max_rows) + 64 * ARENA_ALIGN;
}

/* Encoding the prompt and running the decoder come one after the other. */
static size_t scratch_bytes(const struct vlqa_engine *e, int max_rows, size_t text_cap)
{
    const struct decoder_config *c = &e->decoder.config;
    int rows = max_rows < SESSION_PASS_ROWS ? max_rows : SESSION_PASS_ROWS;
    size_t forward = decoder_scratch(c, rows) + decoder_tap_scratch(c, rows, max_rows) +
                     layout_bytes(rows) + sampler_scratch(c->vocab) + 8 * ARENA_ALIGN;
    size_t encode = tokenizer_scratch(2 * text_cap) + 2 * text_cap + 8 * ARENA_ALIGN;
    size_t most = forward > encode ? forward : encode, evidence = evidence_scratch(max_rows);
    return most > evidence ? most : evidence;
}

/* The session's block, measured with mem->base NULL and laid out with the same code. */
static void layout_session(struct vlqa_session *s, struct arena *mem)
{
    const struct vlqa_engine *e = s->engine;
    const struct decoder_config *c = &e->decoder.config;
    size_t rows = (size_t)s->max_rows, vocab = (size_t)c->vocab;
    size_t visual = mat_bytes(c->compute, s->max_rows, c->hidden);
    size_t request = request_bytes(e, s->max_rows), scratch;
    s->text_cap = SESSION_TEXT_BYTES + 16 * rows;
    kv_layout(&s->kv, c->layers, c->kv_heads, c->head_dim, s->max_rows, c->kv, mem);
    s->visual = mat_of(arena_push(mem, visual), c->compute, s->max_rows, c->hidden);
    for (int i = 0; i < e->vit.config.n_deep; i++)
        s->deep[i] = mat_of(arena_push(mem, visual), c->compute, s->max_rows, c->hidden);
    s->text = arena_push(mem, s->text_cap);
    s->item = arena_push(mem, (SESSION_MAX_ITEMS + 1) * sizeof *s->item);
    s->image = arena_push(mem, SESSION_MAX_ITEMS * sizeof *s->image);
    s->item_order = arena_push(mem, SESSION_MAX_ITEMS * sizeof *s->item_order);
    s->answer = arena_push(mem, 3 * rows * (size_t)(e->max_piece + 3) + 1);
    s->answer_token = arena_push(mem, rows * sizeof *s->answer_token);
    s->prompt_token = arena_push(mem, rows * sizeof *s->prompt_token);
    s->held = arena_push(mem, rows * sizeof *s->held);
    s->row_score = arena_push(mem, rows * sizeof *s->row_score);
    s->row_selected = arena_push(mem, rows);
    s->placed_image = arena_push(mem, SESSION_MAX_ITEMS * sizeof *s->placed_image);
    s->placed_chunk = arena_push(mem, rows * sizeof *s->placed_chunk);
    s->logits = arena_push(mem, vocab * sizeof *s->logits);
    s->first_logits = arena_push(mem, vocab * sizeof *s->first_logits);
    scratch = scratch_bytes(e, s->max_rows, s->text_cap);
    s->scratch = (struct arena){arena_push(mem, scratch), scratch, 0, 0};
    s->request = (struct arena){arena_push(mem, request), request, 0, 0};
}

size_t session_bytes(const struct vlqa_engine *e, int max_rows)
{
    struct arena dry = {0};
    struct vlqa_session s = {.engine = (struct vlqa_engine *)(uintptr_t)e, .max_rows = max_rows};
    layout_session(&s, &dry);
    return dry.used;
}

static vlqa_status open_session(struct vlqa_session *s)
{
    struct env *env = &s->env;
    struct vlqa_engine *e = s->engine;
    size_t bytes;
    struct arena mem;
    if (s->options.max_rows < 0 || s->options.max_rows > SESSION_MAX_ROWS)
        return env_fail(env, VLQA_EUSAGE, "session options: max_rows is %d, expected 0..%d",
                        s->options.max_rows, SESSION_MAX_ROWS);
    s->max_rows = s->options.max_rows ? s->options.max_rows : session_default_rows(e);
    if (s->max_rows > e->decoder.config.max_positions)
        return env_fail(env, VLQA_ELIMIT, "session options: max_rows is %d, the model has %d",
                        s->max_rows, e->decoder.config.max_positions);
    s->pass_rows = SESSION_PASS_ROWS;
    TRY(backend_create(env, e->options.cpu, &s->be));
    bytes = session_bytes(e, s->max_rows);
    s->block = s->be->op->alloc(s->be, bytes);
    if (!s->block) return env_no_memory(env, "session", bytes);
    mem = arena_over(s->block, bytes);
    layout_session(s, &mem);
    s->scratch = arena_over(s->scratch.base, s->scratch.cap);
    s->request = arena_over(s->request.base, s->request.cap);
    return VLQA_OK;
}

vlqa_status vlqa_session_open(struct vlqa_engine *engine,
                              const struct vlqa_session_options *options, struct vlqa_session **out)
{
    struct vlqa_session *s;
    if (!out) return VLQA_EUSAGE;
    *out = NULL;
    if (!engine || !engine->usable) return VLQA_EUSAGE;
    s = heap_alloc(sizeof *s);
    if (!s) return VLQA_EMEMORY;
    memset(s, 0, sizeof *s);
    *out = s;
    s->engine = engine;
    s->options = vlqa_session_options_default();
    s->env.pool = engine->pool;
    if (options)
        TRY(engine_options_copy(&s->env, "session", options, &s->options, sizeof s->options));
    s->env.log = s->options.log;
    s->env.progress = s->options.progress;
    s->env.user = s->options.user;
    return open_session(s);
}

void vlqa_session_close(struct vlqa_session *s)
{
    if (!s) return;
    if (s->block) s->be->op->release(s->be, s->block);
    backend_free(s->be);
    heap_free(s);
}

const char *vlqa_message(const struct vlqa_session *s)
{
    return s ? s->env.message : "no session";
}

vlqa_status session_enter(struct vlqa_session *s)
{
    int idle = 0;
    if (!s) return VLQA_EUSAGE;
    if (!s->block || !atomic_compare_exchange_strong(&s->busy, &idle, 1)) return VLQA_ESTATE;
    if (getpid() != s->engine->process)
        return session_leave(
            s, env_fail(&s->env, VLQA_ESTATE, "the engine was opened in another process (fork)"));
    s->env.message[0] = 0;
    return VLQA_OK;
}

vlqa_status session_leave(struct vlqa_session *s, vlqa_status status)
{
    arena_rewind(&s->scratch, 0);
    arena_rewind(&s->request, 0);
    atomic_store(&s->busy, 0);
    return status;
}

vlqa_status vlqa_session_clear(struct vlqa_session *s)
{
    TRY(session_enter(s));
    s->n_items = s->n_images = s->visual_rows = s->turn = 0;
    s->text_used = 0;
    s->ms_decode_image = s->ms_vision = 0;
    s->visual_ram = s->visual_disk = s->visual_made = 0;
    s->n_held = 0;
    memset(&s->last_image, 0, sizeof s->last_image);
    return session_leave(s, VLQA_OK);
}

/* Texts. */

static vlqa_status copy_text(struct vlqa_session *s, const char *utf8, size_t bytes, char **out)
{
    struct env *env = &s->env;
    size_t valid;
    if (!utf8 && bytes) return env_fail(env, VLQA_EUSAGE, "the text is NULL");
    if (bytes > s->text_cap - s->text_used)
        return env_fail(env, VLQA_ELIMIT,
                        "a text of %zu bytes; the session of %d rows has room for %zu", bytes,
                        s->max_rows, s->text_cap - s->text_used);
    valid = utf8_valid(utf8, bytes);
    if (valid < bytes) return env_fail(env, VLQA_ETEXT, "the text is not UTF-8 at byte %zu", valid);
    if (bytes) memcpy(s->text + s->text_used, utf8, bytes);
    *out = s->text + s->text_used;
    s->text_used += bytes;
    return VLQA_OK;
}

vlqa_status session_check_items(struct vlqa_session *s)
{
    if (s->n_items >= SESSION_MAX_ITEMS)
        return env_fail(&s->env, VLQA_ELIMIT, "the conversation has %d items already",
                        SESSION_MAX_ITEMS);
    return VLQA_OK;
}

vlqa_status session_append(struct vlqa_session *s, enum prompt_role role, const char *utf8,
                           size_t bytes)
{
    char *copy = NULL;
    TRY(session_check_items(s));
    TRY(copy_text(s, utf8, bytes, &copy));
    s->item[s->n_items++] = (struct session_item){role, s->turn, copy, bytes, -1, 0};
    return VLQA_OK;
}

vlqa_status vlqa_add_text(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_enter(s));
    return session_leave(s, session_append(s, PROMPT_USER, utf8, bytes));
}

static vlqa_status set_system(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    if (s->n_items)
        return env_fail(&s->env, VLQA_ESTATE,
                        "the system text comes first: the conversation has begun");
    TRY(session_append(s, PROMPT_SYSTEM, utf8, bytes));
    s->turn++;
    return VLQA_OK;
}

vlqa_status vlqa_set_system(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_enter(s));
    return session_leave(s, set_system(s, utf8, bytes));
}
