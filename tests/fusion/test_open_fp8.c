/* test_open_fp8.c - FP8 checkpoints answer as their values do when a file has them in floats. */
#include "base/safetensors.h"
#include "tests/e4m3.h"
#include "tests/fusion/answer_bits.h"

#include <stdlib.h>

#define DEFAULT VLQA_SOURCE_DIR "/assets/default-model"
#define CONFIG "config.json"
#define WEIGHTS "model.safetensors"
#define INFO "\"quantization_config\": "

/* As released checkpoints have it, and as llm-compressor writes FP8_DYNAMIC and FP8_BLOCK. */
#define FINE                                                                                   \
    INFO "{\"activation_scheme\": \"dynamic\", \"fmt\": \"e4m3\", \"quant_method\": \"fp8\", " \
         "\"weight_block_size\": [128, 128], \"modules_to_not_convert\": [\"lm_head\"]}"
#define FLOAT8 "{\"num_bits\": 8, \"type\": \"float\", \"symmetric\": true, \"strategy\": "
#define COMPRESSED(strategy, more)                                                           \
    INFO "{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", "      \
         "\"kv_cache_scheme\": null, \"config_groups\": {\"group_0\": {\"weights\": " FLOAT8 \
         "\"" strategy "\", \"dynamic\": false" more "}, \"input_activations\": " FLOAT8     \
         "\"token\", \"dynamic\": true}, \"output_activations\": null}}}"

/* ---- a checkpoint in FP8, and one with what its values are ---- */

struct form {
    const char *config;
    const char *scale, *dtype;  /* ending and format of scales */
    int group_rows, group_cols; /* 0: all */
};

static const struct form fine = {FINE, "_scale_inv", "BF16", 128, 128};

struct writer { /* a safetensors file that grows */
    char *header;
    uint8_t *data;
    size_t end, used;
};

static uint8_t *put(struct writer *w, const char *name, const char *dtype,
                    struct st_shape_text shape, size_t bytes)
{
    uint8_t *at = w->data + w->used;
    w->end += (size_t)sprintf(
        w->header + w->end, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
        w->end > 1 ? "," : "", name, dtype, shape.text, w->used, w->used + bytes);
    w->used += bytes;
    return at;
}

static uint16_t rounded(double x) /* to bf16, nearest even, of a normal number */
{
    int exponent;
    float f;
    uint32_t u;
    (void)frexp(x, &exponent);
    f = (float)(x == 0 ? x : ldexp(nearbyint(ldexp(x, 8 - exponent)), exponent - 8));
    memcpy(&u, &f, sizeof u);
    return (uint16_t)(u >> 16);
}

static float element(const struct st_tensor *t, const uint8_t *data, size_t i)
{
    struct host_float {
        float f;
        uint16_t h;
    } v;
    if (t->dtype == DT_F32) {
        memcpy(&v.f, data + 4 * i, 4);
        return v.f;
    }
    memcpy(&v.h, data + 2 * i, 2);
    return t->dtype == DT_BF16 ? bf16_to_f32(v.h) : f16_to_f32(v.h);
}

struct matrix {
    const struct st_tensor *t;
    const uint8_t *data;
    int rows, cols, group_rows, group_cols, scale_rows, scale_cols;
    float *scale;
};

/* The largest magnitude of each group is about 400. */
static void find_scales(struct matrix *m, int is_bf16)
{
    memset(m->scale, 0, (size_t)(m->scale_rows * m->scale_cols) * sizeof *m->scale);
    for (int i = 0; i < m->rows * m->cols; i++) {
        float *s =
            &m->scale[i / m->cols / m->group_rows * m->scale_cols + i % m->cols / m->group_cols];
        *s = fmaxf(*s, fabsf(element(m->t, m->data, (size_t)i)) / 400);
    }
    for (int i = 0; is_bf16 && i < m->scale_rows * m->scale_cols; i++)
        m->scale[i] = bf16_to_f32(f32_to_bf16(m->scale[i]));
}

static void put_scales(struct writer *w, const struct matrix *m, const struct form *form)
{
    const int64_t dim[2] = {m->scale_rows, m->scale_cols};
    size_t n = (size_t)(dim[0] * dim[1]), size = strcmp(form->dtype, "F32") == 0 ? 4 : 2;
    char name[200];
    uint8_t *to;
    snprintf(name, sizeof name, "%s%s", m->t->name, form->scale);
    to = put(w, name, form->dtype, st_shape(form->group_rows ? 2 : 1, dim), n * size);
    for (size_t i = 0; i < n; i++) {
        uint16_t h = f32_to_bf16(m->scale[i]);
        memcpy(to + i * size, size == 4 ? (void *)&m->scale[i] : &h, size);
    }
}

