/* json_scan.c - the grammar of JSON, checked before a parser sees the text. */
#include "base/json_scan.h"

#include "base/json.h"

#include <string.h>

#define NUMBER_MAX 63 /* what cJSON reads of one */
#define TEXT_OF(x) #x
#define TEXT_OF_VALUE(x) TEXT_OF(x)

struct scan {
    const uint8_t *at, *end;
    size_t values;
    int depth;
    char open[JSON_MAX_DEPTH]; /* '{' or '[' */
};

static int peek(const struct scan *s) /* -1 at the end */
{
    return s->at < s->end ? *s->at : -1;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* Bytes of the well-formed UTF-8 sequence here (Unicode, table 3-7), 0 when it is none. */
static size_t sequence_length(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t n = p[0] < 0x80                    ? 1
               : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;
    if (n < 2 || n > left) return n <= left ? n : 0;
    if (p[0] == 0xe0) low = 0xa0;  /* overlong */
    if (p[0] == 0xed) high = 0x9f; /* surrogates */
    if (p[0] == 0xf0) low = 0x90;  /* overlong */
    if (p[0] == 0xf4) high = 0x8f; /* beyond U+10FFFF */
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

/* The value of "\uXXXX" at s->at, -1 when it is none. */
static int unicode_escape(const struct scan *s)
{
    int code = 0;
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u') return -1;
    for (int i = 2; i < 6; i++) {
        int c = s->at[i], lower = c | 0x20;
        int digit = c >= '0' && c <= '9'           ? c - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : -1;
        if (digit < 0) return -1;
        code = code * 16 + digit;
    }
    return code;
}

static const char *scan_escape(struct scan *s)
{
    int c = s->end - s->at > 1 ? s->at[1] : -1, code;
    if (c > 0 && strchr("\"\\/bfnrt", c)) {
        s->at += 2;
        return NULL;
    }
    code = unicode_escape(s);
    if (code < 0) return "an invalid escape";
    if (code == 0) return "a NUL in a string";
    if (code >= 0xdc00 && code <= 0xdfff) return "half of a surrogate pair";
    s->at += 6;
    if (code >= 0xd800 && code <= 0xdbff) {
        code = unicode_escape(s);
        if (code < 0xdc00 || code > 0xdfff) return "half of a surrogate pair";
        s->at += 6;
    }
    return NULL;
}

static const char *scan_string(struct scan *s)
{
    const char *problem;
    size_t n;
    for (s->at++; s->at < s->end; s->at += n) {
        n = 0;
        if (*s->at == '"') {
            s->at++;
            return NULL;
        }
        if (*s->at < 0x20) return "a control character in a string";
        if (*s->at == '\\') {
            problem = scan_escape(s);
            if (problem) return problem;
        } else {
            n = sequence_length(s->at, (size_t)(s->end - s->at));
            if (n == 0) return "ill-formed UTF-8";
        }
    }
    return "a string without end";
}

static int skip_digits(struct scan *s)
{
    const uint8_t *begin = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > begin;
}

static const char *scan_number(struct scan *s)
{
    const uint8_t *begin = s->at;
    if (peek(s) == '-') s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!skip_digits(s))
        return "an invalid number";
    if (peek(s) == '.') {
        s->at++;
        if (!skip_digits(s)) return "an invalid number";
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') s->at++;
        if (!skip_digits(s)) return "an invalid number";
    }
    return s->at - begin > NUMBER_MAX ? "a number that is too long" : NULL;
}

static const char *scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return "no value";
    s->at += n;
    return NULL;
}

/* Up to the value of the member. */
static const char *scan_name(struct scan *s)
{
    const char *problem;
    skip_space(s);
    if (peek(s) != '"') return "no member name";
    problem = scan_string(s);
    if (problem) return problem;
    skip_space(s);
    if (peek(s) != ':') return "no ':' behind a member name";
    s->at++;
    return NULL;
}

static const char *scan_scalar(struct scan *s)
{
    switch (peek(s)) {
    case -1:
        return "the end of the text";
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    }
    return peek(s) == '-' || (peek(s) >= '0' && peek(s) <= '9') ? scan_number(s) : "no value";
}

/* Where a value begins, up to where it ends or, in a container that is not empty, to where its
 * first value begins: then *inside is set. */
static const char *scan_value(struct scan *s, int *inside)
{
    int c;
    *inside = 0;
    skip_space(s);
    if (++s->values > JSON_MAX_VALUES) return "more than " TEXT_OF_VALUE(JSON_MAX_VALUES) " values";
    c = peek(s);
    if (c != '{' && c != '[') return scan_scalar(s);
    if (s->depth == JSON_MAX_DEPTH) return "nesting deeper than " TEXT_OF_VALUE(JSON_MAX_DEPTH);
    s->open[s->depth++] = (char)c;
    s->at++;
    skip_space(s);
    if (peek(s) == c + 2) { /* '}' and ']' are two behind '{' and '[' */
        s->depth--;
        s->at++;
        return NULL;
    }
    *inside = 1;
    return c == '{' ? scan_name(s) : NULL;
}

/* Behind a value, up to where the next begins, or out of everything: then s->depth is 0. */
static const char *scan_separator(struct scan *s)
{
    while (s->depth > 0) {
        int open = s->open[s->depth - 1];
        skip_space(s);
        if (peek(s) == ',') {
            s->at++;
            return open == '{' ? scan_name(s) : NULL;
        }
        if (peek(s) != open + 2) return open == '{' ? "no ',' or '}'" : "no ',' or ']'";
        s->at++;
        s->depth--;
    }
    return NULL;
}

const char *json_scan(const char *text, size_t bytes, size_t *offset)
{
    struct scan s = {.at = (const uint8_t *)text, .end = (const uint8_t *)text + bytes};
    const char *problem;
    int inside;
    do {
        problem = scan_value(&s, &inside);
        if (!problem && !inside) problem = scan_separator(&s);
    } while (!problem && s.depth > 0);
    if (!problem) {
        skip_space(&s);
        if (s.at < s.end) problem = "bytes behind the value";
    }
    *offset = (size_t)(s.at - (const uint8_t *)text);
    return problem;
}
