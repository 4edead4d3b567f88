/* test_attention.c - softmax over spans against the definition, and rows on their own. */
#include "tests/kernels/lab_amx.h"

#define GUARD 64 /* bytes behind the work */

struct shape {
    int n, slots, heads, kv_heads, dim;
    enum dtype kv, out, products;
};

struct problem {
    struct attn a;
    struct mat keys_values; /* K and V side by side, so that their stride is wide */
    struct span *span;
};

static size_t work_bytes(const struct problem *p)
{
    const struct device plain = {.op = &cpu_ops_plain};
    const struct attn *a = &p->a;
    return k_attention_work(&plain, a->q.rows, a->heads, a->kv_heads, a->q.cols / a->heads,
                            a->k.rows);
}

/* Rows see the last slots causally; every third row has a gap, of any length, before its tail. */
static void open_problem(struct problem *p, struct shape s, uint64_t seed)
{
    int width = s.kv_heads * s.dim;
    *p = (struct problem){0};
    p->keys_values = lab_mat(s.kv, s.slots, 2 * width + 3, 2 * width + 3, 1, seed);
    p->span = lab_alloc((size_t)s.n * sizeof *p->span);
    p->a.q = lab_mat(DT_F32, s.n, s.heads * s.dim, s.heads * s.dim + 1, 2, seed + 1);
    p->a.out = lab_mat(s.out, s.n, s.heads * s.dim, s.heads * s.dim, 1, seed + 2);
    p->a.k = mat_cols(p->keys_values, 1, width);
    p->a.v = mat_cols(p->keys_values, width + 2, width);
    p->a.span = lab_spans(p->span, s.n);
    p->a.heads = s.heads;
    p->a.kv_heads = s.kv_heads;
    p->a.scale = 1.0f / sqrtf((float)s.dim);
    p->a.products = s.products;
    p->a.work = lab_alloc(work_bytes(p) + GUARD);
    memset(p->a.work, 0x5a, work_bytes(p) + GUARD);
    for (int i = 0; i < s.n; i++) {
        int end = s.slots - s.n + i + 1;
        end = end < 1 ? 1 : end;
        p->span[i] = (struct span){0, 0, end};
        if (i % 3 == 1) p->span[i] = (struct span){end / 5, end - end / 3 - 1, end};
        if (i % 3 == 2 && i % 2) p->span[i] = (struct span){end, 0, 0};
    }
}

static void close_problem(struct problem *p)
{
    const uint8_t *guard = (const uint8_t *)p->a.work + work_bytes(p);
    for (int i = 0; i < GUARD; i++)
        CHECK_EQ(guard[i], 0x5a);
    heap_free(p->a.work);
    lab_free(p->keys_values);
    lab_free(p->a.q);
    lab_free(p->a.out);
    heap_free(p->span);
}

/* Rows and heads around those that blocks are cut at, keys around the ends of tiles and segments.
 */
static const struct shape shapes[] = {
    {1, 1, 1, 1, 8, DT_F32, DT_F32, DT_F32},         {3, 3, 2, 1, 17, DT_F32, DT_F32, DT_F32},
    {70, 130, 2, 2, 72, DT_F32, DT_BF16, DT_F32},    {33, 200, 6, 2, 64, DT_BF16, DT_F32, DT_F32},
    {17, 65, 8, 1, 128, DT_BF16, DT_BF16, DT_F32},   {2, 300, 3, 3, 256, DT_BF16, DT_F32, DT_F32},
    {5, 64, 64, 1, 16, DT_F32, DT_F32, DT_F32},      {2, 511, 4, 2, 64, DT_BF16, DT_F32, DT_F32},
    {1, 512, 4, 1, 128, DT_BF16, DT_F32, DT_F32},    {3, 513, 2, 2, 72, DT_BF16, DT_F32, DT_F32},
    {20, 1025, 4, 2, 128, DT_BF16, DT_F32, DT_F32},  {1, 1600, 16, 8, 64, DT_BF16, DT_BF16, DT_F32},
    {40, 1030, 2, 1, 256, DT_F32, DT_F32, DT_F32},   {100, 530, 4, 2, 64, DT_F32, DT_BF16, DT_F32},
    {16, 1540, 3, 1, 128, DT_F32, DT_F32, DT_F32},   {4, 4, 16, 16, 72, DT_F32, DT_F32, DT_F32},
    {1, 1, 1, 1, 8, DT_BF16, DT_F32, DT_BF16},       {3, 3, 2, 1, 17, DT_F32, DT_F32, DT_BF16},
    {70, 130, 2, 2, 72, DT_F32, DT_F32, DT_BF16},    {33, 200, 6, 2, 64, DT_BF16, DT_F32, DT_BF16},
    {17, 65, 8, 1, 128, DT_BF16, DT_BF16, DT_BF16},  {2, 300, 3, 3, 256, DT_BF16, DT_F32, DT_BF16},
    {5, 64, 64, 1, 16, DT_F32, DT_F32, DT_BF16},     {3, 513, 2, 2, 72, DT_BF16, DT_F32, DT_BF16},
    {20, 1025, 4, 2, 128, DT_BF16, DT_F32, DT_BF16}, {1, 1600, 16, 8, 64, DT_BF16, DT_F32, DT_BF16},
    {100, 530, 4, 2, 65, DT_F32, DT_F32, DT_BF16},   {4, 4, 16, 16, 72, DT_F32, DT_F32, DT_BF16},
};

