/* test_position.c - M-RoPE coordinates and angles against golden numbers (docs/MODEL.md). */
#include "text/position.h"

#include "kernels/ops.h"
#include "tests/check.h"

static const struct rope_config qwen = {5e6, 128, {24, 20, 20}};

static void check_pos(struct pos found, int t, int h, int w)
{
    if (found.t != t || found.h != h || found.w != w)
        CHECK_FAIL("position is (%d, %d, %d), expected (%d, %d, %d)", found.t, found.h, found.w, t,
                   h, w);
}

TEST(one_image_between_texts)
{
    struct pos pos[20];
    int32_t next = 0;
    position_text(&next, 4, pos);
    position_image(&next, (struct grid){2, 3}, pos + 4);
    position_text(&next, 10, pos + 10);
    check_pos(pos[4], 4, 4, 4);
    check_pos(pos[6], 4, 4, 6);
    check_pos(pos[7], 4, 5, 4);
    check_pos(pos[9], 4, 5, 6);
    check_pos(pos[10], 7, 7, 7); /* max(h, w) = 3 further */
    check_pos(pos[19], 16, 16, 16);
    CHECK_EQ(next, 17); /* slot 20: rope_delta -3 */
}

TEST(second_image_starts_after_the_first)
{
    struct pos pos[32];
    int32_t next = 0;
    position_text(&next, 4, pos);
    position_image(&next, (struct grid){2, 3}, pos);
    position_text(&next, 2, pos);
    position_image(&next, (struct grid){2, 2}, pos);
    check_pos(pos[0], 9, 9, 9);
    position_text(&next, 3, pos);
    check_pos(pos[0], 11, 11, 11);
    CHECK_EQ(next, 14);
}

TEST(a_wide_image_advances_by_its_width_a_tall_one_by_its_height)
{
    struct pos pos[16];
    int32_t next = 100;
    position_image(&next, (struct grid){1, 7}, pos);
    CHECK_EQ(next, 107);
    position_image(&next, (struct grid){5, 2}, pos);
    CHECK_EQ(next, 112);
}

static void table_of(struct pos pos, float *row)
{
    static float inverse[3 * 64];
    struct env env = {0};
    struct device *d;
    struct queue *q;
    const int32_t at[3] = {pos.t, pos.h, pos.w};
    REQUIRE(device_open(&env, VLQA_CPU_AUTO, &d) == VLQA_OK && queue_open(d, &env, &q) == VLQA_OK);
    rope_inverse(&qwen, inverse);
    k_angles(q, mat_of(row, DT_F32, 1, 128), (struct ints){at, at, 3},
             mat_of(inverse, DT_F32, 3, 64));
    queue_close(q);
    device_close(d);
}

TEST(angles_are_interleaved)
{
    static const float cosine[6] = {-0.6536436f, -0.7055783f, -0.8453481f,
                                    -0.3618897f, -0.3296307f, -0.2252723f};
    float row[128], turn[128];
    table_of((struct pos){4, 5, 6}, row);
    CHECK_NEAR(row, cosine, 6, 2e-6);
    /* frequencies 60 to 63 turn by t: 4 * 5.24464e-7 */
    float slow = 4 * 5.24464e-7f;
    CHECK_NEAR(&row[64 + 60], &slow, 1, 1e-11);
    for (int i = 0; i < 64; i++) { /* which coordinate moves frequency i */
        struct pos only[3] = {{9, 0, 0}, {0, 9, 0}, {0, 0, 9}};
        int owner = i < 60 ? i % 3 : 0;
        for (int axis = 0; axis < 3; axis++) {
            table_of(only[axis], turn);
            CHECK((turn[64 + i] != 0.0f) == (axis == owner));
        }
    }
}

TEST(text_turns_as_ordinary_rope)
{
    float row[128];
    table_of((struct pos){7, 7, 7}, row);
    for (int i = 0; i < 64; i++) {
        double angle = 7 * pow(5e6, -2.0 * i / 128);
        CHECK(fabs((double)row[i] - cos(angle)) < 2e-6);
        CHECK(fabs((double)row[64 + i] - sin(angle)) < 2e-6);
    }
}

TEST(large_positions_are_reduced_exactly)
{
    float row[128];
    for (int p = 1000; p < 262144; p = p * 3 + 1) {
        table_of((struct pos){p, p, p}, row);
        CHECK(fabs((double)row[0] - cos((double)p)) < 1e-7);
        CHECK(fabs((double)row[64] - sin((double)p)) < 1e-7);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
