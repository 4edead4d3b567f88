/* tokenizer_load.c - the files of a tokenizer, checked, to its tables. */
#include "base/bom.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/placeholder.h"
#include "text/tokenizer_build.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)64 << 20)
#define ADDED_MAX 4096

static vlqa_status read_id(struct tokenizer_build *b, const struct json *value, const char *shown,
                           int *id)
{
    double number = json_number(value);
    if (!(number >= 0 && number < (double)b->vocab && number == (double)(int)number))
        return env_fail(b->env, VLQA_EMODEL,
                        "%s: id of token '%.64s' is %g, expected a whole number below %d", b->name,
                        shown, number, b->vocab);
    *id = (int)number;
    return VLQA_OK;
}

static vlqa_status read_vocab(struct tokenizer_build *b, const struct json *vocab)
{
    for (const struct json *v = json_first(vocab); v; v = json_next(v)) {
        const char *text = json_name(v);
        char bytes[TOKEN_BYTES_MAX];
        size_t length = strlen(text);
        int id = -1, n;
        TRY(read_id(b, v, text, &id));
        /* Some files list added tokens in the vocabulary too. */
        if (b->t->token[id].kind != TOKEN_NONE && tokenizer_added(b->t, text) == id) continue;
        n = length > sizeof bytes ? -1 : tokenizer_build_alphabet(b, text, length, bytes);
        if (n < 1)
            return env_fail(b->env, VLQA_EMODEL,
                            "%s: token '%.64s' is empty, longer than %d bytes, or not byte-level",
                            b->name, text, TOKEN_BYTES_MAX);
        TRY(tokenizer_build_token(b, id, bytes, (size_t)n, TOKEN_PLAIN, text));
    }
    return VLQA_OK;
}

/* The id is a member of the token in tokenizer.json, and its name in tokenizer_config.json. */
static vlqa_status added_id(struct tokenizer_build *b, const struct json_doc *doc,
                            const struct json *token, int *id)
{
    const char *name = json_name(token);
    size_t length = name ? strlen(name) : 0;
    if (!name) return json_want_int(b->env, doc, token, "id", 0, b->vocab - 1, id);
    *id = length && length < 10 && strspn(name, "0123456789") == length ? atoi(name) : -1;
    if (*id >= 0 && *id < b->vocab) return VLQA_OK;
    return env_fail(b->env, VLQA_EMODEL,
                    "%s: id of an added token is '%.64s', expected a whole number below %d",
                    b->name, name, b->vocab);
}

static vlqa_status read_added(struct tokenizer_build *b, const struct json_doc *doc,
                              const struct json *tokens)
{
    static const char *const refused[] = {"lstrip", "rstrip", "single_word", "normalized"};
    for (const struct json *v = json_first(tokens); v; v = json_next(v)) {
        const char *text;
        int id = -1, special = 0;
        TRY(added_id(b, doc, v, &id));
        TRY(json_want_string(b->env, doc, v, "content", &text));
        TRY(json_opt_bool(b->env, doc, v, "special", &special));
        if (!*text)
            return env_fail(b->env, VLQA_EMODEL, "%s: added token %d is empty", b->name, id);
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
            int set = 0;
            TRY(json_opt_bool(b->env, doc, v, refused[i], &set));
            if (set)
                return env_fail(b->env, VLQA_EMODEL,
                                "%s: added token '%.64s' is marked %s, which is not supported",
                                b->name, text, refused[i]);
        }
        TRY(tokenizer_build_token(b, id, text, strlen(text), special ? TOKEN_CONTROL : TOKEN_ADDED,
                                  text));
    }
    return VLQA_OK;
}

/* "left right" */
static vlqa_status put_merge_line(struct tokenizer_build *b, const char *line, size_t length)
{
    const char *space = memchr(line, ' ', length);
    size_t left = space ? (size_t)(space - line) : 0;
    if (!space)
        return env_fail(b->env, VLQA_EMODEL, "%s: merge %u is '%.*s', expected two tokens", b->name,
                        b->t->bpe.n_pairs, tokenizer_build_shown(length), line);
    return tokenizer_build_merge(b, (struct tokenizer_side){line, left},
                                 (struct tokenizer_side){space + 1, length - left - 1});
}

