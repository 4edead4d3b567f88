/* test_guard.c - the guard sees what it is there for: a sync that is missing, a touch of device
 * memory, a copy that never was. The suite of fusion runs over it as guard.*. */
#include "base/heap.h"
#include "fusion/session/session.h"
#include "tests/check.h"
#include "tests/guard/guard_device.h"

#include <sys/wait.h>
#include <unistd.h>

#define VOCAB 8192

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static int run_open(struct run *r)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    memset(r, 0, sizeof *r);
    eo.model = VLQA_SOURCE_DIR "/tests/golden/tied64";
    eo.threads = 1; /* so that a child may ask, too */
    so.max_seq_len = 512;
    return vlqa_engine_open(&eo, &r->engine) == VLQA_OK &&
           vlqa_session_open(r->engine, &so, &r->session) == VLQA_OK;
}

static void run_close(struct run *r)
{
    guard_plant(GUARD_SOUND, 0);
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

#define STEPS 3

static void keep_logits(void *user, int step, const float *logits, int n)
{
    memcpy((float *)user + (size_t)step * VOCAB, logits, (size_t)n * sizeof *logits);
}

/* An answer with chunks, scores and repair, and the logits of its tokens. Returns their number, or
 * -1. */
static int ask(struct run *r, float logits[STEPS * VOCAB])
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    if (vlqa_session_clear(r->session) != VLQA_OK ||
        vlqa_add_image_file(r->session, VLQA_SOURCE_DIR "/tests/charts/cows.png") != VLQA_OK)
        return -1;
    o.max_tokens = STEPS;
    o.on_logits = keep_logits;
    o.user = logits;
    o.ignore_eos = 1;
    o.reuse = VLQA_REUSE_ON;
    o.chunker = VLQA_CHUNK_GRID;
    o.halo = 2;
    if (vlqa_ask(r->session, "Which is the largest?", &o, &a, sizeof a) != VLQA_OK) return -1;
    return a.n_tokens;
}

TEST(device_memory_is_closed_to_the_host)
{
    struct run r;
    pid_t child;
    int status;
    REQUIRE(run_open(&r));
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        volatile const char *weight = r.engine->decoder.layer[0].q.data;
        _exit(weight[0] ? 0 : 1);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    run_close(&r);
}

/* A trace that reads a result where it lies, as it could on the CPU. */
static void touch(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    (void)q, (void)name, (void)layer;
    *(float *)user += *(const float *)m.data;
}

TEST(a_touch_in_the_middle_of_an_answer_is_the_end)
{
    static float logits[STEPS * VOCAB];
    struct run r;
    pid_t child;
    int status;
    REQUIRE(run_open(&r));
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        float sum = 0;
        r.engine->process = getpid();
        r.session->queue->trace = touch;
        r.session->queue->trace_user = &sum;
        _exit(ask(&r, logits) > 0 && sum < 0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    run_close(&r);
}

TEST(what_is_downloaded_is_poison_until_the_sync)
{
    struct env env = {0};
    struct device *d;
    struct queue *q;
    char *memory, back[4] = "old";
    REQUIRE(device_open(&env, VLQA_CPU_AUTO, &d) == VLQA_OK);
    REQUIRE(queue_open(d, &env, &q) == VLQA_OK);
    memory = device_alloc(d, 4);
    queue_upload(q, memory, "new", 4);
    queue_download(q, back, memory, 4);
    CHECK((unsigned char)back[0] == GUARD_POISON);
    CHECK_EQ(queue_sync(q), VLQA_OK);
    CHECK_STR(back, "new");
    device_release(d, memory);
    queue_close(q);
    device_close(d);
}

static int stop_between_batches(void *user, const char *phase, int64_t done, int64_t total)
{
    (void)user;
    return strcmp(phase, "chunks") == 0 && done > 0 && done < total;
}

/* The memory that a cancelled chunk's downloads go to is freed with its record. */
TEST(nothing_waits_after_a_cancelled_chunk)
{
    static float logits[STEPS * VOCAB];
    struct run r;
    REQUIRE(run_open(&r));
    r.session->pass_tokens = 4;
    r.session->env.progress = stop_between_batches;
    CHECK_EQ(ask(&r, logits), -1);
    CHECK_HAS(vlqa_message(r.session), "cancelled during chunks");
    CHECK_EQ(guard_waiting(r.session->queue), 0);
    run_close(&r);
}

/* An image or an answer that a device has failed in is no success, whichever sync it was. */
TEST(sync_that_fails_is_never_passed_over)
{
    static float logits[STEPS * VOCAB];
    int n = 0;
    for (int planted = 0; !planted; n++) {
        struct vlqa_image_info info;
        struct run r;
        REQUIRE(run_open(&r));
        guard_plant(GUARD_SYNC_FAILS, n + 1);
        (void)vlqa_add_image_file(r.session, VLQA_SOURCE_DIR "/tests/charts/cows.png");
        if (!guard_planted()) CHECK_EQ(vlqa_last_image(r.session, &info, sizeof info), VLQA_ESTATE);
        CHECK_EQ(ask(&r, logits), guard_planted() ? STEPS : -1);
        planted = guard_planted();
        run_close(&r);
    }
    CHECK(n > 8);
}

enum end { SAME, OTHER, NOT_THERE, FAILED };

/* In a process of its own, as a mistake may be the end of it: the answer with the i-th call of a
 * kind left out, against one with all. */
static enum end answer_without(enum guard_fault fault, int i)
{
    static float sound[STEPS * VOCAB], found[STEPS * VOCAB];
    struct run r;
    int tokens;
    if (!run_open(&r) || ask(&r, sound) != STEPS) return FAILED;
    run_close(&r);
    if (!run_open(&r)) return FAILED;
    guard_plant(fault, i);
    tokens = ask(&r, found);
    if (guard_planted()) return NOT_THERE;
    return tokens == STEPS && memcmp(sound, found, sizeof sound) == 0 ? SAME : OTHER;
}

/* Each sync, upload or download of an answer in turn is left out; at least so many are seen. What
 * can be left out unseen is more than this answer needs: a record that is not read again, a sync
 * before another. */
static void check_planted(enum guard_fault fault, int least, const char *what)
{
    int seen = 0, n = 0;
    for (int i = 1; i < 400; i++) {
        pid_t child = fork();
        int status;
        REQUIRE(child >= 0);
        if (child == 0) _exit((int)answer_without(fault, i));
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE) break;
        if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED) CHECK_FAIL("%s: no answer", what);
        seen += !WIFEXITED(status) || WEXITSTATUS(status) == OTHER;
        n++;
    }
    if (seen < least) CHECK_FAIL("%d of %d %s that were left out are seen", seen, n, what);
    printf("     %d of %d %s that were left out are seen\n", seen, n, what);
}

TEST(a_missing_sync_turns_an_answer_red)
{
    check_planted(GUARD_NO_SYNC, 4, "syncs");
}

TEST(a_missing_upload_turns_an_answer_red)
{
    check_planted(GUARD_NO_UPLOAD, 15, "uploads");
}

TEST(a_missing_download_turns_an_answer_red)
{
    check_planted(GUARD_NO_DOWNLOAD, 20, "downloads");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
