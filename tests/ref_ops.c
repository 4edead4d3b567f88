/* ref_ops.c - the operations as their definitions say, slowly. */
#include "tests/ref_ops.h"

#include <math.h>
#include <stdlib.h>

double ref_value(struct mat m, int row, int col)
{
    const void *p = mat_at(m, row, col);
    uint16_t h;
    float f;
    if (m.dtype == DT_F32) {
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    memcpy(&h, p, sizeof h);
    return (double)(m.dtype == DT_BF16 ? bf16_to_f32(h) : f16_to_f32(h));
}

double ref_act(double x, enum act act)
{
    switch (act) {
    case ACT_NONE:
        return x;
    case ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case ACT_GELU_ERF:
        return 0.5 * x * erfc(-x / sqrt(2));
    }
    return NAN;
}

void ref_gather(double *dst, int rows, struct mat src, const int32_t *index)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < src.cols && index[r] >= 0; c++)
            dst[r * src.cols + c] = ref_value(src, index[r], c);
}

void ref_scatter(double *dst, const int32_t *index, struct mat src)
{
    for (int r = 0; r < src.rows; r++)
        for (int c = 0; c < src.cols && index[r] >= 0; c++)
            dst[index[r] * src.cols + c] = ref_value(src, r, c);
}

void ref_add(double *dst, int rows, struct mat src, const int32_t *src_index)
{
    for (int r = 0; r < rows; r++) {
        int from = src_index ? src_index[r] : r;
        for (int c = 0; c < src.cols && from >= 0; c++)
            dst[r * src.cols + c] += ref_value(src, from, c);
    }
}

void ref_matmul(double *y, struct mat x, struct mat w, const float *bias, enum act act)
{
    for (int r = 0; r < x.rows; r++)
        for (int o = 0; o < w.rows; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (int k = 0; k < x.cols; k++)
                sum += ref_value(x, r, k) * ref_value(w, o, k);
            y[r * w.rows + o] = ref_act(sum, act);
        }
}

void ref_rmsnorm(double *y, struct mat x, const float *w, int w_n, double eps)
{
    for (int r = 0; r < x.rows; r++)
        for (int run = 0; run < x.cols; run += w_n) {
            double squares = 0;
            for (int i = 0; i < w_n; i++)
                squares += pow(ref_value(x, r, run + i), 2);
            for (int i = 0; i < w_n; i++)
                y[r * x.cols + run + i] =
                    ref_value(x, r, run + i) / sqrt(squares / w_n + eps) * (double)w[i];
        }
}

void ref_layernorm(double *y, struct mat x, const float *w, const float *b, double eps)
{
    for (int r = 0; r < x.rows; r++) {
        double mean = 0, var = 0;
        for (int c = 0; c < x.cols; c++)
            mean += ref_value(x, r, c) / x.cols;
        for (int c = 0; c < x.cols; c++)
            var += pow(ref_value(x, r, c) - mean, 2) / x.cols;
        for (int c = 0; c < x.cols; c++)
            y[r * x.cols + c] =
                (ref_value(x, r, c) - mean) / sqrt(var + eps) * (double)w[c] + (double)b[c];
    }
}

void ref_rope(double *y, struct mat x, int heads, struct mat cos_sin)
{
    int dim = x.cols / heads, half = dim / 2;
    for (int r = 0; r < x.rows; r++)
        for (int head = 0; head < heads; head++)
            for (int e = 0; e < half; e++) {
                int lo = head * dim + e, hi = lo + half;
                double u = ref_value(x, r, lo), v = ref_value(x, r, hi);
                double c = ref_value(cos_sin, r, e), s = ref_value(cos_sin, r, half + e);
                y[r * x.cols + lo] = u * c - v * s;
                y[r * x.cols + hi] = v * c + u * s;
            }
}

void ref_swiglu(double *y, struct mat gate_up)
{
    int cols = gate_up.cols / 2;
    for (int r = 0; r < gate_up.rows; r++)
        for (int c = 0; c < cols; c++) {
            double gate = ref_value(gate_up, r, c);
            y[r * cols + c] = gate / (1 + exp(-gate)) * ref_value(gate_up, r, cols + c);
        }
}

static int sees(struct span s, int slot)
{
    return slot < s.head_end || (slot >= s.tail_begin && slot < s.tail_end);
}

static double score_of(const struct attn *a, int row, int head, int slot)
{
    int dim = a->q.cols / a->heads, kv = head / (a->heads / a->kv_heads);
    double sum = 0;
    for (int d = 0; d < dim; d++)
        sum += ref_value(a->q, row, head * dim + d) * ref_value(a->k, slot, kv * dim + d);
    return sum * (double)a->scale;
}

