/* test_weights.c - tensors that are brought, converted or refused. */
#include "tests/kernels/lab.h"

#include "kernels/weights.h"

#define HEADER                                                                      \
    "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"          \
    "\"f\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[12,36]},"           \
    "\"h\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[36,48]},"           \
    "\"conv.4\":{\"dtype\":\"BF16\",\"shape\":[2,3,1,2],\"data_offsets\":[48,72]}," \
    "\"v\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[72,78]}}"
#define DATA_BYTES 78

static const float values[6] = {1.0f, -2.5f, 1.00390625f, 1.01171875f, 0.0f, -1.5f};
static const float to_bf16[6] = {1.0f, -2.5f, 1.0f, 1.015625f, 0.0f, -1.5f};

struct model { /* a file in memory, its data `shift` bytes past an aligned place */
    uint8_t *block;
    struct st_files *files;
    struct lab lab;
    struct arena mem;
    struct weights w;
};

static void fill(uint8_t *data)
{
    for (int i = 0; i < 6; i++) {
        uint16_t b = f32_to_bf16(values[i]), h = lab_f16((double)values[i]);
        memcpy(data + 2 * i, &b, 2);
        memcpy(data + 12 + 4 * i, &values[i], 4);
        memcpy(data + 36 + 2 * i, &h, 2);
        memcpy(data + 48 + 2 * i, &b, 2);
        memcpy(data + 60 + 2 * i, &b, 2);
        if (i < 3) memcpy(data + 72 + 2 * i, &h, 2);
    }
}

static void open_model(struct model *m, enum dtype compute, size_t shift)
{
    size_t header = strlen(HEADER), padded = (header + 63) / 64 * 64 - 8 + shift;
    uint64_t length;
    if (padded < header) padded += 64;
    length = padded;
    m->block = lab_alloc(8 + padded + DATA_BYTES);
    memset(m->block, ' ', 8 + padded);
    memcpy(m->block, &length, 8);
    memcpy(m->block + 8, HEADER, header);
    fill(m->block + 8 + padded);
    lab_open(&m->lab, (struct lab_cpu){VLQA_CPU_PLAIN, NULL, NULL}, 0);
    m->files = NULL;
    if (st_open_memory(&m->lab.env, "t", m->block, 8 + padded + DATA_BYTES, &m->files))
        CHECK_FAIL("%s", m->lab.env.message);
    m->mem = (struct arena){0};
    m->w = (struct weights){.pass = WEIGHTS_MEASURE,
                            .env = &m->lab.env,
                            .queue = m->lab.queue,
                            .files = m->files,
                            .mem = &m->mem,
                            .compute = compute};
}

/* From measuring to filling: the same calls again need what was measured, no more and no less. */
static void give_memory(struct model *m)
{
    size_t bytes = m->mem.used;
    m->mem = arena_over(lab_alloc(bytes), bytes);
    m->w.pass = WEIGHTS_FILL;
}

static void close_model(struct model *m)
{
    heap_free(m->mem.base);
    st_close(m->files);
    lab_close(&m->lab);
    heap_free(m->block);
}

static float value_of(struct model *m, struct weight w, int row, int col)
{
    float *values_of_row = lab_alloc((size_t)w.cols * sizeof *values_of_row), value;
    const int32_t index[] = {row};
    k_embed(m->lab.queue, mat_of(values_of_row, DT_F32, 1, w.cols), w, lab_ints(index, 1));
    value = values_of_row[col];
    heap_free(values_of_row);
    return value;
}

static int holds(struct model *m, struct weight w, const float *expected)
{
    int same = 0;
    for (int i = 0; i < 6; i++)
        same += value_of(m, w, i / 3, i % 3) == expected[i];
    return same == 6 && w.rows == 2 && w.cols == 3;
}

static void want_three(struct model *m, struct weight out[3])
{
    CHECK_EQ(weights_get2(&m->w, &out[0], 2, 3, "%s", "b"), VLQA_OK);
    CHECK_EQ(weights_get2(&m->w, &out[1], 2, 3, "%c", 'f'), VLQA_OK);
    CHECK_EQ(weights_get2(&m->w, &out[2], 2, 3, "h"), VLQA_OK);
}

static void load_three(struct model *m, enum dtype compute, size_t shift, struct weight out[3])
{
    size_t measured;
    open_model(m, compute, shift);
    want_three(m, out);
    measured = m->mem.used;
    give_memory(m);
    want_three(m, out);
    CHECK_EQ(m->mem.used, measured);
}

TEST(for_bf16_all_become_bf16)
{
    struct model m;
    struct weight a[3];
    load_three(&m, DT_BF16, 0, a);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(a[i].format, WEIGHT_BF16);
        CHECK(holds(&m, a[i], to_bf16));
    }
    close_model(&m);
}

