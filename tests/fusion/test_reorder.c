/* test_reorder.c - keys that stand elsewhere while they are scored, and documents in another order.
 */
#include "tests/fusion/placement_lab.h"

/* ---- geometries ---- */

static size_t copy_rows(const struct vlqa_session *s, int row, char *out)
{
    size_t used = 0;
    for (int i = 0; i < s->kv.layers; i++)
        for (int j = 0; j < 2; j++) {
            struct mat m = mat_rows(j ? s->kv.v[i] : s->kv.k[i], row, 1);
            size_t bytes = mat_bytes(m.dtype, 1, m.cols);
            CHECK_EQ(queue_read(s->queue, out + used, m), VLQA_OK);
            used += bytes;
        }
    return used;
}

/* Scoring elsewhere moves scores; what is not repaired is where it was. */
TEST(keys_are_back_in_place_after_scoring)
{
    static float logits[VOCAB], score[3][640];
    static char kept[256][32 << 10], now[32 << 10];
    struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_GRID, 2, 0.15f);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_many(r.session);
    a = ask(r.session, o, logits);
    REQUIRE(a.tokens_total <= 256);
    for (int i = a.tokens_prefix; i < a.tokens_prefix + a.tokens_context; i++)
        REQUIRE(copy_rows(r.session, i, kept[i]) <= sizeof now);
    set_reuse(&o, REUSE_INFOFLOW);
    for (int g = 0; g < 3; g++) {
        int wrong = 0, compared = 0;
        experimental(&o)->geometry = (enum vlqa_geometry)(VLQA_GEOMETRY_HLHP + g);
        a = ask(r.session, o, logits);
        memcpy(score[g], a.token_score, (size_t)a.tokens_total * sizeof(float));
        for (int c = 0; c < a.n_chunks; c++) {
            if (vlqa_chunk_at(&a, c).image >= 0) continue;
            for (int i = vlqa_chunk_at(&a, c).first_token;
                 i < vlqa_chunk_at(&a, c).first_token + vlqa_chunk_at(&a, c).tokens; i++) {
                size_t bytes = copy_rows(r.session, i, now);
                compared += !a.token_selected[i];
                wrong += !a.token_selected[i] && memcmp(now, kept[i], bytes) != 0;
            }
        }
        CHECK(compared > 0);
        CHECK_EQ(wrong, 0);
        CHECK(a.tokens_selected > 0);
    }
    for (int g = 0; g < 3; g++)
        CHECK(memcmp(score[g], score[(g + 1) % 3], sizeof score[0]) != 0);
    run_close(&r);
}

/* ---- reordering ---- */

#define N_ITEMS 4
static const char *const item_text[N_ITEMS] = {"x", NULL, note, NULL};
static const char *const item_image[N_ITEMS] = {NULL, CHART("february"), NULL, CHART("cows")};

static void add_items(struct vlqa_session *s, const int *order, int n)
{
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    for (int i = 0; i < n; i++)
        if (item_text[order[i]])
            CHECK(vlqa_add_text(s, item_text[order[i]], strlen(item_text[order[i]])) == VLQA_OK);
        else
            add_image(s, item_image[order[i]]);
}

/* Which items the chunks of an answer are of, in the order of the prompt. */
static int items_of(const struct vlqa_answer *a, const int *asked, int n_asked, int *out)
{
    int n = 0;
    for (int c = 0; c < a->n_chunks; c++) {
        int image = vlqa_chunk_at(a, c).image, text = vlqa_chunk_at(a, c).text;
        if (c && image == vlqa_chunk_at(a, c - 1).image && text == vlqa_chunk_at(a, c - 1).text)
            continue;
        for (int i = 0; i < n_asked; i++)
            if (item_text[asked[i]] ? text-- == 0 : image-- == 0) out[n++] = asked[i];
    }
    return n;
}

/* Every chunk is of the item that it says, and the answer's tokens are of the new prompt. */
static void check_reordered(struct vlqa_session *s, const int *asked, int n)
{
    static float logits[VOCAB], direct[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_FULL, VLQA_CHUNK_GRID, 2, 0.15f);
    int order[N_ITEMS] = {0}, moved = 0, tokens[640], total;
    struct vlqa_answer a;
    add_items(s, asked, n);
    experimental(&o)->reorder = VLQA_REORDER_DENSITY;
    a = ask(s, o, logits);
    CHECK_EQ(items_of(&a, asked, n, order), n);
    for (int i = 0; i < n; i++)
        moved += order[i] != asked[i];
    CHECK(moved > 0);
    total = a.tokens_total;
    memcpy(tokens, a.prompt_token, (size_t)total * sizeof *tokens);
    experimental(&o)->reorder = VLQA_REORDER_OFF;
    add_items(s, order, n);
    a = ask(s, o, direct);
    CHECK_EQ(a.tokens_total, total);
    CHECK(memcmp(tokens, a.prompt_token, (size_t)total * sizeof *tokens) == 0);
    CHECK(same(logits, direct));
    set_reuse(&o, REUSE_OFF);
    ask(s, o, direct);
    CHECK(same(logits, direct));
    set_reuse(&o, REUSE_FULL);
    add_items(s, asked, n);
    ask(s, o, direct);
    CHECK(!same(logits, direct));
}

