/* dataset_reader.h - what the readers of the layouts share. */
#ifndef EVAL_DATASET_READER_H
#define EVAL_DATASET_READER_H

#include "base/json.h"
#include "eval/data/dataset.h"

struct dataset_reader {
    const char *format;
    const char *unit; /* what item.line counts: "line" or "row" */
    vlqa_status (*open)(struct env *env, struct dataset *d);
    /* Fills d->item, which is zeroed but for kind, file and line; *found: 0 behind the last. */
    vlqa_status (*next)(struct env *env, struct dataset *d, int *found);
    void (*rewind)(struct dataset *d); /* to the first row; NULL: it is closed and opened */
    void (*close)(struct dataset *d);  /* also after a failed open */
};

extern const struct dataset_reader dataset_chartqa, dataset_vqa, dataset_tsv, dataset_jsonl,
    dataset_json, dataset_longbench;

struct dataset {
    const struct dataset_reader *reader;
    const char *path;
    struct dataset_options options;
    enum dataset_kind kind; /* of rows that do not say */
    int has_images;         /* some row has one */
    int64_t blind;          /* rows without, so far */
    struct dataset_item item;
    void *memory; /* of the item's arena */
    size_t cap;
    struct arena arena;
    void *state; /* the reader's own */
};

/* An empty arena for the next item. */
vlqa_status dataset_arena(struct env *env, struct dataset *d, size_t bytes);
/* "FILE, line N: REASON" or, of JSON arrays, "row N"; VLQA_EUSAGE */
vlqa_status dataset_fail(struct env *env, const struct dataset *d, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *dataset_copy(struct dataset *d, struct text text); /* with NUL, in the arena */
/* folder/name in the arena, of the folder that the file is in */
const char *dataset_beside(struct dataset *d, const char *file, const char *folder,
                           const char *name);
/* Room that dataset_answers and dataset_row take for so many bytes of texts. */
size_t dataset_room(size_t bytes);

/* Members of a JSON row: a text, or a number as text; NULL: neither. */
const char *dataset_member(struct dataset *d, const struct json *row, const char *name);
vlqa_status dataset_want(struct env *env, struct dataset *d, const struct json *row,
                         const char *name, const char **out);
/* item.answer of a text or a list of texts; none: it is absent. */
vlqa_status dataset_answers(struct env *env, struct dataset *d, const struct json *value,
                            const char *name);
/* item.answer of a cell of a data file: a Python list in it is read as one. */
void dataset_cell(struct dataset *d, struct text cell);
/* The kind and metric by what the row has: options, or else of the data set. */
void dataset_finish(struct dataset *d);

#endif
