/* test_quantize.c - values in eight bits with a scale for each head, and back. */
#include "tests/kernels/lab.h"

#include "kernels/cpu/cpu_math.h"

struct pair { /* values, and room for their codes and for what these read as */
    struct mat x, packed, y;
    int heads;
};

static struct pair open_pair(enum dtype dtype, int rows, int cols, int heads)
{
    struct pair p = {.heads = heads};
    int wide = row_int8_cols(cols, heads);
    p.x = lab_mat(dtype, rows, cols, cols + 3, 5, 1);
    p.y = lab_mat(dtype, rows, cols, cols + 5, 0, 1);
    p.packed = mat_of(lab_alloc((size_t)(rows * wide)), DT_ROW_INT8, rows, wide);
    memset(p.packed.data, 0x55, (size_t)(rows * wide));
    return p;
}

static void close_pair(struct pair *p)
{
    lab_free(p->x);
    lab_free(p->y);
    heap_free(p->packed.data);
}

static double scale_of(const struct pair *p, int row, int head)
{
    float scale;
    memcpy(&scale, mat_at(p->packed, row, p->x.cols + 4 * head), sizeof scale);
    return (double)scale;
}

static int code_at(const struct pair *p, int row, int col)
{
    return *(const int8_t *)mat_at(p->packed, row, col);
}

static double largest(const struct pair *p, int row, int head)
{
    int n = p->x.cols / p->heads;
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(ref_value(p->x, row, head * n + i)));
    return most;
}

static const int shapes[][2] = {{2, 1}, {6, 3}, {64, 2}, {1024, 8}, {900, 3}}; /* cols, heads */

#define N_SHAPES (int)(sizeof shapes / sizeof *shapes)

/* Half a step, and the rounding of the scale and of the division. */
#define HALF_STEP (0.5 + 127 * 2e-7)

CPU_TEST(codes_are_the_nearest_there_are)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 2 * N_SHAPES; i++) {
        const int *shape = shapes[i / 2];
        struct pair p = open_pair(i % 2 ? DT_BF16 : DT_F32, 5, shape[0], shape[1]);
        int n = shape[0] / shape[1], bad = 0, full = 0;
        k_quantize(lab.queue, p.packed, p.x, p.heads);
        for (int row = 0; row < 5; row++)
            for (int c = 0; c < shape[0]; c++) {
                double scale = scale_of(&p, row, c / n), most = largest(&p, row, c / n);
                double off = ref_value(p.x, row, c) - code_at(&p, row, c) * scale;
                bad += !(fabs(off) <= HALF_STEP * scale);
                bad += !(fabs(scale * 127 / most - 1) < 1e-7);
                full += abs(code_at(&p, row, c)) == 127;
            }
        CHECK_EQ(bad, 0);
        CHECK(full >= 5 * shape[1]); /* the largest of each run */
        close_pair(&p);
    }
    lab_close(&lab);
}

CPU_TEST(codes_read_as_themselves_times_their_scale)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 2 * N_SHAPES; i++) {
        const int *shape = shapes[i / 2];
        struct pair p = open_pair(i % 2 ? DT_BF16 : DT_F32, 5, shape[0], shape[1]);
        int n = shape[0] / shape[1], bad = 0;
        k_quantize(lab.queue, p.packed, p.x, p.heads);
        k_dequantize(lab.queue, p.y, p.packed, p.heads);
        for (int row = 0; row < 5; row++)
            for (int c = 0; c < shape[0]; c++) {
                float value = (float)(code_at(&p, row, c) * scale_of(&p, row, c / n));
                if (i % 2) value = bf16_to_f32(f32_to_bf16(value));
                bad += ref_value(p.y, row, c) != (double)value;
            }
        CHECK_EQ(bad, 0);
        close_pair(&p);
    }
    lab_close(&lab);
}

