/* geometry.c - chunks at the head or the tail, each as if it stood alone. */
#include "fusion/reuse/geometry.h"

#include "fusion/reuse/chunk.h"
#include "fusion/reuse/score_attention.h"

#include <string.h>

/* Positions that a segment takes, standing alone. */
static int32_t extent(const struct segment *p)
{
    if (p->image < 0) return p->tokens;
    return p->box.h > p->box.w ? p->box.h : p->box.w;
}

/* Tokens of the segment from position `base` on, as if nothing else were there. */
static void stand_alone(const struct layout *l, const struct segment *p, int32_t base,
                        struct pos *out)
{
    struct pos first = l->segment_own[p->begin];
    for (int r = 0; r < p->tokens; r++) {
        struct pos own = l->segment_own[p->begin + r];
        out[l->segment_slot[p->begin + r]] =
            (struct pos){base + own.t - first.t, base + own.h - first.h, base + own.w - first.w};
    }
}

struct layout geometry_layout(const struct layout *l, enum vlqa_geometry g, struct arena *mem)
{
    struct layout moved = *l;
    struct pos *to = moved.pos = arena_push(mem, (size_t)l->n * sizeof *to);
    int32_t begin = l->segment_own[0].t, end = l->pos[l->context_end].t, longest = 0, by;
    memcpy(to, l->pos, (size_t)l->n * sizeof *to);
    for (int i = 0; i < l->n_segments; i++) {
        int32_t takes = extent(&l->segment[i]);
        stand_alone(l, &l->segment[i], g == VLQA_GEOMETRY_TLTP ? end - takes : begin, to);
        longest = takes > longest ? takes : longest;
    }
    by = g == VLQA_GEOMETRY_HLHP ? begin + longest - end : 0;
    for (int i = l->context_end; i < l->n; i++)
        to[i] = (struct pos){to[i].t + by, to[i].h + by, to[i].w + by};
    moved.next += by;
    return moved;
}

vlqa_status geometry_score(struct scorer *c)
{
    const struct view view = c->view;
    struct workspace *mem = &view.run.s->request;
    struct workspace_used mark = workspace_mark(mem);
    struct layout moved;
    vlqa_status status;
    if (view.x->geometry == VLQA_GEOMETRY_GLOBAL) return score_attention(c);
    moved = geometry_layout(view.run.layout, view.x->geometry, &mem->host);
    c->view.run.layout = &moved;
    chunk_place(&c->view);
    status = score_attention(c);
    c->view = view;
    workspace_rewind(mem, mark);
    if (status == VLQA_OK) chunk_place(&view);
    return status;
}
