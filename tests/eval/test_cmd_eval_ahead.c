/* test_cmd_eval_ahead.c - runs of the verb eval whose images are made ready ahead: what they write
 * is what a run without a second thread writes. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define MODEL "-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", "1"
#define CHARTS VLQA_SOURCE_DIR "/tests/charts/"
#define EVAL "eval", "-m", "x"
#define TWO "--variants", "full,none", "--chunk", "grid:2"
#define JOBS(n) "--jobs", n, "--out", "run.jsonl", "--no-cache"

static char first[1 << 20], second[1 << 20];

static void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

/* n questions, each about two images of its own. */
static void put_questions(const char *path, int n)
{
    static char rows[1 << 16];
    char *at = rows;
    for (int i = 0; i < n; i++) {
        char name[2][16], pixels[32];
        for (int k = 0; k < 2; k++) {
            snprintf(name[k], sizeof name[k], "%c%d.png", 'a' + k, i);
            snprintf(pixels, sizeof pixels, "pixels %c%d", 'a' + k, i);
            put_text(name[k], pixels);
        }
        at += sprintf(at,
                      "{\"id\": \"q%d\", \"image\": [\"%s\", \"%s\"], \"question\": \"Why %d?\", "
                      "\"answers\": [\"%s\"]}\n",
                      i, name[0], name[1], i, i % 3 ? "blue" : "red");
    }
    put_file(path, rows, (size_t)(at - rows));
}

/* Reads all behind the first line, which has the command. */
static size_t get_rows(const char *path, char *out, size_t cap)
{
    size_t bytes = get_file(path, out, cap);
    char *line = strchr(out, '\n');
    if (!bytes || !line) return 0;
    memmove(out, line + 1, strlen(line + 1) + 1);
    return strlen(out);
}

static struct run *fresh(const char *script, const char *const *args)
{
    unlink("run.jsonl");
    unlink("sub.json");
    unlink("fake.images");
    return run_script(script, args);
}

static const char *const jobs[] = {"1", "2", "3", "5", "65"};
enum { N_JOBS = sizeof jobs / sizeof *jobs };

