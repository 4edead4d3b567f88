/* prefill.c - the prompt's rows into the KV: what is held already, the rest as it is or by chunks.
 */
#include "fusion/layout/passage.h"
#include "fusion/reuse/ask.h"

#include <math.h>
#include <string.h>

#define AUTO_ADAPTIVE 0.03f /* nats */

static void run_rows(struct ask *a, struct pass *pass, int no_deep)
{
    struct vlqa_session *s = a->s;
    pass->kv = &s->kv;
    pass->rows.visual = mat_rows(s->visual, 0, s->visual_rows);
    pass->rows.n_deep = no_deep ? 0 : s->engine->vit.config.n_deep;
    for (int i = 0; i < pass->rows.n_deep; i++)
        pass->rows.deep[i] = mat_rows(s->deep[i], 0, s->visual_rows);
    decoder_forward(s->be, &s->engine->decoder, pass, &s->scratch);
}

/* A row's K and V of the last layer are all that others see of it there: only rows that ask, and
 * the one whose logits are wanted, go through that layer whole. */
static int depth_of(const struct ask *a, const struct ask_pass *p, int i, int n)
{
    int end = p->layer_end ? p->layer_end : a->s->kv.layers;
    int asks = p->tap && i >= p->tap->first && i < p->tap->first + p->tap->rows;
    if (p->depth && p->depth[p->row[i]] < end) return p->depth[p->row[i]] - 1;
    return asks || (p->logits && i == n - 1) ? end : end - 1;
}

/* Rows [begin, begin + n) of the list, as the decoder takes them. */
static struct rows rows_of(struct ask *a, const struct ask_pass *p, int begin, int n, int total)
{
    const struct layout *l = &a->layout;
    struct arena *mem = &a->s->scratch;
    size_t count = (size_t)n;
    int32_t *token = arena_push(mem, count * sizeof *token);
    int32_t *visual_row = arena_push(mem, count * sizeof *visual_row);
    int32_t *slot = arena_push(mem, count * sizeof *slot);
    struct pos *pos = arena_push(mem, count * sizeof *pos);
    struct span *span = arena_push(mem, count * sizeof *span);
    int32_t *depth = arena_push(mem, count * sizeof *depth);
    for (int i = 0; i < n; i++) {
        int row = p->row[begin + i];
        token[i] = l->token[row];
        visual_row[i] = l->visual_row[row];
        slot[i] = p->slot < 0 ? row : p->slot + begin + i;
        pos[i] = p->pos ? p->pos[begin + i] : l->pos[row];
        span[i] = (struct span){0, 0, p->see_end ? p->see_end : slot[i] + 1};
        depth[i] = depth_of(a, p, begin + i, total);
    }
    return (struct rows){.n = n,
                         .token = token,
                         .visual_row = visual_row,
                         .slot = slot,
                         .pos = pos,
                         .span = span,
                         .depth = depth,
                         .capture_row = p->capture ? p->capture_row + begin : NULL};
}

/* Rows [begin, begin + n) of a pass of `total`. */
static void run_batch(struct ask *a, const struct ask_pass *p, int begin, int n, int total)
{
    int last = begin + n == total;
    size_t mark = arena_mark(&a->s->scratch);
    struct tap tap;
    struct pass pass = {.rows = rows_of(a, p, begin, n, total),
                        .layer_end = p->layer_end,
                        .capture = p->capture,
                        .logits = last ? p->logits : NULL};
    if (last && p->tap) {
        tap = *p->tap;
        tap.first -= begin; /* from here on */
        pass.tap = &tap;
    }
    if (!p->capture && a->prefilled <= 0)
        a->flops += decoder_flops(&a->s->engine->decoder.config, &pass.rows, p->layer_end);
    run_rows(a, &pass, p->no_deep);
    arena_rewind(&a->s->scratch, mark);
}

vlqa_status ask_run(struct ask *a, const char *phase, int n, const struct ask_pass *pass)
{
    struct env *env = &a->s->env;
    int most = a->s->pass_rows,
        first = (n - 1) % most + 1; /* so that the last batch is a whole one */
    if (n < 1) return VLQA_OK;
    for (int begin = 0, end = first; begin < n; begin = end, end += most) {
        TRY(env_progress(env, phase, begin, n));
        run_batch(a, pass, begin, end - begin, n);
    }
    TRY(a->s->be->op->sync(a->s->be));
    return env_progress(env, phase, n, n);
}

/* ---- what the session holds already ---- */

