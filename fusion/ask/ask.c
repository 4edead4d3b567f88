/* ask.c - one question: the prompt on paper, rows through the decoder, tokens out. */
#include "fusion/reuse/ask.h"
#include "fusion/reuse/evidence.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

static vlqa_status check_options(struct env *env, const struct vlqa_ask_options *o)
{
    if (o->max_tokens < 1)
        return env_fail(env, VLQA_EUSAGE, "ask options: max_tokens is %d, expected 1 or more",
                        o->max_tokens);
    if (!(o->temperature >= 0 && o->temperature <= 100))
        return env_fail(env, VLQA_EUSAGE, "ask options: temperature is %g, expected 0..100",
                        (double)o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1) || !(o->min_p >= 0 && o->min_p <= 1) || o->top_k < 0)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: top_k %d, top_p %g, min_p %g; expected 0 or more, above 0 "
                        "and up to 1, 0..1",
                        o->top_k, (double)o->top_p, (double)o->min_p);
    if (!(o->repetition_penalty > 0 && o->repetition_penalty <= 100) ||
        !(fabsf(o->presence_penalty) <= 100))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: repetition_penalty is %g, presence_penalty %g; expected "
                        "above 0 and up to 100, -100..100",
                        (double)o->repetition_penalty, (double)o->presence_penalty);
    return VLQA_OK;
}

static vlqa_status check_forced(struct env *env, const struct vlqa_ask_options *o, int vocab)
{
    if (o->n_forced < 0 || (o->n_forced && !o->forced))
        return env_fail(env, VLQA_EUSAGE, "ask options: %d forced tokens at %s", o->n_forced,
                        o->forced ? "their place" : "NULL");
    for (int i = 0; i < o->n_forced; i++)
        if (o->forced[i] < 0 || o->forced[i] >= vocab)
            return env_fail(env, VLQA_EUSAGE, "ask options: forced token %d is %d, expected 0..%d",
                            i, o->forced[i], vocab - 1);
    return VLQA_OK;
}

int ask_layer_end(const uint64_t set[2])
{
    for (int i = 127; i >= 0; i--)
        if (set[i / 64] >> i % 64 & 1) return i + 1;
    return 0;
}

static vlqa_status check_layers(struct env *env, const char *name, const uint64_t set[2],
                                int layers)
{
    int end = ask_layer_end(set);
    if (end <= layers) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE, "ask options: %s has layer %d, the model has 0 to %d", name,
                    end - 1, layers - 1);
}

static vlqa_status check_layout(struct env *env, const struct vlqa_ask_options *o)
{
    if ((unsigned)o->order > VLQA_ORDER_CHUNK)
        return env_fail(env, VLQA_EUSAGE, "ask options: order is %d, expected 0..%d", (int)o->order,
                        VLQA_ORDER_CHUNK);
    if ((unsigned)o->geometry > VLQA_GEOMETRY_HLTP || (unsigned)o->reorder > VLQA_REORDER_DENSITY)
        return env_fail(
            env, VLQA_EUSAGE, "ask options: geometry is %d, reorder %d; expected 0..%d, 0..%d",
            (int)o->geometry, (int)o->reorder, VLQA_GEOMETRY_HLTP, VLQA_REORDER_DENSITY);
    if (o->geometry != VLQA_GEOMETRY_GLOBAL && o->adaptive > 0)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: adaptive looks at repaired rows, which no geometry but the "
                        "global one leaves in place");
    if ((unsigned)o->text_chunker > VLQA_TEXT_PASSAGE)
        return env_fail(env, VLQA_EUSAGE, "ask options: text_chunker is %d, expected 0..%d",
                        (int)o->text_chunker, VLQA_TEXT_PASSAGE);
    if (o->halo < 0 || o->halo > 4096)
        return env_fail(env, VLQA_EUSAGE, "ask options: halo is %d, expected 0..4096", o->halo);
    return VLQA_OK;
}

/* Released code decides these by itself. */
static vlqa_status check_parity(struct env *env, const struct vlqa_ask_options *o)
{
    if ((unsigned)o->parity > VLQA_PARITY_INFOFLOW_LLM)
        return env_fail(env, VLQA_EUSAGE, "ask options: parity is %d, expected 0..%d",
                        (int)o->parity, VLQA_PARITY_INFOFLOW_LLM);
    if (o->parity && (o->reuse != VLQA_REUSE_INFOFLOW || o->adaptive > 0 || o->score_draft ||
                      o->geometry || o->reorder || o->taper > 0 || o->dilate))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: parity is for reuse infoflow, without adaptive, drafts, "
                        "geometry, reorder, taper and dilate");
    return VLQA_OK;
}

