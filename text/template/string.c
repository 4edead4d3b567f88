/* string.c - strings of a template: parts that are nowhere copied, each with its source,
 * so that slices and sums of them keep who wrote every byte. */
#include "text/template/parts.h"

#include <string.h>
#include <utf8proc.h>

struct str *str_new(struct machine *m)
{
    struct str *s = machine_push(m, sizeof *s);
    if (s) *s = (struct str){NULL, 0, 0};
    return s;
}

/* Room behind the last part of s, in parts that only s ends in. */
static vlqa_status make_room(struct machine *m, struct str *s, int more)
{
    struct parts *grown;
    int cap;
    if (s->parts && s->parts->used == s->n && more <= s->parts->cap - s->n) return VLQA_OK;
    cap = 2 * (s->n + more);
    if (!s->parts && cap < 4) cap = more;
    grown = machine_push(m, sizeof *grown);
    if (!grown) return VLQA_ELIMIT;
    *grown = (struct parts){machine_push(m, (size_t)cap * sizeof *grown->at), cap, s->n};
    if (!grown->at) return VLQA_ELIMIT;
    if (s->n) memcpy(grown->at, s->parts->at, (size_t)s->n * sizeof *grown->at);
    s->parts = grown;
    return VLQA_OK;
}

vlqa_status str_put(struct machine *m, struct str *to, struct part part)
{
    if (!part.bytes && part.source == TEMPLATE_OWN) return VLQA_OK;
    TRY(make_room(m, to, 1));
    to->parts->at[to->n++] = part;
    to->parts->used = to->n;
    to->bytes += part.bytes;
    return VLQA_OK;
}

vlqa_status str_append(struct machine *m, struct str *to, const struct str *from)
{
    int n = from->n; /* they may be the same */
    TRY(machine_work(m, (size_t)n));
    TRY(make_room(m, to, n));
    for (int i = 0; i < n; i++)
        TRY(str_put(m, to, from->parts->at[i]));
    return VLQA_OK;
}

vlqa_status str_own(struct machine *m, const char *text, size_t bytes, struct str **out)
{
    char *copy = machine_push(m, bytes);
    *out = str_new(m);
    if (!copy || !*out) return VLQA_ELIMIT;
    memcpy(copy, text, bytes);
    return str_put(m, *out, (struct part){copy, bytes, TEMPLATE_OWN});
}

/* Parts that the cut leaves empty are left out, unless nothing else is left of the string. */
vlqa_status str_slice(struct machine *m, const struct str *s, size_t begin, size_t end,
                      struct str **out)
{
    struct part empty = {NULL, 0, TEMPLATE_OWN};
    size_t at = 0;
    *out = str_new(m);
    if (!*out) return VLQA_ELIMIT;
    TRY(machine_work(m, (size_t)s->n));
    for (int i = 0; i < s->n && at <= end; i++) {
        struct part part = s->parts->at[i];
        size_t from = begin > at ? begin - at : 0,
               to = end - at < part.bytes ? end - at : part.bytes;
        int whole = !part.bytes && from <= to;
        at += part.bytes;
        if (from > to) continue;
        part = (struct part){part.at + from, to - from, part.source};
        if (part.bytes || whole) TRY(str_put(m, *out, part));
        if (!part.bytes) empty = part;
    }
    return (*out)->n ? VLQA_OK : str_put(m, *out, empty);
}

vlqa_status str_flat(struct machine *m, const struct str *s, const char **out)
{
    size_t at = 0;
    char *flat;
    TRY(machine_work(m, s->bytes / 16));
    *out = "";
    for (int i = 0; i < s->n; i++)
        if (s->parts->at[i].bytes == s->bytes) *out = s->parts->at[i].at;
    if (!s->bytes || **out) return VLQA_OK;
    *out = flat = machine_push(m, s->bytes);
    if (!flat) return VLQA_ELIMIT;
    for (int i = 0; i < s->n; i++) {
        const struct part *part = &s->parts->at[i];
        if (part->bytes) memcpy(flat + at, part->at, part->bytes);
        at += part->bytes;
    }
    return VLQA_OK;
}

vlqa_status str_compare(struct machine *m, const struct str *a, const struct str *b, int *out)
{
    const char *left, *right;
    size_t bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    TRY(str_flat(m, a, &left));
    TRY(str_flat(m, b, &right));
    *out = bytes ? memcmp(left, right, bytes) : 0;
    if (!*out) *out = (a->bytes > b->bytes) - (a->bytes < b->bytes);
    return VLQA_OK;
}

/* ---- code points ---- */

size_t str_point(const char *text, size_t bytes)
{
    unsigned char c = (unsigned char)*text;
    size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return n < bytes ? n : bytes;
}

static int32_t point_at(const char *text, size_t bytes)
{
    utf8proc_int32_t c;
    if (utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &c) <= 0)
        return (unsigned char)*text;
    return c;
}

