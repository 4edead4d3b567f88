/* test_report.c - reports are JSON, whatever they hold. */
#include "eval/cli/report.h"

#include "base/heap.h"
#include "base/json.h"
#include "tests/check.h"

static struct env env;

/* Parses and frees the line. */
static struct json_doc *read_back(char *line)
{
    struct json_doc *doc = NULL;
    if (!line || strchr(line, '\n')) return NULL;
    if (json_parse(&env, "report", line, strlen(line), 1 << 20, &doc) != VLQA_OK) doc = NULL;
    heap_free(line);
    return doc;
}

TEST(lists_hold_objects)
{
    struct report r = report_begin();
    struct json_doc *doc;
    const struct json *list;
    report_open_list(&r, "list");
    for (int i = 0; i < 2; i++) {
        report_open(&r, NULL);
        report_int(&r, "n", i);
        report_close(&r);
    }
    report_close(&r);
    report_open_list(&r, "empty");
    report_close(&r);
    report_counts(&r, "counts", 1, 2, 3);
    doc = read_back(report_end(&r));
    REQUIRE(doc);
    list = json_get(json_root(doc), "list");
    CHECK_EQ(json_kind(list), JSON_ARRAY);
    CHECK_EQ(json_count(list), 2);
    CHECK(json_number(json_get(json_next(json_first(list)), "n")) == 1);
    CHECK_EQ(json_kind(json_get(json_root(doc), "empty")), JSON_ARRAY);
    CHECK(json_number(json_get(json_get(json_root(doc), "counts"), "computed")) == 3);
    json_free(doc);
}

/* 66.666666666666657 was printed. */
TEST(numbers_have_no_digits_that_reading_back_does_not_need)
{
    static const double value[] = {66.66666666666666,  0.1,   0.5,
                                   28.999999999999996, 1e300, -2.0 / 3};
    static const char *const text[] = {"66.66666666666666",  "0.1", "0.5", "29", "1e+300",
                                       "-0.6666666666666666"};
    for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
        struct report r = report_begin();
        char *line, expected[64];
        report_number(&r, "x", value[i]);
        line = report_end(&r);
        snprintf(expected, sizeof expected, "{\"x\":%s}", text[i]);
        CHECK_STR(line, expected);
        heap_free(line);
    }
}

TEST(members_are_read_back)
{
    static const int list[] = {5, 11, 17};
    struct report r = report_begin();
    struct json_doc *doc;
    const struct json *root, *inner;
    report_string(&r, "name", "fake");
    report_open(&r, "inner");
    report_int(&r, "large", 8875631616);
    report_real(&r, "ms", 12.34567);
    report_ints(&r, "list", list, 3);
    report_close(&r);
    report_real(&r, "none", (double)NAN);
    doc = read_back(report_end(&r));
    REQUIRE(doc);
    root = json_root(doc);
    inner = json_get(root, "inner");
    CHECK_STR(json_text(json_get(root, "name")), "fake");
    CHECK(json_number(json_get(inner, "large")) == 8875631616.0);
    CHECK(json_number(json_get(inner, "ms")) == 12.346);
    CHECK_EQ(json_count(json_get(inner, "list")), 3);
    CHECK_EQ(json_kind(json_get(root, "none")), JSON_NULL);
    json_free(doc);
}

TEST(every_byte_of_ascii_survives)
{
    char all[128];
    struct report r = report_begin();
    struct json_doc *doc;
    for (int i = 0; i < 128; i++)
        all[i] = (char)(i + 1 < 128 ? i + 1 : 'z');
    all[127] = 0;
    report_text(&r, "answer", all, 127);
    doc = read_back(report_end(&r));
    REQUIRE(doc);
    CHECK_STR(json_text(json_get(json_root(doc), "answer")), all);
    json_free(doc);
}

TEST(nul_becomes_a_replacement_character)
{
    struct report r = report_begin();
    struct json_doc *doc;
    report_text(&r, "answer", "a\0b", 3);
    doc = read_back(report_end(&r));
    REQUIRE(doc);
    CHECK_STR(json_text(json_get(json_root(doc), "answer")), "a\xef\xbf\xbd"
                                                             "b");
    json_free(doc);
}

TEST(no_memory_gives_null_and_leaks_nothing)
{
    uint64_t live = heap_live();
    int nulls = 0;
    for (int n = 0; n < 40; n++) {
        struct report r;
        char *line;
        heap_fail_after(n);
        r = report_begin();
        report_open(&r, "inner");
        report_string(&r, "text", "value");
        report_int(&r, "number", 1);
        report_ints(&r, "list", (const int[]){1, 2}, 2);
        report_close(&r);
        report_real(&r, "none", (double)NAN);
        line = report_end(&r);
        heap_fail_after(-1);
        nulls += !line;
        heap_free(line);
        CHECK_EQ(heap_live(), live);
    }
    CHECK(nulls > 5 && nulls < 40);
}

TEST(bytes_have_the_unit_that_fits)
{
    char text[32];
    report_bytes(1023, text);
    CHECK_STR(text, "1023 bytes");
    report_bytes(1536, text);
    CHECK_STR(text, "1.50 KiB");
    report_bytes((int64_t)5 << 40, text);
    CHECK_STR(text, "5.00 TiB");
    report_bytes((int64_t)5 << 50, text);
    CHECK_STR(text, "5120.00 TiB");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
