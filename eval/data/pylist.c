/* pylist.c - a parser of Python's list displays of literals. */
#include "eval/data/pylist.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define OUT_PER_BYTE 6 /* "1e9" grows most: 1000000000.0 */
#define MAX_NUMBER 400 /* characters; a longer number is not read */

struct reader {
    const char *at, *end;
    char *out; /* where the next element's text goes */
};

static int peek(const struct reader *r)
{
    return r->at < r->end ? (unsigned char)*r->at : -1;
}

static int take(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return 0;
    r->at += n;
    return 1;
}

/* Between brackets line ends are blanks, too. */
static void skip_blanks(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r' ||
           peek(r) == '\f')
        r->at++;
}

static void put(struct reader *r, const char *bytes, size_t n)
{
    memcpy(r->out, bytes, n);
    r->out += n;
}

static void put_code_point(struct reader *r, int32_t code)
{
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = 0xFFFD;
    r->out += utf8proc_encode_char(code, (uint8_t *)r->out);
}

/* ---- strings ---- */

static int digit_value(int c)
{
    if (isdigit(c)) return c - '0';
    return isxdigit(c) ? tolower(c) - 'a' + 10 : 99;
}

/* Between least and most digits of the base. */
static int read_digits(struct reader *r, int base, int least, int most, int32_t *code)
{
    int n = 0;
    for (*code = 0; n < most && digit_value(peek(r)) < base; n++)
        *code = (int32_t)((uint32_t)*code * (uint32_t)base + (uint32_t)digit_value(*r->at++));
    return n >= least;
}

/* Behind a backslash. */
static int read_escape(struct reader *r)
{
    static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
    int c = peek(r);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    int32_t code = 0;
    if (c < 0 || c == 'N') return 0;
    if (letter) {
        put(r, &values[letter - letters], 1);
        r->at++;
        return 1;
    }
    if (take(r, "\n")) return 1;
    if (digit_value(c) < 8) {
        (void)read_digits(r, 8, 1, 3, &code);
        put_code_point(r, code);
        return 1;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
        int n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        r->at++;
        if (!read_digits(r, 16, n, n, &code) || code < 0 || code > 0x10FFFF) return 0;
        put_code_point(r, code);
        return 1;
    }
    put(r, "\\", 1); /* no escape: both stay */
    return 1;
}

static int read_string(struct reader *r)
{
    char quote[4] = "";
    int c, raw = 0, triple;
    if (peek(r) == 'r' || peek(r) == 'R' || peek(r) == 'u' || peek(r) == 'U') {
        raw = tolower(peek(r)) == 'r';
        r->at++;
    }
    if (peek(r) != '\'' && peek(r) != '"') return 0;
    memset(quote, peek(r), 3);
    triple = take(r, quote);
    if (!triple) {
        quote[1] = 0;
        r->at++;
    }
    while (!take(r, quote)) {
        c = peek(r);
        if (c < 0 || (c == '\n' && !triple)) return 0;
        if (c == '\\' && !raw) {
            r->at++;
            if (!read_escape(r)) return 0;
            continue;
        }
        if (c == '\\' && r->at + 1 < r->end) put(r, r->at++, 1); /* raw: it hides a quote */
        put(r, r->at++, 1);
    }
    return 1;
}

/* ---- numbers ---- */

/* repr() of a float: the shortest digits that read the same. */
static void put_float(struct reader *r, double value)
{
    char digits[40], *e;
    int exponent, n, precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, value);
    while (strtod(digits, NULL) != value && ++precision < 17);
    exponent = (e = strchr(digits, 'e')) ? atoi(e + 1) : 0;
    if (!e || exponent < -4 || exponent >= 16) { /* inf, too: C and Python write all of it alike */
        r->out += snprintf(r->out, 40, "%s", digits);
        return;
    }
    n = precision > exponent ? precision - exponent : 1;
    r->out += snprintf(r->out, 40, "%.*f", n, value);
}

/* 0x1f, 0o17, 0b1 of at most 62 bits. */
static int read_based(struct reader *r, const char *text, int base)
{
    char *end;
    long long value = strtoll(text, &end, base);
    if (*end || !isxdigit((unsigned char)*text) || strlen(text) > 15) return 0;
    r->out += snprintf(r->out, 24, "%lld", value);
    return 1;
}

