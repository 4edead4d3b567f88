/* cpu_keys.h - what attention and score share: query rows times tiles of the keys they see.
 *
 * A pair is a row and a query head. Tile t of a row holds keys [TILE t, TILE (t + 1)) of those it
 * sees, wherever their slots lie (struct visible). The score of a pair and a key is one chain of
 * multiply-adds over the head's values in ascending order, whatever is computed beside it. */
#ifndef KERNELS_CPU_CPU_KEYS_H
#define KERNELS_CPU_CPU_KEYS_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_vec.h"

#define TILE 128              /* keys */
#define SEGMENT 512           /* keys that are summed on their own: a multiple of TILE */
#define PANEL (4 * VEC_LANES) /* keys, or columns of values, that lie side by side */
#define STRIP 24              /* pairs that go through a tile together */

/* Lines of memory that are asked for ahead of their use, in the order of memory: where rows of many
 * heads lie side by side, the order of use is too scattered for a CPU to foresee. */
struct ahead {
    const char *line;
    size_t skip;               /* from the end of a row to the next one */
    int row_lines, left, rows; /* left: lines of this row */
};

/* Rows of keys [first, first + n), as far as they exist. */
static inline struct ahead ahead_of(struct mat m, struct visible v, int first, int n)
{
    size_t bytes = mat_bytes(m.dtype, 1, m.cols), lines = (bytes + 63) / 64;
    struct ahead a = {.rows = max_int(0, min_int(n, v.keys - first))};
    if (a.rows == 0) return a;
    a.line = mat_at(m, visible_slot(v, first), 0);
    a.row_lines = a.left = (int)lines;
    a.skip = mat_bytes(m.dtype, 1, m.stride) - lines * 64;
    return a;
}

VEC_INLINE void ahead_ask(struct ahead *a, int lines)
{
    for (int i = 0; i < lines && a->rows > 0; i++) {
        __builtin_prefetch(a->line);
        a->line += 64;
        if (--a->left > 0) continue;
        a->line += a->skip;
        a->left = a->row_lines;
        a->rows--;
    }
}

/* c[m, n] (+)= a[m, k] b[k, n], k ascending for each element. n is a multiple of VEC_LANES. */
struct keys_product {
    float *c;
    const float *a;
    const void *b;
    int ldc, lda, ldb, m, k, n;
    struct ahead *ahead;
};

/* How a product is computed; constants where functions are expanded. */
struct product_kind {
    enum dtype dtype; /* of b */
    int add;          /* to c */
    int pairs; /* bf16 columns are widened in pairs: c has the first of each, then the second */
    int asks;  /* for what p->ahead says */
};

VEC_INLINE void product_right(struct product_kind kind, vec *right, const char *b, int vecs)
{
    VEC_EACH(i, vecs)
    {
        if (!kind.pairs) {
            right[i] = vec_load(kind.dtype, b + (size_t)(i * VEC_LANES) * dtype_size(kind.dtype));
        } else if (i % 2 == 0) {
            vec pairs = vec_load(DT_F32, b + (size_t)(i * VEC_LANES) * dtype_size(DT_BF16));
            right[i] = vec_pair_first(pairs);
            right[i + 1] = vec_pair_second(pairs);
        }
    }
}

VEC_INLINE void product_tile(struct product_kind kind, const struct keys_product *p, int row,
                             int col, int rows, int vecs)
{
    const size_t size = dtype_size(kind.dtype), ldb = (size_t)p->ldb * size;
    const char *b = (const char *)p->b + (size_t)col * size;
    const float *a = p->a + row * p->lda;
    float *c = p->c + row * p->ldc + col;
    vec sum[6][4], right[4];
    VEC_EACH(r, rows)
    {
        VEC_EACH(i, vecs)
        {
            sum[r][i] = kind.add ? vec_load(DT_F32, c + r * p->ldc + i * VEC_LANES) : vec_zero();
        }
    }
    for (int k = 0; k < p->k; k++, b += ldb) {
        if (kind.asks) ahead_ask(p->ahead, max_int(1, vecs * VEC_LANES * (int)size / 64));
        product_right(kind, right, b, vecs);
        VEC_EACH(r, rows)
        {
            vec left = vec_all(a[r * p->lda + k]);
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
            vec_store(c + r * p->ldc + i * VEC_LANES, sum[r][i]);
        }
    }
}

