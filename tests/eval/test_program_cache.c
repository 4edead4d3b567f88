/* test_program_cache.c - the whole program twice: what the first run keeps, the second finds. */
#include "base/hash.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL "-m", VLQA_SOURCE_DIR "/assets/default-model"
#define CHART "--image", VLQA_SOURCE_DIR "/tests/charts/february.png"
#define QUESTION "-p", "What is the value of February?"
#define REUSE "--reuse", "infoflow", "--chunk", "grid:2"

static struct run *vlqa(const char *const *args)
{
    return run_cli((struct setup){.program = NULL}, args);
}

static char full[256], reused[256]; /* the answer by either, without a cache */

static void keep_answer(const struct run *r, char *answer, size_t bytes)
{
    REQUIRE(r->code == 0 && r->out_bytes > 1 && r->out_bytes < bytes);
    snprintf(answer, bytes, "%.200s", r->out);
}

static double number(const struct run *r, const char *object, const char *name)
{
    struct json_doc *doc = run_json(r);
    double value = doc ? run_number(doc, object, name) : (double)NAN;
    json_free(doc);
    return value;
}

static int same_file(const char *a, const char *b)
{
    static char first[1 << 16], second[1 << 16];
    size_t n = get_file(a, first, sizeof first), m = get_file(b, second, sizeof second);
    return n > 1000 && n == m && memcmp(first, second, n) == 0;
}

/* Flips a bit in the middle of one record file. */
static void damage_one(const char *dir)
{
    char path[512];
    DIR *d = opendir(dir);
    struct dirent *e;
    REQUIRE(d);
    while ((e = readdir(d)) && !strstr(e->d_name, ".vlqa")) {
    }
    REQUIRE(e);
    (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
    closedir(d);
    {
        struct stat st;
        char byte = 0;
        int fd = open(path, O_RDWR);
        REQUIRE(fd >= 0 && fstat(fd, &st) == 0 && pread(fd, &byte, 1, st.st_size / 2) == 1);
        byte = (char)(byte ^ 4);
        CHECK_EQ(pwrite(fd, &byte, 1, st.st_size / 2), 1);
        close(fd);
    }
}

TEST(a_second_run_finds_what_the_first_kept)
{
    struct run *r = vlqa(
        ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "two", "--json", "--logits", "cold"));
    CHECK_EQ(r->code, 0);
    CHECK(number(r, "chunks", "computed") == 4);
    CHECK(number(r, "visual", "computed") == 1);
    r = vlqa(
        ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "two", "--json", "--logits", "warm"));
    CHECK_EQ(r->code, 0);
    CHECK(number(r, "chunks", "disk") == 4);
    CHECK(number(r, "chunks", "computed") == 0);
    CHECK(number(r, "visual", "disk") == 1);
    CHECK(same_file("cold", "warm"));
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "two", "--explain-cache"));
    CHECK_STR(r->out, reused);
    CHECK_HAS(r->err, "output of the vision tower: hit on disk, exact");
    CHECK_HAS(r->err, "chunk 4: image 1, 5 x 4 cells from (5, 3): 20 tokens, hit on disk; 0 exact");
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "two", "--explain-cache",
                  "--load-or-compute"));
    CHECK_STR(r->out, reused);
    CHECK_HAS(r->err, "chunk 4: loaded: nothing was computed yet to compare with");
}

static void check_fewer_bits(const char *dtype)
{
    struct run *r;
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "bits", "--json", "--kv-dtype",
                  dtype, "--logits", "cold"));
    CHECK_EQ(r->code, 0);
    CHECK(number(r, "chunks", "computed") == 4);
    CHECK(number(r, "visual", "disk") == 1);
    CHECK(number(r, "prompt_tokens", "exact") == 0);
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "bits", "--json", "--kv-dtype",
                  dtype, "--logits", "warm"));
    CHECK_EQ(r->code, 0);
    CHECK(number(r, "chunks", "disk") == 4);
    CHECK(same_file("cold", "warm"));
    CHECK(!same_file("cold", "cold16"));
}

/* In eight and four bits, too; and what one format kept is of no use to another. */
TEST(a_second_run_in_fewer_bits_finds_what_the_first_kept)
{
    vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "bits", "--logits", "cold16"));
    check_fewer_bits("int8");
    check_fewer_bits("int4");
}

