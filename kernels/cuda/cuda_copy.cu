/* cuda_copy.cu - rows that are moved, converted, looked up, added and blended. */
#include "kernels/cuda/cuda_quad.cuh"
#include "kernels/cuda/cuda_quant.cuh"
#include "kernels/cuda/cuda_weight.cuh"

/* Row i of src[from[i]] to dst[to[i]]; either NULL: row i. A negative number skips the row. */
struct rows_of {
    struct mat dst, src;
    const int32_t *to, *from;
};

DEVICE int row_at(const int32_t *index, int row)
{
    return index ? index[row] : row;
}

/* Bytes as they are, a T a thread. */
template <class T>
__global__ void __launch_bounds__(MOST_THREADS) copy_rows(struct rows_of a, struct cut cut)
{
    int piece = cut_piece(cut);
    if (piece >= cut.pieces) return;
    int to = row_at(a.to, cut_row(cut)), from = row_at(a.from, cut_row(cut));
    size_t size = dtype_bytes(a.dst.dtype), at = (size_t)piece * sizeof(T);
    if (to < 0 || from < 0) return;
    const uint8_t *src = (const uint8_t *)a.src.data + element_of(a.src, from, 0) * size;
    uint8_t *dst = (uint8_t *)a.dst.data + element_of(a.dst, to, 0) * size;
    ptx::store(dst + at, ptx::load<T>(src + at));
}

/* Of another format: rounded to that of dst. */
template <bool WIDE>
__global__ void __launch_bounds__(MOST_THREADS) convert_rows(struct rows_of a, struct cut cut)
{
    int col = cut_piece(cut) * QUAD;
    if (col >= a.dst.cols) return;
    int to = row_at(a.to, cut_row(cut)), from = row_at(a.from, cut_row(cut));
    int n = quad_values(a.dst.cols, col);
    if (to < 0 || from < 0) return;
    quad_store<WIDE>(a.dst, to, col, n, quad_load<WIDE>(a.src, from, col, n));
}

template <class T>
static void copy_as(struct queue *q, const char *what, struct rows_of a, int rows, size_t bytes)
{
    struct cut cut = cut_of(rows, (int)(bytes / sizeof(T)));
    cuda_launch(q, what, copy_rows<T>, cut_grid(cut), cut_threads(cut), a, cut);
}

static void move_rows(struct queue *q, const char *what, struct rows_of a, int rows)
{
    size_t bytes = (size_t)a.dst.cols * dtype_size(a.dst.dtype);
    bool wide = on_16(a.dst) && on_16(a.src);
    if (rows == 0) return;
    if (a.dst.dtype != a.src.dtype) {
        struct cut cut = cut_of(rows, quads_of(a.dst.cols));
        cuda_launch(q, what,
                    wide && a.dst.cols % QUAD == 0 ? convert_rows<true> : convert_rows<false>,
                    cut_grid(cut), cut_threads(cut), a, cut);
    } else if (wide && bytes % 16 == 0) {
        copy_as<struct uint4>(q, what, a, rows, bytes);
    } else if (a.dst.dtype == DT_F32) {
        copy_as<uint32_t>(q, what, a, rows, bytes);
    } else if (a.dst.dtype >= DT_ROW_INT8) {
        copy_as<uint8_t>(q, what, a, rows, bytes);
    } else {
        copy_as<uint16_t>(q, what, a, rows, bytes);
    }
}

void cuda_gather(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct rows_of a = {dst, src, nullptr, index.at};
    move_rows(q, "gather", a, dst.rows);
}

void cuda_scatter(struct queue *q, struct mat dst, struct ints index, struct mat src)
{
    struct rows_of a = {dst, src, index.at, nullptr};
    move_rows(q, "scatter", a, src.rows);
}

template <bool WIDE>
__global__ void __launch_bounds__(MOST_THREADS)
    embed_rows(struct mat dst, struct weight src, const int32_t *index, struct cut cut)
{
    int col = cut_piece(cut) * QUAD;
    if (col >= dst.cols || index[cut_row(cut)] < 0) return;
    struct weight_row from = weight_row_of(src, index[cut_row(cut)]);
    struct quad v = {{0, 0, 0, 0}};
    int n = quad_values(dst.cols, col);
    if (WIDE && src.format < WEIGHT_INT8) { /* a matrix by rows */
        const enum dtype dtype[] = {DT_F32, DT_BF16, DT_F16};
        struct mat row = {(void *)(uintptr_t)from.value, dtype[src.format], 1, src.cols, src.cols};
        v = quad_load<WIDE>(row, 0, col, n);
    } else {
        UNROLL for (int i = 0; i < QUAD; i++) if (i < n) v.at[i] =
            weight_value(src.format, from, col + i);
    }
    quad_store<WIDE>(dst, cut_row(cut), col, n, v);
}

