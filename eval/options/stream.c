/* stream.c - deltas to standard output. */
#include "eval/options/stream.h"

#include <string.h>

static void put(struct stream *s, const char *utf8, size_t bytes)
{
    if (!bytes || s->code != CLI_OK) return;
    s->code = cli_write(utf8, bytes);
    s->last = utf8[bytes - 1];
}

/* Each tag stands on a line of its own. */
void stream_thoughts(struct stream *s, const char *utf8, size_t bytes)
{
    if (!s->in_thoughts) put(s, "<think>\n", 8);
    s->in_thoughts = 1;
    put(s, utf8, bytes);
}

static void end_thoughts(struct stream *s)
{
    if (s->in_thoughts) put(s, "\n</think>\n\n", 11);
    s->in_thoughts = 0;
}

void stream_answer(struct stream *s, const char *utf8, size_t bytes)
{
    end_thoughts(s);
    put(s, utf8, bytes);
}

void stream_whole(struct stream *s, const struct vlqa_answer *answer, int show_thinking)
{
    if (show_thinking && answer->thinking_bytes)
        stream_thoughts(s, answer->thinking, answer->thinking_bytes);
    if (!answer->thinking_is_open) stream_answer(s, answer->text, answer->text_bytes);
}

int stream_end(struct stream *s)
{
    if (s->last != '\n') put(s, "\n", 1);
    return s->code;
}
