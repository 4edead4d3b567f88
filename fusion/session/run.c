/* run.c - lists of slots become the decoder's tokens; which batch they are in changes no bit. */
#include "fusion/session/run.h"

static void forward(const struct run *r, struct pass *pass, int no_deep)
{
    struct vlqa_session *s = r->s;
    pass->kv = &s->kv;
    pass->tokens.visual = mat_rows(s->visual, 0, s->visual_tokens);
    pass->tokens.n_deep = no_deep ? 0 : s->engine->vit.config.n_deep;
    for (int i = 0; i < pass->tokens.n_deep; i++)
        pass->tokens.deep[i] = mat_rows(s->deep[i], 0, s->visual_tokens);
    decoder_forward(s->queue, &s->engine->decoder, pass, &s->scratch);
}

static int slot_at(const struct run_pass *p, int i)
{
    return p->slot ? p->slot[i] : p->begin + i;
}

/* A token's K and V of the last layer are all that others see of it there: only query tokens, and
 * the one whose logits are wanted, go through that layer whole. */
static int depth_of(const struct run *r, const struct run_pass *p, int i, int n)
{
    int end = p->layer_end ? p->layer_end : r->s->kv.layers;
    int asks = p->probe && i >= p->probe->first && i < p->probe->first + p->probe->n_query;
    if (p->depth && p->depth[slot_at(p, i)] < end) return p->depth[slot_at(p, i)] - 1;
    return asks || (p->logits && i == n - 1) ? end : end - 1;
}

struct batch { /* [n] each */
    int32_t *token, *visual_row, *slot, *depth;
    struct pos *pos;
    struct span *span;
};

static struct batch push_batch(int n, struct arena *mem)
{
    size_t rows = (size_t)n;
    return (struct batch){.token = arena_push(mem, rows * sizeof(int32_t)),
                          .visual_row = arena_push(mem, rows * sizeof(int32_t)),
                          .slot = arena_push(mem, rows * sizeof(int32_t)),
                          .depth = arena_push(mem, rows * sizeof(int32_t)),
                          .pos = arena_push(mem, rows * sizeof(struct pos)),
                          .span = arena_push(mem, rows * sizeof(struct span))};
}

void run_measure(const struct vlqa_engine *e, int max_seq_len, struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    int rows = max_seq_len < SESSION_PASS_TOKENS ? max_seq_len : SESSION_PASS_TOKENS;
    (void)push_batch(rows, &dry->host);
    decoder_measure(e->device, &e->decoder.config, rows, rows, max_seq_len, dry);
    workspace_rewind(dry, mark);
}

/* Tokens [begin, begin + n) of the pass, as the decoder takes them. */
static struct tokens tokens_of(const struct run *r, const struct run_pass *p, int begin, int n,
                               int total)
{
    const struct layout *l = r->layout;
    struct batch b = push_batch(n, &r->s->scratch.host);
    for (int i = 0; i < n; i++) {
        int at = slot_at(p, begin + i);
        b.token[i] = l->token[at];
        b.visual_row[i] = l->visual_row[at];
        b.slot[i] = p->write_at ? p->write_at + begin + i : at;
        b.pos[i] = p->pos ? p->pos[begin + i] : l->pos[at];
        b.span[i] = (struct span){0, 0, p->see_end ? p->see_end : b.slot[i] + 1};
        b.depth[i] = depth_of(r, p, begin + i, total);
    }
    return (struct tokens){.n = n,
                           .token = b.token,
                           .visual_row = b.visual_row,
                           .slot = b.slot,
                           .pos = b.pos,
                           .span = b.span,
                           .depth = b.depth,
                           .capture_row = p->capture ? p->capture_row + begin : NULL};
}

static void count_flops(const struct run *r, const struct pass *pass)
{
    if (r->flops && !pass->capture)
        *r->flops += decoder_flops(&r->s->engine->decoder.config, &pass->tokens, pass->layer_end);
}

/* For token `at` of a batch alone. */
static struct probe last_probe(const struct run *r, int at)
{
    struct probe probe = *r->last;
    probe.first = at;
    for (int i = 0; i < probe.n; i++) {
        struct mat sum = probe.count[i].sum;
        queue_clear(r->s->queue, sum.data, mat_bytes(sum.dtype, sum.rows, sum.cols));
    }
    return probe;
}

/* Tokens [begin, begin + n) of a pass of `total`. */
static void run_batch(const struct run *r, const struct run_pass *p, int begin, int n, int total)
{
    int last = begin + n == total;
    struct workspace_used mark = workspace_mark(&r->s->scratch);
    struct probe probe;
    struct pass pass = {.tokens = tokens_of(r, p, begin, n, total),
                        .layer_end = p->layer_end,
                        .capture = p->capture,
                        .logits = last ? p->logits : NULL};
    if (last && p->probe) {
        probe = *p->probe;
        probe.first -= begin; /* from here on */
        pass.probe = &probe;
    } else if (pass.logits && r->last) {
        probe = last_probe(r, n - 1);
        pass.probe = &probe;
    }
    count_flops(r, &pass);
    forward(r, &pass, p->no_deep);
    workspace_rewind(&r->s->scratch, mark);
}

vlqa_status run_pass(const struct run *r, const char *phase, int n, const struct run_pass *pass)
{
    struct env *env = &r->s->env;
    int most = r->s->pass_tokens,
        first = (n - 1) % most + 1; /* so that the last batch is a whole one */
    vlqa_status status = VLQA_OK, synced;
    if (n < 1) return VLQA_OK;
    for (int begin = 0, end = first; begin < n; begin = end, end += most) {
        status = env_progress(env, phase, begin, n);
        if (status != VLQA_OK) break;
        run_batch(r, pass, begin, end - begin, n);
    }
    synced = queue_sync(r->s->queue); /* cancelled, too: what a pass writes may be freed now */
    TRY(status == VLQA_OK ? synced : status);
    return env_progress(env, phase, n, n);
}

void run_token(const struct run *r, int32_t id, int32_t slot, int32_t position,
               const struct probe *probe)
{
    int32_t text = -1;
    struct span span = {0, 0, slot + 1};
    struct pos pos = {position, position, position};
    struct pass pass = {
        .tokens =
            {.n = 1, .token = &id, .visual_row = &text, .pos = &pos, .slot = &slot, .span = &span},
        .decode = 1,
        .probe = probe,
        .logits = r->s->logits};
    count_flops(r, &pass);
    forward(r, &pass, 0);
}