#define N_SHAPES ((int)(sizeof shapes / sizeof shapes[0]))

/* Scores, weights and sums of up to 1600 slots in f32: some ten roundings of 2^-24 each. */
#define ATTENTION_BOUND 1e-6
/* In bf16 queries are rounded by at most 2^-9 of themselves and so are weights. The errors of the
 * products of a score, of about 1 here, have either sign; so a weight is less than 2^-8 off. */
#define BF16_BOUND 0x1p-8

static double bound_of(struct lab_cpu cpu, const struct attn *a)
{
    return cpu.cpu == VLQA_CPU_AMX && a->products == DT_BF16 ? BF16_BOUND : ATTENTION_BOUND;
}

EMULATED_CPU_TEST(attention_matches_the_definition)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        double *ref;
        uint64_t heap;
        open_problem(&p, shapes[i], 1);
        ref = lab_alloc((size_t)(p.a.q.rows * p.a.q.cols) * sizeof *ref);
        heap = heap_calls();
        k_attention(lab.queue, &p.a);
        CHECK_EQ(heap_calls(), heap);
        ref_attention(ref, &p.a);
        CHECK_MAT(p.a.out, ref, bound_of(cpu, &p.a));
        heap_free(ref);
        close_problem(&p);
    }
    lab_close(&lab);
}

static struct mat output_like(const struct problem *p)
{
    return lab_mat(p->a.out.dtype, p->a.out.rows, p->a.out.cols, p->a.out.cols, 0, 1);
}

EMULATED_CPU_TEST(threads_do_not_change_a_bit)
{
    static const int threads[] = {1, 2, 3, 8};
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct lab lab;
        struct attn a;
        open_problem(&p, shapes[i], 2);
        lab_open(&lab, cpu, 0);
        k_attention(lab.queue, &p.a);
        lab_close(&lab);
        a = p.a;
        for (int t = 0; t < 4; t++) {
            a.out = output_like(&p);
            lab_open(&lab, cpu, threads[t]);
            k_attention(lab.queue, &a);
            lab_close(&lab);
            CHECK(lab_same(a.out, p.a.out));
            lab_free(a.out);
        }
        close_problem(&p);
    }
}

/* Rows [row, row + n) of a problem, seeing the same slots. */
static struct attn part_of(const struct attn *a, struct mat out, int row, int n)
{
    struct attn part = *a;
    part.q = mat_rows(a->q, row, n);
    part.out = mat_rows(out, row, n);
    part.span = spans_from(a->span, row, n);
    return part;
}

EMULATED_CPU_TEST(a_row_alone_equals_the_row_among_many)
{
    static const int step[] = {1, 7, 64, 2, 3, 16, 31};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        open_problem(&p, shapes[i], 3);
        k_attention(lab.queue, &p.a);
        for (int s = 0; s < (VLQA_SANITIZED ? 3 : 7); s++) {
            struct mat out = output_like(&p);
            for (int row = 0; row < p.a.q.rows; row += step[s]) {
                int left = p.a.q.rows - row;
                struct attn part = part_of(&p.a, out, row, left < step[s] ? left : step[s]);
                k_attention(lab.queue, &part);
            }
            if (!lab_same(out, p.a.out)) CHECK_FAIL("calls of %d rows differ", step[s]);
            lab_free(out);
        }
        close_problem(&p);
    }
    lab_close(&lab);
}

