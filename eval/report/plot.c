/* plot.c - axes with round numbers, lines with marks, bars. */
#include "eval/report/plot.h"

#include "eval/report/page_style.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    WIDTH = 720,
    RIGHT = 700,   /* where the area ends */
    TOP = 28,      /* below the name of the axis */
    HEIGHT = 300,  /* of the area of a curve */
    ENTRY = 220,   /* width of a name in the legend */
    CHARACTER = 8, /* about the width of one */
    NAME = 30,     /* characters of a name at most */
    BAR = 9,       /* height of one of several */
    WIDE_BAR = 18, /* of one that stands alone */
    DECADES = 6    /* powers of ten that an axis has at most */
};

struct scale {
    double low, high, step; /* values, of the ticks; with `each` their logarithms */
    double from, to;        /* pixels */
    int digits;             /* behind the point, that ticks need */
    int each;               /* ticks a power of ten: 1, or 3 at 1, 2 and 5; 0: linear */
};

/* Steps of 1, 2 or 5 times a power of ten, about five of them; a range of nothing is widened. */
static struct scale scale_over(double low, double high, double from, double to)
{
    struct scale s = {.from = from, .to = to};
    double rough, power;
    if (!(high > low)) high = low + (low > 0 ? low / 10 : 1);
    rough = (high - low) / 5;
    power = pow(10, floor(log10(rough)));
    s.step = rough / power > 5   ? 10 * power
             : rough / power > 2 ? 5 * power
             : rough / power > 1 ? 2 * power
                                 : power;
    s.low = floor(low / s.step + 1e-9) * s.step;
    s.high = ceil(high / s.step - 1e-9) * s.step;
    s.digits = s.step < 1 ? (int)ceil(-log10(s.step) - 1e-9) : 0;
    if (s.digits > 9) s.digits = 9;
    return s;
}

static struct scale log_scale_over(double low, double high, double from, double to)
{
    struct scale s = {.from = from, .to = to};
    s.high = ceil(log10(high) - 1e-9);
    s.low = fmax(floor(log10(low) + 1e-9), s.high - DECADES);
    if (!(s.low < s.high)) s.low = s.high - 1;
    s.each = s.high - s.low > 2 ? 1 : 3;
    return s;
}

static double place(const struct scale *s, double value)
{
    if (s->each) value = value > 0 ? fmax(log10(value), s->low) : s->low;
    return s->from + (value - s->low) / (s->high - s->low) * (s->to - s->from);
}

static int ticks(const struct scale *s)
{
    if (s->each) return (int)(s->high - s->low + 0.5) * s->each + 1;
    return (int)((s->high - s->low) / s->step + 0.5) + 1;
}

static double tick(const struct scale *s, int i)
{
    static const double steps[] = {1, 2, 5};
    if (s->each) return steps[i % s->each] * pow(10, s->low + (double)(i / s->each));
    return s->low + i * s->step;
}

static const char *tick_text(const struct scale *s, int i, char out[40])
{
    if (s->each)
        snprintf(out, 40, "%g", tick(s, i));
    else
        snprintf(out, 40, "%.*f", s->digits, tick(s, i));
    return out;
}

/* ---- parts ---- */

