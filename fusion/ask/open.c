/* open.c - opens a session: memory for the conversation and for the largest question to it. */
#include "fusion/ask/open.h"

#include "base/heap.h"
#include "base/stack.h"
#include "fusion/ask/plan.h"
#include "fusion/compress/compress.h"
#include "fusion/compress/move.h"
#include "fusion/reuse/chunk_parts.h"
#include "fusion/reuse/evidence.h"
#include "fusion/reuse/score_deviation.h"
#include "fusion/session/together.h"

#include <string.h>

#define SESSION_TEXT_BYTES ((size_t)1 << 16) /* at least, and 16 bytes a token */

int session_default_seq_len(const struct vlqa_engine *e)
{
    int most = e->decoder.config.max_positions;
    return most < SESSION_DEFAULT_SEQ_LEN ? most : SESSION_DEFAULT_SEQ_LEN;
}

/* What a question writes down before it computes: ids, turns, layout, chunks, a choice. */
static void measure_request(const struct vlqa_engine *e, int max_seq_len, int experimental,
                            struct workspace *dry)
{
    size_t rows = (size_t)max_seq_len;
    struct prompt prompt;
    prompt_layout(max_seq_len, &dry->host, &prompt);
    plan_measure(&dry->host);
    layout_measure(max_seq_len, &dry->host);
    arena_push(&dry->host, rows * sizeof(int32_t));               /* view.list */
    arena_push(&dry->host, rows * sizeof(const struct record *)); /* view.chunk */
    arena_push(&dry->host, rows * sizeof(const void *));          /* view.on_gpu */
    arena_push(&dry->host, rows);                                 /* choice.depth */
    chunk_measure_ranks(e, max_seq_len, dry);
    if (experimental) compress_measure(e, max_seq_len, dry);
    scorer_measure(e, max_seq_len, experimental, dry);
}

/* Encoding the prompt, placing and comparing chunks, finding evidence, and running the decoder
 * while tokens are sampled come one after the other. */
static void measure_scratch(const struct vlqa_engine *e, int max_seq_len, int experimental,
                            size_t text_cap, struct workspace *dry)
{
    int rows = max_seq_len < SESSION_PASS_TOKENS ? max_seq_len : SESSION_PASS_TOKENS;
    struct workspace_used mark = workspace_mark(dry);
    prompt_measure(2 * text_cap, SESSION_MAX_ITEMS + 1, &dry->host);
    evidence_measure(max_seq_len, &dry->host);
    chunk_measure(e, rows, dry);
    chunk_measure_exchange(e, dry);
    score_deviation_measure(e, rows, dry);
    sampler_layout(e->decoder.config.vocab, &dry->host, &(struct sampler){0});
    if (experimental) move_measure(e, max_seq_len, dry);
    run_measure(e, max_seq_len, experimental, dry);
    workspace_rewind(dry, mark);
}

/* Room of the size that was measured. */
static struct workspace push_workspace(const struct workspace *measured, struct workspace *mem)
{
    size_t host = measured->host.peak, device = measured->device.peak;
    struct workspace ws = {.host.cap = host, .device.cap = device};
    ws.host.base = arena_push(&mem->host, host);
    ws.device.base = arena_push(&mem->device, device);
    return ws;
}

/* The session's memory, measured on an empty workspace and laid out with the same code. */
static void layout_session(struct vlqa_session *s, struct workspace *mem)
{
    const struct vlqa_engine *e = s->engine;
    const struct decoder_config *c = &e->decoder.config;
    size_t rows = (size_t)s->max_seq_len, vocab = (size_t)c->vocab;
    struct workspace request = {0}, scratch = {0};
    struct arena *host = &mem->host;
    s->text_cap = SESSION_TEXT_BYTES + 16 * rows;
    kv_layout(&s->kv, c->layers, c->kv_heads, c->head_dim, s->max_seq_len, c->kv, &mem->device);
    if (s->options.experimental) {
        size_t heads = (size_t)c->layers * (size_t)c->kv_heads;
        s->kept.n = arena_push(host, heads * sizeof *s->kept.n);
        s->kept.token = arena_push(host, heads * rows * sizeof *s->kept.token);
    }
    s->visual = workspace_mat(mem, c->compute, s->max_seq_len, c->hidden);
    for (int i = 0; i < e->vit.config.n_deep; i++)
        s->deep[i] = workspace_mat(mem, c->compute, s->max_seq_len, c->hidden);
    s->text = arena_push(host, s->text_cap);
    s->item = arena_push(host, (SESSION_MAX_ITEMS + 1) * sizeof *s->item);
    s->image = arena_push(host, SESSION_MAX_ITEMS * sizeof *s->image);
    s->item_order = arena_push(host, SESSION_MAX_ITEMS * sizeof *s->item_order);
    s->answer = arena_push(host, 3 * rows * (size_t)(e->max_token_bytes + 3) + 1);
    s->answer_token = arena_push(host, rows * sizeof *s->answer_token);
    s->prompt_token = arena_push(host, rows * sizeof *s->prompt_token);
    s->cached_prefix = arena_push(host, rows * sizeof *s->cached_prefix);
    s->attention = mirror_push(e->device, mem, rows * sizeof(float));
    s->attention_layer = arena_push(host, (size_t)c->layers);
    s->token_score = arena_push(host, rows * sizeof *s->token_score);
    s->token_selected = arena_push(host, rows);
    s->stand_in = arena_push(host, SESSION_MAX_STAND_INS * sizeof *s->stand_in);
    s->placed_image = arena_push(host, SESSION_MAX_ITEMS * sizeof *s->placed_image);
    s->placed_chunk = arena_push(host, rows * sizeof *s->placed_chunk);
    s->evidence = arena_push(host, EVIDENCE_MAX * sizeof *s->evidence);
    s->logits = arena_push(host, vocab * sizeof *s->logits);
    s->first_logits = arena_push(host, vocab * sizeof *s->first_logits);
    measure_request(e, s->max_seq_len, s->options.experimental, &request);
    measure_scratch(e, s->max_seq_len, s->options.experimental, s->text_cap, &scratch);
    s->request = push_workspace(&request, mem);
    s->scratch = push_workspace(&scratch, mem);
}

