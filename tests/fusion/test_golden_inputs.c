/* test_golden_inputs.c - what goes into the model against transformers: sizes, resized pixels,
 * patches, and the positions of tokens. */
#include "fusion/engine/model.h"
#include "fusion/layout/layout.h"

#include "base/heap.h"
#include "tests/check.h"
#include "tests/vision/load_image.h"
#include "vision/resize.h"

#define GOLDEN VLQA_SOURCE_DIR "/tests/golden/"
#define MAX_ROWS 64
#define MAX_IMAGES 4

struct model {
    struct decoder_config text;
    struct vit_config vision;
    struct model_ids ids;
};

static int model_of(const char *checkpoint, struct model *out)
{
    struct env env = {0};
    struct hash digest;
    char path[512];
    memset(out, 0, sizeof *out);
    hash_begin(&digest, "test");
    snprintf(path, sizeof path, GOLDEN "%s", checkpoint);
    if (model_read(&env, path, &out->text, &out->vision, &out->ids, &digest) == VLQA_OK) return 1;
    CHECK_FAIL("%s: %s", checkpoint, env.message);
    return 0;
}

static int image_of(const char *name, struct image *out)
{
    struct image_limits limits = {1 << 20, VLQA_IMAGE_WHITE};
    struct env env = {0};
    char path[512];
    snprintf(path, sizeof path, GOLDEN "images/%s", name);
    if (load_image(&env, path, &limits, out) == VLQA_OK) return 1;
    CHECK_FAIL("%s", env.message);
    return 0;
}

/* fn is called with every token of cases.json. Returns their number. */
static int each_case(void (*fn)(const struct json *row))
{
    struct env env = {0};
    struct json_doc *doc;
    int n = 0;
    if (json_read(&env, GOLDEN "cases.json", 1 << 20, &doc) != VLQA_OK) {
        CHECK_FAIL("%s", env.message);
        return 0;
    }
    const struct json *row = json_first(json_get(json_root(doc), "cases"));
    for (; row; row = json_next(row), n++)
        fn(row);
    json_free(doc);
    return n;
}

/* The image items of a case, in order. */
static int images_of(const struct json *row, const struct json *item[MAX_IMAGES])
{
    int n = 0;
    for (const struct json *turn = json_first(json_get(row, "turns")); turn; turn = json_next(turn))
        for (const struct json *i = json_first(json_get(turn, "items")); i; i = json_next(i))
            if (json_get(i, "image") && n < MAX_IMAGES) item[n++] = i;
    return n;
}

/* As the processor resizes it; *out is the caller's to free. */
static int resized(const struct vit_config *c, const struct image *from, enum vlqa_resize mode,
                   struct image *out)
{
    struct env env = {0};
    int factor = c->patch.patch * c->patch.merge;
    *out = (struct image){0};
    if (resize_plan(&env, "image", from->width, from->height, factor, c->min_pixels, c->max_pixels,
                    &out->width, &out->height) == VLQA_OK) {
        out->rgb = heap_alloc((size_t)out->width * (size_t)out->height * 3);
        if (resize_bicubic(&env, mode, from->rgb, from->width, from->height,
                           (size_t)from->width * 3, out->rgb, out->width, out->height) == VLQA_OK)
            return 1;
    }
    CHECK_FAIL("%s", env.message);
    return 0;
}

/* NAME.png, or NAME_pillow.png beside it. */
static void expected_name(const char *png, enum vlqa_resize mode, char out[128])
{
    int stem = (int)strlen(png) - 4;
    snprintf(out, 128, "%.*s%s", stem, png, mode == VLQA_RESIZE_PILLOW ? "_pillow.png" : ".png");
}

static void check_resized(const struct json *row)
{
    const struct json *item[MAX_IMAGES];
    int n = images_of(row, item);
    struct model m;
    if (!model_of(json_text(json_get(row, "checkpoint")), &m)) return;
    for (int i = 0; i < 2 * n; i++) {
        enum vlqa_resize mode = i % 2 ? VLQA_RESIZE_PILLOW : VLQA_RESIZE_TORCHVISION;
        struct image from = {0}, found = {0}, expected = {0};
        char name[128];
        expected_name(json_text(json_get(item[i / 2], "resized")), mode, name);
        if (image_of(json_text(json_get(item[i / 2], "image")), &from) &&
            image_of(name, &expected) && resized(&m.vision, &from, mode, &found)) {
            CHECK_EQ(found.width, expected.width);
            CHECK_EQ(found.height, expected.height);
            if (found.width == expected.width && found.height == expected.height &&
                memcmp(found.rgb, expected.rgb, (size_t)found.width * (size_t)found.height * 3))
                CHECK_FAIL("%s: other pixels", name);
        }
        image_free(&from);
        image_free(&found);
        image_free(&expected);
    }
}

TEST(images_are_resized_to_the_same_pixels)
{
    CHECK_EQ(each_case(check_resized), 12);
}

TEST(half_up_rounding_would_be_seen)
{
    struct image image, resized_image;
    REQUIRE(image_of("half.png", &image));
    REQUIRE(image_of("half_64x64.png", &resized_image));
    CHECK((int)round(image.width / 32.0) * 32 != resized_image.width);
    image_free(&image);
    image_free(&resized_image);
}

