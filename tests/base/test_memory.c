/* test_memory.c - heap counters, arenas, checked sizes, hashes. */
#include "base/arena.h"
#include "base/hash.h"
#include "base/heap.h"
#include "tests/check.h"

static int all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return 0;
    return 1;
}

TEST(blocks_are_aligned_and_counted)
{
    uint64_t live = heap_live(), calls = heap_calls();
    void *a = heap_alloc(1), *b = heap_alloc(0);
    CHECK(a && b && a != b);
    CHECK_EQ((uintptr_t)a % 64, 0);
    CHECK_EQ((uintptr_t)b % 64, 0);
    CHECK_EQ(heap_live() - live, 2);
    CHECK_EQ(heap_calls() - calls, 2);
    heap_free(a);
    heap_free(b);
    heap_free(NULL);
    CHECK_EQ(heap_live(), live);
}

TEST(zeroed_blocks_are_zero_where_memory_was_used_before)
{
    static const size_t sizes[] = {1, 100, 4096, 5000, (1 << 20) - 1, (1 << 20) + 1, 5 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *block = heap_alloc(sizes[i]);
        REQUIRE(block);
        memset(block, 0xaa, sizes[i]);
        heap_free(block);
        block = heap_alloc_zero(sizes[i]);
        REQUIRE(block);
        CHECK_EQ((uintptr_t)block % 64, 0);
        CHECK(all_zero(block, sizes[i]));
        memset(block, 0xaa, sizes[i]);
        heap_free(block);
    }
}

TEST(resize_keeps_what_fits)
{
    uint64_t live = heap_live();
    char *block = heap_resize(NULL, 0, 4);
    REQUIRE(block);
    memcpy(block, "abc", 4);
    block = heap_resize(block, 4, 1000);
    REQUIRE(block);
    CHECK_STR(block, "abc");
    block = heap_resize(block, 1000, 2);
    REQUIRE(block);
    CHECK(memcmp(block, "ab", 2) == 0);
    heap_free(block);
    CHECK_EQ(heap_live(), live);
}

TEST(allocations_fail_on_demand)
{
    uint64_t live = heap_live();
    char *kept, *block;
    heap_fail_after(1);
    kept = heap_alloc(8);
    block = heap_alloc(8);
    CHECK(kept && !block);
    CHECK(!heap_alloc_zero(8) && !heap_malloc_hook(8));
    REQUIRE(kept);
    kept[0] = 'x';
    CHECK(!heap_resize(kept, 8, 16)); /* the old block stays */
    CHECK_EQ(kept[0], 'x');
    heap_fail_after(-1);
    heap_free(kept);
    CHECK_EQ(heap_live(), live);
    CHECK(!heap_alloc(SIZE_MAX - 4096));
    CHECK_EQ(heap_live(), live);
}

static size_t carve(struct arena *a, uint8_t **first, uint8_t **second)
{
    *first = arena_push(a, 100);
    *second = arena_push_zero(a, 1);
    return a->used;
}

TEST(measuring_and_carving_agree)
{
    struct arena dry = {0}, real;
    uint8_t *first, *second;
    size_t need = carve(&dry, &first, &second);
    void *memory;
    CHECK(!first && !second);
    CHECK(arena_fits(&dry, (size_t)1 << 40));
    CHECK(!arena_fits(&dry, SIZE_MAX));
    memory = heap_alloc(need);
    REQUIRE(memory);
    real = arena_over(memory, need);
    CHECK_EQ(carve(&real, &first, &second), need);
    CHECK_EQ(real.peak, need);
    CHECK(first && second && second >= first + 100);
    CHECK_EQ((uintptr_t)first % ARENA_ALIGN, 0);
    CHECK_EQ((uintptr_t)second % ARENA_ALIGN, 0);
    CHECK_EQ(*second, 0);
    CHECK(!arena_fits(&real, 1));
    heap_free(memory);
}

TEST(rewound_memory_is_given_again)
{
    void *memory = heap_alloc(4096);
    struct arena a;
    uint8_t *first;
    size_t mark;
    REQUIRE(memory);
    a = arena_over(memory, 4096);
    CHECK(arena_push(&a, 10));
    mark = arena_mark(&a);
    first = arena_push(&a, 500);
    CHECK(arena_fits(&a, arena_left(&a)));
    arena_rewind(&a, mark);
    CHECK(arena_push(&a, 20) == first);
    CHECK(a.peak > a.used);
    CHECK(!arena_fits(&a, 4096));
    CHECK(!arena_fits(&a, SIZE_MAX - 10));
    CHECK(arena_push(&a, arena_left(&a)) != NULL);
    heap_free(memory);
}

TEST(sizes_that_overflow_are_noticed)
{
    size_t n = 0;
    CHECK(size_mul(&n, 1 << 16, 1 << 16) && n == (size_t)1 << 32);
    CHECK(!size_mul(&n, (size_t)1 << 33, (size_t)1 << 31));
    CHECK(size_add(&n, SIZE_MAX - 1, 1) && n == SIZE_MAX);
    CHECK(!size_add(&n, SIZE_MAX, 1));
}

static struct key key_with(const char *domain, const char *text, uint64_t number)
{
    struct hash h;
    hash_begin(&h, domain);
    hash_text(&h, text);
    hash_u64(&h, number);
    return hash_end(&h);
}

TEST(keys_are_keyed_blake2b)
{
    char hex[65]; /* hashlib.blake2b of the same bytes, digest_size 32, key "model" and zeros */
    key_hex(key_with("model", "abc", 7), hex);
    CHECK_STR(hex, "474f35b739a20c40a9e384d5a7067919031edfe639123c03d938b2f0c267138e");
}

TEST(keys_differ_by_domain_text_and_number)
{
    struct key key = key_with("model", "abc", 7);
    CHECK(key_equal(key, key_with("model", "abc", 7)));
    CHECK(!key_equal(key, key_with("pixels", "abc", 7)));
    CHECK(!key_equal(key, key_with("model", "abd", 7)));
    CHECK(!key_equal(key, key_with("model", "abc", 8)));
}

TEST(texts_that_follow_each_other_do_not_run_together)
{
    struct hash a, b;
    hash_begin(&a, "test");
    hash_begin(&b, "test");
    hash_text(&a, "ab");
    hash_text(&a, "c");
    hash_text(&b, "a");
    hash_text(&b, "bc");
    CHECK(!key_equal(hash_end(&a), hash_end(&b)));
}

TEST(checksum_is_xxh3)
{
    CHECK(checksum64("", 0) == 0x2d06800538d394c2u);
    CHECK(checksum64("abc", 3) != checksum64("abd", 3));
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
