/* cmd_ask.c - the verb ask: images, texts and a question in, an answer out. */
#include "base/file.h"
#include "base/heap.h"
#include "eval/cli.h"
#include "eval/reuse_flags.h"
#include "eval/verbs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MAX_QUESTION ((size_t)16 << 20) /* bytes read from standard input or --text */
#define MAX_IMAGE ((size_t)1 << 30)     /* bytes of an encoded image on standard input */

struct ask_args {
    struct cli_args common;
    struct arg_items items; /* --image and --text as they were given */
    const char *question, *system, *logits;
    int max_tokens, top_k, stream, max_rows;
    double temp, top_p, min_p, repetition_penalty, presence_penalty;
    uint64_t seed;
    int image_mode, resize, image_min_tokens, image_max_tokens;
    int64_t image_max_pixels;
    struct reuse_args reuse;
};

struct ask {
    struct cli cli;
    struct ask_args args;
    void *input; /* what standard input held, for the one argument that is "-" */
    size_t input_bytes;
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    double load_ms;
    int output; /* exit code of the writing so far */
    char last;  /* byte written */
};

static int is_stdin(const char *value)
{
    return value && strcmp(value, "-") == 0;
}

static int is_image(const struct arg_item *item)
{
    return strcmp(item->name, "image") == 0;
}

/* ---- checks and input, before the model is loaded ---- */

static int check_args(struct ask *a)
{
    const struct ask_args *o = &a->args;
    int readers = is_stdin(o->question);
    if (!o->question) return cli_fail(&a->cli, VLQA_EUSAGE, "no question: give --question TEXT");
    if (o->common.json && o->stream)
        return cli_fail(&a->cli, VLQA_EUSAGE, "--json and --stream exclude each other");
    if (o->image_min_tokens && o->image_max_tokens && o->image_min_tokens > o->image_max_tokens)
        return cli_fail(&a->cli, VLQA_EUSAGE, "--image-min-tokens is above --image-max-tokens");
    for (int i = 0; i < o->items.n; i++)
        readers += is_stdin(o->items.item[i].value);
    if (readers > 1)
        return cli_fail(&a->cli, VLQA_EUSAGE,
                        "only one of --question, --image and --text can be - (standard input)");
    return CLI_OK;
}

/* A wrong file name is told at once, not after minutes of loading. */
static int check_files(struct ask *a)
{
    const struct arg_items *items = &a->args.items;
    for (int i = 0; i < items->n; i++) {
        const struct arg_item *item = &items->item[i];
        vlqa_status status = is_image(item) ? VLQA_EIMAGE : VLQA_EIO;
        if (is_stdin(item->value) || access(item->value, R_OK) == 0) continue;
        (void)env_fail(&a->cli.env, status, "%s: %s", item->value, strerror(errno));
        return cli_fail(&a->cli, status, a->cli.env.message);
    }
    return CLI_OK;
}

static int read_stdin(struct ask *a)
{
    const struct arg_items *items = &a->args.items;
    size_t max_bytes = MAX_QUESTION;
    int wanted = is_stdin(a->args.question);
    vlqa_status status;
    for (int i = 0; i < items->n; i++)
        if (is_stdin(items->item[i].value)) {
            wanted = 1;
            if (is_image(&items->item[i])) max_bytes = MAX_IMAGE;
        }
    if (!wanted) return CLI_OK;
    status = file_read(&a->cli.env, "-", max_bytes, &a->input, &a->input_bytes);
    if (status != VLQA_OK) return cli_fail(&a->cli, status, a->cli.env.message);
    return CLI_OK;
}

/* A question from a pipe: without the line end that echo puts there. */
static int question_from_stdin(struct ask *a)
{
    char *text = a->input;
    size_t bytes = a->input_bytes;
    if (!is_stdin(a->args.question)) return CLI_OK;
    if (memchr(text, 0, bytes))
        return cli_fail(&a->cli, VLQA_ETEXT, "the question on standard input holds a NUL byte");
    if (bytes && text[bytes - 1] == '\n') text[--bytes] = 0;
    if (bytes && text[bytes - 1] == '\r') text[--bytes] = 0;
    a->args.question = text;
    return CLI_OK;
}

static int read_input(struct ask *a)
{
    int code = check_args(a);
    if (code == CLI_OK) code = check_files(a);
    if (code == CLI_OK) code = read_stdin(a);
    if (code == CLI_OK) code = question_from_stdin(a);
    return code;
}

/* ---- engine, session, conversation ---- */

