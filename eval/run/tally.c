/* tally.c - sums for each group, and what each metric makes of them. */
#include "eval/run/tally.h"

#include <string.h>

static const char *group_name(enum metric metric, const struct row *row)
{
    const char *name = metric == METRIC_OCRBENCH || metric == METRIC_MCQ ? row->category
                       : metric == METRIC_F1                             ? row->dataset
                                                                         : row->split;
    return name ? name : "";
}

vlqa_status tally_add(struct env *env, struct tally *t, const struct row *row,
                      const struct metric_grade *grade)
{
    const char *name = group_name(t->metric, row);
    const char *cycle = t->metric == METRIC_MCQ ? row->cycle : "";
    struct tally_group *g = t->group;
    while (g < t->group + t->n_groups && (strcmp(g->name, name) || strcmp(g->cycle, cycle)))
        g++;
    if (g == t->group + TALLY_GROUPS || strlen(name) >= TALLY_NAME)
        return env_fail(env, VLQA_ELIMIT,
                        "more than %d splits or categories, or a name of more than %d bytes",
                        TALLY_GROUPS, TALLY_NAME - 1);
    if (g == t->group + t->n_groups) {
        *g = (struct tally_group){.n = 0};
        memcpy(g->name, name, strlen(name) + 1);
        memcpy(g->cycle, cycle, strlen(cycle) + 1);
        t->n_groups++;
    }
    t->n++;
    g->n++;
    g->sum += grade->score;
    g->sum_lmms += grade->score_lmms;
    return VLQA_OK;
}

/* ---- sums ---- */

struct sum {
    double n, sum, lmms;
};

/* Over groups with this cycle and name; NULL: any. */
static struct sum sum_of(const struct tally *t, const char *cycle, const char *name)
{
    struct sum s = {0, 0, 0};
    for (int i = 0; i < t->n_groups; i++) {
        const struct tally_group *g = &t->group[i];
        if ((cycle && strcmp(cycle, g->cycle)) || (name && strcmp(name, g->name))) continue;
        s.n += (double)g->n;
        s.sum += g->sum;
        s.lmms += g->sum_lmms;
    }
    return s;
}

static int is_first(const struct tally *t, int index, int by_cycle)
{
    for (int i = 0; i < index; i++)
        if (strcmp(by_cycle ? t->group[i].cycle : t->group[i].name,
                   by_cycle ? t->group[index].cycle : t->group[index].name) == 0)
            return 0;
    return 1;
}

/* The index of the next group, from i on, of a name or cycle that is not empty and was not seen. */
static int next_group(const struct tally *t, int i, int by_cycle)
{
    for (; i < t->n_groups; i++) {
        const char *name = by_cycle ? t->group[i].cycle : t->group[i].name;
        if (*name && is_first(t, i, by_cycle)) break;
    }
    return i;
}

/* ---- reports ---- */

/* A mean for each group by name, then over all. */
static void report_means(const struct tally *t, struct report *r, const char *who, double scale,
                         int lmms)
{
    struct sum all = sum_of(t, NULL, NULL);
    report_open(r, who);
    for (int i = next_group(t, 0, 0); i < t->n_groups; i = next_group(t, i + 1, 0)) {
        struct sum s = sum_of(t, NULL, t->group[i].name);
        report_number(r, t->group[i].name, (lmms ? s.lmms : s.sum) / s.n * scale);
    }
    report_number(r, "Overall", (lmms ? all.lmms : all.sum) / all.n * scale);
    report_close(r);
}

static void report_relaxed(const struct tally *t, struct report *r)
{
    static const char *const names[] = {"human", "augmented"};
    static const char *const members[] = {"relaxed_human_split", "relaxed_augmented_split"};
    struct sum all = sum_of(t, NULL, NULL);
    double splits = 0, n = 0;
    report_means(t, r, "vlmevalkit", 100, 0);
    report_open(r, "lmms_eval");
    report_number(r, "relaxed_overall", all.lmms / all.n);
    for (int i = 0; i < t->n_groups; i++)
        for (int k = 0; k < 2; k++)
            if (strstr(t->group[i].name, names[k]))
                report_number(r, members[k], t->group[i].sum_lmms / (double)t->group[i].n);
    report_close(r);
    for (int i = next_group(t, 0, 0); i < t->n_groups; i = next_group(t, i + 1, 0), n++)
        splits += t->group[i].sum / (double)t->group[i].n;
    if (n > 0) report_number(r, "mean_of_splits", splits / n * 100);
}

