/* ask_jsonl.c - many questions in one process: a line an object, and a line of JSON for each. */
#include "eval/verbs/ask.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/heap.h"
#include "eval/cli/ranks.h"
#include "eval/data/json_row.h"
#include "eval/data/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINE ((size_t)256 << 20)
#define MAX_TEXTS 64

struct item { /* what a line asks */
    struct json_row row;
    const char *system, *text[MAX_TEXTS];
    int n_texts;
    struct vlqa_ask_options options;
    const char *stop[SAMPLING_MAX_STOPS];
    struct file_map map[DATASET_IMAGES]; /* of the images that are files */
};

struct batch {
    struct ask *a;
    struct lines lines;
    struct json_doc *doc; /* of the line */
    void *memory;         /* of the item's texts */
    struct item item;
    struct key documents; /* in the session, if it has them */
    int has_documents;
    int n_lines, n_failed;
};

/* One that every process can read from its beginning; or nothing, which is told later. */
static int is_file(const char *path)
{
    struct stat about;
    return strcmp(path, "-") != 0 && (stat(path, &about) != 0 || S_ISREG(about.st_mode));
}

int ask_jsonl_check(struct ask *a)
{
    const struct ask_args *o = &a->args;
    struct env *env = &a->cli.env;
    if (o->question || o->document.items.n)
        return cli_fail(&a->cli, VLQA_EUSAGE,
                        "--jsonl has questions, images and texts in its lines: leave out "
                        "--question, --image and --text");
    if (o->stream || o->logits || o->explain || o->explain_cache)
        return cli_fail(&a->cli, VLQA_EUSAGE,
                        "--jsonl excludes --stream, --logits, --explain and --explain-cache");
    if (ranks_wanted(&a->cli) > 1 && !is_file(o->jsonl))
        return cli_fail(&a->cli, VLQA_EUSAGE,
                        "--ranks: each of them reads --jsonl by itself, expected a file and not "
                        "standard input or a pipe");
    if (strcmp(o->jsonl, "-") == 0 || access(o->jsonl, R_OK) == 0) return CLI_OK;
    (void)env_fail(env, VLQA_EIO, "--jsonl: %s: cannot open: %s", o->jsonl, strerror(errno));
    return cli_fail(&a->cli, VLQA_EIO, env->message);
}

/* ---- a line to an item ---- */

/* A text or a list of texts. */
static vlqa_status read_texts(struct env *env, const char *where, const struct json *row,
                              const char *name, const char **out, int cap, int *n)
{
    const struct json *value = json_get(row, name);
    int is_list = value && json_kind(value) == JSON_ARRAY;
    if (!value || json_kind(value) == JSON_NULL) return VLQA_OK;
    *n = 0;
    for (const struct json *i = is_list ? json_first(value) : value; i;
         i = is_list ? json_next(i) : NULL) {
        if (!json_text(i) || *n == cap)
            return env_fail(env, VLQA_EUSAGE, "%s: %s expects a text or a list of at most %d texts",
                            where, name, cap);
        out[(*n)++] = json_text(i);
    }
    return VLQA_OK;
}

/* What a line says besides question and images. */
static vlqa_status read_options(struct batch *b, const char *where, const struct json *row)
{
    struct env *env = &b->a->cli.env;
    struct item *item = &b->item;
    item->system = b->a->args.document.system;
    item->options = b->a->options;
    TRY(json_opt_int(env, b->doc, row, "max_tokens", 1, 1000000, &item->options.max_tokens));
    TRY(read_texts(env, where, row, "texts", item->text, MAX_TEXTS, &item->n_texts));
    if (!json_get(row, "stop")) return VLQA_OK;
    item->options.stop_text = item->stop;
    return read_texts(env, where, row, "stop", item->stop, SAMPLING_MAX_STOPS,
                      &item->options.n_stop_text);
}

/* Fields of a request that others read from a line, and what says the same here. */
static vlqa_status refuse_settings(struct env *env, const char *where, const struct json *row)
{
    static const char *const settings[][2] = {{"temperature", "--temp"},
                                              {"temp", "--temp"},
                                              {"top_p", "--top-p"},
                                              {"top_k", "--top-k"},
                                              {"min_p", "--min-p"},
                                              {"seed", "--seed"},
                                              {"repetition_penalty", "--repetition-penalty"},
                                              {"presence_penalty", "--presence-penalty"},
                                              {"logit_bias", "--logit-bias"},
                                              {"reuse", "--reuse"},
                                              {"model", "--model"},
                                              {"chat_template", "--chat-template"}};
    static const char *const lengths[] = {"max_new_tokens", "max_completion_tokens"};
    static const char *const others[] = {"stream", "n", "logprobs"};
    for (const struct json *i = json_first(row); i; i = json_next(i))
        if (strncmp(json_name(i), "--", 2) == 0)
            return env_fail(env, VLQA_EUSAGE,
                            "%s: %.60s is not read; give it on the command line for all lines",
                            where, json_name(i));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (json_get(row, others[i]))
            return env_fail(env, VLQA_EUSAGE, "%s: %s is not read; leave it out", where, others[i]);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (json_get(row, settings[i][0]))
            return env_fail(env, VLQA_EUSAGE, "%s: %s is not read; %s gives one for all lines",
                            where, settings[i][0], settings[i][1]);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (json_get(row, lengths[i]))
            return env_fail(env, VLQA_EUSAGE, "%s: %s is not read; write max_tokens", where,
                            lengths[i]);
    return VLQA_OK;
}

