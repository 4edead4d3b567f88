/* test_pool.c - every item once, whatever the split; callers take turns. */
#include "base/heap.h"
#include "base/pool.h"
#include "tests/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define MAX_ITEMS 5000

struct job {
    atomic_int seen[MAX_ITEMS];
    atomic_int bad; /* runs that break the contract */
    int n, grain, threads;
};

static struct job job_a, job_b;

static void count(void *arg, int begin, int end, int worker)
{
    struct job *job = arg;
    int is_short = end - begin < job->grain && end != job->n;
    if (begin < 0 || begin >= end || end > job->n || begin % job->grain || is_short || worker < 0 ||
        worker >= job->threads)
        atomic_fetch_add(&job->bad, 1);
    for (int i = begin; i < end; i++)
        atomic_fetch_add(&job->seen[i], 1);
}

/* 1 when every item was seen exactly once. */
static int run(struct pool *pool, struct job *job, int n, int grain)
{
    int once = 1;
    job->n = n;
    job->grain = grain;
    job->threads = pool_threads(pool);
    atomic_store(&job->bad, 0);
    for (int i = 0; i < n; i++)
        atomic_store(&job->seen[i], 0);
    pool_for(pool, n, grain, count, job);
    for (int i = 0; i < n; i++)
        once = once && atomic_load(&job->seen[i]) == 1;
    return once && atomic_load(&job->bad) == 0;
}

TEST(every_item_is_done_exactly_once)
{
    static const int threads[] = {1, 2, 3, 8, 17}, grains[] = {1, 2, 7, 64, 10000};
    static const int sizes[] = {0, 1, 2, 3, 16, 63, 64, 65, 1000, MAX_ITEMS};
    struct env env = {0};
    for (size_t t = 0; t < 5; t++) {
        struct pool *pool;
        REQUIRE(pool_create(&env, threads[t], &pool) == VLQA_OK);
        CHECK_EQ(pool_threads(pool), threads[t]);
        for (size_t g = 0; g < 5; g++)
            for (size_t n = 0; n < 10; n++)
                if (!run(pool, &job_a, sizes[n], grains[g]))
                    CHECK_FAIL("%d items in runs of %d on %d threads", sizes[n], grains[g],
                               threads[t]);
        pool_free(pool);
    }
}

TEST(no_pool_runs_on_the_caller)
{
    CHECK_EQ(pool_threads(NULL), 1);
    CHECK(run(NULL, &job_a, 100, 1));
    pool_free(NULL);
}

struct slots {
    struct job *job;
    atomic_int in_use[8]; /* of each worker's scratch area */
};

static void use_slot(void *arg, int begin, int end, int worker)
{
    struct slots *s = arg;
    if (atomic_exchange(&s->in_use[worker], 1)) atomic_fetch_add(&s->job->bad, 1);
    for (int i = begin; i < end; i++)
        atomic_fetch_add(&s->job->seen[i], 1);
    atomic_store(&s->in_use[worker], 0);
}

TEST(a_worker_number_belongs_to_one_thread_at_a_time)
{
    struct env env = {0};
    struct pool *pool;
    struct slots slots = {.job = &job_a};
    REQUIRE(pool_create(&env, 8, &pool) == VLQA_OK);
    atomic_store(&job_a.bad, 0);
    for (int i = 0; i < 50; i++)
        pool_for(pool, MAX_ITEMS, 1, use_slot, &slots);
    CHECK_EQ(atomic_load(&job_a.bad), 0);
    pool_free(pool);
}

struct pair {
    atomic_int started, finished;
};

/* The caller holds one item until the other is taken, so that a worker has it, and is slow. */
static void meet(void *arg, int begin, int end, int worker)
{
    struct pair *p = arg;
    for (int i = begin; i < end; i++) {
        atomic_fetch_add(&p->started, 1);
        while (worker == 0 && atomic_load(&p->started) < 2)
            usleep(100);
        if (worker != 0) usleep(20000);
        atomic_fetch_add(&p->finished, 1);
    }
}

TEST(the_caller_waits_for_slow_workers)
{
    struct env env = {0};
    struct pool *pool;
    struct pair pair = {0, 0};
    REQUIRE(pool_create(&env, 2, &pool) == VLQA_OK);
    pool_for(pool, 2, 1, meet, &pair);
    CHECK_EQ(atomic_load(&pair.finished), 2);
    pool_free(pool);
}

struct caller {
    struct pool *pool;
    struct job *job;
    pthread_barrier_t *start;
    int good;
};

static void *call_often(void *arg)
{
    struct caller *c = arg;
    pthread_barrier_wait(c->start);
    for (int i = 0; i < 1000; i++)
        c->good += run(c->pool, c->job, 1 + i * 7 % 900, 1 + i % 5);
    return NULL;
}

TEST(two_callers_take_turns)
{
    struct env env = {0};
    struct pool *pool;
    pthread_t thread;
    pthread_barrier_t start;
    REQUIRE(pthread_barrier_init(&start, NULL, 2) == 0);
    REQUIRE(pool_create(&env, 4, &pool) == VLQA_OK);
    struct caller a = {pool, &job_a, &start, 0}, b = {pool, &job_b, &start, 0};
    REQUIRE(pthread_create(&thread, NULL, call_often, &a) == 0);
    call_often(&b);
    pthread_join(thread, NULL);
    CHECK_EQ(a.good, 1000);
    CHECK_EQ(b.good, 1000);
    pool_free(pool);
    pthread_barrier_destroy(&start);
}

TEST(thread_counts_out_of_range_are_refused)
{
    struct env env = {0};
    struct pool *pool;
    CHECK_EQ(pool_create(&env, POOL_MAX_THREADS + 1, &pool), VLQA_EUSAGE);
    CHECK_STR(env.message, "threads is 1025, expected 0..1024");
    CHECK(!pool);
    CHECK_EQ(pool_create(&env, -5, &pool), VLQA_EUSAGE);
    CHECK_HAS(env.message, "-5");
}

TEST(zero_threads_means_one_a_core)
{
    struct env env = {0};
    struct pool *pool;
    REQUIRE(pool_create(&env, 0, &pool) == VLQA_OK);
    CHECK(pool_threads(pool) >= 1 && pool_threads(pool) <= POOL_MAX_THREADS);
    pool_free(pool);
}

TEST(no_memory_is_a_status)
{
    struct env env = {0};
    struct pool *pool;
    uint64_t live = heap_live();
    for (int n = 0; n < 2; n++) {
        heap_fail_after(n);
        CHECK_EQ(pool_create(&env, 4, &pool), VLQA_EMEMORY);
        heap_fail_after(-1);
        CHECK_EQ(heap_live(), live);
    }
    REQUIRE(pool_create(&env, 4, &pool) == VLQA_OK);
    pool_free(pool);
    CHECK_EQ(heap_live(), live);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
