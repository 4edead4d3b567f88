/* options.c - the caller's options over the defaults, each in its range. */
#include "fusion/ask/options.h"

#include "fusion/ask/parity.h"
#include "fusion/reuse/evidence.h"
#include "fusion/reuse/layer_set.h"
#include "text/utf8.h"

#include <math.h>
#include <string.h>

#define MAX_STOP_TEXTS 64
#define MAX_STOP_BYTES 1024

static vlqa_status check_sampling(struct env *env, const struct vlqa_ask_options *o)
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

static vlqa_status check_stop_texts(struct env *env, const struct vlqa_ask_options *o)
{
    if (o->n_stop_text < 0 || o->n_stop_text > MAX_STOP_TEXTS || (o->n_stop_text && !o->stop_text))
        return env_fail(env, VLQA_EUSAGE, "ask options: %d stop texts at %s, expected 0..%d",
                        o->n_stop_text, o->stop_text ? "their place" : "NULL", MAX_STOP_TEXTS);
    for (int i = 0; i < o->n_stop_text; i++) {
        const char *text = o->stop_text[i];
        size_t bytes = text ? strlen(text) : 0;
        if (!bytes || bytes > MAX_STOP_BYTES)
            return env_fail(env, VLQA_EUSAGE,
                            "ask options: stop text %d has %zu bytes, expected 1..%d", i, bytes,
                            MAX_STOP_BYTES);
        if (utf8_valid(text, bytes) < bytes)
            return env_fail(env, VLQA_ETEXT, "ask options: stop text %d is not UTF-8", i);
    }
    return VLQA_OK;
}

/* A larger one would leave nothing of the logits in 24 bits. */
#define MOST_BIAS 1e6f

static vlqa_status check_bias(struct env *env, const struct vlqa_ask_options *o, int vocab)
{
    if (o->n_bias < 0 || (o->n_bias && (!o->bias_token || !o->bias)))
        return env_fail(env, VLQA_EUSAGE, "ask options: %d biases at %s", o->n_bias,
                        o->bias_token && o->bias ? "their place" : "NULL");
    for (int i = 0; i < o->n_bias; i++) {
        if (o->bias_token[i] < 0 || o->bias_token[i] >= vocab)
            return env_fail(env, VLQA_EUSAGE, "ask options: bias of token %d, expected 0..%d",
                            o->bias_token[i], vocab - 1);
        if (!(fabsf(o->bias[i]) <= MOST_BIAS) && o->bias[i] != -INFINITY) /* NaN, too */
            return env_fail(env, VLQA_EUSAGE,
                            "ask options: bias of token %d is %g, expected -%g to %g, or -inf",
                            o->bias_token[i], (double)o->bias[i], (double)MOST_BIAS,
                            (double)MOST_BIAS);
    }
    return VLQA_OK;
}

static vlqa_status check_layers(struct env *env, const char *name, const uint64_t set[2],
                                int layers)
{
    int end = layer_set_end(set);
    if (end <= layers) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE, "ask options: %s has layer %d, the model has 0 to %d", name,
                    end - 1, layers - 1);
}

static vlqa_status check_layout(struct env *env, const struct vlqa_ask_options *o,
                                const struct vlqa_experimental *x)
{
    if ((unsigned)x->order > VLQA_ORDER_CHUNK)
        return env_fail(env, VLQA_EUSAGE, "ask options: order is %d, expected 0..%d", (int)x->order,
                        VLQA_ORDER_CHUNK);
    if ((unsigned)x->geometry > VLQA_GEOMETRY_HLTP || (unsigned)x->reorder > VLQA_REORDER_DENSITY)
        return env_fail(
            env, VLQA_EUSAGE, "ask options: geometry is %d, reorder %d; expected 0..%d, 0..%d",
            (int)x->geometry, (int)x->reorder, VLQA_GEOMETRY_HLTP, VLQA_REORDER_DENSITY);
    if (x->geometry != VLQA_GEOMETRY_GLOBAL && o->adaptive > 0)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: adaptive looks at repaired tokens, which no geometry but the "
                        "global one leaves in place");
    if ((unsigned)o->text_chunker > VLQA_TEXT_PASSAGE)
        return env_fail(env, VLQA_EUSAGE, "ask options: text_chunker is %d, expected 0..%d",
                        (int)o->text_chunker, VLQA_TEXT_PASSAGE);
    if (o->halo < LAYOUT_HALO_AUTO || o->halo > 4096)
        return env_fail(env, VLQA_EUSAGE, "ask options: halo is %d, expected -1..4096", o->halo);
    return VLQA_OK;
}

