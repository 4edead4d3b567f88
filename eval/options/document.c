/* document.c - images, texts and standard input into a session. */
#include "eval/options/document.h"

#include "base/bom.h"
#include "base/file.h"
#include "base/heap.h"
#include "eval/cli/hint.h"
#include "include/vlqa_experimental.h"

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
        char hint[HINT_CAP];
        int is_url, error;
        if (!*item->value) {
            (void)env_fail(&d->cli->env, VLQA_EUSAGE, "--%s is empty: give the name of a file",
                           item->name);
            return cli_fail(d->cli, VLQA_EUSAGE, d->cli->env.message);
        }
        if (is_stdin(item->value) || access(item->value, R_OK) == 0) continue;
        error = errno;
        is_url = strstr(item->value, "://") && hint_of(item->value, hint);
        (void)env_fail(&d->cli->env, status, "%s: %s", item->value,
                       is_url ? hint : strerror(error));
        return cli_fail(d->cli, status, d->cli->env.message);
    }
    return CLI_OK;
}

static vlqa_status read_fifo(struct document *d, int index)
{
    struct env *env = &d->cli->env;
    const struct arg_item *item = &d->args->items.item[index];
    size_t bytes = (size_t)d->args->items.n * sizeof *d->fifo;
    if (!d->fifo) d->fifo = heap_alloc_zero(bytes);
    if (!d->fifo) return env_no_memory(env, item->value, bytes);
    return file_read_fifo(env, item->value, is_image(item) ? MAX_IMAGE : MAX_QUESTION,
                          &d->fifo[index].data, &d->fifo[index].bytes);
}

/* While the caller is still there, and in the order that they were given in. */
static int read_fifos(struct document *d)
{
    vlqa_status status = VLQA_OK;
    d->cli->env.log = cli_log; /* who waits says for what */
    d->cli->env.user = d->cli;
    for (int i = 0; i < d->args->items.n && status == VLQA_OK; i++)
        if (!is_stdin(d->args->items.item[i].value) && file_is_fifo(d->args->items.item[i].value))
            status = read_fifo(d, i);
    d->cli->env.log = NULL;
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, d->cli->env.message);
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
    if (code == CLI_OK) code = read_fifos(d);
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

/* Of an item that was read before: standard input or a FIFO. 0: it is a file. */
static int was_read(const struct document *d, int index, void **data, size_t *bytes)
{
    int from_stdin = is_stdin(d->args->items.item[index].value);
    if (!from_stdin && !(d->fifo && d->fifo[index].data)) return 0;
    *data = from_stdin ? d->input : d->fifo[index].data;
    *bytes = from_stdin ? d->input_bytes : d->fifo[index].bytes;
    return 1;
}

static int add_image(struct document *d, struct vlqa_session *session, int index)
{
    const char *path = d->args->items.item[index].value;
    void *data;
    size_t bytes;
    vlqa_status status;
    if (was_read(d, index, &data, &bytes))
        status =
            vlqa_add_image_bytes(session, data, bytes, is_stdin(path) ? "standard input" : path);
    else
        status = vlqa_add_image_file(session, path);
    if (status == VLQA_EIO) status = VLQA_EIMAGE;
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, vlqa_message(session));
}

static int add_text(struct document *d, struct vlqa_session *session, int index)
{
    struct env *env = &d->cli->env;
    const char *path = d->args->items.item[index].value;
    void *text, *file = NULL;
    size_t bytes, skip = 0;
    vlqa_status status = VLQA_OK;
    if (!was_read(d, index, &text, &bytes)) {
        status = file_read(env, path, MAX_QUESTION, &file, &bytes);
        text = file;
    }
    if (status != VLQA_OK) return cli_fail(d->cli, status, env->message);
    status = check_encoding(env, is_stdin(path) ? "standard input" : path, text, bytes, &skip);
    if (status == VLQA_OK) {
        status = vlqa_add_text(session, (char *)text + skip, bytes - skip);
        if (status != VLQA_OK) (void)env_fail(env, status, "%s: %s", path, vlqa_message(session));
    }
    heap_free(file);
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, env->message);
}

