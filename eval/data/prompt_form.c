/* prompt_form.c - prompts by tables. */
#include "eval/data/prompt_form.h"

#include "base/bom.h"
#include "base/file.h"
#include "base/heap.h"

#include <string.h>

#define MAX_TEMPLATE ((size_t)1 << 20)
#define WORD_OR_PHRASE "{question}\nAnswer the question using a single word or phrase."
#define CONCISELY "{question}\nPlease answer concisely with short words or phrases when possible."
#define CHOOSE "{hint}Question: {question}\nOptions:\n{options}\n"
#define QUESTION_OPTIONS "{question}\n{options}"
#define LETTER QUESTION_OPTIONS "\nAnswer with the option's letter from the given choices directly."
#define N_KINDS (DATASET_OTHER + 1)

struct prompt_form {
    int style;  /* of styles[], or -1: the template */
    char *file; /* of the template */
    const char *text;
    char *out; /* of the last item */
    size_t cap;
};

/* In templates of ours {hint} is the line "Hint: ...", with its end, or nothing. `stripped`: the
 * question without outer blanks. */
static const struct style {
    const char *name;
    const char *prompt[N_KINDS];
    const char *without_options; /* of the kinds with options, for a row that has none */
    int stripped[N_KINDS];
} styles[] = {
    {.name = "vlmevalkit",
     .prompt = {[DATASET_CHARTQA] = WORD_OR_PHRASE,
                [DATASET_INFOVQA] = WORD_OR_PHRASE,
                [DATASET_DOCVQA] = WORD_OR_PHRASE,
                [DATASET_OCRBENCH] = "{question}",
                [DATASET_REALWORLDQA] =
                    CHOOSE "Please select the correct answer from the options above. \n",
                [DATASET_HRBENCH] =
                    CHOOSE "Please select the correct answer from the options above. \n",
                [DATASET_CHOICE] =
                    CHOOSE "Please select the correct answer from the options above. \n",
                [DATASET_LONGBENCH] = "{question}",
                [DATASET_OTHER] = WORD_OR_PHRASE},
     .without_options = "{hint}Question: {question}\n"},
    {.name = "lmms-eval",
     .prompt = {[DATASET_CHARTQA] = "{question}\nAnswer the question with a single word.",
                [DATASET_INFOVQA] = WORD_OR_PHRASE,
                [DATASET_DOCVQA] = WORD_OR_PHRASE,
                [DATASET_OCRBENCH] = "{question}",
                [DATASET_REALWORLDQA] = LETTER,
                [DATASET_HRBENCH] = "{question}\n{options}\nAnswer the option letter directly.",
                [DATASET_CHOICE] = LETTER,
                [DATASET_LONGBENCH] = "{question}",
                [DATASET_OTHER] = WORD_OR_PHRASE},
     .without_options = "{question}",
     .stripped = {[DATASET_OCRBENCH] = 1, [DATASET_REALWORLDQA] = 1}},
    {.name = "qwen",
     .prompt = {[DATASET_CHARTQA] = CONCISELY,
                [DATASET_INFOVQA] = CONCISELY,
                [DATASET_DOCVQA] = CONCISELY,
                [DATASET_OCRBENCH] = CONCISELY,
                [DATASET_REALWORLDQA] = CHOOSE "Answer with the option letter only.",
                [DATASET_HRBENCH] = CHOOSE "Answer with the option letter only.",
                [DATASET_CHOICE] = CHOOSE "Answer with the option letter only.",
                [DATASET_LONGBENCH] = "{question}",
                [DATASET_OTHER] = CONCISELY},
     .without_options = "{hint}Question: {question}"},
    {.name = "plain", /* ours: the question alone, but for options that it is about */
     .prompt = {[DATASET_CHARTQA] = "{question}",
                [DATASET_INFOVQA] = "{question}",
                [DATASET_DOCVQA] = "{question}",
                [DATASET_OCRBENCH] = "{question}",
                [DATASET_REALWORLDQA] = QUESTION_OPTIONS,
                [DATASET_HRBENCH] = QUESTION_OPTIONS,
                [DATASET_CHOICE] = QUESTION_OPTIONS,
                [DATASET_LONGBENCH] = "{question}",
                [DATASET_OTHER] = "{question}"},
     .without_options = "{question}"},
    {.name = "infoflow",
     .prompt = {[DATASET_CHARTQA] = "{question}\nAnswer with a short phrase or number.",
                [DATASET_INFOVQA] = "{question}",
                [DATASET_DOCVQA] = "{question}\nAnswer briefly based on the document.",
                [DATASET_OCRBENCH] = "{question}",
                [DATASET_REALWORLDQA] = QUESTION_OPTIONS,
                [DATASET_HRBENCH] = QUESTION_OPTIONS,
                [DATASET_CHOICE] = QUESTION_OPTIONS,
                [DATASET_LONGBENCH] = "{question}",
                [DATASET_OTHER] = "{question}"},
     .without_options = "{question}"},
};
enum { N_STYLES = sizeof styles / sizeof *styles };

