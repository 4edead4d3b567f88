/* test_cmd_ask.c - the verb ask over the fake runtime: answers, options, JSON, logits. */
#include "base/json.h"
#include "include/vlqa.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define MODEL "-m", "model"
#define ANSWER .script = "answer=Yes|, it is|.\n"

/* ---- answers ---- */

TEST(the_answer_is_all_of_standard_output)
{
    struct run *r = run_cli((struct setup){ANSWER}, ARGS("ask", MODEL, "-p", "Is it?"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes, it is.\n");
    CHECK_STR(r->err, "");
}

TEST(the_verb_ask_may_be_left_out)
{
    struct run *r = run_cli((struct setup){ANSWER}, ARGS(MODEL, "-p", "Is it?"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes, it is.\n");
}

TEST(an_answer_ends_with_one_line_end)
{
    struct run *r = run_script("answer=a\\x0a\n", ARGS(MODEL, "-p", "?"));
    CHECK_STR(r->out, "a\n");
    r = run_script("answer=a\\x0a\n", ARGS(MODEL, "-p", "?", "--stream"));
    CHECK_STR(r->out, "a\n");
    r = run_script("answer=\n", ARGS(MODEL, "-p", "?"));
    CHECK_STR(r->out, "\n");
    r = run_script("answer=\n", ARGS(MODEL, "-p", "?", "--stream"));
    CHECK_STR(r->out, "\n");
}

TEST(bytes_of_an_answer_are_written_as_they_are)
{
    struct run *r = run_script("answer=a\\x00b|\\xc3\\xa9\n", ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->out_bytes, 6);
    CHECK(memcmp(r->out, "a\0b\xc3\xa9\n", 6) == 0);
}

TEST(a_stream_is_the_same_answer)
{
    struct run *r = run_cli((struct setup){ANSWER}, ARGS(MODEL, "-p", "?", "--stream"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes, it is.\n");
}

/* The phases load and prefill take ten steps before the first delta. */
TEST(pieces_are_streamed_before_the_answer_ends)
{
    char seen[64] = "";
    pid_t pid = run_start((struct setup){.script = "answer=first|second\nhold=12\n"},
                          ARGS(MODEL, "-p", "?", "--stream"));
    CHECK(run_wait_for_call("held"));
    get_file("stdout", seen, sizeof seen);
    CHECK_STR(seen, "first");
    put_file("fake.go", "", 0);
    CHECK_STR(run_finish(pid)->out, "firstsecond\n");
}

TEST(a_stream_that_fails_ends_its_line)
{
    struct run *r =
        run_script("answer=a|b|c\nask=EDEVICE\nfail_at=2\n", ARGS(MODEL, "-p", "?", "--stream"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->out, "ab\n");
    CHECK_STR(r->err, "vlqa: fake ask fails with EDEVICE\n");
}

TEST(a_cut_answer_is_noted)
{
    struct run *r = run_script("answer=a|b|c\n", ARGS(MODEL, "-p", "?", "-n", "2"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "ab\n");
    CHECK_STR(r->err, "vlqa: the answer was cut at 2 tokens (--max-tokens)\n");
    r = run_script("answer=a\nstop=rows\n", ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->err, "the session is full (--max-seq-len)");
    r = run_script("answer=a|b|c\n", ARGS(MODEL, "-p", "?", "-n", "2", "--quiet"));
    CHECK_STR(r->err, "");
}

/* ---- the conversation ---- */

TEST(items_are_added_in_the_order_given)
{
    struct run *r;
    put_file("note", "a note", 6);
    put_file("a.png", "", 0);
    put_file("-b.png", "", 0);
    r = run_script("", ARGS(MODEL, "--image", "a.png", "--text=note", "--image=-b.png", "--system",
                            "Be brief.", "--prompt", "Why?"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "session rows=0\nsystem Be brief.\nimage_file a.png\ntext a note\n"
                        "image_file -b.png\nask Why? ");
}

TEST(options_reach_the_runtime)
{
    struct run *r =
        run_script("", ARGS(MODEL, "-p", "?", "-n", "9", "--temp", "0.5", "--top-k", "40",
                            "--top-p", "0.25", "--min-p", "0.125", "--repetition-penalty", "1.5",
                            "--presence-penalty", "-0.5", "-s", "18446744073709551615", "-t", "3",
                            "-c", "777", "--dtype", "f32", "--kv-dtype", "bf16", "--cpu", "avx2",
                            "--image-mode", "hf", "--resize", "pillow", "--image-min-tokens", "4",
                            "--image-max-tokens", "16", "--image-max-pixels", "5000000000"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->calls, "open model=model shape=none seed=0 dtype=2 kv=1 cpu=2 threads=3 mode=1 "
                        "resize=1 min=4 max=16 pixels=5000000000\n"
                        "cache dir=none salt=none ram=1073741824 disk=4294967296 off=0\n"
                        "session rows=777\n"
                        "ask ? max=9 temp=0.5 k=40 p=0.25 min=0.125 rep=1.5 pres=-0.5 "
                        "seed=18446744073709551615 keep=0 ignore=0\n"
                        "reuse 11 ratio=0.15 chunker=0 k=1 text=256 score=2 query=0 layers=0,0\n");
}

TEST(defaults_are_greedy_and_automatic)
{
    struct run *r = run_script("", ARGS(MODEL, "-p", "?"));
    CHECK_STR(r->calls, "open model=model shape=none seed=0 dtype=0 kv=0 cpu=0 threads=0 mode=0 "
                        "resize=0 min=0 max=0 pixels=100000000\n"
                        "cache dir=none salt=none ram=1073741824 disk=4294967296 off=0\n"
                        "session rows=0\n"
                        "ask ? max=128 temp=0 k=0 p=1 min=0 rep=1 pres=0 seed=0 keep=0 ignore=0\n"
                        "reuse 11 ratio=0.15 chunker=0 k=1 text=256 score=2 query=0 layers=0,0\n");
}

TEST(standard_input_is_read_once)
{
    struct setup s = {.input = "from a pipe\n"};
    struct run *r = run_cli(s, ARGS(MODEL, "-p", "-"));
    CHECK_HAS(r->calls, "ask from a pipe max=");
    r = run_cli(s, ARGS(MODEL, "-p", "?", "--image", "-"));
    CHECK_HAS(r->calls, "image_bytes standard input from a pipe\n");
    r = run_cli(s, ARGS(MODEL, "-p", "?", "--text=-"));
    CHECK_HAS(r->calls, "text from a pipe\n");
    r = run_cli(s, ARGS(MODEL, "-p", "-", "--image", "-"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "only one of --question, --image and --text can be -");
    r = run_cli(s, ARGS(MODEL, "-p", "?", "--image", "-", "--image", "-"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->calls, "");
}

TEST(a_question_with_nul_is_refused)
{
    struct run *r;
    put_file("nul", "a\0b", 3);
    r = run_cli((struct setup){.program = "/bin/sh"},
                ARGS("-c", "exec \"$0\" -m model -p - < nul", FAKE_CLI));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "NUL");
}

TEST(bytes_that_are_not_utf8_are_the_librarys_matter)
{
    struct run *r = run_script("", ARGS(MODEL, "-p", "\xff\xfe"));
    CHECK_HAS(r->calls, "ask \xff\xfe max=");
    r = run_script("ask=ETEXT\n", ARGS(MODEL, "-p", "\xff\xfe"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->err, "vlqa: fake ask fails with ETEXT\n");
}

TEST(file_names_are_bytes)
{
    struct run *r;
    put_file("\xff.png", "", 0);
    r = run_script("", ARGS(MODEL, "-p", "?", "--image", "\xff.png"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "image_file \xff.png\n");
}

/* ---- JSON ---- */

TEST(json_of_ask_holds_every_field)
{
    static const char *const members[] = {
        "answer", "tokens", "stop",   "variant",  "exact",      "prompt_tokens", "chunks",
        "visual", "ms",     "images", "evidence", "peak_bytes", "model",         "version"};
    struct run *r = run_cli((struct setup){ANSWER}, ARGS(MODEL, "-p", "Is it?", "--json"));
    struct json_doc *doc = run_json(r);
    const struct json *member;
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK_EQ(json_count(json_root(doc)), 14);
    member = json_first(json_root(doc));
    for (size_t i = 0; i < 14 && member; i++, member = json_next(member))
        CHECK_STR(json_name(member), members[i]);
    CHECK_STR(run_text(doc, "answer"), "Yes, it is.");
    CHECK_STR(run_text(doc, "stop"), "eos");
    CHECK_STR(run_text(doc, "version"), VLQA_VERSION_TEXT);
    CHECK(run_number(doc, NULL, "tokens") == 3);
    CHECK(run_number(doc, NULL, "peak_bytes") == 5e9);
    CHECK(run_number(doc, "prompt_tokens", "total") == 14);
    CHECK(run_number(doc, "prompt_tokens", "prefix") == 3);
    CHECK(run_number(doc, "prompt_tokens", "context") == 0);
    CHECK(run_number(doc, "prompt_tokens", "question") == 11);
    CHECK(run_number(doc, "ms", "load") >= 0);
    CHECK(run_number(doc, "ms", "decode_image") == 1.25);
    CHECK(run_number(doc, "ms", "vision") == 2.5);
    CHECK(run_number(doc, "ms", "prefill") == 10);
    CHECK(run_number(doc, "ms", "first_token") == 11);
    CHECK(run_number(doc, "ms", "decode") == 20);
    CHECK(run_number(doc, "ms", "total") >= run_number(doc, "ms", "load"));
    CHECK_STR(json_text(json_get(json_get(json_root(doc), "model"), "digest")), "00ff");
    json_free(doc);
}

TEST(json_tells_of_reuse_and_evidence)
{
    struct run *r =
        run_script("reuse=1\n", ARGS(MODEL, "-p", "Is it?", "--json", "--reuse", "prophet"));
    struct json_doc *doc = run_json(r);
    const struct json *e;
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK_STR(run_text(doc, "variant"), "prophet");
    CHECK(run_number(doc, "prompt_tokens", "selected") == 1);
    CHECK(run_number(doc, "prompt_tokens", "recomputed") == 12);
    CHECK(run_number(doc, "prompt_tokens", "exact") == 1);
    CHECK(run_number(doc, "chunks", "ram") == 1);
    CHECK(run_number(doc, "chunks", "disk") == 0);
    CHECK(run_number(doc, "chunks", "computed") == 1);
    CHECK(run_number(doc, "visual", "disk") == 1);
    CHECK(run_number(doc, "ms", "chunks") == 3);
    CHECK(run_number(doc, "ms", "assemble") == 0.5);
    CHECK(run_number(doc, "ms", "score") == 1.5);
    CHECK(run_number(doc, "ms", "repair") == 4);
    CHECK_EQ(json_count(json_get(json_root(doc), "evidence")), 1);
    e = json_first(json_get(json_root(doc), "evidence"));
    CHECK(json_number(json_get(e, "image")) == 0);
    CHECK(json_number(json_get(e, "score")) == 2.5);
    CHECK_EQ(json_count(json_get(e, "box")), 4);
    CHECK(json_number(json_first(json_get(e, "box"))) == 10);
    CHECK(json_number(json_next(json_first(json_get(e, "box")))) == 0);
    e = json_first(json_get(json_root(doc), "images"));
    CHECK(json_number(json_first(json_get(e, "size"))) == 20);
    CHECK(json_number(json_first(json_get(e, "resized"))) == 64);
    CHECK(json_number(json_get(e, "tokens")) == 2);
    CHECK(!json_get(e, "no_evidence"));
    json_free(doc);
}

TEST(json_says_why_the_answer_ended)
{
    static const struct {
        const char *script, *stop;
    } table[] = {
        {"answer=a\n", "eos"}, {"answer=a|b\n", "length"}, {"stop=rows\n", "session_full"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct run *r =
            run_script(table[i].script, ARGS(MODEL, "-p", "?", "--json", "-n", i == 1 ? "1" : "9"));
        struct json_doc *doc = run_json(r);
        REQUIRE(doc);
        CHECK_STR(run_text(doc, "stop"), table[i].stop);
        json_free(doc);
    }
}

TEST(json_survives_control_characters)
{
    struct run *r = run_script("answer=\\x01\\x1b[31m\\x09\\x22\\x5c\\x7f\\x0d|\\x00\\x0a\n",
                               ARGS(MODEL, "-p", "?", "--json"));
    struct json_doc *doc = run_json(r);
    REQUIRE(doc);
    CHECK_STR(run_text(doc, "answer"), "\x01\x1b[31m\t\"\\\x7f\r\xef\xbf\xbd\n");
    json_free(doc);
}

TEST(a_failure_prints_no_json)
{
    struct run *r = run_script("ask=ELIMIT\n", ARGS(MODEL, "-p", "?", "--json"));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->out, "");
}

/* ---- logits ---- */

TEST(logits_are_little_endian_floats)
{
    static const unsigned char expected[16] = {0, 0, 0x80, 0x3f, 0, 0,    0x20, 0xc0,
                                               0, 0, 0,    0,    0, 0xe0, 0x7f, 0x47};
    char found[64];
    struct run *r = run_cli((struct setup){ANSWER}, ARGS(MODEL, "-p", "?", "--logits", "logits"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes, it is.\n");
    CHECK_EQ(get_file("logits", found, sizeof found), 16);
    CHECK(memcmp(found, expected, 16) == 0);
    r = run_cli((struct setup){ANSWER}, ARGS(MODEL, "-p", "?", "--logits", "none/logits"));
    CHECK_EQ(r->code, 1);
    CHECK_STR(r->out, "Yes, it is.\n");
    CHECK_HAS(r->err, "none/logits");
}

/* ---- reuse ---- */

TEST(options_of_reuse_reach_the_runtime)
{
    struct run *r =
        run_script("", ARGS(MODEL, "-p", "?", "--reuse", "infoflow", "--recompute-ratio", "0.25",
                            "--chunk", "grid:3", "--chunk-text", "64", "--score", "vatp",
                            "--probe-layers", "2-5,64", "--query-tokens", "last"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "reuse 3 ratio=0.25 chunker=1 k=3 text=64 score=4 query=3 layers=1,3c\n");
    r = run_script("", ARGS(MODEL, "-p", "?", "--order", "chunk", "--halo", "3", "--chunk-text",
                            "passage:64"));
    CHECK_HAS(r->calls, "layout order=1 halo=3 text=1\n");
    CHECK_HAS(r->calls, " text=64 ");
    r = run_script("", ARGS(MODEL, "-p", "?", "--chunk-text", "passage", "--chunk", "auto"));
    CHECK_HAS(r->calls, " chunker=0 k=1 text=256 ");
    r = run_script("", ARGS(MODEL, "-p", "?", "--geometry", "tltp", "--reorder", "density"));
    CHECK_HAS(r->calls, "score geometry=2 reorder=1\n");
    r = run_script("", ARGS(MODEL, "-p", "?", "--reuse", "infoflow", "--parity",
                            "infoflow-vlm-release", "--json"));
    CHECK_HAS(r->calls, "parity 1\n");
    CHECK_HAS(r->out, "\"variant\":\"infoflow-vlm-release\"");
}

TEST(options_of_methods_reach_the_runtime)
{
    struct run *r =
        run_script("", ARGS(MODEL, "-p", "?", "--reuse", "kvshare", "--taper", "0.5", "--closing",
                            "2", "--check-layers", "1-3,64", "--refresh", "2:8"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->calls, "method taper=0.5 closing=2 check=1,e refresh=2:8\n");
    CHECK(!strstr(run_script("", ARGS(MODEL, "-p", "?"))->calls, "method "));
}

TEST(every_method_has_its_name)
{
    static const char *const names[] = {"off",     "full",       "none",   "infoflow",
                                        "prophet", "cacheblend", "epic",   "vlcache",
                                        "random",  "oracle",     "kvshare"};
    for (int i = 0; i < 11; i++) {
        char expected[32];
        struct run *r = run_script("", ARGS(MODEL, "-p", "?", "--reuse", names[i]));
        snprintf(expected, sizeof expected, "reuse %d ", i);
        CHECK_HAS(r->calls, expected);
    }
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--reuse", "auto"))->calls, "reuse 11 ");
}

TEST(forms_of_reuse_are_checked)
{
    static const struct {
        const char *option, *value, *expected;
    } bad[] = {
        {"--chunk", "grid", "--chunk is grid, expected auto, image, grid:K or strips:K"},
        {"--chunk", "grid:", "--chunk is grid:, expected auto"},
        {"--chunk", "grid:0", "K from 1 to 256"},
        {"--chunk", "strips:257", "K from 1 to 256"},
        {"--chunk", "strips:99999999999999999999", "K from 1 to 256"},
        {"--chunk", "grid:2x", "--chunk is grid:2x"},
        {"--chunk", "grid: 2", "--chunk is grid: 2"},
        {"--chunk", "grids:2", "--chunk is grids:2"},
        {"--chunk", "image:1", "--chunk is image:1"},
        {"--probe-layers", "5-2",
         "--probe-layers is 5-2, expected all, calibrated or a list of layers"},
        {"--probe-layers", "-1", "--probe-layers is -1, expected"},
        {"--probe-layers", "calibrate", "--probe-layers is calibrate, expected all, calibrated or"},
        {"--probe-layers", "1-", "--probe-layers is 1-"},
        {"--probe-layers", "1-2-3", "--probe-layers is 1-2-3"},
        {"--probe-layers", "1,", "--probe-layers is 1,"},
        {"--probe-layers", "1,,2", "--probe-layers is 1,,2"},
        {"--probe-layers", ",1", "--probe-layers is ,1"},
        {"--probe-layers", "1,all", "--probe-layers is 1,all"},
        {"--probe-layers", "128", "ranges from 0 to 127"},
        {"--probe-layers", "", "--probe-layers is , expected"},
        {"--check-layers", "all", "--check-layers is all, expected a list of layers"},
        {"--refresh", "4", "--refresh is 4, expected K:N"},
        {"--refresh", "0:4", "--refresh is 0:4, expected K:N"},
        {"--refresh", "1:-1", "--refresh is 1:-1, expected K:N"},
        {"--reuse", "some", "--reuse is some, expected off, auto, full"},
        {"--recompute-ratio", "1.5", "--recompute-ratio is 1.5, expected a number from 0 to 1"},
        {"--chunk-text", "0", "--chunk-text is 0, expected N, passage or passage:N"},
        {"--chunk-text", "passage:", "--chunk-text is passage:, expected N"},
        {"--chunk-text", "passages", "--chunk-text is passages, expected N"},
        {"--chunk-text", "passage:0", "with N from 1 to 1048576"},
        {"--chunk-text", "1048577", "with N from 1 to 1048576"},
        {"--order", "slots", "--order is slots, expected raster or chunk"},
        {"--geometry", "local", "expected global, hlhp, tltp or hltp"},
        {"--reorder", "asc", "expected off or density"},
        {"--parity", "vlm", "expected off, infoflow-vlm-release or infoflow-llm-release"},
        {"--halo", "-1", "--halo is -1, expected auto or a whole number from 0 to 4096"},
        {"--cache-ram", "0", "--cache-ram is 0, expected a whole number from 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct run *r = run_script("", ARGS(MODEL, "-p", "?", bad[i].option, bad[i].value));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, bad[i].expected);
    }
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--probe-layers", "7"))->calls,
              "layers=0,80\n");
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--probe-layers", "0+63+127"))->calls,
              "layers=8000000000000000,8000000000000001\n");
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--probe-layers", "all"))->calls,
              "layers=0,0\n");
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--chunk", "strips:256"))->calls,
              "chunker=2 k=256");
}

TEST(chat_template_reaches_the_runtime)
{
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--chat-template", "own.jinja"))->calls,
              "chat template=own.jinja\n");
    CHECK_HAS(run_script("", ARGS(MODEL, "-p", "?", "--chat-template", "qwen3vl"))->calls,
              "chat template=qwen3vl\n");
    CHECK(!strstr(run_script("", ARGS(MODEL, "-p", "?"))->calls, "chat template"));
}

/* ---- cache ---- */

TEST(options_of_the_cache_reach_the_runtime)
{
    struct run *r = run_script("", ARGS(MODEL, "-p", "?", "--cache-dir", "kept", "--cache-salt",
                                        "me", "--cache-ram", "2", "--cache-disk", "3"));
    CHECK_HAS(r->calls, "cache dir=kept salt=me ram=2097152 disk=3145728 off=0\n");
    r = run_script("", ARGS(MODEL, "-p", "?", "--cache-dir", "kept", "--no-cache"));
    CHECK_HAS(r->calls, "cache dir=none ");
    CHECK_HAS(r->calls, " off=1\n");
    CHECK(!strstr(r->calls, "gpu cache"));
    r = run_script("", ARGS(MODEL, "-p", "?", "--gpu-cache", "5", "--load-or-compute"));
    CHECK_HAS(r->calls, "gpu cache=5242880\nload or compute\n");
}

TEST(the_cache_lies_in_the_cache_home)
{
    static const struct {
        const char *environment, *expected;
    } table[] = {
        {"HOME=/proc/self/cwd", "cache dir=/proc/self/cwd/.cache/vlqa "},
        {"XDG_CACHE_HOME=/proc/self/cwd/xdg", "cache dir=/proc/self/cwd/xdg/vlqa "},
        {"XDG_CACHE_HOME=relative", "cache dir=none "},
        {"HOME=", "cache dir=none "},
        {"HOME=relative", "cache dir=none "},
        {"HOME=/none/such", "cache dir=none "},
        {"VLQA_CACHE_DIR=elsewhere", "cache dir=elsewhere "},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct run *r =
            run_cli((struct setup){.environment = table[i].environment}, ARGS(MODEL, "-p", "?"));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->err, "");
        CHECK_HAS(r->calls, table[i].expected);
    }
}

TEST(a_problem_of_the_cache_is_6_when_strict)
{
    static const struct {
        const char *script, *message;
    } table[] = {{"answer=Yes\nrejected=2\n", "2 damaged records"},
                 {"answer=Yes\nunwritten=3\n", "3 not written"},
                 {"answer=Yes\nflush=EIO\n", "cache: the disk does not answer"},
                 {"answer=Yes\nproblem=it is full\n", "cache: it is full"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct run *r = run_script(table[i].script,
                                   ARGS(MODEL, "-p", "?", "--cache-dir", "kept", "--cache-strict"));
        CHECK_EQ(r->code, 6);
        CHECK_STR(r->out, "Yes\n");
        CHECK_HAS(r->err, table[i].message);
        r = run_script(table[i].script, ARGS(MODEL, "-p", "?", "--cache-dir", "kept"));
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->err, "");
    }
    CHECK_EQ(run_script("", ARGS(MODEL, "-p", "?", "--cache-strict"))->code, 6); /* no home */
    CHECK_EQ(run_script("", ARGS(MODEL, "-p", "?", "--cache-strict", "--no-cache"))->code, 0);
    CHECK_EQ(run_script("", ARGS(MODEL, "-p", "?", "--cache-strict", "--cache-dir", "kept"))->code,
             0);
}

/* ---- explaining ---- */

TEST(the_cache_is_explained_line_by_line)
{
    struct run *r = run_script("answer=Yes\nreuse=1\n", ARGS(MODEL, "-p", "?", "--explain-cache"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "Yes\n");
    CHECK_STR(r->err,
              "vlqa: image 1: 20 x 10 pixels, 2 x 1 tokens; output of the vision tower: hit on "
              "disk, exact\n"
              "vlqa: chunk 1: image 1, 1 x 1 cells from (0, 0): 1 tokens, hit in memory; exact, "
              "because only the prefix is before it\n"
              "vlqa: chunk 2: image 1, 1 x 1 cells from (1, 0): 1 tokens, miss, computed; 0 exact, "
              "1 approximate, of which 1 recomputed\n");
    r = run_script("answer=Yes\n", ARGS(MODEL, "-p", "?", "--explain-cache"));
    CHECK_HAS(r->err, "full prefill: ");
}

TEST(a_picture_is_written)
{
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static char png[1 << 16];
    struct run *r;
    put_file("a.png", "pixels", 6);
    r = run_script("answer=Yes\nreuse=1\n",
                   ARGS(MODEL, "-p", "?", "--image", "a.png", "--explain", "why.png"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_HAS(r->calls, "decode a.png 6\n");
    CHECK(get_file("why.png", png, sizeof png) > 1000);
    CHECK(memcmp(png, signature, 8) == 0);
    r = run_script("reuse=1\n",
                   ARGS(MODEL, "-p", "?", "--image", "a.png", "--explain", "no/why.png"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "no/why");
    r = run_script("", ARGS(MODEL, "-p", "?", "--explain", "why.png"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->calls, "");
}

/* The width in the header of why.png. */
static int width_with(const char *script)
{
    static unsigned char png[1 << 16];
    remove("why.png");
    CHECK_EQ(run_script(script, ARGS(MODEL, "-p", "?", "--image", "a.png", "--explain", "why.png"))
                 ->code,
             0);
    CHECK(get_file("why.png", (char *)png, sizeof png) > 24);
    return png[16] << 24 | png[17] << 16 | png[18] << 8 | png[19];
}

/* The image is 20 pixels wide and drawn 36 times as large, between margins of 24. The picture was
 * 840 wide; the legend left 3 of them, and "recomputed" was in it where no token was. */
TEST(a_legend_has_no_entry_without_a_sample_and_the_picture_is_as_wide_as_needed)
{
    put_file("a.png", "pixels", 6);
    CHECK_EQ(width_with("reuse=1\nunselected=1\n"), 24 + 20 * 36 + 24);
    CHECK_EQ(width_with("reuse=1\n"), 864);
}

TEST(no_png_is_written_under_the_name_of_another_format)
{
    static const char *const names[] = {"why.jpg", "why", "png", "why.png.txt"};
    put_file("a.png", "pixels", 6);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct run *r =
            run_script("", ARGS(MODEL, "-p", "?", "--image", "a.png", "--explain", names[i]));
        CHECK_EQ(r->code, 2);
        CHECK_HAS(r->err, "--explain writes a PNG file");
        CHECK_STR(r->calls, "");
    }
    CHECK_EQ(run_script("", ARGS(MODEL, "-p", "?", "--image", "a.png", "--explain", "A.PNG"))->code,
             0);
}

/* ---- the model that is used ---- */

TEST(the_environment_names_the_model)
{
    struct run *r = run_cli((struct setup){.environment = "VLQA_MODEL=elsewhere"}, ARGS("-p", "?"));
    CHECK_HAS(r->calls, "open model=elsewhere ");
    r = run_cli((struct setup){.environment = "VLQA_MODEL=elsewhere"}, ARGS(MODEL, "-p", "?"));
    CHECK_HAS(r->calls, "open model=model ");
    r = run_cli((struct setup){.environment = "VLQA_CPU=plain"}, ARGS(MODEL, "-p", "?"));
    CHECK_HAS(r->calls, " cpu=1 ");
    r = run_cli((struct setup){.environment = "VLQA_CPU=mmx"}, ARGS(MODEL, "-p", "?"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "vlqa: VLQA_CPU is mmx, expected auto, plain, avx2, avx512 or amx\n");
}

TEST(the_default_model_lies_beside_the_program)
{
    static const char *const places[] = {"assets", "share/vlqa"};
    for (int i = 0; i < 2; i++) {
        char expected[64];
        struct run *r = run_cli((struct setup){.program = "/bin/sh"},
                                ARGS("-c",
                                     "rm -rf tree && mkdir -p tree/bin tree/$1/default-model && "
                                     "cp \"$0\" tree/bin/vlqa && exec tree/bin/vlqa -p ?",
                                     FAKE_CLI, places[i]));
        snprintf(expected, sizeof expected, "/tree/bin/../%s/default-model ", places[i]);
        CHECK_EQ(r->code, 0);
        CHECK_HAS(r->calls, expected);
    }
}

TEST(no_model_at_all_is_told)
{
    struct run *r = run_cli((struct setup){.program = "/bin/sh"},
                            ARGS("-c",
                                 "mkdir -p bare/bin && cp \"$0\" bare/bin/vlqa && "
                                 "exec bare/bin/vlqa -p ?",
                                 FAKE_CLI));
    if (r->code == 0) SKIP("a default model is installed on this machine");
    CHECK_EQ(r->code, 4);
    CHECK_HAS(r->err, "vlqa: no model: give -m DIR; ");
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
