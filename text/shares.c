/* shares.c - ranks compute tokens of one pass, and each sees the keys and values of all. */
#include "text/shares.h"

/* ---- tokens that leave ---- */

struct order order_push(int n, struct workspace *ws)
{
    return (struct order){.n = n, .from = arena_push(&ws->host, (size_t)n * sizeof(int32_t))};
}

int order_depth(const int32_t *depth, int token, int layers)
{
    return depth && depth[token] < layers ? depth[token] : layers;
}

void order_sort(const int32_t *depth, int layers, struct order *o)
{
    int next[KV_MAX_LAYERS + 1] = {0};
    for (int i = 0; i < o->n; i++)
        next[order_depth(depth, i, layers)]++;
    for (int d = 0, begin = 0; d <= layers; d++) {
        int n = next[d];
        next[d] = begin;
        o->left[d] = begin += n;
    }
    for (int i = 0; i < o->n; i++)
        o->from[next[order_depth(depth, i, layers)]++] = i;
}

/* ---- tokens of ranks ---- */

struct sharing sharing_push(int ranks, int n, enum dtype kv, int kv_dim, struct workspace *ws)
{
    size_t count = (size_t)ranks;
    struct sharing s = {.ranks = ranks};
    s.order = arena_push(&ws->host, count * sizeof *s.order);
    s.slot = arena_push(&ws->host, count * sizeof *s.slot);
    s.rows = workspace_mat(ws, kv, 2 * n, kv_dim);
    return s;
}

void sharing_measure(int ranks, int n, enum dtype kv, int kv_dim, struct workspace *dry)
{
    (void)sharing_push(ranks, n, kv, kv_dim, dry);
    for (int r = 0; r < ranks; r++) /* each is rounded up */
        (void)order_push(n / ranks, dry);
}

void sharing_pack(struct sharing *s, const struct shares *shares, int layers, struct header *h,
                  struct workspace *ws)
{
    for (int r = 0; r < s->ranks; r++) {
        int first = shares->first[r], n = shares->first[r + 1] - first;
        int32_t *slot;
        s->order[r] = order_push(n, ws);
        order_sort(shares->depth ? shares->depth + first : NULL, layers, &s->order[r]);
        s->slot[r] = header_ints(h, n, &slot);
        for (int i = 0; i < n; i++)
            slot[i] = shares->slot[first + s->order[r].from[i]];
    }
}

struct part { /* of a rank that are in the pass in a layer */
    struct ints slot;
    struct mat k, v;
};

static struct part part_of(const struct sharing *s, int rank, int layer, int first)
{
    const struct order *o = &s->order[rank];
    int left = layer ? o->left[layer - 1] : 0, n = o->n - left;
    return (struct part){.slot = ints_from(s->slot[rank], left, n),
                         .k = mat_rows(s->rows, 2 * first, n),
                         .v = mat_rows(s->rows, 2 * first + n, n)};
}

void sharing_exchange(struct queue *q, const struct sharing *s, enum comm_kind kind, int layer,
                      struct mat k, struct mat v)
{
    struct part rank[VLQA_RANKS_MOST];
    size_t at[VLQA_RANKS_MOST + 1] = {0};
    int me = comm_rank(q);
    for (int r = 0, first = 0; r < s->ranks; r++) {
        rank[r] = part_of(s, r, layer, first);
        first += rank[r].slot.n;
        at[r + 1] = mat_bytes(k.dtype, 2 * first, k.cols);
    }
    k_gather(q, rank[me].k, k, rank[me].slot);
    k_gather(q, rank[me].v, v, rank[me].slot);
    comm_gather(q, kind, s->rows.data, at);
    for (int r = 0; r < s->ranks; r++) {
        if (r == me) continue;
        k_scatter(q, k, rank[r].slot, rank[r].k);
        k_scatter(q, v, rank[r].slot, rank[r].v);
    }
}

/* ---- columns ---- */

struct mat columns_mat(struct mat m, const struct comm_part *c)
{
    return mat_cols(m, c->begin, c->n);
}

struct weight columns_weight(const struct device *d, struct weight w, const struct comm_part *c)
{
    return w.rows == c->n ? w : k_weight_rows(d, w, c->begin, c->n);
}

void columns_exchange(struct queue *q, struct mat m, const struct comm_part *c, struct ints each,
                      void *room)
{
    int ranks = c->ranks, me = comm_rank(q);
    struct mat part[VLQA_RANKS_MOST], to[VLQA_RANKS_MOST];
    size_t at[VLQA_RANKS_MOST + 1] = {0};
    void *block = m.rows == 1 ? m.data : room; /* parts of one row lie there already */
    if (ranks == 1) return;
    for (int r = 0; r < ranks; r++) {
        struct comm_part of = comm_part_of(c->all, c->unit, ranks, r);
        part[r] = mat_of((char *)block + at[r], m.dtype, m.rows, of.n);
        to[r] = columns_mat(m, &of);
        at[r + 1] = at[r] + mat_bytes(m.dtype, m.rows, of.n);
    }
    if (m.rows > 1 && part[me].cols) k_gather(q, part[me], to[me], each);
    comm_gather(q, COMM_HIDDEN, block, at);
    for (int r = 0; r < ranks && m.rows > 1; r++)
        if (r != me && part[r].cols) k_gather(q, to[r], part[r], each);
}
