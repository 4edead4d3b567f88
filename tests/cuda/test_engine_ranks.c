/* test_engine_ranks.c - several processes with an emulated GPU each answer as one does, to the last
 * bit, and end together. */
#include "fusion/session/session.h"
#include "include/vlqa_experimental.h"
#include "kernels/comm.h"
#include "tests/check.h"
#include "tests/cuda/emu_device.h"
#include "tests/cuda/nccl_stub.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANKS 2
#define VOCAB 8192
#define STEPS 2

struct outcome { /* of a process, in memory that all share */
    vlqa_status status;
    char message[512];
    float logits[STEPS * VOCAB];
    int recomputed;
    uint64_t given; /* bytes of keys and values, to other ranks */
    unsigned long long by_nccl, works;
};

static struct { /* of the processes that are forked next */
    enum vlqa_reuse reuse;
    int has_nccl;
    long fail_work; /* of rank 1, when the engine is open; below 0: never */
} next = {VLQA_REUSE_OFF, 0, -1};

static void keep_logits(void *user, int step, const float *logits, int n)
{
    struct outcome *out = user;
    if (step < STEPS) memcpy(out->logits + step * VOCAB, logits, (size_t)n * sizeof *logits);
}

static vlqa_status ask(struct vlqa_session *s, struct outcome *out)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    o.max_tokens = STEPS;
    o.on_logits = keep_logits;
    o.user = out;
    o.ignore_eos = 1;
    o.reuse = next.reuse;
    o.chunker = VLQA_CHUNK_GRID;
    o.recompute_ratio = 0.3f;
    TRY(vlqa_add_image_file(s, VLQA_SOURCE_DIR "/tests/charts/cows.png"));
    TRY(vlqa_ask(s, "Which is the largest?", &o, &answer, sizeof answer));
    out->recomputed = answer.tokens_recomputed;
    return VLQA_OK;
}

/* Of one process; ranks NULL: alone. */
static void answer(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    struct vlqa_engine *engine;
    struct vlqa_session *session = NULL;
    eo.model = VLQA_SOURCE_DIR "/tests/golden/tied64";
    eo.threads = 1;
    eo.ranks = ranks;
    so.max_seq_len = 512;
    out->status = vlqa_engine_open(&eo, &engine);
    snprintf(out->message, sizeof out->message, "%s", vlqa_engine_message(engine));
    out->works = emu_count().works;
    if (vlqa_ranks_rank(ranks) == 1) emu_fail_work(next.fail_work);
    if (out->status == VLQA_OK) {
        out->status = vlqa_session_open(engine, &so, &session);
        if (out->status == VLQA_OK) out->status = ask(session, out);
        snprintf(out->message, sizeof out->message, "%s", vlqa_message(session));
    }
    if (ranks) out->given = ranks->count[COMM_KV].given;
    out->by_nccl = nccl_stub_count().gathers;
    out->works = emu_count().works - out->works;
    vlqa_session_close(session);
    vlqa_engine_close(engine);
}

/* n processes; 0: one, without ranks. Returns how many ended well. */
static int run_on(int n, struct outcome *out)
{
    struct vlqa_ranks *ranks = NULL;
    int ended = 0, status;
    if (n && vlqa_ranks_local(n, 60000, &ranks) != VLQA_OK) return -1;
    fflush(NULL);
    for (int i = 0; i < (n ? n : 1); i++)
        if (fork() == 0) {
            if (ranks && vlqa_ranks_join(ranks, i) != VLQA_OK) _exit(1);
            if (next.has_nccl) nccl_stub_install();
            nccl_stub_gpu(i);
            answer(ranks, out + i);
            _exit(0);
        }
    while (wait(&status) > 0)
        ended += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    vlqa_ranks_close(ranks);
    return ended;
}

static struct outcome *outcomes(void)
{
    void *at = mmap(NULL, (1 + RANKS) * sizeof(struct outcome), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static void check_same(enum vlqa_reuse reuse, int has_nccl)
{
    struct outcome *out = outcomes();
    REQUIRE(out);
    next.reuse = reuse;
    next.has_nccl = has_nccl;
    CHECK_EQ(run_on(0, out), 1);
    CHECK_EQ(run_on(RANKS, out + 1), RANKS);
    CHECK_STR(out->message, "");
    for (int i = 1; i <= RANKS; i++) {
        CHECK_EQ(out[i].status, VLQA_OK);
        CHECK_STR(out[i].message, "");
        CHECK(memcmp(out[i].logits, out->logits, sizeof out->logits) == 0);
        CHECK_EQ(out[i].recomputed, out->recomputed);
        CHECK(out[i].given > 0);
        CHECK((out[i].by_nccl > 0) == has_nccl);
    }
    munmap(out, (1 + RANKS) * sizeof *out);
}

TEST(full_prefill_by_ranks_is_that_of_one_process)
{
    check_same(VLQA_REUSE_OFF, 0);
    check_same(VLQA_REUSE_OFF, 1);
}

TEST(reuse_by_ranks_is_that_of_one_process)
{
    check_same(VLQA_REUSE_ON, 0);
    check_same(VLQA_REUSE_ON, 1);
}

/* Whatever it was that the one GPU did when it failed. */
TEST(a_gpu_that_fails_ends_the_question_on_all_ranks)
{
    struct outcome *out = outcomes();
    REQUIRE(out);
    next.reuse = VLQA_REUSE_OFF;
    CHECK_EQ(run_on(RANKS, out), RANKS);
    REQUIRE(out[1].status == VLQA_OK);
    for (int has_nccl = 0; has_nccl < 2; has_nccl++)
        for (int part = 0; part < 8; part++) {
            next.has_nccl = has_nccl;
            next.fail_work = (long)out[1].works * (2 * part + 1) / 16;
            memset(out, 0, sizeof *out);
            CHECK_EQ(run_on(RANKS, out), RANKS);
            CHECK_EQ(out[0].status, VLQA_EDEVICE);
            CHECK_EQ(out[1].status, VLQA_EDEVICE);
            CHECK_HAS(out[0].message, "rank 1: ");
        }
    next.fail_work = -1;
    munmap(out, (1 + RANKS) * sizeof *out);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
