/* test_encodings.c - a byte order mark is no part of a question, a document or a prompt; UTF-16 is
 * named. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define MARK "\xef\xbb\xbf"
#define ASK "ask", "-m", "x"

static void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

/* The mark went into the prompt as a character. */
TEST(a_byte_order_mark_is_skipped_in_every_text)
{
    struct run *r;
    put_text("d.txt", MARK "a document");
    put_text("p.txt", MARK "Say: {question}");
    put_text("i.png", "pixels");
    put_text("q.jsonl", MARK "{\"question\": \"Why?\", \"image\": \"i.png\", \"answer\": \"x\"}\n");
    r = run_script("answer=x\n", ARGS(ASK, "--text", "d.txt", "-p", "Why?"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "\ntext a document\n");
    r = run_cli((struct setup){.script = "answer=x\n", .input = MARK "Why?\n"},
                ARGS(ASK, "--text", "d.txt", "-p", "-"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "\nask Why? max");
    r = run_cli((struct setup){.script = "answer=x\n", .input = MARK "a document"},
                ARGS(ASK, "--text", "-", "-p", "Why?"));
    CHECK_HAS(r->calls, "\ntext a document\n");
    r = run_script("answer=x\n",
                   ARGS("eval", "-m", "x", "q.jsonl", "--prompt", "p.txt", "--variants", "full"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "\nask Say: Why? max");
    r = run_cli((struct setup){.input = MARK "{\"prediction\": \"x\", \"answer\": \"x\"}\n"},
                ARGS("eval", "--score", "em", "-"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "{\"prediction\": \"x\", \"answer\": \"x\", \"score\": 1}\n");
}

TEST(utf_16_is_named_with_what_to_do)
{
    static const char wide[] = "\xff\xfe"
                               "W\0h\0y\0";
    struct run *r;
    put_file("w.txt", wide, sizeof wide - 1);
    r = run_script("", ARGS(ASK, "--text", "w.txt", "-p", "Why?"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "w.txt is UTF-16 text, expected UTF-8: save it as UTF-8, or convert it");
    r = run_script("", ARGS("eval", "-m", "x", "--prompt", "w.txt", "--list", "q.jsonl"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "w.txt is UTF-16 text");
    put_file("w.jsonl", wide, sizeof wide - 1);
    r = run_script("", ARGS("eval", "-m", "x", "w.jsonl"));
    CHECK_HAS(r->err, "w.jsonl is UTF-16 text");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
