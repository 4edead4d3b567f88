/* test_store_writer.c - whoever asks never waits for a disk: it is held here, or fails, and answers
 * come all the same. */
#include "tests/fusion/sample_lab.h"
#include "tests/fusion/store_lab.h"

#include "include/vlqa.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

/* ---- the disk ----
 *
 * The program's fsync, opendir and flock are these: a linker takes them before those of the C
 * library. */

static struct disk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int held, waiting; /* syncs stand still; how many do */
    int error;         /* of the next syncs; 0: they work */
    int syncs, scans;  /* on any thread */
    pthread_t asking;
    int by_asking; /* of them on this thread */
    int dir_error; /* of the next syncs of directories */
    int locked;    /* another process has the lock */
    int tries;     /* to take it */
} disk = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

int flock(int fd, int operation)
{
    int locked;
    pthread_mutex_lock(&disk.lock);
    disk.tries += (operation & LOCK_EX) != 0;
    locked = disk.locked;
    pthread_mutex_unlock(&disk.lock);
    if (!locked || operation == LOCK_UN) return (int)syscall(SYS_flock, fd, operation);
    errno = EWOULDBLOCK;
    return -1;
}

int fsync(int fd)
{
    struct stat st;
    int error;
    pthread_mutex_lock(&disk.lock);
    disk.syncs++;
    disk.by_asking += pthread_equal(pthread_self(), disk.asking) != 0;
    disk.waiting++;
    pthread_cond_broadcast(&disk.changed);
    while (disk.held)
        pthread_cond_wait(&disk.changed, &disk.lock);
    disk.waiting--;
    error = disk.error;
    if (disk.dir_error && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) error = disk.dir_error;
    pthread_mutex_unlock(&disk.lock);
    if (!error) return (int)syscall(SYS_fsync, fd);
    errno = error;
    return -1;
}

int fdatasync(int fd)
{
    return fsync(fd);
}

DIR *opendir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    pthread_mutex_lock(&disk.lock);
    disk.scans++;
    disk.by_asking += pthread_equal(pthread_self(), disk.asking) != 0;
    pthread_mutex_unlock(&disk.lock);
    if (!dir && fd >= 0) close(fd);
    return dir;
}

static void disk_set(int held, int error)
{
    pthread_mutex_lock(&disk.lock);
    disk.held = held;
    disk.error = error;
    disk.syncs = disk.scans = disk.by_asking = 0;
    disk.asking = pthread_self();
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.lock);
}

static void disk_lock(int locked)
{
    pthread_mutex_lock(&disk.lock);
    disk.locked = locked;
    disk.tries = 0;
    pthread_mutex_unlock(&disk.lock);
}

static int by_asking(void)
{
    int n;
    pthread_mutex_lock(&disk.lock);
    n = disk.by_asking;
    pthread_mutex_unlock(&disk.lock);
    return n;
}

/* Returns when a sync stands still. */
static void await_standstill(void)
{
    pthread_mutex_lock(&disk.lock);
    while (!disk.waiting)
        pthread_cond_wait(&disk.changed, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
}

/* Record files and temporary ones: those the writer stands before are not renamed. */
static int count_records(void)
{
    DIR *list = opendir(lab_dir());
    struct dirent *entry;
    int n = 0;
    while (list && (entry = readdir(list)) != NULL)
        n += strlen(entry->d_name) == 69;
    if (list) closedir(list);
    return n;
}

/* Put and unpinned; not waited for. */
static void put(struct env *env, struct store *store, int number)
{
    const struct record *r = lab_put(env, store, number, RECORD_CHUNK, LAB_ROWS);
    CHECK(r);
    if (r) store_unpin(store, r);
}

static struct store *open_patient(struct env *env, size_t ram, double patience_ms)
{
    struct store_options options = {lab_dir(), ram, LAB_LARGE, patience_ms};
    struct store *store = NULL;
    CHECK_EQ(store_open(env, &options, &store), VLQA_OK);
    return store;
}

/* ---- the answer ---- */

static int ask(struct vlqa_session *s, float logits[VOCAB], int *made)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a = {0};
    o.halo = CHART_HALO;
    o.max_tokens = 4;
    o.ignore_eos = 1;
    set_reuse(&o, REUSE_INFOFLOW);
    o.chunker = VLQA_CHUNK_GRID;
    o.chunk_k = 4;
    if (vlqa_session_clear(s) != VLQA_OK || vlqa_add_image_file(s, CHART("february")) != VLQA_OK ||
        vlqa_ask(s, QUESTION, &o, &a, sizeof a) != VLQA_OK) {
        CHECK_FAIL("ask: %s", vlqa_message(s));
        return 0;
    }
    memcpy(logits, a.logits, VOCAB * sizeof *logits);
    *made = a.chunks_computed + a.visual_computed;
    return 1;
}

