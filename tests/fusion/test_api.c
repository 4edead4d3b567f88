/* test_api.c - what callers of any language get besides answers: options on the heap, tokens of a
 * text, the path of the default model. */
#include "fusion/engine/abi.h"
#include "tests/check.h"
#include "tests/fusion/fixture.h"

#define TEXT "caf\xc3\xa9 8.9K\n<|im_end|> <think>"

TEST(options_on_the_heap_are_the_defaults)
{
    struct vlqa_ask_options *o = vlqa_ask_options_new(), d = vlqa_ask_options_default();
    struct vlqa_engine_options *eo = vlqa_engine_options_new();
    struct vlqa_session_options *so = vlqa_session_options_new();
    struct vlqa_cache_options *co = vlqa_cache_options_new();
    REQUIRE(o && eo && so && co);
    CHECK_EQ(o->struct_bytes, ABI_MOST);
    o->struct_bytes = d.struct_bytes;
    CHECK(memcmp(o, &d, sizeof d) == 0);
    for (size_t i = sizeof d; i < ABI_MOST; i++)
        CHECK(((char *)o)[i] == 0);
    CHECK_EQ(eo->version, VLQA_OPTIONS_VERSION);
    CHECK_EQ(so->version, VLQA_OPTIONS_VERSION);
    CHECK_EQ(co->version, VLQA_OPTIONS_VERSION);
    vlqa_options_free(o);
    vlqa_options_free(eo);
    vlqa_options_free(so);
    vlqa_options_free(co);
    vlqa_options_free(NULL);
}

/* Fields of a newer mirror are noticed, not lost. */
TEST(options_on_the_heap_are_taken_and_checked)
{
    struct vlqa_ask_options *o = vlqa_ask_options_new();
    struct vlqa_session_options *so = vlqa_session_options_new();
    struct vlqa_engine_options *eo = vlqa_engine_options_new();
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *session = NULL;
    struct vlqa_answer a;
    REQUIRE(o && so && eo);
    eo->model = FIXTURE_TIED;
    eo->threads = 1;
    so->max_seq_len = 256;
    o->max_tokens = 2;
    CHECK_EQ(vlqa_engine_open(eo, &engine), VLQA_OK);
    CHECK_EQ(vlqa_session_open(engine, so, &session), VLQA_OK);
    CHECK_EQ(vlqa_ask(session, "A?", o, &a, sizeof a), VLQA_OK);
    CHECK(a.n_tokens <= 2);
    ((char *)o)[sizeof *o + 8] = 1;
    CHECK_EQ(vlqa_ask(session, "A?", o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(session), "is older than the header");
    vlqa_session_close(session);
    vlqa_engine_close(engine);
    vlqa_options_free(o);
    vlqa_options_free(so);
    vlqa_options_free(eo);
}

TEST(tokens_of_a_text_are_those_of_prompts)
{
    struct run r = run_new();
    struct vlqa_ask_options o = run_ask(1);
    struct vlqa_answer a;
    int32_t token[64];
    int n = 0, at;
    REQUIRE(run_open(&r));
    CHECK_EQ(vlqa_tokenize(r.engine, TEXT, strlen(TEXT), 0, token, 64, &n), VLQA_OK);
    CHECK(n > 10 && n < 64);
    REQUIRE(run_text(r.session, TEXT) == VLQA_OK); /* a document's tokens are by themselves */
    REQUIRE(vlqa_ask(r.session, "?", &o, &a, sizeof a) == VLQA_OK);
    CHECK_EQ(a.tokens_context, n);
    at = a.tokens_prefix;
    CHECK(memcmp(a.prompt_token + at, token, (size_t)n * sizeof *token) == 0);
    run_close(&r);
}

TEST(tokens_and_text_turn_into_each_other)
{
    struct run r = run_new();
    int32_t token[64];
    char text[64], little[6];
    size_t bytes;
    int n, all;
    REQUIRE(run_open(&r));
    for (int control = 0; control < 2; control++) {
        CHECK_EQ(vlqa_tokenize(r.engine, TEXT, strlen(TEXT), control, token, 64, &n), VLQA_OK);
        CHECK_EQ(vlqa_detokenize(r.engine, token, n, control, text, sizeof text, &bytes), VLQA_OK);
        CHECK_STR(text, TEXT);
        CHECK_EQ(bytes, strlen(TEXT));
    }
    CHECK_EQ(vlqa_detokenize(r.engine, token, n, 0, text, sizeof text, &bytes), VLQA_OK);
    CHECK_STR(text, "caf\xc3\xa9 8.9K\n <think>"); /* control tokens are left out */
    CHECK_EQ(vlqa_detokenize(r.engine, token, n, 1, little, sizeof little, &bytes), VLQA_OK);
    CHECK_STR(little, "caf\xc3\xa9");
    CHECK_EQ(bytes, strlen(TEXT));
    CHECK_EQ(vlqa_tokenize(r.engine, TEXT, strlen(TEXT), 1, NULL, 0, &all), VLQA_OK);
    CHECK_EQ(all, n);
    CHECK_EQ(vlqa_tokenize(r.engine, "", 0, 0, NULL, 0, &n), VLQA_OK);
    CHECK_EQ(n, 0);
    run_close(&r);
}

TEST(wrong_texts_and_tokens_are_refused)
{
    struct run r = run_new();
    const int32_t none = FIXTURE_VOCAB, negative = -1, lone = 0x80;
    char text[16];
    size_t bytes;
    int32_t token[4];
    int n;
    REQUIRE(run_open(&r));
    CHECK_EQ(vlqa_tokenize(r.engine, "\xff", 1, 0, token, 4, &n), VLQA_ETEXT);
    CHECK_EQ(vlqa_tokenize(r.engine, NULL, 1, 0, token, 4, &n), VLQA_EUSAGE);
    CHECK_EQ(vlqa_tokenize(NULL, "a", 1, 0, token, 4, &n), VLQA_EUSAGE);
    CHECK_EQ(vlqa_tokenize(r.engine, "a", 1, 0, NULL, 4, &n), VLQA_EUSAGE);
    CHECK_EQ(vlqa_detokenize(r.engine, &none, 1, 0, text, 16, &bytes), VLQA_EUSAGE);
    CHECK_EQ(vlqa_detokenize(r.engine, &negative, 1, 0, text, 16, &bytes), VLQA_EUSAGE);
    CHECK_EQ(vlqa_detokenize(r.engine, &lone, 1, 0, text, 0, &bytes), VLQA_EUSAGE);
    CHECK_STR(vlqa_engine_message(r.engine), "");
    run_close(&r);
}

/* This program lies in build/tests. */
TEST(the_default_model_has_a_path_or_a_place)
{
    char path[4096], little[4];
    vlqa_status status = vlqa_default_model_path(path, sizeof path);
    CHECK(status == VLQA_OK || status == VLQA_EIO);
    CHECK_HAS(path, "/share/vlqa/default-model");
    CHECK_EQ(vlqa_default_model_path(little, sizeof little), VLQA_EUSAGE);
    CHECK_EQ(vlqa_default_model_path(NULL, 0), VLQA_EUSAGE);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
