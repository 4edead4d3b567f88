/* test_comm.c - ranks give one another blocks, agree on statuses, and end together. */
#include "kernels/comm.h"
#include "tests/check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 5

static const uint8_t same[COMM_KEY];

/* Nonzero: right. */
typedef int (*rank_fn)(struct vlqa_ranks *r);

/* Runs fn on n ranks. Returns on how many of them it was right. */
static int right_on(int n, int64_t timeout_ms, rank_fn fn)
{
    struct vlqa_ranks *r = NULL;
    int right = 0, status;
    if (vlqa_ranks_local(n, timeout_ms, &r) != VLQA_OK) return -1;
    fflush(NULL);
    for (int i = 0; i < n; i++)
        if (fork() == 0) _exit(vlqa_ranks_join(r, i) == VLQA_OK && fn(r) ? 0 : 1);
    for (pid_t child; (child = wait(&status)) > 0;)
        right += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    vlqa_ranks_close(r);
    return right;
}

/* Parts of many sizes, empty ones and ones of several pieces among them. */
static size_t size_of(int turn, int rank)
{
    static const size_t sizes[] = {
        0, 1, 100, COMM_PIECE - 1, COMM_PIECE, COMM_PIECE + 1, 3 * COMM_PIECE + 17};
    return sizes[(size_t)(turn * 3 + rank * 5) % (sizeof sizes / sizeof *sizes)];
}

static uint8_t value_of(int turn, int rank, size_t i)
{
    return (uint8_t)(i * 31 + i / 251 + (size_t)rank * 7 + (size_t)turn);
}

static int gathers(struct vlqa_ranks *r)
{
    static uint8_t block[MOST * 4 * COMM_PIECE];
    size_t given = 0, taken = 0;
    for (int turn = 0; turn < 40; turn++) {
        size_t at[MOST + 1] = {0};
        for (int i = 0; i < r->n; i++)
            at[i + 1] = at[i] + size_of(turn, i);
        memset(block, 0xee, sizeof block);
        for (size_t k = at[r->rank]; k < at[r->rank + 1]; k++)
            block[k] = value_of(turn, r->rank, k - at[r->rank]);
        if ((turn + r->rank) % 3 == 0) usleep(500);
        comm_gather_host(r, COMM_KV, block, at);
        if (r->status != VLQA_OK) return 0;
        for (int i = 0; i < r->n; i++)
            for (size_t k = at[i]; k < at[i + 1]; k++)
                if (block[k] != value_of(turn, i, k - at[i])) return 0;
        if (block[at[r->n]] != 0xee) return 0;
        given += at[r->rank + 1] - at[r->rank];
        taken += at[r->n] - (at[r->rank + 1] - at[r->rank]);
    }
    return r->count[COMM_KV].given == given && r->count[COMM_KV].taken == taken;
}

TEST(traffic_is_told_by_kind)
{
    struct vlqa_ranks *r;
    struct vlqa_ranks_traffic t;
    int kinds = 0;
    REQUIRE(vlqa_ranks_local(1, 0, &r) == VLQA_OK);
    r->count[COMM_KV] = (struct comm_count){7, 8, 9};
    for (; vlqa_ranks_read_traffic(r, kinds, &t, sizeof t) == VLQA_OK; kinds++) {
        CHECK(t.name[0] != 0);
        if (strcmp(t.name, "kv") == 0) CHECK(t.given == 7 && t.taken == 8 && t.ms == 9);
    }
    CHECK_EQ(kinds, COMM_KINDS);
    CHECK_EQ(vlqa_ranks_read_traffic(r, 0, &t, 8), VLQA_EUSAGE);
    CHECK_EQ(vlqa_ranks_read_traffic(NULL, 0, &t, sizeof t), VLQA_EUSAGE);
    vlqa_ranks_close(r);
}

TEST(blocks_are_gathered_whatever_their_parts)
{
    for (int n = 1; n <= MOST; n++)
        CHECK_EQ(right_on(n, 20000, gathers), n);
}

