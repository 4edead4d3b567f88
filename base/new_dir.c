/* new_dir.c - a directory made under another name beside its own, synced and renamed. */
#include "base/new_dir.h"

#include "base/file.h"
#include "base/heap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)1 << 20)
#define NAME_BYTES (NEW_DIR_PATH + 300)

static vlqa_status path_of(struct env *env, const struct new_dir *d, const char *name,
                           char out[NAME_BYTES])
{
    if (snprintf(out, NAME_BYTES, "%s/%s", d->temporary, name) < NAME_BYTES) return VLQA_OK;
    return env_fail(env, VLQA_EIO, "%s: the name %.100s... is too long", d->path, name);
}

vlqa_status new_dir_failed(struct env *env, const struct new_dir *d, const char *name, int error)
{
    return env_fail(env, VLQA_EIO, "%s/%s: cannot write: %s", d->path, name, strerror(error));
}

vlqa_status new_dir_open(struct env *env, const char *path, struct new_dir *out)
{
    size_t n = strlen(path);
    struct stat st;
    mode_t mask;
    *out = (struct new_dir){.path = ""};
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (!n || n >= sizeof out->path)
        return env_fail(env, VLQA_EUSAGE, "the path of the new directory is empty or too long");
    memcpy(out->path, path, n);
    if (lstat(out->path, &st) == 0)
        return env_fail(env, VLQA_EIO,
                        "%s is there already: give the name of a directory that is not, or remove "
                        "it",
                        out->path);
    (void)snprintf(out->temporary, sizeof out->temporary, "%s.part-XXXXXX", out->path);
    if (!mkdtemp(out->temporary)) {
        *out->temporary = 0;
        return env_fail(env, VLQA_EIO, "%s: cannot create: %s", out->path, strerror(errno));
    }
    mask = umask(0);
    (void)umask(mask);
    (void)chmod(out->temporary, 0777 & ~mask);
    return VLQA_OK;
}

vlqa_status new_dir_sub(struct env *env, const struct new_dir *d, const char *name)
{
    char path[NAME_BYTES];
    TRY(path_of(env, d, name, path));
    return mkdir(path, 0777) == 0 ? VLQA_OK : new_dir_failed(env, d, name, errno);
}

vlqa_status new_dir_file(struct env *env, const struct new_dir *d, const char *name, int *fd)
{
    char path[NAME_BYTES];
    *fd = -1;
    TRY(path_of(env, d, name, path));
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return *fd >= 0 ? VLQA_OK : new_dir_failed(env, d, name, errno);
}

vlqa_status new_dir_close(struct env *env, const struct new_dir *d, const char *name, int fd)
{
    int error = fsync(fd) != 0 ? errno : 0;
    if (close(fd) != 0 && !error) error = errno;
    return error ? new_dir_failed(env, d, name, error) : VLQA_OK;
}

vlqa_status new_dir_write(struct env *env, const struct new_dir *d, const char *name,
                          const void *data, size_t bytes)
{
    const struct file_part part = {data, bytes};
    int fd, error;
    TRY(new_dir_file(env, d, name, &fd));
    error = file_write_parts(fd, &part, 1);
    if (!error) return new_dir_close(env, d, name, fd);
    (void)close(fd);
    return new_dir_failed(env, d, name, error);
}

static vlqa_status copy(struct env *env, const struct new_dir *d, const char *name,
                        const struct file_map *from, const char *path, void *block, int fd)
{
    for (size_t at = 0; at < from->size;) {
        size_t n = from->size - at < COPY_BYTES ? from->size - at : COPY_BYTES;
        const struct file_part part = {block, n};
        int error;
        TRY(file_read_at(env, path, from, at, block, n));
        error = file_write_parts(fd, &part, 1);
        if (error) return new_dir_failed(env, d, name, error);
        at += n;
    }
    return VLQA_OK;
}

vlqa_status new_dir_copy(struct env *env, const struct new_dir *d, const char *name,
                         const char *from)
{
    struct file_map map;
    void *block = heap_alloc(COPY_BYTES);
    int fd = -1;
    vlqa_status status, closed = VLQA_OK;
    if (!block) return env_no_memory(env, name, COPY_BYTES);
    status = file_open(env, from, &map);
    if (status == VLQA_OK) status = new_dir_file(env, d, name, &fd);
    if (status == VLQA_OK) status = copy(env, d, name, &map, from, block, fd);
    if (fd >= 0 && status == VLQA_OK)
        closed = new_dir_close(env, d, name, fd);
    else if (fd >= 0)
        (void)close(fd);
    file_map_close(&map);
    heap_free(block);
    return status == VLQA_OK ? closed : status;
}

static int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    if (fd < 0) return errno;
    if (fsync(fd) != 0 && errno != EINVAL) error = errno; /* some file systems have no such thing */
    (void)close(fd);
    return error;
}

/* The directory that a path is in. */
static void parent_of(const char *path, char out[NEW_DIR_PATH])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    (void)snprintf(out, NEW_DIR_PATH, "%.*s", slash && !n ? 1 : (int)n, path);
    if (!slash) (void)snprintf(out, NEW_DIR_PATH, ".");
}

vlqa_status new_dir_commit(struct env *env, struct new_dir *d)
{
    char parent[NEW_DIR_PATH];
    int error = sync_path(d->temporary);
    if (!error && renameat2(AT_FDCWD, d->temporary, AT_FDCWD, d->path, RENAME_NOREPLACE) != 0)
        error = errno;
    if (error == EINVAL || error == ENOSYS) /* not there: an empty directory would be replaced */
        error = rename(d->temporary, d->path) == 0 ? 0 : errno;
    if (error) return env_fail(env, VLQA_EIO, "%s: cannot create: %s", d->path, strerror(error));
    *d->temporary = 0;
    parent_of(d->path, parent);
    error = sync_path(parent);
    return error ? env_fail(env, VLQA_EIO, "%s: cannot sync: %s", parent, strerror(error))
                 : VLQA_OK;
}

/* What is in it is ours: files, and directories of files. */
static void remove_all(const char *path, int depth)
{
    char name[NAME_BYTES];
    const struct dirent *entry;
    DIR *list = depth > 0 ? opendir(path) : NULL;
    while (list && (entry = readdir(list))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= (int)sizeof name) continue;
        if (unlink(name) != 0) remove_all(name, depth - 1);
    }
    if (list) closedir(list);
    (void)rmdir(path);
}

void new_dir_drop(struct new_dir *d)
{
    if (*d->temporary) remove_all(d->temporary, 3);
    *d->temporary = 0;
}
