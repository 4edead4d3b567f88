/* find.c - paths that people give as a model, and what to tell them. */
#include "fusion/engine/find.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG "config.json"
#define ADAPTER "adapter_config.json"
#define SMALL_FILE ((size_t)1 << 20) /* bytes */
#define DOWNLOAD "hf download ID --local-dir DIR"

/* Of a function whose paths are not to lie on the stack with all others'. */
#define APART __attribute__((noinline))

/* "dir/name", cut where it is too long: then it is not there. */
struct path {
    char text[MODEL_PATH_BYTES];
};

static struct path join(const char *dir, const char *name)
{
    struct path p;
    int n = snprintf(p.text, sizeof p.text, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof p.text) p.text[0] = 0;
    return p;
}

APART static int has(const char *dir, const char *name)
{
    return file_exists(join(dir, name).text);
}

static int is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

APART static int has_directory(const char *dir, const char *name)
{
    return is_directory(join(dir, name).text);
}

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int ends(const char *text, const char *with)
{
    size_t n = strlen(text), m = strlen(with);
    return n >= m && strcmp(text + n - m, with) == 0;
}

/* The first entry of the directory, by name, that passes the test, and how many do. */
struct entry {
    char name[256];
    int n;
};

APART static struct entry find_entry(const char *dir,
                                     int (*test)(const char *dir, const char *name))
{
    struct entry found = {"", 0};
    DIR *list = opendir(dir);
    const struct dirent *e;
    while (list && (e = readdir(list))) {
        if (*e->d_name == '.' || strlen(e->d_name) >= sizeof found.name) continue;
        if (!test(dir, e->d_name)) continue;
        if (!found.n++ || strcmp(e->d_name, found.name) < 0)
            (void)snprintf(found.name, sizeof found.name, "%s", e->d_name);
    }
    if (list) closedir(list);
    return found;
}

/* ---- what does not exist ---- */

static int is_id_text(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && text[n] == 0 && *text != '.';
}

/* "ORG/NAME" of a path that looks like one, or of a URL of the hub; else "". */
static struct path hub_id(const char *path)
{
    static const char *const before[] = {"https://", "http://", "hf://", "huggingface.co/",
                                         "hf.co/"};
    struct path p = {""};
    char *name, *rest;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        if (begins(path, before[i])) path += strlen(before[i]);
    (void)snprintf(p.text, sizeof p.text, "%s", path);
    name = strchr(p.text, '/');
    if (!name) return (struct path){""};
    *name++ = 0;
    rest = strchr(name, '/'); /* "/tree/main" of a URL */
    if (rest) *rest = 0;
    if (!is_id_text(p.text) || !is_id_text(name)) return (struct path){""};
    name[-1] = '/';
    return p;
}

static vlqa_status fail_hub(struct env *env, const char *path, const char *id, const char *what)
{
    const char *name = strchr(id, '/') + 1;
    return env_fail(env, VLQA_EMODEL,
                    "%.100s is %s: vlqa downloads nothing; if it is a model on the hub, type "
                    "\"hf download %.100s --local-dir %.80s\" and give %.80s as the model",
                    path, what, id, name, name);
}

/* Bytes that both begin with, whatever their case, and end with. */
static size_t likeness(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), least = n < m ? n : m, front = 0, back = 0;
    while (front < least && (a[front] | 0x20) == (b[front] | 0x20))
        front++;
    while (back < least - front && (a[n - 1 - back] | 0x20) == (b[m - 1 - back] | 0x20))
        back++;
    return front + back;
}

/* The entry of a directory that is most like the name; "": none is. */
static void most_like(const char *dir, const char *name, char out[256])
{
    DIR *list = opendir(*dir ? dir : ".");
    const struct dirent *e;
    size_t best = strlen(name) * 2 / 3;
    out[0] = 0;
    while (list && (e = readdir(list))) {
        size_t like = likeness(e->d_name, name);
        if (*e->d_name == '.' || strlen(e->d_name) > 255 || like <= best) continue;
        best = like;
        (void)snprintf(out, 256, "%s", e->d_name);
    }
    if (list) closedir(list);
}

APART static vlqa_status fail_nowhere(struct env *env, const char *path)
{
    struct path near;
    char like[256], *slash, *name;
    const char *parent;
    size_t n;
    (void)snprintf(near.text, sizeof near.text, "%s", path);
    for (n = strlen(near.text); n > 1 && near.text[n - 1] == '/'; n--)
        near.text[n - 1] = 0;
    for (;;) {
        slash = strrchr(near.text, '/');
        name = slash ? slash + 1 : near.text;
        if (!slash || slash == near.text) break;
        *slash = 0;
        if (file_exists(near.text)) break;
    }
    parent = slash == near.text ? "/" : slash ? near.text : "the working directory";
    most_like(slash == near.text ? "/" : slash ? near.text : ".", name, like);
    return env_fail(env, VLQA_EMODEL, "%.160s does not exist: %.120s has no %.100s%s%.100s%s", path,
                    parent, name, *like ? "; it has " : "", like,
                    *like ? ", is that what was meant?" : "");
}

