/* patch.c - pixels to the rows that the tower reads. */
#include "vision/patch.h"

void patch_place(int merge, struct grid grid, int n, int *row, int *col)
{
    int cells = merge * merge, block = n / cells, inside = n % cells, across = grid.w / merge;
    *row = merge * (block / across) + inside / merge;
    *col = merge * (block % across) + inside % merge;
}

/* What every byte becomes, by channel, in the element type of the rows. */
union levels {
    float f32[3][256];
    uint16_t bf16[3][256];
};

static void make_levels(const struct patch_config *c, enum dtype dtype, union levels *out)
{
    for (int channel = 0; channel < c->channels; channel++) {
        float mean = c->mean[channel] * 255.0f, std = c->std[channel] * 255.0f;
        for (int v = 0; v < 256; v++) {
            float value = ((float)v - mean) / std;
            if (dtype == DT_F32)
                out->f32[channel][v] = value;
            else
                out->bf16[channel][v] = f32_to_bf16(value);
        }
    }
}

/* One patch of one channel, [patch, patch] from pixels that are `stride` bytes apart a line. */
static void look_up(const union levels *levels, int channel, const uint8_t *rgb, size_t stride,
                    int patch, enum dtype dtype, void *out)
{
    for (int y = 0; y < patch; y++, rgb += stride)
        for (int x = 0; x < patch; x++) {
            uint8_t v = rgb[x * 3 + channel];
            if (dtype == DT_F32)
                ((float *)out)[y * patch + x] = levels->f32[channel][v];
            else
                ((uint16_t *)out)[y * patch + x] = levels->bf16[channel][v];
        }
}

struct extraction {
    const struct patch_config *config;
    const uint8_t *rgb;
    struct grid grid;
    struct host_mat out;
    union levels levels;
};

static void extract_patches(void *arg, int begin, int end, int worker)
{
    const struct extraction *e = arg;
    const struct patch_config *c = e->config;
    int area = c->patch * c->patch;
    size_t stride = (size_t)e->grid.w * (size_t)c->patch * 3;
    size_t frame_bytes = (size_t)area * dtype_size(e->out.dtype);
    (void)worker;
    for (int n = begin; n < end; n++) {
        int row, col;
        patch_place(c->merge, e->grid, n, &row, &col);
        const uint8_t *corner =
            e->rgb + (size_t)row * (size_t)c->patch * stride + (size_t)col * (size_t)c->patch * 3;
        for (int channel = 0; channel < 3; channel++) {
            char *first = host_mat_at(e->out, n, channel * c->temporal * area);
            look_up(&e->levels, channel, corner, stride, c->patch, e->out.dtype, first);
            for (int frame = 1; frame < c->temporal; frame++)
                memcpy(first + (size_t)frame * frame_bytes, first, frame_bytes);
        }
    }
}

void patch_extract(struct pool *pool, const struct patch_config *c, const uint8_t *rgb,
                   struct grid grid, struct host_mat out)
{
    struct extraction e = {.config = c, .rgb = rgb, .grid = grid, .out = out};
    assert(c->channels == 3 && (out.dtype == DT_F32 || out.dtype == DT_BF16));
    assert(grid.h % c->merge == 0 && grid.w % c->merge == 0);
    assert(out.rows == grid.h * grid.w && out.cols == 3 * c->temporal * c->patch * c->patch);
    make_levels(c, out.dtype, &e.levels);
    pool_for(pool, out.rows, 16, extract_patches, &e);
}
