/* report_parts.c - a report's tables and drawings of scores. */
#include "eval/report/report_parts.h"

#include "eval/report/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_COLUMNS = 12,    /* chunkings side by side */
    MAX_CATEGORIES = 40, /* in a table, and in a drawing */
    MAX_BARS = 6         /* ways in a drawing of bars */
};

int report_is_first(const struct answer_set *set, int way)
{
    for (int i = 0; i < way; i++)
        if (answers_same_data(&set->way[i], &set->way[way])) return 0;
    return 1;
}

void report_heading(struct eval_report *r, int way)
{
    int others = 0;
    for (int i = 0; i < r->set.n_ways; i++)
        others |= !answers_same_data(&r->set.way[i], &r->set.way[way]);
    if (others) page_subheading(&r->page, report_data(&r->set.way[way]));
}

/* ---- methods x chunkings ---- */

static int same_method(const struct answer_way *a, const struct answer_way *b)
{
    return strcmp(report_method(a, REPORT_ROOM), report_method(b, REPORT_ROOM)) == 0;
}

static int same_chunk(const struct answer_way *a, const struct answer_way *b)
{
    return strcmp(a->chunk, b->chunk) == 0;
}

/* No chunks, then k x k cells by k, then the others. */
static int chunk_order(const struct answer_way *way)
{
    return !*way->chunk ? 0 : report_grid(way) > 0 ? report_grid(way) : 1 << 20;
}

/* The ways of the data set of `way` that are the first with their chunking or their method. */
static int distinct(const struct answer_set *set, int way,
                    int (*same)(const struct answer_way *, const struct answer_way *), int *out,
                    int cap)
{
    int n = 0;
    for (int i = way; i < set->n_ways; i++) {
        int seen = 0;
        for (int k = 0; k < n; k++)
            seen |= same(&set->way[i], &set->way[out[k]]);
        if (!seen && n < cap && answers_same_data(&set->way[i], &set->way[way])) out[n++] = i;
    }
    return n;
}

static void sort_chunks(const struct answer_set *set, int *way, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k && chunk_order(&set->way[way[k]]) < chunk_order(&set->way[way[k - 1]]);
             k--) {
            int other = way[k];
            way[k] = way[k - 1];
            way[k - 1] = other;
        }
}

static int find_cell(const struct answer_set *set, const struct answer_way *data,
                     const struct answer_way *method, const struct answer_way *chunk)
{
    for (int i = 0; i < set->n_ways; i++) {
        const struct answer_way *w = &set->way[i];
        if (answers_same_data(w, data) && same_method(w, method) && same_chunk(w, chunk)) return i;
    }
    return -1;
}

static void score_cell(struct eval_report *r, int way)
{
    const struct answer_sum *s = way < 0 ? NULL : &r->sum[way];
    if (!s)
        page_cell(&r->page, PAGE_NUMBER, "", NULL, 0);
    else
        page_cell(&r->page, PAGE_NUMBER, report_score(s->mean, REPORT_ROOM),
                  report_difference(&s->pair, REPORT_ROOM), s->pair.n && s->pair.is_noise);
}

static void score_table(struct eval_report *r, int way)
{
    const struct answer_set *set = &r->set;
    int method[ANSWER_MAX_WAYS], chunk[MAX_COLUMNS];
    int rows = distinct(set, way, same_method, method, ANSWER_MAX_WAYS);
    int columns = distinct(set, way, same_chunk, chunk, MAX_COLUMNS);
    const char *head[MAX_COLUMNS + 1] = {"method"};
    enum page_cell kind[MAX_COLUMNS + 1] = {PAGE_NAME};
    char name[MAX_COLUMNS][REPORT_TEXT];
    sort_chunks(set, chunk, columns);
    for (int i = 0; i < columns; i++) {
        head[i + 1] = report_chunk(&set->way[chunk[i]], name[i]);
        kind[i + 1] = PAGE_NUMBER;
    }
    report_heading(r, way);
    page_table_begin(&r->page, NULL, head, kind, columns + 1);
    for (int off = 1; off >= 0; off--) /* full prefill first */
        for (int i = 0; i < rows; i++) {
            const struct answer_way *m = &set->way[method[i]];
            if (m->is_off != off) continue;
            page_row_begin(&r->page);
            page_cell(&r->page, PAGE_NAME, report_method(m, REPORT_ROOM), NULL, 0);
            for (int k = 0; k < columns; k++)
                score_cell(r, find_cell(set, m, m, &set->way[chunk[k]]));
            page_row_end(&r->page);
        }
    page_table_end(&r->page);
}

