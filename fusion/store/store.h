/* store.h - records by key, in RAM and on disk: pins, budgets, eviction. Safe for threads, and on
 * disk for any number of processes. Reading a file is the caller's time, writing one is not. */
#ifndef FUSION_STORE_H
#define FUSION_STORE_H

#include "base/env.h"
#include "fusion/store/record.h"

struct store; /* locks itself */

struct store_options {
    const char *dir;    /* NULL: RAM only. Created with mode 0700; its parent must be there */
    size_t ram_bytes;   /* pinned, unpinned and mapped alike count; 0: nothing stays unpinned */
    size_t disk_bytes;  /* of all record files, never more; a larger record is not written */
    double patience_ms; /* for a disk that shows no sign of life; 0: half a minute */
};

enum store_where { STORE_MISS, STORE_RAM, STORE_DISK };

/* A directory that cannot be used (read-only, not ours and open to everybody, no directory) is a
 * warning in the log and RAM only, never an error; disk_problem of store_stats says why.
 * VLQA_EMEMORY. */
vlqa_status store_open(struct env *env, const struct store_options *options, struct store **out);
/* Waits until all records are written, or says in the log which were not: it does not wait for ever
 * for a disk that does not answer. No record may be pinned; NULL is fine. A child process that
 * inherited the store leaves it alone: the thread that writes is not in it. */
void store_close(struct env *env, struct store *store);

/* The record, pinned; NULL: not there. A damaged file is a miss: counted, removed; so is one whose
 * record has another shape (NULL: any will do). A file of another version or user is a miss and
 * stays. where may be NULL. A hit in RAM makes no heap call. */
const struct record *store_get(struct store *store, struct key key,
                               const struct record_shape *shape, enum store_where *where);
/* Where it seems to be, without reading it. */
enum store_where store_find(struct store *store, struct key key);
/* Memory for a record that the caller fills and then puts or drops. VLQA_EMEMORY. */
vlqa_status store_new(struct env *env, struct store *store, struct key key,
                      const struct record_shape *shape, struct record **out);
void store_drop(struct store *store, struct record *record);
/* Takes the record over and returns it (or the equal one that was there first), pinned. It is on
 * its way to disk then: another thread writes it, and until that is done it stays in RAM. Failing
 * to write is counted, and the first time a warning in the log of whoever calls next with an env.
 */
const struct record *store_put(struct env *env, struct store *store, struct record *record);
void store_unpin(struct store *store, const struct record *record);
/* For when nobody waits for an answer. store_settle returns when unwritten records fit into the RAM
 * budget, store_flush when there are none; VLQA_EIO: the disk does not answer, what it has not
 * begun with will not be written, and is counted. */
void store_settle(struct env *env, struct store *store);
vlqa_status store_flush(struct env *env, struct store *store);

/* disk_problem is "" when the disk tier works. Of disk: what the directory has now, whoever wrote
 * it. */
void store_stats(struct store *store, struct vlqa_cache_stats *out);

/* A directory without an engine, for `vlqa cache`. */
struct store_item {
    struct key key;
    enum record_kind kind; /* 0: the header is damaged or of another version; no rows then */
    int rows;
    struct grid grid;
    uint64_t bytes;
    int64_t mtime;       /* seconds; the last use, roughly */
    const char *problem; /* with its header, with verify with any byte: "has ...", "is a FIFO", ...;
                            NULL: none */
    const char *file;    /* name in the directory; valid during the call */
};
typedef int (*store_item_fn)(void *user, const struct store_item *item); /* nonzero ends the scan */
/* Whatever has the name of a record, least recently used first. VLQA_EIO: no directory, or one that
 * cannot be read. */
vlqa_status store_scan(struct env *env, const char *dir, int verify, store_item_fn fn, void *user);
/* One record by key, or all with key NULL, and then what crashed writers left behind, too; *removed
 * counts the records. Links and FIFOs of ours that have such a name go, too; what is not ours, and
 * directories, stay, and the log names them. VLQA_EIO also where one cannot be removed. */
vlqa_status store_remove(struct env *env, const char *dir, const struct key *key, int *removed);

#endif
