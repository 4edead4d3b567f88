/* golden_picture.h - the seeded pictures of tests/golden/make_resize_golden.py, pixel by pixel. */
#ifndef TESTS_VISION_GOLDEN_PICTURE_H
#define TESTS_VISION_GOLDEN_PICTURE_H

#include "base/file.h"
#include "base/heap.h"

#include <sodium.h>

enum golden_kind { GOLDEN_NOISE, GOLDEN_GRADIENT, GOLDEN_TEXT };

static inline uint32_t golden_mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

/* [height * width * 3], a heap block. */
static inline uint8_t *golden_picture(uint32_t width, uint32_t height, int kind, uint32_t seed)
{
    uint8_t *rgb = heap_alloc((size_t)width * height * 3), *p = rgb;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++)
                if (kind == GOLDEN_NOISE)
                    *p++ = (uint8_t)golden_mix(seed + (y * width + x) * 3 + c);
                else if (kind == GOLDEN_GRADIENT)
                    *p++ = (uint8_t)(x * 255 / width + y * 2 + c * 85);
                else
                    *p++ = golden_mix(seed + y / 3 * 65536 + x / 2) & 1 ? 255 : 0;
    return rgb;
}

#define GOLDEN_SHA 16 /* bytes of SHA-256 that the files keep */

static inline int golden_same(const void *data, size_t bytes, const uint8_t *expected)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, data, bytes);
    return memcmp(hash, expected, GOLDEN_SHA) == 0;
}

/* A file of tests/golden as a heap block; NULL and a failed check when it is not there. */
static inline uint8_t *golden_read(const char *name, size_t *bytes)
{
    struct env env = {0};
    char path[512];
    void *data = NULL;
    snprintf(path, sizeof path, "%s/tests/golden/%s", VLQA_SOURCE_DIR, name);
    if (file_read(&env, path, 1 << 20, &data, bytes) != VLQA_OK) CHECK_FAIL("%s", env.message);
    return data;
}

static inline uint32_t golden_u16(const uint8_t *p, int i)
{
    return (uint32_t)p[2 * i] | (uint32_t)p[2 * i + 1] << 8;
}

#endif
