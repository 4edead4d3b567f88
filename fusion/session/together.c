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

vlqa_status together_refuse(struct vlqa_engine *e, const char *what, size_t bytes)
{
    struct vlqa_ranks *r = e->options.ranks;
    struct key none = {{0}};
    struct env env = {0};
    int idle = 0;
    if (!r || !atomic_compare_exchange_strong(&e->together, &idle, 1)) return VLQA_EMEMORY;
    idle = comm_begin(r, &env, what, none.b) == VLQA_OK;
    if (idle) (void)comm_end(r, &env, env_no_memory(&env, what, bytes));
    atomic_store(&e->together, 0);
    return VLQA_EMEMORY;
}

vlqa_status together_agree(struct vlqa_session *s)
{
    return s->together ? comm_agree(s->engine->options.ranks, &s->env, VLQA_OK) : VLQA_OK;
}

void together_hash(const struct vlqa_session *s, struct hash *h)
{
    hash_u64(h, (uint64_t)s->n_items);
    hash_u64(h, (uint64_t)s->n_cached_prefix);
    for (int i = 0; i < s->n_stand_ins; i++)
        hash_bytes(h, s->stand_in[i].key.b, sizeof(struct key));
    for (int i = 0; i < s->n_items; i++) {
        const struct session_item *item = &s->item[i];
        hash_u64(h, (uint64_t)item->role);
        hash_u64(h, (uint64_t)(int64_t)item->document);
        hash_u64(h, item->bytes);
        hash_bytes(h, item->text ? item->text : "", item->bytes);
        hash_u64(h, (uint64_t)(int64_t)item->image);
        if (item->image >= 0) hash_bytes(h, s->image[item->image].key.b, sizeof(struct key));
    }
}

vlqa_status together_end(struct vlqa_session *s, vlqa_status mine)
{
    struct vlqa_ranks *r = s->engine->options.ranks;
    if (!s->together) return mine;
    s->together = 0;
    if (mine == VLQA_OK) {
        mine = comm_agree(r, &s->env, queue_sync(s->queue)); /* what others give it has come */
    } else {
        mine = comm_end(r, &s->env, mine);
        if (s->queue) comm_settle(s->queue); /* one that opened */
    }
    atomic_store(&s->engine->together, 0);
    return mine;
}
