/* test_matmul.c - products against the definition, and rows that do not notice each other. */
#include "tests/kernels/lab_amx.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct operands {
    enum dtype x, w; /* w: as it is made */
    enum weight_format format;
};

static const struct operands products[] = {
    {DT_F32, DT_F32, WEIGHT_F32},   {DT_F32, DT_BF16, WEIGHT_BF16}, {DT_F32, DT_F16, WEIGHT_F16},
    {DT_F32, DT_F32, WEIGHT_INT8},  {DT_F32, DT_F32, WEIGHT_INT4},  {DT_BF16, DT_BF16, WEIGHT_BF16},
    {DT_BF16, DT_F32, WEIGHT_INT8}, {DT_BF16, DT_F32, WEIGHT_INT4}, {DT_F32, DT_F32, WEIGHT_FP8},
    {DT_BF16, DT_F32, WEIGHT_FP8}};

/* Those of FP8, the last two, are for a device that holds it. */
static int n_products(struct lab_cpu cpu)
{
    struct lab lab;
    int n = (int)(sizeof products / sizeof products[0]);
    lab_open(&lab, cpu, 0);
    if (!k_weight_held(lab.device, WEIGHT_FP8)) n -= 2;
    lab_close(&lab);
    return n;
}

struct shape {
    int n, out, in;
};

/* Sums of `in` products in f32: an error of 2^-24 at each of 256 additions in a row, and of as many
 * chunks, grows like the root of their number. */
#define SUM_BOUND 2e-6
/* Weights of eight and four bits meet inputs of 16 bits, half a 32,767th of the largest input off.
 */
#define WORDS_BOUND 2e-5

/* A product by a weight that is packed for it. */
static void multiply(struct lab *lab, struct mat y, struct mat x, struct mat w,
                     enum weight_format format, enum act act)
{
    struct weight packed = lab_weight_as(lab, w, format, NULL);
    k_matmul(lab->queue, y, x, packed, mat_none(), act);
    lab_weight_free(packed);
}

static void check_product(struct lab *lab, struct operands p, struct shape s, enum dtype y_dtype,
                          enum act act)
{
    struct mat x = lab_mat(p.x, s.n, s.in, s.in + 5, 1, 1);
    struct mat w = lab_mat(p.w, s.out, s.in, s.in + 3, 1, 2);
    struct mat y = lab_mat(y_dtype, s.n, s.out, s.out + 1, 1, 3);
    float *bias = act == ACT_NONE ? NULL : lab_vec(s.out, 0, 4);
    double *ref = lab_alloc((size_t)(s.n * s.out) * sizeof *ref);
    float *values;
    struct weight packed = lab_weight_as(lab, w, p.format, &values);
    int is_quantised = p.format > WEIGHT_F16;
    uint64_t heap = heap_calls();
    k_matmul(lab->queue, y, x, packed, lab_vector(bias, w.rows), act);
    CHECK_EQ(heap_calls(), heap);
    ref_matmul(ref, x, is_quantised ? mat_of(values, DT_F32, s.out, s.in) : w, bias, act);
    heap_free(values);
    CHECK_MAT(y, ref, is_quantised ? WORDS_BOUND : SUM_BOUND);
    lab_weight_free(packed);
    heap_free(ref);
    heap_free(bias);
    lab_free(y);
    lab_free(w);
    lab_free(x);
}

EMULATED_CPU_TEST(products_match_the_definition)
{
    const int n = n_products(cpu);
    static const struct shape shape[] = {{1, 1, 1},     {3, 17, 33},  {17, 5, 72},  {2, 66, 31},
                                         {7, 33, 4304}, {1, 130, 96}, {33, 16, 64}, {130, 70, 33}};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int p = 0; p < n; p++)
        for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++) {
            check_product(&lab, products[p], shape[s], DT_F32, ACT_NONE);
            check_product(&lab, products[p], shape[s], DT_BF16, ACT_GELU_TANH);
            check_product(&lab, products[p], shape[s], DT_F32, ACT_GELU_ERF);
        }
    lab_close(&lab);
}