/* What would be answered without what the line means. */
static vlqa_status check_meaning(struct env *env, const char *where, const struct json *row,
                                 const struct json_row *read)
{
    static const char *const questions[] = {"question", "query", "prompt"};
    const char *empty = read->n_images ? NULL : json_row_empty_image(row);
    const char *question = read->question;
    if (!question) return env_fail(env, VLQA_EUSAGE, "%s: question is missing", where);
    if (!question[strspn(question, " \t\r\n")])
        return env_fail(env, VLQA_EUSAGE, "%s: %s is empty", where, read->question_key);
    if (empty)
        return env_fail(env, VLQA_EUSAGE,
                        "%s: %.60s is empty; leave it out to ask without an image", where, empty);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (json_text(json_get(row, questions[i])) && strcmp(questions[i], read->question_key) != 0)
            return env_fail(env, VLQA_EUSAGE, "%s: both %s and %s are there; write one of them",
                            where, read->question_key, questions[i]);
    return VLQA_OK;
}

/* Keys of data sets are known, so that their files can be asked as they are. */
static vlqa_status read_item(struct batch *b, const char *line, size_t bytes)
{
    static const char *const known[] = {
        "id",    "texts",   "max_tokens",     "stop",    "answer", "answers", "options", "category",
        "split", "dataset", "cycle_category", "choices", "metric", "hint",    NULL};
    struct env *env = &b->a->cli.env;
    char where[256];
    struct json_row_file file = {.name = where, .path = b->a->args.jsonl};
    size_t room = json_row_room(bytes, &file);
    const struct json *row;
    struct arena arena;
    lines_name(&b->lines, where);
    TRY(json_parse(env, where, line, bytes, MAX_LINE, &b->doc));
    TRY(json_keep_numbers(env, b->doc, line, bytes));
    row = json_root(b->doc);
    if (json_kind(row) != JSON_OBJECT)
        return env_fail(env, VLQA_EUSAGE, "%s: is %s, expected an object", where,
                        json_kind_name(row));
    b->memory = heap_alloc(room);
    if (!b->memory) return env_no_memory(env, "line", room);
    arena = arena_over(b->memory, room);
    TRY(json_row_read(env, &file, row, &arena, &b->item.row));
    TRY(json_row_check_keys(env, &file, row, &b->item.row, known));
    TRY(refuse_settings(env, where, row));
    TRY(check_meaning(env, where, row, &b->item.row));
    return read_options(b, where, row);
}

/* ---- its documents into the session ---- */

static vlqa_status open_images(struct batch *b)
{
    struct item *item = &b->item;
    for (int i = 0; i < item->row.n_images; i++) {
        struct dataset_image *image = &item->row.image[i];
        vlqa_status status;
        if (!image->path) continue;
        status = file_map_open(&b->a->cli.env, image->path, &item->map[i]);
        if (status != VLQA_OK) return status == VLQA_EIO ? VLQA_EIMAGE : status;
        image->data = item->map[i].data;
        image->bytes = item->map[i].size;
    }
    return VLQA_OK;
}

/* By what is in the files: one of the same name may have changed. */
static struct key documents_key(const struct item *item)
{
    struct hash h;
    hash_begin(&h, "documents");
    hash_text(&h, item->system ? item->system : "");
    hash_u64(&h, (uint64_t)item->row.n_images);
    for (int i = 0; i < item->row.n_images; i++) {
        hash_u64(&h, item->row.image[i].bytes);
        hash_bytes(&h, item->row.image[i].data, item->row.image[i].bytes);
    }
    for (int i = 0; i < item->n_texts; i++)
        hash_text(&h, item->text[i]);
    return hash_end(&h);
}

static vlqa_status add_all(struct vlqa_session *s, const struct item *item)
{
    TRY(vlqa_session_clear(s));
    if (item->system) TRY(vlqa_set_system(s, item->system, strlen(item->system)));
    for (int i = 0; i < item->row.n_images; i++) {
        const struct dataset_image *image = &item->row.image[i];
        TRY(vlqa_add_image_bytes(s, image->data, image->bytes,
                                 image->path ? image->path : "an image of the line"));
    }
    for (int i = 0; i < item->n_texts; i++)
        TRY(vlqa_add_text(s, item->text[i], strlen(item->text[i])));
    return VLQA_OK;
}

