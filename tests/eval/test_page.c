/* test_page.c - texts that want to be markup, tables in both forms, drawings of odd numbers. */
#include "eval/report/page.h"
#include "eval/report/plot.h"
#include "tests/check.h"
#include "tests/eval/tags.h"

static char found[65536];

/* What is on the page, which is freed. */
static const char *content(struct page *p)
{
    snprintf(found, sizeof found, "%.*s", (int)p->used, p->used ? p->data : "");
    page_free(p);
    return found;
}

static const char *escaped(enum page_form form, const char *text)
{
    struct page p = {.form = form};
    page_text(&p, text);
    return content(&p);
}

TEST(texts_are_no_markup)
{
    CHECK_STR(escaped(PAGE_HTML, "<script>alert('1' & \"2\")</script>"),
              "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;");
    CHECK_STR(escaped(PAGE_MARKDOWN, "a|b\n`<c>` [d](e) *f_"),
              "a\\|b\xe2\x8f\x8e \\`&lt;c&gt;\\` \\[d\\](e) \\*f\\_");
}

TEST(controls_and_bad_utf8_show_as_such)
{
    CHECK_STR(escaped(PAGE_HTML, "a\x01\x1b[31m\r\n\tb\x7f"),
              "a\xe2\x90\x81\xe2\x90\x9b[31m\xe2\x90\x8d\n\tb\xef\xbf\xbd");
    CHECK_STR(escaped(PAGE_HTML, "\xff|\xc3|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80"),
              "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
              "\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    CHECK_STR(escaped(PAGE_HTML, "\xe2\x80\xae\xc2\x85\xef\xbf\xbe"),
              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    CHECK_STR(escaped(PAGE_HTML, "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80"),
              "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80");
    CHECK_STR(escaped(PAGE_HTML, "\xf0\x9f"), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(base64_is_as_rfc_4648_has_it)
{
    static const char *const bytes[] = {"", "f", "fo", "foo", "foob"};
    static const char *const text[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="};
    for (int i = 0; i < 5; i++) {
        struct page p = {.form = PAGE_HTML};
        page_base64(&p, (const uint8_t *)bytes[i], strlen(bytes[i]));
        CHECK_STR(content(&p), text[i]);
    }
}

static void fill(struct page *p)
{
    static const char *const head[] = {"way", "k = 0"};
    static const enum page_cell kind[] = {PAGE_NAME, PAGE_NUMBER};
    page_begin(p, "Title & more");
    page_facts_begin(p);
    page_fact(p, "command", "x < y");
    page_fact(p, "machine", NULL);
    page_facts_end(p);
    page_section(p, "Scores");
    page_table_begin(p, "All", head, kind, 2);
    page_row_begin(p);
    page_cell(p, PAGE_NAME, "off", NULL, 0);
    page_cell(p, PAGE_NUMBER, "83.1",
              "\xe2\x88\x92"
              "1",
              1);
    page_row_end(p);
    page_table_end(p);
    page_figure_begin(p, "A drawing");
    page_figure_end(p);
    page_end(p);
}

TEST(a_page_is_well_formed)
{
    struct page p = {.form = PAGE_HTML};
    fill(&p);
    CHECK(!p.failed);
    content(&p);
    CHECK(tags_wrong(found) == NULL);
    CHECK_HAS(found, "<title>Title &amp; more</title>");
    CHECK_HAS(found, "<dt>command</dt><dd>x &lt; y</dd>");
    CHECK(!strstr(found, "machine"));
    CHECK_HAS(found, "<td class=\"n faint\"><bdi>83.1</bdi><small>\xe2\x88\x92"
                     "1</small></td>");
}

TEST(the_checker_of_tags_finds_what_is_wrong)
{
    CHECK(tags_wrong("<a><b></a></b>") != NULL);
    CHECK(tags_wrong("<a>") != NULL);
    CHECK(tags_wrong("</a>") != NULL);
    CHECK(tags_wrong("<a b=c></a>") != NULL);
    CHECK(tags_wrong("<a b=\"<\"/>") != NULL);
    CHECK(tags_wrong("a & b") != NULL);
    CHECK(tags_wrong("a > b") != NULL);
    CHECK(tags_wrong("<a b=\"c\" d=\"\"/>&amp;<e></e>") == NULL);
}

TEST(markdown_has_the_same_table)
{
    struct page p = {.form = PAGE_MARKDOWN};
    fill(&p);
    CHECK_STR(content(&p), "# Title &amp; more\n\n- command: x &lt; y\n\n## Scores\n\nAll\n\n"
                           "| way | k = 0 |\n| --- | ---: |\n| off | _83.1 (\xe2\x88\x92"
                           "1)_ |\n\n");
}

static const char *curve(const struct plot_point *point, int n, double base, int is_log)
{
    struct plot_series s = {"a<b", point, n, 9, 6};
    struct plot_curve c = {"what", "x", "y", is_log, base, "full", &s, 1};
    struct page p = {.form = PAGE_HTML};
    plot_curve(&p, &c);
    return content(&p);
}

TEST(curves_are_well_formed_and_finite)
{
    double nan = (double)NAN;
    const struct plot_point point[] = {{0, 50, 40, 60}, {50, 75, nan, nan}, {100, 75, 75, 75}};
    CHECK(tags_wrong(curve(point, 3, 80, 0)) == NULL);
    CHECK(strstr(found, "nan") == NULL && strstr(found, "inf") == NULL);
    CHECK_HAS(found, "a&lt;b");
    /* y from 40 to 80 in 300 pixels, x from 0 to 100 in 644: (50, 75) is here */
    CHECK_HAS(found, "56.0,253.0 378.0,65.5 700.0,65.5");
    CHECK_HAS(found, "class=\"line c1\"");
    CHECK(tags_wrong(curve(point, 1, nan, 0)) == NULL);
    CHECK(strstr(found, "nan") == NULL && strstr(found, "inf") == NULL);
    CHECK_STR(curve(point, 0, 80, 0), "");
}

TEST(logarithmic_axes_hold_what_is_tiny_and_nothing)
{
    double nan = (double)NAN;
    const struct plot_point point[] = {{0, 1e-300, 0, 1}, {50, 0, nan, nan}, {100, 1e9, 1, 1e9}};
    const struct plot_point one[] = {{50, 0.3, nan, nan}}, none[] = {{50, 0, nan, nan}};
    CHECK(tags_wrong(curve(point, 3, nan, 1)) == NULL);
    CHECK(strstr(found, "nan") == NULL && strstr(found, "inf") == NULL);
    CHECK_HAS(found, "56.0,328.0 378.0,328.0 700.0,28.0"); /* six powers of ten below 1e9 */
    CHECK_HAS(found, ">1e+09</text>");
    CHECK_HAS(found, ">1000</text>");
    (void)curve(one, 1, nan, 1);
    CHECK_HAS(found, ">0.1</text>");
    CHECK_HAS(found, ">0.2</text>");
    CHECK_HAS(found, ">1</text>");
    CHECK_STR(curve(none, 1, nan, 1), "");
}

TEST(bars_stack_or_stand_below_each_other)
{
    static const char *const row[] = {"one", "a name that is far too long to stand beside a bar"};
    static const char *const part[] = {"p", "q"};
    static const int colour[] = {1, 2};
    double value[] = {10, 30, (double)NAN, 20};
    struct plot_bars b = {"what", "ms", row, part, 2, 2, value, colour, 1, (double)NAN};
    struct page p = {.form = PAGE_HTML};
    plot_bars(&p, &b);
    CHECK(tags_wrong(content(&p)) == NULL);
    CHECK_HAS(found, "<title>q: 30.0</title>");
    CHECK_HAS(found, ">40</text>");
    CHECK_HAS(found, "a name that is far too long to\xe2\x80\xa6");
    b.is_stacked = 0;
    plot_bars(&p, &b);
    CHECK(tags_wrong(content(&p)) == NULL);
    CHECK(strstr(found, "nan") == NULL);
    b.rows = 0;
    plot_bars(&p, &b);
    CHECK_STR(content(&p), "");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
