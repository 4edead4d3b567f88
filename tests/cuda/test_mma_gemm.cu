/* test_mma_gemm.cu - products of many rows on tensor cores: against double, a row alone,
 * and the product of few rows. */
#include "kernels/cuda/mma_gemm.cuh"
#include "tests/cuda/weight_lab.h"

/* Rows and outputs around those of warps and blocks, inputs around those of tiles and the ring. */
static const struct shape shapes[] = {
    {WEIGHT_BF16, 1, 16, 8, DT_F32, false},     {WEIGHT_BF16, 70, 150, 200, DT_F32, true},
    {WEIGHT_BF16, 130, 70, 96, DT_BF16, false}, {WEIGHT_INT8, 17, 31, 48, DT_F32, true},
    {WEIGHT_INT8, 129, 66, 176, DT_F32, false}, {WEIGHT_INT4, 3, 20, 32, DT_BF16, false},
    {WEIGHT_INT4, 66, 140, 160, DT_F32, true},  {WEIGHT_FP8, 17, 31, 48, DT_F32, true},
    {WEIGHT_FP8, 129, 66, 304, DT_F32, false},  {WEIGHT_FP8, 3, 150, 256, DT_BF16, true},
};

static struct mma::gemm many_of(const problem &p, int row, int n, enum act act)
{
    return {p.rows(row, n), act};
}

static void run(problem &p, int row, int n, enum act act = ACT_NONE)
{
    need(mma::enqueue_gemm(nullptr, many_of(p, row, n, act)), "product of many rows");
}

static double acted(double x, enum act act)
{
    if (act == ACT_GELU_TANH)
        return 0.5 * x * (1 + tanh(0.797884560802865 * (x + 0.044715 * x * x * x)));
    return act == ACT_GELU_ERF ? 0.5 * x * (1 + erf(x * sqrt(0.5))) : x;
}

static std::vector<double> reference(problem &p, enum act act)
{
    std::vector<double> out((size_t)(p.s.n * p.s.outputs));
    for (int row = 0; row < p.s.n; row++)
        for (int o = 0; o < p.s.outputs; o++)
            out[(size_t)(row * p.s.outputs + o)] = acted(p.sum(row, o), act);
    return out;
}

static void check_products(enum act act)
{
    for (const struct shape &s : shapes) {
        problem p(s, 1);
        struct mma::gemm a = many_of(p, 0, s.n, act);
        CHECK(mma::takes_gemm(&a));
        run(p, 0, s.n, act);
        double error = lab_distance(p.y, reference(p, act));
        if (!(error < bound_of(s)))
            CHECK_FAIL("format %d, %d x %d: %g", s.format, s.outputs, s.inputs, error);
    }
}

TEST(products_match_the_definition)
{
    check_products(ACT_NONE);
}

TEST(products_with_activations_match_the_definition)
{
    check_products(ACT_GELU_TANH);
    check_products(ACT_GELU_ERF);
}

TEST(a_row_alone_equals_the_row_among_many)
{
    for (const struct shape &s : shapes) {
        problem p(s, 2);
        run(p, 0, s.n);
        p.y.bytes.down();
        std::vector<uint8_t> whole = p.y.bytes.host;
        for (int step : {1, 31, 65}) {
            p.y.bytes.spoil();
            for (int row = step == 1 ? s.n - 1 : 0; row < s.n; row += step)
                run(p, row, s.n - row < step ? s.n - row : step);
            p.y.bytes.down();
            size_t from = step == 1 ? (size_t)(s.n - 1) * (whole.size() / (size_t)s.n) : 0;
            if (memcmp(&p.y.bytes.host[from], &whole[from], whole.size() - from))
                CHECK_FAIL("calls of %d rows differ", step);
        }
    }
}

/* The same products and sums, in the same order, but that zeros may be added at the end. */
TEST(many_rows_equal_few_rows)
{
    for (const struct shape &s : shapes) {
        problem p(s, 3);
        run(p, 0, s.n);
        p.y.bytes.down();
        std::vector<uint8_t> many = p.y.bytes.host;
        p.y.bytes.spoil();
        for (int row = 0; row < s.n; row += mma::MOST_ROWS)
            p.run_few(row, s.n - row < mma::MOST_ROWS ? s.n - row : mma::MOST_ROWS);
        p.y.bytes.down();
        CHECK(p.y.bytes.host == many);
    }
}

TEST(nothing_outside_of_the_view_is_written)
{
    for (const struct shape &s : shapes) {
        problem p(s, 4);
        run(p, 0, s.n);
        p.y.bytes.down();
        CHECK_EQ(p.written_outside(), 0);
    }
}

TEST(a_row_that_is_not_finite_reaches_no_other_row)
{
    problem p({WEIGHT_BF16, 70, 20, 72, DT_F32, false}, 5);
    p.x.put(33, 70, NAN);
    p.x.bytes.up();
    run(p, 0, 70);
    p.y.bytes.down();
    for (int row = 0; row < 70; row++)
        CHECK_EQ(isfinite(p.y.get(row, 5)) != 0, row != 33);
}

int main(int argc, char **argv)
{
    return lab_main(argc, argv);
}
