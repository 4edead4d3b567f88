/* bpe.c - a table of pairs and two algorithms that merge by it: a scan and a queue. */
#include "text/bpe.h"

#include "base/heap.h"

#include <assert.h>
#include <string.h>

int bpe_open(struct bpe *b, size_t n_pairs)
{
    size_t slots = 16;
    memset(b, 0, sizeof *b);
    memset(b->byte_id, -1, sizeof b->byte_id);
    assert(n_pairs < UINT32_MAX / 4);
    while (slots / 3 * 2 < n_pairs)
        slots *= 2;
    b->slot = heap_alloc(slots * sizeof *b->slot);
    if (!b->slot) return 0;
    b->mask = (uint32_t)(slots - 1);
    memset(b->slot, -1, slots * sizeof *b->slot); /* every rank is BPE_NO_RANK */
    return 1;
}

void bpe_close(struct bpe *b)
{
    heap_free(b->slot);
    b->slot = NULL;
}

/* The slot of the pair, or the empty one where it belongs. */
static struct bpe_pair *slot_of(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    uint32_t at = (uint32_t)(hash >> 32);
    for (;; at++) {
        struct bpe_pair *p = &b->slot[at & b->mask];
        if (p->rank == BPE_NO_RANK || (p->left == left && p->right == right)) return p;
    }
}

static const struct bpe_pair *find(const struct bpe *b, int32_t left, int32_t right)
{
    const struct bpe_pair *p = slot_of(b, left, right);
    return p->rank == BPE_NO_RANK ? NULL : p;
}

int bpe_put(struct bpe *b, int32_t left, int32_t right, int32_t id)
{
    struct bpe_pair *p = slot_of(b, left, right);
    if (p->rank != BPE_NO_RANK) return 0;
    *p = (struct bpe_pair){left, right, id, b->n_pairs++};
    return 1;
}

int bpe_merge_scan(const struct bpe *b, const uint8_t *text, int n, int32_t *id)
{
    const struct bpe_pair *pair[BPE_SHORT]; /* of id[i] and id[i + 1] */
    assert(n <= BPE_SHORT);
    for (int i = 0; i < n; i++)
        id[i] = b->byte_id[text[i]];
    for (int i = 0; i + 1 < n; i++)
        pair[i] = find(b, id[i], id[i + 1]);
    for (;;) {
        int best = -1;
        for (int i = 0; i + 1 < n; i++)
            if (pair[i] && (best < 0 || pair[i]->rank < pair[best]->rank)) best = i;
        if (best < 0) return n;
        id[best] = pair[best]->id;
        n--;
        for (int i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            pair[i - 1] = pair[i];
        }
        if (best > 0) pair[best - 1] = find(b, id[best - 1], id[best]);
        if (best + 1 < n) pair[best] = find(b, id[best], id[best + 1]);
    }
}

/* Tokens in place: the token at byte `at` has id[at], and its length stands at its first and at its
 * last byte, so that both neighbours are found. Bytes inside a token have no id. */
struct queue {
    const struct bpe *b;
    int32_t *id, *length;
    uint64_t *heap; /* rank << 32 | at: the lowest rank first, leftmost among equals */
    size_t n_heap;
    int n;
};

static void heap_push(struct queue *q, uint64_t entry)
{
    size_t i = q->n_heap++;
    for (; i > 0 && entry < q->heap[(i - 1) / 2]; i = (i - 1) / 2)
        q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = entry;
}

static uint64_t heap_pop(struct queue *q)
{
    uint64_t top = q->heap[0], last = q->heap[--q->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < q->n_heap) {
        if (child + 1 < q->n_heap && q->heap[child + 1] < q->heap[child]) child++;
        if (last <= q->heap[child]) break;
        q->heap[i] = q->heap[child];
        i = child;
    }
    q->heap[i] = last;
    return top;
}

/* The pair of the token at `at` and the next, if there is a next and they merge. */
static const struct bpe_pair *pair_at(const struct queue *q, int at)
{
    int next = at + q->length[at];
    return next < q->n ? find(q->b, q->id[at], q->id[next]) : NULL;
}

static void offer(struct queue *q, int at)
{
    const struct bpe_pair *pair = pair_at(q, at);
    if (pair) heap_push(q, (uint64_t)pair->rank << 32 | (uint32_t)at);
}

static void merge(struct queue *q, int at, int32_t id)
{
    int next = at + q->length[at], end = next + q->length[next];
    q->id[at] = id;
    q->id[next] = -1;
    q->length[at] = q->length[end - 1] = end - at;
    if (at > 0) offer(q, at - q->length[at - 1]);
    offer(q, at);
}

int bpe_merge_queue(const struct bpe *b, const uint8_t *text, int n, struct arena *scratch,
                    int32_t *id)
{
    struct queue q = {.b = b, .id = id, .n = n};
    size_t mark = arena_mark(scratch);
    int n_ids = 0;
    q.length = arena_push(scratch, (size_t)n * sizeof *q.length);
    /* n - 1 pairs at first; a merge takes one entry out and puts at most two in */
    q.heap = arena_push(scratch, 2 * (size_t)n * sizeof *q.heap);
    for (int i = 0; i < n; i++) {
        id[i] = b->byte_id[text[i]];
        q.length[i] = 1;
    }
    for (int i = 0; i + 1 < n; i++)
        offer(&q, i);
    while (q.n_heap) {
        uint64_t entry = heap_pop(&q);
        int at = (int)(uint32_t)entry;
        /* Entries are not taken out when their pair is broken: they are found stale here. */
        const struct bpe_pair *pair = id[at] < 0 ? NULL : pair_at(&q, at);
        if (pair && pair->rank == entry >> 32) merge(&q, at, pair->id);
    }
    for (int at = 0; at < n; at += q.length[at])
        id[n_ids++] = id[at];
    arena_rewind(scratch, mark);
    return n_ids;
}

size_t bpe_scratch(size_t bytes)
{
    size_t per_byte = 2 * sizeof(int32_t) + 2 * sizeof(uint64_t), gaps = 4 * 2 * ARENA_ALIGN;
    return bytes * per_byte + gaps;
}

void bpe_out_put(struct bpe_out *out, int32_t id)
{
    if (out->n < out->cap) out->id[out->n] = id;
    out->n++;
}

int bpe_encode(const struct bpe *b, const char *text, size_t bytes, struct arena *scratch,
               struct bpe_out *out)
{
    const uint8_t *p = (const uint8_t *)text;
    int32_t few[BPE_SHORT], *id = few;
    size_t mark = arena_mark(scratch);
    int n;
    assert(bytes < INT32_MAX);
    if (bytes <= BPE_SHORT) {
        n = bpe_merge_scan(b, p, (int)bytes, id);
    } else {
        if (!arena_fits(scratch, bpe_scratch(bytes))) return 0;
        id = arena_push(scratch, bytes * sizeof *id);
        n = bpe_merge_queue(b, p, (int)bytes, scratch, id);
    }
    for (int i = 0; i < n; i++)
        bpe_out_put(out, id[i]);
    arena_rewind(scratch, mark);
    return 1;
}
