/* kept.h - what compression has left in the KV of a session: which tokens lie where. A token has a
 * number: its slot in the layout of the prompt, or behind them its place in the answer. */
#ifndef FUSION_KEPT_H
#define FUSION_KEPT_H

#include <stdint.h>

/* The token with number `behind` is in slot `base`, all later ones follow, and slots before base
 * are of those that each layer and KV head has kept of the earlier ones. Zeros: nothing was
 * dropped, and each token is in the slot of its number. */
struct kept {
    int base, behind;
    int32_t *n;     /* [layers, KV heads] kept tokens: in the first slots there */
    int32_t *token; /* [layers * KV heads, max_seq_len] their numbers, ascending */
};

static inline int kept_slot(const struct kept *k, int number)
{
    return number - k->behind + k->base;
}

#endif
