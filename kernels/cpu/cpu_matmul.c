/* cpu_matmul.c - products of one x: parts for threads, inputs to f32, outputs from sums.
 *
 * Parts and threads choose what is computed together, never how a sum is made (cpu_tile.c). */
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_vec_weight.h"

#include <math.h>

/* ---- inputs ---- */

#define LDX \
    (AMX_CHUNK + 32) /* elements of x; not a power of two: rows in different sets of a cache */

struct work {
    float out[PART_ROWS * PART_PANELS * PANEL];
    float sum[PART_ROWS * (CHUNK / WEIGHT_GROUP)];
    union {
        float f32[PART_ROWS * LDX];
        uint16_t bf16[PART_ROWS * LDX];
        int16_t words[PART_ROWS * LDX];
    } x;
    float chunk[CHUNK], scale[PART_ROWS]; /* of words: inputs before, scales of the rows */
};

struct job { /* a product */
    struct mat y, x;
    struct weight w;
    enum kind kind;
    const float *bias;
    enum act act;
    int adds;         /* to y */
    int rows, panels; /* of a part */
};

struct jobs {
    struct queue *q;
    int n;
    struct job of[PRODUCTS_MOST];
    int row_parts, panel_parts[PRODUCTS_MOST];
};

#define MOST 32767         /* of an int16, either sign */
#define SMALLEST 0x1p-100f /* magnitudes below it are taken for zero: no scale is subnormal */
#define ROUND 0x1.8p23f    /* added: the nearest integer is in the low bits, ties to even */

/* Inputs of a chunk as q * scale, the largest magnitude as 32767; returns scale, NaN if an input is
 * not finite. 256 products with weights of eight bits are below 2^31, 32 with those of four below
 * 2^24. The error of an input is a 65,534th of the largest, less than rounding that to bf16 makes.
 */
static float take_words(int16_t *q, const float *x, int inputs)
{
    typedef int16_t words __attribute__((vector_size(sizeof(vec) / 2)));
    vec_ints most = (vec_ints)vec_zero();
    int32_t largest = 0;
    float magnitude;
    vec per;
    for (int k = 0; k < inputs; k += VEC_LANES) { /* bits of positive floats are in their order */
        vec_ints a = vec_load_ints(x + k) & 0x7fffffff, more = a > most;
        most = (a & more) | (most & ~more);
    }
    for (int i = 0; i < VEC_LANES; i++)
        largest = max_int(largest, most[i]);
    memcpy(&magnitude, &largest, sizeof magnitude);
    if (!(magnitude >= SMALLEST) || !isfinite(magnitude)) {
        memset(q, 0, (size_t)inputs * sizeof *q);
        return magnitude < SMALLEST ? 0 : NAN;
    }
    per = vec_all(MOST / magnitude);
    for (int k = 0; k < inputs; k += VEC_LANES) {
        vec_ints bits = (vec_ints)(vec_load(DT_F32, x + k) * per + ROUND);
        words w = __builtin_convertvector(bits, words); /* the low half */
        memcpy(q + k, &w, sizeof w);
    }
    return magnitude / MOST;
}

/* Of each group, as floats: at most 2^20, so exact. */
static void sum_groups(float *sum, const int16_t *q, int inputs)
{
    for (int g = 0; g < inputs / WEIGHT_GROUP; g++) {
        int32_t s = 0;
        for (int k = 0; k < WEIGHT_GROUP; k++)
            s += q[g * WEIGHT_GROUP + k];
        sum[g] = (float)s;
    }
}

static float *load_floats(float *to, enum dtype dtype, const void *from, int n, int inputs)
{
    block_load(to, dtype, from, n);
    memset(to + n, 0, (size_t)(inputs - n) * sizeof *to);
    return to;
}

/* Inputs [col, col + n) of the rows of x, with zeros up to `inputs`. */
static void take_inputs(const struct job *j, struct work *work, struct mat x, int col, int n,
                        int inputs)
{
    for (int r = 0; r < x.rows; r++) {
        const void *from = mat_at(x, r, col);
        if (j->kind == KIND_PAIRS) {
            uint16_t *to = work->x.bf16 + r * LDX;
            memcpy(to, from, (size_t)n * sizeof *to);
            memset(to + n, 0, (size_t)(inputs - n) * sizeof *to);
        } else if (j->kind == KIND_INT8 || j->kind == KIND_INT4) {
            int16_t *to = work->x.words + r * LDX;
            if (x.dtype != DT_F32 || n < inputs)
                from = load_floats(work->chunk, x.dtype, from, n, inputs);
            work->scale[r] = take_words(to, from, inputs);
            if (j->kind == KIND_INT4)
                sum_groups(work->sum + r * (CHUNK / WEIGHT_GROUP), to, inputs);
        } else {
            load_floats(work->x.f32 + r * LDX, x.dtype, from, n, inputs);
        }
    }
    for (int r = x.rows; CPU_AMX && j->kind == KIND_PAIRS && r % 32; r++)
        memset(work->x.bf16 + r * LDX, 0, (size_t)inputs * sizeof *work->x.bf16);
}

/* ---- outputs ---- */

static void finish_row(const struct job *j, void *y, float *sum, const float *scale, int out, int n)
{
    if (scale)
        for (int i = 0; i < n; i++)
            sum[i] *= scale[i];
    if (j->bias)
        for (int i = 0; i < n; i++)
            sum[i] += j->bias[out + i];
    switch (j->act) {
    case ACT_NONE:
        break;
    case ACT_GELU_TANH:
        for (int i = 0; i < n; i++)
            sum[i] = gelu_tanh_f32(sum[i]);
        break;
    case ACT_GELU_ERF:
        for (int i = 0; i < n; i++)
            sum[i] = gelu_erf_f32(sum[i]);
        break;
    }
    if (j->adds)
        for (int i = 0; i < n; i++)
            ((float *)y)[i] += sum[i];
    else
        block_store(j->y.dtype, y, sum, n);
}

