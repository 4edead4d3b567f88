/* run_table.c - what a run found: scores, costs, and whether a variant differs from full prefill.
 */
#include "base/heap.h"
#include "eval/run/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct pairs { /* of a metric: the scores of a variant and of full prefill */
    double *a, *b;
    uint64_t *group;
    struct stats_work *work;
    int n;
};

static void add_pair(const struct run *r, int question, double a, double b, struct pairs *p)
{
    p->a[p->n] = a;
    p->b[p->n] = b;
    p->group[p->n++] = r->group[question];
}

static struct stats_pair compare(const struct run *r, int full, int variant, int metric,
                                 struct pairs *p)
{
    p->n = 0;
    for (int i = 0; i < r->n_questions; i++)
        if (r->metric[i] == metric)
            add_pair(r, i, run_outcome(r, i, full)->score, run_outcome(r, i, variant)->score, p);
    return stats_compare(p->a, p->b, p->group, p->n, 0, p->work);
}

/* The variant without repair that has the chunking of another; -1: there is none. */
static int find_none(const struct run *r, int variant)
{
    for (int i = 0; i < r->n_variants; i++)
        if (strcmp(r->variant[i].name, "none") == 0 &&
            strcmp(r->variant[i].chunking, r->variant[variant].chunking) == 0)
            return i;
    return -1;
}

/* 1 - KL of a variant / KL without repair. NaN: not with --kl answer, or one of them has none. */
static struct stats_interval recovered(const struct run *r, int variant, int metric,
                                       struct pairs *p)
{
    int none = find_none(r, variant);
    p->n = 0;
    for (int i = 0; i < r->n_questions && none >= 0 && r->args->kl == RUN_KL_ANSWER; i++) {
        double kl = run_kl(r, i, variant), base = run_kl(r, i, none);
        if (r->metric[i] == metric && !isnan(kl) && !isnan(base)) add_pair(r, i, kl, base, p);
    }
    return stats_share(p->a, p->b, p->group, p->n, 0, p->work);
}

/* The groups that the questions of a metric are about. */
static int documents(const struct run *r, int metric, struct pairs *p)
{
    p->n = 0;
    for (int i = 0; i < r->n_questions; i++)
        if (r->metric[i] == metric) add_pair(r, i, 0, 0, p);
    return stats_groups(p->group, p->n, p->work);
}

static int failures(const struct run *r, int variant, int metric)
{
    int n = 0;
    for (int i = 0; i < r->n_questions; i++)
        n += r->metric[i] == metric && run_outcome(r, i, variant)->failed;
    return n;
}

/* Over the questions of a metric that were asked; of kl and ms over those that have them. */
static struct run_outcome mean(const struct run *r, int variant, int metric)
{
    struct run_outcome m = {0};
    double n = 0, n_kl = 0, n_ms = 0, n_chunks = 0;
    for (int i = 0; i < r->n_questions; i++) {
        const struct run_outcome *o = run_outcome(r, i, variant);
        if (r->metric[i] != metric || o->failed) continue;
        m.tokens += o->tokens;
        m.flops += o->flops;
        if (!isnan(run_kl(r, i, variant))) m.kl += run_kl(r, i, variant);
        if (!isnan(o->ms)) m.ms += o->ms;
        if (!isnan(o->ms_chunks)) m.ms_chunks += o->ms_chunks;
        n_chunks += !isnan(o->ms_chunks);
        n_kl += !isnan(run_kl(r, i, variant));
        n_ms += !isnan(o->ms);
        n++;
    }
    return (struct run_outcome){.tokens = m.tokens / n,
                                .flops = m.flops / n,
                                .kl = m.kl / n_kl,
                                .ms = m.ms / n_ms,
                                .ms_chunks = m.ms_chunks / n_chunks};
}

void run_tell_blind(const struct run *r, char out[RUN_BLIND])
{
    const char *rows = r->blind == 1 ? "row has" : "rows have";
    out[0] = 0;
    if (!r->blind) return;
    if (r->args->data.keep_blind)
        snprintf(out, RUN_BLIND, "%lld %s no image; asked without one", (long long)r->blind, rows);
    else
        snprintf(out, RUN_BLIND, "%lld %s no image; left out (--without-image ask asks them)",
                 (long long)r->blind, rows);
}

