/* test_ranks_fail.c - calls of ranks that one of them cannot make or cancels: all are told the
 * same, and the next question is answered. */
#include "base/heap.h"
#include "tests/fusion/fault_lab.h"

/* ---- calls that fail, and others behind them ---- */

#define MOST_TRIALS 32

enum call { CALL_ENGINE, CALL_SESSION, CALL_IMAGE, CALL_ASK, CALLS };

static struct trials { /* of a rank, in memory that processes share */
    int n;
    struct trial {
        vlqa_status status;
        char message[96];
        int went_on; /* the next question had the right answer */
    } trial[MOST_TRIALS];
} * trials;

static struct outcome *expected; /* of one process */
static enum call tried;

static struct trial *new_trial(vlqa_status status, const char *message)
{
    struct trials *t = &trials[this_rank];
    struct trial *out = &t->trial[t->n < MOST_TRIALS ? t->n++ : 0];
    out->status = status;
    snprintf(out->message, sizeof out->message, "%s", message);
    return out;
}

static int goes_on(struct vlqa_session *s)
{
    struct outcome *found = outcomes(1);
    int same;
    if (!found || add_documents(s) != VLQA_OK || ask(s, found) != VLQA_OK) {
        CHECK_FAIL("rank %d: %s", this_rank, vlqa_message(s));
        return 0;
    }
    same = same_outcome(expected, found);
    munmap(found, sizeof *found);
    return same;
}

/* Memory of rank 1 ends behind k allocations of a call. */
static void end_memory(int k)
{
    if (this_rank == 1) heap_fail_after(k);
}

static vlqa_status try_engine(struct vlqa_ranks *ranks, int k)
{
    struct vlqa_engine *engine;
    vlqa_status status;
    end_memory(k);
    status = open_engine(ranks, &engine);
    heap_fail_after(-1);
    new_trial(status, engine ? vlqa_engine_message(engine) : "")->went_on = 1;
    vlqa_engine_close(engine);
    return status;
}

/* One that another rank could not open is none. */
static vlqa_status try_session(struct vlqa_engine *engine, int k)
{
    struct vlqa_session *s;
    vlqa_status status;
    end_memory(k);
    status = open_session(engine, &s);
    heap_fail_after(-1);
    new_trial(status, s ? vlqa_message(s) : "")->went_on = 1;
    if (status != VLQA_OK) CHECK_EQ(vlqa_add_text(s, "A", 1), s ? VLQA_ESTATE : VLQA_EUSAGE);
    vlqa_session_close(s);
    return status;
}

/* An image that another rank could not add is not there. */
static vlqa_status try_image(struct vlqa_session *s, int k)
{
    struct vlqa_image_info info;
    struct trial *t;
    vlqa_status status;
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    end_memory(k);
    status = vlqa_add_image_file(s, CHART("eggs"));
    heap_fail_after(-1);
    t = new_trial(status, vlqa_message(s));
    if (status != VLQA_OK) CHECK(vlqa_last_image(s, &info, sizeof info) == VLQA_ESTATE);
    t->went_on = goes_on(s);
    return status;
}

/* So that there is a cached prefix. */
static vlqa_status ask_something_else(struct vlqa_session *s)
{
    struct vlqa_ask_options o = options_of_question();
    struct vlqa_answer a;
    set_reuse(&o, REUSE_OFF);
    o.max_tokens = 1;
    return vlqa_ask(s, "What is the title?", &o, &a, sizeof a);
}

/* The session goes on with what it has, the same on all ranks. */
static vlqa_status try_ask(struct vlqa_session *s, int k)
{
    struct outcome *out = outcomes(1), *again = outcomes(1);
    struct trial *t;
    vlqa_status status;
    CHECK(add_documents(s) == VLQA_OK && ask_something_else(s) == VLQA_OK);
    end_memory(k);
    status = ask(s, out);
    heap_fail_after(-1);
    t = new_trial(status, vlqa_message(s));
    if (status == VLQA_OK) {
        *again = *out;
        again->flops = expected->flops; /* behind a cached prefix less is computed */
    } else {
        CHECK(ask(s, again) == VLQA_OK);
    }
    t->went_on = same_outcome(expected, again);
    munmap(out, sizeof *out);
    munmap(again, sizeof *again);
    return status;
}

