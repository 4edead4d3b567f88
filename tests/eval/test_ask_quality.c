/* test_ask_quality.c - --quality with the default model: exact, calibrated, refused. */
#include "tests/check.h"
#include "tests/eval/run_cli.h"

#define MODEL_DIR VLQA_SOURCE_DIR "/assets/default-model"
#define CHARTS VLQA_SOURCE_DIR "/tests/charts/"
#define ASK                                                             \
    "-m", MODEL_DIR, "-t", "1", "--image", CHARTS "february.png", "-p", \
        "What is the value of February?", "--chunk", "grid:2", "-n", "6", "--cache-dir", "c"
#define STUDY "study", "-m", MODEL_DIR, "-t", "1", "-n", "4", "--cache-dir", "kept"
#define ASKED VLQA_SOURCE_DIR "/tests/charts/questions.jsonl"

static char kept[65536], changed[65536], one[1 << 16], two[1 << 16], name[512];

static struct run *vlqa(const char *const *args)
{
    return run_cli((struct setup){.program = NULL}, args);
}

static void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

static int same_file(const char *a, const char *b)
{
    size_t n = get_file(a, one, sizeof one);
    return n && n == get_file(b, two, sizeof two) && memcmp(one, two, n) == 0;
}

TEST(quality_one_is_full_prefill_to_the_last_bit)
{
    char answer[256];
    struct run *r = vlqa(ARGS(ASK, "--reuse", "off", "--logits", "full"));
    CHECK_EQ(r->code, 0);
    snprintf(answer, sizeof answer, "%.200s", r->out);
    r = vlqa(ARGS(ASK, "--quality", "1", "--logits", "found"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, answer);
    CHECK(same_file("full", "found"));
    r = vlqa(ARGS(ASK, "--quality", "1", "--json"));
    CHECK_HAS(r->out, "\"exact\":1,\"quality\":{\"asked\":1,\"why\":\"1 is exact\",\"flops\":");
    r = vlqa(ARGS(ASK, "--logits", "other")); /* chunks have other bits */
    CHECK_EQ(r->code, 0);
    CHECK(!same_file("full", "other"));
}

TEST(options_that_contradict_quality_are_refused_by_both_names)
{
    static const char *const wrong[][2] = {{"--reuse", "infoflow"},
                                           {"--reuse", "off"},
                                           {"--recompute-ratio", "0.15"},
                                           {"--adaptive", "0.03"},
                                           {"--token-score", "norm"},
                                           {"--taper", "0.5"},
                                           {"--order", "chunk"},
                                           {"--reorder", "density"},
                                           {"--temp", "0.5"},
                                           {"--repetition-penalty", "1.1"},
                                           {"--kv-budget", "8"},
                                           {"--stand-in", "one.png"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char both[64];
        struct run *r = vlqa(ARGS(ASK, "--quality", "0.9", wrong[i][0], wrong[i][1]));
        CHECK_EQ(r->code, 2);
        snprintf(both, sizeof both, "--quality and %s exclude each other: ", wrong[i][0]);
        CHECK_HAS(r->err, both);
        CHECK_STR(r->out, "");
    }
    CHECK_EQ(vlqa(ARGS(ASK, "--quality", "1.5"))->code, 2);
    CHECK_EQ(vlqa(ARGS(ASK, "--quality", "-0.5"))->code, 2);
    CHECK_EQ(vlqa(ARGS(ASK, "--quality", "nan"))->code, 2);
    CHECK_EQ(vlqa(ARGS(ASK, "--quality", "1", "--reuse", "auto"))->code, 0);
}

TEST(a_model_that_was_not_calibrated_says_what_to_do)
{
    struct run *r = vlqa(ARGS("-m", VLQA_SOURCE_DIR "/tests/golden/tied64", "-t", "1", "-p", "Why?",
                              "-n", "1", "--cache-dir", "none", "--quality", "0.9"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--quality is not calibrated for this model: neither none/quality-");
    CHECK_HAS(r->err, "tests/golden/tied64/quality.json is there; make it with vlqa study "
                      "QUESTIONS --calibrate-quality");
    r = vlqa(ARGS("-m", VLQA_SOURCE_DIR "/tests/golden/tied64", "-t", "1", "-p", "Why?", "-n", "1",
                  "--no-cache", "--quality", "0.9", "--json"));
    CHECK_EQ(r->code, 0); /* all is exact there */
    CHECK_HAS(r->out, "\"why\":\"without a cache answers are exact\"");
}

/* The calibration that a study keeps, in `name` and `kept`. */
static void calibrate(void)
{
    struct run *r = vlqa(ARGS(STUDY, ASKED, "--calibrate-quality", "--ratios", "0"));
    const char *at = strstr(r->out, "; stored in ");
    CHECK_EQ(r->code, 0);
    REQUIRE(at);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 12, "\n"), at + 12);
    REQUIRE(get_file(name, kept, sizeof kept) > 0);
    CHECK_HAS(r->out, "\nquality ");
    CHECK_HAS(r->out, "full prefill: no margin keeps it for less"); /* of 0.995: few answers */
    CHECK_HAS(kept, "{\"format\":\"vlqa quality 1\",\"model\":\"");
    CHECK_HAS(kept, "\"halo\":-1,\"max_tokens\":4,");
    CHECK_HAS(kept, "\"families\":[{\"ratio\":0,\"answers\":");
}

static struct run *ask_kept(const char *quality)
{
    return vlqa(ARGS("-m", MODEL_DIR, "-t", "1", "--image", CHARTS "february.png", "-p",
                     "What is the value of February?", "--chunk", "grid:2", "-n", "6",
                     "--cache-dir", "kept", "--quality", quality, "--json", "--explain-cache"));
}

/* A margin of nothing, of all, and a promise that none keeps. */
TEST(a_calibration_decides_what_is_recomputed)
{
    static const char form[] = "%.*s\"families\":[{\"ratio\":0,\"answers\":1000,\"points\":[%s]}]}";
    int head;
    struct run *r;
    calibrate();
    head = (int)(strstr(kept, "\"families\"") - kept);
    snprintf(changed, sizeof changed, form, head, kept,
             "{\"failures\":1,\"margin\":1000,\"work\":0.9},"
             "{\"failures\":100,\"margin\":0.000001,\"work\":0.2}");
    put_text(name, changed);
    r = ask_kept("0.5");
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"exact\":0,\"quality\":{\"asked\":0.5,\"why\":\"");
    CHECK_HAS(r->out, "\"answers\":1000,\"failures\":100,\"ratio\":0,\"margin\":1e-06,"
                      "\"in_doubt\":0,");
    CHECK_HAS(r->err, "no token was in doubt");
    r = ask_kept("0.99");
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"exact\":1,\"quality\":{\"asked\":0.99,\"why\":\"");
    CHECK_HAS(r->out, "\"failures\":1,\"ratio\":0,\"margin\":1000,\"in_doubt\":1,");
    CHECK_HAS(r->err, "a token was in doubt, and all went on exactly");
    r = ask_kept("0.999");
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\"why\":\"no margin of the calibration keeps this for less");
    CHECK_HAS(r->err, "quality 0.999: full prefill: no margin");
}

