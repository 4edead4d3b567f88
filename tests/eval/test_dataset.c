/* test_dataset.c - rows of every layout with their prompts and images; files that are refused. */
#include "eval/data/dataset.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "eval/data/base64.h"
#include "eval/data/lines.h"
#include "eval/data/prompt_form.h"
#include "eval/data/pylist.h"
#include "tests/eval/read_dataset.h"

#include <sodium.h>
#include <sys/stat.h>

#define FORMATS VLQA_SOURCE_DIR "/../shared/data/formats/"

static void make_dir(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    if (mkdir(path, 0777) != 0) abort();
}

static const char *prompt_of(const char *style, const struct dataset_item *item)
{
    static char out[4096];
    struct prompt_form *form = NULL;
    const char *prompt = NULL;
    out[0] = 0;
    if (prompt_form_open(&env, style, &form) != VLQA_OK ||
        prompt_form_make(&env, form, item, &prompt) != VLQA_OK)
        snprintf(out, sizeof out, "none: %s", env.message);
    else
        snprintf(out, sizeof out, "%s", prompt);
    prompt_form_close(form);
    return out;
}

/* ---- the samples of every layout ---- */

static void hex_of(const struct dataset_image *image, char out[65])
{
    uint8_t hash[32];
    void *data = NULL;
    size_t bytes = 0;
    out[0] = 0;
    if (image->path && file_read(&env, image->path, 1 << 28, &data, &bytes) != VLQA_OK) return;
    crypto_hash_sha256(hash, image->path ? data : image->data, image->path ? bytes : image->bytes);
    heap_free(data);
    for (int i = 0; i < 32; i++)
        sprintf(out + 2 * i, "%02x", hash[i]);
}

static void check_text(const char *what, const char *found, const struct json *expected)
{
    const char *text = json_text(expected);
    if (expected && (!text || !found || strcmp(found, text) != 0))
        CHECK_FAIL("%s is '%s', expected '%s'", what, found ? found : "(null)", text);
}

static void check_answers(const struct dataset_item *item, const struct json *row)
{
    const struct json *i = json_first(json_get(row, "answers"));
    const char *cell = json_text(json_get(row, "answer_cell"));
    static _Alignas(64) char memory[1 << 16];
    struct arena arena = arena_over(memory, sizeof memory);
    struct text *list = NULL, one;
    int n = 0;
    if (cell && !pylist_read(text_of(cell), &arena, &list, &n)) {
        one = text_of(cell);
        list = &one;
        n = 1;
    }
    if (!cell) n = json_count(json_get(row, "answers"));
    CHECK_EQ(item->n_answers, n);
    for (int k = 0; k < item->n_answers && k < n; k++, i = json_next(i)) {
        struct text expected = cell ? list[k] : text_of(json_text(i));
        CHECK(item->answer[k].bytes == expected.bytes &&
              memcmp(item->answer[k].at, expected.at, expected.bytes) == 0);
    }
}

static void check_options(const struct dataset_item *item, const struct json *row)
{
    int k = 0;
    for (const struct json *i = json_first(json_get(row, "options")); i; i = json_next(i), k++) {
        const char *text = json_text(i);
        REQUIRE(k < item->n_options);
        CHECK_EQ(item->option[k].letter, json_name(i)[0]);
        CHECK(item->option[k].text.bytes == strlen(text) &&
              memcmp(item->option[k].text.at, text, strlen(text)) == 0);
    }
    CHECK_EQ(item->n_options, k);
}

static void check_images(const struct dataset_item *item, const struct json *row)
{
    const struct json *hash = json_get(row, "image_sha256");
    int is_list = json_kind(hash) == JSON_ARRAY, k = 0;
    for (const struct json *i = is_list ? json_first(hash) : hash; i;
         i = is_list ? json_next(i) : NULL, k++) {
        char hex[65];
        REQUIRE(k < item->n_images);
        hex_of(&item->image[k], hex);
        CHECK_STR(hex, json_text(i));
    }
    CHECK_EQ(item->n_images, k);
}