static vlqa_status check_reuse(struct env *env, const struct vlqa_ask_options *o)
{
    if ((unsigned)o->reuse > VLQA_REUSE_AUTO || (unsigned)o->chunker > VLQA_CHUNK_STRIPS)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: reuse is %d, chunker %d; expected 0..%d, 0..%d",
                        (int)o->reuse, (int)o->chunker, VLQA_REUSE_AUTO, VLQA_CHUNK_STRIPS);
    if (!(o->recompute_ratio >= 0 && o->recompute_ratio <= 1))
        return env_fail(env, VLQA_EUSAGE, "ask options: recompute_ratio is %g, expected 0..1",
                        (double)o->recompute_ratio);
    if (o->chunk_k < 1 || o->chunk_k > 256 || o->chunk_text_tokens < 1)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: chunk_k is %d, chunk_text_tokens %d; expected 1..256, 1 or more",
            o->chunk_k, o->chunk_text_tokens);
    if (!(o->adaptive >= 0 && o->adaptive <= 100))
        return env_fail(env, VLQA_EUSAGE, "ask options: adaptive is %g, expected 0..100",
                        (double)o->adaptive);
    return VLQA_OK;
}

static vlqa_status check_margin(struct env *env, const struct vlqa_experimental *x)
{
    if (!(x->margin >= 0 && x->margin <= 1e6))
        return env_fail(env, VLQA_EUSAGE, "ask options: margin is %g, expected 0..1000000",
                        x->margin);
    if (x->margin > 0 && (x->order || x->reorder || x->parity))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: margin leads to full prefill, and order, reorder and parity "
                        "away from it");
    return VLQA_OK;
}

static vlqa_status check_experimental(struct env *env, const struct vlqa_ask_options *o,
                                      const struct vlqa_experimental *x, int layers)
{
    if ((unsigned)x->variant > VLQA_VARIANT_KVSHARE || (unsigned)x->budget_base > VLQA_BASE_ALL ||
        (unsigned)x->score > VLQA_SCORE_COMBINED || (unsigned)x->query_tokens > VLQA_QUERY_LAST)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: variant, budget_base, score or query_tokens is no value of its "
            "enum");
    if (!(x->taper >= 0 && x->taper <= 1) || (x->taper > 0 && o->adaptive > 0))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: taper is %g, expected 0..1 and 0 with adaptive",
                        (double)x->taper);
    if (x->query_draft < 0 || x->query_draft > 1024)
        return env_fail(env, VLQA_EUSAGE, "ask options: query_draft is %d, expected 0..1024",
                        x->query_draft);
    if (x->closing < 0 || x->closing > 8)
        return env_fail(env, VLQA_EUSAGE, "ask options: closing is %d, expected 0..8", x->closing);
    if (x->refresh_every < 1 || x->refresh_tokens < 0)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: refresh_every is %d, refresh_tokens %d; expected 1 or more, 0 "
            "or more",
            x->refresh_every, x->refresh_tokens);
    TRY(check_margin(env, x));
    TRY(check_layers(env, "probe_layers", x->probe_layers, layers));
    return check_layers(env, "check_layers", x->check_layers, layers);
}

static vlqa_status check_budget(struct env *env, const struct vlqa_experimental *x)
{
    if ((unsigned)x->compress > VLQA_COMPRESS_UNIFORM)
        return env_fail(env, VLQA_EUSAGE, "ask options: compress is %d, expected 0..%d",
                        (int)x->compress, VLQA_COMPRESS_UNIFORM);
    if (x->kv_budget < 0 || !(x->kv_ratio > 0 && x->kv_ratio <= 1))
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: kv_budget is %d, kv_ratio %g; expected 0 or more, above 0 and "
            "up to 1",
            x->kv_budget, (double)x->kv_ratio);
    if (x->kv_window < 1 || x->kv_window > SESSION_PASS_TOKENS || x->kv_step < x->kv_window)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: kv_window is %d, kv_step %d; expected 1..%d, and no less than "
            "kv_window",
            x->kv_window, x->kv_step, SESSION_PASS_TOKENS);
    if (x->kv_block && (x->kv_block < x->kv_window || x->kv_block > SESSION_PASS_TOKENS))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: kv_block is %d, expected 0, or kv_window (%d) to %d",
                        x->kv_block, x->kv_window, SESSION_PASS_TOKENS);
    if (!(x->kv_entropy >= 0 && x->kv_entropy <= 1) || x->kv_top < 1 || x->kv_top > 64)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: kv_entropy is %g, kv_top %d; expected 0..1, 1..64",
                        (double)x->kv_entropy, x->kv_top);
    return VLQA_OK;
}