static vlqa_status read_merges(struct tokenizer_build *b, const struct json *merges)
{
    for (const struct json *v = json_first(merges); v; v = json_next(v)) {
        const char *line = json_text(v);
        const struct json *first = line ? NULL : json_first(v), *second = json_next(first);
        const char *left = json_text(first), *right = json_text(second);
        if (line) {
            TRY(put_merge_line(b, line, strlen(line)));
        } else if (left && right && !json_next(second)) {
            TRY(tokenizer_build_merge(b, (struct tokenizer_side){left, strlen(left)},
                                      (struct tokenizer_side){right, strlen(right)}));
        } else {
            return env_fail(b->env, VLQA_EMODEL, "%s: merge %u is %s, expected two strings",
                            b->name, b->t->bpe.n_pairs, json_kind_name(v));
        }
    }
    return VLQA_OK;
}

/* merges.txt: a line a merge, after a line with the version. */
static vlqa_status read_merge_lines(struct tokenizer_build *b, const char *text, size_t bytes)
{
    const char *end = text + bytes, *next, *encoding = bom_foreign(text, bytes);
    TRY(placeholder_check(b->env, VLQA_EMODEL, b->name, text, bytes));
    if (encoding)
        return env_fail(b->env, VLQA_EMODEL, "%s is %s text, expected UTF-8", b->name, encoding);
    text += bom_bytes(text, bytes);
    for (const char *line = text; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length;
        next = stop ? stop + 1 : end;
        length = (size_t)((stop ? stop : end) - line);
        if (length && line[length - 1] == '\r') length--;
        if (!length || (line == text && !strncmp(line, "#version", 8))) continue;
        TRY(put_merge_line(b, line, length));
    }
    return VLQA_OK;
}

/* ---- tokenizer.json ---- */

static int is_absent(const struct json *value)
{
    return !value || json_kind(value) == JSON_NULL;
}

static vlqa_status want_text(struct tokenizer_build *b, const struct json *object,
                             const char *member, const char *what, const char *expected)
{
    const struct json *value = json_get(object, member);
    const char *text = json_text(value);
    if (text && !strcmp(text, expected)) return VLQA_OK;
    return env_fail(b->env, VLQA_EMODEL, "%s: %s is %s%.120s%s, expected '%s'", b->name, what,
                    text ? "'" : "", text ? text : json_kind_name(value), text ? "'" : "",
                    expected);
}

/* A flag that must be off, and is `missing` where the file leaves it out. */
static vlqa_status want_off(struct tokenizer_build *b, const struct json_doc *doc,
                            const struct json *object, const char *flag, int missing)
{
    int set = missing;
    TRY(json_opt_bool(b->env, doc, object, flag, &set));
    if (!set) return VLQA_OK;
    return env_fail(b->env, VLQA_EMODEL, "%s: %s is on, expected off", b->name, flag);
}

static vlqa_status check_model(struct tokenizer_build *b, const struct json_doc *doc,
                               const struct json *model)
{
    static const char *const empty[] = {"unk_token", "continuing_subword_prefix",
                                        "end_of_word_suffix"};
    double dropout = 0;
    TRY(want_text(b, model, "type", "model.type", "BPE"));
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const char *text = "";
        TRY(json_opt_string(b->env, doc, model, empty[i], &text));
        if (*text)
            return env_fail(b->env, VLQA_EMODEL, "%s: model.%s is '%.64s', expected none", b->name,
                            empty[i], text);
    }
    TRY(json_opt_double(b->env, doc, model, "dropout", 0, 0, &dropout));
    TRY(want_off(b, doc, model, "byte_fallback", 0));
    return want_off(b, doc, model, "ignore_merges", 0);
}