static int n_prompts;

static void check_item(const struct dataset_item *item, const struct json *row)
{
    static const char *const styles[][2] = {{"vlmevalkit", "vlmevalkit_dataset_default"},
                                            {"qwen", "vlmevalkit_qwen3vl_custom"},
                                            {"lmms-eval", "lmms_eval"},
                                            {"infoflow", "infoflow_own_adapter"}};
    double id = json_number(json_get(row, "id")), cycle;
    const struct json *prompts = json_get(row, "prompts");
    if (isnan(id)) id = json_number(json_get(row, "index"));
    cycle = json_number(json_get(row, "cycle_category"));
    if (!isnan(id)) CHECK(atof(item->id) - id == 0);
    if (!isnan(cycle)) CHECK(item->cycle && atof(item->cycle) - cycle == 0);
    check_text("question", item->question, json_get(row, "question"));
    check_text("split", item->split, json_get(row, "split"));
    check_text("category", item->category, json_get(row, "category"));
    check_answers(item, row);
    check_options(item, row);
    check_images(item, row);
    for (int i = 0; i < 4; i++)
        if (json_get(prompts, styles[i][1])) {
            n_prompts++;
            check_text(styles[i][1], prompt_of(styles[i][0], item),
                       json_get(prompts, styles[i][1]));
        }
}

/* One data set, from where the lines of expected.jsonl are to where its rows end. */
static int check_layout(const char *path, struct lines *lines)
{
    struct dataset *d = NULL;
    const struct dataset_item *item = NULL;
    int n = 0;
    if (dataset_open(&env, path, NULL, &d) != VLQA_OK) {
        CHECK_FAIL("%s", env.message);
        return 0;
    }
    while (dataset_next(&env, d, &item) == VLQA_OK && item) {
        struct json_doc *doc = NULL;
        const char *line;
        size_t bytes;
        if (lines_next_full(&env, lines, &line, &bytes) != VLQA_OK || !line ||
            json_parse(&env, "expected", line, bytes, 1 << 20, &doc) != VLQA_OK) {
            CHECK_FAIL("%s: a row too many", path);
            break;
        }
        check_item(item, json_root(doc));
        json_free(doc);
        n++;
    }
    if (item) CHECK_FAIL("%s", env.message);
    dataset_close(d);
    return n;
}

TEST(every_row_of_every_layout_is_read_with_its_prompts)
{
    static const char *const files[] = {"chartqa_folder",
                                        "infographicvqa/infographicsVQA_val_v1.0_withQT.json",
                                        "vlmevalkit/ChartQA_TEST.tsv",
                                        "vlmevalkit/InfoVQA_VAL.tsv",
                                        "vlmevalkit/RealWorldQA.tsv",
                                        "vlmevalkit/HRBench4K.tsv",
                                        "vlmevalkit/OCRBench.tsv",
                                        "vlmevalkit/MultiImage.tsv"};
    static const int rows[] = {12, 14, 9, 6, 5, 12, 5, 1};
    struct lines lines;
    const char *line;
    size_t bytes;
    char path[512];
    if (lines_open(&env, FORMATS "expected.jsonl", &lines) != VLQA_OK) SKIP("no ../shared/data");
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, FORMATS "%s", files[i]);
        CHECK_EQ(check_layout(path, &lines), rows[i]);
    }
    CHECK(lines_next_full(&env, &lines, &line, &bytes) == VLQA_OK && !line);
    CHECK_EQ(n_prompts, 2 * 64 + 12 + 14 + 9 + 6 + 12 + 5 + 12 + 9 + 5);
    lines_close(&lines);
}

