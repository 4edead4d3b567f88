/* ranks_lab.h - a scenario on several processes, and what each of them had of it. */
#ifndef TESTS_FUSION_RANKS_LAB_H
#define TESTS_FUSION_RANKS_LAB_H

#include "kernels/comm.h"
#include "tests/fusion/sample_lab.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_RANKS 4
#define MOST_TOKENS 16

struct outcome { /* of a rank, in memory that processes share */
    vlqa_status status;
    char message[512];
    float logits[VOCAB];
    int32_t token[MOST_TOKENS];
    char text[512];
    int n_tokens, recomputed, exact, computed, n_evidence;
    double flops;
    size_t weight_bytes;
    struct vlqa_evidence evidence[16];
    struct comm_count count[COMM_KINDS];
};

/* Of one process; ranks NULL: alone. */
typedef void (*scenario_fn)(struct vlqa_ranks *ranks, struct outcome *out);

static inline struct outcome *outcomes(int n)
{
    void *at = mmap(NULL, (size_t)n * sizeof(struct outcome), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static inline pid_t start_rank(struct vlqa_ranks *ranks, int rank, scenario_fn run,
                               struct outcome *out)
{
    pid_t child;
    fflush(NULL);
    child = fork();
    if (child != 0) return child;
    check_failures = 0;
    if (ranks && vlqa_ranks_join(ranks, rank) != VLQA_OK) _exit(9);
    run(ranks, out);
    if (ranks) memcpy(out->count, ranks->count, sizeof out->count);
    vlqa_ranks_close(ranks);
    fflush(NULL);
    _exit(check_failures ? 1 : 0);
}

/* n processes; 0: one, without ranks. The parent stays without threads. */
static inline void on_ranks(int n, scenario_fn run, struct outcome *out)
{
    struct vlqa_ranks *ranks = NULL;
    pid_t child[VLQA_RANKS_MOST];
    int processes = n ? n : 1;
    if (n) REQUIRE(vlqa_ranks_local(n, 60000, &ranks) == VLQA_OK);
    for (int i = 0; i < processes; i++)
        child[i] = start_rank(ranks, i, run, &out[i]);
    for (int i = 0; i < processes; i++) {
        int status = -1;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        CHECK_FAIL("a process of %d ended with status %x", processes, (unsigned)status);
        for (int k = 0; k < processes; k++)
            if (child[k] == ended) vlqa_ranks_lost(ranks, k, "has ended");
    }
    vlqa_ranks_close(ranks);
}

static inline void take_answer(const struct vlqa_answer *a, struct outcome *out)
{
    REQUIRE(a->n_tokens <= MOST_TOKENS && a->n_evidence <= 16 && a->n_logits <= VOCAB);
    memcpy(out->logits, a->logits, (size_t)a->n_logits * sizeof *a->logits);
    memcpy(out->token, a->token, (size_t)a->n_tokens * sizeof *a->token);
    snprintf(out->text, sizeof out->text, "%s", a->text);
    out->n_tokens = a->n_tokens;
    out->recomputed = a->tokens_recomputed;
    out->exact = a->exact;
    out->flops = a->flops;
    out->n_evidence = a->n_evidence;
    for (int i = 0; i < a->n_evidence; i++)
        out->evidence[i] = vlqa_evidence_at(a, i);
}

/* Nonzero: the same answer, to the bit. */
static inline int same_outcome(const struct outcome *a, const struct outcome *b)
{
    return a->status == b->status && strcmp(a->text, b->text) == 0 && a->n_tokens == b->n_tokens &&
           memcmp(a->token, b->token, sizeof a->token) == 0 && a->recomputed == b->recomputed &&
           a->exact == b->exact && memcmp(&a->flops, &b->flops, sizeof a->flops) == 0 &&
           memcmp(a->logits, b->logits, sizeof a->logits) == 0 && a->n_evidence == b->n_evidence &&
           memcmp(a->evidence, b->evidence, sizeof a->evidence) == 0;
}

#endif
