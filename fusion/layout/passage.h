/* passage.h - where the passages of documents begin, by the bytes of their tokens. Pure. */
#ifndef FUSION_PASSAGE_H
#define FUSION_PASSAGE_H

#include "text/prompt.h"

/* Sets begins[i] for the tokens of documents at which a passage begins, 0 for all others: behind a
 * blank line, the first token with a character that is no white space; and where a line begins with
 * "Passage ". Where that is inside of a token, the token behind it. begins: [p->n]. */
void passage_mark(const struct tokenizer *t, const struct prompt *p, uint8_t *begins);

#endif
