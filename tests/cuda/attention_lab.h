/* attention_lab.h - problems of attention on tensor cores, their answers in double, and tests that
 * any way of it has to pass. */
#ifndef TESTS_CUDA_ATTENTION_LAB_H
#define TESTS_CUDA_ATTENTION_LAB_H

#include "kernels/cuda/mma_attention.cuh"
#include "tests/cuda/mma_lab.h"

/* The way that a test looks at, for heads of dim values: each defines it. */
static cudaError_t attend(int dim, const struct mma::attention &a, int segments);

struct shape {
    int n, slots, heads, kv_heads, dim;
    enum dtype q, out;
};

/* Rows and heads around those that blocks are cut at, keys around the ends of tiles and segments.
 */
static const struct shape shapes[] = {
    {1, 1, 1, 1, 64, DT_F32, DT_F32},      {33, 200, 6, 2, 64, DT_F32, DT_BF16},
    {70, 130, 2, 2, 72, DT_BF16, DT_BF16}, {17, 65, 8, 1, 128, DT_BF16, DT_F32},
    {5, 64, 64, 1, 64, DT_F32, DT_F32},    {3, 513, 4, 2, 128, DT_F32, DT_BF16},
    {1, 1100, 4, 1, 64, DT_BF16, DT_F32},  {4, 1024, 3, 3, 72, DT_F32, DT_F32},
};

/* Weights and queries are rounded to bf16: 2^-9 each, of sums in which errors mostly cancel. */
#define BOUND 4e-3

struct problem {
    struct shape s;
    lab_matrix q, k, v, out;
    on_device<struct span> span;
    on_device<float> part;
    std::vector<float> read_q; /* as the kernel rounds it */
    problem(struct shape shape, uint64_t seed)
        : s(shape), q(shape.q, shape.n, shape.heads * shape.dim, shape.heads * shape.dim + 8),
          k(DT_BF16, shape.slots, shape.kv_heads * shape.dim, shape.kv_heads * shape.dim + 16),
          v(DT_BF16, shape.slots, shape.kv_heads * shape.dim, shape.kv_heads * shape.dim + 8),
          out(shape.out, shape.n, shape.heads * shape.dim, shape.heads * shape.dim + 8),
          span((size_t)shape.n),
          part(mma::attention_parts(shape.n, shape.heads, shape.dim,
                                    (shape.slots + mma::SEGMENT - 1) / mma::SEGMENT) /
               sizeof(float))
    {
        q.fill(3, seed);
        k.fill(1, seed + 1);
        v.fill(1, seed + 2);
        for (int i = 0; i < s.n; i++) { /* as in tests/kernels/test_attention.c */
            int end = s.slots - s.n + i + 1;
            end = end < 1 ? 1 : end;
            span.host[(size_t)i] = {0, 0, end};
            if (i % 3 == 1) span.host[(size_t)i] = {end / 5, end - end / 3 - 1, end};
            if (i % 3 == 2 && i % 2) span.host[(size_t)i] = {end, 0, 0};
        }
        span.up();
    }
    /* Rows [row, row + n); spread: each segment has blocks of its own. */
    void run(int row, int n, bool spread)
    {
        float scale = mma::to_powers_of_two(1.0f / sqrtf((float)s.dim));
        struct spans spans = {span.host.data() + row, span.at + row, n};
        struct mma::attention a = {mat_rows(q.mat(), row, n),
                                   k.mat(),
                                   v.mat(),
                                   mat_rows(out.mat(), row, n),
                                   spans.at,
                                   spread ? part.at : nullptr,
                                   s.kv_heads,
                                   s.heads / s.kv_heads,
                                   scale};
        int segments = mma::segments_of(spans);
        need(attend(s.dim, a, segments), "attention");
    }
    std::vector<uint8_t> bits()
    {
        out.bytes.down();
        return out.bytes.host;
    }
};

static inline bool sees(struct span s, int slot)
{
    return slot < s.head_end || (slot >= s.tail_begin && slot < s.tail_end);
}

