/* test_image_damage.c - cut, flipped, lying and exploding pictures: refused, in little memory. */
#include "tests/check.h"

#include "base/file.h"
#include "vision/image.h"

#include "tests/vision/make_image.h"

#include <pthread.h>
#include <sys/resource.h>

#define ODD VLQA_SOURCE_DIR "/../shared/data/images-odd/files/"

static const struct image_limits large = {100000000, VLQA_IMAGE_WHITE};
static const struct image_limits small = {1 << 18, VLQA_IMAGE_WHITE};

static void check_refused(struct bytes file, const char *says)
{
    struct env env = {0};
    struct image image;
    CHECK_EQ(image_decode(&env, file.data, file.n, "big.png", &large, &image), VLQA_EIMAGE);
    if (!is_missing(env.message)) CHECK_HAS(env.message, says);
    CHECK_HAS(env.message, "big.png: ");
    CHECK(image.rgb == NULL);
    image_free(&image);
    drop(&file);
}

/* --- bombs: first, since the peak of the process never falls -----------------------------------
 */

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

#define CHECK_MEMORY(before) CHECK(peak_kib() - (before) < 64 * 1024)

struct bits {
    struct bytes *out;
    unsigned hold;
    int n;
};

static void put_bits(struct bits *b, unsigned value, int n) /* low bit first */
{
    b->hold |= value << b->n;
    for (b->n += n; b->n >= 8; b->n -= 8, b->hold >>= 8)
        put_byte(b->out, b->hold & 255);
}

/* A deflate stream of `bytes` zeros: 13 bits for each 258 of them. */
static void put_zeros(struct bytes *out, size_t bytes)
{
    struct bits b = {out, 0, 0};
    put(out, "\x78\x01", 2);
    put_bits(&b, 1 | 1 << 1, 3); /* last block, fixed codes */
    put_bits(&b, 0x0c, 8);       /* literal 0: 00110000, read from the left */
    for (size_t n = 0; n < bytes; n += 258) {
        put_bits(&b, 0xa3, 8); /* length 258: 11000101 */
        put_bits(&b, 0, 5);    /* distance 1 */
    }
    put_bits(&b, 0, 7 + 8); /* end of block, and a byte to flush */
    put_be(out, 0, 4);
}

static struct bytes zeros_png(uint32_t w, uint32_t h, size_t inflated)
{
    struct bytes b = {0}, z = {0};
    put_zeros(&z, inflated);
    png_begin(&b, w, h, 8, 6);
    png_chunk(&b, "IDAT", z.data, z.n);
    png_chunk(&b, "IEND", NULL, 0);
    drop(&z);
    return b;
}

TEST(a_zip_bomb_stops_at_what_its_header_says)
{
    long before;
    struct bytes bomb = zeros_png(4, 4, (size_t)300 << 20);
    struct bytes good = zeros_png(100, 100, 401 * 100);
    struct env env = {0};
    struct image image;
    CHECK_EQ(image_decode(&env, good.data, good.n, "good", &large, &image), VLQA_OK);
    image_free(&image);
    drop(&good);
    before = peak_kib();
    check_refused(bomb, "larger than its header says");
    CHECK_MEMORY(before);
}

static struct bytes huge_jpeg(void)
{
    static const uint8_t rgb[8 * 8 * 3];
    struct bytes jpeg = make_jpeg(rgb, 8, 8, TJFLAG_PROGRESSIVE);
    for (size_t i = 0; i + 9 < jpeg.n; i++)
        if (jpeg.data[i] == 0xff && jpeg.data[i + 1] == 0xc2) memset(jpeg.data + i + 5, 0xff, 4);
    return jpeg;
}

static struct bytes huge_webp(void) /* lossless, 16384 x 16384 */
{
    struct bytes b = {0};
    put(&b, "RIFF", 4);
    put_le(&b, 30, 4);
    put(&b, "WEBPVP8L", 8);
    put_le(&b, 18, 4);
    put(&b, "\x2f\xff\xff\xff\x0f", 5);
    put(&b, "\0\0\0\0\0\0\0\0\0\0\0\0\0", 13);
    return b;
}

