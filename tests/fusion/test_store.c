/* test_store.c - records in RAM: budgets, pins and the order of eviction; from many threads. */
#include "tests/fusion/store_lab.h"

#include <pthread.h>

/* Bytes that one record of the lab takes in RAM. */
static size_t record_bytes(struct env *env)
{
    struct store *store = lab_open(env, NULL, LAB_LARGE, 0);
    size_t bytes;
    lab_keep(env, store, 1, RECORD_CHUNK);
    bytes = lab_stats(store).ram_bytes;
    store_close(env, store);
    return bytes;
}

TEST(what_was_put_is_found_and_what_was_not_is_missed)
{
    struct env env = {0};
    struct store *store = lab_open(&env, NULL, LAB_LARGE, LAB_LARGE);
    const struct record *r = lab_put(&env, store, 1, RECORD_VISUAL, LAB_ROWS), *same;
    enum store_where where;
    REQUIRE(r && lab_right(r, 1));
    CHECK_EQ(r->kind, RECORD_VISUAL);
    same = store_get(store, lab_key(1), NULL, &where);
    CHECK(same == r);
    CHECK_EQ(where, STORE_RAM);
    CHECK(!store_get(store, lab_key(2), NULL, &where));
    CHECK_EQ(where, STORE_MISS);
    CHECK(!store_get(store, lab_key(2), NULL, NULL));
    store_unpin(store, r);
    store_unpin(store, r);
    CHECK_EQ(lab_stats(store).hits_ram, 1);
    CHECK_EQ(lab_stats(store).misses, 2);
    CHECK_EQ(lab_stats(store).disk_records, 0);
    CHECK_STR(lab_stats(store).disk_problem, "");
    store_close(&env, store);
}

TEST(equal_record_that_was_first_stays)
{
    struct env env = {0};
    struct store *store = lab_open(&env, NULL, LAB_LARGE, 0);
    const struct record *first = lab_put(&env, store, 1, RECORD_CHUNK, LAB_ROWS);
    uint64_t live = heap_live();
    CHECK(lab_put(&env, store, 1, RECORD_CHUNK, LAB_ROWS) == first);
    CHECK_EQ(heap_live(), live);
    CHECK_EQ(lab_stats(store).ram_records, 1);
    store_unpin(store, first);
    store_unpin(store, first);
    store_close(&env, store);
}

TEST(everything_is_given_back)
{
    struct env env = {0};
    uint64_t live = heap_live();
    struct store *store = lab_open(&env, NULL, LAB_LARGE, 0);
    struct record *r = lab_new(&env, store, 1, RECORD_CHUNK, LAB_ROWS);
    REQUIRE(r);
    store_drop(store, r);
    for (int i = 0; i < 20; i++)
        lab_keep(&env, store, i, i % 2 ? RECORD_CHUNK : RECORD_VISUAL);
    CHECK_EQ(lab_find(store, 1), STORE_RAM);
    store_close(&env, store);
    store_close(&env, NULL);
    CHECK_EQ(heap_live(), live);
}

TEST(chunks_are_evicted_before_half_a_budget_of_visuals_and_oldest_first)
{
    struct env env = {0};
    size_t one = record_bytes(&env);
    struct store *store = lab_open(&env, NULL, 4 * one, 0);
    static const int order[] = {3, 5, 2, 1}; /* chunks by last use, then visuals */
    lab_keep(&env, store, 1, RECORD_VISUAL);
    lab_keep(&env, store, 2, RECORD_VISUAL);
    lab_keep(&env, store, 3, RECORD_CHUNK);
    lab_keep(&env, store, 4, RECORD_CHUNK);
    CHECK_EQ(lab_find(store, 1), STORE_RAM);
    for (int i = 0; i < 4; i++) {
        if (i == 1) CHECK_EQ(lab_find(store, 4), STORE_RAM); /* 5 is the older one now */
        lab_keep(&env, store, 5 + i, i == 0 ? RECORD_CHUNK : RECORD_VISUAL);
        CHECK_EQ(lab_stats(store).ram_records, 4);
        CHECK_EQ(lab_stats(store).evicted_ram, i + 1);
        CHECK_EQ(lab_find(store, order[i]), STORE_MISS);
    }
    CHECK_EQ(lab_find(store, 4), STORE_RAM); /* three visuals are more than half */
    CHECK(lab_stats(store).ram_bytes <= 4 * one);
    store_close(&env, store);
}

