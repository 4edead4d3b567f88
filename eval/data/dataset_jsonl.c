/* dataset_jsonl.c - data sets of one JSON object a line, or in an array: our own form, what Hugging
 * Face, LLaVA and OpenAI write, and LongBench's. */
#include "base/file.h"
#include "base/heap.h"
#include "eval/data/dataset_reader.h"
#include "eval/data/json_row.h"
#include "eval/data/lines.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINE ((size_t)256 << 20)
#define MAX_FILE ((size_t)1 << 30)

struct state {
    struct lines lines;
    struct json_doc *doc;   /* of the row; of an array: of all */
    const struct json *row; /* of an array: the one to come */
    size_t bytes;           /* of an array, which are those of its longest row at most */
};

static vlqa_status open_lines(struct env *env, struct dataset *d)
{
    struct state *s = d->state = heap_alloc_zero(sizeof *s);
    if (!s) return env_no_memory(env, "data set", sizeof *s);
    return lines_open(env, d->path, &s->lines);
}

static vlqa_status open_array(struct env *env, struct dataset *d)
{
    struct state *s = d->state = heap_alloc_zero(sizeof *s);
    void *text;
    vlqa_status status;
    if (!s) return env_no_memory(env, "data set", sizeof *s);
    TRY(file_read(env, d->path, MAX_FILE, &text, &s->bytes));
    status = json_parse(env, d->path, text, s->bytes, MAX_FILE, &s->doc);
    if (status == VLQA_OK) status = json_keep_numbers(env, s->doc, text, s->bytes);
    heap_free(text);
    TRY(status);
    if (json_kind(json_root(s->doc)) != JSON_ARRAY)
        return env_fail(env, VLQA_EUSAGE, "%.200s: is %s, expected an array of rows", d->path,
                        json_kind_name(json_root(s->doc)));
    s->row = json_first(json_root(s->doc));
    return VLQA_OK;
}

static void close_lines(struct dataset *d)
{
    struct state *s = d->state;
    if (!s) return;
    json_free(s->doc);
    lines_close(&s->lines);
    heap_free(s);
}

static vlqa_status next_line(struct env *env, struct dataset *d, const struct json **out,
                             size_t *bytes)
{
    struct state *s = d->state;
    const char *line;
    char name[256];
    json_free(s->doc);
    s->doc = NULL;
    TRY(lines_next_full(env, &s->lines, &line, bytes));
    d->item.file = s->lines.path;
    d->item.line = s->lines.number;
    *out = NULL;
    if (!line) return VLQA_OK;
    lines_name(&s->lines, name);
    TRY(json_parse(env, name, line, *bytes, MAX_LINE, &s->doc));
    *out = json_root(s->doc);
    return json_keep_numbers(env, s->doc, line, *bytes);
}

/* Bytes that the texts of a value have. */
static size_t text_bytes(const struct json *value)
{
    size_t n = json_written(value) ? strlen(json_written(value)) : 0;
    if (!value || n || (json_kind(value) != JSON_ARRAY && json_kind(value) != JSON_OBJECT))
        return n + 8;
    for (const struct json *i = json_first(value); i; i = json_next(i))
        n += text_bytes(i);
    return n + 8;
}

