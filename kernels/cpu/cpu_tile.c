/* cpu_tile.c - register tiles: some rows of x times some panels of 16 outputs.
 *
 * Every (row, output) has one accumulator, which takes the products of a chunk of inputs in
 * ascending order and is then added to a total. Weights of whole numbers meet x in 16 bits: their
 * sums are whole numbers, too, exact in 32 bits (cpu_matmul.c). Which rows and panels are a tile
 * never changes how a sum is made. So one row has the bits that it has among many, and as nothing
 * is summed across lanes, sets of other vector lengths have them, too. */
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_vec_weight.h"

#include <stddef.h>

/* A register tile: rows times panels, and how many panels few rows take so that there are enough
 * sums to wait for none. */
#if VEC_LANES == 16
#define TILE_PANELS(rows) ((rows) == 1 ? 8 : (rows) <= 3 ? 4 : 2)
#elif VEC_LANES == 8
#define TILE_PANELS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)
#else
#define TILE_PANELS(rows) ((rows) == 1 ? 2 : 1)
#endif

#if VLQA_SANITIZED /* takes minutes to compile unrolled */
#define EACH(i, n) for (int i = 0; i < (n); i++)
#elif defined(__clang__)
#define EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

VEC_INLINE int is_words(enum kind kind) /* whole numbers in 16 bits */
{
    return kind == KIND_INT8 || kind == KIND_INT4;
}

/* sum, and in each lane the products of two inputs of a row of x and of an output. */
VEC_INLINE vec pair_dot(enum kind kind, vec_ints x, vec_ints w, vec sum)
{
#ifdef __AVX512BF16__
    if (kind == KIND_PAIRS) return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
#endif
    (void)kind;
    return (vec)vec_dot_words(x, w, (vec_ints)sum);
}

/* Below, kind, rows and panels are constants where functions are expanded: sums stay in registers.
 */

struct sums {
    vec at[TILE_ROWS][8 * PANEL_VECS];
};

/* One row: a vector of weights is used as soon as it is there, so many of them are sums at once. */
VEC_INLINE void add_eight_to_row(enum kind kind, int panels, struct sums *sum, const struct part *p,
                                 const uint8_t *at, const float *x)
{
    EACH(i, 8)
    {
        vec a = vec_all(x[i]);
        EACH(v, panels * PANEL_VECS)
        {
            vec w = weight_vec((enum weight_format)kind,
                               at + (size_t)(v / PANEL_VECS) * p->panel_bytes, i, v % PANEL_VECS);
            sum->at[0][v] = vec_madd(a, w, sum->at[0][v]);
        }
    }
}

VEC_INLINE void add_eight(enum kind kind, int rows, int panels, struct sums *sum,
                          const struct part *p, const uint8_t *at, int row, int k)
{
    const float *x = (const float *)p->x + row * p->ldx + k;
    if (rows == 1) {
        add_eight_to_row(kind, panels, sum, p, at, x);
        return;
    }
    EACH(i, 8)
    {
        vec w[8 * PANEL_VECS];
        EACH(v, panels * PANEL_VECS)
        {
            w[v] = weight_vec((enum weight_format)kind,
                              at + (size_t)(v / PANEL_VECS) * p->panel_bytes, i, v % PANEL_VECS);
        }
        EACH(r, rows)
        {
            vec a = vec_all(x[r * p->ldx + i]);
            EACH(v, panels * PANEL_VECS)
            {
                sum->at[r][v] = vec_madd(a, w[v], sum->at[r][v]);
            }
        }
    }
}

VEC_INLINE vec_ints pair_weights(enum kind kind, const struct part *p, const uint8_t *at, int i,
                                 int v)
{
    at += (size_t)(v / PANEL_VECS) * p->panel_bytes;
    if (kind != KIND_PAIRS) return weight_words((enum weight_format)kind, at, i, v % PANEL_VECS);
    return vec_load_ints(at + (size_t)(i * PANEL + v % PANEL_VECS * VEC_LANES) * sizeof(uint32_t));
}

VEC_INLINE vec_ints pair_inputs(const uint16_t *x)
{
    int32_t both;
    memcpy(&both, x, sizeof both);
    return both - (vec_ints){0};
}

VEC_INLINE void add_four_pairs_to_row(enum kind kind, int panels, struct sums *sum,
                                      const struct part *p, const uint8_t *at, const uint16_t *x)
{
    EACH(i, 4)
    {
        vec_ints both = pair_inputs(x + 2 * i);
        if (kind != KIND_PAIRS) __asm__("" : "+r"(at)); /* words are loaded again, not kept */
        EACH(v, panels * PANEL_VECS)
        {
            vec_ints w = pair_weights(kind, p, at, i, v);
            sum->at[0][v] = pair_dot(kind, both, w, sum->at[0][v]);
        }
    }
}

