/* curve.c - the variants of runs as lines of numbers. */
#include "eval/report/curve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- JSON ---- */

static int print_json(struct cli *cli, const struct answer_variant *w, const struct answer_sum *s)
{
    struct report r = report_begin();
    report_string(&r, "dataset", w->dataset);
    report_string(&r, "metric", w->metric);
    report_string(&r, "variant", w->name);
    if (*w->chunk) report_string(&r, "chunk", w->chunk);
    if (!isnan(w->ratio)) report_number(&r, "ratio", w->ratio);
    report_int(&r, "questions", s->n);
    report_int(&r, "documents", s->documents);
    report_number(&r, "tokens_computed", s->tokens);
    report_number(&r, "tokens_share", s->work);
    report_number(&r, "flops", s->flops);
    report_number(&r, "score", s->mean);
    if (s->pair.n) {
        report_number(&r, "difference", s->pair.difference.value);
        report_number(&r, "low", s->pair.difference.low);
        report_number(&r, "high", s->pair.difference.high);
        report_int(&r, "noise", s->pair.is_noise);
    }
    if (!isnan(s->kl.value)) {
        report_number(&r, "kl", s->kl.value);
        report_number(&r, "kl_low", s->kl.low);
        report_number(&r, "kl_high", s->kl.high);
    }
    if (!isnan(s->kl_answer.value)) {
        report_number(&r, "kl_answer", s->kl_answer.value);
        report_number(&r, "kl_answer_low", s->kl_answer.low);
        report_number(&r, "kl_answer_high", s->kl_answer.high);
    }
    if (!isnan(s->kl_at[0].value)) {
        report_open_list(&r, "kl_by_distance");
        for (int i = 0; i < ANSWER_DISTANCES && !isnan(s->kl_at[i].value); i++)
            report_number(&r, NULL, s->kl_at[i].value);
        report_close(&r);
    }
    if (!isnan(s->gap.value)) {
        report_number(&r, "kl_gap_recovered", s->gap.value);
        report_number(&r, "kl_gap_low", s->gap.low);
        report_number(&r, "kl_gap_high", s->gap.high);
    }
    return cli_write_report(cli, &r);
}

/* ---- text ---- */

#define LONG_ANSWER 6 /* the distance from 32 tokens on */

/* Right-aligned; a dash where it is not known. */
static void print_number(int width, int digits, double value, const char *unit)
{
    char text[48] = "-";
    if (!isnan(value)) snprintf(text, sizeof text, "%.*f%s", digits, value, unit);
    printf(" %*s", width, text);
}

static void print_variant(const struct answer_variant *w, const struct answer_sum *s)
{
    char text[96] = "-";
    printf("%-24.24s %-8.8s %9d", report_variant_name(w, REPORT_ROOM), report_chunk(w, REPORT_ROOM),
           s->n);
    print_number(8, 1, s->tokens, "");
    print_number(8, 1, 100 * s->work, " %");
    print_number(8, 3, s->flops / 1e9, "");
    print_number(7, 2, 100 * s->mean, "");
    if (s->pair.n)
        snprintf(text, sizeof text, "%+.2f [%+.2f, %+.2f]%s", 100 * s->pair.difference.value,
                 100 * s->pair.difference.low, 100 * s->pair.difference.high,
                 s->pair.is_noise ? " noise" : "");
    printf("  %-30s", text);
    if (isnan(s->kl.value))
        printf(" -");
    else
        printf(" %.3g [%.3g, %.3g]", s->kl.value, s->kl.low, s->kl.high);
    if (!isnan(s->kl_answer.value))
        printf(", of answers %.3g [%.3g, %.3g]", s->kl_answer.value, s->kl_answer.low,
               s->kl_answer.high);
    if (!isnan(s->gap.value))
        printf(", recovers %.0f [%.0f, %.0f] %%", 100 * s->gap.value, 100 * s->gap.low,
               100 * s->gap.high);
    printf("\n");
}

/* Of tokens 0, 1, 2 and 3, 4 to 7, ... behind the prompt, where answers are long. */
static void print_distances(const struct answer_sum *s)
{
    if (isnan(s->kl_at[LONG_ANSWER].value)) return;
    printf("%26sKL by distance", "");
    for (int i = 0; i < ANSWER_DISTANCES && !isnan(s->kl_at[i].value); i++)
        printf("%s %d: %.3g [%.3g, %.3g]", i ? "," : "", i ? 1 << (i - 1) : 0, s->kl_at[i].value,
               s->kl_at[i].low, s->kl_at[i].high);
    printf("\n");
}

static void print_data(const struct eval_report *r, int first)
{
    const struct answer_sum *s = &r->sum[first];
    char text[STATS_QUESTIONS + 2] = "";
    if (s->documents < s->n) stats_questions(s->n, s->documents, strcpy(text, ", ") + 2);
    printf("%s%s%s\n%-24s %-8s %9s %8s %8s %8s %7s  %-30s %s\n", first ? "\n" : "",
           report_data(&r->set.variant[first]), text, "variant", "chunks", "questions", "tokens",
           "of all", "GFLOP", "score", "points to full prefill [95 %]", "KL [95 %]");
    for (int i = first; i < r->set.n_variants; i++)
        if (answers_same_data(&r->set.variant[i], &r->set.variant[first])) {
            print_variant(&r->set.variant[i], &r->sum[i]);
            print_distances(&r->sum[i]);
        }
}

int curve_print(struct cli *cli, const struct eval_report *r)
{
    int code = CLI_OK;
    for (int i = 0; i < r->set.n_variants && code == CLI_OK; i++)
        if (cli->args->json)
            code = print_json(cli, &r->set.variant[i], &r->sum[i]);
        else if (report_is_first(&r->set, i))
            print_data(r, i);
    return code == CLI_OK ? cli_flush() : code;
}
