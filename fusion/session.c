/* session.c - a conversation: opening its memory, adding system text, texts and images. */
#include "fusion/session.h"

#include "base/file.h"
#include "base/heap.h"
#include "text/utf8.h"
#include "vision/resize.h"

#include <string.h>
#include <unistd.h>

#define SESSION_TEXT_BYTES ((size_t)1 << 16) /* at least, and 16 bytes a row */
#define SESSION_IMAGE_FILE_BYTES ((size_t)1 << 30)

int session_default_rows(const struct vlqa_engine *e)
{
    int most = e->decoder.config.max_positions;
    return most < SESSION_DEFAULT_ROWS ? most : SESSION_DEFAULT_ROWS;
}

static size_t request_bytes(int max_rows)
{
    size_t ids = 3 * ((size_t)max_rows * sizeof(int32_t) + 2 * ARENA_ALIGN);
    size_t turns = (SESSION_MAX_ITEMS + 2) *
                   (sizeof(struct prompt_item) + sizeof(struct prompt_turn) + ARENA_ALIGN);
    return ids + turns + layout_bytes(max_rows) + 16 * ARENA_ALIGN;
}

/* Encoding the prompt and running the decoder come one after the other. */
static size_t scratch_bytes(const struct vlqa_engine *e, int max_rows, size_t text_cap)
{
    const struct decoder_config *c = &e->decoder.config;
    int rows = max_rows < SESSION_PASS_ROWS ? max_rows : SESSION_PASS_ROWS;
    size_t forward = decoder_scratch(c, rows) + sampler_scratch(c->vocab) + 8 * ARENA_ALIGN;
    size_t encode = tokenizer_scratch(2 * text_cap) + 2 * text_cap + 8 * ARENA_ALIGN;
    return forward > encode ? forward : encode;
}

/* The session's block, measured with mem->base NULL and laid out with the same code. */
static void layout_session(struct vlqa_session *s, struct arena *mem)
{
    const struct vlqa_engine *e = s->engine;
    const struct decoder_config *c = &e->decoder.config;
    size_t rows = (size_t)s->max_rows, vocab = (size_t)c->vocab;
    size_t visual = mat_bytes(c->compute, s->max_rows, c->hidden);
    size_t request = request_bytes(s->max_rows), scratch;
    s->text_cap = SESSION_TEXT_BYTES + 16 * rows;
    kv_layout(&s->kv, c->layers, c->kv_heads, c->head_dim, s->max_rows, c->compute, mem);
    s->visual = mat_of(arena_push(mem, visual), c->compute, s->max_rows, c->hidden);
    for (int i = 0; i < e->vit.config.n_deep; i++)
        s->deep[i] = mat_of(arena_push(mem, visual), c->compute, s->max_rows, c->hidden);
    s->text = arena_push(mem, s->text_cap);
    s->item = arena_push(mem, (SESSION_MAX_ITEMS + 1) * sizeof *s->item);
    s->image = arena_push(mem, SESSION_MAX_ITEMS * sizeof *s->image);
    s->answer = arena_push(mem, 3 * rows * (size_t)(e->max_piece + 3) + 1);
    s->answer_token = arena_push(mem, rows * sizeof *s->answer_token);
    s->prompt_token = arena_push(mem, rows * sizeof *s->prompt_token);
    s->logits = arena_push(mem, vocab * sizeof *s->logits);
    s->first_logits = arena_push(mem, vocab * sizeof *s->first_logits);
    scratch = scratch_bytes(e, s->max_rows, s->text_cap);
    s->scratch = (struct arena){arena_push(mem, scratch), scratch, 0, 0};
    s->request = (struct arena){arena_push(mem, request), request, 0, 0};
}

size_t session_bytes(const struct vlqa_engine *e, int max_rows)
{
    struct arena dry = {0};
    struct vlqa_session s = {.engine = (struct vlqa_engine *)(uintptr_t)e, .max_rows = max_rows};
    layout_session(&s, &dry);
    return dry.used;
}

