/* cli.c - what the verbs share. */
#include "eval/cli/cli.h"

#include "base/heap.h"
#include "eval/cli/help.h"
#include "eval/cli/hint.h"
#include "eval/cli/ranks.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const cli_dtypes[] = {"auto", "bf16", "f32", NULL};
const char *const cli_kv_dtypes[] = {"auto", "bf16", "f32", "int8", "int4", NULL};
_Static_assert(VLQA_DTYPE_AUTO == 0 && VLQA_DTYPE_BF16 == 1 && VLQA_DTYPE_F32 == 2 &&
                   VLQA_DTYPE_INT8 == 3,
               "cli_dtypes");
const char *const cli_weights[] = {"auto", "bf16", "int8", "int4", NULL};
const char *const cli_head_weights[] = {"auto", "bf16", "int8", NULL};
_Static_assert(VLQA_WEIGHTS_AUTO == 0 && VLQA_WEIGHTS_BF16 == 1 && VLQA_WEIGHTS_INT8 == 2 &&
                   VLQA_WEIGHTS_INT4 == 3,
               "cli_weights");
const char *const cli_cpus[] = {"auto", "plain", "avx2", "avx512", "amx", NULL};
_Static_assert(VLQA_CPU_AUTO == 0 && VLQA_CPU_PLAIN == 1 && VLQA_CPU_AVX2 == 2 &&
                   VLQA_CPU_AVX512 == 3 && VLQA_CPU_AMX == 4,
               "cli_cpus");

const char *const cli_devices[] = {"cpu", "auto", "cuda", NULL};
_Static_assert(VLQA_DEVICE_CPU == 0 && VLQA_DEVICE_AUTO == 1 && VLQA_DEVICE_CUDA == 2,
               "cli_devices");

/* ---- messages ---- */

