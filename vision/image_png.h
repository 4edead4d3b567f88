/* image_png.h - the metadata of a PNG file, as far as it says how the camera was held. Private to
 * the image_png*.c files. */
#ifndef VISION_IMAGE_PNG_H
#define VISION_IMAGE_PNG_H

#include "vision/image_codec.h"

struct png_note { /* where a text stands in the file; data NULL: there is none */
    const uint8_t *data;
    size_t bytes;
    int packed; /* with zlib */
};

struct png_notes {        /* the last of each in the file */
    struct png_note exif; /* eXIf, or the text "exif": as it is */
    struct png_note profile_exif, profile_app1, profile_xmp; /* "Raw profile type ...": in
                                                              * hexadecimal digits */
    struct png_note xmp;                                     /* the text "XML:com.adobe.xmp" */
};

/* Of a text of a file this many bytes are read at most, which bounds what a small chunk can unfold
 * to. */
#define PNG_NOTE_BYTES ((size_t)1 << 20)

/* Remembers an ancillary chunk where it is one of those; data must stay. */
void png_note_take(struct png_notes *notes, const uint8_t type[4], const uint8_t *data,
                   size_t bytes);
/* 1 to 8, in the order that Pillow has: Exif, else "Raw profile type exif", else XMP; and where
 * these say nothing, the profiles APP1 and xmp, which ImageMagick writes and Pillow passes over.
 * Takes PNG_NOTE_BYTES while it runs. */
vlqa_status png_notes_orientation(struct env *env, const struct image_file *file,
                                  const struct png_notes *notes, int *out);

#endif
