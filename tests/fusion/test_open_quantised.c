/* test_open_quantised.c - quantised weights answer alike from a file and from floats, and what is
 * refused of quantised directories. */
#include "tests/check.h"
#include "tests/fusion/answer_bits.h"

#include <stdlib.h>
#include <unistd.h>

#define DEFAULT VLQA_SOURCE_DIR "/assets/default-model"
#define CONFIG "config.json"

static char scratch[64];

static const char *at(const char *name) /* valid until the next call but one */
{
    static char path[2][128];
    static int next;
    next = !next;
    if (!*scratch) {
        snprintf(scratch, sizeof scratch, "/tmp/vlqa-quantised-XXXXXX");
        if (!mkdtemp(scratch)) abort();
    }
    snprintf(path[next], sizeof path[next], "%s/%s", scratch, name);
    return path[next];
}

static int quantise(const char *model, enum vlqa_weights weights, const char *out)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    o.model = model;
    o.weights = weights;
    if (access(out, F_OK) == 0) return 1;
    return vlqa_quantize(&o, out) == VLQA_OK;
}

/* KL of the first token, nats. */
static double kl(const struct answer_bits *a, const struct answer_bits *b)
{
    double za = 0, zb = 0, sum = 0;
    float most_a = a->logits[0], most_b = b->logits[0];
    for (int i = 0; i < a->n_logits; i++) {
        most_a = fmaxf(most_a, a->logits[i]);
        most_b = fmaxf(most_b, b->logits[i]);
    }
    for (int i = 0; i < a->n_logits; i++) {
        za += exp((double)(a->logits[i] - most_a));
        zb += exp((double)(b->logits[i] - most_b));
    }
    for (int i = 0; i < a->n_logits; i++) {
        double p = (double)(a->logits[i] - most_a) - log(za);
        sum += exp(p) * (p - ((double)(b->logits[i] - most_b) - log(zb)));
    }
    return sum;
}

static struct answer_bits plain, loaded, opened; /* too large for the stack of a test */

/* From the file as from floats; and the format matters, so that this is no comparison of nothing.
 */
static void check_alike(const char *model, const char *name, enum vlqa_weights weights,
                        enum vlqa_dtype dtype)
{
    const char *text = weights == VLQA_WEIGHTS_INT8 ? "int8" : "int4";
    REQUIRE(quantise(model, weights, at(name)));
    REQUIRE(answer_of((struct setting){.model = model, .dtype = dtype, .threads = 1}, &plain));
    REQUIRE(
        answer_of((struct setting){.model = model, .weights = weights, .dtype = dtype}, &loaded));
    REQUIRE(answer_of((struct setting){.model = at(name), .dtype = dtype, .threads = 3}, &opened));
    CHECK(same_bits(&loaded, &opened));
    CHECK(!same_bits(&loaded, &plain));
    CHECK(kl(&plain, &loaded) >= 0);
    CHECK_STR(loaded.info.weights, text);
    CHECK_STR(opened.info.weights, text);
    CHECK_STR(loaded.info.stored, plain.info.stored);
    CHECK_STR(opened.info.stored, weights == VLQA_WEIGHTS_INT8 ? "INT8" : "INT4");
    CHECK_EQ(opened.info.parameters, plain.info.parameters);
    CHECK_EQ(opened.info.weight_memory_bytes, loaded.info.weight_memory_bytes);
    CHECK(loaded.info.weight_memory_bytes < plain.info.weight_memory_bytes);
    CHECK(strcmp(loaded.info.digest, plain.info.digest) == 0);
}

TEST(int8_answers_alike_from_file_and_floats)
{
    check_alike(DEFAULT, "default8", VLQA_WEIGHTS_INT8, VLQA_DTYPE_AUTO);
    CHECK(kl(&plain, &opened) < 0.01);
    check_alike(DEFAULT, "default8", VLQA_WEIGHTS_INT8, VLQA_DTYPE_F32);
    check_alike(FIXTURE_TIED, "tied8", VLQA_WEIGHTS_INT8, VLQA_DTYPE_AUTO);
    check_alike(FIXTURE_GOLDEN "sharded12", "sharded8", VLQA_WEIGHTS_INT8, VLQA_DTYPE_AUTO);
    check_alike(FIXTURE_GOLDEN "tower72", "tower8", VLQA_WEIGHTS_INT8, VLQA_DTYPE_BF16);
}

