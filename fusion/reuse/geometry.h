/* geometry.h - where keys stand while tokens are scored: InfoFlow KV's four geometries. */
#ifndef FUSION_GEOMETRY_H
#define FUSION_GEOMETRY_H

#include "fusion/reuse/scorer.h"

/* The layout with other positions, pushed on mem, no more than a struct chunk_input takes: chunks
 * right behind the prefix (head) or right before the question (tail), the question right behind the
 * longest of them (head prompt) or where it is (tail prompt). Tokens between chunks stay. g is not
 * the global one. */
struct layout geometry_layout(const struct layout *l, enum vlqa_geometry g, struct arena *mem);
/* score_attention with keys placed as the options have it; they are in their own places
 * afterwards. */
vlqa_status geometry_score(struct scorer *c);

#endif
