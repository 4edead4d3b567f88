/* cuda_ranks.cu - ranks whose devices are GPUs give one another their memory by NCCL, in the order
 * of a queue.
 *
 * NCCL waits for other ranks, and they may never come. So its calls do not block here
 * (config.blocking is 0): whether they are through is asked again and again, together with whether
 * a rank has failed or is overdue, and so is what is enqueued before anything else waits for the
 * device. Then the communicator is aborted, which ends what is in the stream. It is not opened
 * anew: from the next call on, device memory goes by way of the host's, on all ranks
 * (vlqa_ranks.through_host), which needs nothing of a GPU that a failed call may have left. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/cuda_nccl.cuh"

#include <stdio.h>
#include <unistd.h>

struct cuda_link { /* to the GPUs of other ranks */
    nccl::library nccl;
    nccl::comm comm; /* NULL: aborted */
    struct vlqa_ranks *ranks;
    struct queue *queue; /* in which something was given last */
    cudaEvent_t given;   /* behind that */
    bool pending;        /* the event has not been seen */
};

enum { STOPPED = -1, SPINS = 1000, NAP_US = 20 }; /* STOPPED: the ranks have failed */

/* ---- waiting ---- */

/* Returns zero, or STOPPED. */
static int nap(const struct gpu *g, unsigned turn, struct comm_wait *w)
{
    if (turn >= SPINS) usleep(NAP_US);
    if (turn % 16 == 0 && g->host->ranks_look(g->link->ranks, w)) return STOPPED;
    return nccl::SUCCESS;
}

/* Until the last call is through, which returned `result`. */
static int finish_call(const struct gpu *g, int result)
{
    struct cuda_link *l = g->link;
    struct comm_wait w = {0, 0};
    for (unsigned turn = 0; result == nccl::IN_PROGRESS; turn++) {
        int stopped = nap(g, turn, &w);
        if (stopped) return stopped;
        int asked = l->nccl.async_error(l->comm, &result);
        if (asked != nccl::SUCCESS) return asked;
    }
    return result;
}

/* All ranks are told, if it is not another one that has failed. */
static void fail(const struct gpu *g, const char *where, int result)
{
    const struct cuda_link *l = g->link;
    if (result != STOPPED)
        (void)g->host->ranks_failed(l->ranks, VLQA_EDEVICE, "rank %d: NCCL failed at %s: %s",
                                    l->ranks->rank, where, l->nccl.error_string(result));
}

static void abort_comm(struct cuda_link *l)
{
    if (l->comm) (void)l->nccl.abort(l->comm);
    l->comm = nullptr;
    l->pending = false;
}

static void give_up(const struct gpu *g, const char *where, int result)
{
    struct cuda_link *l = g->link;
    fail(g, where, result);
    abort_comm(l);
    l->ranks->through_host = 1;
    g->host->log(g->device.env, VLQA_LOG_WARN,
                 "rank %d gives up NCCL: memory of GPUs goes by way of the host's from now on: %s",
                 l->ranks->rank, l->ranks->env.message);
}

void cuda_settle(const struct gpu *g)
{
    struct cuda_link *l = g->link;
    struct comm_wait w = {0, 0};
    if (!l) return;
    for (unsigned turn = 0; l->pending; turn++) {
        int result = nccl::SUCCESS;
        if (cudaEventQuery(l->given) != cudaErrorNotReady) { /* an error is that of the next wait */
            l->pending = false;
            return;
        }
        int asked = l->nccl.async_error(l->comm, &result);
        if (asked != nccl::SUCCESS) result = asked;
        if (result == nccl::SUCCESS) result = nap(g, turn, &w);
        if (result != nccl::SUCCESS) give_up(g, "work", result);
    }
}

/* ---- giving ---- */

static int broadcast_parts(const struct cuda_link *l, cudaStream_t stream, uint8_t *block,
                           const size_t *at)
{
    int result = l->nccl.group_start(), ended;
    if (result != nccl::SUCCESS) return result;
    for (int i = 0; i < l->ranks->n && result == nccl::SUCCESS; i++) {
        size_t bytes = at[i + 1] - at[i];
        if (!bytes) continue;
        result =
            l->nccl.broadcast(block + at[i], block + at[i], bytes, nccl::UINT8, i, l->comm, stream);
        if (result == nccl::IN_PROGRESS) result = nccl::SUCCESS;
    }
    ended = l->nccl.group_end();
    return result == nccl::SUCCESS ? ended : result;
}

void cuda_ranks_gather(struct queue *q, void *block, const size_t *at)
{
    struct gpu *g = gpu_of(q->device);
    struct cuda_link *l = g->link;
    struct cuda_queue *c = cuda_of(q);
    if (l->queue != q) cuda_settle(g); /* one event is enough */
    if (!l->comm) return;
    if (!cuda_ready(q, "what ranks give")) {
        (void)cuda_sync(q); /* for its message */
        (void)g->host->ranks_failed(l->ranks, VLQA_EDEVICE, "rank %d: %s", l->ranks->rank,
                                    q->env->message);
        return;
    }
    int result = finish_call(g, broadcast_parts(l, c->stream, (uint8_t *)block, at));
    l->queue = q;
    if (result != nccl::SUCCESS) {
        give_up(g, "a gather", result);
        return;
    }
    cuda_note(q, "what ranks give", cudaEventRecord(l->given, c->stream));
    l->pending = true;
}