TEST(int4_answers_alike_from_file_and_floats)
{
    check_alike(DEFAULT, "default4", VLQA_WEIGHTS_INT4, VLQA_DTYPE_AUTO);
    check_alike(DEFAULT, "default4", VLQA_WEIGHTS_INT4, VLQA_DTYPE_F32);
}

TEST(int4_of_rows_without_whole_groups_answers)
{
    REQUIRE(
        answer_of((struct setting){.model = FIXTURE_TIED, .weights = VLQA_WEIGHTS_INT4}, &opened));
    CHECK_STR(opened.info.weights, "int4");
}

TEST(a_quantised_model_is_opened_by_its_own_format_alone)
{
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT4, at("default4")));
    REQUIRE(answer_of((struct setting){.model = at("default4")}, &opened));
    REQUIRE(answer_of((struct setting){.model = at("default4"), .weights = VLQA_WEIGHTS_INT4},
                      &loaded));
    CHECK(same_bits(&opened, &loaded));
}

TEST(embedding_and_head_follow_unless_they_are_told)
{
    struct setting s = {.model = DEFAULT, .weights = VLQA_WEIGHTS_INT4, .head = VLQA_WEIGHTS_INT8};
    REQUIRE(answer_of((struct setting){.model = DEFAULT, .weights = VLQA_WEIGHTS_INT4}, &loaded));
    REQUIRE(answer_of(s, &opened));
    CHECK(same_bits(&loaded, &opened));
    s.head = VLQA_WEIGHTS_BF16;
    REQUIRE(answer_of(s, &opened));
    CHECK(!same_bits(&loaded, &opened));
    CHECK(opened.info.weight_memory_bytes > loaded.info.weight_memory_bytes);
    s.model = at("default4"); /* the floats of the file */
    s.weights = VLQA_WEIGHTS_AUTO;
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT4, at("default4")));
    REQUIRE(answer_of(s, &loaded));
    CHECK(same_bits(&loaded, &opened));
}

/* What was kept by other weights is not found, but the tower's output is. */
TEST(formats_do_not_share_chunks)
{
    struct setting s = {.model = DEFAULT, .cache = at("cache")};
    REQUIRE(answer_of(s, &plain));
    CHECK(plain.chunks_disk == 0 && plain.visual_disk == 0);
    s.weights = VLQA_WEIGHTS_INT8;
    REQUIRE(answer_of(s, &loaded));
    CHECK(loaded.chunks_disk == 0 && loaded.visual_disk > 0);
    s.weights = VLQA_WEIGHTS_INT4;
    REQUIRE(answer_of(s, &opened));
    CHECK(opened.chunks_disk == 0 && opened.visual_disk > 0);
    s.weights = VLQA_WEIGHTS_INT8;
    REQUIRE(answer_of(s, &opened));
    CHECK(opened.chunks_disk > 0);
    CHECK(same_bits(&loaded, &opened));
    s.head = VLQA_WEIGHTS_BF16;
    REQUIRE(answer_of(s, &opened));
    CHECK(opened.chunks_disk == 0 && opened.visual_disk > 0);
    s.weights = VLQA_WEIGHTS_BF16; /* is what the files have */
    REQUIRE(answer_of(s, &opened));
    CHECK(opened.chunks_disk > 0);
    CHECK(same_bits(&plain, &opened));
}

/* ---- what is refused ---- */

TEST(other_integers_than_the_files_have_are_refused)
{
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT4, at("default4")));
    check_refused(at("default4"), VLQA_WEIGHTS_INT8, "are quantised (int4): open them as they are");
    check_refused(at("default4"), VLQA_WEIGHTS_BF16, "are quantised (int4): open them as they are");
}

