/* chunk_parts.h - a chunk step by step, for whoever fetches some of many: described, loaded or
 * made, and listed in the answer. */
#ifndef FUSION_CHUNK_PARTS_H
#define FUSION_CHUNK_PARTS_H

#include "fusion/reuse/chunk.h"

struct chunk_plan { /* of a segment */
    const struct segment *segment;
    struct chunk_input input; /* in the request's memory, until that is rewound */
    struct key key;
    struct record_shape shape; /* with cols */
    int cols[2 * KV_MAX_LAYERS];
};

struct key chunk_prefix(const struct layout *l); /* over the tokens that all chunks see */
void chunk_plan(const struct view *v, const struct segment *p, struct key prefix,
                struct chunk_plan *out);
/* Pinned, or NULL: a miss. */
const struct record *chunk_load(const struct view *v, const struct chunk_plan *c,
                                enum store_where *where);
/* Computed and put into the store; pinned. */
vlqa_status chunk_make(const struct view *v, const struct chunk_plan *c, const struct record **out);
/* The chunk of a segment is there, in v->chunk: copied to the device where copies are kept, and
 * listed in the answer. where: it was found, or STORE_MISS: computed. */
void chunk_list(struct view *v, int segment, enum store_where where, struct load_estimate takes,
                struct chunk_list before);
/* chunk_fetch on several ranks: each chunk is looked up on all of them, what is missing is computed
 * by one of them, and all have all in the end. */
vlqa_status chunk_fetch_by_ranks(struct view *v, struct chunk_list before);
void chunk_measure_ranks(int ranks, int max_seq_len, struct arena *dry);

#endif
