/* test_image.c - what a picture file becomes: size, colours, orientation, or words. */
#include "tests/check.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "vision/image_codec.h"

#include "tests/vision/load_image.h"
#include "tests/vision/make_image.h"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define ODD VLQA_SOURCE_DIR "/../shared/data/images-odd/"
#define NO_DATA "the shared pictures are not here"

static const struct image_limits white = {120000000, VLQA_IMAGE_WHITE};
static const struct image_limits hf = {120000000, VLQA_IMAGE_HF};

/* --- the manifest --------------------------------------------------------------------------- */

static struct {
    int exact, mean, by_name, refused, soft_decoded, soft_refused;
} count;

/* Formats that are refused, and kinds of the others that are. */
static const struct {
    const char *ending, *says;
} refused_kinds[] = {
    {".gif", "GIF"},
    {".jpf", "JPEG 2000"},
    {".ico", "ICO"},
    {".ppm", "PNM"},
    {".tif", "TIFF"},
    {"row_overflow.bmp", "run-length"},
    {"pal8rle.bmp", "run-length"},
    {"png_huge_IDAT.png", "ends early"}, /* 79 bytes that announce a chunk of 1 GiB */
};

static const char *refusal_of(const char *file)
{
    size_t n = strlen(file);
    for (size_t i = 0; i < sizeof refused_kinds / sizeof *refused_kinds; i++) {
        size_t k = strlen(refused_kinds[i].ending);
        if (n >= k && strcmp(file + n - k, refused_kinds[i].ending) == 0)
            return refused_kinds[i].says;
    }
    return NULL;
}

static void check_sha(const char *file, const struct image *image, const char *expected)
{
    unsigned char hash[32];
    char hex[65];
    crypto_hash_sha256(hash, image->rgb, (size_t)image->width * (size_t)image->height * 3);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    if (strcmp(hex, expected) != 0)
        CHECK_FAIL("%s: pixels are not those of the manifest (%d x %d, first %d %d %d)", file,
                   image->width, image->height, image->rgb[0], image->rgb[1], image->rgb[2]);
}

static void check_mean(const char *file, const struct image *image, const struct json *mean)
{
    const struct json *m = json_first(mean);
    size_t n = (size_t)image->width * (size_t)image->height;
    for (size_t c = 0; c < 3 && m; c++, m = json_next(m)) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += image->rgb[3 * i + c];
        if (!(fabs(sum / (double)n - json_number(m)) <= 2.0))
            CHECK_FAIL("%s: mean %zu is %.2f, expected %.2f", file, c, sum / (double)n,
                       json_number(m));
    }
}

static void check_pixels(const struct json *row, const char *file, const struct image *image,
                         const char *sha_name, const char *mean_name)
{
    const char *sha = json_text(json_get(row, sha_name));
    const struct json *mean = json_get(row, mean_name);
    const char *mode = json_text(json_get(row, "mode"));
    if (strcmp(mode, "I") == 0) return;        /* Pillow clips 16-bit grey, we take the high byte */
    if (strstr(file, "rgb16.bmp")) sha = NULL; /* 5 bits to 8: we round, Pillow cuts */
    if (sha) check_sha(file, image, sha);
    if (mean) check_mean(file, image, mean);
    if (sha)
        count.exact++;
    else
        count.mean++;
}

static void check_size(const struct json *row, const char *file, const struct image *image)
{
    double orientation = json_number(json_get(row, "exif_orientation"));
    int w = (int)json_number(json_get(row, "width")), h = (int)json_number(json_get(row, "height"));
    if (orientation > 4) w = w ^ h, h = w ^ h, w = w ^ h; /* the manifest has it as stored */
    if (image->width != w || image->height != h)
        CHECK_FAIL("%s: %d x %d, expected %d x %d", file, image->width, image->height, w, h);
}

