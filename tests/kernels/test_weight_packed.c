/* test_weight_packed.c - matrices of few bits in a file: what is read of them, and what is not. */
#include "tests/kernels/lab.h"

#include "kernels/weights.h"
#include "tests/e4m3.h"

#define MOST_TENSORS 6

/* A file in memory, put together tensor by tensor. */
static struct {
    char header[2048];
    uint8_t data[65536], *file;
    size_t used;
    struct st_files *files;
    struct lab lab;
    struct arena mem;
    struct weights w;
} desk;

static void begin(void)
{
    memset(&desk, 0, sizeof desk);
    desk.w.compute = DT_BF16;
    strcpy(desk.header, "{");
}

static void *add(const char *name, const char *dtype, size_t size, int rows, int cols)
{
    size_t n = (size_t)rows * (size_t)cols * size, end = strlen(desk.header);
    char shape[32];
    void *at = desk.data + desk.used;
    if (desk.used + n > sizeof desk.data) abort();
    snprintf(shape, sizeof shape, cols > 1 || rows > 2 ? "[%d,%d]" : "[%d]", rows, cols);
    snprintf(desk.header + end, sizeof desk.header - end,
             "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
             end > 1 ? "," : "", name, dtype, shape, desk.used, desk.used + n);
    desk.used += n;
    return at;
}

static vlqa_status pass(enum weights_pass p, int rows, int cols, struct weight *out)
{
    desk.w.pass = p;
    if (p == WEIGHTS_MEASURE) desk.mem = (struct arena){0};
    return weights_get2(&desk.w, out, rows, cols, "m.weight");
}

/* All passes over what was added; the weight stays until end(). */
static vlqa_status load(int rows, int cols, struct weight *out)
{
    uint64_t length;
    size_t bytes;
    strcat(desk.header, "}");
    while (strlen(desk.header) % 8)
        strcat(desk.header, " ");
    length = strlen(desk.header);
    bytes = 8 + (size_t)length + desk.used;
    desk.file = lab_alloc(bytes);
    memcpy(desk.file, &length, 8);
    memcpy(desk.file + 8, desk.header, (size_t)length);
    memcpy(desk.file + 8 + length, desk.data, desk.used);
    lab_open(&desk.lab, (struct lab_cpu){VLQA_CPU_PLAIN, NULL, NULL}, 2);
    TRY(st_open_memory(&desk.lab.env, "t", desk.file, bytes, &desk.files));
    desk.w = (struct weights){.env = &desk.lab.env,
                              .queue = desk.lab.queue,
                              .files = desk.files,
                              .mem = &desk.mem,
                              .compute = desk.w.compute};
    TRY(pass(WEIGHTS_NAMES, rows, cols, out));
    TRY(pass(WEIGHTS_MEASURE, rows, cols, out));
    TRY(st_all_used(&desk.lab.env, desk.files));
    bytes = desk.mem.used;
    desk.mem = arena_over(lab_alloc(bytes), bytes);
    return pass(WEIGHTS_FILL, rows, cols, out);
}

static void end(void)
{
    heap_free(desk.mem.base);
    st_close(desk.files);
    lab_close(&desk.lab);
    heap_free(desk.file);
}

static float value_of(struct weight w, int row, int col)
{
    float *values = lab_alloc((size_t)w.cols * sizeof *values), value;
    const int32_t index[] = {row};
    k_embed(desk.lab.queue, mat_of(values, DT_F32, 1, w.cols), w, lab_ints(index, 1));
    value = values[col];
    heap_free(values);
    return value;
}

static int some(int a, int b, int n)
{
    return (a * 7919 + b * 104729 + 12345) % 1000003 % n;
}

static void put_shape(int rows, int cols)
{
    int64_t shape[2] = {rows, cols};
    memcpy(add("m.weight_shape", "I64", 8, 2, 1), shape, sizeof shape);
}

/* ---- what is read ---- */

