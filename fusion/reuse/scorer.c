/* scorer.c - memory and candidates of one round of selection. */
#include "fusion/reuse/scorer.h"

#include "fusion/reuse/budget.h"

/* What attention to the last token needs; experimental: what any variant needs. */
static struct scorer push_scorer(const struct vlqa_engine *e, int slots, int experimental,
                                 struct workspace *ws)
{
    const struct decoder_config *config = &e->decoder.config;
    size_t n = (size_t)slots, layers = (size_t)config->layers;
    size_t kept = mat_bytes(config->kv, 2 * config->layers * SCORER_KEPT_ROWS,
                            config->kv_heads * config->head_dim);
    struct arena *mem = &ws->host;
    struct scorer c = {.candidate = arena_push(mem, n), .chosen = arena_push(mem, n)};
    for (int i = 0; i < (experimental ? SCORER_PARTS : 1); i++)
        c.part[i] = mirror_push(e->device, ws, n * sizeof(float));
    c.layer = arena_push(mem, layers);
    if (!experimental) return c;
    c.by_layer = mirror_push(e->device, ws, layers * n * sizeof(float));
    for (int i = 0; i < 2; i++)
        c.kept[i] = mirror_push(e->device, ws, kept);
    c.grid = arena_push(mem, SESSION_MAX_ITEMS * sizeof *c.grid);
    c.sum = arena_push(mem, SELECT_CLOSED_WORK(n) * sizeof *c.sum);
    c.span = arena_push(mem, SESSION_PASS_TOKENS * sizeof *c.span);
    return c;
}

void scorer_measure(const struct vlqa_engine *e, int max_seq_len, int experimental,
                    struct workspace *dry)
{
    (void)push_scorer(e, max_seq_len, experimental, dry);
}

struct scorer scorer_begin(const struct view *v, float *score, const uint8_t *selected)
{
    struct vlqa_session *s = v->run.s;
    const struct layout *l = v->run.layout;
    struct scorer c = push_scorer(s->engine, s->max_seq_len, s->options.experimental, &s->request);
    c.view = *v;
    c.score = score;
    for (int row = 0; row < l->n; row++) {
        int slot = l->slot[row];
        c.candidate[row] =
            l->in_segment[slot] && (v->exact_too || !l->exact[slot]) && !selected[row];
    }
    c.n_candidates = select_count(c.candidate, l->n);
    return c;
}

struct mat scorer_sum(const struct scorer *c, struct mirror sum, int rows)
{
    struct vlqa_session *s = c->view.run.s;
    queue_clear(s->queue, sum.at, sum.bytes);
    return mat_of(sum.at, DT_F32, rows, s->max_seq_len);
}

vlqa_status scorer_take(const struct scorer *c, int n)
{
    struct queue *q = c->view.run.s->queue;
    for (int i = 0; i < n; i++)
        mirror_fetch(q, c->part[i]);
    return queue_sync(q);
}

int scorer_budget(const struct scorer *c, int layer)
{
    int layers = c->view.run.s->kv.layers;
    return budget_of(c->view.o, c->view.x, c->view.run.layout, layers, c->n_candidates, 1,
                     layer < layers - 1 ? layer : layers - 1);
}