static int32_t identity(const struct layout *l, int row)
{
    return l->visual_row[row] < 0 ? l->token[row] : -1 - l->visual_row[row];
}

/* Leading rows of this request whose exact KV is there from the request before. */
static int held_rows(const struct ask *a)
{
    const struct vlqa_session *s = a->s;
    int n = 0;
    while (n < s->n_held && n < a->layout.n && s->held[n] == identity(&a->layout, n))
        n++;
    return n;
}

static void hold_rows(struct ask *a, int n)
{
    for (int i = 0; i < n; i++)
        a->s->held[i] = identity(&a->layout, i);
    a->s->n_held = n;
}

/* Rows [begin, end) in their own slots; behind held rows they are exact. */
static vlqa_status run_exact(struct ask *a, const char *phase, int begin, int end, float *logits)
{
    struct ask_pass pass = {.row = a->layout.slot + begin, .slot = -1, .logits = logits};
    if (a->s->n_held > begin) a->s->n_held = begin; /* until it has gone through */
    TRY(ask_run(a, phase, end - begin, &pass));
    hold_rows(a, end);
    return VLQA_OK;
}

static vlqa_status prefill_exact(struct ask *a)
{
    int n = a->layout.n, held = held_rows(a);
    if (held == n) held = n - 1; /* the last row's logits are wanted */
    a->n_recomputed = n - held;
    a->exact = 1;
    return run_exact(a, "prefill", held, n, a->s->first_logits);
}

/* ---- chunks ---- */

double ask_since(double *mark)
{
    double now = env_ms(), ms = now - *mark;
    *mark = now;
    return ms;
}

vlqa_status ask_repair(struct ask *a, int round)
{
    const struct layout *l = &a->layout;
    struct ask_pass pass = {
        .row = a->list, .slot = -1, .depth = a->depth, .logits = a->s->first_logits};
    int n = 0;
    for (int i = l->prefix_end; i < l->n; i++)
        if (!l->in_piece[i] || a->selected[i] == round) a->list[n++] = i;
    a->n_recomputed += n;
    TRY(ask_run(a, "repair", n, &pass));
    a->answered = 1;
    return VLQA_OK;
}

