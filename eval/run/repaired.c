/* repaired.c - rows to digits and back. */
#include "eval/run/repaired.h"

#include <stdio.h>
#include <string.h>

static int squares_of(struct vlqa_placed_image im, int side)
{
    return repaired_squares(im.grid_h, side) * repaired_squares(im.grid_w, side);
}

static int side_for(const struct vlqa_answer *a)
{
    for (int side = 1;; side *= 2) {
        int squares = 0;
        for (int i = 0; i < a->n_images; i++)
            squares += squares_of(vlqa_image_at(a, i), side);
        if (squares <= REPAIRED_CELLS || squares == a->n_images) return side;
    }
}

static int is_repaired(const struct vlqa_answer *a, struct vlqa_placed_image im, int side,
                       int square)
{
    int columns = repaired_squares(im.grid_w, side);
    int top = square / columns * side, left = square % columns * side;
    for (int y = top; y < top + side && y < im.grid_h; y++)
        for (int x = left; x < left + side && x < im.grid_w; x++)
            if (a->token_selected[im.first_token + y * im.grid_w + x]) return 1;
    return 0;
}

static void report_image(struct report *r, const struct vlqa_answer *a, int image, int side)
{
    const struct vlqa_placed_image im = vlqa_image_at(a, image);
    char text[64 + REPAIRED_CELLS / 4];
    int n = squares_of(im, side), used, keep;
    used = keep = side > 1 ? snprintf(text, 64, "%dx%d/%d:", im.grid_h, im.grid_w, side)
                           : snprintf(text, 64, "%dx%d:", im.grid_h, im.grid_w);
    for (int i = 0; i < n; i += 4) {
        int digit = 0;
        for (int k = 0; k < 4; k++)
            digit = 2 * digit + (i + k < n && is_repaired(a, im, side, i + k));
        text[used++] = "0123456789abcdef"[digit];
        if (digit) keep = used;
    }
    report_text(r, NULL, text, (size_t)keep);
}

static int any_repaired(const struct vlqa_answer *a)
{
    for (int i = 0; a->token_selected && i < a->n_images; i++) {
        struct vlqa_placed_image im = vlqa_image_at(a, i);
        for (int k = 0; k < squares_of(im, 1); k++)
            if (a->token_selected[im.first_token + k]) return 1;
    }
    return 0;
}

void repaired_report(struct report *r, const struct vlqa_answer *answer)
{
    int side;
    if (!any_repaired(answer)) return;
    side = side_for(answer);
    report_open_list(r, "repaired");
    for (int i = 0; i < answer->n_images; i++)
        report_image(r, answer, i, side);
    report_close(r);
}

int repaired_read(const char *text, struct repaired *out)
{
    int used = 0;
    *out = (struct repaired){.side = 1};
    if (sscanf(text, "%6dx%6d%n", &out->h, &out->w, &used) != 2) return 0;
    text += used;
    if (*text == '/') {
        if (sscanf(text, "/%6d%n", &out->side, &used) != 1) return 0;
        text += used;
    }
    if (*text != ':' || out->h < 1 || out->w < 1 || out->side < 1) return 0;
    if ((int64_t)repaired_squares(out->h, out->side) * repaired_squares(out->w, out->side) >
        REPAIRED_CELLS)
        return 0;
    out->digits = text + 1;
    out->n_digits = (int)strspn(out->digits, "0123456789abcdef");
    return !out->digits[out->n_digits];
}

int repaired_at(const struct repaired *r, int y, int x)
{
    int square = y * repaired_squares(r->w, r->side) + x;
    char digit;
    if (square / 4 >= r->n_digits) return 0;
    digit = r->digits[square / 4];
    return (digit <= '9' ? digit - '0' : digit - 'a' + 10) >> (3 - square % 4) & 1;
}
