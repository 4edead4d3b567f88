/* test_eval_report.c - reports of run files: numbers by hand, hostile texts, what is missing. */
#include "eval/data/base64.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"
#include "tests/eval/tags.h"
#include "vision/image.h"

#include <sys/stat.h>

static char page[1 << 19];

static char calls[8192]; /* what the fake was told by the last report */

/* A report of run.jsonl, or of these files; its text. */
static const char *report(const char *to, const char *const *args)
{
    const char *all[16] = {"eval", "--report", to};
    struct run *r;
    int n = 3;
    remove(to);
    page[0] = 0;
    for (; *args; args++)
        all[n++] = *args;
    all[n] = NULL;
    r = run_cli((struct setup){.input = NULL}, all);
    CHECK_EQ(r->code, 0);
    memcpy(calls, r->calls, sizeof calls);
    CHECK(get_file(to, page, sizeof page) < sizeof page - 1);
    if (strstr(to, ".html")) {
        const char *wrong = tags_wrong(page);
        CHECK(wrong == NULL);
        if (wrong) CHECK_STR(wrong, "");
    }
    return page;
}

static int count(const char *part)
{
    int n = 0;
    for (const char *at = page; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static const char *html(const char *rows)
{
    put_file("run.jsonl", rows, strlen(rows));
    return report("out.html", ARGS("run.jsonl"));
}

/* Lines of one variant with these scores, ids from 1. */
static void add_variant(char *rows, const char *members, const char *scores)
{
    char *to = rows + strlen(rows);
    for (int i = 0; scores[i]; i++)
        to += sprintf(to, "{\"id\": %d, \"score\": %c, \"category\": \"c%d\", %s}\n", i + 1,
                      scores[i], i % 2, members);
}

#define FULL "\"dataset\": \"D\", \"variant\": \"off\", \"chunk\": \"\""
#define NONE                                                             \
    "\"dataset\": \"D\", \"variant\": \"none\", \"chunk\": \"grid:2\", " \
    "\"prompt_tokens\": {\"total\": 200, \"recomputed\": 20}"
#define OURS                                                                                  \
    "\"dataset\": \"D\", \"variant\": \"infoflow\", \"chunk\": \"grid:4\", \"ratio\": 0.15, " \
    "\"prompt_tokens\": {\"total\": 200, \"recomputed\": 50}, \"ms\": {\"prefill\": 12, "     \
    "\"score\": 4}"

static const char *three_variants(void)
{
    static char rows[8192];
    rows[0] = 0;
    add_variant(rows, FULL, "1111111100"); /* 80 */
    add_variant(rows, NONE, "1100000000"); /* 20 */
    add_variant(rows, OURS, "1111111100"); /* 80 */
    return rows;
}

TEST(numbers_are_those_computed_by_hand)
{
    static const char row[] =
        "<tr><th scope=\"row\"><bdi>none</bdi></th><td class=\"n\"><bdi></bdi>"
        "</td><td class=\"n\"><bdi>20.00</bdi><small>\xe2\x88\x92"
        "60.00 [\xe2\x88\x92"
        "90.00, \xe2\x88\x92"
        "30.00]</small></td>";
    html(three_variants());
    CHECK_HAS(page, "<dd>D: 10 questions</dd>");
    CHECK_HAS(page, "<th scope=\"col\" class=\"n\">k = 0</th><th scope=\"col\" class=\"n\">k = 2"
                    "</th><th scope=\"col\" class=\"n\">k = 4</th>");
    CHECK_HAS(page, "<bdi>full prefill</bdi></th><td class=\"n\"><bdi>80.00</bdi></td>");
    CHECK_HAS(page, row);
    CHECK_HAS(page, "<td class=\"n faint\"><bdi>80.00</bdi><small>0.00 [0.00, 0.00]</small>");
    CHECK_HAS(page, "<bdi>infoflow 15 %</bdi>");
    CHECK_HAS(page, "<bdi>10.0 %</bdi>"); /* 20 of 200 tokens */
    CHECK_HAS(page, "<bdi>25.0 %</bdi>");
    /* c0 has the ids 1, 3, 5, 7, 9: full prefill 4 of 5 right, none 1 of 5 */
    CHECK_HAS(page, "<th scope=\"col\">category (questions)</th><th scope=\"col\" class=\"n\">full "
                    "prefill</th><th scope=\"col\" class=\"n\">none, k\xc2\xa0=\xc2\xa0"
                    "2</th><th scope=\"col\" class=\"n\">infoflow "
                    "15\xc2\xa0%, k\xc2\xa0=\xc2\xa0"
                    "4</th>");
    CHECK_HAS(
        page,
        "<bdi>c0 (5)</bdi></th><td class=\"n\"><bdi>80.00</bdi><small>[37.6, 96.4]</small></td>"
        "<td class=\"n\"><bdi>20.00</bdi><small>[3.6, 62.4]</small></td><td class=\"n\"><bdi>"
        "80.00</bdi><small>[37.6, 96.4]</small></td></tr>");
    CHECK_EQ(count("aria-label=\"score of each category\""), 2); /* k = 2 and k = 4 */
    CHECK(!strstr(page, ">assemble</text>") && strstr(page, ">score</text>"));
    CHECK_HAS(page, "<title>score: 4.0</title>");
    CHECK_HAS(page, "<title>prefill: 8.0</title>"); /* 12 without the 4 of scoring */
    CHECK_HAS(page, "<h2>Worst answers</h2>");
    CHECK_HAS(page, "<dd>0.00, full prefill 100.00</dd>");
}

TEST(the_worst_are_those_that_lost_most_once_a_question)
{
    const char *at;
    int n = 0;
    html(three_variants());
    for (at = page; (at = strstr(at, "<article>")) != NULL; at++)
        n++;
    CHECK_EQ(n, 8); /* six lost by none, two wrong everywhere; two are right */
    at = strstr(page, "<h3>D: 3</h3>");
    CHECK(at && strstr(at, "<h3>D: 8</h3>") && strstr(at, "<h3>D: 9</h3>"));
    CHECK(strstr(strstr(page, "<h3>D: 9</h3>"), "<h3>D: 8</h3>") == NULL);
    CHECK(strstr(page, "<h3>D: 1</h3>") == NULL);
    /* 9 and 10 are wrong by all three: told of the one that computed most, and not full prefill */
    CHECK_HAS(strstr(page, "<h3>D: 9</h3>"), "<dt>answered by</dt><dd>infoflow 15 %, k = 4</dd>\n"
                                             "<dt>work</dt><dd>50 of 200 tokens computed</dd>");
}

/* none, ours, CacheBlend and EPIC at k = 0, 2 and 4, of two data sets that have their variants in
 * different orders. */
TEST(the_published_table_comes_out)
{
    static const char *const variants[] = {"none", "infoflow", "cacheblend", "epic"};
    static char rows[1 << 16];
    rows[0] = 0;
    for (int data = 0; data < 2; data++)
        for (int i = -1; i < 8; i++) {
            int at = data ? 7 - i : i;
            char members[256];
            if (i < 0)
                sprintf(members, "\"dataset\": \"D%d\", \"variant\": \"full\"", data);
            else
                sprintf(members,
                        "\"dataset\": \"D%d\", \"variant\": \"%s\", \"chunk\": \"grid:%d\"%s", data,
                        variants[at / 2], at % 2 ? 2 : 4, at / 2 ? ", \"ratio\": 0.15" : "");
            add_variant(rows, members, i < 0 ? "1111" : at == 3 + data ? "1110" : "1111");
        }
    put_file("run.jsonl", rows, strlen(rows));
    report("out.md", ARGS("run.jsonl"));
    for (char *at = page; (at = strstr(at, " (0.00 \\[0.00, 0.00\\])"));)
        memmove(at, at + 22, strlen(at + 22) + 1);
    CHECK_HAS(page, "### All data sets\n\n| chunks | variant | D0 | D1 |\n"
                    "| --- | --- | ---: | ---: |\n"
                    "| k = 0 | full prefill | 100.00 | 100.00 |\n"
                    "| k = 2 | none | _100.00_ | _100.00_ |\n"
                    "| k = 2 | infoflow 15 % | _75.00 (");
    CHECK_HAS(page, ")_ | _100.00_ |\n| k = 2 | cacheblend 15 % | _100.00_ | _100.00_ |\n"
                    "| k = 2 | epic 15 % | _100.00_ | _100.00_ |\n"
                    "| k = 4 | none | _100.00_ | _100.00_ |\n"
                    "| k = 4 | infoflow 15 % | _100.00_ | _100.00_ |\n"
                    "| k = 4 | cacheblend 15 % | _100.00_ | _75.00 (");
    CHECK_HAS(page, ")_ |\n| k = 4 | epic 15 % | _100.00_ | _100.00_ |\n\n");
    CHECK_HAS(page, "- data: D0: 4 questions\n- D1: 4 questions\n");
    CHECK_HAS(page, "### D1\n\n| variant | k = 0 | k = 2 | k = 4 |\n");
}

TEST(the_same_in_markdown_and_as_a_curve)
{
    struct run *r;
    put_file("run.jsonl", three_variants(), strlen(three_variants()));
    report("out.md", ARGS("run.jsonl"));
    CHECK_HAS(page, "| variant | k = 0 | k = 2 | k = 4 |\n| --- | ---: | ---: | ---: |\n"
                    "| full prefill | 80.00 |  |  |\n"
                    "| none |  | 20.00 (\xe2\x88\x92"
                    "60.00 \\[\xe2\x88\x92"
                    "90.00, \xe2\x88\x92"
                    "30.00\\]) |  |\n");
    CHECK(strchr(page, '\x01') == NULL && strstr(page, "<svg") == NULL);
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--curve", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "D\nvariant                  chunks ");
    CHECK_HAS(r->out, "\nfull prefill             k = 0           10        -  100.0 %        -   "
                      "80.00  -                              -\n");
    CHECK_HAS(r->out, "\nnone                     k = 2           10     20.0   10.0 %        -   "
                      "20.00  -60.00 [-90.00, -30.00]        -\n");
    CHECK_HAS(r->out, "\ninfoflow 15 %            k = 4           10     50.0   25.0 %        -   "
                      "80.00  +0.00 [+0.00, +0.00] noise     -\n");
}

/* KL of 1, 2, 3, 4 and FLOPs of 1 to 4 e9. */
static const char *diverging(void)
{
    static char rows[8192];
    char *to = rows;
    for (int i = 1; i <= 4; i++) {
        to += sprintf(to, "{\"id\": %d, \"score\": 1, \"variant\": \"full\", \"flops\": 8e9}\n", i);
        to += sprintf(
            to,
            "{\"id\": %d, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", "
            "\"kl\": %d, \"flops\": %de9, \"prompt_tokens\": {\"total\": 10, \"recomputed\": "
            "%d}}\n",
            i, i, i, i);
    }
    sprintf(to,
            "{\"id\": 1, \"score\": 1, \"variant\": \"epic\", \"chunk\": \"grid:2\", "
            "\"ratio\": 0.1, \"kl\": 0, \"prompt_tokens\": {\"total\": 10, \"recomputed\": 5}}\n");
    return rows;
}

TEST(curves_tell_divergence_and_work)
{
    struct run *r;
    put_file("run.jsonl", diverging(), strlen(diverging()));
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--curve", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\nnone                     k = 2            4      2.5   25.0 %    2.500  "
                      "100.00  +0.00 [+0.00, +0.00] noise     2.5 [1.5, 3.5]\n");
    CHECK_HAS(r->out, " 50.0 %        -  100.00  +0.00 [+0.00, +0.00] noise     0 [0, 0]\n");
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--curve", "run.jsonl", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out,
              "\n{\"dataset\":\"\",\"metric\":\"\",\"variant\":\"none\",\"chunk\":\"grid:2\","
              "\"questions\":"
              "4,\"documents\":4,\"tokens_computed\":2.5,\"tokens_share\":0.25,\"flops\":"
              "2500000000,\"score\":1,"
              "\"difference\":0,\"low\":0,\"high\":0,\"noise\":1,\"kl\":2.5,\"kl_low\":1.5,"
              "\"kl_high\":3.5}\n");
}