static vlqa_status open_session(struct vlqa_session *s)
{
    struct env *env = &s->env;
    struct vlqa_engine *e = s->engine;
    size_t bytes;
    struct arena mem;
    if (s->options.max_rows < 0 || s->options.max_rows > SESSION_MAX_ROWS)
        return env_fail(env, VLQA_EUSAGE, "session options: max_rows is %d, expected 0..%d",
                        s->options.max_rows, SESSION_MAX_ROWS);
    s->max_rows = s->options.max_rows ? s->options.max_rows : session_default_rows(e);
    if (s->max_rows > e->decoder.config.max_positions)
        return env_fail(env, VLQA_ELIMIT, "session options: max_rows is %d, the model has %d",
                        s->max_rows, e->decoder.config.max_positions);
    TRY(backend_create(env, e->options.cpu, &s->be));
    bytes = session_bytes(e, s->max_rows);
    s->block = s->be->op->alloc(s->be, bytes);
    if (!s->block) return env_no_memory(env, "session", bytes);
    mem = arena_over(s->block, bytes);
    layout_session(s, &mem);
    s->scratch = arena_over(s->scratch.base, s->scratch.cap);
    s->request = arena_over(s->request.base, s->request.cap);
    return VLQA_OK;
}

vlqa_status vlqa_session_open(struct vlqa_engine *engine,
                              const struct vlqa_session_options *options, struct vlqa_session **out)
{
    struct vlqa_session *s;
    if (!out) return VLQA_EUSAGE;
    *out = NULL;
    if (!engine || !engine->usable) return VLQA_EUSAGE;
    s = heap_alloc(sizeof *s);
    if (!s) return VLQA_EMEMORY;
    memset(s, 0, sizeof *s);
    *out = s;
    s->engine = engine;
    s->options = vlqa_session_options_default();
    s->env.pool = engine->pool;
    if (options)
        TRY(engine_options_copy(&s->env, "session", options, &s->options, sizeof s->options));
    s->env.log = s->options.log;
    s->env.progress = s->options.progress;
    s->env.user = s->options.user;
    return open_session(s);
}

void vlqa_session_close(struct vlqa_session *s)
{
    if (!s) return;
    if (s->block) s->be->op->release(s->be, s->block);
    backend_free(s->be);
    heap_free(s);
}

const char *vlqa_message(const struct vlqa_session *s)
{
    return s ? s->env.message : "no session";
}

vlqa_status session_enter(struct vlqa_session *s)
{
    int idle = 0;
    if (!s) return VLQA_EUSAGE;
    if (!s->block || !atomic_compare_exchange_strong(&s->busy, &idle, 1)) return VLQA_ESTATE;
    if (getpid() != s->engine->process)
        return session_leave(
            s, env_fail(&s->env, VLQA_ESTATE, "the engine was opened in another process (fork)"));
    s->env.message[0] = 0;
    return VLQA_OK;
}

vlqa_status session_leave(struct vlqa_session *s, vlqa_status status)
{
    arena_rewind(&s->scratch, 0);
    arena_rewind(&s->request, 0);
    atomic_store(&s->busy, 0);
    return status;
}

vlqa_status vlqa_session_clear(struct vlqa_session *s)
{
    TRY(session_enter(s));
    s->n_items = s->n_images = s->visual_rows = s->turn = 0;
    s->text_used = 0;
    s->ms_decode_image = s->ms_vision = 0;
    memset(&s->last_image, 0, sizeof s->last_image);
    return session_leave(s, VLQA_OK);
}

/* Texts. */

static vlqa_status copy_text(struct vlqa_session *s, const char *utf8, size_t bytes, char **out)
{
    struct env *env = &s->env;
    size_t valid;
    if (!utf8 && bytes) return env_fail(env, VLQA_EUSAGE, "the text is NULL");
    if (bytes > s->text_cap - s->text_used)
        return env_fail(env, VLQA_ELIMIT,
                        "a text of %zu bytes; the session of %d rows has room for %zu", bytes,
                        s->max_rows, s->text_cap - s->text_used);
    valid = utf8_valid(utf8, bytes);
    if (valid < bytes) return env_fail(env, VLQA_ETEXT, "the text is not UTF-8 at byte %zu", valid);
    if (bytes) memcpy(s->text + s->text_used, utf8, bytes);
    *out = s->text + s->text_used;
    s->text_used += bytes;
    return VLQA_OK;
}