static struct workspace measure_session(const struct vlqa_engine *e,
                                        const struct vlqa_session_options *o)
{
    struct workspace dry = {0};
    struct vlqa_session s = {.engine = (struct vlqa_engine *)(uintptr_t)e,
                             .max_seq_len =
                                 o->max_seq_len ? o->max_seq_len : session_default_seq_len(e),
                             .options = *o};
    layout_session(&s, &dry);
    return dry;
}

size_t session_bytes(const struct vlqa_engine *e, const struct vlqa_session_options *o)
{
    struct workspace dry = measure_session(e, o);
    return dry.host.peak + dry.device.peak;
}

/* The memory that was laid out, for use. */
static void begin_workspace(struct workspace *ws)
{
    ws->host = arena_over(ws->host.base, ws->host.cap);
    ws->device = arena_over(ws->device.base, ws->device.cap);
}

static vlqa_status open_session(struct vlqa_session *s)
{
    struct env *env = &s->env;
    struct vlqa_engine *e = s->engine;
    struct workspace dry;
    if (s->options.max_seq_len < 0 || s->options.max_seq_len > SESSION_MAX_SEQ_LEN)
        return env_fail(env, VLQA_EUSAGE, "session options: max_seq_len is %d, expected 0..%d",
                        s->options.max_seq_len, SESSION_MAX_SEQ_LEN);
    s->max_seq_len = s->options.max_seq_len ? s->options.max_seq_len : session_default_seq_len(e);
    if (s->max_seq_len > e->decoder.config.max_positions)
        return env_fail(env, VLQA_ELIMIT, "session options: max_seq_len is %d, the model has %d",
                        s->max_seq_len, e->decoder.config.max_positions);
    s->pass_tokens = SESSION_PASS_TOKENS;
    TRY(queue_open(e->device, env, &s->queue));
    s->queue->ranks = e->options.ranks;
    dry = measure_session(e, &s->options);
    TRY(device_room_open(env, e->device, "session", &dry, &s->memory));
    layout_session(s, &s->memory.ws);
    begin_workspace(&s->scratch);
    begin_workspace(&s->request);
    return VLQA_OK;
}

static vlqa_status take_options(struct vlqa_session *s, const struct vlqa_session_options *options)
{
    s->options = vlqa_session_options_default();
    s->env.pool = s->engine->pool;
    if (options)
        TRY(abi_take(&s->env, "session", options, &s->options, sizeof s->options,
                     SESSION_OPTIONS_LEAST));
    s->env.only_told = vlqa_ranks_rank(s->engine->options.ranks) > 0;
    s->env.log = s->options.log;
    s->env.progress = s->options.progress;
    s->env.user = s->options.user;
    return VLQA_OK;
}

vlqa_status vlqa_session_open(struct vlqa_engine *engine,
                              const struct vlqa_session_options *options, struct vlqa_session **out)
{
    struct vlqa_session *s;
    vlqa_status status;
    if (!out) return VLQA_EUSAGE;
    *out = NULL;
    if (!engine || !engine->usable) return VLQA_EUSAGE;
    if (atomic_load(&engine->closed)) return VLQA_ESTATE;
    s = heap_alloc(sizeof *s);
    if (!s) return together_refuse(engine, "a session", sizeof *s);
    memset(s, 0, sizeof *s);
    atomic_init(&s->busy, 1); /* until it is open */
    s->engine = engine;
    engine_hold(engine);
    *out = s;
    status = together_begin(s, "a session", (struct key){{0}});
    if (status == VLQA_OK) status = take_options(s, options);
    if (status == VLQA_OK) status = stack_check(&s->env);
    if (status == VLQA_OK) status = open_session(s);
    status = together_end(s, status);
    if (status != VLQA_OK) device_room_close(&s->memory); /* another rank could not open it */
    atomic_store(&s->busy, 0);
    return status;
}

/* The log's callback may try again: it is told once. */
static void refuse_close(struct vlqa_session *s)
{
    if (atomic_exchange(&s->refusing, 1)) return;
    env_log(&s->env, VLQA_LOG_WARN,
            "the session is in use and was not closed: close it when its call has returned");
    atomic_store(&s->refusing, 0);
}

void vlqa_session_close(struct vlqa_session *s)
{
    struct vlqa_engine *engine;
    int idle = 0;
    if (!s) return;
    if (!atomic_compare_exchange_strong(&s->busy, &idle, 1)) {
        refuse_close(s);
        return;
    }
    engine = s->engine;
    queue_close(s->queue);
    device_room_close(&s->memory);
    heap_free(s);
    (void)engine_let_go(engine);
}
