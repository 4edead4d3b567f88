/* store_gpu.h - copies of records in the memory of a device, so that placing them needs no copy
 * from the host: pins, a budget, the least recently used goes first. Safe for threads. */
#ifndef FUSION_STORE_GPU_H
#define FUSION_STORE_GPU_H

#include "fusion/store/record.h"
#include "kernels/device.h"

struct store_gpu; /* locks itself; NULL: nothing is kept, which every function takes */

/* All of its memory is taken here. NULL where bytes are 0, where the device shares the host's
 * memory, and, with a warning in the log, where there is not so much: records are then in RAM only,
 * which is no error. */
struct store_gpu *store_gpu_open(struct env *env, struct device *device, size_t bytes);
void store_gpu_close(struct store_gpu *g); /* nothing is pinned, no queue works with it */

struct store_gpu_copy {
    void *at;   /* the matrices of the record, as they lie in it; NULL: no copy, and no pin */
    int is_new; /* nothing is there yet: the caller enqueues the upload of store_gpu_bytes */
};

/* The copy of a record for work that is enqueued on q, pinned. What another queue is still
 * uploading is no copy for this one. */
struct store_gpu_copy store_gpu_get(struct store_gpu *g, const struct record *record,
                                    const struct queue *q);
int store_gpu_has(struct store_gpu *g, const struct key *key); /* it may be gone when asked for */
/* The work has ended, in a sync of q that succeeded or not: what was uploaded before one that did
 * not is no copy of anything. */
void store_gpu_unpin(struct store_gpu *g, const void *at, int succeeded);
size_t
store_gpu_bytes(const struct record *record); /* from its first matrix to the end of the last */

struct store_gpu_stats {
    uint64_t records, bytes; /* now */
    uint64_t hits, loads, evicted;
};
void store_gpu_stats(struct store_gpu *g, struct store_gpu_stats *out);

#endif
