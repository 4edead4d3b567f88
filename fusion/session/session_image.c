/* session_image.c - a picture of any form into the session's visual tokens: recalled or encoded. */
#include "base/file.h"
#include "base/hash_leaves.h"
#include "base/heap.h"
#include "fusion/session/together.h"
#include "kernels/comm.h"
#include "vision/image.h"
#include "vision/resize.h"

#include <string.h>

#define SESSION_IMAGE_FILE_BYTES ((size_t)1 << 30)

struct upright { /* pixels of somebody else */
    const uint8_t *rgb;
    int width, height;
    size_t stride;
};

struct ready { /* a picture on its way: all but what a session adds */
    const char *name;
    struct vlqa_image_info info;
    struct grid grid; /* in visual tokens */
    struct key key;
    struct upright from; /* until it is resized */
    uint8_t *rgb;        /* [resized_height, resized_width, 3]; NULL: not resized yet */
};

struct vlqa_image {
    struct env env;             /* no callbacks and no pool: its thread may be any */
    struct vlqa_engine *engine; /* held */
    char *name;
    struct ready ready;
};

static vlqa_status encode(struct vlqa_session *s, const uint8_t *rgb, struct grid grid)
{
    const struct vit *vit = &s->engine->vit;
    const struct vit_config *c = &vit->config;
    int rows = grid.h * grid.w / (c->patch.merge * c->patch.merge);
    struct vit_out out = {.visual = mat_rows(s->visual, s->visual_tokens, rows)};
    struct device_room room;
    vlqa_status status;
    struct workspace dry = {0};
    vit_measure(s->queue, c, grid, &dry);
    TRY(device_room_open(&s->env, s->queue->device, "vision tower", &dry, &room));
    for (int i = 0; i < c->n_deep; i++)
        out.deep[i] = mat_rows(s->deep[i], s->visual_tokens, rows);
    status = vit_encode(s->queue, vit, rgb, grid, &room.ws, &out);
    device_room_close(&room);
    return status;
}

static vlqa_status resize(struct env *env, const struct vlqa_engine *e, struct ready *r)
{
    const struct upright *im = &r->from;
    size_t bytes = (size_t)r->info.resized_width * (size_t)r->info.resized_height * 3;
    double begin = env_ms();
    vlqa_status status;
    r->rgb = heap_alloc(bytes);
    if (!r->rgb) return env_no_memory(env, "resized image", bytes);
    status = resize_bicubic(env, e->options.resize, im->rgb, im->width, im->height, im->stride,
                            r->rgb, r->info.resized_width, r->info.resized_height);
    r->info.ms_decode += env_ms() - begin;
    return status;
}

#define STRIPE 256 /* rows of pixels that a thread hashes at a time */

static void hash_stripe(void *arg, int i, struct hash *h)
{
    const struct upright *im = arg;
    int begin = i * STRIPE, left = im->height - begin;
    for (int y = begin; y < begin + (left < STRIPE ? left : STRIPE); y++)
        hash_bytes(h, im->rgb + (size_t)y * im->stride, 3 * (size_t)im->width);
}

/* Every pixel and everything that leads from pixels to visual tokens. */
static vlqa_status visual_key(struct env *env, const struct vlqa_engine *e, struct upright *im,
                              const struct vlqa_image_info *info, struct key *out)
{
    struct key_parts parts;
    struct hash h;
    hash_begin(&h, "vlqa pixels");
    hash_u64(&h, (uint64_t)im->width);
    hash_u64(&h, (uint64_t)im->height);
    TRY(hash_leaves(env, &h, im->height / STRIPE + (im->height % STRIPE != 0), hash_stripe, im));
    engine_key_parts(e, &parts);
    parts.kind = RECORD_VISUAL;
    parts.content = hash_end(&h);
    parts.stored = parts.compute;
    parts.weights = 0; /* the tower's are never quantised */
    parts.resize = (int32_t)e->options.resize;
    parts.width = info->resized_width;
    parts.height = info->resized_height;
    *out = key_of(&parts);
    return VLQA_OK;
}

