/* cuda_heads.cu - queries and keys behind their product, in one launch: normalised, rounded, kept,
 * turned and put into their slots.
 *
 * A head has 8, 16 or 32 lanes, by its width alone. A lane has four neighbouring values of its
 * lower half and the four that they are turned with, so it reads and writes them once; it writes
 * what it read, so out may be x. */
#include "kernels/cuda/cuda_quad.cuh"
#include "kernels/cuda/cuda_quant.cuh"

struct heading { /* as in struct heads */
    struct mat x, cos_sin, kept, out;
    const float *norm;
    const int32_t *kept_row, *slot; /* slot NULL: row i goes to row i */
    int heads, dim, lanes;          /* lanes of a head */
    float eps;
};

struct half_head {
    struct quad lo, hi;
};

/* Where a lane is; n is how many of its values there are in each half, 0: none. */
struct spot {
    int row, head, e, n;
};

DEVICE struct spot spot_of(const struct heading &a)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x) / a.lanes;
    struct spot p = {i / a.heads, i % a.heads, (int)threadIdx.x % a.lanes * QUAD, 0};
    if (p.row < a.x.rows && p.e < a.dim / 2) p.n = quad_values(a.dim / 2, p.e);
    return p;
}

template <bool WIDE>
DEVICE struct half_head load_halves(struct mat m, int row, int col, int half, int n)
{
    struct half_head h = {quad_load<WIDE>(m, row, col, n), quad_load<WIDE>(m, row, col + half, n)};
    return h;
}

template <bool WIDE>
DEVICE void store_halves(struct mat m, int row, int col, int half, int n, struct half_head h)
{
    quad_store<WIDE>(m, row, col, n, h.lo);
    quad_store<WIDE>(m, row, col + half, n, h.hi);
}

DEVICE float squares(struct quad v) /* there are zeros behind the last value */
{
    float sum = 0;
    UNROLL for (int i = 0; i < QUAD; i++) sum += v.at[i] * v.at[i];
    return sum;
}

DEVICE struct quad normalised(struct quad v, struct quad by, float scale, bool rounds)
{
    UNROLL for (int i = 0; i < QUAD; i++)
    {
        v.at[i] = v.at[i] * scale * by.at[i];
        if (rounds) v.at[i] = bf16_float(float_bf16(v.at[i]));
    }
    return v;
}

DEVICE uint32_t most_of(struct quad v)
{
    uint32_t most = 0;
    UNROLL for (int i = 0; i < QUAD; i++)
    {
        uint32_t bits = magnitude_of(v.at[i]);
        most = bits > most ? bits : most;
    }
    return most;
}

/* To be called by whole warps. */
DEVICE void keep_quantized(const struct heading &a, const struct spot &p, int to,
                           const struct half_head &h)
{
    uint32_t most = most_of(h.lo), other = most_of(h.hi);
    most = other > most ? other : most;
    for (int lanes = a.lanes / 2; lanes; lanes /= 2) {
        other = __float_as_uint(ptx::shfl_xor(__uint_as_float(most), lanes));
        most = other > most ? other : most;
    }
    if (to < 0) return;
    struct quantized_run run = quantized_run_of(a.kept, a.heads * a.dim, a.heads, to, p.head);
    float scale = scale_for(most);
    double factor = factor_for(scale);
    if (p.e == 0) store_scale(run, scale);
    UNROLL for (int i = 0; i < QUAD; i++) if (i < p.n)
    {
        run.code[p.e + i] = code_for(h.lo.at[i], factor);
        run.code[p.e + a.dim / 2 + i] = code_for(h.hi.at[i], factor);
    }
}

template <bool WIDE, bool QUANTIZED>
__global__ void __launch_bounds__(WARPS *LANES) place_heads(struct heading a)
{
    struct spot p = spot_of(a);
    int half = a.dim / 2, col = p.head * a.dim + p.e;
    struct mat norm = {(void *)(uintptr_t)a.norm, DT_F32, 1, a.dim, a.dim};
    struct half_head v = {}, by = {};
    if (p.n) {
        v = load_halves<WIDE>(a.x, p.row, col, half, p.n);
        by = load_halves<WIDE>(norm, 0, p.e, half, p.n);
    }
    float sum = squares(v.lo) + squares(v.hi);
    for (int lanes = a.lanes / 2; lanes; lanes /= 2)
        sum += ptx::shfl_xor(sum, lanes);
    float scale = 1.0f / sqrtf(sum / (float)a.dim + a.eps);
    v.lo = normalised(v.lo, by.lo, scale, a.out.dtype == DT_BF16);
    v.hi = normalised(v.hi, by.hi, scale, a.out.dtype == DT_BF16);
    int kept = a.kept.data && p.n ? a.kept_row[p.row] : -1;
    if (QUANTIZED)
        keep_quantized(a, p, kept, v);
    else if (kept >= 0)
        store_halves<WIDE>(a.kept, kept, col, half, p.n, v);
    int to = !p.n ? -1 : a.slot ? a.slot[p.row] : p.row;
    if (to < 0) return;
    struct half_head turn = load_halves<WIDE>(a.cos_sin, p.row, p.e, half, p.n);
    struct half_head y = {turned(v.lo, v.hi, turn.lo, turn.hi, -1),
                          turned(v.hi, v.lo, turn.lo, turn.hi, 1)};
    store_halves<WIDE>(a.out, to, col, half, p.n, y);
}

static int lanes_of(int dim)
{
    int quads = quads_of(dim / 2);
    return quads <= 8 ? 8 : quads <= 16 ? 16 : 32;
}

/* Where keys are kept in four bits: groups are not lanes. */
static void heads_by_steps(struct queue *q, const struct heads *h)
{
    struct mat turned = h->slot.n ? h->raw : h->out;
    cuda_rmsnorm(q, h->raw, h->x, h->norm, h->eps);
    cuda_quantize(q, h->packed, h->raw, h->heads);
    cuda_scatter(q, h->kept, h->kept_row, h->packed);
    cuda_rope(q, turned, h->raw, h->heads, h->cos_sin);
    if (h->slot.n) cuda_scatter(q, h->out, h->slot, turned);
}

void cuda_heads(struct queue *q, const struct heads *h)
{
    int dim = h->x.cols / h->heads, lanes = lanes_of(dim), share = WARPS * LANES / lanes;
    bool is_quantized = h->kept.data && h->kept.dtype == DT_ROW_INT8;
    bool wide = on_16(h->x) && on_16(h->cos_sin) && on_16(h->out) && dim / 2 % QUAD == 0 &&
                (uintptr_t)h->norm.data % 16 == 0 && (is_quantized || on_16(h->kept));
    struct heading a = {h->x,
                        h->cos_sin,
                        h->kept,
                        h->out,
                        (const float *)h->norm.data,
                        h->kept_row.at,
                        h->slot.n ? h->slot.at : nullptr,
                        h->heads,
                        dim,
                        lanes,
                        h->eps};
    dim3 grid((unsigned)((h->x.rows * h->heads + share - 1) / share));
    if (h->x.rows == 0) return;
    if (h->kept.data && h->kept.dtype == DT_ROW_INT4)
        heads_by_steps(q, h);
    else if (wide)
        cuda_launch(q, "heads", is_quantized ? place_heads<true, true> : place_heads<true, false>,
                    grid, WARPS * LANES, a);
    else
        cuda_launch(q, "heads", is_quantized ? place_heads<false, true> : place_heads<false, false>,
                    grid, WARPS * LANES, a);
}
