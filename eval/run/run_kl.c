/* run_kl.c - full prefill's answer to the question at hand, and how far the others are from it. */
#include "base/heap.h"
#include "eval/run/runner.h"

#include <math.h>
#include <string.h>

static vlqa_status reserve(struct runner *r, void **block, size_t *cap, size_t bytes)
{
    void *grown;
    if (bytes <= *cap) return VLQA_OK;
    grown = *block ? heap_resize(*block, *cap, bytes) : heap_alloc(bytes);
    if (!grown) return env_no_memory(&r->run.cli->env, "full prefill's logits", bytes);
    *block = grown;
    *cap = bytes;
    return VLQA_OK;
}

static vlqa_status keep_step(struct runner *r, int step, const float *logits, int n)
{
    size_t row = (size_t)n * sizeof *logits;
    TRY(reserve(r, (void **)&r->full.logits, &r->full.cap, ((size_t)step + 1) * row));
    if (n) memcpy(r->full.logits + (size_t)step * (size_t)n, logits, row);
    r->full.n = n;
    r->full.steps = n ? step + 1 : 0;
    return VLQA_OK;
}

/* A vlqa_logits_fn. */
static void on_full_logits(void *user, int step, const float *logits, int n)
{
    struct runner *r = user;
    if (!r->full.no_memory) r->full.no_memory = keep_step(r, step, logits, n) != VLQA_OK;
}

void runner_note_dense(struct runner *r, struct vlqa_ask_options *out)
{
    r->full.no_memory = 0;
    r->full.steps = r->full.n_tokens = 0;
    if (r->run.args->kl == RUN_KL_ANSWER) out->on_logits = on_full_logits;
    out->user = r;
}

vlqa_status runner_see_full_prefill(struct runner *r, const struct vlqa_answer *answer)
{
    size_t bytes = (size_t)answer->n_tokens * sizeof *answer->token;
    r->full.question = r->question + 1;
    if (r->run.args->kl == RUN_KL_FIRST || !answer->n_logits)
        return keep_step(r, 0, answer->logits, answer->n_logits);
    if (r->full.no_memory) return VLQA_EMEMORY; /* env says what for */
    TRY(reserve(r, (void **)&r->full.token, &r->full.token_cap, bytes));
    if (bytes) memcpy(r->full.token, answer->token, bytes);
    r->full.n_tokens = answer->n_tokens;
    return VLQA_OK;
}

int runner_can_follow(const struct runner *r)
{
    return r->run.args->kl == RUN_KL_ANSWER && r->full.question == r->question + 1 && r->full.steps;
}

/* A vlqa_logits_fn. */
static void on_other_logits(void *user, int step, const float *logits, int n)
{
    struct runner *r = user;
    stats_divergence_add(&r->kl, r->full.logits + (size_t)step * (size_t)n, logits, n, step,
                         r->full.steps);
}

void runner_follow_dense(struct runner *r, struct vlqa_ask_options *out)
{
    r->kl = (struct stats_divergence){.kl = 0};
    out->max_tokens = r->full.steps;
    out->forced = r->full.token;
    out->n_forced = r->full.n_tokens;
    out->on_logits = on_other_logits;
    out->user = r;
}

void runner_compare_first(struct runner *r, int variant, const struct vlqa_answer *answer)
{
    const double none = (double)NAN;
    const struct stats_divergence unknown = {
        .kl = none, .kl_first = none, .top1 = none, .cosine = none, .lead = none};
    if (*r->error || r->run.variant[variant].is_full_prefill) {
        r->kl = unknown;
    } else if (!runner_can_follow(r)) {
        r->kl = unknown;
        if (r->full.question == r->question + 1 && r->full.steps && r->full.n == answer->n_logits)
            r->kl.kl_first = stats_kl(r->full.logits, answer->logits, r->full.n);
    }
}
