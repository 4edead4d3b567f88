/* test_template.c - chat templates against transformers, and what is refused, by whom and where. */
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "tests/check.h"
#include "text/template/template.h"

#define GOLDEN VLQA_SOURCE_DIR "/tests/golden/"
#define MEMORY ((size_t)16 << 20)
#define MOST 16 /* messages, and items of one */

static struct env env;

struct desk { /* memory for one rendering at a time */
    void *memory;
    struct arena arena;
    struct template_text text;
};

static struct desk desk_open(void)
{
    struct desk d = {.memory = heap_alloc(MEMORY)};
    d.arena = arena_over(d.memory, MEMORY);
    return d;
}

static void desk_close(struct desk *d)
{
    arena_rewind(&d->arena, 0);
    heap_free(d->memory);
}

static vlqa_status render(struct desk *d, const struct template *t, const struct template_input *in)
{
    arena_rewind(&d->arena, 0);
    return template_render(&env, t, in, &d->arena, &d->text);
}

static vlqa_status compile(const char *text, struct template **out)
{
    return template_compile(&env, "chat.jinja", text, strlen(text), out);
}

/* What a template makes of one user's question "Q", or "refused: " and why. */
static const char *made_of(const char *source)
{
    static char out[1024];
    const struct template_item item = {"Q", 1};
    const struct template_message message = {"user", &item, 1, 0};
    const struct template_input in = {&message, 1, 1, NULL, 0};
    struct template *t = NULL;
    struct desk d = desk_open();
    vlqa_status status = compile(source, &t);
    if (status == VLQA_OK) status = render(&d, t, &in);
    if (status == VLQA_OK)
        snprintf(out, sizeof out, "%.*s", (int)d.text.bytes, d.text.text);
    else
        snprintf(out, sizeof out, "refused: %s", env.message);
    template_free(t);
    desk_close(&d);
    return out;
}

#define CHECK_MADE(source, expected) CHECK_STR(made_of(source), expected)
#define CHECK_REFUSED(source, part)                                                   \
    do {                                                                              \
        const char *made_ = made_of(source);                                          \
        if (strncmp(made_, "refused: chat.jinja, line ", 26) || !strstr(made_, part)) \
            CHECK_FAIL("%s: %s", source, made_);                                      \
    } while (0)

/* ---- against transformers ---- */

struct talk { /* a conversation of the golden file */
    struct template_item item[MOST][MOST];
    struct template_message message[MOST];
    int n;
};

static void read_talk(const struct json *from, int as_string, struct talk *out)
{
    out->n = 0;
    for (const struct json *m = json_first(from); m; m = json_next(m)) {
        int n = 0;
        for (const struct json *i = json_first(json_get(m, "content")); i; i = json_next(i)) {
            const char *text = json_text(json_get(i, "text"));
            out->item[out->n][n++] = (struct template_item){text, text ? strlen(text) : 0};
        }
        out->message[out->n] = (struct template_message){json_text(json_get(m, "role")),
                                                         out->item[out->n], n, as_string};
        out->n++;
    }
}

static void check_golden(struct desk *d, const struct template *t, const struct json *conversation,
                         const struct json *expected, int as_string, const char *name)
{
    static const struct template_variable variable[] = {{"bos_token", "<|endoftext|>"},
                                                        {"eos_token", "<|im_end|>"},
                                                        {"pad_token", "<|endoftext|>"}};
    struct talk talk;
    const char *text = json_text(expected);
    read_talk(conversation, as_string, &talk);
    const struct template_input in = {talk.message, talk.n, 1, variable, 3};
    vlqa_status status = render(d, t, &in);
    if (!text != (status != VLQA_OK))
        CHECK_FAIL("%s: %s, expected %s", name, status ? env.message : "rendered",
                   text ? text : "a refusal");
    if (!text || status != VLQA_OK) return;
    if (strlen(text) != d->text.bytes || memcmp(text, d->text.text, d->text.bytes) != 0)
        CHECK_FAIL("%s:\n%.*s\nexpected\n%s", name, (int)d->text.bytes, d->text.text, text);
}

