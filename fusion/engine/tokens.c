/* tokens.c - texts to tokens and back, for callers that count or build them. */
#include "fusion/engine/engine.h"

#include "base/heap.h"
#include "text/utf8.h"

vlqa_status vlqa_tokenize(const struct vlqa_engine *e, const char *utf8, size_t bytes, int control,
                          int32_t *token, int cap, int *n)
{
    struct env env = {0}; /* the engine's belongs to others */
    size_t room = tokenizer_scratch(bytes);
    struct arena scratch;
    vlqa_status status;
    void *memory;
    if (!e || !e->usable || !n || cap < 0 || (cap && !token) || (bytes && !utf8))
        return VLQA_EUSAGE;
    *n = 0;
    memory = heap_alloc(room);
    if (!memory) return VLQA_EMEMORY;
    scratch = arena_over(memory, room);
    status = (control ? tokenizer_encode_special : tokenizer_encode)(
        &env, e->tokenizer, bytes ? utf8 : "", bytes, &scratch, token, cap, n);
    heap_free(memory);
    return status;
}

struct text_out {
    char *to;
    size_t cap, bytes; /* those that there are, of which room for cap */
};

static void put(struct text_out *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++, out->bytes++)
        if (out->bytes + 1 < out->cap) out->to[out->bytes] = text[i];
}

/* In parts, as a token may be long. */
static void put_token(struct text_out *out, struct utf8_stream *s, const char *text, size_t bytes)
{
    char part[3 * (64 + 3)];
    for (size_t at = 0; at < bytes; at += 64) {
        size_t n = bytes - at < 64 ? bytes - at : 64;
        put(out, part, utf8_stream_push(s, text + at, n, part));
    }
}

vlqa_status vlqa_detokenize(const struct vlqa_engine *e, const int32_t *token, int n, int control,
                            char *utf8, size_t cap, size_t *bytes)
{
    struct text_out out = {utf8, cap, 0};
    struct utf8_stream stream = {0};
    char end[4];
    if (!e || !e->usable || !bytes || !cap || !utf8 || n < 0 || (n && !token)) return VLQA_EUSAGE;
    for (int i = 0; i < n; i++)
        if (token[i] < 0 || token[i] >= e->decoder.config.vocab) return VLQA_EUSAGE;
    for (int i = 0; i < n; i++) {
        size_t length;
        const char *text = tokenizer_token_bytes(e->tokenizer, token[i], &length);
        if (!text && control) text = tokenizer_control_bytes(e->tokenizer, token[i], &length);
        if (text) put_token(&out, &stream, text, length);
    }
    put(&out, end, utf8_stream_end(&stream, end));
    *bytes = out.bytes;
    utf8[out.bytes < cap ? out.bytes : cap - 1] = 0;
    return VLQA_OK;
}