TEST(int8_as_it_is_with_a_scale_a_row)
{
    struct weight w;
    int8_t *q;
    float *scale;
    begin();
    scale = add("m.weight_scale", "F32", 4, 21, 1); /* first: the bytes of q are odd */
    q = add("m.weight", "I8", 1, 21, 37);
    for (int r = 0; r < 21; r++) {
        scale[r] = 0.001f * (float)(r + 1);
        for (int c = 0; c < 37; c++)
            q[r * 37 + c] = (int8_t)(some(r, c, 256) - 128);
    }
    REQUIRE(load(21, 37, &w) == VLQA_OK);
    CHECK_EQ(w.format, WEIGHT_INT8);
    for (int r = 0; r < 21; r++)
        for (int c = 0; c < 37; c++)
            CHECK(value_of(w, r, c) == (float)(some(r, c, 256) - 128) * (0.001f * (float)(r + 1)));
    end();
}

/* Words of four, the last of a row not full; -128 is a value, too. */
TEST(int8_in_words)
{
    struct weight w;
    uint32_t *word;
    uint16_t *scale;
    begin();
    word = add("m.weight_packed", "I32", 4, 19, 10);
    put_shape(19, 39);
    scale = add("m.weight_scale", "BF16", 2, 19, 1);
    for (int r = 0; r < 19; r++) {
        scale[r] = f32_to_bf16(0.25f * (float)(r + 1));
        for (int c = 0; c < 39; c++)
            word[r * 10 + c / 4] |= (uint32_t)some(r, c, 256) << 8 * (c % 4);
    }
    REQUIRE(load(19, 39, &w) == VLQA_OK);
    CHECK_EQ(w.format, WEIGHT_INT8);
    for (int r = 0; r < 19; r++)
        for (int c = 0; c < 39; c++)
            CHECK(value_of(w, r, c) == (float)(some(r, c, 256) - 128) *
                                           bf16_to_f32(f32_to_bf16(0.25f * (float)(r + 1))));
    end();
}

/* Groups of so many columns in the file; asymmetric ones have zero points. */
static void check_int4(int rows, int cols, int group, int symmetric, const char *dtype)
{
    int groups = cols / group, bad = 0;
    size_t size = strcmp(dtype, "F32") == 0 ? 4 : 2;
    struct weight w;
    uint32_t *word, *zero = NULL;
    uint8_t *scale;
    begin();
    word = add("m.weight_packed", "I32", 4, rows, (cols + 7) / 8);
    put_shape(rows, cols);
    scale = add("m.weight_scale", dtype, size, rows, groups);
    if (!symmetric) zero = add("m.weight_zero_point", "I32", 4, (rows + 7) / 8, groups);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++)
            word[r * ((cols + 7) / 8) + c / 8] |= (uint32_t)some(r, c, 16) << 4 * (c % 8);
        for (int g = 0; g < groups; g++) {
            float f = 0.5f * (float)(1 + some(r, g, 100));
            uint16_t h = size == 4 ? 0 : strcmp(dtype, "F16") ? f32_to_bf16(f) : lab_f16((double)f);
            memcpy(scale + (size_t)(r * groups + g) * size, size == 4 ? (void *)&f : &h, size);
            if (zero) zero[r / 8 * groups + g] |= (uint32_t)some(g, r, 16) << 4 * (r % 8);
        }
    }
    REQUIRE(load(rows, cols, &w) == VLQA_OK);
    CHECK_EQ(w.format, WEIGHT_INT4);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            int g = c / group, z = symmetric ? 8 : some(g, r, 16);
            float scale_of_group = 0.5f * (float)(1 + some(r, g, 100));
            bad += value_of(w, r, c) != (float)(some(r, c, 16) - z) * scale_of_group;
        }
    CHECK_EQ(bad, 0);
    end();
}

TEST(int4_with_groups_of_32_and_multiples_of_them)
{
    check_int4(33, 64, 32, 0, "BF16");
    check_int4(20, 128, 64, 0, "F32");
    check_int4(17, 256, 128, 1, "BF16");
    check_int4(3, 96, 96, 1, "F16");
    check_int4(40, 32, 32, 1, "BF16");
}

