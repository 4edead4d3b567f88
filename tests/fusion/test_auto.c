/* test_auto.c - reuse that decides by itself: exact where that is free, repaired behind, full when
 * in doubt. */
#include "tests/fusion/sample_lab.h"

static const char *const questions[] = {QUESTION, "What is the title?"};

static int run_open(struct run *r, int no_cache)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.threads = 1;
    eo.no_cache = no_cache;
    return run_start(r, eo, 640);
}

/* The session afterwards has one image, or three with a document between them. */
static void add(struct run *r, int many)
{
    CHECK(vlqa_session_clear(r->session) == VLQA_OK);
    CHECK(vlqa_add_image_file(r->session, CHART("february")) == VLQA_OK);
    if (!many) return;
    CHECK(vlqa_add_text(r->session, "A means Apples.", 15) == VLQA_OK);
    CHECK(vlqa_add_image_file(r->session, CHART("cows")) == VLQA_OK);
    CHECK(vlqa_add_image_file(r->session, CHART("rice")) == VLQA_OK);
}

static struct vlqa_answer ask(struct run *r, int question, enum reuse reuse, float adaptive,
                              float *logits)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer = {0};
    o.halo = CHART_HALO;
    o.max_tokens = 1;
    set_reuse(&o, reuse);
    o.adaptive = adaptive;
    if (vlqa_ask(r->session, questions[question], &o, &answer, sizeof answer) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(r->session));
    else
        memcpy(logits, answer.logits, VOCAB * sizeof *logits);
    return answer;
}

static float full[VOCAB], found[VOCAB];

static int same(void)
{
    return memcmp(full, found, sizeof full) == 0;
}

/* The chunk of the first document is what a full prefill computes: made by the first question,
 * found by the next one, exact for both. */
TEST(the_first_document_is_exact_and_found_again)
{
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, 0));
    for (int question = 0; question < 2; question++) {
        add(&r, 0);
        a = ask(&r, question, REUSE_OFF, 0, full);
        CHECK(a.exact);
        add(&r, 0);
        a = ask(&r, question, REUSE_AUTO, 0, found);
        CHECK(same() && a.exact);
        CHECK_EQ(a.tokens_selected, 0);
        CHECK_EQ(a.chunks_computed, question == 0);
        CHECK_EQ(a.chunks_ram, question == 1);
        CHECK(a.tokens_recomputed <= a.tokens_question + 1);
    }
    run_close(&r);
}

TEST(what_stands_behind_is_repaired_until_the_answer_stands)
{
    struct vlqa_answer a;
    struct run r;
    int selected;
    REQUIRE(run_open(&r, 0));
    add(&r, 1);
    ask(&r, 0, REUSE_OFF, 0, full);
    add(&r, 1);
    a = ask(&r, 0, REUSE_AUTO, 100, found); /* whatever moves is little enough */
    selected = a.tokens_selected;
    CHECK(selected > 0 && !a.exact && !same());
    add(&r, 1);
    a = ask(&r, 0, REUSE_AUTO, 1e-30f, found); /* nothing is */
    CHECK(a.tokens_selected > 6 * selected && a.exact && same());
    run_close(&r);
}

/* Looks go on while they move the first token by 0.03 nats or more. */
TEST(auto_has_a_bound_of_its_own)
{
    static float own[VOCAB];
    struct vlqa_answer a, b;
    struct run r;
    REQUIRE(run_open(&r, 0));
    add(&r, 1);
    a = ask(&r, 0, REUSE_AUTO, 0, own);
    add(&r, 1);
    b = ask(&r, 0, REUSE_INFOFLOW, 0.03f, found);
    CHECK(memcmp(own, found, sizeof own) == 0);
    CHECK_EQ(a.tokens_selected, b.tokens_selected);
    run_close(&r);
}

TEST(answers_do_not_depend_on_what_was_kept)
{
    static float cold[VOCAB];
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, 0));
    add(&r, 1);
    a = ask(&r, 0, REUSE_AUTO, 0, cold);
    CHECK(a.chunks_computed > 0);
    add(&r, 1);
    a = ask(&r, 0, REUSE_AUTO, 0, found);
    CHECK(a.chunks_computed == 0 && memcmp(cold, found, sizeof cold) == 0);
    run_close(&r);
}

/* Tokens that the session holds exactly are worth more than chunks. */
TEST(a_context_that_is_held_stays_exact)
{
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, 0));
    add(&r, 1);
    ask(&r, 0, REUSE_OFF, 0, full);
    ask(&r, 1, REUSE_OFF, 0, full);
    ask(&r, 0, REUSE_OFF, 0, found);
    a = ask(&r, 1, REUSE_AUTO, 0, found);
    CHECK(same() && a.exact && a.n_chunks == 0);
    CHECK(a.tokens_recomputed <= a.tokens_question);
    run_close(&r);
}

TEST(an_engine_that_keeps_nothing_is_exact)
{
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, 1));
    add(&r, 1);
    ask(&r, 0, REUSE_OFF, 0, full);
    add(&r, 1);
    a = ask(&r, 0, REUSE_AUTO, 0, found);
    CHECK(same() && a.exact && a.n_chunks == 0);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
