/* test_st_write.c - a new directory appears whole or not at all, and its tensors are read back. */
#include "base/safetensors.h"
#include "base/st_write.h"
#include "tests/check.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

static const char *at(const char *name) /* valid until the next call but one */
{
    static char path[2][256];
    static int next;
    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s", scratch, name);
    return path[next];
}

static int count_entries(const char *dir)
{
    DIR *list = opendir(dir);
    const struct dirent *entry;
    int n = 0;
    while (list && (entry = readdir(list)))
        n += entry->d_name[0] != '.';
    if (list) closedir(list);
    return n;
}

static void begin(void)
{
    snprintf(scratch, sizeof scratch, "/tmp/vlqa-write-XXXXXX");
    if (!mkdtemp(scratch)) abort();
}

static void end(void)
{
    struct new_dir d = {.path = ""};
    snprintf(d.temporary, sizeof d.temporary, "%s", scratch);
    new_dir_drop(&d);
    CHECK(access(scratch, F_OK) != 0);
}

/* Tensor i: i + 1 rows of three elements, whose bytes count up from i. */
struct kind {
    const char *key, *dtype;
    size_t size;
};
static const struct kind kinds[] = {{"a.weight", "BF16", 2},
                                    {"b \"quoted\" \\ \t", "F32", 4},
                                    {"c.weight_packed", "I32", 4},
                                    {"d.weight_shape", "I64", 8},
                                    {"e", "F16", 2}};
enum { N = sizeof kinds / sizeof *kinds };

static void fill(uint8_t *to, int i, size_t n)
{
    for (size_t k = 0; k < n; k++)
        to[k] = (uint8_t)(i + (int)k);
}

/* Everything in two parts, the second first. */
static vlqa_status write_tensors(struct env *env, struct st_writer *w)
{
    uint8_t block[512];
    int index[N];
    for (int i = 0; i < N; i++) {
        const int64_t dim[2] = {i + 1, 3};
        TRY(st_write_add(env, w, kinds[i].key, kinds[i].dtype, kinds[i].size, 2, dim, &index[i]));
    }
    TRY(st_write_begin(env, w));
    for (int i = N - 1; i >= 0; i--) {
        size_t n = (size_t)(i + 1) * 3 * kinds[i].size, half = n / 2;
        fill(block, i, n);
        TRY(st_write_bytes(env, w, index[i], half, block + half, n - half));
        TRY(st_write_bytes(env, w, index[i], 0, block, half));
    }
    return st_write_end(env, w);
}

static vlqa_status write_dir(struct env *env, const char *path, size_t shard_bytes)
{
    struct new_dir d;
    struct st_writer *w = NULL;
    vlqa_status status = new_dir_open(env, path, &d);
    if (status == VLQA_OK) status = st_write_open(env, &d, shard_bytes, &w);
    if (status == VLQA_OK) status = write_tensors(env, w);
    if (status == VLQA_OK) status = new_dir_commit(env, &d);
    st_write_free(w);
    new_dir_drop(&d);
    return status;
}

static void check_tensors(const char *dir)
{
    struct env env = {0};
    struct st_files *files;
    uint8_t found[512], expected[512];
    REQUIRE(st_open(&env, dir, NULL, 0, &files) == VLQA_OK);
    CHECK_EQ(st_count(files), N);
    for (int i = 0; i < N && i < st_count(files); i++) {
        const struct st_tensor *t = st_at(files, i);
        size_t n = (size_t)(i + 1) * 3 * kinds[i].size;
        CHECK_STR(t->key, kinds[i].key);
        CHECK(t->rank == 2 && t->dim[0] == i + 1 && t->dim[1] == 3);
        REQUIRE(t->bytes == n);
        CHECK_EQ(st_read(&env, files, t, 0, found, n), VLQA_OK);
        fill(expected, i, n);
        CHECK(memcmp(found, expected, n) == 0);
    }
    st_close(files);
}

TEST(tensors_are_read_back)
{
    struct env env = {0};
    begin();
    CHECK_EQ(write_dir(&env, at("one"), 1 << 20), VLQA_OK);
    CHECK_EQ(count_entries(at("one")), 1);
    check_tensors(at("one"));
    end();
}

