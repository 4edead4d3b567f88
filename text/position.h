/* position.h - where a token stands for rotation: M-RoPE coordinates and the frequencies they turn.
 */
#ifndef TEXT_POSITION_H
#define TEXT_POSITION_H

#include "kernels/tensor.h"

struct pos {
    int32_t t, h, w;
};

#define ROPE_MAX_HALF 256

struct rope_config {
    double theta;
    int dim;        /* of a head; pairs e and e + dim/2 */
    int section[3]; /* t, h, w; sum dim/2 */
};

/* n text tokens from *next on; *next moves by n. */
void position_text(int32_t *next, int n, struct pos *out);
/* An image of grid visual tokens (h x w, raster order): (next, next + row, next + column); *next
 * moves by max(h, w). */
void position_image(int32_t *next, struct grid grid, struct pos *out);
/* What k_angles takes of the interleaved M-RoPE: out [3 * dim/2], for t, h and w by how much each
 * frequency turns a position. Frequency i turns by h where i % 3 == 1 and i < 3 section[1], by w
 * where i % 3 == 2 and i < 3 section[2], else by t; the other two are 0. Roundings are those of
 * transformers. */
void rope_inverse(const struct rope_config *c, float *out);

#endif
