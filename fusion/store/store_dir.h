/* store_dir.h - a directory of record files that any number of processes share: what is there, what
 * has to go. No index: the directory is it. */
#ifndef FUSION_STORE_DIR_H
#define FUSION_STORE_DIR_H

#include "base/env.h"
#include "fusion/store/record.h"

#include <limits.h>
#include <stdatomic.h>
#include <time.h>

#define STORE_DIR_NAME 70 /* of a record file, with its NUL */

struct store_dir {
    char path[PATH_MAX]; /* without links, so that it survives a chdir */
};

struct store_dir_file { /* what has the name of a record */
    struct key key;
    uint64_t bytes;       /* 0 where it is not ours */
    struct timespec used; /* last, roughly */
    const char *stray;    /* NULL: a file of ours; else what it is: "is a FIFO", say */
    int is_file;          /* a regular one, whosever it is */
};

struct store_dir_list {
    struct store_dir_file *file; /* heap; least recently used first */
    size_t n, cap;
    uint64_t bytes; /* of all */
};

/* A directory that is there, and is ours, or the superuser's if not everybody may write to it: what
 * is in it is ours alone (docs/DESIGN.md, section 8). The superuser may use those of others, too.
 * VLQA_EIO; the message says what to do. */
vlqa_status store_dir_find(struct env *env, const char *path, struct store_dir *out);
/* Makes it before, if need be. Whether it can be written to shows when a record is written: one
 * that cannot is read all the same. */
vlqa_status store_dir_open(struct env *env, const char *path, struct store_dir *out);

/* The records, and with_strays what else has the name of one. */
vlqa_status store_dir_list(struct env *env, const struct store_dir *dir, int with_strays,
                           struct store_dir_list *out);
void store_dir_name(struct key key, char name[STORE_DIR_NAME]);
void store_dir_path(const struct store_dir *dir, struct key key, char path[PATH_MAX]);

#define STORE_BATCH 32 /* records, each of which has a descriptor while it is written */

struct store_batch { /* records of different keys that are published together */
    const struct record *record[STORE_BATCH];
    int n;
    atomic_uint *steps; /* counts signs of life while it is written */
    double lock_ms;     /* how long the lock is waited for */
    int is_locked;      /* out: another process kept the lock */
    int failed;         /* out: records that are not there now */
    uint64_t evicted;   /* out: files that were removed */
};

/* Writes the records that are not there, each of them whole or not at all, with one scan
 * of the directory: temporary files are written, then synced, then renamed, and then the
 * directory is synced. Removes others first, the least recently used, until all together have at
 * most quota bytes; the batch has no more than that, unless it is of one record, which then fails.
 * One record that fails fails alone: VLQA_EIO and its words when its name is taken by what is not
 * ours to touch, a record of another version, say. */
vlqa_status store_dir_publish(struct env *env, const struct store_dir *dir, uint64_t quota,
                              struct store_batch *batch);
/* Now is when it was last used. */
void store_dir_touch(const struct store_dir *dir, struct key key);
/* A file of ours; whether it was there. */
int store_dir_remove(const struct store_dir *dir, struct key key);
/* Whatever of ours has the name of a record and holds nothing but it: a file, a link, a FIFO, a
 * socket. Counts it. What else has the name stays, and the log says so. VLQA_EIO: one that is ours
 * cannot be removed. */
vlqa_status store_dir_drop(struct env *env, const struct store_dir *dir, struct key key,
                           int *removed);
/* All of these and what crashed writers left. */
vlqa_status store_dir_clear(struct env *env, const struct store_dir *dir, int *removed);

#endif
