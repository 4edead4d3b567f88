/* ops.c - shapes are asserted here, once, before an operation reaches a device. */
#include "kernels/backend.h"

static int shape_ok(struct mat m)
{
    return m.rows >= 0 && m.cols > 0 && m.stride >= m.cols && (m.data || m.rows == 0);
}

static int weight_ok(struct weight w)
{
    return w.rows > 0 && w.cols > 0 && w.data;
}

static int same_shape(struct mat a, struct mat b)
{
    return shape_ok(a) && shape_ok(b) && a.rows == b.rows && a.cols == b.cols;
}

static int is_float(struct mat m) /* what activations are kept in */
{
    return m.dtype == DT_F32 || m.dtype == DT_BF16;
}

static int is_vector(struct mat m, int n) /* norms, biases */
{
    return shape_ok(m) && m.dtype == DT_F32 && m.rows == 1 && m.cols == n;
}

static int multiplies(struct mat x, struct weight w)
{
    return x.dtype == DT_F32 ||
           (x.dtype == DT_BF16 && w.format != WEIGHT_F32 && w.format != WEIGHT_F16);
}

static int rows_exist(struct ints index, int n, int rows)
{
    if (index.n != n) return 0;
    for (int i = 0; i < n; i++)
        if (index.host[i] >= rows) return 0;
    return 1;
}

static int converts(struct mat dst, struct mat src)
{
    return dst.dtype == src.dtype || (is_float(dst) && !dtype_is_quantised(src.dtype));
}

int k_weight_held(const struct device *d, enum weight_format format)
{
    return d->op->weight_block(d, format, 1) > 0;
}

size_t k_weight_block(const struct device *d, enum weight_format format, int cols)
{
    assert(cols > 0);
    return d->op->weight_block(d, format, cols);
}

void k_weight_pack(const struct device *d, void *block, const struct weight_rows *rows)
{
    assert(rows->rows > 0 && rows->rows <= WEIGHT_BLOCK && rows->cols > 0 && rows->value);
    assert((rows->format > WEIGHT_F16) == !!rows->scale);
    assert((rows->format == WEIGHT_INT4) == !!rows->zero);
    d->op->weight_pack(d, block, rows);
}

size_t k_weight_bytes(const struct device *d, struct weight w)
{
    size_t blocks = (size_t)((w.rows + WEIGHT_BLOCK - 1) / WEIGHT_BLOCK);
    return blocks * k_weight_block(d, w.format, w.cols);
}

struct weight k_weight_rows(const struct device *d, struct weight w, int begin, int n)
{
    assert(begin % WEIGHT_BLOCK == 0 && begin >= 0 && n >= 0 && begin + n <= w.rows);
    w.data = (char *)w.data + (size_t)(begin / WEIGHT_BLOCK) * k_weight_block(d, w.format, w.cols);
    w.rows = n;
    return w;
}

int k_random(struct queue *q, struct weight w, uint64_t seed, float scale)
{
    assert(weight_ok(w) && w.format == WEIGHT_BF16);
    if (!q->op->random) return 0;
    q->op->random(q, w, seed, scale);
    return 1;
}

void k_gather(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    assert(shape_ok(dst) && shape_ok(src) && dst.cols == src.cols);
    assert(converts(dst, src));
    assert(rows_exist(index, dst.rows, src.rows));
    q->op->gather(q, dst, src, index);
}

void k_scatter(struct queue *q, struct mat dst, struct ints index, struct mat src)
{
    assert(shape_ok(dst) && shape_ok(src) && dst.cols == src.cols);
    assert(converts(dst, src));
    assert(rows_exist(index, src.rows, dst.rows));
    q->op->scatter(q, dst, index, src);
}

void k_embed(struct queue *q, struct mat dst, struct weight src, struct ints index)
{
    assert(shape_ok(dst) && weight_ok(src) && is_float(dst) && dst.cols == src.cols);
    assert(rows_exist(index, dst.rows, src.rows));
    q->op->embed(q, dst, src, index);
}