static void run_in_calls(struct lab_cpu cpu, const struct attn *a, struct mat out, int step)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int row = 0; row < a->q.rows; row += step) {
        struct attn part = part_of(a, out, row, a->q.rows - row < step ? a->q.rows - row : step);
        k_attention(lab.queue, &part);
    }
    lab_close(&lab);
}

/* Many rows that number their keys alike share converted tiles; in calls of fewer rows they do not,
 * and few read keys and values where they are. */
static void check_many_rows(struct lab_cpu cpu, struct shape shape, int head)
{
    static const int threads[] = {1, 3};
    struct problem p;
    struct mat out;
    struct lab lab;
    double *ref = lab_alloc((size_t)(shape.n * shape.heads * shape.dim) * sizeof *ref);
    open_problem(&p, shape, 9);
    for (int i = 0; i < shape.n; i++)
        p.span[i] = (struct span){head, head + (head > 0), shape.slots - i % 5};
    out = output_like(&p);
    run_in_calls(cpu, &p.a, out, 3);
    run_in_calls(cpu, &p.a, p.a.out, 37);
    CHECK(lab_same(out, p.a.out));
    for (int t = 0; t < 2; t++) {
        memset(p.a.out.data, 0, mat_bytes(shape.out, shape.n, p.a.out.stride));
        lab_open(&lab, cpu, threads[t]);
        k_attention(lab.queue, &p.a);
        lab_close(&lab);
        CHECK(lab_same(out, p.a.out));
    }
    ref_attention(ref, &p.a);
    CHECK_MAT(out, ref, bound_of(cpu, &p.a));
    lab_free(out);
    heap_free(ref);
    close_problem(&p);
}

EMULATED_CPU_TEST(many_rows_equal_the_same_rows_in_smaller_calls)
{
    const int slots = VLQA_SANITIZED ? 190 : 600; /* fewer rows would not share */
    check_many_rows(cpu, (struct shape){600, slots, 2, 1, 72, DT_F32, DT_F32, DT_F32}, 0);
    check_many_rows(cpu, (struct shape){300, slots - 70, 8, 2, 40, DT_BF16, DT_F32, DT_F32}, 77);
    check_many_rows(cpu, (struct shape){600, slots, 2, 1, 72, DT_F32, DT_F32, DT_BF16}, 0);
    check_many_rows(cpu, (struct shape){300, slots - 70, 8, 2, 40, DT_BF16, DT_F32, DT_BF16}, 77);
}

/* While decoding, the slots behind the row are not there yet. */
static void check_decoded(struct lab_cpu cpu, enum dtype products)
{
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){150, 150, 4, 2, 32, DT_BF16, DT_F32, products}, 4);
    lab_open(&lab, cpu, 2);
    k_attention(lab.queue, &p.a);
    for (int row = 0; row < 150; row += 29) {
        struct mat out = output_like(&p);
        struct attn one = part_of(&p.a, out, row, 1);
        one.k = mat_rows(p.a.k, 0, row + 1);
        one.v = mat_rows(p.a.v, 0, row + 1);
        k_attention(lab.queue, &one);
        CHECK(lab_same(one.out, mat_rows(p.a.out, row, 1)));
        lab_free(out);
    }
    lab_close(&lab);
    close_problem(&p);
}

EMULATED_CPU_TEST(a_decoded_row_equals_the_prefilled_row)
{
    check_decoded(cpu, DT_F32);
    check_decoded(cpu, DT_BF16);
}

static void spoil(struct mat m, int begin, int end) /* NaN, with every bit set */
{
    for (int r = begin; r < end; r++)
        memset(mat_at(m, r, 0), 0xff, mat_bytes(m.dtype, 1, m.cols));
}

static void check_unseen(struct lab_cpu cpu, struct shape shape)
{
    struct problem p;
    struct lab lab;
    struct mat clean;
    open_problem(&p, shape, 5);
    for (int i = 0; i < shape.n; i++)
        p.span[i] = (struct span){10 + i, 140, 150 + i};
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    clean = p.a.out;
    p.a.out = output_like(&p);
    for (int m = 0; m < 2; m++) {
        spoil(m ? p.a.v : p.a.k, 9 + shape.n, 140);
        spoil(m ? p.a.v : p.a.k, 149 + shape.n, 200);
    }
    k_attention(lab.queue, &p.a);
    CHECK(lab_same(p.a.out, clean));
    CHECK(isfinite(ref_value(clean, shape.n - 1, clean.cols - 1)));
    lab_close(&lab);
    lab_free(clean);
    close_problem(&p);
}

