/* chunk.c - segments of the context as chunks: hit or computed, then placed. */
#include "fusion/reuse/chunk_parts.h"
#include "kernels/comm.h"

#include <string.h>

struct key chunk_prefix(const struct layout *l)
{
    struct hash h;
    hash_begin(&h, "vlqa prefix");
    for (int i = 0; i < l->prefix_end; i++)
        hash_u64(&h, (uint64_t)(int64_t)l->token[i]);
    return hash_end(&h);
}

/* What a chunk sees in front of its document: stand-ins stand behind the prefix. */
static struct key before_key(const struct layout *l, const struct segment *p, struct key prefix)
{
    struct hash h;
    if (!p->behind) return prefix;
    hash_begin(&h, "vlqa prefix and stand-ins");
    hash_bytes(&h, prefix.b, sizeof prefix.b);
    for (int i = 0; i < p->behind; i++)
        hash_u64(&h, (uint64_t)(int64_t)l->token[l->n + i]);
    for (int i = 0; i < p->stand_ins; i++)
        hash_bytes(&h, l->stand.image[i].key.b, sizeof prefix.b);
    return hash_end(&h);
}

/* The words of the halo are content, too. */
static struct key text_key(const struct layout *l, const struct chunk_input *input)
{
    struct hash h;
    hash_begin(&h, "vlqa text");
    for (int i = 0; i < input->n; i++)
        hash_u64(&h, (uint64_t)(int64_t)l->token[input->slot[i]]);
    return hash_end(&h);
}

/* Of an image: how wide; below zero in chunk order, where other tokens come before. */
static int32_t halo_key(const struct view *v, const struct segment *p,
                        const struct chunk_input *input)
{
    int halo = input->n - p->tokens - (p->behind && p->image >= 0); /* its vision_start */
    if (halo == 0 || p->image < 0) return halo;
    return v->x->order == VLQA_ORDER_CHUNK && v->o->chunker == VLQA_CHUNK_GRID ? -p->halo : p->halo;
}

static struct key chunk_key(const struct view *v, const struct segment *p,
                            const struct chunk_input *input, struct key prefix)
{
    struct key_parts parts;
    engine_key_parts(v->run.s->engine, &parts);
    parts.kind = RECORD_CHUNK;
    parts.prefix = before_key(v->run.layout, p, prefix);
    parts.halo = halo_key(v, p, input);
    if (p->image >= 0) {
        parts.content = v->run.s->image[p->image].key;
        parts.grid = v->run.s->image[p->image].grid;
        parts.chunker = (int32_t)v->o->chunker;
        parts.k = v->o->chunker == VLQA_CHUNK_IMAGE ? 1 : v->o->chunk_k;
        parts.index = p->index;
    } else { /* where it stands in its document decides its rotation among the prefix */
        parts.content = text_key(v->run.layout, input);
        parts.chunker = -1;
        parts.index = p->first;
    }
    return key_of(&parts);
}

/* at: the copy of the record on the device, or NULL. */
static void block_of(const struct record *r, const void *at, int begin, int n, struct kv_block *out)
{
    out->layers = r->n_mats / 2;
    out->rows = n;
    for (int i = 0; i < out->layers; i++) {
        out->k[i] = host_mat_rows(r->mat[2 * i], begin, n);
        out->v[i] = host_mat_rows(r->mat[2 * i + 1], begin, n);
    }
    out->at = NULL;
    if (at) out->at = (const char *)at + ((char *)out->k[0].data - (char *)r->mat[0].data);
}

static struct record_shape chunk_shape(const struct vlqa_engine *e, const struct segment *p,
                                       int cols[2 * KV_MAX_LAYERS])
{
    struct record_shape shape = {.kind = RECORD_CHUNK,
                                 .rows = p->tokens,
                                 .grid = {p->box.h, p->box.w},
                                 .n_mats = 2 * e->decoder.config.layers,
                                 .cols = cols,
                                 .dtype = e->chunk};
    for (int i = 0; i < shape.n_mats; i++)
        cols[i] = engine_chunk_cols(e);
    return shape;
}

