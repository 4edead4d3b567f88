/* run_table.c - what a run found: scores, costs, and whether a method differs from full prefill. */
#include "base/heap.h"
#include "eval/run/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct pairs { /* of a metric: the scores of an arm and of the dense one */
    double *a, *b, *work;
    int n;
};

static struct stats_pair compare(const struct run *r, int dense, int arm, int metric,
                                 struct pairs *p)
{
    p->n = 0;
    for (int i = 0; i < r->n_questions; i++)
        if (r->metric[i] == metric) {
            p->a[p->n] = run_outcome(r, i, dense)->score;
            p->b[p->n++] = run_outcome(r, i, arm)->score;
        }
    return stats_compare(p->a, p->b, p->n, 0, p->work);
}

/* The arm without repair that has the cutting of another; -1: there is none. */
static int find_none(const struct run *r, int arm)
{
    for (int i = 0; i < r->n_arms; i++)
        if (strcmp(r->arm[i].name, "none") == 0 && strcmp(r->arm[i].cut, r->arm[arm].cut) == 0)
            return i;
    return -1;
}

/* 1 - KL of an arm / KL without repair. NaN: not with --kl answer, or one of them has none. */
static struct stats_interval recovered(const struct run *r, int arm, int metric, struct pairs *p)
{
    int none = find_none(r, arm);
    p->n = 0;
    for (int i = 0; i < r->n_questions && none >= 0 && r->args->kl == RUN_KL_ANSWER; i++) {
        double kl = run_kl(r, i, arm), base = run_kl(r, i, none);
        if (r->metric[i] != metric || isnan(kl) || isnan(base)) continue;
        p->a[p->n] = kl;
        p->b[p->n++] = base;
    }
    return stats_share(p->a, p->b, p->n, 0, p->work);
}

static int failures(const struct run *r, int arm, int metric)
{
    int n = 0;
    for (int i = 0; i < r->n_questions; i++)
        n += r->metric[i] == metric && run_outcome(r, i, arm)->failed;
    return n;
}

/* Over the questions of a metric that were asked; of kl and ms over those that have them. */
static struct run_outcome mean(const struct run *r, int arm, int metric)
{
    struct run_outcome m = {0};
    double n = 0, n_kl = 0, n_ms = 0;
    for (int i = 0; i < r->n_questions; i++) {
        const struct run_outcome *o = run_outcome(r, i, arm);
        if (r->metric[i] != metric || o->failed) continue;
        m.rows += o->rows;
        m.flops += o->flops;
        if (!isnan(run_kl(r, i, arm))) m.kl += run_kl(r, i, arm);
        if (!isnan(o->ms)) m.ms += o->ms;
        n_kl += !isnan(run_kl(r, i, arm));
        n_ms += !isnan(o->ms);
        n++;
    }
    return (struct run_outcome){
        .rows = m.rows / n, .flops = m.flops / n, .kl = m.kl / n_kl, .ms = m.ms / n_ms};
}

/* ---- JSON ---- */

static int print_json(struct run *r, int arm, int metric, int dense, struct pairs *p)
{
    struct run_outcome m = mean(r, arm, metric);
    struct report out = report_begin();
    report_string(&out, "method", r->arm[arm].name);
    if (r->arm[arm].cut[0]) report_string(&out, "chunk", r->arm[arm].cut);
    if (!isnan(r->arm[arm].ratio)) report_number(&out, "ratio", r->arm[arm].ratio);
    tally_report(r->arm[arm].tally[metric], &out);
    report_int(&out, "failed", failures(r, arm, metric));
    report_number(&out, "rows_computed", m.rows);
    report_number(&out, "flops", m.flops);
    report_real(&out, "ms", m.ms);
    if (dense >= 0 && dense != arm) {
        struct stats_pair s = compare(r, dense, arm, metric, p);
        struct stats_interval gap = recovered(r, arm, metric, p);
        report_number(&out, r->args->kl == RUN_KL_ANSWER ? "kl_answer" : "kl", m.kl);
        if (!isnan(gap.value)) {
            report_number(&out, "kl_gap_recovered", gap.value);
            report_number(&out, "kl_gap_low", gap.low);
            report_number(&out, "kl_gap_high", gap.high);
        }
        report_number(&out, "difference", s.difference.value);
        report_number(&out, "low", s.difference.low);
        report_number(&out, "high", s.difference.high);
        report_number(&out, "mcnemar_p", s.p);
        report_int(&out, "noise", s.is_noise);
    }
    return cli_write_report(r->cli, &out);
}

/* ---- text ---- */

static int digits(int metric)
{
    return metric == METRIC_OCRBENCH ? 0 : metric == METRIC_MCQ ? 4 : 2;
}

static void print_mean(double value, int width)
{
    if (isnan(value)) /* of nothing */
        printf(" %*s", width, "-");
    else
        printf(" %*.1f", width, value);
}

