/* parity.c - chunks, one scoring pass and one repair, each as the released code has them.
 *
 * For images (infoflow-vlm-release): chunks stand in their own order; the tokens behind the chunks
 * are computed over stale chunks and stay so; one more copy of the last token, at position T =
 * tokens of the prompt instead of its own, asks in the last two layers, heads by their L2 norm; of
 * all T tokens, template and question included, a share is recomputed, without DeepStack; then the
 * last token.
 *
 * For texts (infoflow-llm-release): the question's own tokens ask, seeing all of each other, in the
 * layers at 0.61 to 0.69 of the depth (22 to 25 of 36), mean over heads, L2 norm over tokens; a
 * share of the tokens up to the end of the context, but none of the first chunk, is recomputed, and
 * the question behind it. */
#include "fusion/ask/parity.h"

#include "fusion/ask/fetch.h"
#include "fusion/reuse/repair.h"
#include "fusion/reuse/scorer.h"

#include <string.h>

vlqa_status parity_options(struct env *env, struct vlqa_ask_options *o, struct vlqa_experimental *x)
{
    if ((unsigned)x->parity > VLQA_PARITY_INFOFLOW_LLM)
        return env_fail(env, VLQA_EUSAGE, "ask options: parity is %d, expected 0..%d",
                        (int)x->parity, VLQA_PARITY_INFOFLOW_LLM);
    if (!x->parity) return VLQA_OK;
    if (x->variant != VLQA_VARIANT_INFOFLOW || o->adaptive > 0 || x->query_draft || x->geometry ||
        x->reorder || x->taper > 0 || x->closing)
        return env_fail(env, VLQA_EUSAGE,
                        "ask options: parity is for reuse infoflow, without adaptive, drafts, "
                        "geometry, reorder, taper and closing");
    o->halo = 0;
    if (x->parity == VLQA_PARITY_INFOFLOW_VLM) x->order = VLQA_ORDER_CHUNK;
    return VLQA_OK;
}

/* From what a probe counted by slot. */
static void take_counts(struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    const float *count = c->part[0].host;
    for (int i = 0; i < l->n; i++)
        c->score[l->prompt_index[i]] = count[i];
}

/* max(1, floor(ratio * base)) of the candidates. */
static void choose(struct ask *a, const struct scorer *c, int base)
{
    const struct layout *l = &a->layout;
    int budget = select_budget(a->o.recompute_ratio, base);
    if (budget < 1) budget = 1;
    a->choice.n_selected =
        select_top(c->score, c->candidate, l->slot, l->n, budget, a->view.list, c->chosen);
    memcpy(a->choice.selected, c->chosen, (size_t)l->n);
    a->choice.score = c->score;
}

/* Slots [begin, end) that are in no chunk, into the list. */
static int slots_between(const struct ask *a, int begin, int end)
{
    int n = 0;
    for (int i = begin; i < end; i++)
        if (!a->layout.in_segment[i]) a->view.list[n++] = i;
    return n;
}

/* ---- images ---- */

static void probe_last_token(struct ask *a, struct scorer *c)
{
    int layers = a->s->kv.layers, n = a->layout.n;
    struct probe probe = {.layer = c->layer,
                          .n_query = 1,
                          .n = 1,
                          .count = {{.value = SCORE_WEIGHT,
                                     .over_heads = SCORE_HEADS_L2,
                                     .over_rows = SCORE_ROWS_SUM,
                                     .sum = scorer_sum(c, c->part[0], 1)}}};
    memset(c->layer, 0, (size_t)layers);
    c->layer[layers - 1] = 1;
    c->layer[layers > 1 ? layers - 2 : 0] = 1;
    run_token(&a->view.run, a->layout.token[n - 1], n, n, &probe);
}

static vlqa_status recompute(struct ask *a)
{
    int32_t *list = a->view.list;
    struct run_pass chosen = {.slot = list, .no_deep = 1};
    struct run_pass last = {.begin = a->layout.n - 1, .logits = a->s->first_logits};
    int n = 0;
    for (int i = 0; i < a->layout.n; i++)
        if (a->choice.selected[a->layout.prompt_index[i]]) list[n++] = i;
    a->answer.tokens_recomputed += n + 1;
    TRY(run_pass(&a->view.run, "repair", n, &chosen));
    return run_pass(&a->view.run, "repair", 1, &last);
}