TEST(for_f32_all_keep_their_format)
{
    struct model m;
    struct weight a[3];
    load_three(&m, DT_F32, 0, a);
    CHECK(a[0].format == WEIGHT_BF16 && a[1].format == WEIGHT_F32 && a[2].format == WEIGHT_F16);
    for (int i = 0; i < 3; i++)
        CHECK(holds(&m, a[i], i == 0 ? to_bf16 : values));
    close_model(&m);
}

TEST(misaligned_tensors_are_read)
{
    for (size_t shift = 1; shift < 4; shift++) {
        struct model m;
        struct weight a[3];
        load_three(&m, DT_F32, shift, a);
        for (int i = 0; i < 3; i++)
            CHECK(holds(&m, a[i], i == 0 ? to_bf16 : values));
        close_model(&m);
    }
}

TEST(higher_ranks_are_seen_as_matrices)
{
    static const int64_t dim[4] = {2, 3, 1, 2};
    struct model m;
    struct weight a;
    open_model(&m, DT_BF16, 0);
    REQUIRE(weights_get(&m.w, &a, 4, dim, "conv.%d", 4) == VLQA_OK);
    give_memory(&m);
    REQUIRE(weights_get(&m.w, &a, 4, dim, "conv.%d", 4) == VLQA_OK);
    CHECK(a.rows == 2 && a.cols == 6);
    CHECK(value_of(&m, a, 1, 5) == -1.5f);
    close_model(&m);
}

TEST(tables_keep_their_rows)
{
    static const char *const name[] = {"b", "f", "h"};
    struct model m;
    struct mat t[3];
    open_model(&m, DT_F32, 0);
    for (int i = 0; i < 3; i++)
        REQUIRE(weights_table(&m.w, &t[i], 2, 3, name[i]) == VLQA_OK);
    give_memory(&m);
    for (int i = 0; i < 3; i++) {
        REQUIRE(weights_table(&m.w, &t[i], 2, 3, name[i]) == VLQA_OK);
        for (int k = 0; k < 6; k++)
            CHECK(ref_value(t[i], k / 3, k % 3) == (double)(i == 0 ? to_bf16 : values)[k]);
    }
    close_model(&m);
}

TEST(vectors_become_f32)
{
    struct model m;
    struct mat v = {0};
    open_model(&m, DT_BF16, 0);
    CHECK_EQ(weights_vector(&m.w, &v, 3, "v"), VLQA_OK);
    CHECK(v.data == NULL);
    give_memory(&m);
    REQUIRE(weights_vector(&m.w, &v, 3, "v") == VLQA_OK);
    CHECK(memcmp(v.data, values, 3 * sizeof *values) == 0);
    close_model(&m);
}

TEST(what_is_wrong_is_said_while_measuring)
{
    static const int64_t wide[3] = {1, 1 << 30, 1 << 30};
    struct model m;
    struct weight a;
    struct mat v;
    open_model(&m, DT_BF16, 0);
    CHECK_EQ(weights_get2(&m.w, &a, 3, 2, "b"), VLQA_EMODEL);
    CHECK_HAS(m.lab.env.message, "b is [2, 3], expected [3, 2]");
    CHECK_EQ(weights_vector(&m.w, &v, 3, "layers.%d.norm", 7), VLQA_EMODEL);
    CHECK_HAS(m.lab.env.message, "layers.7.norm is missing");
    CHECK_EQ(weights_get(&m.w, &a, 3, wide, "b"), VLQA_EMODEL);
    CHECK_EQ(weights_get2(&m.w, &a, 2, 3, "%0400d", 1), VLQA_EMODEL);
    CHECK_HAS(m.lab.env.message, "too long");
    CHECK_EQ(m.mem.used, 0);
    close_model(&m);
}

/* Blocks of 16 rows, the last of them short, by any number of threads. */
TEST(threads_bring_the_same_blocks)
{
    uint8_t *first = NULL;
    size_t bytes = 0;
    for (int threads = 0; threads < 4; threads++) {
        struct lab lab;
        struct arena mem = {0};
        struct st_files *files;
        struct weights w;
        struct weight a;
        lab_open(&lab, (struct lab_cpu){VLQA_CPU_AUTO, NULL, NULL}, threads);
        REQUIRE(st_open_random(&lab.env, 1, &files) == VLQA_OK);
        w = (struct weights){.pass = WEIGHTS_MEASURE,
                             .env = &lab.env,
                             .queue = lab.queue,
                             .files = files,
                             .mem = &mem,
                             .compute = DT_BF16};
        REQUIRE(weights_get2(&w, &a, 40, 30, "x.weight") == VLQA_OK);
        bytes = mem.used;
        mem = arena_over(lab_alloc(bytes), bytes);
        w.pass = WEIGHTS_FILL;
        REQUIRE(weights_get2(&w, &a, 40, 30, "x.weight") == VLQA_OK);
        CHECK(a.format == WEIGHT_BF16 && a.data == mem.base);
        if (first) CHECK(memcmp(first, mem.base, k_weight_bytes(lab.device, a)) == 0);
        if (first) heap_free(mem.base);
        if (!first) first = mem.base;
        st_close(files);
        lab_close(&lab);
    }
    heap_free(first);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
