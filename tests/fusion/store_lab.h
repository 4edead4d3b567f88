/* store_lab.h - records by number, whose bytes follow from the number, and a directory for them. */
#ifndef TESTS_FUSION_STORE_LAB_H
#define TESTS_FUSION_STORE_LAB_H

#include "base/heap.h"
#include "fusion/store/store.h"
#include "tests/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAB_LARGE ((size_t)1 << 30)
#define LAB_ROWS 4
#define LAB_FILE 512 /* bytes of a file with so many rows: 192 of head, 192 and 128 of matrices */

static const int lab_cols[] = {24, 9};

struct lab_log {
    int lines;
    char last[1024];
};

static inline void lab_note(void *user, enum vlqa_log_level level, const char *line)
{
    struct lab_log *log = user;
    if (level > VLQA_LOG_WARN) return;
    log->lines++;
    (void)snprintf(log->last, sizeof log->last, "%s", line);
}

static inline struct env lab_env(struct lab_log *log)
{
    *log = (struct lab_log){0};
    return (struct env){.log = lab_note, .user = log};
}

static inline struct key lab_key(int number)
{
    struct key_parts parts = {.kind = RECORD_VISUAL, .index = number};
    return key_of(&parts);
}

static inline uint16_t lab_cell(int number, int mat, int cell)
{
    uint32_t x = (uint32_t)number * 2654435761u + (uint32_t)mat * 40503u + (uint32_t)cell;
    x = (x ^ x >> 15) * 2246822519u;
    return (uint16_t)(x >> 16);
}

static inline struct record *lab_new(struct env *env, struct store *store, int number,
                                     enum record_kind kind, int rows)
{
    struct record_shape shape = {kind, rows, {2, rows / 2}, 2, lab_cols, DT_BF16};
    struct record *r;
    if (store_new(env, store, lab_key(number), &shape, &r) != VLQA_OK) return NULL;
    for (int m = 0; m < r->n_mats; m++)
        for (int i = 0; i < rows * lab_cols[m]; i++)
            ((uint16_t *)r->mat[m].data)[i] = lab_cell(number, m, i);
    return r;
}

/* Made, published and pinned. */
static inline const struct record *lab_put(struct env *env, struct store *store, int number,
                                           enum record_kind kind, int rows)
{
    struct record *r = lab_new(env, store, number, kind, rows);
    return r ? store_put(env, store, r) : NULL;
}

/* Everything in it is as lab_put made it. */
static inline int lab_right(const struct record *r, int number)
{
    if (!key_equal(r->key, lab_key(number)) || r->n_mats != 2) return 0;
    if (r->grid.h != 2 || r->grid.w != r->rows / 2) return 0;
    for (int m = 0; m < 2; m++) {
        struct host_mat mat = r->mat[m];
        if (mat.rows != r->rows || mat.cols != lab_cols[m]) return 0;
        if (mat.dtype != DT_BF16 || (uintptr_t)mat.data % 64) return 0;
        for (int i = 0; i < mat.rows * mat.cols; i++)
            if (((const uint16_t *)mat.data)[i] != lab_cell(number, m, i)) return 0;
    }
    return 1;
}

/* Put, unpinned and written; get, compared and unpinned. */
static inline void lab_keep(struct env *env, struct store *store, int number, enum record_kind kind)
{
    const struct record *r = lab_put(env, store, number, kind, LAB_ROWS);
    if (r) store_unpin(store, r);
    CHECK_EQ(store_flush(env, store), VLQA_OK);
    CHECK(r);
}

static inline enum store_where lab_find(struct store *store, int number)
{
    enum store_where where;
    const struct record *r = store_get(store, lab_key(number), NULL, &where);
    CHECK((r == NULL) == (where == STORE_MISS));
    if (r) {
        CHECK(lab_right(r, number));
        store_unpin(store, r);
    }
    return where;
}

/* A directory of our own, in memory where there is such a place: a kill loses nothing that was
 * written, synced or not, and syncing would be most of the time. Its path and those in it. */
static inline const char *lab_dir(void)
{
    static char memory[] = "/dev/shm/vlqa_store_XXXXXX", disk[] = "/tmp/vlqa_store_XXXXXX";
    static const char *dir;
    if (!dir) dir = mkdtemp(memory);
    if (!dir) dir = mkdtemp(disk);
    if (!dir) dir = "/nowhere"; /* where every test fails */
    return dir;
}

static inline const char *lab_path(const char *name)
{
    static char paths[4][300];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof *paths, "%s/%s", lab_dir(), name);
    return path;
}

static inline const char *lab_record_path(int number)
{
    char name[80];
    key_hex(lab_key(number), name);
    memcpy(name + 64, ".vlqa", 6);
    return lab_path(name);
}

static inline int lab_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Names in the directory but for the lock; bytes of those files. */
static inline int lab_files(long long *bytes)
{
    DIR *list = opendir(lab_dir());
    struct dirent *entry;
    struct stat st;
    int n = 0;
    *bytes = 0;
    while (list && (entry = readdir(list)) != NULL) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "vlqa.lock") == 0) continue;
        if (lstat(lab_path(entry->d_name), &st) == 0) *bytes += (long long)st.st_size;
        n++;
    }
    if (list) closedir(list);
    return n;
}

static inline void lab_clean(void)
{
    DIR *list = opendir(lab_dir());
    struct dirent *entry;
    while (list && (entry = readdir(list)) != NULL) {
        const char *path = lab_path(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (unlink(path) != 0) (void)rmdir(path);
    }
    if (list) closedir(list);
}

static inline struct store *lab_open(struct env *env, const char *dir, size_t ram, size_t disk)
{
    struct store_options options = {dir, ram, disk, 0};
    struct store *store = NULL;
    CHECK_EQ(store_open(env, &options, &store), VLQA_OK);
    return store;
}

static inline struct vlqa_cache_stats lab_stats(struct store *store)
{
    struct vlqa_cache_stats stats;
    store_stats(store, &stats);
    return stats;
}

static inline uint8_t *lab_read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(4096);
    *bytes = f && data ? fread(data, 1, 4096, f) : 0;
    if (f) fclose(f);
    return data;
}

static inline void lab_write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, bytes, f) == bytes);
    if (f) fclose(f);
}

/* Publishes records [0, n) and forgets them. */
static inline void lab_fill(int n)
{
    struct env env = {0};
    struct store *store = lab_open(&env, lab_dir(), 0, LAB_LARGE);
    for (int i = 0; i < n; i++)
        lab_keep(&env, store, i, i % 2 ? RECORD_CHUNK : RECORD_VISUAL);
    CHECK_EQ(lab_stats(store).write_failures, 0);
    store_close(&env, store);
}

static inline void lab_set_age(const char *path, int seconds_ago)
{
    struct timespec now, times[2];
    clock_gettime(CLOCK_REALTIME, &now);
    times[0] = times[1] = (struct timespec){now.tv_sec - seconds_ago, 0};
    CHECK(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0);
}

static inline long long lab_age(const char *path)
{
    struct timespec now;
    struct stat st;
    clock_gettime(CLOCK_REALTIME, &now);
    return lstat(path, &st) == 0 ? (long long)now.tv_sec - (long long)st.st_mtim.tv_sec : -1;
}

#endif
