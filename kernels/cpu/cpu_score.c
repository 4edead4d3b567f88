/* cpu_score.c - how much rows attend to each slot, in two sweeps over tiles of the keys.
 *
 * The first sweep finds each pair's maximum and sum over the keys its row sees, by segments as
 * attention has them (cpu_keys.h). The second goes over tiles of slots, turns scores to weights and
 * brings heads, then rows together. Both compute scores, which stay in the first-level cache: that
 * is cheaper than keeping them all. Keys, heads and rows are added in ascending order, so neither
 * threads nor the place of the slots change a bit. */
#include "kernels/cpu/cpu_keys.h"

#define ROWS 64                                                 /* of a block */
#define SLOTS 64                                                /* of a tile in the second sweep */
#define PAIRS (STRIP > ATTN_MAX_GROUP ? STRIP : ATTN_MAX_GROUP) /* of rows that go together */

struct work {
    float panel[TILE * ATTN_MAX_DIM]; /* [tile / PANEL][dim][PANEL] keys */
    float q[PAIRS * ATTN_MAX_DIM];    /* [PAIRS][dim] */
    float score[PAIRS * TILE];        /* in units of ln 2 */
    float joint[ROWS * SLOTS];        /* of a row: its heads so far */
};

struct job {
    struct queue *q;
    const struct score *s;
    int group, dim, parts, segments, end; /* end: behind the last slot that anybody sees */
    struct running *part;                 /* [n][heads][segments] */
    struct running *pair;                 /* [n][heads]: all segments */
};

static struct mat head_of(const struct job *j, struct mat m, int kv_head)
{
    return mat_cols(m, kv_head * j->dim, j->dim);
}

static void load_keys(const struct job *j, struct work *w, int kv_head, struct visible v, int first,
                      int keys)
{
    struct ahead none = {0};
    load_panels(w->panel, head_of(j, j->s->k, kv_head), v, first, keys, &none);
}

/* Scores of rows [row, row + rows) and the heads of a KV head, [pair][TILE], with loaded keys. */
static void compute_scores(const struct job *j, struct work *w, int row, int rows, int kv_head,
                           int keys)
{
    load_queries(w->q, j->s->q, row, rows, kv_head, j->group, j->dim, j->s->scale);
    panel_scores(w->score, w->q, w->panel, rows * j->group, j->dim, keys);
}

static size_t pair_of(const struct job *j, int row, int head)
{
    return (size_t)row * (size_t)j->s->heads + (size_t)head;
}

/* Rows whose pairs go together. */
static int rows_together(const struct job *j)
{
    return max_int(1, STRIP / j->group);
}

/* ---- first sweep: an item is a KV head, a segment and a block of rows ---- */

/* The tile of keys from `first` on, for rows that number their keys alike. */
static void add_tile(const struct job *j, struct work *w, int row, int rows, int kv_head, int first)
{
    int most = 0;
    for (int i = row; i < row + rows; i++)
        most = max_int(most, visible_of(j->s->span.at[i]).keys - first);
    if (most <= 0) return;
    compute_scores(j, w, row, rows, kv_head, min_int(TILE, most));
    for (int i = 0; i < rows * j->group; i++) {
        int head = kv_head * j->group + i % j->group, at = row + i / j->group;
        int seen = min_int(TILE, visible_of(j->s->span.at[at]).keys - first);
        size_t pair = pair_of(j, at, head) * (size_t)j->segments;
        if (seen > 0)
            (void)running_add(&j->part[pair + (size_t)(first / SEGMENT)], w->score + i * TILE,
                              seen);
    }
}

static void sum_segment(const struct job *j, struct work *w, struct visible v, int row, int rows,
                        int kv_head, int segment)
{
    int begin = segment * SEGMENT, end = min_int(begin + SEGMENT, v.keys), step = rows_together(j);
    for (int i = row; i < row + rows; i++)
        for (int h = kv_head * j->group; h < (kv_head + 1) * j->group; h++)
            j->part[pair_of(j, i, h) * (size_t)j->segments + (size_t)segment] = RUNNING_EMPTY;
    for (int first = begin; first < end; first += TILE) {
        load_keys(j, w, kv_head, v, first, min_int(TILE, v.keys - first));
        for (int i = 0; i < rows; i += step)
            add_tile(j, w, row + i, min_int(step, rows - i), kv_head, first);
    }
}

