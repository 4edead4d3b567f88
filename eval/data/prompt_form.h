/* prompt_form.h - the words around a question, which scores depend on: those of the references, or
 * of a file.
 *
 *   vlmevalkit  the data set's default, which Qwen3-VL's configurations send, too
 *   lmms-eval   its task's
 *   qwen        VLMEvalKit's Qwen3VLPromptMixin (use_custom_prompt=True)
 *   infoflow    the InfoFlow-KV repository's own adapters
 *   FILE        a text with {question} and, at will, {options} (lines "A. ..." without the last
 *               line end) and {hint} in it
 *
 * Images come first, then the prompt as one text. Of LongBench the words in front of the documents
 * are prompt_form_before. */
#ifndef EVAL_PROMPT_FORM_H
#define EVAL_PROMPT_FORM_H

#include "eval/data/dataset.h"

struct prompt_form;

/* A name from above or else a path. */
vlqa_status prompt_form_open(struct env *env, const char *name, struct prompt_form **out);
/* The prompt of an item, ending with NUL, valid until the next. VLQA_EUSAGE where the reference has
 * none for such an item. */
vlqa_status prompt_form_make(struct env *env, struct prompt_form *form,
                             const struct dataset_item *item, const char **out);
/* What stands before the texts of an item, or NULL. */
const char *prompt_form_before(const struct prompt_form *form, const struct dataset_item *item);
void prompt_form_close(struct prompt_form *form); /* NULL is fine */

#endif
