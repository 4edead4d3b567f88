/* test_checkpoint.c - layouts in the wild that must be read, and read to the same bits. */
#include "fusion/session/session.h"

#include "tests/check.h"
#include "tests/fusion/fixture.h"

#define TIED FIXTURE_TIED
#define SHARDED FIXTURE_GOLDEN "sharded12"
#define TOWER FIXTURE_GOLDEN "tower72"
#define CONFIG "config.json"
#define PROCESSOR "preprocessor_config.json"
#define WEIGHTS "model.safetensors"
#define SHARD "model-00001-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

struct answer_bits {
    float logits[512];
    int n;
    char digest[65];
};

/* Opens, looks at a picture and answers. Nonzero: it did. */
static int answer_of(const char *model, enum vlqa_dtype dtype, struct answer_bits *out)
{
    static uint8_t rgb[64 * 40 * 3];
    struct vlqa_engine *engine;
    struct vlqa_session *session = NULL;
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_model_info info;
    struct vlqa_answer answer;
    vlqa_status status = fixture_engine(model, dtype, &engine);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i >> 5);
    o.max_tokens = 3;
    if (status == VLQA_OK) status = vlqa_session_open(engine, NULL, &session);
    if (status == VLQA_OK) status = vlqa_add_image_rgb(session, rgb, 64, 40, 192);
    if (status == VLQA_OK) status = vlqa_ask(session, "What is it?", &o, &answer, sizeof answer);
    if (status == VLQA_OK) status = vlqa_engine_info(engine, &info, sizeof info);
    if (status != VLQA_OK) {
        CHECK_FAIL("%s: %s %s", model, vlqa_engine_message(engine), vlqa_message(session));
    } else {
        out->n = answer.n_logits;
        memcpy(out->logits, answer.logits, (size_t)out->n * sizeof *out->logits);
        memcpy(out->digest, info.digest, sizeof out->digest);
        for (int i = 0; i < out->n; i++)
            CHECK(isfinite(out->logits[i]));
    }
    vlqa_session_close(session);
    vlqa_engine_close(engine);
    return status == VLQA_OK;
}

static int same_bits(const struct answer_bits *a, const struct answer_bits *b)
{
    return a->n == b->n && memcmp(a->logits, b->logits, (size_t)a->n * sizeof *a->logits) == 0;
}

static struct answer_bits plain, changed; /* too large for the stack of a test */

TEST(every_stored_type_answers_in_every_type)
{
    static const char *const model[] = {TIED, SHARDED, TOWER};
    static const char *const stored[] = {"BF16", "F32", "F16"};
    for (int i = 0; i < 3; i++) {
        struct vlqa_engine *engine;
        struct vlqa_model_info info;
        REQUIRE(answer_of(model[i], VLQA_DTYPE_AUTO, &plain));
        REQUIRE(answer_of(model[i], i ? VLQA_DTYPE_F32 : VLQA_DTYPE_BF16, &changed));
        CHECK(same_bits(&plain, &changed)); /* what AUTO means */
        REQUIRE(answer_of(model[i], i ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32, &changed));
        CHECK(!same_bits(&plain, &changed));
        CHECK_COSINE(changed.logits, plain.logits, plain.n, 0.99);
        REQUIRE(fixture_engine(model[i], VLQA_DTYPE_AUTO, &engine) == VLQA_OK);
        REQUIRE(vlqa_engine_info(engine, &info, sizeof info) == VLQA_OK);
        CHECK_STR(info.stored, stored[i]);
        CHECK_STR(info.dtype, i ? "f32" : "bf16");
        vlqa_engine_close(engine);
    }
}

/* The golden checkpoints have names as "model.visual." and "model.language_model.". */
TEST(other_prefixes_give_the_same_logits)
{
    static const char *const prefix[][2] = {
        {"visual.", "model."},
        {"visual.", "language_model.model."},
        {"model.language_model.visual.", "model.language_model."}, /* was refused */
        {"vision_tower.", "language_model.model."},                /* MLX: was refused */
        {"model.vision_tower.", "model.language_model."},
        {"module.model.visual.", "module.model.language_model."},
        {"_orig_mod.model.visual.", "_orig_mod.model.language_model."},
        {"base_model.model.model.visual.", "base_model.model.model.language_model."},
        {"module._orig_mod.model.visual.", "module._orig_mod.model.language_model."}};
    REQUIRE(answer_of(TIED, VLQA_DTYPE_AUTO, &plain));
    for (size_t i = 0; i < sizeof prefix / sizeof *prefix; i++) {
        char visual[64], text[64];
        struct fixture f;
        REQUIRE(fixture_open(&f, TIED));
        snprintf(visual, sizeof visual, "\"%s", prefix[i][0]);
        snprintf(text, sizeof text, "\"%s", prefix[i][1]);
        fixture_rename_tensors(&f, WEIGHTS, "\"model.visual.", visual);
        fixture_rename_tensors(&f, WEIGHTS, "\"model.language_model.", text);
        REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
        CHECK(same_bits(&plain, &changed));
        CHECK_STR(changed.digest, plain.digest);
        fixture_close(&f);
    }
}

