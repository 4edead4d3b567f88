/* backend.c - shapes are asserted here, once, before an operation reaches a device. */
#include "kernels/backend.h"

#include "kernels/cpu/cpu.h"

vlqa_status backend_create(struct env *env, enum vlqa_cpu cpu, struct backend **out)
{
    return cpu_create(env, cpu, out);
}

void backend_free(struct backend *be)
{
    if (be) be->op->destroy(be);
}

const char *backend_name(const struct backend *be)
{
    return be->op->name;
}

static int shape_ok(struct mat m)
{
    return m.rows >= 0 && m.cols > 0 && m.stride >= m.cols && (m.data || m.rows == 0);
}

static int same_shape(struct mat a, struct mat b)
{
    return shape_ok(a) && shape_ok(b) && a.rows == b.rows && a.cols == b.cols;
}

static int is_float(struct mat m) /* what activations are kept in */
{
    return m.dtype == DT_F32 || m.dtype == DT_BF16;
}

static int rows_exist(const int32_t *index, int n, int rows)
{
    for (int i = 0; i < n; i++)
        if (index[i] >= rows) return 0;
    return 1;
}

static int converts(struct mat dst, struct mat src)
{
    return dst.dtype == src.dtype || (is_float(dst) && src.dtype != DT_I8);
}

void k_gather(struct backend *be, struct mat dst, struct mat src, const int32_t *index)
{
    assert(shape_ok(dst) && shape_ok(src) && dst.cols == src.cols);
    assert(converts(dst, src));
    assert(rows_exist(index, dst.rows, src.rows));
    be->op->gather(be, dst, src, index);
}

void k_scatter(struct backend *be, struct mat dst, const int32_t *index, struct mat src)
{
    assert(shape_ok(dst) && shape_ok(src) && dst.cols == src.cols);
    assert(converts(dst, src));
    assert(rows_exist(index, src.rows, dst.rows));
    be->op->scatter(be, dst, index, src);
}

void k_add(struct backend *be, struct mat dst, struct mat src, const int32_t *src_index)
{
    assert(shape_ok(dst) && shape_ok(src) && dst.cols == src.cols);
    assert(dst.dtype == DT_F32 && is_float(src));
    assert(src_index ? rows_exist(src_index, dst.rows, src.rows) : dst.rows == src.rows);
    be->op->add(be, dst, src, src_index);
}

void k_matmul(struct backend *be, struct mat y, struct mat x, struct mat w, const float *bias,
              enum act act)
{
    assert(shape_ok(y) && shape_ok(x) && shape_ok(w));
    assert(y.rows == x.rows && y.cols == w.rows && x.cols == w.cols);
    assert(is_float(y) && (x.dtype == DT_F32 || (x.dtype == DT_BF16 && w.dtype == DT_BF16)));
    be->op->matmul(be, y, x, w, bias, act);
}

void k_rmsnorm(struct backend *be, struct mat y, struct mat x, const float *w, int w_n, float eps)
{
    assert(same_shape(y, x) && x.dtype == DT_F32 && is_float(y));
    assert(w_n > 0 && x.cols % w_n == 0);
    be->op->rmsnorm(be, y, x, w, w_n, eps);
}

void k_layernorm(struct backend *be, struct mat y, struct mat x, const float *w, const float *b,
                 float eps)
{
    assert(same_shape(y, x) && x.dtype == DT_F32 && is_float(y));
    be->op->layernorm(be, y, x, w, b, eps);
}

void k_rope(struct backend *be, struct mat y, struct mat x, int heads, struct mat cos_sin)
{
    assert(same_shape(y, x) && is_float(x) && is_float(y));
    assert(heads > 0 && x.cols % (2 * heads) == 0);
    assert(shape_ok(cos_sin) && cos_sin.dtype == DT_F32);
    assert(cos_sin.rows == x.rows && cos_sin.cols == x.cols / heads);
    be->op->rope(be, y, x, heads, cos_sin);
}

void k_swiglu(struct backend *be, struct mat y, struct mat gate_up)
{
    assert(shape_ok(y) && shape_ok(gate_up) && is_float(y) && gate_up.dtype == DT_F32);
    assert(y.rows == gate_up.rows && 2 * y.cols == gate_up.cols);
    be->op->swiglu(be, y, gate_up);
}

static int span_ok(struct span s, int slots)
{
    int has_tail = s.tail_end > s.tail_begin;
    if (s.head_end < 0 || s.head_end > slots) return 0;
    if (!has_tail) return s.head_end > 0;
    return s.tail_begin >= s.head_end && s.tail_end <= slots;
}

void k_attention(struct backend *be, const struct attn *a)
{
    int dim = a->q.cols / a->heads;
    assert(same_shape(a->q, a->out) && same_shape(a->k, a->v) && a->k.dtype == a->v.dtype);
    assert(a->q.dtype == DT_F32 && is_float(a->out) && is_float(a->k));
    assert(a->kv_heads > 0 && a->heads % a->kv_heads == 0);
    assert(a->heads / a->kv_heads <= ATTN_MAX_GROUP && dim <= ATTN_MAX_DIM);
    assert(a->q.cols == a->heads * dim && a->k.cols == a->kv_heads * dim);
    for (int i = 0; i < a->q.rows; i++)
        assert(span_ok(a->span[i], a->k.rows));
    be->op->attention(be, a);
}

size_t k_score_work(int n, int heads)
{
    return (size_t)n * (size_t)heads * 2 * sizeof(float);
}

void k_score(struct backend *be, const struct score *s)
{
    int dim = s->q.cols / s->heads;
    assert(same_shape(s->k, s->v) && s->k.dtype == s->v.dtype && s->q.dtype == DT_F32);
    assert(s->kv_heads > 0 && s->heads % s->kv_heads == 0 && dim <= ATTN_MAX_DIM);
    assert(s->q.cols == s->heads * dim && s->k.cols == s->kv_heads * dim);
    assert(s->out.dtype == DT_F32 && s->out.rows == 1 && s->out.cols == s->k.rows && s->work);
    for (int i = 0; i < s->q.rows; i++)
        assert(span_ok(s->span[i], s->k.rows));
    be->op->score(be, s);
}

void k_code(struct backend *be, struct mat dst, struct mat src, int heads)
{
    struct mat packed = dst.dtype == DT_I8 ? dst : src, plain = dst.dtype == DT_I8 ? src : dst;
    assert(shape_ok(packed) && shape_ok(plain) && packed.rows == plain.rows);
    assert(packed.dtype == DT_I8 && is_float(plain));
    assert(heads > 0 && plain.cols % heads == 0);
    assert(packed.cols == packed_cols(plain.cols, heads));
    be->op->code(be, dst, src, heads);
}
