/* scorer.h - what a scorer reads, what it fills, and its work memory: one round of selection. */
#ifndef FUSION_SCORER_H
#define FUSION_SCORER_H

#include "fusion/reuse/select.h"
#include "fusion/reuse/view.h"

#define SCORER_KEPT_ROWS 8
#define SCORER_PARTS PROBE_MAX_COUNTS

struct scorer {
    struct view view;   /* chunks are in place, and what earlier rounds chose is repaired */
    float *score;       /* [n] out, by token of the prompt: higher is chosen first */
    uint8_t *candidate; /* [n] in a chunk, not exact, not chosen before; scoring may drop some */
    int n_candidates, budget;
    int decided;  /* layers behind which scoring has dropped candidates already */
    int answered; /* scoring left logits of the first token in s->first_logits */

    /* work */
    uint8_t *chosen;                  /* [n] */
    uint8_t *layer;                   /* [layers] which ones count */
    struct mirror part[SCORER_PARTS]; /* [max_seq_len] f32 by slot: what a probe counts; the first,
                                       * and in an experimental session the others and all below */
    struct mirror by_layer;           /* [layers, max_seq_len] f32 by slot, likewise */
    struct select_grid *grid;         /* [SESSION_MAX_ITEMS] */
    int32_t *sum;                     /* [SELECT_CLOSED_WORK(max_seq_len)] */
    struct mirror kept[2];            /* K and V of SCORER_KEPT_ROWS tokens in all layers, twice */
    struct span *span;                /* [tokens of a pass] */
};

/* Work memory from the session's request arena, and the tokens that may be chosen now: not those
 * that are set in selected [n], by token of the prompt. */
struct scorer scorer_begin(const struct view *v, float *score, const uint8_t *selected);
/* That memory of a session of max_seq_len, pushed on an empty workspace; experimental: for the
 * variants of vlqa_experimental.h, too. */
void scorer_measure(const struct vlqa_engine *e, int max_seq_len, int experimental,
                    struct workspace *dry);
/* A part or by_layer on the device, cleared, for a probe to count into: [rows, max_seq_len]. */
struct mat scorer_sum(const struct scorer *c, struct mirror sum, int rows);
/* The first n parts to the host, by slot: part[i].host is valid afterwards. Syncs. */
vlqa_status scorer_take(const struct scorer *c, int n);
/* How many tokens are repaired in a layer, in the first round. */
int scorer_budget(const struct scorer *c, int layer);

#endif
