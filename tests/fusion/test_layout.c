/* test_layout.c - a request on paper: slots, positions, and the context in segments. */
#include "fusion/reuse/geometry.h"

#include "base/heap.h"
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>

#define MOST 256
#define MAX_PARTS 16

struct part {  /* of a prompt that needs no tokenizer */
    char kind; /* 't': plain tokens, 'd': a document, 'i': an image */
    int rows;  /* of t and d */
    struct grid grid;
};

struct page { /* a prompt and its layout */
    struct prompt prompt;
    struct layout_image image[MAX_PARTS];
    struct layout l;
    struct arena mem;
    void *block;
};

static int count_rows(const struct part *part, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += part[i].kind == 'i' ? part[i].grid.h * part[i].grid.w : part[i].rows;
    return sum;
}

static int32_t *push_rows(struct arena *mem, int rows)
{
    return arena_push(mem, (size_t)rows * sizeof(int32_t));
}

static void put_token(struct prompt *p, int image, int cell, int text)
{
    p->id[p->n] = 100 + p->n;
    p->image[p->n] = image;
    p->cell[p->n] = cell;
    p->text[p->n++] = text;
}

/* Plain tokens in front of the first image or document are the prefix, those behind the last the
 * question. */
static void page_open(struct page *page, const struct part *part, int n)
{
    struct prompt *p = &page->prompt;
    int images = 0, texts = 0, visual = 0, context = 0, rows = count_rows(part, n);
    struct arena dry = {0};
    memset(page, 0, sizeof *page);
    for (int i = 0; i < 4; i++)
        push_rows(&dry, rows);
    layout_measure(rows, &dry);
    page->block = heap_alloc(dry.used);
    page->mem = arena_over(page->block, dry.used);
    p->id = push_rows(&page->mem, rows);
    p->image = push_rows(&page->mem, rows);
    p->cell = push_rows(&page->mem, rows);
    p->text = push_rows(&page->mem, rows);
    for (int i = 0; i < n; i++) {
        if (part[i].kind != 't' && !context) p->prefix_end = p->n;
        if (part[i].kind != 't') context = 1;
        for (int row = 0; row < part[i].rows && part[i].kind != 'i'; row++)
            put_token(p, -1, -1, part[i].kind == 'd' ? texts : -1);
        for (int cell = 0; part[i].kind == 'i' && cell < part[i].grid.h * part[i].grid.w; cell++)
            put_token(p, images, cell, -1);
        if (part[i].kind == 'i') {
            page->image[images++] = (struct layout_image){part[i].grid, visual, {{0}}};
            visual += part[i].grid.h * part[i].grid.w;
        }
        texts += part[i].kind == 'd';
        if (part[i].kind != 't') p->context_end = p->n;
    }
    if (!context) p->prefix_end = p->context_end = part[0].rows;
    layout_build(p, page->image, NULL, &page->mem, &page->l);
}

static struct chunker cut_by(enum vlqa_chunker kind, int k, int text_tokens)
{
    return (struct chunker){.kind = kind, .k = k, .text_tokens = text_tokens};
}

static struct chunker in_chunks(enum vlqa_chunker kind, int k)
{
    return (struct chunker){.kind = kind, .k = k, .text_tokens = 4, .order = VLQA_ORDER_CHUNK};
}

static void page_cut(struct page *page, enum vlqa_chunker kind, int k, int text_tokens)
{
    struct chunker c = cut_by(kind, k, text_tokens);
    layout_cut(&page->l, &page->prompt, page->image, &c, &page->mem);
}

static void page_made(struct page *page, const struct part *part, int n, struct chunker c)
{
    page_open(page, part, n);
    layout_cut(&page->l, &page->prompt, page->image, &c, &page->mem);
}

static void page_close(struct page *page)
{
    heap_free(page->block);
}

static int is_pos(struct pos p, int t, int h, int w)
{
    return p.t == t && p.h == h && p.w == w;
}

/* A system text, two images with words between them, a document, the question. */
static const struct part story[] = {{'t', 5, {0, 0}}, {'i', 0, {4, 6}},  {'t', 2, {0, 0}},
                                    {'i', 0, {3, 2}}, {'d', 10, {0, 0}}, {'t', 6, {0, 0}}};