static void begin(struct page *p, const char *what, double height)
{
    page_raw(p, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", WIDTH, height);
    page_text(p, what);
    page_raw(p, "\">\n");
}

static void text(struct page *p, double x, double y, const char *anchor, const char *value)
{
    size_t bytes = strlen(value), keep = bytes;
    char cut[4 * NAME + 4];
    if (keep > 4 * NAME) keep = 4 * NAME;
    for (size_t i = 0, n = 0; i < keep; i++) {
        n += ((unsigned char)value[i] & 0xc0) != 0x80;
        if (n > NAME) keep = i;
    }
    while (keep < bytes && keep && ((unsigned char)value[keep] & 0xc0) == 0x80)
        keep--;
    snprintf(cut, sizeof cut, "%.*s%s", (int)keep, value, keep < bytes ? "\xe2\x80\xa6" : "");
    page_raw(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    page_text(p, cut);
    page_raw(p, "</text>\n");
}

static void line(struct page *p, const char *class, double x1, double y1, double x2, double y2)
{
    page_raw(p, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1,
             y1, x2, y2);
}

static void x_axis(struct page *p, const struct scale *x, double top, double bottom,
                   const char *name)
{
    char number[40];
    for (int i = 0; i < ticks(x); i++) {
        double at = place(x, tick(x, i));
        line(p, "grid", at, top, at, bottom);
        text(p, at, bottom + 18, "middle", tick_text(x, i, number));
    }
    text(p, RIGHT, bottom + 36, "end", name);
}

/* A mark that tells series apart without colour, too. */
static void mark(struct page *p, int shape, int colour, double x, double y)
{
    static const char *const shapes[] = {
        "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n",
        "<path class=\"f%d\" d=\"M%.1f %.1fm-4 -4h8v8h-8z\"/>\n",
        "<path class=\"f%d\" d=\"M%.1f %.1fm0 -5l5 9h-10z\"/>\n",
        "<path class=\"f%d\" d=\"M%.1f %.1fm0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z\"/>\n",
    };
    int class = colour % PAGE_COLOURS;
    switch (shape % 4) {
    case 0:
        page_raw(p, shapes[0], class, x, y);
        return;
    case 1:
        page_raw(p, shapes[1], class, x, y);
        return;
    case 2:
        page_raw(p, shapes[2], class, x, y);
        return;
    default:
        page_raw(p, shapes[3], class, x, y);
    }
}

static double legend_height(int entries)
{
    return 20.0 * ((entries + 2) / 3) + 8;
}

/* Entry i of a legend that begins at y: where its mark stands. */
static void legend_at(int i, double y, double *x, double *row)
{
    *x = 30 + ENTRY * (i % 3);
    *row = y + 20.0 * (double)(i / 3);
}

/* ---- curves ---- */

static void widen(double value, double *low, double *high)
{
    if (isnan(value)) return;
    if (!(value >= *low)) *low = value;
    if (!(value <= *high)) *high = value;
}

static void draw_series(struct page *p, const struct plot_series *s, const struct scale *x,
                        const struct scale *y)
{
    int class = s->colour % PAGE_COLOURS;
    if (s->n > 1) {
        page_raw(p, "<polyline class=\"line c%d\" points=\"", class);
        for (int i = 0; i < s->n; i++)
            page_raw(p, "%s%.1f,%.1f", i ? " " : "", place(x, s->point[i].x),
                     place(y, s->point[i].y));
        page_raw(p, "\"/>\n");
    }
    for (int i = 0; i < s->n; i++) {
        const struct plot_point *at = &s->point[i];
        char style[24];
        snprintf(style, sizeof style, "reach c%d", class);
        if (!isnan(at->low))
            line(p, style, place(x, at->x), place(y, at->low), place(x, at->x), place(y, at->high));
        mark(p, s->mark, s->colour, place(x, at->x), place(y, at->y));
    }
}

static void draw_legend(struct page *p, const struct plot_curve *c, double top)
{
    double x, y;
    for (int i = 0; i < c->n; i++) {
        legend_at(i, top, &x, &y);
        mark(p, c->series[i].mark, c->series[i].colour, x, y);
        text(p, x + 14, y + 4.5, "start", c->series[i].name);
    }
}

/* The axes of all points; 0: there is none that can be shown. */
static int scales(const struct plot_curve *c, double bottom, struct scale *x, struct scale *y)
{
    double low = (double)NAN, high = (double)NAN, most = 0;
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->series[i].n; k++) {
            const struct plot_point *at = &c->series[i].point[k];
            const double value[] = {at->y, at->low, at->high};
            for (int v = 0; v < 3; v++)
                if (!c->is_log || value[v] > 0) widen(value[v], &low, &high);
            if (at->x > most) most = at->x;
        }
    if (isnan(low)) return 0;
    widen(c->base, &low, &high);
    *x = scale_over(0, most, 56, RIGHT);
    *y = (c->is_log ? log_scale_over : scale_over)(low, high, bottom, TOP);
    return 1;
}

void plot_curve(struct page *p, const struct plot_curve *c)
{
    double bottom = TOP + HEIGHT;
    struct scale x, y;
    char number[40];
    if (p->form != PAGE_HTML || !scales(c, bottom, &x, &y)) return;
    begin(p, c->what, bottom + 52 + legend_height(c->n));
    text(p, 0, 14, "start", c->y_name);
    x_axis(p, &x, TOP, bottom, c->x_name);
    for (int i = 0; i < ticks(&y); i++) {
        double at = place(&y, tick(&y, i));
        line(p, i ? "grid" : "axis", 56, at, RIGHT, at);
        text(p, 48, at + 4.5, "end", tick_text(&y, i, number));
    }
    if (!isnan(c->base)) {
        line(p, "dash c0", 56, place(&y, c->base), RIGHT, place(&y, c->base));
        text(p, 62, place(&y, c->base) - 6, "start", c->base_name);
    }
    for (int i = 0; i < c->n; i++)
        draw_series(p, &c->series[i], &x, &y);
    draw_legend(p, c, bottom + 60);
    page_raw(p, "</svg>\n");
}

/* ---- bars ---- */

static double row_sum(const struct plot_bars *b, int row)
{
    double sum = 0;
    for (int i = 0; i < b->parts; i++) {
        double value = b->value[row * b->parts + i];
        if (isnan(value)) continue;
        if (b->is_stacked)
            sum += value;
        else if (value > sum)
            sum = value;
    }
    return sum;
}

static void bar(struct page *p, int colour, double x, double y, double width, double height,
                const char *part, double value)
{
    page_raw(p, "<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
             colour % PAGE_COLOURS, x, y, width, height);
    page_text(p, part);
    page_raw(p, ": %.1f</title></rect>\n", value);
}

static void draw_row(struct page *p, const struct plot_bars *b, int row, const struct scale *x,
                     double top, double height)
{
    double at = 0;
    char number[40];
    for (int i = 0; i < b->parts; i++) {
        double value = b->value[row * b->parts + i], from = place(x, at);
        if (isnan(value)) continue;
        if (b->is_stacked) {
            bar(p, b->colour[i], from, top, place(x, at + value) - from, height, b->part[i], value);
            at += value;
        } else {
            bar(p, b->colour[i], x->from, top + height * i, place(x, value) - x->from, height - 1.5,
                b->part[i], value);
        }
    }
    if (!b->is_stacked) return;
    snprintf(number, sizeof number, "%.*f", at < 10 ? 1 : 0, at);
    text(p, place(x, at) + 6, top + height - 4.5, "start", number);
}

void plot_bars(struct page *p, const struct plot_bars *b)
{
    double height = b->is_stacked ? WIDE_BAR : BAR, row = height * (b->is_stacked ? 1 : b->parts);
    double left = 0, most = b->most, bottom, x_at, y_at;
    struct scale x;
    if (p->form != PAGE_HTML || !b->rows || !b->parts) return;
    row += 12;
    for (int i = 0; i < b->rows; i++) {
        double width = CHARACTER * (double)strlen(b->row[i]);
        if (width > left) left = width < CHARACTER * NAME ? width : CHARACTER * NAME;
        if (isnan(b->most) && !(row_sum(b, i) <= most)) most = row_sum(b, i);
    }
    left += 14;
    bottom = 10 + b->rows * row;
    x = scale_over(0, most, left, b->is_stacked ? RIGHT - 40 : RIGHT);
    begin(p, b->what, bottom + 52 + legend_height(b->parts));
    x_axis(p, &x, 4, bottom, b->x_name);
    for (int i = 0; i < b->rows; i++) {
        double top = 10 + i * row;
        text(p, left - 8, top + (row - 12) / 2 + 4.5, "end", b->row[i]);
        draw_row(p, b, i, &x, top, height);
    }
    line(p, "axis", left, 4, left, bottom);
    for (int i = 0; i < b->parts; i++) {
        legend_at(i, bottom + 60, &x_at, &y_at);
        page_raw(p, "<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\"/>\n",
                 b->colour[i] % PAGE_COLOURS, x_at - 5, y_at - 5);
        text(p, x_at + 14, y_at + 4.5, "start", b->part[i]);
    }
    page_raw(p, "</svg>\n");
}
