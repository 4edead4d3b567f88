/* points.h - texts as arrays of code points, with what Python's str does to them.
 *
 * Metrics are defined by Python programs: blanks are those of str.isspace, cases those of str.lower
 * and str.upper (full mappings), words those of re's \w, numbers what float() takes. Everything
 * is made in an arena; a text of n bytes has at most n code points, of 4 bytes each, also in lower
 * case. Compared with Python 3.11 over all code points; utf8proc 2.8 knows some newer letters. */
#ifndef EVAL_UNICODE_H
#define EVAL_UNICODE_H

#include "base/arena.h"

struct text { /* UTF-8, not terminated, may hold NUL */
    const char *at;
    size_t bytes;
};

struct unicode {
    const int32_t *at;
    size_t n;
};

struct text text_of(const char *terminated);
int text_is_utf8(struct text text);

/* A byte that begins no well-formed sequence becomes U+FFFD. */
struct unicode unicode_decode(struct text text, struct arena *arena);
struct text unicode_encode(struct unicode points, struct arena *arena);

int unicode_is_space(int32_t point);
int unicode_is_word(int32_t point); /* letters, numbers and '_' */
int unicode_digit(int32_t point);   /* of any script's decimal digits; -1: it is none */

/* str.lower(): U+0130 becomes two, a capital sigma at the end of a word the final one. */
struct unicode unicode_lower(struct unicode points, struct arena *arena);
/* len(str.upper()), the text itself is never needed */
size_t unicode_upper_length(struct unicode points);

struct unicode unicode_strip(struct unicode points);
/* str.split(): takes the next word off *rest; 0 when there is none. */
int unicode_word(struct unicode *rest, struct unicode *word);
int unicode_equal(struct unicode a, struct unicode b);
/* needle in hay */
int unicode_contain(struct unicode hay, struct unicode needle, struct arena *scratch);
int unicode_contain_text(struct unicode hay, const char *needle, struct arena *scratch);
/* float(): 0 when it raises. Beyond the range of a double numbers are infinite or zero. */
int unicode_number(struct unicode points, struct arena *scratch, double *out);

#endif
