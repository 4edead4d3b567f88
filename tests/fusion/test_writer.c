/* test_writer.c - the text of an answer: the same however tokens cut it, and told as it is. */
#include "base/thinking.h"
#include "fusion/ask/writer.h"
#include "tests/check.h"

struct told {
    char answer[256], thoughts[256];
    int calls, stop_at;
};

static int note(struct told *t, char *to, const char *utf8, size_t bytes)
{
    CHECK(bytes > 0 && utf8_valid(utf8, bytes) == bytes);
    strncat(to, utf8, bytes);
    return ++t->calls == t->stop_at;
}

static int on_token(void *user, const char *utf8, size_t bytes)
{
    struct told *t = user;
    return note(t, t->answer, utf8, bytes);
}

static int on_thinking(void *user, const char *utf8, size_t bytes)
{
    struct told *t = user;
    return note(t, t->thoughts, utf8, bytes);
}

struct written {
    char buffer[512];
    struct told told;
    struct vlqa_answer answer;
    size_t used; /* bytes of the text that were put */
};

/* A text in steps, the first of `first` bytes, with up to two stop texts. */
static struct written *write_text(const char *text, size_t first, size_t step, int begun,
                                  const char *const *stop, int stop_at)
{
    static struct written w;
    struct vlqa_ask_options o = {.on_token = on_token, .on_thinking = on_thinking, .user = &w.told};
    struct writer writer;
    size_t bytes = strlen(text);
    memset(&w, 0, sizeof w);
    w.told.stop_at = stop_at;
    o.stop_text = stop;
    while (stop && o.n_stop_text < 2 && stop[o.n_stop_text])
        o.n_stop_text++;
    writer_begin(&writer, &o, w.buffer, begun);
    while (w.used < bytes) {
        size_t n = w.used ? step : first;
        if (n > bytes - w.used) n = bytes - w.used;
        w.used += n;
        if (writer_put(&writer, text + w.used - n, n)) break;
    }
    writer_end(&writer);
    writer_give(&writer, &w.answer);
    CHECK_EQ(strlen(w.answer.text), w.answer.text_bytes);
    CHECK_EQ(strlen(w.answer.thinking), w.answer.thinking_bytes);
    return &w;
}

struct expected {
    const char *text;
    int begun;
    const char *stop[3];
    const char *answer, *thoughts;
    int stop_text, is_open;
    int taken_back; /* on_token hears thoughts that only </think> tells to be some */
};

static const struct expected cases[] = {
    {"8.9K", 0, {0}, "8.9K", "", -1, 0, 0},
    {"  a b \n", 0, {0}, "  a b \n", "", -1, 0, 0},
    {"", 0, {0}, "", "", -1, 0, 0},
    {"\n\n", 0, {0}, "\n\n", "", -1, 0, 0},
    {"\n\n", 0, {"\n"}, "", "", 0, 0, 0},
    {"a < b, a <think b", 0, {0}, "a < b, a <think b", "", -1, 0, 0},
    {"<thin", 0, {0}, "<thin", "", -1, 0, 0},
    {"a STOP b", 0, {"STOP"}, "a ", "", 0, 0, 0},
    {"a STO b", 0, {"STOP"}, "a STO b", "", -1, 0, 0},
    {"a STO", 0, {"STOP"}, "a STO", "", -1, 0, 0},
    {"aaab", 0, {"aab"}, "a", "", 0, 0, 0},
    {"STOP", 0, {"STOP"}, "", "", 0, 0, 0},
    {"abcd", 0, {"abcd", "bc"}, "a", "", 1, 0, 0}, /* complete first */
    {"abcd", 0, {"cd", "bcd"}, "a", "", 1, 0, 0},  /* the one that begins first */
    {"caf\u00e9 \u20ac5 x", 0, {"\u20ac"}, "caf\u00e9 ", "", 0, 0, 0},
    {"caf\u00e9", 0, {"\u00e8"}, "caf\u00e9", "", -1, 0, 0},
    {"<think>a b</think>c", 0, {0}, "c", "a b", -1, 0, 0},
    {"<think>\n a\n\nb \n</think>\n\nc\n", 0, {0}, "c\n", "a\n\nb", -1, 0, 0},
    {"\n<think>a</think>", 0, {0}, "", "a", -1, 0, 0},
    {"<think>a\nb</think>c\nd", 0, {"\n"}, "c", "a\nb", 0, 0, 0}, /* not in thoughts */
    {"<think>a < b </thin", 0, {0}, "", "a < b </thin", -1, 1, 0},
    {"<think>", 0, {0}, "", "", -1, 1, 0},
    {"<think>\n\n</think>\n\na", 0, {0}, "a", "", -1, 0, 0},
    {"\na b\n</think>\nc", 1, {0}, "c", "a b", -1, 0, 0},
    {"<think>\na</think>c", 1, {0}, "c", "a", -1, 0, 0},
    {"a b", 1, {0}, "", "a b", -1, 1, 0},
    {"", 1, {0}, "", "", -1, 1, 0},
    {"a b\n</think>\nc", 0, {0}, "c", "a b", -1, 0, 1},
    {"a <think>b</think>c</think>", 0, {0}, "c</think>", "b", -1, 0, 1},
    {"a <think>b", 0, {0}, "a <think>b", "", -1, 0, 0},
    {"a b</think>c b", 0, {"b"}, "a ", "", 0, 0, 0},
};

