/* study_table.c - the outcomes of a study as tables with intervals. */
#include "eval/study/study.h"

#include "base/heap.h"

#include <math.h>
#include <string.h>

/* The questions of one table, and room for their numbers. */
struct view {
    const struct study *s;
    int chunking, right; /* 1: full prefill answers right; 0: the others; -1: all */
    int n;
    double *x, *y;   /* [n_questions] */
    uint64_t *group; /* [n_questions] of those that are in x */
    struct stats_work *work;
};

enum { CELL = 32 };
typedef void (*cell_fn)(const struct view *v, int variant, int ratio, char out[CELL]);

enum { FULL = 0 }; /* the run_at of full prefill */

static int is_right(const struct study *s, int question, int run_at)
{
    return run_outcome(s->run, question, run_at)->score >= 0.5;
}

static int in_view(const struct view *v, int question)
{
    return v->right < 0 || is_right(v->s, question, FULL) == v->right;
}

static void gather_kl(const struct view *v, int variant, int ratio, double *out)
{
    int n = 0;
    for (int q = 0; q < v->s->run->n_questions; q++)
        if (in_view(v, q)) {
            v->group[n] = v->s->run->group[q];
            out[n++] = study_kl(v->s, q, v->chunking, variant, ratio);
        }
}

/* ---- cells ---- */

static void share_cell(const struct view *v, int variant, int ratio, char out[CELL])
{
    struct stats_interval share;
    gather_kl(v, variant, ratio, v->x);
    gather_kl(v, 0, 0, v->y);
    share = stats_share(v->x, v->y, v->group, v->n, v->s->args.seed, v->work);
    if (isfinite(share.value))
        snprintf(out, CELL, "%.0f [%.0f, %.0f]", share.value * 100, share.low * 100,
                 share.high * 100);
    else
        snprintf(out, CELL, "-");
}

static void difference_cell(const struct view *v, int variant, int ratio, char out[CELL])
{
    struct stats_interval d;
    gather_kl(v, variant, ratio, v->x);
    gather_kl(v, v->s->against, ratio, v->y);
    for (int i = 0; i < v->n; i++)
        v->x[i] -= v->y[i];
    d = stats_ratio(v->x, NULL, v->group, v->n, v->s->args.seed, v->work);
    snprintf(out, CELL, "%+.3f [%+.3f, %+.3f]", d.value, d.low, d.high);
}

static void right_cell(const struct view *v, int variant, int ratio, char out[CELL])
{
    const struct run *run = v->s->run;
    int right = 0, same = 0, run_at = study_run_at(v->s, v->chunking, variant, ratio);
    for (int q = 0; q < run->n_questions; q++)
        if (in_view(v, q)) {
            right += is_right(v->s, q, run_at);
            same +=
                run_outcome(run, q, run_at)->prediction == run_outcome(run, q, FULL)->prediction;
        }
    snprintf(out, CELL, "%.1f / %.1f", 100.0 * right / v->n, 100.0 * same / v->n);
}

static void work_cell(const struct view *v, int variant, int ratio, char out[CELL])
{
    const struct run *run = v->s->run;
    double tokens = 0, flops = 0, full = 0;
    for (int q = 0; q < run->n_questions; q++)
        if (in_view(v, q)) {
            const struct run_outcome *o =
                run_outcome(run, q, study_run_at(v->s, v->chunking, variant, ratio));
            tokens += o->tokens;
            flops += o->flops;
            full += run_outcome(run, q, FULL)->flops;
        }
    snprintf(out, CELL, "%.1f (%.0f %%)", tokens / v->n, 100 * flops / full);
}

/* ---- tables ---- */

static int name_width(const struct study *s)
{
    size_t width = 8;
    for (int m = 0; m < s->n_variants; m++)
        if (strlen(s->variant[m].name) > width) width = strlen(s->variant[m].name);
    return (int)width;
}