/* Those of the shared rows that are JSON lines of our own form. */
TEST(generic_rows_name_their_metric)
{
    struct dataset *d;
    const struct dataset_item *item;
    int of[N_METRICS] = {0};
    if (dataset_open(&env, FORMATS "jsonl/mixed.jsonl", NULL, &d) != VLQA_OK)
        SKIP("no ../shared/data");
    while (dataset_next(&env, d, &item) == VLQA_OK && item) {
        char hex[65];
        of[item->metric]++;
        CHECK_EQ(item->n_images, 1);
        hex_of(&item->image[0], hex);
        CHECK(hex[0]);
        CHECK_EQ(item->n_options > 0, item->metric == METRIC_MCQ);
    }
    CHECK(!item);
    CHECK(of[METRIC_CHARTQA] == 4 && of[METRIC_MCQ] == 2 && of[METRIC_OCRBENCH] == 2);
    dataset_close(d);
}

/* ---- samples by hand ---- */

TEST(tsv_cells_are_unquoted_and_images_referred_to)
{
    CHECK_STR(
        read_all(put_text("t.tsv", "\xef\xbb\xbfquestion\tindex\tmore\timage\tanswer\r\n"
                                   "\"a \"\"q\"\"\tand\nb\"\t7\tx\t" LONG_IMAGE "\t['x', 1]\r\n"
                                   "\r\n"
                                   "second\tr9\t\"\"\t7\t"),
                 NULL),
        "7:a \"q\"\tand\nb:" LONG_TEXT "|x|1;r9:second:" LONG_TEXT ";");
    CHECK_STR(read_all(put_text("t.tsv", "index\timage\tquestion\n"
                                         "0\t1\tforward\n"
                                         "1\t['" LONG_IMAGE "', 'eHl6']\tlist\n"),
                       NULL),
              "0:forward:" LONG_TEXT ",xyz;1:list:" LONG_TEXT ",xyz;");
    CHECK_HAS(read_all(put_text("t.tsv", "image_path\tquestion\na/b.png\tq\n"), NULL), "/a/b.png;");
}

