/* test_safetensors_dir.c - the files of a model directory: one, shards, or others. */
#include "base/file.h"
#include "base/heap.h"
#include "base/safetensors.h"
#include "tests/base/make_safetensors.h"
#include "tests/check.h"

#include <sys/time.h>
#include <unistd.h>

static char dir[] = "/tmp/vlqa_st_XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    struct env env = {0};
    struct file_part part = {text, strlen(text)};
    if (file_write_atomic(&env, in_dir(name), &part, 1) != VLQA_OK) CHECK_FAIL("%s", env.message);
}

static void write_tensors(const char *name, const char *header, size_t data_bytes)
{
    struct env env = {0};
    struct bytes f = file_of(header, data_bytes);
    struct file_part part = {f.data, f.n};
    if (file_write_atomic(&env, in_dir(name), &part, 1) != VLQA_OK) CHECK_FAIL("%s", env.message);
    free(f.data);
}

#define INDEX_NAME "model.safetensors.index.json"
#define INDEX(map) "{\"metadata\":{\"total_size\":8},\"weight_map\":{" map "}}"
#define SHARD_1 "{" E("m.a", "F32", "[1]", "0", "4") "}"
#define SHARD_2 "{" E("m.b", "F32", "[1]", "0", "4") "}"

static void write_shards(const char *index)
{
    write_tensors("one.safetensors", SHARD_1, 4);
    write_tensors("two.safetensors", SHARD_2, 4);
    write_text(INDEX_NAME, index);
}