#define STORY_N 6

/* Grids. */

static int splits_evenly(struct grid grid, int k_rows, int k_cols)
{
    uint8_t covered[20 * 20] = {0};
    for (int i = 0; i < k_rows * k_cols; i++) {
        struct box b = layout_cell(grid, k_rows, k_cols, i);
        if (b.h < grid.h / k_rows || b.h > (grid.h + k_rows - 1) / k_rows) return 0;
        if (b.w < grid.w / k_cols || b.w > (grid.w + k_cols - 1) / k_cols) return 0;
        if (b.h < 1 || b.w < 1) return 0;
        for (int y = b.y; y < b.y + b.h; y++)
            for (int x = b.x; x < b.x + b.w; x++)
                covered[y * grid.w + x]++;
    }
    for (int i = 0; i < grid.h * grid.w; i++)
        if (covered[i] != 1) return 0;
    return 1;
}

TEST(cells_cover_a_grid_once_balanced_and_never_empty)
{
    for (int h = 1; h <= 20; h++)
        for (int w = 1; w <= 20; w += 1 + h % 3)
            for (int rows = 1; rows <= h; rows++)
                for (int cols = 1; cols <= w; cols++)
                    if (!splits_evenly((struct grid){h, w}, rows, cols))
                        CHECK_FAIL("%d x %d in %d x %d cells", h, w, rows, cols);
}

