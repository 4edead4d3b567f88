/* cpu_pack.c - weights into panels, and a row out of them again. */
#include "kernels/cpu/cpu_pack.h"

#include <string.h>

size_t cpu_weight_block(const struct device *d, enum weight_format format, int cols)
{
    size_t inputs = (size_t)pack_inputs(cols);
    (void)d;
    switch (format) {
    case WEIGHT_F32:
        return inputs * PANEL * sizeof(float);
    case WEIGHT_BF16:
    case WEIGHT_F16:
        return inputs * PANEL * sizeof(uint16_t);
    case WEIGHT_INT8:
        return inputs * PANEL + PANEL * sizeof(float);
    case WEIGHT_INT4:
        return inputs / WEIGHT_GROUP * sizeof(struct int4_group);
    case WEIGHT_FP8: /* it becomes a float while it is read */
        return 0;
    }
    assert(0);
    return 0;
}

/* dst[k][o] of a row each, as they are. */
static void pack_f32(float *dst, const struct weight_rows *w)
{
    const float *src = w->value;
    for (int k = 0; k < w->cols; k++)
        for (int o = 0; o < w->rows; o++)
            dst[k * PANEL + o] = src[(size_t)o * (size_t)w->cols + (size_t)k];
}

static void pack_f16(uint16_t *dst, const struct weight_rows *w)
{
    const uint16_t *src = w->value;
    for (int k = 0; k < w->cols; k++)
        for (int o = 0; o < w->rows; o++)
            dst[k * PANEL + o] = src[(size_t)o * (size_t)w->cols + (size_t)k];
}

static void pack_bf16(uint16_t *dst, const struct weight_rows *w)
{
    const char *src = w->value;
    size_t row = (size_t)w->cols * sizeof *dst;
    for (int k = 0; k + 1 < w->cols; k += 2)
        for (int o = 0; o < w->rows; o++)
            memcpy(dst + k * PANEL + 2 * o, src + (size_t)o * row + (size_t)k * sizeof *dst,
                   2 * sizeof *dst);
    for (int o = 0; w->cols % 2 && o < w->rows; o++)
        memcpy(dst + (w->cols - 1) * PANEL + 2 * o, src + (size_t)(o + 1) * row - sizeof *dst,
               sizeof *dst);
}

static void pack_int8(uint8_t *dst, const struct weight_rows *w)
{
    const uint8_t *src = w->value;
    for (int k = 0; k < w->cols; k++)
        for (int o = 0; o < w->rows; o++)
            dst[pack_int8_at(k, o)] = src[(size_t)o * (size_t)w->cols + (size_t)k];
    memcpy(dst + (size_t)pack_inputs(w->cols) * PANEL, w->scale, (size_t)w->rows * sizeof(float));
}

static void pack_int4(struct int4_group *dst, const struct weight_rows *w)
{
    const uint8_t *src = w->value;
    const uint16_t *scale = w->scale;
    int groups = weight_groups(w->cols);
    for (int o = 0; o < w->rows; o++, src += w->cols) {
        for (int k = 0; k < w->cols; k++)
            dst[k / WEIGHT_GROUP].word[k % WEIGHT_GROUP / 8][o] |= (uint32_t)src[k]
                                                                   << pack_int4_shift(k);
        for (int g = 0; g < groups; g++) {
            dst[g].scale[o] = scale[o * groups + g];
            dst[g].zero[o] = w->zero[o * groups + g];
        }
    }
}

void cpu_weight_pack(const struct device *d, void *block, const struct weight_rows *rows)
{
    memset(block, 0, cpu_weight_block(d, rows->format, rows->cols));
    switch (rows->format) {
    case WEIGHT_F32:
        pack_f32(block, rows);
        break;
    case WEIGHT_BF16:
        pack_bf16(block, rows);
        break;
    case WEIGHT_F16:
        pack_f16(block, rows);
        break;
    case WEIGHT_INT8:
        pack_int8(block, rows);
        break;
    case WEIGHT_INT4:
        pack_int4(block, rows);
        break;
    case WEIGHT_FP8:
        assert(0);
        break;
    }
}

static float half_at(const uint8_t *panel, size_t i, enum weight_format format)
{
    uint16_t h;
    memcpy(&h, panel + i * sizeof h, sizeof h);
    return format == WEIGHT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
}

static float f32_at(const uint8_t *panel, size_t i)
{
    float f;
    memcpy(&f, panel + i * sizeof f, sizeof f);
    return f;
}

static float int4_at(const uint8_t *panel, int k, int o)
{
    const struct int4_group *g = (const struct int4_group *)(const void *)panel + k / WEIGHT_GROUP;
    uint32_t q = g->word[k % WEIGHT_GROUP / 8][o] >> pack_int4_shift(k) & 15;
    return bf16_to_f32(g->scale[o]) * (float)((int)q - (int)g->zero[o]);
}

void cpu_weight_row(float *dst, const struct weight *w, int row)
{
    const uint8_t *panel = cpu_panel(w, row / PANEL);
    size_t scales = (size_t)pack_inputs(w->cols) * PANEL;
    int o = row % PANEL;
    for (int k = 0; k < w->cols; k++) {
        size_t at = (size_t)(k * PANEL + o);
        switch (w->format) {
        case WEIGHT_F32:
            dst[k] = f32_at(panel, at);
            break;
        case WEIGHT_BF16:
            dst[k] = half_at(panel, (size_t)(k / 2 * 2 * PANEL + 2 * o + k % 2), w->format);
            break;
        case WEIGHT_F16:
            dst[k] = half_at(panel, at, w->format);
            break;
        case WEIGHT_INT8:
            dst[k] = (float)(int8_t)panel[pack_int8_at(k, o)] * f32_at(panel + scales, (size_t)o);
            break;
        case WEIGHT_INT4:
            dst[k] = int4_at(panel, k, o);
            break;
        case WEIGHT_FP8:
            assert(0);
            break;
        }
    }
}