/* ---- LongBench: its words by data set, around the documents, whatever the style ---- */

#define PASSAGES                                                                                 \
    "Answer the question based on the given passages. Only give me the answer and do not output" \
    " any other words.\n\n"

static const struct longbench {
    const char *dataset, *before, *prompt;
} longbench[] = {
    {"hotpotqa", PASSAGES "The following are given passages.\n",
     "\n\n" PASSAGES "Question: {question}\nAnswer:"},
    {"2wikimqa", PASSAGES "The following are given passages.\n",
     "\n\n" PASSAGES "Question: {question}\nAnswer:"},
    {"musique", PASSAGES "The following are given passages.\n",
     "\n\n" PASSAGES "Question: {question}\nAnswer:"},
    {"multifieldqa_en", "Read the following text and answer briefly.\n\n",
     "\n\nNow, answer the following question based on the above text, only give me the answer and "
     "do not output any other words.\n\nQuestion: {question}\nAnswer:"},
    {"narrativeqa",
     "You are given a story, which can be either a novel or a movie script, and a question. Answer "
     "the question as concisely as you can, using a single phrase if possible. Do not provide any "
     "explanation.\n\nStory: ",
     "\n\nNow, answer the question based on the story as concisely as you can, using a single "
     "phrase if possible. Do not provide any explanation.\n\nQuestion: {question}\n\nAnswer:"},
    {"qasper",
     "You are given a scientific article and a question. Answer the question as concisely as you "
     "can, using a single phrase or sentence if possible. If the question cannot be answered based "
     "on the information in the article, write \"unanswerable\". If the question is a yes/no "
     "question, answer \"yes\", \"no\", or \"unanswerable\". Do not provide any explanation.\n\n"
     "Article: ",
     "\n\n Answer the question based on the above article as concisely as you can, using a single "
     "phrase or sentence if possible. If the question cannot be answered based on the information "
     "in the article, write \"unanswerable\". If the question is a yes/no question, answer \"yes\","
     " \"no\", or \"unanswerable\". Do not provide any explanation.\n\nQuestion: {question}\n\n"
     "Answer:"},
};

static const struct longbench *find_longbench(const struct prompt_form *form,
                                              const struct dataset_item *item)
{
    if (form->style < 0 || item->kind != DATASET_LONGBENCH || !item->dataset) return NULL;
    for (size_t i = 0; i < sizeof longbench / sizeof *longbench; i++)
        if (strcmp(longbench[i].dataset, item->dataset) == 0) return &longbench[i];
    return NULL;
}

const char *prompt_form_before(const struct prompt_form *form, const struct dataset_item *item)
{
    const struct longbench *of = find_longbench(form, item);
    return of ? of->before : NULL;
}

/* ---- filling ---- */

struct writer {
    char *to; /* NULL: only measures */
    size_t bytes;
};

static void put(struct writer *w, const char *at, size_t bytes)
{
    if (w->to) memcpy(w->to + w->bytes, at, bytes);
    w->bytes += bytes;
}

static void put_options(struct writer *w, const struct dataset_item *item)
{
    for (int i = 0; i < item->n_options; i++) {
        char head[4] = {item->option[i].letter, '.', ' ', 0};
        if (i) put(w, "\n", 1);
        put(w, head, 3);
        put(w, item->option[i].text.at, item->option[i].text.bytes);
    }
}

static struct text question_of(const struct dataset_item *item, int stripped)
{
    struct text q = text_of(item->question);
    while (stripped && q.bytes && strchr(" \t\r\n\v\f", q.at[0])) {
        q.at++;
        q.bytes--;
    }
    while (stripped && q.bytes && strchr(" \t\r\n\v\f", q.at[q.bytes - 1]))
        q.bytes--;
    return q;
}

