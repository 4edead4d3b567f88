/* test_ops.c - the operations on single rows against their definitions, bit for bit alike however
 * they are called. */
#include "tests/kernels/lab.h"

#include "base/safetensors.h"
#include "kernels/cpu/cpu_math.h"

enum op { OP_RMSNORM, OP_HEADS, OP_LAYERNORM, OP_ROPE, OP_SWIGLU, OP_END };

struct rows_op { /* one operation with its inputs, all rows of them */
    enum op op;
    struct mat x, cos_sin;
    const float *w, *b;
};

#define HEADS 3
#define EPS 1e-6f

static struct rows_op open_op(enum op op, int rows, int cols)
{
    struct rows_op o = {.op = op};
    o.x = lab_mat(DT_F32, rows, cols, cols + 2, 3, 1);
    o.cos_sin = lab_mat(DT_F32, rows, cols / HEADS, cols / HEADS, 1, 2);
    o.w = lab_vec(cols, 1, 3);
    o.b = lab_vec(cols, 0, 4);
    return o;
}

static void close_op(struct rows_op *o)
{
    lab_free(o->x);
    lab_free(o->cos_sin);
    heap_free((void *)(uintptr_t)o->w);
    heap_free((void *)(uintptr_t)o->b);
}

static void run_op(struct queue *q, const struct rows_op *o, struct mat y, int row, int n)
{
    struct mat x = mat_rows(o->x, row, n);
    switch (o->op) {
    case OP_RMSNORM:
        k_rmsnorm(q, y, x, lab_vector(o->w, x.cols), EPS);
        break;
    case OP_HEADS:
        k_rmsnorm(q, y, x, lab_vector(o->w, x.cols / HEADS), EPS);
        break;
    case OP_LAYERNORM:
        k_layernorm(q, y, x, lab_vector(o->w, x.cols), lab_vector(o->b, x.cols), EPS);
        break;
    case OP_ROPE:
        k_rope(q, y, x, HEADS, mat_rows(o->cos_sin, row, n));
        break;
    case OP_SWIGLU:
        k_swiglu(q, y, x);
        break;
    case OP_END:
        break;
    }
}

static void ref_op(double *y, const struct rows_op *o)
{
    switch (o->op) {
    case OP_RMSNORM:
        ref_rmsnorm(y, o->x, o->w, o->x.cols, (double)EPS);
        break;
    case OP_HEADS:
        ref_rmsnorm(y, o->x, o->w, o->x.cols / HEADS, (double)EPS);
        break;
    case OP_LAYERNORM:
        ref_layernorm(y, o->x, o->w, o->b, (double)EPS);
        break;
    case OP_ROPE:
        ref_rope(y, o->x, HEADS, o->cos_sin);
        break;
    case OP_SWIGLU:
        ref_swiglu(y, o->x);
        break;
    case OP_END:
        break;
    }
}

static struct mat output_of(const struct rows_op *o, enum dtype dtype)
{
    int cols = o->op == OP_SWIGLU ? o->x.cols / 2 : o->x.cols;
    return lab_mat(dtype, o->x.rows, cols, cols + 1, 0, 1);
}

static const int widths[] = {6, 18, 66, 102, 432, 4302}; /* multiples of 2 * HEADS */

#define N_WIDTHS ((int)(sizeof widths / sizeof widths[0]))

/* A handful of roundings of 2^-24 a value; sums of 16 parts do not add to that. */
#define ROW_BOUND 3e-7

CPU_TEST(row_operations_match_their_definitions)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (enum op op = 0; op < OP_END; op++)
        for (int i = 0; i < 2 * N_WIDTHS; i++) {
            struct rows_op o = open_op(op, 5, widths[i / 2]);
            struct mat y = output_of(&o, i % 2 ? DT_BF16 : DT_F32);
            double *ref = lab_alloc((size_t)(y.rows * y.cols) * sizeof *ref);
            uint64_t heap = heap_calls();
            run_op(lab.queue, &o, y, 0, 5);
            CHECK_EQ(heap_calls(), heap);
            ref_op(ref, &o);
            CHECK_MAT(y, ref, ROW_BOUND);
            heap_free(ref);
            lab_free(y);
            close_op(&o);
        }
    lab_close(&lab);
}

