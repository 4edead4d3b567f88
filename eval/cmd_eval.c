/* cmd_eval.c - the verb eval: grades answers. */
#include "eval/metric.h"
#include "eval/score.h"
#include "eval/verbs.h"

#include <stddef.h>

struct eval_args {
    struct cli_args common;
    int score; /* a metric + 1 */
    const char *file, *regrade;
};

static int read_metric(const char *text, void *field)
{
    int metric = metric_find(text);
    *(int *)field = metric + 1;
    return metric >= 0;
}

static int usage(struct cli *cli, const char *message)
{
    return cli_fail(cli, VLQA_EUSAGE, message);
}

static int evaluate(struct cli *cli, const struct eval_args *a)
{
    if (a->regrade && a->file) return usage(cli, "--regrade has its file, and another is given");
    if (a->regrade) return score_rows(cli, a->regrade, a->score - 1, 0);
    if (!a->score) return usage(cli, "nothing to do: give --score or --regrade");
    if (!a->file) return usage(cli, "no rows: give a file of JSON lines, or - for standard input");
    return score_rows(cli, a->file, a->score - 1, 1);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct eval_args a = {.score = 0};
    struct cli cli;
    int code = cli_begin(&cli, verb, argc, argv, &a.common);
    if (code != CLI_GO_ON) return code;
    cli_catch_interrupt();
    return evaluate(&cli, &a);
}

#define FIELD(member) .offset = offsetof(struct eval_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Grading without a model"},
    {ARG_POSITIONAL, .name = "file", .value = "FILE", FIELD(file),
     .help = "rows, one JSON object a line; - for standard input"},
    {ARG_FORM, .name = "score", .value = "METRIC", FIELD(score), .read = read_metric,
     .form = "chartqa, anls, ocrbench, mcq, f1 or em",
     .help = "grade the rows of FILE: chartqa, anls, ocrbench, mcq, f1, em"},
    {ARG_TEXT, .name = "regrade", .value = "FILE", FIELD(regrade),
     .help = "grade rows again, each by the metric that it names"},
    {ARG_HEADING, .name = "Output"},
    {ARG_FLAG, .name = "quiet", .letter = 'q', .help = "only results and errors", CLI_FIELD(quiet)},
    {ARG_FLAG, .name = "help", .letter = 'h', .help = "this text", CLI_FIELD(help)},
};

const struct verb verb_eval = {
    .name = "eval",
    .summary = "grade answers as VLMEvalKit, lmms-eval and LongBench do",
    .synopsis = "Usage: vlqa eval --score METRIC FILE\n"
                "       vlqa eval --regrade FILE\n",
    .notes =
        "A row is {\"prediction\": TEXT} and what is right: \"answers\" or \"targets\", a text\n"
        "or a list of them, or \"answer\", a cell of a data file (a Python list in it is read\n"
        "as one); for mcq \"answer\", a letter, and \"options\": {\"A\": TEXT, ...}. \"split\",\n"
        "\"category\", \"dataset\" and \"cycle_category\" group the numbers. Rows come out in\n"
        "their order, as they are, with \"score\" from 0 to 1, \"score_lmms\" where lmms-eval\n"
        "scores otherwise, and \"extracted\", the letter of mcq (Z: none). The numbers of the\n"
        "whole are one JSON object on standard error.\n"
        "\n"
        "  chartqa   numbers within 5 %, other texts but for case (VLMEvalKit, lmms-eval)\n"
        "  anls      InfographicVQA, DocVQA (VLMEvalKit, lmms-eval, the RRC server)\n"
        "  ocrbench  an answer is inside the prediction (VLMEvalKit, lmms-eval)\n"
        "  mcq       exact matching of options, no judge (VLMEvalKit, lmms-eval's HRBench)\n"
        "  f1        words in common (LongBench qa_f1)\n"
        "  em        equal but for blanks and case (VLMEvalKit accuracy)\n"
        "\n"
        "Examples:\n"
        "  vlqa eval --score chartqa rows.jsonl > scored.jsonl\n"
        "  vlqa eval --score anls - < rows.jsonl 2> numbers.json\n"
        "  vlqa eval --regrade run.jsonl > regraded.jsonl\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
