/* test_main.c - verbs, help, usage errors. */
#include "include/vlqa.h"
#include "tests/check.h"
#include "tests/eval/run_cli.h"

TEST(usage_errors_point_to_the_help)
{
    static const struct {
        const char *args[6];
        const char *message;
    } table[] = {
        {{"-m", "x"}, "vlqa: no question: give --question TEXT\nTry 'vlqa ask --help'.\n"},
        {{"-p", "?", "-n", "-5"},
         "vlqa: --max-tokens is -5, expected a whole number from 1 to 1000000\n"},
        {{"-p", "?", "--temp", "nan"}, "vlqa: --temp is nan, expected a number from 0 to 100\n"},
        {{"-p", "?", "--threads", "0"},
         "vlqa: --threads is 0, expected a whole number from 1 to 1024\n"},
        {{"-p", "?", "--threads", "1000000000"}, "vlqa: --threads is 1000000000, expected"},
        {{"-p", "?", "--seed", "x"}, "vlqa: --seed is x, expected"},
        {{"-p", "?", "-p", "?"}, "vlqa: --question is given twice\n"},
        {{"-p", "?", "--imgae", "x"}, "vlqa: unknown option --imgae; did you mean --image?\n"},
        {{"-p", "?", "--json", "--stream"}, "vlqa: --json and --stream exclude each other\n"},
        {{"-p", "?", "-q", "-v"}, "vlqa: --quiet and --verbose exclude each other\n"},
        {{"-p", "?", "--image-min-tokens=9", "--image-max-tokens=8"},
         "vlqa: --image-min-tokens is above --image-max-tokens\n"},
        {{"-p", "?", "stray"},
         "vlqa: unexpected argument stray; a text of several words needs quotes\n"},
        {{"chart.png", "-p", "?"},
         "vlqa: unexpected argument chart.png: an image is given as --image chart.png\n"},
        {{"-p", "?", "chart.png"},
         "vlqa: unexpected argument chart.png: an image is given as --image chart.png\n"},
        {{"ask", "https://e.org/c.png"}, "run \"curl -L -o c.png 'https://e.org/c.png'\""},
        {{"Org/Model-2B"}, "run \"hf download Org/Model-2B --local-dir Model-2B\""},
        {{"model.gguf"}, "unexpected argument model.gguf: models in one such file are not read"},
        {{"ask", "-p"}, "vlqa: --question needs a value: --question=TEXT\n"},
        {{"bench", "--shape", "70b"}, "vlqa: --shape is 70b, expected 2b, 4b, 8b or default\n"},
        {{"bench", "--image", "0x5"}, "vlqa: --image has one side of 0, expected both or none\n"},
        {{"inspect", "a", "b"}, "vlqa: --model is given twice\nTry 'vlqa inspect --help'.\n"},
        {{"-p", " "}, "vlqa: the question is empty\n"},
        {{"-p", "?", "--image", ""}, "vlqa: --image is empty: give the name of a file\n"},
        {{"-p", "?", "--n-gpu-layers", "9"},
         "vlqa: unknown option --n-gpu-layers: one GPU is asked for with --device cuda\n"},
        {{"eval", "--temp", "1"}, "vlqa: unknown option --temp\n"},
        {{"eval", "--shuffel", "1"}, "unknown option --shuffel; did you mean --shuffle-seed?\n"},
        {{"ask", "What is it?"}, "a question is given as --question \"...\"\n"},
        {{"inspekt"}, "vlqa: unknown verb inspekt; did you mean inspect?\nTry 'vlqa --help'.\n"},
        {{"frobnicate"}, "vlqa: unknown verb frobnicate\n"},
        {{NULL}, "vlqa: nothing to do\nTry 'vlqa --help'.\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct run *r = run_script("", table[i].args);
        CHECK_EQ(r->code, 2);
        CHECK_STR(r->out, "");
        CHECK_HAS(r->err, table[i].message);
        CHECK_HAS(r->err, " --help'.\n");
        CHECK_STR(r->calls, "");
    }
}

TEST(help_goes_to_standard_output)
{
    static const char *const args[][3] = {
        {"--help"}, {"-h"}, {"ask", "--help-all"}, {"inspect", "-h"}, {"bench", "--help"}};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        struct run *r = run_script("", args[i]);
        CHECK_EQ(r->code, 0);
        CHECK_STR(r->err, "");
        CHECK_HAS(r->out, "Usage: vlqa");
        CHECK(strstr(r->out, "Example:\n") || strstr(r->out, "Examples:\n"));
        for (char *line = strtok(r->out, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 80) CHECK_FAIL("over 80 columns: %s", line);
    }
    CHECK_HAS(run_script("", ARGS("--help"))->out, "130  interrupted");
}

/* A user sees the options that most use, a line each; --help-all has the rest. */
TEST(help_is_brief_and_help_all_has_every_option)
{
    static const struct {
        const char *verb;
        int lines;
    } table[] = {{"ask", 25}, {"chat", 25}, {"eval", 32}, {"study", 25}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char brief[sizeof((struct run *)0)->out];
        int lines = 0, options = 0;
        snprintf(brief, sizeof brief, "%s", run_script("", ARGS(table[i].verb, "--help"))->out);
        CHECK(!strstr(brief, " is no option"));
        CHECK_HAS(brief, "      --help-all ");
        for (const char *c = brief; *c; c = strchr(c, '\n') + 1) {
            int is_option = strncmp(c, "  -", 3) == 0 || strncmp(c, "      --", 8) == 0;
            if (strncmp(c, "        ", 8) == 0) CHECK_FAIL("an option takes two lines: %.80s", c);
            options += is_option;
            lines++;
        }
        CHECK(options >= 10);
        CHECK(lines <= table[i].lines);
        CHECK(strlen(run_script("", ARGS(table[i].verb, "--help-all"))->out) > 3 * strlen(brief));
    }
}

TEST(help_is_a_verb_too)
{
    char text[sizeof((struct run *)0)->out];
    snprintf(text, sizeof text, "%s", run_script("", ARGS("cache", "rm", "--help"))->out);
    CHECK_STR(run_script("", ARGS("help", "cache", "rm"))->out, text);
    snprintf(text, sizeof text, "%s", run_script("", ARGS("--help"))->out);
    CHECK_STR(run_script("", ARGS("help"))->out, text);
    CHECK_EQ(run_script("", ARGS("cache", "ls", "--help-all"))->code, 0);
}

TEST(version_is_one_line)
{
    struct run *r = run_script("", ARGS("--version"));
    CHECK_EQ(r->code, 0);
    CHECK_STR(r->out, "vlqa " VLQA_VERSION_TEXT "\n");
}

/* Of two with one name the second could never be given. */
TEST(no_verb_has_two_options_of_one_name)
{
    static const char *const verbs[] = {"ask", "bench", "eval", "inspect", "study"};
    for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++) {
        char *text = run_script("", ARGS(verbs[v], "--help-all"))->out, name[128][40];
        int n = 0;
        for (char *line = strtok(text, "\n"); line && n < 128; line = strtok(NULL, "\n")) {
            if (strncmp(line, "  ", 2) != 0 || strlen(line) < 9 || strncmp(line + 6, "--", 2) != 0)
                continue;
            snprintf(name[n], sizeof name[n], "%.*s", (int)strcspn(line + 6, " "), line + 6);
            for (int i = 0; i < n; i++)
                if (strcmp(name[i], name[n]) == 0) CHECK_STR(name[n], "once");
            n++;
        }
        CHECK(n > 5 && n < 128);
    }
}

int main(int argc, char **argv)
{
    run_begin(FAKE_CLI);
    return check_main(argc, argv);
}
