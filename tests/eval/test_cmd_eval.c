/* test_cmd_eval.c - the verb eval: rows in and out, numbers, what it refuses. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

static struct run *score(const char *metric, const char *rows)
{
    return run_cli((struct setup){.input = rows}, ARGS("eval", "--score", metric, "-"));
}

TEST(rows_come_out_as_they_are_with_scores)
{
    struct run *r = score("chartqa", "{ \"id\" : 1.50, \"prediction\":\"14\",\"answer\":\"14\"}\n"
                                     "\n"
                                     "{\"prediction\": \" Yes\", \"answers\": [\"yes\"], "
                                     "\"split\": \"test_human\", \"deep\": {\"score\": [1, {}]}}");
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "{\"id\" : 1.50, \"prediction\":\"14\", \"answer\":\"14\", \"score\": 1}\n"
                      "{\"prediction\": \" Yes\", \"answers\": [\"yes\"], "
                      "\"split\": \"test_human\", \"deep\": {\"score\": [1, {}]}, \"score\": 1, "
                      "\"score_lmms\": 0}\n");
    CHECK_STR(r->err, "{\"metric\":\"chartqa\",\"rows\":2,\"vlmevalkit\":{\"test_human\":100,"
                      "\"Overall\":100},\"lmms_eval\":{\"relaxed_overall\":0.5,"
                      "\"relaxed_human_split\":0},\"mean_of_splits\":100}\n");
}

TEST(choices_tell_the_letter)
{
    struct run *r = score("mcq", "{\"prediction\": \"B.\", \"answer\": \"B\", "
                                 "\"options\": {\"A\": \"x\", \"B\": \"y\"}}\n"
                                 "{\"prediction\": \"?\", \"answer\": \"B\", "
                                 "\"options\": {\"A\": \"x\", \"B\": \"y\"}}\n");
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"score\": 1, \"extracted\": \"B\"}\n");
    CHECK_HAS(r->out, "\"score\": 0, \"extracted\": \"Z\"}\n");
    CHECK_HAS(r->err, "\"Overall\":0.5}");
}

TEST(regrading_replaces_what_was_there)
{
    static const char rows[] =
        "{\"metric\": \"anls\", \"score\": 0.5, \"prediction\": \"12\", \"answers\": [\"13\"]}\n"
        "{\"score\": 0, \"metric\": \"relaxed_accuracy\", \"score_lmms\": 3, "
        "\"prediction\": \"1\", \"answers\": [\"1\"], \"extracted\": \"Q\"}\n";
    struct run *r = run_cli((struct setup){.input = rows}, ARGS("eval", "--regrade", "-"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out,
              "{\"metric\": \"anls\", \"prediction\": \"12\", \"answers\": [\"13\"], "
              "\"score\": 0.5}\n"
              "{\"metric\": \"relaxed_accuracy\", \"prediction\": \"1\", \"answers\": [\"1\"], "
              "\"score\": 1}\n");
    CHECK_HAS(r->err, "{\"metric\":\"chartqa\",\"rows\":1,");
    CHECK_HAS(r->err, "{\"metric\":\"anls\",\"rows\":1,");
    CHECK_HAS(r->err, "vlqa: 1 of 2 rows that had a score have another now\n");
}

TEST(bad_rows_are_named_with_line_and_reason)
{
    static const struct {
        const char *metric, *row, *reason;
    } bad[] = {
        {"em", "{\"prediction\": \"x\"", "line 2: "},
        {"em", "[1]", "line 2: is array, expected an object"},
        {"em", "{\"answer\": \"x\"}", "line 2: prediction is missing, expected a text"},
        {"em", "{\"prediction\": 7, \"answer\": \"x\"}", "prediction is number, expected a text"},
        {"em", "{\"prediction\": \"x\"}", "answer is missing, expected a text"},
        {"em", "{\"prediction\": \"x\", \"answers\": [\"y\", 7]}", "answers holds number"},
        {"em", "{\"prediction\": \"\xff\", \"answer\": \"x\"}", "line 2: "},
        {"mcq", "{\"prediction\": \"x\", \"answer\": \"A\"}", "options is missing"},
        {"mcq", "{\"prediction\": \"x\", \"answer\": \"A\", \"options\": {\"a\": \"x\"}}",
         "options: a is string, expected A to Z"},
        {"mcq", "{\"prediction\": \"x\", \"answer\": \"red\", \"options\": {\"A\": \"x\"}}",
         "answer is red, expected a letter"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char rows[512];
        struct run *r;
        snprintf(rows, sizeof rows,
                 "{\"prediction\": \"x\", \"answer\": \"X\", \"options\": {\"X\": \"x\"}}\n%s\n",
                 bad[i].row);
        r = score(bad[i].metric, rows);
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "vlqa: standard input, line 2");
        CHECK_HAS(r->err, bad[i].reason);
        CHECK(!strstr(r->err, "\"rows\"")); /* no numbers of a part */
        CHECK_HAS(r->out, "\"score\": 1");  /* the row before is there */
    }
}