VEC_INLINE void add_four_pairs(enum kind kind, int rows, int panels, struct sums *sum,
                               const struct part *p, const uint8_t *at, int row, int k)
{
    const uint16_t *x = (const uint16_t *)p->x + row * p->ldx + k;
    if (rows == 1) {
        add_four_pairs_to_row(kind, panels, sum, p, at, x);
        return;
    }
    EACH(i, 4)
    {
        vec_ints w[8 * PANEL_VECS];
        if (kind != KIND_PAIRS) __asm__("" : "+r"(at));
        EACH(v, panels * PANEL_VECS)
        {
            w[v] = pair_weights(kind, p, at, i, v);
        }
        EACH(r, rows)
        {
            vec_ints both = pair_inputs(x + r * p->ldx + 2 * i);
            EACH(v, panels * PANEL_VECS)
            {
                sum->at[r][v] = pair_dot(kind, both, w[v], sum->at[r][v]);
            }
        }
    }
}

/* chunk += scale (sum - zero x), of a group of INT4 and x the sum of its inputs: the difference is
 * exact. */
VEC_INLINE void add_group(int rows, int panels, struct sums *chunk, const struct sums *sum,
                          const struct part *p, const uint8_t *group, int row, int k)
{
    const float *x = p->sum + row * (CHUNK / WEIGHT_GROUP) + k / WEIGHT_GROUP;
    EACH(v, panels * PANEL_VECS)
    {
        const struct int4_group *g =
            (const void *)(group + (size_t)(v / PANEL_VECS) * p->panel_bytes);
        int o = v % PANEL_VECS * VEC_LANES;
        vec scale = vec_load(DT_BF16, g->scale + o), zero = vec_uint8(g->zero + o);
        EACH(r, rows)
        {
            vec s = vec_madd(vec_all(-x[r * (CHUNK / WEIGHT_GROUP)]), zero,
                             vec_from_ints((vec_ints)sum->at[r][v]));
            chunk->at[r][v] = vec_madd(scale, s, chunk->at[r][v]);
        }
    }
}

VEC_INLINE void clear_sums(int rows, int panels, struct sums *sum)
{
    EACH(r, rows)
    {
        EACH(v, panels * PANEL_VECS)
        {
            sum->at[r][v] = vec_zero();
        }
    }
}

/* total += sum: whole numbers as the floats nearest to them, times the scale of x. */
VEC_INLINE void add_to_totals(enum kind kind, int rows, int panels, const struct sums *sum,
                              const struct part *p, int row, float *out)
{
    EACH(r, rows)
    {
        vec scale = vec_all(is_words(kind) ? p->scale[row + r] : 1.0f);
        EACH(v, panels * PANEL_VECS)
        {
            float *to = out + r * p->ldo + v * VEC_LANES;
            vec s = sum->at[r][v];
            if (kind == KIND_INT8) s = vec_from_ints((vec_ints)s);
            vec_store(to, vec_madd(scale, s, p->first ? vec_zero() : vec_load(DT_F32, to)));
        }
    }
}

/* Few rows take as long as their weights take to come. A CPU foresees neither where the next panels
 * lie nor the next chunk of the first ones, so what is `ahead` is asked for: as many lines as are
 * used. */
VEC_INLINE void ask_ahead(int panels, const struct part *p, const uint8_t *at, ptrdiff_t ahead,
                          size_t bytes)
{
    EACH(v, panels)
    {
        const uint8_t *line = at + (size_t)v * p->panel_bytes + ahead;
        EACH(i, (int)(bytes / 64))
        {
            __builtin_prefetch(line + i * 64);
        }
    }
}

VEC_INLINE void add_inputs(enum kind kind, int rows, int panels, struct sums *sum,
                           const struct part *p, const uint8_t *at, int row, int k, int inputs,
                           ptrdiff_t ahead)
{
    const size_t eight = kind == KIND_PAIRS ? PANEL * 16 : weight_eight((enum weight_format)kind);
    for (int i = 0; i < inputs; i += 8) {
        const uint8_t *w = at + (size_t)(i / 8) * eight;
        if (rows <= 3 && is_words(kind)) ask_ahead(panels, p, w, ahead, eight);
        if (kind == KIND_PAIRS || is_words(kind))
            add_four_pairs(kind, rows, panels, sum, p, w, row, k + i);
        else
            add_eight(kind, rows, panels, sum, p, w, row, k + i);
    }
}

