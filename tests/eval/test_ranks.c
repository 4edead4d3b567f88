/* test_ranks.c - --ranks over the fake runtime: who writes, who waits, and how all of them end. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ASK "-m", "model", "-p", "?"
#define SETSID .program = "/bin/sh"
#define IN_ITS_GROUP "-c", "exec setsid \"$0\" \"$@\"", FAKE_CLI

static void nap(void)
{
    nanosleep(&(struct timespec){0, 10000000}, NULL);
}

/* The process that is rank r of the run that goes on; 0: none has noted it for ten seconds. */
static pid_t pid_of(int rank)
{
    char line[32], calls[8192];
    snprintf(line, sizeof line, "rank %d is ", rank);
    if (!run_wait_for_call(line)) return 0;
    get_file("fake.calls", calls, sizeof calls);
    return (pid_t)atoi(strstr(calls, line) + strlen(line));
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        n++;
    return n;
}

/* Until a process sleeps and no signal waits for it: it has done what it does about the last one.
 */
static int wait_until_taken(pid_t pid)
{
    char path[32], text[4096], state = 0;
    unsigned long long pending = 1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    for (int i = 0; i < 1000; i++) {
        get_file(path, text, sizeof text);
        if (strstr(text, "State:")) sscanf(strstr(text, "State:"), "State: %c", &state);
        if (strstr(text, "ShdPnd:")) sscanf(strstr(text, "ShdPnd:"), "ShdPnd: %llx", &pending);
        if (state == 'S' && !pending) return 1;
        nap();
    }
    return 0;
}

/* Ranks whose parent has ended are ours; none may be there, nor what is left of one. */
static void check_none_left(void)
{
    for (int i = 0; i < 1000; i++) {
        if (waitpid(-1, NULL, WNOHANG) < 0) return;
        nap();
    }
    CHECK_FAIL("a process is left");
}

/* Nothing is left, and the run's code is this. */
static struct run *check_ended(pid_t pid, int code)
{
    struct run *r = run_finish(pid);
    CHECK_EQ(r->code, code);
    check_none_left();
    return r;
}

/* ---- an answer ---- */

TEST(ranks_make_the_same_calls_and_one_of_them_speaks)
{
    struct run *r = run_script("answer=Yes|.\nlog=info\n", ARGS(ASK, "--ranks", "3"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes.\n");
    CHECK_STR(r->err, "vlqa: careful\n");
    CHECK_EQ(count(r->calls, "ask ? "), 3);
    CHECK_EQ(count(r->calls, "ranks 3 timeout=600000"), 1);
    for (int i = 0; i < 3; i++) {
        char line[32];
        snprintf(line, sizeof line, "rank %d is ", i);
        CHECK_EQ(count(r->calls, line), 1);
    }
    check_none_left();
}

TEST(standard_input_is_read_once_for_all)
{
    struct run *r = run_cli((struct setup){.script = "answer=Yes\n", .input = "Is it?\n"},
                            ARGS("-m", "model", "-p", "-", "--ranks=2", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->out, "\"answer\":\"Yes\""), 1);
    CHECK_EQ(count(r->calls, "ask Is it? "), 2);
}

TEST(one_rank_is_one_process)
{
    struct run *r = run_script("answer=Yes\n", ARGS(ASK, "--ranks", "1"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "rank"), 0);
    CHECK_HAS(r->calls, "threads=0");
}

TEST(ranks_share_the_cores)
{
    cpu_set_t set;
    char line[32];
    struct run *r;
    REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
    for (int n = 2; n <= 5; n += 3) {
        char ranks[16];
        int share = CPU_COUNT(&set) / n;
        snprintf(ranks, sizeof ranks, "--ranks=%d", n);
        snprintf(line, sizeof line, ": %d threads", share ? share : 1);
        r = run_script("answer=Yes\n", ARGS(ASK, ranks));
        CHECK_EQ(count(r->calls, line), n);
    }
    r = run_script("answer=Yes\n", ARGS(ASK, "--ranks=2", "--threads=7"));
    CHECK_EQ(count(r->calls, ": 7 threads"), 2);
}

TEST(each_rank_has_a_gpu_of_its_own)
{
    struct run *r = run_script("answer=Yes\n", ARGS(ASK, "--ranks=2", "--device=cuda", "--gpu=3"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "GPU 3"), 1);
    CHECK_EQ(count(r->calls, "GPU 4"), 1);
}

/* Rank 0 waits before its last delta, while rank 1 comes to its end. */
TEST(rank_0_alone_writes_files)
{
    pid_t pid = run_start((struct setup){.script = "answer=a|b\nhold=12\nhold_rank=0\n"},
                          ARGS(ASK, "--ranks=2", "--logits", "logits"));
    CHECK(run_wait_for_call("lost 1 ended with exit code 0"));
    CHECK(access("logits", F_OK) != 0);
    put_file("fake.go", "", 0);
    CHECK_STR(check_ended(pid, 0)->out, "ab\n");
    CHECK(access("logits", F_OK) == 0);
}

TEST(bench_and_lines_of_a_file_take_ranks)
{
    struct run *r =
        run_script("answer=a\n", ARGS("bench", "--prompt-tokens=8", "--ranks=2", "--decode=2"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "ask "), 5); /* rank 0 alone; a full prefill, chunks by both */
    put_file("lines", "{\"question\": \"A?\"}\n{\"question\": \"B?\"}\n", 38);
    r = run_script("answer=a\n", ARGS("-m", "model", "--jsonl", "lines", "--ranks=2"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->out, "\"answer\":\"a\""), 2);
    CHECK_EQ(count(r->calls, "ask A? "), 2);
    CHECK_EQ(count(r->calls, "ask B? "), 2);
}

/* However long that takes, no rank waits for it. */
TEST(bench_asks_one_process_when_all_ranks_are_done)
{
    pid_t pid =
        run_start((struct setup){.script = "answer=a\nhold=1\nhold_rank=1\n"},
                  ARGS("bench", "--image=0x0", "--ranks=2", "--decode=2", "--prompt-tokens=8"));
    const char *together;
    struct run *r;
    CHECK(run_wait_for_call("reuse 3 "));
    put_file("fake.go", "", 0);
    r = check_ended(pid, 0);
    together = strstr(r->calls, "reuse 3 ");
    CHECK_EQ(count(r->calls, "open model="), 3);
    CHECK(together && strstr(together, "open model="));
}

/* ---- processes that were started together ---- */

static struct run *launched(const char *variable, const char *script, const char *const *args)
{
    return run_cli((struct setup){.environment = variable, .script = script}, args);
}

TEST(processes_of_mpirun_and_srun_are_ranks)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE=3", "PMI_SIZE=3",
                                            "SLURM_STEP_NUM_TASKS=3"};
    for (int i = 0; i < 3; i++) {
        struct run *r = launched(variables[i], "answer=a\nmpi_ranks=3\n", ARGS(ASK));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->out, "a\n");
        CHECK_HAS(r->calls, "mpi timeout=600000");
        CHECK_EQ(count(r->calls, "rank 0 is "), 1);
        CHECK_EQ(count(r->calls, "ask ? "), 1);
        r = launched(variables[i], "answer=a\nmpi_ranks=3\nmpi_rank=2\n",
                     ARGS(ASK, "--ranks=3", "--rank-timeout=9", "--logits=none", "--device=cuda"));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->out, "");
        CHECK_HAS(r->calls, "mpi timeout=9000");
        CHECK_EQ(count(r->calls, "GPU 2"), 1);
        CHECK(access("none", F_OK) != 0);
    }
}

