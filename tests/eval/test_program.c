/* test_program.c - the whole program with the default model: what a user types, what comes back. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#include <stdint.h>
#include <unistd.h>

#define ASSETS VLQA_SOURCE_DIR "/assets/"
#define MODEL "-m", ASSETS "default-model"
#define CHARTS VLQA_SOURCE_DIR "/tests/charts/"
#define CHART CHARTS "eggs.png"
#define QUESTION "-p", "What is the value of Sales?"

static struct run *vlqa(const char *const *args)
{
    return run_cli((struct setup){.program = NULL}, args);
}

/* ---- right answers ---- */

/* The first logits of the answer, which the program wrote to the file, and those of the list. */
static void check_logits(const char *path, const struct json *list)
{
    static char data[1 << 16];
    size_t bytes = get_file(path, data, sizeof data);
    for (const struct json *pair = json_first(list); pair; pair = json_next(pair)) {
        size_t id = (size_t)json_number(json_first(pair));
        float found;
        REQUIRE((id + 1) * sizeof found <= bytes);
        memcpy(&found, data + id * sizeof found, sizeof found); /* the tests run little-endian */
        CHECK(fabs((double)found - json_number(json_next(json_first(pair)))) < 1e-3);
    }
}

static void check_line(const char *line)
{
    struct env env = {0};
    struct json_doc *doc = NULL, *out;
    const struct json *row, *part;
    const char *args[32] = {MODEL,      "--dtype", "f32",    "--reuse",  "off",
                            "--resize", "pillow",  "--json", "--logits", "logits"};
    struct run *r;
    char path[4][256];
    int n = 11, n_paths = 0;
    REQUIRE(json_parse(&env, "check.jsonl", line, strlen(line), 1 << 20, &doc) == VLQA_OK);
    row = json_root(doc);
    REQUIRE(json_count(json_get(row, "image")) + json_count(json_get(row, "texts")) <= 4);
    for (part = json_first(json_get(row, "image")); part; part = json_next(part)) {
        args[n++] = "--image";
        args[n++] = path[n_paths];
        snprintf(path[n_paths++], sizeof *path, ASSETS "%s", json_text(part));
    }
    for (part = json_first(json_get(row, "texts")); part; part = json_next(part)) {
        args[n++] = "--text";
        args[n++] = path[n_paths];
        snprintf(path[n_paths], sizeof *path, "text-%d", n_paths);
        put_file(path[n_paths++], json_text(part), strlen(json_text(part)));
    }
    args[n++] = "--prompt";
    args[n] = json_text(json_get(row, "question"));
    r = vlqa(args);
    CHECK_EQ(r->code, 0);
    out = run_json(r);
    REQUIRE(out);
    CHECK_STR(run_text(out, "answer"), json_text(json_get(row, "model_answer")));
    CHECK(run_number(out, NULL, "tokens") == json_count(json_get(row, "answer_ids")));
    CHECK(run_number(out, "prompt_tokens", "total") == json_count(json_get(row, "prompt_ids")));
    check_logits("logits", json_get(row, "first_logits_top8"));
    json_free(out);
    json_free(doc);
}

TEST(answers_and_logits_are_those_of_transformers)
{
    static char line[65536];
    FILE *f = fopen(ASSETS "default-model/check.jsonl", "r");
    int checked = 0;
    REQUIRE(f);
    for (int i = 0; fgets(line, sizeof line, f); i++)
        if (i % 24 == 0) {
            line[strcspn(line, "\n")] = 0;
            check_line(line);
            checked++;
        }
    fclose(f);
    CHECK_EQ(checked, 9);
}

