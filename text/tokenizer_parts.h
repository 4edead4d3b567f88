/* tokenizer_parts.h - what a loaded tokenizer consists of: for tokenizer.c and tokenizer_load.c. */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "text/bpe.h"
#include "text/tokenizer.h"

#include <pcre2.h>

enum token_kind {
    TOKEN_NONE,   /* an id without a token */
    TOKEN_PLAIN,  /* of the vocabulary */
    TOKEN_ADDED,  /* matched in any text, printed */
    TOKEN_CONTROL /* matched in templates only, never printed */
};

struct token {
    uint32_t at, bytes; /* in tokenizer.bytes */
    uint32_t kind;      /* enum token_kind */
};

struct tokenizer {
    struct bpe bpe;
    char *bytes;         /* of all tokens */
    struct token *token; /* [vocab] by id; beyond count there are none */
    int32_t *added;      /* [n_added] ids of added and control tokens, longest first */
    int n_added, count;
    uint8_t starts[256]; /* some added token begins with this byte */
    int nfc;             /* text is normalised first */
    pcre2_code *split;   /* each match is a pre-token */
    struct key digest;   /* of all that decides ids */
};

/* The pre-tokenizer of Qwen2 and Qwen3, as tokenizer.json spells it. */
#define TOKENIZER_PATTERN                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" \
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#endif
