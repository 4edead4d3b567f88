/* test_find.c - what people give as a model: what is found, and what they are told to type. */
#include "fusion/engine/find.h"

#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/vlqa_find_XXXXXX";
static char log_text[1024];

static void keep_log(void *user, enum vlqa_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)snprintf(log_text, sizeof log_text, "%s", line);
}

/* A path below the test's directory; three may be in use at once. */
__attribute__((format(printf, 1, 2))) static const char *at(const char *format, ...)
{
    static char path[3][512];
    static int next;
    char *out = path[next++ % 3];
    va_list args;
    int n = snprintf(out, 512, "%s/", root);
    va_start(args, format);
    (void)vsnprintf(out + n, 512 - (size_t)n, format, args);
    va_end(args);
    return out;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) CHECK_FAIL("cannot write %s", path);
}

static void make_directories(const char *path) /* and those above it */
{
    char part[512];
    for (const char *end = path; (end = strchr(end + 1, '/'));) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
        (void)mkdir(part, 0700);
    }
    (void)mkdir(path, 0700);
}

static void clear(void)
{
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s'/*", root);
    CHECK_EQ(system(command), 0);
}

static void check_found(const char *given, const char *expected)
{
    struct env env = {.log = keep_log};
    char out[MODEL_PATH_BYTES];
    log_text[0] = 0;
    if (model_find(&env, given, out) != VLQA_OK)
        CHECK_FAIL("%s: %s", given, env.message);
    else
        CHECK_STR(out, expected);
}

static void check_told(const char *given, const char *first, const char *second)
{
    struct env env = {.log = keep_log};
    char out[MODEL_PATH_BYTES];
    uint64_t live = heap_live();
    CHECK_EQ(model_find(&env, given, out), VLQA_EMODEL);
    CHECK_HAS(env.message, first);
    CHECK_HAS(env.message, second);
    CHECK_EQ(heap_live(), live);
}

TEST(a_directory_with_a_configuration_is_itself)
{
    make_directories(at("plain"));
    put(at("plain/config.json"), "{}");
    check_found(at("plain"), at("plain"));
    check_found(at("plain/"), at("plain/"));
    CHECK_STR(log_text, "");
    clear();
}

/* "no config.json" was all that was said. */
TEST(a_hub_id_is_answered_by_the_command_that_downloads_it)
{
    check_told(
        "Qwen/Qwen3-VL-2B-Instruct", "is no directory here",
        "\"hf download Qwen/Qwen3-VL-2B-Instruct --local-dir Qwen3-VL-2B-Instruct\" and give "
        "Qwen3-VL-2B-Instruct as the model");
    check_told("Qwen/Qwen3-VL-2B-Instruct/", "is no directory here",
               "\"hf download Qwen/Qwen3-VL-2B-Instruct --local-dir Qwen3-VL-2B-Instruct\"");
    check_told("https://huggingface.co/Qwen/Qwen3-VL-4B-Instruct/tree/main", "is a URL",
               "\"hf download Qwen/Qwen3-VL-4B-Instruct --local-dir Qwen3-VL-4B-Instruct\"");
    check_told("hf://Qwen/Qwen3-VL-4B-Instruct", "is a URL",
               "hf download Qwen/Qwen3-VL-4B-Instruct");
    check_told("hf.co/Qwen/Qwen3-VL-4B-Instruct", "", "hf download Qwen/Qwen3-VL-4B-Instruct");
}

TEST(a_path_that_does_not_exist_names_the_nearest_part_that_does)
{
    make_directories(at("models/Qwen3-VL-2B-Instruct"));
    check_told(at("models/Qwen3-VL-2B-Instrct"), at("models has no Qwen3-VL-2B-Instrct"),
               "it has Qwen3-VL-2B-Instruct, is that what was meant?");
    check_told(at("models/qwen3-vl-2b-instruct/"), at("models has no qwen3-vl-2b-instruct"),
               "it has Qwen3-VL-2B-Instruct");
    check_told(at("none/of/this"), "/none/of/this does not exist: ", " has no none");
    check_told("/nowhere_at_all/x", "does not exist: / has no nowhere_at_all", "");
    check_told("~/models", "the shell replaces ~ only at the beginning of a word", "$HOME");
    check_told("no_such_name", "does not exist: the working directory has no no_such_name", "");
    CHECK_EQ(symlink("/gone/for/good", at("link")), 0);
    check_told(at("link"), "is a link to /gone/for/good, which does not exist", "");
    check_told("", "the model's path is empty", "Hugging Face directory");
    clear();
}

TEST(a_file_is_answered_by_its_directory)
{
    make_directories(at("plain"));
    put(at("plain/config.json"), "{}");
    put(at("plain/model.safetensors"), "x");
    put(at("notes.txt"), "x");
    check_told(at("plain/model.safetensors"),
               "is a file, expected the directory that it is in: give", at("plain"));
    check_told(at("plain/config.json"), "is a file", at("plain"));
    check_told(at("notes.txt"), "is a file, expected a Hugging Face directory", "");
    put(at("model-Q4_K_M.gguf"), "GGUF\3");
    put(at("renamed.bin"), "GGUF\3");
    check_told(at("model-Q4_K_M.gguf"), "is a GGUF file, which vlqa does not read",
               "hf download ID --local-dir DIR");
    check_told(at("renamed.bin"), "is a GGUF file", "");
    make_directories(at("gguf"));
    put(at("gguf/mmproj.gguf"), "GGUF\3");
    check_told(at("gguf"), "gguf/mmproj.gguf is a GGUF file", "");
    clear();
}

