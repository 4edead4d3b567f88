/* store_writer.h - a queue of records and the thread that writes them into a directory, so that
 * nobody who waits for an answer waits for a disk. */
#ifndef FUSION_STORE_WRITER_H
#define FUSION_STORE_WRITER_H

#include "fusion/store/store_dir.h"

struct store_writer; /* locks itself */

struct store_write { /* the place of a record in the queue; part of whatever holds the record */
    const struct record *record;
    struct store_write *next;
};

struct store_writer_options {
    const struct store_dir *dir; /* outlives the writer */
    uint64_t quota;              /* bytes of the directory */
    size_t most_bytes;           /* of unwritten records; store_writer_settle keeps it */
    double patience_ms;          /* for a disk that shows no sign of life */
    void *owner;                 /* handed to the two functions */
    /* The record is written, or never will be: it may be freed. On any thread, no lock held. */
    void (*release)(void *owner, const struct record *record);
    /* The thread came back after store_writer_close had given up, freed the writer and ends. */
    void (*orphaned)(void *owner);
};

/* The thread starts with the first record. VLQA_EMEMORY. */
vlqa_status store_writer_create(struct env *env, const struct store_writer_options *options,
                                struct store_writer **out);
/* Puts a record into the queue: no wait, no system call on the directory, no heap call. The record
 * has to live until release. 0: no thread can be started, which counts as a failure. */
int store_writer_add(struct store_writer *writer, struct store_write *write);
/* Waits while more than most_bytes, or too many records, are unwritten. Without a sign of life for
 * patience_ms it gives up what is in the queue, and then does so at once until there is one. */
void store_writer_settle(struct store_writer *writer);
/* Waits until everything is written that is in the queue now. VLQA_EIO: the disk does not answer;
 * what was in the queue is given up. */
vlqa_status store_writer_flush(struct env *env, struct store_writer *writer);
/* Flushes, ends the thread and frees the writer; says in the log for what it waits and what was
 * not written. 0: the disk does not answer, and the writer is not freed; orphaned will be called
 * if the thread ever comes back. */
int store_writer_close(struct env *env, struct store_writer *writer);

struct store_writer_stats {
    uint64_t failures, evicted; /* records that are not on disk; files removed to make room */
    uint64_t waiting;           /* records that are not yet written */
};
void store_writer_stats(struct store_writer *writer, struct store_writer_stats *out);
/* The first failure as a warning in the log, once. */
void store_writer_tell(struct env *env, struct store_writer *writer);

#endif
