/* test_report_parts.c - what a report says of groups, of times that variants share, and of images.
 */
#include "tests/check.h"
#include "tests/eval/run_cli.h"
#include "tests/eval/tags.h"

#include <sys/stat.h>
#include <unistd.h>

static char page[1 << 20], other[1 << 20];

static const char *report(const char *to, const char *rows, const char *times)
{
    put_file("run.jsonl", rows, strlen(rows));
    unlink("run.jsonl.times");
    if (times) put_file("run.jsonl.times", times, strlen(times));
    CHECK_EQ(run_script("", ARGS("eval", "--report", to, "run.jsonl"))->code, 0);
    CHECK(get_file(to, page, sizeof page) < sizeof page - 1);
    if (strstr(to, ".html")) CHECK(tags_wrong(page) == NULL);
    return page;
}

/* The split was left out where a row had a category, too. */
TEST(split_and_category_are_both_reported_with_intervals)
{
    static const char rows[] =
        "{\"id\": 1, \"score\": 1, \"category\": \"legend\", \"split\": \"human\"}\n"
        "{\"id\": 2, \"score\": 0, \"category\": \"legend\", \"split\": \"augmented\"}\n"
        "{\"id\": 3, \"score\": 1, \"category\": \"axis\", \"split\": \"augmented\"}\n"
        "{\"id\": 4, \"score\": 1, \"split\": \"augmented\"}\n";
    report("out.html", rows, NULL);
    CHECK_HAS(page, "<h2>Categories</h2>");
    CHECK_HAS(page, "legend (2)");
    CHECK_HAS(page, "50.00");
    CHECK_HAS(page, "[9.5, 90.5]"); /* Wilson, 1 of 2 */
    CHECK_HAS(page, "<h2>Splits</h2>");
    CHECK_HAS(page, "augmented (3)");
    CHECK_HAS(page, "[20.8, 93.9]");  /* 2 of 3 */
    CHECK_HAS(page, "[20.7, 100.0]"); /* 1 of 1 */
    report("out.html", "{\"id\": 1, \"score\": 1, \"split\": \"human\"}\n", NULL);
    CHECK(!strstr(page, "<h2>Categories</h2>") && strstr(page, "<h2>Splits</h2>"));
}

#define ROW(variant) \
    "{\"id\": 1, \"score\": 1, \"variant\": \"" variant "\", \"chunk\": \"grid:2\"}\n"
#define TIMES(row, vision, chunks, prefill)                                   \
    "{\"row\": " row ", \"ms\": {\"vision\": " vision ", \"chunks\": " chunks \
    ", \"prefill\": " prefill ", \"decode\": 5}}\n"

