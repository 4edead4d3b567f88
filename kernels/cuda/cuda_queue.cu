/* cuda_queue.cu - a queue of a GPU: a stream that computes, and two that copy beside it.
 *
 * To the program everything happens in the order in which it is enqueued. An upload is copied to
 * pinned memory at once, so its source may change. The stream `in` brings it to a ring on the
 * device while the compute stream works on what came before, which then moves it to its place in
 * its turn; a download leaves by a ring likewise, on the stream `out`, and the program's memory is
 * written when its part of the ring is needed again or at the next sync. The first error stays:
 * nothing is enqueued behind it, and each sync returns it. */
#include "kernels/cuda/cuda.cuh"

/* Uploads up to this size, headers of passes, are copied by the compute stream itself. */
enum { SMALL_BYTES = 64 << 10, STAGING_BYTES = 1 << 20 };

static bool step(struct queue *q, const char *what, cudaError_t e)
{
    cuda_note(q, what, e);
    return cuda_of(q)->error == cudaSuccess;
}

/* ---- rings ---- */

static cudaError_t ring_open(struct cuda_ring *r)
{
    size_t bytes = (size_t)RING_SLOTS * SLOT_BYTES;
    cudaError_t e = cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking);
    if (e == cudaSuccess) e = cudaMallocHost((void **)&r->host, bytes);
    if (e == cudaSuccess) e = cudaMalloc((void **)&r->at, bytes);
    for (int i = 0; i < RING_SLOTS && e == cudaSuccess; i++) {
        e = cudaEventCreateWithFlags(&r->crossed[i], cudaEventDisableTiming);
        if (e == cudaSuccess) e = cudaEventCreateWithFlags(&r->moved[i], cudaEventDisableTiming);
    }
    return e;
}

/* Also one that was opened in part. */
static void ring_close(struct cuda_ring *r)
{
    if (r->stream) cudaStreamSynchronize(r->stream);
    for (int i = 0; i < RING_SLOTS; i++) {
        if (r->crossed[i]) cudaEventDestroy(r->crossed[i]);
        if (r->moved[i]) cudaEventDestroy(r->moved[i]);
    }
    if (r->stream) cudaStreamDestroy(r->stream);
    cudaFreeHost(r->host);
    cudaFree(r->at);
}

static size_t part_of(size_t bytes)
{
    return bytes < (size_t)SLOT_BYTES ? bytes : (size_t)SLOT_BYTES;
}

/* Up to a slot. */
static bool bring(struct queue *q, void *dst, const void *src, size_t bytes)
{
    struct cuda_queue *c = cuda_of(q);
    struct cuda_ring *r = &c->in;
    unsigned i = r->next++ % RING_SLOTS;
    uint8_t *host = r->host + (size_t)i * SLOT_BYTES, *at = r->at + (size_t)i * SLOT_BYTES;
    cuda_settle(gpu_of(q->device));
    if (!step(q, "upload", cudaEventSynchronize(r->crossed[i]))) return false;
    gpu_of(q->device)->host->copy(q->env, host, src, bytes);
    return step(q, "upload", cudaStreamWaitEvent(r->stream, r->moved[i], 0)) &&
           step(q, "upload", cudaMemcpyAsync(at, host, bytes, cudaMemcpyHostToDevice, r->stream)) &&
           step(q, "upload", cudaEventRecord(r->crossed[i], r->stream)) &&
           step(q, "upload", cudaStreamWaitEvent(c->stream, r->crossed[i], 0)) &&
           step(q, "upload",
                cudaMemcpyAsync(dst, at, bytes, cudaMemcpyDeviceToDevice, c->stream)) &&
           step(q, "upload", cudaEventRecord(r->moved[i], c->stream));
}

