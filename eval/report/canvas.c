/* canvas.c - drawing in memory; fonts and PNG are stb's. */
#include "eval/report/canvas.h"

#include "base/file.h"
#include "base/heap.h"

#include <stdio.h>

#define STBIW_MALLOC(bytes) heap_alloc(bytes)
#define STBIW_REALLOC_SIZED(block, old_bytes, bytes) \
    ((block) ? heap_resize(block, old_bytes, bytes) : heap_alloc(bytes))
#define STBIW_FREE(block) heap_free(block)
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_easy_font.h>
#include <stb_image_write.h>

#define TEXT_SCALE 2

vlqa_status canvas_open(struct env *env, int width, int height, struct canvas *out)
{
    size_t bytes = (size_t)width * (size_t)height * 3;
    *out = (struct canvas){heap_alloc(bytes), width, height};
    if (!out->rgb) return env_no_memory(env, "picture", bytes);
    memset(out->rgb, 255, bytes);
    return VLQA_OK;
}

void canvas_free(struct canvas *c)
{
    heap_free(c->rgb);
}

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

static int scaled(int at, int of, int to)
{
    return (int)((int64_t)at * to / of);
}

struct area area_part(struct area whole, int w, int h, struct area of)
{
    int left = scaled(of.x, w, whole.width), right = scaled(of.x + of.width, w, whole.width);
    int top = scaled(of.y, h, whole.height), bottom = scaled(of.y + of.height, h, whole.height);
    return (struct area){whole.x + left, whole.y + top, right - left, bottom - top};
}

static void blend(uint8_t *to, float value, float alpha)
{
    float mixed = (float)*to * (1 - alpha) + 255.0f * value * alpha;
    *to = (uint8_t)(mixed + 0.5f);
}

void canvas_fill(struct canvas *c, struct area at, struct colour colour)
{
    int left = clamp(at.x, 0, c->width), right = clamp(at.x + at.width, left, c->width);
    int top = clamp(at.y, 0, c->height), bottom = clamp(at.y + at.height, top, c->height);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            uint8_t *to = c->rgb + ((size_t)y * (size_t)c->width + (size_t)x) * 3;
            blend(&to[0], colour.r, colour.alpha);
            blend(&to[1], colour.g, colour.alpha);
            blend(&to[2], colour.b, colour.alpha);
        }
}

void canvas_frame(struct canvas *c, struct area at, int line, struct colour colour)
{
    int inner = at.height - 2 * line;
    canvas_fill(c, (struct area){at.x, at.y, at.width, line}, colour);
    canvas_fill(c, (struct area){at.x, at.y + at.height - line, at.width, line}, colour);
    canvas_fill(c, (struct area){at.x, at.y + line, line, inner}, colour);
    canvas_fill(c, (struct area){at.x + at.width - line, at.y + line, line, inner}, colour);
}

/* Pixel `at` of `n` covers these of the `side` of the source: one at least. */
static void covered(int at, int n, int side, int *begin, int *end)
{
    *begin = (int)((int64_t)at * side / n);
    *end = (int)((int64_t)(at + 1) * side / n);
    if (*end <= *begin) *end = *begin + 1;
}

static void mean(const struct vlqa_pixels *image, struct area of, uint8_t *to)
{
    uint64_t sum[3] = {0, 0, 0}, n = (uint64_t)of.width * (uint64_t)of.height;
    for (int y = of.y; y < of.y + of.height; y++) {
        const uint8_t *from = image->rgb + ((size_t)y * (size_t)image->width + (size_t)of.x) * 3;
        for (int i = 0; i < 3 * of.width; i++)
            sum[i % 3] += from[i];
    }
    for (int i = 0; i < 3; i++)
        to[i] = (uint8_t)((sum[i] + n / 2) / n);
}

void canvas_image(struct canvas *c, struct area at, const struct vlqa_pixels *image)
{
    assert(at.x >= 0 && at.y >= 0 && at.x + at.width <= c->width && at.y + at.height <= c->height);
    for (int y = 0; y < at.height; y++)
        for (int x = 0; x < at.width; x++) {
            size_t to = (size_t)(at.y + y) * (size_t)c->width + (size_t)(at.x + x);
            struct area of;
            int right, bottom;
            covered(x, at.width, image->width, &of.x, &right);
            covered(y, at.height, image->height, &of.y, &bottom);
            of.width = right - of.x;
            of.height = bottom - of.y;
            mean(image, of, c->rgb + to * 3);
        }
}

/* The font's interface takes text that it does not change as char *. */
static void copy_text(const char *text, char out[128])
{
    (void)snprintf(out, 128, "%s", text);
}

int canvas_text_width(const char *text)
{
    char copy[128];
    copy_text(text, copy);
    return TEXT_SCALE * stb_easy_font_width(copy);
}

void canvas_text(struct canvas *c, int x, int y, const char *text, struct colour colour)
{
    struct vertex {
        float x, y, z;
        uint8_t colour[4];
    } quad[128 * 24][4];
    char copy[128];
    int n;
    copy_text(text, copy);
    n = stb_easy_font_print(0, 0, copy, NULL, quad, (int)sizeof quad);
    for (int i = 0; i < n; i++) {
        const struct vertex *from = &quad[i][0], *to = &quad[i][2];
        struct area at = {(int)from->x, (int)from->y, (int)(to->x - from->x),
                          (int)(to->y - from->y)};
        at.x = x + TEXT_SCALE * at.x;
        at.y = y + TEXT_SCALE * at.y;
        at.width *= TEXT_SCALE;
        at.height *= TEXT_SCALE;
        canvas_fill(c, at, colour);
    }
}

vlqa_status canvas_png(struct env *env, const struct canvas *c, uint8_t **data, size_t *bytes)
{
    int length = 0;
    *data = stbi_write_png_to_mem(c->rgb, 3 * c->width, c->width, c->height, 3, &length);
    *bytes = (size_t)length;
    if (*data) return VLQA_OK;
    return env_no_memory(env, "PNG", (size_t)c->width * (size_t)c->height * 3);
}

vlqa_status canvas_write(struct env *env, const struct canvas *c, const char *path)
{
    struct file_part part;
    uint8_t *data;
    vlqa_status status;
    TRY(canvas_png(env, c, &data, &part.bytes));
    part.data = data;
    status = file_write_atomic(env, path, &part, 1);
    heap_free(data);
    return status;
}
