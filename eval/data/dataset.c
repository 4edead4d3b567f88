/* dataset.c - which layout a path has, and what its readers share. */
#include "eval/data/dataset.h"

#include "base/bom.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/placeholder.h"
#include "eval/cli/place.h"
#include "eval/data/dataset_reader.h"
#include "eval/data/json_row.h"
#include "eval/data/lines.h"
#include "eval/data/pylist.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const struct dataset_reader *const readers[] = {&dataset_chartqa, &dataset_vqa,
                                                       &dataset_tsv,     &dataset_jsonl,
                                                       &dataset_json,    &dataset_longbench};
const char *const dataset_formats[] = {"chartqa", "vqa", "tsv", "jsonl", "json", "longbench", NULL};

/* ---- for readers ---- */

vlqa_status dataset_fail(struct env *env, const struct dataset *d, const char *format, ...)
{
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (!d->item.line) return env_fail(env, VLQA_EUSAGE, "%.200s: %s", d->item.file, reason);
    return env_fail(env, VLQA_EUSAGE, "%.200s, %s %d: %s", d->item.file, d->reader->unit,
                    d->item.line, reason);
}

vlqa_status dataset_arena(struct env *env, struct dataset *d, size_t bytes)
{
    if (bytes > d->cap) {
        heap_free(d->memory);
        d->cap = 0;
        d->memory = heap_alloc(bytes);
        if (!d->memory) return env_no_memory(env, "row", bytes);
        d->cap = bytes;
    }
    d->arena = arena_over(d->memory, d->cap);
    return VLQA_OK;
}

size_t dataset_room(size_t bytes)
{
    return 24 * bytes + (16 << 10);
}

const char *dataset_copy(struct dataset *d, struct text text)
{
    char *out = arena_push(&d->arena, text.bytes + 1);
    memcpy(out, text.at, text.bytes);
    out[text.bytes] = 0;
    return out;
}

const char *dataset_beside(struct dataset *d, const char *file, const char *folder,
                           const char *name)
{
    return json_row_beside(&d->arena, file, folder, name);
}

const char *dataset_member(struct dataset *d, const struct json *row, const char *name)
{
    const struct json *value = json_get(row, name);
    char number[40];
    if (json_text(value)) return json_text(value);
    if (!value || json_kind(value) != JSON_NUMBER) return NULL;
    snprintf(number, sizeof number, "%.17g", json_number(value));
    return dataset_copy(d, text_of(number));
}

vlqa_status dataset_want(struct env *env, struct dataset *d, const struct json *row,
                         const char *name, const char **out)
{
    *out = json_text(json_get(row, name));
    if (*out) return VLQA_OK;
    return dataset_fail(env, d, "%s is %s, expected a text", name,
                        json_kind_name(json_get(row, name)));
}

vlqa_status dataset_answers(struct env *env, struct dataset *d, const struct json *value,
                            const char *name)
{
    int is_list = value && json_kind(value) == JSON_ARRAY;
    int n = is_list ? json_count(value) : value && json_kind(value) != JSON_NULL;
    struct text *answer = arena_push(&d->arena, (size_t)n * sizeof *answer);
    const struct json *i = is_list ? json_first(value) : value;
    for (int k = 0; k < n; k++, i = json_next(i)) {
        if (!json_written(i))
            return dataset_fail(env, d, "%s holds %s, expected a text or a list of texts", name,
                                json_kind_name(i));
        answer[k] = text_of(json_written(i));
    }
    d->item.answer = answer;
    d->item.n_answers = n;
    return VLQA_OK;
}

void dataset_cell(struct dataset *d, struct text cell)
{
    struct text *answer;
    if (!pylist_read(cell, &d->arena, &answer, &d->item.n_answers)) {
        answer = arena_push(&d->arena, sizeof *answer);
        *answer = cell;
        d->item.n_answers = 1;
    }
    d->item.answer = answer;
}

static enum metric metric_of(enum dataset_kind kind)
{
    switch (kind) {
    case DATASET_CHARTQA:
        return METRIC_CHARTQA;
    case DATASET_INFOVQA:
    case DATASET_DOCVQA:
        return METRIC_ANLS;
    case DATASET_OCRBENCH:
        return METRIC_OCRBENCH;
    case DATASET_REALWORLDQA:
    case DATASET_HRBENCH:
    case DATASET_CHOICE:
        return METRIC_MCQ;
    case DATASET_LONGBENCH:
        return METRIC_F1;
    case DATASET_OTHER:
        break;
    }
    return METRIC_EM;
}