/* What needs to see all of the KV, or more of its tokens than are left. */
static vlqa_status check_compress(struct env *env, const struct vlqa_ask_options *o,
                                  const struct vlqa_experimental *x, int ranks)
{
    int by_blocks = x->kv_block || x->compress == VLQA_COMPRESS_INFOKV;
    TRY(check_budget(env, x));
    if (x->compress == VLQA_COMPRESS_OFF) return VLQA_OK;
    if (ranks > 1)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: compress is for one process, and there are %d ranks: ask one",
                        ranks);
    if (x->parity || x->variant == VLQA_VARIANT_KVSHARE)
        return env_fail(env, VLQA_EUSAGE, "ask options: %s looks at tokens that compress drops",
                        x->parity ? "parity" : "variant kvshare");
    if (x->margin > 0)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: margin asks for all of the prompt, of which compress drops "
                        "tokens");
    if (by_blocks && (o->reuse != VLQA_REUSE_OFF || x->variant))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: %s asks something of each token while it is computed, which "
                        "tokens of chunks are not: set reuse to off",
                        x->kv_block ? "kv_block" : "compress infokv");
    return VLQA_OK;
}

/* The caller's over the defaults. */
static vlqa_status take(struct vlqa_session *s, const struct vlqa_ask_options *from,
                        struct vlqa_ask_options *o, struct vlqa_experimental *x)
{
    struct env *env = &s->env;
    *o = vlqa_ask_options_default();
    *x = vlqa_experimental_default();
    if (from) TRY(abi_take(env, "ask", from, o, sizeof *o, ASK_OPTIONS_LEAST));
    if (!o->experimental) return VLQA_OK;
    if (!s->options.experimental)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: experimental is set, but the session has no memory for it: "
                        "open it with experimental = 1 in its options");
    return abi_take(env, "experimental", o->experimental, x, sizeof *x, EXPERIMENTAL_LEAST);
}

static vlqa_status check_evidence(struct env *env, const struct vlqa_ask_options *o)
{
    if (o->evidence_max < 0 || o->evidence_max > EVIDENCE_MAX ||
        !(o->evidence_share >= 0 && o->evidence_share <= 1))
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: evidence_max is %d, evidence_share %g; expected 0..%d, 0..1",
                        o->evidence_max, (double)o->evidence_share, EVIDENCE_MAX);
    return VLQA_OK;
}

vlqa_status options_read(struct vlqa_session *s, const struct vlqa_ask_options *from,
                         struct vlqa_ask_options *o, struct vlqa_experimental *x)
{
    struct env *env = &s->env;
    const struct decoder_config *c = &s->engine->decoder.config;
    TRY(take(s, from, o, x));
    TRY(check_sampling(env, o));
    TRY(check_reuse(env, o));
    TRY(check_experimental(env, o, x, c->layers));
    TRY(check_layout(env, o, x));
    TRY(check_compress(env, o, x, vlqa_ranks_count(s->engine->options.ranks)));
    if (x->variant == VLQA_VARIANT_ORACLE && s->engine->options.ranks)
        return env_fail(
            env, VLQA_EUSAGE,
            "ask options: variant oracle looks at chunks one by one, which several ranks "
            "have between them: ask one process");
    TRY(check_evidence(env, o));
    if (x->variant)
        o->reuse = VLQA_REUSE_ON;
    else if (o->reuse == VLQA_REUSE_ON)
        x->variant = VLQA_VARIANT_INFOFLOW;
    TRY(parity_options(env, o, x));
    TRY(check_stop_texts(env, o));
    TRY(check_bias(env, o, c->vocab));
    return check_forced(env, o, c->vocab);
}