TEST(schemes_that_are_not_read_are_refused_by_name)
{
    static const char *const change[][3] = {
        {"\"compressed-tensors\"", "\"gptq\"", "the weights are quantised (gptq); vlqa reads"},
        {"\"pack-quantized\"", "\"marlin-24\"",
         "format of the quantised weights is \"marlin-24\", expected \"pack-quantized\""},
        {"\"input_activations\": null", "\"input_activations\": {\"num_bits\": 8}",
         "activations are quantised, too"},
        {"\"kv_cache_scheme\": null", "\"kv_cache_scheme\": {\"num_bits\": 8}", "kv_cache_scheme"},
        {"\"type\": \"int\"", "\"type\": \"float\"",
         "num_bits of the quantised weights is 4, expected 8 with type \"float\""},
        {"\"type\": \"int\"", "\"type\": \"log\"", "type of the quantised weights is \"log\""},
        {"\"num_bits\": 4", "\"num_bits\": 3", "num_bits of the quantised weights is 3"},
        {"\"dynamic\": false", "\"dynamic\": true", "dynamic of the quantised weights is true"},
        {"\"dynamic\": false", "\"dynamic\": false, \"actorder\": \"group\"",
         "actorder of the quantised weights is \"group\", expected null or \"static\""},
        {"\"strategy\": \"group\"", "\"strategy\": \"tensor\"",
         "strategy of the quantised weights is \"tensor\""},
        {"\"group_size\": 32", "\"group_size\": 16",
         "group_size of the quantised weights is 16, expected 32 or a multiple of it"},
        {"\"group_size\": 32", "\"group_size\": 48", "group_size of the quantised weights is 48"},
        {"\"num_bits\": 4", "\"num_bits\": 8", "symmetric of the quantised weights is false"},
        {"\"config_groups\": {", "\"config_groups\": {}, \"more\": {",
         "config_groups of the quantised weights"},
        {"\"kv_cache_scheme\": null", "\"transform_config\": {\"a\": 1}", "transform_config"},
    };
    struct fixture f;
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT4, at("default4")));
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        REQUIRE(fixture_open(&f, at("default4")));
        fixture_replace(&f, CONFIG, change[i][0], change[i][1]);
        check_refused(f.dir, VLQA_WEIGHTS_AUTO, change[i][2]);
        fixture_close(&f);
    }
}

/* As others write it: what is allowed to differ. */
TEST(spellings_of_the_same_scheme_are_read)
{
    static const char *const change[][2] = {
        {"\"dynamic\": false", "\"dynamic\": false, \"actorder\": null, \"observer\": \"mse\""},
        {"\"dynamic\": false", "\"dynamic\": false, \"actorder\": \"static\""},
        {"\"strategy\": \"group\"", "\"strategy\": null"},
        {"\"kv_cache_scheme\": null",
         "\"sparsity_config\": {}, \"transform_config\": {}, \"version\": \"0.12.2\""},
    };
    struct fixture f;
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT4, at("default4")));
    REQUIRE(answer_of((struct setting){.model = at("default4")}, &loaded));
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        REQUIRE(fixture_open(&f, at("default4")));
        fixture_replace(&f, CONFIG, change[i][0], change[i][1]);
        REQUIRE(answer_of((struct setting){.model = f.dir}, &opened));
        CHECK(same_bits(&loaded, &opened));
        fixture_close(&f);
    }
}

TEST(damaged_and_incomplete_files_are_refused)
{
    struct fixture f;
    size_t n;
    char *whole;
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT4, at("default4")));
    REQUIRE(fixture_open(&f, at("default4")));
    whole = fixture_read(&f, "model.safetensors", &n);
    fixture_write(&f, "model.safetensors", whole, n - 1000);
    check_refused(f.dir, VLQA_WEIGHTS_AUTO, "ends in the middle of ");
    fixture_write(&f, "model.safetensors", whole, n);
    free(whole);
    fixture_rename_tensors(&f, "model.safetensors", "layers.2.mlp.up_proj.weight_scale",
                           "layers.2.mlp.up_proj.weight_steps");
    check_refused(f.dir, VLQA_WEIGHTS_AUTO, "layers.2.mlp.up_proj.weight_scale is missing");
    fixture_close(&f);
}

/* Without quantization_config nobody says how the integers are meant. */
TEST(integers_that_the_configuration_does_not_speak_of_are_refused)
{
    struct fixture f;
    REQUIRE(quantise(DEFAULT, VLQA_WEIGHTS_INT8, at("default8")));
    REQUIRE(fixture_open(&f, at("default8")));
    fixture_replace(&f, CONFIG, "\"quantization_config\"", "\"elsewhere\"");
    check_refused(f.dir, VLQA_WEIGHTS_AUTO, "the weights are quantised (compressed-tensors)");
    fixture_close(&f);
}

static void clean(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    if (*scratch && system(command) != 0) fprintf(stderr, "cannot remove %s\n", scratch);
}

int main(int argc, char **argv)
{
    (void)atexit(clean);
    return check_main(argc, argv);
}
