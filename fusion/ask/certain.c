/* certain.c - the answer goes on over an exact prompt where its next token is in doubt.
 *
 * Chunks move logits a little, so a token that leads by much is the one that full prefill gives.
 * The first one that does not lead by the margin makes the prompt exact: what was said before stays
 * said, so nothing has to be taken back, and what follows is full prefill's as long as that was. */
#include "fusion/ask/certain.h"

#include "fusion/ask/prefill.h"
#include "fusion/engine/tensors.h"
#include "fusion/session/cached_prefix.h"
#include "kernels/comm.h"

#include <math.h>
#include <string.h>

/* How far the largest logit is above the next one. */
static double lead_of(const float *logits, int n)
{
    float first = -INFINITY, second = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (logits[i] > first) {
            second = first;
            first = logits[i];
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    return second > -INFINITY ? (double)first - (double)second : INFINITY;
}

/* The tokens of the answer behind the exact prompt, one by one as they were generated: where
 * decoding has other bits than prefill, these are decoding's. */
static vlqa_status repeat_answer(struct ask *a)
{
    struct vlqa_session *s = a->s;
    const struct layout *l = &a->layout;
    for (int i = 0; i < a->answer.n_tokens; i++) {
        TRY(comm_progress(s->queue->ranks, &s->env, "repair", i, a->answer.n_tokens));
        run_token(&a->view.run, s->answer_token[i], l->n + i, l->next + i, NULL);
        cached_prefix_append(s, l->n + i, s->answer_token[i]);
        TRY(queue_sync(s->queue));
    }
    return VLQA_OK;
}

vlqa_status certain_check(struct ask *a)
{
    struct vlqa_session *s = a->s;
    int vocab = s->engine->decoder.config.vocab;
    vlqa_status status;
    if (!(a->x.margin > 0) || a->answer.exact) return VLQA_OK;
    if (!comm_choose(s->engine->options.ranks, lead_of(s->logits, vocab) < a->x.margin))
        return VLQA_OK;
    a->view.run.flops = &a->answer.flops; /* of the prompt, though the answer has begun */
    status = prefill_rest(a, 2);
    a->view.run.flops = NULL;
    TRY(status);
    memcpy(s->logits, s->first_logits, (size_t)vocab * sizeof *s->logits);
    TRY(repeat_answer(a));
    return engine_check_logits(&s->env, s->engine, s->queue, s->logits, vocab);
}
