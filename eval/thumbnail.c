/* thumbnail.c - decoded by the runtime, shrunk, written as PNG and base64. */
#include "eval/thumbnail.h"

#include "base/file.h"
#include "base/heap.h"
#include "eval/canvas.h"

#include <stdio.h>
#include <string.h>

enum {
    SIDE = 352, /* the longest, in pixels: twice what it takes on the page */
    ROWS = 64   /* of the session, which is asked nothing */
};

#define MAX_BYTES ((size_t)128 << 20)

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
    session.max_rows = ROWS;
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

/* Where the file is; 0: nowhere. */
static int find_file(const char *path, const char *of, char *out, size_t cap)
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

static vlqa_status make(struct thumbnails *t, const char *path, uint8_t **png, size_t *bytes)
{
    struct env *env = &t->cli->env;
    struct vlqa_pixels pixels = {.rgb = NULL};
    struct canvas canvas = {.rgb = NULL};
    size_t file_bytes;
    void *file = NULL;
    vlqa_status status;
    TRY(file_read(env, path, MAX_BYTES, &file, &file_bytes));
    status = vlqa_decode_image(t->session, file, file_bytes, path, &pixels);
    heap_free(file);
    if (status == VLQA_OK) status = shrink(env, &pixels, &canvas);
    vlqa_free_pixels(&pixels);
    if (status == VLQA_OK) status = canvas_png(env, &canvas, png, bytes);
    canvas_free(&canvas);
    return status;
}

static void placeholder(struct page *p, const char *what)
{
    page_raw(p, "<div class=\"none\">%s</div>\n", what);
}

void thumbnail(struct thumbnails *t, struct page *p, const char *path, const char *of)
{
    char found[4200];
    uint8_t *png = NULL;
    size_t bytes;
    if (p->form != PAGE_HTML) return;
    if (!*path) {
        placeholder(p, "no image is named");
        return;
    }
    if (!find_file(path, of, found, sizeof found)) {
        placeholder(p, "the image is not there");
        return;
    }
    if (!open_decoder(t) || make(t, found, &png, &bytes) != VLQA_OK) {
        placeholder(p, "the image cannot be shown");
        return;
    }
    page_raw(p, "<img alt=\"");
    page_text(p, path);
    page_raw(p, "\" src=\"data:image/png;base64,");
    page_base64(p, png, bytes);
    page_raw(p, "\"/>\n");
    heap_free(png);
}
