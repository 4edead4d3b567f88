/* choose.c - which context rows are computed again: by attention, deviation, order or chance. */
#include "fusion/ask.h"
#include "fusion/select.h"

#include <math.h>
#include <string.h>

struct choice {
    struct ask *a;
    uint8_t *candidate; /* [n] in a chunk and not exact */
    int n_candidates, budget;
};

/* ---- attention: InfoFlow KV and ProphetKV ---- */

static void score_kind(const struct vlqa_ask_options *o, struct tap *tap)
{
    static const struct {
        enum score_value value;
        enum score_heads over_heads;
        enum score_rows over_rows;
    } kinds[] = {
        [VLQA_SCORE_NORM] = {SCORE_WEIGHT, SCORE_HEADS_SUM, SCORE_ROWS_L2},
        [VLQA_SCORE_MASS] = {SCORE_WEIGHT, SCORE_HEADS_SUM, SCORE_ROWS_SUM},
        [VLQA_SCORE_MAX] = {SCORE_WEIGHT, SCORE_HEADS_MAX, SCORE_ROWS_SUM},
        [VLQA_SCORE_ENTROPY] = {SCORE_ENTROPY, SCORE_HEADS_SUM, SCORE_ROWS_SUM},
        [VLQA_SCORE_VATP] = {SCORE_VALUE, SCORE_HEADS_SUM, SCORE_ROWS_SUM},
    };
    enum vlqa_score kind = o->reuse == VLQA_REUSE_PROPHET ? VLQA_SCORE_MASS : o->score;
    tap->value = kinds[kind].value;
    tap->over_heads = kinds[kind].over_heads;
    tap->over_rows = kinds[kind].over_rows;
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
static vlqa_status score_attention(struct choice *c)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    int layers = s->engine->decoder.config.layers, n = 0;
    int end = a->o.score_layer_end ? a->o.score_layer_end : layers;
    uint8_t *layer = arena_push_zero(&s->request, (size_t)layers);
    struct tap tap = {.layer = layer, .slot = a->score};
    struct ask_pass pass = {.row = a->list, .slot = -1, .layer_end = end, .tap = &tap};
    for (int i = l->prefix_end; i < l->n; i++)
        if (!l->in_piece[i]) a->list[n++] = i;
    query_rows(a, n, &tap.first, &tap.rows);
    if (a->o.reuse == VLQA_REUSE_PROPHET) { /* softmax over the context alone */
        struct span *span = arena_push(&s->request, (size_t)tap.rows * sizeof *span);
        for (int i = 0; i < tap.rows; i++)
            span[i] = (struct span){0, 0, l->context_end};
        tap.span = span;
    }
    score_kind(&a->o, &tap);
    for (int i = a->o.score_layer_begin; i < end; i++)
        layer[i] = 1;
    if (a->o.score_draft) { /* for tokens all layers are needed */
        pass.layer_end = 0;
        pass.logits = s->first_logits;
    }
    TRY(ask_run(a, "score", n, &pass));
    if (a->o.score_draft) draft(a, &tap);
    return s->be->op->sync(s->be);
}

/* ---- deviation: CacheBlend ---- */

/* Mean |V - V of the chunk| of layer 1, after two layers over all rows: what hidden context changes
 * first. Layer 0 cannot differ. */
static vlqa_status score_deviation(struct choice *c)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    int n = 0, at = s->kv.layers > 1 ? 1 : 0;
    struct ask_pass pass = {.row = a->list, .slot = -1, .layer_end = at + 1};
    for (int i = l->prefix_end; i < l->n; i++)
        a->list[n++] = i;
    TRY(ask_run(a, "score", n, &pass));
    for (int p = 0; p < l->n_pieces; p++) {
        struct mat before = a->chunk[p]->mat[2 * at + 1], after = s->kv.v[at];
        for (int r = 0; r < l->piece[p].rows; r++) {
            int slot = l->piece_slot[l->piece[p].begin + r];
            double sum = 0;
            for (int col = 0; col < before.cols; col++)
                sum += fabs((double)mat_get(after, slot, col) - (double)mat_get(before, r, col));
            a->score[slot] = (float)(sum / before.cols);
        }
    }
    return VLQA_OK;
}

