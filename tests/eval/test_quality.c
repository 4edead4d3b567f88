/* test_quality.c - margins from answers, promises from margins, and files that say them wrongly. */
#include "base/file.h"
#include "eval/options/quality.h"
#include "eval/stats/stats.h"
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

static int near(double found, double expected, double within)
{
    return fabs(found - expected) < within;
}

/* 0.05 ^ (1 / 10); the others as tables of Clopper and Pearson's interval have them. */
TEST(the_least_share_is_of_clopper_and_pearson)
{
    CHECK(near(stats_least_share(10, 10, 0.95), 0.741134, 1e-6));
    CHECK(near(stats_least_share(9, 10, 0.95), 0.6058, 1e-4));
    CHECK(near(stats_least_share(19, 20, 0.95), 0.783894, 1e-5));
    CHECK(near(stats_least_share(5, 10, 0.975), 0.187086, 1e-5));
    CHECK(stats_least_share(0, 10, 0.95) == 0);
    CHECK(near(stats_least_share(2989, 3000, 0.95), 0.993938, 1e-5));
}

/* Of many samples it is at most the truth in 95 of 100, or more. */
TEST(the_least_share_is_seldom_too_high)
{
    enum { SAMPLES = 2000, N = 60 };
    int kept = 0;
    srand(17);
    for (int s = 0; s < SAMPLES; s++) {
        int right = 0;
        for (int i = 0; i < N; i++)
            right += rand() % 100 < 97;
        kept += stats_least_share(right, N, 0.95) <= 0.97;
    }
    CHECK(kept >= 0.94 * SAMPLES);
}

/* Each takes 1 over chunks, 4 more to be exact, and full prefill 5. */
static const struct quality_unit five[] = {
    {2.0, 0, 1, 4, 5}, {3.0, 1, 1, 4, 5}, {5.0, 0, 1, 4, 5}, {1.0, 1, 1, 4, 5}, {0.5, 0, 1, 4, 5}};

/* Two are others. Above 3 four of five are in doubt and none fails: (5 + 4 * 4) / 25. Above 1 two
 * are, and the one that led by 3 fails: (5 + 2 * 4) / 25. At 0 none is: 5 / 25. */
TEST(margins_follow_from_answers)
{
    struct quality_unit unit[5];
    struct quality_family f = {.n = 7};
    memcpy(unit, five, sizeof unit);
    quality_points(unit, 5, &f);
    CHECK_EQ(f.answers, 5);
    CHECK_EQ(f.n, 3);
    CHECK(f.point[0].margin > 3 && f.point[0].margin < 3.001 && f.point[0].failures == 0);
    CHECK(f.point[1].margin > 1 && f.point[1].margin < 1.001 && f.point[1].failures == 1);
    CHECK(f.point[2].margin <= 0 && f.point[2].failures == 2);
    CHECK(near(f.point[0].work, 0.84, 1e-12) && near(f.point[1].work, 0.52, 1e-12));
    CHECK(near(f.point[2].work, 0.2, 1e-12));
}

TEST(answers_that_are_all_equal_need_no_margin)
{
    struct quality_unit unit[] = {{2, 0, 1, 4, 5}, {1, 0, 1, 4, 5}};
    struct quality_family f;
    quality_points(unit, 2, &f);
    CHECK(f.n == 1 && f.point[0].margin <= 0 && f.point[0].failures == 0);
}

TEST(equal_leads_share_a_margin)
{
    struct quality_unit unit[] = {{2, 1, 1, 4, 5}, {2, 1, 1, 4, 5}, {1, 1, 1, 4, 5}};
    struct quality_family f;
    quality_points(unit, 3, &f);
    CHECK_EQ(f.n, 3);
    CHECK(f.point[0].failures == 0 && f.point[1].failures == 2 && f.point[2].failures == 3);
}

