/* stream.h - an answer to standard output as it comes, its thoughts between their tags. */
#ifndef EVAL_STREAM_H
#define EVAL_STREAM_H

#include "eval/cli/cli.h"

struct stream {
    int code;        /* of the writing so far */
    int in_thoughts; /* these were written last */
    char last;       /* byte written */
};

void stream_answer(struct stream *s, const char *utf8, size_t bytes);
void stream_thoughts(struct stream *s, const char *utf8, size_t bytes);
/* Of an answer that was not streamed. */
void stream_whole(struct stream *s, const struct vlqa_answer *answer, int show_thinking);
/* A line feed, unless there is one; returns the code. */
int stream_end(struct stream *s);

#endif
