/* run.c - lists of slots become the decoder's rows; which batch they are in changes no bit. */
#include "fusion/session/run.h"

static void forward(const struct run *r, struct pass *pass, int no_deep)
{
    struct vlqa_session *s = r->s;
    pass->kv = &s->kv;
    pass->rows.visual = mat_rows(s->visual, 0, s->visual_rows);
    pass->rows.n_deep = no_deep ? 0 : s->engine->vit.config.n_deep;
    for (int i = 0; i < pass->rows.n_deep; i++)
        pass->rows.deep[i] = mat_rows(s->deep[i], 0, s->visual_rows);
    decoder_forward(s->be, &s->engine->decoder, pass, &s->scratch);
}

static int slot_at(const struct run_pass *p, int i)
{
    return p->slot ? p->slot[i] : p->begin + i;
}

/* A row's K and V of the last layer are all that others see of it there: only rows that ask, and
 * the one whose logits are wanted, go through that layer whole. */
static int depth_of(const struct run *r, const struct run_pass *p, int i, int n)
{
    int end = p->layer_end ? p->layer_end : r->s->kv.layers;
    int asks = p->tap && i >= p->tap->first && i < p->tap->first + p->tap->rows;
    if (p->depth && p->depth[slot_at(p, i)] < end) return p->depth[slot_at(p, i)] - 1;
    return asks || (p->logits && i == n - 1) ? end : end - 1;
}

/* Tokens [begin, begin + n) of the pass, as the decoder takes them. */
static struct rows rows_of(const struct run *r, const struct run_pass *p, int begin, int n,
                           int total)
{
    const struct layout *l = r->layout;
    struct arena *mem = &r->s->scratch;
    size_t count = (size_t)n;
    int32_t *token = arena_push(mem, count * sizeof *token);
    int32_t *visual_row = arena_push(mem, count * sizeof *visual_row);
    int32_t *slot = arena_push(mem, count * sizeof *slot);
    struct pos *pos = arena_push(mem, count * sizeof *pos);
    struct span *span = arena_push(mem, count * sizeof *span);
    int32_t *depth = arena_push(mem, count * sizeof *depth);
    for (int i = 0; i < n; i++) {
        int at = slot_at(p, begin + i);
        token[i] = l->token[at];
        visual_row[i] = l->visual_row[at];
        slot[i] = p->write_at ? p->write_at + begin + i : at;
        pos[i] = p->pos ? p->pos[begin + i] : l->pos[at];
        span[i] = (struct span){0, 0, p->see_end ? p->see_end : slot[i] + 1};
        depth[i] = depth_of(r, p, begin + i, total);
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

static void count_flops(const struct run *r, const struct pass *pass)
{
    if (r->flops && !pass->capture)
        *r->flops += decoder_flops(&r->s->engine->decoder.config, &pass->rows, pass->layer_end);
}

/* Tokens [begin, begin + n) of a pass of `total`. */
static void run_batch(const struct run *r, const struct run_pass *p, int begin, int n, int total)
{
    int last = begin + n == total;
    size_t mark = arena_mark(&r->s->scratch);
    struct tap tap;
    struct pass pass = {.rows = rows_of(r, p, begin, n, total),
                        .layer_end = p->layer_end,
                        .capture = p->capture,
                        .logits = last ? p->logits : NULL};
    if (last && p->tap) {
        tap = *p->tap;
        tap.first -= begin; /* from here on */
        pass.tap = &tap;
    }
    count_flops(r, &pass);
    forward(r, &pass, p->no_deep);
    arena_rewind(&r->s->scratch, mark);
}

vlqa_status run_pass(const struct run *r, const char *phase, int n, const struct run_pass *pass)
{
    struct env *env = &r->s->env;
    int most = r->s->pass_rows,
        first = (n - 1) % most + 1; /* so that the last batch is a whole one */
    if (n < 1) return VLQA_OK;
    for (int begin = 0, end = first; begin < n; begin = end, end += most) {
        TRY(env_progress(env, phase, begin, n));
        run_batch(r, pass, begin, end - begin, n);
    }
    TRY(r->s->be->op->sync(r->s->be));
    return env_progress(env, phase, n, n);
}

void run_token(const struct run *r, int32_t id, int32_t slot, int32_t position,
               const struct tap *tap)
{
    int32_t text = -1;
    struct span span = {0, 0, slot + 1};
    struct pos pos = {position, position, position};
    struct pass pass = {
        .rows =
            {.n = 1, .token = &id, .visual_row = &text, .pos = &pos, .slot = &slot, .span = &span},
        .tap = tap,
        .logits = r->s->logits};
    count_flops(r, &pass);
    forward(r, &pass, 0);
}