static void attend(double *out, const struct attn *a, int row, int head)
{
    int dim = a->q.cols / a->heads, kv = head / (a->heads / a->kv_heads);
    double max = -INFINITY, total = 0;
    for (int d = 0; d < dim; d++)
        out[d] = 0;
    for (int slot = 0; slot < a->k.rows; slot++)
        if (sees(a->span.host[row], slot)) max = fmax(max, score_of(a, row, head, slot));
    for (int slot = 0; slot < a->k.rows; slot++) {
        double weight;
        if (!sees(a->span.host[row], slot)) continue;
        weight = exp(score_of(a, row, head, slot) - max);
        total += weight;
        for (int d = 0; d < dim; d++)
            out[d] += weight * ref_value(a->v, slot, kv * dim + d);
    }
    for (int d = 0; d < dim; d++)
        out[d] /= total;
}

void ref_attention(double *out, const struct attn *a)
{
    int dim = a->q.cols / a->heads;
    for (int row = 0; row < a->q.rows; row++)
        for (int head = 0; head < a->heads; head++)
            attend(out + row * a->q.cols + head * dim, a, row, head);
}

/* The softmax weights [slots] of one row and head, 0 where it sees nothing. */
static void weigh(double *weight, const struct attn *a, int row, int head)
{
    double max = -INFINITY, total = 0;
    for (int slot = 0; slot < a->k.rows; slot++)
        if (sees(a->span.host[row], slot)) max = fmax(max, score_of(a, row, head, slot));
    for (int slot = 0; slot < a->k.rows; slot++) {
        weight[slot] = 0;
        if (sees(a->span.host[row], slot)) weight[slot] = exp(score_of(a, row, head, slot) - max);
        total += weight[slot];
    }
    for (int slot = 0; slot < a->k.rows; slot++)
        weight[slot] /= total;
}

static double value_of(const struct score *s, double weight, int head, int slot)
{
    int dim = s->q.cols / s->heads, kv = head / (s->heads / s->kv_heads);
    double squares = 0;
    if (weight <= 0 || s->value == SCORE_WEIGHT) return weight;
    if (s->value == SCORE_ENTROPY) return -weight * log(weight);
    for (int d = 0; d < dim; d++)
        squares += pow(ref_value(s->v, slot, kv * dim + d), 2);
    return weight * sqrt(squares);
}

static double join_heads(enum score_heads over, double sum, double value)
{
    return over == SCORE_HEADS_MAX ? fmax(sum, value)
                                   : sum + (over == SCORE_HEADS_L2 ? value * value : value);
}

void ref_score(double *out, const struct score *s)
{
    struct attn a = {.q = s->q, .k = s->k, .span = s->span, .scale = s->scale};
    int slots = s->k.rows;
    double *weight = calloc((size_t)slots, sizeof *weight);
    double *heads = calloc((size_t)slots, sizeof *heads);
    a.heads = s->heads;
    a.kv_heads = s->kv_heads;
    memset(out, 0, (size_t)slots * sizeof *out);
    for (int row = 0; row < s->q.rows && weight && heads; row++) {
        memset(heads, 0, (size_t)slots * sizeof *heads);
        for (int head = 0; head < s->heads; head++) {
            weigh(weight, &a, row, head);
            for (int i = 0; i < slots; i++)
                heads[i] = join_heads(s->over_heads, heads[i], value_of(s, weight[i], head, i));
        }
        for (int i = 0; i < slots; i++) {
            double joint = s->over_heads == SCORE_HEADS_L2 ? sqrt(heads[i]) : heads[i];
            out[i] += s->over_rows == SCORE_ROWS_L2 ? joint * joint : joint;
        }
    }
    for (int i = 0; i < slots && s->over_rows == SCORE_ROWS_L2; i++)
        out[i] = sqrt(out[i]);
    free(weight);
    free(heads);
}

static int larger_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void ref_entropy(double *out, struct mat logits, int top)
{
    int n = top < logits.cols ? top : logits.cols;
    double *x = malloc((size_t)logits.cols * sizeof *x);
    if (!x) abort();
    for (int r = 0; r < logits.rows; r++) {
        double sum = 0;
        for (int c = 0; c < logits.cols; c++)
            x[c] = ref_value(logits, r, c);
        qsort(x, (size_t)logits.cols, sizeof *x, larger_first);
        for (int i = 0; i < n; i++)
            sum += exp(x[i] - x[0]);
        out[r] = 0;
        for (int i = 0; i < n; i++) {
            double p = exp(x[i] - x[0]) / sum;
            out[r] -= p > 0 ? p * log(p) : 0;
        }
    }
    free(x);
}

void ref_cosine_distance(double *out, struct mat a, struct mat b)
{
    for (int r = 0; r < a.rows; r++) {
        double dot = 0, of_a = 0, of_b = 0;
        for (int c = 0; c < a.cols; c++) {
            double x = ref_value(a, r, c), y = ref_value(b, r, c);
            dot += x * y;
            of_a += x * x;
            of_b += y * y;
        }
        out[r] = of_a > 0 && of_b > 0 ? 1 - dot / sqrt(of_a * of_b) : 0;
    }
}