static int take(const char **at, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(*at, name, n) != 0) return 0;
    *at += n;
    return 1;
}

static void fill(struct writer *w, const char *form, const struct dataset_item *item, int is_ours,
                 int stripped)
{
    struct text q = question_of(item, stripped);
    for (const char *at = form; *at;) {
        if (take(&at, "{question}")) {
            put(w, q.at, q.bytes);
        } else if (take(&at, "{options}")) {
            put_options(w, item);
        } else if (take(&at, "{hint}")) {
            if (item->hint && is_ours) put(w, "Hint: ", 6);
            if (item->hint) put(w, item->hint, strlen(item->hint));
            if (item->hint && is_ours) put(w, "\n", 1);
        } else {
            put(w, at++, 1);
        }
    }
    put(w, "", 1);
}

static int has_choices(enum dataset_kind kind)
{
    return kind == DATASET_REALWORLDQA || kind == DATASET_HRBENCH || kind == DATASET_CHOICE;
}

static const char *form_of(const struct prompt_form *form, const struct dataset_item *item)
{
    const struct longbench *of = find_longbench(form, item);
    const struct style *style = &styles[form->style < 0 ? 0 : form->style];
    if (form->style < 0) return form->text;
    if (of) return of->prompt;
    if (has_choices(item->kind) && !item->n_options && style->without_options)
        return style->without_options;
    return style->prompt[item->kind];
}

vlqa_status prompt_form_make(struct env *env, struct prompt_form *form,
                             const struct dataset_item *item, const char **out)
{
    const char *text = form_of(form, item);
    int stripped = form->style >= 0 && styles[form->style].stripped[item->kind];
    struct writer w = {.to = NULL};
    fill(&w, text, item, form->style >= 0, stripped);
    if (w.bytes > form->cap) {
        heap_free(form->out);
        form->cap = 0;
        form->out = heap_alloc(w.bytes);
        if (!form->out) return env_no_memory(env, "prompt", w.bytes);
        form->cap = w.bytes;
    }
    w = (struct writer){.to = form->out};
    fill(&w, text, item, form->style >= 0, stripped);
    *out = form->out;
    return VLQA_OK;
}

/* ---- opening ---- */

static vlqa_status read_template(struct env *env, const char *path, struct prompt_form *form)
{
    void *data;
    size_t bytes;
    const char *encoding;
    if (!file_exists(path))
        return env_fail(
            env, VLQA_EUSAGE,
            "--prompt: %.200s is neither plain, vlmevalkit, lmms-eval, qwen nor infoflow, "
            "and no file",
            path);
    TRY(file_read(env, path, MAX_TEMPLATE, &data, &bytes));
    form->file = data;
    form->text = data;
    encoding = bom_foreign(data, bytes);
    if (encoding)
        return env_fail(env, VLQA_EUSAGE,
                        "%.200s is %s text, expected UTF-8: save it as UTF-8, or convert it with "
                        "\"iconv -f %s -t UTF-8\"",
                        path, encoding, encoding);
    if (memchr(data, 0, bytes) || !text_is_utf8((struct text){data, bytes}))
        return env_fail(env, VLQA_EUSAGE, "%.200s: no text in UTF-8", path);
    form->text += bom_bytes(data, bytes);
    if (!strstr(data, "{question}"))
        return env_fail(env, VLQA_EUSAGE, "%.200s: no {question} in it", path);
    return VLQA_OK;
}

const char *prompt_form_default(const char *format)
{
    return strcmp(format, "jsonl") == 0 || strcmp(format, "json") == 0 ? "plain" : "vlmevalkit";
}

vlqa_status prompt_form_open(struct env *env, const char *name, struct prompt_form **out)
{
    struct prompt_form *form = heap_alloc_zero(sizeof *form);
    vlqa_status status = VLQA_OK;
    *out = NULL;
    if (!form) return env_no_memory(env, "prompt", sizeof *form);
    form->style = -1;
    for (int i = 0; i < N_STYLES; i++)
        if (strcmp(styles[i].name, name) == 0) form->style = i;
    if (form->style < 0) status = read_template(env, name, form);
    if (status == VLQA_OK)
        *out = form;
    else
        prompt_form_close(form);
    return status;
}

void prompt_form_close(struct prompt_form *form)
{
    if (!form) return;
    heap_free(form->file);
    heap_free(form->out);
    heap_free(form);
}
