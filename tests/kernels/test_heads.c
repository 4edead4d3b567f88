/* test_heads.c - queries and keys behind their product: against the definition, and with the bits
 * of the operations that heads stands for, which reuse of chunks depends on. */
#include "tests/kernels/lab.h"

#define EPS 1e-6f

struct shape {
    int n, heads, dim;
    enum dtype out;
    int is_aligned;
};

/* Heads of odd widths, of the widths of models, and of the widest; rows around those of a block. */
static const struct shape shapes[] = {
    {1, 1, 2, DT_F32, 0},    {5, 3, 6, DT_BF16, 0},   {7, 2, 66, DT_F32, 0},
    {3, 5, 72, DT_BF16, 1},  {33, 4, 64, DT_BF16, 1}, {9, 2, 128, DT_BF16, 1},
    {9, 2, 128, DT_F32, 1},  {6, 1, 128, DT_BF16, 0}, {4, 3, 250, DT_BF16, 0},
    {2, 1, 256, DT_BF16, 1}, {3, 2, 24, DT_F32, 1},
};
#define N_SHAPES ((int)(sizeof shapes / sizeof *shapes))

struct problem {
    struct shape shape;
    struct heads h; /* x is put to slots; nothing is kept yet */
    struct mat kept, quantized;
    int32_t *slot, *kept_row;
    float *norm;
};

static struct mat new_mat(struct shape s, enum dtype dtype, int rows, int cols, uint64_t seed)
{
    return s.is_aligned ? lab_aligned(dtype, rows, cols, 3, seed)
                        : lab_mat(dtype, rows, cols, cols + 1, 3, seed);
}

static void free_mat(struct shape s, struct mat m)
{
    (s.is_aligned ? lab_aligned_free : lab_free)(m);
}

static struct mat poisoned(struct mat m)
{
    for (int r = 0; r < m.rows; r++)
        memset(mat_at(m, r, 0), 0x7b, (size_t)m.cols * dtype_size(m.dtype));
    return m;
}

/* Bytes as they come: the codes and scales of rows. */
static struct mat new_packed(struct shape s, enum dtype dtype, int rows)
{
    int cols = row_cols(dtype, s.heads * s.dim, s.heads);
    struct mat m = {lab_alloc((size_t)rows * (size_t)(cols + 3)), dtype, rows, cols, cols + 3};
    return poisoned(m);
}

static void open_as(struct problem *p, struct shape s, enum dtype packed)
{
    int cols = s.heads * s.dim;
    *p = (struct problem){.shape = s};
    p->norm = lab_vec(s.dim, 1, 2);
    p->slot = lab_alloc((size_t)s.n * sizeof *p->slot);
    p->kept_row = lab_alloc((size_t)s.n * sizeof *p->kept_row);
    for (int i = 0; i < s.n; i++) { /* descending, with gaps; every fourth row goes nowhere */
        p->slot[i] = i % 4 == 3 ? -1 : 2 * (s.n - i);
        p->kept_row[i] = i % 3 == 1 ? -1 : s.n - i;
    }
    p->h.x = new_mat(s, DT_F32, s.n, cols, 1);
    p->h.norm = lab_vector(p->norm, s.dim);
    p->h.eps = EPS;
    p->h.heads = s.heads;
    p->h.cos_sin = new_mat(s, DT_F32, s.n, s.dim, 3);
    p->h.raw = new_mat(s, s.out, s.n, cols, 4);
    p->h.packed = new_packed(s, packed, s.n);
    p->h.out = poisoned(new_mat(s, s.out, 2 * s.n + 2, cols, 5));
    p->h.slot = lab_ints(p->slot, s.n);
    p->h.kept_row = lab_ints(p->kept_row, s.n);
    p->kept = poisoned(new_mat(s, s.out, s.n + 2, cols, 6));
    p->quantized = new_packed(s, packed, s.n + 2);
}

static void open_problem(struct problem *p, struct shape s)
{
    open_as(p, s, DT_ROW_INT8);
}

static void close_problem(struct problem *p)
{
    free_mat(p->shape, p->h.x);
    free_mat(p->shape, p->h.cos_sin);
    free_mat(p->shape, p->h.raw);
    free_mat(p->shape, p->h.out);
    free_mat(p->shape, p->kept);
    heap_free(p->h.packed.data);
    heap_free(p->quantized.data);
    heap_free(p->slot);
    heap_free(p->kept_row);
    heap_free(p->norm);
}

static int is_poison(struct mat m, int row)
{
    const uint8_t *at = mat_at(m, row, 0);
    for (size_t i = 0; i < (size_t)m.cols * dtype_size(m.dtype); i++)
        if (at[i] != 0x7b) return 0;
    return 1;
}

/* Row index[i] of found is row i of expected; rows that no index names are untouched. */
static void check_rows(struct mat found, const int32_t *index, struct mat expected, int shape)
{
    uint8_t *is_named = heap_alloc_zero((size_t)found.rows);
    REQUIRE(is_named);
    for (int i = 0; i < expected.rows; i++) {
        if (index[i] < 0) continue;
        is_named[index[i]] = 1;
        if (!lab_same(mat_rows(found, index[i], 1), mat_rows(expected, i, 1)))
            CHECK_FAIL("row %d of shape %d differs", i, shape);
    }
    for (int row = 0; row < found.rows; row++)
        if (!is_named[row] && !is_poison(found, row))
            CHECK_FAIL("row %d of shape %d was written", row, shape);
    heap_free(is_named);
}

