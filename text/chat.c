/* chat.c - a model's chat template is found, compiled and tried on small conversations. */
#include "text/chat.h"

#include "base/bom.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/placeholder.h"
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)64 << 20) /* tokenizer_config.json may list many tokens */
#define HELP "; another template is taken with --chat-template FILE, or qwen3vl"

/* What Qwen3-VL Instruct writes for images and texts. */
static const char built_in[] =
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- else -%}{{- item.text -}}{%- endif -%}"
    "{%- endfor -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{{- '<|im_start|>assistant\\n' if add_generation_prompt -}}";

const char *chat_role_name(enum chat_role role)
{
    static const char *const name[CHAT_ROLES] = {"system", "user", "assistant"};
    return name[role];
}

/* ---- where it is ---- */

static vlqa_status compile(struct env *env, struct chat *chat, const char *text, size_t bytes)
{
    const char *encoding = bom_foreign(text, bytes);
    size_t valid, mark = bom_bytes(text, bytes);
    TRY(placeholder_check(env, VLQA_EMODEL, chat->name, text, bytes));
    if (encoding)
        return env_fail(env, VLQA_EMODEL, "%s is %s text, expected UTF-8", chat->name, encoding);
    text += mark;
    bytes -= mark;
    valid = utf8_valid(text, bytes);
    if (valid < bytes)
        return env_fail(env, VLQA_EMODEL, "%s: the chat template is not UTF-8 at byte %zu",
                        chat->name, valid);
    return template_compile(env, chat->name, text, bytes, &chat->template);
}

static vlqa_status compile_file(struct env *env, struct chat *chat, const char *path)
{
    void *text;
    size_t bytes;
    vlqa_status status;
    TRY(file_read(env, path, TEMPLATE_MAX_BYTES, &text, &bytes));
    status = compile(env, chat, text, bytes);
    heap_free(text);
    return status;
}

/* Of templates by name, {name: template} or [{name, template}], the one named "default". */
static const struct json *find_default(const struct json *value)
{
    if (json_kind(value) == JSON_OBJECT) return json_get(value, "default");
    for (const struct json *one = json_first(value); one; one = json_next(one)) {
        const char *name = json_text(json_get(one, "name"));
        if (name && strcmp(name, "default") == 0) return json_get(one, "template");
    }
    return NULL;
}

/* The member chat_template of a JSON file; without it, chat->template stays NULL. */
static vlqa_status compile_member(struct env *env, struct chat *chat, const char *path)
{
    struct json_doc *doc;
    const struct json *value;
    vlqa_status status = VLQA_OK;
    TRY(json_read(env, path, FILE_MAX, &doc));
    value = json_get(json_root(doc), "chat_template");
    if (value && json_kind(value) != JSON_NULL) {
        const char *text = json_text(value);
        if (!text) text = json_text(find_default(value));
        status =
            text ? compile(env, chat, text, strlen(text))
                 : env_fail(env, VLQA_EMODEL,
                            "%s: \"chat_template\" is %s without a template named \"default\"" HELP,
                            path, json_kind_name(value));
    }
    json_free(doc);
    return status;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), e = strlen(end);
    return n >= e && strcmp(text + n - e, end) == 0;
}

static vlqa_status compile_any(struct env *env, struct chat *chat, const char *path)
{
    snprintf(chat->name, sizeof chat->name, "%s", path);
    return ends_with(path, ".json") ? compile_member(env, chat, path)
                                    : compile_file(env, chat, path);
}

static vlqa_status file_in(struct env *env, const char *dir, const char *name, char path[4096])
{
    int n = snprintf(path, 4096, "%s/%s", dir, name);
    if (n < 0 || n >= 4096)
        return env_fail(env, VLQA_EUSAGE, "the model's path is longer than 4096 bytes");
    return VLQA_OK;
}

/* The first place that has one decides. */
static vlqa_status find_template(struct env *env, struct chat *chat, const char *dir)
{
    static const char *const place[] = {
        "processor_config.json", "chat_template.json", "chat_template.jinja",
        "additional_chat_templates/default.jinja", "tokenizer_config.json"};
    char path[4096];
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        TRY(file_in(env, dir, place[i], path));
        if (!file_exists(path)) continue;
        if (chat->template && i == 2)
            env_log(env, VLQA_LOG_WARN, "%s: not read, as %s comes before it in transformers, too",
                    path, chat->name);
        if (!chat->template) TRY(compile_any(env, chat, path));
    }
    return VLQA_OK;
}

/* ---- names of tokens ---- */

