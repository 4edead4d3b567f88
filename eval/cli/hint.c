/* hint.c - tells words apart by how they look: a URL, a path, a name on a model hub. */
#include "eval/cli/hint.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static int ends_in(const char *word, const char *const *endings)
{
    size_t n = strcspn(word, "?#"); /* of a URL */
    for (; *endings; endings++) {
        size_t k = strlen(*endings);
        if (n > k && strncasecmp(word + n - k, *endings, k) == 0) return 1;
    }
    return 0;
}

static const char *const images[] = {".png",  ".jpg",  ".jpeg", ".webp", ".bmp", ".gif", ".tif",
                                     ".tiff", ".heic", ".heif", ".avif", ".svg", ".pdf", NULL};
static const char *const texts[] = {".txt", ".md", NULL};
static const char *const sets[] = {".jsonl", ".tsv", NULL};
static const char *const single_models[] = {".gguf", ".ggml", ".onnx", ".pt", ".pth", NULL};

/* "ORGANISATION/NAME", as model hubs have it. */
static int is_hub_name(const char *word)
{
    int slashes = 0;
    for (const char *c = word; *c; c++) {
        if (*c == '/')
            slashes++;
        else if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
            return 0;
    }
    return slashes == 1 && isalnum((unsigned char)word[0]) && word[strlen(word) - 1] != '/';
}

static const char *hub_hint(const char *name, size_t bytes, char out[HINT_CAP])
{
    const char *slash = memchr(name, '/', bytes), *last = slash ? slash + 1 : name;
    int n = (int)bytes, k = (int)(bytes - (size_t)(last - name));
    snprintf(
        out, HINT_CAP,
        "models are not downloaded: run \"hf download %.*s --local-dir %.*s\" and give -m %.*s", n,
        name, k, last, k, last);
    return out;
}

/* A URL of a model, NULL: it is none. */
static const char *hub_url_hint(const char *url, char out[HINT_CAP])
{
    static const char *const hubs[] = {"https://huggingface.co/", "https://hf.co/"};
    for (size_t i = 0; i < sizeof hubs / sizeof *hubs && !ends_in(url, images); i++)
        if (strncmp(url, hubs[i], strlen(hubs[i])) == 0) {
            const char *id = url + strlen(hubs[i]);
            size_t bytes = strcspn(id, "/?#");
            if (id[bytes] == '/') bytes += 1 + strcspn(id + bytes + 1, "/?#");
            return hub_hint(id, bytes, out);
        }
    return NULL;
}

static const char *url_hint(const char *url, char out[HINT_CAP])
{
    const char *path = strstr(url, "://") + 3, *slash = strchr(path, '/'), *name = slash;
    size_t bytes;
    if (hub_url_hint(url, out)) return out;
    for (const char *c = slash; c && *c && !strchr("?#", *c); c++)
        if (*c == '/') name = c + 1;
    bytes = name ? strcspn(name, "?#") : 0;
    if (!bytes || !ends_in(url, images)) name = "picture.png", bytes = strlen(name);
    snprintf(out, HINT_CAP,
             "nothing is downloaded: run \"curl -L -o %.*s '%.300s'\" and give --image %.*s",
             (int)bytes, name, url, (int)bytes, name);
    return out;
}

static const char *directory_hint(const char *word, char out[HINT_CAP])
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%s/config.json", word);
    if (stat(path, &st) != 0) return NULL;
    snprintf(out, HINT_CAP, "a model is given as -m %.400s", word);
    return out;
}

static const char *single_hint(char out[HINT_CAP])
{
    snprintf(out, HINT_CAP,
             "models in one such file are not read: -m takes a Hugging Face directory with "
             "config.json and *.safetensors");
    return out;
}

const char *hint_of(const char *word, char out[HINT_CAP])
{
    struct stat st;
    int exists = stat(word, &st) == 0;
    if (strstr(word, "://")) return url_hint(word, out);
    if (ends_in(word, single_models)) return single_hint(out);
    if (exists && S_ISDIR(st.st_mode)) return directory_hint(word, out);
    if (ends_in(word, images)) {
        snprintf(out, HINT_CAP, "an image is given as --image %.400s", word);
        return out;
    }
    if (ends_in(word, texts)) {
        snprintf(out, HINT_CAP, "a text is given as --text %.400s", word);
        return out;
    }
    if (ends_in(word, sets)) {
        snprintf(out, HINT_CAP, "a data set is evaluated with \"vlqa eval %.400s\"", word);
        return out;
    }
    if (exists) {
        snprintf(out, HINT_CAP, "a file is given as --image %.200s or --text %.200s", word, word);
        return out;
    }
    if (strchr(word, ' ')) {
        snprintf(out, HINT_CAP, "a question is given as --question \"...\"");
        return out;
    }
    return is_hub_name(word) ? hub_hint(word, strlen(word), out) : NULL;
}

const char *hint_of_option(const char *option, char out[HINT_CAP])
{
    static const char *const devices[] = {"--cuda", "--n-gpu-layers", "--tensor-parallel-size",
                                          NULL};
    for (const char *const *name = devices; *name; name++)
        if (strcmp(option, *name) == 0) {
            snprintf(out, HINT_CAP, "one GPU is asked for with --device cuda");
            return out;
        }
    return NULL;
}