/* What ships with the default model: of it, and with a margin for usual promises. */
TEST(the_default_model_is_calibrated)
{
    struct run *r = vlqa(ARGS(ASK, "--quality", "0.95", "--json"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out,
              "\"quality\":{\"asked\":0.95,\"why\":\"the least work of the margins that keep "
              "this\",\"promised\":0.95");
    r = vlqa(ARGS(ASK, "--quality", "0.99", "--json"));
    CHECK_HAS(r->out, "\"promised\":0.99");
    r = vlqa(ARGS(ASK, "--quality", "0.99999", "--json"));
    CHECK_HAS(r->out, "\"exact\":1,\"quality\":{\"asked\":0.99999,\"why\":\"no margin");
}

TEST(a_calibration_that_is_wrong_is_refused)
{
    char *at;
    struct run *r;
    calibrate();
    snprintf(changed, sizeof changed, "%s", kept);
    at = strstr(changed, "\"model\":\"");
    REQUIRE(at);
    at[9] = at[9] == 'f' ? 'e' : 'f';
    put_text(name, changed);
    r = ask_kept("0.9");
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "it was calibrated for another model; make another with vlqa study");
    put_text(name, "margins\n");
    CHECK_EQ(ask_kept("0.9")->code, 1);
    put_text(name, kept);
    r = vlqa(ARGS("-m", MODEL_DIR, "-t", "1", "-p", "Why?", "--cache-dir", "kept", "--quality",
                  "0.9", "--halo", "2"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err,
              "halo is auto, and --halo 2: give --halo auto, or make another with vlqa study");
    r = vlqa(ARGS("-m", MODEL_DIR, "-t", "1", "-p", "Why?", "--cache-dir", "kept", "--quality",
                  "0.9", "--dtype", "f32"));
    CHECK_EQ(r->code, 1);
    CHECK_HAS(r->err, "it was calibrated for other settings");
}

TEST(what_cannot_be_calibrated_is_refused)
{
    struct run *r = vlqa(ARGS(STUDY, ASKED, "--calibrate-quality", "--variants", "epic"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--calibrate-quality: --variants is epic, expected infoflow/last/max/halo:N");
    r = vlqa(ARGS(STUDY, ASKED, "--calibrate-quality", "--stand-in", "one.png"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--calibrate-quality and --stand-in exclude each other");
    r = vlqa(ARGS(STUDY, ASKED, "--calibrate-quality", "--calibrate"));
    CHECK_EQ(r->code, 2);
    put_text("t.jsonl", "{\"question\": \"Why?\", \"texts\": [\"A means Apples.\"]}\n");
    r = vlqa(ARGS(STUDY, "t.jsonl", "--calibrate-quality"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "all answers are exact: nothing to calibrate");
}

/* eval asks the same by name, and its base by the option. */
TEST(a_run_of_eval_takes_qualities)
{
    struct run *r;
    calibrate();
    r = vlqa(ARGS("eval", ASKED, "-m", MODEL_DIR, "-t", "1", "-n", "4", "--cache-dir", "kept",
                  "--limit", "2", "--variants", "full,auto/quality:1,auto/quality:0.5", "--chunk",
                  "grid:2", "--out", "run.jsonl"));
    CHECK_EQ(r->code, 0);
    CHECK_HAS(r->out, "\nauto/quality:1 ");
    CHECK_HAS(r->out, "\nauto/quality:0.5 ");
    r = vlqa(ARGS("eval", ASKED, "-m", MODEL_DIR, "--variants", "epic/quality:0.5"));
    CHECK_EQ(r->code, 2);
    r = vlqa(ARGS("eval", ASKED, "-m", MODEL_DIR, "--quality", "0.9", "--adaptive", "1"));
    CHECK_EQ(r->code, 2);
    CHECK_HAS(r->err, "--quality and --adaptive exclude each other");
}

int main(int argc, char **argv)
{
    run_begin(VLQA);
    return check_main(argc, argv);
}