vlqa_status str_length(struct machine *m, const struct str *s, int64_t *out)
{
    TRY(machine_work(m, s->bytes / 16));
    *out = 0;
    for (int i = 0; i < s->n; i++)
        for (size_t b = 0; b < s->parts->at[i].bytes; b++)
            *out += ((unsigned char)s->parts->at[i].at[b] & 0xC0) != 0x80;
    return VLQA_OK;
}

/* The byte at which each code point begins would take memory: walks to `to` from point *at. */
static void walk(const char *flat, size_t bytes, int64_t to, int64_t *point, size_t *at)
{
    for (; *point < to && *at < bytes; ++*point)
        *at += str_point(flat + *at, bytes - *at);
    for (; *point > to && *at > 0; --*point)
        do
            --*at;
        while (*at > 0 && ((unsigned char)flat[*at] & 0xC0) == 0x80);
}

vlqa_status str_pick(struct machine *m, const struct str *s, int64_t begin, int64_t step,
                     int64_t count, struct str **out)
{
    const char *flat;
    int64_t point = 0;
    size_t at = 0;
    TRY(str_flat(m, s, &flat));
    walk(flat, s->bytes, begin, &point, &at);
    if (step == 1 || count <= 1) {
        size_t from = at;
        if (count < 1) return (*out = str_new(m)) ? VLQA_OK : VLQA_ELIMIT;
        walk(flat, s->bytes, begin + count, &point, &at);
        return str_slice(m, s, from, at, out);
    }
    *out = str_new(m);
    if (!*out) return VLQA_ELIMIT;
    for (int64_t i = 0; i < count; i++) {
        struct str *one;
        walk(flat, s->bytes, begin + i * step, &point, &at);
        TRY(machine_work(m, (size_t)(step < 0 ? -step : step)));
        TRY(str_slice(m, s, at, at + str_point(flat + at, s->bytes - at), &one));
        TRY(str_append(m, *out, one));
    }
    return VLQA_OK;
}

/* ---- white space ---- */

