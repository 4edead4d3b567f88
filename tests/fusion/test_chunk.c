/* test_chunk.c - which chunks are taken for which: everything that their bytes depend on tells them
 * apart, and nothing else does. */
#include "fusion/session/session.h"

#include "base/file.h"
#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"
#include "tests/vision/load_image.h"
#include "tests/vision/make_image.h"

#include <unistd.h>

#define OTHER_PICTURE FIXTURE_GOLDEN "images/half.png"
#define RGB_W 200
#define RGB_H 300

struct desk { /* an engine over a folder of records that outlives it */
    char dir[32];
    struct vlqa_engine_options eo;
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static int desk_begin(struct desk *d)
{
    *d = (struct desk){.dir = "/tmp/vlqa-test-XXXXXX", .eo = vlqa_engine_options_default()};
    d->eo.model = FIXTURE_TIED;
    d->eo.threads = 1;
    if (!mkdtemp(d->dir)) return 0;
    d->eo.cache_dir = d->dir;
    return 1;
}

static int desk_open(struct desk *d)
{
    struct vlqa_session_options so = session_options();
    d->session = NULL;
    if (vlqa_engine_open(&d->eo, &d->engine) == VLQA_OK &&
        vlqa_session_open(d->engine, &so, &d->session) == VLQA_OK)
        return 1;
    CHECK_FAIL("%s %s", vlqa_engine_message(d->engine), vlqa_message(d->session));
    return 0;
}

static void desk_close(struct desk *d)
{
    vlqa_session_close(d->session);
    vlqa_engine_close(d->engine);
}

static void desk_end(struct desk *d)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", d->dir);
    CHECK(system(command) == 0);
}

static struct vlqa_answer ask(struct vlqa_session *s, enum vlqa_chunker chunker, int k, int rows)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a = {0};
    o.halo = 2; /* 4 cells are half of these pictures */
    o.max_tokens = 1;
    set_reuse(&o, REUSE_NONE);
    o.chunker = chunker;
    o.chunk_k = k;
    o.chunk_text_tokens = rows;
    if (vlqa_ask(s, FIXTURE_QUESTION, &o, &a, sizeof a) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    return a;
}

/* All chunks of the answer were found, or none of the n was. */
static void check_hit(struct vlqa_answer a)
{
    CHECK(a.chunks_ram + a.chunks_disk > 0);
    CHECK_EQ(a.chunks_computed, 0);
}

static void check_miss(struct vlqa_answer a, int n)
{
    CHECK_EQ(a.chunks_ram + a.chunks_disk, 0);
    CHECK_EQ(a.chunks_computed, n);
}

static const char note[] = "A means Apples, and B means Bananas, sold in the north in March.";

/* Within a session. */

TEST(another_chunker_or_count_misses)
{
    static const struct {
        enum vlqa_chunker kind;
        int k, segments;
    } cuts[] = {{VLQA_CHUNK_IMAGE, 1, 1}, {VLQA_CHUNK_GRID, 1, 1}, {VLQA_CHUNK_STRIPS, 1, 1},
                {VLQA_CHUNK_GRID, 2, 4},  {VLQA_CHUNK_GRID, 3, 6}, {VLQA_CHUNK_STRIPS, 2, 2},
                {VLQA_CHUNK_STRIPS, 3, 3}};
    struct desk d;
    REQUIRE(desk_begin(&d) && desk_open(&d));
    CHECK(vlqa_add_image_file(d.session, FIXTURE_PICTURE) == VLQA_OK);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        check_miss(ask(d.session, cuts[i].kind, cuts[i].k, 8), cuts[i].segments);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        check_hit(ask(d.session, cuts[i].kind, cuts[i].k, 8));
    check_hit(ask(d.session, VLQA_CHUNK_IMAGE, 7, 8)); /* k is of no interest to it */
    desk_close(&d);
    desk_end(&d);
}

