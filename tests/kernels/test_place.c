/* test_place.c - rows of a chunk into slots: the bits of the operations that it stands for. */
#include "tests/kernels/lab.h"

#define POISON 0x3e /* what no row writes stays so */

struct shape {
    int layers, rows, heads, dim, slots;
    int gap; /* elements between rows, and bytes in front of the first: nothing is aligned */
};

static const struct shape shapes[] = {
    {1, 1, 1, 2, 3, 0},    {3, 13, 2, 16, 40, 0}, {2, 7, 3, 72, 9, 0}, {2, 33, 8, 128, 64, 0},
    {2, 13, 2, 16, 40, 3}, {2, 5, 3, 6, 11, 1},   {1, 2, 1, 256, 2, 0}};

static const enum dtype formats[][2] = {/* of the chunk, of the KV cache */
                                        {DT_F32, DT_F32},      {DT_BF16, DT_BF16},
                                        {DT_ROW_INT8, DT_F32}, {DT_ROW_INT8, DT_BF16},
                                        {DT_ROW_INT4, DT_F32}, {DT_ROW_INT4, DT_BF16}};

struct stack { /* K and V of layers as a record or a sequence has them */
    char *memory;
    size_t bytes;
    struct layers k, v;
};

static struct stack stack_open(enum dtype dtype, int layers, int rows, int cols, int gap)
{
    size_t one = (mat_bytes(dtype, rows, cols + gap) + 63) / 64 * 64;
    struct stack s = {.bytes = 2 * (size_t)layers * one + 64};
    s.memory = lab_alloc(s.bytes);
    memset(s.memory, POISON, s.bytes);
    s.k = (struct layers){
        {s.memory + (size_t)gap * dtype_size(dtype), dtype, rows, cols, cols + gap}, 2 * one};
    s.v = s.k;
    s.v.first.data = (char *)s.v.first.data + one;
    return s;
}

static void fill(struct stack *s, const struct lab *lab, int layers, int heads, int cols,
                 uint64_t seed)
{
    for (int i = 0; i < 2 * layers; i++) {
        struct mat m = layers_at(i % 2 ? s->v : s->k, i / 2);
        if (dtype_is_quantised(m.dtype)) {
            struct mat x = lab_mat(DT_F32, m.rows, cols, cols, 3, seed + (uint64_t)i);
            k_quantize(lab->queue, m, x, heads);
            lab_free(x);
        } else {
            for (int r = 0; r < m.rows; r++)
                for (int c = 0; c < m.cols; c++)
                    lab_put(m, r, c, 3 * lab_uniform(&seed));
        }
    }
}

/* The operations that place stands for, in their order. */
static void by_steps(const struct lab *lab, const struct place *p, struct mat values,
                     struct mat rotated)
{
    for (int i = 0; i < 2 * p->n_layers; i++) {
        struct mat from = layers_at(i % 2 ? p->v : p->k, i / 2);
        struct mat to = layers_at(i % 2 ? p->to_v : p->to_k, i / 2);
        if (dtype_is_quantised(from.dtype)) {
            k_dequantize(lab->queue, values, from, p->heads);
            from = values;
        }
        if (i % 2 == 0) {
            k_rope(lab->queue, rotated, from, p->heads, p->cos_sin);
            from = rotated;
        }
        k_scatter(lab->queue, to, p->slot, from);
    }
}

/* Every other slot, from the last one down; one in five rows stays away. */
static void choose_slots(const struct shape *s, int32_t *slot)
{
    for (int i = 0; i < s->rows; i++) {
        int at = s->slots - 1 - (2 * i < s->slots ? 2 * i : 2 * (i - (s->slots + 1) / 2) + 1);
        slot[i] = i % 5 == 3 ? -1 : at;
    }
}

