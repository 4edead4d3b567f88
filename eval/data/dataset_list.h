/* dataset_list.h - a data set as rows that another system can answer and score_rows then grades. */
#ifndef EVAL_DATASET_LIST_H
#define EVAL_DATASET_LIST_H

#include "eval/cli/cli.h"
#include "eval/data/dataset.h"

/* Writes each row to standard output: id, prompt, image (paths) or image_bytes (sizes of images
 * that are inside the file), texts, answers, options, metric and what groups it. limit 0: all.
 * prompt NULL: prompt_form_default. An exit code. */
int dataset_list(struct cli *cli, const char *path, const struct dataset_options *options,
                 const char *prompt, int limit);

/* What a row needs to be graded, but the prediction: options, answer or answers, and what groups
 * it.
 */
void dataset_report(struct report *r, const struct dataset_item *item);
/* image: paths, or image_bytes of images that are within the data; nothing without images. */
void dataset_report_images(struct report *r, const struct dataset_item *item);

#endif
