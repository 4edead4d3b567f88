/* test_ask_thinking.c - the verb ask over the fake runtime: thoughts, stop texts, biases. */
#include "base/json.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define MODEL "-m", "model"

TEST(json_has_thoughts_apart)
{
    struct run *r =
        run_script("thinking=let me|see\nanswer=8.9\n", ARGS(MODEL, "-p", "?", "--json"));
    struct json_doc *doc = run_json(r);
    CHECK_STR(run_text(doc, "answer"), "8.9");
    CHECK_STR(run_text(doc, "thinking"), "let mesee");
    CHECK_EQ((int)run_number(doc, NULL, "thinking_is_open"), 0);
    json_free(doc);
    r = run_script("answer=8.9\n", ARGS(MODEL, "-p", "?", "--json"));
    CHECK(!strstr(r->out, "thinking"));
}

TEST(thoughts_are_printed_when_they_are_wanted)
{
    static const char script[] = "thinking=let |me\nanswer=8|.9\n";
    struct run *r = run_script(script, ARGS(MODEL, "-p", "?"));
    CHECK_STR(r->out, "8.9\n");
    CHECK_STR(run_script(script, ARGS(MODEL, "-p", "?", "--stream"))->out, "8.9\n");
    r = run_script(script, ARGS(MODEL, "-p", "?", "--show-thinking"));
    CHECK_STR(r->out, "<think>\nlet me\n</think>\n\n8.9\n");
    r = run_script(script, ARGS(MODEL, "-p", "?", "--show-thinking", "--stream"));
    CHECK_STR(r->out, "<think>\nlet me\n</think>\n\n8.9\n");
    r = run_script("answer=8.9\n", ARGS(MODEL, "-p", "?", "--show-thinking"));
    CHECK_STR(r->out, "8.9\n");
}

TEST(thoughts_without_an_answer_are_told)
{
    static const char script[] = "thinking=let |me\nopen=1\n";
    struct run *r = run_script(script, ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "\n");
    CHECK_HAS(r->err, "the model did not end its thoughts, so there is no answer");
    r = run_script(script, ARGS(MODEL, "-p", "?", "--show-thinking"));
    CHECK_STR(r->out, "<think>\nlet me\n");
    r = run_script(script, ARGS(MODEL, "-p", "?", "--show-thinking", "--stream"));
    CHECK_STR(r->out, "<think>\nlet me\n");
    CHECK_STR(run_script(script, ARGS(MODEL, "-p", "?", "--quiet"))->err, "");
}

TEST(stop_texts_and_biases_reach_the_runtime)
{
    struct run *r = run_script("answer=a\nstop=text\n",
                               ARGS(MODEL, "-p", "?", "--stop", "END", "--stop=\n\n",
                                    "--logit-bias", "12=-inf", "--logit-bias=7=1.5", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "\nstop END\nstop \n\n\nbias 12=-inf\nbias 7=1.5\n");
    CHECK_HAS(r->out, "\"stop\":\"text\"");
}

TEST(forms_of_a_bias_are_checked)
{
    static const char *const wrong[] = {"7",     "7=",    "=1",   "x=1", "7=x",
                                        "7=nan", "7=inf", "-1=1", "7=1x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct run *r = run_script("", ARGS(MODEL, "-p", "?", "--logit-bias", wrong[i]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "expected ID=VALUE");
    }
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
