/* test_random.c - attention, score and products of random sizes against the definition: what a
 * table of sizes does not think of. A failure names its seed. */
#include "tests/kernels/lab.h"

#define PROBLEMS (VLQA_SANITIZED ? 60 : 300)
#define MOST_WORK 400000 /* multiply-adds of a problem, roughly */

#define BOUND 3e-6 /* of sums in f32 */
#define WORDS_BOUND \
    5e-5 /* of inputs in 16 bits, in front of weights in few; few outputs may cancel */

static int at_random(uint64_t *seed, int low, int high) /* the small ones are as likely */
{
    double u = (lab_uniform(seed) + 1) / 2, log_range = log((double)high / low);
    int x = (int)(low * exp(u * log_range) + 0.5);
    return x < low ? low : x > high ? high : x;
}

static int one_of(uint64_t *seed, const int *value, int n)
{
    return value[(int)((lab_uniform(seed) + 1) / 2 * n)];
}

struct sizes { /* of attention and score */
    int n, slots, heads, kv_heads, dim;
    enum dtype kv, out;
};

static struct sizes random_sizes(uint64_t *seed)
{
    static const int dims[] = {8, 17, 24, 32, 40, 64, 72, 80, 96, 128}, groups[] = {1, 1, 2, 3, 8};
    static const int types[] = {DT_F32, DT_BF16};
    struct sizes s = {.dim = one_of(seed, dims, 10), .kv = (enum dtype)one_of(seed, types, 2)};
    s.out = (enum dtype)one_of(seed, types, 2);
    s.kv_heads = at_random(seed, 1, 16);
    s.heads = s.kv_heads * one_of(seed, groups, 5);
    s.slots = at_random(seed, 1, 1300);
    s.n = at_random(seed, 1, 60);
    while (s.slots > 1 && (int64_t)s.n * s.slots * s.heads * s.dim > MOST_WORK)
        s.slots = (s.slots + 1) / 2;
    return s;
}

/* Of each row, and often the same as of the row before. */
static struct span *random_spans(uint64_t *seed, int n, int slots)
{
    struct span *span = lab_alloc((size_t)n * sizeof *span);
    for (int i = 0; i < n; i++) {
        int end = at_random(seed, 1, slots), begin = at_random(seed, 1, end);
        int head = at_random(seed, 1, begin);
        struct span choice[] = {{0, 0, end}, {end, 0, 0}, {head, begin, end}, {0, begin - 1, end}};
        int which = (int)((lab_uniform(seed) + 1) * 4);
        span[i] = i > 0 && which >= 4 ? span[i - 1] : choice[which % 4];
    }
    return span;
}

CPU_TEST(attention_of_random_sizes)
{
    const struct device plain = {.op = &cpu_ops_plain};
    for (int i = 0; i < PROBLEMS; i++) {
        uint64_t seed = (uint64_t)i * 77 + 1;
        struct sizes s = random_sizes(&seed);
        struct span *span = random_spans(&seed, s.n, s.slots);
        int width = s.heads * s.dim, kv_width = s.kv_heads * s.dim;
        struct attn a = {.q = lab_mat(DT_F32, s.n, width, width + 1, 2, seed),
                         .k = lab_mat(s.kv, s.slots, kv_width, kv_width, 1, seed + 1),
                         .v = lab_mat(s.kv, s.slots, kv_width, kv_width + 2, 1, seed + 2),
                         .out = lab_mat(s.out, s.n, width, width, 1, seed + 3),
                         .span = lab_spans(span, s.n),
                         .heads = s.heads,
                         .kv_heads = s.kv_heads,
                         .scale = 1.0f / sqrtf((float)s.dim)};
        double *ref = lab_alloc((size_t)(s.n * width) * sizeof *ref);
        struct lab lab;
        a.work = lab_alloc(k_attention_work(&plain, s.n, s.heads, s.kv_heads, s.dim, s.slots));
        lab_open(&lab, cpu, 1 + i % 3);
        k_attention(lab.queue, &a);
        lab_close(&lab);
        ref_attention(ref, &a);
        if (lab_error(a.out, ref) > (s.out == DT_BF16 ? LAB_BF16 : lab_slack * BOUND))
            CHECK_FAIL("problem %d, %d rows of %d/%d heads of %d over %d slots, is off by %g", i,
                       s.n, s.heads, s.kv_heads, s.dim, s.slots, lab_error(a.out, ref));
        heap_free(ref);
        heap_free(a.work);
        heap_free(span);
        lab_free(a.q);
        lab_free(a.k);
        lab_free(a.v);
        lab_free(a.out);
    }
}

