/* cpu_attention_amx.c - attention in bf16 by tiles of AMX: how keys and values are laid out for
 * them, and what they are multiplied by. */
#include "kernels/cpu/cpu_attention_amx.h"

#define PANEL_BYTES (AMX_PANEL * sizeof(uint16_t)) /* of a value of each of its keys */

void CPU(amx_begin)(struct tiles *t, int pairs)
{
    tiles_begin(t, min_int(pairs, 16));
}

void CPU(amx_end)(struct tiles *t, float *sum, int n)
{
    tiles_end(t);
    for (int i = 0; i < n; i += VEC_LANES)
        vec_store(sum + i, vec_load(DT_F32, sum + i) + vec_zero());
}

/* ---- rounding ---- */

typedef uint16_t vec_halves __attribute__((vector_size(sizeof(vec) / 2)));

/* As f32_to_bf16; tiles take denormal numbers for zero, so this may. */
VEC_INLINE vec_halves vec_to_bf16(vec a)
{
#ifdef __AVX512BF16__
    return (vec_halves)_mm512_cvtneps_pbh(a);
#else
    vec_bits u = (vec_bits)a, nan = (vec_bits)(a != a);
    u = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    return __builtin_convertvector((u & ~nan) | (nan & 0x7fc0u), vec_halves);
#endif
}

/* What each value was rounded to, as a float. */
VEC_INLINE vec vec_of_bf16(vec_halves h)
{
    return (vec)(__builtin_convertvector(h, vec_bits) << 16);
}

VEC_INLINE vec load_some(enum dtype dtype, const void *from, int n)
{
    return n >= VEC_LANES ? vec_load(dtype, from) : vec_load_n(dtype, from, n);
}

/* n values, then zeros up to inputs. */
static void round_row(uint16_t *to, enum dtype dtype, const void *from, int n, int inputs)
{
    for (int d = 0; d < n; d += VEC_LANES) {
        const char *at = (const char *)from + (size_t)d * dtype_size(dtype);
        vec_halves h = vec_to_bf16(load_some(dtype, at, n - d));
        memcpy(to + d, &h, sizeof h);
    }
    for (int d = (n + VEC_LANES - 1) / VEC_LANES * VEC_LANES; d < inputs; d++)
        to[d] = 0;
}

static int row_lines(struct mat m) /* of memory */
{
    return (int)((mat_bytes(m.dtype, 1, m.cols) + 63) / 64);
}

/* ---- operands ---- */

void CPU(amx_load_queries)(uint16_t *to, struct mat q, int row, int rows, int head, int group,
                           int dim, float scale)
{
    float query[ATTN_MAX_DIM];
    for (int i = 0; i < rows * group; i++, to += amx_inputs(dim)) {
        load_query(query, q, row + i / group, head * group + i % group, dim, scale);
        round_row(to, DT_F32, query, dim, amx_inputs(dim));
    }
}

/* A panel of keys is turned in pairs of values. */
static void load_key_panel(char *to, struct mat k, struct visible v, int first, int n,
                           struct ahead *ahead)
{
    uint16_t rounded[AMX_PANEL][ATTN_MAX_DIM];
    const char *at[AMX_PANEL];
    int inputs = amx_inputs(k.cols), as_it_lies = k.dtype == DT_BF16 && k.cols == inputs;
    for (int i = 0; i < AMX_PANEL; i++) {
        at[i] = mat_at(k, visible_slot(v, first + min_int(i, n - 1)), 0);
        ahead_ask(ahead, row_lines(k));
        if (as_it_lies) continue;
        round_row(rounded[i], k.dtype, at[i], k.cols, inputs);
        at[i] = (const char *)rounded[i];
    }
    for (int key = 0; key < AMX_PANEL; key += VEC_LANES)
        for (int d = 0; d < inputs; d += 2 * VEC_LANES) {
            vec square[VEC_LANES];
            for (int i = 0; i < VEC_LANES; i++)
                square[i] = vec_load(DT_F32, at[key + i] + (size_t)d * sizeof(uint16_t));
            vec_transpose(square);
            for (int i = 0; i < VEC_LANES; i++)
                vec_store((float *)(void *)to + (d / 2 + i) * AMX_PANEL + key, square[i]);
        }
}

void CPU(amx_load_keys)(void *to, struct mat k, struct visible v, int first, int keys,
                        struct ahead *ahead)
{
    for (int key = 0; key < keys; key += AMX_PANEL)
        load_key_panel((char *)to + (size_t)(key * amx_inputs(k.cols)) * sizeof(uint16_t), k, v,
                       first + key, keys - key, ahead);
}

/* Values from d on of a key, rounded, as floats; zeros behind the head and where there is no key.
 */
VEC_INLINE vec_bits value_bits(struct mat v, struct visible visible, int key, int keys, int d)
{
    const void *from;
    if (key >= keys || d >= v.cols) return (vec_bits)vec_zero();
    from = mat_at(v, visible_slot(visible, key), d);
    if (v.dtype == DT_BF16) return (vec_bits)load_some(DT_BF16, from, v.cols - d);
    return (vec_bits)vec_of_bf16(vec_to_bf16(load_some(DT_F32, from, v.cols - d)));
}

