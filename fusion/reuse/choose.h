/* choose.h - which context tokens are recomputed, round by round. */
#ifndef FUSION_CHOOSE_H
#define FUSION_CHOOSE_H

#include "fusion/reuse/view.h"

struct choice {        /* over all rounds; by token of the prompt where not said otherwise */
    float *score;      /* [n] of the last round; NULL: nothing was scored */
    uint8_t *selected; /* [n] the round in which it was chosen, or 0 */
    uint8_t *depth;    /* [n] by slot: layers that the repair writes of it */
    int n_selected;
    int answered; /* s->first_logits are of the KV as it is */
};

/* Nothing is chosen yet. depth is pushed on the session's request arena, the rest is the session's
 * own. */
struct choice choose_begin(const struct view *v);
/* Sets c->selected to `round` (1, 2, ... with adaptive) for the tokens that the options pick now,
 * and their c->depth: what attention, deviation or order say. The chunks are in place, and the
 * tokens of earlier rounds are repaired. */
vlqa_status select_tokens(const struct view *v, int round, struct choice *c);

#endif
