/* test_ends.c - end tokens: every file of a model directory that names one is heard. */
#include "fusion/engine/engine.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

enum { ENDOFTEXT = 284, IM_START = 285, IM_END = 286 }; /* of tied64 */

/* A directory without any word of ends but in the tokenizer, opened. */
static int open_plain(struct fixture *f)
{
    if (!fixture_open(f, FIXTURE_TIED)) return 0;
    fixture_write(f, "generation_config.json", "{}", 2);
    fixture_replace(f, "config.json", "  \"eos_token_id\": 286,\n", "");
    fixture_replace(f, "tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"",
                    "\"eos_token\": null");
    return 1;
}

static int ends_with(const struct fixture *f, int32_t id)
{
    struct vlqa_engine *e;
    int ends = -1;
    if (fixture_engine(f->dir, VLQA_DTYPE_F32, &e) == VLQA_OK)
        ends = engine_ends_turn(e, id);
    else
        CHECK_FAIL("%s", vlqa_engine_message(e));
    vlqa_engine_close(e);
    return ends;
}

TEST(usual_end_tokens_end_without_a_word)
{
    struct fixture f;
    REQUIRE(open_plain(&f));
    CHECK_EQ(ends_with(&f, IM_END), 1);
    CHECK_EQ(ends_with(&f, ENDOFTEXT), 1);
    CHECK_EQ(ends_with(&f, IM_START), 0);
    CHECK_EQ(ends_with(&f, 65), 0);
    fixture_close(&f);
}

/* A generation_config.json that names <|endoftext|> alone left <|im_end|> unheard. */
TEST(one_file_does_not_silence_another)
{
    static const struct {
        const char *file, *text;
    } ends[] = {
        {"generation_config.json", "{\"eos_token_id\": 65}"},
        {"generation_config.json", "{\"eos_token_id\": [284, 65]}"},
        {"special_tokens_map.json", "{\"eos_token\": \"<|im_start|>\"}"},
        {"special_tokens_map.json", "{\"eos_token\": {\"content\": \"<|im_start|>\", \"lstrip\": "
                                    "false}}"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct fixture f;
        int by_text = strstr(ends[i].file, "special") != NULL;
        REQUIRE(open_plain(&f));
        fixture_write(&f, ends[i].file, ends[i].text, strlen(ends[i].text));
        CHECK_EQ(ends_with(&f, by_text ? IM_START : 65), 1);
        CHECK_EQ(ends_with(&f, IM_END), 1);
        CHECK_EQ(ends_with(&f, ENDOFTEXT), 1);
        fixture_close(&f);
    }
}

TEST(both_parts_of_the_configuration_are_heard)
{
    struct fixture f;
    REQUIRE(open_plain(&f));
    fixture_replace(&f, "config.json", "\"model_type\": \"qwen3_vl\",\n \"dtype\"",
                    "\"model_type\": \"qwen3_vl\",\n \"eos_token_id\": 65,\n \"dtype\"");
    fixture_replace(&f, "config.json", "  \"vocab_size\": 320,",
                    "  \"vocab_size\": 320, \"eos_token_id\": [66, 67],");
    for (int32_t id = 65; id < 68; id++)
        CHECK_EQ(ends_with(&f, id), 1);
    CHECK_EQ(ends_with(&f, IM_END), 1);
    fixture_close(&f);
}

TEST(the_tokenizer_configuration_is_heard)
{
    struct fixture f;
    REQUIRE(open_plain(&f));
    fixture_replace(&f, "tokenizer_config.json", "\"eos_token\": null",
                    "\"eos_token\": \"<|im_start|>\"");
    CHECK_EQ(ends_with(&f, IM_START), 1);
    CHECK_EQ(ends_with(&f, IM_END), 1);
    fixture_replace(&f, "tokenizer_config.json", "\"eos_token\": \"<|im_start|>\"",
                    "\"eos_token\": {\"content\": \"<|im_start|>\"}");
    CHECK_EQ(ends_with(&f, IM_START), 1);
    fixture_replace(&f, "tokenizer_config.json", "\"eos_token\": {\"content\": \"<|im_start|>\"}",
                    "\"eos_token\": \"no such token\"");
    CHECK_EQ(ends_with(&f, IM_START), 0);
    fixture_close(&f);
}

/* What changes the answer changes who the model is. */
TEST(an_end_that_the_tokenizer_alone_names_is_in_the_digest)
{
    char plain[65], other[65];
    struct fixture f;
    REQUIRE(fixture_open(&f, FIXTURE_TIED));
    for (int i = 0; i < 2; i++) {
        struct vlqa_model_info info;
        struct vlqa_engine *e;
        REQUIRE(fixture_engine(f.dir, VLQA_DTYPE_F32, &e) == VLQA_OK);
        REQUIRE(vlqa_engine_info(e, &info, sizeof info) == VLQA_OK);
        memcpy(i ? other : plain, info.digest, sizeof info.digest);
        vlqa_engine_close(e);
        if (i == 0)
            fixture_replace(&f, "tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"",
                            "\"eos_token\": \"<|im_start|>\"");
    }
    CHECK(strcmp(plain, other) != 0);
    fixture_close(&f);
}

TEST(wrong_ends_are_refused_by_name)
{
    static const struct {
        const char *file, *text, *says;
    } wrong[] = {
        {"generation_config.json", "{\"eos_token_id\": \"a\"}", "eos_token_id"},
        {"generation_config.json", "{\"eos_token_id\": [1.5]}", "eos_token_id"},
        {"special_tokens_map.json", "{", "special_tokens_map.json"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fixture f;
        struct vlqa_engine *e;
        REQUIRE(fixture_open(&f, FIXTURE_TIED));
        fixture_write(&f, wrong[i].file, wrong[i].text, strlen(wrong[i].text));
        CHECK_EQ(fixture_engine(f.dir, VLQA_DTYPE_F32, &e), VLQA_EMODEL);
        CHECK_HAS(vlqa_engine_message(e), wrong[i].says);
        vlqa_engine_close(e);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
