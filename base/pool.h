/* pool.h - fork-join threads. The split decides who computes, never how a sum is ordered. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/env.h"

#define POOL_MAX_THREADS 1024

/* Works on items [begin, end); worker < pool_threads() tells scratch areas apart. */
typedef void (*pool_fn)(void *arg, int begin, int end, int worker);

/* Those that this process may use; at most POOL_MAX_THREADS. */
int pool_cores(void);
/* threads counts the caller; 0: one per core this process may use. */
vlqa_status pool_create(struct env *env, int threads, struct pool **out);
void pool_free(struct pool *pool);         /* NULL is fine */
int pool_threads(const struct pool *pool); /* NULL: 1 */
/* Calls fn over 0..n-1 in runs that begin at a multiple of grain and, but for the last, are at
 * least that long; returns when all are done. One job at a time: a second caller waits. fn must not
 * call pool_for. NULL pool: runs on the caller. */
void pool_for(struct pool *pool, int n, int grain, pool_fn fn, void *arg);

#endif
