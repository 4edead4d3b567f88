/* test_cmd_study.c - the verb study with the default model. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define ASKED VLQA_SOURCE_DIR "/tests/charts/questions.jsonl"
#define CHARTS VLQA_SOURCE_DIR "/tests/charts/"
#define STUDY "study", "-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", "1"

static char lines[1 << 20];

static struct run *vlqa(const char *const *args)
{
    return run_cli((struct setup){.program = NULL}, args);
}

static void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

static const char *text(const struct json *line, const char *name)
{
    const char *value = json_text(json_get(line, name));
    return value ? value : "";
}

static double number(const struct json *line, const char *name)
{
    return json_number(json_get(line, name));
}

/* Calls back with each answer of the file, behind its header; returns how many there are, -1: a
 * line is no JSON. */
static int each_line(const char *path, void (*look)(const struct json *))
{
    struct env env = {0};
    int n = 0;
    get_file(path, lines, sizeof lines);
    for (char *at = lines, *end; (end = strchr(at, '\n')); at = end + 1, n++) {
        struct json_doc *doc = NULL;
        if (json_parse(&env, path, at, (size_t)(end - at), sizeof lines, &doc) != VLQA_OK)
            return -1;
        if (n) look(json_root(doc));
        json_free(doc);
    }
    return n - 1;
}

static double none_kl, full_score;
static char full_answer[256];

/* Full prefill comes first of each question. */
static void check_extremes(const struct json *line)
{
    const struct json *rows = json_get(line, "prompt_tokens");
    int full = strcmp(text(line, "variant"), "full") == 0;
    if (full && !json_get(line, "chunk")) {
        snprintf(full_answer, sizeof full_answer, "%.200s", text(line, "prediction"));
        full_score = number(line, "score");
        CHECK(!json_get(line, "kl_answer"));
        return;
    }
    if (full || number(line, "ratio") == 1) {
        CHECK(number(line, "kl") == 0);
        CHECK(number(line, "kl_answer") == 0);
        CHECK(number(line, "top1") > 1 - 1e-9);
        CHECK(number(line, "cosine") > 1 - 1e-9);
        CHECK_STR(text(line, "prediction"), full_answer);
        CHECK(number(line, "score") == full_score);
    }
    if (strcmp(text(line, "variant"), "none") == 0) {
        none_kl += number(line, "kl_answer");
        CHECK_EQ(number(rows, "selected"), 0);
    }
    CHECK(number(line, "kl_answer") >= 0);
    CHECK(number(line, "steps") >= 2); /* the end of the answer is one */
    CHECK(number(rows, "recomputed") > number(rows, "selected"));
    CHECK(number(line, "flops") > 0);
}

TEST(full_repair_recovers_all_and_none_nothing)
{
    struct run *r = vlqa(ARGS(STUDY, ASKED, "--limit", "3", "--variants", "full,infoflow,random",
                              "--ratios", "0.1,1", "--chunk", "grid:2", "--out", "lines"));
    none_kl = 0;
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->err, "");
    CHECK_EQ(each_line("lines", check_extremes), 3 * (1 + 1 + 1 + 2 + 2));
    CHECK(none_kl > 0);
    CHECK_HAS(r->out, "\nnone           0 [0, 0]       0 [0, 0]\n");
    CHECK_HAS(r->out, "\nfull     100 [100, 100] 100 [100, 100]\n");
    CHECK_HAS(r->out, "\nquestions  3 about 1 documents\n");
}

/* The answers of a file of answers: all behind its header, which tells of the command. */
static const char *answers(const char *path, char *out, size_t cap)
{
    CHECK(get_file(path, out, cap) > 100);
    return out + strcspn(out, "\n");
}

