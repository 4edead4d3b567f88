/* nfc.c - decompose, order the marks, compose: utf8proc's tables and composition. utf8proc orders
 * marks by exchanging neighbours, which a hostile text of marks makes quadratic; here they are
 * counted. */
#include "text/nfc.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#define OPTIONS ((utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE))

/* A code point of two bytes has at most three in its decomposition, and none has more to a byte. */
static size_t points_cap(size_t bytes)
{
    return bytes + bytes / 2 + 4;
}

size_t nfc_scratch(size_t bytes)
{
    return 2 * (points_cap(bytes) * sizeof(int32_t) + 2 * ARENA_ALIGN);
}

static int is_ascii(const char *text, size_t bytes)
{
    unsigned any = 0;
    for (size_t i = 0; i < bytes; i++)
        any |= (unsigned char)text[i];
    return any < 0x80;
}

static size_t decompose(const char *utf8, size_t bytes, int32_t *point, size_t cap)
{
    size_t n = 0;
    int boundary = 0; /* only for grapheme breaks, which are off */
    for (size_t at = 0; at < bytes;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t wrote, left = (utf8proc_ssize_t)(bytes - at);
        utf8proc_ssize_t read = utf8proc_iterate((const uint8_t *)utf8 + at, left, &code);
        assert(read > 0);
        wrote = utf8proc_decompose_char(code, point + n, (utf8proc_ssize_t)(cap - n), OPTIONS,
                                        &boundary);
        assert(wrote > 0 && (size_t)wrote <= cap - n);
        at += (size_t)read;
        n += (size_t)wrote;
    }
    return n;
}

static unsigned mark_class(int32_t point)
{
    return (unsigned)utf8proc_get_property(point)->combining_class & 0xFFu;
}

/* Stable by class. */
static void sort_marks(int32_t *mark, size_t n, int32_t *work)
{
    size_t begin[257] = {0};
    for (size_t i = 0; i < n; i++)
        begin[mark_class(mark[i]) + 1]++;
    for (int c = 0; c < 256; c++)
        begin[c + 1] += begin[c];
    for (size_t i = 0; i < n; i++)
        work[begin[mark_class(mark[i])]++] = mark[i];
    memcpy(mark, work, n * sizeof *mark);
}

/* Sorts each run of marks between starters (class 0). */
static void order_marks(int32_t *point, size_t n, int32_t *work)
{
    for (size_t at = 0; at < n;) {
        unsigned last = mark_class(point[at]);
        size_t end = at + 1;
        int sorted = 1;
        for (; last && end < n; end++) {
            unsigned next = mark_class(point[end]);
            if (!next) break;
            sorted &= last <= next;
            last = next;
        }
        if (!sorted) sort_marks(point + at, end - at, work);
        at = end;
    }
}

int nfc_compose(const char *utf8, size_t bytes, struct arena *scratch, const char **out,
                size_t *out_bytes)
{
    size_t cap = points_cap(bytes), mark, n;
    int32_t *point;
    uint8_t *text;
    utf8proc_ssize_t composed;
    *out = utf8;
    *out_bytes = bytes;
    if (is_ascii(utf8, bytes)) return 1;
    if (!arena_fits(scratch, nfc_scratch(bytes))) return 0;
    point = arena_push(scratch, cap * sizeof *point);
    mark = arena_mark(scratch);
    n = decompose(utf8, bytes, point, cap);
    order_marks(point, n, arena_push(scratch, cap * sizeof *point));
    arena_rewind(scratch, mark);
    composed = utf8proc_normalize_utf32(point, (utf8proc_ssize_t)n, OPTIONS);
    assert(composed >= 0);
    /* In place: a code point has at most four bytes, so writing never overtakes reading. */
    text = (uint8_t *)point;
    *out = (const char *)point;
    *out_bytes = 0;
    for (utf8proc_ssize_t i = 0; i < composed; i++)
        *out_bytes += (size_t)utf8proc_encode_char(point[i], text + *out_bytes);
    return 1;
}