/* ---- JSON ---- */

static int print_json(struct run *r, int variant, int metric, int full, struct pairs *p)
{
    struct run_outcome m = mean(r, variant, metric);
    struct report out = report_begin();
    report_string(&out, "variant", r->variant[variant].name);
    if (r->variant[variant].chunking[0]) report_string(&out, "chunk", r->variant[variant].chunking);
    if (!isnan(r->variant[variant].ratio)) report_number(&out, "ratio", r->variant[variant].ratio);
    tally_report(r->variant[variant].tally[metric], &out);
    report_int(&out, "documents", documents(r, metric, p));
    report_int(&out, "failed", failures(r, variant, metric));
    report_string(&out, "prompt", r->prompt);
    report_string(&out, "prompt_by", r->args->prompt_by);
    if (r->blind) report_int(&out, "rows_without_image", r->blind);
    if (r->blind) report_string(&out, "without_image", run_blinds[r->args->data.keep_blind]);
    if (r->shrunk) report_int(&out, "images_made_smaller", r->shrunk);
    report_number(&out, "tokens_computed", m.tokens);
    report_number(&out, "flops", m.flops);
    report_real(&out, "ms", m.ms);
    report_real(&out, "ms_chunks", m.ms_chunks);
    if (full >= 0 && full != variant) {
        struct stats_pair s = compare(r, full, variant, metric, p);
        struct stats_interval gap = recovered(r, variant, metric, p);
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

static void print_recovered(const struct run *r, int variant, int metric, int full, struct pairs *p)
{
    struct stats_interval gap;
    if (full < 0 || full == variant) return;
    gap = recovered(r, variant, metric, p);
    if (!isnan(gap.value))
        printf("  recovers %.0f [%.0f, %.0f] %%", 100 * gap.value, 100 * gap.low, 100 * gap.high);
}

static void print_variant(const struct run *r, int variant, int metric, int full, struct pairs *p)
{
    int failed = failures(r, variant, metric);
    struct run_outcome m = mean(r, variant, metric);
    char label[RUN_LABEL];
    run_variant_label(&r->variant[variant], label);
    printf("%-24s %-9s %8.*f", label,
           r->variant[variant].is_full_prefill ? "-" : r->variant[variant].chunking, digits(metric),
           tally_score(r->variant[variant].tally[metric]));
    print_mean(m.tokens, 8);
    print_mean(m.ms, 9);
    if (full >= 0 && full != variant) {
        struct stats_pair s = compare(r, full, variant, metric, p);
        if (isnan(m.kl))
            printf(" %8s", "-");
        else
            printf(" %8.3g", m.kl);
        printf("  %+.2f [%+.2f, %+.2f]%s", 100 * s.difference.value, 100 * s.difference.low,
               100 * s.difference.high, s.is_noise ? " noise" : "");
    }
    print_recovered(r, variant, metric, full, p);
    if (failed) printf("  %d failed", failed);
    printf("\n");
}

static int is_first_of(const struct run *r, int variant, int by_chunking)
{
    char label[RUN_LABEL], other[RUN_LABEL];
    run_variant_label(&r->variant[variant], label);
    for (int i = 0; i < variant; i++) {
        run_variant_label(&r->variant[i], other);
        if (r->variant[i].is_full_prefill) continue;
        if (strcmp(by_chunking ? r->variant[i].chunking : other,
                   by_chunking ? r->variant[variant].chunking : label) == 0)
            return 0;
    }
    return !r->variant[variant].is_full_prefill;
}

static const struct tally *find(const struct run *r, const char *label, const char *chunking,
                                int metric)
{
    char other[RUN_LABEL];
    for (int i = 0; i < r->n_variants; i++) {
        run_variant_label(&r->variant[i], other);
        if (strcmp(other, label) == 0 && strcmp(r->variant[i].chunking, chunking) == 0)
            return r->variant[i].tally[metric];
    }
    return NULL;
}

/* Variants x chunkings, as the papers print it. */
static void print_grid(const struct run *r, int metric, int full)
{
    printf("\n%-24s %9s", "variant", full >= 0 ? r->variant[full].name : "");
    for (int c = 0; c < r->n_variants; c++)
        if (is_first_of(r, c, 1)) printf(" %9s", r->variant[c].chunking);
    printf("\n");
    for (int m = 0; m < r->n_variants; m++) {
        char label[RUN_LABEL];
        if (!is_first_of(r, m, 0)) continue;
        run_variant_label(&r->variant[m], label);
        printf("%-24s ", label);
        if (full >= 0)
            printf("%9.*f", digits(metric), tally_score(r->variant[full].tally[metric]));
        else
            printf("%9s", "");
        for (int c = 0; c < r->n_variants; c++) {
            const struct tally *t = find(r, label, r->variant[c].chunking, metric);
            if (!is_first_of(r, c, 1)) continue;
            printf(" %9.*f", digits(metric), t ? tally_score(t) : (double)NAN);
        }
        printf("\n");
    }
}

/* Who computes the chunks of a chunking does it for all variants, so that this is no variant's
 * time: that of the one that took longest. */
static void print_chunk_times(const struct run *r, int metric)
{
    for (int c = 0; c < r->n_variants; c++) {
        double most = 0;
        if (!is_first_of(r, c, 1)) continue;
        for (int i = c; i < r->n_variants; i++)
            if (strcmp(r->variant[i].chunking, r->variant[c].chunking) == 0)
                most = fmax(most, mean(r, i, metric).ms_chunks);
        if (most > 0)
            printf("%-24s %-9s %8s %8s %9.1f  computed once for all variants, not counted above\n",
                   "(chunks)", r->variant[c].chunking, "-", "-", most);
    }
}

static int print_metric(struct run *r, int metric, int full, struct pairs *p)
{
    int code = CLI_OK, grid = 0, n, about;
    char text[STATS_QUESTIONS];
    if (r->cli->args->json) {
        for (int i = 0; i < r->n_variants && code == CLI_OK; i++)
            code = print_json(r, i, metric, full, p);
        return code;
    }
    n = (int)r->variant[0].tally[metric]->n;
    about = documents(r, metric, p);
    printf("%s, %s\n", metric_names[metric], stats_questions(n, about, text));
    printf("%-24s %-9s %8s %8s %9s", "variant", "chunk", "score", "tokens", "ms");
    if (full >= 0 && r->n_variants > 1)
        printf(" %8s  points to %s [95 %%]", "KL", r->variant[full].name);
    printf("\n");
    for (int i = 0; i < r->n_variants; i++) {
        print_variant(r, i, metric, full, p);
        grid += is_first_of(r, i, 0);
    }
    print_chunk_times(r, metric);
    if (grid > 1) print_grid(r, metric, full);
    printf("\n");
    return CLI_OK;
}

/* What decides about all of these numbers. */
static void print_conditions(const struct run *r)
{
    char blind[RUN_BLIND];
    run_tell_blind(r, blind);
    printf("prompt: %s (by %s)\n", r->prompt, r->args->prompt_by);
    if (*blind) printf("%s\n", blind);
    if (r->shrunk)
        printf(
            "%lld of %lld images were made less than half as large; --image-max-tokens %lld would "
            "keep all as they are\n",
            (long long)r->shrunk, (long long)r->images, (long long)r->whole_tokens);
}

int run_print(struct run *r)
{
    size_t n = (size_t)r->n_questions, work = stats_work_bytes(r->n_questions);
    size_t bytes = work + n * (2 * sizeof(double) + sizeof(uint64_t));
    struct pairs p = {.work = heap_alloc(bytes)};
    int code = CLI_OK, full = run_full_prefill(r);
    if (!p.work)
        return cli_fail(r->cli, env_no_memory(&r->cli->env, "pairs", bytes), r->cli->env.message);
    p.a = (double *)(void *)((char *)p.work + work);
    p.b = p.a + n;
    p.group = (uint64_t *)(void *)(p.b + n);
    for (int metric = 0; metric < N_METRICS && code == CLI_OK; metric++)
        if (r->variant[0].tally[metric]) code = print_metric(r, metric, full, &p);
    if (!r->cli->args->json) print_conditions(r);
    heap_free(p.work);
    return code == CLI_OK ? cli_flush() : code;
}
