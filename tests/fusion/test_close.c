/* test_close.c - sessions and engines closed too early: in their callbacks, while another thread
 * asks, in the wrong order. */
#include "include/vlqa.h"

#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUESTION FIXTURE_QUESTION
#define PICTURE FIXTURE_PICTURE
#define VOCAB FIXTURE_VOCAB

struct closer { /* closes what it is told to in each callback */
    struct vlqa_session *session;
    struct vlqa_engine **engine;
    int calls, refused, deferred;
};

static void close_all(struct closer *c)
{
    c->calls++;
    if (c->session) vlqa_session_close(c->session);
    if (c->engine) vlqa_engine_close(*c->engine);
}

static int close_in_progress(void *user, const char *phase, int64_t done, int64_t total)
{
    (void)phase, (void)done, (void)total;
    close_all(user);
    return 0;
}

static int close_in_token(void *user, const char *utf8, size_t bytes)
{
    (void)utf8, (void)bytes;
    close_all(user);
    return 0;
}

static void close_in_logits(void *user, int step, const float *logits, int n)
{
    (void)step, (void)logits, (void)n;
    close_all(user);
}

/* Also when it is told that closing was refused. */
static void close_in_log(void *user, enum vlqa_log_level level, const char *line)
{
    struct closer *c = user;
    if (level == VLQA_LOG_WARN && strstr(line, "in use and was not closed")) c->refused++;
    if (level == VLQA_LOG_WARN && strstr(line, "closes with the last of them")) c->deferred++;
    close_all(c);
}

/* ---- in callbacks ---- */

TEST(a_session_is_not_closed_in_its_callbacks)
{
    struct closer c = {NULL, NULL, 0, 0, 0};
    struct vlqa_ask_options o = run_ask(10);
    struct vlqa_answer answer;
    uint64_t live = heap_live();
    struct run r = run_new();
    r.so.progress = close_in_progress;
    r.so.log = close_in_log;
    r.so.user = &c;
    REQUIRE(run_open(&r));
    c.session = r.session;
    o.on_token = close_in_token;
    o.on_logits = close_in_logits;
    o.user = &c;
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
    CHECK_EQ(answer.n_tokens, 10);
    CHECK(memcmp(answer.logits, run_undisturbed(), sizeof(float) * VOCAB) == 0);
    CHECK(c.calls > 30);
    CHECK(c.refused > 20);
    c.session = NULL;
    CHECK(run_is_undisturbed(r.session));
    run_close(&r);
    CHECK_EQ(heap_live(), live);
}

/* The handle is gone; the session goes on, and the engine ends with it. */
TEST(an_engine_that_is_closed_in_a_callback_ends_with_its_session)
{
    struct closer c = {NULL, NULL, 0, 0, 0};
    uint64_t live = heap_live();
    struct run r = run_new();
    r.so.progress = close_in_progress;
    r.so.user = &c;
    REQUIRE(run_open(&r));
    c.engine = &r.engine;
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    CHECK(run_is_undisturbed(r.session));
    CHECK(c.calls > 2);
    vlqa_session_close(r.session);
    CHECK_EQ(heap_live(), live);
}

TEST(an_engine_may_be_closed_while_it_is_opened)
{
    uint64_t live = heap_live();
    for (int log = 0; log < 2; log++) {
        struct vlqa_engine_options o = vlqa_engine_options_default();
        struct vlqa_engine *e;
        struct closer c = {NULL, &e, 0, 0, 0};
        o.model = FIXTURE_TIED;
        o.threads = 2;
        if (log)
            o.log = close_in_log;
        else
            o.progress = close_in_progress;
        o.user = &c;
        CHECK(vlqa_engine_open(&o, &e) == VLQA_ESTATE);
        CHECK(!e && c.calls > 0);
        CHECK_EQ(heap_live(), live);
    }
}

/* ---- while another thread asks ---- */

#define ROUNDS 40

static float expected[VOCAB]; /* of QUESTION; threads only read it */

static void expect(void)
{
    memcpy(expected, run_undisturbed(), sizeof expected);
}

static int is_expected(struct vlqa_session *s)
{
    float logits[VOCAB];
    return run_logits(s, QUESTION, logits) && memcmp(logits, expected, sizeof logits) == 0;
}

struct meeting { /* of a thread that is in a call and one that closes meanwhile */
    sem_t inside, tried;
    struct vlqa_session *session;
    atomic_int end, refused;
    int wrong;
};

static int meet(void *user, const char *phase, int64_t done, int64_t total)
{
    struct meeting *m = user;
    (void)phase, (void)done, (void)total;
    if (atomic_load(&m->end)) return 0;
    (void)sem_post(&m->inside);
    while (sem_wait(&m->tried) != 0) {
    }
    return 0;
}

static void note_refusal(void *user, enum vlqa_log_level level, const char *line)
{
    struct meeting *m = user;
    if (level == VLQA_LOG_WARN && strstr(line, "not closed")) atomic_fetch_add(&m->refused, 1);
}