static struct mat product_of(struct lab_cpu cpu, int threads, struct mat x, struct mat w,
                             enum weight_format format)
{
    struct mat y = lab_mat(DT_F32, x.rows, w.rows, w.rows, 0, 1);
    struct lab lab;
    lab_open(&lab, cpu, threads);
    multiply(&lab, y, x, w, format, ACT_GELU_TANH);
    lab_close(&lab);
    return y;
}

/* Inputs are whole numbers, the largest 32,767, so they are their 16 bits; every sum is exact. */
static void check_whole(struct lab *lab, enum weight_format format, int rows, int limit, int most,
                        int zero)
{
    enum { IN = 256, OUT = 20 };
    struct mat x = lab_mat(DT_F32, rows, IN, IN, 1, 1), w = lab_mat(DT_F32, OUT, IN, IN, 0, 2);
    struct mat y = lab_mat(DT_F32, rows, OUT, OUT, 0, 3);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < IN; k++)
            lab_put(x, r, k, k == r % IN ? 32767 : floor(limit * ref_value(x, r, k)));
    for (int o = 0; o < OUT; o++)
        for (int k = 0; k < IN; k++)
            lab_put(w, o, k,
                    (k % WEIGHT_GROUP < 2 ? most * (k % 2) : abs((k * 7 + o * 13) % (most + 1))) -
                        zero);
    multiply(lab, y, x, w, format, ACT_NONE);
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < OUT; o++) {
            double sum = 0;
            for (int k = 0; k < IN; k++)
                sum += ref_value(x, r, k) * ref_value(w, o, k);
            CHECK_EQ(ref_value(y, r, o) == (double)(float)sum, 1);
        }
    lab_free(y);
    lab_free(w);
    lab_free(x);
}

EMULATED_TEST(whole_numbers_are_multiplied_exactly)
CPU_ONLY_TEST(whole_numbers_are_multiplied_exactly) /* a GPU adds in f32 */
{
    struct lab lab;
    lab_open(&lab, cpu, 1);
    for (int rows = 1; rows < 16; rows++) {
        check_whole(&lab, WEIGHT_INT8, rows, 32767, 127, 0);
        check_whole(&lab, WEIGHT_INT4, rows, 4000, 15, 7); /* sums of groups below 2^24 */
    }
    lab_close(&lab);
}

/* All inputs 32,767 and all weights -128, which only others' files have: the largest sum. */
EMULATED_CPU_TEST(the_largest_sum_does_not_overflow)
{
    enum { IN = 1100 };
    static int8_t q[IN];
    static float x_value[IN];
    const float scale = 0.5f;
    struct lab lab;
    struct mat x = mat_of(x_value, DT_F32, 1, IN);
    struct mat y = lab_mat(DT_F32, 1, 1, 1, 0, 1);
    struct weight w = {WEIGHT_INT8, 1, IN, NULL};
    struct weight_rows rows = {WEIGHT_INT8, 1, IN, q, &scale, NULL};
    lab_open(&lab, cpu, 1);
    w.data = lab_alloc(k_weight_bytes(lab.device, w));
    memset(q, -128, sizeof q);
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int k = 0; k < IN; k++)
            x_value[k] = (float)sign * 3e38f;
        k_weight_pack(lab.device, w.data, &rows);
        k_matmul(lab.queue, y, x, w, mat_none(), ACT_NONE);
        CHECK_EQ(isinf(ref_value(y, 0, 0)) && ref_value(y, 0, 0) * sign < 0, 1);
        for (int k = 0; k < IN; k++)
            x_value[k] = (float)sign * 32767;
        k_matmul(lab.queue, y, x, w, mat_none(), ACT_NONE);
        CHECK_EQ(ref_value(y, 0, 0), sign * -64.0 * 32767 * IN);
    }
    lab_weight_free(w);
    lab_free(y);
    lab_close(&lab);
}