TEST(broken_tsv_is_refused_with_its_line)
{
    static const struct {
        const char *text, *reason;
    } bad[] = {
        {"", "line 1: the header has no column question"},
        {"index\tanswer\n", "line 1: the header has no column question"},
        {"question\tquestion\n", "line 1: the column question is there twice"},
        {"question\tanswer\nq\ta\nq\n", "line 3: has 1 cells, expected 2"},
        {"question\tanswer\nq\ta\tb\n", "line 2: has 3 cells, expected 2"},
        {"question\tanswer\n\"a\nb\"\tx\n\"q", "line 4: a quoted cell does not end"},
        {"question\tanswer\n\"q\"x\ta\n", "line 2: a character behind a quoted cell"},
        {"question\timage\nq\t" LONG_IMAGE "!AAA\n", "line 2: image is no base64: character 89"},
        {"question\timage\nq\t" LONG_IMAGE "AA\n", "line 2: image is no base64: it ends at"},
        {"question\timage\nq\t['" LONG_IMAGE "\n", "line 2: image begins as a list"},
        {"question\timage\tindex\nq\t5\t4\n", "line 2: image is 5, which is no row"},
        {"question\timage\tindex\nq\t4\t4\n", "line 2: image is 4, which is no row with"},
        {"question\nq\n\xff\n", "line 3: question is not UTF-8"},
        {"question\tanswer\n\ta\n", "line 2: question is empty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *found = read_all(put_text("bad.tsv", bad[i].text), NULL);
        CHECK_HAS(found, "/bad.tsv, ");
        CHECK_HAS(found, bad[i].reason);
    }
    CHECK_HAS(read_all(put("bad.tsv", "question\na\0b\n", 13), NULL),
              "line 2: question holds a NUL");
}

TEST(cells_of_tens_of_megabytes_are_read)
{
    enum { CHARS = 24 << 20 };
    char *file = heap_alloc(CHARS + 100), *at = file;
    struct dataset *d;
    const struct dataset_item *item;
    const char *path;
    REQUIRE(file);
    at += sprintf(at, "question\timage\nq\t");
    memset(at, 'A', CHARS);
    at += CHARS;
    at += sprintf(at, "\n");
    path = put("large.tsv", file, (size_t)(at - file));
    REQUIRE(dataset_open(&env, path, NULL, &d) == VLQA_OK);
    REQUIRE(dataset_next(&env, d, &item) == VLQA_OK && item);
    CHECK_EQ(item->image[0].bytes, CHARS / 4 * 3);
    CHECK(truncate(path, CHARS / 2) == 0); /* cut off while it is read */
    CHECK_EQ(dataset_next(&env, d, &item), VLQA_OK);
    CHECK(!item);
    dataset_close(d);
    heap_free(file);
}

TEST(a_tsv_that_is_cut_while_it_is_read_is_an_error)
{
    const char *path = put_text("cut.tsv", "question\na\nb\n");
    struct dataset *d;
    const struct dataset_item *item;
    REQUIRE(dataset_open(&env, path, NULL, &d) == VLQA_OK);
    REQUIRE(dataset_next(&env, d, &item) == VLQA_OK);
    REQUIRE(truncate(path, 0) == 0);
    CHECK_EQ(dataset_next(&env, d, &item), VLQA_EIO);
    dataset_close(d);
}

TEST(chartqa_is_a_folder_of_splits)
{
    char expected[512];
    make_dir("c");
    make_dir("c/ChartQA Dataset");
    make_dir("c/ChartQA Dataset/val");
    put_text("c/ChartQA Dataset/val/val_augmented.json",
             "[{\"imgname\": \"2.png\", \"query\": \"b\", \"label\": \"[7, 9]\"}]");
    put_text("c/ChartQA Dataset/val/val_human.json",
             "[{\"imgname\": \"1.png\", \"query\": \"a\", \"label\": \"x\"}]");
    snprintf(expected, sizeof expected,
             "human-1:a:%s/c/ChartQA Dataset/val/png/1.png|x;"
             "augmented-1:b:%s/c/ChartQA Dataset/val/png/2.png|7|9;",
             scratch, scratch);
    put_text("x", "");
    {
        char folder[128];
        snprintf(folder, sizeof folder, "%s/c", scratch);
        CHECK_STR(read_all(folder, &(struct dataset_options){.split = "val"}), expected);
        CHECK_HAS(read_all(folder, NULL), "no ChartQA in it: neither test_human.json");
        CHECK_HAS(read_all(folder, &(struct dataset_options){.split = "dev"}), "split dev");
        put_text("c/ChartQA Dataset/val/val_human.json",
                 "[{\"imgname\": \"1.png\", \"query\": \"a\", \"label\": \"x\"}, "
                 "{\"imgname\": \"1.png\", \"query\": \"a\"}]");
        CHECK_HAS(read_all(folder, &(struct dataset_options){.split = "val"}),
                  "val_human.json, row 2: label is missing, expected a text");
    }
}

TEST(official_json_finds_its_images)
{
    static const char doc[] =
        "{\"dataset_name\": \"docvqa\", \"data\": [{\"questionId\": 5, \"question\": \"q\", "
        "\"image\": \"documents/1.png\", \"answers\": [\"x\", \"y\"]}, {\"questionId\": 6, "
        "\"question\": \"r\", \"image\": \"documents/2.png\"}]}";
    const char *path = put_text("v.json", doc);
    char file[256], expected[512];
    snprintf(file, sizeof file, "%s", path);
    CHECK_HAS(read_all(file, NULL), "v.json, row 1: image documents/1.png is not beside the file");
    CHECK_STR(read_all(file, &(struct dataset_options){.images = "else/where"}),
              "5:q:else/where/documents/1.png|x|y;6:r:else/where/documents/2.png;");
    make_dir("images");
    make_dir("images/documents");
    put_text("images/documents/1.png", "");
    snprintf(expected, sizeof expected,
             "5:q:%s/images/documents/1.png|x|y;6:r:%s/images/documents/2.png;", scratch, scratch);
    CHECK_STR(read_all(file, NULL), expected);
    CHECK_HAS(read_all(put_text("v.json", "{\"data\": [{]}"), NULL), "/v.json: ");
    CHECK_STR(read_all(put_text("v.json", "[]"), NULL), "");
    CHECK_HAS(read_all(put_text("v.json", "{\"data\": [7]}"), NULL), "row 1: is number");
}

TEST(json_lines_are_read_one_by_one)
{
    static const char *const bad[][2] = {
        {"{\"question\": 7}", "line 2: question is number"},
        {"{\"question\": \"q\"", "line 2: "},
        {"{\"question\": \"q\", \"image\": [7]}", "line 2: image holds number"},
        {"{\"question\": \"q\", \"metric\": \"bleu\"}", "line 2: metric is bleu"},
        {"{\"question\": \"q\", \"metric\": \"mcq\"}", "line 2: metric mcq needs options"},
        {"{\"question\": \"q\", \"options\": {\"a\": \"x\"}}", "line 2: options: a is string"},
        {"[]", "line 2: is array, expected an object"}};
    char text[512];
    CHECK_STR(read_all(put_text("r.jsonl", "{\"question\": \"q\", \"id\": 1.5, \"image\": "
                                           "[\"/a.png\", \"/b.png\"], \"answers\": \"x\"}\n\n"
                                           "{\"question\": \"r\", \"answer\": \"y\"}\n"),
                       NULL),
              "1.5:q:/a.png,/b.png|x;");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"question\": \"q\"}\n%s", bad[i][0]);
        CHECK_HAS(read_all(put_text("bad.jsonl", text), NULL), bad[i][1]);
    }
}

