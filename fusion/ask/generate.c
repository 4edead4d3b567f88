/* generate.c - logits to tokens to text, until the model, the caller or a limit ends it. */
#include "fusion/ask/generate.h"

#include "base/thinking.h"
#include "fusion/ask/certain.h"
#include "fusion/ask/writer.h"
#include "fusion/engine/tensors.h"
#include "fusion/reuse/refresh.h"
#include "fusion/session/cached_prefix.h"
#include "kernels/comm.h"

#include <math.h>

#define OPENING_TOKENS 64 /* of the prompt, behind its last control token */

static void begin_sampling(const struct ask *a, struct sampler *p)
{
    const struct vlqa_ask_options *o = &a->o;
    p->temperature = o->temperature;
    p->top_p = o->top_p;
    p->min_p = o->min_p;
    p->top_k = o->top_k;
    p->repetition_penalty = o->repetition_penalty;
    p->presence_penalty = o->presence_penalty;
    p->bias_token = o->bias_token;
    p->bias = o->bias;
    p->n_bias = o->n_bias;
    sampler_begin(p, a->s->engine->decoder.config.vocab, o->seed, &a->s->scratch.host);
    sampler_see_prompt(p, a->prompt.id, a->prompt.n);
}

/* The text of a token; the tags of thoughts count also where they are control tokens. */
static const char *text_of(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    static const char *const tag[] = {THINKING_OPEN, THINKING_CLOSE};
    for (int i = 0; i < 2 && tokenizer_is_special(t, id); i++) {
        *bytes = strlen(tag[i]);
        if (tokenizer_added(t, tag[i]) == id) return tag[i];
    }
    return tokenizer_token_bytes(t, id, bytes);
}

/* The prompt ends within thoughts: what opens the answer has a <think> and no </think> behind it.
 */
static int prompt_opens_thoughts(const struct ask *a)
{
    const struct tokenizer *t = a->s->engine->tokenizer;
    char tail[1024];
    size_t used = 0, bytes;
    int n = a->prompt.n, at = n;
    while (at > 0 && n - at < OPENING_TOKENS) {
        int32_t id = a->prompt.id[at - 1];
        (void)text_of(t, id, &bytes);
        if (tokenizer_is_special(t, id) && !bytes) break;
        at--;
    }
    for (; at < n; at++) {
        const char *text = text_of(t, a->prompt.id[at], &bytes);
        if (bytes > sizeof tail - used) return 0;
        if (bytes) memcpy(tail + used, text, bytes);
        used += bytes;
    }
    return thinking_is_left_open(tail, used);
}

/* The next token: the caller's, or the sampler's. */
static vlqa_status next_token(struct ask *a, struct sampler *sampler, int known, int32_t *id)
{
    const struct vlqa_ask_options *o = &a->o;
    float *logits = a->s->logits;
    int at = a->answer.n_tokens;
    if (o->on_logits) o->on_logits(o->user, at, logits, a->s->engine->decoder.config.vocab);
    *id = at < o->n_forced ? o->forced[at] : sampler_pick(sampler, logits, known);
    *id = comm_choose(a->s->engine->options.ranks, *id);
    if (at < o->n_forced || logits[*id] > -INFINITY) return VLQA_OK;
    return env_fail(&a->s->env, VLQA_EUSAGE, "ask options: the bias forbids every token");
}

/* The last token of the answer through the decoder. */
static vlqa_status decode(struct ask *a, int32_t id)
{
    const struct layout *l = &a->layout;
    int n = a->answer.n_tokens;
    int32_t slot = l->n + n - 1, position = l->next + n - 1;
    int due = refresh_is_due(&a->view, &a->choice, n);
    TRY(compress_tokens(&a->compress, slot, a->s->answer_token));
    if (due)
        TRY(refresh_decode(&a->view, &a->choice, n, id, slot, position));
    else
        run_token(&a->view.run, id, slot, position, NULL);
    cached_prefix_append(a->s, slot, id);
    TRY(queue_sync(a->s->queue));
    return engine_check_logits(&a->s->env, a->s->engine, a->s->queue, a->s->logits,
                               a->s->engine->decoder.config.vocab);
}

/* Tokens until something ends the answer; out->stop says what. */
static vlqa_status write_tokens(struct ask *a, struct writer *w)
{
    struct vlqa_session *s = a->s;
    struct vlqa_engine *e = s->engine;
    struct vlqa_answer *out = &a->answer;
    struct sampler sampler;
    int known = tokenizer_count(e->tokenizer), room = s->max_seq_len - a->layout.n;
    begin_sampling(a, &sampler);
    for (out->stop = VLQA_STOP_LENGTH; out->n_tokens < a->o.max_tokens;) {
        size_t bytes;
        const char *delta;
        int32_t id;
        int enough;
        TRY(certain_check(a));
        TRY(next_token(a, &sampler, known, &id));
        delta = text_of(e->tokenizer, id, &bytes);
        if (!out->n_tokens) out->ms_first_token = env_ms() - a->begin;
        if (engine_ends_turn(e, id) && !a->o.ignore_eos && out->n_tokens >= a->o.n_forced) {
            out->stop = VLQA_STOP_EOS;
            break;
        }
        s->answer_token[out->n_tokens++] = id;
        enough = writer_put(w, delta, bytes);
        if (enough || out->n_tokens == a->o.max_tokens) break;
        if (out->n_tokens > room) {
            out->stop = VLQA_STOP_SESSION_FULL;
            break;
        }
        TRY(comm_progress(s->queue->ranks, &s->env, "decode", out->n_tokens, a->o.max_tokens));
        TRY(decode(a, id));
    }
    writer_end(w);
    if (w->stop_text >= 0) out->stop = VLQA_STOP_TEXT;
    if (w->enough) out->stop = VLQA_STOP_CALLER;
    return VLQA_OK;
}

/* What a callback returns counts on rank 0, for all ranks: they tell the same texts. */
static int tell(const struct ask *a, vlqa_token_fn fn, const char *utf8, size_t bytes)
{
    int enough = fn && fn(a->o.user, utf8, bytes);
    return comm_choose(a->s->engine->options.ranks, enough);
}

static int tell_answer(void *user, const char *utf8, size_t bytes)
{
    const struct ask *a = user;
    return tell(a, a->o.on_token, utf8, bytes);
}

static int tell_thinking(void *user, const char *utf8, size_t bytes)
{
    const struct ask *a = user;
    return tell(a, a->o.on_thinking, utf8, bytes);
}

vlqa_status generate(struct ask *a)
{
    struct vlqa_ask_options o = a->o;
    struct writer w;
    vlqa_status status;
    o.on_token = tell_answer;
    o.on_thinking = tell_thinking;
    o.user = a;
    writer_begin(&w, &o, a->s->answer, prompt_opens_thoughts(a));
    status = write_tokens(a, &w);
    writer_give(&w, &a->answer);
    return status;
}