static int read_plain(struct reader *r, const char *text)
{
    size_t n = strspn(text, "0123456789"), zeros = strspn(text, "0");
    char *end;
    double value;
    if (n && !text[n]) { /* whole: any length; with zeros in front only zero itself */
        if (zeros == n)
            put(r, "0", 1);
        else if (zeros)
            return 0;
        else
            put(r, text, n);
        return 1;
    }
    if (text[strspn(text, "0123456789.eE+-")] || !strpbrk(text, "0123456789")) return 0;
    value = strtod(text, &end);
    if (*end) return 0;
    put_float(r, value);
    return 1;
}

static int is_number_part(const struct reader *r, const char *start)
{
    int c = peek(r);
    if (c < 0) return 0;
    if (c == '+' || c == '-') return r->at > start && (r->at[-1] == 'e' || r->at[-1] == 'E');
    return isalnum(c) || c == '.' || c == '_';
}

static int read_number(struct reader *r)
{
    char text[MAX_NUMBER + 1], *sign = r->out;
    size_t n = 0;
    const char *start;
    int negative = take(r, "-");
    if (!negative) (void)take(r, "+");
    for (start = r->at; is_number_part(r, start); r->at++) {
        int between = r->at > start && isalnum((unsigned char)r->at[-1]) && r->at + 1 < r->end &&
                      isalnum((unsigned char)r->at[1]);
        if (n == MAX_NUMBER || (*r->at == '_' && !between)) return 0;
        if (*r->at != '_') text[n++] = *r->at;
    }
    text[n] = 0;
    if (negative) put(r, "-", 1);
    if (text[0] == '0' && n > 2 && strchr("xXoObB", text[1])) {
        int base = tolower((unsigned char)text[1]) == 'x'   ? 16
                   : tolower((unsigned char)text[1]) == 'o' ? 8
                                                            : 2;
        if (!read_based(r, text + 2, base)) return 0;
    } else if (!read_plain(r, text)) {
        return 0;
    }
    if (negative && r->out == sign + 2 && sign[1] == '0') { /* there is no other whole zero */
        *sign = '0';
        r->out--;
    }
    return 1;
}

/* ---- lists ---- */

static int read_element(struct reader *r)
{
    static const char *const names[] = {"True", "False", "None"};
    int c = peek(r);
    for (int i = 0; i < 3; i++)
        if (take(r, names[i])) {
            put(r, names[i], strlen(names[i]));
            return 1;
        }
    if (c == '-' || c == '+' || c == '.' || isdigit(c)) return read_number(r);
    if (!read_string(r)) return 0;
    for (skip_blanks(r); peek(r) >= 0 && strchr("'\"rRuU", peek(r)); skip_blanks(r))
        if (!read_string(r)) return 0; /* 'a' 'b' is one */
    return 1;
}

static int read_list(struct reader *r, struct text *item, int *n)
{
    while (peek(r) == ' ' || peek(r) == '\t')
        r->at++;
    if (!take(r, "[")) return 0;
    for (*n = 0;; ++*n) {
        char *start = r->out;
        skip_blanks(r);
        if (take(r, "]")) break;
        if (!read_element(r)) return 0;
        item[*n] = (struct text){start, (size_t)(r->out - start)};
        skip_blanks(r);
        if (!take(r, ",") && peek(r) != ']') return 0;
    }
    skip_blanks(r);
    return r->at == r->end;
}

int pylist_read(struct text cell, struct arena *arena, struct text **out, int *n)
{
    size_t mark = arena_mark(arena);
    struct reader r = {.at = cell.at, .end = cell.at + cell.bytes};
    /* an element has at least one byte and a comma or bracket */
    *out = arena_push(arena, (cell.bytes / 2 + 1) * sizeof **out);
    r.out = arena_push(arena, OUT_PER_BYTE * cell.bytes + 64);
    if (read_list(&r, *out, n)) return 1;
    arena_rewind(arena, mark);
    return 0;
}
