/* test_cmd_eval.c - the verb eval: rows in and out, numbers, what it refuses. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <sys/stat.h>

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
        {"em", "{\"prediction\": true, \"answer\": \"x\"}", "prediction is bool, expected a text"},
        {"em", "{\"prediction\": \"x\"}", "answer is missing, expected a text"},
        {"em", "{\"prediction\": \"x\", \"answers\": [\"y\", {}]}", "answers holds object"},
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

/* Answers of models that think were graded with their thoughts: 33 for 100. */
TEST(thoughts_are_not_graded_unless_they_are_kept)
{
    static const char rows[] =
        "{\"prediction\": \"<think>\\nThe bar for 2014 reads 14.\\n</think>\\n\\n14\", \"answer\": "
        "\"14\"}\n"
        "{\"prediction\": \"The bar for 2014 reads 14.\\n</think>\\n\\n14\", \"answer\": \"14\"}\n"
        "{\"prediction\": \"14\", \"answer\": \"14\"}\n";
    struct run *r = score("chartqa", rows);
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "{\"prediction\": \"<think>\\nThe bar"); /* the row is as it was */
    CHECK_HAS(r->err, "\"vlmevalkit\":{\"Overall\":100},\"lmms_eval\":{\"relaxed_overall\":1}}");
    r = run_cli((struct setup){.input = rows},
                ARGS("eval", "--score", "chartqa", "--thoughts", "keep", "-"));
    CHECK_HAS(r->err, "\"vlmevalkit\":{\"Overall\":33.333333333333");
    CHECK_HAS(r->err, "\"lmms_eval\":{\"relaxed_overall\":0.33333333333333");
    r = score("chartqa", "{\"prediction\": \"<analysis>7</analysis>14\", \"answer\": \"14\"}\n");
    CHECK_HAS(r->out, "\"score\": 0, \"score_lmms\": 1}");
    r = score("mcq", "{\"prediction\": \"<think>A or B?</think> B\", \"answer\": \"B\", "
                     "\"options\": {\"A\": \"x\", \"B\": \"y\"}}\n");
    CHECK_HAS(r->out, "\"score\": 1, \"extracted\": \"B\"}");
}

TEST(numbers_are_graded_as_they_are_written)
{
    struct run *r = score("em", "{\"prediction\": \"8900\", \"answer\": 8900}\n"
                                "{\"prediction\": \"7910.0\", \"answer\": 7910.0}\n"
                                "{\"prediction\": 1e3, \"answers\": [2, 1e3]}\n"
                                "{\"prediction\": \"7910\", \"answer\": 7910.0}\n");
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "\"rows\":4,\"vlmevalkit\":{\"Overall\":75}");
}

