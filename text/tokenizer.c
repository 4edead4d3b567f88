/* tokenizer.c - text to ids: added tokens, NFC, pre-tokens, merges; and ids back to bytes. */
#include "text/tokenizer.h"

#include "text/nfc.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

#include <assert.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 28)        /* keeps every count in an int */
#define SPLIT_SCRATCH ((size_t)128 << 10) /* PCRE2 takes about 21 KiB */

/* One call of encode. */
struct encoding {
    struct env *env;
    const struct tokenizer *t;
    struct arena *scratch;
    struct arena split; /* part of scratch: PCRE2 allocates on while it matches */
    pcre2_match_data *match;
    pcre2_match_context *limits;
    struct bpe_out out;
};

static void *split_malloc(size_t bytes, void *split)
{
    return arena_fits(split, bytes) ? arena_push(split, bytes) : NULL;
}

static void split_free(void *block, void *split)
{
    (void)block, (void)split; /* rewound when the text is encoded */
}

static vlqa_status no_scratch(struct encoding *e)
{
    return env_fail(e->env, VLQA_ELIMIT, "text is too long: scratch of %zu bytes cannot hold it",
                    e->scratch->cap);
}

static vlqa_status split_begin(struct encoding *e)
{
    pcre2_general_context *general;
    if (!arena_fits(e->scratch, SPLIT_SCRATCH)) return no_scratch(e);
    e->split = arena_over(arena_push(e->scratch, SPLIT_SCRATCH), SPLIT_SCRATCH);
    general = pcre2_general_context_create(split_malloc, split_free, &e->split);
    e->match = pcre2_match_data_create(1, general);
    e->limits = pcre2_match_context_create(general);
    assert(general && e->match && e->limits);
    pcre2_set_heap_limit(e->limits, SPLIT_SCRATCH / 2 / 1024);
    return VLQA_OK;
}

/* The parts of a normalised text between added tokens; each is merged on its own. */
static vlqa_status encode_pieces(struct encoding *e, const char *text, size_t bytes)
{
    const uint32_t how = PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK;
    /* A match goes back at most once over what it read, and the next begins where it ended. */
    pcre2_set_match_limit(e->limits, (uint32_t)(4 * bytes + 1000));
    for (size_t at = 0, end; at < bytes; at = end) {
        int rc = pcre2_match(e->t->split, (PCRE2_SPTR)text, bytes, at, how, e->match, e->limits);
        if (rc < 0)
            return env_fail(e->env, VLQA_ELIMIT, "text of %zu bytes: splitting stopped (PCRE2 %d)",
                            bytes, rc);
        end = pcre2_get_ovector_pointer(e->match)[1];
        assert(end > at);
        if (!bpe_encode(&e->t->bpe, text + at, end - at, e->scratch, &e->out)) return no_scratch(e);
    }
    return VLQA_OK;
}

/* Text between added tokens. */
static vlqa_status encode_plain(struct encoding *e, const char *text, size_t bytes)
{
    size_t mark = arena_mark(e->scratch), plain_bytes = bytes;
    const char *plain = text;
    vlqa_status status;
    if (!bytes) return VLQA_OK;
    if (e->t->nfc && !nfc_compose(text, bytes, e->scratch, &plain, &plain_bytes))
        return no_scratch(e);
    status = encode_pieces(e, plain, plain_bytes);
    arena_rewind(e->scratch, mark);
    return status;
}

/* The longest added token that text begins with, or -1. */
static int32_t added_at(const struct tokenizer *t, const char *text, size_t bytes, int control)
{
    if (!t->starts[(unsigned char)*text]) return -1;
    for (int i = 0; i < t->n_added; i++) {
        const struct token *token = &t->token[t->added[i]];
        if (token->kind == TOKEN_CONTROL && !control) continue;
        if (token->bytes <= bytes && memcmp(t->bytes + token->at, text, token->bytes) == 0)
            return t->added[i];
    }
    return -1;
}