/* To which size it goes, how many tokens that is, and which pixels they are. */
static vlqa_status plan(struct env *env, const struct vlqa_engine *e, struct ready *r)
{
    const struct vit_config *c = &e->vit.config;
    struct vlqa_image_info *info = &r->info;
    int merge = c->patch.merge;
    int64_t rows;
    TRY(resize_plan(env, r->name, r->from.width, r->from.height, c->patch.patch * merge,
                    c->min_pixels, c->max_pixels, &info->resized_width, &info->resized_height));
    info->width = r->from.width;
    info->height = r->from.height;
    info->grid_h = info->resized_height / c->patch.patch;
    info->grid_w = info->resized_width / c->patch.patch;
    r->grid = (struct grid){info->grid_h / merge, info->grid_w / merge};
    rows = (int64_t)r->grid.h * r->grid.w;
    if (rows > SESSION_MAX_SEQ_LEN)
        return env_fail(
            env, VLQA_ELIMIT, "%s: needs %lld tokens at %d x %d, a session has at most %d", r->name,
            (long long)rows, info->resized_width, info->resized_height, SESSION_MAX_SEQ_LEN);
    info->tokens = (int)rows;
    return visual_key(env, e, &r->from, info, &r->key);
}

/* The matrices of the next rows of the session, visual first. */
static int visual_mats(const struct vlqa_session *s, int rows, struct mat *out)
{
    int n = 0;
    out[n++] = mat_rows(s->visual, s->visual_tokens, rows);
    for (int i = 0; i < s->engine->vit.config.n_deep; i++)
        out[n++] = mat_rows(s->deep[i], s->visual_tokens, rows);
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
    struct mat to[1 + DECODER_MAX_DEEP];
    int rows = grid.h * grid.w, n = visual_mats(s, rows, to), cols[1 + DECODER_MAX_DEEP];
    struct record_shape shape = visual_shape(grid, to, n, cols);
    enum store_where where;
    const struct record *r = store_get(s->engine->store, key, &shape, &where);
    if (!r) return 0;
    for (int i = 0; i < n; i++)
        queue_upload(s->queue, to[i].data, r->mat[i].data,
                     mat_bytes(to[i].dtype, rows, to[i].cols));
    store_unpin(s->engine->store, r);
    s->visual_ram += where == STORE_RAM;
    s->visual_disk += where == STORE_DISK;
    *source = where == STORE_RAM ? VLQA_SOURCE_RAM : VLQA_SOURCE_DISK;
    return 1;
}

/* Keeping is an extra: without memory for it the image is there all the same. A failed device has
 * lost the image, too. */
static vlqa_status keep(struct vlqa_session *s, struct key key, struct grid grid)
{
    struct mat from[1 + DECODER_MAX_DEEP];
    int rows = grid.h * grid.w, n = visual_mats(s, rows, from), cols[1 + DECODER_MAX_DEEP];
    struct record_shape shape = visual_shape(grid, from, n, cols);
    struct record *r;
    vlqa_status status;
    if (store_new(&s->env, s->engine->store, key, &shape, &r) != VLQA_OK) {
        env_log(&s->env, VLQA_LOG_WARN, "not kept: %s", s->env.message);
        return VLQA_OK;
    }
    for (int i = 0; i < n; i++)
        queue_download(s->queue, r->mat[i].data, from[i].data,
                       mat_bytes(from[i].dtype, rows, from[i].cols));
    status = queue_sync(s->queue);
    if (status != VLQA_OK) {
        store_drop(s->engine->store, r);
        return status;
    }
    store_unpin(s->engine->store, store_put(&s->env, s->engine->store, r));
    store_settle(&s->env, s->engine->store);
    return VLQA_OK;
}

static vlqa_status compute(struct vlqa_session *s, struct ready *r)
{
    double begin;
    if (!r->rgb) TRY(resize(&s->env, s->engine, r));
    begin = env_ms();
    TRY(encode(s, r->rgb, (struct grid){r->info.grid_h, r->info.grid_w}));
    r->info.ms_vision = env_ms() - begin;
    TRY(keep(s, r->key, r->grid));
    s->visual_computed++;
    return VLQA_OK;
}

/* The first rank that has them gives them to those that have not. */
static vlqa_status give(struct vlqa_session *s, struct ready *r, int first, int found)
{
    struct mat mat[1 + DECODER_MAX_DEEP];
    int rows = r->grid.h * r->grid.w, n = visual_mats(s, rows, mat);
    for (int i = 0; i < n; i++)
        comm_broadcast(s->queue, COMM_VISION, first, mat[i].data,
                       mat_bytes(mat[i].dtype, rows, mat[i].cols));
    TRY(queue_sync(s->queue));
    s->visual_ram += !found;
    return found ? VLQA_OK : keep(s, r->key, r->grid);
}

