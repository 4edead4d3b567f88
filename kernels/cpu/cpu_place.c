/* cpu_place.c - rows of a chunk into the KV cache: the operations of the set, layer by layer. */
#include "kernels/cpu/cpu.h"

size_t cpu_place_work(const struct device *d, int n, int cols)
{
    (void)d;
    return 2 * mat_bytes(DT_F32, n, cols);
}

static struct mat read_rows(struct queue *q, struct mat stored, struct mat values, int heads)
{
    if (!dtype_is_quantised(stored.dtype)) return stored;
    q->op->dequantize(q, values, stored, heads);
    return values;
}

void cpu_place(struct queue *q, const struct place *p)
{
    int n = p->slot.n, cols = p->to_k.first.cols;
    struct mat values = mat_of(p->work, DT_F32, n, cols);
    struct mat rotated =
        mat_of((char *)p->work + mat_bytes(DT_F32, n, cols), p->to_k.first.dtype, n, cols);
    for (int i = 0; i < p->n_layers; i++) {
        struct mat k = read_rows(q, layers_at(p->k, i), values, p->heads), v;
        q->op->rope(q, rotated, k, p->heads, p->cos_sin);
        q->op->scatter(q, layers_at(p->to_k, i), p->slot, rotated);
        v = read_rows(q, layers_at(p->v, i), values, p->heads);
        q->op->scatter(q, layers_at(p->to_v, i), p->slot, v);
    }
}