static void check_row(const struct json *row)
{
    const char *file = json_text(json_get(row, "file"));
    int firm = json_is_true(json_get(row, "firm"));
    int reject = strcmp(json_text(json_get(row, "expected")), "reject") == 0;
    const char *says = refusal_of(file);
    struct env env = {0};
    char path[512];
    for (int mode = 0; mode < 2; mode++) {
        struct image image;
        snprintf(path, sizeof path, "%s%s", ODD, file);
        vlqa_status status = load_image(&env, path, mode ? &white : &hf, &image);
        if (status == VLQA_OK && firm && reject)
            CHECK_FAIL("%s: decoded, expected a refusal", file);
        else if (status == VLQA_OK && firm)
            check_size(row, file, &image);
        if (status == VLQA_OK && firm && !reject && mode == 0)
            check_pixels(row, file, &image, "rgb_sha256", "mean_rgb");
        if (status == VLQA_OK && firm && mode && json_get(row, "rgb_on_white_sha256"))
            check_pixels(row, file, &image, "rgb_on_white_sha256", "mean_rgb_on_white");
        if (status != VLQA_OK) {
            CHECK_EQ(status, VLQA_EIMAGE);
            CHECK_HAS(env.message, file);
            if (is_missing(env.message)) says = "WebP";
            if (firm && !reject && !says) CHECK_FAIL("refused: %s", env.message);
            if (firm && !reject && says) CHECK_HAS(env.message, says);
            CHECK(image.rgb == NULL);
        }
        if (mode == 0 && firm) {
            count.refused += status != VLQA_OK && reject;
            count.by_name += status != VLQA_OK && !reject;
        } else if (mode == 0) {
            count.soft_decoded += status == VLQA_OK;
            count.soft_refused += status != VLQA_OK;
        }
        image_free(&image);
    }
}

TEST(every_odd_picture_is_decoded_exactly_or_refused_in_words)
{
    struct env env = {0};
    void *text;
    size_t bytes;
    if (!file_exists(ODD "manifest.jsonl")) SKIP(NO_DATA);
    REQUIRE(file_read(&env, ODD "manifest.jsonl", 1 << 20, &text, &bytes) == VLQA_OK);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        struct json_doc *doc;
        REQUIRE(json_parse(&env, "manifest", line, (size_t)(end - line), 1 << 16, &doc) == VLQA_OK);
        check_row(json_root(doc));
        json_free(doc);
    }
    heap_free(text);
    printf("  firm: %d exact, %d by mean, %d refused by name, %d broken refused; "
           "not firm: %d decoded, %d refused\n",
           count.exact, count.mean, count.by_name, count.refused, count.soft_decoded,
           count.soft_refused);
    CHECK(count.exact >= 40 && count.mean >= 35 && count.refused >= 15);
}

/* --- files ---------------------------------------------------------------------------------- */

TEST(what_is_not_a_regular_file_is_refused_without_waiting)
{
    char dir[] = "/tmp/vlqa_image_XXXXXX", path[64];
    struct env env = {0};
    struct image image;
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/fifo.png", dir);
    REQUIRE(mkfifo(path, 0600) == 0);
    CHECK_EQ(load_image(&env, path, &hf, &image), VLQA_EIO);
    CHECK_HAS(env.message, path);
    CHECK_EQ(load_image(&env, dir, &hf, &image), VLQA_EIO);
    CHECK_EQ(load_image(&env, "/dev/zero", &hf, &image), VLQA_EIO);
    CHECK_EQ(load_image(&env, "/no/such/file.png", &hf, &image), VLQA_EIO);
    CHECK_HAS(env.message, "/no/such/file.png");
    unlink(path);
    CHECK(symlink("fifo.png", path) == 0); /* points to itself */
    CHECK_EQ(load_image(&env, path, &hf, &image), VLQA_EIO);
    unlink(path);
    rmdir(dir);
}

TEST(the_bytes_tell_the_format_whatever_the_name_says)
{
    static const uint8_t rgb[5 * 3 * 3];
    struct env env = {0};
    struct bytes png = make_png(5, 3, 8, 2, rgb, 15), jpeg = make_jpeg(rgb, 5, 3, 0);
    struct make_bmp m = {.width = 5, .height = -3, .header = 40, .bits = 24};
    struct bytes bmp = make_bmp(&m, NULL, 0, (const uint8_t[48]){0}, 16);
    struct bytes *const files[] = {&png, &jpeg, &bmp};
    for (int i = 0; i < 3; i++) {
        struct image image;
        CHECK_EQ(image_decode(&env, files[i]->data, files[i]->n, "a.gif", &hf, &image), VLQA_OK);
        CHECK_EQ(image.width, 5);
        CHECK_EQ(image.height, 3);
        image_free(&image);
        drop(files[i]);
    }
}

