/* layout.c - slots count up, positions follow M-RoPE, spans are causal; the context in segments. */
#include "fusion/layout/layout.h"

#define LEAST_HALO 4 /* of those that are chosen */

static void push_arrays(int n, struct arena *mem, struct layout *out)
{
    size_t rows = (size_t)n;
    out->token = arena_push(mem, rows * sizeof *out->token);
    out->visual_row = arena_push(mem, rows * sizeof *out->visual_row);
    out->slot = arena_push(mem, rows * sizeof *out->slot);
    out->prompt_index = arena_push(mem, rows * sizeof *out->prompt_index);
    out->pos = arena_push(mem, rows * sizeof *out->pos);
    out->span = arena_push(mem, rows * sizeof *out->span);
}

static void push_segments(int n, struct arena *mem, struct layout *out)
{
    size_t rows = (size_t)n;
    out->segment = arena_push(mem, rows * sizeof *out->segment);
    out->segment_slot = arena_push(mem, rows * sizeof *out->segment_slot);
    out->segment_own = arena_push(mem, rows * sizeof *out->segment_own);
    out->in_segment = arena_push(mem, rows * sizeof *out->in_segment);
    out->exact = arena_push(mem, rows * sizeof *out->exact);
}

static void push_chunk_input(int n, struct arena *mem, struct chunk_input *out)
{
    size_t rows = (size_t)n;
    out->n = 0;
    out->slot = arena_push(mem, rows * sizeof *out->slot);
    out->pos = arena_push(mem, rows * sizeof *out->pos);
    out->kept = arena_push(mem, rows * sizeof *out->kept);
}

void layout_measure(int n, struct arena *dry)
{
    struct layout l;
    struct chunk_input input;
    push_arrays(n, dry, &l);
    push_segments(n, dry, &l);
    push_chunk_input(n, dry, &input);
}

/* ---- stand-ins, behind the prompt ---- */

/* A prefix that an image follows has its vision_start already. */
static int opens_image(const struct prompt *prompt, const struct stand_ins *s)
{
    return prompt->prefix_end && prompt->id[prompt->prefix_end - 1] == s->vision_start;
}

/* Tokens of the first `count`, with the vision_start of an image behind them. */
static int stand_tokens_of(const struct stand_ins *s, int count, int is_open)
{
    int n = count && !is_open; /* the first vision_start */
    for (int i = 0; i < count; i++)
        n += s->image[i].grid.h * s->image[i].grid.w + 2;
    return n;
}

static void put_control(struct layout *l, int *at, int32_t *next, int32_t id)
{
    l->token[*at] = id;
    l->visual_row[*at] = -1;
    position_text(next, 1, &l->pos[*at]);
    (*at)++;
}

static void put_stand_ins(struct layout *l, int is_open, int32_t base)
{
    const struct stand_ins *s = &l->stand;
    int at = l->n;
    if (!is_open) put_control(l, &at, &base, s->vision_start);
    for (int i = 0; i < s->n; i++) {
        int cells = s->image[i].grid.h * s->image[i].grid.w;
        position_image(&base, s->image[i].grid, &l->pos[at]);
        for (int cell = 0; cell < cells; cell++, at++) {
            l->token[at] = -1;
            l->visual_row[at] = s->image[i].first + cell;
        }
        put_control(l, &at, &base, s->vision_end);
        put_control(l, &at, &base, s->vision_start);
    }
}

/* Where tokens stand when chunks are computed: right behind the prefix, whatever comes between in
 * this request. The first image or document stands there anyway. */
static int32_t own_base(const struct layout *l)
{
    return l->prefix_end ? l->pos[l->prefix_end - 1].t + 1 : 0;
}

void layout_build(const struct prompt *prompt, const struct layout_image *image,
                  const struct stand_ins *stand, struct arena *mem, struct layout *out)
{
    int is_open = stand && opens_image(prompt, stand);
    memset(out, 0, sizeof *out);
    out->n = prompt->n;
    out->prefix_end = prompt->prefix_end;
    out->context_end = prompt->context_end;
    if (stand) out->stand = *stand;
    out->stand_open = is_open;
    out->stand_tokens = stand_tokens_of(&out->stand, out->stand.n, is_open);
    push_arrays(prompt->n + out->stand_tokens, mem, out);
    for (int i = 0; i < prompt->n; i++) {
        int picture = prompt->image[i];
        out->token[i] = picture < 0 ? prompt->id[i] : -1;
        out->visual_row[i] = picture < 0 ? -1 : image[picture].first + prompt->cell[i];
        out->slot[i] = out->prompt_index[i] = i;
        out->span[i] = (struct span){0, 0, i + 1};
        if (picture < 0)
            position_text(&out->next, 1, &out->pos[i]);
        else if (prompt->cell[i] == 0) /* its tokens follow each other: all at once */
            position_image(&out->next, image[picture].grid, &out->pos[i]);
    }
    if (out->stand.n) put_stand_ins(out, is_open, own_base(out));
}