/* 720 x 300: from x 56 to 700 and y 328 to 28. Marks of KL 0.01 and 1 of an axis from 0.01 to 1. */
TEST(divergence_is_drawn_on_a_logarithmic_axis)
{
    html(
        "{\"id\": 1, \"score\": 1, \"variant\": \"full\"}\n"
        "{\"id\": 1, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", \"kl\": 1, "
        "\"flops\": 2e9, \"prompt_tokens\": {\"total\": 10, \"recomputed\": 5}}\n"
        "{\"id\": 1, \"score\": 1, \"variant\": \"epic\", \"chunk\": \"grid:2\", \"ratio\": 0.1, "
        "\"kl\": 0.01, \"prompt_tokens\": {\"total\": 10, \"recomputed\": 10}}\n"
        "{\"id\": 1, \"score\": 1, \"variant\": \"random\", \"chunk\": \"grid:2\", \"ratio\": 0.1, "
        "\"kl\": 0, \"prompt_tokens\": {\"total\": 10, \"recomputed\": 10}}\n");
    CHECK_HAS(page, "aria-label=\"KL against tokens computed\"");
    CHECK_HAS(page, ">0.01</text>");
    CHECK_HAS(page, ">0.02</text>");
    CHECK_HAS(page, ">0.5</text>");
    CHECK_HAS(page, "<circle class=\"f1\" cx=\"378.0\" cy=\"28.0\" r=\"4\"/>");
    CHECK_HAS(page, "<circle class=\"f2\" cx=\"700.0\" cy=\"328.0\" r=\"4\"/>");
    CHECK_HAS(page, "<circle class=\"f3\" cx=\"700.0\" cy=\"328.0\" r=\"4\"/>"); /* 0 */
    CHECK_HAS(page,
              "<td class=\"n\"><bdi>50.0 %</bdi><small>5.0</small></td><td class=\"n\"><bdi>2.000"
              "</bdi></td>");
    CHECK_HAS(page, "<bdi>0.01</bdi><small>[0.01, 0.01]</small>");
    html("{\"id\": 1, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", "
         "\"prompt_tokens\": {\"total\": 10, \"recomputed\": 5}}\n");
    CHECK(!strstr(page, "aria-label=\"divergence"));
}

