/* fuzz_image.c - any bytes as a picture, once as they are and once with PNG checksums made right.
 */
#include "vision/image.h"

#include "tests/vision/make_image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void decode(const uint8_t *data, size_t bytes)
{
    /* Small enough that a header cannot turn the run into a wait for memory. */
    static const struct image_limits limits = {1 << 18, VLQA_IMAGE_WHITE};
    struct env env = {0};
    struct image image;
    vlqa_status status = image_decode(&env, data, bytes, "input", &limits, &image);
    if (status == VLQA_OK) {
        size_t n = (size_t)image.width * (size_t)image.height * 3;
        unsigned sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += image.rgb[i];
        if (sum > 255u * n) abort(); /* reads every byte */
    } else if (image.rgb || !env.message[0]) {
        abort();
    }
    image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes ? bytes : 1);
    if (!copy) return 0;
    if (bytes) memcpy(copy, data, bytes);
    decode(copy, bytes);
    png_sign(copy, bytes);
    decode(copy, bytes);
    free(copy);
    return 0;
}