void cli_note(struct cli *cli, const char *format, ...)
{
    va_list args;
    progress_clear(&cli->bar);
    va_start(args, format);
    fputs("vlqa: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_exit_code(vlqa_status status)
{
    switch (status) {
    case VLQA_OK:
        return CLI_OK;
    case VLQA_EUSAGE:
    case VLQA_ETEXT:
        return CLI_USAGE;
    case VLQA_EIMAGE:
        return CLI_IMAGE;
    case VLQA_EMODEL:
        return CLI_MODEL;
    case VLQA_ELIMIT:
    case VLQA_EMEMORY:
        return CLI_LIMIT;
    case VLQA_ECANCELLED:
        return CLI_INTERRUPTED;
    case VLQA_ESTATE:
    case VLQA_EIO:
    case VLQA_EDEVICE:
        break;
    }
    return CLI_FAILED;
}

/* The option of this verb that sets a field of the library, whose name is [field, field + bytes) in
 * a message; NULL: there is none. */
static const char *option_of(const struct verb *verb, const char *field, size_t bytes)
{
    for (int i = 0; i < verb->n_args; i++) {
        const char *name = verb->arg[i].name;
        size_t k = 0;
        if (verb->arg[i].kind == ARG_HEADING || strlen(name) != bytes) continue;
        while (k < bytes && (name[k] == '-' ? '_' : name[k]) == field[k])
            k++;
        if (k == bytes) return name;
    }
    return NULL;
}

/* The library names its fields, image_max_pixels; here they are options, --image-max-pixels. */
static void with_options(const struct verb *verb, const char *message, char *out, size_t cap)
{
    size_t used = 0;
    char before = ' ';
    while (*message && used + 1 < cap) {
        size_t bytes = strspn(message, "abcdefghijklmnopqrstuvwxyz_"), n = bytes ? bytes : 1;
        /* A name of a file or of a key is no field. */
        int is_part =
            strchr("/.-_\"'=", before) ||
            (message[bytes] && strchr("/.-\"'", message[bytes]) && message[bytes + 1] > ' ');
        int is_field = memchr(message, '_', bytes) != NULL && !is_part;
        const char *option = is_field ? option_of(verb, message, bytes) : NULL;
        int written = option ? snprintf(out + used, cap - used, "--%s", option)
                             : snprintf(out + used, cap - used, "%.*s", (int)n, message);
        used += written > 0 ? (size_t)written : 0;
        message += n;
        before = message[-1];
    }
}

void cli_note_unused(struct cli *cli, const char *const *names, const char *why)
{
    for (; *names && !cli->args->quiet; names++)
        if (args_is_given(cli->verb, cli->argc, cli->argv, *names))
            cli_note(cli, "--%s has no effect %s", *names, why);
}

int cli_fail(struct cli *cli, vlqa_status status, const char *message)
{
    char shown[sizeof cli->env.message + HINT_CAP + 256] = "";
    with_options(cli->verb, message ? message : "", shown, sizeof shown);
    cli_note(cli, "%s", status == VLQA_ECANCELLED ? "interrupted" : shown);
    if (status == VLQA_EUSAGE) fprintf(stderr, "Try 'vlqa %s --help'.\n", cli->verb->name);
    return cli_exit_code(status);
}

int cli_begin(struct cli *cli, const struct verb *verb, int argc, char **argv,
              struct cli_args *args)
{
    vlqa_status status;
    *cli =
        (struct cli){.verb = verb, .args = args, .argc = argc, .argv = argv, .start_ms = env_ms()};
    cli->env.log = cli_log; /* for the note about options that were renamed */
    cli->env.user = cli;
    status = args_parse(&cli->env, verb, argc, argv, args);
    cli->env.log = NULL;
    if (status != VLQA_OK) return cli_fail(cli, status, cli->env.message);
    if (args->help || args->help_all) {
        help_print(stdout, verb, args->help_all);
        return cli_flush();
    }
    if (args->quiet && args->verbose)
        return cli_fail(cli, VLQA_EUSAGE, "--quiet and --verbose exclude each other");
    cli->bar = progress_begin(!args->quiet);
    return CLI_GO_ON;
}

/* ---- standard output ---- */

void cli_guard_streams(void)
{
    /* A file opened later must not become standard output: take the number with something that
     * refuses the use. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
    if (errno == EPIPE || errno == EBADF)
        fputs("vlqa: standard output was closed\n", stderr);
    else
        fprintf(stderr, "vlqa: standard output: %s\n", strerror(errno));
    return CLI_FAILED;
}

int cli_write(const char *data, size_t bytes)
{
    fwrite(data, 1, bytes, stdout);
    return cli_flush();
}

int cli_write_report(struct cli *cli, struct report *report)
{
    char *line = report_end(report);
    if (!line) return cli_fail(cli, VLQA_EMEMORY, "out of memory: the report");
    puts(line);
    heap_free(line);
    return cli_flush();
}

int cli_close_output(int code)
{
    int told = ferror(stdout);
    if (fclose(stdout) == 0 || told) return code;
    fprintf(stderr, "vlqa: standard output: %s\n", strerror(errno));
    return CLI_FAILED;
}

/* ---- interruption ---- */

/* The one variable of the project that a function cannot be handed: a signal has no argument. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void cli_catch_interrupt(void)
{
    struct sigaction old, ours = {.sa_handler = on_interrupt};
    ours.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
    sigemptyset(&ours.sa_mask);
    /* A shell starts background jobs with SIGINT ignored; that stays. */
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGINT, &ours, NULL);
}

int cli_interrupted(void)
{
    return interrupted;
}

void cli_release_interrupt(void)
{
    struct sigaction old, plain = {.sa_handler = SIG_DFL};
    sigemptyset(&plain.sa_mask);
    if (sigaction(SIGINT, NULL, &old) != 0) return;
    if (old.sa_handler == SIG_IGN) return; /* a rank is told once, also between two questions */
    if (old.sa_handler == on_interrupt) sigaction(SIGINT, &plain, NULL);
    interrupted = 0;
}

void cli_interrupt_by(int signal_number)
{
    struct sigaction ours = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&ours.sa_mask);
    signal(SIGINT, SIG_IGN);
    sigaction(signal_number, &ours, NULL);
}

