/* test_canvas.c - what is drawn, pixel by pixel, and whether the PNG says the same. */
#include "eval/report/canvas.h"

#include "tests/check.h"
#include "tests/vision/load_image.h"

#include <unistd.h>

static const struct colour black = {0, 0, 0, 1}, half_red = {1, 0, 0, 0.5f};

static struct canvas open_canvas(int width, int height)
{
    struct env env = {0};
    struct canvas c;
    CHECK_EQ(canvas_open(&env, width, height, &c), VLQA_OK);
    return c;
}

static const uint8_t *at(const struct canvas *c, int x, int y)
{
    return c->rgb + ((size_t)y * (size_t)c->width + (size_t)x) * 3;
}

static int count_black(const struct canvas *c)
{
    int n = 0;
    for (int i = 0; i < c->width * c->height; i++)
        n += c->rgb[3 * i] == 0;
    return n;
}

TEST(areas_are_clipped)
{
    static const struct area outside[] = {
        {-5, -5, 5, 5}, {10, 0, 3, 3}, {0, 8, 9, 9}, {2, 2, 0, 4}, {2, 2, -3, 4}};
    struct canvas c = open_canvas(10, 8);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        canvas_fill(&c, outside[i], black);
        CHECK_EQ(count_black(&c), 0);
    }
    canvas_fill(&c, (struct area){-2, -2, 4, 3}, black);
    CHECK_EQ(count_black(&c), 2);
    canvas_fill(&c, (struct area){8, 7, 100, 100}, black);
    CHECK_EQ(count_black(&c), 4);
    canvas_free(&c);
}

TEST(colours_are_blended)
{
    struct canvas c = open_canvas(2, 1);
    canvas_fill(&c, (struct area){0, 0, 1, 1}, half_red);
    CHECK(at(&c, 0, 0)[0] == 255 && at(&c, 0, 0)[1] == 128 && at(&c, 0, 0)[2] == 128);
    CHECK(at(&c, 1, 0)[1] == 255);
    canvas_free(&c);
}

TEST(a_frame_lies_inside_and_meets_itself_once)
{
    struct canvas c = open_canvas(12, 12);
    canvas_frame(&c, (struct area){2, 3, 6, 5}, 1, half_red);
    for (int y = 0; y < 12; y++)
        for (int x = 0; x < 12; x++) {
            int in = x >= 2 && x < 8 && y >= 3 && y < 8;
            int edge = in && (x == 2 || x == 7 || y == 3 || y == 7);
            CHECK_EQ(at(&c, x, y)[1], edge ? 128 : 255);
        }
    canvas_free(&c);
}

TEST(images_are_enlarged_and_shrunk)
{
    uint8_t four[12] = {0, 0, 0, 100, 100, 100, 200, 200, 200, 20, 20, 20};
    const struct vlqa_pixels image = {four, 2, 2};
    struct canvas c = open_canvas(8, 4);
    canvas_image(&c, (struct area){0, 0, 4, 4}, &image);
    canvas_image(&c, (struct area){5, 1, 1, 1}, &image);
    CHECK_EQ(at(&c, 1, 1)[0], 0);
    CHECK_EQ(at(&c, 2, 1)[0], 100);
    CHECK_EQ(at(&c, 1, 2)[0], 200);
    CHECK_EQ(at(&c, 3, 3)[2], 20);
    CHECK_EQ(at(&c, 5, 1)[0], 80); /* the mean */
    CHECK_EQ(at(&c, 4, 0)[0], 255);
    canvas_free(&c);
}

TEST(text_has_ink_and_a_width)
{
    char lots[400];
    struct canvas c = open_canvas(200, 30);
    memset(lots, 'W', sizeof lots - 1);
    lots[sizeof lots - 1] = 0;
    canvas_text(&c, 4, 4, "score 1.5", black);
    CHECK(count_black(&c) > 100);
    CHECK(canvas_text_width("score 1.5") > 60 && canvas_text_width("score 1.5") < 140);
    CHECK_EQ(canvas_text_width(""), 0);
    canvas_text(&c, -50, -3, lots, black); /* cut, and no harm */
    canvas_free(&c);
}

TEST(the_png_holds_the_pixels)
{
    const struct image_limits limits = {1000000, VLQA_IMAGE_HF};
    char path[] = "/tmp/vlqa-canvas-XXXXXX";
    struct env env = {0};
    struct canvas c = open_canvas(37, 21);
    struct image image;
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    for (int i = 0; i < 37 * 21 * 3; i++)
        c.rgb[i] = (uint8_t)(i * 7 + i / 100);
    REQUIRE(canvas_write(&env, &c, path) == VLQA_OK);
    REQUIRE(load_image(&env, path, &limits, &image) == VLQA_OK);
    CHECK(image.width == 37 && image.height == 21);
    CHECK(memcmp(image.rgb, c.rgb, 37 * 21 * 3) == 0);
    image_free(&image);
    canvas_free(&c);
    unlink(path);
    c = open_canvas(1, 1);
    CHECK_EQ(canvas_write(&env, &c, "/none/such/file.png"), VLQA_EIO);
    CHECK_HAS(env.message, "/none/such");
    canvas_free(&c);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
