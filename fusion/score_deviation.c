/* score_deviation.c - rows by what hidden context changes in their keys and values: CacheBlend. */
#include "fusion/ask.h"
#include "fusion/choose.h"

#include <math.h>

static float row_deviation(struct ask *a, struct mat kept, struct mat now)
{
    struct vlqa_session *s = a->s;
    size_t mark = arena_mark(&s->scratch);
    struct mat room =
        mat_of(arena_push(&s->scratch, mat_bytes(DT_F32, 1, now.cols)), DT_F32, 1, now.cols);
    struct mat before = kv_read(s->be, kept, s->engine->decoder.config.kv_heads, room);
    double sum = 0;
    for (int col = 0; col < now.cols; col++)
        sum += fabs((double)mat_get(now, 0, col) - (double)mat_get(before, 0, col));
    arena_rewind(&s->scratch, mark);
    return (float)(sum / now.cols);
}

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
    for (int p = 0; p < l->n_pieces; p++)
        for (int r = 0; r < l->piece[p].rows; r++) {
            int slot = l->piece_slot[l->piece[p].begin + r];
            struct mat kept = mat_rows(a->chunk[p]->mat[2 * at + 1], r, 1);
            a->score[slot] = row_deviation(a, kept, mat_rows(s->kv.v[at], slot, 1));
        }
    return VLQA_OK;
}
