/* refresh.h - tokens that are repaired while the answer is generated: the second stage of KVShare.
 */
#ifndef FUSION_REFRESH_H
#define FUSION_REFRESH_H

#include "fusion/reuse/choose.h"

/* Whether any are repaired behind this many tokens of the answer. */
int refresh_is_due(const struct view *v, const struct choice *c, int n_tokens);
/* run_token for the last token of the answer, and then that repair: the unrepaired tokens of the
 * highest attention x deviation. */
vlqa_status refresh_decode(const struct view *v, struct choice *c, int n_tokens, int32_t id,
                           int32_t slot, int32_t position);

#endif
