/* help.c - the help of a verb from its table: the options most use, or all of them. */
#include "eval/cli/help.h"

#include <string.h>

enum { HELP_COLUMN = 30, HELP_WIDTH = 80 };

/* Words of text from HELP_COLUMN on; column is where the cursor stands. */
static void print_wrapped(FILE *to, const char *text, int column)
{
    while (*text) {
        int bytes = (int)strcspn(text, " ");
        if (column < HELP_COLUMN || column + 1 + bytes > HELP_WIDTH) {
            if (column >= HELP_COLUMN) {
                fputc('\n', to);
                column = 0;
            }
            column += fprintf(to, "%*s", HELP_COLUMN - column, "");
        } else {
            column += fprintf(to, " ");
        }
        fwrite(text, 1, (size_t)bytes, to);
        column += bytes;
        text += bytes;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void print_arg(FILE *to, const struct arg *arg, int brief)
{
    char text[512], list[160];
    int column, used;
    if (arg->letter)
        column = fprintf(to, "  -%c, --%s", arg->letter, arg->name);
    else
        column = fprintf(to, "      --%s", arg->name);
    if (args_takes_value(arg)) column += fprintf(to, " %s", arg->value);
    if (column > HELP_COLUMN - 2) { /* no room: the text begins on the next line */
        fputc('\n', to);
        column = 0;
    }
    used =
        snprintf(text, sizeof text, "%.*s", (int)strcspn(arg->help, brief ? ";" : ""), arg->help);
    if (!brief && arg->kind == ARG_CHOICE) {
        args_choice_list(arg->choice, list, sizeof list);
        used += snprintf(text + used, sizeof text - (size_t)used, ": %s", list);
    }
    if (arg->fallback &&
        (!brief || used + (int)strlen(arg->fallback) + 3 <= HELP_WIDTH - HELP_COLUMN))
        used += snprintf(text + used, sizeof text - (size_t)used, " [%s]", arg->fallback);
    if (!brief && arg->also)
        snprintf(text + used, sizeof text - (size_t)used, "; also --%s", arg->also);
    print_wrapped(to, text, column);
}

static void print_all(FILE *to, const struct verb *verb)
{
    fprintf(to, "Defaults are in brackets.\n");
    for (int i = 0; i < verb->n_args; i++) {
        if (verb->arg[i].kind == ARG_HEADING)
            fprintf(to, "\n%s:\n", verb->arg[i].name);
        else
            print_arg(to, &verb->arg[i], 0);
    }
    fprintf(to, "\n%s%s", verb->notes, verb->after ? verb->after : "");
}

static const struct arg *find_option(const struct verb *verb, const char *name, size_t bytes)
{
    for (int i = 0; i < verb->n_args; i++)
        if (verb->arg[i].kind != ARG_HEADING && strlen(verb->arg[i].name) == bytes &&
            strncmp(verb->arg[i].name, name, bytes) == 0)
            return &verb->arg[i];
    return NULL;
}

static void print_brief(FILE *to, const struct verb *verb)
{
    fputc('\n', to);
    for (const char *name = verb->brief; *name; name += strspn(name, " ")) {
        size_t bytes = strcspn(name, " ");
        const struct arg *arg = find_option(verb, name, bytes);
        if (arg)
            print_arg(to, arg, 1);
        else
            fprintf(to, "%.*s is no option\n", (int)bytes, name);
        name += bytes;
    }
    fprintf(to, "\nExample: %s\n", verb->example);
}

void help_print(FILE *to, const struct verb *verb, int everything)
{
    fprintf(to, "vlqa %s - %s\n\n%s", verb->name, verb->summary, verb->synopsis);
    if (everything || !verb->brief)
        print_all(to, verb);
    else
        print_brief(to, verb);
}

const char help_exit_codes[] =
    "  0    all is well\n"
    "  1    a failure while running\n"
    "  2    wrong usage, or a text that is not UTF-8\n"
    "  3    an image was rejected, or a question of eval or --jsonl failed\n"
    "  4    a model was rejected\n"
    "  5    out of memory, or over a limit\n"
    "  6    the cache had a problem (--cache-strict, cache verify)\n"
    "  130  interrupted\n";
