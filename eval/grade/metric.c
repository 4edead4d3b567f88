/* metric.c - rows to scores: the best over a row's answers. */
#include "eval/grade/metric.h"

#include <assert.h>
#include <string.h>

const char *const metric_names[] = {"chartqa", "anls", "ocrbench",  "mcq",
                                    "f1",      "em",   "em-answer", NULL};
_Static_assert(METRIC_CHARTQA == 0 && METRIC_EM_ANSWER == 6 && N_METRICS == 7, "metric_names");

int metric_find(const char *name)
{
    static const struct {
        const char *name;
        enum metric metric;
    } also[] = {{"relaxed_accuracy", METRIC_CHARTQA},
                {"exact", METRIC_EM},
                {"exact_match", METRIC_EM},
                {"exact_after_Answer_prefix", METRIC_EM_ANSWER},
                {"qa_f1", METRIC_F1}};
    for (int i = 0; metric_names[i]; i++)
        if (strcmp(metric_names[i], name) == 0) return i;
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        if (strcmp(also[i].name, name) == 0) return (int)also[i].metric;
    return -1;
}

/* Code points and their lower case of the prediction and one answer, twice for lmms-eval: 4 bytes
 * each; UTF-8, words or a row of distances beside them. */
size_t metric_scratch(size_t bytes)
{
    return 64 * bytes + (64 << 10);
}

static int score_em(struct unicode prediction, struct unicode target, struct arena *scratch)
{
    return unicode_equal(unicode_lower(unicode_strip(target), scratch),
                         unicode_lower(unicode_strip(prediction), scratch));
}

static struct unicode behind_answer(struct unicode c)
{
    static const char prefix[] = "Answer:";
    size_t n = sizeof prefix - 1;
    for (size_t at = c.n; at >= n; at--) {
        size_t same = 0;
        while (same < n && c.at[at - n + same] == prefix[same])
            same++;
        if (same == n) return (struct unicode){c.at + at, c.n - at};
    }
    return c;
}

/* The two scores of one answer. */
static vlqa_status score_target(struct env *env, enum metric metric, const struct metric_row *row,
                                struct unicode prediction, struct unicode target,
                                struct arena *scratch, double score[2])
{
    double distance;
    switch (metric) {
    case METRIC_CHARTQA:
        score[0] = metric_relaxed(unicode_strip(prediction), target, scratch);
        score[1] = metric_relaxed(prediction, target, scratch);
        return VLQA_OK;
    case METRIC_ANLS:
        TRY(metric_anls_distance(env, prediction, target, scratch, &distance));
        score[0] = score[1] = 1 - distance < 0.5 ? 0 : 1 - distance;
        return VLQA_OK;
    case METRIC_OCRBENCH:
        score[0] = metric_ocr(prediction, target, row->is_formula, 0, scratch);
        score[1] = metric_ocr(prediction, target, row->is_formula, 1, scratch);
        return VLQA_OK;
    case METRIC_F1:
        score[0] = score[1] = metric_f1(prediction, target, scratch);
        return VLQA_OK;
    case METRIC_EM:
        score[0] = score[1] = score_em(prediction, target, scratch);
        return VLQA_OK;
    case METRIC_EM_ANSWER:
        score[0] = score[1] = score_em(behind_answer(prediction), target, scratch);
        return VLQA_OK;
    case METRIC_MCQ:
    case N_METRICS:
        break;
    }
    assert(metric < METRIC_MCQ); /* the others compare no answers */
    return VLQA_OK;
}

static void score_choice(const struct metric_row *row, struct arena *scratch,
                         struct metric_grade *out)
{
    char now = metric_choice(row, &metric_choice_now, scratch);
    out->letter = now ? now : 'Z';
    out->letter_lmms = metric_choice(row, &metric_choice_lmms, scratch);
    out->score = out->letter == row->answer;
    out->score_lmms = out->letter_lmms == row->answer;
}

vlqa_status metric_score(struct env *env, enum metric metric, const struct metric_row *row,
                         struct arena *scratch, struct metric_grade *out)
{
    size_t mark = arena_mark(scratch), mark_target;
    struct unicode prediction;
    *out = (struct metric_grade){0};
    if (metric == METRIC_MCQ) {
        score_choice(row, scratch, out);
        return VLQA_OK;
    }
    prediction = unicode_decode(row->prediction, scratch);
    mark_target = arena_mark(scratch);
    for (int i = 0; i < row->n_targets; i++) {
        struct unicode target = unicode_decode(row->target[i], scratch);
        double score[2];
        TRY(score_target(env, metric, row, prediction, target, scratch, score));
        if (score[0] > out->score) out->score = score[0];
        if (score[1] > out->score_lmms) out->score_lmms = score[1];
        arena_rewind(scratch, mark_target);
    }
    arena_rewind(scratch, mark);
    return VLQA_OK;
}
