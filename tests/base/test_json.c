/* test_json.c - what is refused, where and in which words; what the getters promise. */
#include "base/heap.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "tests/check.h"

#include <pthread.h>
#include <unistd.h>

#define CONFIG                                                                              \
    "{\"model_type\": \"qwen3_vl\", \"tie\": true, \"none\": null,\n"                       \
    " \"text_config\": {\"hidden_size\": 64, \"theta\": 5e6, \"big\": 9007199254740992,\n"  \
    "  \"rope\": {\"section\": [24, 20, 20], \"odd\": [1, 2.5], \"mixed\": [1, \"x\"]}},\n" \
    " \"layers\": [{\"size\": 1}, {\"size\": -3}], \"eps\": 1e-06, \"escapes\": "           \
    "\"\\u00e4\\ud83d\\ude00\\n\\/\"}"

/* Parses a copy in a block of exactly that size, so that a read behind it is seen. */
static vlqa_status parse_bytes(struct env *env, const char *text, size_t bytes,
                               struct json_doc **out)
{
    char *copy = malloc(bytes ? bytes : 1);
    vlqa_status status;
    *out = NULL;
    if (!copy) return VLQA_EMEMORY;
    memcpy(copy, text, bytes);
    status = json_parse(env, "config.json", copy, bytes, 1 << 26, out);
    free(copy);
    return status;
}

static vlqa_status parse(struct env *env, const char *text, struct json_doc **out)
{
    return parse_bytes(env, text, strlen(text), out);
}

static void check_refused(const char *text, const char *message)
{
    struct env env = {0};
    struct json_doc *doc;
    uint64_t live = heap_live();
    CHECK_EQ(parse(&env, text, &doc), VLQA_EMODEL);
    CHECK_STR(env.message, message);
    CHECK(!doc);
    CHECK_EQ(heap_live(), live);
}

static void check_accepted(const char *text)
{
    struct env env = {0};
    struct json_doc *doc;
    if (parse(&env, text, &doc) != VLQA_OK) CHECK_FAIL("%s: %s", text, env.message);
    json_free(doc);
}

TEST(values_of_every_kind_are_walked)
{
    struct env env = {0};
    struct json_doc *doc;
    const struct json *root, *layers;
    REQUIRE(parse(&env, CONFIG, &doc) == VLQA_OK);
    root = json_root(doc);
    CHECK_EQ(json_kind(root), JSON_OBJECT);
    CHECK_EQ(json_count(root), 7);
    CHECK_STR(json_name(json_first(root)), "model_type");
    CHECK_STR(json_text(json_get(root, "model_type")), "qwen3_vl");
    CHECK(json_is_true(json_get(root, "tie")));
    CHECK_EQ(json_kind(json_get(root, "none")), JSON_NULL);
    CHECK_STR(json_text(json_get(root, "escapes")), "\xc3\xa4\xf0\x9f\x98\x80\n/");
    layers = json_get(root, "layers");
    CHECK_STR(json_kind_name(layers), "array");
    CHECK(json_number(json_get(json_next(json_first(layers)), "size")) == -3);
    CHECK(!json_next(json_next(json_first(layers))));
    json_free(doc);
}

TEST(a_renamed_member_is_found_by_either_name)
{
    static const char text[] = "{\"tokens\": 1, \"rows\": 2, \"made\": 3, \"null\": null}";
    struct env env = {.log = NULL};
    struct json_doc *doc;
    const struct json *root;
    REQUIRE(json_parse(&env, "text", text, sizeof text - 1, 1000, &doc) == VLQA_OK);
    root = json_root(doc);
    CHECK_EQ((int)json_number(json_get_renamed(root, "tokens", "rows")), 1); /* the new one wins */
    CHECK_EQ((int)json_number(json_get_renamed(root, "computed", "made")), 3);
    CHECK_EQ(json_kind(json_get_renamed(root, "null", "made")), JSON_NULL);
    CHECK(!json_get_renamed(root, "variant", "method"));
    json_free(doc);
}