static void report_anls(const struct tally *t, struct report *r)
{
    struct sum all = sum_of(t, NULL, NULL);
    report_means(t, r, "vlmevalkit", 100, 0);
    report_open(r, "lmms_eval");
    report_number(r, "anls", all.lmms / all.n);
    report_close(r);
}

static void report_ocrbench(const struct tally *t, struct report *r)
{
    static const char *const recognition[] = {
        "Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition",
        "Handwriting Recognition",  "Digit String Recognition",   "Non-Semantic Text Recognition"};
    static const char *const tasks[] = {"Scene Text-centric VQA", "Doc-oriented VQA",
                                        "Key Information Extraction",
                                        "Handwritten Mathematical Expression Recognition"};
    struct sum all = sum_of(t, NULL, NULL);
    double text = 0;
    for (int i = 0; i < 6; i++)
        text += sum_of(t, NULL, recognition[i]).sum;
    report_open(r, "vlmevalkit");
    report_number(r, "Text Recognition", text);
    for (int i = 0; i < 4; i++)
        report_number(r, tasks[i], sum_of(t, NULL, tasks[i]).sum);
    report_number(r, "Final Score", all.sum);
    report_number(r, "Final Score Norm", all.sum / 10);
    report_close(r);
    report_open(r, "lmms_eval");
    report_number(r, "ocrbench_accuracy", all.lmms / 1000);
    report_close(r);
}

/* The mean over rotations of the mean of a category in each; NULL: of all categories. */
static double average(const struct tally *t, const char *name, int lmms)
{
    double sum = 0, n = 0;
    for (int i = next_group(t, 0, 1); i < t->n_groups; i = next_group(t, i + 1, 1)) {
        struct sum s = sum_of(t, t->group[i].cycle, name);
        if (s.n > 0) {
            sum += (lmms ? s.lmms : s.sum) / s.n;
            n++;
        }
    }
    return sum / n;
}

static void report_rotations(const struct tally *t, struct report *r, const char *who, int lmms)
{
    report_open(r, who);
    for (int c = next_group(t, 0, 1); c < t->n_groups; c = next_group(t, c + 1, 1)) {
        struct sum all = sum_of(t, t->group[c].cycle, NULL);
        report_open(r, t->group[c].cycle);
        report_number(r, "all", (lmms ? all.lmms : all.sum) / all.n);
        for (int i = next_group(t, 0, 0); i < t->n_groups; i = next_group(t, i + 1, 0)) {
            struct sum s = sum_of(t, t->group[c].cycle, t->group[i].name);
            if (s.n > 0) report_number(r, t->group[i].name, (lmms ? s.lmms : s.sum) / s.n);
        }
        report_close(r);
    }
    report_open(r, "Average");
    report_number(r, "all", average(t, NULL, lmms));
    for (int i = next_group(t, 0, 0); i < t->n_groups; i = next_group(t, i + 1, 0))
        report_number(r, t->group[i].name, average(t, t->group[i].name, lmms));
    report_close(r);
    report_close(r);
}

double tally_score(const struct tally *t)
{
    struct sum all = sum_of(t, NULL, NULL);
    if (t->metric == METRIC_OCRBENCH) return all.sum;
    if (t->metric != METRIC_MCQ) return 100 * all.sum / all.n;
    return next_group(t, 0, 1) < t->n_groups ? average(t, NULL, 0) : all.sum / all.n;
}

void tally_report(const struct tally *t, struct report *r)
{
    report_string(r, "metric", metric_names[t->metric]);
    report_int(r, "rows", t->n);
    switch (t->metric) {
    case METRIC_CHARTQA:
        report_relaxed(t, r);
        return;
    case METRIC_ANLS:
        report_anls(t, r);
        return;
    case METRIC_OCRBENCH:
        report_ocrbench(t, r);
        return;
    case METRIC_MCQ:
        for (int lmms = 0; lmms < 2; lmms++)
            if (next_group(t, 0, 1) < t->n_groups)
                report_rotations(t, r, lmms ? "lmms_eval" : "vlmevalkit", lmms);
            else
                report_means(t, r, lmms ? "lmms_eval" : "vlmevalkit", 1, lmms);
        return;
    case METRIC_F1:
        report_means(t, r, "longbench", 100, 0);
        return;
    case METRIC_EM:
    case METRIC_EM_ANSWER:
        report_means(t, r, "vlmevalkit", 100, 0);
        return;
    case N_METRICS:
        break;
    }
}
