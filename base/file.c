/* file.c - files through descriptors: kinds checked, errors named, writes all or nothing. */
#include "base/file.h"

#include "base/arena.h"
#include "base/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    }
    return "of an unknown kind";
}

static vlqa_status fail_errno(struct env *env, const char *path, const char *what, int error)
{
    char to[512];
    ssize_t n = error == ENOENT ? readlink(path, to, sizeof to - 1) : -1;
    if (n > 0) {
        to[n] = 0;
        return env_fail(env, VLQA_EIO, "%s: cannot %s: it is a link to %s, which is not there",
                        path, what, to);
    }
    return env_fail(env, VLQA_EIO, "%s: cannot %s: %s", path, what, strerror(error));
}

static vlqa_status fail_kind(struct env *env, const char *path, mode_t mode)
{
    return env_fail(env, VLQA_EIO, "%s is %s, expected a regular file", path, kind_name(mode));
}

/* A regular file, open for reading. O_NONBLOCK: a FIFO must not hold us until somebody writes. */
static vlqa_status open_regular(struct env *env, const char *path, int *fd, struct stat *st)
{
    vlqa_status status = VLQA_OK;
    int error;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        error = errno;
        if (stat(path, st) == 0 && !S_ISREG(st->st_mode)) return fail_kind(env, path, st->st_mode);
        return fail_errno(env, path, "open", error);
    }
    if (fstat(*fd, st) != 0)
        status = fail_errno(env, path, "stat", errno);
    else if (!S_ISREG(st->st_mode))
        status = fail_kind(env, path, st->st_mode);
    if (status != VLQA_OK) close(*fd);
    return status;
}

/* Modulo 2^64, for a file may say that it is of the year 10,000: it is only compared. */
static uint64_t mtime_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;
}

vlqa_status file_open(struct env *env, const char *path, struct file_map *out)
{
    struct stat st;
    int fd;
    *out = (struct file_map){0};
    TRY(open_regular(env, path, &fd, &st));
    *out = (struct file_map){.size = (size_t)st.st_size,
                             .fd = fd,
                             .is_open = 1,
                             .mtime_ns = mtime_ns(&st),
                             .inode = st.st_ino,
                             .device = st.st_dev};
    return VLQA_OK;
}

vlqa_status file_map_open(struct env *env, const char *path, struct file_map *out)
{
    void *data = NULL;
    TRY(file_open(env, path, out));
    if (out->size) data = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, out->fd, 0);
    if (data == MAP_FAILED) {
        vlqa_status status = fail_errno(env, path, "map", errno);
        file_map_close(out);
        return status;
    }
    out->data = data ? data : (const uint8_t *)"";
    return VLQA_OK;
}

void file_map_close(struct file_map *map)
{
    if (map->data && map->size) munmap((void *)(uintptr_t)map->data, map->size);
    if (map->is_open) close(map->fd);
    *map = (struct file_map){0};
}

vlqa_status file_read_at(struct env *env, const char *path, const struct file_map *map,
                         size_t offset, void *dst, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t got = pread(map->fd, (char *)dst + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(env, path, "read", errno);
        if (got == 0)
            return env_fail(env, VLQA_EIO, "%s changed while in use: it ends at byte %zu of %zu",
                            path, offset + done, map->size);
        done += (size_t)got;
    }
    return VLQA_OK;
}

vlqa_status file_map_check(struct env *env, const char *path, const struct file_map *map)
{
    struct stat now;
    if (fstat(map->fd, &now) != 0) return fail_errno(env, path, "stat", errno);
    if ((size_t)now.st_size != map->size)
        return env_fail(env, VLQA_EIO, "%s changed while in use: %zu bytes, expected %zu", path,
                        (size_t)now.st_size, map->size);
    if (mtime_ns(&now) != map->mtime_ns)
        return env_fail(env, VLQA_EIO, "%s was written to while in use", path);
    if (stat(path, &now) != 0 || now.st_ino != map->inode || now.st_dev != map->device)
        return env_fail(env, VLQA_EIO, "%s was replaced while in use", path);
    return VLQA_OK;
}

