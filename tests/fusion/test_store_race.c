/* test_store_race.c - files that change while they are read, checked or in use: a miss or what was
 * written, never anything else, and never a signal. */
#include "tests/fusion/sample_lab.h"
#include "tests/fusion/store_lab.h"

#include "include/vlqa.h"

#include <sys/prctl.h>

#define LOOPS 4000
#define ROWS 512 /* of a record that takes a while to read: three pages */

/* ---- the other process ---- */

enum harm { HARM_TABLE, HARM_HEADER, HARM_SECTION, HARM_LENGTH, HARMS };

/* Bytes of record 0 change to and fro, in place, until the process is killed. */
static void harm_until_killed(enum harm harm)
{
    static const struct {
        off_t at;
        uint64_t value;
    } place[] = {[HARM_TABLE] = {104, (uint64_t)1 << 40}, /* where the first section begins */
                 [HARM_HEADER] = {28, 500},               /* how many there are */
                 [HARM_SECTION] = {256, 0}};
    int fd = open(lab_record_path(0), O_RDWR | O_CLOEXEC);
    uint8_t file[64 << 10];
    ssize_t n = pread(fd, file, sizeof file, 0);
    if (n < 1000) _exit(1);
    for (;;)
        if (harm == HARM_LENGTH) {
            if (ftruncate(fd, 0) != 0 || pwrite(fd, file, (size_t)n, 0) != n) _exit(1);
        } else {
            off_t at = place[harm].at;
            if (pwrite(fd, &place[harm].value, 8, at) != 8) _exit(1);
            if (pwrite(fd, file + at, 8, at) != 8) _exit(1);
        }
}

static pid_t start_harm(enum harm harm)
{
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        harm_until_killed(harm);
    }
    CHECK(child > 0);
    return child;
}

static void end_harm(pid_t child)
{
    int status = 0;
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
}

/* Record 0, of many rows, on disk. */
static void write_large(void)
{
    struct env env = {0};
    struct store *store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    const struct record *r = lab_put(&env, store, 0, RECORD_CHUNK, ROWS);
    REQUIRE(r);
    store_unpin(store, r);
    store_close(&env, store);
}

/* ---- what is read ---- */

struct census {
    int records, problems;
};

static int count(void *user, const struct store_item *item)
{
    struct census *census = user;
    census->records++;
    census->problems += item->problem != NULL;
    if (!item->problem) CHECK(item->rows == ROWS && item->kind == RECORD_CHUNK);
    return 0;
}

TEST(verify_beside_a_process_that_rewrites_the_table_does_not_crash)
{
    for (enum harm harm = 0; harm < HARMS; harm++) {
        struct env env = {0};
        struct census census = {0, 0};
        pid_t child;
        write_large();
        child = start_harm(harm);
        for (int i = 0; i < LOOPS; i++)
            CHECK_EQ(store_scan(&env, lab_dir(), 1, count, &census), VLQA_OK);
        end_harm(child);
        CHECK_EQ(census.records, LOOPS);
        CHECK(census.problems > 0 && census.problems < LOOPS);
        printf("     harm %d: %d of %d found damaged\n", (int)harm, census.problems, LOOPS);
        lab_clean();
    }
}

/* A damaged file is removed when it is found, so each time there is another, under both names. */
TEST(a_record_that_is_rewritten_while_it_is_read_is_right_or_missed)
{
    char other[300];
    (void)snprintf(other, sizeof other, "%s", lab_path("other"));
    for (enum harm harm = 0; harm < HARMS; harm++) {
        struct env env = {0};
        struct store *store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
        int found = 0;
        pid_t child;
        write_large();
        child = start_harm(harm); /* keeps its descriptor */
        REQUIRE(link(lab_record_path(0), other) == 0);
        for (int i = 0; i < LOOPS; i++) {
            const struct record *r = store_get(store, lab_key(0), NULL, NULL);
            if (r) {
                CHECK(r->rows == ROWS && lab_right(r, 0));
                store_unpin(store, r);
                found++;
            } else {
                CHECK(link(other, lab_record_path(0)) == 0);
            }
        }
        end_harm(child);
        CHECK(found > 0 && found < LOOPS);
        printf("     harm %d: %d of %d right, the others missed\n", (int)harm, found, LOOPS);
        store_close(&env, store);
        lab_clean();
    }
}

