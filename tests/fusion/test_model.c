/* test_model.c - model directories: each rule broken by itself, and layouts that must be read. */
#include "fusion/session/session.h"

#include "base/heap.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#define TIED FIXTURE_TIED
#define SHARDED FIXTURE_GOLDEN "sharded12"
#define CONFIG "config.json"
#define PROCESSOR "preprocessor_config.json"
#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define SHARD "model-00001-of-00002.safetensors"

#define WORDS 4

struct refusal { /* of tied64 with one change */
    const char *file, *from, *to;
    const char *word[WORDS]; /* the message has them all */
};

static void check_words(const char *message, const char *const word[WORDS])
{
    for (int i = 0; i < WORDS && word[i]; i++)
        CHECK_HAS(message, word[i]);
}

/* The directory is refused so, and nothing stays allocated. */
static void check_refused(const struct fixture *f, vlqa_status expected,
                          const char *const word[WORDS])
{
    uint64_t live = heap_live();
    struct vlqa_engine *engine;
    vlqa_status status = fixture_engine(f->dir, VLQA_DTYPE_AUTO, &engine);
    if (status != expected)
        CHECK_FAIL("%s (%s), expected %s and \"%s\"", vlqa_status_name(status),
                   vlqa_engine_message(engine), vlqa_status_name(expected), word[0]);
    else
        check_words(vlqa_engine_message(engine), word);
    vlqa_engine_close(engine);
    CHECK_EQ(heap_live() - live, 0);
}

#define REFUSED(f, status, ...) check_refused(f, status, (const char *const[WORDS]){__VA_ARGS__})

static void check_all(const struct refusal *r, int n)
{
    for (int i = 0; i < n; i++) {
        struct fixture f;
        REQUIRE(fixture_open(&f, TIED));
        fixture_replace(&f, r[i].file, r[i].from, r[i].to);
        check_refused(&f, VLQA_EMODEL, r[i].word);
        fixture_close(&f);
    }
}

#define CHECK_ALL(list) check_all(list, (int)(sizeof(list) / sizeof *(list)))

#define HIDDEN "\"hidden_size\": 56"
#define LAYERS "\"num_hidden_layers\": 3"
#define HEADS "\"num_attention_heads\": 6"
#define KV_HEADS "\"num_key_value_heads\": 2"
#define HEAD_DIM "\"head_dim\": 16"
#define SECTION "    4,\n    2,\n    2\n"