static void clear_dir(void)
{
    static const char *const names[] = {"one.safetensors", "two.safetensors", INDEX_NAME,
                                        "model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_dir(names[i]));
}

static void check_directory_refused(vlqa_status status, const char *message)
{
    struct env env = {0};
    uint64_t live = heap_live();
    struct st_files *files;
    CHECK_EQ(st_open(&env, dir, NULL, 0, &files), status);
    CHECK_HAS(env.message, message);
    CHECK(!files);
    CHECK_EQ(heap_live(), live);
    clear_dir();
}

TEST(shards_are_one_table)
{
    static const struct st_rename rename[] = {{"m.a", "alpha"}, {"m.", "text."}};
    static const int64_t d1[] = {1};
    struct env env = {0};
    const struct st_tensor *t;
    struct st_files *files;
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    REQUIRE(st_open(&env, dir, rename, 2, &files) == VLQA_OK);
    CHECK_EQ(st_count(files), 2);
    CHECK_STR(st_at(files, 0)->name, "alpha");
    CHECK_STR(st_at(files, 1)->name, "text.b");
    CHECK_EQ(st_unchanged(&env, files), VLQA_OK);
    CHECK_EQ(st_want(&env, files, "text.c", 1, d1, &t), VLQA_EMODEL);
    CHECK_STR(env.message, "model.safetensors.index.json: m.c is missing, expected [1]; the "
                           "nearest unused key is m.a, [1], in one.safetensors");
    st_close(files);
    clear_dir();
}

static char log_text[2048];

static void keep_log(void *user, enum vlqa_log_level level, const char *line)
{
    size_t n = strlen(log_text);
    (void)user;
    if (level <= VLQA_LOG_WARN) (void)snprintf(log_text + n, sizeof log_text - n, "%s\n", line);
}

/* Opens the directory, which must be read; the names, one behind the other. */
static const char *names_in_dir(void)
{
    static char names[256];
    struct env env = {.log = keep_log};
    struct st_files *files;
    size_t n = 0;
    log_text[0] = names[0] = 0;
    if (st_open(&env, dir, NULL, 0, &files) != VLQA_OK) {
        CHECK_FAIL("%s", env.message);
        return "";
    }
    for (int i = 0; i < st_count(files); i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s ", st_at(files, i)->name);
    CHECK_STR(env.message, "");
    st_close(files);
    return names;
}

/* The single file won in silence. */
TEST(a_stray_single_file_beside_a_complete_index_is_passed_over)
{
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    write_tensors("model.safetensors", "{" E("m.stray", "F32", "[1]", "0", "4") "}", 4);
    CHECK_STR(names_in_dir(), "m.a m.b ");
    CHECK_HAS(log_text,
              "model.safetensors is passed over: " INDEX_NAME " and its shards come first");
    clear_dir();
}

TEST(a_single_file_beside_a_stale_index_is_read_and_said_so)
{
    static const char *const stale[][2] = {
        {"no JSON at all", "no value at byte 0"},
        {INDEX("\"m.a\":\"gone.safetensors\""), "names gone.safetensors, which is not there"},
        {INDEX("\"m.a\":\"../one.safetensors\""), "names ../one.safetensors"},
        {"{}", "weight_map is missing"},
        {"version https://git-lfs.github.com/spec/v1\nsize 9\n", "is a Git LFS pointer"}};
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        write_text(INDEX_NAME, stale[i][0]);
        write_tensors("model.safetensors", SHARD_1, 4);
        CHECK_STR(names_in_dir(), "m.a ");
        CHECK_HAS(log_text, "model.safetensors is read, and the index passed over");
        CHECK_HAS(log_text, stale[i][1]);
        clear_dir();
    }
}

TEST(an_index_of_the_single_file_is_complete)
{
    write_text(INDEX_NAME, INDEX("\"m.a\":\"model.safetensors\""));
    write_tensors("model.safetensors", SHARD_1, 4);
    CHECK_STR(names_in_dir(), "m.a ");
    CHECK_STR(log_text, "");
    clear_dir();
}

/* They were refused as if nothing were there. */
TEST(shards_without_an_index_are_read)
{
    static const char *const set[][2] = {
        {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
        {"model.safetensors-00001-of-00002.safetensors",
         "model.safetensors-00002-of-00002.safetensors"},
        {"model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors"},
        {"Qwen-VL-1-of-2.safetensors", "Qwen-VL-2-of-2.safetensors"}};
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        write_tensors(set[i][0], SHARD_1, 4);
        write_tensors(set[i][1], SHARD_2, 4);
        CHECK_STR(names_in_dir(), "m.a m.b ");
        unlink(in_dir(set[i][0]));
        unlink(in_dir(set[i][1]));
    }
    write_tensors("model-00001-of-00001.safetensors", SHARD_1, 4);
    CHECK_STR(names_in_dir(), "m.a ");
    unlink(in_dir("model-00001-of-00001.safetensors"));
}

TEST(a_link_to_nothing_is_told)
{
    CHECK_EQ(symlink("../../blobs/abc", in_dir("model.safetensors")), 0);
    check_directory_refused(VLQA_EIO, "model.safetensors: cannot open: it is a link to "
                                      "../../blobs/abc, which is not there");
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    unlink(in_dir("two.safetensors"));
    CHECK_EQ(symlink("gone", in_dir("two.safetensors")), 0);
    check_directory_refused(VLQA_EIO, "two.safetensors: cannot open: it is a link to gone");
}

TEST(missing_shards_are_named)
{
    write_tensors("model-00002-of-00003.safetensors", SHARD_2, 4);
    check_directory_refused(VLQA_EMODEL, "of 3 shards 2 are missing: model-00001-of-00003."
                                         "safetensors, model-00003-of-00003.safetensors");
    write_tensors("other-00001-of-00003.safetensors", SHARD_1, 4);
    check_directory_refused(VLQA_EMODEL, "has several sets of shards");
    unlink(in_dir("model-00002-of-00003.safetensors"));
    unlink(in_dir("other-00001-of-00003.safetensors"));
    write_tensors("m-1-of-1000.safetensors", SHARD_1, 4);
    check_directory_refused(VLQA_EMODEL, "has m-1-of-1000.safetensors, but neither");
    unlink(in_dir("m-1-of-1000.safetensors"));
    write_tensors("m-0001-of-0099.safetensors", SHARD_1, 4);
    check_directory_refused(VLQA_EMODEL,
                            "m-0003-of-0099.safetensors, m-0004-of-0099.safetensors, ...");
    unlink(in_dir("m-0001-of-0099.safetensors"));
    write_tensors("m-00007-of-00002.safetensors", SHARD_1, 4);
    check_directory_refused(VLQA_EMODEL,
                            "if it is the whole model, rename it to model.safetensors");
    unlink(in_dir("m-00007-of-00002.safetensors"));
}

TEST(index_and_shards_must_agree)
{
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"one.safetensors\""));
    check_directory_refused(VLQA_EMODEL, "index.json: m.b is not in one.safetensors");
    write_shards(INDEX("\"m.a\":\"two.safetensors\",\"m.b\":\"one.safetensors\""));
    check_directory_refused(VLQA_EMODEL, "index.json: m.a is not in two.safetensors");
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.c\":\"two.safetensors\""));
    check_directory_refused(VLQA_EMODEL, "index.json: m.c is not in two.safetensors");
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    write_tensors("two.safetensors",
                  "{" E("m.b", "F32", "[1]", "0", "4") "," E("m.x", "F32", "[1]", "4", "8") "}", 8);
    check_directory_refused(VLQA_EMODEL, "index.json does not list m.x of two.safetensors");
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    write_tensors("two.safetensors", SHARD_1, 4);
    check_directory_refused(VLQA_EMODEL, "a tensor is there twice: as m.a in ");
    write_shards("{\"weight_map\":[]}");
    check_directory_refused(VLQA_EMODEL, "weight_map is array, expected an object");
}