/* All variants were graded as one. */
TEST(each_variant_of_a_run_is_regraded_apart)
{
#define OF(variant, prediction) \
    "{\"metric\": \"em\", " variant "\"prediction\": \"" prediction "\", \"answer\": \"x\"}\n"
    static const char rows[] =
        OF("\"variant\": \"full\", ", "x") OF("\"variant\": \"none\", \"chunk\": \"grid:2\", ", "y")
            OF("\"variant\": \"epic\", \"chunk\": \"grid:2\", \"ratio\": 0.2, ", "y")
                OF("\"variant\": \"epic\", \"chunk\": \"grid:4\", \"ratio\": 0.2, ", "x")
                    OF("\"variant\": \"full\", ", "y");
    struct run *r = run_cli((struct setup){.input = rows}, ARGS("eval", "--regrade", "-"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(
        r->err,
        "{\"variant\":\"full\",\"metric\":\"em\",\"rows\":2,\"vlmevalkit\":{\"Overall\":50}}\n"
        "{\"variant\":\"none@grid:2\",\"metric\":\"em\",\"rows\":1,\"vlmevalkit\":{\"Overall\":0}}"
        "\n"
        "{\"variant\":\"epic:0.2@grid:2\",\"metric\":\"em\",\"rows\":1,\"vlmevalkit\":{\"Overall\":"
        "0}}\n"
        "{\"variant\":\"epic:0.2@grid:4\",\"metric\":\"em\",\"rows\":1,\"vlmevalkit\":{\"Overall\":"
        "100}}\n");
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
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"prompt\":\"Which?\\nA. red\\nB. blue\",");
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

/* Rows by full, none and epic of three ratios and chunkings; epic:0.2 is right where full is not.
 */
static void put_variants(const char *path)
{
    static const struct {
        const char *members;
        int right, period;
    } variant[] = {
        {"\"variant\": \"none\", \"chunk\": \"grid:2\"", 3, 10},
        {"\"variant\": \"full\"", 5, 10},
        {"\"variant\": \"none\", \"chunk\": \"grid:4\"", 1, 10},
        {"\"variant\": \"epic\", \"chunk\": \"grid:2\", \"ratio\": 0.1", 4, 10},
        {"\"variant\": \"epic\", \"chunk\": \"grid:2\", \"ratio\": 0.2", 8, 10},
        {"\"variant\": \"epic\", \"chunk\": \"grid:4\", \"ratio\": 0.2", 6, 10},
    };
    static char rows[1 << 17];
    char *at = rows + sprintf(rows, "{\"vlqa_run\": 1}\n");
    for (int i = 0; i < 60; i++)
        for (size_t w = 0; w < sizeof variant / sizeof *variant; w++)
            at += sprintf(at, "{\"id\": %d, \"metric\": \"em\", \"score\": %d, %s}\n", i,
                          i % variant[w].period < variant[w].right, variant[w].members);
    put_file(path, rows, (size_t)(at - rows));
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static struct run *compare(const char *const *args)
{
    const char *all[16] = {"eval", "--compare"};
    int n = 2;
    for (; *args; args++)
        all[n++] = *args;
    all[n] = NULL;
    return run_script("", all);
}

TEST(one_file_holds_its_methods_against_full)
{
    struct run *r;
    put_variants("a:b.jsonl");
    r = compare(ARGS("a:b.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_HAS(r->out,
              "A: full, B: none@grid:2\nem        60 questions: A 50.00, B 30.00, B - A -20");
    CHECK_HAS(r->out, "A: full, B: none@grid:4\nem        60 questions: A 50.00, B 10.00");
    CHECK_HAS(r->out, "A: full, B: epic:0.2@grid:2\nem        60 questions: A 50.00, B 80.00");
    CHECK_EQ(count_lines(r->out), 10);
    r = compare(ARGS("a:b.jsonl", "--variants", "none,epic:0.2"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out,
              "A: none@grid:2, B: epic:0.2@grid:2\nem        60 questions: A 30.00, B 80.00");
    CHECK_HAS(r->out,
              "A: none@grid:4, B: epic:0.2@grid:4\nem        60 questions: A 10.00, B 60.00");
    CHECK_EQ(count_lines(r->out), 4);
    r = compare(ARGS("a:b.jsonl", "--variants", "epic:0.2@grid:4,epic:0.2@grid:2"));
    CHECK_HAS(r->out,
              "A: epic:0.2@grid:4, B: epic:0.2@grid:2\nem        60 questions: A 60.00, B 80");
    CHECK_EQ(count_lines(r->out), 2);
    r = compare(ARGS("a:b.jsonl", "--variants", "epic")); /* the first against the others */
    CHECK_HAS(r->out, "A: epic:0.1@grid:2, B: epic:0.2@grid:2\n");
    CHECK_HAS(r->out, "A: epic:0.1@grid:2, B: epic:0.2@grid:4\n");
    CHECK_EQ(count_lines(r->out), 4);
    r = compare(ARGS("a:b.jsonl", "--variants", "off,none@grid:4", "--json"));
    CHECK_HAS(r->out, "{\"a_variant\":\"full\",\"b_variant\":\"none@grid:4\",\"metric\":\"em\",");
}

TEST(two_files_hold_one_method_each_or_the_same)
{
    struct run *r;
    put_variants("a");
    put_variants("b");
    put_run("plain", 60, 7, 10);
    r = compare(ARGS("a", "b"));
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count_lines(r->out), 12);
    CHECK_HAS(r->out,
              "A: epic:0.2@grid:4, B: epic:0.2@grid:4\nem        60 questions: A 60.00, B 60");
    r = compare(ARGS("a", "b", "--variants", "full,epic:0.2@grid:2"));
    CHECK_HAS(r->out, "A: full, B: epic:0.2@grid:2\nem        60 questions: A 50.00, B 80.00");
    CHECK_EQ(count_lines(r->out), 2);
    r = compare(ARGS("a", "b", "--variants", "none,epic:0.2"));
    CHECK_HAS(r->out, "A: none@grid:4, B: epic:0.2@grid:4\n");
    CHECK_EQ(count_lines(r->out), 4);
    r = compare(ARGS("a", "b", "--variants", "none"));
    CHECK_HAS(r->out, "A: none@grid:4, B: none@grid:4\n");
    CHECK_EQ(count_lines(r->out), 4);
}

TEST(names_that_are_missing_or_not_one_are_told_with_what_there_is)
{
    static const struct {
        const char *a, *b, *variants, *reason;
    } bad[] = {
        {"a", NULL, "full,epic:0.3",
         "a: no row by epic:0.3; it has none@grid:2, full, none@grid:4, epic:0.1@grid:2, "
         "epic:0.2@grid:2, epic:0.2@grid:4\n"},
        {"a", NULL, "full@grid:2,none", "a: no row by full@grid:2; it has "},
        {"a", NULL, "epic,none", "a: epic:0.1@grid:2 or epic:0.2@grid:2? name one; it has "},
        {"a", NULL, "full", "a: nothing to compare; it has "},
        {"plain", NULL, NULL, "plain: nothing to compare; it has rows without a"},
        {"empty", NULL, NULL, "empty: nothing to compare; it has no row\n"},
        {"a", "plain", NULL, "plain: no variant and chunking that A has; name one of each by"},
        {"a", "a", "full,none,epic", "--variants: of two files one name for both, or one for each"},
        {"a", "plain", "full", "plain: no row by full; it has rows without a variant\n"},
    };
    put_variants("a");
    put_run("plain", 60, 7, 10);
    put_file("empty", "", 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *args[8] = {bad[i].a};
        int n = 1;
        struct run *r;
        if (bad[i].b) args[n++] = bad[i].b;
        if (bad[i].variants) args[n++] = "--variants";
        if (bad[i].variants) args[n++] = bad[i].variants;
        args[n] = NULL;
        r = compare(args);
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, bad[i].reason);
        CHECK_STR(r->out, "");
    }
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
}

static long file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
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

/* Every reader of run files; what each says of the two answers. */
static const struct reader {
    const char *args[6], *says;
} readers[] = {
    {{"--regrade", "long.jsonl"}, "0 of 2 rows that had a score have another now"},
    {{"--compare", "long.jsonl", "long.jsonl"}, "2 questions: A 50.00, B 50.00"},
    {{"--curve", "long.jsonl"}, "        2        -  100.0 %        -   50.00"},
    {{"--report", "long.html", "long.jsonl"}, ""},
    {{"--report", "long.md", "long.jsonl"}, ""},
    {{"long.jsonl", "--export-vlmevalkit", "long.tsv"}, ""},
};

static struct run *read_long(const struct reader *reader, const char *output)
{
    const char *args[8] = {"eval"};
    for (int i = 0; i < 6; i++)
        args[i + 1] = reader->args[i];
    return run_cli((struct setup){.output = output}, args);
}

TEST(run_files_with_lines_of_ten_megabytes_are_read)
{
    enum { N = 10 << 20 };
    char *rows = malloc(N + 400), *at = rows;
    REQUIRE(rows);
    at += sprintf(at, "{\"id\": 1, \"metric\": \"ocrbench\", \"score\": 1, \"answer\": \"x\", "
                      "\"prediction\": \"");
    memset(at, 'x', N);
    at += N;
    at += sprintf(at, "\"}\n{\"id\": 2, \"metric\": \"ocrbench\", \"score\": 0, \"answer\": \"y\", "
                      "\"prediction\": \"\"}\n");
    put_file("long.jsonl", rows, (size_t)(at - rows));
    free(rows);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        struct run *r = read_long(&readers[i], i ? NULL : "/dev/null");
        CHECK_EQ(r->code, 0);
        CHECK_HAS(i ? r->out : r->err, readers[i].says);
    }
    CHECK_EQ(file_size("long.tsv") > N, 1);
    CHECK_EQ(file_size("long.html") < 100000, 1); /* the rest of the text is only counted */
    remove("long.tsv");
}

TEST(run_files_that_are_not_utf_8_are_refused_by_line)
{
    static const char rows[] = "{\"id\": 1, \"metric\": \"em\", \"score\": 1, \"answer\": \"x\", "
                               "\"prediction\": \"x\"}\n"
                               "{\"id\": 2, \"metric\": \"em\", \"score\": 1, \"answer\": \"x\", "
                               "\"prediction\": \"\xf0\x9f\x92\"}\n";
    put_file("long.jsonl", rows, sizeof rows - 1);
    remove("long.html");
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        struct run *r = read_long(&readers[i], NULL);
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "long.jsonl, line 2: ill-formed UTF-8 at byte 68");
    }
    CHECK_EQ(file_size("long.html"), -1);
    CHECK_EQ(file_size("long.tsv"), -1);
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

static struct run *export_tsv(const char *run, const char *to, const char *variants)
{
    const char *args[] = {"eval", run, "--export-vlmevalkit", to, "--variants", variants, NULL};
    if (!variants) args[4] = NULL;
    return run_script("", args);
}

TEST(predictions_are_exported_as_pandas_reads_them)
{
    static const char rows[] =
        "{\"vlqa_run\": 1}\n"
        "{\"id\": \"1\", \"variant\": \"full\", \"prediction\": \"other\", \"answers\": [\"x\"]}\n"
        "{\"id\": \"1\", \"variant\": \"none\", \"chunk\": \"grid:2\", \"question\": "
        "\"a\\t\\\"b\\\"\\r\\n\","
        " \"prediction\": \"\\\\ \\u00e9\", \"answers\": [\"it's\", \"\\\\\\n\\\"\"], \"split\": "
        "\"s\"}\n"
        "{\"id\": 2, \"variant\": \"none\", \"chunk\": \"grid:2\", \"prediction\": \"B\", "
        "\"answer\": "
        "\"B\", \"options\": {\"D\": \"four\", \"B\": \"two\"}, \"cycle_category\": 3}\n"
        "{\"id\": 3, \"variant\": \"none\", \"chunk\": \"grid:2\", \"prediction\": \"\", "
        "\"targets\": "
        "\"[1, 2]\"}\n"
        "{\"id\": 4, \"variant\": \"none\", \"chunk\": \"grid:2\", \"error\": \"e\", \"answers\": "
        "[\"[1\"]}\n";
    static const char tsv[] =
        "\"index\"\t\"question\"\t\"answer\"\t\"B\"\t\"D\"\t\"split\"\t\"cycle_category\"\t"
        "\"prediction\"\n"
        "\"1\"\t\"a\t\"\"b\"\"\r\n\"\t\"['it\\'s', "
        "'\\\\\\x0a\"\"']\"\t\"\"\t\"\"\t\"s\"\t\"\"\t\"\\ "
        "\xc3\xa9\"\n"
        "\"2\"\t\"\"\t\"B\"\t\"two\"\t\"four\"\t\"\"\t\"3\"\t\"B\"\n"
        "\"3\"\t\"\"\t\"['[1, 2]']\"\t\"\"\t\"\"\t\"\"\t\"\"\t\"\"\n"
        "\"4\"\t\"\"\t\"[1\"\t\"\"\t\"\"\t\"\"\t\"\"\t\"\"\n";
    static const char one[] = "{\"id\": 1, \"prediction\": \"x\", \"answer\": \"['y']\"}";
    char found[2048];
    struct run *r;
    put_file("run", rows, sizeof rows - 1);
    r = export_tsv("run", "p.tsv", "none");
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    get_file("p.tsv", found, sizeof found);
    CHECK_STR(found, tsv);
    r = export_tsv("run", "p.tsv", "full");
    CHECK_EQ(r->code, 0);
    get_file("p.tsv", found, sizeof found);
    CHECK_HAS(found, "\n\"1\"\t\"\"\t\"x\"\t\"\"\t\"\"\t\"\"\t\"\"\t\"other\"\n");
    put_file("run", one, sizeof one - 1);
    r = export_tsv("run", "p.tsv", NULL);
    CHECK_EQ(r->code, 0);
    get_file("p.tsv", found, sizeof found);
    CHECK_STR(found, "\"index\"\t\"question\"\t\"answer\"\t\"prediction\"\n"
                     "\"1\"\t\"\"\t\"['y']\"\t\"x\"\n");
}

TEST(exports_of_what_is_not_clear_are_refused)
{
    static const char rows[] =
        "{\"id\": 1, \"variant\": \"full\", \"prediction\": \"x\"}\n"
        "{\"id\": 1, \"variant\": \"none\", \"chunk\": \"a\", \"answers\": [7]}\n"
        "{\"id\": 1, \"variant\": \"epic\", \"prediction\": \"x\", \"answers\": "
        "[\"x\", 7]}\n";
    static const char options[] = "{\"id\": 1, \"prediction\": \"x\", \"options\": [\"A\"]}\n";
    static const struct {
        const char *run, *to, *variants, *reason;
        int code;
    } bad[] = {
        {"run", "p.tsv", NULL,
         "run: name one variant and chunking by --variants; it has full, none@a", 2},
        {"run", "p.tsv", "epic:0.1", "run: no row by epic:0.1; it has full, none@a, epic\n", 2},
        {"run", "p.tsv", "none", "run, line 2: prediction is missing, expected a text", 2},
        {"run", "p.tsv", "epic", "run, line 3: answers hold number, expected texts", 2},
        {"list", "p.tsv", NULL, "list, line 1: options is array, expected an object", 2},
        {"run", "p.xlsx", "full", "--export-vlmevalkit writes a file that ends with .tsv", 2},
        {"-", "p.tsv", "full", "it takes no -", 2},
        {"nowhere", "p.tsv", "full", "nowhere: cannot open", 1},
        {"run", "no/p.tsv", "full", "no/p.tsv: ", 1},
    };
    char found[64];
    put_file("run", rows, sizeof rows - 1);
    put_file("list", options, sizeof options - 1);
    remove("p.tsv");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct run *r = export_tsv(bad[i].run, bad[i].to, bad[i].variants);
        CHECK_EQ(r->code, bad[i].code);
        CHECK_HAS(r->err, bad[i].reason);
        CHECK_EQ(get_file("p.tsv", found, sizeof found), 0);
    }
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