/* ---- what is not read ---- */

static void check_refused(const char *part)
{
    struct weight w;
    vlqa_status status = load(16, 64, &w);
    CHECK_EQ(status, VLQA_EMODEL);
    CHECK_HAS(desk.lab.env.message, part);
    end();
}

static void begin_int4(void)
{
    begin();
    (void)add("m.weight_packed", "I32", 4, 16, 8);
    put_shape(16, 64);
}

TEST(other_shapes_are_refused)
{
    begin();
    (void)add("m.weight_packed", "I32", 4, 16, 9);
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    check_refused("m.weight_packed is [16, 9], expected [16, 8]");
    begin();
    (void)add("m.weight_packed", "I32", 4, 15, 8);
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    check_refused("m.weight_packed is [15, 8], expected [16, 8]");
    begin();
    (void)add("m.weight_packed", "I32", 4, 16, 8);
    put_shape(16, 60);
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    check_refused("m.weight_shape says [16, 60], expected [16, 64]");
    begin_int4();
    (void)add("m.weight_scale", "BF16", 2, 15, 2);
    check_refused("m.weight_scale is [15, 2], expected [16, 2]");
    begin_int4();
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    (void)add("m.weight_zero_point", "I32", 4, 16, 2);
    check_refused("m.weight_zero_point is [16, 2], expected [2, 2]");
    begin();
    (void)add("m.weight", "I8", 1, 16, 63);
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    check_refused("m.weight is [16, 63], expected [16, 64]");
}

TEST(other_types_are_refused)
{
    begin();
    (void)add("m.weight_packed", "I64", 8, 16, 8);
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    check_refused("m.weight_packed has dtype I64, expected I32");
    begin_int4();
    (void)add("m.weight_scale", "F64", 8, 16, 2);
    check_refused("scales that are not BF16, F16 or F32 are not read");
    begin_int4();
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    (void)add("m.weight_zero_point", "I8", 1, 2, 2);
    check_refused("m.weight_zero_point has dtype I8, expected I32");
    begin();
    (void)add("m.weight", "U8", 1, 16, 64);
    check_refused("m.weight has dtype U8, expected F32, F16 or BF16");
}

TEST(what_is_missing_is_named)
{
    begin_int4();
    check_refused("m.weight_scale is missing");
    begin();
    (void)add("m.weight", "I8", 1, 16, 64);
    check_refused("m.weight_scale is missing");
}

TEST(what_our_formats_cannot_hold_is_refused)
{
    begin_int4(); /* groups of 16 */
    (void)add("m.weight_scale", "BF16", 2, 16, 4);
    check_refused("a scale for 32 columns, or a multiple of them");
    begin_int4();
    (void)add("m.weight_scale", "BF16", 2, 16, 3);
    check_refused("a scale for 32 columns, or a multiple of them");
    begin();
    (void)add("m.weight", "I8", 1, 16, 64);
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    check_refused("int8 with one scale a row, expected [rows, 1]");
    begin();
    (void)add("m.weight_packed", "I32", 4, 16, 16);
    (void)add("m.weight_scale", "BF16", 2, 16, 1);
    (void)add("m.weight_zero_point", "I32", 4, 4, 1);
    check_refused("int8 without zero points");
    begin_int4();
    (void)add("m.weight_scale", "BF16", 2, 16, 2);
    (void)add("m.weight_g_idx", "I32", 4, 64, 1);
    check_refused("columns in another order (actorder) are not read");
}

TEST(scales_that_are_no_numbers_or_not_of_bf16_are_refused)
{
    uint16_t *half;
    float *wide;
    begin_int4();
    half = add("m.weight_scale", "BF16", 2, 16, 2);
    half[2 * 5 + 1] = 0x7fc0;
    check_refused("m.weight_scale: nan at [5, 1] is not finite");
    begin_int4();
    wide = add("m.weight_scale", "F32", 4, 16, 2);
    wide[2 * 9] = 1.001f;
    check_refused("m.weight_scale: 1.00100005 at [9, 0] is no number of bf16");
    begin();
    (void)add("m.weight", "I8", 1, 16, 64);
    wide = add("m.weight_scale", "F32", 4, 16, 1);
    wide[3] = INFINITY;
    check_refused("m.weight_scale: inf at [3, 0] is not finite");
}

