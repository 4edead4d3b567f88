/* plan.h - the conversation and a question as a prompt and its layout. */
#ifndef FUSION_PLAN_H
#define FUSION_PLAN_H

#include "fusion/session/session.h"

/* order [s->n_items]: which item stands there; NULL: each in its place. Prompt and layout are
 * pushed on the session's request arena; the ids go to s->prompt_token, too. */
vlqa_status plan_build(struct vlqa_session *s, const char *question, const int32_t *order,
                       struct prompt *prompt, struct layout *layout);
/* What that pushes besides them, at most, on an empty arena. */
void plan_measure(struct arena *dry);
/* An image or document to be read, as opposed to system text, questions and answers. */
int plan_is_context(const struct session_item *item);

#endif
