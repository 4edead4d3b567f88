/* cpu_score.c - how much rows attend to each slot, in two sweeps over tiles of the keys.
 *
 * The first sweep finds each (row, head)'s maximum and sum over the keys the row sees, in tiles of
 * these keys as attention has them (struct visible). The second goes over tiles of slots, turns
 * scores to weights and brings heads, then rows together. Both compute the scores of a block of
 * rows and a head with a tile, which stay in the first-level cache: that is cheaper than keeping
 * all scores. Keys, heads and rows are added in ascending order, so neither threads nor the place
 * of the slots change a bit. */
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_matmul.h"

#define TILE PANEL_OUTS /* keys or slots */
#define ROWS 24         /* of a block; a multiple of the register tiles */

struct job {
    struct queue *q;
    const struct score *s;
    int dim, blocks, end; /* end: behind the last slot that anybody sees */
    float *max, *sum;     /* [n, heads] */
};

struct block { /* one head of some rows with a tile */
    int row, rows, head;
    int slot, slots;          /* of the tile, in the second sweep */
    float score[ROWS * TILE]; /* [rows, TILE] scaled; -INFINITY where the row does not see */
};

static int kv_head(const struct job *j, int head)
{
    return head / (j->s->heads / j->s->kv_heads);
}

static struct mat head_of(const struct job *j, struct mat m, int head)
{
    return mat_cols(m, head * j->dim, j->dim);
}

/* Scores with the keys of n slots, as columns of the tile from col on. */
static void compute_scores(const struct job *j, struct block *b, int col, int slot, int n,
                           int worker)
{
    struct mat q = mat_rows(head_of(j, j->s->q, b->head), b->row, b->rows);
    struct mat k = mat_rows(head_of(j, j->s->k, kv_head(j, b->head)), slot, n);
    float *score = b->score + col;
    CPU(dots)(j->q, worker, score, TILE, q, k);
    for (int row = 0; row < b->rows; row++, score += TILE)
        for (int i = 0; i < n; i++)
            score[i] *= j->s->scale;
}

static size_t pair_of(const struct job *j, const struct block *b, int row)
{
    return (size_t)(b->row + row) * (size_t)j->s->heads + (size_t)b->head;
}

/* ---- first sweep: an item is a head and a block of rows ---- */

static void add_weights(float *score, float *max, float *sum)
{
    float top = values_max(score, TILE, *max);
    for (int i = 0; i < TILE; i++)
        score[i] = exp_f32(score[i] - top);
    *sum = *sum * exp_f32(*max - top) + values_sum(score, TILE);
    *max = top;
}

/* The tile of keys from `first` on, for rows that number their keys alike. */
static void add_keys(const struct job *j, struct block *b, struct visible v, int first, int worker)
{
    int keys = min_int(TILE, v.keys - first), head = min_int(max_int(v.head - first, 0), keys);
    if (head > 0) compute_scores(j, b, 0, first, head, worker);
    if (head < keys) compute_scores(j, b, head, first + head + v.gap, keys - head, worker);
    for (int row = 0; row < b->rows; row++) {
        size_t pair = pair_of(j, b, row);
        int seen = visible_of(j->s->span.at[b->row + row]).keys - first;
        for (int i = max_int(seen, 0); i < TILE; i++)
            b->score[row * TILE + i] = -INFINITY;
        if (seen > 0) add_weights(b->score + row * TILE, &j->max[pair], &j->sum[pair]);
    }
}

/* Maximum and sum of rows that number their keys alike. */
static void sum_weights(const struct job *j, struct block *b, struct visible v, int worker)
{
    for (int row = 0; row < b->rows; row++) {
        size_t pair = pair_of(j, b, row);
        j->max[pair] = -INFINITY;
        j->sum[pair] = 0;
    }
    for (int first = 0; first < v.keys; first += TILE)
        add_keys(j, b, v, first, worker);
}

static void first_sweep(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    struct block b;
    for (int item = begin; item < end; item++) {
        int row = item % j->blocks * ROWS, row_end = min_int(row + ROWS, j->s->q.rows);
        b.head = item / j->blocks;
        for (b.row = row; b.row < row_end; b.row += b.rows) {
            struct visible v;
            b.rows = visible_run(j->s->span.at + b.row, row_end - b.row, &v);
            sum_weights(j, &b, v, worker);
        }
    }
}

/* ---- second sweep: an item is a tile of slots ---- */

static void value_norms(const struct job *j, const struct block *b, float norm[TILE])
{
    struct mat v = head_of(j, j->s->v, kv_head(j, b->head));
    float block[ATTN_MAX_DIM] = {0};
    int width = (j->dim + PARTS - 1) / PARTS * PARTS;
    for (int i = 0; i < b->slots; i++) {
        block_load(block, v.dtype, mat_at(v, b->slot + i, 0), j->dim);
        for (int d = 0; d < width; d++)
            block[d] *= block[d];
        norm[i] = sqrtf(values_sum(block, width));
    }
}

/* Scores to what they count for. With x = score - max a weight is e^x / sum, and its logarithm
 * x - ln sum. A weight of 0 counts for nothing, whatever its value row holds. */