static int open_run(struct run *r, const char *dir)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 2;
    eo.cache_dir = dir;
    return run_start(r, eo, 640);
}

TEST(an_answer_comes_while_the_disk_stands_still)
{
    static float expected[VOCAB], logits[VOCAB];
    struct vlqa_cache_stats stats;
    struct run r;
    int made;
    REQUIRE(open_run(&r, NULL));
    REQUIRE(ask(r.session, expected, &made));
    run_close(&r);
    disk_set(1, 0);
    REQUIRE(open_run(&r, lab_dir()));
    REQUIRE(ask(r.session, logits, &made));
    CHECK_EQ(by_asking(), 0); /* syncs and looks through the directory */
    CHECK_EQ(made, 17);
    CHECK(memcmp(expected, logits, sizeof logits) == 0);
    CHECK_EQ(count_records(), 0);
    REQUIRE(ask(r.session, logits, &made)); /* the unwritten are there */
    CHECK_EQ(made, 0);
    CHECK(memcmp(expected, logits, sizeof logits) == 0);
    disk_set(0, 0);
    CHECK(vlqa_cache_flush(r.engine) == VLQA_OK);
    CHECK_EQ(by_asking(), 0);
    CHECK_EQ(count_records(), 17);
    CHECK(vlqa_cache_read_stats(r.engine, &stats, sizeof stats) == VLQA_OK);
    CHECK_EQ(stats.write_failures, 0);
    CHECK_EQ(stats.disk_records, 17);
    run_close(&r);
    REQUIRE(open_run(&r, lab_dir()));
    REQUIRE(ask(r.session, logits, &made)); /* in another engine, too */
    CHECK_EQ(made, 0);
    CHECK(memcmp(expected, logits, sizeof logits) == 0);
    run_close(&r);
    lab_clean();
}

/* ---- batches ---- */

TEST(a_batch_looks_through_the_directory_once_and_syncs_it_once)
{
    struct env env = {0};
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    disk_set(1, 0);
    put(&env, store, 0);
    await_standstill();
    for (int i = 1; i <= 20; i++) /* queue up meanwhile */
        put(&env, store, i);
    CHECK_EQ(by_asking(), 0);
    CHECK_EQ(lab_stats(store).unwritten, 21);
    disk_set(0, 0);
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    CHECK_EQ(by_asking(), 0);
    CHECK_EQ(disk.scans, 1);          /* of the second batch */
    CHECK_EQ(disk.syncs, 1 + 20 + 1); /* the first batch's directory; files; directory */
    CHECK_EQ(count_records(), 21);
    CHECK_EQ(lab_stats(store).unwritten, 0);
    store_close(&env, store);
    lab_clean();
}