static vlqa_status check_reuse(struct env *env, const struct vlqa_ask_options *o, int layers)
{
    if ((unsigned)o->reuse > VLQA_REUSE_AUTO || (unsigned)o->budget_base > VLQA_BASE_ALL ||
        (unsigned)o->chunker > VLQA_CHUNK_STRIPS || (unsigned)o->score > VLQA_SCORE_COMBINED ||
        (unsigned)o->score_query > VLQA_QUERY_LAST)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: reuse, budget_base, chunker, score or score_query is no value "
            "of its enum");
    if (!(o->recompute_ratio >= 0 && o->recompute_ratio <= 1))
        return env_fail(env, VLQA_EUSAGE, "ask options: recompute_ratio is %g, expected 0..1",
                        (double)o->recompute_ratio);
    if (o->chunk_k < 1 || o->chunk_k > 256 || o->chunk_text_rows < 1)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: chunk_k is %d, chunk_text_rows %d; expected 1..256, 1 or more",
            o->chunk_k, o->chunk_text_rows);
    if (!(o->adaptive >= 0 && o->adaptive <= 100))
        return env_fail(env, VLQA_EUSAGE, "ask options: adaptive is %g, expected 0..100",
                        (double)o->adaptive);
    if (!(o->taper >= 0 && o->taper <= 1) || (o->taper > 0 && o->adaptive > 0))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: taper is %g, expected 0..1 and 0 with adaptive",
                        (double)o->taper);
    if (o->score_draft < 0 || o->score_draft > 1024)
        return env_fail(env, VLQA_EUSAGE, "ask options: score_draft is %d, expected 0..1024",
                        o->score_draft);
    if (o->dilate < 0 || o->dilate > 8)
        return env_fail(env, VLQA_EUSAGE, "ask options: dilate is %d, expected 0..8", o->dilate);
    if (o->refresh_every < 1 || o->refresh_rows < 0)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: refresh_every is %d, refresh_rows %d; expected 1 or more, 0 "
                        "or more",
                        o->refresh_every, o->refresh_rows);
    TRY(check_layers(env, "score_layers", o->score_layers, layers));
    return check_layers(env, "check_layers", o->check_layers, layers);
}