VEC_INLINE void tile(enum kind kind, int rows, int panels, const struct part *p, int row, int panel,
                     ptrdiff_t ahead)
{
    const uint8_t *at = p->w + (size_t)panel * p->panel_bytes;
    struct sums sum;
    clear_sums(rows, panels, &sum);
    if (kind == KIND_INT4) {
        struct sums group;
        for (int k = 0; k < p->inputs; k += WEIGHT_GROUP, at += sizeof(struct int4_group)) {
            clear_sums(rows, panels, &group);
            add_inputs(kind, rows, panels, &group, p, at, row, k, WEIGHT_GROUP, ahead);
            add_group(rows, panels, &sum, &group, p, at, row, k);
        }
    } else {
        add_inputs(kind, rows, panels, &sum, p, at, row, 0, p->inputs, ahead);
    }
    add_to_totals(kind, rows, panels, &sum, p, row, p->out + row * p->ldo + panel * PANEL);
}

/* Rows that are no whole tile, or few. */
VEC_INLINE void few(enum kind kind, int rows, const struct part *p, int row)
{
    const int step = TILE_PANELS(rows);
    const ptrdiff_t next = step * (ptrdiff_t)p->panel_bytes;
    int panel = 0;
    for (; panel + step <= p->panels; panel += step) {
        ptrdiff_t back = (ptrdiff_t)p->chunk_bytes - panel * (ptrdiff_t)p->panel_bytes;
        tile(kind, rows, step, p, row, panel, panel + 2 * step <= p->panels ? next : back);
    }
    for (; step > 1 && panel < p->panels; panel++)
        tile(kind, rows, 1, p, row, panel, (ptrdiff_t)p->panel_bytes);
}

/* Lines of x for the next chunk, one for each panel, are asked for while this one is multiplied:
 * beside products that are twice as fast, waiting for them counts. */
VEC_INLINE void ask_next(const struct part *p, int row, int panel, int panels)
{
    EACH(r, TILE_ROWS)
    {
        EACH(v, panels)
        {
            __builtin_prefetch(p->next + (size_t)(row + r) * p->next_stride +
                               (size_t)(panel + v) * 64);
        }
    }
}

VEC_INLINE void whole(enum kind kind, int panels, const struct part *p, int rows, int panel)
{
    for (int row = 0; row < rows; row += TILE_ROWS) {
        if (is_words(kind) && p->next) ask_next(p, row, panel, panels);
        tile(kind, TILE_ROWS, panels, p, row, panel, 0);
    }
}

/* Whole tiles keep a panel in the first-level cache while all rows pass by it. */
VEC_INLINE void part_of(enum kind kind, const struct part *p)
{
    const int step = TILE_PANELS(TILE_ROWS);
    int row = p->rows / TILE_ROWS * TILE_ROWS, panel = 0;
    for (; row && panel + step <= p->panels; panel += step)
        whole(kind, step, p, row, panel);
    for (; row && panel < p->panels; panel++)
        whole(kind, 1, p, row, panel);
    while (row < p->rows) {
        switch (p->rows - row) {
        case 1:
            few(kind, 1, p, row);
            return;
        case 2:
            few(kind, 2, p, row);
            return;
#if TILE_ROWS > 3
        case 3:
            few(kind, 3, p, row);
            return;
        case 5:
            few(kind, 5, p, row);
            return;
        case 4:
#if TILE_ROWS > 6
        case 7:
#endif
            few(kind, 4, p, row);
            row += 4;
            break;
#endif
#if TILE_ROWS > 6
        default:
            few(kind, 6, p, row);
            row += 6;
#endif
        }
    }
}

/* A function for each kind: sanitizers give every expanded tile its own place on the stack. */
#define PART_OF(name, kind)                                          \
    static __attribute__((noinline)) void name(const struct part *p) \
    {                                                                \
        part_of(kind, p);                                            \
    }
PART_OF(part_f32, KIND_F32)
PART_OF(part_bf16, KIND_BF16)
PART_OF(part_f16, KIND_F16)
PART_OF(part_int8, KIND_INT8)
PART_OF(part_int4, KIND_INT4)
#if CPU_PAIRS && !CPU_AMX
PART_OF(part_pairs, KIND_PAIRS)
#endif

void CPU(part)(enum kind kind, const struct part *p)
{
    switch (kind) {
    case KIND_F32:
        part_f32(p);
        break;
    case KIND_BF16:
        part_bf16(p);
        break;
    case KIND_F16:
        part_f16(p);
        break;
    case KIND_INT8:
        part_int8(p);
        break;
    case KIND_INT4:
        part_int4(p);
        break;
    case KIND_PAIRS:
#if CPU_AMX
        CPU(part_amx)(p);
#elif CPU_PAIRS
        part_pairs(p);
#endif
        break;
    }
}
