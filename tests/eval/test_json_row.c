/* test_json_row.c - questions and images under the keys that people use; keys that are refused. */
#include "eval/data/json_row.h"

#include "base/heap.h"
#include "eval/data/near_key.h"
#include "tests/check.h"

#include <sys/stat.h>
#include <unistd.h>

static struct env env;
static char scratch[] = "/tmp/vlqa-row-XXXXXX";

/* "question:image,image|answer", or the message. */
static const char *read_row_in(const char *text, const char *path, const char *images)
{
    static char out[1 << 17];
    static const char *const known[] = {"answer", "answers",  "options", "texts",   "metric", "id",
                                        "hint",   "category", "split",   "dataset", NULL};
    struct json_row_file file = {.name = "r.jsonl, line 1", .path = path, .images = images};
    struct json_doc *doc;
    struct json_row row;
    size_t room = json_row_room(strlen(text), &file), used;
    void *memory = heap_alloc(room);
    struct arena arena = arena_over(memory, room);
    vlqa_status status = json_parse(&env, "row", text, strlen(text), 1 << 24, &doc);
    if (status == VLQA_OK) status = json_row_read(&env, &file, json_root(doc), &arena, &row);
    if (status == VLQA_OK) status = json_row_check_keys(&env, &file, json_root(doc), &row, known);
    if (status == VLQA_OK) {
        used = (size_t)snprintf(out, sizeof out, "%s:", row.question ? row.question : "(none)");
        for (int i = 0; i < row.n_images; i++) {
            struct dataset_image *image = &row.image[i];
            used += (size_t)snprintf(out + used, sizeof out - used, "%s%.*s", i ? "," : "",
                                     image->path ? 200 : (int)image->bytes,
                                     image->path ? image->path : (const char *)image->data);
        }
        if (row.answer) snprintf(out + used, sizeof out - used, "|%s", row.answer);
    } else {
        CHECK_EQ(status, VLQA_EUSAGE);
        snprintf(out, sizeof out, "%s", env.message);
    }
    json_free(doc);
    heap_free(memory);
    return out;
}

static const char *read_row(const char *text)
{
    return read_row_in(text, "d/r.jsonl", NULL);
}

#define Q "\"question\": \"q\""
/* "PNG" in base64 is UE5H, "JPG" SlBH */

TEST(every_usual_image_key_is_an_image_and_none_is_asked_blind)
{
    static const char *const rows[][2] = {
        {"\"image\": \"a.png\"", "q:d/a.png"},
        {"\"image\": [\"a.png\", \"/b.png\"]", "q:d/a.png,/b.png"},
        {"\"images\": \"a.png\"", "q:d/a.png"},
        {"\"images\": [\"a.png\", \"b.png\"]", "q:d/a.png,d/b.png"},
        {"\"images\": [[\"a.png\"], [\"b.png\"]]", "q:d/a.png,d/b.png"},
        {"\"image_path\": \"a.png\"", "q:d/a.png"},
        {"\"image_paths\": [\"a.png\"]", "q:d/a.png"},
        {"\"image_file\": \"a.png\"", "q:d/a.png"},
        {"\"img\": \"a.png\"", "q:d/a.png"},
        {"\"imgname\": \"a.png\"", "q:d/png/a.png"},
        {"\"image_1\": \"a.png\", \"image_2\": \"b.png\", \"image_3\": null", "q:d/a.png,d/b.png"},
        {"\"image\": \"data:image/png;base64,UE5H\"", "q:PNG"},
        {"\"images\": [\"data:image/png;base64,UE5H\", \"b.png\"]", "q:PNG,d/b.png"},
        {"\"image\": {\"bytes\": \"UE5H\", \"path\": null}", "q:PNG"},
        {"\"image\": {\"bytes\": null, \"path\": \"a.png\"}", "q:d/a.png"},
        {"\"images\": [{\"bytes\": \"UE5H\", \"path\": \"a.png\"}, {\"path\": \"b.png\"}]",
         "q:PNG,d/b.png"},
        {"\"image_url\": {\"url\": \"data:image/jpeg;base64,SlBH\"}", "q:JPG"},
        {"\"image\": \"file:///x/a.png\"", "q:/x/a.png"},
        {"\"image\": \"a.png\", \"image_path\": \"/elsewhere/a.png\"", "q:d/a.png"},
        {"\"image\": null, \"images\": [], \"img\": \"a.png\"", "q:d/a.png"},
        {"\"image\": \"a.png\", \"image_id\": 7, \"photo\": \"b.png\"", "q:d/a.png"},
        {"\"image\": null", "q:"},
        {"\"image\": \"\", \"has_image\": false, \"num_images\": 0", "q:"},
    };
    char text[512];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{%s, " Q "}", rows[i][0]);
        CHECK_STR(read_row(text), rows[i][1]);
    }
}

