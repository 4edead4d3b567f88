/* keep.h - which tokens a layer keeps, by the rules of the papers. Pure: no device, no model, no
 * clock. */
#ifndef FUSION_KEEP_H
#define FUSION_KEEP_H

#include "include/vlqa_experimental.h"

struct keep_rule {
    enum vlqa_compress by;
    int recent;           /* the last tokens are kept, whatever their scores */
    float share;          /* InfoKV: of the entropy's term, 0..1 */
    const float *entropy; /* [by number of the token] InfoKV only */
    const float *change;  /* [by number] of this layer; likewise */
};

struct keep_tokens { /* that lie in a layer for one KV head, ascending */
    int m;
    const int32_t *number;
    const float *attention; /* [m] what they were attended to */
};

/* How many of the last tokens are kept whatever their scores, where `window` were observed. */
int keep_recent(enum vlqa_compress by, int window, int budget);
/* Of a layer of so many, where layers keep `budget` tokens on the average. */
int keep_budget(enum vlqa_compress by, int budget, int recent, int layers, int layer);
/* score [m]: higher is kept first. budget: of this layer. work [m] */
void keep_score(const struct keep_rule *rule, const struct keep_tokens *t, int budget, float *score,
                float *work);
/* Sets keep[i] for the last `recent` of m tokens, and of the others for those of the highest score,
 * `budget` in all. Returns how many. work [m], candidate [m] */
int keep_best(const float *score, int m, int budget, int recent, int32_t *work, uint8_t *candidate,
              uint8_t *keep);

struct keep_heads { /* of a layer; matrices are [heads, stride] */
    int heads, stride;
    const int32_t *m; /* [heads] tokens */
    const float *score;
    uint8_t *candidate, *more; /* work */
    int32_t *order;            /* work */
    uint8_t *keep;             /* out */
};
/* Heads share what a layer keeps, heads * budget tokens (after Ada-KV, arXiv 2407.11550): its last
 * tokens and a fifth of the rest are each head's own; what is left goes to the highest scores of
 * the layer. */
void keep_together(const struct keep_heads *h, int budget, int recent);

#endif
