/* test_former_names.c - what the version before called otherwise: options, settings, and members of
 * run files. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

/* A question by full prefill, none and EPIC, as that version wrote them. */
static const char former[] =
    "{\"vlqa_run\": 1, \"methods\": \"full,none,epic:0.15\", \"chunk\": \"grid:2\"}\n"
    "{\"id\": 1, \"metric\": \"em\", \"method\": \"full\", \"prediction\": \"x\", \"score\": 1, "
    "\"answers\": [\"x\"], \"rows\": {\"total\": 100, \"recomputed\": 100}, \"flops\": 8e9}\n"
    "{\"id\": 1, \"metric\": \"em\", \"method\": \"none\", \"chunk\": \"grid:2\", "
    "\"prediction\": \"y\", \"score\": 0, \"answers\": [\"x\"], "
    "\"rows\": {\"total\": 100, \"recomputed\": 10}, \"flops\": 1e9, \"kl\": 1}\n"
    "{\"id\": 1, \"metric\": \"em\", \"method\": \"epic\", \"chunk\": \"grid:2\", "
    "\"ratio\": 0.15, \"prediction\": \"x\", \"score\": 1, \"answers\": [\"x\"], "
    "\"rows\": {\"total\": 100, \"recomputed\": 25}, \"flops\": 2e9, \"kl\": 0.25}\n";

static void put_former(void)
{
    put_file("run.jsonl", former, sizeof former - 1);
}

TEST(run_files_of_the_version_before_are_compared)
{
    struct run *r;
    put_former();
    r = run_script("", ARGS("eval", "--compare", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "A: full, B: none@grid:2\n");
    CHECK_HAS(r->out, "A: full, B: epic:0.15@grid:2\n");
    r = run_script("", ARGS("eval", "--compare", "run.jsonl", "--variants", "none,epic"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "A: none@grid:2, B: epic:0.15@grid:2\n");
}

TEST(run_files_of_the_version_before_make_curves_and_reports)
{
    static char page[1 << 16];
    struct run *r;
    put_former();
    r = run_script("", ARGS("eval", "--curve", "run.jsonl", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"variant\":\"epic\",\"chunk\":\"grid:2\",\"ratio\":0.15,\"questions\":1,"
                      "\"documents\":1,\"tokens_computed\":25,\"tokens_share\":0.25,");
    r = run_script("", ARGS("eval", "--report", "out.md", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK(get_file("out.md", page, sizeof page) > 0);
    CHECK_HAS(page, "| epic 15 % | k = 2 | 1 | 25.0 % (25.0) |");
    CHECK_HAS(page, "10 of 100 tokens computed");
}

TEST(run_files_of_the_version_before_are_graded_again_and_exported)
{
    static char table[4096];
    struct run *r;
    put_former();
    r = run_script("", ARGS("eval", "--regrade", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "0 of 3 rows that had a score have another now");
    CHECK_HAS(r->out, "\"method\": \"epic\""); /* lines stay as they are */
    r = run_script(
        "", ARGS("eval", "run.jsonl", "--export-vlmevalkit", "to.tsv", "--variants", "none"));
    CHECK_EQ(r->code, 0);
    CHECK(get_file("to.tsv", table, sizeof table) > 0);
    CHECK_HAS(table, "\"y\"\n");
}

TEST(former_options_mean_what_their_new_names_mean)
{
    static const struct {
        const char *former, *name, *value;
    } pair[] = {{"--max-rows", "--max-seq-len", "777"},
                {"--score", "--token-score", "vatp"},
                {"--score-query", "--query-tokens", "suffix"},
                {"--score-layers", "--probe-layers", "2-5"},
                {"--dilate", "--closing", "3"}};
    static char calls[sizeof((struct run *)0)->calls];
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        char note[128];
        struct run *r = run_script(
            "", ARGS("-m", "x", "-p", "?", "--reuse", "infoflow", pair[i].name, pair[i].value));
        CHECK_EQ(r->code, 0);
        memcpy(calls, r->calls, sizeof calls);
        r = run_script(
            "", ARGS("-m", "x", "-p", "?", "--reuse", "infoflow", pair[i].former, pair[i].value));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->calls, calls);
        snprintf(note, sizeof note, "vlqa: %s is now called %s;", pair[i].former, pair[i].name);
        CHECK_HAS(r->err, note);
    }
}

TEST(a_note_is_left_out_with_quiet_and_the_environment_follows)
{
    struct run *r = run_script("", ARGS("-m", "x", "-p", "?", "--dilate", "3", "-q"));
    CHECK_EQ(r->code, 0);
    CHECK(!strstr(r->err, "is now called"));
    r = run_cli((struct setup){.script = "", .environment = "VLQA_MAX_ROWS=777"},
                ARGS("-m", "x", "-p", "?"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "session rows=777");
    CHECK_HAS(r->err, "--max-rows is now called --max-seq-len");
}

TEST(a_setting_of_a_variant_keeps_its_former_name)
{
    struct run *r;
    put_file("q.jsonl", "{\"question\": \"Why?\", \"answer\": \"x\"}\n", 35);
    r = run_script("", ARGS("eval", "-m", "x", "q.jsonl", "--variants",
                            "epic/dilate:2:0.2,epic/closing:3:0.2"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "closing=2");
    CHECK_HAS(r->calls, "closing=3");
}

TEST(eval_takes_its_former_names_too)
{
    struct run *r;
    put_former();
    r = run_script("", ARGS("eval", "--compare", "run.jsonl", "--methods", "none,epic"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "A: none@grid:2, B: epic:0.15@grid:2\n");
    CHECK_HAS(r->err, "--methods is now called --variants");
    r = run_script("", ARGS("bench", "--rows", "9", "--image", "0x0", "--decode", "1"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "--rows is now called --prompt-tokens");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
