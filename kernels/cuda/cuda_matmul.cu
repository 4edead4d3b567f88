/* cuda_matmul.cu - weights into the layout of the GPU, and products with them: those of decode
 * passes by mma_gemv.cuh, others by cuBLASLt where it can, else by mma_gemm.cuh; what tensor cores
 * do not take is plain. */
#include "kernels/cuda/cuda_weight.cuh"
#include "kernels/cuda/mma_gemm.cuh"

/* ---- packing, on the host ---- */

size_t cuda_weight_block(const struct device *d, enum weight_format format, int cols)
{
    (void)d;
    return weight_layout_of(format, cols).bytes;
}

static void pack_int4(uint8_t *block, const struct weight_layout *l, const struct weight_rows *w)
{
    size_t groups = (size_t)weight_groups(w->cols);
    for (int o = 0; o < w->rows; o++)
        for (int k = 0; k < w->cols; k++) {
            const uint8_t *code = (const uint8_t *)w->value + (size_t)o * (size_t)w->cols + k;
            uint8_t *to = block + (size_t)o * l->row + k / 2;
            *to = (uint8_t)(*to | *code << k % 2 * 4);
        }
    memcpy(block + l->scale, w->scale, (size_t)w->rows * groups * sizeof(uint16_t));
    memcpy(block + l->zero, w->zero, (size_t)w->rows * groups);
}

void cuda_weight_pack(const struct device *d, void *block, const struct weight_rows *w)
{
    struct weight_layout l = weight_layout_of(w->format, w->cols);
    (void)d;
    memset(block, 0, l.bytes);
    if (w->format == WEIGHT_INT4) {
        pack_int4((uint8_t *)block, &l, w);
        return;
    }
    memcpy(block, w->value, (size_t)w->rows * l.row);
    if (w->format == WEIGHT_INT8)
        memcpy((uint8_t *)block + l.scale, w->scale, (size_t)w->rows * sizeof(float));
    if (w->format == WEIGHT_FP8)
        memcpy((uint8_t *)block + l.scale, w->scale,
               (size_t)(w->rows * weight_fp8_groups(w->cols)) * sizeof(float));
}

/* ---- products ---- */

enum { OUTPUTS = 128, ROWS = 8 }; /* of a block: an output a thread, that many rows each */

struct operands {
    struct mat y, x;
    struct weight w;
    const float *bias; /* or NULL */
    enum act act;
};

/* How many inputs are summed by themselves before the sum is added to the total: a group where it
 * has a scale of its own, else enough that rounding errors of long sums stay small. */
template <int FORMAT> struct chunk_of {
    enum {
        HAS_SCALE = FORMAT == WEIGHT_INT4 || FORMAT == WEIGHT_FP8,
        INPUTS = FORMAT == WEIGHT_INT4  ? WEIGHT_GROUP
                 : FORMAT == WEIGHT_FP8 ? WEIGHT_FP8_GROUP
                                        : 256
    };
};

DEVICE float input_at(const float *x, int k)
{
    return x[k];
}

DEVICE float input_at(const uint16_t *x, int k)
{
    return bf16_float(x[k]);
}

/* Output o of rows [first, first + ROWS): inputs ascend within a chunk, chunks ascend, and products
 * and sums are rounded one by one. Nothing depends on the other rows or outputs; rows past the end
 * are the last one again. X is the format of x. */
template <int FORMAT, class X>
__global__ void __launch_bounds__(OUTPUTS) multiply(struct operands a)
{
    int o = (int)(blockIdx.y * OUTPUTS + threadIdx.x), first = (int)blockIdx.x * ROWS;
    int last = a.x.rows - 1, inputs = a.w.cols;
    if (o >= a.w.rows) return;
    struct weight_row w = weight_row_of(a.w, o);
    const X *x[ROWS];
    float total[ROWS], sum[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++)
    {
        x[r] = (const X *)a.x.data + element_of(a.x, first + r < last ? first + r : last, 0);
        total[r] = 0;
    }
    for (int begin = 0, end; begin < inputs; begin = end) {
        end = begin + chunk_of<FORMAT>::INPUTS;
        end = end < inputs ? end : inputs;
        UNROLL for (int r = 0; r < ROWS; r++) sum[r] = 0;
        for (int k = begin; k < end; k++) {
            float value = weight_at<FORMAT>(w, k);
            UNROLL for (int r = 0; r < ROWS; r++) sum[r] += input_at(x[r], k) * value;
        }
        float scale = chunk_of<FORMAT>::HAS_SCALE ? weight_scale<FORMAT>(w, begin) : 1.0f;
        UNROLL for (int r = 0; r < ROWS; r++) total[r] += sum[r] * scale;
    }
    float scale = FORMAT == WEIGHT_INT8 ? weight_scale<FORMAT>(w, 0) : 1.0f;
    UNROLL for (int r = 0; r < ROWS; r++)
    {
        float v = total[r] * scale;
        if (first + r > last) break;
        mat_store(a.y, first + r, o, activated(a.bias ? v + a.bias[o] : v, a.act));
    }
}

