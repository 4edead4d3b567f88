/* image_bmp.c - checks a BMP and hands stb_image the same pixels under a plain header.
 *
 * stb_image takes missing bytes for zeros, reads palettes past their end and takes the unused byte
 * of 32-bit pixels for alpha. So the header is read here and written anew: 108 bytes long, with
 * masks, a palette of 256 colours where one is needed, and no gaps. */
#include "vision/image_codec.h"

#include "base/heap.h"

#include <stdlib.h>

#define FILE_HEADER 14
#define CORE_HEADER 12 /* OS/2 1.x */
#define INFO_HEADER 40
#define PLAIN_HEADER 108
#define PALETTE_BYTES 1024

enum { BI_RGB, BI_RLE8, BI_RLE4, BI_BITFIELDS, BI_JPEG, BI_PNG };

struct bmp {
    int64_t width, height; /* height as stored: negative when the top row comes first */
    size_t offset, row_bytes;
    size_t palette_at, colours, colour_bytes; /* 3 or 4 bytes each */
    uint32_t mask[4];                         /* red, green, blue, alpha */
    int bits;
};

static vlqa_status bad(struct env *env, const struct image_file *file, const char *name,
                       long long found)
{
    return env_fail(env, VLQA_EIMAGE, "%s: damaged BMP: %s is %lld", file->name, name, found);
}

/* Masks of 16 and 32-bit pixels: in the header, or behind it where it has 40 bytes. */
static vlqa_status read_masks(struct env *env, const struct image_file *file, uint32_t compression,
                              size_t header_bytes, struct bmp *b)
{
    const uint8_t *mask = file->data + FILE_HEADER + INFO_HEADER;
    int stored = header_bytes >= 56 ? 4 : 3;
    if (compression == BI_RGB) {
        int wide = b->bits == 32;
        b->mask[0] = wide ? 0xff0000 : 0x7c00;
        b->mask[1] = wide ? 0xff00 : 0x3e0;
        b->mask[2] = wide ? 0xff : 0x1f;
        return VLQA_OK;
    }
    if (file->bytes < FILE_HEADER + INFO_HEADER + 16) return image_ends_early(env, file);
    for (int i = 0; i < stored; i++)
        b->mask[i] = get_le32(mask + 4 * i);
    if (!b->mask[0] || !b->mask[1] || !b->mask[2])
        return env_fail(env, VLQA_EIMAGE, "%s: damaged BMP: a colour has no bits", file->name);
    return VLQA_OK;
}

static vlqa_status read_compression(struct env *env, const struct image_file *file,
                                    size_t header_bytes, struct bmp *b)
{
    uint32_t compression = header_bytes == CORE_HEADER ? BI_RGB : get_le32(file->data + 30);
    int masked = b->bits == 16 || b->bits == 32;
    switch (b->bits) {
    case 1:
    case 4:
    case 8:
    case 16:
    case 24:
    case 32:
        break;
    default:
        return bad(env, file, "the number of bits a pixel", b->bits);
    }
    if (compression == BI_RLE8 || compression == BI_RLE4)
        return env_fail(env, VLQA_EIMAGE, "%s: run-length compressed BMP is not read", file->name);
    if (compression == BI_JPEG || compression == BI_PNG)
        return env_fail(env, VLQA_EIMAGE, "%s: JPEG or PNG inside a BMP is not read", file->name);
    if (compression != BI_RGB && !(compression == BI_BITFIELDS && masked))
        return bad(env, file, "the compression", compression);
    return masked ? read_masks(env, file, compression, header_bytes, b) : VLQA_OK;
}

static vlqa_status read_palette(struct env *env, const struct image_file *file, size_t header_bytes,
                                struct bmp *b)
{
    int core = header_bytes == CORE_HEADER;
    uint32_t used = core ? 0 : get_le32(file->data + 46);
    size_t most = (size_t)1 << b->bits;
    b->palette_at = FILE_HEADER + header_bytes;
    b->colour_bytes = core ? 3 : 4;
    if (used > 256) return bad(env, file, "the number of colours", used);
    b->colours = used && used < most ? used : most;
    if (b->palette_at + b->colours * b->colour_bytes > b->offset)
        b->colours = (b->offset - b->palette_at) / b->colour_bytes; /* cut off by the pixels */
    return VLQA_OK;
}

