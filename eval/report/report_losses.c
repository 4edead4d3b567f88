/* report_losses.c - a report's sections on time and on the answers that are worst. */
#include "eval/report/loss_images.h"
#include "eval/report/plot.h"
#include "eval/report/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WORST = 10, MAX_BARS = 24 };

/* ---- times ---- */

enum { REST = ANSWER_TIMES, N_PARTS }; /* REST: of the prefill, beside its named parts */

/* Vision and chunks are not among them: what is cached is paid by the variant that comes first, so
 * that it is no variant's time. */
static const char *const part_names[N_PARTS] = {[ANSWER_ASSEMBLE] = "assemble",
                                                [ANSWER_SCORE] = "score",
                                                [ANSWER_REPAIR] = "repair",
                                                [REST] = "prefill",
                                                [ANSWER_DECODE] = "decode"};

static double or_zero(double value)
{
    return isnan(value) ? 0 : value;
}

/* Parts that add up; 0: nothing was measured. */
static int parts_of(const struct answer_sum *s, double part[N_PARTS])
{
    double sum = 0;
    for (int i = 0; i < ANSWER_TIMES; i++)
        part[i] = s->ms[i];
    part[REST] = s->ms[ANSWER_PREFILL];
    for (int i = ANSWER_CHUNKS; i <= ANSWER_REPAIR; i++)
        part[REST] -= or_zero(s->ms[i]);
    if (part[REST] < 0) part[REST] = 0;
    part[ANSWER_PREFILL] = part[ANSWER_VISION] = part[ANSWER_CHUNKS] = (double)NAN;
    for (int i = 0; i < N_PARTS; i++)
        sum += or_zero(part[i]);
    return sum > 0;
}

static int any_time(const struct eval_report *r, int variant, int of)
{
    for (int w = variant; w < r->set.n_variants; w++) {
        double part[N_PARTS];
        if (answers_same_data(&r->set.variant[w], &r->set.variant[variant]) &&
            parts_of(&r->sum[w], part) && part[of] > 0)
            return 1;
    }
    return 0;
}

static void time_plot(struct eval_report *r, int variant)
{
    static const int order[] = {ANSWER_ASSEMBLE, ANSWER_SCORE, ANSWER_REPAIR, REST, ANSWER_DECODE};
    enum { N_ORDER = sizeof order / sizeof *order };
    double value[MAX_BARS * N_PARTS];
    char name[MAX_BARS][96];
    const char *row[MAX_BARS], *part[N_PARTS];
    int colour[N_PARTS], of[N_PARTS];
    struct plot_bars b = {
        "time of a question", "milliseconds a question, mean", row, part, 0, 0, value, colour, 1,
        (double)NAN};
    for (int i = 0; i < N_ORDER; i++) {
        if (!any_time(r, variant, order[i])) continue;
        part[b.parts] = part_names[order[i]];
        colour[b.parts] = 3 + i;
        of[b.parts++] = order[i];
    }
    for (int w = variant; w < r->set.n_variants && b.rows < MAX_BARS; w++) {
        const struct answer_variant *at = &r->set.variant[w];
        double parts[N_PARTS];
        if (!answers_same_data(at, &r->set.variant[variant]) || !parts_of(&r->sum[w], parts))
            continue;
        for (int i = 0; i < b.parts; i++)
            value[b.rows * b.parts + i] = parts[of[i]];
        snprintf(name[b.rows], sizeof *name, "%.50s%s%.30s", report_variant_name(at, REPORT_ROOM),
                 at->is_full_by_name ? "" : ", ",
                 at->is_full_by_name ? "" : report_chunk(at, REPORT_ROOM));
        row[b.rows] = name[b.rows];
        b.rows++;
    }
    page_figure_begin(&r->page,
                      "Time of an answer by stage; prefill is the rest that no other stage takes.");
    plot_bars(&r->page, &b);
    page_figure_end(&r->page);
}

