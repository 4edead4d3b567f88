/* questions.c - lines of JSON to questions, those about one document together. */
#include "eval/study/questions.h"

#include "base/file.h"
#include "base/heap.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE ((size_t)256 << 20)
#define MAX_LINE ((size_t)16 << 20)
#define MAX_QUESTIONS 100000

static const char *const members[] = {"image", "texts", "answer", "answers"};

const char *question_member(const struct question *q, const char *member, int i)
{
    const struct json *value = json_get(json_root(q->doc), member);
    if (json_text(value)) return i == 0 ? json_text(value) : NULL;
    value = json_first(value);
    while (i-- > 0)
        value = json_next(value);
    return json_text(value);
}

int question_has_answer(const struct question *q)
{
    return question_member(q, "answer", 0) || question_member(q, "answers", 0);
}

static size_t trim(const char **text)
{
    size_t n;
    while (isspace((unsigned char)**text))
        (*text)++;
    for (n = strlen(*text); n && isspace((unsigned char)(*text)[n - 1]);)
        n--;
    return n;
}

static int same_answer(const char *a, const char *b)
{
    size_t n = trim(&a);
    if (trim(&b) != n) return 0;
    for (size_t i = 0; i < n; i++) {
        char x = a[i], y = b[i];
        if (x >= 'A' && x <= 'Z') x = (char)(x - 'A' + 'a');
        if (y >= 'A' && y <= 'Z') y = (char)(y - 'A' + 'a');
        if (x != y) return 0;
    }
    return 1;
}

int question_is_answer(const struct question *q, const char *text)
{
    for (int m = 2; m < 4; m++) {
        const char *answer;
        for (int i = 0; (answer = question_member(q, members[m], i)); i++)
            if (same_answer(answer, text)) return 1;
    }
    return 0;
}

int question_image_path(const struct questions *all, const char *image, char *out, size_t cap)
{
    const char *slash = strrchr(all->path, '/');
    int folder = slash && image[0] != '/' ? (int)(slash - all->path) + 1 : 0;
    return snprintf(out, cap, "%.*s%s", folder, all->path, image) < (int)cap;
}

/* ---- reading ---- */

static vlqa_status check_members(struct env *env, const char *name, const struct question *q)
{
    for (size_t m = 0; m < sizeof members / sizeof *members; m++) {
        const struct json *value = json_get(json_root(q->doc), members[m]), *i;
        if (!value || json_text(value)) continue;
        for (i = json_kind(value) == JSON_ARRAY ? json_first(value) : value; json_text(i);)
            i = json_next(i);
        if (i)
            return env_fail(env, VLQA_EUSAGE, "%s: %s holds %s, expected a text or a list of texts",
                            name, members[m], json_kind_name(i));
    }
    return VLQA_OK;
}

static int same_document(const struct question *a, const struct question *b)
{
    for (int m = 0; m < 2; m++)
        for (int i = 0;; i++) {
            const char *x = question_member(a, members[m], i);
            const char *y = question_member(b, members[m], i);
            if (!x && !y) break;
            if (!x || !y || strcmp(x, y) != 0) return 0;
        }
    return 1;
}

/* The number of the document, found from the end: neighbours are mostly about the same. */
static int document_of(const struct questions *all, const struct question *q)
{
    for (int i = all->n - 1; i >= 0; i--)
        if (same_document(&all->item[i], q)) return all->item[i].document;
    return all->n;
}

static vlqa_status add_line(struct env *env, struct questions *all, int line, const char *text,
                            size_t bytes)
{
    struct question *q = &all->item[all->n];
    char name[256];
    vlqa_status status;
    snprintf(name, sizeof name, "%.200s, line %d", all->path, line);
    *q = (struct question){.line = line};
    status = json_parse(env, name, text, bytes, MAX_LINE, &q->doc);
    if (status == VLQA_OK) {
        status = json_want_string(env, q->doc, json_root(q->doc), "question", &q->text);
        if (status == VLQA_OK) status = check_members(env, name, q);
        q->document = document_of(all, q);
        all->n++;
    }
    return status == VLQA_EMODEL ? VLQA_EUSAGE : status; /* it is no model's file */
}

static int by_document(const void *a, const void *b)
{
    const struct question *x = a, *y = b;
    if (x->document != y->document) return (x->document > y->document) * 2 - 1;
    return (x->line > y->line) - (x->line < y->line);
}

static int count_lines(const char *at)
{
    int n = 1;
    while (n <= MAX_QUESTIONS && (at = strchr(at, '\n'))) {
        at++;
        n++;
    }
    return n;
}

static vlqa_status parse_lines(struct env *env, const char *at, struct questions *out)
{
    int lines = count_lines(at);
    size_t bytes;
    if (lines > MAX_QUESTIONS)
        return env_fail(env, VLQA_ELIMIT, "%s: more than %d lines", out->path, MAX_QUESTIONS);
    out->cap = (size_t)lines * sizeof *out->item;
    out->item = heap_alloc(out->cap);
    if (!out->item) return env_no_memory(env, "questions", out->cap);
    for (int line = 1; *at; line++, at += bytes + (at[bytes] == '\n')) {
        bytes = strcspn(at, "\n");
        if (strspn(at, " \t\r") < bytes) TRY(add_line(env, out, line, at, bytes));
    }
    if (!out->n) return env_fail(env, VLQA_EUSAGE, "%s: no question in it", out->path);
    qsort(out->item, (size_t)out->n, sizeof *out->item, by_document);
    return VLQA_OK;
}

vlqa_status questions_read(struct env *env, const char *path, struct questions *out)
{
    void *data;
    size_t bytes;
    vlqa_status status;
    *out = (struct questions){.path = path};
    TRY(file_read(env, path, MAX_FILE, &data, &bytes));
    status = strlen(data) < bytes ? env_fail(env, VLQA_EUSAGE, "%s: holds a NUL byte", path)
                                  : parse_lines(env, data, out);
    heap_free(data);
    return status;
}

void questions_free(struct questions *q)
{
    for (int i = 0; i < q->n; i++)
        json_free(q->item[i].doc);
    heap_free(q->item);
    *q = (struct questions){0};
}
