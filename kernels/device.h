/* device.h - where memory and weights live (struct device, one an engine) and in which order work
 * is done (struct queue, one a session).
 *
 * A queue is in order: operations (kernels/ops.h) and copies are enqueued, return at once and
 * cannot fail; queue_sync waits for them and returns the first error that happened. Only then may
 * the host read what a download wrote. What an upload reads may change as soon as the call returns.
 */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include "base/arena.h"
#include "base/env.h"
#include "kernels/tensor.h"

struct backend_ops;
struct queue;
struct vlqa_ranks;

struct device {
    const struct backend_ops *op;
    struct env *env; /* with the pool of its threads; outlives the device */
    void *impl;
    /* Whose devices give one another memory by themselves (comm.h); NULL: none. */
    struct vlqa_ranks *ranks;
};

/* Sees intermediate results, for tests and debugging: called in the order of computation. name is a
 * rung of docs/MODEL.md ("vit.block", "text.q", ...); m is device memory, read with queue_read. */
typedef void (*trace_fn)(void *user, struct queue *q, const char *name, int layer, struct mat m);

struct queue {
    const struct backend_ops *op;
    struct device *device;
    struct env *env; /* of the session: outlives the queue */
    void *impl;
    struct vlqa_ranks *ranks; /* whose queues do the same; NULL: alone (comm.h) */
    int decode;               /* nonzero: operations are of a decode pass (ops.h) */
    int single_launches;      /* nonzero: decode passes launch their kernels one by one */
    trace_fn trace;           /* NULL: nobody looks */
    void *trace_user;
};

/* The CPU with the highest instruction set up to `cpu` (VLQA_CPU_AUTO: the best one there is);
 * VLQA_EDEVICE when a named one is missing. */
vlqa_status device_open(struct env *env, enum vlqa_cpu cpu, struct device **out);
/* The gpu-th GPU where `device` is CUDA (VLQA_EDEVICE where there is none), the CPU where it is
 * CPU; AUTO: a GPU if there is one, else the CPU, and the log says why. */
vlqa_status device_choose(struct env *env, enum vlqa_device device, enum vlqa_cpu cpu, int gpu,
                          struct device **out);
void device_close(struct device *d);             /* after its queues; NULL is fine */
const char *device_name(const struct device *d); /* "plain", "avx2", "amx", "cuda sm80 k4" */
/* By what results on this device have other last bits than on others: the name, and what was chosen
 * when products were expected. */
const char *device_arithmetic(const struct device *d);
int device_has_cpu(enum vlqa_cpu cpu);          /* can this machine run it? */
int device_shares_host(const struct device *d); /* nonzero: device memory is host memory */
/* Nonzero: what decode passes compute differs from other passes in its last bits. */
int device_decodes_apart(const struct device *d);
/* Products y = x w^T + bias will be asked for, with y in f32 and without an activation; w has been
 * uploaded. The device may choose now how it makes them, for which it takes time and, until it
 * returns, memory: VLQA_EMEMORY as device_no_memory says it, VLQA_EDEVICE. */
vlqa_status device_expect(struct env *env, struct device *d, struct weight w, enum dtype x,
                          int has_bias);
/* One block for an arena: zeroed, 64-byte aligned; NULL: no memory. host: for what the host reads
 * and writes and copies go to and from. Released when no queue works with it any more. */
void *device_alloc(struct device *d, size_t bytes);
void *device_alloc_host(struct device *d, size_t bytes);
/* Why device_alloc gave NULL: VLQA_EMEMORY "out of memory: NAME needs N bytes" and, of a GPU, how
 * many are free; VLQA_EDEVICE where the device has failed before. */
vlqa_status device_no_memory(struct env *env, const struct device *d, const char *name,
                             size_t bytes);
void device_release(struct device *d, void *block); /* NULL is fine */
void device_release_host(struct device *d, void *block);
/* What lies there is not wanted any more, and no queue works with it: a device that can gives the
 * memory back until it is written again. Its contents are then anything. */
void device_forget(struct device *d, void *at, size_t bytes);

vlqa_status queue_open(struct device *d, struct env *env, struct queue **out);
void queue_close(struct queue *q); /* NULL is fine; what is still enqueued is dropped */
void queue_upload(struct queue *q, void *dst, const void *src, size_t bytes);
void queue_download(struct queue *q, void *dst, const void *src, size_t bytes);
void queue_clear(struct queue *q, void *dst, size_t bytes); /* to zeros */
vlqa_status queue_sync(struct queue *q);
/* A matrix to host memory at once, its rows without gaps: for tests and traces. */
vlqa_status queue_read(struct queue *q, void *dst, struct mat src);

static inline void k_trace(struct queue *q, const char *name, int layer, struct mat m)
{
    if (q->trace) q->trace(q->trace_user, q, name, layer, m);
}

/* ---- room for a computation, on both sides ---- */

struct workspace {
    struct arena host, device;
};

struct workspace_used {
    size_t host, device;
};

/* A workspace with memory of its own, as large as the peaks of a measuring one. */
struct device_room {
    struct device *device;
    void *host_block, *device_block;
    struct workspace ws;
};

/* VLQA_EMEMORY as device_no_memory says it. */
vlqa_status device_room_open(struct env *env, struct device *d, const char *name,
                             const struct workspace *measured, struct device_room *out);
void device_room_close(struct device_room *room); /* one that failed to open is fine */

struct workspace_used workspace_mark(const struct workspace *ws);
void workspace_rewind(struct workspace *ws, struct workspace_used mark);
struct mat workspace_mat(struct workspace *ws, enum dtype dtype, int rows, int cols);

/* Bytes that both sides have: one block where they share memory, else a block on each. */
struct mirror {
    void *host, *at;
    size_t bytes;
};

struct mirror mirror_push(const struct device *d, struct workspace *ws, size_t bytes);
/* The same of bytes that the host has already; room is device memory for them, not used where
 * memory is shared. */
struct mirror mirror_over(const struct device *d, void *host, void *room, size_t bytes);
void mirror_send(struct queue *q, struct mirror m);  /* host to device */
void mirror_fetch(struct queue *q, struct mirror m); /* device to host: to be read after a sync */

/* The small arrays of a pass, one behind the other, uploaded once. */
struct header {
    struct mirror memory;
    size_t used;
};

/* Room for the bytes of all arrays; each is a multiple of 4 bytes. */
struct header header_push(const struct device *d, struct workspace *ws, size_t bytes);
/* n values to fill on the host before header_send, and the view of them that operations take. */
struct ints header_ints(struct header *h, int n, int32_t **fill);
struct spans header_spans(struct header *h, int n, struct span **fill);
struct mat header_floats(struct header *h, int rows, int cols, float **fill);
void header_send(struct queue *q, const struct header *h);

#endif
