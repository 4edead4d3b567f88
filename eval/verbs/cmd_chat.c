/* cmd_chat.c - the verb chat: questions line by line about one growing conversation. */
#include "base/file.h"
#include "base/heap.h"
#include "eval/data/lines.h"
#include "eval/options/cache_flags.h"
#include "eval/options/calibration.h"
#include "eval/options/document.h"
#include "eval/options/quality.h"
#include "eval/options/reuse_flags.h"
#include "eval/options/sampling.h"
#include "eval/options/stream.h"
#include "eval/verbs/verbs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TEXT ((size_t)16 << 20)

struct chat_args {
    struct cli_args common;
    struct document_args document;
    int max_seq_len;
    struct sampling_args sampling;
    struct reuse_args reuse;
    struct cache_args cache;
};

struct chat {
    struct cli cli;
    struct chat_args args;
    struct document document;
    struct sampling_lists lists;
    struct vlqa_ask_options options;
    struct vlqa_experimental more;
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    struct stream out;
    char *system; /* on the heap, as /system gave it; NULL: none */
    int begun;    /* the conversation has more than a system text */
    int prompts;  /* somebody sits at a terminal */
    int failed;   /* exit code of the first line that failed, for pipes */
    int n_failed; /* lines */
    int lacks; /* a command of a pipe failed: what is asked behind it would be asked without it */
    int ended;
};

/* ---- lines and what they do ---- */

/* What went wrong does not end the conversation; nothing of it is changed. */
static void fail(struct chat *c, vlqa_status status, const char *message)
{
    cli_note(&c->cli, "%s", status == VLQA_ECANCELLED ? "stopped" : message);
    if (!c->failed) c->failed = cli_exit_code(status);
    c->n_failed++;
    if (status == VLQA_EDEVICE) c->ended = 1;
}

static void fail_session(struct chat *c, vlqa_status status)
{
    fail(c, status, vlqa_message(c->session));
    if (status == VLQA_ELIMIT)
        cli_note(&c->cli,
                 "/clear begins a new conversation; --max-seq-len has room for a longer one");
}

static vlqa_status begin_again(struct chat *c)
{
    TRY(vlqa_session_clear(c->session));
    c->begun = 0;
    return c->system ? vlqa_set_system(c->session, c->system, strlen(c->system)) : VLQA_OK;
}

static void do_clear(struct chat *c, char *rest)
{
    vlqa_status status = begin_again(c);
    (void)rest;
    if (status != VLQA_OK) fail_session(c, status);
}

static void do_system(struct chat *c, char *rest)
{
    size_t bytes = strlen(rest);
    char *copy = bytes ? heap_alloc(bytes + 1) : NULL;
    if (bytes && !copy) {
        fail(c, VLQA_EMEMORY, "out of memory: the system text");
        return;
    }
    if (copy) memcpy(copy, rest, bytes + 1);
    heap_free(c->system);
    c->system = copy;
    if (c->begun)
        cli_note(&c->cli, "the conversation has begun: the system text counts after /clear");
    else
        do_clear(c, NULL);
}

/* A path as a terminal pastes it: in quotes, or with a backslash before each blank. */
static void unquote(char *path)
{
    size_t n = strlen(path);
    char *to = path;
    if (n > 1 && (path[0] == '"' || path[0] == '\'') && path[n - 1] == path[0]) {
        memmove(path, path + 1, n - 2);
        path[n - 2] = 0;
        return;
    }
    for (const char *from = path; *from; from++) {
        from += from[0] == '\\' && from[1] == ' ';
        *to++ = *from;
    }
    *to = 0;
}

