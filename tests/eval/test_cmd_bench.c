/* test_cmd_bench.c - the verb bench over the fake runtime. */
#include "base/json.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

TEST(bench_fills_the_prompt_and_decodes_on)
{
    struct run *r = run_script("answer=a\n",
                               ARGS("bench", "--shape", "4b", "--image", "64x96", "--prompt-tokens",
                                    "20", "--decode", "7", "--repeat", "3", "-s", "5"));
    const char *first, *second;
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "open model=none shape=4b seed=5 ");
    CHECK_HAS(r->calls, "image_rgb 64x96 stride 192 ");
    CHECK_HAS(r->calls, " max=7 ");
    CHECK_HAS(r->calls, " ignore=1\n");
    first = strstr(r->calls, "image_rgb");
    second = first ? strstr(first + 1, "image_rgb") : NULL;
    REQUIRE(first && second && strstr(second + 1, "image_rgb"));
    CHECK(strncmp(first, second, strcspn(first, "\n")) != 0); /* another image each time */
    CHECK_HAS(r->out, "machine    ");
    CHECK_HAS(r->out, "64 x 96, resized to 64 x 96: 6 tokens\n");
    CHECK_HAS(r->out, "      7 tokens         20.0 ms      300.0 tokens/s\n");
    CHECK_HAS(r->out, "memory     4.66 GiB at most\n");
    CHECK_HAS(r->out, "median of 3 runs\n");
}

/* Of the fake. */
enum { FIRST_TOKEN = 11, TOTAL = 31 };

TEST(bench_json_holds_every_number)
{
    struct run *r = run_script("answer=a\n", ARGS("bench", "--image", "64x96", "--prompt-tokens",
                                                  "20", "--decode", "7", "--json"));
    struct json_doc *doc = run_json(r);
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK_STR(run_text(doc, "shape"), "default");
    CHECK_STR(run_text(doc, "cpu"), "plain");
    CHECK(run_number(doc, NULL, "threads") == 3);
    CHECK(run_number(doc, "image", "patches") == 24);
    CHECK(run_number(doc, "image", "tokens") == 6);
    CHECK(run_number(doc, NULL, "prompt_tokens") == 6 + 14 + 8);
    CHECK(run_number(doc, NULL, "tokens") == 7);
    CHECK(run_number(doc, "ms", "open") >= 0);
    CHECK(run_number(doc, "ms", "vision") == 2.5);
    /* the image is seen before the first token, and was left out of its time */
    CHECK(run_number(doc, "ms", "first_token") - run_number(doc, "ms", "vision") -
              run_number(doc, "ms", "decode_image") ==
          FIRST_TOKEN);
    CHECK(run_number(doc, "ms", "total") - run_number(doc, "ms", "first_token") ==
          TOTAL - FIRST_TOKEN);
    CHECK(run_number(doc, "per_second", "patches") == 9600);
    CHECK(run_number(doc, "per_second", "prompt_tokens") == 2800);
    CHECK(run_number(doc, "per_second", "tokens") == 300);
    CHECK(run_number(doc, NULL, "peak_bytes") == 5e9);
    CHECK_STR(run_text(doc, "command"),
              "vlqa bench --image 64x96 --prompt-tokens 20 --decode 7 --json");
    CHECK_HAS(run_text(doc, "machine"), " core");
    CHECK(strlen(run_text(doc, "build")) > 4);
    json_free(doc);
}

TEST(bench_without_an_image_says_so)
{
    struct run *r = run_script(
        "answer=a\n", ARGS("bench", "--image=0x0", "--prompt-tokens=9", "--decode=1", "--json"));
    struct json_doc *doc = run_json(r);
    const struct json *root;
    REQUIRE(doc);
    root = json_root(doc);
    CHECK_EQ(json_kind(json_get(json_get(root, "ms"), "vision")), JSON_NULL);
    CHECK_EQ(json_kind(json_get(json_get(root, "per_second"), "patches")), JSON_NULL);
    CHECK_EQ(json_kind(json_get(json_get(root, "per_second"), "tokens")), JSON_NULL);
    CHECK(!strstr(r->calls, "image_rgb"));
    json_free(doc);
}

