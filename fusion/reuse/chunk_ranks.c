/* chunk_ranks.c - chunks of several ranks: computed where they are missing, one rank each, and
 * given to all. */
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

void chunk_measure_ranks(int ranks, int max_seq_len, struct arena *dry)
{
    if (ranks > 1) (void)push_holders(ranks, max_seq_len, dry);
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

static vlqa_status give(struct view *v, struct holders *h, const struct chunk_plan *c, int i)
{
    struct vlqa_session *s = v->run.s;
    struct vlqa_ranks *ranks = s->engine->options.ranks;
    int giver = h->giver[i], me = comm_rank(s->queue);
    size_t at[VLQA_RANKS_MOST + 1], bytes;
    struct record *r = NULL;
    void *block = NULL;
    if (giver < 0) return VLQA_OK;
    if (!v->chunk[i]) TRY(store_new(&s->env, s->engine->store, c->key, &c->shape, &r));
    if (r || me == giver) block = r ? r->mat[0].data : v->chunk[i]->mat[0].data;
    bytes = store_gpu_bytes(r ? r : v->chunk[i]);
    for (int k = 0; k <= h->ranks; k++)
        at[k] = k > giver ? bytes : 0;
    comm_gather_host(ranks, COMM_CHUNKS, block, at);
    if (!r) return comm_status(ranks, &s->env);
    if (ranks->status == VLQA_OK) {
        v->chunk[i] = store_put(&s->env, s->engine->store, r);
        return VLQA_OK;
    }
    store_drop(s->engine->store, r);
    return comm_status(ranks, &s->env);
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
    TRY(comm_agree(ranks, &s->env, for_segments(v, &h, compute)));
    TRY(for_segments(v, &h, give));
    for (int i = 0; i < h.n; i++) {
        enum store_where where = where_of(&h, ranks->rank, i);
        if (where == STORE_MISS && h.giver[i] >= 0) where = where_of(&h, h.giver[i], i);
        chunk_list(v, i, where, (struct load_estimate){0, 0}, before);
    }
    return VLQA_OK;
}