/* A header without pixels. */
static struct bytes empty_bmp(int32_t w, int32_t h)
{
    struct make_bmp m = {.header = 40, .bits = 24};
    struct bytes bmp = make_bmp(&m, NULL, 0, NULL, 0);
    memcpy(bmp.data + 18, &w, 4);
    memcpy(bmp.data + 22, &h, 4);
    return bmp;
}

TEST(headers_beyond_the_limit_are_refused_before_decoding)
{
    long before = peak_kib();
    check_refused(
        zeros_png(40000, 40000, 1000),
        "40000 x 40000 pixels, the limit is 100000000; image_max_pixels 1600000000 reads it");
    check_refused(zeros_png(0x7fffffff, 0x7fffffff, 1000), "2147483647 x 2147483647 pixels");
    check_refused(zeros_png(0xffffffff, 0xffffffff, 1000), "4294967295 x 4294967295 pixels");
    check_refused(zeros_png(100000001, 1, 1000), "the limit is 100000000");
    check_refused(zeros_png(0, 5, 1000), "0 x 5 pixels, expected at least one");
    check_refused(zeros_png(5, 0, 1000), "5 x 0 pixels, expected at least one");
    check_refused(huge_jpeg(), "65535 x 65535 pixels, the limit is 100000000");
    check_refused(huge_webp(), "16384 x 16384 pixels, the limit is 100000000");
    check_refused(empty_bmp(40000, -40000), "40000 x 40000 pixels, the limit is 100000000");
    CHECK_MEMORY(before);
}

TEST(a_large_header_over_little_data_takes_no_memory)
{
    long before = peak_kib();
    check_refused(zeros_png(9000, 9000, 1000), "the pixel data is damaged (not enough pixels)");
    check_refused(empty_bmp(9000, 9000), "the file ends early");
    CHECK_MEMORY(before);
}

/* --- PNG structure ---------------------------------------------------------------------------- */

static const uint8_t pixels[4 * 4 * 4] = {9, 8, 7, 6, 5, 4, 3, 2, 1};

TEST(a_wrong_checksum_counts_where_the_picture_depends_on_it)
{
    static const char *const types[] = {"IHDR", "IDAT", "IEND"};
    for (int i = 0; i < 3; i++) {
        struct bytes png = make_png(4, 4, 8, 2, pixels, 12);
        uint8_t *chunk = memmem(png.data, png.n, types[i], 4);
        char says[64];
        chunk[4] ^= 1; /* IEND is empty: this is its checksum */
        snprintf(says, sizeof says, "the checksum of its %s chunk is wrong", types[i]);
        check_refused(png, says);
    }
}

/* Long chunks are summed eight bytes at a time, short ones and what is left byte by byte. */
TEST(checksums_of_long_chunks_are_those_of_the_standard)
{
    static uint8_t noise[130 * 120 * 3];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * i * 2654435761u >> 13);
    for (uint32_t h = 40; h <= 120; h += 10) {
        struct bytes png = make_png(130, h, 8, 2, noise, 130 * 3);
        struct env env = {0};
        struct image image;
        CHECK_EQ(image_decode(&env, png.data, png.n, "long", &large, &image), VLQA_OK);
        CHECK(memcmp(image.rgb, noise, 130 * 3 * (size_t)h) == 0);
        image_free(&image);
        png.data[png.n / 2] ^= 1;
        check_refused(png, "the checksum of its IDAT chunk is wrong");
    }
}

TEST(a_note_with_a_wrong_checksum_is_passed_over)
{
    struct bytes png = {0}, exif = make_exif(1, 6);
    struct env env = {0};
    struct image image;
    png_begin(&png, 4, 2, 8, 2);
    png_chunk(&png, "eXIf", exif.data, exif.n);
    png.data[png.n - 1] ^= 1;
    png_pixels(&png, pixels, 12, 2);
    png_chunk(&png, "IEND", NULL, 0);
    CHECK_EQ(image_decode(&env, png.data, png.n, "note", &large, &image), VLQA_OK);
    CHECK_EQ(image.width, 4);
    image_free(&image);
    drop(&png), drop(&exif);
}

