/* test_score.c - what rows attend to, by slot, against the definition; and what may not matter. */
#include "tests/kernels/lab.h"

struct shape {
    int n, slots, heads, kv_heads, dim;
    enum dtype kv;
};

struct problem {
    struct score s;
    struct mat keys_values; /* K and V side by side, so that their stride is wide */
    struct span *span;
};

static struct mat new_out(int slots)
{
    return lab_mat(DT_F32, 1, slots, slots, 0, 1);
}

/* Rows see the last slots causally; every third has a gap, every third no tail. */
static void open_problem(struct problem *p, struct shape s, uint64_t seed)
{
    const struct device plain = {.op = &cpu_ops_plain};
    int width = s.kv_heads * s.dim;
    *p = (struct problem){0};
    p->keys_values = lab_mat(s.kv, s.slots, 2 * width + 3, 2 * width + 3, 1, seed);
    p->span = lab_alloc((size_t)s.n * sizeof *p->span);
    p->s.q = lab_mat(DT_F32, s.n, s.heads * s.dim, s.heads * s.dim + 1, 3, seed + 1);
    p->s.k = mat_cols(p->keys_values, 1, width);
    p->s.v = mat_cols(p->keys_values, width + 2, width);
    p->s.span = lab_spans(p->span, s.n);
    p->s.heads = s.heads;
    p->s.kv_heads = s.kv_heads;
    p->s.scale = 1.0f / sqrtf((float)s.dim);
    p->s.out = new_out(s.slots);
    p->s.work = lab_alloc(k_score_work(&plain, s.n, s.heads, s.slots));
    for (int i = 0; i < s.n; i++) {
        int end = s.slots - s.n + i + 1;
        end = end < 1 ? 1 : end;
        p->span[i] = (struct span){0, 0, end};
        if (i % 3 == 1) p->span[i] = (struct span){end / 5, end - end / 3 - 1, end};
        if (i % 3 == 2) p->span[i] = (struct span){end - end / 4, 0, 0};
    }
}

static void close_problem(struct problem *p)
{
    lab_free(p->keys_values);
    lab_free(p->s.q);
    lab_free(p->s.out);
    heap_free(p->s.work);
    heap_free(p->span);
}

/* Sizes around those that an implementation may cut slots, rows and heads at. */
static const struct shape shapes[] = {
    {1, 1, 1, 1, 8, DT_F32},      {3, 63, 2, 1, 17, DT_F32},    {2, 64, 4, 2, 64, DT_BF16},
    {5, 65, 6, 2, 72, DT_BF16},   {33, 129, 3, 3, 24, DT_BF16}, {2, 1023, 4, 1, 8, DT_F32},
    {3, 1024, 2, 2, 12, DT_BF16}, {4, 1025, 2, 1, 16, DT_BF16}, {1, 2500, 8, 2, 8, DT_F32},
    {70, 90, 2, 1, 8, DT_BF16},   {2, 40, 64, 1, 256, DT_BF16},
};
#define N_SHAPES ((int)(sizeof shapes / sizeof *shapes))

/* The operation adds to out. */
static void score_anew(struct lab *lab, const struct score *s)
{
    queue_clear(lab->queue, s->out.data, mat_bytes(DT_F32, 1, s->out.cols));
    k_score(lab->queue, s);
}

/* Of 3 values, 3 ways over heads, 2 over rows. */
#define N_KINDS 18
static void set_kind(struct score *s, int kind)
{
    s->value = (enum score_value)(kind % 3);
    s->over_heads = (enum score_heads)(kind / 3 % 3);
    s->over_rows = (enum score_rows)(kind / 9);
}

/* A softmax in f32 over up to 2500 slots: some ten roundings of 2^-24 each, and scores near 10. */
#define SCORE_BOUND 2e-6

CPU_TEST(score_matches_the_definition)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        double *ref = lab_alloc((size_t)shapes[i].slots * sizeof *ref);
        open_problem(&p, shapes[i], 1);
        for (int kind = 0; kind < N_KINDS; kind++) {
            uint64_t heap = heap_calls();
            set_kind(&p.s, kind);
            score_anew(&lab, &p.s);
            CHECK_EQ(heap_calls(), heap);
            ref_score(ref, &p.s);
            CHECK_MAT(p.s.out, ref, SCORE_BOUND);
        }
        heap_free(ref);
        close_problem(&p);
    }
    lab_close(&lab);
}

