/* test_evidence.c - scores made by hand, boxes worked out by hand. */
#include "fusion/reuse/evidence.h"

#include "base/heap.h"
#include "tests/check.h"

#define MAX_ROWS 4096

static float score[MAX_ROWS];
static struct vlqa_evidence found[EVIDENCE_MAX];

static int most = EVIDENCE_MAX;

static int find(const struct vlqa_placed_image *image, int n_images, int rows)
{
    struct arena scratch = {0};
    void *block;
    int n;
    evidence_measure(rows, &scratch);
    block = heap_alloc(scratch.peak);
    scratch = arena_over(block, scratch.peak);
    n = evidence_find(score, rows, image, n_images, (struct evidence_bounds){most, 0.05f}, &scratch,
                      found);
    CHECK_EQ(arena_mark(&scratch), 0);
    heap_free(block);
    return n;
}

static void begin(void)
{
    memset(score, 0, sizeof score);
}

static void check_box(const struct vlqa_evidence *e, int image, int x, int y, int width, int height,
                      float expected)
{
    CHECK_EQ(e->image, image);
    CHECK_EQ(e->x, x);
    CHECK_EQ(e->y, y);
    CHECK_EQ(e->width, width);
    CHECK_EQ(e->height, height);
    CHECK(e->score == expected);
}

/* 4 x 5 cells of 64 pixels: two of the twenty count. */
static const struct vlqa_placed_image even = {320, 256, 4, 5, 3, VLQA_SOURCE_COMPUTED, 0, 0};

TEST(neighbours_become_one_box)
{
    begin();
    score[3 + 1 * 5 + 2] = 0.5f;
    score[3 + 1 * 5 + 3] = 0.75f;
    score[3 + 0 * 5 + 0] = 0.25f; /* third */
    score[0] = score[23] = 9;     /* not of the image */
    CHECK_EQ(find(&even, 1, 24), 1);
    check_box(&found[0], 0, 128, 64, 128, 64, 0.75f);
}

TEST(columns_join_and_ends_of_rows_do_not)
{
    begin();
    score[3 + 2 * 5 + 4] = 2;
    score[3 + 3 * 5 + 4] = 1;
    CHECK_EQ(find(&even, 1, 24), 1);
    check_box(&found[0], 0, 256, 128, 64, 128, 2);
    begin();
    score[3 + 0 * 5 + 4] = 2; /* the next token of the prompt is the next line of cells */
    score[3 + 1 * 5 + 0] = 1;
    CHECK_EQ(find(&even, 1, 24), 2);
    check_box(&found[0], 0, 256, 0, 64, 64, 2);
    check_box(&found[1], 0, 0, 64, 64, 64, 1);
}

TEST(corners_do_not_join)
{
    begin();
    score[3 + 1 * 5 + 1] = 1;
    score[3 + 2 * 5 + 2] = 2;
    CHECK_EQ(find(&even, 1, 24), 2);
    check_box(&found[0], 0, 128, 128, 64, 64, 2);
    check_box(&found[1], 0, 64, 64, 64, 64, 1);
}

TEST(boxes_are_rounded_outwards)
{
    const struct vlqa_placed_image odd = {100, 50, 3, 7, 0, VLQA_SOURCE_COMPUTED, 0, 0};
    begin();
    score[0 * 7 + 1] = 2;
    score[2 * 7 + 6] = 1;
    CHECK_EQ(find(&odd, 1, 21), 2);
    check_box(&found[0], 0, 14, 0, 15, 17, 2);  /* 100/7 to 200/7, 0 to 50/3 */
    check_box(&found[1], 0, 85, 33, 15, 17, 1); /* 600/7 to 100, 100/3 to 50 */
}

TEST(extreme_shapes_have_boxes_inside)
{
    static const struct vlqa_placed_image shapes[] = {
        {1, 199, 40, 2, 0, VLQA_SOURCE_COMPUTED, 0, 0},
        {1000000, 1, 1, 1000, 0, VLQA_SOURCE_COMPUTED, 0, 0},
        {1, 1, 8, 8, 0, VLQA_SOURCE_COMPUTED, 0, 0},
        {1048576, 1048576, 64, 64, 0, VLQA_SOURCE_COMPUTED, 0, 0}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const struct vlqa_placed_image *im = &shapes[s];
        int last = im->grid_h * im->grid_w - 1;
        begin();
        score[last] = 1;
        REQUIRE(find(im, 1, last + 1) == 1);
        CHECK_EQ(found[0].x + found[0].width, im->width);
        CHECK_EQ(found[0].y + found[0].height, im->height);
        CHECK(found[0].x >= 0 && found[0].width >= 1 && found[0].y >= 0 && found[0].height >= 1);
    }
}

TEST(a_ring_is_its_bounding_box)
{
    const struct vlqa_placed_image im = {150, 150, 15, 15, 0, VLQA_SOURCE_COMPUTED,
                                         0,   0}; /* 12 of 225 */
    begin();
    for (int i = 0; i < 3; i++)
        score[2 * 15 + 2 + i] = score[4 * 15 + 2 + i] = 1;
    score[3 * 15 + 2] = score[3 * 15 + 4] = 1;
    CHECK_EQ(find(&im, 1, 225), 1);
    check_box(&found[0], 0, 20, 20, 30, 30, 1);
}

TEST(images_share_the_ranking)
{
    const struct vlqa_placed_image two[] = {{20, 20, 2, 2, 1, VLQA_SOURCE_COMPUTED, 0, 0},
                                            {40, 20, 4, 5, 6, VLQA_SOURCE_COMPUTED, 0, 0}};
    begin();
    score[1 + 3] = 1;
    score[6 + 19] = 3;
    CHECK_EQ(find(two, 2, 30), 2);
    check_box(&found[0], 1, 32, 15, 8, 5, 3);
    check_box(&found[1], 0, 10, 10, 10, 10, 1);
}

TEST(the_best_sixteen_are_kept_in_order)
{
    const struct vlqa_placed_image im = {400, 400, 40, 40, 0, VLQA_SOURCE_COMPUTED,
                                         0,   0}; /* 81 of 1600 */
    begin();
    for (int i = 0; i < 81; i++)
        score[(i / 9) * 80 + (i % 9) * 2] = (float)(1 + (i * 37) % 81);
    CHECK_EQ(find(&im, 1, 1600), EVIDENCE_MAX);
    for (int i = 0; i < EVIDENCE_MAX; i++)
        CHECK(found[i].score == (float)(81 - i));
}

TEST(no_score_is_no_evidence)
{
    begin();
    CHECK_EQ(find(&even, 1, 24), 0);
    score[4] = NAN;
    score[5] = -1;
    score[6] = INFINITY;
    CHECK_EQ(find(&even, 1, 24), 0);
    CHECK_EQ(find(NULL, 0, 24), 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