static void *ask_main(void *arg)
{
    struct meeting *m = arg;
    for (int i = 0; i < ROUNDS; i++)
        m->wrong += !is_expected(m->session);
    atomic_store(&m->end, 1);
    (void)sem_post(&m->inside);
    return NULL;
}

TEST(a_session_that_another_thread_uses_is_not_closed)
{
    static struct meeting m;
    uint64_t live = heap_live();
    struct run r = run_new();
    pthread_t thread;
    int tries = 0;
    m = (struct meeting){.wrong = 0};
    expect();
    REQUIRE(sem_init(&m.inside, 0, 0) == 0 && sem_init(&m.tried, 0, 0) == 0);
    r.threads = 2;
    r.so.log = note_refusal;
    r.so.user = &m;
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    run_close(&r);
    CHECK_EQ(heap_live(), live);
    r.so.progress = meet;
    atomic_store(&m.end, 1);
    REQUIRE(run_open(&r));
    CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
    m.session = r.session;
    atomic_store(&m.end, 0);
    REQUIRE(pthread_create(&thread, NULL, ask_main, &m) == 0);
    for (;; tries++) {
        while (sem_wait(&m.inside) != 0) {
        }
        if (atomic_load(&m.end)) break;
        vlqa_session_close(r.session); /* it is in a call now */
        (void)sem_post(&m.tried);
    }
    (void)pthread_join(thread, NULL);
    CHECK_EQ(m.wrong, 0);
    CHECK(tries >= ROUNDS);
    CHECK_EQ(atomic_load(&m.refused), tries);
    run_close(&r);
    CHECK_EQ(heap_live(), live);
}

/* ---- in the wrong order ---- */

struct user {
    pthread_t thread;
    struct vlqa_session *session;
    int wrong;
};

static void *session_main(void *arg)
{
    struct user *u = arg;
    u->wrong = vlqa_add_image_file(u->session, PICTURE) != VLQA_OK || !is_expected(u->session);
    vlqa_session_close(u->session);
    return NULL;
}

/* Whoever comes last, of two threads that use sessions and one that closes the engine, ends it. */
TEST(an_engine_that_is_closed_before_its_sessions_ends_with_the_last)
{
    uint64_t live;
    expect();
    live = heap_live();
    for (int i = 0; i < ROUNDS; i++) {
        struct run r = run_new();
        struct user user[2];
        r.threads = 2;
        REQUIRE(run_open(&r));
        user[0].session = r.session;
        REQUIRE(vlqa_session_open(r.engine, NULL, &user[1].session) == VLQA_OK);
        for (int t = 0; t < 2; t++)
            REQUIRE(pthread_create(&user[t].thread, NULL, session_main, &user[t]) == 0);
        if (i % 2) usleep((unsigned)i * 200);
        vlqa_engine_close(r.engine);
        for (int t = 0; t < 2; t++) {
            (void)pthread_join(user[t].thread, NULL);
            CHECK_EQ(user[t].wrong, 0);
        }
        CHECK_EQ(heap_live(), live);
    }
}

static void note_deferral(void *user, enum vlqa_log_level level, const char *line)
{
    int *deferred = user;
    if (level == VLQA_LOG_WARN && strstr(line, "closes with the last of them")) ++*deferred;
}

/* Also what it was to write, and its images. */
TEST(a_closed_engine_opens_nothing_and_still_writes_its_records)
{
    static const uint8_t bad[3];
    char dir[] = "/tmp/vlqa-close-XXXXXX", command[64];
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_cache_stats stats;
    struct vlqa_engine *e;
    struct vlqa_session *s, *other;
    struct vlqa_image *image, *late;
    struct stat lock;
    int deferred = 0;
    uint64_t live = heap_live();
    REQUIRE(mkdtemp(dir));
    eo.model = FIXTURE_TIED;
    eo.threads = 1;
    eo.cache_dir = dir;
    eo.log = note_deferral;
    eo.user = &deferred;
    REQUIRE(vlqa_engine_open(&eo, &e) == VLQA_OK);
    REQUIRE(vlqa_session_open(e, NULL, &s) == VLQA_OK);
    CHECK(vlqa_image_open(e, bad, 3, "bad", &image) == VLQA_EIMAGE);
    vlqa_engine_close(e);
    CHECK_EQ(deferred, 1);
    vlqa_engine_close(e); /* once more, as long as it lives */
    CHECK(vlqa_session_open(e, NULL, &other) == VLQA_ESTATE && !other);
    CHECK(vlqa_image_open(e, bad, 3, "bad", &late) == VLQA_ESTATE && !late);
    CHECK(vlqa_cache_flush(e) == VLQA_ESTATE);
    CHECK(vlqa_cache_read_stats(e, &stats, sizeof stats) == VLQA_ESTATE);
    CHECK(vlqa_add_image_file(s, PICTURE) == VLQA_OK);
    CHECK(run_is_undisturbed(s));
    vlqa_session_close(s);
    vlqa_image_close(image);
    CHECK_EQ(heap_live(), live);
    snprintf(command, sizeof command, "%s/vlqa.lock", dir);
    CHECK(stat(command, &lock) == 0); /* a record was written */
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
