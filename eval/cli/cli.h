/* cli.h - what the verbs share: exit codes, messages, output, interruption, opening the engine. */
#ifndef EVAL_CLI_H
#define EVAL_CLI_H

#include "eval/cli/args.h"
#include "eval/cli/progress.h"
#include "eval/cli/report.h"
#include "include/vlqa_ranks.h"

enum {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_IMAGE = 3,
    CLI_MODEL = 4,
    CLI_LIMIT = 5,
    CLI_CACHE = 6,
    CLI_INTERRUPTED = 130,
    CLI_GO_ON = -1 /* of cli_begin only */
};

/* Options of every verb: the first member of each verb's own struct. */
struct cli_args {
    const char *model, *chat_template;
    int threads, dtype, kv_dtype, weights, head_weights, cpu, device, gpu;
    int json, quiet, verbose, help, help_all;
    int ranks, divide_weights, rank_timeout; /* rank_timeout is 0 in verbs without ranks */
};

extern const char *const cli_dtypes[], *const cli_kv_dtypes[], *const cli_cpus[];
extern const char *const cli_weights[], *const cli_head_weights[], *const cli_devices[];

#define CLI_FIELD(member) .offset = offsetof(struct cli_args, member)

/* Behind the model. */
#define CLI_TEMPLATE_ARG                                                                \
    {                                                                                   \
        ARG_TEXT, .name = "chat-template", .value = "FILE|qwen3vl", .words = "qwen3vl", \
                  .help = "chat template in Jinja's language, or that of Qwen3-VL "     \
                          "Instruct [the model's]",                                     \
                  CLI_FIELD(chat_template)                                              \
    }

#define CLI_COMPUTE_ARGS                                                                          \
    {ARG_HEADING, .name = "Computation"},                                                         \
        {ARG_INT,                                                                                 \
         .name = "threads",                                                                       \
         .letter = 't',                                                                           \
         .value = "N",                                                                            \
         .min = 1,                                                                                \
         .max = 1024,                                                                             \
         .help = "threads [one per core]",                                                        \
         CLI_FIELD(threads)},                                                                     \
        {ARG_CHOICE,           .name = "dtype",         .value = "TYPE", .fallback = "auto",      \
         .choice = cli_dtypes, .help = "number format", CLI_FIELD(dtype)},                        \
        {ARG_CHOICE,                                                                              \
         .name = "kv-dtype",                                                                      \
         .value = "TYPE",                                                                         \
         .fallback = "auto",                                                                      \
         .choice = cli_kv_dtypes,                                                                 \
         .help = "number format of keys and values; auto follows --dtype, int8 and int4 are for " \
                 "stored chunks",                                                                 \
         CLI_FIELD(kv_dtype)},                                                                    \
        {ARG_CHOICE,                                                                              \
         .name = "weights",                                                                       \
         .value = "FORMAT",                                                                       \
         .fallback = "auto",                                                                      \
         .choice = cli_weights,                                                                   \
         .help =                                                                                  \
             "format of the decoder's weights in memory; int8 and int4 are faster and quantise "  \
             "while the model is read, auto is what the files have",                              \
         CLI_FIELD(weights)},                                                                     \
        {ARG_CHOICE,                                                                              \
         .name = "head-weights",                                                                  \
         .value = "FORMAT",                                                                       \
         .fallback = "auto",                                                                      \
         .choice = cli_head_weights,                                                              \
         .help = "of embedding and head; auto is int8 where --weights is int8 or int4",           \
         CLI_FIELD(head_weights)},                                                                \
        {ARG_CHOICE,                                                                              \
         .name = "device",                                                                        \
         .value = "DEVICE",                                                                       \
         .fallback = "cpu",                                                                       \
         .choice = cli_devices,                                                                   \
         .help = "cpu, a GPU by cuda, or auto: a GPU where there is one",                         \
         CLI_FIELD(device)},                                                                      \
        {ARG_INT,       .name = "gpu", .value = "N",                                              \
         .min = 0,      .max = 1023,   .help = "which GPU, from 0",                               \
         CLI_FIELD(gpu)},                                                                         \
    {                                                                                             \
        ARG_CHOICE, .name = "cpu", .value = "SET", .fallback = "auto", .choice = cli_cpus,        \
                    .help = "highest instruction set to use", CLI_FIELD(cpu)                      \
    }

