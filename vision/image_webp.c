/* image_webp.c - WebP through libwebp where it was found at build time. */
#include "vision/image_codec.h"

static int accepts(const struct image_file *file)
{
    return image_has(file, 0, "RIFF", 4) && image_has(file, 8, "WEBP", 4);
}

#ifdef VLQA_WEBP
#include "base/heap.h"

#include <webp/decode.h>
#include <webp/demux.h>

#define RIFF_HEADER 12
#define CHUNK_HEADER 8

static vlqa_status bad(struct env *env, const struct image_file *file)
{
    return env_fail(env, VLQA_EIMAGE, "%s: damaged WebP", file->name);
}

static vlqa_status read_features(struct env *env, const struct image_file *file,
                                 WebPBitstreamFeatures *out)
{
    VP8StatusCode code = WebPGetFeatures(file->data, file->bytes, out);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA) return image_ends_early(env, file);
    return code == VP8_STATUS_OK ? VLQA_OK : bad(env, file);
}

static vlqa_status read_header(struct env *env, const struct image_file *file,
                               struct image_header *out)
{
    WebPBitstreamFeatures features;
    TRY(read_features(env, file, &features));
    *out = (struct image_header){features.width, features.height};
    return VLQA_OK;
}

/* The RIFF header counts the bytes behind its own first eight. */
static int is_whole(const struct image_file *file)
{
    return file->bytes >= RIFF_HEADER && get_le32(file->data + 4) <= file->bytes - 8;
}

static int orientation_of(const struct image_file *file)
{
    struct image_note exif = {NULL, 0}, xmp = {NULL, 0};
    size_t at = RIFF_HEADER;
    while (at < file->bytes && file->bytes - at >= CHUNK_HEADER) {
        const uint8_t *chunk = file->data + at;
        size_t bytes = get_le32(chunk + 4), left = file->bytes - at - CHUNK_HEADER;
        struct image_note note = {chunk + CHUNK_HEADER, bytes};
        if (bytes > left) break;
        if (memcmp(chunk, "EXIF", 4) == 0 && !exif.data) exif = note;
        if (memcmp(chunk, "XMP ", 4) == 0 && !xmp.data) xmp = note;
        at += CHUNK_HEADER + bytes + (bytes & 1);
    }
    return image_orientation(exif, xmp);
}

/* The canvas after the first frame. */
static vlqa_status decode_first_frame(struct env *env, const struct image_file *file, uint8_t *rgba,
                                      size_t bytes)
{
    const WebPData data = {file->data, file->bytes};
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, NULL);
    uint8_t *canvas;
    int time, ok = decoder && WebPAnimDecoderGetNext(decoder, &canvas, &time);
    if (ok) memcpy(rgba, canvas, bytes);
    WebPAnimDecoderDelete(decoder);
    return ok ? VLQA_OK : bad(env, file);
}

static vlqa_status decode_still(struct env *env, const struct image_file *file, uint8_t *rgba,
                                size_t bytes, int stride)
{
    int ok = WebPDecodeRGBAInto(file->data, file->bytes, rgba, bytes, stride) != NULL;
    return ok ? VLQA_OK : bad(env, file);
}

static vlqa_status decode(struct env *env, const struct image_file *file,
                          const struct image_header *header, int64_t max_pixels,
                          struct image_raw *out)
{
    size_t bytes = (size_t)header->width * (size_t)header->height * 4;
    WebPBitstreamFeatures features;
    uint8_t *rgba;
    vlqa_status status;
    (void)max_pixels; /* an animation's two canvases and ours: 12 bytes a pixel */
    TRY(read_features(env, file, &features));
    if (!is_whole(file)) return image_ends_early(env, file);
    rgba = heap_alloc(bytes);
    if (!rgba) return env_no_memory(env, file->name, bytes);
    status = features.has_animation ? decode_first_frame(env, file, rgba, bytes)
                                    : decode_still(env, file, rgba, bytes, (int)header->width * 4);
    if (status != VLQA_OK) {
        heap_free(rgba);
        return status;
    }
    *out = (struct image_raw){rgba, 4, orientation_of(file)};
    return VLQA_OK;
}

#else

static vlqa_status read_header(struct env *env, const struct image_file *file,
                               struct image_header *out)
{
    (void)out;
    return env_fail(env, VLQA_EIMAGE, "%s: WebP is not read by this build", file->name);
}

#define decode NULL /* never reached */

#endif

const struct image_codec image_codec_webp = {accepts, read_header, decode};
