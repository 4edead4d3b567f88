/* move.h - tokens of a KV to other slots. */
#ifndef FUSION_MOVE_H
#define FUSION_MOVE_H

#include "fusion/session/session.h"

/* Keys and values of a KV head in a layer: from slots from [n], ascending, to slots 0, 1, ... */
void move_tokens(struct vlqa_session *s, int layer, int head, int n, const int32_t *from);
/* What that takes of the scratch while it runs, counted into the peaks of an empty workspace. */
void move_measure(const struct vlqa_engine *e, int max_seq_len, struct workspace *dry);
/* Slots [begin, end) of all layers are not in use: their memory may go back. After a sync. */
void move_forget(struct vlqa_session *s, int begin, int end);

#endif