TEST(sizes_of_the_decoder_are_in_range)
{
    static const struct refusal r[] = {
        {CONFIG, "\"text_config\"", "\"texts\"", {CONFIG, "text_config", "missing"}},
        {CONFIG, "\"vocab_size\": 320", "\"vocab_size\": 7", {CONFIG, "vocab_size", "7"}},
        {CONFIG, "\"vocab_size\": 320", "\"vocab_size\": 1e300", {CONFIG, "vocab_size"}},
        {CONFIG, HIDDEN, "\"hidden_size\": 0", {CONFIG, "text_config.hidden_size is 0", "1.."}},
        {CONFIG, HIDDEN, "\"hidden_size\": 70000", {"hidden_size is 70000", "65536"}},
        {CONFIG, HIDDEN, "\"hidden_size\": \"56\"", {"hidden_size is string"}},
        {CONFIG, HIDDEN, "\"hidden_size\": 56.5", {"hidden_size is 56.5", "whole number"}},
        {CONFIG, HIDDEN, "\"hidden\": 56", {"text_config.hidden_size is missing"}},
        {CONFIG, "\"intermediate_size\": 77", "\"intermediate_size\": 0", {"intermediate_size"}},
        {CONFIG, LAYERS, "\"num_hidden_layers\": -1", {"num_hidden_layers is -1", "1..128"}},
        {CONFIG, LAYERS, "\"num_hidden_layers\": 129", {"num_hidden_layers is 129", "1..128"}},
        {CONFIG, LAYERS, "\"num_hidden_layers\": 4294967297", {"num_hidden_layers is 4294967297"}},
        {CONFIG, LAYERS, "\"num_hidden_layers\": null", {"num_hidden_layers"}},
        {CONFIG, HEADS, "\"num_attention_heads\": 0", {"num_attention_heads is 0"}},
        {CONFIG, HEADS, "\"num_attention_heads\": 2000", {"num_attention_heads is 2000"}},
        {CONFIG, HEADS, "\"num_attention_heads\": 5", {"num_attention_heads is 5", "multiple"}},
        {CONFIG, KV_HEADS, "\"num_key_value_heads\": 0", {"num_key_value_heads is 0"}},
        {CONFIG, KV_HEADS, "\"num_key_value_heads\": 4", {"num_key_value_heads = 4", "multiple"}},
        {CONFIG, HEAD_DIM, "\"head_dim\": 0", {"head_dim is 0"}},
        {CONFIG, HEAD_DIM, "\"head_dim\": 15", {"head_dim is 15", "even"}},
        {CONFIG, HEAD_DIM, "\"head_dim\": 512", {"head_dim is 512", "256"}},
        {CONFIG, HEAD_DIM, "\"head_dim\": -16", {"head_dim is -16"}},
        {CONFIG, "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": -1", {"rms_norm_eps is -1"}},
        {CONFIG,
         "\"max_position_embeddings\": 4096",
         "\"max_position_embeddings\": 0",
         {"max_position_embeddings is 0"}},
        {CONFIG,
         "\"tie_word_embeddings\": true",
         "\"tie_word_embeddings\": \"yes\"",
         {"tie_word_embeddings is string"}},
    };
    CHECK_ALL(r);
}

TEST(variants_of_the_decoder_are_refused)
{
    static const struct refusal r[] = {
        {CONFIG, "\"rope_scaling\"", "\"scaling\"", {"rope_parameters", "rope_scaling"}},
        {CONFIG, "\"rope_theta\": 10000.0", "\"theta\": 1", {"rope_theta is missing"}},
        {CONFIG, "\"rope_theta\": 10000.0", "\"rope_theta\": 0", {"rope_theta is 0"}},
        {CONFIG, "\"rope_theta\": 10000.0", "\"rope_theta\": -1e4", {"rope_theta is -10000"}},
        {CONFIG, "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", {"rope_type", "yarn"}},
        {CONFIG, "\"rope_type\": \"default\"", "\"type\": \"linear\"", {"rope_type", "linear"}},
        {CONFIG,
         "\"mrope_interleaved\": true",
         "\"mrope_interleaved\": false",
         {"mrope_interleaved is false", "expected true"}},
        {CONFIG, SECTION, "4, 2, 1", {"mrope_section sums to 7", "head_dim / 2 = 8"}},
        {CONFIG, SECTION, "8, 2, -2", {"mrope_section[2]"}},
        {CONFIG, SECTION, "4, 4", {"mrope_section has 2 numbers", "3"}},
        {CONFIG, SECTION, "4, 2, 2, 0", {"mrope_section has 4", "3"}},
        {CONFIG, "\"mrope_section\"", "\"section\"", {"mrope_section is missing", "16"}},
        {CONFIG, "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", {"hidden_act", "gelu"}},
        {CONFIG, "\"attention_bias\": false", "\"attention_bias\": true", {"attention_bias"}},
    };
    CHECK_ALL(r);
}

#define PATCH "\"patch_size\": 16"
#define MERGE "\"spatial_merge_size\": 2"
#define DEEP "   0,\n   1\n"

TEST(sizes_of_the_tower_are_in_range)
{
    static const struct refusal r[] = {
        {CONFIG, "\"vision_config\"", "\"vision\"", {CONFIG, "vision_config", "missing"}},
        {CONFIG, "\"hidden_size\": 64", "\"hidden_size\": 0", {"vision_config.hidden_size is 0"}},
        {CONFIG, "\"hidden_size\": 64", "\"hidden_size\": 66", {"hidden_size 66", "multiple of 4"}},
        {CONFIG, "\"hidden_size\": 64", "\"hidden_size\": 512", {"hidden_size 512", "256"}},
        {CONFIG, "\"num_heads\": 1", "\"num_heads\": 0", {"num_heads is 0"}},
        {CONFIG, "\"num_heads\": 1", "\"num_heads\": 3", {"hidden_size 64", "num_heads 3"}},
        {CONFIG, "\"num_heads\": 1", "\"num_heads\": 128", {"num_heads 128"}},
        {CONFIG, "\"intermediate_size\": 134", "\"intermediate_size\": -1", {"intermediate_size"}},
        {CONFIG, "\"depth\": 3", "\"depth\": 0", {"vision_config.depth is 0", "1..64"}},
        {CONFIG, "\"depth\": 3", "\"depth\": 1000000", {"vision_config.depth is 1000000"}},
        {CONFIG, PATCH, "\"patch_size\": 0", {"patch_size is 0"}},
        {CONFIG, PATCH, "\"patch_size\": 65", {"patch_size is 65", "1..64"}},
        {CONFIG, MERGE, "\"spatial_merge_size\": 0", {"spatial_merge_size is 0"}},
        {CONFIG, MERGE, "\"spatial_merge_size\": 9", {"spatial_merge_size is 9"}},
        {CONFIG,
         "\"temporal_patch_size\": 2",
         "\"temporal_patch_size\": 0",
         {"temporal_patch_size is 0"}},
        {CONFIG, "\"in_channels\": 3", "\"in_channels\": 4", {"in_channels is 4", "expected 3"}},
        {CONFIG,
         "\"out_hidden_size\": 56",
         "\"out_hidden_size\": 48",
         {"out_hidden_size is 48", "hidden_size = 56"}},
        {CONFIG,
         "\"num_position_embeddings\": 36",
         "\"num_position_embeddings\": 37",
         {"num_position_embeddings is 37", "square"}},
        {CONFIG,
         "\"num_position_embeddings\": 36",
         "\"num_position_embeddings\": 0",
         {"num_position_embeddings is 0"}},
        {CONFIG, DEEP, "0, 3", {"deepstack_visual_indexes has 3", "place 1", "depth = 3"}},
        {CONFIG, DEEP, "1, 0", {"deepstack_visual_indexes has 0", "ascending"}},
        {CONFIG, DEEP, "1, 1", {"deepstack_visual_indexes has 1", "ascending"}},
        {CONFIG, DEEP, "-1", {"deepstack_visual_indexes[0]"}},
        {CONFIG, DEEP, "0, 1, 2, 3, 4, 5, 6, 7, 8", {"deepstack_visual_indexes has 9", "8"}},
        {CONFIG,
         LAYERS,
         "\"num_hidden_layers\": 1",
         {"deepstack_visual_indexes has 2", "1 layers"}},
        {CONFIG, "\"gelu_pytorch_tanh\"", "\"gelu\"", {"vision_config.hidden_act", "\"gelu\""}},
        {CONFIG,
         "\"in_channels\": 3",
         "\"rope_parameters\": {\"rope_theta\": 500}",
         {"rope_theta is 500", "10000"}},
    };
    CHECK_ALL(r);
}

TEST(processor_configuration_agrees_with_the_tower)
{
    static const struct refusal r[] = {
        {PROCESSOR, PATCH, "\"patch_size\": 14", {"patch_size is 14", CONFIG, "16"}},
        {PROCESSOR, "\"merge_size\": 2", "\"merge_size\": 3", {"merge_size is 3", CONFIG, "2"}},
        {PROCESSOR,
         "\"temporal_patch_size\": 2",
         "\"temporal_patch_size\": 1",
         {"temporal_patch_size is 1", CONFIG}},
        {PROCESSOR, "\"image_mean\": [\n  0.5,", "\"image_mean\": [", {"image_mean", "three"}},
        {PROCESSOR, "\"image_mean\": [\n  0.5,", "\"image_mean\": [1.5,", {"image_mean", "0..1"}},
        {PROCESSOR, "\"image_std\": [\n  0.5,", "\"image_std\": [0,", {"image_std", "zero"}},
        {PROCESSOR, "\"shortest_edge\": 2048", "\"shortest_edge\": 9000", {"9000 to 8192"}},
        {PROCESSOR, "\"shortest_edge\": 2048", "\"shortest_edge\": 0", {"shortest_edge is 0"}},
        {PROCESSOR, "\"longest_edge\": 8192", "\"longest_edge\": 1e18", {"longest_edge"}},
        {PROCESSOR, "\"size\"", "\"sizes\"", {"pixel limits", "shortest_edge"}},
        {PROCESSOR, "\"size\"", "\"max_pixels\": 1024, \"size\"", {"2048 to 1024"}},
    };
    CHECK_ALL(r);
}

TEST(processor_configuration_has_an_image_processor)
{
    struct fixture f;
    REQUIRE(fixture_open(&f, FIXTURE_GOLDEN "tower72"));
    fixture_replace(&f, "processor_config.json", "image_processor\"", "processor\"");
    REFUSED(&f, VLQA_EMODEL, "processor_config.json has no image_processor", "missing");
    fixture_close(&f);
}

TEST(other_families_and_quantisations_are_named)
{
    static const char *const type = "\"model_type\": \"qwen3_vl\",\n \"dtype\"";
    const struct refusal r[] = {
        {CONFIG, type, "\"model_type\": \"llama\", \"dtype\"", {"llama", "qwen3_vl"}},
        {CONFIG, type, "\"model_type\": \"qwen2_5_vl\", \"dtype\"", {"qwen2_5_vl", "qwen3_vl"}},
        {CONFIG, type, "\"model_type\": \"qwen3_vl_moe\", \"dtype\"", {"mixture of experts"}},
        {CONFIG, type, "\"model_type\": 3, \"dtype\"", {"model_type is number"}},
        {CONFIG, type, "\"dtype\"", {"model_type is missing"}},
        {CONFIG, HIDDEN, HIDDEN ", \"num_experts\": 64", {"mixture of experts"}},
        {CONFIG,
         type,
         "\"model_type\": \"qwen3_vl\", \"quantization_config\": {\"quant_method\": "
         "\"fbgemm_fp8\"},"
         "\"dtype\"",
         {"quantised", "fbgemm_fp8", "BF16"}},
        {CONFIG,
         type,
         "\"model_type\": \"qwen3_vl\", \"quantization_config\": {\"quant_method\": \"gptq\"},"
         "\"dtype\"",
         {"quantised", "gptq"}},
        {CONFIG,
         HIDDEN,
         HIDDEN ", \"quantization_config\": {\"quant_method\": \"awq\"}",
         {"quantised", "awq"}},
        {CONFIG, HIDDEN, HIDDEN ", \"quantization_config\": 3", {"quantised", "unknown"}},
        {CONFIG,
         type,
         "\"model_type\": \"qwen3_vl\", \"quantization\": {\"group_size\": 64, \"bits\": 4},"
         "\"dtype\"",
         {"quantised (MLX)", "BF16"}},
    };
    CHECK_ALL(r);
}

/* The first tensor that was missing was all that was said. */
TEST(checkpoints_that_are_not_plain_are_named_by_their_keys)
{
    static const struct {
        const char *from, *to, *what;
    } key[] = {
        {"layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.base_layer.weight", "LoRA"},
        {"layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.lora_A.default.weight",
         "merge_and_unload()"},
        {"embed_tokens.weight", "embed_tokens.modules_to_save.default.weight", "LoRA adapter"},
        {"embed_tokens.weight", "embed_tokens.lora_embedding_A.default", "LoRA adapter"},
        {"layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.scales",
         "the weights are quantised by MLX"},
        {"layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.qweight", "GPTQ"},
        {"layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.weight_scale_inv", "FP8"},
        {"layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight.absmax", "bitsandbytes"},
    };
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        struct fixture f;
        char from[200], to[200];
        REQUIRE(fixture_open(&f, TIED));
        snprintf(from, sizeof from, "\"model.language_model.%s\"", key[i].from);
        snprintf(to, sizeof to, "\"base_model.model.model.language_model.%s\"", key[i].to);
        fixture_rename_tensors(&f, WEIGHTS, from, to);
        to[strlen(to) - 1] = 0;
        REFUSED(&f, VLQA_EMODEL, WEIGHTS ": ", to + 1, key[i].what);
        fixture_close(&f);
    }
}

