/* test_mma_score.cu - scores of slots on tensor cores: against the definition in double,
 * and what may not change a bit. */
#include "kernels/cuda/mma_score.cuh"
#include "tests/cuda/mma_lab.h"

struct shape {
    int n, slots, heads, kv_heads, dim;
    enum dtype q;
};

/* Sizes around those that slots, rows and segments are cut at. */
static const struct shape shapes[] = {
    {1, 1, 1, 1, 64, DT_F32},   {5, 65, 6, 2, 72, DT_BF16},  {2, 64, 4, 2, 128, DT_F32},
    {70, 90, 2, 1, 64, DT_F32}, {2, 1030, 3, 1, 64, DT_F32},
};

/* Queries that are rounded alike leave some ten roundings of 2^-24, of scores near 10. */
#define BOUND (LAB_HARDWARE * 4e-6)

/* Of 3 values, 3 ways over heads, 2 over rows. */
#define N_KINDS 18
static void set_kind(struct score *s, int kind)
{
    s->value = (enum score_value)(kind % 3);
    s->over_heads = (enum score_heads)(kind / 3 % 3);
    s->over_rows = (enum score_rows)(kind / 9);
}

struct problem {
    struct shape shape;
    lab_matrix q, k, v, out;
    on_device<struct span> span;
    on_device<uint8_t> work;
    struct score s;
    problem(struct shape sh, uint64_t seed)
        : shape(sh), q(sh.q, sh.n, sh.heads * sh.dim, sh.heads * sh.dim + 8),
          k(DT_BF16, sh.slots, sh.kv_heads * sh.dim, sh.kv_heads * sh.dim + 16),
          v(DT_BF16, sh.slots, sh.kv_heads * sh.dim, sh.kv_heads * sh.dim + 8),
          out(DT_F32, 1, sh.slots, sh.slots), span((size_t)sh.n),
          work(mma::score_room(sh.n, sh.heads, sh.slots))
    {
        q.fill(3, seed);
        k.fill(1, seed + 1);
        v.fill(1, seed + 2);
        for (int i = 0; i < sh.n; i++) { /* as in tests/kernels/test_score.c */
            int end = sh.slots - sh.n + i + 1;
            end = end < 1 ? 1 : end;
            span.host[(size_t)i] = {0, 0, end};
            if (i % 3 == 1) span.host[(size_t)i] = {end / 5, end - end / 3 - 1, end};
            if (i % 3 == 2) span.host[(size_t)i] = {end - end / 4, 0, 0};
        }
        s = {};
        s.q = q.mat(), s.k = k.mat(), s.v = v.mat(), s.out = out.mat();
        s.heads = sh.heads, s.kv_heads = sh.kv_heads;
        s.scale = 1.0f / sqrtf((float)sh.dim);
        s.products = DT_BF16;
        s.work = work.at;
        see();
    }
    void see()
    {
        span.up();
        s.span = {span.host.data(), span.at, shape.n};
    }
    void run(int kind, float before = 0)
    {
        set_kind(&s, kind);
        for (int i = 0; i < shape.slots; i++)
            out.put(0, i, before);
        out.bytes.up();
        work.spoil();
        need(mma::enqueue_score(nullptr, &s), "score");
        out.bytes.down();
    }
};

/* Weights of a row and head, and their logarithms; those of slots that it does not see are 0. */
static std::vector<double> weights_of(problem &p, int row, int head, std::vector<double> *log_of)
{
    int dim = p.shape.dim, kv = head / (p.shape.heads / p.shape.kv_heads);
    std::vector<double> w((size_t)p.shape.slots, 0);
    double top = -1e300, all = 0;
    log_of->assign(w.size(), -1e300);
    for (size_t slot = 0; slot < w.size(); slot++) {
        double dot = 0;
        if (!mma::sees(p.span.host[(size_t)row], (int)slot)) continue;
        for (int d = 0; d < dim; d++)
            dot += bf16_to_f32(f32_to_bf16((float)p.q.get(row, head * dim + d))) *
                   p.k.get((int)slot, kv * dim + d);
        (*log_of)[slot] = dot * p.s.scale;
        top = (*log_of)[slot] > top ? (*log_of)[slot] : top;
    }
    for (double l : *log_of)
        all += exp(l - top);
    for (size_t slot = 0; slot < w.size(); slot++) {
        (*log_of)[slot] -= top + log(all);
        w[slot] = exp((*log_of)[slot]);
    }
    return w;
}

static double norm_of(problem &p, int slot, int kv)
{
    double sum = 0;
    for (int d = 0; d < p.shape.dim; d++) {
        double x = p.v.get(slot, kv * p.shape.dim + d);
        sum += x * x;
    }
    return sqrt(sum);
}

static void reference_row(problem &p, int row, std::vector<double> *sum)
{
    std::vector<double> joint(sum->size(), 0), log_of;
    for (int head = 0; head < p.shape.heads; head++) {
        std::vector<double> w = weights_of(p, row, head, &log_of);
        for (size_t i = 0; i < w.size(); i++) {
            double v = w[i];
            if (v > 0 && p.s.value == SCORE_ENTROPY) v *= -log_of[i];
            if (v > 0 && p.s.value == SCORE_VALUE)
                v *= norm_of(p, (int)i, head / (p.shape.heads / p.shape.kv_heads));
            if (p.s.over_heads == SCORE_HEADS_MAX)
                joint[i] = v > joint[i] ? v : joint[i];
            else
                joint[i] += p.s.over_heads == SCORE_HEADS_L2 ? v * v : v;
        }
    }
    for (size_t i = 0; i < joint.size(); i++) {
        double v = p.s.over_heads == SCORE_HEADS_L2 ? sqrt(joint[i]) : joint[i];
        (*sum)[i] += p.s.over_rows == SCORE_ROWS_L2 ? v * v : v;
    }
}

