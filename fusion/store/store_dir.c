/* store_dir.c - many processes, one directory: whoever writes holds a lock, whoever reads needs
 * none.
 *
 * Names: 64 hex digits of the key and ".vlqa"; behind it ".PID.N.tmp" while a record is written.
 * Nothing else is ever touched. The lock is held from making room to the rename, so that the quota
 * holds at every moment, and a temporary file that a holder of the lock finds was left by a crash.
 * A batch is published under one lock. The lock itself ends with the process that holds it. Files
 * are only renamed into place and removed, never changed; and readers copy what they use.
 */
#include "fusion/store/store_dir.h"

#include "base/file.h"
#include "base/heap.h"
#include "fusion/store/store_file.h"
#include "fusion/store/store_lock.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FUTURE_S 3600 /* clocks of file systems differ from ours, but not by more */

enum name_kind { NAME_OTHER, NAME_RECORD, NAME_TEMPORARY };

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int is_temporary_end(const char *s) /* .PID.N.tmp */
{
    for (int i = 0; i < 2; i++) {
        size_t digits = *s == '.' ? strspn(s + 1, "0123456789") : 0;
        if (!digits) return 0;
        s += 1 + digits;
    }
    return strcmp(s, ".tmp") == 0;
}

static enum name_kind name_parse(const char *name, struct key *key)
{
    if (strlen(name) < STORE_DIR_NAME - 1) return NAME_OTHER;
    for (int i = 0; i < 32; i++) {
        int high = hex_digit(name[2 * i]), low = hex_digit(name[2 * i + 1]);
        if (high < 0 || low < 0) return NAME_OTHER;
        key->b[i] = (uint8_t)(high << 4 | low);
    }
    if (strncmp(name + 64, ".vlqa", 5) != 0) return NAME_OTHER;
    if (!name[69]) return NAME_RECORD;
    return is_temporary_end(name + 69) ? NAME_TEMPORARY : NAME_OTHER;
}

void store_dir_name(struct key key, char name[STORE_DIR_NAME])
{
    key_hex(key, name);
    memcpy(name + 64, ".vlqa", sizeof ".vlqa");
}

void store_dir_path(const struct store_dir *dir, struct key key, char path[PATH_MAX])
{
    size_t n = strlen(dir->path);
    memcpy(path, dir->path, n); /* store_dir_find left room for the name */
    path[n] = '/';
    store_dir_name(key, path + n + 1);
}

static vlqa_status fail_errno(struct env *env, const char *path, const char *what)
{
    return env_fail(env, VLQA_EIO, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* Nothing in a directory is trusted for its name, so one of our own may be open to others: records
 * and lock are files of ours that only we can write. */
static vlqa_status check_owner(struct env *env, const char *path, const struct stat *st)
{
    if (st->st_uid == geteuid()) return VLQA_OK;
    if (st->st_mode & S_IWOTH)
        return env_fail(env, VLQA_EIO,
                        "%s may be written by everybody and is not ours: use a directory of your "
                        "own in it",
                        path);
    if (st->st_uid != 0 && geteuid() != 0)
        return env_fail(env, VLQA_EIO, "%s belongs to user %u: use a directory of your own", path,
                        (unsigned)st->st_uid);
    return VLQA_OK;
}

vlqa_status store_dir_find(struct env *env, const char *path, struct store_dir *out)
{
    struct stat st;
    if (!realpath(path, out->path) || stat(out->path, &st) != 0)
        return fail_errno(env, path, "open");
    if (!S_ISDIR(st.st_mode))
        return env_fail(env, VLQA_EIO, "%s is a file, expected a directory", path);
    if (strlen(out->path) + 1 + STORE_DIR_NAME > sizeof out->path)
        return env_fail(env, VLQA_EIO, "%s has a path that is too long", path);
    return check_owner(env, path, &st);
}

vlqa_status store_dir_open(struct env *env, const char *path, struct store_dir *out)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int error = errno; /* a read-only file system says that first */
        if (stat(path, &st) != 0) {
            errno = error;
            return fail_errno(env, path, "create");
        }
    }
    return store_dir_find(env, path, out);
}

/* What has the name of a record; NULL: a file of ours. */
static const char *stray_name(const struct stat *st)
{
    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        return st->st_uid == geteuid() ? NULL : "is a file of another user";
    case S_IFDIR:
        return "is a directory";
    case S_IFLNK:
        return "is a symbolic link";
    case S_IFIFO:
        return "is a FIFO";
    case S_IFSOCK:
        return "is a socket";
    }
    return "is a device";
}

