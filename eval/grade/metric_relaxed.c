/* metric_relaxed.c - ChartQA's relaxed accuracy: numbers within 5 %, other texts but for case. */
#include "eval/grade/metric.h"

#include <math.h>

/* "5%" and "5%%" are 0.05. */
static int number_of(struct codes c, struct arena *scratch, double *out)
{
    int percent = c.n && c.at[c.n - 1] == '%';
    while (c.n && c.at[c.n - 1] == '%')
        c.n--;
    if (!codes_number(c, scratch, out)) return 0;
    if (percent) *out /= 100;
    return 1;
}

int metric_relaxed(struct codes prediction, struct codes target, struct arena *scratch)
{
    double p, g;
    if (number_of(prediction, scratch, &p) && number_of(target, scratch, &g) && g != 0)
        return fabs(p - g) / fabs(g) <= 0.05; /* in this order of operations, in double */
    return codes_equal(codes_lower(prediction, scratch), codes_lower(target, scratch));
}
