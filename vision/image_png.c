/* image_png.c - checks a PNG chunk by chunk and hands stb_image a plain one.
 *
 * stb_image checks no CRC, reads a palette past its end and inflates whatever is there. So chunks
 * are read here, stb_image sees header, transparent colour and pixel data alone, a palette image
 * goes to it as a grey one, and its colours are looked up here. */
#include "vision/image_png.h"

#include "base/heap.h"

#define SIGNATURE "\x89PNG\r\n\x1a\n"
#define SIGNATURE_BYTES 8
#define IHDR_BYTES 13
#define CHUNK_FRAME 12 /* length, type, CRC */

enum colour { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

struct view {
    const uint8_t *data;
    size_t bytes;
};

struct png {
    int64_t width, height;
    int depth, interlaced;
    enum colour colour;
    struct view palette, transparency; /* PLTE, tRNS */
    size_t idat_bytes;
    struct png_notes notes;
};

struct chunk {
    const uint8_t *type, *data;
    size_t bytes;
    int sound; /* the CRC is right */
};

static uint32_t crc32_bits(uint32_t crc, const uint8_t *data, size_t bytes)
{
    static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        crc = nibble[crc & 15] ^ crc >> 4;
        crc = nibble[crc & 15] ^ crc >> 4;
    }
    return crc;
}

