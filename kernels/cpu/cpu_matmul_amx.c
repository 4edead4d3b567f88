/* cpu_matmul_amx.c - panels of dot products of bf16 by AMX tiles.
 *
 * The transposed product: 16 rows of w are a tile as they lie in memory; 16 rows of x are packed
 * into a tile of pairs, one column a row. A column of the result depends on its own column of the
 * packed tile only, and inputs are added 32 at a time in ascending order, so a row's result does
 * not depend on its neighbours. Registers: 0 to 3 results, 4 and 5 w, 6 and 7 x. */
#include "kernels/cpu/cpu_amx_tile.h"
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_vec.h"

/* 16 rows of 64 bytes: in place, or a padded copy at the edges of a matrix. */
struct source {
    const void *data;
    size_t stride;
};

struct edge {
    uint16_t value[16][32];
};

/* Rows [row, row + 16) and columns [col, col + 32) of m, zeros past its ends. */
static struct source source_of(struct mat m, int row, int col, struct edge *edge)
{
    int rows = min_int(16, m.rows - row), cols = min_int(32, m.cols - col);
    if (rows == 16 && cols == 32)
        return (struct source){mat_at(m, row, col), (size_t)m.stride * dtype_size(m.dtype)};
    memset(edge, 0, sizeof *edge);
    for (int r = 0; r < rows; r++)
        memcpy(edge->value[r], mat_at(m, row + r, col), (size_t)cols * dtype_size(m.dtype));
    return (struct source){edge, sizeof edge->value[0]};
}

/* dst[i][j] = src[j][i] of 16 x 16 words of 32 bits; pairs of bf16 are words that only move. */
static void transpose(float *dst, int ld, struct source src)
{
    for (int i = 0; i < 16; i += VEC_LANES)
        for (int j = 0; j < 16; j += VEC_LANES) {
            const char *at = (const char *)src.data + (size_t)j * src.stride + (size_t)i * 4;
            vec square[VEC_LANES];
            for (int l = 0; l < VEC_LANES; l++)
                square[l] = vec_load(DT_F32, at + (size_t)l * src.stride);
            vec_transpose(square);
            for (int l = 0; l < VEC_LANES; l++)
                vec_store(dst + (i + l) * ld + j, square[l]);
        }
}

/* Rows up to a multiple of 32; those past the end are zeros. */
static void pack(struct amx_work *work, struct mat x)
{
    struct edge edge;
    for (int row = 0; row < x.rows || row % 32; row += 16)
        for (int col = 0; col < x.cols; col += 32)
            transpose(work->packed[row / 16][col / 32][0], 16, source_of(x, row, col, &edge));
}

/* The sums of 32 rows of x and 32 of w, columns of this chunk; square i of 16 x 16 holds outputs
 * 16 (i % 2).. of rows 16 (i / 2)... Between chunks they wait in out as [output][row]. */
static void sum_chunk(struct tiles *t, float *square[4], size_t stride, float (*x0)[16][16],
                      float (*x1)[16][16], struct mat w, int o, int first)
{
    struct edge edge[2];
    if (first) {
        TILE_ZERO(t, 0);
        TILE_ZERO(t, 1);
        TILE_ZERO(t, 2);
        TILE_ZERO(t, 3);
    } else {
        TILE_LOAD(t, 0, square[0], stride);
        TILE_LOAD(t, 1, square[1], stride);
        TILE_LOAD(t, 2, square[2], stride);
        TILE_LOAD(t, 3, square[3], stride);
    }
    for (int col = 0; col < w.cols; col += 32) {
        struct source w0 = source_of(w, o, col, &edge[0]);
        struct source w1 = source_of(w, o + 16, col, &edge[1]);
        TILE_LOAD(t, 4, w0.data, w0.stride);
        TILE_LOAD(t, 5, w1.data, w1.stride);
        TILE_LOAD(t, 6, x0[col / 32], (size_t)64);
        TILE_LOAD(t, 7, x1[col / 32], (size_t)64);
        TILE_DOT(t, 0, 4, 6);
        TILE_DOT(t, 1, 5, 6);
        TILE_DOT(t, 2, 4, 7);
        TILE_DOT(t, 3, 5, 7);
    }
    TILE_STORE(t, 0, square[0], stride);
    TILE_STORE(t, 1, square[1], stride);
    TILE_STORE(t, 2, square[2], stride);
    TILE_STORE(t, 3, square[3], stride);
}

static void turn(float *square, int ld) /* [output][row] to [row][output] */
{
    float copy[16][16];
    for (int r = 0; r < 16; r++)
        memcpy(copy[r], square + r * ld, sizeof copy[r]);
    transpose(square, ld, (struct source){copy, sizeof copy[0]});
}

void CPU(dots_amx)(float *out, int ld, struct mat x, struct mat w, struct amx_work *work)
{
    struct tiles tiles;
    tiles_begin(&tiles);
    for (int col = 0; col < x.cols; col += AMX_DEPTH) {
        int cols = min_int(AMX_DEPTH, x.cols - col);
        struct mat chunk = mat_cols(w, col, cols);
        pack(work, mat_cols(x, col, cols));
        for (int o = 0; o < w.rows; o += 32)
            for (int row = 0; row < x.rows; row += 32) {
                float *at = out + row * ld + o;
                float *square[4] = {at, at + 16, at + 16 * ld, at + 16 * ld + 16};
                sum_chunk(&tiles, square, (size_t)ld * sizeof *out, work->packed[row / 16],
                          work->packed[row / 16 + 1], chunk, o, col == 0);
                for (int i = 0; i < 4 && col + cols == x.cols; i++)
                    turn(square[i], ld);
            }
    }
    tiles_end(&tiles);
}
