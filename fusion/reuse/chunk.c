/* chunk.c - pieces of the context as stored chunks: found or made, then placed. */
#include "fusion/reuse/ask.h"

#include <string.h>

static struct key prefix_key(const struct layout *l)
{
    struct hash h;
    hash_begin(&h, "vlqa prefix");
    for (int i = 0; i < l->prefix_end; i++)
        hash_u64(&h, (uint64_t)(int64_t)l->token[i]);
    return hash_end(&h);
}

/* The words of the halo are content, too. */
static struct key text_key(const struct layout *l, const struct made *made)
{
    struct hash h;
    hash_begin(&h, "vlqa text");
    for (int i = 0; i < made->n; i++)
        hash_u64(&h, (uint64_t)(int64_t)l->token[made->slot[i]]);
    return hash_end(&h);
}

/* Of an image: how wide; below zero in chunk order, where other rows come before. */
static int32_t halo_key(const struct ask *a, const struct piece *p, const struct made *made)
{
    if (made->n == p->rows) return 0;
    if (p->image < 0) return made->n - p->rows;
    return a->o.order == VLQA_ORDER_CHUNK && a->o.chunker == VLQA_CHUNK_GRID ? -a->o.halo
                                                                             : a->o.halo;
}

static struct key chunk_key(const struct ask *a, const struct piece *p, const struct made *made,
                            struct key prefix)
{
    struct key_parts parts;
    engine_key_parts(a->s->engine, &parts);
    parts.kind = RECORD_CHUNK;
    parts.prefix = prefix;
    parts.halo = halo_key(a, p, made);
    if (p->image >= 0) {
        parts.content = a->s->image[p->image].key;
        parts.grid = a->s->image[p->image].grid;
        parts.chunker = (int32_t)a->o.chunker;
        parts.k = a->o.chunker == VLQA_CHUNK_IMAGE ? 1 : a->o.chunk_k;
        parts.index = p->index;
    } else { /* where it stands in its document decides its rotation among the prefix */
        parts.content = text_key(&a->layout, made);
        parts.chunker = -1;
        parts.index = p->first;
    }
    return key_of(&parts);
}

static void block_of(const struct record *r, int begin, int n, struct kv_block *out)
{
    out->layers = r->n_mats / 2;
    out->rows = n;
    for (int i = 0; i < out->layers; i++) {
        out->k[i] = mat_rows(r->mat[2 * i], begin, n);
        out->v[i] = mat_rows(r->mat[2 * i + 1], begin, n);
    }
}

static struct record_shape chunk_shape(const struct vlqa_engine *e, const struct piece *p,
                                       int cols[2 * KV_MAX_LAYERS])
{
    struct record_shape shape = {.kind = RECORD_CHUNK,
                                 .rows = p->rows,
                                 .grid = {p->box.h, p->box.w},
                                 .n_mats = 2 * e->decoder.config.layers,
                                 .cols = cols,
                                 .dtype = e->chunk};
    for (int i = 0; i < shape.n_mats; i++)
        cols[i] = engine_chunk_cols(e);
    return shape;
}

/* Right behind the prefix, in slots that are overwritten when all chunks are placed. */
static vlqa_status make(struct ask *a, const struct made *made, struct key key,
                        const struct record_shape *shape, const struct record **out)
{
    struct record *r;
    struct kv_block block;
    vlqa_status status;
    struct ask_pass pass = {.row = made->slot,
                            .pos = made->pos,
                            .slot = a->layout.prefix_end,
                            .capture = &block,
                            .capture_row = made->kept};
    TRY(store_new(&a->s->env, a->s->engine->store, key, shape, &r));
    block_of(r, 0, shape->rows, &block);
    status = ask_run(a, "chunks", made->n, &pass);
    if (status != VLQA_OK) {
        store_drop(a->s->engine->store, r);
        return status;
    }
    *out = store_put(&a->s->env, a->s->engine->store, r);
    return VLQA_OK;
}

/* A piece that is in memory now may have been made for this question, before it was reordered. */
static enum vlqa_source source_before(const struct ask *a, const struct piece *p)
{
    for (int i = 0; i < a->n_before; i++)
        if (a->before[i].image == p->image && a->before[i].text == p->text)
            return a->before[i + p->index].source; /* the same number of pieces then as now */
    return VLQA_SOURCE_RAM;
}

