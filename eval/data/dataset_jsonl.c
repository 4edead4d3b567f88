/* dataset_jsonl.c - data sets of one JSON object a line: our own form, and LongBench's. */
#include "base/heap.h"
#include "eval/data/dataset_reader.h"
#include "eval/data/lines.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINE ((size_t)256 << 20)

struct state {
    struct lines lines;
    struct json_doc *doc; /* of the row */
};

static vlqa_status open_lines(struct env *env, struct dataset *d)
{
    struct state *s = d->state = heap_alloc_zero(sizeof *s);
    if (!s) return env_no_memory(env, "data set", sizeof *s);
    return lines_open(env, d->path, &s->lines);
}

static void close_lines(struct dataset *d)
{
    struct state *s = d->state;
    if (!s) return;
    json_free(s->doc);
    lines_close(&s->lines);
    heap_free(s);
}

/* The next object; NULL behind the last. Its arena has room for what the row says. */
static vlqa_status next_object(struct env *env, struct dataset *d, const struct json **out)
{
    struct state *s = d->state;
    const char *line;
    size_t bytes;
    char name[256];
    *out = NULL;
    json_free(s->doc);
    s->doc = NULL;
    TRY(lines_next_full(env, &s->lines, &line, &bytes));
    d->item.file = s->lines.path;
    d->item.line = s->lines.number;
    if (!line) return VLQA_OK;
    lines_name(&s->lines, name);
    TRY(json_parse(env, name, line, bytes, MAX_LINE, &s->doc));
    if (json_kind(json_root(s->doc)) != JSON_OBJECT)
        return dataset_fail(env, d, "is %s, expected an object", json_kind_name(json_root(s->doc)));
    *out = json_root(s->doc);
    return dataset_arena(env, d, dataset_room(bytes) + DATASET_IMAGES * (strlen(d->path) + 256));
}

static void number_as_id(struct dataset *d)
{
    char text[16];
    snprintf(text, sizeof text, "%d", d->item.line);
    if (!d->item.id) d->item.id = dataset_copy(d, text_of(text));
}

/* ---- our own ---- */

/* A text or a list of texts into out; *n of at most DATASET_IMAGES. */
static vlqa_status read_texts(struct env *env, struct dataset *d, const struct json *row,
                              const char *name, const char **out, int *n)
{
    const struct json *value = json_get(row, name), *i = value;
    int is_list = value && json_kind(value) == JSON_ARRAY;
    *n = 0;
    if (!value || json_kind(value) == JSON_NULL) return VLQA_OK;
    for (i = is_list ? json_first(value) : value; i; i = is_list ? json_next(i) : NULL) {
        if (!json_text(i))
            return dataset_fail(env, d, "%s holds %s, expected a text or a list of texts", name,
                                json_kind_name(i));
        if (*n == DATASET_IMAGES)
            return dataset_fail(env, d, "%s holds more than %d texts", name, DATASET_IMAGES);
        out[(*n)++] = json_text(i);
    }
    return VLQA_OK;
}

static vlqa_status read_options(struct env *env, struct dataset *d, const struct json *row)
{
    const struct json *options = json_get(row, "options");
    if (!options || json_kind(options) == JSON_NULL) return VLQA_OK;
    if (json_kind(options) != JSON_OBJECT || json_count(options) > 26)
        return dataset_fail(env, d, "options is %s, expected an object of at most 26 texts",
                            json_kind_name(options));
    for (const struct json *i = json_first(options); i; i = json_next(i)) {
        const char *letter = json_name(i);
        if (letter[0] < 'A' || letter[0] > 'Z' || letter[1] || !json_text(i))
            return dataset_fail(env, d, "options: %s is %s, expected A to Z with a text", letter,
                                json_kind_name(i));
        d->item.option[d->item.n_options++] =
            (struct metric_option){letter[0], text_of(json_text(i))};
    }
    return VLQA_OK;
}

