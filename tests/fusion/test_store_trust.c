/* test_store_trust.c - locks and files that are not ours alone, caches that can only be read, and
 * what has the name of a record without being one. */
#include "tests/fusion/store_lab.h"

/* ---- locks ---- */

/* What is there is found; nothing is written, which costs a word when there is something to write.
 */
static void check_reads_only(const char *dir, const char *why)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store = lab_open(&env, dir, 0, LAB_LARGE);
    CHECK_STR(lab_stats(store).disk_problem, "");
    CHECK_EQ(lab_find(store, 0), STORE_DISK);
    CHECK_EQ(lab_find(store, 1), STORE_DISK);
    CHECK_EQ(store_flush(&env, store), VLQA_OK);
    CHECK_EQ(log.lines, 0);
    for (int i = 100; i < 103; i++) {
        lab_keep(&env, store, i, RECORD_CHUNK);
        CHECK_EQ(lab_find(store, i), STORE_MISS);
    }
    CHECK_EQ(lab_stats(store).write_failures, 3);
    CHECK_EQ(lab_find(store, 0), STORE_DISK);
    store_close(&env, store);
    CHECK_EQ(log.lines, 1);
    CHECK_HAS(log.last, "a record is not kept on disk");
    CHECK_HAS(log.last, why);
}

TEST(a_lock_that_is_not_ours_alone_is_not_trusted)
{
    static const char *const kind[] = {"is a directory", "Too many levels", "no regular file",
                                       "has 2 names, expected one", "belongs to user 12345"};
    for (int i = 0; i < 5; i++) {
        const char *path;
        lab_fill(2);
        path = lab_path("vlqa.lock");
        REQUIRE(unlink(path) == 0);
        if (i == 0) REQUIRE(mkdir(path, 0700) == 0);
        if (i == 1) REQUIRE(symlink("nowhere", path) == 0);
        if (i == 2) REQUIRE(mkfifo(path, 0600) == 0);
        if (i >= 3) lab_write_file(path, "", 0);
        if (i == 3) REQUIRE(link(path, lab_path("other")) == 0);
        if (i == 4 && chown(path, 12345, 12345) != 0) continue; /* only root can give it away */
        check_reads_only(lab_dir(), i ? kind[i] : "s a directory");
        lab_clean();
    }
    lab_clean();
}

TEST(a_lock_that_others_may_open_is_made_private)
{
    struct env env = {0};
    struct store *store;
    struct stat st;
    lab_fill(2);
    REQUIRE(chmod(lab_path("vlqa.lock"), 0666) == 0);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    lab_keep(&env, store, 2, RECORD_CHUNK);
    CHECK_EQ(lab_find(store, 2), STORE_DISK);
    CHECK(stat(lab_path("vlqa.lock"), &st) == 0 && (st.st_mode & 07777) == 0600);
    store_close(&env, store);
    lab_clean();
}

/* ---- caches that can only be read ---- */

/* As a user that is not root, for whom modes mean nothing; of files that are given to it. 0: root
 * is not there to become it. */
static uid_t become_other(void)
{
    uid_t user = geteuid();
    if (user != 0) return user;
    for (int i = 0; i < 2; i++)
        if (chown(lab_record_path(i), 65534, 65534) != 0) return 0;
    if (chown(lab_dir(), 65534, 65534) != 0) return 0;
    if (chown(lab_path("vlqa.lock"), 65534, 65534) != 0) return 0;
    return seteuid(65534) == 0 ? 65534 : 0;
}

static void become_self(uid_t user)
{
    if (user != 65534 || seteuid(0) != 0) return;
    CHECK(chown(lab_dir(), 0, 0) == 0);
}

TEST(complete_cache_without_write_permission_is_read)
{
    uid_t user;
    lab_fill(2);
    user = become_other();
    REQUIRE(user && chmod(lab_dir(), 0500) == 0);
    check_reads_only(lab_dir(), "Permission denied");
    CHECK(chmod(lab_dir(), 0700) == 0);
    become_self(user);
    lab_clean();
}

