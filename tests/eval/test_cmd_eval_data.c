/* test_cmd_eval_data.c - which rows of a data set are asked, in which words, and what a run says of
 * it. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <unistd.h>

#define EVAL "eval", "-m", "x"

static char text[1 << 16];

static void put_text(const char *path, const char *content)
{
    put_file(path, content, strlen(content));
}

static struct run *fake(const char *const *args)
{
    return run_script("answer=blue\nreuse=1\n", args);
}

#define ROW(id, image) \
    "{\"id\": \"" id "\", " image "\"question\": \"Why " id "?\", \"answer\": \"blue\"}\n"
#define SEEN(id) ROW(id, "\"images\": [\"i.png\"], ")

#define GROUPED(id, group) ROW(id, "\"images\": [\"i.png\"], \"group\": " group ", ")

static void put_images(void)
{
    put_text("i.png", "pixels");
    unlink("run.jsonl");
    unlink("run.jsonl.times");
}

/* The suffix of another benchmark stood behind every question, and no word was said. */
TEST(json_rows_are_asked_as_they_stand_unless_a_prompt_is_named)
{
    struct run *r;
    put_images();
    put_text("q.jsonl", SEEN("0"));
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_HAS(r->calls, "ask Why 0? max=");
    CHECK_HAS(r->out, "\nprompt: plain (by default)\n");
    get_file("run.jsonl", text, sizeof text);
    CHECK_HAS(text, "\"prompt\":\"plain\"");
    CHECK_HAS(text, "\"prompt_by\":\"default\"");
    r = fake(
        ARGS(EVAL, "q.jsonl", "--variants", "full", "--out", "run.jsonl", "--prompt", "plain"));
    CHECK_EQ(r->code, 0); /* the same answers: it is resumed, whoever chose */
    CHECK_HAS(r->out, "\nprompt: plain (by choice)\n");
    r = fake(ARGS(EVAL, "q.jsonl", "--variants", "full", "--prompt", "lmms-eval"));
    CHECK_HAS(r->calls, "ask Why 0?\nAnswer the question using a single word or phrase. max=");
    CHECK_HAS(r->out, "\nprompt: lmms-eval (by choice)\n");
    put_text("q.tsv", "index\timage_path\tquestion\tanswer\n0\ti.png\tWhy 0?\tblue\n");
    r = fake(ARGS(EVAL, "q.tsv", "--variants", "full", "--json"));
    CHECK_HAS(r->calls, "ask Why 0?\nAnswer the question using a single word or phrase. max=");
    CHECK_HAS(r->out, "\"prompt\":\"vlmevalkit\",\"prompt_by\":\"default\",");
    r = fake(ARGS(EVAL, "q.tsv", "--variants", "full", "--prompt", "no-such-prompt"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "no-such-prompt is neither plain, vlmevalkit, ");
}

TEST(rows_without_an_image_are_not_asked_blind_in_silence)
{
    static const char *const sets[][2] = {
        {"b.jsonl", SEEN("0") ROW("1", "") ROW("2", "\"image\": null, ") SEEN("3")},
        {"b.json", "[{\"id\": 0, \"img\": \"i.png\", \"question\": \"Why 0?\", \"answer\": 1}, "
                   "{\"id\": 1, \"question\": \"Why 1?\", \"answer\": 1}, "
                   "{\"id\": 2, \"img\": \"\", \"question\": \"Why 2?\", \"answer\": 1}, "
                   "{\"id\": 3, \"imgname\": \"i.png\", \"question\": \"Why 3?\", \"answer\": 1}]"},
        {"b.tsv", "index\timage_path\tquestion\tanswer\n0\ti.png\tWhy 0?\tblue\n1\t\tWhy 1?\tblue\n"
                  "2\tnan\tWhy 2?\tblue\n3\ti.png\tWhy 3?\tblue\n"}};
    for (int i = 0; i < 3; i++) {
        struct run *r;
        put_images();
        put_text(sets[i][0], sets[i][1]);
        r = fake(ARGS(EVAL, sets[i][0], "--variants", "full", "--out", "run.jsonl"));
        CHECK_EQ(r->code, 0);
        CHECK_HAS(r->err, "2 rows have no image; left out (--without-image ask asks them)\n");
        CHECK_HAS(r->out, ", 2 questions about 1 document\n");
        CHECK_HAS(r->out, "\n2 rows have no image; left out (--without-image ask asks them)\n");
        CHECK(strstr(r->calls, "ask Why 0?") && strstr(r->calls, "ask Why 3?"));
        CHECK(!strstr(r->calls, "ask Why 1?") && !strstr(r->calls, "ask Why 2?"));
        get_file("run.jsonl", text, sizeof text);
        CHECK_HAS(text, "\"rows_without_image\":2,\"without_image\":\"skip\",\"questions\":2,");
        r = fake(ARGS("eval", "--report", "out.md", "run.jsonl"));
        CHECK_EQ(r->code, 0);
        get_file("out.md", text, sizeof text);
        CHECK_HAS(text, "2 rows, left out");
        r = fake(ARGS(EVAL, sets[i][0], "--variants", "full", "--json", "--without-image", "ask"));
        CHECK_EQ(r->code, 0);
        CHECK_HAS(r->err, "2 rows have no image; asked without one\n");
        CHECK_HAS(r->out, "\"rows_without_image\":2,\"without_image\":\"ask\",");
        CHECK(strstr(r->calls, "ask Why 1?") && strstr(r->calls, "ask Why 2?"));
        r = fake(ARGS(EVAL, sets[i][0], "--variants", "full", "--limit", "2"));
        CHECK(strstr(r->calls, "ask Why 3?") && !strstr(r->calls, "ask Why 1?"));
        r = fake(ARGS("eval", "--list", sets[i][0]));
        CHECK_HAS(r->err, "2 rows have no image; left out");
        CHECK(strstr(r->out, "Why 3?") && !strstr(r->out, "Why 1?"));
    }
}

TEST(a_data_set_of_texts_is_asked_and_named_as_one)
{
    struct run *r;
    put_text("t.jsonl", ROW("0", "") ROW("1", ""));
    r = fake(ARGS(EVAL, "t.jsonl", "--variants", "full"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "no row of t.jsonl has an image: its questions are asked as texts\n");
    CHECK_HAS(r->out, ", 2 questions\n");
    put_text("t.jsonl", ROW("0", "\"texts\": \"long\", "));
    CHECK_STR(fake(ARGS(EVAL, "t.jsonl", "--variants", "full"))->err, "");
}

/* A run of hours was written that --compare and --report then refused. */
TEST(an_id_that_is_there_twice_is_told_before_anything_is_asked)
{
    static const char *const sets[][2] = {
        {"d.jsonl", SEEN("a") SEEN("b") "\n" SEEN("a")},
        {"d.json",
         "[" ROW("a", "\"image\": \"i.png\", ") "," ROW("b", "\"image\": \"i.png\", ") "," ROW(
             "c", "\"image\": \"i.png\", ") "," ROW("a", "\"image\": \"i.png\", ") "]"},
        {"d.tsv", "index\timage_path\tquestion\tanswer\na\ti.png\tq\tx\nb\ti.png\tq\tx\n"
                  "a\ti.png\tq\tx\n"}};
    static const char *const places[] = {"d.jsonl, line 4: its id, a, is that of line 1, too",
                                         "d.json, row 4: its id, a, is that of row 1, too",
                                         "d.tsv, line 4: its id, a, is that of line 2, too"};
    for (int i = 0; i < 3; i++) {
        struct run *r;
        put_images();
        put_text(sets[i][0], sets[i][1]);
        r = fake(ARGS(EVAL, sets[i][0], "--variants", "full", "--out", "run.jsonl"));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, places[i]);
        CHECK_STR(r->calls, "");
        CHECK(access("run.jsonl", F_OK) != 0);
        r = fake(ARGS("eval", "--list", sets[i][0]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, places[i]);
        CHECK_EQ(fake(ARGS(EVAL, sets[i][0], "--variants", "full", "--limit", "2"))->code, 0);
    }
}

TEST(an_image_that_is_a_pointer_of_git_lfs_is_named)
{
    struct run *r;
    put_text("p.png", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 11\n");
    put_text("p.jsonl", ROW("0", "\"image\": \"p.png\", "));
    unlink("run.jsonl");
    r = fake(ARGS(EVAL, "p.jsonl", "--variants", "full", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 3);
    CHECK_HAS(r->err,
              "p.jsonl, line 1 (0): p.png is a Git LFS pointer, not the file of 11 bytes itself: ");
    get_file("run.jsonl", text, sizeof text);
    CHECK_HAS(text, "\"error\":\"p.png is a Git LFS pointer");
}

TEST(many_ids_are_told_apart)
{
    static char rows[1 << 18];
    char *at = rows;
    for (int i = 0; i < 3000; i++)
        at += sprintf(at, "{\"id\": \"%d\", \"question\": \"q\"}\n", i);
    put_text("m.jsonl", rows);
    CHECK_EQ(fake(ARGS("eval", "--list", "m.jsonl"))->code, 0);
    at += sprintf(at, "{\"id\": \"1234\", \"question\": \"q\"}\n");
    put_text("m.jsonl", rows);
    CHECK_HAS(fake(ARGS("eval", "--list", "m.jsonl"))->err,
              "m.jsonl, line 3001: its id, 1234, is that of line 1235, too");
}

TEST(a_key_near_a_known_one_stops_the_run_before_the_model_is_opened)
{
    struct run *r;
    put_text("k.jsonl", SEEN("0") ROW("1", "\"Image\": \"i.png\", "));
    r = fake(ARGS(EVAL, "k.jsonl", "--variants", "full"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "k.jsonl, line 2: unknown key Image; write image if it is meant");
    CHECK_STR(r->calls, "");
}

/* It was said to be a file of another version. */
TEST(a_study_that_was_begun_with_calibrate_says_so)
{
#define STUDY                                                                             \
    "study", "-m", "x", "s.jsonl", "--variants", "infoflow", "--out", "s.out", "--chunk", \
        "grid:2", "--ratios", "0.2"
    struct run *r;
    put_images();
    put_text("s.jsonl", SEEN("0"));
    CHECK_EQ(fake(ARGS(STUDY, "--calibrate", "--cache-dir", "c"))->code, 0);
    r = fake(ARGS(STUDY, "--cache-dir", "c"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "calibrate was 1 and is nothing now");
    unlink("s.out");
    CHECK_EQ(fake(ARGS(STUDY))->code, 0);
    r = fake(ARGS(STUDY, "--calibrate", "--cache-dir", "c"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "calibrate was nothing and is 1 now");
}

/* By their images and texts in their order; a member "group" says otherwise. Questions that have no
 * document are by themselves. */
TEST(questions_belong_together_by_their_documents)
{
    static const struct {
        const char *rows, *told;
    } sets[] = {
        {SEEN("0") SEEN("1") SEEN("2"), "3 questions about 1 document"},
        {SEEN("0") ROW("1", "\"images\": [\"j.png\"], ") SEEN("2"),
         "3 questions about 2 documents"},
        {ROW("0", "\"images\": [\"i.png\", \"j.png\"], ")
             ROW("1", "\"images\": [\"j.png\", \"i.png\"], "),
         "2 questions"},
        {ROW("0", "\"images\": [\"i.png\"], \"texts\": [\"a\"], ")
             ROW("1", "\"images\": [\"i.png\"], \"texts\": [\"b\"], "),
         "2 questions"},
        {ROW("0", "") ROW("1", ""), "2 questions"},
        {GROUPED("0", "\"x\"") GROUPED("1", "\"y\""), "2 questions"},
        {GROUPED("0", "7") ROW("1", "\"images\": [\"j.png\"], \"group\": 7, "),
         "2 questions about 1 document"},
    };
    put_images();
    put_text("j.png", "others");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char told[64];
        struct run *r;
        put_text("t.jsonl", sets[i].rows);
        unlink("run.jsonl");
        r = fake(ARGS(EVAL, "t.jsonl", "--variants", "full", "--out", "run.jsonl"));
        CHECK_EQ(r->code, 0);
        snprintf(told, sizeof told, "em, %s\n", sets[i].told);
        CHECK_HAS(r->out, told);
        r = fake(ARGS("eval", "--curve", "run.jsonl")); /* the file says the same */
        snprintf(told, sizeof told, "t.jsonl%s%s\n", strstr(sets[i].told, "about") ? ", " : "",
                 strstr(sets[i].told, "about") ? sets[i].told : "");
        CHECK_HAS(r->out, told);
    }
}

TEST(a_group_of_another_kind_is_refused)
{
    struct run *r;
    put_images();
    put_text("t.jsonl", GROUPED("0", "[\"a\"]"));
    r = fake(ARGS(EVAL, "t.jsonl", "--variants", "full"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "group is array, expected a text or a number");
}

TEST(a_key_that_is_nearly_group_is_refused)
{
    struct run *r;
    put_images();
    put_text("t.jsonl", ROW("0", "\"images\": [\"i.png\"], \"groups\": \"x\", "));
    r = fake(ARGS(EVAL, "t.jsonl", "--variants", "full"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "group");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