/* A matrix of a layer to both files; the twin has its values in double, rounded to f32 or bf16. */
static void put_matrix(struct writer *fp8, struct writer *twin, const char *twin_dtype,
                       const struct st_tensor *t, const uint8_t *data, const struct form *form)
{
    struct matrix m = {.t = t, .data = data, .rows = (int)t->dim[0], .cols = (int)t->dim[1]};
    size_t n = (size_t)(m.rows * m.cols), size = strcmp(twin_dtype, "F32") == 0 ? 4 : 2;
    uint8_t *code, *to;
    m.group_rows = form->group_rows ? form->group_rows : m.rows;
    m.group_cols = form->group_cols ? form->group_cols : m.cols;
    m.scale_rows = (m.rows + m.group_rows - 1) / m.group_rows;
    m.scale_cols = (m.cols + m.group_cols - 1) / m.group_cols;
    m.scale = malloc((size_t)(m.scale_rows * m.scale_cols) * sizeof *m.scale);
    if (!m.scale) abort();
    find_scales(&m, strcmp(form->dtype, "BF16") == 0);
    code = put(fp8, t->name, "F8_E4M3", st_shape(2, t->dim), n);
    put_scales(fp8, &m, form);
    to = put(twin, t->name, twin_dtype, st_shape(2, t->dim), n * size);
    for (int i = 0; i < m.rows * m.cols; i++) {
        double scale =
            (double)m.scale[i / m.cols / m.group_rows * m.scale_cols + i % m.cols / m.group_cols];
        float f;
        uint16_t h;
        code[i] = e4m3_nearest((double)element(t, data, (size_t)i) / scale);
        f = (float)(e4m3_value(code[i]) * scale);
        h = rounded((double)f);
        memcpy(to + (size_t)i * size, size == 4 ? (void *)&f : &h, size);
    }
    free(m.scale);
}

static void put_plain(struct writer *w, const struct st_tensor *t, const uint8_t *data)
{
    memcpy(put(w, t->name, dtype_name(t->dtype), st_shape(t->rank, t->dim), t->bytes), data,
           t->bytes);
}

static struct writer writer_new(size_t bytes)
{
    struct writer w = {calloc(1, 1 << 20), malloc(bytes), 1, 0};
    if (!w.header || !w.data) abort();
    w.header[0] = '{';
    return w;
}

/* The file, and the writer is gone. */
static void writer_save(struct writer *w, const struct fixture *f)
{
    uint8_t *file = malloc(8 + w->end + 16 + w->used);
    uint64_t length;
    if (!file) abort();
    w->header[w->end++] = '}';
    while (w->end % 8)
        w->header[w->end++] = ' ';
    length = w->end;
    memcpy(file, &length, 8);
    memcpy(file + 8, w->header, w->end);
    memcpy(file + 8 + w->end, w->data, w->used);
    fixture_write(f, WEIGHTS, file, 8 + w->end + w->used);
    free(file);
    free(w->header);
    free(w->data);
}

static int is_layer(const char *name)
{
    return strstr(name, ".layers.") && strstr(name, "_proj.weight");
}

struct pair {
    struct fixture fp8, twin;
};

/* A model with the matrices of its layers in FP8, and its twin with what these stand for. */
static int pair_open(struct pair *p, const char *model, const struct form *form,
                     const char *twin_dtype)
{
    struct env env = {0};
    struct st_files *files;
    struct writer fp8, twin;
    char config[1024];
    if (!fixture_open(&p->fp8, model) || !fixture_open(&p->twin, model) ||
        st_open(&env, model, NULL, 0, &files) != VLQA_OK)
        return 0;
    fp8 = writer_new(st_bytes(files));
    twin = writer_new(2 * st_bytes(files));
    for (int i = 0; i < st_count(files); i++) {
        const struct st_tensor *t = st_at(files, i);
        uint8_t *data = malloc(t->bytes);
        if (!data || st_read(&env, files, t, 0, data, t->bytes) != VLQA_OK) abort();
        if (is_layer(t->name)) {
            put_matrix(&fp8, &twin, twin_dtype, t, data, form);
        } else {
            put_plain(&fp8, t, data);
            put_plain(&twin, t, data);
        }
        free(data);
    }
    st_close(files);
    writer_save(&fp8, &p->fp8);
    writer_save(&twin, &p->twin);
    if (strcmp(model, DEFAULT) == 0) {
        fixture_remove(&p->fp8, "model.safetensors.index.json");
        fixture_remove(&p->twin, "model.safetensors.index.json");
    }
    snprintf(config, sizeof config, "%s, \"architectures\"", form->config);
    fixture_replace(&p->fp8, CONFIG, "\"architectures\"", config);
    return 1;
}

static void pair_close(struct pair *p)
{
    fixture_close(&p->fp8);
    fixture_close(&p->twin);
}