TEST(exact_answers_are_the_same_with_and_without_a_cache)
{
    CHECK_EQ(vlqa(ARGS(MODEL, CHART, QUESTION, "--no-cache", "--logits", "none"))->code, 0);
    CHECK_EQ(vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "exact", "--logits", "a"))->code, 0);
    CHECK_EQ(vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "exact", "--logits", "b"))->code, 0);
    CHECK(same_file("none", "a"));
    CHECK(same_file("none", "b"));
}

TEST(a_fresh_home_gets_a_cache)
{
    struct setup s = {.environment = "HOME=/proc/self/cwd"};
    struct run *r = run_cli(s, ARGS(MODEL, CHART, QUESTION));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_STR(r->out, full);
    CHECK_EQ(access(".cache/vlqa", F_OK), 0);
    r = run_cli(s, ARGS("cache", "ls"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "visual      70 tokens     10 x 7");
}

TEST(a_cache_that_cannot_be_used_changes_no_answer)
{
    struct run *r;
    put_file("file", "", 0);
    r = vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "file"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, full);
    CHECK_HAS(r->err, "expected a directory");
    r = vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "file", "--cache-strict"));
    CHECK_EQ(r->code, 6);
    CHECK_STR(r->out, full);
    CHECK_EQ(vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "file/in/file"))->code, 0);
}

/* Twice the question, the second time strictly: the answer, why nothing was kept, and 0 or 6. */
static void check_not_kept(const char *dir, const char *megabytes, const char *chunk,
                           const char *tokens, const char *why)
{
    for (int strict = 0; strict < 2; strict++) {
        struct run *r =
            vlqa(ARGS(MODEL, CHART, QUESTION, "--reuse", "infoflow", "--chunk", chunk,
                      "--cache-dir", dir, "--cache-disk", megabytes, "--image-min-tokens", tokens,
                      "--image-max-tokens", "1024", strict ? "--cache-strict" : NULL));
        CHECK_EQ(r->code, strict ? 6 : 0);
        CHECK_HAS(r->err, why);
        CHECK(r->out_bytes > 1);
        if (strcmp(tokens, "4") == 0) CHECK_STR(r->out, reused);
    }
}

TEST(a_read_only_directory_changes_no_answer)
{
    check_not_kept("/proc/sys/kernel", "4096", "grid:2", "4",
                   "/proc/sys/kernel: cannot write to: ");
}

TEST(a_file_that_may_not_grow_changes_no_answer)
{
    struct rlimit limit, small;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 4096;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    check_not_kept("tight", "4096", "grid:2", "4", "File too large");
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* A process that was stopped while it wrote, say. */
TEST(a_lock_that_is_held_changes_no_answer_and_is_told_once)
{
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "held"));
    int fd = open("held/vlqa.lock", O_RDWR | O_CLOEXEC);
    const char *word;
    REQUIRE(fd >= 0 && flock(fd, LOCK_EX) == 0);
    r = vlqa(ARGS(MODEL, CHART, QUESTION, "--reuse", "infoflow", "--chunk", "grid:7", "--cache-dir",
                  "held", "--cache-strict"));
    CHECK_EQ(r->code, 6);
    word = strstr(r->err, "is locked by another process");
    CHECK(word && !strstr(word + 1, "is locked by another process"));
    CHECK_HAS(r->err, "0 damaged records, 49 not written");
    close(fd);
    r = vlqa(ARGS(MODEL, CHART, QUESTION, "--reuse", "infoflow", "--chunk", "grid:7", "--cache-dir",
                  "held", "--cache-strict"));
    CHECK_EQ(r->code, 0);
}