static int open_all(struct ask *a)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    double start = env_ms();
    int code;
    options.image_mode = (enum vlqa_image_mode)a->args.image_mode;
    options.resize = (enum vlqa_resize)a->args.resize;
    options.image_min_tokens = a->args.image_min_tokens;
    options.image_max_tokens = a->args.image_max_tokens;
    options.image_max_pixels = a->args.image_max_pixels;
    code = cli_open_engine(&a->cli, &options, &a->engine);
    if (code == CLI_OK) code = cli_open_session(&a->cli, a->engine, a->args.max_rows, &a->session);
    a->load_ms = env_ms() - start;
    return code;
}

static int add_image(struct ask *a, const char *path)
{
    vlqa_status status = is_stdin(path) ? vlqa_add_image_bytes(a->session, a->input, a->input_bytes,
                                                               "standard input")
                                        : vlqa_add_image_file(a->session, path);
    if (status == VLQA_OK) return CLI_OK;
    if (status == VLQA_EIO) status = VLQA_EIMAGE;
    return cli_fail(&a->cli, status, vlqa_message(a->session));
}

static int add_text(struct ask *a, const char *path)
{
    void *text = a->input;
    size_t bytes = a->input_bytes;
    vlqa_status status = VLQA_OK;
    if (!is_stdin(path)) status = file_read(&a->cli.env, path, MAX_QUESTION, &text, &bytes);
    if (status != VLQA_OK) return cli_fail(&a->cli, status, a->cli.env.message);
    status = vlqa_add_text(a->session, text, bytes);
    if (!is_stdin(path)) heap_free(text);
    if (status == VLQA_OK) return CLI_OK;
    (void)env_fail(&a->cli.env, status, "%s: %s", path, vlqa_message(a->session));
    return cli_fail(&a->cli, status, a->cli.env.message);
}

static int add_all(struct ask *a)
{
    const char *text = a->args.system;
    const struct arg_items *items = &a->args.items;
    int code = CLI_OK;
    vlqa_status status = text ? vlqa_set_system(a->session, text, strlen(text)) : VLQA_OK;
    if (status != VLQA_OK) return cli_fail(&a->cli, status, vlqa_message(a->session));
    for (int i = 0; i < items->n && code == CLI_OK; i++) {
        const struct arg_item *item = &items->item[i];
        code = is_image(item) ? add_image(a, item->value) : add_text(a, item->value);
        progress_clear(&a->cli.bar);
    }
    return code;
}

/* ---- the answer ---- */

static void write_piece(struct ask *a, const char *utf8, size_t bytes)
{
    if (!bytes || a->output != CLI_OK) return;
    a->output = cli_write(utf8, bytes);
    a->last = utf8[bytes - 1];
}

/* A vlqa_token_fn. */
static int on_token(void *user, const char *utf8, size_t bytes)
{
    struct ask *a = user;
    progress_clear(&a->cli.bar);
    if (a->args.stream) write_piece(a, utf8, bytes);
    return cli_interrupted() || a->output != CLI_OK;
}

static const char *stop_name(enum vlqa_stop stop)
{
    switch (stop) {
    case VLQA_STOP_EOS:
        return "eos";
    case VLQA_STOP_LENGTH:
        return "length";
    case VLQA_STOP_ROWS:
        return "rows";
    case VLQA_STOP_CALLER:
        break;
    }
    return "interrupted";
}

static int write_json(struct ask *a, const struct vlqa_answer *answer)
{
    struct report r = report_begin();
    struct vlqa_model_info info;
    vlqa_status status = vlqa_engine_info(a->engine, &info);
    if (status != VLQA_OK) memset(&info, 0, sizeof info);
    report_text(&r, "answer", answer->text, answer->text_bytes);
    report_int(&r, "tokens", answer->n_tokens);
    report_string(&r, "stop", stop_name(answer->stop));
    report_open(&r, "rows");
    report_int(&r, "total", answer->rows_total);
    report_int(&r, "prefix", answer->rows_prefix);
    report_int(&r, "context", answer->rows_context);
    report_int(&r, "question", answer->rows_question);
    report_close(&r);
    report_open(&r, "ms");
    report_real(&r, "load", a->load_ms);
    report_real(&r, "decode_image", answer->ms_decode_image);
    report_real(&r, "vision", answer->ms_vision);
    report_real(&r, "prefill", answer->ms_prefill);
    report_real(&r, "first_token", answer->ms_first_token);
    report_real(&r, "decode", answer->ms_decode);
    report_real(&r, "total", env_ms() - a->cli.start_ms);
    report_close(&r);
    report_int(&r, "peak_bytes", (int64_t)answer->peak_bytes);
    report_open(&r, "model");
    report_string(&r, "name", info.name);
    report_string(&r, "digest", info.digest);
    report_close(&r);
    report_string(&r, "version", vlqa_version());
    return cli_write_report(&a->cli, &r);
}

