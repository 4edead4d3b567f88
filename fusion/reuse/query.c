/* query.c - the suffix, the question or the last token; all layers or those of the options. */
#include "fusion/reuse/query.h"

#include "fusion/reuse/layer_set.h"

/* Tokens [*first, *first + *tokens) of the n of the pass; they end the pass or come before the
 * template, and fit the pass's last batch. */
static void query_rows(const struct view *v, int n, int *first, int *rows)
{
    const struct layout *l = v->run.layout;
    int end = n, begin = n - (l->n - l->context_end), most = v->run.s->pass_tokens;
    enum vlqa_query_tokens query = v->x->query_tokens;
    if (query == VLQA_QUERY_AUTO)
        query = v->x->variant == VLQA_VARIANT_PROPHET ? VLQA_QUERY_SUFFIX : VLQA_QUERY_LAST;
    if (query == VLQA_QUERY_QUESTION) end = n - (l->n - l->question_end);
    if (query == VLQA_QUERY_LAST) begin = n - 1;
    if (begin < n - most) begin = n - most;
    if (begin < 0) begin = 0;
    if (end <= begin) end = begin + 1;
    *first = begin;
    *rows = end - begin;
}

int query_probe(const struct scorer *c, int n, struct probe *probe)
{
    const uint64_t *set = c->view.x->probe_layers;
    int layers = c->view.run.s->kv.layers, end = layer_set_end(set);
    for (int i = 0; i < layers; i++)
        c->layer[i] = !end || layer_set_has(set, i);
    probe->layer = c->layer;
    query_rows(&c->view, n, &probe->first, &probe->n_query);
    return end ? end : layers;
}
