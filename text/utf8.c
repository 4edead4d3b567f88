/* utf8.c - where well-formed UTF-8 ends, and what stands in for the rest. */
#include "text/utf8.h"

#include <string.h>

enum utf8_part { UTF8_WHOLE, UTF8_BAD, UTF8_CUT };

#define REPLACEMENT "\xEF\xBF\xBD"

/* The part that bytes begin with (n >= 1) and its length: one code point, a maximal ill-formed
 * part, or the beginning of a code point that n cuts off. Table 3-7 of Unicode 15. */
static enum utf8_part utf8_part(const uint8_t *p, size_t n, size_t *length)
{
    uint8_t lead = p[0], low = 0x80, high = 0xBF;
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    *length = 1;
    if (size == 1) return UTF8_WHOLE;
    if (lead < 0xC2 || lead > 0xF4) return UTF8_BAD;
    if (lead == 0xE0) low = 0xA0;  /* over-long */
    if (lead == 0xED) high = 0x9F; /* surrogates */
    if (lead == 0xF0) low = 0x90;  /* over-long */
    if (lead == 0xF4) high = 0x8F; /* beyond U+10FFFF */
    for (; *length < size; ++*length) {
        if (*length == n) return UTF8_CUT;
        if (p[*length] < low || p[*length] > high) return UTF8_BAD;
        low = 0x80, high = 0xBF;
    }
    return UTF8_WHOLE;
}

size_t utf8_stream_push(struct utf8_stream *s, const char *in, size_t bytes, char *out)
{
    size_t written = 0, length;
    for (size_t i = 0; i < bytes; i++) {
        s->tail[s->n_tail++] = (uint8_t)in[i];
        while (s->n_tail > 0) {
            enum utf8_part part = utf8_part(s->tail, (size_t)s->n_tail, &length);
            if (part == UTF8_CUT) break;
            if (part == UTF8_WHOLE) {
                memcpy(out + written, s->tail, length);
                written += length;
            } else {
                memcpy(out + written, REPLACEMENT, 3);
                written += 3;
            }
            s->n_tail -= (int)length;
            memmove(s->tail, s->tail + length, (size_t)s->n_tail);
        }
    }
    return written;
}

size_t utf8_stream_end(struct utf8_stream *s, char *out)
{
    if (!s->n_tail) return 0;
    s->n_tail = 0;
    memcpy(out, REPLACEMENT, 3);
    return 3;
}

size_t utf8_valid(const char *text, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0, length;
    while (at < bytes && utf8_part(p + at, bytes - at, &length) == UTF8_WHOLE)
        at += length;
    return at;
}
