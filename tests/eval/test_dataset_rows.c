/* test_dataset_rows.c - rows as people write them, and those that must not be asked in silence. */
#include "tests/eval/read_dataset.h"

TEST(json_arrays_have_the_rows_of_json_lines)
{
    CHECK_STR(read_all(put_text("a.json", "\xef\xbb\xbf [{\"question\": \"q\", \"images\": "
                                          "[\"/a.png\"], \"answer\": 7910.0},\n"
                                          "{\"query\": \"r\", \"imgname\": \"/b.png\", "
                                          "\"label\": [\"x\", 8]}]"),
                       NULL),
              "1:q:/a.png|7910.0;2:r:/b.png|x|8;");
    CHECK_HAS(read_all(put_text("a.json", "[{\"question\": \"q\"}, {\"question\": 7}]"), NULL),
              "/a.json, row 2: question is number");
    CHECK_HAS(read_all(put_text("a.json", "[7]"), NULL), "row 1: is number, expected an object");
}

TEST(numeric_answers_are_texts_as_they_are_written)
{
    CHECK_STR(read_all(put_text("n.jsonl", "{\"question\": \"-1\", \"answer\": 8900}\n"
                                           "{\"question\": \"q\", \"answer\": 7910.0, \"n\": "
                                           "[1, {\"m\": -2}]}\n"
                                           "{\"question\": \"q\\\" 5\", \"n\": 1, "
                                           "\"answers\": [1e3, \"x 2\", -0.50]}\n"),
                       NULL),
              "1:-1:|8900;2:q:|7910.0;3:q\" 5:|1e3|x 2|-0.50;");
    CHECK_STR(read_all(put_text("n.json",
                                "{\"data\": [{\"question\": \"q\", \"image\": \"a\", \"answers\": "
                                "[7910.0, \"x\"]}]}"),
                       &(struct dataset_options){.images = "i"}),
              "1:q:i/a|7910.0|x;");
    CHECK_HAS(read_all(put_text("n.jsonl", "{\"question\": \"q\", \"answer\": true}"), NULL),
              "line 1: answer holds bool");
}

TEST(options_may_be_a_list)
{
    struct dataset *d;
    const struct dataset_item *item;
    REQUIRE(dataset_open(&env,
                         put_text("o.jsonl", "{\"question\": \"q\", \"choices\": [\"x\", 2], "
                                             "\"answer\": \"B\"}"),
                         NULL, &d) == VLQA_OK);
    REQUIRE(dataset_next(&env, d, &item) == VLQA_OK && item && item->n_options == 2);
    CHECK(item->option[1].letter == 'B' && item->option[1].text.at[0] == '2');
    CHECK_EQ(item->letter, 'B');
    CHECK_EQ(item->metric, METRIC_MCQ);
    dataset_close(d);
}

TEST(a_byte_order_mark_is_skipped_and_utf_16_is_named)
{
    CHECK_STR(read_all(put_text("b.jsonl", "\xef\xbb\xbf{\"question\": \"q\"}\n\xef\xbb\xbf"
                                           "{\"question\": \"r\"}\n\xef\xbb\xbf"),
                       NULL),
              "1:q:;2:r:;");
    CHECK_HAS(read_all(put("b.jsonl", "\xff\xfe{\0\"\0q\0", 8), NULL), "is UTF-16");
    CHECK_HAS(read_all(put("b.jsonl", "{\0\"\0q\0", 6), NULL), "is UTF-16");
    CHECK_HAS(read_all(put("b.tsv", "\xff\xfeq\0u\0e\0", 8), NULL), "is UTF-16");
    CHECK_HAS(read_all(put("b.json", "\xfe\xff\0[", 4), NULL), "is UTF-16");
}

TEST(a_pointer_of_git_lfs_is_named_and_not_read_as_data)
{
#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 11\n"
    static const char *const names[] = {"p.jsonl", "p.tsv", "p.json"};
    for (int i = 0; i < 3; i++)
        CHECK_HAS(read_all(put_text(names[i], POINTER), NULL), " is a Git LFS pointer, not ");
}

