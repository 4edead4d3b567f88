/* test_resize.c - target sizes and pixels against transformers, torchvision and Pillow. */
#include "tests/check.h"

#include "base/pool.h"
#include "vision/resize.h"

#include "tests/vision/golden_picture.h"

static vlqa_status plan(int w, int h, int *rw, int *rh)
{
    struct env env = {0};
    return resize_plan(&env, "test", w, h, 32, 65536, 16777216, rw, rh);
}

TEST(known_sizes_have_known_targets)
{
    static const int table[][4] = {
        {1, 1, 256, 256},         {320, 240, 320, 256},     {336, 336, 320, 320},
        {800, 600, 800, 608},     {1000, 1000, 992, 992},   {1280, 720, 1280, 704},
        {1920, 1080, 1920, 1088}, {1344, 2256, 1344, 2240}, {784, 1008, 768, 1024},
        {720, 752, 704, 768},     {3840, 2160, 3840, 2176}, {4032, 3024, 4032, 3008},
        {5000, 5000, 4096, 4096}, {8192, 6144, 4704, 3520}, {2000, 10, 3648, 32},
        {200, 30, 672, 128},      {112, 144, 256, 320},     {239, 239, 288, 288}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int w = 0, h = 0;
        CHECK_EQ(plan(table[i][0], table[i][1], &w, &h), VLQA_OK);
        CHECK_EQ(w, table[i][2]);
        CHECK_EQ(h, table[i][3]);
    }
}

static const struct {
    int factor;
    int64_t min_pixels, max_pixels;
} settings[] = {{32, 65536, 16777216},
                {32, 65536, 1048576},
                {28, 3136, 12845056},
                {32, 1024, (int64_t)1 << 40}};

/* As plan_sizes of the script. */
static int side_of(uint32_t n, uint32_t k)
{
    uint32_t r = golden_mix(3 * n + k), s = 1 + (r >> 8) % (1u << (1 + r % 14));
    return (int)(r & 128 && s < 1024 ? s * 16 : s);
}

TEST(twelve_thousand_random_sizes_are_those_of_transformers)
{
    size_t bytes = 0;
    uint8_t *golden = golden_read("resize_plan.bin", &bytes);
    int refused = 0;
    REQUIRE(golden && bytes == 12000 * 4);
    for (uint32_t n = 0; n < 12000; n++) {
        uint32_t s = golden_mix(3 * n + 2) % 4;
        int w = side_of(n, 0), h = side_of(n, 1), rw = 0, rh = 0, factor = settings[s].factor;
        int ew = (int)golden_u16(golden + 4 * n, 0), eh = (int)golden_u16(golden + 4 * n, 1);
        struct env env = {0};
        vlqa_status status = resize_plan(&env, "test", w, h, factor, settings[s].min_pixels,
                                         settings[s].max_pixels, &rw, &rh);
        CHECK_EQ(status, ew ? VLQA_OK : VLQA_EIMAGE);
        refused += status != VLQA_OK;
        if (status == VLQA_OK && (rw != ew * factor || rh != eh * factor))
            CHECK_FAIL("%d x %d, setting %u: %d x %d, expected %d x %d", w, h, s, rw, rh,
                       ew * factor, eh * factor);
    }
    CHECK(refused > 100 && refused < 6000);
    heap_free(golden);
}

TEST(a_side_two_hundred_times_the_other_is_the_last_one_taken)
{
    struct env env = {0};
    int w, h;
    CHECK_EQ(plan(2000, 10, &w, &h), VLQA_OK);
    CHECK_EQ(plan(10, 2000, &w, &h), VLQA_OK);
    CHECK_EQ(resize_plan(&env, "wide.png", 2010, 10, 32, 65536, 16777216, &w, &h), VLQA_EIMAGE);
    CHECK_STR(env.message,
              "wide.png: 2010 x 10 pixels, one side is 201 times the other, the limit is 200");
    CHECK_EQ(plan(10, 2001, &w, &h), VLQA_EIMAGE);
}

