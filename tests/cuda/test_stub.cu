/* test_stub.cu - the flow around kernels on the fake runtime: what is right passes, and each
 * mistake in the order of work or in the use of memory is seen. */
#include "kernels/cuda/device.cuh"
#include "tests/check.h"
#include "tests/cuda/in_child.h"

__global__ void scale(float *y, const float *x, const float *by, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) y[i] = x[i] * *by;
}

enum { N = 1000 };

/* Pinned staging in, two streams, an event, a pinned result out: as for chunks and decoding. */
struct flow {
    cudaStream_t compute, copy;
    cudaEvent_t here;
    float *in, *out, *x, *y, *by;
};

static bool open_flow(flow *f)
{
    *f = flow{};
    cudaStreamCreate(&f->compute);
    cudaStreamCreate(&f->copy);
    cudaEventCreate(&f->here);
    return cudaMallocHost((void **)&f->in, (N + 1) * sizeof *f->in) == cudaSuccess &&
           cudaMallocHost((void **)&f->out, N * sizeof *f->out) == cudaSuccess &&
           cudaMalloc((void **)&f->x, N * sizeof *f->x) == cudaSuccess &&
           cudaMalloc((void **)&f->y, N * sizeof *f->y) == cudaSuccess &&
           cudaMalloc((void **)&f->by, sizeof *f->by) == cudaSuccess;
}

static void close_flow(flow *f)
{
    cudaFreeHost(f->in);
    cudaFreeHost(f->out);
    cudaFree(f->x);
    cudaFree(f->y);
    cudaFree(f->by);
    cudaEventDestroy(f->here);
    cudaStreamDestroy(f->compute);
    cudaStreamDestroy(f->copy);
}

enum bug {
    SOUND,
    NO_EVENT,
    STAGING_REUSED,
    NO_SYNC,
    HOST_POINTER_IN_KERNEL,
    DEVICE_POINTER_ON_HOST,
    USE_AFTER_FREE,
    PAST_THE_END
};

static void enqueue(flow *f, bug planted)
{
    int n = planted == PAST_THE_END ? 51200 : N;
    cudaMemcpyAsync(f->x, f->in, N * sizeof *f->x, cudaMemcpyHostToDevice, f->copy);
    cudaMemcpyAsync(f->by, f->in + N, sizeof *f->by, cudaMemcpyHostToDevice, f->copy);
    if (planted != NO_EVENT) {
        cudaEventRecord(f->here, f->copy);
        cudaStreamWaitEvent(f->compute, f->here, 0);
    }
    if (planted == STAGING_REUSED) f->in[N] = 3;
    if (planted == USE_AFTER_FREE) cudaFree(f->x);
    launch(scale, dim3((unsigned)(n + 255) / 256), dim3(256), 0, f->compute, f->y,
           planted == HOST_POINTER_IN_KERNEL ? f->in : f->x, f->by, n);
    cudaMemcpyAsync(f->out, f->y, N * sizeof *f->out, cudaMemcpyDeviceToHost, f->compute);
    if (planted == DEVICE_POINTER_ON_HOST) f->y[0] = 1;
    if (planted != NO_SYNC) cudaStreamSynchronize(f->compute);
}

static int steps(bug planted)
{
    flow f;
    int wrong = 0;
    if (!open_flow(&f)) return CHILD_WRONG;
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < N; i++)
            f.in[i] = (float)(i + step);
        f.in[N] = 2;
        enqueue(&f, planted);
        for (int i = 0; i < N; i++)
            wrong += f.out[i] != 2.0f * (float)(i + step);
    }
    close_flow(&f);
    return wrong ? CHILD_WRONG : CHILD_RIGHT;
}

static std::function<int()> planted(bug b)
{
    return [b] {
        stub::m.close_pinned = true;
        emu::s.order = 0; /* the laziest: work that happens early hides a missing event */
        return steps(b);
    };
}

TEST(a_sound_flow_passes)
{
    CHECK_EQ(in_child(planted(SOUND)), CHILD_RIGHT);
}

TEST(work_that_no_stream_orders_gives_a_wrong_result)
{
    CHECK_EQ(in_child(planted(NO_EVENT)), CHILD_WRONG);
    CHECK_EQ(in_child(planted(STAGING_REUSED)), CHILD_WRONG);
    CHECK_EQ(in_child(planted(NO_SYNC)), CHILD_WRONG);
}

TEST(a_pointer_on_the_wrong_side_is_a_segmentation_fault)
{
    CHECK(child_dies(planted(HOST_POINTER_IN_KERNEL)));
    CHECK(child_dies(planted(DEVICE_POINTER_ON_HOST)));
    CHECK(child_dies(planted(USE_AFTER_FREE)));
    CHECK(child_dies(planted(PAST_THE_END)));
}

/* x = in by in, y = x by 2, behind each other, or with a planted mistake not. */
static cudaError_t make_steps(flow *f, cudaGraphExec_t *ready, bool in_order)
{
    cudaGraph_t g;
    cudaGraphNode_t last = nullptr, none = nullptr;
    cudaError_t e = cudaGraphCreate(&g, 0);
    if (e != cudaSuccess) return e;
    e = launch(scale, dim3(4), dim3(256), 0, chain{g, &last}, f->x, f->x, f->by, (int)N);
    if (e == cudaSuccess)
        e = launch(scale, dim3(4), dim3(256), 0, chain{g, in_order ? &last : &none}, f->y, f->x,
                   f->by, (int)N);
    if (e == cudaSuccess) e = cudaGraphInstantiate(ready, g, 0);
    cudaGraphDestroy(g);
    return e;
}

