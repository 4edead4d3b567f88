/* test_queue.cu - copies of a queue beside its compute stream: the order that the program sees, and
 * what does not wait. */
#include "kernels/cuda/cuda_queue.cu"
#include "tests/check.h"

static void host_copy(struct env *, void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}

static void *host_alloc(size_t bytes)
{
    return calloc(1, bytes);
}

static vlqa_status host_fail(struct env *, vlqa_status status, const char *, ...)
{
    return status;
}

vlqa_status cuda_fail(struct env *, const struct gpu *, const char *, cudaError_t)
{
    return VLQA_EDEVICE;
}

static const struct cuda_host host = {host_alloc, free, host_fail, host_copy, nullptr};

struct lab {
    struct gpu gpu;
    struct queue queue;
    uint8_t *at, *other; /* of the device */
    std::vector<uint8_t> in, out, back;
    explicit lab(size_t bytes) : in(bytes), out(bytes), back(bytes)
    {
        gpu = {};
        queue = {};
        gpu.host = &host;
        queue.device = &gpu.device;
        emu::s.known = true;
        emu::s.order = 0; /* the laziest: what no event orders is seen out of order */
        if (cuda_queue_open(&queue) != VLQA_OK || cudaMalloc((void **)&at, bytes) != cudaSuccess ||
            cudaMalloc((void **)&other, bytes) != cudaSuccess)
            abort();
    }
    ~lab()
    {
        cuda_queue_close(&queue);
        cudaFree(at);
        cudaFree(other);
    }
    void fill(unsigned seed)
    {
        for (size_t i = 0; i < in.size(); i++)
            in[i] = (uint8_t)((uint32_t)(i + seed) * 2654435761u >> 24);
    }
};

static int runs; /* of kernels */

__global__ void move_bytes(uint8_t *to, const uint8_t *from, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i == 0) runs++;
    for (; i < n; i += (int)(gridDim.x * blockDim.x))
        to[i] = from[i];
}

static void compute(struct lab *l, uint8_t *to, const uint8_t *from, size_t bytes)
{
    cuda_launch(&l->queue, "move", move_bytes, dim3(1), 32, to, from, (int)bytes);
}

/* Many rounds, so that slots are used again: what is uploaded is computed with, and comes back,
 * while sources change and device memory is overwritten. */
static void check_round_trips(size_t bytes)
{
    struct lab l(bytes);
    std::vector<uint8_t> first[6], second[6];
    for (unsigned round = 0; round < 6; round++) {
        l.fill(round);
        first[round].resize(bytes);
        second[round].resize(bytes);
        cuda_upload(&l.queue, l.at, l.in.data(), bytes);
        std::fill(l.in.begin(), l.in.end(), 0xee);
        cuda_download(&l.queue, first[round].data(), l.at, bytes);
        compute(&l, l.other, l.at, bytes);
        cuda_clear(&l.queue, l.at, bytes);
        cuda_download(&l.queue, second[round].data(), l.other, bytes);
        cuda_clear(&l.queue, l.other, bytes);
        if (round % 3 == 2) CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    }
    for (unsigned round = 0; round < 6; round++) {
        l.fill(round);
        CHECK(first[round] == l.in);
        CHECK(second[round] == l.in);
    }
}

TEST(copies_happen_in_the_order_of_the_program)
{
    check_round_trips(1);
    check_round_trips(SMALL_BYTES);
    check_round_trips(SMALL_BYTES + 1);
    check_round_trips(2 * (size_t)SLOT_BYTES + 77);
}

/* Three rings full before any of it is looked at. */
TEST(slots_are_used_again_in_the_order_of_the_program)
{
    struct lab l((size_t)(3 * RING_SLOTS + 1) * SLOT_BYTES);
    l.fill(5);
    cuda_upload(&l.queue, l.at, l.in.data(), l.in.size());
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    cuda_download(&l.queue, l.out.data(), l.at, l.out.size());
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    CHECK(l.out == l.in);
}

TEST(the_last_of_downloads_to_one_place_stays)
{
    struct lab l(3 * SLOT_BYTES);
    l.fill(1);
    cuda_upload(&l.queue, l.at, l.in.data(), l.in.size());
    for (size_t i = 0; i < 3 * RING_SLOTS; i++)
        cuda_download(&l.queue, l.out.data(), l.at + i, 1000);
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    CHECK(memcmp(l.out.data(), l.in.data() + 3 * RING_SLOTS - 1, 1000) == 0);
}

/* Work of before has not run when two rings full have been uploaded, all but the last round of
 * which has crossed. */
TEST(an_upload_does_not_wait_for_work)
{
    size_t bytes = (size_t)2 * RING_SLOTS * SLOT_BYTES;
    struct lab l(bytes);
    runs = 0;
    compute(&l, l.other, l.at, 1000);
    cuda_upload(&l.queue, l.at, l.in.data(), bytes);
    CHECK_EQ(runs, 0);
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    CHECK_EQ(runs, 1);
}

/* Nor does a download, until its slot is needed. Work behind it does not wait for it: it has run
 * when nothing has reached the program. */
TEST(work_does_not_wait_for_a_download)
{
    struct lab l((size_t)RING_SLOTS * SLOT_BYTES);
    l.fill(3);
    cuda_upload(&l.queue, l.at, l.in.data(), l.in.size());
    runs = 0;
    compute(&l, l.other, l.at, 1000);
    cuda_download(&l.queue, l.out.data(), l.at, l.out.size());
    CHECK_EQ(runs, 0);
    compute(&l, l.other, l.at, 1000);
    cudaStreamSynchronize(cuda_of(&l.queue)->stream);
    CHECK_EQ(runs, 2);
    CHECK(l.out == l.back);
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    CHECK(l.out == l.in);
}

TEST(what_has_failed_writes_nothing)
{
    struct lab l(SLOT_BYTES);
    cuda_download(&l.queue, l.out.data(), l.at, l.out.size());
    stub::m.fail_work = 0;
    CHECK_EQ(cuda_sync(&l.queue), VLQA_EDEVICE);
    CHECK(l.out == l.back);
    cuda_upload(&l.queue, l.at, l.in.data(), l.in.size());
    CHECK_EQ(cuda_sync(&l.queue), VLQA_EDEVICE);
    stub::m.fail_work = -1;
    stub::finish_all();
    stub::m.sticky = cudaSuccess;
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
