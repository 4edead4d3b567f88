/* test_document.c - what is given as image, text or model: pipes, several files, and words that say
 * what to type instead. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define MODEL "-m", "model"

/* As a shell writes --image <(...): the program gets the name of a pipe. */
TEST(pipes_are_not_refused_as_images_and_texts)
{
    struct run *r = run_cli((struct setup){.program = "/bin/bash"},
                            ARGS("-c",
                                 "exec \"$0\" -m model -p ? --image <(printf one) <(printf two) "
                                 "--text <(printf three)",
                                 FAKE_CLI));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, " one\nimage_bytes /dev/fd/");
    CHECK_HAS(r->calls, " two\ntext three\n");
    CHECK_STR(r->err, "");
    r = run_cli((struct setup){.program = "/bin/bash"},
                ARGS("-c", "printf four | \"$0\" -m model -p ? --image /dev/stdin", FAKE_CLI));
    CHECK_HAS(r->calls, "image_bytes /dev/stdin four\n");
    r = run_cli(
        (struct setup){.program = "/bin/bash"},
        ARGS("-c", "exec \"$0\" -m model -p ? --image /dev/fd/7 7< <(printf five)", FAKE_CLI));
    CHECK_HAS(r->calls, "image_bytes /dev/fd/7 five\n");
}

TEST(a_fifo_that_nobody_writes_to_is_waited_for_with_a_word)
{
    struct run *r = run_cli((struct setup){.program = "/bin/bash"},
                            ARGS("-c",
                                 "mkfifo slow; (sleep 5; printf late > slow) & "
                                 "\"$0\" -m model -p ? --image slow; wait",
                                 FAKE_CLI));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "vlqa: slow is a FIFO that nobody has written to yet; waiting for it\n");
    CHECK_HAS(r->calls, "image_bytes slow late\n");
}

TEST(a_url_as_an_image_says_what_to_type)
{
    struct run *r = run_script("", ARGS(MODEL, "-p", "?", "--image", "https://e.org/x/c.png"));
    CHECK_EQ(r->code, 3);
    CHECK_HAS(r->err, "curl -L -o c.png 'https://e.org/x/c.png'");
    CHECK_STR(r->calls, "");
}

TEST(a_message_names_the_option_and_not_the_field)
{
    struct run *r;
    put_file("a.png", "", 0);
    r = run_script("image=ELIMIT\nimage_says=image_max_pixels 7 reads it, other_name does not\n",
                   ARGS(MODEL, "-p", "?", "--image", "a.png"));
    CHECK_EQ(r->code, 5);
    CHECK_HAS(r->err, "--image-max-pixels 7 reads it, other_name does not\n");
}

TEST(an_image_that_is_made_much_smaller_is_not_passed_over)
{
    struct run *r;
    put_file("a.png", "", 0);
    r = run_script("answer=a\nreuse=1\nwide=1\n", ARGS(MODEL, "-p", "?", "--image", "a.png"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "vlqa: a.png was made smaller, from 4096 x 10 to 64 x 32 pixels (2 tokens); "
                      "--image-max-tokens 40 would keep it as it is\n");
    r = run_script("answer=a\nreuse=1\nwide=1\n", ARGS(MODEL, "-p?", "-q", "--image", "a.png"));
    CHECK_STR(r->err, "");
    r = run_script("answer=a\nreuse=1\n", ARGS(MODEL, "-p", "?", "--image", "a.png"));
    CHECK_STR(r->err, "");
}

TEST(an_image_without_evidence_says_why)
{
    struct run *r;
    r = run_script("answer=a\nreuse=1\nblind=1\n", ARGS(MODEL, "-p", "?", "--json"));
    CHECK_HAS(r->out, "\"no_evidence\":\"the variant recomputes by order or chance");
    r = run_script("answer=a\nreuse=1\nblind=1\n",
                   ARGS(MODEL, "-p", "?", "--json", "--no-evidence"));
    CHECK_HAS(r->out, "\"no_evidence\":\"--no-evidence\"");
    r = run_script("answer=a\nreuse=1\n", ARGS(MODEL, "-p", "?", "--json"));
    CHECK(!strstr(r->out, "no_evidence"));
}

TEST(stand_ins_come_before_the_documents)
{
    struct run *r;
    put_file("a.png", "", 0);
    put_file("b.png", "", 0);
    r = run_script("", ARGS(MODEL, "--image", "a.png", "--stand-in", "b.png,a.png", "-p", "?"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "session rows=0\nimage_file b.png\nimage_file a.png\nstand in\n"
                        "image_file a.png\nask ? ");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
