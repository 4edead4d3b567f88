/* test_placement.c - in which order chunks are placed and what they saw when they were made: what
 * must hold to the last bit. */
#include "tests/fusion/placement_lab.h"

/* ---- order ---- */

/* In chunk order "full" repairs what the placed chunks miss; "adaptive" with a bound that nothing
 * meets ends in one causal pass over the same slots. */
TEST(repairing_every_row_in_chunk_order_equals_a_prefill_in_it)
{
    static float raster[VOCAB], prefill[VOCAB], repaired[VOCAB], none[VOCAB];
    for (int i = 0; i < 4; i++) {
        struct vlqa_ask_options o = plan(REUSE_FULL, VLQA_CHUNK_GRID, 2 + (i & 1), 0.3f);
        struct run r;
        REQUIRE(run_open(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32));
        if (i & 2)
            add_many(r.session);
        else
            add_image(r.session, CHART("february"));
        ask(r.session, o, raster);
        experimental(&o)->order = VLQA_ORDER_CHUNK;
        ask(r.session, o, repaired);
        set_reuse(&o, REUSE_INFOFLOW);
        o.adaptive = 1e-30f;
        ask(r.session, o, prefill);
        o.adaptive = 0;
        o.recompute_ratio = 0;
        ask(r.session, o, none);
        CHECK(same(repaired, prefill));
        CHECK(check_compare(repaired, raster, VOCAB).max_abs > 0.01);
        CHECK(check_compare(repaired, none, VOCAB).max_abs > 0.01);
        run_close(&r);
    }
}

/* Strips and texts stand in raster order anyway. */
TEST(chunk_order_changes_nothing_where_chunks_are_lines)
{
    static float raster[VOCAB], chunk[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, VLQA_CHUNK_STRIPS, 3, 0.15f);
    struct vlqa_answer a;
    struct run r;
    int selected;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_many(r.session);
    selected = ask(r.session, o, raster).tokens_selected;
    experimental(&o)->order = VLQA_ORDER_CHUNK;
    a = ask(r.session, o, chunk);
    CHECK(same(raster, chunk));
    CHECK_EQ(a.tokens_selected, selected);
    CHECK_EQ(a.chunks_computed, 0);
    run_close(&r);
}

/* The second chunk, repaired alone and in part: its tokens are told where they are in the image, as
 * evidence and chunks are. */
TEST(rows_of_an_answer_are_in_the_order_of_the_prompt)
{
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_EPIC, VLQA_CHUNK_GRID, 2, 0.2f);
    struct vlqa_answer a;
    struct run r;
    int n[4] = {0};
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_image(r.session, CHART("february"));
    experimental(&o)->order = VLQA_ORDER_CHUNK;
    a = ask(r.session, o, logits);
    CHECK_EQ(vlqa_chunk_at(&a, 1).first_token, PREFIX + 5);
    CHECK_EQ(vlqa_chunk_at(&a, 2).first_token, PREFIX + 3 * GRID_W);
    CHECK_EQ(vlqa_chunk_at(&a, 0).tokens_exact, vlqa_chunk_at(&a, 0).tokens);
    for (int y = 0; y < GRID_H; y++)
        for (int x = 0; x < GRID_W; x++) {
            int row = vlqa_image_at(&a, 0).first_token + y * GRID_W + x,
                chunk = (y >= 3) * 2 + (x >= 5);
            int of_chunk = (y - (y >= 3) * 3) * 5 + x % 5;
            n[chunk] += a.token_selected[row];
            /* the first tokens of each chunk have the highest score: one less their share */
            CHECK(a.token_score[row] ==
                  1.0f - (float)of_chunk / (float)vlqa_chunk_at(&a, chunk).tokens);
        }
    CHECK_EQ(n[0], 0);
    CHECK(n[1] == 3 && n[2] == 4 && n[3] == 4); /* 11 of 55 tokens */
    run_close(&r);
}

/* What stands in slots of the other order is not taken for what a question finds in its own. */
TEST(orders_take_turns_in_one_session)
{
    static float first[2][VOCAB], again[VOCAB];
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_image(r.session, CHART("february"));
    for (int i = 0; i < 6; i++) {
        struct vlqa_ask_options o = plan(REUSE_FULL, VLQA_CHUNK_GRID, 2, 0);
        experimental(&o)->order = i & 1 ? VLQA_ORDER_CHUNK : VLQA_ORDER_RASTER;
        ask(r.session, o, i < 2 ? first[i] : again);
        if (i >= 2) CHECK(same(first[i & 1], again));
        set_reuse(&o, REUSE_OFF); /* has no chunks and therefore no other order */
        ask(r.session, o, again);
        CHECK(same(first[0], again));
    }
    run_close(&r);
}