TEST(token_ids_agree_with_the_tokenizer)
{
    static const struct refusal r[] = {
        {CONFIG,
         "\"image_token_id\": 296",
         "\"image_token_id\": 297",
         {CONFIG, "image_token_id is 297", "296"}},
        {CONFIG,
         "\"vision_start_token_id\": 293",
         "\"vision_start_token_id\": 294",
         {CONFIG, "vision_start_token_id is 294", "293"}},
        {CONFIG,
         "\"vision_end_token_id\": 294",
         "\"vision_end_token_id\": 0",
         {CONFIG, "vision_end_token_id is 0", "294"}},
        {CONFIG, "\"image_token_id\": 296", "\"image_token_id\": -2", {"image_token_id is -2"}},
        {CONFIG, "\"vocab_size\": 320", "\"vocab_size\": 300", {"tokenizer.json", "300"}},
        {"generation_config.json", "  286,\n  284\n", "286, \"x\"", {"eos_token_id[1]"}},
        {"generation_config.json",
         "  286,\n  284\n",
         "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17",
         {"eos_token_id", "17"}},
    };
    CHECK_ALL(r);
}

TEST(control_tokens_that_prompts_need_are_there)
{
    static const char *const tokens[] = {"<|im_start|>", "<|im_end|>", "<|vision_start|>",
                                         "<|vision_end|>", "<|image_pad|>"};
    for (int i = 0; i < 5; i++) {
        struct fixture f;
        char other[32];
        REQUIRE(fixture_open(&f, TIED));
        snprintf(other, sizeof other, "<|x%s", tokens[i] + 2);
        fixture_replace(&f, "tokenizer.json", tokens[i], other);
        REFUSED(&f, VLQA_EMODEL, "control token", tokens[i], "missing");
        fixture_close(&f);
    }
}

