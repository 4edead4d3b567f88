/* test_probes.cu - each instruction behind device.cuh against its twin in plain C, and questions to
 * a GPU that its manual does not answer. A line "probe NAME VALUE" is an answer and no claim. */
#include "kernels/cuda/device.cuh"
#include "tests/cuda/mma_lab.h"

static void probe(const char *name, double value)
{
    printf("probe %s %.9g\n", name, value);
}

/* ---- single lanes ---- */

__global__ void __launch_bounds__(32) shuffle(float *y, const float *x, int lanes)
{
    y[threadIdx.x] = ptx::shfl_xor(x[threadIdx.x], lanes);
    ptx::syncwarp();
}

TEST(shuffles_bring_the_value_of_the_other_lane)
{
    on_device<float> x(32), y(32);
    for (int i = 0; i < 32; i++)
        x.host[(size_t)i] = (float)i + 0.5f;
    x.up();
    for (int lanes = 1; lanes < 32; lanes *= 2) {
        y.spoil();
        need(launch(shuffle, 1, 32, 0, nullptr, y.at, x.at, lanes), "shuffle");
        y.down();
        for (int i = 0; i < 32; i++)
            CHECK(y.host[(size_t)i] == x.host[(size_t)(i ^ lanes)]);
    }
}

__global__ void __launch_bounds__(256) powers(float *y, const float *x, int n)
{
    int i = (int)(blockIdx.x * 256 + threadIdx.x);
    if (i < n) y[i] = ptx::exp2(x[i]);
}

TEST(powers_of_two_are_right_to_22_bits)
{
    const int n = 27000;
    on_device<float> x((size_t)n), y((size_t)n);
    double worst = 0;
    for (int i = 0; i < n; i++)
        x.host[(size_t)i] = (float)(i - 14900) * 0.01f;
    x.host[0] = -INFINITY;
    x.host[1] = NAN;
    x.host[2] = 0;
    x.host[3] = -3e38f;
    x.up();
    y.spoil();
    need(launch(powers, (unsigned)(n + 255) / 256, 256, 0, nullptr, y.at, x.at, n), "powers");
    y.down();
    CHECK(y.host[0] == 0 && isnan(y.host[1]) && y.host[2] == 1 && y.host[3] == 0);
    for (int i = 4; i < n; i++) {
        double expected = ::exp2((double)x.host[(size_t)i]), error = y.host[(size_t)i] - expected;
        if (expected < 0x1p-126)
            CHECK(fabs(error) <= 0x1p-126);
        else
            worst = fmax(worst, fabs(error) / expected);
    }
    probe("exp2_relative_error", worst);
    CHECK(worst <= 0x1p-21);
}

__global__ void __launch_bounds__(256) pack(uint32_t *y, const float *x, int n)
{
    int i = (int)(blockIdx.x * 256 + threadIdx.x);
    if (i < n) y[i] = ptx::pack_bf16(x[2 * i], x[2 * i + 1]);
}

TEST(pairs_are_rounded_to_the_nearest_even_bf16)
{
    const int n = 1 << 16;
    on_device<float> x((size_t)n * 2);
    on_device<uint32_t> y((size_t)n);
    uint64_t seed = 1;
    int bad = 0;
    for (int i = 0; i < 2 * n; i++) { /* each bf16, and bits behind it that decide: ties too */
        uint32_t u = (uint32_t)(i / 2) << 16;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        u |= i % 2 ? (uint32_t)(seed >> 48) : (uint32_t)((seed >> 62) * 0x4000);
        memcpy(&x.host[(size_t)i], &u, sizeof u);
    }
    x.up();
    y.spoil();
    need(launch(pack, (unsigned)(n / 256), 256, 0, nullptr, y.at, x.at, n), "pack");
    y.down();
    for (int i = 0; i < 2 * n; i++) {
        uint16_t found = (uint16_t)(y.host[(size_t)(i / 2)] >> i % 2 * 16);
        float f = x.host[(size_t)i];
        bad += isnan(f) ? !isnan(bf16_to_f32(found)) : found != f32_to_bf16(f);
    }
    CHECK_EQ(bad, 0);
}

/* ---- shared memory ---- */

struct copied {
    uint16_t row[4][32][8];
};