static vlqa_status check_items(struct vlqa_session *s)
{
    if (s->n_items >= SESSION_MAX_ITEMS)
        return env_fail(&s->env, VLQA_ELIMIT, "the conversation has %d items already",
                        SESSION_MAX_ITEMS);
    return VLQA_OK;
}

vlqa_status session_append(struct vlqa_session *s, enum prompt_role role, const char *utf8,
                           size_t bytes)
{
    char *copy = NULL;
    TRY(check_items(s));
    TRY(copy_text(s, utf8, bytes, &copy));
    s->item[s->n_items++] = (struct session_item){role, s->turn, copy, bytes, -1, 0};
    return VLQA_OK;
}

vlqa_status vlqa_add_text(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_enter(s));
    return session_leave(s, session_append(s, PROMPT_USER, utf8, bytes));
}

static vlqa_status set_system(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    if (s->n_items)
        return env_fail(&s->env, VLQA_ESTATE,
                        "the system text comes first: the conversation has begun");
    TRY(session_append(s, PROMPT_SYSTEM, utf8, bytes));
    s->turn++;
    return VLQA_OK;
}

vlqa_status vlqa_set_system(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_enter(s));
    return session_leave(s, set_system(s, utf8, bytes));
}

/* Images. */

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

static vlqa_status add_image(struct vlqa_session *s, const char *name, const struct upright *im,
                             double ms_decode)
{
    const struct vit_config *c = &s->engine->vit.config;
    int merge = c->patch.merge;
    struct vlqa_image_info info = {
        .width = im->width, .height = im->height, .ms_decode = ms_decode};
    int64_t rows;
    TRY(check_items(s));
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
    TRY(resize_and_encode(s, im, &info));
    s->image[s->n_images] =
        (struct layout_image){{info.grid_h / merge, info.grid_w / merge}, s->visual_rows};
    s->item[s->n_items++] = (struct session_item){PROMPT_USER, s->turn, NULL, 0, s->n_images++, 0};
    s->visual_rows += info.rows;
    s->ms_decode_image += info.ms_decode;
    s->ms_vision += info.ms_vision;
    s->last_image = info;
    env_log(&s->env, VLQA_LOG_INFO, "%s: %d x %d to %d x %d, %d rows, %.1f ms", name, info.width,
            info.height, info.resized_width, info.resized_height, info.rows, info.ms_vision);
    return VLQA_OK;
}

static vlqa_status add_encoded(struct vlqa_session *s, const void *data, size_t bytes,
                               const char *name)
{
    const struct vlqa_engine_options *o = &s->engine->options;
    struct image_limits limits = {o->image_max_pixels ? o->image_max_pixels : 100000000,
                                  o->image_mode};
    struct image image = {0};
    struct upright im;
    double begin = env_ms();
    vlqa_status status;
    TRY(image_decode(&s->env, data, bytes, name, &limits, &image));
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
    if (!data) return session_leave(s, env_fail(&s->env, VLQA_EUSAGE, "the image is NULL"));
    return session_leave(s, add_encoded(s, data, bytes, name ? name : "image"));
}

vlqa_status vlqa_add_image_rgb(struct vlqa_session *s, const uint8_t *rgb, int width, int height,
                               size_t stride)
{
    TRY(session_enter(s));
    return session_leave(s, add_rgb(s, rgb, width, height, stride));
}

vlqa_status vlqa_last_image(const struct vlqa_session *s, struct vlqa_image_info *out)
{
    if (!s || !out) return VLQA_EUSAGE;
    if (!s->n_images) return VLQA_ESTATE;
    *out = s->last_image;
    return VLQA_OK;
}