static int write_answer(struct ask *a, const struct vlqa_answer *answer)
{
    if (a->args.common.json) return write_json(a, answer);
    if (!a->args.stream) write_piece(a, answer->text, answer->text_bytes);
    if (a->last != '\n') write_piece(a, "\n", 1);
    return a->output;
}

static void put_float_le(uint8_t *to, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(bits >> (8 * i));
}

static int write_logits(struct ask *a, const struct vlqa_answer *answer)
{
    size_t bytes = (size_t)answer->n_logits * 4;
    uint8_t *data = heap_alloc(bytes);
    struct file_part part = {data, bytes};
    vlqa_status status;
    if (!data)
        return cli_fail(&a->cli, env_no_memory(&a->cli.env, "logits", bytes), a->cli.env.message);
    for (int i = 0; i < answer->n_logits; i++)
        put_float_le(data + (size_t)i * 4, answer->logits[i]);
    status = file_write_atomic(&a->cli.env, a->args.logits, &part, 1);
    heap_free(data);
    if (status == VLQA_OK) return CLI_OK;
    return cli_fail(&a->cli, status, a->cli.env.message);
}

static void note_stop(struct ask *a, const struct vlqa_answer *answer)
{
    if (a->args.common.quiet) return;
    if (answer->stop == VLQA_STOP_LENGTH)
        cli_note(&a->cli, "the answer was cut at %d tokens (--max-tokens)", answer->n_tokens);
    if (answer->stop == VLQA_STOP_ROWS)
        cli_note(&a->cli, "the answer was cut, the session is full (--max-rows)");
}

static int finish(struct ask *a, const struct vlqa_answer *answer)
{
    int code = write_answer(a, answer);
    if (code != CLI_OK) return code;
    if (a->args.logits) code = write_logits(a, answer);
    if (code != CLI_OK) return code;
    if (answer->stop == VLQA_STOP_CALLER) return cli_fail(&a->cli, VLQA_ECANCELLED, NULL);
    note_stop(a, answer);
    return CLI_OK;
}

static int answer_question(struct ask *a)
{
    struct vlqa_ask_options options = vlqa_ask_options_default();
    struct vlqa_answer answer;
    vlqa_status status;
    options.max_tokens = a->args.max_tokens;
    options.temperature = (float)a->args.temp;
    options.top_k = a->args.top_k;
    options.top_p = (float)a->args.top_p;
    options.min_p = (float)a->args.min_p;
    options.repetition_penalty = (float)a->args.repetition_penalty;
    options.presence_penalty = (float)a->args.presence_penalty;
    options.seed = a->args.seed;
    reuse_options(&a->args.reuse, &options);
    options.on_token = on_token;
    options.user = a;
    status = vlqa_ask(a->session, a->args.question, &options, &answer);
    progress_clear(&a->cli.bar);
    if (status == VLQA_OK) return finish(a, &answer);
    if (a->last && a->last != '\n') write_piece(a, "\n", 1); /* pieces were streamed */
    return cli_fail(&a->cli, status, vlqa_message(a->session));
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct ask a;
    int code;
    memset(&a, 0, sizeof a);
    code = cli_begin(&a.cli, verb, argc, argv, &a.args.common);
    if (code != CLI_GO_ON) return code;
    code = read_input(&a);
    cli_catch_interrupt(); /* not before: while standard input is awaited, Ctrl-C ends at once */
    if (code == CLI_OK) code = open_all(&a);
    if (code == CLI_OK) code = add_all(&a);
    if (code == CLI_OK) code = answer_question(&a);
    vlqa_session_close(a.session);
    vlqa_engine_close(a.engine);
    heap_free(a.input);
    return code;
}

static const char *const image_modes[] = {"white", "hf", NULL};
_Static_assert(VLQA_IMAGE_WHITE == 0 && VLQA_IMAGE_HF == 1, "image_modes");
static const char *const resizes[] = {"torchvision", "pillow", NULL};
_Static_assert(VLQA_RESIZE_TORCHVISION == 0 && VLQA_RESIZE_PILLOW == 1, "resizes");