TEST(shards_that_are_missing_or_elsewhere_are_refused)
{
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"three.safetensors\""));
    check_directory_refused(VLQA_EIO, "three.safetensors: cannot open: No such file");
    write_shards(INDEX("\"m.a\":\"../one.safetensors\""));
    check_directory_refused(VLQA_EMODEL,
                            "m.a is in ../one.safetensors, expected a plain file name");
    write_shards(INDEX("\"m.a\":\"/etc/passwd\""));
    check_directory_refused(VLQA_EMODEL, "m.a is in /etc/passwd, expected a plain file name");
    write_shards(INDEX("\"m.a\":\"..\""));
    check_directory_refused(VLQA_EMODEL, "expected a plain file name");
    write_shards(INDEX("\"m.a\":\"\""));
    check_directory_refused(VLQA_EMODEL, "expected a plain file name");
    write_shards(INDEX("\"m.a\":7"));
    check_directory_refused(VLQA_EMODEL, "m.a is in number, expected a plain file name");
    write_shards(INDEX("\"m.a\":\"one.safetensors\\u002f..\\u002ftwo.safetensors\""));
    check_directory_refused(VLQA_EMODEL, "expected a plain file name");
}

TEST(names_that_meet_after_renaming_are_refused)
{
    static const struct st_rename rename[] = {{"m.", ""}, {"n.", ""}};
    struct env env = {0};
    struct st_files *files;
    write_tensors("model.safetensors",
                  "{" E("m.a", "F32", "[1]", "0", "4") "," E("n.a", "F32", "[1]", "4", "8") "}", 8);
    CHECK_EQ(st_open(&env, dir, rename, 2, &files), VLQA_EMODEL);
    CHECK_STR(
        env.message,
        "a tensor is there twice: as m.a in model.safetensors and as n.a in model.safetensors");
    REQUIRE(st_open(&env, dir, rename, 1, &files) == VLQA_OK);
    st_close(files);
    clear_dir();
}

TEST(directories_without_safetensors_say_what_is_there)
{
    struct env env = {0};
    struct st_files *files;
    check_directory_refused(VLQA_EMODEL,
                            " has neither model.safetensors nor model.safetensors.index.json");
    write_text("pytorch_model.bin", "x");
    check_directory_refused(VLQA_EMODEL,
                            " has pytorch_model.bin, but only safetensors files are read");
    unlink(in_dir("pytorch_model.bin"));
    write_text("qwen.gguf", "x");
    check_directory_refused(VLQA_EMODEL, " has qwen.gguf, but only safetensors files are read");
    unlink(in_dir("qwen.gguf"));
    CHECK_EQ(st_open(&env, in_dir("nowhere"), NULL, 0, &files), VLQA_EIO);
    CHECK_HAS(env.message, "nowhere: cannot open: No such file or directory");
    write_text("model.safetensors", "");
    check_directory_refused(VLQA_EMODEL, "model.safetensors has 0 bytes, expected a safetensors");
}