static void do_image(struct chat *c, char *rest)
{
    struct vlqa_image_info info;
    vlqa_status status;
    unquote(rest);
    if (!*rest) {
        fail(c, VLQA_EUSAGE, "/image needs a file: /image chart.png");
        return;
    }
    status = vlqa_add_image_file(c->session, rest);
    progress_clear(&c->cli.bar);
    if (status != VLQA_OK) {
        fail_session(c, status == VLQA_EIO ? VLQA_EIMAGE : status);
        return;
    }
    c->begun = 1;
    if (c->prompts && vlqa_last_image(c->session, &info, sizeof info) == VLQA_OK)
        cli_note(&c->cli, "%s: %d x %d pixels, %d tokens", rest, info.width, info.height,
                 info.tokens);
}

static void do_text(struct chat *c, char *rest)
{
    void *text;
    size_t bytes;
    vlqa_status status;
    unquote(rest);
    if (!*rest) {
        fail(c, VLQA_EUSAGE, "/text needs a file: /text report.txt");
        return;
    }
    status = file_read(&c->cli.env, rest, MAX_TEXT, &text, &bytes);
    if (status != VLQA_OK) {
        fail(c, status, c->cli.env.message);
        return;
    }
    status = vlqa_add_text(c->session, text, bytes);
    heap_free(text);
    if (status == VLQA_OK)
        c->begun = 1;
    else
        fail_session(c, status);
}

static void do_quit(struct chat *c, char *rest)
{
    (void)rest;
    c->ended = 1;
}

static void do_help(struct chat *c, char *rest);

