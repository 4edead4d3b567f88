/* test_damaged.c - model files that change under an engine, and weights that are no numbers. */
#include "base/dtype.h"
#include "base/safetensors.h"
#include "include/vlqa.h"

#include "tests/check.h"
#include "tests/fusion/fixture.h"

#include <fcntl.h>
#include <unistd.h>

#define QUESTION FIXTURE_QUESTION
#define PICTURE FIXTURE_PICTURE

struct damage { /* of the model's file, at a moment of a call */
    const char *path;
    off_t cut; /* -1: one byte is written */
    int at;    /* which call of the callback */
};

static void damage_now(const struct damage *d)
{
    int fd = open(d->path, O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    if (d->cut >= 0)
        CHECK(ftruncate(fd, d->cut) == 0);
    else
        CHECK(pwrite(fd, "x", 1, 9) == 1);
    close(fd);
}

static void damage_in_answer(void *user, int step_of_answer, const float *logits, int n)
{
    const struct damage *d = user;
    (void)logits;
    (void)n;
    if (step_of_answer == d->at) damage_now(d);
}

/* tied64 with a file of its own, so that it may be damaged. */
static void own_weights(struct fixture *f, char path[512])
{
    size_t bytes;
    char *data;
    REQUIRE(fixture_open(f, FIXTURE_TIED));
    data = fixture_read(f, "model.safetensors", &bytes);
    fixture_write(f, "model.safetensors", data, bytes);
    snprintf(path, 512, "%s", fixture_path(f, "model.safetensors"));
    free(data);
}

/* They were mapped: 28 of 40 cuts killed the process in the middle of an answer. */
TEST(weights_that_are_cut_in_an_answer_change_nothing)
{
    for (int i = 0; i < 40; i++) {
        struct run r = run_new();
        struct fixture f;
        char path[512];
        struct damage d = {path, i * 1100, i % 3};
        struct vlqa_answer answer;
        struct vlqa_ask_options o = run_ask(4);
        own_weights(&f, path);
        o.on_logits = damage_in_answer;
        o.user = &d;
        REQUIRE(fixture_engine(f.dir, VLQA_DTYPE_AUTO, &r.engine) == VLQA_OK);
        REQUIRE(vlqa_session_open(r.engine, NULL, &r.session) == VLQA_OK);
        CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
        CHECK(vlqa_ask(r.session, QUESTION, &o, &answer, sizeof answer) == VLQA_OK);
        CHECK(run_is_undisturbed(r.session));
        run_close(&r);
        fixture_close(&f);
    }
}

static int damage_in_load(void *user, const char *phase, int64_t done, int64_t total)
{
    struct damage *d = user;
    (void)phase;
    (void)total;
    if (done == d->at) damage_now(d);
    return 0;
}

/* One that was cut was read behind its end: SIGBUS. */
TEST(weights_that_change_while_they_are_read_are_an_error)
{
    for (int i = 0; i < 12; i++) {
        struct vlqa_engine_options o = vlqa_engine_options_default();
        struct vlqa_engine *engine;
        struct fixture f;
        char path[512];
        struct damage d = {path, i < 10 ? i * 4096 : -1, i % 2 + 1};
        own_weights(&f, path);
        o.model = f.dir;
        o.threads = i % 3 + 1;
        o.progress = damage_in_load;
        o.user = &d;
        CHECK(vlqa_engine_open(&o, &engine) == VLQA_EIO);
        CHECK_HAS(vlqa_engine_message(engine), "model.safetensors");
        CHECK_HAS(vlqa_engine_message(engine), "while in use");
        vlqa_engine_close(engine);
        fixture_close(&f);
    }
}

/* Between answers that was an error; now they are of the weights that were read. */
TEST(weights_that_change_under_a_session_change_nothing)
{
    for (int i = 0; i < 3; i++) {
        struct run r = run_new();
        struct fixture f;
        char path[512];
        own_weights(&f, path);
        REQUIRE(fixture_engine(f.dir, VLQA_DTYPE_AUTO, &r.engine) == VLQA_OK);
        REQUIRE(vlqa_session_open(r.engine, NULL, &r.session) == VLQA_OK);
        if (i == 0) CHECK(truncate(path, 4096) == 0);
        if (i == 1) fixture_write(&f, "model.safetensors", "x", 1); /* another file */
        if (i == 2) fixture_remove(&f, "model.safetensors");
        CHECK(vlqa_add_image_file(r.session, PICTURE) == VLQA_OK);
        CHECK(run_is_undisturbed(r.session));
        run_close(&r);
        fixture_close(&f);
    }
}

/* Weights that are no numbers. */

#define NAN_BITS 0x7fc0 /* as BF16 */
#define INF_BITS 0xff80
#define MOST_BITS 0x7f7f /* the largest finite one */

/* Puts `bits` into n elements of a tensor of tied64, from one on. */
static void put_bits(const struct fixture *f, const char *key, size_t element, size_t n,
                     uint16_t bits)
{
    struct env env = {0};
    struct st_files *files;
    const struct st_tensor *t;
    size_t bytes, at;
    char *whole = fixture_read(f, "model.safetensors", &bytes);
    REQUIRE(st_open_memory(&env, "m", whole, bytes, &files) == VLQA_OK);
    t = st_find(files, key);
    REQUIRE(t && t->dtype == DT_BF16 && (element + n) * 2 <= t->bytes);
    at = (size_t)((const char *)t->data - whole) + element * 2;
    st_close(files);
    for (size_t i = 0; i < n; i++)
        memcpy(whole + at + 2 * i, &bits, 2);
    fixture_write(f, "model.safetensors", whole, bytes);
    free(whole);
}

struct outcome {
    vlqa_status status;
    char message[512];
    int n_tokens;
};

static struct outcome ask(const struct fixture *f, const struct vlqa_ask_options *o,
                          enum vlqa_dtype dtype)
{
    struct outcome out = {VLQA_ESTATE, "", 0};
    struct run r = run_new();
    struct vlqa_answer answer = {0};
    if (fixture_engine(f->dir, dtype, &r.engine) == VLQA_OK &&
        vlqa_session_open(r.engine, NULL, &r.session) == VLQA_OK &&
        vlqa_add_image_file(r.session, PICTURE) == VLQA_OK) {
        out.status = vlqa_ask(r.session, QUESTION, o, &answer, sizeof answer);
        out.n_tokens = answer.n_tokens;
        CHECK_EQ(vlqa_ask(r.session, QUESTION, o, &answer, sizeof answer), out.status); /* again */
        snprintf(out.message, sizeof out.message, "%s", vlqa_message(r.session));
    } else {
        CHECK_FAIL("%s %s", vlqa_engine_message(r.engine), vlqa_message(r.session));
    }
    run_close(&r);
    return out;
}

/* The answer was NUL bytes, with exit code 0. */
TEST(a_weight_that_is_no_number_is_named)
{
    static const struct {
        const char *key;
        size_t element;
        const char *place;
    } bad[] = {
        {"model.language_model.norm.weight", 7, "at [7]"},
        {"model.language_model.layers.1.mlp.up_proj.weight", 56 * 3 + 5, "at [3, 5]"},
        {"model.language_model.layers.2.self_attn.q_norm.weight", 0, "at [0]"},
        {"model.visual.blocks.2.attn.qkv.weight", 64, "at [1, 0]"},
        {"model.visual.patch_embed.proj.weight", 512, "at [0, 1, 0, 0, 0]"},
        {"model.visual.merger.linear_fc2.bias", 3, "at [3]"},
    };
    static const enum vlqa_dtype dtype[] = {VLQA_DTYPE_BF16, VLQA_DTYPE_F32};
    struct vlqa_ask_options o = run_ask(4);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fixture f;
        struct outcome out;
        char expected[300];
        REQUIRE(fixture_open(&f, FIXTURE_TIED));
        put_bits(&f, bad[i].key, bad[i].element, 1, i % 2 ? INF_BITS : NAN_BITS);
        snprintf(expected, sizeof expected,
                 "the logits are not finite: model.safetensors: %s has a NaN or an infinity %s",
                 bad[i].key, bad[i].place);
        out = ask(&f, &o, dtype[i % 2]);
        CHECK_EQ(out.status, VLQA_EMODEL);
        CHECK_HAS(out.message, expected);
        CHECK_EQ(out.n_tokens, 0);
        fixture_close(&f);
    }
}

