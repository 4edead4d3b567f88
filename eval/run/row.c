/* row.c - JSON lines to rows of a metric, and back with a score. */
#include "eval/run/row.h"

#include "base/heap.h"
#include "eval/data/pylist.h"
#include "eval/grade/thoughts.h"

#include <stdlib.h>
#include <string.h>

const char *const row_thoughts[] = {"cut", "keep", NULL};

#define FORMULA "Handwritten Mathematical Expression Recognition"

size_t row_scratch(size_t bytes)
{
    /* the arrays, and lists in cells; predictions without thoughts */
    return metric_scratch(bytes) + 64 * bytes + 8192;
}

vlqa_status row_parse(struct env *env, const char *name, const char *line, size_t bytes,
                      struct row *out)
{
    vlqa_status status;
    *out = (struct row){.doc = NULL};
    status = json_parse(env, name, line, bytes, ROW_MAX, &out->doc);
    if (status == VLQA_OK) status = json_keep_numbers(env, out->doc, line, bytes);
    if (status == VLQA_OK && json_kind(json_root(out->doc)) != JSON_OBJECT)
        status = env_fail(env, VLQA_EUSAGE, "%s: is %s, expected an object", name,
                          json_kind_name(json_root(out->doc)));
    return status == VLQA_EMODEL ? VLQA_EUSAGE : status; /* it is no model's file */
}

vlqa_status row_metric(struct env *env, const char *name, const struct row *row, int fallback,
                       int *out)
{
    const char *word = json_text(json_get(json_root(row->doc), "metric"));
    *out = word ? metric_find(word) : fallback;
    if (*out >= 0) return VLQA_OK;
    if (!word)
        return env_fail(env, VLQA_EUSAGE, "%s: metric is missing; --score names one for all rows",
                        name);
    return env_fail(env, VLQA_EUSAGE,
                    "%s: metric is %s, expected chartqa, anls, ocrbench, mcq, f1, em or em-answer",
                    name, word);
}

/* ---- answers ---- */

static vlqa_status read_list(struct env *env, const char *name, const char *member,
                             const struct json *value, struct arena *arena, struct metric_row *out)
{
    const struct json *i = json_first(value);
    int n = json_kind(value) == JSON_ARRAY ? json_count(value) : 1;
    struct text *target = arena_push(arena, (size_t)n * sizeof *target);
    if (json_kind(value) != JSON_ARRAY) i = value;
    for (int k = 0; k < n; k++, i = json_next(i)) {
        if (!json_written(i))
            return env_fail(env, VLQA_EUSAGE, "%s: %s holds %s, expected a text or a list of texts",
                            name, member, json_kind_name(i));
        target[k] = text_of(json_written(i));
    }
    out->target = target;
    out->n_targets = n;
    return VLQA_OK;
}

static vlqa_status read_targets(struct env *env, const char *name, const struct json *root,
                                struct arena *arena, struct metric_row *out)
{
    static const char *const members[] = {"targets", "answers"};
    const char *cell = json_written(json_get(root, "answer"));
    struct text *items;
    for (int i = 0; i < 2; i++)
        if (json_get(root, members[i]))
            return read_list(env, name, members[i], json_get(root, members[i]), arena, out);
    if (!cell)
        return env_fail(env, VLQA_EUSAGE,
                        "%s: answer is %s, expected a text, or a list named answers", name,
                        json_kind_name(json_get(root, "answer")));
    if (!pylist_read(text_of(cell), arena, &items, &out->n_targets)) {
        items = arena_push(arena, sizeof *items);
        *items = text_of(cell);
        out->n_targets = 1;
    }
    out->target = items;
    return VLQA_OK;
}

static vlqa_status read_options(struct env *env, const char *name, const struct json *root,
                                struct arena *arena, struct metric_row *out)
{
    const struct json *options = json_get(root, "options"), *i;
    const char *answer = json_text(json_get(root, "answer"));
    struct metric_option *option;
    if (json_kind(options) != JSON_OBJECT || !json_first(options) || json_count(options) > 26)
        return env_fail(env, VLQA_EUSAGE, "%s: options is %s, expected an object of 1 to 26 texts",
                        name, json_kind_name(options));
    option = arena_push(arena, 26 * sizeof *option);
    for (i = json_first(options); i; i = json_next(i)) {
        const char *letter = json_name(i);
        if (letter[0] < 'A' || letter[0] > 'Z' || letter[1] || !json_text(i))
            return env_fail(env, VLQA_EUSAGE, "%s: options: %s is %s, expected A to Z with a text",
                            name, letter, json_kind_name(i));
        option[out->n_options++] = (struct metric_option){letter[0], text_of(json_text(i))};
    }
    out->option = option;
    if (!answer || answer[0] < 'A' || answer[0] > 'Z' || answer[1])
        return env_fail(env, VLQA_EUSAGE, "%s: answer is %s, expected a letter from A to Z", name,
                        answer ? answer : json_kind_name(json_get(root, "answer")));
    out->answer = answer[0];
    return VLQA_OK;
}

