/* cpu_attention.c - softmax over the keys a row sees, streamed in tiles, segment by segment.
 *
 * A row's keys, wherever their slots lie (struct visible), are cut into segments of 512. Within one
 * the tiles are visited in ascending order and keys are added in ascending order; then the sums of
 * the segments are merged in ascending order. That order is the same whether one worker goes
 * through a row or each segment has its own, so neither slots, nor the other rows of a block, nor
 * the cut into blocks and segments can change a bit. Slots that no row sees may hold anything.
 *
 * Products are of f32 by vectors or, where they may be of bf16 and the set has AMX, of bf16 by tile
 * registers (cpu_attention_amx.h): other layouts and another order, the same algorithm. */
#include "kernels/cpu/cpu_attention_amx.h"

#define PAIRS 192 /* that share a converted tile; at least ATTN_MAX_GROUP */
#define FEW 16    /* pairs of a KV head that stream keys and values instead */
#define SCORES 64 /* pairs whose scores are there at a time */
/* Rows that may be spread by segments; more rows are enough to spread. */
#define SPREAD_ROWS 16

#define BY_TILES(j) (CPU_AMX && (j)->bf16) /* a constant where there are no registers */

/* Blocks of rows of one KV head from which on its tiles are converted once for all of them, and how
 * many keys of as many heads as that are at a time. */
#define SHARE_BLOCKS 6
#define SHARE_KEYS 16384

struct work {
    const void *panels, *values;      /* of the tile: below, or shared */
    float panel[TILE * ATTN_MAX_DIM]; /* [TILE / PANEL][dim][PANEL] keys */
    float value[TILE * ATTN_MAX_DIM]; /* [columns / PANEL][TILE][PANEL] */
    float score[SCORES * TILE];
    uint16_t weight[SCORES * TILE]; /* bf16: those of score */
    union {
        float f32[PAIRS * ATTN_MAX_DIM];     /* [PAIRS][dim] */
        uint16_t bf16[PAIRS * ATTN_MAX_DIM]; /* [PAIRS][amx_inputs(dim)] */
    } q;
    struct tiles tiles;
    float sum[PAIRS * ATTN_MAX_DIM];   /* [PAIRS][width] of a segment */
    float total[PAIRS * ATTN_MAX_DIM]; /* of the segments so far */
    struct running running[PAIRS], running_total[PAIRS];
    int keys[PAIRS]; /* that the pair sees */
};

struct job {
    struct queue *q;
    const struct attn *a;
    int bf16;              /* products are of bf16, by AMX; else of f32 */
    int group, dim, width; /* width: dim rounded up to whole vectors or panels of AMX */
    int strip;             /* pairs that go through a tile together */
    int part_rows, parts;  /* of the rows */
    int part_heads;        /* KV heads of an item: one unless they stream */
    int first_head, heads; /* KV heads that the items go over */
    int segments;          /* of the row that sees most; 0: rows are not spread */
    struct visible shared; /* what all rows number alike, where they share converted tiles */
    int shares;
};

struct block { /* rows that go through the tiles together; pairs: [KV heads][rows][group] */
    const struct job *j;
    struct work *work;
    struct visible visible; /* the rows number their keys alike, and see at most these */
    int row, rows, kv_head, kv_heads;
    int pairs, head_pairs; /* of all, of one of the KV heads */
};

/* All KV heads of the block, and one of them. */
static struct mat heads_of(const struct block *b, struct mat m)
{
    return mat_cols(m, b->kv_head * b->j->dim, b->kv_heads * b->j->dim);
}

static struct mat head_of(const struct block *b, struct mat m, int kv_head)
{
    return mat_cols(m, (b->kv_head + kv_head) * b->j->dim, b->j->dim);
}

/* ---- a tile ---- */

struct seen { /* how many keys of a tile the pairs of a strip see */
    int at[SCORES], least, most;
};

static void count_seen(const struct block *b, int pair, int n, int first, struct seen *seen)
{
    seen->least = TILE, seen->most = 0;
    for (int i = 0; i < n; i++) {
        seen->at[i] = max_int(0, min_int(TILE, b->work->keys[pair + i] - first));
        seen->least = min_int(seen->least, seen->at[i]);
        seen->most = max_int(seen->most, seen->at[i]);
    }
}

/* Scores of a pair, in row `at` of them, to weights; what was summed under another maximum is
 * brought to the new one. */
