/* weight_lab.h - weights of bf16, int8, int4 and FP8 as the GPU keeps them, and products with them.
 */
#ifndef TESTS_CUDA_WEIGHT_LAB_H
#define TESTS_CUDA_WEIGHT_LAB_H

#include "kernels/cuda/mma_gemv.cuh"
#include "tests/cuda/mma_lab.h"
#include "tests/e4m3.h"

struct shape {
    enum weight_format format;
    int n, outputs, inputs;
    enum dtype y;
    bool bias;
};

/* As cuda_weight.cuh describes it. */
struct packed {
    size_t row, scale, zero, block;
    std::vector<uint8_t> bytes;
    std::vector<double> value; /* [outputs, inputs] */
    packed(const struct shape &s, uint64_t seed)
    {
        struct lab_random r = {seed};
        size_t n = (size_t)s.inputs, groups = n / WEIGHT_GROUP;
        size_t wide = (n + WEIGHT_FP8_GROUP - 1) / WEIGHT_FP8_GROUP;
        row = s.format == WEIGHT_BF16 ? 2 * n : s.format == WEIGHT_INT4 ? n / 2 : n;
        scale = (row * WEIGHT_BLOCK + 15) / 16 * 16;
        zero = scale + WEIGHT_BLOCK * groups * sizeof(uint16_t);
        block = s.format == WEIGHT_BF16   ? scale
                : s.format == WEIGHT_INT8 ? scale + WEIGHT_BLOCK * sizeof(float)
                : s.format == WEIGHT_FP8  ? scale + WEIGHT_BLOCK * wide * sizeof(float)
                                          : (zero + WEIGHT_BLOCK * groups + 15) / 16 * 16;
        bytes.resize(block * (size_t)((s.outputs + WEIGHT_BLOCK - 1) / WEIGHT_BLOCK));
        value.resize((size_t)s.outputs * n);
        for (int o = 0; o < s.outputs; o++)
            for (int k = 0; k < s.inputs; k++)
                value[(size_t)o * n + (size_t)k] = put(s, o, k, r.next());
    }
    /* Keeps the value as the format rounds it, and returns it. */
    double put(const struct shape &s, int o, int k, float x)
    {
        uint8_t *b = &bytes[(size_t)(o / WEIGHT_BLOCK) * block];
        size_t in = (size_t)(o % WEIGHT_BLOCK), group = (size_t)(k / WEIGHT_GROUP),
               groups = (size_t)(s.inputs / WEIGHT_GROUP);
        float unit = (float)(o % 5 + 1) / 64, of_group = unit * (float)(group % 3 + 1);
        uint16_t h = f32_to_bf16(s.format == WEIGHT_INT4 ? of_group : x);
        int code = (int)(x * 127), four = (code + 127) / 16, zeros = (int)((group + in) % 16);
        if (s.format == WEIGHT_BF16) {
            memcpy(b + in * row + 2 * (size_t)k, &h, sizeof h);
            return bf16_to_f32(h);
        }
        if (s.format == WEIGHT_INT8) {
            b[in * row + (size_t)k] = (uint8_t)(int8_t)code;
            memcpy(b + scale + in * sizeof unit, &unit, sizeof unit);
            return (double)code * unit;
        }
        if (s.format == WEIGHT_FP8) {
            size_t wide = (size_t)(s.inputs + WEIGHT_FP8_GROUP - 1) / WEIGHT_FP8_GROUP;
            of_group = unit * (float)(k / WEIGHT_FP8_GROUP % 3 + 1) / 300;
            b[in * row + (size_t)k] = e4m3_nearest((double)x * 300);
            memcpy(b + scale + (in * wide + (size_t)(k / WEIGHT_FP8_GROUP)) * sizeof unit,
                   &of_group, sizeof unit);
            return e4m3_value(b[in * row + (size_t)k]) * of_group;
        }
        b[in * row + (size_t)k / 2] |= (uint8_t)(four << k % 2 * 4);
        memcpy(b + scale + (in * groups + group) * sizeof h, &h, sizeof h);
        b[zero + in * groups + group] = (uint8_t)zeros;
        return (double)(four - zeros) * bf16_to_f32(h);
    }
};

/* Values are exact in bf16 or as whole numbers; sums in f32 of up to 1184 products, then bf16. */
static inline double bound_of(const struct shape &s)
{
    return s.y == DT_F32 ? LAB_HARDWARE * 1e-6 : 3e-3;
}

/* A product on the device; rows of x and y are longer than their columns. */
struct problem {
    struct shape s;
    struct packed host;
    lab_matrix x, y;
    on_device<uint8_t> w;
    on_device<float> bias;
    problem(struct shape shape, uint64_t seed)
        : s(shape), host(shape, seed), x(DT_BF16, shape.n, shape.inputs, shape.inputs + 8),
          y(shape.y, shape.n, shape.outputs, shape.outputs + 3), w(host.bytes.size()),
          bias((size_t)shape.outputs)
    {
        w.host = host.bytes;
        w.up();
        x.fill(1, seed + 1);
        for (int o = 0; o < s.outputs; o++)
            bias.host[(size_t)o] = (float)o / 8;
        bias.up();
        y.bytes.spoil();
    }
    struct mma::gemv rows(int row, int n) const
    {
        struct weight weight = {s.format, s.outputs, s.inputs, w.at};
        return {mat_rows(y.mat(), row, n),
                mat_rows(x.mat(), row, n),
                weight,
                s.bias ? bias.at : nullptr,
                false,
                host.block,
                host.scale,
                host.zero};
    }
    void run_few(int row, int n)
    {
        struct mma::gemv a = rows(row, n);
        need(mma::enqueue_gemv(nullptr, &a, 1), "product of few rows");
    }
    /* y is some values, and what it is when `product` is added to them. */
    std::vector<uint8_t> begin_sum(const std::vector<uint8_t> &product)
    {
        y.fill(3, 7);
        std::vector<uint8_t> sum = y.bytes.host;
        for (int row = 0; row < s.n; row++)
            for (int o = 0; o < s.outputs; o++) {
                size_t at = ((size_t)row * (size_t)y.stride + (size_t)o) * sizeof(float);
                float a, b;
                memcpy(&a, &sum[at], sizeof a);
                memcpy(&b, &product[at], sizeof b);
                a += b;
                memcpy(&sum[at], &a, sizeof a);
            }
        return sum;
    }
    /* As the definition has it, in double. */
    double sum(int row, int o)
    {
        double sum = s.bias ? bias.host[(size_t)o] : 0;
        for (int k = 0; k < s.inputs; k++)
            sum += x.get(row, k) * host.value[(size_t)(o * s.inputs + k)];
        return sum;
    }
    /* Nothing but the view is written: the columns behind it keep what they were spoiled with. */
    int written_outside()
    {
        int written = 0;
        for (int row = 0; row < s.n; row++)
            for (int col = s.outputs; col < y.mat().stride; col++)
                written += *(const uint8_t *)mat_at(y.on_host(), row, col) != 0xff;
        return written;
    }
};

#endif
