/* chunk.h - segments of the context as stored chunks: found or computed, then placed. */
#ifndef FUSION_CHUNK_H
#define FUSION_CHUNK_H

#include "fusion/reuse/view.h"

struct chunk_list { /* chunks as an answer tells of them */
    const struct vlqa_placed_chunk *chunk;
    int n;
};

/* Chunks of every segment, from the store or computed and stored; pinned in v->chunk [n_segments],
 * which is cleared, and listed in s->placed_chunk. before: what was listed before the same items
 * were reordered; a chunk that is in memory now may have been computed for this question. */
vlqa_status chunk_fetch(struct view *v, struct chunk_list before);
/* Writes them to their slots at their positions. */
void chunk_place(const struct view *v);
/* The same for tokens [begin, begin + n) of a segment, at most SESSION_PASS_TOKENS. */
void chunk_place_part(const struct view *v, int segment, int begin, int n);
/* With a sync of the queue where chunks have copies on the device: its status. */
vlqa_status chunk_release(struct view *v);
/* What placing so many tokens at a time takes of the scratch while it runs, counted into the peaks
 * of an empty workspace. */
void chunk_measure(const struct vlqa_engine *e, int rows, struct workspace *dry);

#endif