void k_add(struct queue *q, struct mat dst, struct mat src)
{
    assert(same_shape(dst, src) && dst.dtype == DT_F32 && is_float(src));
    q->op->add(q, dst, src, (struct ints){0});
}

void k_add_rows(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    assert(shape_ok(dst) && shape_ok(src) && dst.cols == src.cols);
    assert(dst.dtype == DT_F32 && is_float(src));
    assert(rows_exist(index, dst.rows, src.rows));
    q->op->add(q, dst, src, index);
}

/* No element is in both: of other memory, or columns beside each other in rows of one matrix. */
static int apart(struct mat a, struct mat b)
{
    uintptr_t at = (uintptr_t)a.data, to = (uintptr_t)b.data;
    size_t step = mat_bytes(a.dtype, 1, a.stride), ahead;
    if (a.rows == 0 || b.rows == 0 || !a.data || !b.data) return 1;
    if (at > to) return apart(b, a);
    if ((uintptr_t)mat_at(a, a.rows - 1, a.cols) <= to) return 1;
    ahead = (to - at) % step;
    return step == mat_bytes(b.dtype, 1, b.stride) && ahead >= mat_bytes(a.dtype, 1, a.cols) &&
           ahead + mat_bytes(b.dtype, 1, b.cols) <= step;
}

static int product_ok(const struct product *p, const struct products *list)
{
    struct mat x = list->x;
    if (!shape_ok(p->y) || !weight_ok(p->w) || !is_float(p->y) || !multiplies(x, p->w)) return 0;
    if (p->y.rows != x.rows || p->y.cols != p->w.rows || x.cols != p->w.cols) return 0;
    if (p->bias.data && !is_vector(p->bias, p->w.rows)) return 0;
    if (!apart(p->y, x) || !apart(p->delta, x)) return 0;
    return !p->delta.data || (same_shape(p->delta, p->y) && p->y.dtype == DT_F32 &&
                              p->delta.dtype == DT_F32 && list->act == ACT_NONE);
}

/* Nothing that is written is written twice, room included. */
static int written_apart(const struct products *p)
{
    struct mat written[2 * PRODUCTS_MOST];
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        written[n++] = p->of[i].y;
        written[n++] = p->of[i].delta;
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            if (!apart(written[i], written[k])) return 0;
    return 1;
}

void k_products(struct queue *q, const struct products *p)
{
    assert(p->n >= 1 && p->n <= PRODUCTS_MOST && shape_ok(p->x));
    for (int i = 0; i < p->n; i++)
        assert(product_ok(&p->of[i], p));
    assert(written_apart(p));
    q->op->matmul(q, p);
}

void k_matmul(struct queue *q, struct mat y, struct mat x, struct weight w, struct mat bias,
              enum act act)
{
    struct products p = {.x = x, .n = 1, .of = {{.y = y, .w = w, .bias = bias}}, .act = act};
    k_products(q, &p);
}

void k_matmul_add(struct queue *q, struct mat y, struct mat x, struct weight w, struct mat bias,
                  struct mat delta)
{
    struct products p = {.x = x, .n = 1, .of = {{y, w, bias, delta}}};
    assert(y.rows == 0 || delta.data);
    k_products(q, &p);
}

void k_rmsnorm(struct queue *q, struct mat y, struct mat x, struct mat w, float eps)
{
    assert(same_shape(y, x) && x.dtype == DT_F32 && is_float(y));
    assert(is_vector(w, w.cols) && x.cols % w.cols == 0);
    q->op->rmsnorm(q, y, x, w, eps);
}

void k_layernorm(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b, float eps)
{
    assert(same_shape(y, x) && x.dtype == DT_F32 && is_float(y));
    assert(is_vector(w, x.cols) && is_vector(b, x.cols));
    q->op->layernorm(q, y, x, w, b, eps);
}