TEST(pinned_records_stay_and_count)
{
    struct env env = {0};
    size_t one = record_bytes(&env);
    struct store *store = lab_open(&env, NULL, 2 * one, 0);
    const struct record *r[4];
    for (int i = 0; i < 4; i++)
        r[i] = lab_put(&env, store, i, RECORD_CHUNK, LAB_ROWS);
    CHECK_EQ(lab_stats(store).ram_records, 4); /* over the budget: nothing may go */
    for (int i = 0; i < 4; i++)
        CHECK(r[i] && lab_right(r[i], i));
    store_unpin(store, r[0]);
    CHECK_EQ(lab_find(store, 0), STORE_MISS); /* at once: the others fill the budget */
    store_unpin(store, r[1]);
    CHECK_EQ(lab_stats(store).ram_records, 2);
    store_unpin(store, r[2]);
    store_unpin(store, r[3]);
    CHECK_EQ(lab_stats(store).ram_records, 2);
    store_close(&env, store);
}

TEST(record_pinned_twice_needs_two_unpins)
{
    struct env env = {0};
    struct store *store = lab_open(&env, NULL, 0, 0);
    const struct record *r = lab_put(&env, store, 1, RECORD_VISUAL, LAB_ROWS);
    CHECK(store_get(store, lab_key(1), NULL, NULL) == r);
    store_unpin(store, r);
    CHECK(lab_right(r, 1));
    CHECK_EQ(lab_stats(store).ram_records, 1);
    store_unpin(store, r);
    CHECK_EQ(lab_stats(store).ram_records, 0);
    CHECK_EQ(lab_stats(store).ram_bytes, 0);
    store_close(&env, store);
}

TEST(many_records_share_buckets)
{
    struct env env = {0};
    struct store *store = lab_open(&env, NULL, LAB_LARGE, 0);
    size_t one = record_bytes(&env), n = 20000;
    for (int i = 0; i < (int)n; i++)
        lab_keep(&env, store, i, RECORD_CHUNK);
    for (int i = 0; i < (int)n; i++)
        CHECK_EQ(lab_find(store, i), STORE_RAM);
    CHECK_EQ(lab_stats(store).ram_bytes, n * one);
    store_close(&env, store);
}

TEST(hit_in_ram_makes_no_heap_call)
{
    struct env env = {0};
    struct store *store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    uint64_t calls;
    lab_keep(&env, store, 1, RECORD_CHUNK);
    calls = heap_calls();
    for (int i = 0; i < 100; i++)
        store_unpin(store, store_get(store, lab_key(1), NULL, NULL));
    CHECK_EQ(heap_calls(), calls);
    store_close(&env, store);
    lab_clean();
}

TEST(padding_behind_matrices_is_zero)
{
    struct env env = {0};
    struct store *store = lab_open(&env, NULL, LAB_LARGE, 0);
    struct record *r = lab_new(&env, store, 1, RECORD_CHUNK, LAB_ROWS);
    const uint8_t *end;
    REQUIRE(r);
    memset(r->mat[0].data, 0xaa, LAB_FILE - 192); /* memory that was used before */
    store_drop(store, r);
    r = lab_new(&env, store, 1, RECORD_CHUNK, LAB_ROWS);
    REQUIRE(r);
    end = (const uint8_t *)r->mat[1].data + 72;
    for (int i = 0; i < 56; i++)
        CHECK_EQ(end[i], 0);
    store_drop(store, r);
    store_close(&env, store);
}

TEST(record_that_fits_nowhere_is_refused)
{
    struct env env = {0};
    struct store *store = lab_open(&env, NULL, LAB_LARGE, 0);
    static const int cols[] = {INT32_MAX, INT32_MAX};
    struct record_shape shape = {RECORD_CHUNK, INT32_MAX, {0, 0}, 2, cols, DT_F32};
    struct record *r;
    CHECK_EQ(store_new(&env, store, lab_key(1), &shape, &r), VLQA_EMEMORY);
    CHECK_HAS(env.message, "out of memory: record");
    store_close(&env, store);
}