void CPU(amx_load_values)(void *to, struct mat v, struct visible visible, int first, int keys,
                          int room, struct ahead *ahead)
{
    int width = amx_width(v.cols), end = first + keys;
    for (int key = 0; key < amx_inputs(keys); key += 2) {
        for (int d = 0; d < width; d += VEC_LANES) {
            vec_bits even = value_bits(v, visible, first + key, end, d);
            vec_bits odd = value_bits(v, visible, first + key + 1, end, d);
            int at = d / AMX_PANEL * (room / 2) + key / 2;
            vec_store((float *)to + at * AMX_PANEL + d % AMX_PANEL, (vec)(even >> 16 | odd));
        }
        ahead_ask(ahead, 2 * row_lines(v));
    }
}

/* ---- products ---- */

void CPU(amx_scores)(struct tiles *t, float *score, const uint16_t *q, const void *keys, int pairs,
                     int dim, int n_keys)
{
    struct tile_product p = {.c = score, .ldc = TILE, .a = q, .b = keys, .rows = pairs};
    p.lda = p.k = amx_inputs(dim);
    p.panel_bytes = (size_t)p.k * PANEL_BYTES;
    p.panels = (n_keys + AMX_PANEL - 1) / AMX_PANEL;
    tile_multiply(t, &p);
}

float CPU(amx_weights)(struct running *r, uint16_t *weight, float *score, int keys)
{
    int n = whole_parts(keys);
    float lane[PARTS], decay = 1.0f;
    vec part[PART_VECS];
    memset(weight + n, 0, (size_t)(TILE - n) * sizeof *weight);
    if (keys == 0) return decay;
    decay = running_raise(r, score, keys);
    VEC_EACH(l, PART_VECS)
    {
        part[l] = vec_zero();
    }
    for (int i = 0; i < n; i += PARTS)
        VEC_EACH(l, PART_VECS)
        {
            int at = i + l * VEC_LANES;
            vec_halves h = vec_to_bf16(vec_exp2(vec_load(DT_F32, score + at) - vec_all(r->max)));
            memcpy(weight + at, &h, sizeof h);
            part[l] = part[l] + vec_of_bf16(h);
        }
    VEC_EACH(l, PART_VECS)
    {
        vec_store(lane + l * VEC_LANES, part[l]);
    }
    r->weight = madd(r->weight, decay, parts_sum(lane));
    return decay;
}

/* Keys [key, end) of the tile are added to all pairs. */
static void add_keys(struct tiles *t, const struct amx_sums *s, const char *values, int room,
                     int key, int end)
{
    struct tile_product p = {.c = s->sum, .ldc = s->width, .a = s->weight + key, .lda = TILE};
    p.b = (const uint8_t *)values, p.panel_bytes = (size_t)room * PANEL_BYTES;
    p.rows = s->pairs, p.panels = s->width / AMX_PANEL;
    p.k = end - key, p.add = 1;
    if (p.k > 0) tile_multiply(t, &p);
}

/* A weight of zero does not hide a value that is not finite. */
static int is_finite(const struct amx_sums *s, const char *values, int room)
{
    vec_bits bad = (vec_bits)vec_zero();
    for (int panel = 0; panel < s->width / AMX_PANEL; panel++)
        for (size_t at = 0; at < AMX_STEP * PANEL_BYTES; at += sizeof(vec)) {
            vec_bits pairs;
            memcpy(&pairs, values + (size_t)(panel * room) * PANEL_BYTES + at, sizeof pairs);
            bad |= (vec_bits)((pairs & 0x7f800000u) == 0x7f800000u) |
                   (vec_bits)((pairs & 0x7f80u) == 0x7f80u);
        }
    for (int i = 0; i < VEC_LANES; i++)
        if (bad[i]) return 0;
    return 1;
}

/* A step of one pair, without the values of the keys from `keys` on, as row 0 of tiles. */
static void add_step(struct tiles *t, const struct amx_sums *s, int pair, const char *values,
                     int room, int key, int keys)
{
    uint16_t weight[16][AMX_STEP] = {{0}}, seen[AMX_STEP / 2][AMX_PANEL][2];
    float sum[16][AMX_PANEL] = {{0}}, *to = s->sum + pair * s->width;
    struct tile_product p = {.c = *sum, .ldc = AMX_PANEL, .a = *weight, .lda = AMX_STEP};
    p.b = (const uint8_t *)seen, p.rows = 1, p.panels = 1, p.k = AMX_STEP, p.add = 1;
    memcpy(weight, s->weight + pair * TILE + key, sizeof *weight);
    for (int panel = 0; panel < s->width / AMX_PANEL; panel++, to += AMX_PANEL) {
        memcpy(seen, values + (size_t)(panel * room) * PANEL_BYTES, sizeof seen);
        for (int i = keys; i < AMX_STEP; i++)
            for (int d = 0; d < AMX_PANEL; d++)
                seen[i / 2][d][i % 2] = 0;
        memcpy(sum, to, sizeof *sum);
        tile_multiply(t, &p);
        memcpy(to, sum, sizeof *sum);
    }
}

/* In one go, up to a step whose values are not all finite and that some pair does not see all of.
 */
void CPU(amx_add_values)(struct tiles *t, const struct amx_sums *s, const void *values, int room,
                         int begin, int end)
{
    int key = begin, last = min_int(end, s->most);
    const char *at = values;
    while (key < last && (key + AMX_STEP <= s->least ||
                          is_finite(s, at + (size_t)(key - begin) * PANEL_BYTES, room)))
        key += AMX_STEP;
    add_keys(t, s, at, room, begin, key);
    for (; key < last; key += AMX_STEP)
        for (int i = 0; i < s->pairs; i++)
            if (s->seen[i] > key)
                add_step(t, s, i, at + (size_t)(key - begin) * PANEL_BYTES, room, key,
                         min_int(AMX_STEP, s->seen[i] - key));
}