static vlqa_status repair_image(struct ask *a, struct scorer *c, double *mark)
{
    const struct layout *l = &a->layout;
    struct run_pass suffix = {.slot = a->view.list, .logits = a->s->first_logits};
    int n = slots_between(a, l->prefix_end, l->n);
    if (l->n >= a->s->max_seq_len)
        return env_fail(&a->s->env, VLQA_ELIMIT,
                        "parity: the prompt has %d tokens and needs one more, the session holds %d",
                        l->n, a->s->max_seq_len);
    a->answer.tokens_recomputed += n;
    TRY(run_pass(&a->view.run, "score", n, &suffix));
    if (a->o.chunker == VLQA_CHUNK_IMAGE || a->o.chunk_k == 1)
        return VLQA_OK; /* one chunk an image: as it is */
    probe_last_token(a, c);
    TRY(scorer_take(c, 1));
    take_counts(c);
    memset(c->candidate, 1, (size_t)l->n);
    choose(a, c, l->n);
    a->answer.ms_score += env_since(mark);
    return recompute(a);
}

/* ---- texts ---- */

/* The question's tokens, those that fit one pass, see each other's keys and all before. */
static vlqa_status score_question(struct ask *a, struct scorer *c)
{
    const struct layout *l = &a->layout;
    int layers = a->s->kv.layers, end = l->question_end, before;
    int first =
        end - SESSION_PASS_TOKENS > l->context_end ? end - SESSION_PASS_TOKENS : l->context_end;
    struct probe probe = {.layer = c->layer,
                          .n_query = end - first,
                          .n = 1,
                          .count = {{.value = SCORE_WEIGHT,
                                     .over_heads = SCORE_HEADS_SUM,
                                     .over_rows = SCORE_ROWS_L2,
                                     .sum = scorer_sum(c, c->part[0], 1)}}};
    struct run_pass stale = {.slot = a->view.list};
    struct run_pass asks = {.begin = first, .probe = &probe, .see_end = end};
    memset(c->layer, 0, (size_t)layers);
    for (int i = (int)(0.61 * layers + 0.5); i <= (int)(0.69 * layers + 0.5) && i < layers; i++) {
        c->layer[i] = 1;
        asks.layer_end = i + 1;
    }
    before = slots_between(a, l->prefix_end, first);
    TRY(run_pass(&a->view.run, "score", before, &stale));
    TRY(run_pass(&a->view.run, "score", end - first, &asks));
    return scorer_take(c, 1);
}

static vlqa_status repair_text(struct ask *a, struct scorer *c, double *mark)
{
    const struct layout *l = &a->layout;
    if (l->question_end == l->context_end)
        return env_fail(&a->s->env, VLQA_EUSAGE,
                        "parity: the question has no tokens that could ask");
    TRY(score_question(a, c));
    take_counts(c);
    memset(c->candidate, 0, (size_t)l->n);
    for (int i = 0; i < l->context_end; i++)
        c->candidate[l->prompt_index[i]] = l->in_segment[i];
    for (int r = 0; l->n_segments && r < l->segment[0].tokens; r++)
        c->candidate[l->prompt_index[l->segment_slot[r]]] = 0;
    choose(a, c, l->context_end);
    a->answer.ms_score += env_since(mark);
    return repair_round(&a->view, 1, &a->choice);
}

vlqa_status parity_prefill(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct scorer c;
    struct workspace_used at;
    double mark;
    TRY(fetch_context(a, (struct chunk_list){NULL, 0}));
    mark = env_ms();
    chunk_place(&a->view);
    a->answer.ms_assemble = env_since(&mark);
    a->choice = choose_begin(&a->view);
    at = workspace_mark(&s->request);
    c = scorer_begin(&a->view, s->token_score, a->choice.selected);
    TRY(a->x.parity == VLQA_PARITY_INFOFLOW_VLM ? repair_image(a, &c, &mark)
                                                : repair_text(a, &c, &mark));
    workspace_rewind(&s->request, at);
    a->answer.ms_repair += env_since(&mark);
    return VLQA_OK;
}