static void first_sweep(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    struct work *w = cpu_work(j->q, worker);
    for (int item = begin; item < end; item++) {
        int row = item % j->parts * ROWS, row_end = min_int(row + ROWS, j->s->q.rows);
        int segment = item / j->parts % j->segments, kv_head = item / j->parts / j->segments;
        for (int rows; row < row_end; row += rows) {
            struct visible v;
            rows = visible_run(j->s->span.at + row, row_end - row, &v);
            if (segment < segments_of(v.keys)) sum_segment(j, w, v, row, rows, kv_head, segment);
        }
    }
}

static void merge_segments(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int pair = begin; pair < end; pair++) {
        const struct running *part = j->part + (size_t)pair * (size_t)j->segments;
        int keys = visible_of(j->s->span.at[pair / j->s->heads]).keys;
        struct running total = RUNNING_EMPTY;
        float from_total, from_part;
        for (int i = 0; i < segments_of(keys); i++)
            running_merge(&total, part[i], &from_total, &from_part);
        j->pair[pair] = total;
    }
}

/* ---- second sweep: an item is a tile of slots ---- */

static void value_norms(const struct job *j, int kv_head, int slot, int slots, float norm[SLOTS])
{
    struct mat v = head_of(j, j->s->v, kv_head);
    float block[ATTN_MAX_DIM] = {0};
    int width = (j->dim + PARTS - 1) / PARTS * PARTS;
    for (int i = 0; i < slots; i++) {
        block_load(block, v.dtype, mat_at(v, slot + i, 0), j->dim);
        for (int d = 0; d < width; d++)
            block[d] *= block[d];
        norm[i] = sqrtf(values_sum(block, width));
    }
}

static void weights(float *score, struct running r)
{
    vec scale = vec_all(1.0f / r.weight), max = vec_all(r.max);
    for (int i = 0; i < SLOTS; i += VEC_LANES)
        vec_store(score + i, vec_exp2(vec_load(DT_F32, score + i) - max) * scale);
}

/* Scores to what they count for. With x = score - max a weight is 2^x / sum, and its logarithm
 * x ln 2 - ln sum. A weight of 0 counts for nothing, whatever its value row holds. */
static void count(const struct job *j, float *score, struct running r, const float *norm)
{
    float less[SLOTS], log_sum = logf(r.weight);
    switch (j->s->value) {
    case SCORE_WEIGHT:
        weights(score, r);
        break;
    case SCORE_ENTROPY:
        for (int i = 0; i < SLOTS; i++) {
            float x = score[i] - r.max, least = x < -127.0f ? -127.0f : x; /* 0 from there on */
            less[i] = log_sum - least * 0.693147181f;
        }
        weights(score, r);
        for (int i = 0; i < SLOTS; i++)
            score[i] *= less[i];
        break;
    case SCORE_VALUE:
        weights(score, r);
        for (int i = 0; i < SLOTS; i++) {
            float value = score[i] * norm[i];
            score[i] = score[i] == 0.0f ? 0.0f : value;
        }
        break;
    }
}

static void join_head(enum score_heads over, float *joint, const float *value)
{
    switch (over) {
    case SCORE_HEADS_SUM:
        for (int i = 0; i < SLOTS; i++)
            joint[i] += value[i];
        break;
    case SCORE_HEADS_L2:
        for (int i = 0; i < SLOTS; i++)
            joint[i] += value[i] * value[i];
        break;
    case SCORE_HEADS_MAX:
        for (int i = 0; i < SLOTS; i++)
            joint[i] = value[i] > joint[i] ? value[i] : joint[i];
        break;
    }
}

/* joint is a row's sum of squares over heads with SCORE_HEADS_L2, else its value; likewise sum over
 * rows. */
static void join_row(const struct score *s, float *sum, const float *joint)
{
    if ((s->over_heads == SCORE_HEADS_L2) == (s->over_rows == SCORE_ROWS_L2))
        for (int i = 0; i < SLOTS; i++)
            sum[i] += joint[i];
    else if (s->over_heads == SCORE_HEADS_L2)
        for (int i = 0; i < SLOTS; i++)
            sum[i] += sqrtf(joint[i]);
    else
        for (int i = 0; i < SLOTS; i++)
            sum[i] += joint[i] * joint[i];
}