/* Register tiles as wide as the registers allow, and sums enough to hide the latency. */
VEC_INLINE void product_rows(struct product_kind kind, const struct keys_product *p, int row,
                             int rows)
{
    const int vecs = VEC_LANES == 16 || rows <= 2 ? 4 : 2, rest = kind.pairs ? 2 : 1;
    int col = 0;
    for (; col + vecs * VEC_LANES <= p->n; col += vecs * VEC_LANES)
        product_tile(kind, p, row, col, rows, vecs);
    for (; col < p->n; col += rest * VEC_LANES)
        product_tile(kind, p, row, col, rows, rest);
}

VEC_INLINE void product(struct product_kind kind, const struct keys_product *p)
{
    int row = 0;
    for (; row + 6 <= p->m; row += 6)
        product_rows(kind, p, row, 6);
    for (; row + 4 <= p->m; row += 4)
        product_rows(kind, p, row, 4);
    for (; row + 2 <= p->m; row += 2)
        product_rows(kind, p, row, 2);
    for (; row < p->m; row++)
        product_rows(kind, p, row, 1);
}

static inline void product_f32(const struct keys_product *p)
{
    product((struct product_kind){DT_F32, 0, 0, 0}, p);
}

#define SQUARE_LINES (VEC_LANES * VEC_LANES / 16)

/* Values [d, d + n) of VEC_LANES keys, n at most VEC_LANES, to n rows of the panel. */
VEC_INLINE void load_square(float *panel, enum dtype dtype, const char *const at[VEC_LANES], int d,
                            int n)
{
    vec square[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++) {
        const char *from = at[i] + (size_t)d * dtype_size(dtype);
        square[i] = n == VEC_LANES ? vec_load(dtype, from) : vec_load_n(dtype, from, n);
    }
    vec_transpose(square);
    for (int i = 0; i < n; i++)
        vec_store(panel + (d + i) * PANEL, square[i]);
}

/* 2 VEC_LANES bf16 values of each key: they are turned in pairs and widened after that. */
VEC_INLINE void load_pairs(float *panel, const char *const at[VEC_LANES], int d)
{
    vec square[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++)
        square[i] = vec_load(DT_F32, at[i] + (size_t)d * dtype_size(DT_BF16));
    vec_transpose(square);
    for (int i = 0; i < VEC_LANES; i++) {
        vec_store(panel + (d + 2 * i) * PANEL, vec_pair_first(square[i]));
        vec_store(panel + (d + 2 * i + 1) * PANEL, vec_pair_second(square[i]));
    }
}

/* Keys [first, first + n) of a head to [dim][PANEL]; of fewer than a panel the last is repeated.
 * ahead: as many lines as are loaded are asked for. */
static inline void load_panel(float *panel, struct mat k, struct visible v, int first, int n,
                              struct ahead *ahead)
{
    for (int key = 0; key < PANEL; key += VEC_LANES) {
        const char *at[VEC_LANES];
        int d = 0;
        for (int i = 0; i < VEC_LANES; i++)
            at[i] = mat_at(k, visible_slot(v, first + min_int(key + i, n - 1)), 0);
        for (; k.dtype == DT_BF16 && d + 2 * VEC_LANES <= k.cols; d += 2 * VEC_LANES) {
            ahead_ask(ahead, SQUARE_LINES);
            load_pairs(panel + key, at, d);
        }
        for (; d + VEC_LANES <= k.cols; d += VEC_LANES) {
            ahead_ask(ahead, SQUARE_LINES);
            load_square(panel + key, k.dtype, at, d, VEC_LANES);
        }
        if (d < k.cols) load_square(panel + key, k.dtype, at, d, k.cols - d);
    }
}

/* The same, of as many panels as n keys take. */
static inline void load_panels(float *panels, struct mat k, struct visible v, int first, int n,
                               struct ahead *ahead)
{
    for (int key = 0; key < n; key += PANEL)
        load_panel(panels + key * k.cols, k, v, first + key, n - key, ahead);
}

/* Scores of m pairs, [m][TILE], with the first n keys of panels. */
static inline void panel_scores(float *score, const float *q, const float *panels, int m, int dim,
                                int n)
{
    struct keys_product p = {
        .a = q, .lda = dim, .ldb = PANEL, .ldc = TILE, .m = m, .k = dim, .n = PANEL};
    for (int key = 0; key < n; key += PANEL) {
        p.b = panels + key * dim, p.c = score + key;
        product_f32(&p);
    }
}

