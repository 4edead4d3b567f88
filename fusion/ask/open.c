/* open.c - opens a session: one block for the conversation and for the largest question to it. */
#include "fusion/ask/open.h"

#include "base/heap.h"
#include "fusion/ask/plan.h"
#include "fusion/reuse/evidence.h"
#include "fusion/reuse/scorer.h"

#include <string.h>

#define SESSION_TEXT_BYTES ((size_t)1 << 16) /* at least, and 16 bytes a row */

int session_default_rows(const struct vlqa_engine *e)
{
    int most = e->decoder.config.max_positions;
    return most < SESSION_DEFAULT_ROWS ? most : SESSION_DEFAULT_ROWS;
}

static size_t request_bytes(const struct vlqa_engine *e, int max_rows, int experimental)
{
    size_t ids = 4 * ((size_t)max_rows * sizeof(int32_t) + 2 * ARENA_ALIGN);
    size_t list = (size_t)max_rows * (sizeof(int32_t) + sizeof(void *) + 1); /* chunks, depths */
    return ids + plan_bytes() + layout_bytes(max_rows) + list +
           scorer_bytes(&e->decoder.config, max_rows, experimental) + 64 * ARENA_ALIGN;
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
    size_t request = request_bytes(e, s->max_rows, s->options.experimental), scratch;
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
    s->evidence = arena_push(mem, EVIDENCE_MAX * sizeof *s->evidence);
    s->logits = arena_push(mem, vocab * sizeof *s->logits);
    s->first_logits = arena_push(mem, vocab * sizeof *s->first_logits);
    scratch = scratch_bytes(e, s->max_rows, s->text_cap);
    s->scratch = (struct arena){arena_push(mem, scratch), scratch, 0, 0};
    s->request = (struct arena){arena_push(mem, request), request, 0, 0};
}

size_t session_bytes(const struct vlqa_engine *e, const struct vlqa_session_options *o)
{
    struct arena dry = {0};
    struct vlqa_session s = {.engine = (struct vlqa_engine *)(uintptr_t)e,
                             .max_rows = o->max_rows ? o->max_rows : session_default_rows(e),
                             .options = *o};
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
    bytes = session_bytes(e, &s->options);
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
    if (options) TRY(abi_take(&s->env, "session", options, &s->options, sizeof s->options));
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
