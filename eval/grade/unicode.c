/* points.c - code points: decoding, blanks, words, searching. */
#include "eval/grade/unicode.h"

#include <string.h>
#include <utf8proc.h>

#define REPLACEMENT 0xFFFD

struct text text_of(const char *terminated)
{
    return (struct text){terminated, strlen(terminated)};
}

int text_is_utf8(struct text text)
{
    int32_t point;
    for (size_t i = 0; i < text.bytes;) {
        utf8proc_ssize_t bytes = utf8proc_iterate((const uint8_t *)text.at + i,
                                                  (utf8proc_ssize_t)(text.bytes - i), &point);
        if (bytes <= 0) return 0;
        i += (size_t)bytes;
    }
    return 1;
}

struct unicode unicode_decode(struct text text, struct arena *arena)
{
    int32_t *out = arena_push(arena, text.bytes * sizeof *out);
    const uint8_t *at = (const uint8_t *)text.at;
    size_t n = 0;
    for (size_t i = 0; i < text.bytes;) {
        int32_t point;
        utf8proc_ssize_t bytes =
            utf8proc_iterate(at + i, (utf8proc_ssize_t)(text.bytes - i), &point);
        out[n++] = bytes > 0 ? point : REPLACEMENT;
        i += bytes > 0 ? (size_t)bytes : 1;
    }
    return (struct unicode){out, n};
}

struct text unicode_encode(struct unicode points, struct arena *arena)
{
    uint8_t *out = arena_push(arena, points.n * 4);
    size_t bytes = 0;
    for (size_t i = 0; i < points.n; i++)
        bytes += (size_t)utf8proc_encode_char(points.at[i], out + bytes);
    return (struct text){(const char *)out, bytes};
}

int unicode_is_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

int unicode_is_word(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return 1;
    default:
        return c == '_';
    }
}

static int is_digit(int32_t c)
{
    return utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

/* Digits stand in runs from zero to nine, one behind another where there are several. */
int unicode_digit(int32_t c)
{
    int32_t zero = c;
    if (!is_digit(c)) return -1;
    while (is_digit(zero - 1))
        zero--;
    return (c - zero) % 10;
}

struct unicode unicode_strip(struct unicode c)
{
    while (c.n && unicode_is_space(c.at[0])) {
        c.at++;
        c.n--;
    }
    while (c.n && unicode_is_space(c.at[c.n - 1]))
        c.n--;
    return c;
}

int unicode_word(struct unicode *rest, struct unicode *word)
{
    size_t i = 0;
    while (rest->n && unicode_is_space(rest->at[0])) {
        rest->at++;
        rest->n--;
    }
    while (i < rest->n && !unicode_is_space(rest->at[i]))
        i++;
    *word = (struct unicode){rest->at, i};
    rest->at += i;
    rest->n -= i;
    return i > 0;
}

int unicode_equal(struct unicode a, struct unicode b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n * sizeof *a.at) == 0);
}

static int contains(struct text hay, struct text needle)
{
    return needle.bytes == 0 || memmem(hay.at, hay.bytes, needle.at, needle.bytes) != NULL;
}

/* In UTF-8, where memmem is linear; no sequence begins inside another. */
int unicode_contain(struct unicode hay, struct unicode needle, struct arena *scratch)
{
    size_t mark = arena_mark(scratch);
    int found = needle.n <= hay.n &&
                contains(unicode_encode(hay, scratch), unicode_encode(needle, scratch));
    arena_rewind(scratch, mark);
    return found;
}

int unicode_contain_text(struct unicode hay, const char *needle, struct arena *scratch)
{
    size_t mark = arena_mark(scratch);
    int found = contains(unicode_encode(hay, scratch), text_of(needle));
    arena_rewind(scratch, mark);
    return found;
}
