/* score_attention.c - rows by what the question attends to: InfoFlow KV and ProphetKV. */
#include "fusion/reuse/ask.h"
#include "fusion/reuse/choose.h"

#include <math.h>
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

/* Of InfoFlow KV's code for images. */
static const struct {
    enum vlqa_score score;
    float weight;
} mixture[] = {{VLQA_SCORE_ENTROPY, 0.4f}, {VLQA_SCORE_NORM, 0.4f}, {VLQA_SCORE_VATP, 0.2f}};
#define N_MIXTURE (int)(sizeof mixture / sizeof *mixture)
_Static_assert(sizeof mixture / sizeof *mixture <= TAP_MAX_COUNTS, "one pass counts all of them");

static void set_counts(struct choice *c, struct tap *tap)
{
    struct ask *a = c->a;
    enum vlqa_score score = a->o.reuse == VLQA_REUSE_PROPHET ? VLQA_SCORE_MASS : a->o.score;
    tap->n = 1;
    if (score != VLQA_SCORE_COMBINED) {
        tap->count[0] = count_of(score, a->score);
        return;
    }
    for (tap->n = 0; tap->n < N_MIXTURE; tap->n++) {
        float *slot = tap->n ? c->part[tap->n - 1] : a->score;
        memset(slot, 0, (size_t)a->s->max_rows * sizeof *slot);
        tap->count[tap->n] = count_of(mixture[tap->n].score, slot);
    }
}

/* Each part from 0 to 1 over the candidates, summed by weight into the first. */
static void mix(struct choice *c, const struct tap *tap)
{
    int n = c->a->layout.n;
    for (int part = 0; part < tap->n; part++) {
        float *slot = tap->count[part].slot, low = INFINITY, high = -INFINITY, scale;
        for (int i = 0; i < n; i++) {
            if (!c->candidate[i]) continue;
            low = slot[i] < low ? slot[i] : low;
            high = slot[i] > high ? slot[i] : high;
        }
        scale = high > low ? mixture[part].weight / (high - low) : 0;
        for (int i = 0; i < n; i++)
            c->a->score[i] = (slot[i] - low) * scale + (part ? c->a->score[i] : 0);
    }
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
    if (begin < n - a->s->pass_rows) begin = n - a->s->pass_rows;
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

int score_asking(struct choice *c, int n, struct tap *tap)
{
    const uint64_t *set = c->a->o.score_layers;
    int layers = c->a->s->kv.layers, end = ask_layer_end(set);
    for (int i = 0; i < layers; i++)
        c->layer[i] = !end || (set[i / 64] >> i % 64 & 1);
    tap->layer = c->layer;
    query_rows(c->a, n, &tap->first, &tap->rows);
    return end ? end : layers;
}

/* Runs the question's rows (and those between chunks) over the chunks as they are and counts what
 * they attend to. Their KV is written again by the repair. */
vlqa_status score_attention(struct choice *c)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    int n = 0;
    struct tap tap = {.n = 0};
    struct ask_pass pass = {.row = a->list, .slot = -1, .tap = &tap};
    for (int i = l->prefix_end; i < l->n; i++)
        if (!l->in_piece[i]) a->list[n++] = i;
    set_counts(c, &tap);
    pass.layer_end = score_asking(c, n, &tap);
    if (a->o.reuse == VLQA_REUSE_PROPHET) { /* softmax over the context alone */
        for (int i = 0; i < tap.rows; i++)
            c->span[i] = (struct span){0, 0, l->context_end};
        tap.span = c->span;
    }
    if (a->o.score_draft || a->o.adaptive > 0) { /* for tokens all layers are needed */
        pass.layer_end = 0;
        pass.logits = s->first_logits;
        a->answered = 1;
    }
    TRY(ask_run(a, "score", n, &pass));
    if (a->o.score_draft) draft(a, &tap);
    TRY(s->be->op->sync(s->be));
    if (tap.n > 1) mix(c, &tap);
    return VLQA_OK;
}