static struct bytes png_of(unsigned depth, unsigned colour, const char *type, const char *body,
                           size_t n, int with_pixels)
{
    struct bytes b = {0};
    png_begin(&b, 4, 4, depth, colour);
    if (type) png_chunk(&b, type, body, n);
    if (with_pixels) png_pixels(&b, pixels, 12, 4);
    png_chunk(&b, "IEND", NULL, 0);
    return b;
}

TEST(png_chunks_that_do_not_make_a_picture_are_refused)
{
    struct bytes late = {0};
    check_refused(png_of(8, 2, NULL, NULL, 0, 0), "no pixel data");
    check_refused(png_of(8, 3, NULL, NULL, 0, 1), "no palette");
    check_refused(png_of(8, 3, "PLTE", "1234", 4, 1), "a palette of 4 bytes");
    check_refused(png_of(8, 3, "PLTE", "", 0, 1), "a palette of 0 bytes");
    check_refused(png_of(8, 2, "ABCD", "", 0, 1), "unexpected chunk ABCD");
    check_refused(png_of(8, 2, "a1cd", "", 0, 1), "not made of letters");
    check_refused(png_of(4, 2, NULL, NULL, 0, 1), "colour type 2 with 4 bits");
    check_refused(png_of(16, 3, NULL, NULL, 0, 1), "colour type 3 with 16 bits");
    check_refused(png_of(8, 5, NULL, NULL, 0, 1), "colour type 5 with 8 bits");
    put(&late, "\x89PNG\r\n\x1a\n", 8);
    png_chunk(&late, "CgBI", "\x50\0\x20\2", 4); /* Apple's variant */
    check_refused(late, "its first chunk is CgBI, expected IHDR");
}

/* --- JPEG structure --------------------------------------------------------------------------- */

TEST(jpeg_kinds_that_are_not_read_are_named)
{
    static const uint8_t rgb[8 * 8 * 3];
    static const struct {
        int at; /* behind the marker of the frame header */
        uint8_t value;
        const char *says;
    } cases[] = {
        {3, 12, "12 bits a sample"}, {8, 2, "2 components"}, {0, 0xc3, "(SOF3)"},
        {0, 0xc5, "(SOF5)"},         {0, 0xcb, "(SOF11)"},   {5, 0, "8 x 0 pixels"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes jpeg = make_jpeg(rgb, 8, 8, 0);
        uint8_t *frame = memmem(jpeg.data, jpeg.n, "\xff\xc0", 2);
        frame[1 + cases[i].at] = cases[i].value;
        check_refused(jpeg, cases[i].says);
    }
}

TEST(thousands_of_scans_are_refused)
{
    static const uint8_t rgb[8 * 8 * 3];
    struct bytes jpeg = make_jpeg(rgb, 8, 8, TJFLAG_PROGRESSIVE), many = {0};
    put(&many, jpeg.data, jpeg.n - 2);
    for (int i = 0; i < 3000; i++)
        put(&many, "\xff\xda\0\x8\1\1\0\0\0\0\0", 11);
    put(&many, "\xff\xd9", 2);
    check_refused(many, "scans, the limit is 500");
    drop(&jpeg);
}

/* --- every prefix, every byte ----------------------------------------------------------------- */

/* In a block of exactly n bytes, so that a read beyond it is seen. */
static vlqa_status decode_copy(struct env *env, const uint8_t *data, size_t n, int sign)
{
    struct image image;
    uint8_t *copy = heap_alloc(n);
    vlqa_status status;
    memcpy(copy, data, n);
    if (sign) png_sign(copy, n);
    status = image_decode(env, copy, n, "copy", &small, &image);
    CHECK((status == VLQA_OK) == (image.rgb != NULL));
    image_free(&image);
    heap_free(copy);
    return status;
}

static void *read_odd(const char *name, size_t *bytes)
{
    struct env env = {0};
    char path[512];
    void *data = NULL;
    snprintf(path, sizeof path, ODD "%s", name);
    if (file_read(&env, path, 1 << 20, &data, bytes) != VLQA_OK) return NULL;
    return data;
}

static const char *const tiny[] = {"png_ftbwn3p08.png", "png_il_ibasn3p02.png",
                                   "mk_restart.jpg",    "go_video-001.q50.420.progressive.jpeg",
                                   "pil_pal1.bmp",      "pil_hopper_orientation_6.webp"};
static const char *const larger[] = {"vips_rgba.png", "pil_flower.jpg", "pil_rgb16.bmp",
                                     "vips_1.webp"};

static void cut_everywhere(const char *name, size_t step)
{
    struct env env = {0};
    size_t n = 0;
    uint8_t *data = read_odd(name, &n);
    if (!data) SKIP("the shared pictures are not here");
    if (decode_copy(&env, data, n, 0) != VLQA_OK && !is_missing(env.message))
        CHECK_FAIL("%s", env.message);
    for (size_t cut = 0; cut < n; cut += step) {
        if (decode_copy(&env, data, cut, 0) != VLQA_EIMAGE)
            CHECK_FAIL("%s: its first %zu of %zu bytes decode", name, cut, n);
        /* from twelve bytes on every format is known */
        if (cut >= 12 && !is_missing(env.message)) CHECK_HAS(env.message, "the file ends early");
    }
    heap_free(data);
}

TEST(no_prefix_of_a_picture_is_a_picture)
{
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++)
        cut_everywhere(tiny[i], 1);
    for (size_t i = 0; i < sizeof larger / sizeof *larger; i++)
        cut_everywhere(larger[i], 1024);
}

