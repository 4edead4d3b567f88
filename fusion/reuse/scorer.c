/* scorer.c - memory and candidates of one round of selection. */
#include "fusion/reuse/scorer.h"

#include "fusion/reuse/budget.h"

#include <string.h>

/* What attention to the last token needs; experimental: what any method needs. */
static struct scorer push_scorer(const struct decoder_config *config, int slots, int experimental,
                                 struct arena *mem)
{
    size_t n = (size_t)slots;
    struct scorer c = {.candidate = arena_push(mem, n), .chosen = arena_push(mem, n)};
    for (int i = 0; i < (experimental ? SCORER_PARTS : 1); i++)
        c.part[i] = arena_push(mem, n * sizeof *c.part[i]);
    c.layer = arena_push(mem, (size_t)config->layers);
    if (!experimental) return c;
    c.by_layer = arena_push(mem, (size_t)config->layers * n * sizeof *c.by_layer);
    c.kept = arena_push(mem, mat_bytes(config->kv, 2 * config->layers * SCORER_KEPT_ROWS,
                                       config->kv_heads * config->head_dim));
    c.grid = arena_push(mem, SESSION_MAX_ITEMS * sizeof *c.grid);
    c.sum = arena_push(mem, SELECT_CLOSED_WORK(n) * sizeof *c.sum);
    c.span = arena_push(mem, SESSION_PASS_ROWS * sizeof *c.span);
    return c;
}

size_t scorer_bytes(const struct decoder_config *config, int max_rows, int experimental)
{
    struct arena dry = {0};
    (void)push_scorer(config, max_rows, experimental, &dry);
    return dry.used;
}

struct scorer scorer_begin(const struct view *v, float *score, const uint8_t *selected)
{
    struct vlqa_session *s = v->run.s;
    const struct layout *l = v->run.layout;
    struct scorer c =
        push_scorer(&s->engine->decoder.config, s->max_rows, s->options.experimental, &s->request);
    c.view = *v;
    c.score = score;
    for (int row = 0; row < l->n; row++) {
        int slot = l->slot[row];
        c.candidate[row] = l->in_piece[slot] && (v->exact_too || !l->exact[slot]) && !selected[row];
    }
    c.n_candidates = select_count(c.candidate, l->n);
    return c;
}

float *scorer_part(const struct scorer *c, int part)
{
    size_t slots = (size_t)c->view.run.s->max_rows;
    return memset(c->part[part], 0, slots * sizeof *c->part[part]);
}

int scorer_budget(const struct scorer *c, int layer)
{
    int layers = c->view.run.s->kv.layers;
    return budget_of(c->view.o, c->view.x, c->view.run.layout, layers, c->n_candidates, 1,
                     layer < layers - 1 ? layer : layers - 1);
}
