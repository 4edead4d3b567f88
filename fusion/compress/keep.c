/* keep.c - budgets, scores and choice. */
#include "fusion/compress/keep.h"

#include "fusion/reuse/select.h"

#include <math.h>
#include <string.h>

#define SINKS 4          /* StreamingLLM (arXiv 2309.17453): the first tokens */
#define POOL 2           /* SnapKV (arXiv 2404.14469): a mean over so many tokens on either side */
#define PYRAMID_SLOPE 20 /* PyramidKV (arXiv 2406.02069): beta */
#define OWN_SHARE 5      /* a head's own budget is a fifth */

int keep_recent(enum vlqa_compress by, int window, int budget)
{
    int half = (budget + 1) / 2;
    if (by == VLQA_COMPRESS_TOVA || by == VLQA_COMPRESS_UNIFORM) return budget > 0;
    if (by == VLQA_COMPRESS_STREAMING) return budget > 2 * SINKS ? budget - SINKS : half;
    if (by == VLQA_COMPRESS_H2O) return half;
    return window < half ? window : half;
}

/* An arithmetic sequence over the layers: with x tokens beside the last ones on the average, from
 * 2 x - x / slope down to x / slope. */
int keep_budget(enum vlqa_compress by, int budget, int recent, int layers, int layer)
{
    int rest = budget - recent, least = rest / PYRAMID_SLOPE, most = 2 * rest - least;
    if (by != VLQA_COMPRESS_PYRAMIDKV || layers < 2) return budget;
    return recent + most - (int)((int64_t)(most - least) * layer / (layers - 1));
}

static void pool(const float *from, int m, float *to)
{
    for (int i = 0; i < m; i++) {
        to[i] = 0;
        for (int j = i - POOL; j <= i + POOL; j++)
            to[i] += j >= 0 && j < m ? from[j] / (2 * POOL + 1) : 0;
    }
}

/* From 0 to 1, times share, added. */
static void add_scaled(const float *value, int m, float share, float *sum)
{
    float low = INFINITY, high = -INFINITY;
    for (int i = 0; i < m; i++) {
        low = value[i] < low ? value[i] : low;
        high = value[i] > high ? value[i] : high;
    }
    for (int i = 0; i < m && high > low; i++)
        sum[i] += (value[i] - low) / (high - low) * share;
}

/* (1 - share) attention + share entropy x change, over the tokens that compete. The ingredients are
 * the paper's; how it scales and weighs them is not known to us. */
static void add_information(const struct keep_rule *rule, const struct keep_tokens *t, int m,
                            float *score, float *work)
{
    pool(t->attention, m, work);
    add_scaled(work, m, 1 - rule->share, score);
    for (int i = 0; i < m; i++)
        work[i] = rule->entropy[t->number[i]] * rule->change[t->number[i]];
    add_scaled(work, m, rule->share, score);
}

/* Every so many, as evenly as whole numbers are. */
static void spread(int m, int n, float *score)
{
    for (int i = 0; i < n && i < m; i++)
        score[(int64_t)i * m / n] = 1;
}

void keep_score(const struct keep_rule *rule, const struct keep_tokens *t, int budget, float *score,
                float *work)
{
    int m = t->m - rule->recent;
    memset(score, 0, (size_t)t->m * sizeof *score);
    switch (rule->by) {
    case VLQA_COMPRESS_OFF:
        break;
    case VLQA_COMPRESS_INFOKV:
        add_information(rule, t, m, score, work);
        break;
    case VLQA_COMPRESS_SNAPKV:
    case VLQA_COMPRESS_PYRAMIDKV:
        pool(t->attention, m, score);
        break;
    case VLQA_COMPRESS_H2O:
    case VLQA_COMPRESS_TOVA:
        memcpy(score, t->attention, (size_t)t->m * sizeof *score);
        break;
    case VLQA_COMPRESS_STREAMING:
        for (int i = 0; i < m; i++)
            score[i] = (float)(t->number[i] < SINKS ? INT32_MAX : t->number[i]);
        break;
    case VLQA_COMPRESS_UNIFORM:
        spread(m, budget - rule->recent, score);
        break;
    }
}

int keep_best(const float *score, int m, int budget, int recent, int32_t *work, uint8_t *candidate,
              uint8_t *keep)
{
    int kept;
    recent = recent < m ? recent : m;
    memset(candidate, 1, (size_t)(m - recent));
    memset(candidate + m - recent, 0, (size_t)recent);
    kept = select_top(score, candidate, NULL, m, budget - recent, work, keep);
    memset(keep + m - recent, 1, (size_t)recent);
    return kept + recent;
}

void keep_together(const struct keep_heads *h, int budget, int recent)
{
    size_t stride = (size_t)h->stride, all = stride * (size_t)h->heads;
    int left = h->heads * budget;
    memset(h->keep, 0, all);
    memset(h->candidate, 0, all);
    for (size_t head = 0; head < (size_t)h->heads; head++) {
        int m = h->m[head], own = recent + (budget - recent) / OWN_SHARE;
        left -= keep_best(h->score + head * stride, m, own, recent, h->order,
                          h->candidate + head * stride, h->keep + head * stride);
    }
    for (size_t i = 0; i < all; i++)
        h->candidate[i] &= !h->keep[i];
    select_top(h->score, h->candidate, NULL, (int)all, left, h->order, h->more);
    for (size_t i = 0; i < all; i++)
        h->keep[i] |= h->more[i];
}
