/* chunk_ranks.c - chunks of several ranks: each is had or computed by one of them, which places it
 * for all. */
#include "fusion/reuse/chunk_parts.h"
#include "kernels/comm.h"

#include <string.h>

struct holders { /* who had which chunk in its store, and who gives it to the others */
    int ranks, n;
    uint8_t *where; /* [ranks, n] enum store_where */
    int8_t *giver;  /* [n]; negative: all had it, or all compute it */
};

static struct holders push_holders(int ranks, int n, struct arena *mem)
{
    size_t count = (size_t)n;
    return (struct holders){.ranks = ranks,
                            .n = n,
                            .where = arena_push(mem, (size_t)ranks * count),
                            .giver = arena_push(mem, count)};
}

void chunk_measure_ranks(const struct vlqa_engine *e, int max_seq_len, struct workspace *request)
{
    int ranks = vlqa_ranks_count(e->options.ranks);
    if (ranks > 1) (void)push_holders(ranks, max_seq_len, &request->host);
}

static enum store_where where_of(const struct holders *h, int rank, int i)
{
    return (enum store_where)h->where[(size_t)rank * (size_t)h->n + (size_t)i];
}

/* What one step does with each segment in turn. */
typedef vlqa_status (*step_fn)(struct view *v, struct holders *h, const struct chunk_plan *c,
                               int i);

static vlqa_status for_segments(struct view *v, struct holders *h, step_fn step)
{
    struct vlqa_session *s = v->run.s;
    struct key prefix = chunk_prefix(v->run.layout);
    for (int i = 0; i < h->n; i++) {
        struct workspace_used mark = workspace_mark(&s->request);
        struct chunk_plan c;
        vlqa_status status;
        chunk_plan(v, &v->run.layout->segment[i], prefix, &c);
        status = step(v, h, &c, i);
        workspace_rewind(&s->request, mark);
        TRY(status);
    }
    return VLQA_OK;
}

static vlqa_status look_up(struct view *v, struct holders *h, const struct chunk_plan *c, int i)
{
    enum store_where where = STORE_MISS;
    v->chunk[i] = chunk_load(v, c, &where);
    h->where[(size_t)comm_rank(v->run.s->queue) * (size_t)h->n + (size_t)i] = (uint8_t)where;
    return VLQA_OK;
}

/* The first rank that has it, or the one that has fewest tokens to compute so far. Where weights
 * are divided all compute it together. */
static void choose_givers(const struct view *v, struct holders *h)
{
    int64_t tokens[VLQA_RANKS_MOST] = {0};
    for (int i = 0; i < h->n; i++) {
        int first = -1, have = 0, least = 0;
        for (int r = h->ranks - 1; r >= 0; r--) {
            if (where_of(h, r, i) != STORE_MISS) first = r, have++;
            if (tokens[r] <= tokens[least]) least = r;
        }
        if (have == 0 && !v->run.s->engine->decoder.config.ranks) {
            first = least;
            tokens[least] += v->run.layout->segment[i].tokens;
        }
        h->giver[i] = (int8_t)(have == h->ranks ? -1 : first);
    }
}

static int is_missing(const struct holders *h, int i)
{
    for (int r = 0; r < h->ranks; r++)
        if (where_of(h, r, i) != STORE_MISS) return 0;
    return 1;
}

static vlqa_status compute(struct view *v, struct holders *h, const struct chunk_plan *c, int i)
{
    int is_mine = h->giver[i] < 0 || h->giver[i] == comm_rank(v->run.s->queue);
    return is_missing(h, i) && is_mine ? chunk_make(v, c, &v->chunk[i]) : VLQA_OK;
}