TEST(a_complete_cache_without_write_permission_is_used)
{
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "complete"));
    CHECK_STR(r->out, reused);
    if (mount("complete", "complete", NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, "complete", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        SKIP("only root can mount a directory read-only");
    r = vlqa(
        ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "complete", "--cache-strict", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK(number(r, "chunks", "disk") == 4);
    CHECK(number(r, "visual", "disk") == 1);
    r = vlqa(ARGS(MODEL, CHART, "-p", "What?", "--reuse", "infoflow", "--chunk", "grid:3",
                  "--cache-dir", "complete", "--cache-strict"));
    CHECK_EQ(r->code, 6);
    CHECK_HAS(r->err, "Read-only file system");
    r = vlqa(ARGS("cache", "rm", "--all", "--cache-dir", "complete"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "Read-only file system");
    CHECK_EQ(vlqa(ARGS("cache", "verify", "--cache-dir", "complete"))->code, 0);
    CHECK(umount2("complete", MNT_DETACH) == 0);
}

TEST(what_only_has_the_name_of_a_record_is_named_by_verify_and_removed_where_it_is_ours)
{
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "strays"));
    char name[300];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "strays/%064d.vlqa", i);
        CHECK((i == 0   ? mkfifo(name, 0600)
               : i == 1 ? symlink("/dev/zero", name)
                        : mkdir(name, 0700)) == 0);
    }
    r = vlqa(ARGS("cache", "verify", "--cache-dir", "strays"));
    CHECK_EQ(r->code, 6);
    CHECK_HAS(r->out, "000.vlqa is a FIFO\n");
    CHECK_HAS(r->out, "001.vlqa is a symbolic link\n");
    CHECK_HAS(r->out, "002.vlqa is a directory\n");
    CHECK_HAS(r->out, "5 records, 3 damaged\n");
    r = vlqa(ARGS("cache", "rm", "--all", "--cache-dir", "strays"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "4 records removed\n");
    CHECK_HAS(r->err, "002.vlqa is a directory and stays");
    CHECK_EQ(vlqa(ARGS("cache", "verify", "--cache-dir", "strays"))->code, 6);
    CHECK(rmdir(name) == 0);
    CHECK_EQ(vlqa(ARGS("cache", "verify", "--cache-dir", "strays"))->code, 0);
}

TEST(ls_says_that_a_time_is_in_the_future)
{
    static const int64_t when[] = {9000000000, 400000000000, INT64_MAX / 2, INT64_MIN / 2};
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, "--cache-dir", "future"));
    char path[512] = "";
    DIR *d = opendir("future");
    struct dirent *e;
    REQUIRE(d);
    while ((e = readdir(d)) != NULL)
        if (strstr(e->d_name, ".vlqa")) (void)snprintf(path, sizeof path, "future/%s", e->d_name);
    closedir(d);
    for (int i = 0; i < 4; i++) {
        struct timespec times[2] = {{when[i], 0}, {when[i], 0}};
        struct stat st;
        if (utimensat(AT_FDCWD, path, times, 0) != 0 || stat(path, &st) != 0) continue;
        r = vlqa(ARGS("cache", "ls", "--cache-dir", "future"));
        CHECK_EQ(r->code, 0);
        CHECK_HAS(r->out, st.st_mtim.tv_sec > 4000000000 ? "  future  " : " d  ");
    }
}

TEST(a_full_disk_changes_no_answer)
{
    CHECK_EQ(mkdir("full", 0700), 0);
    if (mount("tmpfs", "full", "tmpfs", 0, "size=16k,mode=700") != 0)
        SKIP("only root can mount a small disk");
    check_not_kept("full", "4096", "grid:2", "4", "No space left on device");
    CHECK(umount2("full", MNT_DETACH) == 0);
}

TEST(a_budget_below_one_chunk_changes_no_answer)
{
    check_not_kept("scant", "1", "image", "300", "a record has ");
}

/* The first byte of the version of every record, with a right checksum behind it. */
static void make_newer(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    REQUIRE(d);
    while ((e = readdir(d)) != NULL) {
        char path[512], head[64];
        uint64_t sum;
        int fd;
        if (!strstr(e->d_name, ".vlqa")) continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        fd = open(path, O_RDWR);
        REQUIRE(fd >= 0 && pread(fd, head, 64, 0) == 64);
        head[8] = 99;
        sum = checksum64(head, 56);
        memcpy(head + 56, &sum, sizeof sum);
        CHECK_EQ(pwrite(fd, head, 64, 0), 64);
        close(fd);
    }
    closedir(d);
}

TEST(records_of_another_version_change_no_answer)
{
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "newer"));
    CHECK_STR(r->out, reused);
    make_newer("newer");
    for (int i = 0; i < 2; i++) { /* they stay: twice the same */
        r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "newer", "--cache-strict"));
        CHECK_EQ(r->code, 6);
        CHECK_STR(r->out, reused);
        CHECK_HAS(r->err, "is of another version of this program and stays");
        CHECK_HAS(r->err, "0 damaged records, 5 not written");
    }
    CHECK_EQ(vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "newer"))->code, 0);
}

