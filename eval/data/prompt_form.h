/* prompt_form.h - the words around a question, which scores depend on: those of the references, or
 * of a file.
 *
 *   vlmevalkit  the data set's default, which Qwen3-VL's configurations send, too
 *   lmms-eval   its task's
 *   qwen        VLMEvalKit's Qwen3VLPromptMixin (use_custom_prompt=True)
 *   infoflow    the InfoFlow-KV repository's own adapters
 *   plain       the question, and the options of a row that has some
 *   FILE        a text with {question} and, at will, {options} (lines "A. ..." without the last
 *               line end) and {hint} in it
 *
 * Where a reference has no prompt for such rows they get its usual one: lmms-eval's "Answer the
 * question using a single word or phrase." and, with options, "Answer with the option's letter from
 * the given choices directly."; of qwen and infoflow the question, with its options.
 *
 * Images come first, then the prompt as one text. Of LongBench the words in front of the documents
 * are prompt_form_before. */
#ifndef EVAL_PROMPT_FORM_H
#define EVAL_PROMPT_FORM_H

#include "eval/data/dataset.h"

struct prompt_form;

/* The one that rows of a layout (dataset_format) get where nobody names one: plain for JSON rows,
 * whose questions may be anything; vlmevalkit for the data sets that it has prompts for. */
const char *prompt_form_default(const char *format);
/* A name from above or else a path. */
vlqa_status prompt_form_open(struct env *env, const char *name, struct prompt_form **out);
/* The prompt of an item, ending with NUL, valid until the next. */
vlqa_status prompt_form_make(struct env *env, struct prompt_form *form,
                             const struct dataset_item *item, const char **out);
/* What stands before the texts of an item, or NULL. */
const char *prompt_form_before(const struct prompt_form *form, const struct dataset_item *item);
void prompt_form_close(struct prompt_form *form); /* NULL is fine */

#endif