TEST(usage_errors_say_what_is_missing)
{
    struct run *r = run_script("", ARGS("eval"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "give a data set, --score, --regrade, --compare or --list");
    r = run_script("", ARGS("eval", "--score", "bleu", "x"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err,
              "--score is bleu, expected chartqa, anls, ocrbench, mcq, f1, em or em-answer");
    r = run_script("", ARGS("eval", "--score", "em"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "no rows");
    r = run_script("", ARGS("eval", "--score", "em", "nowhere.jsonl"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "nowhere.jsonl: cannot open");
    r = run_cli((struct setup){.input = "{\"prediction\": \"x\", \"answer\": \"x\"}"},
                ARGS("eval", "--regrade", "-"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "line 1: metric is missing");
}

/* What is listed, answered and graded again is graded by the data set's metric. */
TEST(a_listed_row_needs_only_its_prediction)
{
    static const char tsv[] =
        "index\tquestion\tA\tB\tanswer\tcategory\timage\n"
        "4\tWhich?\tred\tblue\tB\tc\t5\n"
        "5\tWhat?\t\t\t['x', 'y']\t\t" /* 68 characters: no reference */
        "YWJjZGVmZ2hpamtsbW5vcGFiY2RlZmdoaWprbG1ub3BhYmNkZWZnaGlqa2xtbm9wYWJj\n";
    static const char answered[] = "{\"prediction\":\" blue\",";
    char rows[1024];
    struct run *r;
    put_file("q.tsv", tsv, sizeof tsv - 1);
    r = run_script("", ARGS("eval", "--list", "q.tsv", "--prompt", "qwen"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_STR(r->out,
              "{\"id\":\"4\",\"metric\":\"mcq\",\"image_bytes\":[51],\"prompt\":\"Question: "
              "Which?\\nOptions:\\nA. red\\nB. blue\\nAnswer with the option letter only.\","
              "\"options\":{\"A\":\"red\",\"B\":\"blue\"},\"answer\":\"B\",\"category\":\"c\"}\n"
              "{\"id\":\"5\",\"metric\":\"em\",\"image_bytes\":[51],\"prompt\":\"What?\\nPlease "
              "answer concisely with short words or phrases when possible.\","
              "\"answers\":[\"x\",\"y\"]}\n");
    snprintf(rows, sizeof rows, "%s%.*s\n", answered, (int)strcspn(r->out + 1, "\n"), r->out + 1);
    r = run_cli((struct setup){.input = rows}, ARGS("eval", "--regrade", "-"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"score\": 1, \"extracted\": \"B\"}\n");
    r = run_script("", ARGS("eval", "--list", "q.tsv", "--limit", "1", "--prompt", "infoflow"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "infoflow has no prompt for rows of multiple choice");
    r = run_script("", ARGS("eval", "--list", "nowhere.tsv"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "nowhere.tsv: cannot open");
}

/* Rows i of n with a score that is 1 where i % period is below right. */
static void put_run(const char *path, int n, int right, int period)
{
    char rows[16384], *at = rows;
    for (int i = 0; i < n; i++)
        at += sprintf(at, "{\"id\": \"q%d\", \"metric\": \"em\", \"score\": %d}\n", i,
                      i % period < right);
    put_file(path, rows, (size_t)(at - rows));
}

TEST(runs_are_compared_by_id)
{
    struct run *r;
    struct json_doc *doc;
    put_run("a", 300, 5, 10);
    put_run("b", 290, 7, 10);
    r = run_script("", ARGS("eval", "--compare", "a", "b"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "em        290 questions: A 50.00, B 70.00, B - A +20.00 [+");
    CHECK_HAS(r->out, "right in A alone 0, in B alone 58, p 6.9e-18: B is better\n");
    CHECK_HAS(r->err, "left out: 10 rows of A and 0 of B");
    r = run_script("", ARGS("eval", "--compare", "b", "a", "-q"));
    CHECK_HAS(r->out, ": A is better\n");
    CHECK_STR(r->err, "");
    put_run("b", 300, 6, 12); /* right elsewhere, as often */
    r = run_script("", ARGS("eval", "--compare", "a", "b"));
    CHECK_HAS(r->out, "in B alone 75, p 1: the difference is noise\n");
    r = run_script("", ARGS("eval", "--compare", "a", "b", "--json"));
    doc = run_json(r);
    REQUIRE(doc);
    CHECK(run_number(doc, NULL, "noise") > 0 && run_number(doc, NULL, "questions") > 299);
    CHECK(run_number(doc, NULL, "low") < 0 && run_number(doc, NULL, "high") > 0);
    json_free(doc);
}

TEST(runs_that_cannot_be_compared_are_refused)
{
    static const char *const bad[][2] = {
        {"{\"score\": 1}", "b, line 1: id is missing"},
        {"{\"id\": \"q0\"}", "b, line 1: score is missing"},
        {"{\"id\": \"q0\", \"score\": 3}", "b, line 1: score is beyond its range"},
        {"{\"id\": 1, \"score\": 1}\n{\"id\": 1, \"score\": 0}", "line 2: its id was on line 1"},
        {"{\"id\": \"q0\", \"score\": 1, \"metric\": \"f1\"}", "one id and two metrics"},
        {"{\"id\": \"x\", \"score\": 1}", "have no id in common"},
        {"", "have no id in common"}};
    struct run *r;
    put_run("a", 3, 1, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file("b", bad[i][0], strlen(bad[i][0]));
        r = run_script("", ARGS("eval", "--compare", "a", "b"));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, bad[i][1]);
        CHECK_STR(r->out, "");
    }
    r = run_script("", ARGS("eval", "--compare", "a"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--compare needs two files");
}

TEST(lines_of_ten_megabytes_are_scored)
{
    enum { N = 10 << 20 };
    char *rows = malloc(2 * N + 200), *at = rows;
    struct run *r;
    REQUIRE(rows);
    for (int i = 0; i < 2; i++) {
        at += sprintf(at, "{\"answer\":\"%c\",\"prediction\":\"", i ? 'x' : 'y');
        memset(at, 'x', N);
        at += N;
        at += sprintf(at, "\"}\n");
    }
    put_file("long.jsonl", rows, (size_t)(at - rows));
    r = run_script("", ARGS("eval", "--score", "ocrbench", "long.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "\"Final Score\":1,");
    free(rows);
}

TEST(an_empty_file_has_no_numbers)
{
    struct run *r = score("em", "\n \n");
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "");
    CHECK_STR(r->err, "");
}

TEST(closed_output_is_an_error)
{
    struct run *r = run_cli((struct setup){.input = "{\"prediction\": \"x\", \"answer\": \"x\"}\n",
                                           .output = "/dev/full"},
                            ARGS("eval", "--score", "em", "-"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "standard output");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
