/* bpe.h - byte-pair merging: the bytes of one pre-token to ids, lowest rank first. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "base/arena.h"

struct bpe_pair {
    int32_t left, right, id; /* left next to right become id */
    uint32_t rank;           /* BPE_NO_RANK: an empty slot of the table */
};

struct bpe {
    struct bpe_pair *slot; /* [mask + 1] open addressing, at most two thirds full */
    uint32_t mask, n_pairs;
    int32_t byte_id[256];
};

struct bpe_out { /* ids beyond cap are counted, not written */
    int32_t *id;
    int cap, n;
};

#define BPE_NO_RANK UINT32_MAX
#define BPE_SHORT 64 /* bytes up to which a scan beats a queue */

/* 0 when there is no memory. */
int bpe_open(struct bpe *b, size_t n_pairs);
void bpe_close(struct bpe *b);
/* Pairs are put in the order of their ranks. 0 when the pair is there already. */
int bpe_put(struct bpe *b, int32_t left, int32_t right, int32_t id);

/* Appends the ids of text. 0 when bpe_scratch(bytes) does not fit scratch. bytes is below
 * 2^31. */
int bpe_encode(const struct bpe *b, const char *text, size_t bytes, struct arena *scratch,
               struct bpe_out *out);
size_t bpe_scratch(size_t bytes);
void bpe_out_put(struct bpe_out *out, int32_t id);

/* The two algorithms of bpe_encode, which give the same ids: by a scan of all pairs before each
 * merge (at most BPE_SHORT bytes), and by a priority queue. id has room for a whole pre-token of n
 * bytes; they return how many ids it became. */
int bpe_merge_scan(const struct bpe *b, const uint8_t *text, int n, int32_t *id);
int bpe_merge_queue(const struct bpe *b, const uint8_t *text, int n, struct arena *scratch,
                    int32_t *id);

#endif