static int agrees(struct vlqa_ranks *r)
{
    struct env env = {0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    if (comm_choose(r, r->rank + 7) != 7) return 0;
    if (comm_agree(r, &env, VLQA_OK) != VLQA_OK) return 0;
    if (r->rank >= 2) (void)env_fail(&env, VLQA_EMEMORY, "no room on %d", r->rank);
    if (comm_agree(r, &env, r->rank >= 2 ? VLQA_EMEMORY : VLQA_OK) != VLQA_EMEMORY) return 0;
    if (strcmp(env.message, "rank 2: no room on 2") != 0) return 0;
    return comm_choose(r, r->rank + 8) == 8; /* they go on */
}

TEST(all_have_the_status_of_the_first_that_failed)
{
    CHECK_EQ(right_on(4, 20000, agrees), 4);
}

/* Two leave for different reasons: one of these is that of all. */
static int leaves_too(struct vlqa_ranks *r)
{
    static const vlqa_status statuses[] = {VLQA_OK, VLQA_EIO, VLQA_EMEMORY};
    struct env env = {0};
    for (int turn = 0; turn < 20; turn++) {
        vlqa_status mine = statuses[r->rank % 3], all;
        uint8_t seen[MOST] = {0};
        size_t at[MOST + 1];
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        if (mine != VLQA_OK) (void)env_fail(&env, mine, "status %d", (int)mine);
        all = mine == VLQA_OK ? comm_agree(r, &env, mine) : comm_end(r, &env, mine);
        if ((all != VLQA_EIO && all != VLQA_EMEMORY) || !strstr(env.message, "status ")) return 0;
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        for (int i = 0; i <= r->n; i++)
            at[i] = (size_t)i;
        seen[r->rank] = (uint8_t)all;
        comm_gather_host(r, COMM_CONTROL, seen, at);
        for (int i = 0; i < r->n; i++)
            if (seen[i] != all) return 0;
    }
    return 1;
}

TEST(ranks_that_leave_for_different_reasons_have_one_status)
{
    CHECK_EQ(right_on(3, 20000, leaves_too), 3);
}

/* One leaves in the middle, others wait for it; then all of them go on. */
static int leaves(struct vlqa_ranks *r)
{
    struct env env = {0};
    for (int turn = 0; turn < 20; turn++) {
        size_t at[MOST + 1];
        uint8_t block[MOST] = {0};
        for (int i = 0; i <= r->n; i++)
            at[i] = (size_t)i;
        if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
        for (int k = 0; k < turn; k++)
            comm_gather_host(r, COMM_CONTROL, block, at);
        if (r->rank == turn % r->n) {
            (void)env_fail(&env, VLQA_EIO, "the disk of %d", turn);
            if (comm_end(r, &env, VLQA_EIO) != VLQA_EIO) return 0;
            continue;
        }
        for (int k = 0; k < 3; k++)
            comm_gather_host(r, COMM_CONTROL, block, at);
        if (comm_agree(r, &env, VLQA_OK) != VLQA_EIO) return 0;
        if (comm_end(r, &env, VLQA_EIO) != VLQA_EIO) return 0;
        if (!strstr(env.message, "the disk of")) return 0;
    }
    return comm_begin(r, &env, "it", same) == VLQA_OK && comm_choose(r, r->rank) == 0;
}

TEST(a_rank_that_leaves_ends_the_call_on_all_and_the_next_one_works)
{
    CHECK_EQ(right_on(3, 20000, leaves), 3);
}

static int differs(struct vlqa_ranks *r)
{
    struct env env = {0};
    uint8_t key[COMM_KEY] = {0};
    key[31] = r->rank == 1;
    return comm_begin(r, &env, "the question", key) == VLQA_ESTATE &&
           strstr(env.message, "the question: rank 1 was given something else") &&
           comm_begin(r, &env, "the question", same) == VLQA_OK;
}

TEST(ranks_that_are_given_something_else_are_told)
{
    CHECK_EQ(right_on(2, 20000, differs), 2);
}

/* The last rank stops; the others end for good within the time. */
static int hangs(struct vlqa_ranks *r)
{
    struct env env = {0};
    double begin = env_ms();
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    if (r->rank == r->n - 1) {
        usleep(1500000);
        return comm_begin(r, &env, "it", same) == VLQA_EDEVICE; /* for it, too */
    }
    if (comm_choose(r, 1) != 1 || comm_agree(r, &env, VLQA_OK) != VLQA_EDEVICE) return 0;
    return env_ms() - begin < 10000 && strstr(env.message, "rank 2 has not answered for 0.3 s") &&
           comm_begin(r, &env, "it", same) == VLQA_EDEVICE;
}

TEST(a_rank_that_hangs_is_an_error_within_the_time)
{
    CHECK_EQ(right_on(3, 300, hangs), 3);
}

/* The last rank is late, while the others wait for it. */
static int is_late(struct vlqa_ranks *r)
{
    struct env env = {0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    if (r->rank == r->n - 1) usleep(1000000);
    return comm_agree(r, &env, VLQA_OK) == VLQA_OK;
}

/* By Ctrl-Z, for longer than they may wait. */
TEST(ranks_that_were_all_stopped_go_on)
{
    struct vlqa_ranks *r = NULL;
    pid_t child[3];
    int right = 0, status;
    REQUIRE(vlqa_ranks_local(3, 2500, &r) == VLQA_OK);
    for (int i = 0; i < 3; i++) {
        child[i] = fork();
        if (child[i] == 0) _exit(vlqa_ranks_join(r, i) == VLQA_OK && is_late(r) ? 0 : 1);
    }
    usleep(300000);
    for (int i = 0; i < 3; i++)
        kill(child[i], SIGSTOP);
    usleep(3000000);
    for (int i = 0; i < 3; i++)
        kill(child[i], SIGCONT);
    while (wait(&status) > 0)
        right += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CHECK_EQ(right, 3);
    vlqa_ranks_close(r);
}

/* Three times as long as others wait, but alive. */
static int works_by_itself(struct vlqa_ranks *r)
{
    struct env env = {0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK) return 0;
    for (int i = 0; i < 30 && r->rank == 1; i++) {
        usleep(100000);
        comm_beat(r);
    }
    return comm_agree(r, &env, VLQA_OK) == VLQA_OK;
}

TEST(a_rank_that_works_by_itself_is_waited_for)
{
    CHECK_EQ(right_on(2, 1000, works_by_itself), 2);
}

/* Whoever forked them says that one was killed: nobody waits for the time. */
TEST(a_rank_that_dies_is_named_at_once)
{
    struct vlqa_ranks *r = NULL;
    int right = 0, status;
    pid_t dead = 0;
    REQUIRE(vlqa_ranks_local(3, 600000, &r) == VLQA_OK);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        struct env env = {0};
        if (child == 0 && vlqa_ranks_join(r, i) != VLQA_OK) _exit(2);
        if (child == 0 && i == 1) raise(SIGKILL);
        if (child == 0)
            _exit(comm_begin(r, &env, "it", same) != VLQA_EDEVICE ||
                  !strstr(env.message, "rank 1 was killed by signal 9"));
        if (i == 1) dead = child;
    }
    CHECK(waitpid(dead, &status, 0) == dead && WIFSIGNALED(status));
    vlqa_ranks_lost(r, 1, "was killed by signal 9");
    while (wait(&status) > 0)
        right += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CHECK_EQ(right, 2);
    vlqa_ranks_close(r);
}

TEST(ranks_are_checked)
{
    struct vlqa_ranks *r;
    CHECK_EQ(vlqa_ranks_local(2, 0, NULL), VLQA_EUSAGE);
    CHECK_EQ(vlqa_ranks_local(0, 0, &r), VLQA_EUSAGE);
    CHECK_HAS(vlqa_ranks_message(r), "there are 0 ranks, expected 1 to 64");
    vlqa_ranks_close(r);
    CHECK_EQ(vlqa_ranks_local(2, -1, &r), VLQA_EUSAGE);
    vlqa_ranks_close(r);
    REQUIRE(vlqa_ranks_local(2, 0, &r) == VLQA_OK);
    CHECK_EQ(vlqa_ranks_rank(r), -1);
    CHECK_EQ(vlqa_ranks_join(r, 2), VLQA_EUSAGE);
    CHECK_EQ(vlqa_ranks_join(r, 1), VLQA_OK);
    CHECK_EQ(vlqa_ranks_join(r, 0), VLQA_ESTATE);
    CHECK_EQ(vlqa_ranks_count(r), 2);
    CHECK_EQ(vlqa_ranks_rank(r), 1);
    CHECK_EQ(vlqa_ranks_join(NULL, 0), VLQA_EUSAGE);
    CHECK_EQ(vlqa_ranks_count(NULL), 1);
    vlqa_ranks_lost(NULL, 0, "x");
    vlqa_ranks_close(r);
    vlqa_ranks_close(NULL);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
