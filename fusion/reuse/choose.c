/* choose.c - which context rows are computed again: how many, by which score, and which they are.
 */
#include "fusion/reuse/choose.h"

#include "fusion/reuse/ask.h"
#include "fusion/reuse/select.h"

#include <math.h>
#include <string.h>

/* ---- order and chance ---- */

/* EPIC: the first rows of every chunk, which stood as sinks when it was made. */
static void score_heads(struct choice *c)
{
    const struct layout *l = &c->a->layout;
    for (int p = 0; p < l->n_pieces; p++)
        for (int r = 0; r < l->piece[p].rows; r++)
            c->a->score[l->piece_slot[l->piece[p].begin + r]] =
                1.0f - (float)r / (float)l->piece[p].rows;
}

/* VLCache: errors travel on, so the earliest rows matter most. */
static void score_leading(struct choice *c)
{
    for (int i = 0; i < c->a->layout.n; i++)
        c->a->score[i] = -(float)i;
}

static void score_random(struct choice *c)
{
    uint64_t state = c->a->o.seed;
    for (int i = 0; i < c->a->layout.n; i++) { /* splitmix64 */
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        c->a->score[i] = (float)((z ^ (z >> 31)) >> 40);
    }
}

static vlqa_status score(struct choice *c)
{
    switch (c->a->o.reuse) {
    case VLQA_REUSE_OFF:
    case VLQA_REUSE_AUTO: /* is one of the others by now */
    case VLQA_REUSE_NONE:
    case VLQA_REUSE_FULL:
        break;
    case VLQA_REUSE_INFOFLOW:
    case VLQA_REUSE_PROPHET:
        return score_in_geometry(c);
    case VLQA_REUSE_CACHEBLEND:
    case VLQA_REUSE_KVSHARE:
        return score_deviation(c);
    case VLQA_REUSE_ORACLE:
        return score_oracle(c);
    case VLQA_REUSE_EPIC:
        score_heads(c);
        break;
    case VLQA_REUSE_VLCACHE:
        score_leading(c);
        break;
    case VLQA_REUSE_RANDOM:
        score_random(c);
        break;
    }
    return VLQA_OK;
}

/* ---- how many ---- */

/* Taper: the same on the average over layers, but more of it in early ones. */
static float ratio_at(const struct ask *a, int layer)
{
    float r = a->o.recompute_ratio, most = r < 1 - r ? r : 1 - r;
    int last = a->s->kv.layers - 1;
    if (last == 0) return r;
    return r + a->o.taper * most * (1 - 2 * (float)layer / (float)last);
}

/* How many of the candidates are repaired in a layer after so many looks. */
static int budget_at(const struct ask *a, int round, int n_candidates, int layer)
{
    const struct layout *l = &a->layout;
    int base = a->o.budget_base == VLQA_BASE_ALL       ? l->n
               : a->o.budget_base == VLQA_BASE_CONTEXT ? l->context_end - l->prefix_end
                                                       : n_candidates;
    int all = select_budget(ratio_at(a, layer), base);
    if (all > n_candidates) all = n_candidates;
    if (a->o.reuse == VLQA_REUSE_NONE) return 0;
    if (a->o.reuse == VLQA_REUSE_FULL) return n_candidates;
    if (a->o.adaptive > 0) return select_budget(ldexpf(a->o.recompute_ratio, round - 1), base);
    return all;
}

int choose_budget(const struct choice *c, int layer)
{
    int last = c->a->s->kv.layers - 1;
    return budget_at(c->a, 1, c->n_candidates, layer < last ? layer : last);
}

/* The k-th best row, best first, stays as long as a layer's budget is more than k. */
static void set_depths(struct choice *c, int32_t *order, int n)
{
    struct ask *a = c->a;
    int depth = a->s->kv.layers;
    if (a->o.taper <= 0) return;
    select_sort(a->score, order, n);
    for (int k = 0; k < n; k++) {
        while (depth > 1 && choose_budget(c, depth - 1) <= k)
            depth--;
        a->depth[order[k]] = (uint8_t)depth;
    }
}

