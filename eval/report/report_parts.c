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
    MAX_BARS = 6         /* variants in a drawing of bars */
};

int report_is_first(const struct answer_set *set, int variant)
{
    for (int i = 0; i < variant; i++)
        if (answers_same_data(&set->variant[i], &set->variant[variant])) return 0;
    return 1;
}

void report_heading(struct eval_report *r, int variant)
{
    int others = 0;
    for (int i = 0; i < r->set.n_variants; i++)
        others |= !answers_same_data(&r->set.variant[i], &r->set.variant[variant]);
    if (others) page_subheading(&r->page, report_data(&r->set.variant[variant]));
}

/* ---- variants x chunkings ---- */

static int same_variant_name(const struct answer_variant *a, const struct answer_variant *b)
{
    return strcmp(report_variant_name(a, REPORT_ROOM), report_variant_name(b, REPORT_ROOM)) == 0;
}

static int same_chunk(const struct answer_variant *a, const struct answer_variant *b)
{
    return strcmp(a->chunk, b->chunk) == 0;
}

/* No chunks, then k x k cells by k, then the others. */
static int chunk_order(const struct answer_variant *variant)
{
    return !*variant->chunk ? 0 : report_grid(variant) > 0 ? report_grid(variant) : 1 << 20;
}

/* The variants of the data set of `variant` that are the first with their chunking or their name.
 */
static int distinct(const struct answer_set *set, int variant,
                    int (*same)(const struct answer_variant *, const struct answer_variant *),
                    int *out, int cap)
{
    int n = 0;
    for (int i = variant; i < set->n_variants; i++) {
        int seen = 0;
        for (int k = 0; k < n; k++)
            seen |= same(&set->variant[i], &set->variant[out[k]]);
        if (!seen && n < cap && answers_same_data(&set->variant[i], &set->variant[variant]))
            out[n++] = i;
    }
    return n;
}

static void sort_chunks(const struct answer_set *set, int *variant, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k && chunk_order(&set->variant[variant[k]]) <
                                 chunk_order(&set->variant[variant[k - 1]]);
             k--) {
            int other = variant[k];
            variant[k] = variant[k - 1];
            variant[k - 1] = other;
        }
}

static int find_cell(const struct answer_set *set, const struct answer_variant *data,
                     const struct answer_variant *like, const struct answer_variant *chunk)
{
    for (int i = 0; i < set->n_variants; i++) {
        const struct answer_variant *w = &set->variant[i];
        if (answers_same_data(w, data) && same_variant_name(w, like) && same_chunk(w, chunk))
            return i;
    }
    return -1;
}

static void score_cell(struct eval_report *r, int variant)
{
    const struct answer_sum *s = variant < 0 ? NULL : &r->sum[variant];
    if (!s)
        page_cell(&r->page, PAGE_NUMBER, "", NULL, 0);
    else
        page_cell(&r->page, PAGE_NUMBER, report_score(s->mean, REPORT_ROOM),
                  report_difference(&s->pair, REPORT_ROOM), s->pair.n && s->pair.is_noise);
}

static void score_table(struct eval_report *r, int variant)
{
    const struct answer_set *set = &r->set;
    int like[ANSWER_MAX_VARIANTS], chunk[MAX_COLUMNS];
    int rows = distinct(set, variant, same_variant_name, like, ANSWER_MAX_VARIANTS);
    int columns = distinct(set, variant, same_chunk, chunk, MAX_COLUMNS);
    const char *head[MAX_COLUMNS + 1] = {"variant"};
    enum page_cell kind[MAX_COLUMNS + 1] = {PAGE_NAME};
    char name[MAX_COLUMNS][REPORT_TEXT];
    sort_chunks(set, chunk, columns);
    for (int i = 0; i < columns; i++) {
        head[i + 1] = report_chunk(&set->variant[chunk[i]], name[i]);
        kind[i + 1] = PAGE_NUMBER;
    }
    report_heading(r, variant);
    page_table_begin(&r->page, NULL, head, kind, columns + 1);
    for (int off = 1; off >= 0; off--) /* full prefill first */
        for (int i = 0; i < rows; i++) {
            const struct answer_variant *m = &set->variant[like[i]];
            if (m->is_full_by_name != off) continue;
            page_row_begin(&r->page);
            page_cell(&r->page, PAGE_NAME, report_variant_name(m, REPORT_ROOM), NULL, 0);
            for (int k = 0; k < columns; k++)
                score_cell(r, find_cell(set, m, m, &set->variant[chunk[k]]));
            page_row_end(&r->page);
        }
    page_table_end(&r->page);
}

