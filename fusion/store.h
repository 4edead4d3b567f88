/* store.h - records by key, in RAM and on disk: pins, budgets, eviction. Safe for threads, and on
 * disk for any number of processes. */
#ifndef FUSION_STORE_H
#define FUSION_STORE_H

#include "base/env.h"
#include "fusion/record.h"

struct store; /* locks itself */

struct store_options {
    const char *dir;  /* NULL: RAM only. Created with mode 0700 */
    size_t ram_bytes; /* of unpinned records kept; 0: nothing stays when the last pin goes */
    size_t disk_bytes;
};

enum store_where { STORE_MISS, STORE_RAM, STORE_DISK };

/* A directory that cannot be used (read-only, no space, foreign) is a warning in the log and RAM
 * only, never an error; store_disk_message says why. */
vlqa_status store_open(struct env *env, const struct store_options *options, struct store **out);
void store_close(struct store *store); /* no record may be pinned; NULL is fine */

/* The record, pinned; NULL: not there. A damaged or foreign file is a miss: counted, removed. */
const struct record *store_get(struct store *store, struct key key, enum store_where *where);
/* Memory for a record that the caller fills and then puts or drops. */
vlqa_status store_new(struct env *env, struct store *store, struct key key,
                      const struct record_shape *shape, struct record **out);
void store_drop(struct store *store, struct record *record);
/* Publishes: takes the record over and returns it (or the equal one that was there first), pinned.
 * Failing to write it to disk is a warning in the log. */
const struct record *store_put(struct env *env, struct store *store, struct record *record);
void store_unpin(struct store *store, const struct record *record);

struct store_stats {
    uint64_t ram_records, ram_bytes, disk_records, disk_bytes;
    uint64_t hits_ram, hits_disk, misses, rejected, evicted_ram, evicted_disk, write_failures;
};
void store_stats(struct store *store, struct store_stats *out);
const char *store_disk_message(struct store *store); /* "" when the disk tier works */

/* A directory without an engine, for `vlqa cache`. */
struct store_item {
    struct key key;
    enum record_kind kind;
    int rows;
    struct grid grid;
    uint64_t bytes;
    int64_t mtime;    /* seconds */
    int intact;       /* checked only by store_scan with verify */
    const char *file; /* name in the directory; valid during the call */
};
typedef int (*store_item_fn)(void *user, const struct store_item *item); /* nonzero ends the scan */
vlqa_status store_scan(struct env *env, const char *dir, int verify, store_item_fn fn, void *user);
/* One record by key, or all with key NULL; *removed counts. */
vlqa_status store_remove(struct env *env, const char *dir, const struct key *key, int *removed);

#endif
