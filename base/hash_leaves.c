/* hash_leaves.c - parts are hashed by themselves, then their hashes. */
#include "base/hash_leaves.h"

#include "base/heap.h"
#include "base/pool.h"

struct leaves {
    hash_leaf_fn fn;
    void *arg;
    struct key *key; /* [n] */
};

static void hash_some(void *arg, int begin, int end, int worker)
{
    const struct leaves *leaves = arg;
    (void)worker;
    for (int i = begin; i < end; i++) {
        struct hash h;
        hash_begin(&h, "vlqa leaf");
        leaves->fn(leaves->arg, i, &h);
        leaves->key[i] = hash_end(&h);
    }
}

vlqa_status hash_leaves(struct env *env, struct hash *h, int n, hash_leaf_fn fn, void *arg)
{
    struct leaves leaves = {fn, arg, heap_alloc((size_t)n * sizeof *leaves.key)};
    if (!leaves.key) return env_no_memory(env, "hashes", (size_t)n * sizeof *leaves.key);
    pool_for(env->pool, n, 1, hash_some, &leaves);
    hash_u64(h, (uint64_t)n);
    hash_bytes(h, leaves.key, (size_t)n * sizeof *leaves.key);
    heap_free(leaves.key);
    return VLQA_OK;
}
