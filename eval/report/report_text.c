/* report_text.c - numbers and names as a report writes them. */
#include "eval/report/report_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DASH "\xe2\x80\x93"
#define MINUS "\xe2\x88\x92"

const char *report_score(double mean, char out[REPORT_TEXT])
{
    if (isnan(mean)) return DASH;
    snprintf(out, REPORT_TEXT, "%.2f", 100 * mean);
    return out;
}

const char *report_share(double share, char out[REPORT_TEXT])
{
    if (isnan(share)) return DASH;
    snprintf(out, REPORT_TEXT, "%.1f %%", 100 * share);
    return out;
}

static void with_sign(double value, char out[24])
{
    double shown = fabs(round(1e4 * value)) / 100;
    snprintf(out, 24, "%s%.2f", shown > 0 ? value < 0 ? MINUS : "+" : "", shown);
}

const char *report_difference(const struct stats_pair *pair, char out[REPORT_TEXT])
{
    char value[24], low[24], high[24];
    if (!pair->n) return NULL;
    with_sign(pair->difference.value, value);
    with_sign(pair->difference.low, low);
    with_sign(pair->difference.high, high);
    snprintf(out, REPORT_TEXT, "%s [%s, %s]", value, low, high);
    return out;
}

const char *report_variant_name(const struct answer_variant *variant, char out[REPORT_TEXT])
{
    if (variant->is_full_by_name) return "full prefill";
    if (isnan(variant->ratio)) return variant->name;
    snprintf(out, REPORT_TEXT, "%.70s %.4g %%", variant->name, 100 * variant->ratio);
    return out;
}

int report_grid(const struct answer_variant *variant)
{
    return strncmp(variant->chunk, "grid:", 5) == 0 ? atoi(variant->chunk + 5) : 0;
}

const char *report_chunk(const struct answer_variant *variant, char out[REPORT_TEXT])
{
    if (!*variant->chunk) return "k = 0";
    if (report_grid(variant) <= 0) return variant->chunk;
    snprintf(out, REPORT_TEXT, "k = %d", report_grid(variant));
    return out;
}

const char *report_data(const struct answer_variant *variant)
{
    return *variant->dataset ? variant->dataset : *variant->metric ? variant->metric : "questions";
}

const char *report_amount(const char *format, double mean, char out[REPORT_TEXT])
{
    if (isnan(mean)) return DASH;
    snprintf(out, REPORT_TEXT, format, mean);
    return out;
}

const char *report_interval(const char *format, const struct stats_interval *of,
                            char out[REPORT_TEXT])
{
    if (isnan(of->value)) return NULL;
    snprintf(out, REPORT_TEXT, format, of->low, of->high);
    return out;
}
