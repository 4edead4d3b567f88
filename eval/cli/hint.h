/* hint.h - what to type instead, for words that people put where an option or verb was expected. */
#ifndef EVAL_HINT_H
#define EVAL_HINT_H

#include <stddef.h>

#define HINT_CAP 512

/* A URL, a model's name on a hub, a model in one file, a directory, an image, a text or a data set:
 * half a sentence that says what to do with it. Returns out, or NULL: nothing is known of it. Looks
 * at the word, and whether a file has that name. */
const char *hint_of(const char *word, char out[HINT_CAP]);
/* Of an option that other programs have and this one has not. */
const char *hint_of_option(const char *option, char out[HINT_CAP]);

#endif