/* ---- halo ---- */

/* A halo of all that comes before leaves nothing to repair: full prefill without repair. */
TEST(a_halo_over_all_that_comes_before_is_full_prefill)
{
    static const enum vlqa_chunker kinds[] = {VLQA_CHUNK_GRID, VLQA_CHUNK_STRIPS};
    static float full[VOCAB], reused[VOCAB];
    for (int i = 0; i < 4; i++) {
        struct vlqa_ask_options o = plan(REUSE_OFF, kinds[i & 1], 3, 0);
        struct vlqa_answer a;
        struct run r;
        REQUIRE(run_open(&r, i & 2 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32));
        add_image(r.session, CHART("february"));
        ask(r.session, o, full);
        set_reuse(&o, REUSE_NONE);
        o.halo = GRID_W;
        a = ask(r.session, o, reused);
        CHECK_EQ(a.tokens_recomputed, a.tokens_total - a.tokens_prefix - GRID_H * GRID_W);
        CHECK(same(full, reused));
        o.halo = 1;
        ask(r.session, o, reused);
        CHECK(check_compare(full, reused, VOCAB).max_abs > 1e-3);
        run_close(&r);
    }
}

TEST(a_halo_over_a_document_is_full_prefill)
{
    static float full[VOCAB], reused[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_OFF, VLQA_CHUNK_IMAGE, 1, 0);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    CHECK(vlqa_add_text(r.session, note, sizeof note - 1) == VLQA_OK);
    ask(r.session, o, full);
    set_reuse(&o, REUSE_NONE);
    o.halo = 4096;
    a = ask(r.session, o, reused);
    CHECK(a.chunks_computed > 2);
    CHECK(same(full, reused));
    o.halo = 0;
    a = ask(r.session, o, reused);
    CHECK(!same(full, reused));
    run_close(&r);
}

/* Tokens of the image through the decoder in places of their own behind everything: each sees the
 * prefix and those of `cell` before it. */
static void run_apart(struct vlqa_session *s, const int *cell, int n, int slot)
{
    int32_t token[GRID_H * GRID_W], visual[GRID_H * GRID_W], to[GRID_H * GRID_W];
    struct pos pos[GRID_H * GRID_W];
    struct span span[GRID_H * GRID_W];
    struct pass pass = {.kv = &s->kv,
                        .tokens = {.n = n,
                                   .token = token,
                                   .visual_row = visual,
                                   .pos = pos,
                                   .slot = to,
                                   .span = span,
                                   .visual = mat_rows(s->visual, 0, s->visual_tokens),
                                   .n_deep = s->engine->vit.config.n_deep}};
    for (int i = 0; i < pass.tokens.n_deep; i++)
        pass.tokens.deep[i] = mat_rows(s->deep[i], 0, s->visual_tokens);
    for (int i = 0; i < n; i++) {
        token[i] = -1;
        visual[i] = cell[i];
        pos[i] = (struct pos){PREFIX, PREFIX + cell[i] / GRID_W, PREFIX + cell[i] % GRID_W};
        to[i] = slot + i;
        span[i] = (struct span){PREFIX, slot, slot + i + 1};
    }
    decoder_forward(s->queue, &s->engine->decoder, &pass, &s->scratch);
    CHECK_EQ(queue_sync(s->queue), VLQA_OK);
}

static int same_rows(const struct vlqa_session *s, int a, int b)
{
    for (int i = 0; i < s->kv.layers; i++)
        for (int j = 0; j < 2; j++) {
            struct mat m = j ? s->kv.v[i] : s->kv.k[i];
            char row[4096];
            if (mat_bytes(m.dtype, 1, m.cols) > sizeof row ||
                queue_read(s->queue, row, mat_rows(m, b, 1)) != VLQA_OK ||
                !device_same(s->queue, mat_rows(m, a, 1), row))
                return 0;
        }
    return 1;
}

/* The rows of the lower right cell of 2 x 2, 4 lines of 5 from (3, 5), that differ from those of
 * the pass that ran cells from `slot` on. */
static int rows_that_differ(const struct vlqa_session *s, const int *cell, int n, int slot)
{
    int differ = 0;
    for (int i = 0; i < n; i++)
        if (cell[i] / GRID_W >= 3 && cell[i] % GRID_W >= 5)
            differ += !same_rows(s, slot + i, PREFIX + cell[i]);
    return differ;
}

/* What is placed is what a cold pass computes whose rows see the prefix, the halo and their chunk,
 * wherever its slots lie in a tile of attention. The halo of 2 is the lines above the cell and the
 * columns to its left, down to its last line. */
