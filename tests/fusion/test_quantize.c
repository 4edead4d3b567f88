/* test_quantize.c - a directory with quantised weights: what is in it, and what is refused. */
#include "base/json.h"
#include "base/safetensors.h"
#include "kernels/weight_quant.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT VLQA_SOURCE_DIR "/assets/default-model"
#define WEIGHTS "model.safetensors"

static struct {
    char dir[64], out[80], message[1024];
    int cancel_at; /* steps of progress until the callback ends it; 0: never */
} desk;

static void hear(void *user, enum vlqa_log_level level, const char *line)
{
    (void)user;
    if (level == VLQA_LOG_ERROR) snprintf(desk.message, sizeof desk.message, "%s", line);
}

static int step(void *user, const char *phase, int64_t done, int64_t total)
{
    (void)user, (void)done, (void)total;
    if (strcmp(phase, "quantize") != 0 || !desk.cancel_at) return 0;
    return --desk.cancel_at == 0;
}

static void begin(void)
{
    snprintf(desk.dir, sizeof desk.dir, "/tmp/vlqa-quantize-XXXXXX");
    if (!mkdtemp(desk.dir)) abort();
    snprintf(desk.out, sizeof desk.out, "%s/out", desk.dir);
    desk.cancel_at = 0;
}

static int count_entries(const char *dir)
{
    DIR *list = opendir(dir);
    const struct dirent *entry;
    int n = 0;
    while (list && (entry = readdir(list)))
        n += entry->d_name[0] != '.';
    if (list) closedir(list);
    return n;
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", desk.dir);
    CHECK_EQ(system(command), 0);
}

static vlqa_status quantize(const char *model, enum vlqa_weights weights, int threads)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    o.model = model;
    o.weights = weights;
    o.threads = threads;
    o.log = hear;
    o.progress = step;
    desk.message[0] = 0;
    return vlqa_quantize(&o, desk.out);
}

static void check_refused(vlqa_status found, vlqa_status expected, const char *word)
{
    if (found != expected)
        CHECK_FAIL("%s, expected %s: %s", vlqa_status_name(found), vlqa_status_name(expected),
                   desk.message);
    CHECK_HAS(desk.message, word);
    CHECK_EQ(count_entries(desk.dir), 0);
}

/* ---- what is written ---- */

static const struct st_tensor *find(const struct st_files *files, const char *key)
{
    for (int i = 0; i < st_count(files); i++)
        if (strcmp(st_at(files, i)->key, key) == 0) return st_at(files, i);
    CHECK_FAIL("%s is missing", key);
    return NULL;
}

static int same_shape(const struct st_tensor *t, int64_t rows, int64_t cols)
{
    return t && t->rank == 2 && t->dim[0] == rows && t->dim[1] == cols;
}

static void read_all(const struct st_files *files, const struct st_tensor *t, void *to, size_t cap)
{
    struct env env = {0};
    if (t->bytes > cap) abort();
    CHECK_EQ(st_read(&env, files, t, 0, to, t->bytes), VLQA_OK);
}

/* gate_proj of layer 1 in tied64: 77 x 56, so the last words of neither direction are full. */
TEST(int8_words_hold_what_the_quantiser_gives)
{
    static uint16_t half[77 * 56], scale[77];
    static uint32_t packed[77 * 14];
    struct env env = {0};
    struct st_files *from, *to;
    const char *key = "model.language_model.layers.1.mlp.gate_proj.weight";
    int64_t shape[2];
    begin();
    REQUIRE(quantize(FIXTURE_TIED, VLQA_WEIGHTS_INT8, 2) == VLQA_OK);
    REQUIRE(st_open(&env, FIXTURE_TIED, NULL, 0, &from) == VLQA_OK);
    REQUIRE(st_open(&env, desk.out, NULL, 0, &to) == VLQA_OK);
    read_all(from, find(from, key), half, sizeof half);
    REQUIRE(
        same_shape(find(to, "model.language_model.layers.1.mlp.gate_proj.weight_packed"), 77, 14));
    REQUIRE(
        same_shape(find(to, "model.language_model.layers.1.mlp.gate_proj.weight_scale"), 77, 1));
    read_all(to, find(to, "model.language_model.layers.1.mlp.gate_proj.weight_packed"), packed,
             sizeof packed);
    read_all(to, find(to, "model.language_model.layers.1.mlp.gate_proj.weight_scale"), scale,
             sizeof scale);
    read_all(to, find(to, "model.language_model.layers.1.mlp.gate_proj.weight_shape"), shape,
             sizeof shape);
    CHECK(shape[0] == 77 && shape[1] == 56);
    for (int r = 0; r < 77; r++) {
        float row[56], expected;
        int8_t q[56];
        for (int c = 0; c < 56; c++)
            row[c] = bf16_to_f32(half[r * 56 + c]);
        weight_quant_int8(row, 56, q, &expected);
        CHECK(bf16_to_f32(scale[r]) == expected);
        for (int c = 0; c < 56; c++)
            CHECK_EQ((int)(packed[r * 14 + c / 4] >> 8 * (c % 4) & 0xff) - 128, q[c]);
    }
    st_close(from);
    st_close(to);
    end();
}