/* rgb from one grey value a pixel, and back. */
static void resize_grey(enum vlqa_resize mode, const uint8_t *grey, int w, int h, uint8_t *out,
                        int rw, int rh)
{
    struct env env = {0};
    uint8_t rgb[256 * 3], to[256 * 3];
    for (int i = 0; i < w * h * 3; i++)
        rgb[i] = grey[i / 3];
    CHECK_EQ(resize_bicubic(&env, mode, rgb, w, h, (size_t)w * 3, to, rw, rh), VLQA_OK);
    for (int i = 0; i < rw * rh * 3; i++) {
        out[i / 3] = to[i];
        CHECK_EQ(to[i], to[i / 3 * 3]);
    }
}

TEST(rows_worked_by_hand_come_out)
{
    static const uint8_t row[] = {10, 200, 30, 90, 255};
    static const uint8_t up[] = {0, 94, 199, 78, 28, 83, 193, 255}, down[] = {92, 79, 183};
    static const uint8_t square[] = {72,  38,  108, 160, 195, 105, 40,  101,
                                     136, 197, 132, 42,  77,  129, 199, 165};
    uint8_t ramp[42], out[16];
    for (int i = 0; i < 42; i++)
        ramp[i] = (uint8_t)(37 * i);
    for (int mode = VLQA_RESIZE_TORCHVISION; mode <= VLQA_RESIZE_PILLOW; mode++) {
        resize_grey((enum vlqa_resize)mode, row, 5, 1, out, 8, 1);
        CHECK(memcmp(out, up, sizeof up) == 0);
        resize_grey((enum vlqa_resize)mode, row, 5, 1, out, 3, 1);
        CHECK(memcmp(out, down, sizeof down) == 0);
        resize_grey((enum vlqa_resize)mode, ramp, 6, 7, out, 4, 4);
        CHECK(memcmp(out, square, sizeof square) == 0);
    }
}

struct golden_case {
    uint32_t w, h, rw, rh, kind, full;
    const uint8_t *sha[2]; /* by enum vlqa_resize */
    const uint8_t *pixels[2];
};

static const uint8_t *next_case(const uint8_t *p, struct golden_case *c)
{
    size_t bytes;
    *c = (struct golden_case){golden_u16(p, 0),
                              golden_u16(p, 1),
                              golden_u16(p, 2),
                              golden_u16(p, 3),
                              golden_u16(p, 4),
                              golden_u16(p, 5),
                              {p + 12, p + 12 + GOLDEN_SHA},
                              {NULL, NULL}};
    p += 12 + 2 * GOLDEN_SHA;
    if (!c->full) return p;
    bytes = (size_t)c->rw * c->rh * 3;
    c->pixels[0] = p;
    c->pixels[1] = p + bytes;
    return p + 2 * bytes;
}

static void check_case(struct env *env, const struct golden_case *c, uint32_t seed)
{
    uint8_t *src = golden_picture(c->w, c->h, (int)c->kind, seed);
    size_t bytes = (size_t)c->rw * c->rh * 3;
    uint8_t *dst = heap_alloc(bytes);
    for (int mode = VLQA_RESIZE_TORCHVISION; mode <= VLQA_RESIZE_PILLOW; mode++) {
        REQUIRE(resize_bicubic(env, (enum vlqa_resize)mode, src, (int)c->w, (int)c->h, c->w * 3,
                               dst, (int)c->rw, (int)c->rh) == VLQA_OK);
        for (size_t i = 0; c->full && i < bytes; i++)
            if (dst[i] != c->pixels[mode][i])
                CHECK_FAIL("%u x %u to %u x %u, mode %d: byte %zu is %d, expected %d", c->w, c->h,
                           c->rw, c->rh, mode, i, dst[i], c->pixels[mode][i]);
        if (!golden_same(dst, bytes, c->sha[mode]))
            CHECK_FAIL("%u x %u to %u x %u, mode %d: other bytes", c->w, c->h, c->rw, c->rh, mode);
    }
    heap_free(src);
    heap_free(dst);
}

static void check_golden(struct env *env)
{
    size_t bytes = 0;
    uint8_t *golden = golden_read("resize.bin", &bytes);
    const uint8_t *p = golden;
    REQUIRE(golden);
    uint32_t n = golden_u16(golden, 0);
    CHECK(n >= 400);
    p += 4;
    for (uint32_t i = 0; i < n; i++) {
        struct golden_case c;
        p = next_case(p, &c);
        check_case(env, &c, i);
    }
    CHECK_EQ(p - golden, bytes);
    heap_free(golden);
}

