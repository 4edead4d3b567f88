/* completion.c - scripts for bash and zsh from the tables of verbs. */
#include "eval/cli/help.h"

#include <string.h>

enum completes { WITH_NOTHING, WITH_FILES, WITH_FOLDERS, WITH_WORDS };

static enum completes what_completes(const struct arg *arg)
{
    if (arg->kind == ARG_CHOICE || arg->words) return WITH_WORDS;
    if (strcmp(arg->value, "DIR") == 0) return WITH_FOLDERS;
    if (strstr(arg->value, "FILE") || strncmp(arg->value, "OUT", 3) == 0 ||
        strcmp(arg->value, "DATASET") == 0)
        return WITH_FILES;
    return WITH_NOTHING;
}

/* "off auto full" */
static void print_words(FILE *to, const struct arg *arg)
{
    if (arg->words) fputs(arg->words, to);
    if (arg->words) return;
    for (int i = 0; arg->choice[i]; i++)
        fprintf(to, "%s%s", i ? " " : "", arg->choice[i]);
}

/* The last word of a verb's name: of "cache ls" that is "ls". */
static const char *last_word(const struct verb *verb)
{
    const char *blank = strrchr(verb->name, ' ');
    return blank ? blank + 1 : verb->name;
}

static void print_names(FILE *to, const struct verb *const *verbs, int n)
{
    for (int i = 0; i < n; i++)
        fprintf(to, "%s%s", i ? " " : "", last_word(verbs[i]));
}

typedef void print_fn(FILE *to, const struct verb *verb);

/* Verbs of verbs first: 'cache ls' is another one than 'cache'. */
static void for_each(FILE *to, const struct verb *const *verbs, int n, print_fn *print)
{
    for (int i = 0; i < n; i++) {
        for_each(to, verbs[i]->sub, verbs[i]->n_sub, print);
        print(to, verbs[i]);
    }
}

/* ---- bash ---- */

static void bash_verb(FILE *to, const struct verb *verb)
{
    int is_sub = strchr(verb->name, ' ') != NULL;
    fprintf(to, "    '%s%s) verb='%s' ;;\n", verb->name, is_sub ? "'" : " '*", verb->name);
}

static void bash_values(FILE *to, const struct verb *verb)
{
    for (int i = 0; i < verb->n_args; i++) {
        const struct arg *arg = &verb->arg[i];
        if (arg->kind == ARG_HEADING || !args_takes_value(arg)) continue;
        fprintf(to, "    '%s --%s'", verb->name, arg->name);
        if (arg->letter) fprintf(to, "|'%s -%c'", verb->name, arg->letter);
        switch (what_completes(arg)) {
        case WITH_WORDS:
            fputs(") _vlqa_reply -W '", to);
            print_words(to, arg);
            fprintf(to, "'%s ;;\n", strstr(arg->value, "FILE") ? " -f" : "");
            break;
        case WITH_FILES:
            fputs(") _vlqa_reply -f ;;\n", to);
            break;
        case WITH_FOLDERS:
            fputs(") _vlqa_reply -d ;;\n", to);
            break;
        case WITH_NOTHING:
            fputs(") COMPREPLY=() ;;\n", to);
        }
    }
}

/* Of an option's beginning. */
static void bash_options(FILE *to, const struct verb *verb)
{
    fprintf(to, "    '%s -'*) _vlqa_reply -W '", verb->name);
    for (int i = 0; i < verb->n_args; i++)
        if (verb->arg[i].kind != ARG_HEADING) fprintf(to, "--%s ", verb->arg[i].name);
    fputs("' ;;\n", to);
}

/* Of a word that is no option: verbs of the verb, or what its argument may be. */
static void bash_words(FILE *to, const struct verb *verb)
{
    const struct arg *first = NULL;
    for (int i = 0; i < verb->n_args && !first; i++)
        if (verb->arg[i].kind == ARG_POSITIONAL && verb->arg[i].words) first = &verb->arg[i];
    if (!verb->n_sub && !first) return;
    fprintf(to, "    '%s '*) _vlqa_reply -W '", verb->name);
    if (first)
        print_words(to, first);
    else
        print_names(to, verb->sub, verb->n_sub);
    fputs("' ;;\n", to);
}