/* Reads to the end into a block of at least hint bytes that doubles when it is full. */
static vlqa_status read_all(struct env *env, const char *path, int fd, size_t hint,
                            size_t max_bytes, uint8_t **data, size_t *bytes)
{
    size_t cap = hint < max_bytes ? hint : max_bytes, used = 0;
    *data = heap_alloc(cap + 2); /* one to notice more, one for the NUL */
    if (!*data) return env_no_memory(env, path, cap + 2);
    for (;;) {
        ssize_t got = read(fd, *data + used, cap + 1 - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(env, path, "read", errno);
        if (got == 0) break;
        used += (size_t)got;
        if (used > max_bytes)
            return env_fail(env, VLQA_ELIMIT, "%s has more than %zu bytes", path, max_bytes);
        if (used > cap) {
            size_t more = cap > max_bytes / 2 ? max_bytes : cap * 2;
            void *grown = heap_resize(*data, used, more + 2);
            if (!grown) return env_no_memory(env, path, more + 2);
            *data = grown;
            cap = more;
        }
    }
    (*data)[used] = 0;
    *bytes = used;
    return VLQA_OK;
}

vlqa_status file_read(struct env *env, const char *path, size_t max_bytes, void **data,
                      size_t *bytes)
{
    int is_stdin = strcmp(path, "-") == 0, fd = STDIN_FILENO;
    struct stat st = {.st_size = 1 << 16};
    uint8_t *block = NULL;
    vlqa_status status;
    *data = NULL;
    *bytes = 0;
    if (max_bytes > SIZE_MAX - 2) max_bytes = SIZE_MAX - 2;
    if (!is_stdin) TRY(open_regular(env, path, &fd, &st));
    if (!is_stdin && (uint64_t)st.st_size > max_bytes)
        status = env_fail(env, VLQA_ELIMIT, "%s has %lld bytes, expected at most %zu", path,
                          (long long)st.st_size, max_bytes);
    else
        status = read_all(env, is_stdin ? "standard input" : path, fd, (size_t)st.st_size + 1,
                          max_bytes, &block, bytes);
    if (!is_stdin) close(fd);
    if (status != VLQA_OK) {
        heap_free(block);
        return status;
    }
    *data = block;
    return VLQA_OK;
}

int file_is_fifo(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Until there is something to read, or the last writer has gone. */
static void wait_for_writer(struct env *env, const char *path, int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int found;
    do
        found = poll(&ready, 1, FILE_FIFO_PATIENCE);
    while (found < 0 && errno == EINTR);
    if (found) return;
    env_log(env, VLQA_LOG_WARN, "%s is a FIFO that nobody has written to yet; waiting for it",
            path);
    while (poll(&ready, 1, -1) < 0 && errno == EINTR)
        ;
}

vlqa_status file_read_fifo(struct env *env, const char *path, size_t max_bytes, void **data,
                           size_t *bytes)
{
    uint8_t *block = NULL;
    vlqa_status status;
    /* Opened without waiting, as waiting there could not be told from a hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), flags;
    *data = NULL;
    *bytes = 0;
    if (fd < 0) return fail_errno(env, path, "open", errno);
    wait_for_writer(env, path, fd);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        status = fail_errno(env, path, "read", errno);
    } else {
        if (max_bytes > SIZE_MAX - 2) max_bytes = SIZE_MAX - 2;
        status = read_all(env, path, fd, 1 << 16, max_bytes, &block, bytes);
    }
    close(fd);
    if (status != VLQA_OK) {
        heap_free(block);
        return status;
    }
    *data = block;
    return VLQA_OK;
}

int file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* Opens a name beside path that nobody has; writes the name. Returns a descriptor, or -1. */
static int open_temporary(const char *path, char *name, size_t cap)
{
    int fd = -1;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, cap, "%s.%ld.%d.tmp", path, (long)getpid(), i);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); /* & ~umask */
        if (fd >= 0 || errno != EEXIST) break;
    }
    return fd;
}

int file_write_parts(int fd, const struct file_part *part, int n_parts)
{
    for (int i = 0; i < n_parts; i++) {
        const uint8_t *data = part[i].data;
        for (size_t at = 0; at < part[i].bytes;) {
            ssize_t put = write(fd, data + at, part[i].bytes - at);
            if (put < 0 && errno != EINTR) return errno;
            if (put > 0) at += (size_t)put;
        }
    }
    return 0;
}

/* A rename lasts when its directory was synced. `name` is overwritten. Returns an errno. */
static int sync_directory(char *name)
{
    char *slash = strrchr(name, '/');
    int fd, error = 0;
    if (slash) slash[slash == name] = 0;
    fd = open(slash ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    if (fsync(fd) != 0 && errno != EINVAL) error = errno; /* EINVAL: no such thing there */
    close(fd);
    return error;
}

vlqa_status file_write_atomic(struct env *env, const char *path, const struct file_part *part,
                              int n_parts)
{
    size_t cap = strlen(path) + 64;
    char *name = heap_alloc(cap);
    const char *what = "create";
    int fd, error;
    if (!name) return env_no_memory(env, path, cap);
    fd = open_temporary(path, name, cap);
    error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        what = "write";
        error = file_write_parts(fd, part, n_parts);
        if (!error && fsync(fd) != 0) error = errno;
        if (close(fd) != 0 && !error) error = errno;
        if (!error && rename(name, path) != 0) error = errno;
        if (error)
            (void)unlink(name);
        else
            error = sync_directory(name);
    }
    heap_free(name);
    return error ? fail_errno(env, path, what, error) : VLQA_OK;
}