/* All rows, normalised and rounded, as they would be kept. */
static struct mat all_raw(struct lab *lab, const struct problem *p)
{
    struct shape s = p->shape;
    int32_t *in_order = lab_alloc((size_t)s.n * sizeof *in_order);
    struct heads h = p->h;
    for (int i = 0; i < s.n; i++)
        in_order[i] = i;
    h.kept = new_mat(s, s.out, s.n, s.heads * s.dim, 7);
    h.kept_row = lab_ints(in_order, s.n);
    k_heads(lab->queue, &h);
    heap_free(in_order);
    return h.kept;
}

CPU_TEST(heads_are_normalised_and_turned)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct shape s = shapes[i];
        struct mat raw, turned;
        uint64_t heap;
        double *ref = lab_alloc((size_t)(s.n * s.heads * s.dim) * sizeof *ref);
        open_problem(&p, s);
        raw = all_raw(&lab, &p);
        ref_rmsnorm(ref, p.h.x, p.norm, s.dim, (double)EPS);
        CHECK_MAT(raw, ref, 3e-7);
        turned = new_mat(s, s.out, s.n, s.heads * s.dim, 8);
        k_rope(lab.queue, turned, raw, s.heads, p.h.cos_sin);
        poisoned(p.h.out);
        p.h.kept = p.kept;
        heap = heap_calls();
        k_heads(lab.queue, &p.h);
        if (!cpu.open_gpu) CHECK_EQ(heap_calls(), heap);
        check_rows(p.h.out, p.slot, turned, i);
        check_rows(p.kept, p.kept_row, raw, i);
        free_mat(s, turned);
        free_mat(s, raw);
        heap_free(ref);
        close_problem(&p);
    }
    lab_close(&lab);
}

/* What is kept in fewer bits is what was rounded first, quantised: the bytes of k_quantize. */
CPU_TEST(kept_heads_are_quantised_as_by_themselves)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++)
        for (int k = 0; k < 4; k++) {
            enum dtype format = k / 2 ? DT_ROW_INT4 : DT_ROW_INT8;
            struct problem p;
            struct mat raw, packed;
            open_as(&p, shapes[i], format);
            packed = new_packed(p.shape, format, p.shape.n);
            memset(mat_at(p.h.x, 0, 0), 0, (size_t)p.shape.dim * sizeof(float));
            if (k % 2) lab_put(p.h.x, p.shape.n - 1, 1, (double)NAN);
            raw = all_raw(&lab, &p);
            k_quantize(lab.queue, packed, raw, p.shape.heads);
            p.h.kept = p.quantized;
            k_heads(lab.queue, &p.h);
            check_rows(p.quantized, p.kept_row, packed, i);
            heap_free(packed.data);
            free_mat(p.shape, raw);
            close_problem(&p);
        }
    lab_close(&lab);
}

CPU_TEST(heads_of_a_row_do_not_notice_others)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct shape s = shapes[i];
        struct heads h;
        struct mat whole;
        open_problem(&p, s);
        whole = poisoned(new_mat(s, s.out, p.h.out.rows, p.h.out.cols, 9));
        h = p.h;
        h.out = whole;
        k_heads(lab.queue, &h);
        for (int row = 0; row < s.n; row++) {
            h = p.h;
            h.x = mat_rows(p.h.x, row, 1);
            h.cos_sin = mat_rows(p.h.cos_sin, row, 1);
            h.raw = mat_rows(p.h.raw, row, 1);
            h.slot = ints_from(p.h.slot, row, 1);
            k_heads(lab.queue, &h);
        }
        CHECK(lab_same(p.h.out, whole));
        free_mat(s, whole);
        close_problem(&p);
    }
    lab_close(&lab);
}

CPU_TEST(queries_may_stay_in_place)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct shape s = shapes[i];
        struct heads apart, in_place;
        s.out = DT_F32;
        open_problem(&p, s);
        apart = p.h;
        apart.slot = (struct ints){0};
        apart.out = mat_rows(p.h.out, 0, s.n);
        in_place = apart;
        in_place.raw = in_place.out = p.h.x;
        k_heads(lab.queue, &apart);
        k_heads(lab.queue, &in_place);
        CHECK(lab_same(in_place.out, apart.out));
        close_problem(&p);
    }
    lab_close(&lab);
}

/* On the CPU heads is the calls that it stands for. */
CPU_ONLY_TEST(heads_are_the_bits_of_their_calls)
{
    struct lab lab;
    lab_open(&lab, cpu, 2);
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p;
        struct mat raw;
        open_problem(&p, shapes[i]);
        raw = all_raw(&lab, &p);
        k_rmsnorm(lab.queue, p.h.raw, p.h.x, p.h.norm, EPS);
        CHECK(lab_same(raw, p.h.raw));
        free_mat(p.shape, raw);
        close_problem(&p);
    }
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