static void time_table(struct eval_report *r, int variant)
{
    static const char *const head[] = {"variant", "chunks",      "prefill", "assembling",
                                       "scoring", "recomputing", "decoding"};
    static const int column[] = {ANSWER_PREFILL, ANSWER_ASSEMBLE, ANSWER_SCORE, ANSWER_REPAIR,
                                 ANSWER_DECODE};
    static const enum page_cell kind[] = {PAGE_NAME,   PAGE_TEXT,   PAGE_NUMBER, PAGE_NUMBER,
                                          PAGE_NUMBER, PAGE_NUMBER, PAGE_NUMBER};
    page_table_begin(&r->page, NULL, head, kind, 7);
    for (int w = variant; w < r->set.n_variants; w++) {
        double parts[N_PARTS];
        if (!answers_same_data(&r->set.variant[w], &r->set.variant[variant]) ||
            !parts_of(&r->sum[w], parts))
            continue;
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_NAME, report_variant_name(&r->set.variant[w], REPORT_ROOM), NULL,
                  0);
        page_cell(&r->page, PAGE_TEXT, report_chunk(&r->set.variant[w], REPORT_ROOM), NULL, 0);
        for (int i = 0; i < 5; i++) {
            char ms[40] = "\xe2\x80\x93";
            double value = r->sum[w].ms[column[i]];
            if (column[i] == ANSWER_PREFILL) value -= or_zero(r->sum[w].ms[ANSWER_CHUNKS]);
            if (!isnan(value)) snprintf(ms, sizeof ms, "%.1f", value);
            page_cell(&r->page, PAGE_NUMBER, ms, NULL, 0);
        }
        page_row_end(&r->page);
    }
    page_table_end(&r->page);
}

/* That of the variant that took longest, which computed it for all. */
static double shared_time(const struct eval_report *r, int variant, int of, const char *chunk)
{
    double most = 0;
    for (int w = variant; w < r->set.n_variants; w++)
        if (answers_same_data(&r->set.variant[w], &r->set.variant[variant]) &&
            (!chunk || strcmp(r->set.variant[w].chunk, chunk) == 0))
            most = fmax(most, or_zero(r->sum[w].ms[of]));
    return most;
}

static int is_first_chunk(const struct eval_report *r, int variant, int w)
{
    for (int i = variant; i < w; i++)
        if (answers_same_data(&r->set.variant[i], &r->set.variant[w]) &&
            strcmp(r->set.variant[i].chunk, r->set.variant[w].chunk) == 0)
            return 0;
    return answers_same_data(&r->set.variant[variant], &r->set.variant[w]);
}

static void shared_row(struct eval_report *r, int *any, const char *name, double ms)
{
    static const char *const head[] = {"computed once", "ms a question"};
    static const enum page_cell kind[] = {PAGE_NAME, PAGE_NUMBER};
    char text[40];
    if (!(ms > 0)) return;
    if (!(*any)++)
        page_table_begin(
            &r->page,
            "What variants share and the table above leaves out: the variant that needs "
            "it first computes it for all.",
            head, kind, 2);
    snprintf(text, sizeof text, "%.1f", ms);
    page_row_begin(&r->page);
    page_cell(&r->page, PAGE_NAME, name, NULL, 0);
    page_cell(&r->page, PAGE_NUMBER, text, NULL, 0);
    page_row_end(&r->page);
}

static void shared_table(struct eval_report *r, int variant)
{
    int any = 0;
    shared_row(r, &any, "vision tower", shared_time(r, variant, ANSWER_VISION, NULL));
    for (int w = variant; w < r->set.n_variants; w++) {
        const struct answer_variant *at = &r->set.variant[w];
        char name[REPORT_TEXT + 16];
        if (!is_first_chunk(r, variant, w)) continue;
        snprintf(name, sizeof name, "chunks, %s", report_chunk(at, REPORT_ROOM));
        shared_row(r, &any, name, shared_time(r, variant, ANSWER_CHUNKS, at->chunk));
    }
    if (any) page_table_end(&r->page);
}