/* Thousands of failures keep to the room there is, and to falling margins. */
TEST(many_failures_are_thinned)
{
    enum { N = 20000 };
    static struct quality_unit unit[N];
    static struct quality_family f;
    for (int i = 0; i < N; i++)
        unit[i] = (struct quality_unit){1 + i * 1e-3, i % 2, 1, 4, 5};
    quality_points(unit, N, &f);
    CHECK(f.n > 60 && f.n <= QUALITY_POINTS);
    for (int i = 1; i < f.n; i++)
        CHECK(f.point[i].margin < f.point[i - 1].margin &&
              f.point[i].failures > f.point[i - 1].failures &&
              f.point[i].work <= f.point[i - 1].work);
    CHECK_EQ(f.point[f.n - 1].failures, N / 2);
}

/* Of 60 answers none other promises 0.05 ^ (1 / 60) = 0.9513, one 0.9234 (0.0766 is where one or
 * none of 60 is seen with 0.05). */
static struct quality_table sixty(void)
{
    return (struct quality_table){1, {{0, 60, 3, {{3, 0.84, 0}, {1, 0.52, 1}, {0, 0.2, 30}}}}};
}

TEST(a_promise_takes_the_cheapest_margin_that_keeps_it)
{
    struct quality_table t = sixty();
    struct quality_choice c = {.ratio = 9};
    CHECK(quality_choose(&t, 0.951, &c));
    CHECK(near(c.margin, 3, 1e-12) && c.failures == 0 && c.answers == 60);
    CHECK(near(c.lower, 0.951299, 1e-5) && near(c.work, 0.84, 1e-12) && c.ratio <= 0);
    CHECK(quality_choose(&t, 0.92, &c) && near(c.margin, 1, 1e-12));
    CHECK(near(c.lower, 0.923395, 1e-4));
    CHECK(quality_choose(&t, 0.3, &c) && c.margin <= 0);
    CHECK(!quality_choose(&t, 0.952, &c));
}

/* Two families halve what each may err: 0.025 ^ (1 / 60) = 0.9404. */
TEST(families_divide_the_error)
{
    struct quality_table t = sixty();
    struct quality_choice c;
    t.n = 2;
    t.family[1] = t.family[0];
    t.family[1].ratio = 0.15;
    t.family[1].point[0].work = 0.7;
    CHECK(!quality_choose(&t, 0.951, &c));
    CHECK(quality_choose(&t, 0.94, &c) && near(c.lower, 0.940376, 1e-5));
    CHECK(near(c.ratio, 0.15, 1e-12) && near(c.work, 0.7, 1e-12));
}

/* Margins are looked at from the safest on: behind the first that fails none counts, and what takes
 * as much as full prefill is no choice. */
TEST(full_prefill_is_left_where_no_margin_is_cheaper)
{
    struct quality_table t = sixty();
    struct quality_choice c;
    t.family[0].point[0].work = 1.1;
    CHECK(!quality_choose(&t, 0.94, &c));
    t = sixty();
    t.family[0].point[1].failures = 31; /* as no file may say */
    CHECK(quality_choose(&t, 0.4, &c) && c.failures == 0);
}

/* ---- files ---- */

static const struct vlqa_model_info model = {
    .digest = "ab01", .dtype = "bf16", .weights = "bf16", .chunk_dtype = "bf16"};

#define HEAD                                                                                   \
    "{\"format\": \"vlqa quality 1\", \"model\": \"ab01\", \"dtype\": \"bf16\", \"weights\": " \
    "\"bf16\", \"chunk_dtype\": \"bf16\", \"halo\": 4, "
#define POINT(failures, margin) \
    "{\"failures\": " #failures ", \"margin\": " #margin ", \"work\": 0.5}"
#define FAMILIES(points) \
    "\"families\": [{\"ratio\": 0, \"answers\": 60, \"points\": [" points "]}]}"
#define GOOD POINT(0, 3) ", " POINT(1, 1)

static vlqa_status read_text(struct env *env, const char *text, struct quality_file *out)
{
    struct file_part part = {text, strlen(text)};
    CHECK(file_write_atomic(env, "quality.test.json", &part, 1) == VLQA_OK);
    return quality_read(env, "quality.test.json", &model, out);
}