TEST(formats_that_are_not_read_are_named)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *name;
    } files[] = {
        {"GIF89a\1\0", 8, "GIF"},
        {"II*\0\x8\0\0\0", 8, "TIFF"},
        {"MM\0*\0\0\0\x8", 8, "TIFF"},
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0",
         16, "HEIC"},
        {"\0\0\0\x18"
         "ftypmif1\0\0\0\0",
         16, "HEIF"},
        {"\0\0\0\x18"
         "ftypavif\0\0\0\0",
         16, "AVIF"},
        {"\0\0\0\x18"
         "ftypisom\0\0\0\0",
         16, "MP4"},
        {"%PDF-1.7\n", 9, "PDF"},
        {"\xef\xbb\xbf <?xml version='1.0'?>\n<svg>", 31, "SVG"},
        {"<!doctype html>", 15, "HTML"},
        {"8BPS\0\1", 6, "PSD"},
        {"\0\0\1\0\1\0", 6, "ICO"},
        {"\0\0\0\x0cjP  \r\n\x87\n", 12, "JPEG 2000"},
        {"\xff\x0a\xfa", 3, "JPEG XL"},
        {"P6\n1 1\n255\n", 11, "PNM"},
        {"PK\3\4", 4, "ZIP"},
        {"\0\0\2\0\0\0\0\0\0\0TRUEVISION-XFILE.", 28, "TGA"},
    };
    struct env env = {0};
    struct image image;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CHECK_EQ(image_decode(&env, files[i].bytes, files[i].n, "x.png", &hf, &image), VLQA_EIMAGE);
        CHECK_HAS(env.message, files[i].name);
        CHECK_HAS(env.message, "x.png: this is ");
    }
    CHECK_EQ(image_decode(&env, "%PDF-1.7\n", 9, "x.png", &hf, &image), VLQA_EIMAGE);
    CHECK_HAS(env.message, "convert it, for example with: pdftoppm -r 150 -png file.pdf page");
    CHECK_EQ(image_decode(&env, "II+\0\0\0\0\0", 8, "x.png", &hf, &image), VLQA_EIMAGE);
    CHECK_HAS(env.message, "BigTIFF");
    CHECK_HAS(env.message, "magick 'file.tif[0]' file.png");
    CHECK_EQ(image_decode(&env, "version https://git-lfs.github.com/spec/v1\nsize 7\n", 51, "x.png",
                          &hf, &image),
             VLQA_EIMAGE);
    CHECK_HAS(env.message, "x.png is a Git LFS pointer");
    CHECK_EQ(image_decode(&env, "hello", 5, "x.png", &hf, &image), VLQA_EIMAGE);
    CHECK_STR(env.message, "x.png: no image format is recognised (first byte 0x68)");
    CHECK_EQ(image_decode(&env, "", 0, "x.png", &hf, &image), VLQA_EIMAGE);
    CHECK_STR(env.message, "x.png: the file is empty");
}

/* --- colours -------------------------------------------------------------------------------- */

/* Decodes and frees the file; the pixels are compared and freed. */
static void check_decodes(struct bytes file, const struct image_limits *limits, int w, int h,
                          const uint8_t *rgb)
{
    struct env env = {0};
    struct image image;
    if (image_decode(&env, file.data, file.n, "test", limits, &image) != VLQA_OK) {
        CHECK_FAIL("%s", env.message);
    } else {
        CHECK_EQ(image.width, w);
        CHECK_EQ(image.height, h);
        for (int i = 0; image.width == w && image.height == h && i < w * h * 3; i++)
            if (image.rgb[i] != rgb[i])
                CHECK_FAIL("byte %d is %d, expected %d", i, image.rgb[i], rgb[i]);
    }
    image_free(&image);
    drop(&file);
}

static void check_refused(struct bytes file, const char *says)
{
    struct env env = {0};
    struct image image;
    CHECK_EQ(image_decode(&env, file.data, file.n, "test", &hf, &image), VLQA_EIMAGE);
    CHECK_HAS(env.message, says);
    CHECK(image.rgb == NULL);
    drop(&file);
}

TEST(transparency_is_composited_over_white_or_dropped)
{
    static const uint8_t rgba[] = {10, 20, 30, 0, 10, 20, 30, 255, 100, 0, 255, 128, 1, 2, 3, 1};
    static const uint8_t dropped[] = {10, 20, 30, 10, 20, 30, 100, 0, 255, 1, 2, 3};
    /* 100 * 128 + 255 * 127 is 45185, over 255 is 177.2; 255 - 254 / 255 and so on */
    static const uint8_t over[] = {255, 255, 255, 10, 20, 30, 177, 127, 255, 254, 254, 254};
    static const uint8_t grey_alpha[] = {7, 0, 9, 255, 100, 128};
    static const uint8_t grey_dropped[] = {7, 7, 7, 9, 9, 9, 100, 100, 100};
    static const uint8_t grey_over[] = {255, 255, 255, 9, 9, 9, 177, 177, 177};
    check_decodes(make_png(4, 1, 8, 6, rgba, 16), &hf, 4, 1, dropped);
    check_decodes(make_png(4, 1, 8, 6, rgba, 16), &white, 4, 1, over);
    check_decodes(make_png(3, 1, 8, 4, grey_alpha, 6), &hf, 3, 1, grey_dropped);
    check_decodes(make_png(3, 1, 8, 4, grey_alpha, 6), &white, 3, 1, grey_over);
}

