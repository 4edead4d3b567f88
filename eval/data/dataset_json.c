/* dataset_json.c - data sets that are one JSON value: ChartQA's folder, and InfographicVQA's and
 * DocVQA's official files. */
#include "base/file.h"
#include "base/heap.h"
#include "eval/data/dataset_reader.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_FILE ((size_t)1 << 29)
#define MAX_PATH 4096

struct state {
    struct part {
        char file[MAX_PATH];
        const char *split;
        struct json_doc *doc;
    } part[2];
    int n_parts, at;
    const struct json *row; /* the one before the next; NULL: the part begins */
    int begun;
    const char *images; /* vqa: the folder */
};

static vlqa_status new_state(struct env *env, struct dataset *d)
{
    d->state = heap_alloc_zero(sizeof(struct state));
    return d->state ? VLQA_OK : env_no_memory(env, "data set", sizeof(struct state));
}

static void close_state(struct dataset *d)
{
    struct state *s = d->state;
    if (!s) return;
    for (int i = 0; i < 2; i++)
        json_free(s->part[i].doc);
    heap_free(s);
}

static const struct json *rows_of(const struct part *part)
{
    const struct json *root = json_root(part->doc);
    return json_kind(root) == JSON_OBJECT ? json_get(root, "data") : root;
}

static vlqa_status read_part(struct env *env, struct part *part)
{
    const struct json *rows;
    void *text;
    size_t bytes;
    vlqa_status status;
    TRY(file_read(env, part->file, MAX_FILE, &text, &bytes));
    status = json_parse(env, part->file, text, bytes, MAX_FILE, &part->doc);
    if (status == VLQA_OK) status = json_keep_numbers(env, part->doc, text, bytes);
    heap_free(text);
    TRY(status);
    rows = rows_of(part);
    if (!rows || json_kind(rows) != JSON_ARRAY)
        return env_fail(env, VLQA_EUSAGE, "%.200s: its rows are %s, expected an array", part->file,
                        json_kind_name(rows));
    return VLQA_OK;
}

/* The next row of any part, an object; NULL behind the last. */
static vlqa_status next_row(struct env *env, struct dataset *d, const struct json **out)
{
    struct state *s = d->state;
    s->row = s->begun ? json_next(s->row) : json_first(rows_of(&s->part[0]));
    d->item.line = s->begun ? d->item.line + 1 : 1;
    s->begun = 1;
    while (!s->row && s->at + 1 < s->n_parts) {
        s->row = json_first(rows_of(&s->part[++s->at]));
        d->item.line = 1;
    }
    d->item.file = s->part[s->at].file;
    *out = s->row;
    if (!s->row) return VLQA_OK;
    if (json_kind(s->row) != JSON_OBJECT)
        return dataset_fail(env, d, "is %s, expected an object", json_kind_name(s->row));
    return VLQA_OK;
}

static size_t answer_bytes(const struct json *value)
{
    size_t bytes = json_text(value) ? strlen(json_text(value)) : 0;
    if (value && json_kind(value) == JSON_ARRAY) bytes = (size_t)json_count(value);
    return bytes;
}

/* "human-7": rows are counted in each part */
static void number_as_id(struct dataset *d, const char *part)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s%d", part, *part ? "-" : "", d->item.line);
    d->item.id = dataset_copy(d, text_of(text));
}

/* ---- ChartQA ---- */

static int part_at(struct part *part, const char *folder, const char *inside, const char *split,
                   const char *which)
{
    int n = snprintf(part->file, MAX_PATH, "%s/%s%s_%s.json", folder, inside, split, which);
    return n < MAX_PATH && file_exists(part->file);
}

static vlqa_status open_chartqa(struct env *env, struct dataset *d)
{
    static const char *const which[] = {"human", "augmented"};
    const char *split = d->options.split ? d->options.split : "test";
    struct state *s;
    char inside[3][64] = {"", "", ""};
    if (strcmp(split, "train") != 0 && strcmp(split, "val") != 0 && strcmp(split, "test") != 0)
        return env_fail(env, VLQA_EUSAGE, "split %s is none of train, val, test", split);
    TRY(new_state(env, d));
    s = d->state;
    snprintf(inside[0], 64, "ChartQA Dataset/%s/", split);
    snprintf(inside[1], 64, "%s/", split);
    for (int i = 0; i < 3 && !s->n_parts; i++)
        for (int k = 0; k < 2; k++)
            if (part_at(&s->part[s->n_parts], d->path, inside[i], split, which[k]))
                s->part[s->n_parts++].split = which[k];
    if (!s->n_parts)
        return env_fail(env, VLQA_EUSAGE,
                        "%.200s: no ChartQA in it: neither %s_human.json nor %s_augmented.json, "
                        "also not in %s or ChartQA Dataset/%s",
                        d->path, split, split, split, split);
    for (int i = 0; i < s->n_parts; i++)
        TRY(read_part(env, &s->part[i]));
    d->kind = DATASET_CHARTQA;
    return VLQA_OK;
}

