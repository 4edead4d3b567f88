/* thoughts.h - what of a prediction is graded, where a model wrote its thoughts before it.
 *
 * VLMEvalKit grades the text behind the last </think> (inference.py with SPLIT_THINK). lmms-eval
 * takes out every <think>...</think> and <analysis>...</analysis>, and where only a closing tag is
 * left all up to the last one (strip_reasoning_tags with its default tags). A tag that is not
 * closed stays in both. Outer blanks go with the thoughts. */
#ifndef EVAL_THOUGHTS_H
#define EVAL_THOUGHTS_H

#include "eval/grade/unicode.h"

/* What each grades: the text itself where it finds no thoughts, else a part of it or, where several
 * parts are left, a text in the arena, which needs 16 bytes for each of the prediction and 1,024
 * more. */
struct text thoughts_cut_vlmevalkit(struct text prediction, struct arena *arena);
struct text thoughts_cut_lmms(struct text prediction, struct arena *arena);
/* What thoughts_cut_vlmevalkit leaves, for a program that grades it elsewhere: heap_free; NULL: no
 * memory. */
char *thoughts_answer(const char *prediction);

#endif
