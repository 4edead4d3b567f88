/* test_interrupt.c - sessions cancelled, re-entered, shared, forked and out of memory. */
#include "include/vlqa.h"

#include "base/env.h"
#include "base/heap.h"
#include "fusion/session/session.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUESTION FIXTURE_QUESTION
#define PICTURE FIXTURE_PICTURE
#define OTHER_PICTURE FIXTURE_GOLDEN "images/half.png"
#define VOCAB FIXTURE_VOCAB

/* Interruption. */

struct stepper { /* cancels at one step */
    int seen, cancel_at;
    const char *phase; /* of the last step */
};

static int step(void *user, const char *phase, int64_t done, int64_t total)
{
    struct stepper *s = user;
    CHECK(phase && done >= 0 && done <= total);
    s->phase = phase;
    return s->seen++ == s->cancel_at;
}

static vlqa_status open_stepped(struct stepper *s, struct vlqa_engine **out)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    o.model = FIXTURE_TIED;
    o.threads = 1;
    o.progress = step;
    o.user = s;
    return vlqa_engine_open(&o, out);
}

TEST(load_can_be_cancelled_at_every_step)
{
    struct stepper count = {0, -1, NULL};
    struct vlqa_engine *e;
    uint64_t live = heap_live();
    CHECK(open_stepped(&count, &e) == VLQA_OK);
    vlqa_engine_close(e);
    CHECK(count.seen >= 4);
    for (int i = 0; i < count.seen; i++) {
        struct stepper s = {0, i, NULL};
        struct vlqa_session *session;
        CHECK(open_stepped(&s, &e) == VLQA_ECANCELLED);
        CHECK_HAS(vlqa_engine_message(e), "load");
        CHECK(vlqa_session_open(e, NULL, &session) == VLQA_EUSAGE);
        vlqa_engine_close(e);
        CHECK_EQ(s.seen, i + 1);
    }
    CHECK_EQ(heap_live() - live, 0);
}

/* One image, one question of 20 tokens. */
static vlqa_status add_and_ask(struct vlqa_session *s)
{
    struct vlqa_ask_options o = run_ask(20);
    struct vlqa_answer answer;
    o.keep = 1; /* that a cancelled turn is not kept */
    TRY(vlqa_add_image_file(s, PICTURE));
    return vlqa_ask(s, QUESTION, &o, &answer, sizeof answer);
}

TEST(vision_prefill_and_decode_can_be_cancelled_at_every_step)
{
    struct stepper s = {0, -1, NULL};
    struct vlqa_image_info info;
    struct run r = run_new();
    int steps;
    r.no_cache = 1; /* the tower is to run every time */
    r.so.progress = step;
    r.so.user = &s;
    REQUIRE(run_open(&r));
    CHECK(add_and_ask(r.session) == VLQA_OK);
    steps = s.seen;
    CHECK(steps >= 3 + 2 + 19);
    for (int i = 0; i < steps; i++) {
        CHECK(vlqa_session_clear(r.session) == VLQA_OK);
        s = (struct stepper){0, i, NULL};
        CHECK(add_and_ask(r.session) == VLQA_ECANCELLED);
        CHECK_EQ(s.seen, i + 1);
        CHECK_HAS(vlqa_message(r.session), "cancelled during");
        s.cancel_at = -1;
        if (vlqa_last_image(r.session, &info, sizeof info) ==
            VLQA_ESTATE) /* cancelled in the tower */
            CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
        CHECK(run_is_undisturbed(r.session));
    }
    run_close(&r);
}

/* Through chunks, some of them repaired. */
static struct vlqa_ask_options chunked(enum reuse reuse)
{
    struct vlqa_ask_options o = run_ask(3);
    set_reuse(&o, reuse);
    o.chunker = VLQA_CHUNK_GRID;
    o.recompute_ratio = 0.5f;
    o.chunk_text_tokens = 8;
    return o;
}

static void add_context(struct vlqa_session *s)
{
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, PICTURE) == VLQA_OK);
    CHECK(run_text(s, "A means Apples and B means Bananas.") == VLQA_OK);
    CHECK(vlqa_add_image_file(s, OTHER_PICTURE) == VLQA_OK);
}

static vlqa_status ask_chunked(struct vlqa_session *s, enum reuse reuse, float *logits)
{
    struct vlqa_ask_options o = chunked(reuse);
    struct vlqa_answer answer;
    TRY(vlqa_ask(s, QUESTION, &o, &answer, sizeof answer));
    memcpy(logits, answer.logits, VOCAB * sizeof *logits);
    return VLQA_OK;
}

