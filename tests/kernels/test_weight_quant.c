/* test_weight_quant.c - rows in eight and four bits against a search in double, on each CPU. */
#include "base/dtype.h"
#include "kernels/cpu/cpu_weight_quant.h"
#include "kernels/weight_quant.h"
#include "tests/check.h"

#include <float.h>
#include <stdint.h>

#define MOST 700
#define GROUPS ((MOST + WEIGHT_GROUP - 1) / WEIGHT_GROUP)

static const int lengths[] = {1, 7, 31, 32, 33, 64, 100, 256, 700};

#define N_LENGTHS (int)(sizeof lengths / sizeof *lengths)

static float uniform(uint64_t *state) /* -1..1 */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) * 0x1p-23f - 1;
}

/* Bell-shaped, some columns far out, in a format that files have. */
static void fill(float *row, int n, uint64_t seed, float size)
{
    uint64_t state = seed * 77 + 5;
    for (int i = 0; i < n; i++) {
        float x = uniform(&state) + uniform(&state) + uniform(&state);
        if (i % 97 == 13) x *= 6;
        row[i] = bf16_to_f32(f32_to_bf16(x * size));
    }
}

struct int8_row {
    int8_t q[MOST];
    float scale;
};

struct int4_row {
    uint8_t q[MOST], zero[GROUPS];
    uint16_t scale[GROUPS];
};

static struct int8_row int8_of(const float *row, int n)
{
    struct int8_row out;
    memset(&out, 0x55, sizeof out);
    weight_quant_int8(row, n, out.q, &out.scale);
    return out;
}

static struct int4_row int4_of(const float *row, int n)
{
    struct int4_row out;
    memset(&out, 0x55, sizeof out);
    weight_quant_int4(row, n, out.q, out.scale, out.zero);
    return out;
}

/* The squared error of n values where each takes the best of the integers from low to high. */
static double error_with(const float *v, int n, double scale, int low, int high)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double q = fmin(fmax(rint((double)v[i] / scale), low), high),
               off = q * scale - (double)v[i];
        sum += off * off;
    }
    return sum;
}

TEST(int8_takes_the_nearest_value_of_a_scale_that_bf16_holds)
{
    for (int i = 0; i < N_LENGTHS; i++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            float row[MOST], most = 0;
            int n = lengths[i], bad = 0, full = 0;
            struct int8_row r;
            fill(row, n, seed, 0.02f);
            r = int8_of(row, n);
            for (int k = 0; k < n; k++)
                most = fmaxf(most, fabsf(row[k]));
            REQUIRE(most > 0);
            CHECK(r.scale == bf16_to_f32(f32_to_bf16(r.scale)));
            CHECK(fabs((double)r.scale * 127 / (double)most - 1) <= 0x1p-8);
            for (int k = 0; k < n; k++) {
                double at = (double)row[k] / (double)r.scale;
                bad += !(fabs(fmin(fmax(at, -127), 127) - r.q[k]) <= 0.5 + 1e-4);
                full += abs(r.q[k]) >= 126;
            }
            CHECK_EQ(bad, 0);
            CHECK(full >= 1);
        }
}

TEST(int8_rounds_ties_to_even)
{
    static const float row[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, 125.5f};
    static const int8_t expected[] = {127, 0, 2, 2, 0, -2, -126, 126};
    struct int8_row r = int8_of(row, 8);
    CHECK(r.scale == 1);
    CHECK(memcmp(r.q, expected, sizeof expected) == 0);
}

TEST(int4_takes_the_nearest_value_of_a_scale_and_zero_point)
{
    for (int i = 0; i < N_LENGTHS; i++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            float row[MOST];
            int n = lengths[i], bad = 0;
            struct int4_row r;
            fill(row, n, seed, 0.02f);
            r = int4_of(row, n);
            for (int k = 0; k < n; k++) {
                int g = k / WEIGHT_GROUP, zero = r.zero[g];
                double at = (double)row[k] / (double)bf16_to_f32(r.scale[g]);
                REQUIRE(zero <= 15 && r.q[k] <= 15);
                bad += !(fabs(fmin(fmax(at, -zero), 15 - zero) - (r.q[k] - zero)) <= 0.5 + 1e-5);
            }
            CHECK_EQ(bad, 0);
        }
}

/* 2,400 scales with every zero point: none is much better, and the range alone is worse. */
TEST(int4_is_near_the_least_error_there_is)
{
    double found = 0, best = 0, plain = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        float row[WEIGHT_GROUP];
        double low = 0, high = 0, least = INFINITY, scale;
        struct int4_row r;
        fill(row, WEIGHT_GROUP, seed + 1000, 0.02f);
        r = int4_of(row, WEIGHT_GROUP);
        for (int k = 0; k < WEIGHT_GROUP; k++) {
            low = fmin(low, (double)row[k]);
            high = fmax(high, (double)row[k]);
        }
        scale = (high - low) / 15;
        for (int zero = 0; zero <= 15; zero++)
            for (int i = 0; i < 150; i++)
                least = fmin(least, error_with(row, WEIGHT_GROUP, scale * (0.5 + i * 0.004), -zero,
                                               15 - zero));
        best += least;
        plain += error_with(row, WEIGHT_GROUP, scale, -(int)rint(-low / scale),
                            15 - (int)rint(-low / scale));
        found += error_with(row, WEIGHT_GROUP, (double)bf16_to_f32(r.scale[0]), -r.zero[0],
                            15 - r.zero[0]);
    }
    CHECK(found >= best * 0.999);
    CHECK(found <= best * 1.06);
    CHECK(found <= plain * 0.95);
}