static const struct command {
    const char *name, *value, *help;
    int mends; /* what a command before it failed to add */
    void (*run)(struct chat *c, char *rest);
} commands[] = {
    {"/image", "FILE", "adds a picture to the next question", 1, do_image},
    {"/text", "FILE", "adds a text to it", 1, do_text},
    {"/system", "TEXT", "sets the system text, or none without TEXT", 0, do_system},
    {"/clear", "", "forgets pictures, texts and turns", 1, do_clear},
    {"/help", "", "shows these lines", 0, do_help},
    {"/quit", "", "ends, as the end of input does", 0, do_quit},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void do_help(struct chat *c, char *rest)
{
    (void)rest;
    progress_clear(&c->cli.bar);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  %-8s %-5s %s\n", commands[i].name, commands[i].value, commands[i].help);
    fputs("  all else is a question; Ctrl-C stops an answer\n", stderr);
}

/* A vlqa_token_fn. */
static int on_token(void *user, const char *utf8, size_t bytes)
{
    struct chat *c = user;
    progress_clear(&c->cli.bar);
    stream_answer(&c->out, utf8, bytes);
    return cli_interrupted() || c->out.code != CLI_OK;
}

/* A vlqa_token_fn. */
static int on_thinking(void *user, const char *utf8, size_t bytes)
{
    struct chat *c = user;
    progress_clear(&c->cli.bar);
    if (c->args.sampling.show_thinking) stream_thoughts(&c->out, utf8, bytes);
    return cli_interrupted() || c->out.code != CLI_OK;
}

/* Question and answer become turns; what was stopped is kept as far as it got. */
static void ask(struct chat *c, const char *question)
{
    struct vlqa_answer answer;
    vlqa_status status;
    c->out = (struct stream){.code = c->out.code};
    status = vlqa_ask(c->session, question, &c->options, &answer, sizeof answer);
    progress_clear(&c->cli.bar);
    if (status == VLQA_OK || c->out.last) (void)stream_end(&c->out);
    if (status != VLQA_OK) {
        fail_session(c, status);
        return;
    }
    c->begun = 1;
    if (answer.stop == VLQA_STOP_CALLER && c->out.code == CLI_OK) cli_note(&c->cli, "stopped");
    sampling_note_stop(&c->cli, &answer);
}

static void run_command(struct chat *c, char *line)
{
    const char *names[N_COMMANDS], *nearest;
    char word[16];
    int before = c->n_failed;
    size_t bytes = strcspn(line, " \t");
    for (int i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strlen(names[i]) != bytes || strncmp(names[i], line, bytes) != 0) continue;
        commands[i].run(c, line + bytes + strspn(line + bytes, " \t"));
        c->lacks = !c->prompts && (c->n_failed > before || (c->lacks && !commands[i].mends));
        return;
    }
    snprintf(word, sizeof word, "%.*s", (int)bytes, line);
    nearest = args_nearest(word, names, N_COMMANDS);
    (void)env_fail(
        &c->cli.env, VLQA_EUSAGE,
        "unknown command %s%s%s%s (/help lists them; a question that begins with / has a "
        "blank before it)",
        word, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    fail(c, VLQA_EUSAGE, c->cli.env.message);
    c->lacks = !c->prompts;
}

/* A copy of a line without white space behind it, which the caller frees; NULL: no memory. */
static char *copy_line(const char *line, size_t bytes)
{
    char *copy = heap_alloc(bytes + 1);
    while (bytes && strchr(" \t\r", line[bytes - 1]))
        bytes--;
    if (!copy) return NULL;
    memcpy(copy, line, bytes);
    copy[bytes] = 0;
    return copy;
}

/* A made-up answer would look like one; an empty line keeps the count. */
static void skip_question(struct chat *c)
{
    c->out.code = cli_write("\n", 1);
    fail(c, VLQA_EUSAGE, "the question is not asked, because the command before it failed");
}

static void run_line(struct chat *c, const char *line, size_t bytes)
{
    char *copy = memchr(line, 0, bytes) ? NULL : copy_line(line, bytes);
    if (!copy)
        fail(c, VLQA_ETEXT, "the line holds a NUL byte, or there is no memory for it");
    else if (*copy == '/')
        run_command(c, copy);
    else if (c->lacks)
        skip_question(c);
    else
        ask(c, copy + strspn(copy, " \t"));
    heap_free(copy);
}

/* Ctrl-C while a line is awaited ends the program. */
static int run_lines(struct chat *c)
{
    struct lines lines;
    vlqa_status status = lines_open(&c->cli.env, "-", &lines);
    const char *line = "";
    size_t bytes;
    cli_release_interrupt();
    while (status == VLQA_OK && !c->ended && c->out.code == CLI_OK) {
        if (c->prompts) fputs("> ", stderr);
        status = lines_next_full(&c->cli.env, &lines, &line, &bytes);
        if (status != VLQA_OK || !line) break;
        cli_catch_interrupt();
        run_line(c, line, bytes);
        cli_release_interrupt();
    }
    if (c->prompts && !line) fputc('\n', stderr);
    lines_close(&lines);
    if (status != VLQA_OK) return cli_fail(&c->cli, status, c->cli.env.message);
    if (c->out.code != CLI_OK) return c->out.code;
    return c->prompts ? CLI_OK : c->failed;
}

/* ---- the verb ---- */

static int open_all(struct chat *c)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    char path[CACHE_PATH];
    vlqa_status status;
    int code;
    document_options(&c->args.document, &options);
    cache_options(&c->args.cache, path, &options);
    code = cli_open_engine(&c->cli, &options, &c->engine);
    if (code == CLI_OK)
        code = cli_open_session(&c->cli, c->engine, c->args.max_seq_len,
                                reuse_is_experimental(&c->args.reuse), &c->session);
    if (code == CLI_OK) code = document_stand_in(&c->cli, &c->args.document, c->session);
    if (code != CLI_OK) return code;
    status = calibration_apply(&c->cli.env, &c->args.cache, c->engine, &c->args.reuse.layers);
    if (status == VLQA_OK)
        status = quality_apply(&c->cli, &c->args.cache, c->engine, &c->args.reuse);
    return status == VLQA_OK ? CLI_OK : cli_fail(&c->cli, status, c->cli.env.message);
}

static int check_args(struct chat *c)
{
    const struct arg_items *items = &c->args.document.items;
    int code;
    for (int i = 0; i < items->n; i++)
        if (strcmp(items->item[i].value, "-") == 0)
            return cli_fail(&c->cli, VLQA_EUSAGE,
                            "chat reads its lines from standard input: give "
                            "--image and --text a file");
    code = quality_check(&c->cli, &c->args.reuse, &c->args.sampling);
    if (code != CLI_OK) return code;
    sampling_note_unused(&c->cli, &c->args.sampling, c->args.reuse.variant == REUSE_RANDOM);
    return sampling_options(&c->cli, &c->args.sampling, &c->lists, &c->options);
}

