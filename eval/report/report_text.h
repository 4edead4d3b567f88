/* report_text.h - numbers and names as a report writes them, each into room that the caller gives,
 * which is what comes back unless the text is a constant. */
#ifndef EVAL_REPORT_TEXT_H
#define EVAL_REPORT_TEXT_H

#include "eval/report/answers_sum.h"

#define REPORT_TEXT 96
/* Room until the end of the block that it stands in. */
#define REPORT_ROOM ((char[REPORT_TEXT]){0})

/* NaN is a dash. */
const char *report_score(double mean, char out[REPORT_TEXT]);  /* of 0 to 1: "83.08" */
const char *report_share(double share, char out[REPORT_TEXT]); /* "15.0 %" */
const char *report_amount(const char *format, double mean, char out[REPORT_TEXT]);
/* NULL where there is none */
const char *report_difference(const struct stats_pair *pair,
                              char out[REPORT_TEXT]); /* "-1.20 [-2.40, +0.10]" */
/* format: "[%.3g, %.3g]" of low and high */
const char *report_interval(const char *format, const struct stats_interval *of,
                            char out[REPORT_TEXT]);
const char *report_variant_name(const struct answer_variant *variant,
                                char out[REPORT_TEXT]); /* "epic 15 %" */
const char *report_chunk(const struct answer_variant *variant, char out[REPORT_TEXT]); /* "k = 2" */
const char *report_data(const struct answer_variant *variant);
int report_grid(const struct answer_variant *variant); /* 2 of grid:2; 0: no grid */

#endif
