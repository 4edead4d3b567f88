/* test_cmd_inspect.c - the verb inspect over the fake runtime. */
#include "base/json.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

TEST(inspect_shows_shape_and_memory)
{
    struct run *r = run_script("", ARGS("inspect", "model"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_HAS(r->calls, "open model=model ");
    CHECK_HAS(r->out, "parameters        4437.82 M\n");
    CHECK_HAS(r->out, "36 layers, hidden 2560, inner 9728, vocabulary 151936 (tied)");
    CHECK_HAS(r->out, "BF16 in the files, bf16 in memory, computed in bf16\n");
    CHECK_HAS(r->out, "after vision layer 5, 11, 17\n");
    CHECK_HAS(r->out, "8.27 GiB\n");
    CHECK_HAS(r->out, "5.25 GiB for 32768 tokens");
    CHECK_HAS(r->out, "144.00 KiB KV, 20.00 KiB more");
    CHECK_HAS(r->out, "74.25 KiB a token, in int8\n");
}

TEST(inspect_tells_the_memory_of_another_size)
{
    struct run *r = run_script("", ARGS("inspect", "-m", "model", "-c", "1024", "--json"));
    struct json_doc *doc = run_json(r);
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK(run_number(doc, "bytes", "session_tokens") == 1024);
    CHECK(run_number(doc, "bytes", "session") ==
          5637144576.0 - (32768.0 - 1024.0) * (147456.0 + 20480.0));
    CHECK(run_number(doc, "bytes", "weights") == 8875631616.0);
    CHECK(run_number(doc, "bytes", "files") == 8875631616.0);
    CHECK_STR(run_text(doc, "weights"), "bf16");
    CHECK(run_number(doc, "bytes", "chunk_per_token") == 76032.0);
    CHECK(run_number(doc, "bytes", "total") ==
          run_number(doc, "bytes", "weights") + run_number(doc, "bytes", "session"));
    CHECK(run_number(doc, "parameters", "total") == 4437815808.0);
    CHECK(run_number(doc, "text", "layers") == 36);
    CHECK(run_number(doc, "vision", "depth") == 24);
    CHECK_EQ(json_count(json_get(json_get(json_root(doc), "vision"), "deepstack")), 3);
    CHECK_STR(run_text(doc, "digest"), "00ff");
    json_free(doc);
}

TEST(inspect_refuses_more_rows_than_the_model_has)
{
    struct run *r = run_script("", ARGS("inspect", "model", "-c", "262145"));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->err, "vlqa: --max-seq-len is 262145, the model has 262144 positions\n");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
