/* check.h - the test harness: claims that print what was expected and what was found.
 *
 *   TEST(one_row_equals_many) { CHECK(memcmp(a, b, n) == 0); }
 *   int main(int argc, char **argv) { return check_main(argc, argv); }
 *
 * Tests register themselves and run in the order of the file; a name on the command line runs only
 * the tests that contain it. The last line is "N passed, N failed, N skipped". */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_test {
    const char *name;
    void (*run)(void);
    struct check_test *next;
};

static struct check_test *check_first;
__attribute__((unused)) static struct check_test **check_last = &check_first; /* without TEST */
static int check_failures;          /* of the running test */
static const char *check_skip_text; /* set by SKIP */

#define TEST(name)                                                            \
    static void test_##name(void);                                            \
    static struct check_test check_entry_##name = {#name, test_##name, NULL}; \
    __attribute__((constructor)) static void check_register_##name(void)      \
    {                                                                         \
        *check_last = &check_entry_##name;                                    \
        check_last = &check_entry_##name.next;                                \
    }                                                                         \
    static void test_##name(void)

#define CHECK_FAIL(...)                                     \
    do {                                                    \
        if (check_failures++ < 8) {                         \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
            fprintf(stderr, __VA_ARGS__);                   \
            fputc('\n', stderr);                            \
        }                                                   \
    } while (0)

#define CHECK(cond)                                     \
    do {                                                \
        if (!(cond)) CHECK_FAIL("not true: %s", #cond); \
    } while (0)

/* Ends the test when it does not hold: for what the rest depends on. */
#define REQUIRE(cond)                          \
    do {                                       \
        if (!(cond)) {                         \
            CHECK_FAIL("not true: %s", #cond); \
            return;                            \
        }                                      \
    } while (0)

#define CHECK_EQ(found, expected)                                                  \
    do {                                                                           \
        long long check_f_ = (long long)(found), check_e_ = (long long)(expected); \
        if (check_f_ != check_e_)                                                  \
            CHECK_FAIL("%s is %lld, expected %lld", #found, check_f_, check_e_);   \
    } while (0)

#define CHECK_STR(found, expected)                                                              \
    do {                                                                                        \
        const char *check_f_ = (found), *check_e_ = (expected);                                 \
        if (!check_f_ || strcmp(check_f_, check_e_) != 0)                                       \
            CHECK_FAIL("%s is \"%s\", expected \"%s\"", #found, check_f_ ? check_f_ : "(null)", \
                       check_e_);                                                               \
    } while (0)

/* The text contains the part: for messages. */
#define CHECK_HAS(text, part)                                                                     \
    do {                                                                                          \
        const char *check_t_ = (text), *check_p_ = (part);                                        \
        if (!check_t_ || !strstr(check_t_, check_p_))                                             \
            CHECK_FAIL("%s is \"%s\", which lacks \"%s\"", #text, check_t_ ? check_t_ : "(null)", \
                       check_p_);                                                                 \
    } while (0)

#define SKIP(reason)                \
    do {                            \
        check_skip_text = (reason); \
        return;                     \
    } while (0)

/* How two arrays differ. */
struct check_diff {
    double max_abs, rel_l2, cosine;
    long not_finite, first_bad; /* index of the largest error */
};

static inline struct check_diff check_compare(const float *found, const float *expected, long n)
{
    struct check_diff d = {0, 0, 0, 0, 0};
    double err = 0, ref = 0, dot = 0, norm = 0;
    for (long i = 0; i < n; i++) {
        double f = (double)found[i], e = (double)expected[i], a = fabs(f - e);
        if (!isfinite(f)) d.not_finite++;
        if (!(a <= d.max_abs)) {
            d.max_abs = a;
            d.first_bad = i;
        }
        err += a * a, ref += e * e, dot += f * e, norm += f * f;
    }
    d.rel_l2 = ref > 0 ? sqrt(err / ref) : sqrt(err);
    d.cosine = ref > 0 && norm > 0 ? dot / sqrt(ref * norm) : 1;
    return d;
}

#define CHECK_CLOSE_(found, expected, n, member, bound)                                        \
    do {                                                                                       \
        struct check_diff check_d_ = check_compare(found, expected, (long)(n));                \
        if (!(check_d_.member <= (bound)) || check_d_.not_finite)                              \
            CHECK_FAIL("%s against %s: %s %g over %g (max %g at %ld, rel L2 %g, cosine %.6f, " \
                       "%ld not finite)",                                                      \
                       #found, #expected, #member, check_d_.member, (double)(bound),           \
                       check_d_.max_abs, check_d_.first_bad, check_d_.rel_l2, check_d_.cosine, \
                       check_d_.not_finite);                                                   \
    } while (0)

#define CHECK_CLOSE(found, expected, n, bound) CHECK_CLOSE_(found, expected, n, rel_l2, bound)
#define CHECK_NEAR(found, expected, n, bound) CHECK_CLOSE_(found, expected, n, max_abs, bound)
#define CHECK_COSINE(found, expected, n, bound)                                                   \
    do {                                                                                          \
        struct check_diff check_d_ = check_compare(found, expected, (long)(n));                   \
        if (!(check_d_.cosine >= (bound)) || check_d_.not_finite)                                 \
            CHECK_FAIL("%s against %s: cosine %.6f under %g", #found, #expected, check_d_.cosine, \
                       (double)(bound));                                                          \
    } while (0)

static inline int check_main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;
    for (struct check_test *t = check_first; t; t = t->next) {
        int wanted = argc < 2;
        for (int i = 1; i < argc; i++)
            wanted |= strstr(t->name, argv[i]) != NULL;
        if (!wanted) continue;
        check_failures = 0;
        check_skip_text = NULL;
        t->run();
        if (check_failures) {
            failed++;
            printf("FAIL %s (%d)\n", t->name, check_failures);
        } else if (check_skip_text) {
            skipped++;
            printf("skip %s: %s\n", t->name, check_skip_text);
        } else {
            passed++;
            printf("ok   %s\n", t->name);
        }
        fflush(stdout);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}

#endif
