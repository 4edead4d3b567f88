/* kernels.h - the main functions of tests of operations, where they are one program (kernels.c). */
#ifndef TESTS_GPU_KERNELS_H
#define TESTS_GPU_KERNELS_H

#define EACH_TEST(X) \
    X(ops)           \
    X(heads)         \
    X(measures) X(matmul) X(attention) X(score) X(placement) X(random) X(quantize) X(device)

#define DECLARE(name) int test_##name##_main(int argc, char **argv);
EACH_TEST(DECLARE)

#endif
