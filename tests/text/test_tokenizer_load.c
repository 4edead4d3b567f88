/* test_tokenizer_load.c - files of a tokenizer: what is read, what is refused and how. */
#include "tests/check.h"
#include "tests/text/small_tokenizer.h"
#include "tests/text/tokenizer_lab.h"

#define WORK VLQA_BINARY_DIR "/test_tokenizer_load"

/* text with the first `from` replaced by `to`. */
static char *edited(const char *text, const char *from, const char *to)
{
    static char out[65536];
    const char *at = strstr(text, from);
    if (!at) {
        CHECK_FAIL("the file lacks %s", from);
        return NULL;
    }
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static vlqa_status load_text(const char *json, int vocab, struct tokenizer **t)
{
    remove_files(WORK);
    write_file(WORK "/tokenizer.json", json, strlen(json));
    return tokenizer_load(&env, WORK, vocab, t);
}

TEST(small_file_is_loaded)
{
    static const int32_t ids[] = {258, 257, 'c', 301, '<', '|', 'i',
                                  'm', '_', 'e', 'n', 'd', '|', '>'};
    struct tokenizer *t = NULL;
    size_t bytes;
    REQUIRE(load_text(small_json(), 302, &t) == VLQA_OK);
    check_ids(t, "abab ac<think><|im_end|>", 24, 0, ids, 14);
    CHECK_EQ(tokenizer_count(t), 302);
    CHECK_EQ(tokenizer_added(t, "<think>"), 301);
    CHECK_EQ(tokenizer_added(t, "<thin"), -1);
    CHECK_EQ(tokenizer_is_special(t, 300), 1);
    CHECK_EQ(tokenizer_is_special(t, 301), 0);
    CHECK(memcmp(tokenizer_token_bytes(t, 257, &bytes), " a", 2) == 0 && bytes == 2);
    CHECK(memcmp(tokenizer_token_bytes(t, 301, &bytes), "<think>", 7) == 0 && bytes == 7);
    CHECK(!tokenizer_token_bytes(t, 300, &bytes) && bytes == 0); /* control */
    CHECK(!tokenizer_token_bytes(t, 280, &bytes) && bytes == 0); /* no such token */
    CHECK(!tokenizer_token_bytes(t, -1, &bytes) && !tokenizer_token_bytes(t, 302, &bytes));
    tokenizer_free(t);
}

TEST(spellings_of_the_same_file_are_the_same_tokenizer)
{
    static const struct {
        const char *from, *to;
        int same;
    } change[] = {{"[\"a\", \"b\"]", "\"a b\"", 1},
                  {"\"ab\": 256", "\"\\u0061b\": 256", 1},
                  {"(?i:'s", "(?i:\\u0027s", 1},
                  {", \"invert\": false", "", 1},
                  {"\"vocab\": {", "\"vocab\": {\"<think>\": 301, ", 1},
                  {"\"normalizer\": {\"type\": \"NFC\"}, ", "", 0},
                  {"[\"ab\", \"ab\"]", "[\"a\", \"bab\"]", -1},
                  {", [\"ab\", \"ab\"]", "", 0},
                  {"\"special\": false", "\"special\": true", 0},
                  {"\"id\": 301", "\"id\": 299", 0}};
    struct key original = {{0}};
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        struct hash h;
        struct key key;
        struct tokenizer *t = NULL;
        const char *text =
            i ? edited(small_json(), change[i - 1].from, change[i - 1].to) : small_json();
        vlqa_status status = load_text(text, 302, &t);
        if (i && change[i - 1].same < 0) {
            CHECK_EQ(status, VLQA_EMODEL);
            continue;
        }
        if (status != VLQA_OK) CHECK_FAIL("change %zu: %s", i, env.message);
        if (status != VLQA_OK) continue;
        hash_begin(&h, "test");
        tokenizer_digest(t, &h);
        key = hash_end(&h);
        if (!i)
            original = key;
        else if (key_equal(key, original) != change[i - 1].same)
            CHECK_FAIL("change %zu: digests", i);
        tokenizer_free(t);
    }
}

