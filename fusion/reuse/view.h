/* view.h - a request over its chunks, as those see it that place, score and repair them. A look at
 * the same request in another way is another view, made from a copy. */
#ifndef FUSION_VIEW_H
#define FUSION_VIEW_H

#include "fusion/session/run.h"
#include "fusion/store/record.h"

struct view {
    struct run run;
    const struct vlqa_ask_options *o;
    const struct vlqa_experimental *x; /* of o, or defaults */
    const struct record **chunk;       /* [layout.n_segments] pinned, NULL where there is none */
    const int8_t *giver; /* [layout.n_segments] the rank that places it for all; negative, or NULL:
                          * each has the chunk and places it */
    const void **on_gpu; /* [layout.n_segments] their copies, pinned, or NULL */
    int32_t *list;       /* [layout.n] work: slots of a pass */
    int stand_ready;     /* tokens of stand-ins whose KV stands behind the prefix */
    int exact_too;       /* nonzero: exact tokens may be chosen, too */
    struct vlqa_answer *answer; /* chunks and tokens that are computed are counted here */
};

#endif
