/* cpu_quantize.c - rows in eight and four bits, and back. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"

struct quantize {
    struct mat quantized, plain;
    int heads;
};

/* ---- eight bits ---- */

/* The largest magnitude of the run / 127, NaN where one is not finite. */
static float run_scale(struct mat m, int row, int col, int n)
{
    float block[BLOCK];
    uint32_t most = 0;
    for (int c = 0; c < n; c += BLOCK) {
        int k = min_int(BLOCK, n - c);
        block_load(block, m.dtype, mat_at(m, row, col + c), k);
        for (int i = 0; i < k; i++) { /* magnitudes are in the order of their bits */
            uint32_t bits = bits_of_float(block[i]) & 0x7fffffffu;
            most = bits > most ? bits : most;
        }
    }
    return most < 0x7f800000u ? float_of_bits(most) / 127.0f : NAN;
}

static void quantize_run(const struct quantize *a, int row, int head)
{
    int n = a->plain.cols / a->heads, col = head * n;
    float block[BLOCK], scale = run_scale(a->plain, row, col, n);
    float divisor = scale > 0 ? scale : INFINITY;
    int8_t *code = mat_at(a->quantized, row, col);
    for (int c = 0; c < n; c += BLOCK) {
        int k = min_int(BLOCK, n - c);
        block_load(block, a->plain.dtype, mat_at(a->plain, row, col + c), k);
        for (int i = 0; i < k; i++)
            code[c + i] = code_of(block[i], divisor);
    }
    memcpy(mat_at(a->quantized, row, row_int8_cols(a->plain.cols, head)), &scale, sizeof scale);
}

static void dequantize_run(const struct quantize *a, int row, int head)
{
    int n = a->plain.cols / a->heads, col = head * n;
    const int8_t *code = mat_at(a->quantized, row, col);
    float block[BLOCK], scale;
    memcpy(&scale, mat_at(a->quantized, row, row_int8_cols(a->plain.cols, head)), sizeof scale);
    for (int c = 0; c < n; c += BLOCK) {
        int k = min_int(BLOCK, n - c);
        for (int i = 0; i < k; i++)
            block[i] = (float)code[c + i] * scale;
        block_store(a->plain.dtype, mat_at(a->plain, row, col + c), block, k);
    }
}

/* ---- four bits ---- */

struct group { /* of a run; stored as two bf16 */
    float step, base;
};

static struct group group_of(const float *x, int n)
{
    float least = x[0], most = x[0], wrong = 0, width;
    struct group g;
    for (int i = 0; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
        wrong += 0 * x[i]; /* NaN where x is not finite */
    }
    g.base = bf16_to_f32(f32_to_bf16(least));
    width = most - g.base + wrong;
    g.step = bf16_to_f32(f32_to_bf16(width * (1.0f / 15.0f)));
    if (width < 0x1p-100f) g.step = 0;
    if (!(width <= 0x1p127f)) g.step = NAN;
    return g;
}

static uint8_t code4_of(float x, struct group g, float by)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23, bits 0x4b400000 */
    float q = (x - g.base) * by;
    q = q < 15.0f ? q : 15.0f;
    q = q > 0.0f ? q : 0.0f;
    return (uint8_t)(bits_of_float(q + magic) - 0x4b400000u);
}

static uint8_t *groups_at(const struct quantize *a, int row, int head)
{
    int n = a->plain.cols / a->heads, groups = (n + ROW_INT4_GROUP - 1) / ROW_INT4_GROUP;
    return mat_at(a->quantized, row, a->heads * ((n + 1) / 2) + head * groups * 4);
}

static void quantize4_run(const struct quantize *a, int row, int head)
{
    int n = a->plain.cols / a->heads;
    uint8_t *code = mat_at(a->quantized, row, head * ((n + 1) / 2)), *to = groups_at(a, row, head);
    for (int c = 0; c < n; c += ROW_INT4_GROUP, code += ROW_INT4_GROUP / 2, to += 4) {
        float x[ROW_INT4_GROUP] = {0};
        uint8_t q[ROW_INT4_GROUP] = {0};
        int k = min_int(ROW_INT4_GROUP, n - c);
        struct group g;
        float by;
        block_load(x, a->plain.dtype, mat_at(a->plain, row, head * n + c), k);
        g = group_of(x, k);
        by = g.step > 0 ? 1.0f / g.step : 0;
        for (int i = 0; i < k; i++)
            q[i] = code4_of(x[i], g, by);
        for (int i = 0; i < (k + 1) / 2; i++)
            code[i] = (uint8_t)(q[2 * i] | q[2 * i + 1] << 4);
        memcpy(to, (uint16_t[2]){f32_to_bf16(g.step), f32_to_bf16(g.base)}, 4);
    }
}

static void dequantize4_run(const struct quantize *a, int row, int head)
{
    int n = a->plain.cols / a->heads;
    const uint8_t *code = mat_at(a->quantized, row, head * ((n + 1) / 2));
    const uint8_t *from = groups_at(a, row, head);
    for (int c = 0; c < n; c += ROW_INT4_GROUP, code += ROW_INT4_GROUP / 2, from += 4) {
        float x[ROW_INT4_GROUP];
        int k = min_int(ROW_INT4_GROUP, n - c);
        uint16_t h[2];
        struct group g;
        memcpy(h, from, sizeof h);
        g = (struct group){bf16_to_f32(h[0]), bf16_to_f32(h[1])};
        for (int i = 0; i < k; i++)
            x[i] = g.base + (float)(code[i / 2] >> 4 * (i % 2) & 15) * g.step;
        block_store(a->plain.dtype, mat_at(a->plain, row, head * n + c), x, k);
    }
}

/* ---- rows ---- */

static void quantize_rows(void *arg, int begin, int end, int worker)
{
    const struct quantize *a = arg;
    (void)worker;
    for (int row = begin; row < end; row++)
        for (int head = 0; head < a->heads; head++)
            (a->quantized.dtype == DT_ROW_INT8 ? quantize_run : quantize4_run)(a, row, head);
}

static void dequantize_rows(void *arg, int begin, int end, int worker)
{
    const struct quantize *a = arg;
    (void)worker;
    for (int row = begin; row < end; row++)
        for (int head = 0; head < a->heads; head++)
            (a->quantized.dtype == DT_ROW_INT8 ? dequantize_run : dequantize4_run)(a, row, head);
}

static void for_rows(struct queue *q, const struct quantize *a, pool_fn fn)
{
    int grain = max_int(1, 16384 / a->plain.cols);
    if (a->plain.rows > 0) pool_for(q->env->pool, a->plain.rows, grain, fn, (void *)(uintptr_t)a);
}

void CPU(quantize)(struct queue *q, struct mat dst, struct mat src, int heads)
{
    struct quantize a = {dst, src, heads};
    for_rows(q, &a, quantize_rows);
}

void CPU(dequantize)(struct queue *q, struct mat dst, struct mat src, int heads)
{
    struct quantize a = {src, dst, heads};
    for_rows(q, &a, dequantize_rows);
}
