/* cmd_quantize.c - the verb quantize: a checkpoint to a directory with fewer bits. */
#include "eval/cli/cli.h"
#include "eval/verbs/verbs.h"

struct quantize_args {
    struct cli_args common;
    struct arg_items out;
    int weights; /* of formats */
};

#define FIELD(member) .offset = offsetof(struct quantize_args, member)

static const char *const formats[] = {"int8", "int4", NULL};

static int run(const struct verb *verb, int argc, char **argv)
{
    static struct quantize_args args; /* large: zeroed, and used once */
    struct vlqa_engine_options options = vlqa_engine_options_default();
    struct cli cli;
    vlqa_status status;
    int code = cli_begin(&cli, verb, argc, argv, &args.common);
    if (code != CLI_GO_ON) return code;
    if (!args.common.model || args.out.n != 1)
        return cli_fail(&cli, VLQA_EUSAGE, "give the model and one directory to write");
    cli_catch_interrupt();
    options.model = args.common.model;
    options.threads = args.common.threads;
    options.weights = args.weights ? VLQA_WEIGHTS_INT4 : VLQA_WEIGHTS_INT8;
    options.log = cli_log;
    options.progress = cli_progress;
    options.user = &cli;
    status = vlqa_quantize(&options, args.out.item[0].value);
    progress_clear(&cli.bar);
    return cli_exit_code(status);
}

static const struct arg args[] = {
    {ARG_HEADING, .name = "Options"},
    {ARG_POSITIONAL, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory in BF16, F16 or F32"},
    {ARG_REST, .name = "out", .value = "OUT", FIELD(out), .help = "directory that is written"},
    {ARG_CHOICE, .name = "weights", .value = "FORMAT", .fallback = "int8", .choice = formats,
     FIELD(weights), .help = "format of the decoder's matrices"},
    {ARG_INT, .name = "threads", .letter = 't', .value = "N", .min = 1, .max = 1024,
     .help = "threads [one per core]", CLI_FIELD(threads)},
    CLI_LOG_ARGS,
};

const struct verb verb_quantize = {
    .name = "quantize",
    .summary = "write a model with weights in eight or four bits",
    .synopsis = "Usage: vlqa quantize DIR OUT [--weights int8|int4]\n",
    .notes = "OUT is a Hugging Face directory in the compressed-tensors format\n"
             "(pack-quantized), which transformers and vLLM read, too. Answers are bit for bit\n"
             "those of DIR with --weights; only reading is faster, and the files are smaller.\n"
             "int8: a scale for each row. int4: a scale and a zero point for 32 columns. The\n"
             "vision tower, the embedding and the head are written as they are. Tokenizer,\n"
             "templates and configuration are copied. OUT must not be there; it appears when\n"
             "all of it is on disk.\n"
             "\n"
             "Example:\n"
             "  vlqa quantize Qwen3-VL-2B-Instruct Qwen3-VL-2B-int4 --weights int4\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