/* ---- the look ---- */

static struct choice push_choice(const struct decoder_config *config, int slots, struct arena *mem)
{
    size_t n = (size_t)slots;
    struct choice c = {.candidate = arena_push(mem, n), .chosen = arena_push(mem, n)};
    for (int i = 0; i < 2; i++)
        c.part[i] = arena_push(mem, n * sizeof *c.part[i]);
    c.by_layer = arena_push(mem, (size_t)config->layers * n * sizeof *c.by_layer);
    c.kept = arena_push(mem, mat_bytes(config->kv, 2 * config->layers * CHOICE_KEPT_ROWS,
                                       config->kv_heads * config->head_dim));
    for (int i = 0; i < 2; i++)
        c.by_row[i] = arena_push(mem, n);
    c.grid = arena_push(mem, SESSION_MAX_ITEMS * sizeof *c.grid);
    c.sum = arena_push(mem, SELECT_CLOSED_WORK(n) * sizeof *c.sum);
    c.layer = arena_push(mem, (size_t)config->layers);
    c.span = arena_push(mem, SESSION_PASS_ROWS * sizeof *c.span);
    return c;
}

size_t choose_bytes(const struct decoder_config *config, int max_rows)
{
    struct arena dry = {0};
    (void)push_choice(config, max_rows, &dry);
    return dry.used;
}

struct choice choose_begin(struct ask *a)
{
    const struct layout *l = &a->layout;
    struct choice c = push_choice(&a->s->engine->decoder.config, a->s->max_rows, &a->s->request);
    c.a = a;
    for (int i = 0; i < l->n; i++)
        c.candidate[i] = l->in_piece[i] && !l->exact[i] && !a->selected[i];
    c.n_candidates = select_count(c.candidate, l->n);
    return c;
}

/* With gaps in the images closed. Rows of an image follow each other in the prompt, not always in
 * the slots. Returns how many, in a->list. */
static int choose_closed(struct choice *c)
{
    struct ask *a = c->a;
    const int32_t *row = a->layout.row;
    float *score = c->part[0];
    int n = a->layout.n, count = 0;
    for (int slot = 0; slot < n; slot++) {
        score[row[slot]] = a->score[slot];
        c->by_row[0][row[slot]] = c->candidate[slot];
    }
    for (int i = 0; i < a->s->n_images; i++) {
        const struct vlqa_placed_image *im = &a->s->placed_image[i];
        c->grid[i] = (struct select_grid){im->first_row, im->grid_h, im->grid_w};
    }
    (void)select_closed(score, c->by_row[0], n, c->budget, c->grid, a->s->n_images, a->o.dilate,
                        a->list, c->by_row[1], c->sum);
    for (int slot = 0; slot < n; slot++) {
        c->chosen[slot] = c->by_row[1][row[slot]];
        if (c->chosen[slot]) a->list[count++] = slot;
    }
    return count;
}

vlqa_status choose_rows(struct ask *a, int round)
{
    struct arena *mem = &a->s->request;
    const struct layout *l = &a->layout;
    size_t mark = arena_mark(mem);
    struct choice c = choose_begin(a);
    int scored, n;
    c.budget = budget_at(a, round, c.n_candidates + a->n_selected, 0) - a->n_selected;
    a->score = a->s->row_score; /* of all slots of the session: what a tap counts over */
    memset(a->score, 0, (size_t)a->s->max_rows * sizeof *a->score);
    scored = a->o.reuse > VLQA_REUSE_NONE && c.budget > 0 && c.budget < c.n_candidates;
    if (scored) TRY(score(&c));
    n = scored && a->o.dilate
            ? choose_closed(&c)
            : select_top(a->score, c.candidate, l->n, c.budget, a->list, c.chosen);
    set_depths(&c, a->list, n);
    a->n_selected += n;
    for (int i = 0; i < l->n; i++)
        if (c.chosen[i]) a->selected[i] = (uint8_t)round;
    if (!scored) a->score = NULL;
    arena_rewind(mem, mark);
    return VLQA_OK;
}
