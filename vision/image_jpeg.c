/* image_jpeg.c - JPEG through libjpeg-turbo, after a walk over the markers that it does not make.
 *
 * The walk finds what libjpeg-turbo would decode with a warning (a file that ends early) or for
 * very long (thousands of scans), names the kinds that it refuses, and reads the orientation. */
#include "vision/image_codec.h"

#include "base/heap.h"

#include <turbojpeg.h>

#define MAX_SCANS 500

enum marker {
    TEM = 0x01,
    SOF0 = 0xc0,
    SOF2 = 0xc2,
    DHT = 0xc4,
    JPG = 0xc8,
    SOF9 = 0xc9,
    SOF10 = 0xca,
    DAC = 0xcc,
    SOF15 = 0xcf,
    RST0 = 0xd0,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    APP1 = 0xe1
};

struct jpeg {
    int64_t width, height;
    int frame; /* which SOF; 0: none yet */
    int bits, components, scans, complete;
    struct image_note exif, xmp; /* before the first scan */
};

/* The marker at or behind *at, -1 when there is none; *at moves behind it. Entropy-coded data and
 * stray bytes are stepped over alike. */
static int next_marker(const struct image_file *file, size_t *at)
{
    while (*at < file->bytes) {
        const uint8_t *ff = memchr(file->data + *at, 0xff, file->bytes - *at);
        if (!ff) break;
        *at = (size_t)(ff - file->data);
        while (*at < file->bytes && file->data[*at] == 0xff)
            ++*at;
        if (*at < file->bytes && file->data[(*at)++] != 0) return file->data[*at - 1];
    }
    *at = file->bytes;
    return -1;
}

