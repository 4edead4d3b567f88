/* comm.h - what ranks give one another: between host memories, and in the order of a queue.
 *
 * Ranks (include/vlqa_ranks.h) are processes that compute together. Each makes the calls below in
 * the same order and with the same sizes, and a call ends on a rank when that has what others give
 * it. Nothing is added on the way, so no result depends on who is faster.
 *
 * A call that cannot be done marks the ranks as failed, all of them, and later ones return at once:
 * as with operations, the error surfaces at queue_sync, and at comm_agree. comm_begin clears it.
 * Ranks that are NULL are one process alone. */
#ifndef KERNELS_COMM_H
#define KERNELS_COMM_H

#include "include/vlqa_ranks.h"
#include "kernels/device.h"

#define COMM_PIECE ((size_t)256 << 10) /* bytes of a rank that go at once */
#define COMM_KEY 32                    /* bytes */

enum comm_kind {               /* what bytes are of */
                 COMM_CONTROL, /* agreement */
                 COMM_KV,      /* K and V of a pass, layer by layer */
                 COMM_CHUNKS,  /* chunks as they are kept */
                 COMM_HIDDEN,  /* the residual stream, and what products read */
                 COMM_SCORES,  /* attention to slots */
                 COMM_VISION,  /* K and V in the tower, and what it gives */
                 COMM_KINDS
};

struct comm_count { /* bytes of a rank since it joined */
    uint64_t given; /* once, however many ranks took them */
    uint64_t taken;
    double ms; /* in calls of the host: of enqueued ones, until they were */
};

struct comm_wait {
    double waited, mark; /* ms */
};

struct comm_ops { /* a transport; what returns an int returns zero, or has failed (comm_lost) */
    const char *name;
    void (*close)(struct vlqa_ranks *r);
    int (*gather)(struct vlqa_ranks *r, void *block, const size_t *at); /* as comm_gather_host */
    int (*begin)(struct vlqa_ranks *r); /* ranks meet, and those that have failed are as new */
    void (*tell)(struct vlqa_ranks *r); /* the others: r->status and its message */
    /* Without waiting: nonzero, another one has failed (comm_failed). NULL: nobody can know. */
    int (*look)(struct vlqa_ranks *r);
    int (*join)(struct vlqa_ranks *r, int rank);                   /* NULL: they have */
    void (*lost)(struct vlqa_ranks *r, int rank, const char *why); /* NULL: nobody can know */
    void (*beat)(struct vlqa_ranks *r);                            /* NULL: nobody would hear it */
};

struct vlqa_ranks {
    const struct comm_ops *op;
    int rank, n, on_host;
    int divides_weights; /* vlqa_ranks_divide_weights */
    int64_t timeout_ms;
    void *impl;
    struct env env;     /* with the message of status */
    vlqa_status status; /* VLQA_OK: has not failed */
    int through_host;   /* nonzero: device memory is given by way of the host's, for good */
    struct comm_count count[COMM_KINDS];
    void *room; /* [n, COMM_PIECE] bytes of the host, where the device has memory of its own */
};

/* ---- statuses ---- */

/* A call of the library begins, on all ranks: what failed before is over. `what` names it, and key
 * is over all that decides what will be done. VLQA_ESTATE: the ranks do not do the same;
 * VLQA_EDEVICE. */
vlqa_status comm_begin(struct vlqa_ranks *r, struct env *env, const char *what,
                       const uint8_t key[COMM_KEY]);
/* In the middle of a call: the same about a part of it. */
vlqa_status comm_same(struct vlqa_ranks *r, struct env *env, const char *what,
                      const uint8_t key[COMM_KEY]);
/* `mine`, whose message is in env; or that of the first rank that has one, "rank 2: MESSAGE". */
vlqa_status comm_agree(struct vlqa_ranks *r, struct env *env, vlqa_status mine);
/* The call ends with a status that this rank alone may have: others do not wait for it then. */
vlqa_status comm_end(struct vlqa_ranks *r, struct env *env, vlqa_status mine);
/* VLQA_OK, or why they have failed. */
vlqa_status comm_status(const struct vlqa_ranks *r, struct env *env);
/* What rank 0 says; where ranks have failed, `mine`. */
int comm_choose(struct vlqa_ranks *r, int mine);
/* env_progress, as rank 0 says it: between things that all ranks do. */
vlqa_status comm_progress(struct vlqa_ranks *r, struct env *env, const char *phase, int64_t done,
                          int64_t total);
/* Whoever waits for this rank begins to count anew: between parts of work of its own. */
void comm_beat(struct vlqa_ranks *r);
/* The first rank that has something, on all ranks, and in *n how many have it; -1: none. */
int comm_first(struct vlqa_ranks *r, int has, int *n);
/* For what waits for other ranks in a way of its own, and asks often: nonzero, they have failed;
 * also when that has waited for longer than it may. *w is zeros at first. */
int comm_look(struct vlqa_ranks *r, struct comm_wait *w);
/* For transports and devices: the ranks have failed; the first reason stays. */
int comm_failed(struct vlqa_ranks *r, vlqa_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- bytes ---- */

/* A block of one part for each rank, part r at bytes [at[r], at[r + 1]), and at[0] is 0. Each rank
 * has its part of it, and then all have all. Host memory; it is done when the call returns. block
 * NULL: this rank's part is empty, and it wants no other. */
void comm_gather_host(struct vlqa_ranks *r, enum comm_kind kind, void *block, const size_t *at);
/* The same over device memory, enqueued: between queues of ranks that work in the same order. By
 * the device itself where that was connected, else through memory of the host. */
void comm_gather(struct queue *q, enum comm_kind kind, void *block, const size_t *at);
/* `bytes` of rank `root` to all. */
void comm_broadcast(struct queue *q, enum comm_kind kind, int root, void *block, size_t bytes);
/* Behind comm_end: nothing of the queue waits for other ranks any more. Messages stay. */
void comm_settle(struct queue *q);
/* Of queue.ranks; 1 and 0: alone. */
int comm_n(const struct queue *q);
int comm_rank(const struct queue *q);

/* ---- parts ---- */

struct comm_part { /* of things in a row, columns or patches, that ranks deal out: whole units, the
                      first ones to rank 0 */
    int all, unit; /* the last unit may be shorter */
    int ranks;     /* 1: all are this one's, and nothing is exchanged */
    int begin, n;  /* this rank's; n 0: there are fewer units than ranks */
};

struct comm_part comm_part_of(int all, int unit, int ranks, int rank);

/* ---- opening ---- */

/* VLQA_EUSAGE: this process has joined none of them. Before the first comm_begin. */
vlqa_status comm_check(const struct vlqa_ranks *r, struct env *env);
/* For engines: what copies to and from the memory of a device need. VLQA_EMEMORY. */
vlqa_status comm_open(struct vlqa_ranks *r, struct env *env, const struct device *d);
/* Behind a comm_begin, on all ranks: their devices, which are of one kind, give one another memory
 * by themselves from now on if all of them can; if not, the log says why. Statuses are those of
 * ranks that have failed. */
vlqa_status comm_connect(struct vlqa_ranks *r, struct env *env, struct device *d);
/* For transports. *out is the caller's to close, also on failure. */
vlqa_status comm_new(const struct comm_ops *op, int n, int64_t timeout_ms, struct vlqa_ranks **out);

#endif
