/* test_backend.c - which backend is made, what its memory is, and how it fails. */
#include "tests/kernels/lab.h"

CPU_TEST(a_backend_says_what_it_is)
{
    static const char *const name[] = {"", "plain", "avx2", "avx512", "amx"};
    struct lab lab;
    lab_open(&lab, cpu, 0);
    CHECK_STR(backend_name(lab.be), name[cpu.cpu]);
    CHECK_EQ(lab.be->op->sync(lab.be), VLQA_OK);
    lab_close(&lab);
}

CPU_TEST(memory_is_zeroed_aligned_and_copied)
{
    struct lab lab;
    uint8_t *block, back[3] = {0};
    int sum = 0;
    lab_open(&lab, cpu, 0);
    block = lab.be->op->alloc(lab.be, 100000);
    REQUIRE(block != NULL);
    CHECK_EQ((uintptr_t)block % 64, 0);
    for (int i = 0; i < 100000; i++)
        sum |= block[i];
    CHECK_EQ(sum, 0);
    lab.be->op->upload(lab.be, block + 1, "abc", 3);
    lab.be->op->download(lab.be, back, block + 1, 3);
    CHECK(memcmp(back, "abc", 3) == 0);
    lab.be->op->release(lab.be, block);
    lab_close(&lab);
}

TEST(auto_takes_the_best_there_is)
{
    struct lab lab;
    enum vlqa_cpu best = VLQA_CPU_AMX;
    struct backend *named;
    while (!backend_cpu_has(best))
        best--;
    lab_open(&lab, (struct lab_cpu){VLQA_CPU_AUTO, NULL}, 0);
    REQUIRE(backend_create(&lab.env, best, &named) == VLQA_OK);
    CHECK_STR(backend_name(lab.be), backend_name(named));
    backend_free(named);
    lab_close(&lab);
}

TEST(a_named_set_that_is_missing_is_refused)
{
    struct env env = {0};
    struct backend *be = NULL;
    if (backend_cpu_has(VLQA_CPU_AMX)) SKIP("this CPU has everything");
    CHECK_EQ(backend_create(&env, VLQA_CPU_AMX, &be), VLQA_EDEVICE);
    CHECK_STR(env.message, "this CPU has no AMX-BF16");
    CHECK(be == NULL);
}

TEST(a_set_that_does_not_exist_is_refused)
{
    struct env env = {0};
    struct backend *be = NULL;
    CHECK_EQ(backend_create(&env, (enum vlqa_cpu)9, &be), VLQA_EUSAGE);
    CHECK_HAS(env.message, "cpu is 9");
}

TEST(no_memory_is_reported_and_nothing_leaks)
{
    uint64_t live = heap_live();
    for (int n = 0; n < 3; n++) {
        struct env env = {0};
        struct backend *be = NULL;
        heap_fail_after(n);
        CHECK_EQ(backend_create(&env, VLQA_CPU_PLAIN, &be), VLQA_EMEMORY);
        heap_fail_after(-1);
        CHECK_HAS(env.message, "out of memory");
        CHECK(be == NULL);
    }
    CHECK_EQ(heap_live(), live);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
