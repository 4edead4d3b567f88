/* rows.c - the operations that go row by row: norms, rotation, copies, sums, entropy, distance,
 * quantisation.
 */
#include "eval/bench/lab.h"

#include <string.h>

#define SLOTS 1024 /* rows of what is gathered from and scattered to, at least */
#define EPS 1e-6f
#define ENTROPY_TOP 20

static void run_rmsnorm(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_rmsnorm(q, c->y, c->x, c->a, EPS);
}

static void rmsnorm(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                    struct call *out)
{
    out->run = run_rmsnorm;
    out->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->y = c->heads ? out->x : workspace_mat(ws, lab->text.compute, rows, c->in);
    out->a = lab_mat(lab, ws, DT_F32, 1, c->heads ? c->in / c->heads : c->in);
    out->bytes = lab_bytes(out->x) + lab_bytes(out->y);
}

static void run_layernorm(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_layernorm(q, c->y, c->x, c->a, c->b, EPS);
}

static void layernorm(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                      struct call *out)
{
    out->run = run_layernorm;
    out->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->y = workspace_mat(ws, lab->text.compute, rows, c->in);
    out->a = lab_mat(lab, ws, DT_F32, 1, c->in);
    out->b = lab_mat(lab, ws, DT_F32, 1, c->in);
    out->bytes = lab_bytes(out->x) + lab_bytes(out->y);
}

static void run_angles(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_angles(q, c->y, c->index, c->a);
}

static void angles(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                   struct call *out)
{
    out->run = run_angles;
    out->index = lab_index(lab, ws, 3 * rows, SLOTS);
    out->a = lab_mat(lab, ws, DT_F32, 3, c->in / 2);
    out->y = workspace_mat(ws, DT_F32, rows, c->in);
    out->bytes = 4.0 * out->index.n + lab_bytes(out->y);
}

static void run_rope(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_rope(q, c->x, c->x, c->heads, c->a);
}

static void rope(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                 struct call *out)
{
    out->run = run_rope;
    out->heads = c->heads;
    out->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->a = lab_mat(lab, ws, DT_F32, rows, c->in / c->heads);
    out->bytes = 2 * lab_bytes(out->x) + lab_bytes(out->a);
}

static void run_heads(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_heads(q, &c->of_heads);
}

/* Queries stay where they are, keys go to slots. */
static void heads(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                  struct call *out)
{
    int is_key = strcmp(c->part, "text.k") == 0, slots = rows > SLOTS ? rows : SLOTS;
    struct heads *h = &out->of_heads;
    out->run = run_heads;
    h->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    h->norm = lab_mat(lab, ws, DT_F32, 1, c->in / c->heads);
    h->eps = EPS;
    h->heads = c->heads;
    h->cos_sin = lab_mat(lab, ws, DT_F32, rows, c->in / c->heads);
    h->raw = is_key ? workspace_mat(ws, lab->text.kv, rows, c->in) : h->x;
    h->out = is_key ? workspace_mat(ws, lab->text.kv, slots, c->in) : h->x;
    if (is_key) h->slot = lab_index(lab, ws, rows, slots);
    out->bytes = lab_bytes(h->x) + lab_bytes(h->cos_sin) + lab_bytes(h->raw);
}

static void run_place(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_place(q, &c->place);
}

/* Matrices of all layers, one behind the other. */
static struct layers layers_of(struct mat all, int n)
{
    int rows = all.rows / n;
    return (struct layers){mat_rows(all, 0, rows), mat_bytes(all.dtype, rows, all.cols)};
}