static void add_weights(const struct block *b, int pair, int at, int keys)
{
    int width = b->j->width;
    struct work *w = b->work;
    float *sum = w->sum + pair * width, *score = w->score + at * TILE, decay = 1.0f;
    if (BY_TILES(b->j))
        decay = CPU(amx_weights)(&w->running[pair], w->weight + at * TILE, score, keys);
    else if (keys > 0)
        decay = running_add(&w->running[pair], score, keys);
    if (decay == 1.0f) return;
    for (int d = 0; d < width; d += VEC_LANES)
        vec_store(sum + d, vec_load(DT_F32, sum + d) * vec_all(decay));
}

/* Keys [first, first + keys) of a head, and their values below, as products read them. */
static void load_keys(const struct job *j, void *to, struct mat k, struct visible visible,
                      int first, int keys, struct ahead *ahead)
{
    if (BY_TILES(j))
        CPU(amx_load_keys)(to, k, visible, first, keys, ahead);
    else
        load_panels(to, k, visible, first, keys, ahead);
}

static void load_values(const struct job *j, void *to, struct mat v, struct visible visible,
                        int first, int keys)
{
    struct ahead none = {0};
    if (BY_TILES(j))
        CPU(amx_load_values)(to, v, visible, first, keys, TILE, &none);
    else
        load_columns(to, v, visible, first, keys);
}

/* Bytes of a tile's keys, and of its values. */
static size_t keys_bytes(const struct job *j)
{
    return TILE * (j->bf16 ? (size_t)amx_inputs(j->dim) * sizeof(uint16_t)
                           : (size_t)j->dim * sizeof(float));
}

static size_t values_bytes(const struct job *j)
{
    size_t cols = (size_t)(j->dim + PANEL - 1) / PANEL * PANEL;
    return TILE * (j->bf16 ? (size_t)j->width * sizeof(uint16_t) : cols * sizeof(float));
}

/* Where tile t of the n-th of the heads that share is kept: its keys, then its values. */
static char *shared_at(const struct job *j, int n, int tile)
{
    size_t at = (size_t)n * (size_t)((j->shared.keys + TILE - 1) / TILE) + (size_t)tile;
    return (char *)j->a->work + at * (keys_bytes(j) + values_bytes(j));
}

/* Scores of pairs [pair, pair + n) with the first keys of what was loaded. */
static void compute_scores(const struct block *b, int pair, int n, float *score, const void *loaded,
                           int keys)
{
    struct work *w = b->work;
    int dim = b->j->dim;
    if (BY_TILES(b->j))
        CPU(amx_scores)(&w->tiles, score, w->q.bf16 + pair * amx_inputs(dim), loaded, n, dim, keys);
    else
        panel_scores(score, w->q.f32 + pair * dim, loaded, n, dim, keys);
}

/* Adds keys [begin, end) of the tile to pairs [pair, pair + n), whose weights begin at `weight`. */
static void add_f32(const struct block *b, int pair, int n, const float *weight, int begin, int end)
{
    int width = b->j->width;
    float *sum = b->work->sum + pair * width;
    struct keys_product p = {.a = weight + begin, .ldc = width, .lda = TILE, .ldb = PANEL, .m = n};
    p.k = end - begin;
    for (int d = 0; d < width && begin < end; d += PANEL) {
        p.b = (const float *)b->work->values + (d * TILE + begin * PANEL), p.c = sum + d;
        p.n = min_int(PANEL, width - d);
        product((struct product_kind){DT_F32, 1, 0, 0}, &p);
    }
}

/* Adds keys [begin, end) of the tile, whose values were loaded with that room, to pairs [pair,
 * pair + n), whose weights begin in row `at`. */
static void add_bf16(const struct block *b, int pair, int n, int at, const struct seen *seen,
                     const void *values, int room, int begin, int end)
{
    struct work *w = b->work;
    struct amx_sums s = {.sum = w->sum + pair * b->j->width, .pairs = n, .width = b->j->width};
    s.weight = w->weight + at * TILE;
    s.seen = seen->at + at, s.least = seen->least, s.most = seen->most;
    CPU(amx_add_values)(&w->tiles, &s, values, room, begin, end);
}