EMULATED_CPU_TEST(slots_that_nobody_sees_may_hold_nan)
{
    check_unseen(cpu, (struct shape){9, 200, 2, 1, 24, DT_F32, DT_F32, DT_F32});
    check_unseen(cpu, (struct shape){3, 200, 4, 2, 64, DT_BF16, DT_F32, DT_F32});
    check_unseen(cpu, (struct shape){9, 200, 2, 1, 24, DT_F32, DT_F32, DT_BF16});
    check_unseen(cpu, (struct shape){9, 200, 4, 2, 64, DT_BF16, DT_F32, DT_BF16});
}

static void check_bad_slot(struct lab_cpu cpu, int heads, int dim, enum dtype products)
{
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){8, 40, heads, 1, dim, DT_F32, DT_F32, products}, 6);
    for (int i = 0; i < 8; i++)
        p.span[i] = (struct span){0, i % 2 ? 20 : 0, 40};
    spoil(p.a.v, 7, 8);
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(isfinite(ref_value(p.a.out, i, 5)) != 0, i % 2);
    for (int i = 0; i < 8; i++) /* one after the other, as causal rows do */
        p.span[i] = (struct span){0, 0, 4 + i};
    k_attention(lab.queue, &p.a);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(isfinite(ref_value(p.a.out, i, 5)) != 0, i < 4);
    lab_close(&lab);
    close_problem(&p);
}

EMULATED_CPU_TEST(a_bad_slot_reaches_only_the_rows_that_see_it)
{
    for (int heads = 2; heads <= 6; heads += 4) { /* few pairs, more than few */
        check_bad_slot(cpu, heads, 24, DT_F32);
        check_bad_slot(cpu, heads, 64, DT_F32);
        check_bad_slot(cpu, heads, 24, DT_BF16);
        check_bad_slot(cpu, heads, 64, DT_BF16);
    }
}

static void check_equal_visibility(struct lab_cpu cpu, enum dtype products)
{
    static const struct span same[] = {{0, 0, 90}, {90, 0, 0}, {30, 30, 90}, {70, 70, 90}};
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){4, 100, 2, 2, 40, DT_BF16, DT_F32, products}, 7);
    for (int i = 0; i < 4; i++) {
        p.span[i] = same[i];
        memcpy(mat_at(p.a.q, i, 0), mat_at(p.a.q, 0, 0), (size_t)p.a.q.cols * sizeof(float));
    }
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    for (int i = 1; i < 4; i++)
        CHECK(lab_same(mat_rows(p.a.out, i, 1), mat_rows(p.a.out, 0, 1)));
    lab_close(&lab);
    close_problem(&p);
}

EMULATED_CPU_TEST(equal_visibility_gives_equal_bits)
{
    check_equal_visibility(cpu, DT_F32);
    check_equal_visibility(cpu, DT_BF16);
}

EMULATED_CPU_TEST(large_scores_do_not_overflow)
{
    struct problem p;
    struct lab lab;
    double *ref;
    open_problem(&p, (struct shape){6, 130, 1, 1, 16, DT_F32, DT_F32, DT_F32}, 8);
    p.a.scale = 500.0f;
    ref = lab_alloc(6 * 16 * sizeof *ref);
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    ref_attention(ref, &p.a);
    /* scores near 10^4 are rounded by 10^-3 before the exponential */
    CHECK_MAT(p.a.out, ref, 5e-3);
    lab_close(&lab);
    heap_free(ref);
    close_problem(&p);
}

/* ---- products of bf16 ---- */

#define UNIT 0.69314718f /* ln 2: with it as scale, a weight is 2^score */
#define SMALL_KEYS 128

/* Rows of queries and keys of zeros, and a value of 0 for each key, but for what a test sets. */
static void open_small(struct problem *p, int rows, int dim)
{
    open_problem(p, (struct shape){rows, SMALL_KEYS, 1, 1, dim, DT_BF16, DT_F32, DT_BF16}, 1);
    p->a.scale = UNIT;
    for (int r = 0; r < rows; r++) {
        memset(mat_at(p->a.q, r, 0), 0, (size_t)dim * sizeof(float));
        p->span[r] = (struct span){0, 0, SMALL_KEYS};
    }
    for (int i = 0; i < SMALL_KEYS; i++) {
        memset(mat_at(p->a.k, i, 0), 0, (size_t)dim * sizeof(uint16_t));
        memset(mat_at(p->a.v, i, 0), 0, (size_t)dim * sizeof(uint16_t));
    }
}