__global__ void __launch_bounds__(32) copy(uint16_t *y, const uint16_t *x)
{
    SHARED(copied, s);
    int lane = (int)threadIdx.x;
    for (int stage = 0; stage < 4; stage++) {
        ptx::cp_async16(s.row[stage][lane], x + (stage * 32 + lane) * 8, lane % 3 == stage % 3);
        ptx::cp_commit();
    }
    ptx::cp_wait<2>(); /* the first two have landed */
    ptx::syncwarp();
    for (int stage = 0; stage < 2; stage++)
        for (int i = 0; i < 8; i++)
            y[(stage * 32 + lane) * 8 + i] = s.row[stage][31 - lane][i];
    ptx::cp_wait<0>();
    ptx::syncwarp();
    for (int stage = 2; stage < 4; stage++)
        for (int i = 0; i < 8; i++)
            y[(stage * 32 + lane) * 8 + i] = s.row[stage][31 - lane][i];
}

TEST(copies_land_and_fill_with_zeros)
{
    on_device<uint16_t> x(4 * 32 * 8), y(4 * 32 * 8);
    int bad = 0;
    for (size_t i = 0; i < x.host.size(); i++)
        x.host[i] = (uint16_t)(i + 1);
    x.up();
    y.spoil();
    need(launch(copy, 1, 32, sizeof(copied), nullptr, y.at, x.at), "copy");
    y.down();
    for (int i = 0; i < 4 * 32 * 8; i++) {
        int stage = i / 256, lane = 31 - i / 8 % 32, from = (stage * 32 + lane) * 8 + i % 8;
        bad += y.host[(size_t)i] != (lane % 3 == stage % 3 ? 0 : x.host[(size_t)from]);
    }
    CHECK_EQ(bad, 0);
}

struct blocks {
    uint16_t at[4][8][8];
};

__global__ void __launch_bounds__(32) load(uint32_t *y, int transposed)
{
    SHARED(blocks, s);
    int lane = (int)threadIdx.x;
    uint32_t r[4];
    for (int i = 0; i < 8; i++)
        s.at[lane / 8][lane % 8][i] = (uint16_t)(lane * 8 + i);
    ptx::syncwarp();
    if (transposed)
        ptx::ldsm4_trans(r, s.at[lane / 8][lane % 8]);
    else
        ptx::ldsm4(r, s.at[lane / 8][lane % 8]);
    for (int i = 0; i < 4; i++)
        y[lane * 4 + i] = r[i];
}

TEST(blocks_of_16_bit_values_are_loaded_as_fragments)
{
    on_device<uint32_t> y(128);
    for (int transposed = 0; transposed < 2; transposed++) {
        int bad = 0;
        y.spoil();
        need(launch(load, 1, 32, sizeof(blocks), nullptr, y.at, transposed), "load");
        y.down();
        for (int i = 0; i < 256; i++) {
            int lane = i / 8, block = i / 2 % 4, a = lane / 4, b = lane % 4 * 2 + i % 2;
            int id = block * 64 + (transposed ? b * 8 + a : a * 8 + b);
            bad += (uint16_t)(y.host[(size_t)(i / 2)] >> i % 2 * 16) != id;
        }
        CHECK_EQ(bad, 0);
    }
}

/* ---- products ---- */

/* d[16, 8] += x[16, K] w[8, K]^T by one warp, steps of 16 in ascending order. */
DEVICE void fragments(uint32_t (&a)[4], uint32_t (&b)[2], const uint16_t *x, const uint16_t *w,
                      int inputs, int k)
{
    int row = (int)threadIdx.x % 32 / 4, col = (int)threadIdx.x % 4 * 2;
    for (int i = 0; i < 4; i++)
        a[i] = *(const uint32_t *)(x + (row + i % 2 * 8) * inputs + k + col + i / 2 * 8);
    for (int i = 0; i < 2; i++)
        b[i] = *(const uint32_t *)(w + row * inputs + k + col + i * 8);
}