TEST(unwritten_records_stay_whatever_the_budget)
{
    struct env env = {0};
    struct store *store = open_patient(&env, 0, 0);
    disk_set(1, 0);
    for (int i = 0; i < 8; i++)
        put(&env, store, i);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(lab_find(store, i), STORE_RAM);
    CHECK_EQ(lab_stats(store).evicted_ram, 0);
    CHECK(lab_stats(store).ram_bytes >= 8 * LAB_FILE);
    disk_set(0, 0);
    store_settle(&env, store); /* until they fit into no bytes at all */
    CHECK_EQ(lab_stats(store).ram_bytes, 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(lab_find(store, i), STORE_DISK);
    store_close(&env, store);
    lab_clean();
}

TEST(closing_writes_what_is_queued)
{
    struct env env = {0};
    uint64_t live = heap_live();
    for (int n = 0; n < 100; n += 33) {
        struct store *store = open_patient(&env, LAB_LARGE, 0);
        for (int i = 0; i < n; i++)
            put(&env, store, i);
        store_close(&env, store);
        CHECK_EQ(count_records(), n);
        CHECK_EQ(heap_live(), live);
    }
    lab_clean();
}

/* ---- disks that fail ---- */

TEST(sync_that_fails_publishes_nothing_and_is_told_once)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    disk_set(0, EIO);
    for (int i = 0; i < 3; i++)
        put(&env, store, i);
    CHECK_EQ(store_flush(&env, store), VLQA_OK); /* nothing is left to be written */
    CHECK_EQ(lab_stats(store).write_failures, 3);
    CHECK_EQ(log.lines, 1);
    CHECK_HAS(log.last, "a record is not kept on disk");
    CHECK_HAS(log.last, "Input/output error");
    CHECK_EQ(count_records(), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(lab_find(store, i), STORE_RAM);
    disk_set(0, 0);
    put(&env, store, 3);
    store_close(&env, store);
    CHECK_EQ(log.lines, 1);
    CHECK_EQ(count_records(), 1);
    lab_clean();
}

TEST(failure_is_told_when_the_store_is_closed)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    disk_set(1, EIO);
    put(&env, store, 1);
    CHECK_EQ(log.lines, 0);
    disk_set(0, EIO);
    store_close(&env, store);
    CHECK_EQ(log.lines, 1);
    CHECK_HAS(log.last, "a record is not kept on disk");
    disk_set(0, 0);
    lab_clean();
}

/* Waits for what the thread of a store that was given up frees when it comes back. */
static void await_blocks(uint64_t live)
{
    while (heap_live() != live)
        usleep(1000);
}

TEST(a_disk_that_stands_still_holds_nobody_for_ever)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    uint64_t live = heap_live();
    struct store *store = open_patient(&env, 0, 1);
    disk_set(1, 0);
    put(&env, store, 0);
    await_standstill();
    for (int i = 1; i < 5; i++)
        put(&env, store, i);
    store_settle(&env, store); /* gives up the four that the disk has not begun with */
    CHECK_EQ(lab_stats(store).write_failures, 4);
    CHECK_EQ(lab_stats(store).unwritten, 1);
    CHECK_EQ(lab_stats(store).ram_records, 1);
    CHECK_EQ(log.lines, 1);
    CHECK_HAS(log.last, "does not answer");
    put(&env, store, 5);
    CHECK_EQ(store_flush(&env, store), VLQA_EIO);
    CHECK_HAS(env.message, "does not answer");
    CHECK_EQ(lab_stats(store).write_failures, 5);
    store_close(&env, store);
    CHECK_HAS(log.last, "does not answer: 1 more records may not be on disk");
    disk_set(0, 0);
    await_blocks(live);
    CHECK_EQ(count_records(), 1);
    lab_clean();
}

TEST(a_disk_that_comes_back_is_used_again)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = open_patient(&env, LAB_LARGE, 1);
    disk_set(1, 0);
    put(&env, store, 0);
    await_standstill();
    put(&env, store, 1);
    CHECK_EQ(store_flush(&env, store), VLQA_EIO);
    disk_set(0, 0);
    while (lab_stats(store).unwritten)
        usleep(1000);
    put(&env, store, 2);
    while (lab_stats(store).unwritten)
        usleep(1000);
    store_close(&env, store);
    CHECK(lab_exists(lab_record_path(0)) && lab_exists(lab_record_path(2)));
    CHECK(!lab_exists(lab_record_path(1)));
    lab_clean();
}

TEST(a_directory_that_cannot_be_synced_has_its_records_all_the_same)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    disk_set(0, 0);
    disk.dir_error = EIO;
    for (int i = 0; i < 3; i++)
        put(&env, store, i);
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    disk.dir_error = 0;
    CHECK_EQ(count_records(), 3);
    CHECK_EQ(lab_stats(store).write_failures, 0);
    CHECK_EQ(log.lines, 0);
    store_close(&env, store);
    lab_clean();
}