TEST(placed_rows_equal_a_cold_pass_with_the_same_sight)
{
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_GRID, 2, 0);
    for (int i = 0; i < 4; i++) {
        int cell[GRID_H * GRID_W], n = 0, slot = 512;
        struct run r;
        REQUIRE(run_open(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32));
        add_image(r.session, CHART("february"));
        o.halo = i & 2;
        ask(r.session, o, logits);
        for (int y = 3 - o.halo; y < GRID_H; y++)
            for (int x = 5 - o.halo; x < GRID_W; x++)
                cell[n++] = y * GRID_W + x;
        for (; slot < 512 + 64; slot += 7) {
            int differ;
            run_apart(r.session, cell, n, slot);
            differ = rows_that_differ(r.session, cell, n, slot);
            if (differ) CHECK_FAIL("%d tokens differ in slots from %d on", differ, slot);
        }
        run_apart(r.session, cell + 1, n - 1, slot); /* one token less in sight shows */
        CHECK(!same_rows(r.session, slot + n - 2, PREFIX + GRID_H * GRID_W - 1));
        run_close(&r);
    }
}

/* Chunks of other halos are other chunks; where there is nothing to see, they are the same: in
 * chunk order the first cell, which in raster order sees the second one's upper lines. */
TEST(halos_have_chunks_of_their_own)
{
    static float logits[VOCAB];
    static const struct {
        int halo, order, made;
    } asked[] = {{0, 0, 4}, {1, 0, 4}, {2, 0, 4}, {1, 1, 3}, {0, 1, 0},
                 {1, 0, 0}, {2, 0, 0}, {1, 1, 0}, {0, 0, 0}};
    struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_GRID, 2, 0);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_image(r.session, CHART("february"));
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        o.halo = asked[i].halo;
        experimental(&o)->order = (enum vlqa_order)asked[i].order;
        a = ask(r.session, o, logits);
        CHECK_EQ(a.chunks_computed, asked[i].made);
        CHECK_EQ(a.chunks_computed + a.chunks_ram, 4);
    }
    run_close(&r);
}

/* Two documents that end alike: the last words are one chunk, unless a halo shows what was before
 * them. */
TEST(the_words_of_a_halo_are_part_of_the_name)
{
    static const char *const texts[] = {"a b c d e f g h i j k l", "z b c d e f g h i j k l"};
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_IMAGE, 1, 0);
    struct run r;
    o.chunk_text_tokens = 6;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    for (o.halo = 0; o.halo <= 6; o.halo += 3) { /* of 6 tokens: 3 reach not to the first */
        int made[2];
        for (int i = 0; i < 2; i++) {
            CHECK(vlqa_session_clear(r.session) == VLQA_OK);
            CHECK(vlqa_add_text(r.session, texts[i], strlen(texts[i])) == VLQA_OK);
            made[i] = ask(r.session, o, logits).chunks_computed;
        }
        CHECK_EQ(made[0] > 0, 1);
        CHECK_EQ(made[1], o.halo == 3 ? 0 : 1); /* the first segment has no halo and is known */
    }
    run_close(&r);
}

TEST(halos_are_checked)
{
    static const int halos[] = {-2, 4097};
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    for (int i = 0; i < 2; i++) {
        struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_GRID, 2, 0);
        o.halo = halos[i];
        CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
        CHECK_HAS(vlqa_message(r.session), "expected -1..4096");
    }
    run_close(&r);
}

/* ---- passages ---- */

/* The first passage is exact, and repairing the others is full prefill. */
TEST(passages_are_chunks)
{
    static const char text[] = "One is 1.\n\nTwo is 2, and more than one.\n\nThree is 3.";
    static float full[VOCAB], reused[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_OFF, VLQA_CHUNK_IMAGE, 1, 0);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    CHECK(vlqa_add_text(r.session, text, sizeof text - 1) == VLQA_OK);
    o.chunk_text_tokens = 100;
    ask(r.session, o, full);
    set_reuse(&o, REUSE_FULL);
    CHECK_EQ(ask(r.session, o, reused).n_chunks, 1);
    o.text_chunker = VLQA_TEXT_PASSAGE;
    a = ask(r.session, o, reused);
    CHECK(same(full, reused));
    CHECK_EQ(a.n_chunks, 3);
    CHECK_EQ(vlqa_chunk_at(&a, 0).tokens_exact, vlqa_chunk_at(&a, 0).tokens);
    CHECK_EQ(a.tokens_selected, vlqa_chunk_at(&a, 1).tokens + vlqa_chunk_at(&a, 2).tokens);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
