/* passage.c - the bytes of a document's tokens, one after the other: blank lines and headings. */
#include "fusion/layout/passage.h"

#include <string.h>

static const char heading[] = "Passage ";

struct reader {    /* of the tokens of one document */
    int text;      /* something was read that is no white space */
    int line_ends; /* since then */
    int due;       /* a passage began inside of the last token */
};

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The tokens from `token` on begin with the heading. */
static int has_heading(const struct tokenizer *t, const struct prompt *p, int at)
{
    const char *left = heading;
    for (int i = at; i < p->n && p->text[i] == p->text[at]; i++) {
        size_t bytes;
        const char *utf8 = tokenizer_token_bytes(t, p->id[i], &bytes);
        for (size_t b = 0; b < bytes; b++) {
            if (utf8[b] != *left) return 0;
            if (!*++left) return 1;
        }
    }
    return 0;
}

/* Nonzero: a passage begins with this token. */
static int read_token(struct reader *r, const char *utf8, size_t bytes, int headed)
{
    int begins = 0, text = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (is_space(utf8[i])) {
            r->line_ends += utf8[i] == '\n';
            continue;
        }
        if (r->text && (r->due || r->line_ends >= 2 || (r->line_ends && headed))) {
            begins |= !text;
            r->due = text; /* the end of the passage before is in this token, too */
        }
        r->text = text = 1;
        r->line_ends = 0;
    }
    return begins;
}

void passage_mark(const struct tokenizer *t, const struct prompt *p, uint8_t *begins)
{
    struct reader r = {0, 0, 0};
    for (int i = 0; i < p->n; i++) {
        size_t bytes;
        const char *utf8 = tokenizer_token_bytes(t, p->id[i], &bytes);
        begins[i] = 0;
        if (p->text[i] < 0) continue;
        if (i == 0 || p->text[i - 1] != p->text[i]) r = (struct reader){0, 0, 0};
        begins[i] = (uint8_t)read_token(&r, utf8, bytes, has_heading(t, p, i));
    }
}
