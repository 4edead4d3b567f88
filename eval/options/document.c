/* document.c - images, texts and standard input into a session. */
#include "eval/options/document.h"

#include "base/bom.h"
#include "base/file.h"
#include "base/heap.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MAX_QUESTION ((size_t)16 << 20) /* bytes read from standard input or --text */
#define MAX_IMAGE ((size_t)1 << 30)     /* bytes of an encoded image */

const char *const document_image_modes[] = {"white", "hf", NULL};
_Static_assert(VLQA_IMAGE_WHITE == 0 && VLQA_IMAGE_HF == 1, "document_image_modes");
const char *const document_resizes[] = {"torchvision", "pillow", NULL};
_Static_assert(VLQA_RESIZE_TORCHVISION == 0 && VLQA_RESIZE_PILLOW == 1, "document_resizes");

static int is_stdin(const char *value)
{
    return value && strcmp(value, "-") == 0;
}

static int is_image(const struct arg_item *item)
{
    return strcmp(item->name, "image") == 0;
}

static int asks_stdin(const struct document *d)
{
    return d->question && is_stdin(*d->question);
}

/* ---- before the model is loaded ---- */

static int check_args(struct document *d)
{
    const struct document_args *o = d->args;
    int readers = asks_stdin(d);
    if (o->image_min_tokens && o->image_max_tokens && o->image_min_tokens > o->image_max_tokens)
        return cli_fail(d->cli, VLQA_EUSAGE, "--image-min-tokens is above --image-max-tokens");
    for (int i = 0; i < o->items.n; i++)
        readers += is_stdin(o->items.item[i].value);
    if (readers > 1)
        return cli_fail(d->cli, VLQA_EUSAGE,
                        d->question
                            ? "only one of --question, --image and --text can be - (standard input)"
                            : "only one of --image and --text can be - (standard input)");
    return CLI_OK;
}

/* A wrong file name is told at once, not after minutes of loading. */
static int check_files(struct document *d)
{
    for (int i = 0; i < d->args->items.n; i++) {
        const struct arg_item *item = &d->args->items.item[i];
        vlqa_status status = is_image(item) ? VLQA_EIMAGE : VLQA_EIO;
        if (is_stdin(item->value) || access(item->value, R_OK) == 0) continue;
        (void)env_fail(&d->cli->env, status, "%s: %s", item->value, strerror(errno));
        return cli_fail(d->cli, status, d->cli->env.message);
    }
    return CLI_OK;
}

static int read_stdin(struct document *d)
{
    size_t max_bytes = MAX_QUESTION;
    int wanted = asks_stdin(d);
    vlqa_status status;
    for (int i = 0; i < d->args->items.n; i++) {
        const struct arg_item *item = &d->args->items.item[i];
        if (!is_stdin(item->value)) continue;
        wanted = 1;
        if (is_image(item)) max_bytes = MAX_IMAGE;
    }
    if (!wanted) return CLI_OK;
    status = file_read(&d->cli->env, "-", max_bytes, &d->input, &d->input_bytes);
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, d->cli->env.message);
}

/* What a text begins with that is no text of it: *skip bytes of a byte order mark. Other encodings
 * are refused by name. */
static vlqa_status check_encoding(struct env *env, const char *name, const void *text, size_t bytes,
                                  size_t *skip)
{
    const char *encoding = bom_foreign(text, bytes);
    *skip = bom_bytes(text, bytes);
    if (!encoding) return VLQA_OK;
    return env_fail(env, VLQA_ETEXT,
                    "%.200s is %s text, expected UTF-8: save it as UTF-8, or convert it with "
                    "\"iconv -f %s -t UTF-8\"",
                    name, encoding, encoding);
}

