/* run.c - lists of slots become the decoder's tokens; which batch they are in changes no bit. */
#include "fusion/session/run.h"

#include "kernels/comm.h"

static void forward(const struct run *r, struct pass *pass, int no_deep)
{
    struct vlqa_session *s = r->s;
    pass->kv = &s->kv;
    pass->kept = s->kept.base ? s->kept.n : NULL;
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

static int asks_info(const struct run *r, const struct run_pass *p)
{
    return r->info && !p->capture;
}

/* A token's K and V of the last layer are all that others see of it there: only query tokens, and
 * the one whose logits are wanted, go through that layer whole. */
static int depth_of(const struct run *r, const struct run_pass *p, int i, int n)
{
    int end = p->layer_end ? p->layer_end : r->s->kv.layers;
    int asks = p->probe && i >= p->probe->first && i < p->probe->first + p->probe->n_query;
    if (p->depth && p->depth[slot_at(p, i)] < end) return p->depth[slot_at(p, i)] - 1;
    return asks || asks_info(r, p) || (p->logits && i == n - 1) ? end : end - 1;
}

/* What was kept, and what is behind it. */
static struct span span_of(const struct run *r, const struct run_pass *p, int32_t slot)
{
    int base = r->s->kept.base;
    return (struct span){base, base, p->see_end ? p->see_end : slot + 1};
}

static int32_t write_slot(const struct run *r, const struct run_pass *p, int i)
{
    return p->write_at ? p->write_at + i : kept_slot(&r->s->kept, slot_at(p, i));
}

/* ---- what each rank computes ---- */

struct range {
    int begin, n;
};

struct batch { /* of a pass's tokens, and which of them are this rank's */
    struct range all, mine[2];
    int total; /* of the pass */
    const struct shares *shares;
};

static int is_own(const struct run_pass *p)
{
    return p->capture || p->alone;
}

/* Weights that are divided are there for all tokens. A pass in which tokens ask or are captured is
 * small, or one rank's: all make it alike. */
static int is_shared(const struct run *r, const struct run_pass *p, int n)
{
    int ranks = comm_n(r->s->queue);
    return ranks > 1 && !r->s->engine->decoder.config.ranks && n >= 2 * ranks && !is_own(p) &&
           !p->probe;
}

/* Zig-zag: of two blocks for each rank, the first and the last are rank 0's, so that all ranks'
 * tokens see as many others. */
static void deal(struct range all, int ranks, int rank, struct range mine[2])
{
    for (int half = 0; half < 2; half++) {
        int block = half ? 2 * ranks - 1 - rank : rank;
        int begin = (int)((int64_t)all.n * block / (2 * ranks));
        int end = (int)((int64_t)all.n * (block + 1) / (2 * ranks));
        mine[half] = (struct range){all.begin + begin, end - begin};
    }
}

static struct shares push_shares(int n, struct arena *mem, int32_t **slot, int32_t **depth)
{
    *slot = arena_push(mem, (size_t)n * sizeof **slot);
    *depth = arena_push(mem, (size_t)n * sizeof **depth);
    return (struct shares){.slot = *slot, .depth = *depth, .last = 0};
}

static struct shares shares_of(const struct run *r, const struct run_pass *p, struct range all,
                               int total)
{
    int32_t *slot, *depth;
    struct shares s = push_shares(all.n, &r->s->scratch.host, &slot, &depth);
    int ranks = comm_n(r->s->queue), n = 0;
    for (int rank = 0; rank < ranks; rank++) {
        struct range of[2];
        deal(all, ranks, rank, of);
        for (int half = 0; half < 2; half++)
            for (int i = of[half].begin; i < of[half].begin + of[half].n; i++, n++) {
                slot[n] = write_slot(r, p, i);
                depth[n] = depth_of(r, p, i, total);
            }
        s.first[rank + 1] = n;
    }
    return s;
}

/* ---- the decoder's tokens ---- */

struct arrays { /* [n] each */
    int32_t *token, *visual_row, *slot, *depth, *capture_row;
    struct pos *pos;
    struct span *span;
};

static struct arrays push_arrays(int n, struct arena *mem)
{
    size_t rows = (size_t)n;
    return (struct arrays){.token = arena_push(mem, rows * sizeof(int32_t)),
                           .visual_row = arena_push(mem, rows * sizeof(int32_t)),
                           .slot = arena_push(mem, rows * sizeof(int32_t)),
                           .depth = arena_push(mem, rows * sizeof(int32_t)),
                           .capture_row = arena_push(mem, rows * sizeof(int32_t)),
                           .pos = arena_push(mem, rows * sizeof(struct pos)),
                           .span = arena_push(mem, rows * sizeof(struct span))};
}

void run_measure(const struct vlqa_engine *e, int max_seq_len, int experimental,
                 struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    int rows = max_seq_len < SESSION_PASS_TOKENS ? max_seq_len : SESSION_PASS_TOKENS;
    int ranks = vlqa_ranks_count(e->options.ranks);
    int32_t *slot, *depth;
    (void)push_arrays(rows, &dry->host);
    if (ranks > 1) (void)push_shares(rows * ranks, &dry->host, &slot, &depth);
    decoder_measure(e->device, &e->decoder.config,
                    &(struct pass_size){rows, ranks, rows, max_seq_len, experimental, experimental},
                    dry);
    workspace_rewind(dry, mark);
}

/* Those of this rank, as the decoder takes them. */
static struct tokens tokens_of(const struct run *r, const struct run_pass *p, const struct batch *b)
{
    const struct layout *l = r->layout;
    struct arrays a = push_arrays(b->mine[0].n + b->mine[1].n, &r->s->scratch.host);
    int n = 0;
    for (int half = 0; half < 2; half++)
        for (int i = b->mine[half].begin; i < b->mine[half].begin + b->mine[half].n; i++, n++) {
            int at = slot_at(p, i);
            a.token[n] = l->token[at];
            a.visual_row[n] = l->visual_row[at];
            a.slot[n] = write_slot(r, p, i);
            a.pos[n] = p->pos ? p->pos[i] : l->pos[at];
            a.span[n] = span_of(r, p, a.slot[n]);
            a.depth[n] = depth_of(r, p, i, b->total);
            a.capture_row[n] = p->capture ? p->capture_row[i] : -1;
        }
    return (struct tokens){.n = n,
                           .token = a.token,
                           .visual_row = a.visual_row,
                           .slot = a.slot,
                           .pos = a.pos,
                           .span = a.span,
                           .depth = a.depth,
                           .capture_row = a.capture_row};
}

static void count_flops(const struct run *r, const struct tokens *tokens, int layer_end)
{
    if (r->flops) *r->flops += decoder_flops(&r->s->engine->decoder.config, tokens, layer_end);
}

/* Of all ranks. */
static void count_batch(const struct run *r, const struct run_pass *p, const struct batch *b)
{
    for (int i = b->all.begin; i < b->all.begin + b->all.n && !is_own(p); i++) {
        struct span span = span_of(r, p, write_slot(r, p, i));
        int32_t depth = depth_of(r, p, i, b->total);
        count_flops(r, &(struct tokens){.n = 1, .span = &span, .depth = &depth}, p->layer_end);
    }
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

/* What the rank that has the last token counted, to all. */
static void give_counts(struct queue *q, const struct shares *shares, const struct probe *probe)
{
    for (int i = 0; i < probe->n; i++) {
        struct mat sum = probe->count[i].sum;
        comm_broadcast(q, COMM_SCORES, shares->last, sum.data,
                       mat_bytes(sum.dtype, sum.rows, sum.cols));
    }
}

/* Of the tokens from this number on. */
static struct pass_info info_from(const struct run_info *i, int number)
{
    return (struct pass_info){i->top, i->entropy + number, i->change + number, i->stride};
}

static void run_batch(const struct run *r, const struct run_pass *p, const struct batch *b)
{
    int last = b->all.begin + b->all.n == b->total;
    struct pass_info info;
    struct probe probe;
    struct pass pass = {.tokens = tokens_of(r, p, b),
                        .layer_end = p->layer_end,
                        .shares = b->shares,
                        .capture = p->capture,
                        .logits = last ? p->logits : NULL};
    int counts = pass.logits && !p->probe && r->last;
    if (last && p->probe) {
        probe = *p->probe;
        probe.first -= b->all.begin; /* from here on */
        pass.probe = &probe;
    }
    if (counts) {
        probe = last_probe(r, pass.tokens.n - 1);
        if (!b->shares || b->shares->last == comm_rank(r->s->queue)) pass.probe = &probe;
    }
    if (asks_info(r, p)) {
        info = info_from(r->info, slot_at(p, b->all.begin));
        pass.info = &info;
    }
    count_batch(r, p, b);
    forward(r, &pass, p->no_deep);
    if (counts && b->shares) give_counts(r->s->queue, b->shares, &probe);
}

/* Tokens [begin, begin + n) of a pass of `total`. */
static void run_part(const struct run *r, const struct run_pass *p, int begin, int n, int total)
{
    struct workspace_used mark = workspace_mark(&r->s->scratch);
    struct batch b = {.all = {begin, n}, .mine = {{begin, n}}, .total = total};
    struct shares shares;
    if (is_shared(r, p, n)) {
        shares = shares_of(r, p, b.all, total);
        b.shares = &shares;
        deal(b.all, comm_n(r->s->queue), comm_rank(r->s->queue), b.mine);
    }
    run_batch(r, p, &b);
    workspace_rewind(&r->s->scratch, mark);
}

/* A chunk of whole weights is this rank's alone. */
static vlqa_status progress(const struct run *r, const struct run_pass *p, const char *phase,
                            int done, int total)
{
    struct vlqa_session *s = r->s;
    if (!is_own(p) || s->engine->decoder.config.ranks)
        return comm_progress(s->queue->ranks, &s->env, phase, done, total);
    comm_beat(s->queue->ranks);
    return env_progress(&s->env, phase, done, total);
}

vlqa_status run_pass(const struct run *r, const char *phase, int n, const struct run_pass *pass)
{
    int most = r->s->pass_tokens * (is_shared(r, pass, n) ? comm_n(r->s->queue) : 1);
    int first = (n - 1) % most + 1; /* so that the last batch is a whole one */
    vlqa_status status = VLQA_OK, synced;
    if (n < 1) return VLQA_OK;
    for (int begin = 0, end = first; begin < n; begin = end, end += most) {
        status = progress(r, pass, phase, begin, n);
        if (status != VLQA_OK) break;
        run_part(r, pass, begin, end - begin, n);
    }
    synced = queue_sync(r->s->queue); /* cancelled, too: what a pass writes may be freed now */
    TRY(status == VLQA_OK ? synced : status);
    return progress(r, pass, phase, n, n);
}

void run_token(const struct run *r, int32_t id, int32_t number, int32_t position,
               const struct probe *probe)
{
    const struct kept *kept = &r->s->kept;
    int32_t text = -1, slot = kept_slot(kept, number);
    struct span span = {kept->base, kept->base, slot + 1};
    struct pos pos = {position, position, position};
    struct pass pass = {
        .tokens =
            {.n = 1, .token = &id, .visual_row = &text, .pos = &pos, .slot = &slot, .span = &span},
        .decode = 1,
        .divided = !probe, /* heads are counted together */
        .probe = probe,
        .logits = r->s->logits};
    count_flops(r, &pass.tokens, 0);
    forward(r, &pass, 0);
}
