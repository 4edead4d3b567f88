/* cpu_matmul_amx.c - products of bf16 by AMX tiles, and few rows in the same order without them.
 *
 * A tile of x is 16 rows of 32 inputs as they lie in memory; a tile of w is a step of a panel: 16
 * pairs of inputs, a pair of each output one behind the other. Inputs are added 32 at a time in
 * ascending order, so a row's result does not depend on its neighbours. */
#include "kernels/cpu/cpu_amx_tile.h"
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_vec_weight.h"

#if VEC_FUSED
/* ---- few rows: the sums that tiles make, by vectors ---- */

#define FEW 4 /* rows; a tile of more is less work */
#define FEW_PANELS (4 / PANEL_VECS)

static const uint8_t *step_of(const struct part *p, int panel, int k)
{
    return p->w + (size_t)panel * p->panel_bytes + (size_t)k * PANEL * sizeof(uint16_t);
}

/* Even and odd inputs of a step are two sums, which are added to each other and then to the total:
 * the order of tile_dot in cpu_amx_tile.h. */
VEC_INLINE void add_step(vec *total, const uint16_t *x, const uint8_t *w, size_t panel_bytes,
                         int panels)
{
    vec even[4], odd[4];
    VEC_EACH(v, panels * PANEL_VECS)
    {
        even[v] = odd[v] = vec_zero();
    }
    for (int i = 0; i < STEP / 2; i++) {
        vec x0 = vec_all(bf16_to_f32(x[2 * i])), x1 = vec_all(bf16_to_f32(x[2 * i + 1]));
        VEC_EACH(v, panels * PANEL_VECS)
        {
            const uint8_t *at = w + (size_t)(v / PANEL_VECS) * panel_bytes +
                                (size_t)(i * PANEL + v % PANEL_VECS * VEC_LANES) * 4;
            even[v] = vec_madd(x0, vec_bf16_of_pair(at, 0), even[v]);
            odd[v] = vec_madd(x1, vec_bf16_of_pair(at, 1), odd[v]);
        }
    }
    VEC_EACH(v, panels * PANEL_VECS)
    {
        vec one = vec_all(1.0f);
        total[v] = vec_madd(one, total[v], vec_madd(one, even[v], odd[v]));
    }
}

VEC_INLINE void row_of(const struct part *p, int row, int panel, int panels)
{
    const uint16_t *x = (const uint16_t *)p->x + row * p->ldx;
    float *out = p->out + row * p->ldo + panel * PANEL;
    vec total[4];
    VEC_EACH(v, panels * PANEL_VECS)
    {
        total[v] = p->first ? vec_zero() : vec_load(DT_F32, out + v * VEC_LANES);
    }
    for (int k = 0; k < p->inputs; k += STEP)
        add_step(total, x + k, step_of(p, panel, k), p->panel_bytes, panels);
    VEC_EACH(v, panels * PANEL_VECS)
    {
        vec_store(out + v * VEC_LANES, total[v]);
    }
}

/* Not inlined, for compilers do not know that arithmetic depends on the mode. */
static __attribute__((noinline)) void rows_of(const struct part *p)
{
    for (int row = 0; row < p->rows; row++) {
        int panel = 0;
        for (; panel + FEW_PANELS <= p->panels; panel += FEW_PANELS)
            row_of(p, row, panel, FEW_PANELS);
        for (; panel < p->panels; panel++)
            row_of(p, row, panel, 1);
    }
}

static void few_rows(const struct part *p)
{
    unsigned mode = vec_flush_denormals();
    rows_of(p);
    vec_mode(mode);
}
#endif

void CPU(part_amx)(const struct part *p)
{
    struct tiles tiles;
    struct tile_product product = {.c = p->out,
                                   .a = p->x,
                                   .b = p->w,
                                   .panel_bytes = p->panel_bytes,
                                   .ldc = p->ldo,
                                   .lda = p->ldx,
                                   .rows = p->rows,
                                   .panels = p->panels,
                                   .k = p->inputs,
                                   .add = !p->first};
#if VEC_FUSED
    if (p->rows <= FEW) {
        few_rows(p);
        return;
    }
#endif
    tiles_begin(&tiles, 16);
    tile_multiply(&tiles, &product);
    tiles_end(&tiles);
}
