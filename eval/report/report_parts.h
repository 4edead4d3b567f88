/* report_parts.h - the sections of a report, and how it writes its numbers. */
#ifndef EVAL_REPORT_PARTS_H
#define EVAL_REPORT_PARTS_H

#include "eval/report/answers_sum.h"
#include "eval/report/thumbnail.h"

struct eval_report {
    struct answer_set set;
    struct answer_sum sum[ANSWER_MAX_WAYS];
    struct page page;
    struct thumbnails thumbnails;
};

/* Texts that hold until the 64th call from here. NaN is a dash. */
const char *report_score(double mean);  /* of 0 to 1: "83.08" */
const char *report_share(double share); /* "15.0 %" */
const char *
report_difference(const struct stats_pair *pair);        /* "-1.20 [-2.40, +0.10]"; NULL: none */
const char *report_method(const struct answer_way *way); /* "infoflow 15 %" */
const char *report_chunk(const struct answer_way *way);  /* "k = 2" of grid:2 */
const char *report_data(const struct answer_way *way);

/* Whether this way is the first of its data set: to go through data sets. */
int report_is_first(const struct answer_set *set, int way);

/* The name of the data set of a way, where there are several. */
void report_heading(struct eval_report *r, int way);

void report_scores(struct eval_report *r); /* methods x chunkings, as published tables are */
void report_work(struct eval_report *r);   /* quality against work */
void report_categories(struct eval_report *r);
void report_times(struct eval_report *r);
void report_losses(struct eval_report *r);

#endif