TEST(a_chunker_asks_for_at_most_one_cell_a_row)
{
    static const struct {
        enum vlqa_chunker kind;
        int k, segments; /* of a grid of 4 x 6 */
    } cases[] = {{VLQA_CHUNK_IMAGE, 9, 1},   {VLQA_CHUNK_GRID, 1, 1},   {VLQA_CHUNK_GRID, 3, 9},
                 {VLQA_CHUNK_GRID, 4, 16},   {VLQA_CHUNK_GRID, 5, 20},  {VLQA_CHUNK_GRID, 6, 24},
                 {VLQA_CHUNK_GRID, 256, 24}, {VLQA_CHUNK_STRIPS, 3, 3}, {VLQA_CHUNK_STRIPS, 4, 4},
                 {VLQA_CHUNK_STRIPS, 100, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct page page;
        page_open(&page, story, 2);
        page_cut(&page, cases[i].kind, cases[i].k, 8);
        CHECK_EQ(page.l.n_segments, cases[i].segments);
        page_close(&page);
    }
}

/* Segments. */

static const struct {
    enum vlqa_chunker kind;
    int k, text_tokens;
} cuts[] = {{VLQA_CHUNK_IMAGE, 1, 4},
            {VLQA_CHUNK_GRID, 2, 1},
            {VLQA_CHUNK_GRID, 3, 100},
            {VLQA_CHUNK_STRIPS, 3, 3},
            {VLQA_CHUNK_STRIPS, 200, 10}};
#define N_CUTS 5

TEST(pieces_cover_images_and_documents_once_and_nothing_else)
{
    for (int c = 0; c < N_CUTS; c++) {
        struct page page;
        int seen[MOST] = {0}, at = 0;
        page_open(&page, story, STORY_N);
        page_cut(&page, cuts[c].kind, cuts[c].k, cuts[c].text_tokens);
        for (int i = 0; i < page.l.n_segments; i++) {
            const struct segment *p = &page.l.segment[i];
            CHECK_EQ(p->begin, at);
            CHECK(p->tokens > 0 && (p->image < 0) != (p->text < 0));
            for (int r = 0; r < p->tokens; r++) {
                int slot = page.l.segment_slot[p->begin + r];
                CHECK(r == 0 || slot > page.l.segment_slot[p->begin + r - 1]);
                CHECK_EQ(page.prompt.image[slot], p->image);
                CHECK_EQ(page.prompt.text[slot], p->text);
                seen[slot]++;
            }
            at += p->tokens;
        }
        for (int row = 0; row < page.l.n; row++) {
            int wanted = page.prompt.image[row] >= 0 || page.prompt.text[row] >= 0;
            CHECK_EQ(seen[row], wanted);
            CHECK_EQ(page.l.in_segment[row], wanted);
            CHECK(!page.l.exact[row] || wanted);
        }
        page_close(&page);
    }
}

TEST(rows_keep_raster_slots_and_places_whatever_the_chunker)
{
    for (int c = 0; c < N_CUTS; c++) {
        struct page page;
        page_open(&page, story, STORY_N);
        page_cut(&page, cuts[c].kind, cuts[c].k, cuts[c].text_tokens);
        for (int row = 0; row < page.l.n; row++) {
            CHECK_EQ(page.l.slot[row], row);
            CHECK(page.l.span[row].head_end == 0 && page.l.span[row].tail_begin == 0);
            CHECK_EQ(page.l.span[row].tail_end, row + 1);
            CHECK_EQ(page.l.token[row], page.prompt.image[row] < 0 ? 100 + row : -1);
        }
        CHECK(is_pos(page.l.pos[4], 4, 4, 4));                     /* the prefix ends */
        CHECK(is_pos(page.l.pos[5 + 6 * 2 + 3], 5, 5 + 2, 5 + 3)); /* first image: line 2 */
        CHECK(is_pos(page.l.pos[29], 11, 11, 11));                 /* max(4, 6) behind 5 */
        CHECK(is_pos(page.l.pos[31 + 2 * 2 + 1], 13, 15, 14));     /* second image, its last cell */
        CHECK(is_pos(page.l.pos[37], 16, 16, 16));                 /* document */
        CHECK(is_pos(page.l.pos[52], 31, 31, 31));
        CHECK_EQ(page.l.next, 32);
        CHECK_EQ(page.l.visual_row[5], 0);
        CHECK_EQ(page.l.visual_row[31], 24);
        CHECK_EQ(page.l.visual_row[29], -1);
        page_close(&page);
    }
}

/* A slot of the layout shows the token of the prompt that it says. */
static void check_row(const struct page *chunked, const struct page *raster, int slot)
{
    const struct layout *l = &chunked->l, *r = &raster->l;
    int row = l->prompt_index[slot];
    CHECK_EQ(l->slot[row], slot);
    CHECK_EQ(l->token[slot], r->token[row]);
    CHECK_EQ(l->visual_row[slot], r->visual_row[row]);
    CHECK(is_pos(l->pos[slot], r->pos[row].t, r->pos[row].h, r->pos[row].w));
    CHECK(l->span[slot].head_end == 0 && l->span[slot].tail_end == slot + 1);
}

/* Slots are of chunks, positions of the image: cells one after the other, the rest unmoved. */
TEST(chunk_order_moves_slots_and_no_position)
{
    static const int second[6] = {31, 33, 32, 35, 34, 36}; /* 3 x 2 in cells of 1 or 2 x 1 */
    struct page raster, chunked;
    page_open(&raster, story, STORY_N);
    page_made(&chunked, story, STORY_N, in_chunks(VLQA_CHUNK_GRID, 2));
    for (int slot = 0; slot < raster.l.n; slot++)
        check_row(&chunked, &raster, slot);
    for (int i = 0; i < 24; i++) /* 4 x 6 in cells of 2 x 3 */
        CHECK_EQ(chunked.l.prompt_index[5 + i],
                 5 + i / 12 * 12 + i / 3 % 2 * 6 + i / 6 % 2 * 3 + i % 3);
    CHECK_EQ(chunked.l.prompt_index[31], second[0]);
    CHECK_EQ(chunked.l.prompt_index[36], second[5]);
    for (int i = 0; i < chunked.l.n_segments; i++)
        for (int r = 1; r < chunked.l.segment[i].tokens; r++)
            CHECK_EQ(chunked.l.segment_slot[chunked.l.segment[i].begin + r],
                     chunked.l.segment_slot[chunked.l.segment[i].begin + r - 1] + 1);
    page_close(&raster);
    page_close(&chunked);
}

/* Chunks are made as if theirs were the first image or document, each cell in its place. */
TEST(own_positions_begin_right_behind_the_prefix)
{
    struct page page;
    page_open(&page, story, STORY_N);
    page_cut(&page, VLQA_CHUNK_GRID, 2, 4);
    for (int i = 0; i < page.l.n_segments; i++) {
        const struct segment *p = &page.l.segment[i];
        for (int r = 0; r < p->tokens; r++) {
            struct pos own = page.l.segment_own[p->begin + r];
            int row = p->first + r;
            if (p->image >= 0)
                CHECK(is_pos(own, 5, 5 + p->box.y + r / p->box.w, 5 + p->box.x + r % p->box.w));
            else
                CHECK(is_pos(own, 5 + row, 5 + row, 5 + row));
        }
    }
    page_close(&page);
}

TEST(the_same_image_is_cut_alike_wherever_it_stands)
{
    static const struct part alone[] = {{'t', 5, {0, 0}}, {'i', 0, {3, 2}}, {'t', 4, {0, 0}}};
    struct page first, second;
    page_open(&first, alone, 3);
    page_open(&second, story, STORY_N);
    page_cut(&first, VLQA_CHUNK_GRID, 2, 4);
    page_cut(&second, VLQA_CHUNK_GRID, 2, 4);
    CHECK_EQ(first.l.n_segments, 4);
    for (int i = 0; i < 4; i++) {
        const struct segment *p = &first.l.segment[i], *q = &second.l.segment[4 + i];
        CHECK_EQ(q->image, 1);
        CHECK_EQ(q->index, i);
        CHECK_EQ(q->tokens, p->tokens);
        CHECK(memcmp(&p->box, &q->box, sizeof p->box) == 0);
        for (int r = 0; r < p->tokens; r++)
            CHECK(memcmp(&first.l.segment_own[p->begin + r], &second.l.segment_own[q->begin + r],
                         sizeof(struct pos)) == 0);
    }
    page_close(&first);
    page_close(&second);
}

TEST(documents_are_cut_evenly)
{
    for (int rows = 1; rows < 40; rows++)
        for (int most = 1; most < 45; most += 1 + most / 3) {
            struct part parts[] = {{'t', 3, {0, 0}}, {'d', rows, {0, 0}}, {'t', 2, {0, 0}}};
            struct page page;
            int n = (rows + most - 1) / most, at = 0;
            page_open(&page, parts, 3);
            page_cut(&page, VLQA_CHUNK_IMAGE, 1, most);
            CHECK_EQ(page.l.n_segments, n);
            for (int i = 0; i < page.l.n_segments; i++) {
                const struct segment *p = &page.l.segment[i];
                CHECK_EQ(p->first, at);
                CHECK_EQ(p->index, i);
                CHECK(p->tokens >= rows / n && p->tokens <= (rows + n - 1) / n &&
                      p->tokens <= most);
                at += p->tokens;
            }
            CHECK_EQ(at, rows);
            page_close(&page);
        }
}

/* Each passage by itself: 5 tokens, 9 in three parts of 3, 2. */
TEST(passages_are_cut_evenly_where_they_are_long)
{
    static const int firsts[] = {0, 5, 8, 11, 14};
    static const struct part parts[] = {{'t', 3, {0, 0}}, {'d', 16, {0, 0}}, {'t', 2, {0, 0}}};
    uint8_t passage[21] = {0};
    struct chunker c = cut_by(VLQA_CHUNK_IMAGE, 1, 5);
    struct page page;
    c.passage = passage;
    passage[3 + 5] = passage[3 + 14] = passage[1] = passage[20] = 1;
    page_made(&page, parts, 3, c);
    REQUIRE(page.l.n_segments == 4);
    page_close(&page);
    c.text_tokens = 3;
    page_made(&page, parts, 3, c);
    CHECK_EQ(page.l.n_segments, 6);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(page.l.segment[i + 2].first, firsts[i + 1]);
    for (int i = 0; i < page.l.n_segments; i++) {
        CHECK_EQ(page.l.segment[i].index, i);
        CHECK(page.l.segment[i].tokens <= 3);
        CHECK(is_pos(page.l.segment_own[page.l.segment[i].begin], 3 + page.l.segment[i].first,
                     3 + page.l.segment[i].first, 3 + page.l.segment[i].first));
    }
    page_close(&page);
}

/* Products of counts leave the range of int. */
TEST(a_long_document_in_single_rows_or_one_piece)
{
    static const int rows = 70000;
    static const struct part parts[] = {{'d', 70000, {0, 0}}, {'t', 1, {0, 0}}};
    static const int most[] = {1, 2, 69999, 70000, INT_MAX};
    static const int segments[] = {70000, 35000, 2, 1, 1};
    for (int i = 0; i < 5; i++) {
        struct page page;
        int at = 0;
        page_open(&page, parts, 2);
        page_cut(&page, VLQA_CHUNK_IMAGE, 1, most[i]);
        CHECK_EQ(page.l.n_segments, segments[i]);
        for (int p = 0; p < page.l.n_segments; p++) {
            CHECK_EQ(page.l.segment[p].first, at);
            CHECK_EQ(page.l.segment[p].tokens, rows / segments[i]);
            at += page.l.segment[p].tokens;
        }
        CHECK_EQ(at, rows);
        page_close(&page);
    }
}

/* Which tokens a chunk gives exactly. */

static int exact_rows(const struct page *page, int begin, int end)
{
    int sum = 0;
    for (int row = begin; row < end; row++)
        sum += page->l.exact[row];
    return sum;
}

static void check_exact(const struct part *part, int n, struct chunker c, int expected)
{
    struct page page;
    page_made(&page, part, n, c);
    CHECK_EQ(exact_rows(&page, 0, page.l.n), expected);
    CHECK_EQ(exact_rows(&page, page.l.prefix_end, page.l.prefix_end + expected), expected);
    page_close(&page);
}

TEST(rows_are_exact_while_nothing_was_hidden_from_them)
{
    static const struct part text_first[] = {
        {'t', 4, {0, 0}}, {'d', 9, {0, 0}}, {'i', 0, {2, 2}}, {'t', 3, {0, 0}}};
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_IMAGE, 1, 4), 24);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_GRID, 1, 4), 24);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_STRIPS, 4, 4), 6);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_STRIPS, 3, 4), 6);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_STRIPS, 2, 4), 12);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_GRID, 2, 4), 3);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_GRID, 3, 4), 2);
    check_exact(story, STORY_N, cut_by(VLQA_CHUNK_GRID, 99, 4), 1);
    check_exact(text_first, 4, cut_by(VLQA_CHUNK_IMAGE, 1, 9), 9);
    check_exact(text_first, 4, cut_by(VLQA_CHUNK_IMAGE, 1, 8), 4);
    check_exact(text_first, 4, cut_by(VLQA_CHUNK_IMAGE, 1, 1), 1);
}