TEST(tensors_are_those_of_the_configuration)
{
    static const struct refusal r[] = {
        {CONFIG,
         "\"vocab_size\": 320",
         "\"vocab_size\": 321",
         {WEIGHTS, "embed_tokens", "[320, 56]", "[321, 56]"}},
        {CONFIG,
         "\"intermediate_size\": 77",
         "\"intermediate_size\": 78",
         {WEIGHTS, "gate_proj", "[77, 56]", "[78, 56]"}},
        {CONFIG, LAYERS, "\"num_hidden_layers\": 4", {WEIGHTS, "layers.3.", "missing", "[56]"}},
        {CONFIG, LAYERS, "\"num_hidden_layers\": 2", {WEIGHTS, "layers.2.", "no tensor of this"}},
        {CONFIG, HEADS, "\"num_attention_heads\": 4", {"q_proj", "[96, 56]", "[64, 56]"}},
        {CONFIG, "\"depth\": 3", "\"depth\": 4", {"visual.blocks.3.", "missing"}},
        {CONFIG, "\"depth\": 3", "\"depth\": 2", {"visual.blocks.2.", "no tensor of this"}},
        {CONFIG, DEEP, "0, 1, 2", {"visual.deepstack_merger_list.2.", "missing"}},
        {CONFIG, DEEP, "0", {"visual.deepstack_merger_list.1.", "no tensor of this"}},
        {CONFIG, DEEP, "", {"visual.deepstack_merger_list.0.", "no tensor of this"}},
        {CONFIG,
         "\"num_position_embeddings\": 36",
         "\"num_position_embeddings\": 49",
         {"visual.pos_embed.weight", "[36, 64]", "[49, 64]"}},
    };
    CHECK_ALL(r);
}

