/* processor.c - how an image becomes pixels for the tower, in the files and order of transformers.
 *
 * As transformers 5.24 does (image_processing_base.py, image_processing_qwen2_vl.py; run on
 * directories with either file and both): an `image_processor` inside processor_config.json comes
 * first, then preprocessor_config.json; one file is taken and the two are never merged. Members
 * min_pixels and max_pixels overrule size.shortest_edge and size.longest_edge, each by itself. */
#include "vision/processor.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)4 << 20)
#define FLAT "preprocessor_config.json"
#define NESTED "processor_config.json"
#define BICUBIC 3 /* as Pillow numbers them */

/* What transformers takes where a file does not say: CLIP's. */
static const float usual_mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
static const float usual_std[3] = {0.26862954f, 0.26130258f, 0.27577711f};

/* Three numbers, or one for all three. */
static vlqa_status three_numbers(struct env *env, const struct json *object, const char *name,
                                 const float usual[3], float out[3])
{
    const struct json *list = json_get(object, name), *value = json_first(list);
    int one = list && json_kind(list) == JSON_NUMBER;
    memcpy(out, usual, 3 * sizeof *out);
    if (!list) {
        env_log(env, VLQA_LOG_WARN,
                "processor configuration: %s is missing; taken as transformers does: %g, %g, %g",
                name, (double)usual[0], (double)usual[1], (double)usual[2]);
        return VLQA_OK;
    }
    for (int i = 0; i < 3; i++, value = json_next(value)) {
        double v = json_number(one ? list : value);
        if ((!one && json_count(list) != 3) || !(v >= 0.0 && v <= 1.0))
            return env_fail(env, VLQA_EMODEL,
                            "processor configuration: %s is not three numbers in 0..1", name);
        out[i] = (float)v;
    }
    return VLQA_OK;
}

/* shortest_edge and longest_edge are areas in pixels; min_pixels and max_pixels overrule them. */
static vlqa_status pixel_limits(struct env *env, const struct json_doc *doc,
                                const struct json *image, struct vit_config *c)
{
    const struct json *size = json_get(image, "size");
    const int64_t most = (int64_t)1 << 40;
    TRY(json_opt_int64(env, doc, size, "shortest_edge", 1, most, &c->min_pixels));
    TRY(json_opt_int64(env, doc, size, "longest_edge", 1, most, &c->max_pixels));
    TRY(json_opt_int64(env, doc, image, "min_pixels", 1, most, &c->min_pixels));
    TRY(json_opt_int64(env, doc, image, "max_pixels", 1, most, &c->max_pixels));
    if (c->min_pixels < 1 || c->max_pixels < c->min_pixels)
        return env_fail(env, VLQA_EMODEL,
                        "processor configuration: pixel limits are %lld to %lld, expected "
                        "size.shortest_edge and size.longest_edge (areas) in ascending order",
                        (long long)c->min_pixels, (long long)c->max_pixels);
    return VLQA_OK;
}

static vlqa_status must_agree(struct env *env, const struct json_doc *doc, const struct json *image,
                              const char *name, int expected)
{
    int found = expected;
    TRY(json_opt_int(env, doc, image, name, 1, 4096, &found));
    if (found != expected)
        return env_fail(env, VLQA_EMODEL,
                        "processor configuration: %s is %d, but config.json's vision_config says "
                        "%d",
                        name, found, expected);
    return VLQA_OK;
}

/* The steps that are always taken here must not be switched off there. */
static vlqa_status check_steps(struct env *env, const struct json_doc *doc,
                               const struct json *image)
{
    static const char *const step[] = {"do_resize", "do_rescale"};
    int resample = BICUBIC;
    double factor = 1 / 255.0;
    for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
        int on = 1;
        TRY(json_opt_bool(env, doc, image, step[i], &on));
        if (!on)
            return env_fail(env, VLQA_EMODEL, "processor configuration: %s is false, expected true",
                            step[i]);
    }
    TRY(json_opt_int(env, doc, image, "resample", 0, 100, &resample));
    if (resample != BICUBIC)
        return env_fail(env, VLQA_EMODEL,
                        "processor configuration: resample is %d, expected %d (bicubic)", resample,
                        BICUBIC);
    TRY(json_opt_double(env, doc, image, "rescale_factor", 0, 1e6, &factor));
    if (fabs(factor - 1 / 255.0) > 1e-7)
        return env_fail(env, VLQA_EMODEL,
                        "processor configuration: rescale_factor is %g, expected 1 / 255", factor);
    return VLQA_OK;
}