CPU_TEST(row_operations_do_not_notice_rows_or_threads)
{
    static const int threads[] = {0, 1, 2, 5};
    for (enum op op = 0; op < OP_END; op++) {
        struct rows_op o = open_op(op, 201, 666);
        struct mat whole = output_of(&o, DT_F32);
        for (int t = 0; t < 4; t++) {
            struct mat y = output_of(&o, DT_F32);
            struct lab lab;
            lab_open(&lab, cpu, threads[t]);
            if (t == 0) run_op(lab.queue, &o, whole, 0, 201);
            run_op(lab.queue, &o, y, 0, 201);
            CHECK(lab_same(y, whole));
            for (int row = 0; row < 201; row += 3)
                run_op(lab.queue, &o, mat_rows(y, row, 3), row, 3);
            for (int row = 0; row < 201; row += 7)
                run_op(lab.queue, &o, mat_rows(y, row, 1), row, 1);
            CHECK(lab_same(y, whole));
            lab_close(&lab);
            lab_free(y);
        }
        lab_free(whole);
        close_op(&o);
    }
}

static struct mat aligned_copy(struct mat m)
{
    struct mat to = lab_aligned(m.dtype, m.rows, m.cols, 0, 1);
    for (int r = 0; r < m.rows; r++)
        memcpy(mat_at(to, r, 0), mat_at(m, r, 0), (size_t)m.cols * dtype_size(m.dtype));
    return to;
}

static void check_alignment(struct lab *lab, enum op op, int cols, enum dtype dtype)
{
    struct rows_op o = open_op(op, 5, cols), on_16 = o;
    struct mat y = output_of(&o, dtype), y_on_16 = lab_aligned(dtype, 5, y.cols, 0, 1);
    on_16.x = aligned_copy(o.x);
    on_16.cos_sin = aligned_copy(o.cos_sin);
    run_op(lab->queue, &o, y, 0, 5);
    run_op(lab->queue, &on_16, y_on_16, 0, 5);
    if (!lab_same(y, y_on_16)) CHECK_FAIL("operation %d of %d columns differs", (int)op, cols);
    lab_aligned_free(on_16.x);
    lab_aligned_free(on_16.cos_sin);
    lab_aligned_free(y_on_16);
    lab_free(y);
    close_op(&o);
}

CPU_TEST(alignment_changes_no_bit)
{
    static const int cols[] = {24, 48, 1032, 1152, 4608, 8448};
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (enum op op = 0; op < OP_END; op++)
        for (int i = 0; i < 12; i++)
            check_alignment(&lab, op, cols[i / 2], i % 2 ? DT_BF16 : DT_F32);
    lab_close(&lab);
}

CPU_TEST(norms_and_rope_may_work_in_place)
{
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (enum op op = 0; op < OP_SWIGLU; op++) {
        struct rows_op o = open_op(op, 4, 1602);
        struct mat y = output_of(&o, DT_F32);
        run_op(lab.queue, &o, y, 0, 4);
        run_op(lab.queue, &o, o.x, 0, 4);
        CHECK(lab_same(y, o.x));
        lab_free(y);
        close_op(&o);
    }
    lab_close(&lab);
}

CPU_TEST(bf16_output_is_the_rounded_f32_output)
{
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (enum op op = 0; op < OP_END; op++) {
        struct rows_op o = open_op(op, 3, 606);
        struct mat wide = output_of(&o, DT_F32), narrow = output_of(&o, DT_BF16);
        int same = 0;
        run_op(lab.queue, &o, wide, 0, 3);
        run_op(lab.queue, &o, narrow, 0, 3);
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < wide.cols; c++)
                same +=
                    *(uint16_t *)mat_at(narrow, r, c) == f32_to_bf16(*(float *)mat_at(wide, r, c));
        CHECK_EQ(same, 3 * wide.cols);
        lab_free(wide);
        lab_free(narrow);
        close_op(&o);
    }
    lab_close(&lab);
}

static const int32_t moved[7] = {4, -1, 0, 6, 2, -5, 3};

/* Conversions round to nearest even and otherwise change nothing. */
static double rounded(double x, enum dtype dtype)
{
    return dtype == DT_F32 ? x : (double)bf16_to_f32(f32_to_bf16((float)x));
}