TEST(reordered_items_equal_items_added_in_that_order)
{
    static const int asked[][N_ITEMS] = {{1, 2, 3, 0}, {2, 1, 3, 0}, {3, 0, 2, 1}};
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    for (int i = 0; i < 3; i++)
        check_reordered(r.session, asked[i], N_ITEMS);
    run_close(&r);
}

/* Tokens of an item that a first selection round with the same settings chose, in parts of 10000.
 */
static void densities(const struct vlqa_answer *a, int *out)
{
    int rows[N_ITEMS] = {0}, chosen[N_ITEMS] = {0};
    for (int i = 0; i < a->n_images; i++) {
        int n = vlqa_image_at(a, i).grid_h * vlqa_image_at(a, i).grid_w, item = i ? 3 : 1;
        rows[item] = n;
        for (int r = 0; r < n; r++)
            chosen[item] += a->token_selected[vlqa_image_at(a, i).first_token + r];
    }
    for (int c = 0; c < a->n_chunks; c++) {
        if (vlqa_chunk_at(a, c).text != 1) continue;
        rows[2] += vlqa_chunk_at(a, c).tokens;
        for (int r = 0; r < vlqa_chunk_at(a, c).tokens; r++)
            chosen[2] += a->token_selected[vlqa_chunk_at(a, c).first_token + r];
    }
    for (int i = 1; i < N_ITEMS; i++)
        out[i] = 10000 * chosen[i] / rows[i];
}

/* Only x, which is one token and exact, is not counted by the selection round that an option asks
 * for. */
TEST(the_densest_item_stands_next_to_the_question)
{
    static const int asked[N_ITEMS] = {0, 1, 2, 3};
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, VLQA_CHUNK_IMAGE, 1, 0.25f);
    int density[N_ITEMS], order[N_ITEMS], before = -1, differ = 0;
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_items(r.session, asked, N_ITEMS);
    experimental(&o)->geometry = VLQA_GEOMETRY_HLTP;
    experimental(&o)->budget_base = VLQA_BASE_CONTEXT;
    a = ask(r.session, o, logits);
    densities(&a, density);
    experimental(&o)->geometry = VLQA_GEOMETRY_GLOBAL;
    experimental(&o)->reorder = VLQA_REORDER_DENSITY;
    a = ask(r.session, o, logits);
    REQUIRE(items_of(&a, asked, N_ITEMS, order) == N_ITEMS);
    for (int i = 0; i < N_ITEMS; i++) {
        if (order[i] == 0) continue;
        if (before >= 0) {
            CHECK(density[before] <= density[order[i]]);
            differ += density[before] != density[order[i]];
        }
        before = order[i];
    }
    CHECK(differ > 0);
    run_close(&r);
}

/* Cold, chunks that were computed for the first selection round are reported as computed, and warm
 * as hits. */
TEST(chunks_of_a_reordered_question_are_told_once)
{
    static const int asked[N_ITEMS] = {1, 2, 3, 0};
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, VLQA_CHUNK_GRID, 2, 0.15f);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_items(r.session, asked, N_ITEMS);
    experimental(&o)->reorder = VLQA_REORDER_DENSITY;
    for (int warm = 0; warm < 2; warm++) {
        uint64_t before = heap_calls();
        a = ask(r.session, o, logits);
        if (warm) CHECK_EQ(heap_calls() - before, 0);
        CHECK_EQ(a.chunks_computed, warm ? 0 : a.n_chunks);
        CHECK_EQ(a.chunks_ram, warm ? a.n_chunks : 0);
        for (int i = 0; i < a.n_chunks; i++)
            CHECK_EQ(vlqa_chunk_at(&a, i).source, warm ? VLQA_SOURCE_RAM : VLQA_SOURCE_COMPUTED);
    }
    run_close(&r);
}

TEST(one_image_is_not_reordered)
{
    static float off[VOCAB], on[VOCAB];
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, VLQA_CHUNK_GRID, 2, 0.15f);
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_image(r.session, CHART("february"));
    ask(r.session, o, off);
    experimental(&o)->reorder = VLQA_REORDER_DENSITY;
    ask(r.session, o, on);
    CHECK(same(off, on));
    run_close(&r);
}

TEST(geometries_and_reordering_are_checked)
{
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    for (int i = 0; i < 3; i++) {
        struct vlqa_ask_options o = plan(REUSE_INFOFLOW, VLQA_CHUNK_GRID, 2, 0.1f);
        if (i == 0) experimental(&o)->geometry = (enum vlqa_geometry)4;
        if (i == 1) experimental(&o)->reorder = (enum vlqa_reorder)2;
        if (i == 2) experimental(&o)->geometry = VLQA_GEOMETRY_HLHP;
        if (i == 2) o.adaptive = 1;
        CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
        CHECK_HAS(vlqa_message(r.session), i == 2 ? "adaptive" : "expected 0..3, 0..1");
    }
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
