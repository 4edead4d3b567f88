/* test_mma_gemv.cu - products of few rows on tensor cores: against double, and a row
 * alone. */
#include "tests/cuda/weight_lab.h"

/* Rows around those of a product, outputs and inputs around those of blocks, pieces and the ring.
 */
static const struct shape shapes[] = {
    {WEIGHT_BF16, 1, 16, 8, DT_F32, false},    {WEIGHT_BF16, 16, 40, 1096, DT_F32, true},
    {WEIGHT_BF16, 8, 17, 64, DT_BF16, false},  {WEIGHT_BF16, 9, 33, 584, DT_F32, false},
    {WEIGHT_INT8, 1, 16, 16, DT_F32, true},    {WEIGHT_INT8, 16, 40, 1168, DT_F32, false},
    {WEIGHT_INT8, 3, 31, 1024, DT_BF16, true}, {WEIGHT_INT4, 1, 16, 32, DT_F32, false},
    {WEIGHT_INT4, 13, 40, 1184, DT_F32, true}, {WEIGHT_INT4, 2, 20, 160, DT_BF16, false},
    {WEIGHT_FP8, 1, 16, 16, DT_F32, true},     {WEIGHT_FP8, 16, 40, 1168, DT_F32, false},
    {WEIGHT_FP8, 9, 31, 1024, DT_BF16, true},
};

static std::vector<double> reference(problem &p)
{
    std::vector<double> out((size_t)(p.s.n * p.s.outputs));
    for (int row = 0; row < p.s.n; row++)
        for (int o = 0; o < p.s.outputs; o++)
            out[(size_t)(row * p.s.outputs + o)] = p.sum(row, o);
    return out;
}

TEST(products_match_the_definition)
{
    for (const struct shape &s : shapes) {
        problem p(s, 1);
        struct mma::gemv a = p.rows(0, s.n);
        CHECK(mma::takes_gemv(&a));
        p.run_few(0, s.n);
        double error = lab_distance(p.y, reference(p));
        if (!(error < bound_of(s)))
            CHECK_FAIL("format %d, %d x %d: %g", s.format, s.outputs, s.inputs, error);
    }
}

TEST(a_row_alone_equals_the_row_among_many)
{
    for (const struct shape &s : shapes) {
        problem p(s, 2);
        p.run_few(0, s.n);
        p.y.bytes.down();
        std::vector<uint8_t> whole = p.y.bytes.host;
        for (int step = 1; step < 8; step += 4) {
            p.y.bytes.spoil();
            for (int row = 0; row < s.n; row += step)
                p.run_few(row, s.n - row < step ? s.n - row : step);
            p.y.bytes.down();
            if (p.y.bytes.host != whole) CHECK_FAIL("calls of %d rows differ", step);
        }
    }
}

/* Three products of the first one's x, of outputs around a block; alone, at once, and added. */
static void check_list(enum weight_format format, int rows)
{
    problem p[] = {{{format, rows, 40, 160, DT_F32, true}, 1},
                   {{format, rows, 16, 160, DT_F32, false}, 2},
                   {{format, rows, 33, 160, DT_F32, false}, 3}};
    struct mma::gemv a[3];
    std::vector<uint8_t> alone[3], sum[3];
    for (int i = 0; i < 3; i++) {
        a[i] = p[i].rows(0, rows);
        a[i].x = a[0].x;
        need(mma::enqueue_gemv(nullptr, &a[i], 1), "a product");
        p[i].y.bytes.down();
        alone[i] = p[i].y.bytes.host;
        p[i].y.bytes.spoil();
    }
    for (int adds = 0; adds < 2; adds++) {
        for (int i = 0; i < 3; i++) {
            if (adds) sum[i] = p[i].begin_sum(alone[i]);
            a[i].adds = adds;
        }
        need(mma::enqueue_gemv(nullptr, a, 3), "a list");
        for (int i = 0; i < 3; i++) {
            p[i].y.bytes.down();
            if (p[i].y.bytes.host != (adds ? sum[i] : alone[i]))
                CHECK_FAIL("format %d, %d rows, product %d, added %d", format, rows, i, adds);
        }
    }
}

TEST(a_list_has_the_bits_of_its_products_and_sums)
{
    for (enum weight_format format : {WEIGHT_BF16, WEIGHT_INT8, WEIGHT_INT4})
        for (int rows : {1, 11})
            check_list(format, rows);
}

TEST(nothing_outside_of_the_view_is_written)
{
    for (const struct shape &s : shapes) {
        problem p(s, 3);
        p.run_few(0, s.n);
        p.y.bytes.down();
        CHECK_EQ(p.written_outside(), 0);
    }
}

TEST(a_row_that_is_not_finite_reaches_no_other_row)
{
    problem p({WEIGHT_BF16, 8, 16, 72, DT_F32, false}, 4);
    p.x.put(3, 70, NAN);
    p.x.bytes.up();
    p.run_few(0, 8);
    p.y.bytes.down();
    for (int row = 0; row < 8; row++)
        CHECK_EQ(isfinite(p.y.get(row, 5)) != 0, row != 3);
}

TEST(odd_shapes_are_left_to_others)
{
    problem p({WEIGHT_BF16, 16, 16, 64, DT_F32, false}, 5);
    struct mma::gemv a = p.rows(0, 16);
    a.w.cols = 60;
    CHECK(!mma::takes_gemv(&a));
    a = p.rows(0, 16);
    a.x.rows = 17;
    CHECK(!mma::takes_gemv(&a));
    a = p.rows(0, 16);
    a.x.dtype = DT_F32;
    CHECK(!mma::takes_gemv(&a));
    a = p.rows(0, 16);
    a.w.format = WEIGHT_F16;
    CHECK(!mma::takes_gemv(&a));
}

int main(int argc, char **argv)
{
    return lab_main(argc, argv);
}