/* Behind CLI_COMPUTE_ARGS, in verbs whose ranks make the same calls. */
#define CLI_RANKS_ARGS                                                                          \
    {ARG_INT,                                                                                   \
     .name = "ranks",                                                                           \
     .value = "N",                                                                              \
     .min = 1,                                                                                  \
     .max = VLQA_RANKS_MOST,                                                                    \
     .help = "processes that answer together; they share the cores, and the answer is that of " \
             "one [1, or those of mpirun]",                                                     \
     CLI_FIELD(ranks)},                                                                         \
        {ARG_FLAG, .name = "divide-weights",                                                    \
         .help = "with --ranks: each has a part of the decoder's weights, for models that one " \
                 "does not hold",                                                               \
         CLI_FIELD(divide_weights)},                                                            \
    {                                                                                           \
        ARG_INT, .name = "rank-timeout", .value = "SECONDS", .min = 1, .max = 86400,            \
                 .fallback = "600", .help = "with --ranks: how long they wait for one another", \
                 CLI_FIELD(rank_timeout)                                                        \
    }

#define CLI_HELP_ARGS                                                                        \
    {ARG_FLAG, .name = "help", .letter = 'h', .help = "this text", CLI_FIELD(help)},         \
    {                                                                                        \
        ARG_FLAG, .name = "help-all", .help = "all options and formats", CLI_FIELD(help_all) \
    }

#define CLI_LOG_ARGS                                                                    \
    {ARG_FLAG, .name = "quiet", .letter = 'q', .help = "print results and errors only", \
     CLI_FIELD(quiet)},                                                                 \
        {ARG_FLAG, .name = "verbose", .letter = 'v',                                    \
         .help = "print log lines of the runtime, too", CLI_FIELD(verbose)},            \
        CLI_HELP_ARGS

#define CLI_OUTPUT_ARGS \
    {ARG_FLAG, .name = "json", .help = "print one JSON object", CLI_FIELD(json)}, CLI_LOG_ARGS

struct cli {
    const struct verb *verb;
    const struct cli_args *args;
    int argc; /* behind the verb */
    char **argv;
    struct env env; /* for messages of our own */
    struct progress bar;
    double start_ms;
    struct vlqa_ranks *ranks; /* NULL: this process alone */
    int rank;                 /* 0 writes and speaks; others have /dev/null for that */
};

/* Before anything is opened: standard streams exist, SIGPIPE and SIGXFSZ are errors of write. */
void cli_guard_streams(void);
/* Parses into args, which begins a zeroed struct. CLI_GO_ON, or an exit code when all is said. */
int cli_begin(struct cli *cli, const struct verb *verb, int argc, char **argv,
              struct cli_args *args);

/* "vlqa: ..." on standard error, below any progress line. */
void cli_note(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With the options of these names, ended by NULL, that the command line has: that they have no
 * effect, and why; nothing with --quiet. Those of the environment are for all commands. */
void cli_note_unused(struct cli *cli, const char *const *names, const char *why);
/* The message, how to get help after a usage error; returns the exit code of the status. */
int cli_fail(struct cli *cli, vlqa_status status, const char *message);
int cli_exit_code(vlqa_status status);

/* Standard output. CLI_OK, or CLI_FAILED after a message when it cannot be written. */
int cli_flush(void);
int cli_write(const char *data, size_t bytes);                /* and flushed at once */
int cli_write_report(struct cli *cli, struct report *report); /* ends it, too */
/* At the very end: code, or CLI_FAILED after a message when the last of it got lost. */
int cli_close_output(int code);

/* From now on the first SIGINT is noted, the second one kills. */
void cli_catch_interrupt(void);
int cli_interrupted(void);
/* From now on it kills again, as before; what was noted is forgotten. */
void cli_release_interrupt(void);
/* SIGINT does nothing from now on, and this signal stands for the first one. */
void cli_interrupt_by(int signal_number);
/* vlqa_log_fn and vlqa_progress_fn; user is a struct cli. */
void cli_log(void *user, enum vlqa_log_level level, const char *line);
int cli_progress(void *user, const char *phase, int64_t done, int64_t total);

/* Completes the options from the common arguments, finds the default model where neither a model
 * nor a random shape is named, and opens. An exit code; *out is NULL unless that is CLI_OK. With
 * --ranks each of them returns, and the process that called only waits for them (ranks.h). */
int cli_open_engine(struct cli *cli, struct vlqa_engine_options *options, struct vlqa_engine **out);
void cli_close_engine(struct cli *cli, struct vlqa_engine *engine); /* and leaves the ranks */
int cli_open_session(struct cli *cli, struct vlqa_engine *engine, int max_seq_len, int experimental,
                     struct vlqa_session **out);

#endif
