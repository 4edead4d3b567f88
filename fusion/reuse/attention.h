/* attention.h - what the last token of the prompt attends to, counted in the pass that computes it:
 * scores for an answer whose tokens nobody scored. */
#ifndef FUSION_ATTENTION_H
#define FUSION_ATTENTION_H

#include "fusion/reuse/choose.h"

/* Sets `last` up, in the layers that the options name, and has v->run count it from now on. */
void attention_begin(struct view *v, struct probe *last);
/* What the last pass counted, by token of the prompt, as the choice's scores. Syncs. */
vlqa_status attention_take(const struct view *v, struct choice *c);

#endif