CPU_TEST(a_score_is_added_to_what_is_there)
{
    struct problem p;
    struct lab lab;
    float once[90];
    int bad = 0;
    open_problem(&p, (struct shape){7, 90, 4, 2, 16, DT_BF16}, 9);
    lab_open(&lab, cpu, 2);
    score_anew(&lab, &p.s);
    memcpy(once, p.s.out.data, sizeof once);
    k_score(lab.queue, &p.s);
    for (int slot = 0; slot < 90; slot++)
        bad += *(float *)mat_at(p.s.out, 0, slot) != once[slot] + once[slot];
    CHECK_EQ(bad, 0);
    lab_close(&lab);
    close_problem(&p);
}

CPU_TEST(threads_do_not_change_a_bit)
{
    static const int threads[] = {1, 2, 5};
    for (int i = 0; i < N_SHAPES * N_KINDS; i++) {
        struct problem p;
        struct lab lab;
        struct mat alone;
        open_problem(&p, shapes[i / N_KINDS], 2);
        set_kind(&p.s, i % N_KINDS);
        lab_open(&lab, cpu, 0);
        score_anew(&lab, &p.s);
        lab_close(&lab);
        alone = p.s.out;
        p.s.out = new_out(alone.cols);
        for (int t = 0; t < 3; t++) {
            lab_open(&lab, cpu, threads[t]);
            score_anew(&lab, &p.s);
            lab_close(&lab);
            CHECK(lab_same(p.s.out, alone));
        }
        lab_free(alone);
        close_problem(&p);
    }
}

CPU_TEST(weights_of_a_row_and_head_sum_to_one)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        double sum = 0;
        open_problem(&p, shapes[i], 3);
        score_anew(&lab, &p.s); /* kind 0: the weights, added up */
        for (int slot = 0; slot < p.s.out.cols; slot++)
            sum += ref_value(p.s.out, 0, slot);
        CHECK(fabs(sum / (p.s.q.rows * p.s.heads) - 1) < lab_slack * SCORE_BOUND);
        close_problem(&p);
    }
    lab_close(&lab);
}

static void spoil(struct mat m, int begin, int end)
{
    for (int r = begin; r < end; r++)
        for (int c = 0; c < m.cols; c++)
            lab_put(m, r, c, (double)NAN);
}

/* What is not there yet, or between two chunks, or what another request left. */
CPU_TEST(slots_that_nobody_sees_are_0_and_may_hold_nan)
{
    struct problem p;
    struct lab lab;
    struct mat clean;
    open_problem(&p, (struct shape){9, 1300, 4, 2, 24, DT_BF16}, 5);
    for (int i = 0; i < 9; i++)
        p.span[i] = (struct span){10 + i, 1040, 1150 + i};
    clean = p.s.out;
    p.s.out = new_out(1300);
    lab_open(&lab, cpu, 2);
    for (int kind = 0; kind < N_KINDS; kind++) {
        struct mat out = p.s.out;
        set_kind(&p.s, kind);
        p.s.out = clean;
        spoil(p.keys_values, 18, 1040);
        spoil(p.keys_values, 1158, 1300);
        score_anew(&lab, &p.s);
        p.s.out = out;
        for (int slot = 18; slot < 1300; slot = slot == 1039 ? 1158 : slot + 1) {
            for (int c = 0; c < p.keys_values.cols; c++)
                lab_put(p.keys_values, slot, c, 0.5);
            CHECK(ref_value(clean, 0, slot) == 0);
        }
        score_anew(&lab, &p.s);
        CHECK(lab_same(p.s.out, clean));
        CHECK(isfinite(ref_value(clean, 0, 1157)));
    }
    lab_close(&lab);
    lab_free(clean);
    close_problem(&p);
}