void completion_print_bash(FILE *to, const struct verb *const *verbs, int n)
{
    fputs(
        "# Completion of vlqa for bash: . <(vlqa completion bash)\n"
        "_vlqa_reply() { # OPTION OF COMPGEN...\n"
        "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\")\n"
        "}\n"
        "_vlqa() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=ask\n"
        "    if [ \"$cur\" = = ]; then # --name=VALUE is three words\n"
        "        cur=''\n"
        "    elif [ \"$previous\" = = ]; then\n"
        "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "    fi\n"
        "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]-}\" in\n",
        to);
    for_each(to, verbs, n, bash_verb);
    fputs("    esac\n"
          "    case \"$verb $previous\" in\n",
          to);
    for_each(to, verbs, n, bash_values);
    fputs("    *)\n"
          "    case \"$verb $cur\" in\n",
          to);
    for_each(to, verbs, n, bash_options);
    for_each(to, verbs, n, bash_words);
    fputs("    *)\n"
          "        if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "            _vlqa_reply -W '",
          to);
    print_names(to, verbs, n);
    fputs("'\n"
          "        else\n"
          "            _vlqa_reply -f\n"
          "        fi\n"
          "        ;;\n"
          "    esac\n"
          "    esac\n"
          "}\n"
          "complete -o filenames -F _vlqa vlqa\n",
          to);
}

/* ---- zsh ---- */

/* Text between single quotes, for _arguments and _describe. */
static void zsh_text(FILE *to, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\'')
            fputs("'\\'", to);
        else if (strchr("[]:\\", text[i]))
            fputc('\\', to);
        fputc(text[i], to);
    }
}

static void zsh_verb(FILE *to, const struct verb *verb)
{
    int is_sub = strchr(verb->name, ' ') != NULL;
    fprintf(to, "    '%s%s) verb='%s'; shift %d words; (( CURRENT -= %d )) ;;\n", verb->name,
            is_sub ? "'" : " '*", verb->name, 1 + is_sub, 1 + is_sub);
}

static void zsh_arg(FILE *to, const struct arg *arg)
{
    static const char *const action[] = {":", ":_files", ":_files -/", NULL};
    int is_repeatable = arg->kind == ARG_ITEM || arg->kind == ARG_REST;
    enum completes what;
    if (arg->letter && !is_repeatable)
        fprintf(to, " '(-%c --%s)'{-%c,--%s}", arg->letter, arg->name, arg->letter, arg->name);
    else
        fprintf(to, " %s--%s", is_repeatable ? "'*'" : "", arg->name);
    fputs("'[", to);
    zsh_text(to, arg->help, strlen(arg->help));
    fputs("]", to);
    if (args_takes_value(arg)) {
        what = what_completes(arg);
        fputs(":", to);
        zsh_text(to, arg->value, strlen(arg->value));
        if (what == WITH_WORDS) {
            fputs(":(", to);
            print_words(to, arg);
            fputs(")", to);
        } else {
            fputs(action[what], to);
        }
    }
    fputs("'", to);
}

static void zsh_options(FILE *to, const struct verb *verb)
{
    fprintf(to, "    '%s') _arguments", verb->name);
    for (int i = 0; i < verb->n_args; i++)
        if (verb->arg[i].kind != ARG_HEADING) {
            fputs(" \\\n       ", to);
            zsh_arg(to, &verb->arg[i]);
        }
    if (verb->n_sub) {
        fputs(" '1: :(", to);
        print_names(to, verb->sub, verb->n_sub);
        fputs(")'", to);
    }
    fputs(" '*:file:_files' ;;\n", to);
}

void completion_print_zsh(FILE *to, const struct verb *const *verbs, int n)
{
    fputs("#compdef vlqa\n"
          "# Completion of vlqa for zsh, as _vlqa in a folder of $fpath.\n"
          "_vlqa() {\n"
          "    local verb=ask\n"
          "    local -a names\n"
          "    names=(",
          to);
    for (int i = 0; i < n; i++) {
        fprintf(to, "\n        '%s:", verbs[i]->name);
        zsh_text(to, verbs[i]->summary, strlen(verbs[i]->summary));
        fputs("'", to);
    }
    fputs(")\n"
          "    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
          "        _describe verb names\n"
          "        return\n"
          "    fi\n"
          "    case \"$words[2] $words[3]\" in\n",
          to);
    for_each(to, verbs, n, zsh_verb);
    fputs("    esac\n"
          "    case $verb in\n",
          to);
    for_each(to, verbs, n, zsh_options);
    fputs("    esac\n"
          "}\n"
          "_vlqa \"$@\"\n",
          to);
}
