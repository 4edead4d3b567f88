/* test_hash_leaves.c - a hash over parts depends on each of them and on no thread. */
#include "base/hash_leaves.h"
#include "base/heap.h"
#include "base/pool.h"
#include "tests/check.h"

static void feed(void *arg, int i, struct hash *leaf)
{
    const uint64_t *value = arg;
    hash_u64(leaf, value[i]);
}

static struct key hash_of(struct env *env, uint64_t *value, int n)
{
    struct hash h;
    hash_begin(&h, "test");
    CHECK_EQ(hash_leaves(env, &h, n, feed, value), VLQA_OK);
    return hash_end(&h);
}

TEST(threads_change_nothing)
{
    struct env alone = {0}, many = {0};
    uint64_t value[1000];
    for (uint64_t i = 0; i < 1000; i++)
        value[i] = i * i;
    REQUIRE(pool_create(&many, 3, &many.pool) == VLQA_OK);
    for (int n = 0; n < 1000; n = 3 * n + 1)
        CHECK(key_equal(hash_of(&alone, value, n), hash_of(&many, value, n)));
    pool_free(many.pool);
}

TEST(every_part_and_its_place_count)
{
    struct env env = {0};
    uint64_t value[] = {1, 2, 3}, swapped[] = {2, 1, 3}, other[] = {1, 2, 4};
    struct key key = hash_of(&env, value, 3);
    CHECK(!key_equal(key, hash_of(&env, value, 2)));
    CHECK(!key_equal(key, hash_of(&env, swapped, 3)));
    CHECK(!key_equal(key, hash_of(&env, other, 3)));
}

TEST(no_memory_is_a_status)
{
    struct env env = {0};
    struct hash h;
    uint64_t value[3] = {0}, live = heap_live();
    hash_begin(&h, "test");
    heap_fail_after(0);
    CHECK_EQ(hash_leaves(&env, &h, 3, feed, value), VLQA_EMEMORY);
    heap_fail_after(-1);
    CHECK_HAS(env.message, "out of memory: hashes needs 96 bytes");
    CHECK_EQ(heap_live(), live);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