/* 14 templates, 14 conversations, content as lists and as strings. */
TEST(golden_templates_are_rendered_as_transformers_does)
{
    struct json_doc *doc;
    struct desk d = desk_open();
    struct template *t = NULL;
    char last[64] = "", path[1024], name[128];
    int n_cases = 0, n_rendered = 0;
    REQUIRE(json_read(&env, GOLDEN "templates.json", 1 << 20, &doc) == VLQA_OK);
    const struct json *root = json_root(doc), *conversations = json_get(root, "conversations");
    for (const struct json *c = json_first(json_get(root, "cases")); c; c = json_next(c)) {
        const char *which = json_text(json_get(c, "template"));
        const char *conversation = json_text(json_get(c, "conversation"));
        if (strcmp(which, last) != 0) {
            void *text;
            size_t bytes;
            template_free(t);
            snprintf(last, sizeof last, "%s", which);
            snprintf(path, sizeof path, GOLDEN "templates/%s.jinja", which);
            REQUIRE(file_read(&env, path, 1 << 20, &text, &bytes) == VLQA_OK);
            if (template_compile(&env, which, text, bytes, &t) != VLQA_OK)
                CHECK_FAIL("%s", env.message);
            heap_free(text);
            REQUIRE(t);
        }
        snprintf(name, sizeof name, "%s of %s", conversation, which);
        check_golden(&d, t, json_get(conversations, conversation), json_get(c, "list"), 0, name);
        check_golden(&d, t, json_get(conversations, conversation), json_get(c, "string"), 1, name);
        n_cases++;
        n_rendered += json_text(json_get(c, "list")) != NULL;
    }
    CHECK(n_cases > 150 && n_rendered > 100);
    template_free(t);
    json_free(doc);
    desk_close(&d);
}

/* As many as a session takes; a template of a thinking model looks at each four times. */
TEST(long_conversations_fit_the_room)
{
    static struct template_item item[4096];
    static struct template_message message[4096];
    const struct template_input one = {message, 1, 1, NULL, 0}, many = {message, 4095, 1, NULL, 0};
    const struct template_message whole = {"user", item, 4096, 0};
    const size_t cap = (size_t)32 << 20;
    struct desk d = {.memory = heap_alloc(cap)};
    struct template *t = NULL;
    void *text;
    size_t bytes;
    d.arena = arena_over(d.memory, cap);
    REQUIRE(file_read(&env, GOLDEN "templates/thinking.jinja", 1 << 20, &text, &bytes) == VLQA_OK);
    REQUIRE(template_compile(&env, "thinking", text, bytes, &t) == VLQA_OK);
    for (int i = 0; i < 4096; i++) {
        item[i] = (struct template_item){i % 2 ? "text" : NULL, i % 2 ? 4 : 0};
        message[i] = (struct template_message){i % 2 ? "assistant" : "user", &item[1], 1, 0};
    }
    if (render(&d, t, &many) != VLQA_OK) CHECK_FAIL("%s", env.message);
    message[0] = whole;
    if (render(&d, t, &one) != VLQA_OK) CHECK_FAIL("%s", env.message);
    template_free(t);
    heap_free(text);
    desk_close(&d);
}

/* ---- who wrote a byte ---- */

/* Every run as its text and who wrote it: "a|0" is byte a of item 0, "b|-" one of the template. */
static const char *runs_of(const char *source, const struct template_message *message, int n)
{
    static char out[2048];
    const struct template_input in = {message, n, 1, NULL, 0};
    struct template *t = NULL;
    struct desk d = desk_open();
    vlqa_status status = compile(source, &t);
    size_t at = 0;
    *out = 0;
    if (status == VLQA_OK) status = render(&d, t, &in);
    if (status != VLQA_OK) snprintf(out, sizeof out, "refused: %s", env.message);
    for (int i = 0; status == VLQA_OK && i < d.text.n_runs; i++) {
        const struct template_run *run = &d.text.run[i];
        CHECK_EQ(run->begin, i ? d.text.run[i - 1].end : 0);
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%.*s|", i ? " " : "",
                               (int)(run->end - run->begin), d.text.text + run->begin);
        at += (size_t)(run->source == TEMPLATE_OWN
                           ? snprintf(out + at, sizeof out - at, "-")
                           : snprintf(out + at, sizeof out - at, "%d", run->source));
    }
    template_free(t);
    desk_close(&d);
    return out;
}