static vlqa_status add_stand_in(struct cli *cli, struct vlqa_session *session, const char *path)
{
    vlqa_status status = vlqa_add_image_file(session, path);
    if (status == VLQA_OK) return status;
    return env_fail(&cli->env, status == VLQA_EIO ? VLQA_EIMAGE : status, "--stand-in: %s",
                    vlqa_message(session));
}

int document_stand_in(struct cli *cli, const struct document_args *args,
                      struct vlqa_session *session)
{
    const char *list = args->stand_in;
    char path[4096];
    vlqa_status status = VLQA_OK;
    if (!list) return CLI_OK;
    while (status == VLQA_OK && *list) {
        size_t bytes = strcspn(list, ",");
        snprintf(path, sizeof path, "%.*s", (int)bytes, list);
        list += bytes + (list[bytes] == ',');
        if (bytes) status = add_stand_in(cli, session, path);
        progress_clear(&cli->bar);
    }
    if (status == VLQA_OK) {
        status = vlqa_stand_in(session);
        if (status != VLQA_OK) (void)env_fail(&cli->env, status, "%s", vlqa_message(session));
    }
    return status == VLQA_OK ? CLI_OK : cli_fail(cli, status, cli->env.message);
}

int document_add(struct document *d, struct vlqa_session *session)
{
    const char *text = d->args->system;
    int code = CLI_OK;
    vlqa_status status = text ? vlqa_set_system(session, text, strlen(text)) : VLQA_OK;
    if (status != VLQA_OK) return cli_fail(d->cli, status, vlqa_message(session));
    for (int i = 0; i < d->args->items.n && code == CLI_OK; i++) {
        const struct arg_item *item = &d->args->items.item[i];
        code = is_image(item) ? add_image(d, session, i) : add_text(d, session, i);
        progress_clear(&d->cli->bar);
    }
    return code;
}

int64_t document_whole_tokens(const struct vlqa_placed_image *image)
{
    int64_t before = (int64_t)image->width * image->height;
    int64_t after = (int64_t)image->resized_width * image->resized_height;
    int64_t tokens = (int64_t)image->grid_w * image->grid_h;
    return 2 * after >= before ? 0 : (before * tokens + after - 1) / after;
}

void document_note_sizes(const struct document *d, const struct vlqa_answer *answer)
{
    const struct arg_item *item = d->args->items.item;
    const struct arg_item *end = item + d->args->items.n;
    for (int i = 0; i < answer->n_images; i++, item++) {
        const struct vlqa_placed_image im = vlqa_image_at(answer, i);
        int64_t whole = document_whole_tokens(&im);
        while (item < end && !is_image(item))
            item++;
        if (item == end) return;
        if (!whole) continue;
        cli_note(d->cli,
                 "%s was made smaller, from %d x %d to %d x %d pixels (%lld tokens); "
                 "--image-max-tokens %lld would keep it as it is",
                 item->value, im.width, im.height, im.resized_width, im.resized_height,
                 (long long)im.grid_w * im.grid_h, (long long)whole);
    }
}

int document_pixels(struct document *d, struct vlqa_session *session, int image,
                    struct vlqa_pixels *out)
{
    const char *path;
    void *data, *file = NULL;
    size_t bytes;
    int index = 0;
    vlqa_status status = VLQA_OK;
    while (!is_image(&d->args->items.item[index]) || image-- > 0)
        index++;
    path = d->args->items.item[index].value;
    *out = (struct vlqa_pixels){0};
    if (!was_read(d, index, &data, &bytes)) {
        status = file_read(&d->cli->env, path, MAX_IMAGE, &file, &bytes);
        data = file;
    }
    if (status != VLQA_OK) return cli_fail(d->cli, status, d->cli->env.message);
    status = vlqa_decode_image(session, data, bytes, path, out, sizeof *out);
    heap_free(file);
    return status == VLQA_OK ? CLI_OK : cli_fail(d->cli, status, vlqa_message(session));
}

void document_free(struct document *d)
{
    for (int i = 0; d->fifo && i < d->args->items.n; i++)
        heap_free(d->fifo[i].data);
    heap_free(d->fifo);
    heap_free(d->input);
}
