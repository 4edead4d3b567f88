/* args.c - the command line and the environment to fields of a struct. */
#include "eval/cli/args.h"

#include "base/edit_distance.h"
#include "eval/cli/hint.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 96 /* rows of a table */

struct parser {
    struct env *env;
    const struct verb *verb;
    unsigned char *out;
    unsigned char given[MAX_ARGS];
    unsigned char by_old_name[MAX_ARGS];
};

int args_takes_value(const struct arg *arg)
{
    return arg->kind != ARG_FLAG;
}

/* ---- values ---- */

static int text_int64(const char *text, int64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[text[0] == '-'])) return 0;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !*end && !errno;
}

static int text_uint64(const char *text, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) return 0;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return !*end && !errno;
}

static int text_real(const char *text, double *out)
{
    char *end;
    if (!*text || isspace((unsigned char)text[0])) return 0;
    *out = strtod(text, &end);
    return !*end;
}

static int text_size(const char *text, struct arg_size *out, double min, double max)
{
    const char *x = strchr(text, 'x');
    char width[16];
    int64_t w, h;
    if (!x || x - text >= (int)sizeof width) return 0;
    memcpy(width, text, (size_t)(x - text));
    width[x - text] = 0;
    if (!text_int64(width, &w) || !text_int64(x + 1, &h)) return 0;
    if ((double)w < min || (double)w > max || (double)h < min || (double)h > max) return 0;
    *out = (struct arg_size){(int)w, (int)h};
    return 1;
}

int args_number(const char *text, int min, int max, const char **end, int *out)
{
    int64_t value = 0;
    const char *c = text;
    for (; isdigit((unsigned char)*c) && value <= INT_MAX; c++)
        value = 10 * value + (*c - '0');
    if (c == text || value < min || value > max) return 0;
    *end = c;
    *out = (int)value;
    return 1;
}

static int text_choice(const char *text, const char *const *choice, int *out)
{
    for (int i = 0; choice[i]; i++)
        if (strcmp(text, choice[i]) == 0) {
            *out = i;
            return 1;
        }
    return 0;
}

void args_choice_list(const char *const *choice, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; choice[i] && used < cap; i++) {
        const char *before = i == 0 ? "" : choice[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(out + used, cap - used, "%s%s", before, choice[i]);
    }
}

static void expected(const struct arg *arg, char *out, size_t cap)
{
    switch (arg->kind) {
    case ARG_FLAG:
        snprintf(out, cap, "0 or 1");
        return;
    case ARG_INT:
    case ARG_INT64:
        snprintf(out, cap, "a whole number from %.0f to %.0f", arg->min, arg->max);
        return;
    case ARG_SEED:
        snprintf(out, cap, "a whole number from 0 to 2^64 - 1");
        return;
    case ARG_REAL:
        snprintf(out, cap, "a number from %g to %g", arg->min, arg->max);
        return;
    case ARG_CHOICE:
        args_choice_list(arg->choice, out, cap);
        return;
    case ARG_SIZE:
        snprintf(out, cap, "%s, each from %.0f to %.0f", arg->value, arg->min, arg->max);
        return;
    case ARG_FORM:
        snprintf(out, cap, "%s", arg->form);
        return;
    case ARG_ITEM:
    case ARG_REST:
        snprintf(out, cap, "at most %d of them", ARGS_MAX_ITEMS);
        return;
    case ARG_HEADING:
    case ARG_TEXT:
    case ARG_POSITIONAL:
        break;
    }
    snprintf(out, cap, "a text");
}

static int add_item(struct arg_items *items, const char *name, const char *value)
{
    if (items->n == ARGS_MAX_ITEMS) return 0;
    items->item[items->n++] = (struct arg_item){name, value};
    return 1;
}