struct box layout_cell(struct grid grid, int k_rows, int k_cols, int index)
{
    int row = index / k_cols, col = index % k_cols;
    int y = row * grid.h / k_rows, x = col * grid.w / k_cols;
    return (struct box){y, x, (row + 1) * grid.h / k_rows - y, (col + 1) * grid.w / k_cols - x};
}

/* The same behind `behind` tokens of stand-ins. */
static int32_t chunk_base(const struct layout *l, int behind)
{
    return behind ? l->pos[l->n + behind - 1].t + 1 : own_base(l);
}

struct item { /* an image or document of the context */
    int image, text, slot;
    int halo, stand_ins, behind; /* as in a segment */
};

/* As many stand-ins as images and documents stand before it, at most `most`; an image sees the
 * vision_start behind them, too. */
static void put_behind(const struct layout *l, int before, int most, struct item *out)
{
    out->stand_ins = before < most ? before : most;
    if (!l->prefix_end) out->stand_ins = 0; /* nothing to stand behind */
    if (!out->stand_ins) return;
    out->behind = stand_tokens_of(&l->stand, out->stand_ins, l->stand_open) - (out->image < 0);
}

static struct segment *begin_segment(struct layout *l, int *at, const struct item *of)
{
    struct segment *p = &l->segment[l->n_segments];
    int item = of->slot;
    *p = (struct segment){.begin = *at,
                          .image = of->image,
                          .text = of->text,
                          .item = item,
                          .halo = of->halo,
                          .stand_ins = of->stand_ins,
                          .behind = of->behind};
    if (l->n_segments++ && p[-1].item == item) p->index = p[-1].index + 1;
    return p;
}

static void put_token(struct layout *l, struct segment *p, int *at, int slot, struct pos own)
{
    l->segment_slot[*at] = slot;
    l->segment_own[*at] = own;
    l->in_segment[slot] = 1;
    (*at)++;
    p->tokens++;
}

static int at_most(int k, int most)
{
    return k < 1 ? 1 : k < most ? k : most;
}

struct first { /* token of an image, before any of them moved */
    int32_t prompt_index, visual_row;
    struct pos pos;
};

/* A cell of the image changes its slot; its position is its own. */
static void move_token(struct layout *l, int to, const struct first *first, int cell, int y, int x)
{
    l->prompt_index[to] = first->prompt_index + cell;
    l->slot[first->prompt_index + cell] = to;
    l->visual_row[to] = first->visual_row + cell;
    l->pos[to] = (struct pos){first->pos.t, first->pos.h + y, first->pos.w + x};
}

static void cut_image(struct layout *l, const struct item *of, struct grid grid,
                      const struct chunker *c, int *at)
{
    int k_rows = c->kind == VLQA_CHUNK_IMAGE ? 1 : at_most(c->k, grid.h);
    int k_cols = c->kind == VLQA_CHUNK_GRID ? at_most(c->k, grid.w) : 1;
    int slot = of->slot;
    int32_t base = chunk_base(l, of->behind);
    const struct first first = {l->prompt_index[slot], l->visual_row[slot], l->pos[slot]};
    int next = slot;
    for (int i = 0; i < k_rows * k_cols; i++) {
        struct segment *p = begin_segment(l, at, of);
        struct box b = p->box = layout_cell(grid, k_rows, k_cols, i);
        for (int y = b.y; y < b.y + b.h; y++)
            for (int x = b.x; x < b.x + b.w; x++) {
                int cell = y * grid.w + x, to = c->order == VLQA_ORDER_CHUNK ? next++ : slot + cell;
                move_token(l, to, &first, cell, y, x);
                put_token(l, p, at, to, (struct pos){base, base + y, base + x});
            }
    }
}

/* Tokens [from, from + tokens) of a document, in as few and equal parts as may be. */
static void cut_passage(struct layout *l, const struct item *of, int from, int rows, int most,
                        int *at)
{
    int n = rows / most + (rows % most != 0), slot = of->slot;
    int32_t base = chunk_base(l, of->behind);
    for (int i = 0; i < n; i++) {
        struct segment *p = begin_segment(l, at, of);
        int end = from + (int)((int64_t)(i + 1) * rows / n);
        p->first = from + (int)((int64_t)i * rows / n);
        for (int row = p->first; row < end; row++)
            put_token(l, p, at, slot + row, (struct pos){base + row, base + row, base + row});
    }
}