TEST(imgname_is_beside_the_file_or_in_png)
{
    char path[64], name[64], expected[96];
    snprintf(path, sizeof path, "%s/r.json", scratch);
    snprintf(name, sizeof name, "%s/a.png", scratch);
    fclose(fopen(name, "w"));
    snprintf(expected, sizeof expected, "q:%s/a.png", scratch);
    CHECK_STR(read_row_in("{" Q ", \"imgname\": \"a.png\"}", path, NULL), expected);
    snprintf(expected, sizeof expected, "q:%s/png/b.png", scratch);
    CHECK_STR(read_row_in("{" Q ", \"imgname\": \"b.png\"}", path, NULL), expected);
    CHECK_STR(read_row_in("{" Q ", \"images\": [\"a.png\"]}", path, "other/dir"),
              "q:other/dir/a.png");
}

/* Two paths are tried for each of them. */
TEST(many_imgnames_below_a_long_folder_have_room)
{
    char folder[1100], text[1024] = "{\"imgname\": [\"x0\"", *end = text + strlen(text);
    memset(folder, 'd', sizeof folder);
    snprintf(folder + 1000, sizeof folder - 1000, "/r.jsonl");
    for (int i = 1; i < 64; i++)
        end += sprintf(end, ", \"x%d\"", i);
    sprintf(end, "], " Q "}");
    CHECK_HAS(read_row_in(text, folder, NULL), "q:dddd");
}

TEST(a_row_of_thousands_of_keys_is_refused)
{
    char *text = heap_alloc(40000), *end = text + sprintf(text, "{" Q);
    for (int i = 0; i < 2000; i++)
        end += sprintf(end, ", \"other %d\": 1", i);
    sprintf(end, "}");
    CHECK_HAS(read_row(text), "the row has more than 1000 keys");
    heap_free(text);
}

TEST(a_message_of_many_parts_is_joined)
{
    enum { PARTS = 3000 };
    char *text = heap_alloc(PARTS * 24 + 200);
    char *end = text + sprintf(text, "{\"messages\": [{\"role\": \"user\", \"content\": [");
    for (int i = 0; i < PARTS; i++)
        end += sprintf(end, "%s{\"text\": \"abcdefg\"}", i ? "," : "");
    sprintf(end, "]}]}");
    CHECK_HAS(read_row(text), "abcdefgabcdefg");
    heap_free(text);
}

