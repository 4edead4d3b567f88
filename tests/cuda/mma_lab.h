/* mma_lab.h - what tests of kernels on tensor cores share: arrays on the device, values, distances.
 */
#ifndef TESTS_CUDA_MMA_LAB_H
#define TESTS_CUDA_MMA_LAB_H

#include "kernels/ops.h"
#include "tests/check.h"
#include "tests/cuda/on_device.h"

struct lab_random {
    uint64_t seed;
    float next() /* in [-1, 1) */
    {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        return (float)((double)(seed >> 40) / (1 << 23) - 1);
    }
};

/* A matrix of f32 or bf16 on the device, with a stride wider than its columns. */
struct lab_matrix {
    enum dtype dtype;
    int rows, cols, stride;
    on_device<uint8_t> bytes;
    lab_matrix(enum dtype dtype_, int rows_, int cols_, int stride_)
        : dtype(dtype_), rows(rows_), cols(cols_), stride(stride_),
          bytes((size_t)rows_ * (size_t)stride_ * dtype_size(dtype_))
    {
        memset(bytes.host.data(), 0xff, bytes.host.size());
    }
    struct mat mat() const
    {
        return {bytes.at, dtype, rows, cols, stride};
    }
    struct mat on_host()
    {
        return {bytes.host.data(), dtype, rows, cols, stride};
    }
    double get(int row, int col)
    {
        const void *at = mat_at(on_host(), row, col);
        float f;
        uint16_t h;
        memcpy(&f, at, dtype_size(dtype));
        memcpy(&h, at, sizeof h);
        return dtype == DT_F32 ? f : bf16_to_f32(h);
    }
    void put(int row, int col, float f)
    {
        void *at = mat_at(on_host(), row, col);
        uint16_t h = f32_to_bf16(f);
        if (dtype == DT_F32)
            memcpy(at, &f, sizeof f);
        else
            memcpy(at, &h, sizeof h);
    }
    void fill(float scale, uint64_t seed)
    {
        struct lab_random r = {seed};
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++)
                put(i, j, scale * r.next());
        bytes.up();
    }
    void copy_row(int row, lab_matrix &from, int from_row)
    {
        memcpy(mat_at(on_host(), row, 0), mat_at(from.on_host(), from_row, 0),
               (size_t)cols * dtype_size(dtype));
    }
};

static inline int lab_main(int argc, char **argv)
{
#ifndef __CUDACC__
    emu::read_order();
#endif
    return check_main(argc, argv);
}

/* How much wider bounds of sums in f32 are on hardware, which cuts what it adds where the emulation
 * rounds: a bit a step of 16 inputs, in the direction of zero. */
#ifdef __CUDACC__
#define LAB_HARDWARE 16
#else
#define LAB_HARDWARE 1
#endif

/* |found - expected| / |expected|, over all elements; of zeros, |found|. */
static inline double lab_distance(lab_matrix &found, const std::vector<double> &expected)
{
    double error = 0, all = 0;
    found.bytes.down();
    for (int i = 0; i < found.rows; i++)
        for (int j = 0; j < found.cols; j++) {
            double e = expected[(size_t)(i * found.cols + j)], d = found.get(i, j) - e;
            error += d * d;
            all += e * e;
        }
    return sqrt(all > 0 ? error / all : error);
}

#endif