static void finish(const struct job *j, struct work *work, struct part *p, int row, int panel)
{
    float scale[PART_PANELS * PANEL];
    int out = panel * PANEL, n = min_int(p->panels * PANEL, j->w.rows - out);
    size_t scales = (size_t)pack_inputs(j->w.cols) * PANEL;
    for (int i = 0; j->kind == KIND_INT8 && i < p->panels; i++)
        memcpy(scale + i * PANEL, cpu_panel(&j->w, panel + i) + scales, PANEL * sizeof *scale);
    for (int r = 0; r < p->rows; r++)
        finish_row(j, mat_at(j->y, row + r, out), work->out + r * p->ldo,
                   j->kind == KIND_INT8 ? scale : NULL, out, n);
}

/* ---- parts ---- */

/* Bytes of a chunk of inputs of a panel. */
static size_t chunk_bytes(enum kind kind, int inputs)
{
    if (kind == KIND_INT4) return (size_t)(inputs / WEIGHT_GROUP) * sizeof(struct int4_group);
    return (size_t)(inputs / 8) *
           weight_eight(kind == KIND_PAIRS ? WEIGHT_BF16 : (enum weight_format)kind);
}

static void run_part(const struct job *j, struct work *work, int row, int panel)
{
    struct mat x = mat_rows(j->x, row, min_int(j->rows, j->x.rows - row));
    int chunk = CPU_AMX && j->kind == KIND_PAIRS ? AMX_CHUNK : CHUNK;
    int all_panels = (j->w.rows + PANEL - 1) / PANEL;
    struct part p = {.x = &work->x,
                     .scale = work->scale,
                     .sum = work->sum,
                     .ldx = LDX,
                     .rows = x.rows,
                     .panel_bytes = cpu_weight_block(NULL, j->w.format, j->w.cols),
                     .panels = min_int(j->panels, all_panels - panel),
                     .out = work->out,
                     .ldo = j->panels * PANEL};
    for (int col = 0; col < x.cols; col += chunk) {
        int n = min_int(chunk, x.cols - col);
        p.inputs = pack_inputs(n);
        p.first = col == 0;
        p.next = col + chunk < x.cols ? mat_at(x, 0, col + chunk) : NULL;
        p.next_stride = mat_bytes(x.dtype, 1, x.stride);
        p.chunk_bytes = chunk_bytes(j->kind, p.inputs);
        p.w = cpu_panel(&j->w, panel) + chunk_bytes(j->kind, col);
        take_inputs(j, work, x, col, n, p.inputs);
        CPU(part)(j->kind, &p);
    }
    finish(j, work, &p, row, panel);
}

static void run_parts(void *arg, int begin, int end, int worker)
{
    const struct jobs *all = arg;
    for (int item = begin; item < end; item++) { /* neighbours share their weights */
        const struct job *j = all->of;
        int part = item / all->row_parts;
        for (; part >= all->panel_parts[j - all->of]; j++)
            part -= all->panel_parts[j - all->of];
        run_part(j, cpu_work(all->q, worker), item % all->row_parts * j->rows, part * j->panels);
    }
}

static int parts(int n, int size)
{
    return n / size + (n % size != 0);
}

/* Parts of so many panels of each product; returns how many there are of all. */
static int cut_panels(struct jobs *all, int panels)
{
    int n = 0;
    for (int i = 0; i < all->n; i++) {
        all->of[i].panels = panels;
        n += all->panel_parts[i] = parts(parts(all->of[i].w.rows, PANEL), panels);
    }
    return n * all->row_parts;
}

/* Large parts for reuse, smaller ones while threads would wait for each other. Returns how many. */
static int choose_parts(struct jobs *all, int rows)
{
    int wanted = 4 * pool_threads(all->q->env->pool), panels = PART_PANELS, n;
    int of_part = parts(parts(rows, parts(rows, PART_ROWS)), TILE_ROWS) * TILE_ROWS;
    all->row_parts = parts(rows, of_part);
    for (int i = 0; i < all->n; i++)
        all->of[i].rows = of_part;
    while ((n = cut_panels(all, panels)) < wanted && panels > 1)
        panels /= 2;
    return n;
}

static struct job job_of(const struct products *p, const struct product *one)
{
    struct job j = {.y = one->y,
                    .x = p->x,
                    .w = one->w,
                    .kind = (enum kind)one->w.format,
                    .bias = one->bias.data,
                    .act = p->act,
                    .adds = one->delta.data != NULL};
    if (CPU_PAIRS && j.x.dtype == DT_BF16 && j.w.format == WEIGHT_BF16) j.kind = KIND_PAIRS;
    return j;
}

void CPU(matmul)(struct queue *q, const struct products *p)
{
    struct jobs all = {.q = q, .n = p->n};
    _Static_assert(sizeof(struct work) <= CPU_WORK_BYTES, "a worker's area holds a part");
    _Static_assert(PART_ROWS % TILE_ROWS == 0 && PART_ROWS % 32 == 0, "parts are whole tiles");
    if (p->x.rows == 0) return;
    for (int i = 0; i < p->n; i++)
        all.of[i] = job_of(p, &p->of[i]);
    pool_for(q->env->pool, choose_parts(&all, p->x.rows), 1, run_parts, &all);
}
