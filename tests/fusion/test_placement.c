/* test_placement.c - where chunks are placed and what they saw when they were made: what must hold
 * to the last bit, whatever the order, halo, geometry. */
#include "base/heap.h"
#include "fusion/session.h"
#include "tests/check.h"

#define MODEL VLQA_SOURCE_DIR "/assets/default-model"
#define SAMPLE(n) VLQA_SOURCE_DIR "/assets/samples/" n ".png"
#define VOCAB 1280
#define QUESTION "What is the value of February?"
#define GRID_H 7 /* of sample 05, right behind a prefix of 4 rows */
#define GRID_W 10
#define PREFIX 4

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static int run_open(struct run *r, enum vlqa_dtype dtype)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    eo.model = MODEL;
    eo.dtype = dtype;
    eo.threads = 2;
    so.max_rows = 640;
    r->session = NULL;
    if (vlqa_engine_open(&eo, &r->engine) == VLQA_OK &&
        vlqa_session_open(r->engine, &so, &r->session) == VLQA_OK)
        return 1;
    CHECK_FAIL("%s %s", vlqa_engine_message(r->engine), vlqa_message(r->session));
    return 0;
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

static void add_image(struct vlqa_session *s, const char *path)
{
    CHECK(vlqa_add_image_file(s, path) == VLQA_OK);
}

static const char note[] = "The note says: A means Apples and B means Bananas, sold in the north.";

static void add_many(struct vlqa_session *s)
{
    add_image(s, SAMPLE("05"));
    CHECK(vlqa_add_text(s, note, sizeof note - 1) == VLQA_OK);
    add_image(s, SAMPLE("02"));
}

static struct vlqa_ask_options plan(enum vlqa_reuse reuse, enum vlqa_chunker chunker, int k,
                                    float ratio)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.max_tokens = 2;
    o.ignore_eos = 1;
    o.reuse = reuse;
    o.chunker = chunker;
    o.chunk_k = k;
    o.recompute_ratio = ratio;
    o.chunk_text_rows = 8;
    return o;
}

static struct vlqa_answer ask(struct vlqa_session *s, struct vlqa_ask_options o, float *logits)
{
    struct vlqa_answer answer = {0};
    if (vlqa_ask(s, QUESTION, &o, &answer) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    else
        memcpy(logits, answer.logits, VOCAB * sizeof *logits);
    return answer;
}

static int same(const float *a, const float *b)
{
    return memcmp(a, b, VOCAB * sizeof *a) == 0;
}

/* ---- order ---- */

/* In chunk order "full" repairs what the placed chunks miss; "adaptive" with a bound that nothing
 * meets ends in one causal pass over the same slots. */
TEST(repairing_every_row_in_chunk_order_equals_a_prefill_in_it)
{
    static float raster[VOCAB], prefill[VOCAB], repaired[VOCAB], none[VOCAB];
    for (int i = 0; i < 4; i++) {
        struct vlqa_ask_options o = plan(VLQA_REUSE_FULL, VLQA_CHUNK_GRID, 2 + (i & 1), 0.3f);
        struct run r;
        REQUIRE(run_open(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32));
        if (i & 2)
            add_many(r.session);
        else
            add_image(r.session, SAMPLE("05"));
        ask(r.session, o, raster);
        o.order = VLQA_ORDER_CHUNK;
        ask(r.session, o, repaired);
        o.reuse = VLQA_REUSE_INFOFLOW;
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
    struct vlqa_ask_options o = plan(VLQA_REUSE_INFOFLOW, VLQA_CHUNK_STRIPS, 3, 0.15f);
    struct vlqa_answer a;
    struct run r;
    int selected;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_many(r.session);
    selected = ask(r.session, o, raster).rows_selected;
    o.order = VLQA_ORDER_CHUNK;
    a = ask(r.session, o, chunk);
    CHECK(same(raster, chunk));
    CHECK_EQ(a.rows_selected, selected);
    CHECK_EQ(a.chunks_made, 0);
    run_close(&r);
}

/* The second chunk, repaired alone and in part: its rows are told where they are in the image, as
 * evidence and chunks are. */
TEST(rows_of_an_answer_are_in_the_order_of_the_prompt)
{
    static float logits[VOCAB];
    struct vlqa_ask_options o = plan(VLQA_REUSE_EPIC, VLQA_CHUNK_GRID, 2, 0.2f);
    struct vlqa_answer a;
    struct run r;
    int n[4] = {0};
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_image(r.session, SAMPLE("05"));
    o.order = VLQA_ORDER_CHUNK;
    a = ask(r.session, o, logits);
    CHECK_EQ(a.chunk[1].first_row, PREFIX + 5);
    CHECK_EQ(a.chunk[2].first_row, PREFIX + 3 * GRID_W);
    CHECK_EQ(a.chunk[0].rows_exact, a.chunk[0].rows);
    for (int y = 0; y < GRID_H; y++)
        for (int x = 0; x < GRID_W; x++) {
            int row = a.image[0].first_row + y * GRID_W + x, chunk = (y >= 3) * 2 + (x >= 5);
            int of_chunk = (y - (y >= 3) * 3) * 5 + x % 5;
            n[chunk] += a.row_selected[row];
            /* the first rows of each chunk have the highest score: one less their share */
            CHECK(a.row_score[row] == 1.0f - (float)of_chunk / (float)a.chunk[chunk].rows);
        }
    CHECK_EQ(n[0], 0);
    CHECK(n[1] == 3 && n[2] == 4 && n[3] == 4); /* 11 of 55 rows */
    run_close(&r);
}

/* What stands in slots of the other order is not taken for what a question finds in its own. */
TEST(orders_take_turns_in_one_session)
{
    static float first[2][VOCAB], again[VOCAB];
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add_image(r.session, SAMPLE("05"));
    for (int i = 0; i < 6; i++) {
        struct vlqa_ask_options o = plan(VLQA_REUSE_FULL, VLQA_CHUNK_GRID, 2, 0);
        o.order = i & 1 ? VLQA_ORDER_CHUNK : VLQA_ORDER_RASTER;
        ask(r.session, o, i < 2 ? first[i] : again);
        if (i >= 2) CHECK(same(first[i & 1], again));
        o.reuse = VLQA_REUSE_OFF; /* has no chunks and therefore no other order */
        ask(r.session, o, again);
        CHECK(same(first[0], again));
    }
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
