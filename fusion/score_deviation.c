/* score_deviation.c - rows by what hidden context changes in their keys and values: CacheBlend. */
#include "fusion/ask.h"
#include "fusion/choose.h"

#include <math.h>

/* Mean |V - V of the chunk| of layer 1, after two layers over all rows: what hidden context changes
 * first. Layer 0 cannot differ. */
vlqa_status score_deviation(struct choice *c)
{
    struct ask *a = c->a;
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    int n = 0, at = s->kv.layers > 1 ? 1 : 0;
    struct ask_pass pass = {.row = a->list, .slot = -1, .layer_end = at + 1};
    for (int i = l->prefix_end; i < l->n; i++)
        a->list[n++] = i;
    TRY(ask_run(a, "score", n, &pass));
    for (int p = 0; p < l->n_pieces; p++) {
        struct mat before = a->chunk[p]->mat[2 * at + 1], after = s->kv.v[at];
        for (int r = 0; r < l->piece[p].rows; r++) {
            int slot = l->piece_slot[l->piece[p].begin + r];
            double sum = 0;
            for (int col = 0; col < before.cols; col++)
                sum += fabs((double)mat_get(after, slot, col) - (double)mat_get(before, r, col));
            a->score[slot] = (float)(sum / before.cols);
        }
    }
    return VLQA_OK;
}
