/* generate.c - logits to tokens to text, until the model, the caller or a limit ends it. */
#include "fusion/reuse/ask.h"

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

int ask_is_end(const struct ask *a, int32_t id)
{
    const struct vlqa_engine *e = a->s->engine;
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

/* The next token: the caller's, or the sampler's. */
static int32_t next_token(struct ask *a, int known)
{
    const struct vlqa_ask_options *o = &a->o;
    float *logits = a->s->logits;
    if (o->on_logits)
        o->on_logits(o->user, a->n_tokens, logits, a->s->engine->decoder.config.vocab);
    if (a->n_tokens < o->n_forced) return o->forced[a->n_tokens];
    return sampler_pick(&a->sampler, logits, known);
}

vlqa_status ask_generate(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct vlqa_engine *e = s->engine;
    int known = tokenizer_count(e->tokenizer), room = s->max_rows - a->layout.n;
    begin_sampling(a);
    for (a->stop = VLQA_STOP_LENGTH; a->n_tokens < a->o.max_tokens;) {
        size_t bytes;
        int32_t id = next_token(a, known);
        const char *piece = tokenizer_piece(e->tokenizer, id, &bytes);
        if (!a->n_tokens) a->first_token = env_ms();
        if (ask_is_end(a, id) && !a->o.ignore_eos && a->n_tokens >= a->o.n_forced) {
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
        TRY(ask_decode(a, id));
    }
    if (emit(a, NULL, 0, 1)) a->stop = VLQA_STOP_CALLER;
    return VLQA_OK;
}
