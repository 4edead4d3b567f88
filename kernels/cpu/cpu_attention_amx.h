/* cpu_attention_amx.h - what attention does in bf16 by tiles of AMX instead of in f32 by vectors.
 *
 * Queries, keys, values and weights are rounded to bf16; scores, the softmax and sums are f32. A
 * score is a sum over the values of a head, a sum over the keys of a tile, both in steps of 32 that
 * ascend, each in the order of the tile registers, so a pair does not notice the others. */
#ifndef KERNELS_CPU_CPU_ATTENTION_AMX_H
#define KERNELS_CPU_CPU_ATTENTION_AMX_H

#include "kernels/cpu/cpu_amx_tile.h"
#include "kernels/cpu/cpu_keys.h"

#define AMX_STRIP 32 /* pairs that go through a tile together */
#define AMX_STEP 32  /* values of a head, or keys, that are added at a time */
#define AMX_PANEL 16 /* keys, or columns of values, that lie side by side */

static inline int amx_inputs(int dim)
{
    return (dim + AMX_STEP - 1) / AMX_STEP * AMX_STEP;
}

static inline int amx_width(int dim)
{
    return (dim + AMX_PANEL - 1) / AMX_PANEL * AMX_PANEL;
}

/* Around the products of a segment. pairs: how many a call has at most; where they are more than
 * 16, arrays of pairs are there up to the next multiple of AMX_STRIP. n: of sums, whose zeros lose
 * their sign: keys that a pair does not see may or may not have been added to them as zeros. */
void CPU(amx_begin)(struct tiles *t, int pairs);
void CPU(amx_end)(struct tiles *t, float *sum, int n);

/* [rows * group][amx_inputs(dim)], with zeros behind each query. */
void CPU(amx_load_queries)(uint16_t *to, struct mat q, int row, int rows, int head, int group,
                           int dim, float scale);
/* Keys [first, first + keys) of a head: [keys / AMX_PANEL][inputs / 2][AMX_PANEL] pairs of values,
 * with zeros behind each key; of fewer keys than a panel the last is repeated. */
void CPU(amx_load_keys)(void *to, struct mat k, struct visible v, int first, int keys,
                        struct ahead *ahead);
/* Their values: [width / AMX_PANEL][room / 2][AMX_PANEL] pairs of keys, with zeros behind the last
 * key up to a whole step and in columns behind a head. room: a multiple of AMX_STEP. */
void CPU(amx_load_values)(void *to, struct mat v, struct visible visible, int first, int keys,
                          int room, struct ahead *ahead);

/* Scores of pairs, [pairs][TILE], with loaded keys. */
void CPU(amx_scores)(struct tiles *t, float *score, const uint16_t *q, const void *keys, int pairs,
                     int dim, int n_keys);
/* Scores of a pair with `keys` keys to weights, zero behind them up to TILE. The sum of weights is
 * that of the rounded ones, so that values which are alike keep their value. What was summed before
 * counts by the returned factor. */
float CPU(amx_weights)(struct running *r, uint16_t *weight, float *score, int keys);

struct amx_sums { /* of pairs */
    float *sum;   /* [pairs][width] */
    int pairs, width;
    const uint16_t *weight; /* [pairs][TILE] */
    const int *seen;        /* how many keys of the tile each pair sees, */
    int least, most;        /* and how many of these at least and at most */
};

/* Adds keys [begin, end) of the tile, whose values were loaded with that room. begin: a multiple of
 * AMX_STEP. A key that a pair does not see leaves it alone, whatever its values are. */
void CPU(amx_add_values)(struct tiles *t, const struct amx_sums *s, const void *values, int room,
                         int begin, int end);

#endif