TEST(bytes_of_items_stay_theirs_through_every_operation)
{
    static const struct {
        const char *source, *runs;
    } is[] = {{"<{{ x }}>", "<|- ab<x>|0 >|-"},
              {"{{ '<' + x + '>' }}", "<|- ab<x>|0 >|-"},
              {"{{ x[1:3] }}{{ 'a' }}", "b<|0 a|-"},
              {"{{ x | replace('ab<x>', '') }}!", "|0 !|-"},
              {"{{ x | replace('b<x>', '') }}", "a|0"},
              {"{{ (x + y)[5:] }}{{ (y + empty)[1:2] }}", " c |1 c|1"},
              {"{{ x[::-1] }}", ">|0 x|0 <|0 b|0 a|0"},
              {"{{ x | replace('b', 'BB') }}", "a|0 BB|- <x>|0"},
              {"{{ x | replace('<x>', y) }}", "ab|0  c |1"},
              {"{{ y | trim }}|{{ (x ~ y).strip('a ') }}", "c|1 ||- b<x>|0  c|1"},
              {"{{ x.split('<')[1] }}", "x>|0"},
              {"{{ (x + y).split('x') | join('-') }}", "ab<|0 -|- >|0  c |1"},
              {"{{ x | upper }}", "AB<X>|0"},
              {"{{ x | tojson }}", "\"|- ab<x>|0 \"|-"},
              {"{{ '\"' ~ '\n' | tojson }}", "\"\"\\n\"|-"},
              {"{% set z %}[{{ x }}]{% endset %}{{ z[:3] }}", "[|- ab|0"},
              {"{% macro f(v) %}{{ v }}{{ v }}{% endmacro %}{{ f(y) | trim }}", "c |1  c|1"},
              {"{{ ('<|im_' + x)[:8] }}", "<|im_|- ab<|0"},
              {"{% for c in x %}{{ c if c != 'b' }}{% endfor %}", "a|0 <|0 x|0 >|0"},
              {"{{ x | length }}{{ x == 'ab<x>' }}", "5True|-"},
              {"{{ empty }}{{ empty | trim }}", "|2 |2"}};
    const struct template_item item[] = {{"ab<x>", 5}, {" c ", 3}, {"", 0}};
    const struct template_message message = {"user", item, 3, 0};
    for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
        char source[512];
        snprintf(source, sizeof source,
                 "{%%- set x = messages[0].content[0].text -%%}"
                 "{%%- set y = messages[0].content[1].text -%%}"
                 "{%%- set empty = messages[0].content[2].text -%%}%s",
                 is[i].source);
        CHECK_STR(runs_of(source, &message, 1), is[i].runs);
    }
}

TEST(items_are_counted_over_all_messages)
{
    const struct template_item item[] = {{"a", 1}, {NULL, 0}, {"b", 1}};
    const struct template_message message[] = {{"system", item, 1, 1}, {"user", item + 1, 2, 0}};
    CHECK_STR(runs_of("{{ messages[0].content }}{{ messages[1].content[1].text }}", message, 2),
              "a|0 b|2");
    const struct template_message texts = {"user", item, 1, 1};
    CHECK_STR(runs_of("{{ messages[0].content }}", &texts, 1), "a|0");
    const struct template_message images = {"user", item, 2, 1};
    CHECK(strstr(runs_of("x", &images, 1), "the template takes texts, not images"));
}

/* ---- small things that no golden template has ---- */

TEST(source_is_read_as_jinja_does)
{
    CHECK_MADE("a\n", "a");
    CHECK_MADE("a\n\n", "a\n");
    CHECK_MADE("a\r\nb\rc", "a\nb\nc");
    CHECK_MADE("{{ '%}' }}{{ \"}}\" }}{{ {'a': {'b': 1}}.a.b }}", "%}}}1");
    CHECK_MADE("x {{- 1 -}} y", "x1y");
    CHECK_MADE("{#- a {{ b }} -#} c", "c");
    CHECK_MADE("{% if 1 -%}\n\n x{% endif %}", "x");
    CHECK_MADE("  {% if 1 +%}\nx{% endif %}\n y", "\nx y");
    CHECK_MADE("{{ 'a\\\\b\\x41\\u00e9\\q' }}", "a\\bA\xC3\xA9\\q");
    CHECK_MADE("{{ 1_000 + 1 }}{{ 1e3 }}{{ 5.0 }}", "10011000.05.0");
    CHECK_MADE("{% macro m() %}{% endmacro m %}{{ m() }}ok", "ok");
    CHECK_MADE("", "");
}

