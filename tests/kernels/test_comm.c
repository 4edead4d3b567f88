/* test_comm.c - ranks give one another blocks, agree on statuses, and end together. */
#include "tests/check.h"
#include "tests/kernels/comm_lab.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

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

TEST(all_have_the_status_of_the_first_that_failed)
{
    CHECK_EQ(right_on(4, 20000, agrees), 4);
}

TEST(ranks_that_leave_for_different_reasons_have_one_status)
{
    CHECK_EQ(right_on(3, 20000, leaves_too), 3);
}

TEST(a_rank_that_leaves_ends_the_call_on_all_and_the_next_one_works)
{
    CHECK_EQ(right_on(3, 20000, leaves), 3);
}

TEST(what_a_failed_call_leaves_is_not_taken_for_the_next_one)
{
    CHECK_EQ(right_on(3, 20000, leaves_much), 3);
}

TEST(ranks_that_are_given_something_else_are_told)
{
    CHECK_EQ(right_on(2, 20000, differs), 2);
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

TEST(a_look_sees_who_has_failed_and_waits_for_nobody)
{
    CHECK_EQ(right_on(3, 600000, looks), 3);
}

TEST(a_look_ends_within_the_time)
{
    CHECK_EQ(right_on(2, 300, looks_too_long), 2);
}

/* One has lost its way between devices. */
static int loses_its_way(struct vlqa_ranks *r)
{
    struct env env = {0};
    if (comm_begin(r, &env, "it", same) != VLQA_OK || r->through_host) return 0;
    if (r->rank == 2) r->through_host = 1;
    for (int i = 0; i < 2; i++)
        if (comm_begin(r, &env, "it", same) != VLQA_OK || !r->through_host) return 0;
    return 1;
}

TEST(device_memory_goes_the_same_way_on_all_ranks)
{
    CHECK_EQ(right_on(3, 20000, loses_its_way), 3);
}

TEST(ranks_are_checked)
{
    struct vlqa_ranks *r;
    CHECK_EQ(vlqa_ranks_local(2, 0, NULL), VLQA_EUSAGE);
    CHECK_EQ(vlqa_ranks_local(0, 0, &r), VLQA_EUSAGE);
    CHECK_HAS(vlqa_ranks_message(r), "there are 0 ranks, expected 1 to 64");
    vlqa_ranks_close(r);
    CHECK_EQ(vlqa_ranks_local(65, 0, &r), VLQA_EUSAGE);
    CHECK_EQ(vlqa_ranks_join(r, 0), VLQA_EUSAGE);
    vlqa_ranks_lost(r, 0, "has ended");
    CHECK_HAS(vlqa_ranks_message(r), "there are 65 ranks");
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