/* Tokens of stand-ins that stand-in passes compute for it. */
static int seen_before(const struct segment *p)
{
    return p->behind - (p->behind && p->image >= 0);
}

/* Of computing it, as rates measure it: what is kept of it does not matter. */
static double chunk_flops(const struct view *v, const struct segment *p,
                          const struct chunk_input *input)
{
    const struct decoder_config *c = &v->run.s->engine->decoder.config;
    double sum = 0;
    for (int i = 0; i < input->n; i++) {
        struct span span = {0, 0, v->run.layout->prefix_end + seen_before(p) + i + 1};
        sum += decoder_flops(c, &(struct tokens){.n = 1, .span = &span}, 0);
    }
    return sum;
}

/* Of loading a chunk from where it is; zeros where nothing is chosen. */
static struct load_estimate estimate(const struct view *v, const struct segment *p,
                                     const struct chunk_input *input, struct key key,
                                     const struct record_shape *shape)
{
    struct vlqa_engine *e = v->run.s->engine;
    enum store_where where = e->options.load_or_compute ? store_find(e->store, key) : STORE_MISS;
    int to_device = !device_shares_host(e->device) && !store_gpu_has(e->store_gpu, &key);
    double bytes = 0;
    if (where == STORE_MISS || (where == STORE_RAM && !to_device))
        return (struct load_estimate){0, 0};
    for (int i = 0; i < shape->n_mats; i++)
        bytes += (double)mat_bytes(shape->dtype, shape->rows, shape->cols[i]);
    return rates_estimate(&e->rates, bytes, where == STORE_DISK, to_device,
                          chunk_flops(v, p, input));
}

void chunk_plan(const struct view *v, const struct segment *p, struct key prefix,
                struct chunk_plan *out)
{
    out->segment = p;
    out->shape = chunk_shape(v->run.s->engine, p, out->cols);
    layout_chunk_input(v->run.layout, p, &v->run.s->request.host, &out->input);
    out->key = chunk_key(v, p, &out->input, prefix);
}

/* Stand-ins behind the prefix, as far as chunks before have not computed them. */
static vlqa_status make_stand_ins(struct view *v, const struct segment *p)
{
    const struct layout *l = v->run.layout;
    int from = v->stand_ready, to = seen_before(p);
    struct run_pass pass = {.begin = l->n + from,
                            .pos = l->pos + l->n + from,
                            .write_at = l->prefix_end + from,
                            .alone = 1};
    v->stand_ready = to; /* what is behind them is written now */
    return from < to ? run_pass(&v->run, "chunks", to - from, &pass) : VLQA_OK;
}

/* Behind the prefix and its stand-ins, in slots that are overwritten when all chunks are placed. */
vlqa_status chunk_make(struct view *v, const struct chunk_plan *c, const struct record **out)
{
    struct vlqa_session *s = v->run.s;
    struct record *r;
    struct kv_block block;
    vlqa_status status;
    double begin;
    struct run_pass pass = {.slot = c->input.slot,
                            .pos = c->input.pos,
                            .write_at = v->run.layout->prefix_end + seen_before(c->segment),
                            .capture = &block,
                            .capture_row = c->input.kept};
    TRY(make_stand_ins(v, c->segment));
    begin = env_ms();
    TRY(store_new(&s->env, s->engine->store, c->key, &c->shape, &r));
    block_of(r, NULL, 0, c->shape.rows, &block);
    status = run_pass(&v->run, "chunks", c->input.n, &pass);
    if (status == VLQA_OK)
        rates_add(&s->engine->rates, RATE_FLOPS, chunk_flops(v, c->segment, &c->input),
                  env_ms() - begin);
    if (status != VLQA_OK) {
        store_drop(s->engine->store, r);
        return status;
    }
    *out = store_put(&s->env, s->engine->store, r);
    return VLQA_OK;
}

static enum vlqa_source source_before(struct chunk_list before, const struct segment *p)
{
    for (int i = 0; i < before.n; i++)
        if (before.chunk[i].image == p->image && before.chunk[i].text == p->text)
            return before.chunk[i + p->index].source; /* as many segments then as now */
    return VLQA_SOURCE_RAM;
}