#define FIELD(member) .offset = offsetof(struct ask_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Prompt (images and texts are placed in the order they are given)"},
    {ARG_ITEM, .name = "image", .value = "FILE", FIELD(items),
     .help = "PNG, JPEG, BMP or WebP image, - for standard input; repeatable"},
    {ARG_ITEM, .name = "text", .value = "FILE", FIELD(items),
     .help = "UTF-8 text, - for standard input; repeatable"},
    {ARG_TEXT, .name = "question", .also = "prompt", .letter = 'p', .value = "TEXT",
     FIELD(question), .help = "what to ask; - reads it from standard input"},
    {ARG_TEXT, .name = "system", .value = "TEXT", FIELD(system), .help = "system text [none]"},
    {ARG_HEADING, .name = "Answer"},
    {ARG_INT, .name = "max-tokens", .letter = 'n', .value = "N", .min = 1, .max = 1000000,
     .fallback = "128", FIELD(max_tokens), .help = "longest answer"},
    {ARG_REAL, .name = "temp", .value = "T", .min = 0, .max = 100, .fallback = "0", FIELD(temp),
     .help = "temperature; 0 takes the likeliest token"},
    {ARG_INT, .name = "top-k", .value = "K", .min = 0, .max = 10000000, .fallback = "0",
     FIELD(top_k), .help = "sample from the K likeliest tokens; 0 is off"},
    {ARG_REAL, .name = "top-p", .value = "P", .min = 1e-6, .max = 1, .fallback = "1", FIELD(top_p),
     .help = "sample from the likeliest tokens that make up P; 1 is off"},
    {ARG_REAL, .name = "min-p", .value = "P", .min = 0, .max = 1, .fallback = "0", FIELD(min_p),
     .help = "drop tokens far below the likeliest; 0 is off"},
    {ARG_REAL, .name = "repetition-penalty", .value = "R", .min = 0.01, .max = 100, .fallback = "1",
     FIELD(repetition_penalty), .help = "for tokens of prompt and answer; 1 is off"},
    {ARG_REAL, .name = "presence-penalty", .value = "R", .min = -100, .max = 100, .fallback = "0",
     FIELD(presence_penalty), .help = "for tokens of the answer; 0 is off"},
    {ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0", FIELD(seed),
     .help = "of sampling: equal seeds, equal answers"},
    REUSE_ARGS(struct ask_args, reuse),
    {ARG_HEADING, .name = "Model"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    {ARG_INT, .name = "max-rows", .letter = 'c', .value = "ROWS", .min = 1, .max = 1 << 20,
     FIELD(max_rows), .help = "room for prompt and answer [what the model allows, at most 32768]"},
    {ARG_HEADING, .name = "Images"},
    {ARG_INT, .name = "image-min-tokens", .value = "N", .min = 1, .max = 1000000,
     FIELD(image_min_tokens), .help = "enlarge images to this many rows [the model's]"},
    {ARG_INT, .name = "image-max-tokens", .value = "N", .min = 1, .max = 1000000,
     FIELD(image_max_tokens), .help = "shrink images to this many rows [the model's]"},
    {ARG_INT64, .name = "image-max-pixels", .value = "N", .min = 1, .max = 1e12,
     .fallback = "100000000", FIELD(image_max_pixels), .help = "refuse larger files"},
    {ARG_CHOICE, .name = "image-mode", .value = "MODE", .fallback = "white", .choice = image_modes,
     FIELD(image_mode), .help = "transparency: over white, or dropped as transformers does"},
    {ARG_CHOICE, .name = "resize", .value = "METHOD", .fallback = "torchvision", .choice = resizes,
     FIELD(resize), .help = "whose arithmetic to follow"},
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    {ARG_FLAG, .name = "stream", FIELD(stream), .help = "print the answer as it is made"},
    {ARG_TEXT, .name = "logits", .value = "FILE", FIELD(logits),
     .help = "write the logits of the first answer token: float32, little-endian"},
    CLI_OUTPUT_ARGS,
};

const struct verb verb_ask = {
    .name = "ask",
    .summary = "ask a question about images and texts",
    .synopsis = "Usage: vlqa [ask] [-m DIR] [--image FILE | --text FILE]... -p TEXT [OPTION]...\n",
    .notes = "The answer goes to standard output, everything else to standard error.\n"
             "\n"
             "--json prints on one line: answer, tokens, stop (eos, length, rows,\n"
             "interrupted), rows {total, prefix, context, question}, ms {load, decode_image,\n"
             "vision, prefill, first_token, decode, total}, peak_bytes, model {name, digest},\n"
             "version. first_token counts from the question, total from the start.\n"
             "\n"
             "Example:\n"
             "  vlqa --image chart.png -p \"Which year was best?\"\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