static vlqa_status read_sizes(struct env *env, const struct image_file *file, size_t header_bytes,
                              struct bmp *b)
{
    const uint8_t *d = file->data;
    int core = header_bytes == CORE_HEADER;
    uint32_t planes = get_le16(d + (core ? 22 : 26));
    b->width = core ? (int64_t)get_le16(d + 18) : (int64_t)(int32_t)get_le32(d + 18);
    b->height = core ? (int64_t)get_le16(d + 20) : (int64_t)(int32_t)get_le32(d + 22);
    b->bits = (int)get_le16(d + (core ? 24 : 28));
    b->offset = get_le32(d + 10);
    if (planes != 1) return bad(env, file, "the number of planes", planes);
    if (b->width < 0) return bad(env, file, "the width", b->width);
    if (b->offset < FILE_HEADER + header_bytes)
        return bad(env, file, "the offset", (long long)b->offset);
    b->row_bytes = (size_t)((b->width * b->bits + 31) / 32 * 4);
    return VLQA_OK;
}

static vlqa_status read_bmp(struct env *env, const struct image_file *file, struct bmp *out)
{
    size_t header_bytes;
    *out = (struct bmp){0};
    if (file->bytes < FILE_HEADER + CORE_HEADER) return image_ends_early(env, file);
    header_bytes = get_le32(file->data + FILE_HEADER);
    switch (header_bytes) {
    case CORE_HEADER:
    case INFO_HEADER:
    case 52:
    case 56:
    case PLAIN_HEADER:
    case 124:
        break;
    default:
        return bad(env, file, "the length of the header", (long long)header_bytes);
    }
    if (file->bytes < FILE_HEADER + header_bytes) return image_ends_early(env, file);
    TRY(read_sizes(env, file, header_bytes, out));
    TRY(read_compression(env, file, header_bytes, out));
    return out->bits <= 8 ? read_palette(env, file, header_bytes, out) : VLQA_OK;
}

static int accepts(const struct image_file *file)
{
    return image_has(file, 0, "BM", 2);
}

static vlqa_status read_header(struct env *env, const struct image_file *file,
                               struct image_header *out)
{
    struct bmp b;
    TRY(read_bmp(env, file, &b));
    *out = (struct image_header){b.width, llabs(b.height)};
    return VLQA_OK;
}

static void put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* p is all zero. */
static void write_plain(const struct image_file *file, const struct bmp *b, uint8_t *p,
                        size_t offset)
{
    const uint8_t *colour = file->data + b->palette_at;
    memcpy(p, "BM", 2);
    put_le32(p + 10, (uint32_t)offset);
    put_le32(p + 14, PLAIN_HEADER);
    put_le32(p + 18, (uint32_t)b->width);
    put_le32(p + 22, (uint32_t)b->height);
    p[26] = 1;
    p[28] = (uint8_t)b->bits;
    p[30] = b->bits == 16 || b->bits == 32 ? BI_BITFIELDS : BI_RGB;
    for (int i = 0; i < 4; i++)
        put_le32(p + FILE_HEADER + INFO_HEADER + 4 * i, b->mask[i]);
    p += FILE_HEADER + PLAIN_HEADER;
    for (size_t i = 0; i < b->colours; i++, p += 4, colour += b->colour_bytes)
        memcpy(p, colour, 3);
}

static vlqa_status decode(struct env *env, const struct image_file *file,
                          const struct image_header *header, int64_t max_pixels,
                          struct image_raw *out)
{
    struct image_file plain = {.name = file->name};
    struct bmp b;
    size_t offset, pixel_bytes, pixels = (size_t)header->width * (size_t)header->height;
    uint8_t *p;
    vlqa_status status;
    (void)max_pixels; /* 4 bytes for the copy and 4 for what stb_image makes of it */
    TRY(read_bmp(env, file, &b));
    pixel_bytes = b.row_bytes * (size_t)header->height;
    if (b.offset > file->bytes || pixel_bytes > file->bytes - b.offset)
        return image_ends_early(env, file);

    offset = FILE_HEADER + PLAIN_HEADER + (b.bits <= 8 ? PALETTE_BYTES : 0);
    plain.bytes = offset + pixel_bytes;
    plain.data = p = heap_alloc_zero(plain.bytes);
    if (!p) return env_no_memory(env, file->name, plain.bytes);
    write_plain(file, &b, p, offset);
    memcpy(p + offset, file->data + b.offset, pixel_bytes);
    status = image_stb_decode(env, &plain, pixels * 4 + IMAGE_BYTES_SLACK, header, out);
    heap_free(p);
    return status;
}

const struct image_codec image_codec_bmp = {accepts, read_header, decode};
