/* test_cmd_eval_run.c - the verb eval with a model: what is asked, what is kept, what goes on after
 * a kill. Most runs are with the fake. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

#define MODEL "-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", "1"
#define EVAL "eval", "-m", "x"
#define CHARTS VLQA_SOURCE_DIR "/../shared/data/charts/qa.jsonl"
#define FOUR "--variants", "full,none,epic:0.2", "--chunk", "grid:2,strips:3"
enum { VARIANTS = 5 };

static char first[1 << 20], second[1 << 20];

static void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

/* n questions about an image of a few bytes; the fake does not look into it. */
static void put_questions(const char *path, int n)
{
    static char rows[1 << 18];
    char *at = rows;
    put_text("i.png", "pixels");
    for (int i = 0; i < n; i++)
        at += sprintf(at,
                      "{\"id\": \"q%d\", \"image\": \"i.png\", \"question\": \"Why %d?\", "
                      "\"answers\": [\"%s\"], \"metric\": \"em\", \"split\": \"%s\"}\n",
                      i, i, i % 4 ? "blue" : "red", i % 2 ? "odd" : "even");
    put_file(path, rows, (size_t)(at - rows));
}

/* With this script every fourth answer is wrong, and one row of the image repaired. */
#define BLUE "answer=bl|ue\nreuse=1\n"
/* And variants other than full say log((e + 3) / 4) - 1 / 4 of its first token. */
#define DRIFTED BLUE "drift=1\n"

