/* test_cmd_quantize.c - the verb quantize over the fake runtime. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

TEST(model_directory_and_format_reach_the_runtime)
{
    struct run *r = run_script("", ARGS("quantize", "model", "out"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_STR(r->calls, "quantize model=model weights=2 threads=0 out=out\n");
    r = run_script("", ARGS("quantize", "-m", "model", "out", "--weights", "int4", "-t", "3"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->calls, "quantize model=model weights=3 threads=3 out=out\n");
    r = run_script("", ARGS("quantize", "model", "out", "--weights", "int4", "-t", "3"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->calls, "quantize model=model weights=3 threads=3 out=out\n");
}

TEST(two_directories_are_asked_for)
{
    static const char message[] = "vlqa: give the model and one directory to write\n"
                                  "Try 'vlqa quantize --help'.\n";
    struct run *r = run_script("", ARGS("quantize", "model"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->err, message);
    r = run_script("", ARGS("quantize", "model", "out", "another"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->err, message);
    CHECK_EQ(run_script("", ARGS("quantize", "model", "out", "--weights", "bf16"))->code, 2);
}

TEST(a_failure_is_told_with_its_exit_code)
{
    struct run *r = run_script("quantize=EIO\n", ARGS("quantize", "model", "out"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->err, "vlqa: fake quantize fails with EIO\n");
    r = run_script("quantize=EMODEL\n", ARGS("quantize", "model", "out"));
    CHECK_EQ(r->code, 4);
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
