/* thumbnail.c - decoded by the runtime, shrunk, written as PNG and base64. */
#include "eval/report/thumbnail.h"

#include "base/file.h"
#include "base/heap.h"
#include "eval/report/canvas.h"

#include <stdio.h>
#include <string.h>

enum {
    SIDE = 1600, /* the longest, in pixels: as large as a click shows it */
    ROWS = 64    /* of the session, which is asked nothing */
};

#define MAX_BYTES ((size_t)128 << 20)

static const struct colour again = {0.95f, 0.3f, 0.1f, 0.4f}; /* rows computed again */

/* Decoding needs a session, whatever its model: the smallest, of random weights, is always there.
 */
static int open_decoder(struct thumbnails *t)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    struct vlqa_session_options session = vlqa_session_options_default();
    if (t->session) return 1;
    if (t->failed) return 0;
    options.random_shape = "default";
    options.threads = 1;
    options.no_cache = 1;
    session.max_seq_len = ROWS;
    t->failed = vlqa_engine_open(&options, &t->engine) != VLQA_OK ||
                vlqa_session_open(t->engine, &session, &t->session) != VLQA_OK;
    if (!t->failed) return 1;
    vlqa_session_close(t->session);
    t->session = NULL;
    cli_note(t->cli, "the report has no thumbnails: images cannot be decoded");
    return 0;
}

void thumbnails_close(struct thumbnails *t)
{
    vlqa_session_close(t->session);
    vlqa_engine_close(t->engine);
}

int thumbnail_find(const char *path, const char *of, char *out, size_t cap)
{
    const char *slash = strrchr(of, '/');
    int bytes = snprintf(out, cap, "%s", path);
    if (bytes < (int)cap && file_exists(out)) return 1;
    if (path[0] == '/' || !slash) return 0;
    bytes = snprintf(out, cap, "%.*s%s", (int)(slash + 1 - of), of, path);
    return bytes < (int)cap && file_exists(out);
}

static vlqa_status shrink(struct env *env, const struct vlqa_pixels *image, struct canvas *out)
{
    int longest = image->width > image->height ? image->width : image->height;
    int to = longest < SIDE ? longest : SIDE;
    struct area all = {.width = (int)((int64_t)image->width * to / longest),
                       .height = (int)((int64_t)image->height * to / longest)};
    if (all.width < 1) all.width = 1;
    if (all.height < 1) all.height = 1;
    TRY(canvas_open(env, all.width, all.height, out));
    canvas_image(out, all, image);
    return VLQA_OK;
}

static void draw_rows(struct canvas *c, const struct repaired *r)
{
    struct area all = {.width = c->width, .height = c->height};
    for (int y = 0; y * r->side < r->h; y++)
        for (int x = 0; x * r->side < r->w; x++) {
            struct area square = {x * r->side, y * r->side, r->side, r->side};
            if (square.x + square.width > r->w) square.width = r->w - square.x;
            if (square.y + square.height > r->h) square.height = r->h - square.y;
            if (repaired_at(r, y, x)) canvas_fill(c, area_part(all, r->w, r->h, square), again);
        }
}

void thumbnail_make(struct thumbnails *t, const void *data, size_t bytes, const char *name,
                    const struct repaired *rows, struct thumbnail *out)
{
    struct env *env = &t->cli->env;
    struct vlqa_pixels pixels = {.rgb = NULL};
    struct canvas canvas = {.rgb = NULL};
    vlqa_status status;
    *out = (struct thumbnail){.missing = "the image cannot be shown"};
    if (!open_decoder(t)) return;
    status = vlqa_decode_image(t->session, data, bytes, name, &pixels, sizeof pixels);
    if (status == VLQA_OK) status = shrink(env, &pixels, &canvas);
    vlqa_free_pixels(&pixels);
    if (status == VLQA_OK && rows) draw_rows(&canvas, rows);
    if (status == VLQA_OK) status = canvas_png(env, &canvas, &out->png, &out->bytes);
    if (status == VLQA_OK) out->missing = NULL;
    canvas_free(&canvas);
}

void thumbnail_file(struct thumbnails *t, const char *path, const char *of,
                    const struct repaired *rows, struct thumbnail *out)
{
    char found[4200];
    size_t bytes;
    void *file;
    *out = (struct thumbnail){.missing = "the image is not there"};
    if (!thumbnail_find(path, of, found, sizeof found)) return;
    out->missing = "the image cannot be shown";
    if (file_read(&t->cli->env, found, MAX_BYTES, &file, &bytes) != VLQA_OK) return;
    thumbnail_make(t, file, bytes, path, rows, out);
    heap_free(file);
}

void thumbnail_put(struct page *p, const struct thumbnail *picture, const char *alt)
{
    if (!picture->png) {
        page_raw(p, "<div class=\"none\">%s</div>\n", picture->missing);
        return;
    }
    p->images++;
    page_raw(p, "<a class=\"zoom\" id=\"i%d\" href=\"#i%d\" title=\"full size\"><img alt=\"",
             p->images, p->images);
    page_text(p, alt);
    page_raw(p, "\" src=\"data:image/png;base64,");
    page_base64(p, picture->png, picture->bytes);
    page_raw(p, "\"/></a><a class=\"shut\" href=\"#shut\" title=\"close\"></a>\n");
}

void thumbnail_free(struct thumbnail *picture)
{
    heap_free(picture->png);
    picture->png = NULL;
}