/* Every chunking and method once, whatever the data set, by chunking: full prefill stands first. */
static int all_rows(const struct answer_set *set, int out[ANSWER_MAX_WAYS])
{
    int n = 0;
    for (int i = 0; i < set->n_ways; i++) {
        int seen = 0;
        for (int k = 0; k < n; k++)
            seen |= same_method(&set->way[i], &set->way[out[k]]) &&
                    same_chunk(&set->way[i], &set->way[out[k]]);
        if (!seen) out[n++] = i;
    }
    sort_chunks(set, out, n);
    return n;
}

/* Chunkings and methods below each other, data sets side by side, as the papers have them. */
static void overview(struct eval_report *r)
{
    const struct answer_set *set = &r->set;
    int row[ANSWER_MAX_WAYS], data[MAX_COLUMNS], rows = all_rows(set, row), columns = 0;
    const char *head[MAX_COLUMNS + 2] = {"chunks", "method"};
    enum page_cell kind[MAX_COLUMNS + 2] = {PAGE_TEXT, PAGE_NAME};
    for (int i = 0; i < set->n_ways && columns < MAX_COLUMNS; i++)
        if (report_is_first(set, i)) data[columns++] = i;
    if (columns < 2) return;
    for (int i = 0; i < columns; i++) {
        head[i + 2] = report_data(&set->way[data[i]]);
        kind[i + 2] = PAGE_NUMBER;
    }
    page_subheading(&r->page, "All data sets");
    page_table_begin(&r->page, NULL, head, kind, columns + 2);
    for (int i = 0; i < rows; i++) {
        const struct answer_way *w = &set->way[row[i]];
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_TEXT, report_chunk(w, REPORT_ROOM), NULL, 0);
        page_cell(&r->page, PAGE_NAME, report_method(w, REPORT_ROOM), NULL, 0);
        for (int k = 0; k < columns; k++)
            score_cell(r, find_cell(set, &set->way[data[k]], w, w));
        page_row_end(&r->page);
    }
    page_table_end(&r->page);
}

void report_scores(struct eval_report *r)
{
    page_section(&r->page, "Scores");
    page_paragraph(
        &r->page,
        "Mean score \xc3\x97 100; below it the difference to full prefill with its 95 % "
        "interval (paired bootstrap over questions). k: an image is cut into k \xc3\x97 k "
        "cells, 0: not cut. Faint or slanted numbers differ from full prefill by no more than "
        "noise.");
    overview(r);
    for (int i = 0; i < r->set.n_ways; i++)
        if (report_is_first(&r->set, i)) score_table(r, i);
}

/* ---- quality against work ---- */