TEST(in_chunk_order_the_whole_first_cell_is_exact)
{
    check_exact(story, STORY_N, in_chunks(VLQA_CHUNK_GRID, 2), 6);
    check_exact(story, STORY_N, in_chunks(VLQA_CHUNK_GRID, 3), 2);
    check_exact(story, STORY_N, in_chunks(VLQA_CHUNK_STRIPS, 2), 12);
    check_exact(story, STORY_N, in_chunks(VLQA_CHUNK_IMAGE, 1), 24);
}

/* ---- halo ---- */

static struct chunker with_halo(enum vlqa_chunker kind, int k, int halo, enum vlqa_order order)
{
    return (struct chunker){.kind = kind, .k = k, .text_tokens = 4, .order = order, .halo = halo};
}

/* Is the token at `slot` to be seen when segment p is made? From the rule, not from the code. */
static int seen(const struct page *page, const struct segment *p, int halo, int slot)
{
    const struct layout *l = &page->l;
    int last = l->segment_slot[p->begin + p->tokens - 1], row = l->prompt_index[slot], width, near;
    if (slot > last || page->prompt.image[row] != p->image || page->prompt.text[row] != p->text)
        return 0;
    if (p->image < 0) return slot >= l->segment_slot[p->begin] - halo;
    width = page->image[p->image].grid.w;
    near = 0;
    for (int y = p->box.y; y < p->box.y + p->box.h; y++)
        for (int x = p->box.x; x < p->box.x + p->box.w; x++)
            near |= abs(page->prompt.cell[row] / width - y) <= halo &&
                    abs(page->prompt.cell[row] % width - x) <= halo;
    return near;
}

