/* test_image_orient.c - a picture stands upright, whichever note in its file says how it was held.
 */
#include "tests/check.h"

#include "base/file.h"
#include "base/heap.h"
#include "vision/image_png.h"

#include "tests/vision/load_image.h"
#include "tests/vision/make_image.h"

#define ODD VLQA_SOURCE_DIR "/../shared/data/images-odd/"
#define NO_DATA "the shared pictures are not here"

static const struct image_limits white = {120000000, VLQA_IMAGE_WHITE};
static const struct image_limits hf = {120000000, VLQA_IMAGE_HF};

/* Which stored corner (0 top left, 1 top right, 2 bottom left, 3 bottom right) each upright corner
 * shows, as the EXIF standard words it. */
static const int corners[9][4] = {{0},          {0, 1, 2, 3}, {1, 0, 3, 2},
                                  {3, 2, 1, 0}, {2, 3, 0, 1}, {0, 2, 1, 3},
                                  {2, 0, 3, 1}, {3, 1, 2, 0}, {1, 3, 0, 2}};
static const uint8_t colour[4][3] = {{200, 30, 30}, {30, 200, 30}, {30, 30, 200}, {220, 220, 220}};

static void fill_quadrants(uint8_t *rgb, int w, int h)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            memcpy(rgb + (y * w + x) * 3, colour[2 * (y >= h / 2) + (x >= w / 2)], 3);
}

static void check_corners(const struct image *image, int orientation)
{
    int wide = orientation < 5;
    CHECK_EQ(image->width, wide ? 32 : 16);
    CHECK_EQ(image->height, wide ? 16 : 32);
    for (int i = 0; i < 4; i++) {
        int x = i & 1 ? image->width - 3 : 2, y = i & 2 ? image->height - 3 : 2;
        const uint8_t *found = image->rgb + (y * image->width + x) * 3;
        const uint8_t *expected = colour[corners[orientation][i]];
        for (int c = 0; c < 3; c++)
            if (abs(found[c] - expected[c]) > 8)
                CHECK_FAIL("orientation %d, corner %d: %d, expected %d", orientation, i, found[c],
                           expected[c]);
    }
}

TEST(exif_orientation_turns_jpeg_and_png_upright)
{
    static uint8_t rgb[32 * 16 * 3];
    struct bytes plain;
    fill_quadrants(rgb, 32, 16);
    plain = make_jpeg(rgb, 32, 16, 0);
    for (int n = 1; n <= 16; n++) {
        int orientation = (n - 1) % 8 + 1;
        struct bytes exif = make_exif(n > 8, (unsigned)orientation), app1 = {0}, jpeg, png = {0};
        struct env env = {0};
        struct image image;
        put(&app1, "Exif\0", 6);
        put(&app1, exif.data, exif.n);
        jpeg = jpeg_with(&plain, 0xe1, app1.data, app1.n);
        CHECK_EQ(image_decode(&env, jpeg.data, jpeg.n, "test", &hf, &image), VLQA_OK);
        if (image.rgb) check_corners(&image, orientation);
        image_free(&image);

        png_begin(&png, 32, 16, 8, 2);
        png_pixels(&png, rgb, 96, 16);
        png_chunk(&png, "eXIf", exif.data, exif.n);
        png_chunk(&png, "IEND", NULL, 0);
        CHECK_EQ(image_decode(&env, png.data, png.n, "test", &white, &image), VLQA_OK);
        if (image.rgb) check_corners(&image, orientation);
        image_free(&image);
        drop(&exif), drop(&app1), drop(&jpeg), drop(&png);
    }
    drop(&plain);
}

TEST(exif_is_read_to_its_last_byte_and_not_beyond)
{
    for (int big = 0; big < 2; big++) {
        struct bytes exif = make_exif(big, 6);
        for (size_t n = 0; n <= exif.n; n++) {
            uint8_t *copy = heap_alloc(n); /* of that size, so that a read beyond it is seen */
            memcpy(copy, exif.data, n);
            CHECK_EQ(image_exif_orientation(copy, n), n < 34 ? 0 : 6);
            heap_free(copy);
        }
        drop(&exif);
    }
}

