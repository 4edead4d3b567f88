/* score_attention.c - rows by what the question attends to: InfoFlow KV and ProphetKV. */
#include "fusion/ask.h"
#include "fusion/choose.h"

#include <string.h>

static struct tap_count count_of(enum vlqa_score score, float *slot)
{
    static const struct tap_count kinds[] = {
        [VLQA_SCORE_NORM] = {SCORE_WEIGHT, SCORE_HEADS_SUM, SCORE_ROWS_L2, NULL, 0},
        [VLQA_SCORE_MASS] = {SCORE_WEIGHT, SCORE_HEADS_SUM, SCORE_ROWS_SUM, NULL, 0},
        [VLQA_SCORE_MAX] = {SCORE_WEIGHT, SCORE_HEADS_MAX, SCORE_ROWS_SUM, NULL, 0},
        [VLQA_SCORE_ENTROPY] = {SCORE_ENTROPY, SCORE_HEADS_SUM, SCORE_ROWS_SUM, NULL, 0},
        [VLQA_SCORE_VATP] = {SCORE_VALUE, SCORE_HEADS_SUM, SCORE_ROWS_SUM, NULL, 0},
    };
    struct tap_count count = kinds[score];
    count.slot = slot;
    return count;
}

/* Rows [*first, *first + *rows) of the n of the scoring pass ask; they end the pass or come before
 * the template, and fit the pass's last batch. */
static void query_rows(const struct ask *a, int n, int *first, int *rows)
{
    int end = n, begin = n - (a->layout.n - a->layout.context_end);
    enum vlqa_score_query query = a->o.score_query;
    if (query == VLQA_QUERY_AUTO)
        query = a->o.reuse == VLQA_REUSE_PROPHET ? VLQA_QUERY_SUFFIX : VLQA_QUERY_LAST;
    if (query == VLQA_QUERY_QUESTION) end = n - (a->layout.n - a->question_end);
    if (query == VLQA_QUERY_LAST) begin = n - 1;
    if (begin < n - SESSION_PASS_ROWS) begin = n - SESSION_PASS_ROWS;
    if (begin < 0) begin = 0;
    if (end <= begin) end = begin + 1;
    *first = begin;
    *rows = end - begin;
}

/* Lets the model begin its answer on the chunks as they are: rows of the answer attend to what
 * later tokens need, where the last row knows the first token only. */
static void draft(struct ask *a, const struct tap *like)
{
    struct vlqa_session *s = a->s;
    int vocab = s->engine->decoder.config.vocab;
    struct span span = {0, 0, a->layout.context_end};
    struct tap tap = *like;
    tap.first = 0;
    tap.rows = 1;
    tap.span = like->span ? &span : NULL;
    memcpy(s->logits, s->first_logits, (size_t)vocab * sizeof *s->logits);
    for (int i = 0; i < a->o.score_draft && a->layout.n + i < s->max_rows; i++) {
        int32_t best = 0;
        for (int id = 1; id < vocab; id++)
            if (s->logits[id] > s->logits[best]) best = id;
        if (ask_is_end(a, best)) return;
        ask_row(a, best, a->layout.n + i, a->layout.next + i, &tap);
    }
}

/* Runs the question's rows (and those between chunks) over the chunks as they are and counts what
 * they attend to. Their KV is written again by the repair. */
vlqa_status score_attention(struct choice *c)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    int layers = s->engine->decoder.config.layers, n = 0;
    int end = a->o.score_layer_end ? a->o.score_layer_end : layers;
    enum vlqa_score kind = a->o.reuse == VLQA_REUSE_PROPHET ? VLQA_SCORE_MASS : a->o.score;
    struct tap tap = {.layer = c->layer, .n = 1, .count = {count_of(kind, a->score)}};
    struct ask_pass pass = {.row = a->list, .slot = -1, .layer_end = end, .tap = &tap};
    for (int i = l->prefix_end; i < l->n; i++)
        if (!l->in_piece[i]) a->list[n++] = i;
    query_rows(a, n, &tap.first, &tap.rows);
    if (a->o.reuse == VLQA_REUSE_PROPHET) { /* softmax over the context alone */
        for (int i = 0; i < tap.rows; i++)
            c->span[i] = (struct span){0, 0, l->context_end};
        tap.span = c->span;
    }
    for (int i = 0; i < end; i++)
        c->layer[i] = i >= a->o.score_layer_begin;
    if (a->o.score_draft) { /* for tokens all layers are needed */
        pass.layer_end = 0;
        pass.logits = s->first_logits;
    }
    TRY(ask_run(a, "score", n, &pass));
    if (a->o.score_draft) draft(a, &tap);
    return s->be->op->sync(s->be);
}