static void check_case(const struct expected *c, size_t first, size_t step)
{
    const struct written *w = write_text(c->text, first, step, c->begun, c->stop, 0);
    const struct vlqa_answer *a = &w->answer;
    const char *heard = w->told.answer;
    size_t behind = strlen(heard) - strlen(c->answer);
    if (c->taken_back && strlen(heard) >= strlen(c->answer)) heard += behind;
    if (strcmp(a->text, c->answer) != 0 || strcmp(a->thinking, c->thoughts) != 0 ||
        a->stop_text != c->stop_text || a->thinking_is_open != c->is_open ||
        strcmp(heard, c->answer) != 0 ||
        (!c->taken_back && strcmp(w->told.thoughts, c->thoughts) != 0))
        CHECK_FAIL(
            "\"%s\" cut at %zu and each %zu: \"%s\" (heard \"%s\"), thoughts \"%s\" (\"%s\"), "
            "stop text %d, open %d",
            c->text, first, step, a->text, w->told.answer, a->thinking, w->told.thoughts,
            a->stop_text, a->thinking_is_open);
}

TEST(texts_are_the_same_however_tokens_cut_them)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t first = 1; first <= strlen(cases[i].text) + 1; first++)
            for (size_t step = 1; step < 5; step++)
                check_case(&cases[i], first, step);
}

/* Answers and data sets are read alike. */
TEST(thoughts_are_those_that_grading_finds)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct expected *c = &cases[i];
        struct thinking t = thinking_find(c->text, strlen(c->text), c->begun);
        const struct written *w = write_text(c->text, 1, 1, c->begun, NULL, 0);
        CHECK_STR(w->answer.text, c->text + t.answer);
        CHECK_EQ(w->answer.thinking_bytes, t.end - t.begin);
        CHECK_EQ(w->answer.thinking_is_open, t.is_open);
    }
}

TEST(a_stop_text_ends_generation_at_once)
{
    static const char *const stop[] = {"STOP", NULL};
    CHECK_EQ(write_text("a STOP b", 1, 1, 0, stop, 0)->used, 6);
}

TEST(a_caller_that_has_enough_ends_both_kinds)
{
    const struct written *w = write_text("abc", 1, 1, 0, NULL, 2);
    CHECK_STR(w->answer.text, "ab");
    CHECK_EQ(w->used, 2);
    w = write_text("<think>abc", 7, 1, 0, NULL, 2);
    CHECK_STR(w->answer.text, "");
    CHECK_STR(w->answer.thinking, "ab");
    CHECK_EQ(w->answer.thinking_is_open, 1);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