/* Pairs [pair, pair + n) go through the tile that was loaded. */
static void add_strip(const struct block *b, int pair, int n, int first)
{
    struct work *w = b->work;
    struct seen seen;
    count_seen(b, pair, n, first, &seen);
    compute_scores(b, pair, n, w->score, w->panels, seen.most);
    for (int i = 0; i < n; i++)
        add_weights(b, pair + i, i, seen.at[i]);
    if (BY_TILES(b->j)) {
        add_bf16(b, pair, n, 0, &seen, w->values, TILE, 0, TILE);
        return;
    }
    add_f32(b, pair, n, w->score, 0, seen.least);
    for (int i = 0; i < n; i++)
        add_f32(b, pair + i, 1, w->score + i * TILE, seen.least, seen.at[i]);
}

/* Keys and values of the next tile come while strips go through this one, a share at each. */
static void ask_share(const struct block *b, int first, int strip)
{
    int strips = (b->pairs + b->j->strip - 1) / b->j->strip, share = (TILE + strips - 1) / strips;
    int begin = strip * share, keys = min_int(share, TILE - begin);
    struct ahead k = ahead_of(heads_of(b, b->j->a->k), b->visible, first + begin, keys);
    struct ahead v = ahead_of(heads_of(b, b->j->a->v), b->visible, first + begin, keys);
    ahead_ask(&k, TILE * ATTN_MAX_DIM);
    ahead_ask(&v, TILE * ATTN_MAX_DIM);
}

/* The tile from `first` on, converted here unless all blocks share it. */
static void find_tile(const struct block *b, int first)
{
    struct work *w = b->work;
    struct ahead none = {0};
    int keys = min_int(TILE, b->visible.keys - first);
    if (b->j->shares) {
        const char *tile = shared_at(b->j, b->kv_head - b->j->first_head, first / TILE);
        w->panels = tile;
        w->values = tile + keys_bytes(b->j);
        return;
    }
    load_keys(b->j, w->panel, head_of(b, b->j->a->k, 0), b->visible, first, keys, &none);
    load_values(b->j, w->value, head_of(b, b->j->a->v, 0), b->visible, first, keys);
    w->panels = w->panel;
    w->values = w->value;
}

static void add_tile(const struct block *b, int first)
{
    find_tile(b, first);
    for (int pair = 0, strip = b->j->strip; pair < b->pairs; pair += strip) {
        if (!b->j->shares) ask_share(b, first + TILE, pair / strip);
        add_strip(b, pair, min_int(strip, b->pairs - pair), first);
    }
}

/* ---- a tile for few pairs: keys and values are read once, in the order of memory ---- */

static int can_stream(const struct job *j, int head_pairs)
{
    return head_pairs <= FEW && (j->bf16 || j->dim % (2 * VEC_LANES) == 0);
}

static int streams(const struct block *b)
{
    return can_stream(b->j, b->head_pairs);
}

static void stream_run(const struct block *b, struct mat v, int pair, int n, int first, int begin,
                       int end, struct ahead *ahead)
{
    int width = b->j->width;
    struct keys_product p = {.c = b->work->sum + pair * width, .ldc = width, .lda = TILE, .m = n};
    p.ldb = v.stride, p.n = width, p.ahead = ahead;
    for (int key = begin, next; key < end; key = next) { /* up to the gap, and behind it */
        int gap = b->visible.head - first;
        next = gap > key && gap < end ? gap : end;
        p.a = b->work->score + pair * TILE + key, p.k = next - key;
        p.b = mat_at(v, visible_slot(b->visible, first + key), 0);
        if (v.dtype == DT_F32)
            product((struct product_kind){DT_F32, 1, 0, 1}, &p);
        else
            product((struct product_kind){DT_BF16, 1, 1, 1}, &p);
    }
}

/* Keys [begin, end) of the tile, of one of the KV heads. */
static void stream_values(const struct block *b, int kv_head, const struct seen *seen, int first,
                          int begin, int end, struct ahead *ahead)
{
    struct mat v = head_of(b, b->j->a->v, kv_head);
    int n = b->head_pairs, pair = kv_head * n, all = max_int(begin, min_int(end, seen->least));
    if (BY_TILES(b->j)) {
        int keys = min_int(end - begin, b->visible.keys - first - begin);
        CPU(amx_load_values)(b->work->value, v, b->visible, first + begin, keys, AMX_STEP, ahead);
        add_bf16(b, pair, n, pair, seen, b->work->value, AMX_STEP, begin, end);
        return;
    }
    stream_run(b, v, pair, n, first, begin, all, ahead);
    for (int i = pair; i < pair + n; i++)
        stream_run(b, v, i, 1, first, all, min_int(end, seen->at[i]), ahead);
}

