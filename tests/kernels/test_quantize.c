/* test_quantize.c - values in eight bits with a scale for each head, in four with step and base for
 * each group, and back. */
#include "tests/kernels/lab.h"

#include "kernels/cpu/cpu_math.h"

struct pair { /* values, and room for their codes and for what these read as */
    struct mat x, packed, y;
    int heads;
};

static struct pair open_as(enum dtype packed, enum dtype dtype, int rows, int cols, int heads)
{
    struct pair p = {.heads = heads};
    int wide = row_cols(packed, cols, heads);
    p.x = lab_mat(dtype, rows, cols, cols + 3, 5, 1);
    p.y = lab_mat(dtype, rows, cols, cols + 5, 0, 1);
    p.packed = mat_of(lab_alloc((size_t)(rows * wide)), packed, rows, wide);
    memset(p.packed.data, 0x55, (size_t)(rows * wide));
    return p;
}

static struct pair open_pair(enum dtype dtype, int rows, int cols, int heads)
{
    return open_as(DT_ROW_INT8, dtype, rows, cols, heads);
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

static void check_coding(struct lab_cpu cpu, enum dtype packed)
{
    static const int threads[] = {0, 1, 2, 5};
    struct pair whole = open_as(packed, DT_F32, 201, 666, 3);
    struct pair p = open_as(packed, DT_F32, 201, 666, 3);
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

CPU_TEST(coding_does_not_notice_rows_threads_or_instruction_sets)
{
    check_coding(cpu, DT_ROW_INT8);
    check_coding(cpu, DT_ROW_INT4);
}

/* One run of these values; the others of the row are zeros. */
static struct pair code_as(struct queue *q, enum dtype packed, const float *value, int n)
{
    struct pair p = open_as(packed, DT_F32, 1, 3 * n, 3);
    memset(p.x.data, 0, (size_t)(3 * n) * sizeof *value);
    memcpy(mat_at(p.x, 0, n), value, (size_t)n * sizeof *value);
    k_quantize(q, p.packed, p.x, 3);
    k_dequantize(q, p.y, p.packed, 3);
    return p;
}

static struct pair code_run(struct queue *q, const float *value, int n)
{
    return code_as(q, DT_ROW_INT8, value, n);
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

/* ---- four bits ---- */

struct group {    /* of a row, by its layout */
    int first, n; /* columns */
    double step, base, least, most;
};

static struct group group_of(const struct pair *p, int row, int col)
{
    int run = p->x.cols / p->heads, groups = (run + ROW_INT4_GROUP - 1) / ROW_INT4_GROUP;
    int head = col / run, at = col % run / ROW_INT4_GROUP;
    struct group g = {.first = head * run + at * ROW_INT4_GROUP};
    uint16_t h[2];
    g.n = run - at * ROW_INT4_GROUP < ROW_INT4_GROUP ? run - at * ROW_INT4_GROUP : ROW_INT4_GROUP;
    memcpy(h, mat_at(p->packed, row, p->heads * ((run + 1) / 2) + (head * groups + at) * 4), 4);
    g.step = (double)bf16_to_f32(h[0]);
    g.base = (double)bf16_to_f32(h[1]);
    g.least = g.most = ref_value(p->x, row, g.first);
    for (int c = g.first; c < g.first + g.n; c++) {
        g.least = fmin(g.least, ref_value(p->x, row, c));
        g.most = fmax(g.most, ref_value(p->x, row, c));
    }
    return g;
}

static int nibble_at(const struct pair *p, int row, int col)
{
    int run = p->x.cols / p->heads, in = col % run;
    return *(uint8_t *)mat_at(p->packed, row, col / run * ((run + 1) / 2) + in / 2) >>
               4 * (in % 2) &
           15;
}

static const int shapes4[][2] = {{1, 1},  {6, 3},   {27, 3},   {64, 2},
                                 {99, 3}, {256, 2}, {1024, 8}, {900, 3}};

#define N_SHAPES4 (int)(sizeof shapes4 / sizeof *shapes4)

/* Half a step; behind the last code what bf16 cut of the step; what it cut of the base. */
static double reach(struct group g)
{
    return (0.5 + 15 * 0x1p-8 + 1e-5) * g.step + fabs(g.least) * 0x1p-8;
}

CPU_TEST(four_bits_are_the_nearest_there_are)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 2 * N_SHAPES4; i++) {
        const int *shape = shapes4[i / 2];
        struct pair p = open_as(DT_ROW_INT4, i % 2 ? DT_BF16 : DT_F32, 5, shape[0], shape[1]);
        int bad = 0, worse = 0, used = 0;
        k_quantize(lab.queue, p.packed, p.x, p.heads);
        for (int row = 0; row < 5; row++)
            for (int c = 0; c < shape[0]; c++) {
                struct group g = group_of(&p, row, c);
                double x = ref_value(p.x, row, c), off, steps = (x - g.base) / g.step;
                int code = nibble_at(&p, row, c);
                off = g.base + code * g.step - x;
                bad += !(fabs(off) <= reach(g));
                bad += g.n > 2 && !(fabs(g.step * 15 / (g.most - g.base) - 1) < 0x1p-8);
                bad += !(fabs(g.base - g.least) <= fabs(g.least) * 0x1p-8);
                worse += g.step > 0 && fabs(code - steps) > 0.5001 && steps > 0 && steps < 15;
                used |= 1 << code;
            }
        CHECK_EQ(bad + worse, 0);
        if (shape[0] > 64) CHECK_EQ(used, 0xffff);
        close_pair(&p);
    }
    lab_close(&lab);
}

CPU_TEST(four_bits_read_as_base_and_steps)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 2 * N_SHAPES4; i++) {
        const int *shape = shapes4[i / 2];
        struct pair p = open_as(DT_ROW_INT4, i % 2 ? DT_BF16 : DT_F32, 5, shape[0], shape[1]);
        int bad = 0;
        k_quantize(lab.queue, p.packed, p.x, p.heads);
        k_dequantize(lab.queue, p.y, p.packed, p.heads);
        for (int row = 0; row < 5; row++)
            for (int c = 0; c < shape[0]; c++) {
                struct group g = group_of(&p, row, c);
                float steps = (float)(nibble_at(&p, row, c) * g.step); /* exact */
                float value = (float)(g.base + (double)steps);
                if (i % 2) value = bf16_to_f32(f32_to_bf16(value));
                bad += ref_value(p.y, row, c) != (double)value;
            }
        CHECK_EQ(bad, 0);
        close_pair(&p);
    }
    lab_close(&lab);
}

