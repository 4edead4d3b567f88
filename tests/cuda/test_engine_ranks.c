/* test_engine_ranks.c - several processes with an emulated GPU each answer as one does, to the last
 * bit. */
#include "fusion/session/session.h"
#include "include/vlqa_experimental.h"
#include "kernels/comm.h"
#include "tests/check.h"

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
};

static enum vlqa_reuse reuse; /* of the processes that are forked next */

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
    o.reuse = reuse;
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
    if (out->status == VLQA_OK) {
        out->status = vlqa_session_open(engine, &so, &session);
        if (out->status == VLQA_OK) out->status = ask(session, out);
        snprintf(out->message, sizeof out->message, "%s", vlqa_message(session));
    }
    if (ranks) out->given = ranks->count[COMM_KV].given;
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
            answer(ranks, out + i);
            _exit(0);
        }
    while (wait(&status) > 0)
        ended += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    vlqa_ranks_close(ranks);
    return ended;
}

static void check_same(enum vlqa_reuse of)
{
    struct outcome *out = mmap(NULL, (1 + RANKS) * sizeof *out, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(out != MAP_FAILED);
    reuse = of;
    CHECK_EQ(run_on(0, out), 1);
    CHECK_EQ(run_on(RANKS, out + 1), RANKS);
    CHECK_STR(out->message, "");
    for (int i = 1; i <= RANKS; i++) {
        CHECK_EQ(out[i].status, VLQA_OK);
        CHECK_STR(out[i].message, "");
        CHECK(memcmp(out[i].logits, out->logits, sizeof out->logits) == 0);
        CHECK_EQ(out[i].recomputed, out->recomputed);
        CHECK(out[i].given > 0);
    }
    munmap(out, (1 + RANKS) * sizeof *out);
}

TEST(full_prefill_by_ranks_is_that_of_one_process)
{
    check_same(VLQA_REUSE_OFF);
}

TEST(reuse_by_ranks_is_that_of_one_process)
{
    check_same(VLQA_REUSE_ON);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
