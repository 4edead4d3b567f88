/* test_patch.c - the rows of the tower against transformers' image processor. */
#include "tests/check.h"

#include "vision/patch.h"
#include "vision/resize.h"

#include "tests/vision/golden_picture.h"

static const struct patch_config config = {.patch = 16,
                                           .merge = 2,
                                           .temporal = 2,
                                           .channels = 3,
                                           .mean = {0.5f, 0.5f, 0.5f},
                                           .std = {0.5f, 0.5f, 0.5f}};

/* The order of reshape and permute in the processor: blocks, then rows and columns inside. */
TEST(patches_stand_in_merge_blocks)
{
    static const struct grid grids[] = {{2, 2}, {4, 6}, {44, 80}};
    for (size_t g = 0; g < 3; g++) {
        int n = 0;
        for (int block_row = 0; block_row < grids[g].h; block_row += 2)
            for (int block_col = 0; block_col < grids[g].w; block_col += 2)
                for (int r = 0; r < 2; r++)
                    for (int c = 0; c < 2; c++, n++) {
                        int row, col;
                        patch_place(2, grids[g], n, &row, &col);
                        CHECK_EQ(row, block_row + r);
                        CHECK_EQ(col, block_col + c);
                    }
        CHECK_EQ(n, grids[g].h * grids[g].w);
    }
}

TEST(a_column_is_channel_frame_y_x)
{
    struct grid grid = {2, 4};
    uint8_t *rgb = golden_picture(64, 32, GOLDEN_NOISE, 5);
    float *rows = heap_alloc(8 * 1536 * sizeof *rows);
    patch_extract(NULL, &config, rgb, grid, host_mat_of(rows, DT_F32, 8, 1536));
    for (int n = 0; n < 8; n++)
        for (int k = 0; k < 1536; k++) {
            int row, col, channel = k / 512, y = k / 16 % 16, x = k % 16;
            patch_place(2, grid, n, &row, &col);
            uint8_t v = rgb[((row * 16 + y) * 64 + col * 16 + x) * 3 + channel];
            CHECK(rows[n * 1536 + k] == ((float)v - 127.5f) / 127.5f);
        }
    heap_free(rgb);
    heap_free(rows);
}

TEST(threads_change_no_patch)
{
    struct env env = {0};
    struct grid grid = {18, 14};
    size_t bytes = 18 * 14 * 1536 * sizeof(uint16_t);
    uint8_t *rgb = golden_picture(14 * 16, 18 * 16, GOLDEN_NOISE, 6);
    uint16_t *alone = heap_alloc(bytes), *many = heap_alloc(bytes);
    REQUIRE(pool_create(&env, 3, &env.pool) == VLQA_OK);
    patch_extract(NULL, &config, rgb, grid, host_mat_of(alone, DT_BF16, 18 * 14, 1536));
    patch_extract(env.pool, &config, rgb, grid, host_mat_of(many, DT_BF16, 18 * 14, 1536));
    CHECK(memcmp(alone, many, bytes) == 0);
    pool_free(env.pool);
    heap_free(rgb);
    heap_free(alone);
    heap_free(many);
}

struct golden_case {
    uint32_t w, h, chain;
    struct grid grid;
    float mean[3], std[3];
    const uint8_t *f32, *bf16, *slow_bf16;
};

#define CASE_BYTES (12 + 24 + 3 * GOLDEN_SHA)

static struct golden_case read_case(const uint8_t *p)
{
    struct golden_case c = {.w = golden_u16(p, 0),
                            .h = golden_u16(p, 1),
                            .grid = {(int)golden_u16(p, 3), (int)golden_u16(p, 2)},
                            .chain = golden_u16(p, 4)};
    memcpy(c.mean, p + 12, sizeof c.mean);
    memcpy(c.std, p + 24, sizeof c.std);
    c.f32 = p + 36;
    c.bf16 = c.f32 + GOLDEN_SHA;
    c.slow_bf16 = c.bf16 + GOLDEN_SHA;
    return c;
}

/* The picture at the size of the grid, resized as the processor does. */
static uint8_t *golden_resized(const struct golden_case *c, uint32_t seed, enum vlqa_resize mode)
{
    struct env env = {0};
    uint8_t *rgb = golden_picture(c->w, c->h, GOLDEN_NOISE, seed), *resized;
    int w = (int)c->w, h = (int)c->h;
    if (c->chain) CHECK_EQ(resize_plan(&env, "", w, h, 32, 65536, 16777216, &w, &h), VLQA_OK);
    CHECK_EQ(w, c->grid.w * 16);
    CHECK_EQ(h, c->grid.h * 16);
    resized = heap_alloc((size_t)w * (size_t)h * 3);
    CHECK_EQ(resize_bicubic(&env, mode, rgb, (int)c->w, (int)c->h, c->w * 3, resized, w, h),
             VLQA_OK);
    heap_free(rgb);
    return resized;
}

static void check_rows(const struct golden_case *c, const uint8_t *rgb, enum dtype dtype,
                       const uint8_t *sha, const char *what)
{
    struct patch_config settings = config;
    int n = c->grid.h * c->grid.w;
    size_t bytes = mat_bytes(dtype, n, 1536);
    void *rows = heap_alloc(bytes);
    memcpy(settings.mean, c->mean, sizeof c->mean);
    memcpy(settings.std, c->std, sizeof c->std);
    patch_extract(NULL, &settings, rgb, c->grid, host_mat_of(rows, dtype, n, 1536));
    if (!golden_same(rows, bytes, sha))
        CHECK_FAIL("%u x %u, %s: other bytes than the processor's", c->w, c->h, what);
    heap_free(rows);
}

TEST(rows_are_those_of_both_processors_of_transformers)
{
    size_t bytes = 0;
    uint8_t *golden = golden_read("patch.bin", &bytes);
    uint32_t n;
    REQUIRE(golden);
    n = golden_u16(golden, 0);
    REQUIRE(bytes == 4 + n * CASE_BYTES && n >= 8);
    for (uint32_t i = 0; i < n; i++) {
        struct golden_case c = read_case(golden + 4 + i * CASE_BYTES);
        uint8_t *fast = golden_resized(&c, 1000 + i, VLQA_RESIZE_TORCHVISION);
        uint8_t *slow = golden_resized(&c, 1000 + i, VLQA_RESIZE_PILLOW);
        check_rows(&c, fast, DT_F32, c.f32, "fast, f32");
        check_rows(&c, fast, DT_BF16, c.bf16, "fast, bf16");
        if (c.mean[0] == 0.5f) check_rows(&c, slow, DT_BF16, c.slow_bf16, "slow, bf16");
        heap_free(fast);
        heap_free(slow);
    }
    heap_free(golden);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