CPU_TEST(halves_of_steps_go_to_even)
{
    static const float value[8] = {-2, 13, -1.5f, -0.5f, 0.5f, 12.5f, 11.5f, -1};
    static const int code[8] = {0, 15, 0, 2, 2, 14, 14, 1};
    struct lab lab;
    struct pair p;
    lab_open(&lab, cpu, 0);
    p = code_as(lab.queue, DT_ROW_INT4, value, 8);
    CHECK(group_of(&p, 0, 8).step == 1 && group_of(&p, 0, 8).base == -2);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(nibble_at(&p, 0, 8 + i), code[i]);
    close_pair(&p);
    lab_close(&lab);
}

CPU_TEST(groups_without_width_have_no_step)
{
    struct lab lab;
    struct pair p;
    lab_open(&lab, cpu, 0);
    p = code_as(lab.queue, DT_ROW_INT4, (float[3]){1.5f, 1.5f, 1.5f}, 3);
    for (int c = 0; c < 9; c++)
        CHECK(ref_value(p.y, 0, c) == (c / 3 == 1 ? 1.5 : 0));
    CHECK(group_of(&p, 0, 0).step == 0 && group_of(&p, 0, 3).step == 0);
    close_pair(&p);
    p = code_as(lab.queue, DT_ROW_INT4, (float[2]){1.005f, 1.005f}, 2); /* bf16 has a larger base */
    CHECK(group_of(&p, 0, 2).step == 0 && fabs(ref_value(p.y, 0, 2) - 1.005) <= 0x1p-8);
    close_pair(&p);
    p = code_as(lab.queue, DT_ROW_INT4, (float[2]){0x1p-149f, 0x1p-101f}, 2);
    CHECK(group_of(&p, 0, 2).step == 0);
    CHECK(fabs(ref_value(p.y, 0, 2)) <= 0x1p-100 && fabs(ref_value(p.y, 0, 3)) <= 0x1p-100);
    close_pair(&p);
    lab_close(&lab);
}

/* Values of one run, of which the 40th is not finite: its group, the second of four, has 32 of
 * them. */
CPU_TEST(four_bits_that_are_not_finite_stay_in_their_group)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 3e38f};
    float value[100];
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int i = 0; i < 5; i++) {
        struct pair p;
        for (int c = 0; c < 100; c++)
            value[c] = (float)(c % 7) - 3;
        value[40] = bad[i];
        if (i == 4) value[41] = -bad[i]; /* finite, and further apart than f32 can say */
        p = code_as(lab.queue, DT_ROW_INT4, value, 100);
        for (int c = 0; c < 300; c++)
            CHECK((c >= 132 && c < 164) == !!isnan(ref_value(p.y, 0, c)));
        close_pair(&p);
    }
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
