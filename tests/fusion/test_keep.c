/* test_keep.c - which tokens a layer keeps: rules on numbers that a hand can check. */
#include "fusion/compress/keep.h"

#include "tests/check.h"

#define MOST 64

static const int32_t number[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static float score[MOST], work[MOST];

static void score_by(struct keep_rule rule, int m, const float *attention, int budget)
{
    keep_score(&rule, &(struct keep_tokens){m, number, attention}, budget, score, work);
}

/* "x..x": the tokens that are kept. */
static const char *kept_of(int m, int budget, int recent)
{
    static char text[MOST + 1];
    int32_t order[MOST];
    uint8_t candidate[MOST], keep[MOST];
    int n = keep_best(score, m, budget, recent, order, candidate, keep), count = 0;
    for (int i = 0; i < m; i++) {
        text[i] = keep[i] ? 'x' : '.';
        count += keep[i] != 0;
    }
    text[m] = 0;
    CHECK_EQ(n, count);
    return text;
}

TEST(last_tokens_are_kept_whatever_their_scores)
{
    static const float attention[] = {5, 1, 4, 2, 3, 0, 0, 0};
    score_by((struct keep_rule){.by = VLQA_COMPRESS_TOVA, .recent = 2}, 8, attention, 4);
    CHECK_STR(kept_of(8, 4, 2), "x.x...xx");
    CHECK_STR(kept_of(8, 2, 2), "......xx");
    CHECK_STR(kept_of(8, 8, 2), "xxxxxxxx");
    CHECK_STR(kept_of(8, 100, 2), "xxxxxxxx");
    CHECK_STR(kept_of(1, 4, 2), "x");
}

TEST(recent_tokens_leave_room_for_others)
{
    CHECK_EQ(keep_recent(VLQA_COMPRESS_SNAPKV, 16, 100), 16);
    CHECK_EQ(keep_recent(VLQA_COMPRESS_SNAPKV, 16, 9), 5);
    CHECK_EQ(keep_recent(VLQA_COMPRESS_H2O, 16, 100), 50);
    CHECK_EQ(keep_recent(VLQA_COMPRESS_STREAMING, 16, 100), 96);
    CHECK_EQ(keep_recent(VLQA_COMPRESS_STREAMING, 16, 6), 3);
    CHECK_EQ(keep_recent(VLQA_COMPRESS_TOVA, 16, 100), 1);
}

TEST(streaming_keeps_the_first_four_and_the_last)
{
    static const float attention[12] = {0, 0, 0, 0, 0, 9, 9, 9};
    struct keep_rule rule = {.by = VLQA_COMPRESS_STREAMING};
    rule.recent = keep_recent(rule.by, 16, 10);
    score_by(rule, 12, attention, 10);
    CHECK_STR(kept_of(12, 10, rule.recent), "xxxx..xxxxxx");
    rule.recent = keep_recent(rule.by, 16, 6); /* no room for four and as many */
    score_by(rule, 12, attention, 6);
    CHECK_STR(kept_of(12, 6, rule.recent), "xxx......xxx");
}

TEST(uniform_is_evenly_spaced)
{
    struct keep_rule rule = {.by = VLQA_COMPRESS_UNIFORM, .recent = 1};
    score_by(rule, 12, NULL, 5);
    CHECK_STR(kept_of(12, 5, 1), "x.x..x..x..x");
}

/* A token is as good as the mean of the two on either side and itself. */
TEST(snapkv_looks_at_neighbours)
{
    static const float attention[] = {0, 0, 0, 5, 0, 0, 0, 0, 0, 4, 4, 0};
    score_by((struct keep_rule){.by = VLQA_COMPRESS_SNAPKV, .recent = 1}, 12, attention, 4);
    CHECK(fabsf(score[1] - 1.0f) < 1e-6f && fabsf(score[5] - 1.0f) < 1e-6f);
    CHECK(fabsf(score[9] - 1.6f) < 1e-6f && fabsf(score[6]) < 1e-6f);
    CHECK_STR(kept_of(12, 4, 1), "........xxxx");
}

/* Half of it attention, pooled and from 0 to 1; half entropy x change, from 0 to 1. */
TEST(infokv_mixes_attention_and_information)
{
    static const float attention[] = {10, 0, 0, 0, 0, 0, 0, 0};
    static const float entropy[] = {0, 0, 1, 0, 0, 2, 3, 0}, change[] = {1, 1, 1, 1, 1, 1, 0, 1};
    struct keep_rule rule = {.by = VLQA_COMPRESS_INFOKV,
                             .recent = 1,
                             .share = 0.25f,
                             .entropy = entropy,
                             .change = change};
    static const float expected[] = {0.75f, 0.75f, 0.875f, 0, 0, 0.25f, 0, 0};
    score_by(rule, 8, attention, 4);
    CHECK_NEAR(score, expected, 8, 1e-6);
    rule.share = 1;
    score_by(rule, 8, attention, 4);
    CHECK_STR(kept_of(8, 3, 1), "..x..x.x");
}

TEST(a_pyramid_has_the_budget_on_the_average)
{
    int sum = 0;
    for (int layer = 0; layer < 9; layer++) {
        int of_layer = keep_budget(VLQA_COMPRESS_PYRAMIDKV, 116, 16, 9, layer);
        if (layer) CHECK(of_layer < keep_budget(VLQA_COMPRESS_PYRAMIDKV, 116, 16, 9, layer - 1));
        CHECK_EQ(keep_budget(VLQA_COMPRESS_SNAPKV, 116, 16, 9, layer), 116);
        sum += of_layer;
    }
    CHECK_EQ(keep_budget(VLQA_COMPRESS_PYRAMIDKV, 116, 16, 9, 0), 16 + 195);
    CHECK_EQ(keep_budget(VLQA_COMPRESS_PYRAMIDKV, 116, 16, 9, 8), 16 + 5);
    CHECK(sum >= 9 * 116 && sum <= 9 * 116 + 9);
    CHECK_EQ(keep_budget(VLQA_COMPRESS_PYRAMIDKV, 116, 16, 1, 0), 116);
}

TEST(heads_share_what_a_layer_keeps)
{
    static const float scores[2][8] = {{9, 8, 7, 6, 5, 4, 0, 0}, {3, 2, 1, 1, 1, 1, 0, 0}};
    static const int32_t m[] = {8, 7};
    uint8_t candidate[2][8], more[2][8], keep[2][8];
    int32_t order[2 * 8];
    struct keep_heads h = {2, 8, m, scores[0], candidate[0], more[0], order, keep[0]};
    keep_together(&h, 4, 1); /* of 8: each its last one; the rest goes by score */
    CHECK(memcmp(keep[0], "\1\1\1\1\1\1\0\1", 8) == 0);
    CHECK(memcmp(keep[1], "\0\0\0\0\0\0\1\0", 8) == 0);
    keep_together(&h, 6, 1); /* of 12: each its last one and one more, and the eight best */
    CHECK(memcmp(keep[0], "\1\1\1\1\1\1\0\1", 8) == 0);
    CHECK(memcmp(keep[1], "\1\1\1\1\0\0\1\0", 8) == 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