static double difference(const struct image *a, const struct image *b)
{
    double sum = 0;
    int n = a->width * a->height * 3;
    for (int i = 0; i < n; i++)
        sum += abs(a->rgb[i] - b->rgb[i]);
    return sum / n;
}

/* 1 when it is not there, or of a format that this build lacks. */
static int load_odd(const char *file, struct image *out)
{
    struct env env = {0};
    char path[512];
    snprintf(path, sizeof path, ODD "files/%s", file);
    if (!file_exists(path)) return 1;
    if (load_image(&env, path, &hf, out) == VLQA_OK) return 0;
    if (!is_missing(env.message)) CHECK_FAIL("%s", env.message);
    return 1;
}

TEST(one_portrait_stored_in_five_orientations_is_one_portrait)
{
    static const char *const turned[] = {
        "pil_hopper_orientation_2.jpg", "pil_hopper_orientation_3.jpg",
        "pil_hopper_orientation_7.jpg", "pil_hopper_orientation_8.jpg",
        "pil_hopper_orientation_6.webp"};
    struct image upright, image;
    if (load_odd("pil_hopper.bmp", &upright)) SKIP(NO_DATA);
    for (size_t i = 0; i < sizeof turned / sizeof *turned; i++) {
        if (load_odd(turned[i], &image)) continue;
        if (image.width != upright.width || image.height != upright.height ||
            difference(&image, &upright) > 12)
            CHECK_FAIL("%s differs by %.1f levels", turned[i], difference(&image, &upright));
        image_free(&image);
    }
    image_free(&upright);
}

TEST(damaged_exif_leaves_the_picture_as_stored)
{
    static uint8_t rgb[32 * 16 * 3];
    struct bytes plain, exif = make_exif(0, 6);
    struct env env = {0};
    struct image image;
    fill_quadrants(rgb, 32, 16);
    plain = make_jpeg(rgb, 32, 16, 0);
    for (size_t i = 0; i < 2 * exif.n; i++) { /* cut at each byte, then each byte wrong */
        struct bytes app1 = {0}, jpeg;
        int cut = i < exif.n;
        put(&app1, "Exif\0", 6);
        put(&app1, exif.data, cut ? i : exif.n);
        if (!cut) app1.data[6 + i - exif.n] ^= 0xff;
        jpeg = jpeg_with(&plain, 0xe1, app1.data, app1.n);
        CHECK_EQ(image_decode(&env, jpeg.data, jpeg.n, "test", &hf, &image), VLQA_OK);
        if (cut && i < 34) CHECK_EQ(image.width, 32); /* the entry ends at byte 34 */
        image_free(&image);
        drop(&app1), drop(&jpeg);
    }
    drop(&plain), drop(&exif);
}

/* --- notes of all kinds --------------------------------------------------------------------- */

#define WIDE 32
#define HIGH 16

static uint8_t stored[WIDE * HIGH * 3];

/* A file with one note or none after the other: what says it, how, and what it says. */
enum carrier { EXIF, PROFILE_EXIF, XMP, PROFILE_APP1, PROFILE_XMP };
enum packing { PLAIN, PACKED, INTERNATIONAL, INTERNATIONAL_PACKED };

static struct bytes make_xmp(int element, unsigned orientation)
{
    char text[400];
    struct bytes b = {0};
    snprintf(text, sizeof text,
             element ? "<rdf:Description><tiff:Orientation>%u</tiff:Orientation></rdf:Description>"
                     : "<rdf:Description tiff:Orientation=\"%u\"/>",
             orientation);
    put(&b, text, strlen(text));
    return b;
}

/* A zlib stream of stored blocks. */
static struct bytes make_zlib(const void *data, size_t n)
{
    struct bytes z = {0};
    const uint8_t *p = data;
    uint32_t low = 1, high = 0;
    put(&z, "\x78\x01\x01", 3);
    put_le(&z, (uint32_t)n, 2), put_le(&z, ~(uint32_t)n, 2);
    put(&z, data, n);
    for (size_t i = 0; i < n; i++) {
        low = (low + p[i]) % 65521;
        high = (high + low) % 65521;
    }
    put_be(&z, high << 16 | low, 4);
    return z;
}