CPU_TEST(coding_does_not_notice_rows_threads_or_instruction_sets)
{
    static const int threads[] = {0, 1, 2, 5};
    struct pair whole = open_pair(DT_F32, 201, 666, 3), p = open_pair(DT_F32, 201, 666, 3);
    struct lab plain;
    lab_open(&plain, (struct lab_cpu){VLQA_CPU_PLAIN, NULL, NULL}, 0);
    k_quantize(plain.queue, whole.packed, whole.x, 3);
    k_dequantize(plain.queue, whole.y, whole.packed, 3);
    for (int t = 0; t < 4; t++) {
        struct lab lab;
        lab_open(&lab, cpu, threads[t]);
        k_quantize(lab.queue, p.packed, p.x, 3);
        k_dequantize(lab.queue, p.y, p.packed, 3);
        CHECK(lab_same(p.packed, whole.packed) && lab_same(p.y, whole.y));
        memset(p.packed.data, 0, (size_t)(201 * p.packed.cols));
        for (int row = 0; row < 201; row += 3)
            k_quantize(lab.queue, mat_rows(p.packed, row, 3), mat_rows(p.x, row, 3), 3);
        for (int row = 0; row < 201; row++)
            k_dequantize(lab.queue, mat_rows(p.y, row, 1), mat_rows(p.packed, row, 1), 3);
        CHECK(lab_same(p.packed, whole.packed) && lab_same(p.y, whole.y));
        lab_close(&lab);
    }
    lab_close(&plain);
    close_pair(&whole);
    close_pair(&p);
}

/* One run of these values; the others of the row are zeros. */
static struct pair code_run(struct queue *q, const float *value, int n)
{
    struct pair p = open_pair(DT_F32, 1, 3 * n, 3);
    memset(p.x.data, 0, (size_t)(3 * n) * sizeof *value);
    memcpy(mat_at(p.x, 0, n), value, (size_t)n * sizeof *value);
    k_quantize(q, p.packed, p.x, 3);
    k_dequantize(q, p.y, p.packed, 3);
    return p;
}

CPU_TEST(halves_go_to_even)
{
    static const float value[8] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -126.5f};
    static const int code[8] = {127, 0, 2, 2, 0, -2, -2, -126};
    struct lab lab;
    struct pair p;
    lab_open(&lab, cpu, 0);
    p = code_run(lab.queue, value, 8);
    CHECK(scale_of(&p, 0, 1) == 1);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(code_at(&p, 0, 8 + i), code[i]);
    close_pair(&p);
    lab_close(&lab);
}

CPU_TEST(zeros_have_no_scale)
{
    struct lab lab;
    struct pair p;
    lab_open(&lab, cpu, 0);
    p = code_run(lab.queue, (float[2]){-0.0f, 3}, 2);
    for (int i = 0; i < 6; i++)
        CHECK(ref_value(p.y, 0, i) == (i == 3 ? (double)(127 * (3 / 127.0f)) : 0));
    CHECK(scale_of(&p, 0, 0) == 0 && scale_of(&p, 0, 2) == 0);
    close_pair(&p);
    lab_close(&lab);
}

/* 190 steps of the smallest number there is come to a scale of one such step. */
CPU_TEST(the_smallest_and_the_largest_numbers_do_not_wrap)
{
    const float tiny = 0x1p-149f, huge = 3.3895314e38f; /* the largest of bf16 */
    struct lab lab;
    struct pair p;
    lab_open(&lab, cpu, 0);
    p = code_run(lab.queue, (float[4]){190 * tiny, -190 * tiny, 100 * tiny, tiny}, 4);
    CHECK_EQ(code_at(&p, 0, 4), 127);
    CHECK_EQ(code_at(&p, 0, 5), -127);
    CHECK_EQ(code_at(&p, 0, 6), 100);
    close_pair(&p);
    p = code_run(lab.queue, (float[2]){10 * tiny, 0}, 2); /* less than a scale can say */
    CHECK(ref_value(p.y, 0, 2) == 0);
    close_pair(&p);
    p = code_run(lab.queue, (float[2]){huge, -huge / 2}, 2);
    CHECK_EQ(code_at(&p, 0, 2), 127);
    CHECK(code_at(&p, 0, 3) <= -63 && code_at(&p, 0, 3) >= -64);
    CHECK(isfinite(ref_value(p.y, 0, 2)));
    close_pair(&p);
    lab_close(&lab);
}

CPU_TEST(what_is_not_finite_stays_seen_and_in_its_run)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int i = 0; i < 4; i++) {
        struct pair p = code_run(lab.queue, (float[4]){1, bad[i], -2, 0}, 4);
        for (int c = 0; c < 12; c++)
            CHECK(c / 4 == 1 ? isnan(ref_value(p.y, 0, c)) : ref_value(p.y, 0, c) == 0);
        close_pair(&p);
    }
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