TEST(dicts_are_sorted_by_their_keys)
{
    CHECK_MADE("{% for k, v in {'b': 1, 'A': 2, 'c': 3, 'a': 4} | dictsort %}{{ k }}{{ v }} "
               "{% endfor %}",
               "A2 a4 b1 c3 ");
    CHECK_MADE("{{ {'b': 1, 'A': 2, 'a': 3} | dictsort(true) | map('first') | join }}", "Aab");
    CHECK_MADE("{{ {2: 1, 1: 2} | dictsort | map('last') | join }}", "21");
    CHECK_REFUSED("{{ {} | dictsort(false, 'value') }}", "dictsort takes \"case_sensitive\" alone");
}

TEST(what_is_not_known_is_refused_with_its_line)
{
    CHECK_REFUSED("a\nb\n{% include 'x' %}", "line 3: the statement {% include %} is not known");
    CHECK_REFUSED("{{ x | wordwrap }}", "line 1: the filter \"wordwrap\" is not known");
    CHECK_REFUSED("{% if false %}\n{{ x | pprint }}{% endif %}", "line 2: the filter \"pprint\"");
    CHECK_REFUSED("{{ x is escaped }}", "the test \"escaped\" is not known");
    CHECK_REFUSED("{{ x.format(1) }}", "the method \"format\" is not known");
    CHECK_REFUSED("{{ lipsum() }}", "the function \"lipsum\" is not known");
    CHECK_REFUSED("{{ f(*x) }}", "arguments given by * or **");
    CHECK_REFUSED("{% for x in y recursive %}{% endfor %}", "\"recursive\" is not read there");
    CHECK_REFUSED("{% break %}", "\"break\" is not read there");
    CHECK_REFUSED("{% if 1 %}", "the end of the template is not read there");
    CHECK_REFUSED("{% endif %}", "\"endif\" is not read there");
    CHECK_REFUSED("{{ 1 +", "{{ has no end }}");
    CHECK_REFUSED("{{ 'a }}", "a string has no end");
    CHECK_REFUSED("{# a", "the comment {# has no end #}");
    CHECK_REFUSED("{% raw %}", "{% raw %} has no {% endraw %}");
    CHECK_REFUSED("{{ a ? b }}", "unexpected character 0x3F");
    CHECK(strstr(made_of("{{ x | wordwrap }}"), "--chat-template FILE, or qwen3vl"));
}

