/* test_ranks_kill.c - ranks that are killed or hang: the others are told in time, and nothing is
 * left.
 */
#include "tests/fusion/fault_lab.h"

#include <dirent.h>
#include <errno.h>

/* ---- what ends ---- */

static int count_shared(void)
{
    int n = 0;
    DIR *dir = opendir("/dev/shm");
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += strstr(e->d_name, "vlqa") != NULL;
    if (dir) closedir(dir);
    return n;
}

/* As the program does that starts ranks. */
static void wait_for_ranks(struct vlqa_ranks *ranks, int n, const pid_t *child, int *status)
{
    for (int i = 0; i < n; i++) {
        char how[64];
        int ended;
        pid_t pid = waitpid(-1, &ended, 0);
        for (int k = 0; k < n; k++) {
            if (child[k] != pid) continue;
            status[k] = ended;
            snprintf(how, sizeof how, "was killed by signal %d", WTERMSIG(ended));
            if (WIFSIGNALED(ended)) vlqa_ranks_lost(ranks, k, how);
        }
    }
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* Every file of a record is whole. */
static int take_record(void *user, const struct vlqa_record *r)
{
    (void)user;
    if (!r->intact) CHECK_FAIL("%s %s", r->key, r->problem);
    return 0;
}

static void verify(const char *dir)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    o.dir = dir;
    o.verify = 1;
    CHECK(vlqa_cache_scan(&o, take_record) == VLQA_OK);
}

/* With what ranks have left: each record is used or made, and can be written. */
static void whole_and_flush(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine *engine;
    struct vlqa_session *s;
    struct vlqa_cache_stats stats;
    REQUIRE(open_engine(ranks, &engine) == VLQA_OK && open_session(engine, &s) == VLQA_OK);
    CHECK(add_documents(s) == VLQA_OK && ask(s, out) == VLQA_OK);
    CHECK(vlqa_cache_flush(engine) == VLQA_OK);
    CHECK(vlqa_cache_read_stats(engine, &stats, sizeof stats) == VLQA_OK);
    CHECK_EQ(stats.rejected, 0);
    CHECK_EQ(stats.write_failures, 0);
    CHECK_STR(stats.disk_problem, "");
    vlqa_session_close(s);
    vlqa_engine_close(engine);
}

static void remove_records(const char *dir)
{
    struct vlqa_cache_options o = vlqa_cache_options_default();
    int removed;
    o.dir = dir;
    CHECK(vlqa_cache_remove(&o, NULL, &removed) == VLQA_OK);
}

/* Ranks over the directory, one of which is killed in a phase; then one process over it. */
static void check_kill(const struct lab *lab, int n, int rank, const char *phase)
{
    struct vlqa_ranks *ranks = NULL;
    struct outcome *later = outcomes(1);
    pid_t child[RANKS];
    int status[RANKS] = {0};
    char expected[64];
    REQUIRE(later && vlqa_ranks_local(n, 60000, &ranks) == VLQA_OK);
    memset(lab->rank, 0, RANKS * sizeof *lab->rank);
    fault = (struct fault){rank, phase, SIGKILL};
    cache = lab->dir;
    for (int i = 0; i < n; i++)
        child[i] = start_rank(ranks, i, whole, &lab->rank[i]);
    fault = (struct fault){0};
    wait_for_ranks(ranks, n, child, status);
    vlqa_ranks_close(ranks);
    snprintf(expected, sizeof expected, "rank %d was killed by signal 9", rank);
    for (int i = 0; i < n; i++) {
        if (i == rank) {
            CHECK(WIFSIGNALED(status[i]) && WTERMSIG(status[i]) == SIGKILL);
            continue;
        }
        CHECK_EQ(status[i], 0);
        if (lab->rank[i].status != VLQA_EDEVICE || strcmp(lab->rank[i].message, expected) != 0)
            CHECK_FAIL("rank %d in %s, rank %d: %d %s", rank, phase, i, (int)lab->rank[i].status,
                       lab->rank[i].message);
    }
    if (strcmp(phase, "load") != 0) verify(lab->dir);
    on_ranks(0, whole_and_flush, later);
    verify(lab->dir);
    later->status = lab->cold->status;
    CHECK(same_outcome(lab->cold, later));
    remove_records(lab->dir);
    munmap(later, sizeof *later);
}

TEST(a_rank_that_is_killed_in_any_phase_is_named_and_leaves_nothing)
{
    static const char *const phases[] = {"load",  "vision", "prefix", "chunks",
                                         "score", "repair", "decode"};
    struct lab lab;
    int shared = count_shared();
    asked = REUSE_INFOFLOW;
    REQUIRE(lab_open(&lab));
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        for (int rank = 0; rank < 2; rank++)
            check_kill(&lab, 2, rank, phases[i]);
    lab_close(&lab);
    CHECK_EQ(count_shared(), shared);
}

TEST(so_is_one_in_a_full_prefill)
{
    struct lab lab;
    asked = REUSE_OFF;
    REQUIRE(lab_open(&lab));
    for (int rank = 0; rank < RANKS; rank++)
        check_kill(&lab, RANKS, rank, "prefill");
    lab_close(&lab);
}

/* The one that was stopped finds out, too, when it goes on. */
TEST(a_rank_that_hangs_is_an_error_on_all_within_the_time)
{
    static const char *const phases[] = {"prefill", "decode"};
    struct outcome *rank = outcomes(RANKS);
    cache = NULL;
    asked = REUSE_OFF;
    for (int i = 0; i < 2; i++) {
        struct vlqa_ranks *ranks = NULL;
        pid_t child[RANKS];
        int status = 0;
        REQUIRE(rank && vlqa_ranks_local(RANKS, 2000, &ranks) == VLQA_OK);
        memset(rank, 0, RANKS * sizeof *rank);
        fault = (struct fault){1, phases[i], SIGSTOP};
        for (int k = 0; k < RANKS; k++)
            child[k] = start_rank(ranks, k, whole, &rank[k]);
        for (int k = 0; k < RANKS; k += 2)
            CHECK(waitpid(child[k], &status, 0) == child[k] && status == 0);
        kill(child[1], SIGCONT);
        CHECK(waitpid(child[1], &status, 0) == child[1] && status == 0);
        vlqa_ranks_close(ranks);
        for (int k = 0; k < RANKS; k++) {
            CHECK_EQ(rank[k].status, VLQA_EDEVICE);
            CHECK_STR(rank[k].message, "rank 1 has not answered for 2.0 s");
        }
    }
    fault = (struct fault){0};
    munmap(rank, RANKS * sizeof *rank);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