/* What lies in the i-th slot goes to the program's memory. */
static bool deliver(struct queue *q, unsigned i)
{
    struct cuda_queue *c = cuda_of(q);
    struct cuda_due *due = &c->due[i];
    if (!due->bytes) return true;
    cuda_settle(gpu_of(q->device));
    if (!step(q, "download", cudaEventSynchronize(c->out.crossed[i]))) return false;
    gpu_of(q->device)->host->copy(q->env, due->dst, c->out.host + (size_t)i * SLOT_BYTES,
                                  due->bytes);
    due->bytes = 0;
    return true;
}

static bool send(struct queue *q, void *dst, const void *src, size_t bytes)
{
    struct cuda_queue *c = cuda_of(q);
    struct cuda_ring *r = &c->out;
    unsigned i = r->next++ % RING_SLOTS;
    uint8_t *host = r->host + (size_t)i * SLOT_BYTES, *at = r->at + (size_t)i * SLOT_BYTES;
    if (!deliver(q, i)) return false;
    c->due[i].dst = dst;
    c->due[i].bytes = bytes;
    return step(q, "download",
                cudaMemcpyAsync(at, src, bytes, cudaMemcpyDeviceToDevice, c->stream)) &&
           step(q, "download", cudaEventRecord(r->moved[i], c->stream)) &&
           step(q, "download", cudaStreamWaitEvent(r->stream, r->moved[i], 0)) &&
           step(q, "download",
                cudaMemcpyAsync(host, at, bytes, cudaMemcpyDeviceToHost, r->stream)) &&
           step(q, "download", cudaEventRecord(r->crossed[i], r->stream));
}

/* ---- copies ---- */

/* By the compute stream, from pinned memory that is used again behind a sync. */
static void stage(struct queue *q, void *dst, const void *src, size_t bytes)
{
    struct cuda_queue *c = cuda_of(q);
    if (bytes > STAGING_BYTES - c->staged) {
        cuda_settle(gpu_of(q->device));
        if (!step(q, "upload", cudaStreamSynchronize(c->stream))) return;
        c->staged = 0;
    }
    memcpy(c->staging + c->staged, src, bytes);
    cuda_note(
        q, "upload",
        cudaMemcpyAsync(dst, c->staging + c->staged, bytes, cudaMemcpyHostToDevice, c->stream));
    c->staged += bytes;
}

void cuda_upload(struct queue *q, void *dst, const void *src, size_t bytes)
{
    if (!cuda_ready(q, "upload")) return;
    if (bytes <= SMALL_BYTES) {
        stage(q, dst, src, bytes);
        return;
    }
    for (size_t done = 0, n; done < bytes; done += n) {
        n = part_of(bytes - done);
        if (!bring(q, (uint8_t *)dst + done, (const uint8_t *)src + done, n)) return;
    }
}

static bool is_pinned(const void *p)
{
    cudaPointerAttributes a;
    return cudaPointerGetAttributes(&a, p) == cudaSuccess && a.type == cudaMemoryTypeHost;
}

/* Straight to pinned memory: logits are waited for anyway. */
void cuda_download(struct queue *q, void *dst, const void *src, size_t bytes)
{
    if (!cuda_ready(q, "download")) return;
    if (is_pinned(dst)) {
        cuda_note(q, "download",
                  cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, cuda_of(q)->stream));
        return;
    }
    for (size_t done = 0, n; done < bytes; done += n) {
        n = part_of(bytes - done);
        if (!send(q, (uint8_t *)dst + done, (const uint8_t *)src + done, n)) return;
    }
}

void cuda_clear(struct queue *q, void *dst, size_t bytes)
{
    if (!cuda_ready(q, "clear")) return;
    cuda_note(q, "clear", cudaMemsetAsync(dst, 0, bytes, cuda_of(q)->stream));
}

/* ---- decode passes ---- */

static void launch_each(struct queue *q, const struct launch_list *list)
{
    struct cuda_queue *c = cuda_of(q);
    for (size_t at = 0; at < list->used && c->error == cudaSuccess;) {
        const struct listed *l = list_at(list->now, at);
        cuda_note(q, l->what, l->launch(l, c->stream));
        at += l->bytes;
    }
}

