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

void cuda_settle(const struct gpu *)
{
}

static int warnings;

static void host_log(struct env *, enum vlqa_log_level, const char *, ...)
{
    warnings++;
}

static const struct cuda_host host = {host_alloc, free,    host_fail, host_copy, host_log,
                                      nullptr,    nullptr, nullptr,   nullptr};

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

/* ---- decode passes ---- */

enum { PIECE = 1000 }; /* bytes that a kernel of a pass moves */

/* n kernels, each of which reads what the one before has written, from piece `from` of at on: other
 * arguments for another one. Then a copy, as of logits: what is listed is launched. */
static void pass(struct lab *l, int from, int n, uint8_t *result)
{
    l->queue.decode = 1;
    for (int i = 0; i < n; i++)
        compute(l, l->at + (from + i + 1) * PIECE, l->at + (from + i) * PIECE, PIECE);
    cuda_download(&l->queue, result, l->at + (from + n) * PIECE, PIECE);
    l->queue.decode = 0;
}

static void bring_input(struct lab *l, int piece, unsigned seed)
{
    l->fill(seed);
    cuda_upload(&l->queue, l->at + piece * PIECE, l->in.data(), PIECE);
}

static bool is_input(struct lab *l, const uint8_t *result, unsigned seed)
{
    l->fill(seed);
    return memcmp(result, l->in.data(), PIECE) == 0;
}

struct turn_of_passes {
    int from, n;
    unsigned graphs; /* launched by then */
};

/* The second of equal lists makes a graph; another list drops it. No pass is waited for. */
static const struct turn_of_passes turns[] = {{0, 5, 0}, {0, 5, 1}, {0, 5, 2}, {3, 5, 2},
                                              {3, 5, 3}, {3, 4, 3}, {0, 5, 3}, {0, 5, 4}};

static void check_passes(bool single)
{
    const unsigned n = sizeof turns / sizeof *turns;
    struct lab l(20 * PIECE);
    std::vector<uint8_t> results(n * PIECE);
    uint64_t before = stub::m.graph_launches, made = stub::m.graphs_made;
    l.queue.single_launches = single;
    for (unsigned i = 0; i < n; i++) {
        bring_input(&l, turns[i].from, i);
        pass(&l, turns[i].from, turns[i].n, &results[i * PIECE]);
        CHECK_EQ(stub::m.graph_launches - before, single ? 0 : turns[i].graphs);
    }
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    for (unsigned i = 0; i < n; i++)
        CHECK(is_input(&l, &results[i * PIECE], i));
    CHECK_EQ(stub::m.graphs_made - made, single ? 0 : 3);
    CHECK_EQ(stub::m.graphs, 0);
}

TEST(a_pass_that_is_the_last_one_again_is_a_graph)
{
    check_passes(false);
}

TEST(kernels_of_passes_are_launched_one_by_one_where_that_is_wanted)
{
    check_passes(true);
}

/* Nobody has to say that a pass is over. */
TEST(what_is_listed_is_launched_before_anything_else)
{
    struct lab l(20 * PIECE);
    l.fill(7);
    bring_input(&l, 0, 7);
    l.queue.decode = 1;
    compute(&l, l.at + PIECE, l.at, PIECE);
    l.queue.decode = 0;
    compute(&l, l.at + 2 * PIECE, l.at + PIECE, PIECE); /* a kernel of another pass */
    l.queue.decode = 1;
    compute(&l, l.at + 3 * PIECE, l.at + 2 * PIECE, PIECE);
    cuda_clear(&l.queue, l.at + PIECE, 2 * PIECE);
    compute(&l, l.at + 4 * PIECE, l.at + 3 * PIECE, PIECE);
    l.queue.decode = 0;
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    cuda_download(&l.queue, l.out.data(), l.at + 4 * PIECE, PIECE);
    CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    CHECK(is_input(&l, l.out.data(), 7));
}

/* More than a list holds: in order, all the same. */
TEST(a_pass_may_be_longer_than_the_list)
{
    struct lab l(20 * PIECE);
    int n = LIST_BYTES / (int)sizeof(struct listed);
    for (unsigned round = 0; round < 3; round++) {
        bring_input(&l, 0, round);
        l.queue.decode = 1;
        for (int i = 0; i < n; i++) /* in a ring of seven */
            compute(&l, l.at + (i + 1) % 7 * PIECE, l.at + i % 7 * PIECE, 32);
        l.queue.decode = 0;
        cuda_download(&l.queue, l.out.data(), l.at + n % 7 * PIECE, 32);
        CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
        l.fill(round);
        CHECK(memcmp(l.out.data(), l.in.data(), 32) == 0);
    }
}

struct holed {
    uint8_t first; /* three bytes of nothing behind it */
    int n;
    uint8_t *to;
    uint8_t last;
};

__global__ void write_holed(struct holed a)
{
    for (int i = 0; i < a.n; i++)
        a.to[i] = (uint8_t)(a.first + a.last + i);
}

TEST(what_lies_between_members_makes_no_difference)
{
    struct lab l(PIECE);
    uint64_t before = stub::m.graph_launches;
    if (!CLEARS_PADDING) SKIP("this compiler does not clear it");
    for (int round = 0; round < 4; round++) {
        struct holed a;
        memset(&a, 0x11 * round, sizeof a);
        a.first = 1;
        a.n = PIECE;
        a.to = l.at;
        a.last = 2;
        l.queue.decode = 1;
        cuda_launch(&l.queue, "holed", write_holed, dim3(1), 1, a);
        l.queue.decode = 0;
        CHECK_EQ(cuda_sync(&l.queue), VLQA_OK);
    }
    CHECK_EQ(stub::m.graph_launches - before, 3);
}

/* Calls of three passes: create, five nodes, instantiate; launch, launch. One that makes a graph
 * fails: passes are launched without, and it is not tried again. One that launches it fails: that
 * is the error of the queue. */
TEST(each_call_about_a_graph_can_fail)
{
    uint8_t result[PIECE];
    for (int n = 0; n < 10; n++) {
        struct lab l(20 * PIECE);
        uint64_t before = stub::m.graph_launches;
        vlqa_status status = VLQA_OK;
        warnings = 0;
        stub::m.fail_graph = n;
        for (unsigned round = 0; round < 3; round++) {
            bring_input(&l, 0, round);
            pass(&l, 0, 5, result);
            status = cuda_sync(&l.queue);
            if (status == VLQA_OK) CHECK(is_input(&l, result, round));
        }
        CHECK_EQ(status, n == 7 || n == 8 ? VLQA_EDEVICE : VLQA_OK);
        CHECK_EQ(warnings, n < 7);
        CHECK_EQ(stub::m.graph_launches - before, n < 8 ? 0 : n - 7);
        CHECK_EQ(stub::m.graphs, 0);
        if (n == 7) CHECK_STR(cuda_of(&l.queue)->where, "a decode pass");
        stub::m.fail_graph = -1;
    }
}

TEST(a_launch_of_a_list_that_fails_has_its_name)
{
    struct lab l(20 * PIECE);
    stub::m.fail_work = 0;
    bring_input(&l, 0, 0);
    cudaStreamSynchronize(cuda_of(&l.queue)->stream); /* the upload fails */
    l.queue.decode = 1;
    compute(&l, l.at + PIECE, l.at, PIECE);
    l.queue.decode = 0;
    CHECK_EQ(cuda_sync(&l.queue), VLQA_EDEVICE);
    CHECK_STR(cuda_of(&l.queue)->where, "move");
    stub::m.fail_work = -1;
    stub::finish_all();
    stub::m.sticky = cudaSuccess;
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