static vlqa_status check_split(struct tokenizer_build *b, const struct json_doc *doc,
                               const struct json *pre_tokenizer)
{
    const struct json *list = json_get(pre_tokenizer, "pretokenizers");
    const struct json *split = json_first(list), *bytes = json_next(split);
    TRY(want_text(b, pre_tokenizer, "type", "pre_tokenizer.type", "Sequence"));
    if (json_count(list) != 2)
        return env_fail(b->env, VLQA_EMODEL, "%s: pre_tokenizer has %d steps, expected 2", b->name,
                        json_count(list));
    TRY(want_text(b, split, "type", "first pre_tokenizer", "Split"));
    TRY(want_text(b, json_get(split, "pattern"), "Regex", "regular expression of Split",
                  TOKENIZER_PATTERN));
    TRY(want_text(b, split, "behavior", "behavior of Split", "Isolated"));
    TRY(want_off(b, doc, split, "invert", 0));
    TRY(want_text(b, bytes, "type", "second pre_tokenizer", "ByteLevel"));
    TRY(want_off(b, doc, bytes, "add_prefix_space", 1));
    return want_off(b, doc, bytes, "use_regex", 1);
}

static vlqa_status check_steps(struct tokenizer_build *b, const struct json_doc *doc, int *nfc)
{
    const struct json *root = json_root(doc), *normalizer = json_get(root, "normalizer");
    *nfc = !is_absent(normalizer);
    if (*nfc) TRY(want_text(b, normalizer, "type", "normalizer.type", "NFC"));
    TRY(check_split(b, doc, json_get(root, "pre_tokenizer")));
    if (!is_absent(json_get(root, "post_processor")))
        TRY(want_text(b, json_get(root, "post_processor"), "type", "post_processor.type",
                      "ByteLevel"));
    return want_text(b, json_get(root, "decoder"), "type", "decoder.type", "ByteLevel");
}

/* Opens the build with room for these members, and reads tokens: added ones first, so that the
 * vocabulary may repeat them. */
static vlqa_status read_tokens(struct tokenizer_build *b, const struct json *vocab,
                               const struct json_doc *added_doc, const struct json *added,
                               size_t n_pairs)
{
    size_t n_bytes = 0, n_tokens = (size_t)json_count(vocab) + (size_t)json_count(added);
    if (json_count(added) > ADDED_MAX)
        return env_fail(b->env, VLQA_EMODEL, "%s: %d added tokens, expected at most %d", b->name,
                        json_count(added), ADDED_MAX);
    for (const struct json *v = json_first(vocab); v; v = json_next(v))
        n_bytes += strlen(json_name(v));
    for (const struct json *v = json_first(added); v; v = json_next(v)) {
        const char *text = json_text(json_get(v, "content"));
        n_bytes += text ? strlen(text) : 0;
    }
    TRY(tokenizer_build_open(b, n_tokens, n_bytes, (size_t)json_count(added), n_pairs));
    TRY(read_added(b, added_doc, added));
    return read_vocab(b, vocab);
}

static vlqa_status want_kind(struct tokenizer_build *b, const struct json *value,
                             enum json_kind kind, const char *what, const char *expected)
{
    if (value && json_kind(value) == kind) return VLQA_OK;
    return env_fail(b->env, VLQA_EMODEL, "%s: %s is %s, expected %s", b->name, what,
                    json_kind_name(value), expected);
}

static vlqa_status read_one_file(struct tokenizer_build *b, const struct json_doc *doc)
{
    const struct json *root = json_root(doc), *model = json_get(root, "model");
    const struct json *vocab = json_get(model, "vocab"), *merges = json_get(model, "merges");
    const struct json *added = json_get(root, "added_tokens");
    int nfc = 0;
    TRY(want_kind(b, model, JSON_OBJECT, "model", "an object"));
    TRY(check_model(b, doc, model));
    TRY(check_steps(b, doc, &nfc));
    TRY(want_kind(b, vocab, JSON_OBJECT, "model.vocab", "an object"));
    TRY(want_kind(b, merges, JSON_ARRAY, "model.merges", "an array"));
    TRY(want_kind(b, added, JSON_ARRAY, "added_tokens", "an array"));
    TRY(read_tokens(b, vocab, doc, added, (size_t)json_count(merges)));
    b->t->nfc = nfc;
    TRY(read_merges(b, merges));
    return tokenizer_build_finish(b);
}