static int run_steps(bool in_order)
{
    flow f;
    cudaGraphExec_t g;
    int wrong = 0;
    if (!open_flow(&f) || make_steps(&f, &g, in_order) != cudaSuccess) return CHILD_WRONG;
    for (int step = 1; step < 5; step++) {
        for (int i = 0; i < N; i++)
            f.in[i] = (float)i;
        f.in[N] = (float)step;
        cudaMemcpyAsync(f.x, f.in, N * sizeof *f.x, cudaMemcpyHostToDevice, f.compute);
        cudaMemcpyAsync(f.by, f.in + N, sizeof *f.by, cudaMemcpyHostToDevice, f.compute);
        cudaGraphLaunch(g, f.compute);
        cudaMemcpyAsync(f.out, f.y, N * sizeof *f.out, cudaMemcpyDeviceToHost, f.compute);
        cudaStreamSynchronize(f.compute);
        for (int i = 0; i < N; i++)
            wrong += f.out[i] != (float)(i * step * step);
    }
    cudaGraphLaunch(g, f.compute);
    cudaGraphExecDestroy(g); /* what runs goes on */
    close_flow(&f);
    return wrong || stub::m.taken ? CHILD_WRONG : CHILD_RIGHT;
}

/* As decoding does: new numbers, no new arguments. */
TEST(a_graph_runs_again_with_new_numbers)
{
    CHECK_EQ(in_child([] { return run_steps(true); }), CHILD_RIGHT);
    CHECK_EQ(in_child([] { return run_steps(false); }), CHILD_WRONG);
}

TEST(a_graph_that_is_gone_is_not_launched)
{
    CHECK(child_dies([] {
        flow f;
        cudaGraphExec_t g;
        if (!open_flow(&f) || make_steps(&f, &g, true) != cudaSuccess) return CHILD_WRONG;
        cudaGraphExecDestroy(g);
        return cudaGraphLaunch(g, f.compute) == cudaSuccess ? CHILD_RIGHT : CHILD_WRONG;
    }));
}

TEST(a_node_waits_for_nodes_of_its_own_graph_alone)
{
    cudaGraph_t one = nullptr, other = nullptr;
    cudaGraphNode_t node = nullptr;
    cudaGraphCreate(&one, 0);
    cudaGraphCreate(&other, 0);
    CHECK_EQ(launch(scale, dim3(1), dim3(32), 0, chain{one, &node}, nullptr, nullptr, nullptr, 0),
             cudaSuccess);
    CHECK_EQ(launch(scale, dim3(1), dim3(32), 0, chain{other, &node}, nullptr, nullptr, nullptr, 0),
             cudaErrorInvalidValue);
    cudaGraphDestroy(one);
    cudaGraphDestroy(other);
    CHECK_EQ(stub::m.graphs, 0);
}

TEST(each_call_about_a_graph_can_fail)
{
    flow f;
    cudaGraphExec_t g;
    REQUIRE(open_flow(&f));
    for (int n = 0; n < 5; n++) { /* create, two nodes, instantiate */
        stub::m.fail_graph = n;
        cudaError_t e = make_steps(&f, &g, true);
        CHECK_EQ(e == cudaSuccess, n == 4);
        if (e != cudaSuccess) continue;
        CHECK_EQ(cudaGraphLaunch(g, f.compute), cudaErrorInvalidValue);
        CHECK_EQ(cudaStreamSynchronize(f.compute), cudaSuccess); /* and is no error of work */
        cudaGraphExecDestroy(g);
    }
    CHECK_EQ(stub::m.fail_graph, -1);
    CHECK_EQ(stub::m.graphs, 0);
    close_flow(&f);
}

TEST(each_allocation_can_fail_and_nothing_leaks)
{
    int opened = 0, refused = 0;
    for (int n = 0; n < 6; n++) {
        flow f;
        stub::m.fail_alloc = n;
        open_flow(&f) ? opened++ : refused++;
        stub::m.fail_alloc = -1;
        close_flow(&f);
    }
    CHECK_EQ(opened, 1);
    CHECK_EQ(refused, 5);
    CHECK_EQ(stub::m.taken, 0);
}

TEST(the_first_error_of_work_stays)
{
    flow f;
    REQUIRE(open_flow(&f));
    stub::m.fail_work = 1; /* the second piece */
    for (int i = 0; i < 3; i++)
        cudaMemcpyAsync(f.x, f.in, 4, cudaMemcpyHostToDevice, f.copy);
    CHECK_EQ(cudaStreamSynchronize(f.copy), cudaErrorIllegalAddress);
    CHECK_EQ(launch(scale, dim3(1), dim3(32), 0, f.copy, f.y, f.x, f.by, 1),
             cudaErrorIllegalAddress);
    stub::m.sticky = cudaSuccess;
    stub::m.fail_work = -1;
    close_flow(&f);
}

int main(int argc, char **argv)
{
    emu::read_order();
    return check_main(argc, argv);
}