/* From "<h2>Time" to the next section, of which table rows follow the order of the variants. */
static const char *row_of(const char *variant)
{
    static char row[1024];
    const char *time = strstr(page, "<h2>Time</h2>"), *at = time ? strstr(time, "<tbody>") : NULL;
    char head[64];
    snprintf(head, sizeof head, "<bdi>%s</bdi>", variant);
    at = at ? strstr(at, head) : NULL;
    snprintf(row, sizeof row, "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
    return row;
}

/* The variant that came first paid for the chunks of all, and seemed slow. */
TEST(times_of_variants_do_not_depend_on_their_order)
{
    static char none[1024], epic[1024];
    report("out.html", ROW("none") ROW("epic"),
           TIMES("0", "40", "30", "42") TIMES("1", "0", "0", "22"));
    snprintf(none, sizeof none, "%s", row_of("none"));
    snprintf(epic, sizeof epic, "%s", row_of("epic"));
    CHECK_HAS(none, "<bdi>12.0</bdi>");
    CHECK_HAS(epic, "<bdi>22.0</bdi>");
    memcpy(other, page, sizeof page);
    report("out.html", ROW("epic") ROW("none"),
           TIMES("0", "40", "30", "52") TIMES("1", "0", "0", "12"));
    CHECK_STR(row_of("none"), none);
    CHECK_STR(row_of("epic"), epic);
    for (int i = 0; i < 2; i++) {
        const char *text = i ? page : other;
        CHECK_HAS(text, "<bdi>vision tower</bdi></th><td class=\"n\"><bdi>40.0</bdi>");
        CHECK_HAS(text, "<bdi>chunks, k = 2</bdi></th><td class=\"n\"><bdi>30.0</bdi>");
        CHECK_HAS(text, "the variant that needs it first computes it for all");
    }
}

TEST(images_open_at_their_size_and_noise_is_not_faint)
{
    static const char rows[] = "{\"id\": 1, \"score\": 0, \"image\": [\"i.png\", \"i.png\"]}\n";
    put_file("i.png", "pixels", 6);
    report("out.html", rows, NULL);
    CHECK_HAS(page,
              "<a class=\"zoom\" id=\"i1\" href=\"#i1\" title=\"full size\"><img alt=\"i.png\"");
    CHECK_HAS(page, "<a class=\"zoom\" id=\"i2\" href=\"#i2\"");
    CHECK_HAS(page, "<a class=\"shut\" href=\"#shut\"");
    CHECK_HAS(page, ".zoom:target{position:fixed;");
    CHECK_HAS(page, ".faint{font-style:italic}");
    CHECK(!strstr(page, ".faint{color"));
}

/* Only a TSV was looked into. */
TEST(images_inside_json_rows_are_shown)
{
    static const char data[] = "{\"id\": \"a\", \"question\": \"q\", \"answer\": \"y\", \"image\": "
                               "\"data:image/png;base64,cGl4ZWxz\"}\n";
    put_file("inside.jsonl", data, sizeof data - 1);
    unlink("inside.run");
    CHECK_EQ(run_script("answer=x\n", ARGS("eval", "-m", "x", "inside.jsonl", "--variants", "full",
                                           "--out", "inside.run"))
                 ->code,
             0);
    CHECK_EQ(run_script("", ARGS("eval", "--report", "inside.html", "inside.run"))->code, 0);
    CHECK(get_file("inside.html", page, sizeof page) < sizeof page - 1);
    CHECK_HAS(page, "<img alt=\"image 1\" src=\"data:image/png;base64,");
}

/* They were 0600, so that nobody else could read a report. */
TEST(what_is_written_has_the_mode_of_the_umask)
{
    static const char *const files[] = {"mode.html", "mode.md", "mode.tsv"};
    mode_t before = umask(027);
    struct stat st;
    static const char rows[] =
        "{\"id\": 1, \"score\": 1, \"prediction\": \"x\", \"answers\": [\"x\"]}\n";
    put_file("run.jsonl", rows, sizeof rows - 1);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(run_script("", ARGS("eval", "--report", files[i], "run.jsonl"))->code, 0);
    CHECK_EQ(run_script("", ARGS("eval", "run.jsonl", "--export-vlmevalkit", "mode.tsv"))->code, 0);
    umask(before);
    for (int i = 0; i < 3; i++)
        CHECK(stat(files[i], &st) == 0 && (st.st_mode & 0777) == 0640);
}

TEST(no_empty_page_is_written_for_a_data_set)
{
    static const char rows[] = "{\"id\": 1, \"question\": \"Why?\", \"answer\": \"x\"}\n";
    static const char run[] = "{\"id\": 1, \"score\": 1}\n";
    static const char *const commands[][6] = {
        {"eval", "--report", "out.html", "data.jsonl"},
        {"eval", "--report", "out.html", "run.jsonl", "data.jsonl"},
        {"eval", "--curve", "data.jsonl"},
        {"eval", "--curve", "run.jsonl", "data.jsonl"},
        {"eval", "--curve", "--json", "data.jsonl"},
    };
    put_file("data.jsonl", rows, sizeof rows - 1);
    put_file("run.jsonl", run, sizeof run - 1);
    remove("out.html");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct run *r = run_cli((struct setup){.input = NULL}, commands[i]);
        CHECK_EQ(r->code, 2);
        CHECK_STR(r->out, "");
        CHECK_HAS(r->err, "data.jsonl has no graded answers; ask it first: vlqa eval data.jsonl "
                          "--out run.jsonl, then give run.jsonl to --");
        CHECK_EQ(get_file("out.html", page, sizeof page), 0);
    }
}

TEST(options_of_asking_are_not_dropped_by_reports)
{
    static const char run[] = "{\"id\": 1, \"score\": 1}\n";
    static const char *const given[][2] = {{"--out", "o.jsonl"},   {"--out=o.jsonl"}, {"-oo.jsonl"},
                                           {"--variants", "full"}, {"--limit", "3"},  {"-m", "x"}};
    put_file("run.jsonl", run, sizeof run - 1);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        struct run *r =
            run_script("", ARGS("eval", "--curve", "run.jsonl", given[i][0], given[i][1]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, " is for asking a data set, and --curve asks nothing");
        remove("out.md");
        r = run_script("",
                       ARGS("eval", "--report", "out.md", "run.jsonl", given[i][0], given[i][1]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, " is for asking a data set, and --report asks nothing");
        CHECK_EQ(get_file("out.md", page, sizeof page), 0);
    }
    CHECK_EQ(
        run_cli((struct setup){.environment = "VLQA_MODEL=x"}, ARGS("eval", "--curve", "run.jsonl"))
            ->code,
        0);
}

/* It read 1.5 (\\[1, 2\\]). */
TEST(intervals_in_markdown_have_one_pair_of_brackets)
{
    report("out.md",
           "{\"id\": 1, \"score\": 1, \"variant\": \"full\"}\n"
           "{\"id\": 2, \"score\": 1, \"variant\": \"full\"}\n"
           "{\"id\": 1, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", \"kl\": 1}\n"
           "{\"id\": 2, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", \"kl\": 2}\n",
           NULL);
    CHECK_HAS(page, " 1.5 \\[1, 2\\] ");
    CHECK(!strstr(page, "(\\["));
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