#define PATCH "model.visual.patch_embed.proj.weight"

/* [64, 3, 2, 16, 16] to [64, 2, 16, 16, 3], as MLX keeps convolutions. */
static void put_channels_last(const struct fixture *f)
{
    enum { OUT = 64, IN = 3, REST = 2 * 16 * 16 };
    static uint16_t last[OUT * REST * IN];
    struct env env = {0};
    struct st_files *files;
    const struct st_tensor *t;
    size_t bytes, at;
    char *whole = fixture_read(f, WEIGHTS, &bytes);
    REQUIRE(st_open_memory(&env, WEIGHTS, whole, bytes, &files) == VLQA_OK);
    t = st_find(files, PATCH);
    REQUIRE(t && t->bytes == sizeof last);
    for (int o = 0; o < OUT; o++)
        for (int c = 0; c < IN; c++)
            for (int i = 0; i < REST; i++)
                memcpy(&last[(o * REST + i) * IN + c],
                       (const char *)t->data + 2 * ((o * IN + c) * REST + i), 2);
    at = (size_t)((const char *)t->data - whole);
    st_close(files);
    memcpy(whole + at, last, sizeof last);
    fixture_write(f, WEIGHTS, whole, bytes);
    free(whole);
    fixture_rename_tensors(f, WEIGHTS, "[64,3,2,16,16]", "[64,2,16,16,3]");
}

TEST(a_patch_embedding_with_channels_last_is_transposed)
{
    static const enum vlqa_dtype dtype[] = {VLQA_DTYPE_BF16, VLQA_DTYPE_F32};
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    put_channels_last(&f);
    fixture_rename_tensors(&f, WEIGHTS, "\"model.visual.", "\"vision_tower.");
    fixture_rename_tensors(&f, WEIGHTS, "\"model.language_model.", "\"language_model.model.");
    for (int i = 0; i < 2; i++) {
        REQUIRE(answer_of(TIED, dtype[i], &plain));
        REQUIRE(answer_of(f.dir, dtype[i], &changed));
        CHECK(same_bits(&plain, &changed));
    }
    fixture_close(&f);
}

TEST(prefix_of_the_output_matrix_may_be_language_model)
{
    struct fixture f;
    REQUIRE(answer_of(SHARDED, VLQA_DTYPE_AUTO, &plain));
    REQUIRE(fixture_open(&f, SHARDED));
    fixture_rename_tensors(&f, SHARD, "\"lm_head.", "\"language_model.lm_head.");
    fixture_replace(&f, INDEX, "\"lm_head.", "\"language_model.lm_head.");
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(same_bits(&plain, &changed));
    fixture_close(&f);
}