/* As ImageMagick and exiftool write it: a name, a length and lines of digits. */
static struct bytes make_profile(const char *head, size_t head_bytes, const struct bytes *note)
{
    struct bytes b = {0}, all = {0};
    char text[64];
    put(&all, head, head_bytes);
    put(&all, note->data, note->n);
    snprintf(text, sizeof text, "\nnote\n%8zu\n", all.n);
    put(&b, text, strlen(text));
    for (size_t i = 0; i < all.n; i++) {
        snprintf(text, sizeof text, i % 36 == 35 ? "%02x\n" : i % 2 ? "%02X" : "%02x", all.data[i]);
        put(&b, text, strlen(text));
    }
    put(&b, "\n", 1);
    drop(&all);
    return b;
}

static void png_text(struct bytes *png, enum packing packing, const char *keyword, const void *text,
                     size_t n)
{
    static const char *const type[] = {"tEXt", "zTXt", "iTXt", "iTXt"};
    struct bytes body = {0}, z = make_zlib(text, n);
    put(&body, keyword, strlen(keyword) + 1);
    if (packing == PACKED) put(&body, "", 1);
    if (packing == INTERNATIONAL) put(&body, "\0\0en\0wort", 10);
    if (packing == INTERNATIONAL_PACKED) put(&body, "\1\0en\0wort", 10);
    if (packing == PACKED || packing == INTERNATIONAL_PACKED)
        put(&body, z.data, z.n);
    else
        put(&body, text, n);
    png_chunk(png, type[packing], body.data, body.n);
    drop(&body), drop(&z);
}

static void png_note(struct bytes *png, enum carrier by, enum packing packing, unsigned orientation)
{
    struct bytes exif = make_exif(orientation & 1, orientation), xmp = make_xmp(0, orientation);
    struct bytes profile = {0};
    switch (by) {
    case EXIF:
        png_chunk(png, "eXIf", exif.data, exif.n);
        break;
    case PROFILE_EXIF:
        profile = make_profile("Exif\0", 6, &exif);
        png_text(png, packing, "Raw profile type exif", profile.data, profile.n);
        break;
    case XMP:
        png_text(png, packing, "XML:com.adobe.xmp", xmp.data, xmp.n);
        break;
    case PROFILE_APP1:
        profile = orientation & 2 ? make_profile("Exif\0", 6, &exif)
                                  : make_profile(IMAGE_XMP_HEADER, sizeof IMAGE_XMP_HEADER, &xmp);
        png_text(png, packing, "Raw profile type APP1", profile.data, profile.n);
        break;
    case PROFILE_XMP:
        profile = make_profile("", 0, &xmp);
        png_text(png, packing, "Raw profile type xmp", profile.data, profile.n);
        break;
    }
    drop(&exif), drop(&xmp), drop(&profile);
}

static struct bytes begin_png(void)
{
    struct bytes png = {0};
    fill_quadrants(stored, WIDE, HIGH);
    png_begin(&png, WIDE, HIGH, 8, 2);
    return png;
}

static void end_png(struct bytes *png)
{
    png_pixels(png, stored, WIDE * 3, HIGH);
    png_chunk(png, "IEND", NULL, 0);
}

/* Takes the file. */
static void check_upright(struct bytes file, int orientation)
{
    struct env env = {0};
    struct image image;
    CHECK_EQ(image_decode(&env, file.data, file.n, "test", &hf, &image), VLQA_OK);
    if (image.rgb) check_corners(&image, orientation);
    image_free(&image);
    drop(&file);
}

TEST(a_png_that_was_turned_in_a_text_is_not_left_lying)
{
    for (unsigned o = 1; o <= 8; o++)
        for (enum carrier by = EXIF; by <= PROFILE_XMP; by++)
            for (enum packing packing = PLAIN; packing <= INTERNATIONAL_PACKED; packing++) {
                struct bytes before = begin_png(), behind = begin_png();
                png_note(&before, by, packing, o);
                end_png(&before);
                png_pixels(&behind, stored, WIDE * 3, HIGH);
                png_note(&behind, by, packing, o);
                png_chunk(&behind, "IEND", NULL, 0);
                check_upright(before, (int)o);
                check_upright(behind, (int)o);
            }
}

