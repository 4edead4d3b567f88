/* test_ask_jsonl.c - ask --jsonl over the fake runtime: lines in, lines out, in order. */
#include "base/json.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define MODEL "-m", "model"
#define JSONL ARGS("ask", MODEL, "--jsonl", "-", "--quiet")

static struct run *run_lines(const char *script, const char *lines)
{
    return run_cli((struct setup){.script = script, .input = lines}, JSONL);
}

/* A member of line i of the output as text; numbers as they are printed. */
static const char *member(const struct run *r, int i, const char *name)
{
    static char text[256];
    struct env env = {0};
    struct json_doc *doc = NULL;
    const char *line = r->out;
    const struct json *value;
    text[0] = 0;
    while (line && i-- > 0)
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    if (!line || json_parse(&env, "line", line, strcspn(line, "\n"), 1 << 20, &doc) != VLQA_OK)
        return "no line";
    value = json_get(json_root(doc), name);
    if (json_text(value))
        snprintf(text, sizeof text, "%s", json_text(value));
    else if (value)
        snprintf(text, sizeof text, "%g", json_number(value));
    else
        snprintf(text, sizeof text, "none");
    json_free(doc);
    return text;
}

static int count_lines(const char *text)
{
    int n = 0;
    while ((text = strchr(text, '\n')))
        n++, text++;
    return n;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    while ((text = strstr(text, part)))
        n++, text++;
    return n;
}

TEST(each_line_is_answered_in_order)
{
    struct run *r = run_lines(
        "answer=Yes\nthinking=hm\n",
        "{\"id\": \"a\", \"question\": \"One?\"}\n"
        "\n"
        "{\"id\": 7, \"question\": \"Two?\", \"max_tokens\": 5, \"stop\": [\"x\", \"y\"]}\n"
        "{\"question\": \"Three?\", \"stop\": \"z\"}");
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_EQ(count_lines(r->out), 3);
    CHECK_STR(member(r, 0, "id"), "a");
    CHECK_STR(member(r, 0, "line"), "1");
    CHECK_STR(member(r, 0, "answer"), "Yes");
    CHECK_STR(member(r, 0, "thinking"), "hm");
    CHECK_STR(member(r, 1, "id"), "7");
    CHECK_STR(member(r, 1, "line"), "3");
    CHECK_STR(member(r, 2, "id"), "none");
    CHECK_STR(member(r, 2, "line"), "4");
    CHECK_HAS(r->calls, "ask One? max=128");
    CHECK_HAS(r->calls, "ask Two? max=5");
    CHECK_HAS(r->calls, "stop x\nstop y\n");
    CHECK_HAS(r->calls, "ask Three? max=128");
    CHECK_EQ(count(r->calls, "open "), 1);
    CHECK_EQ(count(r->calls, "session "), 1);
}

TEST(documents_of_the_line_before_are_not_added_again)
{
    struct run *r;
    put_file("a.png", "AAA", 3);
    put_file("b.png", "BBB", 3);
    r = run_lines("answer=Yes\n",
                  "{\"image\": \"a.png\", \"question\": \"1\"}\n"
                  "{\"images\": [\"a.png\"], \"question\": \"2\"}\n"
                  "{\"image_path\": \"b.png\", \"question\": \"3\"}\n"
                  "{\"image\": \"a.png\", \"texts\": \"T\", \"question\": \"4\"}\n"
                  "{\"image\": \"a.png\", \"texts\": [\"T\"], \"question\": \"5\"}\n"
                  "{\"question\": \"6\"}\n");
    CHECK_EQ(r->code, 0);
    CHECK_EQ(count_lines(r->out), 6);
    CHECK_HAS(r->calls, "image_bytes a.png AAA\nask 1 ");
    CHECK_HAS(r->calls, "clear\nimage_bytes b.png BBB\nask 3 ");
    CHECK_HAS(r->calls, "clear\nimage_bytes a.png AAA\ntext T\nask 4 ");
    CHECK_EQ(count(r->calls, "image_bytes"), 3);
    CHECK_EQ(count(r->calls, "clear\n"), 4); /* and before the sixth */
}

/* The same name, another picture: no answer about the old one. */
TEST(a_file_that_changed_is_read_again)
{
    pid_t pid;
    struct run *r;
    put_file("a.png", "AAA", 3);
    pid = run_start((struct setup){.script = "answer=Yes\nhold=16\n",
                                   .input = "{\"image\": \"a.png\", \"question\": \"1\"}\n"
                                            "{\"image\": \"a.png\", \"question\": \"2\"}\n"},
                    JSONL);
    CHECK(run_wait_for_call("held"));
    put_file("a.png", "BBB", 3);
    put_file("fake.go", "", 0);
    r = run_finish(pid);
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "image_bytes a.png BBB\nask 2 ");
}

