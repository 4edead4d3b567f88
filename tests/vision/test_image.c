/* test_image.c - real and damaged pictures of every kind, whole, cut, turned and inflated. */
#include "tests/check.h"

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "vision/image.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <turbojpeg.h>
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
        vlqa_status status = image_load(&env, path, mode ? &white : &hf, &image);
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
            printf("  soft: %s\n", status == VLQA_OK ? file : env.message);
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
    CHECK(count.exact >= 40 && count.mean >= 40 && count.refused >= 15);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