/* Every chunking and variant once, whatever the data set, by chunking: full prefill stands first.
 */
static int all_rows(const struct answer_set *set, int out[ANSWER_MAX_VARIANTS])
{
    int n = 0;
    for (int i = 0; i < set->n_variants; i++) {
        int seen = 0;
        for (int k = 0; k < n; k++)
            seen |= same_variant_name(&set->variant[i], &set->variant[out[k]]) &&
                    same_chunk(&set->variant[i], &set->variant[out[k]]);
        if (!seen) out[n++] = i;
    }
    sort_chunks(set, out, n);
    return n;
}

/* Chunkings and variants below each other, data sets side by side, as the papers have them. */
static void overview(struct eval_report *r)
{
    const struct answer_set *set = &r->set;
    int row[ANSWER_MAX_VARIANTS], data[MAX_COLUMNS], rows = all_rows(set, row), columns = 0;
    const char *head[MAX_COLUMNS + 2] = {"chunks", "variant"};
    enum page_cell kind[MAX_COLUMNS + 2] = {PAGE_TEXT, PAGE_NAME};
    for (int i = 0; i < set->n_variants && columns < MAX_COLUMNS; i++)
        if (report_is_first(set, i)) data[columns++] = i;
    if (columns < 2) return;
    for (int i = 0; i < columns; i++) {
        head[i + 2] = report_data(&set->variant[data[i]]);
        kind[i + 2] = PAGE_NUMBER;
    }
    page_subheading(&r->page, "All data sets");
    page_table_begin(&r->page, NULL, head, kind, columns + 2);
    for (int i = 0; i < rows; i++) {
        const struct answer_variant *w = &set->variant[row[i]];
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_TEXT, report_chunk(w, REPORT_ROOM), NULL, 0);
        page_cell(&r->page, PAGE_NAME, report_variant_name(w, REPORT_ROOM), NULL, 0);
        for (int k = 0; k < columns; k++)
            score_cell(r, find_cell(set, &set->variant[data[k]], w, w));
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
        "interval (paired bootstrap over documents). k: an image is cut into k \xc3\x97 k "
        "cells, 0: not cut. Slanted numbers differ from full prefill by no more than noise.");
    overview(r);
    for (int i = 0; i < r->set.n_variants; i++)
        if (report_is_first(&r->set, i)) score_table(r, i);
}

/* ---- quality against work ---- */

