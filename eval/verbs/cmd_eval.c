/* cmd_eval.c - the verb eval: lists data sets, grades answers, compares runs. */
#include "base/heap.h"
#include "eval/data/dataset_list.h"
#include "eval/grade/metric.h"
#include "eval/options/quality.h"
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

/* Reports ask nothing: who gives an option of asking means another command. */
static int check_asks_nothing(struct cli *cli, const char *what)
{
    static const char *const asking[] = {"out", "variants", "limit", "model", "submission", "kl"};
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        if (args_is_given(cli->verb, cli->argc, cli->argv, asking[i])) {
            (void)env_fail(&cli->env, VLQA_EUSAGE,
                           "--%s is for asking a data set, and %s asks nothing: leave it out, or "
                           "ask first: vlqa eval DATASET --out run.jsonl",
                           asking[i], what);
            return usage(cli, cli->env.message);
        }
    return CLI_OK;
}

static int report(struct cli *cli, const struct eval_args *a)
{
    const char *run[ARGS_MAX_ITEMS + 1] = {a->file};
    int code = check_asks_nothing(cli, a->report ? "--report" : "--curve");
    if (code != CLI_OK) return code;
    if (!a->file) return usage(cli, "no runs: give files of graded rows behind the option");
    if (a->report && a->curve) return usage(cli, "give one of --report and --curve");
    for (int i = 0; i < a->more.n; i++)
        run[i + 1] = a->more.item[i].value;
    if (a->report) return eval_report(cli, a->report, run, a->more.n + 1);
    return eval_curve(cli, run, a->more.n + 1);
}