TEST(no_wrong_byte_does_harm)
{
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        struct env env = {0};
        size_t n = 0;
        uint8_t *data = read_odd(tiny[i], &n);
        if (!data) SKIP("the shared pictures are not here");
        for (size_t at = 0; at < n; at++) {
            uint8_t was = data[at];
            data[at] = (uint8_t)(was ^ (at & 1 ? 0xff : 1 << at % 8));
            if (decode_copy(&env, data, n, 1) > VLQA_EIMAGE) CHECK_FAIL("%s", env.message);
            data[at] = was;
        }
        heap_free(data);
    }
}

/* --- memory and threads ----------------------------------------------------------------------- */

TEST(no_memory_is_a_status_and_leaks_nothing)
{
    static const uint8_t rows[4] = {0, 1, 2, 3};
    struct make_bmp m = {.width = 4, .height = 1, .header = 40, .bits = 8};
    struct bytes files[] = {make_png(4, 4, 8, 6, pixels, 16), make_jpeg(pixels, 4, 4, 0),
                            make_bmp(&m, pixels, 16, rows, 4)};
    struct env env = {0};
    struct image image;
    for (int i = 0; i < 3; i++) {
        uint64_t live = heap_live();
        vlqa_status status = VLQA_EMEMORY;
        int64_t n;
        for (n = 0; status == VLQA_EMEMORY && n < 50; n++) {
            heap_fail_after(n);
            status = image_decode(&env, files[i].data, files[i].n, "test", &small, &image);
            heap_fail_after(-1);
            if (status == VLQA_OK) image_free(&image);
            CHECK_EQ(heap_live(), live);
        }
        CHECK_EQ(status, VLQA_OK);
        CHECK(n > 1);
    }
    for (int i = 0; i < 3; i++)
        drop(&files[i]);
}

static void *decode_often(void *arg)
{
    const struct bytes *png = arg;
    struct env env = {0};
    intptr_t wrong = 0;
    for (int i = 0; i < 200; i++) {
        struct image image;
        wrong += image_decode(&env, png->data, png->n, "test", &small, &image) != VLQA_OK;
        wrong += !image.rgb || memcmp(image.rgb, pixels, 48) != 0;
        image_free(&image);
    }
    return (void *)wrong;
}

TEST(two_threads_decode_at_once)
{
    struct bytes png = make_png(4, 4, 8, 2, pixels, 12);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&thread[i], NULL, decode_often, &png) == 0);
    for (int i = 0; i < 2; i++) {
        void *wrong;
        REQUIRE(pthread_join(thread[i], &wrong) == 0);
        CHECK(wrong == NULL);
    }
    drop(&png);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