static void fill_answer(const struct ask *a, struct vlqa_answer *out)
{
    struct vlqa_session *s = a->s;
    const struct prompt *p = &a->prompt;
    struct rusage usage;
    double end = env_ms();
    s->answer[a->text_bytes] = 0;
    *out = (struct vlqa_answer){.text = s->answer,
                                .text_bytes = a->text_bytes,
                                .token = s->answer_token,
                                .n_tokens = a->n_tokens,
                                .stop = a->stop,
                                .prompt_token = s->prompt_token,
                                .rows_total = p->n,
                                .rows_prefix = p->prefix_end,
                                .rows_context = p->context_end - p->prefix_end,
                                .rows_question = p->n - p->context_end,
                                .ms_vision = s->ms_vision,
                                .ms_decode_image = s->ms_decode_image,
                                .ms_total = end - a->begin};
    out->exact = a->exact;
    out->rows_selected = a->n_selected;
    out->rows_recomputed = a->n_recomputed;
    out->flops = a->flops;
    out->chunks_ram = a->chunks_ram;
    out->chunks_disk = a->chunks_disk;
    out->chunks_made = a->chunks_made;
    out->visual_ram = s->visual_ram;
    out->visual_disk = s->visual_disk;
    out->visual_made = s->visual_made;
    out->row_score = a->score;
    out->row_selected = a->selected;
    out->image = s->placed_image;
    out->n_images = p->n ? s->n_images : 0;
    out->chunk = s->placed_chunk;
    out->n_chunks = a->n_chunks;
    out->evidence = s->evidence;
    out->n_evidence = a->n_evidence;
    out->ms_chunks = a->ms_chunks;
    out->ms_assemble = a->ms_assemble;
    out->ms_score = a->ms_score;
    out->ms_repair = a->ms_repair;
    if (a->prefilled > 0) {
        out->logits = s->first_logits;
        out->n_logits = s->engine->decoder.config.vocab;
        out->ms_prefill = a->prefilled - a->begin;
    }
    if (a->first_token > 0) {
        out->ms_first_token = a->first_token - a->begin;
        out->ms_decode = end - a->first_token;
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0) out->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

/* The question and its answer become turns, for the next question to build on. */
static vlqa_status keep_turns(struct ask *a)
{
    struct vlqa_session *s = a->s;
    size_t text_used = s->text_used;
    int n_items = s->n_items;
    vlqa_status status = session_append(s, PROMPT_USER, a->question, strlen(a->question));
    if (status == VLQA_OK) {
        s->turn++;
        status = session_append(s, PROMPT_ASSISTANT, s->answer, a->text_bytes);
        if (status == VLQA_OK)
            s->turn++;
        else
            s->turn--;
    }
    if (status != VLQA_OK) {
        s->n_items = n_items;
        s->text_used = text_used;
    }
    return status;
}

/* Scores and choices from the order of slots to that of the prompt. */
static void to_prompt_order(struct ask *a)
{
    struct arena *scratch = &a->s->scratch;
    const struct layout *l = &a->layout;
    size_t n = (size_t)l->n, mark = arena_mark(scratch);
    float *score = arena_push(scratch, n * sizeof *score);
    uint8_t *selected = arena_push(scratch, n);
    for (int slot = 0; slot < l->n; slot++) {
        if (a->score) score[l->row[slot]] = a->score[slot];
        if (a->selected) selected[l->row[slot]] = a->selected[slot];
    }
    if (a->score) memcpy(a->score, score, n * sizeof *score);
    if (a->selected) memcpy(a->selected, selected, n);
    arena_rewind(scratch, mark);
}

/* Order and chance say nothing about the picture. */
static void find_evidence(struct ask *a)
{
    struct vlqa_session *s = a->s;
    enum vlqa_reuse by = a->o.reuse;
    int silent = by == VLQA_REUSE_EPIC || by == VLQA_REUSE_VLCACHE || by == VLQA_REUSE_RANDOM;
    if (a->score && !silent)
        a->n_evidence = evidence_find(a->score, a->prompt.n, s->placed_image, s->n_images,
                                      &s->scratch, s->evidence);
}

static vlqa_status prepare(struct ask *a, const struct vlqa_ask_options *options)
{
    struct env *env = &a->s->env;
    const struct decoder_config *c = &a->s->engine->decoder.config;
    a->o = vlqa_ask_options_default();
    if (options) TRY(abi_take(env, "ask", options, &a->o, sizeof a->o));
    TRY(check_options(env, &a->o));
    TRY(check_reuse(env, &a->o, c->layers));
    TRY(check_layout(env, &a->o));
    TRY(check_parity(env, &a->o));
    if (a->o.parity) a->o.halo = 0;
    if (a->o.parity == VLQA_PARITY_INFOFLOW_VLM) a->o.order = VLQA_ORDER_CHUNK;
    TRY(check_forced(env, &a->o, c->vocab));
    TRY(st_unchanged(env, a->s->engine->files));
    return ask_plan(a);
}

static vlqa_status answer(struct ask *a, const struct vlqa_ask_options *options)
{
    vlqa_status status;
    size_t mark;
    TRY(prepare(a, options));
    TRY(ask_prefill(a));
    mark = arena_mark(&a->s->scratch);
    status = ask_generate(a); /* may repair more rows */
    arena_rewind(&a->s->scratch, mark);
    to_prompt_order(a);
    find_evidence(a);
    TRY(status);
    return a->o.keep ? keep_turns(a) : VLQA_OK;
}

static vlqa_status warm(struct ask *a, const struct vlqa_ask_options *options)
{
    TRY(prepare(a, options));
    return ask_fetch(a);
}

static vlqa_status finish(struct ask *a, vlqa_status status, struct vlqa_answer *out, size_t bytes)
{
    struct vlqa_answer whole;
    chunk_release(a);
    if (out) {
        fill_answer(a, &whole);
        abi_give(out, bytes, &whole, sizeof whole);
    }
    return session_leave(a->s, status);
}

vlqa_status vlqa_ask(struct vlqa_session *s, const char *question,
                     const struct vlqa_ask_options *options, struct vlqa_answer *out, size_t bytes)
{
    struct ask a = {.s = s, .question = question, .begin = env_ms()};
    vlqa_status status;
    TRY(session_enter(s));
    if (!question || !out)
        return session_leave(
            s, env_fail(&s->env, VLQA_EUSAGE, "the %s is NULL", question ? "answer" : "question"));
    status = abi_check(&s->env, "answer", bytes, ANSWER_LEAST);
    if (status != VLQA_OK) return session_leave(s, status);
    return finish(&a, answer(&a, options), out, bytes);
}

vlqa_status vlqa_warm(struct vlqa_session *s, const struct vlqa_ask_options *options,
                      struct vlqa_answer *out, size_t bytes)
{
    struct ask a = {.s = s, .question = "", .begin = env_ms()};
    vlqa_status status;
    TRY(session_enter(s));
    status = out ? abi_check(&s->env, "answer", bytes, ANSWER_LEAST) : VLQA_OK;
    if (status != VLQA_OK) return session_leave(s, status);
    return finish(&a, warm(&a, options), out, bytes);
}
