/* fetch.h - the context of a question in chunks. */
#ifndef FUSION_FETCH_H
#define FUSION_FETCH_H

#include "fusion/ask/request.h"
#include "fusion/reuse/chunk.h"

/* Cuts the context, runs the prefix and has every chunk: pinned, not placed. before: as in
 * chunk_fetch. */
vlqa_status fetch_context(struct ask *a, struct chunk_list before);

#endif
