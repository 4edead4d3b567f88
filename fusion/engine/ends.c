/* ends.c - end tokens by number and by text, from every file that may name one. */
#include "fusion/engine/ends.h"

#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define ENDS_FILE_BYTES ((size_t)16 << 20)
#define ENDS_LIST 16 /* ids in one list */

struct ends {
    struct env *env;
    const struct tokenizer *t;
    struct model_ids *ids;
};

/* Those that are no id, or known, or too many, change nothing. */
static void add(struct ends *e, int32_t id)
{
    struct model_ids *ids = e->ids;
    if (id < 0 || ids->n_eos == MODEL_MAX_EOS) return;
    for (int i = 0; i < ids->n_eos; i++)
        if (ids->eos[i] == id) return;
    ids->eos[ids->n_eos++] = id;
}

/* *doc NULL: there is no such file. */
static vlqa_status open_file(struct ends *e, const char *dir, const char *file,
                             struct json_doc **doc)
{
    char path[4096];
    *doc = NULL;
    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path || !file_exists(path))
        return VLQA_OK;
    return json_read(e->env, path, ENDS_FILE_BYTES, doc);
}

/* eos_token_id is a number or a list of them. */
static vlqa_status add_ids(struct ends *e, const struct json_doc *doc, const struct json *object)
{
    const struct json *eos = json_get(object, "eos_token_id");
    int list[ENDS_LIST], n = 1;
    if (!eos || json_kind(eos) == JSON_NULL) return VLQA_OK;
    if (json_kind(eos) == JSON_ARRAY)
        TRY(json_want_ints(e->env, doc, object, "eos_token_id", 0, INT32_MAX, ENDS_LIST, list, &n));
    else
        TRY(json_want_int(e->env, doc, object, "eos_token_id", 0, INT32_MAX, &list[0]));
    for (int i = 0; i < n; i++)
        add(e, list[i]);
    return VLQA_OK;
}

static vlqa_status read_ids(struct ends *e, const char *dir, const char *file)
{
    struct json_doc *doc;
    vlqa_status status;
    TRY(open_file(e, dir, file, &doc));
    if (!doc) return VLQA_OK;
    status = add_ids(e, doc, json_root(doc));
    if (status == VLQA_OK) status = add_ids(e, doc, json_get(json_root(doc), "text_config"));
    json_free(doc);
    return status;
}

/* A text that is no token of the tokenizer is nothing the model could say. */
static vlqa_status read_text(struct ends *e, const char *dir, const char *file)
{
    struct json_doc *doc;
    const struct json *eos;
    const char *text;
    TRY(open_file(e, dir, file, &doc));
    if (!doc) return VLQA_OK;
    eos = json_get(json_root(doc), "eos_token");
    text = json_text(eos);
    if (!text) text = json_text(json_get(eos, "content"));
    if (text) add(e, tokenizer_added(e->t, text));
    json_free(doc);
    return VLQA_OK;
}

vlqa_status ends_read(struct env *env, const char *dir, const struct tokenizer *t,
                      struct model_ids *ids, struct hash *digest)
{
    struct ends e = {env, t, ids};
    int by_id;
    ids->n_eos = 0;
    if (dir) {
        TRY(read_ids(&e, dir, "generation_config.json"));
        TRY(read_ids(&e, dir, "config.json"));
    }
    add(&e, tokenizer_added(t, "<|im_end|>"));
    add(&e, tokenizer_added(t, "<|endoftext|>"));
    by_id = ids->n_eos;
    if (dir) {
        TRY(read_text(&e, dir, "tokenizer_config.json"));
        TRY(read_text(&e, dir, "special_tokens_map.json"));
    }
    for (int i = by_id; i < ids->n_eos; i++)
        hash_u64(digest, (uint64_t)ids->eos[i]);
    return VLQA_OK;
}
