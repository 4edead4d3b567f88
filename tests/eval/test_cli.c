/* test_cli.c - exit codes, streams that fail, messages, progress, signals. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define MODEL "-m", "model"
#define ANSWER .script = "answer=Yes|, it is|.\n"

/* ---- failures ---- */

TEST(each_status_has_its_exit_code)
{
    static const struct {
        const char *status;
        int code;
    } table[] = {{"EUSAGE", 2}, {"ESTATE", 1}, {"EIO", 1},     {"EIMAGE", 3},  {"EMODEL", 4},
                 {"ETEXT", 2},  {"ELIMIT", 5}, {"EMEMORY", 5}, {"EDEVICE", 1}, {"ECANCELLED", 130}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        static const char *const calls[] = {"ask", "session", "system"};
        for (int c = 0; c < 3; c++) {
            char script[64], message[64];
            struct run *r;
            snprintf(script, sizeof script, "%s=%s\n", calls[c], table[i].status);
            snprintf(message, sizeof message, "vlqa: fake %s fails with %s\n", calls[c],
                     table[i].status);
            r = run_script(script, ARGS(MODEL, "-p", "?", "--system", "x"));
            CHECK_EQ(r->code, table[i].code);
            CHECK_STR(r->out, "");
            CHECK_HAS(r->err, table[i].code == 130 ? "vlqa: interrupted\n" : message);
        }
    }
}

TEST(models_are_rejected_with_4)
{
    struct run *r = run_script("open=EMODEL\n", ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->code, 4);
    CHECK_STR(r->err, "vlqa: fake open fails with EMODEL\n");
    r = run_script("open=EIO\n", ARGS(MODEL, "-p", "?")); /* not there */
    CHECK_EQ(r->code, 4);
    r = run_script("open=EMEMORY\nopen_null=1\n", ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->err, "vlqa: EMEMORY\n");
}

TEST(images_are_rejected_with_3)
{
    struct run *r;
    put_file("a.png", "", 0);
    r = run_script("image=EIMAGE\n", ARGS(MODEL, "-p", "?", "--image", "a.png"));
    CHECK_EQ(r->code, 3);
    CHECK_STR(r->err, "vlqa: fake image fails with EIMAGE\n");
    r = run_script("image=EIO\n", ARGS(MODEL, "-p", "?", "--image", "a.png"));
    CHECK_EQ(r->code, 3);
}

TEST(missing_files_are_told_before_the_model_is_loaded)
{
    struct run *r = run_script("", ARGS(MODEL, "-p", "?", "--image", "none.png"));
    CHECK_EQ(r->code, 3);
    CHECK_STR(r->err, "vlqa: none.png: No such file or directory\n");
    CHECK_STR(r->calls, "");
    r = run_script("", ARGS(MODEL, "-p", "?", "--text", "none.txt"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: none.txt: No such file or directory\n");
}

TEST(a_text_file_that_is_not_utf8_is_named)
{
    struct run *r;
    put_file("note", "\xff", 1);
    r = run_script("text=ETEXT\n", ARGS(MODEL, "-p", "?", "--text", "note"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->err, "vlqa: note: fake text fails with ETEXT\n");
    r = run_script("", ARGS(MODEL, "-p", "?", "--text", "."));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "vlqa: ");
}

/* ---- streams that fail ---- */

TEST(a_closed_standard_output_is_a_failure)
{
    static const char *const args[][5] = {
        {MODEL, "-p", "?"}, {MODEL, "-p?", "--json"}, {MODEL, "-p?", "--stream"}, {"--help"},
        {"--version"},      {"inspect", "model"},     {"bench", "--image=0x0"}};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        struct run *r = run_cli((struct setup){ANSWER, .output = "closed"}, args[i]);
        CHECK_EQ(r->code, 1);
        CHECK_STR(r->err, "vlqa: standard output was closed\n");
    }
}

TEST(a_full_disk_is_a_failure)
{
    static const char *const args[][5] = {{MODEL, "-p", "?"},
                                          {MODEL, "-p?", "--json"},
                                          {MODEL, "-p?", "--stream"},
                                          {"--help"},
                                          {"inspect", "model"}};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        struct run *r = run_cli((struct setup){ANSWER, .output = "/dev/full"}, args[i]);
        CHECK_EQ(r->code, 1);
        CHECK_STR(r->err, "vlqa: standard output: No space left on device\n");
    }
}

TEST(a_reader_that_left_is_a_failure)
{
    struct run *r;
    CHECK_EQ(mkfifo("pipe", 0600), 0);
    r = run_cli(
        (struct setup){ANSWER, .program = "/bin/sh"},
        ARGS("-c", "exec 3<>pipe 4>pipe 3<&-; exec \"$0\" -m model -p ? --stream >&4", FAKE_CLI));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: standard output was closed\n");
}