EMULATED_CPU_TEST(threads_do_not_change_a_bit)
{
    const int n = n_products(cpu);
    static const int threads[] = {1, 2, 5};
    for (int p = 0; p < n; p++) {
        struct mat x = lab_mat(products[p].x, 150, 171, 171, 1, 1);
        struct mat w = lab_mat(products[p].w, 203, 171, 171, 1, 2);
        struct mat one = product_of(cpu, 0, x, w, products[p].format);
        for (int i = 0; i < 3; i++) {
            struct mat y = product_of(cpu, threads[i], x, w, products[p].format);
            CHECK(lab_same(y, one));
            lab_free(y);
        }
        lab_free(one);
        lab_free(w);
        lab_free(x);
    }
}

/* Rows in calls of `step`, so that each lands on another place of a tile. */
static void check_split(struct lab *lab, struct mat x, struct weight w, struct mat whole, int step)
{
    struct mat y = lab_mat(whole.dtype, x.rows, w.rows, w.rows, 0, 1);
    for (int row = 0; row < x.rows; row += step) {
        int n = x.rows - row < step ? x.rows - row : step;
        k_matmul(lab->queue, mat_rows(y, row, n), mat_rows(x, row, n), w, mat_none(), ACT_NONE);
    }
    if (!lab_same(y, whole)) CHECK_FAIL("calls of %d rows differ from one call", step);
    lab_free(y);
}

EMULATED_CPU_TEST(a_row_alone_equals_the_row_among_many)
{
    const int n = n_products(cpu);
    static const int step[] = {1, 2, 3, 5, 7, 16, 31, 100};
    static const int in[] = {40, 1100}; /* 1100: more than the AMX path takes at a time */
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int p = 0; p < n; p++)
        for (int i = 0; i < 2; i++) {
            struct mat x = lab_mat(products[p].x, 131, in[i], in[i], 1, 1);
            struct mat w = lab_mat(products[p].w, 37, in[i], in[i], 1, 2);
            struct mat whole = lab_mat(DT_F32, x.rows, w.rows, w.rows, 0, 1);
            struct weight packed = lab_weight_as(&lab, w, products[p].format, NULL);
            k_matmul(lab.queue, whole, x, packed, mat_none(), ACT_NONE);
            for (int s = 0; s < 8; s++)
                check_split(&lab, x, packed, whole, step[s]);
            lab_weight_free(packed);
            lab_free(whole);
            lab_free(w);
            lab_free(x);
        }
    lab_close(&lab);
}

/* Rows and columns on 16 bytes, as a model has them; 40 rows are more than a GPU takes at a time.
 */
EMULATED_CPU_TEST(products_of_either_kind_of_pass_match_the_definition)
{
    const int n = n_products(cpu);
    static const int step[] = {1, 9, 16, 17};
    struct lab lab;
    lab_open(&lab, cpu, 1);
    for (int p = 0; p < n; p++) {
        struct mat x = lab_mat(products[p].x, 40, 608, 616, 1, 1);
        struct mat w = lab_mat(products[p].w, 37, 608, 608, 1, 2);
        struct mat y = lab_mat(DT_F32, 40, 37, 37, 0, 3), other = lab_mat(DT_F32, 40, 37, 37, 0, 3);
        double *ref = lab_alloc((size_t)(y.rows * y.cols) * sizeof *ref);
        float *bias = lab_vec(37, 0, 4), *values;
        struct weight packed = lab_weight_as(&lab, w, products[p].format, &values);
        ref_matmul(ref, x, products[p].format >= WEIGHT_INT8 ? mat_of(values, DT_F32, 37, 608) : w,
                   bias, ACT_NONE);
        for (lab.queue->decode = 0; lab.queue->decode < 2; lab.queue->decode++) {
            struct mat to = lab.queue->decode ? y : other;
            k_matmul(lab.queue, to, x, packed, lab_vector(bias, 37), ACT_NONE);
            CHECK_MAT(to, ref, WORDS_BOUND);
            if (lab.queue->decode && !device_decodes_apart(lab.device)) CHECK(lab_same(y, other));
            k_matmul(lab.queue, y, x, packed, mat_none(), ACT_NONE);
            for (int i = 0; i < 4; i++)
                check_split(&lab, x, packed, y, step[i]);
        }
        lab_weight_free(packed);
        heap_free(values);
        heap_free(bias);
        heap_free(ref);
        lab_free(other);
        lab_free(y);
        lab_free(w);
        lab_free(x);
    }
    lab_close(&lab);
}

