/* sampler.h - logits to a token: penalties, temperature, top-k, top-p, min-p, in the order of HF
 * generate. */
#ifndef TEXT_SAMPLER_H
#define TEXT_SAMPLER_H

#include "base/arena.h"

struct sampler {
    float temperature, top_p, min_p, repetition_penalty,
        presence_penalty; /* temperature 0: greedy */
    int top_k, vocab;
    uint64_t state[2]; /* of the generator */
    uint8_t *seen;     /* [vocab] bit 0: in the prompt, bit 1: in the answer */
    int32_t *order;    /* [vocab] work */
};

size_t sampler_scratch(int vocab);
/* mem keeps the work arrays for as long as the sampler is used. seed: equal seeds, equal draws. */
void sampler_begin(struct sampler *s, int vocab, uint64_t seed, struct arena *mem);
void sampler_see_prompt(struct sampler *s, const int32_t *id, int n); /* for repetition_penalty */
/* Picks a token among ids below `known` (rows of the embedding without a token are never picked)
 * and notes it as part of the answer. logits [vocab] is overwritten. Greedy ties: lowest id. NaN
 * never wins. */
int32_t sampler_pick(struct sampler *s, float *logits, int known);

#endif
