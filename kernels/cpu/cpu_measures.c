/* cpu_measures.c - one number for each row: how uncertain its logits are. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"

/* A row is long: a thread is worth waking for each. */
static void for_each_row(struct queue *q, int rows, pool_fn fn, void *arg)
{
    if (rows > 0) pool_for(q->env->pool, rows, 1, fn, arg);
}

struct entropy {
    struct mat out, logits;
    int top;
};

/* The largest of n values, up to `top`, the largest first; how many, or 0 where one is NaN. */
static int largest(float *kept, const float *x, int n, int top)
{
    int have = 0;
    for (int i = 0; i < n; i++) {
        float v = x[i];
        int at;
        if (have == top && v <= kept[top - 1]) continue;
        if (isnan(v)) return 0;
        for (at = have < top ? have++ : top - 1; at > 0 && kept[at - 1] < v; at--)
            kept[at] = kept[at - 1];
        kept[at] = v;
    }
    return have;
}

/* With w = e^-d, d from the largest: ln(sum w) + sum w d / sum w, where nothing cancels. */
static float entropy_of(const float *x, int n, int top)
{
    float kept[ENTROPY_MOST];
    double sum = 0, moment = 0;
    int have = largest(kept, x, n, top);
    if (have == 0 || !isfinite(kept[0])) return NAN;
    for (int i = 0; i < have && isfinite(kept[i]); i++) {
        double d = (double)kept[0] - (double)kept[i], weight = exp(-d);
        sum += weight;
        moment += weight * d;
    }
    return (float)(log(sum) + moment / sum);
}

static void entropy_rows(void *arg, int begin, int end, int worker)
{
    const struct entropy *a = arg;
    (void)worker;
    for (int row = begin; row < end; row++)
        *(float *)mat_at(a->out, row, 0) =
            entropy_of(mat_at(a->logits, row, 0), a->logits.cols, a->top);
}

void CPU(entropy)(struct queue *q, struct mat out, struct mat logits, int top)
{
    struct entropy a = {out, logits, top};
    for_each_row(q, out.rows, entropy_rows, &a);
}