static struct st_files *golden_of(const char *checkpoint, const char *name)
{
    struct env env = {0};
    struct st_files *files = NULL;
    char path[512];
    snprintf(path, sizeof path, GOLDEN "cases/%s-%s-fp32.safetensors", checkpoint, name);
    if (st_open_file(&env, path, &files) != VLQA_OK) CHECK_FAIL("%s", env.message);
    return files;
}

static struct host_mat golden_mat(const struct st_files *files, const char *name)
{
    const struct st_tensor *t = st_find(files, name);
    if (!t) return host_mat_of(NULL, DT_F32, 0, 0);
    int rows = t->rank > 1 ? (int)t->dim[0] : 1, cols = (int)t->dim[t->rank - 1];
    return host_mat_of((void *)(uintptr_t)t->data, t->dtype, rows, cols);
}

TEST(patches_are_the_same_values_in_the_same_order)
{
    struct st_files *files = golden_of("tied64", "image");
    struct image image;
    struct model m;
    REQUIRE(files && model_of("tied64", &m) && image_of("down_64x96.png", &image));
    struct host_mat expected = golden_mat(files, "pixel_values"), found[2];
    struct grid grid = {image.height / 16, image.width / 16};
    REQUIRE(expected.rows == grid.h * grid.w && expected.cols == 1536);
    for (int i = 0; i < 2; i++) {
        enum dtype dtype = i ? DT_BF16 : DT_F32;
        size_t bytes = mat_bytes(dtype, expected.rows, expected.cols);
        found[i] = host_mat_of(heap_alloc(bytes), dtype, expected.rows, expected.cols);
        patch_extract(NULL, &m.vision.patch, image.rgb, grid, found[i]);
    }
    CHECK(memcmp(found[1].data, expected.data, mat_bytes(DT_BF16, expected.rows, 1536)) == 0);
    for (int i = 0; i < expected.rows * 1536; i++) {
        uint16_t rounded = f32_to_bf16(host_mat_get(found[0], i / 1536, i % 1536));
        if (bf16_to_f32(rounded) != host_mat_get(expected, i / 1536, i % 1536)) {
            CHECK_FAIL("patch %d, value %d", i / 1536, i % 1536);
            break;
        }
    }
    heap_free(found[0].data);
    heap_free(found[1].data);
    image_free(&image);
    st_close(files);
}

/* The prompt of the reference as ours would be: which tokens are which cells of which image. */
static int prompt_of(const struct st_files *files, int32_t image_pad, int32_t *id, int32_t *image,
                     int32_t *cell, struct prompt *out)
{
    struct host_mat ids = golden_mat(files, "input_ids");
    int images = 0;
    *out = (struct prompt){.id = id, .image = image, .cell = cell, .n = ids.cols};
    for (int i = 0; i < ids.cols; i++) {
        int inside = i > 0 && id[i - 1] == image_pad;
        id[i] = (int32_t)host_mat_get(ids, 0, i);
        image[i] = cell[i] = -1;
        if (id[i] != image_pad) continue;
        cell[i] = inside ? cell[i - 1] + 1 : 0;
        images += !inside;
        image[i] = images - 1;
    }
    return images;
}

static void check_layout(const struct st_files *files, const struct layout *l)
{
    struct host_mat position = golden_mat(files, "position_ids");
    REQUIRE(position.rows == 3 && position.cols == l->n);
    for (int i = 0; i < l->n; i++) {
        CHECK_EQ(l->pos[i].t, host_mat_get(position, 0, i));
        CHECK_EQ(l->pos[i].h, host_mat_get(position, 1, i));
        CHECK_EQ(l->pos[i].w, host_mat_get(position, 2, i));
    }
    CHECK_EQ(l->next - l->n, host_mat_get(golden_mat(files, "rope_delta"), 0, 0));
}

static void check_positions(const struct json *row)
{
    const char *checkpoint = json_text(json_get(row, "checkpoint"));
    struct st_files *files = golden_of(checkpoint, json_text(json_get(row, "case")));
    struct layout_image image[MAX_IMAGES];
    int32_t id[MAX_ROWS], picture[MAX_ROWS], cell[MAX_ROWS];
    struct prompt prompt;
    struct layout layout;
    struct model m;
    REQUIRE(files && model_of(checkpoint, &m));
    struct host_mat grid = golden_mat(files, "grid_thw");
    REQUIRE(golden_mat(files, "input_ids").cols <= MAX_ROWS && grid.rows <= MAX_IMAGES);
    CHECK_EQ(prompt_of(files, m.ids.image, id, picture, cell, &prompt), grid.rows);
    for (int i = 0, first = 0; i < grid.rows; i++) {
        struct grid cells = {(int)host_mat_get(grid, i, 1) / 2, (int)host_mat_get(grid, i, 2) / 2};
        image[i] = (struct layout_image){.grid = cells, .first = first};
        first += cells.h * cells.w;
    }
    struct arena mem = {0};
    layout_measure(prompt.n, &mem);
    void *block = heap_alloc(mem.used);
    mem = arena_over(block, mem.used);
    layout_build(&prompt, image, NULL, &mem, &layout);
    check_layout(files, &layout);
    heap_free(block);
    st_close(files);
}

TEST(positions_are_those_of_transformers)
{
    CHECK_EQ(each_case(check_positions), 12);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