/* Without a cache a record is there while it is pinned, and no longer. */
static uint64_t pinned(const struct run *r)
{
    struct vlqa_cache_stats stats;
    store_stats(r->engine->store, &stats);
    return stats.ram_records;
}

struct expected { /* of add_context, undisturbed */
    float through_chunks[VOCAB], exact[VOCAB];
};

static void check_as_expected(const struct run *r, enum reuse reuse, const struct expected *e)
{
    float logits[VOCAB];
    CHECK_EQ(pinned(r), 0);
    CHECK(ask_chunked(r->session, reuse, logits) == VLQA_OK);
    CHECK(memcmp(logits, e->through_chunks, sizeof logits) == 0);
    CHECK(ask_chunked(r->session, REUSE_OFF, logits) == VLQA_OK);
    CHECK(memcmp(logits, e->exact, sizeof logits) == 0);
}

static void expect(struct run *r, enum reuse reuse, struct expected *e)
{
    add_context(r->session);
    CHECK(ask_chunked(r->session, REUSE_OFF, e->exact) == VLQA_OK);
    add_context(r->session);
    CHECK(ask_chunked(r->session, reuse, e->through_chunks) == VLQA_OK);
    CHECK(memcmp(e->exact, e->through_chunks, sizeof e->exact) != 0);
}

TEST(a_question_through_chunks_can_be_cancelled_at_every_step)
{
    static const enum reuse reuse[] = {REUSE_INFOFLOW, REUSE_CACHEBLEND};
    static const char *const phases[] = {"prefix", "chunks", "score", "repair", "decode"};
    for (int k = 0; k < 2; k++) {
        struct stepper s = {0, -1, NULL};
        struct run r = run_new();
        struct expected e;
        float logits[VOCAB];
        vlqa_status status = VLQA_ECANCELLED;
        int met[5] = {0};
        r.no_cache = 1; /* chunks are to be made every time */
        r.so.progress = step;
        r.so.user = &s;
        REQUIRE(run_open(&r));
        expect(&r, reuse[k], &e);
        for (int i = 0; status == VLQA_ECANCELLED && i < 1000; i++) {
            s.cancel_at = -1;
            add_context(r.session);
            s = (struct stepper){0, i, NULL};
            status = ask_chunked(r.session, reuse[k], logits);
            if (status != VLQA_ECANCELLED) break;
            CHECK_EQ(s.seen, i + 1);
            CHECK_HAS(vlqa_message(r.session), s.phase);
            for (int p = 0; p < 5; p++)
                met[p] += strcmp(s.phase, phases[p]) == 0;
            s.cancel_at = -1;
            check_as_expected(&r, reuse[k], &e);
        }
        CHECK(status == VLQA_OK);
        for (int p = 0; p < 5; p++)
            CHECK(met[p] >= 2); /* where it begins and where it ends */
        run_close(&r);
    }
}

struct intruder { /* calls every function of the session it is called from */
    struct vlqa_session *session;
    int calls, entered;
};

static int intrude(struct intruder *in)
{
    static const uint8_t rgb[3];
    struct vlqa_session *s = in->session;
    struct vlqa_answer answer;
    vlqa_status found[] = {
        vlqa_session_clear(s),
        vlqa_set_system(s, "a", 1),
        vlqa_add_text(s, "a", 1),
        vlqa_add_image_file(s, PICTURE),
        vlqa_ask(s, "a", 0, &answer, sizeof answer),
        vlqa_add_image_bytes(s, rgb, 3, "a"),
        vlqa_add_image_rgb(s, rgb, 1, 1, 3),
    };
    in->calls++;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        in->entered += found[i] != VLQA_ESTATE;
    return 0;
}

static int intrude_progress(void *user, const char *phase, int64_t done, int64_t total)
{
    (void)phase, (void)done, (void)total;
    return intrude(user);
}

static int intrude_token(void *user, const char *utf8, size_t bytes)
{
    (void)utf8, (void)bytes;
    return intrude(user);
}

static void intrude_log(void *user, enum vlqa_log_level level, const char *line)
{
    (void)level, (void)line;
    intrude(user);
}

