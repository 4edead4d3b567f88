/* tokenizer_build.c - the tables of a tokenizer, filled token by token and merge by merge. */
#include "text/tokenizer_build.h"

#include "base/heap.h"

#include <assert.h>
#include <string.h>

static void *pcre2_malloc(size_t bytes, void *data)
{
    (void)data;
    return heap_malloc_hook(bytes);
}

static void pcre2_free(void *block, void *data)
{
    (void)data;
    heap_free_hook(block);
}

/* TOKENIZER_PATTERN with \s spelt out as White_Space, since PCRE2 adds U+180E to its own. */
#define SPACE "\\t-\\r\\x{85}\\p{Z}"
static const char split_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+|"
    "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

static vlqa_status compile_split(struct env *env, pcre2_code **out)
{
    pcre2_general_context *general = pcre2_general_context_create(pcre2_malloc, pcre2_free, NULL);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    int error = PCRE2_ERROR_NOMEMORY;
    size_t offset;
    *out = NULL;
    if (context)
        *out = pcre2_compile((PCRE2_SPTR)split_pattern, PCRE2_ZERO_TERMINATED,
                             PCRE2_UTF | PCRE2_UCP, &error, &offset, context);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    assert(*out || error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED);
    return *out ? VLQA_OK : env_no_memory(env, "tokenizer", sizeof split_pattern);
}

/* GPT-2's alphabet: printable bytes of Latin-1 stand for themselves, the others, in order, for the
 * code points from U+0100 on. */
static void alphabet_make(int16_t byte_of[324])
{
    int next = 256;
    memset(byte_of, -1, 324 * sizeof *byte_of);
    for (int byte = 0; byte < 256; byte++) {
        int printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        byte_of[printable ? byte : next++] = (int16_t)byte;
    }
}

int tokenizer_build_alphabet(const struct tokenizer_build *b, const char *text, size_t length,
                             char *out)
{
    const uint8_t *p = (const uint8_t *)text;
    int n = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned code = p[i];
        if (code >= 0x80) {
            if ((code & 0xE0) != 0xC0 || i + 1 == length || (p[i + 1] & 0xC0) != 0x80) return -1;
            code = (code & 0x1F) << 6 | (p[++i] & 0x3F);
        }
        if (code >= 324 || b->byte_of[code] < 0) return -1;
        out[n++] = (char)b->byte_of[code];
    }
    return n;
}

static int32_t *slot_of(const struct tokenizer_build *b, const char *bytes, size_t n)
{
    uint32_t at = (uint32_t)checksum64(bytes, n);
    for (;; at++) {
        int32_t *slot = &b->slot[at & b->slot_mask];
        const struct token *token = *slot < 0 ? NULL : &b->t->token[*slot];
        if (!token || (token->bytes == n && memcmp(b->t->bytes + token->at, bytes, n) == 0))
            return slot;
    }
}

vlqa_status tokenizer_build_open(struct tokenizer_build *b, size_t n_tokens, size_t n_bytes,
                                 size_t n_added, size_t n_pairs)
{
    struct tokenizer *t = heap_alloc_zero(sizeof *t);
    size_t slots = 16;
    b->t = t;
    alphabet_make(b->byte_of);
    hash_begin(&b->digest, "tokenizer");
    while (slots < 2 * n_tokens)
        slots *= 2;
    b->slot_mask = (uint32_t)(slots - 1);
    b->slot = heap_alloc(slots * sizeof *b->slot);
    if (!t || !b->slot) return env_no_memory(b->env, "tokenizer", slots * sizeof *b->slot);
    memset(b->slot, -1, slots * sizeof *b->slot);
    t->bytes = heap_alloc(n_bytes);
    t->token = heap_alloc_zero((size_t)b->vocab * sizeof *t->token);
    t->added = heap_alloc(n_added * sizeof *t->added);
    if (!bpe_open(&t->bpe, n_pairs) || !t->bytes || !t->token || !t->added)
        return env_no_memory(b->env, "tokenizer",
                             n_bytes + (size_t)b->vocab * sizeof *t->token + n_pairs * 24);
    return compile_split(b->env, &t->split);
}

static void insert_added(struct tokenizer *t, int32_t id)
{
    const struct token *token = &t->token[id];
    int at = t->n_added++;
    for (; at > 0 && t->token[t->added[at - 1]].bytes < token->bytes; at--)
        t->added[at] = t->added[at - 1];
    t->added[at] = id;
    t->starts[(unsigned char)t->bytes[token->at]] = 1;
}

vlqa_status tokenizer_build_token(struct tokenizer_build *b, int32_t id, const char *bytes,
                                  size_t n, enum token_kind kind, const char *shown)
{
    struct tokenizer *t = b->t;
    struct token *token = &t->token[id];
    int32_t *slot = slot_of(b, bytes, n);
    if (token->kind != TOKEN_NONE)
        return env_fail(b->env, VLQA_EMODEL, "%s: id %d of token '%.64s' is already taken", b->name,
                        id, shown);
    if (*slot >= 0)
        return env_fail(b->env, VLQA_EMODEL, "%s: token '%.64s' has ids %d and %d", b->name, shown,
                        *slot, id);
    *token = (struct token){b->n_bytes, (uint32_t)n, kind};
    memcpy(t->bytes + b->n_bytes, bytes, n);
    b->n_bytes += (uint32_t)n;
    *slot = id;
    if (id >= t->count) t->count = id + 1;
    if (kind != TOKEN_PLAIN) insert_added(t, id);
    return VLQA_OK;
}

