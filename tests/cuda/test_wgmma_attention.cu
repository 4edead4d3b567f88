/* test_wgmma_attention.cu - attention by products of warpgroups: as that of mma_attention.cuh. */
#include "kernels/cuda/wgmma_attention.cuh"
#include "tests/cuda/attention_lab.h"

static cudaError_t attend(int dim, const struct mma::attention &a, int segments)
{
    return dim == 64   ? wg::enqueue_attention<64>(nullptr, a, segments)
           : dim == 72 ? wg::enqueue_attention<72>(nullptr, a, segments)
                       : wg::enqueue_attention<128>(nullptr, a, segments);
}

/* The emulation makes sums of both in the same way, so a difference is one of operands or order.
 * Whether a GPU does is not known: there it is told. */
TEST(bits_are_those_of_products_of_warps)
{
    for (const struct shape &s : shapes) {
        problem p(s, 4);
        std::vector<uint8_t> bits;
        p.out.bytes.spoil();
        p.run(0, s.n, false);
        bits = p.bits();
        p.out.bytes.spoil();
        float scale = mma::to_powers_of_two(1.0f / sqrtf((float)s.dim));
        struct spans spans = {p.span.host.data(), p.span.at, s.n};
        struct mma::attention a = {p.q.mat(), p.k.mat(), p.v.mat(),  p.out.mat(),
                                   spans.at,  nullptr,   s.kv_heads, s.heads / s.kv_heads,
                                   scale};
        int segments = mma::segments_of(spans);
        need(s.dim == 64   ? mma::enqueue_attention<64>(nullptr, a, segments)
             : s.dim == 72 ? mma::enqueue_attention<72>(nullptr, a, segments)
                           : mma::enqueue_attention<128>(nullptr, a, segments),
             "attention");
        bool same = p.bits() == bits;
#ifdef __CUDACC__
        printf("%d rows of %d: %s bits\n", s.n, s.dim, same ? "the same" : "other");
#else
        if (!same) CHECK_FAIL("%d rows of %d differ", s.n, s.dim);
#endif
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
