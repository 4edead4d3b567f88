/* test_measures.c - the numbers that rows are measured by, against their definitions. */
#include "tests/kernels/lab.h"

/* One rounding of a result that is made in double. */
#define ENTROPY_BOUND 6.1e-8

static struct mat logits_of(int rows, int cols, uint64_t seed)
{
    return lab_mat(DT_F32, rows, cols, cols + 3, 12, seed);
}

static float entropy_of(struct lab *lab, const float *x, int n, int top)
{
    float out = 9;
    k_entropy(lab->queue, mat_of(&out, DT_F32, 1, 1), mat_of((void *)(uintptr_t)x, DT_F32, 1, n),
              top);
    return out;
}

static const int vocabularies[] = {1, 2, 31, 64, 65, 255, 256, 257, 1500};
static const int tops[] = {1, 2, 20, 63, 64};

CPU_TEST(entropy_matches_its_definition)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 9; i++)
        for (int t = 0; t < 5; t++) {
            struct mat x = logits_of(5, vocabularies[i], (uint64_t)(i + 1));
            struct mat out = lab_mat(DT_F32, 5, 1, 2, 9, 1);
            double ref[5];
            uint64_t heap = heap_calls();
            k_entropy(lab.queue, out, x, tops[t]);
            if (!cpu.open_gpu) CHECK_EQ(heap_calls(), heap);
            ref_entropy(ref, x, tops[t]);
            CHECK_MAT(out, ref, ENTROPY_BOUND);
            lab_free(x);
            lab_free(out);
        }
    lab_close(&lab);
}

/* Rows in ascending and descending order: each value, or only the first ones, is among the largest
 * when it is seen. */
CPU_TEST(the_largest_logits_count_wherever_they_are)
{
    enum { N = 700 };
    float up[N], down[N], last[N] = {0};
    double ref;
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int i = 0; i < N; i++)
        up[i] = down[N - 1 - i] = (float)(i * i) * 1e-4f;
    for (int top = 1; top <= ENTROPY_MOST; top++) {
        float a = entropy_of(&lab, up, N, top), b = entropy_of(&lab, down, N, top);
        ref_entropy(&ref, mat_of(up, DT_F32, 1, N), top);
        CHECK(fabs((double)a - ref) <= ENTROPY_BOUND * ref && a == b);
    }
    last[N - 1] = 3;
    last[0] = 2;
    ref_entropy(&ref, mat_of(last, DT_F32, 1, N), 2);
    CHECK(fabs((double)entropy_of(&lab, last, N, 2) - ref) <= ENTROPY_BOUND);
    lab_close(&lab);
}

CPU_TEST(entropy_of_equal_logits_is_the_logarithm_of_their_number)
{
    float x[300];
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int i = 0; i < 300; i++)
        x[i] = -7.5f;
    CHECK(entropy_of(&lab, x, 300, 1) == 0);
    CHECK(entropy_of(&lab, x, 1, 64) == 0);
    CHECK(entropy_of(&lab, x, 300, 20) == (float)log(20));
    CHECK(entropy_of(&lab, x, 3, 20) == (float)log(3));
    for (int i = 0; i < 300; i++)
        x[i] = i % 32 == 5 ? 30 : -100; /* ten, which one lane of a GPU sees */
    CHECK(entropy_of(&lab, x, 300, 20) == (float)log(10));
    x[217] = 1000; /* whoever is far below it weighs nothing */
    CHECK(entropy_of(&lab, x, 300, 20) == 0);
    lab_close(&lab);
}

CPU_TEST(entropy_does_not_notice_rows_or_threads)
{
    static const int threads[] = {0, 1, 2, 5};
    struct mat x = logits_of(40, 666, 7), whole = lab_mat(DT_F32, 40, 1, 1, 9, 1);
    for (int t = 0; t < 4; t++) {
        struct mat out = lab_mat(DT_F32, 40, 1, 1, 9, 2);
        struct lab lab;
        lab_open(&lab, cpu, threads[t]);
        if (t == 0) k_entropy(lab.queue, whole, x, 20);
        k_entropy(lab.queue, out, x, 20);
        CHECK(lab_same(out, whole));
        for (int row = 0; row < 39; row += 3)
            k_entropy(lab.queue, mat_rows(out, row, 3), mat_rows(x, row, 3), 20);
        for (int row = 0; row < 40; row += 7)
            k_entropy(lab.queue, mat_rows(out, row, 1), mat_rows(x, row, 1), 20);
        CHECK(lab_same(out, whole));
        lab_close(&lab);
        lab_free(out);
    }
    lab_free(whole);
    lab_free(x);
}

CPU_TEST(logits_that_are_not_finite_are_seen)
{
    float x[400];
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int i = 0; i < 400; i++)
        x[i] = (float)(i % 37);
    for (int at = 0; at < 400; at += 133) { /* among the largest or not */
        float kept = x[at];
        x[at] = NAN;
        CHECK(isnan(entropy_of(&lab, x, 400, 5)));
        x[at] = INFINITY;
        CHECK(isnan(entropy_of(&lab, x, 400, 5)));
        x[at] = kept;
    }
    CHECK(!isnan(entropy_of(&lab, x, 400, 5)));
    for (int i = 0; i < 400; i++)
        x[i] = i == 17 || i == 301 ? 2.5f : -INFINITY;
    CHECK(entropy_of(&lab, x, 400, 20) == (float)log(2));
    x[17] = x[301] = -INFINITY;
    CHECK(isnan(entropy_of(&lab, x, 400, 20)));
    lab_close(&lab);
}