static void count(const struct job *j, float *score, float max, float sum, const float *norm)
{
    float scale = 1.0f / sum, log_sum = logf(sum);
    switch (j->s->value) {
    case SCORE_WEIGHT:
        for (int i = 0; i < TILE; i++)
            score[i] = exp_f32(score[i] - max) * scale;
        break;
    case SCORE_ENTROPY:
        for (int i = 0; i < TILE; i++) {
            float x = score[i] - max, least = x < -104.0f ? -104.0f : x; /* 0 from there on */
            score[i] = exp_f32(x) * scale * (log_sum - least);
        }
        break;
    case SCORE_VALUE:
        for (int i = 0; i < TILE; i++) {
            float weight = exp_f32(score[i] - max) * scale, value = weight * norm[i];
            score[i] = weight == 0.0f ? 0.0f : value;
        }
        break;
    }
}

static void join_head(enum score_heads over, float *joint, const float *value)
{
    switch (over) {
    case SCORE_HEADS_SUM:
        for (int i = 0; i < TILE; i++)
            joint[i] += value[i];
        break;
    case SCORE_HEADS_L2:
        for (int i = 0; i < TILE; i++)
            joint[i] += value[i] * value[i];
        break;
    case SCORE_HEADS_MAX:
        for (int i = 0; i < TILE; i++)
            joint[i] = value[i] > joint[i] ? value[i] : joint[i];
        break;
    }
}

/* joint is a row's sum of squares over heads with SCORE_HEADS_L2, else its value; likewise sum over
 * rows. */
static void join_row(const struct score *s, float *sum, const float *joint)
{
    if ((s->over_heads == SCORE_HEADS_L2) == (s->over_rows == SCORE_ROWS_L2))
        for (int i = 0; i < TILE; i++)
            sum[i] += joint[i];
    else if (s->over_heads == SCORE_HEADS_L2)
        for (int i = 0; i < TILE; i++)
            sum[i] += sqrtf(joint[i]);
    else
        for (int i = 0; i < TILE; i++)
            sum[i] += joint[i] * joint[i];
}

static int sees(struct span s, int slot)
{
    return slot < s.head_end || (slot >= s.tail_begin && slot < s.tail_end);
}

static void hide_unseen(const struct job *j, struct block *b)
{
    for (int row = 0; row < b->rows; row++) {
        float *score = b->score + row * TILE;
        struct span span = j->s->span.at[b->row + row];
        for (int i = 0; i < TILE; i++)
            score[i] = sees(span, b->slot + i) ? score[i] : -INFINITY;
    }
}

static void add_rows(const struct job *j, struct block *b, int worker, float sum[TILE])
{
    const struct score *s = j->s;
    float joint[ROWS * TILE] = {0}, norm[TILE] = {0};
    for (b->head = 0; b->head < s->heads; b->head++) {
        compute_scores(j, b, 0, b->slot, b->slots, worker);
        hide_unseen(j, b);
        if (s->value == SCORE_VALUE) value_norms(j, b, norm);
        for (int row = 0; row < b->rows; row++) {
            size_t pair = pair_of(j, b, row);
            float *score = b->score + row * TILE;
            count(j, score, j->max[pair], j->sum[pair], norm);
            join_head(s->over_heads, joint + row * TILE, score);
        }
    }
    for (int row = 0; row < b->rows; row++)
        join_row(s, sum, joint + row * TILE);
}

static void second_sweep(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    float *out = j->s->out.data;
    struct block b;
    for (int item = begin; item < end; item++) {
        float sum[TILE] = {0};
        b.slot = item * TILE;
        b.slots = min_int(TILE, j->end - b.slot);
        for (b.row = 0; b.row < j->s->q.rows; b.row += ROWS) {
            b.rows = min_int(ROWS, j->s->q.rows - b.row);
            add_rows(j, &b, worker, sum);
        }
        for (int i = 0; i < TILE && j->s->over_rows == SCORE_ROWS_L2; i++)
            sum[i] = sqrtf(sum[i]);
        for (int i = 0; i < b.slots; i++)
            out[b.slot + i] += sum[i];
    }
}

size_t CPU(score_work)(const struct device *d, int n, int heads, int slots)
{
    (void)d, (void)slots;
    return (size_t)n * (size_t)heads * 2 * sizeof(float); /* maximum and sum of each pair */
}

void CPU(score)(struct queue *q, const struct score *s)
{
    struct job j = {.q = q, .s = s, .dim = s->q.cols / s->heads};
    j.blocks = (s->q.rows + ROWS - 1) / ROWS;
    j.max = s->work;
    j.sum = j.max + (size_t)s->q.rows * (size_t)s->heads;
    for (int i = 0; i < s->q.rows; i++) {
        struct visible v = visible_of(s->span.at[i]);
        j.end = max_int(j.end, visible_slot(v, v.keys - 1) + 1);
    }
    pool_for(q->env->pool, s->heads * j.blocks, 1, first_sweep, &j);
    pool_for(q->env->pool, (j.end + TILE - 1) / TILE, 1, second_sweep, &j);
}