vlqa_status row_read(struct env *env, const char *name, enum metric metric, struct arena *arena,
                     struct row *row)
{
    const struct json *root = json_root(row->doc), *cycle = json_get(root, "cycle_category");
    const char *prediction = json_written(json_get(root, "prediction"));
    if (!prediction)
        return env_fail(env, VLQA_EUSAGE, "%s: prediction is %s, expected a text", name,
                        json_kind_name(json_get(root, "prediction")));
    row->metric = (struct metric_row){.prediction = text_of(prediction)};
    row->split = json_text(json_get(root, "split"));
    row->category = json_text(json_get(root, "category"));
    row->dataset = json_text(json_get(root, "dataset"));
    if (json_text(cycle))
        snprintf(row->cycle, sizeof row->cycle, "%.30s", json_text(cycle));
    else if (cycle && json_kind(cycle) == JSON_NUMBER)
        snprintf(row->cycle, sizeof row->cycle, "%.15g", json_number(cycle));
    row->metric.is_formula = row->category  ? strcmp(row->category, FORMULA) == 0
                             : row->dataset ? strcmp(row->dataset, "HME100k") == 0
                                            : 0;
    return metric == METRIC_MCQ ? read_options(env, name, root, arena, &row->metric)
                                : read_targets(env, name, root, arena, &row->metric);
}

int row_is_failed(const struct row *row)
{
    const struct json *root = json_root(row->doc);
    const char *error = json_text(json_get(root, "error"));
    const char *prediction = json_written(json_get(root, "prediction"));
    return error && *error && prediction && !*prediction;
}

void row_free(struct row *row)
{
    json_free(row->doc);
    row->doc = NULL;
}

/* ---- grades ---- */

static vlqa_status arena_for(struct env *env, struct row_room *room, size_t bytes,
                             struct arena *out)
{
    size_t need = row_scratch(bytes);
    if (need > room->cap) {
        row_room_free(room);
        room->memory = heap_alloc(need);
        if (!room->memory) return env_no_memory(env, "row", need);
        room->cap = need;
    }
    *out = arena_over(room->memory, room->cap);
    return VLQA_OK;
}

/* Graded without thoughts, which the references cut each in its own way. */
static vlqa_status score(struct env *env, enum metric metric, const struct metric_row *row,
                         int keep_thoughts, struct arena *arena, struct metric_grade *out)
{
    struct metric_row cut = *row;
    struct metric_grade lmms;
    struct text other = thoughts_cut_lmms(row->prediction, arena);
    if (keep_thoughts) return metric_score(env, metric, row, arena, out);
    cut.prediction = thoughts_cut_vlmevalkit(row->prediction, arena);
    TRY(metric_score(env, metric, &cut, arena, out));
    if (other.at == row->prediction.at && cut.prediction.at == other.at) return VLQA_OK;
    cut.prediction = other;
    TRY(metric_score(env, metric, &cut, arena, &lmms));
    out->score_lmms = lmms.score_lmms;
    out->letter_lmms = lmms.letter_lmms;
    return VLQA_OK;
}

vlqa_status row_grade(struct env *env, const char *name, enum metric metric, size_t bytes,
                      struct row_room *room, struct row *row, struct metric_grade *out)
{
    struct arena arena;
    char reason[sizeof env->message];
    vlqa_status status;
    TRY(arena_for(env, room, bytes, &arena));
    TRY(row_read(env, name, metric, &arena, row));
    if (row_is_failed(row)) { /* nothing was said, which may be right by some metric */
        *out = (struct metric_grade){.letter = 'Z'};
        return VLQA_OK;
    }
    status = score(env, metric, &row->metric, room->keep_thoughts, &arena, out);
    if (status == VLQA_OK) return VLQA_OK;
    memcpy(reason, env->message, sizeof reason);
    return env_fail(env, status, "%s: %s", name, reason);
}

void row_room_free(struct row_room *room)
{
    heap_free(room->memory);
    *room = (struct row_room){.keep_thoughts = room->keep_thoughts};
}

/* ---- writing ---- */

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* From the first byte of a value of JSON that was parsed to behind its last. */
static const char *skip_value(const char *at)
{
    int depth = 0;
    if (*at == '"') return skip_string(at);
    for (;; at++) {
        if (*at == '"') at = skip_string(at) - 1;
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        if (depth < 0) return at; /* the end of the object that it is in */
        if (depth == 0 && (*at == '}' || *at == ']')) return at + 1;
        if (depth == 0 && *at == ',') return at;
    }
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static int is_ours(const char *member, size_t bytes)
{
    static const char *const ours[] = {"\"score\"", "\"score_lmms\"", "\"extracted\""};
    for (int i = 0; i < 3; i++)
        if (strlen(ours[i]) == bytes && memcmp(ours[i], member, bytes) == 0) return 1;
    return 0;
}

static void write_number(FILE *to, const char *name, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    fprintf(to, "\"%s\": %s", name, text);
}

void row_write(FILE *to, const char *line, size_t bytes, enum metric metric,
               const struct metric_grade *grade)
{
    const char *at = memchr(line, '{', bytes), *member, *end;
    fputc('{', to);
    for (at = skip_blanks(at + 1); *at != '}';) {
        member = at;
        end = skip_string(at);
        at = skip_value(skip_blanks(skip_blanks(end) + 1)); /* behind the colon */
        if (!is_ours(member, (size_t)(end - member))) {
            fwrite(member, 1, (size_t)(at - member), to);
            fputs(", ", to);
        }
        at = skip_blanks(at);
        if (*at == ',') at = skip_blanks(at + 1);
    }
    write_number(to, "score", grade->score);
    if (grade->score_lmms < grade->score || grade->score_lmms > grade->score) {
        fputs(", ", to);
        write_number(to, "score_lmms", grade->score_lmms);
    }
    if (metric == METRIC_MCQ) fprintf(to, ", \"extracted\": \"%c\"", grade->letter);
    fputs("}\n", to);
}
