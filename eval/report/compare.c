/* compare.c - pairs of scores by id. */
#include "eval/report/compare.h"

#include "base/hash.h"
#include "base/heap.h"
#include "eval/run/group.h"
#include "eval/run/row.h"
#include "eval/run/run_file.h"
#include "eval/run/variants.h"
#include "eval/stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct graded {
    uint64_t id;      /* hash */
    uint64_t group;   /* equal where questions belong together: group.h */
    double score, kl; /* of the answer; NaN: not known */
    int metric;       /* -1: the row names none */
    int line, variant;
};

struct graded_run {
    const char *path;
    struct variants variants;
    struct graded *row; /* by way, then by id */
    int n;
    size_t cap;
};

static vlqa_status add_row(struct env *env, struct graded_run *run, struct graded row)
{
    if ((size_t)run->n == run->cap) {
        size_t cap = run->cap ? 2 * run->cap : 1024, bytes = cap * sizeof *run->row;
        void *grown = run->row ? heap_resize(run->row, run->cap * sizeof *run->row, bytes)
                               : heap_alloc(bytes);
        if (!grown) return env_no_memory(env, "rows", bytes);
        run->row = grown;
        run->cap = cap;
    }
    run->row[run->n++] = row;
    return VLQA_OK;
}

static vlqa_status read_row(struct env *env, const char *name, const struct json *root,
                            struct graded *out)
{
    const struct json *id = json_get(root, "id"), *score = json_get(root, "score");
    const char *text = json_text(id), *metric = json_text(json_get(root, "metric"));
    char number[40];
    if (!text && !isnan(json_number(id))) {
        snprintf(number, sizeof number, "%.17g", json_number(id));
        text = number;
    }
    if (!text)
        return env_fail(env, VLQA_EUSAGE, "%s: id is %s, expected a text or a number", name,
                        json_kind_name(id));
    out->id = checksum64(text, strlen(text));
    out->group = group_of_line(root, text);
    out->score = json_number(score);
    if (!(out->score >= 0 && out->score <= 1))
        return env_fail(env, VLQA_EUSAGE,
                        "%s: score is %s, expected a number from 0 to 1, as --score writes it",
                        name, isnan(out->score) ? json_kind_name(score) : "beyond its range");
    out->kl = json_number(json_get(root, "kl_answer"));
    out->metric = metric ? metric_find(metric) : -1;
    return VLQA_OK;
}

static vlqa_status read_line(struct env *env, struct graded_run *run, const struct lines *lines,
                             const char *line, size_t bytes)
{
    struct graded graded = {.line = lines->number};
    struct row row;
    char name[256];
    int is_header = 0;
    vlqa_status status;
    lines_name(lines, name);
    status = row_parse(env, name, line, bytes, &row);
    if (status == VLQA_OK) is_header = run_file_is_header(json_root(row.doc));
    if (status == VLQA_OK && !is_header) status = read_row(env, name, json_root(row.doc), &graded);
    if (status == VLQA_OK && !is_header)
        status = variants_find(env, name, json_root(row.doc), &run->variants, &graded.variant);
    row_free(&row);
    return status == VLQA_OK && !is_header ? add_row(env, run, graded) : status;
}