TEST(callback_cannot_enter_its_session)
{
    struct intruder in = {NULL, 0, 0};
    struct vlqa_ask_options o = run_ask(10);
    struct vlqa_answer answer;
    struct run r = run_new();
    r.so.progress = intrude_progress;
    r.so.log = intrude_log;
    r.so.user = &in;
    REQUIRE(run_open(&r));
    in.session = r.session;
    o.on_token = intrude_token;
    o.user = &in;
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
    CHECK_EQ(answer.n_tokens, 10);
    CHECK(memcmp(answer.logits, run_undisturbed(), sizeof(float) * VOCAB) == 0);
    CHECK(in.calls > 10);
    CHECK_EQ(in.entered, 0);
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

/* Threads and processes. */

struct visit { /* a second thread that asks while the first is in its call */
    struct vlqa_session *session;
    vlqa_status status;
    int done;
};

static void *visit_main(void *arg)
{
    struct visit *v = arg;
    struct vlqa_answer answer;
    v->status = vlqa_ask(v->session, "a", NULL, &answer, sizeof answer);
    return NULL;
}

static int visit_progress(void *user, const char *phase, int64_t done, int64_t total)
{
    struct visit *v = user;
    pthread_t thread;
    (void)phase, (void)done, (void)total;
    if (v->done || pthread_create(&thread, NULL, visit_main, v) != 0) return 0;
    pthread_join(thread, NULL);
    v->done = 1;
    return 0;
}

TEST(second_thread_is_turned_away)
{
    struct visit v = {NULL, VLQA_OK, 1};
    struct run r = run_new();
    r.threads = 2;
    r.so.progress = visit_progress;
    r.so.user = &v;
    REQUIRE(run_open(&r));
    v.session = r.session;
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    v.done = 0;
    CHECK(run_is_undisturbed(r.session));
    CHECK_EQ(v.done, 1);
    CHECK(v.status == VLQA_ESTATE);
    run_close(&r);
}

#define ROUNDS 8

struct racer { /* asks a session as often as it gets in */
    struct vlqa_session *session;
    const char *picture;
    float logits[VOCAB];
    int answered, refused, other;
};

static void *race_main(void *arg)
{
    struct racer *r = arg;
    struct vlqa_ask_options o = run_ask(3);
    for (int i = 0; i < ROUNDS; i++) {
        struct vlqa_answer answer;
        vlqa_status status = vlqa_ask(r->session, QUESTION, &o, &answer, sizeof answer);
        r->answered += status == VLQA_OK;
        r->refused += status == VLQA_ESTATE;
        r->other += status != VLQA_OK && status != VLQA_ESTATE;
    }
    return NULL;
}

TEST(two_threads_on_one_session_do_not_meet)
{
    static struct racer racer[2];
    pthread_t thread[2];
    struct run r = run_new();
    r.threads = 2;
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    for (int i = 0; i < 2; i++) {
        racer[i] = (struct racer){.session = r.session};
        REQUIRE(pthread_create(&thread[i], NULL, race_main, &racer[i]) == 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    CHECK_EQ(racer[0].other + racer[1].other, 0);
    CHECK(racer[0].answered + racer[1].answered > 0);
    CHECK_EQ(racer[0].answered + racer[0].refused, ROUNDS);
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

static void *session_main(void *arg)
{
    struct racer *r = arg;
    struct vlqa_ask_options o = run_ask(3);
    for (int i = 0; i < ROUNDS; i++) {
        struct vlqa_answer answer;
        r->other += vlqa_session_clear(r->session) != VLQA_OK;
        r->other += vlqa_add_image_file(r->session, r->picture) != VLQA_OK;
        r->other += vlqa_ask(r->session, QUESTION, &o, &answer, sizeof answer) != VLQA_OK;
        if (i && memcmp(r->logits, answer.logits, sizeof r->logits) != 0) r->other++;
        memcpy(r->logits, answer.logits, sizeof r->logits);
    }
    return NULL;
}

TEST(two_sessions_on_two_threads_answer_as_alone)
{
    static struct racer racer[2];
    static float alone[2][VOCAB];
    static const char *const picture[2] = {PICTURE, OTHER_PICTURE};
    pthread_t thread[2];
    struct run r = run_new();
    r.threads = 3;
    REQUIRE(run_open(&r));
    for (int i = 0; i < 2; i++) {
        racer[i] = (struct racer){.picture = picture[i]};
        CHECK(vlqa_session_clear(r.session) == VLQA_OK);
        CHECK(vlqa_add_image_file(r.session, picture[i]) == VLQA_OK);
        REQUIRE(run_logits(r.session, QUESTION, alone[i]));
        REQUIRE(vlqa_session_open(r.engine, NULL, &racer[i].session) == VLQA_OK);
    }
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&thread[i], NULL, session_main, &racer[i]) == 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        CHECK_EQ(racer[i].other, 0);
        CHECK(memcmp(racer[i].logits, alone[i], sizeof alone[i]) == 0);
        vlqa_session_close(racer[i].session);
    }
    run_close(&r);
}

/* Exit status of a child that uses and closes what its parent opened. */
static int child(struct run *r)
{
    static const uint8_t rgb[3];
    struct vlqa_answer answer;
    int wrong = vlqa_ask(r->session, "a", NULL, &answer, sizeof answer) != VLQA_ESTATE;
    wrong |= (vlqa_add_image_rgb(r->session, rgb, 1, 1, 3) != VLQA_ESTATE) << 1;
    wrong |= (vlqa_add_text(r->session, "a", 1) != VLQA_ESTATE) << 2;
    wrong |= !strstr(vlqa_message(r->session), "fork") << 3;
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
    return wrong;
}

TEST(child_process_is_turned_away_and_does_not_hang)
{
    struct run r = run_new();
    int status = -1;
    pid_t pid;
    r.threads = 3;
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    pid = fork();
    if (pid == 0) {
        alarm(20);
        _exit(child(&r));
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

/* Memory. */

/* Everything a program does, once. The first failure, or VLQA_OK. */
static vlqa_status whole_life(enum reuse reuse, const char *cache_dir)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct run r = run_new();
    struct vlqa_answer answer;
    struct vlqa_ask_options o = chunked(reuse);
    vlqa_status status;
    eo.model = FIXTURE_TIED;
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 1;
    eo.cache_dir = cache_dir;
    status = vlqa_engine_open(&eo, &r.engine);
    r.so.max_seq_len = 64;
    if (status == VLQA_OK) status = vlqa_session_open(r.engine, &r.so, &r.session);
    if (status == VLQA_OK) status = vlqa_add_image_file(r.session, PICTURE);
    if (status == VLQA_OK) status = vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer);
    run_close(&r); /* asserts that no record is pinned */
    return status;
}

/* Fails at the first allocation, at the second, ... until nothing fails. Returns how often. */
static int64_t live_with_less_memory(enum reuse reuse, const char *cache_dir)
{
    uint64_t live = heap_live();
    vlqa_status status = VLQA_EMEMORY;
    int64_t n = 0;
    for (; status != VLQA_OK && n < 100000 && check_failures < 8; n++) {
        heap_fail_after(n);
        status = whole_life(reuse, cache_dir);
        heap_fail_after(-1);
        if (status != VLQA_OK && status != VLQA_EMEMORY)
            CHECK_FAIL("after %lld allocations: %s", (long long)n, vlqa_status_name(status));
        if (heap_live() != live)
            CHECK_FAIL("after %lld allocations: %lld blocks left", (long long)n,
                       (long long)(heap_live() - live));
    }
    CHECK(status == VLQA_OK);
    return n;
}

TEST(every_failed_allocation_is_a_clean_error)
{
    CHECK(live_with_less_memory(REUSE_OFF, NULL) > 100);
    CHECK(live_with_less_memory(REUSE_INFOFLOW, NULL) > 100);
}

TEST(every_failed_allocation_is_a_clean_error_with_records_on_disk)
{
    char dir[] = "/tmp/vlqa-test-XXXXXX", command[64];
    REQUIRE(mkdtemp(dir));
    CHECK(live_with_less_memory(REUSE_PROPHET, dir) > 100);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

/* Between calls that fail the records made so far may stay, but nothing pinned. */
TEST(a_question_through_chunks_survives_failed_allocations)
{
    struct run r = run_new();
    struct expected e;
    float logits[VOCAB];
    vlqa_status status = VLQA_EMEMORY;
    int n = 0;
    r.no_cache = 1;
    REQUIRE(run_open(&r));
    expect(&r, REUSE_EPIC, &e);
    for (; status != VLQA_OK && n < 1000; n++) {
        add_context(r.session);
        heap_fail_after(n);
        status = ask_chunked(r.session, REUSE_EPIC, logits);
        heap_fail_after(-1);
        CHECK(status == VLQA_OK || status == VLQA_EMEMORY);
        check_as_expected(&r, REUSE_EPIC, &e);
    }
    CHECK(status == VLQA_OK);
    CHECK(n > 8); /* a record is an allocation: 4 + 4 cells, and a document */
    run_close(&r);
}

/* The same session, its memory failing between calls: it goes on afterwards. */
TEST(session_survives_failed_allocations)
{
    struct run r = run_new();
    vlqa_status status = VLQA_EMEMORY;
    REQUIRE(run_open(&r));
    for (int n = 0; status != VLQA_OK && n < 1000; n++) {
        heap_fail_after(n);
        status = vlqa_add_image_file(r.session, PICTURE);
        heap_fail_after(-1);
        CHECK(status == VLQA_OK || status == VLQA_EMEMORY);
    }
    CHECK(status == VLQA_OK);
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