TEST(int4_words_hold_what_the_quantiser_gives)
{
    static uint16_t half[128 * 256], scale[128 * 8];
    static uint32_t packed[128 * 32], zeros[16 * 8];
    struct env env = {0};
    struct st_files *from, *to;
    const char *key = "model.language_model.layers.3.self_attn.k_proj.weight";
    char name[128];
    begin();
    REQUIRE(quantize(DEFAULT, VLQA_WEIGHTS_INT4, 0) == VLQA_OK);
    REQUIRE(st_open(&env, DEFAULT, NULL, 0, &from) == VLQA_OK);
    REQUIRE(st_open(&env, desk.out, NULL, 0, &to) == VLQA_OK);
    REQUIRE(same_shape(find(from, key), 128, 256));
    read_all(from, find(from, key), half, sizeof half);
    snprintf(name, sizeof name, "%s_packed", key);
    read_all(to, find(to, name), packed, sizeof packed);
    snprintf(name, sizeof name, "%s_scale", key);
    REQUIRE(same_shape(find(to, name), 128, 8));
    read_all(to, find(to, name), scale, sizeof scale);
    snprintf(name, sizeof name, "%s_zero_point", key);
    REQUIRE(same_shape(find(to, name), 16, 8));
    read_all(to, find(to, name), zeros, sizeof zeros);
    for (int r = 0; r < 128; r++) {
        float row[256];
        uint8_t q[256], zero[8];
        uint16_t expected[8];
        for (int c = 0; c < 256; c++)
            row[c] = bf16_to_f32(half[r * 256 + c]);
        weight_quant_int4(row, 256, q, expected, zero);
        CHECK(memcmp(expected, scale + r * 8, sizeof expected) == 0);
        for (int g = 0; g < 8; g++)
            CHECK_EQ(zeros[r / 8 * 8 + g] >> 4 * (r % 8) & 15, zero[g]);
        for (int c = 0; c < 256; c++)
            CHECK_EQ(packed[r * 32 + c / 8] >> 4 * (c % 8) & 15, q[c]);
    }
    st_close(from);
    st_close(to);
    end();
}

TEST(tower_norms_and_embedding_are_copied)
{
    static uint8_t a[1 << 21], b[1 << 21];
    struct env env = {0};
    struct st_files *from, *to;
    int copied = 0, quantised = 0;
    begin();
    REQUIRE(quantize(FIXTURE_GOLDEN "sharded12", VLQA_WEIGHTS_INT8, 1) == VLQA_OK);
    REQUIRE(st_open(&env, FIXTURE_GOLDEN "sharded12", NULL, 0, &from) == VLQA_OK);
    REQUIRE(st_open(&env, desk.out, NULL, 0, &to) == VLQA_OK);
    for (int i = 0; i < st_count(from); i++) {
        const struct st_tensor *t = st_at(from, i), *u;
        if (strstr(t->key, "_proj.weight")) {
            quantised++;
            continue;
        }
        u = find(to, t->key);
        REQUIRE(u && u->rank == t->rank && u->bytes == t->bytes && u->dtype == t->dtype);
        read_all(from, t, a, sizeof a);
        read_all(to, u, b, sizeof b);
        CHECK(memcmp(a, b, t->bytes) == 0);
        copied++;
    }
    CHECK(quantised > 0 && quantised % 7 == 0);
    CHECK_EQ(st_count(to), copied + 3 * quantised);
    st_close(from);
    st_close(to);
    end();
}