static int by_variant(const void *a, const void *b)
{
    const struct graded *x = a, *y = b;
    if (x->variant != y->variant) return x->variant < y->variant ? -1 : 1;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

static vlqa_status read_run(struct env *env, struct graded_run *run)
{
    struct lines lines;
    const char *line = NULL;
    size_t bytes;
    vlqa_status status;
    TRY(lines_open(env, run->path, &lines));
    while ((status = lines_next_full(env, &lines, &line, &bytes)) == VLQA_OK && line) {
        status = read_line(env, run, &lines, line, bytes);
        if (status != VLQA_OK) break;
    }
    lines_close(&lines);
    if (status != VLQA_OK) return status;
    if (run->n > 1) qsort(run->row, (size_t)run->n, sizeof *run->row, by_variant);
    for (int i = 1; i < run->n; i++)
        if (run->row[i].variant == run->row[i - 1].variant && run->row[i].id == run->row[i - 1].id)
            return env_fail(env, VLQA_EUSAGE, "%.200s, line %d: its id was on line %d", run->path,
                            run->row[i].line, run->row[i - 1].line);
    return VLQA_OK;
}

/* ---- pairs ---- */

struct pairs {
    double *a, *b, *a_kl, *b_kl;
    uint64_t *group;
    int *metric;
    int n, n_a, n_b; /* pairs; rows that there are */
    const char *a_name, *b_name;
    double *a_of, *b_of; /* those of one metric */
    uint64_t *group_of;
    struct stats_work *work;
};

static vlqa_status allocate(struct env *env, struct pairs *p, int n)
{
    size_t work = stats_work_bytes(n);
    size_t bytes = work + (size_t)n * (6 * sizeof(double) + 2 * sizeof(uint64_t) + sizeof(int));
    p->work = heap_alloc(bytes);
    if (!p->work) return env_no_memory(env, "pairs", bytes);
    p->a = (double *)(void *)((char *)p->work + work);
    p->b = p->a + n;
    p->a_kl = p->b + n;
    p->b_kl = p->a_kl + n;
    p->a_of = p->b_kl + n;
    p->b_of = p->a_of + n;
    p->group = (uint64_t *)(void *)(p->b_of + n);
    p->group_of = p->group + n;
    p->metric = (int *)(void *)(p->group_of + n);
    return VLQA_OK;
}

static const struct graded *rows_of(const struct graded_run *run, int variant, int *n)
{
    int begin = 0, end;
    while (begin < run->n && run->row[begin].variant < variant)
        begin++;
    for (end = begin; end < run->n && run->row[end].variant == variant;)
        end++;
    *n = end - begin;
    return run->row + begin;
}

/* Rows whose metrics differ have scores that cannot be compared. */
static vlqa_status match(struct env *env, const struct graded_run *a, int a_variant,
                         const struct graded_run *b, int b_variant, struct pairs *p)
{
    const struct graded *x = rows_of(a, a_variant, &p->n_a), *y = rows_of(b, b_variant, &p->n_b);
    TRY(allocate(env, p, p->n_a < p->n_b ? p->n_a : p->n_b));
    for (int i = 0, k = 0; i < p->n_a && k < p->n_b;) {
        uint64_t x_id = x[i].id, y_id = y[k].id;
        if (x_id == y_id && x[i].metric != y[k].metric)
            return env_fail(env, VLQA_EUSAGE,
                            "%.150s, line %d and %.150s, line %d have one id and two metrics",
                            a->path, x[i].line, b->path, y[k].line);
        if (x_id == y_id) {
            p->a[p->n] = x[i].score;
            p->b[p->n] = y[k].score;
            p->a_kl[p->n] = x[i].kl;
            p->b_kl[p->n] = y[k].kl;
            p->group[p->n] = x[i].group;
            p->metric[p->n++] = x[i].metric;
        }
        i += x_id <= y_id;
        k += y_id <= x_id;
    }
    if (p->n) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE, "%.200s and %.200s have no id in common", a->path, b->path);
}

/* ---- reports ---- */

static void print_text(const char *metric, const struct stats_pair *s)
{
    char text[STATS_QUESTIONS];
    printf("%-9s %s: A %.2f, B %.2f, B - A %+.2f [%+.2f, %+.2f]; right in A alone %d, in "
           "B alone %d, p %.2g: %s\n",
           metric, stats_questions(s->n, s->groups, text), 100 * s->a, 100 * s->b,
           100 * s->difference.value, 100 * s->difference.low, 100 * s->difference.high, s->only_a,
           s->only_b, s->p,
           s->is_noise               ? "the difference is noise"
           : s->difference.value > 0 ? "B is better"
                                     : "A is better");
}

static int print_json(struct cli *cli, const struct pairs *p, const char *metric,
                      const struct stats_pair *s)
{
    struct report r = report_begin();
    if (*p->a_name) report_string(&r, "a_variant", p->a_name);
    if (*p->b_name) report_string(&r, "b_variant", p->b_name);
    report_string(&r, "metric", metric);
    report_int(&r, "questions", s->n);
    report_int(&r, "documents", s->groups);
    report_number(&r, "a", s->a);
    report_number(&r, "b", s->b);
    report_number(&r, "difference", s->difference.value);
    report_number(&r, "low", s->difference.low);
    report_number(&r, "high", s->difference.high);
    report_int(&r, "only_a", s->only_a);
    report_int(&r, "only_b", s->only_b);
    report_number(&r, "mcnemar_p", s->p);
    report_int(&r, "noise", s->is_noise);
    return cli_write_report(cli, &r);
}

