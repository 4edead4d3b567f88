/* prefill.c - full prefill behind the cached prefix; or chunks, and some of their tokens again. */
#include "fusion/ask/prefill.h"

#include "fusion/ask/fetch.h"
#include "fusion/ask/parity.h"
#include "fusion/ask/reorder.h"
#include "fusion/reuse/repair.h"
#include "fusion/session/cached_prefix.h"

#include <math.h>
#include <string.h>

#define AUTO_ADAPTIVE 0.03f /* nats */

/* All of the prompt: of a cached prefix nobody knows what InfoKV asks for. */
static vlqa_status prefill_compressed(struct ask *a)
{
    int n = a->layout.n;
    a->answer.tokens_recomputed = n;
    a->answer.exact = 1;
    a->s->n_cached_prefix = 0;
    TRY(compress_prefill(&a->compress, &a->view.run, a->s->first_logits));
    if (!a->s->kept.base) cached_prefix_set(a->s, &a->layout, n);
    return VLQA_OK;
}

static vlqa_status prefill_full(struct ask *a)
{
    int n = a->layout.n, cached = cached_prefix_count(a->s, &a->layout);
    if (cached == n) cached = n - 1; /* the last token's logits are wanted */
    a->answer.tokens_recomputed = n - cached;
    a->answer.exact = 1;
    return cached_prefix_extend(&a->view.run, "prefill", cached, n, a->s->first_logits);
}

/* ---- when the answer depends on what is still stale ---- */

/* KL(before || after) of the distributions of two rows of logits, in nats. */
static double divergence(const float *before, const float *after, int n)
{
    double max[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, kl = 0;
    for (int i = 0; i < n; i++) {
        max[0] = (double)before[i] > max[0] ? (double)before[i] : max[0];
        max[1] = (double)after[i] > max[1] ? (double)after[i] : max[1];
    }
    for (int i = 0; i < n; i++) {
        sum[0] += exp((double)before[i] - max[0]);
        sum[1] += exp((double)after[i] - max[1]);
    }
    for (int i = 0; i < n; i++) {
        double p = (double)before[i] - max[0] - log(sum[0]);
        double q = (double)after[i] - max[1] - log(sum[1]);
        kl += exp(p) * (p - q);
    }
    return kl;
}

/* Tokens between chunks are computed with every question: exact when all before them are. */
static int leading_exact(const struct layout *l)
{
    int n = l->prefix_end;
    while (n < l->n && (l->exact[n] || !l->in_segment[n]))
        n++;
    return n;
}

/* Exact tokens of chunks are full prefill's to the last bit, so they stay. */
vlqa_status prefill_rest(struct ask *a, int round)
{
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    struct choice *c = &a->choice;
    struct run_pass pass = {.slot = a->view.list, .logits = s->first_logits};
    int n = 0, exact = leading_exact(l);
    for (int i = l->prefix_end; i < l->n; i++) {
        int row = l->prompt_index[i], stale = l->in_segment[i] && !l->exact[i];
        if (l->in_segment[i] && !stale) continue;
        a->view.list[n++] = i;
        if (stale && !c->selected[row]) c->selected[row] = (uint8_t)round, c->n_selected++;
    }
    if (s->n_cached_prefix > exact) s->n_cached_prefix = exact; /* until it has gone through */
    TRY(run_pass(&a->view.run, "repair", n, &pass));
    cached_prefix_set(s, l, l->n);
    a->answer.tokens_recomputed += n;
    a->answer.exact = a->x.order == VLQA_ORDER_RASTER;
    return VLQA_OK;
}

/* Doubles the budget until a repair moves the first token no more; all tokens in the end. Scoring
 * by attention tells what the token would be without the first repair. */
static vlqa_status repair_adaptively(struct ask *a, double *mark)
{
    struct vlqa_session *s = a->s;
    int vocab = s->engine->decoder.config.vocab, round = 1;
    for (float ratio = a->o.recompute_ratio; ratio < 1; ratio *= 2, round++) {
        int answered;
        TRY(select_tokens(&a->view, round, &a->choice));
        answered = a->choice.answered;
        memcpy(s->logits, s->first_logits, (size_t)vocab * sizeof *s->logits);
        a->answer.ms_score += env_since(mark);
        TRY(repair_round(&a->view, round, &a->choice));
        a->answer.ms_repair += env_since(mark);
        if (answered && divergence(s->logits, s->first_logits, vocab) < (double)a->o.adaptive)
            return VLQA_OK;
    }
    return prefill_rest(a, round);
}

static vlqa_status repair_once(struct ask *a, double *mark)
{
    TRY(select_tokens(&a->view, 1, &a->choice));
    a->answer.ms_score += env_since(mark);
    TRY(repair_round(&a->view, 1, &a->choice));
    a->answer.ms_repair = env_since(mark);
    return VLQA_OK;
}

static vlqa_status prefill_chunks(struct ask *a)
{
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    double mark;
    TRY(fetch_context(a, (struct chunk_list){NULL, 0}));
    mark = env_ms();
    if (a->x.reorder == VLQA_REORDER_DENSITY) {
        TRY(reorder_items(a));
        a->answer.ms_score = env_since(&mark);
    }
    chunk_place(&a->view);
    a->answer.ms_assemble = env_since(&mark);
    a->choice = choose_begin(&a->view);
    if (a->o.adaptive > 0 && a->o.recompute_ratio > 0 && leading_exact(l) < l->n)
        TRY(repair_adaptively(a, &mark));
    else
        TRY(repair_once(a, &mark));
    if (s->n_cached_prefix < l->n) cached_prefix_set(s, l, leading_exact(l));
    a->answer.exact |= repair_is_whole(&a->view, &a->choice);
    return VLQA_OK;
}

/* auto: exact where that costs no more, else as the best variant does, until the answer stands. */
static void settle(struct ask *a)
{
    int cached = cached_prefix_count(a->s, &a->layout) >= a->layout.context_end;
    if (a->o.reuse != VLQA_REUSE_AUTO) return;
    a->o.reuse = cached || a->s->engine->options.no_cache ? VLQA_REUSE_OFF : VLQA_REUSE_ON;
    a->x.variant = VLQA_VARIANT_INFOFLOW;
    if (!(a->o.adaptive > 0) && !(a->x.margin > 0) && !a->x.geometry && !a->x.reorder &&
        !(a->x.taper > 0))
        a->o.adaptive = AUTO_ADAPTIVE;
}

vlqa_status prefill(struct ask *a)
{
    struct vlqa_session *s = a->s;
    settle(a);
    a->compress = compress_begin(&a->view.run, &a->x);
    if (a->x.parity)
        TRY(parity_prefill(a));
    else if (a->x.kv_block || a->x.compress == VLQA_COMPRESS_INFOKV)
        TRY(prefill_compressed(a));
    else
        TRY(a->o.reuse == VLQA_REUSE_OFF ? prefill_full(a) : prefill_chunks(a));
    memcpy(s->logits, s->first_logits, (size_t)s->engine->decoder.config.vocab * sizeof(float));
    if (!a->answer.exact) a->compress.settled = a->layout.context_end;
    return compress_tokens(&a->compress, a->layout.n, NULL);
}
