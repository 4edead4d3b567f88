/* load_image.h - an image file decoded, for tests that need its pixels. */
#ifndef TESTS_VISION_LOAD_IMAGE_H
#define TESTS_VISION_LOAD_IMAGE_H

#include "base/file.h"
#include "base/heap.h"
#include "vision/image.h"

static inline vlqa_status load_image(struct env *env, const char *path,
                                     const struct image_limits *limits, struct image *out)
{
    void *data;
    size_t bytes;
    vlqa_status status;
    *out = (struct image){NULL, 0, 0};
    TRY(file_read(env, path, (size_t)1 << 30, &data, &bytes));
    status = image_decode(env, data, bytes, path, limits, out);
    heap_free(data);
    return status;
}

#endif