static vlqa_status find_variables(struct env *env, struct chat *chat, const char *dir)
{
    static const char *const name[CHAT_VARIABLES] = {
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    char path[4096];
    TRY(file_in(env, dir, "tokenizer_config.json", path));
    if (!file_exists(path)) return VLQA_OK;
    TRY(json_read(env, path, FILE_MAX, &chat->names));
    for (int i = 0; i < CHAT_VARIABLES; i++) {
        const struct json *value = json_get(json_root(chat->names), name[i]);
        const char *text = json_text(value);
        if (!text) text = json_text(json_get(value, "content"));
        if (text) chat->variable[chat->n_variables++] = (struct template_variable){name[i], text};
    }
    return VLQA_OK;
}

/* ---- which form it takes ---- */

#define PROBE_TURNS 3

struct probe_talk { /* a conversation of texts; content of `role` in the form `as_string` */
    enum chat_role turn[PROBE_TURNS];
    int n, asked; /* which turn's text must be seen */
};

static const struct template_item probe_text = {"text", 4};

/* *seen: the text of the turn that was asked for is in what is written. */
static vlqa_status render_probe(struct env *env, const struct chat *chat,
                                const struct probe_talk *talk, struct arena *mem,
                                struct template_text *out, int *seen)
{
    struct template_message message[PROBE_TURNS];
    const struct template_input in = {message, talk->n, 1, chat->variable, chat->n_variables};
    arena_rewind(mem, 0);
    for (int i = 0; i < talk->n; i++)
        message[i] = (struct template_message){chat_role_name(talk->turn[i]), &probe_text, 1,
                                               chat->as_string[talk->turn[i]]};
    *seen = 0;
    TRY(template_render(env, chat->template, &in, mem, out));
    for (int i = 0; i < out->n_runs; i++)
        *seen |= out->run[i].source == talk->asked && out->run[i].end > out->run[i].begin;
    return VLQA_OK;
}

/* Lists of items first: images need them. A template that takes neither refuses that role later,
 * with its own words; only the user's must work. */
static vlqa_status probe_role(struct env *env, struct chat *chat, const struct probe_talk *talk,
                              struct arena *mem, struct template_text *out)
{
    struct env quiet = {0};
    enum chat_role role = talk->turn[talk->asked];
    vlqa_status status, told = VLQA_OK;
    int seen;
    for (int form = 0; form < 2; form++) {
        chat->as_string[role] = form;
        quiet.message[0] = 0;
        status = render_probe(&quiet, chat, talk, mem, out, &seen);
        if (status == VLQA_OK && seen) return VLQA_OK;
        if (status == VLQA_OK)
            status =
                env_fail(&quiet, VLQA_EMODEL,
                         "%s: the template does not write the text of a question" HELP, chat->name);
        if (form && !strstr(env->message, "a list")) break; /* else it is made for strings */
        memcpy(env->message, quiet.message, sizeof env->message);
        told = status;
    }
    chat->as_string[role] = 0;
    if (role == CHAT_USER) return told == VLQA_EUSAGE ? VLQA_EMODEL : told;
    env->message[0] = 0;
    return VLQA_OK;
}

static int opens_thoughts(const struct template_text *text)
{
    size_t end = text->bytes, bytes = strlen("<think>");
    while (end > 0 && strchr(" \n\t\r", text->text[end - 1]))
        end--;
    return end >= bytes && memcmp(text->text + end - bytes, "<think>", bytes) == 0;
}

static vlqa_status probe(struct env *env, struct chat *chat, struct arena *mem)
{
    static const struct probe_talk question = {{CHAT_USER}, 1, 0};
    static const struct probe_talk system = {{CHAT_SYSTEM, CHAT_USER}, 2, 0};
    static const struct probe_talk answer = {{CHAT_USER, CHAT_ASSISTANT, CHAT_USER}, 3, 1};
    struct template_text text;
    TRY(probe_role(env, chat, &question, mem, &text));
    chat->think = opens_thoughts(&text);
    TRY(probe_role(env, chat, &system, mem, &text));
    return probe_role(env, chat, &answer, mem, &text);
}

static vlqa_status probe_forms(struct env *env, struct chat *chat)
{
    size_t bytes = template_room(PROBE_TURNS * 4, PROBE_TURNS) + 2 * TEMPLATE_MAX_BYTES;
    void *memory = heap_alloc(bytes);
    struct arena mem;
    vlqa_status status;
    if (!memory) return env_no_memory(env, "chat template", bytes);
    mem = arena_over(memory, bytes);
    status = probe(env, chat, &mem);
    arena_rewind(&mem, 0);
    heap_free(memory);
    return status;
}

static vlqa_status open_chat(struct env *env, const char *dir, const char *choice,
                             struct chat *chat)
{
    int named = choice && strcmp(choice, "qwen3vl") == 0;
    if (dir) TRY(find_variables(env, chat, dir));
    if (choice && !named) {
        TRY(compile_any(env, chat, choice));
        if (!chat->template)
            return env_fail(env, VLQA_EMODEL, "%s: no member chat_template, expected one", choice);
    }
    if (!choice && dir) TRY(find_template(env, chat, dir));
    if (!chat->template) {
        if (!named && dir)
            env_log(env, VLQA_LOG_INFO, "%s: no chat template, that of Qwen3-VL is taken", dir);
        snprintf(chat->name, sizeof chat->name, "qwen3vl");
        TRY(template_compile(env, chat->name, built_in, sizeof built_in - 1, &chat->template));
    }
    return probe_forms(env, chat);
}

vlqa_status chat_open(struct env *env, const char *dir, const char *choice, struct chat **out)
{
    struct chat *chat = heap_alloc(sizeof *chat);
    vlqa_status status;
    *out = NULL;
    if (!chat) return env_no_memory(env, "chat template", sizeof *chat);
    memset(chat, 0, sizeof *chat);
    status = open_chat(env, dir, choice, chat);
    if (status == VLQA_OK)
        *out = chat;
    else
        chat_free(chat);
    return status;
}

void chat_free(struct chat *chat)
{
    if (!chat) return;
    template_free(chat->template);
    json_free(chat->names);
    heap_free(chat);
}
