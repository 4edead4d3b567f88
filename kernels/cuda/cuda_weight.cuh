/* cuda_weight.cuh - how the GPU keeps weights, and a value of them.
 *
 * A block has WEIGHT_BLOCK outputs; those past the end of the matrix are zero.
 *
 * F32, BF16, F16: [output][input]; all blocks together are the matrix by rows, as cuBLASLt takes
 * it.
 *
 * INT8: [output][input] bytes; then, on 16 bytes, the scales [output] f32.
 *
 * INT4: [output][half the inputs] bytes, the even input in the low half; then, on 16 bytes, scales
 * [output][group] bf16; then zeros [output][group] bytes.
 *
 * FP8: [output][input] bytes; then, on 16 bytes, scales [output][group of 128] f32. */
#ifndef KERNELS_CUDA_CUDA_WEIGHT_CUH
#define KERNELS_CUDA_CUDA_WEIGHT_CUH

#include "kernels/cuda/cuda.cuh"

struct weight_layout { /* bytes of a block, and where its parts begin */
    size_t row, scale, zero, bytes;
};

HOST_DEVICE size_t weight_on_16(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

HOST_DEVICE size_t weight_fp8_groups_of(size_t cols)
{
    return (cols + WEIGHT_FP8_GROUP - 1) / WEIGHT_FP8_GROUP;
}

HOST_DEVICE struct weight_layout weight_layout_of(enum weight_format format, int cols)
{
    size_t n = (size_t)cols, groups = (n + WEIGHT_GROUP - 1) / WEIGHT_GROUP;
    struct weight_layout l = {n * (format == WEIGHT_F32 ? 4 : 2), 0, 0, 0};
    if (format == WEIGHT_INT8 || format == WEIGHT_FP8) l.row = n;
    if (format == WEIGHT_INT4) l.row = (n + 1) / 2;
    l.scale = l.zero = l.bytes = l.row * WEIGHT_BLOCK;
    if (format < WEIGHT_INT8) return l;
    l.scale = weight_on_16(l.bytes);
    l.zero = l.bytes = l.scale + WEIGHT_BLOCK * sizeof(float);
    if (format == WEIGHT_INT8) return l;
    if (format == WEIGHT_FP8) {
        l.zero = l.bytes =
            weight_on_16(l.scale + WEIGHT_BLOCK * weight_fp8_groups_of(n) * sizeof(float));
        return l;
    }
    l.zero = l.scale + WEIGHT_BLOCK * groups * sizeof(uint16_t);
    l.bytes = weight_on_16(l.zero + WEIGHT_BLOCK * groups);
    return l;
}

/* A row of a weight: values, or codes and what they stand for. */
struct weight_row {
    const uint8_t *value, *scale, *zero;
};

DEVICE struct weight_row weight_row_of(struct weight w, int row)
{
    struct weight_layout l = weight_layout_of(w.format, w.cols);
    const uint8_t *block = (const uint8_t *)w.data + (size_t)(row / WEIGHT_BLOCK) * l.bytes;
    size_t o = (size_t)(row % WEIGHT_BLOCK);
    size_t groups = ((size_t)w.cols + WEIGHT_GROUP - 1) / WEIGHT_GROUP;
    size_t scales = w.format == WEIGHT_INT4  ? groups * 2
                    : w.format == WEIGHT_FP8 ? weight_fp8_groups_of((size_t)w.cols) * 4
                                             : 4;
    struct weight_row r = {block + o * l.row, block + l.scale + o * scales,
                           block + l.zero + o * groups};
    return r;
}

/* The value of input k without its scale; that of INT4 less the zero of its group. */
template <int FORMAT> DEVICE float weight_at(struct weight_row r, int k)
{
    switch (FORMAT) {
    case WEIGHT_F32:
        return ((const float *)r.value)[k];
    case WEIGHT_BF16:
        return bf16_float(((const uint16_t *)r.value)[k]);
    case WEIGHT_F16:
        return f16_float(((const uint16_t *)r.value)[k]);
    case WEIGHT_INT8:
        return (float)(int8_t)r.value[k];
    case WEIGHT_FP8:
        return e4m3_float(r.value[k]);
    default:
        return (float)((r.value[k / 2] >> k % 2 * 4 & 15) - r.zero[k / WEIGHT_GROUP]);
    }
}

/* By what sums of weight_at are multiplied: of the row, or of the group of input k. */
template <int FORMAT> DEVICE float weight_scale(struct weight_row r, int k)
{
    if (FORMAT == WEIGHT_INT8) return *(const float *)r.scale;
    if (FORMAT == WEIGHT_INT4) return bf16_float(((const uint16_t *)r.scale)[k / WEIGHT_GROUP]);
    if (FORMAT == WEIGHT_FP8) return ((const float *)r.scale)[k / WEIGHT_FP8_GROUP];
    return 1.0f;
}

DEVICE float weight_value(enum weight_format format, struct weight_row r, int k)
{
    switch (format) {
    case WEIGHT_F32:
        return weight_at<WEIGHT_F32>(r, k);
    case WEIGHT_BF16:
        return weight_at<WEIGHT_BF16>(r, k);
    case WEIGHT_F16:
        return weight_at<WEIGHT_F16>(r, k);
    case WEIGHT_INT8:
        return weight_at<WEIGHT_INT8>(r, k) * weight_scale<WEIGHT_INT8>(r, k);
    case WEIGHT_FP8:
        return weight_at<WEIGHT_FP8>(r, k) * weight_scale<WEIGHT_FP8>(r, k);
    default:
        return weight_at<WEIGHT_INT4>(r, k) * weight_scale<WEIGHT_INT4>(r, k);
    }
}

#endif