/* Values of keys [first, first + n) of a head, n at most TILE: [columns / PANEL][TILE][PANEL]. */
static inline void load_columns(float *to, struct mat v, struct visible visible, int first, int n)
{
    for (int i = 0; i < n; i++) {
        int slot = visible_slot(visible, first + i);
        for (int d = 0; d < v.cols; d += VEC_LANES) {
            int cols = min_int(VEC_LANES, v.cols - d);
            const void *from = mat_at(v, slot, d);
            vec_store(to + (d / PANEL * TILE + i) * PANEL + d % PANEL,
                      cols == VEC_LANES ? vec_load(v.dtype, from)
                                        : vec_load_n(v.dtype, from, cols));
        }
    }
}

/* A running softmax of one pair: the largest score so far and the sum of the weights under it.
 * Scores are in units of ln 2: a weight is 2^(score - max). */
struct running {
    float max, weight;
};

#define RUNNING_EMPTY ((struct running){-INFINITY, 0.0f})
#define PART_VECS (PARTS / VEC_LANES)

static inline float weight_of(float score, float max)
{
    return vec_exp2(vec_all(score - max))[0];
}

/* The largest of max and n scores, a multiple of PARTS. */
static inline float scores_max(const float *score, int n, float max)
{
    float lane[PARTS];
    vec part[PART_VECS];
    VEC_EACH(l, PART_VECS)
    {
        part[l] = vec_all(max);
    }
    for (int i = 0; i < n; i += PARTS)
        VEC_EACH(l, PART_VECS)
        {
            part[l] = vec_max(vec_load(DT_F32, score + i + l * VEC_LANES), part[l]);
        }
    VEC_EACH(l, PART_VECS)
    {
        vec_store(lane + l * VEC_LANES, part[l]);
    }
    for (int l = 0; l < PARTS; l++)
        max = lane[l] > max ? lane[l] : max;
    return max;
}

/* n scores, a multiple of PARTS, to weights; returns their sum. */
static inline float scores_to_weights(float *score, int n, float max)
{
    float lane[PARTS];
    vec part[PART_VECS];
    VEC_EACH(l, PART_VECS)
    {
        part[l] = vec_zero();
    }
    for (int i = 0; i < n; i += PARTS)
        VEC_EACH(l, PART_VECS)
        {
            float *at = score + i + l * VEC_LANES;
            vec weight = vec_exp2(vec_load(DT_F32, at) - vec_all(max));
            vec_store(at, weight);
            part[l] = part[l] + weight;
        }
    VEC_EACH(l, PART_VECS)
    {
        vec_store(lane + l * VEC_LANES, part[l]);
    }
    return parts_sum(lane);
}

static inline int whole_parts(int n)
{
    return (n + PARTS - 1) / PARTS * PARTS;
}

/* The maximum with scores [0, keys) of a tile, those behind them up to whole parts to -infinity.
 * What was summed before counts by the returned factor. */
static inline float running_raise(struct running *s, float *score, int keys)
{
    float before = s->max;
    for (int i = keys; i < whole_parts(keys); i++)
        score[i] = -INFINITY;
    s->max = scores_max(score, whole_parts(keys), before);
    return weight_of(before, s->max);
}

/* Scores [0, keys) of a tile to weights, those behind them up to whole parts to 0; returns the same
 * factor. */
static inline float running_add(struct running *s, float *score, int keys)
{
    float decay = running_raise(s, score, keys);
    s->weight = madd(s->weight, decay, scores_to_weights(score, whole_parts(keys), s->max));
    return decay;
}

/* How much either counts for when b's keys, which follow those of a, are added to a. */
static inline void running_merge(struct running *a, struct running b, float *from_a, float *from_b)
{
    float max = b.max > a->max ? b.max : a->max;
    *from_a = weight_of(a->max, max);
    *from_b = weight_of(b.max, max);
    *a = (struct running){max, madd(a->weight, *from_a, b.weight * *from_b)};
}

static inline int segments_of(int keys)
{
    return (keys + SEGMENT - 1) / SEGMENT;
}

/* Scaled to units of ln 2. */
static inline void load_query(float *to, struct mat q, int row, int head, int dim, float scale)
{
    const float unit = scale * 1.44269504f, *from = mat_at(q, row, head * dim);
    for (int d = 0; d < dim; d++)
        to[d] = from[d] * unit;
}

/* Rows of pairs [0, rows * group) for a KV head: [pair][dim]. */
static inline void load_queries(float *to, struct mat q, int row, int rows, int head, int group,
                                int dim, float scale)
{
    for (int i = 0; i < rows * group; i++)
        load_query(to + i * dim, q, row + i / group, head * group + i % group, dim, scale);
}

#endif
