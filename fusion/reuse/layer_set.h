/* layer_set.h - sets of layers as the options have them: a bit a layer. */
#ifndef FUSION_LAYER_SET_H
#define FUSION_LAYER_SET_H

#include <stdint.h>

static inline int layer_set_has(const uint64_t set[2], int layer)
{
    return set[layer / 64] >> layer % 64 & 1;
}

/* Behind the last layer of the set; 0: it is empty. */
static inline int layer_set_end(const uint64_t set[2])
{
    for (int i = 127; i >= 0; i--)
        if (layer_set_has(set, i)) return i + 1;
    return 0;
}

#endif