void dataset_finish(struct dataset *d)
{
    if (d->item.kind == DATASET_OTHER && d->item.n_options) d->item.kind = DATASET_CHOICE;
    d->item.metric = metric_of(d->item.kind);
    if (d->item.metric == METRIC_MCQ && !d->item.n_options) d->item.metric = METRIC_EM;
    if (d->item.metric == METRIC_MCQ && d->item.n_answers == 1 && d->item.answer[0].bytes == 1 &&
        d->item.answer[0].at[0] >= 'A' && d->item.answer[0].at[0] <= 'Z')
        d->item.letter = d->item.answer[0].at[0];
}

/* ---- which layout, which data set ---- */

static int ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcasecmp(path + n - m, end) == 0;
}

static enum dataset_kind kind_of(const char *path)
{
    static const struct {
        const char *name;
        enum dataset_kind kind;
    } known[] = {{"ChartQA", DATASET_CHARTQA},         {"InfoVQA", DATASET_INFOVQA},
                 {"infographicsVQA", DATASET_INFOVQA}, {"DocVQA", DATASET_DOCVQA},
                 {"OCRBench", DATASET_OCRBENCH},       {"RealWorldQA", DATASET_REALWORLDQA},
                 {"HRBench", DATASET_HRBENCH}};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncasecmp(name, known[i].name, strlen(known[i].name)) == 0) return known[i].kind;
    return DATASET_OTHER;
}

#define BEGINNING 1024

/* The first bytes of a file, ending with NUL; none of what is no regular file. */
static size_t read_beginning(const char *path, char out[BEGINNING])
{
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rb") : NULL;
    size_t n = f ? fread(out, 1, BEGINNING - 1, f) : 0;
    if (f) fclose(f);
    out[n] = 0;
    return n;
}

/* What is there instead of a data set, and texts that are not UTF-8. */
static vlqa_status check_beginning(struct env *env, const char *path)
{
    char begin[BEGINNING];
    size_t n = read_beginning(path, begin);
    const char *encoding = bom_foreign(begin, n);
    TRY(placeholder_check(env, VLQA_EUSAGE, path, begin, n));
    if (!encoding) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE,
                    "%.200s is %s text, expected UTF-8: save it as UTF-8, or convert it with "
                    "\"iconv -f %s -t UTF-8\"",
                    path, encoding, encoding);
}

/* A JSON file is an array of rows, or what InfographicVQA and DocVQA have. */
static const struct dataset_reader *look_at_json(const char *path)
{
    char begin[BEGINNING], *at = begin;
    at += bom_bytes(begin, read_beginning(path, begin));
    at += strspn(at, " \t\r\n");
    return *at == '[' ? &dataset_json : &dataset_vqa;
}

/* JSON lines are LongBench's when the first has a context. */
static const struct dataset_reader *look_inside(struct env *env, const char *path)
{
    const struct dataset_reader *reader = &dataset_jsonl;
    struct lines lines;
    struct json_doc *doc = NULL;
    const char *line;
    size_t bytes;
    if (lines_open(env, path, &lines) != VLQA_OK) return reader;
    if (lines_next_full(env, &lines, &line, &bytes) == VLQA_OK && line &&
        json_parse(env, path, line, bytes, bytes, &doc) == VLQA_OK &&
        json_get(json_root(doc), "context") && json_get(json_root(doc), "input"))
        reader = &dataset_longbench;
    json_free(doc);
    lines_close(&lines);
    return reader;
}

/* Parquet begins and ends with its name; nothing is said of a file that cannot be read. */
static int is_damaged_parquet(const char *path)
{
    char begin[4] = "", end[4] = "";
    FILE *f = fopen(path, "rb");
    int is_whole;
    if (!f) return 0;
    is_whole = fread(begin, 1, 4, f) == 4 && fseek(f, -4, SEEK_END) == 0 &&
               fread(end, 1, 4, f) == 4 && memcmp(begin, "PAR1", 4) == 0 &&
               memcmp(end, "PAR1", 4) == 0 && ftell(f) >= 12;
    fclose(f);
    return !is_whole;
}