/* Three products of one x: two into columns of one matrix, the last of another format. */
struct list {
    struct mat x, both, last, delta[3];
    struct weight w[3];
    float *bias;
};

static void list_open(struct list *l, struct lab *lab, struct operands p, int rows)
{
    static const int outputs[] = {37, 130, 5};
    l->x = lab_mat(p.x, rows, 608, 616, 1, 1);
    l->both = lab_mat(DT_F32, rows, 167, 170, 1, 2);
    l->last = lab_mat(DT_F32, rows, 5, 5, 1, 3);
    l->bias = lab_vec(130, 0, 4);
    for (int i = 0; i < 3; i++) {
        struct mat w = lab_mat(p.w, outputs[i], 608, 608, 1, 5 + (uint64_t)i);
        int is_int8 = i == 2 && p.w == DT_F32 && p.format != WEIGHT_F32;
        l->w[i] = lab_weight_as(lab, w, is_int8 ? WEIGHT_INT8 : p.format, NULL);
        l->delta[i] = lab_mat(DT_F32, rows, outputs[i], outputs[i] + 3, 0, 6);
        lab_free(w);
    }
}

static void list_close(struct list *l)
{
    for (int i = 0; i < 3; i++) {
        lab_weight_free(l->w[i]);
        lab_free(l->delta[i]);
    }
    heap_free(l->bias);
    lab_free(l->last);
    lab_free(l->both);
    lab_free(l->x);
}

static struct products products_of(const struct list *l, int adds)
{
    struct products p = {
        .x = l->x,
        .n = 3,
        .of = {{.y = mat_cols(l->both, 0, 37), .w = l->w[0]},
               {.y = mat_cols(l->both, 37, 130), .w = l->w[1], .bias = lab_vector(l->bias, 130)},
               {.y = l->last, .w = l->w[2]}}};
    for (int i = 0; adds && i < 3; i++)
        p.of[i].delta = l->delta[i];
    return p;
}

/* The list at once, or its products one by one and, where they are added, k_add behind each. */
static void run_list(struct lab *lab, const struct list *l, int adds, int at_once)
{
    struct products p = products_of(l, adds);
    if (at_once) k_products(lab->queue, &p);
    for (int i = 0; i < 3 && !at_once; i++) {
        struct mat to = adds ? p.of[i].delta : p.of[i].y;
        k_matmul(lab->queue, to, p.x, p.of[i].w, p.of[i].bias, ACT_NONE);
        if (adds) k_add(lab->queue, p.of[i].y, to);
    }
}

static void check_list(struct lab *lab, struct operands p, int rows, int adds)
{
    struct list a, b;
    list_open(&a, lab, p, rows);
    list_open(&b, lab, p, rows);
    run_list(lab, &a, adds, 1);
    run_list(lab, &b, adds, 0);
    if (!lab_same(a.both, b.both) || !lab_same(a.last, b.last))
        CHECK_FAIL("format %d, %d rows, %s, decode %d: other bits", (int)p.format, rows,
                   adds ? "added" : "stored", lab->queue->decode);
    list_close(&b);
    list_close(&a);
}

EMULATED_CPU_TEST(a_list_has_the_bits_of_its_products_and_sums)
{
    static const int rows[] = {1, 3, 17, 100};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < n_products(cpu) * 4 * 2; i++)
        for (lab.queue->decode = 0; lab.queue->decode < 2; lab.queue->decode++)
            check_list(&lab, products[i / 8], rows[i / 2 % 4], i % 2);
    lab_close(&lab);
}

