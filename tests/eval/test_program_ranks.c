/* test_program_ranks.c - the whole program on several ranks: the answer of one, and an end that is
 * told whichever process is killed. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MODEL "-m", VLQA_SOURCE_DIR "/assets/default-model"
#define CHARTS VLQA_SOURCE_DIR "/tests/charts/"
#define QUESTION "-p", "What is the value of Sales?"
/* Without an end of its own. */
#define ENDLESS                                                                                \
    MODEL, "--no-cache", QUESTION, "--stream", "--logit-bias=3064=-inf", "--max-tokens=30000", \
        "--logit-bias=3066=-inf", "--ranks=3"

/* ---- the answer of one ---- */

/* What answers have in common: all but times, sizes of memory, and where records came from. */
static void check_same(const struct json_doc *one, const struct json_doc *many)
{
    static const char *const numbers[][2] = {{NULL, "tokens"},
                                             {NULL, "exact"},
                                             {"prompt_tokens", "total"},
                                             {"prompt_tokens", "context"},
                                             {"prompt_tokens", "selected"},
                                             {"prompt_tokens", "recomputed"},
                                             {"prompt_tokens", "exact"}};
    const struct json *a = json_get(json_root(one), "evidence");
    const struct json *b = json_get(json_root(many), "evidence");
    CHECK_STR(run_text(many, "answer"), run_text(one, "answer"));
    CHECK_STR(run_text(many, "stop"), run_text(one, "stop"));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        CHECK_EQ(run_number(many, numbers[i][0], numbers[i][1]),
                 run_number(one, numbers[i][0], numbers[i][1]));
    CHECK_EQ(json_count(b), json_count(a));
    for (a = json_first(a), b = json_first(b); a && b; a = json_next(a), b = json_next(b))
        CHECK(json_number(json_get(a, "score")) == json_number(json_get(b, "score")));
}

static struct json_doc *ask(int ranks, const char *reuse, const char *cache)
{
    char n[32];
    struct run *r;
    struct json_doc *doc;
    snprintf(n, sizeof n, "--ranks=%d", ranks);
    r = run_cli((struct setup){0},
                ARGS(MODEL, "--image", CHARTS "february.png", CHARTS "cows.png", QUESTION, n, reuse,
                     cache, "--json", "--logits=logits", "--explain=picture.png"));
    doc = run_json(r);
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    if (!doc) CHECK_FAIL("no JSON: %s", r->out);
    return doc;
}

/* The first image alone has exact chunks; two of them are repaired. */
TEST(ranks_answer_as_one_process_does)
{
    static const char *const reuse[] = {"--reuse=off", "--reuse=auto", "--reuse=infoflow"};
    static char file[2][1 << 18];
    for (int k = 0; k < 3; k++) {
        struct json_doc *one = ask(1, reuse[k], "--no-cache");
        size_t logits = get_file("logits", file[0], sizeof file[0]);
        REQUIRE(one && logits > 1000);
        if (k == 2) CHECK_EQ(run_number(one, NULL, "exact"), 0);
        for (int n = 2; n <= 3; n++) {
            struct json_doc *many = ask(n, reuse[k], "--no-cache");
            if (many) check_same(one, many);
            CHECK_EQ(get_file("logits", file[1], sizeof file[1]), logits);
            CHECK(memcmp(file[0], file[1], logits) == 0);
            json_free(many);
        }
        json_free(one);
    }
}

TEST(ranks_share_a_directory_of_records)
{
    struct json_doc *one = ask(1, "--reuse=infoflow", "--no-cache");
    struct run *r;
    REQUIRE(one);
    for (int n = 3; n >= 1; n--) { /* those of three ranks, then */
        struct json_doc *many = ask(n, "--reuse=infoflow", "--cache-dir=records");
        REQUIRE(many);
        check_same(one, many);
        CHECK_EQ(run_number(many, "visual", "computed"), n == 3 ? 2 : 0);
        CHECK_EQ(run_number(many, "visual", "disk"), n == 3 ? 0 : 2);
        json_free(many);
        r = run_cli((struct setup){0}, ARGS("cache", "verify", "--cache-dir=records"));
        CHECK_EQ(r->code, 0);
    }
    json_free(one);
}

/* ---- what is killed ---- */

