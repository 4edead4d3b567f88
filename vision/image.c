/* image.c - from bytes to upright RGB: which codec, within which limits, over which background. */
#include "vision/image_codec.h"

#include "base/heap.h"
#include "base/placeholder.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

static const struct image_codec *const codecs[] = {&image_codec_jpeg, &image_codec_png,
                                                   &image_codec_bmp, &image_codec_webp};

vlqa_status image_ends_early(struct env *env, const struct image_file *file)
{
    return env_fail(env, VLQA_EIMAGE, "%s: the file ends early, after %zu bytes", file->name,
                    file->bytes);
}

static vlqa_status find_codec(struct env *env, const struct image_file *file,
                              const struct image_codec **out)
{
    const char *foreign, *convert;
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (codecs[i]->accepts(file)) {
            *out = codecs[i];
            return VLQA_OK;
        }
    if (!file->bytes) return env_fail(env, VLQA_EIMAGE, "%s: the file is empty", file->name);
    foreign = image_foreign_format(file);
    convert = foreign ? image_foreign_command(foreign) : NULL;
    if (foreign)
        return env_fail(env, VLQA_EIMAGE,
                        "%s: this is %s, which is not read; JPEG, PNG, BMP and WebP are%s%s",
                        file->name, foreign, convert ? "; convert it, for example with: " : "",
                        convert ? convert : "");
    TRY(placeholder_check(env, VLQA_EIMAGE, file->name, file->data, file->bytes));
    return env_fail(env, VLQA_EIMAGE, "%s: no image format is recognised (first byte 0x%02x)",
                    file->name, file->data[0]);
}

static vlqa_status read_header(struct env *env, const struct image_file *file,
                               const struct image_codec **codec, struct image_header *header)
{
    TRY(find_codec(env, file, codec));
    TRY((*codec)->read_header(env, file, header));
    if (header->width < 1 || header->height < 1)
        return env_fail(env, VLQA_EIMAGE, "%s: %lld x %lld pixels, expected at least one",
                        file->name, (long long)header->width, (long long)header->height);
    return VLQA_OK;
}

/* What Pillow's paste over white gives: rounded division by 255. */
static uint8_t over_white(uint8_t colour, uint8_t alpha)
{
    unsigned t = (unsigned)colour * alpha + 255u * (255u - alpha) + 128u;
    return (uint8_t)((t + (t >> 8)) >> 8);
}

static void write_rgb(uint8_t *rgb, const uint8_t *pixel, int channels, int white)
{
    int colours = channels < 3 ? 1 : 3, has_alpha = channels == 2 || channels == 4;
    for (int c = 0; c < 3; c++) {
        uint8_t v = pixel[colours == 1 ? 0 : c];
        rgb[c] = has_alpha && white ? over_white(v, pixel[colours]) : v;
    }
}

/* Where the stored pixel (x, y) stands in the upright image: at origin + x * dx + y * dy, counted
 * in pixels. */
struct turn {
    int64_t origin, dx, dy;
};

static struct turn turn_of(int orientation, int64_t w, int64_t h)
{
    switch (orientation) {
    case 2:
        return (struct turn){w - 1, -1, w};
    case 3:
        return (struct turn){w * h - 1, -1, -w};
    case 4:
        return (struct turn){(h - 1) * w, 1, -w};
    case 5:
        return (struct turn){0, h, 1};
    case 6:
        return (struct turn){h - 1, h, -1};
    case 7:
        return (struct turn){w * h - 1, -h, -1};
    case 8:
        return (struct turn){(w - 1) * h, -h, 1};
    default:
        return (struct turn){0, 1, w};
    }
}

static void turn_upright(const struct image_raw *raw, const struct image_header *header, int white,
                         uint8_t *rgb)
{
    struct turn turn = turn_of(raw->orientation, header->width, header->height);
    const uint8_t *pixel = raw->data;
    for (int64_t y = 0; y < header->height; y++) {
        int64_t at = turn.origin + y * turn.dy;
        for (int64_t x = 0; x < header->width; x++, at += turn.dx, pixel += raw->channels)
            write_rgb(rgb + 3 * at, pixel, raw->channels, white);
    }
}

/* Takes raw->data over. */
static vlqa_status finish(struct env *env, const struct image_file *file,
                          const struct image_header *header, struct image_raw *raw, int white,
                          struct image *out)
{
    int turned = raw->orientation > 4;
    if (raw->channels != 3 || raw->orientation != 1) {
        size_t bytes = (size_t)header->width * (size_t)header->height * 3;
        uint8_t *rgb = heap_alloc(bytes);
        if (rgb) turn_upright(raw, header, white, rgb);
        heap_free(raw->data);
        if (!rgb) return env_no_memory(env, file->name, bytes);
        raw->data = rgb;
    }
    out->rgb = raw->data;
    out->width = (int)(turned ? header->height : header->width);
    out->height = (int)(turned ? header->width : header->height);
    return VLQA_OK;
}

static int64_t pixel_limit(const struct image_limits *limits)
{
    assert(limits->max_pixels > 0);
    return limits->max_pixels < INT_MAX ? limits->max_pixels : INT_MAX;
}

static vlqa_status too_large(struct env *env, const struct image_file *file,
                             const struct image_header *header, int64_t limit)
{
    double pixels = (double)header->width * (double)header->height;
    char more[64] = "";
    if (pixels <= INT_MAX) snprintf(more, sizeof more, "; image_max_pixels %.0f reads it", pixels);
    return env_fail(env, VLQA_EIMAGE, "%s: %lld x %lld pixels, the limit is %lld%s", file->name,
                    (long long)header->width, (long long)header->height, (long long)limit, more);
}

vlqa_status image_decode(struct env *env, const void *data, size_t bytes, const char *name,
                         const struct image_limits *limits, struct image *out)
{
    const struct image_file file = {data, bytes, name};
    const struct image_codec *codec = NULL;
    struct image_header header;
    struct image_raw raw = {NULL, 0, 1};
    int64_t limit = pixel_limit(limits);
    *out = (struct image){NULL, 0, 0};
    TRY(read_header(env, &file, &codec, &header));
    if (header.width > limit / header.height) return too_large(env, &file, &header, limit);
    TRY(codec->decode(env, &file, &header, limit, &raw));
    return finish(env, &file, &header, &raw, limits->mode == VLQA_IMAGE_WHITE, out);
}

void image_free(struct image *image)
{
    heap_free(image->rgb);
    *image = (struct image){NULL, 0, 0};
}