/* A weight that underflows has no entropy: no 0 * infinity. */
CPU_TEST(vanishing_weights_count_for_nothing)
{
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){4, 130, 2, 1, 16, DT_F32}, 6);
    p.s.scale = 1e4f;
    lab_open(&lab, cpu, 0);
    for (int kind = 0; kind < N_KINDS; kind++) {
        int zeros = 0;
        set_kind(&p.s, kind);
        score_anew(&lab, &p.s);
        for (int slot = 0; slot < 130; slot++) {
            CHECK(isfinite(ref_value(p.s.out, 0, slot)));
            zeros += ref_value(p.s.out, 0, slot) == 0;
        }
        CHECK(zeros > 100);
    }
    lab_close(&lab);
    close_problem(&p);
}

CPU_TEST(a_row_adds_what_it_would_alone)
{
    struct problem p;
    struct lab lab;
    double sum[1100] = {0};
    open_problem(&p, (struct shape){35, 1100, 4, 2, 16, DT_BF16}, 7);
    lab_open(&lab, cpu, 2);
    for (int row = 0; row < 35; row++) {
        struct score one = p.s;
        one.q = mat_rows(p.s.q, row, 1);
        one.span = lab_spans(p.span + row, 1);
        score_anew(&lab, &one);
        for (int slot = 0; slot < 1100; slot++)
            sum[slot] += ref_value(p.s.out, 0, slot);
    }
    score_anew(&lab, &p.s);
    CHECK_MAT(p.s.out, sum, SCORE_BOUND);
    lab_close(&lab);
    close_problem(&p);
}

/* Nothing is read or written outside of what the views name: the guard words stay, and under a
 * sanitizer the ends of the blocks are watched. */
CPU_TEST(nothing_outside_of_out_and_work_is_touched)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct mat wide = new_out(shapes[i].slots + 64);
        size_t bytes;
        uint8_t *work;
        open_problem(&p, shapes[i], 8);
        bytes = k_score_work(lab.device, p.s.q.rows, p.s.heads, p.s.k.rows);
        heap_free(p.s.work);
        work = lab_alloc(bytes + 64);
        memset(work + bytes, 0x5a, 64);
        p.s.work = work;
        lab_free(p.s.out);
        p.s.out = mat_cols(wide, 32, shapes[i].slots);
        score_anew(&lab, &p.s);
        for (int guard = 0; guard < 64; guard++)
            CHECK(work[bytes + (size_t)guard] == 0x5a);
        for (int guard = 0; guard < 32; guard++)
            CHECK(ref_value(wide, 0, guard) == 0 &&
                  ref_value(wide, 0, shapes[i].slots + 32 + guard) == 0);
        p.s.out = wide;
        close_problem(&p);
    }
    lab_close(&lab);
}

/* What tensor cores take where products may be of bf16: queries are rounded to it, and nothing is
 * where they may not. */
static void check_aligned_heads(struct lab_cpu cpu, struct shape shape, enum dtype products)
{
    struct problem p;
    struct lab lab;
    struct mat keys;
    int width = shape.kv_heads * shape.dim;
    double *ref = lab_alloc((size_t)shape.slots * sizeof *ref);
    open_problem(&p, shape, 10);
    lab_open(&lab, cpu, 2);
    struct score s = p.s;
    keys = lab_aligned(DT_BF16, shape.slots, 2 * width, 1, 11);
    s.k = mat_cols(keys, 0, width);
    s.v = mat_cols(keys, width, width);
    s.q = lab_aligned(DT_F32, shape.n, shape.heads * shape.dim, 3, 12);
    s.products = products;
    s.work = lab_alloc(k_score_work(lab.device, shape.n, shape.heads, shape.slots));
    for (int kind = 0; kind < N_KINDS; kind++) {
        set_kind(&s, kind);
        score_anew(&lab, &s);
        ref_score(ref, &s);
        CHECK_MAT(s.out, ref, products == DT_BF16 ? 2e-3 : SCORE_BOUND);
    }
    lab_close(&lab);
    heap_free(s.work);
    heap_free(ref);
    lab_aligned_free(s.q);
    lab_aligned_free(keys);
    close_problem(&p);
}

CPU_TEST(aligned_heads_match_the_definition)
{
    check_aligned_heads(cpu, (struct shape){20, 600, 4, 2, 64, DT_BF16}, DT_BF16);
    check_aligned_heads(cpu, (struct shape){3, 90, 6, 2, 72, DT_BF16}, DT_BF16);
    check_aligned_heads(cpu, (struct shape){20, 200, 4, 2, 64, DT_BF16}, DT_F32);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