/* Eight bytes at a time, by tables that are made anew: for chunks that are worth it. */
static uint32_t crc32_long(uint32_t crc, const uint8_t *data, size_t bytes)
{
    uint32_t table[8][256]; /* [k][b]: what byte b becomes with k zero bytes behind it */
    size_t i = 0;
    for (int b = 0; b < 256; b++) {
        uint8_t byte = (uint8_t)b;
        table[0][b] = crc32_bits(0, &byte, 1);
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = table[0][table[k - 1][b] & 255] ^ table[k - 1][b] >> 8;
    for (; bytes - i >= 8; i += 8) {
        uint32_t next = 0;
        for (int k = 0; k < 8; k++)
            next ^= table[7 - k][(data[i + (size_t)k] ^ (k < 4 ? crc >> (8 * k) : 0)) & 255];
        crc = next;
    }
    return crc32_bits(crc, data + i, bytes - i);
}

static uint32_t crc32_of(const uint8_t *data, size_t bytes)
{
    return ~(bytes < 16384 ? crc32_bits : crc32_long)(0xffffffffu, data, bytes);
}

static int is_type(const struct chunk *c, const char *type)
{
    return memcmp(c->type, type, 4) == 0;
}

static int is_critical(const struct chunk *c)
{
    return !(c->type[0] & 0x20);
}

static vlqa_status bad(struct env *env, const struct image_file *file, const char *what)
{
    return env_fail(env, VLQA_EIMAGE, "%s: damaged PNG: %s", file->name, what);
}

static vlqa_status next_chunk(struct env *env, const struct image_file *file, size_t *at,
                              struct chunk *out)
{
    size_t left = file->bytes - *at;
    const uint8_t *p = file->data + *at;
    if (left < CHUNK_FRAME) return image_ends_early(env, file);
    out->bytes = get_be32(p);
    out->type = p + 4;
    out->data = p + 8;
    for (int i = 0; i < 4; i++)
        if ((out->type[i] | 0x20) < 'a' || (out->type[i] | 0x20) > 'z')
            return bad(env, file, "a chunk's name is not made of letters");
    if (out->bytes > left - CHUNK_FRAME) return image_ends_early(env, file);
    out->sound = crc32_of(out->type, out->bytes + 4) == get_be32(out->data + out->bytes);
    if (!out->sound && is_critical(out))
        return env_fail(env, VLQA_EIMAGE,
                        "%s: damaged PNG: the checksum of its %.4s chunk is wrong", file->name,
                        (const char *)out->type);
    *at += out->bytes + CHUNK_FRAME;
    return VLQA_OK;
}

static int depth_fits(int colour, int depth)
{
    switch (colour) {
    case GREY:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case PALETTE:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case RGB:
    case GREY_ALPHA:
    case RGB_ALPHA:
        return depth == 8 || depth == 16;
    default:
        return 0;
    }
}

static vlqa_status read_ihdr(struct env *env, const struct image_file *file, size_t *at,
                             struct png *out)
{
    struct chunk c;
    TRY(next_chunk(env, file, at, &c));
    if (!is_type(&c, "IHDR"))
        return env_fail(env, VLQA_EIMAGE, "%s: damaged PNG: its first chunk is %.4s, expected IHDR",
                        file->name, (const char *)c.type);
    if (c.bytes != IHDR_BYTES) return bad(env, file, "IHDR is not 13 bytes long");
    *out = (struct png){.width = get_be32(c.data),
                        .height = get_be32(c.data + 4),
                        .depth = c.data[8],
                        .colour = c.data[9],
                        .interlaced = c.data[12]};
    if (!depth_fits(c.data[9], out->depth))
        return env_fail(env, VLQA_EIMAGE, "%s: damaged PNG: colour type %d with %d bits",
                        file->name, c.data[9], out->depth);
    if (c.data[10] || c.data[11] || c.data[12] > 1)
        return bad(env, file, "unknown compression, filter or interlace method");
    return VLQA_OK;
}

static vlqa_status take_chunk(struct env *env, const struct image_file *file, const struct chunk *c,
                              struct png *png)
{
    struct view data = {c->data, c->bytes};
    if (is_type(c, "IDAT")) {
        png->idat_bytes += c->bytes;
    } else if (is_type(c, "PLTE")) {
        if (!c->bytes || c->bytes > 768 || c->bytes % 3)
            return env_fail(env, VLQA_EIMAGE, "%s: damaged PNG: a palette of %zu bytes", file->name,
                            c->bytes);
        if (!png->palette.data) png->palette = data;
    } else if (is_critical(c)) {
        return env_fail(env, VLQA_EIMAGE, "%s: damaged PNG: unexpected chunk %.4s", file->name,
                        (const char *)c->type);
    } else if (is_type(c, "tRNS")) {
        png->transparency = data;
    } else {
        png_note_take(&png->notes, c->type, c->data, c->bytes);
    }
    return VLQA_OK;
}

/* The whole file, up to IEND. */
static vlqa_status read_chunks(struct env *env, const struct image_file *file, struct png *out)
{
    size_t at = SIGNATURE_BYTES;
    struct chunk c = {.bytes = 0};
    TRY(read_ihdr(env, file, &at, out));
    for (;;) {
        TRY(next_chunk(env, file, &at, &c));
        if (is_type(&c, "IEND")) break;
        if (c.sound) TRY(take_chunk(env, file, &c, out)); /* a damaged note is passed over */
    }
    if (!out->idat_bytes) return bad(env, file, "it has no pixel data");
    if (out->colour == PALETTE && !out->palette.data) return bad(env, file, "it has no palette");
    return VLQA_OK;
}

static int accepts(const struct image_file *file)
{
    return image_has(file, 0, SIGNATURE, SIGNATURE_BYTES);
}

static vlqa_status read_header(struct env *env, const struct image_file *file,
                               struct image_header *out)
{
    size_t at = SIGNATURE_BYTES;
    struct png png = {0};
    TRY(read_ihdr(env, file, &at, &png));
    *out = (struct image_header){png.width, png.height};
    return VLQA_OK;
}

static int samples_of(enum colour colour) /* in the file */
{
    switch (colour) {
    case GREY:
    case PALETTE:
        return 1;
    case GREY_ALPHA:
        return 2;
    case RGB:
        return 3;
    case RGB_ALPHA:
        return 4;
    }
    return 0;
}

/* A transparent colour, which stb_image turns into an alpha channel. */
static int has_colour_key(const struct png *png)
{
    return (png->colour == GREY && png->transparency.bytes == 2) ||
           (png->colour == RGB && png->transparency.bytes == 6);
}

/* Everything that stb_image allocates for this picture, beside its copy of the compressed data:
 * inflated rows, pixels, and pixels cut to 8 bits. Interlaced ones are inflated into a guess that
 * doubles, and put together from a second copy. */
static uint64_t decoding_bytes(const struct png *png)
{
    uint64_t w = (uint64_t)png->width, h = (uint64_t)png->height;
    uint64_t row = (w * (uint64_t)samples_of(png->colour) * (uint64_t)png->depth + 7) / 8 + 1;
    uint64_t samples = w * h * (uint64_t)(samples_of(png->colour) + has_colour_key(png));
    uint64_t copies = png->interlaced ? 2 : 1, wide = png->depth == 16;
    return copies * (row * h + samples * (1 + wide)) + samples * wide;
}

static uint8_t *put_chunk(uint8_t *p, const char *type, const void *data, size_t bytes)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(bytes >> (24 - 8 * i));
    memcpy(p + 4, type, 4);
    if (data) memcpy(p + 8, data, bytes);
    memset(p + 8 + bytes, 0, 4); /* stb_image does not look at the CRC */
    return p + CHUNK_FRAME + bytes;
}