TEST(names_are_case_sensitive_and_nothing_gives_nothing)
{
    struct env env = {0};
    struct json_doc *doc;
    REQUIRE(parse(&env, CONFIG, &doc) == VLQA_OK);
    CHECK(!json_get(json_root(doc), "Model_Type"));
    CHECK(!json_get(json_get(json_root(doc), "layers"), "size"));
    CHECK(!json_get(NULL, "x") && !json_first(NULL) && !json_next(NULL) && !json_name(NULL));
    CHECK(!json_text(NULL) && !json_text(json_root(doc)) && isnan(json_number(NULL)));
    CHECK_EQ(json_count(NULL), 0);
    CHECK(!json_is_true(NULL));
    CHECK_STR(json_kind_name(NULL), "missing");
    json_free(doc);
    json_free(NULL);
}

TEST(checked_members_give_values)
{
    struct env env = {0};
    struct json_doc *doc;
    const struct json *root, *text, *rope;
    int v = 7, section[3], n = 0, flag = 0;
    int64_t big = 0;
    double d = 0;
    const char *s = "default";
    REQUIRE(parse(&env, CONFIG, &doc) == VLQA_OK);
    root = json_root(doc);
    REQUIRE(json_want_object(&env, doc, root, "text_config", &text) == VLQA_OK);
    REQUIRE(json_want_object(&env, doc, text, "rope", &rope) == VLQA_OK);
    CHECK_EQ(json_opt_int(&env, doc, text, "absent", 1, 10, &v), VLQA_OK);
    CHECK_EQ(json_opt_int(&env, doc, root, "none", 1, 10, &v), VLQA_OK);
    CHECK_EQ(v, 7);
    CHECK_EQ(json_want_int(&env, doc, text, "hidden_size", 1, 64, &v), VLQA_OK);
    CHECK_EQ(v, 64);
    CHECK_EQ(json_want_int64(&env, doc, text, "big", 0, INT64_MAX, &big), VLQA_OK);
    CHECK_EQ(big, 9007199254740992);
    CHECK_EQ(json_opt_int64(&env, doc, text, "absent", 0, 1, &big), VLQA_OK);
    CHECK_EQ(json_want_double(&env, doc, text, "theta", 1, 1e9, &d), VLQA_OK);
    CHECK(d == 5e6);
    CHECK_EQ(json_opt_double(&env, doc, root, "eps", 0, 1, &d), VLQA_OK);
    CHECK(d == 1e-6);
    CHECK_EQ(json_opt_bool(&env, doc, root, "tie", &flag), VLQA_OK);
    CHECK_EQ(flag, 1);
    CHECK_EQ(json_opt_string(&env, doc, root, "absent", &s), VLQA_OK);
    CHECK_STR(s, "default");
    CHECK_EQ(json_want_string(&env, doc, root, "model_type", &s), VLQA_OK);
    CHECK_STR(s, "qwen3_vl");
    CHECK_EQ(json_want_ints(&env, doc, rope, "section", 1, 64, 3, section, &n), VLQA_OK);
    CHECK(n == 3 && section[0] == 24 && section[1] == 20 && section[2] == 20);
    json_free(doc);
}

