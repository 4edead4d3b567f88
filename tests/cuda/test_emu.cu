/* test_emu.cu - the emulation of CUDA: what device.cuh offers does what it says, and a kernel that
 * has a mistake is found out. */
#include "kernels/cuda/device.cuh"
#include "tests/check.h"
#include "tests/cuda/in_child.h"
#include "tests/cuda/on_device.h"

/* y[16, 8] += x[16, K] w[8, K]^T by one warp, both copied to shared memory asynchronously in tiles
 * of 16 columns, a tile ahead. */
enum { K = 64 };
struct tiles {
    uint16_t x[2][16][24], w[2][8][24]; /* 16 columns, and 8 more so that rows lie in other banks */
};

enum bug { SOUND, WAITS_FOR_TOO_FEW, SHUFFLE_IN_A_BRANCH, BARRIER_IN_A_BRANCH, MISALIGNED };

DEVICE void copy_tile(tiles &s, int stage, const uint16_t *x, const uint16_t *w, int k)
{
    int lane = (int)threadIdx.x, row = lane / 2, col = lane % 2 * 8;
    ptx::cp_async16(&s.x[stage][row][col], x + row * K + k + col, false);
    if (row < 8) ptx::cp_async16(&s.w[stage][row][col], w + row * K + k + col, false);
}

__global__ void __launch_bounds__(32)
    product(float *y, const uint16_t *x, const uint16_t *w, int planted)
{
    SHARED(tiles, s);
    float d[4] = {0, 0, 0, 0};
    int lane = (int)threadIdx.x;
    copy_tile(s, 0, x, w, 0);
    ptx::cp_commit();
    for (int k = 0, stage = 0; k < K; k += 16, stage ^= 1) {
        if (k + 16 < K) copy_tile(s, stage ^ 1, x, w, k + 16);
        ptx::cp_commit();
        if (planted == WAITS_FOR_TOO_FEW)
            ptx::cp_wait<2>();
        else
            ptx::cp_wait<1>();
        ptx::syncwarp();
        uint32_t a[4], b[4];
        int shift = planted == MISALIGNED ? 4 : 0;
        ptx::ldsm4(a, &s.x[stage][lane % 16][lane / 16 * 8 + shift]);
        ptx::ldsm4(b, &s.w[stage][lane % 8][lane / 8 % 2 * 8]);
        ptx::mma_bf16(d, a, b[0], b[1]);
        ptx::syncwarp();
    }
    ptx::cp_wait<0>();
    for (int i = 0; i < 4; i++)
        y[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

/* y[0] = the sum of x[256], by 256 threads: across lanes, then across warps. */
struct partial {
    float warp[8];
};

__global__ void __launch_bounds__(256) sum(float *y, const float *x, int planted)
{
    SHARED(partial, s);
    int t = (int)threadIdx.x;
    float v = x[t];
    for (int lanes = 16; lanes; lanes /= 2) {
        if (planted == SHUFFLE_IN_A_BRANCH && t % 32 > 15) continue;
        v += ptx::shfl_xor(v, lanes);
    }
    if (t % 32 == 0) s.warp[t / 32] = v;
    if (planted != BARRIER_IN_A_BRANCH || t >= 128) __syncthreads();
    if (t > 0) return;
    for (int i = 1; i < 8; i++)
        v += s.warp[i];
    y[0] = v;
}

static uint16_t small(int i) /* -8 to 7 in eighths: products and sums are exact */
{
    float f = (float)(i * 37 % 128 - 64) / 8;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)(u >> 16);
}

static int product_of(int planted)
{
    on_device<uint16_t> x(16 * K), w(8 * K);
    on_device<float> y(16 * 8);
    int wrong = 0;
    for (int i = 0; i < 16 * K; i++)
        x.host[(size_t)i] = small(i);
    for (int i = 0; i < 8 * K; i++)
        w.host[(size_t)i] = small(3 * i + 5);
    x.up();
    w.up();
    launch(product, dim3(1), dim3(32), sizeof(tiles), nullptr, y.at, x.at, w.at, planted);
    y.down();
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            float expected = 0;
            for (int k = 0; k < K; k++)
                expected += bf16_float(x.host[(size_t)(i * K + k)]) *
                            bf16_float(w.host[(size_t)(j * K + k)]);
            wrong += y.host[(size_t)(i * 8 + j)] != expected;
        }
    return wrong ? CHILD_WRONG : CHILD_RIGHT;
}

static int sum_of(int planted)
{
    on_device<float> x(256), y(1);
    for (int i = 0; i < 256; i++)
        x.host[(size_t)i] = (float)i;
    x.up();
    launch(sum, dim3(1), dim3(256), sizeof(partial), nullptr, y.at, x.at, planted);
    y.down();
    return y.host[0] == 255 * 128 ? CHILD_RIGHT : CHILD_WRONG;
}

TEST(tensor_cores_multiply_tiles_that_were_copied_asynchronously)
{
    CHECK_EQ(product_of(SOUND), CHILD_RIGHT);
}

TEST(threads_add_across_lanes_and_warps)
{
    CHECK_EQ(sum_of(SOUND), CHILD_RIGHT);
}

TEST(a_copy_that_nobody_waits_for_has_not_landed)
{
    if (emu::s.early) SKIP("copies land at once");
    CHECK(in_child([] { return product_of(WAITS_FOR_TOO_FEW); }) != CHILD_RIGHT);
}

TEST(divergence_and_misalignment_end_the_program)
{
    CHECK(child_dies([] { return product_of(MISALIGNED); }));
    CHECK(child_dies([] { return sum_of(SHUFFLE_IN_A_BRANCH); }));
}

/* The threads that skip it run ahead: in this order they read what is not written yet. */
TEST(a_barrier_in_a_branch_gives_a_wrong_result_in_some_order)
{
    auto run = [] {
        emu::s.order = 0;
        return sum_of(BARRIER_IN_A_BRANCH);
    };
    CHECK(in_child(run) != CHILD_RIGHT);
}

int main(int argc, char **argv)
{
    emu::read_order();
    return check_main(argc, argv);
}