/* Until a call needs no more memory than there is. */
static void without_memory(struct vlqa_ranks *ranks, struct outcome *unused)
{
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *s = NULL;
    vlqa_status status = VLQA_EMEMORY;
    (void)unused;
    if (tried > CALL_ENGINE) REQUIRE(open_engine(ranks, &engine) == VLQA_OK);
    if (tried > CALL_SESSION) REQUIRE(open_session(engine, &s) == VLQA_OK);
    this_rank = vlqa_ranks_rank(ranks);
    for (int k = 0; status != VLQA_OK && trials[this_rank].n < MOST_TRIALS; k += k < 4 ? 1 : 5) {
        if (tried == CALL_ENGINE) status = try_engine(ranks, k);
        if (tried == CALL_SESSION) status = try_session(engine, k);
        if (tried == CALL_IMAGE) status = try_image(s, k);
        if (tried == CALL_ASK) status = try_ask(s, k);
    }
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

/* All ranks had the same of each trial; others than the one that failed name it. */
static void check_trials(int ranks, int failing, vlqa_status status)
{
    int n = trials[0].n, failed = 0;
    for (int i = 0; i < n; i++)
        for (int r = 0; r < ranks; r++) {
            const struct trial *t = &trials[r].trial[i];
            CHECK(t->went_on);
            CHECK_EQ(trials[r].n, n);
            CHECK_EQ(t->status, trials[0].trial[i].status);
            if (t->status != VLQA_OK) CHECK_EQ(t->status, status);
            failed += t->status != VLQA_OK;
            if (t->status == VLQA_EMEMORY && r != failing)
                CHECK(strncmp(t->message, "rank 1: out of memory: ", 23) == 0);
        }
    CHECK(failed > 0);
}

TEST(a_rank_without_memory_is_an_error_of_all_and_the_next_question_is_answered)
{
    struct outcome *none = outcomes(MOST_RANKS);
    struct lab lab;
    asked = REUSE_INFOFLOW;
    REQUIRE(none && lab_open(&lab));
    expected = lab.cold;
    for (tried = CALL_ENGINE; tried < CALLS; tried++) {
        memset(trials, 0, RANKS * sizeof *trials);
        on_ranks(2, without_memory, none);
        check_trials(2, 1, VLQA_EMEMORY);
    }
    lab_close(&lab);
    munmap(none, MOST_RANKS * sizeof *none);
}

static void other_images(struct vlqa_ranks *ranks, struct outcome *unused)
{
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    vlqa_status status;
    struct trial *t;
    (void)unused;
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    status = vlqa_add_image_file(s, this_rank == 1 ? CHART("eggs") : CHART("february"));
    t = new_trial(status, vlqa_message(s));
    CHECK(strstr(vlqa_message(s), "rank 1 was given something else than rank 0") != NULL);
    t->went_on = goes_on(s);
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

TEST(ranks_that_are_given_other_images_are_told)
{
    struct outcome *none = outcomes(MOST_RANKS);
    struct lab lab;
    asked = REUSE_INFOFLOW;
    REQUIRE(none && lab_open(&lab));
    expected = lab.cold;
    memset(trials, 0, RANKS * sizeof *trials);
    on_ranks(RANKS, other_images, none);
    check_trials(RANKS, 1, VLQA_ESTATE);
    lab_close(&lab);
    munmap(none, MOST_RANKS * sizeof *none);
}

TEST(a_process_that_has_joined_no_ranks_is_refused)
{
    struct vlqa_ranks *ranks = NULL;
    struct vlqa_engine *engine;
    REQUIRE(vlqa_ranks_local(2, 1000, &ranks) == VLQA_OK);
    CHECK_EQ(open_engine(ranks, &engine), VLQA_EUSAGE);
    CHECK_HAS(vlqa_engine_message(engine), "join them first");
    vlqa_engine_close(engine);
    vlqa_ranks_close(ranks);
}

/* ---- callbacks ---- */

/* A question that is cancelled in each phase in turn. */
static void cancelled(struct vlqa_ranks *ranks, struct outcome *unused)
{
    static const char *const phases[] = {"vision", "prefix", "chunks", "score", "repair", "decode"};
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    int rank = fault.rank;
    (void)unused;
    fault.phase = NULL;
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        struct outcome *out = outcomes(1);
        struct trial *t;
        vlqa_status status;
        fault = (struct fault){rank, phases[i], 0};
        status = add_documents(s);
        if (status == VLQA_OK) status = ask(s, out);
        fault.phase = NULL;
        t = new_trial(status, vlqa_message(s));
        if (status != VLQA_OK) CHECK(strstr(t->message, "cancelled during ") != NULL);
        t->went_on = status == VLQA_OK ? same_outcome(expected, out) : goes_on(s);
        munmap(out, sizeof *out);
    }
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

static void cancelled_load(struct vlqa_ranks *ranks, struct outcome *unused)
{
    struct vlqa_engine *engine;
    vlqa_status status = open_engine(ranks, &engine);
    (void)unused;
    new_trial(status, vlqa_engine_message(engine))->went_on = 1;
    vlqa_engine_close(engine);
}

TEST(cancelling_counts_on_rank_0_alone)
{
    struct outcome *none = outcomes(MOST_RANKS);
    struct lab lab;
    asked = REUSE_INFOFLOW;
    REQUIRE(none && lab_open(&lab));
    expected = lab.cold;
    for (int rank = 0; rank < 2; rank++)
        for (int load = 0; load < 2; load++) {
            memset(trials, 0, RANKS * sizeof *trials);
            fault = (struct fault){rank, load ? "load" : NULL, 0};
            on_ranks(RANKS, load ? cancelled_load : cancelled, none);
            CHECK_EQ(trials[0].n, load ? 1 : 6);
            for (int i = 0; i < trials[0].n; i++)
                CHECK_EQ(trials[0].trial[i].status, rank ? VLQA_OK : VLQA_ECANCELLED);
            if (rank == 0) check_trials(RANKS, 0, VLQA_ECANCELLED);
            for (int i = 0; rank && i < RANKS; i++)
                CHECK_EQ(trials[i].trial[0].status, VLQA_OK);
        }
    fault = (struct fault){0};
    lab_close(&lab);
    munmap(none, MOST_RANKS * sizeof *none);
}

struct listener { /* has enough at the second text */
    int texts, stops;
};

static int on_token(void *user, const char *utf8, size_t bytes)
{
    struct listener *l = user;
    (void)utf8, (void)bytes;
    return ++l->texts == 2 && l->stops;
}

static void stopped(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_ask_options o = options_of_question();
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    struct vlqa_answer a;
    struct listener l = {0, 0};
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    l.stops = this_rank == fault.rank;
    o.on_token = on_token;
    o.user = &l;
    CHECK(add_documents(s) == VLQA_OK && vlqa_ask(s, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    CHECK_EQ(a.stop, fault.rank ? VLQA_STOP_LENGTH : VLQA_STOP_CALLER);
    take_answer(&a, out);
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

TEST(a_caller_that_has_enough_counts_on_rank_0_alone)
{
    struct outcome *rank = outcomes(MOST_RANKS);
    asked = REUSE_OFF;
    cache = NULL;
    REQUIRE(rank);
    for (int who = 0; who < 2; who++) {
        fault = (struct fault){who, NULL, 0};
        memset(rank, 0, MOST_RANKS * sizeof *rank);
        on_ranks(RANKS, stopped, rank);
        CHECK(who ? rank[0].n_tokens == 6 : rank[0].n_tokens < 6);
        for (int r = 1; r < RANKS; r++)
            CHECK(same_outcome(&rank[0], &rank[r]));
    }
    munmap(rank, MOST_RANKS * sizeof *rank);
}

int main(int argc, char **argv)
{
    trials = mmap(NULL, RANKS * sizeof *trials, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    return trials == MAP_FAILED ? 1 : check_main(argc, argv);
}