/* The next object; NULL behind the last. Its arena has room for what the row says. */
static vlqa_status next_object(struct env *env, struct dataset *d, const struct json **out)
{
    struct state *s = d->state;
    struct json_row_file file = {.path = d->path, .images = d->options.images};
    size_t bytes = 0;
    if (d->reader == &dataset_json) {
        *out = s->row;
        bytes = text_bytes(s->row);
        s->row = json_next(s->row);
        d->item.line++;
    } else {
        TRY(next_line(env, d, out, &bytes));
    }
    if (!*out) return VLQA_OK;
    if (json_kind(*out) != JSON_OBJECT)
        return dataset_fail(env, d, "is %s, expected an object", json_kind_name(*out));
    return dataset_arena(env, d, dataset_room(bytes) + json_row_room(bytes, &file));
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
    const struct json *options = json_get_renamed(row, "options", "choices");
    int is_list = options && json_kind(options) == JSON_ARRAY;
    if (!options || json_kind(options) == JSON_NULL) return VLQA_OK;
    if ((!is_list && json_kind(options) != JSON_OBJECT) || json_count(options) > 26)
        return dataset_fail(env, d,
                            "options is %s, expected an object {\"A\": TEXT, ...} or a list, of at "
                            "most 26 texts",
                            json_kind_name(options));
    for (const struct json *i = json_first(options); i; i = json_next(i)) {
        char next[2] = {(char)('A' + d->item.n_options), 0};
        const char *letter = is_list ? next : json_name(i);
        if (letter[0] < 'A' || letter[0] > 'Z' || letter[1] || !json_written(i))
            return dataset_fail(env, d, "options: %s is %s, expected A to Z with a text", letter,
                                json_kind_name(i));
        d->item.option[d->item.n_options++] =
            (struct metric_option){letter[0], text_of(json_written(i))};
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

/* What is right: answers, answer, or ChartQA's label; else what the model says in messages. */
static vlqa_status read_answers(struct env *env, struct dataset *d, const struct json *row,
                                const char *said)
{
    static const char *const names[] = {"answers", "answer", "label"};
    const char *letter = json_text(json_get(row, "answer"));
    struct text *one;
    if (d->item.n_options && letter && letter[0] >= 'A' && letter[0] <= 'Z' && !letter[1])
        d->item.letter = letter[0];
    for (int i = 0; i < 3; i++)
        if (json_get(row, names[i]))
            return dataset_answers(env, d, json_get(row, names[i]), names[i]);
    if (!said) return VLQA_OK;
    one = arena_push(&d->arena, sizeof *one);
    *one = text_of(said);
    d->item.answer = one;
    d->item.n_answers = 1;
    return VLQA_OK;
}

static void read_names(struct dataset *d, const struct json *row)
{
    d->item.id = dataset_member(d, row, "id");
    number_as_id(d);
    d->item.hint = dataset_member(d, row, "hint");
    d->item.category = dataset_member(d, row, "category");
    d->item.split = dataset_member(d, row, "split");
    d->item.cycle = dataset_member(d, row, "cycle_category");
    d->item.dataset = dataset_member(d, row, "dataset");
    d->item.group = dataset_member(d, row, "group");
}

static vlqa_status check_group(struct env *env, struct dataset *d, const struct json *row)
{
    const struct json *group = json_get(row, "group");
    if (!group || json_kind(group) == JSON_NULL || dataset_member(d, row, "group")) return VLQA_OK;
    return dataset_fail(env, d, "group is %s, expected a text or a number", json_kind_name(group));
}

/* Question and images, and no key that seems to be meant for one of ours. */
static vlqa_status read_question(struct env *env, struct dataset *d, const struct json *row,
                                 struct json_row *out)
{
    static const char *const known[] = {
        "answer",   "answers", "options", "texts",          "metric", "id", "hint",
        "category", "split",   "dataset", "cycle_category", "group",  NULL};
    struct json_row_file file = {.path = d->path, .images = d->options.images};
    char name[256];
    snprintf(name, sizeof name, "%.200s, %s %d", d->item.file, d->reader->unit, d->item.line);
    file.name = name;
    TRY(json_row_read(env, &file, row, &d->arena, out));
    TRY(json_row_check_keys(env, &file, row, out, known));
    TRY(check_group(env, d, row));
    return out->question ? VLQA_OK : dataset_want(env, d, row, "question", &out->question);
}

static vlqa_status next_row(struct env *env, struct dataset *d, int *found)
{
    struct dataset_item *item = &d->item;
    const struct json *row;
    struct json_row asked;
    TRY(next_object(env, d, &row));
    if (!row) return VLQA_OK;
    TRY(read_question(env, d, row, &asked));
    item->question = asked.question;
    item->n_images = asked.n_images;
    memcpy(item->image, asked.image, sizeof item->image);
    TRY(read_texts(env, d, row, "texts", item->text, &item->n_texts));
    TRY(read_options(env, d, row));
    TRY(read_answers(env, d, row, asked.answer));
    read_names(d, row);
    TRY(read_metric(env, d, json_text(json_get(row, "metric"))));
    *found = 1;
    return VLQA_OK;
}

const struct dataset_reader dataset_jsonl = {
    .format = "jsonl", .unit = "line", .open = open_lines, .next = next_row, .close = close_lines};

static void rewind_array(struct dataset *d)
{
    struct state *s = d->state;
    s->row = json_first(json_root(s->doc));
}

const struct dataset_reader dataset_json = {.format = "json",
                                            .unit = "row",
                                            .open = open_array,
                                            .next = next_row,
                                            .rewind = rewind_array,
                                            .close = close_lines};

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
