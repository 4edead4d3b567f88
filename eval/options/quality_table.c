/* quality_table.c - answers to margins, margins to a promise. */
#include "eval/options/quality_table.h"

#include "eval/stats/stats.h"

#include <math.h>
#include <stdlib.h>

/* Those that are others first, the largest lead first. */
static int by_danger(const void *a, const void *b)
{
    const struct quality_unit *x = a, *y = b;
    if (x->apart != y->apart) return y->apart - x->apart;
    return (x->lead < y->lead) - (x->lead > y->lead);
}

/* What all answers take at a margin. */
static struct quality_point point_at(const struct quality_unit *unit, int n, double margin)
{
    struct quality_point out = {.margin = margin};
    double full = 0;
    for (int i = 0; i < n; i++) {
        int in_doubt = unit[i].lead < margin;
        out.failures += unit[i].apart && !in_doubt;
        out.work += unit[i].flops + (in_doubt ? unit[i].flops_exact : 0);
        full += unit[i].flops_full;
    }
    out.work /= full;
    return out;
}

/* Few of many failures make no difference to what can be promised. */
static int is_told(int failures, int all)
{
    int step = failures < 50 ? 1 : failures < 400 ? 10 : failures < 4000 ? 100 : 1000;
    return failures % step == 0 || failures == all;
}

/* Just above a lead, so that a token with this lead is in doubt. */
static double above(double lead)
{
    double margin = fmax(lead * (1 + 1e-6), 1e-6);
    return fmin(margin, QUALITY_MARGIN);
}

void quality_points(struct quality_unit *unit, int n, struct quality_family *out)
{
    int apart = 0;
    qsort(unit, (size_t)n, sizeof *unit, by_danger);
    while (apart < n && unit[apart].apart)
        apart++;
    out->answers = n;
    out->n = 0;
    for (int k = 0; k <= apart && out->n < QUALITY_POINTS; k++) {
        double margin = k < apart ? above(unit[k].lead) : 0;
        if (!is_told(k, apart) || (out->n && !(margin < out->point[out->n - 1].margin))) continue;
        out->point[out->n++] = point_at(unit, n, margin);
    }
}

int quality_choose(const struct quality_table *table, double quality, struct quality_choice *out)
{
    double confidence = 1 - (1 - QUALITY_CONFIDENCE) / table->n;
    struct quality_choice best = {.work = 1};
    int found = 0;
    for (int f = 0; f < table->n; f++) {
        const struct quality_family *of = &table->family[f];
        for (int i = 0; i < of->n; i++) {
            const struct quality_point *p = &of->point[i];
            double lower = stats_least_share(of->answers - p->failures, of->answers, confidence);
            if (!(lower >= quality)) break;
            if (!(p->work < best.work)) continue;
            best = (struct quality_choice){of->ratio, p->margin,   p->work,
                                           lower,     of->answers, p->failures};
            found = 1;
        }
    }
    if (found) *out = best;
    return found;
}