static int same_file(const char *name)
{
    char command[256];
    snprintf(command, sizeof command, "cmp -s '%s/%s' '%s/%s'", DEFAULT, name, desk.out, name);
    return system(command) == 0;
}

TEST(other_files_are_copied_and_the_configuration_says_what_there_is)
{
    struct env env = {0};
    struct json_doc *doc;
    const struct json *quant, *group;
    char path[128];
    begin();
    REQUIRE(quantize(DEFAULT, VLQA_WEIGHTS_INT4, 0) == VLQA_OK);
    CHECK(same_file("tokenizer.json") && same_file("tokenizer_config.json"));
    CHECK(same_file("chat_template.json") && same_file("preprocessor_config.json"));
    CHECK(same_file("generation_config.json"));
    CHECK_EQ(count_entries(desk.dir), 1);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", desk.out);
    CHECK(access(path, F_OK) != 0);
    snprintf(path, sizeof path, "%s/config.json", desk.out);
    REQUIRE(json_read(&env, path, 1 << 20, &doc) == VLQA_OK);
    CHECK_STR(json_text(json_get(json_root(doc), "model_type")), "qwen3_vl");
    quant = json_get(json_root(doc), "quantization_config");
    CHECK_STR(json_text(json_get(quant, "quant_method")), "compressed-tensors");
    CHECK_STR(json_text(json_get(quant, "format")), "pack-quantized");
    group = json_get(json_get(json_get(quant, "config_groups"), "group_0"), "weights");
    CHECK(json_number(json_get(group, "num_bits")) == 4);
    CHECK(json_number(json_get(group, "group_size")) == WEIGHT_GROUP);
    json_free(doc);
    end();
}

TEST(threads_change_no_byte)
{
    char command[256];
    begin();
    REQUIRE(quantize(DEFAULT, VLQA_WEIGHTS_INT4, 1) == VLQA_OK);
    snprintf(desk.out, sizeof desk.out, "%s/again", desk.dir);
    REQUIRE(quantize(DEFAULT, VLQA_WEIGHTS_INT4, 5) == VLQA_OK);
    snprintf(command, sizeof command, "diff -r '%s/out' '%s/again'", desk.dir, desk.dir);
    CHECK_EQ(system(command), 0);
    end();
}

/* ---- what is refused ---- */

TEST(other_weights_and_missing_names_are_usage_errors)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    begin();
    check_refused(quantize(DEFAULT, VLQA_WEIGHTS_AUTO, 0), VLQA_EUSAGE, "expected INT8 or INT4");
    check_refused(quantize(DEFAULT, VLQA_WEIGHTS_BF16, 0), VLQA_EUSAGE, "expected INT8 or INT4");
    check_refused(quantize(NULL, VLQA_WEIGHTS_INT8, 0), VLQA_EUSAGE, "give a model");
    check_refused(quantize(FIXTURE_GOLDEN "none", VLQA_WEIGHTS_INT8, 0), VLQA_EMODEL, "none");
    CHECK_EQ(vlqa_quantize(NULL, desk.out), VLQA_EUSAGE);
    o.model = DEFAULT;
    o.weights = VLQA_WEIGHTS_INT8;
    CHECK_EQ(vlqa_quantize(&o, NULL), VLQA_EUSAGE);
    end();
}

TEST(rows_without_whole_groups_have_no_int4_file)
{
    begin();
    check_refused(quantize(FIXTURE_TIED, VLQA_WEIGHTS_INT4, 0), VLQA_EMODEL,
                  "groups of 32 columns, which do not divide");
    end();
}

TEST(a_directory_that_is_there_is_left_alone)
{
    begin();
    REQUIRE(mkdir(desk.out, 0700) == 0);
    CHECK_EQ(quantize(FIXTURE_TIED, VLQA_WEIGHTS_INT8, 0), VLQA_EIO);
    CHECK_HAS(desk.message, "out is there already");
    CHECK_EQ(count_entries(desk.out), 0);
    CHECK_EQ(count_entries(desk.dir), 1);
    end();
}

