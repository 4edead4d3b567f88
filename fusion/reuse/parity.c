/* parity.c - what released code of InfoFlow KV does, defects included: to compare with, not to use.
 *
 * For images (infoflow-vlm-release): chunks stand in their own order; the rows behind the chunks
 * are computed over stale chunks and stay so; one more copy of the last row, at position T = rows
 * of the prompt instead of its own, asks in the last two layers, heads by their L2 norm; of all T
 * rows, template and question included, a share is computed again, without DeepStack; then the last
 * row.
 *
 * For texts (infoflow-llm-release): the question's own tokens ask, seeing all of each other, in the
 * layers at 0.61 to 0.69 of the depth (22 to 25 of 36), mean over heads, L2 norm over rows; a share
 * of the rows up to the end of the context, but none of the first chunk, is computed again, and the
 * question behind it. */
#include "fusion/reuse/ask.h"
#include "fusion/reuse/choose.h"
#include "fusion/reuse/select.h"

#include <string.h>

struct work {
    uint8_t *candidate, *chosen, *layer;
};

static struct work push_work(struct ask *a)
{
    struct arena *mem = &a->s->request;
    size_t n = (size_t)a->layout.n, layers = (size_t)a->s->kv.layers;
    struct work w = {.candidate = arena_push_zero(mem, n), .chosen = arena_push(mem, n)};
    w.layer = arena_push_zero(mem, layers);
    a->score = a->s->row_score;
    memset(a->score, 0, (size_t)a->s->max_rows * sizeof *a->score);
    return w;
}

/* max(1, floor(ratio * base)) of the candidates. */
static void choose(struct ask *a, struct work *w, int base)
{
    int budget = select_budget(a->o.recompute_ratio, base);
    if (budget < 1) budget = 1;
    a->n_selected = select_top(a->score, w->candidate, a->layout.n, budget, a->list, w->chosen);
    for (int i = 0; i < a->layout.n; i++)
        a->selected[i] = w->chosen[i];
}

/* Rows [begin, end) that are in no chunk, into a->list. */
static int rows_between(const struct ask *a, int begin, int end)
{
    int n = 0;
    for (int i = begin; i < end; i++)
        if (!a->layout.in_piece[i]) a->list[n++] = i;
    return n;
}

/* ---- images ---- */

static void score_last_row(struct ask *a, struct work *w)
{
    int layers = a->s->kv.layers, n = a->layout.n;
    struct tap tap = {.layer = w->layer,
                      .rows = 1,
                      .n = 1,
                      .count = {{.value = SCORE_WEIGHT,
                                 .over_heads = SCORE_HEADS_L2,
                                 .over_rows = SCORE_ROWS_SUM,
                                 .slot = a->score}}};
    w->layer[layers - 1] = 1;
    w->layer[layers > 1 ? layers - 2 : 0] = 1;
    ask_row(a, a->layout.token[n - 1], n, n, &tap);
}

static vlqa_status recompute(struct ask *a)
{
    struct ask_pass chosen = {.row = a->list, .slot = -1, .no_deep = 1};
    struct ask_pass last = {.row = a->list, .slot = -1, .logits = a->s->first_logits};
    int n = 0;
    for (int i = 0; i < a->layout.n; i++)
        if (a->selected[i]) a->list[n++] = i;
    a->n_recomputed += n + 1;
    TRY(ask_run(a, "repair", n, &chosen));
    a->list[0] = a->layout.n - 1;
    return ask_run(a, "repair", 1, &last);
}

static vlqa_status repair_image(struct ask *a, double *mark)
{
    const struct layout *l = &a->layout;
    struct ask_pass suffix = {.row = a->list, .slot = -1, .logits = a->s->first_logits};
    struct work w = push_work(a);
    int n = rows_between(a, l->prefix_end, l->n);
    if (l->n >= a->s->max_rows)
        return env_fail(&a->s->env, VLQA_ELIMIT,
                        "parity: the prompt has %d rows and needs one more, the session holds %d",
                        l->n, a->s->max_rows);
    a->n_recomputed += n;
    TRY(ask_run(a, "score", n, &suffix));
    if (a->o.chunker == VLQA_CHUNK_IMAGE || a->o.chunk_k == 1) {
        a->score = NULL;
        return VLQA_OK; /* one chunk an image: as it is */
    }
    score_last_row(a, &w);
    TRY(a->s->be->op->sync(a->s->be));
    memset(w.candidate, 1, (size_t)l->n);
    choose(a, &w, l->n);
    a->ms_score += ask_since(mark);
    return recompute(a);
}

/* ---- texts ---- */

/* The question's rows, those that fit one pass, see each other's keys and all before. */
static vlqa_status score_question(struct ask *a, struct work *w)
{
    const struct layout *l = &a->layout;
    int layers = a->s->kv.layers, end = a->question_end, before;
    int first = end - SESSION_PASS_ROWS > l->context_end ? end - SESSION_PASS_ROWS : l->context_end;
    struct tap tap = {.layer = w->layer,
                      .rows = end - first,
                      .n = 1,
                      .count = {{.value = SCORE_WEIGHT,
                                 .over_heads = SCORE_HEADS_SUM,
                                 .over_rows = SCORE_ROWS_L2,
                                 .slot = a->score}}};
    struct ask_pass stale = {.row = a->list, .slot = -1};
    struct ask_pass asks = {.row = l->slot + first, .slot = -1, .tap = &tap, .see_end = end};
    for (int i = (int)(0.61 * layers + 0.5); i <= (int)(0.69 * layers + 0.5) && i < layers; i++) {
        w->layer[i] = 1;
        asks.layer_end = i + 1;
    }
    before = rows_between(a, l->prefix_end, first);
    TRY(ask_run(a, "score", before, &stale));
    TRY(ask_run(a, "score", end - first, &asks));
    return a->s->be->op->sync(a->s->be);
}

static vlqa_status repair_text(struct ask *a, double *mark)
{
    const struct layout *l = &a->layout;
    struct work w = push_work(a);
    if (a->question_end == l->context_end)
        return env_fail(&a->s->env, VLQA_EUSAGE, "parity: the question has no rows that could ask");
    TRY(score_question(a, &w));
    for (int i = 0; i < l->context_end; i++)
        w.candidate[i] = l->in_piece[i];
    for (int r = 0; l->n_pieces && r < l->piece[0].rows; r++)
        w.candidate[l->piece_slot[r]] = 0;
    choose(a, &w, l->context_end);
    a->ms_score += ask_since(mark);
    return ask_repair(a, 1);
}

vlqa_status parity_repair(struct ask *a, double *mark)
{
    size_t at = arena_mark(&a->s->request);
    TRY(a->o.parity == VLQA_PARITY_INFOFLOW_VLM ? repair_image(a, mark) : repair_text(a, mark));
    a->ms_repair += ask_since(mark);
    arena_rewind(&a->s->request, at);
    return VLQA_OK;
}
