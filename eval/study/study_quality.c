/* study_quality.c - margins for --quality, from one answer about each document. */
#include "base/heap.h"
#include "eval/options/quality.h"
#include "eval/study/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The variant that --quality is a promise of: auto's, whose settings these are. */
#define AUTO "infoflow/last/max/halo:auto"

vlqa_status study_quality_lists(struct study *s)
{
    struct run_args *run = &s->args.run;
    const struct cli *cli = &s->cli;
    if (!args_is_given(cli->verb, cli->argc, cli->argv, "variants")) run->variants = AUTO;
    if (!args_is_given(cli->verb, cli->argc, cli->argv, "ratios")) run->ratios = "0,0.15";
    if (!args_is_given(cli->verb, cli->argc, cli->argv, "chunk"))
        run->chunks = "grid:2,grid:4,image";
    return VLQA_OK;
}

/* One variant, which may differ from auto in its halo. */
vlqa_status study_quality_check(struct study *s)
{
    struct variant like;
    struct reuse_args args = s->variant[0].args;
    TRY(variant_parse(&s->cli.env, "--variants", AUTO, &like));
    args.halo = like.args.halo;
    if (s->args.run.document.stand_in)
        return env_fail(&s->cli.env, VLQA_EUSAGE,
                        "--calibrate-quality and --stand-in exclude each other: --quality is for "
                        "chunks that have seen nothing before them");
    if (s->n_variants == 1 && memcmp(&args, &like.args, sizeof args) == 0 &&
        s->n_ratios <= QUALITY_FAMILIES)
        return VLQA_OK;
    return env_fail(&s->cli.env, VLQA_EUSAGE,
                    "--calibrate-quality: --variants is %.100s, expected infoflow/last/max/halo:N, "
                    "which is what --reuse auto does, with at most %d ratios",
                    s->args.run.variants, QUALITY_FAMILIES);
}

/* ---- one answer about each document ---- */

struct entry {
    uint64_t group;
    int question;
};

static int by_group(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return (x->question > y->question) - (x->question < y->question);
}

static int by_question(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->question > y->question) - (x->question < y->question);
}

/* The first question about each document, in their order. Returns how many. */
static int first_questions(const struct run *run, struct entry *entry)
{
    int n = 0;
    for (int q = 0; q < run->n_questions; q++)
        entry[q] = (struct entry){run->group[q], q};
    qsort(entry, (size_t)run->n_questions, sizeof *entry, by_group);
    for (int i = 0; i < run->n_questions; i++)
        if (!n || entry[n - 1].group != entry[i].group) entry[n++] = entry[i];
    qsort(entry, (size_t)n, sizeof *entry, by_question);
    return n;
}

static const struct run_outcome *outcome(const struct study *s, int question, int chunking,
                                         int ratio)
{
    return run_outcome(s->run, question, study_run_at(s, chunking, 0, ratio));
}

/* Chunkings take turns, those aside that leave nothing stale: their answers are exact. -1: all. */
static int chunking_of(const struct study *s, int question, int turn)
{
    int usable[RUN_CHUNKINGS], n = 0;
    for (int c = 0; c < s->n_chunkings; c++) {
        const struct run_outcome *o = outcome(s, question, c, 0);
        if (o->stale > 0 && !isnan(o->lead)) usable[n++] = c;
    }
    return n ? usable[turn % n] : -1;
}

/* Making the answer exact takes the share of full prefill that its tokens have: the stale ones, and
 * those of no chunk, which the answer over chunks computed beside the chosen ones. */
static struct quality_unit unit_of(const struct study *s, int question, int chunking, int ratio)
{
    const struct run_outcome *o = outcome(s, question, chunking, ratio);
    const struct run_outcome *full = run_outcome(s->run, question, 0);
    double tokens = o->stale + o->tokens - o->selected;
    return (struct quality_unit){.lead = o->lead,
                                 .apart = o->apart,
                                 .flops = o->flops,
                                 .flops_exact = full->flops * tokens / o->total,
                                 .flops_full = full->flops};
}

static void fill_family(const struct study *s, const struct entry *entry, int documents, int ratio,
                        struct quality_unit *unit, struct quality_family *out)
{
    int n = 0;
    for (int i = 0; i < documents; i++) {
        int chunking = chunking_of(s, entry[i].question, i);
        if (chunking >= 0) unit[n++] = unit_of(s, entry[i].question, chunking, ratio);
    }
    out->ratio = s->ratio[ratio];
    out->answers = n;
    if (n) quality_points(unit, n, out);
}

/* ---- what is kept and told ---- */

static void print_promises(const struct quality_file *file)
{
    static const double asked[] = {0.8, 0.9, 0.95, 0.98, 0.99, 0.995};
    printf("\n%-8s %7s %9s %9s %9s %9s\n", "quality", "ratio", "margin", "differ", "promised",
           "work");
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct quality_choice c;
        if (quality_choose(&file->table, asked[i], &c))
            printf("%-8g %7g %9.4g %4d/%-4d %9.4f %8.0f%%\n", asked[i], c.ratio, c.margin,
                   c.failures, c.answers, c.lower, 100 * c.work);
        else
            printf("%-8g full prefill: no margin keeps it for less\n", asked[i]);
    }
}

static vlqa_status keep(struct study *s, struct quality_file *file)
{
    char path[CACHE_PATH];
    if (!file->table.family[0].answers)
        return env_fail(&s->cli.env, VLQA_EUSAGE,
                        "--calibrate-quality: all answers are exact: nothing to calibrate");
    TRY(quality_write(&s->cli.env, &s->args.run.cache, &s->run->info, file, path));
    print_promises(file);
    printf("calibrated quality of %d answers, one a document; stored in %s\n",
           file->table.family[0].answers, path);
    return VLQA_OK;
}

vlqa_status study_keep_quality(struct study *s)
{
    size_t n = (size_t)s->run->n_questions;
    size_t bytes =
        sizeof(struct quality_file) + n * (sizeof(struct quality_unit) + sizeof(struct entry));
    struct quality_file *file = heap_alloc_zero(bytes);
    struct quality_unit *unit;
    struct entry *entry;
    vlqa_status status;
    if (!file) return env_no_memory(&s->cli.env, "calibration", bytes);
    unit = (struct quality_unit *)(void *)(file + 1);
    entry = (struct entry *)(void *)(unit + n);
    file->halo = s->variant[0].args.halo;
    file->max_tokens = s->args.run.max_tokens;
    file->questions = s->run->n_questions;
    file->documents = first_questions(s->run, entry);
    file->table.n = s->n_ratios;
    for (int r = 0; r < s->n_ratios; r++)
        fill_family(s, entry, file->documents, r, unit, &file->table.family[r]);
    status = keep(s, file);
    heap_free(file);
    return status;
}
