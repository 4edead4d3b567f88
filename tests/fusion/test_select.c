/* test_select.c - the tokens of the highest score, against sorting them all. */
#include "fusion/reuse/select.h"

#include "tests/check.h"

#define MOST 300

static const float *compared; /* by sort_order: qsort hands nothing on */

/* Higher score first, then the lower token; NaN behind everything. */
static int sort_order(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    float x = compared[i], y = compared[j];
    if (isnan(x) != isnan(y)) return isnan(x) ? 1 : -1;
    if (!isnan(x) && x != y) return x > y ? -1 : 1;
    return i < j ? -1 : 1;
}

static int select_naively(const float *score, const uint8_t *candidate, int n, int budget,
                          uint8_t *chosen)
{
    int32_t order[MOST];
    int count = 0;
    for (int i = 0; i < n; i++) {
        chosen[i] = 0;
        if (candidate[i]) order[count++] = i;
    }
    compared = score;
    qsort(order, (size_t)count, sizeof *order, sort_order);
    if (budget < count) count = budget > 0 ? budget : 0;
    for (int i = 0; i < count; i++)
        chosen[order[i]] = 1;
    return count;
}

static void compare(const float *score, const uint8_t *candidate, int n, int budget)
{
    uint8_t found[MOST + 1], expected[MOST];
    int32_t order[MOST + 1];
    int count = select_naively(score, candidate, n, budget, expected);
    memset(found, 7, sizeof found); /* nothing is left over from before */
    order[n] = -5;
    CHECK_EQ(select_top(score, candidate, NULL, n, budget, order, found), count);
    CHECK(memcmp(found, expected, (size_t)n) == 0);
    CHECK(found[n] == 7 && order[n] == -5);
    select_sort(score, NULL, order, count);
    compared = score;
    for (int i = 0; i < count; i++)
        CHECK(found[order[i]] == 1 && (!i || sort_order(&order[i - 1], &order[i]) < 0));
}

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Scores of few different values among them infinities and NaN: ties everywhere. */
TEST(any_budget_chooses_what_sorting_would)
{
    static const float values[] = {0.5f,     1.0f,      -1.0f, 0.0f, -0.0f,
                                   INFINITY, -INFINITY, NAN,   2.0f, 1e-40f};
    uint32_t state = 1;
    for (int round = 0; round < 400; round++) {
        float score[MOST];
        uint8_t candidate[MOST];
        int n = (int)(random_next(&state) % MOST), few = round % 3;
        for (int i = 0; i < n; i++) {
            score[i] = few ? values[random_next(&state) % 10] : (float)random_next(&state);
            candidate[i] = round % 2 || random_next(&state) % 4;
        }
        compare(score, candidate, n, (int)(random_next(&state) % (MOST + 1)));
        compare(score, candidate, n, select_count(candidate, n));
        compare(score, candidate, n, select_count(candidate, n) - 1);
        compare(score, candidate, n, 1);
        compare(score, candidate, n, 0);
        compare(score, candidate, n, -1);
        compare(score, candidate, n, n + 1);
    }
}

TEST(equal_scores_go_to_the_lower_row)
{
    const float score[] = {1, 3, 1, 3, 1, 3};
    const uint8_t all[] = {1, 1, 1, 1, 1, 1};
    uint8_t chosen[6];
    int32_t order[6];
    CHECK_EQ(select_top(score, all, NULL, 6, 4, order, chosen), 4);
    CHECK(memcmp(chosen, (uint8_t[]){1, 1, 0, 1, 0, 1}, 6) == 0);
    CHECK_EQ(select_top(score, all, NULL, 6, 5, order, chosen), 5);
    CHECK(memcmp(chosen, (uint8_t[]){1, 1, 1, 1, 0, 1}, 6) == 0);
}

TEST(equal_scores_go_to_the_lower_rank_where_there_are_ranks)
{
    const float score[] = {1, 3, 1, 3, 1, NAN};
    const uint8_t all[] = {1, 1, 1, 1, 1, 1};
    const int32_t rank[] = {5, 4, 3, 2, 1, 0};
    uint8_t chosen[6];
    int32_t order[6];
    CHECK_EQ(select_top(score, all, rank, 6, 3, order, chosen), 3);
    CHECK(memcmp(chosen, (uint8_t[]){0, 1, 0, 1, 1, 0}, 6) == 0);
    select_sort(score, rank, order, 3);
    CHECK(memcmp(order, (int32_t[]){3, 1, 4}, 3 * sizeof *order) == 0);
    CHECK_EQ(select_top(score, all, rank, 6, 5, order, chosen), 5);
    CHECK(memcmp(chosen, (uint8_t[]){1, 1, 1, 1, 1, 0}, 6) == 0);
}

TEST(nan_comes_last_and_then_the_lower_row)
{
    const float score[] = {NAN, -INFINITY, NAN, 0, NAN};
    const uint8_t all[] = {1, 1, 1, 1, 1};
    uint8_t chosen[5];
    int32_t order[5];
    select_top(score, all, NULL, 5, 2, order, chosen);
    CHECK(memcmp(chosen, (uint8_t[]){0, 1, 0, 1, 0}, 5) == 0);
    select_top(score, all, NULL, 5, 4, order, chosen);
    CHECK(memcmp(chosen, (uint8_t[]){1, 1, 1, 1, 0}, 5) == 0);
}