TEST(numbers_that_cannot_be_are_unknown)
{
    html("{\"id\": 1, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", \"kl\": 1e308, "
         "\"flops\": 1e300, \"prompt_tokens\": {\"total\": 0, \"recomputed\": 2}, \"ms\": "
         "{\"prefill\": "
         "1e308}}\n"
         "{\"id\": 2, \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\", \"kl\": 1e308, "
         "\"flops\": -1, \"prompt_tokens\": {\"total\": 1e-300, \"recomputed\": 1e300}, \"ms\": "
         "{\"prefill\": "
         "1e308}}\n");
    CHECK(!strstr(page, "nan") && !strstr(page, "inf") && !strstr(page, "<svg"));
}

TEST(hostile_texts_stay_texts)
{
    html("{\"id\": \"<b>'\\\"&\", \"score\": 0, \"question\": \"<script>alert(1)</script>\", "
         "\"prediction\": \"\\u0001\\u202e\\\"onload='x'\", \"answers\": [\"a|b\", \"</dd>\"], "
         "\"dataset\": \"<img src=x>\", \"variant\": \"</title>\", \"chunk\": \"</svg>\", "
         "\"category\": \"<i>\", \"image\": \"\\\"><script>\", "
         "\"prompt_tokens\": {\"total\": 1, \"recomputed\": 1}, \"ms\": {\"prefill\": 1}}\n");
    CHECK(strstr(page, "<script") == NULL && strstr(page, "<img") == NULL);
    CHECK(strstr(page, "<i>") == NULL && strstr(page, "\x01") == NULL);
    CHECK_HAS(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    CHECK_HAS(page, "a|b | &lt;/dd&gt;");
    CHECK_HAS(page, "\xe2\x90\x81\xef\xbf\xbd&quot;onload=&#39;x&#39;");
}

TEST(long_predictions_are_cut_between_characters)
{
    static char rows[70000];
    char *to = rows + sprintf(rows, "{\"id\": 1, \"score\": 0, \"prediction\": \"a");
    for (int i = 0; i < 20000; i++)
        to += sprintf(to, "\xc3\xa9");
    sprintf(to, "\"}\n");
    html(rows);
    CHECK_HAS(page, "\xc3\xa9\xe2\x80\xa6 (40001 bytes)</dd>");
    CHECK(strlen(page) < 20000);
}

TEST(images_are_small_pictures_or_placeholders)
{
    put_file("a.png", "x", 1); /* what decodes is the fake: 20 x 10 pixels */
    html("{\"id\": 1, \"score\": 0, \"image\": \"a.png\"}\n"
         "{\"id\": 2, \"score\": 0, \"images\": [\"b.png\"]}\n"
         "{\"id\": 3, \"score\": 0}\n");
    CHECK_HAS(page, "<img alt=\"a.png\" src=\"data:image/png;base64,iVBORw0KGgo");
    CHECK_HAS(page, "the image is not there");
    CHECK_HAS(page, "no image is named");
    html("{\"id\": 1, \"score\": 0, \"images\": [\"a.png\", \"b.png\", \"a.png\", \"a.png\", "
         "\"a.png\", "
         "\"a.png\"]}\n");
    CHECK_EQ(count("<img alt=\"a.png\""), 3);
    CHECK_EQ(count("the image is not there"), 1);
    CHECK_HAS(page, "<small>and 2 more images</small>");
}

/* The n-th picture of the page, of 20 x 10 pixels as the fake decodes all; pixel (x, y). */
static const uint8_t *pixel_of(int n, int x, int y)
{
    static const struct image_limits limits = {10000, VLQA_IMAGE_HF};
    static uint8_t png[4096];
    static struct image image;
    struct env env = {0};
    const char *at = page;
    size_t chars, bytes, bad;
    for (; n >= 0 && at; n--) {
        at = strstr(at, ";base64,");
        at = at ? at + 8 : NULL;
    }
    if (!at) return NULL;
    image_free(&image);
    chars = strcspn(at, "\"");
    if (base64_bytes(chars) > sizeof png || !base64_decode(at, chars, png, &bytes, &bad) ||
        image_decode(&env, png, bytes, "page", &limits, &image) != VLQA_OK || image.width != 20 ||
        image.height != 10)
        return NULL;
    return image.rgb + (size_t)(y * image.width + x) * 3;
}

static int is_red(int n, int x, int y)
{
    const uint8_t *at = pixel_of(n, x, y);
    CHECK(at != NULL);
    return at && at[0] > 80 && at[1] < at[0];
}

TEST(repaired_rows_are_red_on_their_image)
{
    put_file("a.png", "x", 1); /* black */
    html("{\"id\": 1, \"score\": 0, \"image\": [\"a.png\", \"a.png\", \"a.png\"], \"repaired\": "
         "[\"1x2:4\", \"3x3/2:9\", \"2x2:0x\"]}\n");
    CHECK(!is_red(0, 0, 0) && !is_red(0, 9, 9) && is_red(0, 10, 0) && is_red(0, 19, 9));
    CHECK(is_red(1, 12, 5) && !is_red(1, 14, 0) && !is_red(1, 0, 7) && is_red(1, 13, 6));
    CHECK(!is_red(2, 0, 0) && !is_red(2, 19, 9)); /* no such text */
    html("{\"id\": 1, \"score\": 0, \"image\": \"a.png\", \"repaired\": 7}\n");
    CHECK(!is_red(0, 19, 9));
}

#define INSIDE                                                                        \
    "{\"id\": \"a\", \"line\": 2, \"score\": 0, \"image_bytes\": [3], \"repaired\": " \
    "[\"1x2:4\"]}\n"                                                                  \
    "{\"id\": \"c\", \"line\": 4, \"score\": 0, \"image_bytes\": [4, 5]}\n"
/* Images of 54 and 57 bytes: shorter cells would name other rows. */
#define SIX(text) text text text text text text
#define ONE SIX("b25lb25lb25l")
#define FOUR SIX("Zm91Zm91Zm91")
#define TSV                                                                \
    "index\timage\tquestion\tanswer\na\t" ONE "\tq\tx\nb\t" ONE "\tq\tx\n" \
    "c\t\"['" FOUR "', '" FOUR "Zm91']\"\tq\tx\n"
#define OTHER "index\timage\tquestion\nA\t" ONE "\tq\n"

static void inside(const char *header)
{
    static char rows[2048];
    snprintf(rows, sizeof rows, "%s" INSIDE, header);
    html(rows);
}

TEST(images_in_a_tsv_are_found_in_it)
{
    static const char header[] = "{\"vlqa_run\": 1, \"dataset\": \"d.tsv\"}\n";
    inside(header);
    CHECK_EQ(count("the data set is not there"), 3);
    put_file("d.tsv", TSV, sizeof TSV - 1);
    inside(header);
    CHECK_EQ(count("<img"), 3);
    CHECK_EQ(count("<img alt=\"image 2\""), 1);
    CHECK_HAS(calls, "decode image 1 54\ndecode image 1 54\ndecode image 2 57\n");
    CHECK(is_red(0, 19, 9) && !is_red(0, 0, 0) && !is_red(1, 19, 9));
    inside(""); /* nobody says where */
    CHECK_EQ(count("the data set is not there"), 3);
    put_file("d.tsv", TSV, 56); /* cut within the first row */
    inside(header);
    CHECK_EQ(count("the data set is not there"), 3);
    put_file("d.tsv", OTHER, sizeof OTHER - 1); /* another a */
    inside(header);
    CHECK_EQ(count("the data set is not there"), 3);
    remove("d.tsv");
}

TEST(a_tsv_is_looked_for_beside_the_run_and_in_its_command)
{
    static const struct {
        const char *command;
        int found;
    } commands[] = {
        {"vlqa eval my_sets/d.tsv --out x", 1},
        {"vlqa eval --out x my_sets/d.tsv", 1},
        {"vlqa eval 'the sets/d.tsv' -q", 1},
        {"vlqa eval none/d.tsv", 0},
        {"vlqa eval d.ts", 0},
        {"", 0},
    };
    char header[512];
    mkdir("my_sets", 0777);
    mkdir("the sets", 0777);
    mkdir("runs", 0777);
    put_file("my_sets/d.tsv", TSV, sizeof TSV - 1);
    put_file("the sets/d.tsv", TSV, sizeof TSV - 1);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(header, sizeof header,
                 "{\"vlqa_run\": 1, \"dataset\": \"d.tsv\", \"command\": \"%s\"}\n",
                 commands[i].command);
        inside(header);
        CHECK_EQ(count("<img"), commands[i].found ? 3 : 0);
    }
    snprintf(header, sizeof header, "{\"vlqa_run\": 1, \"dataset\": \"d.tsv\"}\n" INSIDE);
    put_file("runs/run.jsonl", header, strlen(header));
    put_file("runs/d.tsv", TSV, sizeof TSV - 1);
    report("out.html", ARGS("runs/run.jsonl"));
    CHECK_EQ(count("<img"), 3);
}