DEVICE int spot(int i) /* of accumulator i in [16, 8] */
{
    int lane = (int)threadIdx.x % 32;
    return (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
}

__global__ void __launch_bounds__(32)
    multiply(float *y, const float *first, const uint16_t *x, const uint16_t *w, int inputs)
{
    float d[4];
    uint32_t a[4], b[2];
    for (int i = 0; i < 4; i++)
        d[i] = first[spot(i)];
    for (int k = 0; k < inputs; k += 16) {
        fragments(a, b, x, w, inputs, k);
        ptx::mma_bf16(d, a, b[0], b[1]);
    }
    for (int i = 0; i < 4; i++)
        y[spot(i)] = d[i];
}

struct one_product {
    int inputs;
    on_device<uint16_t> x, w;
    on_device<float> first, y;
    explicit one_product(int inputs_)
        : inputs(inputs_), x(16 * (size_t)inputs_), w(8 * (size_t)inputs_), first(128), y(128)
    {
    }
    void run()
    {
        x.up(), w.up(), first.up();
        y.spoil();
        need(launch(multiply, 1, 32, 0, nullptr, y.at, first.at, x.at, w.at, inputs), "product");
        y.down();
    }
    double expected(int i) const
    {
        double sum = first.host[(size_t)i];
        for (int k = 0; k < inputs; k++)
            sum += (double)bf16_to_f32(x.host[(size_t)(i / 8 * inputs + k)]) *
                   bf16_to_f32(w.host[(size_t)(i % 8 * inputs + k)]);
        return sum;
    }
    /* As if a step were summed without an error and rounded once. */
    float rounded_once_a_step(int i) const
    {
        float sum = first.host[(size_t)i];
        for (int k = 0; k < inputs; k += 16) {
            double step = sum;
            for (int j = k; j < k + 16; j++)
                step += (double)bf16_to_f32(x.host[(size_t)(i / 8 * inputs + j)]) *
                        bf16_to_f32(w.host[(size_t)(i % 8 * inputs + j)]);
            sum = (float)step;
        }
        return sum;
    }
};

TEST(products_of_whole_numbers_are_exact)
{
    one_product p(64);
    for (size_t i = 0; i < p.x.host.size(); i++)
        p.x.host[i] = f32_to_bf16((float)((int)(i * 7 % 31) - 15));
    for (size_t i = 0; i < p.w.host.size(); i++)
        p.w.host[i] = f32_to_bf16((float)((int)(i * 11 % 29) - 14));
    for (int i = 0; i < 128; i++)
        p.first.host[(size_t)i] = (float)(i * i);
    p.run();
    for (int i = 0; i < 128; i++)
        CHECK(p.y.host[(size_t)i] == p.expected(i));
}

static void fill_at_random(std::vector<uint16_t> &v, uint64_t seed)
{
    struct lab_random r = {seed};
    for (uint16_t &h : v)
        h = f32_to_bf16(r.next());
}

/* Bounds of all tests of kernels rest on this. Hardware may cut what it adds where f32 rounds. */
TEST(products_are_summed_in_f32)
{
    one_product p(4096);
    double error = 0, all = 0;
    int once = 0;
    fill_at_random(p.x.host, 1);
    fill_at_random(p.w.host, 2);
    p.run();
    for (int i = 0; i < 128; i++) {
        double e = p.expected(i), d = p.y.host[(size_t)i] - e;
        error += d * d, all += e * e;
        once += p.y.host[(size_t)i] == p.rounded_once_a_step(i);
    }
    probe("mma_relative_error_of_4096", sqrt(error / all));
    probe("mma_sums_rounded_once_a_step_of_128", once);
    CHECK(sqrt(error / all) < 1e-4);
}

/* Rows and outputs that do not notice each other rest on this. */
TEST(bits_depend_on_neither_row_nor_column)
{
    one_product p(512);
    int rows = 0, columns = 0;
    fill_at_random(p.x.host, 3);
    fill_at_random(p.w.host, 4);
    for (int col = 1; col < 8; col++)
        memcpy(&p.w.host[(size_t)(col * 512)], &p.w.host[0], 1024);
    p.run();
    for (int i = 0; i < 128; i++)
        columns += p.y.host[(size_t)i] != p.y.host[(size_t)(i / 8 * 8)];
    for (int row = 1; row < 16; row++)
        memcpy(&p.x.host[(size_t)(row * 512)], &p.x.host[0], 1024);
    p.run();
    for (int i = 0; i < 128; i++)
        rows += p.y.host[(size_t)i] != p.y.host[0];
    CHECK_EQ(columns, 0);
    CHECK_EQ(rows, 0);
}

/* Does a step of zeros leave an accumulator's bits? Then a tile that a row does not see needs no
 * skip. */
TEST(zero_products_may_leave_bits)
{
    static const float value[] = {1.5f,  -3e38f,   0x1p-126f, 0x1.8p-140f, -0x1p-149f,     0.0f,
                                  -0.0f, INFINITY, -INFINITY, NAN,         0x1.fffffep20f, -7};
    static const char *const name[] = {"ordinary", "denormal", "minus_zero", "infinity"};
    int kept[4] = {0, 0, 0, 0}, of[4] = {0, 0, 0, 0};
    one_product p(32);
    for (int i = 0; i < 128; i++)
        p.first.host[(size_t)i] = value[i % 12];
    p.x.host.assign(p.x.host.size(), 0);
    fill_at_random(p.w.host, 5);
    p.run();
    for (int i = 0; i < 128; i++) {
        float before = value[i % 12], after = p.y.host[(size_t)i];
        int kind = isinf(before)                              ? 3
                   : before == 0 && signbit(before)           ? 2
                   : before != 0 && fabsf(before) < 0x1p-126f ? 1
                                                              : 0;
        if (isnan(before)) {
            CHECK(isnan(after));
            continue;
        }
        of[kind]++;
        kept[kind] += memcmp(&before, &after, sizeof before) == 0;
    }
    for (int kind = 0; kind < 4; kind++) {
        char line[64];
        snprintf(line, sizeof line, "zero_products_keep_%s", name[kind]);
        probe(line, (double)kept[kind] / of[kind]);
    }
    CHECK_EQ(kept[0], of[0]);
}

#ifdef __CUDACC__
/* ---- what only a GPU answers ---- */

struct b_tile { /* 16 inputs of 8 outputs, as wgmma reads them without swizzle: 8 x 16 bytes, twice
                 */
    uint16_t at[2][8][8];
};

__device__ __forceinline__ void wgmma(float (&d)[4], const uint32_t (&a)[4], uint64_t b)
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "%8, 1, 1, 1, 0;"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)
        : "memory");
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