/* Cells of one colour are told apart by where they stand in the picture. */
TEST(equal_cells_of_a_picture_are_kept_apart)
{
    static uint8_t white[96 * 96 * 3];
    struct vlqa_answer a;
    struct desk d;
    REQUIRE(desk_begin(&d) && desk_open(&d));
    memset(white, 255, sizeof white);
    CHECK(vlqa_add_image_rgb(d.session, white, 96, 96, sizeof white / 96) == VLQA_OK);
    check_miss(ask(d.session, VLQA_CHUNK_GRID, 2, 8), 4);
    CHECK(vlqa_add_image_rgb(d.session, white, 96, 96, sizeof white / 96) == VLQA_OK);
    a = ask(d.session, VLQA_CHUNK_GRID, 2, 8); /* twice: once more the same four */
    CHECK_EQ(a.chunks_ram, 8);
    check_hit(a);
    desk_close(&d);
    desk_end(&d);
}

TEST(another_prefix_misses)
{
    static const char *const prefix[] = {NULL, "Be brief.", "Be brief!", ""};
    struct desk d;
    REQUIRE(desk_begin(&d) && desk_open(&d));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 4; i++) {
            struct vlqa_answer a;
            CHECK(vlqa_session_clear(d.session) == VLQA_OK);
            if (prefix[i])
                CHECK(vlqa_set_system(d.session, prefix[i], strlen(prefix[i])) == VLQA_OK);
            CHECK(vlqa_add_image_file(d.session, FIXTURE_PICTURE) == VLQA_OK);
            a = ask(d.session, VLQA_CHUNK_GRID, 2, 8);
            if (round)
                check_hit(a);
            else
                check_miss(a, 4);
        }
    desk_close(&d);
    desk_end(&d);
}

/* Behind a picture: vision_start is part of the prefix then. */
TEST(a_document_is_found_by_its_words_and_their_place_in_it)
{
    static const char *const text[] = {note, note, NULL};
    static const char *const picture[] = {FIXTURE_PICTURE, OTHER_PICTURE, OTHER_PICTURE};
    char shifted[sizeof note + 8] = "1, 2: ";
    struct desk d;
    int segments = 0;
    REQUIRE(desk_begin(&d) && desk_open(&d));
    strcat(shifted, note);
    for (int i = 0; i < 3; i++) {
        struct vlqa_answer a;
        CHECK(vlqa_session_clear(d.session) == VLQA_OK);
        CHECK(vlqa_add_image_file(d.session, picture[i]) == VLQA_OK);
        CHECK(run_text(d.session, text[i] ? text[i] : shifted) == VLQA_OK);
        a = ask(d.session, VLQA_CHUNK_IMAGE, 1, 8);
        if (i == 0) segments = a.chunks_computed - 1;
        CHECK_EQ(a.chunks_ram, i == 0 ? 0 : i == 1 ? segments : 1);
        check_hit(ask(d.session, VLQA_CHUNK_IMAGE, 5, 8)); /* k is for images */
    }
    CHECK(segments > 2);
    desk_close(&d);
    desk_end(&d);
}

/* Pictures. */

TEST(a_file_and_its_pixels_are_the_same_picture)
{
    struct image_limits limits = {1 << 20, VLQA_IMAGE_WHITE};
    struct env env = {0};
    struct image image;
    struct vlqa_answer a;
    struct desk d;
    uint8_t *wide;
    size_t stride;
    REQUIRE(desk_begin(&d) && desk_open(&d));
    REQUIRE(load_image(&env, FIXTURE_PICTURE, &limits, &image) == VLQA_OK);
    stride = 3 * (size_t)image.width + 5; /* padding is none of the picture */
    wide = heap_alloc_zero(stride * (size_t)image.height);
    for (int y = 0; y < image.height; y++)
        memcpy(wide + (size_t)y * stride, image.rgb + (size_t)(y * image.width) * 3, stride - 5);
    CHECK(vlqa_add_image_file(d.session, FIXTURE_PICTURE) == VLQA_OK);
    check_miss(ask(d.session, VLQA_CHUNK_GRID, 2, 8), 4);
    CHECK(vlqa_session_clear(d.session) == VLQA_OK);
    CHECK(vlqa_add_image_rgb(d.session, wide, image.width, image.height, stride) == VLQA_OK);
    a = ask(d.session, VLQA_CHUNK_GRID, 2, 8);
    CHECK_EQ(a.visual_ram, 1);
    check_hit(a);
    heap_free(wide);
    image_free(&image);
    desk_close(&d);
    desk_end(&d);
}