/* The next visual tokens: hit, or computed from pixels that are resized for that if need be. */
static vlqa_status make_visual_tokens(struct vlqa_session *s, struct ready *r,
                                      enum vlqa_source *source)
{
    struct vlqa_ranks *ranks = s->queue->ranks;
    int found, first, n;
    *source = VLQA_SOURCE_COMPUTED;
    TRY(comm_same(ranks, &s->env, r->name, r->key.b));
    found = recall(s, r->key, r->grid, source);
    first = comm_first(ranks, found, &n);
    TRY(comm_status(ranks, &s->env));
    if (first < 0) return compute(s, r);
    if (!found) *source = VLQA_SOURCE_RAM;
    return n < comm_n(s->queue) ? give(s, r, first, found) : VLQA_OK;
}

static vlqa_status add_ready(struct vlqa_session *s, struct ready *r)
{
    struct vlqa_image_info *info = &r->info;
    enum vlqa_source source;
    if (info->tokens > s->max_seq_len - s->visual_tokens)
        return env_fail(&s->env, VLQA_ELIMIT,
                        "%s: needs %d tokens at %d x %d, the session has %d of %d left (a "
                        "larger max_seq_len or a smaller image_max_tokens would fit it)",
                        r->name, info->tokens, info->resized_width, info->resized_height,
                        s->max_seq_len - s->visual_tokens, s->max_seq_len);
    TRY(make_visual_tokens(s, r, &source));
    TRY(together_agree(s));
    s->image[s->n_images] = (struct layout_image){r->grid, s->visual_tokens, r->key};
    s->placed_image[s->n_images] =
        (struct vlqa_placed_image){.width = info->width,
                                   .height = info->height,
                                   .grid_h = r->grid.h,
                                   .grid_w = r->grid.w,
                                   .source = source,
                                   .resized_width = info->resized_width,
                                   .resized_height = info->resized_height};
    s->item[s->n_items++] = (struct session_item){PROMPT_USER, s->turn, NULL, 0, s->n_images++, -1};
    s->visual_tokens += info->tokens;
    s->ms_decode_image += info->ms_decode;
    s->ms_vision += info->ms_vision;
    s->last_image = *info;
    env_log(&s->env, VLQA_LOG_INFO, "%s: %d x %d to %d x %d, %d tokens, %.1f ms", r->name,
            info->width, info->height, info->resized_width, info->resized_height, info->tokens,
            info->ms_vision);
    return VLQA_OK;
}

static vlqa_status check_room(struct vlqa_session *s)
{
    return session_check_items(s);
}

static vlqa_status add_pixels(struct vlqa_session *s, const char *name, struct upright im,
                              double ms_decode)
{
    struct ready r = {.name = name, .info.ms_decode = ms_decode, .from = im};
    vlqa_status status;
    TRY(check_room(s));
    status = plan(&s->env, s->engine, &r);
    if (status == VLQA_OK) status = add_ready(s, &r);
    heap_free(r.rgb);
    return status;
}

static vlqa_status decode(struct env *env, const struct vlqa_engine *e, const void *data,
                          size_t bytes, const char *name, struct image *out)
{
    const struct vlqa_engine_options *o = &e->options;
    struct image_limits limits = {o->image_max_pixels ? o->image_max_pixels : 100000000,
                                  o->image_mode};
    if (!data) return env_fail(env, VLQA_EUSAGE, "the image is NULL");
    return image_decode(env, data, bytes, name, &limits, out);
}

static struct upright upright_of(const struct image *image)
{
    return (struct upright){image->rgb, image->width, image->height, (size_t)image->width * 3};
}

static vlqa_status add_encoded(struct vlqa_session *s, const void *data, size_t bytes,
                               const char *name)
{
    struct image image = {0};
    double begin = env_ms();
    vlqa_status status;
    TRY(decode(&s->env, s->engine, data, bytes, name, &image));
    status = add_pixels(s, name, upright_of(&image), env_ms() - begin);
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
    return add_pixels(s, "pixels", im, 0);
}

/* Begins a call that adds an image, which all ranks make. */
static vlqa_status enter(struct vlqa_session *s)
{
    vlqa_status status;
    TRY(session_enter(s));
    status = together_begin(s, "an image", (struct key){{0}});
    return status == VLQA_OK ? VLQA_OK : session_leave(s, status);
}

vlqa_status vlqa_add_image_file(struct vlqa_session *s, const char *path)
{
    TRY(enter(s));
    return session_leave(s, add_file(s, path));
}

vlqa_status vlqa_add_image_bytes(struct vlqa_session *s, const void *data, size_t bytes,
                                 const char *name)
{
    TRY(enter(s));
    return session_leave(s, add_encoded(s, data, bytes, name ? name : "image"));
}

vlqa_status vlqa_add_image_rgb(struct vlqa_session *s, const uint8_t *rgb, int width, int height,
                               size_t stride)
{
    TRY(enter(s));
    return session_leave(s, add_rgb(s, rgb, width, height, stride));
}