CPU_TEST(scores_of_random_sizes)
{
    const struct device plain = {.op = &cpu_ops_plain};
    for (int i = 0; i < PROBLEMS; i++) {
        uint64_t seed = (uint64_t)i * 77 + 2;
        struct sizes size = random_sizes(&seed);
        struct span *span = random_spans(&seed, size.n, size.slots);
        int width = size.heads * size.dim, kv_width = size.kv_heads * size.dim;
        struct score s = {.q = lab_mat(DT_F32, size.n, width, width, 2, seed),
                          .k = lab_mat(size.kv, size.slots, kv_width, kv_width, 1, seed + 1),
                          .v = lab_mat(size.kv, size.slots, kv_width, kv_width, 1, seed + 2),
                          .span = lab_spans(span, size.n),
                          .heads = size.heads,
                          .kv_heads = size.kv_heads,
                          .scale = 1.0f / sqrtf((float)size.dim),
                          .value = (enum score_value)(i % 3),
                          .over_heads = (enum score_heads)(i / 3 % 3),
                          .over_rows = (enum score_rows)(i / 9 % 2),
                          .out = lab_mat(DT_F32, 1, size.slots, size.slots, 0, 1)};
        double *ref = lab_alloc((size_t)size.slots * sizeof *ref);
        struct lab lab;
        s.work = lab_alloc(k_score_work(&plain, size.n, size.heads, size.slots));
        lab_open(&lab, cpu, 1 + i % 3);
        k_score(lab.queue, &s);
        lab_close(&lab);
        ref_score(ref, &s);
        if (lab_error(s.out, ref) > lab_slack * BOUND)
            CHECK_FAIL("problem %d, %d rows of %d/%d heads of %d over %d slots, is off by %g", i,
                       size.n, size.heads, size.kv_heads, size.dim, size.slots,
                       lab_error(s.out, ref));
        heap_free(ref);
        heap_free(s.work);
        heap_free(span);
        lab_free(s.q);
        lab_free(s.k);
        lab_free(s.v);
        lab_free(s.out);
    }
}

CPU_TEST(products_of_random_sizes)
{
    static const enum weight_format formats[] = {WEIGHT_F32, WEIGHT_BF16, WEIGHT_F16, WEIGHT_INT8,
                                                 WEIGHT_INT4};
    static const enum dtype made[] = {DT_F32, DT_BF16, DT_F16, DT_F32, DT_F32};
    for (int i = 0; i < PROBLEMS; i++) {
        uint64_t seed = (uint64_t)i * 77 + 3;
        int f = i % 5, in = at_random(&seed, 1, 900), out = at_random(&seed, 1, 300);
        int n = at_random(&seed, 1, 1 + MOST_WORK / in / out), is_quantised = f >= 3;
        int is_bf16 = i / 5 % 2 && f != 0 && f != 2;
        struct mat x = lab_mat(is_bf16 ? DT_BF16 : DT_F32, n, in, in + 1, 1, seed);
        struct mat w = lab_mat(made[f], out, in, in, 1, seed + 1);
        struct mat y = lab_mat(DT_F32, n, out, out + 3, 1, seed + 2);
        double *ref = lab_alloc((size_t)(n * out) * sizeof *ref);
        float *values;
        struct weight packed;
        struct lab lab;
        lab_open(&lab, cpu, 1 + i % 3);
        packed = lab_weight_as(&lab, w, formats[f], &values);
        k_matmul(lab.queue, y, x, packed, mat_none(), ACT_NONE);
        ref_matmul(ref, x, is_quantised ? mat_of(values, DT_F32, out, in) : w, NULL, ACT_NONE);
        if (lab_error(y, ref) > lab_slack * (is_quantised ? WORDS_BOUND : BOUND))
            CHECK_FAIL("problem %d, format %d, %d rows, %d x %d, is off by %g", i, f, n, out, in,
                       lab_error(y, ref));
        lab_weight_free(packed);
        lab_close(&lab);
        heap_free(values);
        heap_free(ref);
        lab_free(x);
        lab_free(w);
        lab_free(y);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
