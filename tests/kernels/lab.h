/* lab.h - devices of every instruction set and thread count, and random matrices, for tests. */
#ifndef TESTS_KERNELS_LAB_H
#define TESTS_KERNELS_LAB_H

#include "base/heap.h"
#include "base/pool.h"
#include "kernels/cpu/cpu.h"
#include "kernels/weight_quant.h"
#include "tests/check.h"
#include "tests/e4m3.h"
#include "tests/kernels/lab_device.h"
#include "tests/ref_ops.h"
#include "tests/wants_cuda.h"

#ifdef VLQA_EMU
#include "tests/cuda/emu_device.h"
#endif

struct lab_cpu {
    enum vlqa_cpu cpu;
    const struct backend_ops *ops; /* NULL, or a table that the machine is not asked about */
    vlqa_status (*open_gpu)(struct env *env, struct device **out); /* NULL: the CPU */
};

/* CPU_TEST(claim) { ... on cpu ... } becomes a test for each instruction set, for the emulated GPU
 * and for a real one; those that this machine lacks are skipped by name. CPU_ONLY_TEST leaves GPUs
 * out. */
#define CPU_TEST(name) GPU_TEST(name) CPU_ONLY_TEST(name)

#define CPU_ONLY_TEST(name)                    \
    static void name(struct lab_cpu cpu);      \
    CPU_TEST_ON(name, plain, VLQA_CPU_PLAIN)   \
    CPU_TEST_ON(name, avx2, VLQA_CPU_AVX2)     \
    CPU_TEST_ON(name, avx512, VLQA_CPU_AVX512) \
    CPU_TEST_ON(name, amx, VLQA_CPU_AMX)       \
    static void name(struct lab_cpu cpu)

