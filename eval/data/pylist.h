/* pylist.h - answer cells that are Python lists: "['$12', '12']", "[7, 9]".
 *
 * VLMEvalKit evaluates a cell and takes str() of the elements where that gives a list. Read here:
 * lists of strings (all quotes, prefixes r and u, every escape but \N{...}), whole numbers, floats,
 * True, False and None. Any other cell, other expressions among them, is its own text. */
#ifndef EVAL_PYLIST_H
#define EVAL_PYLIST_H

#include "eval/grade/unicode.h"

/* The elements, in the arena; 0 when the cell is no such list: nothing is kept then. The arena
 * needs 16 bytes for each of the cell and 512 more. */
int pylist_read(struct text cell, struct arena *arena, struct text **out, int *n);

#endif
