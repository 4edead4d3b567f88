/* products.c - the products with weights that a decoder layer, the head, a block of the tower, its
 * mergers and the patch embedding consist of. */
#include "eval/bench/lab.h"

static void run_matmul(struct queue *q, const struct call *c, int turn)
{
    k_matmul(q, c->y, c->x, c->weights->at[turn % c->weights->n], c->a, c->act);
}

/* All but y. */
static void inputs(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                   struct call *out)
{
    out->weights = c->weights;
    out->act = c->act;
    out->x = lab_mat(lab, ws, lab->text.compute, rows, c->in);
    out->a = c->has_bias ? lab_mat(lab, ws, DT_F32, 1, c->out) : mat_none();
}

static void matmul(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                   struct call *out)
{
    inputs(lab, c, rows, ws, out);
    out->run = run_matmul;
    out->y = workspace_mat(ws, DT_F32, rows, c->out);
    out->flops = 2.0 * rows * c->out * c->in;
    out->bytes = c->weights->bytes + lab_bytes(out->x) + lab_bytes(out->y);
}

/* Two of one x beside each other, as gate and up are. */
static void run_products(struct queue *q, const struct call *c, int turn)
{
    int half = c->y.cols / 2, first = 2 * turn % c->weights->n, n = c->weights->n;
    struct products p = {
        .x = c->x,
        .n = 2,
        .of = {{.y = mat_cols(c->y, 0, half), .w = c->weights->at[first]},
               {.y = mat_cols(c->y, half, half), .w = c->weights->at[(first + 1) % n]}}};
    k_products(q, &p);
}

static void products(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                     struct call *out)
{
    inputs(lab, c, rows, ws, out);
    out->run = run_products;
    out->y = workspace_mat(ws, DT_F32, rows, 2 * c->out);
    out->flops = 4.0 * rows * c->out * c->in;
    out->bytes = 2 * c->weights->bytes + lab_bytes(out->x) + lab_bytes(out->y);
}

static void run_matmul_add(struct queue *q, const struct call *c, int turn)
{
    k_matmul_add(q, c->y, c->x, c->weights->at[turn % c->weights->n], mat_none(), c->b);
}

static void matmul_add(struct lab *lab, const struct op_case *c, int rows, struct workspace *ws,
                       struct call *out)
{
    inputs(lab, c, rows, ws, out);
    out->run = run_matmul_add;
    out->y = lab_mat(lab, ws, DT_F32, rows, c->out);
    out->b = workspace_mat(ws, DT_F32, rows, c->out);
    out->flops = 2.0 * rows * c->out * c->in;
    out->bytes = c->weights->bytes + lab_bytes(out->x) + 2 * lab_bytes(out->y); /* read, written */
}

static void add(struct cases *list, const char *part, int out, int in, enum weight_format format,
                int most)
{
    cases_add(list, (struct op_case){.op = "matmul",
                                     .part = part,
                                     .setup = matmul,
                                     .out = out,
                                     .in = in,
                                     .format = format,
                                     .least = 1,
                                     .most = most});
}

static void add_biased(struct cases *list, const char *part, int out, int in, enum act act)
{
    add(list, part, out, in, WEIGHT_BF16, 1024);
    list->at[list->n - 1].has_bias = 1;
    list->at[list->n - 1].act = act;
}

void cases_add_products(struct cases *list, const struct lab *lab)
{
    const struct decoder_config *t = &lab->text;
    const struct vit_config *v = &lab->vision;
    const struct patch_config *p = &v->patch;
    int q = t->heads * t->head_dim, kv = t->kv_heads * t->head_dim, h = v->hidden;
    int merged = h * p->merge * p->merge;
    add(list, "text.q", q, t->hidden, lab->layers, 1024);
    add(list, "text.k", kv, t->hidden, lab->layers, 1024); /* and v */
    add(list, "text.o", t->hidden, q, lab->layers, 1024);
    add(list, "text.gate", t->inner, t->hidden, lab->layers, 1024); /* and up */
    add(list, "text.down", t->hidden, t->inner, lab->layers, 1024);
    add(list, "text.gate_up", t->inner, t->hidden, lab->layers, 1024);
    list->at[list->n - 1].op = "products";
    list->at[list->n - 1].setup = products;
    add(list, "text.down", t->hidden, t->inner, lab->layers, 1024);
    list->at[list->n - 1].op = "matmul_add";
    list->at[list->n - 1].setup = matmul_add;
    add(list, "text.head", t->vocab, t->hidden, lab->head, 1);
    add_biased(list, "vit.patch", h, p->channels * p->temporal * p->patch * p->patch, ACT_NONE);
    add_biased(list, "vit.qkv", 3 * h, h, ACT_NONE);
    add_biased(list, "vit.proj", h, h, ACT_NONE);
    add_biased(list, "vit.fc1", v->inner, h, ACT_GELU_TANH);
    add_biased(list, "vit.fc2", h, v->inner, ACT_NONE);
    add_biased(list, "vit.merge1", merged, merged, ACT_GELU_ERF);
    add_biased(list, "vit.merge2", v->out_hidden, merged, ACT_NONE);
}