/* Of the vocabulary, so that no merge ever gives a control token; or -1. */
static int32_t plain_id(const struct tokenizer_build *b, const char *bytes, size_t n)
{
    int32_t id = *slot_of(b, bytes, n);
    return id >= 0 && b->t->token[id].kind == TOKEN_PLAIN ? id : -1;
}

/* Appends the bytes of the token to out and finds its id, or -1. */
static int32_t merge_side(const struct tokenizer_build *b, struct tokenizer_side side, char *out,
                          int *n)
{
    int add = side.length > TOKEN_BYTES_MAX
                  ? -1
                  : tokenizer_build_alphabet(b, side.text, side.length, out + *n);
    if (add < 1) return -1;
    *n += add;
    return plain_id(b, out + *n - add, (size_t)add);
}

int tokenizer_build_shown(size_t length)
{
    return length < 64 ? (int)length : 64;
}

vlqa_status tokenizer_build_merge(struct tokenizer_build *b, struct tokenizer_side left,
                                  struct tokenizer_side right)
{
    struct bpe *bpe = &b->t->bpe;
    char bytes[2 * TOKEN_BYTES_MAX];
    int n = 0;
    int32_t first = merge_side(b, left, bytes, &n), second = merge_side(b, right, bytes, &n);
    int32_t both = first < 0 || second < 0 ? -1 : plain_id(b, bytes, (size_t)n);
    if (both < 0)
        return env_fail(b->env, VLQA_EMODEL,
                        "%s: merge %u of '%.*s' and '%.*s': %s is not in the vocabulary", b->name,
                        bpe->n_pairs, tokenizer_build_shown(left.length), left.text,
                        tokenizer_build_shown(right.length), right.text,
                        first < 0    ? "the first"
                        : second < 0 ? "the second"
                                     : "what they become");
    if (!bpe_put(bpe, first, second, both))
        return env_fail(b->env, VLQA_EMODEL, "%s: merge %u of '%.*s' and '%.*s' is there twice",
                        b->name, bpe->n_pairs, tokenizer_build_shown(left.length), left.text,
                        tokenizer_build_shown(right.length), right.text);
    hash_u64(&b->digest, (uint64_t)(uint32_t)first << 32 | (uint32_t)second);
    return VLQA_OK;
}

vlqa_status tokenizer_build_finish(struct tokenizer_build *b)
{
    struct tokenizer *t = b->t;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        int32_t id = plain_id(b, &c, 1);
        if (id < 0)
            return env_fail(b->env, VLQA_EMODEL, "%s: no token for the single byte 0x%02X", b->name,
                            byte);
        t->bpe.byte_id[byte] = id;
    }
    for (int id = 0; id < t->count; id++) {
        const struct token *token = &t->token[id];
        hash_u64(&b->digest, (uint64_t)token->kind << 32 | token->bytes);
        hash_bytes(&b->digest, t->bytes + token->at, token->bytes);
    }
    hash_u64(&b->digest, (uint64_t)t->nfc);
    t->digest = hash_end(&b->digest);
    return VLQA_OK;
}

vlqa_status tokenizer_build_close(struct tokenizer_build *b, vlqa_status status,
                                  struct tokenizer **out)
{
    heap_free(b->slot);
    if (status == VLQA_OK)
        *out = b->t;
    else
        tokenizer_free(b->t);
    return status;
}

static vlqa_status make_bytes(struct tokenizer_build *b)
{
    static const char *const control[] = {"<|endoftext|>",    "<|im_start|>",   "<|im_end|>",
                                          "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"};
    const int n_control = (int)(sizeof control / sizeof *control);
    if (b->vocab < 256 + n_control)
        return env_fail(b->env, VLQA_EUSAGE, "%s: vocabulary of %d, expected at least %d", b->name,
                        b->vocab, 256 + n_control);
    TRY(tokenizer_build_open(b, 256 + (size_t)n_control, 512, (size_t)n_control, 0));
    b->t->nfc = 1;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        TRY(tokenizer_build_token(b, byte, &c, 1, TOKEN_PLAIN, "byte"));
    }
    for (int i = 0; i < n_control; i++)
        TRY(tokenizer_build_token(b, 256 + i, control[i], strlen(control[i]), TOKEN_CONTROL,
                                  control[i]));
    return tokenizer_build_finish(b);
}

vlqa_status tokenizer_bytes(struct env *env, int vocab, struct tokenizer **out)
{
    struct tokenizer_build b = {.env = env, .vocab = vocab, .name = "byte tokenizer"};
    *out = NULL;
    return tokenizer_build_close(&b, make_bytes(&b), out);
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    pcre2_code_free(t->split);
    bpe_close(&t->bpe);
    heap_free(t->bytes);
    heap_free(t->token);
    heap_free(t->added);
    heap_free(t);
}
