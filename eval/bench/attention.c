/* attention.c - attention and score: of the decoder over cached keys, of the tower over patches. */
#include "eval/bench/lab.h"

#include <math.h>

#define DECODER_KEYS 1024
#define LONG_KEYS 8192
#define TOWER_ROWS 4096

static double pairs_of(struct spans span)
{
    double pairs = 0;
    for (int i = 0; i < span.n && span.host; i++)
        pairs += span.host[i].head_end + (double)(span.host[i].tail_end - span.host[i].tail_begin);
    return pairs;
}

static void run_attention(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_attention(q, &c->attn);
}

static void attention(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                      struct call *out)
{
    int tower = c->keys == 0, keys = rows > c->keys ? rows : c->keys;
    int dim = c->in, q = c->heads * dim, kv = c->kv_heads * dim;
    enum dtype kept = tower ? DT_F32 : lab->text.kv, compute = lab->text.compute;
    struct attn *a = &out->attn;
    out->run = run_attention;
    a->q = lab_mat(lab, ws, DT_F32, rows, q);
    a->k = lab_mat(lab, ws, kept, keys, kv);
    a->v = lab_mat(lab, ws, kept, keys, kv);
    a->out = workspace_mat(ws, compute, rows, q);
    a->span = lab_spans(lab, ws, rows, keys, tower);
    a->heads = c->heads;
    a->kv_heads = c->kv_heads;
    a->scale = 1.0f / sqrtf((float)dim);
    a->products = tower || compute == DT_F32 ? compute : kept;
    a->work = arena_push(&ws->device,
                         k_attention_work(lab->device, rows, c->heads, c->kv_heads, dim, keys));
    out->bytes = lab_bytes(a->q) + lab_bytes(a->k) + lab_bytes(a->v) + lab_bytes(a->out);
    if (ws->device.base) out->flops = 4.0 * q * pairs_of(a->span);
}

static void run_score(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_score(q, &c->score);
}

/* As the attention probe has it: the largest head, query tokens summed. */
static void score(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                  struct call *out)
{
    int keys = rows > c->keys ? rows : c->keys, q = c->heads * c->in, kv = c->kv_heads * c->in;
    struct score *s = &out->score;
    out->run = run_score;
    s->q = lab_mat(lab, ws, DT_F32, rows, q);
    s->k = lab_mat(lab, ws, lab->text.kv, keys, kv);
    s->v = lab_mat(lab, ws, lab->text.kv, keys, kv);
    s->span = lab_spans(lab, ws, rows, keys, 0);
    s->heads = c->heads;
    s->kv_heads = c->kv_heads;
    s->scale = 1.0f / sqrtf((float)c->in);
    s->value = SCORE_WEIGHT;
    s->over_heads = SCORE_HEADS_MAX;
    s->over_rows = SCORE_ROWS_SUM;
    s->out = lab_mat(lab, ws, DT_F32, 1, keys);
    s->work = arena_push(&ws->device, k_score_work(lab->device, rows, c->heads, keys));
    out->bytes = lab_bytes(s->q) + lab_bytes(s->k) + 2 * lab_bytes(s->out);
    if (ws->device.base) out->flops = 2.0 * q * pairs_of(s->span);
}

void cases_add_attention(struct cases *list, const struct lab *lab)
{
    const struct decoder_config *t = &lab->text;
    const struct vit_config *v = &lab->vision;
    struct op_case c = {.op = "attention",
                        .part = "text",
                        .setup = attention,
                        .in = t->head_dim,
                        .heads = t->heads,
                        .kv_heads = t->kv_heads,
                        .keys = DECODER_KEYS,
                        .least = 1,
                        .most = DECODER_KEYS};
    cases_add(list, c);
    c.part = "text.long";
    c.keys = LONG_KEYS;
    c.most = 16;
    cases_add(list, c);
    c.op = "score";
    c.part = "text";
    c.setup = score;
    c.keys = DECODER_KEYS;
    cases_add(list, c);
    c = (struct op_case){.op = "attention",
                         .part = "vit",
                         .setup = attention,
                         .in = v->hidden / v->heads,
                         .heads = v->heads,
                         .kv_heads = v->heads,
                         .least = 64,
                         .most = TOWER_ROWS};
    cases_add(list, c);
}