/* What the metric that a row names says of its prompt. */
static vlqa_status read_metric(struct env *env, struct dataset *d, const char *name)
{
    static const enum dataset_kind kinds[] = {
        [METRIC_CHARTQA] = DATASET_CHARTQA,   [METRIC_ANLS] = DATASET_INFOVQA,
        [METRIC_OCRBENCH] = DATASET_OCRBENCH, [METRIC_MCQ] = DATASET_CHOICE,
        [METRIC_F1] = DATASET_OTHER,          [METRIC_EM] = DATASET_OTHER,
        [METRIC_EM_ANSWER] = DATASET_OTHER};
    int metric = name ? metric_find(name) : -1;
    if (name && metric < 0)
        return dataset_fail(env, d,
                            "metric is %s, expected chartqa, anls, ocrbench, mcq, f1, em "
                            "or em-answer",
                            name);
    if (metric >= 0) d->item.kind = kinds[metric];
    dataset_finish(d);
    if (metric >= 0) d->item.metric = (enum metric)metric;
    if (d->item.metric == METRIC_MCQ && (!d->item.n_options || !d->item.letter))
        return dataset_fail(env, d, "metric mcq needs options and answer, a letter");
    return VLQA_OK;
}

static vlqa_status next_row(struct env *env, struct dataset *d, int *found)
{
    struct dataset_item *item = &d->item;
    const struct json *row;
    const char *image[DATASET_IMAGES], *letter;
    TRY(next_object(env, d, &row));
    if (!row) return VLQA_OK;
    TRY(dataset_want(env, d, row, "question", &item->question));
    TRY(read_texts(env, d, row, "image", image, &item->n_images));
    for (int i = 0; i < item->n_images; i++)
        item->image[i] = (struct dataset_image){.path = dataset_beside(d, d->path, "", image[i])};
    TRY(read_texts(env, d, row, "texts", item->text, &item->n_texts));
    TRY(read_options(env, d, row));
    letter = json_text(json_get(row, "answer"));
    if (item->n_options && letter && letter[0] >= 'A' && letter[0] <= 'Z' && !letter[1])
        item->letter = letter[0];
    if (json_get(row, "answers"))
        TRY(dataset_answers(env, d, json_get(row, "answers"), "answers"));
    else
        TRY(dataset_answers(env, d, json_get(row, "answer"), "answer"));
    item->id = dataset_member(d, row, "id");
    number_as_id(d);
    item->hint = dataset_member(d, row, "hint");
    item->category = dataset_member(d, row, "category");
    item->split = dataset_member(d, row, "split");
    item->cycle = dataset_member(d, row, "cycle_category");
    item->dataset = dataset_member(d, row, "dataset");
    TRY(read_metric(env, d, json_text(json_get(row, "metric"))));
    *found = 1;
    return VLQA_OK;
}

const struct dataset_reader dataset_jsonl = {
    .format = "jsonl", .unit = "line", .open = open_lines, .next = next_row, .close = close_lines};

/* ---- LongBench ---- */

static vlqa_status next_longbench(struct env *env, struct dataset *d, int *found)
{
    struct dataset_item *item = &d->item;
    const struct json *row;
    TRY(next_object(env, d, &row));
    if (!row) return VLQA_OK;
    TRY(dataset_want(env, d, row, "input", &item->question));
    TRY(dataset_want(env, d, row, "context", &item->text[0]));
    item->n_texts = 1;
    TRY(dataset_answers(env, d, json_get(row, "answers"), "answers"));
    item->id = dataset_member(d, row, "_id");
    number_as_id(d);
    item->dataset = dataset_member(d, row, "dataset");
    item->kind = DATASET_LONGBENCH;
    dataset_finish(d);
    *found = 1;
    return VLQA_OK;
}

const struct dataset_reader dataset_longbench = {.format = "longbench",
                                                 .unit = "line",
                                                 .open = open_lines,
                                                 .next = next_longbench,
                                                 .close = close_lines};
