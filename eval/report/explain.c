/* explain.c - scores, chosen rows and chunks drawn over the images. */
#include "eval/report/explain.h"

#include "eval/report/canvas.h"

#include <math.h>

enum {
    PANEL = 720, /* longest side of a large image as drawn; small ones come near it */
    MARGIN = 24, /* around and between images */
    LEGEND = 88, /* height below them */
    SCALE = 240, /* width of the scale of scores */
    STEPS = 3    /* numbers below the scale */
};

static const struct colour ink = {0.15f, 0.17f, 0.2f, 1};
static const struct colour border = {0.15f, 0.17f, 0.2f, 0.55f};
static const struct colour chosen = {0.1f, 0.35f, 0.9f, 0.8f};
static const struct colour evidence = {0.75f, 0.05f, 0.1f, 0.9f};

/* From nothing over yellow to red. 0 <= t <= 1. */
static struct colour heat(float t)
{
    return (struct colour){1.0f - 0.1f * t, 0.85f - 0.8f * t, 0.2f - 0.1f * t, 0.65f * t};
}

struct drawing {
    struct canvas canvas;
    const struct vlqa_answer *answer;
    float most;                            /* score */
    struct area panel[EXPLAIN_MAX_IMAGES]; /* where each image is */
};

static float level(const struct drawing *d, float score)
{
    return d->most > 0 && score > 0 ? fminf(score / d->most, 1) : 0;
}

/* ---- where things are ---- */

/* Small images are enlarged by the nearest whole number, large ones shrunk. */
static void panel_size(struct vlqa_placed_image im, int *width, int *height)
{
    int longest = im.width > im.height ? im.width : im.height;
    if (longest <= PANEL) {
        int times = (PANEL + longest / 2) / longest;
        *width = im.width * times;
        *height = im.height * times;
        return;
    }
    *width = (int)((int64_t)im.width * PANEL / longest);
    *height = (int)((int64_t)im.height * PANEL / longest);
    if (*width < 1) *width = 1;
    if (*height < 1) *height = 1;
}

/* ---- an image ---- */

static void draw_rows(struct drawing *d, int image)
{
    const struct vlqa_answer *a = d->answer;
    const struct vlqa_placed_image im = vlqa_image_at(a, image);
    for (int cell = 0; cell < im.grid_h * im.grid_w; cell++) {
        int row = im.first_token + cell;
        struct area unit = {cell % im.grid_w, cell / im.grid_w, 1, 1};
        struct area at = area_part(d->panel[image], im.grid_w, im.grid_h, unit);
        float t = a->token_score ? level(d, a->token_score[row]) : 0;
        if (t > 0) canvas_fill(&d->canvas, at, heat(t));
        at = (struct area){at.x + 2, at.y + 2, at.width - 4, at.height - 4};
        if (a->token_selected && a->token_selected[row]) canvas_frame(&d->canvas, at, 2, chosen);
    }
}

static void draw_chunks(struct drawing *d)
{
    for (int i = 0; i < d->answer->n_chunks; i++) {
        const struct vlqa_placed_chunk c = vlqa_chunk_at(d->answer, i);
        struct vlqa_placed_image im;
        if (c.image < 0) continue;
        im = vlqa_image_at(d->answer, c.image);
        canvas_frame(
            &d->canvas,
            area_part(d->panel[c.image], im.grid_w, im.grid_h, (struct area){c.x, c.y, c.w, c.h}),
            1, border);
    }
}

static void draw_evidence(struct drawing *d)
{
    for (int i = 0; i < d->answer->n_evidence; i++) {
        const struct vlqa_evidence e = vlqa_evidence_at(d->answer, i);
        const struct vlqa_placed_image im = vlqa_image_at(d->answer, e.image);
        canvas_frame(&d->canvas,
                     area_part(d->panel[e.image], im.width, im.height,
                               (struct area){e.x, e.y, e.width, e.height}),
                     3, evidence);
    }
}

/* ---- legend ---- */

static int draw_sample(struct drawing *d, int x, int y, int line, struct colour colour,
                       const char *text)
{
    canvas_frame(&d->canvas, (struct area){x, y, 22, 22}, line, colour);
    canvas_text(&d->canvas, x + 32, y + 4, text, ink);
    return x + 32 + canvas_text_width(text) + MARGIN;
}

static void draw_scale(struct drawing *d, int x, int y)
{
    for (int i = 0; i < SCALE; i++)
        canvas_fill(&d->canvas, (struct area){x + i, y, 1, 22}, heat((float)(i + 1) / SCALE));
    canvas_frame(&d->canvas, (struct area){x, y, SCALE, 22}, 1, border);
    for (int i = 0; i < STEPS; i++) {
        float t = (float)i / (STEPS - 1);
        char text[32];
        snprintf(text, sizeof text, "%.3g", (double)(d->most * t));
        canvas_text(&d->canvas, x + (int)(t * (float)(SCALE - canvas_text_width(text))), y + 30,
                    text, ink);
    }
}

/* Returns where it ends, with its margin. On a canvas that is not open it is measured only. */
static int draw_legend(struct drawing *d)
{
    static const char none[] = "no chunks were used (full prefill)";
    int x = MARGIN, y = d->canvas.height - LEGEND;
    if (d->most > 0) {
        canvas_text(&d->canvas, x, y + 4, "token score", ink);
        x += canvas_text_width("token score") + 12;
        draw_scale(d, x, y);
        x += SCALE + MARGIN;
    }
    if (d->answer->tokens_selected) x = draw_sample(d, x, y, 2, chosen, "recomputed");
    if (d->answer->n_chunks) x = draw_sample(d, x, y, 1, border, "chunk");
    if (d->answer->n_evidence) x = draw_sample(d, x, y, 3, evidence, "evidence");
    if (x > MARGIN) return x;
    canvas_text(&d->canvas, x, y + 4, none, ink);
    return x + canvas_text_width(none) + MARGIN;
}

/* ---- the whole ---- */

/* Returns its size: what images and legend need. */
static struct area arrange(struct drawing *d)
{
    struct area all = {0, 0, MARGIN, 0};
    int legend = draw_legend(d);
    for (int i = 0; i < d->answer->n_images; i++) {
        struct area *p = &d->panel[i];
        *p = (struct area){.x = all.width, .y = MARGIN};
        panel_size(vlqa_image_at(d->answer, i), &p->width, &p->height);
        all.width += p->width + MARGIN;
        if (p->height > all.height) all.height = p->height;
    }
    all.height += 2 * MARGIN + LEGEND;
    if (all.width < legend) all.width = legend;
    return all;
}

/* Order and chance are no heat: only scores that gave evidence are. */
static float highest_score(const struct vlqa_answer *a)
{
    return a->n_evidence ? vlqa_evidence_at(a, 0).score : 0;
}

int explain_picture(struct cli *cli, const struct vlqa_answer *answer,
                    const struct vlqa_pixels *pixels, const char *path)
{
    struct drawing d = {.answer = answer, .most = highest_score(answer)};
    struct area all = arrange(&d);
    vlqa_status status = canvas_open(&cli->env, all.width, all.height, &d.canvas);
    if (status == VLQA_OK) {
        for (int i = 0; i < answer->n_images; i++) {
            canvas_image(&d.canvas, d.panel[i], &pixels[i]);
            draw_rows(&d, i);
        }
        draw_chunks(&d);
        draw_evidence(&d);
        draw_legend(&d);
        status = canvas_write(&cli->env, &d.canvas, path);
    }
    canvas_free(&d.canvas);
    return status == VLQA_OK ? CLI_OK : cli_fail(cli, status, cli->env.message);
}