TEST(a_question_that_was_not_asked_says_why)
{
    html("{\"id\": \"q\", \"score\": 0, \"prediction\": \"\", \"error\": \"x.png: no <image>\"}\n");
    CHECK_HAS(page, "<dd>(empty)</dd>\n<dt>not asked</dt><dd>x.png: no &lt;image&gt;</dd>");
    html("{\"id\": \"q\", \"score\": 0, \"prediction\": \"\"}\n");
    CHECK(!strstr(page, "not asked"));
}

TEST(empty_and_small_runs_have_reports)
{
    html("{\"id\": 1, \"prediction\": \"x\"}\n{\"id\": 2, \"score\": null}\n"
         "{\"id\": 3, \"score\": 1}\n");
    CHECK_HAS(page, "Left out: 2 answers without a score.");
    html("{\"id\": \"q\", \"score\": 0.5}\n");
    CHECK_HAS(page, "<dd>questions: 1 question</dd>");
    CHECK_HAS(page, "<bdi>50.00</bdi>");
    CHECK_EQ(count("not recorded"), 4); /* command, commit, model, machine */
    CHECK(strstr(page, "nan") == NULL);
    html("{\"id\": 1, \"score\": 0, \"category\": \"a\"}\n{\"id\": 2, \"score\": 0, \"category\": "
         "\"b\"}\n");
    CHECK(strstr(page, "<h2>Categories</h2>") && !strstr(page, "score of each category"));
    html("{\"id\": \"q\", \"score\": 1, \"variant\": \"none\", \"chunk\": \"grid:2\"}\n");
    CHECK(strstr(page, "nan") == NULL && strstr(page, "Worst") == NULL);
}