typedef void (*multiply_fn)(struct operands);

template <class X> static multiply_fn multiply_of(enum weight_format format)
{
    switch (format) {
    case WEIGHT_F32:
        return multiply<WEIGHT_F32, X>;
    case WEIGHT_BF16:
        return multiply<WEIGHT_BF16, X>;
    case WEIGHT_F16:
        return multiply<WEIGHT_F16, X>;
    case WEIGHT_INT8:
        return multiply<WEIGHT_INT8, X>;
    case WEIGHT_FP8:
        return multiply<WEIGHT_FP8, X>;
    default:
        return multiply<WEIGHT_INT4, X>;
    }
}

static struct operands operands_of(const struct products *list, int i)
{
    const struct product *p = &list->of[i];
    return {p->y, list->x, p->w, (const float *)p->bias.data, list->act};
}

static struct mma::gemv gemv_of(const struct operands *p)
{
    struct weight_layout l = weight_layout_of(p->w.format, p->w.cols);
    return {p->y, p->x, p->w, p->bias, false, l.bytes, l.scale, l.zero};
}

/* Products from the first one on that are made together, and how many these are; 0, whatever the
 * number of rows, where the first one's operands are not taken. */
static int gather_decoded(const struct products *p, int first, struct mma::gemv *all)
{
    int n = 0;
    for (; p->act == ACT_NONE && first + n < p->n; n++) {
        struct operands a = operands_of(p, first + n);
        all[n] = gemv_of(&a);
        all[n].adds = p->of[first + n].delta.data != nullptr;
        all[n].x.rows = 1;
        if (!mma::takes_gemv(&all[n]) || all[n].w.format != all[0].w.format) break;
    }
    return n;
}

/* Sixteen rows at a time. Returns how many products were made. */
static int multiply_decoded(struct queue *q, const struct products *p, int first)
{
    struct mma::gemv all[PRODUCTS_MOST];
    int made = gather_decoded(p, first, all), rows = p->x.rows;
    for (int row = 0; made && row < rows; row += mma::MOST_ROWS) {
        int n = rows - row < mma::MOST_ROWS ? rows - row : mma::MOST_ROWS;
        for (int i = 0; i < made; i++) {
            all[i].x = mat_rows(p->x, row, n);
            all[i].y = mat_rows(p->of[first + i].y, row, n);
        }
        if (cuda_may_launch(q, "matmul"))
            cuda_note(q, "matmul", mma::enqueue_gemv(cuda_line(q), all, made));
    }
    return made;
}

/* Returns false, whatever the number of rows, where it does not take the operands. */
static bool multiply_tiles(struct queue *q, const struct operands *p)
{
    struct mma::gemm a = {gemv_of(p), p->act};
    if (!mma::takes_gemm(&a)) return false;
    if (cuda_may_launch(q, "matmul")) cuda_note(q, "matmul", mma::enqueue_gemm(cuda_line(q), a));
    return true;
}

/* What is added is made by itself first. */
static void multiply_one(struct queue *q, const struct products *p, int i)
{
    const struct product *one = &p->of[i];
    struct operands a = operands_of(p, i);
    dim3 grid((unsigned)((a.x.rows - 1) / ROWS + 1), (unsigned)((a.w.rows - 1) / OUTPUTS + 1));
    if (p->act == ACT_NONE && cuda_multiply_planned(q, p->x, one)) return;
    if (one->delta.data) a.y = one->delta;
    if (!multiply_tiles(q, &a))
        cuda_launch(q, "matmul",
                    a.x.dtype == DT_F32 ? multiply_of<float>(a.w.format)
                                        : multiply_of<uint16_t>(a.w.format),
                    grid, OUTPUTS, a);
    if (one->delta.data) cuda_add(q, one->y, one->delta, ints{});
}

void cuda_matmul(struct queue *q, const struct products *p)
{
    if (p->x.rows == 0) return;
    for (int i = 0, made; i < p->n; i += made) {
        made = q->decode ? multiply_decoded(q, p, i) : 0;
        if (made) continue;
        multiply_one(q, p, i);
        made = 1;
    }
}
