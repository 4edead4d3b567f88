/* test_attention.c - softmax over spans against the definition, and rows on their own. */
#include "tests/kernels/lab.h"

struct shape {
    int n, slots, heads, kv_heads, dim;
    enum dtype kv, out;
};

struct problem {
    struct attn a;
    struct mat keys_values; /* K and V side by side, so that their stride is wide */
    struct span *span;
};

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
    lab_free(p->keys_values);
    lab_free(p->a.q);
    lab_free(p->a.out);
    heap_free(p->span);
}

static const struct shape shapes[] = {
    {1, 1, 1, 1, 8, DT_F32, DT_F32},       {3, 3, 2, 1, 17, DT_F32, DT_F32},
    {70, 130, 2, 2, 72, DT_F32, DT_BF16},  {33, 200, 6, 2, 64, DT_BF16, DT_F32},
    {17, 65, 8, 1, 128, DT_BF16, DT_BF16}, {2, 300, 3, 3, 256, DT_BF16, DT_F32},
    {5, 64, 64, 1, 16, DT_F32, DT_F32},
};

#define N_SHAPES ((int)(sizeof shapes / sizeof shapes[0]))

/* Scores, weights and sums of up to 300 slots in f32: some ten roundings of 2^-24 each. */
#define ATTENTION_BOUND 1e-6

CPU_TEST(attention_matches_the_definition)
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
        CHECK_MAT(p.a.out, ref, ATTENTION_BOUND);
        heap_free(ref);
        close_problem(&p);
    }
    lab_close(&lab);
}

static struct mat output_like(const struct problem *p)
{
    return lab_mat(p->a.out.dtype, p->a.out.rows, p->a.out.cols, p->a.out.cols, 0, 1);
}

CPU_TEST(threads_do_not_change_a_bit)
{
    static const int threads[] = {1, 2, 5};
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct lab lab;
        struct attn a;
        open_problem(&p, shapes[i], 2);
        lab_open(&lab, cpu, 0);
        k_attention(lab.queue, &p.a);
        lab_close(&lab);
        a = p.a;
        for (int t = 0; t < 3; t++) {
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

CPU_TEST(a_row_alone_equals_the_row_among_many)
{
    static const int step[] = {1, 2, 3, 7, 16, 31, 64};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        open_problem(&p, shapes[i], 3);
        k_attention(lab.queue, &p.a);
        for (int s = 0; s < 7; s++) {
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

/* While decoding, the slots behind the row are not there yet. */
CPU_TEST(a_decoded_row_equals_the_prefilled_row)
{
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){150, 150, 4, 2, 32, DT_BF16, DT_F32}, 4);
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

static void spoil(struct mat m, int begin, int end)
{
    for (int r = begin; r < end; r++)
        for (int c = 0; c < m.cols; c++)
            lab_put(m, r, c, (double)NAN);
}

CPU_TEST(slots_that_nobody_sees_may_hold_nan)
{
    struct problem p;
    struct lab lab;
    struct mat clean;
    open_problem(&p, (struct shape){9, 200, 2, 1, 24, DT_F32, DT_F32}, 5);
    for (int i = 0; i < 9; i++)
        p.span[i] = (struct span){10 + i, 140, 150 + i};
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    clean = p.a.out;
    p.a.out = output_like(&p);
    for (int m = 0; m < 2; m++) {
        spoil(m ? p.a.v : p.a.k, 18, 140);
        spoil(m ? p.a.v : p.a.k, 158, 200);
    }
    k_attention(lab.queue, &p.a);
    CHECK(lab_same(p.a.out, clean));
    CHECK(isfinite(ref_value(clean, 8, 47)));
    lab_close(&lab);
    lab_free(clean);
    close_problem(&p);
}

CPU_TEST(a_bad_slot_reaches_only_the_rows_that_see_it)
{
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){8, 40, 2, 1, 24, DT_F32, DT_F32}, 6);
    for (int i = 0; i < 8; i++)
        p.span[i] = (struct span){0, i % 2 ? 20 : 0, 40};
    spoil(p.a.v, 7, 8);
    lab_open(&lab, cpu, 0);
    k_attention(lab.queue, &p.a);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(isfinite(ref_value(p.a.out, i, 5)) != 0, i % 2);
    lab_close(&lab);
    close_problem(&p);
}

CPU_TEST(equal_visibility_gives_equal_bits)
{
    static const struct span same[] = {{0, 0, 90}, {90, 0, 0}, {30, 30, 90}, {70, 70, 90}};
    struct problem p;
    struct lab lab;
    open_problem(&p, (struct shape){4, 100, 2, 2, 40, DT_BF16, DT_F32}, 7);
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

CPU_TEST(large_scores_do_not_overflow)
{
    struct problem p;
    struct lab lab;
    double *ref;
    open_problem(&p, (struct shape){6, 130, 1, 1, 16, DT_F32, DT_F32}, 8);
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

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