vlqa_status vlqa_decode_image(struct vlqa_session *s, const void *data, size_t bytes,
                              const char *name, struct vlqa_pixels *out, size_t out_bytes)
{
    struct image image = {0};
    struct vlqa_pixels pixels;
    vlqa_status status;
    if (!out) return VLQA_EUSAGE;
    TRY(session_enter(s));
    status = abi_check(&s->env, "pixels", out_bytes, PIXELS_LEAST);
    if (status != VLQA_OK) return session_leave(s, status);
    status = decode(&s->env, s->engine, data, bytes, name ? name : "image", &image);
    pixels = (struct vlqa_pixels){.rgb = image.rgb, .width = image.width, .height = image.height};
    abi_give(out, out_bytes, &pixels, sizeof pixels);
    return session_leave(s, status);
}

void vlqa_free_pixels(struct vlqa_pixels *pixels)
{
    struct image image;
    if (!pixels) return;
    image = (struct image){pixels->rgb, pixels->width, pixels->height};
    image_free(&image);
    pixels->rgb = NULL; /* and nothing that an older header might lack */
    pixels->width = pixels->height = 0;
}

vlqa_status vlqa_last_image(const struct vlqa_session *s, struct vlqa_image_info *out, size_t bytes)
{
    if (!s || !out || bytes < IMAGE_INFO_LEAST) return VLQA_EUSAGE;
    if (!s->n_images) return VLQA_ESTATE;
    abi_give(out, bytes, &s->last_image, sizeof s->last_image);
    return VLQA_OK;
}

/* ---- ahead of any session ---- */

static vlqa_status make_ready(struct vlqa_image *image, const void *data, size_t bytes)
{
    struct image pixels = {0};
    struct ready *r = &image->ready;
    double begin = env_ms();
    vlqa_status status;
    TRY(decode(&image->env, image->engine, data, bytes, image->name, &pixels));
    r->name = image->name;
    r->from = upright_of(&pixels);
    r->info.ms_decode = env_ms() - begin;
    status = plan(&image->env, image->engine, r);
    if (status == VLQA_OK) status = resize(&image->env, image->engine, r);
    image_free(&pixels);
    r->from = (struct upright){0};
    return status;
}

vlqa_status vlqa_image_open(const struct vlqa_engine *engine, const void *data, size_t bytes,
                            const char *name, struct vlqa_image **out)
{
    struct vlqa_image *image;
    if (!out) return VLQA_EUSAGE;
    *out = NULL;
    if (!engine || !engine->usable) return VLQA_EUSAGE;
    if (atomic_load(&engine->closed)) return VLQA_ESTATE;
    image = heap_alloc_zero(sizeof *image);
    if (!image) return VLQA_EMEMORY;
    *out = image;
    image->engine = (struct vlqa_engine *)(uintptr_t)engine;
    engine_hold(image->engine);
    name = name ? name : "image";
    image->name = heap_alloc(strlen(name) + 1);
    if (!image->name) return env_no_memory(&image->env, "name", strlen(name) + 1);
    memcpy(image->name, name, strlen(name) + 1);
    return make_ready(image, data, bytes);
}

void vlqa_image_close(struct vlqa_image *image)
{
    struct vlqa_engine *engine;
    if (!image) return;
    engine = image->engine;
    heap_free(image->ready.rgb);
    heap_free(image->name);
    heap_free(image);
    (void)engine_let_go(engine);
}

const char *vlqa_image_message(const struct vlqa_image *image)
{
    return image ? image->env.message : "no image";
}

vlqa_status vlqa_image_read_info(const struct vlqa_image *image, struct vlqa_image_info *out,
                                 size_t bytes)
{
    if (!image || !out || bytes < IMAGE_INFO_LEAST) return VLQA_EUSAGE;
    if (!image->ready.rgb) return VLQA_ESTATE;
    abi_give(out, bytes, &image->ready.info, sizeof image->ready.info);
    return VLQA_OK;
}

static vlqa_status add_opened(struct vlqa_session *s, const struct vlqa_image *image)
{
    struct ready r;
    if (!image || !image->ready.rgb)
        return env_fail(&s->env, VLQA_EUSAGE, "the image was not opened");
    if (image->engine != s->engine)
        return env_fail(&s->env, VLQA_EUSAGE, "%s was opened for another engine", image->name);
    r = image->ready; /* others may add it at the same time */
    TRY(check_room(s));
    return add_ready(s, &r);
}

vlqa_status vlqa_add_image(struct vlqa_session *s, const struct vlqa_image *image)
{
    TRY(enter(s));
    return session_leave(s, add_opened(s, image));
}