/* No graph is no failure: the launches that it would have made say what is wrong, if anything is.
 */
static void make_graph(struct queue *q)
{
    struct cuda_queue *c = cuda_of(q);
    cudaError_t e = list_make_graph(&c->list);
    if (e == cudaSuccess) return;
    c->no_graphs = true;
    gpu_of(q->device)->host->log(q->env, VLQA_LOG_WARN,
                                 "GPU %d makes no graph of a decode pass, which is "
                                 "launched kernel by kernel: %s",
                                 gpu_of(q->device)->index, cudaGetErrorString(e));
}

void cuda_launch_list(struct queue *q)
{
    struct cuda_queue *c = cuda_of(q);
    struct launch_list *list = &c->list;
    bool again = list_is_the_last_one(list);
    if (!again) list_drop_graph(list);
    if (c->error == cudaSuccess && again && !list->graph && !c->no_graphs) make_graph(q);
    if (list->graph) {
        if (c->error == cudaSuccess)
            cuda_note(q, "a decode pass", cudaGraphLaunch(list->graph, c->stream));
    } else {
        launch_each(q, list);
    }
    list_turn(list);
}

/* ---- the queue ---- */

static void close_all(struct queue *q, struct cuda_queue *c)
{
    if (c->stream) cudaStreamSynchronize(c->stream); /* kernels must not outlive their memory */
    ring_close(&c->in);
    ring_close(&c->out);
    if (c->stream) cudaStreamDestroy(c->stream);
    list_drop_graph(&c->list);
    cudaFreeHost(c->staging);
    gpu_of(q->device)->host->free(c);
}

vlqa_status cuda_queue_open(struct queue *q)
{
    struct gpu *g = gpu_of(q->device);
    size_t bytes = sizeof(struct cuda_queue) + 2 * LIST_BYTES;
    struct cuda_queue *c = (struct cuda_queue *)g->host->alloc_zero(bytes);
    cudaError_t e = cudaSetDevice(g->index);
    if (!c)
        return g->host->fail(q->env, VLQA_EMEMORY, "out of memory: queue needs %zu bytes", bytes);
    c->list.now = (uint8_t *)(c + 1);
    c->list.before = c->list.now + LIST_BYTES;
    if (e == cudaSuccess) e = cudaStreamCreate(&c->stream);
    if (e == cudaSuccess) e = cudaMallocHost((void **)&c->staging, STAGING_BYTES);
    if (e == cudaSuccess) e = ring_open(&c->in);
    if (e == cudaSuccess) e = ring_open(&c->out);
    q->impl = c;
    if (e == cudaSuccess) return VLQA_OK;
    q->impl = nullptr;
    close_all(q, c);
    if (e == cudaErrorMemoryAllocation)
        return g->host->fail(q->env, VLQA_EMEMORY,
                             "out of memory: copies need %d bytes of pinned memory and %d bytes of "
                             "GPU %d",
                             2 * RING_SLOTS * SLOT_BYTES + STAGING_BYTES,
                             2 * RING_SLOTS * SLOT_BYTES, g->index);
    return cuda_fail(q->env, g, "the opening of a queue", e);
}

void cuda_queue_close(struct queue *q)
{
    cudaSetDevice(gpu_of(q->device)->index);
    cuda_settle(gpu_of(q->device));
    close_all(q, cuda_of(q));
}

vlqa_status cuda_sync(struct queue *q)
{
    struct cuda_queue *c = cuda_of(q);
    cuda_settle(gpu_of(q->device));
    if (cuda_ready(q, "sync")) cuda_note(q, "work", cudaStreamSynchronize(c->stream));
    for (unsigned i = 0; i < RING_SLOTS && c->error == cudaSuccess; i++)
        (void)deliver(q, (c->out.next + i) % RING_SLOTS); /* the oldest first */
    c->staged = 0;
    if (c->error == cudaSuccess) return VLQA_OK;
    return cuda_fail(q->env, gpu_of(q->device), c->where, c->error);
}