static void work_row(struct page *p, const struct answer_variant *variant,
                     const struct answer_sum *s)
{
    const char *difference = report_difference(&s->pair, REPORT_ROOM);
    char n[24];
    snprintf(n, sizeof n, "%d", s->n);
    page_row_begin(p);
    page_cell(p, PAGE_NAME, report_variant_name(variant, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_TEXT, report_chunk(variant, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_NUMBER, n, NULL, 0);
    page_cell(p, PAGE_NUMBER, report_share(s->work, REPORT_ROOM),
              isnan(s->tokens) ? NULL : report_amount("%.1f", s->tokens, REPORT_ROOM), 0);
    page_cell(p, PAGE_NUMBER, report_amount("%.3f", s->flops / 1e9, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_NUMBER, report_score(s->mean, REPORT_ROOM), NULL, 0);
    page_cell(p, PAGE_NUMBER, difference ? difference : "", NULL, s->pair.n && s->pair.is_noise);
    page_cell(p, PAGE_NUMBER, report_amount("%.3g", s->kl.value, REPORT_ROOM),
              report_interval("[%.3g, %.3g]", &s->kl, REPORT_ROOM), 0);
    page_row_end(p);
}

static void work_table(struct eval_report *r, int variant)
{
    static const char *const head[] = {"variant",
                                       "chunks",
                                       "questions",
                                       "tokens computed",
                                       "GFLOP",
                                       "score",
                                       "against full prefill",
                                       "KL"};
    static const enum page_cell kind[] = {PAGE_NAME,   PAGE_TEXT,   PAGE_NUMBER, PAGE_NUMBER,
                                          PAGE_NUMBER, PAGE_NUMBER, PAGE_NUMBER, PAGE_NUMBER};
    page_table_begin(&r->page,
                     "Means over questions. GFLOP: in the decoder's layers, of the prompt. KL: of "
                     "the first token's distribution from full prefill's, in nats.",
                     head, kind, 8);
    for (int i = variant; i < r->set.n_variants; i++)
        if (answers_same_data(&r->set.variant[i], &r->set.variant[variant]))
            work_row(&r->page, &r->set.variant[i], &r->sum[i]);
    page_table_end(&r->page);
}

/* Of runs with --kl answer alone. */
static void gap_table(struct eval_report *r, int variant)
{
    static const char *const head[] = {"variant", "chunks", "KL of the answer",
                                       "KL gap recovered, %"};
    static const enum page_cell kind[] = {PAGE_NAME, PAGE_TEXT, PAGE_NUMBER, PAGE_NUMBER};
    int is_begun = 0;
    for (int i = variant; i < r->set.n_variants; i++) {
        const struct answer_sum *s = &r->sum[i];
        struct stats_interval percent = {100 * s->gap.value, 100 * s->gap.low, 100 * s->gap.high};
        if (!answers_same_data(&r->set.variant[i], &r->set.variant[variant]) ||
            isnan(s->kl_answer.value))
            continue;
        if (!is_begun++)
            page_table_begin(
                &r->page,
                "KL over the tokens of full prefill's answer, in nats; KL gap recovered: the share "
                "of the KL without recomputation, over the same chunks, that a variant removes.",
                head, kind, 4);
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_NAME, report_variant_name(&r->set.variant[i], REPORT_ROOM), NULL,
                  0);
        page_cell(&r->page, PAGE_TEXT, report_chunk(&r->set.variant[i], REPORT_ROOM), NULL, 0);
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

static int same_line(const struct answer_variant *a, const struct answer_variant *b)
{
    return strcmp(a->name, b->name) == 0 && same_chunk(a, b);
}

static int same_name(const struct answer_variant *a, const struct answer_variant *b)
{
    return a->is_full_by_name == b->is_full_by_name &&
           (a->is_full_by_name || strcmp(a->name, b->name) == 0);
}

/* Where the kind of a variant is among those that have chunks: its colour and mark. */
static int index_of(const struct answer_set *set, int variant, int of,
                    int (*same)(const struct answer_variant *, const struct answer_variant *))
{
    int kind[ANSWER_MAX_VARIANTS], n = distinct(set, variant, same, kind, ANSWER_MAX_VARIANTS),
                                   at = 0;
    for (int i = 0; i < n; i++) {
        if (same(&set->variant[kind[i]], &set->variant[of])) return at;
        at += !set->variant[kind[i]].is_full_prefill;
    }
    return at;
}

struct work_room { /* of a curve's series */
    struct plot_point point[ANSWER_MAX_VARIANTS];
    struct plot_series series[ANSWER_MAX_VARIANTS];
    char name[ANSWER_MAX_VARIANTS][96];
};

/* Points of the variants, a series for each name and chunking, into a curve that is named; how many
 * series there are. */
static int work_series(const struct eval_report *r, int variant, struct plot_curve *c,
                       struct plot_point (*of)(const struct answer_sum *), struct work_room *room)
{
    struct plot_point *point = room->point;
    const struct answer_set *set = &r->set;
    int first[ANSWER_MAX_VARIANTS],
        lines = distinct(set, variant, same_line, first, ANSWER_MAX_VARIANTS),
        base = answers_base(set, variant), used = 0;
    c->series = room->series;
    for (int i = 0; i < lines; i++) {
        const struct answer_variant *w = &set->variant[first[i]];
        struct plot_series s = {room->name[c->n], point + used, 0,
                                1 + index_of(set, variant, first[i], same_name) % 7,
                                index_of(set, variant, first[i], same_chunk)};
        for (int k = variant; k < set->n_variants; k++) {
            struct plot_point at = of(&r->sum[k]);
            if (k != base && answers_same_data(&set->variant[k], w) &&
                same_line(&set->variant[k], w) && !isnan(at.x) && !isnan(at.y))
                point[used + s.n++] = at;
        }
        if (!s.n) continue;
        qsort(point + used, (size_t)s.n, sizeof *point, by_x);
        snprintf(room->name[c->n], sizeof *room->name, "%.60s, %.30s",
                 w->is_full_by_name ? "full prefill" : w->name, report_chunk(w, REPORT_ROOM));
        used += s.n;
        room->series[c->n++] = s;
    }
    return c->n;
}

static void work_plots(struct eval_report *r, int variant)
{
    struct plot_curve score = {.what = "score against tokens computed",
                               .x_name = "tokens computed, % of all",
                               .y_name = "score \xc3\x97 100",
                               .base = (double)NAN,
                               .base_name = "full prefill"};
    struct plot_curve kl = {.what = "KL against tokens computed",
                            .x_name = score.x_name,
                            .y_name = "KL of the first token, nats",
                            .is_log = 1,
                            .base = (double)NAN};
    struct work_room room;
    int base = answers_base(&r->set, variant);
    if (base >= 0) score.base = 100 * r->sum[base].mean;
    if (work_series(r, variant, &score, score_of, &room)) {
        page_figure_begin(&r->page,
                          "Score against the share of tokens that are computed for a question. "
                          "Thin lines: 95 % interval of the difference to full prefill.");
        plot_curve(&r->page, &score);
        page_figure_end(&r->page);
    }
    if (work_series(r, variant, &kl, divergence_of, &room)) {
        page_figure_begin(&r->page, "How far the first token's distribution is from that of full "
                                    "prefill, on the average. Thin lines: 95 % interval.");
        plot_curve(&r->page, &kl);
        page_figure_end(&r->page);
    }
}

void report_work(struct eval_report *r)
{
    page_section(&r->page, "Quality against work");
    for (int i = 0; i < r->set.n_variants; i++) {
        if (!report_is_first(&r->set, i)) continue;
        report_heading(r, i);
        work_plots(r, i);
        work_table(r, i);
        gap_table(r, i);
    }
}

/* ---- categories and splits ---- */

struct grouping {
    enum answer_group group;
    const char *plot, *head; /* what the drawing and the first column are called */
    const char *name[MAX_CATEGORIES];
    int n;
};

/* The variants of a data set, full prefill first; at most cap. */
static int variants_of(const struct answer_set *set, int variant, int *out, int cap)
{
    int n = 0, base = answers_base(set, variant);
    if (base >= 0) out[n++] = base;
    for (int i = variant; i < set->n_variants && n < cap; i++)
        if (i != base && answers_same_data(&set->variant[i], &set->variant[variant])) out[n++] = i;
    return n;
}

/* "infoflow 15 %, k = 2", which is not to be broken within "15 %" and "k = 2". */
static void variant_name(const struct answer_variant *variant, char out[96])
{
    char plain[96];
    size_t used = 0;
    snprintf(plain, sizeof plain, "%.40s%s%.30s", report_variant_name(variant, REPORT_ROOM),
             variant->is_full_by_name && !*variant->chunk ? "" : ", ",
             variant->is_full_by_name && !*variant->chunk ? ""
                                                          : report_chunk(variant, REPORT_ROOM));
    for (const char *at = plain; *at && used < 93; at++)
        if (*at == ' ' && at > plain && (at[1] == '%' || at[1] == '=' || at[-1] == '='))
            used += (size_t)snprintf(out + used, 96 - used, "\xc2\xa0");
        else
            out[used++] = *at;
    out[used] = 0;
}

static void group_bars(struct eval_report *r, const char *chunk, const int *variant, int variants,
                       const struct grouping *g)
{
    double value[MAX_CATEGORIES * MAX_BARS];
    char name[MAX_BARS][96];
    char caption[96];
    const char *part[MAX_BARS];
    int colour[MAX_BARS], any = 0;
    struct plot_bars b = {g->plot, "score \xc3\x97 100", g->name, part, g->n, 0, value, colour,
                          0,       (double)NAN};
    b.parts = variants < MAX_BARS ? variants : MAX_BARS;
    for (int k = 0; k < b.parts; k++) {
        variant_name(&r->set.variant[variant[k]], name[k]);
        part[k] = name[k];
        colour[k] = r->set.variant[variant[k]].is_full_by_name ? 0 : k;
        for (int i = 0; i < g->n; i++) {
            double mean = answers_group_mean(&r->set, variant[k], g->group, g->name[i]).mean;
            value[i * b.parts + k] = 100 * mean;
            any |= mean > 0;
        }
    }
    if (!any) return; /* bars of no length */
    snprintf(caption, sizeof caption, "%.60s%s.", chunk,
             variants > MAX_BARS ? ", the first six" : "");
    page_figure_begin(&r->page, caption);
    plot_bars(&r->page, &b);
    page_figure_end(&r->page);
}

/* A drawing for each chunking, all with full prefill. */
static void group_plots(struct eval_report *r, int first, const struct grouping *g)
{
    const struct answer_set *set = &r->set;
    int chunk[MAX_COLUMNS], chunks = distinct(set, first, same_chunk, chunk, MAX_COLUMNS);
    int variant[ANSWER_MAX_VARIANTS], base = answers_base(set, first);
    sort_chunks(set, chunk, chunks);
    for (int c = 0; c < chunks; c++) {
        int variants = 0, own = 0;
        if (base >= 0) variant[variants++] = base;
        for (int i = first; i < set->n_variants; i++) {
            if (i == base || !answers_same_data(&set->variant[i], &set->variant[first]) ||
                !same_chunk(&set->variant[i], &set->variant[chunk[c]]))
                continue;
            variant[variants++] = i;
            own++;
        }
        if (own || chunks == 1)
            group_bars(r, report_chunk(&set->variant[chunk[c]], REPORT_ROOM), variant, variants, g);
    }
}

/* "NAME (N)" or, of questions that share documents, "NAME (N about M)": of the questions of the
 * variant that comes first. */
static const char *group_head(const struct eval_report *r, int variant, const struct grouping *g,
                              int i, char out[REPORT_TEXT])
{
    struct answer_mean m = answers_group_mean(&r->set, variant, g->group, g->name[i]);
    if (m.documents < m.n)
        snprintf(out, REPORT_TEXT, "%.60s (%d about %d)", g->name[i], m.n, m.documents);
    else
        snprintf(out, REPORT_TEXT, "%.70s (%d)", g->name[i], m.n);
    return out;
}

static void group_cell(struct eval_report *r, int variant, const struct grouping *g, int i)
{
    struct answer_mean m = answers_group_mean(&r->set, variant, g->group, g->name[i]);
    struct stats_interval s = stats_wilson(m.mean, m.documents);
    struct stats_interval percent = {100 * s.value, 100 * s.low, 100 * s.high};
    page_cell(&r->page, PAGE_NUMBER, report_score(m.mean, REPORT_ROOM),
              m.n ? report_interval("[%.1f, %.1f]", &percent, REPORT_ROOM) : NULL, 0);
}

static void group_table(struct eval_report *r, const int *variant, int variants,
                        const struct grouping *g)
{
    char name[ANSWER_MAX_VARIANTS][96];
    const char *head[ANSWER_MAX_VARIANTS + 1] = {g->head};
    enum page_cell kind[ANSWER_MAX_VARIANTS + 1] = {PAGE_NAME};
    for (int k = 0; k < variants; k++) {
        variant_name(&r->set.variant[variant[k]], name[k]);
        head[k + 1] = name[k];
        kind[k + 1] = PAGE_NUMBER;
    }
    page_table_begin(&r->page,
                     "Mean score \xc3\x97 100 with Wilson's 95 % interval for as many answers as "
                     "there are documents.",
                     head, kind, variants + 1);
    for (int i = 0; i < g->n; i++) {
        page_row_begin(&r->page);
        page_cell(&r->page, PAGE_NAME, group_head(r, variant[0], g, i, REPORT_ROOM), NULL, 0);
        for (int k = 0; k < variants; k++)
            group_cell(r, variant[k], g, i);
        page_row_end(&r->page);
    }
    page_table_end(&r->page);
}

static void report_grouping(struct eval_report *r, struct grouping g, const char *section)
{
    int variant[ANSWER_MAX_VARIANTS], any = 0;
    for (int i = 0; i < r->set.n_variants; i++) {
        g.n = answers_groups(&r->set, i, g.group, g.name, MAX_CATEGORIES);
        if (!g.n || !report_is_first(&r->set, i)) continue;
        if (!any++) page_section(&r->page, section);
        report_heading(r, i);
        if (g.n > 1) group_plots(r, i, &g);
        group_table(r, variant, variants_of(&r->set, i, variant, ANSWER_MAX_VARIANTS), &g);
    }
}

void report_categories(struct eval_report *r)
{
    report_grouping(r,
                    (struct grouping){.group = ANSWER_CATEGORY,
                                      .plot = "score of each category",
                                      .head = "category (questions)"},
                    "Categories");
    report_grouping(r,
                    (struct grouping){.group = ANSWER_SPLIT,
                                      .plot = "score of each split",
                                      .head = "split (questions)"},
                    "Splits");
}