TEST(longbench_has_its_own_words)
{
    const char *path =
        put_text("hotpotqa.jsonl", "{\"input\": \"Who?\", \"context\": \"Passage 1\", \"answers\": "
                                   "[\"x\"], \"dataset\": \"hotpotqa\", \"_id\": \"ab\"}\n");
    struct dataset *d;
    const struct dataset_item *item;
    struct prompt_form *form;
    REQUIRE(dataset_open(&env, path, NULL, &d) == VLQA_OK);
    REQUIRE(dataset_next(&env, d, &item) == VLQA_OK && item);
    CHECK_STR(item->id, "ab");
    CHECK_EQ(item->metric, METRIC_F1);
    CHECK_STR(item->text[0], "Passage 1");
    REQUIRE(prompt_form_open(&env, "vlmevalkit", &form) == VLQA_OK);
    CHECK_HAS(prompt_form_before(form, item), "The following are given passages.\n");
    CHECK_HAS(prompt_of("vlmevalkit", item), "any other words.\n\nQuestion: Who?\nAnswer:");
    prompt_form_close(form);
    dataset_close(d);
}

TEST(prompts_come_from_files_too)
{
    struct dataset_item item = {.question = " q ", .kind = DATASET_REALWORLDQA, .hint = "h"};
    item.option[0] = (struct metric_option){'A', text_of("x")};
    item.option[1] = (struct metric_option){'C', text_of("y")};
    item.n_options = 2;
    CHECK_STR(prompt_of(put_text("p", "{hint}|{question}|{options}|{other}{question}"), &item),
              "h| q |A. x\nC. y|{other} q ");
    CHECK_STR(prompt_of("vlmevalkit", &item),
              "Hint: h\nQuestion:  q \nOptions:\nA. x\nC. y\n"
              "Please select the correct answer from the options above. \n");
    CHECK_STR(prompt_of("lmms-eval", &item),
              "q\nA. x\nC. y\nAnswer with the option's letter from the given choices directly.");
    CHECK_HAS(prompt_of(put_text("p", "question"), &item), "no {question} in it");
    CHECK_HAS(prompt_of("nowhere", &item), "nowhere is neither plain, vlmevalkit, ");
    CHECK_STR(prompt_of(put_text("p", "\xef\xbb\xbf{question}!"), &item), " q !");
    CHECK_HAS(prompt_of(put("p", "\xff\xfe{\0q\0", 6), &item), "/p is UTF-16 text, ");
    item.n_options = 0;
    CHECK_STR(prompt_of("lmms-eval", &item), "q");
    CHECK_STR(prompt_of("vlmevalkit", &item), "Hint: h\nQuestion:  q \n");
}