static void check_shape(const struct lab *lab, const struct shape *s, enum dtype kept,
                        enum dtype kv)
{
    int cols = s->heads * s->dim;
    int wide = row_cols(kept, cols, s->heads);
    struct stack from = stack_open(kept, s->layers, s->rows, wide, s->gap);
    struct stack found = stack_open(kv, s->layers, s->slots, cols, s->gap);
    struct stack expected = stack_open(kv, s->layers, s->slots, cols, s->gap);
    struct mat cos_sin = lab_mat(DT_F32, s->rows, s->dim, s->dim + s->gap, 1, 9);
    struct mat values = lab_mat(DT_F32, s->rows, cols, cols, 0, 1);
    struct mat rotated = lab_mat(kv, s->rows, cols, cols, 0, 1);
    int32_t slot[64];
    struct place p = {.n_layers = s->layers,
                      .heads = s->heads,
                      .k = from.k,
                      .v = from.v,
                      .cos_sin = cos_sin,
                      .slot = lab_ints(slot, s->rows),
                      .to_k = expected.k,
                      .to_v = expected.v,
                      .work = lab_alloc(k_place_work(lab->device, s->rows, cols) + 1)};
    if (!s->gap) { /* angles, too, are aligned then */
        memmove((char *)cos_sin.data - 4, cos_sin.data, mat_bytes(DT_F32, s->rows, s->dim));
        p.cos_sin.data = (char *)cos_sin.data - 4;
    }
    choose_slots(s, slot);
    fill(&from, lab, s->layers, s->heads, cols, 5);
    by_steps(lab, &p, values, rotated);
    p.to_k = found.k;
    p.to_v = found.v;
    k_place(lab->queue, &p);
    CHECK(memcmp(found.memory, expected.memory, found.bytes) == 0);
    heap_free(p.work);
    heap_free(from.memory);
    heap_free(found.memory);
    heap_free(expected.memory);
    lab_free(cos_sin);
    lab_free(values);
    lab_free(rotated);
}

CPU_TEST(placing_is_reading_rotating_and_scattering)
{
    for (int threads = 0; threads < 3; threads += 2)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
                struct lab lab;
                lab_open(&lab, cpu, threads);
                check_shape(&lab, &shapes[i], formats[f][0], formats[f][1]);
                lab_close(&lab);
            }
}

/* A value that is not a number is copied, and not made another one; rows around it stay. */
CPU_TEST(a_value_that_is_not_finite_stays_in_its_row_and_head)
{
    const uint16_t nan = 0x7fa5;
    enum { ROWS = 3, HEADS = 2, DIM = 16, COLS = HEADS * DIM };
    struct lab lab;
    struct stack from = stack_open(DT_BF16, 1, ROWS, COLS, 0);
    struct stack to = stack_open(DT_BF16, 1, ROWS, COLS, 0);
    struct mat cos_sin = lab_mat(DT_F32, ROWS, DIM, DIM, 1, 9);
    const int32_t slot[ROWS] = {0, 1, 2};
    int bad = 0;
    struct place p = {.n_layers = 1,
                      .heads = HEADS,
                      .k = from.k,
                      .v = from.v,
                      .cos_sin = cos_sin,
                      .slot = lab_ints(slot, ROWS),
                      .to_k = to.k,
                      .to_v = to.v};
    lab_open(&lab, cpu, 0);
    p.work = lab_alloc(k_place_work(lab.device, ROWS, COLS) + 1);
    fill(&from, &lab, 1, HEADS, COLS, 5);
    memcpy(mat_at(from.k.first, 1, 3), &nan, sizeof nan);
    memcpy(mat_at(from.v.first, 1, 3), &nan, sizeof nan);
    k_place(lab.queue, &p);
    CHECK(memcmp(mat_at(to.v.first, 1, 3), &nan, sizeof nan) == 0);
    for (int row = 0; row < ROWS; row++)
        for (int c = 0; c < COLS; c++) {
            int is_pair = row == 1 && (c == 3 || c == 3 + DIM / 2);
            bad += isfinite(ref_value(to.k.first, row, c)) ? is_pair : !is_pair;
            bad +=
                isfinite(ref_value(to.v.first, row, c)) ? row == 1 && c == 3 : row != 1 || c != 3;
        }
    CHECK_EQ(bad, 0);
    heap_free(p.work);
    heap_free(from.memory);
    heap_free(to.memory);
    lab_free(cos_sin);
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
