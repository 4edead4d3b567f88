/* position.h - where a row stands for rotation: M-RoPE coordinates and their cos/sin table. */
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

/* n text rows from *next on; *next moves by n. */
void position_text(int32_t *next, int n, struct pos *out);
/* An image of grid visual rows (h x w, raster order): (next, next + row, next + column); *next
 * moves by max(h, w). */
void position_image(int32_t *next, struct grid grid, struct pos *out);
/* cos_sin [n, dim] f32: dim/2 cosines, then dim/2 sines, of the interleaved M-RoPE: frequency i
 * turns by h where i % 3 == 1 and i < 3 section[1], by w where i % 3 == 2 and i < 3 section[2],
 * else by t. Angles are float products as in transformers; cos and sin reduce accurately. */
void position_table(const struct rope_config *c, const struct pos *pos, int n, struct mat cos_sin);

#endif