static void reference_row(problem &p, int row, int head, double *out)
{
    int dim = p.s.dim, kv = head / (p.s.heads / p.s.kv_heads);
    std::vector<double> score((size_t)p.s.slots);
    double top = -1e300, all = 0;
    for (int slot = 0; slot < p.s.slots; slot++) {
        double dot = 0;
        if (!sees(p.span.host[(size_t)row], slot)) continue;
        for (int d = 0; d < dim; d++)
            dot += bf16_to_f32(f32_to_bf16((float)p.q.get(row, head * dim + d))) *
                   p.k.get(slot, kv * dim + d);
        score[(size_t)slot] = dot / sqrt((double)dim);
        top = score[(size_t)slot] > top ? score[(size_t)slot] : top;
    }
    for (int d = 0; d < dim; d++)
        out[d] = 0;
    for (int slot = 0; slot < p.s.slots; slot++) {
        if (!sees(p.span.host[(size_t)row], slot)) continue;
        double w = exp(score[(size_t)slot] - top);
        all += w;
        for (int d = 0; d < dim; d++)
            out[d] += w * p.v.get(slot, kv * dim + d);
    }
    for (int d = 0; d < dim; d++)
        out[d] /= all;
}

static std::vector<double> reference(problem &p)
{
    std::vector<double> out((size_t)(p.s.n * p.s.heads * p.s.dim));
    for (int row = 0; row < p.s.n; row++)
        for (int head = 0; head < p.s.heads; head++)
            reference_row(p, row, head, &out[(size_t)((row * p.s.heads + head) * p.s.dim)]);
    return out;
}

TEST(attention_matches_the_definition)
{
    for (const struct shape &s : shapes) {
        problem p(s, 1);
        std::vector<double> expected = reference(p);
        for (int spread = 0; spread < 2; spread++) {
            p.out.bytes.spoil();
            p.run(0, s.n, spread);
            double error = lab_distance(p.out, expected);
            if (!(error < BOUND)) CHECK_FAIL("%d rows of %d: %g", s.n, s.dim, error);
        }
    }
}

TEST(neither_the_cut_nor_the_spread_changes_a_bit)
{
    static const int step[] = {1, 7, 16, 64};
    for (const struct shape &s : shapes) {
        problem p(s, 2);
        p.out.bytes.spoil();
        p.run(0, s.n, false);
        std::vector<uint8_t> whole = p.bits();
        for (int i = 0; i < 4; i++) {
            p.out.bytes.spoil();
            for (int row = 0; row < s.n; row += step[i])
                p.run(row, s.n - row < step[i] ? s.n - row : step[i], i % 2 == 0);
            if (p.bits() != whole) CHECK_FAIL("calls of %d rows of %d differ", step[i], s.dim);
        }
    }
}

/* Rows see the same keys in the same order: together, with gaps, in other slots. Their block also
 * has rows that number their keys in other ways. */
TEST(the_place_of_slots_does_not_change_a_bit)
{
    static const struct span span[] = {{0, 0, 600},    {600, 0, 0},    {100, 100, 600},
                                       {37, 300, 863}, {37, 290, 853}, {580, 900, 920}};
    problem p({6, 1000, 2, 1, 64, DT_F32, DT_F32}, 3);
    lab_matrix keys(DT_BF16, 600, 64, 64), values(DT_BF16, 600, 64, 64);
    std::vector<uint8_t> first;
    keys.fill(1, 8);
    values.fill(1, 9);
    for (int i = 1; i < 5; i++)
        p.q.copy_row(i, p.q, 0);
    p.q.bytes.up();
    for (int i = 0; i < 5; i++) {
        for (int row = 0; row < 6; row++) /* row i is asked */
            p.span.host[(size_t)row] = row == i ? span[i] : span[(row + 1) % 6];
        p.k.fill(1, 20);
        p.v.fill(1, 21);
        for (int key = 0; key < 600; key++) {
            int head = span[i].head_end, slot = key < head ? key : span[i].tail_begin + key - head;
            p.k.copy_row(slot, keys, key);
            p.v.copy_row(slot, values, key);
        }
        p.span.up();
        p.k.bytes.up();
        p.v.bytes.up();
        for (int spread = 0; spread < 2; spread++) {
            p.run(0, 6, spread);
            p.out.bytes.down();
            const uint8_t *row = (const uint8_t *)mat_at(p.out.on_host(), i, 0);
            std::vector<uint8_t> bits(row, row + 128 * sizeof(float));
            if (first.empty()) first = bits;
            if (bits != first) CHECK_FAIL("row %d differs", i);
        }
    }
}

#endif
