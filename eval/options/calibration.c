/* calibration.c - which layers to score by, kept in a small file of the cache directory. */
#include "eval/options/calibration.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FORMAT "vlqa calibration 1"
#define KIND "calibration"
#define MAX_BYTES ((size_t)1 << 16)

vlqa_status calibration_path(struct env *env, const struct cache_args *cache, const char *kind,
                             const char *digest, char path[CACHE_PATH])
{
    char home[CACHE_PATH];
    const char *dir = cache->off ? NULL : cache_dir(cache, home);
    if (!dir)
        return env_fail(
            env, VLQA_EUSAGE,
            cache->off ? "calibrations are stored in the cache and cannot be used with --no-cache"
                       : "the environment names no cache directory: give --cache-dir DIR");
    if (snprintf(path, CACHE_PATH, "%s/%s-%.16s.json", dir, kind, digest) >= CACHE_PATH)
        return env_fail(env, VLQA_EIO, "%s: the path is too long", dir);
    return VLQA_OK;
}

vlqa_status calibration_check(struct env *env, const struct cache_args *cache)
{
    char path[CACHE_PATH];
    return calibration_path(env, cache, KIND, "", path);
}

/* The folder that a path is in, and the one that is in. */
static void make_folders(const char *path)
{
    char folder[CACHE_PATH];
    for (int up = 2; up >= 1; up--) {
        snprintf(folder, sizeof folder, "%s", path);
        for (int i = 0; i < up && strrchr(folder, '/'); i++)
            *strrchr(folder, '/') = 0;
        if (folder[0]) (void)mkdir(folder, 0700); /* writing tells where that failed */
    }
}

vlqa_status calibration_keep(struct env *env, const struct cache_args *cache, const char *kind,
                             const char *digest, char *text, char path[CACHE_PATH])
{
    struct file_part part;
    vlqa_status status;
    if (!text) return env_no_memory(env, "calibration", 0);
    part = (struct file_part){text, strlen(text)};
    status = calibration_path(env, cache, kind, digest, path);
    if (status == VLQA_OK) {
        make_folders(path);
        status = file_write_atomic(env, path, &part, 1);
    }
    heap_free(text);
    return status;
}

vlqa_status calibration_write(struct env *env, const struct cache_args *cache,
                              const struct vlqa_model_info *model, const struct calibration *c,
                              char path[CACHE_PATH])
{
    struct report r = report_begin();
    int list[REUSE_MAX_LAYERS], n = 0;
    for (int i = 0; i < REUSE_MAX_LAYERS; i++)
        if (reuse_has_layer(&c->layers, i)) list[n++] = i;
    report_string(&r, "format", FORMAT);
    report_string(&r, "model", model->digest);
    report_ints(&r, "layers", list, n);
    report_string(&r, "method", c->variant);
    report_int(&r, "questions", c->questions);
    report_number(&r, "kl", c->kl);
    report_number(&r, "kl_all", c->kl_all);
    return calibration_keep(env, cache, KIND, model->digest, report_end(&r), path);
}

static vlqa_status read_layers(struct env *env, const struct json_doc *doc, const char *path,
                               const struct vlqa_model_info *model, struct reuse_layers *out)
{
    const struct json *root = json_root(doc);
    const char *format, *digest;
    int list[REUSE_MAX_LAYERS], n;
    TRY(json_want_string(env, doc, root, "format", &format));
    TRY(json_want_string(env, doc, root, "model", &digest));
    if (strcmp(format, FORMAT) != 0)
        return env_fail(env, VLQA_EIO, "%s: format is \"%.64s\", expected \"" FORMAT "\"", path,
                        format);
    if (strcmp(digest, model->digest) != 0)
        return env_fail(env, VLQA_EIO, "%s: is of model %.64s, expected %s", path, digest,
                        model->digest);
    TRY(json_want_ints(env, doc, root, "layers", 0, model->layers - 1, REUSE_MAX_LAYERS, list, &n));
    if (n == 0) return env_fail(env, VLQA_EIO, "%s: layers is empty, expected one or more", path);
    for (int i = 0; i < n; i++)
        reuse_add_layer(out, list[i]);
    return VLQA_OK;
}

vlqa_status calibration_apply(struct env *env, const struct cache_args *cache,
                              const struct vlqa_engine *engine, struct reuse_layers *layers)
{
    struct vlqa_model_info model;
    struct json_doc *doc = NULL;
    char path[CACHE_PATH];
    vlqa_status status;
    if (!layers->calibrated) return VLQA_OK;
    TRY(vlqa_engine_info(engine, &model, sizeof model));
    TRY(calibration_path(env, cache, KIND, model.digest, path));
    if (!file_exists(path))
        return env_fail(env, VLQA_EUSAGE,
                        "no layers are calibrated for this model: %s is not there; make it with "
                        "vlqa study QUESTIONS --calibrate",
                        path);
    *layers = (struct reuse_layers){.calibrated = 0};
    status = json_read(env, path, MAX_BYTES, &doc);
    if (status == VLQA_OK) status = read_layers(env, doc, path, &model, layers);
    json_free(doc);
    return status == VLQA_EMODEL || status == VLQA_ELIMIT ? VLQA_EIO : status;
}
