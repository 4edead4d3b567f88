/* codes.h - texts as arrays of code points, with what Python's str does to them.
 *
 * Metrics are defined by Python programs: blanks are those of str.isspace, cases those of str.lower
 * and str.upper (full mappings), words those of re's \w, numbers what float() takes. Everything
 * is made in an arena; a text of n bytes has at most n code points, of 4 bytes each, also in lower
 * case. Compared with Python 3.11 over all code points; utf8proc 2.8 knows some newer letters. */
#ifndef EVAL_CODES_H
#define EVAL_CODES_H

#include "base/arena.h"

struct text { /* UTF-8, not terminated, may hold NUL */
    const char *at;
    size_t bytes;
};

struct codes {
    const int32_t *at;
    size_t n;
};

struct text text_of(const char *terminated);
int text_is_utf8(struct text text);

/* A byte that begins no well-formed sequence becomes U+FFFD. */
struct codes codes_decode(struct text text, struct arena *arena);
struct text codes_encode(struct codes codes, struct arena *arena);

int code_is_space(int32_t code);
int code_is_word(int32_t code); /* letters, numbers and '_' */
int code_digit(int32_t code);   /* of any script's decimal digits; -1: it is none */

/* str.lower(): U+0130 becomes two, a capital sigma at the end of a word the final one. */
struct codes codes_lower(struct codes codes, struct arena *arena);
/* len(str.upper()), the text itself is never needed */
size_t codes_upper_length(struct codes codes);

struct codes codes_strip(struct codes codes);
/* str.split(): takes the next word off *rest; 0 when there is none. */
int codes_word(struct codes *rest, struct codes *word);
int codes_equal(struct codes a, struct codes b);
/* needle in hay */
int codes_contain(struct codes hay, struct codes needle, struct arena *scratch);
int codes_contain_text(struct codes hay, const char *needle, struct arena *scratch);
/* float(): 0 when it raises. Beyond the range of a double numbers are infinite or zero. */
int codes_number(struct codes codes, struct arena *scratch, double *out);

#endif
