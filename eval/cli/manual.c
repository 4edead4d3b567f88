/* manual.c - the manual page from the tables of verbs, in the macros of man(7). */
#include "eval/cli/help.h"
#include "include/vlqa.h"

#include <string.h>

/* Text with what roff would read as its own escaped; is_start: at the beginning of a line. */
static void put(FILE *to, const char *text, size_t bytes)
{
    int is_start = 1;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (is_start && (c == '.' || c == '\'')) fputs("\\&", to);
        if (c == '\\')
            fputs("\\e", to);
        else if (c == '-')
            fputs("\\-", to);
        else if (c == '\'')
            fputs("\\(aq", to);
        else
            fputc(c, to);
        is_start = c == '\n';
    }
}

static void put_line(FILE *to, const char *text)
{
    put(to, text, strlen(text));
    fputc('\n', to);
}

/* Lines that stay as they are. */
static void put_lines(FILE *to, const char *text)
{
    fputs(".nf\n", to);
    put(to, text, strlen(text));
    if (*text && text[strlen(text) - 1] != '\n') fputc('\n', to);
    fputs(".fi\n", to);
}

static void print_arg(FILE *to, const struct arg *arg)
{
    char list[160];
    fputs(".TP\n\\fB", to);
    if (arg->letter) fprintf(to, "\\-%c\\fR, \\fB", arg->letter);
    fputs("\\-\\-", to);
    put(to, arg->name, strlen(arg->name));
    fputs("\\fR", to);
    if (args_takes_value(arg)) fprintf(to, " \\fI%s\\fR", arg->value);
    fputc('\n', to);
    put(to, arg->help, strlen(arg->help));
    if (arg->kind == ARG_CHOICE) {
        args_choice_list(arg->choice, list, sizeof list);
        fputs(": ", to);
        put(to, list, strlen(list));
    }
    if (arg->fallback) {
        fputs(" [", to);
        put(to, arg->fallback, strlen(arg->fallback));
        fputs("]", to);
    }
    if (arg->also) {
        fputs("; also \\-\\-", to);
        put(to, arg->also, strlen(arg->also));
    }
    fputc('\n', to);
}

static void print_verb(FILE *to, const struct verb *verb)
{
    fputs(".SH VLQA ", to);
    for (const char *c = verb->name; *c; c++)
        fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, to);
    fputc('\n', to);
    put_line(to, verb->summary);
    fputs(".PP\n", to);
    put_lines(to, verb->synopsis);
    for (int i = 0; i < verb->n_args; i++)
        if (verb->arg[i].kind == ARG_HEADING) {
            fputs(".SS ", to);
            put_line(to, verb->arg[i].name);
        } else {
            print_arg(to, &verb->arg[i]);
        }
    if (*verb->notes) {
        fputs(".SS Notes\n", to);
        put_lines(to, verb->notes);
        if (verb->after) put_lines(to, verb->after);
    }
    for (int i = 0; i < verb->n_sub; i++)
        print_verb(to, verb->sub[i]);
}

void manual_print(FILE *to, const struct verb *const *verbs, int n)
{
    fprintf(to,
            ".TH VLQA 1 \"\" \"vlqa %s\" \"User Commands\"\n"
            ".SH NAME\n"
            "vlqa \\- answers questions about charts, infographics and documents\n"
            ".SH SYNOPSIS\n"
            ".nf\n"
            "vlqa [ask] [\\-m DIR] \\-\\-image FILE \\-p TEXT [OPTION]...\n"
            "vlqa VERB [OPTION]...\n"
            ".fi\n"
            ".SH DESCRIPTION\n"
            "vlqa runs Qwen3\\-VL and remembers what it has read: the output of the vision tower\n"
            "and chunks of the KV cache stay in memory and on disk, so that the next question\n"
            "about the same document costs a fraction of the first one.\n"
            ".SH ENVIRONMENT\n"
            "VLQA_SOME_NAME gives the default of \\-\\-some\\-name.\n"
            ".SH EXIT STATUS\n",
            VLQA_VERSION_TEXT);
    put_lines(to, help_exit_codes);
    for (int i = 0; i < n; i++)
        print_verb(to, verbs[i]);
}
