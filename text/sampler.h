/* sampler.h - logits to a token: bias, penalties, temperature, top-k, top-p, min-p, in the order of
 * HF generate. */
#ifndef TEXT_SAMPLER_H
#define TEXT_SAMPLER_H

#include "base/arena.h"

struct sampler {
    float temperature;        /* 0: greedy */
    float top_p;              /* 1: off; 0 keeps the best */
    float min_p;              /* 0: off; at most 1 */
    float repetition_penalty; /* 1: off; above 0 */
    float presence_penalty;   /* 0: off */
    int top_k;                /* 0: off; all that equal the last of them stay too */
    int vocab;
    const int32_t *bias_token; /* [n_bias] below vocab; borrowed */
    const float *bias;         /* [n_bias] added to the logits of these, before all else */
    int n_bias;                /* 0: off */
    uint64_t state[2];         /* of the generator */
    uint8_t *seen;             /* [vocab] bit 0: in the prompt, bit 1: in the answer */
    int32_t *order;            /* [vocab] work */
    double *weight;            /* [vocab] work */
};

/* The work arrays alone, for measuring too: sampler_begin lays them out itself. */
void sampler_layout(int vocab, struct arena *mem, struct sampler *s);
/* mem keeps the work arrays for as long as the sampler is used; the settings are left as they are.
 * Equal seeds, equal draws: xoroshiro128++ seeded by splitmix64. */
void sampler_begin(struct sampler *s, int vocab, uint64_t seed, struct arena *mem);
void sampler_see_prompt(struct sampler *s, const int32_t *id, int n); /* for repetition_penalty */
/* Picks a token among ids below `known` (rows of the embedding without a token are never picked)
 * and notes it as part of the answer. logits [vocab] is overwritten. Greedy ties: lowest id. NaN
 * never wins; where there is nothing else, id 0 does. */
int32_t sampler_pick(struct sampler *s, float *logits, int known);
/* All of sampler_pick before the draw, for a temperature above 0: order[0..n) are the ids that are
 * left, weight[id] their probabilities but for a common factor. Returns n; 0 where all are NaN. */
int sampler_keep(struct sampler *s, float *logits, int known);

#endif
