/* row.h - an answer to be scored: one JSON object a line.
 *
 *   {"id": ..., "prediction": "...", and what is right, which is one of
 *      "targets" or "answers": "..." or ["...", "..."] (a number is its text as written),
 *      "answer": "..." as a cell of a data file: a Python list in it is read as one (pylist.h)
 *      "answer": "B", "options": {"A": "...", "B": "..."} for mcq,
 *    "split", "category", "dataset", "cycle_category", "metric",
 *    "error": why there is no answer, with an empty prediction: no metric gives it anything}
 *
 * Members of other names are left alone. */
#ifndef EVAL_ROW_H
#define EVAL_ROW_H

#include "base/json.h"
#include "eval/grade/metric.h"

#include <stdio.h>

#define ROW_MAX ((size_t)256 << 20) /* bytes of a row */

struct row {
    struct json_doc *doc;
    struct metric_row metric; /* its arrays are in the arena, its texts there or in doc */
    const char *split, *category, *dataset; /* or NULL */
    char cycle[32];                         /* of hrbench: which rotation of the options; or "" */
};

/* name is for messages. VLQA_EUSAGE for what is no such row. row_free in any case. */
vlqa_status row_parse(struct env *env, const char *name, const char *line, size_t bytes,
                      struct row *out);
/* The metric that a row names; fallback where it names none. -1: neither. */
vlqa_status row_metric(struct env *env, const char *name, const struct row *row, int fallback,
                       int *out);
/* What the metric needs. The arena has row_scratch(bytes of the line). */
vlqa_status row_read(struct env *env, const char *name, enum metric metric, struct arena *arena,
                     struct row *row);
size_t row_scratch(size_t bytes);
int row_is_failed(const struct row *row); /* it has an error and no prediction */
void row_free(struct row *row);

struct row_room { /* memory that grows to the longest row; zeroed at first, freed by row_room_free
                   */
    void *memory;
    size_t cap;
    int keep_thoughts; /* they are graded, too; else as thoughts.h says */
};
extern const char *const row_thoughts[]; /* --thoughts: "cut", "keep", NULL */
/* row_read of a line of so many bytes, and what the metric says. */
vlqa_status row_grade(struct env *env, const char *name, enum metric metric, size_t bytes,
                      struct row_room *room, struct row *row, struct metric_grade *out);
void row_room_free(struct row_room *room);

/* The line as it is, with what the grade says in place of what it said before. */
void row_write(FILE *to, const char *line, size_t bytes, enum metric metric,
               const struct metric_grade *grade);

#endif
