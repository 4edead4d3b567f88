/* test_file.c - kinds are refused by name, changes noticed, writes whole or not at all. */
#include "base/file.h"
#include "base/heap.h"
#include "tests/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The tests share a directory; each leaves it empty. */
static char dir[] = "/tmp/vlqa_file_XXXXXX";
static char path_buffer[4][200];

static const char *in_dir(int buffer, const char *name)
{
    (void)snprintf(path_buffer[buffer], sizeof path_buffer[buffer], "%s/%s", dir, name);
    return path_buffer[buffer];
}

static const char *make_file(const char *name, const char *text)
{
    const char *path = in_dir(0, name);
    FILE *f = fopen(path, "wb");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
    return path;
}

static int entries_in_dir(void)
{
    DIR *list = opendir(dir);
    int n = 0;
    while (list && readdir(list))
        n++;
    if (list) closedir(list);
    return n - 2;
}

TEST(mapped_file_has_its_bytes)
{
    struct env env = {0};
    struct file_map map;
    const char *path = make_file("a", "hello");
    REQUIRE(file_map_open(&env, path, &map) == VLQA_OK);
    CHECK_EQ(map.size, 5);
    CHECK(memcmp(map.data, "hello", 5) == 0);
    CHECK_EQ(file_map_check(&env, path, &map), VLQA_OK);
    file_map_close(&map);
    CHECK(!map.data);
    file_map_close(&map);
    unlink(path);
}

TEST(empty_file_maps_to_nothing)
{
    struct env env = {0};
    struct file_map map;
    const char *path = make_file("a", "");
    REQUIRE(file_map_open(&env, path, &map) == VLQA_OK);
    CHECK(map.data && map.size == 0);
    CHECK_EQ(file_map_check(&env, path, &map), VLQA_OK);
    file_map_close(&map);
    unlink(path);
}

static void check_refused(const char *path, const char *expected)
{
    struct env env = {0};
    struct file_map map;
    void *data;
    size_t bytes;
    CHECK_EQ(file_map_open(&env, path, &map), VLQA_EIO);
    CHECK_HAS(env.message, path);
    CHECK_HAS(env.message, expected);
    CHECK(!map.data);
    CHECK_EQ(file_read(&env, path, 100, &data, &bytes), VLQA_EIO);
    CHECK_HAS(env.message, expected);
    CHECK(!data);
}

