/* image.h - a JPEG, PNG, BMP or WebP file to RGB pixels, within a budget. */
#ifndef VISION_IMAGE_H
#define VISION_IMAGE_H

#include "base/env.h"

struct image {    /* upright: the orientation of Exif, or else of XMP, applied */
    uint8_t *rgb; /* [height * width * 3], a heap block of its own */
    int width, height;
};

struct image_limits {
    int64_t max_pixels; /* above 0; checked against the header before anything is decoded */
    enum vlqa_image_mode mode;
};

/* name is used in messages. The pixel limit applies to header, and memory stays below about 12
 * bytes a pixel of it, or 1 MiB for metadata before that. VLQA_EIMAGE names formats that are
 * recognised but not read (GIF, TIFF, HEIC, AVIF, SVG, PDF...). */
vlqa_status image_decode(struct env *env, const void *data, size_t bytes, const char *name,
                         const struct image_limits *limits, struct image *out);
void image_free(struct image *image); /* a zeroed image is fine */

#endif
