/* attention.c - one probe of the token in front of the answer: the largest head, layers summed. */
#include "fusion/reuse/attention.h"

#include "fusion/reuse/layer_set.h"

void attention_begin(struct view *v, struct probe *last)
{
    struct vlqa_session *s = v->run.s;
    const uint64_t *set = v->x->probe_layers;
    for (int i = 0; i < s->kv.layers; i++)
        s->attention_layer[i] = !layer_set_end(set) || layer_set_has(set, i);
    *last = (struct probe){.layer = s->attention_layer,
                           .n_query = 1,
                           .n = 1,
                           .count = {{.value = SCORE_WEIGHT,
                                      .over_heads = SCORE_HEADS_MAX,
                                      .over_rows = SCORE_ROWS_SUM,
                                      .sum = mat_of(s->attention.at, DT_F32, 1, s->max_seq_len)}}};
    v->run.last = last;
}

vlqa_status attention_take(const struct view *v, struct choice *c)
{
    struct vlqa_session *s = v->run.s;
    const struct layout *l = v->run.layout;
    const float *slot = s->attention.host;
    mirror_fetch(s->queue, s->attention);
    TRY(queue_sync(s->queue));
    for (int i = 0; i < l->n; i++)
        s->token_score[l->prompt_index[i]] = slot[i];
    c->score = s->token_score;
    return VLQA_OK;
}
