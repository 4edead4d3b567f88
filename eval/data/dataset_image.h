/* dataset_image.h - an image that a row of a data set names or holds. */
#ifndef EVAL_DATASET_IMAGE_H
#define EVAL_DATASET_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define DATASET_IMAGES 64 /* of a row, at most */

struct dataset_image {
    const char *path;    /* of a file; NULL: it is here: */
    const uint8_t *data; /* a whole encoded image */
    size_t bytes;
};

#endif
