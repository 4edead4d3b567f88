/* test_store_file.c - records outlive the program, and whatever became of a file, no wrong byte is
 * ever handed out. */
#include "tests/fusion/store_lab.h"

TEST(records_outlive_the_store)
{
    struct env env = {0};
    struct store *store;
    lab_fill(2);
    store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    CHECK_EQ(lab_stats(store).disk_records, 2);
    CHECK_EQ(lab_stats(store).disk_bytes, 2 * LAB_FILE);
    CHECK_EQ(lab_stats(store).ram_records, 0);
    CHECK_EQ(lab_find(store, 0), STORE_DISK);
    CHECK_EQ(lab_find(store, 1), STORE_DISK);
    CHECK_EQ(lab_find(store, 0), STORE_RAM);
    CHECK_EQ(lab_find(store, 2), STORE_MISS);
    CHECK(lab_stats(store).ram_bytes >= 2 * LAB_FILE); /* copies count */
    CHECK_EQ(lab_stats(store).hits_disk, 2);
    CHECK_EQ(lab_stats(store).rejected, 0);
    store_close(&env, store);
    lab_clean();
}

TEST(kind_and_shape_outlive_the_store)
{
    struct env env = {0};
    struct store *store;
    const struct record *r;
    lab_fill(2);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    r = store_get(store, lab_key(1), NULL, NULL);
    REQUIRE(r);
    CHECK_EQ(r->kind, RECORD_CHUNK);
    CHECK_EQ(r->rows, LAB_ROWS);
    CHECK_EQ(r->n_mats, 2);
    store_unpin(store, r);
    store_close(&env, store);
    lab_clean();
}

TEST(stores_see_what_others_write_meanwhile)
{
    struct env env = {0};
    struct store *a = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    struct store *b = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    CHECK_EQ(lab_find(b, 1), STORE_MISS);
    lab_keep(&env, a, 1, RECORD_CHUNK);
    CHECK_EQ(lab_find(b, 1), STORE_DISK);
    lab_keep(&env, b, 2, RECORD_CHUNK);
    CHECK_EQ(lab_find(a, 2), STORE_DISK);
    store_close(&env, a);
    store_close(&env, b);
    lab_clean();
}

TEST(a_record_in_use_stays_when_its_file_goes)
{
    struct env env = {0};
    struct store *store;
    const struct record *r;
    lab_fill(1);
    store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    r = store_get(store, lab_key(0), NULL, NULL);
    REQUIRE(r);
    CHECK(unlink(lab_record_path(0)) == 0);
    CHECK(lab_right(r, 0));
    store_unpin(store, r);
    CHECK_EQ(lab_find(store, 0), STORE_RAM);
    store_close(&env, store);
    lab_clean();
}

TEST(records_in_use_hold_no_descriptors)
{
    struct env env = {0};
    struct rlimit limit, few;
    struct store *store;
    lab_fill(64);
    store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    few = limit;
    few.rlim_cur = 32;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(lab_find(store, i), STORE_DISK);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    store_close(&env, store);
    lab_clean();
}

/* A file of these bytes under the name of record 0: whether it is taken; what is, is right. */
static int is_taken(struct store *store, const uint8_t *file, size_t bytes)
{
    lab_write_file(lab_record_path(0), file, bytes);
    return lab_find(store, 0) == STORE_DISK;
}

static int is_padding(size_t at) /* in a file of the lab: behind the table and the second matrix */
{
    return (at >= 160 && at < 192) || at >= LAB_FILE - 56;
}

TEST(every_flipped_bit_is_a_miss_or_changes_nothing)
{
    struct env env = {0};
    struct store *store;
    uint64_t rejected = 0;
    size_t n;
    uint8_t *file;
    lab_fill(1);
    file = lab_read_file(lab_record_path(0), &n);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    CHECK_EQ(n, LAB_FILE);
    for (size_t at = 0; at < n; at++)
        for (int bit = 0; bit < 8; bit++) {
            file[at] ^= (uint8_t)(1 << bit);
            CHECK_EQ(is_taken(store, file, n), is_padding(at));
            CHECK_EQ(lab_exists(lab_record_path(0)), is_padding(at));
            rejected += !is_padding(at);
            file[at] ^= (uint8_t)(1 << bit);
        }
    CHECK_EQ(lab_stats(store).rejected, rejected);
    CHECK(rejected > 3000);
    CHECK(is_taken(store, file, n));
    store_close(&env, store);
    free(file);
    lab_clean();
}

