/* test_store_kill.c - many processes on one directory, some of them killed at any moment. */
#include "tests/fusion/store_lab.h"

#include <sys/ptrace.h>

#define KILLS 2000
#define LARGEST 512 /* rows of a record; it takes a while to write */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int tokens_of(int number)
{
    return number % 3 ? LAB_ROWS : LARGEST;
}

/* Says that it is ready, publishes a handful of records after the other and says which, until it is
 * killed: in the program's thread or in the one that writes. */
static void write_until_killed(int first, size_t disk_bytes, int say)
{
    struct env env = {0};
    struct store_options options = {lab_dir(), 0, disk_bytes, 0};
    struct store *store;
    if (store_open(&env, &options, &store) != VLQA_OK) _exit(1);
    if (write(say, &first, sizeof first) != sizeof first) _exit(1);
    for (int number = first + 1, n = 1;; number += n, n = n % 5 + 1) {
        for (int i = 0; i < n; i++) {
            const struct record *r = lab_put(&env, store, number + i, RECORD_CHUNK, tokens_of(i));
            if (!r) _exit(1);
            store_unpin(store, r);
        }
        if (store_flush(&env, store) != VLQA_OK || lab_stats(store).write_failures) _exit(1);
        for (int i = number; i < number + n; i++)
            if (write(say, &i, sizeof i) != sizeof i) _exit(1);
    }
}

/* A writer is started and killed; the descriptor has what it said. -1: could not be started or
 * ended by itself. */
static int run_and_kill(int first, size_t disk_bytes, uint32_t wait_us)
{
    int say[2], ready, status = 0;
    pid_t child;
    if (pipe(say) != 0) return -1;
    child = fork();
    if (child == 0) write_until_killed(first, disk_bytes, say[1]);
    close(say[1]);
    if (read(say[0], &ready, sizeof ready) == sizeof ready) usleep(wait_us);
    if (child > 0) (void)kill(child, SIGKILL);
    if (child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status)) return say[0];
    close(say[0]);
    return -1;
}

struct census {
    int records, intact;
    uint64_t bytes;
};

static int count(void *user, const struct store_item *item)
{
    struct census *census = user;
    census->records++;
    census->intact += !item->problem;
    census->bytes += item->bytes;
    return 0;
}

/* Every file that has a record's name is whole. */
static struct census take_census(void)
{
    struct env env = {0};
    struct census census = {0, 0, 0};
    CHECK_EQ(store_scan(&env, lab_dir(), 1, count, &census), VLQA_OK);
    CHECK_EQ(census.intact, census.records);
    return census;
}

static void remove_all(void)
{
    struct env env = {0};
    int removed;
    CHECK_EQ(store_remove(&env, lab_dir(), NULL, &removed), VLQA_OK);
}

/* Microseconds within which a writer is killed: longer after one that came to nothing, so that a
 * busy machine sees as many cuts and as many publications as an idle one. */
static int next_range(int range, int came_to_something)
{
    int next = came_to_something ? range - range / 8 : range + range / 4;
    return next < 500 ? 500 : next > 100000 ? 100000 : next;
}

TEST(killed_writers_lose_no_published_record)
{
    struct env env = {0};
    struct store *store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    uint32_t seed = 1;
    int published = 0, torn = 0, range = 2000;
    for (int kills = 0; kills < KILLS; kills++) {
        int delay = (int)(next_random(&seed) % (uint32_t)range), before = published, number;
        int said = run_and_kill(kills * 1000, LAB_LARGE, (uint32_t)delay);
        long long bytes;
        REQUIRE(said >= 0);
        while (read(said, &number, sizeof number) == sizeof number) {
            published++;
            CHECK_EQ(lab_find(store, number), STORE_DISK);
        }
        close(said);
        range = next_range(range, published > before);
        torn += lab_files(&bytes) > (int)lab_stats(store).disk_records;
        if (kills % 10 != 9) continue;
        (void)take_census();
        remove_all();
    }
    CHECK(published > 0 && torn > 0);
    CHECK_EQ(lab_stats(store).rejected, 0);
    printf("     %d kills: %d records published, %d writes cut\n", KILLS, published, torn);
    store_close(&env, store);
    lab_clean();
}

TEST(killed_writers_keep_the_quota)
{
    const size_t quota = 100000; /* of two large records and many small ones */
    struct env env = {0};
    struct store *store = lab_open(&env, lab_dir(), 0, quota);
    uint32_t seed = 2;
    for (int i = -1; lab_stats(store).evicted_disk == 0; i--) /* full: who writes has to remove */
        lab_keep(&env, store, i, RECORD_VISUAL);
    store_close(&env, store);
    for (int kills = 0; kills < 200; kills++) {
        int said = run_and_kill(kills * 1000, quota, next_random(&seed) % 5000);
        long long bytes;
        REQUIRE(said >= 0);
        close(said);
        (void)lab_files(&bytes);
        CHECK(bytes <= (long long)quota); /* half-written files count */
        CHECK(take_census().records > 0);
    }
    lab_clean();
}

/* ---- each system call ---- */

#define TRACED 3 /* records of a writer: more than one batch, or one */

static void write_traced(int first)
{
    struct env env = {0};
    struct store_options options = {lab_dir(), 0, LAB_LARGE, 0};
    struct store *store;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
    (void)raise(SIGSTOP);
    if (store_open(&env, &options, &store) != VLQA_OK) _exit(2);
    for (int i = first; i < first + TRACED; i++)
        store_unpin(store, lab_put(&env, store, i, RECORD_CHUNK, LAB_ROWS));
    if (store_flush(&env, store) != VLQA_OK) _exit(4);
    _exit(lab_stats(store).write_failures ? 3 : 0);
}

