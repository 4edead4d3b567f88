/* thinking.h - which part of an answer is thoughts: <think>...</think>, as Thinking checkpoints
 * write it. */
#ifndef BASE_THINKING_H
#define BASE_THINKING_H

#include <stddef.h>

#define THINKING_OPEN "<think>"
#define THINKING_CLOSE "</think>"

struct thinking {      /* byte offsets in a text */
    int found;         /* there are thoughts; else the whole text is the answer */
    int is_open;       /* they do not end: there is no answer */
    size_t begin, end; /* the thoughts, without tags and the white space around them */
    size_t answer;     /* where the answer begins, behind white space; the text's end if is_open.
                        * 0 without thoughts: the text is left as it is. */
};

/* begun: the prompt opened the thoughts, so that the text begins inside of them. Else they begin
 * with a <think> that only white space stands before. A </think> without that (the lone tag of a
 * model whose prompt opened them) ends thoughts that began with the text, or at a later <think>.
 * The first </think> counts, as in vLLM's parser of Qwen3. */
struct thinking thinking_find(const char *text, size_t bytes, int begun);
/* The text has a <think> and no </think> behind the last of them. */
int thinking_is_left_open(const char *text, size_t bytes);
int thinking_is_space(char c); /* ASCII white space */

#endif
