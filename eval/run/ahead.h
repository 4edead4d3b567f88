/* ahead.h - things that are made one after the other, the next ones on a thread of their own while
 * the last is in use. */
#ifndef EVAL_AHEAD_H
#define EVAL_AHEAD_H

#include "base/env.h"

#define AHEAD_MAX 64

struct ahead_maker {
    void *user;
    size_t item_bytes; /* of an item, which begins zeroed each time */
    /* The next one: *bytes it holds, *found: 0 behind the last. Called by one thread at a time, not
     * again after a failure. env has no callbacks. */
    vlqa_status (*make)(void *user, struct env *env, void *item, size_t *bytes, int *found);
    /* Lets go what an item holds, which may be little: also after a failure, and of zeroed ones. */
    void (*clear)(void *user, void *item);
};

struct ahead;

/* Up to `depth` items are there beside the one in use, and no more is made while those hold
 * max_bytes or more: together they hold less than that and one item. depth 0: no thread, an item is
 * made when it is asked for. Also where no thread can be had. */
vlqa_status ahead_open(struct env *env, const struct ahead_maker *maker, int depth,
                       size_t max_bytes, struct ahead **out);
/* The next item, in use until the next call or the end; NULL behind the last. What making it failed
 * with, in its turn and ever after. */
vlqa_status ahead_next(struct env *env, struct ahead *ahead, void **item);
/* Waits for an item that is being made; NULL is fine. */
void ahead_close(struct ahead *ahead);

#endif