TEST(every_way_to_ask_gives_the_same_answer)
{
    static char png[1 << 16], answer[256];
    size_t bytes = get_file(CHART, png, sizeof png);
    struct run *r = vlqa(ARGS(MODEL, "--image", CHART, QUESTION));
    CHECK_EQ(r->code, 0);
    CHECK(r->out_bytes > 1 && r->out_bytes < sizeof answer);
    snprintf(answer, sizeof answer, "%.200s", r->out);
    CHECK_STR(r->err, "");
    CHECK_STR(vlqa(ARGS(MODEL, "--image", CHART, QUESTION, "--stream"))->out, answer);
    CHECK_STR(vlqa(ARGS(MODEL, "--image", CHART, QUESTION, "-t", "1"))->out, answer);
    CHECK_STR(vlqa(ARGS(MODEL, "--image", CHART, QUESTION, "-c", "100"))->out, answer);
    REQUIRE(bytes > 1000 && bytes < sizeof png - 1);
    put_file("copy", png, bytes);
    r = run_cli((struct setup){.program = "/bin/sh"},
                ARGS("-c", "exec \"$0\" -m \"$1\" --image - -p \"$2\" <copy", VLQA,
                     ASSETS "default-model", "What is the value of Sales?"));
    CHECK_STR(r->out, answer);
    r = run_cli((struct setup){.input = "What is the value of Sales?\n"},
                ARGS(MODEL, "--image", CHART, "-p", "-"));
    CHECK_STR(r->out, answer);
}

/* The second question goes on from the KV cache of the first, which changes no bit. */
TEST(lines_and_turns_give_the_answers_of_single_questions)
{
    static const char line[] = "{\"image\": \"" CHART "\", \"question\": \"%s\"}\n";
    static const char *const question[] = {"What is the value of Sales?", "What is the title?"};
    char answer[2][256], input[2048], expected[1024];
    struct run *r;
    int n = 0;
    for (int i = 0; i < 2; i++) {
        r = vlqa(ARGS(MODEL, "--image", CHART, "-p", question[i]));
        snprintf(answer[i], sizeof answer[i], "%.200s", r->out);
        answer[i][strcspn(answer[i], "\n")] = 0;
        n += snprintf(input + n, sizeof input - (size_t)n, line, question[i]);
    }
    r = run_cli((struct setup){.input = input}, ARGS(MODEL, "--jsonl", "-"));
    CHECK_EQ(r->code, 0);
    for (int i = 0; i < 2; i++) {
        snprintf(expected, sizeof expected, "\"line\":%d,\"answer\":\"%s\",", i + 1, answer[i]);
        CHECK_HAS(r->out, expected);
    }
    snprintf(input, sizeof input, "/image " CHART "\n%s\n/clear\n/image " CHART "\n%s\n",
             question[0], question[1]);
    r = run_cli((struct setup){.input = input}, ARGS("chat", MODEL));
    CHECK_EQ(r->code, 0);
    snprintf(expected, sizeof expected, "%s\n%s\n", answer[0], answer[1]);
    CHECK_STR(r->out, expected);
}

/* The generation configuration names <|endoftext|> alone, the tokenizer <|im_end|>. */
TEST(an_answer_does_not_go_on_behind_the_end_of_its_turn)
{
    char answer[256];
    struct run *r =
        run_cli((struct setup){.program = "/bin/sh"},
                ARGS("-c", "mkdir ends && ln -s \"$0\"/* ends && rm ends/generation_config.json",
                     ASSETS "default-model"));
    CHECK_EQ(r->code, 0);
    put_file("ends/generation_config.json", "{\"eos_token_id\": 3064}", 22);
    r = vlqa(ARGS(MODEL, "--image", CHART, QUESTION));
    snprintf(answer, sizeof answer, "%.200s", r->out);
    r = vlqa(ARGS("-m", "ends", "--image", CHART, QUESTION));
    CHECK_STR(r->out, answer);
    CHECK_STR(r->err, "");
}