TEST(a_file_is_read_as_it_is_written)
{
    static struct quality_file file, found;
    struct cache_args cache = {.dir = "quality.test.d"};
    struct env env = {.message = ""};
    char path[CACHE_PATH];
    file = (struct quality_file){4, 16, 100, 60, sixty()};
    CHECK(quality_write(&env, &cache, &model, &file, path) == VLQA_OK);
    CHECK_STR(path, "quality.test.d/quality-ab01.json");
    CHECK(quality_read(&env, path, &model, &found) == VLQA_OK);
    CHECK(memcmp(&file, &found, sizeof file) == 0);
    unlink(path);
    rmdir("quality.test.d");
}

TEST(what_is_wrong_with_a_file_is_told)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "quality.test.json"},
        {"{", "quality.test.json"},
        {"[]", "format"},
        {"{\"format\": \"vlqa calibration 1\"}",
         "format is vlqa calibration 1, expected vlqa qual"},
        {"{\"format\": \"vlqa quality 1\", \"model\": \"ab02\"}",
         "model is ab02, expected ab01: it was calibrated for another model; make another with "
         "vlqa "
         "study QUESTIONS --calibrate-quality"},
        {"{\"format\": \"vlqa quality 1\", \"model\": \"ab01\", \"dtype\": \"f32\"}",
         "dtype is f32, expected bf16: it was calibrated for other settings"},
        {"{\"format\": \"vlqa quality 1\", \"model\": \"ab01\", \"dtype\": \"bf16\", \"weights\": "
         "\"int4\"}",
         "weights is int4"},
        {HEAD "\"families\": []}", "families is "},
        {HEAD "\"families\": 3}", "families is "},
        {HEAD "\"families\": [3]}", "a family is "},
        {HEAD "\"families\": [{\"ratio\": 0, \"answers\": 60}]}", "a family is "},
        {HEAD "\"families\": [{\"ratio\": 0, \"answers\": 0, \"points\": [1]}]}", "answers"},
        {HEAD "\"families\": [{\"ratio\": 2, \"answers\": 60, \"points\": [1]}]}", "ratio"},
        {HEAD FAMILIES("1"), "a point is "},
        {HEAD FAMILIES(POINT(0, NaN)), "quality.test.json"},
        {HEAD FAMILIES(POINT(0, null)), "margin"},
        {HEAD FAMILIES(POINT(0, "3")), "margin"},
        {HEAD FAMILIES(POINT(0, -1)), "margin"},
        {HEAD FAMILIES(POINT(0, 1e300)), "margin"},
        {HEAD FAMILIES(POINT(61, 3)), "failures"},
        {HEAD FAMILIES(POINT(-1, 3)), "failures"},
        {HEAD FAMILIES(POINT(0.5, 3)), "failures"},
        {HEAD FAMILIES(POINT(0, 3) ", " POINT(1, 4)), "expected more failures at smaller margins"},
        {HEAD FAMILIES(POINT(1, 3) ", " POINT(0, 2)), "expected more failures at smaller margins"},
        {HEAD FAMILIES(POINT(1, 3) ", " POINT(1, 3)), "expected more failures at smaller margins"},
        {"{\"format\": \"vlqa quality 1\", \"model\": \"ab01\", \"dtype\": \"bf16\", \"weights\": "
         "\"bf16\", \"chunk_dtype\": \"bf16\", " FAMILIES(GOOD),
         "halo"},
    };
    static struct quality_file file;
    struct env env = {.message = ""};
    CHECK(read_text(&env, HEAD FAMILIES(GOOD), &file) == VLQA_OK);
    CHECK(file.table.n == 1 && file.table.family[0].n == 2 && file.halo == 4);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        env.message[0] = 0;
        CHECK(read_text(&env, wrong[i].text, &file) == VLQA_EIO);
        CHECK_HAS(env.message, "quality.test.json");
        CHECK_HAS(env.message, wrong[i].says);
    }
    unlink("quality.test.json");
    CHECK(quality_read(&env, "quality.test.json", &model, &file) == VLQA_EIO);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