TEST(base64_without_a_data_uri_is_an_image)
{
    char text[256];
    snprintf(text, sizeof text, "{" Q ", \"image\": \"iVBORw0KGgo%sA\"}",
             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    CHECK_HAS(read_row(text), "q:\x89PNG");
    CHECK_STR(read_row("{" Q ", \"image\": \"/9j/a.jpg\"}"), "q:/9j/a.jpg");
}

/* Each was asked without its image, or without its options or documents, and no word was said. */
TEST(an_unknown_key_near_a_known_one_is_refused_by_name)
{
    static const char *const rows[][2] = {
        {"\"Image\": \"a.png\"", "unknown key Image; write image if it is meant, or else _Image"},
        {"\"imges\": [\"a.png\"]", "unknown key imges; write "},
        {"\"iamge\": \"a.png\"", "unknown key iamge; write image "},
        {"\"imagePath\": \"a.png\"", "unknown key imagePath; write image_path "},
        {"\"image-file\": \"a.png\"", "unknown key image-file; write image_file "},
        {"\"IMG\": \"a.png\"", "unknown key IMG; write img "},
        {"\"image_name\": \"a\"", "unknown key image_name, which seems to be an image"},
        {"\"picture\": \"a\"", "unknown key picture, which seems to be an image"},
        {"\"page_image\": {\"path\": \"a\"}", "unknown key page_image, which seems"},
        {"\"chart\": \"charts/a.PNG\"", "unknown key chart, which seems to be an image"},
        {"\"file\": \"data:image/png;base64,UE5H\"", "unknown key file, which seems"},
        {"\"image\": \"a.png\", \"imags\": \"b.png\"", "unknown key imags; write "},
        {"\"image\": \"a.png\", \"Options\": {\"A\": \"x\"}", "unknown key Options; write options"},
        {"\"image\": \"a.png\", \"text\": \"a document\"", "unknown key text; write texts"},
        {"\"image\": \"a.png\", \"anwser\": \"x\"", "unknown key anwser; write answer"},
        {"\"image\": \"a.png\", \"Metric\": \"anls\"", "unknown key Metric; write metric"},
        {"\"image\": \"a.png\", \"catgory\": \"x\"", "unknown key catgory; write category"},
        {"\"image\": \"a.png\", \"images\": [\"b.png\"]", "image and images are both there"},
        {"\"image\": \"a.png\", \"image_1\": \"b.png\"", "image and image_1 are both there"},
        {"\"image\": \"a.png\", \"video\": \"b.mp4\"", "video is there, and only images"},
        {"\"image\": \"a.png\", \"system\": \"Be brief.\"", "system is there; --system gives"},
        {"\"image\": \"https://x.org/a.png\"", "image is a URL, which is not fetched"},
        {"\"image\": \"data:image/png,x\"", "image is a data URI without ;base64"},
        {"\"image\": {\"bytes\": \"U!5H\"}", "image is no base64: character 2 of 4 is wrong"},
        {"\"image\": {\"bytes\": [137, 80]}", "image has bytes that are no text"},
        {"\"image\": {\"width\": 7}", "image is an object, expected {bytes, path}"},
        {"\"image\": 7", "image holds number, expected a path"},
        {"\"images\": [\"a.png\", true]", "images holds bool, expected a path"},
    };
    char text[512];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{%s, " Q "}", rows[i][0]);
        CHECK_HAS(read_row(text), "r.jsonl, line 1: ");
        CHECK_HAS(read_row(text), rows[i][1]);
    }
}

TEST(keys_of_other_things_are_left_alone)
{
    CHECK_STR(read_row("{" Q ", \"kind\": \"bars\", \"type\": \"x\", \"question_id\": 7, "
                       "\"_image\": \"a.png\", \"source\": \"web\", \"Image\": null, "
                       "\"answer_type\": \"x\", \"l2-category\": \"y\", \"image_width\": 7}"),
              "q:");
}

TEST(near_is_one_letter_or_a_case_or_a_plural)
{
    CHECK(near_key("image", "images") && near_key("Image_Path", "image_path"));
    CHECK(near_key("quesiton", "question") && near_key("qestoin", "question"));
    CHECK(!near_key("id", "ix") && !near_key("kind", "hint") && !near_key("split", "sport"));
    CHECK(near_key("", "") && !near_key("", "image"));
    CHECK(!near_key("an_unknown_key_of_so_many_letters_that_it_is_cut_off", "question"));
}

#define TURNS(user, model)                                             \
    "\"conversations\": [{\"from\": \"human\", \"value\": " user "}, " \
    "{\"from\": \"gpt\", \"value\": " model "}]"
#define MESSAGES(content)                                             \
    "\"messages\": [{\"role\": \"user\", \"content\": " content "}, " \
    "{\"role\": \"assistant\", \"content\": \"7\"}]"

