/* cpu_attention.c - softmax over the keys a row sees, streamed in tiles of 64 keys.
 *
 * Tile t holds keys [64 t, 64 t + 64) of those a row sees, wherever their slots lie (struct
 * visible). A row visits its tiles in ascending order and adds their keys in ascending order, so
 * neither slots, nor the other rows of a block, nor the cut into blocks can change it. Slots that
 * no row sees may hold anything. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_vec.h"

#define TILE 64
#define PAIRS ATTN_MAX_GROUP /* (row, query head) pairs that share a converted tile */
#define ALIGN 16             /* floats; a multiple of VEC_LANES */

struct work {
    float kt[ATTN_MAX_DIM * TILE]; /* [dim][TILE]: the tile's keys, transposed */
    float v[TILE * ATTN_MAX_DIM];  /* [TILE][width] */
    float q[PAIRS * ATTN_MAX_DIM]; /* [PAIRS][width], scaled */
    float sum[PAIRS * ATTN_MAX_DIM];
    float score[PAIRS * TILE];
    float max[PAIRS], weight[PAIRS];
};

struct block { /* rows that go through the tiles together, for one KV head */
    const struct attn *a;
    struct work *work;
    struct visible visible; /* the rows number their keys alike, and see at most these */
    int row, rows, kv_head, group, dim, width; /* width: dim rounded up to whole vectors */
};

/* c[m, n] += a[m, k] b[k, n], k ascending for each element whatever the tile. n is a multiple of
 * VEC_LANES. */
#define GEMM_ROWS 6
#define GEMM_VECS (VEC_LANES == 16 ? 4 : 2)

struct gemm {
    float *c;
    const float *a, *b;
    int ldc, lda, ldb, m, k, n;
};

VEC_INLINE void gemm_tile(const struct gemm *g, int row, int col, int rows, int vecs)
{
    const float *a = g->a + row * g->lda, *b = g->b + col;
    float *c = g->c + row * g->ldc + col;
    vec sum[GEMM_ROWS][GEMM_VECS], right[GEMM_VECS];
    VEC_EACH(r, rows)
    {
        VEC_EACH(i, vecs)
        {
            sum[r][i] = vec_load(DT_F32, c + r * g->ldc + i * VEC_LANES);
        }
    }
    for (int k = 0; k < g->k; k++) {
        VEC_EACH(i, vecs)
        {
            right[i] = vec_load(DT_F32, b + k * g->ldb + i * VEC_LANES);
        }
        VEC_EACH(r, rows)
        {
            vec left = vec_all(a[r * g->lda + k]);
            VEC_EACH(i, vecs)
            {
                sum[r][i] = vec_madd(left, right[i], sum[r][i]);
            }
        }
    }
    VEC_EACH(r, rows)
    {
        VEC_EACH(i, vecs)
        {
            vec_store(c + r * g->ldc + i * VEC_LANES, sum[r][i]);
        }
    }
}

VEC_INLINE void gemm_strip(const struct gemm *g, int row, int rows)
{
    int col = 0;
    for (; col + GEMM_VECS * VEC_LANES <= g->n; col += GEMM_VECS * VEC_LANES)
        gemm_tile(g, row, col, rows, GEMM_VECS);
    for (; col < g->n; col += VEC_LANES)
        gemm_tile(g, row, col, rows, 1);
}

static void gemm_add(const struct gemm *g)
{
    int row = 0;
    for (; row + GEMM_ROWS <= g->m; row += GEMM_ROWS)
        gemm_strip(g, row, GEMM_ROWS);
    for (; row + 2 <= g->m; row += 2)
        gemm_strip(g, row, 2);
    for (; row < g->m; row++)
        gemm_strip(g, row, 1);
}

/* Keys [first, first + keys) to [dim][key] through square blocks in registers, then zeros. */
static void load_keys(const struct block *b, int first, int keys)
{
    struct mat k = mat_cols(b->a->k, b->kv_head * b->dim, b->dim);
    for (int key = 0; key < TILE; key += VEC_LANES)
        for (int d = 0; d < b->dim; d += VEC_LANES) {
            int n = min_int(VEC_LANES, b->dim - d);
            vec square[VEC_LANES];
            for (int i = 0; i < VEC_LANES; i++) {
                int slot = visible_slot(b->visible, first + key + i);
                const void *at = key + i < keys ? mat_at(k, slot, d) : NULL;
                square[i] = !at              ? vec_zero()
                            : n == VEC_LANES ? vec_load(k.dtype, at)
                                             : vec_load_n(k.dtype, at, n);
            }
            vec_transpose(square);
            for (int i = 0; i < n; i++)
                vec_store(b->work->kt + (d + i) * TILE + key, square[i]);
        }
}

static void load_values(const struct block *b, int first, int keys)
{
    struct mat v = mat_cols(b->a->v, b->kv_head * b->dim, b->dim);
    for (int i = 0; i < keys; i++) {
        int slot = visible_slot(b->visible, first + i);
        block_load(b->work->v + i * b->width, v.dtype, mat_at(v, slot, 0), b->dim);
    }
}

/* One pair's scores of a tile, of which it sees the first `keys`, to weights; what was summed
 * before is brought to the new maximum. */