static void stream_tile(const struct block *b, int first)
{
    struct work *w = b->work;
    struct seen seen;
    int n = b->head_pairs, step = b->j->bf16 ? AMX_STEP : PANEL;
    count_seen(b, 0, b->pairs, first, &seen);
    for (int key = 0; key < seen.most; key += step) {
        struct ahead next = ahead_of(heads_of(b, b->j->a->k), b->visible, first + key + step, step);
        int keys = min_int(step, b->visible.keys - first - key);
        for (int h = 0; h < b->kv_heads; h++) {
            load_keys(b->j, w->panel, head_of(b, b->j->a->k, h), b->visible, first + key, keys,
                      &next);
            compute_scores(b, h * n, n, w->score + h * n * TILE + key, w->panel, keys);
        }
    }
    for (int i = 0; i < b->pairs; i++)
        add_weights(b, i, i, seen.at[i]);
    for (int key = 0; key < seen.most; key += step) {
        struct ahead next = ahead_of(heads_of(b, b->j->a->v), b->visible, first + key + step, step);
        for (int h = 0; h < b->kv_heads; h++)
            stream_values(b, h, &seen, first, key, key + step, &next);
    }
}

/* bf16 was widened in pairs of columns: the sums have the first of each pair, then the second. */
static void sort_columns(const struct block *b)
{
    for (int i = 0; i < b->pairs * b->j->width; i += 2 * VEC_LANES) {
        float *sum = b->work->sum + i, sorted[2 * VEC_LANES];
        for (int l = 0; l < VEC_LANES; l++) {
            sorted[2 * l] = sum[l];
            sorted[2 * l + 1] = sum[VEC_LANES + l];
        }
        memcpy(sum, sorted, sizeof sorted);
    }
}

static void run_segment(const struct block *b, int segment)
{
    struct work *w = b->work;
    int begin = segment * SEGMENT, end = min_int(begin + SEGMENT, b->visible.keys);
    memset(w->sum, 0, (size_t)(b->pairs * b->j->width) * sizeof *w->sum);
    for (int i = 0; i < b->pairs; i++)
        w->running[i] = RUNNING_EMPTY;
    if (BY_TILES(b->j)) CPU(amx_begin)(&w->tiles, b->head_pairs);
    for (int first = begin; first < end; first += TILE)
        if (streams(b))
            stream_tile(b, first);
        else
            add_tile(b, first);
    if (BY_TILES(b->j)) {
        CPU(amx_end)(&w->tiles, w->sum, b->pairs * b->j->width);
    } else if (streams(b) && b->j->a->v.dtype == DT_BF16) {
        sort_columns(b);
    }
}

/* ---- segments to rows ---- */

/* sum, of n values, and what it counts for are added to a total. */
static void merge(struct running *total, float *total_sum, struct running r, const float *sum,
                  int n)
{
    float from_total, from_sum;
    running_merge(total, r, &from_total, &from_sum);
    for (int d = 0; d < n; d++)
        total_sum[d] = madd(total_sum[d], from_total, sum[d] * from_sum);
}

static void merge_segment(const struct block *b, int segment)
{
    struct work *w = b->work;
    int width = b->j->width;
    for (int i = 0; i < b->pairs; i++)
        if (w->keys[i] > segment * SEGMENT)
            merge(&w->running_total[i], w->total + i * width, w->running[i], w->sum + i * width,
                  width);
}

static void store(struct mat out, int row, int col, float *total, float weight, int n)
{
    float scale = 1.0f / weight;
    for (int d = 0; d < n; d++)
        total[d] *= scale;
    block_store(out.dtype, mat_at(out, row, col), total, n);
}

static int pair_row(const struct block *b, int pair)
{
    return b->row + pair % b->head_pairs / b->j->group;
}

static int pair_head(const struct block *b, int pair)
{
    return (b->kv_head + pair / b->head_pairs) * b->j->group + pair % b->j->group;
}

static void load_head_queries(const struct block *b, int h)
{
    const struct attn *a = b->j->a;
    struct work *w = b->work;
    int first = h * b->head_pairs, group = b->j->group, dim = b->j->dim, head = b->kv_head + h;
    if (BY_TILES(b->j)) {
        uint16_t *to = w->q.bf16 + first * amx_inputs(dim);
        CPU(amx_load_queries)(to, a->q, b->row, b->rows, head, group, dim, a->scale);
    } else {
        load_queries(w->q.f32 + first * dim, a->q, b->row, b->rows, head, group, dim, a->scale);
    }
}

