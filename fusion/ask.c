/* ask.c - one question: the prompt on paper, rows through the decoder, tokens out. */
#include "fusion/session.h"

#include "text/utf8.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

struct ask { /* one call of vlqa_ask */
    struct vlqa_session *s;
    struct vlqa_ask_options o;
    const char *question;
    struct prompt prompt;
    struct layout layout;
    struct sampler sampler;
    struct utf8_stream utf8;
    size_t text_bytes;
    int n_tokens;
    enum vlqa_stop stop;
    double begin, first_token, prefilled;
};

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

/* The items of the conversation, and the question behind them, as turns. Returns their number. */
static int collect_turns(struct vlqa_session *s, const char *question, struct prompt_turn *turn,
                         struct prompt_item *item)
{
    int n = 0, last = -1;
    s->item[s->n_items] =
        (struct session_item){PROMPT_USER, s->turn, question, strlen(question), -1, 1};
    for (int i = 0; i <= s->n_items; i++) {
        const struct session_item *from = &s->item[i];
        int context = from->role == PROMPT_USER && !from->asked;
        item[i] = (struct prompt_item){from->text, from->bytes, 0, context};
        if (from->image >= 0) {
            struct grid grid = s->image[from->image].grid;
            item[i].rows = grid.h * grid.w;
        }
        if (from->turn != last) turn[n++] = (struct prompt_turn){from->role, &item[i], 0};
        turn[n - 1].n_items++;
        last = from->turn;
    }
    return n;
}

static vlqa_status plan_request(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct vlqa_engine *e = s->engine;
    size_t items = (size_t)s->n_items + 1;
    struct prompt_turn *turn = arena_push(&s->request, items * sizeof *turn);
    struct prompt_item *item = arena_push(&s->request, items * sizeof *item);
    size_t bytes = strlen(a->question), valid = utf8_valid(a->question, bytes);
    if (bytes > s->text_cap)
        return env_fail(&s->env, VLQA_ELIMIT,
                        "the question has %zu bytes; a session of %d rows takes %zu", bytes,
                        s->max_rows, s->text_cap);
    if (valid < bytes)
        return env_fail(&s->env, VLQA_ETEXT, "the question is not UTF-8 at byte %zu", valid);
    TRY(prompt_build(&s->env, e->tokenizer, &e->tokens, turn,
                     collect_turns(s, a->question, turn, item), s->max_rows, &s->request,
                     &s->scratch, &a->prompt));
    memcpy(s->prompt_token, a->prompt.id, (size_t)a->prompt.n * sizeof *s->prompt_token);
    layout_build(&a->prompt, s->image, &s->request, &a->layout);
    return VLQA_OK;
}

static void run_rows(struct ask *a, struct rows rows, float *logits)
{
    struct vlqa_session *s = a->s;
    struct pass pass = {.rows = rows, .kv = &s->kv, .logits = logits};
    pass.rows.visual = mat_rows(s->visual, 0, s->visual_rows);
    pass.rows.n_deep = s->engine->vit.config.n_deep;
    for (int i = 0; i < pass.rows.n_deep; i++)
        pass.rows.deep[i] = mat_rows(s->deep[i], 0, s->visual_rows);
    decoder_forward(s->be, &s->engine->decoder, &pass, &s->scratch);
}

/* Cut into passes that fit the scratch memory: the cuts change no bit of the result. */
static vlqa_status prefill(struct ask *a)
{
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    for (int begin = 0; begin < l->n; begin += SESSION_PASS_ROWS) {
        int n = l->n - begin < SESSION_PASS_ROWS ? l->n - begin : SESSION_PASS_ROWS;
        int last = begin + n == l->n;
        TRY(env_progress(&s->env, "prefill", begin, l->n));
        run_rows(a, layout_rows(l, begin, n), last ? s->first_logits : NULL);
    }
    TRY(s->be->op->sync(s->be));
    memcpy(s->logits, s->first_logits, (size_t)s->engine->decoder.config.vocab * sizeof(float));
    a->prefilled = env_ms();
    return env_progress(&s->env, "prefill", l->n, l->n);
}