static vlqa_status fail_gguf(struct env *env, const char *path)
{
    return env_fail(env, VLQA_EMODEL,
                    "%.200s is a GGUF file, which vlqa does not read: take the safetensors of the "
                    "same model (\"" DOWNLOAD "\", such as Qwen/Qwen3-VL-2B-Instruct) and give DIR",
                    path);
}

APART static vlqa_status fail_absent(struct env *env, const char *path)
{
    struct path id = hub_id(path);
    if (ends(path, ".gguf")) return fail_gguf(env, path); /* its name says enough */
    char to[256];
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n > 0) {
        to[n] = 0;
        return env_fail(env, VLQA_EMODEL, "%.160s is a link to %.160s, which does not exist", path,
                        to);
    }
    if (*id.text && strstr(path, "://")) return fail_hub(env, path, id.text, "a URL");
    if (*id.text && *path != '/') {
        struct path owner = id;
        *strchr(owner.text, '/') = 0;
        if (!file_exists(owner.text)) return fail_hub(env, path, id.text, "no directory here");
    }
    if (*path == '~')
        return env_fail(env, VLQA_EMODEL,
                        "%.160s does not exist: the shell replaces ~ only at the beginning of a "
                        "word; write $HOME",
                        path);
    return fail_nowhere(env, path);
}

/* ---- files ---- */

static int is_gguf(const char *path)
{
    struct env quiet = {.log = NULL};
    struct file_map file;
    char magic[4] = "";
    if (ends(path, ".gguf")) return 1;
    if (file_open(&quiet, path, &file) != VLQA_OK) return 0;
    if (file.size >= sizeof magic) (void)file_read_at(&quiet, path, &file, 0, magic, sizeof magic);
    file_map_close(&file);
    return memcmp(magic, "GGUF", sizeof magic) == 0;
}

APART static vlqa_status fail_file(struct env *env, const char *path)
{
    struct path dir;
    char *slash;
    if (is_gguf(path)) return fail_gguf(env, path);
    (void)snprintf(dir.text, sizeof dir.text, "%s", path);
    slash = strrchr(dir.text, '/');
    (void)snprintf(slash ? slash + (slash == dir.text) : dir.text, 2, "%s", slash ? "" : ".");
    if (has(dir.text, CONFIG))
        return env_fail(env, VLQA_EMODEL,
                        "%.160s is a file, expected the directory that it is in: give %.160s", path,
                        dir.text);
    return env_fail(env, VLQA_EMODEL,
                    "%.160s is a file, expected a Hugging Face directory (with config.json, "
                    "tokenizer.json and model.safetensors)",
                    path);
}

/* ---- adapters ---- */

APART static vlqa_status fail_adapter(struct env *env, const char *dir)
{
    struct env quiet = {.log = NULL};
    struct json_doc *doc = NULL;
    const char *base = NULL;
    if (json_read(&quiet, join(dir, ADAPTER).text, SMALL_FILE, &doc) == VLQA_OK)
        base = json_text(json_get(json_root(doc), "base_model_name_or_path"));
    (void)env_fail(
        env, VLQA_EMODEL,
        "%.90s is a LoRA adapter of %.60s, not a model: merge it first: python3 -c \"from "
        "transformers import AutoModelForImageTextToText as M; from peft import PeftModel "
        "as P; P.from_pretrained(M.from_pretrained('BASE'), 'ADAPTER').merge_and_unload()."
        "save_pretrained('OUT')\", then copy the tokenizer's and the processor's files of "
        "the base model to OUT",
        dir, base ? base : "another model");
    json_free(doc);
    return VLQA_EMODEL;
}

static int is_weights(const char *dir, const char *name)
{
    (void)dir;
    return ends(name, ".safetensors") && !begins(name, "adapter_");
}

/* ---- directories ---- */

static int has_config(const char *dir, const char *name)
{
    return has(join(dir, name).text, CONFIG);
}

static int is_repository(const char *dir, const char *name)
{
    return begins(name, "models--") && has_directory(dir, name);
}

static int is_gguf_name(const char *dir, const char *name)
{
    (void)dir;
    return ends(name, ".gguf");
}

static int is_any(const char *dir, const char *name)
{
    return has_directory(dir, name);
}

/* The id of "…/models--ORG--NAME", for messages. */
static struct path repository_id(const char *path)
{
    struct path p = {"ID"};
    const char *at = strstr(path, "models--");
    size_t n = 0;
    if (!at) return p;
    for (at += strlen("models--"); *at && *at != '/' && n < sizeof p.text - 1; at++) {
        int split = at[0] == '-' && at[1] == '-';
        p.text[n++] = split ? '/' : *at;
        at += split;
    }
    p.text[n] = 0;
    return p;
}

