/* cuda_place.cu - rows of a chunk into the KV cache, all layers in one launch: read, rotated,
 * written.
 *
 * blockIdx.y is twice the layer, plus one for V. A value is made as dequantize, rope and scatter
 * make it, so the bits are theirs. */
#include "kernels/cuda/cuda_quant.cuh"

DEVICE struct mat layer_of(struct layers l, unsigned layer)
{
    l.first.data = (uint8_t *)l.first.data + layer * l.step;
    return l.first;
}

/* Value `col` of a row that may be quantised, of cols values with a scale for each of heads. */
DEVICE float stored_value(struct mat m, int row, int col, int cols, int heads)
{
    if (m.dtype < DT_ROW_INT8) return mat_load(m, row, col);
    if (m.dtype == DT_ROW_INT4) {
        int run = cols / heads, in = col % run;
        int at = col / run * groups_of(run) + in / ROW_INT4_GROUP;
        return group_value(group_of(m, cols, heads, row, at), in % ROW_INT4_GROUP);
    }
    const uint8_t *at = (const uint8_t *)m.data + element_of(m, row, 0);
    return (float)(int8_t)at[col] * scale_at(at + cols + col / (cols / heads) * 4);
}

/* ---- anything: a warp a row of a matrix ---- */

DEVICE void place_value(struct mat to, int slot, int col, struct mat from, int row, int heads)
{
    if (from.dtype == DT_BF16 && to.dtype == DT_BF16)
        ((uint16_t *)to.data)[element_of(to, slot, col)] =
            ((const uint16_t *)from.data)[element_of(from, row, col)];
    else
        mat_store(to, slot, col, stored_value(from, row, col, to.cols, heads));
}

__global__ void __launch_bounds__(WARPS *LANES) place_rows(struct place p)
{
    unsigned layer = blockIdx.y / 2;
    int row = cuda_row(), half = p.cos_sin.cols / 2, slot;
    if (row >= p.slot.n || (slot = p.slot.at[row]) < 0) return;
    struct mat from = layer_of(blockIdx.y % 2 ? p.v : p.k, layer);
    struct mat to = layer_of(blockIdx.y % 2 ? p.to_v : p.to_k, layer);
    for (int i = cuda_lane(); i < p.heads * half; i += LANES) {
        int e = i % half, lo = i / half * 2 * half + e, hi = lo + half;
        if (blockIdx.y % 2) {
            place_value(to, slot, lo, from, row, p.heads);
            place_value(to, slot, hi, from, row, p.heads);
            continue;
        }
        float c = mat_load(p.cos_sin, row, e), s = mat_load(p.cos_sin, row, half + e);
        float u = stored_value(from, row, lo, to.cols, p.heads);
        float v = stored_value(from, row, hi, to.cols, p.heads);
        mat_store(to, slot, lo, u * c - v * s);
        mat_store(to, slot, hi, v * c + u * s);
    }
}

/* ---- bf16 out, aligned: a thread eight pairs (e, e + half), 16 bytes at a time ---- */

enum { PLACE_THREADS = 128 };

struct eight {
    float v[8];
};