TEST(bench_launches_kernels_one_by_one_where_it_is_asked_to)
{
    struct run *r = run_script("answer=a\n", ARGS("bench", "--image=0x0", "--single-launches"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "single launches\n");
    r = run_script("answer=a\n", ARGS("bench", "--image=0x0"));
    CHECK_EQ(r->code, 0);
    CHECK(!strstr(r->calls, "single launches"));
}

TEST(prompt_tokens_are_a_lower_bound)
{
    static const char *const wanted[] = {"1", "6", "7", "20", "300"};
    for (int i = 0; i < 5; i++) {
        struct run *r = run_script("answer=a\n", ARGS("bench", "--image=64x96", "--decode=1",
                                                      "--json", "--prompt-tokens", wanted[i]));
        struct json_doc *doc = run_json(r);
        REQUIRE(doc);
        CHECK(run_number(doc, NULL, "prompt_tokens") >= atof(wanted[i]));
        CHECK(run_number(doc, NULL, "prompt_tokens") > run_number(doc, "image", "tokens"));
        json_free(doc);
    }
    CHECK_HAS(run_script("", ARGS("bench", "--help-all"))->out, "an image alone may have more");
}

TEST(bench_stops_at_a_failure)
{
    struct run *r = run_script("ask=ELIMIT\n", ARGS("bench", "--image=0x0", "--repeat=5"));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->out, "");
    CHECK_STR(r->err, "vlqa: fake ask fails with ELIMIT\n");
}

TEST(bench_times_single_operations)
{
    struct run *r = run_script("", ARGS("bench", "--ops", "--filter", "rmsnorm", "--ops-rows",
                                        "1,3", "--repeat", "1", "--onednn", "off", "-t", "2"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_STR(r->calls, ""); /* no engine is opened */
    CHECK_HAS(r->out, "shape      default\n");
    CHECK_HAS(r->out, "2 threads; at most ");
    CHECK_HAS(r->out, "rmsnorm         text       256                        1 ");
    CHECK_HAS(r->out, "rmsnorm         text.q     4x64                       3 ");
}

TEST(bench_of_operations_in_json_holds_every_number)
{
    static const char *const number[] = {"rows",   "ms",     "flops",        "bytes",
                                         "gflops", "gbytes", "of_bandwidth", "of_peak"};
    struct run *r = run_script("", ARGS("bench", "--ops", "--filter=matmul text.q", "--ops-rows=2",
                                        "--json", "--repeat=1", "--onednn=off", "--threads=1"));
    struct json_doc *doc = run_json(r);
    const struct json *ops, *op;
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK_STR(run_text(doc, "shape"), "default");
    CHECK_STR(run_text(doc, "dtype"), "bf16");
    CHECK_STR(run_text(doc, "weights"), "bf16");
    CHECK_STR(run_text(doc, "onednn"), "");
    CHECK(strlen(run_text(doc, "cpu")) > 2);
    CHECK_EQ(run_number(doc, NULL, "threads"), 1);
    CHECK(run_number(doc, "peak", "gflops") > 0);
    CHECK(run_number(doc, "peak", "gflops_f32") > 0);
    CHECK(run_number(doc, "peak", "gbytes") > 0);
    CHECK(run_number(doc, NULL, "rotation_bytes") > 1e6);
    ops = json_get(json_root(doc), "ops");
    REQUIRE(json_count(ops) == 1);
    op = json_first(ops);
    CHECK_STR(json_text(json_get(op, "op")), "matmul");
    CHECK_STR(json_text(json_get(op, "part")), "text.q");
    CHECK_STR(json_text(json_get(op, "shape")), "256x256");
    for (int i = 0; i < 8; i++)
        CHECK_EQ(json_kind(json_get(op, number[i])), JSON_NUMBER);
    CHECK_EQ(json_kind(json_get(op, "onednn_f32_ms")), JSON_NULL);
    CHECK_EQ(json_kind(json_get(op, "onednn_bf16_ratio")), JSON_NULL);
    json_free(doc);
}

TEST(bench_of_operations_says_what_is_wrong)
{
    static const char *const rows[] = {
        "0", "65537", "1,x", "1,,2", "x", ",", "-1", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
    struct run *r = run_script("", ARGS("bench", "--ops", "--filter=nothing", "--onednn=off"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "no operation has \"nothing\" in its name");
    for (int i = 0; i < 8; i++) {
        r = run_script("", ARGS("bench", "--ops", "--ops-rows", rows[i]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "expected whole numbers from 1 to 65536");
    }
    r = run_script("", ARGS("bench", "--ops", "--onednn", "/nowhere/lib.so"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "oneDNN: /nowhere/lib.so");
    CHECK_STR(r->out, "");
    r = run_script("answer=a\n", ARGS("bench", "--image=0x0", "--filter=rope"));
    CHECK_HAS(r->err, "without --ops");
    r = run_script("answer=a\n", ARGS("bench", "--image=0x0", "--recompute-ratio=0.1"));
    CHECK_HAS(r->err, "--recompute-ratio has no effect without --reuse");
    r = run_script("", ARGS("bench", "--ops", "--decode=3", "--filter=rope", "--ops-rows=1",
                            "--repeat=1", "--onednn=off"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "with --ops");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