/* By an assert, in a process of its own. */
static int is_refused(struct lab *lab, const struct products *p)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr)) k_products(lab->queue, p);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST(lists_that_write_into_each_other_are_refused)
{
    struct lab lab;
    struct list l;
    struct products p;
    lab_open(&lab, (struct lab_cpu){VLQA_CPU_PLAIN, NULL, NULL}, 0);
    list_open(&l, &lab, products[0], 4);
    p = products_of(&l, 1);
    CHECK(!is_refused(&lab, &p));
    p.of[1].y = mat_cols(l.both, 36, 130);
    CHECK(is_refused(&lab, &p));
    p.of[1].y = mat_cols(l.both, 37, 130);
    p.of[1].y.stride--;
    CHECK(is_refused(&lab, &p));
    p = products_of(&l, 1);
    p.of[2].delta = mat_cols(l.both, 160, 5);
    CHECK(is_refused(&lab, &p));
    p = products_of(&l, 0);
    p.of[2].y = mat_cols(l.x, 600, 5);
    CHECK(is_refused(&lab, &p));
    p.of[2].y = mat_of(mat_at(l.x, 0, 608), DT_F32, 4, 5); /* between its rows and in them */
    CHECK(is_refused(&lab, &p));
    p.of[2].y.stride = 616; /* between its rows */
    CHECK(!is_refused(&lab, &p));
    p = products_of(&l, 1);
    p.act = ACT_GELU_ERF;
    CHECK(is_refused(&lab, &p));
    p = products_of(&l, 0);
    p.n = 4;
    CHECK(is_refused(&lab, &p));
    list_close(&l);
    lab_close(&lab);
}

EMULATED_CPU_TEST(an_output_does_not_notice_the_other_outputs)
{
    const int n = n_products(cpu);
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int p = 0; p < n; p++) {
        struct mat x = lab_mat(products[p].x, 9, 100, 100, 1, 1);
        struct mat w = lab_mat(products[p].w, 39, 100, 100, 1, 2);
        struct mat whole = lab_mat(DT_F32, 9, 39, 39, 0, 1), y = lab_mat(DT_F32, 9, 39, 39, 0, 1);
        multiply(&lab, whole, x, w, products[p].format, ACT_NONE);
        for (int o = 0; o < 39; o += 3)
            multiply(&lab, mat_cols(y, o, 3), x, mat_rows(w, o, 3), products[p].format, ACT_NONE);
        CHECK(lab_same(y, whole));
        lab_free(y);
        lab_free(whole);
        lab_free(w);
        lab_free(x);
    }
    lab_close(&lab);
}

EMULATED_CPU_TEST(a_row_of_nan_stays_a_row)
{
    const int n = n_products(cpu);
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int p = 0; p < n; p++) {
        struct mat x = lab_mat(products[p].x, 40, 50, 50, 1, 1);
        struct mat w = lab_mat(products[p].w, 20, 50, 50, 1, 2);
        struct mat y = lab_mat(DT_F32, 40, 20, 20, 0, 1);
        int finite = 0;
        lab_put(x, 17, 49, (double)NAN);
        multiply(&lab, y, x, w, products[p].format, ACT_NONE);
        for (int r = 0; r < 40; r++)
            for (int o = 0; o < 20; o++)
                finite += isfinite(ref_value(y, r, o)) != 0;
        CHECK_EQ(finite, 39 * 20);
        CHECK(isnan(ref_value(y, 17, 0)) && isnan(ref_value(y, 17, 19)));
        lab_free(y);
        lab_free(w);
        lab_free(x);
    }
    lab_close(&lab);
}

struct sum { /* of x w at up to three inputs, with an x of 0 behind them; else x and w are 0 */
    const char *claim;
    struct term {
        int input;
        double x, w;
    } term[3];
    double expected;
};

static double sum_of(struct lab *lab, const struct term term[3])
{
    struct mat x = lab_mat(DT_BF16, 1, 96, 96, 0, 1), w = lab_mat(DT_BF16, 1, 96, 96, 0, 1);
    struct mat y = lab_mat(DT_F32, 1, 1, 1, 0, 1);
    double sum;
    for (int i = 0; i < 3 && term[i].x != 0; i++) {
        lab_put(x, 0, term[i].input, term[i].x);
        lab_put(w, 0, term[i].input, term[i].w);
    }
    multiply(lab, y, x, w, WEIGHT_BF16, ACT_NONE);
    sum = ref_value(y, 0, 0);
    lab_free(y);
    lab_free(w);
    lab_free(x);
    return sum;
}

