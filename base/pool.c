/* pool.c - persistent workers that share the runs of one job at a time. */
#include "base/pool.h"

#include "base/heap.h"
#include "base/stack.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define SPINS 2000         /* looks before sleeping: longer than the gap between two operations */
#define RUNS_PER_THREAD 16 /* enough to even out slow workers, few enough to share a counter */

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index; /* from 1; the caller is worker 0 */
};

struct pool {
    pthread_mutex_t turn; /* held by the caller whose job it is */
    pthread_mutex_t lock; /* held to go to sleep and to wake */
    pthread_cond_t go, done;
    struct worker *workers; /* [threads - 1] */
    int threads, spins;
    int stop; /* written before `job` changes, as are the fields of the job */
    pool_fn fn;
    void *arg;
    int64_t n, run;
    atomic_int_least64_t next; /* first item nobody took */
    atomic_uint job;           /* a change is the signal to start */
    atomic_int busy;           /* workers that have not finished the job */
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void work(struct pool *pool, int worker)
{
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool->next, pool->run, memory_order_relaxed);
        int64_t end = begin + pool->run < pool->n ? begin + pool->run : pool->n;
        if (begin >= pool->n) return;
        pool->fn(pool->arg, (int)begin, (int)end, worker);
    }
}

static void await_job(struct pool *pool, unsigned seen)
{
    for (int i = 0; i < pool->spins; i++, relax())
        if (atomic_load(&pool->job) != seen) return;
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->job) == seen)
        pthread_cond_wait(&pool->go, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void start_job(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->job, 1);
    pthread_cond_broadcast(&pool->go);
    pthread_mutex_unlock(&pool->lock);
}

static void await_workers(struct pool *pool)
{
    for (int i = 0; i < pool->spins; i++, relax())
        if (atomic_load(&pool->busy) == 0) return;
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->busy) > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    const struct worker *self = arg;
    struct pool *pool = self->pool;
    for (unsigned seen = 0;; seen++) { /* no job starts before all workers finished the last */
        await_job(pool, seen);
        if (pool->stop) return NULL;
        work(pool, self->index);
        if (atomic_fetch_sub(&pool->busy, 1) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

int pool_cores(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > POOL_MAX_THREADS ? POOL_MAX_THREADS : (int)n;
}

/* Stops and joins the first `started` workers. */
static void pool_stop(struct pool *pool, int started)
{
    pool->stop = 1;
    start_job(pool);
    for (int i = 0; i < started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->turn);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->go);
    pthread_cond_destroy(&pool->done);
    heap_free(pool->workers);
    heap_free(pool);
}

/* Returns an errno. */
static int start_workers(struct pool *pool, int *started)
{
    int error = 0;
    for (*started = 0; *started < pool->threads - 1 && !error;) {
        struct worker *w = &pool->workers[*started];
        *w = (struct worker){.pool = pool, .index = *started + 1};
        error = stack_thread(&w->thread, worker_main, w);
        *started += !error;
    }
    return error;
}

vlqa_status pool_create(struct env *env, int threads, struct pool **out)
{
    int cores = pool_cores(), started, error;
    struct pool *pool;
    *out = NULL;
    if (threads < 0 || threads > POOL_MAX_THREADS)
        return env_fail(env, VLQA_EUSAGE, "threads is %d, expected 0..%d", threads,
                        POOL_MAX_THREADS);
    if (threads == 0) threads = cores;
    pool = heap_alloc_zero(sizeof *pool);
    if (!pool) return env_no_memory(env, "thread pool", sizeof *pool);
    pool->workers = heap_alloc((size_t)threads * sizeof *pool->workers);
    if (!pool->workers) {
        heap_free(pool);
        return env_no_memory(env, "thread pool", (size_t)threads * sizeof *pool->workers);
    }
    pool->threads = threads;
    pool->spins = threads <= cores ? SPINS : 0; /* a spinning thread would keep another waiting */
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->go, NULL);
    pthread_cond_init(&pool->done, NULL);
    error = start_workers(pool, &started);
    if (error) {
        pool_stop(pool, started);
        return env_fail(env, VLQA_EMEMORY, "thread %d of %d cannot start: %s", started + 2, threads,
                        strerror(error));
    }
    *out = pool;
    return VLQA_OK;
}

void pool_free(struct pool *pool)
{
    if (pool) pool_stop(pool, pool->threads - 1);
}

int pool_threads(const struct pool *pool)
{
    return pool ? pool->threads : 1;
}

void pool_for(struct pool *pool, int n, int grain, pool_fn fn, void *arg)
{
    int64_t share;
    if (n <= 0) return;
    if (!pool) {
        fn(arg, 0, n, 0);
        return;
    }
    if (grain < 1) grain = 1;
    share = n / ((int64_t)grain * pool->threads * RUNS_PER_THREAD);
    pthread_mutex_lock(&pool->turn);
    if (pool->threads == 1 || n <= grain) {
        fn(arg, 0, n, 0);
    } else {
        pool->fn = fn;
        pool->arg = arg;
        pool->n = n;
        pool->run = (share > 1 ? share : 1) * grain;
        atomic_store(&pool->next, 0);
        atomic_store(&pool->busy, pool->threads - 1);
        start_job(pool);
        work(pool, 0);
        await_workers(pool);
    }
    pthread_mutex_unlock(&pool->turn);
}
