/* shares.h - a pass whose tokens several ranks have: who has which, and what they give one another.
 */
#ifndef TEXT_SHARES_H
#define TEXT_SHARES_H

#include "kernels/comm.h"
#include "text/kv.h"

/* Tokens that leave a pass sooner come first, so that those that stay are the last. */
struct order {
    int n;
    int32_t *from;               /* [n] which token of the caller's stands there */
    int left[KV_MAX_LAYERS + 1]; /* tokens that have left once K and V of a layer are written */
};

struct order order_push(int n, struct workspace *ws);
/* By the layers that tokens go through whole, up to `layers`: all of them where depth is NULL.
 * Stable: tokens that stay as long follow each other as before. */
void order_sort(const int32_t *depth, int layers, struct order *o);
int order_depth(const int32_t *depth, int token, int layers);

/* Rank r has the tokens [first[r], first[r + 1]). */
struct shares {
    int first[VLQA_RANKS_MOST + 1];
    const int32_t *slot, *depth; /* [first[ranks]] as in struct tokens; depth may be NULL */
    int last;                    /* the rank that has the last token */
};

struct sharing { /* room for it, and the shares in their orders */
    int ranks;
    struct order *order; /* [ranks] */
    struct ints *slot;   /* [ranks] */
    struct mat rows;     /* [2 n of all ranks, kv_dim]: K, then V of each rank */
};

/* Room for n tokens of all ranks; header: for their slots as well, which shares_pack fills. */
struct sharing sharing_push(int ranks, int n, enum dtype kv, int kv_dim, struct workspace *ws);
void sharing_pack(struct sharing *s, const struct shares *shares, int layers, struct header *h,
                  struct workspace *ws);
void sharing_measure(int ranks, int n, enum dtype kv, int kv_dim, struct workspace *dry);
/* K and V of a layer that this rank has written go to the others, and theirs to their slots. */
void sharing_exchange(struct queue *q, const struct sharing *s, enum comm_kind kind, int layer,
                      struct mat k, struct mat v);

/* ---- columns that ranks deal out ---- */

/* Columns of m that are a part of it, and the outputs of w that they are. */
struct mat columns_mat(struct mat m, const struct comm_part *c);
struct weight columns_weight(const struct device *d, struct weight w, const struct comm_part *c);
/* Columns of m that this rank has computed go to the others, and theirs to it. each: [rows] 0, 1,
 * 2,
 * ...; room: of the size of m. */
void columns_exchange(struct queue *q, struct mat m, const struct comm_part *c, struct ints each,
                      void *room);

#endif