/* Codes with their scales: matrices like others to the store. */
static int put_codes(struct store *store, enum dtype dtype)
{
    static const int cols[] = {24 + 8, 5 + 4}; /* two scales in a row, and one */
    struct record_shape shape = {RECORD_CHUNK, LAB_ROWS, {0, 0}, 2, cols, dtype};
    struct env env = {0};
    struct record *r;
    if (store_new(&env, store, lab_key(0), &shape, &r) != VLQA_OK) return 0;
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < LAB_ROWS * cols[m]; i++)
            ((uint8_t *)r->mat[m].data)[i] = (uint8_t)lab_cell(0, m, i);
    store_unpin(store, store_put(&env, store, r));
    return store_flush(&env, store) == VLQA_OK;
}

static int has_codes(const struct record *r, enum dtype dtype)
{
    for (int m = 0; m < 2; m++) {
        struct host_mat mat = r->mat[m];
        if (mat.dtype != dtype || mat.rows != LAB_ROWS || mat.cols != (m ? 9 : 32)) return 0;
        for (int i = 0; i < mat.rows * mat.cols; i++)
            if (((const uint8_t *)mat.data)[i] != (uint8_t)lab_cell(0, m, i)) return 0;
    }
    return 1;
}

static void check_codes(enum dtype dtype)
{
    struct env env = {0};
    struct store *store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    const size_t payload = 128 + 64; /* of LAB_ROWS rows of 32 and of 9 bytes */
    uint8_t *file;
    size_t n;
    CHECK(put_codes(store, dtype));
    file = lab_read_file(lab_record_path(0), &n);
    REQUIRE(n == 192 + payload);
    for (size_t at = 0; at <= n; at++) {
        int padding = (at >= 160 && at < 192) || (at >= n - 28 && at < n);
        const struct record *r;
        if (at < n) file[at] ^= 0x20;
        lab_write_file(lab_record_path(0), file, n);
        r = store_get(store, lab_key(0), NULL, NULL);
        CHECK_EQ(r != NULL, padding || at == n);
        if (r) CHECK(has_codes(r, dtype));
        if (r) store_unpin(store, r);
        if (at < n) file[at] ^= 0x20;
    }
    store_close(&env, store);
    free(file);
    lab_clean();
}

TEST(codes_are_kept_and_checked_like_other_matrices)
{
    check_codes(DT_ROW_INT8);
    check_codes(DT_ROW_INT4);
}

TEST(every_truncated_or_longer_file_is_a_miss)
{
    struct env env = {0};
    struct store *store;
    uint8_t *file;
    size_t n;
    lab_fill(1);
    file = lab_read_file(lab_record_path(0), &n);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    for (size_t bytes = 0; bytes < n; bytes++) {
        CHECK(!is_taken(store, file, bytes));
        CHECK(!lab_exists(lab_record_path(0)));
    }
    memset(file + n, 0, 64);
    CHECK(!is_taken(store, file, n + 1));
    CHECK(!is_taken(store, file, n + 64));
    CHECK_EQ(lab_stats(store).rejected, n + 2);
    CHECK(is_taken(store, file, n));
    store_close(&env, store);
    free(file);
    lab_clean();
}

TEST(damaged_record_is_made_again)
{
    struct env env = {0};
    struct store *store;
    lab_fill(1);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    lab_write_file(lab_record_path(0), "vlqa-rec", 8);
    CHECK_EQ(lab_find(store, 0), STORE_MISS);
    lab_keep(&env, store, 0, RECORD_VISUAL);
    CHECK_EQ(lab_find(store, 0), STORE_DISK);
    store_close(&env, store);
    lab_clean();
}

TEST(record_under_the_name_of_another_is_a_miss)
{
    struct env env = {0};
    struct store *store;
    lab_fill(2);
    CHECK(rename(lab_record_path(0), lab_record_path(1)) == 0);
    store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
    CHECK_EQ(lab_find(store, 1), STORE_MISS);
    CHECK_EQ(lab_stats(store).rejected, 1);
    CHECK(!lab_exists(lab_record_path(1)));
    store_close(&env, store);
    lab_clean();
}