/* As Python has it. */
static int is_white(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static int is_stripped(const char *at, size_t n, const char *set, size_t set_bytes)
{
    if (!set) return is_white(point_at(at, n));
    for (size_t i = 0; i < set_bytes; i += str_point(set + i, set_bytes - i))
        if (str_point(set + i, set_bytes - i) == n && memcmp(set + i, at, n) == 0) return 1;
    return 0;
}

static size_t strip_left(const struct str *s, const char *set, size_t set_bytes)
{
    size_t begin = 0;
    for (int i = 0; i < s->n; i++)
        for (size_t at = 0, n; at < s->parts->at[i].bytes; at += n, begin += n) {
            const struct part *part = &s->parts->at[i];
            n = str_point(part->at + at, part->bytes - at);
            if (!is_stripped(part->at + at, n, set, set_bytes)) return begin;
        }
    return begin;
}

static size_t strip_right(const struct str *s, size_t begin, const char *set, size_t set_bytes)
{
    size_t end = s->bytes;
    for (int i = s->n - 1; i >= 0; i--)
        for (size_t at = s->parts->at[i].bytes; at > 0 && end > begin;) {
            const char *text = s->parts->at[i].at;
            size_t last = at - 1;
            while (last > 0 && ((unsigned char)text[last] & 0xC0) == 0x80)
                last--;
            if (!is_stripped(text + last, at - last, set, set_bytes)) return end;
            end -= at - last;
            at = last;
        }
    return end;
}

vlqa_status str_strip(struct machine *m, const struct str *s, const struct str *set, int side,
                      struct str **out)
{
    const char *chars = NULL;
    size_t begin = 0, end = s->bytes, set_bytes = set ? set->bytes : 0;
    if (set) TRY(str_flat(m, set, &chars));
    TRY(machine_work(m, s->bytes / 16 * (1 + set_bytes)));
    if (side <= 0) begin = strip_left(s, chars, set_bytes);
    if (side >= 0) end = strip_right(s, begin, chars, set_bytes);
    return str_slice(m, s, begin, end, out);
}

/* ---- splitting and replacing ---- */

static vlqa_status put_slice(struct machine *m, struct list *list, const struct str *s,
                             size_t begin, size_t end)
{
    struct str *cut;
    TRY(str_slice(m, s, begin, end, &cut));
    return list_append(m, list, (struct value){VALUE_STRING, {.s = cut}});
}

static vlqa_status split_words(struct machine *m, const struct str *s, const char *flat,
                               int64_t most, struct list *list)
{
    size_t at = 0, begin;
    for (;;) {
        while (at < s->bytes && is_white(point_at(flat + at, s->bytes - at)))
            at += str_point(flat + at, s->bytes - at);
        if (at >= s->bytes) return VLQA_OK;
        begin = at;
        if (most >= 0 && list->n >= most) {
            struct str *rest, *cut;
            TRY(str_slice(m, s, begin, s->bytes, &rest));
            TRY(str_strip(m, rest, NULL, 1, &cut));
            return list_append(m, list, (struct value){VALUE_STRING, {.s = cut}});
        }
        while (at < s->bytes && !is_white(point_at(flat + at, s->bytes - at)))
            at += str_point(flat + at, s->bytes - at);
        TRY(put_slice(m, list, s, begin, at));
    }
}

/* NULL: it is not there. Every search costs what memmem reads. */
static vlqa_status find_last(struct machine *m, const char *text, size_t bytes,
                             const struct str *what, const char *mark, const char **out)
{
    const char *from = text;
    *out = NULL;
    TRY(machine_work(m, bytes / 16));
    while ((from = memmem(from, bytes - (size_t)(from - text), mark, what->bytes))) {
        TRY(machine_work(m, 1 + what->bytes / 16));
        *out = from++;
    }
    return VLQA_OK;
}

static void reverse(struct list *list)
{
    for (int i = 0, j = list->n - 1; i < j; i++, j--) {
        struct value swap = list->values->at[i];
        list->values->at[i] = list->values->at[j];
        list->values->at[j] = swap;
    }
}

vlqa_status str_split(struct machine *m, const struct str *s, const struct str *by, int64_t most,
                      int right, struct list **out)
{
    const char *flat, *mark, *found;
    size_t begin = 0, end = s->bytes;
    *out = list_new(m);
    if (!*out) return VLQA_ELIMIT;
    TRY(str_flat(m, s, &flat));
    if (!by) return split_words(m, s, flat, most, *out);
    if (!by->bytes) return machine_fail(m, VLQA_EMODEL, "split by an empty text");
    TRY(str_flat(m, by, &mark));
    while (most < 0 || (*out)->n < most) {
        TRY(machine_work(m, 1));
        if (right)
            TRY(find_last(m, flat, end, by, mark, &found));
        else
            found = memmem(flat + begin, end - begin, mark, by->bytes);
        if (!found) break;
        if (right) {
            TRY(put_slice(m, *out, s, (size_t)(found - flat) + by->bytes, end));
            end = (size_t)(found - flat);
        } else {
            TRY(put_slice(m, *out, s, begin, (size_t)(found - flat)));
            begin = (size_t)(found - flat) + by->bytes;
        }
    }
    TRY(put_slice(m, *out, s, begin, end));
    if (right) reverse(*out);
    return VLQA_OK;
}

vlqa_status str_replace(struct machine *m, const struct str *s, const struct str *old,
                        const struct str *with, int64_t most, struct str **out)
{
    const char *flat, *mark, *found;
    size_t begin = 0;
    struct str *cut;
    if (!old->bytes) return machine_fail(m, VLQA_EMODEL, "replace of an empty text");
    *out = str_new(m);
    if (!*out) return VLQA_ELIMIT;
    TRY(str_flat(m, s, &flat));
    TRY(str_flat(m, old, &mark));
    for (; most; most--) {
        found = memmem(flat + begin, s->bytes - begin, mark, old->bytes);
        if (!found) break;
        TRY(machine_work(m, 1));
        TRY(str_slice(m, s, begin, (size_t)(found - flat), &cut));
        if (cut->bytes) TRY(str_append(m, *out, cut));
        TRY(str_append(m, *out, with));
        begin = (size_t)(found - flat) + old->bytes;
    }
    TRY(str_slice(m, s, begin, s->bytes, &cut));
    return cut->bytes || !(*out)->n ? str_append(m, *out, cut) : VLQA_OK;
}

static int is_letter(int32_t c)
{
    utf8proc_category_t kind = utf8proc_category(c);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

/* One code point to another; those that become several keep themselves. */
vlqa_status str_case(struct machine *m, const struct str *s, enum letter_case to, struct str **out)
{
    int inside = 0; /* of a word, or of the text */
    *out = str_new(m);
    if (!*out) return VLQA_ELIMIT;
    for (int i = 0; i < s->n; i++) {
        const struct part *part = &s->parts->at[i];
        char *copy = machine_push(m, 2 * part->bytes + 4);
        size_t n = 0;
        if (!copy) return VLQA_ELIMIT;
        TRY(machine_work(m, part->bytes / 4));
        for (size_t at = 0, bytes; at < part->bytes; at += bytes) {
            int32_t c = point_at(part->at + at, part->bytes - at);
            int upper = to == CASE_UPPER || (to >= CASE_CAPITAL && !inside);
            bytes = str_point(part->at + at, part->bytes - at);
            inside = to == CASE_CAPITAL || is_letter(c);
            c = upper ? utf8proc_toupper(c) : utf8proc_tolower(c);
            n += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)copy + n);
        }
        TRY(str_put(m, *out, (struct part){copy, n, part->source}));
    }
    return VLQA_OK;
}