/* A question from a pipe: without the line end that echo puts there. */
static int question_from_stdin(struct document *d)
{
    char *text = d->input;
    size_t bytes = d->input_bytes, skip;
    if (!asks_stdin(d)) return CLI_OK;
    if (check_encoding(&d->cli->env, "standard input", text, bytes, &skip) != VLQA_OK)
        return cli_fail(d->cli, VLQA_ETEXT, d->cli->env.message);
    text += skip;
    bytes -= skip;
    if (memchr(text, 0, bytes))
        return cli_fail(d->cli, VLQA_ETEXT, "the question on standard input holds a NUL byte");
    if (bytes && text[bytes - 1] == '\n') text[--bytes] = 0;
    if (bytes && text[bytes - 1] == '\r') text[--bytes] = 0;
    *d->question = text;
    return CLI_OK;
}

int document_read(struct document *d)
{
    int code = check_args(d);
    if (code == CLI_OK) code = check_files(d);
    if (code == CLI_OK) code = read_stdin(d);
    if (code == CLI_OK) code = question_from_stdin(d);
    return code;
}

void document_options(const struct document_args *args, struct vlqa_engine_options *out)
{
    out->image_mode = (enum vlqa_image_mode)args->image_mode;
    out->resize = (enum vlqa_resize)args->resize;
    out->image_min_tokens = args->image_min_tokens;
    out->image_max_tokens = args->image_max_tokens;
    out->image_max_pixels = args->image_max_pixels;
}

/* ---- into the session ---- */

static int add_image(struct document *d, struct vlqa_session *session, const char *path)
{
    vlqa_status status =
        is_stdin(path) ? vlqa_add_image_bytes(session, d->input, d->input_bytes, "standard input")
                       : vlqa_add_image_file(session, path);
    if (status == VLQA_OK) return CLI_OK;
    if (status == VLQA_EIO) status = VLQA_EIMAGE;
    return cli_fail(d->cli, status, vlqa_message(session));
}

static int add_text(struct document *d, struct vlqa_session *session, const char *path)
{
    struct env *env = &d->cli->env;
    void *text = d->input;
    size_t bytes = d->input_bytes, skip = 0;
    vlqa_status status = VLQA_OK;
    if (!is_stdin(path)) status = file_read(env, path, MAX_QUESTION, &text, &bytes);
    if (status != VLQA_OK) return cli_fail(d->cli, status, env->message);
    status = check_encoding(env, is_stdin(path) ? "standard input" : path, text, bytes, &skip);
    if (status == VLQA_OK) {
        status = vlqa_add_text(session, (char *)text + skip, bytes - skip);
        if (status != VLQA_OK) (void)env_fail(env, status, "%s: %s", path, vlqa_message(session));
    }
    if (!is_stdin(path)) heap_free(text);
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, env->message);
}

int document_add(struct document *d, struct vlqa_session *session)
{
    const char *text = d->args->system;
    int code = CLI_OK;
    vlqa_status status = text ? vlqa_set_system(session, text, strlen(text)) : VLQA_OK;
    if (status != VLQA_OK) return cli_fail(d->cli, status, vlqa_message(session));
    for (int i = 0; i < d->args->items.n && code == CLI_OK; i++) {
        const struct arg_item *item = &d->args->items.item[i];
        code =
            is_image(item) ? add_image(d, session, item->value) : add_text(d, session, item->value);
        progress_clear(&d->cli->bar);
    }
    return code;
}

int document_pixels(struct document *d, struct vlqa_session *session, int image,
                    struct vlqa_pixels *out)
{
    const struct arg_item *item = d->args->items.item;
    void *data = d->input;
    size_t bytes = d->input_bytes;
    vlqa_status status = VLQA_OK;
    while (!is_image(item) || image-- > 0)
        item++;
    *out = (struct vlqa_pixels){0};
    if (!is_stdin(item->value))
        status = file_read(&d->cli->env, item->value, MAX_IMAGE, &data, &bytes);
    if (status != VLQA_OK) return cli_fail(d->cli, status, d->cli->env.message);
    status = vlqa_decode_image(session, data, bytes, item->value, out, sizeof *out);
    if (!is_stdin(item->value)) heap_free(data);
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, vlqa_message(session));
}

void document_free(struct document *d)
{
    heap_free(d->input);
}
