/* test_stats.c - divergences with known values, intervals that cover what they should. */
#include "eval/stats/stats.h"

#include "base/heap.h"
#include "tests/check.h"

enum { MOST = 1000 };
static struct stats_work *work; /* for MOST questions */

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
    struct stats_interval r = stats_ratio(x, y, NULL, 4, 1, work),
                          s = stats_share(x, y, NULL, 4, 1, work);
    CHECK(r.value == 0.5 && r.low == 0.5 && r.high == 0.5);
    CHECK(s.value == 0.5 && s.low == 0.5 && s.high == 0.5);
}

TEST(nothing_to_divide_by_is_not_a_number)
{
    static const double x[] = {1, 2}, zero[] = {0, 0};
    CHECK(isnan(stats_share(x, zero, NULL, 2, 1, work).value));
    CHECK(isnan(stats_ratio(x, NULL, NULL, 0, 1, work).low));
}

TEST(equal_seeds_give_equal_intervals)
{
    double x[50];
    struct stats_interval a, b, c;
    for (int i = 0; i < 50; i++)
        x[i] = sin(i * 1.7);
    a = stats_ratio(x, NULL, NULL, 50, 3, work);
    b = stats_ratio(x, NULL, NULL, 50, 3, work);
    c = stats_ratio(x, NULL, NULL, 50, 4, work);
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
        mean = stats_ratio(y, NULL, NULL, N, (uint64_t)s, work);
        share = stats_share(x, y, NULL, N, (uint64_t)s, work);
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
    static double a[N], b[N];
    struct stats_pair p;
    for (int i = 0; i < N; i++)
        a[i] = b[i] = i % 2;
    p = stats_compare(a, b, NULL, N, 1, work);
    CHECK(p.is_noise && p.is_binary && near(p.p, 1) && p.difference.value == 0);
    for (int i = 0; i < 40; i += 2)
        b[i] = 1; /* 20 of 200 become right */
    p = stats_compare(a, b, NULL, N, 1, work);
    CHECK(!p.is_noise && p.only_b == 20 && p.only_a == 0);
    CHECK(near(p.a, 0.5) && near(p.b, 0.6) && near(p.difference.value, 0.1));
    CHECK(p.difference.low > 0.05 && p.difference.high < 0.15);
    for (int i = 1; i < 38; i += 2)
        b[i] = 0; /* and 19 wrong */
    p = stats_compare(a, b, NULL, N, 1, work);
    CHECK(p.is_noise && p.only_a == 19 && p.p > 0.9);
    for (int i = 0; i < N; i++)
        b[i] = i % 2 || i < 10; /* 5 become right: too few for the test alone */
    p = stats_compare(a, b, NULL, N, 1, work);
    CHECK(p.is_noise && p.difference.low > 0 && near(p.p, 2.0 / 32));
    for (int i = 0; i < N; i++)
        b[i] = a[i] / 2 + 0.3; /* parts of a point: the interval alone */
    p = stats_compare(a, b, NULL, N, 1, work);
    CHECK(!p.is_binary && !p.is_noise && near(p.difference.value, 0.05));
    CHECK_EQ(p.only_b, 0);
}

TEST(the_order_of_pairs_changes_no_interval)
{
    enum { N = 101 };
    static double a[N], b[N];
    static uint64_t document[N];
    struct stats_pair first, p;
    srand(3);
    for (int i = 0; i < N; i++) {
        a[i] = rand() % 5 / 4.0;
        b[i] = rand() % 4 / 3.0;
        document[i] = (uint64_t)(rand() % 60);
    }
    first = stats_compare(a, b, document, N, 0, work);
    for (int run = 0; run < 20; run++) {
        for (int i = 0; i < N; i++) {
            int k = rand() % N;
            double x = a[i], y = b[i];
            uint64_t d = document[i];
            a[i] = a[k], b[i] = b[k], document[i] = document[k];
            a[k] = x, b[k] = y, document[k] = d;
        }
        p = stats_compare(a, b, document, N, 0, work);
        CHECK(p.difference.low == first.difference.low &&
              p.difference.high == first.difference.high);
        CHECK(p.difference.value == first.difference.value && p.is_noise == first.is_noise);
    }
}