/* Each tensor of the file by itself, in both towers. */
TEST(every_missing_tensor_is_named)
{
    struct vlqa_engine *engine;
    REQUIRE(fixture_engine(TIED, VLQA_DTYPE_AUTO, &engine) == VLQA_OK);
    for (int i = 0; i < st_count(engine->files); i++) {
        const char *key = st_at(engine->files, i)->key;
        char stored[160], other[176], missing[176], nearest[176];
        struct fixture f;
        snprintf(stored, sizeof stored, "\"%s\"", key);
        snprintf(other, sizeof other, "\"other.%s\"", key);
        snprintf(missing, sizeof missing, WEIGHTS ": %s is missing", key);
        snprintf(nearest, sizeof nearest, "the nearest unused key is other.%s, [", key);
        REQUIRE(fixture_open(&f, TIED));
        fixture_rename_tensors(&f, WEIGHTS, stored, other);
        REFUSED(&f, VLQA_EMODEL, missing, nearest);
        fixture_close(&f);
    }
    CHECK(st_count(engine->files) > 60);
    vlqa_engine_close(engine);
}

TEST(superfluous_tensor_is_refused)
{
    static const uint16_t zero[4] = {0};
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    fixture_add_tensor(&f, WEIGHTS, "model.visual.extra", "BF16", "[2,2]", zero, sizeof zero);
    REFUSED(&f, VLQA_EMODEL, WEIGHTS, "visual.extra", "no tensor of this model");
    fixture_close(&f);
}

TEST(one_name_under_two_prefixes_is_refused)
{
    static const uint16_t zero[56] = {0};
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    fixture_add_tensor(&f, WEIGHTS, "model.norm.weight", "BF16", "[56]", zero, sizeof zero);
    REFUSED(&f, VLQA_EMODEL, "twice", "as model.language_model.norm.weight",
            "as model.norm.weight");
    fixture_close(&f);
}