static struct bytes jpeg_note(const struct bytes *jpeg, const char *head, size_t head_bytes,
                              const struct bytes *note)
{
    struct bytes body = {0}, out;
    put(&body, head, head_bytes);
    put(&body, note->data, note->n);
    out = jpeg_with(jpeg, 0xe1, body.data, body.n);
    drop(&body);
    return out;
}

TEST(a_jpeg_that_was_turned_in_its_xmp_is_not_left_lying)
{
    struct bytes plain;
    fill_quadrants(stored, WIDE, HIGH);
    plain = make_jpeg(stored, WIDE, HIGH, 0);
    for (unsigned o = 1; o <= 8; o++)
        for (int element = 0; element < 2; element++) {
            struct bytes xmp = make_xmp(element, o);
            check_upright(jpeg_note(&plain, IMAGE_XMP_HEADER, sizeof IMAGE_XMP_HEADER, &xmp),
                          (int)o);
            drop(&xmp);
        }
    drop(&plain);
}

static void riff_chunk(struct bytes *b, const char *type, const void *data, size_t n)
{
    put(b, type, 4);
    put_le(b, (uint32_t)n, 4);
    put(b, data, n);
    if (n & 1) put_byte(b, 0);
}

/* The quadrants without loss, and notes where they are not empty. */
static struct bytes make_webp(const struct bytes *exif, const struct bytes *xmp)
{
    static const char picture[] =
        "\x56\x50\x38\x4c\x36\x00\x00\x00\x2f\x1f\xc0\x03\x00\x1f\x20\x10\x20\x54\xaa\x97\x20\x48"
        "\x20\x40\xbc\x89\x10\xa9\x49\x8c\x40\x80\xd0\x26\x57\x93\x98\xf9\x8f\xfe\xc8\x80\x01\x41"
        "\xb6\xcd\x24\x27\x39\xc9\x03\x5c\x20\xa2\xff\x51\xa5\xfa\xdb\x36\x80\x1f";
    struct bytes b = {0}, body = {0}, size = {0};
    put_byte(&size, (exif->n ? 8u : 0) | (xmp->n ? 4u : 0));
    put_le(&size, 0, 3), put_le(&size, WIDE - 1, 3), put_le(&size, HIGH - 1, 3);
    riff_chunk(&body, "VP8X", size.data, size.n);
    put(&body, picture, sizeof picture - 1);
    if (exif->n) riff_chunk(&body, "EXIF", exif->data, exif->n);
    if (xmp->n) riff_chunk(&body, "XMP ", xmp->data, xmp->n);
    put(&b, "RIFF", 4);
    put_le(&b, (uint32_t)body.n + 4, 4);
    put(&b, "WEBP", 4);
    put(&b, body.data, body.n);
    drop(&body), drop(&size);
    return b;
}

static int reads_webp(void)
{
    struct bytes none = {0}, file = make_webp(&none, &none);
    struct env env = {0};
    struct image image;
    vlqa_status status = image_decode(&env, file.data, file.n, "test", &hf, &image);
    image_free(&image);
    drop(&file);
    return status == VLQA_OK || !is_missing(env.message);
}

TEST(a_webp_that_was_turned_in_its_xmp_is_not_left_lying)
{
    if (!reads_webp()) SKIP("this build reads no WebP");
    for (unsigned o = 1; o <= 8; o++)
        for (int element = 0; element < 2; element++) {
            struct bytes none = {0}, xmp = make_xmp(element, o);
            check_upright(make_webp(&none, &xmp), (int)o);
            drop(&xmp);
        }
}

/* exif, xmp: what they say, negative: no such note. Pillow 13 turns each as `turned` says. */
static const struct {
    int exif, xmp, turned;
} both[] = {
    {6, 3, 6},  {3, 6, 3},  {1, 6, 1}, /* Exif has the word */
    {0, 6, 1},  {9, 6, 1},             /* also with a value that says nothing */
    {-1, 6, 6}, {6, -1, 6}, {-1, 0, 1}, {-1, 9, 1}, {-1, -1, 1},
};