/* One word of a shell, cut where there is no room. */
static void quote(const char *text, char *out, size_t cap)
{
    size_t used = 0;
    if (!text[strcspn(text, " &()$;'\"*?<>|\\`#[]{}!~\t\n")]) {
        snprintf(out, cap, "%s", text);
        return;
    }
    out[used++] = '\'';
    for (; *text && used + 6 < cap; text++)
        used += (size_t)snprintf(out + used, cap - used, *text == '\'' ? "'\\''" : "%c", *text);
    snprintf(out + used, cap - used, "'");
}

/* Parquet has no reader in C that could be a package; a script makes JSON lines of it. The command
 * is whole, or has names to be filled in where paths are long. */
static vlqa_status fail_parquet(struct env *env, const char *path)
{
    char place[4096] = "from_parquet.py", folder[512], word[3][2048];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *const form[3][3] = {
        {place, path, folder}, {place, "FILE", "OUT"}, {"from_parquet.py", "FILE", "OUT"}};
    if (is_damaged_parquet(path))
        return env_fail(env, VLQA_EUSAGE,
                        "%.200s is empty, cut or damaged: Parquet has PAR1 at both ends", path);
    snprintf(folder, sizeof folder, "%.*s.d", (int)(strlen(name) - strlen(".parquet")), name);
    (void)place_of_parquet_script(place, sizeof place);
    for (int i = 0; i < 3; i++) {
        char message[8192];
        size_t bytes;
        for (int k = 0; k < 3; k++)
            quote(form[i][k], word[k], sizeof word[k]);
        bytes = (size_t)snprintf(message, sizeof message,
                                 "Parquet is not read; convert it with \"python3 %s %s %s\", which "
                                 "needs pyarrow (pip install pyarrow), and give %s/questions.jsonl",
                                 word[0], word[1], word[2], word[2]);
        if (bytes < sizeof env->message) return env_fail(env, VLQA_EUSAGE, "%s", message);
    }
    return VLQA_EUSAGE; /* the last one fits */
}

static vlqa_status find_reader(struct env *env, struct dataset *d)
{
    struct stat st;
    if (d->options.format) {
        for (int i = 0; dataset_formats[i]; i++)
            if (strcmp(d->options.format, dataset_formats[i]) == 0) d->reader = readers[i];
        if (d->reader) return VLQA_OK;
        return env_fail(env, VLQA_EUSAGE,
                        "format %s is none of chartqa, vqa, tsv, jsonl, json, longbench",
                        d->options.format);
    }
    if (stat(d->path, &st) == 0 && S_ISDIR(st.st_mode))
        d->reader = &dataset_chartqa;
    else if (ends_with(d->path, ".tsv"))
        d->reader = &dataset_tsv;
    else if (ends_with(d->path, ".json"))
        d->reader = look_at_json(d->path);
    else if (ends_with(d->path, ".jsonl"))
        d->reader = look_inside(env, d->path);
    else if (ends_with(d->path, ".parquet"))
        return fail_parquet(env, d->path);
    else
        return env_fail(env, VLQA_EUSAGE,
                        "%.200s: expected a folder, .json, .jsonl or .tsv, or a named format",
                        d->path);
    return VLQA_OK;
}

/* ---- rows ---- */

/* The next row of the file, whatever it has. */
static vlqa_status read_row(struct env *env, struct dataset *d, int *found)
{
    vlqa_status status;
    *found = 0;
    d->item = (struct dataset_item){
        .kind = d->kind, .file = d->item.file, .unit = d->reader->unit, .line = d->item.line};
    status = d->reader->next(env, d, found);
    return status == VLQA_EMODEL ? VLQA_EUSAGE : status; /* it is no model's file */
}

static vlqa_status open_reader(struct env *env, struct dataset *d)
{
    vlqa_status status = d->reader->open(env, d);
    return status == VLQA_EMODEL ? VLQA_EUSAGE : status;
}

static vlqa_status rewind_reader(struct env *env, struct dataset *d)
{
    d->item = (struct dataset_item){.file = d->path};
    if (d->reader->rewind) {
        d->reader->rewind(d);
        return VLQA_OK;
    }
    d->reader->close(d);
    d->state = NULL;
    return open_reader(env, d);
}