static void note_chunk(struct ask *a, const struct piece *p, enum store_where where)
{
    static const enum vlqa_source source[] = {[STORE_MISS] = VLQA_SOURCE_MADE,
                                              [STORE_RAM] = VLQA_SOURCE_RAM,
                                              [STORE_DISK] = VLQA_SOURCE_DISK};
    struct vlqa_placed_chunk *out = &a->s->placed_chunk[a->n_chunks++];
    enum vlqa_source from = where == STORE_RAM ? source_before(a, p) : source[where];
    *out = (struct vlqa_placed_chunk){.image = p->image,
                                      .text = p->text,
                                      .y = p->box.y,
                                      .x = p->box.x,
                                      .h = p->box.h,
                                      .w = p->box.w,
                                      .first_row = a->layout.row[a->layout.piece_slot[p->begin]],
                                      .rows = p->rows,
                                      .source = from};
    for (int i = 0; i < p->rows; i++)
        out->rows_exact += a->layout.exact[a->layout.piece_slot[p->begin + i]];
    a->chunks_ram += from == VLQA_SOURCE_RAM;
    a->chunks_disk += from == VLQA_SOURCE_DISK;
    a->chunks_made += from == VLQA_SOURCE_MADE;
}

static vlqa_status fetch(struct ask *a, const struct piece *p, struct key prefix,
                         const struct record **out)
{
    struct arena *mem = &a->s->request;
    size_t mark = arena_mark(mem);
    enum store_where where;
    struct made made;
    struct key key;
    int cols[2 * KV_MAX_LAYERS];
    struct record_shape shape = chunk_shape(a->s->engine, p, cols);
    layout_made(&a->layout, p, mem, &made);
    key = chunk_key(a, p, &made, prefix);
    *out = store_get(a->s->engine->store, key, &shape, &where);
    if (!*out) TRY(make(a, &made, key, &shape, out));
    note_chunk(a, p, where);
    arena_rewind(mem, mark);
    return VLQA_OK;
}

vlqa_status chunk_fetch(struct ask *a)
{
    const struct layout *l = &a->layout;
    struct key prefix = prefix_key(l);
    a->chunk = arena_push_zero(&a->s->request, (size_t)l->n_pieces * sizeof *a->chunk);
    for (int i = 0; i < l->n_pieces; i++)
        TRY(fetch(a, &l->piece[i], prefix, &a->chunk[i]));
    return VLQA_OK;
}

void chunk_place_rows(struct ask *a, int piece, int begin, int n)
{
    const struct piece *p = &a->layout.piece[piece];
    struct vlqa_session *s = a->s;
    const struct decoder_config *c = &s->engine->decoder.config;
    const int32_t *slot = a->layout.piece_slot + p->begin + begin;
    size_t mark = arena_mark(&s->scratch);
    struct pos *pos = arena_push(&s->scratch, (size_t)n * sizeof *pos);
    struct mat cos_sin =
        mat_of(arena_push(&s->scratch, mat_bytes(DT_F32, n, c->head_dim)), DT_F32, n, c->head_dim);
    struct kv_block block;
    for (int i = 0; i < n; i++)
        pos[i] = a->layout.pos[slot[i]];
    position_table(&c->rope, pos, n, cos_sin);
    block_of(a->chunk[piece], begin, n, &block);
    kv_place(s->be, &s->kv, c->kv_heads, slot, &block, cos_sin, &s->scratch);
    arena_rewind(&s->scratch, mark);
}

void chunk_place(struct ask *a)
{
    const struct layout *l = &a->layout;
    for (int i = 0; i < l->n_pieces; i++)
        for (int begin = 0; begin < l->piece[i].rows; begin += SESSION_PASS_ROWS) {
            int left = l->piece[i].rows - begin;
            chunk_place_rows(a, i, begin, left < SESSION_PASS_ROWS ? left : SESSION_PASS_ROWS);
        }
}

void chunk_release(struct ask *a)
{
    for (int i = 0; a->chunk && i < a->layout.n_pieces; i++)
        if (a->chunk[i]) store_unpin(a->s->engine->store, a->chunk[i]);
    a->chunk = NULL;
}