static int sees(struct span s, int slot)
{
    return slot < s.head_end || (slot >= s.tail_begin && slot < s.tail_end);
}

static void hide_unseen(float *score, struct span span, int slot)
{
    for (int i = 0; i < SLOTS; i++)
        score[i] = sees(span, slot + i) ? score[i] : -INFINITY;
}

/* The heads of a KV head, brought together for rows [row, row + rows). */
static void add_heads(const struct job *j, struct work *w, int row, int rows, float *joint,
                      int kv_head, int slot, const float *norm)
{
    compute_scores(j, w, row, rows, kv_head, SLOTS);
    for (int i = 0; i < rows * j->group; i++) {
        int at = row + i / j->group;
        float *score = w->score + i * TILE;
        hide_unseen(score, j->s->span.at[at], slot);
        count(j, score, j->pair[pair_of(j, at, kv_head * j->group + i % j->group)], norm);
        join_head(j->s->over_heads, joint + i / j->group * SLOTS, score);
    }
}

static void add_rows(const struct job *j, struct work *w, int row, int rows, int slot,
                     float sum[SLOTS])
{
    const struct visible all = {.keys = j->end, .head = j->end};
    int slots = min_int(SLOTS, j->end - slot), step = rows_together(j);
    memset(w->joint, 0, (size_t)(rows * SLOTS) * sizeof *w->joint);
    for (int kv_head = 0; kv_head < j->s->kv_heads; kv_head++) {
        float norm[SLOTS] = {0};
        load_keys(j, w, kv_head, all, slot, slots);
        if (j->s->value == SCORE_VALUE) value_norms(j, kv_head, slot, slots, norm);
        for (int i = 0; i < rows; i += step)
            add_heads(j, w, row + i, min_int(step, rows - i), w->joint + i * SLOTS, kv_head, slot,
                      norm);
    }
    for (int i = 0; i < rows; i++)
        join_row(j->s, sum, w->joint + i * SLOTS);
}

static void second_sweep(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    float *out = j->s->out.data;
    for (int item = begin; item < end; item++) {
        float sum[SLOTS] = {0};
        int slot = item * SLOTS, n = j->s->q.rows;
        for (int row = 0; row < n; row += ROWS)
            add_rows(j, cpu_work(j->q, worker), row, min_int(ROWS, n - row), slot, sum);
        for (int i = 0; i < SLOTS && j->s->over_rows == SCORE_ROWS_L2; i++)
            sum[i] = sqrtf(sum[i]);
        for (int i = 0; i < min_int(SLOTS, j->end - slot); i++)
            out[slot + i] += sum[i];
    }
}

size_t CPU(score_work)(const struct device *d, int n, int heads, int slots)
{
    (void)d; /* each pair's maximum and sum, of the segments and of all */
    return (size_t)n * (size_t)heads * (size_t)(segments_of(slots) + 1) * sizeof(struct running);
}

void CPU(score)(struct queue *q, const struct score *s)
{
    struct job j = {.q = q, .s = s, .dim = s->q.cols / s->heads};
    int pairs = s->q.rows * s->heads;
    _Static_assert(sizeof(struct work) <= CPU_WORK_BYTES, "a worker's area holds a block");
    j.group = s->heads / s->kv_heads;
    j.parts = (s->q.rows + ROWS - 1) / ROWS;
    for (int i = 0; i < s->q.rows; i++) {
        struct visible v = visible_of(s->span.at[i]);
        j.segments = max_int(j.segments, segments_of(v.keys));
        j.end = max_int(j.end, visible_slot(v, v.keys - 1) + 1);
    }
    j.pair = s->work;
    j.part = j.pair + pairs;
    pool_for(q->env->pool, s->kv_heads * j.segments * j.parts, 1, first_sweep, &j);
    pool_for(q->env->pool, pairs, 64, merge_segments, &j);
    pool_for(q->env->pool, (j.end + SLOTS - 1) / SLOTS, 1, second_sweep, &j);
}