/* Rows between chunks are computed with every question: exact when all before them are. */
static int leading_exact(const struct layout *l)
{
    int n = l->prefix_end;
    while (n < l->n && (l->exact[n] || !l->in_piece[n]))
        n++;
    return n;
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

/* Doubles the budget until a repair moves the first token no more; all rows in the end, as one
 * exact pass. Scoring by attention tells what the token would be without the first repair. */
static vlqa_status repair_adaptively(struct ask *a, double *mark)
{
    struct vlqa_session *s = a->s;
    int vocab = s->engine->decoder.config.vocab, round = 1;
    for (float ratio = a->o.recompute_ratio; ratio < 1; ratio *= 2, round++) {
        int answered;
        TRY(choose_rows(a, round));
        answered = a->answered;
        memcpy(s->logits, s->first_logits, (size_t)vocab * sizeof *s->logits);
        a->ms_score += ask_since(mark);
        TRY(ask_repair(a, round));
        a->ms_repair += ask_since(mark);
        if (answered && divergence(s->logits, s->first_logits, vocab) < (double)a->o.adaptive)
            return VLQA_OK;
    }
    for (int i = 0; i < a->layout.n; i++)
        if (a->layout.in_piece[i] && !a->layout.exact[i] && !a->selected[i])
            a->selected[i] = (uint8_t)round, a->n_selected++;
    a->n_recomputed += a->layout.n - a->layout.prefix_end;
    a->exact = a->o.order == VLQA_ORDER_RASTER;
    return run_exact(a, "repair", a->layout.prefix_end, a->layout.n, s->first_logits);
}

static vlqa_status repair_once(struct ask *a, double *mark)
{
    TRY(choose_rows(a, 1));
    a->ms_score += ask_since(mark);
    TRY(ask_repair(a, 1));
    a->ms_repair = ask_since(mark);
    return VLQA_OK;
}

static void cut_context(struct ask *a)
{
    struct vlqa_session *s = a->s;
    size_t mark = arena_mark(&s->scratch);
    uint8_t *passage = arena_push(&s->scratch, (size_t)a->prompt.n);
    struct chunker chunker = {.kind = a->o.chunker,
                              .k = a->o.chunk_k,
                              .text_rows = a->o.chunk_text_rows,
                              .order = a->o.order,
                              .halo = a->o.halo};
    if (a->o.text_chunker == VLQA_TEXT_PASSAGE) {
        passage_mark(s->engine->tokenizer, &a->prompt, passage);
        chunker.passage = passage;
    }
    layout_cut(&a->layout, &a->prompt, s->image, &chunker, &s->request);
    arena_rewind(&s->scratch, mark);
}

vlqa_status ask_fetch(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct layout *l = &a->layout;
    double mark = env_ms();
    int held = held_rows(a);
    cut_context(a);
    if (s->engine->chunk == DT_I8) memset(l->exact, 0, (size_t)l->n); /* kept in fewer bits */
    a->list = arena_push(&s->request, (size_t)l->n * sizeof *a->list);
    a->depth = arena_push(&s->request, (size_t)l->n);
    memset(a->depth, s->kv.layers, (size_t)l->n);
    if (held < l->prefix_end) TRY(run_exact(a, "prefix", held, l->prefix_end, NULL));
    s->n_held = l->prefix_end;
    TRY(chunk_fetch(a));
    a->ms_chunks += ask_since(&mark);
    return VLQA_OK;
}

/* What is computed again in one pass, with all that is stale before it, is exact. */
static int nothing_stale(const struct ask *a)
{
    const struct layout *l = &a->layout;
    int stale = 0;
    for (int i = 0; i < l->n; i++)
        stale += l->in_piece[i] && !l->exact[i] &&
                 (a->selected[i] != 1 || a->depth[i] < a->s->kv.layers);
    return !stale && a->o.order == VLQA_ORDER_RASTER;
}

static vlqa_status prefill_chunks(struct ask *a)
{
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    double mark;
    TRY(ask_fetch(a));
    mark = env_ms();
    a->selected = s->row_selected;
    memset(a->selected, 0, (size_t)l->n);
    if (a->o.reorder == VLQA_REORDER_DENSITY) {
        TRY(ask_reorder(a));
        a->ms_score = ask_since(&mark);
    }
    chunk_place(a);
    a->ms_assemble = ask_since(&mark);
    if (a->o.parity) return parity_repair(a, &mark);
    if (a->o.adaptive > 0 && a->o.recompute_ratio > 0 && leading_exact(l) < l->n)
        TRY(repair_adaptively(a, &mark));
    else
        TRY(repair_once(a, &mark));
    if (s->n_held < l->n) hold_rows(a, leading_exact(l));
    a->exact |= nothing_stale(a);
    return VLQA_OK;
}

/* auto: exact where that costs no more, else as the best method does, until the answer stands. */
static void settle(struct ask *a)
{
    int held = held_rows(a) >= a->layout.context_end;
    if (a->o.reuse != VLQA_REUSE_AUTO) return;
    a->o.reuse = held || a->s->engine->options.no_cache ? VLQA_REUSE_OFF : VLQA_REUSE_INFOFLOW;
    if (!(a->o.adaptive > 0) && !a->o.geometry && !a->o.reorder && !(a->o.taper > 0))
        a->o.adaptive = AUTO_ADAPTIVE;
}

vlqa_status ask_prefill(struct ask *a)
{
    struct vlqa_session *s = a->s;
    settle(a);
    TRY(a->o.reuse == VLQA_REUSE_OFF ? prefill_exact(a) : prefill_chunks(a));
    memcpy(s->logits, s->first_logits, (size_t)s->engine->decoder.config.vocab * sizeof(float));
    a->prefilled = env_ms();
    return VLQA_OK;
}

void ask_row(struct ask *a, int32_t id, int32_t slot, int32_t position, const struct tap *tap)
{
    struct vlqa_session *s = a->s;
    int32_t text = -1;
    struct span span = {0, 0, slot + 1};
    struct pos pos = {position, position, position};
    struct pass pass = {
        .rows =
            {.n = 1, .token = &id, .visual_row = &text, .pos = &pos, .slot = &slot, .span = &span},
        .tap = tap,
        .logits = s->logits};
    if (a->prefilled <= 0) a->flops += decoder_flops(&s->engine->decoder.config, &pass.rows, 0);
    run_rows(a, &pass, 0);
}

void ask_decode_row(struct ask *a, int32_t id, const struct tap *tap)
{
    struct vlqa_session *s = a->s;
    int32_t slot = a->layout.n + a->n_tokens - 1;
    ask_row(a, id, slot, a->layout.next++, tap);
    if (s->n_held == slot) s->held[s->n_held++] = id;
}
