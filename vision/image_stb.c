/* image_stb.c - stb_image, built for PNG and BMP alone, on a memory budget. */
#include "vision/image_codec.h"

#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

/* stb_image's allocation hooks carry no context, so what is left for the running call stands in a
 * variable of the thread. Only image_stb_decode sets it. */
static _Thread_local struct {
    size_t left;
    int overdrawn, no_memory;
} budget;

static void *take(void *block, size_t old_bytes, size_t bytes)
{
    void *grown;
    if (bytes > budget.left + old_bytes) {
        budget.overdrawn = 1;
        return NULL;
    }
    grown = heap_alloc_zero(bytes); /* a damaged stream copies bytes that it never wrote */
    if (!grown) {
        budget.no_memory = 1;
        return NULL;
    }
    if (block) memcpy(grown, block, old_bytes < bytes ? old_bytes : bytes);
    heap_free(block);
    budget.left = budget.left + old_bytes - bytes;
    return grown;
}

#define STBI_MALLOC(bytes) take(NULL, 0, bytes)
#define STBI_REALLOC_SIZED(block, old_bytes, bytes) take(block, old_bytes, bytes)
#define STBI_FREE(block) heap_free(block)
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

size_t image_inflate(const uint8_t *data, size_t bytes, uint8_t *out, size_t cap)
{
    int n;
    if (bytes > INT32_MAX || cap > INT32_MAX) return 0;
    memset(out, 0, cap); /* a damaged stream copies bytes that it never wrote */
    n = stbi_zlib_decode_buffer((char *)out, (int)cap, (const char *)data, (int)bytes);
    if (n >= 0) return (size_t)n;
    return strcmp(stbi_failure_reason(), "output buffer limit") == 0 ? cap : 0;
}

vlqa_status image_stb_decode(struct env *env, const struct image_file *file, size_t bytes,
                             const struct image_header *header, struct image_raw *out)
{
    int width, height, channels;
    (void)header; /* without asserts */
    if (file->bytes > INT32_MAX)
        return env_fail(env, VLQA_EIMAGE, "%s: %zu bytes, the limit is %d", file->name, file->bytes,
                        INT32_MAX);
    budget.left = bytes;
    budget.overdrawn = budget.no_memory = 0;
    out->data = stbi_load_from_memory(file->data, (int)file->bytes, &width, &height, &channels, 0);
    if (out->data) {
        assert(width == header->width && height == header->height);
        out->channels = channels;
        return VLQA_OK;
    }
    if (budget.no_memory) return env_no_memory(env, file->name, bytes);
    if (budget.overdrawn)
        return env_fail(env, VLQA_EIMAGE, "%s: the pixel data is larger than its header says",
                        file->name);
    return env_fail(env, VLQA_EIMAGE, "%s: the pixel data is damaged (%s)", file->name,
                    stbi_failure_reason());
}
