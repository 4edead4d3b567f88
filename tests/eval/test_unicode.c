/* test_unicode.c - what Python's str, float and list literals say, of texts chosen by hand. */
#include "eval/data/pylist.h"
#include "tests/check.h"

static _Alignas(64) char memory[1 << 16];
static struct arena arena;

static struct unicode points(const char *text)
{
    arena = arena_over(memory, sizeof memory);
    return unicode_decode(text_of(text), &arena);
}

static const char *utf8(struct unicode c)
{
    static char out[256];
    struct text text = unicode_encode(c, &arena);
    snprintf(out, sizeof out, "%.*s", (int)text.bytes, text.at);
    return out;
}

static const char *lower(const char *text)
{
    return utf8(unicode_lower(points(text), &arena));
}

TEST(ill_formed_bytes_become_replacements)
{
    CHECK_STR(utf8(points("a\xff\xc3z")), "a\xef\xbf\xbd\xef\xbf\xbdz");
    CHECK_EQ(points("\xed\xa0\x80").n, 3); /* a surrogate is no code point of a text */
    CHECK_EQ(points("\xf0\x9f\x98\x80").n, 1);
    CHECK_EQ(points("").n, 0);
}

TEST(lower_case_is_that_of_python)
{
    CHECK_STR(lower("ABC\xc3\x89 9"), "abc\xc3\xa9 9");
    CHECK_STR(lower("\xc4\xb0x"), "i\xcc\x87x");  /* dotted capital I: two */
    CHECK_STR(lower("\xc3\x9f"), "\xc3\x9f");     /* sharp s stays */
    CHECK_STR(lower("\xce\xa3"), "\xcf\x83");     /* sigma alone */
    CHECK_STR(lower("A\xce\xa3"), "a\xcf\x82");   /* at the end of a word */
    CHECK_STR(lower("A\xce\xa3'"), "a\xcf\x82'"); /* an apostrophe is inside a word */
    CHECK_STR(lower("A\xce\xa3'B"), "a\xcf\x83'b");
    CHECK_STR(lower("A\xce\xa3 B"), "a\xcf\x82 b");
    CHECK_STR(lower("1\xce\xa3"), "1\xcf\x83");                       /* digits have no case */
    CHECK_STR(lower("\xe2\x85\xa7\xce\xa3"), "\xe2\x85\xb7\xcf\x82"); /* Roman numerals have */
}

TEST(upper_case_has_the_length_of_python)
{
    CHECK_EQ(unicode_upper_length(points("abc")), 3);
    CHECK_EQ(unicode_upper_length(points("\xc3\x9f")), 2);
    CHECK_EQ(unicode_upper_length(points("\xef\xac\x81")), 2); /* fi */
    CHECK_EQ(unicode_upper_length(points("\xef\xac\x83")), 3); /* ffi */
}

TEST(blanks_and_words_are_those_of_python)
{
    struct unicode word, rest = points("\x1c\xc2\xa0 a\xe2\x80\x8b b\xe3\x80\x80");
    CHECK_EQ(unicode_strip(rest).n, 4);
    CHECK(unicode_word(&rest, &word) && word.n == 2); /* U+200B is no blank */
    CHECK(unicode_word(&rest, &word) && word.n == 1);
    CHECK(!unicode_word(&rest, &word));
    CHECK(unicode_is_word('_') && unicode_is_word(0xE9) && unicode_is_word(0xBD) &&
          !unicode_is_word(0x301));
    CHECK(unicode_digit('7') == 7 && unicode_digit(0x663) == 3 && unicode_digit(0xB2) == -1);
    CHECK_EQ(unicode_digit(0x1D7F8), 2); /* of five runs of digits one behind another */
}

TEST(texts_are_found_whole)
{
    struct unicode hay = points("x\xc3\xa9y"), none = {NULL, 0};
    CHECK(unicode_contain_text(hay, "\xc3\xa9y", &arena));
    CHECK(!unicode_contain_text(hay, "yx", &arena));
    CHECK(unicode_contain(hay, none, &arena) && !unicode_contain(none, hay, &arena));
}

TEST(numbers_are_those_of_float)
{
    static const char *const good[] = {
        "14",           " 14\t", "+5",    ".5",   "5.",
        "1e3",          "1E-3",  "1_000", "-0",   "\302\2405", /* octal: three digits at most */
        "\xef\xbc\x91", "1e1_0", "inF",   "-nan", "Infinity"};
    static const char *const bad[] = {"",
                                      ".",
                                      "1,000",
                                      "$5",
                                      "5%",
                                      "0x10",
                                      "_1",
                                      "1_",
                                      "1__0",
                                      "1_.5",
                                      "1e",
                                      "1 2",
                                      "\x1c"
                                      "5",
                                      "+-5",
                                      "infin",
                                      "5M",
                                      "\xe2\x88\x92"
                                      "5",
                                      "\xc2\xbd",
                                      "--5"};
    double x = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!unicode_number(points(good[i]), &arena, &x)) CHECK_FAIL("%s is no number", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (unicode_number(points(bad[i]), &arena, &x))
            CHECK_FAIL("%s is the number %g", bad[i], x);
    CHECK(unicode_number(points("1_0.5e1"), &arena, &x) && x > 104.9 && x < 105.1);
    CHECK(unicode_number(points("-\xd9\xa3.\xd9\xa5"), &arena, &x) && x > -3.51 && x < -3.49);
}

/* The elements with '|' between, or "none". */
static const char *list(const char *cell)
{
    static char out[256];
    struct text *item;
    size_t used = 0;
    int n;
    arena = arena_over(memory, sizeof memory);
    out[0] = 0;
    if (!pylist_read(text_of(cell), &arena, &item, &n)) return "none";
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%.*s", i ? "|" : "",
                                 (int)item[i].bytes, item[i].at);
    return out;
}

TEST(lists_in_cells_are_read_as_python_does)
{
    CHECK_STR(list("[7, 9]"), "7|9");
    CHECK_STR(list("['$12', \"it's\"]"), "$12|it's");
    CHECK_STR(list("[]"), "");
    CHECK_STR(list(" [1,]"), "1");
    CHECK_STR(list("['\\x41\\n\\\\\\q', r'\\n', 'a' 'b']"), "A\n\\\\q|\\n|ab");
    CHECK_STR(list("['''x'y''']"), "x'y");
    CHECK_STR(list("[True, None, -0, +5, 1_000, 0x1F]"), "True|None|0|5|1000|31");
    CHECK_STR(list("[1e3, .5, -0.0, 1e16, 1e-5, 0.1]"), "1000.0|0.5|-0.0|1e+16|1e-05|0.1");
    CHECK_STR(list("[123456789012345678901234567890]"), "123456789012345678901234567890");
}

TEST(other_cells_are_texts)
{
    static const char *const cells[] = {"",
                                        "7",
                                        "[",
                                        "[7",
                                        "[7]]",
                                        "[7 9]",
                                        "[,]",
                                        "[a]",
                                        "['a]",
                                        "[007]",
                                        "[1__0]",
                                        "[0x]",
                                        "[1.2.3]",
                                        "(7,)",
                                        "[7] x",
                                        "['\\x4']",
                                        "['a\nb']",
                                        "[b'a']",
                                        "[Germany, France]"};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (strcmp(list(cells[i]), "none") != 0)
            CHECK_FAIL("%s is the list %s", cells[i], list(cells[i]));
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
