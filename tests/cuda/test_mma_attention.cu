/* test_mma_attention.cu - attention on tensor cores: against the definition in double,
 * and what may not change a bit. */
#include "tests/cuda/attention_lab.h"

static cudaError_t attend(int dim, const struct mma::attention &a, int segments)
{
    return dim == 64   ? mma::enqueue_attention<64>(nullptr, a, segments)
           : dim == 72 ? mma::enqueue_attention<72>(nullptr, a, segments)
                       : mma::enqueue_attention<128>(nullptr, a, segments);
}

TEST(slots_that_nobody_sees_may_hold_nan)
{
    problem p({9, 400, 2, 1, 72, DT_BF16, DT_F32}, 4);
    for (int i = 0; i < 9; i++)
        p.span.host[(size_t)i] = {10, 340, 350 + i};
    p.span.up();
    p.run(0, 9, false);
    std::vector<uint8_t> clean = p.bits();
    for (int slot = 10; slot < 400; slot = slot == 339 ? 358 : slot + 1)
        for (int d = 0; d < 72; d++) {
            p.k.put(slot, d, NAN);
            p.v.put(slot, d, NAN);
        }
    p.k.bytes.up();
    p.v.bytes.up();
    for (int spread = 0; spread < 2; spread++) {
        p.run(0, 9, spread);
        CHECK(p.bits() == clean);
    }
    CHECK(isfinite(p.out.get(8, 143)));
}

/* Images side by side see themselves alone: a block has rows of many numberings. */
TEST(rows_of_many_numberings_match_the_definition)
{
    problem p({40, 200, 2, 1, 64, DT_F32, DT_F32}, 5);
    for (int i = 0; i < 40; i++)
        p.span.host[(size_t)i] = {i % 3 ? 9 : 0, 10 + i / 8 * 30, 25 + i / 8 * 30 + i % 8};
    p.span.up();
    p.run(0, 40, false);
    double error = lab_distance(p.out, reference(p));
    CHECK(error < BOUND);
    std::vector<uint8_t> whole = p.bits();
    p.out.bytes.spoil();
    for (int i = 0; i < 40; i++)
        p.run(i, 1, i % 2);
    CHECK(p.bits() == whole);
}

/* The entry spreads where blocks are few, and asks for room for that. */
TEST(the_entry_takes_what_it_can_and_stays_within_its_room)
{
    problem p({2, 1100, 4, 2, 64, DT_F32, DT_F32}, 6);
    size_t room = mma::attention_room(2, 4, 2, 64, 1100);
    on_device<uint8_t> work(room + 64);
    struct attn a = {
        p.q.mat(), p.k.mat(), p.v.mat(), p.out.mat(), {p.span.host.data(), p.span.at, 2},
        4,         2,         0.125f,    DT_BF16,     work.at};
    CHECK(mma::takes_attention(&a));
    CHECK_EQ(room, mma::attention_parts(2, 4, 64, 3));
    CHECK_EQ(mma::attention_room(100000, 32, 8, 128, 100000), 0);
    work.spoil();
    CHECK_EQ(mma::enqueue_attention(nullptr, &a), cudaSuccess);
    CHECK(lab_distance(p.out, reference(p)) < BOUND);
    work.down();
    for (size_t i = 0; i < 64; i++)
        CHECK_EQ(work.host[room + i], 0xff);
    a.k.data = (uint16_t *)a.k.data + 4;
    CHECK(!mma::takes_attention(&a));
    a.k = p.k.mat();
    a.v.dtype = DT_F32;
    CHECK(!mma::takes_attention(&a));
}

/* Two blocks fit where an SM has 227 KB, and one where a block may have 99. */
TEST(shared_memory_fits_small_gpus)
{
    CHECK(sizeof(struct mma::attention_shared<128>) <= 99 << 10);
    CHECK(sizeof(struct mma::attention_shared<72>) <= 99 << 10);
}

TEST(large_scores_do_not_overflow)
{
    problem p({6, 130, 1, 1, 64, DT_F32, DT_F32}, 7);
    p.q.fill(3e4f, 7);
    p.run(0, 6, false);
    std::vector<double> expected = reference(p);
    CHECK(lab_distance(p.out, expected) < 2e-2); /* scores near 10^5 have errors of 10^-2 */
}

int main(int argc, char **argv)
{
    return lab_main(argc, argv);
}
