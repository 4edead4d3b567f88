/* metric_f1.c - LongBench's F1 over words without case, punctuation and articles. */
#include "eval/grade/metric.h"

#include <stdlib.h>
#include <string.h>

struct words {
    struct unicode *item;
    size_t n;
};

static int is_article(const int32_t *at, size_t n)
{
    return (n == 1 && at[0] == 'a') || (n == 2 && at[0] == 'a' && at[1] == 'n') ||
           (n == 3 && at[0] == 't' && at[1] == 'h' && at[2] == 'e');
}

/* re.sub(r"\b(a|an|the)\b", " "): a word is what letters, numbers and '_' make, so that what is
 * left of "a" + U+2019 + "b" has two. */
static void blank_articles(int32_t *at, size_t n)
{
    for (size_t i = 0, end; i < n; i = end + (end == i)) {
        for (end = i; end < n && unicode_is_word(at[end]);)
            end++;
        if (is_article(at + i, end - i))
            for (size_t k = i; k < end; k++)
                at[k] = ' ';
    }
}

static int compare(const void *a, const void *b)
{
    const struct unicode *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return memcmp(x->at, y->at, x->n * sizeof *x->at);
}

/* normalize_answer(), and the words of it in an order for counting */
static struct words words_of(struct unicode c, struct arena *scratch)
{
    struct unicode lower = unicode_lower(c, scratch), word;
    int32_t *out = (int32_t *)(uintptr_t)lower.at; /* ours */
    struct words words = {.n = 0};
    size_t n = 0;
    for (size_t i = 0; i < lower.n; i++) {
        int32_t code = lower.at[i];
        int is_mark = code > ' ' && code < 127 && !(code >= '0' && code <= '9') &&
                      !(code >= 'a' && code <= 'z');
        if (!is_mark) out[n++] = code;
    }
    blank_articles(out, n);
    lower.n = n;
    words.item = arena_push(scratch, (n / 2 + 1) * sizeof *words.item);
    while (unicode_word(&lower, &word))
        words.item[words.n++] = word;
    if (words.n > 1) qsort(words.item, words.n, sizeof *words.item, compare);
    return words;
}

double metric_f1(struct unicode prediction, struct unicode target, struct arena *scratch)
{
    struct words p = words_of(prediction, scratch), g = words_of(target, scratch);
    size_t same = 0;
    double precision, recall;
    for (size_t i = 0, j = 0; i < p.n && j < g.n;) {
        int order = compare(&p.item[i], &g.item[j]);
        same += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    if (same == 0) return 0;
    precision = (double)same / (double)p.n;
    recall = (double)same / (double)g.n;
    return 2 * precision * recall / (precision + recall);
}