/* Reads up to the first row that has an image, and begins anew. */
static vlqa_status look_for_images(struct env *env, struct dataset *d)
{
    vlqa_status status = VLQA_OK;
    int found = d->reader != &dataset_longbench, n = 0;
    while (status == VLQA_OK && found && !d->has_images) {
        status = read_row(env, d, &found);
        d->has_images = d->item.n_images > 0;
        n++;
    }
    return status == VLQA_OK && n ? rewind_reader(env, d) : status;
}

vlqa_status dataset_open(struct env *env, const char *path, const struct dataset_options *options,
                         struct dataset **out)
{
    struct dataset *d = heap_alloc_zero(sizeof *d);
    vlqa_status status;
    *out = NULL;
    if (!d) return env_no_memory(env, "data set", sizeof *d);
    d->path = d->item.file = path;
    if (options) d->options = *options;
    d->kind = kind_of(path);
    status = find_reader(env, d);
    if (status == VLQA_OK) status = check_beginning(env, path);
    if (status == VLQA_OK) status = open_reader(env, d);
    if (status == VLQA_OK) status = look_for_images(env, d);
    if (status == VLQA_OK)
        *out = d;
    else
        dataset_close(d);
    return status;
}

vlqa_status dataset_next(struct env *env, struct dataset *d, const struct dataset_item **out)
{
    int found, is_blind;
    *out = NULL;
    do {
        TRY(read_row(env, d, &found));
        is_blind = found && d->has_images && !d->item.n_images && !d->item.n_texts;
        d->blind += is_blind;
    } while (is_blind && !d->options.keep_blind);
    *out = found ? &d->item : NULL;
    return VLQA_OK;
}

const char *dataset_format(const struct dataset *d)
{
    return d->reader->format;
}

int dataset_has_images(const struct dataset *d)
{
    return d->has_images;
}

int64_t dataset_blind_rows(const struct dataset *d)
{
    return d->blind;
}

void dataset_close(struct dataset *d)
{
    if (!d) return;
    if (d->reader) d->reader->close(d);
    heap_free(d->memory);
    heap_free(d);
}

/* ---- copies ---- */

static const char *put_name(struct arena *mem, const char *name)
{
    char *to = name ? arena_push(mem, strlen(name) + 1) : NULL;
    return to ? memcpy(to, name, strlen(name) + 1) : NULL;
}

static struct text put_text(struct arena *mem, struct text text)
{
    char *to = arena_push(mem, text.bytes);
    if (to && text.bytes) memcpy(to, text.at, text.bytes);
    return (struct text){to, text.bytes};
}

/* Over an arena without memory it measures. */
static void put_item(struct arena *mem, const struct dataset_item *item, struct dataset_item *out)
{
    struct text *answer = arena_push(mem, (size_t)item->n_answers * sizeof *answer);
    *out = *item;
    out->id = put_name(mem, item->id);
    out->question = put_name(mem, item->question);
    out->hint = put_name(mem, item->hint);
    out->category = put_name(mem, item->category);
    out->split = put_name(mem, item->split);
    out->cycle = put_name(mem, item->cycle);
    out->dataset = put_name(mem, item->dataset);
    out->group = put_name(mem, item->group);
    out->file = put_name(mem, item->file);
    for (int i = 0; i < item->n_images; i++) {
        out->image[i].path = put_name(mem, item->image[i].path);
        out->image[i].data = NULL;
    }
    for (int i = 0; i < item->n_texts; i++)
        out->text[i] = put_name(mem, item->text[i]);
    for (int i = 0; i < item->n_options; i++)
        out->option[i].text = put_text(mem, item->option[i].text);
    for (int i = 0; i < item->n_answers; i++) {
        struct text text = put_text(mem, item->answer[i]);
        if (answer) answer[i] = text;
    }
    out->answer = answer;
}

vlqa_status dataset_item_copy(struct env *env, const struct dataset_item *item,
                              struct dataset_item *out, void **block)
{
    struct arena mem = {0};
    put_item(&mem, item, out);
    *block = heap_alloc(mem.used);
    if (!*block) return env_no_memory(env, "question", mem.used);
    mem = arena_over(*block, mem.used);
    put_item(&mem, item, out);
    return VLQA_OK;
}