static struct bytes exif_or_none(int orientation)
{
    struct bytes none = {0};
    return orientation < 0 ? none : make_exif(0, (unsigned)orientation);
}

static struct bytes xmp_or_none(int orientation)
{
    struct bytes none = {0};
    return orientation < 0 ? none : make_xmp(1, (unsigned)orientation);
}

TEST(exif_goes_before_xmp_as_pillow_has_it)
{
    struct bytes plain;
    fill_quadrants(stored, WIDE, HIGH);
    plain = make_jpeg(stored, WIDE, HIGH, 0);
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        struct bytes exif = exif_or_none(both[i].exif), xmp = xmp_or_none(both[i].xmp);
        struct bytes with_exif = jpeg_note(&plain, "Exif\0", 6, &exif), png = begin_png();
        check_upright(jpeg_note(&with_exif, IMAGE_XMP_HEADER, sizeof IMAGE_XMP_HEADER, &xmp),
                      both[i].turned);
        drop(&with_exif);
        if (both[i].xmp >= 0) png_note(&png, XMP, PACKED, (unsigned)both[i].xmp);
        if (both[i].exif >= 0) png_note(&png, PROFILE_EXIF, PACKED, (unsigned)both[i].exif);
        end_png(&png);
        check_upright(png, both[i].turned);
        if (reads_webp()) check_upright(make_webp(&exif, &xmp), both[i].turned);
        drop(&exif), drop(&xmp);
    }
    drop(&plain);
}

TEST(of_several_notes_in_a_png_the_order_of_pillow_decides)
{
    static const enum carrier order[] = {EXIF, PROFILE_EXIF, XMP, PROFILE_APP1, PROFILE_XMP};
    for (size_t from = 0; from < 5; from++) {
        struct bytes png = begin_png();
        for (size_t i = 5; i-- > from;)
            png_note(&png, order[i], PACKED, i == from ? 6 : 3);
        end_png(&png);
        check_upright(png, 6);
    }
    struct bytes png = begin_png();
    png_note(&png, XMP, PLAIN, 3);
    png_note(&png, XMP, INTERNATIONAL_PACKED, 8); /* the last of a kind */
    end_png(&png);
    check_upright(png, 8);
}

TEST(a_note_behind_the_picture_of_a_jpeg_belongs_to_another_one)
{
    struct bytes plain, exif = make_exif(0, 6), file = {0};
    fill_quadrants(stored, WIDE, HIGH);
    plain = make_jpeg(stored, WIDE, HIGH, 0);
    put(&file, plain.data, plain.n);
    put(&file, "\xff\xd8\xff\xe1", 4); /* as MPO and Ultra HDR have a second one there */
    put_be(&file, (uint32_t)exif.n + 8, 2);
    put(&file, "Exif\0", 6);
    put(&file, exif.data, exif.n);
    check_upright(file, 1);
    drop(&plain), drop(&exif);
}

/* --- hostile notes -------------------------------------------------------------------------- */

struct bits {
    struct bytes *to;
    unsigned hold, n;
};

static void put_bits(struct bits *b, unsigned value, unsigned n)
{
    b->hold |= value << b->n;
    for (b->n += n; b->n >= 8; b->n -= 8, b->hold >>= 8)
        put_byte(b->to, b->hold & 255);
}

/* `text`, and then a last byte 258 times `runs` over: 13 bits each. */
static struct bytes make_bomb(const char *text, int runs)
{
    struct bytes z = {0};
    struct bits bits = {&z, 0, 0};
    size_t n = strlen(text);
    put(&z, "\x78\x01", 2);
    put_byte(&z, 0); /* a stored block, not the last one */
    put_le(&z, (uint32_t)n, 2), put_le(&z, ~(uint32_t)n, 2);
    put(&z, text, n);
    put_bits(&bits, 1 | 1 << 1, 3); /* the last one, with the fixed codes */
    for (int i = 0; i < runs; i++) {
        put_bits(&bits, 0xa3, 8); /* length 258: 11000101, its first bit first */
        put_bits(&bits, 0, 5);    /* distance 1 */
    }
    put_bits(&bits, 0, 7 + 7); /* end, and to the byte */
    return z;
}