TEST(a_failed_stream_stops_the_answer)
{
    struct run *r = run_cli((struct setup){.script = "answer=a|b\n", .output = "/dev/full"},
                            ARGS(MODEL, "-p", "?", "--stream"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: standard output: No space left on device\n"); /* once */
}

TEST(a_closed_standard_error_spoils_nothing)
{
    struct run *r =
        run_cli((struct setup){.script = "answer=a|b\nlog=x\n", .program = "/bin/sh"},
                ARGS("-c", "exec \"$0\" -m model -p ? --logits logits 2>&- 0<&-", FAKE_CLI));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "ab\n");
}

/* ---- log and progress ---- */

TEST(warnings_are_shown_and_info_on_request)
{
    struct run *r = run_script("log=opened\n", ARGS(MODEL, "-p", "?"));
    CHECK_STR(r->err, "vlqa: careful\n");
    r = run_script("log=opened\n", ARGS(MODEL, "-p", "?", "--verbose"));
    CHECK_STR(r->err, "vlqa: opened\nvlqa: careful\n");
    r = run_script("log=opened\n", ARGS(MODEL, "-p", "?", "--quiet"));
    CHECK_STR(r->err, "");
    CHECK_STR(r->out, "\n");
}

TEST(progress_is_shown_on_a_terminal_and_erased)
{
    struct setup s = {.script = "answer=a\n", .terminal = 1};
    struct run *r;
    size_t n;
    put_file("a.png", "", 0);
    r = run_cli(s, ARGS(MODEL, "-p", "?", "--image", "a.png"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "load     [");
    CHECK_HAS(r->err, "vision   [");
    CHECK_HAS(r->err, "prefill  [");
    CHECK_HAS(r->err, "%");
    CHECK(!strstr(r->err, "\n"));
    n = strlen(r->err);
    REQUIRE(n > 2);
    CHECK(strcmp(r->err + n - 2, " \r") == 0); /* spaces over the line, back to its begin */
    CHECK_STR(r->out, "a\n");
    r = run_cli(s, ARGS(MODEL, "-p", "?", "--quiet"));
    CHECK_STR(r->err, "");
}

TEST(messages_do_not_run_into_a_progress_line)
{
    static const char *const phases[] = {"load", "vision", "prefill"};
    put_file("a.png", "", 0);
    for (int i = 0; i < 3; i++) {
        char script[64], message[64];
        struct run *r;
        snprintf(script, sizeof script, "%s=ELIMIT\n", phases[i]);
        snprintf(message, sizeof message, " \rvlqa: fake %s fails with ELIMIT\r\n", phases[i]);
        r = run_cli((struct setup){.script = script, .terminal = 1},
                    ARGS(MODEL, "-p", "?", "--image", "a.png"));
        CHECK_EQ(r->code, 5);
        CHECK_HAS(r->err, message);
    }
}

/* ---- interruption ---- */

/* SIGINT at the step where the script holds. */
static struct run *interrupt(struct setup setup, const char *const *args)
{
    pid_t pid = run_start(setup, args);
    CHECK(run_wait_for_call("held"));
    kill(pid, SIGINT);
    put_file("fake.go", "", 0);
    return run_finish(pid);
}

TEST(one_interrupt_keeps_what_was_answered)
{
    const char *script = "answer=a|b|c|d\nhold=12\n";
    struct run *r = interrupt((struct setup){.script = script}, ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->code, 130);
    CHECK_STR(r->out, "ab\n");
    CHECK_STR(r->err, "vlqa: interrupted\n");
    r = interrupt((struct setup){.script = script}, ARGS(MODEL, "-p", "?", "--stream"));
    CHECK_EQ(r->code, 130);
    CHECK_STR(r->out, "ab\n");
    r = interrupt((struct setup){.script = script}, ARGS(MODEL, "-p", "?", "--json"));
    CHECK_EQ(r->code, 130);
    CHECK_HAS(r->out, "{\"answer\":\"ab\",");
    CHECK_HAS(r->out, "\"stop\":\"interrupted\"");
}

TEST(one_interrupt_cancels_before_the_answer)
{
    static const char *const scripts[] = {"hold=2\n", "hold=7\n", "hold=12\n"};
    put_file("a.png", "", 0);
    for (int i = 0; i < 3; i++) { /* load, vision, prefill */
        struct run *r = interrupt((struct setup){.script = scripts[i]},
                                  ARGS(MODEL, "-p", "?", "--image", "a.png"));
        CHECK_EQ(r->code, 130);
        CHECK_STR(r->out, "");
        CHECK_STR(r->err, "vlqa: interrupted\n");
    }
}

TEST(a_second_interrupt_kills)
{
    struct timespec t = {0, 50000000};
    int status = 0;
    pid_t pid = run_start((struct setup){.script = "hold=2\nstubborn=1\n"}, ARGS(MODEL, "-p", "?"));
    CHECK(run_wait_for_call("held"));
    kill(pid, SIGINT);
    nanosleep(&t, NULL);
    CHECK_EQ(waitpid(pid, &status, WNOHANG), 0); /* the first one did not */
    while (waitpid(pid, &status, WNOHANG) == 0) {
        kill(pid, SIGINT);
        nanosleep(&t, NULL);
    }
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST(bench_is_interrupted_too)
{
    struct run *r = interrupt((struct setup){.script = "hold=12\n"}, ARGS("bench", "--image=0x0"));
    CHECK_EQ(r->code, 130);
    CHECK_STR(r->out, "");
    CHECK_STR(r->err, "vlqa: interrupted\n");
}

TEST(an_ignored_interrupt_stays_ignored)
{
    struct run *r =
        interrupt((struct setup){.script = "answer=a|b\nhold=7\n", .program = "/bin/sh"},
                  ARGS("-c", "trap '' INT; exec \"$0\" -m model -p ?", FAKE_CLI));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "ab\n");
}

TEST(options_without_effect_are_told)
{
    static const struct {
        const char *args[4], *note;
    } given[] = {
        {{"--seed", "3"}, "--seed has no effect without --temp above 0\n"},
        {{"-s3"}, "--seed has no effect without --temp above 0\n"},
        {{"--top-p=0.5"}, "--top-p has no effect without --temp above 0\n"},
        {{"--top-k", "4"}, "--top-k has no effect without --temp above 0\n"},
        {{"--min-p", "0.1"}, "--min-p has no effect without --temp above 0\n"},
        {{"--reuse=off", "--halo", "2"}, "--halo has no effect with --reuse off\n"},
        {{"--reuse=off", "--recompute-ratio=1"},
         "--recompute-ratio has no effect with --reuse off"},
        {{"--no-cache", "--cache-dir", "d"}, "--cache-dir has no effect with --no-cache\n"},
        {{"--no-cache", "--cache-strict"}, "--cache-strict has no effect with --no-cache\n"},
        {{"--seed", "3", "--temp", "1"}, ""},
        {{"--seed", "3", "--reuse", "random"}, ""},
        {{"--seed", "3", "-q"}, ""},
        {{"--system", "--seed=3"}, NULL}, /* refused: it looks like an option */
        {{"--system=--seed"}, ""},
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        const char *const *g = given[i].args;
        struct run *r =
            run_script("answer=Yes\n", ARGS("ask", "-m", "x", "-p", "?", g[0], g[1] ? g[1] : "--",
                                            g[1] ? g[2] : NULL, g[1] && g[2] ? g[3] : NULL));
        CHECK_EQ(r->code, given[i].note ? 0 : 2);
        if (given[i].note && *given[i].note)
            CHECK_HAS(r->err, given[i].note);
        else if (given[i].note)
            CHECK_STR(r->err, "");
    }
    CHECK_STR(
        run_cli((struct setup){.environment = "VLQA_SEED=3"}, ARGS("ask", "-m", "x", "-p", "?"))
            ->err,
        "");
}

TEST(the_device_reaches_the_runtime)
{
    CHECK_HAS(run_script("", ARGS("-m", "model", "-p", "?", "--device", "auto"))->calls,
              "device=1 gpu=0\n");
    CHECK_HAS(
        run_script("", ARGS("-m", "model", "-p", "?", "--device", "cuda", "--gpu", "3"))->calls,
        "device=2 gpu=3\n");
    CHECK_EQ(run_script("", ARGS("-m", "model", "-p", "?", "--device", "tpu"))->code, 2);
    CHECK_EQ(run_script("", ARGS("-m", "model", "-p", "?", "--gpu", "-1"))->code, 2);
}

TEST(the_format_of_weights_reaches_the_runtime)
{
    static const char *const names[] = {"bf16", "int8", "int4"};
    char expected[32];
    for (int i = 0; i < 3; i++) {
        struct run *r = run_script("", ARGS("-m", "model", "-p", "?", "--weights", names[i]));
        CHECK_EQ(r->code, 0);
        snprintf(expected, sizeof expected, "weights=%d\n", i + 1);
        CHECK_HAS(r->calls, expected);
    }
    CHECK_EQ(run_script("", ARGS("-m", "model", "-p", "?", "--weights", "int2"))->code, 2);
    CHECK_HAS(run_script("", ARGS("-m", "model", "-p", "?", "--head-weights", "int8"))->calls,
              "head weights=2\n");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