static void cut_text(struct layout *l, const struct item *of, int rows, const struct chunker *c,
                     int *at)
{
    for (int begin = 0, end; begin < rows; begin = end) {
        for (end = begin + 1; end < rows && !(c->passage && c->passage[of->slot + end]); end++)
            ;
        cut_passage(l, of, begin, end - begin, c->text_tokens, at);
    }
}

/* ---- what a chunk's tokens see while it is computed ---- */

/* Outside of [begin, begin + n): how far. */
static int outside(int at, int begin, int n)
{
    return at < begin ? begin - at : at >= begin + n ? at - (begin + n) + 1 : 0;
}

/* Of a slot of the segment's image, or of its document before the segment: in cells, or tokens. */
static int distance(const struct layout *l, const struct segment *p, int slot)
{
    struct pos at = l->pos[slot];
    int lines, columns;
    if (p->image < 0) return l->segment_slot[p->begin] - slot;
    lines = outside(at.h - at.t, p->box.y, p->box.h);
    columns = outside(at.w - at.t, p->box.x, p->box.w);
    return lines > columns ? lines : columns;
}

/* From where a token stands to where it stood when its chunk was computed. */
static int32_t moved(const struct layout *l, const struct segment *p)
{
    return l->segment_own[p->begin].t - l->pos[l->segment_slot[p->begin]].t;
}

void layout_chunk_input(const struct layout *l, const struct segment *p, struct arena *mem,
                        struct chunk_input *out)
{
    const int32_t *mine = l->segment_slot + p->begin;
    int first = mine[0], last = mine[p->tokens - 1], from = p->halo ? p->item : first, own = 0;
    int32_t by = moved(l, p);
    if (p->image < 0 && from < first - p->halo) from = first - p->halo;
    push_chunk_input(last + 2 - from, mem, out);
    if (p->behind && p->image >= 0) {
        out->slot[out->n] = l->n + p->behind - 1;
        out->pos[out->n] = l->pos[out->slot[out->n]];
        out->kept[out->n++] = -1;
    }
    for (int slot = from; slot <= last; slot++) {
        struct pos at = l->pos[slot];
        int halo = slot != mine[own];
        if (halo && distance(l, p, slot) > p->halo) continue;
        out->slot[out->n] = slot;
        out->pos[out->n] = (struct pos){at.t + by, at.h + by, at.w + by};
        out->kept[out->n++] = halo ? -1 : own++;
    }
}

/* A chunk's token is exact where the chunk stands in its own place and all tokens between it and
 * the prefix were there when it was computed: nothing was hidden from it. */
static void mark_exact(struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *p = &l->segment[i];
        const int32_t *mine = l->segment_slot + p->begin;
        if (p->item != l->prefix_end || moved(l, p)) continue;
        for (int slot = p->item, own = 0; own < p->tokens; slot++) {
            if (slot == mine[own])
                l->exact[mine[own++]] = 1;
            else if (distance(l, p, slot) > p->halo)
                break;
        }
    }
}

/* What chunks lose is near, and how near is a share of the image, not of the cell: on 8 x 10 tokens
 * a halo of 4 recovers what 12 do on 26 x 40 (docs/RESULTS.md). grid NULL: a text. */
static int halo_of(int halo, const struct grid *grid)
{
    int shorter = grid ? grid->h < grid->w ? grid->h : grid->w : 0;
    int most = (9 * shorter + 10) / 20;
    if (halo != LAYOUT_HALO_AUTO) return halo;
    return most > LEAST_HALO ? most : LEAST_HALO;
}

void layout_cut(struct layout *l, const struct prompt *prompt, const struct layout_image *image,
                const struct chunker *chunker, struct arena *mem)
{
    int at = 0, before = 0;
    push_segments(l->n, mem, l);
    memset(l->in_segment, 0, (size_t)l->n);
    memset(l->exact, 0, (size_t)l->n);
    for (int slot = l->prefix_end, end; slot < l->context_end; slot = end) {
        struct item of = {.image = prompt->image[slot], .text = prompt->text[slot], .slot = slot};
        for (end = slot + 1; end < l->context_end; end++)
            if (prompt->image[end] != of.image || prompt->text[end] != of.text) break;
        if (of.image < 0 && of.text < 0) continue;
        put_behind(l, before++, chunker->stand_ins, &of);
        of.halo = halo_of(chunker->halo, of.image < 0 ? NULL : &image[of.image].grid);
        if (of.image >= 0)
            cut_image(l, &of, image[of.image].grid, chunker, &at);
        else
            cut_text(l, &of, end - slot, chunker, &at);
    }
    mark_exact(l);
}