/* ---- order and chance ---- */

/* EPIC: the first rows of every chunk, which stood as sinks when it was made. */
static void score_heads(struct choice *c)
{
    const struct layout *l = &c->a->layout;
    for (int p = 0; p < l->n_pieces; p++)
        for (int r = 0; r < l->piece[p].rows; r++)
            c->a->score[l->piece_slot[l->piece[p].begin + r]] =
                1.0f - (float)r / (float)l->piece[p].rows;
}

/* VLCache: errors travel on, so the earliest rows matter most. */
static void score_leading(struct choice *c)
{
    for (int i = 0; i < c->a->layout.n; i++)
        c->a->score[i] = -(float)i;
}

static void score_random(struct choice *c)
{
    uint64_t state = c->a->o.seed;
    for (int i = 0; i < c->a->layout.n; i++) { /* splitmix64 */
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        c->a->score[i] = (float)((z ^ (z >> 31)) >> 40);
    }
}

static vlqa_status score(struct choice *c)
{
    switch (c->a->o.reuse) {
    case VLQA_REUSE_OFF:
    case VLQA_REUSE_NONE:
    case VLQA_REUSE_FULL:
        break;
    case VLQA_REUSE_INFOFLOW:
    case VLQA_REUSE_PROPHET:
        return score_attention(c);
    case VLQA_REUSE_CACHEBLEND:
        return score_deviation(c);
    case VLQA_REUSE_EPIC:
        score_heads(c);
        break;
    case VLQA_REUSE_VLCACHE:
        score_leading(c);
        break;
    case VLQA_REUSE_RANDOM:
        score_random(c);
        break;
    }
    return VLQA_OK;
}

/* How many of the candidates are chosen after so many looks. */
static int budget_after(const struct ask *a, int round, int n_candidates)
{
    const struct layout *l = &a->layout;
    int base = a->o.budget_base == VLQA_BASE_ALL       ? l->n
               : a->o.budget_base == VLQA_BASE_CONTEXT ? l->context_end - l->prefix_end
                                                       : n_candidates;
    int all = select_budget(a->o.recompute_ratio, base);
    if (all > n_candidates) all = n_candidates;
    if (a->o.reuse == VLQA_REUSE_NONE) return 0;
    if (a->o.reuse == VLQA_REUSE_FULL) return n_candidates;
    if (a->o.adaptive > 0) return select_budget(ldexpf(a->o.recompute_ratio, round - 1), base);
    return all;
}

vlqa_status choose_rows(struct ask *a, int round)
{
    struct arena *mem = &a->s->request;
    const struct layout *l = &a->layout;
    size_t n = (size_t)l->n, mark = arena_mark(mem);
    struct choice c = {.a = a, .candidate = arena_push(mem, n)};
    uint8_t *chosen = arena_push(mem, n);
    int scored;
    for (int i = 0; i < l->n; i++)
        c.candidate[i] = l->in_piece[i] && !l->exact[i] && !a->selected[i];
    c.n_candidates = select_count(c.candidate, l->n);
    c.budget = budget_after(a, round, c.n_candidates + a->n_selected) - a->n_selected;
    a->score = a->s->row_score; /* of all slots of the session: what a tap counts over */
    memset(a->score, 0, (size_t)a->s->max_rows * sizeof *a->score);
    scored = a->o.reuse > VLQA_REUSE_NONE && c.budget > 0 && c.budget < c.n_candidates;
    if (scored) TRY(score(&c));
    a->n_selected += select_top(a->score, c.candidate, l->n, c.budget, a->list, chosen);
    for (int i = 0; i < l->n; i++)
        if (chosen[i]) a->selected[i] = (uint8_t)round;
    if (!scored) a->score = NULL;
    arena_rewind(mem, mark);
    return VLQA_OK;
}