/* They were asked without an image, and no word was said. */
TEST(rows_without_an_image_are_left_out_and_counted_unless_none_has_one)
{
    static const struct {
        const char *name, *text, *skipped, *kept;
    } set[] = {{"n.tsv",
                "index\timage\tquestion\n0\t\ta\n1\t" LONG_IMAGE "\tb\n2\tnan\tc\n3\tNone\td\n",
                "1:b:" LONG_TEXT ";", "0:a:;1:b:" LONG_TEXT ";2:c:;3:d:;"},
               {"p.tsv", "index\timage_path\tquestion\n0\t\ta\n1\t/x.png\tb\n2\tnan\tc\n3\t\td\n",
                "1:b:/x.png;", "0:a:;1:b:/x.png;2:c:;3:d:;"},
               {"n.jsonl",
                "{\"question\": \"a\"}\n{\"question\": \"b\", \"images\": [\"/x.png\"]}\n"
                "{\"question\": \"c\", \"image\": null}\n{\"question\": \"d\", \"image\": \"\"}",
                "2:b:/x.png;", "1:a:;2:b:/x.png;3:c:;4:d:;"},
               {"n.json",
                "[{\"question\": \"a\"}, {\"question\": \"b\", \"img\": \"/x.png\"}, "
                "{\"question\": \"c\"}, {\"question\": \"d\", \"images\": []}]",
                "2:b:/x.png;", "1:a:;2:b:/x.png;3:c:;4:d:;"}};
    for (int i = 0; i < 4; i++) {
        const char *path = put_text(set[i].name, set[i].text);
        struct dataset *d;
        const struct dataset_item *item;
        CHECK_STR(read_all(path, NULL), set[i].skipped);
        CHECK_STR(read_all(path, &(struct dataset_options){.keep_blind = 1}), set[i].kept);
        REQUIRE(dataset_open(&env, path, NULL, &d) == VLQA_OK);
        while (dataset_next(&env, d, &item) == VLQA_OK && item)
            ;
        CHECK_EQ(dataset_blind_rows(d), 3);
        dataset_close(d);
    }
    CHECK_STR(read_all(put_text("t.jsonl", "{\"question\": \"a\"}\n{\"question\": \"b\"}"), NULL),
              "1:a:;2:b:;");
    CHECK_STR(read_all(put_text("t.tsv", "index\tquestion\n0\ta\n1\tb\n"), NULL), "0:a:;1:b:;");
    CHECK_STR(read_all(put_text("t.jsonl", "{\"question\": \"a\", \"image\": \"/x.png\"}\n"
                                           "{\"question\": \"b\", \"texts\": \"long\"}"),
                       NULL),
              "1:a:/x.png;2:b:;");
}

TEST(columns_near_ours_are_refused_by_name)
{
    static const char *const bad[][2] = {
        {"Image\tquestion", "line 1: unknown column Image; write image if it is meant"},
        {"images\tquestion", "unknown column images; write image"},
        {"img\tquestion", "unknown column img, and none is image or image_path"},
        {"image_file\tquestion", "unknown column image_file, and none is image"},
        {"image\tquestion\tQuestion", "unknown column Question; write question"},
        {"image\tquestion\ta\tb", "unknown column a; write A if the option is meant"},
        {"image\tquestion\t\"Answer\"", "unknown column Answer; write answer"},
        {"image\tquestion\tcategories", "unknown column categories; write category"}};
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "%s\n", bad[i][0]);
        CHECK_HAS(read_all(put_text("bad.tsv", text), NULL), bad[i][1]);
    }
    CHECK_STR(read_all(put_text("ok.tsv", "image_path\tquestion\timage_id\tl2-category\t_Image\n"
                                          "/x.png\tq\t1\t2\t3\n"),
                       NULL),
              "1:q:/x.png;");
    CHECK_STR(read_all(put_text("ok.tsv", "image_path\tquestion\nx.png\tq\n"),
                       &(struct dataset_options){.images = "i"}),
              "1:q:i/x.png;");
}

int main(int argc, char **argv)
{
    return run_in_scratch(argc, argv);
}