/* y[2, 64, 8]: the same product by mma.sync and by wgmma. */
__global__ void __launch_bounds__(128)
    both(float *y, const uint16_t *x, const uint16_t *w, int inputs)
{
    SHARED(b_tile, s);
    int t = (int)threadIdx.x, warp = t / 32;
    float d[4] = {0, 0, 0, 0}, e[4] = {0, 0, 0, 0};
    uint32_t a[4], b[2];
    uint64_t tile = (uint64_t)(ptx::address(&s) >> 4 & 0x3fff) | (uint64_t)8 << 16 |
                    (uint64_t)8 << 32; /* the second half lies 128 bytes behind the first */
    for (int k = 0; k < inputs; k += 16) {
        s.at[t % 16 / 8][t / 16][t % 8] = w[t / 16 * inputs + k + t % 16];
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads();
        fragments(a, b, x + warp * 16 * inputs, w, inputs, k);
        ptx::mma_bf16(d, a, b[0], b[1]);
        wgmma(e, a, tile);
        __syncthreads();
    }
    for (int i = 0; i < 4; i++) {
        y[warp * 128 + spot(i)] = d[i];
        y[512 + warp * 128 + spot(i)] = e[i];
    }
}

__global__ void nothing()
{
}

static double microseconds(cudaEvent_t from, cudaEvent_t to, int launches)
{
    float ms = 0;
    need(cudaEventSynchronize(to), "launches");
    need(cudaEventElapsedTime(&ms, from, to), "time");
    return (double)ms * 1e3 / launches;
}
#endif