TEST(a_bad_weight_that_nothing_reads_does_no_harm)
{
    static const char zero[320 * 56 * 2];
    struct vlqa_ask_options o = run_ask(2);
    struct fixture f;
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    fixture_add_tensor(&f, "model.safetensors", "lm_head.weight", "BF16", "[320,56]", zero,
                       sizeof zero);
    put_bits(&f, "lm_head.weight", 0, sizeof zero / 2, NAN_BITS); /* the model is tied */
    CHECK_EQ(ask(&f, &o, VLQA_DTYPE_BF16).status, VLQA_OK);
    fixture_close(&f);
}

/* One row of the embedding, met in the middle of an answer. Untied, so that no logit is of it. */
TEST(a_bad_row_is_named_when_a_token_meets_it)
{
    static const int32_t forced[] = {'a', 'b', 'c'};
    static char head[320 * 56 * 2];
    struct vlqa_ask_options o = run_ask(5);
    struct fixture f;
    struct outcome out;
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    fixture_replace(&f, "config.json", "\"tie_word_embeddings\": true",
                    "\"tie_word_embeddings\": false");
    fixture_add_tensor(&f, "model.safetensors", "lm_head.weight", "BF16", "[320,56]", head,
                       sizeof head);
    put_bits(&f, "model.language_model.embed_tokens.weight", (size_t)'b' * 56 + 9, 1, NAN_BITS);
    o.forced = forced;
    o.n_forced = 3;
    out = ask(&f, &o, VLQA_DTYPE_BF16);
    CHECK_EQ(out.status, VLQA_EMODEL);
    CHECK_HAS(out.message, "model.language_model.embed_tokens.weight has a NaN or an infinity");
    CHECK_HAS(out.message, "at [98, 9]");
    CHECK_EQ(out.n_tokens, 2);
    fixture_close(&f);
}

TEST(finite_weights_that_overflow_blame_no_tensor)
{
    struct vlqa_ask_options o = run_ask(1);
    struct fixture f;
    struct outcome out;
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    put_bits(&f, "model.language_model.norm.weight", 0, 56, MOST_BITS);
    out = ask(&f, &o, VLQA_DTYPE_BF16);
    CHECK_EQ(out.status, VLQA_EMODEL);
    CHECK_HAS(out.message,
              "all weights are, so no tensor is to blame: the computation overflows BF16");
    CHECK_HAS(out.message, "(try --dtype f32)");
    out = ask(&f, &o, VLQA_DTYPE_F32);
    CHECK_HAS(out.message, "the computation overflows F32");
    CHECK(!strstr(out.message, "--dtype"));
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
