/* test_stats.c - divergences with known values, intervals that cover what they should. */
#include "eval/stats/stats.h"

#include "tests/check.h"

static double work[STATS_RESAMPLES];

static int near(double found, double expected)
{
    return fabs(found - expected) < 1e-12;
}

TEST(equal_distributions_have_no_divergence)
{
    static const float p[] = {1, -2, 0.5f, 100}, moved[] = {4, 1, 3.5f, 103};
    CHECK(stats_kl(p, p, 4) == 0);
    CHECK(near(stats_kl(p, moved, 4), 0)); /* softmax does not see a constant */
}

TEST(divergence_has_known_values)
{
    static const float even[] = {0, 0}, odd[] = {1.0986122886681098f, 0}; /* 3 to 1 */
    static const float far[] = {-500, 500}, other[] = {500, -500};
    CHECK(fabs(stats_kl(even, odd, 2) - 0.5 * log(4.0 / 3)) < 1e-7);
    CHECK(fabs(stats_kl(odd, even, 2) - (log(2.0) + 0.75 * log(0.75) + 0.25 * log(0.25))) < 1e-7);
    CHECK(near(stats_kl(far, other, 2), 1000)); /* beyond the range of exp */
}

TEST(cosine_and_argmax_have_known_values)
{
    static const float a[] = {3, 4, 0}, b[] = {-3, -4, 0}, c[] = {0, 0, 2}, ties[] = {1, 7, 7};
    CHECK(near(stats_cosine(a, a, 3), 1));
    CHECK(near(stats_cosine(a, b, 3), -1));
    CHECK(near(stats_cosine(a, c, 3), 0));
    CHECK_EQ(stats_argmax(ties, 3), 1);
}

TEST(a_ratio_of_equal_pairs_is_sure)
{
    static const double x[] = {1, 2, 5, 0.5}, y[] = {2, 4, 10, 1};
    struct stats_interval r = stats_ratio(x, y, 4, 1, work), s = stats_share(x, y, 4, 1, work);
    CHECK(r.value == 0.5 && r.low == 0.5 && r.high == 0.5);
    CHECK(s.value == 0.5 && s.low == 0.5 && s.high == 0.5);
}

TEST(nothing_to_divide_by_is_not_a_number)
{
    static const double x[] = {1, 2}, zero[] = {0, 0};
    CHECK(isnan(stats_share(x, zero, 2, 1, work).value));
    CHECK(isnan(stats_ratio(x, NULL, 0, 1, work).low));
}

TEST(equal_seeds_give_equal_intervals)
{
    double x[50];
    struct stats_interval a, b, c;
    for (int i = 0; i < 50; i++)
        x[i] = sin(i * 1.7);
    a = stats_ratio(x, NULL, 50, 3, work);
    b = stats_ratio(x, NULL, 50, 3, work);
    c = stats_ratio(x, NULL, 50, 4, work);
    CHECK(a.value == b.value && a.low == b.low && a.high == b.high);
    CHECK(a.value == c.value && a.low != c.low);
    CHECK(a.low < a.value && a.value < a.high);
}

/* Of many samples of a skewed distribution, about 95 % have an interval around the truth. */
TEST(intervals_cover_the_truth)
{
    enum { SAMPLES = 200, N = 80 };
    double x[N], y[N];
    int covered = 0, share_covered = 0;
    srand(7);
    for (int s = 0; s < SAMPLES; s++) {
        struct stats_interval mean, share;
        for (int i = 0; i < N; i++) { /* exponential, mean 1; x is 0.3 of it on average */
            y[i] = -log((rand() + 1.0) / (RAND_MAX + 2.0));
            x[i] = y[i] * 0.6 * rand() / RAND_MAX;
        }
        mean = stats_ratio(y, NULL, N, (uint64_t)s, work);
        share = stats_share(x, y, N, (uint64_t)s, work);
        covered += mean.low <= 1 && 1 <= mean.high;
        share_covered += share.low <= 0.7 && 0.7 <= share.high;
    }
    CHECK(covered > 0.88 * SAMPLES && covered < 0.995 * SAMPLES);
    CHECK(share_covered > 0.88 * SAMPLES && share_covered < 0.995 * SAMPLES);
}