enum list_mode { LIST_RECORDS, LIST_STRAYS, LIST_SWEEP };

/* Temporary files go. A time in the future says nothing of the last use: from now on the record
 * grows older, as others do. */
static void sweep_name(int fd, const char *name, enum name_kind kind, const struct stat *st)
{
    if (kind == NAME_TEMPORARY) (void)unlinkat(fd, name, 0);
    if (kind == NAME_RECORD && st->st_mtim.tv_sec > time(NULL) + FUTURE_S)
        (void)utimensat(fd, name, NULL, AT_SYMLINK_NOFOLLOW);
}

static vlqa_status list_push(struct env *env, struct store_dir_list *list,
                             struct store_dir_file file)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64, old = list->n * sizeof *list->file;
        void *grown = heap_resize(list->file, old, cap * sizeof *list->file);
        if (!grown) return env_no_memory(env, "list of records", cap * sizeof *list->file);
        list->file = grown;
        list->cap = cap;
    }
    list->bytes += file.bytes;
    list->file[list->n++] = file;
    return VLQA_OK;
}

/* One name of the directory into the list. */
static vlqa_status list_name(struct env *env, int fd, const char *name, enum list_mode mode,
                             struct store_dir_list *list)
{
    struct store_dir_file file = {.bytes = 0};
    struct stat st;
    enum name_kind kind = name_parse(name, &file.key);
    if (kind == NAME_OTHER || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return VLQA_OK;
    file.stray = stray_name(&st);
    if (mode == LIST_SWEEP && !file.stray) sweep_name(fd, name, kind, &st);
    if (kind == NAME_TEMPORARY || (file.stray && mode != LIST_STRAYS)) return VLQA_OK;
    file.is_file = S_ISREG(st.st_mode);
    file.bytes = file.stray ? 0 : (uint64_t)st.st_size;
    file.used = st.st_mtim;
    return list_push(env, list, file);
}

static int by_age(const void *a, const void *b)
{
    const struct store_dir_file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return memcmp(x->key.b, y->key.b, sizeof x->key.b);
}

static vlqa_status list_all(struct env *env, const struct store_dir *dir, enum list_mode mode,
                            struct store_dir_list *out)
{
    DIR *stream = opendir(dir->path);
    vlqa_status status = VLQA_OK;
    *out = (struct store_dir_list){0};
    if (!stream) return fail_errno(env, dir->path, "list");
    while (status == VLQA_OK) {
        struct dirent *entry;
        errno = 0;
        entry = readdir(stream);
        if (!entry && errno) status = fail_errno(env, dir->path, "list");
        if (!entry) break;
        status = list_name(env, dirfd(stream), entry->d_name, mode, out);
    }
    closedir(stream);
    if (status != VLQA_OK) {
        heap_free(out->file);
        *out = (struct store_dir_list){0};
        return status;
    }
    if (out->n) qsort(out->file, out->n, sizeof *out->file, by_age);
    return VLQA_OK;
}

vlqa_status store_dir_list(struct env *env, const struct store_dir *dir, int with_strays,
                           struct store_dir_list *out)
{
    return list_all(env, dir, with_strays ? LIST_STRAYS : LIST_RECORDS, out);
}

int store_dir_remove(const struct store_dir *dir, struct key key)
{
    char path[PATH_MAX];
    struct stat st;
    store_dir_path(dir, key, path);
    return lstat(path, &st) == 0 && !stray_name(&st) && unlink(path) == 0;
}

/* Nothing goes with it but its name. */
static int is_one_name(mode_t mode)
{
    return S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

vlqa_status store_dir_drop(struct env *env, const struct store_dir *dir, struct key key,
                           int *removed)
{
    char path[PATH_MAX];
    struct stat st;
    const char *stray;
    store_dir_path(dir, key, path);
    if (lstat(path, &st) != 0) return VLQA_OK; /* gone meanwhile */
    stray = stray_name(&st);
    if (!stray || (st.st_uid == geteuid() && is_one_name(st.st_mode))) {
        if (unlink(path) != 0) return errno == ENOENT ? VLQA_OK : fail_errno(env, path, "remove");
        ++*removed;
        return VLQA_OK;
    }
    env_log(env, VLQA_LOG_WARN, "%s %s and stays", path, stray);
    return VLQA_OK;
}

void store_dir_touch(const struct store_dir *dir, struct key key)
{
    char path[PATH_MAX];
    store_dir_path(dir, key, path);
    (void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW); /* it may have gone: no matter */
}

/* Under the lock. */
static vlqa_status make_room(struct env *env, const struct store_dir *dir, uint64_t most,
                             uint64_t *evicted)
{
    struct store_dir_list list;
    TRY(list_all(env, dir, LIST_SWEEP, &list));
    for (size_t i = 0; i < list.n && list.bytes > most; i++) {
        if (!store_dir_remove(dir, list.file[i].key)) continue;
        list.bytes -= list.file[i].bytes;
        ++*evicted;
    }
    heap_free(list.file);
    if (list.bytes > most)
        return env_fail(env, VLQA_EIO, "%s: no room, and records cannot be removed", dir->path);
    return VLQA_OK;
}

/* What stands under the name: nothing, or damage, to be written over; a record, the same one; or
 * what is not for us to touch. */
static vlqa_status see_name(struct env *env, const char *path, int *is_free)
{
    struct store_file file;
    struct record header;
    struct stat st;
    *is_free = lstat(path, &st) != 0;
    if (*is_free) return VLQA_OK;
    switch (store_file_open(path, &file, &header)) {
    case STORE_FILE_GOOD:
        store_file_close(&file);
        return VLQA_OK;
    case STORE_FILE_DAMAGED:
        *is_free = 1;
        return VLQA_OK;
    case STORE_FILE_FOREIGN:
        return env_fail(env, VLQA_EIO, "%s is of another version of this program and stays", path);
    case STORE_FILE_FAILED:
        return env_fail(env, VLQA_EIO, "%s cannot be read", path);
    case STORE_FILE_NONE:
        break;
    }
    return env_fail(env, VLQA_EIO, "%s %s and stays", path,
                    stray_name(&st) ? stray_name(&st) : "may not be read");
}

/* ---- a batch ---- */

enum draft_state { DRAFT_THERE, DRAFT_FAILED, DRAFT_NEW, DRAFT_WRITTEN, DRAFT_SYNCED };

struct draft { /* a record on its way into the directory */
    const struct record *record;
    enum draft_state state;
    int fd;                         /* while WRITTEN */
    char name[STORE_DIR_NAME + 40]; /* of the temporary file, from WRITTEN on */
};

/* Returns the status of the draft, which fails where there is an error. */
static enum draft_state draft_error(struct env *env, const struct store_dir *dir,
                                    const struct draft *d, const char *what, int error)
{
    char path[PATH_MAX];
    store_dir_path(dir, d->record->key, path);
    errno = error;
    (void)fail_errno(env, path, what);
    return DRAFT_FAILED;
}

/* Whether there is something to write; adds its bytes. */
static enum draft_state draft_begin(struct env *env, const struct store_dir *dir, uint64_t quota,
                                    struct draft *d, uint64_t *bytes)
{
    uint64_t own = store_file_bytes(d->record);
    char path[PATH_MAX];
    int is_free;
    if (own > quota) {
        (void)env_fail(env, VLQA_ELIMIT, "a record has %llu bytes, %s may have %llu",
                       (unsigned long long)own, dir->path, (unsigned long long)quota);
        return DRAFT_FAILED;
    }
    store_dir_path(dir, d->record->key, path);
    if (see_name(env, path, &is_free) != VLQA_OK) return DRAFT_FAILED;
    if (!is_free) return DRAFT_THERE;
    *bytes += own;
    return DRAFT_NEW;
}

static enum draft_state draft_write(struct env *env, const struct store_dir *dir, int dir_fd,
                                    struct draft *d)
{
    const struct record *r = d->record;
    uint8_t head[STORE_FILE_MAX_HEAD];
    struct file_part part[] = {{head, store_file_head(r, head)},
                               {r->mat[0].data, store_file_payload(r)}};
    int error;
    d->fd = -1;
    for (int i = 0; i < 1000 && d->fd < 0; i++) {
        store_dir_name(r->key, d->name);
        (void)snprintf(d->name + STORE_DIR_NAME - 1, sizeof d->name - (STORE_DIR_NAME - 1),
                       ".%ld.%d.tmp", (long)getpid(), i);
        d->fd = openat(dir_fd, d->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (d->fd < 0 && errno != EEXIST) break;
    }
    if (d->fd < 0) return draft_error(env, dir, d, "create", errno);
    error = file_write_parts(d->fd, part, 2);
    if (!error) return DRAFT_WRITTEN;
    close(d->fd);
    (void)unlinkat(dir_fd, d->name, 0);
    return draft_error(env, dir, d, "write", error);
}

static enum draft_state draft_sync(struct env *env, const struct store_dir *dir, int dir_fd,
                                   struct draft *d)
{
    int error = fsync(d->fd) == 0 ? 0 : errno;
    if (close(d->fd) != 0 && !error) error = errno;
    if (!error) return DRAFT_SYNCED;
    (void)unlinkat(dir_fd, d->name, 0);
    return draft_error(env, dir, d, "write", error);
}

static enum draft_state draft_rename(struct env *env, const struct store_dir *dir, int dir_fd,
                                     struct draft *d)
{
    char name[STORE_DIR_NAME];
    int error;
    store_dir_name(d->record->key, name);
    if (renameat(dir_fd, d->name, dir_fd, name) == 0) return DRAFT_THERE;
    error = errno;
    (void)unlinkat(dir_fd, d->name, 0);
    return draft_error(env, dir, d, "write", error);
}

/* Each step for all of them before the next: what the first sync brings to the disk, the others
 * find there. */
static void publish_drafts(struct env *env, const struct store_dir *dir, int dir_fd,
                           struct draft *draft, const struct store_batch *batch)
{
    static enum draft_state (*const step[])(struct env *, const struct store_dir *, int,
                                            struct draft *) = {
        [DRAFT_NEW] = draft_write, [DRAFT_WRITTEN] = draft_sync, [DRAFT_SYNCED] = draft_rename};
    for (enum draft_state state = DRAFT_NEW; state <= DRAFT_SYNCED; state++)
        for (int i = 0; i < batch->n; i++) {
            if (draft[i].state != state) continue;
            draft[i].state = step[state](env, dir, dir_fd, &draft[i]);
            atomic_fetch_add(batch->steps, 1);
        }
    /* They are there now, whatever becomes of this: a power cut may lose them, which is a miss. */
    (void)fsync(dir_fd);
}

/* Returns the bytes of those that are to be written. */
static uint64_t begin_drafts(struct env *env, const struct store_dir *dir, uint64_t quota,
                             const struct store_batch *batch, struct draft *draft)
{
    uint64_t bytes = 0;
    for (int i = 0; i < batch->n; i++) {
        draft[i].record = batch->record[i];
        draft[i].state = draft_begin(env, dir, quota, &draft[i], &bytes);
    }
    return bytes;
}

/* Under the lock. */
static vlqa_status publish(struct env *env, const struct store_dir *dir, uint64_t quota,
                           struct store_batch *batch, struct draft *draft)
{
    uint64_t bytes = begin_drafts(env, dir, quota, batch, draft); /* others wrote meanwhile */
    int fd;
    if (!bytes) return VLQA_OK;
    assert(bytes <= quota);
    TRY(make_room(env, dir, quota - bytes, &batch->evicted));
    fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(env, dir->path, "open");
    publish_drafts(env, dir, fd, draft, batch);
    close(fd);
    return VLQA_OK;
}

vlqa_status store_dir_publish(struct env *env, const struct store_dir *dir, uint64_t quota,
                              struct store_batch *batch)
{
    struct draft draft[STORE_BATCH];
    vlqa_status status = VLQA_OK;
    int fd;
    batch->failed = batch->is_locked = 0;
    batch->evicted = 0;
    if (begin_drafts(env, dir, quota, batch, draft)) {
        status = store_lock_take(env, dir->path, batch->lock_ms, &fd, &batch->is_locked);
        if (status == VLQA_OK) {
            status = publish(env, dir, quota, batch, draft);
            store_lock_drop(fd);
        }
    }
    for (int i = 0; i < batch->n; i++)
        batch->failed += draft[i].state != DRAFT_THERE;
    return status == VLQA_OK && batch->failed ? VLQA_EIO : status;
}

vlqa_status store_dir_clear(struct env *env, const struct store_dir *dir, int *removed)
{
    struct store_dir_list list;
    vlqa_status status, dropped;
    int fd, is_held;
    TRY(store_lock_take(env, dir->path, STORE_LOCK_WAIT_MS, &fd, &is_held));
    status = list_all(env, dir, LIST_SWEEP, &list); /* what crashed writers left */
    heap_free(list.file);
    if (status == VLQA_OK) status = list_all(env, dir, LIST_STRAYS, &list);
    for (size_t i = 0; i < list.n; i++) {
        dropped = store_dir_drop(env, dir, list.file[i].key, removed);
        if (status == VLQA_OK) status = dropped;
    }
    store_lock_drop(fd);
    heap_free(list.file);
    return status;
}