static void note_chunk(const struct view *v, const struct segment *p, enum vlqa_source from,
                       struct load_estimate e)
{
    const struct layout *l = v->run.layout;
    struct vlqa_answer *answer = v->answer;
    struct vlqa_placed_chunk *out = &v->run.s->placed_chunk[answer->n_chunks++];
    *out = (struct vlqa_placed_chunk){.image = p->image,
                                      .text = p->text,
                                      .y = p->box.y,
                                      .x = p->box.x,
                                      .h = p->box.h,
                                      .w = p->box.w,
                                      .first_token = l->prompt_index[l->segment_slot[p->begin]],
                                      .tokens = p->tokens,
                                      .source = from,
                                      .ms_load = e.ms_load,
                                      .ms_compute = e.ms_compute};
    for (int i = 0; i < p->tokens; i++)
        out->tokens_exact += l->exact[l->segment_slot[p->begin + i]];
    answer->chunks_ram += from == VLQA_SOURCE_RAM || from == VLQA_SOURCE_GPU;
    answer->chunks_disk += from == VLQA_SOURCE_DISK;
    answer->chunks_computed += from == VLQA_SOURCE_COMPUTED;
}

const struct record *chunk_load(const struct view *v, const struct chunk_plan *c,
                                enum store_where *where)
{
    struct vlqa_engine *e = v->run.s->engine;
    double begin = env_ms();
    const struct record *r = store_get(e->store, c->key, &c->shape, where);
    if (*where == STORE_DISK) rates_add(&e->rates, RATE_DISK, (double)r->bytes, env_ms() - begin);
    return r;
}

/* A copy on the device of a record, for this question and later ones. Nonzero: it was there. */
static int copy_to_gpu(const struct view *v, const struct record *r, const void **at)
{
    struct vlqa_session *s = v->run.s;
    struct store_gpu_copy copy = store_gpu_get(s->engine->store_gpu, r, s->queue);
    if (copy.at && copy.is_new) queue_upload(s->queue, copy.at, r->mat[0].data, store_gpu_bytes(r));
    *at = copy.at;
    return copy.at && !copy.is_new;
}

void chunk_list(struct view *v, int segment, enum store_where where, struct load_estimate takes,
                struct chunk_list before)
{
    static const enum vlqa_source source[] = {[STORE_MISS] = VLQA_SOURCE_COMPUTED,
                                              [STORE_RAM] = VLQA_SOURCE_RAM,
                                              [STORE_DISK] = VLQA_SOURCE_DISK};
    const struct segment *p = &v->run.layout->segment[segment];
    enum vlqa_source from = where == STORE_RAM ? source_before(before, p) : source[where];
    if (v->chunk[segment] && copy_to_gpu(v, v->chunk[segment], &v->on_gpu[segment]) &&
        from == VLQA_SOURCE_RAM)
        from = VLQA_SOURCE_GPU;
    note_chunk(v, p, from, takes);
}

static vlqa_status fetch(struct view *v, int segment, struct key prefix, struct chunk_list before)
{
    struct vlqa_session *s = v->run.s;
    struct workspace_used mark = workspace_mark(&s->request);
    enum store_where where = STORE_MISS;
    struct load_estimate takes;
    struct chunk_plan c;
    chunk_plan(v, &v->run.layout->segment[segment], prefix, &c);
    takes = estimate(v, c.segment, &c.input, c.key, &c.shape);
    if (!load_is_slower(takes)) v->chunk[segment] = chunk_load(v, &c, &where);
    if (!v->chunk[segment]) TRY(chunk_make(v, &c, &v->chunk[segment]));
    chunk_list(v, segment, where, takes, before);
    workspace_rewind(&s->request, mark);
    return VLQA_OK;
}

