/* test_thinking.c - thoughts and answer of a text, however the tags stand in it. */
#include "base/thinking.h"
#include "tests/check.h"

/* thoughts NULL: there are none. */
static void check_split(const char *text, int begun, const char *thoughts, const char *answer,
                        int is_open)
{
    size_t bytes = strlen(text);
    struct thinking t = thinking_find(text, bytes, begun);
    size_t n = thoughts ? strlen(thoughts) : 0;
    if (t.found != (thoughts != NULL) || t.is_open != is_open || t.end - t.begin != n ||
        (n && memcmp(text + t.begin, thoughts, n) != 0) || strcmp(text + t.answer, answer) != 0)
        CHECK_FAIL("\"%s\": found %d, open %d, thoughts \"%.*s\", answer \"%s\"", text, t.found,
                   t.is_open, (int)(t.end - t.begin), text + t.begin, text + t.answer);
}

TEST(tags_split_a_text)
{
    check_split("<think>a</think>b", 0, "a", "b", 0);
    check_split("<think>\na b\n</think>\n\nc\n", 0, "a b", "c\n", 0);
    check_split(" \n<think>a</think>b", 0, "a", "b", 0);
    check_split("<think></think>b", 0, "", "b", 0);
    check_split("<think>\n\n</think>\n\nb", 0, "", "b", 0);
    check_split("<think>a</think>", 0, "a", "", 0);
}

TEST(a_lone_closing_tag_counts)
{
    check_split("a\n</think>\n\nb", 0, "a", "b", 0);
    check_split("a\n</think>\n\nb", 1, "a", "b", 0);
    check_split("</think>b", 0, "", "b", 0);
    check_split("Well. <think>a</think>b", 0, "a", "b", 0);
}

TEST(thoughts_that_do_not_end_leave_no_answer)
{
    check_split("<think>a b", 0, "a b", "", 1);
    check_split("a b\n", 1, "a b", "", 1);
    check_split("<think>a</thin", 0, "a</thin", "", 1);
    check_split("", 1, "", "", 1);
    check_split("<think>", 0, "", "", 1);
}

TEST(a_tag_that_the_prompt_opened_may_be_repeated)
{
    check_split("<think>\na</think>b", 1, "a", "b", 0);
    check_split("<think>\na", 1, "a", "", 1);
    check_split("a <think> b</think>c", 1, "a <think> b", "c", 0);
    check_split("a</think>b<think>c</think>", 1, "a", "b<think>c</think>", 0);
    check_split("</think><think>c", 1, "", "<think>c", 0);
}

TEST(the_first_closing_tag_counts)
{
    check_split("<think>a</think>b</think>c", 0, "a", "b</think>c", 0);
    check_split("<think>a</think>b<think>c", 0, "a", "b<think>c", 0);
}

TEST(a_text_without_thoughts_is_left_as_it_is)
{
    check_split("", 0, NULL, "", 0);
    check_split("  a\n", 0, NULL, "  a\n", 0);
    check_split("The tag <think> opens them", 0, NULL, "The tag <think> opens them", 0);
    check_split("<thinking>a", 0, NULL, "<thinking>a", 0);
    check_split("<think", 0, NULL, "<think", 0);
    check_split("< think>a< /think>", 0, NULL, "< think>a< /think>", 0);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
