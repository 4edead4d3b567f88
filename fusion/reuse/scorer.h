/* scorer.h - what a scorer reads, what it fills, and its work memory: one round of selection. */
#ifndef FUSION_SCORER_H
#define FUSION_SCORER_H

#include "fusion/reuse/select.h"
#include "fusion/reuse/view.h"

#define SCORER_KEPT_ROWS 8
#define SCORER_PARTS TAP_MAX_COUNTS

struct scorer {
    struct view view;   /* chunks are in place, and what earlier rounds chose is repaired */
    float *score;       /* [n] out, by row of the prompt: higher is chosen first */
    uint8_t *candidate; /* [n] in a chunk, not exact, not chosen before; scoring may drop some */
    int n_candidates, budget;
    int decided;  /* layers behind which scoring has dropped candidates already */
    int answered; /* scoring left logits of the first token in s->first_logits */

    /* work */
    uint8_t *chosen;           /* [n] */
    uint8_t *layer;            /* [layers] which ones count */
    float *part[SCORER_PARTS]; /* [max_rows] by slot: what a tap counts; the first, and in an
                                * experimental session the others and all below */
    float *by_layer;           /* [layers, max_rows] by slot */
    struct select_grid *grid;  /* [SESSION_MAX_ITEMS] */
    int32_t *sum;              /* [SELECT_CLOSED_WORK(max_rows)] */
    void *kept;                /* SCORER_KEPT_ROWS rows of KV */
    struct span *span;         /* [tokens of a pass] */
};

/* Work memory from the session's request arena, and the rows that may be chosen now: not those
 * that are set in selected [n], by row of the prompt. */
struct scorer scorer_begin(const struct view *v, float *score, const uint8_t *selected);
/* That memory of a session of max_rows, in bytes; experimental: for the methods of
 * vlqa_experimental.h, too. */
size_t scorer_bytes(const struct decoder_config *c, int max_rows, int experimental);
/* Clears a part, for a tap to count into. */
float *scorer_part(const struct scorer *c, int part);
/* How many rows are repaired in a layer, in the first round. */
int scorer_budget(const struct scorer *c, int layer);

#endif
