/* lab.h - devices of every instruction set and thread count, and random matrices, for tests. */
#ifndef TESTS_KERNELS_LAB_H
#define TESTS_KERNELS_LAB_H

#include "base/heap.h"
#include "base/pool.h"
#include "kernels/cpu/cpu.h"
#include "tests/check.h"
#include "tests/ref_ops.h"

struct lab_cpu {
    enum vlqa_cpu cpu;
    const struct backend_ops *ops; /* NULL, or a table that the machine is not asked about */
};

/* CPU_TEST(claim) { ... on cpu ... } becomes a test for each instruction set; those that this
 * machine lacks are skipped by name. */
#define CPU_TEST(name)                         \
    static void name(struct lab_cpu cpu);      \
    CPU_TEST_ON(name, plain, VLQA_CPU_PLAIN)   \
    CPU_TEST_ON(name, avx2, VLQA_CPU_AVX2)     \
    CPU_TEST_ON(name, avx512, VLQA_CPU_AVX512) \
    CPU_TEST_ON(name, amx, VLQA_CPU_AMX)       \
    static void name(struct lab_cpu cpu)

#define CPU_TEST_ON(name, isa, which)                              \
    TEST(name##_on_##isa)                                          \
    {                                                              \
        if (!device_has_cpu(which)) SKIP("this CPU has no " #isa); \
        name((struct lab_cpu){which, NULL});                       \
    }

struct lab {
    struct env env;
    struct device *device;
    struct queue *queue;
};

/* threads 0: no pool. */
static inline void lab_open(struct lab *lab, struct lab_cpu cpu, int threads)
{
    vlqa_status status = VLQA_OK;
    memset(lab, 0, sizeof *lab);
    if (threads) status = pool_create(&lab->env, threads, &lab->env.pool);
    if (!status)
        status = cpu.ops ? cpu_open_over(&lab->env, cpu.ops, &lab->device)
                         : device_open(&lab->env, cpu.cpu, &lab->device);
    if (!status) status = queue_open(lab->device, &lab->env, &lab->queue);
    if (!status) return;
    fprintf(stderr, "%s\n", lab->env.message);
    exit(1);
}

static inline void lab_close(struct lab *lab)
{
    queue_close(lab->queue);
    device_close(lab->device);
    pool_free(lab->env.pool);
}

static inline double lab_uniform(uint64_t *seed) /* [-1, 1) */
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 40) / (double)(1 << 23) - 1.0;
}

static inline void *lab_alloc(size_t bytes)
{
    void *block = heap_alloc(bytes);
    if (!block) exit(1);
    return block;
}

static inline uint16_t lab_f16(double x) /* |x| in [2^-14, 2) or 0: the fraction is cut */
{
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if (fabs(x) < 0.0001) return 0;
    return (uint16_t)((u >> 16 & 0x8000u) | (((u & 0x7fffffffu) - (112u << 23)) >> 13));
}

static inline void lab_put(struct mat m, int row, int col, double x)
{
    float f = (float)x;
    uint16_t h = m.dtype == DT_F16 ? lab_f16(x) : f32_to_bf16(f);
    memcpy(mat_at(m, row, col), m.dtype == DT_F32 ? (void *)&f : &h, dtype_size(m.dtype));
}

/* Uniform in [-1, 1) times scale; what lies between cols and stride is NaN. Freed by lab_free. */
static inline struct mat lab_mat(enum dtype dtype, int rows, int cols, int stride, double scale,
                                 uint64_t seed)
{
    /* one element past the alignment of the heap: weights are mapped like that */
    size_t size = dtype_size(dtype), bytes = (size_t)rows * (size_t)stride * size + size;
    uint8_t *block = lab_alloc(bytes);
    struct mat m = {block + size, dtype, rows, cols, stride};
    memset(block, 0xff, bytes); /* NaN in every format */
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            lab_put(m, r, c, lab_uniform(&seed) * scale);
    return m;
}

static inline void lab_free(struct mat m)
{
    heap_free((uint8_t *)m.data - dtype_size(m.dtype));
}

static inline float *lab_vec(int n, double middle, uint64_t seed)
{
    float *v = lab_alloc((size_t)n * sizeof *v);
    for (int i = 0; i < n; i++)
        v[i] = (float)(middle + lab_uniform(&seed));
    return v;
}

/* Views of memory that the CPU and the test share. */
static inline struct ints lab_ints(const int32_t *v, int n)
{
    return (struct ints){v, v, n};
}

static inline struct spans lab_spans(const struct span *v, int n)
{
    return (struct spans){v, v, n};
}

static inline struct mat lab_vector(const float *v, int n)
{
    return v ? mat_of((void *)(uintptr_t)v, DT_F32, 1, n) : mat_none();
}

static inline struct weight lab_weight(struct mat m)
{
    static const enum weight_format format[] = {
        [DT_F32] = WEIGHT_F32, [DT_BF16] = WEIGHT_BF16, [DT_F16] = WEIGHT_F16};
    return (struct weight){.format = format[m.dtype],
                           .data = m.data,
                           .rows = m.rows,
                           .cols = m.cols,
                           .row_bytes = mat_bytes(m.dtype, 1, m.stride)};
}

/* The rows of a and b are the same bits, between their strides too not looked at. */
static inline int lab_same(struct mat a, struct mat b)
{
    for (int r = 0; r < a.rows; r++)
        if (memcmp(mat_at(a, r, 0), mat_at(b, r, 0), (size_t)a.cols * dtype_size(a.dtype)))
            return 0;
    return a.rows == b.rows && a.cols == b.cols;
}

/* Relative error of the whole matrix against the reference, in the sense of L2. */
static inline double lab_error(struct mat found, const double *expected)
{
    double err = 0, ref = 0;
    for (int r = 0; r < found.rows; r++)
        for (int c = 0; c < found.cols; c++) {
            double e = expected[(size_t)r * (size_t)found.cols + (size_t)c];
            double d = ref_value(found, r, c) - e;
            err += d * d;
            ref += e * e;
        }
    return ref > 0 ? sqrt(err / ref) : sqrt(err);
}

/* Rounding to bf16 moves a value by at most 2^-8 of it. */
#define LAB_BF16 0.003907
/* Claims that found is within bound of expected, or within bf16's rounding where it is bf16. */
#define CHECK_MAT(found, expected, bound)                                                        \
    do {                                                                                         \
        double lab_e_ = lab_error(found, expected);                                              \
        double lab_b_ = (found).dtype == DT_BF16 ? LAB_BF16 : (bound);                           \
        if (!(lab_e_ <= lab_b_))                                                                 \
            CHECK_FAIL("%s [%d, %d] is off by %g, bound %g", #found, (found).rows, (found).cols, \
                       lab_e_, lab_b_);                                                          \
    } while (0)

#endif