static void check_chunk_input(struct page *page, const struct segment *p, int halo)
{
    size_t mark = arena_mark(&page->mem);
    const int32_t *mine = page->l.segment_slot + p->begin;
    struct chunk_input input;
    int n = 0, own = 0;
    layout_chunk_input(&page->l, p, &page->mem, &input);
    for (int slot = 0; slot < page->l.n; slot++) {
        int is_mine = own < p->tokens && mine[own] == slot;
        if (!is_mine && !seen(page, p, halo, slot)) continue;
        REQUIRE(n < input.n);
        CHECK_EQ(input.slot[n], slot);
        CHECK_EQ(input.kept[n], is_mine ? own : -1);
        CHECK_EQ(input.pos[n].t - page->l.pos[slot].t,
                 input.pos[0].t - page->l.pos[input.slot[0]].t);
        if (is_mine) /* where it stands among the others, the same as without a halo */
            CHECK(memcmp(&input.pos[n], &page->l.segment_own[p->begin + own], sizeof *input.pos) ==
                  0);
        own += is_mine;
        n++;
    }
    CHECK_EQ(n, input.n);
    CHECK_EQ(own, p->tokens);
    arena_rewind(&page->mem, mark);
}

TEST(a_halo_is_of_the_item_before_the_last_row_and_near)
{
    static const enum vlqa_chunker kinds[] = {VLQA_CHUNK_IMAGE, VLQA_CHUNK_GRID, VLQA_CHUNK_STRIPS};
    for (int i = 0; i < 3 * 6 * 2; i++) {
        int halo = i / 3 % 6;
        struct page page;
        page_made(&page, story, STORY_N,
                  with_halo(kinds[i % 3], 2 + halo % 2, halo, (enum vlqa_order)(i / 18)));
        for (int p = 0; p < page.l.n_segments; p++)
            check_chunk_input(&page, &page.l.segment[p], halo);
        page_close(&page);
    }
}