TEST(pixels_are_those_of_torchvision_and_pillow_bit_for_bit)
{
    struct env env = {0};
    check_golden(&env);
}

TEST(threads_change_nothing)
{
    struct env env = {0};
    REQUIRE(pool_create(&env, 3, &env.pool) == VLQA_OK);
    check_golden(&env);
    pool_free(env.pool);
}

TEST(the_bytes_between_rows_are_not_looked_at)
{
    struct env env = {0};
    uint8_t *packed = golden_picture(20, 18, GOLDEN_NOISE, 7);
    uint8_t *wide = heap_alloc(18 * 100);
    static const int to[][2] = {{33, 12}, {20, 12}, {33, 18}, {20, 18}};
    memset(wide, 0xee, 18 * 100);
    for (int y = 0; y < 18; y++)
        memcpy(wide + y * 100, packed + y * 60, 60);
    for (size_t i = 0; i < 4; i++) {
        int w = to[i][0], h = to[i][1];
        uint8_t *x = heap_alloc((size_t)w * (size_t)h * 3),
                *z = heap_alloc((size_t)w * (size_t)h * 3);
        CHECK_EQ(resize_bicubic(&env, VLQA_RESIZE_PILLOW, packed, 20, 18, 60, x, w, h), VLQA_OK);
        CHECK_EQ(resize_bicubic(&env, VLQA_RESIZE_PILLOW, wide, 20, 18, 100, z, w, h), VLQA_OK);
        CHECK(memcmp(x, z, (size_t)w * (size_t)h * 3) == 0);
        heap_free(x);
        heap_free(z);
    }
    heap_free(packed);
    heap_free(wide);
}

/* Rows are summed side by side, in windows that a stretched pixel may not fit into. */
TEST(a_row_does_not_depend_on_those_beside_it)
{
    static const int from[] = {700, 5000, 37, 641}, to[] = {300, 10, 900, 640};
    struct env env = {0};
    for (int i = 0; i < 4; i++) {
        int w = from[i], narrow = to[i], h = 37;
        uint8_t *src = golden_picture((uint32_t)w, (uint32_t)h, GOLDEN_NOISE, (uint32_t)i);
        uint8_t *dst = heap_alloc((size_t)narrow * (size_t)h * 3);
        uint8_t *row = heap_alloc((size_t)narrow * 3);
        size_t stride = (size_t)w * 3, bytes = (size_t)narrow * 3;
        for (enum vlqa_resize mode = VLQA_RESIZE_TORCHVISION; mode <= VLQA_RESIZE_PILLOW; mode++) {
            CHECK_EQ(resize_bicubic(&env, mode, src, w, h, stride, dst, narrow, h), VLQA_OK);
            for (int y = 0; y < h; y++) {
                const uint8_t *alone = src + (size_t)y * stride;
                CHECK_EQ(resize_bicubic(&env, mode, alone, w, 1, stride, row, narrow, 1), VLQA_OK);
                CHECK(memcmp(row, dst + (size_t)y * bytes, bytes) == 0);
            }
        }
        heap_free(src);
        heap_free(dst);
        heap_free(row);
    }
}

TEST(the_same_size_is_the_same_picture)
{
    struct env env = {0};
    uint8_t *src = golden_picture(31, 17, GOLDEN_NOISE, 3), dst[31 * 17 * 3];
    CHECK_EQ(resize_bicubic(&env, VLQA_RESIZE_TORCHVISION, src, 31, 17, 93, dst, 31, 17), VLQA_OK);
    CHECK(memcmp(src, dst, sizeof dst) == 0);
    heap_free(src);
}

TEST(no_memory_is_a_status_and_leaks_nothing)
{
    struct env env = {0};
    uint8_t *src = golden_picture(20, 15, GOLDEN_NOISE, 1), dst[33 * 12 * 3];
    uint64_t live = heap_live();
    vlqa_status status = VLQA_EMEMORY;
    int64_t n;
    for (n = 0; status == VLQA_EMEMORY && n < 100; n++) {
        heap_fail_after(n);
        status = resize_bicubic(&env, VLQA_RESIZE_PILLOW, src, 20, 15, 60, dst, 33, 12);
        heap_fail_after(-1);
        CHECK_EQ(heap_live(), live);
    }
    CHECK_EQ(status, VLQA_OK);
    CHECK(n > 5);
    heap_free(src);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