TEST(other_pixels_or_another_shape_of_them_miss)
{
    static uint8_t rgb[RGB_H * RGB_W * 3];
    struct desk d;
    REQUIRE(desk_begin(&d) && desk_open(&d));
    for (int i = 0; i < 4; i++) {
        int w = i == 1 ? RGB_H : RGB_W, h = i == 1 ? RGB_W : RGB_H;
        struct vlqa_answer a;
        if (i == 2) rgb[sizeof rgb - 1] ^= 1;
        if (i == 3) rgb[0] ^= 1;
        CHECK(vlqa_session_clear(d.session) == VLQA_OK);
        CHECK(vlqa_add_image_rgb(d.session, rgb, w, h, 3 * (size_t)w) == VLQA_OK);
        a = ask(d.session, VLQA_CHUNK_GRID, 2, 8);
        CHECK_EQ(a.visual_computed, 1);
        check_miss(a, 4);
    }
    desk_close(&d);
    desk_end(&d);
}

/* Across engines. */

TEST(transparency_over_white_and_dropped_are_two_pictures)
{
    static uint8_t rgba[64 * 64 * 4]; /* black, seen through entirely */
    struct bytes png = make_png(64, 64, 8, 6, rgba, sizeof rgba / 64);
    struct desk d;
    REQUIRE(desk_begin(&d));
    for (int i = 0; i < 4; i++) {
        struct vlqa_answer a;
        d.eo.image_mode = i % 2 ? VLQA_IMAGE_HF : VLQA_IMAGE_WHITE;
        REQUIRE(desk_open(&d));
        CHECK(vlqa_add_image_bytes(d.session, png.data, png.n, NULL) == VLQA_OK);
        a = ask(d.session, VLQA_CHUNK_GRID, 2, 8);
        if (i < 2)
            check_miss(a, 4);
        else
            check_hit(a);
        desk_close(&d);
    }
    heap_free(png.data);
    desk_end(&d);
}

static struct vlqa_answer ask_anew(struct desk *d)
{
    struct vlqa_answer a = {0};
    if (!desk_open(d)) return a;
    CHECK(vlqa_add_image_file(d->session, FIXTURE_PICTURE) == VLQA_OK);
    a = ask(d->session, VLQA_CHUNK_GRID, 2, 8);
    desk_close(d);
    return a;
}

static void change(struct vlqa_engine_options *o, int which)
{
    if (which == 0) o->dtype = VLQA_DTYPE_F32;
    if (which == 1) o->cache_salt = "somebody";
    if (which == 2) o->cache_salt = "somebody else";
    if (which == 3) o->resize = VLQA_RESIZE_PILLOW;
    if (which == 4) o->image_max_tokens = 4;
    if (which == 5) o->image_max_tokens = o->image_min_tokens = 12;
    if (which == 6) o->cpu = VLQA_CPU_PLAIN;
}
#define N_CHANGES 7

TEST(an_engine_that_would_compute_other_bytes_misses)
{
    struct vlqa_engine_options plain;
    struct desk d;
    REQUIRE(desk_begin(&d));
    plain = d.eo;
    check_miss(ask_anew(&d), 4);
    check_hit(ask_anew(&d));
    for (int i = 0; i < N_CHANGES; i++) {
        struct vlqa_answer a;
        change(&d.eo, i);
        a = ask_anew(&d);
        if (i == N_CHANGES - 1 && !device_has_cpu(VLQA_CPU_AVX2)) break; /* it is plain anyway */
        CHECK_EQ(a.visual_computed, 1);
        CHECK_EQ(a.chunks_ram + a.chunks_disk, 0);
        check_hit(ask_anew(&d));
        d.eo = plain;
    }
    desk_end(&d);
}