/* ---- opening ---- */

struct card { /* what a rank says of itself */
    char gpu[16];
    nccl::unique_id id; /* of rank 0 */
};

static vlqa_status prepare(struct env *env, const struct gpu *g, struct card *mine)
{
    struct cuda_link *l = g->link;
    struct cudaDeviceProp prop;
    char why[512];
    if (!l)
        return g->host->fail(env, VLQA_EMEMORY, "out of memory: NCCL needs %zu bytes", sizeof *l);
    if (!nccl::load(&l->nccl, why)) return g->host->fail(env, VLQA_EDEVICE, "no NCCL: %s", why);
    cudaError_t e = cudaSetDevice(g->index);
    if (e == cudaSuccess) e = cudaGetDeviceProperties(&prop, g->index);
    if (e == cudaSuccess) e = cudaEventCreateWithFlags(&l->given, cudaEventDisableTiming);
    if (e != cudaSuccess) return cuda_fail(env, g, "the opening of NCCL", e);
    memcpy(mine->gpu, &prop.uuid, sizeof mine->gpu);
    int result = l->ranks->rank == 0 ? l->nccl.unique(&mine->id) : nccl::SUCCESS;
    if (result == nccl::SUCCESS) return VLQA_OK;
    return g->host->fail(env, VLQA_EDEVICE, "NCCL has no name for a communicator: %s",
                         l->nccl.error_string(result));
}

/* NCCL itself would tell these two alone, and a third one would wait for them. */
static vlqa_status each_has_a_gpu(struct env *env, const struct gpu *g, const struct card *card)
{
    for (int i = 0; i < g->link->ranks->n; i++)
        for (int k = 0; k < i; k++)
            if (memcmp(card[i].gpu, card[k].gpu, sizeof card->gpu) == 0)
                return g->host->fail(env, VLQA_EDEVICE,
                                     "NCCL wants a GPU for each rank, and ranks %d and %d have one",
                                     k, i);
    return VLQA_OK;
}

static vlqa_status exchange(struct env *env, const struct gpu *g, const struct card *mine,
                            nccl::unique_id *id)
{
    struct vlqa_ranks *r = g->link->ranks;
    struct card card[VLQA_RANKS_MOST];
    size_t at[VLQA_RANKS_MOST + 1];
    for (int i = 0; i <= r->n; i++)
        at[i] = (size_t)i * sizeof *card;
    card[r->rank] = *mine;
    g->host->ranks_gather(r, COMM_CONTROL, card, at);
    vlqa_status status = g->host->ranks_agree(r, env, VLQA_OK); /* have they failed? */
    if (status != VLQA_OK) return status;
    *id = card[0].id;
    return each_has_a_gpu(env, g, card);
}

/* Whoever fails tells the others at once: they wait for it within NCCL. */
static vlqa_status connect(struct env *env, const struct gpu *g, nccl::unique_id id)
{
    struct cuda_link *l = g->link;
    struct vlqa_ranks *r = l->ranks;
    nccl::config config = {sizeof config, nccl::CONFIG_MAGIC, nccl::CONFIG_VERSION, 0};
    int result = l->nccl.open(&l->comm, r->n, id, r->rank, &config);
    result = finish_call(g, result);
    if (result != nccl::SUCCESS) fail(g, "the opening", result);
    return g->host->ranks_agree(r, env, VLQA_OK);
}

vlqa_status cuda_ranks_open(struct env *env, struct device *d, struct vlqa_ranks *r)
{
    struct gpu *g = gpu_of(d);
    struct card mine = {};
    nccl::unique_id id;
    int version = 0;
    g->link = (struct cuda_link *)g->host->alloc_zero(sizeof *g->link);
    if (g->link) g->link->ranks = r;
    vlqa_status status = g->host->ranks_agree(r, env, prepare(env, g, &mine));
    if (status == VLQA_OK) status = exchange(env, g, &mine, &id);
    if (status == VLQA_OK) status = connect(env, g, id);
    if (status != VLQA_OK) {
        cuda_ranks_close(g);
        return status;
    }
    (void)g->link->nccl.version(&version);
    if (r->rank == 0)
        g->host->log(env, VLQA_LOG_INFO, "%d ranks give one another memory of GPUs by NCCL %d",
                     r->n, version);
    return VLQA_OK;
}

/* By an abort: its queues are closed, and to destroy a communicator may wait for other ranks. */
void cuda_ranks_close(struct gpu *g)
{
    if (!g->link) return;
    abort_comm(g->link);
    if (g->link->given) cudaEventDestroy(g->link->given);
    g->host->free(g->link);
    g->link = nullptr;
}
