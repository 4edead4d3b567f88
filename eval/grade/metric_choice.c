/* metric_choice.c - which option an answer chose: VLMEvalKit's can_infer, rule by rule. */
#include "eval/grade/metric.h"

#include <string.h>

const struct metric_choice_rules metric_choice_now = {1, 1, 1}, metric_choice_lmms = {0, 0, 0};

static const char *const refusals[] = {
    "Sorry, I can't help with images of people yet.", "I can't process this file.",
    "I'm sorry, but without the image provided", "Cannot determine the answer"};

static int is_option(const struct metric_row *row, char letter)
{
    for (int i = 0; i < row->n_options; i++)
        if (row->option[i].letter == letter) return 1;
    return 0;
}

/* The text with marks that may touch a letter as blanks. */
static struct unicode open_marks(struct unicode c, struct arena *scratch)
{
    int32_t *out = arena_push(scratch, c.n * sizeof *out);
    for (size_t i = 0; i < c.n; i++)
        out[i] = c.at[i] > 0 && c.at[i] < 128 && strchr(".()[],:;!*#{}", c.at[i]) ? ' ' : c.at[i];
    return (struct unicode){out, c.n};
}

/* Exactly one option's letter is a word, near the end; or Z is and none of them. */
static char by_letter(const struct metric_row *row, int near_end, struct unicode answer,
                      struct arena *scratch)
{
    size_t first[26], n = 0; /* where each letter is a word of its own first, from 1 */
    struct unicode rest = open_marks(answer, scratch), word;
    char only = 0;
    int seen = 0;
    memset(first, 0, sizeof first);
    while (unicode_word(&rest, &word)) {
        n++;
        if (word.n == 1 && word.at[0] >= 'A' && word.at[0] <= 'Z' && !first[word.at[0] - 'A'])
            first[word.at[0] - 'A'] = n;
    }
    for (int i = 0; i < row->n_options; i++)
        if (first[row->option[i].letter - 'A']) {
            seen++;
            only = row->option[i].letter;
        }
    if (seen == 1 && (!near_end || first[only - 'A'] - 1 + 5 > n)) return only;
    return seen == 0 && first[25] ? 'Z' : 0;
}

/* One letter of a pattern that ignores case as Python's re does. */
static int same_letter(int32_t c, char lower)
{
    if (c == lower || (c < 128 && c == lower - 'a' + 'A')) return 1;
    return (lower == 'i' && (c == 0x130 || c == 0x131)) || (lower == 's' && c == 0x17F);
}

static int take_word(struct unicode *c, const char *word)
{
    size_t n = strlen(word);
    if (c->n < n) return 0;
    for (size_t i = 0; i < n; i++)
        if (!same_letter(c->at[i], word[i])) return 0;
    c->at += n;
    c->n -= n;
    return 1;
}

static int take_blanks(struct unicode *c)
{
    size_t before = c->n;
    while (c->n && unicode_is_space(c->at[0])) {
        c->at++;
        c->n--;
    }
    return c->n < before;
}

/* The first "answer is X" with any asterisks before X, which may begin a word; any case. */
static char by_phrase(const struct metric_row *row, struct unicode answer)
{
    for (; answer.n; answer.at++, answer.n--) {
        struct unicode c = answer;
        if (!take_word(&c, "answer") || !take_blanks(&c)) continue;
        if (!take_word(&c, "is") || !take_blanks(&c)) continue;
        while (c.n && c.at[0] == '*') {
            c.at++;
            c.n--;
        }
        for (char letter = 'A'; c.n && letter <= 'D'; letter++)
            if (same_letter(c.at[0], (char)(letter - 'A' + 'a')))
                return is_option(row, letter) ? letter : 0;
    }
    return 0;
}

static size_t option_length(const struct metric_row *row, struct arena *scratch)
{
    size_t n = 0;
    for (int i = 0; i < row->n_options; i++) {
        size_t mark = arena_mark(scratch);
        n += unicode_decode(row->option[i].text, scratch).n;
        arena_rewind(scratch, mark);
    }
    return n;
}

/* Exactly one option's text is in the answer, case aside. */
static char by_text(const struct metric_row *row, int short_text, struct unicode answer,
                    struct arena *scratch)
{
    struct unicode lower = unicode_lower(answer, scratch);
    struct text hay = unicode_encode(lower, scratch);
    char only = 0;
    int seen = 0;
    if (short_text && lower.n > 2 * option_length(row, scratch)) return 0;
    for (int i = 0; i < row->n_options; i++) {
        size_t mark = arena_mark(scratch);
        struct unicode option = unicode_decode(row->option[i].text, scratch);
        struct text needle = unicode_encode(unicode_lower(option, scratch), scratch);
        if (!needle.bytes || memmem(hay.at, hay.bytes, needle.at, needle.bytes)) {
            seen++;
            only = row->option[i].letter;
        }
        arena_rewind(scratch, mark);
    }
    return seen == 1 ? only : 0;
}

static char by_option(const struct metric_row *row, const struct metric_choice_rules *rules,
                      struct unicode answer, struct arena *scratch)
{
    char letter;
    if (unicode_contain_text(answer, "Failed to obtain answer via API", scratch)) return 0;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (unicode_contain_text(answer, refusals[i], scratch)) return 'Z';
    letter = by_letter(row, rules->near_end, answer, scratch);
    return !letter && rules->verbose ? by_phrase(row, answer) : letter;
}

char metric_choice(const struct metric_row *row, const struct metric_choice_rules *rules,
                   struct arena *scratch)
{
    size_t mark = arena_mark(scratch);
    struct unicode answer = unicode_decode(row->prediction, scratch);
    char letter = by_option(row, rules, answer, scratch);
    if (!letter) letter = by_text(row, rules->short_text, answer, scratch);
    arena_rewind(scratch, mark);
    return letter;
}
