/* device.c - devices, queues, and the room that a computation takes on both sides. */
#include "base/heap.h"
#include "kernels/backend.h"
#include "kernels/comm.h"
#include "kernels/cpu/cpu.h"

#include <string.h>

vlqa_status device_open(struct env *env, enum vlqa_cpu cpu, struct device **out)
{
    return cpu_open(env, cpu, out);
}

void device_close(struct device *d)
{
    if (d) d->op->close(d);
}

const char *device_name(const struct device *d)
{
    return d->op->name;
}

const char *device_arithmetic(const struct device *d)
{
    return d->op->arithmetic ? d->op->arithmetic(d) : d->op->name;
}

vlqa_status device_expect(struct env *env, struct device *d, struct weight w, enum dtype x,
                          int has_bias)
{
    return d->op->expect ? d->op->expect(env, d, w, x, has_bias) : VLQA_OK;
}

int device_shares_host(const struct device *d)
{
    return d->op->shares_host;
}

int device_decodes_apart(const struct device *d)
{
    return d->op->decodes_apart;
}

void *device_alloc(struct device *d, size_t bytes)
{
    return d->op->alloc(d, bytes);
}

void *device_alloc_host(struct device *d, size_t bytes)
{
    return d->op->alloc_host(d, bytes);
}

vlqa_status device_no_memory(struct env *env, const struct device *d, const char *name,
                             size_t bytes)
{
    return d->op->no_memory ? d->op->no_memory(env, d, name, bytes)
                            : env_no_memory(env, name, bytes);
}

void device_release(struct device *d, void *block)
{
    if (block) d->op->release(d, block);
}

void device_release_host(struct device *d, void *block)
{
    if (block) d->op->release_host(d, block);
}

void device_forget(struct device *d, void *at, size_t bytes)
{
    if (d->op->forget && bytes) d->op->forget(d, at, bytes);
}

vlqa_status queue_open(struct device *d, struct env *env, struct queue **out)
{
    struct queue *q = heap_alloc_zero(sizeof *q);
    vlqa_status status;
    *out = NULL;
    if (!q) return env_no_memory(env, "queue", sizeof *q);
    *q = (struct queue){.op = d->op, .device = d, .env = env};
    status = d->op->queue_open(q);
    if (status == VLQA_OK)
        *out = q;
    else
        heap_free(q);
    return status;
}

void queue_close(struct queue *q)
{
    if (!q) return;
    q->op->queue_close(q);
    heap_free(q);
}

void queue_upload(struct queue *q, void *dst, const void *src, size_t bytes)
{
    if (bytes) q->op->upload(q, dst, src, bytes);
}

void queue_download(struct queue *q, void *dst, const void *src, size_t bytes)
{
    if (bytes) q->op->download(q, dst, src, bytes);
}

void queue_clear(struct queue *q, void *dst, size_t bytes)
{
    if (bytes) q->op->clear(q, dst, bytes);
}

vlqa_status queue_sync(struct queue *q)
{
    TRY(q->op->sync(q));
    return comm_status(q->ranks, q->env);
}

vlqa_status queue_read(struct queue *q, void *dst, struct mat src)
{
    size_t row = mat_bytes(src.dtype, 1, src.cols);
    for (int r = 0; r < src.rows; r++)
        queue_download(q, (char *)dst + (size_t)r * row, mat_at(src, r, 0), row);
    return queue_sync(q);
}

/* ---- room on both sides ---- */

vlqa_status device_room_open(struct env *env, struct device *d, const char *name,
                             const struct workspace *measured, struct device_room *out)
{
    size_t host = measured->host.peak, device = measured->device.peak;
    *out = (struct device_room){.device = d};
    out->device_block = device_alloc(d, device);
    out->host_block = device_alloc_host(d, host);
    if (!out->device_block || !out->host_block) {
        vlqa_status status = VLQA_EMEMORY;
        if (d->op->shares_host)
            status = env_no_memory(env, name, host + device);
        else if (!out->device_block)
            status = device_no_memory(env, d, name, device);
        else
            status = env_no_memory(env, name, host);
        device_room_close(out);
        return status;
    }
    out->ws.host = arena_over(out->host_block, host);
    out->ws.device = arena_over(out->device_block, device);
    return VLQA_OK;
}

void device_room_close(struct device_room *room)
{
    device_release(room->device, room->device_block);
    device_release_host(room->device, room->host_block);
    *room = (struct device_room){0};
}

struct workspace_used workspace_mark(const struct workspace *ws)
{
    return (struct workspace_used){arena_mark(&ws->host), arena_mark(&ws->device)};
}

void workspace_rewind(struct workspace *ws, struct workspace_used mark)
{
    arena_rewind(&ws->host, mark.host);
    arena_rewind(&ws->device, mark.device);
}

struct mat workspace_mat(struct workspace *ws, enum dtype dtype, int rows, int cols)
{
    return mat_of(arena_push(&ws->device, mat_bytes(dtype, rows, cols)), dtype, rows, cols);
}

struct mirror mirror_push(const struct device *d, struct workspace *ws, size_t bytes)
{
    void *at = arena_push(&ws->device, bytes);
    void *host = d->op->shares_host ? at : arena_push(&ws->host, bytes);
    return (struct mirror){host, at, bytes};
}

struct mirror mirror_over(const struct device *d, void *host, void *room, size_t bytes)
{
    return (struct mirror){host, d->op->shares_host ? host : room, bytes};
}

void mirror_send(struct queue *q, struct mirror m)
{
    if (m.at != m.host) queue_upload(q, m.at, m.host, m.bytes);
}

void mirror_fetch(struct queue *q, struct mirror m)
{
    if (m.at != m.host) queue_download(q, m.host, m.at, m.bytes);
}

struct header header_push(const struct device *d, struct workspace *ws, size_t bytes)
{
    return (struct header){mirror_push(d, ws, bytes), 0};
}

/* The next bytes of both sides. */
static struct mirror header_take(struct header *h, size_t bytes)
{
    struct mirror part = {(char *)h->memory.host + h->used, (char *)h->memory.at + h->used, bytes};
    assert(bytes % 4 == 0 && bytes <= h->memory.bytes - h->used);
    h->used += bytes;
    return part;
}

struct ints header_ints(struct header *h, int n, int32_t **fill)
{
    struct mirror part = header_take(h, (size_t)n * sizeof **fill);
    *fill = part.host;
    return (struct ints){part.host, part.at, n};
}

struct spans header_spans(struct header *h, int n, struct span **fill)
{
    struct mirror part = header_take(h, (size_t)n * sizeof **fill);
    *fill = part.host;
    return (struct spans){part.host, part.at, n};
}

struct mat header_floats(struct header *h, int rows, int cols, float **fill)
{
    struct mirror part = header_take(h, mat_bytes(DT_F32, rows, cols));
    *fill = part.host;
    return mat_of(part.at, DT_F32, rows, cols);
}

void header_send(struct queue *q, const struct header *h)
{
    struct mirror filled = h->memory;
    filled.bytes = h->used;
    mirror_send(q, filled);
}