/* ---- answers ---- */

static struct answer_bits plain, opened, twin; /* too large for the stack of a test */

#ifdef VLQA_EMU
/* A GPU sums codes and multiplies by scales then, where its twin rounds products to bf16 first. */
TEST(fp8_stays_in_the_memory_of_a_gpu)
{
    const char *const models[] = {FIXTURE_TIED, DEFAULT};
    for (int i = 0; i < 4; i++) {
        struct setting s = {.dtype = i % 2 ? VLQA_DTYPE_F32 : VLQA_DTYPE_BF16};
        double error = 0, all = 0;
        struct pair p;
        REQUIRE(pair_open(&p, models[i / 2], &fine, "F32"));
        s.model = p.twin.dir;
        REQUIRE(answer_of(s, &twin));
        s.model = p.fp8.dir;
        REQUIRE(answer_of(s, &opened));
        s.weights = VLQA_WEIGHTS_BF16;
        REQUIRE(answer_of(s, &plain));
        CHECK_STR(opened.info.weights, "fp8");
        CHECK_STR(plain.info.weights, twin.info.weights);
        CHECK(same_bits(&plain, &twin));
        CHECK(opened.info.weight_memory_bytes < twin.info.weight_memory_bytes);
        for (int k = 0; k < twin.n_logits; k++) {
            error += pow((double)(opened.logits[k] - twin.logits[k]), 2);
            all += pow((double)twin.logits[k], 2);
        }
        if (!(sqrt(error / all) < (i % 2 ? 1e-5 : 2e-2)))
            CHECK_FAIL("%s: logits are off by %g", models[i / 2], sqrt(error / all));
        CHECK(error > 0);
        pair_close(&p);
    }
}
#else
static void check_alike(const char *model, const struct form *form, struct setting s)
{
    struct pair p;
    const char *dtype = s.dtype == VLQA_DTYPE_F32 || s.weights ? "F32" : "BF16";
    REQUIRE(pair_open(&p, model, form, dtype));
    s.model = model;
    REQUIRE(answer_of(s, &plain));
    s.model = p.twin.dir;
    s.threads = 1;
    REQUIRE(answer_of(s, &twin));
    s.model = p.fp8.dir;
    s.threads = 3;
    REQUIRE(answer_of(s, &opened));
    CHECK(same_bits(&twin, &opened));
    CHECK(!same_bits(&plain, &opened)); /* so that this is no comparison of nothing */
    CHECK_STR(opened.info.stored, "FP8");
    CHECK_STR(opened.info.weights, twin.info.weights);
    CHECK_EQ(opened.info.parameters, plain.info.parameters);
    CHECK_EQ(opened.info.weight_memory_bytes, twin.info.weight_memory_bytes);
    CHECK(opened.info.weight_bytes < twin.info.weight_bytes);
    CHECK(strcmp(opened.info.digest, twin.info.digest) != 0);
    pair_close(&p);
}

TEST(blocks_of_128_answer_as_their_values_do)
{
    const struct form wide = {FINE, "_scale_inv", "F32", 128, 128};
    check_alike(DEFAULT, &fine, (struct setting){0});
    CHECK_STR(opened.info.weights, "bf16");
    check_alike(DEFAULT, &wide, (struct setting){.dtype = VLQA_DTYPE_F32});
    CHECK_STR(opened.info.weights, "f32");
    check_alike(FIXTURE_TIED, &fine, (struct setting){0});
}

TEST(compressed_tensors_answer_as_their_values_do)
{
    static const struct form forms[] = {
        {COMPRESSED("channel", ""), "_scale", "BF16", 1, 0},
        {COMPRESSED("tensor", ", \"group_size\": null"), "_scale", "F32", 0, 0},
        {COMPRESSED("block", ", \"block_structure\": [128, 128]"), "_scale", "F32", 128, 128},
        {COMPRESSED("block", ", \"block_structure\": \"128x128\""), "_scale", "BF16", 128, 128},
    };
    for (int i = 0; i < 4; i++)
        check_alike(i % 2 ? DEFAULT : FIXTURE_TIED, &forms[i], (struct setting){0});
}

TEST(fp8_is_quantised_like_floats)
{
    check_alike(DEFAULT, &fine, (struct setting){.weights = VLQA_WEIGHTS_INT8});
    CHECK_STR(opened.info.weights, "int8");
    check_alike(DEFAULT, &fine, (struct setting){.weights = VLQA_WEIGHTS_INT4});
    CHECK_STR(opened.info.weights, "int4");
}
#endif

/* ---- what is refused ---- */