static std::vector<double> reference(problem &p)
{
    std::vector<double> sum((size_t)p.shape.slots, 0);
    for (int row = 0; row < p.shape.n; row++)
        reference_row(p, row, &sum);
    for (double &x : sum)
        x = p.s.over_rows == SCORE_ROWS_L2 ? sqrt(x) : x;
    return sum;
}

TEST(scores_match_the_definition)
{
    for (const struct shape &s : shapes) {
        problem p(s, 1);
        CHECK(mma::takes_score(&p.s));
        for (int kind = 0; kind < N_KINDS; kind++) {
            if (s.slots > 1000 && kind % 7) continue;
            p.run(kind);
            double error = lab_distance(p.out, reference(p));
            if (!(error < BOUND)) CHECK_FAIL("%d rows of %d, kind %d: %g", s.n, s.dim, kind, error);
        }
    }
}

TEST(a_score_is_added_to_what_is_there)
{
    problem p({7, 90, 4, 2, 64, DT_BF16}, 2);
    p.run(0);
    std::vector<float> once(90);
    memcpy(once.data(), p.out.bytes.host.data(), 90 * sizeof(float));
    p.run(0, 0.5f);
    for (int i = 0; i < 90; i++)
        CHECK(p.out.get(0, i) == once[(size_t)i] + 0.5f);
}

TEST(weights_of_a_row_and_head_sum_to_one)
{
    for (const struct shape &s : shapes) {
        problem p(s, 3);
        double sum = 0;
        p.run(0);
        for (int i = 0; i < s.slots; i++)
            sum += p.out.get(0, i);
        CHECK(fabs(sum / (s.n * s.heads) - 1) < BOUND);
    }
}

/* The same keys, with and without a gap: each has the score that it has elsewhere. */
TEST(the_place_of_slots_does_not_change_a_bit)
{
    static const struct span span[] = {{0, 0, 600}, {37, 300, 863}, {580, 900, 920}};
    lab_matrix keys(DT_BF16, 600, 64, 64), values(DT_BF16, 600, 64, 64);
    keys.fill(1, 8);
    values.fill(1, 9);
    for (int kind = 0; kind < N_KINDS; kind += 5) {
        problem p({3, 1000, 2, 1, 64, DT_F32}, 4);
        std::vector<double> first;
        for (int i = 0; i < 3; i++) {
            std::vector<double> found;
            p.k.fill(1, 20);
            p.v.fill(1, 21);
            for (int key = 0; key < 600; key++) {
                int head = span[i].head_end;
                int slot = key < head ? key : span[i].tail_begin + key - head;
                p.k.copy_row(slot, keys, key);
                p.v.copy_row(slot, values, key);
            }
            p.k.bytes.up();
            p.v.bytes.up();
            p.span.host.assign(3, span[i]);
            p.see();
            p.run(kind);
            for (int slot = 0; slot < 1000; slot++)
                if (mma::sees(span[i], slot))
                    found.push_back(p.out.get(0, slot));
                else
                    CHECK(p.out.get(0, slot) == 0);
            if (first.empty()) first = found;
            CHECK(found == first);
        }
    }
}

TEST(slots_that_nobody_sees_are_0_and_may_hold_nan)
{
    problem p({9, 700, 4, 2, 72, DT_BF16}, 5);
    for (int i = 0; i < 9; i++)
        p.span.host[(size_t)i] = {10, 590, 600 + i};
    p.see();
    for (int kind = 0; kind < N_KINDS; kind += 4) {
        p.k.fill(1, 30);
        p.v.fill(1, 31);
        p.run(kind);
        std::vector<uint8_t> clean = p.out.bytes.host;
        for (int slot = 10; slot < 700; slot = slot == 589 ? 608 : slot + 1)
            for (int d = 0; d < 144; d++) {
                p.k.put(slot, d, NAN);
                p.v.put(slot, d, NAN);
            }
        p.k.bytes.up();
        p.v.bytes.up();
        p.run(kind);
        CHECK(p.out.bytes.host == clean);
        CHECK(p.out.get(0, 10) == 0 && p.out.get(0, 699) == 0 && isfinite(p.out.get(0, 600)));
    }
}

/* A weight that underflows has no entropy: no 0 * infinity. */
TEST(vanishing_weights_count_for_nothing)
{
    problem p({4, 130, 2, 1, 64, DT_F32}, 6);
    p.s.scale = 1e4f;
    for (int kind = 0; kind < N_KINDS; kind++) {
        int zeros = 0;
        p.run(kind);
        for (int i = 0; i < 130; i++) {
            CHECK(isfinite(p.out.get(0, i)));
            zeros += p.out.get(0, i) == 0;
        }
        CHECK(zeros > 100);
    }
}

int main(int argc, char **argv)
{
    return lab_main(argc, argv);
}