static void check_copies(struct lab *lab, struct mat got, struct mat put, struct mat src)
{
    enum dtype to = got.dtype, from = src.dtype;
    int bad = 0, cols = src.cols;
    double *ref_got = lab_alloc(sizeof(double) * 7 * (size_t)cols), *ref_put;
    ref_put = lab_alloc(sizeof(double) * 7 * (size_t)cols);
    for (int i = 0; i < 7 * cols; i++)
        ref_got[i] = ref_put[i] = ref_value(got, i / cols, i % cols);
    k_gather(lab->queue, got, src, lab_ints(moved, 7));
    k_scatter(lab->queue, put, lab_ints(moved, 7), src);
    ref_gather(ref_got, 7, src, moved);
    ref_scatter(ref_put, moved, src);
    for (int i = 0; i < 7 * cols; i++) {
        bad += ref_value(got, i / cols, i % cols) != rounded(ref_got[i], to);
        bad += ref_value(put, i / cols, i % cols) != rounded(ref_put[i], to);
    }
    if (bad) CHECK_FAIL("%d of %s to %s", bad, dtype_name(from), dtype_name(to));
    heap_free(ref_got);
    heap_free(ref_put);
}

static void check_conversion(struct lab *lab, enum dtype to, enum dtype from)
{
    struct mat src = lab_mat(from, 7, 333, 340, 1, 1);
    struct mat got = lab_mat(to, 7, 333, 334, 9, 2), put = lab_mat(to, 7, 333, 335, 9, 2);
    check_copies(lab, got, put, src);
    lab_free(src);
    lab_free(got);
    lab_free(put);
    src = lab_aligned(from, 7, 2056, 1, 3);
    got = lab_aligned(to, 7, 2056, 9, 4);
    put = lab_aligned(to, 7, 2056, 9, 4);
    check_copies(lab, got, put, src);
    lab_aligned_free(src);
    lab_aligned_free(got);
    lab_aligned_free(put);
}

CPU_TEST(gather_and_scatter_move_rows)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (enum dtype from = DT_F32; from <= DT_F16; from++) {
        check_conversion(&lab, DT_F32, from);
        check_conversion(&lab, DT_BF16, from);
    }
    lab_close(&lab);
}

CPU_TEST(add_adds_chosen_rows)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 8; i++) {
        const int32_t *index = i % 2 ? moved : NULL;
        enum dtype from = i / 2 % 2 ? DT_BF16 : DT_F32;
        int is_aligned = i / 4, cols = is_aligned ? 1032 : 333;
        struct mat src =
            is_aligned ? lab_aligned(from, 7, cols, 1, 1) : lab_mat(from, 7, cols, 340, 1, 1);
        struct mat dst =
            is_aligned ? lab_aligned(DT_F32, 7, cols, 1, 2) : lab_mat(DT_F32, 7, cols, 334, 1, 2);
        double *ref = lab_alloc(sizeof(double) * 7 * (size_t)cols);
        for (int k = 0; k < 7 * cols; k++)
            ref[k] = ref_value(dst, k / cols, k % cols);
        if (index)
            k_add_rows(lab.queue, dst, src, lab_ints(index, 7));
        else
            k_add(lab.queue, dst, src);
        ref_add(ref, 7, src, index);
        CHECK_MAT(dst, ref, 6e-8); /* one rounding */
        heap_free(ref);
        (is_aligned ? lab_aligned_free : lab_free)(src);
        (is_aligned ? lab_aligned_free : lab_free)(dst);
    }
    lab_close(&lab);
}

CPU_TEST(no_rows_are_no_work)
{
    struct lab lab;
    struct mat none = {NULL, DT_F32, 0, 12, 12}, w = lab_mat(DT_F32, 12, 12, 12, 1, 1);
    struct attn a = {
        .q = none, .k = w, .v = w, .out = none, .heads = 2, .kv_heads = 2, .scale = 1.0f};
    float *ones = lab_vec(12, 1, 1);
    struct weight packed;
    lab_open(&lab, cpu, 2);
    packed = lab_weight(&lab, w);
    k_gather(lab.queue, none, w, lab_ints(NULL, 0));
    k_scatter(lab.queue, w, lab_ints(NULL, 0), none);
    k_add(lab.queue, none, none);
    k_matmul(lab.queue, none, none, packed, mat_none(), ACT_NONE);
    k_rmsnorm(lab.queue, none, none, lab_vector(ones, 12), EPS);
    k_layernorm(lab.queue, none, none, lab_vector(ones, 12), lab_vector(ones, 12), EPS);
    k_attention(lab.queue, &a);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
    lab_weight_free(packed);
    lab_close(&lab);
    heap_free(ones);
    lab_free(w);
}