/* Two systems that are equally good are told apart in about one of twenty comparisons. */
TEST(equal_systems_are_seldom_told_apart)
{
    enum { RUNS = 300, N = 100 };
    static double a[N], b[N];
    int apart = 0;
    srand(11);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < N; i++) {
            a[i] = rand() % 10 < 7;
            b[i] = rand() % 10 < 7;
        }
        apart += !stats_compare(a, b, NULL, N, (uint64_t)run, work).is_noise;
    }
    CHECK(apart > 0 && apart < 0.08 * RUNS);
}

/* ---- groups ---- */

/* Three right answers about one document, a wrong one about another. Documents are drawn as PP, PQ,
 * QP, QQ, a quarter each: 1, 3/4, 3/4 and 0, so that a fortieth at each end leaves 0 and 1. Of
 * questions drawn one by one all four are wrong in 1 of 256 draws, three in 12 of 256: the fortieth
 * ends at 1/4, and the interval is too narrow. */
TEST(groups_are_drawn_whole)
{
    static const double right[] = {1, 0, 1, 1};
    static const uint64_t document[] = {7, 3, 7, 7};
    struct stats_interval by_group = stats_ratio(right, NULL, document, 4, 1, work);
    struct stats_interval alone = stats_ratio(right, NULL, NULL, 4, 1, work);
    CHECK(by_group.value == 0.75 && by_group.low == 0 && by_group.high == 1);
    CHECK(alone.value == 0.75 && alone.low == 0.25 && alone.high == 1);
    CHECK_EQ(stats_groups(document, 4, work), 2);
    CHECK_EQ(stats_groups(NULL, 4, work), 4);
    CHECK_EQ(stats_groups(document, 0, work), 0);
}

/* Groups of 1/1, 2/5 and 3/3: every draw of three is a ratio of sums of these, by hand 6/9; the
 * least is 2/5 (three times 2/5, 1 of 27), the most 1 (8 of 27). */
TEST(a_ratio_of_groups_is_one_of_sums)
{
    static const double x[] = {1, 1, 1.5, 1, 1.5}, y[] = {1, 2, 1, 3, 2};
    static const uint64_t document[] = {9, 1, 4, 1, 4};
    struct stats_interval r = stats_ratio(x, y, document, 5, 2, work);
    CHECK(near(r.value, 6.0 / 9) && near(r.low, 0.4) && near(r.high, 1));
    r = stats_share(x, y, document, 5, 2, work);
    CHECK(near(r.value, 3.0 / 9) && near(r.low, 0) && near(r.high, 0.6));
}

