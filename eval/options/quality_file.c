/* quality_file.c - a calibration of --quality from and to JSON. */
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "eval/cli/report.h"
#include "eval/options/calibration.h"
#include "eval/options/quality.h"

#include <string.h>

#define FORMAT "vlqa quality 1"
#define MAX_BYTES ((size_t)1 << 20)
#define MAKE "make another with vlqa study QUESTIONS --calibrate-quality"

/* ---- writing ---- */

static void report_family(struct report *r, const struct quality_family *f)
{
    report_open(r, NULL);
    report_number(r, "ratio", f->ratio);
    report_int(r, "answers", f->answers);
    report_open_list(r, "points");
    for (int i = 0; i < f->n; i++) {
        report_open(r, NULL);
        report_int(r, "failures", f->point[i].failures);
        report_number(r, "margin", f->point[i].margin);
        report_real(r, "work", f->point[i].work);
        report_close(r);
    }
    report_close(r);
    report_close(r);
}

vlqa_status quality_write(struct env *env, const struct cache_args *cache,
                          const struct vlqa_model_info *model, const struct quality_file *file,
                          char path[CACHE_PATH])
{
    struct report r = report_begin();
    report_string(&r, "format", FORMAT);
    report_string(&r, "model", model->digest);
    report_string(&r, "dtype", model->dtype);
    report_string(&r, "weights", model->weights);
    report_string(&r, "chunk_dtype", model->chunk_dtype);
    report_int(&r, "halo", file->halo);
    report_int(&r, "max_tokens", file->max_tokens);
    report_int(&r, "questions", file->questions);
    report_int(&r, "documents", file->documents);
    report_open_list(&r, "families");
    for (int i = 0; i < file->table.n; i++)
        report_family(&r, &file->table.family[i]);
    report_close(&r);
    return calibration_keep(env, cache, "quality", model->digest, report_end(&r), path);
}

/* ---- reading ---- */

struct reader {
    struct env *env;
    const struct json_doc *doc;
    const char *path;
};

static vlqa_status check_text(const struct reader *r, const char *name, const char *expected)
{
    const char *found;
    TRY(json_want_string(r->env, r->doc, json_root(r->doc), name, &found));
    if (strcmp(found, expected) == 0) return VLQA_OK;
    return env_fail(r->env, VLQA_EIO,
                    "%s: %s is %.64s, expected %s: it was calibrated for %s; " MAKE, r->path, name,
                    found, expected, strcmp(name, "model") ? "other settings" : "another model");
}

static vlqa_status read_point(const struct reader *r, const struct json *from,
                              const struct quality_family *f, struct quality_point *out)
{
    const struct quality_point *before = f->n ? out - 1 : NULL;
    if (json_kind(from) != JSON_OBJECT)
        return env_fail(r->env, VLQA_EIO, "%s: a point is %s, expected an object", r->path,
                        json_kind_name(from));
    TRY(json_want_int(r->env, r->doc, from, "failures", 0, f->answers, &out->failures));
    TRY(json_want_double(r->env, r->doc, from, "margin", 0, QUALITY_MARGIN, &out->margin));
    TRY(json_want_double(r->env, r->doc, from, "work", 0, 1e3, &out->work));
    if (!before || (out->failures > before->failures && out->margin < before->margin))
        return VLQA_OK;
    return env_fail(
        r->env, VLQA_EIO,
        "%s: point %d of ratio %g has %d failures at margin %g behind %d at %g, expected "
        "more failures at smaller margins; " MAKE,
        r->path, f->n + 1, f->ratio, out->failures, out->margin, before->failures, before->margin);
}

static vlqa_status read_family(const struct reader *r, const struct json *from,
                               struct quality_family *out)
{
    const struct json *points = json_get(from, "points");
    if (json_kind(from) != JSON_OBJECT || json_kind(points) != JSON_ARRAY || !json_first(points))
        return env_fail(r->env, VLQA_EIO,
                        "%s: a family is %s, expected an object with points, a list", r->path,
                        json_kind_name(from));
    TRY(json_want_double(r->env, r->doc, from, "ratio", 0, 1, &out->ratio));
    TRY(json_want_int(r->env, r->doc, from, "answers", 1, INT32_MAX, &out->answers));
    for (const struct json *i = json_first(points); i; i = json_next(i)) {
        if (out->n == QUALITY_POINTS)
            return env_fail(r->env, VLQA_EIO, "%s: more than %d points", r->path, QUALITY_POINTS);
        TRY(read_point(r, i, out, &out->point[out->n]));
        out->n++;
    }
    return VLQA_OK;
}

static vlqa_status read_all(const struct reader *r, const struct vlqa_model_info *model,
                            struct quality_file *out)
{
    const struct json *root = json_root(r->doc), *families;
    TRY(check_text(r, "format", FORMAT));
    TRY(check_text(r, "model", model->digest));
    TRY(check_text(r, "dtype", model->dtype));
    TRY(check_text(r, "weights", model->weights));
    TRY(check_text(r, "chunk_dtype", model->chunk_dtype));
    TRY(json_want_int(r->env, r->doc, root, "halo", -1, 4096, &out->halo));
    TRY(json_opt_int(r->env, r->doc, root, "max_tokens", 0, INT32_MAX, &out->max_tokens));
    TRY(json_opt_int(r->env, r->doc, root, "questions", 0, INT32_MAX, &out->questions));
    TRY(json_opt_int(r->env, r->doc, root, "documents", 0, INT32_MAX, &out->documents));
    families = json_get(root, "families");
    if (json_kind(families) != JSON_ARRAY || !json_first(families))
        return env_fail(r->env, VLQA_EIO, "%s: families is %s, expected a list", r->path,
                        json_kind_name(families));
    for (const struct json *i = json_first(families); i; i = json_next(i)) {
        if (out->table.n == QUALITY_FAMILIES)
            return env_fail(r->env, VLQA_EIO, "%s: more than %d families", r->path,
                            QUALITY_FAMILIES);
        TRY(read_family(r, i, &out->table.family[out->table.n]));
        out->table.n++;
    }
    return VLQA_OK;
}

vlqa_status quality_read(struct env *env, const char *path, const struct vlqa_model_info *model,
                         struct quality_file *out)
{
    struct json_doc *doc = NULL;
    vlqa_status status = json_read(env, path, MAX_BYTES, &doc);
    struct reader r = {env, doc, path};
    memset(out, 0, sizeof *out);
    if (status == VLQA_OK) status = read_all(&r, model, out);
    json_free(doc);
    return status == VLQA_EMODEL || status == VLQA_ELIMIT ? VLQA_EIO : status;
}