TEST(bad_lines_get_an_error_and_the_others_an_answer)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"{\"id\": \"x\", \"question\": \"?\", \"image\": \"none.png\"}", "none.png"},
        {"{\"id\": \"x\"}", "question is missing"},
        {"{\"id\": \"x\", \"question\": \"?\", \"imagee\": \"a.png\"}", "imagee"},
        {"{\"id\": \"x\", \"question\": \"?\", \"max_tokens\": 0}", "max_tokens"},
        {"{\"id\": \"x\", \"question\": \"?\", \"stop\": 3}", "stop expects a text"},
        {"{\"id\": \"x\", \"question\": \"?\", \"texts\": [1]}", "texts expects a text"},
        {"{\"id\": \"x\", \"question\": \"?\", \"system\": \"a\"}", "--system"},
        {"{\"id\": \"x\", \"question\": \"?\", \"image\": \"\"}", "image is empty; leave it out"},
        {"{\"id\": \"x\", \"question\": \"?\", \"images\": []}", "images is empty; leave it out"},
        {"{\"id\": \"x\", \"question\": \"?\", \"image_path\": null}", "image_path is empty"},
        {"{\"id\": \"x\", \"question\": \"?\", \"temperature\": 1}", "--temp gives one"},
        {"{\"id\": \"x\", \"question\": \"?\", \"max_new_tokens\": 9}", "write max_tokens"},
        {"{\"id\": \"x\", \"question\": \" \"}", "question is empty"},
        {"{\"id\": \"x\", \"question\": \"?\", \"prompt\": \"!\"}", "both question and prompt"},
        {"{\"id\": \"x\", \"question\": \"?\", \"--reuse\": \"off\"}", "--reuse is not read"},
        {"{\"id\": \"x\", \"question\": \"?\", \"stream\": true}", "stream is not read"},
        {"{\"id\": \"x\", \"question\": \"?\", \"n\": 2}", "n is not read; leave it out"},
        {"{\"question\": ", "line 2"},
        {"[1]", "expected an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char lines[512];
        struct run *r;
        snprintf(lines, sizeof lines, "{\"question\": \"1\"}\n%s\n{\"question\": \"3\"}\n",
                 bad[i].line);
        r = run_lines("answer=Yes\n", lines);
        CHECK_EQ(r->code, 3);
        CHECK_EQ(count_lines(r->out), 3);
        CHECK_STR(member(r, 0, "answer"), "Yes");
        CHECK_STR(member(r, 1, "line"), "2");
        CHECK_STR(member(r, 1, "answer"), "none");
        CHECK_HAS(member(r, 1, "error"), bad[i].says);
        if (strstr(bad[i].line, "\"id\"")) CHECK_STR(member(r, 1, "id"), "x");
        CHECK_STR(member(r, 2, "answer"), "Yes");
        CHECK_HAS(r->err, "1 of 3 lines could not be answered");
    }
}

TEST(what_the_runtime_refuses_is_an_error_of_the_line)
{
    struct run *r;
    put_file("a.png", "AAA", 3);
    r = run_lines("answer=Yes\nimage=EIMAGE\n", "{\"image\": \"a.png\", \"question\": \"1\"}\n"
                                                "{\"question\": \"2\"}\n");
    CHECK_EQ(r->code, 3);
    CHECK_STR(member(r, 0, "error"), "fake image fails with EIMAGE");
    CHECK_STR(member(r, 1, "answer"), "Yes");
    r = run_lines("answer=Yes\nask=EDEVICE\n", "{\"question\": \"1\"}\n{\"question\": \"2\"}\n");
    CHECK_EQ(r->code, 1); /* all others would fail, too */
    CHECK_EQ(count_lines(r->out), 0);
    CHECK_HAS(r->err, "fake ask fails with EDEVICE");
}

TEST(a_file_of_lines_is_read_beside_its_images)
{
    static const char lines[] = "\xef\xbb\xbf{\"image\": \"b.png\", \"question\": \"1\"}\r\n";
    struct run *r = run_cli((struct setup){.program = "/bin/mkdir"}, ARGS("-p", "sub"));
    CHECK_EQ(r->code, 0);
    put_file("sub/b.png", "BBB", 3);
    put_file("sub/lines.jsonl", lines, strlen(lines));
    r = run_script("answer=Yes\n", ARGS(MODEL, "--jsonl", "sub/lines.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(member(r, 0, "answer"), "Yes");
    CHECK_HAS(r->calls, "image_bytes sub/b.png BBB");
}

TEST(options_that_lines_replace_are_refused)
{
    static const char *const more[] = {"-pQ", "--image=a.png", "--stream", "--explain=a.png",
                                       "--logits=a"};
    struct run *r;
    put_file("a.png", "AAA", 3);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        r = run_script("", ARGS(MODEL, "--jsonl", "-", more[i]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "--jsonl");
    }
    r = run_script("", ARGS(MODEL, "--jsonl", "no such file"));
    CHECK_EQ(r->code, 1); /* as of every file that is no image and no model */
    CHECK_HAS(r->err, "no such file: cannot open");
    CHECK_STR(r->calls, "");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