int32_t tokenizer_control_at(const struct tokenizer *t, const char *utf8, size_t bytes,
                             size_t *length)
{
    int32_t id = bytes ? added_at(t, utf8, bytes, 1) : -1;
    if (id < 0 || t->token[id].kind != TOKEN_CONTROL) return -1;
    *length = t->token[id].bytes;
    return id;
}

static vlqa_status encode_text(struct encoding *e, const char *text, size_t bytes, int control)
{
    size_t begin = 0, at = 0;
    if (bytes > TEXT_MAX)
        return env_fail(e->env, VLQA_ELIMIT, "text has %zu bytes, at most %zu are read", bytes,
                        TEXT_MAX);
    at = utf8_valid(text, bytes);
    if (at < bytes)
        return env_fail(e->env, VLQA_ETEXT, "text is not UTF-8: byte %zu is 0x%02X", at,
                        (unsigned char)text[at]);
    TRY(split_begin(e));
    for (at = 0; at < bytes;) {
        int32_t id = added_at(e->t, text + at, bytes - at, control);
        if (id < 0) {
            at++;
            continue;
        }
        TRY(encode_plain(e, text + begin, at - begin));
        bpe_out_put(&e->out, id);
        at += e->t->token[id].bytes;
        begin = at;
    }
    return encode_plain(e, text + begin, bytes - begin);
}

static vlqa_status encode(struct encoding *e, const char *text, size_t bytes, int control, int *n)
{
    size_t mark = arena_mark(e->scratch);
    vlqa_status status = encode_text(e, text, bytes, control);
    arena_rewind(e->scratch, mark);
    *n = e->out.n;
    return status;
}

vlqa_status tokenizer_encode(struct env *env, const struct tokenizer *t, const char *utf8,
                             size_t bytes, struct arena *scratch, int32_t *ids, int cap, int *n)
{
    struct encoding e = {.env = env, .t = t, .scratch = scratch, .out = {ids, cap, 0}};
    return encode(&e, utf8, bytes, 0, n);
}

vlqa_status tokenizer_encode_special(struct env *env, const struct tokenizer *t, const char *utf8,
                                     size_t bytes, struct arena *scratch, int32_t *ids, int cap,
                                     int *n)
{
    struct encoding e = {.env = env, .t = t, .scratch = scratch, .out = {ids, cap, 0}};
    return encode(&e, utf8, bytes, 1, n);
}

size_t tokenizer_scratch(size_t bytes)
{
    if (bytes > TEXT_MAX) bytes = TEXT_MAX;
    return SPLIT_SCRATCH + nfc_scratch(bytes) + bpe_scratch(NFC_GROWTH * bytes) + 8 * ARENA_ALIGN;
}

const char *tokenizer_token_bytes(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    const struct token *token;
    *bytes = 0;
    if (id < 0 || id >= t->count) return NULL;
    token = &t->token[id];
    if (token->kind == TOKEN_NONE || token->kind == TOKEN_CONTROL) return NULL;
    *bytes = token->bytes;
    return t->bytes + token->at;
}

const char *tokenizer_control_bytes(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    *bytes = 0;
    if (!tokenizer_is_special(t, id)) return NULL;
    *bytes = t->token[id].bytes;
    return t->bytes + t->token[id].at;
}

int32_t tokenizer_added(const struct tokenizer *t, const char *text)
{
    size_t bytes = strlen(text);
    for (int i = 0; i < t->n_added; i++) {
        const struct token *token = &t->token[t->added[i]];
        if (token->bytes == bytes && memcmp(t->bytes + token->at, text, bytes) == 0)
            return t->added[i];
    }
    return -1;
}

int tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->count && t->token[id].kind == TOKEN_CONTROL;
}

int tokenizer_count(const struct tokenizer *t)
{
    return t->count;
}

void tokenizer_digest(const struct tokenizer *t, struct hash *hash)
{
    hash_bytes(hash, t->digest.b, sizeof t->digest.b);
}
