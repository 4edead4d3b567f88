/* dataset.h - data sets of questions, read row by row in the layouts in which they come:
 *
 *   chartqa    a folder "ChartQA Dataset" (or what holds it), of which one split is read:
 *              SPLIT/SPLIT_human.json, then SPLIT/SPLIT_augmented.json, and SPLIT/png
 *   vqa        InfographicVQA's and DocVQA's official JSON beside a folder of images
 *   tsv        VLMEvalKit's: pandas quoting, images in base64, as the index of another row, or as
 *              a Python list of base64; columns by name
 *   jsonl      one object a line: question and images under any key of json_row.h, texts (list),
 *              answers (text or list), answer or label, options or choices, metric, id, hint,
 *              category, split, cycle_category, dataset, group; numbers in answers are texts
 *              as written
 *   json       the same objects in an array
 *   longbench  one object a line: input, context, answers, dataset, _id
 *
 * JSON lines are read one at a time; a TSV is mapped and only its rows' places are kept. */
#ifndef EVAL_DATASET_H
#define EVAL_DATASET_H

#include "eval/data/dataset_image.h"
#include "eval/grade/metric.h"

enum dataset_kind { /* whose prompts and metric a row takes */
                    DATASET_CHARTQA,
                    DATASET_INFOVQA,
                    DATASET_DOCVQA,
                    DATASET_OCRBENCH,
                    DATASET_REALWORLDQA,
                    DATASET_HRBENCH,
                    DATASET_CHOICE, /* other rows with options */
                    DATASET_LONGBENCH,
                    DATASET_OTHER
};

/* Texts end with NUL. All is valid until the next row is read. */
struct dataset_item {
    enum dataset_kind kind;
    enum metric metric;
    const char *id; /* as text; where the row has none its number, of ChartQA "human-7" */
    const char *question;
    const char *hint, *category, *split, *cycle, *dataset; /* or NULL */
    const char *group; /* rows of one name belong together (group.h), or NULL: by their documents */
    struct dataset_image image[DATASET_IMAGES];
    int n_images;
    const char *text[DATASET_IMAGES]; /* documents that are read before the question */
    int n_texts;
    const struct text *answer; /* any is right; none in a split without answers */
    int n_answers;
    struct metric_option option[26];
    int n_options;
    char letter;      /* the option that is right, or 0 */
    const char *file; /* where it is, for messages */
    const char *unit; /* what `line` counts from 1 there: "line", or "row" of a JSON array */
    int line;
};

struct dataset;

struct dataset_options {
    const char *format; /* a name from above; NULL: by what is there */
    const char *split;  /* chartqa: train, val or test; NULL: test */
    const char
        *images;    /* the folder of images; NULL: beside the file, of vqa in the usual folders */
    int keep_blind; /* rows without an image are given, too, also where others have one */
};

extern const char *const dataset_formats[]; /* ends with NULL */

/* VLQA_EUSAGE with file, line and reason for what is no such file. path and options are borrowed.
 * Rows that have neither an image nor a text to look at are left out, as VLMEvalKit does
 * (skip_noimg), unless no row has an image: then it is a data set of texts. */
vlqa_status dataset_open(struct env *env, const char *path, const struct dataset_options *options,
                         struct dataset **out);
/* The next row, NULL behind the last. */
vlqa_status dataset_next(struct env *env, struct dataset *d, const struct dataset_item **out);
/* "jsonl", "tsv", ...: the name of its layout. */
const char *dataset_format(const struct dataset *d);
int dataset_has_images(const struct dataset *d);
/* Rows up to here that have nothing to look at, in a data set of images. */
int64_t dataset_blind_rows(const struct dataset *d);
void dataset_close(struct dataset *d); /* NULL is fine */
/* A copy that stays when the next row is read, in a block for heap_free; without the bytes of
 * images. */
vlqa_status dataset_item_copy(struct env *env, const struct dataset_item *item,
                              struct dataset_item *out, void **block);

#endif
