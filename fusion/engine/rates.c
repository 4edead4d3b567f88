/* rates.c - sums of what was read, uploaded and computed, and of the time that took. */
#include "fusion/engine/rates.h"

#include "base/heap.h"

#define PROBE_BYTES ((size_t)8 << 20)

void rates_open(struct rates *r)
{
    *r = (struct rates){0};
    (void)pthread_mutex_init(&r->lock, NULL);
}

void rates_close(struct rates *r)
{
    (void)pthread_mutex_destroy(&r->lock);
}

void rates_add(struct rates *r, enum rate rate, double amount, double ms)
{
    (void)pthread_mutex_lock(&r->lock);
    r->amount[rate] += amount;
    r->ms[rate] += ms;
    (void)pthread_mutex_unlock(&r->lock);
}

/* The first one touches memory that nobody has used yet. */
static void time_upload(struct rates *r, struct queue *q, void *to, const void *from)
{
    double begin = 0;
    for (int i = 0; i < 2; i++) {
        begin = env_ms();
        queue_upload(q, to, from, PROBE_BYTES);
        if (queue_sync(q) != VLQA_OK) return;
    }
    rates_add(r, RATE_UPLOAD, (double)PROBE_BYTES, env_ms() - begin);
}

void rates_time_upload(struct rates *r, struct env *env, struct device *device)
{
    struct env silent = {.pool = env->pool};
    struct queue *q;
    void *to, *from;
    if (device_shares_host(device) || queue_open(device, &silent, &q) != VLQA_OK) return;
    to = device_alloc(device, PROBE_BYTES);
    from = heap_alloc_zero(PROBE_BYTES);
    if (to && from) time_upload(r, q, to, from);
    queue_close(q);
    device_release(device, to);
    heap_free(from);
}

struct load_estimate rates_estimate(struct rates *r, double bytes, int from_disk, int to_device,
                                    double flops)
{
    double takes[N_RATES] = {0}; /* milliseconds; below 0: not known */
    const double amount[N_RATES] = {from_disk ? bytes : 0, to_device ? bytes : 0, flops};
    struct load_estimate e = {0, 0};
    (void)pthread_mutex_lock(&r->lock);
    for (int i = 0; i < N_RATES; i++)
        if (amount[i] > 0) takes[i] = r->amount[i] > 0 ? amount[i] * r->ms[i] / r->amount[i] : -1;
    (void)pthread_mutex_unlock(&r->lock);
    if (takes[RATE_DISK] >= 0 && takes[RATE_UPLOAD] >= 0)
        e.ms_load = takes[RATE_DISK] + takes[RATE_UPLOAD];
    if (takes[RATE_FLOPS] > 0) e.ms_compute = takes[RATE_FLOPS];
    return e;
}

int load_is_slower(struct load_estimate e)
{
    return e.ms_compute > 0 && e.ms_load > e.ms_compute;
}
