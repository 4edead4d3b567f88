/* session_image.c - a picture of any form into the session's visual rows: recalled or encoded. */
#include "base/file.h"
#include "base/heap.h"
#include "fusion/session.h"
#include "vision/image.h"
#include "vision/resize.h"

#include <string.h>

#define SESSION_IMAGE_FILE_BYTES ((size_t)1 << 30)

struct upright { /* pixels of somebody else */
    const uint8_t *rgb;
    int width, height;
    size_t stride;
};

static vlqa_status encode(struct vlqa_session *s, const uint8_t *rgb, struct grid grid)
{
    const struct vit *vit = &s->engine->vit;
    const struct vit_config *c = &vit->config;
    const struct patch_config *p = &c->patch;
    int n = grid.h * grid.w, rows = n / (p->merge * p->merge);
    int cols = p->channels * p->temporal * p->patch * p->patch;
    size_t bytes = mat_bytes(c->compute, n, cols) + vit_scratch(c, grid) + 4 * ARENA_ALIGN;
    struct vit_out out = {.visual = mat_rows(s->visual, s->visual_rows, rows)};
    struct arena mem;
    struct mat patches;
    vlqa_status status;
    void *block = s->be->op->alloc(s->be, bytes);
    if (!block) return env_no_memory(&s->env, "vision tower", bytes);
    mem = arena_over(block, bytes);
    patches = mat_of(arena_push(&mem, mat_bytes(c->compute, n, cols)), c->compute, n, cols);
    for (int i = 0; i < c->n_deep; i++)
        out.deep[i] = mat_rows(s->deep[i], s->visual_rows, rows);
    patch_extract(p, rgb, grid, patches);
    status = vit_encode(s->be, vit, patches, grid, &mem, &out);
    if (status == VLQA_OK) status = s->be->op->sync(s->be);
    s->be->op->release(s->be, block);
    return status;
}

/* Resizes to size and encodes into the next visual rows. */
static vlqa_status resize_and_encode(struct vlqa_session *s, const struct upright *im,
                                     struct vlqa_image_info *info)
{
    size_t bytes = (size_t)info->resized_width * (size_t)info->resized_height * 3;
    double begin = env_ms();
    uint8_t *rgb = heap_alloc(bytes);
    vlqa_status status;
    if (!rgb) return env_no_memory(&s->env, "resized image", bytes);
    status = resize_bicubic(&s->env, s->engine->options.resize, im->rgb, im->width, im->height,
                            im->stride, rgb, info->resized_width, info->resized_height);
    info->ms_decode += env_ms() - begin;
    begin = env_ms();
    if (status == VLQA_OK) status = encode(s, rgb, (struct grid){info->grid_h, info->grid_w});
    info->ms_vision = env_ms() - begin;
    heap_free(rgb);
    return status;
}

/* Every pixel and everything that leads from pixels to visual rows. */
static struct key visual_key(const struct vlqa_session *s, const struct upright *im,
                             const struct vlqa_image_info *info)
{
    struct key_parts parts;
    struct hash h;
    hash_begin(&h, "vlqa pixels");
    hash_u64(&h, (uint64_t)im->width);
    hash_u64(&h, (uint64_t)im->height);
    for (int y = 0; y < im->height; y++)
        hash_bytes(&h, im->rgb + (size_t)y * im->stride, 3 * (size_t)im->width);
    engine_key_parts(s->engine, &parts);
    parts.kind = RECORD_VISUAL;
    parts.content = hash_end(&h);
    parts.stored = parts.compute;
    parts.resize = (int32_t)s->engine->options.resize;
    parts.width = info->resized_width;
    parts.height = info->resized_height;
    return key_of(&parts);
}

/* The matrices of the next rows of the session, visual first. */
static int visual_mats(const struct vlqa_session *s, int rows, struct mat *out)
{
    int n = 0;
    out[n++] = mat_rows(s->visual, s->visual_rows, rows);
    for (int i = 0; i < s->engine->vit.config.n_deep; i++)
        out[n++] = mat_rows(s->deep[i], s->visual_rows, rows);
    return n;
}

