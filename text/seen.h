/* seen.h - attention over a KV that was compressed: in each layer tokens see with each KV head what
 * it has kept. Heads that have kept as many slots go together. */
#ifndef TEXT_SEEN_H
#define TEXT_SEEN_H

#include "kernels/ops.h"

struct seen { /* by the n tokens of a pass, in its order */
    int kv_heads, n;
    const int32_t *kept; /* [layers, kv_heads] slots of the first interval that are seen there */
    struct spans span;   /* [layers * kv_heads * n] */
};

size_t seen_bytes(int layers, int kv_heads, int n); /* of the header */
/* span [n]: with the first interval up to where any head sees. kept stays the caller's. */
void seen_pack(struct seen *s, const int32_t *kept, int layers, int kv_heads,
               const struct span *span, int n, struct header *h);
/* a with the heads of `n` KV heads from `first` on. */
struct attn seen_heads(struct attn a, int first, int n);
/* What the last `stay` tokens see with a KV head of a layer, and how many heads from it on keep as
 * many. */
struct spans seen_from(const struct seen *s, int layer, int first, int stay, int *alike);
/* k_attention over what each head has kept, for the last a->q.rows tokens. */
void seen_attend(struct queue *q, const struct seen *s, int layer, const struct attn *a);

#endif