static struct bytes palette_png(const uint8_t *rows, unsigned depth, size_t colours, size_t alphas)
{
    static const uint8_t palette[] = {255, 0, 0, 0, 255, 0, 0, 0, 255};
    struct bytes b = {0};
    png_begin(&b, 4, 1, depth, 3);
    png_chunk(&b, "PLTE", palette, colours * 3);
    if (alphas) png_chunk(&b, "tRNS", "\0\x80\xff\xff", alphas);
    png_pixels(&b, rows, depth / 2, 1);
    png_chunk(&b, "IEND", NULL, 0);
    return b;
}

TEST(palettes_are_looked_up_within_their_length)
{
    static const uint8_t plain[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0};
    static const uint8_t over[] = {255, 255, 255, 127, 255, 127, 0, 0, 255, 255, 255, 255};
    static const uint8_t two_bits[] = {0x18}, eight_bits[] = {0, 1, 2, 0}, beyond[] = {0, 1, 3, 0};
    check_decodes(palette_png(two_bits, 2, 3, 0), &white, 4, 1, plain);
    check_decodes(palette_png(eight_bits, 8, 3, 0), &white, 4, 1, plain);
    check_decodes(palette_png(two_bits, 2, 3, 2), &white, 4, 1, over);
    check_decodes(palette_png(eight_bits, 8, 3, 2), &white, 4, 1, over);
    check_decodes(palette_png(eight_bits, 8, 3, 2), &hf, 4, 1, plain);
    check_decodes(palette_png(eight_bits, 8, 3, 4), &white, 4, 1, plain); /* too long: ignored */
    check_refused(palette_png(beyond, 8, 3, 0), "colour 3 of a palette of 3");
}

TEST(sixteen_bits_are_cut_to_the_high_byte)
{
    static const uint8_t rows[] = {0x12, 0xff, 0x80, 0x00, 0xff, 0xfe};
    static const uint8_t rgb[] = {0x12, 0x80, 0xff};
    static const uint8_t grey[] = {0x12, 0x12, 0x12, 0x80, 0x80, 0x80, 0xff, 0xff, 0xff};
    check_decodes(make_png(1, 1, 16, 2, rows, 6), &white, 1, 1, rgb);
    check_decodes(make_png(3, 1, 16, 0, rows, 6), &white, 3, 1, grey);
}

TEST(bmp_is_read_from_every_header)
{
    static const uint8_t rows[] = {1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0};
    static const uint8_t up[] = {9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4};
    static const uint8_t down[] = {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10};
    static const uint8_t junk[] = {1, 2, 3, 0x40, 4, 5, 6, 0x80};
    static const uint8_t opaque[] = {3, 2, 1, 6, 5, 4}, index[] = {0, 1, 2, 255};
    static const uint8_t palette3[] = {1, 2, 3, 4, 5, 6}, palette4[] = {1, 2, 3, 0, 4, 5, 6, 0};
    static const uint8_t looked_up[] = {3, 2, 1, 6, 5, 4, 0, 0, 0, 0, 0, 0};
    struct make_bmp m = {.width = 2, .height = 2, .header = 40, .bits = 24};
    check_decodes(make_bmp(&m, NULL, 0, rows, 8), &white, 2, 2, up);
    m.gap = 1000;
    check_decodes(make_bmp(&m, NULL, 0, rows, 8), &white, 2, 2, up);
    m.height = -2;
    check_decodes(make_bmp(&m, NULL, 0, rows, 8), &white, 2, 2, down);
    m = (struct make_bmp){.width = 2, .height = 2, .header = 12, .bits = 24};
    check_decodes(make_bmp(&m, NULL, 0, rows, 8), &white, 2, 2, up);
    m = (struct make_bmp){.width = 2, .height = 1, .header = 40, .bits = 32};
    check_decodes(make_bmp(&m, NULL, 0, junk, 8), &white, 2, 1, opaque);
    m = (struct make_bmp){.width = 4, .height = 1, .header = 12, .bits = 8};
    check_decodes(make_bmp(&m, palette3, 6, index, 4), &white, 4, 1, looked_up);
    m = (struct make_bmp){.width = 4, .height = 1, .header = 124, .bits = 8, .colours = 2};
    check_decodes(make_bmp(&m, palette4, 8, index, 4), &white, 4, 1, looked_up);
    m.compression = 1;
    check_refused(make_bmp(&m, palette4, 8, index, 4), "run-length");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