static struct record_shape visual_shape(struct grid grid, const struct mat *mat, int n, int *cols)
{
    for (int i = 0; i < n; i++)
        cols[i] = mat[i].cols;
    return (struct record_shape){RECORD_VISUAL, grid.h * grid.w, grid, n, cols, mat[0].dtype};
}

static int recall(struct vlqa_session *s, struct key key, struct grid grid,
                  enum vlqa_source *source)
{
    struct mat to[1 + ROWS_MAX_DEEP];
    int rows = grid.h * grid.w, n = visual_mats(s, rows, to), cols[1 + ROWS_MAX_DEEP];
    struct record_shape shape = visual_shape(grid, to, n, cols);
    enum store_where where;
    const struct record *r = store_get(s->engine->store, key, &shape, &where);
    if (!r) return 0;
    for (int i = 0; i < n; i++)
        s->be->op->upload(s->be, to[i].data, r->mat[i].data,
                          mat_bytes(to[i].dtype, rows, to[i].cols));
    store_unpin(s->engine->store, r);
    s->visual_ram += where == STORE_RAM;
    s->visual_disk += where == STORE_DISK;
    *source = where == STORE_RAM ? VLQA_SOURCE_RAM : VLQA_SOURCE_DISK;
    return 1;
}

/* Keeping is an extra: without memory for it the image is there all the same. */
static void keep(struct vlqa_session *s, struct key key, struct grid grid)
{
    struct mat from[1 + ROWS_MAX_DEEP];
    int rows = grid.h * grid.w, n = visual_mats(s, rows, from), cols[1 + ROWS_MAX_DEEP];
    struct record_shape shape = visual_shape(grid, from, n, cols);
    struct record *r;
    s->visual_made++;
    if (store_new(&s->env, s->engine->store, key, &shape, &r) != VLQA_OK) {
        env_log(&s->env, VLQA_LOG_WARN, "not kept: %s", s->env.message);
        return;
    }
    for (int i = 0; i < n; i++)
        s->be->op->download(s->be, r->mat[i].data, from[i].data,
                            mat_bytes(from[i].dtype, rows, from[i].cols));
    store_unpin(s->engine->store, store_put(&s->env, s->engine->store, r));
}

static vlqa_status add_image(struct vlqa_session *s, const char *name, const struct upright *im,
                             double ms_decode)
{
    const struct vit_config *c = &s->engine->vit.config;
    int merge = c->patch.merge;
    struct vlqa_image_info info = {
        .width = im->width, .height = im->height, .ms_decode = ms_decode};
    enum vlqa_source source = VLQA_SOURCE_MADE;
    struct grid grid;
    struct key key;
    int64_t rows;
    TRY(st_unchanged(&s->env, s->engine->files));
    TRY(session_check_items(s));
    TRY(resize_plan(&s->env, name, im->width, im->height, c->patch.patch * merge, c->min_pixels,
                    c->max_pixels, &info.resized_width, &info.resized_height));
    info.grid_h = info.resized_height / c->patch.patch;
    info.grid_w = info.resized_width / c->patch.patch;
    rows = (int64_t)(info.grid_h / merge) * (info.grid_w / merge);
    if (rows > s->max_rows - s->visual_rows)
        return env_fail(&s->env, VLQA_ELIMIT,
                        "%s: needs %lld rows at %d x %d, the session has %d of %d left (more "
                        "session rows or a lower image_max_tokens would fit it)",
                        name, (long long)rows, info.resized_width, info.resized_height,
                        s->max_rows - s->visual_rows, s->max_rows);
    info.rows = (int)rows;
    grid = (struct grid){info.grid_h / merge, info.grid_w / merge};
    key = visual_key(s, im, &info);
    if (!recall(s, key, grid, &source)) {
        TRY(resize_and_encode(s, im, &info));
        keep(s, key, grid);
    }
    s->image[s->n_images] = (struct layout_image){grid, s->visual_rows, key};
    s->placed_image[s->n_images] = (struct vlqa_placed_image){.width = im->width,
                                                              .height = im->height,
                                                              .grid_h = grid.h,
                                                              .grid_w = grid.w,
                                                              .source = source};
    s->item[s->n_items++] = (struct session_item){PROMPT_USER, s->turn, NULL, 0, s->n_images++, 0};
    s->visual_rows += info.rows;
    s->ms_decode_image += info.ms_decode;
    s->ms_vision += info.ms_vision;
    s->last_image = info;
    env_log(&s->env, VLQA_LOG_INFO, "%s: %d x %d to %d x %d, %d rows, %.1f ms", name, info.width,
            info.height, info.resized_width, info.resized_height, info.rows, info.ms_vision);
    return VLQA_OK;
}

