/* test_store_dir.c - directories that cannot be used, quotas, locks; looking at one from outside.
 */
#include "fusion/store/store_dir.h"
#include "tests/fusion/store_lab.h"

/* A store on dir works, in RAM only, and says why. */
static void check_ram_only(const char *dir, const char *why)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = lab_open(&env, dir, LAB_LARGE, LAB_LARGE);
    CHECK_EQ(log.lines, 1);
    CHECK_HAS(log.last, "records are kept in memory only");
    CHECK_HAS(log.last, why);
    CHECK_HAS(lab_stats(store).disk_problem, why);
    CHECK_STR(env.message, "");
    lab_keep(&env, store, 1, RECORD_CHUNK);
    CHECK_EQ(lab_find(store, 1), STORE_RAM);
    CHECK_EQ(lab_find(store, 2), STORE_MISS);
    CHECK_EQ(lab_stats(store).write_failures, 0);
    CHECK_EQ(log.lines, 1);
    store_close(&env, store);
}

/* Publishing fails now, is warned of once, and the records are there all the same. */
static void check_writes_fail(struct store *store, struct lab_log *log, const char *why)
{
    struct env env = lab_env(log);
    for (int i = 100; i < 103; i++) {
        const struct record *r = lab_put(&env, store, i, RECORD_CHUNK, LAB_ROWS);
        REQUIRE(r);
        CHECK(lab_right(r, i));
        store_unpin(store, r);
        CHECK_EQ(store_flush(&env, store), VLQA_OK); /* nothing is left to be written */
        CHECK(!lab_exists(lab_record_path(i)));
    }
    CHECK_EQ(lab_stats(store).write_failures, 3);
    CHECK_EQ(log->lines, 1);
    CHECK_HAS(log->last, "a record is not kept on disk");
    CHECK_HAS(log->last, why);
    CHECK_STR(env.message, "");
}

