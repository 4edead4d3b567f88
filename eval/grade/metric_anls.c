/* metric_anls.c - normalised Levenshtein distance of InfographicVQA and DocVQA. */
#include "eval/grade/metric.h"

#define MAX_CELLS ((uint64_t)1 << 33) /* of the table of distances: some ten seconds */

/* Stripped, in lower case, each run of blanks one space. */
static struct unicode normalise(struct unicode c, struct arena *scratch)
{
    struct unicode lower = unicode_lower(unicode_strip(c), scratch), rest = lower, word;
    int32_t *out = (int32_t *)(uintptr_t)lower.at; /* ours: written behind where it is read */
    size_t n = 0;
    while (unicode_word(&rest, &word)) {
        if (n) out[n++] = ' ';
        for (size_t i = 0; i < word.n; i++)
            out[n++] = word.at[i];
    }
    return (struct unicode){out, n};
}

static void trim_common(struct unicode *a, struct unicode *b)
{
    while (a->n && b->n && a->at[0] == b->at[0]) {
        a->at++, b->at++;
        a->n--, b->n--;
    }
    while (a->n && b->n && a->at[a->n - 1] == b->at[b->n - 1])
        a->n--, b->n--;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Code points to insert, delete or change to make b of a. */
static uint32_t levenshtein(struct unicode a, struct unicode b, struct arena *scratch)
{
    uint32_t *row = arena_push(scratch, (b.n + 1) * sizeof *row);
    for (size_t j = 0; j <= b.n; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 0; i < a.n; i++) {
        uint32_t corner = row[0]++;
        for (size_t j = 1; j <= b.n; j++) {
            uint32_t change = corner + (a.at[i] != b.at[j - 1]);
            corner = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.n];
}

/* The length is that of the raw texts: blanks too many make a wrong answer better. */
vlqa_status metric_anls_distance(struct env *env, struct unicode prediction, struct unicode target,
                                 struct arena *scratch, double *out)
{
    size_t n = unicode_upper_length(target), of_prediction = unicode_upper_length(prediction);
    struct unicode a = normalise(target, scratch), b = normalise(prediction, scratch);
    size_t apart = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (of_prediction > n) n = of_prediction;
    *out = n ? (double)apart / (double)n : 0; /* they are no nearer than that */
    if (*out > 0.5) return VLQA_OK;           /* and its score is 0 in any case */
    trim_common(&a, &b);
    if (a.n && b.n > MAX_CELLS / a.n)
        return env_fail(env, VLQA_ELIMIT, "anls of texts of %zu and %zu characters is too long",
                        a.n, b.n);
    if (n) *out = (double)levenshtein(a, b, scratch) / (double)n;
    return VLQA_OK;
}