void cuda_embed(struct queue *q, struct mat dst, struct weight src, struct ints index)
{
    struct cut cut = cut_of(dst.rows, quads_of(dst.cols));
    bool wide = on_16(dst) && (uintptr_t)src.data % 16 == 0 && src.cols % 8 == 0;
    if (dst.rows == 0) return;
    cuda_launch(q, "embed", wide ? embed_rows<true> : embed_rows<false>, cut_grid(cut),
                cut_threads(cut), dst, src, index.at, cut);
}

template <bool WIDE>
__global__ void __launch_bounds__(MOST_THREADS) add_rows(struct rows_of a, struct cut cut)
{
    int col = cut_piece(cut) * QUAD, n = quad_values(a.dst.cols, col);
    if (col >= a.dst.cols) return;
    int row = cut_row(cut), from = row_at(a.from, row);
    if (from < 0) return;
    struct quad x = quad_load<WIDE>(a.dst, row, col, n), y = quad_load<WIDE>(a.src, from, col, n);
    UNROLL for (int i = 0; i < QUAD; i++) x.at[i] += y.at[i];
    quad_store<WIDE>(a.dst, row, col, n, x);
}

void cuda_add(struct queue *q, struct mat dst, struct mat src, struct ints index)
{
    struct rows_of a = {dst, src, nullptr, index.at};
    struct cut cut = cut_of(dst.rows, quads_of(dst.cols));
    bool wide = on_16(dst) && on_16(src) && dst.cols % QUAD == 0;
    if (dst.rows == 0) return;
    cuda_launch(q, "add", wide ? add_rows<true> : add_rows<false>, cut_grid(cut), cut_threads(cut),
                a, cut);
}

/* The parts of an element are added in ascending order. */
__global__ void __launch_bounds__(WARPS *LANES)
    blend_rows(struct mat dst, struct mat src, const int32_t *index, struct mat part)
{
    int row = cuda_row();
    if (row >= dst.rows) return;
    const int32_t *from = index + (size_t)row * (size_t)part.cols;
    for (int c = cuda_lane(); c < dst.cols; c += LANES) {
        float sum = 0;
        for (int j = 0; j < part.cols; j++)
            sum += mat_load(part, row, j) * mat_load(src, from[j], c);
        mat_store(dst, row, c, sum);
    }
}

void cuda_blend(struct queue *q, struct mat dst, struct mat src, struct ints index, struct mat part)
{
    if (dst.rows == 0) return;
    cuda_launch(q, "blend", blend_rows, cuda_row_blocks(dst.rows), WARPS * LANES, dst, src,
                index.at, part);
}

/* ---- eight bits: a thread a run of a row ---- */

enum { RUNS = 128 }; /* of a block */

__global__ void __launch_bounds__(RUNS) quantize_scales(struct mat packed, struct mat x, int heads)
{
    int i = (int)(blockIdx.x * RUNS + threadIdx.x), row = i / heads, head = i % heads;
    int n = x.cols / heads;
    if (row >= x.rows) return;
    uint32_t most = 0;
    for (int c = 0; c < n; c++) {
        uint32_t bits = magnitude_of(mat_load(x, row, head * n + c));
        most = bits > most ? bits : most;
    }
    store_scale(quantized_run_of(packed, x.cols, heads, row, head), scale_for(most));
}

/* A kernel of its own: a division is a call, and what is live across it would be spilled. */
__global__ void __launch_bounds__(RUNS) quantize_codes(struct mat packed, struct mat x, int heads)
{
    int i = (int)(blockIdx.x * RUNS + threadIdx.x), row = i / heads, head = i % heads;
    int n = x.cols / heads;
    if (row >= x.rows) return;
    struct quantized_run to = quantized_run_of(packed, x.cols, heads, row, head);
    double factor = factor_for(scale_at(to.scale));
    for (int c = 0; c < n; c++)
        to.code[c] = code_for(mat_load(x, row, head * n + c), factor);
}

/* ---- four bits: a thread a group of a run ---- */

