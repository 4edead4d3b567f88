/* generate.c - logits to tokens to text, until the model, the caller or a limit ends it. */
#include "fusion/ask/generate.h"

#include "fusion/engine/tensors.h"
#include "fusion/reuse/refresh.h"
#include "fusion/session/cached_prefix.h"
#include "text/utf8.h"

struct writer { /* of the answer */
    struct ask *a;
    struct sampler sampler;
    struct utf8_stream utf8;
};

static void begin_sampling(const struct ask *a, struct sampler *p)
{
    const struct vlqa_ask_options *o = &a->o;
    p->temperature = o->temperature;
    p->top_p = o->top_p;
    p->min_p = o->min_p;
    p->top_k = o->top_k;
    p->repetition_penalty = o->repetition_penalty;
    p->presence_penalty = o->presence_penalty;
    sampler_begin(p, a->s->engine->decoder.config.vocab, o->seed, &a->s->scratch.host);
    sampler_see_prompt(p, a->prompt.id, a->prompt.n);
}

/* Appends the token's text; nonzero: the caller has enough. */
static int emit(struct writer *w, const char *delta, size_t bytes, int end)
{
    struct ask *a = w->a;
    char *out = a->s->answer + a->answer.text_bytes;
    size_t n = end ? utf8_stream_end(&w->utf8, out) : utf8_stream_push(&w->utf8, delta, bytes, out);
    a->answer.text_bytes += n;
    return n && a->o.on_token && a->o.on_token(a->o.user, out, n);
}

/* The next token: the caller's, or the sampler's. */
static int32_t next_token(struct writer *w, int known)
{
    const struct vlqa_ask_options *o = &w->a->o;
    float *logits = w->a->s->logits;
    int at = w->a->answer.n_tokens;
    if (o->on_logits) o->on_logits(o->user, at, logits, w->a->s->engine->decoder.config.vocab);
    if (at < o->n_forced) return o->forced[at];
    return sampler_pick(&w->sampler, logits, known);
}

/* The last token of the answer through the decoder. */
static vlqa_status decode(struct ask *a, int32_t id)
{
    const struct layout *l = &a->layout;
    int n = a->answer.n_tokens;
    int32_t slot = l->n + n - 1, position = l->next + n - 1;
    int due = refresh_is_due(&a->view, &a->choice, n);
    if (due)
        TRY(refresh_decode(&a->view, &a->choice, n, id, slot, position));
    else
        run_token(&a->view.run, id, slot, position, NULL);
    cached_prefix_append(a->s, slot, id);
    TRY(queue_sync(a->s->queue));
    return engine_check_logits(&a->s->env, a->s->engine, a->s->queue, a->s->logits,
                               a->s->engine->decoder.config.vocab);
}

vlqa_status generate(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct vlqa_engine *e = s->engine;
    struct vlqa_answer *out = &a->answer;
    struct writer w = {.a = a};
    int known = tokenizer_count(e->tokenizer), room = s->max_seq_len - a->layout.n;
    begin_sampling(a, &w.sampler);
    for (out->stop = VLQA_STOP_LENGTH; out->n_tokens < a->o.max_tokens;) {
        size_t bytes;
        int32_t id = next_token(&w, known);
        const char *delta = tokenizer_token_bytes(e->tokenizer, id, &bytes);
        if (!out->n_tokens) out->ms_first_token = env_ms() - a->begin;
        if (engine_ends_turn(e, id) && !a->o.ignore_eos && out->n_tokens >= a->o.n_forced) {
            out->stop = VLQA_STOP_EOS;
            break;
        }
        s->answer_token[out->n_tokens++] = id;
        if (emit(&w, delta, bytes, 0)) {
            out->stop = VLQA_STOP_CALLER;
            return VLQA_OK;
        }
        if (out->n_tokens == a->o.max_tokens) break;
        if (out->n_tokens > room) {
            out->stop = VLQA_STOP_SESSION_FULL;
            break;
        }
        TRY(env_progress(&s->env, "decode", out->n_tokens, a->o.max_tokens));
        TRY(decode(a, id));
    }
    if (emit(&w, NULL, 0, 1)) out->stop = VLQA_STOP_CALLER;
    return VLQA_OK;
}