#define GPU_TEST(name)                                                           \
    static void name(struct lab_cpu cpu);                                        \
    TEST(name##_on_emu)                                                          \
    {                                                                            \
        if (!lab_emu.open_gpu) SKIP("this build has no emulated GPU");           \
        name(lab_emu);                                                           \
    }                                                                            \
    TEST(name##_on_cuda)                                                         \
    {                                                                            \
        if (!wants_cuda()) SKIP("the environment has no VLQA_TEST_DEVICE=cuda"); \
        name(lab_cuda);                                                          \
    }

#define CPU_TEST_ON(name, isa, which)                              \
    TEST(name##_on_##isa)                                          \
    {                                                              \
        if (!device_has_cpu(which)) SKIP("this CPU has no " #isa); \
        name((struct lab_cpu){which, NULL, NULL});                 \
    }

/* On a GPU each operation copies its operands (lab_device.h). */
#ifdef VLQA_EMU
static const struct lab_cpu lab_emu = {VLQA_CPU_AUTO, NULL, emu_open};
#else
static const struct lab_cpu lab_emu = {VLQA_CPU_AUTO, NULL, NULL};
#endif

static inline vlqa_status lab_open_cuda(struct env *env, struct device **out)
{
    return device_choose(env, VLQA_DEVICE_CUDA, VLQA_CPU_AUTO, 0, out);
}

static const struct lab_cpu lab_cuda = {VLQA_CPU_AUTO, NULL, lab_open_cuda};

/* How much wider bounds of f32 are on a real GPU: tensor cores cut what they add where the
 * emulation rounds, and functions such as expf lose a bit or two more. */
#define LAB_HARDWARE 16
static double lab_slack = 1; /* of the device that was opened last */

struct lab {
    struct env env;
    struct device *device;
    struct queue *queue;
};

static inline vlqa_status lab_open_device(struct lab *lab, struct lab_cpu cpu)
{
    struct device *gpu;
    vlqa_status status;
    if (cpu.ops) return cpu_open_over(&lab->env, cpu.ops, &lab->device);
    if (!cpu.open_gpu) return device_open(&lab->env, cpu.cpu, &lab->device);
    status = cpu.open_gpu(&lab->env, &gpu);
    return status == VLQA_OK ? lab_device_open(&lab->env, gpu, &lab->device) : status;
}

/* threads 0: no pool. */
static inline void lab_open(struct lab *lab, struct lab_cpu cpu, int threads)
{
    vlqa_status status = VLQA_OK;
    memset(lab, 0, sizeof *lab);
    lab_slack = cpu.open_gpu == lab_open_cuda ? LAB_HARDWARE : 1;
    if (threads) status = pool_create(&lab->env, threads, &lab->env.pool);
    if (!status) status = lab_open_device(lab, cpu);
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

/* The same with rows that begin on 16 bytes; freed by lab_aligned_free. */
static inline struct mat lab_aligned(enum dtype dtype, int rows, int cols, double scale,
                                     uint64_t seed)
{
    int per_16 = 16 / (int)dtype_size(dtype);
    int stride = (cols + per_16 - 1) / per_16 * per_16 + per_16;
    return mat_cols(lab_mat(dtype, rows, stride, stride, scale, seed), per_16 - 1, cols);
}

static inline void lab_aligned_free(struct mat m)
{
    heap_free((uint8_t *)m.data - 16);
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

/* Rows as weight_rows has them. */
struct lab_rows {
    uint8_t *value, *zero;
    void *scale;
};

/* Row of m as row `at`; what its values are then goes to `stands_for`. */
static inline void lab_quantise(struct mat m, enum weight_format format, int row, int at,
                                const struct lab_rows *to, float *stands_for)
{
    const float *v = mat_at(m, row, 0);
    uint8_t *q = to->value + (size_t)at * (size_t)m.cols;
    int groups = weight_groups(m.cols);
    if (format == WEIGHT_INT8) {
        float *scale = (float *)to->scale + at;
        weight_quant_int8(v, m.cols, (int8_t *)q, scale);
        for (int c = 0; c < m.cols; c++)
            stands_for[c] = *scale * (float)(int8_t)q[c];
    } else if (format == WEIGHT_FP8) {
        float *scale = (float *)to->scale + at * weight_fp8_groups(m.cols);
        for (int c = 0; c < m.cols; c++) {
            float *s = &scale[c / WEIGHT_FP8_GROUP];
            *s = fmaxf(c % WEIGHT_FP8_GROUP ? *s : 1e-3f, fabsf(v[c]) / 300);
        }
        for (int c = 0; c < m.cols; c++) {
            float s = scale[c / WEIGHT_FP8_GROUP];
            q[c] = e4m3_nearest((double)(v[c] / s));
            stands_for[c] = s * (float)e4m3_value(q[c]);
        }
    } else {
        uint16_t *scale = (uint16_t *)to->scale + at * groups;
        uint8_t *zero = to->zero + at * groups;
        weight_quant_int4(v, m.cols, q, scale, zero);
        for (int c = 0; c < m.cols; c++)
            stands_for[c] = bf16_to_f32(scale[c / WEIGHT_GROUP]) *
                            (float)((int)q[c] - (int)zero[c / WEIGHT_GROUP]);
    }
}

/* A weight of the rows of a matrix, f32 if it is quantised; freed by lab_weight_free. values: what
 * the weight stands for where it is quantised, [m.rows, m.cols] for heap_free; may be NULL. */
static inline struct weight lab_weight_as(const struct lab *lab, struct mat m,
                                          enum weight_format format, float **values)
{
    struct weight w = {format, m.rows, m.cols, NULL};
    size_t block = k_weight_block(lab->device, format, m.cols);
    size_t row_bytes = mat_bytes(m.dtype, 1, m.cols), groups = (size_t)weight_groups(m.cols);
    int is_quantised = format > WEIGHT_F16;
    struct lab_rows rows = {lab_alloc(WEIGHT_BLOCK * row_bytes), lab_alloc(WEIGHT_BLOCK * groups),
                            lab_alloc(WEIGHT_BLOCK * groups * sizeof(float))};
    float *stands_for = lab_alloc((size_t)m.rows * (size_t)m.cols * sizeof *stands_for);
    w.data = lab_alloc(k_weight_bytes(lab->device, w));
    for (int row = 0; row < m.rows; row += WEIGHT_BLOCK) {
        struct weight_rows r = {format,
                                0,
                                m.cols,
                                rows.value,
                                is_quantised ? rows.scale : NULL,
                                format == WEIGHT_INT4 ? rows.zero : NULL};
        for (; r.rows < WEIGHT_BLOCK && row + r.rows < m.rows; r.rows++)
            if (is_quantised)
                lab_quantise(m, format, row + r.rows, r.rows, &rows,
                             stands_for + (size_t)(row + r.rows) * (size_t)m.cols);
            else
                memcpy(rows.value + (size_t)r.rows * row_bytes, mat_at(m, row + r.rows, 0),
                       row_bytes);
        k_weight_pack(lab->device, (uint8_t *)w.data + (size_t)(row / WEIGHT_BLOCK) * block, &r);
    }
    heap_free(rows.value);
    heap_free(rows.zero);
    heap_free(rows.scale);
    if (values)
        *values = stands_for;
    else
        heap_free(stands_for);
    return w;
}

static inline struct weight lab_weight(const struct lab *lab, struct mat m)
{
    static const enum weight_format format[] = {
        [DT_F32] = WEIGHT_F32, [DT_BF16] = WEIGHT_BF16, [DT_F16] = WEIGHT_F16};
    return lab_weight_as(lab, m, format[m.dtype], NULL);
}

static inline void lab_weight_free(struct weight w)
{
    heap_free(w.data);
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
        double lab_b_ = (found).dtype == DT_BF16 ? LAB_BF16 : lab_slack * (bound);               \
        if (!(lab_e_ <= lab_b_))                                                                 \
            CHECK_FAIL("%s [%d, %d] is off by %g, bound %g", #found, (found).rows, (found).cols, \
                       lab_e_, lab_b_);                                                          \
    } while (0)

#endif