TEST(a_halo_that_is_chosen_grows_with_the_image)
{
    static const int cases[][3] = {{2, 3, 4}, {9, 12, 4}, {10, 20, 5}, {26, 40, 12}, {40, 26, 12}};
    for (int i = 0; i < 5; i++) {
        struct part parts[] = {{'i', 0, {cases[i][0], cases[i][1]}}, {'d', 9, {0, 0}}};
        struct page page;
        page_made(&page, parts, 2,
                  with_halo(VLQA_CHUNK_GRID, 2, LAYOUT_HALO_AUTO, VLQA_ORDER_RASTER));
        for (int p = 0; p < page.l.n_segments; p++)
            CHECK_EQ(page.l.segment[p].halo, page.l.segment[p].image < 0 ? 4 : cases[i][2]);
        page_close(&page);
    }
}

TEST(rows_are_exact_where_their_halo_is_all_that_comes_before)
{
    static const struct part text_first[] = {{'t', 4, {0, 0}}, {'d', 9, {0, 0}}, {'t', 3, {0, 0}}};
    /* the second image and the document stand elsewhere when they are made: 24 at most */
    check_exact(story, STORY_N, with_halo(VLQA_CHUNK_GRID, 2, 9, VLQA_ORDER_RASTER), 24);
    check_exact(story, STORY_N, with_halo(VLQA_CHUNK_GRID, 2, 9, VLQA_ORDER_CHUNK), 24);
    check_exact(story, STORY_N, with_halo(VLQA_CHUNK_STRIPS, 4, 3, VLQA_ORDER_RASTER), 24);
    check_exact(story, STORY_N, with_halo(VLQA_CHUNK_STRIPS, 4, 2, VLQA_ORDER_RASTER), 18);
    /* 2 x 2 cells of 2 x 3, one cell more in sight: the upper right one misses the first column */
    check_exact(story, STORY_N, with_halo(VLQA_CHUNK_GRID, 2, 1, VLQA_ORDER_RASTER), 3);
    check_exact(story, STORY_N, with_halo(VLQA_CHUNK_GRID, 2, 3, VLQA_ORDER_RASTER), 24);
    check_exact(text_first, 3, with_halo(VLQA_CHUNK_IMAGE, 1, 0, VLQA_ORDER_RASTER), 3);
    check_exact(text_first, 3, with_halo(VLQA_CHUNK_IMAGE, 1, 3, VLQA_ORDER_RASTER), 6);
    check_exact(text_first, 3, with_halo(VLQA_CHUNK_IMAGE, 1, 6, VLQA_ORDER_RASTER), 9);
}