TEST(what_cannot_be_done_is_refused_with_its_line)
{
    CHECK_REFUSED("a\n{{ x.y }}", "line 2: \"x\" is undefined");
    CHECK_REFUSED("{{ messages }}", "a list is written where a text is expected");
    CHECK_REFUSED("{{ 'a' + 1 }}", "a text + a number is not computed");
    CHECK_REFUSED("{{ 1 / 0 }}", "divided by 0");
    CHECK_REFUSED("{{ 1 // 0 }}", "divided by 0");
    CHECK_REFUSED("{{ 9223372036854775807 }}", "more than 18 digits");
    CHECK_REFUSED("{{ 999999999999999999 * 999999999999999999 }}", "too large");
    CHECK_REFUSED("{% for x in none %}{% endfor %}", "none cannot be iterated over");
    CHECK_REFUSED("{{ 'a'.split('') }}", "split by an empty text");
    CHECK_REFUSED("{{ [1].get(0) }}", "a list has no method \"get\"");
    CHECK_REFUSED("{{ '%s' % 1 }}", "a text % a number is not computed");
    CHECK_REFUSED("{{ raise_exception('no ' ~ 1) }}",
                  "the chat template refuses this conversation: no 1");
    CHECK_REFUSED("{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "too many arguments");
    CHECK_REFUSED("{% set a, b = [1] %}", "2 names are given 1 values");
    CHECK_REFUSED("{% set x = 1 %}{% set x.y = 1 %}", "\"x\" is no namespace");
}

/* ---- attacks ---- */

TEST(endless_work_is_stopped)
{
    CHECK_REFUSED("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                  "the chat template needs more than 2101");
    CHECK_REFUSED("{% for a in range(10**9) %}{% endfor %}", "needs more than 2101");
    CHECK_REFUSED("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deep");
    CHECK_REFUSED("{% set n = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(99999) %}"
                  "{% set n.x = n.x + n.x %}{% endfor %}",
                  "");
    CHECK_REFUSED("{% set n = namespace(x=[]) %}{% for i in range(99999) %}"
                  "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x == n.x | list | reverse }}",
                  "");
    CHECK_REFUSED("{{ 'a' * 999999999 }}", "");
    CHECK_REFUSED("{{ ('a' * 60000).split('a') | map('upper') | join }}{{ ''.join(range(99999)) }}",
                  "");
}

TEST(work_on_a_long_text_is_counted)
{
    static char text[1000000];
    const struct template_item item = {text, sizeof text};
    const struct template_message message = {"user", &item, 1, 1};
    memset(text, 'a', sizeof text);
    CHECK(strstr(runs_of("{% for i in range(500) %}{{ 'b' in messages[0].content }}{% endfor %}",
                         &message, 1),
                 "the chat template runs too long"));
    CHECK(strstr(runs_of("{% for i in range(500) %}{{ messages[0].content.rsplit('aab') | length }}"
                         "{% endfor %}",
                         &message, 1),
                 "the chat template runs too long"));
}

/* Names are found one by one. */
TEST(thousands_of_names_are_refused)
{
    static char text[100000];
    char *at = text;
    for (int i = 0; i < 2000; i++)
        at += sprintf(at, "{%% set a%d = 1 %%}", i);
    CHECK(strstr(made_of(text), "chat.jinja defines more than 1000 names"));
    at = text;
    for (int i = 0; i < 2000; i++)
        at += sprintf(at, "{%% macro f%d() %%}{%% endmacro %%}", i);
    CHECK(strstr(made_of(text), "chat.jinja defines more than 1000 names"));
}

TEST(syntax_that_is_nested_too_deep_is_refused)
{
    static char deep[200000];
    static const char *const open[] = {"(", "[", "-", "not ", "{'a':", "f(", "a[", "a|map(", "1+("};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        char *at = deep + sprintf(deep, "{{ ");
        for (int n = 0; n < 20000; n++)
            at = stpcpy(at, open[i]);
        CHECK_REFUSED(deep, "nested too deep");
    }
    char *at = deep;
    for (int n = 0; n < 10000; n++)
        at = stpcpy(at, "{% if 1 %}");
    CHECK_REFUSED(deep, "nested too deep");
    at = deep + sprintf(deep, "{{ 1");
    for (int n = 0; n < 20000; n++)
        at = stpcpy(at, "+1");
    strcpy(at, " }}");
    CHECK_REFUSED(deep, "nested too deep");
}

TEST(rendering_makes_no_heap_call)
{
    const struct template_item item[] = {{NULL, 0}, {"What?", 5}};
    const struct template_message message = {"user", item, 2, 0};
    const struct template_input in = {&message, 1, 1, NULL, 0};
    struct desk d = desk_open();
    struct template *t = NULL;
    uint64_t calls;
    REQUIRE(compile("{% for m in messages %}{{ m.content[1].text | upper | trim }}{% endfor %}",
                    &t) == VLQA_OK);
    calls = heap_calls();
    CHECK_EQ(render(&d, t, &in), VLQA_OK);
    CHECK_EQ(heap_calls(), calls);
    template_free(t);
    desk_close(&d);
}

TEST(lack_of_memory_is_told)
{
    const struct template_input in = {NULL, 0, 1, NULL, 0};
    struct desk d = desk_open();
    struct template *t = NULL;
    for (int n = 0; n < 2; n++) {
        heap_fail_after(n);
        CHECK_EQ(compile("{{ 1 }}", &t), VLQA_EMEMORY);
        heap_fail_after(-1);
    }
    REQUIRE(compile("{{ 1 }}", &t) == VLQA_OK);
    d.arena.cap = template_room(0, 0) - 64;
    CHECK_EQ(render(&d, t, &in), VLQA_ELIMIT);
    template_free(t);
    desk_close(&d);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
