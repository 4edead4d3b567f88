/* test_device.c - which device is opened, what its memory is, and how it fails. */
#include "tests/kernels/lab.h"

CPU_TEST(a_device_says_what_it_is)
{
    static const char *const name[] = {"", "plain", "avx2", "avx512", "amx"};
    struct lab lab;
    lab_open(&lab, cpu, 0);
    CHECK_STR(device_name(lab.device), name[cpu.cpu]);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
    lab_close(&lab);
}

CPU_TEST(memory_is_zeroed_aligned_and_copied)
{
    struct lab lab;
    uint8_t *block, back[3] = {0};
    int sum = 0;
    lab_open(&lab, cpu, 0);
    block = device_alloc(lab.device, 100000);
    REQUIRE(block != NULL);
    CHECK_EQ((uintptr_t)block % 64, 0);
    for (int i = 0; i < 100000; i++)
        sum |= block[i];
    CHECK_EQ(sum, 0);
    queue_upload(lab.queue, block + 1, "abc", 3);
    queue_download(lab.queue, back, block + 1, 3);
    CHECK(memcmp(back, "abc", 3) == 0);
    device_release(lab.device, block);
    lab_close(&lab);
}

TEST(auto_takes_the_best_there_is)
{
    struct lab lab;
    enum vlqa_cpu best = VLQA_CPU_AMX;
    struct device *named;
    while (!device_has_cpu(best))
        best--;
    lab_open(&lab, (struct lab_cpu){VLQA_CPU_AUTO, NULL}, 0);
    REQUIRE(device_open(&lab.env, best, &named) == VLQA_OK);
    CHECK_STR(device_name(lab.device), device_name(named));
    device_close(named);
    lab_close(&lab);
}

TEST(a_named_set_that_is_missing_is_refused)
{
    struct env env = {0};
    struct device *d = NULL;
    if (device_has_cpu(VLQA_CPU_AMX)) SKIP("this CPU has everything");
    CHECK_EQ(device_open(&env, VLQA_CPU_AMX, &d), VLQA_EDEVICE);
    CHECK_STR(env.message, "this CPU has no AMX-BF16");
    CHECK(d == NULL);
}

TEST(a_set_that_does_not_exist_is_refused)
{
    struct env env = {0};
    struct device *d = NULL;
    CHECK_EQ(device_open(&env, (enum vlqa_cpu)9, &d), VLQA_EUSAGE);
    CHECK_HAS(env.message, "cpu is 9");
}

TEST(no_memory_is_reported_and_nothing_leaks)
{
    uint64_t live = heap_live();
    for (int n = 0; n < 4; n++) {
        struct env env = {0};
        struct device *d = NULL;
        struct queue *q = NULL;
        vlqa_status status;
        heap_fail_after(n);
        status = device_open(&env, VLQA_CPU_PLAIN, &d);
        if (status == VLQA_OK) status = queue_open(d, &env, &q);
        heap_fail_after(-1);
        CHECK_EQ(status, VLQA_EMEMORY);
        CHECK_HAS(env.message, "out of memory");
        CHECK(q == NULL && (d == NULL) == (n == 0));
        device_close(d);
    }
    CHECK_EQ(heap_live(), live);
}

TEST(a_workspace_measures_what_it_takes)
{
    struct lab lab;
    struct workspace dry = {0};
    struct device_room room;
    struct header header;
    struct span *span;
    int32_t *fill;
    lab_open(&lab, (struct lab_cpu){VLQA_CPU_PLAIN, NULL}, 0);
    (void)header_push(lab.device, &dry, 3 * sizeof *fill + 2 * sizeof *span);
    (void)workspace_mat(&dry, DT_F32, 5, 7);
    REQUIRE(device_room_open(&lab.env, lab.device, "test", &dry, &room) == VLQA_OK);
    header = header_push(lab.device, &room.ws, 3 * sizeof *fill + 2 * sizeof *span);
    CHECK(workspace_mat(&room.ws, DT_F32, 5, 7).data != NULL);
    CHECK_EQ(header_ints(&header, 3, &fill).n, 3);
    CHECK_EQ(header_spans(&header, 2, &span).n, 2);
    CHECK((char *)span == (char *)(fill + 3));
    CHECK_EQ(room.ws.device.used, dry.device.peak);
    CHECK_EQ(room.ws.host.used, dry.host.peak);
    workspace_rewind(&room.ws, (struct workspace_used){0, 0});
    device_room_close(&room);
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