CPU_TEST(look_ups_and_blends_match_their_definitions)
{
    static const int32_t index[] = {4, 0, 6, 1, 2, 2, 5, 3, 0, 6, 1, 1};
    static const float part[] = {0.5f, 0.25f, 0.125f, 0.125f, 1, 0, 0, 0, -0.5f, 2, 0.75f, 0.3f};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (enum dtype from = DT_F32; from <= DT_F16; from++) {
        struct mat w = lab_mat(from, 7, 333, 333, 1, 1);
        struct mat read = lab_mat(DT_F32, 12, 333, 334, 9, 2),
                   dst = lab_mat(DT_F32, 3, 333, 334, 9, 3);
        double blend[3 * 333] = {0};
        struct weight packed = lab_weight(&lab, w);
        int bad = 0;
        k_embed(lab.queue, read, packed, lab_ints(index, 12));
        k_blend(lab.queue, dst, w, lab_ints(index, 12),
                mat_of((void *)(uintptr_t)part, DT_F32, 3, 4));
        for (int i = 0; i < 12; i++)
            for (int c = 0; c < 333; c++) {
                bad += ref_value(read, i, c) != ref_value(w, index[i], c);
                blend[i / 4 * 333 + c] += (double)part[i] * ref_value(w, index[i], c);
            }
        CHECK_EQ(bad, 0);
        CHECK_MAT(dst, blend, 1e-6);
        lab_weight_free(packed);
        lab_free(w);
        lab_free(read);
        lab_free(dst);
    }
    lab_close(&lab);
}

CPU_TEST(aligned_look_ups_read_what_weights_stand_for)
{
    static const int32_t index[] = {16, 0, -1, 3, 16};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (enum weight_format f = WEIGHT_F32; f <= WEIGHT_FP8; f++) {
        if (!k_weight_held(lab.device, f)) continue;
        enum dtype from = f == WEIGHT_BF16 ? DT_BF16 : f == WEIGHT_F16 ? DT_F16 : DT_F32;
        struct mat w = lab_mat(from, 17, 1160, 1160, 1, 1);
        struct mat read = lab_aligned(DT_F32, 5, 1160, 9, 2);
        float *values = NULL, kept = *(float *)mat_at(read, 2, 9);
        struct weight packed = lab_weight_as(&lab, w, f, &values);
        int bad = 0;
        k_embed(lab.queue, read, packed, lab_ints(index, 5));
        for (int i = 0; i < 5; i++)
            for (int c = 0; c < 1160 && i != 2; c++)
                bad += ref_value(read, i, c) != (f < WEIGHT_INT8
                                                     ? ref_value(w, index[i], c)
                                                     : (double)values[index[i] * 1160 + c]);
        CHECK_EQ(bad, 0);
        CHECK(*(float *)mat_at(read, 2, 9) == kept);
        heap_free(values);
        lab_weight_free(packed);
        lab_aligned_free(read);
        lab_free(w);
    }
    lab_close(&lab);
}

CPU_TEST(angles_are_cosines_and_sines_of_what_the_axes_turn)
{
    static const int32_t at[] = {0, 0, 7, 3, 100000, 1, 12, 4000};
    static const float inverse[] = {1, 0.5f, 0, 0, 0, 0, 0.001f, 1};
    struct mat turns = mat_of((void *)(uintptr_t)inverse, DT_F32, 2, 4);
    struct mat table = lab_mat(DT_F32, 4, 8, 9, 1, 1);
    struct lab lab;
    lab_open(&lab, cpu, 2);
    k_angles(lab.queue, table, lab_ints(at, 8), turns);
    for (int row = 0; row < 4; row++)
        for (int i = 0; i < 4; i++) {
            float angle = (float)at[2 * row + (i > 1)] * inverse[i > 1 ? 4 + i : i];
            CHECK(ref_value(table, row, i) == (double)(float)cos((double)angle));
            CHECK(ref_value(table, row, 4 + i) == (double)(float)sin((double)angle));
        }
    lab_free(table);
    lab_close(&lab);
}