/* A writer is killed at its n-th stop: each system call of each of its threads has one before it
 * and one behind. *status: how it ended. Nonzero: killed. */
static int kill_at_stop(int n, int first, int *status)
{
    pid_t child = fork(), stopped = child;
    int killed = 0, how;
    if (child < 0) return 0;
    if (child == 0) write_traced(first);
    if (waitpid(child, status, 0) != child || !WIFSTOPPED(*status)) return 0;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_TRACECLONE) != 0) return 0;
    for (int i = 0; stopped > 0; stopped = waitpid(-1, &how, __WALL)) { /* until none is left */
        if (i && stopped == child) *status = how;
        if (i && !WIFSTOPPED(how)) continue;
        if (i++ == n) killed = kill(child, SIGKILL) == 0;
        if (!killed) (void)ptrace(PTRACE_SYSCALL, stopped, NULL, NULL);
    }
    return killed;
}

TEST(writer_killed_at_any_system_call_leaves_whole_records_or_none)
{
    struct env env = {0};
    int stops = 0, found = 0, torn = 0, status;
    for (; kill_at_stop(stops, TRACED * stops, &status); stops++) {
        struct store *store;
        long long bytes;
        int left = lab_files(&bytes), whole = take_census().records;
        torn += left > whole;
        found += whole;
        store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
        for (int i = 0; i < TRACED; i++)
            whole -= lab_find(store, TRACED * stops + i) == STORE_DISK;
        CHECK_EQ(whole, 0);
        for (int i = 0; i < TRACED; i++) /* no lock is in the way */
            lab_keep(&env, store, TRACED * stops + i, RECORD_CHUNK);
        CHECK_EQ(lab_files(&bytes), TRACED); /* what it left is gone */
        CHECK_EQ(take_census().records, TRACED);
        CHECK_EQ(lab_stats(store).rejected + lab_stats(store).write_failures, 0);
        store_close(&env, store);
        remove_all();
    }
    if (stops == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1)
        SKIP("no process may be traced here");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(stops > 40 && torn > 8 && found > 8);
    printf("     %d stops: %d with half a record, %d whole ones\n", stops, torn, found);
    remove_all();
    lab_clean();
}

/* Both see nothing, both make the record, both publish. */
TEST(two_writers_of_one_record_leave_one)
{
    struct env env = {0};
    struct store *a = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    struct store *b = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    long long bytes;
    CHECK_EQ(lab_find(a, 1), STORE_MISS);
    CHECK_EQ(lab_find(b, 1), STORE_MISS);
    lab_keep(&env, a, 1, RECORD_CHUNK);
    lab_set_age(lab_record_path(1), 1000);
    lab_keep(&env, b, 1, RECORD_CHUNK);
    CHECK(lab_age(lab_record_path(1)) >= 1000); /* not written again */
    CHECK_EQ(lab_files(&bytes), 1);
    CHECK_EQ(bytes, LAB_FILE);
    CHECK_EQ(lab_stats(b).write_failures, 0);
    store_close(&env, a);
    store_close(&env, b);
    CHECK_EQ(take_census().records, 1);
    lab_clean();
}

#define OPERATIONS 1000
#define NUMBERS 24 /* records that they ask for; the quota holds a third */
#define QUOTA (8 * LAB_FILE)

/* The exit status of a process that shares the directory: 0, everything was right. */
static int share(uint32_t seed)
{
    struct env env = {0};
    struct store_options options = {lab_dir(), 2048, QUOTA, 0};
    struct vlqa_cache_stats stats;
    struct store *store;
    int wrong = 0;
    if (store_open(&env, &options, &store) != VLQA_OK) return 1;
    for (int i = 0; i < OPERATIONS; i++) {
        int number = (int)(next_random(&seed) % NUMBERS);
        const struct record *r = store_get(store, lab_key(number), NULL, NULL);
        if (!r) r = lab_put(&env, store, number, RECORD_CHUNK, LAB_ROWS);
        if (!r) return 2;
        wrong += !lab_right(r, number);
        store_unpin(store, r);
        store_settle(&env, store); /* as sessions do */
    }
    if (store_flush(&env, store) != VLQA_OK) return 6;
    stats = lab_stats(store);
    store_close(&env, store);
    if (wrong) return 3;
    if (stats.write_failures || stats.rejected) return 4;
    return stats.hits_disk > 100 && stats.evicted_disk > 100 ? 0 : 5;
}

static long long bytes_under_lock(void)
{
    int fd = open(lab_path("vlqa.lock"), O_RDWR | O_CREAT, 0600);
    long long bytes = -1;
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX) == 0) (void)lab_files(&bytes);
    close(fd);
    return bytes;
}

TEST(processes_share_a_directory_and_its_quota)
{
    pid_t child[2];
    int looks = 0;
    for (int i = 0; i < 2; i++) {
        child[i] = fork();
        REQUIRE(child[i] >= 0);
        if (child[i] == 0) _exit(share((uint32_t)i + 7));
    }
    for (int i = 0; i < 2; i++) {
        int status = 0;
        while (waitpid(child[i], &status, WNOHANG) == 0) {
            long long bytes = bytes_under_lock();
            CHECK(bytes >= 0 && bytes <= QUOTA);
            looks++;
            usleep(2000);
        }
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
    CHECK(looks > 0);
    CHECK(take_census().bytes <= QUOTA);
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
