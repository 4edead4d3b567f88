/* ask.c - one question: the prompt on paper, tokens through the decoder, tokens out. */
#include "fusion/ask/request.h"

#include "fusion/ask/fetch.h"
#include "fusion/ask/generate.h"
#include "fusion/ask/options.h"
#include "fusion/ask/plan.h"
#include "fusion/ask/prefill.h"
#include "fusion/engine/tensors.h"
#include "fusion/reuse/attention.h"
#include "fusion/reuse/evidence.h"
#include "fusion/session/together.h"
#include "kernels/comm.h"

#include <string.h>
#include <sys/resource.h>

/* Where parts of the answer will be, and what is known before it is asked. */
static void begin(struct ask *a, struct vlqa_session *s, const char *question)
{
    *a = (struct ask){.s = s, .question = question, .begin = env_ms()};
    a->view = (struct view){.run = {.s = s, .layout = &a->layout, .flops = &a->answer.flops},
                            .o = &a->o,
                            .x = &a->x,
                            .answer = &a->answer};
    s->answer[0] = 0;
    s->kept.base = s->kept.behind = 0;
    a->answer = (struct vlqa_answer){.text = s->answer,
                                     .thinking = s->answer,
                                     .stop_text = -1,
                                     .token = s->answer_token,
                                     .prompt_token = s->prompt_token,
                                     .visual_ram = s->visual_ram,
                                     .visual_disk = s->visual_disk,
                                     .visual_computed = s->visual_computed,
                                     .image = s->placed_image,
                                     .chunk = s->placed_chunk,
                                     .evidence = s->evidence,
                                     .ms_vision = s->ms_vision,
                                     .ms_decode_image = s->ms_decode_image};
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
        status = session_append(s, PROMPT_ASSISTANT, a->answer.text, a->answer.text_bytes);
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

/* Order and chance say nothing about the picture. */
static int wants_evidence(const struct ask *a)
{
    enum vlqa_variant by = a->x.variant;
    int silent = by == VLQA_VARIANT_EPIC || by == VLQA_VARIANT_VLCACHE || by == VLQA_VARIANT_RANDOM;
    return a->s->n_images && a->o.evidence_max && !silent && !a->x.kv_block;
}

static vlqa_status find_evidence(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct evidence_bounds bounds = {a->o.evidence_max, a->o.evidence_share};
    if (!wants_evidence(a)) return VLQA_OK;
    if (!a->choice.score) TRY(attention_take(&a->view, &a->choice));
    a->answer.n_evidence = evidence_find(a->choice.score, a->prompt.n, s->placed_image, s->n_images,
                                         bounds, &s->scratch.host, s->evidence);
    return VLQA_OK;
}

/* Of what ranks are asked: the conversation, the question and the options that lead to other work.
 */
static struct key key_of_ask(const struct ask *a)
{
    const struct vlqa_ask_options *o = &a->o;
    const struct vlqa_experimental *x = &a->x;
    const int64_t work[] = {
        o->max_tokens,  o->keep,       o->n_forced,          o->reuse,         o->chunker,
        o->chunk_k,     o->halo,       o->chunk_text_tokens, o->text_chunker,  o->n_bias,
        o->n_stop_text, o->ignore_eos, o->evidence_max,      x->variant,       x->budget_base,
        x->order,       x->score,      x->query_tokens,      x->query_draft,   x->geometry,
        x->reorder,     x->parity,     x->closing,           x->refresh_every, x->refresh_tokens,
        x->compress,    x->stand_ins};
    const uint64_t layers[] = {x->probe_layers[0], x->probe_layers[1], x->check_layers[0],
                               x->check_layers[1]};
    const float ratio[] = {o->recompute_ratio, o->adaptive, o->temperature, x->taper,
                           (float)x->margin};
    struct hash h;
    hash_begin(&h, "vlqa ask");
    together_hash(a->s, &h);
    hash_text(&h, a->question);
    hash_u64(&h, o->seed);
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        hash_u64(&h, (uint64_t)work[i]);
    hash_bytes(&h, layers, sizeof layers);
    hash_bytes(&h, ratio, sizeof ratio);
    return hash_end(&h);
}

/* Templates and the session's length are in it, too. */
static vlqa_status same_prompt(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct hash h;
    if (!s->queue->ranks) return VLQA_OK;
    hash_begin(&h, "vlqa prompt");
    hash_u64(&h, (uint64_t)s->max_seq_len);
    hash_bytes(&h, a->prompt.id, (size_t)a->prompt.n * sizeof *a->prompt.id);
    return comm_same(s->queue->ranks, &s->env, "the prompt", hash_end(&h).b);
}

static vlqa_status prepare(struct ask *a, const struct vlqa_ask_options *options)
{
    struct vlqa_session *s = a->s;
    vlqa_status read = options_read(s, options, &a->o, &a->x);
    struct key key = {{0}};
    if (read == VLQA_OK) key = key_of_ask(a);
    TRY(together_begin(s, "the question", key));
    TRY(read);
    s->queue->single_launches = a->x.single_launches != 0;
    TRY(plan_build(s, a->question, NULL, &a->prompt, &a->layout));
    return same_prompt(a);
}

static vlqa_status answer(struct ask *a, const struct vlqa_ask_options *options)
{
    vlqa_status status, found;
    struct workspace_used mark;
    TRY(prepare(a, options));
    if (wants_evidence(a)) attention_begin(&a->view, &a->last_token);
    TRY(prefill(a));
    a->view.run.last = NULL;
    a->view.run.flops = NULL; /* the answer's tokens do not count */
    a->answer.logits = a->s->first_logits;
    a->answer.n_logits = a->s->engine->decoder.config.vocab;
    TRY(engine_check_logits(&a->s->env, a->s->engine, a->s->queue, a->s->first_logits,
                            a->answer.n_logits));
    a->answer.ms_prefill = env_ms() - a->begin;
    mark = workspace_mark(&a->s->scratch);
    status = generate(a); /* may repair more tokens */
    workspace_rewind(&a->s->scratch, mark);
    found = find_evidence(a);
    TRY(status);
    TRY(found);
    if (!a->o.keep) return VLQA_OK;
    TRY(together_agree(a->s));
    return keep_turns(a);
}

static vlqa_status warm(struct ask *a, const struct vlqa_ask_options *options)
{
    TRY(prepare(a, options));
    return fetch_context(a, (struct chunk_list){NULL, 0});
}

static void end_answer(struct ask *a)
{
    const struct prompt *p = &a->prompt;
    struct vlqa_answer *out = &a->answer;
    struct rusage usage;
    out->tokens_total = p->n;
    out->tokens_prefix = p->prefix_end;
    out->tokens_context = p->context_end - p->prefix_end;
    out->tokens_question = p->n - p->context_end;
    out->n_images = p->n ? a->s->n_images : 0;
    out->tokens_selected = a->choice.n_selected;
    out->token_selected = a->choice.selected;
    out->token_score = a->choice.score;
    out->exact &= !a->s->kept.base;
    out->ms_total = env_ms() - a->begin;
    if (out->ms_first_token > 0) out->ms_decode = out->ms_total - out->ms_first_token;
    if (getrusage(RUSAGE_SELF, &usage) == 0) out->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

static vlqa_status finish(struct ask *a, vlqa_status status, struct vlqa_answer *out, size_t bytes)
{
    vlqa_status released = chunk_release(&a->view);
    if (status == VLQA_OK) status = released;
    end_answer(a);
    if (out) abi_give(out, bytes, &a->answer, sizeof a->answer);
    store_settle(&a->s->env, a->s->engine->store);
    status = together_end(a->s, status);
    /* Where one rank has failed others may have come further: no rank has what not all have. */
    if (status != VLQA_OK && a->s->engine->options.ranks) a->s->n_cached_prefix = 0;
    return session_leave(a->s, status);
}

vlqa_status vlqa_ask(struct vlqa_session *s, const char *question,
                     const struct vlqa_ask_options *options, struct vlqa_answer *out, size_t bytes)
{
    struct ask a;
    vlqa_status status;
    TRY(session_enter(s));
    if (!question || !out)
        return session_leave(
            s, env_fail(&s->env, VLQA_EUSAGE, "the %s is NULL", question ? "answer" : "question"));
    status = abi_check(&s->env, "answer", bytes, ANSWER_LEAST);
    if (status != VLQA_OK) return session_leave(s, status);
    begin(&a, s, question);
    return finish(&a, answer(&a, options), out, bytes);
}

vlqa_status vlqa_warm(struct vlqa_session *s, const struct vlqa_ask_options *options,
                      struct vlqa_answer *out, size_t bytes)
{
    struct ask a;
    vlqa_status status;
    TRY(session_enter(s));
    status = out ? abi_check(&s->env, "answer", bytes, ANSWER_LEAST) : VLQA_OK;
    if (status != VLQA_OK) return session_leave(s, status);
    begin(&a, s, "");
    status = warm(&a, options);
    if (status == VLQA_OK && store_flush(&s->env, s->engine->store) != VLQA_OK)
        s->env.message[0] = 0; /* the log has it: chunks are there, if not on disk */
    return finish(&a, status, out, bytes);
}