TEST(rows_are_the_same_however_far_images_are_read_ahead)
{
    static struct run one;
    put_questions("q.jsonl", 7);
    for (int i = 0; i < N_JOBS; i++) {
        char *text = i ? second : first;
        struct run *r = fresh("answer=bl|ue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS(jobs[i])));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->err, "");
        if (!i) one = *r;
        CHECK(get_rows("run.jsonl", text, sizeof first) > 1000);
        CHECK_STR(text, first);
        CHECK_STR(r->calls, one.calls);
        get_file("fake.images", second, sizeof second);
        CHECK(strncmp(second, "a0.png\nb0.png\na1.png\nb1.png\n", 28) == 0);
        CHECK_EQ(strlen(second), 14 * 7); /* each once, whatever the variants */
    }
    CHECK_HAS(one.calls, "clear\nimage a2.png pixels a2\nimage b2.png pixels b2\nask Why 2? ");
}

/* Base64 of "pixels ", a figure and 43 dots: a shorter cell would name another row. */
#define PIXELS(figure) "cGl4ZWxz" figure "Li4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4u"
#define ROW(id, question, image) id "\t" question "\tblue\t" image "\n"
#define DOTS "..........................................."

TEST(images_inside_a_table_are_read_ahead_too)
{
    static struct run one;
    put_text("t.tsv", "index\tquestion\tanswer\timage\n" ROW("1", "one?", PIXELS("IDEu"))
                          ROW("2", "two?", "['" PIXELS("IDIu") "', '" PIXELS("IDMu") "']")
                              ROW("3", "three?", PIXELS("IDQu")));
    for (int i = 0; i < N_JOBS; i++) {
        struct run *r = fresh("answer=blue\n", ARGS(EVAL, "t.tsv", TWO, JOBS(jobs[i])));
        CHECK_EQ(r->code, 0);
        if (!i) one = *r;
        CHECK_STR(r->calls, one.calls);
        get_rows("run.jsonl", i ? second : first, sizeof first);
        CHECK(!i || strcmp(first, second) == 0);
    }
    CHECK_HAS(one.calls,
              "image image 1 pixels 2" DOTS "\nimage image 2 pixels 3" DOTS "\nask two?");
    CHECK_HAS(one.calls, "image image 1 pixels 4" DOTS "\nask three?");
    CHECK_HAS(first, "\"image_bytes\":[51,51]");
}

/* Of the images that the fake lists there. */
static int images_in(const char *path)
{
    int n = 0;
    get_file(path, second, sizeof second);
    for (const char *at = second; (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

/* While the first question is held at its first step. */
static int opened_at_most(const char *n_jobs)
{
    struct timespec t = {0, 20000000};
    int opened = -1, quiet = 0;
    pid_t pid;
    unlink("run.jsonl");
    unlink("fake.images");
    unlink("fake.go");
    pid = run_start((struct setup){.script = "answer=blue\nhold=6\n"},
                    ARGS(EVAL, "q.jsonl", TWO, JOBS(n_jobs)));
    CHECK(run_wait_for_call("held"));
    for (; quiet < 5; nanosleep(&t, NULL)) {
        int now = images_in("fake.images");
        quiet = now == opened ? quiet + 1 : 0;
        opened = now;
    }
    put_text("fake.go", "");
    CHECK_EQ(run_finish(pid)->code, 0);
    return opened;
}

TEST(images_are_read_while_the_model_works_and_no_further)
{
    put_questions("q.jsonl", 7);
    CHECK_EQ(opened_at_most("1"), 2);
    CHECK_EQ(opened_at_most("2"), 4);
    CHECK_EQ(opened_at_most("4"), 8);
}

TEST(every_image_is_closed)
{
    put_questions("q.jsonl", 7);
    for (int i = 0; i < 3; i++) {
        unlink("fake.closed");
        fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS(jobs[i])));
        CHECK_EQ(images_in("fake.images"), 14);
        CHECK_EQ(images_in("fake.closed"), 14);
    }
}

TEST(images_of_answers_that_are_kept_are_not_read)
{
    struct run *r;
    char *cut;
    put_questions("q.jsonl", 7);
    fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    get_file("run.jsonl", first, sizeof first);
    cut = strstr(first, "\n{\"id\":\"q4\"");
    cut = cut ? strchr(cut + 1, '\n') : NULL; /* one variant has answered q4 */
    REQUIRE(cut);
    put_file("run.jsonl", first, (size_t)(cut - first) + 1);
    unlink("fake.images");
    r = run_script("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    CHECK_EQ(r->code, 0);
    get_file("run.jsonl", second, sizeof second);
    CHECK_STR(second, first);
    get_file("fake.images", second, sizeof second);
    CHECK_STR(second, "a4.png\nb4.png\na5.png\nb5.png\na6.png\nb6.png\n");
}

TEST(an_interrupt_ends_the_thread_too)
{
    pid_t pid;
    put_questions("q.jsonl", 7);
    unlink("run.jsonl");
    unlink("fake.go");
    pid = run_start((struct setup){.script = "answer=blue\nhold=30\n"},
                    ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    CHECK(run_wait_for_call("held"));
    kill(pid, SIGINT);
    put_text("fake.go", "");
    CHECK_EQ(run_finish(pid)->code, 130);
}

TEST(the_number_of_jobs_has_bounds)
{
    struct run *r = run_script("", ARGS(EVAL, "q.jsonl", "--jobs", "0"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--jobs is 0, expected a whole number from 1 to 65");
}

/* ---- images that cannot be used ---- */

/* Of q2 one is missing, of q4 one is damaged. To say nothing would be right for q2. */
static void put_bad_questions(void)
{
    char *right;
    put_questions("q.jsonl", 7);
    unlink("a2.png");
    put_text("b4.png", "broken");
    get_file("q.jsonl", first, sizeof first);
    right = strstr(strstr(first, "Why 2?"), "blue");
    memmove(right, right + 4, strlen(right + 4) + 1);
    put_text("q.jsonl", first);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

TEST(a_bad_image_is_a_wrong_answer_in_its_place)
{
    struct run *r;
    put_bad_questions();
    for (int i = 0; i < N_JOBS; i++) {
        r = fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS(jobs[i])));
        CHECK_EQ(r->code, 3);
        CHECK(strncmp(r->err, "vlqa: q.jsonl, line 3 (q2): a2.png: ", 36) == 0);
        CHECK_HAS(r->err, "No such file or directory; counted as wrong\n"
                          "vlqa: q.jsonl, line 5 (q4): b4.png: fake image is broken; counted as "
                          "wrong\n"
                          "vlqa: 4 of 14 answers failed and count as wrong; their lines have an "
                          "error\n");
        CHECK_EQ(count(r->err, "\n"), 3);
        CHECK_HAS(r->out, "em, 7 questions\n");
        CHECK_EQ(count(r->out, "  2 failed\n"), 2);
        CHECK_EQ(count(r->calls, "ask "), 10);
        CHECK(get_rows("run.jsonl", i ? second : first, sizeof first) > 1000);
        CHECK(!i || strcmp(second, first) == 0);
    }
    CHECK_HAS(first, "\"id\":\"q4\",\"line\":5,\"metric\":\"em\",\"variant\":\"none\",\"chunk\":"
                     "\"grid:2\",\"prediction\":\"\",\"error\":\"b4.png: fake image is broken\","
                     "\"score\":0,\"answers\":[\"blue\"],\"group\":\"7803862d25450b6c\","
                     "\"question\":\"Why 4?\",\"image\":["
                     "\"a4.png\",\"b4.png\"],\"digests\":");
    CHECK_EQ(count(first, "\"error\":\"a2.png: "), 2);
    CHECK_EQ(count(first, "\"score\":0,"), 10); /* and of q0, q3 and q6 */
    get_file("run.jsonl.times", second, sizeof second);
    CHECK_EQ(count(second, "\"row\":"), 10);
    CHECK(!strstr(second, "\"row\":4,") && strstr(second, "\"row\":6,"));
}

TEST(failed_answers_stay_as_they_are)
{
    struct run *r;
    size_t bytes;
    put_bad_questions();
    fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    bytes = get_file("run.jsonl", first, sizeof first);
    REQUIRE(bytes > 2000);
    for (size_t cut = 0; cut <= bytes; cut += bytes / 13) {
        put_file("run.jsonl", first, cut);
        r = run_script("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
        CHECK_EQ(r->code, 3);
        CHECK_EQ(count(r->out, "  2 failed\n"), 2);
        get_file("run.jsonl", second, sizeof second);
        CHECK_STR(second, first);
    }
    r = run_script("", ARGS(EVAL, "--regrade", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "0 of 14 rows that had a score have another now");
    CHECK_EQ(count(r->out, "\"score\": 0}"), 10);
    r = run_script("answer=blue\n", ARGS(EVAL, "q.jsonl", "--variants", "full", "--json",
                                         "--submission", "sub.json"));
    CHECK_EQ(r->code, 3);
    CHECK_HAS(r->out, "\"failed\":2,");
    get_file("sub.json", second, sizeof second);
    CHECK_HAS(second, "{\"questionId\": \"q2\", \"answer\": \"\"}");
}

TEST(a_strict_run_stops_at_a_bad_image_and_goes_on_when_it_is_there)
{
    for (int i = 0; i < N_JOBS; i++) {
        struct run *r;
        put_questions("q.jsonl", 7);
        fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, "--strict", JOBS(jobs[i])));
        get_file("run.jsonl", first, sizeof first);
        put_text("b4.png", "broken");
        r = fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, "--strict", JOBS(jobs[i])));
        CHECK_EQ(r->code, 3);
        CHECK_STR(r->out, "");
        CHECK_STR(r->err, "vlqa: q.jsonl, line 5 (q4): b4.png: fake image is broken\n"
                          "vlqa: 8 of 14 answers are in run.jsonl; the same command goes on\n");
        put_text("b4.png", "pixels b4");
        r = run_script("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, "--strict", JOBS(jobs[i])));
        CHECK_EQ(r->code, 0);
        get_file("run.jsonl", second, sizeof second);
        CHECK_STR(second, first);
    }
}

TEST(a_question_that_is_too_long_is_a_wrong_answer_and_a_lost_device_is_the_end)
{
    struct run *r;
    put_questions("q.jsonl", 14);
    r = fresh("ask=ELIMIT\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    CHECK_EQ(r->code, 3);
    CHECK_EQ(count(r->err, "fake ask fails with ELIMIT; counted as wrong"), 10);
    CHECK_EQ(count(r->calls, "ask "), 28); /* full once a question, though it fails */
    CHECK_HAS(r->out,
              "\nfull                     -             0.00        -         -  14 failed\n");
    CHECK_HAS(r->err, "counted as wrong, and further ones are not told here\nvlqa: 28 of 28 ");
    r = fresh("ask=EDEVICE\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: q.jsonl, line 1 (q0): fake ask fails with EDEVICE\n");
}

/* ---- where it came from ---- */

TEST(the_first_line_tells_command_build_and_machine)
{
    char line[4096];
    put_questions("q.jsonl", 2);
    fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3"), "--system", "it's \n mine"));
    get_file("run.jsonl", line, sizeof line);
    line[strcspn(line, "\n")] = 0;
    CHECK_HAS(line,
              "\"command\":\"vlqa eval -m x q.jsonl --variants full,none --chunk grid:2 --jobs "
              "3 --out run.jsonl --no-cache --system $'it\\\\'s \\\\x0a mine'\",");
    CHECK_HAS(line, ",\"build\":\"");
    CHECK_HAS(line, "\",\"machine\":\"");
    CHECK_HAS(line, " core");
    get_file("run.jsonl.times", second, sizeof second);
    CHECK(strncmp(second, line, strlen(line)) == 0);
}

/* Puts `to` where `from` stands in the first line of the file. */
static void edit(const char *path, const char *from, const char *to)
{
    char *at;
    size_t bytes = get_file(path, first, sizeof first);
    at = strstr(first, from);
    REQUIRE(at && at < strchr(first, '\n'));
    snprintf(second, sizeof second, "%.*s%s%s", (int)(at - first), first, to, at + strlen(from));
    put_file(path, second, bytes + strlen(to) - strlen(from));
}

TEST(a_run_goes_on_on_another_machine_by_another_command)
{
    struct run *r;
    char *cut;
    put_questions("q.jsonl", 5);
    fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    for (int i = 0; i < 2; i++) {
        const char *path = i ? "run.jsonl.times" : "run.jsonl";
        edit(path, "\"build\":\"", "\"build\":\"of another compiler, ");
        edit(path, "\"machine\":\"", "\"machine\":\"another ");
    }
    get_file("run.jsonl", first, sizeof first);
    cut = strstr(first, "\n{\"id\":\"q3\"");
    REQUIRE(cut);
    put_file("run.jsonl", first, (size_t)(cut - first) + 1);
    r = run_script("answer=blue\n", ARGS(EVAL, "-q", "-t", "2", "--jobs=1", "q.jsonl", "--no-cache",
                                         TWO, "--out=run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_EQ(count(r->calls, "ask "), 4);
    get_file("run.jsonl", second, sizeof second);
    CHECK_STR(second, first); /* the first line is that of the beginning */
}

TEST(a_run_of_another_version_is_refused)
{
    struct run *r;
    put_questions("q.jsonl", 2);
    fresh("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    edit("run.jsonl", "\"seed\":", "\"weather\":\"fair\",\"seed\":");
    r = run_script("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err,
              "run.jsonl was begun with another command or version of this program: weather "
              "was \"fair\" and is nothing now; go on");
    put_text("run.jsonl", "no header and no line end");
    r = run_script("answer=blue\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "run.jsonl is there and no file that vlqa eval --out began");
    CHECK_EQ(get_file("run.jsonl", second, sizeof second), 25);
}

TEST(times_have_the_parts_of_prefill)
{
    put_questions("q.jsonl", 1);
    fresh("answer=blue\nreuse=1\n", ARGS(EVAL, "q.jsonl", TWO, JOBS("3")));
    get_file("run.jsonl.times", second, sizeof second);
    CHECK_HAS(second, "{\"row\":0,\"ms\":{\"decode_image\":1.25,\"vision\":2.5,\"prefill\":10,"
                      "\"chunks\":3,\"assemble\":0.5,\"score\":1.5,\"repair\":4,"
                      "\"first_token\":11,\"decode\":20,\"total\":31},");
}

/* ---- with the default model ---- */

TEST(the_model_answers_the_same_while_images_are_read)
{
    for (int i = 0; i < 2; i++) {
        struct run *r;
        unlink("run.jsonl");
        r = run_cli((struct setup){.program = VLQA},
                    ARGS("eval", CHARTS "questions.jsonl", MODEL, "--limit",
                         VLQA_SANITIZED ? "2" : "8", TWO, "-n", "2", JOBS(i ? "3" : "1")));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->err, "");
        CHECK(get_rows("run.jsonl", i ? second : first, sizeof first) > 1000);
    }
    CHECK_STR(second, first);
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