TEST(facts_and_times_come_from_where_they_are)
{
    static const char times[] =
        "{\"id\": 1, \"ms\": {\"prefill\": 30, \"decode\": 12.5, \"chunks\": 8, "
        "\"assemble\": 1.5, \"score\": 2.5, \"repair\": 16}}\n";
    put_file("run.jsonl.times", times, sizeof times - 1);
    html("{\"command\": [\"vlqa\", \"eval\", \"d\"], \"machine\": \"m & n\", \"version\": \"7\", "
         "\"commit\": \"c0ffee\", \"cpu\": \"avx2\", \"build\": \"cc 1\"}\n"
         "{\"id\": 1, \"score\": 1, \"digests\": {\"model\": \"abc\"}}\n"
         "{\"id\": 2, \"score\": 1, \"digests\": {\"model\": \"abd\"}}\n");
    remove("run.jsonl.times");
    CHECK_HAS(page, "<dt>command</dt><dd>vlqa eval d</dd>");
    CHECK_HAS(page, "<dt>machine</dt><dd>m &amp; n</dd>\n<dt>instructions</dt><dd>avx2</dd>");
    CHECK_HAS(
        page,
        "<dt>commit</dt><dd>c0ffee</dd>\n<dt>version</dt><dd>7</dd>\n<dt>build</dt><dd>cc 1</dd>");
    CHECK_HAS(page, "<dt>model digest</dt><dd>abc\nabd</dd>");
    CHECK_HAS(page,
              "<bdi>22.0</bdi></td><td class=\"n\"><bdi>1.5"
              "</bdi></td><td class=\"n\"><bdi>2.5</bdi></td><td class=\"n\"><bdi>16.0</bdi></td>"
              "<td class=\"n\"><bdi>12.5</bdi></td>");
    CHECK_HAS(page, "<title>assemble: 1.5</title>");
    CHECK_HAS(page, "<title>repair: 16.0</title>");
    CHECK_HAS(page, "<title>prefill: 2.0</title>"); /* what is left of it */
}