/* Rows like a, as far from it as `by` of their values. */
static struct mat turned(struct mat a, double by, uint64_t seed)
{
    struct mat b = lab_mat(DT_F32, a.rows, a.cols, a.cols + 5, 1, seed);
    for (int r = 0; r < a.rows; r++)
        for (int c = 0; c < a.cols; c++)
            lab_put(b, r, c, 3 * (ref_value(a, r, c) + by * ref_value(b, r, c)));
    return b;
}

static const int row_widths[] = {1, 7, 16, 33, 256, 2050};
/* Rows at length 1 are a rounding away from where they are, which is more of what is nearer. As one
 * less the cosine, in f32, the first distance would be off by 1e-4. */
static const struct {
    double by, bound;
} turns[] = {{0.02, 1e-5}, {0.5, 1e-6}, {40, 4e-7}};

CPU_TEST(cosine_distance_matches_its_definition)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < 6; i++)
        for (int t = 0; t < 3; t++) {
            struct mat a = lab_mat(DT_F32, 6, row_widths[i], row_widths[i] + 2, 5, 3);
            struct mat b = turned(a, turns[t].by, 4), out = lab_mat(DT_F32, 6, 1, 3, 9, 1);
            double ref[6];
            uint64_t heap = heap_calls();
            k_cosine_distance(lab.queue, out, a, b);
            if (!cpu.open_gpu) CHECK_EQ(heap_calls(), heap);
            ref_cosine_distance(ref, a, b);
            CHECK_MAT(out, ref, turns[t].bound);
            lab_free(a);
            lab_free(b);
            lab_free(out);
        }
    lab_close(&lab);
}

CPU_TEST(cosine_distance_does_not_notice_rows_or_threads)
{
    static const int threads[] = {0, 1, 2, 5};
    struct mat a = lab_mat(DT_F32, 60, 777, 780, 2, 5), b = turned(a, 0.3, 6);
    struct mat whole = lab_mat(DT_F32, 60, 1, 1, 9, 1);
    for (int t = 0; t < 4; t++) {
        struct mat out = lab_mat(DT_F32, 60, 1, 1, 9, 2);
        struct lab lab;
        lab_open(&lab, cpu, threads[t]);
        if (t == 0) k_cosine_distance(lab.queue, whole, a, b);
        k_cosine_distance(lab.queue, out, a, b);
        CHECK(lab_same(out, whole));
        for (int row = 0; row < 60; row += 3)
            k_cosine_distance(lab.queue, mat_rows(out, row, 3), mat_rows(a, row, 3),
                              mat_rows(b, row, 3));
        for (int row = 0; row < 60; row += 7)
            k_cosine_distance(lab.queue, mat_rows(out, row, 1), mat_rows(a, row, 1),
                              mat_rows(b, row, 1));
        CHECK(lab_same(out, whole));
        lab_close(&lab);
        lab_free(out);
    }
    lab_free(whole);
    lab_free(a);
    lab_free(b);
}

static float distance_of(struct lab *lab, float *a, float *b, int n)
{
    float out = 9;
    k_cosine_distance(lab->queue, mat_of(&out, DT_F32, 1, 1), mat_of(a, DT_F32, 1, n),
                      mat_of(b, DT_F32, 1, n));
    return out;
}

CPU_TEST(cosine_distance_is_0_of_equal_rows_and_of_none)
{
    float a[40], b[40], zero[40] = {0}, far[40];
    struct lab lab;
    lab_open(&lab, cpu, 0);
    for (int i = 0; i < 40; i++) {
        a[i] = (float)(i - 11) * 0.37f;
        b[i] = 1024 * a[i];
        far[i] = -a[i];
    }
    CHECK(distance_of(&lab, a, a, 40) == 0);
    CHECK(distance_of(&lab, a, b, 40) == 0);
    CHECK(fabs((double)distance_of(&lab, a, far, 40) - 2) < 1e-6);
    CHECK(distance_of(&lab, a, zero, 40) == 0);
    CHECK(distance_of(&lab, zero, a, 40) == 0);
    CHECK(distance_of(&lab, zero, zero, 40) == 0);
    a[39] = NAN;
    CHECK(isnan(distance_of(&lab, a, b, 40)) && isnan(distance_of(&lab, b, a, 40)));
    CHECK(isnan(distance_of(&lab, a, zero, 40)) && isnan(distance_of(&lab, zero, a, 40)));
    a[39] = -INFINITY;
    CHECK(isnan(distance_of(&lab, a, b, 40)) && isnan(distance_of(&lab, b, a, 40)));
    a[39] = 1e30f; /* its square is not finite */
    CHECK(isnan(distance_of(&lab, a, b, 40)));
    lab_close(&lab);
}

CPU_TEST(no_rows_are_not_measured)
{
    struct mat none = {NULL, DT_F32, 0, 12, 12};
    struct lab lab;
    lab_open(&lab, cpu, 2);
    k_entropy(lab.queue, mat_cols(none, 0, 1), none, 20);
    k_cosine_distance(lab.queue, mat_cols(none, 0, 1), none, none);
    CHECK_EQ(queue_sync(lab.queue), VLQA_OK);
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
