/* test_lt_plans.cu - which algorithms of an emulated cuBLASLt are chosen: those whose rows do not
 * notice each other, however it proposes them. */
#include "kernels/cuda/lt_plans.cuh"
#include "tests/cuda/emu_lt.cu"
#include "tests/cuda/mma_lab.h"

static void *alloc_zero(size_t bytes)
{
    return calloc(1, bytes);
}

static const struct cuda_host host = {alloc_zero, free,    nullptr, nullptr, nullptr,
                                      nullptr,    nullptr, nullptr, nullptr};

/* Long sums, so that another order has other bits; rows over both buckets of the emulation. */
static const struct lt::kind kinds[] = {{40, 168, false}, {24, 200, false}, {36, 1024, true}};

struct problem {
    struct lt::kind kind;
    struct lt::plans plans = {};
    lab_matrix w, x, y;
    on_device<float> bias;
    on_device<uint8_t> room;
    problem(struct lt::kind k, int rows)
        : kind(k), w(DT_BF16, k.outputs, k.inputs, k.inputs),
          x(DT_BF16, rows, k.inputs, k.inputs + 8), y(DT_F32, rows, k.outputs, k.outputs + 8),
          bias((size_t)k.outputs), room(lt::proof_room_of(nullptr, k).bytes)
    {
        plans.library = library();
        w.fill(1, 1);
        x.fill(1, 2);
        for (int o = 0; o < k.outputs; o++)
            bias.host[(size_t)o] = (float)o / 8;
        bias.up();
        y.bytes.spoil();
    }
    ~problem()
    {
        lt::plans_close(&host, &plans);
    }
    static struct lt::library *library()
    {
        char why[512];
        struct lt::library *l = lt::open(&host, why);
        if (!l) abort();
        return l;
    }
    struct weight weight() const
    {
        return {WEIGHT_BF16, kind.outputs, kind.inputs, w.bytes.at};
    }
    cudaError_t choose()
    {
        return lt::plan_add(&plans, kind, weight(), room.at);
    }
    struct lt::product product(int row, int n) const
    {
        return {mat_rows(y.mat(), row, n), mat_rows(x.mat(), row, n), weight(),
                kind.has_bias ? bias.at : nullptr, false};
    }
    void run(int row, int n)
    {
        struct lt::product p = product(row, n);
        if (!lt::takes(&p)) abort();
        if (lt::multiply(&plans, &plans.of[0], &p, nullptr) != cudaSuccess) abort();
    }
};

static std::vector<double> reference(problem &p)
{
    std::vector<double> out((size_t)(p.x.rows * p.kind.outputs));
    for (int row = 0; row < p.x.rows; row++)
        for (int o = 0; o < p.kind.outputs; o++) {
            double sum = p.kind.has_bias ? p.bias.host[(size_t)o] : 0;
            for (int k = 0; k < p.kind.inputs; k++)
                sum += p.x.get(row, k) * p.w.get(o, k);
            out[(size_t)(row * p.kind.outputs + o)] = sum;
        }
    return out;
}

TEST(only_algorithms_whose_rows_are_alone_are_chosen)
{
    for (const struct lt::kind &k : kinds) {
        problem p(k, 1);
        REQUIRE(p.choose() == cudaSuccess);
        const struct lt::plan *plan = lt::plan_of(&p.plans, k);
        REQUIRE(plan);
        CHECK_EQ(plan->buckets, 2);
        CHECK_EQ((int)plan->algo[1].data[0], lt::EMU_ASCENDING);
        CHECK_EQ((int)plan->algo[0].data[0], /* proposed before that */
                 k.outputs == lt::EMU_OUTPUTS_FROM_Y ? lt::EMU_FROM_Y : lt::EMU_SAME_BITS);
    }
}

