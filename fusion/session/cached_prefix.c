/* cached_prefix.c - a token is the same as before when its id, or its visual token, is. */
#include "fusion/session/cached_prefix.h"

static int32_t identity(const struct layout *l, int slot)
{
    return l->visual_row[slot] < 0 ? l->token[slot] : -1 - l->visual_row[slot];
}

int cached_prefix_count(const struct vlqa_session *s, const struct layout *l)
{
    int n = 0;
    while (n < s->n_cached_prefix && n < l->n && s->cached_prefix[n] == identity(l, n))
        n++;
    return n;
}

void cached_prefix_set(struct vlqa_session *s, const struct layout *l, int n)
{
    for (int i = 0; i < n; i++)
        s->cached_prefix[i] = identity(l, i);
    s->n_cached_prefix = n;
}

void cached_prefix_append(struct vlqa_session *s, int32_t slot, int32_t id)
{
    if (device_decodes_apart(s->engine->device)) return;
    if (s->n_cached_prefix == slot) s->cached_prefix[s->n_cached_prefix++] = id;
}

vlqa_status cached_prefix_extend(const struct run *r, const char *phase, int begin, int end,
                                 float *logits)
{
    struct run_pass pass = {.begin = begin, .logits = logits};
    if (r->s->n_cached_prefix > begin)
        r->s->n_cached_prefix = begin; /* until it has gone through */
    TRY(run_pass(r, phase, end - begin, &pass));
    cached_prefix_set(r->s, r->layout, end);
    return VLQA_OK;
}