/* Step and base of a group; a step of NaN where a value is not finite or they lie too far apart. */
__global__ void __launch_bounds__(RUNS) quantize_groups(struct mat packed, struct mat x, int heads)
{
    int groups = heads * groups_of(x.cols / heads), i = (int)(blockIdx.x * RUNS + threadIdx.x);
    int row = i / groups;
    if (row >= x.rows) return;
    struct group g = group_of(packed, x.cols, heads, row, i % groups);
    float least = mat_load(x, row, g.col), most = least, wrong = 0;
    for (int c = 0; c < g.n; c++) {
        float v = mat_load(x, row, g.col + c);
        least = v < least ? v : least;
        most = v > most ? v : most;
        wrong += 0 * v;
    }
    float base = bf16_float(float_bf16(least)), width = most - base + wrong;
    float step = bf16_float(float_bf16(width * (1.0f / 15.0f)));
    if (width < 0x1p-100f) step = 0;
    if (!(width <= 0x1p127f)) step = __uint_as_float(0x7fc00000u);
    store_bf16(g.scales, step);
    store_bf16(g.scales + 2, base);
}

__global__ void __launch_bounds__(RUNS) quantize_nibbles(struct mat packed, struct mat x, int heads)
{
    int groups = heads * groups_of(x.cols / heads), i = (int)(blockIdx.x * RUNS + threadIdx.x);
    int row = i / groups;
    if (row >= x.rows) return;
    struct group g = group_of(packed, x.cols, heads, row, i % groups);
    float step = bf16_at(g.scales), base = bf16_at(g.scales + 2), by = step > 0 ? 1.0f / step : 0;
    for (int c = 0; c < g.n; c += 2) {
        uint8_t low = code4_for(mat_load(x, row, g.col + c), base, by), high = 0;
        if (c + 1 < g.n) high = code4_for(mat_load(x, row, g.col + c + 1), base, by);
        g.code[c / 2] = (uint8_t)(low | high << 4);
    }
}

__global__ void __launch_bounds__(RUNS)
    dequantize_groups(struct mat y, struct mat packed, int heads)
{
    int groups = heads * groups_of(y.cols / heads), i = (int)(blockIdx.x * RUNS + threadIdx.x);
    int row = i / groups;
    if (row >= y.rows) return;
    struct group g = group_of(packed, y.cols, heads, row, i % groups);
    for (int c = 0; c < g.n; c++)
        mat_store(y, row, g.col + c, group_value(g, c));
}

static dim3 group_blocks(struct mat plain, int heads)
{
    int run = plain.cols / heads, groups = (run + ROW_INT4_GROUP - 1) / ROW_INT4_GROUP;
    return dim3((unsigned)((plain.rows * heads * groups - 1) / RUNS + 1));
}

void cuda_quantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    if (src.rows == 0) return;
    if (dst.dtype == DT_ROW_INT4) {
        cuda_launch(q, "quantize", quantize_groups, group_blocks(src, heads), RUNS, dst, src,
                    heads);
        cuda_launch(q, "quantize", quantize_nibbles, group_blocks(src, heads), RUNS, dst, src,
                    heads);
        return;
    }
    dim3 grid((unsigned)((src.rows * heads - 1) / RUNS + 1));
    cuda_launch(q, "quantize", quantize_scales, grid, RUNS, dst, src, heads);
    cuda_launch(q, "quantize", quantize_codes, grid, RUNS, dst, src, heads);
}

__global__ void __launch_bounds__(RUNS) dequantize_runs(struct mat y, struct mat packed, int heads)
{
    int i = (int)(blockIdx.x * RUNS + threadIdx.x), row = i / heads, head = i % heads;
    int n = y.cols / heads;
    if (row >= y.rows) return;
    struct quantized_run from = quantized_run_of(packed, y.cols, heads, row, head);
    float scale = scale_at(from.scale);
    for (int c = 0; c < n; c++)
        mat_store(y, row, head * n + c, (float)from.code[c] * scale);
}

void cuda_dequantize(struct queue *q, struct mat dst, struct mat src, int heads)
{
    if (dst.rows == 0) return;
    if (src.dtype == DT_ROW_INT4) {
        cuda_launch(q, "dequantize", dequantize_groups, group_blocks(dst, heads), RUNS, dst, src,
                    heads);
        return;
    }
    cuda_launch(q, "dequantize", dequantize_runs,
                dim3((unsigned)((dst.rows * heads - 1) / RUNS + 1)), RUNS, dst, src, heads);
}
