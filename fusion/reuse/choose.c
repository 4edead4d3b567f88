/* choose.c - one round of selection: a budget, a score for every candidate, the highest of them. */
#include "fusion/reuse/choose.h"

#include "fusion/reuse/budget.h"
#include "fusion/reuse/geometry.h"
#include "fusion/reuse/score_deviation.h"
#include "fusion/reuse/score_oracle.h"

#include <string.h>

/* ---- order and chance ---- */

/* EPIC: the first tokens of every chunk, which were attention sinks when it was computed. */
static void score_heads(const struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    for (int p = 0; p < l->n_segments; p++)
        for (int r = 0; r < l->segment[p].tokens; r++)
            c->score[l->prompt_index[l->segment_slot[l->segment[p].begin + r]]] =
                1.0f - (float)r / (float)l->segment[p].tokens;
}

/* VLCache: errors travel on, so the earliest tokens matter most. */
static void score_leading(const struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    for (int i = 0; i < l->n; i++)
        c->score[l->prompt_index[i]] = -(float)i;
}

static void score_random(const struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    uint64_t state = c->view.o->seed;
    for (int i = 0; i < l->n; i++) { /* splitmix64 */
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        c->score[l->prompt_index[i]] = (float)((z ^ (z >> 31)) >> 40);
    }
}

static vlqa_status score(struct scorer *c)
{
    switch (c->view.x->variant) {
    case VLQA_VARIANT_DEFAULT: /* is one of the others by now */
    case VLQA_VARIANT_NONE:
    case VLQA_VARIANT_FULL:
        break;
    case VLQA_VARIANT_INFOFLOW:
    case VLQA_VARIANT_PROPHET:
        return geometry_score(c);
    case VLQA_VARIANT_CACHEBLEND:
    case VLQA_VARIANT_KVSHARE:
        return score_deviation(c);
    case VLQA_VARIANT_ORACLE:
        return score_oracle(c);
    case VLQA_VARIANT_EPIC:
        score_heads(c);
        break;
    case VLQA_VARIANT_VLCACHE:
        score_leading(c);
        break;
    case VLQA_VARIANT_RANDOM:
        score_random(c);
        break;
    }
    return VLQA_OK;
}

/* ---- one round ---- */

struct choice choose_begin(const struct view *v)
{
    struct vlqa_session *s = v->run.s;
    size_t n = (size_t)v->run.layout->n;
    struct choice c = {.selected = s->token_selected, .depth = arena_push(&s->request.host, n)};
    memset(c.selected, 0, n);
    memset(c.depth, s->kv.layers, n);
    return c;
}

/* With gaps in the images closed. Returns how many, in the view's list. */
static int choose_closed(const struct scorer *c)
{
    const struct vlqa_session *s = c->view.run.s;
    for (int i = 0; i < s->n_images; i++) {
        const struct vlqa_placed_image *im = &s->placed_image[i];
        c->grid[i] = (struct select_grid){im->first_token, im->grid_h, im->grid_w};
    }
    return select_closed(c->score, c->candidate, c->view.run.layout->n, c->budget, c->grid,
                         s->n_images, c->view.x->closing, c->view.list, c->chosen, c->sum);
}

/* Equal scores: the token that others see comes first, whatever the order of the slots. */
static int choose_top(const struct scorer *c)
{
    const struct layout *l = c->view.run.layout;
    return select_top(c->score, c->candidate, l->slot, l->n, c->budget, c->view.list, c->chosen);
}

/* The k-th best token, best first, stays as long as a layer's budget is more than k. */
static void set_depths(const struct scorer *c, int n, uint8_t *depths)
{
    const struct layout *l = c->view.run.layout;
    int32_t *order = c->view.list;
    int depth = c->view.run.s->kv.layers;
    if (c->view.x->taper <= 0) return;
    select_sort(c->score, l->slot, order, n);
    for (int k = 0; k < n; k++) {
        while (depth > 1 && scorer_budget(c, depth - 1) <= k)
            depth--;
        depths[l->slot[order[k]]] = (uint8_t)depth;
    }
}

vlqa_status select_tokens(const struct view *v, int round, struct choice *choice)
{
    struct vlqa_session *s = v->run.s;
    const struct layout *l = v->run.layout;
    struct workspace_used mark = workspace_mark(&s->request);
    struct scorer c = scorer_begin(v, s->token_score, choice->selected);
    int scored, n;
    c.budget =
        budget_of(v->o, v->x, l, s->kv.layers, c.n_candidates + choice->n_selected, round, 0) -
        choice->n_selected;
    memset(c.score, 0, (size_t)l->n * sizeof *c.score);
    scored = v->x->variant > VLQA_VARIANT_NONE && c.budget > 0 && c.budget < c.n_candidates;
    if (scored) TRY(score(&c));
    choice->score = scored ? c.score : NULL;
    choice->answered |= c.answered;
    n = scored && v->x->closing ? choose_closed(&c) : choose_top(&c);
    set_depths(&c, n, choice->depth);
    choice->n_selected += n;
    for (int row = 0; row < l->n; row++)
        if (c.chosen[row]) choice->selected[row] = (uint8_t)round;
    workspace_rewind(&s->request, mark);
    return VLQA_OK;
}
