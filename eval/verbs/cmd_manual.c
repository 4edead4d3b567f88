/* cmd_manual.c - the verbs manual and completion: the option tables for man, bash and zsh. */
#include "eval/cli/cli.h"
#include "eval/cli/help.h"
#include "eval/verbs/verbs.h"

#include <stdlib.h>
#include <string.h>

struct manual_args {
    struct cli_args common;
    const char *shell;
};

#define FIELD(member) .offset = offsetof(struct manual_args, member)

static int run_manual(const struct verb *verb, int argc, char **argv)
{
    struct manual_args args = {0};
    struct cli cli;
    int code = cli_begin(&cli, verb, argc, argv, &args.common);
    if (code != CLI_GO_ON) return code;
    manual_print(stdout, verbs, n_verbs);
    return cli_flush();
}

static int run_completion(const struct verb *verb, int argc, char **argv)
{
    struct manual_args args = {0};
    struct cli cli;
    int code = cli_begin(&cli, verb, argc, argv, &args.common);
    if (code != CLI_GO_ON) return code;
    if (!args.shell || (strcmp(args.shell, "bash") != 0 && strcmp(args.shell, "zsh") != 0))
        return cli_fail(&cli, VLQA_EUSAGE, "give the name of a shell: bash or zsh");
    if (strcmp(args.shell, "bash") == 0)
        completion_print_bash(stdout, verbs, n_verbs);
    else
        completion_print_zsh(stdout, verbs, n_verbs);
    return cli_flush();
}

static const struct arg manual_table[] = {{ARG_HEADING, .name = "Options"}, CLI_HELP_ARGS};
static const struct arg completion_table[] = {
    {ARG_HEADING, .name = "Options"},
    {ARG_POSITIONAL, .name = "shell", .value = "SHELL", FIELD(shell), .words = "bash zsh",
     .help = "bash or zsh"},
    CLI_HELP_ARGS,
};

const struct verb verb_manual = {
    .name = "manual",
    .summary = "print the manual page for man",
    .synopsis = "Usage: vlqa manual\n",
    .notes = "Example:\n  vlqa manual | man -l -\n",
    .arg = manual_table,
    .n_args = (int)(sizeof manual_table / sizeof *manual_table),
    .run = run_manual,
};

const struct verb verb_completion = {
    .name = "completion",
    .summary = "print a script that completes options in a shell",
    .synopsis = "Usage: vlqa completion bash | zsh\n",
    .notes = "Example, for bash in this terminal:\n  . <(vlqa completion bash)\n",
    .arg = completion_table,
    .n_args = (int)(sizeof completion_table / sizeof *completion_table),
    .run = run_completion,
};