/* The pairs of one metric; CLI_OK also where there are none. */
static int report_metric(struct cli *cli, const struct pairs *p, int metric)
{
    const char *name = metric < 0 ? "score" : metric_names[metric];
    struct stats_pair s;
    int n = 0;
    for (int i = 0; i < p->n; i++)
        if (p->metric[i] == metric) {
            p->a_of[n] = p->a[i];
            p->b_of[n] = p->b[i];
            p->group_of[n++] = p->group[i];
        }
    if (!n) return CLI_OK;
    s = stats_compare(p->a_of, p->b_of, p->group_of, n, 0, p->work);
    if (cli->args->json) return print_json(cli, p, name, &s);
    print_text(name, &s);
    return cli_flush();
}

/* The divergence of answers from full prefill's, over the pairs in which both sides have it. */
static int report_kl(struct cli *cli, const struct pairs *p)
{
    struct stats_interval d;
    char text[STATS_QUESTIONS];
    double a = 0, b = 0;
    int n = 0, groups;
    for (int i = 0; i < p->n; i++) {
        if (!isfinite(p->a_kl[i]) || !isfinite(p->b_kl[i])) continue;
        a += p->a_kl[i];
        b += p->b_kl[i];
        p->a_of[n] = p->b_kl[i] - p->a_kl[i];
        p->group_of[n++] = p->group[i];
    }
    if (!n) return CLI_OK;
    groups = stats_groups(p->group_of, n, p->work);
    d = stats_ratio(p->a_of, NULL, p->group_of, n, 0, p->work);
    if (cli->args->json) {
        struct report r = report_begin();
        if (*p->a_name) report_string(&r, "a_variant", p->a_name);
        if (*p->b_name) report_string(&r, "b_variant", p->b_name);
        report_string(&r, "metric", "kl_answer");
        report_int(&r, "questions", n);
        report_int(&r, "documents", groups);
        report_number(&r, "a", a / n);
        report_number(&r, "b", b / n);
        report_number(&r, "difference", d.value);
        report_number(&r, "low", d.low);
        report_number(&r, "high", d.high);
        return cli_write_report(cli, &r);
    }
    printf("%-9s %s: A %.3g, B %.3g, B - A %+.3g [%+.3g, %+.3g]\n", "KL",
           stats_questions(n, groups, text), a / n, b / n, d.value, d.low, d.high);
    return cli_flush();
}

static int report_pair(struct cli *cli, const struct graded_run *a, int a_variant,
                       const struct graded_run *b, int b_variant)
{
    struct pairs p = {.a_name = a->variants.variant[a_variant].name,
                      .b_name = b->variants.variant[b_variant].name};
    vlqa_status status = match(&cli->env, a, a_variant, b, b_variant, &p);
    int code = status == VLQA_OK ? CLI_OK : cli_fail(cli, status, cli->env.message);
    if (code == CLI_OK && !cli->args->json && (*p.a_name || *p.b_name))
        printf("A: %s, B: %s\n", *p.a_name ? p.a_name : a->path, *p.b_name ? p.b_name : b->path);
    for (int metric = -1; metric < N_METRICS && code == CLI_OK; metric++)
        code = report_metric(cli, &p, metric);
    if (code == CLI_OK) code = report_kl(cli, &p);
    if (code == CLI_OK && p.n_a + p.n_b > 2 * p.n && !cli->args->quiet)
        cli_note(
            cli,
            "left out: %d rows of A and %d of B, because the other file does not have their ids",
            p.n_a - p.n, p.n_b - p.n);
    heap_free(p.work);
    return code;
}

/* ---- what is held against what ---- */

