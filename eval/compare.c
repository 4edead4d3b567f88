/* compare.c - pairs of scores by id. */
#include "eval/compare.h"

#include "base/hash.h"
#include "base/heap.h"
#include "eval/row.h"
#include "eval/run_file.h"
#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct graded {
    uint64_t id; /* hash */
    double score;
    int metric; /* -1: the row names none */
    int line;
};

struct graded_run {
    const char *path;
    struct graded *row; /* by id */
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
    out->score = json_number(score);
    if (!(out->score >= 0 && out->score <= 1))
        return env_fail(env, VLQA_EUSAGE,
                        "%s: score is %s, expected a number from 0 to 1, as --score writes it",
                        name, isnan(out->score) ? json_kind_name(score) : "beyond its range");
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
    row_free(&row);
    return status == VLQA_OK && !is_header ? add_row(env, run, graded) : status;
}

static int by_id(const void *a, const void *b)
{
    const struct graded *x = a, *y = b;
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
    if (run->n > 1) qsort(run->row, (size_t)run->n, sizeof *run->row, by_id);
    for (int i = 1; i < run->n; i++)
        if (run->row[i].id == run->row[i - 1].id)
            return env_fail(env, VLQA_EUSAGE, "%.200s, line %d: its id was on line %d", run->path,
                            run->row[i].line, run->row[i - 1].line);
    return VLQA_OK;
}

/* ---- pairs ---- */

struct pairs {
    double *a, *b;
    int *metric;
    int n;
    double *a_of, *b_of, *work; /* those of one metric; room for stats_compare */
    void *memory;
};

static vlqa_status allocate(struct env *env, struct pairs *p, int n)
{
    size_t doubles = 5 * (size_t)n + STATS_RESAMPLES;
    size_t bytes = doubles * sizeof(double) + (size_t)n * sizeof(int);
    p->memory = heap_alloc(bytes);
    if (!p->memory) return env_no_memory(env, "pairs", bytes);
    p->a = p->memory;
    p->b = p->a + n;
    p->a_of = p->b + n;
    p->b_of = p->a_of + n;
    p->work = p->b_of + n;
    p->metric = (int *)(void *)(p->work + n + STATS_RESAMPLES);
    return VLQA_OK;
}

/* Rows whose metrics differ have scores that cannot be compared. */
static vlqa_status match(struct env *env, const struct graded_run *a, const struct graded_run *b,
                         struct pairs *p)
{
    TRY(allocate(env, p, a->n < b->n ? a->n : b->n));
    for (int i = 0, k = 0; i < a->n && k < b->n;) {
        const struct graded *x = &a->row[i], *y = &b->row[k];
        i += x->id <= y->id;
        k += y->id <= x->id;
        if (x->id != y->id) continue;
        if (x->metric != y->metric)
            return env_fail(env, VLQA_EUSAGE,
                            "%.150s, line %d and %.150s, line %d have one id and two metrics",
                            a->path, x->line, b->path, y->line);
        p->a[p->n] = x->score;
        p->b[p->n] = y->score;
        p->metric[p->n++] = x->metric;
    }
    if (p->n) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE, "%.200s and %.200s have no id in common", a->path, b->path);
}

/* ---- reports ---- */

static void print_text(const char *metric, const struct stats_pair *s)
{
    printf("%-9s %d questions: A %.2f, B %.2f, B - A %+.2f [%+.2f, %+.2f]; right in A alone %d, in "
           "B alone %d, p %.2g: %s\n",
           metric, s->n, 100 * s->a, 100 * s->b, 100 * s->difference.value, 100 * s->difference.low,
           100 * s->difference.high, s->only_a, s->only_b, s->p,
           s->is_noise               ? "the difference is noise"
           : s->difference.value > 0 ? "B is better"
                                     : "A is better");
}

static int print_json(struct cli *cli, const char *metric, const struct stats_pair *s)
{
    struct report r = report_begin();
    report_string(&r, "metric", metric);
    report_int(&r, "questions", s->n);
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
            p->b_of[n++] = p->b[i];
        }
    if (!n) return CLI_OK;
    s = stats_compare(p->a_of, p->b_of, n, 0, p->work);
    if (cli->args->json) return print_json(cli, name, &s);
    print_text(name, &s);
    return cli_flush();
}

int compare_runs(struct cli *cli, const char *a, const char *b)
{
    struct graded_run x = {.path = a}, y = {.path = b};
    struct pairs p = {.n = 0};
    vlqa_status status = read_run(&cli->env, &x);
    int code = CLI_OK;
    if (status == VLQA_OK) status = read_run(&cli->env, &y);
    if (status == VLQA_OK) status = match(&cli->env, &x, &y, &p);
    if (status != VLQA_OK) code = cli_fail(cli, status, cli->env.message);
    for (int metric = -1; metric < N_METRICS && code == CLI_OK; metric++)
        code = report_metric(cli, &p, metric);
    if (code == CLI_OK && x.n + y.n > 2 * p.n && !cli->args->quiet)
        cli_note(cli, "left out: %d rows of A and %d of B, whose ids the other has not", x.n - p.n,
                 y.n - p.n);
    heap_free(p.memory);
    heap_free(x.row);
    heap_free(y.row);
    return code;
}