TEST(one_process_of_mpirun_is_none)
{
    struct run *r = launched("OMPI_COMM_WORLD_SIZE=1", "answer=a\n", ARGS(ASK));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "rank") + count(r->calls, "mpi"), 0);
    r = launched("OMPI_COMM_WORLD_SIZE=x", "answer=a\n", ARGS(ASK, "--ranks=2"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "ranks 2 "), 1);
}

TEST(what_does_not_fit_those_of_mpirun_is_refused)
{
    static const char size[] = "OMPI_COMM_WORLD_SIZE=3";
    struct run *r = launched(size, "mpi_ranks=3\n", ARGS(ASK, "--ranks=2"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--ranks is 2, but 3 processes were started together: leave it out");
    r = launched(size, "mpi_ranks=1\n", ARGS(ASK));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: 3 processes were started together, but MPI has 1\n");
    r = launched(size, "mpi=EDEVICE\n", ARGS(ASK));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: fake mpi fails with EDEVICE\n");
    r = launched(size, "mpi_ranks=3\n", ARGS("-m", "model", "-p", "-"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "standard input is that of one of the processes");
    r = launched(size, "mpi_ranks=3\n", ARGS("-m", "model", "--jsonl", "-"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--ranks: each of them reads --jsonl by itself");
}

/* ---- what is refused ---- */

TEST(what_each_rank_would_read_for_itself_is_refused)
{
    static const char *const files[] = {"-", "/dev/null"};
    for (int i = 0; i < 2; i++) {
        struct run *r = run_script("", ARGS("-m", "model", "--jsonl", files[i], "--ranks=2"));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "--ranks: each of them reads --jsonl by itself, expected a file");
        CHECK_STR(r->calls, "");
    }
    CHECK_HAS(run_script("", ARGS("chat", "--ranks=2"))->err, "unknown option --ranks");
    CHECK_HAS(run_script("", ARGS(ASK, "--ranks=0"))->err, "expected a whole number from 1 to 64");
    CHECK_HAS(run_script("", ARGS(ASK, "--ranks=65"))->err, "expected a whole number from 1 to 64");
}

TEST(ranks_that_cannot_be_are_an_error)
{
    struct run *r = run_script("ranks=EMEMORY\n", ARGS(ASK, "--ranks=2"));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->err, "vlqa: fake ranks fails with EMEMORY\n");
    r = run_script("join=ESTATE\n", ARGS(ASK, "--ranks=2"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: fake join fails with ESTATE\n");
    check_none_left();
}

TEST(an_error_of_all_ranks_is_told_once)
{
    struct run *r = run_script("ask=EMEMORY\n", ARGS(ASK, "--ranks=3"));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->err, "vlqa: fake ask fails with EMEMORY\n");
}

/* ---- ranks that end ---- */

TEST(a_rank_that_is_killed_is_told_even_behind_the_answer)
{
    for (int rank = 0; rank < 3; rank++) {
        char expected[64];
        pid_t pid =
            run_start((struct setup){.script = "answer=a|b\nhold=12\n"}, ARGS(ASK, "--ranks=3"));
        pid_t victim = pid_of(rank);
        struct run *r;
        CHECK(run_wait_for_call("held"));
        REQUIRE(victim > 0);
        kill(victim, SIGKILL);
        snprintf(expected, sizeof expected, "lost %d was killed by signal 9\n", rank);
        CHECK(run_wait_for_call(expected));
        put_file("fake.go", "", 0);
        r = check_ended(pid, 1);
        snprintf(expected, sizeof expected, "vlqa: rank %d was killed by signal 9\n", rank);
        CHECK_STR(r->err, expected);
        CHECK_STR(r->out, rank ? "ab\n" : "");
    }
}

/* With one second for the others. */
TEST(what_does_not_end_behind_rank_0_is_killed)
{
    static const int signals[] = {0, SIGKILL};
    for (int i = 0; i < 2; i++) {
        pid_t pid = run_start((struct setup){.script = "answer=a|b\nhold=12\n"},
                              ARGS(ASK, "--ranks=2", "--rank-timeout=1"));
        pid_t first = pid_of(0), second = pid_of(1);
        REQUIRE(first > 0 && second > 0);
        CHECK(run_wait_for_call("held"));
        kill(second, SIGSTOP);
        if (signals[i]) kill(first, signals[i]);
        put_file("fake.go", "", 0);
        CHECK_STR(check_ended(pid, 1)->err, signals[i]
                                                ? "vlqa: rank 0 was killed by signal 9\n"
                                                : "vlqa: rank 1 did not end with the others\n");
    }
}

TEST(ranks_end_with_the_process_that_was_started)
{
    for (int i = 0; i < 3; i++) {
        static const int signals[] = {SIGKILL, SIGTERM, SIGHUP};
        pid_t pid =
            run_start((struct setup){.script = "answer=a|b\nhold=12\n"}, ARGS(ASK, "--ranks=3"));
        CHECK(pid_of(0) > 0 && pid_of(1) > 0 && pid_of(2) > 0);
        CHECK(run_wait_for_call("held"));
        kill(pid, signals[i]);
        CHECK_STR(check_ended(pid, 128 + signals[i])->err, "");
    }
}

/* ---- interruption ---- */

/* As a terminal does it: to all processes of the command. */
TEST(an_interrupt_of_the_group_counts_once)
{
    for (int to_all = 0; to_all < 2; to_all++) {
        pid_t pid = run_start((struct setup){.script = "answer=a|b|c|d\nhold=12\n", SETSID},
                              ARGS(IN_ITS_GROUP, ASK, "--ranks=2", "--stream"));
        struct run *r;
        CHECK(pid_of(0) > 0 && pid_of(1) > 0);
        CHECK(run_wait_for_call("held"));
        CHECK_EQ(kill(to_all ? -pid : pid, SIGINT), 0);
        CHECK(wait_until_taken(pid));
        put_file("fake.go", "", 0);
        r = check_ended(pid, 130);
        CHECK_STR(r->out, "ab\n");
        CHECK_STR(r->err, "vlqa: interrupted\n");
    }
}

TEST(a_second_interrupt_kills_all)
{
    pid_t pid = run_start((struct setup){.script = "hold=2\nstubborn=1\n", SETSID},
                          ARGS(IN_ITS_GROUP, ASK, "--ranks=2"));
    int status = 0;
    CHECK(pid_of(0) > 0 && pid_of(1) > 0);
    CHECK(run_wait_for_call("held"));
    kill(-pid, SIGINT);
    CHECK(wait_until_taken(pid));
    CHECK_EQ(waitpid(pid, &status, WNOHANG), 0); /* the first one did not */
    while (waitpid(pid, &status, WNOHANG) == 0) {
        kill(-pid, SIGINT);
        nap();
    }
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    check_none_left();
}

TEST(an_interrupt_that_is_ignored_stays_so_for_ranks)
{
    pid_t pid =
        run_start((struct setup){.script = "answer=a|b\nhold=7\n", SETSID},
                  ARGS("-c", "trap '' INT; exec setsid \"$0\" \"$@\"", FAKE_CLI, ASK, "--ranks=2"));
    CHECK(pid_of(0) > 0 && pid_of(1) > 0);
    CHECK(run_wait_for_call("held"));
    kill(-pid, SIGINT);
    put_file("fake.go", "", 0);
    CHECK_STR(check_ended(pid, 0)->out, "ab\n");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return check_main(argc, argv);
}