static void check_sums(struct lab_cpu cpu, const struct sum *sums, size_t n)
{
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (size_t i = 0; i < n; i++) {
        double sum = sum_of(&lab, sums[i].term);
        if (!(sum == sums[i].expected))
            CHECK_FAIL("%s: found %a, expected %a", sums[i].claim, sum, sums[i].expected);
    }
    lab_close(&lab);
}

#define BIG 0x1p24 /* BIG + 1 is rounded to BIG, BIG + 2 is a number */

/* Inputs come in steps of 32. Within one, even and odd inputs are two sums. */
AMX_TEST(a_sum_is_made_in_the_order_of_the_hardware)
{
    static const struct sum sums[] = {
        {"even and odd inputs are apart", {{0, BIG, 1}, {1, 1, 1}, {3, 1, 1}}, BIG + 2},
        {"odd and even inputs are apart", {{0, 1, 1}, {1, BIG, 1}, {2, 1, 1}}, BIG + 2},
        {"even inputs ascend", {{0, BIG, 1}, {2, 1, 1}, {4, 1, 1}}, BIG},
        {"even inputs do not descend", {{0, 1, 1}, {2, 1, 1}, {4, BIG, 1}}, BIG + 2},
        {"odd inputs ascend", {{27, BIG, 1}, {29, 1, 1}, {31, 1, 1}}, BIG},
        {"odd inputs do not descend", {{27, 1, 1}, {29, 1, 1}, {31, BIG, 1}}, BIG + 2},
        {"a step is summed by itself", {{0, BIG, 1}, {32, 1, 1}, {33, 1, 1}}, BIG + 2},
        {"a step is rounded by itself", {{0, 1, 1}, {32, BIG, 1}, {33, 1, 1}}, BIG},
        {"steps ascend", {{0, BIG, 1}, {32, 1, 1}, {64, 1, 1}}, BIG},
        {"steps do not descend", {{0, 1, 1}, {32, 1, 1}, {64, BIG, 1}}, BIG + 2},
        {"ties go to even", {{0, BIG, 1}, {1, 3, 1}}, BIG + 4},
    };
    check_sums(cpu, sums, sizeof sums / sizeof *sums);
}

#define LEAST 0x1p-126 /* that is not denormal */

AMX_TEST(denormal_numbers_count_as_zero)
{
    static const struct sum sums[] = {
        {"denormal inputs", {{0, LEAST / 2, 0x1p100}, {1, 0x1p100, LEAST / 2}}, 0},
        {"denormal products", {{0, 0x1p-64, 0x1p-63}, {1, -0x1p-64, 0x1p-65}}, 0},
        {"denormal sums", {{0, 1.5, LEAST}, {2, -1, LEAST}}, 0},
        {"the least number", {{0, 0x1p-63, 0x1p-63}}, LEAST},
        {"not before it is added", {{0, 1, LEAST}, {2, 0x1p-64, 0x1p-65}}, LEAST + 0x1p-129},
    };
    check_sums(cpu, sums, sizeof sums / sizeof *sums);
}

TEST(emulated_tiles_give_the_bits_of_the_hardware)
{
    struct mat x, w, y[2];
    if (!device_has_cpu(VLQA_CPU_AMX)) SKIP("this CPU has no amx");
    x = lab_mat(DT_BF16, 70, 2100, 2100, 1, 1);
    w = lab_mat(DT_BF16, 90, 2100, 2100, 1, 2);
    y[0] = product_of(emulated, 2, x, w, WEIGHT_BF16);
    y[1] = product_of((struct lab_cpu){VLQA_CPU_AMX, NULL, NULL}, 2, x, w, WEIGHT_BF16);
    CHECK(lab_same(y[0], y[1]));
    lab_free(y[1]);
    lab_free(y[0]);
    lab_free(w);
    lab_free(x);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