TEST(long_commands_are_told_whole_and_many_are_cut)
{
    static char rows[40000], command[5001];
    char *to = rows;
    memset(command, 'x', 5000);
    to += sprintf(to, "{\"command\": \"vlqa %s end\"}\n", command);
    for (int i = 0; i < 400; i++)
        to += sprintf(to, "{\"command\": \"vlqa eval --seed %d.\"}\n", i);
    sprintf(to, "{\"id\": 1, \"score\": 1}\n");
    html(rows);
    CHECK_HAS(page, "xxx end\nvlqa eval --seed 0.\nvlqa eval --seed 1.\n");
    CHECK_HAS(page, ".\nand others</dd>");
    CHECK_EQ(count("and others"), 1);
}

TEST(a_header_names_the_data_and_times_the_line)
{
    static const char times[] = "{\"vlqa_run\": 1}\n{\"row\": 2, \"ms\": {\"prefill\": 30}}\n"
                                "{\"row\": 1, \"ms\": {\"prefill\": 10}}\n"
                                "{\"row\": 7, \"ms\": {\"prefill\": 99}}\n";
    put_file("run.jsonl.times", times, sizeof times - 1);
    html("{\"vlqa_run\": 1, \"score\": \"max\", \"model\": \"m\", \"model_digest\": \"abc\", "
         "\"cpu\": \"avx2\", "
         "\"dataset\": \"Head\"}\n"
         "{\"id\": 1, \"prediction\": \"x\"}\n"
         "{\"id\": 1, \"score\": 1, \"variant\": \"full\"}\n"
         "{\"id\": 1, \"score\": 0, \"variant\": \"none\", \"chunk\": \"grid:2\", "
         "\"digests\": {\"model\": \"abc\"}}\n");
    remove("run.jsonl.times");
    CHECK_HAS(page, "<dt>model</dt><dd>m</dd>\n<dt>model digest</dt><dd>abc</dd>");
    CHECK_HAS(page, "<dt>command</dt><dd>not recorded</dd>\n<dt>commit</dt><dd>not recorded</dd>");
    CHECK_HAS(page, "<dt>machine</dt><dd>not recorded</dd>\n<dt>instructions</dt><dd>avx2</dd>");
    CHECK_HAS(page, "<dd>Head: 1 question</dd>");
    CHECK_HAS(page, "full prefill</bdi></th><td><bdi>k = 0</bdi></td><td class=\"n\"><bdi>10.0<");
    CHECK_HAS(page, "none</bdi></th><td><bdi>k = 2</bdi></td><td class=\"n\"><bdi>30.0<");
}

