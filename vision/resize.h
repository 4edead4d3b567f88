/* resize.h - to which size an image goes (smart_resize) and how its pixels get there, bit for bit
 * as Pillow's and torchvision's antialiased bicubic. */
#ifndef VISION_RESIZE_H
#define VISION_RESIZE_H

#include "vision/image.h"

/* transformers' smart_resize in double with half-to-even: sides multiples of factor (patch * merge)
 * and area within [min_pixels, max_pixels] where possible. VLQA_EIMAGE for side ratios above 200.
 */
vlqa_status resize_plan(struct env *env, const char *name, int width, int height, int factor,
                        int64_t min_pixels, int64_t max_pixels, int *out_width, int *out_height);
/* dst is [dst_height * dst_width * 3]. Horizontal pass first, rounded to uint8 after each pass, a
 * pass whose side does not change is skipped. VLQA_EMEMORY. Uses env->pool; any number of threads
 * gives the same bytes. */
vlqa_status resize_bicubic(struct env *env, enum vlqa_resize mode, const uint8_t *src, int width,
                           int height, size_t stride, uint8_t *dst, int dst_width, int dst_height);

#endif