/* ---- FP8 ---- */

TEST(all_codes_of_e4m3_are_what_the_definition_says)
{
    for (int code = 0; code < 256; code++) {
        float found = e4m3_to_f32((uint8_t)code);
        if ((code & 0x7f) == 0x7f) {
            CHECK(isnan(found));
            continue;
        }
        CHECK((double)found == e4m3_value(code));
        CHECK_EQ(signbit(found) != 0, code >> 7);
        CHECK(bf16_to_f32(f32_to_bf16(found)) == found);
    }
}

static int code_at(int row, int col) /* no NaN */
{
    int code = some(row, col, 256);
    return (code & 0x7f) == 0x7f ? code - 1 : code;
}

static float fp8_scale(int row, int group)
{
    return bf16_to_f32(f32_to_bf16(0.001f * (float)(1 + some(row, group, 999))));
}

static void put_scales(const char *name, const char *dtype, int rows, int cols)
{
    size_t size = strcmp(dtype, "F32") == 0 ? 4 : 2;
    uint8_t *scale = add(name, dtype, size, rows, cols);
    for (int i = 0; i < rows * cols; i++) {
        float f = fp8_scale(i / cols, i % cols);
        uint16_t h = strcmp(dtype, "F16") == 0 ? lab_f16((double)f) : f32_to_bf16(f);
        memcpy(scale + (size_t)i * size, size == 4 ? (void *)&f : &h, size);
    }
}

/* Round to nearest even at the eighth bit of a normal number. */
static double rounded_to_bf16(double x)
{
    int exponent;
    (void)frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(x, 8 - exponent)), exponent - 8);
}

struct fp8_case {
    const char *name, *dtype; /* of the scales */
    int rows, cols;           /* of the matrix */
    int scale_rows, scale_cols, group_rows, group_cols;
    enum dtype compute;
};

/* The values in double, and the rounding, too: bf16 scales make products that double holds. */
static void check_fp8(struct fp8_case c)
{
    struct weight w;
    uint8_t *code;
    int bad = 0;
    begin();
    put_scales(c.name, c.dtype, c.scale_rows, c.scale_cols); /* first: codes lie on odd bytes */
    code = add("m.weight", "F8_E4M3", 1, c.rows, c.cols);
    (void)add("m.input_scale", "F32", 4, 1, 1);
    for (int i = 0; i < c.rows * c.cols; i++)
        code[i] = (uint8_t)code_at(i / c.cols, i % c.cols);
    desk.w.compute = c.compute;
    REQUIRE(load(c.rows, c.cols, &w) == VLQA_OK);
    CHECK_EQ(w.format, c.compute == DT_F32 ? WEIGHT_F32 : WEIGHT_BF16);
    for (int r = 0; r < c.rows; r++)
        for (int col = 0; col < c.cols; col += 1 + (r * 5 + col) % 31) {
            double scale = (double)fp8_scale(r / c.group_rows, col / c.group_cols);
            double v = e4m3_value(code_at(r, col)) * scale;
            bad += (double)value_of(w, r, col) != (c.compute == DT_F32 ? v : rounded_to_bf16(v));
        }
    CHECK_EQ(bad, 0);
    end();
}