/* Not where a sum begins with y, and not where y is added before the bias. */
TEST(only_algorithms_that_add_as_sums_do_are_asked_to)
{
    for (const struct lt::kind &k : kinds) {
        problem p(k, 70);
        REQUIRE(p.choose() == cudaSuccess);
        const struct lt::plan *plan = lt::plan_of(&p.plans, k);
        REQUIRE(plan);
        CHECK_EQ(plan->adds, !k.has_bias && k.outputs != lt::EMU_OUTPUTS_FROM_Y);
        if (!plan->adds) continue;
        p.run(0, 70);
        p.y.bytes.down();
        std::vector<uint8_t> product = p.y.bytes.host;
        p.y.fill(3, 7);
        lab_matrix before(DT_F32, 70, k.outputs, k.outputs + 8);
        before.bytes.host = p.y.bytes.host;
        struct lt::product a = p.product(0, 70);
        a.adds = true;
        REQUIRE(lt::multiply(&p.plans, plan, &a, nullptr) == cudaSuccess);
        p.y.bytes.down();
        for (int row = 0; row < 70; row++)
            for (int o = 0; o < k.outputs; o++) {
                float of_product;
                size_t at = ((size_t)row * (size_t)p.y.stride + (size_t)o) * sizeof of_product;
                memcpy(&of_product, &product[at], sizeof of_product);
                CHECK_EQ((float)p.y.get(row, o) == (float)before.get(row, o) + of_product, 1);
            }
    }
}

TEST(a_row_alone_equals_the_row_among_many)
{
    for (const struct lt::kind &k : kinds) {
        problem p(k, 150);
        REQUIRE(p.choose() == cudaSuccess);
        p.run(0, 150);
        p.y.bytes.down();
        std::vector<uint8_t> whole = p.y.bytes.host;
        for (int step : {1, 16, 17, 64, 65}) {
            p.y.bytes.spoil();
            for (int row = 0; row < 150; row += step)
                p.run(row, 150 - row < step ? 150 - row : step);
            p.y.bytes.down();
            if (p.y.bytes.host != whole) CHECK_FAIL("calls of %d rows differ", step);
        }
    }
}

TEST(products_match_the_definition)
{
    for (const struct lt::kind &k : kinds) {
        problem p(k, 70);
        REQUIRE(p.choose() == cudaSuccess);
        p.run(0, 70);
        double error = lab_distance(p.y, reference(p));
        if (!(error < 1e-6)) CHECK_FAIL("%d outputs: %g", k.outputs, error);
    }
}

/* The weight, the kind and what was chosen are all that the hash knows. */
TEST(the_hash_tells_plans_apart)
{
    problem p(kinds[0], 1), again(kinds[0], 1), other(kinds[1], 1);
    REQUIRE(p.choose() == cudaSuccess && again.choose() == cudaSuccess);
    REQUIRE(other.choose() == cudaSuccess);
    CHECK(p.plans.hash == again.plans.hash);
    CHECK(p.plans.hash != other.plans.hash);
    CHECK(!lt::plan_of(&p.plans, kinds[1]));
}

TEST(an_error_of_the_gpu_is_returned)
{
    for (long n = 0; n < 30; n += 7) {
        problem p(kinds[0], 1);
        stub::m.fail_work = n;
        CHECK(p.choose() != cudaSuccess);
        CHECK_EQ(p.plans.n, 0);
        stub::m.fail_work = -1;
        stub::m.sticky = cudaSuccess;
    }
}

TEST(odd_operands_are_left_to_others)
{
    problem p(kinds[0], 16);
    struct lt::product a = p.product(0, 16);
    CHECK(lt::takes(&a));
    a.y.dtype = DT_BF16;
    CHECK(!lt::takes(&a)); /* another order could not be told */
    a = p.product(0, 16);
    a.w.format = WEIGHT_F16;
    CHECK(!lt::takes(&a));
    a = p.product(0, 16);
    a.x.stride += 4;
    CHECK(!lt::takes(&a));
    a = p.product(0, 16);
    a.y.data = (uint8_t *)a.y.data + 4;
    CHECK(!lt::takes(&a));
}

TEST(a_library_that_is_missing_is_named)
{
    char why[512] = "";
    lt::emu_miss(true);
    CHECK(!lt::open(&host, why));
    lt::emu_miss(false);
    CHECK_HAS(why, "libcublasLt");
}

int main(int argc, char **argv)
{
    emu::read_order();
    return check_main(argc, argv);
}