vlqa_status chunk_fetch_by_ranks(struct view *v, struct chunk_list before)
{
    struct vlqa_session *s = v->run.s;
    struct vlqa_ranks *ranks = s->engine->options.ranks;
    struct holders h = push_holders(ranks->n, v->run.layout->n_segments, &s->request.host);
    size_t at[VLQA_RANKS_MOST + 1];
    for (int r = 0; r <= h.ranks; r++)
        at[r] = (size_t)r * (size_t)h.n;
    TRY(for_segments(v, &h, look_up));
    comm_gather_host(ranks, COMM_CONTROL, h.where, at);
    TRY(comm_status(ranks, &s->env));
    choose_givers(v, &h);
    TRY(for_segments(v, &h,
                     compute)); /* not agreed on: with parts of weights, ranks may be in it */
    v->giver = h.giver;
    for (int i = 0; i < h.n; i++) {
        enum store_where where = where_of(&h, ranks->rank, i);
        if (where == STORE_MISS && h.giver[i] >= 0) where = where_of(&h, h.giver[i], i);
        chunk_list(v, i, where, (struct load_estimate){0, 0}, before);
    }
    return VLQA_OK;
}

/* ---- what is placed goes to all ranks ---- */

struct cursor { /* where a rank is in the tokens that it gives */
    int segment, token;
};

struct given { /* tokens that are exchanged at once */
    struct sharing sharing;
    struct header header;
    int32_t *slot;
};

static struct given push_given(const struct vlqa_engine *e, struct workspace *ws)
{
    const struct decoder_config *c = &e->decoder.config;
    int ranks = vlqa_ranks_count(e->options.ranks), n = ranks * SESSION_PASS_TOKENS;
    return (struct given){.sharing = sharing_push(ranks, n, c->kv, c->kv_heads * c->head_dim, ws),
                          .header = header_push(e->device, ws, (size_t)n * sizeof(int32_t)),
                          .slot = arena_push(&ws->host, (size_t)n * sizeof(int32_t))};
}

void chunk_measure_exchange(const struct vlqa_engine *e, struct workspace *scratch)
{
    struct workspace_used mark = workspace_mark(scratch);
    int ranks = vlqa_ranks_count(e->options.ranks);
    if (ranks < 2) return;
    (void)push_given(e, scratch);
    for (int r = 0; r < ranks; r++)
        (void)order_push(SESSION_PASS_TOKENS, scratch);
    workspace_rewind(scratch, mark);
}

/* The next slots of those that a rank gives. */
static int take_slots(const struct view *v, int rank, struct cursor *c, int32_t *slot)
{
    const struct layout *l = v->run.layout;
    int n = 0;
    while (n < SESSION_PASS_TOKENS && c->segment < l->n_segments) {
        const struct segment *p = &l->segment[c->segment];
        if (v->giver[c->segment] == rank && c->token < p->tokens)
            slot[n++] = l->segment_slot[p->begin + c->token++];
        else
            *c = (struct cursor){c->segment + 1, 0};
    }
    return n;
}

static void exchange(struct vlqa_session *s, struct given *g, const struct shares *shares)
{
    struct workspace_used mark = workspace_mark(&s->scratch);
    g->header.used = 0;
    sharing_pack(&g->sharing, shares, s->kv.layers, &g->header, &s->scratch);
    header_send(s->queue, &g->header);
    for (int i = 0; i < s->kv.layers; i++)
        sharing_exchange(s->queue, &g->sharing, COMM_CHUNKS, i, s->kv.k[i], s->kv.v[i]);
    workspace_rewind(&s->scratch, mark);
}

void chunk_exchange(const struct view *v)
{
    struct vlqa_session *s = v->run.s;
    struct cursor next[VLQA_RANKS_MOST] = {{0, 0}};
    struct workspace_used mark = workspace_mark(&s->scratch);
    struct given g = push_given(s->engine, &s->scratch);
    struct shares shares = {.slot = g.slot};
    int ranks = comm_n(s->queue), n;
    do {
        n = 0;
        for (int r = 0; r < ranks; r++) {
            n += take_slots(v, r, &next[r], g.slot + n);
            shares.first[r + 1] = n;
        }
        if (n) exchange(s, &g, &shares);
    } while (n);
    workspace_rewind(&s->scratch, mark);
}