static void begin_block(struct block *b)
{
    const struct attn *a = b->j->a;
    struct work *w = b->work;
    b->head_pairs = b->rows * b->j->group;
    b->pairs = b->kv_heads * b->head_pairs;
    for (int h = 0; h < b->kv_heads; h++)
        load_head_queries(b, h);
    for (int i = 0; i < b->pairs; i++)
        w->keys[i] = visible_of(a->span.at[pair_row(b, i)]).keys;
}

static void run_block(const struct block *b)
{
    struct work *w = b->work;
    int width = b->j->width, dim = b->j->dim;
    memset(w->total, 0, (size_t)(b->pairs * width) * sizeof *w->total);
    for (int i = 0; i < b->pairs; i++)
        w->running_total[i] = RUNNING_EMPTY;
    for (int s = 0; s < segments_of(b->visible.keys); s++) {
        run_segment(b, s);
        merge_segment(b, s);
    }
    for (int i = 0; i < b->pairs; i++)
        store(b->j->a->out, pair_row(b, i), pair_head(b, i) * dim, w->total + i * width,
              w->running_total[i].weight, dim);
}

/* ---- few rows: a segment is an item, and its sums are kept until all are there ---- */

static size_t kept_floats(int width)
{
    return (size_t)width + sizeof(struct running) / sizeof(float);
}

/* [width] sums, then what they count for. */
static float *kept_at(const struct job *j, int row, int head, int segment)
{
    size_t pair = (size_t)row * (size_t)j->a->heads + (size_t)head;
    return (float *)j->a->work +
           (pair * (size_t)j->segments + (size_t)segment) * kept_floats(j->width);
}

static void keep_segment(const struct block *b, int segment)
{
    int width = b->j->width;
    for (int i = 0; i < b->pairs; i++) {
        float *kept = kept_at(b->j, pair_row(b, i), pair_head(b, i), segment);
        memcpy(kept, b->work->sum + i * width, (size_t)width * sizeof *kept);
        memcpy(kept + width, &b->work->running[i], sizeof b->work->running[i]);
    }
}

static void merge_kept(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int pair = begin; pair < end; pair++) {
        int row = pair / j->a->heads, head = pair % j->a->heads;
        int segments = segments_of(visible_of(j->a->span.at[row]).keys);
        struct running total = RUNNING_EMPTY, r;
        float sum[ATTN_MAX_DIM] = {0};
        for (int s = 0; s < segments; s++) {
            const float *kept = kept_at(j, row, head, s);
            memcpy(&r, kept + j->width, sizeof r);
            merge(&total, sum, r, kept, j->width);
        }
        store(j->a->out, row, head * j->dim, sum, total.weight, j->dim);
    }
}

/* ---- many rows: tiles are converted once ---- */

static void share_tiles(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    int tiles = (j->shared.keys + TILE - 1) / TILE;
    (void)worker;
    for (int item = begin; item < end; item++) {
        int first = item % tiles * TILE, keys = min_int(TILE, j->shared.keys - first);
        int col = (j->first_head + item / tiles) * j->dim;
        char *at = shared_at(j, item / tiles, item % tiles);
        struct ahead none = {0};
        load_keys(j, at, mat_cols(j->a->k, col, j->dim), j->shared, first, keys, &none);
        load_values(j, at + keys_bytes(j), mat_cols(j->a->v, col, j->dim), j->shared, first, keys);
    }
}

/* How many KV heads share at a time; 0: there are too few rows. */
static int sharing_heads(int n, int heads, int kv_heads, int slots)
{
    if ((int64_t)n * (heads / kv_heads) < SHARE_BLOCKS * PAIRS) return 0;
    return max_int(1, min_int(kv_heads, SHARE_KEYS / slots));
}

/* ---- items ---- */

static void run_part(struct block *b, int part, int segment)
{
    const struct attn *a = b->j->a;
    int row_end = min_int((part + 1) * b->j->part_rows, a->q.rows);
    for (b->row = part * b->j->part_rows; b->row < row_end; b->row += b->rows) {
        b->rows = visible_run(a->span.at + b->row, row_end - b->row, &b->visible);
        begin_block(b);
        if (!b->j->segments) {
            run_block(b);
        } else if (segment < segments_of(b->visible.keys)) {
            run_segment(b, segment);
            keep_segment(b, segment);
        }
    }
}

