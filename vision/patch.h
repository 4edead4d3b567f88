/* patch.h - pixels to the rows that the tower reads: normalised, in merge order. */
#ifndef VISION_PATCH_H
#define VISION_PATCH_H

#include "base/pool.h"
#include "kernels/tensor.h"

#include <stdint.h>

struct patch_config {
    int patch, merge, temporal, channels; /* 16, 2, 2, 3 */
    float mean[3], std[3];
};

/* The n-th patch in merge order stands at (*row, *col) of the patch grid: merge x merge blocks in
 * raster order, raster inside a block. */
void patch_place(int merge, struct grid grid, int n, int *row, int *col);
/* out [h * w, channels * temporal * patch * patch] f32 or bf16; column = channel, frame, y, x; the
 * one frame is repeated. rgb is [grid.h * patch, grid.w * patch, 3]. The value is
 * (v - 255 mean) / (255 std) in float, as the fast processor computes it. pool: NULL is this thread
 * alone. */
void patch_extract(struct pool *pool, const struct patch_config *c, const uint8_t *rgb,
                   struct grid grid, struct host_mat out);

#endif
