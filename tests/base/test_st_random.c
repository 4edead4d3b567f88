/* test_st_random.c - weights that are made: the same each time, of the right scale. */
#include "base/heap.h"
#include "base/pool.h"
#include "base/safetensors.h"
#include "tests/check.h"

static void *values(struct env *env, const struct st_files *files, const struct st_tensor *t)
{
    void *all = heap_alloc(t->bytes);
    if (!all || st_read(env, files, t, 0, all, t->bytes) != VLQA_OK) exit(1);
    return all;
}

static int same_values(struct env *env, const struct st_files *a, const struct st_tensor *x,
                       const struct st_files *b, const struct st_tensor *y)
{
    void *p = values(env, a, x), *q = values(env, b, y);
    int same = x->bytes == y->bytes && memcmp(p, q, x->bytes) == 0;
    heap_free(p);
    heap_free(q);
    return same;
}

/* Any piece is that piece of the whole, also from the middle of an element on. */
TEST(a_part_of_a_made_tensor_is_a_part_of_the_whole)
{
    static const int64_t dim[] = {30, 7};
    struct env env = {0};
    struct st_files *files;
    const struct st_tensor *t;
    uint8_t *all, part[420];
    REQUIRE(st_open_random(&env, 1, &files) == VLQA_OK);
    REQUIRE(st_want(&env, files, "x.weight", 2, dim, &t) == VLQA_OK);
    all = values(&env, files, t);
    for (size_t begin = 0; begin < 420; begin += 11)
        for (size_t n = 1; begin + n <= 420; n += 37) {
            REQUIRE(st_read(&env, files, t, begin, part, n) == VLQA_OK);
            CHECK(memcmp(part, all + begin, n) == 0);
        }
    heap_free(all);
    st_close(files);
}

TEST(made_weights_depend_on_seed_and_name_alone)
{
    static const int64_t dim[] = {300, 257};
    struct env alone = {0}, many = {0};
    struct st_files *a, *b, *other;
    const struct st_tensor *x, *y, *z, *again;
    REQUIRE(pool_create(&many, 4, &many.pool) == VLQA_OK);
    REQUIRE(st_open_random(&alone, 1, &a) == VLQA_OK);
    REQUIRE(st_open_random(&many, 1, &b) == VLQA_OK);
    REQUIRE(st_open_random(&alone, 2, &other) == VLQA_OK);
    CHECK(st_has(a, "x.weight") && !st_find(a, "x.weight") && st_count(a) == 0);
    REQUIRE(st_want(&many, b, "y.weight", 2, dim, &z) == VLQA_OK);
    REQUIRE(st_want(&alone, a, "x.weight", 2, dim, &x) == VLQA_OK);
    REQUIRE(st_want(&many, b, "x.weight", 2, dim, &y) == VLQA_OK);
    CHECK_EQ(x->bytes, 300 * 257 * 2);
    CHECK(same_values(&alone, a, x, b, y));
    CHECK(!same_values(&alone, a, x, b, z));
    REQUIRE(st_want(&alone, other, "x.weight", 2, dim, &y) == VLQA_OK);
    CHECK(!same_values(&alone, a, x, other, y));
    REQUIRE(st_want(&alone, a, "x.weight", 2, dim, &again) == VLQA_OK);
    CHECK(again == x && st_find(a, "x.weight") == x);
    CHECK_EQ(st_want(&alone, a, "x.weight", 1, dim, &again), VLQA_EMODEL);
    CHECK_STR(alone.message, "random weights: x.weight is [300, 257], expected [300]");
    CHECK_EQ(st_all_used(&alone, a), VLQA_OK);
    st_close(a);
    st_close(b);
    st_close(other);
    pool_free(many.pool);
}

TEST(made_weights_have_the_promised_scale)
{
    static const int64_t dim[] = {1000, 3, 100}, d7[] = {7};
    struct env env = {0};
    struct st_files *files;
    const struct st_tensor *m, *norm, *bias;
    uint16_t *matrix, *ones, *zeros;
    double sum = 0, squares = 0, n = 300000, deviation = 0.5 / sqrt(300);
    REQUIRE(st_open_random(&env, 1, &files) == VLQA_OK);
    REQUIRE(st_want(&env, files, "layers.0.proj.weight", 3, dim, &m) == VLQA_OK);
    REQUIRE(st_want(&env, files, "layers.0.q_norm.weight", 1, d7, &norm) == VLQA_OK);
    REQUIRE(st_want(&env, files, "layers.0.proj.bias", 1, d7, &bias) == VLQA_OK);
    matrix = values(&env, files, m);
    ones = values(&env, files, norm);
    zeros = values(&env, files, bias);
    for (int i = 0; i < 300000; i++) {
        double v = (double)bf16_to_f32(matrix[i]);
        sum += v;
        squares += v * v;
    }
    CHECK(fabs(sum / n) < 0.01 * deviation);
    CHECK(fabs(sqrt(squares / n) / deviation - 1) < 0.01);
    for (int i = 0; i < 7; i++) {
        CHECK(bf16_to_f32(ones[i]) == 1);
        CHECK(bf16_to_f32(zeros[i]) == 0);
    }
    heap_free(matrix);
    heap_free(ones);
    heap_free(zeros);
    st_close(files);
}

TEST(made_tables_stay_sorted_as_they_grow)
{
    static const int64_t d1[] = {1};
    struct env env = {0};
    struct st_files *files;
    const struct st_tensor *t, *first = NULL;
    char name[20];
    REQUIRE(st_open_random(&env, 1, &files) == VLQA_OK);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "t%d", i * 37 % 200);
        REQUIRE(st_want(&env, files, name, 1, d1, &t) == VLQA_OK);
        if (i == 0) first = t;
    }
    CHECK_EQ(st_count(files), 200);
    for (int i = 1; i < 200; i++)
        CHECK(strcmp(st_at(files, i - 1)->name, st_at(files, i)->name) < 0);
    CHECK(st_find(files, "t0") == first); /* handed out once, valid until the end */
    st_close(files);
}

TEST(made_tensors_may_fail_for_size_and_memory)
{
    static const int64_t huge[] = {2147483647, 2147483647, 2147483647}, d2[] = {2, 2};
    struct env env = {0};
    struct st_files *files;
    const struct st_tensor *t;
    uint64_t live = heap_live();
    CHECK_EQ(st_open_random(&env, 1, &files), VLQA_OK);
    CHECK_EQ(st_want(&env, files, "h", 3, huge, &t), VLQA_EMODEL);
    CHECK_STR(env.message, "h is [2147483647, 2147483647, 2147483647], which is too large");
    for (int n = 0; n < 4; n++) {
        heap_fail_after(n);
        CHECK_EQ(st_want(&env, files, "x", 2, d2, &t), VLQA_EMEMORY);
        heap_fail_after(-1);
        CHECK_EQ(st_count(files), 0);
        st_close(files);
        CHECK_EQ(heap_live(), live);
        REQUIRE(st_open_random(&env, 1, &files) == VLQA_OK);
    }
    CHECK_EQ(st_want(&env, files, "x", 2, d2, &t), VLQA_OK);
    st_close(files);
    CHECK_EQ(heap_live(), live);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