static vlqa_status next_chartqa(struct env *env, struct dataset *d, int *found)
{
    const struct state *s = d->state;
    const struct json *row;
    const char *image, *label;
    TRY(next_row(env, d, &row));
    if (!row) return VLQA_OK;
    TRY(dataset_want(env, d, row, "imgname", &image));
    TRY(dataset_want(env, d, row, "query", &d->item.question));
    label = json_written(json_get(row, "label"));
    if (!label) TRY(dataset_want(env, d, row, "label", &label));
    if (strchr(image, '/')) return dataset_fail(env, d, "imgname is %s, expected a name", image);
    TRY(dataset_arena(env, d, dataset_room(strlen(label)) + 2 * MAX_PATH + strlen(image)));
    d->item.image[d->item.n_images++].path = dataset_beside(d, d->item.file, "png", image);
    dataset_cell(d, text_of(label));
    d->item.split = s->part[s->at].split;
    number_as_id(d, d->item.split);
    dataset_finish(d);
    *found = 1;
    return VLQA_OK;
}

const struct dataset_reader dataset_chartqa = {.format = "chartqa",
                                               .unit = "row",
                                               .open = open_chartqa,
                                               .next = next_chartqa,
                                               .close = close_state};

/* ---- InfographicVQA, DocVQA ---- */

static vlqa_status open_vqa(struct env *env, struct dataset *d)
{
    struct state *s;
    const char *name;
    TRY(new_state(env, d));
    s = d->state;
    if (snprintf(s->part[0].file, MAX_PATH, "%s", d->path) >= MAX_PATH)
        return env_fail(env, VLQA_EUSAGE, "%.200s...: the path is too long", d->path);
    s->n_parts = 1;
    TRY(read_part(env, &s->part[0]));
    if (json_kind(json_root(s->part[0].doc)) != JSON_OBJECT)
        return env_fail(env, VLQA_EUSAGE,
                        "%.200s: is array, expected an object with data; ChartQA is read by its "
                        "folder",
                        d->path);
    name = json_text(json_get(json_root(s->part[0].doc), "dataset_name"));
    if (d->kind == DATASET_OTHER)
        d->kind = name && strncasecmp(name, "info", 4) == 0 ? DATASET_INFOVQA : DATASET_DOCVQA;
    return VLQA_OK;
}

/* The first image says where all are. */
static vlqa_status find_images(struct env *env, struct dataset *d, const char *image)
{
    static const char *const usual[] = {"", "infographicsvqa_images", "spdocvqa_images", "images"};
    struct state *s = d->state;
    s->images = d->options.images;
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !s->images; i++) {
        size_t mark = arena_mark(&d->arena);
        if (file_exists(dataset_beside(d, d->path, usual[i], image))) s->images = usual[i];
        arena_rewind(&d->arena, mark);
    }
    if (s->images) return VLQA_OK;
    return dataset_fail(env, d,
                        "image %s is not beside the file, nor there in infographicsvqa_images, "
                        "spdocvqa_images or images; --images names the folder",
                        image);
}

/* With --images the folder is as it is given, not beside the file. */
static const char *image_path(struct dataset *d, const char *image)
{
    struct state *s = d->state;
    return dataset_beside(d, d->options.images ? "" : d->path, s->images, image);
}

static vlqa_status next_vqa(struct env *env, struct dataset *d, int *found)
{
    const struct json *row;
    const char *image;
    struct state *s = d->state;
    TRY(next_row(env, d, &row));
    if (!row) return VLQA_OK;
    TRY(dataset_want(env, d, row, "question", &d->item.question));
    image = json_text(json_get(row, "image_local_name"));
    if (!image) TRY(dataset_want(env, d, row, "image", &image));
    TRY(dataset_arena(env, d,
                      dataset_room(answer_bytes(json_get(row, "answers"))) + 8 * MAX_PATH +
                          8 * strlen(image)));
    if (!s->images) TRY(find_images(env, d, image));
    d->item.image[d->item.n_images++].path = image_path(d, image);
    TRY(dataset_answers(env, d, json_get(row, "answers"), "answers"));
    d->item.split = json_text(json_get(row, "data_split"));
    d->item.id = dataset_member(d, row, "questionId");
    if (!d->item.id) number_as_id(d, "");
    dataset_finish(d);
    *found = 1;
    return VLQA_OK;
}

const struct dataset_reader dataset_vqa = {
    .format = "vqa", .unit = "row", .open = open_vqa, .next = next_vqa, .close = close_state};
