/* test_bpe.c - merging by scan and by queue. */
#include "base/heap.h"
#include "tests/check.h"
#include "text/bpe.h"

static uint32_t random_below(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

/* Random merges over few bytes: many ties, overlaps and chains. */
TEST(scan_and_queue_give_the_same_ids)
{
    uint64_t state = 7;
    void *memory = heap_alloc(bpe_scratch(BPE_SHORT));
    struct arena scratch = arena_over(memory, bpe_scratch(BPE_SHORT));
    long merged = 0;
    for (int round = 0; round < 300; round++) {
        struct bpe b;
        int32_t next = 3;
        REQUIRE(bpe_open(&b, 40));
        for (int byte = 0; byte < 3; byte++)
            b.byte_id['a' + byte] = byte;
        for (int i = 0; i < 40; i++) {
            int32_t left = (int32_t)random_below(&state, (uint32_t)next);
            int32_t right = (int32_t)random_below(&state, (uint32_t)next);
            next += bpe_put(&b, left, right, next);
        }
        for (int trial = 0; trial < 60; trial++) {
            uint8_t text[BPE_SHORT];
            int32_t scan[BPE_SHORT], queue[BPE_SHORT];
            int n = 1 + (int)random_below(&state, BPE_SHORT), n_scan, n_queue;
            for (int i = 0; i < n; i++)
                text[i] = (uint8_t)('a' + random_below(&state, 3));
            n_scan = bpe_merge_scan(&b, text, n, scan);
            n_queue = bpe_merge_queue(&b, text, n, &scratch, queue);
            CHECK_EQ(n_queue, n_scan);
            CHECK(memcmp(queue, scan, (size_t)n_scan * sizeof *scan) == 0);
            merged += n - n_scan;
        }
        bpe_close(&b);
    }
    CHECK(merged > 100000);
    arena_rewind(&scratch, 0);
    heap_free(memory);
}

TEST(a_pair_is_put_once_and_equal_ranks_merge_from_the_left)
{
    struct bpe b;
    int32_t id[4];
    REQUIRE(bpe_open(&b, 1));
    b.byte_id['a'] = 0;
    CHECK_EQ(bpe_put(&b, 0, 0, 1), 1);
    CHECK_EQ(bpe_put(&b, 0, 0, 2), 0);
    CHECK_EQ(bpe_merge_scan(&b, (const uint8_t *)"aaa", 3, id), 2);
    CHECK_EQ(id[0], 1);
    CHECK_EQ(id[1], 0);
    bpe_close(&b);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