TEST(fp8_is_its_codes_times_the_scale_of_block_row_or_tensor)
{
    static const struct fp8_case cases[] = {
        {"m.weight_scale_inv", "BF16", 150, 260, 2, 3, 128, 128, DT_BF16},
        {"m.weight_scale_inv", "F32", 150, 260, 2, 3, 128, 128, DT_F32},
        {"m.weight_scale_inv", "F32", 257, 128, 3, 1, 128, 128, DT_BF16},
        {"m.weight_scale", "BF16", 16, 384, 1, 3, 128, 128, DT_F32},
        {"m.weight_scale_inv", "BF16", 40, 72, 1, 1, 128, 128, DT_BF16},
        {"m.weight_scale", "BF16", 37, 200, 37, 1, 1, 200, DT_F32},
        {"m.weight_scale", "F32", 150, 40, 150, 1, 1, 40, DT_BF16},
        {"m.weight_scale", "F32", 150, 300, 1, 1, 150, 300, DT_BF16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_fp8(cases[i]);
}

static void begin_fp8(void) /* [16, 64] */
{
    begin();
    (void)add("m.weight", "F8_E4M3", 1, 16, 64);
}

TEST(fp8_of_other_shapes_and_types_is_refused)
{
    static const char *const dtypes[] = {"F8_E5M2", "F8_E8M0"};
    for (int i = 0; i < 2; i++) {
        begin();
        (void)add("m.weight", dtypes[i], 1, 16, 64);
        (void)add("m.weight_scale_inv", "F32", 4, 1, 1);
        check_refused(i ? "t: m.weight has dtype F8_E8M0, expected F8_E4M3"
                        : "t: m.weight has dtype F8_E5M2, expected F8_E4M3");
    }
    begin();
    (void)add("m.weight", "F8_E4M3", 1, 16, 63);
    (void)add("m.weight_scale_inv", "F32", 4, 1, 1);
    check_refused("t: m.weight is [16, 63], expected [16, 64]");
    begin_fp8(); /* blocks of 32 columns */
    (void)add("m.weight_scale_inv", "F32", 4, 1, 2);
    check_refused("t: m.weight_scale_inv is [1, 2], expected [1, 1], a scale for blocks of 128 x "
                  "128, [16, 1], one for each row, or [1]");
    begin_fp8();
    (void)add("m.weight_scale", "BF16", 2, 15, 1);
    check_refused("m.weight_scale is [15, 1], expected [1, 1]");
    begin_fp8();
    (void)add("m.weight_scale_inv", "F8_E8M0", 1, 1, 1);
    check_refused("m.weight_scale_inv has dtype F8_E8M0: scales that are not BF16, F16 or F32");
}

TEST(fp8_needs_one_tensor_of_scales_and_no_zero_points)
{
    begin_fp8();
    check_refused("t: m.weight is FP8 ([16, 64]) without scales, expected m.weight_scale_inv or "
                  "m.weight_scale: is a file of the model missing?");
    begin_fp8();
    (void)add("m.weight_scale", "F32", 4, 1, 1);
    (void)add("m.weight_scale_inv", "F32", 4, 1, 1);
    check_refused("m.weight_scale ([1]): there is one that ends in _inv, too");
    begin_fp8();
    (void)add("m.weight_scale", "F32", 4, 1, 1);
    (void)add("m.weight_zero_point", "F8_E4M3", 1, 1, 1);
    check_refused("m.weight_zero_point ([1]): FP8 values have no zero points");
}

TEST(fp8_that_is_no_number_is_refused)
{
    static const float bad[] = {NAN, INFINITY, -1e36f};
    static const char *const what[] = {"nan at [11, 0] is not finite",
                                       "inf at [11, 0] is not finite",
                                       "at [11, 0] is too large for FP8 values"};
    for (int i = 0; i < 2; i++) {
        uint8_t *code;
        begin_fp8();
        code = desk.data + desk.used - 16 * 64;
        put_scales("m.weight_scale", "BF16", 1, 1);
        code[64 * 13 + 7] = i ? 0xff : 0x7f;
        code[64 * 14 + 2] = 0x7f;
        check_refused("t: m.weight has a NaN at [13, 7]: the file is damaged, download it again");
    }
    for (int i = 0; i < 3; i++) {
        float *scale;
        begin_fp8();
        scale = add("m.weight_scale", "F32", 4, 16, 1);
        scale[11] = bad[i];
        check_refused(what[i]);
    }
}

/* ---- quantised while it is read ---- */

static vlqa_status load_wanted(enum weight_format wanted, int rows, int cols, struct weight *out)
{
    vlqa_status status = load(rows, cols, out);
    size_t bytes;
    if (status != VLQA_OK) return status;
    heap_free(desk.mem.base);
    desk.w.wanted = wanted;
    TRY(pass(WEIGHTS_MEASURE, rows, cols, out));
    bytes = desk.mem.used;
    desk.mem = arena_over(lab_alloc(bytes), bytes);
    return pass(WEIGHTS_FILL, rows, cols, out);
}

TEST(floats_are_quantised_where_that_is_wanted)
{
    static const enum weight_format formats[] = {WEIGHT_INT8, WEIGHT_INT4};
    for (int k = 0; k < 4; k++) {
        struct weight w;
        double error = 0, all = 0;
        uint8_t *data;
        begin();
        data = add("m.weight", k < 2 ? "BF16" : "F32", k < 2 ? 2 : 4, 37, 45);
        for (int i = 0; i < 37 * 45; i++) {
            float f = (float)(some(i, 1, 4001) - 2000) / 2000;
            uint16_t h = f32_to_bf16(f);
            memcpy(data + (size_t)i * (k < 2 ? 2 : 4), k < 2 ? (void *)&h : &f, k < 2 ? 2 : 4);
        }
        REQUIRE(load_wanted(formats[k % 2], 37, 45, &w) == VLQA_OK);
        CHECK_EQ(w.format, formats[k % 2]);
        for (int i = 0; i < 37 * 45; i++) {
            double f = (some(i, 1, 4001) - 2000) / 2000.0;
            error += pow((double)value_of(w, i / 45, i % 45) - f, 2);
            all += f * f;
        }
        CHECK(sqrt(error / all) < (k % 2 ? 0.08 : 0.006));
        CHECK(sqrt(error / all) > (k % 2 ? 0.02 : 0.001));
        end();
    }
}

/* From the products in f32: the same as from a file that has them so. */
TEST(fp8_is_quantised_like_floats_where_that_is_wanted)
{
    static const enum weight_format formats[] = {WEIGHT_INT8, WEIGHT_INT4};
    static uint8_t kept[2][200 * 200];
    for (int k = 0; k < 4; k++) {
        uint8_t *data;
        struct weight w;
        size_t bytes;
        begin();
        if (k % 2 == 0) put_scales("m.weight_scale_inv", "F32", 1, 2);
        data = k % 2 ? add("m.weight", "F32", 4, 70, 200) : add("m.weight", "F8_E4M3", 1, 70, 200);
        for (int i = 0; i < 70 * 200; i++) {
            int code = code_at(i / 200, i % 200);
            float f = (float)(e4m3_value(code) * (double)fp8_scale(0, i % 200 / 128));
            if (k % 2)
                memcpy(data + (size_t)i * sizeof f, &f, sizeof f);
            else
                data[i] = (uint8_t)code;
        }
        REQUIRE(load_wanted(formats[k / 2], 70, 200, &w) == VLQA_OK);
        CHECK_EQ(w.format, formats[k / 2]);
        bytes = k_weight_bytes(desk.lab.device, w);
        REQUIRE(bytes <= sizeof kept[0]);
        memcpy(kept[k % 2], w.data, bytes);
        if (k % 2) CHECK(memcmp(kept[0], kept[1], bytes) == 0);
        end();
    }
}

TEST(floats_that_are_no_numbers_are_not_quantised)
{
    static const uint16_t bad[] = {0x7fc0, 0x7f80, 0xff80};
    for (int i = 0; i < 6; i++) {
        struct weight w;
        uint16_t *half;
        begin();
        half = add("m.weight", "BF16", 2, 40, 33);
        half[33 * 35 + 31] = bad[i % 3];
        half[33 * 38 + 2] = bad[i % 3];
        CHECK_EQ(load_wanted(i < 3 ? WEIGHT_INT8 : WEIGHT_INT4, 40, 33, &w), VLQA_EMODEL);
        CHECK_HAS(desk.lab.env.message, "m.weight has a NaN or an infinity at [35, 31]");
        end();
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
