/* quantize_files.c - what stands beside the tensors: copied, and config.json with what they are in.
 */
#include "fusion/engine/quantize.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATH_BYTES 4400
#define CONFIG_BYTES ((size_t)4 << 20)
#define TEMPLATES "additional_chat_templates"

/* Weights, in whatever format, are not copied. */
static int is_copied(const char *name)
{
    static const char *const ending[] = {".safetensors", ".safetensors.index.json",
                                         ".bin",         ".bin.index.json",
                                         ".gguf",        ".pt",
                                         ".pth",         ".h5",
                                         ".msgpack",     ".onnx",
                                         ".ot"};
    size_t n = strlen(name);
    if (*name == '.' || strcmp(name, "config.json") == 0) return 0;
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        size_t m = strlen(ending[i]);
        if (n >= m && strcmp(name + n - m, ending[i]) == 0) return 0;
    }
    return 1;
}

/* The regular files of dir/sub, to `sub` of the new directory; sub "" or with a slash behind it. */
static vlqa_status copy_files(struct env *env, const char *dir, const char *sub, DIR *list,
                              const struct new_dir *to)
{
    char from[PATH_BYTES], name[PATH_BYTES];
    const struct dirent *entry;
    struct stat st;
    while ((entry = readdir(list))) {
        if (!is_copied(entry->d_name)) continue;
        if (snprintf(name, sizeof name, "%s%s", sub, entry->d_name) >= (int)sizeof name ||
            snprintf(from, sizeof from, "%s/%s", dir, name) >= (int)sizeof from)
            return env_fail(env, VLQA_EUSAGE, "%s: the path is too long", dir);
        if (stat(from, &st) != 0 || !S_ISREG(st.st_mode)) continue; /* also where a link ends */
        TRY(new_dir_copy(env, to, name, from));
    }
    return VLQA_OK;
}

static vlqa_status copy_sub(struct env *env, const char *dir, const char *sub,
                            const struct new_dir *to)
{
    char path[PATH_BYTES];
    vlqa_status status;
    DIR *list;
    if (snprintf(path, sizeof path, "%s/%s", dir, sub) >= (int)sizeof path)
        return env_fail(env, VLQA_EUSAGE, "%s: the path is too long", dir);
    list = opendir(path);
    if (!list && *sub && errno == ENOENT) return VLQA_OK;
    if (!list) return env_fail(env, VLQA_EIO, "%s: cannot open: %s", path, strerror(errno));
    status = *sub ? new_dir_sub(env, to, TEMPLATES) : VLQA_OK;
    if (status == VLQA_OK) status = copy_files(env, dir, sub, list, to);
    closedir(list);
    return status;
}

static const char before[] = ",\n"
                             " \"quantization_config\": {\n"
                             "  \"quant_method\": \"compressed-tensors\",\n"
                             "  \"format\": \"pack-quantized\",\n"
                             "  \"quantization_status\": \"compressed\",\n"
                             "  \"config_groups\": {\n"
                             "   \"group_0\": {\n"
                             "    \"targets\": [\"Linear\"],\n"
                             "    \"input_activations\": null,\n"
                             "    \"output_activations\": null,\n"
                             "    \"weights\": {\n"
                             "     \"type\": \"int\",\n"
                             "     \"dynamic\": false,\n";
static const char int8[] = "     \"num_bits\": 8,\n"
                           "     \"symmetric\": true,\n"
                           "     \"strategy\": \"channel\",\n"
                           "     \"group_size\": null\n";
static const char int4[] = "     \"num_bits\": 4,\n"
                           "     \"symmetric\": false,\n"
                           "     \"strategy\": \"group\",\n"
                           "     \"group_size\": 32\n";
static const char after[] = "    }\n"
                            "   }\n"
                            "  },\n"
                            "  \"ignore\": [\"re:.*visual.*\", \"re:.*lm_head\"],\n"
                            "  \"kv_cache_scheme\": null\n"
                            " }\n"
                            "}\n";

/* The text of an object with one more member: it stands where the last brace was. */
static vlqa_status write_config(struct env *env, const char *text, size_t bytes, int bits,
                                const struct new_dir *to)
{
    char out[2048];
    size_t end = bytes, used;
    char *all;
    vlqa_status status;
    while (end > 0 && text[end - 1] != '}')
        end--;
    for (end -= end > 0; end > 0 && strchr(" \t\r\n", text[end - 1]);)
        end--;
    used = (size_t)snprintf(out, sizeof out, "%s%s%s", before, bits == QUANTIZE_INT8 ? int8 : int4,
                            after);
    all = heap_alloc(end + used);
    if (!all) return env_no_memory(env, "config.json", end + used);
    memcpy(all, text, end);
    memcpy(all + end, out, used);
    status = new_dir_write(env, to, "config.json", all, end + used);
    heap_free(all);
    return status;
}

static vlqa_status add_config(struct env *env, const char *dir, int bits, const struct new_dir *to)
{
    char path[PATH_BYTES];
    struct json_doc *doc;
    void *text;
    size_t bytes;
    vlqa_status status;
    (void)snprintf(path, sizeof path, "%.4096s/config.json", dir);
    TRY(file_read(env, path, CONFIG_BYTES, &text, &bytes));
    status = json_parse(env, path, text, bytes, CONFIG_BYTES, &doc);
    if (status == VLQA_OK) {
        if (json_get(json_root(doc), "quantization_config"))
            status = env_fail(env, VLQA_EMODEL,
                              "config.json: it has a quantization_config, expected a model that is "
                              "not quantised: remove that member if it is null");
        else
            status = write_config(env, text, bytes, bits, to);
        json_free(doc);
    }
    heap_free(text);
    return status;
}

vlqa_status quantize_files(struct env *env, const char *dir, int bits, const struct new_dir *to)
{
    TRY(copy_sub(env, dir, "", to));
    TRY(copy_sub(env, dir, TEMPLATES "/", to));
    return add_config(env, dir, bits, to);
}