TEST(record_of_a_newer_version_is_left_alone)
{
    struct lab_log log;
    struct env env = lab_env(&log);
    struct store *store;
    uint8_t *file, *after;
    uint64_t sum;
    size_t n;
    lab_fill(1);
    file = lab_read_file(lab_record_path(0), &n);
    file[8] = 2;
    sum = checksum64(file, 56);
    memcpy(file + 56, &sum, sizeof sum);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    CHECK(!is_taken(store, file, n));
    lab_keep(&env, store, 0, RECORD_VISUAL); /* is not written over it */
    after = lab_read_file(lab_record_path(0), &n);
    CHECK(n == LAB_FILE && memcmp(file, after, n) == 0);
    CHECK_EQ(lab_stats(store).rejected, 0);
    CHECK_EQ(lab_stats(store).write_failures, 1);
    CHECK_HAS(log.last, "is of another version of this program and stays");
    store_close(&env, store);
    free(file);
    free(after);
    lab_clean();
}

TEST(names_that_are_not_ours_are_never_written_over)
{
    struct env env = {0};
    struct store *store;
    const char *name = lab_record_path(9);
    char upper[300], longer[300];
    struct key link = lab_key(2);
    int removed;
    (void)snprintf(upper, sizeof upper, "%.*sA.vlqa", (int)strlen(name) - 6, name);
    (void)snprintf(longer, sizeof longer, "%s.tmp", name);
    lab_fill(3);
    REQUIRE(unlink(lab_record_path(1)) == 0);
    REQUIRE(rename(lab_record_path(2), lab_path("moved")) == 0);
    lab_write_file(lab_path("notes.txt"), "mine", 4);
    lab_write_file(lab_path("notes.vlqa"), "mine", 4);
    lab_write_file(lab_path("notes.tmp"), "mine", 4);
    lab_write_file(upper, "mine", 4);
    lab_write_file(longer, "mine", 4);
    REQUIRE(mkdir(lab_record_path(1), 0700) == 0);
    REQUIRE(symlink(lab_path("moved"), lab_record_path(2)) == 0);
    REQUIRE(mkfifo(lab_record_path(3), 0600) == 0);
    store = lab_open(&env, lab_dir(), 0, LAB_FILE); /* so that everything else has to go */
    CHECK_EQ(lab_stats(store).disk_records, 1);
    for (int i = 1; i <= 3; i++) {
        CHECK_EQ(lab_find(store, i), STORE_MISS);
        lab_keep(&env, store, i, RECORD_CHUNK);
        CHECK_EQ(lab_find(store, i), STORE_MISS);
    }
    CHECK_EQ(lab_stats(store).write_failures, 3);
    CHECK_EQ(lab_find(store, 0), STORE_DISK);
    lab_keep(&env, store, 5, RECORD_CHUNK);
    CHECK_EQ(lab_find(store, 0), STORE_MISS);
    store_close(&env, store);
    CHECK_EQ(store_remove(&env, lab_dir(), &link, &removed), VLQA_OK);
    CHECK_EQ(removed, 1); /* the link, and not where it leads */
    CHECK_EQ(store_remove(&env, lab_dir(), NULL, &removed), VLQA_OK);
    CHECK_EQ(removed, 2); /* a record and the FIFO */
    CHECK(lab_exists(lab_record_path(1)) && lab_exists(lab_path("moved")));
    CHECK(lab_exists(lab_path("notes.txt")) && lab_exists(lab_path("notes.vlqa")));
    CHECK(lab_exists(lab_path("notes.tmp")) && lab_exists(upper) && lab_exists(longer));
    lab_clean();
}

TEST(records_of_other_users_are_not_read)
{
    struct env env = {0};
    struct store *store;
    if (geteuid() != 0) SKIP("only root can give files away");
    lab_fill(1);
    REQUIRE(chown(lab_record_path(0), 12345, 12345) == 0);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    CHECK_EQ(lab_find(store, 0), STORE_MISS);
    CHECK(lab_exists(lab_record_path(0)));
    CHECK_EQ(lab_stats(store).rejected, 0);
    store_close(&env, store);
    lab_clean();
}

TEST(what_crashed_writers_left_is_removed)
{
    struct env env = {0};
    struct store *store;
    char left[300];
    (void)snprintf(left, sizeof left, "%s.%d.0.tmp", lab_record_path(1), 12345);
    lab_write_file(left, "half a record", 13);
    store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    CHECK(lab_exists(left)); /* nobody looks through the directory before that */
    lab_keep(&env, store, 2, RECORD_CHUNK);
    CHECK(!lab_exists(left)); /* when the next record is written */
    CHECK_EQ(lab_find(store, 2), STORE_DISK);
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
