/* args.h - one table of options a verb: parsing, ranges, environment defaults and help text all
 * come from it.
 *
 *   --name VALUE, --name=VALUE, -n VALUE, -nVALUE; "--" ends the options. An option is given once,
 *   except those of kind ARG_ITEM and ARG_REST; one of kind ARG_ITEM takes all words up to the next
 *   option ("--image a.png b.png") where the verb has no positional argument. VLQA_NAME in the
 * environment is the default of
 * --name. */
#ifndef EVAL_ARGS_H
#define EVAL_ARGS_H

#include "base/env.h"

#include <stdio.h>

enum arg_kind {                 /* what the value is -> the field it is written to */
                ARG_HEADING,    /* no option: a line of the help text */
                ARG_FLAG,       /* none; 0 or 1 in the environment -> int */
                ARG_INT,        /* whole number in [min, max] -> int */
                ARG_INT64,      /* whole number in [min, max] -> int64_t */
                ARG_SEED,       /* whole number of 64 bits -> uint64_t */
                ARG_REAL,       /* number in [min, max] -> double */
                ARG_TEXT,       /* anything -> const char * */
                ARG_CHOICE,     /* one of choice[] -> int, its index */
                ARG_SIZE,       /* WIDTHxHEIGHT, each in [min, max] -> struct arg_size */
                ARG_FORM,       /* what read() takes -> what read() fills */
                ARG_ITEM,       /* anything, any number of times -> struct arg_items, in order */
                ARG_POSITIONAL, /* as ARG_TEXT; may also be given without its name */
                ARG_REST,       /* as ARG_ITEM; what stands behind the positional */
};

struct arg {
    enum arg_kind kind;
    const char *name;     /* without dashes; of a heading: the line */
    const char *also;     /* another name, or NULL */
    const char *old;      /* a former name, which is accepted for one more version; or NULL */
    char letter;          /* or 0 */
    const char *value;    /* what the help calls the value */
    const char *help;     /* one sentence; what is before a semicolon is the brief help */
    const char *fallback; /* the default, written as a user would; NULL: the field stays zero */
    const char *words; /* "word word": values that shells offer; NULL: those of choice, or files */
    double min, max;
    const char *const *choice; /* ends with NULL */
    size_t offset;             /* of the field; several ARG_ITEM options may share one */
    /* ARG_FORM: the value into its field; 0 when it is not what `form` says. */
    int (*read)(const char *text, void *field);
    const char *form;
};

struct arg_size {
    int width, height;
};

#define ARGS_MAX_ITEMS 1024

struct arg_items {
    int n;
    struct arg_item {
        const char *name, *value; /* name: of the option, as in its table */
    } item[ARGS_MAX_ITEMS];
};

struct verb {
    const char *name;
    const char *summary;  /* for the list of verbs */
    const char *synopsis; /* lines of usage, without "vlqa" */
    const char *notes;    /* behind the options in the help text: details, examples */
    const char *after;    /* where one string literal cannot hold them; or NULL */
    const char *brief;    /* "name name": options that --help shows, in this order; NULL: all */
    const char *example;  /* behind the brief help: one command line */
    const struct verb *const *sub; /* [n_sub] of a verb that has only verbs of its own */
    int n_sub;
    const struct arg *arg;
    int n_args;
    /* The arguments behind the verb; returns an exit code. */
    int (*run)(const struct verb *verb, int argc, char **argv);
};

/* Fills *out, which begins zeroed. VLQA_EUSAGE with a message that says option, value and what is
 * expected. Strings of *out point into argv and the environment. Each former name that was used is
 * logged as a warning. */
vlqa_status args_parse(struct env *env, const struct verb *verb, int argc, char **argv, void *out);
/* 1 if words that args_parse accepted have the option of this name, which the environment, too, may
 * have set. */
int args_is_given(const struct verb *verb, int argc, char **argv, const char *name);
/* Processes that mpirun or srun has started together, as its variables tell: how many, which of
 * them this one is, and which on its host. n is 1 where there are none. */
struct args_launch {
    int n, rank, on_host;
};
struct args_launch args_launched(void);
/* A whole number of decimal digits alone, in [min, max]; *end is behind them. For ARG_FORM. */
int args_number(const char *text, int min, int max, const char **end, int *out);
/* The next of a list "a,b,c", cut at the size of word; *list is behind it. 0: there is none. */
int args_next_word(const char **list, char word[128]);
/* The user's cache home: $XDG_CACHE_HOME or else $HOME/.cache; 0: neither is an absolute path. */
int args_cache_home(char *path, size_t cap);
int args_takes_value(const struct arg *arg);
/* "auto, bf16 or f32" */
void args_choice_list(const char *const *choice, char *out, size_t cap);
/* The name that was probably meant, or NULL; names is an array of n. */
const char *args_nearest(const char *typed, const char *const *names, int n);

#endif