void k_angles(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse)
{
    assert(shape_ok(cos_sin) && cos_sin.dtype == DT_F32);
    assert(shape_ok(inverse) && inverse.dtype == DT_F32 && inverse.stride == inverse.cols);
    assert(cos_sin.cols == 2 * inverse.cols && at.n == cos_sin.rows * inverse.rows);
    q->op->angles(q, cos_sin, at, inverse);
}

void k_rope(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin)
{
    assert(same_shape(y, x) && is_float(x) && is_float(y));
    assert(heads > 0 && x.cols % (2 * heads) == 0);
    assert(shape_ok(cos_sin) && cos_sin.dtype == DT_F32);
    assert(cos_sin.rows == x.rows && cos_sin.cols == x.cols / heads);
    q->op->rope(q, y, x, heads, cos_sin);
}

void k_blend(struct queue *q, struct mat dst, struct mat src, struct ints index, struct mat part)
{
    assert(shape_ok(dst) && dst.dtype == DT_F32 && shape_ok(src) && dst.cols == src.cols);
    assert(!dtype_is_quantised(src.dtype));
    assert(shape_ok(part) && part.dtype == DT_F32 && part.rows == dst.rows);
    assert(rows_exist(index, dst.rows * part.cols, src.rows));
    q->op->blend(q, dst, src, index, part);
}

void k_swiglu(struct queue *q, struct mat y, struct mat gate_up)
{
    assert(shape_ok(y) && shape_ok(gate_up) && is_float(y) && gate_up.dtype == DT_F32);
    assert(y.rows == gate_up.rows && 2 * y.cols == gate_up.cols);
    q->op->swiglu(q, y, gate_up);
}

static int span_ok(struct span s, int slots)
{
    int has_tail = s.tail_end > s.tail_begin;
    if (s.head_end < 0 || s.head_end > slots) return 0;
    if (!has_tail) return s.head_end > 0;
    return s.tail_begin >= s.head_end && s.tail_end <= slots;
}

static int spans_ok(struct spans span, int n, int slots)
{
    if (span.n != n) return 0;
    for (int i = 0; i < n; i++)
        if (!span_ok(span.host[i], slots)) return 0;
    return 1;
}

void k_attention(struct queue *q, const struct attn *a)
{
    int dim = a->q.cols / a->heads;
    assert(same_shape(a->q, a->out) && same_shape(a->k, a->v) && a->k.dtype == a->v.dtype);
    assert(a->q.dtype == DT_F32 && is_float(a->out) && is_float(a->k));
    assert(a->kv_heads > 0 && a->heads % a->kv_heads == 0);
    assert(a->heads / a->kv_heads <= ATTN_MAX_GROUP && dim <= ATTN_MAX_DIM);
    assert(a->q.cols == a->heads * dim && a->k.cols == a->kv_heads * dim);
    assert(spans_ok(a->span, a->q.rows, a->k.rows));
    (void)dim; /* without asserts */
    q->op->attention(q, a);
}

size_t k_attention_work(const struct device *d, int n, int heads, int kv_heads, int dim, int slots)
{
    return d->op->attention_work(d, n, heads, kv_heads, dim, slots);
}

void k_score(struct queue *q, const struct score *s)
{
    int dim = s->q.cols / s->heads;
    assert(same_shape(s->k, s->v) && s->k.dtype == s->v.dtype && s->q.dtype == DT_F32);
    assert(s->kv_heads > 0 && s->heads % s->kv_heads == 0 && dim <= ATTN_MAX_DIM);
    assert(s->q.cols == s->heads * dim && s->k.cols == s->kv_heads * dim);
    assert(s->out.dtype == DT_F32 && s->out.rows == 1 && s->out.cols == s->k.rows && s->work);
    assert(spans_ok(s->span, s->q.rows, s->k.rows));
    (void)dim;
    q->op->score(q, s);
}

size_t k_score_work(const struct device *d, int n, int heads, int slots)
{
    return d->op->score_work(d, n, heads, slots);
}

