/* cmd_eval.c - the verb eval: lists data sets, grades answers, compares runs. */
#include "base/heap.h"
#include "eval/data/dataset_list.h"
#include "eval/grade/metric.h"
#include "eval/report/compare.h"
#include "eval/report/eval_report.h"
#include "eval/report/export.h"
#include "eval/run/ahead.h"
#include "eval/run/run.h"
#include "eval/run/score.h"
#include "eval/verbs/verbs.h"

#include <stddef.h>

struct eval_args {
    struct cli_args common;
    int score; /* a metric + 1 */
    const char *file, *regrade, *compare, *list;
    struct run_args run;             /* its data set is file */
    const char *report, *vlmevalkit; /* where to */
    int curve;
    struct arg_items more; /* files behind `file` */
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

static int report(struct cli *cli, const struct eval_args *a)
{
    const char *run[ARGS_MAX_ITEMS + 1] = {a->file};
    if (!a->file) return usage(cli, "no runs: give files of graded rows behind the option");
    if (a->report && a->curve) return usage(cli, "give one of --report and --curve");
    for (int i = 0; i < a->more.n; i++)
        run[i + 1] = a->more.item[i].value;
    if (a->report) return eval_report(cli, a->report, run, a->more.n + 1);
    return eval_curve(cli, run, a->more.n + 1);
}

static int evaluate(struct cli *cli, struct eval_args *a)
{
    if (a->report || a->curve) return report(cli, a);
    if (a->more.n) return usage(cli, "only --report and --curve take more than one file");
    if ((a->regrade || a->list) && a->file)
        return usage(cli, "--list and --regrade have their file, and another is given");
    if (a->compare) return compare_runs(cli, a->compare, a->file, a->run.methods);
    if (a->vlmevalkit && !a->file) return usage(cli, "--export-vlmevalkit needs a run file");
    if (a->vlmevalkit) return export_vlmevalkit(cli, a->file, a->vlmevalkit, a->run.methods);
    if (a->list) return dataset_list(cli, a->list, &a->run.data, a->run.prompt, a->run.limit);
    if (a->regrade) return score_rows(cli, a->regrade, a->score - 1, 0);
    if (a->score && !a->file)
        return usage(cli, "no rows: give a file of JSON lines, or - for standard input");
    if (a->score) return score_rows(cli, a->file, a->score - 1, 1);
    if (!a->file)
        return usage(cli,
                     "nothing to do: give a data set, --score, --regrade, --compare or --list");
    a->run.dataset = a->file;
    return run_dataset(cli, &a->run);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct eval_args *a = heap_alloc_zero(sizeof *a); /* too large for a stack */
    struct cli cli;
    int code;
    if (!a) return CLI_FAILED;
    code = cli_begin(&cli, verb, argc, argv, &a->common);
    if (code == CLI_GO_ON) {
        cli_catch_interrupt();
        code = evaluate(&cli, a);
    }
    heap_free(a);
    return code;
}

#define METRICS "chartqa, anls, ocrbench, mcq, f1, em or em-answer"
#define FIELD(member) .offset = offsetof(struct eval_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Asking a model"},
    {ARG_POSITIONAL, .name = "file", .value = "DATASET", FIELD(file),
     .help = "what is asked, or with --score the rows that are graded; - for standard input"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    {ARG_TEXT, .name = "methods", .value = "LIST", FIELD(run.methods),
     .help = "METHOD[/SETTINGS][:RATIO], ... as of vlqa study; full or off: dense, once a "
             "question, first [--reuse]"},
    {ARG_TEXT, .name = "out", .letter = 'o', .value = "FILE", FIELD(run.out),
     .help = "keep every answer there; a run that was stopped goes on"},
    {ARG_FORM, .name = "metric", .value = "METRIC", FIELD(run.metric), .read = read_metric,
     .form = METRICS, .help = "grade all rows by this one [the data set's]"},
    {ARG_CHOICE, .name = "kl", .value = "TOKENS", .fallback = "first", .choice = run_kls,
     FIELD(run.kl),
     .help = "divergence from full prefill: of the first token, or the mean over full prefill's "
             "answer, along which the others are led (up to twice the time)"},
    {ARG_SEED, .name = "shuffle-seed", .value = "N", .fallback = "0", FIELD(run.shuffle),
     .help = "--limit takes rows at random, in their order; 0: the first"},
    {ARG_INT, .name = "jobs", .letter = 'j', .value = "N", .min = 1, .max = AHEAD_MAX + 1,
     .fallback = "3", FIELD(run.jobs),
     .help = "questions at work at once: while one is answered another thread makes the images of "
             "the next N - 1 ready; 1: no such thread"},
    {ARG_FLAG, .name = "strict", FIELD(run.strict),
     .help = "stop at a question that cannot be asked [count it as wrong and go on]"},
    {ARG_TEXT, .name = "submission", .value = "FILE", FIELD(run.submission),
     .help = "write [{questionId, answer}, ...] as the RRC server takes it (one method)"},
    {ARG_INT, .name = "max-tokens", .letter = 'n', .value = "N", .min = 1, .max = 1000000,
     .fallback = "128", FIELD(run.max_tokens), .help = "longest answer"},
    {ARG_INT, .name = "max-rows", .letter = 'c', .value = "ROWS", .min = 1, .max = 1 << 20,
     FIELD(run.max_rows),
     .help = "room for prompt and answer [what the model allows, at most 32768]"},
    {ARG_TEXT, .name = "system", .value = "TEXT", FIELD(run.document.system),
     .help = "system text [none]"},
    {ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0", FIELD(run.seed),
     .help = "of --methods random"},
    {ARG_HEADING, .name = "Data sets"},
    {ARG_TEXT, .name = "list", .value = "DATASET", FIELD(list),
     .help = "print the rows of a data set with their prompts, one JSON object a line"},
    {ARG_TEXT, .name = "format", .value = "NAME", FIELD(run.data.format),
     .help = "chartqa, vqa, tsv, jsonl or longbench [by what is there]"},
    {ARG_TEXT, .name = "split", .value = "NAME", FIELD(run.data.split),
     .help = "of a ChartQA folder: train, val or test [test]"},
    {ARG_TEXT, .name = "images", .value = "DIR", FIELD(run.data.images),
     .help = "where the images of an official JSON are [beside it]"},
    {ARG_TEXT, .name = "prompt", .value = "NAME", .fallback = "vlmevalkit", FIELD(run.prompt),
     .help = "vlmevalkit, lmms-eval, qwen, infoflow, plain (the question alone), or a file with "
             "{question} in it"},
    {ARG_INT, .name = "limit", .value = "N", .min = 0, .max = 1 << 30, .fallback = "0",
     FIELD(run.limit), .help = "the first rows only; 0: all"},
    {ARG_HEADING, .name = "Grading without a model"},
    {ARG_FORM, .name = "score", .value = "METRIC", FIELD(score), .read = read_metric,
     .form = METRICS,
     .help = "grade the rows of FILE: chartqa, anls, ocrbench, mcq, f1, em, "
             "em-answer"},
    {ARG_TEXT, .name = "regrade", .value = "FILE", FIELD(regrade),
     .help = "grade rows again, each by the metric that it names"},
    {ARG_TEXT, .name = "compare", .value = "FILE", FIELD(compare),
     .help = "whether the methods of graded rows differ, or two files"},
    {ARG_TEXT, .name = "report", .value = "OUT", FIELD(report),
     .help = "write what FILE and those behind it tell: .html, a page for itself, or .md"},
    {ARG_FLAG, .name = "curve", FIELD(curve),
     .help = "print score and divergence against rows and FLOPs of FILE and those "
             "behind it"},
    {ARG_TEXT, .name = "export-vlmevalkit", .value = "OUT.tsv", FIELD(vlmevalkit),
     .help = "write the predictions of FILE as VLMEvalKit reads them, by one of --methods"},
    {ARG_REST, .name = "more", .value = "FILE", FIELD(more), .help = "another file for these two"},
    REUSE_ARGS_WITH(struct eval_args, run.reuse, "row-score",
                    {ARG_TEXT, .name = "chunk", .value = "LIST", .fallback = "auto",
                     FIELD(run.chunks),
                     .help = "how images are cut, one or several: image (auto is that, for now), "
                             "grid:K (K x K cells) or strips:K"}),
    DOCUMENT_IMAGE_ARGS(struct eval_args, run.document),
    CACHE_ARGS(struct eval_args, run.cache),
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    {ARG_FLAG, .name = "json", .help = "numbers as JSON, one object a line", CLI_FIELD(json)},
    CLI_LOG_ARGS,
};

const struct verb verb_eval = {
    .name = "eval",
    .summary = "ask a model a data set, grade answers as their references do",
    .synopsis = "Usage: vlqa eval DATASET [--methods LIST] [--out FILE] [OPTION]...\n"
                "       vlqa eval --score METRIC FILE\n"
                "       vlqa eval --regrade FILE\n"
                "       vlqa eval --compare FILE [FILE] [--methods NAME,...]\n"
                "       vlqa eval --report OUT FILE...\n"
                "       vlqa eval --curve FILE...\n"
                "       vlqa eval FILE --export-vlmevalkit OUT.tsv [--methods NAME]\n"
                "       vlqa eval --list DATASET [--prompt NAME] [OPTION]...\n",
    .notes = "DATASET is asked greedily, every question by each of --methods, those that are\n"
             "not full (dense) once for each of --chunk. A table tells the score as the data\n"
             "set's reference reports it, the rows that were computed and the milliseconds of\n"
             "an answer on the average. With full among the methods it tells how far the\n"
             "others are from it: the Kullback-Leibler divergence of the first token (KL,\n"
             "nats), and the difference of the mean score in points with its 95 % interval\n"
             "(paired bootstrap) and whether that is noise. With --kl answer every method is\n"
             "led along full prefill's answer and the step behind it, and KL is the mean over\n"
             "these steps; with none among the methods, too, the table tells which share of\n"
             "its KL each method recovers, with the 95 % interval. --json prints an object for "
             "each method, cutting and metric, with flops.\n"
             "\n"
             "A question that cannot be asked (an image is missing, damaged or refused, it is\n"
             "too long) counts as wrong: its line has error, the reason, an empty prediction,\n"
             "score 0 and no rows. Standard error is told of the first ten, the table says how\n"
             "many, and the exit code is 3. Such lines stay as they are when the command is\n"
             "given again. With --strict there are none: the run stops, and goes on when the\n"
             "image is there.\n"
             "\n"
             "--jobs changes no answer and no line. Images that are ready ahead of the model\n"
             "take 256 MiB and those of one question more, at most.\n"
             "\n"
             "--out keeps a line for each answer: id, line, metric, method, chunk, ratio,\n"
             "prediction, score, score_lmms, extracted, what is right, question, image, rows\n"
             "{total, selected, recomputed}, flops, exact, tokens, kl (with --kl answer also\n"
             "kl_answer, steps, top1, cosine), repaired, digests {model, prompt, images}.\n"
             "repaired has for each image the grid of its rows and,\n"
             "line by line, a bit a row, four a hexadecimal digit: \"7x10:0c03\"; behind\n"
             "90x160/2 a bit stands for 2 x 2 rows. The first line says what was asked of\n"
             "which model, and the command that began it, its commit (of a checkout), build\n"
             "and machine. A command that gives the same answers goes on where a run stopped,\n"
             "also elsewhere and with other --jobs and --threads, another is refused, and the\n"
             "bytes are those of a run that was never stopped. FILE.times has what differs\n"
             "from run to run: row (from 0), ms {decode_image, vision, prefill, chunks,\n"
             "assemble, score, repair, first_token, decode, total}, chunks and visual {ram,\n"
             "disk, made}, peak_bytes. chunks, assemble, score and repair are parts of\n"
             "prefill; decode_image and vision come before total. --regrade, --compare,\n"
             "--curve and --report read such files.\n"
             "\n"
             "A data set is a ChartQA folder, the official JSON of InfographicVQA or DocVQA,\n"
             "a TSV of VLMEvalKit, JSON lines as of vlqa study (also with id, options, metric,\n"
             "category and split), or LongBench's. What --list prints has all that --regrade\n"
             "needs but the prediction; it reads every row, and fails at the first that is\n"
             "wrong.\n"
             "\n"
             "A file for --prompt may hold {question}, {options} (\"A. ...\" lines) and {hint}.\n"
             "\n",
    .after = "A row to grade is {\"prediction\": TEXT} and what is right: \"answers\" or\n"
             "\"targets\", a text or a list of them, or \"answer\", a cell of a data file (a\n"
             "Python list in it is read as one); for mcq \"answer\", a letter, and \"options\":\n"
             "{\"A\": TEXT, ...}. \"split\", \"category\", \"dataset\" and \"cycle_category\"\n"
             "group the numbers. Rows come out in their order, as they are, with \"score\"\n"
             "from 0 to 1, \"score_lmms\" where lmms-eval scores otherwise, and \"extracted\",\n"
             "the letter of mcq (Z: none). The numbers of the whole are one JSON object on\n"
             "standard error.\n"
             "\n"
             "  chartqa   numbers within 5 %, other texts but for case (VLMEvalKit, lmms-eval)\n"
             "  anls      InfographicVQA, DocVQA (VLMEvalKit, lmms-eval, the RRC server)\n"
             "  ocrbench  an answer is inside the prediction (VLMEvalKit, lmms-eval)\n"
             "  mcq       options by exact matching, no judge (VLMEvalKit, lmms-eval hrbench)\n"
             "  f1        words in common (LongBench qa_f1)\n"
             "  em        equal but for blanks and case (VLMEvalKit accuracy)\n"
             "  em-answer what stands behind \"Answer:\", by em\n"
             "\n"
             "--compare pairs rows by \"id\" and tells the difference of the mean \"score\" with\n"
             "its 95 % interval (paired bootstrap) and McNemar's exact test of the rows that\n"
             "are right on one side alone. It is noise when the interval holds 0 or, where\n"
             "scores are 0 or 1, p is 0.05 or more. In one file every method is held against\n"
             "full (without it, the one that comes first); of two files, those that both\n"
             "have. --methods names them: METHOD[:RATIO][@CUTTING], in one file the base and\n"
             "those against it, of two one for both, or one each. A base with several cuttings\n"
             "is held against those of the same cutting. What is left out of a name is any.\n"
             "\n"
             "--report and --curve hold the answers of each \"method\", \"chunk\" and \"ratio\"\n"
             "against those without chunks, of the same \"id\", \"dataset\" and \"metric\".\n"
             "\"rows\": {\"total\": N, \"recomputed\": N} and \"flops\" tell of work, \"ms\" of\n"
             "time, also in FILE.times, \"kl\" of divergence. A report has tables with paired\n"
             "95 % intervals, drawings, and the ten worst answers with their images and the\n"
             "rows that were repaired. Images of a TSV are read from it, where it is here,\n"
             "beside the run, or where the command of the run has it.\n"
             "\n"
             "--export-vlmevalkit writes index, question, answer, prediction and, where rows\n"
             "have them, A to Z, category, split and cycle_category, by the method that\n"
             "--methods names. VLMEvalKit grades it with `vlmutil eval DATASET OUT.tsv`, or as\n"
             "MODEL_DATASET.tsv with PRED_FORMAT=tsv in its environment. Its pandas reads\n"
             "cells such as NA, None and nothing as nan, from its own files, too.\n"
             "\n"
             "Examples:\n"
             "  vlqa eval questions.jsonl --out run.jsonl --chunk grid:2,grid:4 \\\n"
             "    --methods full,none,infoflow:0.15,cacheblend:0.15,epic:0.15\n"
             "  vlqa eval --curve run.jsonl\n"
             "  vlqa eval --score chartqa rows.jsonl > scored.jsonl\n"
             "  vlqa eval --score anls - < rows.jsonl 2> numbers.json\n"
             "  vlqa eval --compare run.jsonl --methods none,infoflow:0.15\n"
             "  vlqa eval --compare old.jsonl new.jsonl --methods infoflow:0.15@grid:2\n"
             "  vlqa eval --report report.html run.jsonl\n"
             "  vlqa eval run.jsonl --export-vlmevalkit qwen.tsv --methods full\n"
             "  vlqa eval --list \"ChartQA Dataset\" --split val > questions.jsonl\n"
             "  vlqa eval --regrade answered.jsonl > scored.jsonl\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