/* ---- which files ---- */

struct path {
    char text[4096];
};

static vlqa_status path_join(struct env *env, const char *dir, const char *file, struct path *out)
{
    int n = snprintf(out->text, sizeof out->text, "%s/%s", dir, file);
    if (n >= 0 && (size_t)n < sizeof out->text) return VLQA_OK;
    return env_fail(env, VLQA_EIO, "name of the model directory has more than %zu bytes",
                    sizeof out->text);
}

static vlqa_status load_one_file(struct tokenizer_build *b, const char *path)
{
    struct json_doc *doc = NULL;
    vlqa_status status;
    b->name = path;
    status = json_read(b->env, path, FILE_MAX, &doc);
    if (status == VLQA_OK) status = read_one_file(b, doc);
    json_free(doc);
    return status;
}

/* vocab.json, merges.txt and tokenizer_config.json, as opened and not yet checked. */
struct three_files {
    struct path path[3];
    struct json_doc *vocab, *config;
    void *merges;
    size_t merges_bytes;
};

static vlqa_status read_three_files(struct tokenizer_build *b, struct three_files *f)
{
    const struct json *vocab, *added;
    size_t n_lines = 1;
    TRY(json_read(b->env, f->path[0].text, FILE_MAX, &f->vocab));
    TRY(file_read(b->env, f->path[1].text, FILE_MAX, &f->merges, &f->merges_bytes));
    TRY(json_read(b->env, f->path[2].text, FILE_MAX, &f->config));
    vocab = json_root(f->vocab);
    added = json_get(json_root(f->config), "added_tokens_decoder");
    b->name = f->path[2].text;
    TRY(want_kind(b, added, JSON_OBJECT, "added_tokens_decoder", "an object"));
    b->name = f->path[0].text;
    TRY(want_kind(b, vocab, JSON_OBJECT, "the file", "an object"));
    for (size_t i = 0; i < f->merges_bytes; i++)
        n_lines += ((const char *)f->merges)[i] == '\n';
    TRY(read_tokens(b, vocab, f->config, added, n_lines));
    b->t->nfc = 1;
    b->name = f->path[1].text;
    TRY(read_merge_lines(b, f->merges, f->merges_bytes));
    b->name = f->path[0].text;
    return tokenizer_build_finish(b);
}

static vlqa_status load_three_files(struct tokenizer_build *b, const char *dir)
{
    struct three_files f = {.vocab = NULL};
    vlqa_status status;
    TRY(path_join(b->env, dir, "vocab.json", &f.path[0]));
    TRY(path_join(b->env, dir, "merges.txt", &f.path[1]));
    TRY(path_join(b->env, dir, "tokenizer_config.json", &f.path[2]));
    if (!file_exists(f.path[0].text))
        return env_fail(
            b->env, VLQA_EMODEL,
            "%s: neither tokenizer.json nor vocab.json is there: copy the first from the "
            "model that this one was made from",
            dir);
    status = read_three_files(b, &f);
    json_free(f.vocab);
    json_free(f.config);
    heap_free(f.merges);
    return status;
}

vlqa_status tokenizer_load(struct env *env, const char *dir, int vocab, struct tokenizer **out)
{
    struct tokenizer_build b = {.env = env, .vocab = vocab};
    struct path path;
    vlqa_status status;
    assert(vocab > 0);
    *out = NULL;
    TRY(path_join(env, dir, "tokenizer.json", &path));
    status = file_exists(path.text) ? load_one_file(&b, path.text) : load_three_files(&b, dir);
    return tokenizer_build_close(&b, status, out);
}