TEST(tensor_of_integers_is_refused)
{
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    fixture_rename_tensors(&f, WEIGHTS, "\"BF16\",\"shape\":[320,56]",
                           "\"I16\",\"shape\":[320,56]");
    REFUSED(&f, VLQA_EMODEL, WEIGHTS, "embed_tokens", "I16");
    fixture_close(&f);
}

/* Cut in the length, in the header, in the data. */
TEST(cut_weights_are_refused)
{
    struct fixture f;
    size_t bytes;
    char *data;
    REQUIRE(fixture_open(&f, TIED));
    data = fixture_read(&f, WEIGHTS, &bytes);
    for (size_t cut = 0; cut < bytes; cut += cut < 32 ? 1 : 1 + cut / 7) {
        fixture_write(&f, WEIGHTS, data, cut);
        REFUSED(&f, VLQA_EMODEL, WEIGHTS);
    }
    fixture_write(&f, WEIGHTS, data, bytes - 1);
    REFUSED(&f, VLQA_EMODEL, WEIGHTS, "expected");
    free(data);
    fixture_close(&f);
}

TEST(index_names_files_of_the_directory)
{
    struct fixture f;
    REQUIRE(fixture_open(&f, SHARDED));
    fixture_remove(&f, SHARD);
    REFUSED(&f, VLQA_EIO, SHARD, "No such file");
    fixture_close(&f);
    REQUIRE(fixture_open(&f, SHARDED));
    fixture_replace(&f, INDEX, "\"lm_head.weight\": \"", "\"lm_head.weight\": \"../");
    REFUSED(&f, VLQA_EMODEL, INDEX, "../", "plain file name");
    fixture_close(&f);
    REQUIRE(fixture_open(&f, SHARDED));
    fixture_replace(&f, INDEX, "\"lm_head.weight\": \"", "\"lm_head.weight\": \"/");
    REFUSED(&f, VLQA_EMODEL, INDEX, "plain file name");
    fixture_close(&f);
    REQUIRE(fixture_open(&f, SHARDED));
    fixture_replace(&f, INDEX, "\"lm_head.weight\": ", "\"lm_head.bias\": ");
    REFUSED(&f, VLQA_EMODEL, INDEX, "lm_head");
    fixture_close(&f);
}

static void add_json(const char *file, const char *text, size_t bytes, vlqa_status status,
                     const char *word)
{
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    fixture_write(&f, file, text, bytes);
    REFUSED(&f, status, file, word);
    fixture_close(&f);
}

TEST(configurations_that_are_no_json_are_refused)
{
    static const char *const files[] = {CONFIG, PROCESSOR, "generation_config.json",
                                        "tokenizer.json"};
    size_t large = (size_t)5 << 20;
    char *text = malloc(large);
    REQUIRE(text);
    for (int i = 0; i < 4; i++) {
        static const char twice[] = "{\"model_type\": \"a\", \"model_type\": \"qwen3_vl\"}";
        add_json(files[i], "", 0, VLQA_EMODEL, "byte 0");
        add_json(files[i], "{\"a\": NaN}", 10, VLQA_EMODEL, "byte 6");
        add_json(files[i], "{\"a\": 1e999}", 12, VLQA_EMODEL, "number");
        add_json(files[i], "{} {}", 5, VLQA_EMODEL, "byte 3");
        add_json(files[i], "{\"a\": \"\\u0000\"}", 15, VLQA_EMODEL, "byte");
        add_json(files[i], "{\"a\": \"\xff\"}", 10, VLQA_EMODEL, "byte 7");
        add_json(files[i], twice, strlen(twice), VLQA_EMODEL, "model_type is there twice");
        memset(text, '[', large);
        add_json(files[i], text, 100000, VLQA_EMODEL, "byte 64");
        memset(text, ' ', large);
        memcpy(text, "{}", 2);
        if (i < 3) add_json(files[i], text, large, VLQA_ELIMIT, "4194304");
    }
    free(text);
}