/* By hand, and as in docs/RESULTS.md: 647 of 2,000. */
TEST(wilson_intervals_have_known_values)
{
    struct stats_interval s = stats_wilson(647.0 / 2000, 2000);
    CHECK(fabs(s.low - 0.3034) < 1e-4);
    CHECK(fabs(s.high - 0.3443) < 1e-4);
    s = stats_wilson(1, 1);
    CHECK(fabs(s.low - 0.2065) < 1e-4);
    CHECK(s.high <= 1 && s.high > 1 - 1e-12);
    s = stats_wilson(0, 10);
    CHECK(s.low >= 0 && s.low < 1e-12);
    CHECK(fabs(s.high - 0.2775) < 1e-4);
    CHECK(isnan(stats_wilson(0, 0).low));
}

TEST(mcnemar_is_exact)
{
    CHECK(near(stats_mcnemar(0, 0), 1) && near(stats_mcnemar(7, 7), 1));
    CHECK(near(stats_mcnemar(0, 5), 2.0 / 32) && near(stats_mcnemar(5, 0), 2.0 / 32));
    CHECK(near(stats_mcnemar(1, 9), 2.0 * 11 / 1024));
    CHECK(near(stats_mcnemar(10, 25), 0.01667384780012071)); /* 2 sum C(35, k <= 10) / 2^35 */
    CHECK(stats_mcnemar(40000, 60000) < 1e-300);
    CHECK(fabs(stats_mcnemar(499900, 500100) - 0.84226) < 1e-4); /* about the normal one */
}

TEST(paired_scores_tell_noise_from_a_difference)
{
    enum { N = 200 };
    static double a[N], b[N], room[STATS_RESAMPLES + N];
    struct stats_pair p;
    for (int i = 0; i < N; i++)
        a[i] = b[i] = i % 2;
    p = stats_compare(a, b, N, 1, room);
    CHECK(p.is_noise && p.is_binary && near(p.p, 1) && p.difference.value == 0);
    for (int i = 0; i < 40; i += 2)
        b[i] = 1; /* 20 of 200 become right */
    p = stats_compare(a, b, N, 1, room);
    CHECK(!p.is_noise && p.only_b == 20 && p.only_a == 0);
    CHECK(near(p.a, 0.5) && near(p.b, 0.6) && near(p.difference.value, 0.1));
    CHECK(p.difference.low > 0.05 && p.difference.high < 0.15);
    for (int i = 1; i < 38; i += 2)
        b[i] = 0; /* and 19 wrong */
    p = stats_compare(a, b, N, 1, room);
    CHECK(p.is_noise && p.only_a == 19 && p.p > 0.9);
    for (int i = 0; i < N; i++)
        b[i] = i % 2 || i < 10; /* 5 become right: too few for the test alone */
    p = stats_compare(a, b, N, 1, room);
    CHECK(p.is_noise && p.difference.low > 0 && near(p.p, 2.0 / 32));
    for (int i = 0; i < N; i++)
        b[i] = a[i] / 2 + 0.3; /* parts of a point: the interval alone */
    p = stats_compare(a, b, N, 1, room);
    CHECK(!p.is_binary && !p.is_noise && near(p.difference.value, 0.05));
    CHECK_EQ(p.only_b, 0);
}

TEST(the_order_of_pairs_changes_no_interval)
{
    enum { N = 101 };
    static double a[N], b[N], room[STATS_RESAMPLES + N];
    struct stats_pair first, p;
    srand(3);
    for (int i = 0; i < N; i++) {
        a[i] = rand() % 5 / 4.0;
        b[i] = rand() % 4 / 3.0;
    }
    first = stats_compare(a, b, N, 0, room);
    for (int run = 0; run < 20; run++) {
        for (int i = 0; i < N; i++) {
            int k = rand() % N;
            double x = a[i], y = b[i];
            a[i] = a[k], b[i] = b[k];
            a[k] = x, b[k] = y;
        }
        p = stats_compare(a, b, N, 0, room);
        CHECK(p.difference.low == first.difference.low &&
              p.difference.high == first.difference.high);
        CHECK(p.difference.value == first.difference.value && p.is_noise == first.is_noise);
    }
}

/* Two systems that are equally good are told apart in about one of twenty comparisons. */
TEST(equal_systems_are_seldom_told_apart)
{
    enum { RUNS = 300, N = 100 };
    static double a[N], b[N], room[STATS_RESAMPLES + N];
    int apart = 0;
    srand(11);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < N; i++) {
            a[i] = rand() % 10 < 7;
            b[i] = rand() % 10 < 7;
        }
        apart += !stats_compare(a, b, N, (uint64_t)run, room).is_noise;
    }
    CHECK(apart > 0 && apart < 0.08 * RUNS);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
