/* choose.h - one look for rows to repair, between the file that spends and those that score. */
#ifndef FUSION_CHOOSE_H
#define FUSION_CHOOSE_H

#include "fusion/layout/layout.h"
#include "fusion/reuse/select.h"

struct ask;

#define CHOICE_KEPT_ROWS 8

struct choice {
    struct ask *a;
    uint8_t
        *candidate;  /* [n] in a chunk, not exact, not chosen before; scoring may take some out */
    uint8_t *chosen; /* [n] */
    int n_candidates, budget;
    int decided; /* layers behind which scoring has dropped candidates already */

    /* work of those that score; slots: of the session */
    float *part[2];           /* [slots] */
    float *by_layer;          /* [layers, slots] */
    uint8_t *by_row[2];       /* [n] candidates and chosen in the order of the prompt */
    struct select_grid *grid; /* [SESSION_MAX_ITEMS] */
    int32_t *sum;             /* [SELECT_CLOSED_WORK(slots)] */
    void *kept;               /* CHOICE_KEPT_ROWS rows of KV */
    uint8_t *layer;           /* [layers] which ones count */
    struct span *span;        /* [rows of a pass] */
};

/* Work memory of a look, and the rows that may be chosen now. */
struct choice choose_begin(struct ask *a);
/* That memory of a session of max_rows, in bytes. */
size_t choose_bytes(const struct decoder_config *c, int max_rows);

/* Gives the layout other positions, on mem, no more than a struct made takes: chunks right behind
 * the prefix (head) or right before the question (tail), the question right behind the longest of
 * them (head prompt) or where it is (tail prompt). Rows between chunks stay. g is not the global
 * one. */
void layout_move(struct layout *l, enum vlqa_geometry g, struct arena *mem);
/* How many rows are repaired in a layer, at the first look. */
int choose_budget(const struct choice *c, int layer);

/* Each fills a->score: higher is chosen first. They may drop candidates and lower the budget. */
vlqa_status score_attention(struct choice *c); /* what the question attends to */
/* The same with keys placed as the geometry has it; they are in their own places afterwards. */
vlqa_status score_in_geometry(struct choice *c);
vlqa_status score_deviation(struct choice *c); /* what hidden context changes */
vlqa_status score_oracle(struct choice *c);    /* both, as full prefill knows them */

/* The rows, among the n of a pass that ends with the question, whose attention counts in which
 * layers; what is counted is left to the caller. Returns where the last of the layers ends. */
int score_asking(struct choice *c, int n, struct tap *tap);

#endif