TEST(changes_of_an_open_file_are_noticed)
{
    struct timeval past[2] = {{1000, 0}, {1000, 0}};
    struct env env = {0};
    struct st_files *files;
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    REQUIRE(utimes(in_dir("two.safetensors"), past) == 0);
    REQUIRE(st_open(&env, dir, NULL, 0, &files) == VLQA_OK);
    CHECK_EQ(st_unchanged(&env, files), VLQA_OK);
    REQUIRE(utimes(in_dir("two.safetensors"), NULL) == 0);
    CHECK_EQ(st_unchanged(&env, files), VLQA_EIO);
    CHECK_HAS(env.message, "two.safetensors was written to while in use");
    REQUIRE(truncate(in_dir("two.safetensors"), 9) == 0);
    CHECK_EQ(st_unchanged(&env, files), VLQA_EIO);
    CHECK_HAS(env.message, "two.safetensors changed while in use: 9 bytes");
    write_tensors("two.safetensors", SHARD_2, 4);
    CHECK_EQ(st_unchanged(&env, files), VLQA_EIO);
    st_close(files);
    clear_dir();
}

/* A page behind the end of a file that was mapped killed the process. */
TEST(a_file_that_is_cut_is_an_error_and_no_signal)
{
    static const int64_t dim[] = {20000};
    struct env env = {0};
    const struct st_tensor *t;
    struct st_files *files;
    struct hash hash;
    static float values[20000];
    write_tensors("model.safetensors", "{" E("m.a", "F32", "[20000]", "0", "80000") "}", 80000);
    REQUIRE(st_open(&env, dir, NULL, 0, &files) == VLQA_OK);
    REQUIRE(st_want(&env, files, "m.a", 1, dim, &t) == VLQA_OK);
    CHECK(t->data == NULL);
    CHECK_EQ(st_read(&env, files, t, 0, values, sizeof values), VLQA_OK);
    REQUIRE(truncate(in_dir("model.safetensors"), 8192) == 0);
    CHECK_EQ(st_read(&env, files, t, 0, values, 4096), VLQA_OK);
    CHECK_EQ(st_read(&env, files, t, 0, values, sizeof values), VLQA_EIO);
    CHECK_HAS(env.message, "model.safetensors changed while in use: it ends at byte 8192 of 80");
    hash_begin(&hash, "test");
    CHECK_EQ(st_digest(&env, files, &hash), VLQA_EIO);
    st_let_go(files);
    CHECK_EQ(st_unchanged(&env, files), VLQA_OK);
    CHECK_STR(st_at(files, 0)->name, "m.a");
    st_close(files);
    clear_dir();
}

TEST(every_failed_allocation_is_a_status_and_leaks_nothing)
{
    static const struct st_rename rename[] = {{"m.", "text."}};
    struct env env = {0};
    struct st_files *files = NULL;
    uint64_t live = heap_live();
    vlqa_status status = VLQA_EMEMORY;
    int n = 0;
    write_shards(INDEX("\"m.a\":\"one.safetensors\",\"m.b\":\"two.safetensors\""));
    for (; status == VLQA_EMEMORY && n < 1000; n++) {
        heap_fail_after(n);
        status = st_open(&env, dir, rename, 1, &files);
        heap_fail_after(-1);
        if (status != VLQA_OK) CHECK_EQ(heap_live(), live);
    }
    CHECK_EQ(status, VLQA_OK);
    CHECK(n > 40);
    st_close(files);
    CHECK_EQ(heap_live(), live);
    clear_dir();
}

TEST(starter_model_is_read)
{
    static const struct st_rename rename[] = {{"model.language_model.", "text."}};
    const char *path = VLQA_SOURCE_DIR "/../shared/starter-model";
    struct env env = {0};
    struct st_files *files;
    if (access(path, R_OK) != 0) SKIP("no shared/starter-model");
    REQUIRE(st_open(&env, path, rename, 1, &files) == VLQA_OK);
    CHECK(st_find(files, "text.embed_tokens.weight") != NULL);
    CHECK_EQ(st_unchanged(&env, files), VLQA_OK);
    st_close(files);
}

int main(int argc, char **argv)
{
    int status;
    if (!mkdtemp(dir)) return 1;
    status = check_main(argc, argv);
    return rmdir(dir) == 0 ? status : 1; /* something was left behind */
}