/* One file: the base is what the first word names, else full, else what comes first. */
static vlqa_status pick_of_one(struct env *env, const char *variants, struct variants_pick *a,
                               struct variants_pick *b)
{
    char word[128];
    for (int i = 0; !variants && i < a->of->n && !a->n; i++)
        if (variant_is(&a->of->variant[i], "full")) TRY(variants_add(env, a, "full"));
    if (!variants) TRY(variants_add(env, b, NULL));
    while (variants && args_next_word(&variants, word)) {
        if (!a->n) TRY(variants_add(env, a, word));
        TRY(variants_add(env, b, word));
    }
    if (!a->n || a->n == b->n) /* the first of them */
        for (int i = 0, first = b->n ? variants_first(b) : 0; i < a->of->n; i++)
            a->has[i] = i == first;
    a->n = 0;
    for (int i = 0; i < a->of->n; i++) {
        a->n += a->has[i];
        b->n -= a->has[i] && b->has[i];
        b->has[i] &= !a->has[i];
    }
    return b->n ? VLQA_OK : variants_fail(env, a, "nothing to compare");
}

static vlqa_status pick_of_two(struct env *env, const char *variants, struct variants_pick *a,
                               struct variants_pick *b, int *by_name)
{
    char word[2][128];
    int n = 0;
    while (variants && n < 2 && args_next_word(&variants, word[n]))
        n++;
    if (variants && *variants)
        return env_fail(env, VLQA_EUSAGE,
                        "--variants: of two files one name for both, or one for each");
    *by_name = n < 2;
    TRY(variants_add(env, a, n ? word[0] : NULL));
    return variants_add(env, b, n ? word[n - 1] : NULL);
}

static vlqa_status nothing_in_common(struct env *env, const struct graded_run *x,
                                     const struct graded_run *y, const struct variants_pick *b)
{
    if (x->n && y->n)
        return variants_fail(env, b,
                             "no variant and chunking that A has; name one of each by --variants");
    return env_fail(env, VLQA_EUSAGE, "%.200s and %.200s have no id in common", x->path, y->path);
}

static int report_picks(struct cli *cli, const struct graded_run *x, const struct variants_pick *a,
                        const struct graded_run *y, const struct variants_pick *b, int by_name)
{
    int code = CLI_OK, done = 0;
    for (int i = 0; i < b->of->n && code == CLI_OK; i++) {
        vlqa_status status = VLQA_OK;
        int k = -1;
        if (!b->has[i]) continue;
        if (a->n == 1 && b->n == 1)
            k = variants_first(a);
        else
            status = variants_partner(&cli->env, a, &b->of->variant[i], by_name, &k);
        if (status != VLQA_OK) return cli_fail(cli, status, cli->env.message);
        if (k >= 0)
            code = report_pair(cli, x, k, y, i);
        else if (!cli->args->quiet)
            cli_note(cli, "left out: %s of B, because A does not have it", b->of->variant[i].name);
        done += k >= 0;
    }
    if (code != CLI_OK || done) return code;
    return cli_fail(cli, nothing_in_common(&cli->env, x, y, b), cli->env.message);
}

int compare_runs(struct cli *cli, const char *a, const char *b, const char *variants)
{
    struct graded_run *run = heap_alloc_zero(2 * sizeof *run), *y = run + (b != NULL);
    struct variants_pick x_pick = {.path = a}, y_pick = {.path = b ? b : a};
    int code = CLI_OK, by_name = 0;
    vlqa_status status;
    if (!run)
        return cli_fail(cli, env_no_memory(&cli->env, "runs", 2 * sizeof *run), cli->env.message);
    run[0].path = a;
    run[1].path = b;
    x_pick.of = &run->variants;
    y_pick.of = &y->variants;
    status = read_run(&cli->env, run);
    if (status == VLQA_OK && b) status = read_run(&cli->env, y);
    if (status == VLQA_OK)
        status = b ? pick_of_two(&cli->env, variants, &x_pick, &y_pick, &by_name)
                   : pick_of_one(&cli->env, variants, &x_pick, &y_pick);
    if (status != VLQA_OK)
        code = cli_fail(cli, status, cli->env.message);
    else
        code = report_picks(cli, run, &x_pick, y, &y_pick, by_name);
    heap_free(run[0].row);
    heap_free(run[1].row);
    heap_free(run);
    return code;
}