DEVICE struct eight eight_floats(const float *at)
{
    const struct float4 *from = (const struct float4 *)at;
    struct float4 a = from[0], b = from[1];
    struct eight r = {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
    return r;
}

DEVICE void store_eight(struct mat to, int slot, int col, struct eight x)
{
    struct uint4 bits = {ptx::pack_bf16(x.v[0], x.v[1]), ptx::pack_bf16(x.v[2], x.v[3]),
                         ptx::pack_bf16(x.v[4], x.v[5]), ptx::pack_bf16(x.v[6], x.v[7])};
    *(struct uint4 *)((uint16_t *)to.data + element_of(to, slot, col)) = bits;
}

DEVICE const struct uint4 *bits_of(struct mat m, int row, int col)
{
    return (const struct uint4 *)((const uint16_t *)m.data + element_of(m, row, col));
}

template <bool CODES>
DEVICE struct eight stored_eight(struct mat m, int row, int col, int head, int cols)
{
    struct eight r;
    if (CODES) {
        const uint8_t *at = (const uint8_t *)m.data + element_of(m, row, 0);
        const uint32_t *code = (const uint32_t *)(at + col);
        float scale = *(const float *)(at + cols + 4 * head);
        UNROLL
        for (int i = 0; i < 8; i++)
            r.v[i] = (float)(int8_t)(code[i / 4] >> 8 * (i % 4)) * scale;
    } else {
        struct uint4 bits = *bits_of(m, row, col);
        const uint32_t two[4] = {bits.x, bits.y, bits.z, bits.w};
        UNROLL
        for (int i = 0; i < 8; i++)
            r.v[i] = bf16_float((uint16_t)(two[i / 2] >> 16 * (i % 2)));
    }
    return r;
}

template <bool CODES> __global__ void __launch_bounds__(PLACE_THREADS) place_pieces(struct place p)
{
    unsigned layer = blockIdx.y / 2;
    int half = p.cos_sin.cols / 2, pieces = half / 8;
    int i = (int)(blockIdx.x * PLACE_THREADS + threadIdx.x);
    int row = i / (p.heads * pieces), head = i / pieces % p.heads, e = i % pieces * 8;
    int lo = head * 2 * half + e, hi = lo + half, slot;
    if (row >= p.slot.n || (slot = p.slot.at[row]) < 0) return;
    struct mat from = layer_of(blockIdx.y % 2 ? p.v : p.k, layer);
    struct mat to = layer_of(blockIdx.y % 2 ? p.to_v : p.to_k, layer);
    if (blockIdx.y % 2 && !CODES) {
        *(struct uint4 *)((uint16_t *)to.data + element_of(to, slot, lo)) = *bits_of(from, row, lo);
        *(struct uint4 *)((uint16_t *)to.data + element_of(to, slot, hi)) = *bits_of(from, row, hi);
        return;
    }
    struct eight u = stored_eight<CODES>(from, row, lo, head, to.cols);
    struct eight v = stored_eight<CODES>(from, row, hi, head, to.cols);
    if (blockIdx.y % 2 == 0) {
        const float *angles = (const float *)p.cos_sin.data + element_of(p.cos_sin, row, e);
        struct eight c = eight_floats(angles), s = eight_floats(angles + half), x = u;
        UNROLL
        for (int j = 0; j < 8; j++) {
            u.v[j] = x.v[j] * c.v[j] - v.v[j] * s.v[j];
            v.v[j] = v.v[j] * c.v[j] + x.v[j] * s.v[j];
        }
    }
    store_eight(to, slot, lo, u);
    store_eight(to, slot, hi, v);
}

static bool aligned(struct layers l, size_t bytes)
{
    size_t row = mat_bytes(l.first.dtype, 1, l.first.stride);
    return ((uintptr_t)l.first.data | l.step | row) % bytes == 0;
}

static bool fits_pieces(const struct place *p)
{
    struct layers angles = {p->cos_sin, 0};
    enum dtype from = p->k.first.dtype;
    size_t bytes = from == DT_ROW_INT8 ? 4 : 16;
    return p->cos_sin.cols % 16 == 0 && (from == DT_ROW_INT8 || from == DT_BF16) &&
           p->v.first.dtype == from && p->to_k.first.dtype == DT_BF16 &&
           p->to_v.first.dtype == DT_BF16 && aligned(p->k, bytes) && aligned(p->v, bytes) &&
           aligned(p->to_k, 16) && aligned(p->to_v, 16) && aligned(angles, 16);
}

size_t cuda_place_work(const struct device *d, int n, int cols)
{
    (void)d, (void)n, (void)cols;
    return 0;
}

void cuda_place(struct queue *q, const struct place *p)
{
    int n = p->slot.n, pieces = p->heads * (p->cos_sin.cols / 16);
    unsigned layers = 2 * (unsigned)p->n_layers;
    if (n == 0) return;
    if (!fits_pieces(p)) {
        dim3 grid((unsigned)((n + WARPS - 1) / WARPS), layers);
        cuda_launch(q, "place", place_rows, grid, WARPS * LANES, *p);
        return;
    }
    dim3 grid((unsigned)((n * pieces - 1) / PLACE_THREADS + 1), layers);
    cuda_launch(q, "place", p->k.first.dtype == DT_BF16 ? place_pieces<false> : place_pieces<true>,
                grid, PLACE_THREADS, *p);
}
