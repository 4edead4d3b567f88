/* test_stand_in.c - chunks that are computed in sight of images that no prompt has. */
#include "tests/fusion/placement_lab.h"

static const char *const charts[] = {CHART("cows"), CHART("rice"), CHART("fish")};

static int open_with(struct run *r, enum vlqa_dtype dtype, int threads)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = dtype;
    eo.threads = threads;
    return run_start(r, eo, 640);
}

static void stand_in(struct vlqa_session *s, int first, int n)
{
    for (int i = first; i < first + n; i++)
        add_image(s, charts[i]);
    CHECK_EQ(vlqa_stand_in(s), VLQA_OK);
}

static struct vlqa_answer ask_by(struct run *r, enum reuse reuse, enum vlqa_chunker chunker,
                                 float *logits)
{
    return ask(r->session, plan(reuse, chunker, 2, 0.15f), logits);
}

static int computed(const struct vlqa_answer *a)
{
    return a->chunks_computed;
}

TEST(chunks_behind_what_is_really_there_are_full_prefill)
{
    static float full[VOCAB], alone[VOCAB], behind[VOCAB];
    for (int i = 0; i < 4; i++) { /* an image or a text behind an image */
        struct run r;
        REQUIRE(open_with(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32, 2));
        stand_in(r.session, 0, 1);
        add_image(r.session, charts[0]);
        if (i < 2)
            add_image(r.session, CHART("february"));
        else
            CHECK_EQ(vlqa_add_text(r.session, note, 8), VLQA_OK);
        ask_by(&r, REUSE_OFF, VLQA_CHUNK_IMAGE, full);
        CHECK_EQ(ask_by(&r, REUSE_NONE, VLQA_CHUNK_IMAGE, behind).tokens_selected, 0);
        CHECK(same(full, behind));
        run_close(&r);
        REQUIRE(open_with(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32, 2));
        add_image(r.session, charts[0]);
        if (i < 2)
            add_image(r.session, CHART("february"));
        else
            CHECK_EQ(vlqa_add_text(r.session, note, 8), VLQA_OK);
        ask_by(&r, REUSE_NONE, VLQA_CHUNK_IMAGE, alone);
        CHECK(!same(full, alone));
        run_close(&r);
    }
}

TEST(recomputing_all_tokens_is_full_prefill)
{
    static float full[VOCAB], repaired[VOCAB], none[VOCAB];
    static const enum vlqa_chunker cuts[] = {VLQA_CHUNK_IMAGE, VLQA_CHUNK_GRID};
    for (int i = 0; i < 4; i++) {
        struct run r;
        REQUIRE(open_with(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32, 2));
        add_many(r.session);
        ask_by(&r, REUSE_OFF, cuts[i / 2], full);
        CHECK_EQ(vlqa_session_clear(r.session), VLQA_OK);
        stand_in(r.session, 1, 2);
        add_many(r.session);
        ask_by(&r, REUSE_FULL, cuts[i / 2], repaired);
        CHECK(same(full, repaired));
        ask_by(&r, REUSE_NONE, cuts[i / 2], none);
        CHECK(!same(full, none));
        run_close(&r);
    }
}

TEST(one_document_is_as_without_stand_ins)
{
    static float full[VOCAB], reused[VOCAB];
    struct run r;
    struct vlqa_answer a;
    REQUIRE(open_with(&r, VLQA_DTYPE_BF16, 2));
    add_image(r.session, CHART("february"));
    a = ask_by(&r, REUSE_NONE, VLQA_CHUNK_GRID, full);
    CHECK_EQ(computed(&a), 4);
    CHECK_EQ(vlqa_session_clear(r.session), VLQA_OK);
    stand_in(r.session, 1, 2);
    add_image(r.session, CHART("february"));
    a = ask_by(&r, REUSE_NONE, VLQA_CHUNK_GRID, reused);
    CHECK_EQ(computed(&a), 0);
    CHECK_EQ(a.n_images, 1);
    CHECK(same(full, reused));
    ask_by(&r, REUSE_OFF, VLQA_CHUNK_IMAGE, full);
    ask_by(&r, REUSE_NONE, VLQA_CHUNK_IMAGE, reused);
    CHECK(same(full, reused));
    run_close(&r);
}