static int is_frame(int marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

static int stands_alone(int marker)
{
    return marker == TEM || (marker >= RST0 && marker <= SOI);
}

/* A long Exif block goes on in further segments: its field of interest is in the first. Of XMP the
 * last counts. */
static void take_note(const uint8_t *body, size_t bytes, struct jpeg *out)
{
    static const char xmp[] = IMAGE_XMP_HEADER; /* its NUL belongs to it */
    if (bytes > 6 && memcmp(body, "Exif\0", 6) == 0) {
        if (!out->exif.data) out->exif = (struct image_note){body, bytes};
    } else if (bytes >= sizeof xmp && memcmp(body, xmp, sizeof xmp) == 0) {
        out->xmp = (struct image_note){body + sizeof xmp, bytes - sizeof xmp};
    }
}

static void take_segment(int marker, const uint8_t *body, size_t bytes, struct jpeg *out)
{
    if (is_frame(marker) && !out->frame && bytes >= 6) {
        out->frame = marker;
        out->bits = body[0];
        out->height = get_be16(body + 1);
        out->width = get_be16(body + 3);
        out->components = body[5];
    } else if (marker == APP1 && !out->scans) {
        take_note(body, bytes, out);
    } else if (marker == SOS) {
        out->scans++;
    }
}

static struct jpeg walk(const struct image_file *file)
{
    struct jpeg out = {0};
    size_t at = 2;
    int marker;
    while ((marker = next_marker(file, &at)) >= 0) {
        if (stands_alone(marker)) continue;
        if (marker == EOI) {
            out.complete = 1;
            break;
        }
        if (file->bytes - at < 2) break;
        size_t bytes = get_be16(file->data + at);
        if (bytes < 2 || bytes > file->bytes - at) break;
        take_segment(marker, file->data + at + 2, bytes - 2, &out);
        at += bytes;
    }
    return out;
}

static int accepts(const struct image_file *file)
{
    return image_has(file, 0, "\xff\xd8\xff", 3);
}

static vlqa_status read_header(struct env *env, const struct image_file *file,
                               struct image_header *out)
{
    struct jpeg jpeg = walk(file);
    if (!jpeg.frame && !jpeg.complete) return image_ends_early(env, file);
    if (!jpeg.frame)
        return env_fail(env, VLQA_EIMAGE, "%s: damaged JPEG: it has no frame header", file->name);
    *out = (struct image_header){jpeg.width, jpeg.height};
    return VLQA_OK;
}

/* Kinds that libjpeg-turbo refuses, in words that name them. */
static vlqa_status check_kind(struct env *env, const struct image_file *file,
                              const struct jpeg *jpeg)
{
    int coded = jpeg->frame <= SOF2 || jpeg->frame == SOF9 || jpeg->frame == SOF10;
    if (!coded)
        return env_fail(env, VLQA_EIMAGE, "%s: lossless or hierarchical JPEG (SOF%d) is not read",
                        file->name, jpeg->frame - SOF0);
    if (jpeg->bits != 8)
        return env_fail(env, VLQA_EIMAGE, "%s: JPEG with %d bits a sample, only 8 are read",
                        file->name, jpeg->bits);
    if (jpeg->components != 1 && jpeg->components != 3 && jpeg->components != 4)
        return env_fail(env, VLQA_EIMAGE, "%s: JPEG with %d components, expected 1, 3 or 4",
                        file->name, jpeg->components);
    if (jpeg->scans > MAX_SCANS)
        return env_fail(env, VLQA_EIMAGE, "%s: JPEG with %d scans, the limit is %d", file->name,
                        jpeg->scans, MAX_SCANS);
    if (!jpeg->complete) return image_ends_early(env, file);
    return VLQA_OK;
}

/* Stored as Adobe does, inverted, as Pillow takes every CMYK JPEG; in place, 4 bytes to 3. */
static void cmyk_to_rgb(uint8_t *p, size_t pixels)
{
    const uint8_t *in = p;
    for (size_t i = 0; i < pixels; i++, in += 4, p += 3) {
        int white = in[3];
        for (int c = 0; c < 3; c++) {
            int t = (255 - in[c]) * white + 128, v = white - ((t + (t >> 8)) >> 8);
            p[c] = (uint8_t)(v < 0 ? 0 : v);
        }
    }
}

static vlqa_status turbo(struct env *env, const struct image_file *file,
                         const struct image_header *header, int components, tjhandle handle,
                         uint8_t *out)
{
    int width = 0, height = 0, sampling, space;
    int format = components == 4 ? TJPF_CMYK : TJPF_RGB;
    /* An unusual chroma sampling fails here and decodes all the same; the size is there. */
    (void)tjDecompressHeader3(handle, file->data, (unsigned long)file->bytes, &width, &height,
                              &sampling, &space);
    if (width != header->width || height != header->height)
        return env_fail(env, VLQA_EIMAGE, "%s: damaged JPEG: %s", file->name,
                        tjGetErrorStr2(handle));
    if (tjDecompress2(handle, file->data, (unsigned long)file->bytes, out, width, 0, height, format,
                      0) != 0 &&
        tjGetErrorCode(handle) != TJERR_WARNING)
        return env_fail(env, VLQA_EIMAGE, "%s: damaged JPEG: %s", file->name,
                        tjGetErrorStr2(handle));
    return VLQA_OK;
}

static vlqa_status decode(struct env *env, const struct image_file *file,
                          const struct image_header *header, int64_t max_pixels,
                          struct image_raw *out)
{
    struct jpeg jpeg = walk(file);
    size_t pixels = (size_t)header->width * (size_t)header->height;
    size_t bytes = pixels * (jpeg.components == 4 ? 4 : 3);
    tjhandle handle;
    uint8_t *data;
    vlqa_status status;
    (void)max_pixels; /* at most 8 bytes a pixel of coefficients, and what is allocated here */
    TRY(check_kind(env, file, &jpeg));
    handle = tjInitDecompress();
    data = heap_alloc_zero(bytes); /* what a damaged file leaves out is black */
    status = handle && data ? turbo(env, file, header, jpeg.components, handle, data)
                            : env_no_memory(env, file->name, bytes);
    if (handle) tjDestroy(handle);
    if (status != VLQA_OK) {
        heap_free(data);
        return status;
    }
    if (jpeg.components == 4) cmyk_to_rgb(data, pixels);
    *out = (struct image_raw){data, 3, image_orientation(jpeg.exif, jpeg.xmp)};
    return VLQA_OK;
}

const struct image_codec image_codec_jpeg = {accepts, read_header, decode};