void cli_log(void *user, enum vlqa_log_level level, const char *line)
{
    struct cli *cli = user;
    enum vlqa_log_level least = cli->args->verbose ? VLQA_LOG_INFO
                                : cli->args->quiet ? VLQA_LOG_ERROR
                                                   : VLQA_LOG_WARN;
    if (level <= least) cli_note(cli, "%s", line);
}

int cli_progress(void *user, const char *phase, int64_t done, int64_t total)
{
    struct cli *cli = user;
    /* The answer shows how far decoding is. It is ended by vlqa_token_fn, which loses nothing of
     * it, while cancelling here would. */
    if (strcmp(phase, "decode") == 0) return 0;
    progress_update(&cli->bar, phase, done, total);
    return interrupted;
}

/* ---- engine and session ---- */

/* What the command line says. */
static void take_args(const struct cli *cli, struct vlqa_engine_options *options)
{
    const struct cli_args *args = cli->args;
    options->chat_template = args->chat_template;
    options->threads = args->threads;
    options->dtype = (enum vlqa_dtype)args->dtype;
    options->kv_dtype = (enum vlqa_dtype)args->kv_dtype;
    options->weights = (enum vlqa_weights)args->weights;
    options->head_weights = (enum vlqa_weights)args->head_weights;
    options->cpu = (enum vlqa_cpu)args->cpu;
    options->device = (enum vlqa_device)args->device;
    options->gpu = args->gpu;
}

static int find_default_model(struct cli *cli, char *path, size_t cap)
{
    vlqa_status status = vlqa_default_model_path(path, cap);
    if (status == VLQA_OK) return CLI_OK;
    (void)env_fail(&cli->env, VLQA_EMODEL,
                   "no model: give -m DIR; no default model lies in ../assets or ../share/vlqa "
                   "beside this program or at %.200s",
                   status == VLQA_EIO ? path : "its place");
    return cli_fail(cli, VLQA_EMODEL, cli->env.message);
}

int cli_open_engine(struct cli *cli, struct vlqa_engine_options *options, struct vlqa_engine **out)
{
    char found[4200];
    vlqa_status status;
    int code = CLI_OK;
    *out = NULL;
    options->model = cli->args->model;
    if (!options->model && !options->random_shape) {
        code = find_default_model(cli, found, sizeof found);
        if (code != CLI_OK) return code;
        options->model = found;
    }
    take_args(cli, options);
    code = ranks_start(cli, options);
    if (code != CLI_OK) return code;
    options->log = cli_log;
    options->progress = cli_progress;
    options->user = cli;
    status = vlqa_engine_open(options, out);
    progress_clear(&cli->bar);
    if (status == VLQA_OK) return CLI_OK;
    if (status == VLQA_EIO) status = VLQA_EMODEL; /* a model that is not there is a wrong model */
    code = cli_fail(cli, status, *out ? vlqa_engine_message(*out) : vlqa_status_name(status));
    vlqa_engine_close(*out);
    *out = NULL;
    return code;
}

void cli_close_engine(struct cli *cli, struct vlqa_engine *engine)
{
    vlqa_engine_close(engine);
    vlqa_ranks_close(cli->ranks);
    cli->ranks = NULL;
}

int cli_open_session(struct cli *cli, struct vlqa_engine *engine, int max_seq_len, int experimental,
                     struct vlqa_session **out)
{
    struct vlqa_session_options options = vlqa_session_options_default();
    vlqa_status status;
    int code;
    *out = NULL;
    options.max_seq_len = max_seq_len;
    options.experimental = experimental;
    options.log = cli_log;
    options.progress = cli_progress;
    options.user = cli;
    status = vlqa_session_open(engine, &options, out);
    if (status == VLQA_OK) return CLI_OK;
    code = cli_fail(cli, status, *out ? vlqa_message(*out) : vlqa_engine_message(engine));
    vlqa_session_close(*out);
    *out = NULL;
    return code;
}