TEST(fp8_that_is_not_read_is_refused_by_name)
{
    static const char *const change[][3] = {
        {"\"fmt\": \"e4m3\"", "\"fmt\": \"e5m2\"",
         "fmt of the quantised weights is \"e5m2\", expected \"e4m3\""},
        {"[128, 128]", "[128, 64]",
         "weight_block_size of the quantised weights is [128, 64], expected [128, 128]"},
        {"[128, 128]", "[128]", "weight_block_size of the quantised weights is array"},
        {"[128, 128]", "128", "weight_block_size of the quantised weights is 128"},
        {"\"quant_method\": \"fp8\"", "\"quant_method\": \"modelopt\"",
         "the weights are quantised (modelopt); vlqa reads compressed-tensors"},
        {"\"quantization_config\"", "\"elsewhere\"",
         "config.json has no quantization_config that says how"},
    };
    struct pair p;
    REQUIRE(pair_open(&p, FIXTURE_TIED, &fine, "BF16"));
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        struct fixture f;
        REQUIRE(fixture_open(&f, p.fp8.dir));
        fixture_replace(&f, CONFIG, change[i][0], change[i][1]);
        check_refused(f.dir, VLQA_WEIGHTS_AUTO, change[i][2]);
        fixture_close(&f);
    }
    pair_close(&p);
}

TEST(compressed_fp8_that_is_not_read_is_refused_by_name)
{
    static const char *const change[][3] = {
        {"\"strategy\": \"channel\"", "\"strategy\": \"group\"",
         "strategy of the quantised weights is \"group\", expected \"tensor\""},
        {"\"dynamic\": false", "\"dynamic\": false, \"block_structure\": [64, 64]",
         NULL}, /* of another strategy */
        {"\"strategy\": \"channel\"", "\"block_structure\": [64, 64], \"strategy\": \"block\"",
         "block_structure of the quantised weights is [64, 64], expected [128, 128]"},
        {"\"dynamic\": false", "\"dynamic\": true", "dynamic of the quantised weights is true"},
        {"\"symmetric\": true, \"strategy\": \"channel\"",
         "\"symmetric\": false, \"strategy\": \"channel\"",
         "symmetric of the quantised weights is false, expected true with type \"float\""},
        {"\"kv_cache_scheme\": null", "\"kv_cache_scheme\": {\"num_bits\": 8}", "kv_cache_scheme"},
        {"\"output_activations\": null", "\"output_activations\": {\"num_bits\": 8}",
         "activations are quantised, too"},
    };
    const struct form form = {COMPRESSED("channel", ""), "_scale", "BF16", 1, 0};
    struct pair p;
    REQUIRE(pair_open(&p, FIXTURE_TIED, &form, "BF16"));
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        struct fixture f;
        REQUIRE(fixture_open(&f, p.fp8.dir));
        fixture_replace(&f, CONFIG, change[i][0], change[i][1]);
        if (change[i][2])
            check_refused(f.dir, VLQA_WEIGHTS_AUTO, change[i][2]);
        else
            REQUIRE(answer_of((struct setting){.model = f.dir}, &opened));
        fixture_close(&f);
    }
    pair_close(&p);
}

#define UP "layers.1.mlp.up_proj.weight"

TEST(damaged_fp8_is_refused_by_its_tensor)
{
    struct pair p;
    size_t bytes, begin, end;
    char *file, *header, *at;
    REQUIRE(pair_open(&p, FIXTURE_TIED, &fine, "BF16"));
    file = fixture_read(&p.fp8, WEIGHTS, &bytes);
    header = strstr(file + 8, UP "\"");
    REQUIRE(header && (at = strstr(header, "offsets\":[")));
    REQUIRE(sscanf(at, "offsets\":[%zu,%zu", &begin, &end) == 2 && end - begin == 77 * 56);
    memcpy(&end, file, 8);
    file[8 + end + begin + 56 * 70 + 3] = 0x7f;
    fixture_write(&p.fp8, WEIGHTS, file, bytes);
    free(file);
    check_refused(p.fp8.dir, VLQA_WEIGHTS_AUTO,
                  UP " has a NaN at [70, 3]: the file is damaged, download it again");
    fixture_rename_tensors(&p.fp8, WEIGHTS, UP "_scale_inv", UP "_steps_inv");
    check_refused(p.fp8.dir, VLQA_WEIGHTS_AUTO, UP " is FP8 ([77, 56]) without scales");
    pair_close(&p);
}

TEST(fp8_is_not_quantised_to_a_new_directory)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    struct pair p;
    char out[300];
    REQUIRE(pair_open(&p, FIXTURE_TIED, &fine, "BF16"));
    snprintf(out, sizeof out, "%s/out", p.fp8.dir);
    o.model = p.fp8.dir;
    o.weights = VLQA_WEIGHTS_INT8;
    CHECK_EQ(vlqa_quantize(&o, out), VLQA_EMODEL);
    pair_close(&p);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
