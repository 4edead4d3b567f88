/* writer.h - the text of an answer as its tokens come: thoughts, answer, stop texts, and what the
 * caller is told when. */
#ifndef FUSION_WRITER_H
#define FUSION_WRITER_H

#include "include/vlqa.h"
#include "text/utf8.h"

enum writer_part {
    WRITER_BEGIN,    /* white space or part of <think> so far */
    WRITER_THINKING, /* in thoughts */
    WRITER_BETWEEN,  /* white space behind them */
    WRITER_ANSWER
};

struct writer {
    const struct vlqa_ask_options *o;
    char *text; /* [bytes] all that was generated, tags included; up to told the caller knows it */
    size_t bytes, told;
    enum writer_part part;
    size_t thinking, thinking_end, answer; /* where they begin and end in text */
    int has_thoughts;
    int stop_text; /* index of the one that was found, or -1 */
    int enough;    /* a callback asked to stop */
    struct utf8_stream utf8;
};

/* text: room for all of the answer, as UTF-8 with U+FFFD, and a NUL. begun: the prompt opened the
 * thoughts. */
void writer_begin(struct writer *w, const struct vlqa_ask_options *o, char *text, int begun);
/* Bytes of the next token. Nonzero: the answer ends, by a stop text or by the caller. What may be
 * the beginning of a stop text or of a tag is held back until it is known. */
int writer_put(struct writer *w, const char *delta, size_t bytes);
/* Nothing follows: tells what was held back, unless the answer has ended already. */
void writer_end(struct writer *w);
/* Text and thoughts of an answer, in place: tags are overwritten. At the very end. */
void writer_give(struct writer *w, struct vlqa_answer *out);

#endif