TEST(runs_are_equal_on_any_number_of_threads)
{
    static char file[2][1 << 16], out[32768];
    static const char *const threads[] = {"1", "2"}, *const lines_of[] = {"one.lines", "two.lines"};
    for (int i = 0; i < 2; i++) {
        struct run *r =
            vlqa(ARGS("study", "-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", threads[i],
                      ASKED, "--limit", "2", "--variants", "infoflow/last,random", "--ratios",
                      "0.1", "--chunk", "strips:3,image", "-s", "9", "--out", lines_of[i]));
        CHECK_EQ(r->code, 0);
        if (i) CHECK_STR(r->out, out);
        memcpy(out, r->out, sizeof out);
    }
    CHECK_STR(answers(lines_of[0], file[0], sizeof file[0]),
              answers(lines_of[1], file[1], sizeof file[1]));
}

TEST(a_study_that_was_stopped_goes_on_and_tells_the_same)
{
    static char first[1 << 16], second[1 << 16], out[32768];
    const char *const *args = ARGS(STUDY, ASKED, "--limit", "2", "--variants", "infoflow,random",
                                   "--ratios", "0.1,0.3", "--chunk", "grid:2", "--calibrate",
                                   "--cache-dir", "stopped", "--out", "stopped.jsonl");
    struct run *r = vlqa(args);
    CHECK_EQ(r->code, 0);
    memcpy(out, r->out, sizeof out);
    answers("stopped.jsonl", first, sizeof first);
    answers("stopped.jsonl.more", second, sizeof second); /* of sets of layers */
    CHECK_HAS(second, "\"variant\":\"infoflow/");
    put_file("stopped.jsonl", first, strlen(first) / 2); /* within a line */
    r = vlqa(args);
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, out);
    answers("stopped.jsonl", second, sizeof second);
    CHECK_STR(second, first);
}

