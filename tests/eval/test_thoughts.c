/* test_thoughts.c - what the references grade of answers with thoughts. */
#include "eval/grade/thoughts.h"

#include "tests/check.h"

static _Alignas(64) char memory[1 << 14];

static const char *as_string(struct text text)
{
    static char out[2][256];
    static int which;
    which = !which;
    snprintf(out[which], sizeof *out, "%.*s", (int)text.bytes, text.at);
    return out[which];
}

/* What VLMEvalKit's split_thinking and lmms-eval's strip_reasoning_tags (commit 75571cfe, default
 * tags) gave; the latter's strip() of a text that it cuts nothing from is left out. */
TEST(thoughts_are_cut_as_the_references_cut_them)
{
    static const struct {
        const char *prediction, *vlmevalkit, *lmms;
    } row[] = {
        {"<think>\nThe bar for 2014 reads 14.\n</think>\n\n14", "14", "14"},
        {"The bar for 2014 reads 14.\n</think>\n\n14", "14", "14"},
        {"14", "14", "14"},
        {" 14 ", " 14 ", " 14 "},
        {"<think>a</think> b <think>c</think> d ", "d", "b  d"},
        {"a</think>b</think> c", "c", "c"},
        {"<think>a", "<think>a", "<think>a"},
        {"a <think>b", "a <think>b", "a <think>b"},
        {"x<analysis>y</analysis>z", "x<analysis>y</analysis>z", "xz"},
        {"y</analysis> z", "y</analysis> z", "z"},
        {"</think><think>a", "<think>a", "</think><think>a"},
        {"<think>a</think>b</think>c", "c", "c"},
        {"<think><think>a</think>b", "b", "b"},
        {"<thi<think>x</think>nk>a</think>b", "b", "b"},
        {"<THINK>a</THINK>b", "<THINK>a</THINK>b", "<THINK>a</THINK>b"},
        {"<think></think>", "", ""},
        {"</think>", "", ""},
        {"\xc2\xa0"
         "<think>a</think>\xc2\xa0"
         "b\xc2\xa0"
         "",
         "b", "b"},
        {"<analysis>a</think>b</analysis>c", "b</analysis>c", "c"},
        {"<think>a<analysis>b</think>c</analysis>d", "c</analysis>d", "d"},
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct arena arena = arena_over(memory, sizeof memory);
        struct text text = text_of(row[i].prediction);
        CHECK_STR(as_string(thoughts_cut_vlmevalkit(text, &arena)), row[i].vlmevalkit);
        CHECK_STR(as_string(thoughts_cut_lmms(text, &arena)), row[i].lmms);
        CHECK(arena.used <= 16 * text.bytes + 1024);
    }
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