TEST(several_files_make_one_report)
{
    static const char a[] = "{\"id\": 1, \"score\": 1, \"dataset\": \"A\"}\n";
    static const char b[] = "{\"id\": 1, \"score\": 0, \"dataset\": \"B\"}\n";
    put_file("a.jsonl", a, sizeof a - 1);
    put_file("b.jsonl", b, sizeof b - 1);
    report("out.html", ARGS("a.jsonl", "b.jsonl"));
    CHECK_HAS(page, "<h1>Evaluation: A, B</h1>");
}

TEST(wrong_runs_are_refused)
{
    static const struct {
        const char *rows, *reason;
        int code;
    } bad[] = {
        {"{\"id\": 1, \"score\": 1}\n{\"id\": 1, \"score\": 0}\n",
         "run.jsonl, line 2: its id was in run.jsonl, line 1", 2},
        {"{\"id\": 1, \"score\": 2}\n", "line 1: score is beyond its range", 2},
        {"{\"id\": 1, \"score\": \"x\"}\n", "line 1: score is string", 2},
        {"{\"score\": 1}\n", "line 1: id is missing", 2},
        {"{\"id\": 1", "line 1", 2},
    };
    struct run *r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file("run.jsonl", bad[i].rows, strlen(bad[i].rows));
        remove("out.html");
        r = run_cli((struct setup){.input = NULL},
                    ARGS("eval", "--report", "out.html", "run.jsonl"));
        CHECK_EQ(r->code, bad[i].code);
        CHECK_HAS(r->err, bad[i].reason);
        CHECK_EQ(get_file("out.html", page, sizeof page), 0);
    }
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--report", "out.pdf", "run.jsonl"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "ends with .html or .md");
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--report", "out.md"));
    CHECK_EQ(r->code, 2);
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--curve", "nowhere.jsonl"));
    CHECK_EQ(r->code, 1);
    r = run_cli((struct setup){.input = NULL}, ARGS("eval", "--score", "em", "a.jsonl", "b.jsonl"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "only --report and --curve take more than one file");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