TEST(threads_change_no_bit)
{
    static float one[VOCAB], other[VOCAB];
    static const int threads[] = {1, 2, 5};
    for (int i = 0; i < 3; i++) {
        struct run r;
        REQUIRE(open_with(&r, VLQA_DTYPE_BF16, threads[i]));
        stand_in(r.session, 1, 2);
        add_many(r.session);
        ask_by(&r, REUSE_INFOFLOW, VLQA_CHUNK_GRID, i ? other : one);
        if (i) CHECK(same(one, other));
        run_close(&r);
    }
}

/* With stand-ins [first, first + n), of which `used` are used. Chunks that are computed. */
static int ask_again(struct run *r, int first, int n, int used, float *logits)
{
    struct vlqa_experimental x = vlqa_experimental_default();
    struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_IMAGE, 1, 0);
    struct vlqa_session_options so = vlqa_session_options_default();
    struct vlqa_answer a;
    vlqa_session_close(r->session);
    so.max_seq_len = 640;
    so.experimental = 1;
    if (vlqa_session_open(r->engine, &so, &r->session) != VLQA_OK) {
        CHECK_FAIL("session: %s", vlqa_message(r->session));
        return -1;
    }
    if (n) stand_in(r->session, first, n);
    add_many(r->session);
    x.variant = VLQA_VARIANT_NONE;
    x.stand_ins = used;
    o.experimental = &x;
    a = ask(r->session, o, logits);
    return a.chunks_computed;
}

TEST(chunks_are_found_behind_the_same_stand_ins_alone)
{
    static float two[VOCAB], again[VOCAB], none[VOCAB];
    struct run r;
    int of_one, later;
    REQUIRE(open_with(&r, VLQA_DTYPE_BF16, 2));
    of_one = ask_again(&r, 0, 0, 0, none); /* the first document is the same in all */
    later = of_one - 1;
    CHECK(later > 1);
    CHECK_EQ(ask_again(&r, 0, 2, 0, two), later);
    CHECK_EQ(ask_again(&r, 0, 2, 0, again), 0);
    CHECK(same(two, again));
    CHECK(!same(two, none));
    CHECK_EQ(ask_again(&r, 0, 3, 2, again), 0); /* the first two */
    CHECK(same(two, again));
    CHECK_EQ(ask_again(&r, 0, 3, -1, again), 0);
    CHECK(same(none, again));
    CHECK_EQ(ask_again(&r, 1, 2, 0, again), later);
    CHECK_EQ(ask_again(&r, 0, 1, 0, again), 1); /* the second document saw one before, too */
    run_close(&r);
}

TEST(stand_ins_stay_and_misuse_is_told)
{
    static float first[VOCAB], second[VOCAB];
    struct run r;
    struct vlqa_answer a;
    struct vlqa_ask_options o = plan(REUSE_NONE, VLQA_CHUNK_IMAGE, 1, 0);
    REQUIRE(open_with(&r, VLQA_DTYPE_F32, 2));
    CHECK_EQ(vlqa_stand_in(r.session), VLQA_ESTATE);
    CHECK_EQ(vlqa_add_text(r.session, note, 8), VLQA_OK);
    CHECK_EQ(vlqa_stand_in(r.session), VLQA_ESTATE);
    CHECK_EQ(vlqa_session_clear(r.session), VLQA_OK);
    stand_in(r.session, 0, 2);
    add_many(r.session);
    ask(r.session, o, first);
    CHECK_EQ(vlqa_session_clear(r.session), VLQA_OK);
    add_many(r.session);
    a = ask(r.session, o, second);
    CHECK(same(first, second));
    CHECK_EQ(a.n_images, 2);
    CHECK_EQ(vlqa_session_clear(r.session), VLQA_OK);
    for (int i = 0; i < 4; i++) /* until prompt and stand-ins do not fit */
        add_image(r.session, CHART("february"));
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_OK);
    for (int i = 0; i < 3; i++)
        add_image(r.session, CHART("february"));
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_ELIMIT);
    CHECK(strstr(vlqa_message(r.session), "stand-ins") != NULL);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