/* If they are equal, few rows by mma and many by wgmma are one class of passes. */
TEST(wgmma_may_sum_like_mma)
{
#ifdef __CUDACC__
    const int inputs = 4096;
    on_device<uint16_t> x(64 * (size_t)inputs), w(8 * (size_t)inputs);
    on_device<float> y(1024);
    double error = 0, all = 0;
    int equal = 0;
    fill_at_random(x.host, 6);
    fill_at_random(w.host, 7);
    x.up(), w.up(), y.spoil();
    need(launch(both, 1, 128, sizeof(b_tile), nullptr, y.at, x.at, w.at, inputs), "wgmma");
    y.down();
    for (int i = 0; i < 512; i++) {
        double d = (double)y.host[(size_t)i] - y.host[(size_t)(512 + i)];
        equal += memcmp(&y.host[(size_t)i], &y.host[(size_t)(512 + i)], sizeof(float)) == 0;
        error += d * d, all += (double)y.host[(size_t)i] * y.host[(size_t)i];
    }
    probe("wgmma_sums_with_the_bits_of_mma_of_512", equal);
    probe("wgmma_relative_distance_to_mma", sqrt(error / all));
    CHECK(sqrt(error / all) < 1e-4); /* else the probe reads its operands wrongly */
#else
    SKIP("wgmma is not emulated");
#endif
}

/* x = x by + 1, exact up to 2^24: each one reads what the one before has written. */
__global__ void step(float *x, const float *by, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) x[i] = x[i] * *by + 1;
}

/* As decode passes are launched: with the arguments of when it was made, in order, and reading what
 * is in memory when it runs. */
TEST(a_graph_of_kernels_runs_them_in_order)
{
    const int n = 5000, steps = 20;
    on_device<float> x((size_t)n), by(1);
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    cudaGraphNode_t last = nullptr;
    int wrong = 0;
    need(cudaGraphCreate(&graph, 0), "graph");
    for (int i = 0; i < steps; i++)
        need(launch(step, dim3((unsigned)(n + 127) / 128), dim3(128), 0, chain{graph, &last}, x.at,
                    by.at, n),
             "node");
    need(cudaGraphInstantiate(&ready, graph, 0), "graph");
    cudaGraphDestroy(graph);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < n; i++)
            x.host[(size_t)i] = (float)(i % 2);
        by.host[0] = turn == 1 ? 2.0f : 1.0f;
        x.up(), by.up();
        need(cudaGraphLaunch(ready, nullptr), "graph");
        x.down();
        for (int i = 0; i < n; i++) {
            float expected =
                turn == 1 ? (float)((1 << steps) * (1 + i % 2) - 1) : (float)(i % 2 + steps);
            wrong += x.host[(size_t)i] != expected;
        }
    }
    CHECK_EQ(wrong, 0);
    cudaGraphExecDestroy(ready);
}

TEST(launches_have_gaps)
{
#ifdef __CUDACC__
    const int launches = 1000;
    cudaStream_t stream;
    cudaEvent_t from, to;
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    cudaGraphNode_t last = nullptr;
    need(cudaStreamCreate(&stream), "stream");
    need(cudaEventCreate(&from), "event");
    need(cudaEventCreate(&to), "event");
    for (int turn = 0; turn < 2; turn++) { /* the first warms up */
        need(cudaEventRecord(from, stream), "event");
        for (int i = 0; i < launches; i++)
            need(launch(nothing, 1, 32, 0, stream), "launch");
        need(cudaEventRecord(to, stream), "event");
        if (turn) probe("launch_us", microseconds(from, to, launches));
        need(cudaStreamSynchronize(stream), "launches");
    }
    need(cudaGraphCreate(&graph, 0), "graph");
    for (int i = 0; i < launches; i++)
        need(launch(nothing, 1, 32, 0, chain{graph, &last}), "node");
    need(cudaGraphInstantiate(&ready, graph, 0), "graph");
    for (int turn = 0; turn < 2; turn++) {
        need(cudaEventRecord(from, stream), "event");
        need(cudaGraphLaunch(ready, stream), "graph");
        need(cudaEventRecord(to, stream), "event");
        if (turn) probe("launch_in_graph_us", microseconds(from, to, launches));
        need(cudaStreamSynchronize(stream), "graph");
    }
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
    cudaEventDestroy(to);
    cudaEventDestroy(from);
    cudaStreamDestroy(stream);
#else
    SKIP("an emulation has no times");
#endif
}

int main(int argc, char **argv)
{
    return lab_main(argc, argv);
}
