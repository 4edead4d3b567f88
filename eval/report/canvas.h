/* canvas.h - a picture to draw on: rectangles, scaled images, small text, PNG. */
#ifndef EVAL_CANVAS_H
#define EVAL_CANVAS_H

#include "base/env.h"

struct canvas {
    uint8_t *rgb; /* [height * width * 3] */
    int width, height;
};

struct colour {
    float r, g, b, alpha; /* 0..1 */
};

struct area { /* of a canvas; what lies outside is not drawn */
    int x, y, width, height;
};

/* Of an area of w x h units, the units [x, x + width) x [y, y + height). */
struct area area_part(struct area whole, int w, int h, struct area of);

#define CANVAS_TEXT 14 /* height of a line of text */

vlqa_status canvas_open(struct env *env, int width, int height, struct canvas *out); /* white */
void canvas_free(struct canvas *c); /* a zeroed one is fine */
void canvas_fill(struct canvas *c, struct area at, struct colour colour);
/* Lines of so many pixels inside of the area. */
void canvas_frame(struct canvas *c, struct area at, int line, struct colour colour);
/* Each pixel is the mean of those that it covers. */
void canvas_image(struct canvas *c, struct area at, const struct vlqa_pixels *image);
/* Printable ASCII, at most 127 characters; the top left corner. */
void canvas_text(struct canvas *c, int x, int y, const char *text, struct colour colour);
int canvas_text_width(const char *text);
/* A PNG file in memory, for heap_free. */
vlqa_status canvas_png(struct env *env, const struct canvas *c, uint8_t **data, size_t *bytes);
vlqa_status canvas_write(struct env *env, const struct canvas *c, const char *path);

#endif