static vlqa_status apply(struct env *env, const struct json_doc *doc, const struct json *image,
                         struct vit_config *c)
{
    int normalize = 1;
    TRY(must_agree(env, doc, image, "patch_size", c->patch.patch));
    TRY(must_agree(env, doc, image, "merge_size", c->patch.merge));
    TRY(must_agree(env, doc, image, "temporal_patch_size", c->patch.temporal));
    TRY(check_steps(env, doc, image));
    TRY(json_opt_bool(env, doc, image, "do_normalize", &normalize));
    for (int i = 0; i < 3; i++) {
        c->patch.mean[i] = 0;
        c->patch.std[i] = 1;
    }
    if (normalize) {
        TRY(three_numbers(env, image, "image_mean", usual_mean, c->patch.mean));
        TRY(three_numbers(env, image, "image_std", usual_std, c->patch.std));
    }
    for (int i = 0; i < 3; i++)
        if (!(c->patch.std[i] > 0))
            return env_fail(env, VLQA_EMODEL, "processor configuration: image_std has a zero");
    return pixel_limits(env, doc, image, c);
}

/* *doc NULL: there is no such file. */
static vlqa_status open_file(struct env *env, const char *dir, const char *name,
                             struct json_doc **doc)
{
    char path[4096];
    *doc = NULL;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return env_fail(env, VLQA_EUSAGE, "the model's path is longer than %zu bytes", sizeof path);
    return file_exists(path) ? json_read(env, path, CONFIG_MAX_BYTES, doc) : VLQA_OK;
}

static vlqa_status fail_missing(struct env *env, const char *dir, const struct json_doc *nested)
{
    if (nested)
        return env_fail(env, VLQA_EMODEL,
                        "%s: " NESTED " has no image_processor, and " FLAT
                        " is missing: copy it from the model that this one was made from (of one "
                        "on the hub: hf download ID " FLAT " --local-dir DIR)",
                        dir);
    return env_fail(env, VLQA_EMODEL,
                    "%s has neither " FLAT " nor " NESTED
                    ": copy the first from the model that this one was made from (of one on the "
                    "hub: hf download ID " FLAT " --local-dir DIR)",
                    dir);
}

static vlqa_status read_one(struct env *env, const char *dir, const struct json_doc *nested,
                            const struct json_doc *flat, struct vit_config *c)
{
    const struct json *inside = nested ? json_get(json_root(nested), "image_processor") : NULL;
    int has_inside = inside && json_kind(inside) != JSON_NULL;
    const struct json_doc *doc = has_inside ? nested : flat;
    const struct json *image = has_inside ? inside : flat ? json_root(flat) : NULL;
    if (!image) return fail_missing(env, dir, nested);
    if (json_kind(image) != JSON_OBJECT)
        return env_fail(env, VLQA_EMODEL, "%s/%s: image_processor is %s, expected an object", dir,
                        has_inside ? NESTED : FLAT, json_kind_name(image));
    if (has_inside && flat)
        env_log(env, VLQA_LOG_WARN,
                "%s: " FLAT " is passed over: the image_processor of " NESTED
                " comes first, as in transformers 5",
                dir);
    return apply(env, doc, image, c);
}

vlqa_status processor_read(struct env *env, const char *dir, struct vit_config *c)
{
    struct json_doc *nested = NULL, *flat = NULL;
    vlqa_status status = open_file(env, dir, NESTED, &nested);
    if (status == VLQA_OK) status = open_file(env, dir, FLAT, &flat);
    if (status == VLQA_OK) status = read_one(env, dir, nested, flat, c);
    json_free(nested);
    json_free(flat);
    return status;
}