TEST(every_prompt_has_words_for_rows_of_every_layout_and_none_loses_options)
{
    static const char *const styles[] = {"plain", "vlmevalkit", "lmms-eval", "qwen", "infoflow"};
    for (int kind = 0; kind <= DATASET_OTHER; kind++)
        for (int i = 0; i < 5; i++) {
            struct dataset_item item = {.question = "Q?", .kind = (enum dataset_kind)kind};
            CHECK_HAS(prompt_of(styles[i], &item), "Q?");
            if (kind != DATASET_CHOICE && kind != DATASET_HRBENCH) continue;
            item.option[0] = (struct metric_option){'A', text_of("first")};
            item.n_options = 1;
            CHECK_HAS(prompt_of(styles[i], &item), "A. first");
        }
}

TEST(base64_is_all_or_nothing)
{
    uint8_t out[16];
    size_t bytes, bad;
    CHECK(base64_decode("YWJj", 4, out, &bytes, &bad) && bytes == 3 && !memcmp(out, "abc", 3));
    CHECK(base64_decode("YWI=", 4, out, &bytes, &bad) && bytes == 2);
    CHECK(base64_decode("YQ==", 4, out, &bytes, &bad) && bytes == 1);
    CHECK(!base64_decode("YWJ", 3, out, &bytes, &bad) && bad == 3);
    CHECK(!base64_decode("YQ=a", 4, out, &bytes, &bad) && bad == 2);
    CHECK(!base64_decode("Y===", 4, out, &bytes, &bad));
    CHECK(!base64_decode("Y-J_", 4, out, &bytes, &bad) && bad == 1);
    CHECK(!base64_decode("", 0, out, &bytes, &bad));
}

TEST(unknown_files_are_refused)
{
    CHECK_HAS(read_all("/tmp/x.csv", NULL), "expected a folder, .json, .jsonl or .tsv");
    CHECK_HAS(read_all("/tmp/x.parquet", NULL),
              "from_parquet.py /tmp/x.parquet x.d\", which needs");
    CHECK_HAS(read_all("/tmp/x y.PARQUET", NULL),
              "from_parquet.py '/tmp/x y.PARQUET' 'x y.d'\", which");
    CHECK_HAS(read_all("/tmp/it's.parquet", NULL),
              " '/tmp/it'\\''s.parquet' 'it'\\''s.d'\", which");
    CHECK_HAS(read_all("x", &(struct dataset_options){.format = "csv"}), "format csv is none of");
}

/* A path of more than 80 bytes was cut, and the command named another file. */
TEST(the_command_for_parquet_is_whole_or_has_no_path)
{
    char path[700], expected[800], command[512];
    for (int bytes = 70; bytes <= 600; bytes += 10) {
        const char *message;
        snprintf(path, sizeof path, "/%0*d/x.parquet", bytes, 7);
        message = read_all(path, NULL);
        snprintf(expected, sizeof expected, "from_parquet.py %s x.d\", which", path);
        if (!strstr(message, expected))
            CHECK_HAS(message, "from_parquet.py FILE OUT\", which needs");
        CHECK_HAS(message, "/questions.jsonl");
        if (bytes < 120) CHECK_HAS(message, expected);
        if (bytes > 500) CHECK(!strstr(message, "0007"));
        snprintf(command, sizeof command, "%s", message);
        CHECK(!strstr(command, "/../"));
    }
}

TEST(an_empty_or_cut_parquet_file_is_told_from_a_whole_one)
{
    static const struct {
        const char *bytes;
        int is_whole;
    } files[] = {{"", 0},          {"PAR", 0},       {"PAR1", 0},
                 {"PAR1 data", 0}, {"text PAR1", 0}, {"PAR1 data PAR1", 1}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = put_text("made.parquet", files[i].bytes);
        CHECK_HAS(read_all(path, NULL), files[i].is_whole
                                            ? "Parquet is not read; convert it"
                                            : "made.parquet is empty, cut or damaged");
    }
}

int main(int argc, char **argv)
{
    return run_in_scratch(argc, argv);
}