/* transformers ties whatever the file says; without tying, the output matrix is used. */
TEST(output_matrix_of_a_tied_model_is_not_used)
{
    size_t bytes = 320 * 56 * 2;
    char *zero = calloc(1, bytes);
    struct fixture f;
    REQUIRE(zero && answer_of(TIED, VLQA_DTYPE_AUTO, &plain));
    REQUIRE(fixture_open(&f, TIED));
    fixture_add_tensor(&f, WEIGHTS, "lm_head.weight", "BF16", "[320,56]", zero, bytes);
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(same_bits(&plain, &changed));
    fixture_replace(&f, CONFIG, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    for (int i = 0; i < changed.n; i++)
        CHECK(changed.logits[i] == 0);
    free(zero);
    fixture_close(&f);
}

TEST(both_layouts_of_rope_are_read)
{
    struct fixture f;
    REQUIRE(answer_of(TIED, VLQA_DTYPE_AUTO, &plain));
    REQUIRE(fixture_open(&f, TIED));
    fixture_replace(&f, CONFIG, "\"rope_theta\": 10000.0,", "");
    fixture_replace(&f, CONFIG, "\"rope_scaling\": {",
                    "\"rope_parameters\": {\"rope_theta\": 1e4,");
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(same_bits(&plain, &changed));
    fixture_replace(&f, CONFIG, "\"rope_theta\": 1e4", "\"rope_theta\": 5e4");
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(!same_bits(&plain, &changed));
    fixture_close(&f);
}

TEST(both_files_of_the_processor_are_read)
{
    struct fixture f;
    size_t bytes;
    char *image, *both;
    REQUIRE(answer_of(TIED, VLQA_DTYPE_AUTO, &plain));
    REQUIRE(fixture_open(&f, TIED));
    image = fixture_read(&f, PROCESSOR, &bytes);
    both = malloc(bytes + 64);
    REQUIRE(both);
    snprintf(both, bytes + 64, "{\"image_processor\": %s}", image);
    fixture_write(&f, "processor_config.json", both, strlen(both));
    fixture_remove(&f, PROCESSOR);
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(same_bits(&plain, &changed));
    free(image);
    free(both);
    fixture_close(&f);
}

/* A cache entry of one of them must never answer for another. */
TEST(digest_follows_everything_that_changes_the_result)
{
    static const struct {
        const char *file, *from, *to;
    } change[] = {
        {CONFIG, "\"rope_theta\": 10000.0", "\"rope_theta\": 10001.0"},
        {CONFIG, "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 1e-05"},
        {PROCESSOR, "\"image_mean\": [\n  0.5,", "\"image_mean\": [0.25,"},
        {PROCESSOR, "\"longest_edge\": 8192", "\"longest_edge\": 4096"},
    };
    REQUIRE(answer_of(TIED, VLQA_DTYPE_AUTO, &plain));
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        struct fixture f;
        REQUIRE(fixture_open(&f, TIED));
        fixture_replace(&f, change[i].file, change[i].from, change[i].to);
        REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
        if (strcmp(plain.digest, changed.digest) == 0)
            CHECK_FAIL("%s in %s leaves the digest", change[i].to, change[i].file);
        fixture_close(&f);
    }
}

TEST(digest_follows_the_processor_of_transformers_5)
{
    struct fixture f;
    REQUIRE(answer_of(TOWER, VLQA_DTYPE_AUTO, &plain));
    REQUIRE(fixture_open(&f, TOWER));
    fixture_replace_all(&f, "processor_config.json", "0.5", "0.25");
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(strcmp(plain.digest, changed.digest) != 0);
    CHECK(!same_bits(&plain, &changed));
    fixture_close(&f);
}

/* Windows editors write one; it was "no value at byte 0". */
TEST(a_byte_order_mark_before_any_file_changes_nothing)
{
    static const char *const file[] = {
        CONFIG, PROCESSOR, "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        INDEX};
    REQUIRE(answer_of(SHARDED, VLQA_DTYPE_AUTO, &plain));
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        struct fixture f;
        size_t bytes;
        char *text, *marked;
        REQUIRE(fixture_open(&f, SHARDED));
        text = fixture_read(&f, file[i], &bytes);
        marked = malloc(bytes + 3);
        REQUIRE(marked);
        memcpy(marked, "\xef\xbb\xbf", 3);
        memcpy(marked + 3, text, bytes);
        fixture_write(&f, file[i], marked, bytes + 3);
        REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
        CHECK(same_bits(&plain, &changed));
        free(marked);
        free(text);
        fixture_close(&f);
    }
}

TEST(null_stands_for_as_usual)
{
    struct fixture f;
    REQUIRE(answer_of(TIED, VLQA_DTYPE_AUTO, &plain));
    REQUIRE(fixture_open(&f, TIED));
    fixture_replace(&f, CONFIG, "\"attention_bias\": false",
                    "\"attention_bias\": null, \"quantization_config\": null");
    REQUIRE(answer_of(f.dir, VLQA_DTYPE_AUTO, &changed));
    CHECK(same_bits(&plain, &changed));
    fixture_close(&f);
}

/* Whether a prompt of the model ends with <think> and a line break. */
static int thinks(const char *model)
{
    struct vlqa_engine *engine;
    struct vlqa_session *session = NULL;
    struct vlqa_answer answer;
    struct vlqa_ask_options o = vlqa_ask_options_default();
    int found = -1;
    o.max_tokens = 1;
    if (fixture_engine(model, VLQA_DTYPE_AUTO, &engine) == VLQA_OK &&
        vlqa_session_open(engine, NULL, &session) == VLQA_OK &&
        vlqa_ask(session, "Hi", &o, &answer, sizeof answer) == VLQA_OK) {
        int32_t think = tokenizer_added(engine->tokenizer, "<think>");
        found = think >= 0 && answer.prompt_token[answer.tokens_total - 2] == think;
    }
    vlqa_session_close(session);
    vlqa_engine_close(engine);
    return found;
}