TEST(int4_groups_do_not_know_each_other)
{
    float row[3 * WEIGHT_GROUP];
    struct int4_row whole, alone;
    fill(row, 3 * WEIGHT_GROUP, 9, 0.02f);
    whole = int4_of(row, 3 * WEIGHT_GROUP);
    for (int g = 0; g < 3; g++) {
        alone = int4_of(row + g * WEIGHT_GROUP, WEIGHT_GROUP);
        CHECK(memcmp(alone.q, whole.q + g * WEIGHT_GROUP, WEIGHT_GROUP) == 0);
        CHECK_EQ(alone.scale[0], whole.scale[g]);
        CHECK_EQ(alone.zero[0], whole.zero[g]);
    }
}

/* A value that is quantised is found again, so a dequantised row stays what it is. */
TEST(int4_finds_values_that_sixteen_steps_hold)
{
    for (int zero = 0; zero <= 15; zero++) {
        float row[WEIGHT_GROUP];
        struct int4_row r;
        for (int i = 0; i < WEIGHT_GROUP; i++)
            row[i] = 0.0078125f * (float)((i * 7) % 16 - zero);
        r = int4_of(row, WEIGHT_GROUP);
        for (int i = 0; i < WEIGHT_GROUP; i++)
            CHECK(bf16_to_f32(r.scale[0]) * (float)(r.q[i] - r.zero[0]) == row[i]);
    }
}

static void check_zeros(const float *row, int n)
{
    struct int8_row a = int8_of(row, n);
    struct int4_row b = int4_of(row, n);
    CHECK(a.scale == 0);
    for (int i = 0; i < n; i++) {
        CHECK_EQ(a.q[i], 0);
        CHECK_EQ(b.q[i], b.zero[i / WEIGHT_GROUP]);
        CHECK_EQ(b.scale[i / WEIGHT_GROUP], 0);
    }
}

TEST(zeros_and_what_is_next_to_nothing_have_scale_0)
{
    float row[100] = {0};
    check_zeros(row, 100);
    check_zeros(row, 32);
    row[40] = 0x1p-120f;
    row[70] = -0x1p-140f;
    check_zeros(row, 100);
}

TEST(a_group_of_zeros_beside_others_has_scale_0)
{
    float row[96];
    struct int4_row r;
    fill(row, 96, 3, 1);
    memset(row + 32, 0, 32 * sizeof *row);
    r = int4_of(row, 96);
    CHECK(r.scale[0] > 0 && r.scale[2] > 0);
    CHECK_EQ(r.scale[1], 0);
    for (int i = 32; i < 64; i++)
        CHECK_EQ(r.q[i], r.zero[1]);
}

TEST(the_largest_and_the_smallest_floats_are_held)
{
    static const float sizes[] = {FLT_MAX, 0x1p127f, 1e30f, 1, 1e-20f, 0x1p-90f};
    for (int i = 0; i < 6; i++) {
        float row[64], worst8 = 0, worst4 = 0;
        struct int8_row a;
        struct int4_row b;
        for (int k = 0; k < 64; k++)
            row[k] = sizes[i] * ((float)(k * 37 % 64) / 32 - 1 + 0x1p-6f);
        a = int8_of(row, 64);
        b = int4_of(row, 64);
        for (int k = 0; k < 64; k++) {
            float x8 = (float)a.q[k] * (a.scale / sizes[i]), x = row[k] / sizes[i];
            float x4 = (bf16_to_f32(b.scale[k / 32]) / sizes[i]) * (float)(b.q[k] - b.zero[k / 32]);
            worst8 = fmaxf(worst8, fabsf(x8 - x));
            worst4 = fmaxf(worst4, fabsf(x4 - x));
        }
        CHECK(worst8 <= 0.009f);
        CHECK(worst4 <= 0.11f);
    }
}

TEST(instruction_sets_agree_to_the_bit)
{
#ifdef __x86_64__
    if (!__builtin_cpu_supports("avx2")) SKIP("no AVX2 here");
    for (int i = 0; i < N_LENGTHS; i++)
        for (uint64_t seed = 0; seed < 200; seed++) {
            float row[MOST];
            struct int8_row a, b;
            struct int4_row c, d;
            memset(&a, 0, sizeof a);
            memset(&b, 0, sizeof b);
            memset(&c, 0, sizeof c);
            memset(&d, 0, sizeof d);
            fill(row, lengths[i], seed, ldexpf(1, (int)seed - 90));
            cpu_weight_int8_plain(row, lengths[i], a.q, &a.scale);
            cpu_weight_int8_avx2(row, lengths[i], b.q, &b.scale);
            cpu_weight_int4_plain(row, lengths[i], c.q, c.scale, c.zero);
            cpu_weight_int4_avx2(row, lengths[i], d.q, d.scale, d.zero);
            CHECK(memcmp(&a, &b, sizeof a) == 0);
            CHECK(memcmp(&c, &d, sizeof c) == 0);
        }
#else
    SKIP("one instruction set");
#endif
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