/* The value into its field; 0 when it is not what the option takes. */
static int store(const struct arg *arg, const char *text, void *field)
{
    int64_t whole;
    switch (arg->kind) {
    case ARG_FLAG:
        *(int *)field = text[0] == '1';
        return (text[0] == '0' || text[0] == '1') && !text[1];
    case ARG_INT:
    case ARG_INT64:
        if (!text_int64(text, &whole)) return 0;
        if ((double)whole < arg->min || (double)whole > arg->max) return 0;
        if (arg->kind == ARG_INT)
            *(int *)field = (int)whole;
        else
            *(int64_t *)field = whole;
        return 1;
    case ARG_SEED:
        return text_uint64(text, field);
    case ARG_REAL: /* written so that a NaN is refused */
        return text_real(text, field) && *(double *)field >= arg->min &&
               *(double *)field <= arg->max;
    case ARG_CHOICE:
        return text_choice(text, arg->choice, field);
    case ARG_SIZE:
        return text_size(text, field, arg->min, arg->max);
    case ARG_FORM:
        return arg->read(text, field);
    case ARG_ITEM:
    case ARG_REST:
        return add_item(field, arg->name, text);
    case ARG_TEXT:
    case ARG_POSITIONAL:
        *(const char **)field = text;
        return 1;
    case ARG_HEADING:
        break;
    }
    return 0;
}

/* ---- names ---- */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

const char *args_nearest(const char *typed, const char *const *names, int n)
{
    const char *nearest = NULL;
    int best = smaller(((int)strlen(typed) + 1) / 3, 3) + 1; /* further away is another word */
    for (int i = 0; i < n; i++) {
        int d = edit_distance(typed, (int)strlen(typed), names[i], (int)strlen(names[i]));
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    for (int i = 0; i < n && !nearest; i++) /* or one that begins alike */
        if (strncmp(typed, names[i], 5) == 0) nearest = names[i];
    return nearest;
}

static int is_name(const char *known, const char *name, size_t bytes)
{
    return known && strncmp(known, name, bytes) == 0 && !known[bytes];
}

static int find_old_name(const struct verb *verb, const char *name, size_t bytes)
{
    for (int i = 0; i < verb->n_args; i++)
        if (is_name(verb->arg[i].old, name, bytes)) return i;
    return -1;
}

static int find_name(const struct verb *verb, const char *name, size_t bytes)
{
    for (int i = 0; i < verb->n_args; i++) {
        const struct arg *arg = &verb->arg[i];
        if (arg->kind == ARG_HEADING) continue;
        if (is_name(arg->name, name, bytes) || is_name(arg->also, name, bytes)) return i;
    }
    return find_old_name(verb, name, bytes); /* a former name may be another option's name now */
}

static int find_letter(const struct verb *verb, char letter)
{
    for (int i = 0; i < verb->n_args; i++)
        if (verb->arg[i].letter == letter) return i;
    return -1;
}

/* What is exactly an option of this verb is hardly meant as the value of another. */
static int is_option(const struct verb *verb, const char *word)
{
    if (word[0] != '-' || !word[1]) return 0;
    if (word[1] == '-') return find_name(verb, word + 2, strcspn(word + 2, "=")) >= 0;
    return !word[2] && find_letter(verb, word[1]) >= 0;
}

static vlqa_status fail_unknown(const struct parser *p, const char *word)
{
    const char *names[2 * MAX_ARGS], *nearest;
    char typed[64], hint[HINT_CAP];
    int n = 0;
    for (int i = 0; i < p->verb->n_args; i++) {
        const struct arg *arg = &p->verb->arg[i];
        if (arg->kind == ARG_HEADING) continue;
        names[n++] = arg->name;
        if (arg->also) names[n++] = arg->also;
    }
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word, "="), word);
    nearest = word[1] == '-' ? args_nearest(typed + 2, names, n) : NULL;
    if (hint_of_option(typed, hint))
        return env_fail(p->env, VLQA_EUSAGE, "unknown option %s: %s", typed, hint);
    if (!nearest) return env_fail(p->env, VLQA_EUSAGE, "unknown option %s", typed);
    return env_fail(p->env, VLQA_EUSAGE, "unknown option %s; did you mean --%s?", typed, nearest);
}