TEST(a_study_is_a_run_whose_divergence_is_of_the_answer)
{
    static char studied[1 << 16], asked[1 << 16];
    struct run *r = vlqa(ARGS(STUDY, ASKED, "--limit", "2", "--variants", "infoflow", "--ratios",
                              "0.1", "--chunk", "grid:2", "-s", "4", "--out", "as-study.jsonl"));
    CHECK_EQ(r->code, 0);
    r = vlqa(ARGS("eval", "-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", "1", ASKED,
                  "--limit", "2", "--variants", "full,none,infoflow/max:0.1", "--chunk", "grid:2",
                  "--prompt", "plain", "--kl", "answer", "-n", "16", "--halo", "0", "--no-cache",
                  "--out", "as-run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "  recovers ");
    REQUIRE(each_line("as-run.jsonl", check_extremes) == 2 * 3);
    answers("as-study.jsonl", studied, sizeof studied);
    answers("as-run.jsonl", asked, sizeof asked);
    for (char *at; (at = strstr(asked, "infoflow/max"));) /* as it was written */
        memmove(at + 8, at + 12, strlen(at + 12) + 1);
    CHECK_STR(strchr(studied, '\n'), strchr(asked, '\n'));
    r = vlqa(ARGS("eval", "--curve", "as-study.jsonl"));
    CHECK_HAS(r->out, ", of answers ");
    CHECK_HAS(r->out, ", recovers 0 [0, 0] %\n"); /* none */
    r = vlqa(ARGS("eval", "--curve", "--json", "as-study.jsonl"));
    CHECK_HAS(r->out, "\"kl_answer\":");
    CHECK_HAS(r->out, "\"kl_gap_recovered\":0,");
    r = vlqa(ARGS("eval", "--compare", "as-study.jsonl", "--variants", "none,infoflow:0.1"));
    CHECK_HAS(r->out, "\nKL        2 questions about 1 document: A ");
    r = vlqa(ARGS("eval", "--report", "study.md", "as-study.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK(get_file("study.md", studied, sizeof studied) > 0);
    CHECK_HAS(studied, "| variant | chunks | KL of the answer | KL gap recovered, % |");
    r = vlqa(ARGS("eval", "-m", VLQA_SOURCE_DIR "/assets/default-model", ASKED, "--variants",
                  "none", "--kl", "answer"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--kl answer needs full among --variants");
}

static int order[8], n_order;

static void note_order(const struct json *line)
{
    if (n_order < 8) order[n_order++] = (int)number(line, "line");
}

TEST(documents_are_counted_and_answers_are_graded)
{
    char asked[2048], answer[256];
    struct run *r = vlqa(ARGS("-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", "1", "--image",
                              CHARTS "eggs.png", "-p", "What is the value of Sales?"));
    CHECK_EQ(r->code, 0);
    snprintf(answer, sizeof answer, "%.200s", r->out);
    answer[strcspn(answer, "\n")] = 0;
    snprintf(asked, sizeof asked,
             "{\"image\": \"" CHARTS "eggs.png\", \"question\": \"What is the title?\"}\n"
             "\n"
             "{\"image\": [\"" CHARTS "cuba.png\"], \"question\": \"What is the title?\"}\r\n"
             "{\"image\": [\"" CHARTS "eggs.png\"], \"question\": \"What is the value of Sales?\", "
             "\"answers\": [\"-\", \" %s\"]}",
             answer);
    put_text("mixed.jsonl", asked);
    r = vlqa(ARGS(STUDY, "mixed.jsonl", "--variants", "none", "--chunk", "grid:2", "--out",
                  "mixed.lines"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\nquestions  3 about 2 documents\n");
    CHECK_HAS(r->out, "1 question: full prefill answers right");
    n_order = 0;
    CHECK_EQ(each_line("mixed.lines", note_order), 3 * 2);
    CHECK(order[0] == 1 && order[2] == 3 && order[4] == 4);
}

TEST(calibration_tells_each_layer)
{
    struct run *r =
        vlqa(ARGS(STUDY, ASKED, "--limit", "1", "--variants", "infoflow/last", "--ratios", "0.1",
                  "--chunk", "grid:2", "--calibrate", "--against", "none", "--cache-dir", "one"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\ninfoflow/last   ");
    CHECK_HAS(r->out, "\ninfoflow/last/0 ");
    CHECK_HAS(r->out, "\ninfoflow/last/7 ");
    CHECK(!strstr(r->out, "infoflow/last/8"));
    CHECK_HAS(r->out, "mean KL minus that of none");
    CHECK_HAS(r->out, "+0.000 [+0.000, +0.000]");
}

#define CALIBRATED "--reuse", "infoflow", "--chunk", "grid:2", "--probe-layers", "calibrated"
#define ASK                                                                                     \
    "-m", VLQA_SOURCE_DIR "/assets/default-model", "-t", "1", "--image", CHARTS "february.png", \
        "-p", "What is the value of February?"

static char name[512], kept[2048];

/* Where a study says that it kept the layers: relative to where it ran. */
static void find_kept(const char *out)
{
    const char *at = strstr(out, "; stored in ");
    REQUIRE(at);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 12, "\n"), at + 12);
    CHECK(get_file(name, kept, sizeof kept) > 0);
}

static struct run *ask_calibrated(const char *contents, int code, const char *part)
{
    struct run *r;
    if (contents) put_text(name, contents);
    r = vlqa(ARGS(ASK, CALIBRATED, "--cache-dir", "deep/kept"));
    CHECK_EQ(r->code, code);
    CHECK_HAS(code ? r->err : r->out, part);
    return r;
}

TEST(calibrated_layers_are_kept_for_their_model)
{
    char other[2048], answer[256], expected[64];
    const char *model;
    struct run *r = vlqa(ARGS(ASK, CALIBRATED, "--cache-dir", "deep/kept"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "no layers are calibrated for this model: deep/kept/calibration-");
    CHECK_HAS(r->err, "vlqa study QUESTIONS --calibrate");
    r = vlqa(ARGS(STUDY, ASKED, "--limit", "2", "--variants", "infoflow", "--ratios", "0.05",
                  "--chunk", "grid:2", "--calibrate", "--cache-dir", "deep/kept"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\ncalibrated layers ");
    find_kept(r->out);
    CHECK_HAS(kept, "\"format\":\"vlqa calibration 1\"");
    snprintf(answer, sizeof answer, "%.200s", ask_calibrated(NULL, 0, "\n")->out);
    r = vlqa(ARGS("cache", "verify", "--cache-dir", "deep/kept"));
    CHECK_EQ(r->code, 0); /* it is no record, and no damaged one */
    r = vlqa(ARGS(STUDY, ASKED, "--limit", "1", "--variants", "infoflow/calibrated", "--ratios",
                  "0.05", "--chunk", "grid:2", "--cache-dir", "deep/kept"));
    CHECK_EQ(r->code, 0);
    model = strstr(kept, "\"model\":\"");
    REQUIRE(model);
    snprintf(expected, sizeof expected, "is of model 0123, expected %.8s", model + 9);
    ask_calibrated("{\"format\":\"vlqa calibration 1\",\"model\":\"0123\",\"layers\":[3]}", 1,
                   expected);
    ask_calibrated("{\"format\":\"vlqa calibration 2\",\"model\":\"0123\"}", 1,
                   "format is \"vlqa calibration 2\", expected");
    ask_calibrated("{\"format\":", 1, "calibration-");
    snprintf(other, sizeof other, "%s", kept);
    memcpy(strstr(other, "\"layers\":["), "\"layerz\":[", 10);
    ask_calibrated(other, 1, "layers");
    ask_calibrated(kept, 0, answer);
    r = vlqa(ARGS(ASK, CALIBRATED, "--no-cache"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "cannot be used with --no-cache");
}

static void check_wrong(int code, const char *part, const char *const *args)
{
    struct run *r = vlqa(args);
    CHECK_EQ(r->code, code);
    CHECK_STR(r->out, "");
    CHECK_HAS(r->err, part);
}

TEST(wrong_usage_is_told)
{
    check_wrong(2, "no questions: ", ARGS(STUDY));
    check_wrong(2, "epic does not take max", ARGS(STUDY, ASKED, "--variants", "epic/max"));
    check_wrong(2, "layers 0 to 7", ARGS(STUDY, ASKED, "--variants", "infoflow/5-8"));
    check_wrong(2, "1.5 is no number", ARGS(STUDY, ASKED, "--ratios", "0.1,1.5"));
    check_wrong(2, "--ratios: none given", ARGS(STUDY, ASKED, "--ratios", ""));
    check_wrong(2, "--chunk: grid:0 is none", ARGS(STUDY, ASKED, "--chunk", "grid:2,grid:0"));
    check_wrong(2, "none of --variants has an attention probe",
                ARGS(STUDY, ASKED, "--variants", "epic", "--calibrate", "--cache-dir", "one"));
    check_wrong(2, "names no cache directory",
                ARGS(STUDY, ASKED, "--variants", "infoflow/calibrated"));
    check_wrong(2, "names no cache directory", ARGS(STUDY, ASKED, "--calibrate"));
    check_wrong(2, "--against: x is none", ARGS(STUDY, ASKED, "--against", "x"));
    check_wrong(1, "none.jsonl", ARGS(STUDY, "none.jsonl"));
    check_wrong(1, "no/file", ARGS(STUDY, ASKED, "--out", "no/file"));
}

TEST(wrong_questions_are_told_with_their_line)
{
    put_text("a.jsonl", "{\"question\": \"Why?\"}\n{\"question\": 5}\n");
    check_wrong(2, "a.jsonl, line 2", ARGS(STUDY, "a.jsonl"));
    put_text("a.jsonl", "{\"question\": \"Why?\"\n");
    check_wrong(2, "a.jsonl, line 1", ARGS(STUDY, "a.jsonl"));
    put_text("a.jsonl", "{\"question\": \"Why?\", \"image\": [\"x\", 3]}\n");
    check_wrong(2, "image holds number", ARGS(STUDY, "a.jsonl"));
    put_text("a.jsonl", "\n\n");
    check_wrong(2, "no question in it", ARGS(STUDY, "a.jsonl"));
    put_text("a.jsonl", "{\"question\": \"Why?\", \"image\": \"none.png\"}\n");
    check_wrong(3, "none.png", ARGS(STUDY, "a.jsonl"));
}

int main(int argc, char **argv)
{
    run_begin(VLQA);
    return check_main(argc, argv);
}
