/* hash_leaves.h - one hash over many parts, which all threads hash at once. */
#ifndef BASE_HASH_LEAVES_H
#define BASE_HASH_LEAVES_H

#include "base/env.h"
#include "base/hash.h"

/* Feeds into leaf what part i consists of; any thread, any order. */
typedef void (*hash_leaf_fn)(void *arg, int i, struct hash *leaf);

/* Feeds n and the hashes of the parts, in their order: the number of threads changes nothing. Uses
 * env->pool. VLQA_EMEMORY. */
vlqa_status hash_leaves(struct env *env, struct hash *h, int n, hash_leaf_fn fn, void *arg);

#endif