/* ---- the three sources: defaults, environment, command line ---- */

static vlqa_status set(struct parser *p, int index, const char *shown, const char *value)
{
    const struct arg *arg = &p->verb->arg[index];
    char want[160];
    if (p->given[index] && arg->kind != ARG_ITEM && arg->kind != ARG_REST)
        return env_fail(p->env, VLQA_EUSAGE, "--%s is given twice", arg->name);
    p->given[index] = 1;
    if (store(arg, value, p->out + arg->offset)) return VLQA_OK;
    expected(arg, want, sizeof want);
    return env_fail(p->env, VLQA_EUSAGE, "%s is %s, expected %s", shown, value, want);
}

static void variable_name(const char *name, char *out, size_t cap)
{
    snprintf(out, cap, "VLQA_%s", name);
    for (char *c = out; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* VLQA_NAME in the environment, else that of the former name; NULL: neither is set. */
static const char *find_variable(struct parser *p, int index, char *name, size_t cap)
{
    const struct arg *arg = &p->verb->arg[index];
    const char *value;
    variable_name(arg->name, name, cap);
    value = getenv(name);
    if ((value && *value) || !arg->old) return value;
    if (find_name(p->verb, arg->old, strlen(arg->old)) != index) return NULL;
    variable_name(arg->old, name, cap);
    value = getenv(name);
    if (value && *value) p->by_old_name[index] = 1;
    return value;
}

static vlqa_status set_defaults(struct parser *p)
{
    for (int i = 0; i < p->verb->n_args; i++) {
        const struct arg *arg = &p->verb->arg[i];
        char name[48];
        const char *value;
        if (arg->kind == ARG_HEADING || p->given[i]) continue;
        value = find_variable(p, i, name, sizeof name);
        if (value && *value)
            TRY(set(p, i, name, value));
        else if (arg->fallback)
            TRY(set(p, i, arg->name, arg->fallback));
    }
    return VLQA_OK;
}

int args_next_word(const char **list, char word[128])
{
    size_t bytes = strcspn(*list, ",");
    if (!**list) return 0;
    snprintf(word, 128, "%.*s", (int)bytes, *list);
    *list += bytes + ((*list)[bytes] == ',');
    return 1;
}

int args_cache_home(char *path, size_t cap)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int is_set = xdg && xdg[0] == '/';
    int bytes = snprintf(path, cap, "%s%s",
                         is_set ? xdg
                         : home ? home
                                : "",
                         is_set ? "" : "/.cache");
    return path[0] == '/' && (is_set || (home && home[0])) && bytes < (int)cap;
}

static int number_of(const char *variable)
{
    const char *value = getenv(variable), *end = "";
    int n;
    return value && args_number(value, 0, INT_MAX - 1, &end, &n) && !*end ? n : -1;
}

struct args_launch args_launched(void)
{
    static const char *const launchers[][3] = {
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK",
         "OMPI_COMM_WORLD_LOCAL_RANK"},              /* Open MPI */
        {"PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"}, /* MPICH and what is made of it */
        {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"}}; /* srun */
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        struct args_launch l = {number_of(launchers[i][0]), number_of(launchers[i][1]),
                                number_of(launchers[i][2])};
        if (l.n > 1) return l;
    }
    return (struct args_launch){1, 0, 0};
}

/* There a word behind the value of an option is what the verb works on. */
static int has_positional(const struct verb *verb)
{
    for (int i = 0; i < verb->n_args; i++)
        if (verb->arg[i].kind == ARG_POSITIONAL) return 1;
    return 0;
}

/* The index of the option that a word names, or -1; *value: what the word itself gives it, or NULL.
 */
static int find_option(const struct verb *verb, const char *word, const char **value)
{
    size_t bytes = strcspn(word, "=");
    *value = NULL;
    if (word[1] != '-') {
        if (word[2]) *value = word + 2;
        return find_letter(verb, word[1]);
    }
    if (word[bytes]) *value = word + bytes + 1;
    return find_name(verb, word + 2, bytes - 2);
}

/* --name, --name=VALUE, -n, -nVALUE; *at moves on when the value is the next word. *items: the
 * option's index where more values may follow, else -1. */
static vlqa_status parse_option(struct parser *p, int argc, char **argv, int *at, int *items)
{
    const char *word = argv[*at], *value;
    const struct arg *arg;
    char shown[48];
    int index = find_option(p->verb, word, &value);
    if (index < 0) return fail_unknown(p, word);
    arg = &p->verb->arg[index];
    *items = arg->kind == ARG_ITEM && !has_positional(p->verb) ? index : -1;
    p->by_old_name[index] |= word[1] == '-' && is_name(arg->old, word + 2, strcspn(word + 2, "="));
    snprintf(shown, sizeof shown, "--%s", arg->name);
    if (!args_takes_value(arg)) {
        if (value) return env_fail(p->env, VLQA_EUSAGE, "%s takes no value", shown);
        return set(p, index, shown, "1");
    }
    if (!value && *at + 1 < argc && !is_option(p->verb, argv[*at + 1])) value = argv[++*at];
    if (!value) /* also where an option follows: --name=--value says that it is meant */
        return env_fail(p->env, VLQA_EUSAGE, "%s needs a value: %s=%s", shown, shown, arg->value);
    return set(p, index, shown, value);
}

static vlqa_status parse_positional(struct parser *p, const char *word)
{
    char hint[HINT_CAP];
    int index = -1, texts = 0;
    for (int i = 0; i < p->verb->n_args; i++) {
        enum arg_kind kind = p->verb->arg[i].kind;
        if (kind == ARG_POSITIONAL && index < 0) index = i;
        if (kind == ARG_REST && index >= 0 && p->given[index]) index = i;
    }
    if (index >= 0) return set(p, index, p->verb->arg[index].value, word);
    if (find_name(p->verb, "image", strlen("image")) >= 0 && hint_of(word, hint))
        return env_fail(p->env, VLQA_EUSAGE, "unexpected argument %s: %s", word, hint);
    for (int i = 0; i < p->verb->n_args; i++)
        texts |= p->given[i] && p->verb->arg[i].kind == ARG_TEXT;
    return env_fail(p->env, VLQA_EUSAGE, "unexpected argument %s%s", word,
                    texts ? "; a text of several words needs quotes" : "");
}

static vlqa_status parse_words(struct parser *p, int argc, char **argv)
{
    int options = 1, items = -1; /* the ARG_ITEM option that further words are values of */
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = 0;
            items = -1;
        } else if (options && word[0] == '-' && word[1]) {
            TRY(parse_option(p, argc, argv, &i, &items));
        } else if (items >= 0) {
            TRY(set(p, items, p->verb->arg[items].name, word));
        } else {
            TRY(parse_positional(p, word));
        }
    }
    return VLQA_OK;
}

vlqa_status args_parse(struct env *env, const struct verb *verb, int argc, char **argv, void *out)
{
    struct parser p = {.env = env, .verb = verb, .out = out};
    assert(verb->n_args <= MAX_ARGS);
    TRY(parse_words(&p, argc, argv));
    TRY(set_defaults(&p));
    for (int i = 0; i < verb->n_args; i++)
        if (p.by_old_name[i])
            env_log(env, VLQA_LOG_WARN,
                    "--%s is now called --%s; the next version will not accept the old name",
                    verb->arg[i].old, verb->arg[i].name);
    return VLQA_OK;
}

int args_is_given(const struct verb *verb, int argc, char **argv, const char *name)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value;
        int index;
        if (argv[i][0] != '-' || !argv[i][1]) continue;
        index = find_option(verb, argv[i], &value);
        if (index < 0) continue;
        if (strcmp(verb->arg[index].name, name) == 0) return 1;
        i += args_takes_value(&verb->arg[index]) && !value;
    }
    return 0;
}
