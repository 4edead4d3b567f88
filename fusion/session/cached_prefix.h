/* cached_prefix.h - the leading tokens whose exact KV the session has from the request before. */
#ifndef FUSION_CACHED_PREFIX_H
#define FUSION_CACHED_PREFIX_H

#include "fusion/session/run.h"

/* How many of this request's. */
int cached_prefix_count(const struct vlqa_session *s, const struct layout *l);
/* The first n of this request are exact now. */
void cached_prefix_set(struct vlqa_session *s, const struct layout *l, int n);
/* A decode pass wrote a token of the answer to this slot; it is exact where all before it are and
 * the device's decode passes have the bits of prefill. Else the next question computes it anew. */
void cached_prefix_append(struct vlqa_session *s, int32_t slot, int32_t id);
/* Runs slots [begin, end); behind cached ones they are exact, and cached from then on. */
vlqa_status cached_prefix_extend(const struct run *r, const char *phase, int begin, int end,
                                 float *logits);

#endif