static void nap(void)
{
    nanosleep(&(struct timespec){0, 5000000}, NULL);
}

/* The processes that one has started, in that order; 0: the kernel does not tell. */
static int children_of(pid_t pid, int n, pid_t *child)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    if (access(path, F_OK) != 0) return 0;
    for (int i = 0; i < 2000; i++, nap()) {
        char *at = text;
        int found = 0;
        get_file(path, text, sizeof text);
        while (found < n && strspn(at, " 0123456789") > 1)
            child[found++] = (pid_t)strtol(at, &at, 10);
        if (found == n) return 1;
    }
    return 0;
}

static int wait_for_output(void)
{
    char text[64];
    for (int i = 0; i < 2000; i++, nap())
        if (get_file("stdout", text, sizeof text) > 8) return 1;
    return 0;
}

/* Ranks whose parent has ended are ours. */
static void check_none_left(void)
{
    for (int i = 0; i < 2000; i++, nap())
        if (waitpid(-1, NULL, WNOHANG) < 0) return;
    CHECK_FAIL("a process is left");
}

/* In the middle of an answer. */
static pid_t start_endless(const char *timeout, pid_t child[3])
{
    pid_t pid = run_start((struct setup){0}, ARGS(ENDLESS, timeout));
    if (children_of(pid, 3, child) && wait_for_output()) return pid;
    kill(pid, SIGKILL);
    run_finish(pid);
    return 0;
}

#define START_OR_SKIP(pid, timeout, child)            \
    do {                                              \
        pid = start_endless(timeout, child);          \
        if (!pid) SKIP("no list of a process's own"); \
    } while (0)

TEST(a_rank_that_is_killed_ends_all)
{
    for (int rank = 0; rank < 3; rank++) {
        char expected[64];
        pid_t child[3], pid;
        struct run *r;
        START_OR_SKIP(pid, "--rank-timeout=60", child);
        kill(child[rank], SIGKILL);
        r = run_finish(pid);
        CHECK_EQ(r->code, 1);
        snprintf(expected, sizeof expected, "vlqa: rank %d was killed by signal 9\n", rank);
        CHECK_STR(r->err, expected);
        check_none_left();
    }
}

TEST(the_process_that_was_started_takes_its_ranks_along)
{
    pid_t child[3], pid;
    START_OR_SKIP(pid, "--rank-timeout=60", child);
    kill(pid, SIGKILL);
    CHECK_EQ(run_finish(pid)->code, 128 + SIGKILL);
    check_none_left();
}

TEST(a_rank_that_stops_is_not_waited_for_longer_than_was_said)
{
    pid_t child[3], pid;
    struct run *r;
    START_OR_SKIP(pid, "--rank-timeout=1", child);
    kill(child[1], SIGSTOP);
    r = run_finish(pid);
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: rank 1 has not answered for 1.0 s\n");
    check_none_left();
}

TEST(an_interrupt_ends_the_answer_of_all_ranks)
{
    pid_t child[3], pid;
    struct run *r;
    START_OR_SKIP(pid, "--rank-timeout=60", child);
    kill(pid, SIGINT);
    r = run_finish(pid);
    CHECK_EQ(r->code, 130);
    CHECK_STR(r->err, "vlqa: interrupted\n");
    CHECK(r->out_bytes > 8);
    check_none_left();
}

/* Wherever it hits: while the model is read, or later. */
TEST(a_rank_that_is_killed_at_any_time_ends_all)
{
    for (int i = 0; i < 6; i++) {
        char expected[64];
        pid_t child[3], pid = run_start((struct setup){0}, ARGS(ENDLESS));
        struct run *r;
        if (!children_of(pid, 3, child)) {
            kill(pid, SIGKILL);
            run_finish(pid);
            SKIP("no list of a process's own");
        }
        for (int k = 0; k < 8 * i; k++)
            nap();
        kill(child[i % 3], SIGKILL);
        r = run_finish(pid);
        CHECK_EQ(r->code, 1);
        snprintf(expected, sizeof expected, "vlqa: rank %d was killed by signal 9\n", i % 3);
        CHECK_STR(r->err, expected);
        check_none_left();
    }
}

int main(int argc, char **argv)
{
    run_begin(VLQA);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return check_main(argc, argv);
}