TEST(other_kinds_and_damage_are_refused_by_name)
{
    static const struct {
        const char *from, *to, *message;
    } bad[] = {
        {"\"type\": \"BPE\"", "\"type\": \"Unigram\"", "model.type is 'Unigram', expected 'BPE'"},
        {"\"type\": \"BPE\", ", "", "model.type is missing"},
        {"\"dropout\": null", "\"dropout\": 0.1", "dropout"},
        {"\"unk_token\": null", "\"unk_token\": \"<unk>\"", "unk_token is '<unk>'"},
        {"\"end_of_word_suffix\": null", "\"end_of_word_suffix\": \"</w>\"", "end_of_word_suffix"},
        {"\"byte_fallback\": false", "\"byte_fallback\": true", "byte_fallback is on"},
        {"\"ignore_merges\": false", "\"ignore_merges\": true", "ignore_merges is on"},
        {"\"type\": \"NFC\"", "\"type\": \"NFKC\"", "normalizer.type is 'NFKC'"},
        {"\"type\": \"Sequence\"", "\"type\": \"Whitespace\"",
         "pre_tokenizer.type is 'Whitespace'"},
        {"\\\\p{N}|", "\\\\p{N}{1,3}|", "regular expression of Split is '(?i:'s"},
        {"\"Regex\"", "\"String\"", "regular expression of Split is missing"},
        {"\"Isolated\"", "\"Removed\"", "behavior of Split is 'Removed'"},
        {"\"invert\": false", "\"invert\": true", "invert is on"},
        {"\"use_regex\": false", "\"use_regex\": true", "use_regex is on"},
        {", \"use_regex\": false", "", "use_regex is on"},
        {"\"add_prefix_space\": false", "\"add_prefix_space\": true", "add_prefix_space is on"},
        {"\"post_processor\": null", "\"post_processor\": {\"type\": \"TemplateProcessing\"}",
         "post_processor.type is 'TemplateProcessing'"},
        {"{\"type\": \"ByteLevel\"}, \"model\"", "null, \"model\"", "decoder.type is missing"},
        {"\"vocab\": {", "\"vocab\": [{", "tokenizer.json"},
        {"\"model\": {", "\"other\": {", "model is missing"},
        {"\"merges\"", "\"fusions\"", "model.merges is missing"},
        {"\"added_tokens\": [", "\"added\": [", "added_tokens is missing"},
        {"\"ab\": 256", "\"ab\": 302",
         "id of token 'ab' is 302, expected a whole number below 302"},
        {"\"ab\": 256", "\"ab\": -1", "id of token 'ab' is -1"},
        {"\"ab\": 256", "\"ab\": 2.5", "id of token 'ab' is 2.5"},
        {"\"ab\": 256", "\"ab\": 1e300", "id of token 'ab' is 1e+300"},
        {"\"ab\": 256", "\"ab\": null", "id of token 'ab'"},
        {"\"ab\": 256", "\"ab\": 65", "id 65 of token 'ab' is already taken"},
        {"\"ab\": 256", "\"ab\": 300", "id 300 of token 'ab' is already taken"},
        {"\"ab\": 256", "\"a b\": 256", "token 'a b' is empty, longer than 1024 bytes, or not"},
        {"\"ab\": 256", "\"\xE4\xB8\xAD\": 256", "not byte-level"},
        {"\"ab\": 256", "\"\": 256", "is empty"},
        {"\"ab\": 256", "\"<think>\": 256", "token '<think>' has ids 301 and 256"},
        {"\"A\": 65, ", "", "no token for the single byte 0x41"},
        {"\"a\", \"b\"", "\"a\", \"bb\"", "merge 0 of 'a' and 'bb': the second is not in the voc"},
        {"\"a\", \"b\"", "\"bb\", \"a\"", "merge 0 of 'bb' and 'a': the first is not"},
        {"\"a\", \"b\"", "\"b\", \"a\"", "merge 0 of 'b' and 'a': what they become is not"},
        {"[\"ab\", \"ab\"]", "[\"a\", \"b\"]", "merge 2 of 'a' and 'b' is there twice"},
        {"\"a\", \"b\"", "\"a\", \"b\", \"c\"", "merge 0 is array, expected two strings"},
        {"\"a\", \"b\"", "\"a\", 7", "merge 0 is array, expected two strings"},
        {"[\"a\", \"b\"]", "\"ab\"", "merge 0 is 'ab', expected two tokens"},
        {"[\"a\", \"b\"]", "\"a b \"", "the second is not"},
        {"\"content\": \"<think>\"", "\"content\": \"\"", "added token 301 is empty"},
        {"\"content\": \"<think>\"", "\"content\": \"<|im_end|>\"", "has ids 300 and 301"},
        {"\"id\": 301", "\"id\": 300", "id 300 of token '<think>' is already taken"},
        {"\"id\": 301", "\"id\": 302", "302"},
        {"\"id\": 301", "\"id\": \"301\"", "id"},
        {"\"lstrip\": false", "\"lstrip\": true", "'<|im_end|>' is marked lstrip"},
        {"\"rstrip\": false", "\"rstrip\": true", "marked rstrip"},
        {"\"single_word\": false", "\"single_word\": true", "marked single_word"},
        {"\"normalized\": false", "\"normalized\": true", "marked normalized"},
        {"\"special\": true", "\"special\": 1", "special"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tokenizer *t = NULL;
        char *text = edited(small_json(), bad[i].from, bad[i].to);
        uint64_t live = heap_live();
        if (!text) continue;
        CHECK_EQ(load_text(text, 302, &t), VLQA_EMODEL);
        if (!strstr(env.message, bad[i].message))
            CHECK_FAIL("%s -> %s: \"%s\" lacks \"%s\"", bad[i].from, bad[i].to, env.message,
                       bad[i].message);
        CHECK(!t);
        CHECK_EQ(heap_live(), live);
    }
}

TEST(merges_never_lead_to_an_added_token)
{
    struct tokenizer *t = NULL;
    char *text = strdup(edited(small_json(), "\"abab\": 258", "\"abab\": 300"));
    CHECK_EQ(load_text(edited(text, "<|im_end|>", "abab"), 302, &t), VLQA_EMODEL);
    free(text);
    CHECK_HAS(env.message, "merge 2 of 'ab' and 'ab': what they become is not in the vocabulary");
    tokenizer_free(t);
}

TEST(the_longest_added_token_wins)
{
    static const int32_t ids[] = {299, 'x', 301, '<', 't'};
    struct tokenizer *t = NULL;
    char *text =
        edited(small_json(), "{\"id\": 301",
               "{\"id\": 299, \"content\": \"<think>a\", \"special\": false}, {\"id\": 301");
    REQUIRE(load_text(text, 302, &t) == VLQA_OK);
    check_ids(t, "<think>ax<think><t", 18, 0, ids, 5);
    tokenizer_free(t);
}

static const char config_json[] =
    "{\"added_tokens_decoder\": {"
    "\"300\": {\"content\": \"<|im_end|>\", \"special\": true, " SMALL_FLAGS "},"
    "\"301\": {\"content\": \"<think>\", \"special\": false, " SMALL_FLAGS "}}}";
static const char merges_txt[] = "#version: 0.2\na b\n\xC4\xA0 a\r\nab ab";

static vlqa_status load_three(const char *merges, const char *config, struct tokenizer **t)
{
    static char vocab[16384];
    remove_files(WORK);
    vocab[0] = '{';
    small_vocab(vocab + 1);
    strcat(vocab, "}");
    write_file(WORK "/vocab.json", vocab, strlen(vocab));
    if (merges) write_file(WORK "/merges.txt", merges, strlen(merges));
    if (config) write_file(WORK "/tokenizer_config.json", config, strlen(config));
    return tokenizer_load(&env, WORK, 302, t);
}

TEST(vocab_and_merges_are_the_same_tokenizer)
{
    struct tokenizer *one = NULL, *three = NULL;
    REQUIRE(load_text(small_json(), 302, &one) == VLQA_OK);
    if (load_three(merges_txt, config_json, &three) != VLQA_OK) CHECK_FAIL("%s", env.message);
    REQUIRE(three);
    CHECK(key_equal(one->digest, three->digest));
    tokenizer_free(one);
    tokenizer_free(three);
}

TEST(byte_order_marks_are_skipped)
{
    struct tokenizer *plain = NULL, *marked = NULL;
    char text[8192];
    REQUIRE(load_three(merges_txt, config_json, &plain) == VLQA_OK);
    snprintf(text, sizeof text, "\xef\xbb\xbf%s", merges_txt);
    if (load_three(text, config_json, &marked) != VLQA_OK) CHECK_FAIL("%s", env.message);
    REQUIRE(marked);
    CHECK(key_equal(plain->digest, marked->digest));
    tokenizer_free(marked);
    snprintf(text, sizeof text, "\xef\xbb\xbf%s", config_json);
    if (load_three(merges_txt, text, &marked) != VLQA_OK) CHECK_FAIL("%s", env.message);
    REQUIRE(marked);
    CHECK(key_equal(plain->digest, marked->digest));
    tokenizer_free(marked);
    tokenizer_free(plain);
}

TEST(pointers_in_the_place_of_files_are_named)
{
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\nsize 1671853\n";
    struct tokenizer *t = NULL;
    CHECK_EQ(load_text(lfs, 302, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "tokenizer.json is a Git LFS pointer, not the file of 1671853 bytes");
    CHECK_EQ(load_three(lfs, config_json, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "merges.txt is a Git LFS pointer");
    CHECK_EQ(load_three(merges_txt, lfs, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "tokenizer_config.json is a Git LFS pointer");
    CHECK_EQ(load_three("\xff\xfe#", config_json, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "merges.txt is UTF-16 text, expected UTF-8");
}

TEST(damage_in_vocab_and_merges_is_refused)
{
    struct tokenizer *t = NULL;
    CHECK_EQ(load_three("a b\nab\n", config_json, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "merges.txt: merge 1 is 'ab'");
    CHECK_EQ(load_three("a b\n#version 1\n", config_json, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "merge 1 of '#version' and '1'");
    CHECK_EQ(load_three("a \xFF\xFE\n", config_json, &t), VLQA_EMODEL);
    CHECK_EQ(load_three(merges_txt, "{}", &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "added_tokens_decoder is missing");
    CHECK_EQ(load_three(merges_txt, "{\"added_tokens_decoder\": {\"3e2\": {}}}", &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "id of an added token is '3e2'");
    CHECK_EQ(load_three(merges_txt, "{\"added_tokens_decoder\": {\"302\": {}}}", &t), VLQA_EMODEL);
    CHECK_EQ(load_three(NULL, config_json, &t), VLQA_EIO);
    CHECK_EQ(load_three(merges_txt, NULL, &t), VLQA_EIO);
    remove_files(WORK);
    CHECK_EQ(tokenizer_load(&env, WORK, 302, &t), VLQA_EMODEL);
    CHECK_HAS(env.message, "neither tokenizer.json nor vocab.json");
}

TEST(bytes_are_their_own_ids)
{
    static const int32_t ids[] = {'h', 0xC3, 0xA9, '<', '|', 'i', 'm',
                                  '_', 'e',  'n',  'd', '|', '>'};
    static const int32_t special[] = {'h', 0xC3, 0xA9, 258};
    struct tokenizer *t = NULL;
    CHECK_EQ(tokenizer_bytes(&env, 261, &t), VLQA_EUSAGE);
    CHECK(!t);
    REQUIRE(tokenizer_bytes(&env, 262, &t) == VLQA_OK);
    CHECK_EQ(tokenizer_count(t), 262);
    CHECK_EQ(tokenizer_added(t, "<|endoftext|>"), 256);
    CHECK_EQ(tokenizer_added(t, "<|image_pad|>"), 261);
    check_ids(t, "h\xC3\xA9<|im_end|>", 13, 0, ids, 13);
    check_ids(t, "h\xC3\xA9<|im_end|>", 13, 1, special, 4);
    tokenizer_free(t);
}

TEST(every_failed_allocation_is_reported)
{
    uint64_t live = heap_live();
    int failures = 0;
    remove_files(WORK);
    write_file(WORK "/tokenizer.json", small_json(), strlen(small_json()));
    for (int n = 0;; n++) {
        struct tokenizer *t = NULL;
        vlqa_status status;
        heap_fail_after(n);
        status = tokenizer_load(&env, WORK, 302, &t);
        heap_fail_after(-1);
        if (status == VLQA_OK) {
            tokenizer_free(t);
            break;
        }
        failures++;
        CHECK_EQ(status, VLQA_EMEMORY);
        CHECK(!t);
        CHECK_EQ(heap_live(), live);
    }
    CHECK(failures > 8);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