TEST(directory_and_files_are_for_the_user_alone)
{
    struct env env = {0};
    const char *dir = lab_path("made");
    struct store_options options = {dir, 0, LAB_LARGE, 0};
    struct store *store;
    struct stat st;
    mode_t before = umask(0);
    char name[80], file[400];
    REQUIRE(store_open(&env, &options, &store) == VLQA_OK);
    lab_keep(&env, store, 1, RECORD_CHUNK);
    store_close(&env, store);
    (void)umask(before);
    REQUIRE(stat(dir, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0700);
    key_hex(lab_key(1), name);
    (void)snprintf(file, sizeof file, "%s/%s.vlqa", dir, name);
    REQUIRE(stat(file, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    (void)unlink(file);
    (void)unlink(lab_path("made/vlqa.lock"));
    lab_clean();
}

/* Our own, and others may look: what is in it is for us alone all the same. */
TEST(files_in_a_directory_that_is_open_to_all_are_not)
{
    struct env env = {0};
    struct store *store;
    struct stat st;
    mode_t before = umask(0);
    REQUIRE(chmod(lab_dir(), 0777) == 0);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    CHECK_STR(lab_stats(store).disk_problem, "");
    lab_keep(&env, store, 1, RECORD_CHUNK);
    store_close(&env, store);
    (void)umask(before);
    REQUIRE(stat(lab_record_path(1), &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    REQUIRE(stat(lab_path("vlqa.lock"), &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    REQUIRE(chmod(lab_dir(), 0700) == 0);
    lab_clean();
}

TEST(relative_directory_survives_a_chdir)
{
    struct env env = {0};
    struct store *store;
    char here[4096];
    REQUIRE(getcwd(here, sizeof here) && chdir(lab_dir()) == 0);
    store = lab_open(&env, ".", 0, LAB_LARGE);
    REQUIRE(chdir(here) == 0);
    lab_keep(&env, store, 1, RECORD_CHUNK);
    CHECK(lab_exists(lab_record_path(1)));
    CHECK_EQ(lab_find(store, 1), STORE_DISK);
    store_close(&env, store);
    lab_clean();
}

TEST(unusable_directories_mean_ram_only)
{
    lab_write_file(lab_path("file"), "x", 1);
    check_ram_only(lab_path("file"), "is a file, expected a directory");
    check_ram_only(lab_path("file/dir"), "Not a directory");
    check_ram_only(lab_path("none/dir"), "No such file or directory");
    check_ram_only("", "No such file or directory");
    REQUIRE(symlink("nowhere", lab_path("link")) == 0);
    check_ram_only(lab_path("link"), "No such file or directory");
    lab_clean();
}

TEST(directories_of_others_are_refused_with_what_to_do)
{
    if (geteuid() != 0) SKIP("only root can give directories away");
    REQUIRE(mkdir(lab_path("other"), 0700) == 0 && chmod(lab_path("other"), 01777) == 0);
    REQUIRE(chown(lab_path("other"), 12345, 12345) == 0);
    check_ram_only(lab_path("other"),
                   "may be written by everybody and is not ours: use a directory");
    REQUIRE(chmod(lab_path("other"), 0777) == 0 && chmod(lab_dir(), 0711) == 0);
    REQUIRE(chmod(lab_path("other"), 0770) == 0 && seteuid(65534) == 0);
    check_ram_only(lab_path("other"), "belongs to user 12345: use a directory of your own");
    REQUIRE(seteuid(0) == 0 && chmod(lab_dir(), 0700) == 0);
    lab_clean();
}

/* A volume that a container gives to a group, and one of the host's user in which root works. */
TEST(directories_of_root_and_for_root_are_used)
{
    struct env env = {0};
    struct store *store;
    const char *dir = lab_path("volume");
    if (geteuid() != 0) SKIP("only root can give directories away");
    REQUIRE(mkdir(dir, 0700) == 0 && chmod(dir, 02775) == 0 && chmod(lab_dir(), 0711) == 0);
    REQUIRE(chown(dir, 0, 65534) == 0 && setegid(65534) == 0 && seteuid(65534) == 0);
    store = lab_open(&env, dir, 0, LAB_LARGE);
    lab_keep(&env, store, 1, RECORD_CHUNK);
    CHECK_EQ(lab_find(store, 1), STORE_DISK);
    store_close(&env, store);
    REQUIRE(seteuid(0) == 0 && setegid(0) == 0);
    for (int i = 0; i < 2; i++) { /* what the other user left is in the way; then it is not */
        struct lab_log log;
        env = lab_env(&log);
        REQUIRE(chown(dir, 65534, 65534) == 0 && chmod(dir, 0700) == 0);
        if (i) REQUIRE(unlink(lab_path("volume/vlqa.lock")) == 0);
        store = lab_open(&env, dir, 0, LAB_LARGE);
        lab_keep(&env, store, 2, RECORD_CHUNK);
        CHECK_EQ(lab_find(store, 2), i ? STORE_DISK : STORE_MISS);
        store_close(&env, store);
        if (!i) CHECK_HAS(log.last, "vlqa.lock belongs to user 65534: remove it");
    }
    REQUIRE(chmod(lab_dir(), 0700) == 0);
    CHECK(system("rm -rf /dev/shm/vlqa_store_*/volume /tmp/vlqa_store_*/volume") == 0);
    lab_clean();
}

TEST(directory_that_vanishes_costs_a_warning)
{
    struct env env = {0};
    struct lab_log log;
    struct store *store;
    const char *dir = lab_path("gone");
    store = lab_open(&env, dir, 0, LAB_LARGE);
    REQUIRE(rmdir(dir) == 0);
    check_writes_fail(store, &log, "No such file or directory");
    CHECK_EQ(lab_find(store, 1), STORE_MISS);
    CHECK_EQ(lab_stats(store).disk_records, 0);
    store_close(&env, store);
}

TEST(file_that_may_not_grow_costs_a_warning)
{
    struct env env = {0};
    struct lab_log log;
    struct store *store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    struct rlimit limit, small;
    long long bytes;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = LAB_FILE - 1; /* the last byte does not fit */
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    check_writes_fail(store, &log, "File too large");
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    (void)signal(SIGXFSZ, before);
    CHECK_EQ(lab_files(&bytes), 0);
    CHECK_EQ(lab_find(store, 100), STORE_RAM);
    lab_keep(&env, store, 1, RECORD_CHUNK); /* works again */
    CHECK(lab_exists(lab_record_path(1)));
    store_close(&env, store);
    lab_clean();
}

TEST(full_disk_costs_a_warning)
{
    struct env env = {0};
    struct lab_log log;
    struct store *store;
    const char *dir = lab_path("small");
    REQUIRE(mkdir(dir, 0700) == 0);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=8k,mode=700") != 0) {
        lab_clean();
        SKIP("only root can mount a small disk");
    }
    store = lab_open(&env, dir, LAB_LARGE, LAB_LARGE);
    lab_keep(&env, store, 1, RECORD_CHUNK);
    lab_keep(&env, store, 2, RECORD_CHUNK);
    CHECK_EQ(lab_stats(store).disk_records, 2);
    check_writes_fail(store, &log, "No space left on device");
    CHECK_EQ(lab_stats(store).disk_records, 2);
    store_close(&env, store);
    CHECK(umount2(dir, MNT_DETACH) == 0);
    lab_clean();
}

TEST(quota_holds_and_the_least_recently_used_goes)
{
    struct env env = {0};
    struct store *store;
    lab_fill(4);
    for (int i = 0; i < 4; i++)
        lab_set_age(lab_record_path(i), 1000 - i);
    store = lab_open(&env, lab_dir(), 0, 4 * LAB_FILE);
    CHECK_EQ(lab_find(store, 0), STORE_DISK); /* is the youngest now */
    CHECK(lab_age(lab_record_path(0)) < 100);
    lab_keep(&env, store, 4, RECORD_CHUNK);
    CHECK(!lab_exists(lab_record_path(1)));
    lab_keep(&env, store, 5, RECORD_CHUNK);
    CHECK(!lab_exists(lab_record_path(2)));
    CHECK_EQ(lab_stats(store).disk_records, 4);
    CHECK_EQ(lab_stats(store).evicted_disk, 2);
    store_close(&env, store);
    store = lab_open(&env, lab_dir(), 0, 2 * LAB_FILE - 1); /* a smaller one, from the next write */
    CHECK_EQ(lab_stats(store).disk_records, 4);
    lab_keep(&env, store, 6, RECORD_CHUNK);
    CHECK_EQ(lab_stats(store).disk_records, 1);
    CHECK_EQ(lab_find(store, 6), STORE_DISK);
    store_close(&env, store);
    lab_clean();
}

TEST(time_of_use_is_written_once_a_minute)
{
    struct env env = {0};
    struct store *store;
    lab_fill(1);
    store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    lab_set_age(lab_record_path(0), 1000);
    CHECK_EQ(lab_find(store, 0), STORE_DISK);
    CHECK(lab_age(lab_record_path(0)) < 100);
    lab_set_age(lab_record_path(0), 1000);
    CHECK_EQ(lab_find(store, 0), STORE_RAM);
    CHECK(lab_age(lab_record_path(0)) >= 1000);
    store_close(&env, store);
    lab_clean();
}

/* How `touch -d` or a wrong clock leaves them: before 1970, and so late that nanoseconds since then
 * are more than 64 bits. */
TEST(times_far_in_the_future_neither_overflow_nor_stay_for_ever)
{
    static const int64_t when[] = {-5000000000, 1000000000, 9000000000, 20000000000, 400000000000};
    struct env env = {0};
    struct store_dir dir;
    struct store_dir_list list;
    struct store *store;
    struct stat st;
    lab_fill(5);
    for (int i = 0; i < 5; i++) {
        struct timespec times[2] = {{when[i], 999999999}, {when[i], 999999999}};
        REQUIRE(utimensat(AT_FDCWD, lab_record_path(i), times, 0) == 0);
        REQUIRE(lstat(lab_record_path(i), &st) == 0);
        if (st.st_mtim.tv_sec != when[i]) SKIP("a file system without such times");
    }
    REQUIRE(store_dir_find(&env, lab_dir(), &dir) == VLQA_OK);
    REQUIRE(store_dir_list(&env, &dir, 0, &list) == VLQA_OK && list.n == 5);
    for (int i = 0; i < 5; i++) {
        CHECK(key_equal(list.file[i].key, lab_key(i)));
        CHECK_EQ(list.file[i].used.tv_sec, when[i]);
    }
    heap_free(list.file);
    store = lab_open(&env, lab_dir(), 0, 4 * LAB_FILE);
    lab_keep(&env, store, 5, RECORD_CHUNK);
    CHECK(!lab_exists(lab_record_path(0)) && !lab_exists(lab_record_path(1)));
    for (int i = 2; i < 5; i++) /* they grow older from now on */
        CHECK(lab_exists(lab_record_path(i)) && lab_age(lab_record_path(i)) < 100);
    lab_set_age(lab_record_path(5), -1000);
    for (int i = 6; i < 9; i++)
        lab_keep(&env, store, i, RECORD_CHUNK);
    for (int i = 2; i < 5; i++)
        CHECK(!lab_exists(lab_record_path(i)));
    CHECK(lab_exists(lab_record_path(5)));
    store_close(&env, store);
    lab_clean();
}

TEST(clock_that_went_back_breaks_nothing)
{
    struct env env = {0};
    struct store *store;
    lab_fill(3);
    lab_set_age(lab_record_path(0), -100000);
    lab_set_age(lab_record_path(1), -200000);
    lab_set_age(lab_record_path(2), 2000000000);
    store = lab_open(&env, lab_dir(), 0, 3 * LAB_FILE);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(lab_find(store, i), STORE_DISK);
    for (int i = 3; i < 10; i++) {
        lab_keep(&env, store, i, RECORD_CHUNK);
        CHECK_EQ(lab_find(store, i), STORE_DISK);
        CHECK_EQ(lab_stats(store).disk_records, 3);
    }
    store_close(&env, store);
    lab_clean();
}

TEST(quota_below_one_record_writes_none_and_evicts_none)
{
    static const size_t quotas[] = {0, 1, LAB_FILE - 1};
    lab_fill(1);
    for (int i = 0; i < 3; i++) {
        struct env env = {0};
        struct lab_log log;
        struct store *store = lab_open(&env, lab_dir(), LAB_LARGE, quotas[i]);
        check_writes_fail(store, &log, "a record has 512 bytes");
        CHECK_EQ(lab_find(store, 0), STORE_DISK);
        CHECK_EQ(lab_find(store, 100), STORE_RAM);
        store_close(&env, store);
    }
    lab_clean();
}

/* A child that holds the lock until it is killed. */
static pid_t start_locker(void)
{
    int ready[2];
    char byte;
    pid_t child;
    if (pipe(ready) != 0) return -1;
    child = fork();
    if (child == 0) {
        int fd = open(lab_path("vlqa.lock"), O_RDWR | O_CREAT, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(ready[1], "x", 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    if (read(ready[0], &byte, 1) != 1) child = -1;
    close(ready[0]);
    close(ready[1]);
    return child;
}

TEST(lock_that_is_held_costs_the_write_and_ends_with_its_process)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store;
    pid_t child;
    lab_fill(1);
    child = start_locker();
    REQUIRE(child > 0);
    store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    CHECK_STR(lab_stats(store).disk_problem, "");
    CHECK_EQ(lab_find(store, 0), STORE_DISK); /* reading needs no lock */
    lab_keep(&env, store, 1, RECORD_CHUNK);
    CHECK_HAS(log.last, "is locked by another process");
    CHECK_EQ(lab_stats(store).write_failures, 1);
    CHECK_EQ(lab_find(store, 1), STORE_RAM);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    lab_keep(&env, store, 2, RECORD_CHUNK);
    CHECK(lab_exists(lab_record_path(2)));
    CHECK_EQ(lab_stats(store).write_failures, 1);
    store_close(&env, store);
    lab_clean();
}

struct seen {
    int n, intact, known, numbers;
    long long bytes, last_mtime;
    int stop_after;
};

static int see(void *user, const struct store_item *item)
{
    struct seen *seen = user;
    char hex[65];
    seen->n++;
    seen->intact += !item->problem;
    seen->known += item->kind != 0;
    seen->bytes += (long long)item->bytes;
    CHECK(item->mtime >= seen->last_mtime);
    seen->last_mtime = item->mtime;
    key_hex(item->key, hex);
    CHECK(strncmp(item->file, hex, 64) == 0);
    CHECK(lab_exists(lab_path(item->file)));
    for (int i = 0; i < 4; i++)
        if (key_equal(item->key, lab_key(i))) seen->numbers |= 1 << i;
    if (item->kind) CHECK(item->rows == LAB_ROWS && item->grid.h == 2 && item->grid.w == 2);
    return seen->n == seen->stop_after;
}

TEST(scan_sees_every_record_and_verify_every_byte)
{
    struct env env = {0};
    struct seen seen = {0};
    uint8_t *file;
    size_t n;
    lab_fill(4);
    for (int i = 0; i < 4; i++)
        lab_set_age(lab_record_path(i), 1000 + 100 * i);
    file = lab_read_file(lab_record_path(0), &n);
    file[200] ^= 1; /* in the first matrix */
    lab_write_file(lab_record_path(0), file, n);
    free(file);
    lab_write_file(lab_record_path(3), "short", 5);
    CHECK_EQ(store_scan(&env, lab_dir(), 0, see, &seen), VLQA_OK);
    CHECK(seen.n == 4 && seen.intact == 3 && seen.known == 3 && seen.numbers == 15);
    CHECK_EQ(seen.bytes, 3 * LAB_FILE + 5);
    seen = (struct seen){0};
    CHECK_EQ(store_scan(&env, lab_dir(), 1, see, &seen), VLQA_OK);
    CHECK(seen.n == 4 && seen.intact == 2 && seen.known == 3);
    seen = (struct seen){.stop_after = 2};
    CHECK_EQ(store_scan(&env, lab_dir(), 1, see, &seen), VLQA_OK);
    CHECK_EQ(seen.n, 2);
    CHECK_EQ(store_scan(&env, lab_path("none"), 0, see, &seen), VLQA_EIO);
    CHECK_HAS(env.message, "none: cannot open: No such file");
    CHECK(!lab_exists(lab_path("none")));
    lab_clean();
}

TEST(remove_takes_one_record_or_all)
{
    struct env env = {0};
    struct key one = lab_key(1), none = lab_key(9);
    char left[300];
    long long bytes;
    int removed;
    lab_fill(4);
    CHECK_EQ(store_remove(&env, lab_dir(), &none, &removed), VLQA_OK);
    CHECK_EQ(removed, 0);
    CHECK_EQ(store_remove(&env, lab_dir(), &one, &removed), VLQA_OK);
    CHECK_EQ(removed, 1);
    CHECK(!lab_exists(lab_record_path(1)) && lab_exists(lab_record_path(0)));
    (void)snprintf(left, sizeof left, "%s.77.0.tmp", lab_record_path(1));
    lab_write_file(left, "half", 4);
    CHECK_EQ(store_remove(&env, lab_dir(), NULL, &removed), VLQA_OK);
    CHECK_EQ(removed, 3);
    CHECK_EQ(lab_files(&bytes), 0);
    CHECK_EQ(store_remove(&env, lab_path("none"), NULL, &removed), VLQA_EIO);
    CHECK_EQ(removed, 0);
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