vlqa_status chunk_fetch(struct view *v, struct chunk_list before)
{
    const struct layout *l = v->run.layout;
    struct key prefix = chunk_prefix(l);
    struct arena *mem = &v->run.s->request.host;
    v->stand_ready = 0;
    v->chunk = arena_push_zero(mem, (size_t)l->n_segments * sizeof *v->chunk);
    v->on_gpu = arena_push_zero(mem, (size_t)l->n_segments * sizeof *v->on_gpu);
    if (comm_n(v->run.s->queue) > 1) return chunk_fetch_by_ranks(v, before);
    for (int i = 0; i < l->n_segments; i++)
        TRY(fetch(v, i, prefix, before));
    return VLQA_OK;
}

struct placement {
    struct header header; /* [n] slots and [n, 3] positions */
    struct mat cos_sin;   /* [n, head_dim] f32 */
};

static struct placement placement_layout(const struct vlqa_engine *e, int n, struct workspace *ws)
{
    size_t bytes = (size_t)n * (sizeof(int32_t) + sizeof(struct pos));
    return (struct placement){.header = header_push(e->device, ws, bytes),
                              .cos_sin = workspace_mat(ws, DT_F32, n, e->decoder.config.head_dim)};
}

void chunk_measure(const struct vlqa_engine *e, int rows, struct workspace *dry)
{
    const struct decoder_config *c = &e->decoder.config;
    struct workspace_used mark = workspace_mark(dry);
    (void)placement_layout(e, rows, dry);
    kv_place_measure(e->device, c->layers, c->kv_heads, c->head_dim, e->chunk, rows, dry);
    workspace_rewind(dry, mark);
}

void chunk_place_part(const struct view *v, int segment, int begin, int n)
{
    const struct layout *l = v->run.layout;
    struct vlqa_session *s = v->run.s;
    const struct decoder_config *c = &s->engine->decoder.config;
    const int32_t *slot = l->segment_slot + l->segment[segment].begin + begin;
    struct workspace_used mark = workspace_mark(&s->scratch);
    struct placement at = placement_layout(s->engine, n, &s->scratch);
    struct kv_block block;
    int32_t *to, *pos;
    struct ints slots = header_ints(&at.header, n, &to);
    struct ints where = header_ints(&at.header, 3 * n, &pos);
    for (int i = 0; i < n; i++) {
        to[i] = slot[i];
        memcpy(pos + 3 * i, &l->pos[slot[i]], sizeof(struct pos));
    }
    header_send(s->queue, &at.header);
    k_angles(s->queue, at.cos_sin, where, s->engine->decoder.rope_inverse);
    block_of(v->chunk[segment], v->on_gpu[segment], begin, n, &block);
    kv_place(s->queue, &s->kv, c->kv_heads, slots, &block, at.cos_sin, &s->scratch);
    workspace_rewind(&s->scratch, mark);
}

static int places(const struct view *v, int segment)
{
    int giver = v->giver ? v->giver[segment] : -1;
    return giver < 0 || giver == comm_rank(v->run.s->queue);
}

void chunk_place(const struct view *v)
{
    const struct layout *l = v->run.layout;
    for (int i = 0; i < l->n_segments; i++)
        for (int begin = 0; places(v, i) && begin < l->segment[i].tokens;
             begin += SESSION_PASS_TOKENS) {
            int left = l->segment[i].tokens - begin;
            chunk_place_part(v, i, begin, left < SESSION_PASS_TOKENS ? left : SESSION_PASS_TOKENS);
        }
    if (v->giver) chunk_exchange(v);
}

vlqa_status chunk_release(struct view *v)
{
    const struct vlqa_engine *e = v->run.s->engine;
    vlqa_status status = VLQA_OK;
    int n = v->chunk ? v->run.layout->n_segments : 0, copies = 0;
    for (int i = 0; i < n; i++)
        copies += v->on_gpu[i] != NULL;
    if (copies) status = queue_sync(v->run.s->queue); /* nothing reads them any more */
    for (int i = 0; i < n; i++) {
        if (v->on_gpu[i]) store_gpu_unpin(e->store_gpu, v->on_gpu[i], status == VLQA_OK);
        if (v->chunk[i]) store_unpin(e->store, v->chunk[i]);
    }
    v->chunk = NULL;
    v->on_gpu = NULL;
    return status;
}