/* Nothing is added again for a question about the same documents, so their KV is there, too. */
static vlqa_status add_documents(struct batch *b)
{
    struct vlqa_session *s = b->a->session;
    vlqa_status status;
    struct key key;
    TRY(open_images(b));
    key = documents_key(&b->item);
    if (b->has_documents && key_equal(key, b->documents)) return VLQA_OK;
    b->has_documents = 0;
    b->documents = key;
    status = add_all(s, &b->item);
    b->has_documents = status == VLQA_OK;
    return status == VLQA_OK ? VLQA_OK : env_fail(&b->a->cli.env, status, "%s", vlqa_message(s));
}

static vlqa_status ask(struct batch *b, struct vlqa_answer *answer)
{
    vlqa_status status =
        vlqa_ask(b->a->session, b->item.row.question, &b->item.options, answer, sizeof *answer);
    if (status == VLQA_OK) return VLQA_OK;
    return env_fail(&b->a->cli.env, status, "%s", vlqa_message(b->a->session));
}

/* ---- and out ---- */

static void report_id(struct report *r, const struct batch *b)
{
    const struct json *id = b->doc ? json_get(json_root(b->doc), "id") : NULL;
    if (json_text(id))
        report_string(r, "id", json_text(id));
    else if (id && json_kind(id) == JSON_NUMBER)
        report_number(r, "id", json_number(id));
    report_int(r, "line", b->lines.number);
}

/* The line of an answer or of an error; a code that is not CLI_OK ends the batch. */
static int write_line(struct batch *b, vlqa_status status, const struct vlqa_answer *answer)
{
    struct cli *cli = &b->a->cli;
    struct report r = report_begin();
    report_id(&r, b);
    if (status == VLQA_OK)
        ask_report(&r, b->a, answer);
    else
        report_string(&r, "error", cli->env.message);
    b->n_failed += status != VLQA_OK;
    progress_clear(&cli->bar);
    return cli_write_report(cli, &r);
}

/* What is wrong with the line, and not with everything. */
static int is_bad_line(vlqa_status status)
{
    return status == VLQA_EUSAGE || status == VLQA_EIMAGE || status == VLQA_ETEXT ||
           status == VLQA_ELIMIT;
}

static int answer_line(struct batch *b, const char *line, size_t bytes)
{
    struct vlqa_answer answer;
    vlqa_status status = read_item(b, line, bytes);
    if (status == VLQA_EMODEL) status = VLQA_EUSAGE; /* what is wrong with JSON elsewhere */
    if (status == VLQA_OK) status = add_documents(b);
    if (status == VLQA_OK) status = ask(b, &answer);
    if (status == VLQA_OK && answer.stop == VLQA_STOP_CALLER) status = VLQA_ECANCELLED;
    if (status == VLQA_OK || is_bad_line(status)) return write_line(b, status, &answer);
    return cli_fail(&b->a->cli, status, b->a->cli.env.message);
}

static void free_line(struct batch *b)
{
    for (int i = 0; i < DATASET_IMAGES; i++)
        file_map_close(&b->item.map[i]);
    heap_free(b->memory);
    json_free(b->doc);
    b->memory = NULL;
    b->doc = NULL;
    memset(&b->item, 0, sizeof b->item);
}

/* An interrupt while a line is awaited ends the program at once. */
static int answer_lines(struct batch *b)
{
    struct ask *a = b->a;
    int code = CLI_OK;
    while (code == CLI_OK) {
        const char *line;
        size_t bytes;
        vlqa_status status;
        cli_release_interrupt();
        status = lines_next_full(&a->cli.env, &b->lines, &line, &bytes);
        if (status != VLQA_OK) return cli_fail(&a->cli, status, a->cli.env.message);
        if (!line) break;
        cli_catch_interrupt();
        a->cli.start_ms = env_ms();
        b->n_lines++;
        code = answer_line(b, line, bytes);
        free_line(b);
        a->load_ms = 0; /* of the first line alone */
    }
    return code;
}

int ask_jsonl(struct ask *a)
{
    struct batch *b = heap_alloc_zero(sizeof *b);
    vlqa_status status;
    int code;
    if (!b) return cli_fail(&a->cli, VLQA_EMEMORY, "out of memory: the lines");
    b->a = a;
    status = lines_open(&a->cli.env, a->args.jsonl, &b->lines);
    code = status == VLQA_OK ? answer_lines(b) : cli_fail(&a->cli, status, a->cli.env.message);
    if (code == CLI_OK && b->n_failed) {
        cli_note(&a->cli, "%d of %d lines could not be answered: see \"error\" in their answers",
                 b->n_failed, b->n_lines);
        code = CLI_IMAGE;
    }
    lines_close(&b->lines);
    heap_free(b);
    return code == CLI_OK ? cache_check(&a->cli, &a->args.cache, a->engine) : code;
}