void report_times(struct eval_report *r)
{
    int any = 0;
    for (int i = 0; i < r->set.n_variants; i++) {
        double parts[N_PARTS];
        int measured = 0;
        if (!report_is_first(&r->set, i)) continue;
        for (int w = i; w < r->set.n_variants; w++)
            measured |= answers_same_data(&r->set.variant[w], &r->set.variant[i]) &&
                        parts_of(&r->sum[w], parts);
        if (!measured) continue;
        if (!any++) {
            page_section(&r->page, "Time");
            page_paragraph(
                &r->page,
                "Mean milliseconds of an answer, once images are encoded and chunks computed, so "
                "that the order of the variants plays no part. Prefill includes assembling, "
                "scoring and recomputing.");
        }
        report_heading(r, i);
        time_plot(r, i);
        time_table(r, i);
        shared_table(r, i);
    }
}

/* ---- the worst answers ---- */

static void loss_facts(struct eval_report *r, const struct answer_loss *loss)
{
    const struct answer_row *row = loss->row;
    const struct answer_variant *variant = &r->set.variant[row->variant];
    struct page *p = &r->page;
    char text[256];
    page_facts_begin(p);
    page_fact(p, "question", row->question);
    page_fact(p, "target", *row->target ? row->target : "(none)");
    page_fact(p, "prediction", *row->prediction ? row->prediction : "(empty)");
    page_fact(p, "not asked", row->error);
    if (loss->full && loss->full != row)
        page_fact(p, "full prefill", *loss->full->prediction ? loss->full->prediction : "(empty)");
    if (loss->full && loss->full != row)
        snprintf(text, sizeof text, "%s, full prefill %s", report_score(row->score, REPORT_ROOM),
                 report_score(loss->full->score, REPORT_ROOM));
    else
        snprintf(text, sizeof text, "%s", report_score(row->score, REPORT_ROOM));
    page_fact(p, "score", text);
    snprintf(text, sizeof text, "%.100s, %.100s", report_variant_name(variant, REPORT_ROOM),
             report_chunk(variant, REPORT_ROOM));
    page_fact(p, "answered by", text);
    if (!isnan(row->total) && !isnan(row->recomputed)) {
        snprintf(text, sizeof text, "%.0f of %.0f tokens computed", row->recomputed, row->total);
        page_fact(p, "work", text);
    }
    page_fact(p, "category", row->group[ANSWER_CATEGORY]);
    page_fact(p, "split", row->group[ANSWER_SPLIT]);
    snprintf(text, sizeof text, "%.200s, line %d", row->path, row->line);
    page_fact(p, "from", text);
    page_facts_end(p);
}

static void loss(struct eval_report *r, const struct answer_loss *at,
                 const struct loss_images *images)
{
    struct page *p = &r->page;
    char heading[256];
    snprintf(heading, sizeof heading, "%.100s: %.140s",
             report_data(&r->set.variant[at->row->variant]), at->row->id);
    if (p->form == PAGE_HTML) page_raw(p, "<article>\n");
    if (p->form == PAGE_HTML) loss_images_put(p, images);
    if (p->form == PAGE_HTML) page_raw(p, "<div>\n");
    page_subheading(p, heading);
    loss_facts(r, at);
    if (p->form == PAGE_HTML) page_raw(p, "</div>\n</article>\n");
}

void report_losses(struct eval_report *r)
{
    struct loss_images images[WORST] = {{.doc = NULL}};
    struct answer_loss worst[WORST];
    int n = answers_worst(&r->set, worst, WORST);
    if (!n) return;
    page_section(&r->page, "Worst answers");
    page_paragraph(&r->page, "One answer for each question: first those that lost most against "
                             "full prefill, then those with the lowest score.");
    if (r->page.form == PAGE_HTML) {
        page_paragraph(&r->page, "Red over an image: tokens that were recomputed.");
        loss_images_find(&r->thumbnails, worst, n, images);
    }
    for (int i = 0; i < n; i++)
        loss(r, &worst[i], &images[i]);
    loss_images_free(images, n);
}
