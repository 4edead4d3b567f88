/* cpu_score.c - how much rows attend to each slot, in two sweeps over tiles of the keys.
 *
 * The first sweep finds each (row, head)'s maximum and sum, the second turns scores to weights and
 * brings heads, then rows together. Products are those of matmul; heads and rows are added in
 * ascending order, so threads change nothing. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"

struct job {
    struct backend *be;
    const struct score *s;
    int dim, tile, head, n_slots; /* slots of the tile: [tile, tile + n_slots) */
    float *product;               /* [n, SCORE_TILE] q k^T of one head */
    float *joint;                 /* [n, SCORE_TILE] heads so far */
    float *max, *sum;             /* [n, heads] */
    float *norm;                  /* [SCORE_TILE] |v| of one KV head */
};

static struct mat head_of(struct mat m, int head, int dim)
{
    return mat_cols(m, head * dim, dim);
}

static int kv_head(const struct job *j)
{
    return j->head / (j->s->heads / j->s->kv_heads);
}

static void multiply(const struct job *j)
{
    struct mat y = {j->product, DT_F32, j->s->q.rows, j->n_slots, SCORE_TILE};
    struct mat k = head_of(mat_rows(j->s->k, j->tile, j->n_slots), kv_head(j), j->dim);
    CPU(matmul)(j->be, y, head_of(j->s->q, j->head, j->dim), k, NULL, ACT_NONE);
}

/* Calls once for each of the two runs of the tile's slots that a row sees. */
struct seen {
    int begin[2], end[2];
};

static struct seen seen_of(const struct job *j, int row)
{
    struct span span = j->s->span[row];
    struct seen seen = {{0, span.tail_begin - j->tile}, {span.head_end - j->tile, 0}};
    seen.end[1] = span.tail_end - j->tile;
    for (int i = 0; i < 2; i++) {
        seen.begin[i] = min_int(max_int(seen.begin[i], 0), j->n_slots);
        seen.end[i] = min_int(max_int(seen.end[i], seen.begin[i]), j->n_slots);
    }
    return seen;
}

static void first_rows(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int row = begin; row < end; row++) {
        const float *product = j->product + (size_t)row * SCORE_TILE;
        float *max = &j->max[row * j->s->heads + j->head];
        float *sum = &j->sum[row * j->s->heads + j->head], before = *max, part[PARTS] = {0};
        struct seen seen = seen_of(j, row);
        for (int r = 0; r < 2; r++)
            for (int i = seen.begin[r]; i < seen.end[r]; i++)
                *max = product[i] > *max ? product[i] : *max;
        if (*max == -INFINITY) continue;
        for (int r = 0; r < 2; r++)
            for (int i = seen.begin[r]; i < seen.end[r]; i++)
                part[i % PARTS] += exp_f32((product[i] - *max) * j->s->scale);
        *sum = *sum * exp_f32((before - *max) * j->s->scale) + parts_sum(part);
    }
}

static float value_of(enum score_value value, float weight, float norm)
{
    switch (value) {
    case SCORE_WEIGHT:
        break;
    case SCORE_ENTROPY:
        return weight > 0 ? -weight * logf(weight) : 0;
    case SCORE_VALUE:
        return weight * norm;
    }
    return weight;
}

static float join(enum score_heads over, float joint, float value)
{
    switch (over) {
    case SCORE_HEADS_SUM:
        break;
    case SCORE_HEADS_L2:
        return joint + value * value;
    case SCORE_HEADS_MAX:
        return value > joint ? value : joint;
    }
    return joint + value;
}

static void second_rows(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    const struct score *s = j->s;
    (void)worker;
    for (int row = begin; row < end; row++) {
        const float *product = j->product + (size_t)row * SCORE_TILE;
        float *joint = j->joint + (size_t)row * SCORE_TILE;
        float max = j->max[row * s->heads + j->head];
        float scale = 1.0f / j->sum[row * s->heads + j->head];
        struct seen seen = seen_of(j, row);
        for (int r = 0; r < 2; r++)
            for (int i = seen.begin[r]; i < seen.end[r]; i++) {
                float weight = exp_f32((product[i] - max) * s->scale) * scale;
                joint[i] = join(s->over_heads, joint[i], value_of(s->value, weight, j->norm[i]));
            }
    }
}

static void value_norms(const struct job *j)
{
    struct mat v = head_of(j->s->v, kv_head(j), j->dim);
    float piece[ATTN_MAX_DIM];
    for (int i = 0; i < j->n_slots; i++) {
        float part[PARTS] = {0};
        piece_load(piece, v.dtype, mat_at(v, j->tile + i, 0), j->dim);
        for (int d = 0; d < j->dim; d++)
            part[d % PARTS] += piece[d] * piece[d];
        j->norm[i] = sqrtf(parts_sum(part));
    }
}

/* Rows of the tile together, in ascending order. */
static void join_rows(const struct job *j)
{
    const struct score *s = j->s;
    float *out = mat_at(s->out, 0, j->tile);
    for (int row = 0; row < s->q.rows; row++) {
        const float *joint = j->joint + (size_t)row * SCORE_TILE;
        for (int i = 0; i < j->n_slots; i++) {
            float squared = s->over_heads == SCORE_HEADS_L2 ? joint[i] : joint[i] * joint[i];
            float plain = s->over_heads == SCORE_HEADS_L2 ? sqrtf(joint[i]) : joint[i];
            out[i] += s->over_rows == SCORE_ROWS_L2 ? squared : plain;
        }
    }
    for (int i = 0; i < j->n_slots && s->over_rows == SCORE_ROWS_L2; i++)
        out[i] = sqrtf(out[i]);
}

static void sweep(struct job *j, int end, pool_fn rows, int second)
{
    const struct score *s = j->s;
    for (j->tile = 0; j->tile < end; j->tile += SCORE_TILE) {
        j->n_slots = min_int(SCORE_TILE, end - j->tile);
        if (second) memset(j->joint, 0, (size_t)s->q.rows * SCORE_TILE * sizeof *j->joint);
        for (j->head = 0; j->head < s->heads; j->head++) {
            if (second && s->value == SCORE_VALUE) value_norms(j);
            multiply(j);
            pool_for(j->be->env->pool, s->q.rows, 4, rows, j);
        }
        if (second) join_rows(j);
    }
}

void CPU(score)(struct backend *be, const struct score *s)
{
    size_t n = (size_t)s->q.rows, pairs = n * (size_t)s->heads;
    struct job j = {.be = be, .s = s, .dim = s->q.cols / s->heads};
    int end = 0;
    j.product = s->work;
    j.joint = j.product + n * SCORE_TILE;
    j.max = j.joint + n * SCORE_TILE;
    j.sum = j.max + pairs;
    j.norm = j.sum + pairs;
    for (size_t i = 0; i < pairs; i++) {
        j.max[i] = -INFINITY;
        j.sum[i] = 0;
    }
    for (size_t i = 0; i < n; i++)
        end = max_int(end, s->span[i].tail_end > s->span[i].tail_begin ? s->span[i].tail_end
                                                                       : s->span[i].head_end);
    memset(s->out.data, 0, (size_t)s->out.cols * sizeof(float));
    sweep(&j, end, first_rows, 0);
    sweep(&j, end, second_rows, 1);
}