TEST(a_damaged_record_is_found_told_and_made_again)
{
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "hurt"));
    CHECK_STR(r->out, reused);
    damage_one("hurt");
    r = vlqa(ARGS("cache", "verify", "--cache-dir", "hurt"));
    CHECK_EQ(r->code, 6);
    CHECK_HAS(r->out, "5 records, 1 damaged\n");
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "hurt", "--cache-strict"));
    CHECK_EQ(r->code, 6);
    CHECK_STR(r->out, reused);
    CHECK_HAS(r->err, "1 damaged records");
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "hurt", "--cache-strict"));
    CHECK_EQ(r->code, 0);
    r = vlqa(ARGS("cache", "verify", "--cache-dir", "hurt"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "5 records, 0 damaged\n");
}

TEST(salts_and_budgets_hold)
{
    struct run *r;
    vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "salty"));
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "salty", "--cache-salt", "other",
                  "--json"));
    CHECK(number(r, "chunks", "computed") == 4);
    CHECK(number(r, "visual", "computed") == 1);
    r = vlqa(ARGS("cache", "stat", "--cache-dir", "salty"));
    CHECK_HAS(r->out, "all          10 records");
    for (int i = 0; i < 4; i++) { /* some 0.4 MiB each */
        char salt[16];
        (void)snprintf(salt, sizeof salt, "%d", i);
        r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "small", "--cache-disk", "1",
                      "--cache-salt", salt));
        CHECK_STR(r->out, reused);
    }
    r = vlqa(ARGS("cache", "stat", "--cache-dir", "small", "--cache-disk", "1"));
    CHECK_HAS(r->out, " KiB of 1.00 MiB\n");
}

TEST(a_warmed_document_is_found)
{
    struct run *r =
        vlqa(ARGS("cache", "warm", MODEL, CHART, "--chunk", "grid:2", "--cache-dir", "warm-dir"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "images: 0 hit, 1 computed\nchunks: 0 hit, 4 computed\n");
    r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--cache-dir", "warm-dir", "--json"));
    CHECK(number(r, "chunks", "disk") == 4);
    CHECK(number(r, "chunks", "computed") == 0);
    r = vlqa(ARGS("cache", "rm", "--all", "--cache-dir", "warm-dir"));
    CHECK_STR(r->out, "5 records removed\n");
    CHECK_STR(vlqa(ARGS("cache", "ls", "--cache-dir", "warm-dir"))->out, "");
}

/* 384 pixels fit once into 720, so that half of the picture was blank. */
TEST(images_of_384_pixels_are_enlarged)
{
    static char png[1 << 20];
    const unsigned char *size =
        (const unsigned char *)png + 16; /* width and height, 32 bits each */
    CHECK_EQ(vlqa(ARGS(MODEL, "--image", VLQA_SOURCE_DIR "/assets/samples/031.png", QUESTION, "-n",
                       "1", "--no-cache", "--explain", "why.png"))
                 ->code,
             0);
    CHECK(get_file("why.png", png, sizeof png) > 24);
    CHECK_EQ(size[2] << 8 | size[3], 24 + 2 * 384 + 24);
}

TEST(two_pictures_are_explained_side_by_side)
{
    static char png[1 << 20];
    struct run *r = vlqa(ARGS(MODEL, CHART, "--image", VLQA_SOURCE_DIR "/tests/charts/cows.png",
                              QUESTION, REUSE, "--explain", "why.png"));
    size_t bytes = get_file("why.png", png, sizeof png);
    CHECK_EQ(r->code, 0);
    CHECK(bytes > 5000);
    put_file("copy.png", png, bytes);
    r = vlqa(ARGS(MODEL, "--image", "why.png", QUESTION, "-n", "1", "-q")); /* it is a picture */
    CHECK_EQ(r->code, 0);
}

TEST(layers_the_model_lacks_are_refused)
{
    struct run *r = vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--probe-layers", "0-99"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--probe-layers has layer 99, the model has 0 to 7");
}

int main(int argc, char **argv)
{
    run_begin(VLQA);
    keep_answer(vlqa(ARGS(MODEL, CHART, QUESTION, "--no-cache")), full, sizeof full);
    keep_answer(vlqa(ARGS(MODEL, CHART, QUESTION, REUSE, "--no-cache")), reused, sizeof reused);
    return check_main(argc, argv);
}