static struct run *fake(const char *const *args)
{
    return run_script(BLUE, args);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

TEST(every_question_is_asked_by_every_arm_and_graded)
{
    struct run *r;
    put_questions("q.jsonl", 4);
    unlink("run.jsonl");
    r = fake(ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache", "-n", "9"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    get_file("run.jsonl", first, sizeof first);
    CHECK_EQ(count(first, "\n"), 1 + 4 * VARIANTS);
    CHECK_EQ(count(first, "\"prediction\":\"blue\",\"score\":1,"), 3 * VARIANTS);
    CHECK_EQ(count(first, "\"prediction\":\"blue\",\"score\":0,"), VARIANTS);
    CHECK_HAS(first, "\n{\"id\":\"q1\",\"line\":2,\"metric\":\"em\",\"variant\":\"epic\",\"chunk\":"
                     "\"strips:3\",\"ratio\":0.2,\"prediction\":\"blue\",\"score\":1,\"answers\":["
                     "\"blue\"],\"split\":\"odd\",\"group\":\"4a03a8bb69e392a7\",\"question\":"
                     "\"Why 1?\",\"image\":[\"i.png\"],"
                     "\"prompt_tokens\":{\"total\":");
    CHECK_HAS(r->out, "em, 4 questions about 1 document\n");
    CHECK_HAS(r->out, "\nfull                     -            75.00");
    CHECK_HAS(r->out, "\nepic:0.2                 strips:3     75.00");
    CHECK_HAS(r->out, "+0.00 [+0.00, +0.00] noise\n");
    CHECK_HAS(r->out, "\nvariant                       full    grid:2  strips:3\n"
                      "none                         75.00     75.00     75.00\n");
    CHECK_HAS(r->calls, "clear\nimage i.png pixels\nask Why 0? max=9 temp=0 ");
    CHECK_EQ(count(r->calls, "reuse 0 "), 4); /* full prefill: once a question */
    CHECK_HAS(r->calls, "reuse 6 ratio=0.2 chunker=2 k=3 ");
    CHECK_EQ(get_file("run.jsonl.times", second, sizeof second) > 0, 1);
    CHECK_EQ(count(second, "\"ms\":{"), 4 * VARIANTS);
}

TEST(full_comes_first_and_the_others_tell_how_far_from_it_they_are)
{
    struct run *r;
    put_questions("q.jsonl", 2);
    unlink("run.jsonl");
    r = run_script(DRIFTED, ARGS(EVAL, "q.jsonl", "--variants", "none,full,epic:0.2", "--chunk",
                                 "grid:2", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "ask "), 6);
    get_file("run.jsonl", first, sizeof first);
    CHECK_HAS(first, "\n{\"id\":\"q0\",\"line\":1,\"metric\":\"em\",\"variant\":\"full\",");
    CHECK_EQ(count(first, "\"tokens\":2,\"kl\":0.107374"), 4);
    CHECK_EQ(count(first, "\"kl\""), 4);
    CHECK_HAS(r->out, "       ms       KL  points to full [95 %]\nfull ");
    CHECK_HAS(r->out, "      28.0    0.107  +0.00 [");
    r = run_script(DRIFTED, ARGS(EVAL, "q.jsonl", "--variants", "none", "--chunk", "grid:2"));
    CHECK(!strstr(r->out, "KL"));
}

TEST(repaired_rows_are_kept_and_stay_with_new_grades)
{
    struct run *r;
    put_questions("q.jsonl", 1);
    unlink("run.jsonl");
    run_script("answer=blue\n",
               ARGS(EVAL, "q.jsonl", "--variants", "epic:0.2", "--out", "run.jsonl", "--no-cache"));
    get_file("run.jsonl", first, sizeof first);
    CHECK(!strstr(first, "\"repaired\""));
    unlink("run.jsonl");
    fake(ARGS(EVAL, "q.jsonl", "--variants", "epic:0.2", "--out", "run.jsonl", "--no-cache"));
    get_file("run.jsonl", first, sizeof first);
    CHECK_HAS(first, "\"tokens\":2,\"repaired\":[\"1x2:4\"],\"digests\":");
    r = fake(ARGS(EVAL, "--regrade", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"repaired\":[\"1x2:4\"], \"digests\":");
}

TEST(a_finished_run_asks_nothing_and_says_the_same)
{
    struct run *r;
    char out[4096];
    put_questions("q.jsonl", 3);
    unlink("run.jsonl");
    r = fake(ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache"));
    snprintf(out, sizeof out, "%.4000s", r->out);
    get_file("run.jsonl", first, sizeof first);
    r = fake(ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, out);
    CHECK(!strstr(r->calls, "ask "));
    get_file("run.jsonl", second, sizeof second);
    CHECK_STR(second, first);
}

TEST(a_run_goes_on_wherever_its_file_was_torn)
{
    size_t bytes;
    put_questions("q.jsonl", 3);
    unlink("run.jsonl");
    run_script(DRIFTED, ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache"));
    bytes = get_file("run.jsonl", first, sizeof first);
    REQUIRE(bytes > 2000);
    CHECK_EQ(count(first, "\"kl\":0.107374"), 3 * (VARIANTS - 1));
    for (size_t cut = 0; cut <= bytes; cut += bytes / 23) {
        struct run *r;
        put_file("run.jsonl", first, cut);
        r = run_script(DRIFTED, ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache"));
        CHECK_EQ(r->code, 0);
        get_file("run.jsonl", second, sizeof second);
        CHECK_STR(second, first);
        get_file("run.jsonl.times", second, sizeof second);
        CHECK_EQ(count(second, "\"row\":"), 3 * VARIANTS);
    }
}

static void kill_after(long us, const char *const *args)
{
    struct timespec t = {0, us * 1000};
    pid_t pid = run_start((struct setup){.script = BLUE}, args);
    nanosleep(&t, NULL);
    kill(pid, SIGKILL);
    run_finish(pid);
}

/* Whatever is there at any moment is a beginning of what an undisturbed run writes. */
TEST(fifty_kills_leave_the_file_of_an_undisturbed_run)
{
    const char *const *args = ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache", "-q");
    struct timespec begin, end;
    size_t bytes, had = 0;
    long whole_us;
    int moved = 0;
    unsigned seed = 1;
    put_questions("q.jsonl", 40);
    unlink("run.jsonl");
    clock_gettime(CLOCK_MONOTONIC, &begin);
    fake(args);
    clock_gettime(CLOCK_MONOTONIC, &end);
    whole_us = (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000;
    if (whole_us > 900000) whole_us = 900000;
    bytes = get_file("run.jsonl", first, sizeof first);
    REQUIRE(count(first, "\n") == 1 + 40 * VARIANTS);
    unlink("run.jsonl");
    for (int i = 0; i < 50; i++) {
        size_t now;
        kill_after(rand_r(&seed) % (whole_us / 3), args);
        now = get_file("run.jsonl", second, sizeof second);
        CHECK(memcmp(first, second, now) == 0);
        CHECK(now >= had);
        moved += now > had && now < bytes;
        had = now;
        while (had && second[had - 1] != '\n') /* a line that was cut short goes */
            had--;
        if (now == bytes) had = (size_t)unlink("run.jsonl"); /* once more */
    }
    CHECK(moved >= 5);
    CHECK_EQ(fake(args)->code, 0);
    get_file("run.jsonl", second, sizeof second);
    CHECK_STR(second, first);
}

TEST(another_command_is_refused_with_what_differs)
{
    static const struct {
        const char *option, *value, *reason;
    } other[] = {
        {"--max-tokens", "7", "--max-tokens was 128 and is 7 now"},
        {"--limit", "2", "questions was 3 and is 2 now"},
        {"--prompt", "qwen", "prompt was \"plain\" and is \"qwen\" now"},
        {"--metric", "anls", "dataset_digest was \""},
        {"--halo", "0", "halo was \"auto\" and is \"0\" now"},
        {"--variants", "none,full", "variants was \"full,none\" and is \"none,full\" now"},
        {"--chunk", "grid:3", "chunk was \"grid:2\" and is \"grid:3\" now"},
    };
    struct run *r;
    put_questions("q.jsonl", 3);
    unlink("run.jsonl");
    fake(ARGS(EVAL, "q.jsonl", "--variants=full,none", "--chunk=grid:2", "--out", "run.jsonl"));
    get_file("run.jsonl", first, sizeof first);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        const char *variants = i == 5 ? "-q" : "--variants=full,none";
        const char *chunk = i == 6 ? "-q" : "--chunk=grid:2";
        r = fake(ARGS(EVAL, "q.jsonl", variants, chunk, "--out", "run.jsonl", other[i].option,
                      other[i].value));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "run.jsonl was begun with another command: ");
        CHECK_HAS(r->err, other[i].reason);
        get_file("run.jsonl", second, sizeof second);
        CHECK_STR(second, first);
    }
    put_questions("q.jsonl", 3);
    put_text("more.jsonl", "{\"question\": \"x\", \"answers\": [\"x\"]}\n");
    r = fake(ARGS(EVAL, "more.jsonl", "--out", "more.jsonl"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "more.jsonl is there and no file that vlqa eval --out began");
    CHECK_EQ(get_file("more.jsonl", second, sizeof second), 36);
}

TEST(a_changed_row_is_told)
{
    struct run *r;
    char *at;
    put_questions("q.jsonl", 2);
    unlink("run.jsonl");
    fake(ARGS(EVAL, "q.jsonl", "--variants", "full,none", "--out", "run.jsonl"));
    get_file("run.jsonl", first, sizeof first);
    at = strstr(first, "\"q1\"");
    REQUIRE(at);
    at[2] = '7';
    put_text("run.jsonl", first);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full,none", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "run.jsonl, line 4: expected the answer to q1 by full; the file was changed");
}

TEST(a_row_too_many_is_told)
{
    struct run *r;
    size_t bytes;
    put_questions("q.jsonl", 2);
    unlink("run.jsonl");
    fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl"));
    bytes = get_file("run.jsonl", first, sizeof first);
    put_file("run.jsonl", strcat(first, "{\"id\": \"q2\"}\n"), bytes + 13);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "run.jsonl has 3 answers, expected at most 2");
}

TEST(two_runs_do_not_write_one_file)
{
    struct run *r;
    int fd;
    put_questions("q.jsonl", 2);
    unlink("run.jsonl");
    fd = open("run.jsonl", O_RDWR | O_CREAT, 0666);
    REQUIRE(fd >= 0 && flock(fd, LOCK_EX) == 0);
    r = fake(ARGS(EVAL, "q.jsonl", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "run.jsonl is being written by another run");
    CHECK_EQ(get_file("run.jsonl", second, sizeof second), 0);
    close(fd);
}

TEST(an_interrupted_run_says_how_to_go_on)
{
    struct run *r;
    pid_t pid;
    put_questions("q.jsonl", 3);
    unlink("run.jsonl");
    pid = run_start((struct setup){.script = BLUE "hold=20\n"},
                    ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl"));
    CHECK(run_wait_for_call("held"));
    kill(pid, SIGINT);
    put_text("fake.go", "");
    r = run_finish(pid);
    CHECK_EQ(r->code, 130);
    CHECK_HAS(r->err, "interrupted\n");
    CHECK_HAS(r->err, "1 of 3 answers are in run.jsonl; the same command goes on\n");
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "ask "), 2);
}

TEST(limits_may_draw_rows_at_random)
{
    struct run *r;
    put_questions("q.jsonl", 40);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--limit", "5", "--shuffle-seed", "3"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count(r->calls, "ask "), 5);
    CHECK(!strstr(r->calls, "ask Why 0?") || !strstr(r->calls, "ask Why 4?"));
    memcpy(first, r->calls, sizeof r->calls);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--limit", "5", "--shuffle-seed", "3"));
    CHECK_STR(r->calls, first);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--limit", "5", "--shuffle-seed", "4"));
    CHECK(strcmp(r->calls, first) != 0);
    CHECK_EQ(count(r->calls, "ask "), 5);
}

TEST(documents_stand_behind_the_words_before_them)
{
    struct run *r;
    put_text("l.jsonl",
             "{\"input\": \"Who?\", \"context\": \"Passage 1\", \"answers\": [\"blue\"], "
             "\"dataset\": \"hotpotqa\", \"_id\": \"h\"}\n");
    r = fake(ARGS(EVAL, "l.jsonl", "--variants", "full", "--system", "Be brief.", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "clear\nsystem Be brief.\ntext Answer the question based on the given ");
    CHECK_HAS(r->calls, "The following are given passages.\n\ntext Passage 1\nask \n\nAnswer the ");
    CHECK_HAS(r->out,
              "{\"variant\":\"full\",\"metric\":\"f1\",\"rows\":1,\"longbench\":{\"hotpotqa\":"
              "100,\"Overall\":100},");
}

TEST(a_submission_has_every_question)
{
    struct run *r;
    put_text("i.png", "pixels");
    put_text(
        "s.jsonl",
        "{\"id\": \"65718\", \"image\": \"i.png\", \"question\": \"a\", \"answers\": "
        "[\"x\"]}\n{\"id\": \"x\\\"y\", \"image\": \"i.png\", \"question\": \"b\", \"answers\": "
        "[\"x\"]}\n");
    unlink("run.jsonl");
    for (int i = 0; i < 2; i++) { /* the second time from what is kept */
        unlink("sub.json");
        r = run_script("answer=a\"b\n", ARGS(EVAL, "s.jsonl", "--variants", "full", "--out",
                                             "run.jsonl", "--submission", "sub.json"));
        CHECK_EQ(r->code, 0);
        get_file("sub.json", second, sizeof second);
        CHECK_STR(second, "[{\"questionId\": 65718, \"answer\": \"a\\\"b\"},\n"
                          "{\"questionId\": \"x\\\"y\", \"answer\": \"a\\\"b\"}]\n");
    }
    r = fake(ARGS(EVAL, "s.jsonl", "--variants", "full,none", "--submission", "sub.json"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--submission takes one variant");
}

TEST(thoughts_of_an_answer_are_kept_apart_unless_they_are_graded)
{
    put_questions("q.jsonl", 1);
    unlink("run.jsonl");
    run_script("thinking=hm\nanswer=red\n",
               ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl"));
    get_file("run.jsonl", first, sizeof first);
    CHECK_HAS(first, "\"prediction\":\"red\",\"thinking\":\"hm\",\"score\":1,");
    unlink("run.jsonl");
    run_script("thinking=hm\nanswer=red\n", ARGS(EVAL, "q.jsonl", "--variants", "full", "--out",
                                                 "run.jsonl", "--thoughts", "keep"));
    get_file("run.jsonl", first, sizeof first);
    CHECK_HAS(first, "\"prediction\":\"<think>\\nhm\\n</think>\\n\\nred\",\"score\":0,");
    CHECK_HAS(first, "\"thoughts\":\"keep\"");
}

/* Both are graded by programs that do not cut thoughts. */
TEST(thoughts_are_left_out_of_submissions_and_exports)
{
    struct run *r;
    put_questions("q.jsonl", 1);
    unlink("run.jsonl");
    r = run_script("answer=<think>red?</think> blue\n",
                   ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl", "--submission",
                        "sub.json"));
    CHECK_EQ(r->code, 0);
    get_file("sub.json", second, sizeof second);
    CHECK_STR(second, "[{\"questionId\": \"q0\", \"answer\": \"blue\"}]\n");
    get_file("run.jsonl", first, sizeof first);
    CHECK_HAS(first, "\"prediction\":\"<think>red?</think> blue\"");
    fake(ARGS("eval", "run.jsonl", "--export-vlmevalkit", "e.tsv"));
    get_file("e.tsv", second, sizeof second);
    CHECK_HAS(second, "\t\"blue\"\n");
    fake(ARGS("eval", "run.jsonl", "--export-vlmevalkit", "e.tsv", "--thoughts", "keep"));
    get_file("e.tsv", second, sizeof second);
    CHECK_HAS(second, "\t\"<think>red?</think> blue\"\n");
}

TEST(what_is_kept_can_be_regraded_and_compared)
{
    struct run *r;
    put_questions("q.jsonl", 8);
    unlink("a.jsonl");
    unlink("b.jsonl");
    fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "a.jsonl"));
    run_script("answer=red\n", ARGS(EVAL, "q.jsonl", "--variants", "none", "--out", "b.jsonl"));
    r = fake(ARGS(EVAL, "--compare", "a.jsonl", "b.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "em        8 questions about 1 document: A 75.00, B 25.00");
    r = fake(ARGS(EVAL, "--regrade", "a.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "\"rows\":8,");
    CHECK_HAS(r->err, "0 of 8 rows that had a score have another now");
}

/* Makes every n-th right answer of an variant wrong, in the file that is in `first`. */
static void spoil(const char *variant, int n)
{
    static const char right[] = "\"prediction\":\"blue\",\"score\":1";
    char *at = first;
    for (int i = 1; (at = strstr(at, variant)); i++) {
        char *end = strchr(at, '\n'), *found = strstr(at, right);
        if (found && found < end && i % n == 0)
            memcpy(found, "\"prediction\":\"bluX\",\"score\":0", strlen(right));
        at = end;
    }
}

/* "  -10.00 [-20.00, -2.50]" of the table that a run ends with as a report has it. */
static void check_same(const char *table, const char *variant)
{
    const char *at = strstr(table, variant), *end = at ? strchr(at, ']') : NULL;
    char expected[200], *to = expected;
    REQUIRE(end);
    for (at = strchr(at, '[') - 1; at[-1] != ' ';)
        at--;
    to += sprintf(to, " (");
    for (; at <= end; at++)
        if (strncmp(at, "+0.00", 5) == 0)
            continue;
        else if (*at == '-')
            to += sprintf(to, "\xe2\x88\x92");
        else
            to += sprintf(to, *at == '[' || *at == ']' ? "\\%c" : "%c", *at);
    sprintf(to, ")%s |", strncmp(end, "] noise", 7) == 0 ? "_" : "");
    CHECK_HAS(second, expected);
}

TEST(a_report_has_the_intervals_of_the_table)
{
    struct run *r;
    put_questions("q.jsonl", 200);
    unlink("run.jsonl");
    fake(ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache"));
    get_file("run.jsonl", first, sizeof first);
    spoil("\"variant\":\"none\",\"chunk\":\"grid:2\"", 5);
    spoil("\"variant\":\"none\",\"chunk\":\"strips:3\"", 3);
    spoil("\"variant\":\"epic\",\"chunk\":\"grid:2\"", 31);
    put_text("run.jsonl", first);
    r = fake(ARGS("eval", "--report", "run.md", "run.jsonl"));
    CHECK_STR(r->err, "");
    CHECK_EQ(r->code, 0);
    REQUIRE(get_file("run.md", second, sizeof second));
    r = fake(ARGS(EVAL, "q.jsonl", FOUR, "--out", "run.jsonl", "--no-cache"));
    CHECK_EQ(r->code, 0);
    check_same(r->out, "\nnone                     grid:2 ");
    check_same(r->out, "\nnone                     strips:3 ");
    check_same(r->out, "\nepic:0.2                 grid:2 ");
}

static void check_wrong(int code, const char *part, const char *const *args)
{
    struct run *r = fake(args);
    CHECK_EQ(r->code, code);
    CHECK_STR(r->out, "");
    CHECK_HAS(r->err, part);
}

TEST(wrong_lists_and_rows_are_told_before_the_model_is_loaded)
{
    put_questions("q.jsonl", 2);
    check_wrong(2, "epic:1.5: the ratio is no number from 0 to 1",
                ARGS(EVAL, "q.jsonl", "--variants", "epic:1.5"));
    check_wrong(2, "none has no ratio", ARGS(EVAL, "q.jsonl", "--variants", "none:0.1"));
    check_wrong(2, "magic is none of", ARGS(EVAL, "q.jsonl", "--variants", "magic"));
    check_wrong(2, "--variants: none given", ARGS(EVAL, "q.jsonl", "--variants", ""));
    check_wrong(2, "off is given twice", ARGS(EVAL, "q.jsonl", "--variants", "full,off"));
    check_wrong(2, "epic is given twice",
                ARGS(EVAL, "q.jsonl", "--variants", "epic:0.2,epic:0.3,epic:0.2"));
    check_wrong(2, "--chunk: grid:0 is none of", ARGS(EVAL, "q.jsonl", "--chunk", "grid:0"));
    check_wrong(2, "--metric is bleu", ARGS(EVAL, "q.jsonl", "--metric", "bleu"));
    check_wrong(2, "options is missing", ARGS(EVAL, "q.jsonl", "--metric", "mcq"));
    check_wrong(1, "nowhere.jsonl", ARGS(EVAL, "nowhere.jsonl"));
    check_wrong(1, "no/file", ARGS(EVAL, "q.jsonl", "--out", "no/file"));
    put_text("bad.jsonl", "{\"question\": \"x\", \"answers\": [\"x\"]}\n{\"question\": 7}\n");
    check_wrong(2, "bad.jsonl, line 2: ", ARGS(EVAL, "bad.jsonl"));
    put_text("bad.jsonl", "\n");
    check_wrong(2, "bad.jsonl: no question in it", ARGS(EVAL, "bad.jsonl"));
    put_text("bad.jsonl", "{\"question\": \"x\", \"image\": \"none.png\", \"answers\": [\"x\"]}\n");
    check_wrong(3, "bad.jsonl, line 1 (1): ", ARGS(EVAL, "bad.jsonl", "--strict"));
}

TEST(settings_with_colons_are_no_ratios)
{
    struct run *r;
    put_questions("q.jsonl", 1);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "infoflow/taper:0.5,infoflow/taper:0.5:0.3",
                  "--recompute-ratio", "0.25", "--halo", "3"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "ratio=0.25 ");
    CHECK_HAS(r->calls, "ratio=0.3 ");
    CHECK_EQ(count(r->calls, "method taper=0.5 "), 2);
    CHECK_EQ(count(r->calls, "layout order=0 halo=3 "), 2);
}

TEST(progress_tells_the_score_on_a_terminal)
{
    struct run *r;
    put_questions("q.jsonl", 3);
    r = run_cli((struct setup){.script = BLUE, .terminal = 1},
                ARGS(EVAL, "q.jsonl", "--variants", "full"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "eval     [");
    CHECK_HAS(r->err, ", mean score ");
    CHECK_HAS(r->err, " s left");
}

/* ---- with the default model ---- */

/* What is lost with the type of a page that is made small would look like a weak model. */
TEST(images_that_are_made_much_smaller_are_counted_once_a_question)
{
    static const char sample[] = VLQA_SOURCE_DIR "/assets/samples/031.png";
    char rows[2][sizeof sample + 64], text[2 * sizeof rows[0]];
    struct setup setup = {.program = VLQA};
    struct run *r;
    for (int i = 0; i < 2; i++)
        snprintf(rows[i], sizeof rows[i],
                 "{\"image\": \"%s\", \"question\": \"Why %d?\", \"answer\": \"x\"}\n", sample, i);
    snprintf(text, sizeof text, "%s%s", rows[0], rows[1]);
    put_text("q.jsonl", text);
    r = run_cli(setup, ARGS("eval", MODEL, "q.jsonl", "--variants", "full,none", "--no-cache", "-n",
                            "1", "--image-max-tokens", "30"));
    CHECK_HAS(r->out, "2 of 2 images were made less than half as large; --image-max-tokens 1");
    r = run_cli(setup, ARGS("eval", MODEL, "q.jsonl", "--variants", "full", "--no-cache", "-n", "1",
                            "--image-max-tokens", "30", "--json"));
    CHECK_HAS(r->out, "\"images_made_smaller\":2,");
    r = run_cli(setup,
                ARGS("eval", MODEL, "q.jsonl", "--variants", "full", "--no-cache", "-n", "1"));
    CHECK(!strstr(r->out, "half as large"));
}

TEST(real_charts_go_through_the_default_model)
{
    struct run *r;
    if (access(CHARTS, F_OK) != 0) SKIP("no ../shared/data");
    r = run_cli((struct setup){.program = VLQA},
                ARGS("eval", CHARTS, MODEL, "--limit", "2", "--variants", "full,epic:0.2",
                     "--chunk", "grid:2", "-n", "4", "--image-max-tokens", "64", "--no-cache",
                     "--out", "charts"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_HAS(r->out, "mcq, 2 questions\n");
    get_file("charts", second, sizeof second);
    CHECK_EQ(count(second, "\n{\"id\":\"calvi-00"), 4);
    CHECK_EQ(count(second, "\"extracted\":\""), 4);
}

TEST(one_question_is_not_questions)
{
    struct run *r;
    put_questions("q.jsonl", 1);
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "em, 1 question\n");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
