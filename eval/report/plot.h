/* plot.h - drawings of numbers as SVG within an HTML page; its style sheet has their colours. */
#ifndef EVAL_PLOT_H
#define EVAL_PLOT_H

#include "eval/report/page.h"

struct plot_point {
    double x, y, low, high; /* low, high: how sure y is; NaN: nothing is known of it */
};

struct plot_series {
    const char *name;
    const struct plot_point *point; /* by x */
    int n, colour, mark;            /* modulo what there is of them; colour 0: of the base */
};

struct plot_curve {
    const char *what, *x_name, *y_name; /* what: for those who do not see it */
    int is_log;                         /* y, powers of ten; what is too small lies on the axis */
    double base;                        /* a dashed line; NaN: none */
    const char *base_name;
    const struct plot_series *series;
    int n;
};

/* x from 0 to the most there is; y over the values alone. Nothing where there is no point. */
void plot_curve(struct page *p, const struct plot_curve *curve);

struct plot_bars {
    const char *what, *x_name;
    const char *const *row, *const *part;
    int rows, parts;
    const double *value; /* [rows][parts], not negative; NaN: none */
    const int *colour;   /* [parts] */
    int is_stacked;      /* the parts of a row add up; else they stand below each other */
    double most;         /* of the axis; NaN: what is there */
};

void plot_bars(struct page *p, const struct plot_bars *bars);

#endif
