/* tokenizer_build.h - a tokenizer being made: what the readers of its files call. */
#ifndef TEXT_TOKENIZER_BUILD_H
#define TEXT_TOKENIZER_BUILD_H

#include "text/tokenizer_parts.h"

#define TOKEN_BYTES_MAX 1024 /* Qwen's longest has 128 */

struct tokenizer_build {
    struct env *env;
    const char *name; /* of the file, in messages */
    int vocab;        /* ids are below it */
    struct tokenizer *t;
    uint32_t n_bytes; /* used of t->bytes */
    int32_t *slot;    /* [slot_mask + 1] ids by the bytes of their token, -1: free */
    uint32_t slot_mask;
    int16_t byte_of[324]; /* code point of the byte alphabet to its byte, or -1 */
    struct hash digest;
};

/* Room for so many tokens of so many bytes in all, and so many merges. env, name and vocab are
 * set, the rest is zero. Whatever it returns, tokenizer_build_close follows. */
vlqa_status tokenizer_build_open(struct tokenizer_build *b, size_t n_tokens, size_t n_bytes,
                                 size_t n_added, size_t n_pairs);
/* Text in the byte alphabet to bytes (no more than length): their number, or -1 for a character
 * outside it. */
int tokenizer_build_alphabet(const struct tokenizer_build *b, const char *text, size_t length,
                             char *out);
/* shown: the token as the file spells it, for messages. */
vlqa_status tokenizer_build_token(struct tokenizer_build *b, int32_t id, const char *bytes,
                                  size_t n, enum token_kind kind, const char *shown);

struct tokenizer_side { /* one side of a merge, in the byte alphabet */
    const char *text;
    size_t length;
};

/* Bytes of a text of that length that a message shows: "%.*s". */
int tokenizer_build_shown(size_t length);
/* The next merge by rank. */
vlqa_status tokenizer_build_merge(struct tokenizer_build *b, struct tokenizer_side left,
                                  struct tokenizer_side right);
/* After all tokens and merges: every byte has a token. */
vlqa_status tokenizer_build_finish(struct tokenizer_build *b);
/* Hands the tokenizer over, or frees it where status is an error; returns status. */
vlqa_status tokenizer_build_close(struct tokenizer_build *b, vlqa_status status,
                                  struct tokenizer **out);

#endif
