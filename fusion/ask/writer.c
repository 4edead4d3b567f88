/* writer.c - the text of an answer in one buffer, and how far into it the caller has been told. */
#include "fusion/ask/writer.h"

#include "base/thinking.h"

#include <string.h>

#define OPEN_BYTES (sizeof THINKING_OPEN - 1)
#define CLOSE_BYTES (sizeof THINKING_CLOSE - 1)

struct match { /* in the text */
    size_t begin, end;
    int stop_text; /* its index, or -1: the tag behind thoughts */
};

void writer_begin(struct writer *w, const struct vlqa_ask_options *o, char *text, int begun)
{
    *w = (struct writer){.o = o, .text = text, .has_thoughts = begun, .stop_text = -1};
    text[0] = 0;
}

/* The text up to `to` goes to a callback; what is behind is dropped if it has enough. */
static void tell(struct writer *w, vlqa_token_fn fn, size_t to)
{
    size_t from = w->told;
    if (w->enough || to <= from) return;
    w->told = to;
    if (!fn || !fn(w->o->user, w->text + from, to - from)) return;
    w->enough = 1;
    w->bytes = to;
}

/* How many of the last untold bytes a pattern begins with, if it is longer. */
static size_t begun_pattern(const struct writer *w, const char *pattern, size_t pattern_bytes)
{
    size_t n = w->bytes - w->told;
    if (n >= pattern_bytes) n = pattern_bytes - 1;
    while (n && memcmp(w->text + w->bytes - n, pattern, n) != 0)
        n--;
    return n;
}

static const char *find(const struct writer *w, const char *pattern, size_t pattern_bytes)
{
    return memmem(w->text + w->told, w->bytes - w->told, pattern, pattern_bytes);
}

/* The pattern that is complete first, so that it does not matter how tokens cut the text; of those
 * that end together the one that begins first. */
static void take_first(const struct writer *w, const char *pattern, int stop_text, struct match *m)
{
    size_t bytes = strlen(pattern), begin;
    const char *at = find(w, pattern, bytes);
    if (!at) return;
    begin = (size_t)(at - w->text);
    if (m->end && (begin + bytes > m->end || (begin + bytes == m->end && begin >= m->begin)))
        return;
    *m = (struct match){begin, begin + bytes, stop_text};
}

/* Nonzero: all that there is from `at` on. */
static int is_space_from(const struct writer *w, size_t at, size_t *end)
{
    while (at < w->bytes && thinking_is_space(w->text[at]))
        at++;
    *end = at;
    return at == w->bytes;
}

/* The end of a text in [from, to) without the white space there. */
static size_t trimmed(const struct writer *w, size_t from, size_t to)
{
    while (to > from && thinking_is_space(w->text[to - 1]))
        to--;
    return to;
}

/* ---- one step in each part; nonzero: the next part begins, look again ---- */

static int step_begin(struct writer *w, int end)
{
    size_t at, n;
    is_space_from(w, 0, &at);
    n = w->bytes - at < OPEN_BYTES ? w->bytes - at : OPEN_BYTES;
    if (memcmp(w->text + at, THINKING_OPEN, n) == 0) {
        if (n < OPEN_BYTES && !end) return 0;
        w->has_thoughts |= n == OPEN_BYTES;
        at += n == OPEN_BYTES ? n : 0;
    }
    w->part = w->has_thoughts ? WRITER_THINKING : WRITER_ANSWER;
    if (w->has_thoughts) w->told = w->thinking = at;
    return 1;
}

static int step_thinking(struct writer *w, int end)
{
    const char *close;
    size_t to;
    if (w->told == w->thinking) {
        is_space_from(w, w->thinking, &w->thinking);
        w->told = w->thinking;
    }
    close = find(w, THINKING_CLOSE, CLOSE_BYTES);
    to = w->bytes - (end ? 0 : begun_pattern(w, THINKING_CLOSE, CLOSE_BYTES));
    if (close) to = (size_t)(close - w->text);
    w->thinking_end = trimmed(w, w->told, to);
    tell(w, w->o->on_thinking, w->thinking_end);
    if (!close || w->enough) return 0;
    w->told = w->answer = to + CLOSE_BYTES;
    w->part = WRITER_BETWEEN;
    return 1;
}

static int step_between(struct writer *w, int end)
{
    int blank = is_space_from(w, w->answer, &w->answer);
    w->told = w->answer;
    if (blank && !end) return 0;
    w->part = WRITER_ANSWER;
    return 1;
}

/* What was taken for the answer turns out to be thoughts: the prompt had opened them, unseen. */
static void begin_again(struct writer *w, const struct match *tag)
{
    const char *open = memmem(w->text, tag->begin, THINKING_OPEN, OPEN_BYTES);
    w->has_thoughts = 1;
    is_space_from(w, open ? (size_t)(open - w->text) + OPEN_BYTES : 0, &w->thinking);
    w->thinking_end = trimmed(w, w->thinking, tag->begin);
    w->told = w->answer = tag->end;
    w->part = WRITER_BETWEEN;
}

static int step_answer(struct writer *w, int end)
{
    struct match m = {.stop_text = -1};
    size_t held = 0, n;
    for (int i = 0; i < w->o->n_stop_text; i++) {
        take_first(w, w->o->stop_text[i], i, &m);
        n = begun_pattern(w, w->o->stop_text[i], strlen(w->o->stop_text[i]));
        if (n > held) held = n;
    }
    if (!w->has_thoughts) {
        take_first(w, THINKING_CLOSE, -1, &m);
        n = begun_pattern(w, THINKING_CLOSE, CLOSE_BYTES);
        if (n > held) held = n;
    }
    if (m.end && m.stop_text < 0) {
        begin_again(w, &m);
        return 1;
    }
    if (m.end) {
        w->stop_text = m.stop_text;
        w->bytes = m.begin;
    }
    tell(w, w->o->on_token, m.end || end ? w->bytes : w->bytes - held);
    return 0;
}

static void go_on(struct writer *w, int end)
{
    static int (*const step[])(struct writer *, int) = {
        [WRITER_BEGIN] = step_begin,
        [WRITER_THINKING] = step_thinking,
        [WRITER_BETWEEN] = step_between,
        [WRITER_ANSWER] = step_answer,
    };
    while (step[w->part](w, end))
        ;
}

int writer_put(struct writer *w, const char *delta, size_t bytes)
{
    w->bytes += utf8_stream_push(&w->utf8, delta, bytes, w->text + w->bytes);
    go_on(w, 0);
    return w->enough || w->stop_text >= 0;
}

void writer_end(struct writer *w)
{
    if (w->enough || w->stop_text >= 0) return;
    w->bytes += utf8_stream_end(&w->utf8, w->text + w->bytes);
    go_on(w, 1);
}

void writer_give(struct writer *w, struct vlqa_answer *out)
{
    int is_open = w->has_thoughts && w->part <= WRITER_THINKING;
    if (is_open) w->answer = w->bytes;
    w->text[w->bytes] = 0;
    out->text = w->text + w->answer;
    out->text_bytes = w->bytes - w->answer;
    out->thinking = out->text + out->text_bytes;
    out->stop_text = w->stop_text;
    if (!w->has_thoughts) return;
    if (is_open) w->thinking_end = trimmed(w, w->thinking, w->bytes);
    w->text[w->thinking_end] = 0;
    out->thinking = w->text + w->thinking;
    out->thinking_bytes = w->thinking_end - w->thinking;
    out->thinking_is_open = is_open;
}
