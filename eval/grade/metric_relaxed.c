/* metric_relaxed.c - ChartQA's relaxed accuracy: numbers within 5 %, other texts but for case. */
#include "eval/grade/metric.h"

#include <math.h>

/* "5%" and "5%%" are 0.05. */
static int number_of(struct unicode c, struct arena *scratch, double *out)
{
    int percent = c.n && c.at[c.n - 1] == '%';
    while (c.n && c.at[c.n - 1] == '%')
        c.n--;
    if (!unicode_number(c, scratch, out)) return 0;
    if (percent) *out /= 100;
    return 1;
}

int metric_relaxed(struct unicode prediction, struct unicode target, struct arena *scratch)
{
    double p, g;
    if (number_of(prediction, scratch, &p) && number_of(target, scratch, &g) && g != 0)
        return fabs(p - g) / fabs(g) <= 0.05; /* in this order of operations, in double */
    return unicode_equal(unicode_lower(prediction, scratch), unicode_lower(target, scratch));
}