/* The root was refused: "no config.json". */
TEST(the_root_of_a_cached_repository_is_the_snapshot_of_main)
{
    make_directories(at("models--Qwen--tiny/refs"));
    make_directories(at("models--Qwen--tiny/snapshots/abc"));
    make_directories(at("models--Qwen--tiny/snapshots/old"));
    put(at("models--Qwen--tiny/snapshots/abc/config.json"), "{}");
    put(at("models--Qwen--tiny/refs/main"), "abc\n");
    check_found(at("models--Qwen--tiny"), at("models--Qwen--tiny/snapshots/abc"));
    CHECK_HAS(log_text, "the snapshot abc is read");
    check_found(at("models--Qwen--tiny/snapshots/abc"), at("models--Qwen--tiny/snapshots/abc"));
    put(at("models--Qwen--tiny/refs/main"), "old");
    check_told(at("models--Qwen--tiny"), "snapshots/old has no config.json: the download is not",
               "\"hf download Qwen/tiny\" again");
    put(at("models--Qwen--tiny/refs/main"), "gone");
    check_told(at("models--Qwen--tiny"), "refs/main names the snapshot gone, which is not there",
               "\"hf download Qwen/tiny\"");
    put(at("models--Qwen--tiny/refs/main"), "../../..");
    check_told(at("models--Qwen--tiny"), "has 2 snapshots and no refs/main",
               at("models--Qwen--tiny/snapshots/abc"));
    unlink(at("models--Qwen--tiny/refs/main"));
    rmdir(at("models--Qwen--tiny/snapshots/old"));
    check_found(at("models--Qwen--tiny"), at("models--Qwen--tiny/snapshots/abc"));
    check_told(root, "is a cache of the hub, not a model: give one of its models",
               at("models--Qwen--tiny"));
    make_directories(at("models--Qwen--empty/snapshots"));
    check_told(at("models--Qwen--empty"), "has no snapshot: type \"hf download Qwen/empty\"", "");
    clear();
}

TEST(directories_around_a_model_are_told)
{
    make_directories(at("run/checkpoint-500"));
    put(at("run/checkpoint-500/config.json"), "{}");
    check_told(at("run"), "no config.json; checkpoint-500 in it has one: give",
               at("run/checkpoint-500"));
    make_directories(at("copied"));
    CHECK_EQ(symlink("../../blobs/0123", at("copied/config.json")), 0);
    check_told(at("copied"), "config.json is a link to ../../blobs/0123, which is not there",
               "cp -rL");
    make_directories(at("empty"));
    check_told(at("empty"), "no config.json; expected a Hugging Face directory",
               "hf download ID --local-dir DIR");
    clear();
}

TEST(a_lora_adapter_is_told_how_to_be_merged)
{
    struct env env = {.log = keep_log};
    char out[MODEL_PATH_BYTES];
    make_directories(at("adapter"));
    put(at("adapter/adapter_config.json"),
        "{\"base_model_name_or_path\": \"Qwen/Qwen3-VL-4B-Instruct\", \"peft_type\": \"LORA\"}");
    put(at("adapter/adapter_model.safetensors"), "x");
    check_told(at("adapter"),
               "is a LoRA adapter of Qwen/Qwen3-VL-4B-Instruct, not a model: merge it",
               "merge_and_unload().save_pretrained('OUT')\"");
    put(at("adapter/adapter_config.json"), "{");
    check_told(at("adapter"), "is a LoRA adapter of another model", "");
    put(at("adapter/config.json"), "{}"); /* trainers write it, too */
    check_told(at("adapter"), "is a LoRA adapter of another model", "");
    put(at("adapter/model.safetensors"), "x");
    log_text[0] = 0;
    CHECK_EQ(model_find(&env, at("adapter"), out), VLQA_OK);
    CHECK_HAS(log_text, "the LoRA adapter beside the weights is passed over; merge it to use it");
    clear();
}

TEST(paths_that_are_too_long_are_a_usage_error)
{
    struct env env = {.log = NULL};
    char out[MODEL_PATH_BYTES], *deep = malloc(5001);
    REQUIRE(deep);
    memset(deep, 'x', 5000);
    deep[5000] = 0;
    CHECK_EQ(model_find(&env, deep, out), VLQA_EUSAGE);
    deep[4000] = 0;
    CHECK_EQ(model_find(&env, deep, out), VLQA_EMODEL);
    CHECK_HAS(env.message, "does not exist");
    for (int i = 0; i < 4000; i += 10)
        deep[i] = '/';
    CHECK_EQ(model_find(&env, deep, out), VLQA_EMODEL);
    free(deep);
}

int main(int argc, char **argv)
{
    int status;
    if (!mkdtemp(root)) return 1;
    status = check_main(argc, argv);
    return rmdir(root) == 0 ? status : 1; /* something was left behind */
}
