/* test_repaired.c - repaired rows survive being written, and what is written stays small. */
#include "eval/run/repaired.h"

#include "base/heap.h"
#include "tests/check.h"

enum { ROWS = 40000 };
static uint8_t selected[ROWS];

/* The line of an answer about images of these grids, one after the other behind three rows. */
static char *line_of(struct vlqa_placed_image *image, int n)
{
    struct vlqa_answer a = {.image = image, .n_images = n, .token_selected = selected};
    struct report r = report_begin();
    int row = 3;
    for (int i = 0; i < n; i++) {
        image[i].first_token = row;
        row += image[i].grid_h * image[i].grid_w;
    }
    CHECK(row <= ROWS);
    repaired_report(&r, &a);
    return report_end(&r);
}

static void check_line(struct vlqa_placed_image *image, int n, const char *expected)
{
    char *line = line_of(image, n);
    REQUIRE(line);
    CHECK_STR(line, expected);
    heap_free(line);
}

static void select_rows(const int *row, int n)
{
    memset(selected, 0, sizeof selected);
    for (int i = 0; i < n; i++)
        selected[row[i]] = (uint8_t)(1 + i); /* the selection round */
}

TEST(rows_are_bits_of_their_image)
{
    struct vlqa_placed_image image[2] = {{.grid_h = 2, .grid_w = 3}, {.grid_h = 1, .grid_w = 2}};
    static const int both[] = {3, 8, 9}, second[] = {10}, text[] = {2, 11};
    select_rows(both, 3);
    check_line(image, 2, "{\"repaired\":[\"2x3:84\",\"1x2:8\"]}");
    select_rows(second, 1);
    check_line(image, 2, "{\"repaired\":[\"2x3:\",\"1x2:4\"]}");
    select_rows(text, 2); /* no rows of images */
    check_line(image, 2, "{}");
    select_rows(text, 0);
    check_line(image, 2, "{}");
    check_line(image, 0, "{}");
}

TEST(what_is_written_reads_back)
{
    static const struct {
        int h, w, side;
    } grid[] = {{1, 1, 1}, {7, 10, 1}, {32, 64, 1}, {33, 64, 2}, {91, 161, 4}, {1, 32000, 16}};
    srand(5);
    for (size_t g = 0; g < sizeof grid / sizeof *grid; g++) {
        struct vlqa_placed_image image = {.grid_h = grid[g].h, .grid_w = grid[g].w};
        char *line, *text;
        struct repaired r;
        int h, w;
        for (int i = 0; i < ROWS; i++)
            selected[i] = rand() % (7 * grid[g].side) == 0 || i == 3;
        line = line_of(&image, 1);
        REQUIRE(line && strlen(line) < 64 + REPAIRED_CELLS / 4);
        text = strchr(line, '[') + 2;
        text[strcspn(text, "\"")] = 0;
        REQUIRE(repaired_read(text, &r));
        CHECK(r.h == grid[g].h && r.w == grid[g].w && r.side == grid[g].side);
        h = repaired_squares(r.h, r.side);
        w = repaired_squares(r.w, r.side);
        for (int square = 0; square < h * w; square++) {
            int any = 0, top = square / w * r.side, left = square % w * r.side;
            for (int y = top; y < top + r.side && y < r.h; y++)
                for (int x = left; x < left + r.side && x < r.w; x++)
                    any |= selected[3 + y * r.w + x];
            CHECK_EQ(repaired_at(&r, square / w, square % w), any);
        }
        heap_free(line);
    }
}

TEST(other_texts_are_refused)
{
    static const char *const bad[] = {"",        "7x10",           "x10:00",  "0x4:8",
                                      "7x-1:8",  "2x2:g",          "2x2/0:8", "2x2/:8",
                                      "64x64:8", "999999x999999:", "2x2: 8",  "2x2/2 8"};
    struct repaired r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!repaired_read(bad[i], &r));
    REQUIRE(repaired_read("2x2:9fffffff", &r)); /* digits too many are not looked at */
    CHECK(repaired_at(&r, 0, 0) && !repaired_at(&r, 0, 1) && repaired_at(&r, 1, 1));
    REQUIRE(repaired_read("9x9:", &r));
    CHECK(!repaired_at(&r, 8, 8));
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