/* From the beginning of the tensors of a file. */
static size_t tensor_offset(const struct st_files *files, const struct st_tensor *t)
{
    const uint8_t *first = t->data;
    for (int i = 0; i < st_count(files); i++)
        if ((const uint8_t *)st_at(files, i)->data < first) first = st_at(files, i)->data;
    return (size_t)((const uint8_t *)t->data - first);
}

/* Puts a value in the place of [5, 7] of a matrix of tied64 and refuses what comes of it. */
static void check_bad(const struct fixture *f, const struct st_files *files, uint16_t bad,
                      int threads)
{
    const struct st_tensor *t =
        find(files, "model.language_model.layers.2.self_attn.o_proj.weight");
    size_t n, at;
    char *whole = fixture_read(f, WEIGHTS, &n);
    at = n - st_bytes(files) + tensor_offset(files, t) + (size_t)(5 * t->dim[1] + 7) * sizeof bad;
    memcpy(whole + at, &bad, sizeof bad);
    fixture_write(f, WEIGHTS, whole, n);
    check_refused(quantize(f->dir, VLQA_WEIGHTS_INT8, threads), VLQA_EMODEL,
                  "layers.2.self_attn.o_proj.weight has a NaN or an infinity at [5, 7]");
    free(whole);
}

TEST(a_weight_that_is_no_number_is_named)
{
    struct env env = {0};
    struct st_files *files;
    struct fixture f;
    begin();
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    REQUIRE(st_open_file(&env, FIXTURE_TIED "/" WEIGHTS, &files) == VLQA_OK);
    check_bad(&f, files, 0x7fc0, 1);
    check_bad(&f, files, 0x7f80, 3);
    check_bad(&f, files, 0xff80, 2);
    st_close(files);
    fixture_close(&f);
    end();
}

TEST(a_model_that_lacks_a_tensor_or_has_another_is_refused)
{
    static const uint16_t data[4];
    struct fixture f;
    begin();
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    fixture_rename_tensors(&f, WEIGHTS, "layers.1.mlp.up_proj", "layers.1.mlp.upper");
    check_refused(quantize(f.dir, VLQA_WEIGHTS_INT8, 1), VLQA_EMODEL, "is missing");
    fixture_rename_tensors(&f, WEIGHTS, "layers.1.mlp.upper", "layers.1.mlp.up_proj");
    fixture_add_tensor(&f, WEIGHTS, "more", "BF16", "[4]", data, sizeof data);
    check_refused(quantize(f.dir, VLQA_WEIGHTS_INT8, 1), VLQA_EMODEL, "more is no tensor");
    fixture_close(&f);
    end();
}

TEST(a_quantised_model_is_not_quantised_again)
{
    char first[80];
    begin();
    REQUIRE(quantize(FIXTURE_TIED, VLQA_WEIGHTS_INT8, 0) == VLQA_OK);
    snprintf(first, sizeof first, "%s", desk.out);
    snprintf(desk.out, sizeof desk.out, "%s/again", desk.dir);
    CHECK_EQ(quantize(first, VLQA_WEIGHTS_INT8, 0), VLQA_EMODEL);
    CHECK_HAS(desk.message, "quantised");
    CHECK_EQ(count_entries(desk.dir), 1);
    end();
}

TEST(an_interrupted_call_leaves_nothing)
{
    static const int steps[] = {1, 2, 50, 150};
    begin();
    for (int i = 0; i < 4; i++) {
        desk.cancel_at = steps[i];
        CHECK_EQ(quantize(DEFAULT, VLQA_WEIGHTS_INT4, 0), VLQA_ECANCELLED);
        CHECK_EQ(count_entries(desk.dir), 0);
    }
    end();
}

TEST(a_full_disk_leaves_nothing)
{
    struct rlimit before, small = {1 << 16, 1 << 16};
    vlqa_status status;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    begin();
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    status = quantize(FIXTURE_TIED, VLQA_WEIGHTS_INT8, 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    check_refused(status, VLQA_EIO, "cannot write");
    end();
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
