/* together.c - ranks meet when a call begins and agree on how it ended. */
#include "fusion/session/together.h"

#include "kernels/comm.h"

vlqa_status together_begin(struct vlqa_session *s, const char *what, struct key key)
{
    struct vlqa_engine *e = s->engine;
    int idle = 0;
    if (!e->options.ranks) return VLQA_OK;
    if (!atomic_compare_exchange_strong(&e->together, &idle, 1))
        return env_fail(&s->env, VLQA_ESTATE,
                        "another session of the engine is in a call: an engine of several ranks "
                        "does one at a time");
    s->together = 1;
    return comm_begin(e->options.ranks, &s->env, what, key.b);
}

void together_hash(const struct vlqa_session *s, struct hash *h)
{
    hash_u64(h, (uint64_t)s->n_items);
    hash_u64(h, (uint64_t)s->n_cached_prefix);
    hash_u64(h, s->text_used);
    hash_bytes(h, s->text, s->text_used);
    for (int i = 0; i < s->n_images; i++)
        hash_bytes(h, s->image[i].key.b, sizeof s->image[i].key.b);
}

vlqa_status together_end(struct vlqa_session *s, vlqa_status mine)
{
    struct vlqa_ranks *r = s->engine->options.ranks;
    if (!s->together) return mine;
    s->together = 0;
    mine = mine == VLQA_OK ? comm_agree(r, &s->env, mine) : comm_end(r, &s->env, mine);
    atomic_store(&s->engine->together, 0);
    return mine;
}