TEST(wrong_members_are_named_with_what_was_expected)
{
    struct env env = {0};
    struct json_doc *doc;
    const struct json *root, *text, *rope, *third;
    int v, list[3], n;
    double d;
    const char *s;
    REQUIRE(parse(&env, CONFIG, &doc) == VLQA_OK);
    root = json_root(doc);
    text = json_get(root, "text_config");
    rope = json_get(text, "rope");
    third = json_next(json_first(json_get(root, "layers")));
    CHECK_EQ(json_want_int(&env, doc, third, "size", 1, 100, &v), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: layers[1].size is -3, expected 1..100");
    CHECK_EQ(json_want_int(&env, doc, text, "theta", 1, 100, &v), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: text_config.theta is 5000000, expected 1..100");
    CHECK_EQ(json_want_int(&env, doc, root, "eps", 0, 100, &v), VLQA_EMODEL);
    CHECK_HAS(env.message, "expected a whole number in 0..100");
    CHECK_EQ(json_want_int(&env, doc, root, "model_type", 0, 100, &v), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: model_type is string, expected a number");
    CHECK_EQ(json_want_int(&env, doc, text, "layers", 0, 100, &v), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: text_config.layers is missing, expected a number");
    CHECK_EQ(json_want_int(&env, doc, NULL, "depth", 0, 100, &v), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: depth is missing, expected a number");
    CHECK_EQ(json_want_double(&env, doc, text, "theta", 0, 1, &d), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: text_config.theta is 5e+06, expected 0..1");
    CHECK_EQ(json_opt_bool(&env, doc, root, "eps", &v), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: eps is number, expected true or false");
    CHECK_EQ(json_want_string(&env, doc, root, "none", &s), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: none is null, expected a string");
    CHECK_EQ(json_want_object(&env, doc, root, "tie", &third), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: tie is bool, expected an object");
    CHECK_EQ(json_want_ints(&env, doc, rope, "section", 0, 64, 2, list, &n), VLQA_EMODEL);
    CHECK_STR(env.message,
              "config.json: text_config.rope.section has 3 elements, expected at most 2");
    CHECK_EQ(json_want_ints(&env, doc, rope, "odd", 0, 64, 3, list, &n), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: text_config.rope.odd[1] is no whole number in 0..64");
    CHECK_EQ(json_want_ints(&env, doc, rope, "mixed", 0, 64, 3, list, &n), VLQA_EMODEL);
    CHECK_EQ(json_want_ints(&env, doc, text, "rope", 0, 64, 3, list, &n), VLQA_EMODEL);
    CHECK_HAS(env.message, "is object, expected an array of whole numbers");
    json_free(doc);
}

TEST(whole_numbers_beyond_2_to_53_are_refused)
{
    struct env env = {0};
    struct json_doc *doc;
    int64_t v;
    REQUIRE(parse(&env, "{\"a\": 9007199254740994, \"b\": -1e300}", &doc) == VLQA_OK);
    CHECK_EQ(json_want_int64(&env, doc, json_root(doc), "a", INT64_MIN, INT64_MAX, &v),
             VLQA_EMODEL);
    CHECK_EQ(json_want_int64(&env, doc, json_root(doc), "b", INT64_MIN, INT64_MAX, &v),
             VLQA_EMODEL);
    json_free(doc);
}

TEST(texts_that_are_no_json_are_refused_with_the_place)
{
    check_refused("", "config.json: the end of the text at byte 0, expected JSON");
    check_refused("  ", "config.json: the end of the text at byte 2, expected JSON");
    check_refused("[1,]", "config.json: no value at byte 3, expected JSON");
    check_refused("[1 2]", "config.json: no ',' or ']' at byte 3, expected JSON");
    check_refused("{\"a\":1", "config.json: no ',' or '}' at byte 6, expected JSON");
    check_refused("{\"a\":1]", "config.json: no ',' or '}' at byte 6, expected JSON");
    check_refused("{a:1}", "config.json: no member name at byte 1, expected JSON");
    check_refused("{\"a\" 1}", "config.json: no ':' behind a member name at byte 5, expected JSON");
    check_refused("{\"a\":1,}", "config.json: no member name at byte 7, expected JSON");
    check_refused("{} x", "config.json: bytes behind the value at byte 3, expected JSON");
    check_refused("nul", "config.json: no value at byte 0, expected JSON");
    check_refused("truefalse", "config.json: bytes behind the value at byte 4, expected JSON");
    check_refused("'a'", "config.json: no value at byte 0, expected JSON");
    check_refused("\v1", "config.json: no value at byte 0, expected JSON");
}

TEST(a_byte_order_mark_is_skipped)
{
    check_accepted("\xef\xbb\xbf{}");
    check_accepted("\xef\xbb\xbf\r\n[1]");
    check_refused("\xef\xbb\xbf{} x",
                  "config.json: bytes behind the value at byte 6, expected JSON");
    check_refused("\xef\xbb\xbf", "config.json: the end of the text at byte 3, expected JSON");
    check_refused("\xef\xbb\xbf\xef\xbb\xbf{}", "config.json: no value at byte 3, expected JSON");
    check_refused("{\xef\xbb\xbf}", "config.json: no member name at byte 1, expected JSON");
}

TEST(other_encodings_are_refused_by_name)
{
    static const struct {
        const char *text;
        size_t bytes;
        const char *encoding;
    } file[] = {{"\xff\xfe{\0}\0", 6, "UTF-16"},
                {"\xfe\xff\0{\0}", 6, "UTF-16"},
                {"{\0}\0", 4, "UTF-16"},
                {"\0{\0}", 4, "UTF-16"},
                {"\xff\xfe\0\0{\0\0\0", 8, "UTF-32"}};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        struct env env = {0};
        struct json_doc *doc;
        char expected[200];
        CHECK_EQ(parse_bytes(&env, file[i].text, file[i].bytes, &doc), VLQA_EMODEL);
        (void)snprintf(expected, sizeof expected,
                       "config.json is %s text, expected UTF-8: save it as UTF-8, or convert it "
                       "with \"iconv -f %s -t UTF-8\"",
                       file[i].encoding, file[i].encoding);
        CHECK_STR(env.message, expected);
    }
}

TEST(a_pointer_in_the_place_of_a_json_file_is_named)
{
    check_refused(
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 11\n",
        "config.json is a Git LFS pointer, not the file of 11 bytes itself: run \"git lfs "
        "install && git lfs pull\" in its repository, or download the file again");
}

TEST(numbers_are_kept_as_they_are_written)
{
    static const char text[] = "\xef\xbb\xbf{\"a 1\": [7910.0, \"2 \\\" 3\", -0.50, [1e+3]], "
                               "\"\\\\\": 4E-2, \"t\": true}";
    struct env env = {0};
    struct json_doc *doc;
    const struct json *i;
    REQUIRE(parse(&env, text, &doc) == VLQA_OK);
    i = json_first(json_get(json_root(doc), "a 1"));
    CHECK(!json_written(i));
    REQUIRE(json_keep_numbers(&env, doc, text, sizeof text - 1) == VLQA_OK);
    CHECK_STR(json_written(i), "7910.0");
    CHECK_STR(json_written(i = json_next(i)), "2 \" 3");
    CHECK_STR(json_written(i = json_next(i)), "-0.50");
    CHECK_STR(json_written(json_first(json_next(i))), "1e+3");
    CHECK_STR(json_written(json_get(json_root(doc), "\\")), "4E-2");
    CHECK(!json_written(json_get(json_root(doc), "t")) && !json_written(NULL));
    CHECK(json_number(i) + 0.5 == 0);
    json_free(doc);
}

TEST(numbers_that_are_none_are_refused)
{
    static const char *const bad[] = {"-",    "+1",  "01",   "1.",    ".5",       "1e",  "1e+",
                                      "0x10", "NaN", "-Inf", "1e5.2", "Infinity", "--1", "1_000"};
    struct env env = {0};
    struct json_doc *doc;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(&env, bad[i], &doc) != VLQA_EMODEL) CHECK_FAIL("%s was accepted", bad[i]);
    check_accepted("-0.5e+10");
    check_accepted("0");
    check_accepted("-0");
    check_accepted("1E5");
    check_refused("1e999", "config.json: a number is too large for a double");
    check_refused("[0, -1e999]", "config.json: a number is too large for a double");
    check_refused("0.1234567890123456789012345678901234567890123456789012345678901234",
                  "config.json: a number that is too long at byte 66, expected JSON");
}

TEST(strings_that_are_none_are_refused)
{
    check_refused("\"a", "config.json: a string without end at byte 2, expected JSON");
    check_refused("\"a\\", "config.json: an invalid escape at byte 2, expected JSON");
    check_refused("\"\\x\"", "config.json: an invalid escape at byte 1, expected JSON");
    check_refused("\"\\u12\"", "config.json: an invalid escape at byte 1, expected JSON");
    check_refused("\"\\u12g4\"", "config.json: an invalid escape at byte 1, expected JSON");
    check_refused("\"\\u0000\"", "config.json: a NUL in a string at byte 1, expected JSON");
    check_refused("\"\\ud800x\"", "config.json: half of a surrogate pair at byte 7, expected JSON");
    check_refused("\"\\ud800\\u0041\"",
                  "config.json: half of a surrogate pair at byte 7, expected JSON");
    check_refused("\"\\udc00\"", "config.json: half of a surrogate pair at byte 1, expected JSON");
    check_refused("\"\n\"",
                  "config.json: a control character in a string at byte 1, expected JSON");
}

TEST(a_nul_byte_is_refused_in_a_string_and_outside)
{
    struct env env = {0};
    struct json_doc *doc;
    CHECK_EQ(parse_bytes(&env, "\"a\0b\"", 5, &doc), VLQA_EMODEL);
    CHECK_EQ(parse_bytes(&env, "1\0", 2, &doc), VLQA_EMODEL);
    CHECK_STR(env.message, "config.json: bytes behind the value at byte 1, expected JSON");
}

TEST(ill_formed_utf8_is_refused)
{
    static const char *const bad[] = {
        "\x80",          "\xc0\x80",     "\xc1\xbf",         "\xc3",
        "\xe0\x80\x80",  "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
        "\xf5\x80",      "\xff",         "\xe2\x82",         "\xc3(",
        "\xf0\x9f\x98(",
    };
    static const char *const good[] = {"\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",
                                       "\xed\x9f\xbf", "\xee\x80\x80",     "\xef\xbf\xbf",
                                       "\x7f",         "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    struct env env = {0};
    struct json_doc *doc;
    char text[16];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(text, sizeof text, "\"%s\"", bad[i]);
        CHECK_EQ(parse(&env, text, &doc), VLQA_EMODEL);
        CHECK_STR(env.message, "config.json: ill-formed UTF-8 at byte 1, expected JSON");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        (void)snprintf(text, sizeof text, "\"%s\"", good[i]);
        check_accepted(text);
    }
}

static char *nested(size_t depth, const char *open, const char *close)
{
    size_t n = strlen(open), m = strlen(close);
    char *text = malloc(depth * (n + m) + 2);
    if (!text) return NULL;
    for (size_t i = 0; i < depth; i++) {
        memcpy(text + i * n, open, n);
        memcpy(text + depth * n + 1 + i * m, close, m);
    }
    text[depth * n] = '0';
    text[depth * (n + m) + 1] = 0;
    return text;
}

TEST(deep_nesting_is_refused)
{
    char *text = nested(JSON_MAX_DEPTH, "[", "]");
    REQUIRE(text);
    check_accepted(text);
    free(text);
    text = nested(JSON_MAX_DEPTH + 1, "{\"a\":", "}");
    REQUIRE(text);
    check_refused(text, "config.json: nesting deeper than 64 at byte 320, expected JSON");
    free(text);
    text = nested(100000, "[", "]");
    REQUIRE(text);
    check_refused(text, "config.json: nesting deeper than 64 at byte 64, expected JSON");
    free(text);
}

TEST(too_many_values_are_refused_before_a_tree_is_made)
{
    size_t n = (size_t)JSON_MAX_VALUES;
    char *text = malloc(2 * n + 2);
    uint64_t calls;
    REQUIRE(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + 2 * i, i ? ",0" : "[0", 2);
    memcpy(text + 2 * n, "]", 2);
    calls = heap_calls();
    check_refused(text, "config.json: more than 4000000 values at byte 7999999, expected JSON");
    CHECK_EQ(heap_calls(), calls);
    free(text);
}

TEST(size_is_capped)
{
    struct env env = {0};
    struct json_doc *doc;
    char name[] = "/tmp/vlqa_json_XXXXXX";
    int fd = mkstemp(name);
    CHECK_EQ(json_parse(&env, "config.json", "[1, 2]", 6, 5, &doc), VLQA_ELIMIT);
    CHECK_STR(env.message, "config.json has 6 bytes, expected at most 5");
    REQUIRE(fd >= 0 && write(fd, "[1, 2]", 6) == 6);
    close(fd);
    CHECK_EQ(json_read(&env, name, 5, &doc), VLQA_ELIMIT);
    CHECK_HAS(env.message, name);
    REQUIRE(json_read(&env, name, 6, &doc) == VLQA_OK);
    CHECK_EQ(json_count(json_root(doc)), 2);
    json_free(doc);
    unlink(name);
    CHECK_EQ(json_read(&env, name, 6, &doc), VLQA_EIO);
}

TEST(a_name_twice_in_one_object_is_refused)
{
    check_refused("{\"a\":1,\"b\":2,\"a\":3}", "config.json: a is there twice");
    check_refused("{\"x\":[0,{\"a\":1,\"\\u0061\":2}]}", "config.json: x[1].a is there twice");
    check_accepted("{\"a\":{\"a\":{\"A\":0}},\"A\":[{\"a\":0},{\"a\":0}]}");
}

TEST(one_duplicate_in_a_large_object_is_found)
{
    enum { MEMBERS = 160000 };
    char *text = malloc(MEMBERS * 16 + 32);
    size_t n = 0;
    REQUIRE(text);
    for (int i = 0; i < MEMBERS; i++)
        n += (size_t)sprintf(text + n, "%c\"m%d\":%d", i ? ',' : '{', i, i);
    memcpy(text + n, "}", 2);
    check_accepted(text);
    memcpy(text + n, ",\"m777\":0}", 11);
    check_refused(text, "config.json: m777 is there twice");
    free(text);
}

TEST(every_prefix_is_refused_without_reading_beyond)
{
    struct env env = {0};
    struct json_doc *doc;
    for (size_t n = 0; n < strlen(CONFIG); n++)
        if (parse_bytes(&env, CONFIG, n, &doc) != VLQA_EMODEL)
            CHECK_FAIL("the first %zu bytes were accepted", n);
}

TEST(every_flipped_byte_is_survived)
{
    struct env env = {0};
    struct json_doc *doc;
    uint64_t live = heap_live();
    char text[] = CONFIG;
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            if (parse_bytes(&env, text, sizeof text - 1, &doc) == VLQA_OK) json_free(doc);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    CHECK_EQ(heap_live(), live);
}

TEST(every_failed_allocation_is_a_status_and_leaks_nothing)
{
    struct env env = {0};
    struct json_doc *doc;
    uint64_t live = heap_live();
    vlqa_status status = VLQA_EMEMORY;
    int n = 0;
    for (; status == VLQA_EMEMORY && n < 1000; n++) {
        heap_fail_after(n);
        status = parse(&env, CONFIG, &doc);
        heap_fail_after(-1);
        CHECK(status == VLQA_OK || !doc);
        if (status != VLQA_OK) CHECK_EQ(heap_live(), live);
    }
    CHECK_EQ(status, VLQA_OK);
    CHECK(n > 20);
    json_free(doc);
    CHECK_EQ(heap_live(), live);
}

static void *parse_often(void *good)
{
    struct env env = {0};
    struct json_doc *doc;
    for (int i = 0; i < 200; i++)
        if (parse(&env, CONFIG, &doc) == VLQA_OK) {
            *(int *)good += json_count(json_root(doc)) == 7;
            json_free(doc);
        }
    return NULL;
}

TEST(threads_may_parse_at_once)
{
    pthread_t thread;
    int good[2] = {0, 0};
    REQUIRE(pthread_create(&thread, NULL, parse_often, &good[0]) == 0);
    parse_often(&good[1]);
    pthread_join(thread, NULL);
    CHECK_EQ(good[0], 200);
    CHECK_EQ(good[1], 200);
}

TEST(tokenizer_of_the_starter_model_is_read)
{
    const char *path = VLQA_SOURCE_DIR "/../shared/starter-model/tokenizer.json";
    struct env env = {0};
    struct json_doc *doc;
    if (access(path, R_OK) != 0) SKIP("no shared/starter-model");
    REQUIRE(json_read(&env, path, 64 << 20, &doc) == VLQA_OK);
    CHECK(json_count(json_get(json_get(json_root(doc), "model"), "vocab")) > 100);
    json_free(doc);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
