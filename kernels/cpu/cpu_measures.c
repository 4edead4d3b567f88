/* cpu_measures.c - one number for each row: how uncertain its logits are, how far it turned. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"

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
    /* a row is long: a thread is worth waking for each */
    if (out.rows > 0) pool_for(q->env->pool, out.rows, 1, entropy_rows, &a);
}

struct distance {
    struct mat out, a, b;
};

/* What makes a row one of length 1; 0: it has none. NaN: there is no such number. */
static float unit_scale(const float *x, int n)
{
    float squares = squares_sum(x, 0, n);
    if (squares == 0) return 0;
    return squares < INFINITY ? 1.0f / sqrtf(squares) : NAN;
}

static float cosine_distance_of(const float *a, const float *b, int n)
{
    float by_a = unit_scale(a, n), by_b = unit_scale(b, n), block[PARTS], part[PARTS] = {0};
    if (by_a == 0 || by_b == 0) return 0 * (by_a + by_b); /* NaN if one is */
    for (int i = 0; i < n; i += PARTS) {
        int k = min_int(PARTS, n - i);
        for (int l = 0; l < k; l++)
            block[l] = a[i + l] * by_a - b[i + l] * by_b;
        for (int l = 0; l < k; l++)
            part[l] = madd(block[l], block[l], part[l]);
    }
    return 0.5f * parts_sum(part);
}

static void distance_rows(void *arg, int begin, int end, int worker)
{
    const struct distance *d = arg;
    (void)worker;
    for (int row = begin; row < end; row++)
        *(float *)mat_at(d->out, row, 0) =
            cosine_distance_of(mat_at(d->a, row, 0), mat_at(d->b, row, 0), d->a.cols);
}

void CPU(cosine_distance)(struct queue *q, struct mat out, struct mat a, struct mat b)
{
    struct distance d = {out, a, b};
    int grain = max_int(1, 16384 / a.cols); /* rows that are worth waking a thread for */
    if (out.rows > 0) pool_for(q->env->pool, out.rows, grain, distance_rows, &d);
}
