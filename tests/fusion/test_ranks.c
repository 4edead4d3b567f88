/* test_ranks.c - several processes answer as one does, to the last bit. */
#include "tests/fusion/charts_lab.h"

/* What n ranks gave one another, and held. */
static void check_counts(const struct outcome *rank, int n, const struct outcome *alone)
{
    const struct outcome *last = &rank[n - 1];
    if (n == 1) return;
    CHECK(last->count[COMM_VISION].given > 0);
    if (reuse == REUSE_OFF) CHECK(last->count[COMM_HIDDEN].given > 6 * 4 * VOCAB / MOST_RANKS);
    if (divided)
        CHECK(last->weight_bytes < alone->weight_bytes / 10 * 9);
    else if (reuse == REUSE_OFF && pass_tokens != 1)
        CHECK(rank[0].count[COMM_KV].given > 0);
    else if (reuse == REUSE_INFOFLOW)
        CHECK(last->count[COMM_CHUNKS].taken > last->count[COMM_KV].taken);
}

/* On so many ranks, each of them, as alone. */
static void check_answers(int least, int most, scenario_fn run, int charts)
{
    struct outcome *alone = outcomes(1), *rank = outcomes(MOST_RANKS);
    REQUIRE(alone && rank);
    on_ranks(0, run, alone);
    CHECK_STR(alone->message, "");
    CHECK(alone->n_tokens == 6);
    for (int n = least; n <= most; n++) {
        memset(rank, 0, MOST_RANKS * sizeof *rank);
        on_ranks(n, run, rank);
        for (int i = 0; i < n; i++)
            if (!same_outcome(alone, &rank[i]))
                CHECK_FAIL("rank %d of %d: \"%s\" %s, alone \"%s\"", i, n, rank[i].text,
                           rank[i].message, alone->text);
        if (charts) check_counts(rank, n, alone);
    }
    munmap(alone, sizeof *alone);
    munmap(rank, MOST_RANKS * sizeof *rank);
}

static void check_on(int least, int most)
{
    check_answers(least, most, about_charts, 1);
}

static void check_all(void)
{
    check_on(1, MOST_RANKS);
}

TEST(full_prefill_by_ranks_is_that_of_one_process)
{
    reuse = REUSE_OFF;
    format = VLQA_DTYPE_BF16;
    check_all();
    format = VLQA_DTYPE_F32;
    check_all();
}

/* Checkpoints whose results are those of transformers (test_golden.c). They have one or two KV
 * heads, and widths that blocks do not fill. */
static const char *checkpoint;

static void about_a_golden_image(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *session = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s/%s", VLQA_SOURCE_DIR "/tests/golden", checkpoint);
    eo.model = path;
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 2;
    eo.no_cache = 1;
    eo.ranks = ranks;
    vlqa_ranks_divide_weights(ranks, divided);
    out->status = vlqa_engine_open(&eo, &engine);
    if (out->status == VLQA_OK) session = session_of(engine, 512);
    snprintf(out->message, sizeof out->message, "%s", vlqa_engine_message(engine));
    if (session) {
        add_image(session, VLQA_SOURCE_DIR "/tests/golden/images/down.png");
        ask_about(session, out);
    }
    vlqa_session_close(session);
    vlqa_engine_close(engine);
}

TEST(golden_checkpoints_are_answered_as_by_one_process)
{
    static const char *const all[] = {"tied64", "sharded12", "tower72"};
    reuse = REUSE_OFF;
    for (int i = 0; i < 6; i++) {
        checkpoint = all[i / 2];
        divided = i % 2;
        check_answers(1, MOST_RANKS, about_a_golden_image, 0);
    }
    divided = 0;
}

/* More of them than blocks of the head's outputs: some have none. */
TEST(ranks_without_a_part_of_the_head_go_along)
{
    enum { MANY = 24 };
    struct outcome *alone = outcomes(1), *rank = outcomes(MANY);
    REQUIRE(alone && rank);
    reuse = REUSE_OFF;
    checkpoint = "sharded12"; /* its head is not tied */
    on_ranks(0, about_a_golden_image, alone);
    for (divided = 0; divided < 2; divided++) {
        on_ranks(MANY, about_a_golden_image, rank);
        for (int i = 0; i < MANY; i++)
            CHECK(alone->n_tokens == 6 && same_outcome(alone, &rank[i]));
    }
    divided = 0;
    munmap(alone, sizeof *alone);
    munmap(rank, MANY * sizeof *rank);
}

TEST(batches_of_any_size_are_shared)
{
    static const int sizes[] = {1, 7, 16};
    format = VLQA_DTYPE_F32;
    for (int i = 0; i < 3; i++) {
        pass_tokens = sizes[i];
        check_on(2, 3);
    }
    pass_tokens = 0;
}