static void place(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                  struct call *out)
{
    int n = lab->text.layers, slots = rows > SLOTS ? rows : SLOTS;
    struct place *p = &out->place;
    struct mat from = lab_mat(lab, ws, lab->text.kv, 2 * n * rows, c->in);
    struct mat to = workspace_mat(ws, lab->text.kv, 2 * n * slots, c->in);
    p->cos_sin = lab_mat(lab, ws, DT_F32, rows, c->in / c->heads);
    p->slot = lab_index(lab, ws, rows, slots);
    p->work = arena_push(&ws->device, k_place_work(lab->device, rows, c->in));
    if (!ws->device.base) return; /* measured */
    out->run = run_place;
    p->n_layers = n;
    p->heads = c->heads;
    p->k = layers_of(mat_rows(from, 0, n * rows), n);
    p->v = layers_of(mat_rows(from, n * rows, n * rows), n);
    p->to_k = layers_of(mat_rows(to, 0, n * slots), n);
    p->to_v = layers_of(mat_rows(to, n * slots, n * slots), n);
    out->bytes = 2 * lab_bytes(from) + lab_bytes(p->cos_sin);
}

static void run_swiglu(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_swiglu(q, c->y, c->x);
}

static void swiglu(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                   struct call *out)
{
    out->run = run_swiglu;
    out->x = lab_mat(lab, ws, DT_F32, rows, 2 * c->in);
    out->y = workspace_mat(ws, lab->text.compute, rows, c->in);
    out->bytes = lab_bytes(out->x) + lab_bytes(out->y);
}

static void run_add(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_add(q, c->y, c->x);
}

static void add(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                struct call *out)
{
    out->run = run_add;
    out->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->y = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->bytes = lab_bytes(out->x) + 2 * lab_bytes(out->y);
}

static void run_add_rows(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_add_rows(q, c->y, c->x, c->index);
}

static void add_rows(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                     struct call *out)
{
    out->run = run_add_rows;
    out->x = lab_mat(lab, ws, lab->text.compute, rows, c->in);
    out->y = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->index = lab_index(lab, ws, rows, rows);
    out->bytes = lab_bytes(out->x) + 2 * lab_bytes(out->y);
}

static void run_gather(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_gather(q, c->y, c->x, c->index);
}

static void gather(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                   struct call *out)
{
    int slots = rows > SLOTS ? rows : SLOTS;
    out->run = run_gather;
    out->x = lab_mat(lab, ws, lab->text.compute, slots, c->in);
    out->y = workspace_mat(ws, DT_F32, rows, c->in);
    out->index = lab_index(lab, ws, rows, slots);
    out->bytes = lab_bytes(mat_rows(out->x, 0, rows)) + lab_bytes(out->y);
}

static void run_scatter(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_scatter(q, c->y, c->index, c->x);
}

static void scatter(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                    struct call *out)
{
    out->run = run_scatter;
    out->x = lab_mat(lab, ws, lab->text.kv, rows, c->in);
    out->y = workspace_mat(ws, lab->text.kv, rows > SLOTS ? rows : SLOTS, c->in);
    out->index = lab_index(lab, ws, rows, out->y.rows);
    out->bytes = 2 * lab_bytes(out->x);
}

static void run_embed(struct queue *q, const struct call *c, int turn)
{
    k_embed(q, c->y, c->weights->at[turn % c->weights->n], c->index);
}

static void embed(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                  struct call *out)
{
    out->run = run_embed;
    out->weights = c->weights;
    out->y = workspace_mat(ws, DT_F32, rows, c->in);
    out->index = lab_index(lab, ws, rows, c->out);
    out->bytes = c->weights->bytes / c->out * rows + lab_bytes(out->y);
}

static void run_blend(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_blend(q, c->y, c->x, c->index, c->a);
}

static void blend(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                  struct call *out)
{
    out->run = run_blend;
    out->x = lab_mat(lab, ws, lab->text.compute, c->out, c->in);
    out->y = workspace_mat(ws, DT_F32, rows, c->in);
    out->index = lab_index(lab, ws, 4 * rows, c->out);
    out->a = lab_mat(lab, ws, DT_F32, rows, 4);
    out->bytes = lab_bytes(out->x) / c->out * 4 * rows + lab_bytes(out->y);
}

static void run_entropy(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_entropy(q, c->y, c->x, ENTROPY_TOP);
}