TEST(only_candidates_are_chosen)
{
    const float score[] = {9, 1, 8, 2, 7};
    const uint8_t some[] = {0, 1, 0, 255, 0};
    uint8_t chosen[5];
    int32_t order[5];
    CHECK_EQ(select_count(some, 5), 2);
    CHECK_EQ(select_top(score, some, NULL, 5, 5, order, chosen), 2);
    CHECK(memcmp(chosen, (uint8_t[]){0, 1, 0, 1, 0}, 5) == 0);
    CHECK_EQ(select_count(some, 0), 0);
    CHECK_EQ(select_top(score, some, NULL, 0, 5, order, chosen), 0);
}

TEST(a_budget_is_rounded_down_and_never_more_than_there_is)
{
    CHECK_EQ(select_budget(0, 1000), 0);
    CHECK_EQ(select_budget(1, 1000), 1000);
    CHECK_EQ(select_budget(1, 0), 0);
    CHECK_EQ(select_budget(0.5f, 7), 3);
    CHECK_EQ(select_budget(0.999f, 1), 0);
    CHECK_EQ(select_budget(2, 10), 10);
    CHECK_EQ(select_budget(-1, 10), 0);
    CHECK_EQ(select_budget(1, 1 << 20), 1 << 20);
    for (int n = 0; n < 2000; n++) {
        int budget = select_budget(0.15f, n);
        CHECK(budget <= (double)0.15f * n && budget + 1 > (double)0.15f * n);
    }
}

/* ---- closing ---- */

/* A picture of 7 x 5 cells behind two tokens and before one, as it is drawn: digits are scores, '.'
 * is 0, '#' may not be chosen. Draws what was chosen: 'x', and '-' for the rest. */
struct drawing {
    const char *cells;
    int budget, radius;
    const char *expected;
};

static void draw(struct drawing d)
{
    enum { N = 2 + 35 + 1 };
    const struct select_grid grid = {2, 5, 7};
    float score[N] = {0};
    uint8_t candidate[N], chosen[N];
    int32_t order[N], work[SELECT_CLOSED_WORK(N)];
    char found[36] = "";
    int count, marks = 0;
    for (int i = 0; i < N; i++)
        candidate[i] = 0;
    for (int i = 0; i < 35; i++) {
        candidate[2 + i] = d.cells[i] != '#';
        score[2 + i] = d.cells[i] == '.' || d.cells[i] == '#' ? 0 : (float)(d.cells[i] - '0');
    }
    count = select_closed(score, candidate, N, d.budget, &grid, 1, d.radius, order, chosen, work);
    for (int i = 0; i < 35; i++) {
        found[i] = chosen[2 + i] ? 'x' : '-';
        marks += chosen[2 + i];
    }
    CHECK_EQ(count, d.budget);
    CHECK_EQ(marks, d.budget);
    CHECK_STR(found, d.expected);
    for (int i = 1; i < count; i++)
        CHECK(order[i - 1] < order[i]);
}

TEST(gaps_are_closed_within_the_budget)
{
    /* One cell between two, the third best goes for it; the edge is no gap. */
    draw((struct drawing){"......."
                          ".9.8..."
                          "......."
                          ".....7."
                          ".......",
                          3, 1,
                          "-------"
                          "-xxx---"
                          "-------"
                          "-------"
                          "-------"});
    /* No room for the gap: what remains goes by score. */
    draw((struct drawing){"......."
                          ".9.8..."
                          "......."
                          ".....7."
                          ".......",
                          2, 1,
                          "-------"
                          "-x-x---"
                          "-------"
                          "-------"
                          "-------"});
    /* A frame closes; a cell that may not be chosen costs nothing and stays out. */
    draw((struct drawing){"......."
                          ".987..."
                          ".6#5..."
                          ".432..."
                          "......1",
                          9, 1,
                          "-------"
                          "-xxx---"
                          "-x-x---"
                          "-xxx---"
                          "------x"});
    /* A gap of two closes with radius 1, one of three with radius 2 alone. */
    draw((struct drawing){"......."
                          "9..8..."
                          "......."
                          "......."
                          ".......",
                          4, 1,
                          "-------"
                          "xxxx---"
                          "-------"
                          "-------"
                          "-------"});
    draw((struct drawing){"......."
                          "......."
                          "9...8.."
                          "......."
                          "......1",
                          3, 1,
                          "-------"
                          "-------"
                          "x---x--"
                          "-------"
                          "------x"});
    draw((struct drawing){"......."
                          "......."
                          "9...8.."
                          "......."
                          "......1",
                          5, 2,
                          "-------"
                          "-------"
                          "xxxxx--"
                          "-------"
                          "-------"});
}

/* What select_closed promises, by the definition and cell by cell. */
TEST(closing_keeps_the_budget_and_the_best)
{
    uint32_t state = 7;
    for (int round = 0; round < 200; round++) {
        enum { H = 9, W = 8, N = 2 * H * W + 5 };
        const struct select_grid grid[2] = {{1, H, W}, {3 + H * W, H, W}};
        float score[N];
        uint8_t candidate[N], chosen[N], top[N];
        int32_t order[N], work[SELECT_CLOSED_WORK(N)];
        int budget = (int)(random_next(&state) % N), count, seeds = 0;
        for (int i = 0; i < N; i++) {
            score[i] = (float)(random_next(&state) % 50);
            candidate[i] = random_next(&state) % 5 > 0;
        }
        count =
            select_closed(score, candidate, N, budget, grid, 2, 1 + round % 3, order, chosen, work);
        CHECK_EQ(count, select_top(score, candidate, NULL, N, budget, order, top));
        CHECK_EQ(select_count(chosen, N), count);
        for (int i = 0; i < N; i++)
            CHECK(!chosen[i] || candidate[i]);
        select_sort(score, NULL, order, count);
        while (seeds < count && chosen[order[seeds]])
            seeds++;
        CHECK(count == 0 || seeds > 0); /* the best one always */
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