/* Neighbours are the parts, which share keys and values, then the segments. */
static void run_items(void *arg, int begin, int end, int worker)
{
    const struct job *j = arg;
    struct block b = {.j = j, .work = cpu_work(j->q, worker)};
    int segments = max_int(1, j->segments);
    for (int item = begin; item < end; item++) {
        int head = item / j->parts / segments * j->part_heads;
        b.kv_head = j->first_head + head;
        b.kv_heads = min_int(j->part_heads, j->heads - head);
        run_part(&b, item % j->parts, item / j->parts % segments);
    }
}

static int parts_of(int n, int size)
{
    return (n + size - 1) / size;
}

static int items_of(const struct job *j)
{
    return j->parts * max_int(1, j->segments) * parts_of(j->heads, j->part_heads);
}

/* Blocks as large as leave each thread some. */
static void choose_parts(struct job *j)
{
    const struct attn *a = j->a;
    int rows = a->q.rows, enough = 4 * pool_threads(j->q->env->pool), most = 0;
    j->heads = sharing_heads(rows, a->heads, a->kv_heads, a->k.rows);
    j->shares = j->heads && visible_run(a->span.at, rows, &j->shared) == rows;
    if (!j->shares) j->heads = a->kv_heads;
    j->part_heads = 1;
    j->part_rows = min_int(PAIRS / j->group, rows);
    while (j->part_rows > 1 && j->part_rows * j->group > 2 * STRIP &&
           parts_of(rows, j->part_rows) * j->heads < enough)
        j->part_rows = (j->part_rows + 1) / 2;
    j->parts = parts_of(rows, j->part_rows);
    for (int i = 0; i < rows && rows <= SPREAD_ROWS; i++)
        most = max_int(most, segments_of(visible_of(a->span.at[i]).keys));
    if (most > 1) j->segments = most;
    if (can_stream(j, j->part_rows * j->group))
        j->part_heads = min_int(a->kv_heads, SCORES / (j->part_rows * j->group));
    while (j->part_heads > 1 && items_of(j) < enough)
        j->part_heads = (j->part_heads + 1) / 2;
}

/* As much as is enough for fewer rows and slots, too, because a pass may leave rows out as it goes
 * on; and the same for each instruction set. */
size_t CPU(attention_work)(const struct device *d, int n, int heads, int kv_heads, int dim,
                           int slots)
{
    int tiles = parts_of(slots, TILE), most = max_int(SHARE_KEYS / TILE + kv_heads, tiles);
    int wide = (dim + 63) / 64 * 64; /* the panels of every instruction set */
    size_t kept = 0, shared = 0;
    (void)d;
    if (segments_of(slots) > 1)
        kept = (size_t)min_int(n, SPREAD_ROWS) * (size_t)heads * (size_t)segments_of(slots) *
               kept_floats(wide);
    if (sharing_heads(n, heads, kv_heads, slots) > 0)
        shared = (size_t)(TILE * (dim + wide)) * (size_t)min_int(kv_heads * tiles, most);
    return (kept > shared ? kept : shared) * sizeof(float);
}

void CPU(attention)(struct queue *q, const struct attn *a)
{
    struct job j = {.q = q, .a = a, .group = a->heads / a->kv_heads, .dim = a->q.cols / a->heads};
    _Static_assert(sizeof(struct work) <= CPU_WORK_BYTES, "a worker's area holds a block");
    _Static_assert(PAIRS >= ATTN_MAX_GROUP, "a block holds a row");
    _Static_assert(PAIRS % AMX_STRIP == 0 && SCORES % AMX_STRIP == 0 && SCORES >= STRIP &&
                       TILE % AMX_STEP == 0 && FEW <= 16,
                   "tile registers stay inside");
    if (a->q.rows == 0) return;
    j.bf16 = CPU_AMX && a->products == DT_BF16;
    j.width = j.bf16 ? amx_width(j.dim) : parts_of(j.dim, VEC_LANES) * VEC_LANES;
    j.strip = j.bf16 ? AMX_STRIP : STRIP;
    choose_parts(&j);
    assert((!j.segments && !j.shares) || a->work);
    for (int step = j.heads; j.first_head < a->kv_heads; j.first_head += step) {
        j.heads = min_int(step, a->kv_heads - j.first_head);
        if (j.shares)
            pool_for(q->env->pool, j.heads * parts_of(j.shared.keys, TILE), 1, share_tiles, &j);
        pool_for(q->env->pool, items_of(&j), 1, run_items, &j);
    }
    if (j.segments) pool_for(q->env->pool, a->q.rows * a->heads, 1, merge_kept, &j);
}
