/* image_codec.h - what the reader of one format owes image.c, and the helpers that readers share.
 * Private to the image_*.c files. */
#ifndef VISION_IMAGE_CODEC_H
#define VISION_IMAGE_CODEC_H

#include "vision/image.h"

struct image_file {
    const uint8_t *data;
    size_t bytes;
    const char *name; /* for messages */
};

struct image_header {
    int64_t width, height; /* as stored, before orientation */
};

struct image_raw {   /* [height * width * channels], not yet upright */
    uint8_t *data;   /* heap block */
    int channels;    /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    int orientation; /* 1 to 8, as Exif numbers them */
};

struct image_codec {
    int (*accepts)(const struct image_file *file); /* by the first bytes */
    vlqa_status (*read_header)(struct env *env, const struct image_file *file,
                               struct image_header *out);
    /* After read_header: both sides are at least 1, their product is at most max_pixels. On
     * failure out->data is NULL. */
    vlqa_status (*decode)(struct env *env, const struct image_file *file,
                          const struct image_header *header, int64_t max_pixels,
                          struct image_raw *out);
};

extern const struct image_codec image_codec_jpeg, image_codec_png, image_codec_bmp,
    image_codec_webp;

/* "GIF", "TIFF", ...: what a file is that no codec accepts; NULL: nothing known. */
const char *image_foreign_format(const struct image_file *file);
/* A command that makes a format that is read of it, for a file of some name, or NULL. */
const char *image_foreign_command(const char *format);

struct image_note { /* metadata of a file; data NULL: it has none */
    const uint8_t *data;
    size_t bytes;
};

/* The orientation, 1 to 8: what Exif says, or else what XMP says, as Pillow's exif_transpose has
 * it. Where Exif has the field XMP is not asked, even if the value is none of the eight, which
 * counts as 1. Anything malformed says nothing: a damaged note must not lose the picture. */
int image_orientation(struct image_note exif, struct image_note xmp);
/* Of a TIFF block as Exif embeds it, with or without "Exif\0\0" before it; 0: it says nothing. */
int image_exif_orientation(const uint8_t *data, size_t bytes);
/* Of an XMP packet, the first one in it; 0: it says nothing. */
int image_xmp_orientation(const uint8_t *data, size_t bytes);

#define IMAGE_XMP_HEADER "http://ns.adobe.com/xap/1.0/" /* before XMP in JPEG, with its NUL */

/* A zlib stream into out. Returns how many bytes that are; cap: there may be more, which are left
 * out, and the last 257 may be 0 instead. 0: it is damaged. */
size_t image_inflate(const uint8_t *data, size_t bytes, uint8_t *out, size_t cap);

/* stb_image on a PNG or BMP file that our own readers have checked and written anew. It may
 * allocate at most budget bytes; more means that the data does not fit its header. */
vlqa_status image_stb_decode(struct env *env, const struct image_file *file, size_t budget,
                             const struct image_header *header, struct image_raw *out);

/* Most bytes that decoding may take beside the file; image.h promises it. */
#define IMAGE_BYTES_PER_PIXEL 12
#define IMAGE_BYTES_SLACK 65536

vlqa_status image_ends_early(struct env *env, const struct image_file *file);

static inline int image_has(const struct image_file *file, size_t at, const char *magic, size_t n)
{
    return at <= file->bytes && n <= file->bytes - at && memcmp(file->data + at, magic, n) == 0;
}

static inline uint32_t get_le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t get_le32(const uint8_t *p)
{
    return get_le16(p) | get_le16(p + 2) << 16;
}

static inline uint32_t get_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | (uint32_t)p[1];
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return get_be16(p) << 16 | get_be16(p + 2);
}

#endif