static vlqa_status decode(struct vlqa_session *s, const void *data, size_t bytes, const char *name,
                          struct image *out)
{
    const struct vlqa_engine_options *o = &s->engine->options;
    struct image_limits limits = {o->image_max_pixels ? o->image_max_pixels : 100000000,
                                  o->image_mode};
    if (!data) return env_fail(&s->env, VLQA_EUSAGE, "the image is NULL");
    return image_decode(&s->env, data, bytes, name, &limits, out);
}

static vlqa_status add_encoded(struct vlqa_session *s, const void *data, size_t bytes,
                               const char *name)
{
    struct image image = {0};
    struct upright im;
    double begin = env_ms();
    vlqa_status status;
    TRY(decode(s, data, bytes, name, &image));
    im = (struct upright){image.rgb, image.width, image.height, (size_t)image.width * 3};
    status = add_image(s, name, &im, env_ms() - begin);
    image_free(&image);
    return status;
}

static vlqa_status add_file(struct vlqa_session *s, const char *path)
{
    void *data;
    size_t bytes;
    vlqa_status status;
    if (!path) return env_fail(&s->env, VLQA_EUSAGE, "the path is NULL");
    TRY(file_read(&s->env, path, SESSION_IMAGE_FILE_BYTES, &data, &bytes));
    status = add_encoded(s, data, bytes, path);
    heap_free(data);
    return status;
}

static vlqa_status add_rgb(struct vlqa_session *s, const uint8_t *rgb, int width, int height,
                           size_t stride)
{
    struct upright im = {rgb, width, height, stride};
    if (!rgb || width < 1 || height < 1 || width > 1 << 20 || height > 1 << 20 ||
        stride < 3 * (size_t)width)
        return env_fail(&s->env, VLQA_EUSAGE,
                        "pixels: %d x %d with a stride of %zu bytes, expected at least 1 x 1 and "
                        "3 bytes a pixel",
                        width, height, stride);
    return add_image(s, "pixels", &im, 0);
}

vlqa_status vlqa_add_image_file(struct vlqa_session *s, const char *path)
{
    TRY(session_enter(s));
    return session_leave(s, add_file(s, path));
}

vlqa_status vlqa_add_image_bytes(struct vlqa_session *s, const void *data, size_t bytes,
                                 const char *name)
{
    TRY(session_enter(s));
    return session_leave(s, add_encoded(s, data, bytes, name ? name : "image"));
}

vlqa_status vlqa_add_image_rgb(struct vlqa_session *s, const uint8_t *rgb, int width, int height,
                               size_t stride)
{
    TRY(session_enter(s));
    return session_leave(s, add_rgb(s, rgb, width, height, stride));
}

vlqa_status vlqa_decode_image(struct vlqa_session *s, const void *data, size_t bytes,
                              const char *name, struct vlqa_pixels *out)
{
    struct image image = {0};
    vlqa_status status;
    if (!out) return VLQA_EUSAGE;
    memset(out, 0, sizeof *out);
    TRY(session_enter(s));
    status = decode(s, data, bytes, name ? name : "image", &image);
    *out = (struct vlqa_pixels){image.rgb, image.width, image.height};
    return session_leave(s, status);
}

void vlqa_free_pixels(struct vlqa_pixels *pixels)
{
    struct image image;
    if (!pixels) return;
    image = (struct image){pixels->rgb, pixels->width, pixels->height};
    image_free(&image);
    memset(pixels, 0, sizeof *pixels);
}

vlqa_status vlqa_last_image(const struct vlqa_session *s, struct vlqa_image_info *out)
{
    if (!s || !out) return VLQA_EUSAGE;
    if (!s->n_images) return VLQA_ESTATE;
    *out = s->last_image;
    return VLQA_OK;
}