TEST(a_stop_text_ends_an_answer)
{
    struct run *r = vlqa(ARGS(MODEL, "--image", CHART, QUESTION));
    char stop[2] = {r->out[1], 0}, begin[2] = {r->out[0], 0}, expected[4];
    REQUIRE(r->out_bytes > 2 && stop[0] != begin[0]);
    snprintf(expected, sizeof expected, "%s\n", begin);
    CHECK_STR(vlqa(ARGS(MODEL, "--image", CHART, QUESTION, "--stop", stop))->out, expected);
    CHECK_STR(vlqa(ARGS(MODEL, "--image", CHART, QUESTION, "--stop", stop, "--stream"))->out,
              expected);
    r = vlqa(ARGS(MODEL, "--image", CHART, QUESTION, "--stop", stop, "--json"));
    CHECK_HAS(r->out, "\"stop\":\"text\"");
}

TEST(equal_seeds_give_equal_answers)
{
    static char first[sizeof(((struct run *)0)->out)];
    struct run *r;
    int other = 0;
    for (int i = 0; i < 6; i++) {
        char seed[16];
        snprintf(seed, sizeof seed, "%d", i / 2);
        r = vlqa(ARGS(MODEL, "--image", CHART, "-p", "Read the chart.", "--temp", "1.5", "-q", "-n",
                      "40", "-s", seed));
        CHECK_EQ(r->code, 0);
        if (i % 2)
            CHECK_STR(r->out, first);
        else
            other += strcmp(r->out, first) != 0;
        memcpy(first, r->out, sizeof first);
    }
    CHECK(other > 1); /* and other seeds others */
}

TEST(a_document_may_mix_images_and_texts)
{
    struct run *r;
    struct json_doc *doc;
    put_file("note", "The chart shows sales.\n", 23);
    r = vlqa(ARGS(MODEL, "--system", "Be brief.", "--image", CHART, "--text", "note", "--image",
                  CHARTS "cuba.png", QUESTION, "--json", "-n", "4"));
    CHECK_EQ(r->code, 0);
    doc = run_json(r);
    REQUIRE(doc);
    CHECK(run_number(doc, "prompt_tokens", "context") > 150);
    CHECK(run_number(doc, "prompt_tokens", "total") ==
          run_number(doc, "prompt_tokens", "prefix") + run_number(doc, "prompt_tokens", "context") +
              run_number(doc, "prompt_tokens", "question"));
    json_free(doc);
}

/* ---- rejected ---- */

TEST(damaged_images_are_rejected_with_3)
{
    static char png[1 << 16];
    size_t bytes = get_file(CHART, png, sizeof png);
    struct run *r;
    put_file("cut.png", png, bytes / 2);
    put_file("empty.png", "", 0);
    put_file("other.png", "%PDF-1.4 and so on", 18);
    r = vlqa(ARGS(MODEL, "--image", "cut.png", QUESTION));
    CHECK_EQ(r->code, 3);
    CHECK_STR(r->out, "");
    CHECK_HAS(r->err, "vlqa: cut.png: ");
    CHECK_EQ(vlqa(ARGS(MODEL, "--image", "empty.png", QUESTION))->code, 3);
    CHECK_EQ(vlqa(ARGS(MODEL, "--image", "other.png", QUESTION))->code, 3);
    CHECK_EQ(vlqa(ARGS(MODEL, "--image", ".", QUESTION))->code, 3);
    CHECK_EQ(vlqa(ARGS(MODEL, "--image", "none.png", QUESTION))->code, 3);
}

TEST(models_that_are_none_are_rejected_with_4)
{
    struct run *r = vlqa(ARGS("-m", "none", QUESTION));
    CHECK_EQ(r->code, 4);
    CHECK_STR(r->out, "");
    CHECK_HAS(r->err, "vlqa: ");
    CHECK_EQ(vlqa(ARGS("-m", ".", QUESTION))->code, 4);
    CHECK_EQ(vlqa(ARGS("inspect", "none"))->code, 4);
}

