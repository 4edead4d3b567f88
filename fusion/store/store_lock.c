/* store_lock.c - a file of our own that is locked; what others might hold is refused.
 *
 * Whoever can open a file can lock it, so the file has to be ours, for us alone, and under one
 * name. Then no other user can hold it, whoever may write into the directory. */
#include "fusion/store/store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 16 /* of a lock file that is replaced while it is awaited */

static vlqa_status fail_owner(struct env *env, const char *path, uid_t owner)
{
    return env_fail(env, VLQA_EIO,
                    "%s belongs to user %u: remove it, or use a directory of your own", path,
                    (unsigned)owner);
}

/* Why it could not be opened. */
static vlqa_status fail_open(struct env *env, const char *dir, const char *path, int error)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return env_fail(env, VLQA_EIO, "%s: cannot write to: %s", dir, strerror(error));
    if (S_ISREG(st.st_mode) && st.st_uid != geteuid()) return fail_owner(env, path, st.st_uid);
    return env_fail(env, VLQA_EIO, "%s: cannot open: %s", path, strerror(error));
}

static vlqa_status check_trust(struct env *env, const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return env_fail(env, VLQA_EIO, "%s: cannot stat: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return env_fail(env, VLQA_EIO, "%s is no regular file: remove it", path);
    if (st.st_uid != geteuid()) return fail_owner(env, path, st.st_uid);
    if (st.st_nlink > 1)
        return env_fail(env, VLQA_EIO, "%s has %lu names, expected one: remove it", path,
                        (unsigned long)st.st_nlink);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) &&
        (fchmod(fd, 0600) != 0 || fstat(fd, &st) != 0 || (st.st_mode & (S_IRWXG | S_IRWXO))))
        return env_fail(env, VLQA_EIO,
                        "%s may be opened by others (mode %04o): use a directory on a file system "
                        "that has owners and modes",
                        path, (unsigned)st.st_mode & 07777u);
    return VLQA_OK;
}

/* O_NONBLOCK: nothing under that name may hold us. */
static vlqa_status open_trusted(struct env *env, const char *dir, const char *path, int *fd)
{
    vlqa_status status;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (*fd < 0) return fail_open(env, dir, path, errno);
    status = check_trust(env, path, *fd);
    if (status != VLQA_OK) close(*fd);
    return status;
}

/* Returns an errno; EWOULDBLOCK: another process keeps it. */
static int lock_until(int fd, double end)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        if (error != EWOULDBLOCK && error != EINTR) return error;
        if (env_ms() >= end) return EWOULDBLOCK;
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    return 0;
}

/* Nobody removed or replaced it while it was awaited: else others lock another file. */
static int has_its_name(const char *path, int fd)
{
    struct stat named, held;
    return lstat(path, &named) == 0 && fstat(fd, &held) == 0 && named.st_ino == held.st_ino &&
           named.st_dev == held.st_dev;
}

vlqa_status store_lock_take(struct env *env, const char *dir, double wait_ms, int *fd, int *is_held)
{
    char path[PATH_MAX + sizeof "/" STORE_LOCK_NAME];
    double end = env_ms() + wait_ms;
    int error = 0;
    *is_held = 0;
    (void)snprintf(path, sizeof path, "%s/" STORE_LOCK_NAME, dir);
    for (int i = 0; i < TRIES && !error; i++) {
        TRY(open_trusted(env, dir, path, fd));
        error = lock_until(*fd, end);
        if (!error && has_its_name(path, *fd)) return VLQA_OK;
        close(*fd);
    }
    *is_held = error == EWOULDBLOCK;
    if (*is_held)
        return env_fail(env, VLQA_EIO,
                        "%s is locked by another process (does one stand still? fuser %s names it)",
                        dir, path);
    return env_fail(env, VLQA_EIO, "%s: cannot lock: %s", path,
                    error ? strerror(error) : "it is replaced again and again");
}

void store_lock_drop(int fd)
{
    (void)flock(fd, LOCK_UN); /* for a child that was forked meanwhile and has the descriptor */
    close(fd);
}