/* K and V in another format are other chunks; the tower's output has nothing to do with it. */
TEST(another_format_of_keys_and_values_misses_chunks_and_finds_pictures)
{
    static const enum vlqa_dtype format[] = {VLQA_DTYPE_AUTO, VLQA_DTYPE_F32, VLQA_DTYPE_INT8,
                                             VLQA_DTYPE_INT4};
    struct desk d;
    REQUIRE(desk_begin(&d));
    for (int i = 0; i < 8; i++) {
        struct vlqa_answer a;
        d.eo.kv_dtype = format[i % 4];
        a = ask_anew(&d);
        CHECK_EQ(a.visual_computed, i == 0);
        if (i < 4)
            check_miss(a, 4);
        else
            check_hit(a);
    }
    d.eo.kv_dtype = VLQA_DTYPE_BF16; /* what AUTO means here */
    check_hit(ask_anew(&d));
    d.eo.dtype = VLQA_DTYPE_F32; /* codes of other values */
    d.eo.kv_dtype = VLQA_DTYPE_INT8;
    check_miss(ask_anew(&d), 4);
    desk_end(&d);
}

TEST(an_engine_that_computes_the_same_bytes_hits)
{
    struct vlqa_engine_options plain;
    struct desk d;
    REQUIRE(desk_begin(&d));
    plain = d.eo;
    check_miss(ask_anew(&d), 4);
    for (int i = 0; i < 4; i++) {
        d.eo = plain;
        if (i == 0) d.eo.threads = 3;
        if (i == 1) d.eo.image_max_tokens = 8; /* what the model says */
        if (i == 2) d.eo.image_max_pixels = 1 << 20;
        if (i == 3) d.eo.dtype = VLQA_DTYPE_BF16; /* what AUTO means here */
        check_hit(ask_anew(&d));
    }
    desk_end(&d);
}

TEST(another_model_misses_and_a_copy_of_it_hits)
{
    struct fixture f;
    struct desk d;
    size_t bytes;
    char *data;
    REQUIRE(desk_begin(&d) && fixture_open(&f, FIXTURE_TIED));
    check_miss(ask_anew(&d), 4);
    d.eo.model = f.dir;
    check_hit(ask_anew(&d));
    data = fixture_read(&f, "model.safetensors", &bytes);
    data[bytes / 2] ^= 1; /* one bit of one weight */
    fixture_write(&f, "model.safetensors", data, bytes);
    check_miss(ask_anew(&d), 4);
    free(data);
    fixture_close(&f);
    desk_end(&d);
}

/* Records whose checksums are right, but not what they are of. */

struct names { /* of the records of a folder */
    struct key key[16];
    enum record_kind kind[16];
    int n;
};

static int note_name(void *user, const struct store_item *item)
{
    struct names *names = user;
    names->kind[names->n] = item->kind;
    names->key[names->n++] = item->key;
    return names->n == 16;
}

/* One record goes, another takes its name: of a different kind, number of tokens, ... */
static void forge(struct desk *d, struct key key, struct record_shape shape, int which)
{
    struct env env = {0};
    struct store_options options = {d->dir, 0, 1 << 20, 0};
    struct store *store;
    struct record *r;
    int cols[64], removed;
    for (int i = 0; i < shape.n_mats; i++)
        cols[i] = shape.cols[i];
    shape.cols = cols;
    if (which == 0) shape.kind = shape.kind == RECORD_CHUNK ? RECORD_VISUAL : RECORD_CHUNK;
    if (which == 1) shape.rows += shape.rows > 1 ? -1 : 5;
    if (which == 2) shape.rows++;
    if (which == 3) shape.n_mats--;
    if (which == 4) cols[shape.n_mats - 1]--;
    if (which == 5) shape.dtype = DT_F32;
    if (which == 6) shape.grid.w++;
    REQUIRE(store_remove(&env, d->dir, &key, &removed) == VLQA_OK && removed == 1);
    REQUIRE(store_open(&env, &options, &store) == VLQA_OK);
    REQUIRE(store_new(&env, store, key, &shape, &r) == VLQA_OK);
    for (int i = 0; i < shape.n_mats; i++)
        memset(r->mat[i].data, 0, mat_bytes(shape.dtype, shape.rows, cols[i]));
    store_unpin(store, store_put(&env, store, r));
    store_close(&env, store);
}