static int same(struct stats_interval a, struct stats_interval b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

TEST(a_group_for_each_question_changes_no_bit)
{
    enum { N = 200 };
    static double a[N], b[N];
    static uint64_t own[N];
    struct stats_pair p, q;
    srand(5);
    for (int i = 0; i < N; i++) {
        a[i] = rand() % 5 / 4.0;
        b[i] = rand() % 4 / 3.0;
        own[i] = (uint64_t)(i * 7919) % 1009;
    }
    CHECK(same(stats_ratio(a, b, NULL, N, 3, work), stats_ratio(a, b, own, N, 3, work)));
    CHECK(same(stats_share(a, b, NULL, N, 3, work), stats_share(a, b, own, N, 3, work)));
    p = stats_compare(a, b, NULL, N, 3, work);
    q = stats_compare(a, b, own, N, 3, work);
    CHECK(same(p.difference, q.difference) && p.groups == N && q.groups == N);
    CHECK(p.p == q.p && p.is_noise == q.is_noise);
}

/* Ten answers about each document are all alike, so that ten are worth one: intervals that ignore
 * it cover the truth far too seldom, those over documents about as often as they should. */
TEST(ignoring_groups_gives_narrow_intervals)
{
    enum { SAMPLES = 200, DOCUMENTS = 40, EACH = 10, N = DOCUMENTS * EACH };
    static double x[N];
    static uint64_t document[N];
    int by_group = 0, alone = 0, narrower = 0;
    srand(13);
    for (int s = 0; s < SAMPLES; s++) {
        struct stats_interval of_groups, of_questions;
        for (int i = 0; i < N; i++) {
            document[i] = (uint64_t)(i / EACH);
            x[i] = i % EACH ? x[i - 1] : rand() % 10 < 4;
        }
        of_groups = stats_ratio(x, NULL, document, N, (uint64_t)s, work);
        of_questions = stats_ratio(x, NULL, NULL, N, (uint64_t)s, work);
        by_group += of_groups.low <= 0.4 && 0.4 <= of_groups.high;
        alone += of_questions.low <= 0.4 && 0.4 <= of_questions.high;
        narrower += of_questions.high - of_questions.low < of_groups.high - of_groups.low;
    }
    CHECK(by_group > 0.88 * SAMPLES);
    CHECK(alone < 0.7 * SAMPLES);
    CHECK_EQ(narrower, SAMPLES);
}

/* McNemar's test takes independent pairs: documents, by what their questions say on the whole. */
TEST(pairs_of_one_document_are_no_independent_ones)
{
    enum { N = 24 };
    static double a[N], b[N];
    static uint64_t document[N];
    struct stats_pair p;
    for (int i = 0; i < N; i++) {
        document[i] = (uint64_t)(i / 12);
        a[i] = 0;
        b[i] = i < 12;
    }
    p = stats_compare(a, b, NULL, N, 1, work);
    CHECK(!p.is_noise && p.p < 0.001 && p.groups == N);
    p = stats_compare(a, b, document, N, 1, work);
    CHECK(p.is_noise && near(p.p, 1) && p.groups == 2 && p.only_b == 12);
    for (int i = 0; i < N; i++) { /* 7 of 8 documents win two questions and lose one */
        document[i] = (uint64_t)(i / 3);
        a[i] = i % 3 == 0 && i < 21;
        b[i] = i % 3 != 0 && i < 21;
    }
    p = stats_compare(a, b, document, N, 1, work);
    CHECK(near(p.p, 2.0 / 128) && !p.is_noise && p.only_a == 7 && p.only_b == 14);
    for (int i = 0; i < N; i++) { /* parts of a point, one document: no width, and no verdict */
        document[i] = 5;
        b[i] = a[i] / 2 + 0.3;
    }
    p = stats_compare(a, b, document, N, 1, work);
    CHECK(p.is_noise && p.difference.low == p.difference.high);
}

TEST(a_count_of_questions_names_documents_that_are_fewer)
{
    char text[STATS_QUESTIONS];
    CHECK_STR(stats_questions(8, 2, text), "8 questions about 2 documents");
    CHECK_STR(stats_questions(2, 1, text), "2 questions about 1 document");
    CHECK_STR(stats_questions(8, 8, text), "8 questions");
    CHECK_STR(stats_questions(1, 1, text), "1 question");
}

TEST(divergence_is_kept_by_distance)
{
    static const float full[] = {1, 0}, same[] = {3, 2}, other[] = {0, 1};
    static const int at[] = {0, 1, 2, 2, 3, 3, 3, 3, 4};
    struct stats_divergence d = {.kl = 0};
    double kl = stats_kl(full, other, 2);
    for (int step = 0; step < 9; step++) {
        CHECK_EQ(stats_distance(step), at[step]);
        stats_divergence_add(&d, full, step == 3 || step == 8 ? other : same, 2, step, 9);
    }
    CHECK_EQ(stats_distance(1 << 20), STATS_DISTANCES - 1);
    CHECK(d.steps_at[2] == 2 && d.steps_at[3] == 4 && d.steps_at[4] == 1 && d.steps_at[5] == 0);
    CHECK(kl > 0.1 && fabs(d.kl_at[2] - kl) < 1e-9 && fabs(d.kl_at[4] - kl) < 1e-9);
    CHECK(d.kl_at[0] < 1e-9 && d.kl_at[1] < 1e-9 && d.kl_at[3] < 1e-9);
}

int main(int argc, char **argv)
{
    int code;
    work = heap_alloc(stats_work_bytes(MOST));
    code = work ? check_main(argc, argv) : 1;
    heap_free(work);
    return code;
}