TEST(what_is_no_regular_file_is_refused_by_kind)
{
    const char *fifo = in_dir(0, "fifo"), *socket_path = in_dir(1, "socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(mkfifo(fifo, 0600) == 0);
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    REQUIRE(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    check_refused(fifo, "a FIFO");
    check_refused(dir, "a directory");
    check_refused("/dev/zero", "a device");
    check_refused(socket_path, "a socket");
    close(fd);
    unlink(fifo);
    unlink(socket_path);
}

TEST(missing_files_and_link_loops_say_why)
{
    const char *loop = in_dir(1, "loop");
    REQUIRE(symlink(loop, loop) == 0);
    check_refused(in_dir(0, "nowhere"), "No such file or directory");
    check_refused(loop, "Too many levels of symbolic links");
    CHECK(!file_exists(loop));
    unlink(loop);
}

TEST(links_to_files_are_followed)
{
    struct env env = {0};
    struct file_map map;
    const char *path = make_file("a", "x"), *name = in_dir(1, "link");
    REQUIRE(symlink(path, name) == 0);
    REQUIRE(file_map_open(&env, name, &map) == VLQA_OK);
    CHECK_EQ(file_map_check(&env, name, &map), VLQA_OK);
    file_map_close(&map);
    unlink(name);
    unlink(path);
}

TEST(truncation_of_a_mapped_file_is_noticed)
{
    struct env env = {0};
    struct file_map map;
    const char *path = make_file("a", "hello");
    REQUIRE(file_map_open(&env, path, &map) == VLQA_OK);
    REQUIRE(truncate(path, 2) == 0);
    CHECK_EQ(file_map_check(&env, path, &map), VLQA_EIO);
    CHECK_HAS(env.message, "2 bytes, expected 5");
    file_map_close(&map);
    unlink(path);
}

TEST(rewriting_a_mapped_file_is_noticed)
{
    struct env env = {0};
    struct file_map map;
    const char *path = make_file("a", "hello");
    struct timeval past[2] = {{1000, 0}, {1000, 0}};
    REQUIRE(utimes(path, past) == 0);
    REQUIRE(file_map_open(&env, path, &map) == VLQA_OK);
    make_file("a", "HELLO");
    CHECK_EQ(file_map_check(&env, path, &map), VLQA_EIO);
    CHECK_HAS(env.message, "was written to");
    file_map_close(&map);
    unlink(path);
}

/* In nanoseconds they are more than 64 bits; the sanitizer watches. */
TEST(times_far_in_the_future_do_not_overflow)
{
    static const int64_t when[] = {10000000000, 15000000000}; /* ext4 ends in 2446 */
    const char *path = make_file("a", "hello");
    for (int i = 0; i < 2; i++) {
        struct timespec times[2] = {{when[i], 5}, {when[i], 5}};
        struct env env = {0};
        struct file_map map;
        REQUIRE(utimensat(AT_FDCWD, path, times, 0) == 0);
        REQUIRE(file_map_open(&env, path, &map) == VLQA_OK);
        CHECK_EQ(file_map_check(&env, path, &map), VLQA_OK);
        times[1].tv_nsec = 6;
        CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
        CHECK_EQ(file_map_check(&env, path, &map), VLQA_EIO);
        file_map_close(&map);
    }
    unlink(path);
}

TEST(replacing_a_mapped_file_is_noticed)
{
    struct env env = {0};
    struct file_map map;
    const char *path = make_file("a", "hello"), *other = in_dir(1, "b");
    struct file_part part = {"HELLO", 5};
    REQUIRE(file_map_open(&env, path, &map) == VLQA_OK);
    REQUIRE(file_write_atomic(&env, other, &part, 1) == VLQA_OK);
    REQUIRE(rename(other, path) == 0);
    CHECK_EQ(file_map_check(&env, path, &map), VLQA_EIO);
    CHECK_HAS(env.message, "was replaced");
    CHECK(memcmp(map.data, "hello", 5) == 0); /* the old file lives on behind the map */
    unlink(path);
    CHECK_EQ(file_map_check(&env, path, &map), VLQA_EIO);
    file_map_close(&map);
}

TEST(reading_stops_at_the_limit)
{
    struct env env = {0};
    void *data = NULL;
    size_t bytes;
    const char *path = make_file("a", "hello");
    REQUIRE(file_read(&env, path, 5, &data, &bytes) == VLQA_OK);
    CHECK_EQ(bytes, 5);
    CHECK_STR(data, "hello");
    heap_free(data);
    CHECK_EQ(file_read(&env, path, 4, &data, &bytes), VLQA_ELIMIT);
    CHECK_HAS(env.message, "5 bytes, expected at most 4");
    REQUIRE(file_read(&env, path, SIZE_MAX, &data, &bytes) == VLQA_OK);
    heap_free(data);
    unlink(path);
}

/* Runs file_read("-") with the file as standard input. */
static vlqa_status read_stdin(struct env *env, const char *path, size_t max_bytes, void **data,
                              size_t *bytes)
{
    int saved = dup(STDIN_FILENO), fd = open(path, O_RDONLY);
    vlqa_status status;
    dup2(fd, STDIN_FILENO);
    status = file_read(env, "-", max_bytes, data, bytes);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fd);
    return status;
}

TEST(standard_input_grows_up_to_the_limit)
{
    enum { SIZE = 300000 };
    struct env env = {0};
    uint64_t live = heap_live();
    const char *path = in_dir(0, "input");
    uint8_t *sent = heap_alloc(SIZE), *data = NULL;
    struct file_part part = {sent, SIZE};
    size_t bytes = 0;
    void *block;
    REQUIRE(sent);
    for (int i = 0; i < SIZE; i++)
        sent[i] = (uint8_t)(i * 7 + i / 251);
    REQUIRE(file_write_atomic(&env, path, &part, 1) == VLQA_OK);
    REQUIRE(read_stdin(&env, path, SIZE, &block, &bytes) == VLQA_OK);
    data = block;
    CHECK_EQ(bytes, SIZE);
    CHECK(bytes == SIZE && memcmp(data, sent, SIZE) == 0);
    CHECK_EQ(data[bytes], 0);
    heap_free(data);
    CHECK_EQ(read_stdin(&env, path, SIZE - 1, &block, &bytes), VLQA_ELIMIT);
    CHECK_HAS(env.message, "standard input has more than 299999 bytes");
    CHECK_EQ(read_stdin(&env, "/dev/zero", 1000, &block, &bytes), VLQA_ELIMIT);
    CHECK_EQ(read_stdin(&env, dir, 1000, &block, &bytes), VLQA_EIO);
    for (int n = 0; n < 3; n++) {
        heap_fail_after(n);
        CHECK_EQ(read_stdin(&env, path, SIZE, &block, &bytes), VLQA_EMEMORY);
        heap_fail_after(-1);
    }
    heap_free(sent);
    CHECK_EQ(heap_live(), live);
    unlink(path);
}

/* ---- FIFOs ---- */

static char logged[512];
static int n_logged;

static void keep_line(void *user, enum vlqa_log_level level, const char *line)
{
    (void)user;
    CHECK_EQ((int)level, VLQA_LOG_WARN);
    n_logged++;
    snprintf(logged, sizeof logged, "%s", line);
}

/* A child that writes n bytes to a FIFO, `late` ms from now. */
static pid_t write_later(const char *path, size_t n, int late)
{
    pid_t child = fork();
    if (child) return child;
    usleep((useconds_t)late * 1000);
    int fd = open(path, O_WRONLY);
    for (size_t i = 0; i < n; i++) {
        char c = (char)(i * 7);
        if (write(fd, &c, 1) != 1) _exit(1);
    }
    _exit(0);
}

static vlqa_status read_fifo(const char *path, size_t n, int late, size_t max, size_t *bytes)
{
    struct env env = {.log = keep_line};
    void *data;
    pid_t child = write_later(path, n, late);
    vlqa_status status;
    n_logged = 0;
    status = file_read_fifo(&env, path, max, &data, bytes);
    if (status == VLQA_OK) {
        for (size_t i = 0; i < *bytes; i++)
            if (((char *)data)[i] != (char)(i * 7)) CHECK_FAIL("byte %zu is wrong", i);
        CHECK_EQ(((char *)data)[*bytes], 0);
        heap_free(data);
    } else {
        CHECK(!data && env.message[0]);
    }
    kill(child, SIGKILL); /* who is stuck with what nobody reads */
    waitpid(child, NULL, 0);
    return status;
}

TEST(a_fifo_is_read_to_its_end_and_waited_for_with_a_word)
{
    const char *path = in_dir(1, "fifo");
    uint64_t live = heap_live();
    size_t bytes = 9;
    REQUIRE(mkfifo(path, 0600) == 0);
    CHECK(file_is_fifo(path));
    CHECK(!file_is_fifo(dir));
    CHECK(!file_is_fifo("/dev/null"));
    CHECK_EQ(read_fifo(path, 100000, 0, 100000, &bytes), VLQA_OK);
    CHECK_EQ(bytes, 100000);
    CHECK_EQ(read_fifo(path, 0, 100, 10, &bytes), VLQA_OK);
    CHECK_EQ(bytes, 0);
    CHECK_EQ(read_fifo(path, 100000, 0, 99999, &bytes), VLQA_ELIMIT);
    CHECK_EQ(read_fifo(path, 3, FILE_FIFO_PATIENCE + 3000, 10, &bytes), VLQA_OK);
    CHECK_EQ(bytes, 3);
    CHECK_EQ(n_logged, 1);
    CHECK_HAS(logged, "fifo is a FIFO that nobody has written to yet; waiting for it");
    heap_fail_after(0);
    CHECK_EQ(read_fifo(path, 3, 0, 10, &bytes), VLQA_EMEMORY);
    heap_fail_after(-1);
    unlink(path);
    CHECK_EQ(heap_live(), live);
}

TEST(written_file_is_whole_and_alone_and_has_the_mode_of_the_umask)
{
    struct env env = {0};
    const char *path = make_file("out", "old content");
    struct file_part parts[] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
    struct stat st;
    void *data = NULL;
    size_t bytes;
    mode_t before = umask(027);
    REQUIRE(file_write_atomic(&env, path, parts, 3) == VLQA_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    umask(022);
    REQUIRE(file_write_atomic(&env, path, parts, 3) == VLQA_OK);
    umask(before);
    REQUIRE(file_read(&env, path, 100, &data, &bytes) == VLQA_OK);
    CHECK_EQ(bytes, 5);
    CHECK_STR(data, "abcde");
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0644);
    CHECK_EQ(entries_in_dir(), 1);
    heap_free(data);
    unlink(path);
}

TEST(name_without_directory_is_written_here)
{
    struct env env = {0};
    struct file_part part = {"x", 1};
    char before[500];
    REQUIRE(getcwd(before, sizeof before) && chdir(dir) == 0);
    CHECK_EQ(file_write_atomic(&env, "plain", &part, 1), VLQA_OK);
    CHECK(file_exists("plain"));
    unlink("plain");
    REQUIRE(chdir(before) == 0);
}

TEST(failed_write_leaves_the_old_file_and_no_other)
{
    static const uint8_t big[1 << 16];
    struct env env = {0};
    const char *path = make_file("out", "old");
    struct file_part part = {big, sizeof big};
    struct rlimit before, small;
    void *data = NULL;
    size_t bytes;
    vlqa_status status;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = (struct rlimit){4096, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    status = file_write_atomic(&env, path, &part, 1);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_DFL);
    CHECK_EQ(status, VLQA_EIO);
    CHECK_HAS(env.message, "cannot write: File too large");
    CHECK_EQ(entries_in_dir(), 1);
    REQUIRE(file_read(&env, path, 100, &data, &bytes) == VLQA_OK);
    CHECK_STR(data, "old");
    heap_free(data);
    unlink(path);
}

TEST(writing_over_a_directory_or_into_none_fails)
{
    struct env env = {0};
    struct file_part part = {"x", 1};
    const char *sub = in_dir(0, "sub");
    uint64_t live = heap_live();
    REQUIRE(mkdir(sub, 0700) == 0);
    CHECK_EQ(file_write_atomic(&env, sub, &part, 1), VLQA_EIO);
    CHECK_HAS(env.message, "directory");
    CHECK_EQ(entries_in_dir(), 1);
    CHECK_EQ(file_write_atomic(&env, in_dir(1, "none/x"), &part, 1), VLQA_EIO);
    CHECK_HAS(env.message, "cannot create: No such file or directory");
    heap_fail_after(0);
    CHECK_EQ(file_write_atomic(&env, in_dir(1, "x"), &part, 1), VLQA_EMEMORY);
    heap_fail_after(-1);
    CHECK_EQ(heap_live(), live);
    rmdir(sub);
}

int main(int argc, char **argv)
{
    int status;
    if (!mkdtemp(dir)) return 1;
    status = check_main(argc, argv);
    return rmdir(dir) == 0 ? status : 1; /* something was left behind */
}