static void check_bomb(const struct bytes *bomb, int orientation)
{
    struct bytes body = {0}, png = begin_png();
    put(&body, "XML:com.adobe.xmp\0", 19);
    put(&body, bomb->data, bomb->n);
    png_chunk(&png, "zTXt", body.data, body.n);
    end_png(&png);
    check_upright(png, orientation);
    drop(&body);
}

TEST(a_packed_note_is_unfolded_to_its_bound_and_no_further)
{
    uint8_t *room = heap_alloc(PNG_NOTE_BYTES);
    struct bytes bomb = make_bomb("tiff:Orientation=\"6\"", 400000); /* 100 MB from 650 KB */
    CHECK_EQ(image_inflate(bomb.data, bomb.n, room, PNG_NOTE_BYTES), PNG_NOTE_BYTES);
    CHECK_EQ(room[PNG_NOTE_BYTES - 258], '"');
    CHECK_EQ(image_inflate(bomb.data, bomb.n - 10, room, 64), 64);
    check_bomb(&bomb, 6); /* said before the bound */
    drop(&bomb);
    bomb = make_bomb("tiff:Orientation=\"6\"", 10);
    CHECK_EQ(image_inflate(bomb.data, bomb.n, room, PNG_NOTE_BYTES), 20 + 2580);
    CHECK_EQ(image_inflate(bomb.data, 30, room, PNG_NOTE_BYTES), 0); /* cut off */
    drop(&bomb);
    heap_free(room);
}

TEST(damaged_notes_leave_the_picture_as_stored)
{
    static const struct {
        const char *type;
        const char *body;
        size_t n;
    } notes[] = {
        {"tEXt", "", 0},
        {"tEXt", "XML:com.adobe.xmp", 17}, /* no NUL */
        {"zTXt", "XML:com.adobe.xmp\0", 18},
        {"zTXt", "XML:com.adobe.xmp\0\1x", 20},
        {"zTXt", "XML:com.adobe.xmp\0\0\x78\x9c\xff\xff", 23},
        {"iTXt", "XML:com.adobe.xmp\0", 18},
        {"iTXt", "XML:com.adobe.xmp\0\0\0en", 22},
        {"iTXt", "XML:com.adobe.xmp\0\1\7en\0\0x", 25},
        {"tEXt", "XML:com.adobe.xmp\0tiff:Orientation=", 35},
        {"tEXt", "XML:com.adobe.xmp\0tiff:Orientation=\"", 36},
        {"tEXt", "XML:com.adobe.xmp\0tiff:Orientation>", 35},
        {"tEXt", "XML:com.adobe.xmp\0tiff:Orientation>x6", 37},
        {"tEXt", "Raw profile type exif\0\nexif\n8\n", 31},
        {"tEXt", "Raw profile type exif\0\nexif\n8\n4d4d002", 38},
        {"tEXt", "Raw profile type exif\0zz", 24},
        {"eXIf", "", 0},
    };
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        struct bytes png = begin_png();
        png_chunk(&png, notes[i].type, notes[i].body, notes[i].n);
        end_png(&png);
        check_upright(png, 1);
    }
}

TEST(without_memory_for_a_note_nothing_is_left_lying)
{
    struct bytes png = begin_png();
    vlqa_status status = VLQA_EMEMORY;
    uint64_t live;
    int64_t n;
    png_note(&png, PROFILE_EXIF, PACKED, 6);
    end_png(&png);
    live = heap_live();
    for (n = 0; status == VLQA_EMEMORY && n < 50; n++) {
        struct env env = {0};
        struct image image;
        heap_fail_after(n);
        status = image_decode(&env, png.data, png.n, "test", &hf, &image);
        heap_fail_after(-1);
        if (status == VLQA_OK) CHECK_EQ(image.width, HIGH);
        image_free(&image);
        CHECK_EQ(heap_live(), live);
    }
    CHECK_EQ(status, VLQA_OK);
    CHECK(n > 2);
    drop(&png);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