static void print_recovered(const struct run *r, int arm, int metric, int dense, struct pairs *p)
{
    struct stats_interval gap;
    if (dense < 0 || dense == arm) return;
    gap = recovered(r, arm, metric, p);
    if (!isnan(gap.value))
        printf("  recovers %.0f [%.0f, %.0f] %%", 100 * gap.value, 100 * gap.low, 100 * gap.high);
}

static void print_arm(const struct run *r, int arm, int metric, int dense, struct pairs *p)
{
    int failed = failures(r, arm, metric);
    struct run_outcome m = mean(r, arm, metric);
    char label[RUN_LABEL];
    run_arm_label(&r->arm[arm], label);
    printf("%-24s %-9s %8.*f", label, r->arm[arm].is_dense ? "-" : r->arm[arm].cut, digits(metric),
           tally_score(r->arm[arm].tally[metric]));
    print_mean(m.rows, 8);
    print_mean(m.ms, 9);
    if (dense >= 0 && dense != arm) {
        struct stats_pair s = compare(r, dense, arm, metric, p);
        if (isnan(m.kl))
            printf(" %8s", "-");
        else
            printf(" %8.3g", m.kl);
        printf("  %+.2f [%+.2f, %+.2f]%s", 100 * s.difference.value, 100 * s.difference.low,
               100 * s.difference.high, s.is_noise ? " noise" : "");
    }
    print_recovered(r, arm, metric, dense, p);
    if (failed) printf("  %d failed", failed);
    printf("\n");
}

static int is_first_of(const struct run *r, int arm, int by_cut)
{
    char label[RUN_LABEL], other[RUN_LABEL];
    run_arm_label(&r->arm[arm], label);
    for (int i = 0; i < arm; i++) {
        run_arm_label(&r->arm[i], other);
        if (r->arm[i].is_dense) continue;
        if (strcmp(by_cut ? r->arm[i].cut : other, by_cut ? r->arm[arm].cut : label) == 0) return 0;
    }
    return !r->arm[arm].is_dense;
}

static const struct tally *find(const struct run *r, const char *label, const char *cut, int metric)
{
    char other[RUN_LABEL];
    for (int i = 0; i < r->n_arms; i++) {
        run_arm_label(&r->arm[i], other);
        if (strcmp(other, label) == 0 && strcmp(r->arm[i].cut, cut) == 0)
            return r->arm[i].tally[metric];
    }
    return NULL;
}

/* Methods x cuttings, as the papers print it. */
static void print_grid(const struct run *r, int metric, int dense)
{
    printf("\n%-24s %9s", "method", dense >= 0 ? r->arm[dense].name : "");
    for (int c = 0; c < r->n_arms; c++)
        if (is_first_of(r, c, 1)) printf(" %9s", r->arm[c].cut);
    printf("\n");
    for (int m = 0; m < r->n_arms; m++) {
        char label[RUN_LABEL];
        if (!is_first_of(r, m, 0)) continue;
        run_arm_label(&r->arm[m], label);
        printf("%-24s ", label);
        if (dense >= 0)
            printf("%9.*f", digits(metric), tally_score(r->arm[dense].tally[metric]));
        else
            printf("%9s", "");
        for (int c = 0; c < r->n_arms; c++) {
            const struct tally *t = find(r, label, r->arm[c].cut, metric);
            if (!is_first_of(r, c, 1)) continue;
            printf(" %9.*f", digits(metric), t ? tally_score(t) : (double)NAN);
        }
        printf("\n");
    }
}

static int print_metric(struct run *r, int metric, int dense, struct pairs *p)
{
    int code = CLI_OK, grid = 0;
    if (r->cli->args->json) {
        for (int i = 0; i < r->n_arms && code == CLI_OK; i++)
            code = print_json(r, i, metric, dense, p);
        return code;
    }
    printf("%s, %d questions\n", metric_names[metric], (int)r->arm[0].tally[metric]->n);
    printf("%-24s %-9s %8s %8s %9s", "method", "chunk", "score", "rows", "ms");
    if (dense >= 0 && r->n_arms > 1) printf(" %8s  points to %s [95 %%]", "KL", r->arm[dense].name);
    printf("\n");
    for (int i = 0; i < r->n_arms; i++) {
        print_arm(r, i, metric, dense, p);
        grid += is_first_of(r, i, 0);
    }
    if (grid > 1) print_grid(r, metric, dense);
    printf("\n");
    return CLI_OK;
}

int run_print(struct run *r)
{
    size_t doubles = 3 * (size_t)r->n_questions + STATS_RESAMPLES;
    struct pairs p = {.a = heap_alloc(doubles * sizeof(double))};
    int code = CLI_OK, dense = run_dense(r);
    if (!p.a)
        return cli_fail(r->cli, env_no_memory(&r->cli->env, "pairs", doubles * sizeof(double)),
                        r->cli->env.message);
    p.b = p.a + r->n_questions;
    p.work = p.b + r->n_questions;
    for (int metric = 0; metric < N_METRICS && code == CLI_OK; metric++)
        if (r->arm[0].tally[metric]) code = print_metric(r, metric, dense, &p);
    heap_free(p.a);
    return code == CLI_OK ? cli_flush() : code;
}
