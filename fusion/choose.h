/* choose.h - one look for rows to repair, between the file that spends and those that score. */
#ifndef FUSION_CHOOSE_H
#define FUSION_CHOOSE_H

#include "text/decoder.h"

struct ask;

struct choice {
    struct ask *a;
    uint8_t *candidate; /* [n] in a chunk, not exact, not chosen before */
    uint8_t *chosen;    /* [n] */
    int n_candidates, budget;

    /* work of those that score; slots: of the session */
    float *part[2];    /* [slots] */
    uint8_t *layer;    /* [layers] which ones count */
    struct span *span; /* [rows of a pass] */
};

/* Memory of a look at max_rows rows, in bytes. */
size_t choose_bytes(const struct decoder_config *c, int max_rows);

/* Each fills a->score: higher is chosen first. */
vlqa_status score_attention(struct choice *c); /* what the question attends to */
vlqa_status score_deviation(struct choice *c); /* what hidden context changes */

#endif