static void entropy(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                    struct call *out)
{
    out->run = run_entropy;
    out->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->y = workspace_mat(ws, DT_F32, rows, 1);
    out->bytes = lab_bytes(out->x) + lab_bytes(out->y);
}

static void run_cosine_distance(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_cosine_distance(q, c->y, c->x, c->a);
}

static void cosine_distance(struct lab *lab, const struct op_case *c, int rows,
                            struct workspace *ws, struct call *out)
{
    out->run = run_cosine_distance;
    out->x = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->a = lab_mat(lab, ws, DT_F32, rows, c->in);
    out->y = workspace_mat(ws, DT_F32, rows, 1);
    out->bytes = lab_bytes(out->x) + lab_bytes(out->a) + lab_bytes(out->y);
}

static void run_quantize(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_quantize(q, c->y, c->x, c->heads);
}

static void quantize(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                     struct call *out)
{
    out->run = run_quantize;
    out->heads = c->heads;
    out->x = lab_mat(lab, ws, lab->text.kv, rows, c->in);
    out->y = workspace_mat(ws, DT_ROW_INT8, rows, row_int8_cols(c->in, c->heads));
    out->bytes = lab_bytes(out->x) + lab_bytes(out->y);
}

static void run_dequantize(struct queue *q, const struct call *c, int turn)
{
    (void)turn;
    k_dequantize(q, c->x, c->y, c->heads);
}

static void dequantize(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                       struct call *out)
{
    quantize(lab, c, rows, ws, out);
    if (ws->device.base) k_quantize(lab->queue, out->y, out->x, out->heads);
    out->run = run_dequantize;
}

static void add_case(struct cases *list, const char *op, const char *part,
                     void (*setup)(struct lab *, const struct op_case *, int, struct workspace *,
                                   struct call *),
                     int cols, int heads)
{
    cases_add(list, (struct op_case){.op = op,
                                     .part = part,
                                     .setup = setup,
                                     .in = cols,
                                     .heads = heads,
                                     .least = 1,
                                     .most = 1024});
}

void cases_add_rows(struct cases *list, const struct lab *lab)
{
    const struct decoder_config *t = &lab->text;
    const struct vit_config *v = &lab->vision;
    int q = t->heads * t->head_dim, kv = t->kv_heads * t->head_dim;
    add_case(list, "rmsnorm", "text", rmsnorm, t->hidden, 0);
    add_case(list, "rmsnorm", "text.q", rmsnorm, q, t->heads);
    add_case(list, "layernorm", "vit", layernorm, v->hidden, 0);
    add_case(list, "angles", "text", angles, t->head_dim, 0);
    add_case(list, "rope", "text.q", rope, q, t->heads);
    add_case(list, "rope", "vit", rope, v->hidden, v->heads);
    add_case(list, "heads", "text.q", heads, q, t->heads);
    add_case(list, "heads", "text.k", heads, kv, t->kv_heads);
    add_case(list, "place", "text", place, kv, t->kv_heads);
    add_case(list, "swiglu", "text", swiglu, t->inner, 0);
    add_case(list, "add", "text", add, t->hidden, 0);
    add_case(list, "add_rows", "text", add_rows, t->hidden, 0);
    add_case(list, "gather", "text", gather, t->hidden, 0);
    add_case(list, "scatter", "text.k", scatter, kv, 0);
    add_case(list, "embed", "text", embed, t->hidden, 0);
    list->at[list->n - 1].out = t->vocab < 16384 ? t->vocab : 16384;
    list->at[list->n - 1].format = lab->head;
    add_case(list, "blend", "vit", blend, v->hidden, 0);
    list->at[list->n - 1].out = v->side * v->side;
    add_case(list, "entropy", "text.head", entropy, t->vocab, 0);
    list->at[list->n - 1].most = 64; /* logits of a pass are made for few rows at a time */
    add_case(list, "cosine_distance", "text", cosine_distance, t->hidden, 0);
    add_case(list, "quantize", "text.k", quantize, kv, t->kv_heads);
    add_case(list, "dequantize", "text.k", dequantize, kv, t->kv_heads);
}