/* What one thread of a session does, again and again; the budgets hold a quarter of the records. */
static void work(struct store *store, unsigned seed, int *wrong)
{
    struct env env = {0};
    for (int i = 0; i < 400; i++) {
        const struct record *r;
        int number = (int)((seed = seed * 1103515245u + 12345u) >> 16) % 16;
        r = store_get(store, lab_key(number), NULL, NULL);
        if (!r)
            r = lab_put(&env, store, number, number % 3 ? RECORD_CHUNK : RECORD_VISUAL, LAB_ROWS);
        *wrong += !r || !lab_right(r, number);
        if (r) store_unpin(store, r);
        store_settle(&env, store);
    }
}

struct worker {
    pthread_t thread;
    struct store *store;
    unsigned seed;
    int wrong;
};

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    work(w->store, w->seed, &w->wrong);
    return NULL;
}

static void share(const char *dir, size_t ram, size_t disk)
{
    struct env env = {0};
    struct store *store = lab_open(&env, dir, ram, disk);
    struct worker worker[4];
    struct vlqa_cache_stats stats;
    for (int i = 0; i < 4; i++) {
        worker[i] = (struct worker){.store = store, .seed = (unsigned)i};
        REQUIRE(pthread_create(&worker[i].thread, NULL, run_worker, &worker[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(worker[i].thread, NULL);
        CHECK_EQ(worker[i].wrong, 0);
    }
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    stats = lab_stats(store);
    CHECK_EQ(stats.unwritten, 0);
    CHECK_EQ(stats.hits_ram + stats.hits_disk + stats.misses, 1600);
    CHECK(stats.hits_ram > 0 && stats.misses > 0 && stats.evicted_ram > 0);
    CHECK(stats.ram_bytes <= ram && stats.disk_bytes <= disk);
    CHECK_EQ(stats.rejected, 0);
    CHECK_EQ(stats.write_failures, 0);
    if (dir) CHECK(stats.hits_disk > 0 && stats.evicted_disk > 0);
    store_close(&env, store);
}

TEST(threads_share_a_store)
{
    struct env env = {0};
    uint64_t live = heap_live();
    size_t one = record_bytes(&env);
    share(NULL, 4 * one, 0);
    share(lab_dir(), 4 * one, 8 * LAB_FILE);
    CHECK_EQ(heap_live(), live);
    lab_clean();
}

/* A store is opened and used while there is memory for so many blocks. */
static void use_with_memory_for(int64_t blocks)
{
    struct env env = {0};
    struct store_options options = {lab_dir(), LAB_LARGE, 3 * LAB_FILE, 0};
    struct store *store;
    vlqa_status status;
    heap_fail_after(blocks);
    status = store_open(&env, &options, &store);
    if (status != VLQA_OK) CHECK_HAS(env.message, "out of memory");
    for (int i = 0; status == VLQA_OK && i < 6; i++) {
        const struct record *r = store_get(store, lab_key(i), NULL, NULL);
        if (!r) r = lab_put(&env, store, i, RECORD_CHUNK, LAB_ROWS);
        if (!r) CHECK_HAS(env.message, "out of memory");
        if (!r) continue;
        CHECK(lab_right(r, i));
        store_unpin(store, r);
        CHECK_EQ(store_flush(&env, store), VLQA_OK); /* so that every time is like the last */
    }
    heap_fail_after(-1);
    if (status != VLQA_OK) return;
    CHECK(lab_stats(store).disk_bytes <= 3 * LAB_FILE);
    CHECK_EQ(lab_stats(store).rejected, 0);
    store_close(&env, store);
}

TEST(no_memory_is_survived_everywhere)
{
    struct env env = {0};
    struct store *store;
    uint64_t live = heap_live(), calls = heap_calls();
    use_with_memory_for(-1);
    calls = heap_calls() - calls;
    CHECK(calls > 10);
    for (int64_t n = 0; n <= (int64_t)calls;
         n++) { /* with an empty directory, and with a full one */
        lab_clean();
        use_with_memory_for(n);
        use_with_memory_for(n);
        CHECK_EQ(heap_live(), live);
    }
    store = lab_open(&env, lab_dir(), 0, 3 * LAB_FILE);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(lab_find(store, i), i < 3 ? STORE_MISS : STORE_DISK);
    store_close(&env, store);
    lab_clean();
}

TEST(directory_is_left_empty) /* the last test: nothing of ours lies around */
{
    CHECK_EQ(rmdir(lab_dir()), 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