/* ---- geometries of scoring ---- */

/* The story: prefix 0..4, image at 5 (4 x 6 cells, 6 positions), words 11 and 12, image at 13 (3 x
 * 2, 3 positions), a document at 16..25, the question at 26. Cells of 2 x 3 and 1 or 2 x 1, texts
 * of 5 tokens. */
TEST(geometries_move_chunks_and_the_question)
{
    static const struct {
        enum vlqa_geometry g;
        int first, second, text, question; /* where cells and parts begin */
    } cases[] = {{VLQA_GEOMETRY_HLHP, 5, 5, 5, 5 + 5},
                 {VLQA_GEOMETRY_TLTP, 26 - 3, 26 - 2, 26 - 5, 26},
                 {VLQA_GEOMETRY_HLTP, 5, 5, 5, 26}};
    for (int i = 0; i < 3; i++) {
        int first = cases[i].first, second = cases[i].second, text = cases[i].text;
        struct page page;
        struct layout *l = &page.l;
        page_open(&page, story, STORY_N);
        page_cut(&page, VLQA_CHUNK_GRID, 2, 5);
        *l = geometry_layout(l, cases[i].g, &page.mem);
        CHECK(is_pos(l->pos[4], 4, 4, 4));
        CHECK(is_pos(l->pos[5], first, first, first));
        CHECK(is_pos(l->pos[5 + 6 * 3 + 5], first, first + 1, first + 2)); /* the last cell's */
        CHECK(is_pos(l->pos[29], 11, 11, 11));
        CHECK(is_pos(l->pos[31 + 2], second, second, second)); /* 2 x 1, the second line */
        CHECK(is_pos(l->pos[31 + 4], second, second + 1, second));
        CHECK(is_pos(l->pos[37], text, text, text));
        CHECK(is_pos(l->pos[37 + 9], text + 4, text + 4, text + 4));
        CHECK(is_pos(l->pos[47], cases[i].question, cases[i].question, cases[i].question));
        CHECK_EQ(l->next, cases[i].question + 6);
        page_close(&page);
    }
}

TEST(without_context_nothing_is_cut)
{
    static const struct part plain[] = {{'t', 4, {0, 0}}, {'t', 7, {0, 0}}};
    struct page page;
    page_open(&page, plain, 2);
    page_cut(&page, VLQA_CHUNK_GRID, 2, 4);
    CHECK_EQ(page.l.n_segments, 0);
    CHECK_EQ(exact_rows(&page, 0, page.l.n), 0);
    for (int row = 0; row < page.l.n; row++)
        CHECK(!page.l.in_segment[row]);
    page_close(&page);
}

TEST(a_context_without_a_prefix_starts_at_0)
{
    static const struct part bare[] = {{'i', 0, {2, 3}}, {'t', 3, {0, 0}}};
    struct page page;
    page_open(&page, bare, 2);
    page_cut(&page, VLQA_CHUNK_STRIPS, 2, 4);
    CHECK(is_pos(page.l.segment_own[0], 0, 0, 0));
    CHECK(is_pos(page.l.segment_own[5], 0, 1, 2));
    CHECK_EQ(exact_rows(&page, 0, page.l.n), 3);
    page_close(&page);
}

TEST(two_equal_documents_side_by_side_are_two)
{
    static const struct part twice[] = {
        {'t', 2, {0, 0}}, {'d', 3, {0, 0}}, {'d', 3, {0, 0}}, {'t', 2, {0, 0}}};
    struct page page;
    page_open(&page, twice, 4);
    page_cut(&page, VLQA_CHUNK_IMAGE, 1, 100);
    CHECK_EQ(page.l.n_segments, 2);
    CHECK_EQ(page.l.segment[1].text, 1);
    CHECK_EQ(page.l.segment[1].first, 0);
    CHECK(is_pos(page.l.segment_own[3], 2, 2, 2));
    CHECK_EQ(exact_rows(&page, 0, page.l.n), 3);
    page_close(&page);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
