/* unicode_number.c - float(): which texts are numbers, and which number. */
#include "eval/grade/unicode.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Blanks around a number: of ASCII those of C, unlike str.strip(). */
static int is_blank(int32_t c)
{
    return (c >= '\t' && c <= '\r') || c == ' ' || (c > 127 && unicode_is_space(c));
}

/* ASCII, with decimal digits of any script as digits and all else as '?'. */
static char *ascii_of(struct unicode c, struct arena *scratch)
{
    char *out = arena_push(scratch, c.n + 1);
    for (size_t i = 0; i < c.n; i++) {
        int digit = unicode_digit(c.at[i]);
        out[i] = digit >= 0                     ? (char)('0' + digit)
                 : c.at[i] > 0 && c.at[i] < 127 ? (char)c.at[i]
                                                : '?';
    }
    out[c.n] = 0;
    return out;
}

/* Drops '_' between digits; 0 when one stands elsewhere. */
static int drop_underscores(char *text)
{
    char *to = text, before = 0;
    for (const char *at = text; *at; before = *at++) {
        if (*at != '_')
            *to++ = *at;
        else if (!isdigit((unsigned char)before) || !isdigit((unsigned char)at[1]))
            return 0;
    }
    *to = 0;
    return 1;
}

static size_t digits(const char *at)
{
    return strspn(at, "0123456789");
}

/* [digits][.digits][e[sign]digits] with a digit in front of any exponent, to its end. */
static int is_decimal(const char *at)
{
    size_t whole = digits(at), part = 0;
    at += whole;
    if (*at == '.') {
        part = digits(++at);
        at += part;
    }
    if (whole + part == 0) return 0;
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        if (digits(at) == 0) return 0;
        at += digits(at);
    }
    return !*at;
}

static int read_number(const char *text, double *out)
{
    const char *at = text + (*text == '+' || *text == '-');
    if (strcasecmp(at, "inf") == 0 || strcasecmp(at, "infinity") == 0)
        *out = (double)INFINITY;
    else if (strcasecmp(at, "nan") == 0)
        *out = (double)NAN;
    else if (is_decimal(at))
        *out = strtod(at, NULL);
    else
        return 0;
    if (*text == '-') *out = -*out;
    return 1;
}

int unicode_number(struct unicode c, struct arena *scratch, double *out)
{
    size_t mark = arena_mark(scratch);
    char *text;
    int ok;
    while (c.n && is_blank(c.at[0])) {
        c.at++;
        c.n--;
    }
    while (c.n && is_blank(c.at[c.n - 1]))
        c.n--;
    text = ascii_of(c, scratch);
    ok = drop_underscores(text) && read_number(text, out);
    arena_rewind(scratch, mark);
    return ok;
}
