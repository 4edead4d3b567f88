/* make_image.h - small picture files written by hand, so that tests can write wrong ones. */
#ifndef TESTS_VISION_MAKE_IMAGE_H
#define TESTS_VISION_MAKE_IMAGE_H

#include "base/heap.h"

#include <stdint.h>
#include <string.h>
#include <turbojpeg.h>

struct bytes {
    uint8_t *data;
    size_t n, cap;
};

static inline void put(struct bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->cap) {
        size_t cap = (b->n + n) * 2;
        b->data = heap_resize(b->data, b->n, cap);
        b->cap = cap;
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void put_byte(struct bytes *b, unsigned v)
{
    uint8_t byte = (uint8_t)v;
    put(b, &byte, 1);
}

static inline void put_be(struct bytes *b, uint32_t v, int n)
{
    for (int i = n - 1; i >= 0; i--)
        put_byte(b, v >> 8 * i);
}

static inline void put_le(struct bytes *b, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        put_byte(b, v >> 8 * i);
}

static inline void drop(struct bytes *b)
{
    heap_free(b->data);
    *b = (struct bytes){NULL, 0, 0};
}

/* WebP is the one format that a build may lack. */
static inline int is_missing(const char *message)
{
    return strstr(message, "is not read by this build") != NULL;
}

/* --- PNG ------------------------------------------------------------------------------------ */

static inline uint32_t make_crc(const uint8_t *p, size_t n) /* bit by bit, as the standard has it */
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static inline void png_chunk(struct bytes *b, const char *type, const void *data, size_t n)
{
    size_t at = b->n + 4;
    put_be(b, (uint32_t)n, 4);
    put(b, type, 4);
    put(b, data, n);
    put_be(b, make_crc(b->data + at, n + 4), 4);
}

static inline void png_begin(struct bytes *b, uint32_t w, uint32_t h, unsigned depth,
                             unsigned colour)
{
    struct bytes ihdr = {0};
    put(b, "\x89PNG\r\n\x1a\n", 8);
    put_be(&ihdr, w, 4);
    put_be(&ihdr, h, 4);
    put_byte(&ihdr, depth);
    put_byte(&ihdr, colour);
    put_be(&ihdr, 0, 3);
    png_chunk(b, "IHDR", ihdr.data, ihdr.n);
    drop(&ihdr);
}

/* Rows of row_bytes each, below 64 KiB together, stored without compression. */
static inline void png_pixels(struct bytes *b, const uint8_t *rows, size_t row_bytes, size_t h)
{
    struct bytes z = {0};
    uint32_t low = 1, high = 0, n = (uint32_t)((row_bytes + 1) * h);
    put(&z, "\x78\x01\x01", 3);
    put_le(&z, n, 2);
    put_le(&z, ~n, 2);
    for (size_t y = 0; y < h; y++) {
        put_byte(&z, 0); /* no filter */
        put(&z, rows + y * row_bytes, row_bytes);
    }
    for (size_t i = 7; i < z.n; i++) {
        low = (low + z.data[i]) % 65521;
        high = (high + low) % 65521;
    }
    put_be(&z, high << 16 | low, 4);
    png_chunk(b, "IDAT", z.data, z.n);
    drop(&z);
}

static inline struct bytes make_png(uint32_t w, uint32_t h, unsigned depth, unsigned colour,
                                    const uint8_t *rows, size_t row_bytes)
{
    struct bytes b = {0};
    png_begin(&b, w, h, depth, colour);
    png_pixels(&b, rows, row_bytes, h);
    png_chunk(&b, "IEND", NULL, 0);
    return b;
}

static inline uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Makes the checksums right again, so that damage gets beyond them. Other files stay as they are.
 */
static inline void png_sign(uint8_t *data, size_t n)
{
    size_t at = 8;
    if (n < 8 || memcmp(data, "\x89PNG", 4) != 0) return;
    while (n - at >= 12 && read_be32(data + at) <= n - at - 12) {
        size_t body = read_be32(data + at);
        uint32_t crc = make_crc(data + at + 4, body + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + body + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += body + 12;
    }
}

/* --- JPEG ----------------------------------------------------------------------------------- */

static inline struct bytes make_jpeg(const uint8_t *rgb, int w, int h, int flags)
{
    struct bytes b = {0};
    unsigned char *file = NULL;
    unsigned long n = 0;
    tjhandle handle = tjInitCompress();
    if (handle &&
        tjCompress2(handle, rgb, w, 0, h, TJPF_RGB, &file, &n, TJSAMP_444, 95, flags) == 0)
        put(&b, file, n);
    if (handle) tjDestroy(handle);
    tjFree(file);
    return b;
}

/* The file with a segment behind its first two bytes. */
static inline struct bytes jpeg_with(const struct bytes *jpeg, unsigned marker, const void *body,
                                     size_t n)
{
    struct bytes b = {0};
    put(&b, jpeg->data, 2);
    put_byte(&b, 0xff);
    put_byte(&b, marker);
    put_be(&b, (uint32_t)n + 2, 2);
    put(&b, body, n);
    put(&b, jpeg->data + 2, jpeg->n - 2);
    return b;
}

/* --- EXIF ----------------------------------------------------------------------------------- */

/* A TIFF block of two entries, the second one the orientation. */
static inline struct bytes make_exif(int big, unsigned orientation)
{
    void (*const put_int)(struct bytes *, uint32_t, int) = big ? put_be : put_le;
    struct bytes b = {0};
    put(&b, big ? "MM" : "II", 2);
    put_int(&b, 42, 2);
    put_int(&b, 8, 4); /* where the entries begin */
    put_int(&b, 2, 2);
    put_int(&b, 0x0100, 2), put_int(&b, 4, 2), put_int(&b, 1, 4), put_int(&b, 640, 4);
    put_int(&b, 0x0112, 2), put_int(&b, 3, 2), put_int(&b, 1, 4);
    put_int(&b, orientation, 2), put_int(&b, 0, 2);
    put_int(&b, 0, 4);
    return b;
}

/* --- BMP ------------------------------------------------------------------------------------ */

struct make_bmp {
    int32_t width, height;
    unsigned header, bits, compression, colours; /* header: 12 or 40 bytes, or more of zeros */
    size_t gap;                                  /* bytes between palette and pixels */
};

/* palette: 3 or 4 bytes a colour, as the header wants it; rows as stored, padded to 4. */
static inline struct bytes make_bmp(const struct make_bmp *m, const uint8_t *palette,
                                    size_t palette_bytes, const uint8_t *rows, size_t row_bytes)
{
    struct bytes b = {0};
    put(&b, "BM", 2);
    put_le(&b, 0, 4), put_le(&b, 0, 4); /* file size and reserved: nobody looks */
    put_le(&b, (uint32_t)(14 + m->header + palette_bytes + m->gap), 4);
    put_le(&b, m->header, 4);
    put_le(&b, (uint32_t)m->width, m->header == 12 ? 2 : 4);
    put_le(&b, (uint32_t)m->height, m->header == 12 ? 2 : 4);
    put_le(&b, 1, 2);
    put_le(&b, m->bits, 2);
    if (m->header != 12) {
        put_le(&b, m->compression, 4), put_le(&b, 0, 4), put_le(&b, 0, 4), put_le(&b, 0, 4);
        put_le(&b, m->colours, 4), put_le(&b, 0, 4);
    }
    while (b.n < 14 + m->header)
        put_byte(&b, 0);
    put(&b, palette, palette_bytes);
    for (size_t i = 0; i < m->gap; i++)
        put_byte(&b, 0xcc);
    put(&b, rows, row_bytes * (size_t)(m->height < 0 ? -m->height : m->height));
    return b;
}

#endif