/* Made when an image of a container was built, and opened to all. */
TEST(records_of_root_that_only_root_can_write_are_read)
{
    if (geteuid() != 0) SKIP("only root has files of root");
    lab_fill(2);
    REQUIRE(chmod(lab_dir(), 0755) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(chmod(lab_record_path(i), 0644) == 0);
    REQUIRE(seteuid(65534) == 0);
    check_reads_only(lab_dir(), "belongs to user 0");
    REQUIRE(seteuid(0) == 0 && chmod(lab_record_path(0), 0666) == 0 && seteuid(65534) == 0);
    {
        struct env env = {0};
        struct store *store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
        CHECK_EQ(lab_find(store, 0), STORE_MISS);
        CHECK_EQ(lab_find(store, 1), STORE_DISK);
        store_close(&env, store);
    }
    REQUIRE(seteuid(0) == 0);
    lab_clean();
}

TEST(complete_cache_on_a_read_only_file_system_is_read)
{
    char dir[300];
    lab_fill(2);
    (void)snprintf(dir, sizeof dir, "%s", lab_dir());
    if (mount(dir, dir, NULL, MS_BIND, NULL) != 0) {
        lab_clean();
        SKIP("only root can mount");
    }
    CHECK(mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
    check_reads_only(dir, "Read-only file system");
    CHECK(umount2(dir, MNT_DETACH) == 0);
    REQUIRE(unlink(lab_path("vlqa.lock")) == 0); /* it was never locked */
    CHECK(mount(dir, dir, NULL, MS_BIND, NULL) == 0);
    CHECK(mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
    check_reads_only(dir, "Read-only file system");
    CHECK(umount2(dir, MNT_DETACH) == 0);
    lab_clean();
}

/* ---- names ---- */

#define STRAYS 5

/* What may have the name of a record: links to a file and to nothing, a FIFO, a directory, and a
 * file of somebody else. */
static void make_strays(void)
{
    lab_write_file(lab_path("target"), "mine", 4);
    REQUIRE(symlink("target", lab_record_path(10)) == 0);
    REQUIRE(symlink("/dev/zero", lab_record_path(11)) == 0);
    REQUIRE(mkfifo(lab_record_path(12), 0600) == 0);
    REQUIRE(mkdir(lab_record_path(13), 0700) == 0);
    lab_write_file(lab_record_path(14), "theirs", 6);
    if (geteuid() == 0) CHECK(chown(lab_record_path(14), 12345, 12345) == 0);
}

struct named { /* of what was found */
    int n;
    char problems[1000];
};

static int name_problem(void *user, const struct store_item *item)
{
    struct named *named = user;
    size_t used = strlen(named->problems);
    if (!item->problem) return 0;
    named->n++;
    (void)snprintf(named->problems + used, sizeof named->problems - used, "%s;", item->problem);
    return 0;
}

TEST(verify_names_what_only_has_the_name_of_a_record)
{
    struct env env = {0};
    struct named named = {0};
    int is_root = geteuid() == 0;
    lab_fill(2);
    make_strays();
    alarm(60); /* a FIFO that is waited for would be for ever */
    CHECK_EQ(store_scan(&env, lab_dir(), 1, name_problem, &named), VLQA_OK);
    alarm(0);
    CHECK_EQ(named.n, STRAYS);
    CHECK_HAS(named.problems, "is a symbolic link;");
    CHECK_HAS(named.problems, "is a FIFO;");
    CHECK_HAS(named.problems, "is a directory;");
    CHECK_HAS(named.problems,
              is_root ? "is a file of another user;" : "has a header that is damaged;");
    lab_clean();
}

TEST(remove_all_takes_what_is_ours_and_names_what_it_leaves)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    int removed, is_root = geteuid() == 0;
    long long bytes;
    struct key fifo = lab_key(12);
    lab_fill(2);
    make_strays();
    alarm(60);
    CHECK_EQ(store_remove(&env, lab_dir(), &fifo, &removed), VLQA_OK);
    CHECK_EQ(removed, 1);
    CHECK_EQ(store_remove(&env, lab_dir(), NULL, &removed), VLQA_OK);
    alarm(0);
    CHECK_EQ(removed, is_root ? 4 : 5);
    CHECK_EQ(log.lines, is_root ? 2 : 1);
    CHECK(strstr(log.last, "is a directory and stays") ||
          strstr(log.last, "is a file of another user and stays"));
    CHECK(lab_exists(lab_record_path(13)) && lab_exists(lab_path("target")));
    CHECK_EQ(lab_exists(lab_record_path(14)), is_root);
    CHECK_EQ(lab_files(&bytes), is_root ? 3 : 2);
    lab_clean();
}

TEST(a_record_that_cannot_be_removed_is_an_error)
{
    struct env env = {0};
    struct key one = lab_key(1);
    int removed;
    uid_t user;
    lab_fill(2);
    user = become_other();
    REQUIRE(user && chmod(lab_dir(), 0500) == 0);
    CHECK_EQ(store_remove(&env, lab_dir(), &one, &removed), VLQA_EIO);
    CHECK_HAS(env.message, "cannot remove: Permission denied");
    CHECK_EQ(store_remove(&env, lab_dir(), NULL, &removed), VLQA_EIO);
    CHECK_EQ(removed, 0);
    CHECK(chmod(lab_dir(), 0700) == 0);
    become_self(user);
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
