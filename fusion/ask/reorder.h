/* reorder.h - whole images and documents in an order of their own (InfoFlow KV's reordering). */
#ifndef FUSION_REORDER_H
#define FUSION_REORDER_H

#include "fusion/ask/request.h"

/* Puts those that the question looks at most next to it and has their chunks again: pinned, not
 * placed. */
vlqa_status reorder_items(struct ask *a);

#endif