TEST(what_does_not_fit_is_rejected_with_5)
{
    struct run *r = vlqa(ARGS(MODEL, "-c", "16", "--image", CHART, QUESTION));
    CHECK_EQ(r->code, 5);
    CHECK_STR(r->out, "");
    CHECK_EQ(vlqa(ARGS(MODEL, "-c", "1000000", QUESTION))->code, 5);
}

TEST(texts_that_are_not_utf8_are_rejected_with_2)
{
    struct run *r = vlqa(ARGS(MODEL, "-p", "What\xff"));
    CHECK_EQ(r->code, 2);
    CHECK_STR(r->out, "");
    CHECK_HAS(r->err, "UTF-8");
}

/* ---- the other verbs ---- */

/* The library says what to type, and the program does not say it again. */
TEST(a_model_that_is_no_directory_says_once_what_to_type)
{
    static const char *const models[][2] = {
        {"Org/M", "hf download Org/M --local-dir M"},
        {"https://huggingface.co/Org/M", "hf download Org/M"},
        {"none.gguf", "is a GGUF file, which vlqa does not read"}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct run *r =
            run_cli((struct setup){.program = VLQA}, ARGS("-m", models[i][0], "-p", "?"));
        const char *first = strstr(r->err, models[i][1]);
        CHECK_EQ(r->code, 4);
        CHECK_HAS(r->err, models[i][1]);
        CHECK(!first || !strstr(first + 1, models[i][1]));
    }
}

TEST(inspect_counts_the_parameters)
{
    struct run *r = vlqa(ARGS("inspect", ASSETS "default-model", "--json"));
    struct json_doc *doc = run_json(r);
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK(run_number(doc, "parameters", "total") == 12872128);
    CHECK_STR(run_text(doc, "name"), "default-model");
    CHECK_EQ(strlen(run_text(doc, "digest")), 64);
    json_free(doc);
}

TEST(bench_runs_what_it_was_told)
{
    struct run *r = vlqa(ARGS("bench", "--image", "128x96", "--prompt-tokens", "300", "--decode",
                              "5", "--repeat", "2", "--json"));
    struct json_doc *doc = run_json(r);
    CHECK_EQ(r->code, 0);
    REQUIRE(doc);
    CHECK(run_number(doc, NULL, "prompt_tokens") >= 300 &&
          run_number(doc, NULL, "prompt_tokens") < 340);
    CHECK(run_number(doc, NULL, "tokens") == 5);
    CHECK(run_number(doc, "image", "tokens") == 12);
    CHECK(run_number(doc, "per_second", "patches") > 0);
    CHECK(run_number(doc, "per_second", "prompt_tokens") > 0);
    CHECK(run_number(doc, "per_second", "tokens") > 0);
    CHECK(run_number(doc, NULL, "peak_bytes") > 1e6);
    json_free(doc);
}

TEST(the_example_of_the_documentation_answers)
{
    struct run *r = run_cli((struct setup){.program = EXAMPLE},
                            ARGS(ASSETS "default-model", CHART, CHARTS "cuba.png", "A note.",
                                 "What is the title?", "What is the value of Sales?"));
    char *second;
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    second = strstr(r->out, " tokens, ");
    REQUIRE(second);
    CHECK_HAS(second + 1, " tokens, ");
    r = run_cli((struct setup){.program = EXAMPLE},
                ARGS(ASSETS "default-model", "none.png", CHART, "A note.", "Why?"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "none.png");
}

/* It was .../build/../eval/data/from_parquet.py. */
TEST(the_script_for_parquet_has_a_plain_path)
{
    struct run *r = run_cli((struct setup){.program = VLQA}, ARGS("eval", "--list", "x.parquet"));
    if (access(VLQA_BINARY_DIR "/../eval/data/from_parquet.py", F_OK) != 0)
        SKIP("the build folder is not in the repository");
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "/from_parquet.py x.parquet x.d\", which needs");
    CHECK(!strstr(r->err, "/../"));
}

int main(int argc, char **argv)
{
    run_begin(VLQA);
    return check_main(argc, argv);
}