static void begin_sampling(struct ask *a)
{
    const struct vlqa_ask_options *o = &a->o;
    struct sampler *p = &a->sampler;
    p->temperature = o->temperature;
    p->top_p = o->top_p;
    p->min_p = o->min_p;
    p->top_k = o->top_k;
    p->repetition_penalty = o->repetition_penalty;
    p->presence_penalty = o->presence_penalty;
    sampler_begin(p, a->s->engine->decoder.config.vocab, o->seed, &a->s->scratch);
    sampler_see_prompt(p, a->prompt.id, a->prompt.n);
}

static int is_end(const struct vlqa_engine *e, int32_t id)
{
    for (int i = 0; i < e->ids.n_eos; i++)
        if (e->ids.eos[i] == id) return 1;
    return 0;
}

/* Appends the token's text; nonzero: the caller has enough. */
static int emit(struct ask *a, const char *piece, size_t bytes, int end)
{
    char *out = a->s->answer + a->text_bytes;
    size_t n = end ? utf8_stream_end(&a->utf8, out) : utf8_stream_push(&a->utf8, piece, bytes, out);
    a->text_bytes += n;
    return n && a->o.on_token && a->o.on_token(a->o.user, out, n);
}

/* The row of the last token, behind all others. */
static void decode_row(struct ask *a, int32_t id)
{
    struct layout *l = &a->layout;
    int32_t slot = l->n + a->n_tokens - 1, text = -1;
    struct span span = {0, 0, slot + 1};
    struct pos pos;
    struct rows row = {
        .n = 1, .token = &id, .visual_row = &text, .pos = &pos, .slot = &slot, .span = &span};
    position_text(&l->next, 1, &pos);
    run_rows(a, row, a->s->logits);
}

static vlqa_status generate(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct vlqa_engine *e = s->engine;
    int known = tokenizer_count(e->tokenizer), room = s->max_rows - a->layout.n;
    begin_sampling(a);
    for (a->stop = VLQA_STOP_LENGTH; a->n_tokens < a->o.max_tokens;) {
        size_t bytes;
        int32_t id = sampler_pick(&a->sampler, s->logits, known);
        const char *piece = tokenizer_piece(e->tokenizer, id, &bytes);
        if (!a->n_tokens) a->first_token = env_ms();
        if (is_end(e, id) && !a->o.ignore_eos) {
            a->stop = VLQA_STOP_EOS;
            break;
        }
        s->answer_token[a->n_tokens++] = id;
        if (emit(a, piece, bytes, 0)) {
            a->stop = VLQA_STOP_CALLER;
            return VLQA_OK;
        }
        if (a->n_tokens == a->o.max_tokens) break;
        if (a->n_tokens > room) {
            a->stop = VLQA_STOP_ROWS;
            break;
        }
        TRY(env_progress(&s->env, "decode", a->n_tokens, a->o.max_tokens));
        decode_row(a, id);
        TRY(s->be->op->sync(s->be));
    }
    if (emit(a, NULL, 0, 1)) a->stop = VLQA_STOP_CALLER;
    return VLQA_OK;
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
        s->item[s->n_items - 1].asked = 1;
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

static vlqa_status answer(struct ask *a)
{
    TRY(check_options(&a->s->env, &a->o));
    TRY(st_unchanged(&a->s->env, a->s->engine->files));
    TRY(plan_request(a));
    TRY(prefill(a));
    TRY(generate(a));
    return a->o.keep ? keep_turns(a) : VLQA_OK;
}

vlqa_status vlqa_ask(struct vlqa_session *s, const char *question,
                     const struct vlqa_ask_options *options, struct vlqa_answer *out)
{
    struct ask a = {.s = s, .question = question, .begin = env_ms()};
    vlqa_status status;
    TRY(session_enter(s));
    a.o = vlqa_ask_options_default();
    if (!question || !out)
        return session_leave(
            s, env_fail(&s->env, VLQA_EUSAGE, "the %s is NULL", question ? "answer" : "question"));
    status = options ? engine_options_copy(&s->env, "ask", options, &a.o, sizeof a.o) : VLQA_OK;
    if (status == VLQA_OK) status = answer(&a);
    fill_answer(&a, out);
    return session_leave(s, status);
}