static struct record_shape shape_of(struct desk *d, struct key key, int cols[64])
{
    struct env env = {0};
    struct store_options options = {d->dir, 0, 1 << 20, 0};
    struct record_shape shape = {.rows = 0};
    struct store *store;
    const struct record *r;
    CHECK(store_open(&env, &options, &store) == VLQA_OK);
    r = store_get(store, key, NULL, NULL);
    if (r) {
        shape = (struct record_shape){r->kind, r->rows, r->grid, r->n_mats, cols, r->mat[0].dtype};
        for (int i = 0; i < r->n_mats; i++)
            cols[i] = r->mat[i].cols;
        store_unpin(store, r);
    }
    store_close(&env, store);
    return shape;
}

/* The keys hold the tokens of the prefix, and nothing else of a template. */
TEST(another_chat_template_misses_unless_it_writes_the_same_tokens)
{
    static const char same[] = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
                               "{% for c in m.content %}{% if c.type == 'image' %}<|vision_start|>"
                               "<|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}"
                               "{% endfor %}<|im_end|>\n{% endfor %}Answer:";
    char other[sizeof same + 32] = "<|im_start|>system\nS<|im_end|>\n";
    struct fixture f;
    struct desk d;
    REQUIRE(desk_begin(&d) && fixture_open(&f, FIXTURE_TIED));
    strcat(other, same);
    for (int round = 0; round < 4; round++) {
        struct vlqa_answer a;
        char path[300];
        fixture_write(&f, "own.jinja", round == 1 ? same : other,
                      strlen(round == 1 ? same : other));
        snprintf(path, sizeof path, "%s", fixture_path(&f, "own.jinja"));
        d.eo.chat_template = round == 0 ? NULL : path;
        REQUIRE(desk_open(&d));
        CHECK(vlqa_add_image_file(d.session, FIXTURE_PICTURE) == VLQA_OK);
        a = ask(d.session, VLQA_CHUNK_GRID, 2, 8);
        if (round == 0 || round == 2)
            check_miss(a, 4);
        else
            check_hit(a);
        desk_close(&d);
    }
    fixture_close(&f);
    desk_end(&d);
}

TEST(a_record_of_another_shape_is_removed_and_made_again)
{
    struct names names = {.n = 0};
    struct env env = {0};
    struct desk d;
    REQUIRE(desk_begin(&d));
    check_miss(ask_anew(&d), 4);
    REQUIRE(store_scan(&env, d.dir, 0, note_name, &names) == VLQA_OK);
    REQUIRE(names.n == 5);
    for (int i = 0; i < names.n; i++)
        for (int which = 0; which < 7; which++) {
            int cols[64];
            struct record_shape shape = shape_of(&d, names.key[i], cols);
            struct vlqa_answer a;
            REQUIRE(shape.rows > 0);
            forge(&d, names.key[i], shape, which);
            a = ask_anew(&d);
            CHECK_EQ(a.visual_computed, names.kind[i] == RECORD_VISUAL);
            CHECK_EQ(a.chunks_computed, names.kind[i] == RECORD_CHUNK);
            check_hit(ask_anew(&d));
        }
    desk_end(&d);
}

/* What stands beside the weights counts, too. */
TEST(another_rotation_or_pixel_budget_of_the_model_misses)
{
    static const char *const change[][3] = {
        {"config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": 10001.0"},
        {"preprocessor_config.json", "\"longest_edge\": 8192", "\"longest_edge\": 4096"}};
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct desk d;
        REQUIRE(desk_begin(&d) && fixture_open(&f, FIXTURE_TIED));
        check_miss(ask_anew(&d), 4);
        d.eo.model = f.dir;
        check_hit(ask_anew(&d));
        fixture_replace(&f, change[i][0], change[i][1], change[i][2]);
        CHECK_EQ(ask_anew(&d).chunks_disk, 0);
        check_hit(ask_anew(&d));
        fixture_close(&f);
        desk_end(&d);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