static int begin(struct chat *c)
{
    int code = document_add(&c->document, c->session);
    const char *text = c->args.document.system;
    if (code != CLI_OK) return code;
    c->begun = c->args.document.items.n > 0;
    if (text) c->system = copy_line(text, strlen(text));
    reuse_options(&c->args.reuse, &c->options, &c->more);
    c->options.keep = 1;
    c->options.on_token = on_token;
    c->options.on_thinking = on_thinking;
    c->options.user = c;
    c->prompts = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && !c->args.common.quiet;
    if (c->prompts) cli_note(&c->cli, "a question, /image FILE, or /help");
    return CLI_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct chat c;
    int code;
    memset(&c, 0, sizeof c);
    c.options = vlqa_ask_options_default();
    code = cli_begin(&c.cli, verb, argc, argv, &c.args.common);
    if (code != CLI_GO_ON) return code;
    c.document = (struct document){.cli = &c.cli, .args = &c.args.document};
    code = check_args(&c);
    if (code == CLI_OK) code = document_read(&c.document);
    cli_catch_interrupt();
    if (code == CLI_OK) code = open_all(&c);
    if (code == CLI_OK) code = begin(&c);
    if (code == CLI_OK) code = run_lines(&c);
    if (code == CLI_OK) code = cache_check(&c.cli, &c.args.cache, c.engine);
    vlqa_session_close(c.session);
    vlqa_engine_close(c.engine);
    document_free(&c.document);
    heap_free(c.system);
    return code;
}

#define FIELD(member) .offset = offsetof(struct chat_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Documents that are there from the beginning"},
    DOCUMENT_ITEM_ARGS(struct chat_args, document),
    SAMPLING_ARGS(struct chat_args, sampling),
    REUSE_ARGS(struct chat_args, reuse),
    REUSE_KEEP_ARGS(struct chat_args, reuse),
    {ARG_HEADING, .name = "Model"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    CLI_TEMPLATE_ARG,
    {ARG_INT, .name = "max-seq-len", .letter = 'c', .value = "TOKENS", .min = 1, .max = 1 << 20,
     FIELD(max_seq_len), .help = "longest conversation [what the model allows, at most 32768]"},
    DOCUMENT_IMAGE_ARGS(struct chat_args, document),
    CACHE_ARGS(struct chat_args, cache),
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    CLI_LOG_ARGS,
};

const struct verb verb_chat = {
    .name = "chat",
    .summary = "ask in turns about images and texts, at a terminal or from a pipe",
    .synopsis = "Usage: vlqa chat [-m DIR] [--image FILE | --text FILE]... [OPTION]...\n",
    .notes = "A line of standard input is a question, whose answer is printed as it comes and\n"
             "kept as a turn, or a command:\n"
             "\n"
             "  /image FILE   adds a picture to the next question\n"
             "  /text FILE    adds a text to it\n"
             "  /system TEXT  sets the system text, or none without TEXT\n"
             "  /clear        forgets pictures, texts and turns\n"
             "  /help         shows the commands\n"
             "  /quit         ends, as the end of input does\n"
             "\n"
             "Ctrl-C stops an answer, of which the conversation keeps what there is. Prompts\n"
             "are shown where standard input is a terminal. Where it is not, the exit code is\n"
             "that of the first line that failed.\n"
             "\n"
             "Example:\n"
             "  printf '/image chart.png\\nWhich year was best?\\nBy how much?\\n' | vlqa chat\n",
    .brief = "image text system model max-tokens temp stop show-thinking reuse "
             "no-cache threads quiet help help-all",
    .example = "vlqa chat -m DIR --image chart.png",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