void k_entropy(struct queue *q, struct mat out, struct mat logits, int top)
{
    assert(shape_ok(out) && out.dtype == DT_F32 && out.cols == 1);
    assert(shape_ok(logits) && logits.dtype == DT_F32 && logits.rows == out.rows);
    assert(top >= 1 && top <= ENTROPY_MOST);
    q->op->entropy(q, out, logits, top);
}

void k_cosine_distance(struct queue *q, struct mat out, struct mat a, struct mat b)
{
    assert(shape_ok(out) && out.dtype == DT_F32 && out.cols == 1 && out.rows == a.rows);
    assert(same_shape(a, b) && a.dtype == DT_F32 && b.dtype == DT_F32);
    q->op->cosine_distance(q, out, a, b);
}

static int quantizes(struct mat quantized, struct mat plain, int heads)
{
    return shape_ok(quantized) && shape_ok(plain) && quantized.rows == plain.rows &&
           dtype_is_quantised(quantized.dtype) && is_float(plain) && heads > 0 &&
           plain.cols % heads == 0 &&
           quantized.cols == row_cols(quantized.dtype, plain.cols, heads);
}

static int keeps(const struct heads *h)
{
    if (!h->kept.data) return 1;
    if (!shape_ok(h->kept) || !rows_exist(h->kept_row, h->x.rows, h->kept.rows)) return 0;
    if (is_float(h->kept)) return h->kept.cols == h->x.cols;
    return quantizes(h->packed, h->raw, h->heads) && h->kept.dtype == h->packed.dtype &&
           h->kept.cols == h->packed.cols;
}

void k_heads(struct queue *q, const struct heads *h)
{
    int dim = h->x.cols / h->heads;
    assert(same_shape(h->raw, h->x) && h->x.dtype == DT_F32 && h->raw.dtype == h->out.dtype);
    assert(h->x.cols == h->heads * dim && dim % 2 == 0 && dim <= ATTN_MAX_DIM);
    assert(is_vector(h->norm, dim) && shape_ok(h->cos_sin) && h->cos_sin.dtype == DT_F32);
    assert(h->cos_sin.rows == h->x.rows && h->cos_sin.cols == dim);
    assert(shape_ok(h->out) && is_float(h->out) && h->out.cols == h->x.cols && keeps(h));
    assert(h->slot.n ? rows_exist(h->slot, h->x.rows, h->out.rows) : h->out.rows == h->x.rows);
    (void)dim;
    q->op->heads(q, h);
}

void k_quantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    assert(quantizes(dst, src, heads));
    q->op->quantize(q, dst, src, heads);
}

void k_dequantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    assert(quantizes(src, dst, heads));
    q->op->dequantize(q, dst, src, heads);
}

/* Of all layers, as they are alike. */
static int places(struct layers from, struct layers to, const struct place *p)
{
    struct mat a = from.first, b = to.first;
    return shape_ok(a) && shape_ok(b) && is_float(b) && a.rows == p->slot.n &&
           a.cols == row_cols(a.dtype, b.cols, p->heads) &&
           (dtype_is_quantised(a.dtype) || is_float(a));
}

void k_place(struct queue *q, const struct place *p)
{
    assert(p->n_layers > 0 && p->heads > 0 && p->to_k.first.cols % (2 * p->heads) == 0);
    assert(places(p->k, p->to_k, p) && places(p->v, p->to_v, p));
    assert(same_shape(p->to_k.first, p->to_v.first) && same_shape(p->k.first, p->v.first));
    assert(shape_ok(p->cos_sin) && p->cos_sin.dtype == DT_F32);
    assert(p->cos_sin.rows == p->slot.n && p->cos_sin.cols == p->to_k.first.cols / p->heads);
    assert(rows_exist(p->slot, p->k.first.rows, p->to_k.first.rows));
    q->op->place(q, p);
}

size_t k_place_work(const struct device *d, int n, int cols)
{
    return d->op->place_work(d, n, cols);
}