TEST(divided_weights_have_the_bits_of_whole_ones)
{
    static const enum reuse all[] = {REUSE_OFF, REUSE_NONE, REUSE_INFOFLOW, REUSE_KVSHARE};
    divided = 1;
    for (int i = 0; i < 4; i++) {
        reuse = all[i];
        format = i % 2 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32;
        check_on(2, i ? 2 : 4);
    }
    reuse = REUSE_OFF;
    for (weights = VLQA_WEIGHTS_INT8; weights <= VLQA_WEIGHTS_INT4; weights++)
        check_on(3, 3);
    weights = VLQA_WEIGHTS_AUTO;
    divided = 0;
}

TEST(every_variant_by_ranks_is_that_of_one_process)
{
    static const enum reuse all[] = {REUSE_FULL, REUSE_NONE, REUSE_CACHEBLEND, REUSE_KVSHARE,
                                     REUSE_AUTO};
    format = VLQA_DTYPE_BF16;
    reuse = REUSE_INFOFLOW;
    check_all();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        reuse = all[i];
        check_on(3, 3);
    }
    reuse = REUSE_OFF;
}

/* ---- what is sent ---- */

static void about_a_long_text(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    struct run r;
    eo.threads = 1;
    eo.ranks = ranks;
    if (!run_start(&r, eo, 4096)) return;
    for (int i = 0; i < 130; i++)
        add_text(r.session, note);
    o.max_tokens = 1;
    o.chunk_text_tokens = 8;
    o.halo = 0;
    set_reuse(&o, reuse);
    out->status = vlqa_ask(r.session, QUESTION, &o, &a, sizeof a);
    snprintf(out->message, sizeof out->message, "%s", vlqa_message(r.session));
    if (out->status == VLQA_OK) take_answer(&a, out);
    run_close(&r);
}

/* A ring of ranks takes what full prefill does: keys and values of all others, once a layer. */
TEST(chunks_exchange_the_keys_and_values_of_chosen_tokens_alone)
{
    struct outcome *full = outcomes(4), *some = outcomes(4);
    REQUIRE(full && some);
    reuse = REUSE_OFF;
    on_ranks(4, about_a_long_text, full);
    reuse = REUSE_INFOFLOW;
    on_ranks(4, about_a_long_text, some);
    for (int i = 0; i < 4; i++) {
        CHECK_STR(some[i].message, "");
        CHECK(full[i].recomputed > 2000 && full[i].count[COMM_CHUNKS].taken == 0);
        CHECK((double)some[i].count[COMM_KV].taken <= 0.16 * (double)full[i].count[COMM_KV].taken);
        CHECK(some[i].count[COMM_CHUNKS].taken < full[i].count[COMM_KV].taken);
    }
    reuse = REUSE_OFF;
}

/* ---- with stores on disk ---- */

static char folder[MOST_RANKS][64]; /* of each rank */

/* Folders of ranks, of which those from `first` on are empty. */
static void make_folders(int first)
{
    for (int i = first; i < MOST_RANKS; i++) {
        snprintf(folder[i], sizeof folder[i], "/tmp/vlqa-ranks-XXXXXX");
        if (!mkdtemp(folder[i])) abort();
    }
}

static void remove_folders(int first)
{
    char command[512];
    for (int i = first; i < MOST_RANKS; i++) {
        snprintf(command, sizeof command, "rm -rf %s", folder[i]);
        CHECK(system(command) == 0);
    }
}

static void over_a_folder(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct run r;
    eo.threads = 1;
    eo.ranks = ranks;
    eo.cache_dir = folder[ranks ? vlqa_ranks_rank(ranks) : 0];
    if (!run_start(&r, eo, 640)) return;
    add_image(r.session, CHART("february"));
    add_text(r.session, note);
    ask_about(r.session, out);
    run_close(&r);
}

TEST(chunks_that_some_ranks_have_are_given_to_the_others)
{
    struct outcome *alone = outcomes(1), *rank = outcomes(MOST_RANKS);
    REQUIRE(alone && rank);
    reuse = REUSE_INFOFLOW;
    make_folders(0);
    on_ranks(0, over_a_folder, alone); /* rank 0 has all chunks, rank 1 none */
    on_ranks(2, over_a_folder, rank);
    CHECK(same_outcome(alone, &rank[0]) && same_outcome(alone, &rank[1]));
    CHECK(alone->computed > 2);
    CHECK_EQ(rank[0].computed, 0);
    CHECK_EQ(rank[1].computed, 0);
    CHECK(rank[0].count[COMM_VISION].taken == 0 && rank[1].count[COMM_VISION].taken > 0);
    CHECK(rank[0].count[COMM_CHUNKS].given > 0 && rank[1].count[COMM_CHUNKS].given == 0);
    remove_folders(0);
    make_folders(0);
    on_ranks(3, over_a_folder, rank); /* now each computes and stores some */
    for (int i = 0; i < 3; i++)
        CHECK(same_outcome(alone, &rank[i]) && rank[i].computed == alone->computed);
    on_ranks(3, over_a_folder, rank);
    for (int i = 0; i < 3; i++)
        CHECK(same_outcome(alone, &rank[i]) && rank[i].computed == 0 &&
              rank[i].count[COMM_CHUNKS].given > 0);
    remove_folders(0);
    reuse = REUSE_OFF;
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
