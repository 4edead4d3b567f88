/* loss_images.c - from the worst answers back to what they were asked about. */
#include "eval/report/loss_images.h"

#include "eval/data/dataset.h"
#include "eval/data/lines.h"
#include "eval/run/row.h"

#include <stdio.h>
#include <string.h>

/* ---- lines of a run ---- */

static struct json_doc *read_line(struct env *env, const char *path, int number)
{
    struct json_doc *doc = NULL;
    struct lines lines;
    const char *line = NULL;
    size_t bytes = 0;
    vlqa_status status = lines_open(env, path, &lines);
    if (status != VLQA_OK) return NULL;
    do
        status = lines_next(env, &lines, &line, &bytes);
    while (status == VLQA_OK && line && lines.number < number);
    if (status == VLQA_OK && line) status = json_parse(env, path, line, bytes, ROW_MAX, &doc);
    lines_close(&lines);
    return status == VLQA_OK ? doc : NULL;
}

static const struct json *root_of(const struct json_doc *doc)
{
    return doc ? json_root(doc) : NULL;
}

static const char *text_at(const struct json *object, const char *name)
{
    const char *text = json_text(json_get(object, name));
    return text ? text : "";
}

/* A text, or a list of them. */
static const struct json *paths_of(const struct json *root)
{
    static const char *const names[] = {"image", "images", "image_path"};
    for (int i = 0; i < 3; i++) {
        const struct json *value = json_get(root, names[i]);
        if (json_text(value) || json_text(json_first(value))) return value;
    }
    return NULL;
}

/* The rows of image i that were computed again; NULL: none, or it is not told. */
static const struct repaired *rows_of(const struct loss_images *images, int i, struct repaired *out)
{
    const struct json *text = json_first(json_get(root_of(images->doc), "repaired"));
    for (; text && i; i--)
        text = json_next(text);
    return json_text(text) && repaired_read(json_text(text), out) ? out : NULL;
}

static int is_inside(const struct loss_images *images)
{
    const struct json *root = root_of(images->doc);
    return !paths_of(root) && json_first(json_get(root, "image_bytes"));
}

static void find_files(struct thumbnails *t, const char *run, struct loss_images *out)
{
    const struct json *paths = paths_of(root_of(out->doc));
    const struct json *i = json_text(paths) ? paths : json_first(paths);
    struct repaired rows;
    for (; json_text(i); i = json_text(paths) ? NULL : json_next(i)) {
        int k = out->total++;
        if (k >= LOSS_IMAGES) continue;
        snprintf(out->alt[k], sizeof *out->alt, "%.120s", json_text(i));
        thumbnail_file(t, json_text(i), run, rows_of(out, k, &rows), &out->image[k]);
    }
}

static void expect_inside(struct loss_images *out)
{
    const struct json *list = json_get(root_of(out->doc), "image_bytes");
    out->total = json_count(list);
    for (int k = 0; k < out->total && k < LOSS_IMAGES; k++) {
        snprintf(out->alt[k], sizeof *out->alt, "image %d", k + 1);
        out->image[k].missing = "the data set is not there";
    }
}

/* ---- the data set of a run ---- */

/* The word of the command that ends with the name. */
static int path_in_command(const char *command, const char *name, char *out, size_t cap)
{
    const char *at = strstr(command, name), *end, *begin;
    char quote;
    if (!at) return 0;
    end = at + strlen(name);
    quote = *end == '\'' || *end == '"' ? *end : ' ';
    for (begin = at; begin > command && begin[-1] != quote; begin--)
        if (quote == ' ' && begin[-1] == '=') break;
    return snprintf(out, cap, "%.*s", (int)(end - begin), begin) < (int)cap;
}

static int find_data(struct env *env, const char *run, char *out, size_t cap)
{
    struct json_doc *doc = read_line(env, run, 1);
    const struct json *root = root_of(doc);
    const char *name = text_at(root, "dataset");
    char path[4096];
    int found = 0;
    if (*name && !json_get(root, "id"))
        found = thumbnail_find(name, run, out, cap) ||
                (path_in_command(text_at(root, "command"), name, path, sizeof path) &&
                 thumbnail_find(path, run, out, cap));
    json_free(doc);
    return found;
}

static int is_asked(const struct loss_images *images, const struct dataset_item *item)
{
    const struct json *root = root_of(images->doc);
    double line = json_number(json_get(root, "line"));
    return !(line < item->line || line > item->line) && strcmp(text_at(root, "id"), item->id) == 0;
}

static void take_item(struct thumbnails *t, const struct dataset_item *item,
                      struct loss_images *out)
{
    struct repaired rows;
    for (int k = 0; k < LOSS_IMAGES && k < item->n_images && k < out->total; k++)
        if (!item->image[k].path)
            thumbnail_make(t, item->image[k].data, item->image[k].bytes, out->alt[k],
                           rows_of(out, k, &rows), &out->image[k]);
}

/* All answers of the run that want it, in one pass. */
static void read_data(struct thumbnails *t, const char *path, const char *run,
                      const struct answer_loss *loss, int n, struct loss_images *out)
{
    static const struct dataset_options options = {.keep_blind = 1};
    struct env *env = &t->cli->env;
    const struct dataset_item *item;
    struct dataset *d;
    vlqa_status status = dataset_open(env, path, &options, &d);
    int left = 0;
    for (int i = 0; i < n; i++)
        left += loss[i].row->path == run && is_inside(&out[i]);
    while (status == VLQA_OK && left && !cli_interrupted()) {
        status = dataset_next(env, d, &item);
        if (status != VLQA_OK || !item) break;
        for (int i = 0; i < n; i++)
            if (loss[i].row->path == run && is_inside(&out[i]) && is_asked(&out[i], item)) {
                take_item(t, item, &out[i]);
                left--;
            }
    }
    dataset_close(d);
}

/* ---- the whole ---- */

void loss_images_find(struct thumbnails *t, const struct answer_loss *loss, int n,
                      struct loss_images *out)
{
    char path[4200];
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < n; i++) {
        out[i].doc = read_line(&t->cli->env, loss[i].row->path, loss[i].row->line);
        if (is_inside(&out[i]))
            expect_inside(&out[i]);
        else
            find_files(t, loss[i].row->path, &out[i]);
    }
    for (int i = 0; i < n; i++) {
        const char *run = loss[i].row->path;
        int seen = 0;
        for (int k = 0; k < i; k++)
            seen |= loss[k].row->path == run && is_inside(&out[k]);
        if (!seen && is_inside(&out[i]) && find_data(&t->cli->env, run, path, sizeof path))
            read_data(t, path, run, loss, n, out);
    }
}

void loss_images_put(struct page *p, const struct loss_images *images)
{
    static const struct thumbnail none = {.missing = "no image is named"},
                                  lost = {.missing = "the run cannot be read again"};
    page_raw(p, "<div>\n");
    if (!images->total) thumbnail_put(p, images->doc ? &none : &lost, "");
    for (int i = 0; i < images->total && i < LOSS_IMAGES; i++)
        thumbnail_put(p, &images->image[i], images->alt[i]);
    if (images->total > LOSS_IMAGES)
        page_raw(p, "<small>and %d more images</small>\n", images->total - LOSS_IMAGES);
    page_raw(p, "</div>\n");
}

void loss_images_free(struct loss_images *images, int n)
{
    for (int i = 0; i < n; i++) {
        json_free(images[i].doc);
        for (int k = 0; k < LOSS_IMAGES; k++)
            thumbnail_free(&images[i].image[k]);
    }
}