TEST(shards_are_of_bounded_size_and_indexed)
{
    struct env env = {0};
    struct stat st;
    begin();
    CHECK_EQ(write_dir(&env, at("several"), 64), VLQA_OK);
    CHECK_EQ(count_entries(at("several")), 5); /* 6 + 24, 36, 96, 30 bytes, and the index */
    CHECK(stat(at("several/model-00002-of-00004.safetensors"), &st) == 0);
    CHECK(access(at("several/model.safetensors.index.json"), R_OK) == 0);
    check_tensors(at("several"));
    end();
}

/* A reader may use a map of the file as it is. */
TEST(elements_are_aligned_in_the_file)
{
    struct env env = {0};
    struct st_files *files;
    begin();
    REQUIRE(write_dir(&env, at("one"), 1 << 20) == VLQA_OK);
    REQUIRE(st_open_file(&env, at("one/model.safetensors"), &files) == VLQA_OK);
    for (int i = 0; i < N; i++) {
        const struct st_tensor *t = st_at(files, i);
        if (t->data) CHECK_EQ((uintptr_t)t->data % kinds[i].size, 0);
    }
    st_close(files);
    end();
}

TEST(what_is_there_is_not_replaced)
{
    struct env env = {0};
    begin();
    REQUIRE(mkdir(at("taken"), 0700) == 0);
    CHECK_EQ(write_dir(&env, at("taken"), 64), VLQA_EIO);
    CHECK_HAS(env.message, "taken is there already");
    CHECK_EQ(count_entries(at("taken")), 0);
    CHECK_EQ(write_dir(&env, at("none/there"), 64), VLQA_EIO);
    CHECK_HAS(env.message, "none/there: cannot create: No such file or directory");
    CHECK_EQ(write_dir(&env, "", 64), VLQA_EUSAGE);
    CHECK_EQ(count_entries(scratch), 1);
    end();
}

/* Somebody else was faster. */
TEST(a_name_that_was_taken_meanwhile_is_left_alone)
{
    struct env env = {0};
    struct new_dir d;
    begin();
    REQUIRE(new_dir_open(&env, at("late"), &d) == VLQA_OK);
    REQUIRE(new_dir_write(&env, &d, "file", "abc", 3) == VLQA_OK);
    REQUIRE(mkdir(at("late"), 0700) == 0);
    CHECK_EQ(new_dir_commit(&env, &d), VLQA_EIO);
    CHECK_HAS(env.message, "late: cannot create: ");
    new_dir_drop(&d);
    CHECK_EQ(count_entries(at("late")), 0);
    CHECK_EQ(count_entries(scratch), 1);
    end();
}

TEST(a_full_disk_leaves_nothing)
{
    struct env env = {0};
    struct rlimit before, small = {300, 300};
    vlqa_status status;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    begin();
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    status = write_dir(&env, at("full"), 1 << 20);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_EQ(status, VLQA_EIO);
    CHECK_HAS(env.message, "full/model.safetensors: cannot write: ");
    CHECK_EQ(count_entries(scratch), 0);
    end();
}

TEST(files_are_copied_also_to_a_directory_below)
{
    static char long_text[3 << 20], found[3 << 20];
    struct env env = {0};
    struct new_dir d;
    FILE *f;
    begin();
    memset(long_text, 'x', sizeof long_text);
    long_text[1 << 20] = 'y';
    REQUIRE(new_dir_open(&env, at("from"), &d) == VLQA_OK);
    CHECK_EQ(new_dir_write(&env, &d, "text", long_text, sizeof long_text), VLQA_OK);
    REQUIRE(new_dir_commit(&env, &d) == VLQA_OK);
    REQUIRE(new_dir_open(&env, at("to"), &d) == VLQA_OK);
    CHECK_EQ(new_dir_sub(&env, &d, "sub"), VLQA_OK);
    CHECK_EQ(new_dir_copy(&env, &d, "sub/text", at("from/text")), VLQA_OK);
    CHECK_EQ(new_dir_copy(&env, &d, "sub/none", at("from/none")), VLQA_EIO);
    REQUIRE(new_dir_commit(&env, &d) == VLQA_OK);
    f = fopen(at("to/sub/text"), "rb");
    REQUIRE(f);
    CHECK_EQ(fread(found, 1, sizeof found, f), sizeof found);
    CHECK(fgetc(f) == EOF && memcmp(found, long_text, sizeof found) == 0);
    fclose(f);
    end();
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