struct order { /* three terms of a sum, of others that are 0, and the sum */
    const char *claim;
    int at[3];
    double term[3], expected;
};

#define BIG 0x1p24 /* BIG + 1 is rounded to BIG, BIG + 2 is a number */

/* In steps of 32. Within one, those at even and odd places are two sums. */
static const struct order orders[] = {
    {"even and odd are apart", {0, 1, 3}, {BIG, 1, 1}, BIG + 2},
    {"odd and even are apart", {0, 1, 2}, {1, BIG, 1}, BIG + 2},
    {"even ones ascend", {0, 2, 4}, {BIG, 1, 1}, BIG},
    {"even ones do not descend", {0, 2, 4}, {1, 1, BIG}, BIG + 2},
    {"odd ones ascend", {27, 29, 31}, {BIG, 1, 1}, BIG},
    {"odd ones do not descend", {27, 29, 31}, {1, 1, BIG}, BIG + 2},
    {"a step is summed by itself", {0, 32, 33}, {BIG, 1, 1}, BIG + 2},
    {"a step is rounded by itself", {0, 32, 33}, {1, BIG, 1}, BIG},
    {"steps ascend", {0, 32, 64}, {BIG, 1, 1}, BIG},
    {"steps do not descend", {0, 32, 64}, {1, 1, BIG}, BIG + 2},
};

#define N_ORDERS ((int)(sizeof orders / sizeof orders[0]))

static void check_value_order(struct lab_cpu cpu, const struct order *o, int rows)
{
    enum { DIM = 24 };
    struct problem p;
    struct lab lab;
    open_small(&p, rows, DIM);
    for (int i = 0; i < 3; i++)
        lab_put(p.a.v, o->at[i], DIM - 1, o->term[i]);
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    lab_close(&lab);
    for (int r = 0; r < rows; r++) { /* all weights are 1 */
        double sum = ref_value(p.a.out, r, DIM - 1) * SMALL_KEYS;
        if (!(sum == o->expected))
            CHECK_FAIL("%s in row %d of %d: found %a", o->claim, r, rows, sum);
        CHECK_EQ(ref_value(p.a.out, r, 0) == 0, 1);
    }
    close_problem(&p);
}

/* A key whose score is the sum, and one whose score is BIG: 2^-d of what the first counts for. */
static void check_score_order(struct lab_cpu cpu, const struct order *o, int rows)
{
    enum { DIM = 72 };
    struct problem p;
    struct lab lab;
    open_small(&p, rows, DIM);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < 3; i++)
            lab_put(p.a.q, r, o->at[i], o->term[i]);
    for (int i = 0; i < 3; i++) {
        lab_put(p.a.k, 0, o->at[i], 1);
        if (o->term[i] == BIG) lab_put(p.a.k, 1, o->at[i], 1);
    }
    lab_put(p.a.v, 1, 0, 1);
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    lab_close(&lab);
    for (int r = 0; r < rows; r++) {
        double weight = exp2(BIG - o->expected), found = ref_value(p.a.out, r, 0);
        if (!(fabs(found - weight / (1 + weight)) < 1e-6))
            CHECK_FAIL("%s in row %d of %d: found %a", o->claim, r, rows, found);
    }
    close_problem(&p);
}

AMX_TEST(values_and_scores_are_summed_in_the_order_of_the_hardware)
{
    static const int rows[] = {1, 16, 17, 40};
    for (int i = 0; i < N_ORDERS; i++)
        for (int n = 0; n < 4; n++) {
            check_value_order(cpu, &orders[i], rows[n]);
            check_score_order(cpu, &orders[i], rows[n]);
        }
}

/* Two keys: one counts for 1, one for 2^-1/64, which is 0.98923, in bf16 0.98828125. */
AMX_TEST(the_weights_that_are_counted_are_those_that_values_meet)
{
    const double rounded = 0.98828125;
    struct problem p;
    struct lab lab;
    open_small(&p, 1, 16);
    p.span[0] = (struct span){0, 0, 2};
    lab_put(p.a.q, 0, 3, 1);
    lab_put(p.a.k, 1, 3, -1.0 / 64);
    lab_put(p.a.v, 0, 0, 1); /* both keys */
    lab_put(p.a.v, 1, 0, 1);
    lab_put(p.a.v, 1, 1, 1); /* the second */
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    lab_close(&lab);
    CHECK_EQ(ref_value(p.a.out, 0, 0) == 1, 1);
    CHECK(fabs(ref_value(p.a.out, 0, 1) - rounded / (1 + rounded)) < 1e-7);
    close_problem(&p);
}

