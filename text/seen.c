/* seen.c - spans by layer and KV head, and attention by runs of heads that see the same. */
#include "text/seen.h"

size_t seen_bytes(int layers, int kv_heads, int n)
{
    return (size_t)layers * (size_t)kv_heads * (size_t)n * sizeof(struct span);
}

void seen_pack(struct seen *s, const int32_t *kept, int layers, int kv_heads,
               const struct span *span, int n, struct header *h)
{
    struct span *to;
    *s = (struct seen){.kv_heads = kv_heads, .n = n, .kept = kept};
    s->span = header_spans(h, layers * kv_heads * n, &to);
    for (int head = 0; head < layers * kv_heads; head++)
        for (int i = 0; i < n; i++, to++) {
            *to = span[i];
            if (to->head_end > kept[head]) to->head_end = kept[head];
        }
}

struct attn seen_heads(struct attn a, int first, int n)
{
    int dim = a.k.cols / a.kv_heads, group = a.heads / a.kv_heads;
    a.q = mat_cols(a.q, first * group * dim, n * group * dim);
    if (a.out.rows) a.out = mat_cols(a.out, first * group * dim, n * group * dim);
    a.k = mat_cols(a.k, first * dim, n * dim);
    a.v = mat_cols(a.v, first * dim, n * dim);
    a.heads = n * group;
    a.kv_heads = n;
    return a;
}

struct spans seen_from(const struct seen *s, int layer, int first, int stay, int *alike)
{
    const int32_t *kept = s->kept + layer * s->kv_heads;
    int n = 1;
    while (first + n < s->kv_heads && kept[first + n] == kept[first])
        n++;
    *alike = n;
    return spans_from(s->span, (layer * s->kv_heads + first) * s->n + s->n - stay, stay);
}

void seen_attend(struct queue *q, const struct seen *s, int layer, const struct attn *a)
{
    for (int first = 0, n; first < s->kv_heads; first += n) {
        struct spans span = seen_from(s, layer, first, a->q.rows, &n);
        struct attn some = seen_heads(*a, first, n);
        some.span = span;
        k_attention(q, &some);
    }
}