/* What refs/main names, or the only snapshot. */
APART static vlqa_status choose_snapshot(struct env *env, const char *path, const char *snapshots,
                                         char name[256])
{
    struct env quiet = {.log = NULL};
    struct entry all = find_entry(snapshots, is_any);
    void *text = NULL;
    size_t bytes;
    name[0] = 0;
    if (file_read(&quiet, join(path, "refs/main").text, 255, &text, &bytes) == VLQA_OK)
        (void)snprintf(name, 256, "%.*s", (int)strcspn(text, " \r\n\t"), (const char *)text);
    heap_free(text);
    if (*name && !strchr(name, '/') && *name != '.') {
        if (has_directory(snapshots, name)) return VLQA_OK;
        if (all.n != 1)
            return env_fail(env, VLQA_EMODEL,
                            "%.160s: refs/main names the snapshot %.64s, which is not there: type "
                            "\"hf download %.100s\"",
                            path, name, repository_id(path).text);
    }
    if (all.n == 1) {
        (void)snprintf(name, 256, "%s", all.name);
        return VLQA_OK;
    }
    if (all.n)
        return env_fail(env, VLQA_EMODEL,
                        "%.160s has %d snapshots and no refs/main: give one of them, such as "
                        "%.160s/%.64s",
                        path, all.n, snapshots, all.name);
    return env_fail(env, VLQA_EMODEL, "%.160s has no snapshot: type \"hf download %.100s\"", path,
                    repository_id(path).text);
}

APART static vlqa_status find_snapshot(struct env *env, const char *path,
                                       char out[MODEL_PATH_BYTES])
{
    struct path snapshots = join(path, "snapshots");
    char name[256];
    TRY(choose_snapshot(env, path, snapshots.text, name));
    (void)snprintf(out, MODEL_PATH_BYTES, "%s", join(snapshots.text, name).text);
    if (!has(out, CONFIG))
        return env_fail(env, VLQA_EMODEL,
                        "%.200s has no config.json: the download is not complete: type \"hf "
                        "download %.100s\" again",
                        out, repository_id(path).text);
    env_log(env, VLQA_LOG_INFO, "%s: the snapshot %s is read", path, name);
    return VLQA_OK;
}

APART static vlqa_status fail_no_config(struct env *env, const char *path)
{
    struct entry below = find_entry(path, has_config), cached = find_entry(path, is_repository);
    struct entry gguf = find_entry(path, is_gguf_name);
    char to[256];
    ssize_t n = readlink(join(path, CONFIG).text, to, sizeof to - 1);
    if (has(path, ADAPTER)) return fail_adapter(env, path);
    if (n > 0) {
        to[n] = 0;
        return env_fail(
            env, VLQA_EMODEL,
            "%.160s: config.json is a link to %.160s, which is not there: copy the model "
            "with its links followed (cp -rL), or download it again",
            path, to);
    }
    if (cached.n)
        return env_fail(
            env, VLQA_EMODEL,
            "%.160s is a cache of the hub, not a model: give one of its models, such as "
            "%.160s/%.100s",
            path, path, cached.name);
    if (below.n)
        return env_fail(env, VLQA_EMODEL,
                        "%.160s: no config.json; %.100s in it has one: give %.160s/%.100s", path,
                        below.name, path, below.name);
    if (gguf.n) return fail_gguf(env, join(path, gguf.name).text);
    return env_fail(env, VLQA_EMODEL,
                    "%.160s: no config.json; expected a Hugging Face directory (of a model on the "
                    "hub: " DOWNLOAD ")",
                    path);
}

vlqa_status model_find(struct env *env, const char *path, char out[MODEL_PATH_BYTES])
{
    if (strlen(path) >= MODEL_PATH_BYTES)
        return env_fail(env, VLQA_EUSAGE, "the model's path is longer than %d bytes",
                        MODEL_PATH_BYTES);
    if (!*path)
        return env_fail(env, VLQA_EMODEL,
                        "the model's path is empty, expected a Hugging Face directory");
    (void)snprintf(out, MODEL_PATH_BYTES, "%s", path);
    if (!file_exists(path)) return fail_absent(env, path);
    if (!is_directory(path)) return fail_file(env, path);
    if (!has(path, CONFIG) && has_directory(path, "snapshots")) TRY(find_snapshot(env, path, out));
    if (!has(out, CONFIG)) return fail_no_config(env, path);
    if (!has(out, ADAPTER)) return VLQA_OK;
    if (!find_entry(out, is_weights).n) return fail_adapter(env, out);
    env_log(env, VLQA_LOG_WARN,
            "%s: the LoRA adapter beside the weights is passed over; merge it to use it", out);
    return VLQA_OK;
}
