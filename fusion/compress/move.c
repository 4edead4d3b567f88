/* move.c - rows are gathered into room and scattered from there: slots may overlap. */
#include "fusion/compress/move.h"

struct room {
    struct header header;
    struct mat values; /* [tokens, head_dim] */
};

static struct room push_room(const struct device *d, const struct decoder_config *c, int n,
                             struct workspace *ws)
{
    return (struct room){header_push(d, ws, 2 * (size_t)n * sizeof(int32_t)),
                         workspace_mat(ws, c->kv, n, c->head_dim)};
}

void move_measure(const struct vlqa_engine *e, int max_seq_len, struct workspace *dry)
{
    struct workspace_used mark = workspace_mark(dry);
    (void)push_room(e->device, &e->decoder.config, max_seq_len, dry);
    workspace_rewind(dry, mark);
}

static void move_rows(struct queue *q, struct mat m, struct mat room, struct ints from,
                      struct ints to)
{
    k_gather(q, room, m, from);
    k_scatter(q, m, to, room);
}

void move_tokens(struct vlqa_session *s, int layer, int head, int n, const int32_t *from)
{
    const struct decoder_config *c = &s->engine->decoder.config;
    struct workspace_used mark = workspace_mark(&s->scratch);
    int dim = c->head_dim, in_place = 0;
    int32_t *from_slot, *to_slot;
    struct ints from_at, to_at;
    struct room room;
    while (in_place < n && from[in_place] == in_place)
        in_place++;
    if (in_place == n) return;
    room = push_room(s->engine->device, c, n - in_place, &s->scratch);
    from_at = header_ints(&room.header, n - in_place, &from_slot);
    to_at = header_ints(&room.header, n - in_place, &to_slot);
    for (int i = in_place; i < n; i++) {
        from_slot[i - in_place] = from[i];
        to_slot[i - in_place] = i;
    }
    header_send(s->queue, &room.header);
    move_rows(s->queue, mat_cols(s->kv.k[layer], head * dim, dim), room.values, from_at, to_at);
    move_rows(s->queue, mat_cols(s->kv.v[layer], head * dim, dim), room.values, from_at, to_at);
    workspace_rewind(&s->scratch, mark);
}

void move_forget(struct vlqa_session *s, int begin, int end)
{
    for (int i = 0; i < s->kv.layers && begin < end; i++) {
        struct mat k = mat_rows(s->kv.k[i], begin, end - begin);
        struct mat v = mat_rows(s->kv.v[i], begin, end - begin);
        device_forget(s->engine->device, k.data, mat_bytes(k.dtype, k.rows, k.cols));
        device_forget(s->engine->device, v.data, mat_bytes(v.dtype, v.rows, v.cols));
    }
}