/* A weight as the device makes it, and as st_read makes it: the last block is not full. */
GPU_TEST(random_weights_have_the_bits_of_the_host)
static void random_weights_have_the_bits_of_the_host(struct lab_cpu cpu)
{
    static const int64_t dims[][2] = {{37, 171}, {16, 4096}, {1, 3}, {301, 64}};
    struct lab lab;
    struct st_files *files;
    lab_open(&lab, cpu, 0);
    REQUIRE(st_open_random(&lab.env, 5, &files) == VLQA_OK);
    for (int i = 0; i < 4; i++) {
        const struct st_tensor *t;
        struct weight w = {WEIGHT_BF16, (int)dims[i][0], (int)dims[i][1], NULL};
        char name[] = "0.weight";
        uint64_t seed;
        float scale;
        void *host;
        name[0] = (char)('0' + i);
        REQUIRE(st_want(&lab.env, files, name, 2, dims[i], &t) == VLQA_OK);
        REQUIRE(st_random_matrix(files, t, &seed, &scale));
        host = lab_alloc(t->bytes);
        REQUIRE(st_read(&lab.env, files, t, 0, host, t->bytes) == VLQA_OK);
        w.data = lab_alloc(k_weight_bytes(lab.device, w));
        memset(w.data, 0xff, k_weight_bytes(lab.device, w));
        CHECK(k_random(lab.queue, w, seed, scale));
        CHECK(memcmp(w.data, host, t->bytes) == 0);
        for (size_t at = t->bytes; at < k_weight_bytes(lab.device, w); at++)
            CHECK_EQ(((const uint8_t *)w.data)[at], 0);
        lab_weight_free(w);
        heap_free(host);
    }
    st_close(files);
    lab_close(&lab);
}

TEST(exp_is_within_2e7_everywhere)
{
    double worst = 0;
    for (int i = -87336; i <= 88720; i++) {
        float x = (float)i * 0.001f;
        double expected = exp((double)x);
        worst = fmax(worst, fabs((double)exp_f32(x) - expected) / expected);
    }
    if (!(worst <= 2e-7)) CHECK_FAIL("relative error %g", worst);
}

TEST(exp_is_exact_at_its_ends)
{
    CHECK(exp_f32(0.0f) == 1.0f);
    CHECK(exp_f32(-INFINITY) == 0.0f);
    CHECK(exp_f32(-1e30f) == 0.0f);
    CHECK(exp_f32(INFINITY) == INFINITY);
    CHECK(exp_f32(200.0f) == INFINITY);
    CHECK(isnan(exp_f32(NAN)));
    CHECK(exp_f32(-100.0f) > 0.0f && exp_f32(-100.0f) < 1e-40f);
}

/* Absolute, in units of a value near 1; relative beyond that. */
static double act_error(float found, double expected)
{
    return fabs((double)found - expected) / fmax(1, fabs(expected));
}

TEST(activations_are_within_2e7)
{
    double tanh_worst = 0, erf_worst = 0, silu_worst = 0;
    for (int i = -120000; i <= 120000; i++) {
        float x = (float)i * 0.001f;
        double silu = (double)x / (1 + exp(-(double)x));
        tanh_worst =
            fmax(tanh_worst, act_error(gelu_tanh_f32(x), ref_act((double)x, ACT_GELU_TANH)));
        erf_worst = fmax(erf_worst, act_error(gelu_erf_f32(x), ref_act((double)x, ACT_GELU_ERF)));
        silu_worst = fmax(silu_worst, act_error(silu_f32(x), silu));
    }
    if (!(tanh_worst <= 2e-7)) CHECK_FAIL("gelu by tanh is off by %g", tanh_worst);
    if (!(erf_worst <= 2e-7)) CHECK_FAIL("gelu by erf is off by %g", erf_worst);
    if (!(silu_worst <= 2e-7)) CHECK_FAIL("silu is off by %g", silu_worst);
    CHECK(gelu_tanh_f32(0) == 0 && gelu_erf_f32(0) == 0 && silu_f32(0) == 0);
}

TEST(rounding_to_bf16_is_to_nearest_even)
{
    CHECK_EQ(f32_to_bf16(1.0f), 0x3f80);
    CHECK_EQ(f32_to_bf16(1.00390625f), 0x3f80); /* half way, down to even */
    CHECK_EQ(f32_to_bf16(1.01171875f), 0x3f82); /* half way, up to even */
    CHECK_EQ(f32_to_bf16(1.00390637f), 0x3f81);
    CHECK_EQ(f32_to_bf16(-0.0f), 0x8000);
    CHECK_EQ(f32_to_bf16(3.4e38f), 0x7f80);
    CHECK(isnan(bf16_to_f32(f32_to_bf16(NAN))));
    CHECK(f16_to_f32(0x3c01) == 1.0009765625f && f16_to_f32(0x0001) == 0x1p-24f);
    CHECK(f16_to_f32(0x8400) == -0x1p-14f && isinf(f16_to_f32(0x7c00)));
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