static void work_row(struct page *p, const struct answer_way *way, const struct answer_sum *s)
{
    const char *difference = report_difference(&s->pair, REPORT_ROOM);
    char n[24];
    snprintf(n, sizeof n, "%d", s->n);
    page_row_begin(p);
    page_cell(p, PAGE_NAME, report_method(way, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_TEXT, report_chunk(way, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_NUMBER, n, NULL, 0);
    page_cell(p, PAGE_NUMBER, report_share(s->work, REPORT_ROOM),
              isnan(s->rows) ? NULL : report_amount("%.1f", s->rows, REPORT_ROOM), 0);
    page_cell(p, PAGE_NUMBER, report_amount("%.3f", s->flops / 1e9, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_NUMBER, report_score(s->mean, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_NUMBER, difference ? difference : "", NULL, s->pair.n && s->pair.is_noise);
    page_cell(p, PAGE_NUMBER, report_amount("%.3g", s->kl.value, REPORT_ROOM),
              report_interval("[%.3g, %.3g]", &s->kl, REPORT_ROOM), 0);
    page_row_end(p);
}

static void work_table(struct eval_report *r, int way)
{
    static const char *const head[] = {
        "method", "chunks", "questions", "rows computed", "GFLOP", "score", "against full prefill",
        "KL"};
    static const enum page_cell kind[] = {PAGE_NAME,   PAGE_TEXT,   PAGE_NUMBER, PAGE_NUMBER,
                                          PAGE_NUMBER, PAGE_NUMBER, PAGE_NUMBER, PAGE_NUMBER};
    page_table_begin(&r->page,
                     "Means over questions. GFLOP: in the decoder's layers, of the prompt. KL: of "
                     "the first token's distribution from full prefill's, in nats.",
                     head, kind, 8);
    for (int i = way; i < r->set.n_ways; i++)
        if (answers_same_data(&r->set.way[i], &r->set.way[way]))
            work_row(&r->page, &r->set.way[i], &r->sum[i]);
    page_table_end(&r->page);
}

/* Of runs with --kl answer alone. */
static void gap_table(struct eval_report *r, int way)
{
    static const char *const head[] = {"method", "chunks", "KL of the answer",
                                       "KL gap recovered, %"};
    static const enum page_cell kind[] = {PAGE_NAME, PAGE_TEXT, PAGE_NUMBER, PAGE_NUMBER};
    int is_begun = 0;
    for (int i = way; i < r->set.n_ways; i++) {
        const struct answer_sum *s = &r->sum[i];
        struct stats_interval percent = {100 * s->gap.value, 100 * s->gap.low, 100 * s->gap.high};
        if (!answers_same_data(&r->set.way[i], &r->set.way[way]) || isnan(s->kl_answer.value))
            continue;
        if (!is_begun++)
            page_table_begin(&r->page,
                             "KL over the tokens of full prefill's answer, in nats; the share of "
                             "it without repair, of the same chunks, that a method recovers.",
                             head, kind, 4);
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_NAME, report_method(&r->set.way[i], REPORT_ROOM), NULL, 0);
        page_cell(&r->page, PAGE_TEXT, report_chunk(&r->set.way[i], REPORT_ROOM), NULL, 0);
        page_cell(&r->page, PAGE_NUMBER, report_amount("%.3g", s->kl_answer.value, REPORT_ROOM),
                  report_interval("[%.3g, %.3g]", &s->kl_answer, REPORT_ROOM), 0);
        page_cell(&r->page, PAGE_NUMBER, report_amount("%.0f", percent.value, REPORT_ROOM),
                  report_interval("[%.0f, %.0f]", &percent, REPORT_ROOM), 0);
        page_row_end(&r->page);
    }
    if (is_begun) page_table_end(&r->page);
}

static struct plot_point score_of(const struct answer_sum *s)
{
    struct plot_point at = {100 * s->work, 100 * s->mean, (double)NAN, (double)NAN};
    if (!s->pair.n) return at;
    at.low = 100 * fmax(s->pair.a + s->pair.difference.low, 0); /* scores end there */
    at.high = 100 * fmin(s->pair.a + s->pair.difference.high, 1);
    return at;
}

static struct plot_point divergence_of(const struct answer_sum *s)
{
    return (struct plot_point){100 * s->work, s->kl.value, s->kl.low, s->kl.high};
}

static int by_x(const void *a, const void *b)
{
    const struct plot_point *x = a, *y = b;
    return (x->x > y->x) - (x->x < y->x);
}

static int same_line(const struct answer_way *a, const struct answer_way *b)
{
    return strcmp(a->method, b->method) == 0 && same_chunk(a, b);
}

static int same_name(const struct answer_way *a, const struct answer_way *b)
{
    return a->is_off == b->is_off && (a->is_off || strcmp(a->method, b->method) == 0);
}

/* Where the kind of a way is among those that have chunks: its colour and mark. */
static int index_of(const struct answer_set *set, int way, int of,
                    int (*same)(const struct answer_way *, const struct answer_way *))
{
    int kind[ANSWER_MAX_WAYS], n = distinct(set, way, same, kind, ANSWER_MAX_WAYS), at = 0;
    for (int i = 0; i < n; i++) {
        if (same(&set->way[kind[i]], &set->way[of])) return at;
        at += !set->way[kind[i]].is_dense;
    }
    return at;
}

struct work_room { /* of a curve's series */
    struct plot_point point[ANSWER_MAX_WAYS];
    struct plot_series series[ANSWER_MAX_WAYS];
    char name[ANSWER_MAX_WAYS][96];
};

/* Points of the ways, a series for each method and chunking, into a curve that is named; how many
 * series there are. */
static int work_series(const struct eval_report *r, int way, struct plot_curve *c,
                       struct plot_point (*of)(const struct answer_sum *), struct work_room *room)
{
    struct plot_point *point = room->point;
    const struct answer_set *set = &r->set;
    int first[ANSWER_MAX_WAYS], lines = distinct(set, way, same_line, first, ANSWER_MAX_WAYS),
                                base = answers_base(set, way), used = 0;
    c->series = room->series;
    for (int i = 0; i < lines; i++) {
        const struct answer_way *w = &set->way[first[i]];
        struct plot_series s = {room->name[c->n], point + used, 0,
                                1 + index_of(set, way, first[i], same_name) % 7,
                                index_of(set, way, first[i], same_chunk)};
        for (int k = way; k < set->n_ways; k++) {
            struct plot_point at = of(&r->sum[k]);
            if (k != base && answers_same_data(&set->way[k], w) && same_line(&set->way[k], w) &&
                !isnan(at.x) && !isnan(at.y))
                point[used + s.n++] = at;
        }
        if (!s.n) continue;
        qsort(point + used, (size_t)s.n, sizeof *point, by_x);
        snprintf(room->name[c->n], sizeof *room->name, "%.60s, %.30s",
                 w->is_off ? "full prefill" : w->method, report_chunk(w, REPORT_ROOM));
        used += s.n;
        room->series[c->n++] = s;
    }
    return c->n;
}

static void work_plots(struct eval_report *r, int way)
{
    struct plot_curve score = {.what = "score against rows computed",
                               .x_name = "rows computed, % of all",
                               .y_name = "score \xc3\x97 100",
                               .base = (double)NAN,
                               .base_name = "full prefill"};
    struct plot_curve kl = {.what = "divergence against rows computed",
                            .x_name = score.x_name,
                            .y_name = "KL of the first token, nats",
                            .is_log = 1,
                            .base = (double)NAN};
    struct work_room room;
    int base = answers_base(&r->set, way);
    if (base >= 0) score.base = 100 * r->sum[base].mean;
    if (work_series(r, way, &score, score_of, &room)) {
        page_figure_begin(&r->page,
                          "Score against the share of rows that are computed for a question. "
                          "Thin lines: 95 % interval of the difference to full prefill.");
        plot_curve(&r->page, &score);
        page_figure_end(&r->page);
    }
    if (work_series(r, way, &kl, divergence_of, &room)) {
        page_figure_begin(&r->page, "How far the first token's distribution is from that of full "
                                    "prefill, on the average. Thin lines: 95 % interval.");
        plot_curve(&r->page, &kl);
        page_figure_end(&r->page);
    }
}

void report_work(struct eval_report *r)
{
    page_section(&r->page, "Quality against work");
    for (int i = 0; i < r->set.n_ways; i++) {
        if (!report_is_first(&r->set, i)) continue;
        report_heading(r, i);
        work_plots(r, i);
        work_table(r, i);
        gap_table(r, i);
    }
}

/* ---- categories ---- */

/* The ways of a data set, the dense one first; at most cap. */
static int ways_of(const struct answer_set *set, int way, int *out, int cap)
{
    int n = 0, base = answers_base(set, way);
    if (base >= 0) out[n++] = base;
    for (int i = way; i < set->n_ways && n < cap; i++)
        if (i != base && answers_same_data(&set->way[i], &set->way[way])) out[n++] = i;
    return n;
}

/* "infoflow 15 %, k = 2", which is not to be broken within "15 %" and "k = 2". */
static void way_name(const struct answer_way *way, char out[96])
{
    char plain[96];
    size_t used = 0;
    snprintf(plain, sizeof plain, "%.40s%s%.30s", report_method(way, REPORT_ROOM),
             way->is_off && !*way->chunk ? "" : ", ",
             way->is_off && !*way->chunk ? "" : report_chunk(way, REPORT_ROOM));
    for (const char *at = plain; *at && used < 93; at++)
        if (*at == ' ' && at > plain && (at[1] == '%' || at[1] == '=' || at[-1] == '='))
            used += (size_t)snprintf(out + used, 96 - used, "\xc2\xa0");
        else
            out[used++] = *at;
    out[used] = 0;
}

static void category_bars(struct eval_report *r, const char *chunk, const int *way, int ways,
                          const char *const *category, int n)
{
    double value[MAX_CATEGORIES * MAX_BARS];
    char name[MAX_BARS][96];
    char caption[96];
    const char *part[MAX_BARS];
    int colour[MAX_BARS], ignored, any = 0;
    struct plot_bars b = {"score of each category",
                          "score \xc3\x97 100",
                          category,
                          part,
                          n,
                          0,
                          value,
                          colour,
                          0,
                          (double)NAN};
    b.parts = ways < MAX_BARS ? ways : MAX_BARS;
    for (int k = 0; k < b.parts; k++) {
        way_name(&r->set.way[way[k]], name[k]);
        part[k] = name[k];
        colour[k] = r->set.way[way[k]].is_off ? 0 : k;
        for (int i = 0; i < n; i++) {
            double mean = answers_category_mean(&r->set, way[k], category[i], &ignored);
            value[i * b.parts + k] = 100 * mean;
            any |= mean > 0;
        }
    }
    if (!any) return; /* bars of no length */
    snprintf(caption, sizeof caption, "%.60s%s.", chunk, ways > MAX_BARS ? ", the first six" : "");
    page_figure_begin(&r->page, caption);
    plot_bars(&r->page, &b);
    page_figure_end(&r->page);
}

/* A drawing for each chunking, all with the dense one. */
static void category_plots(struct eval_report *r, int first, const char *const *category, int n)
{
    const struct answer_set *set = &r->set;
    int chunk[MAX_COLUMNS], chunks = distinct(set, first, same_chunk, chunk, MAX_COLUMNS);
    int way[ANSWER_MAX_WAYS], base = answers_base(set, first);
    sort_chunks(set, chunk, chunks);
    for (int c = 0; c < chunks; c++) {
        int ways = 0, own = 0;
        if (base >= 0) way[ways++] = base;
        for (int i = first; i < set->n_ways; i++) {
            if (i == base || !answers_same_data(&set->way[i], &set->way[first]) ||
                !same_chunk(&set->way[i], &set->way[chunk[c]]))
                continue;
            way[ways++] = i;
            own++;
        }
        if (own || chunks == 1)
            category_bars(r, report_chunk(&set->way[chunk[c]], REPORT_ROOM), way, ways, category,
                          n);
    }
}

/* "NAME (N)": of the questions of the way that comes first. */
static const char *category_head(const struct eval_report *r, int way, const char *category,
                                 char out[REPORT_TEXT])
{
    int questions;
    (void)answers_category_mean(&r->set, way, category, &questions);
    snprintf(out, REPORT_TEXT, "%.70s (%d)", category, questions);
    return out;
}

static void category_table(struct eval_report *r, const int *way, int ways,
                           const char *const *category, int n)
{
    char name[ANSWER_MAX_WAYS][96];
    const char *head[ANSWER_MAX_WAYS + 1] = {"category (questions)"};
    enum page_cell kind[ANSWER_MAX_WAYS + 1] = {PAGE_NAME};
    int ignored;
    for (int k = 0; k < ways; k++) {
        way_name(&r->set.way[way[k]], name[k]);
        head[k + 1] = name[k];
        kind[k + 1] = PAGE_NUMBER;
    }
    page_table_begin(&r->page, NULL, head, kind, ways + 1);
    for (int i = 0; i < n; i++) {
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_NAME, category_head(r, way[0], category[i], REPORT_ROOM), NULL, 0);
        for (int k = 0; k < ways; k++)
            page_cell(&r->page, PAGE_NUMBER,
                      report_score(answers_category_mean(&r->set, way[k], category[i], &ignored),
                                   REPORT_ROOM),
                      NULL, 0);
        page_row_end(&r->page);
    }
    page_table_end(&r->page);
}

void report_categories(struct eval_report *r)
{
    const char *category[MAX_CATEGORIES];
    int way[ANSWER_MAX_WAYS], any = 0;
    for (int i = 0; i < r->set.n_ways; i++) {
        int n = answers_categories(&r->set, i, category, MAX_CATEGORIES);
        if (!n || !report_is_first(&r->set, i)) continue;
        if (!any++) page_section(&r->page, "Categories");
        report_heading(r, i);
        if (n > 1) category_plots(r, i, category, n);
        category_table(r, way, ways_of(&r->set, i, way, ANSWER_MAX_WAYS), category, n);
    }
}