/* ---- what is in use ---- */

TEST(a_record_that_is_cut_or_overwritten_while_in_use_stays_as_it_was)
{
    for (int cut = 0; cut < 2; cut++) {
        struct env env = {0};
        struct store *store;
        const struct record *r;
        uint8_t zeros[4096] = {0};
        int fd;
        write_large();
        store = lab_open(&env, lab_dir(), LAB_LARGE, LAB_LARGE);
        r = store_get(store, lab_key(0), NULL, NULL);
        REQUIRE(r);
        fd = open(lab_record_path(0), O_WRONLY | O_CLOEXEC);
        REQUIRE(fd >= 0);
        if (cut)
            CHECK(ftruncate(fd, 0) == 0);
        else
            CHECK(pwrite(fd, zeros, sizeof zeros, 192) == sizeof zeros);
        close(fd);
        CHECK(lab_right(r, 0));
        store_unpin(store, r);
        CHECK_EQ(lab_find(store, 0), STORE_RAM);
        store_close(&env, store);
        lab_clean();
    }
}

static int run_open(struct run *r)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = VLQA_DTYPE_F32;
    eo.threads = 2;
    eo.cache_dir = lab_dir();
    return run_start(r, eo, 640);
}

static void ask(struct vlqa_session *s, float logits[VOCAB], int *on_disk)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a = {0};
    o.halo = CHART_HALO;
    o.max_tokens = 2;
    set_reuse(&o, REUSE_INFOFLOW);
    o.chunker = VLQA_CHUNK_GRID;
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    add_image(s, CHART("february"));
    CHECK(vlqa_ask(s, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    REQUIRE(a.logits);
    memcpy(logits, a.logits, VOCAB * sizeof *logits);
    *on_disk = a.chunks_disk + a.visual_disk;
}

/* All files of the directory, in place. */
static void overwrite_all(int cut)
{
    DIR *list = opendir(lab_dir());
    struct dirent *entry;
    struct stat st;
    REQUIRE(list);
    while ((entry = readdir(list)) != NULL) {
        int fd = open(lab_path(entry->d_name), O_WRONLY | O_CLOEXEC);
        if (fd < 0) continue;
        CHECK(fstat(fd, &st) == 0);
        for (off_t at = 0; !cut && at < st.st_size; at += 8)
            CHECK(pwrite(fd, "whatever", 8, at) == 8);
        if (cut) CHECK(ftruncate(fd, 0) == 0);
        close(fd);
    }
    closedir(list);
}

TEST(answers_of_a_live_engine_do_not_change_with_files_that_are_overwritten_or_cut)
{
    static float before[VOCAB], after[VOCAB];
    for (int cut = 0; cut < 2; cut++) {
        struct run r;
        int on_disk;
        REQUIRE(run_open(&r));
        ask(r.session, before, &on_disk);
        run_close(&r);
        REQUIRE(run_open(&r));
        ask(r.session, after, &on_disk);
        CHECK(on_disk > 1);
        CHECK(memcmp(before, after, sizeof before) == 0);
        overwrite_all(cut);
        ask(r.session, after, &on_disk);
        CHECK_EQ(on_disk, 0);
        CHECK(memcmp(before, after, sizeof before) == 0);
        run_close(&r);
        lab_clean();
    }
}

TEST(directory_is_left_empty) /* the last test: nothing of ours lies around */
{
    CHECK_EQ(rmdir(lab_dir()), 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