static void gather_idat(const struct image_file *file, uint8_t *out)
{
    for (size_t at = SIGNATURE_BYTES;;) {
        const uint8_t *p = file->data + at;
        size_t bytes = get_be32(p);
        if (memcmp(p + 4, "IEND", 4) == 0) return;
        if (memcmp(p + 4, "IDAT", 4) == 0) {
            memcpy(out, p + 8, bytes);
            out += bytes;
        }
        at += bytes + CHUNK_FRAME;
    }
}

/* The picture and nothing else, for stb_image; palette indices pass as grey. NULL: no memory. */
static uint8_t *write_plain(const struct image_file *file, const struct png *png, size_t *bytes)
{
    size_t most = SIGNATURE_BYTES + 4 * CHUNK_FRAME + IHDR_BYTES + 6 + png->idat_bytes;
    uint8_t *plain = heap_alloc(most), *ihdr, *idat, *end;
    if (!plain) return NULL;
    memcpy(plain, SIGNATURE, SIGNATURE_BYTES);
    ihdr = plain + SIGNATURE_BYTES;
    idat = put_chunk(ihdr, "IHDR", file->data + SIGNATURE_BYTES + 8, IHDR_BYTES);
    if (png->colour == PALETTE) ihdr[8 + 9] = GREY;
    if (has_colour_key(png))
        idat = put_chunk(idat, "tRNS", png->transparency.data, png->transparency.bytes);
    end = put_chunk(idat, "IDAT", NULL, png->idat_bytes);
    gather_idat(file, idat + 8);
    end = put_chunk(end, "IEND", NULL, 0);
    *bytes = (size_t)(end - plain);
    return plain;
}

/* Indices, which stb_image scaled to 8 bits as if they were grey, to colours. */
static vlqa_status look_up(struct env *env, const struct image_file *file, const struct png *png,
                           const uint8_t *grey, struct image_raw *out)
{
    static const uint8_t scale[9] = {[1] = 255, [2] = 85, [4] = 17, [8] = 1};
    size_t n = (size_t)(png->width * png->height), colours = png->palette.bytes / 3;
    size_t alphas = png->transparency.bytes <= colours ? png->transparency.bytes : 0;
    size_t channels = alphas ? 4 : 3, bytes = n * channels;
    uint8_t *p = heap_alloc(bytes);
    if (!p) return env_no_memory(env, file->name, bytes);
    *out = (struct image_raw){p, (int)channels, 1};
    for (size_t i = 0; i < n; i++, p += channels) {
        size_t index = grey[i] / scale[png->depth];
        if (index >= colours) {
            heap_free(out->data);
            out->data = NULL;
            return env_fail(env, VLQA_EIMAGE, "%s: damaged PNG: colour %zu of a palette of %zu",
                            file->name, index, colours);
        }
        memcpy(p, png->palette.data + 3 * index, 3);
        if (alphas) p[3] = index < alphas ? png->transparency.data[index] : 255;
    }
    return VLQA_OK;
}

static vlqa_status decode(struct env *env, const struct image_file *file,
                          const struct image_header *header, int64_t max_pixels,
                          struct image_raw *out)
{
    uint64_t room = (uint64_t)max_pixels * IMAGE_BYTES_PER_PIXEL + IMAGE_BYTES_SLACK, need;
    struct image_file plain = {.name = file->name};
    struct png png = {0};
    uint8_t *data;
    int orientation;
    vlqa_status status;
    TRY(read_chunks(env, file, &png));
    TRY(png_notes_orientation(env, file, &png.notes, &orientation));
    need = decoding_bytes(&png) + IMAGE_BYTES_SLACK;
    if (need > room)
        return env_fail(env, VLQA_EIMAGE, "%s: decoding takes %llu bytes, the limit is %llu",
                        file->name, (unsigned long long)need, (unsigned long long)room);
    plain.data = data = write_plain(file, &png, &plain.bytes);
    if (!data) return env_no_memory(env, file->name, png.idat_bytes);
    status = image_stb_decode(env, &plain, (size_t)need + png.idat_bytes, header, out);
    heap_free(data);
    if (status == VLQA_OK && png.colour == PALETTE) {
        uint8_t *grey = out->data;
        out->data = NULL;
        status = look_up(env, file, &png, grey, out);
        heap_free(grey);
    }
    out->orientation = orientation;
    return status;
}

const struct image_codec image_codec_png = {accepts, read_header, decode};
