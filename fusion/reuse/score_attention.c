/* score_attention.c - an attention probe: a pass of the question over the chunks as they are. */
#include "fusion/reuse/score_attention.h"

#include "fusion/reuse/query.h"

#include <math.h>
#include <string.h>

static struct probe_count count_of(enum vlqa_token_score score, struct mat sum)
{
    static const struct probe_count kinds[] = {
        [VLQA_SCORE_NORM] = {SCORE_WEIGHT, SCORE_HEADS_SUM, SCORE_ROWS_L2, {0}},
        [VLQA_SCORE_MASS] = {SCORE_WEIGHT, SCORE_HEADS_SUM, SCORE_ROWS_SUM, {0}},
        [VLQA_SCORE_MAX] = {SCORE_WEIGHT, SCORE_HEADS_MAX, SCORE_ROWS_SUM, {0}},
        [VLQA_SCORE_ENTROPY] = {SCORE_ENTROPY, SCORE_HEADS_SUM, SCORE_ROWS_SUM, {0}},
        [VLQA_SCORE_VATP] = {SCORE_VALUE, SCORE_HEADS_SUM, SCORE_ROWS_SUM, {0}},
    };
    struct probe_count count = kinds[score];
    count.sum = sum;
    return count;
}

/* Of InfoFlow KV's code for images. */
static const struct {
    enum vlqa_token_score score;
    float weight;
} mixture[] = {{VLQA_SCORE_ENTROPY, 0.4f}, {VLQA_SCORE_NORM, 0.4f}, {VLQA_SCORE_VATP, 0.2f}};
#define N_MIXTURE (int)(sizeof mixture / sizeof *mixture)
_Static_assert(sizeof mixture / sizeof *mixture <= PROBE_MAX_COUNTS, "one pass counts all of them");

static void set_counts(const struct scorer *c, struct probe *probe)
{
    const struct vlqa_experimental *x = c->view.x;
    enum vlqa_token_score score = x->variant == VLQA_VARIANT_PROPHET ? VLQA_SCORE_MASS : x->score;
    if (score != VLQA_SCORE_COMBINED) {
        probe->count[probe->n++] = count_of(score, scorer_sum(c, c->part[0], 1));
        return;
    }
    for (; probe->n < N_MIXTURE; probe->n++)
        probe->count[probe->n] =
            count_of(mixture[probe->n].score, scorer_sum(c, c->part[probe->n], 1));
}

/* Each part from 0 to 1 over the candidates, summed by weight. */
static void mix(const struct scorer *c, const struct probe *probe)
{
    const struct layout *l = c->view.run.layout;
    for (int part = 0; part < probe->n; part++) {
        const float *slot = c->part[part].host;
        float low = INFINITY, high = -INFINITY, scale;
        for (int i = 0; i < l->n; i++) {
            if (!c->candidate[l->prompt_index[i]]) continue;
            low = slot[i] < low ? slot[i] : low;
            high = slot[i] > high ? slot[i] : high;
        }
        scale = high > low ? mixture[part].weight / (high - low) : 0;
        for (int i = 0; i < l->n; i++) {
            float *score = &c->score[l->prompt_index[i]];
            *score = (slot[i] - low) * scale + (part ? *score : 0);
        }
    }
}

static void take_counts(const struct scorer *c, const struct probe *probe)
{
    const struct layout *l = c->view.run.layout;
    if (probe->n > 1)
        mix(c, probe);
    else
        for (int i = 0; i < l->n; i++)
            c->score[l->prompt_index[i]] = ((const float *)c->part[0].host)[i];
}

/* Lets the model begin its answer on the chunks as they are: tokens of the answer attend to what
 * later tokens need, where the last token knows the first token only. */
static vlqa_status draft(const struct scorer *c, const struct probe *like)
{
    const struct layout *l = c->view.run.layout;
    struct vlqa_session *s = c->view.run.s;
    int vocab = s->engine->decoder.config.vocab;
    struct span span = {0, 0, l->context_end};
    struct probe probe = *like;
    probe.first = 0;
    probe.n_query = 1;
    probe.span = like->span ? &span : NULL;
    memcpy(s->logits, s->first_logits, (size_t)vocab * sizeof *s->logits);
    for (int i = 0; i < c->view.x->query_draft && l->n + i < s->max_seq_len; i++) {
        int32_t best = 0;
        for (int id = 1; id < vocab; id++)
            if (s->logits[id] > s->logits[best]) best = id;
        if (engine_ends_turn(s->engine, best)) return VLQA_OK;
        run_token(&c->view.run, best, l->n + i, l->next + i, &probe);
        TRY(queue_sync(s->queue));
    }
    return VLQA_OK;
}

/* Runs the question's tokens (and those between chunks) over the chunks as they are and counts what
 * they attend to. Their KV is written again by the repair. */
vlqa_status score_attention(struct scorer *c)
{
    const struct vlqa_ask_options *o = c->view.o;
    const struct vlqa_experimental *x = c->view.x;
    const struct layout *l = c->view.run.layout;
    struct vlqa_session *s = c->view.run.s;
    int32_t *list = c->view.list;
    int n = 0;
    struct probe probe = {.n = 0};
    struct run_pass pass = {.slot = list, .probe = &probe};
    for (int i = l->prefix_end; i < l->n; i++)
        if (!l->in_segment[i]) list[n++] = i;
    set_counts(c, &probe);
    pass.layer_end = query_probe(c, n, &probe);
    if (x->variant == VLQA_VARIANT_PROPHET) { /* softmax over the context alone */
        for (int i = 0; i < probe.n_query; i++)
            c->span[i] = (struct span){0, 0, l->context_end};
        probe.span = c->span;
    }
    if (x->query_draft || o->adaptive > 0) { /* for tokens all layers are needed */
        pass.layer_end = 0;
        pass.logits = s->first_logits;
        c->answered = 1;
    }
    TRY(run_pass(&c->view.run, "score", n, &pass));
    if (x->query_draft) TRY(draft(c, &probe));
    TRY(scorer_take(c, probe.n));
    take_counts(c, &probe);
    return VLQA_OK;
}