static void print_table(const struct view *v, const char *title, int column, cell_fn cell)
{
    const struct study *s = v->s;
    int width = name_width(s);
    char text[CELL];
    printf("\n%s\n%-*s", title, width, "ratio");
    for (int r = 0; r < s->n_ratios; r++)
        printf(" %*g", column, s->ratio[r]);
    for (int m = 0; m < s->n_variants; m++) {
        printf("\n%-*s", width, s->variant[m].name);
        for (int r = 0; r < s->n_ratios; r++) {
            cell(v, m, r, text);
            printf(" %*s", column, text);
        }
    }
    putchar('\n');
}

static void print_group(struct view *v, int right)
{
    static const char *const names[] = {"full prefill answers wrong or no answer is known",
                                        "full prefill answers right"};
    const struct study *s = v->s;
    char title[256], text[STATS_QUESTIONS];
    v->right = right;
    v->n = 0;
    for (int q = 0; q < s->run->n_questions; q++)
        v->n += in_view(v, q);
    if (!v->n) return;
    gather_kl(v, 0, 0, v->x);
    snprintf(title, sizeof title, "%s: %s: %s: %% of the KL gap recovered (none: mean KL %.3f)",
             s->chunking[v->chunking].name,
             stats_questions(v->n, stats_groups(v->group, v->n, v->work), text), names[right],
             stats_ratio(v->x, NULL, v->group, v->n, s->args.seed, v->work).value);
    print_table(v, title, 14, share_cell);
    if (s->against < 0) return;
    snprintf(title, sizeof title, "%s: the same questions: mean KL minus that of %s",
             s->chunking[v->chunking].name, s->variant[s->against].name);
    print_table(v, title, 24, difference_cell);
}

static void print_chunking(struct view *v)
{
    const struct study *s = v->s;
    char title[256];
    int right = 0;
    for (int q = 0; q < s->run->n_questions; q++)
        right += is_right(s, q, FULL);
    print_group(v, 1);
    print_group(v, 0);
    v->right = -1;
    v->n = s->run->n_questions;
    snprintf(title, sizeof title,
             "%s: all %d questions: %% of answers right / equal to full prefill (full prefill: "
             "%.1f / 100)",
             s->chunking[v->chunking].name, v->n, 100.0 * right / v->n);
    print_table(v, title, 14, right_cell);
    snprintf(title, sizeof title,
             "%s: mean tokens computed (FLOPs, %% of full prefill); chunks that were hit are not "
             "counted",
             s->chunking[v->chunking].name);
    print_table(v, title, 14, work_cell);
}

static void print_head(const struct view *v)
{
    const struct study *s = v->s;
    const struct run *run = s->run;
    const struct vlqa_model_info *i = &run->info;
    int documents = stats_groups(run->group, run->n_questions, v->work);
    printf("model      %s, %.16s..., %d layers\n", i->name, i->digest, i->layers);
    printf("processor  %s, %s, weights %s\n", i->cpu, i->dtype, i->weights);
    printf("questions  %d about %d documents\n", run->n_questions, documents);
    printf("KL         full prefill to variant, mean over the answer of full prefill, at most %d "
           "tokens\n",
           run->args->max_tokens);
    printf("intervals  95 %%, paired bootstrap over documents, %d resamples, seed %llu\n",
           STATS_RESAMPLES, (unsigned long long)s->args.seed);
}

vlqa_status study_print(struct study *s)
{
    size_t n = (size_t)s->run->n_questions, work = stats_work_bytes(s->run->n_questions);
    size_t bytes = work + n * (2 * sizeof(double) + sizeof(uint64_t));
    struct view v = {.s = s, .work = heap_alloc(bytes)};
    if (!v.work) return env_no_memory(&s->cli.env, "tables", bytes);
    v.x = (double *)(void *)((char *)v.work + work);
    v.y = v.x + n;
    v.group = (uint64_t *)(void *)(v.y + n);
    print_head(&v);
    for (v.chunking = 0; v.chunking < s->n_chunkings; v.chunking++)
        print_chunking(&v);
    heap_free(v.work);
    return VLQA_OK;
}
