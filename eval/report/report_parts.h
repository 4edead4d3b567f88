/* report_parts.h - the sections of a report. */
#ifndef EVAL_REPORT_PARTS_H
#define EVAL_REPORT_PARTS_H

#include "eval/report/report_text.h"
#include "eval/report/thumbnail.h"

struct eval_report {
    struct answer_set set;
    struct answer_sum sum[ANSWER_MAX_VARIANTS];
    struct page page;
    struct thumbnails thumbnails;
};

/* Whether this way is the first of its data set: to go through data sets. */
int report_is_first(const struct answer_set *set, int variant);

/* The name of the data set of a variant, where there are several. */
void report_heading(struct eval_report *r, int variant);

void report_scores(struct eval_report *r); /* variants x chunkings, as published tables are */
void report_work(struct eval_report *r);   /* quality against work */
void report_categories(struct eval_report *r);
void report_times(struct eval_report *r);
void report_losses(struct eval_report *r);

#endif