TEST(template_that_opens_thoughts_is_followed)
{
    static const char jinja[] = "{{- messages[0].content[0].text }}"
                                "{{- '<|im_start|>assistant\\n<think>\\n' }}";
    static const char json[] = "{\"chat_template\": \"{{- messages[0].content[0].text }}"
                               "{{- '<|im_start|>assistant\\\\n<think>\\\\n' }}\"}";
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    CHECK_EQ(thinks(f.dir), 0);
    fixture_write(&f, "chat_template.jinja", jinja, strlen(jinja));
    CHECK_EQ(thinks(f.dir), 1);
    fixture_remove(&f, "chat_template.jinja");
    CHECK_EQ(thinks(f.dir), 0);
    fixture_write(&f, "chat_template.json", json, strlen(json));
    CHECK_EQ(thinks(f.dir), 1);
    fixture_close(&f);
}

/* Tokens of a question about a sample's image, by the shipped model with another template; -1, and
 * why not. */
static int tokens_with(const char *template, const char *choice, char *why, size_t cap)
{
    struct fixture f;
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *session = NULL;
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    int tokens = -1;
    if (!fixture_open(&f, VLQA_SOURCE_DIR "/assets/default-model")) return -2;
    fixture_remove(&f, "chat_template.json");
    if (template) fixture_write(&f, "chat_template.jinja", template, strlen(template));
    eo.model = f.dir;
    eo.chat_template = choice;
    o.max_tokens = 1;
    *why = 0;
    if (vlqa_engine_open(&eo, &engine) != VLQA_OK)
        snprintf(why, cap, "%s", vlqa_engine_message(engine));
    else if (vlqa_session_open(engine, NULL, &session) == VLQA_OK &&
             vlqa_add_image_file(session, VLQA_SOURCE_DIR "/assets/samples/031.png") == VLQA_OK &&
             vlqa_ask(session, "What is the value of Sep?", &o, &answer, sizeof answer) == VLQA_OK)
        tokens = answer.tokens_total;
    else
        snprintf(why, cap, "%s", vlqa_message(session));
    vlqa_session_close(session);
    vlqa_engine_close(engine);
    fixture_close(&f);
    return tokens;
}

/* A default system text, and a line feed behind the image: transformers 5.24 makes 143 tokens. They
 * were the 126 of the built-in template, without a word. */
TEST(template_of_the_model_gives_as_many_tokens_as_in_transformers)
{
    static const char jinja[] =
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant."
        "<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}"
        "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\n"
        "{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    char why[512];
    CHECK_EQ(tokens_with(jinja, NULL, why, sizeof why), 143);
    CHECK_EQ(tokens_with(jinja, "qwen3vl", why, sizeof why), 126);
    CHECK_EQ(tokens_with(NULL, NULL, why, sizeof why), 126);
    CHECK_EQ(tokens_with(NULL, FIXTURE_TIED "/chat_template.jinja", why, sizeof why), 126);
    CHECK_EQ(tokens_with(NULL, "/nowhere/chat.jinja", why, sizeof why), -1);
    CHECK(strstr(why, "/nowhere/chat.jinja"));
    CHECK_EQ(tokens_with("{{ messages[0].content[-1].text }}!", NULL, why, sizeof why), -1);
    CHECK(
        strstr(why, "1 images are in the conversation, the chat template writes <|image_pad|> 0"));
    CHECK_EQ(tokens_with("{{ x | wordwrap }}", NULL, why, sizeof why), -1);
    CHECK(strstr(why, "chat_template.jinja, line 1: the filter \"wordwrap\" is not known"));
}

/* It is run, within bounds of time and memory, and reaches nothing but the conversation. */
TEST(hostile_template_is_refused)
{
    static const char *const hostile[] = {
        "{% for a in range(10**9) %}{{ a.__class__.__mro__ }}{% endfor %}",
        "{{ ''.__class__.__mro__ }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"};
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct vlqa_engine *engine;
        fixture_write(&f, "chat_template.jinja", hostile[i], strlen(hostile[i]));
        CHECK(fixture_engine(f.dir, VLQA_DTYPE_AUTO, &engine) != VLQA_OK);
        CHECK(strstr(vlqa_engine_message(engine), "chat_template.jinja, line 1"));
        vlqa_engine_close(engine);
    }
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