static void softmax_pair(const struct block *b, int pair, int keys)
{
    float *score = b->work->score + pair * TILE, *sum = b->work->sum + pair * b->width;
    float before = b->work->max[pair], max, decay;
    for (int i = keys; i < TILE; i++)
        score[i] = -INFINITY;
    max = values_max(score, TILE, before);
    for (int i = 0; i < TILE; i++)
        score[i] = exp_f32(score[i] - max);
    decay = exp_f32(before - max);
    for (int d = 0; d < b->width; d++)
        sum[d] *= decay;
    b->work->weight[pair] = madd(b->work->weight[pair], decay, values_sum(score, TILE));
    b->work->max[pair] = max;
}

/* Rows [row, row + rows) of the block see the first `keys` of the tile. */
static void add_tile(const struct block *b, int row, int rows, int keys)
{
    int pair = row * b->group, n = rows * b->group;
    struct work *w = b->work;
    float *score = w->score + pair * TILE;
    struct gemm scores = {.m = n, .k = b->dim, .n = TILE, .c = score, .ldc = TILE};
    struct gemm values = {.m = n, .k = keys, .n = b->width, .a = score, .lda = TILE};
    scores.a = w->q + pair * b->width, scores.lda = b->width;
    scores.b = w->kt, scores.ldb = TILE;
    values.b = w->v, values.ldb = b->width;
    values.c = w->sum + pair * b->width, values.ldc = b->width;
    memset(score, 0, (size_t)(n * TILE) * sizeof *score);
    gemm_add(&scores);
    for (int i = 0; i < n; i++)
        softmax_pair(b, pair + i, keys);
    gemm_add(&values);
}

/* How many keys of the tile from `first` on a row of the block sees: 0 or less for none. */
static int keys_seen(const struct block *b, int row, int first)
{
    return min_int(TILE, visible_of(b->a->span.at[b->row + row]).keys - first);
}

static void run_tile(const struct block *b, int first)
{
    int keys = min_int(TILE, b->visible.keys - first);
    load_keys(b, first, keys);
    load_values(b, first, keys);
    for (int row = 0, next; row < b->rows; row = next) {
        int seen = keys_seen(b, row, first);
        for (next = row + 1; next < b->rows && keys_seen(b, next, first) == seen;)
            next++;
        if (seen > 0) add_tile(b, row, next - row, seen);
    }
}

/* A pair's head: heads of a group are neighbours. */
static int pair_col(const struct block *b, int pair)
{
    return (b->kv_head * b->group + pair % b->group) * b->dim;
}

static void begin_block(const struct block *b)
{
    struct work *w = b->work;
    memset(w->v, 0, (size_t)(TILE * b->width) * sizeof *w->v); /* columns past dim stay zero */
    for (int pair = 0; pair < b->rows * b->group; pair++) {
        const float *q = mat_at(b->a->q, b->row + pair / b->group, pair_col(b, pair));
        for (int d = 0; d < b->dim; d++)
            w->q[pair * b->width + d] = q[d] * b->a->scale;
        memset(w->sum + pair * b->width, 0, (size_t)b->width * sizeof *w->sum);
        w->max[pair] = -INFINITY;
        w->weight[pair] = 0.0f;
    }
}

static void end_block(const struct block *b)
{
    for (int pair = 0; pair < b->rows * b->group; pair++) {
        float *sum = b->work->sum + pair * b->width, scale = 1.0f / b->work->weight[pair];
        for (int d = 0; d < b->dim; d++)
            sum[d] *= scale;
        block_store(b->a->out.dtype, mat_at(b->a->out, b->row + pair / b->group, pair_col(b, pair)),
                    sum, b->dim);
    }
}

static void run_block(const struct block *b)
{
    begin_block(b);
    for (int first = 0; first < b->visible.keys; first += TILE)
        run_tile(b, first);
    end_block(b);
}

struct job {
    struct queue *q;
    const struct attn *a;
    int part_rows, parts; /* of the rows; an item is a part and a KV head */
};

static void run_items(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    const struct attn *a = j->a;
    struct block b = {.a = a, .work = cpu_work(j->q, worker)};
    b.group = a->heads / a->kv_heads;
    b.dim = a->q.cols / a->heads;
    b.width = (b.dim + ALIGN - 1) / ALIGN * ALIGN;
    for (int item = begin; item < end; item++) { /* neighbours share their keys and values */
        int row = item % j->parts * j->part_rows, row_end = min_int(row + j->part_rows, a->q.rows);
        b.kv_head = item / j->parts;
        for (b.row = row; b.row < row_end; b.row += b.rows) {
            b.rows = visible_run(a->span.at + b.row, row_end - b.row, &b.visible);
            run_block(&b);
        }
    }
}

size_t CPU(attention_work)(const struct device *d, int n, int heads, int kv_heads, int dim,
                           int slots)
{
    (void)d, (void)n, (void)heads, (void)kv_heads, (void)dim, (void)slots;
    return 0; /* the areas of the workers are enough */
}

void CPU(attention)(struct queue *q, const struct attn *a)
{
    struct job j = {q, a, PAIRS / (a->heads / a->kv_heads), 0};
    _Static_assert(sizeof(struct work) <= CPU_WORK_BYTES, "a worker's area holds a block");
    if (a->q.rows == 0) return;
    j.parts = (a->q.rows + j.part_rows - 1) / j.part_rows;
    pool_for(q->env->pool, j.parts * a->kv_heads, 1, run_items, &j);
}