TEST(turns_of_llava_and_openai_are_questions)
{
    static const char *const rows[][2] = {
        {"\"image\": \"a.png\", " TURNS("\"<image>\\nHow many?\"", "\"7\""), "How many?:d/a.png|7"},
        {"\"image\": \"a.png\", " TURNS("\"How many?\\n<image>\"", "\"7\""), "How many?:d/a.png|7"},
        {"\"images\": [\"a.png\", \"b.png\"], " TURNS("\"<image><image>Same?\"", "\"No\""),
         "Same?:d/a.png,d/b.png|No"},
        {"\"image\": \"a.png\", " TURNS("\"How many?\"", "\"7\""), "How many?:d/a.png|7"},
        {"\"image\": \"a.png\", " TURNS("\"<image>a\"", "\"b\"") ", \"id\": \"x\"", "a:d/a.png|b"},
        {MESSAGES("[{\"type\": \"image_url\", \"image_url\": {\"url\": "
                  "\"data:image/png;base64,UE5H\"}}, {\"type\": \"text\", \"text\": \"Why?\"}]"),
         "Why?:PNG|7"},
        {MESSAGES("[{\"type\": \"image\", \"image\": \"a.png\"}, {\"type\": \"text\", \"text\": "
                  "\"Why?\"}]"),
         "Why?:d/a.png|7"},
        {"\"images\": [\"a.png\"], " MESSAGES("[{\"type\": \"image\"}, {\"type\": \"text\", "
                                              "\"text\": \"Why?\"}]"),
         "Why?:d/a.png|7"},
        {"\"images\": [\"a.png\"], " MESSAGES("\"<image>Why?\""), "Why?:d/a.png|7"},
        {"\"messages\": [{\"role\": \"system\", \"content\": \"\"}, {\"role\": \"user\", "
         "\"content\": \"Why?\"}]",
         "Why?:"},
        {"\"query\": \"Why?\", \"image\": \"a.png\", \"label\": [\"x\"]", "Why?:d/a.png"},
        {"\"text\": \"<image>\\nWhy?\", \"image\": \"a.png\"", "Why?:d/a.png"},
        {"\"image\": \"a.png\"", "(none):d/a.png"},
    };
    static const char *const bad[][2] = {
        {TURNS("\"<image>a\"", "\"b\""), "conversations has 1 marks <image>, and the row has 0"},
        {"\"image\": \"a.png\", \"question\": \"<image><image>q\"", "question has 2 marks"},
        {"\"image\": \"a.png\", \"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, "
         "{\"from\": \"gpt\", \"value\": \"b\"}, {\"from\": \"human\", \"value\": \"c\"}]",
         "conversations holds several questions; write a row for each"},
        {"\"messages\": [{\"role\": \"system\", \"content\": \"Brief.\"}]", "--system gives"},
        {"\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]", "another role"},
        {"\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]", "before an answer"},
        {"\"messages\": [{\"content\": \"x\"}]", "without role and content"},
        {"\"messages\": [{\"role\": \"user\", \"content\": 7}]", "no text and no list"},
        {"\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"video\", \"video\": "
         "\"x\"}]}]",
         "neither text nor image"},
        {"\"messages\": \"x\"", "messages is no list of turns"},
        {"\"massages\": [1]", "unknown key massages; write messages"},
    };
    char text[1024];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{%s}", rows[i][0]);
        CHECK_STR(read_row(text), rows[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{%s}", bad[i][0]);
        CHECK_HAS(read_row(text), bad[i][1]);
    }
}

TEST(more_images_than_a_row_takes_are_refused)
{
    char text[1024] = "{\"images\": [\"0\"";
    for (int i = 0; i < DATASET_IMAGES; i++)
        strcat(text, ", \"x\"");
    strcat(text, "]}");
    CHECK_HAS(read_row(text), "images holds more than 64 images");
}

int main(int argc, char **argv)
{
    char command[64];
    int code;
    if (!mkdtemp(scratch)) return 1;
    code = check_main(argc, argv);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command) != 0 || code;
}
