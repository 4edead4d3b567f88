/* test_ranks_differ.c - ranks that are not given the same, or do not get the same done. */
#include "base/heap.h"
#include "tests/fusion/fault_lab.h"

static const char *what; /* rank 1 has of its own */

static int is_about(const char *name)
{
    return this_rank == 1 && strcmp(what, name) == 0;
}

static void add_part(struct vlqa_session *s, size_t begin, size_t end)
{
    CHECK(vlqa_add_text(s, words + begin, end - begin) == VLQA_OK);
}

static vlqa_status add_image_of_rank(struct vlqa_session *s)
{
    return vlqa_add_image_file(s, is_about("no image")   ? "/no/image"
                                  : is_about("an image") ? CHART("cows")
                                                         : CHART("february"));
}

/* ---- something else ---- */

static void asks_otherwise(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_ask_options o = options_of_question();
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    struct vlqa_answer a;
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK);
    s = session_of(engine, is_about("room") ? 600 : 640);
    if (!is_about("order")) add_part(s, 0, is_about("cut") ? 20 : 30);
    take_message(out, add_image_of_rank(s), vlqa_message(s));
    if (is_about("order")) add_part(s, 0, 30);
    add_part(s, is_about("cut") ? 20 : 30, sizeof words - 1);
    if (is_about("evidence")) o.evidence_max = 0;
    if (is_about("passages")) o.text_chunker = VLQA_TEXT_PASSAGE;
    if (is_about("geometry")) experimental(&o)->geometry = VLQA_GEOMETRY_HLHP;
    if (is_about("layers")) experimental(&o)->probe_layers[0] = 1;
    if (out->status == VLQA_OK)
        take_message(out, vlqa_ask(s, QUESTION, &o, &a, sizeof a), vlqa_message(s));
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

TEST(ranks_that_are_given_something_else_are_told_before_anything_is_computed)
{
    static const char *const all[] = {"room",     "order",    "cut",      "an image",
                                      "evidence", "passages", "geometry", "layers"};
    struct outcome *rank = outcomes(2);
    REQUIRE(rank);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        what = all[i];
        on_ranks(2, asks_otherwise, rank);
        for (int k = 0; k < 2; k++) {
            if (rank[k].status != VLQA_ESTATE)
                CHECK_FAIL("%s: status %d, \"%s\"", what, rank[k].status, rank[k].message);
            CHECK_HAS(rank[k].message, ": rank 1 was given something else than rank 0");
        }
    }
    munmap(rank, 2 * sizeof *rank);
}

/* Of engines: parts of the weights, and chunks in another format. */
static void opens_otherwise(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    struct vlqa_engine *engine;
    vlqa_status status;
    this_rank = vlqa_ranks_rank(ranks);
    o.model = MODEL;
    o.threads = 1;
    o.ranks = ranks;
    if (is_about("chunks")) o.kv_dtype = VLQA_DTYPE_INT8;
    vlqa_ranks_divide_weights(ranks, is_about("weights"));
    status = vlqa_engine_open(&o, &engine);
    take_message(out, status, vlqa_engine_message(engine));
    vlqa_engine_close(engine);
}

TEST(ranks_that_open_another_engine_are_told)
{
    static const char *const all[] = {"chunks", "weights"};
    struct outcome *rank = outcomes(2);
    REQUIRE(rank);
    for (int i = 0; i < 2; i++) {
        what = all[i];
        on_ranks(2, opens_otherwise, rank);
        for (int k = 0; k < 2; k++) {
            CHECK_EQ(rank[k].status, VLQA_ESTATE);
            CHECK_HAS(rank[k].message, "the engine: rank 1 was given something else than rank 0");
        }
    }
    munmap(rank, 2 * sizeof *rank);
}

/* ---- what one rank cannot do ---- */

/* All have the image in their stores; then one cannot read the file. */
static void reads_no_image(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    CHECK(add_documents(s) == VLQA_OK && vlqa_session_clear(s) == VLQA_OK);
    CHECK_EQ(add_image_of_rank(s), VLQA_EIO);
    CHECK_HAS(vlqa_message(s), "/no/image");
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    take_message(out, add_documents(s), vlqa_message(s));
    if (out->status == VLQA_OK) take_message(out, ask(s, out), vlqa_message(s));
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

/* A chunk that all compute together. */
static void has_no_memory(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    vlqa_ranks_divide_weights(ranks, 1);
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    CHECK(add_documents(s) == VLQA_OK);
    if (is_about("memory")) heap_fail_after(0);
    CHECK_EQ(ask(s, out), VLQA_EMEMORY);
    heap_fail_after(-1);
    CHECK(strncmp(vlqa_message(s) + (this_rank == 1 ? 0 : strlen("rank 1: ")),
                  "out of memory: ", strlen("out of memory: ")) == 0);
    take_message(out, ask(s, out), vlqa_message(s));
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

/* Whatever happened before, the answer is that of one process. */
static void check_going_on(const char *name, scenario_fn run, int keeps)
{
    struct outcome *rank = outcomes(RANKS);
    struct lab lab;
    what = name;
    REQUIRE(rank && lab_open(&lab));
    if (keeps) cache = lab.dir;
    for (int n = 2; n <= RANKS; n++) {
        on_ranks(n, run, rank);
        for (int i = 0; i < n; i++) {
            CHECK_STR(rank[i].message, "");
            CHECK_STR(rank[i].text, lab.cold->text);
            CHECK(memcmp(rank[i].logits, lab.cold->logits, sizeof rank[i].logits) == 0);
        }
    }
    lab_close(&lab);
    munmap(rank, RANKS * sizeof *rank);
}

TEST(an_image_that_one_rank_cannot_read_is_an_error_of_all_and_leaves_nothing)
{
    check_going_on("no image", reads_no_image, 1);
}

TEST(without_memory_for_a_chunk_that_all_compute_no_rank_takes_anothers_bytes)
{
    check_going_on("memory", has_no_memory, 0);
}

/* ---- conversations ---- */

static void talks(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_ask_options o = options_of_question();
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    struct vlqa_answer a;
    o.keep = 1;
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    CHECK(add_documents(s) == VLQA_OK && vlqa_add_image_file(s, CHART("february")) == VLQA_OK);
    CHECK(vlqa_warm(s, &o, NULL, 0) == VLQA_OK);
    CHECK(vlqa_ask(s, "Which one?", &o, &a, sizeof a) == VLQA_OK);
    CHECK(vlqa_ask(s, "And then?", &o, &a, sizeof a) == VLQA_OK);
    add_part(s, 0, 30);
    take_message(out, ask(s, out), vlqa_message(s));
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

TEST(later_turns_build_on_what_all_ranks_have)
{
    static const enum reuse all[] = {REUSE_OFF, REUSE_INFOFLOW, REUSE_AUTO};
    struct outcome *alone = outcomes(1), *rank = outcomes(RANKS);
    REQUIRE(alone && rank);
    cache = NULL;
    for (int i = 0; i < 3; i++) {
        asked = all[i];
        on_ranks(0, talks, alone);
        on_ranks(RANKS, talks, rank);
        for (int k = 0; k < RANKS; k++)
            CHECK(alone->n_tokens == 6 && same_outcome(alone, &rank[k]));
    }
    asked = REUSE_INFOFLOW;
    munmap(alone, sizeof *alone);
    munmap(rank, RANKS * sizeof *rank);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
