/* test_device.c - which device is opened, what its memory is, and how it fails. */
#include "tests/kernels/lab.h"

/* As lab_open, without what it lays over a GPU. */
static int open_itself(struct lab *lab, struct lab_cpu cpu)
{
    vlqa_status status;
    *lab = (struct lab){0};
    status = cpu.open_gpu ? cpu.open_gpu(&lab->env, &lab->device)
                          : device_open(&lab->env, cpu.cpu, &lab->device);
    if (status == VLQA_OK) status = queue_open(lab->device, &lab->env, &lab->queue);
    CHECK_STR(lab->env.message, "");
    return status == VLQA_OK;
}

CPU_TEST(a_device_says_what_it_is)
{
    static const char *const name[] = {"cuda sm", "plain", "avx2", "avx512", "amx"};
    struct lab lab;
    REQUIRE(open_itself(&lab, cpu));
    if (cpu.open_gpu)
        CHECK(strncmp(device_name(lab.device), name[0], strlen(name[0])) == 0);
    else
        CHECK_STR(device_name(lab.device), name[cpu.cpu]);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
    lab_close(&lab);
}

CPU_TEST(memory_is_zeroed_aligned_and_copied)
{
    struct lab lab;
    uint8_t *block, back[1000];
    int sum = 0;
    REQUIRE(open_itself(&lab, cpu));
    block = device_alloc(lab.device, sizeof back);
    REQUIRE(block != NULL);
    CHECK_EQ((uintptr_t)block % 64, 0);
    queue_download(lab.queue, back, block, sizeof back);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
    for (size_t i = 0; i < sizeof back; i++)
        sum |= back[i];
    CHECK_EQ(sum, 0);
    queue_upload(lab.queue, block + 1, "abc", 3);
    queue_download(lab.queue, back, block + 1, 3);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
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
    lab_open(&lab, (struct lab_cpu){VLQA_CPU_AUTO, NULL, NULL}, 0);
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

/* Where there is a GPU both are that; else each says or does what it shall. */
TEST(a_gpu_that_is_missing_is_an_error_or_the_cpu)
{
    struct env env = {0};
    struct device *d = NULL;
    if (device_choose(&env, VLQA_DEVICE_CUDA, VLQA_CPU_PLAIN, 0, &d) == VLQA_OK) {
        device_close(d);
        SKIP("this machine has a GPU");
    }
    CHECK(d == NULL);
    CHECK(strncmp(env.message, "no CUDA: ", 9) == 0 || strncmp(env.message, "no GPU ", 7) == 0);
    CHECK_EQ(device_choose(&env, VLQA_DEVICE_AUTO, VLQA_CPU_PLAIN, 0, &d), VLQA_OK);
    CHECK_STR(device_name(d), "plain");
    CHECK_STR(env.message, "");
    device_close(d);
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
    lab_open(&lab, (struct lab_cpu){VLQA_CPU_PLAIN, NULL, NULL}, 0);
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