static int evaluate(struct cli *cli, struct eval_args *a)
{
    int code;
    if (a->report || a->curve) return report(cli, a);
    if (a->more.n) return usage(cli, "only --report and --curve take more than one file");
    if ((a->regrade || a->list) && a->file)
        return usage(cli, "--list and --regrade have their file, and another is given");
    if (a->compare) return compare_runs(cli, a->compare, a->file, a->run.variants);
    if (a->vlmevalkit && !a->file) return usage(cli, "--export-vlmevalkit needs a run file");
    if (a->vlmevalkit)
        return export_vlmevalkit(cli, a->file, a->vlmevalkit, a->run.variants, a->run.thoughts);
    if (a->list) return dataset_list(cli, a->list, &a->run.data, a->run.prompt, a->run.limit);
    if (a->regrade) return score_rows(cli, a->regrade, a->score - 1, 0, a->run.thoughts);
    if (a->score && !a->file)
        return usage(cli, "no rows: give a file of JSON lines, or - for standard input");
    if (a->score) return score_rows(cli, a->file, a->score - 1, 1, a->run.thoughts);
    if (!a->file)
        return usage(cli,
                     "nothing to do: give a data set, --score, --regrade, --compare or --list");
    code = quality_check(cli, &a->run.reuse, NULL);
    if (code != CLI_OK) return code;
    a->run.dataset = a->file;
    a->run.prompt_by = a->run.prompt ? "choice" : "default";
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

#define METRIC_WORDS "chartqa anls ocrbench mcq f1 em em-answer"
#define METRICS "chartqa, anls, ocrbench, mcq, f1, em or em-answer"
#define FIELD(member) .offset = offsetof(struct eval_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Asking a model"},
    {ARG_POSITIONAL, .name = "file", .value = "DATASET", FIELD(file),
     .help = "data set to ask, or with --score the rows to grade; - is standard input"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    CLI_TEMPLATE_ARG,
    {ARG_TEXT, .name = "variants", .old = "methods", .value = "LIST", FIELD(run.variants),
     .help = "VARIANT[/SETTINGS][:RATIO], ... as in vlqa study; full: full prefill, which is asked "
             "first and once a question [--reuse]"},
    {ARG_TEXT, .name = "out", .letter = 'o', .value = "FILE", FIELD(run.out),
     .help = "write every answer there; a run that was stopped is resumed"},
    {ARG_FORM, .name = "metric", .value = "METRIC", FIELD(run.metric), .read = read_metric,
     .words = METRIC_WORDS, .form = METRICS, .help = "metric of all rows [the data set's]"},
    {ARG_CHOICE, .name = "kl", .value = "TOKENS", .fallback = "first", .choice = run_kls,
     FIELD(run.kl),
     .help = "KL from full prefill: of the first token, or the mean over full prefill's answer, "
             "along which the others are teacher-forced (up to twice the time)"},
    {ARG_SEED, .name = "shuffle-seed", .value = "N", .fallback = "0", FIELD(run.shuffle),
     .help = "--limit draws rows at random and keeps their order; 0 takes the first ones"},
    {ARG_INT, .name = "jobs", .letter = 'j', .value = "N", .min = 1, .max = AHEAD_MAX + 1,
     .fallback = "3", FIELD(run.jobs),
     .help = "questions in flight: while one is answered, another thread prepares the images of "
             "the next N - 1; 1 uses no such thread"},
    {ARG_FLAG, .name = "strict", FIELD(run.strict),
     .help = "stop at a question that cannot be asked [it counts as wrong and the run goes on]"},
    {ARG_TEXT, .name = "submission", .value = "FILE", FIELD(run.submission),
     .help = "write [{questionId, answer}, ...] as the RRC server accepts it (one variant)"},
    {ARG_INT, .name = "max-tokens", .letter = 'n', .value = "N", .min = 1, .max = 1000000,
     .fallback = "128", FIELD(run.max_tokens), .help = "longest answer"},
    {ARG_FLAG, .name = "ignore-eos", FIELD(run.ignore_eos),
     .help = "let every answer have --max-tokens tokens, to compare long ones"},
    {ARG_INT, .name = "max-seq-len", .old = "max-rows", .letter = 'c', .value = "TOKENS", .min = 1,
     .max = 1 << 20, FIELD(run.max_seq_len),
     .help = "longest sequence of prompt and answer [what the model allows, at most 32768]"},
    {ARG_TEXT, .name = "system", .value = "TEXT", FIELD(run.document.system),
     .help = "system text [none]"},
    {ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0", FIELD(run.seed),
     .help = "seed of the variant random"},
    {ARG_HEADING, .name = "Data sets"},
    {ARG_TEXT, .name = "list", .value = "DATASET", FIELD(list),
     .help = "print the rows of a data set with their prompts, one JSON object a line"},
    {ARG_TEXT, .name = "format", .value = "NAME", FIELD(run.data.format),
     .words = "chartqa vqa tsv jsonl longbench",
     .help = "chartqa, vqa, tsv, jsonl or longbench [by what is there]"},
    {ARG_TEXT, .name = "split", .value = "NAME", FIELD(run.data.split),
     .help = "of a ChartQA folder: train, val or test [test]"},
    {ARG_TEXT, .name = "images", .value = "DIR", FIELD(run.data.images),
     .help = "folder of the images that rows name [that of the data set]"},
    {ARG_TEXT, .name = "prompt", .value = "NAME|FILE", FIELD(run.prompt),
     .words = "plain vlmevalkit lmms-eval qwen infoflow",
     .help = "plain (the question, with its options), vlmevalkit, lmms-eval, qwen, infoflow, or a "
             "file with {question} in it [plain for JSON rows, else vlmevalkit]"},
    {ARG_CHOICE, .name = "without-image", .value = "DO", .fallback = "skip", .choice = run_blinds,
     FIELD(run.data.keep_blind),
     .help = "rows without an image where others have one: skip (as VLMEvalKit does) or ask"},
    {ARG_INT, .name = "limit", .value = "N", .min = 0, .max = 1 << 30, .fallback = "0",
     FIELD(run.limit), .help = "use the first N rows only; 0 uses all"},
    {ARG_HEADING, .name = "Grading without a model"},
    {ARG_FORM, .name = "score", .value = "METRIC", FIELD(score), .read = read_metric,
     .words = METRIC_WORDS, .form = METRICS,
     .help = "grade the rows of FILE; chartqa, anls, ocrbench, mcq, f1, em, "
             "em-answer"},
    {ARG_TEXT, .name = "regrade", .value = "FILE", FIELD(regrade),
     .help = "grade rows again; each by the metric that it names"},
    {ARG_CHOICE, .name = "thoughts", .value = "DO", .fallback = "cut", .choice = row_thoughts,
     FIELD(run.thoughts),
     .help =
         "cut thoughts (<think>...</think>) before grading as VLMEvalKit and lmms-eval each do, "
         "or keep them; also of answers to a data set"},
    {ARG_TEXT, .name = "compare", .value = "FILE", FIELD(compare),
     .help = "test whether variants of graded rows differ; or two files"},
    {ARG_TEXT, .name = "report", .value = "OUT", FIELD(report),
     .help = "write a report: an .html page or .md; it holds FILE and the files behind it"},
    {ARG_FLAG, .name = "curve", FIELD(curve),
     .help = "print score and KL against recomputed tokens; of FILE and the files behind it"},
    {ARG_TEXT, .name = "export-vlmevalkit", .value = "OUT.tsv", FIELD(vlmevalkit),
     .help = "write the predictions of one of --variants in FILE as VLMEvalKit reads them"},
    {ARG_REST, .name = "more", .value = "FILE", FIELD(more),
     .help = "another file for --report and --curve"},
    REUSE_ARGS_WITH(struct eval_args, run.reuse, "row-score",
                    {ARG_TEXT, .name = "chunk", .value = "LIST", .fallback = "auto",
                     .words = "image grid:2 grid:4 strips:4", FIELD(run.chunks),
                     .help = "one or several chunkings of images; image (auto means that today), "
                             "grid:K (K x K cells) or strips:K"}),
    DOCUMENT_IMAGE_ARGS(struct eval_args, run.document),
    CACHE_ARGS(struct eval_args, run.cache),
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    {ARG_FLAG, .name = "json", .help = "print numbers as JSON, one object a line", CLI_FIELD(json)},
    CLI_LOG_ARGS,
};

const struct verb verb_eval = {
    .name = "eval",
    .summary = "ask a model a data set and grade the answers",
    .synopsis = "Usage: vlqa eval DATASET [--variants LIST] [--out FILE] [OPTION]...\n"
                "       vlqa eval --score METRIC FILE\n"
                "       vlqa eval --regrade FILE\n"
                "       vlqa eval --compare FILE [FILE] [--variants NAME,...]\n"
                "       vlqa eval --report OUT FILE...\n"
                "       vlqa eval --curve FILE...\n"
                "       vlqa eval FILE --export-vlmevalkit OUT.tsv [--variants NAME]\n"
                "       vlqa eval --list DATASET [--prompt NAME] [OPTION]...\n",
    .notes = "Every question of DATASET is answered greedily by each of --variants; all but\n"
             "full are asked once for each of --chunk. A table shows the score as the data\n"
             "set's reference reports it, the mean number of tokens computed and the mean\n"
             "milliseconds of an answer. If full is among the variants, the table also shows\n"
             "how far the others are from it: the Kullback-Leibler divergence of the first\n"
             "token (KL, nats), and the difference of the mean score in points with its 95 %\n"
             "interval (paired bootstrap) and whether that is noise. With --kl answer every\n"
             "variant is teacher-forced along the answer of full prefill and one step further,\n"
             "and KL is the mean over these steps; if none is among the variants, the table\n"
             "also shows the KL gap that each variant recovers, with its 95 % interval. --json\n"
             "prints an object for each variant, chunking and metric, with flops. Questions\n"
             "about the same images and texts are drawn together by every bootstrap; a member\n"
             "\"group\" of a JSON row names another group.\n"
             "\n"
             "A question that cannot be asked (its image is missing, damaged or refused, or\n"
             "it is too long) counts as wrong: its line has the reason as error, an empty\n"
             "prediction, score 0 and no prompt_tokens. The first ten are reported on standard\n"
             "error, the table says how many there are, and the exit code is 3. Such lines\n"
             "stay when the command is given again. With --strict the run stops instead, and\n"
             "is resumed when the image is there.\n"
             "\n"
             "--jobs changes no answer and no line. Images that are prepared ahead of the\n"
             "model take at most 256 MiB and those of one question more.\n"
             "\n"
             "--out writes a line for each answer: id, line, metric, variant, chunk, ratio,\n"
             "prediction, score, score_lmms, extracted, what is right, question, image,\n"
             "prompt_tokens {total, selected, recomputed}, flops, exact, tokens, kl (with --kl\n"
             "answer also kl_answer, steps, top1, lead, cosine, kl_by_distance), repaired,\n"
             "digests {model, prompt, images}. repaired has for each image the grid of its\n"
             "tokens and, line by line, one bit a token, four a hexadecimal digit:\n"
             "\"7x10:0c03\"; after 90x160/2 a bit stands for 2 x 2 tokens. The first line has\n"
             "the settings and the model, the command that began the run, its commit (of a\n"
             "checkout), build and machine. A command that gives the same answers resumes a\n"
             "run, also on another machine and with other --jobs and --threads; another\n"
             "command is refused. The bytes are those of a run that was never stopped.\n"
             "FILE.times has what differs between runs: row (from 0), ms {decode_image,\n"
             "vision, prefill, chunks, assemble, score, repair, first_token, decode, total},\n"
             "chunks and visual {ram, disk, computed}, peak_bytes. chunks, assemble, score and\n"
             "repair are parts of prefill; decode_image and vision come before total.\n"
             "--regrade, --compare, --curve and --report read such files, also those of the\n"
             "version before, which say method for variant and rows for prompt_tokens.\n"
             "\n"
             "A data set is a ChartQA folder, the official JSON of InfographicVQA or DocVQA,\n"
             "a TSV of VLMEvalKit, JSON lines or a JSON array as of vlqa study (also with id,\n"
             "options, metric, category and split), or LongBench's; docs/EVALUATION.md has all\n"
             "keys. A key or column that is nearly a known one, an id that is there twice and\n"
             "an image under an unknown key stop the run before it begins. What --list prints\n"
             "has all that --regrade needs but the prediction; it reads every row, and fails at\n"
             "the first that is wrong.\n"
             "\n"
             "The table, --json and the first line of --out say which prompt was used, by\n"
             "default or by choice, and how many rows have no image. Times leave out the chunks\n"
             "that the first variant computed for all; the row (chunks) has them.\n"
             "\n"
             "A file for --prompt may hold {question}, {options} (\"A. ...\" lines) and {hint}.\n"
             "\n",
    .after =
        "A row to grade is {\"prediction\": TEXT} and what is right: \"answers\" or\n"
        "\"targets\", a text or a list of them, or \"answer\", a cell of a data file (a\n"
        "Python list in it is read as one); for mcq \"answer\", a letter, and \"options\":\n"
        "{\"A\": TEXT, ...}. \"split\", \"category\", \"dataset\" and \"cycle_category\" group "
        "the\n"
        "numbers. Rows are printed in their order and unchanged, with \"score\" from 0 to\n"
        "1, \"score_lmms\" where lmms-eval scores otherwise, and \"extracted\", the letter of\n"
        "mcq (Z: none). The totals are one JSON object on standard error.\n"
        "\n"
        "  chartqa   numbers within 5 %, other texts but for case (VLMEvalKit, lmms-eval)\n"
        "  anls      InfographicVQA, DocVQA (VLMEvalKit, lmms-eval, the RRC server)\n"
        "  ocrbench  an answer is inside the prediction (VLMEvalKit, lmms-eval)\n"
        "  mcq       options by exact matching, no judge (VLMEvalKit, lmms-eval hrbench)\n"
        "  f1        words in common (LongBench qa_f1)\n"
        "  em        equal but for blanks and case (VLMEvalKit accuracy)\n"
        "  em-answer em of the text after \"Answer:\"\n"
        "\n"
        "--compare pairs rows by \"id\" and reports the difference of the mean \"score\" with\n"
        "its 95 % interval (paired bootstrap over documents). It is noise if the interval\n"
        "holds 0 or, where scores are 0 or 1, if p is 0.05 or more: that is McNemar's\n"
        "exact test of the documents with more rows right on one side only. In one file\n"
        "every variant is compared with full (without it, with the first one); of two\n"
        "files, those variants that both have. --variants names them: VARIANT[:RATIO][@CHUNKING], "
        "in one file the\n"
        "base and those to compare with it, of two files one for both, or one each. A\n"
        "base with several chunkings is compared within the same chunking. A part that is\n"
        "left out of a name matches all.\n"
        "\n"
        "--report and --curve compare the answers of each \"variant\", \"chunk\" and \"ratio\"\n"
        "with those without chunks, of the same \"id\", \"dataset\" and \"metric\".\n"
        "\"prompt_tokens\": {\"total\": N, \"recomputed\": N} and \"flops\" are the work, \"ms\"\n"
        "the time, also in FILE.times, and \"kl\" the divergence. A report has tables with\n"
        "paired 95 % intervals, drawings, and the ten worst answers with their images and\n"
        "the tokens that were recomputed. Images of a TSV are read from it, if it is\n"
        "here, beside the run, or where the command of the run has it.\n"
        "\n"
        "--export-vlmevalkit writes index, question, answer, prediction and, if rows have\n"
        "them, A to Z, category, split and cycle_category, of the variant that --variants\n"
        "names. VLMEvalKit grades it with `vlmutil eval DATASET OUT.tsv`, or as\n"
        "MODEL_DATASET.tsv with PRED_FORMAT=tsv in its environment. Its pandas reads\n"
        "cells such as NA, None and empty ones as nan, from its own files, too.\n"
        "\n"
        "Examples:\n"
        "  vlqa eval questions.jsonl --out run.jsonl --chunk grid:2,grid:4 \\\n"
        "    --variants full,none,infoflow:0.15,cacheblend:0.15,epic:0.15\n"
        "  vlqa eval --curve run.jsonl\n"
        "  vlqa eval --score chartqa rows.jsonl > scored.jsonl\n"
        "  vlqa eval --score anls - < rows.jsonl 2> numbers.json\n"
        "  vlqa eval --compare run.jsonl --variants none,infoflow:0.15\n"
        "  vlqa eval --compare old.jsonl new.jsonl --variants infoflow:0.15@grid:2\n"
        "  vlqa eval --report report.html run.jsonl\n"
        "  vlqa eval run.jsonl --export-vlmevalkit qwen.tsv --variants full\n"
        "  vlqa eval --list \"ChartQA Dataset\" --split val > questions.jsonl\n"
        "  vlqa eval --regrade answered.jsonl > scored.jsonl\n",
    .brief = "model variants out limit chunk score regrade compare report "
             "curve max-tokens json quiet help help-all",
    .example = "vlqa eval questions.jsonl --out run.jsonl --variants full,infoflow:0.15",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
