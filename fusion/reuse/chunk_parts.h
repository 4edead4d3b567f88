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
vlqa_status chunk_make(struct view *v, const struct chunk_plan *c, const struct record **out);
/* The chunk of a segment is there, in v->chunk: copied to the device where copies are kept, and
 * listed in the answer. where: it was found, or STORE_MISS: computed. */
void chunk_list(struct view *v, int segment, enum store_where where, struct load_estimate takes,
                struct chunk_list before);
/* chunk_fetch on several ranks: each chunk is looked up on all of them, and what is missing is
 * computed by one of them. v->giver says who has what. */
vlqa_status chunk_fetch_by_ranks(struct view *v, struct chunk_list before);
/* Keys and values that each rank has placed of the segments it gives, to all ranks. */
void chunk_exchange(const struct view *v);
/* What the former takes of the request, and the latter of the scratch while it runs, counted into
 * their peaks. */
void chunk_measure_ranks(const struct vlqa_engine *e, int max_seq_len, struct workspace *request);
void chunk_measure_exchange(const struct vlqa_engine *e, struct workspace *scratch);

#endif