/* A sum of the third segment becomes -0 where denormal numbers count as zero. A row stops there;
 * its neighbours see more keys, and +0 is added for the row. What the first segment left is so
 * small that the second makes -0 of it. */
AMX_TEST(zeros_lose_their_sign)
{
    enum { SLOTS = 1024 + 128, LAST = 1024 };
    const double least = 0x1p-126;
    struct problem p;
    struct lab lab;
    struct mat together;
    open_problem(&p, (struct shape){40, SLOTS, 1, 1, 16, DT_BF16, DT_F32, DT_BF16}, 1);
    p.a.scale = UNIT;
    for (int r = 0; r < 40; r++) {
        memset(mat_at(p.a.q, r, 0), 0, 16 * sizeof(float));
        lab_put(p.a.q, r, 0, 1);
        p.span[r] = (struct span){0, 0, r == 7 ? LAST + 33 : SLOTS};
    }
    for (int i = 0; i < SLOTS; i++) {
        memset(mat_at(p.a.k, i, 0), 0, 16 * sizeof(uint16_t));
        memset(mat_at(p.a.v, i, 0), 0, 16 * sizeof(uint16_t));
        lab_put(p.a.k, i, 0, i < 512 ? -100 : 0);
    }
    lab_put(p.a.v, 0, 0, -least);
    lab_put(p.a.v, LAST, 0, -1.5 * least);
    lab_put(p.a.v, LAST + 32, 0, least);
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    together = p.a.out;
    p.a.out = output_like(&p);
    for (int r = 0; r < 40; r++) {
        struct attn one = part_of(&p.a, p.a.out, r, 1);
        k_attention(lab.queue, &one);
    }
    CHECK(lab_same(p.a.out, together));
    CHECK(ref_value(together, 7, 0) == 0);
    lab_close(&lab);
    lab_free(together);
    close_problem(&p);
}

TEST(emulated_tiles_give_the_bits_of_the_hardware)
{
    if (!device_has_cpu(VLQA_CPU_AMX)) SKIP("this CPU has no amx");
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct attn a;
        struct lab lab;
        open_problem(&p, shapes[i], 10);
        a = p.a;
        a.out = output_like(&p);
        lab_open(&lab, emulated, 2);
        k_attention(lab.queue, &p.a);
        lab_close(&lab);
        lab_open(&lab, (struct lab_cpu){VLQA_CPU_AMX, NULL, NULL}, 2);
        k_attention(lab.queue, &a);
        lab_close(&lab);
        if (!lab_same(a.out, p.a.out)) CHECK_FAIL("shape %d differs", i);
        lab_free(a.out);
        close_problem(&p);
    }
}

/* The columns of m from the first on that lies on 16 bytes, one element past which lab_mat begins.
 */
static struct mat aligned_cols(struct mat m, int n)
{
    return mat_cols(m, 16 / (int)dtype_size(m.dtype) - 1, n);
}

/* Aligned heads of 64 in bf16: what tensor cores take, which round queries and weights to bf16. */
CPU_TEST(aligned_heads_match_the_definition)
{
    const struct shape shape = {20, 1100, 4, 2, 64, DT_BF16, DT_F32, DT_BF16};
    struct problem p;
    struct lab lab;
    struct mat keys = lab_mat(DT_BF16, shape.slots, 264, 264, 1, 11);
    struct mat q = lab_mat(DT_F32, shape.n, 260, 260, 2, 12);
    struct mat out = lab_mat(DT_F32, shape.n, 260, 260, 0, 13);
    double *ref = lab_alloc((size_t)(shape.n * 256) * sizeof *ref);
    void *work;
    open_problem(&p, shape, 10);
    lab_open(&lab, cpu, 2);
    work = lab_alloc(k_attention_work(lab.device, shape.n, 4, 2, 64, shape.slots) + 1);
    struct attn a = p.a;
    a.work = work;
    a.k = mat_cols(aligned_cols(keys, 256), 0, 128);
    a.v = mat_cols(aligned_cols(keys, 256), 128, 128);
    a.q = aligned_cols(q, 256);
    a.out = aligned_cols(out, 256);
    k_attention(lab.queue, &a);
    ref_attention(ref, &a);
    CHECK_MAT(a.out, ref, 4e-3);
    lab_close(&lab);
    heap_free(work);
    heap_free(ref);
    lab_free(keys);
    lab_free(q);
    lab_free(out);
    close_problem(&p);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
