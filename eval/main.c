/* main.c - the program vlqa: picks the verb. */
#include "eval/cli/cli.h"
#include "eval/cli/help.h"
#include "eval/cli/hint.h"
#include "eval/verbs/verbs.h"

#include <string.h>

static int print_overview(void)
{
    puts("vlqa - answers questions about charts, infographics and documents\n\n"
         "Usage: vlqa [ask] [-m DIR] --image FILE -p TEXT [OPTION]...\n"
         "       vlqa VERB [OPTION]...\n\n"
         "Verbs:");
    for (int i = 0; i < n_verbs; i++)
        printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    puts("\n'vlqa VERB --help' lists the options of a verb; 'vlqa --version' the version.\n"
         "The environment variable VLQA_SOME_NAME gives the default of --some-name.\n"
         "\n"
         "Example:\n"
         "  vlqa --image chart.png -p \"Which year was best?\"\n"
         "\n"
         "Exit codes:");
    fputs(help_exit_codes, stdout);
    return cli_flush();
}

static int unknown_verb(const char *word)
{
    struct env env = {0};
    const char *names[MAX_VERBS], *nearest;
    char hint[HINT_CAP];
    for (int i = 0; i < n_verbs; i++)
        names[i] = verbs[i]->name;
    nearest = args_nearest(word, names, n_verbs);
    if (!nearest && hint_of(word, hint))
        (void)env_fail(&env, VLQA_EUSAGE, "unexpected argument %s: %s", word, hint);
    else
        (void)env_fail(&env, VLQA_EUSAGE, "unknown verb %s%s%s%s", word,
                       nearest ? "; did you mean " : "", nearest ? nearest : "",
                       nearest ? "?" : "");
    fprintf(stderr, "vlqa: %s\nTry 'vlqa --help'.\n", env.message);
    return CLI_USAGE;
}

static int dispatch(int argc, char **argv);

/* vlqa help VERB... is vlqa VERB... --help. */
static int print_help(int argc, char **argv)
{
    static char option[] = "--help";
    if (argc < 3) return print_overview();
    for (int i = 1; i + 1 < argc; i++)
        argv[i] = argv[i + 1];
    argv[argc - 1] = option;
    return dispatch(argc, argv);
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        fputs("vlqa: nothing to do\nTry 'vlqa --help'.\n", stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return print_overview();
    if (strcmp(argv[1], "help") == 0) return print_help(argc, argv);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("vlqa %s\n", vlqa_version());
        return cli_flush();
    }
    if (argv[1][0] == '-') return verb_ask.run(&verb_ask, argc - 1, argv + 1);
    for (int i = 0; i < n_verbs; i++)
        if (strcmp(argv[1], verbs[i]->name) == 0)
            return verbs[i]->run(verbs[i], argc - 2, argv + 2);
    return unknown_verb(argv[1]);
}

int main(int argc, char **argv)
{
    cli_guard_streams();
    return cli_close_output(dispatch(argc, argv));
}