/* Each try of a later batch is one call; a wait would be thousands. */
TEST(a_lock_that_is_held_is_waited_for_once_and_then_tried)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    disk_lock(1);
    put(&env, store, 0);
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    CHECK(disk.tries > 10);
    CHECK_EQ(log.lines, 1);
    CHECK_HAS(log.last, "is locked by another process");
    disk_lock(1);
    for (int i = 1; i <= 20; i++) {
        put(&env, store, i);
        CHECK_EQ(store_flush(&env, store), VLQA_OK);
        CHECK_EQ(disk.tries, i);
        CHECK_EQ(lab_stats(store).write_failures, i + 1);
    }
    disk_lock(0);
    put(&env, store, 21); /* free: as if nothing had been */
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    CHECK_EQ(count_records(), 1);
    CHECK_EQ(lab_stats(store).write_failures, 21);
    store_close(&env, store);
    CHECK_EQ(log.lines, 1);
    lab_clean();
}

TEST(closing_does_not_wait_for_the_lock_with_each_batch)
{
    struct env env = {0};
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    disk_lock(1);
    put(&env, store, 0);
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    disk_lock(1);
    for (int i = 1; i <= 200; i++)
        put(&env, store, i);
    store_close(&env, store);
    CHECK(disk.tries >= 200 / 32 && disk.tries <= 200); /* one each batch, however small */
    disk_lock(0);
    CHECK_EQ(count_records(), 0);
    lab_clean();
}

/* Another process wrote them first: there is nothing to lock for. */
TEST(records_that_are_there_need_no_lock)
{
    struct env env = {0};
    struct store *a = open_patient(&env, LAB_LARGE, 0), *b = open_patient(&env, LAB_LARGE, 0);
    for (int i = 0; i < 3; i++)
        put(&env, a, i);
    CHECK_EQ(store_flush(&env, a), VLQA_OK);
    disk_lock(1);
    for (int i = 0; i < 3; i++)
        put(&env, b, i);
    CHECK_EQ(store_flush(&env, b), VLQA_OK);
    CHECK_EQ(disk.tries, 0);
    CHECK_EQ(lab_stats(b).write_failures, 0);
    disk_lock(0);
    store_close(&env, a);
    store_close(&env, b);
    lab_clean();
}

/* ---- threads and processes ---- */

TEST(child_process_closes_without_the_thread_of_its_parent)
{
    struct env env = {0};
    struct store *store = open_patient(&env, LAB_LARGE, 0);
    int status = -1;
    pid_t child;
    disk_set(1, 0);
    put(&env, store, 1);
    await_standstill();
    child = fork();
    if (child == 0) {
        alarm(20);
        store_close(&env, store);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    disk_set(0, 0);
    store_close(&env, store);
    CHECK_EQ(count_records(), 1);
    lab_clean();
}

#define FLUSHERS 4

struct flusher {
    pthread_t thread;
    struct store *store;
    int first, wrong;
};

/* After a flush what this thread has put is on disk, whatever the others do: RAM keeps nothing. */
static void *flush_main(void *arg)
{
    struct flusher *f = arg;
    struct env env = {0};
    for (int i = f->first; i < f->first + 100; i++) {
        enum store_where where = STORE_DISK;
        const struct record *r = lab_put(&env, f->store, i, RECORD_CHUNK, LAB_ROWS);
        f->wrong += !r;
        if (r) store_unpin(f->store, r);
        if (i % 10) continue;
        f->wrong += store_flush(&env, f->store) != VLQA_OK;
        r = store_get(f->store, lab_key(i), NULL, &where);
        f->wrong += where != STORE_DISK || !lab_right(r, i);
        if (r) store_unpin(f->store, r);
    }
    return NULL;
}

TEST(threads_flush_each_for_itself)
{
    struct env env = {0};
    struct store *store = open_patient(&env, 0, 0);
    struct flusher f[FLUSHERS];
    for (int i = 0; i < FLUSHERS; i++) {
        f[i] = (struct flusher){.store = store, .first = 100 * i};
        REQUIRE(pthread_create(&f[i].thread, NULL, flush_main, &f[i]) == 0);
    }
    for (int i = 0; i < FLUSHERS; i++) {
        (void)pthread_join(f[i].thread, NULL);
        CHECK_EQ(f[i].wrong, 0);
    }
    store_close(&env, store);
    CHECK_EQ(count_records(), 100 * FLUSHERS);
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