/* The length of a header, or "no value at byte 0", was what they were taken for. */
TEST(pointers_in_the_place_of_any_file_are_named)
{
    static const char lfs[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1234567\n";
    static const char page[] = "<!DOCTYPE html>\n<html><body>404</body></html>\n";
    static const char *const file[] = {CONFIG,           PROCESSOR, "generation_config.json",
                                       "tokenizer.json", INDEX,     SHARD};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        struct fixture f;
        REQUIRE(fixture_open(&f, SHARDED));
        fixture_write(&f, file[i], lfs, strlen(lfs));
        REFUSED(&f, VLQA_EMODEL, file[i], "is a Git LFS pointer, not the file of 1234567 bytes",
                "git lfs pull");
        fixture_write(&f, file[i], page, strlen(page));
        REFUSED(&f, VLQA_EMODEL, file[i], "is a web page", "hf download ID");
        fixture_close(&f);
    }
}

/* Every prefix is refused; only line breaks at the end may be missing. */
static void check_prefixes(const char *file, size_t step)
{
    struct fixture f;
    size_t bytes;
    char *text;
    REQUIRE(fixture_open(&f, TIED));
    text = fixture_read(&f, file, &bytes);
    while (text[bytes - 1] == '\n')
        bytes--;
    for (size_t cut = 0; cut < bytes; cut += step) {
        fixture_write(&f, file, text, cut);
        REFUSED(&f, VLQA_EMODEL, file, "byte");
    }
    free(text);
    fixture_close(&f);
}

TEST(cut_configurations_are_refused)
{
    check_prefixes(CONFIG, 3);
    check_prefixes(PROCESSOR, 3);
    check_prefixes("generation_config.json", 1);
    check_prefixes("tokenizer.json", 13);
}

static void check_path(const char *path, vlqa_status expected, const char *word)
{
    struct vlqa_engine *engine;
    vlqa_status status = fixture_engine(path, VLQA_DTYPE_AUTO, &engine);
    if (status != expected)
        CHECK_FAIL("%s: %s (%s)", path, vlqa_status_name(status), vlqa_engine_message(engine));
    CHECK_HAS(vlqa_engine_message(engine), word);
    vlqa_engine_close(engine);
}

TEST(what_is_no_model_directory_is_refused)
{
    struct fixture f;
    char *deep = malloc(5001);
    REQUIRE(deep && fixture_open(&f, TIED));
    fixture_write(&f, "model.gguf", "GGUF\3", 5);
    check_path(fixture_path(&f, "model.gguf"), VLQA_EMODEL, "is a GGUF file");
    check_path(fixture_path(&f, CONFIG), VLQA_EMODEL, "expected the directory that it is in");
    check_path(fixture_path(&f, "nowhere"), VLQA_EMODEL, "nowhere");
    check_path("", VLQA_EMODEL, "Hugging Face directory");
    memset(deep, 'x', 5000);
    deep[5000] = 0;
    check_path(deep, VLQA_EUSAGE, "4096");
    fixture_remove(&f, WEIGHTS);
    REFUSED(&f, VLQA_EMODEL, "model.gguf", "safetensors");
    fixture_remove(&f, "model.gguf");
    REFUSED(&f, VLQA_EMODEL, "neither", WEIGHTS, INDEX);
    free(deep);
    fixture_close(&f);
}

TEST(missing_files_are_named)
{
    struct fixture f;
    REQUIRE(fixture_open(&f, TIED));
    fixture_remove(&f, "tokenizer.json");
    REFUSED(&f, VLQA_EMODEL, "neither tokenizer.json nor vocab.json");
    fixture_remove(&f, PROCESSOR);
    REFUSED(&f, VLQA_EMODEL, "neither " PROCESSOR " nor processor_config.json", "hf download");
    fixture_remove(&f, CONFIG);
    REFUSED(&f, VLQA_EMODEL, "no config.json");
    fixture_close(&f);
}

/* An engine whose weights were found superfluous or incomplete has some of them already. */
TEST(failed_engine_opens_no_session)
{
    static const char *const edit[][2] = {{LAYERS, "\"num_hidden_layers\": 4"},
                                          {LAYERS, "\"num_hidden_layers\": 2"}};
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct vlqa_engine *engine;
        struct vlqa_session *session;
        struct vlqa_model_info info;
        REQUIRE(fixture_open(&f, TIED));
        fixture_replace(&f, CONFIG, edit[i][0], edit[i][1]);
        CHECK(fixture_engine(f.dir, VLQA_DTYPE_AUTO, &engine) == VLQA_EMODEL);
        CHECK(vlqa_session_open(engine, NULL, &session) == VLQA_EUSAGE);
        CHECK(session == NULL);
        CHECK(vlqa_engine_info(engine, &info, sizeof info) == VLQA_EUSAGE);
        vlqa_engine_close(engine);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
